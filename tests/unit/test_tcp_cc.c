/* SPDX-License-Identifier: BSD-3-Clause */
/* Windows: by the tables of the RFCs, and CUBIC against its formula. */
#include <check.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "dataplane/tcp/cc.h"

#define MSS 1000u

static const struct cc_ops *const both[] = { &cc_newreno, &cc_cubic };

/* A window after a loss at `cwnd`, in congestion avoidance. */
static struct cc
after_loss(const struct cc_ops *ops, uint32_t mss, uint32_t cwnd)
{
	struct cc cc;

	ops->init(&cc, mss);
	cc.cwnd = cwnd;
	ops->loss(&cc, mss, cwnd, 0);
	ops->recovered(&cc, mss, cc.cwnd);
	ck_assert_uint_ge(cc.cwnd, cc.ssthresh);
	return cc;
}

/* ACKs of two segments for one window, spread over `rtt_ms`. */
static void
round_trip(const struct cc_ops *ops, struct cc *cc, uint32_t mss,
	uint32_t now_ms, uint32_t rtt_ms)
{
	uint32_t window = cc->cwnd, done = 0;

	while (done < window) {
		uint32_t n = window - done < 2 * mss ? window - done : 2 * mss;

		done += n;
		ops->acked(cc, mss, n,
			now_ms + (uint32_t)((uint64_t)rtt_ms * done / window),
			rtt_ms, 1);
	}
}

START_TEST(test_initial)
{
	static const struct {
		uint32_t mss, window;
	} row[] = { { 1460, 14600 }, { 1440, 14400 }, { 536, 5360 },
		{ 1461, 14600 }, { 7300, 14600 }, { 8960, 17920 },
		{ 65535, 131070 } };

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		ck_assert_uint_eq(cc_initial_window(row[i].mss), row[i].window);
		for (int k = 0; k < 2; k++) {
			struct cc cc;

			both[k]->init(&cc, row[i].mss);
			ck_assert_uint_eq(cc.cwnd, row[i].window);
			ck_assert_uint_eq(cc.ssthresh, CC_SSTHRESH_NONE);
		}
	}
}
END_TEST

/* Doubled in a round trip; an ACK counts for two segments, later for one. */
START_TEST(test_slow_start)
{
	const struct cc_ops *ops = both[_i];
	struct cc cc;

	ops->init(&cc, MSS);
	for (uint32_t want = 20000; want <= 320000; want *= 2) {
		round_trip(ops, &cc, MSS, 0, 100);
		ck_assert_uint_eq(cc.cwnd, want);
	}
	ops->acked(&cc, MSS, 10, 0, 100, 1);
	ck_assert_uint_eq(cc.cwnd, 320010);
	ops->acked(&cc, MSS, 100000, 0, 100, 1);
	ck_assert_uint_eq(cc.cwnd, 322010);
	ops->acked(&cc, MSS, 100000, 0, 100, 0);
	ck_assert_uint_eq(cc.cwnd, 322010);

	ops->timeout(&cc, MSS, 100000, 0);
	ck_assert_uint_eq(cc.cwnd, 1000);
	ops->acked(&cc, MSS, 50000, 0, 100, 1);
	ck_assert_uint_eq(cc.cwnd, 2000);
	ops->acked(&cc, MSS, 300, 0, 100, 1);
	ck_assert_uint_eq(cc.cwnd, 2300);
}
END_TEST

/* What loss, time-outs, idleness and a recovery's end leave. */
START_TEST(test_events)
{
	static const struct {
		uint32_t flight, ssthresh[2];
	} row[] = {
		{ 100000, { 50000, 70000 } },
		{ 33333, { 16666, 23333 } },
		{ 4000, { 2000, 2800 } },
		{ 2500, { 2000, 2000 } },
		{ 0, { 2000, 2000 } },
		{ CC_WINDOW_MAX, { CC_WINDOW_MAX / 2, 751619276 } },
	};
	const struct cc_ops *ops = both[_i];
	struct cc cc;

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		const uint32_t want = row[i].ssthresh[_i];

		ops->init(&cc, MSS);
		ops->loss(&cc, MSS, row[i].flight, 0);
		ck_assert_uint_eq(cc.ssthresh, want);
		ck_assert_uint_eq(cc.cwnd, want);

		/* RFC 6582: no burst when little is in flight. */
		ops->recovered(&cc, MSS, 0);
		ck_assert_uint_eq(cc.cwnd, 2000);
		ck_assert_uint_eq(cc.ssthresh, want);
		cc.cwnd = want;
		ops->recovered(&cc, MSS, CC_WINDOW_MAX);
		ck_assert_uint_eq(cc.cwnd, want);

		/* RFC 5681: the same segment again leaves ssthresh. */
		ops->init(&cc, MSS);
		ops->timeout(&cc, MSS, row[i].flight, 0);
		ck_assert_uint_eq(cc.ssthresh, want);
		ck_assert_uint_eq(cc.cwnd, MSS);
		ops->timeout(&cc, MSS, MSS, 1000);
		ck_assert_uint_eq(cc.ssthresh, want);
		ck_assert_uint_eq(cc.cwnd, MSS);
	}
	ops->idle(&cc, MSS);
	ck_assert_uint_eq(cc.cwnd, MSS);
	cc.cwnd = 500000;
	ops->idle(&cc, MSS);
	ck_assert_uint_eq(cc.cwnd, 10000);
}
END_TEST

/* A segment per round trip, however the window is acknowledged. */
START_TEST(test_reno_avoidance)
{
	struct cc cc = after_loss(&cc_newreno, MSS, 100000);
	uint32_t total = 0, window;

	for (uint32_t i = 0; i < 100; i++)
		round_trip(&cc_newreno, &cc, MSS, i * 100, 100);
	ck_assert_uint_ge(cc.cwnd, 50000 + 99 * MSS);
	ck_assert_uint_le(cc.cwnd, 50000 + 100 * MSS);

	/* By single bytes, and by whole windows. */
	window = cc.cwnd;
	for (; total < window; total++)
		cc_newreno.acked(&cc, MSS, 1, 0, 100, 1);
	ck_assert_uint_le(cc.cwnd, window + MSS);
	for (uint32_t i = 0; i < 10; i++)
		cc_newreno.acked(&cc, MSS, cc.cwnd, 0, 100, 1);
	ck_assert_uint_eq(cc.cwnd, window + 11 * MSS);
	cc_newreno.acked(&cc, MSS, cc.cwnd, 0, 100, 0);
	ck_assert_uint_eq(cc.cwnd, window + 11 * MSS);
}
END_TEST

/* ACKs that end within a window: what is beyond it counts for the next. */
START_TEST(test_reno_rest)
{
	static const uint32_t ack[] = { 1000, 7777, 30000, 49999 };

	for (size_t k = 0; k < sizeof(ack) / sizeof(ack[0]); k++) {
		struct cc cc = after_loss(&cc_newreno, MSS, 100000);
		uint64_t left = 0;
		uint32_t want = cc.cwnd;

		for (uint32_t i = 0; i < 1000; i++) {
			cc_newreno.acked(&cc, MSS, ack[k], 0, 100, 1);
			left += ack[k];
			if (left >= want) {
				left -= want;
				want += MSS;
			}
			ck_assert_uint_eq(cc.cwnd, want);
		}
	}
}
END_TEST

/* --- CUBIC --- */

static double
cbrt_k_ms(double missing, double mss)
{
	return cbrt(missing / mss / 0.4) * 1000;
}

/* K to the millisecond, for windows up to the largest. */
START_TEST(test_k)
{
	static const uint32_t mss[] = { 64, 536, 1460, 8960, 65535 };

	srand(5);
	for (uint32_t i = 0; i < 3000; i++) {
		const uint32_t m = mss[i % 5];
		uint32_t cwnd = 8 * m + (uint32_t)rand() % (1u << rand() % 31);
		struct cc cc;
		double k;

		if (cwnd > CC_WINDOW_MAX)
			cwnd = CC_WINDOW_MAX;
		cc = after_loss(&cc_cubic, m, cwnd);
		k = cbrt_k_ms(cwnd - cc.cwnd, m);
		cc_cubic.acked(&cc, m, 1, 12345, 1, 1);
		ck_assert_uint_eq(cc.cubic.w_max, cwnd);
		ck_assert_double_le(fabs(cc.cubic.k_ms - k), 1.0);
	}
}
END_TEST

/*
 * From a loss over the plateau to far beyond: as the formula says, in the
 * round trip that is under way. `base`: the clock, which wraps.
 */
static void
follow_curve(uint32_t mss, uint32_t cwnd, uint32_t rtt_ms, uint32_t base)
{
	struct cc cc = after_loss(&cc_cubic, mss, cwnd);
	const double k = cbrt_k_ms(cwnd - cc.cwnd, mss);
	bool at_plateau = false;

	for (uint32_t t = 0; t < 2 * k; t += rtt_ms) {
		double now = (t - k) / 1000, then = now + rtt_ms / 1000.0;
		double low = 0.4 * now * now * now * mss + cwnd;
		double high = 0.4 * then * then * then * mss + cwnd;

		round_trip(&cc_cubic, &cc, mss, base + t, rtt_ms);
		/* The target is a round trip ahead of the last ACK. */
		high += high - low + 2 * mss;
		ck_assert_double_ge(cc.cwnd, low - 2 * mss);
		ck_assert_double_le(cc.cwnd, high + 0.01 * cwnd);
		if (t >= k && !at_plateau) {
			ck_assert_double_ge(cc.cwnd, 0.99 * cwnd);
			ck_assert_double_le(cc.cwnd, 1.01 * cwnd + 2 * mss);
			at_plateau = true;
		}
	}
	ck_assert(at_plateau);
	ck_assert_double_ge(cc.cwnd, 1.25 * cwnd);
}

/*
 * A window that is acknowledged at once is then where the curve will be in a
 * round trip. Epochs that begin at 0 or over the wrap are no others.
 */
START_TEST(test_target)
{
	static const uint32_t base[] = { 5000, 0, 0xffffffff, 0xffffff80 };
	const double k = cbrt_k_ms(300 * MSS, MSS);

	for (size_t i = 0; i < sizeof(base) / sizeof(base[0]); i++) {
		struct cc cc = after_loss(&cc_cubic, MSS, 1000 * MSS);

		cc_cubic.acked(&cc, MSS, 1, base[i], 200, 1);
		for (uint32_t t = 300; t < 15000; t += 300) {
			double then = (t + 200 - k) / 1000;
			double want =
				0.4 * then * then * then * MSS + 1000 * MSS;

			cc_cubic.acked(&cc, MSS, cc.cwnd, base[i] + t, 200, 1);
			/* 2 ms on the steepest of the way. */
			ck_assert_double_le(fabs(cc.cwnd - want), 150);
		}
	}
}
END_TEST

/* However long ago: half a window more in a round trip, and no overflow. */
START_TEST(test_long_ago)
{
	static const uint32_t mss[] = { 64, 1460, 65535 };

	for (uint32_t i = 0; i < 3 * 32; i++) {
		const uint32_t m = mss[i % 3],
			       t = i < 96 - 3 ? 1u << i / 3 : UINT32_MAX;
		struct cc cc = after_loss(&cc_cubic, m, 100 * m);

		cc.cubic.w_max = 0;
		cc.cwnd = 1000 * m;
		cc_cubic.acked(&cc, m, 1, 7, 100, 1);
		cc_cubic.acked(&cc, m, cc.cwnd, 7 + t, 100, 1);
		if (t >= 1u << 15)
			ck_assert_uint_eq(cc.cwnd, 1500 * m);
		else
			ck_assert_uint_le(cc.cwnd, 1500 * m);
	}
}
END_TEST

START_TEST(test_curve)
{
	static const uint32_t base[] = { 1, 0, 0xffffffff, 0xffffffff - 3000,
		0x7fffffff };

	for (size_t i = 0; i < sizeof(base) / sizeof(base[0]); i++) {
		follow_curve(1460, 1000 * 1460, 100, base[i]);
		follow_curve(1460, 10000 * 1460, 50, base[i]);
		follow_curve(8960, 2000 * 8960, 200, base[i]);
		follow_curve(536, 3000 * 536, 30, base[i]);
	}
}
END_TEST

/* Short round trips: 9/17 of a segment each up to the old window, then one. */
START_TEST(test_reno_friendly)
{
	struct cc cc = after_loss(&cc_cubic, MSS, 40000);
	uint32_t n = 0, start = cc.cwnd;

	ck_assert_uint_eq(start, 28000);
	for (; cc.cwnd < 40000; n++)
		round_trip(&cc_cubic, &cc, MSS, 100 + n, 1);
	ck_assert_uint_ge(n, 12 * 17 / 9 - 1);
	ck_assert_uint_le(n, 12 * 17 / 9 + 2);
	start = cc.cwnd;
	for (uint32_t i = 0; i < 50; i++)
		round_trip(&cc_cubic, &cc, MSS, 100 + n + i, 1);
	ck_assert_uint_ge(cc.cwnd, start + 49 * MSS);
	ck_assert_uint_le(cc.cwnd, start + 51 * MSS);
}
END_TEST

/* The same by bytes: no ACK's part is forgotten when the window grows. */
START_TEST(test_reno_friendly_rest)
{
	struct cc cc = after_loss(&cc_cubic, MSS, 40000);
	uint32_t bytes = 0, need = 0;

	for (uint32_t w = 28000; w < 40000; w += MSS)
		need += w * 17 / 9;
	for (; cc.cwnd < 40000; bytes += 20000)
		cc_cubic.acked(&cc, MSS, 20000, 100, 1, 1);
	ck_assert_uint_ge(bytes, need - 20000);
	ck_assert_uint_le(bytes, need + 20000);
}
END_TEST

/* Lost below the last plateau: the next one is lower than the window was. */
START_TEST(test_fast_convergence)
{
	struct cc cc = after_loss(&cc_cubic, MSS, 1000000);

	ck_assert_uint_eq(cc.cubic.w_max, 1000000);
	cc.cwnd = 800000;
	cc_cubic.loss(&cc, MSS, 800000, 0);
	ck_assert_uint_eq(cc.cubic.w_max, 680000);
	ck_assert_uint_eq(cc.cubic.prior, 800000);
	ck_assert_uint_eq(cc.cwnd, 560000);
	cc.cwnd = 700000;
	cc_cubic.loss(&cc, MSS, 700000, 0);
	ck_assert_uint_eq(cc.cubic.w_max, 700000);
}
END_TEST

/* RFC 9438 section 4.8: after a time-out the plateau is where it begins. */
START_TEST(test_cubic_timeout)
{
	struct cc cc = after_loss(&cc_cubic, MSS, 1000000);

	cc_cubic.timeout(&cc, MSS, 700000, 5000);
	ck_assert_uint_eq(cc.ssthresh, 490000);
	for (uint32_t t = 6000; cc.cwnd < cc.ssthresh; t += 100)
		round_trip(&cc_cubic, &cc, MSS, t, 100);
	cc_cubic.acked(&cc, MSS, MSS, 9000, 100, 1);
	ck_assert_uint_eq(cc.cubic.k_ms, 0);
	ck_assert_uint_ge(cc.cubic.w_max, 490000);
	ck_assert_uint_le(cc.cubic.w_max, 491000);
}
END_TEST

/* Time in which the window is not used up does not move it on the curve. */
START_TEST(test_limited)
{
	struct cc a = after_loss(&cc_cubic, MSS, 1000000), b = a;

	for (uint32_t t = 0; t < 6000; t += 100) {
		round_trip(&cc_cubic, &a, MSS, 1000 + t, 100);
		round_trip(&cc_cubic, &b, MSS,
			1000 + t + (t < 2000 ? 0 : 60000), 100);
		if (t == 1900)
			for (uint32_t i = 0; i <= 60000; i += 100)
				cc_cubic.acked(&b, MSS, MSS, 3000 + i, 100, 0);
		ck_assert_uint_eq(a.cwnd, b.cwnd);
	}
	ck_assert_uint_ge(a.cwnd, 900000);
}
END_TEST

/* Anything at any time: no window runs over, none shrinks by an ACK. */
START_TEST(test_any)
{
	const struct cc_ops *ops = both[_i];

	for (unsigned int seed = 0; seed < 3000; seed++) {
		uint32_t mss, now, wrong = 0;
		struct cc cc;

		srand(seed);
		mss = rand() % 2 ? 1460 : 64 + (uint32_t)rand() % 65472;
		now = (uint32_t)rand() * 2;
		ops->init(&cc, mss);
		for (uint32_t k = 0; k < 200; k++) {
			uint32_t old = cc.cwnd;
			uint32_t x = (uint32_t)rand() % CC_WINDOW_MAX;
			uint32_t bytes = x >> rand() % 30;

			if (rand() % 20 == 0)
				cc.cwnd = x > mss ? x : mss;
			now += (uint32_t)rand() >> rand() % 31;
			switch (rand() % 20) {
			case 0:
				ops->loss(&cc, mss, bytes, now);
				break;
			case 1:
				ops->recovered(&cc, mss, bytes);
				break;
			case 2:
				ops->timeout(&cc, mss, bytes, now);
				break;
			case 3:
				ops->idle(&cc, mss);
				break;
			default:
				old = cc.cwnd;
				ops->acked(&cc, mss, bytes, now,
					(uint32_t)rand() >> rand() % 31,
					rand() % 4);
				wrong += cc.cwnd < old;
			}
			wrong += cc.cwnd < mss || cc.cwnd > CC_WINDOW_MAX;
			wrong += cc.ssthresh < 2 * mss;
		}
		ck_assert_uint_eq(wrong, 0);
	}
}
END_TEST

/* A window that is lost never: it ends at the largest, and stays. */
START_TEST(test_largest)
{
	const struct cc_ops *ops = both[_i];
	struct cc cc = after_loss(ops, 65535, CC_WINDOW_MAX);
	uint32_t t = 0;

	for (; t < 100000 && cc.cwnd < CC_WINDOW_MAX; t++)
		ops->acked(&cc, 65535, cc.cwnd, t * 100, 100, 1);
	ck_assert_uint_eq(cc.cwnd, CC_WINDOW_MAX);
	for (uint64_t ms = t * 100; ms < 1ull << 33; ms += 1u << 21)
		ops->acked(&cc, 65535, cc.cwnd, (uint32_t)ms, 100, 1);
	ck_assert_uint_eq(cc.cwnd, CC_WINDOW_MAX);
}
END_TEST

static Suite *
make_suite(void)
{
	Suite *suite = suite_create("tcp cc");
	TCase *tc = tcase_create("cc");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, test_initial);
	tcase_add_loop_test(tc, test_slow_start, 0, 2);
	tcase_add_loop_test(tc, test_events, 0, 2);
	tcase_add_test(tc, test_reno_avoidance);
	tcase_add_test(tc, test_reno_rest);
	tcase_add_test(tc, test_k);
	tcase_add_test(tc, test_target);
	tcase_add_test(tc, test_long_ago);
	tcase_add_test(tc, test_curve);
	tcase_add_test(tc, test_reno_friendly);
	tcase_add_test(tc, test_reno_friendly_rest);
	tcase_add_test(tc, test_fast_convergence);
	tcase_add_test(tc, test_cubic_timeout);
	tcase_add_test(tc, test_limited);
	tcase_add_loop_test(tc, test_any, 0, 2);
	tcase_add_loop_test(tc, test_largest, 0, 2);
	suite_add_tcase(suite, tc);
	return suite;
}

int
main(void)
{
	SRunner *sr = srunner_create(make_suite());
	int failed;

	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
