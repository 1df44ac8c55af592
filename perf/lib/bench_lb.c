/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/lib/bench_lb.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_malloc.h>

#include "dataplane/packet.h"

#define VIP RTE_BE32(0x0a000050)

int
bench_ring_init(struct bench_ring *r, const char *name)
{
	r->pool = rte_pktmbuf_pool_create(
		name, BENCH_RING + 1023, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, -1);
	r->at = 0;
	if (r->pool == NULL ||
		rte_pktmbuf_alloc_bulk(r->pool, r->mbuf, BENCH_RING) != 0)
		return -1;
	for (uint32_t i = 0; i < BENCH_RING; i++)
		rte_pktmbuf_append(r->mbuf[i], 64);
	return 0;
}

struct rte_mbuf **
bench_ring_next(struct bench_ring *r)
{
	struct rte_mbuf **m = &r->mbuf[r->at];

	r->at = (r->at + BENCH_GROUP) % BENCH_RING;
	return m;
}

/* --- the appliance --- */

static void
add_backends(struct grant *g)
{
	g->n_backends = BENCH_BACKENDS;
	for (uint32_t i = 0; i < BENCH_BACKENDS; i++)
		g->backends[i] = (struct grant_backend){
			.addr = ip_addr_from_v4(
				rte_cpu_to_be_32(0x0a000115 + i)),
			.port = RTE_BE16(8080),
			.weight = 1,
			.nexthop = 2 + i
		};
	g->n_snat = BENCH_SNATS;
	for (uint32_t i = 0; i < BENCH_SNATS; i++)
		g->snat[i] = ip_addr_from_v4(rte_cpu_to_be_32(0x0a000009 + i));
}

void
bench_lb_grant(struct bench_lb *b, uint32_t max)
{
	struct grant *g = &b->grant;
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
		.addr = ip_addr_from_v4(VIP),
		.port = RTE_BE16(80),
		.proto = IPPROTO_TCP,
		.n_backends = BENCH_BACKENDS };
	add_backends(g);
	for (uint32_t i = 0; i < 2 + BENCH_BACKENDS; i++)
		b->nexthops.entry[i] = nexthop_pack(mac, 1500);
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

size_t
bench_lb_start(struct bench_lb *b, struct bench_ring *r, struct plog *log,
	bench_emit emit, void *ctx)
{
	char why[256] = "";
	size_t before = allocated();

	b->env = (struct nf_env){ .grant = &b->grant,
		.nexthops = &b->nexthops,
		.stats = &b->stats,
		.pool = r->pool,
		.log = log,
		.tsc_hz = rte_get_tsc_hz(),
		.emit_ctx = ctx,
		.emit = emit == NULL ? drop_emitted : emit };
	b->lb = nf_lb.create(&b->env, why, sizeof(why));
	if (b->lb == NULL) {
		fprintf(stderr, "%u connections: %s\n",
			b->grant.max_connections, why);
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

void
bench_from_client(uint8_t *d, const struct bench_conn *c, uint8_t flags,
	uint32_t seq, uint32_t ack)
{
	frame(d, c->client, VIP, c->client_port, RTE_BE16(80), flags, seq, ack);
}

void
bench_from_backend(uint8_t *d, const struct bench_conn *c, uint8_t flags,
	uint32_t seq, uint32_t ack)
{
	frame(d, c->backend, c->snat, RTE_BE16(8080), c->snat_port, flags, seq,
		ack);
}

struct bench_conn
bench_conn_make(uint32_t i)
{
	/* 1024 ports of each client address, in an order of no pattern. */
	uint32_t x = i * 2654435761u;

	return (struct bench_conn){
		.client = rte_cpu_to_be_32(0x0b000000 + (x >> 10)),
		.client_port = rte_cpu_to_be_16((uint16_t)(1024 + (x & 1023)))
	};
}

void
bench_conn_learn(struct bench_conn *c, const uint8_t *d)
{
	c->snat = packet_get32(d + 26);
	c->backend = packet_get32(d + 30);
	c->snat_port = packet_get16(d + 34);
}

int
bench_handshake(struct bench_lb *b, struct bench_ring *r, struct bench_conn *c,
	uint64_t now_tsc)
{
	struct rte_mbuf *m = r->mbuf[0];
	uint8_t *d = rte_pktmbuf_mtod(m, uint8_t *);
	nf_verdict v[3];

	bench_from_client(d, c, PACKET_SYN, 1000, 0);
	nf_lb.burst(b->lb, &m, 1, &v[0], now_tsc);
	bench_conn_learn(c, d);
	bench_from_backend(d, c, PACKET_SYN | PACKET_ACK, 5000, 1001);
	nf_lb.burst(b->lb, &m, 1, &v[1], now_tsc);
	bench_from_client(d, c, PACKET_ACK, 1001, 5001);
	nf_lb.burst(b->lb, &m, 1, &v[2], now_tsc);
	return v[0] == NF_TX && v[1] == NF_TX && v[2] == NF_TX;
}
