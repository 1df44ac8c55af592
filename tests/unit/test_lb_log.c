/* SPDX-License-Identifier: BSD-3-Clause */
/* What the log is told, and when. */
#include <errno.h>

#include "lb_log.h"

/* --- records --- */

static const struct flow samples[] = {
	{ .state = FLOW_SYN, .client_port = 1, .snat_port = 2 },
	{ .state = FLOW_UDP_NEW, .backend = 1023, .snat = 511 },
	{ .state = FLOW_UDP, .flags = FLOW_F_V6, .service = 127 },
	{ .state = FLOW_ESTABLISHED, .flags = FLOW_F_EST },
	{ .state = FLOW_ESTABLISHED, .flags = FLOW_F_EST | FLOW_F_V6 },
	{ .state = FLOW_FIN,
		.flags = FLOW_F_EST | FLOW_F_FIN(1) | FLOW_F_ACK(1),
		.fin = { 7, 0xffffffff } },
	{ .state = FLOW_FIN,
		.flags = FLOW_F_V6 | FLOW_F_EST | FLOW_F_FIN(0),
		.fin = { 1, 2 } },
	{ .state = FLOW_CLOSED, .flags = FLOW_F_EST | FLOW_F_RST(0) },
	{ .state = FLOW_CLOSED,
		.flags = FLOW_F_EST | FLOW_F_RST(1) | FLOW_F_FIN(0) },
};

static struct flow
sample(int i)
{
	static const uint8_t mac[6] = { 2, 3, 4, 5, 6, 7 };
	struct flow f = samples[i];

	f.client = lab_addr(f.flags & FLOW_F_V6 ? "2001:db8::7" : CLIENT);
	memcpy(f.client_mac, mac, sizeof(mac));
	return f;
}

/* What is read is what was written, and nothing else is taken for it. */
START_TEST(test_round_trip)
{
	struct flow f = sample(_i), g;
	uint32_t at[16], index, idle;
	uint16_t len = record_conn_len(&f), kind = record_conn_kind(&f);

	memset(at, 0xa5, sizeof(at));
	record_conn_put(at, &f, 12345, 678);
	ck_assert_uint_eq(at[len / 4], 0xa5a5a5a5);
	ck_assert_uint_le(plog_record_bytes(len), 64);
	ck_assert_int_eq(record_conn_get(kind, at, len, &g, &index, &idle), 0);
	ck_assert_mem_eq(&f, &g, sizeof(f));
	ck_assert_uint_eq(index, 12345);
	ck_assert_uint_eq(idle, 678);
	for (uint16_t l = 0; l <= sizeof(at); l++)
		if (l != len)
			ck_assert_int_eq(
				record_conn_get(kind, at, l, &g, &index, &idle),
				-EINVAL);
	ck_assert_int_eq(
		record_conn_get(RECORD_GONE, at, len, &g, &index, &idle),
		-EINVAL);
}
END_TEST

START_TEST(test_half_shaken)
{
	struct flow f = sample(0), g;
	uint32_t at[16], index, idle;

	f.state = FLOW_SYN_RCVD;
	f.isn = 5;
	record_conn_put(at, &f, 1, 0);
	ck_assert_int_eq(record_conn_get(RECORD_CONN4, at, record_conn_len(&f),
				 &g, &index, &idle),
		0);
	ck_assert_uint_eq(g.state, FLOW_SYN);
}
END_TEST

/* States and flags that no connection is logged with. */
START_TEST(test_refused)
{
	static const struct {
		uint8_t state, flags;
	} bad[] = { { FLOW_FREE, 0 }, { FLOW_SYN_RCVD, 0 }, { FLOW_STATES, 0 },
		{ 255, 0 }, { FLOW_FIN, FLOW_F_EST },
		{ FLOW_CLOSED, FLOW_F_EST }, { FLOW_CLOSED, FLOW_F_RST(0) } };
	struct flow f = sample(0), g;
	uint32_t at[16], index, idle;

	record_conn_put(at, &f, 1, 0);
	((struct record_conn *)at)->state = bad[_i].state;
	((struct record_conn *)at)->flags = bad[_i].flags;
	ck_assert_int_eq(record_conn_get(RECORD_CONN4, at, record_conn_len(&f),
				 &g, &index, &idle),
		-EINVAL);
}
END_TEST

static char told[512];

static void
tell_text(void *ctx, const char *name, const char *value)
{
	size_t n = strlen(told);

	(void)ctx;
	snprintf(told + n, sizeof(told) - n, " %s=%s", name, value);
}

static void
tell_number(void *ctx, const char *name, uint64_t value)
{
	size_t n = strlen(told);

	(void)ctx;
	snprintf(told + n, sizeof(told) - n, " %s=%lu", name,
		(unsigned long)value);
}

static const char *
tell(uint16_t kind, const void *data, size_t len)
{
	const struct nf_fields out = { NULL, tell_text, tell_number };
	const char *name;

	told[0] = '\0';
	name = nf_lb.record(kind, data, len, &out);
	return name;
}

START_TEST(test_told)
{
	struct record_server s = { .addr = lab_addr("fd00::80"),
		.port = htons(443),
		.slot = 3,
		.of = IPPROTO_TCP };
	struct record_snat a = { .addr = lab_addr(SNAT), .slot = 1 };
	struct flow f = sample(3);
	uint32_t at[16] = { 9 };

	ck_assert_str_eq(tell(RECORD_SERVICE, &s, sizeof(s)), "service");
	ck_assert_str_eq(told, " slot=3 address=[fd00::80]:443 protocol=tcp");
	ck_assert_str_eq(tell(RECORD_BACKEND, &s, sizeof(s)), "backend");
	ck_assert_str_eq(told, " slot=3 address=[fd00::80]:443 service=6");
	ck_assert_str_eq(tell(RECORD_SNAT, &a, sizeof(a)), "snat");
	ck_assert_str_eq(told, " slot=1 address=10.0.0.9");
	ck_assert_str_eq(tell(RECORD_GONE, at, 4), "gone");
	ck_assert_str_eq(told, " index=9");
	ck_assert_str_eq(tell(RECORD_ALIVE, at, 4), "alive");
	f.client_port = htons(4000);
	f.snat_port = htons(2000);
	record_conn_put(at, &f, 7, 20);
	ck_assert_str_eq(
		tell(RECORD_CONN4, at, record_conn_len(&f)), "established");
	ck_assert_str_eq(told,
		" index=7 client=192.0.2.1:4000 service=0 backend=0 snat=0"
		" snat_port=2000 state=established mac=02:03:04:05:06:07"
		" idle_ms=20");
	for (uint16_t kind = 0; kind < 20; kind++)
		ck_assert_ptr_null(tell(kind, at, 3));
	ck_assert_ptr_null(tell(99, at, 4));
}
END_TEST

/* --- what is said --- */

/* One connection's life, counted. */
START_TEST(test_life)
{
	uint16_t port;

	start_simple(IPPROTO_TCP, GRANT_DURABILITY_BATCH);
	port = lab_pass_through(syn(1));
	lab_pass_through(syn(1)); /* sent again: nothing new */
	lab_pass_through(
		from_backend(port, PACKET_SYN | PACKET_ACK, 5000, 1001));
	log_settle();
	ck_assert_uint_eq(records_count(RECORD_SERVICE, 0), 2);
	ck_assert_uint_eq(records_count(RECORD_BACKEND, 0), 2);
	ck_assert_uint_eq(records_count(RECORD_SNAT, 0), 2);
	ck_assert_uint_eq(records_count(RECORD_CONN4, 0), 1);
	lab_pass_through(from_client(1, PACKET_ACK, 1001, 5001));
	lab_pass_through(from_client(1, PACKET_ACK, 1001, 5001));
	lab_pass_through(from_client(1, PACKET_FIN | PACKET_ACK, 1001, 5001));
	log_settle();
	ck_assert_uint_eq(records_count(RECORD_CONN4, FLOW_SYN), 1);
	ck_assert_uint_eq(records_count(RECORD_CONN4, FLOW_ESTABLISHED), 1);
	ck_assert_uint_eq(records_count(RECORD_CONN4, FLOW_FIN), 1);
	ck_assert_uint_eq(records_count(RECORD_GONE, 0), 0);
	lab_pass_through(
		from_backend(port, PACKET_FIN | PACKET_ACK, 5001, 1002));
	lab_pass_through(from_client(1, PACKET_ACK, 1002, 5002));
	log_settle();
	ck_assert_uint_eq(records_count(RECORD_GONE, 0), 1);
	pass(6000);
	ck_assert_uint_eq(lab.stats.connections, 0);
	ck_assert_uint_eq(records_count(RECORD_GONE, 0), 1);
	ck_assert_uint_eq(records_count(RECORD_CONN4, 0), 3);
	bench_end();
}
END_TEST

/* A reset that may be forged is not the end; one of a refusal is. */
START_TEST(test_resets)
{
	uint16_t port;

	start_simple(IPPROTO_TCP, GRANT_DURABILITY_BATCH);
	lab_connect(CLIENT, 1, BACK);
	lab_pass_through(from_client(1, PACKET_RST, 1001, 0));
	log_settle();
	ck_assert_uint_eq(records_count(RECORD_CONN4, FLOW_CLOSED), 1);
	lab_pass_through(from_client(1, PACKET_ACK, 1001, 5001));
	log_settle();
	ck_assert_uint_eq(records_count(RECORD_CONN4, FLOW_ESTABLISHED), 2);
	port = lab_pass_through(syn(2));
	lab_pass_through(from_backend(port, PACKET_RST | PACKET_ACK, 0, 1001));
	log_settle();
	ck_assert_uint_eq(records_count(RECORD_CONN4, FLOW_CLOSED), 1);
	ck_assert_uint_eq(records_count(RECORD_GONE, 0), 1);
	bench_end();
}
END_TEST

START_TEST(test_mac)
{
	struct spec s = from_client(1, PACKET_ACK, 1001, 5001);
	static struct records all;
	const struct record_conn *last;

	start_simple(IPPROTO_TCP, GRANT_DURABILITY_BATCH);
	lab_connect(CLIENT, 1, BACK);
	s.smac = 0x0200000000c2ull;
	lab_pass_through(s);
	log_settle();
	ck_assert_uint_eq(records_count(RECORD_CONN4, 0), 2);
	lab_pass_through(s);
	log_settle();
	records_read(&all);
	last = (const void *)all.r[all.n - 1].data;
	ck_assert_uint_eq(all.r[all.n - 1].kind, RECORD_CONN4);
	ck_assert_uint_eq(last->client_mac[5], 0xc2);
	bench_end();
}
END_TEST

START_TEST(test_udp)
{
	struct spec s = SPEC(CLIENT, VIP, 7, 80, IPPROTO_UDP, .payload = 9);
	struct spec r = SPEC(BACK, SNAT, 8080, 0, IPPROTO_UDP, .payload = 9);

	start_simple(IPPROTO_UDP, GRANT_DURABILITY_BATCH);
	r.dport = lab_pass_through(s);
	lab_pass_through(s);
	lab_pass_through(r);
	lab_pass_through(r);
	log_settle();
	ck_assert_uint_eq(records_count(RECORD_CONN4, FLOW_UDP_NEW), 1);
	ck_assert_uint_eq(records_count(RECORD_CONN4, FLOW_UDP), 1);
	pass(61000);
	log_settle();
	ck_assert_uint_eq(records_count(RECORD_GONE, 0), 1);
	bench_end();
}
END_TEST

/* Quiet connections: a word each ten seconds; none without connections. */
START_TEST(test_alive)
{
	start_simple(IPPROTO_TCP, GRANT_DURABILITY_BATCH);
	pass(60000);
	log_settle();
	ck_assert_uint_eq(records_count(RECORD_ALIVE, 0), 0);
	lab_connect(CLIENT, 1, BACK);
	pass(60000);
	log_settle();
	ck_assert_uint_ge(records_count(RECORD_ALIVE, 0), 5);
	ck_assert_uint_le(records_count(RECORD_ALIVE, 0), 6);
	ck_assert_uint_eq(records_count(RECORD_CONN4, 0), 2);
	bench_end();
}
END_TEST

/* A new backend is defined before the first connection to it. */
START_TEST(test_defined_first)
{
	static struct records all;
	uint32_t defined = 0;
	char why[256];

	start_simple(IPPROTO_TCP, GRANT_DURABILITY_BATCH);
	lab_connect(CLIENT, 1, BACK);
	lab.grant.generation++;
	lab.grant.n_services = lab.grant.n_backends = 0;
	lab_service(VIP, 80, IPPROTO_TCP)->n_backends = 0;
	lab_backend("10.0.1.22", 8080, 1);
	ck_assert_int_eq(nf_lb.update(lab.lb, why, sizeof(why)), 0);
	lab_pass_through(syn(2));
	log_settle();
	records_read(&all);
	for (uint32_t i = 0; i < all.n; i++) {
		const struct record_server *s = (const void *)all.r[i].data;
		const struct record_conn *c = (const void *)all.r[i].data;

		if (all.r[i].kind == RECORD_BACKEND)
			defined |= 1u << s->slot;
		if (all.r[i].kind == RECORD_CONN4)
			ck_assert_uint_ne(defined & 1u << c->backend, 0);
	}
	ck_assert_uint_eq(records_count(RECORD_CONN4, 0), 3);
	bench_end();
}
END_TEST

/* --- checkpoints --- */

/* No room at all: missed, and the next checkpoint makes up for it. */
START_TEST(test_overrun)
{
	uint64_t checkpoints;

	start_simple(IPPROTO_TCP, GRANT_DURABILITY_BATCH);
	lab_connect(CLIENT, 1, BACK);
	log_settle();
	checkpoints = lab.stats.log.checkpoints;
	press();
	while (plog_reserve(lab.log, RECORD_ALIVE, 60) != NULL)
		;
	lab_connect(CLIENT, 2, BACK);
	lab_connect(CLIENT, 3, BACK);
	lab_pass_through(from_client(1, PACKET_FIN | PACKET_ACK, 1001, 5001));
	ck_assert_uint_ge(lab.stats.log.missed, 3);
	ck_assert_uint_eq(the_lb()->flows.flow[1].logged, 0);
	bench.mem.auto_done = true;
	pass(3000);
	log_settle();
	ck_assert_uint_gt(lab.stats.log.checkpoints, checkpoints);
	crash();
	restart(0);
	ck_assert_uint_eq(lab.stats.log.recovered, 3);
	ck_assert_uint_eq(the_lb()->flows.flow[0].state, FLOW_FIN);
	lab_pass_through(from_client(2, PACKET_ACK, 1001, 5001));
	lab_pass_through(from_client(3, PACKET_ACK, 1001, 5001));
	bench_end();
}
END_TEST

/*
 * A small store, laps of it, connections that come and go; whenever it
 * crashes, what was there is there.
 */
START_TEST(test_churn)
{
	bool there[64] = { false };
	uint32_t n = 0, crashes = 0;

	bench_make(20);
	grant_simple(IPPROTO_TCP, GRANT_DURABILITY_BATCH);
	lab.grant.timeouts.established_ms = 1u << 29;
	log_open(NULL);
	lab_start();
	srand(7);
	for (int i = 0; i < 6000; i++) {
		uint16_t p = (uint16_t)(rand() % 64);

		if (there[p]) {
			lab_pass_through(from_client((uint16_t)(p + 1),
				PACKET_RST | PACKET_ACK, 1001, 5001));
			/* It may come back: the SYN does it in. */
			pass(5100);
			n--;
		} else {
			lab_connect(CLIENT, (uint16_t)(p + 1), BACK);
			n++;
		}
		there[p] = !there[p];
		lab_pass(20);
		log_settle();
		if (i % 500 != 499)
			continue;
		crash();
		restart(1);
		crashes++;
		ck_assert_uint_eq(lab.stats.log.recovered, n);
		ck_assert_uint_eq(lab.stats.connections, n);
		for (uint16_t k = 0; k < 64; k++)
			ck_assert_uint_eq(lab_try(from_client((uint16_t)(k + 1),
						  PACKET_ACK, 1001, 5001)),
				there[k] ? NF_TX : DROP(NO_CONNECTION));
	}
	ck_assert_uint_ge(lab.stats.log.checkpoints, 10);
	ck_assert_uint_eq(lab.stats.log.missed, 0);
	ck_assert_uint_gt(lab.log->head, 10 * 20);
	ck_assert_uint_eq(crashes, 12);
	bench_end();
}
END_TEST

/* A slice is bounded, and the rest goes on with the next tick. */
START_TEST(test_slices)
{
	int slices = 0;

	bench_make(SLOTS);
	grant_simple(IPPROTO_TCP, GRANT_DURABILITY_BATCH);
	lab.grant.max_connections = 65536;
	lab.grant.max_half_open = 4096;
	log_open(NULL);
	lab_start();
	for (uint16_t i = 0; i < 2000; i++)
		lab_connect(CLIENT, (uint16_t)(i + 1), BACK);
	log_settle();
	plog_missed(lab.log);
	for (int i = 0; i < 1000 && lab.stats.log.checkpoints == 0; i++) {
		uint32_t wait = nf_lb.tick(lab.lb, lab.now_us);

		slices += plog_checkpoint_running(lab.log);
		ck_assert(!plog_checkpoint_running(lab.log) || wait <= 1000);
		lab_poll();
	}
	ck_assert_uint_eq(lab.stats.log.checkpoints, 1);
	ck_assert_int_ge(slices, 10);
	ck_assert_int_le(slices, 60);
	crash();
	restart(0);
	ck_assert_uint_eq(lab.stats.log.recovered, 2000);
	bench_end();
}
END_TEST

/* A device that is slow: the checkpoint waits, others have room. */
START_TEST(test_waits_for_device)
{
	bench_make(2048);
	grant_simple(IPPROTO_TCP, GRANT_DURABILITY_BATCH);
	lab.grant.max_connections = 16384;
	log_open(NULL);
	lab_start();
	for (uint16_t i = 0; i < 8000; i++)
		lab_connect(CLIENT, (uint16_t)(i + 1), BACK);
	log_settle();
	plog_missed(lab.log);
	bench.mem.auto_done = false;
	for (int i = 0; i < 200; i++) {
		uint32_t wait = nf_lb.tick(lab.lb, lab.now_us);

		lab_poll();
		if (i > 100)
			ck_assert_uint_eq(wait, 1000);
		ck_assert(!plog_pressed(lab.log));
	}
	ck_assert(plog_checkpoint_running(lab.log));
	lab_connect(CLIENT, 9000, BACK);
	bench.mem.auto_done = true;
	pass(500);
	log_settle();
	ck_assert_uint_eq(lab.stats.log.checkpoints, 1);
	ck_assert_uint_eq(lab.stats.log.missed, 1);
	crash();
	restart(0);
	ck_assert_uint_eq(lab.stats.log.recovered, 8001);
	bench_end();
}
END_TEST

/* A crash in the middle of a checkpoint, with comings and goings meanwhile. */
START_TEST(test_crash_in_checkpoint)
{
	uint16_t gone = 0, come = 3000;

	bench_make(SLOTS);
	grant_simple(IPPROTO_TCP, GRANT_DURABILITY_BATCH);
	lab.grant.max_connections = 65536;
	lab.grant.max_half_open = 4096;
	log_open(NULL);
	lab_start();
	for (uint16_t i = 0; i < 2000; i++)
		lab_connect(CLIENT, i, BACK);
	log_settle();
	plog_missed(lab.log);
	for (int i = 0; i <= 3 * _i; i++) {
		nf_lb.tick(lab.lb, lab.now_us);
		/* One of those that were seen, or not yet, and a new one. */
		lb_close(the_lb(), &the_lb()->flows.flow[1999 - gone++]);
		lab_connect(CLIENT, come++, BACK);
		lab_poll();
	}
	log_settle();
	crash();
	restart(0);
	ck_assert_uint_eq(lab.stats.log.recovered, 2000);
	ck_assert_uint_eq(lab.stats.log.lost_other, 0);
	consistent();
	for (uint16_t i = 0; i < come; i++)
		ck_assert_uint_eq(
			lab_try(from_client(i, PACKET_ACK, 1001, 5001)),
			i < 2000 - gone || i >= 3000 ? NF_TX
						     : DROP(NO_CONNECTION));
	bench_end();
}
END_TEST

/* Others fill the store while a checkpoint is under way: it begins again. */
START_TEST(test_checkpoint_starved)
{
	bench_make(64);
	grant_simple(IPPROTO_TCP, GRANT_DURABILITY_BATCH);
	log_open(NULL);
	lab_start();
	for (uint16_t i = 1; i <= 900; i++)
		lab_connect(CLIENT, i, BACK);
	log_settle();
	plog_missed(lab.log);
	while (!plog_checkpoint_running(lab.log)) {
		nf_lb.tick(lab.lb, lab.now_us);
		lab_poll();
	}
	for (int i = 0; i < 100000 && lab.log->head < lab.log->limit; i++) {
		plog_reserve(lab.log, RECORD_ALIVE, 60);
		lab_poll();
	}
	ck_assert_uint_eq(lab.log->head, lab.log->limit);
	pass(1000);
	log_settle();
	ck_assert_uint_ge(lab.stats.log.checkpoints, 1);
	ck_assert(plog_healthy(lab.log));
	crash();
	restart(0);
	ck_assert_uint_eq(lab.stats.log.recovered, 900);
	bench_end();
}
END_TEST

/* The store is too small for what is live: said, served on, caught up. */
START_TEST(test_store_too_small)
{
	bench_make(16);
	grant_simple(IPPROTO_TCP, GRANT_DURABILITY_BATCH);
	log_open(NULL);
	lab_start();
	for (uint16_t i = 1; i <= 1000; i++) {
		lab_connect(CLIENT, i, BACK);
		lab_pass(1);
	}
	pass(1000);
	ck_assert_uint_eq(lab.stats.log.state, PLOG_FULL);
	ck_assert_uint_eq(lab.stats.log.fulls, 1);
	ck_assert_uint_eq(lab.stats.connections, 1000);
	for (uint16_t i = 1; i <= 800; i++)
		lab_pass_through(
			from_client(i, PACKET_FIN | PACKET_ACK, 1001, 5001));
	pass(31000);
	ck_assert_uint_eq(lab.stats.connections, 200);
	log_settle();
	ck_assert_uint_eq(lab.stats.log.state, PLOG_OK);
	crash();
	restart(0);
	ck_assert_uint_eq(lab.stats.log.recovered, 200);
	for (uint16_t i = 801; i <= 1000; i++)
		lab_pass_through(from_client(i, PACKET_ACK, 1001, 5001));
	bench_end();
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("lb_log");
	TCase *tc = tcase_create("log");

	tcase_set_timeout(tc, 170);
	tcase_add_loop_test(tc, test_round_trip, 0, RTE_DIM(samples));
	tcase_add_test(tc, test_half_shaken);
	tcase_add_loop_test(tc, test_refused, 0, 7);
	tcase_add_test(tc, test_told);
	tcase_add_test(tc, test_life);
	tcase_add_test(tc, test_resets);
	tcase_add_test(tc, test_mac);
	tcase_add_test(tc, test_udp);
	tcase_add_test(tc, test_alive);
	tcase_add_test(tc, test_defined_first);
	tcase_add_test(tc, test_overrun);
	tcase_add_test(tc, test_churn);
	tcase_add_test(tc, test_slices);
	tcase_add_test(tc, test_waits_for_device);
	tcase_add_loop_test(tc, test_crash_in_checkpoint, 0, 10);
	tcase_add_test(tc, test_checkpoint_starved);
	tcase_add_test(tc, test_store_too_small);
	suite_add_tcase(suite, tc);
	return lab_run(suite);
}
