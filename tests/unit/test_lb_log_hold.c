/* SPDX-License-Identifier: BSD-3-Clause */
/* First packets that wait for the log, and a log that is slow or in trouble. */
#include <errno.h>

#include "dataplane/instance.h"
#include "lb_log.h"
#include "slow_port.h"

static struct rte_mbuf *sent[4096];
static unsigned int n_sent;

static void
collect(void *ctx, struct rte_mbuf *m)
{
	(void)ctx;
	ck_assert_uint_lt(n_sent, RTE_DIM(sent));
	sent[n_sent++] = m;
}

static void
sent_free(void)
{
	rte_pktmbuf_free_bulk(sent, n_sent);
	n_sent = 0;
}

/* In sync, writes ending when the test says so. */
static void
start_sync(uint8_t proto)
{
	start_simple(proto, GRANT_DURABILITY_SYNC);
	bench.mem.auto_done = false;
	lab.env.emit = collect;
	n_sent = 0;
}

static void
write_ends(void)
{
	lab_poll();
	for (unsigned int i = 0; i < bench.mem.n; i++)
		mem_complete(&bench.mem, i);
	lab_poll();
}

static nf_verdict
send_kept(struct spec s)
{
	struct rte_mbuf *m = lab_packet(s);
	nf_verdict v = lab_send(m);

	if (v != NF_HELD)
		rte_pktmbuf_free(m);
	return v;
}

/* The SYN waits for its record, an old connection's packets do not. */
START_TEST(test_hold)
{
	uint16_t port;

	start_simple(IPPROTO_TCP, GRANT_DURABILITY_BATCH);
	lab_connect(CLIENT, 1, BACK);
	lab.grant.store.durability = GRANT_DURABILITY_SYNC;
	ck_assert_int_eq(nf_lb.update(lab.lb, (char[256]){ 0 }, 256), 0);
	log_settle();
	bench.mem.auto_done = false;
	lab.env.emit = collect;
	n_sent = 0;
	ck_assert_uint_eq(send_kept(syn(2)), NF_HELD);
	ck_assert_uint_eq(lab.stats.log.held, 1);
	ck_assert_uint_eq(
		send_kept(from_client(1, PACKET_ACK, 1001, 5001)), NF_TX);
	lab_poll();
	ck_assert_uint_eq(n_sent, 0);
	write_ends();
	ck_assert_uint_eq(n_sent, 1);
	ck_assert_uint_eq(lab.stats.log.held, 0);
	port = ntohs(packet_get16(rte_pktmbuf_mtod(sent[0], uint8_t *) + 34));
	ck_assert(lab_is(
		sent[0], (struct spec)SPEC(SNAT, BACK, port, 8080, IPPROTO_TCP,
				 .flags = PACKET_SYN, .seq = 1000, .ttl = 63,
				 .smac = OWN_MAC_B, .dmac = BACKEND_MAC + 10)));
	/* From here on it is as any other. */
	ck_assert_uint_eq(send_kept(from_backend(
				  port, PACKET_SYN | PACKET_ACK, 5000, 1001)),
		NF_TX);
	ck_assert_uint_eq(send_kept(syn(2)), NF_TX);
	sent_free();
	bench_end();
}
END_TEST

/* What follows the first packet does not overtake it, nor each other. */
START_TEST(test_hold_order)
{
	struct spec s = SPEC(CLIENT, VIP, 7, 80, IPPROTO_UDP, .payload = 9);

	start_sync(IPPROTO_UDP);
	for (uint16_t i = 0; i < 30; i++) {
		s.sport = (uint16_t)(100 + i % 3);
		s.fill = (uint8_t)i;
		ck_assert_uint_eq(send_kept(s), NF_HELD);
	}
	ck_assert_uint_eq(lab.stats.log.held, 30);
	write_ends();
	write_ends();
	ck_assert_uint_eq(n_sent, 30);
	for (unsigned int i = 0; i < 30; i++)
		ck_assert_uint_eq(rte_pktmbuf_mtod(sent[i], uint8_t *)[42], i);
	for (uint32_t i = 0; i < the_lb()->flows.n; i++)
		ck_assert_uint_eq(the_lb()->flows.flow[i].held, 0);
	ck_assert_uint_eq(send_kept(s), NF_TX);
	sent_free();
	bench_end();
}
END_TEST

/* In one burst: first packets and what follows them, in order. */
START_TEST(test_hold_burst)
{
	struct spec s = SPEC(CLIENT, VIP, 7, 80, IPPROTO_UDP, .payload = 9);
	struct rte_mbuf *m[40];
	nf_verdict v[40];

	start_sync(IPPROTO_UDP);
	for (uint16_t i = 0; i < 40; i++) {
		s.sport = (uint16_t)(100 + i % 4);
		s.fill = (uint8_t)i;
		m[i] = lab_packet(s);
	}
	nf_lb.burst(lab.lb, m, 40, v, lab.now_us);
	for (uint16_t i = 0; i < 40; i++)
		ck_assert_uint_eq(v[i], NF_HELD);
	write_ends();
	ck_assert_uint_eq(n_sent, 40);
	for (unsigned int i = 0; i < 40; i++)
		ck_assert_ptr_eq(sent[i], m[i]);
	sent_free();
	bench_end();
}
END_TEST

/* --- a ring that takes few at a time --- */

#define MANY      700 /* more than INSTANCE_OUT_MAX and the ring take */
#define AT_A_TIME 16

static struct instance loop_of;

/* The lb as it is in an instance, on the slow port. */
static void
start_on_slow_port(void)
{
	slow_begin();
	memset(&loop_of, 0, sizeof(loop_of));
	loop_of.nf = &nf_lb;
	loop_of.nf_state = lab.lb;
	loop_of.stats = &lab.stats;
	loop_of.log.log = lab.log;
	loop_of.vnic.port = slow.port;
	loop_of.tsc_per_us = TSC_HZ / 1000000;
	loop_of.now_tsc = lab.now_us;
	lab.env.emit_ctx = &loop_of;
	lab.env.emit = instance_emit;
	lab.env.room = instance_room;
}

/* What the loop does in a round, if no packet comes; then the ring is read. */
static unsigned int
round_of_loop(void)
{
	unsigned int n;

	instance_log_poll(&loop_of);
	if (loop_of.n_out > 0)
		instance_flush(&loop_of);
	n = slow_take(sent + n_sent, AT_A_TIME);
	n_sent += n;
	return n;
}

/* All are durable at once, and the ring takes few at a time: none is lost. */
START_TEST(test_hold_slices)
{
	struct spec s = SPEC(CLIENT, VIP, 7, 80, IPPROTO_UDP, .payload = 9);
	struct rte_mbuf *m[MANY];
	unsigned int rounds = 0;

	start_sync(IPPROTO_UDP);
	start_on_slow_port();
	for (uint16_t i = 0; i < MANY; i++) {
		s.sport = (uint16_t)(1 + i % 20);
		m[i] = lab_packet(s);
		ck_assert_uint_eq(lab_send(m[i]), NF_HELD);
	}
	ck_assert_uint_eq(lab.stats.log.held, MANY);
	for (unsigned int again = 0; n_sent < MANY && again < 2; rounds++) {
		for (unsigned int i = 0; i < bench.mem.n; i++)
			mem_complete(&bench.mem, i);
		again = round_of_loop() > 0 ? 0 : again + 1;
	}
	ck_assert_uint_eq(lab.stats.drop[NF_DROP_TX_FULL], 0);
	ck_assert_uint_eq(n_sent, MANY);
	for (unsigned int i = 0; i < MANY; i++)
		ck_assert_ptr_eq(sent[i], m[i]);
	ck_assert_uint_eq(lab.stats.log.held, 0);
	ck_assert_int_eq(loop_of.durable_again, false);
	/* It was as slow as the ring, not slower. */
	ck_assert_uint_le(rounds, MANY / AT_A_TIME + 4);
	sent_free();
	slow_end();
	bench_end();
}
END_TEST

/* One that ends while it waits leaves nothing. */
START_TEST(test_hold_gone)
{
	start_sync(IPPROTO_TCP);
	the_lb()->max_half_open = 2;
	for (uint16_t i = 1; i <= 5; i++)
		ck_assert_uint_eq(send_kept(syn(i)), NF_HELD);
	ck_assert_uint_eq(lab.stats.connections, 2);
	ck_assert_uint_eq(lab.stats.log.held, 5);
	write_ends();
	write_ends();
	ck_assert_uint_eq(n_sent, 2);
	ck_assert_uint_eq(lab.stats.log.held, 0);
	sent_free();
	bench_end();
}
END_TEST

/* The device refuses: what waits goes on, and nothing waits any more. */
START_TEST(test_hold_failure)
{
	start_sync(IPPROTO_TCP);
	ck_assert_uint_eq(send_kept(syn(1)), NF_HELD);
	ck_assert_uint_eq(send_kept(syn(2)), NF_HELD);
	bench.mem.fail = -EIO;
	write_ends();
	ck_assert_uint_eq(n_sent, 2);
	ck_assert_uint_eq(lab.stats.log.held, 0);
	ck_assert_uint_eq(send_kept(syn(3)), NF_TX);
	/* It works again: all of it is there. */
	bench.mem.fail = 0;
	bench.mem.auto_done = true;
	pass(3000);
	log_settle();
	ck_assert_uint_eq(send_kept(syn(4)), NF_HELD);
	log_settle();
	ck_assert_uint_eq(n_sent, 3);
	ck_assert_uint_eq(records_count(RECORD_CONN4, 0), 4);
	sent_free();
	bench_end();
}
END_TEST

/* The device does not answer: the same, after a second. */
START_TEST(test_hold_stall)
{
	start_sync(IPPROTO_TCP);
	ck_assert_uint_eq(send_kept(syn(1)), NF_HELD);
	pass(900);
	ck_assert_uint_eq(n_sent, 0);
	pass(300);
	ck_assert_uint_eq(n_sent, 1);
	ck_assert_uint_eq(send_kept(syn(2)), NF_TX);
	sent_free();
	bench_end();
}
END_TEST

/* What is held when it ends is freed: bench_end() looks at the pool. */
START_TEST(test_hold_destroyed)
{
	start_sync(IPPROTO_TCP);
	for (uint16_t i = 1; i < 100; i++)
		ck_assert_uint_eq(send_kept(syn(i)), NF_HELD);
	bench_end();
}
END_TEST

/* Ever more of one flow: 255 wait, the others are dropped. */
START_TEST(test_hold_limit)
{
	struct spec s = SPEC(CLIENT, VIP, 7, 80, IPPROTO_UDP, .payload = 9);

	start_sync(IPPROTO_UDP);
	for (int i = 0; i < 255; i++)
		ck_assert_uint_eq(send_kept(s), NF_HELD);
	ck_assert_uint_eq(send_kept(s), DROP(LOG_BUSY));
	write_ends();
	ck_assert_uint_eq(n_sent, 255);
	sent_free();
	bench_end();
}
END_TEST

/* The backend's port in TIME-WAIT, with the SYN held at first. */
START_TEST(test_hold_syn_again)
{
	uint16_t port;

	start_sync(IPPROTO_TCP);
	ck_assert_uint_eq(send_kept(syn(1)), NF_HELD);
	write_ends();
	ck_assert_uint_eq(n_sent, 1);
	port = ntohs(packet_get16(rte_pktmbuf_mtod(sent[0], uint8_t *) + 34));
	ck_assert_uint_eq(send_kept(from_backend(port, PACKET_ACK, 777, 888)),
		DROP(PORT_REUSED));
	ck_assert_uint_eq(n_sent, 3);
	ck_assert_uint_eq(rte_pktmbuf_mtod(sent[1], uint8_t *)[47], PACKET_RST);
	ck_assert_mem_eq(rte_pktmbuf_mtod(sent[2], uint8_t *),
		rte_pktmbuf_mtod(sent[0], uint8_t *), 54);
	sent_free();
	bench_end();
}
END_TEST

/* --- pressure --- */

START_TEST(test_pressed_batch)
{
	uint16_t port;

	start_simple(IPPROTO_TCP, GRANT_DURABILITY_BATCH);
	port = lab_pass_through(syn(1));
	log_settle();
	press();
	lab_pass_through(syn(2));
	ck_assert_uint_eq(the_lb()->flows.flow[1].logged, 0);
	port = lab_pass_through(syn(2));
	lab_pass_through(
		from_backend(port, PACKET_SYN | PACKET_ACK, 5000, 1001));
	lab_pass_through(from_client(2, PACKET_ACK, 1001, 5001));
	ck_assert_uint_eq(the_lb()->flows.flow[1].logged, 1);
	bench.mem.auto_done = true;
	log_settle();
	ck_assert_uint_eq(records_count(RECORD_CONN4, FLOW_SYN), 1);
	ck_assert_uint_eq(records_count(RECORD_CONN4, FLOW_ESTABLISHED), 1);
	bench_end();
}
END_TEST

START_TEST(test_pressed_sync)
{
	start_sync(IPPROTO_TCP);
	press();
	ck_assert_uint_eq(send_kept(syn(1)), DROP(LOG_BUSY));
	ck_assert_uint_eq(lab.stats.connections, 0);
	ck_assert_str_eq(
		nf_lb.drops[LB_DROP_LOG_BUSY - NF_DROP_OWN], "log_busy");
	bench.mem.auto_done = true;
	log_settle();
	ck_assert_uint_eq(send_kept(syn(1)), NF_HELD);
	log_settle();
	ck_assert_uint_eq(n_sent, 1);
	sent_free();
	bench_end();
}
END_TEST

/* --- what it is for --- */

static uint16_t
client_port(const struct rte_mbuf *m)
{
	const struct lb *lb = the_lb();
	uint16_t snat_port =
		packet_get16(rte_pktmbuf_mtod(m, const uint8_t *) + 34);

	for (uint32_t i = 0; i < lb->flows.n; i++)
		if (lb->flows.flow[i].state != FLOW_FREE &&
			lb->flows.flow[i].snat_port == snat_port)
			return ntohs(lb->flows.flow[i].client_port);
	return 0;
}

/*
 * Connections come, writes end now and then and in any order, and it crashes:
 * whatever was sent to a backend is of a connection that comes back.
 */
START_TEST(test_sent_is_durable)
{
	bool was_sent[256] = { false };

	srand((unsigned int)_i + 1);
	start_sync(IPPROTO_TCP);
	for (uint16_t i = 1; i < 200; i++) {
		ck_assert_uint_eq(send_kept(syn(i)), NF_HELD);
		if (rand() % 3 == 0)
			lab_poll();
		if (bench.mem.n > 0 && rand() % 2)
			mem_complete(
				&bench.mem, (unsigned int)rand() % bench.mem.n);
	}
	for (unsigned int i = 0; i < n_sent; i++)
		was_sent[client_port(sent[i])] = true;
	ck_assert_uint_gt(n_sent, 0);
	ck_assert_uint_lt(n_sent, 199);
	sent_free();
	crash();
	bench.mem.auto_done = true;
	restart(1);
	for (uint32_t i = 0; i < the_lb()->flows.n; i++)
		if (the_lb()->flows.flow[i].state != FLOW_FREE)
			was_sent[ntohs(the_lb()->flows.flow[i].client_port)] =
				false;
	for (unsigned int i = 0; i < 256; i++)
		ck_assert(!was_sent[i]);
	bench_end();
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("lb_log_hold");
	TCase *tc = tcase_create("hold");

	tcase_set_timeout(tc, 170);
	tcase_add_test(tc, test_hold);
	tcase_add_test(tc, test_hold_order);
	tcase_add_test(tc, test_hold_burst);
	tcase_add_test(tc, test_hold_slices);
	tcase_add_test(tc, test_hold_gone);
	tcase_add_test(tc, test_hold_failure);
	tcase_add_test(tc, test_hold_stall);
	tcase_add_test(tc, test_hold_destroyed);
	tcase_add_test(tc, test_hold_limit);
	tcase_add_test(tc, test_hold_syn_again);
	tcase_add_test(tc, test_pressed_batch);
	tcase_add_test(tc, test_pressed_sync);
	tcase_add_loop_test(tc, test_sent_is_durable, 0, 20);
	suite_add_tcase(suite, tc);
	return lab_run(suite);
}
