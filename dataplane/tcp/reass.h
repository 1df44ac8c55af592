/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The out-of-order queue: segments beyond rcv_nxt, sorted, without overlap.
 *
 *    rcv_nxt    m          m    m
 *      |........####.......####|####........| right edge of the window
 *                              ^ touching ones are one block of a SACK
 *
 * Each element is an mbuf of one segment (a received frame, cut to its
 * payload; see buf.h for where its place is kept). Bounded by the receive
 * window in bytes and by `max` in mbufs, for a peer may send one byte in
 * each.
 */
#ifndef CARRYALL_TCP_REASS_H
#define CARRYALL_TCP_REASS_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/tcp/buf.h"
#include "dataplane/tcp/segment.h"

struct reass {
	struct rte_mbuf *first;
	uint32_t latest; /* a sequence number in the block that grew last */
	uint16_t n;      /* mbufs */
};

/*
 * Take the payload of `m` (data_off, data_len; one segment, writable; pkt_len
 * the same), whose first byte is `seq`; `fin`: a FIN follows it. Of bytes that
 * come twice the older ones stay, whichever mbuf they end up in; a FIN that
 * data contradict is forgotten. The queue owns `m` on return: it is freed if
 * nothing of it is new, or if the queue has `max` mbufs. Returns how many
 * mbufs the queue has grown by (may be negative).
 */
int reass_insert(struct reass *q, struct rte_mbuf *m, uint32_t seq, bool fin,
	uint32_t max);

/*
 * Take out what follows from `nxt` without a gap: a chain by mbuf->next, its
 * pkt_len set, cut at the front where it overlaps, or NULL. *taken: mbufs
 * that have left the queue, freed ones included. *fin: a FIN follows the
 * last byte; whatever lies behind it is freed. An entry of length zero with a
 * FIN at `nxt` gives NULL and *fin.
 */
struct rte_mbuf *reass_take(
	struct reass *q, uint32_t nxt, uint32_t *taken, bool *fin);

/*
 * SACK blocks for an ACK, the one that grew last first (RFC 2018 section 4),
 * then its neighbours below: where loss comes one by one, those were reported
 * before it. A FIN counts as a byte. Returns their number, at most `max`.
 */
uint32_t reass_blocks(
	const struct reass *q, struct tcp_range *block, uint32_t max);

/* Free all. Returns how many mbufs there were. */
uint32_t reass_clear(struct reass *q);

#endif
