/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Policing on virtual time: limits, bursts, shares. Senders are frames at
 * even times; what passes is counted behind a run-in that uses the bursts up.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "ctrl/xdp/police.h"

#define S       POLICE_NS_PER_S
#define MS      (S / 1000)
#define BEGIN   (1234 * S) /* the clock need not begin at 0 */
#define FRAME   1514
#define SENDERS 4
#define RUN_IN  700000 /* frames: more than any burst here takes */

static struct police_rate
rate_of(uint64_t bps, uint64_t pps)
{
	return (struct police_rate){
		.byte_cost = police_byte_cost(bps),
		.packet_cost = police_packet_cost(pps),
		.burst_bytes = FRAME * POLICE_BURST_FRAMES,
	};
}

/* Frames of `bytes` every `gap_ns` from `start` to `end`: how many pass. */
static uint64_t
offer(struct police_meter *m, const struct police_rate *r, uint64_t bytes,
	uint64_t gap_ns, uint64_t start, uint64_t end)
{
	uint64_t passed = 0;

	for (uint64_t t = start; t < end; t += gap_ns)
		passed += (uint64_t)police_meter_pass(m, r, bytes, t);
	return passed;
}

static void
assert_near(uint64_t have, uint64_t want, double percent)
{
	ck_assert_msg(
		(double)have >= (double)want * (1 - percent / 100) &&
			(double)have <= (double)want * (1 + percent / 100),
		"%lu is more than %.1f%% off %lu", have, percent, want);
}

/* Ten seconds of twice as much, or a little more, than the limit. */
START_TEST(test_limit)
{
	static const struct {
		uint64_t bps, pps;
		uint64_t bytes, gap_ns;
		uint64_t want; /* frames/s */
	} row[] = {
		{ 64000, 0, 60, 4 * MS, 133 },
		{ 10000000, 0, 1514, 600000, 825 },
		{ 100000000, 0, 1514, 60000, 8256 },
		{ 100000000, 0, 1514, 120000, 8256 },
		{ 1000000000, 0, 9014, 36000, 13867 },
		{ 40000000000, 0, 65536, 6500, 76293 },
		{ 0, 1, 60, 5 * MS, 1 },
		{ 0, 1000, 60, 490000, 1000 },
		{ 0, 1000000, 60, 700, 1000000 },
		{ 10000000, 500, 1514, 600000, 500 },
		{ 10000000, 900, 1514, 600000, 825 },
	};

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct police_rate r = rate_of(row[i].bps, row[i].pps);
		uint64_t full = BEGIN + RUN_IN * row[i].gap_ns;
		struct police_meter m = { 0 };

		offer(&m, &r, row[i].bytes, row[i].gap_ns, BEGIN, full);
		assert_near(offer(&m, &r, row[i].bytes, row[i].gap_ns, full,
				    full + 10 * S),
			10 * row[i].want, 1);
	}
}
END_TEST

/* Costs are whole ticks: even a frame of 60 bytes at 1 Tb/s is charged. */
START_TEST(test_cost)
{
	struct police_rate r = rate_of(1000000000000, 0);
	struct police_meter m = { 0 };

	ck_assert_int_eq(police_meter_pass(&m, &r, 60, BEGIN), 1);
	assert_near(m.bytes_owed, POLICE_TICKS(48) / 100, 1);
	ck_assert_uint_eq(rate_of(0, 1000000000).packet_cost, POLICE_TICKS(1));
	ck_assert_uint_eq(rate_of(0, 0).byte_cost, 0);
	ck_assert_uint_eq(rate_of(0, 0).packet_cost, 0);
}
END_TEST

/* What is within the limit is never dropped, however it is spread. */
START_TEST(test_within)
{
	struct police_rate r = rate_of(100000000, 0);
	struct police_meter m = { 0 };
	uint64_t t = BEGIN, dropped = 0;

	srandom(1);
	for (int i = 0; i < 10000; i++) {
		uint64_t n = (uint64_t)random() % 1600 + 1;

		/* At once, then a pause that makes up for it. */
		for (uint64_t k = 0; k < n; k++)
			dropped += !police_meter_pass(&m, &r, FRAME, t);
		t += n * FRAME * 80 + 1;
	}
	ck_assert_uint_eq(dropped, 0);
}
END_TEST

START_TEST(test_burst)
{
	struct police_rate fast = rate_of(100000000, 0);
	struct police_rate slow = rate_of(64000, 0);
	struct police_rate few = rate_of(0, 10), many = rate_of(0, 10000);
	struct police_meter m = { 0 };

	/* 200 ms, and the frame that goes beyond. */
	ck_assert_uint_eq(offer(&m, &fast, FRAME, 1, BEGIN, BEGIN + 5000),
		20000000 / 8 / FRAME + 1);
	/* As much again after 200 ms, but no more after a year. */
	assert_near(
		offer(&m, &fast, FRAME, 1, BEGIN + S / 5, BEGIN + S / 5 + 5000),
		20000000 / 8 / FRAME, 1);
	ck_assert_uint_eq(offer(&m, &fast, FRAME, 1, BEGIN + S * 31536000,
				  BEGIN + S * 31536000 + 5000),
		20000000 / 8 / FRAME + 1);
	memset(&m, 0, sizeof(m));
	ck_assert_uint_eq(offer(&m, &slow, FRAME, 1, BEGIN, BEGIN + 5000), 65);
	memset(&m, 0, sizeof(m));
	ck_assert_uint_eq(offer(&m, &few, 60, 1, BEGIN, BEGIN + 5000), 65);
	memset(&m, 0, sizeof(m));
	ck_assert_uint_eq(offer(&m, &many, 60, 1, BEGIN, BEGIN + 5000), 2001);
}
END_TEST

/* What is owed stays, as a part of the bucket; nobody waits for what was. */
START_TEST(test_rate_changes)
{
	struct police_rate slow = rate_of(1000000, 0),
			   less = rate_of(900000, 0);
	struct police_rate fast = rate_of(1000000000, 0);
	struct police_rate least = rate_of(64000, 0), none = rate_of(0, 0);
	struct police_meter m = { 0 };

	offer(&m, &slow, FRAME, 1, BEGIN, BEGIN + 5000);
	ck_assert_uint_le(offer(&m, &less, FRAME, 1, BEGIN, BEGIN + 5000), 8);
	ck_assert_uint_le(offer(&m, &slow, FRAME, 1, BEGIN, BEGIN + 5000), 8);
	/* A bucket of 12 s, full, and then a rate whose bucket is of 0.2 s. */
	memset(&m, 0, sizeof(m));
	offer(&m, &least, FRAME, 1, BEGIN, BEGIN + 5000);
	assert_near(offer(&m, &fast, FRAME, 6000, BEGIN, BEGIN + S), 82562, 1);
	offer(&m, &least, FRAME, 1, BEGIN + S, BEGIN + S + 5000);
	ck_assert_uint_eq(
		offer(&m, &none, FRAME, 1, BEGIN + S, BEGIN + S + 900), 900);
}
END_TEST

/* Another CPU's clock is a little behind: nothing is gained, nothing lost. */
START_TEST(test_clock_steps_back)
{
	struct police_rate r = rate_of(100000000, 0);
	struct police_meter m = { 0 };
	uint64_t passed = 0, end = BEGIN + 11 * S;

	offer(&m, &r, FRAME, 60000, BEGIN, BEGIN + S);
	for (uint64_t t = BEGIN + S; t < end; t += 60000) {
		uint64_t skew = (t / 60000) & 1 ? 200000 : 0;

		passed += (uint64_t)police_meter_pass(&m, &r, FRAME, t - skew);
	}
	assert_near(passed, 82562, 1);
}
END_TEST

/* --- shares --- */

struct sender {
	uint32_t weight;
	uint64_t bps; /* offered */
	uint64_t bytes;
};

struct run {
	struct police_shares s;
	struct police_queues q;
	struct sender sender[SENDERS];
	uint64_t next[SENDERS];
	uint64_t offered[SENDERS], passed[SENDERS]; /* bytes */
	uint64_t skew_ns; /* of every other frame's clock */
};

static void
run_init(struct run *r, uint64_t bps, const struct sender *senders)
{
	memset(r, 0, sizeof(*r));
	r->s.byte_cost = police_byte_cost(bps);
	r->s.burst_bytes = 2 * FRAME * POLICE_BURST_FRAMES;
	for (int i = 0; i < SENDERS; i++) {
		r->sender[i] = senders[i];
		r->s.weight[i] = senders[i].weight;
		r->next[i] = BEGIN + (uint64_t)i * 1000;
	}
}

static int
next_sender(const struct run *r)
{
	int first = -1;

	for (int i = 0; i < SENDERS; i++)
		if (r->sender[i].bps &&
			(first < 0 || r->next[i] < r->next[first]))
			first = i;
	return first;
}

/* Frames in the order of their times, up to `end`; counted from `from`. */
static void
run_to(struct run *r, uint64_t from, uint64_t end)
{
	memset(r->offered, 0, sizeof(r->offered));
	memset(r->passed, 0, sizeof(r->passed));
	for (int i; r->next[i = next_sender(r)] < end;) {
		uint64_t t = r->next[i], bytes = r->sender[i].bytes;
		int pass = police_share_pass(&r->q, &r->s, (uint32_t)i, bytes,
			i & 1 ? t - r->skew_ns : t);

		if (t >= from) {
			r->offered[i] += bytes;
			r->passed[i] += pass ? bytes : 0;
		}
		r->next[i] = t + bytes * 8 * S / r->sender[i].bps;
	}
}

static uint64_t
sum_passed(const struct run *r)
{
	uint64_t sum = 0;

	for (int i = 0; i < SENDERS; i++)
		sum += r->passed[i];
	return sum;
}

#define M 1000000ull

/* Offered, and by hand what is max-min fair, in Mb/s of 100. */
START_TEST(test_shares)
{
	static const struct {
		struct sender sender[SENDERS];
		uint64_t want[SENDERS];
	} row[] = {
		{ { { 1, 200 * M, 1514 } }, { 100 } },
		{ { { 1, 200 * M, 1514 }, { 3, 200 * M, 1514 } }, { 25, 75 } },
		{ { { 3, 101 * M, 1514 }, { 1, 900 * M, 1514 } }, { 75, 25 } },
		{ { { 1, 200 * M, 60 }, { 3, 200 * M, 1514 } }, { 25, 75 } },
		{ { { 1, 200 * M, 1514 }, { 3, 30 * M, 1514 } }, { 70, 30 } },
		{ { { 1, 10 * M, 1514 }, { 3, 200 * M, 1514 } }, { 10, 90 } },
		{ { { 1, 60 * M, 1514 }, { 1, 60 * M, 300 } }, { 50, 50 } },
		{ { { 1, 90 * M, 1514 }, { 1, 90 * M, 1514 },
			  { 1, 5 * M, 100 } },
			{ 47, 47, 5 } },
		{ { { 1, 90 * M, 1514 }, { 2, 90 * M, 1514 },
			  { 100, 10 * M, 1514 } },
			{ 30, 60, 10 } },
		{ { { 20, 200 * M, 1514 }, { 1, 2 * M, 1514 } }, { 98, 2 } },
		{ { { 1, 200 * M, 1514 }, { 1, 200 * M, 1514 },
			  { 1, 200 * M, 1514 }, { 2, 200 * M, 1514 } },
			{ 20, 20, 20, 40 } },
	};

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++)
		for (int skew = 0; skew < 2; skew++) {
			struct run r;

			run_init(&r, 100 * M, row[i].sender);
			r.skew_ns = skew ? 200000 : 0;
			run_to(&r, BEGIN + 2 * S, BEGIN + 12 * S);
			for (int k = 0; k < SENDERS; k++)
				assert_near(r.passed[k],
					row[i].want[k] * 10 * M / 8, 3);
			assert_near(sum_passed(&r), 1000 * M / 8, 1);
		}
}
END_TEST

/* At 99 in all of 100 nothing is dropped, whoever has which weight. */
START_TEST(test_not_full)
{
	static const struct sender sender[SENDERS] = {
		{ 1, 60 * M, 1514 },
		{ 256, 20 * M, 60 },
		{ 3, 18 * M, 1514 },
		{ 1, 1 * M, 300 },
	};
	struct run r;

	run_init(&r, 100 * M, sender);
	run_to(&r, BEGIN, BEGIN + 10 * S);
	for (int i = 0; i < SENDERS; i++)
		ck_assert_uint_eq(r.passed[i], r.offered[i]);
}
END_TEST

/* One below its share loses nothing to others that send ten times theirs. */
START_TEST(test_small_sender_loses_nothing)
{
	static const struct sender sender[SENDERS] = {
		{ 1, 1000 * M, 1514 },
		{ 1, 15 * M, 200 },
		{ 4, 1000 * M, 1514 },
	};
	struct run r;

	run_init(&r, 100 * M, sender);
	run_to(&r, BEGIN, BEGIN + 10 * S);
	ck_assert_uint_eq(r.passed[1], r.offered[1]);
}
END_TEST

/* On and off in turn: the one that is on has it all, from the first second. */
START_TEST(test_takes_turns)
{
	static const struct sender sender[SENDERS] = {
		{ 1, 200 * M, 1514 },
		{ 3, 0, 1514 },
	};
	struct run r;
	uint64_t sum = 0;

	run_init(&r, 100 * M, sender);
	run_to(&r, BEGIN, BEGIN + S);
	for (uint64_t k = 1; k < 20; k++) {
		int on = k & 1;

		r.sender[on].bps = 200 * M;
		r.sender[!on].bps = 0;
		r.next[on] = BEGIN + k * S;
		run_to(&r, BEGIN + k * S, BEGIN + (k + 1) * S);
		ck_assert_uint_eq(r.passed[!on], 0);
		ck_assert_uint_ge(r.passed[on], 97 * M / 8);
		sum += r.passed[on];
	}
	assert_near(sum, 1900 * M / 8, 2);
}
END_TEST

/* All together get one burst, one alone half of it, and frames beyond. */
START_TEST(test_share_burst)
{
	static const struct sender none[SENDERS] = { { 1, 0, 0 }, { 1, 0, 0 },
		{ 1, 0, 0 }, { 1, 0, 0 } };
	uint64_t sent[POLICE_FUNCTIONS] = { 0 }, sum = 0;
	struct run r;

	run_init(&r, 100 * M, none);
	for (uint32_t f = 0; f < POLICE_FUNCTIONS; f++) {
		r.s.weight[f] = 1;
		while (police_share_pass(&r.q, &r.s, f, FRAME, BEGIN))
			sent[f] += FRAME;
		/* Each finds half of what the one before it has left. */
		if (f < 8)
			ck_assert_uint_gt(sent[f], 9 * M / 8 >> f);
		sum += sent[f];
	}
	assert_near(sent[0], 10 * M / 8, 1);
	ck_assert_uint_le(sum, 20 * M / 8 + POLICE_FUNCTIONS * FRAME);
	/* 201 ms later all of that has been sent. */
	ck_assert_int_eq(
		police_share_pass(&r.q, &r.s, 9, FRAME, BEGIN + S / 5 + MS), 1);
	ck_assert_uint_eq(r.q.total, FRAME * r.s.byte_cost);
}
END_TEST

/* The sum that is kept is the sum, whatever comes, and weights change. */
START_TEST(test_total_is_sum)
{
	static const struct sender none[SENDERS];
	uint64_t t = BEGIN;
	struct run r;

	srandom(3);
	run_init(&r, 100 * M, none);
	for (int i = 0; i < 200000; i++) {
		uint64_t sum = 0;

		r.s.weight[random() % POLICE_FUNCTIONS] =
			(uint32_t)random() % 257;
		if (random() % 1000 == 0)
			r.s.byte_cost =
				police_byte_cost(64000ull << (random() % 24));
		t += (uint64_t)random() % 200000;
		police_share_pass(&r.q, &r.s, (uint32_t)random(),
			60 + (uint64_t)random() % 1455,
			t - (uint64_t)random() % 1000);
		for (int k = 0; k < POLICE_FUNCTIONS; k++)
			sum += r.q.queue[k];
		ck_assert_uint_eq(sum, r.q.total);
	}
}
END_TEST

/* Weights and the rate change while all send: no burst, the new shares. */
START_TEST(test_shares_change)
{
	static const struct sender sender[SENDERS] = {
		{ 1, 2000 * M, 1514 },
		{ 3, 2000 * M, 1514 },
	};
	struct run r;

	run_init(&r, 100 * M, sender);
	run_to(&r, BEGIN, BEGIN + 3 * S);
	r.s.weight[1] = 1;
	run_to(&r, BEGIN + 3 * S, BEGIN + 8 * S);
	assert_near(r.passed[0], 250 * M / 8, 3);
	assert_near(sum_passed(&r), 500 * M / 8, 1);
	r.s.byte_cost = police_byte_cost(50 * M);
	run_to(&r, BEGIN + 8 * S, BEGIN + 13 * S);
	assert_near(sum_passed(&r), 250 * M / 8, 1);
	/* From 32 s of debt at 64 kb/s to a rate where that is nothing. */
	r.s.byte_cost = police_byte_cost(64000);
	run_to(&r, BEGIN + 13 * S, BEGIN + 14 * S);
	r.s.byte_cost = police_byte_cost(1000 * M);
	run_to(&r, BEGIN + 14 * S, BEGIN + 15 * S);
	/* All of a burst was owed; busy queues hold two thirds of it. */
	assert_near(sum_passed(&r), 1000 * M / 8 - 1000 * M / 8 / 15, 1);
	run_to(&r, BEGIN + 15 * S, BEGIN + 16 * S);
	assert_near(sum_passed(&r), 1000 * M / 8, 1);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("police");
	TCase *t = tcase_create("police");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_set_timeout(t, 120);
	tcase_add_test(t, test_limit);
	tcase_add_test(t, test_cost);
	tcase_add_test(t, test_within);
	tcase_add_test(t, test_burst);
	tcase_add_test(t, test_rate_changes);
	tcase_add_test(t, test_clock_steps_back);
	tcase_add_test(t, test_shares);
	tcase_add_test(t, test_not_full);
	tcase_add_test(t, test_small_sender_loses_nothing);
	tcase_add_test(t, test_takes_turns);
	tcase_add_test(t, test_share_burst);
	tcase_add_test(t, test_total_is_sum);
	tcase_add_test(t, test_shares_change);
	suite_add_tcase(s, t);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
