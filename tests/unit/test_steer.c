/* SPDX-License-Identifier: BSD-3-Clause */
/* Steering in C: the hash, the buckets, and from frames to connections. */
#include <check.h>
#include <stdio.h>

#include "dataplane/steer_packet.h"
#include "tests/unit/frames.h"

#define CLIENT  "192.0.2.5"
#define VIP     "10.0.0.80"
#define CLIENT6 "2001:db8::5"
#define VIP6    "fd00::80"
#define TCP     6
#define UDP     17

static struct steer_tuple
tuple(const char *src, uint16_t sport, const char *dst, uint16_t dport,
	uint8_t proto)
{
	struct steer_tuple t = {
		.src = addr_of(src),
		.dst = addr_of(dst),
		.sport = htons(sport),
		.dport = htons(dport),
		.proto = proto,
	};

	return t;
}

/* Parse a copy that ends where the frame does, so that ASan sees a step over.
 */
static struct steer_packet
parse(const struct frame *f, enum steer_dir dir)
{
	struct steer_packet pkt;
	uint8_t *copy = malloc(f->n ? f->n : 1);

	memset(&pkt, 0xa5, sizeof(pkt));
	memcpy(copy, f->b, f->n);
	steer_parse(copy, copy + f->n, dir, &pkt);
	free(copy);
	return pkt;
}

static void
expect(const struct frame *f, enum steer_dir dir, enum steer_kind kind,
	struct steer_tuple conn)
{
	struct steer_packet pkt = parse(f, dir);

	ck_assert_int_eq(pkt.kind, kind);
	ck_assert_mem_eq(&pkt.conn, &conn, sizeof(conn));
}

START_TEST(test_flow)
{
	static const struct {
		const char *client, *vip;
	} row[] = { { CLIENT, VIP }, { CLIENT6, VIP6 } };
	struct frame f;

	for (size_t i = 0; i < 2; i++) {
		const char *c = row[i].client, *v = row[i].vip;
		struct steer_tuple conn = tuple(c, 4000, v, 80, TCP);

		frame_flow(&f, frame_ours, frame_theirs, TCP, c, 4000, v, 80,
			NULL);
		expect(&f, STEER_IN, STEER_K_FLOW, conn);
		frame_flow(&f, frame_theirs, frame_ours, TCP, v, 80, c, 4000,
			NULL);
		expect(&f, STEER_OUT, STEER_K_FLOW, conn);
	}
}
END_TEST

START_TEST(test_echo)
{
	struct frame f;
	static const uint8_t request[] = { 8, 128 }, reply[] = { 0, 129 };
	static const char *const c[] = { CLIENT, CLIENT6 };
	static const char *const v[] = { VIP, VIP6 };

	for (int i = 0; i < 2; i++) {
		struct steer_tuple conn = tuple(c[i], 0, v[i], 0, 1);

		frame_icmp(
			&f, frame_ours, frame_theirs, request[i], c[i], v[i]);
		expect(&f, STEER_IN, STEER_K_ECHO, conn);
		ck_assert_int_eq(parse(&f, STEER_OUT).kind, STEER_K_ICMP);
		frame_icmp(&f, frame_theirs, frame_ours, reply[i], v[i], c[i]);
		expect(&f, STEER_OUT, STEER_K_ECHO, conn);
		ck_assert_int_eq(parse(&f, STEER_IN).kind, STEER_K_ICMP);
	}
}
END_TEST

/* Each type either carries a connection or none; every value is tried. */
START_TEST(test_error_types)
{
	struct frame f;

	for (int type = 0; type < 256; type++) {
		int v4 = type == 3 || type == 11 || type == 12;
		int v6 = type >= 1 && type <= 4;

		frame_error(&f, frame_ours, frame_theirs, (uint8_t)type,
			"198.51.100.1", TCP, VIP, 80, CLIENT, 4000);
		ck_assert_int_eq(parse(&f, STEER_IN).kind == STEER_K_ERROR, v4);
		frame_error(&f, frame_ours, frame_theirs, (uint8_t)type,
			"2001:db8::1", TCP, VIP6, 80, CLIENT6, 4000);
		ck_assert_int_eq(parse(&f, STEER_IN).kind == STEER_K_ERROR, v6);
	}
}
END_TEST

START_TEST(test_error_connection)
{
	struct frame f;

	/* In: a router about what we sent to the client. */
	frame_error(&f, frame_ours, frame_theirs, 3, "198.51.100.1", TCP, VIP,
		80, CLIENT, 4000);
	expect(&f, STEER_IN, STEER_K_ERROR, tuple(CLIENT, 4000, VIP, 80, TCP));
	/* Out: to the client about what it sent to the VIP. */
	frame_error(&f, frame_theirs, frame_ours, 2, VIP6, UDP, CLIENT6, 4000,
		VIP6, 53);
	expect(&f, STEER_OUT, STEER_K_ERROR,
		tuple(CLIENT6, 4000, VIP6, 53, UDP));
	/* Out: not from whom the inner packet was for. */
	frame_error(&f, frame_theirs, frame_ours, 2, "fd00::81", UDP, CLIENT6,
		4000, VIP6, 53);
	ck_assert_int_eq(parse(&f, STEER_OUT).kind, STEER_K_ICMP);
	/* In: not to whom the inner packet is from. */
	frame_error(&f, frame_ours, frame_theirs, 3, "198.51.100.1", TCP, VIP,
		80, CLIENT, 4000);
	f.b[14 + 19] ^= 1;
	ck_assert_int_eq(parse(&f, STEER_IN).kind, STEER_K_ICMP);
	/* About an echo: of no connection. */
	frame_error(&f, frame_ours, frame_theirs, 3, "198.51.100.1", 1, VIP, 80,
		CLIENT, 4000);
	ck_assert_int_eq(parse(&f, STEER_IN).kind, STEER_K_ICMP);
}
END_TEST

START_TEST(test_fragments)
{
	static const char *const c[] = { CLIENT, CLIENT6 };
	static const char *const v[] = { VIP, VIP6 };
	struct cut first = { .id = 77, .more = 1 };
	struct cut later = { .id = 77, .offset = 1480 };
	struct cut atomic = { .id = 77 };
	struct steer_packet pkt;
	struct frame f;

	for (int i = 0; i < 2; i++) {
		frame_flow(&f, frame_ours, frame_theirs, UDP, c[i], 4000, v[i],
			53, &first);
		pkt = parse(&f, STEER_IN);
		ck_assert_int_eq(pkt.kind, STEER_K_FLOW);
		ck_assert_int_eq(pkt.first, 1);
		ck_assert_uint_eq(pkt.frag_id, i ? htonl(77) : htons(77));
		frame_flow(&f, frame_ours, frame_theirs, UDP, c[i], 4000, v[i],
			53, &later);
		pkt = parse(&f, STEER_IN);
		ck_assert_int_eq(pkt.kind, STEER_K_FRAGMENT);
		ck_assert_int_eq(pkt.first, 0);
		ck_assert_int_eq(pkt.conn.sport, 0);
		ck_assert_int_eq(pkt.conn.proto, UDP);
		frame_flow(&f, frame_ours, frame_theirs, UDP, c[i], 4000, v[i],
			53, &atomic);
		pkt = parse(&f, STEER_IN);
		ck_assert_int_eq(pkt.kind, STEER_K_FLOW);
		ck_assert_int_eq(pkt.first, 0);
	}
}
END_TEST

/* IPv6 with `n` destination options headers ahead of TCP. */
static void
frame_options(struct frame *f, int n)
{
	put_eth(f, frame_ours, frame_theirs, 0x86dd);
	put_ip(f, CLIENT6, VIP6, 60, (size_t)n * 16 + PORTS_LEN, NULL);
	for (int i = 0; i < n; i++) {
		put16(f, (uint16_t)((i == n - 1 ? TCP : 60) << 8 | 1));
		put16(f, 0x010c);
		put32(f, 0);
		put32(f, 0);
		put32(f, 0);
	}
	put_ports(f, 4000, 80);
}

START_TEST(test_extension_headers)
{
	struct frame f;

	for (int n = 1; n <= STEER_EXT_MAX; n++) {
		frame_options(&f, n);
		expect(&f, STEER_IN, STEER_K_FLOW,
			tuple(CLIENT6, 4000, VIP6, 80, TCP));
	}
	frame_options(&f, STEER_EXT_MAX + 1);
	ck_assert_int_eq(parse(&f, STEER_IN).kind, STEER_K_PROTOCOL);
}
END_TEST

START_TEST(test_ipv4_options)
{
	struct frame f;

	put_eth(&f, frame_ours, frame_theirs, 0x0800);
	put_ip(&f, CLIENT, VIP, TCP, 8 + PORTS_LEN, NULL);
	f.b[14] = 0x47;
	put32(&f, 0x01010101);
	put32(&f, 0x01010101);
	put_ports(&f, 4000, 80);
	expect(&f, STEER_IN, STEER_K_FLOW, tuple(CLIENT, 4000, VIP, 80, TCP));
}
END_TEST

/* One byte changed in a good frame: what it makes of it. */
START_TEST(test_refused)
{
	static const struct {
		const char *src, *dst;
		int at, value;
		enum steer_kind kind;
	} row[] = {
		{ CLIENT, VIP, 14, 0x44, STEER_K_MALFORMED },
		{ CLIENT, VIP, 14, 0x55, STEER_K_MALFORMED },
		{ CLIENT, VIP, 17, 0xff, STEER_K_MALFORMED },
		{ CLIENT, VIP, 17, 19, STEER_K_MALFORMED },
		{ CLIENT, VIP, 23, 132, STEER_K_PROTOCOL },
		{ CLIENT, VIP, 23, 58, STEER_K_PROTOCOL },
		{ CLIENT, VIP, 13, 0x06, STEER_K_NOT_IP },
		{ CLIENT6, VIP6, 14, 0x50, STEER_K_MALFORMED },
		{ CLIENT6, VIP6, 19, 0xff, STEER_K_MALFORMED },
		{ CLIENT6, VIP6, 20, 1, STEER_K_PROTOCOL },
		{ "::fffe:192.0.2.5", VIP6, 32, 0xff, STEER_K_FLOW },
		{ "::fffe:192.0.2.5", VIP6, 33, 0xff, STEER_K_MALFORMED },
		{ CLIENT6, "::fffe:10.0.0.80", 49, 0xff, STEER_K_MALFORMED },
	};
	struct frame f;

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		frame_flow(&f, frame_ours, frame_theirs, TCP, row[i].src, 4000,
			row[i].dst, 80, NULL);
		f.b[row[i].at] = (uint8_t)row[i].value;
		ck_assert_msg(parse(&f, STEER_IN).kind == row[i].kind,
			"row %zu is %d", i, parse(&f, STEER_IN).kind);
	}
	put_eth(&f, frame_ours, frame_theirs, 0x8100);
	ck_assert_int_eq(parse(&f, STEER_IN).kind, STEER_K_VLAN);
	put_eth(&f, frame_ours, frame_theirs, 0x88a8);
	ck_assert_int_eq(parse(&f, STEER_OUT).kind, STEER_K_VLAN);
}
END_TEST

static void
cut_everywhere(struct frame f)
{
	size_t whole = f.n;

	for (f.n = 0; f.n < whole; f.n++) {
		ck_assert_int_ne(parse(&f, STEER_IN).kind, STEER_K_FLOW);
		ck_assert_int_ne(parse(&f, STEER_OUT).kind, STEER_K_ERROR);
	}
}

/* A frame that ends early never yields a connection, nor is read beyond. */
START_TEST(test_cut_short)
{
	struct frame f;

	frame_flow(&f, frame_ours, frame_theirs, TCP, CLIENT, 1, VIP, 2, NULL);
	cut_everywhere(f);
	frame_options(&f, 3);
	cut_everywhere(f);
	frame_error(&f, frame_ours, frame_theirs, 3, CLIENT, TCP, VIP, 1,
		CLIENT, 2);
	cut_everywhere(f);
	frame_error(&f, frame_ours, frame_theirs, 1, CLIENT6, UDP, VIP6, 1,
		CLIENT6, 2);
	cut_everywhere(f);
}
END_TEST

START_TEST(test_random_bytes)
{
	struct frame f;
	int seen[STEER_K_ERROR + 1] = { 0 };

	srandom(1);
	for (int i = 0; i < 200000; i++) {
		struct steer_packet pkt;

		if (i & 1)
			frame_options(&f, 2);
		else
			frame_error(&f, frame_ours, frame_theirs, 3, CLIENT,
				TCP, VIP, 1, CLIENT, 2);
		for (int k = 0; k < 3; k++)
			f.b[12 + (size_t)random() % (f.n - 12)] =
				(uint8_t)random();
		f.n -= (size_t)random() % 8 ? 0 : (size_t)random() % f.n;
		pkt = parse(&f, i & 2 ? STEER_IN : STEER_OUT);
		ck_assert_int_le(pkt.kind, STEER_K_ERROR);
		seen[pkt.kind]++;
	}
	ck_assert_int_gt(seen[STEER_K_MALFORMED], 0);
	ck_assert_int_gt(seen[STEER_K_FLOW], 0);
}
END_TEST

/* What instances and stored state rely on: the hash must never change. */
START_TEST(test_hash_is_fixed)
{
	struct steer_tuple t = tuple(CLIENT, 4000, VIP, 80, TCP);
	struct steer_tuple u = tuple(CLIENT, 4001, VIP, 80, TCP);

	ck_assert_uint_eq(steer_hash(&t, 7, 0), 0xe5ae2d0cu);
	ck_assert_uint_eq(steer_hash(&t, 7, STEER_F_HASH_SOURCE), 0x3fc820cfu);
	ck_assert_uint_eq(steer_hash(&u, 7, STEER_F_HASH_SOURCE), 0x3fc820cfu);
	ck_assert_uint_ne(steer_hash(&u, 7, 0), 0xe5ae2d0cu);
	ck_assert_uint_ne(steer_hash(&t, 8, 0), 0xe5ae2d0cu);
}
END_TEST

/* 64 buckets, 64000 connections: no bucket far from 1000 of them. */
START_TEST(test_hash_spreads)
{
	struct steer_target target = { .mask = 63 };
	int n[64] = { 0 };

	for (int i = 0; i < 64000; i++) {
		struct steer_tuple t = tuple(CLIENT, 1, VIP, 80, TCP);

		t.src.w[3] += htonl((uint32_t)i / 100);
		t.sport = htons((uint16_t)(1024 + i % 100));
		n[steer_bucket(&t, 99, &target)]++;
	}
	for (int b = 0; b < 64; b++) {
		ck_assert_int_gt(n[b], 800);
		ck_assert_int_lt(n[b], 1200);
	}
}
END_TEST

START_TEST(test_snat_bucket_is_the_port)
{
	struct steer_target target = { .mask = 127, .flags = STEER_F_SNAT };

	for (unsigned int port = 1024; port < 65536; port += 13) {
		struct steer_tuple t = tuple(CLIENT, 80, VIP, 0, TCP);

		t.dport = htons((uint16_t)port);
		ck_assert_uint_eq(steer_bucket(&t, 5, &target), port & 127);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("steer");
	TCase *t = tcase_create("steer");
	SRunner *sr = srunner_create(s);
	int failed;

	suite_add_tcase(s, t);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, test_flow);
	tcase_add_test(t, test_echo);
	tcase_add_test(t, test_error_types);
	tcase_add_test(t, test_error_connection);
	tcase_add_test(t, test_fragments);
	tcase_add_test(t, test_extension_headers);
	tcase_add_test(t, test_ipv4_options);
	tcase_add_test(t, test_refused);
	tcase_add_test(t, test_cut_short);
	tcase_add_test(t, test_random_bytes);
	tcase_add_test(t, test_hash_is_fixed);
	tcase_add_test(t, test_hash_spreads);
	tcase_add_test(t, test_snat_bucket_is_the_port);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
