/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The transmit filter of a VNIC: what is let out, each refusal by name, and
 * thousands of random packets of which none may leave that is of no bucket of
 * the VNIC's own. Needs root.
 */
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

static void
set_rate(uint32_t i, uint64_t bps, uint64_t pps)
{
	struct xdp_rate r = tables_rate(bps, pps, 1500);

	ck_assert_int_eq(
		bpf_map_update_elem(pins.map[PINS_RATES], &i, &r, BPF_F_LOCK),
		0);
}

static int
count_sent(int n)
{
	struct frame f;
	int sent = 0;

	out_flow(&f, TCP, SNAT, 5000, SERVER, 80);
	f.n = 1514;
	for (int i = 0; i < n; i++) {
		int fate = fate_out(0, &f);

		ck_assert(fate == 1 ||
			  fate == REFUSED + XDP_DROP_TX(STEER_TX_RATE));
		sent += fate == 1;
	}
	return sent;
}

/* At so low a rate the burst alone gets out, and a second later its share. */
START_TEST(test_out_rate)
{
	int sent;

	set_rate(0, 100000, 0);
	sent = count_sent(200);
	ck_assert_int_ge(sent, 64);
	ck_assert_int_le(sent, 80);
	set_rate(0, 0, 100);
	sent = count_sent(200);
	ck_assert_int_ge(sent, 64);
	ck_assert_int_le(sent, 100);
	usleep(500000);
	sent = count_sent(200);
	ck_assert_int_ge(sent, 40);
	ck_assert_int_le(sent, 90);
	set_rate(0, 0, 0);
	ck_assert_int_eq(count_sent(200), 200);
}
END_TEST

START_TEST(test_rate_parameters)
{
	struct xdp_rate r = tables_rate(1000000000, 0, 1500);

	ck_assert_uint_eq(r.byte_cost, 8u << XDP_COST_SHIFT);
	ck_assert_uint_eq(r.byte_burst_ns, 200000000);
	ck_assert_uint_eq(r.packet_cost, 0);
	r = tables_rate(0, 1000000, 1500);
	ck_assert_uint_eq(r.packet_cost, 1000u << XDP_COST_SHIFT);
	ck_assert_uint_eq(r.limited, 1);
	r = tables_rate(400000000000, 0, 9000);
	ck_assert_uint_eq(r.byte_cost, (1u << XDP_COST_SHIFT) / 50);
	ck_assert_uint_eq(tables_rate(0, 0, 1500).limited, 0);
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
	tcase_add_test(t, test_rate_parameters);
	tcase_add_test(t, test_out_random_agrees);
	return run_cases("xdp filter", t);
}
