/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the load balancer costs per packet, in process.
 *
 * One JSON object per line:
 *
 *   lb.table.{1k,100k,1M,10M}  ns/packet of nf_lb.burst() with that many
 *                              established TCP connections, visited at random,
 *                              both directions mixed
 *   lb.new                     connections/s that a SYN opens, in the steady
 *                              state of a flood: each evicts the oldest
 *                              half-open one
 *   limit.swap                 ns/packet of the same loop around a function
 *                              that swaps MAC and IP addresses and no more
 *
 * Packets are 64-byte frames in mbufs of a ring that is larger than the L2
 * cache. Headers are written anew for every visit, outside of the timed part,
 * a batch of BENCH_GROUP packets at a time, so the headers come from L2 or
 * beyond, as they would from a NIC that writes into the last-level cache.
 * Cycles of each burst are added up; reading the clock (2 per burst of 32) is
 * part of it. Value: the median of RUNS runs; spread: (highest - lowest) /
 * median.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_malloc.h>

#include "dataplane/packet.h"
#include "perf/lib/bench_eal.h"
#include "perf/lib/bench_lb.h"
#include "perf/lib/report.h"

#define RUNS 7

struct bench {
	struct bench_lb side;
	struct bench_ring ring;
	struct bench_conn *conn;
	uint32_t n;
	uint64_t random;
	uint64_t tsc; /* the balancer's clock: stands still */
};

static struct bench bench;

static uint64_t
draw(void)
{
	uint64_t x = bench.random;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return bench.random = x;
}

static uint32_t
draw_below(uint32_t n)
{
	return (uint32_t)((draw() >> 32) * n >> 32);
}

static size_t
start(uint32_t max)
{
	bench_lb_grant(&bench.side, max);
	memset(&bench.side.stats, 0, sizeof(bench.side.stats));
	return bench_lb_start(&bench.side, &bench.ring, NULL, NULL, NULL);
}

/* --- packets --- */

/* Random visits: headers as they would lie there when a NIC is done. */
static struct rte_mbuf **
prepare_visits(void)
{
	struct rte_mbuf **m = bench_ring_next(&bench.ring);

	for (uint32_t i = 0; i < BENCH_GROUP; i++) {
		const struct bench_conn *c = &bench.conn[draw_below(bench.n)];
		uint8_t *d = rte_pktmbuf_mtod(m[i], uint8_t *);

		if (draw() >> 63)
			bench_from_client(d, c, PACKET_ACK, 1001, 5001);
		else
			bench_from_backend(d, c, PACKET_ACK, 5001, 1001);
	}
	return m;
}

typedef void (*burst_fn)(void *state, struct rte_mbuf **pkts, uint16_t n,
	nf_verdict *verdict, uint64_t now_tsc);

/* Cycles that `fn` takes for a group; `failed` counts packets not sent. */
static uint64_t
time_group(burst_fn fn, struct rte_mbuf **m, uint64_t *failed)
{
	nf_verdict v[BENCH_BURST];
	uint64_t sum = 0, from;

	for (uint32_t i = 0; i < BENCH_GROUP; i += BENCH_BURST) {
		from = rte_rdtsc_precise();
		fn(bench.side.lb, m + i, BENCH_BURST, v, bench.tsc);
		sum += rte_rdtsc_precise() - from;
		for (uint32_t k = 0; k < BENCH_BURST; k++)
			*failed += v[k] != NF_TX;
	}
	return sum;
}

static void
swap(void *state, struct rte_mbuf **pkts, uint16_t n, nf_verdict *verdict,
	uint64_t now_tsc)
{
	(void)state;
	(void)now_tsc;
	for (uint16_t i = 0; i < n; i++)
		rte_prefetch0(rte_pktmbuf_mtod(pkts[i], void *));
	for (uint16_t i = 0; i < n; i++) {
		uint8_t *d = rte_pktmbuf_mtod(pkts[i], uint8_t *), mac[6];
		uint32_t addr = packet_get32(d + 26);

		memcpy(mac, d, 6);
		memcpy(d, d + 6, 6);
		memcpy(d + 6, mac, 6);
		packet_put32(d + 26, packet_get32(d + 30));
		packet_put32(d + 30, addr);
		verdict[i] = NF_TX;
	}
}

/* --- filling the table --- */

static int
fill(uint32_t n)
{
	bench.conn = calloc(n, sizeof(*bench.conn));
	if (bench.conn == NULL)
		return -1;
	bench.n = n;
	for (uint32_t i = 0; i < n; i++) {
		bench.conn[i] = bench_conn_make(i);
		if (!bench_handshake(&bench.side, &bench.ring, &bench.conn[i],
			    bench.tsc)) {
			fprintf(stderr, "lb_table: connection %u failed\n", i);
			return -1;
		}
	}
	return 0;
}

/* --- measuring --- */

#define GROUPS 400u

/* Nanoseconds per packet of each run into run[0..RUNS). */
static void
measure(burst_fn fn, struct rte_mbuf **(*prepare)(void), double *run,
	uint64_t *failed)
{
	double ns = 1e9 / (double)rte_get_tsc_hz();

	for (uint32_t i = 0; i < GROUPS / 4; i++)
		time_group(fn, prepare(), failed);
	for (int r = 0; r < RUNS; r++) {
		uint64_t sum = 0;

		for (uint32_t i = 0; i < GROUPS; i++)
			sum += time_group(fn, prepare(), failed);
		run[r] = (double)sum * ns / ((double)GROUPS * BENCH_GROUP);
	}
}

static void
print(const char *name, const char *unit, double *run, const char *more,
	const char *conditions)
{
	char all[600];

	snprintf(all, sizeof(all), "%s; %s pages, %.2f GHz TSC, one core",
		conditions, bench_eal_pages(), (double)rte_get_tsc_hz() / 1e9);
	report(&(struct result){ .name = name,
		.value = runs_median(run, RUNS),
		.unit = unit,
		.runs = run,
		.repeats = RUNS,
		.more = more,
		.conditions = all });
}

static int
bench_table(const char *name, uint32_t n)
{
	char line[32], more[160];
	uint64_t failed = 0;
	double run[RUNS];
	size_t bytes = start(n);

	if (bytes == 0 || fill(n) != 0)
		return -1;
	measure(nf_lb.burst, prepare_visits, run, &failed);
	snprintf(line, sizeof(line), "lb.table.%s", name);
	snprintf(more, sizeof(more),
		"\"bytes_per_connection\": %.1f, \"failed\": %lu, ",
		(double)bytes / n, (unsigned long)failed);
	print(line, "ns/packet", run, more,
		"nf_lb.burst, bursts of 32 64-byte frames, random established "
		"TCP/IPv4 connections, both directions, headers from L2 or "
		"beyond, 24 backends, 16 SNAT addresses, maglev; table as large "
		"as the connections; memory: all that create() took");
	nf_lb.destroy(bench.side.lb);
	free(bench.conn);
	return failed != 0;
}

static uint32_t flood;

static struct rte_mbuf **
prepare_flood(void)
{
	struct rte_mbuf **m = bench_ring_next(&bench.ring);

	for (uint32_t i = 0; i < BENCH_GROUP; i++) {
		struct bench_conn c = bench_conn_make(flood++);

		bench_from_client(rte_pktmbuf_mtod(m[i], uint8_t *), &c,
			PACKET_SYN, 1000, 0);
	}
	return m;
}

static int
bench_new(void)
{
	uint64_t failed = 0;
	double run[RUNS];

	if (start(1u << 20) == 0)
		return -1;
	for (uint32_t i = 0; i < 2 * (1u << 20) / BENCH_GROUP; i++)
		time_group(nf_lb.burst, prepare_flood(), &failed);
	measure(nf_lb.burst, prepare_flood, run, &failed);
	for (int i = 0; i < RUNS; i++)
		run[i] = 1e9 / run[i];
	print("lb.new", "connections/s", run,
		failed ? "\"failed\": 1, " : "\"failed\": 0, ",
		"nf_lb.burst, bursts of 32 SYNs from addresses not seen before, "
		"steady state of a flood: 262144 half-open connections, each "
		"new one evicts the oldest; table of 1M, 24 backends, 16 SNAT "
		"addresses, maglev");
	nf_lb.destroy(bench.side.lb);
	return failed != 0;
}

static int
bench_swap(void)
{
	uint64_t failed = 0;
	double run[RUNS];

	bench.conn = calloc(1, sizeof(*bench.conn));
	bench.n = 1;
	measure(swap, prepare_visits, run, &failed);
	print("limit.swap", "ns/packet", run, "",
		"the loop of lb.table around a swap of MAC and IP addresses");
	free(bench.conn);
	return 0;
}

static int
run(uint32_t most)
{
	static const struct {
		const char *name;
		uint32_t n;
	} size[] = { { "1k", 1000 }, { "100k", 100000 }, { "1M", 1000000 },
		{ "10M", 10000000 } };
	int rc = bench_swap();

	for (unsigned int i = 0; i < RTE_DIM(size); i++)
		if (size[i].n <= most)
			rc |= bench_table(size[i].name, size[i].n);
	return rc | bench_new();
}

/* Optional argument: the most connections to measure with. */
int
main(int argc, char **argv)
{
	uint32_t most =
		argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 10000000;
	int rc;

	bench.random = 88172645463325252ull;
	rc = bench_eal_init("lb_table", most > 1000000 ? 2200 : 500) != 0 ||
	     bench_ring_init(&bench.ring, "bench") != 0 || run(most) != 0;
	if (rc != 0)
		fprintf(stderr, "lb_table: failed, see above\n");
	bench_eal_fini();
	return rc;
}
