/* SPDX-License-Identifier: BSD-3-Clause */
/* Connections over time: states, time-outs, floods, ports, schedulers. */
#include <errno.h>
#include <stdio.h>

#include <rte_malloc.h>

#include "lb_lab.h"
#include "nf/lb/lb.h"

#define CLIENT "192.0.2.1"
#define VIP    "10.0.0.80"
#define SNAT   "10.0.0.9"
#define BACK   "10.0.1.21"

#define DROP(r) NF_DROP(LB_DROP_##r)

static struct spec
syn(const char *client, uint16_t port)
{
	return (struct spec)SPEC(client, VIP, port, 80, IPPROTO_TCP,
		.flags = PACKET_SYN, .seq = 1000);
}

static struct spec
from_client(uint16_t port, uint8_t flags, uint32_t seq, uint32_t ack)
{
	return (struct spec)SPEC(CLIENT, VIP, port, 80, IPPROTO_TCP,
		.flags = flags, .seq = seq, .ack = ack);
}

static struct spec
from_backend(uint16_t port, uint8_t flags, uint32_t seq, uint32_t ack)
{
	return (struct spec)SPEC(BACK, SNAT, 8080, port, IPPROTO_TCP,
		.flags = flags, .seq = seq, .ack = ack);
}

/* A client address by number: 11.0.0.0 + n. */
static const char *
client_of(uint32_t n)
{
	static char text[16];

	snprintf(text, sizeof(text), "11.%u.%u.%u", n >> 16 & 255, n >> 8 & 255,
		n & 255);
	return text;
}

/* --- time-outs --- */

/* Each state ends at its time-out: still there before, gone after. */
START_TEST(test_syn_timeout)
{
	lab_simple(IPPROTO_TCP);
	lab_pass_through(syn(CLIENT, 1));
	ck_assert_uint_eq(lab.stats.half_open, 1);
	lab_pass(9900);
	ck_assert_uint_eq(lab.stats.connections, 1);
	lab_pass(200);
	ck_assert_uint_eq(lab.stats.connections, 0);
	ck_assert_uint_eq(lab.stats.half_open, 0);
	ck_assert_uint_eq(lab.stats.backend[0].failed, 1);
	ck_assert_uint_eq(nf_lb.tick(lab.lb, lab.now_us), 1000000);
	lab_stop();
}
END_TEST

/* The hand-shake does not prolong it: half-open is half-open. */
START_TEST(test_syn_rcvd_timeout)
{
	uint16_t port;

	lab_simple(IPPROTO_TCP);
	port = lab_pass_through(syn(CLIENT, 1));
	lab_pass_through(
		from_backend(port, PACKET_SYN | PACKET_ACK, 5000, 1001));
	ck_assert_uint_eq(lab.stats.half_open, 1);
	lab_pass(10100);
	ck_assert_uint_eq(lab.stats.connections, 0);
	ck_assert_uint_eq(lab.stats.backend[0].failed, 0);
	lab_stop();
}
END_TEST

START_TEST(test_established_timeout)
{
	lab_simple(IPPROTO_TCP);
	lab_connect(CLIENT, 1, BACK);
	ck_assert_uint_eq(lab.stats.half_open, 0);
	lab_pass(300000);
	lab_pass_through(from_client(1, PACKET_ACK, 1001, 5001));
	lab_pass(599000);
	ck_assert_uint_eq(lab.stats.connections, 1);
	lab_pass(1500);
	ck_assert_uint_eq(lab.stats.connections, 0);
	ck_assert_uint_eq(lab_try(from_client(1, PACKET_ACK, 1001, 5001)),
		DROP(NO_CONNECTION));
	lab_stop();
}
END_TEST

START_TEST(test_close_timeout)
{
	uint16_t port;

	lab_simple(IPPROTO_TCP);
	port = lab_connect(CLIENT, 1, BACK);
	lab_pass_through(from_client(1, PACKET_FIN | PACKET_ACK, 1001, 5001));
	lab_pass(29000);
	ck_assert_uint_eq(lab.stats.connections, 1);
	lab_pass_through(
		from_backend(port, PACKET_FIN | PACKET_ACK, 5001, 1002));
	lab_pass_through(from_client(1, PACKET_ACK, 1002, 5002));
	lab_pass(4900);
	ck_assert_uint_eq(lab.stats.connections, 1);
	lab_pass(200);
	ck_assert_uint_eq(lab.stats.connections, 0);
	lab_stop();
}
END_TEST

START_TEST(test_fin_timeout)
{
	lab_simple(IPPROTO_TCP);
	lab_connect(CLIENT, 1, BACK);
	lab_pass_through(from_client(1, PACKET_FIN | PACKET_ACK, 1001, 5001));
	lab_pass(29900);
	ck_assert_uint_eq(lab.stats.connections, 1);
	lab_pass(300);
	ck_assert_uint_eq(lab.stats.connections, 0);
	lab_stop();
}
END_TEST

START_TEST(test_udp_timeouts)
{
	struct spec s = SPEC(CLIENT, VIP, 7, 80, IPPROTO_UDP, .payload = 9);
	struct spec r = SPEC(BACK, SNAT, 8080, 0, IPPROTO_UDP, .payload = 9);

	lab_simple(IPPROTO_UDP);
	lab_pass_through(s);
	ck_assert_uint_eq(lab.stats.half_open, 1);
	lab_pass(10100);
	ck_assert_uint_eq(lab.stats.connections, 0);
	r.dport = lab_pass_through(s);
	lab_pass_through(r);
	ck_assert_uint_eq(lab.stats.half_open, 0);
	lab_pass(59900);
	ck_assert_uint_eq(lab.stats.connections, 1);
	lab_pass(300);
	ck_assert_uint_eq(lab.stats.connections, 0);
	lab_stop();
}
END_TEST

/* A stream that is never answered keeps its connection while it flows. */
START_TEST(test_one_way_udp)
{
	struct spec s = SPEC(CLIENT, VIP, 7, 80, IPPROTO_UDP, .payload = 9);
	uint16_t port;

	lab_simple(IPPROTO_UDP);
	port = lab_pass_through(s);
	for (int i = 0; i < 40; i++) {
		lab_pass(3000);
		ck_assert_uint_eq(lab_pass_through(s), port);
	}
	ck_assert_uint_eq(lab.stats.opened, 1);
	lab_pass(20100);
	ck_assert_uint_eq(lab.stats.connections, 0);
	lab_stop();
}
END_TEST

/* --- resets and reuse --- */

START_TEST(test_blind_reset)
{
	uint16_t port;

	lab_simple(IPPROTO_TCP);
	port = lab_connect(CLIENT, 1, BACK);
	lab_pass_through(from_client(1, PACKET_RST, 77, 0));
	lab_pass(3000);
	ck_assert_uint_eq(
		lab_pass_through(from_client(1, PACKET_ACK, 1001, 5001)), port);
	lab_pass(500000);
	ck_assert_uint_eq(lab.stats.connections, 1);
	lab_pass_through(from_client(1, PACKET_RST, 1001, 0));
	lab_pass(5100);
	ck_assert_uint_eq(lab.stats.connections, 0);
	lab_stop();
}
END_TEST

START_TEST(test_refused_counts)
{
	uint16_t port;

	lab_simple(IPPROTO_TCP);
	port = lab_pass_through(syn(CLIENT, 1));
	lab_pass_through(from_backend(port, PACKET_RST | PACKET_ACK, 0, 1001));
	ck_assert_uint_eq(lab.stats.backend[0].failed, 1);
	ck_assert_uint_eq(lab.stats.half_open, 0);
	lab_stop();
}
END_TEST

/* A SYN on a closed connection: a new one, with another port. */
START_TEST(test_reopen)
{
	uint16_t port;

	lab_simple(IPPROTO_TCP);
	port = lab_connect(CLIENT, 1, BACK);
	lab_pass_through(from_client(1, PACKET_FIN | PACKET_ACK, 1001, 5001));
	lab_pass_through(
		from_backend(port, PACKET_FIN | PACKET_ACK, 5001, 1002));
	lab_pass_through(from_client(1, PACKET_ACK, 1002, 5002));
	ck_assert_uint_ne(lab_pass_through(syn(CLIENT, 1)), port);
	ck_assert_uint_eq(lab.stats.connections, 1);
	ck_assert_uint_eq(lab.stats.opened, 2);
	ck_assert_uint_eq(lab.stats.half_open, 1);
	lab_stop();
}
END_TEST

/* After a reset the SYN goes the old way, and is new by SYN+ACK alone. */
START_TEST(test_reopen_after_reset)
{
	uint16_t port;

	lab_simple(IPPROTO_TCP);
	port = lab_connect(CLIENT, 1, BACK);
	lab_pass_through(from_client(1, PACKET_RST, 1001, 0));
	ck_assert_uint_eq(lab_pass_through(syn(CLIENT, 1)), port);
	ck_assert_uint_eq(lab.stats.opened, 1);
	lab_pass_through(
		from_backend(port, PACKET_SYN | PACKET_ACK, 9000, 1001));
	ck_assert_uint_eq(lab.stats.opened, 2);
	ck_assert_uint_eq(lab.stats.half_open, 1);
	lab_pass_through(from_client(1, PACKET_ACK, 1001, 9001));
	ck_assert_uint_eq(lab.stats.half_open, 0);
	lab_stop();
}
END_TEST

/* --- floods --- */

/* Half-open ones are bounded, the oldest goes first, established stay, and
 * when it is over the table empties. */
START_TEST(test_syn_flood)
{
	const uint32_t established = 100, flood = 20000;
	struct lb *lb;

	lab_simple(IPPROTO_TCP);
	lb = lab.lb;
	for (uint16_t i = 0; i < established; i++)
		lab_connect(CLIENT, (uint16_t)(100 + i), BACK);
	for (uint32_t i = 0; i < flood; i++)
		ck_assert_uint_eq(lab_try(syn(client_of(i), 5)), NF_TX);
	ck_assert_uint_eq(lab.stats.half_open, 512);
	ck_assert_uint_eq(lab.stats.connections, 612);
	ck_assert_uint_eq(lab.stats.evicted, flood - 512);
	for (uint16_t i = 0; i < established; i++)
		lab_pass_through(from_client(
			(uint16_t)(100 + i), PACKET_ACK, 1001, 5001));
	lab_pass(10100);
	ck_assert_uint_eq(lab.stats.connections, established);
	lab_pass(700000);
	ck_assert_uint_eq(lab.stats.connections, 0);
	ck_assert_uint_eq(lb->backend[0].conns, 0);
	lab_stop();
}
END_TEST

/* Spoofed ACKs behind the SYNs change nothing. */
START_TEST(test_ack_flood)
{
	lab_simple(IPPROTO_TCP);
	for (uint32_t i = 0; i < 2000; i++) {
		struct spec s = syn(client_of(i), 5);
		uint16_t port = lab_pass_through(s);

		lab_pass_through(from_backend(
			port, PACKET_SYN | PACKET_ACK, 5000 + i, 1001));
		s.flags = PACKET_ACK;
		s.seq = 1001;
		s.ack = 77 + i;
		lab_try(s);
	}
	ck_assert_uint_eq(lab.stats.half_open, 512);
	ck_assert_uint_eq(lab.stats.connections, 512);
	lab_stop();
}
END_TEST

/* A full table: closed ones make room, then half-open; nobody else. */
START_TEST(test_table_full)
{
	uint16_t port;

	lab_simple(IPPROTO_TCP);
	for (uint16_t i = 0; i < 1022; i++)
		lab_connect(CLIENT, (uint16_t)(100 + i), BACK);
	lab_pass_through(syn(CLIENT, 2000));
	port = lab_connect(CLIENT, 2001, BACK);
	lab_pass_through(
		from_backend(port, PACKET_RST | PACKET_ACK, 5001, 1001));
	ck_assert_uint_eq(lab.stats.connections, 1024);
	lab_connect(CLIENT, 2002, BACK);
	ck_assert_uint_eq(lab.stats.evicted, 0);
	ck_assert_uint_eq(lab.stats.half_open, 1);
	lab_connect(CLIENT, 2003, BACK);
	ck_assert_uint_eq(lab.stats.evicted, 1);
	ck_assert_uint_eq(lab.stats.half_open, 0);
	ck_assert_uint_eq(lab_try(syn(CLIENT, 2004)), DROP(TABLE_FULL));
	ck_assert_uint_eq(lab.stats.connections, 1024);
	lab_stop();
}
END_TEST

/* --- SNAT ports --- */

/* One bucket only, so that 1008 ports are all there are. */
static void
start_few_ports(unsigned int snats, uint32_t backends)
{
	static const char *const snat[] = { SNAT, "10.0.0.10" };

	lab_grant();
	lab.grant.max_connections = 4096;
	lab.grant.max_half_open = 4096;
	lab.grant.buckets = 1024;
	lab_own(0xff);
	lab_service(VIP, 80, IPPROTO_TCP);
	lab_service("10.0.0.81", 80, IPPROTO_TCP);
	lab.grant.n_services = 1;
	lab_backend(BACK, 8080, 1);
	for (uint32_t i = 1; i < backends; i++)
		lab_backend("10.0.1.22", 8080, 1);
	for (unsigned int i = 0; i < snats; i++)
		lab_snat(snat[i]);
	lab.grant.services[0].flags = STEER_F_HASH_SOURCE;
	lab_start();
}

/* One client is one bucket: 63 ports to each backend and SNAT address. */
START_TEST(test_ports_run_out)
{
	const unsigned int snats = (unsigned int)_i + 1;
	uint8_t used[65536] = { 0 };

	start_few_ports(snats, 1);
	for (uint16_t i = 0; i < 63 * snats; i++) {
		struct rte_mbuf *m = lab_packet(syn(CLIENT, (uint16_t)(i + 1)));
		const uint8_t *d = rte_pktmbuf_mtod(m, const uint8_t *);
		uint16_t port;

		ck_assert_uint_eq(lab_send(m), NF_TX);
		port = (uint16_t)(d[34] << 8 | d[35]);
		ck_assert_uint_ge(port, 1024);
		ck_assert(!(used[port] & 1 << (d[29] - 9)));
		used[port] |= (uint8_t)(1 << (d[29] - 9));
		rte_pktmbuf_free(m);
	}
	ck_assert_uint_eq(lab_try(syn(CLIENT, 999)), DROP(NO_SNAT_PORT));
	ck_assert_uint_eq(lab.stats.connections, 63 * snats);
	ck_assert_uint_eq(lab.stats.evicted, 0);
	lab_pass(10100);
	for (uint16_t i = 0; i < 63 * snats; i++)
		lab_pass_through(syn(CLIENT, (uint16_t)(i + 1)));
	lab_stop();
}
END_TEST

/* A port that is given back rests while others are there. */
START_TEST(test_ports_rest)
{
	uint16_t first, port;

	start_few_ports(1, 1);
	first = lab_pass_through(syn(CLIENT, 1));
	lab_pass(10100);
	for (uint16_t i = 0; i < 62; i++) {
		port = lab_pass_through(syn(CLIENT, 1));
		ck_assert_uint_ne(port, first);
		lab_pass(10100);
	}
	ck_assert_uint_eq(lab_pass_through(syn(CLIENT, 1)), first);
	lab_stop();
}
END_TEST

/* Out of ports, but a closed connection holds one. */
START_TEST(test_ports_of_closed)
{
	uint16_t port;

	start_few_ports(1, 1);
	port = lab_pass_through(syn(CLIENT, 1));
	for (uint16_t i = 1; i < 63; i++)
		lab_pass_through(syn(CLIENT, (uint16_t)(i + 1)));
	ck_assert_uint_eq(lab_try(syn(CLIENT, 999)), DROP(NO_SNAT_PORT));
	lab_pass_through(from_backend(port, PACKET_RST | PACKET_ACK, 0, 1001));
	ck_assert_uint_eq(lab_pass_through(syn(CLIENT, 999)), port);
	ck_assert_uint_eq(lab.stats.connections, 63);
	lab_stop();
}
END_TEST

/* Two backends: each port twice. */
START_TEST(test_ports_per_backend)
{
	unsigned int opened = 0;

	start_few_ports(1, 2);
	for (uint32_t i = 0; i < 4000; i++)
		opened += lab_try(syn(CLIENT, (uint16_t)(i + 1))) == NF_TX;
	/* Maglev with HASH_SOURCE: one client has one backend. */
	ck_assert_uint_eq(opened, 63);
	lab_stop();
}
END_TEST

/* --- schedulers --- */

static const char *const backs[] = { "10.0.1.21", "10.0.1.22", "10.0.1.23" };

static void
start_three(uint8_t scheduler, uint16_t w0, uint16_t w1, uint16_t w2)
{
	lab_grant();
	lab_service(VIP, 80, IPPROTO_TCP)->scheduler = scheduler;
	lab_backend(backs[0], 8080, w0);
	lab_backend(backs[1], 8080, w1);
	lab_backend(backs[2], 8080, w2);
	lab_snat(SNAT);
	lab_start();
}

static void
open_many(uint32_t from, uint32_t n, uint32_t got[3])
{
	memset(got, 0, 3 * sizeof(*got));
	for (uint32_t i = from; i < from + n; i++) {
		struct rte_mbuf *m = lab_packet(syn(client_of(i), 9));

		if (lab_send(m) == NF_TX)
			got[rte_pktmbuf_mtod(m, uint8_t *)[33] - 21]++;
		rte_pktmbuf_free(m);
	}
}

START_TEST(test_round_robin)
{
	uint32_t got[3];

	start_three(GRANT_SCHED_RR, 1, 2, 5);
	open_many(0, 80, got);
	ck_assert_uint_eq(got[0], 10);
	ck_assert_uint_eq(got[1], 20);
	ck_assert_uint_eq(got[2], 50);
	/* smooth: any eight in a row have no more than five of one */
	open_many(80, 8, got);
	ck_assert_uint_eq(got[2], 5);
	lab_stop();
}
END_TEST

START_TEST(test_round_robin_unresolved)
{
	uint32_t got[3];

	start_three(GRANT_SCHED_RR, 1, 1, 1);
	lab.nexthops.entry[11] = 0;
	open_many(0, 100, got);
	ck_assert_uint_eq(got[1], 0);
	ck_assert_uint_eq(got[0] + got[2], 100);
	lab.nexthops.entry[11] = lab.nexthops.entry[12];
	open_many(100, 30, got);
	ck_assert_uint_ge(got[1], 9);
	ck_assert_uint_le(got[1], 11);
	lab_stop();
}
END_TEST

START_TEST(test_least_connections)
{
	uint32_t got[3];

	start_three(GRANT_SCHED_LEASTCONN, 1, 1, 2);
	open_many(0, 80, got);
	ck_assert_uint_eq(got[0], 20);
	ck_assert_uint_eq(got[1], 20);
	ck_assert_uint_eq(got[2], 40);
	/* The first has none any more: it gets the next ones. */
	lab_pass(10100);
	lab.nexthops.entry[10] = 0;
	open_many(100, 60, got);
	ck_assert_uint_eq(got[0], 0);
	lab.nexthops.entry[10] = lab.nexthops.entry[11];
	open_many(200, 20, got);
	ck_assert_uint_eq(got[0], 20);
	lab_stop();
}
END_TEST

START_TEST(test_maglev_pick)
{
	uint32_t got[3], again[3];

	start_three(GRANT_SCHED_MAGLEV, 1, 1, 2);
	open_many(0, 400, got);
	ck_assert_uint_ge(got[0], 70);
	ck_assert_uint_ge(got[1], 70);
	ck_assert_uint_ge(got[2], 160);
	lab_pass(10100);
	open_many(0, 400, again);
	ck_assert_mem_eq(got, again, sizeof(got));
	lab_pass(10100);
	lab.nexthops.entry[12] = 0;
	open_many(0, 400, again);
	ck_assert_uint_eq(again[2], 0);
	ck_assert_uint_eq(again[0] + again[1], 400);
	lab_stop();
}
END_TEST

START_TEST(test_no_backend)
{
	uint32_t got[3];

	start_three((uint8_t)_i, 0, 0, 0);
	open_many(0, 10, got);
	ck_assert_uint_eq(got[0] + got[1] + got[2], 0);
	ck_assert_uint_eq(lab_try(syn(CLIENT, 1)), DROP(NO_BACKEND));
	lab_stop();
}
END_TEST

START_TEST(test_all_unresolved)
{
	start_three((uint8_t)_i, 1, 2, 3);
	memset(&lab.nexthops.entry[10], 0, 3 * sizeof(uint64_t));
	ck_assert_uint_eq(lab_try(syn(CLIENT, 1)), DROP(NO_BACKEND));
	lab_stop();
}
END_TEST

/* --- the table itself --- */

static size_t
allocated(void)
{
	struct rte_malloc_socket_stats s;

	ck_assert_int_eq(rte_malloc_get_socket_stats(0, &s), 0);
	return s.heap_allocsz_bytes;
}

/* What memory() announces is enough for what create() takes. */
START_TEST(test_memory)
{
	size_t took, before = allocated();

	lab_simple(IPPROTO_TCP);
	took = allocated() - before;
	ck_assert_uint_ge(nf_lb.memory(&lab.grant), took);
	ck_assert_uint_le(lab.stats.memory_bytes, took);
	ck_assert_uint_ge(lab.stats.memory_bytes, took - took / 10);
	ck_assert_uint_lt(flow_table_memory(1u << 20) / (1u << 20), 192);
	ck_assert_uint_lt(flow_table_memory(1000000) / 1000000, 192);
	ck_assert_uint_lt(flow_table_memory(10000000) / 10000000, 192);
	lab_stop();
}
END_TEST

/* The hash of a tuple's mapped form is that of the packet's bytes, and each
 * part of the tuple counts. */
START_TEST(test_hash)
{
	struct ip_addr a = lab_addr(_i ? "fd00::1" : "10.0.0.1");
	struct ip_addr b = lab_addr(_i ? "fd00::2" : "10.0.0.2"), c;
	uint64_t h, key[FLOW_KEYS] = { 3, 5, 7, 11, 13, 17 };

	h = flow_hash(key, &a, &b, 1, 2, 6);
	ck_assert_uint_eq(flow_hash(key, &a, &b, 1, 2, 6), h);
	ck_assert_uint_ne(flow_hash(key, &b, &a, 1, 2, 6), h);
	ck_assert_uint_ne(flow_hash(key, &a, &b, 2, 1, 6), h);
	ck_assert_uint_ne(flow_hash(key, &a, &b, 1, 2, 17), h);
	for (int w = _i ? 0 : 3; w < 4; w++) {
		c = a;
		c.w[w] ^= 1;
		ck_assert_uint_ne(flow_hash(key, &c, &b, 1, 2, 6), h);
		c = b;
		c.w[w] ^= 0x1000000;
		ck_assert_uint_ne(flow_hash(key, &a, &c, 1, 2, 6), h);
	}
	for (int k = 0; k < (_i ? 6 : 2); k++) {
		key[k]++;
		ck_assert_uint_ne(flow_hash(key, &a, &b, 1, 2, 6), h);
		key[k]--;
	}
}
END_TEST

/* Two tuples of one hash: the second is refused, the first goes on. */
START_TEST(test_collision)
{
	struct lb *lb;

	lab_simple(IPPROTO_TCP);
	lb = lab.lb;
	lb->flows.key[0] = 0;
	lb->flows.key[1] = -(uint64_t)0x600000000ull; /* less the protocol */
	/* Now only ports count beyond multiples: make the product 0. */
	lb->flows.key[1] -= (uint64_t)htons(9) << 16 | htons(80);
	ck_assert_uint_eq(lab_try(syn("192.0.2.7", 9)), NF_TX);
	ck_assert_uint_eq(lab_try(syn("192.0.2.8", 9)), DROP(HASH_COLLISION));
	ck_assert_uint_eq(lab_try(syn("192.0.2.7", 9)), NF_TX);
	ck_assert_uint_eq(lab.stats.connections, 1);
	ck_assert_uint_eq(lb->backend[0].conns, 1);
	lab_stop();
}
END_TEST

/* When the second key is taken the first is not left behind. */
START_TEST(test_half_inserted)
{
	struct flow_table *t;
	struct flow *a, *b;
	enum flow_dir dir;

	lab_simple(IPPROTO_TCP);
	t = &((struct lb *)lab.lb)->flows;
	a = flow_alloc(t);
	b = flow_alloc(t);
	ck_assert_int_eq(flow_insert(t, a, 1, 2), 0);
	ck_assert_int_eq(flow_insert(t, b, 3, 2), -EEXIST);
	ck_assert_ptr_null(flow_lookup(t, 3, &dir));
	ck_assert_int_eq(flow_insert(t, b, 1, 4), -EEXIST);
	ck_assert_ptr_null(flow_lookup(t, 4, &dir));
	ck_assert_ptr_eq(flow_lookup(t, 2, &dir), a);
	ck_assert_int_eq(dir, FLOW_BACKEND);
	ck_assert_ptr_eq(flow_lookup(t, 1, &dir), a);
	ck_assert_int_eq(dir, FLOW_CLIENT);
	flow_erase(t, 1, 2);
	ck_assert_ptr_null(flow_lookup(t, 1, &dir));
	flow_free(t, b);
	flow_free(t, a);
	lab_stop();
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("lb_flow");
	TCase *tc = tcase_create("connections");

	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, test_syn_timeout);
	tcase_add_test(tc, test_syn_rcvd_timeout);
	tcase_add_test(tc, test_established_timeout);
	tcase_add_test(tc, test_close_timeout);
	tcase_add_test(tc, test_fin_timeout);
	tcase_add_test(tc, test_udp_timeouts);
	tcase_add_test(tc, test_one_way_udp);
	tcase_add_test(tc, test_blind_reset);
	tcase_add_test(tc, test_refused_counts);
	tcase_add_test(tc, test_reopen);
	tcase_add_test(tc, test_reopen_after_reset);
	tcase_add_test(tc, test_syn_flood);
	tcase_add_test(tc, test_ack_flood);
	tcase_add_test(tc, test_table_full);
	tcase_add_loop_test(tc, test_ports_run_out, 0, 2);
	tcase_add_test(tc, test_ports_rest);
	tcase_add_test(tc, test_ports_of_closed);
	tcase_add_test(tc, test_ports_per_backend);
	tcase_add_test(tc, test_round_robin);
	tcase_add_test(tc, test_round_robin_unresolved);
	tcase_add_test(tc, test_least_connections);
	tcase_add_test(tc, test_maglev_pick);
	tcase_add_loop_test(tc, test_no_backend, 0, 3);
	tcase_add_loop_test(tc, test_all_unresolved, 0, 3);
	tcase_add_test(tc, test_memory);
	tcase_add_loop_test(tc, test_hash, 0, 2);
	tcase_add_test(tc, test_collision);
	tcase_add_test(tc, test_half_inserted);
	suite_add_tcase(suite, tc);
	return lab_run(suite);
}
