/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The loop of the NIC in software: where each frame goes, what it is counted
 * as when it goes nowhere, that nothing is lost where a port or a rate is
 * full, and that it sleeps and wakes.
 */
#include <pthread.h>
#include <time.h>

#include "dataplane/clock.h"
#include "tests/unit/softnic_bench.h"

static uint64_t
reads(int fd)
{
	uint64_t n = 0;

	return read(fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

/* --- to instances -------------------------------------------------------- */

START_TEST(steered)
{
	struct frame f, g;

	for (uint16_t port = 1024; port < 1124; port++) {
		in_flow(&f, TCP, SERVER, 80, SNAT, port);
		wire_put(1, &f);
		rounds(1);
		ck_assert_uint_gt(player_get(port & 1, &g), 0);
		same(&f, &g);
		/* One by one: the ring of 64 is used up after as many. */
		player[port & 1].to->avail.idx++;
	}
	ck_assert_uint_eq(stats.vnic[0].rx_packets, 50);
	ck_assert_uint_eq(stats.vnic[1].rx_packets, 50);
	ck_assert_uint_eq(stats.vnic[0].rx_bytes, 50 * f.n);
	ck_assert_uint_eq(stats.uplink[1].rx_packets, 100);
	ck_assert_uint_eq(stats.uplink[1].rx_bytes, 100 * f.n);
	ck_assert_uint_eq(stats.uplink[0].rx_packets, 0);
}
END_TEST

/* A burst is one round, in order, and one ring of the doorbell. */
START_TEST(burst_in_order)
{
	struct frame f, g;

	for (uint16_t k = 0; k < 20; k++) {
		in_flow(&f, TCP, SERVER, k, SNAT, 2048);
		wire_put(1, &f);
	}
	rounds(1);
	for (uint16_t k = 0; k < 20; k++) {
		in_flow(&f, TCP, SERVER, k, SNAT, 2048);
		ck_assert_uint_gt(player_get(0, &g), 0);
		same(&f, &g);
	}
	ck_assert_uint_eq(reads(player[0].link.to.call), 1);
	ck_assert_uint_eq(stats.vnic[0].kicks, 1);
	ck_assert_uint_eq(stats.vnic[1].kicks, 0);
}
END_TEST

START_TEST(left_to_the_kernel)
{
	uint64_t *drop = stats.uplink[0].drop;
	struct frame f;

	in_flow(&f, TCP, CLIENT, 4000, VIP, 22);
	wire_put(0, &f);
	in_flow(&f, TCP, CLIENT, 4000, VIP, 80);
	f.b[5] ^= 1; /* another station's */
	wire_put(0, &f);
	put_eth(&f, frame_ours, frame_theirs, 0x0806);
	put32(&f, 0);
	wire_put(0, &f);
	f.n = 5; /* not even a header */
	wire_put(0, &f);
	rounds(1);
	ck_assert_uint_eq(drop[SOFTNIC_EXCEPTION_LOST], 4);
	ck_assert_uint_eq(drop[SOFTNIC_VLAN], 0);
	put_eth(&f, frame_ours, frame_theirs, 0x8100);
	put32(&f, 0);
	wire_put(0, &f);
	rounds(1);
	ck_assert_uint_eq(drop[SOFTNIC_EXCEPTION_LOST], 5);
	ck_assert_uint_eq(drop[SOFTNIC_VLAN], 1);
	ck_assert_uint_eq(stats.uplink[0].rx_packets, 0);
}
END_TEST

START_TEST(fragments)
{
	struct cut first = { 7, 0, 1 }, later = { 7, 1480, 0 },
		   other = { 8, 1480, 0 };
	struct frame f, g;
	uint64_t got;

	frame_flow(
		&f, frame_ours, frame_theirs, UDP, CLIENT, 5, VIP, 53, &later);
	wire_put(0, &f);
	rounds(1);
	ck_assert_uint_eq(stats.uplink[0].drop[SOFTNIC_FRAGMENT_UNKNOWN], 1);
	frame_flow(
		&g, frame_ours, frame_theirs, UDP, CLIENT, 5, VIP, 53, &first);
	wire_put(0, &g);
	wire_put(0, &f);
	frame_flow(
		&f, frame_ours, frame_theirs, UDP, CLIENT, 5, VIP, 53, &other);
	wire_put(0, &f);
	rounds(1);
	got = stats.vnic[0].rx_packets + stats.vnic[1].rx_packets;
	ck_assert_uint_eq(got, 2);
	ck_assert(stats.vnic[0].rx_packets != 1);
	ck_assert_uint_eq(stats.uplink[0].drop[SOFTNIC_FRAGMENT_UNKNOWN], 2);
	frame_flow(
		&f, frame_ours, frame_theirs, TCP, CLIENT, 5, VIP, 80, &first);
	wire_put(0, &f);
	rounds(1);
	ck_assert_uint_eq(stats.uplink[0].drop[SOFTNIC_FRAGMENT], 1);
}
END_TEST

START_TEST(no_room_for_it)
{
	struct frame f;

	player[1].up = 0;
	in_flow(&f, TCP, SERVER, 80, SNAT, 2049);
	wire_put(1, &f);
	in_flow(&f, TCP, SERVER, 80, SNAT, 2048);
	for (int k = 0; k < RING + 9; k++)
		wire_put(1, &f);
	rounds(4);
	ck_assert_uint_eq(stats.vnic[1].drop[SOFTNIC_INSTANCE_DOWN], 1);
	ck_assert_uint_eq(stats.vnic[1].rx_packets, 0);
	ck_assert_uint_eq(stats.vnic[0].rx_packets, RING);
	ck_assert_uint_eq(stats.vnic[0].drop[SOFTNIC_RX_FULL], 9);
	player_down(0);
	player_up(0, RING, VIRTQ_HEADER + 40);
	wire_put(1, &f);
	rounds(1);
	ck_assert_uint_eq(stats.vnic[0].drop[SOFTNIC_RX_LARGE], 1);
	ck_assert_uint_eq(stats.vnic[0].rx_packets, RING);
}
END_TEST

/* --- from instances ------------------------------------------------------ */

START_TEST(sent)
{
	struct frame f, g;

	out_snat(&f, 1);
	player_put(0, &f);
	rounds(1);
	ck_assert_uint_gt(wire_get(1, &g), 0);
	same(&f, &g);
	out_flow(&f, UDP, PING, 7, CLIENT, 4000);
	player_put(2, &f);
	rounds(1);
	ck_assert_uint_gt(wire_get(0, &g), 0);
	same(&f, &g);
	ck_assert_uint_eq(stats.vnic[0].tx_packets, 1);
	ck_assert_uint_eq(stats.vnic[2].tx_packets, 1);
	ck_assert_uint_eq(stats.vnic[2].tx_bytes, f.n);
	ck_assert_uint_eq(stats.uplink[0].tx_packets, 1);
	ck_assert_uint_eq(stats.uplink[1].tx_packets, 1);
	ck_assert_uint_eq(player[0].from->used.idx, 1);
}
END_TEST

START_TEST(refused)
{
	uint64_t *drop = stats.vnic[0].tx_drop;
	struct frame f, g;

	put_eth(&f, frame_theirs, frame_ours, 0x0806);
	put32(&f, 0);
	player_put(0, &f);
	out_flow(&f, TCP, "10.0.9.9", 2048, SERVER, 80);
	player_put(0, &f);
	out_flow(&f, TCP, VIP, 22, CLIENT, 80);
	player_put(0, &f);
	out_flow(&f, TCP, SNAT, 2049, SERVER, 80); /* instance 1's */
	player_put(0, &f);
	out_flow(&f, 132, SNAT, 2048, SERVER, 80);
	player_put(0, &f);
	out_snat(&f, 0);
	f.b[11] ^= 1; /* another station's */
	player_put(0, &f);
	out_snat(&f, 0);
	f.n -= 10;
	player_put(0, &f);
	rounds(2);
	ck_assert_uint_eq(drop[STEER_TX_ETHERTYPE], 1);
	ck_assert_uint_eq(drop[STEER_TX_ADDRESS], 1);
	ck_assert_uint_eq(drop[STEER_TX_PORT], 1);
	ck_assert_uint_eq(drop[STEER_TX_BUCKET], 1);
	ck_assert_uint_eq(drop[STEER_TX_PROTOCOL], 1);
	ck_assert_uint_eq(drop[STEER_TX_MAC], 1);
	ck_assert_uint_eq(drop[STEER_TX_MALFORMED], 1);
	ck_assert_uint_eq(stats.vnic[0].tx_packets, 0);
	ck_assert_uint_eq(wire_get(0, &g) + wire_get(1, &g), 0);
	ck_assert_uint_eq(player[0].from->used.idx, 7);
	f.n = 4;
	player_put(0, &f);
	f.n = SOFTNIC_FRAME_MAX + 1;
	player_put(0, &f);
	rounds(1);
	ck_assert_uint_eq(stats.vnic[0].drop[SOFTNIC_TX_SHORT], 1);
	ck_assert_uint_eq(stats.vnic[0].drop[SOFTNIC_TX_LARGE], 1);
	ck_assert_int_eq(player[0].broken, 0);
}
END_TEST

/*
 * The port takes 15 frames and no more until somebody takes some from it. All
 * are sent in the end, in order, and meanwhile they wait in the ring.
 */
START_TEST(full_port_loses_nothing)
{
	struct frame f, g;
	int got = 0;

	for (uint16_t k = 0; k < 60; k++) {
		out_snat(&f, k);
		player_put(0, &f);
	}
	out_snat(&f, 0);
	rounds(50);
	ck_assert_uint_le(player[0].from->used.idx, NIC_BURST);
	ck_assert_uint_gt(stats.uplink[1].full, 40);
	/* A port that is full holds up nobody but those who use it. */
	while (wire_get(1, &g)) {
		out_snat(&f, (uint16_t)got++);
		same(&f, &g);
		rounds(1);
	}
	ck_assert_int_eq(got, 60);
	ck_assert_uint_eq(stats.vnic[0].tx_packets, 60);
}
END_TEST

/* Nothing leaves the ring that the rate does not allow. */
START_TEST(rate_holds_back)
{
	static struct softnic_tables slow;
	struct frame f, g;
	uint16_t before;

	slow = *tables;
	slow.generation = 7;
	slow.vnic[0].packet_rate = 1;
	__atomic_store_n(&nic->tables, &slow, __ATOMIC_RELEASE);
	rounds(1);
	ck_assert_uint_eq(stats.generation, 7);
	for (uint16_t k = 0; k < 40; k++) {
		out_snat(&f, k);
		player_put(0, &f);
	}
	rounds(3);
	before = player[0].from->used.idx;
	ck_assert_uint_le(before, 1);
	ck_assert_uint_gt(stats.vnic[0].held, 0);
	ck_assert_uint_ne(sched_next(&nic->sched), UINT64_MAX);
	out_flow(&f, UDP, PING, 7, CLIENT, 4000);
	player_put(2, &f);
	rounds(1);
	ck_assert_uint_gt(wire_get(0, &g), 0);
	__atomic_store_n(&nic->tables, tables, __ATOMIC_RELEASE);
	for (int k = 0; k < 40; k++) {
		rounds(2);
		ck_assert_uint_gt(wire_get(1, &g), 0);
	}
	ck_assert_uint_eq(stats.vnic[0].tx_packets, 40);
}
END_TEST

START_TEST(broken_rings)
{
	struct frame f, g;

	player[0].from->avail.idx = RING + 1;
	player[1].to->avail.ring[0] = RING;
	in_flow(&f, TCP, SERVER, 80, SNAT, 2049);
	wire_put(1, &f);
	out_flow(&f, UDP, PING, 7, CLIENT, 4000);
	player_put(2, &f);
	rounds(1);
	ck_assert_uint_eq(stats.vnic[0].drop[SOFTNIC_BAD_INDEX], 1);
	ck_assert_uint_eq(stats.vnic[1].drop[SOFTNIC_BAD_DESCRIPTOR], 1);
	ck_assert_int_eq(player[0].broken, 1);
	ck_assert_int_eq(player[1].broken, 1);
	ck_assert_uint_gt(wire_get(0, &g), 0);
	player[2].from->desc[1].addr = 0;
	player[2].from->avail.ring[1] = 1;
	player[2].from->avail.idx++;
	rounds(2);
	ck_assert_uint_eq(stats.vnic[2].drop[SOFTNIC_BAD_ADDRESS], 1);
	ck_assert_int_eq(player[2].broken, 1);
}
END_TEST

/* --- captures ------------------------------------------------------------ */

START_TEST(captured)
{
	struct capture_ring *r = calloc(1, CAPTURE_FILE_SIZE);
	struct capture_header h;
	struct frame f, g;

	capture_init(r);
	nic->capture = r;
	stats.capture[0] = 1;
	in_flow(&f, TCP, SERVER, 80, SNAT, 2048);
	wire_put(1, &f);
	in_flow(&f, TCP, SERVER, 80, SNAT, 2049); /* nobody looks */
	wire_put(1, &f);
	rounds(1);
	in_flow(&f, TCP, SERVER, 80, SNAT, 2048);
	ck_assert_int_eq(capture_get(r, &h, g.b, sizeof(g.b)), 1);
	ck_assert_int_eq(h.drop, CAPTURE_PASSED);
	ck_assert_uint_eq(h.vnic, 0);
	ck_assert_uint_eq(h.from_vnic, 0);
	ck_assert_uint_gt(h.time_ns, 0);
	g.n = h.length;
	same(&f, &g);
	ck_assert_int_eq(capture_get(r, &h, g.b, sizeof(g.b)), 0);
	out_flow(&f, TCP, SNAT, 2049, SERVER, 80);
	player_put(0, &f);
	rounds(1);
	ck_assert_int_eq(capture_get(r, &h, g.b, sizeof(g.b)), 1);
	ck_assert_int_eq(h.drop, CAPTURE_TX(STEER_TX_BUCKET));
	ck_assert_uint_eq(h.from_vnic, 1);
	player[0].up = 0;
	in_flow(&f, TCP, SERVER, 80, SNAT, 2048);
	wire_put(1, &f);
	rounds(1);
	ck_assert_int_eq(capture_get(r, &h, g.b, sizeof(g.b)), 1);
	ck_assert_int_eq(h.drop, SOFTNIC_INSTANCE_DOWN);
	nic->capture = NULL;
	free(r);
}
END_TEST

/* Round and round; a slow reader loses copies, and then goes on. */
START_TEST(capture_wraps)
{
	struct capture_ring *r = calloc(1, CAPTURE_FILE_SIZE);
	struct capture_header h, in = { .drop = -1 };
	uint8_t out[1600], data[1600];
	uint64_t put = 0, lost;

	capture_init(r);
	ck_assert_int_eq(capture_check(r), 1);
	for (int k = 0; k < 20000; k++) {
		in.length = 60 + (uint32_t)k % 1500;
		memset(data, k, in.length);
		capture_put(r, &in, data);
		ck_assert_int_eq(capture_get(r, &h, out, sizeof(out)), 1);
		ck_assert_uint_eq(h.length, in.length);
		ck_assert_mem_eq(out, data, in.length);
	}
	ck_assert_uint_eq(r->lost, 0);
	in.length = 1000;
	for (put = 0; r->lost == 0; put++)
		capture_put(r, &in, data);
	lost = r->lost;
	ck_assert_uint_eq(put - lost, CAPTURE_BYTES / 1024);
	ck_assert_int_eq(capture_get(r, &h, out, 10), 1);
	capture_put(r, &in, data);
	ck_assert_uint_eq(r->lost, lost);
	for (put -= lost; put > 0; put--)
		ck_assert_int_eq(capture_get(r, &h, out, sizeof(out)), 1);
	ck_assert_int_eq(capture_get(r, &h, out, sizeof(out)), 0);
	/* Nonsense from the other side is no access beyond the ring. */
	r->taken = r->given + 8;
	capture_put(r, &in, data);
	ck_assert_uint_eq(r->lost, lost + 1);
	ck_assert_int_eq(capture_get(r, &h, out, sizeof(out)), -1);
	ck_assert_int_eq(capture_get(r, &h, out, sizeof(out)), 0);
	free(r);
}
END_TEST

/* --- with a thread ------------------------------------------------------- */

static void *
run(void *unused)
{
	(void)unused;
	softnic_run(nic);
	return NULL;
}

/* Until a frame is there; a NIC that never wakes is the test's time-out. */
static void
await(uint32_t i, struct frame *f)
{
	while (player_get(i, f) == 0)
		sched_yield();
}

static void
await_sleeps(uint64_t more)
{
	uint64_t n = __atomic_load_n(&stats.sleeps, __ATOMIC_RELAXED) + more;

	while (__atomic_load_n(&stats.sleeps, __ATOMIC_RELAXED) < n)
		sched_yield();
}

/* What came while it slept is seen; an update and a stop wake it too. */
START_TEST(sleeps_and_wakes)
{
	static struct softnic_tables moved;
	char why[256] = "";
	pthread_t loop;
	struct frame f, g;

	nic->stop = 0;
	rte_rcu_qsbr_thread_offline(nic->qsbr, NIC_READER);
	ck_assert_int_eq(pthread_create(&loop, NULL, run, NULL), 0);
	for (int k = 0; k < 20; k++) {
		await_sleeps(1);
		in_flow(&f, TCP, SERVER, 80, SNAT, 2048);
		wire_put(1, &f);
		await(0, &g);
		same(&f, &g);
	}
	/* Bucket 0 to the other instance, as the next frame comes. */
	moved = *tables;
	moved.generation = 9;
	moved.entry[0] = 1;
	await_sleeps(1);
	ck_assert_int_eq(softnic_update(nic, &moved, why, sizeof(why)), 0);
	wire_put(1, &f);
	await(1, &g);
	same(&f, &g);
	moved.n_vnics = 2;
	ck_assert_int_lt(softnic_update(nic, &moved, why, sizeof(why)), 0);
	ck_assert_str_ne(why, "");
	moved.n_vnics = 3;
	ck_assert_int_eq(softnic_update(nic, tables, why, sizeof(why)), 0);
	wire_put(1, &f);
	await(0, &g);
	await_sleeps(1);
	softnic_stop(nic);
	ck_assert_int_eq(pthread_join(loop, NULL), 0);
	rte_rcu_qsbr_thread_online(nic->qsbr, NIC_READER);
	nic->stop = 0;
}
END_TEST

START_TEST(update_refused)
{
	static struct softnic_tables other;
	char why[256] = "";

	other = *tables;
	other.core++;
	ck_assert_int_eq(softnic_update(nic, &other, why, sizeof(why)), -EBUSY);
	other = *tables;
	strcpy(other.uplink[1].devargs, "net_null7");
	ck_assert_int_eq(softnic_update(nic, &other, why, sizeof(why)), -EBUSY);
	other = *tables;
	other.vnic[2].path[1] = 'x';
	ck_assert_int_eq(softnic_update(nic, &other, why, sizeof(why)), -EBUSY);
	other = *tables;
	other.entry[1] = 77;
	ck_assert_int_eq(
		softnic_update(nic, &other, why, sizeof(why)), -EINVAL);
	ck_assert_ptr_eq(nic->tables, tables);
}
END_TEST

/* All ports ring here, so there is nothing to look for: one second asleep. */
START_TEST(sleeps_long)
{
	uint64_t cpu, began = clock_ns(CLOCK_MONOTONIC);
	pthread_t loop;
	clockid_t clock;
	bool look = nic->doze.look;

	nic->stop = 0;
	nic->doze.look = false;
	rte_rcu_qsbr_thread_offline(nic->qsbr, NIC_READER);
	ck_assert_int_eq(pthread_create(&loop, NULL, run, NULL), 0);
	ck_assert_int_eq(pthread_getcpuclockid(loop, &clock), 0);
	await_sleeps(2);
	cpu = clock_ns(clock);
	ck_assert_uint_gt(clock_ns(CLOCK_MONOTONIC) - began, 900000000);
	ck_assert_uint_lt(cpu, 50000000);
	softnic_stop(nic);
	ck_assert_int_eq(pthread_join(loop, NULL), 0);
	rte_rcu_qsbr_thread_online(nic->qsbr, NIC_READER);
	nic->stop = 0;
	nic->doze.look = look;
}
END_TEST

/* A kick ends the sleep, ten of which would else last ten seconds. */
START_TEST(kick_wakes)
{
	const uint64_t one = 1;
	bool look = nic->doze.look;
	struct frame f, g;
	pthread_t loop;
	uint64_t spin = nic->doze.spin, began;

	nic->stop = 0;
	ck_assert_int_eq(write(bell, &one, sizeof(one)), sizeof(one));
	nic->doze.spin = 0;
	nic_idle(nic); /* takes the bell, and the kicks into its set */
	nic->doze.look = false;
	rte_rcu_qsbr_thread_offline(nic->qsbr, NIC_READER);
	ck_assert_int_eq(pthread_create(&loop, NULL, run, NULL), 0);
	began = clock_ns(CLOCK_MONOTONIC);
	for (uint16_t k = 0; k < 10; k++) {
		while (__atomic_load_n(
			       &player[0].from->used.flags, __ATOMIC_SEQ_CST) &
			VRING_USED_F_NO_NOTIFY)
			sched_yield();
		out_snat(&f, k);
		player_put(0, &f);
		ck_assert_int_eq(
			write(player[0].link.from.kick, &one, sizeof(one)),
			sizeof(one));
		while (wire_get(1, &g) == 0)
			sched_yield();
		same(&f, &g);
	}
	ck_assert_uint_lt(clock_ns(CLOCK_MONOTONIC) - began, 5000000000);
	softnic_stop(nic);
	ck_assert_int_eq(pthread_join(loop, NULL), 0);
	rte_rcu_qsbr_thread_online(nic->qsbr, NIC_READER);
	nic->stop = 0;
	nic->doze.look = look;
	nic->doze.spin = spin;
}
END_TEST

int
main(void)
{
	const TTest *const test[] = { steered, burst_in_order,
		left_to_the_kernel, fragments, no_room_for_it, sent, refused,
		full_port_loses_nothing, rate_holds_back, broken_rings,
		captured, capture_wraps, update_refused, sleeps_and_wakes,
		sleeps_long, kick_wakes };
	Suite *suite = suite_create("softnic loop");
	TCase *c = tcase_create("bench");
	SRunner *r;
	int failed;

	bench_eal();
	bench_open();
	tcase_add_checked_fixture(c, bench_setup, bench_teardown);
	tcase_set_timeout(c, 120);
	for (size_t i = 0; i < sizeof(test) / sizeof(test[0]); i++)
		tcase_add_test(c, test[i]);
	suite_add_tcase(suite, c);
	r = srunner_create(suite);
	srunner_set_fork_status(r, CK_NOFORK);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	softnic_close(nic);
	rte_eal_cleanup();
	free(tables);
	return failed ? 1 : 0;
}
