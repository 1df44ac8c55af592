/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Arbitrary frames: parsed in memory of just their size, then through the
 * load balancer in one burst with a hand-shake before, so that tuples, ICMP
 * quotes and fragments meet a live connection.
 *
 * Input: any number of frames, each behind two bytes: length and kind. Kind
 * bit 0: frame as it is; else behind a valid header for the service (bit 1:
 * IPv6, bit 2: from the backend), so that the fuzzer need not find addresses.
 */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_mbuf.h>

#include "dataplane/nf.h"
#include "dataplane/packet.h"

extern const struct nf nf_lb;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FRAMES 16

static struct grant grant;
static struct nexthops nexthops;
static struct stats stats;
static struct rte_mempool *pool;

static void
emit(void *ctx, struct rte_mbuf *m)
{
	(void)ctx;
	rte_pktmbuf_free(m);
}

static const struct nf_env env = {
	.grant = &grant,
	.nexthops = &nexthops,
	.stats = &stats,
	.tsc_hz = 1000000,
	.emit = emit,
};
static struct nf_env live_env;

static const struct ip_addr addr[2][4] = {
	/* client, VIP, backend, SNAT */
	{ { { 0, 0, IP_ADDR_V4_TAG, RTE_BE32(0xc0000201) } },
		{ { 0, 0, IP_ADDR_V4_TAG, RTE_BE32(0x0a000050) } },
		{ { 0, 0, IP_ADDR_V4_TAG, RTE_BE32(0x0a000115) } },
		{ { 0, 0, IP_ADDR_V4_TAG, RTE_BE32(0x0a000009) } } },
	{ { { RTE_BE32(0x20010db8), 0, 0, RTE_BE32(1) } },
		{ { RTE_BE32(0xfd000000), 0, 0, RTE_BE32(0x80) } },
		{ { RTE_BE32(0xfd010000), 0, 0, RTE_BE32(0x21) } },
		{ { RTE_BE32(0xfd000000), 0, 0, RTE_BE32(9) } } },
};

static void
add_service(uint32_t i, uint8_t proto, int v6)
{
	grant.services[i] = (struct grant_service){ .addr = addr[v6][1],
		.port = RTE_BE16(80),
		.proto = proto,
		.scheduler = i & 1 ? GRANT_SCHED_RR : GRANT_SCHED_LEASTCONN,
		.flags = STEER_F_HASH_SOURCE,
		.first_backend = i,
		.n_backends = 1 };
	grant.backends[i] = (struct grant_backend){ .addr = addr[v6][2],
		.port = RTE_BE16(8080),
		.weight = 1,
		.nexthop = 2 };
}

static void
make_grant(void)
{
	static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 1 };

	grant.buckets = 1;
	grant.own[0] = 1;
	grant.backend_uplink = 1;
	grant.max_connections = 64;
	grant.max_half_open = 8;
	grant.timeouts =
		(struct grant_timeouts){ 1000, 9000, 1000, 1000, 1000, 1000 };
	grant.n_snat = 2;
	grant.snat[0] = addr[0][3];
	grant.snat[1] = addr[1][3];
	grant.n_services = grant.n_backends = 4;
	for (uint32_t i = 0; i < 4; i++)
		add_service(i, i & 1 ? IPPROTO_UDP : IPPROTO_TCP, i / 2);
	for (int i = 0; i < 3; i++)
		nexthops.entry[i] = nexthop_pack(mac, 200);
}

static void
init(void)
{
	char *argv[] = { (char *)"fuzz", (char *)"--no-huge",
		(char *)"--no-pci", (char *)"--no-shconf",
		(char *)"--no-telemetry", (char *)"-m", (char *)"128",
		(char *)"--log-level=4" };

	if (rte_eal_init(RTE_DIM(argv), argv) < 0)
		abort();
	pool = rte_pktmbuf_pool_create(
		"fuzz", 255, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	if (pool == NULL)
		abort();
	make_grant();
	live_env = env;
	live_env.pool = pool;
}

/* The IP header that `kind` asks for; its length. */
static size_t
header(uint8_t *d, uint8_t kind, size_t payload, uint8_t proto)
{
	const int v6 = kind >> 1 & 1, back = kind >> 2 & 1;
	const struct ip_addr *src = &addr[v6][back ? 2 : 0];
	const struct ip_addr *dst = &addr[v6][back ? 3 : 1];
	uint8_t *ip = d + PACKET_L3;

	memset(d, 0, PACKET_L3 + 40);
	packet_put16(d + 12, v6 ? RTE_BE16(0x86dd) : RTE_BE16(0x0800));
	if (v6) {
		ip[0] = 0x60;
		packet_put16(ip + 4, rte_cpu_to_be_16((uint16_t)payload));
		ip[6] = proto;
		ip[7] = 64;
		memcpy(ip + 8, src, 16);
		memcpy(ip + 24, dst, 16);
		return PACKET_L3 + 40;
	}
	ip[0] = 0x45;
	packet_put16(ip + 2, rte_cpu_to_be_16((uint16_t)(20 + payload)));
	packet_put16(ip + 6, kind & 8 ? RTE_BE16(0x2000) : RTE_BE16(0x4000));
	ip[8] = 64;
	ip[9] = proto;
	packet_put32(ip + 12, src->w[3]);
	packet_put32(ip + 16, dst->w[3]);
	return PACKET_L3 + 20;
}

static struct rte_mbuf *
make_packet(uint8_t kind, const uint8_t *data, size_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	uint8_t *d = rte_pktmbuf_mtod(m, uint8_t *);
	size_t at = 0;

	if (!(kind & 1) && len > 0)
		at = header(d, kind, len - 1, data[0]);
	if (at > 0) {
		data++;
		len--;
	}
	memcpy(d + at, data, len);
	rte_pktmbuf_append(m, (uint16_t)(at + len));
	return m;
}

static void
parse_alone(const struct rte_mbuf *m)
{
	size_t len = rte_pktmbuf_data_len(m);
	uint8_t *copy = malloc(len ? len : 1);
	struct packet_inner in;
	struct packet p;

	memcpy(copy, rte_pktmbuf_mtod(m, const void *), len);
	if (packet_parse(&p, copy, (uint32_t)len, (uint32_t)len) == NF_TX &&
		packet_is_icmp_error(&p))
		packet_parse_inner(&p, &in);
	free(copy);
}

static void
run(void *lb, const uint8_t *data, size_t size)
{
	struct rte_mbuf *m[FRAMES];
	nf_verdict v[FRAMES];
	uint64_t now = 1000000;
	uint16_t n = 0;

	while (size >= 2) {
		size_t len = data[0] < size - 2 ? data[0] : size - 2;

		m[n] = make_packet(data[1], data + 2, len);
		parse_alone(m[n++]);
		data += 2 + len;
		size -= 2 + len;
		if (n < FRAMES && size >= 2)
			continue;
		nf_lb.burst(lb, m, n, v, now);
		rte_pktmbuf_free_bulk(m, n);
		now += 700000;
		nf_lb.tick(lb, now);
		n = 0;
	}
}

/* All that it took must come back: packets, connections, ports. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t later = 1ull << 40;
	char why[256];
	void *lb;

	if (pool == NULL)
		init();
	memset(&stats, 0, sizeof(stats));
	lb = nf_lb.create(&live_env, why, sizeof(why));
	if (lb == NULL)
		abort();
	run(lb, data, size);
	for (int i = 0; i < 20; i++)
		nf_lb.tick(lb, later += 10000000);
	if (stats.connections != 0 || stats.half_open != 0)
		abort();
	nf_lb.destroy(lb);
	if (rte_mempool_in_use_count(pool) != 0)
		abort();
	return 0;
}
