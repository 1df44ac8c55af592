/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Recovery into another config, from a damaged store, and from a log that says
 * what cannot be.
 */
#include <errno.h>

#include "lb_log.h"
#include "nf/lb/spill.h"

/* --- another config --- */

/* 20 connections over two backends, and a service more. */
static void
start_two(void)
{
	bench_make(SLOTS);
	lab_grant();
	lab.grant.store.durability = GRANT_DURABILITY_BATCH;
	lab_service(VIP, 80, IPPROTO_TCP)->scheduler = GRANT_SCHED_RR;
	lab_backend(BACK, 8080, 1);
	lab_backend("10.0.1.22", 8080, 1);
	lab_service(VIP, 81, IPPROTO_TCP);
	lab_backend("10.0.1.23", 8080, 1);
	lab_snat(SNAT);
	log_open(NULL);
	lab_start();
	for (uint16_t i = 1; i <= 20; i++) {
		uint16_t p = lab_pass_through(syn(i));

		lab_pass_through(
			reply(i, p, PACKET_SYN | PACKET_ACK, 5000, 1001));
		lab_pass_through(from_client(i, PACKET_ACK, 1001, 5001));
	}
	ck_assert_uint_eq(the_lb()->backend[0].conns, 10);
	log_settle();
	crash();
}

START_TEST(test_nothing_changed)
{
	start_two();
	restart(0);
	expect(20, 0, 0, 0);
	ck_assert_uint_eq(lab.stats.log.recover_records, 46);
	ck_assert_uint_eq(lab.stats.log.missed, 0);
	ck_assert_uint_eq(lab.stats.backend[0].connections, 10);
	ck_assert_uint_eq(lab.stats.service[0].connections, 20);
	bench_end();
}
END_TEST

START_TEST(test_backend_removed)
{
	start_two();
	lab.grant.backends[1].addr = lab_addr("10.0.1.99");
	restart(0);
	expect(10, 10, 0, 0);
	ck_assert_uint_eq(lab.stats.log.missed, 0);
	expect_checkpoint();
}
END_TEST

/* Weight 0 drains: what is there goes on. */
START_TEST(test_backend_drained)
{
	start_two();
	lab.grant.backends[1].weight = 0;
	restart(0);
	expect(20, 0, 0, 0);
	bench_end();
}
END_TEST

/* Slots keep their numbers though the grant's order is another. */
START_TEST(test_order_changed)
{
	struct grant_backend b;
	struct grant_service s;

	start_two();
	b = lab.grant.backends[0];
	lab.grant.backends[0] = lab.grant.backends[1];
	lab.grant.backends[1] = b;
	s = lab.grant.services[0];
	lab.grant.services[0] = lab.grant.services[1];
	lab.grant.services[1] = s;
	restart(0);
	expect(20, 0, 0, 0);
	ck_assert_uint_eq(lab.stats.service[1].connections, 20);
	ck_assert(ip_addr_eq(
		&the_lb()->backend[0].addr, &lab.grant.backends[1].addr));
	for (uint16_t i = 1; i <= 20; i++)
		lab_pass_through(from_client(i, PACKET_ACK, 1001, 5001));
	bench_end();
}
END_TEST

START_TEST(test_service_removed)
{
	start_two();
	lab.grant.services[0].port = htons(8000);
	restart(0);
	expect(0, 20, 0, 0);
	expect_checkpoint();
}
END_TEST

START_TEST(test_snat_removed)
{
	start_two();
	lab.grant.snat[0] = lab_addr("10.0.0.10");
	restart(0);
	expect(0, 20, 0, 0);
	expect_checkpoint();
}
END_TEST

START_TEST(test_buckets_moved)
{
	start_two();
	lab_own(0x0f);
	restart(0);
	ck_assert_uint_gt(lab.stats.log.recovered, 0);
	ck_assert_uint_gt(lab.stats.log.lost_config, 0);
	expect(lab.stats.log.recovered, 20 - lab.stats.log.recovered, 0, 0);
	expect_checkpoint();
}
END_TEST

START_TEST(test_seed_changed)
{
	start_two();
	lab.grant.steer_seed++;
	restart(0);
	ck_assert_uint_le(lab.stats.log.recovered, 3);
	expect(lab.stats.log.recovered, 20 - lab.stats.log.recovered, 0, 0);
	bench_end();
}
END_TEST

/* A smaller table: connections move into it, as many as fit. */
START_TEST(test_shrunk)
{
	start_two();
	/* Make the first entries free, so that there is where to go. */
	lab.grant.max_connections = 8;
	lab.grant.max_half_open = 8;
	restart(0);
	expect(8, 0, 0, 12);
	expect_checkpoint();
}
END_TEST

START_TEST(test_shrunk_moved)
{
	bench_make(SLOTS);
	grant_simple(IPPROTO_TCP, GRANT_DURABILITY_BATCH);
	log_open(NULL);
	lab_start();
	for (uint16_t i = 1; i <= 40; i++)
		lab_connect(CLIENT, i, BACK);
	for (uint16_t i = 1; i <= 32; i++)
		lb_close(the_lb(), &the_lb()->flows.flow[i - 1]);
	log_settle();
	crash();
	lab.grant.max_connections = 16;
	lab.grant.max_half_open = 8;
	restart(0);
	expect(8, 0, 0, 0);
	for (uint16_t i = 33; i <= 40; i++)
		lab_pass_through(from_client(i, PACKET_ACK, 1001, 5001));
	expect_checkpoint();
}
END_TEST

/* Least connections counts what came back. */
START_TEST(test_least_connections)
{
	start_two();
	lab.grant.services[0].scheduler = GRANT_SCHED_LEASTCONN;
	lab.grant.backends[1].addr = lab_addr("10.0.1.99");
	restart(0);
	for (uint16_t i = 100; i < 110; i++)
		lab_pass_through(syn(i));
	for (uint32_t i = 0; i < LB_BACKENDS; i++)
		if (the_lb()->backend[i].used &&
			the_lb()->backend[i].service == 0)
			ck_assert_uint_eq(the_lb()->backend[i].conns, 10);
	bench_end();
}
END_TEST

/* All ports are in use before and after; then they are given back. */
START_TEST(test_ports_out)
{
	bench_make(SLOTS);
	grant_simple(IPPROTO_TCP, GRANT_DURABILITY_BATCH);
	lab.grant.services[0].flags = STEER_F_HASH_SOURCE;
	lab.grant.buckets = 1024;
	lab_own(0xff);
	log_open(NULL);
	lab_start();
	for (uint16_t i = 1; i <= 63; i++)
		lab_connect(CLIENT, i, BACK);
	ck_assert_uint_eq(lab_try(syn(64)), DROP(NO_SNAT_PORT));
	log_settle();
	crash();
	restart(0);
	expect(63, 0, 0, 0);
	ck_assert_uint_eq(lab_try(syn(64)), DROP(NO_SNAT_PORT));
	pass(700000);
	ck_assert_uint_eq(lab.stats.connections, 0);
	consistent();
	bench_end();
}
END_TEST

/* --- stores in trouble --- */

START_TEST(test_damaged)
{
	static struct mem aside;
	struct nf_env env;
	struct plog_io io;
	char why[256] = "";

	start_simple(IPPROTO_TCP, GRANT_DURABILITY_BATCH);
	for (uint16_t i = 1; i <= 200; i++) {
		lab_connect(CLIENT, i, BACK);
		log_settle();
	}
	crash();
	/* Block 100 of many is scribbled on. */
	memset(bench.mem.disk + plog_offset(SLOTS, 100), 0x55, 4096);
	log_open(NULL);
	env = lab.env;
	env.log = lab.log;
	ck_assert_ptr_null(nf_lb.create(&env, why, sizeof(why)));
	ck_assert_uint_eq(lab.stats.log.end, PLOG_END_DAMAGED);
	ck_assert_str_ne(why, "");
	plog_destroy(lab.log, 0);
	/* It is put aside, and a new store takes its place. */
	aside = bench.mem;
	bench_make(SLOTS);
	io = mem_io(&aside);
	log_open(&io);
	lab.stats.log.damaged = 1;
	lab_start();
	ck_assert_uint_gt(lab.stats.log.recovered, 20);
	ck_assert_uint_lt(lab.stats.log.recovered, 200);
	consistent();
	expect_checkpoint();
	mem_free(&aside);
}
END_TEST

/* --- what cannot be --- */

struct lie {
	const char *what;
	uint32_t index;
	uint16_t backend, snat, snat_port;
	uint8_t service, state, flags;
	uint64_t config, other;
};

/* 10.0.0.80:80 is service 0, its backend and SNAT address are 0 and 0. */
static const struct lie lies[] = {
	{ .what = "service out of range", .service = 200, .other = 1 },
	{ .what = "service undefined", .service = 9, .other = 1 },
	{ .what = "backend out of range", .backend = 0xffff, .other = 1 },
	{ .what = "backend undefined", .backend = 77, .other = 1 },
	{ .what = "backend of another service", .backend = 1, .other = 1 },
	{ .what = "snat out of range", .snat = 0xffff, .other = 1 },
	{ .what = "snat undefined", .snat = 9, .other = 1 },
	{ .what = "snat of another family", .snat = 1, .other = 1 },
	{ .what = "state of UDP", .state = FLOW_UDP, .other = 1 },
	{ .what = "state of none", .state = 77, .other = 1 },
	{ .what = "port of the kernel", .snat_port = 128, .other = 1 },
	{ .what = "port of another bucket", .snat_port = 1, .config = 1 },
	{ .what = "port 0", .snat_port = 0xffff, .other = 1 },
	{ .what = "port in use", .snat_port = 0xfffe, .other = 1 },
	{ .what = "tuple in use", .snat_port = 0xfffd, .other = 1 },
	{ .what = "index beyond any", .index = UINT32_MAX, .other = 1 },
};

/* Append a record about a connection like `f`, with the lie in it. */
static void
tell_lie(const struct flow *f, const struct lie *lie)
{
	uint16_t step_of_port = (uint16_t)(the_lb()->mask + 1);
	struct flow g = *f;
	struct record_conn *c;

	g.service = lie->service;
	g.backend = lie->backend;
	g.snat = lie->snat;
	g.state = FLOW_ESTABLISHED;
	g.flags = FLOW_F_EST;
	switch (lie->snat_port) {
	case 0: /* a good one */
		g.snat_port =
			htons((uint16_t)(ntohs(g.snat_port) + step_of_port));
		g.client_port = f->client_port;
		break;
	case 0xffff:
		g.snat_port = 0;
		break;
	case 0xfffe: /* the first one's, from the same client and port */
	case 0xfffd:
		break;
	case 128:
		g.snat_port =
			htons(ntohs(g.snat_port) & (uint16_t)the_lb()->mask);
		break;
	default:
		g.snat_port = htons((uint16_t)(ntohs(g.snat_port) ^ 1));
	}
	if (lie->snat_port == 0xfffd)
		g.snat_port =
			htons((uint16_t)(ntohs(g.snat_port) + step_of_port));
	c = plog_reserve(lab.log, RECORD_CONN4, record_conn_len(&g));
	ck_assert_ptr_nonnull(c);
	record_conn_put(c, &g, lie->index ? lie->index : 5, 0);
	if (lie->state != 0)
		c->state = lie->state;
}

START_TEST(test_lies)
{
	start_simple(IPPROTO_TCP, GRANT_DURABILITY_BATCH);
	lab_connect(CLIENT, 1, BACK);
	tell_lie(&the_lb()->flows.flow[0], &lies[_i]);
	log_settle();
	crash();
	restart(0);
	ck_assert_msg(lab.stats.log.recovered == 1, "%s", lies[_i].what);
	if (lies[_i].snat_port == 0xffff)
		ck_assert_uint_eq(
			lab.stats.log.lost_config + lab.stats.log.lost_other,
			1);
	else
		expect(1, lies[_i].config, 0, lies[_i].other);
	lab_pass_through(from_client(1, PACKET_ACK, 1001, 5001));
	bench_end();
}
END_TEST

/* Records of wrong lengths and kinds, and definitions beyond the tables. */
START_TEST(test_odd_records)
{
	static const uint16_t kinds[] = { RECORD_SERVICE, RECORD_BACKEND,
		RECORD_SNAT, RECORD_CONN4, RECORD_CONN6, RECORD_GONE, 0, 99 };
	uint64_t n = 0;

	start_simple(IPPROTO_TCP, GRANT_DURABILITY_BATCH);
	lab_connect(CLIENT, 1, BACK);
	for (uint32_t i = 0; i < RTE_DIM(kinds); i++)
		for (uint16_t len = 0; len < 64; len += 3) {
			if (kinds[i] == RECORD_SERVICE && len == 24)
				continue;
			if (kinds[i] == RECORD_BACKEND && len == 24)
				continue;
			memset(plog_reserve(lab.log, kinds[i], len), 0xff, len);
			n++;
		}
	memset(plog_reserve(lab.log, RECORD_SERVICE, 24), 0xff, 24);
	memset(plog_reserve(lab.log, RECORD_BACKEND, 24), 0xff, 24);
	memset(plog_reserve(lab.log, RECORD_SNAT, 20), 0xff, 20);
	memset(plog_reserve(lab.log, RECORD_GONE, 4), 0xff, 4);
	log_settle();
	crash();
	restart(0);
	expect(1, 0, 0, n + 3);
	bench_end();
}
END_TEST

/* --- a slot with another meaning, and an end that was not logged --- */

START_TEST(test_slot_reused)
{
	struct record_server *r;

	start_simple(IPPROTO_TCP, GRANT_DURABILITY_BATCH);
	lab_connect(CLIENT, 1, BACK);
	log_settle();
	/* As if backend 0 had been another one until now. */
	r = plog_reserve(lab.log, RECORD_BACKEND, sizeof(*r));
	*r = (struct record_server){ .addr = lab_addr("10.0.1.55"),
		.port = htons(8080) };
	r = plog_reserve(lab.log, RECORD_BACKEND, sizeof(*r));
	*r = (struct record_server){ .addr = lab_addr(BACK),
		.port = htons(8080) };
	lab_connect(CLIENT, 2, BACK);
	log_settle();
	crash();
	restart(0);
	expect(1, 0, 0, 1);
	lab_pass_through(from_client(2, PACKET_ACK, 1001, 5001));
	ck_assert_uint_eq(lab_try(from_client(1, PACKET_ACK, 1001, 5001)),
		DROP(NO_CONNECTION));
	bench_end();
}
END_TEST

/* One meaning in two slots: the later is the one. */
START_TEST(test_slot_moved)
{
	struct record_server *r;
	struct flow f;

	start_simple(IPPROTO_TCP, GRANT_DURABILITY_BATCH);
	lab_connect(CLIENT, 1, BACK);
	r = plog_reserve(lab.log, RECORD_BACKEND, sizeof(*r));
	*r = (struct record_server){
		.addr = lab_addr(BACK), .port = htons(8080), .slot = 7
	};
	f = the_lb()->flows.flow[0];
	f.backend = 7;
	record_conn_put(
		plog_reserve(lab.log, RECORD_CONN4, record_conn_len(&f)), &f, 3,
		0);
	log_settle();
	crash();
	restart(0);
	expect(1, 0, 0, 1);
	ck_assert_uint_eq(the_lb()->flows.flow[3].backend, 7);
	lab_pass_through(from_client(1, PACKET_ACK, 1001, 5001));
	bench_end();
}
END_TEST

/* --- spill --- */

START_TEST(test_spill)
{
	struct spill s = { .max = 5000 };
	struct flow *f;

	ck_assert_ptr_null(spill_find(&s, 7));
	ck_assert_ptr_null(spill_enter(&s, WHEEL_NONE));
	for (uint32_t i = 0; i < 100000; i++) {
		f = spill_enter(&s, i * 7919);
		ck_assert_ptr_nonnull(f);
		ck_assert_uint_eq(f->state, FLOW_FREE);
		f->state = FLOW_ESTABLISHED;
		f->client_port = (uint16_t)i;
		if (i >= 1000) {
			f = spill_find(&s, (i - 1000) * 7919);
			ck_assert_ptr_nonnull(f);
			ck_assert_uint_eq(f->client_port, (uint16_t)(i - 1000));
			f->state = FLOW_FREE;
		}
	}
	ck_assert_uint_le(s.size, 8192);
	for (uint32_t i = 0; i < 100000; i++) {
		f = spill_enter(&s, i);
		if (f != NULL)
			f->state = FLOW_SYN;
	}
	ck_assert_uint_le(s.size, 16384);
	spill_fini(&s);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("lb_log_recover");
	TCase *tc = tcase_create("recovery");

	tcase_set_timeout(tc, 170);
	tcase_add_test(tc, test_nothing_changed);
	tcase_add_test(tc, test_backend_removed);
	tcase_add_test(tc, test_backend_drained);
	tcase_add_test(tc, test_order_changed);
	tcase_add_test(tc, test_service_removed);
	tcase_add_test(tc, test_snat_removed);
	tcase_add_test(tc, test_buckets_moved);
	tcase_add_test(tc, test_seed_changed);
	tcase_add_test(tc, test_shrunk);
	tcase_add_test(tc, test_shrunk_moved);
	tcase_add_test(tc, test_least_connections);
	tcase_add_test(tc, test_ports_out);
	tcase_add_test(tc, test_damaged);
	tcase_add_loop_test(tc, test_lies, 0, RTE_DIM(lies));
	tcase_add_test(tc, test_odd_records);
	tcase_add_test(tc, test_slot_reused);
	tcase_add_test(tc, test_slot_moved);
	tcase_add_test(tc, test_spill);
	suite_add_tcase(suite, tc);
	return lab_run(suite);
}
