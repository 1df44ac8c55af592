/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Limits and shares on virtual time. Sources offer frames at a rate, or as
 * many as are taken; a round comes every few microseconds, or when the
 * scheduler says so. What was sent is then told to the byte.
 */
#include <check.h>
#include <stdlib.h>

#include "dataplane/softnic/sched.h"

#define MS    1000000ull
#define S     1000000000ull
#define BURST 32

static struct softnic_tables *t;
static struct sched s;

struct source {
	uint64_t every_ns; /* a frame comes so often; 0: as many as taken */
	uint32_t bytes;    /* of each */
	uint32_t spread;   /* and up to so many more, at random */
	int bad;           /* the filter drops them */
	int second;        /* they go by uplink 1 */
	uint64_t sent, sent_bytes, taken, longest_wait_ns, last_ns;
	uint64_t from_ns; /* when it began */
};

static struct source src[SOFTNIC_VNICS_MAX];
static uint64_t now;

static void
setup(void)
{
	t = calloc(1, sizeof(*t));
	memset(&s, 0, sizeof(s));
	memset(src, 0, sizeof(src));
	t->n_uplinks = 1;
	now = 5 * S;
	srandom(7);
}

static void
teardown(void)
{
	free(t);
}

/* Function f with n VNICs more, all without limit. */
static void
function(uint32_t weight, uint32_t n)
{
	t->function[t->n_functions].weight = weight;
	for (; n > 0; n--) {
		t->vnic[t->n_vnics].function = t->n_functions;
		t->vnic[t->n_vnics].uplinks = 1;
		src[t->n_vnics].bytes = 1000;
		t->n_vnics++;
	}
	t->n_functions++;
}

static uint16_t
waiting(const struct source *f)
{
	uint64_t n;

	if (f->bytes == 0)
		return 0;
	if (f->every_ns == 0)
		return BURST;
	n = (now - f->from_ns) / f->every_ns - f->taken;
	return n < BURST ? (uint16_t)n : BURST;
}

static void
turn(uint32_t i)
{
	struct source *f = &src[i];
	uint16_t n = waiting(f);
	uint64_t bytes = 0;

	if (n > 0)
		n = sched_grant(&s, i, n);
	if (n == 0)
		return;
	for (uint16_t k = 0; k < n; k++)
		bytes += f->bytes +
			 (f->spread ? (uint32_t)random() % f->spread : 0);
	f->taken += n;
	if (now - f->last_ns > f->longest_wait_ns)
		f->longest_wait_ns = now - f->last_ns;
	f->last_ns = now;
	if (f->bad) {
		sched_waste(&s, i, n, bytes);
		return;
	}
	sched_charge(&s, i, (uint32_t)f->second, n, bytes);
	f->sent += n;
	f->sent_bytes += bytes;
}

static void
begin(void)
{
	sched_begin(&s, now);
	sched_update(&s, t);
	for (uint32_t i = 0; i < t->n_vnics; i++) {
		struct source *f = &src[i];

		f->sent = f->sent_bytes = f->taken = f->longest_wait_ns = 0;
		f->from_ns = f->last_ns = now;
	}
}

static void
run_for(uint64_t ns, uint64_t step)
{
	for (uint64_t end = now + ns; now < end; now += step) {
		sched_begin(&s, now);
		for (uint32_t i = 0; i < t->n_vnics; i++)
			turn(i);
	}
}

static void
within(uint64_t is, double want, double of)
{
	ck_assert_msg(
		(double)is > want * (1 - of) && (double)is < want * (1 + of),
		"%.0f, not %.0f", (double)is, want);
}

START_TEST(unlimited_takes_all)
{
	function(1, 3);
	function(7, 1);
	begin();
	for (int i = 0; i < 1000; i++) {
		sched_begin(&s, now += 1000);
		for (uint32_t v = 0; v < 4; v++)
			ck_assert_uint_eq(sched_grant(&s, v, BURST), BURST);
		for (uint32_t v = 0; v < 4; v++)
			sched_charge(&s, v, 0, BURST, BURST * 1500);
		ck_assert_uint_eq(sched_next(&s), UINT64_MAX);
		ck_assert_uint_eq(s.held | s.full, 0);
	}
}
END_TEST

/* Rates from slow to fast, small and large frames, rounds near and far. */
START_TEST(limit_of_bits)
{
	static const struct {
		uint64_t bps;
		uint32_t bytes, spread;
		uint64_t step;
		int of_function;
	} row[] = {
		{ 1000000, 64, 0, 5000, 0 },
		{ 100000000, 1514, 0, 5000, 0 },
		{ 100000000, 64, 1400, 2000, 0 },
		{ 100000000, 1514, 0, 1 * MS, 0 },
		{ 100000000, 60, 0, 100000, 0 },
		{ 1000000000, 300, 1000, 3000, 0 },
		{ 1000000, 64, 0, 5000, 1 },
		{ 100000000, 64, 1400, 5000, 1 },
		{ 10000000000, 1514, 0, 1000, 1 },
	};

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		teardown();
		setup();
		function(1, 1);
		src[0].bytes = row[i].bytes;
		src[0].spread = row[i].spread;
		if (row[i].of_function)
			t->function[0].rate_bps = row[i].bps;
		else
			t->vnic[0].rate_bps = row[i].bps;
		begin();
		run_for(10 * S, row[i].step);
		within(src[0].sent_bytes * 8, 10.0 * (double)row[i].bps, 0.01);
	}
}
END_TEST

START_TEST(limit_of_packets)
{
	function(1, 1);
	function(1, 2);
	t->vnic[0].packet_rate = 20000;
	t->function[1].packet_rate = 100000;
	src[0].spread = 400;
	begin();
	run_for(10 * S, 5000);
	within(src[0].sent, 200000, 0.01);
	within(src[1].sent + src[2].sent, 1000000, 0.01);
	within(src[1].sent, 500000, 0.02);
}
END_TEST

/* By the scheduler's own wake-ups alone, a few per ms. */
START_TEST(limit_when_asleep)
{
	uint64_t end, rounds = 0;

	function(1, 1);
	t->vnic[0].rate_bps = 100000000;
	src[0].bytes = 1514;
	begin();
	for (end = now + 10 * S; now < end; rounds++) {
		sched_begin(&s, now);
		turn(0);
		if (sched_next(&s) == UINT64_MAX)
			continue;
		ck_assert_uint_gt(sched_next(&s), now);
		now = sched_next(&s);
	}
	within(src[0].sent_bytes * 8, 1e9, 0.01);
	ck_assert_uint_lt(rounds, 10 * 10000 * 3);
}
END_TEST

/* After a long rest no more than the credit and one grant at once. */
START_TEST(burst_is_bounded)
{
	function(1, 1);
	t->vnic[0].rate_bps = 100000000;
	begin();
	run_for(100 * MS, 10000);
	now += 10 * S;
	src[0].sent_bytes = 0;
	run_for(10000, 10);
	ck_assert_uint_le(
		src[0].sent_bytes, 100000000 / 8 / 100 + BURST * 1000);
	ck_assert_uint_ge(src[0].sent_bytes, 100000000 / 8 / 100);
}
END_TEST

/* Never more in debt than by one grant, whatever the sizes are. */
START_TEST(debt_is_bounded)
{
	function(1, 1);
	t->vnic[0].rate_bps = 1000000;
	begin();
	for (int i = 0; i < 10000; i++) {
		uint16_t n;

		sched_begin(&s, now += 100000);
		n = sched_grant(&s, 0, BURST);
		if (n == 0)
			continue;
		sched_charge(&s, 0, 0, n, n * (i & 1 ? 60u : 1900u));
		ck_assert_uint_le(
			s.vnic[0].bits.paid_ns, now + BURST * 1900 * 8000ull);
	}
}
END_TEST

START_TEST(dropped_cost_no_rate)
{
	function(1, 1);
	t->vnic[0].rate_bps = 1000000;
	src[0].bad = 1;
	begin();
	run_for(100 * MS, 10000);
	ck_assert_uint_gt(src[0].taken, 30000);
	src[0].bad = 0;
	begin();
	run_for(10 * S, 10000);
	within(src[0].sent_bytes * 8, 1e7, 0.01);
}
END_TEST

START_TEST(limited_slows_no_other)
{
	function(1, 3);
	function(1, 1);
	t->vnic[1].rate_bps = 1000000;
	begin();
	run_for(1 * S, 10000);
	ck_assert_uint_eq(src[0].taken, 100000 * BURST);
	ck_assert_uint_eq(src[2].taken, 100000 * BURST);
	ck_assert_uint_eq(src[3].taken, 100000 * BURST);
	within(src[1].sent_bytes * 8, 1e6, 0.02);
}
END_TEST

/* --- a full uplink ------------------------------------------------------- */

START_TEST(shares_by_weight)
{
	static const uint32_t bytes[][2] = { { 1000, 1000 }, { 64, 1514 },
		{ 1514, 64 } };
	static const uint64_t step[] = { 2000, 10000, 60000 };

	for (int i = 0; i < 9; i++) {
		teardown();
		setup();
		function(1, 1);
		function(3, 2);
		t->uplink[0].rate_bps = 100000000;
		src[0].bytes = bytes[i / 3][0];
		src[1].bytes = bytes[i / 3][1];
		src[2].bytes = bytes[i / 3][1];
		begin();
		run_for(10 * S, step[i % 3]);
		within(src[0].sent_bytes + src[1].sent_bytes +
				src[2].sent_bytes,
			1.25e8, 0.01);
		within(src[1].sent_bytes + src[2].sent_bytes,
			3.0 * (double)src[0].sent_bytes, 0.02);
		within(src[1].sent_bytes, (double)src[2].sent_bytes, 0.02);
	}
}
END_TEST

/* The port is what is full: it takes 8 frames every 10 us. */
START_TEST(shares_of_a_port)
{
	uint64_t left = 0;

	function(1, 1);
	function(3, 1);
	begin();
	for (int i = 0; i < 1000000; i++) {
		left = left > 8 ? left - 8 : 0;
		sched_block(&s, 0, left > 0);
		sched_begin(&s, now += 10000);
		for (uint32_t v = 0; v < 2; v++) {
			uint64_t before = src[v].taken;

			sched_block(&s, 0, left > 0);
			turn(v);
			left += src[v].taken - before;
		}
	}
	within(src[1].sent_bytes, 3.0 * (double)src[0].sent_bytes, 0.02);
	within(src[0].sent + src[1].sent, 8e6, 0.01);
}
END_TEST

START_TEST(idle_shares_go_to_others)
{
	function(1, 1);
	function(200, 1);
	t->uplink[0].rate_bps = 100000000;
	src[1].bytes = 0;
	begin();
	run_for(10 * S, 5000);
	within(src[0].sent_bytes * 8, 1e9, 0.01);
}
END_TEST

/* One sends a tenth of its share, and all of it; two share the rest. */
START_TEST(little_is_not_held_back)
{
	function(1, 1);
	function(1, 1);
	function(2, 1);
	t->uplink[0].rate_bps = 100000000;
	src[0].every_ns = 8 * MS / 10 * 4; /* 2.5 Mb/s */
	begin();
	run_for(10 * S, 5000);
	within(src[0].sent_bytes * 8, 2.5e7, 0.01);
	ck_assert_uint_lt(src[0].longest_wait_ns, 5 * MS);
	within(src[2].sent_bytes, 2.0 * (double)src[1].sent_bytes, 0.02);
	within(src[1].sent_bytes + src[2].sent_bytes, 0.975 * 1.25e8, 0.01);
}
END_TEST

START_TEST(limited_function_on_full_uplink)
{
	function(1, 1);
	function(1, 1);
	function(1, 1);
	t->uplink[0].rate_bps = 100000000;
	t->function[0].rate_bps = 10000000;
	t->vnic[1].rate_bps = 5000000;
	begin();
	run_for(10 * S, 5000);
	within(src[0].sent_bytes * 8, 1e8, 0.01);
	within(src[1].sent_bytes * 8, 5e7, 0.01);
	within(src[2].sent_bytes * 8, 8.5e8, 0.01);
}
END_TEST

START_TEST(none_starves)
{
	for (uint32_t f = 0; f < 8; f++)
		function(f == 7 ? 1 : 256, 1 + f % 3);
	t->uplink[0].rate_bps = 1000000000;
	begin();
	run_for(2 * S, 5000);
	for (uint32_t i = 0; i < t->n_vnics; i++) {
		ck_assert_uint_gt(src[i].sent, 0);
		ck_assert_uint_lt(src[i].longest_wait_ns, 500 * MS);
	}
}
END_TEST

/* Garbage buys nobody a longer turn. */
START_TEST(garbage_on_full_uplink)
{
	function(1, 1);
	function(1, 1);
	t->uplink[0].rate_bps = 100000000;
	src[0].bad = 1;
	begin();
	run_for(10 * S, 5000);
	within(src[1].sent_bytes * 8, 1e9, 0.01);
}
END_TEST

/*
 * Both may send by either of two full uplinks: neither waits for the other,
 * and who sends by one only does not hold up who shares the other.
 */
START_TEST(two_uplinks)
{
	function(1, 1);
	function(1, 1);
	function(1, 1);
	t->n_uplinks = 2;
	t->uplink[0].rate_bps = 100000000;
	t->uplink[1].rate_bps = 50000000;
	t->vnic[0].uplinks = t->vnic[1].uplinks = 3;
	t->vnic[2].uplinks = 1;
	src[1].second = 1;
	begin();
	run_for(10 * S, 5000);
	for (int i = 0; i < 3; i++)
		ck_assert_uint_gt(src[i].sent_bytes, 12500000);
	within(src[1].sent_bytes * 8, 5e8, 0.05);
	within(src[0].sent_bytes + src[2].sent_bytes, 1.25e8, 0.05);
}
END_TEST

START_TEST(other_uplink_is_free)
{
	function(1, 2);
	t->n_uplinks = 2;
	t->uplink[0].rate_bps = 1000000;
	t->vnic[1].uplinks = 2;
	src[1].second = 1;
	begin();
	run_for(1 * S, 10000);
	within(src[0].sent_bytes * 8, 1e6, 0.05);
	ck_assert_uint_gt(src[1].taken, 99000 * BURST);
}
END_TEST

START_TEST(kernel_counts_on_uplink)
{
	function(1, 1);
	t->uplink[0].rate_bps = 100000000;
	begin();
	for (int i = 0; i < 1000000; i++) {
		sched_begin(&s, now += 10000);
		if (i % 8 == 0)
			sched_inject(&s, 0, 500); /* 50 Mb/s */
		turn(0);
	}
	within(src[0].sent_bytes * 8, 5e8, 0.01);
}
END_TEST

/* --- change -------------------------------------------------------------- */

START_TEST(clock_begins_anew)
{
	function(1, 1);
	function(1, 1);
	t->vnic[0].rate_bps = 1000000;
	t->uplink[0].rate_bps = 100000000;
	begin();
	run_for(1 * S, 5000);
	now = 1000;
	src[0].sent_bytes = src[1].sent_bytes = 0;
	src[0].last_ns = src[1].last_ns = now;
	run_for(10 * S, 5000);
	within(src[0].sent_bytes * 8, 1e7, 0.01);
	within(src[1].sent_bytes * 8, 9.9e8, 0.01);
}
END_TEST

/* What is owed is owed: no burst by changing the rate to and fro. */
START_TEST(rate_changes)
{
	uint64_t sent = 0;

	function(1, 1);
	t->vnic[0].rate_bps = 1000000;
	src[0].bytes = 1514;
	begin();
	for (int i = 0; i < 1000; i++) {
		t->vnic[0].rate_bps = i & 1 ? 1000000 : 3000000;
		sched_update(&s, t);
		run_for(10 * MS, 10000);
	}
	within(src[0].sent_bytes * 8, 2e7, 0.01);
	t->vnic[0].rate_bps = 0;
	sched_update(&s, t);
	sent = src[0].sent;
	run_for(1 * MS, 10000);
	ck_assert_uint_eq(src[0].sent - sent, 100 * BURST);
	t->vnic[0].rate_bps = 1000000;
	sched_update(&s, t);
	src[0].sent_bytes = 0;
	run_for(10 * S, 10000);
	within(src[0].sent_bytes * 8, 1e7, 0.01);
}
END_TEST

START_TEST(weight_changes)
{
	function(1, 1);
	function(1, 1);
	t->uplink[0].rate_bps = 100000000;
	begin();
	run_for(5 * S, 5000);
	within(src[0].sent_bytes, (double)src[1].sent_bytes, 0.02);
	t->function[1].weight = 4;
	sched_update(&s, t);
	src[0].sent_bytes = src[1].sent_bytes = 0;
	run_for(5 * S, 5000);
	within(src[1].sent_bytes, 4.0 * (double)src[0].sent_bytes, 0.02);
}
END_TEST

int
main(void)
{
	const TTest *const test[] = { unlimited_takes_all, limit_of_bits,
		limit_of_packets, limit_when_asleep, burst_is_bounded,
		debt_is_bounded, dropped_cost_no_rate, limited_slows_no_other,
		shares_by_weight, shares_of_a_port, idle_shares_go_to_others,
		little_is_not_held_back, limited_function_on_full_uplink,
		none_starves, garbage_on_full_uplink, two_uplinks,
		other_uplink_is_free, kernel_counts_on_uplink,
		clock_begins_anew, rate_changes, weight_changes };
	Suite *suite = suite_create("softnic sched");
	TCase *c = tcase_create("virtual time");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_set_timeout(c, 120);
	for (size_t i = 0; i < sizeof(test) / sizeof(test[0]); i++)
		tcase_add_test(c, test[i]);
	suite_add_tcase(suite, c);
	r = srunner_create(suite);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
