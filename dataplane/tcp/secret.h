/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What must not be guessed: initial sequence numbers (RFC 6528), timestamp
 * offsets, ports (RFC 6056) and SYN cookies (RFC 4987), all from one keyed
 * hash (SipHash-2-4, Aumasson and Bernstein 2012).
 */
#ifndef CARRYALL_TCP_SECRET_H
#define CARRYALL_TCP_SECRET_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/addr.h"
#include "dataplane/tcp/segment.h"

struct tcp_secret {
	uint64_t key[2];
};

/* The ends of a connection. Ports in network order. Hashed as it is. */
struct tcp_tuple {
	struct ip_addr local, remote;
	uint16_t lport, rport;
};

_Static_assert(sizeof(struct tcp_tuple) == 36, "no byte of it is undefined");

/* From `seed` (tests); 0: from the kernel. 0 or -errno. Thread: any. */
int secret_init(struct tcp_secret *s, uint64_t seed);

/* SipHash-2-4 of data[0..len). Thread: any, as all that follows. */
uint64_t secret_hash(
	const struct tcp_secret *s, const void *data, uint32_t len);

/* RFC 6528: 4 microsecond clock plus F(tuple). */
uint32_t secret_isn(const struct tcp_secret *s, const struct tcp_tuple *tuple,
	uint64_t now_ms);

/* RFC 7323 section 5.4: the offset of our timestamps towards a peer. */
uint32_t secret_ts_offset(
	const struct tcp_secret *s, const struct tcp_tuple *tuple);

/* RFC 6056 algorithm 3: where the search for a port begins. */
uint32_t secret_port(const struct tcp_secret *s, const struct ip_addr *local,
	const struct ip_addr *remote, uint16_t rport);

/*
 * A cookie holds what a SYN has said in the sequence number that we answer
 * with, and (when the peer uses timestamps) in the low bits of ours:
 *
 *    31      27 26  24 23                     0        5   4  3      0
 *   +----------+------+------------------------+     +----+---+--------+
 *   | count    | MSS  | hash(tuple, isn, count)|     |... | S | wscale |
 *   +----------+------+------------------------+     +----+---+--------+
 *    sequence number                                  timestamp
 *
 * `count` is the clock in units of 64 s; a cookie is good for two of them.
 * `MSS` is one of eight lengths. wscale 15 says that the peer scales no
 * windows.
 */
#define TCP_COOKIE_MSS_MIN 64 /* less than that is taken for that */

struct tcp_cookie {
	uint16_t mss;
	uint8_t wscale; /* TCP_OPT_WSCALE in opts */
	uint8_t opts;   /* TCP_OPT_WSCALE, _SACKOK, _TS */
};

/* The sequence number to answer SYN `irs` of `tuple` with. */
uint32_t cookie_make(const struct tcp_secret *s, const struct tcp_tuple *tuple,
	uint32_t irs, uint16_t mss, uint64_t now_ms);

/* Our timestamp `ts`, at most 31 lower, with what the SYN offered in it. */
uint32_t cookie_ts(uint32_t ts, const struct tcp_seg *syn);

/*
 * Is `isn` a cookie that we have made for SYN `irs` of `tuple` within the
 * last two minutes? `ts_ecr` is what the ACK echoes, if `has_ts`. true with
 * *out.
 */
bool cookie_check(const struct tcp_secret *s, const struct tcp_tuple *tuple,
	uint32_t irs, uint32_t isn, bool has_ts, uint32_t ts_ecr,
	uint64_t now_ms, struct tcp_cookie *out);

#endif
