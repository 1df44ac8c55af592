/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The sender's scoreboard: what the peer holds beyond snd_una (RFC 2018), and
 * what follows for loss recovery (RFC 6675).
 *
 *      una          r[0]            r[1]               nxt
 *       |............######...........####...............|
 *        lost         sacked   lost   sacked   in flight
 *
 * Pure arithmetic over sequence numbers, no knowledge of connections. A
 * connection has a board only between its first SACK block and the end of the
 * recovery; boards come from a pool of the stack.
 */
#ifndef CARRYALL_TCP_SACK_H
#define CARRYALL_TCP_SACK_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/tcp/segment.h"

/*
 * Ranges remembered. Of more the highest is forgotten, which is safe: it is
 * sent again, or the peer says it again.
 */
#define SACK_RANGES 32

struct sack_board {
	struct tcp_range r[SACK_RANGES]; /* sorted, apart from each other */
	uint32_t n;
	uint32_t sacked;   /* bytes in all ranges */
	uint32_t high_rxt; /* retransmitted up to here (RFC 6675 HighRxt) */
	uint32_t lost_to;  /* up to here all not sacked is lost: a time-out */
	uint32_t rescue;   /* end of the rescue retransmission */
	bool rescued;
	uint32_t next_free; /* the pool's */
};

/* An empty board; `next_free` stays. Thread: the owner's, as all below. */
void sack_init(struct sack_board *b, uint32_t una);

/*
 * Take over block[0..n) of one segment, those that do not begin after `una`,
 * end beyond `nxt` or are empty left out (D-SACK, RFC 2883, and forged ones).
 * `nxt` is the highest that was ever sent. Returns bytes newly sacked.
 */
uint32_t sack_update(struct sack_board *b, const struct tcp_range *block,
	uint32_t n, uint32_t una, uint32_t nxt);

/*
 * Everything before `una` was acknowledged. If that leaves a range at `una`,
 * the peer has dropped what it had said it had (RFC 2018 section 8), for else
 * it would have acknowledged it: all ranges are forgotten.
 */
void sack_advance(struct sack_board *b, uint32_t una);

/*
 * IsLost() of RFC 6675 section 4: is the byte at `seq`, not sacked, lost: are
 * there three discontiguous sacked ranges above it, or more than 2 * mss
 * sacked bytes, or has it been out when sack_restart() was called?
 */
bool sack_is_lost(const struct sack_board *b, uint32_t seq, uint32_t mss);

/* SetPipe() of RFC 6675: bytes in [una, nxt) believed to be on their way. */
uint32_t sack_pipe(
	const struct sack_board *b, uint32_t una, uint32_t nxt, uint32_t mss);

/*
 * NextSeg() of RFC 6675 rules 1, 3 and 4: what to retransmit, at most `mss`
 * bytes of one gap, with *out filled; false when there is nothing but new data
 * (rule 2 is the caller's, between 1 and 3: `may_rule3` says that there is no
 * new data or no window for it).
 */
bool sack_next(const struct sack_board *b, uint32_t una, uint32_t nxt,
	uint32_t mss, bool may_rule3, struct tcp_range *out);

/*
 * [out.start, out.end) was retransmitted: what sack_next() gave, or the first
 * segment at `una` that a recovery begins with.
 */
void sack_retransmitted(struct sack_board *b, const struct tcp_range *out);

/*
 * After a time-out: all of [una, nxt) that is not sacked is lost, and to be
 * sent again from `una`; sack_next() gives all of it by rule 1. What is sacked
 * is kept (RFC 6675 section 5.1); the byte at `una` never is, so a peer that
 * has dropped it shows when it acknowledges what comes before.
 */
void sack_restart(struct sack_board *b, uint32_t una, uint32_t nxt);

#endif
