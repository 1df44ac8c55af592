/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What one instance, or the kernel, can cost the others on the NIC in
 * software: turns at a rate, looks at what came in, frames for the kernel;
 * and that tables are taken for what they are, not for where they lie.
 */
#include <sys/mman.h>
#include <sys/socket.h>

#include "tests/unit/softnic_bench.h"

/* --- instances ----------------------------------------------------------- */

/*
 * Many that send do not keep the others from receiving: what has come in is
 * looked at once more after each four of them, a burst at a time.
 */
START_TEST(received_while_many_send)
{
	static const struct {
		uint32_t senders;
		uint64_t frames;
	} row[] = {
		{ 0, NIC_BURST },
		{ 3, NIC_BURST },
		{ 4, 2 * NIC_BURST },
		{ 6, 2 * NIC_BURST },
		{ 8, 3 * NIC_BURST },
	};
	struct frame f;

	ck_assert_int_lt(_i, (int)RTE_DIM(row));
	for (uint16_t k = 0; k < 4 * NIC_BURST; k++) {
		in_flow(&f, TCP, SERVER, 80, SNAT, (uint16_t)(2048 + k % 2));
		wire_put(1, &f);
	}
	out_snat(&f, 1);
	for (uint32_t i = 0; i < row[_i].senders; i++) {
		if (i >= N_VNICS)
			player_up(i, RING, BUFFER);
		player_put(i, &f); /* refused, or not: it has been sent */
	}
	rounds(1);
	ck_assert_uint_eq(stats.vnic[0].rx_packets + stats.vnic[1].rx_packets,
		row[_i].frames);
	rounds(4);
}
END_TEST

/* The NIC's clock shows `ns` from here on, and stands. */
static void
clock_set(uint64_t ns)
{
	nic->tsc_to_ns = 1;
	nic->tsc_base = rte_rdtsc() - (ns << 32);
}

/*
 * Two share a rate, and one of them offers nothing but entries without a
 * frame: they cost none of the rate, but its turns, or the other would wait
 * for it to catch up for good.
 */
START_TEST(no_frame_is_a_turn)
{
	static struct softnic_tables slow;
	const uint64_t base = nic->tsc_base, to_ns = nic->tsc_to_ns;
	struct frame good, runt = { .n = 4 }, g;
	const uint64_t round_ns = 10000, some = 5000, bps = 10000000;
	uint64_t bits;

	slow = *tables;
	slow.generation = 11;
	slow.function[0].rate_bps = bps;
	__atomic_store_n(&nic->tables, &slow, __ATOMIC_RELEASE);
	out_flow(&good, TCP, SNAT, 2049, SERVER, 80);
	for (uint64_t k = 1; k <= some; k++) {
		clock_set(k * round_ns);
		while ((uint16_t)(player[0].from->avail.idx -
				  player[0].from->used.idx) < RING / 2)
			player_put(0, &runt);
		while ((uint16_t)(player[1].from->avail.idx -
				  player[1].from->used.idx) < RING / 2)
			player_put(1, &good);
		rounds(1);
		while (wire_get(1, &g) > 0)
			same(&g, &good);
	}
	bits = stats.vnic[1].tx_bytes * 8;
	ck_assert_uint_ge(bits, bps / 1000 * (some * round_ns / 1000000) / 2);
	ck_assert_uint_gt(stats.vnic[0].drop[SOFTNIC_TX_SHORT], 100);
	nic->tsc_base = base;
	nic->tsc_to_ns = to_ns;
	__atomic_store_n(&nic->tables, tables, __ATOMIC_RELEASE);
	rounds(1);
}
END_TEST

/* Where old tables lay new ones may: it is the generation that tells. */
START_TEST(tables_in_the_same_place)
{
	static struct softnic_tables there;
	struct frame f, g;

	there = *tables;
	there.generation = 21;
	__atomic_store_n(&nic->tables, &there, __ATOMIC_RELEASE);
	rounds(1);
	in_flow(&f, TCP, SERVER, 80, SNAT, 2048);
	wire_put(1, &f);
	rounds(1);
	ck_assert_uint_gt(player_get(0, &g), 0);
	there.generation = 22;
	there.seed++;
	there.vnic[0].packet_rate = 1;
	__atomic_store_n(&nic->tables, &there, __ATOMIC_RELEASE);
	for (uint16_t k = 0; k < 40; k++) {
		out_snat(&f, k);
		player_put(0, &f);
	}
	rounds(3);
	ck_assert_uint_eq(stats.generation, 22);
	ck_assert_uint_eq(nic->seed, there.seed);
	ck_assert_uint_le(stats.vnic[0].tx_packets, 1);
	ck_assert_uint_gt(stats.vnic[0].held, 0);
	__atomic_store_n(&nic->tables, tables, __ATOMIC_RELEASE);
	rounds(1);
	ck_assert_uint_eq(nic->seed, tables->seed);
}
END_TEST

/* --- to the kernel ------------------------------------------------------- */

/* A device that takes frames one by one, in the place of a tap. */
static void
tap_make(int ends[2])
{
	ck_assert_int_eq(
		socketpair(AF_UNIX,
			SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends),
		0);
}

/* A whole burst is the kernel's: none is lost for its number. */
START_TEST(burst_to_the_kernel)
{
	struct frame f, g;
	int ends[2];

	_Static_assert(NIC_BURST > TAP_BURST, "else it shows nothing");
	tap_make(ends);
	nic->uplink[0].tap = ends[0];
	for (uint16_t k = 0; k < NIC_BURST; k++) {
		in_flow(&f, TCP, CLIENT, k, VIP, 22);
		wire_put(0, &f);
	}
	rounds(1);
	nic->uplink[0].tap = -1;
	for (uint16_t k = 0; k < NIC_BURST; k++) {
		in_flow(&f, TCP, CLIENT, k, VIP, 22);
		ck_assert_int_eq(read(ends[1], g.b, sizeof(g.b)), (ssize_t)f.n);
		ck_assert_mem_eq(f.b, g.b, f.n);
	}
	ck_assert_uint_eq(stats.uplink[0].passed, NIC_BURST);
	ck_assert_uint_eq(stats.uplink[0].drop[SOFTNIC_TAP_FULL], 0);
	close(ends[0]);
	close(ends[1]);
}
END_TEST

/* One that the device refuses is lost; the others are not; none when full. */
START_TEST(tap_refuses_one)
{
	void *nowhere =
		mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t bytes[3][60] = { { 1 }, { 2 }, { 3 } }, got[64];
	struct rte_mbuf m[3], *pkts[3];
	int ends[2], n = 0;

	ck_assert_ptr_ne(nowhere, MAP_FAILED);
	tap_make(ends);
	for (int i = 0; i < 3; i++) {
		memset(&m[i], 0, sizeof(m[i]));
		m[i].buf_addr = i == 1 ? nowhere : bytes[i];
		m[i].data_len = 60;
		pkts[i] = &m[i];
	}
	ck_assert_uint_eq(tap_write(ends[0], pkts, 3), 2);
	ck_assert_int_eq(read(ends[1], got, sizeof(got)), 60);
	ck_assert_uint_eq(got[0], 1);
	ck_assert_int_eq(read(ends[1], got, sizeof(got)), 60);
	ck_assert_uint_eq(got[0], 3);
	while (tap_write(ends[0], pkts, 1) == 1)
		n++;
	ck_assert_uint_eq(tap_write(ends[0], pkts, 3), 0);
	for (; n > 0; n--)
		ck_assert_int_eq(read(ends[1], got, sizeof(got)), 60);
	ck_assert_int_eq(read(ends[1], got, sizeof(got)), -1);
	close(ends[0]);
	close(ends[1]);
	munmap(nowhere, 4096);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("softnic bounds");
	TCase *c = tcase_create("bench");
	SRunner *r;
	int failed;

	bench_eal();
	bench_open();
	tcase_add_checked_fixture(c, bench_setup, bench_teardown);
	tcase_set_timeout(c, 120);
	tcase_add_loop_test(c, received_while_many_send, 0, 5);
	tcase_add_test(c, no_frame_is_a_turn);
	tcase_add_test(c, tables_in_the_same_place);
	tcase_add_test(c, burst_to_the_kernel);
	tcase_add_test(c, tap_refuses_one);
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
