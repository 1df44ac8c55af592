/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A load balancer on a bench: a grant, an EAL without huge pages, packets
 * made from a description, and a clock that the test moves.
 *
 * What comes out of the balancer is compared byte by byte with a packet made
 * from scratch from the description of what it should be, its checksums
 * computed in full by code that shares nothing with the balancer's.
 */
#ifndef LB_LAB_H
#define LB_LAB_H

#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_mbuf.h>

#include "dataplane/log/plog.h"
#include "dataplane/nf.h"
#include "dataplane/packet.h"

/* The function on the bench: the balancer, unless a test says otherwise. */
#ifndef LAB_NF
#define LAB_NF nf_lb
#endif
extern const struct nf LAB_NF;

#define MAYBE __attribute__((unused)) static

#define CLIENT_MAC  0x0200000000c1ull
#define OWN_MAC     0x020000000001ull /* of the clients' uplink */
#define OWN_MAC_B   0x020000000002ull /* of the backends' uplink */
#define BACKEND_MAC 0x0200000000b0ull /* plus the next hop's index */

#define TSC_HZ 1000000ull /* one microsecond: easy to tell */

struct lab {
	struct grant grant;
	struct nexthops nexthops;
	struct stats stats;
	struct nf_env env;
	void *lb;
	struct plog *log; /* or NULL; set it between grant and start */
	uint64_t now_us;
	unsigned int pool_full;
	struct rte_mbuf *emitted;
	unsigned int n_emitted;
};

static struct lab lab;
static struct rte_mempool *lab_pool;

/* --- descriptions of packets --- */

struct spec {
	const char *src, *dst;
	uint16_t sport, dport;
	uint8_t proto;
	uint8_t flags; /* TCP */
	uint32_t seq, ack;
	uint8_t ttl;
	uint16_t payload; /* bytes of it */
	uint8_t fill;     /* what it begins with; each byte is one more */
	uint64_t smac, dmac;
	bool no_csum; /* UDP */
	bool dont_fragment;
	uint16_t frag; /* IPv4: as in the header, but DF; IPv6 likewise */
	uint32_t frag_id;
	const uint8_t *raw; /* payload instead of `fill` */
};

/* The part that all have; more fields may follow. */
#define SPEC(from, to, from_port, to_port, protocol, ...)            \
	{                                                            \
		.src = (from), .dst = (to), .sport = (from_port),    \
		.dport = (to_port), .proto = (protocol), __VA_ARGS__ \
	}

MAYBE struct ip_addr
lab_addr(const char *text)
{
	struct ip_addr a;
	__be32 v4;

	if (inet_pton(AF_INET, text, &v4) == 1)
		return ip_addr_from_v4(v4);
	ck_assert_int_eq(inet_pton(AF_INET6, text, &a), 1);
	return a;
}

static uint16_t
ref_sum(uint32_t sum, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static void
put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void
put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v);
}

static void
put_mac(uint8_t *p, uint64_t mac)
{
	for (int i = 0; i < 6; i++)
		p[i] = (uint8_t)(mac >> (40 - 8 * i));
}

/* Checksum over l4[0..len) and the pseudo header of the IP header `ip`. */
static uint16_t
ref_l4(const uint8_t *ip, const uint8_t *l4, size_t len, uint8_t proto)
{
	uint32_t sum = proto + (uint32_t)len;

	if (ip[0] >> 4 == 4)
		sum += ref_sum(0, ip + 12, 8);
	else
		sum += ref_sum(0, ip + 8, 32);
	return (uint16_t)~ref_sum(sum, l4, len);
}

static size_t
l4_header(uint8_t proto)
{
	return proto == IPPROTO_TCP ? 20 : proto == IPPROTO_UDP ? 8 : 0;
}

static void
spec_payload(const struct spec *s, uint8_t *at)
{
	for (unsigned int i = 0; i < s->payload; i++)
		at[i] = s->raw ? s->raw[i] : (uint8_t)(s->fill + i);
}

static size_t
spec_l4(const struct spec *s, const uint8_t *ip, uint8_t *l4)
{
	size_t len = l4_header(s->proto) + s->payload;
	uint16_t csum;

	memset(l4, 0, l4_header(s->proto));
	spec_payload(s, l4 + l4_header(s->proto));
	if (s->proto != IPPROTO_TCP && s->proto != IPPROTO_UDP)
		return len;
	put16(l4, s->sport);
	put16(l4 + 2, s->dport);
	if (s->proto == IPPROTO_TCP) {
		put32(l4 + 4, s->seq);
		put32(l4 + 8, s->ack);
		l4[12] = 5 << 4;
		l4[13] = s->flags;
		put16(l4 + 14, 512);
		put16(l4 + 16, ref_l4(ip, l4, len, s->proto));
		return len;
	}
	put16(l4 + 4, (uint32_t)len);
	csum = ref_l4(ip, l4, len, s->proto);
	put16(l4 + 6, s->no_csum ? 0 : csum ? csum : 0xffff);
	return len;
}

static size_t
spec_v4(const struct spec *s, uint8_t *ip, bool later)
{
	size_t len;

	memset(ip, 0, 20);
	ip[0] = 0x45;
	put16(ip + 4, s->frag_id);
	put16(ip + 6, s->frag | (s->dont_fragment ? 0x4000 : 0));
	ip[8] = s->ttl ? s->ttl : 64;
	ip[9] = s->proto;
	inet_pton(AF_INET, s->src, ip + 12);
	inet_pton(AF_INET, s->dst, ip + 16);
	len = s->payload;
	if (later)
		spec_payload(s, ip + 20);
	else
		len = spec_l4(s, ip, ip + 20);
	put16(ip + 2, (uint32_t)(20 + len));
	put16(ip + 10, (uint16_t)~ref_sum(0, ip, 20));
	return 20 + len;
}

static size_t
spec_v6(const struct spec *s, uint8_t *ip, bool later)
{
	size_t ext = s->frag ? 8 : 0, len;

	memset(ip, 0, 48);
	ip[0] = 0x60;
	ip[6] = s->frag ? IPPROTO_FRAGMENT : s->proto;
	ip[7] = s->ttl ? s->ttl : 64;
	inet_pton(AF_INET6, s->src, ip + 8);
	inet_pton(AF_INET6, s->dst, ip + 24);
	if (s->frag) {
		ip[40] = s->proto;
		put16(ip + 42, s->frag);
		put32(ip + 44, s->frag_id);
	}
	len = s->payload;
	if (later)
		spec_payload(s, ip + 40 + ext);
	else
		len = spec_l4(s, ip, ip + 40 + ext);
	put16(ip + 4, (uint32_t)(ext + len));
	return 40 + ext + len;
}

/* An IP packet as described, at `ip`; its length. */
static size_t
spec_ip(const struct spec *s, uint8_t *ip)
{
	bool v6 = strchr(s->src, ':') != NULL;

	if (v6)
		return spec_v6(s, ip, (s->frag & 0xfff8) != 0);
	return spec_v4(s, ip, (s->frag & 0x1fff) != 0);
}

/* The frame as described, at `data`; its length. */
static size_t
spec_frame(const struct spec *s, uint8_t *data)
{
	put_mac(data, s->dmac ? s->dmac : OWN_MAC);
	put_mac(data + 6, s->smac ? s->smac : CLIENT_MAC);
	put16(data + 12, strchr(s->src, ':') ? 0x86dd : 0x0800);
	return PACKET_L3 + spec_ip(s, data + PACKET_L3);
}

MAYBE struct rte_mbuf *
lab_packet(struct spec s)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(lab_pool);
	size_t len;

	ck_assert_ptr_nonnull(m);
	len = spec_frame(&s, rte_pktmbuf_mtod(m, uint8_t *));
	ck_assert_ptr_nonnull(rte_pktmbuf_append(m, (uint16_t)len));
	return m;
}

/* Same bytes as the description? Then 1; else says where not. */
MAYBE int
lab_is(const struct rte_mbuf *m, struct spec s)
{
	const uint8_t *have = rte_pktmbuf_mtod(m, const uint8_t *);
	uint8_t want[2048];
	size_t len = spec_frame(&s, want);

	if (len != rte_pktmbuf_data_len(m)) {
		fprintf(stderr, "length %u, not %zu\n", rte_pktmbuf_data_len(m),
			len);
		return 0;
	}
	for (size_t i = 0; i < len; i++)
		if (have[i] != want[i]) {
			fprintf(stderr, "byte %zu is %02x, not %02x\n", i,
				have[i], want[i]);
			return 0;
		}
	return 1;
}

/* --- the bench --- */

static void
lab_emit(void *ctx, struct rte_mbuf *m)
{
	struct lab *l = ctx;

	rte_pktmbuf_free(l->emitted);
	l->emitted = m;
	l->n_emitted++;
}

MAYBE struct grant_service *
lab_service(const char *addr, uint16_t port, uint8_t proto)
{
	struct grant_service *s = &lab.grant.services[lab.grant.n_services++];

	snprintf(s->name, sizeof(s->name), "s%u", lab.grant.n_services);
	s->addr = lab_addr(addr);
	s->port = htons(port);
	s->proto = proto;
	s->first_backend = lab.grant.n_backends;
	return s;
}

/* A backend of the service added last; its next hop is 10 + its index. */
MAYBE struct grant_backend *
lab_backend(const char *addr, uint16_t port, uint16_t weight)
{
	uint32_t i = lab.grant.n_backends++;
	struct grant_backend *b = &lab.grant.backends[i];
	uint8_t mac[6];

	*b = (struct grant_backend){ .addr = lab_addr(addr),
		.port = htons(port),
		.weight = weight,
		.nexthop = 10 + i };
	put_mac(mac, BACKEND_MAC + 10 + i);
	lab.nexthops.entry[10 + i] = nexthop_pack(mac, 1500);
	lab.grant.services[lab.grant.n_services - 1].n_backends++;
	return b;
}

MAYBE void
lab_snat(const char *addr)
{
	lab.grant.snat[lab.grant.n_snat++] = lab_addr(addr);
}

/* Own the buckets whose bit is set in `mask`, of each eight. */
MAYBE void
lab_own(uint8_t mask)
{
	for (uint32_t b = 0; b < lab.grant.buckets; b++)
		if (mask >> (b % 8) & 1)
			lab.grant.own[b / 64] |= 1ull << (b % 64);
		else
			lab.grant.own[b / 64] &= ~(1ull << (b % 64));
}

/* A grant of all buckets, with nothing in it yet. */
MAYBE void
lab_grant(void)
{
	uint8_t mac[6];

	memset(&lab, 0, sizeof(lab));
	lab.grant.buckets = 128;
	lab_own(0xff);
	lab.grant.steer_seed = 0x5eed;
	lab.grant.max_connections = 1024;
	lab.grant.max_half_open = 512;
	lab.grant.client_uplink = 0;
	lab.grant.backend_uplink = 1;
	lab.grant.timeouts = (struct grant_timeouts){ .syn_ms = 10000,
		.established_ms = 600000,
		.fin_ms = 30000,
		.closed_ms = 5000,
		.udp_new_ms = 10000,
		.udp_ms = 60000 };
	put_mac(mac, OWN_MAC);
	lab.nexthops.entry[0] = nexthop_pack(mac, 1500);
	put_mac(mac, OWN_MAC_B);
	lab.nexthops.entry[1] = nexthop_pack(mac, 1500);
	lab.now_us = 1000000;
}

MAYBE void
lab_start(void)
{
	char why[256] = "";

	lab.pool_full = rte_mempool_avail_count(lab_pool);
	lab.env = (struct nf_env){ .grant = &lab.grant,
		.nexthops = &lab.nexthops,
		.stats = &lab.stats,
		.pool = lab_pool,
		.log = lab.log,
		.tsc_hz = TSC_HZ,
		.emit_ctx = &lab,
		.emit = lab_emit };
	lab.lb = LAB_NF.create(&lab.env, why, sizeof(why));
	ck_assert_msg(lab.lb != NULL, "create: %s", why);
	if (lab.log != NULL)
		plog_start(lab.log);
}

/* One service 10.0.0.80:80/tcp and fd00::80, one backend and SNAT each. */
MAYBE void
lab_simple(uint8_t proto)
{
	lab_grant();
	lab_service("10.0.0.80", 80, proto);
	lab_backend("10.0.1.21", 8080, 1);
	lab_service("fd00::80", 80, proto);
	lab_backend("fd01::21", 8080, 1);
	lab_snat("10.0.0.9");
	lab_snat("fd00::9");
	lab_start();
}

/* End it; whatever was taken from the pool must be back. */
MAYBE void
lab_stop(void)
{
	LAB_NF.destroy(lab.lb);
	rte_pktmbuf_free(lab.emitted);
	lab.emitted = NULL;
	ck_assert_uint_eq(rte_mempool_avail_count(lab_pool), lab.pool_full);
}

MAYBE nf_verdict
lab_send(struct rte_mbuf *m)
{
	nf_verdict v = 0xffff;

	LAB_NF.burst(lab.lb, &m, 1, &v, lab.now_us);
	return v;
}

/* What the loop does for the log. */
MAYBE void
lab_poll(void)
{
	if (lab.log != NULL && plog_poll(lab.log, lab.now_us / 1000))
		LAB_NF.durable(lab.lb, lab.now_us);
}

/* Let `ms` pass, ticking as a loop would. */
MAYBE void
lab_pass(uint64_t ms)
{
	uint64_t until = lab.now_us + ms * 1000;

	while (lab.now_us < until) {
		uint64_t next = lab.now_us + RTE_MIN(ms * 1000, 50000u);

		while (LAB_NF.tick(lab.lb, lab.now_us) == 0)
			lab_poll();
		lab_poll();
		lab.now_us = RTE_MIN(next, until);
	}
	while (LAB_NF.tick(lab.lb, lab.now_us) == 0)
		lab_poll();
	lab_poll();
}

/* The verdict of one packet as described; the packet is freed. */
MAYBE nf_verdict
lab_try(struct spec s)
{
	struct rte_mbuf *m = lab_packet(s);
	nf_verdict v = lab_send(m);

	rte_pktmbuf_free(m);
	return v;
}

/*
 * Send a packet as described, which must be forwarded; its source port, by
 * which the SNAT port becomes known.
 */
MAYBE uint16_t
lab_pass_through(struct spec s)
{
	struct rte_mbuf *m = lab_packet(s);
	struct packet p;
	uint16_t port;

	ck_assert_uint_eq(lab_send(m), NF_TX);
	ck_assert_uint_eq(packet_parse(&p, rte_pktmbuf_mtod(m, uint8_t *),
				  m->data_len, m->pkt_len),
		NF_TX);
	port = ntohs(p.sport);
	rte_pktmbuf_free(m);
	return port;
}

/* A hand-shake over IPv4 from 192.0.2.`host`:port; the SNAT port. */
MAYBE uint16_t
lab_connect(const char *client, uint16_t port, const char *backend)
{
	struct spec c = { .src = client,
		.dst = "10.0.0.80",
		.sport = port,
		.dport = 80,
		.proto = IPPROTO_TCP,
		.flags = PACKET_SYN,
		.seq = 1000 };
	struct spec b = { .src = backend,
		.dst = "10.0.0.9",
		.sport = 8080,
		.proto = IPPROTO_TCP,
		.flags = PACKET_SYN | PACKET_ACK,
		.seq = 5000,
		.ack = 1001 };

	b.dport = lab_pass_through(c);
	lab_pass_through(b);
	c.flags = PACKET_ACK;
	c.seq = 1001;
	c.ack = 5001;
	ck_assert_uint_eq(lab_pass_through(c), b.dport);
	return b.dport;
}

/* Run `suite` in this process, for the EAL does not survive a fork. */
MAYBE int
lab_run(Suite *suite)
{
	char *argv[] = { (char *)"test", (char *)"--no-huge",
		(char *)"--no-pci", (char *)"--no-shconf",
		(char *)"--no-telemetry", (char *)"-m", (char *)"256",
		(char *)"--log-level=4" };
	SRunner *sr = srunner_create(suite);
	int failed;

	if (rte_eal_init(RTE_DIM(argv), argv) < 0)
		return 1;
	lab_pool = rte_pktmbuf_pool_create(
		"lab", 1023, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	if (lab_pool == NULL)
		return 1;
	srunner_set_fork_status(sr, CK_NOFORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	rte_eal_cleanup();
	return failed != 0;
}

#endif
