/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The uplink's program: every pass and every drop by name, and thousands of
 * random packets on which it and its C twin must agree. Needs root.
 */
#include "tests/unit/xdp_run.h"

START_TEST(test_in_passes_to_kernel)
{
	static const struct {
		uint8_t proto;
		const char *src, *dst;
		uint16_t dport;
	} row[] = {
		{ TCP, CLIENT, VIP, 22 },
		{ UDP, CLIENT, VIP, 80 },
		{ TCP, CLIENT, "10.0.0.81", 80 },
		{ TCP, CLIENT, SNAT, 22 },
		{ TCP, CLIENT, SNAT, 1023 },
		{ TCP, CLIENT, ONE, 22 },
		{ TCP, CLIENT6, VIP6, 22 },
		{ TCP, CLIENT6, SNAT6, 1023 },
		{ 132, CLIENT, VIP, 80 },
		{ 47, CLIENT, SNAT, 5000 },
	};
	struct frame f;

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		in_flow(&f, row[i].proto, row[i].src, 4000, row[i].dst,
			row[i].dport);
		ck_assert_msg(fate_in(&f) == KERNEL, "row %zu", i);
	}
	put_eth(&f, frame_ours, frame_theirs, 0x0806);
	put32(&f, 0);
	ck_assert_int_eq(fate_in(&f), KERNEL);
	frame_icmp(&f, frame_ours, frame_theirs, 8, CLIENT, VIP);
	ck_assert_int_eq(fate_in(&f), KERNEL);
	frame_icmp(&f, frame_ours, frame_theirs, 135, CLIENT6, PING6);
	ck_assert_int_eq(fate_in(&f), KERNEL);
	in_flow(&f, TCP, CLIENT, 4000, VIP, 80);
	f.n = 30;
	ck_assert_int_eq(fate_in(&f), KERNEL);
}
END_TEST

START_TEST(test_in_other_station)
{
	struct frame f;

	in_flow(&f, TCP, CLIENT, 4000, VIP, 80);
	ck_assert_int_lt(fate_in(&f), N_VNICS);
	f.b[5] ^= 1;
	ck_assert_int_eq(fate_in(&f), KERNEL);
	f.b[5] ^= 1;
	f.b[0] ^= 1;
	ck_assert_int_eq(fate_in(&f), KERNEL);
}
END_TEST

START_TEST(test_in_vlan)
{
	struct frame f;

	in_flow(&f, TCP, CLIENT, 4000, VIP, 80);
	memmove(f.b + 16, f.b + 12, f.n - 12);
	f.n += 4;
	f.b[12] = 0x81;
	f.b[13] = 0;
	ck_assert_int_eq(fate_in(&f), VLAN);
}
END_TEST

/* Every service and SNAT address; each VNIC of a function gets its share. */
START_TEST(test_in_steered)
{
	static const struct {
		uint8_t proto;
		const char *src, *dst;
		uint16_t dport;
		int function;
	} row[] = {
		{ TCP, CLIENT, VIP, 80, 0 },
		{ TCP, CLIENT6, VIP6, 80, 0 },
		{ TCP, CLIENT, VIP, 8080, 0 },
		{ TCP, CLIENT, ONE, 8080, 0 },
		{ UDP, CLIENT, VIP, 7777, 1 },
		{ UDP, CLIENT, PING, 7, 1 },
	};
	struct frame f;

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		int n[N_VNICS] = { 0 };

		for (uint16_t port = 1; port <= 200; port++) {
			int to;

			in_flow(&f, row[i].proto, row[i].src, port, row[i].dst,
				row[i].dport);
			to = fate_in(&f);
			ck_assert_int_eq(to, model_in(&f));
			n[to]++;
		}
		ck_assert_int_eq(n[2], row[i].function ? 200 : 0);
		ck_assert_int_eq(n[0] > 50, !row[i].function);
		ck_assert_int_eq(n[1] > 50, !row[i].function);
	}
}
END_TEST

START_TEST(test_in_snat)
{
	struct frame f;

	for (unsigned int port = 1024; port < 65536; port += 509) {
		in_flow(&f, TCP, SERVER, 80, SNAT, (uint16_t)port);
		ck_assert_int_eq(fate_in(&f), port & 1);
		in_flow(&f, UDP, SERVER6, 80, SNAT6, (uint16_t)port);
		ck_assert_int_eq(fate_in(&f), port & 1);
		in_flow(&f, TCP, SERVER, 80, ONE, (uint16_t)port);
		ck_assert_int_eq(fate_in(&f), port & 1);
	}
}
END_TEST

/* By source alone: neither port changes the instance. */
START_TEST(test_in_hash_source)
{
	struct frame f;
	int first;

	in_flow(&f, UDP, CLIENT, 1, VIP, 53);
	first = fate_in(&f);
	for (uint16_t port = 2; port < 100; port++) {
		in_flow(&f, UDP, CLIENT, port, VIP, 53);
		ck_assert_int_eq(fate_in(&f), first);
	}
}
END_TEST

START_TEST(test_in_echo)
{
	struct frame f;

	frame_icmp(&f, frame_ours, frame_theirs, 8, CLIENT, PING);
	ck_assert_int_eq(fate_in(&f), 2);
	frame_icmp(&f, frame_ours, frame_theirs, 128, CLIENT6, PING6);
	ck_assert_int_eq(fate_in(&f), 2);
	frame_icmp(&f, frame_ours, frame_theirs, 0, CLIENT, PING);
	ck_assert_int_eq(fate_in(&f), KERNEL);
}
END_TEST

/* An error goes where the connection it is about goes. */
START_TEST(test_in_error)
{
	struct frame f, flow;

	for (uint16_t port = 2000; port < 2100; port++) {
		in_flow(&flow, TCP, CLIENT, port, VIP, 80);
		frame_error(&f, frame_ours, frame_theirs, 3, "198.51.100.1",
			TCP, VIP, 80, CLIENT, port);
		ck_assert_int_eq(fate_in(&f), fate_in(&flow));
		in_flow(&flow, TCP, CLIENT6, port, VIP6, 80);
		frame_error(&f, frame_ours, frame_theirs, 2, "2001:db8::1", TCP,
			VIP6, 80, CLIENT6, port);
		ck_assert_int_eq(fate_in(&f), fate_in(&flow));
		frame_error(&f, frame_ours, frame_theirs, 3, "198.51.100.1",
			TCP, SNAT, port, SERVER, 80);
		ck_assert_int_eq(fate_in(&f), port & 1);
		frame_error(&f, frame_ours, frame_theirs, 3, "198.51.100.1",
			TCP, VIP, 22, CLIENT, port);
		ck_assert_int_eq(fate_in(&f), KERNEL);
	}
}
END_TEST

static int
fragment_in(uint8_t proto, const char *src, const char *dst, uint16_t dport,
	uint32_t id, uint16_t offset, int more)
{
	struct cut cut = { id, offset, more };
	struct frame f;

	frame_flow(&f, frame_ours, frame_theirs, proto, src, 4000, dst, dport,
		&cut);
	return fate_in(&f);
}

START_TEST(test_in_fragments_followed)
{
	struct frame f;
	int to;

	in_flow(&f, UDP, CLIENT, 4000, VIP, 53);
	to = fate_in(&f);
	ck_assert_int_eq(fragment_in(UDP, CLIENT, VIP, 53, 11, 0, 1), to);
	ck_assert_int_eq(fragment_in(UDP, CLIENT, VIP, 0, 11, 1480, 1), to);
	ck_assert_int_eq(fragment_in(UDP, CLIENT, VIP, 0, 11, 2960, 0), to);
	in_flow(&f, UDP, CLIENT6, 4000, VIP6, 53);
	to = fate_in(&f);
	ck_assert_int_eq(fragment_in(UDP, CLIENT6, VIP6, 53, 11, 0, 1), to);
	ck_assert_int_eq(fragment_in(UDP, CLIENT6, VIP6, 0, 11, 1480, 0), to);
	/* Replies to it. */
	ck_assert_int_eq(fragment_in(UDP, SERVER, SNAT, 5001, 12, 0, 1), 1);
	ck_assert_int_eq(fragment_in(UDP, SERVER, SNAT, 0, 12, 1480, 0), 1);
}
END_TEST

START_TEST(test_in_fragments_refused)
{
	/* A service hashed by ports: first and later. */
	ck_assert_int_eq(fragment_in(TCP, CLIENT, VIP, 80, 21, 0, 1), FRAGMENT);
	ck_assert_int_eq(
		fragment_in(TCP, CLIENT, VIP, 0, 21, 1480, 0), FRAGMENT);
	/* TCP replies: no service of the function takes TCP fragments. */
	ck_assert_int_eq(
		fragment_in(TCP, SERVER, SNAT, 5001, 22, 0, 1), FRAGMENT);
	/* Nobody saw the first one. */
	ck_assert_int_eq(
		fragment_in(UDP, CLIENT, VIP, 0, 23, 1480, 0), UNKNOWN);
	ck_assert_int_eq(
		fragment_in(UDP, SERVER6, SNAT6, 0, 23, 1480, 0), UNKNOWN);
}
END_TEST

START_TEST(test_in_fragments_of_kernel)
{
	struct cut later = { 33, 1480, 0 };
	struct frame f;

	ck_assert_int_eq(fragment_in(UDP, CLIENT, VIP, 4500, 31, 0, 1), KERNEL);
	ck_assert_int_eq(fragment_in(UDP, CLIENT, VIP, 0, 31, 1480, 0), KERNEL);
	ck_assert_int_eq(fragment_in(TCP, CLIENT, VIP, 22, 32, 0, 1), KERNEL);
	ck_assert_int_eq(fragment_in(TCP, CLIENT, VIP, 0, 32, 1480, 0), KERNEL);
	/* ICMP, and the later fragments of TCP, where none is taken. */
	frame_flow(&f, frame_ours, frame_theirs, 1, CLIENT, 0, VIP, 0, &later);
	ck_assert_int_eq(fate_in(&f), KERNEL);
	ck_assert_int_eq(fragment_in(TCP, CLIENT, VIP, 0, 34, 1480, 0), KERNEL);
}
END_TEST

START_TEST(test_in_down)
{
	struct frame f;

	frame_icmp(&f, frame_ours, frame_theirs, 8, CLIENT, PING);
	pins.vnics[2].up = 0;
	ck_assert_int_eq(fate_in(&f), DOWN);
	pins.vnics[2].up = 1;
	ck_assert_int_eq(fate_in(&f), 2);
}
END_TEST

/* Rows that a new plan has not are gone, those it has are there. */
START_TEST(test_update)
{
	struct frame old, new;

	in_flow(&old, TCP, CLIENT, 4000, VIP, 8080);
	in_flow(&new, TCP, CLIENT, 4000, VIP, 443);
	ck_assert_int_lt(fate_in(&old), N_VNICS);
	ck_assert_int_eq(fate_in(&new), KERNEL);
	tp.steers[4].key.port = htons(443);
	ck_assert_int_eq(tables_sync(&pins, &tp.plan, 1500), 0);
	ck_assert_int_eq(fate_in(&old), KERNEL);
	ck_assert_int_eq(fate_in(&new), model_in(&new));
	ck_assert_int_lt(fate_in(&new), N_VNICS);
	tp.steers[4].key.port = htons(8080);
	ck_assert_int_eq(tables_sync(&pins, &tp.plan, 1500), 0);
	ck_assert_int_lt(fate_in(&old), N_VNICS);
}
END_TEST

START_TEST(test_in_random_agrees)
{
	int n[N_VNICS] = { 0 }, passed = 0;
	struct frame f;

	srandom(20260101);
	for (int i = 0; i < 20000; i++) {
		int want;

		random_frame(&f);
		if (i & 1 && !scramble(&f))
			continue;
		want = model_in(&f);
		ck_assert_msg(
			fate_in(&f) == want, "packet %d: not %d", i, want);
		if (want < N_VNICS)
			n[want]++;
		else
			passed++;
	}
	ck_assert_int_gt(n[0], 1000);
	ck_assert_int_gt(n[1], 1000);
	ck_assert_int_gt(n[2], 500);
	ck_assert_int_gt(passed, 1000);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("xdp uplink");

	tcase_set_timeout(t, 120);
	tcase_add_test(t, test_in_passes_to_kernel);
	tcase_add_test(t, test_in_other_station);
	tcase_add_test(t, test_in_vlan);
	tcase_add_test(t, test_in_steered);
	tcase_add_test(t, test_in_snat);
	tcase_add_test(t, test_in_hash_source);
	tcase_add_test(t, test_in_echo);
	tcase_add_test(t, test_in_error);
	tcase_add_test(t, test_in_fragments_followed);
	tcase_add_test(t, test_in_fragments_refused);
	tcase_add_test(t, test_in_fragments_of_kernel);
	tcase_add_test(t, test_in_down);
	tcase_add_test(t, test_update);
	tcase_add_test(t, test_in_random_agrees);
	return run_cases("xdp uplink", t);
}
