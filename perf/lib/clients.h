/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Clients and backends on both sides of a balancer, in process: CLIENTS
 * connections at a time go through all their packets, one each round, and a
 * new one begins where one has ended.
 *
 *   client   SYN         ACK  FIN              ACK    a whole life, or
 *   backend       SYN+ACK         FIN+ACK             the SYN alone: a flood
 *
 * clients_round() does what an instance's loop does: burst, tick, poll of the
 * log; what was sent waits in `out`. Writing packets and reading what was sent
 * is not the balancer's work: it is timed apart.
 */
#ifndef PERF_CLIENTS_H
#define PERF_CLIENTS_H

#include "perf/lib/bench_lb.h"
#include "perf/lib/bench_log.h"

#define CLIENTS       2048u /* as many as the balancer can hold back */
#define CLIENTS_STEPS 6     /* packets of a life */

struct clients {
	struct bench_lb lb;
	struct bench_log log; /* in.log NULL: none is kept */
	uint8_t steps;        /* packets of a connection: 1 or CLIENTS_STEPS */

	struct bench_conn conn[CLIENTS];
	uint8_t step[CLIENTS];   /* packet that is next */
	uint32_t ready[CLIENTS]; /* connections whose packet can go: a ring */
	uint32_t ready_at, n_ready;
	struct rte_mbuf *idle[BENCH_RING]; /* a ring */
	uint32_t idle_at, n_idle;
	struct rte_mbuf *out[BENCH_RING];
	uint32_t n_out;

	uint64_t tick_tsc, tsc_per_ms;
	uint32_t next; /* number of the next connection */

	/* counted */
	uint64_t lives, dropped, rounds;
	uint64_t cycles;         /* of rounds, writing packets left out */
	uint64_t opened, logged; /* outside of checkpoints */
};

/*
 * A balancer for `max` connections on the mbufs of `r`, which it takes all;
 * with a store of `size` bytes and that durability, or GRANT_DURABILITY_NONE.
 * 0 or -1, and said why.
 */
int clients_start(struct clients *c, struct bench_ring *r, uint32_t max,
	uint8_t steps, uint32_t durability, uint64_t size);

/* One packet of up to BENCH_GROUP connections. */
void clients_round(struct clients *c);

/* Until the log has all. */
void clients_settle(struct clients *c);

void clients_stop(struct clients *c);

/*
 * The packet of `c` that is number `step` of its life, into the 64 bytes at d.
 * Each has 10 bytes of data: what a FIN ends is 11 further.
 */
void clients_write(const struct bench_conn *c, uint8_t step, uint8_t *d);

#endif
