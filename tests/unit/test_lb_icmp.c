/* SPDX-License-Identifier: BSD-3-Clause */
/* ICMP errors, both ways and both families; path MTU; fragments. */
#include "lb_lab.h"

struct ends {
	const char *client, *vip, *snat, *backend, *router;
	uint8_t icmp;
};

static const struct ends ends[] = {
	{ "192.0.2.1", "10.0.0.80", "10.0.0.9", "10.0.1.21", "198.51.100.7",
		IPPROTO_ICMP },
	{ "2001:db8::1", "fd00::80", "fd00::9", "fd01::21", "2001:db8:ff::7",
		IPPROTO_ICMPV6 },
};

#define DROP_TOO_BIG    NF_DROP(NF_DROP_OWN + 5)
#define DROP_ICMP       NF_DROP(NF_DROP_OWN + 6)
#define DROP_NO_NEXTHOP NF_DROP(NF_DROP_OWN + 4)

/*
 * An ICMP error that quotes `quoted`, cut to `cut` bytes of its L4: into
 * `icmp`, checksum included; its length.
 */
static uint16_t
make_error(const struct ends *e, const char *src, const char *dst,
	uint8_t *icmp, struct spec quoted, size_t cut, uint8_t type,
	uint8_t code)
{
	uint8_t ip[2048], pseudo[40] = { 0x60 };
	bool v6 = e->icmp == IPPROTO_ICMPV6;
	size_t len = (v6 ? 40 : 20) + cut;

	ck_assert_uint_ge(spec_ip(&quoted, ip), len);
	memset(icmp, 0, 8);
	icmp[0] = type;
	icmp[1] = code;
	put16(icmp + 6, 1400);
	memcpy(icmp + 8, ip, len);
	len += 8;
	if (!v6) {
		put16(icmp + 2, (uint16_t)~ref_sum(0, icmp, len));
		return (uint16_t)len;
	}
	inet_pton(AF_INET6, src, pseudo + 8);
	inet_pton(AF_INET6, dst, pseudo + 24);
	put16(icmp + 2, ref_l4(pseudo, icmp, len, IPPROTO_ICMPV6));
	return (uint16_t)len;
}

static struct spec
client_packet(const struct ends *e, uint8_t proto)
{
	return (struct spec)SPEC(e->client, e->vip, 40000, 80, proto,
		.flags = PACKET_SYN, .seq = 5, .payload = 60, .fill = 3);
}

static struct spec
sent_to_backend(const struct ends *e, uint8_t proto, uint16_t port)
{
	struct spec s = client_packet(e, proto);

	s.src = e->snat;
	s.dst = e->backend;
	s.sport = port;
	s.dport = 8080;
	return s;
}

static struct spec
sent_by_backend(const struct ends *e, uint8_t proto, uint16_t port)
{
	return (struct spec)SPEC(e->backend, e->snat, 8080, port, proto,
		.flags = PACKET_ACK, .seq = 9, .payload = 60, .fill = 77);
}

static struct spec
sent_to_client(const struct ends *e, uint8_t proto)
{
	return (struct spec)SPEC(e->vip, e->client, 80, 40000, proto,
		.flags = PACKET_ACK, .seq = 9, .payload = 60, .fill = 77);
}

static const size_t cuts[] = { 8, 12, 16, 18, 20, 21, 60 };

/* A router before the backend, or the backend: the client is told. */
START_TEST(test_from_backend_side)
{
	const struct ends *e = &ends[_i & 1];
	const uint8_t proto = _i & 2 ? IPPROTO_UDP : IPPROTO_TCP;
	const char *from[] = { e->router, e->backend };
	uint8_t in[256], out[256];
	uint16_t port;

	lab_simple(proto);
	port = lab_pass_through(client_packet(e, proto));
	for (unsigned int k = 0; k < 2 * RTE_DIM(cuts); k++) {
		size_t cut = cuts[k / 2];
		struct spec s = SPEC(from[k & 1], e->snat, 0, 0, e->icmp,
			.raw = in, .ttl = 50);
		struct spec want =
			SPEC(e->vip, e->client, 0, 0, e->icmp, .raw = out,
				.ttl = 49, .smac = OWN_MAC, .dmac = CLIENT_MAC);
		struct rte_mbuf *m;

		s.payload = make_error(e, s.src, s.dst, in,
			sent_to_backend(e, proto, port), cut, 3, 1);
		want.payload = make_error(e, want.src, want.dst, out,
			client_packet(e, proto), cut, 3, 1);
		m = lab_packet(s);
		ck_assert_uint_eq(lab_send(m), NF_TX);
		ck_assert_msg(lab_is(m, want), "cut at %zu", cut);
		rte_pktmbuf_free(m);
	}
	lab_stop();
}
END_TEST

/* A router before the client: the backend is told. */
START_TEST(test_from_client_side)
{
	const struct ends *e = &ends[_i & 1];
	const uint8_t proto = _i & 2 ? IPPROTO_UDP : IPPROTO_TCP;
	uint8_t in[256], out[256];
	uint16_t port;

	lab_simple(proto);
	port = lab_pass_through(client_packet(e, proto));
	for (unsigned int k = 0; k < RTE_DIM(cuts); k++) {
		struct spec s =
			SPEC(e->router, e->vip, 0, 0, e->icmp, .raw = in);
		struct spec want = SPEC(e->snat, e->backend, 0, 0, e->icmp,
			.raw = out, .ttl = 63, .smac = OWN_MAC_B,
			.dmac = BACKEND_MAC + 10 + (e == &ends[1]));
		struct rte_mbuf *m;

		s.payload = make_error(e, s.src, s.dst, in,
			sent_to_client(e, proto), cuts[k], 3, 4);
		want.payload = make_error(e, want.src, want.dst, out,
			sent_by_backend(e, proto, port), cuts[k], 3, 4);
		m = lab_packet(s);
		ck_assert_uint_eq(lab_send(m), NF_TX);
		ck_assert_msg(lab_is(m, want), "cut at %zu", cuts[k]);
		rte_pktmbuf_free(m);
	}
	lab_stop();
}
END_TEST

/*
 * Half a quoted TCP checksum cannot be mended: it stays, and the error's own
 * checksum holds nevertheless.
 */
START_TEST(test_half_a_checksum)
{
	const struct ends *e = &ends[0];
	struct spec s = SPEC(e->router, e->snat, 0, 0, e->icmp, .ttl = 9);
	const uint8_t *icmp;
	struct rte_mbuf *m;
	uint8_t in[256];
	uint16_t port;

	lab_simple(IPPROTO_TCP);
	port = lab_pass_through(client_packet(e, IPPROTO_TCP));
	s.raw = in;
	s.payload = make_error(e, s.src, s.dst, in,
		sent_to_backend(e, IPPROTO_TCP, port), 17, 3, 3);
	m = lab_packet(s);
	ck_assert_uint_eq(lab_send(m), NF_TX);
	icmp = rte_pktmbuf_mtod_offset(m, const uint8_t *, PACKET_L3 + 20);
	ck_assert_uint_eq(ref_sum(0, icmp, s.payload), 0xffff);
	ck_assert_uint_eq(icmp[8 + 20 + 16], in[8 + 20 + 16]);
	rte_pktmbuf_free(m);
	lab_stop();
}
END_TEST

/* Quoted UDP without a checksum keeps none. */
START_TEST(test_no_checksum)
{
	const struct ends *e = &ends[0];
	struct spec q, s = SPEC(e->router, e->snat, 0, 0, e->icmp, .ttl = 9);
	uint8_t in[256], out[256];
	struct rte_mbuf *m;
	uint16_t port;

	lab_simple(IPPROTO_UDP);
	port = lab_pass_through(client_packet(e, IPPROTO_UDP));
	q = sent_to_backend(e, IPPROTO_UDP, port);
	q.no_csum = true;
	s.raw = in;
	s.payload = make_error(e, s.src, s.dst, in, q, 8, 3, 3);
	m = lab_packet(s);
	ck_assert_uint_eq(lab_send(m), NF_TX);
	q = client_packet(e, IPPROTO_UDP);
	q.no_csum = true;
	s = (struct spec)SPEC(e->vip, e->client, 0, 0, e->icmp, .raw = out,
		.ttl = 8, .smac = OWN_MAC, .dmac = CLIENT_MAC);
	s.payload = make_error(e, s.src, s.dst, out, q, 8, 3, 3);
	ck_assert(lab_is(m, s));
	rte_pktmbuf_free(m);
	lab_stop();
}
END_TEST

/* Errors about nothing of ours, or not sent to whom they quote. */
START_TEST(test_unknown)
{
	const struct ends *e = &ends[_i];
	struct spec s = SPEC(e->router, e->snat, 0, 0, e->icmp, .ttl = 9);
	struct spec q;
	uint8_t in[256];
	uint16_t port;

	lab_simple(IPPROTO_TCP);
	port = lab_pass_through(client_packet(e, IPPROTO_TCP));
	s.raw = in;
	q = sent_to_backend(e, IPPROTO_TCP, (uint16_t)(port + 128));
	s.payload = make_error(e, s.src, s.dst, in, q, 20, 3, 1);
	ck_assert_uint_eq(lab_try(s), DROP_ICMP);
	q = sent_to_backend(e, IPPROTO_UDP, port);
	s.payload = make_error(e, s.src, s.dst, in, q, 20, 3, 1);
	ck_assert_uint_eq(lab_try(s), DROP_ICMP);
	q = sent_to_backend(e, IPPROTO_TCP, port);
	s.dst = e->vip;
	s.payload = make_error(e, s.src, s.dst, in, q, 20, 3, 1);
	ck_assert_uint_eq(lab_try(s), DROP_ICMP);
	s.dst = e->snat;
	s.payload = make_error(e, s.src, s.dst, in, q, 20, 3, 1);
	s.ttl = 1;
	ck_assert_uint_eq(lab_try(s), NF_DROP(NF_DROP_TTL));
	s.ttl = 2;
	lab.nexthops.entry[0] = 0;
	ck_assert_uint_eq(lab_try(s), DROP_NO_NEXTHOP);
	lab_stop();
}
END_TEST

/* --- path MTU --- */

/* The answer to `big`, from whom it was sent to, quoting it. */
static struct spec
expect_answer(const struct ends *e, const struct spec *big, uint8_t *icmp,
	size_t quote, uint16_t mtu)
{
	struct spec a = SPEC(big->dst, big->src, 0, 0, e->icmp, .raw = icmp,
		.ttl = 64, .smac = big->dmac ? big->dmac : OWN_MAC,
		.dmac = big->smac ? big->smac : CLIENT_MAC);
	bool v6 = e->icmp == IPPROTO_ICMPV6;

	a.payload = make_error(e, a.src, a.dst, icmp, *big,
		quote - (v6 ? 40 : 20), v6 ? 2 : 3, v6 ? 0 : 4);
	put16(icmp + 2, 0);
	put16(icmp + 6, mtu);
	if (v6) {
		uint8_t pseudo[40] = { 0x60 };

		inet_pton(AF_INET6, a.src, pseudo + 8);
		inet_pton(AF_INET6, a.dst, pseudo + 24);
		put16(icmp + 2,
			ref_l4(pseudo, icmp, a.payload, IPPROTO_ICMPV6));
	} else {
		put16(icmp + 2, (uint16_t)~ref_sum(0, icmp, a.payload));
	}
	return a;
}

START_TEST(test_too_big_to_backend)
{
	const struct ends *e = &ends[_i];
	struct spec big = client_packet(e, IPPROTO_UDP);
	uint8_t icmp[2048], mac[6] = { 2 };
	size_t ip = _i ? 40 : 20;

	lab_simple(IPPROTO_UDP);
	lab.nexthops.entry[10] = nexthop_pack(mac, 1400);
	lab.nexthops.entry[11] = nexthop_pack(mac, 1400);
	big.payload = (uint16_t)(1400 - ip - 8);
	big.dont_fragment = !_i;
	ck_assert_uint_eq(lab_try(big), NF_TX);
	big.payload++;
	ck_assert_uint_eq(lab_try(big), DROP_TOO_BIG);
	ck_assert_uint_eq(lab.n_emitted, 1);
	ck_assert(lab_is(lab.emitted,
		expect_answer(e, &big, icmp, _i ? 1232 : 548, 1400)));
	lab_stop();
}
END_TEST

START_TEST(test_too_big_to_client)
{
	const struct ends *e = &ends[_i];
	uint8_t icmp[2048], mac[6] = { 2 };
	struct spec big;
	uint16_t port;

	lab_simple(IPPROTO_UDP);
	port = lab_pass_through(client_packet(e, IPPROTO_UDP));
	lab.nexthops.entry[0] = nexthop_pack(mac, 1300);
	big = sent_by_backend(e, IPPROTO_UDP, port);
	big.payload = 1300;
	big.dont_fragment = !_i;
	ck_assert_uint_eq(lab_try(big), DROP_TOO_BIG);
	ck_assert_uint_eq(lab.n_emitted, 1);
	ck_assert(lab_is(lab.emitted,
		expect_answer(e, &big, icmp, _i ? 1232 : 548, 1300)));
	lab_stop();
}
END_TEST

/* May be fragmented, but not by us: dropped with no answer. */
START_TEST(test_too_big_without_df)
{
	struct spec big = client_packet(&ends[0], IPPROTO_UDP);

	lab_simple(IPPROTO_UDP);
	big.payload = 1600;
	ck_assert_uint_eq(lab_try(big), DROP_TOO_BIG);
	ck_assert_uint_eq(lab.n_emitted, 0);
	lab_stop();
}
END_TEST

START_TEST(test_answers_are_limited)
{
	struct spec big = client_packet(&ends[0], IPPROTO_UDP);

	lab_simple(IPPROTO_UDP);
	big.payload = 1600;
	big.dont_fragment = true;
	for (int i = 0; i < 1000; i++)
		ck_assert_uint_eq(lab_try(big), DROP_TOO_BIG);
	ck_assert_uint_eq(lab.n_emitted, 64);
	lab.now_us += 10000;
	for (int i = 0; i < 100; i++)
		lab_try(big);
	ck_assert_uint_eq(lab.n_emitted, 74);
	lab_stop();
}
END_TEST

/* --- fragments --- */

static void
start_hash_source(void)
{
	lab_simple(IPPROTO_UDP);
	nf_lb.destroy(lab.lb);
	lab.grant.services[0].flags = STEER_F_HASH_SOURCE;
	lab.grant.services[1].flags = STEER_F_HASH_SOURCE;
	lab_start();
}

static struct spec
later_fragment(struct spec s, uint16_t offset, bool v6)
{
	s.frag = v6 ? offset : offset / 8;
	s.payload = 48;
	s.fill = 200;
	return s;
}

/* First fragments as whole packets, the others by addresses alone. */
START_TEST(test_fragments)
{
	const struct ends *e = &ends[_i];
	struct spec first = client_packet(e, IPPROTO_UDP), later, reply;
	struct spec want;
	struct rte_mbuf *m;
	uint16_t port;

	start_hash_source();
	first.frag = _i ? 1 : 0x2000;
	first.frag_id = 4711;
	first.payload = 56;
	later = later_fragment(first, 64, _i);
	ck_assert_uint_eq(lab_try(later), NF_DROP(NF_DROP_FRAGMENT));
	port = lab_pass_through(first);

	want = later;
	want.src = e->snat;
	want.dst = e->backend;
	want.ttl = 63;
	want.smac = OWN_MAC_B;
	want.dmac = BACKEND_MAC + 10 + (unsigned int)_i;
	m = lab_packet(later);
	ck_assert_uint_eq(lab_send(m), NF_TX);
	ck_assert(lab_is(m, want));
	rte_pktmbuf_free(m);

	reply = sent_by_backend(e, IPPROTO_UDP, port);
	reply.frag = first.frag;
	reply.frag_id = 815;
	reply.payload = 56;
	lab_pass_through(reply);
	later = later_fragment(reply, 64, _i);
	want = later;
	want.src = e->vip;
	want.dst = e->client;
	want.ttl = 63;
	want.smac = OWN_MAC;
	want.dmac = CLIENT_MAC;
	m = lab_packet(later);
	ck_assert_uint_eq(lab_send(m), NF_TX);
	ck_assert(lab_is(m, want));
	rte_pktmbuf_free(m);

	/* Many ids, for some of them share the first one's place. */
	for (uint32_t i = 1; i < 20000; i++) {
		later.frag_id = reply.frag_id + i;
		ck_assert_uint_eq(lab_try(later), NF_DROP(NF_DROP_FRAGMENT));
	}
	later.frag_id = reply.frag_id;
	ck_assert_uint_eq(lab_try(later), NF_TX);
	lab.now_us += 2500000;
	ck_assert_uint_eq(lab_try(later), NF_DROP(NF_DROP_FRAGMENT));
	lab_stop();
}
END_TEST

/* In one burst, and of a connection that is gone. */
START_TEST(test_fragment_of_the_dead)
{
	struct spec first = client_packet(&ends[0], IPPROTO_UDP);
	struct rte_mbuf *m[2];
	nf_verdict v[2];

	start_hash_source();
	first.frag = 0x2000;
	first.frag_id = 1;
	first.payload = 56;
	lab.grant.timeouts.udp_new_ms = 500;
	ck_assert_int_eq(nf_lb.update(lab.lb, (char[99]){ 0 }, 99), 0);
	m[0] = lab_packet(first);
	m[1] = lab_packet(later_fragment(first, 64, false));
	nf_lb.burst(lab.lb, m, 2, v, lab.now_us);
	ck_assert_uint_eq(v[0], NF_TX);
	ck_assert_uint_eq(v[1], NF_TX);
	rte_pktmbuf_free_bulk(m, 2);
	lab_pass(600);
	ck_assert_uint_eq(lab.stats.connections, 0);
	ck_assert_uint_eq(lab_try(later_fragment(first, 64, false)),
		NF_DROP(NF_DROP_FRAGMENT));
	lab_stop();
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("lb_icmp");
	TCase *tc = tcase_create("icmp");

	tcase_add_loop_test(tc, test_from_backend_side, 0, 4);
	tcase_add_loop_test(tc, test_from_client_side, 0, 4);
	tcase_add_test(tc, test_half_a_checksum);
	tcase_add_test(tc, test_no_checksum);
	tcase_add_loop_test(tc, test_unknown, 0, 2);
	tcase_add_loop_test(tc, test_too_big_to_backend, 0, 2);
	tcase_add_loop_test(tc, test_too_big_to_client, 0, 2);
	tcase_add_test(tc, test_too_big_without_df);
	tcase_add_test(tc, test_answers_are_limited);
	tcase_add_loop_test(tc, test_fragments, 0, 2);
	tcase_add_test(tc, test_fragment_of_the_dead);
	suite_add_tcase(suite, tc);
	return lab_run(suite);
}
