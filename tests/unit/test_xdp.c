/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The BPF programs, run by the kernel on packet tables (BPF_PROG_TEST_RUN):
 * every pass and every drop by name, and thousands of random packets on which
 * the program in the kernel and its C twin must agree. Needs root.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "ctrl/xdp/pins.h"
#include "ctrl/xdp/tables.h"
#include "dataplane/steer_packet.h"
#include "tests/unit/xdp_plan.h"
#include "uplink.skel.h"
#include "vnic.skel.h"

#define SKIP   77
#define CLIENT "192.0.2.5"
#define SERVER "10.0.1.21"

#define CLIENT6 "2001:db8::5"
#define SERVER6 "fd00:1::21"

#define TCP IPPROTO_TCP
#define UDP IPPROTO_UDP

static struct test_plan tp;
static struct pins pins;
static struct uplink_bpf *uplink;
static struct vnic_bpf *vnic[N_VNICS];
static unsigned int n_cpus;

struct state {
	struct xdp_uplink_counters uplink[2];
	struct xdp_vnic_counters vnic[N_VNICS];
};

static void
sum_rows(enum pins_map map, uint32_t i, uint64_t *total, size_t words)
{
	uint64_t *row = calloc(n_cpus, words * sizeof(*row));

	ck_assert_int_eq(bpf_map_lookup_elem(pins.map[map], &i, row), 0);
	memset(total, 0, words * sizeof(*total));
	for (size_t k = 0; k < n_cpus * words; k++)
		total[k % words] += row[k];
	free(row);
}

static struct state
look(void)
{
	struct state s;

	for (uint32_t i = 0; i < 2; i++)
		sum_rows(PINS_UPLINK_COUNTERS, i, (uint64_t *)&s.uplink[i],
			sizeof(s.uplink[i]) / 8);
	for (uint32_t i = 0; i < N_VNICS; i++)
		sum_rows(PINS_VNIC_COUNTERS, i, (uint64_t *)&s.vnic[i],
			sizeof(s.vnic[i]) / 8);
	return s;
}

static uint32_t
run(struct bpf_program *prog, const struct frame *f)
{
	uint8_t out[FRAME_MAX];
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = f->b,
		.data_size_in = (__u32)f->n, .data_out = out,
		.data_size_out = sizeof(out));

	ck_assert_int_eq(bpf_prog_test_run_opts(bpf_program__fd(prog), &o), 0);
	ck_assert_uint_eq(o.data_size_out, f->n);
	ck_assert_mem_eq(out, f->b, f->n);
	return o.retval;
}

/* What became of a frame: VNIC or uplink number, or what else. */
enum fate {
	KERNEL = 100,
	DOWN,     /* dropped: the VNIC is down */
	FRAGMENT, /* dropped by the uplink: see enum xdp_uplink_drop */
	UNKNOWN,
	VLAN,
	REFUSED, /* REFUSED + enum xdp_vnic_drop: by the transmit filter */
};

static int
fate_in(const struct frame *f)
{
	struct state a = look(), b;
	uint32_t ret = run(uplink->progs.uplink_rx, f);

	b = look();
	ck_assert_uint_eq(b.uplink[1].passed, a.uplink[1].passed);
	if (ret == XDP_PASS) {
		ck_assert_uint_eq(b.uplink[0].passed, a.uplink[0].passed + 1);
		return b.uplink[0].drop[XDP_COUNT_VLAN] >
				       a.uplink[0].drop[XDP_COUNT_VLAN]
			       ? VLAN
			       : KERNEL;
	}
	for (int i = 0; i < N_VNICS; i++)
		if (b.vnic[i].rx_packets > a.vnic[i].rx_packets) {
			ck_assert_uint_eq(ret, XDP_REDIRECT);
			ck_assert_uint_eq(
				b.vnic[i].rx_bytes, a.vnic[i].rx_bytes + f->n);
			ck_assert_uint_eq(b.uplink[0].rx_bytes,
				a.uplink[0].rx_bytes + f->n);
			return i;
		}
	ck_assert_uint_eq(ret, XDP_DROP);
	for (int i = 0; i < 2; i++)
		if (b.uplink[0].drop[i] > a.uplink[0].drop[i])
			return FRAGMENT + i;
	for (int i = 0; i < N_VNICS; i++)
		if (b.vnic[i].drop[XDP_DROP_INSTANCE_DOWN] >
			a.vnic[i].drop[XDP_DROP_INSTANCE_DOWN])
			return DOWN;
	ck_abort_msg("dropped and not counted");
	return -1;
}

static int
fate_out(int i, const struct frame *f)
{
	struct state a = look(), b;
	uint32_t ret = run(vnic[i]->progs.vnic_tx, f);

	b = look();
	for (int u = 0; u < 2; u++)
		if (b.uplink[u].tx_packets > a.uplink[u].tx_packets) {
			ck_assert_uint_eq(ret, XDP_REDIRECT);
			ck_assert_uint_eq(
				b.vnic[i].tx_bytes, a.vnic[i].tx_bytes + f->n);
			return u;
		}
	ck_assert_uint_eq(ret, XDP_DROP);
	ck_assert_uint_eq(b.vnic[i].tx_packets, a.vnic[i].tx_packets);
	for (int r = 0; r < XDP_VNIC_DROPS; r++)
		if (b.vnic[i].drop[r] > a.vnic[i].drop[r])
			return REFUSED + r;
	ck_abort_msg("dropped and not counted");
	return -1;
}

/* The plan's row for a connection's own side, the slow and plain way. */
static const struct steer_target *
plan_find(const struct steer_tuple *c)
{
	const struct steer_target *snat = NULL;

	for (unsigned int i = 0; i < tp.plan.n_steers; i++) {
		const struct plan_steer *s = &tp.steers[i];

		if (!ip_addr_eq(&s->key.addr, &c->dst))
			continue;
		if (s->target.flags & STEER_F_SNAT)
			snat = ntohs(c->dport) >= 1024 ? &s->target : NULL;
		else if (s->key.port == c->dport && s->key.proto == c->proto)
			return &s->target;
	}
	return snat;
}

static int
plan_vnic(const struct steer_tuple *c)
{
	const struct steer_target *t = plan_find(c);

	return t ? (int)tp.entries[t->first + steer_bucket(c, SEED, t)]
		 : KERNEL;
}

/* Where a frame that comes in should go, by the C code alone. */
static int
model_in(const struct frame *f)
{
	struct steer_packet pkt;

	if (steer_parse(f->b, f->b + f->n, STEER_IN, &pkt) < STEER_K_FLOW)
		return pkt.kind == STEER_K_VLAN ? VLAN : KERNEL;
	return plan_vnic(&pkt.conn);
}

static void
in_flow(struct frame *f, uint8_t proto, const char *src, uint16_t sport,
	const char *dst, uint16_t dport)
{
	frame_flow(f, frame_ours, frame_theirs, proto, src, sport, dst, dport,
		NULL);
}

static void
out_flow(struct frame *f, uint8_t proto, const char *src, uint16_t sport,
	const char *dst, uint16_t dport)
{
	frame_flow(f, frame_theirs, frame_ours, proto, src, sport, dst, dport,
		NULL);
}

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
		ck_assert_int_eq(
			fate_out(!to, &back), REFUSED + XDP_DROP_TX_BUCKET);
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
					REFUSED + XDP_DROP_TX_BUCKET);
		}
}
END_TEST

START_TEST(test_out_refused)
{
	static const struct {
		uint8_t proto;
		const char *src;
		uint16_t sport;
		enum xdp_vnic_drop why;
	} row[] = {
		{ TCP, "10.0.0.81", 80, XDP_DROP_TX_ADDRESS },
		{ TCP, PING, 80, XDP_DROP_TX_ADDRESS },
		{ UDP, PING, 7, XDP_DROP_TX_ADDRESS },
		{ TCP, "fd00::81", 80, XDP_DROP_TX_ADDRESS },
		{ TCP, VIP, 22, XDP_DROP_TX_PORT },
		{ UDP, VIP, 80, XDP_DROP_TX_PORT },
		{ UDP, VIP, 7777, XDP_DROP_TX_PORT },
		{ TCP, VIP6, 443, XDP_DROP_TX_PORT },
		{ TCP, SNAT, 1023, XDP_DROP_TX_PORT },
		{ TCP, SNAT6, 22, XDP_DROP_TX_PORT },
		{ TCP, SNAT, 5001, XDP_DROP_TX_BUCKET },
		{ 132, VIP, 80, XDP_DROP_TX_PROTOCOL },
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
		ck_assert_int_eq(
			fate_out(0, &f), REFUSED + XDP_DROP_TX_ETHERTYPE);
	}
}
END_TEST

START_TEST(test_out_forged_header)
{
	struct frame f;

	out_flow(&f, TCP, SNAT, 5000, SERVER, 80);
	ck_assert_int_eq(fate_out(0, &f), 1);
	f.b[11] ^= 1;
	ck_assert_int_eq(fate_out(0, &f), REFUSED + XDP_DROP_TX_MAC);
	f.b[11] ^= 1;
	f.b[6] ^= 4;
	ck_assert_int_eq(fate_out(0, &f), REFUSED + XDP_DROP_TX_MAC);
	f.b[6] ^= 4;
	f.n = 40;
	ck_assert_int_eq(fate_out(0, &f), REFUSED + XDP_DROP_TX_MALFORMED);
}
END_TEST

START_TEST(test_out_icmp)
{
	static const int refused = REFUSED + XDP_DROP_TX_ICMP;
	struct frame f;

	frame_icmp(&f, frame_theirs, frame_ours, 0, PING, CLIENT);
	ck_assert_int_eq(fate_out(2, &f), 0);
	ck_assert_int_eq(fate_out(0, &f), REFUSED + XDP_DROP_TX_ADDRESS);
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
		ck_assert_int_eq(
			fate_out(!owner, &f), REFUSED + XDP_DROP_TX_BUCKET);
		/* To the backend: likewise. */
		frame_error(&f, frame_theirs, frame_ours, 2, SNAT6, TCP,
			SERVER6, 80, SNAT6, port);
		ck_assert_int_eq(fate_out(port & 1, &f), 1);
		ck_assert_int_eq(fate_out(!(port & 1), &f),
			REFUSED + XDP_DROP_TX_BUCKET);
		/* In the name of somebody else. */
		frame_error(&f, frame_theirs, frame_ours, 3, "10.0.0.1", TCP,
			CLIENT, port, VIP, 80);
		ck_assert_int_eq(
			fate_out(owner, &f), REFUSED + XDP_DROP_TX_ICMP);
		frame_error(&f, frame_theirs, frame_ours, 3, "10.0.0.1", TCP,
			CLIENT, port, "10.0.0.1", 80);
		ck_assert_int_eq(
			fate_out(owner, &f), REFUSED + XDP_DROP_TX_ADDRESS);
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
		REFUSED + XDP_DROP_TX_FRAGMENT);
	ck_assert_int_eq(fragment_out(0, TCP, VIP, 0, CLIENT, 1480, 0),
		REFUSED + XDP_DROP_TX_FRAGMENT);
	ck_assert_int_eq(fragment_out(2, UDP, PING, 0, CLIENT, 1480, 0),
		REFUSED + XDP_DROP_TX_FRAGMENT);
	ck_assert_int_eq(fragment_out(0, UDP, "10.0.0.1", 0, CLIENT, 8, 0),
		REFUSED + XDP_DROP_TX_ADDRESS);
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

		ck_assert(fate == 1 || fate == REFUSED + XDP_DROP_TX_RATE);
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
	ck_assert_uint_eq(r.byte_burst_ns, 20000000);
	ck_assert_uint_eq(r.packet_cost, 0);
	r = tables_rate(0, 1000000, 1500);
	ck_assert_uint_eq(r.packet_cost, 1000u << XDP_COST_SHIFT);
	ck_assert_uint_eq(r.limited, 1);
	r = tables_rate(400000000000, 0, 9000);
	ck_assert_uint_eq(r.byte_cost, (1u << XDP_COST_SHIFT) / 50);
	ck_assert_uint_eq(tables_rate(0, 0, 1500).limited, 0);
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

static const char *
pick(const char *const *of, size_t n)
{
	return of[(size_t)random() % n];
}

static void
random_frame(struct frame *f)
{
	static const char *const ours4[] = { VIP, SNAT, ONE, PING };
	static const char *const ours6[] = { VIP6, SNAT6, PING6 };
	static const uint16_t ports[] = { 7, 53, 80, 8080, 7777, 1023, 1024 };
	int v6 = random() & 1;
	const char *us = v6 ? pick(ours6, 3) : pick(ours4, 4);
	const char *them = v6 ? CLIENT6 : CLIENT;
	uint16_t port = random() & 1 ? ports[random() % 7] : (uint16_t)random();
	uint16_t peer = (uint16_t)random();
	uint8_t proto = random() & 1 ? TCP : UDP;

	switch (random() % 4) {
	case 0:
		frame_icmp(f, frame_ours, frame_theirs, v6 ? 128 : 8, them, us);
		break;
	case 1:
		frame_error(f, frame_ours, frame_theirs, v6 ? 2 : 3, them,
			proto, us, port, them, peer);
		break;
	default:
		in_flow(f, proto, them, peer, us, port);
	}
}

/* Noise behind the Ethernet header, fragments set aside: they have state. */
static int
scramble(struct frame *f)
{
	struct steer_packet pkt;

	for (long k = random() % 4; k > 0; k--)
		f->b[12 + (size_t)random() % (f->n - 12)] = (uint8_t)random();
	steer_parse(f->b, f->b + f->n, STEER_IN, &pkt);
	return pkt.kind != STEER_K_FRAGMENT && !pkt.first;
}

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

/* One table set for all programs, the uplink's program making it. */
static int
load_uplink(void)
{
	struct bpf_map *m;

	uplink = uplink_bpf__open();
	if (!uplink)
		return -errno;
	uplink->rodata->seed = SEED;
	bpf_map__set_max_entries(uplink->maps.steering, N_ENTRIES);
	bpf_map__set_max_entries(uplink->maps.uplinks, 2);
	bpf_map__set_max_entries(uplink->maps.uplink_counters, 2);
	bpf_map__set_max_entries(uplink->maps.to_uplink, 2);
	bpf_object__for_each_map(m, uplink->obj)
	{
		const char *name = bpf_map__name(m);

		if (!strcmp(name, "vnics") || !strcmp(name, "vnic_counters") ||
			!strcmp(name, "to_vnic") || !strcmp(name, "rates"))
			bpf_map__set_max_entries(m, N_VNICS);
	}
	return uplink_bpf__load(uplink);
}

static int
load_vnic(uint32_t i)
{
	struct bpf_map *m, *theirs;

	vnic[i] = vnic_bpf__open();
	if (!vnic[i])
		return -errno;
	vnic[i]->rodata->vnic_index = i;
	vnic[i]->rodata->function_index = tp.instances[i].function;
	vnic[i]->rodata->seed = SEED;
	bpf_object__for_each_map(m, vnic[i]->obj)
	{
		theirs = bpf_object__find_map_by_name(
			uplink->obj, bpf_map__name(m));
		if (theirs && !bpf_map__is_internal(m))
			bpf_map__reuse_fd(m, bpf_map__fd(theirs));
	}
	return vnic_bpf__load(vnic[i]);
}

/* The rows of an array that can be mapped; lives as long as the process. */
static void *
memory(struct bpf_map *m)
{
	return mmap(NULL, (size_t)getpagesize(), PROT_READ | PROT_WRITE,
		MAP_SHARED, bpf_map__fd(m), 0);
}

static void
take_maps(void)
{
	pins.map[PINS_SERVICES] = bpf_map__fd(uplink->maps.services);
	pins.map[PINS_SNAT] = bpf_map__fd(uplink->maps.snat);
	pins.map[PINS_HOSTS] = bpf_map__fd(uplink->maps.hosts);
	pins.map[PINS_STEERING] = bpf_map__fd(uplink->maps.steering);
	pins.map[PINS_RATES] = bpf_map__fd(uplink->maps.rates);
	pins.map[PINS_VNIC_COUNTERS] = bpf_map__fd(uplink->maps.vnic_counters);
	pins.map[PINS_UPLINK_COUNTERS] =
		bpf_map__fd(uplink->maps.uplink_counters);
	pins.uplinks = memory(uplink->maps.uplinks);
	pins.vnics = memory(uplink->maps.vnics);
}

/* Any device does as a target: the kernel says where it would redirect to. */
static int
fill(void)
{
	uint32_t loopback = 1;

	for (uint32_t i = 0; i < 2; i++) {
		memcpy(pins.uplinks[i].mac, frame_ours, 6);
		if (bpf_map__update_elem(uplink->maps.to_uplink, &i, sizeof(i),
			    &loopback, sizeof(loopback), 0))
			return -errno;
	}
	for (uint32_t i = 0; i < N_VNICS; i++) {
		pins.vnics[i].up = 1;
		if (bpf_map__update_elem(uplink->maps.to_vnic, &i, sizeof(i),
			    &loopback, sizeof(loopback), 0))
			return -errno;
	}
	return tables_sync(&pins, &tp.plan, 1500);
}

static int
load(void)
{
	int err = load_uplink();

	for (uint32_t i = 0; i < N_VNICS && !err; i++)
		err = load_vnic(i);
	if (err)
		return err;
	n_cpus = (unsigned int)libbpf_num_possible_cpus();
	take_maps();
	return fill();
}

static TCase *
cases(void)
{
	TCase *t = tcase_create("xdp");

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
	tcase_add_test(t, test_update);
	tcase_add_test(t, test_in_random_agrees);
	tcase_add_test(t, test_out_random_agrees);
	return t;
}

int
main(void)
{
	Suite *s = suite_create("xdp");
	SRunner *sr = srunner_create(s);
	int err, failed;

	plan_by_hand(&tp, "lo", "lo");
	if (geteuid()) {
		printf("skipped: BPF programs need root\n");
		return SKIP;
	}
	err = load();
	if (err == -EPERM || err == -ENOSYS) {
		printf("skipped: no BPF here: %s\n", strerror(-err));
		return SKIP;
	}
	if (err) {
		printf("cannot load the programs: %s\n", strerror(-err));
		return 1;
	}
	suite_add_tcase(s, cases());
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	for (int i = 0; i < N_VNICS; i++)
		vnic_bpf__destroy(vnic[i]);
	uplink_bpf__destroy(uplink);
	return failed ? 1 : 0;
}
