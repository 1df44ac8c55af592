/* SPDX-License-Identifier: BSD-3-Clause */
/* Time that passes while there is no instance. */
#include "lb_log.h"

START_TEST(test_downtime)
{
	start_simple(IPPROTO_TCP, GRANT_DURABILITY_BATCH);
	lab_connect(CLIENT, 1, BACK);
	pass(1000);
	log_settle();
	crash();
	restart(400000);
	expect(1, 0, 0, 0);
	/* Of 600 s some 400 are over: not earlier, not much later. */
	pass(198000);
	ck_assert_uint_eq(lab.stats.connections, 1);
	pass(6000);
	ck_assert_uint_eq(lab.stats.connections, 0);
	bench_end();
}
END_TEST

/* It was quiet, and then used, before the end: it has its whole time. */
START_TEST(test_used_last)
{
	start_simple(IPPROTO_TCP, GRANT_DURABILITY_BATCH);
	lab_connect(CLIENT, 1, BACK);
	pass(500000);
	lab_pass_through(from_client(1, PACKET_ACK, 1001, 5001));
	pass(1000);
	log_settle();
	crash();
	restart(200000);
	pass(398000);
	ck_assert_uint_eq(lab.stats.connections, 1);
	pass(6000);
	ck_assert_uint_eq(lab.stats.connections, 0);
	bench_end();
}
END_TEST

START_TEST(test_expired)
{
	start_simple(IPPROTO_TCP, GRANT_DURABILITY_BATCH);
	lab_connect(CLIENT, 1, BACK);
	lab_connect(CLIENT, 2, BACK);
	lab_pass_through(from_client(2, PACKET_FIN | PACKET_ACK, 1001, 5001));
	pass(1000);
	log_settle();
	crash();
	restart(40000);
	expect(1, 0, 1, 0);
	pass(2000);
	log_settle();
	crash();
	restart(700000);
	expect(0, 0, 2, 0);
	bench_end();
}
END_TEST

/* The machine was started anew: the wall clock, and the last block, tell. */
START_TEST(test_other_boot)
{
	start_simple(IPPROTO_TCP, GRANT_DURABILITY_BATCH);
	lab_connect(CLIENT, 1, BACK);
	pass(60000);
	log_settle();
	crash();
	memset(&lab.stats, 0, sizeof(lab.stats));
	bench.boot = 78;
	bench.clock.boot_ms = 1000;
	restart(300000);
	expect(1, 0, 0, 0);
	pass(299000);
	ck_assert_uint_eq(lab.stats.connections, 1);
	pass(25000);
	ck_assert_uint_eq(lab.stats.connections, 0);
	bench_end();
}
END_TEST

/* The wall clock was put back: nothing can be said, so nothing is over. */
START_TEST(test_clock_put_back)
{
	start_simple(IPPROTO_TCP, GRANT_DURABILITY_BATCH);
	lab_connect(CLIENT, 1, BACK);
	pass(60000);
	log_settle();
	crash();
	memset(&lab.stats, 0, sizeof(lab.stats));
	bench.boot = 78;
	bench.clock.boot_ms = 1000;
	bench.clock.wall_ms -= 1000000;
	restart(0);
	expect(1, 0, 0, 0);
	pass(598000);
	ck_assert_uint_eq(lab.stats.connections, 1);
	bench_end();
}
END_TEST

/* Half-open ones get the time of closing ones, and go first. */
START_TEST(test_grace)
{
	start_simple(IPPROTO_TCP, GRANT_DURABILITY_BATCH);
	lab_pass_through(syn(1));
	pass(3000);
	log_settle();
	crash();
	restart(1000);
	expect(1, 0, 0, 0);
	ck_assert_uint_eq(lab.stats.half_open, 1);
	pass(25900);
	ck_assert_uint_eq(lab.stats.connections, 1);
	pass(5000);
	ck_assert_uint_eq(lab.stats.connections, 0);
	bench_end();
}
END_TEST

/* The log had but the opening; the backend has the connection. */
START_TEST(test_backend_knows)
{
	struct flow *f;
	uint16_t port;

	start_simple(IPPROTO_TCP, GRANT_DURABILITY_BATCH);
	port = lab_pass_through(syn(1));
	log_settle();
	crash();
	restart(10);
	f = &the_lb()->flows.flow[0];
	lab_pass_through(from_client(1, PACKET_ACK, 1001, 5001));
	ck_assert_uint_eq(f->state, FLOW_SYN);
	lab_pass_through(from_backend(port, PACKET_ACK, 5001, 1001));
	ck_assert_uint_eq(f->state, FLOW_ESTABLISHED);
	ck_assert_uint_eq(f->grace, 0);
	pass(500000);
	ck_assert_uint_eq(lab.stats.connections, 1);
	/* Not so without a crash. */
	port = lab_pass_through(syn(2));
	lab_try(from_backend(port, PACKET_ACK, 5001, 1001));
	ck_assert_uint_eq(lab.stats.half_open, 1);
	bench_end();
}
END_TEST

START_TEST(test_grace_evicted_first)
{
	start_simple(IPPROTO_TCP, GRANT_DURABILITY_BATCH);
	lab_connect(CLIENT, 1, BACK);
	lab_pass_through(syn(2));
	log_settle();
	crash();
	lab.grant.max_half_open = 1;
	restart(10);
	expect(2, 0, 0, 0);
	lab_pass_through(syn(3));
	ck_assert_uint_eq(lab.stats.evicted, 1);
	ck_assert_uint_eq(lab.stats.connections, 2);
	lab_pass_through(from_client(1, PACKET_ACK, 1001, 5001));
	bench_end();
}
END_TEST

/* A reset that may be forged: after the crash it can still come back. */
START_TEST(test_reset_returns)
{
	start_simple(IPPROTO_TCP, GRANT_DURABILITY_BATCH);
	lab_connect(CLIENT, 1, BACK);
	lab_pass_through(from_client(1, PACKET_RST, 1001, 0));
	pass(1000);
	log_settle();
	crash();
	restart(1000);
	expect(1, 0, 0, 0);
	lab_pass_through(from_client(1, PACKET_ACK, 1001, 5001));
	ck_assert_uint_eq(the_lb()->flows.flow[0].state, FLOW_ESTABLISHED);
	lab_pass_through(from_client(1, PACKET_RST, 1001, 0));
	log_settle();
	crash();
	restart(6000);
	expect(0, 0, 1, 0);
	bench_end();
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("lb_log_time");
	TCase *tc = tcase_create("time");

	tcase_set_timeout(tc, 170);
	tcase_add_test(tc, test_downtime);
	tcase_add_test(tc, test_used_last);
	tcase_add_test(tc, test_expired);
	tcase_add_test(tc, test_other_boot);
	tcase_add_test(tc, test_clock_put_back);
	tcase_add_test(tc, test_grace);
	tcase_add_test(tc, test_backend_knows);
	tcase_add_test(tc, test_grace_evicted_first);
	tcase_add_test(tc, test_reset_returns);
	suite_add_tcase(suite, tc);
	return lab_run(suite);
}
