/* SPDX-License-Identifier: BSD-3-Clause */
/* Rewriting: packet in, packet out, both directions and families. */
#include "lb_lab.h"

struct ends {
	const char *client, *vip, *snat, *backend;
};

static const struct ends ends[] = {
	{ "192.0.2.1", "10.0.0.80", "10.0.0.9", "10.0.1.21" },
	{ "2001:db8::1", "fd00::80", "fd00::9", "fd01::21" },
};

static struct spec
from_client(const struct ends *e, uint8_t proto)
{
	return (struct spec){ .src = e->client,
		.dst = e->vip,
		.sport = 40000,
		.dport = 80,
		.proto = proto,
		.flags = PACKET_SYN,
		.seq = 1000,
		.payload = 33,
		.fill = 7 };
}

static struct spec
to_backend(const struct ends *e, struct spec s, uint16_t port)
{
	s.src = e->snat;
	s.dst = e->backend;
	s.sport = port;
	s.dport = 8080;
	s.ttl = (uint8_t)((s.ttl ? s.ttl : 64) - 1);
	s.smac = OWN_MAC_B;
	s.dmac = BACKEND_MAC + 10 + (e == &ends[1]);
	return s;
}

static struct spec
from_backend(const struct ends *e, uint8_t proto, uint16_t port)
{
	return (struct spec){ .src = e->backend,
		.dst = e->snat,
		.sport = 8080,
		.dport = port,
		.proto = proto,
		.flags = PACKET_SYN | PACKET_ACK,
		.seq = 7000,
		.ack = 1001,
		.payload = 11,
		.fill = 99,
		.smac = 0x02000000beefull,
		.dmac = OWN_MAC_B };
}

static struct spec
to_client(const struct ends *e, struct spec s)
{
	s.src = e->vip;
	s.dst = e->client;
	s.sport = 80;
	s.dport = 40000;
	s.ttl = (uint8_t)((s.ttl ? s.ttl : 64) - 1);
	s.smac = OWN_MAC;
	s.dmac = CLIENT_MAC;
	return s;
}

static uint16_t
sport_of(const struct rte_mbuf *m, const struct ends *e)
{
	size_t l4 = e == &ends[1] ? PACKET_L3 + 40 : PACKET_L3 + 20;
	const uint8_t *at = rte_pktmbuf_mtod(m, const uint8_t *) + l4;

	return (uint16_t)(at[0] << 8 | at[1]);
}

START_TEST(test_both_ways)
{
	const struct ends *e = &ends[_i & 1];
	const uint8_t proto = _i & 2 ? IPPROTO_UDP : IPPROTO_TCP;
	struct rte_mbuf *m;
	struct spec s;
	uint16_t port;

	lab_simple(proto);
	s = from_client(e, proto);
	m = lab_packet(s);
	ck_assert_uint_eq(lab_send(m), NF_TX);
	port = sport_of(m, e);
	ck_assert_uint_ge(port, 1024);
	ck_assert(lab_is(m, to_backend(e, s, port)));
	rte_pktmbuf_free(m);

	s = from_backend(e, proto, port);
	m = lab_packet(s);
	ck_assert_uint_eq(lab_send(m), NF_TX);
	ck_assert(lab_is(m, to_client(e, s)));
	rte_pktmbuf_free(m);

	ck_assert_uint_eq(lab.stats.connections, 1);
	ck_assert_uint_eq(lab.stats.opened, 1);
	ck_assert_uint_eq(lab.stats.service[_i & 1].packets, 2);
	ck_assert_uint_gt(lab.stats.service[_i & 1].bytes, 100);
	lab_stop();
}
END_TEST

/* The low bits of the SNAT port are the bucket that the client hashed to. */
START_TEST(test_port_is_bucket)
{
	struct steer_target target = { .mask = 127 };

	lab_simple(IPPROTO_TCP);
	for (uint16_t i = 0; i < 200; i++) {
		struct spec s = from_client(&ends[0], IPPROTO_TCP);
		struct steer_tuple t = { .src = lab_addr(s.src),
			.dst = lab_addr(s.dst),
			.dport = htons(80),
			.proto = IPPROTO_TCP };
		uint16_t port;

		s.sport = (uint16_t)(20000 + i);
		t.sport = htons(s.sport);
		port = lab_pass_through(s);
		ck_assert_uint_eq(port & 127,
			steer_bucket(&t, lab.grant.steer_seed, &target));
	}
	ck_assert_uint_eq(lab.stats.connections, 200);
	lab_stop();
}
END_TEST

START_TEST(test_udp_without_checksum)
{
	struct spec s = from_client(&ends[0], IPPROTO_UDP);
	struct rte_mbuf *m;

	lab_simple(IPPROTO_UDP);
	s.no_csum = true;
	m = lab_packet(s);
	ck_assert_uint_eq(lab_send(m), NF_TX);
	ck_assert(lab_is(m, to_backend(&ends[0], s, sport_of(m, &ends[0]))));
	rte_pktmbuf_free(m);
	lab_stop();
}
END_TEST

/*
 * Every value that a word of payload can have: all checksums come by, the
 * zero ones too, going in and coming out.
 */
START_TEST(test_every_checksum)
{
	const struct ends *e = &ends[_i & 1];
	const uint8_t proto = _i & 2 ? IPPROTO_UDP : IPPROTO_TCP;
	struct spec s = from_client(e, proto);
	struct rte_mbuf *m;
	uint8_t word[2];
	uint16_t port;

	lab_simple(proto);
	port = lab_pass_through(s);
	s.payload = 2;
	s.raw = word;
	for (uint32_t v = 0; v < 65536; v++) {
		put16(word, v);
		m = lab_packet(s);
		ck_assert_uint_eq(lab_send(m), NF_TX);
		ck_assert(lab_is(m, to_backend(e, s, port)));
		rte_pktmbuf_free(m);
	}
	lab_stop();
}
END_TEST

START_TEST(test_ttl)
{
	struct spec s = from_client(&ends[_i], IPPROTO_UDP);

	lab_simple(IPPROTO_UDP);
	s.ttl = 1;
	ck_assert_uint_eq(lab_try(s), NF_DROP(NF_DROP_TTL));
	s.ttl = 2;
	ck_assert_uint_eq(lab_try(s), NF_TX);
	lab_stop();
}
END_TEST

/* Many packets of many kinds in one burst, duplicates of a new one too. */
START_TEST(test_burst)
{
	struct rte_mbuf *m[NF_BURST_MAX];
	nf_verdict v[NF_BURST_MAX];
	uint16_t port0 = 0;

	lab_simple(IPPROTO_TCP);
	for (int i = 0; i < NF_BURST_MAX; i++) {
		struct spec s = from_client(&ends[i & 1], IPPROTO_TCP);

		s.sport = (uint16_t)(40000 + i / 4);
		m[i] = lab_packet(s);
	}
	nf_lb.burst(lab.lb, m, NF_BURST_MAX, v, lab.now_us);
	for (int i = 0; i < NF_BURST_MAX; i++) {
		const struct ends *e = &ends[i & 1];
		struct spec s = from_client(e, IPPROTO_TCP);

		s.sport = (uint16_t)(40000 + i / 4);
		ck_assert_uint_eq(v[i], NF_TX);
		ck_assert(lab_is(m[i], to_backend(e, s, sport_of(m[i], e))));
		if (i % 4 == 0)
			port0 = sport_of(m[i], e);
		if (i % 4 == 2)
			ck_assert_uint_eq(sport_of(m[i], e), port0);
	}
	rte_pktmbuf_free_bulk(m, NF_BURST_MAX);
	ck_assert_uint_eq(lab.stats.connections, NF_BURST_MAX / 2);
	lab_stop();
}
END_TEST

struct stray {
	struct spec s;
	nf_verdict v;
};

#define DROP_NO_CONNECTION NF_DROP(NF_DROP_OWN + 0)

#define CLIENT "192.0.2.1"
#define VIP    "10.0.0.80"
#define TCP    IPPROTO_TCP

static const struct stray strays[] = {
	/* to no service: other address, port, protocol */
	{ SPEC(CLIENT, "10.0.0.81", 1, 80, TCP, .flags = PACKET_SYN),
		NF_DROP(NF_DROP_NOT_OURS) },
	{ SPEC(CLIENT, VIP, 1, 81, TCP, .flags = PACKET_SYN),
		NF_DROP(NF_DROP_NOT_OURS) },
	{ SPEC(CLIENT, VIP, 1, 80, IPPROTO_UDP, .flags = 0),
		NF_DROP(NF_DROP_NOT_OURS) },
	{ SPEC(CLIENT, VIP, 0, 0, 47, .payload = 30),
		NF_DROP(NF_DROP_NOT_OURS) },
	/* segments that open nothing */
	{ SPEC(CLIENT, VIP, 1, 80, TCP, .flags = PACKET_ACK),
		DROP_NO_CONNECTION },
	{ SPEC(CLIENT, VIP, 1, 80, TCP, .flags = PACKET_RST),
		DROP_NO_CONNECTION },
	{ SPEC(CLIENT, VIP, 1, 80, TCP, .flags = PACKET_SYN | PACKET_FIN),
		DROP_NO_CONNECTION },
	{ SPEC(CLIENT, VIP, 1, 80, TCP, .flags = PACKET_SYN | PACKET_ACK),
		DROP_NO_CONNECTION },
	/* a reply to nobody */
	{ SPEC("10.0.1.21", "10.0.0.9", 8080, 5000, TCP, .flags = PACKET_ACK),
		DROP_NO_CONNECTION },
	/* fragments where there is no hash by source */
	{ SPEC(CLIENT, VIP, 1, 80, TCP, .flags = PACKET_SYN, .frag = 0x2000),
		NF_DROP(NF_DROP_FRAGMENT) },
	{ SPEC(CLIENT, VIP, 1, 80, TCP, .frag = 100, .payload = 40),
		NF_DROP(NF_DROP_FRAGMENT) },
	{ SPEC("2001:db8::1", "fd00::80", 1, 80, TCP, .flags = PACKET_SYN,
		  .frag = 1),
		NF_DROP(NF_DROP_FRAGMENT) },
	/* echo requests are the kernel's */
	{ SPEC(CLIENT, VIP, 0, 0, IPPROTO_ICMP, .payload = 30, .fill = 8),
		NF_DROP(NF_DROP_NOT_OURS) },
};

START_TEST(test_strays)
{
	lab_simple(IPPROTO_TCP);
	ck_assert_uint_eq(lab_try(strays[_i].s), strays[_i].v);
	ck_assert_uint_eq(lab.stats.connections, 0);
	ck_assert_uint_eq(lab.n_emitted, 0);
	lab_stop();
}
END_TEST

/* Buckets of other instances: refused both ways, counted. */
START_TEST(test_misdirected)
{
	struct spec reply = SPEC("10.0.1.21", "10.0.0.9", 8080, 5001,
		IPPROTO_TCP, .flags = PACKET_ACK);
	unsigned int ours = 0, others = 0;

	lab_grant();
	lab_service("10.0.0.80", 80, IPPROTO_TCP);
	lab_backend("10.0.1.21", 8080, 1);
	lab_snat("10.0.0.9");
	lab_own(0x55);
	lab_start();
	for (int i = 0; i < 200; i++) {
		struct spec s = from_client(&ends[0], IPPROTO_TCP);
		nf_verdict v;

		s.sport = (uint16_t)(1000 + i);
		v = lab_try(s);
		ours += v == NF_TX;
		others += v == NF_DROP(NF_DROP_MISDIRECTED);
	}
	ck_assert_uint_eq(ours + others, 200);
	ck_assert_uint_gt(ours, 50);
	ck_assert_uint_gt(others, 50);
	ck_assert_uint_eq(lab.stats.misdirected, others);
	ck_assert_uint_eq(lab_try(reply), NF_DROP(NF_DROP_MISDIRECTED));
	lab_stop();
}
END_TEST

/* Where a reply goes now. */
static void
replies_go_to(uint16_t port, uint64_t mac)
{
	struct spec s = from_backend(&ends[0], IPPROTO_UDP, port), r;
	struct rte_mbuf *m = lab_packet(s);

	ck_assert_uint_eq(lab_send(m), NF_TX);
	r = to_client(&ends[0], s);
	r.dmac = mac;
	ck_assert(lab_is(m, r));
	rte_pktmbuf_free(m);
}

/*
 * Replies go to the MAC address that the client's packets come from: its
 * router may change. One packet, which anybody may forge, changes nothing,
 * nor do several that the client's own come between.
 */
START_TEST(test_client_mac)
{
	struct spec s = from_client(&ends[0], IPPROTO_UDP), other = s;
	uint64_t mac;
	uint16_t port;

	lab_simple(IPPROTO_UDP);
	port = lab_pass_through(s);
	mac = CLIENT_MAC;
	other.smac = 0x020000aa55aaull;
	for (int i = 0; i < 3; i++) {
		lab_pass_through(other);
		replies_go_to(port, mac);
		lab_pass_through(s);
	}
	lab_pass_through(other);
	lab_pass_through(other);
	replies_go_to(port, other.smac);
	lab_stop();
}
END_TEST

START_TEST(test_no_nexthop)
{
	struct spec s = from_client(&ends[0], IPPROTO_UDP);

	lab_simple(IPPROTO_UDP);
	lab_pass_through(s);
	lab.nexthops.entry[10] = 0;
	ck_assert_uint_eq(lab_try(s), NF_DROP(NF_DROP_OWN + 4));
	s.sport++;
	ck_assert_uint_eq(lab_try(s), NF_DROP(NF_DROP_OWN + 1));
	lab_stop();
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("lb_nat");
	TCase *tc = tcase_create("rewriting");

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, test_both_ways, 0, 4);
	tcase_add_test(tc, test_port_is_bucket);
	tcase_add_test(tc, test_udp_without_checksum);
	tcase_add_loop_test(tc, test_every_checksum, 0, 4);
	tcase_add_loop_test(tc, test_ttl, 0, 2);
	tcase_add_test(tc, test_burst);
	tcase_add_loop_test(tc, test_strays, 0, RTE_DIM(strays));
	tcase_add_test(tc, test_misdirected);
	tcase_add_test(tc, test_client_mac);
	tcase_add_test(tc, test_no_nexthop);
	suite_add_tcase(suite, tc);
	return lab_run(suite);
}
