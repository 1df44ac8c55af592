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
 * a batch of GROUP packets at a time, so the headers come from L2 or beyond,
 * as they would from a NIC that writes into the last-level cache. Cycles of
 * each burst are added up; reading the clock (2 per burst of 32) is part of
 * it. Value: the median of RUNS runs; spread: (highest - lowest) / median.
 */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>

#include "dataplane/nf.h"
#include "dataplane/packet.h"

extern const struct nf nf_lb;

#define BURST    32
#define GROUP    512   /* packets prepared, then timed */
#define RING     16384 /* mbufs, of 2 KiB data room each */
#define RUNS     7
#define BACKENDS 24
#define SNATS    16
#define HUGE     "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"

/* One connection as seen from outside: what packets are made from. */
struct conn {
	uint32_t client;
	uint32_t backend, snat;
	uint16_t client_port, snat_port;
};

struct bench {
	struct grant grant;
	struct nexthops nexthops;
	struct stats stats;
	struct nf_env env;
	struct rte_mempool *pool;
	struct rte_mbuf *ring[RING];
	uint32_t ring_at;
	void *lb;
	struct conn *conn;
	uint32_t n;
	uint64_t random;
	uint64_t tsc; /* the balancer's clock: stands still */
};

static struct bench bench;
static int huge_pages;

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

/* --- the appliance --- */

static void
make_grant(uint32_t max)
{
	struct grant *g = &bench.grant;
	static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 1 };

	memset(g, 0, sizeof(*g));
	g->buckets = 128;
	g->own[0] = g->own[1] = UINT64_MAX;
	g->steer_seed = 0x1234567;
	g->backend_uplink = 1;
	g->max_connections = max;
	g->max_half_open = max > 262144 ? 262144 : max;
	g->timeouts = (struct grant_timeouts){ 60000, 3600000, 60000, 60000,
		60000, 60000 };
	g->n_services = 1;
	g->services[0] = (struct grant_service){ .name = "bench",
		.addr = ip_addr_from_v4(RTE_BE32(0x0a000050)),
		.port = RTE_BE16(80),
		.proto = IPPROTO_TCP,
		.n_backends = BACKENDS };
	g->n_backends = BACKENDS;
	for (uint32_t i = 0; i < BACKENDS; i++)
		g->backends[i] = (struct grant_backend){
			.addr = ip_addr_from_v4(
				rte_cpu_to_be_32(0x0a000115 + i)),
			.port = RTE_BE16(8080),
			.weight = 1,
			.nexthop = 2 + i
		};
	g->n_snat = SNATS;
	for (uint32_t i = 0; i < SNATS; i++)
		g->snat[i] = ip_addr_from_v4(rte_cpu_to_be_32(0x0a000009 + i));
	for (uint32_t i = 0; i < 2 + BACKENDS; i++)
		bench.nexthops.entry[i] = nexthop_pack(mac, 1500);
}

static void
drop_emitted(void *ctx, struct rte_mbuf *m)
{
	(void)ctx;
	rte_pktmbuf_free(m);
}

static size_t
allocated(void)
{
	struct rte_malloc_socket_stats s;
	size_t sum = 0;

	for (int i = 0; i < RTE_MAX_NUMA_NODES; i++)
		if (rte_malloc_get_socket_stats(i, &s) == 0)
			sum += s.heap_allocsz_bytes;
	return sum;
}

static size_t
start(uint32_t max)
{
	char why[256] = "";
	size_t before = allocated();

	make_grant(max);
	memset(&bench.stats, 0, sizeof(bench.stats));
	bench.env = (struct nf_env){ .grant = &bench.grant,
		.nexthops = &bench.nexthops,
		.stats = &bench.stats,
		.pool = bench.pool,
		.tsc_hz = rte_get_tsc_hz(),
		.emit = drop_emitted };
	bench.lb = nf_lb.create(&bench.env, why, sizeof(why));
	if (bench.lb == NULL) {
		fprintf(stderr, "lb_table: %u connections: %s\n", max, why);
		return 0;
	}
	return allocated() - before;
}

/* --- packets --- */

static void
frame(uint8_t *d, uint32_t src, uint32_t dst, uint16_t sport, uint16_t dport,
	uint8_t flags, uint32_t seq, uint32_t ack)
{
	static const uint8_t head[] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 8,
		0, 0x45, 0, 0, 50, 0, 0, 0x40, 0, 64, 6 };

	memcpy(d, head, sizeof(head));
	memset(d + sizeof(head), 0, 64 - sizeof(head));
	packet_put32(d + 26, src);
	packet_put32(d + 30, dst);
	packet_put16(d + 34, sport);
	packet_put16(d + 36, dport);
	packet_put32(d + 38, rte_cpu_to_be_32(seq));
	packet_put32(d + 42, rte_cpu_to_be_32(ack));
	d[46] = 5 << 4;
	d[47] = flags;
	packet_put16(d + 50, 0x1234);
}

static void
frame_client(uint8_t *d, const struct conn *c, uint8_t flags, uint32_t seq,
	uint32_t ack)
{
	frame(d, c->client, bench.grant.services[0].addr.w[3], c->client_port,
		RTE_BE16(80), flags, seq, ack);
}

static void
frame_backend(uint8_t *d, const struct conn *c, uint8_t flags, uint32_t seq,
	uint32_t ack)
{
	frame(d, c->backend, c->snat, RTE_BE16(8080), c->snat_port, flags, seq,
		ack);
}

static struct rte_mbuf **
next_group(void)
{
	struct rte_mbuf **m = &bench.ring[bench.ring_at];

	bench.ring_at = (bench.ring_at + GROUP) % RING;
	return m;
}

/* Random visits: headers as they would lie there when a NIC is done. */
static struct rte_mbuf **
prepare_visits(void)
{
	struct rte_mbuf **m = next_group();

	for (uint32_t i = 0; i < GROUP; i++) {
		const struct conn *c = &bench.conn[draw_below(bench.n)];
		uint8_t *d = rte_pktmbuf_mtod(m[i], uint8_t *);

		if (draw() >> 63)
			frame_client(d, c, PACKET_ACK, 1001, 5001);
		else
			frame_backend(d, c, PACKET_ACK, 5001, 1001);
	}
	return m;
}

typedef void (*burst_fn)(void *state, struct rte_mbuf **pkts, uint16_t n,
	nf_verdict *verdict, uint64_t now_tsc);

/* Cycles that `fn` takes for a group; `failed` counts packets not sent. */
static uint64_t
time_group(burst_fn fn, struct rte_mbuf **m, uint64_t *failed)
{
	nf_verdict v[BURST];
	uint64_t sum = 0, from;

	for (uint32_t i = 0; i < GROUP; i += BURST) {
		from = rte_rdtsc_precise();
		fn(bench.lb, m + i, BURST, v, bench.tsc);
		sum += rte_rdtsc_precise() - from;
		for (uint32_t k = 0; k < BURST; k++)
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

static struct conn
new_conn(uint32_t i)
{
	/* 1024 ports of each client address, in an order of no pattern. */
	uint32_t x = i * 2654435761u;

	return (struct conn){
		.client = rte_cpu_to_be_32(0x0b000000 + (x >> 10)),
		.client_port = rte_cpu_to_be_16((uint16_t)(1024 + (x & 1023)))
	};
}

static int
handshake(struct conn *c)
{
	struct rte_mbuf *m = bench.ring[0];
	uint8_t *d = rte_pktmbuf_mtod(m, uint8_t *);
	nf_verdict v[3];

	frame_client(d, c, PACKET_SYN, 1000, 0);
	nf_lb.burst(bench.lb, &m, 1, &v[0], bench.tsc);
	c->snat = packet_get32(d + 26);
	c->backend = packet_get32(d + 30);
	c->snat_port = packet_get16(d + 34);
	frame_backend(d, c, PACKET_SYN | PACKET_ACK, 5000, 1001);
	nf_lb.burst(bench.lb, &m, 1, &v[1], bench.tsc);
	frame_client(d, c, PACKET_ACK, 1001, 5001);
	nf_lb.burst(bench.lb, &m, 1, &v[2], bench.tsc);
	return v[0] == NF_TX && v[1] == NF_TX && v[2] == NF_TX;
}

static int
fill(uint32_t n)
{
	bench.conn = calloc(n, sizeof(*bench.conn));
	if (bench.conn == NULL)
		return -1;
	bench.n = n;
	for (uint32_t i = 0; i < n; i++) {
		bench.conn[i] = new_conn(i);
		if (!handshake(&bench.conn[i])) {
			fprintf(stderr, "lb_table: connection %u failed\n", i);
			return -1;
		}
	}
	return 0;
}

/* --- measuring --- */

struct result {
	double median, spread;
};

static int
by_value(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static struct result
summary(double *run)
{
	qsort(run, RUNS, sizeof(*run), by_value);
	return (struct result){ run[RUNS / 2],
		(run[RUNS - 1] - run[0]) / run[RUNS / 2] };
}

static struct result
measure(burst_fn fn, struct rte_mbuf **(*prepare)(void), uint32_t groups,
	uint64_t *failed)
{
	double run[RUNS], ns = 1e9 / (double)rte_get_tsc_hz();

	for (uint32_t i = 0; i < groups / 4; i++)
		time_group(fn, prepare(), failed);
	for (int r = 0; r < RUNS; r++) {
		uint64_t sum = 0;

		for (uint32_t i = 0; i < groups; i++)
			sum += time_group(fn, prepare(), failed);
		run[r] = (double)sum * ns / ((double)groups * GROUP);
	}
	return summary(run);
}

static void
print(const char *name, double value, const char *unit, double spread,
	const char *more, const char *conditions)
{
	printf("{\"name\": \"%s\", \"value\": %.1f, \"unit\": \"%s\", "
	       "\"baseline\": null, \"ratio\": null, \"spread\": %.3f, %s"
	       "\"conditions\": \"%s; %s pages, %.2f GHz TSC, one core\"}\n",
		name, value, unit, spread, more, conditions,
		huge_pages ? "2 MiB" : "ordinary (no huge)",
		(double)rte_get_tsc_hz() / 1e9);
	fflush(stdout);
}

static int
bench_table(const char *name, uint32_t n)
{
	char line[32], more[160];
	uint64_t failed = 0;
	struct result r;
	size_t bytes = start(n);

	if (bytes == 0 || fill(n) != 0)
		return -1;
	r = measure(nf_lb.burst, prepare_visits, 400, &failed);
	snprintf(line, sizeof(line), "lb.table.%s", name);
	snprintf(more, sizeof(more),
		"\"bytes_per_connection\": %.1f, \"failed\": %lu, ",
		(double)bytes / n, (unsigned long)failed);
	print(line, r.median, "ns/packet", r.spread, more,
		"nf_lb.burst, bursts of 32 64-byte frames, random established "
		"TCP/IPv4 connections, both directions, headers from L2 or "
		"beyond, 24 backends, 16 SNAT addresses, maglev; table as large "
		"as the connections; memory: all that create() took");
	nf_lb.destroy(bench.lb);
	free(bench.conn);
	return failed != 0;
}

static uint32_t flood;

static struct rte_mbuf **
prepare_flood(void)
{
	struct rte_mbuf **m = next_group();

	for (uint32_t i = 0; i < GROUP; i++) {
		struct conn c = new_conn(flood++);

		frame_client(rte_pktmbuf_mtod(m[i], uint8_t *), &c, PACKET_SYN,
			1000, 0);
	}
	return m;
}

static int
bench_new(void)
{
	uint64_t failed = 0;
	struct result r;

	if (start(1u << 20) == 0)
		return -1;
	for (uint32_t i = 0; i < 2 * (1u << 20) / GROUP; i++)
		time_group(nf_lb.burst, prepare_flood(), &failed);
	r = measure(nf_lb.burst, prepare_flood, 400, &failed);
	print("lb.new", 1e9 / r.median, "connections/s", r.spread,
		failed ? "\"failed\": 1, " : "\"failed\": 0, ",
		"nf_lb.burst, bursts of 32 SYNs from addresses not seen before, "
		"steady state of a flood: 262144 half-open connections, each "
		"new one evicts the oldest; table of 1M, 24 backends, 16 SNAT "
		"addresses, maglev");
	nf_lb.destroy(bench.lb);
	return failed != 0;
}

static int
bench_swap(void)
{
	uint64_t failed = 0;
	struct result r;

	bench.conn = calloc(1, sizeof(*bench.conn));
	bench.n = 1;
	r = measure(swap, prepare_visits, 400, &failed);
	print("limit.swap", r.median, "ns/packet", r.spread, "",
		"the loop of lb.table around a swap of MAC and IP addresses");
	free(bench.conn);
	return 0;
}

/* --- memory --- */

/* Change the kernel's pool by `pages`, beside what others use of it. */
static long
pool_change(long pages)
{
	long had = 0, got = 0;
	FILE *f = fopen(HUGE, "r+");

	if (f == NULL)
		return 0;
	if (fscanf(f, "%ld", &had) == 1) {
		rewind(f);
		fprintf(f, "%ld", had + pages);
		fflush(f);
		rewind(f);
		if (fscanf(f, "%ld", &got) != 1)
			got = had;
	}
	fclose(f);
	return got - had;
}

/* Add `pages`: how many were added, all or none. */
static long
reserve_huge(long pages)
{
	long got = pool_change(pages);

	if (got == pages)
		return got;
	if (got > 0)
		pool_change(-got);
	return 0;
}

static int
init_eal(long mb)
{
	char m[16];
	char *argv[] = { (char *)"lb_table", (char *)"--no-pci",
		(char *)"--no-shconf", (char *)"--no-telemetry",
		(char *)"--log-level=4", (char *)"-m", m,
		huge_pages ? (char *)"--in-memory" : (char *)"--no-huge" };

	snprintf(m, sizeof(m), "%ld", mb);
	return rte_eal_init(RTE_DIM(argv), argv);
}

static int
make_ring(void)
{
	bench.pool = rte_pktmbuf_pool_create(
		"bench", RING + 1023, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, -1);
	if (bench.pool == NULL)
		return -1;
	if (rte_pktmbuf_alloc_bulk(bench.pool, bench.ring, RING) != 0)
		return -1;
	for (uint32_t i = 0; i < RING; i++)
		rte_pktmbuf_append(bench.ring[i], 64);
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
	long mb = most > 1000000 ? 2200 : 500;
	long added = reserve_huge(mb / 2 + 16);
	int rc;

	huge_pages = added > 0;
	bench.random = 88172645463325252ull;
	rc = init_eal(mb) < 0 || make_ring() != 0 || run(most) != 0;
	if (rc != 0)
		fprintf(stderr, "lb_table: failed, see above\n");
	rte_eal_cleanup();
	if (huge_pages)
		pool_change(-added);
	return rc;
}
