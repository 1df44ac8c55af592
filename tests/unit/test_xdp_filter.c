/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The transmit filter of a VNIC: what is let out, each refusal by name, and
 * thousands of random packets of which none may leave that is of no bucket of
 * the VNIC's own. Needs root.
 */
#include <time.h>

#include "tests/unit/xdp_run.h"

START_TEST(test_moved_bucket_moves_filter)
{
	uint32_t entry, to;
	struct steer_packet pkt;
	struct frame f, back;

	in_flow(&f, TCP, CLIENT, 4000, VIP, 80);
	out_flow(&back, TCP, VIP, 80, CLIENT, 4000);
	steer_parse(f.b, f.b + f.n, STEER_IN, &pkt);
	entry = steer_hash(&pkt.conn, SEED, 0) & 7;
	for (to = 0; to < 2; to++) {
		ck_assert_int_eq(bpf_map_update_elem(pins.map[PINS_STEERING],
					 &entry, &to, 0),
			0);
		ck_assert_int_eq(fate_in(&f), (int)to);
		ck_assert_int_eq(fate_out((int)to, &back), 0);
		ck_assert_int_eq(fate_out(!to, &back),
			REFUSED + XDP_DROP_TX(STEER_TX_BUCKET));
	}
	ck_assert_int_eq(tables_sync(&pins, &tp.plan, 1500), 0);
	ck_assert_int_eq(fate_in(&f), (int)tp.entries[entry]);
}
END_TEST

/* Of both families and uplinks: what one's own VNIC may send, no other may. */
START_TEST(test_out_own)
{
	static const struct {
		uint8_t proto;
		const char *src, *dst;
		uint16_t sport;
		int uplink;
	} row[] = {
		{ TCP, VIP, CLIENT, 80, 0 },
		{ TCP, VIP6, CLIENT6, 80, 0 },
		{ UDP, VIP, CLIENT, 53, 0 },
		{ TCP, SNAT, SERVER, 5000, 1 },
		{ TCP, SNAT, SERVER, 5001, 1 },
		{ UDP, SNAT6, SERVER6, 5001, 1 },
		{ TCP, ONE, CLIENT, 8080, 0 },
		{ TCP, ONE, SERVER, 8081, 1 },
		{ UDP, PING, CLIENT, 7, 0 },
	};
	struct steer_packet pkt;
	struct frame f;

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++)
		for (uint16_t port = 3000; port < 3050; port++) {
			int owner;

			out_flow(&f, row[i].proto, row[i].src, row[i].sport,
				row[i].dst, port);
			steer_parse(f.b, f.b + f.n, STEER_OUT, &pkt);
			owner = plan_vnic(&pkt.conn);
			ck_assert_int_eq(fate_out(owner, &f), row[i].uplink);
			if (owner < 2)
				ck_assert_int_eq(fate_out(!owner, &f),
					REFUSED + XDP_DROP_TX(STEER_TX_BUCKET));
		}
}
END_TEST

START_TEST(test_out_refused)
{
	static const struct {
		uint8_t proto;
		const char *src;
		uint16_t sport;
		int why;
	} row[] = {
		{ TCP, "10.0.0.81", 80, XDP_DROP_TX(STEER_TX_ADDRESS) },
		{ TCP, PING, 80, XDP_DROP_TX(STEER_TX_ADDRESS) },
		{ UDP, PING, 7, XDP_DROP_TX(STEER_TX_ADDRESS) },
		{ TCP, "fd00::81", 80, XDP_DROP_TX(STEER_TX_ADDRESS) },
		{ TCP, VIP, 22, XDP_DROP_TX(STEER_TX_PORT) },
		{ UDP, VIP, 80, XDP_DROP_TX(STEER_TX_PORT) },
		{ UDP, VIP, 7777, XDP_DROP_TX(STEER_TX_PORT) },
		{ TCP, VIP6, 443, XDP_DROP_TX(STEER_TX_PORT) },
		{ TCP, SNAT, 1023, XDP_DROP_TX(STEER_TX_PORT) },
		{ TCP, SNAT6, 22, XDP_DROP_TX(STEER_TX_PORT) },
		{ TCP, SNAT, 5001, XDP_DROP_TX(STEER_TX_BUCKET) },
		{ 132, VIP, 80, XDP_DROP_TX(STEER_TX_PROTOCOL) },
	};
	struct frame f;

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		int fate;

		out_flow(&f, row[i].proto, row[i].src, row[i].sport,
			strchr(row[i].src, ':') ? CLIENT6 : CLIENT, 4000);
		fate = fate_out(0, &f);
		ck_assert_msg(fate == REFUSED + (int)row[i].why, "row %zu: %d",
			i, fate);
	}
}
END_TEST

START_TEST(test_out_not_ip)
{
	static const uint16_t type[] = { 0x0806, 0x8100, 0x88a8, 0x88cc };
	struct frame f;

	for (size_t i = 0; i < 4; i++) {
		out_flow(&f, TCP, SNAT, 5000, SERVER, 80);
		f.b[12] = (uint8_t)(type[i] >> 8);
		f.b[13] = (uint8_t)type[i];
		ck_assert_int_eq(fate_out(0, &f),
			REFUSED + XDP_DROP_TX(STEER_TX_ETHERTYPE));
	}
}
END_TEST

START_TEST(test_out_forged_header)
{
	struct frame f;

	out_flow(&f, TCP, SNAT, 5000, SERVER, 80);
	ck_assert_int_eq(fate_out(0, &f), 1);
	f.b[11] ^= 1;
	ck_assert_int_eq(fate_out(0, &f), REFUSED + XDP_DROP_TX(STEER_TX_MAC));
	f.b[11] ^= 1;
	f.b[6] ^= 4;
	ck_assert_int_eq(fate_out(0, &f), REFUSED + XDP_DROP_TX(STEER_TX_MAC));
	f.b[6] ^= 4;
	f.n = 40;
	ck_assert_int_eq(
		fate_out(0, &f), REFUSED + XDP_DROP_TX(STEER_TX_MALFORMED));
}
END_TEST

START_TEST(test_out_icmp)
{
	static const int refused = REFUSED + XDP_DROP_TX(STEER_TX_ICMP);
	struct frame f;

	frame_icmp(&f, frame_theirs, frame_ours, 0, PING, CLIENT);
	ck_assert_int_eq(fate_out(2, &f), 0);
	ck_assert_int_eq(
		fate_out(0, &f), REFUSED + XDP_DROP_TX(STEER_TX_ADDRESS));
	frame_icmp(&f, frame_theirs, frame_ours, 129, PING6, CLIENT6);
	ck_assert_int_eq(fate_out(2, &f), 0);
	/* A request, a redirect, a neighbour advertisement. */
	frame_icmp(&f, frame_theirs, frame_ours, 8, PING, CLIENT);
	ck_assert_int_eq(fate_out(2, &f), refused);
	frame_icmp(&f, frame_theirs, frame_ours, 5, PING, CLIENT);
	ck_assert_int_eq(fate_out(2, &f), refused);
	frame_icmp(&f, frame_theirs, frame_ours, 136, PING6, CLIENT6);
	ck_assert_int_eq(fate_out(2, &f), refused);
}
END_TEST

START_TEST(test_out_error)
{
	struct frame f, flow;

	for (uint16_t port = 3000; port < 3050; port++) {
		int owner;

		/* To the client: about what it sent. */
		in_flow(&flow, TCP, CLIENT, port, VIP, 80);
		owner = fate_in(&flow);
		frame_error(&f, frame_theirs, frame_ours, 3, VIP, TCP, CLIENT,
			port, VIP, 80);
		ck_assert_int_eq(fate_out(owner, &f), 0);
		ck_assert_int_eq(fate_out(!owner, &f),
			REFUSED + XDP_DROP_TX(STEER_TX_BUCKET));
		/* To the backend: likewise. */
		frame_error(&f, frame_theirs, frame_ours, 2, SNAT6, TCP,
			SERVER6, 80, SNAT6, port);
		ck_assert_int_eq(fate_out(port & 1, &f), 1);
		ck_assert_int_eq(fate_out(!(port & 1), &f),
			REFUSED + XDP_DROP_TX(STEER_TX_BUCKET));
		/* In the name of somebody else. */
		frame_error(&f, frame_theirs, frame_ours, 3, "10.0.0.1", TCP,
			CLIENT, port, VIP, 80);
		ck_assert_int_eq(fate_out(owner, &f),
			REFUSED + XDP_DROP_TX(STEER_TX_ICMP));
		frame_error(&f, frame_theirs, frame_ours, 3, "10.0.0.1", TCP,
			CLIENT, port, "10.0.0.1", 80);
		ck_assert_int_eq(fate_out(owner, &f),
			REFUSED + XDP_DROP_TX(STEER_TX_ADDRESS));
	}
}
END_TEST

static int
fragment_out(int i, uint8_t proto, const char *src, uint16_t sport,
	const char *dst, uint16_t offset, int more)
{
	struct cut cut = { 5, offset, more };
	struct frame f;

	frame_flow(&f, frame_theirs, frame_ours, proto, src, sport, dst, 4000,
		&cut);
	return fate_out(i, &f);
}

START_TEST(test_out_fragments)
{
	struct frame f;
	int owner;

	in_flow(&f, UDP, CLIENT, 4000, VIP, 53);
	owner = fate_in(&f);
	ck_assert_int_eq(fragment_out(owner, UDP, VIP, 53, CLIENT, 0, 1), 0);
	ck_assert_int_eq(fragment_out(owner, UDP, VIP, 0, CLIENT, 1480, 0), 0);
	ck_assert_int_eq(fragment_out(1, UDP, SNAT, 5001, SERVER, 0, 1), 1);
	ck_assert_int_eq(fragment_out(1, UDP, SNAT6, 0, SERVER6, 1480, 0), 1);
	ck_assert_int_eq(fragment_out(1, TCP, SNAT, 5001, SERVER, 0, 1),
		REFUSED + XDP_DROP_TX(STEER_TX_FRAGMENT));
	ck_assert_int_eq(fragment_out(0, TCP, VIP, 0, CLIENT, 1480, 0),
		REFUSED + XDP_DROP_TX(STEER_TX_FRAGMENT));
	ck_assert_int_eq(fragment_out(2, UDP, PING, 0, CLIENT, 1480, 0),
		REFUSED + XDP_DROP_TX(STEER_TX_FRAGMENT));
	ck_assert_int_eq(fragment_out(0, UDP, "10.0.0.1", 0, CLIENT, 8, 0),
		REFUSED + XDP_DROP_TX(STEER_TX_ADDRESS));
}
END_TEST

/* How many of `n` full frames VNIC `v` gets out; the others are drops `why`. */
static int
count_sent(int v, int n, int why)
{
	int sent = 0, by = v < 2;
	struct frame f;

	if (v < 2)
		out_flow(&f, TCP, SNAT, (uint16_t)(5000 + v), SERVER, 80);
	else
		out_flow(&f, UDP, PING, 7, CLIENT, 4000);
	f.n = 1514;
	for (int i = 0; i < n; i++) {
		int fate = fate_out(v, &f);

		ck_assert_msg(fate == by || fate == REFUSED + why,
			"VNIC %d: %d", v, fate);
		sent += fate == by;
	}
	return sent;
}

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * POLICE_NS_PER_S + (uint64_t)t.tv_nsec;
}

/*
 * Send without a pause for half a second of which the burst takes no part: as
 * many frames get out as the time that passed makes, and one more or less.
 */
static void
assert_rate(int v, int why, uint64_t pps)
{
	uint64_t start, end;
	int sent = 0;

	count_sent(v, 200, why);
	start = now_ns();
	do {
		sent += count_sent(v, 20, why);
		end = now_ns();
	} while (end - start < POLICE_NS_PER_S / 2);
	ck_assert_uint_le(
		(uint64_t)sent, (end - start) * pps / POLICE_NS_PER_S + 2);
	ck_assert_uint_ge((uint64_t)sent + 2 + pps / 10,
		(end - start) * pps / POLICE_NS_PER_S);
}

/* At so low a rate the burst alone gets out, and then its rate. */
START_TEST(test_out_rate)
{
	const int why = XDP_DROP_TX(STEER_TX_RATE);
	int sent;

	pins.rates[0] = tables_rate(100000, 0, 1500);
	sent = count_sent(0, 200, why);
	ck_assert_int_ge(sent, 64);
	ck_assert_int_le(sent, 80);
	pins.rates[0] = tables_rate(0, 100, 1500);
	sent = count_sent(0, 200, why);
	ck_assert_int_ge(sent, 64);
	ck_assert_int_le(sent, 100);
	assert_rate(0, why, 100);
	pins.rates[0] = tables_rate(0, 0, 1500);
	ck_assert_int_eq(count_sent(0, 200, why), 200);
}
END_TEST

/* One limit for both VNICs of a function, and none for the other function. */
START_TEST(test_out_total)
{
	const int why = XDP_DROP_TX(STEER_TX_RATE);
	struct police_rate *row = &pins.rates[XDP_RATE_OF_FUNCTION(N_VNICS, 0)];
	int sent;

	*row = tables_rate(100000, 0, 1500);
	sent = count_sent(0, 40, why);
	ck_assert_int_eq(sent, 40);
	sent += count_sent(1, 200, why);
	ck_assert_int_ge(sent, 64);
	ck_assert_int_le(sent, 80);
	ck_assert_int_le(count_sent(0, 40, why), 8);
	*row = tables_rate(0, 100, 1500);
	sent = count_sent(0, 100, why) + count_sent(1, 100, why);
	ck_assert_int_ge(sent, 64);
	ck_assert_int_le(sent, 100);
	assert_rate(1, why, 100);
	ck_assert_int_eq(count_sent(2, 200, why), 200);
	*row = tables_rate(0, 0, 1500);
	ck_assert_int_eq(count_sent(0, 200, why), 200);
}
END_TEST

/*
 * A reload with another rate gives no second burst: 200 frames at 100 kb/s
 * take 24 s, of which the second rate has as much to wait for.
 */
START_TEST(test_out_rate_reloaded)
{
	const int why = XDP_DROP_TX(STEER_TX_RATE);

	tp.functions[0].total_rate_bps = 100000;
	ck_assert_int_eq(tables_sync(&pins, &tp.plan, 1500), 0);
	ck_assert_int_ge(count_sent(0, 200, why), 64);
	tp.functions[0].total_rate_bps = 110000;
	ck_assert_int_eq(tables_sync(&pins, &tp.plan, 1500), 0);
	ck_assert_int_le(count_sent(1, 200, why), 16);
	tp.functions[0].total_rate_bps = 0;
	ck_assert_int_eq(tables_sync(&pins, &tp.plan, 1500), 0);
	ck_assert_int_eq(count_sent(1, 200, why), 200);
}
END_TEST

/* Let uplink `u` be as full of both functions as it gets. */
static void
set_share(uint32_t u, uint64_t bps, uint32_t w0, uint32_t w1)
{
	tp.uplinks[u].rate_bps = bps;
	tp.functions[0].weight = w0;
	tp.functions[1].weight = w1;
	ck_assert_int_eq(tables_sync(&pins, &tp.plan, 1500), 0);
}

/* A frame of function 0 from the services' uplink, that of the other one. */
static int
fate_of_vip(void)
{
	struct frame f;
	int v;

	in_flow(&f, TCP, CLIENT, 4000, VIP, 80);
	v = fate_in(&f);
	out_flow(&f, TCP, VIP, 80, CLIENT, 4000);
	f.n = 1514;
	return fate_out(v, &f);
}

/* Both send without a pause; weights 1 and 3, so 250 and 750 frames/s. */
START_TEST(test_out_share)
{
	const int why = REFUSED + XDP_DROP_TX(STEER_TX_SHARE);
	uint64_t start, end = 0, ideal;
	int sent[2] = { 0 }, fate;
	struct frame f;

	set_share(0, 1514 * 8 * 1000, 1, 3);
	out_flow(&f, UDP, PING, 7, CLIENT, 4000);
	f.n = 1514;
	/* Not before both have used up what they may burst. */
	for (int none[2] = { 0 }; none[0] < 100 || none[1] < 100;) {
		none[0] += fate_of_vip() == why;
		none[1] += fate_out(2, &f) == why;
	}
	start = now_ns();
	while (end < start + POLICE_NS_PER_S) {
		fate = fate_of_vip();
		ck_assert(fate == 0 || fate == why);
		sent[0] += fate == 0;
		fate = fate_out(2, &f);
		ck_assert(fate == 0 || fate == why);
		sent[1] += fate == 0;
		end = now_ns();
	}
	ideal = (end - start) / 1000000;
	ck_assert_uint_le((uint64_t)(sent[0] + sent[1]), ideal + 4);
	ck_assert_uint_ge(
		(uint64_t)(sent[0] + sent[1]) + 4 + ideal / 10, ideal);
	ck_assert_int_ge(sent[1] * 10, sent[0] * 27);
	ck_assert_int_le(sent[1] * 10, sent[0] * 33);
	/* The other uplink is not full: it has no rate. */
	ck_assert_int_eq(count_sent(0, 200, -1), 200);
	set_share(0, 0, 1, 1);
	ck_assert_int_eq(count_sent(2, 200, -1), 200);
}
END_TEST

START_TEST(test_rate_parameters)
{
	struct police_rate r = tables_rate(1000000000, 0, 1500);

	ck_assert_uint_eq(r.byte_cost, POLICE_TICKS(8));
	ck_assert_uint_eq(r.burst_bytes, 64 * 1514);
	ck_assert_uint_eq(r.packet_cost, 0);
	r = tables_rate(0, 1000000, 1500);
	ck_assert_uint_eq(r.packet_cost, POLICE_TICKS(1000));
	ck_assert_uint_eq(r.byte_cost, 0);
	r = tables_rate(400000000000, 0, 9000);
	ck_assert_uint_eq(r.byte_cost, POLICE_TICKS(1) / 50);
	ck_assert_uint_eq(r.burst_bytes, 64 * 9014);
}
END_TEST

/* Whatever the bytes: what leaves is of a bucket of the VNIC's own. */
START_TEST(test_out_random_agrees)
{
	struct steer_packet pkt;
	int sent = 0, refused = 0;
	struct frame f;

	srandom(7);
	for (int i = 0; i < 20000; i++) {
		int v = (int)(random() % N_VNICS), fate;

		random_frame(&f);
		scramble(&f);
		memcpy(f.b, frame_theirs, 6);
		memcpy(f.b + 6, frame_ours, 6);
		if (random() & 1) {
			uint8_t a[16];

			memcpy(a, f.b + 22, 16);
			memcpy(f.b + 22, f.b + 38, 16);
			memcpy(f.b + 38, a, 16);
		}
		steer_parse(f.b, f.b + f.n, STEER_OUT, &pkt);
		if (pkt.kind == STEER_K_FRAGMENT || pkt.first)
			continue;
		fate = fate_out(v, &f);
		if (fate >= REFUSED) {
			refused++;
			ck_assert(pkt.kind < STEER_K_FLOW ||
				  plan_vnic(&pkt.conn) != v);
			continue;
		}
		sent++;
		ck_assert_int_ge(pkt.kind, STEER_K_FLOW);
		ck_assert_int_eq(plan_vnic(&pkt.conn), v);
	}
	ck_assert_int_gt(sent, 100);
	ck_assert_int_gt(refused, 1000);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("xdp filter");

	tcase_set_timeout(t, 120);
	tcase_add_test(t, test_moved_bucket_moves_filter);
	tcase_add_test(t, test_out_own);
	tcase_add_test(t, test_out_refused);
	tcase_add_test(t, test_out_not_ip);
	tcase_add_test(t, test_out_forged_header);
	tcase_add_test(t, test_out_icmp);
	tcase_add_test(t, test_out_error);
	tcase_add_test(t, test_out_fragments);
	tcase_add_test(t, test_out_rate);
	tcase_add_test(t, test_out_total);
	tcase_add_test(t, test_out_rate_reloaded);
	tcase_add_test(t, test_out_share);
	tcase_add_test(t, test_rate_parameters);
	tcase_add_test(t, test_out_random_agrees);
	return run_cases("xdp filter", t);
}
