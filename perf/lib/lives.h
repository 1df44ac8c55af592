/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TCP connections through a balancer at the port of a NIC in software: its
 * callbacks are clients and backends, LIVES_MAX connections at a time, each of
 * which goes through all its packets, and a new one begins where one ended.
 *
 *   client   SYN         ACK  FIN              ACK
 *   backend       SYN+ACK         FIN+ACK
 *
 * A connection has one packet on its way, and its next one can go when that
 * has come. In all there are never more on their way, those included that the
 * balancer holds back until their record is durable, than a ring holds.
 *
 * Thread: the NIC's.
 */
#ifndef PERF_LIVES_H
#define PERF_LIVES_H

#include "perf/lib/bench_lb.h"
#include "perf/lib/softlab.h"

#define LIVES_MAX   2048u
#define LIVES_STEPS 6u

struct lives {
	struct softlab *lab;
	struct rte_mempool *pool;
	int run; /* 0: no new packets */

	struct bench_conn conn[LIVES_MAX];
	uint8_t step[LIVES_MAX];   /* the packet that is next, or on its way */
	uint32_t ready[LIVES_MAX]; /* connections whose packet can go: a ring */
	uint32_t ready_at, n_ready;
	uint32_t next; /* number of the next connection */

	/* counted, since ever */
	uint64_t sent, came, ended, wrong;
};

/* Take over the port of `lab`, whose one instance balances. 0 or -1. */
int lives_init(struct lives *l, struct softlab *lab);

/* Packets that drops have taken, with the connections that they were of. */
uint64_t lives_lost(const struct lives *l);

#endif
