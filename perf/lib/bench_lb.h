/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A load balancer in process: one service, 24 backends, 16 SNAT addresses,
 * maglev; and packets for it, 64-byte frames in mbufs of a ring that is larger
 * than the L2 cache.
 */
#ifndef PERF_BENCH_LB_H
#define PERF_BENCH_LB_H

#include <stddef.h>
#include <stdint.h>

#include <rte_mbuf.h>

#include "dataplane/nf.h"

extern const struct nf nf_lb;

#define BENCH_BURST    32
#define BENCH_GROUP    512   /* packets prepared, then timed */
#define BENCH_RING     16384 /* mbufs, of 2 KiB data room each */
#define BENCH_BACKENDS 24
#define BENCH_SNATS    16

/* One connection as seen from outside: what packets are made from. */
struct bench_conn {
	uint32_t client;
	uint32_t backend, snat;
	uint16_t client_port, snat_port;
};

struct bench_ring {
	struct rte_mempool *pool;
	struct rte_mbuf *mbuf[BENCH_RING];
	uint32_t at;
};

struct bench_lb {
	struct grant grant;
	struct nexthops nexthops;
	struct stats stats;
	struct nf_env env;
	void *lb;
};

typedef void (*bench_emit)(void *ctx, struct rte_mbuf *m);

/* All mbufs, of 64 bytes each, of a pool of that name: 0 or -1. */
int bench_ring_init(struct bench_ring *r, const char *name);

/* The next BENCH_GROUP of them. */
struct rte_mbuf **bench_ring_next(struct bench_ring *r);

/* The grant, for `max` connections, and the next hops. */
void bench_lb_grant(struct bench_lb *b, uint32_t max);

/*
 * Create the balancer by its grant; with a log, if that is not NULL, whose
 * records it takes. What it emits is freed if `emit` is NULL. Bytes of DPDK
 * memory that it took, or 0: failed, and said why.
 */
size_t bench_lb_start(struct bench_lb *b, struct bench_ring *r,
	struct plog *log, bench_emit emit, void *ctx);

/* Connection number `i`, each of another client address or port. */
struct bench_conn bench_conn_make(uint32_t i);

/* A TCP packet of `c` without payload into the 64 bytes at d. */
void bench_from_client(uint8_t *d, const struct bench_conn *c, uint8_t flags,
	uint32_t seq, uint32_t ack);
void bench_from_backend(uint8_t *d, const struct bench_conn *c, uint8_t flags,
	uint32_t seq, uint32_t ack);

/* What the balancer has made of the SYN of `c`, at d. */
void bench_conn_learn(struct bench_conn *c, const uint8_t *d);

/* Establish `c`: SYN, SYN+ACK, ACK. 1 if all were forwarded, else 0. */
int bench_handshake(struct bench_lb *b, struct bench_ring *r,
	struct bench_conn *c, uint64_t now_tsc);

#endif
