/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A million connections and their log.
 *
 *   log.pause       the longest that the loop stood still while a checkpoint
 *                   of all of them was written beside traffic
 *   log.recover.1M  seconds from opening the store to a balancer that has
 *                   them all, as an instance that is started again
 */
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>

#include "dataplane/packet.h"
#include "perf/lib/bench_eal.h"
#include "perf/lib/bench_lb.h"
#include "perf/lib/bench_log.h"
#include "perf/lib/report.h"

#define CONNECTIONS 1000000u
#define TABLE       (1u << 20)
#define STORE       (256u << 20)
#define CHECKPOINTS 5u
#define RUNS        7u
#define LONG_NS     100000u

struct bench {
	struct bench_lb side;
	struct bench_log log;
	struct bench_ring ring;
	struct bench_conn *conn;
	uint64_t random, tick_tsc;
	double ns_per_tick;        /* of the clock */
	struct samples tick, poll; /* ns, wall time */
	uint64_t ran_max;          /* ns that this thread ran, of one of them */
	uint32_t n_long;           /* that ran longer than LONG_NS */
};

static struct bench bench;

static uint32_t
draw_below(uint32_t n)
{
	uint64_t x = bench.random;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	bench.random = x;
	return (uint32_t)((x >> 32) * n >> 32);
}

/* --- the loop --- */

static uint64_t
ns_since(uint64_t tsc)
{
	return (uint64_t)((double)(rte_rdtsc() - tsc) * bench.ns_per_tick);
}

static void
note(struct samples *s, uint64_t from_tsc, uint64_t from_cpu)
{
	uint64_t took = ns_since(from_tsc), ran = cpu_ns() - from_cpu;

	samples_add(s, took);
	/* The clock of what ran is read outside of the other. */
	if (took < ran)
		ran = took;
	bench.n_long += ran > LONG_NS;
	if (ran > bench.ran_max)
		bench.ran_max = ran;
}

static void
poll_timed(uint64_t now)
{
	uint64_t cpu = cpu_ns(), from = rte_rdtsc();

	if (bench_log_poll(&bench.log, now))
		nf_lb.durable(bench.side.lb, now);
	note(&bench.poll, from, cpu);
}

static void
tick_timed(uint64_t now)
{
	uint64_t cpu = cpu_ns(), from = rte_rdtsc();
	uint32_t next_us = nf_lb.tick(bench.side.lb, now);

	note(&bench.tick, from, cpu);
	if (next_us > 1000)
		next_us = 1000;
	bench.tick_tsc = now + next_us * (bench.log.tsc_per_ms / 1000);
}

static int
burst(uint64_t now)
{
	struct rte_mbuf **m = bench_ring_next(&bench.ring);
	nf_verdict v[BENCH_BURST];
	int failed = 0;

	for (uint32_t i = 0; i < BENCH_BURST; i++)
		bench_from_client(rte_pktmbuf_mtod(m[i], uint8_t *),
			&bench.conn[draw_below(CONNECTIONS)], PACKET_ACK, 1001,
			5001);
	nf_lb.burst(bench.side.lb, m, BENCH_BURST, v, now);
	for (uint32_t i = 0; i < BENCH_BURST; i++)
		failed |= v[i] != NF_TX;
	return failed;
}

static int
loop_once(void)
{
	uint64_t now = rte_rdtsc();
	int failed = burst(now);

	if (now >= bench.tick_tsc)
		tick_timed(now);
	poll_timed(now);
	return failed;
}

/* --- a checkpoint --- */

static int
measure_pause(double *seconds)
{
	const struct stats_log *l = &bench.side.stats.log;
	int failed = 0;

	for (uint32_t i = 0; i < CHECKPOINTS; i++) {
		uint64_t from, had = l->checkpoints;

		/* What is behind wants a checkpoint at once. */
		plog_missed(bench.log.in.log);
		from = now_ns();
		while (l->checkpoints == had)
			failed |= loop_once();
		seconds[i] = (double)(now_ns() - from) / 1e9;
		bench_log_settle(&bench.log);
	}
	return failed;
}

static int
bench_pause(void)
{
	double seconds[CHECKPOINTS];
	char more[500], conditions[500];
	long switched = switches();
	uint32_t most;
	int rc;

	if (samples_init(&bench.tick, 1u << 22) != 0 ||
		samples_init(&bench.poll, 1u << 24) != 0)
		return -1;
	rc = measure_pause(seconds);
	switched = switches() - switched;
	samples_sort(&bench.tick);
	samples_sort(&bench.poll);
	most = samples_at(&bench.tick, 1);
	if (samples_at(&bench.poll, 1) > most)
		most = samples_at(&bench.poll, 1);
	snprintf(more, sizeof(more),
		"\"tick_p50\": %.1f, \"tick_p99.9\": %.1f, \"tick_max\": %.1f, "
		"\"poll_p99.9\": %.1f, \"poll_max\": %.1f, \"wall_max\": %.1f, "
		"\"over_100us\": %u, \"switches\": %ld, \"checkpoint_s\": %.3f, "
		"\"polls\": %u, \"ticks\": %u, ",
		samples_at(&bench.tick, 0.5) / 1e3,
		samples_at(&bench.tick, 0.999) / 1e3,
		samples_at(&bench.tick, 1) / 1e3,
		samples_at(&bench.poll, 0.999) / 1e3,
		samples_at(&bench.poll, 1) / 1e3, most / 1e3, bench.n_long,
		switched, runs_median(seconds, CHECKPOINTS), bench.poll.n,
		bench.tick.n);
	snprintf(conditions, sizeof(conditions),
		"the longest of all ticks and polls during %u checkpoints of "
		"%u connections, by the processor time of the thread, system "
		"calls and interrupts included; the wall times beside it hold "
		"other threads' turns on this core, kernel workers' too, as "
		"often as `switches` says; bursts of 32 packets of random "
		"connections meanwhile; %s; one core",
		CHECKPOINTS, CONNECTIONS, bench_log_mode(&bench.log));
	report(&(struct result){ .name = "log.pause",
		.value = (double)bench.ran_max / 1e3,
		.unit = "us",
		.more = more,
		.conditions = conditions });
	return rc;
}

/* --- recovery --- */

static int
close_all(void)
{
	nf_lb.destroy(bench.side.lb);
	bench.side.lb = NULL;
	bench_log_close(&bench.log);
	return 0;
}

/* As instance.c does it: seconds, or -1. */
static double
recover(void)
{
	uint64_t from = now_ns(), took;

	if (bench_log_open(&bench.log) != 0 ||
		bench_lb_start(&bench.side, &bench.ring, bench.log.in.log, NULL,
			NULL) == 0)
		return -1;
	took = now_ns() - from;
	if (bench.side.stats.log.recovered != CONNECTIONS) {
		fprintf(stderr, "lb_recover: %llu of %u connections are back\n",
			(unsigned long long)bench.side.stats.log.recovered,
			CONNECTIONS);
		return -1;
	}
	/* Not started: nothing is written, the next run finds the same. */
	nf_lb.destroy(bench.side.lb);
	bench.side.lb = NULL;
	bench_log_close(&bench.log);
	return (double)took / 1e9;
}

/* Reading and checking all blocks alone. */
static double
read_only(void)
{
	struct plog_report found;
	uint64_t from = now_ns();

	if (bench_log_open(&bench.log) != 0 ||
		plog_replay(bench.log.in.log, NULL, NULL, &found) != 0)
		return -1;
	bench_log_close(&bench.log);
	return (double)(now_ns() - from) / 1e9;
}

/* Making an empty table alone. */
static double
make_only(void)
{
	uint64_t from = now_ns(), took;

	if (bench_lb_start(&bench.side, &bench.ring, NULL, NULL, NULL) == 0)
		return -1;
	took = now_ns() - from;
	nf_lb.destroy(bench.side.lb);
	bench.side.lb = NULL;
	return (double)took / 1e9;
}

static int
bench_recover(void)
{
	const struct stats_log *l = &bench.side.stats.log;
	double all[RUNS], reading[RUNS], making[RUNS];
	char more[300], conditions[500];

	for (uint32_t i = 0; i < RUNS; i++) {
		all[i] = recover();
		reading[i] = read_only();
		making[i] = make_only();
		if (all[i] < 0 || reading[i] < 0 || making[i] < 0)
			return -1;
	}
	snprintf(more, sizeof(more),
		"\"reading\": %.3f, \"making_tables\": %.3f, "
		"\"records\": %llu, \"connections\": %llu, ",
		runs_median(reading, RUNS), runs_median(making, RUNS),
		(unsigned long long)l->recover_records,
		(unsigned long long)l->recovered);
	snprintf(conditions, sizeof(conditions),
		"open the store, read it by O_DIRECT, replay, make the table "
		"of 1M, link all connections; same process as before, so its "
		"memory has been touched; reading: the store alone, read and "
		"checked; making_tables: an empty table alone; the rest is "
		"replay and linking; store of 256 MiB with what follows a "
		"checkpoint, %s pages, one core",
		bench_eal_pages());
	report(&(struct result){ .name = "log.recover.1M",
		.value = runs_median(all, RUNS),
		.unit = "s",
		.runs = all,
		.repeats = RUNS,
		.more = more,
		.conditions = conditions });
	return 0;
}

/* --- all of it --- */

static int
fill(void)
{
	bench.conn = calloc(CONNECTIONS, sizeof(*bench.conn));
	if (bench.conn == NULL)
		return -1;
	for (uint32_t i = 0; i < CONNECTIONS; i++) {
		uint64_t now = rte_rdtsc();

		bench.conn[i] = bench_conn_make(i);
		if (!bench_handshake(
			    &bench.side, &bench.ring, &bench.conn[i], now)) {
			fprintf(stderr, "lb_recover: connection %u failed\n",
				i);
			return -1;
		}
		if (i % 16 == 0)
			bench_log_poll(&bench.log, now);
	}
	bench_log_settle(&bench.log);
	return 0;
}

static int
start(void)
{
	bench_lb_grant(&bench.side, TABLE);
	if (bench_log_make(&bench.log, &bench.side.grant, &bench.side.stats.log,
		    "lb", STORE, GRANT_DURABILITY_BATCH) != 0 ||
		bench_log_open(&bench.log) != 0 ||
		bench_lb_start(&bench.side, &bench.ring, bench.log.in.log, NULL,
			NULL) == 0)
		return -1;
	instance_log_start(&bench.log.in);
	bench.ns_per_tick = 1e6 / (double)bench.log.tsc_per_ms;
	return fill();
}

int
main(void)
{
	int rc = bench_eal_init("lb_recover", 500);

	bench.random = 88172645463325252ull;
	if (rc == 0)
		rc = bench_ring_init(&bench.ring, "bench");
	if (rc == 0)
		rc = start();
	if (rc == 0)
		rc = bench_pause();
	if (rc == 0)
		rc = close_all();
	if (rc == 0)
		rc = bench_recover();
	if (rc != 0)
		fprintf(stderr, "lb_recover: failed\n");
	if (bench.side.lb != NULL)
		nf_lb.destroy(bench.side.lb);
	bench_log_remove(&bench.log);
	bench_eal_fini();
	return rc != 0;
}
