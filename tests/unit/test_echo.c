/* SPDX-License-Identifier: BSD-3-Clause */
/* nf/echo, packet by packet: what goes in, what comes out or why not. */
#define LAB_NF nf_echo
#include <stdlib.h>

#include "dataplane/tcp/tcp.h"
#include "tests/unit/lb_lab.h"
#include "tests/unit/payload_guard.h"

#define ECHO4 "10.0.0.90"
#define ECHO6 "fd00::90"
#define PEER4 "198.51.100.7"
#define PEER6 "2001:db8::7"

static void
echo_start(void)
{
	lab_grant();
	lab_service(ECHO4, 7, IPPROTO_UDP);
	lab_service(ECHO4, 0, IPPROTO_ICMP);
	lab_service(ECHO6, 7, IPPROTO_UDP);
	lab_service(ECHO6, 0, IPPROTO_ICMP);
	lab_start();
}

/* A datagram, and the one that must come back: a fresh TTL, all swapped. */
static void
udp_row(const char *peer, const char *echo, uint16_t payload, bool no_csum)
{
	struct spec in = SPEC(peer, echo, 40000, 7, IPPROTO_UDP, .ttl = 3,
		.payload = payload, .fill = 9, .smac = CLIENT_MAC,
		.dmac = OWN_MAC, .no_csum = no_csum);
	struct spec out = SPEC(echo, peer, 7, 40000, IPPROTO_UDP, .ttl = 64,
		.payload = payload, .fill = 9, .smac = OWN_MAC,
		.dmac = CLIENT_MAC, .no_csum = no_csum);
	struct rte_mbuf *m = lab_packet(in);

	ck_assert_uint_eq(lab_send(m), NF_TX);
	ck_assert(lab_is(m, out));
	rte_pktmbuf_free(m);
}

START_TEST(udp_comes_back)
{
	echo_start();
	for (uint16_t n = 0; n < 1400; n += 97) {
		udp_row(PEER4, ECHO4, n, false);
		udp_row(PEER6, ECHO6, n, false);
	}
	udp_row(PEER4, ECHO4, 100, true);
	ck_assert_uint_eq(lab.stats.service[0].packets, 16);
	ck_assert_uint_eq(lab.stats.service[2].packets, 15);
	lab_stop();
}
END_TEST

/* An ICMP message with a right checksum, of `type`, to the echo address. */
static struct rte_mbuf *
icmp(const char *peer, const char *echo, uint8_t type, uint8_t proto)
{
	uint8_t body[32] = { type, 0, 0, 0, 0x12, 0x34, 0, 1, 'a', 'b' };
	struct spec s =
		SPEC(peer, echo, 0, 0, proto, .ttl = 5, .payload = sizeof(body),
			.raw = body, .smac = CLIENT_MAC, .dmac = OWN_MAC);
	struct rte_mbuf *m = lab_packet(s);
	uint8_t *ip = rte_pktmbuf_mtod(m, uint8_t *) + PACKET_L3;
	uint8_t *l4 = ip + (ip[0] >> 4 == 4 ? 20 : 40);

	put16(l4 + 2, proto == IPPROTO_ICMP
			      ? (uint16_t)~ref_sum(0, l4, sizeof(body))
			      : ref_l4(ip, l4, sizeof(body), proto));
	return m;
}

static void
icmp_row(const char *peer, const char *echo, uint8_t type, uint8_t proto,
	uint8_t reply)
{
	struct rte_mbuf *m = icmp(peer, echo, type, proto);
	struct rte_mbuf *want = icmp(echo, peer, reply, proto);
	uint8_t *have = rte_pktmbuf_mtod(m, uint8_t *) + PACKET_L3;
	uint8_t *should = rte_pktmbuf_mtod(want, uint8_t *) + PACKET_L3;
	size_t at = have[0] >> 4 == 4 ? 12 : 8;

	ck_assert_uint_eq(lab_send(m), NF_TX);
	/* From the addresses on all is as if made from scratch. */
	ck_assert_mem_eq(have + at, should + at,
		rte_pktmbuf_data_len(m) - PACKET_L3 - at);
	if (have[0] >> 4 == 4)
		ck_assert_uint_eq(ref_sum(0, have, 20), 0xffff);
	ck_assert_uint_eq(have[have[0] >> 4 == 4 ? 8 : 7], 64);
	rte_pktmbuf_free(m);
	rte_pktmbuf_free(want);
}

START_TEST(ping_is_answered)
{
	echo_start();
	icmp_row(PEER4, ECHO4, 8, IPPROTO_ICMP, 0);
	icmp_row(PEER6, ECHO6, 128, IPPROTO_ICMPV6, 129);
	lab_stop();
}
END_TEST

static void
refused(struct rte_mbuf *m, unsigned int reason)
{
	ck_assert_uint_eq(lab_send(m), NF_DROP(reason));
	rte_pktmbuf_free(m);
}

START_TEST(the_rest_is_dropped_by_name)
{
	struct spec s = SPEC(PEER4, ECHO4, 40000, 7, IPPROTO_UDP, .ttl = 9,
		.payload = 32, .smac = CLIENT_MAC, .dmac = OWN_MAC);
	struct spec other;

	echo_start();
	other = s;
	other.dport = 8;
	refused(lab_packet(other), NF_DROP_NOT_OURS);
	other = s;
	other.dst = "10.0.0.91";
	refused(lab_packet(other), NF_DROP_NOT_OURS);
	other = s;
	other.proto = IPPROTO_TCP;
	refused(lab_packet(other), NF_DROP_NOT_OURS);
	other = s;
	other.frag = 0x2000;
	refused(lab_packet(other), NF_DROP_FRAGMENT);
	/* Two echo services that talk to each other would never end. */
	other = s;
	other.sport = 7;
	refused(lab_packet(other), TCP_DROP_OWN);
	ck_assert_str_eq(
		nf_echo.drops[TCP_DROP_OWN - NF_DROP_OWN], "echo_loop");
	/* No answer to an answer, nor to an error. */
	refused(icmp(PEER4, ECHO4, 0, IPPROTO_ICMP), NF_DROP_NOT_OURS);
	refused(icmp(PEER4, ECHO4, 3, IPPROTO_ICMP), NF_DROP_NOT_OURS);
	refused(icmp(PEER6, ECHO6, 129, IPPROTO_ICMPV6), NF_DROP_NOT_OURS);
	lab_stop();
}
END_TEST

/* --- the short way beside the long way --- */

/* After a packet like it a packet may take the short way, after this none. */
static void
warm(bool like_it)
{
	struct rte_mbuf *m;

	if (like_it) {
		struct spec s = SPEC(PEER4, ECHO4, 40000, 7, IPPROTO_UDP,
			.ttl = 3, .smac = CLIENT_MAC, .dmac = OWN_MAC);

		m = lab_packet(s);
	} else {
		m = icmp(PEER6, ECHO6, 128, IPPROTO_ICMPV6);
	}
	ck_assert_uint_eq(lab_send(m), NF_TX);
	rte_pktmbuf_free(m);
}

/* A datagram of which up to two bytes of its headers, or its end, differ. */
static struct rte_mbuf *
nearly_plain(unsigned int seed)
{
	struct spec s = SPEC(PEER4, ECHO4, 40000, 7, IPPROTO_UDP, .ttl = 3,
		.payload = 20, .fill = 9, .smac = CLIENT_MAC, .dmac = OWN_MAC);
	struct rte_mbuf *m = lab_packet(s);
	uint8_t *d = rte_pktmbuf_mtod(m, uint8_t *);

	for (int k = rand_r(&seed) % 3; k > 0; k--)
		d[rand_r(&seed) % 42] ^= (uint8_t)(1u << rand_r(&seed) % 8);
	if (rand_r(&seed) % 4 == 0)
		rte_pktmbuf_trim(m, (uint16_t)(rand_r(&seed) % 30));
	return m;
}

START_TEST(the_short_way_is_the_long_way)
{
	unsigned int answered = 0, refused_n = 0;

	echo_start();
	for (unsigned int seed = 1; seed < 20000; seed++) {
		struct rte_mbuf *a = nearly_plain(seed);
		struct rte_mbuf *b = nearly_plain(seed);
		nf_verdict v;

		warm(true);
		v = lab_send(a);
		warm(false);
		ck_assert_uint_eq(lab_send(b), v);
		ck_assert_uint_eq(a->data_len, b->data_len);
		ck_assert_mem_eq(rte_pktmbuf_mtod(a, void *),
			rte_pktmbuf_mtod(b, void *), a->data_len);
		answered += v == NF_TX;
		refused_n += v != NF_TX;
		rte_pktmbuf_free(a);
		rte_pktmbuf_free(b);
	}
	ck_assert_uint_gt(answered, 1000);
	ck_assert_uint_gt(refused_n, 1000);
	lab_stop();
}
END_TEST

/* What chance seldom makes. */
START_TEST(the_short_way_refuses)
{
	struct spec s = SPEC(PEER4, ECHO4, 40000, 9, IPPROTO_UDP, .ttl = 3,
		.payload = 20, .smac = CLIENT_MAC, .dmac = OWN_MAC);
	struct spec other = s;
	struct rte_mbuf *m;

	lab_grant();
	lab_service(ECHO4, 9, IPPROTO_UDP);
	lab_start();
	m = lab_packet(s);
	ck_assert_uint_eq(lab_send(m), NF_TX);
	rte_pktmbuf_free(m);
	other.sport = 9;
	refused(lab_packet(other), TCP_DROP_OWN);
	other.sport = 7;
	refused(lab_packet(other), TCP_DROP_OWN);
	m = lab_packet(s);
	put16(rte_pktmbuf_mtod(m, uint8_t *) + 38, 7);
	refused(m, NF_DROP_MALFORMED);
	lab_stop();
}
END_TEST

/* In one burst: each service is told what it answered. */
START_TEST(services_are_counted_apart)
{
	struct spec four = SPEC(PEER4, ECHO4, 40000, 7, IPPROTO_UDP, .ttl = 3,
		.payload = 100, .smac = CLIENT_MAC, .dmac = OWN_MAC);
	struct spec six = SPEC(PEER6, ECHO6, 40000, 7, IPPROTO_UDP, .ttl = 3,
		.payload = 10, .smac = CLIENT_MAC, .dmac = OWN_MAC);
	struct spec loop = SPEC(PEER6, ECHO6, 7, 7, IPPROTO_UDP, .ttl = 3,
		.smac = CLIENT_MAC, .dmac = OWN_MAC);
	const struct spec order[] = { four, four, six, loop, four, six, loop,
		six, four };
	struct rte_mbuf *m[9];
	nf_verdict v[9];
	uint64_t bytes[2] = { 0 };

	echo_start();
	for (int i = 0; i < 9; i++)
		m[i] = lab_packet(order[i]);
	nf_echo.burst(lab.lb, m, 9, v, lab.now_us);
	for (int i = 0; i < 9; i++) {
		bool is_loop = order[i].sport == 7;

		ck_assert_uint_eq(
			v[i], is_loop ? NF_DROP(TCP_DROP_OWN) : NF_TX);
		if (!is_loop)
			bytes[order[i].dst == six.dst] += m[i]->pkt_len;
		rte_pktmbuf_free(m[i]);
	}
	ck_assert_uint_eq(lab.stats.service[0].packets, 4);
	ck_assert_uint_eq(lab.stats.service[2].packets, 3);
	ck_assert_uint_eq(lab.stats.service[0].bytes, bytes[0]);
	ck_assert_uint_eq(lab.stats.service[2].bytes, bytes[1]);
	lab_stop();
}
END_TEST

static void
untouched(const char *peer, const char *echo, uint16_t headers)
{
	struct spec s = SPEC(peer, echo, 40000, 7, IPPROTO_UDP, .ttl = 3,
		.payload = 1400, .fill = 9, .smac = CLIENT_MAC,
		.dmac = OWN_MAC);
	struct rte_mbuf *m = lab_packet(s);

	guard_packet(m, headers);
	ck_assert_uint_eq(lab_send(m), NF_TX);
	ck_assert_int_eq(guard_lift(), 0);
	guard_prove(m, headers);
	rte_pktmbuf_free(m);
}

/* Zero copy: of the payload no byte is read or written. */
START_TEST(payload_is_not_touched)
{
	echo_start();
	guard_begin();
	untouched(PEER4, ECHO4, 14 + 20 + 8);
	untouched(PEER6, ECHO6, 14 + 40 + 8);
	guard_end();
	lab_stop();
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("echo");
	TCase *tc = tcase_create("echo");

	tcase_add_test(tc, udp_comes_back);
	tcase_add_test(tc, ping_is_answered);
	tcase_add_test(tc, payload_is_not_touched);
	tcase_add_test(tc, the_rest_is_dropped_by_name);
	tcase_add_test(tc, the_short_way_is_the_long_way);
	tcase_add_test(tc, the_short_way_refuses);
	tcase_add_test(tc, services_are_counted_apart);
	suite_add_tcase(suite, tc);
	return lab_run(suite);
}
