/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * CUBIC's window (RFC 9438): a function of the time since the last loss, not
 * of how many ACKs have come since, so that it does not depend on the round
 * trip.
 *
 *   cwnd                                      /
 *    |                                       /  convex: looks for more
 *   W_max -------------------  ____----____./
 *    |                     .-'     plateau
 *    |  x beta           /
 *    |               ___/  concave: back to where it was lost
 *    |              |
 *    +--------------+--------------|----------------> t
 *                 loss           t = K
 *
 *   W(t) = C * (t - K)^3 + W_max    K = cbrt((W_max - cwnd at t = 0) / C)
 *
 * in segments and seconds; here in bytes and milliseconds, whole numbers. An
 * epoch, t = 0, begins with the first ACK in congestion avoidance after a
 * loss, a time-out or idleness. Time in which the sender has not used its
 * window up does not count: the epoch's begin is moved by it. A window that
 * grows as Reno's would is computed beside, and taken if it is larger: that
 * is so on short round trips.
 */
#include "dataplane/tcp/cc.h"

#include <stdbool.h>

/* beta = 0.7; a fast convergence keeps (1 + beta) / 2. */
#define BETA_NUM 7
#define BETA_DEN 10
#define FAST_NUM 17
#define FAST_DEN 20

/* Reno's slope with this beta: 3 * (1 - beta) / (1 + beta) = 9 / 17. */
#define ALPHA_NUM 9
#define ALPHA_DEN 17

/*
 * C = 0.4 segments/s^3 = 4 / 10^10 segments/ms^3, of which the divisor is
 * taken in two steps, so that no product is beyond 64 bits.
 */
#define C_NUM 4
#define C_DEN 100000ull

/* Beyond that the curve is above any window; its cube has 57 bits. */
#define T_MAX_MS (1u << 19)

/* floor(cbrt(x)): a digit of the root for three of x. */
static uint32_t
cube_root(uint64_t x)
{
	uint64_t root = 0;

	for (int shift = 63; shift >= 0; shift -= 3) {
		uint64_t odd;

		root *= 2;
		odd = 3 * root * (root + 1) + 1;
		if (x >> shift >= odd) {
			x -= odd << shift;
			root++;
		}
	}
	return (uint32_t)root;
}

static uint32_t
fraction(uint32_t bytes, uint32_t num, uint32_t den)
{
	return (uint32_t)((uint64_t)bytes * num / den);
}

/* W(t): bytes, within [0, CC_WINDOW_MAX]. */
static uint32_t
curve(const struct cc *cc, uint32_t mss, uint32_t t_ms)
{
	const bool before = t_ms < cc->cubic.k_ms;
	uint64_t t = before ? cc->cubic.k_ms - t_ms : t_ms - cc->cubic.k_ms;
	uint64_t by;

	if (t > T_MAX_MS)
		t = T_MAX_MS;
	by = t * t * t / C_DEN * mss * C_NUM / C_DEN;
	if (before)
		return by < cc->cubic.w_max ? cc->cubic.w_max - (uint32_t)by
					    : 0;
	by += cc->cubic.w_max;
	return by < CC_WINDOW_MAX ? (uint32_t)by : CC_WINDOW_MAX;
}

static uint32_t
some_time(uint32_t ms)
{
	/* 0 stands for no epoch; a millisecond more or less does not matter. */
	return ms != 0 ? ms : UINT32_MAX;
}

static void
begin_epoch(struct cc *cc, uint32_t mss, uint32_t now_ms)
{
	cc->cubic.epoch_ms = some_time(now_ms);
	cc->cubic.last_ms = now_ms;
	cc->cubic.w_est = cc->cwnd;
	cc->cubic.acked = cc->cubic.rest = 0;
	cc->cubic.k_ms = 0;
	if (cc->cwnd < cc->cubic.w_max) {
		uint64_t missing = cc->cubic.w_max - cc->cwnd;

		cc->cubic.k_ms =
			cube_root(missing * (C_DEN * C_DEN / C_NUM) / mss);
	} else {
		cc->cubic.w_max = cc->cwnd;
	}
}

static void
init(struct cc *cc, uint32_t mss)
{
	*cc = (struct cc){ .cwnd = cc_initial_window(mss),
		.ssthresh = CC_SSTHRESH_NONE };
}

/* Section 4.3: alpha segments per round trip; one, once it is level. */
static void
grow_reno(struct cc *cc, uint32_t mss, uint32_t bytes)
{
	uint64_t need = cc->cwnd; /* bytes for one segment more */

	if (cc->cubic.w_est < cc->cubic.prior)
		need = need * ALPHA_DEN / ALPHA_NUM;
	cc->cubic.acked += bytes;
	if (cc->cubic.acked < need)
		return;
	/* What is beyond `need` counts on, but no more than for one step. */
	cc->cubic.acked -= (uint32_t)need;
	if (cc->cubic.acked > need)
		cc->cubic.acked = (uint32_t)need;
	if (cc->cubic.w_est < CC_WINDOW_MAX - mss)
		cc->cubic.w_est += mss;
}

/* Sections 4.4 and 4.5: towards where the curve is in a round trip. */
static void
grow_cubic(struct cc *cc, uint32_t target, uint32_t bytes)
{
	uint64_t by;

	if (target <= cc->cwnd)
		return;
	if (target > cc->cwnd + cc->cwnd / 2)
		target = cc->cwnd + cc->cwnd / 2;
	by = (uint64_t)(target - cc->cwnd) * bytes + cc->cubic.rest;
	cc->cubic.rest = (uint32_t)(by % cc->cwnd);
	cc_grow(cc, (uint32_t)(by / cc->cwnd));
}

static void
avoid(struct cc *cc, uint32_t mss, uint32_t bytes, uint32_t now_ms,
	uint32_t srtt_ms)
{
	uint32_t t;

	if (cc->cubic.epoch_ms == 0)
		begin_epoch(cc, mss, now_ms);
	cc->cubic.last_ms = now_ms;
	grow_reno(cc, mss, bytes);
	t = now_ms - cc->cubic.epoch_ms;
	if (curve(cc, mss, t) < cc->cubic.w_est) {
		if (cc->cwnd < cc->cubic.w_est)
			cc->cwnd = cc->cubic.w_est;
		return;
	}
	if (srtt_ms > T_MAX_MS)
		srtt_ms = T_MAX_MS;
	if (t < UINT32_MAX - T_MAX_MS)
		t += srtt_ms;
	grow_cubic(cc, curve(cc, mss, t), bytes);
}

static void
acked(struct cc *cc, uint32_t mss, uint32_t bytes, uint32_t now_ms,
	uint32_t srtt_ms, int limited)
{
	if (limited && cc->cwnd < cc->ssthresh) {
		cc_slow_start(cc, mss, bytes);
	} else if (limited) {
		avoid(cc, mss, bytes, now_ms, srtt_ms);
	} else if (cc->cubic.epoch_ms != 0) {
		cc->cubic.epoch_ms = some_time(
			cc->cubic.epoch_ms + now_ms - cc->cubic.last_ms);
		cc->cubic.last_ms = now_ms;
	}
}

static void
loss(struct cc *cc, uint32_t mss, uint32_t flight, uint32_t now_ms)
{
	(void)now_ms;
	/* Fast convergence: lost below the last plateau, somebody has come. */
	if (cc->cwnd < cc->cubic.w_max)
		cc->cubic.w_max = fraction(cc->cwnd, FAST_NUM, FAST_DEN);
	else
		cc->cubic.w_max = cc->cwnd;
	cc->cubic.prior = cc->cwnd;
	cc->cubic.epoch_ms = 0;
	cc->ssthresh = cc_ssthresh(fraction(flight, BETA_NUM, BETA_DEN), mss);
	cc->cwnd = cc->ssthresh;
}

/* Section 4.8: the next epoch is on a plateau from the start, K = 0. */
static void
timeout(struct cc *cc, uint32_t mss, uint32_t flight, uint32_t now_ms)
{
	(void)now_ms;
	if (cc->cwnd > mss) {
		cc->ssthresh =
			cc_ssthresh(fraction(flight, BETA_NUM, BETA_DEN), mss);
		cc->cubic.prior = cc->cwnd;
	}
	cc->cubic.w_max = 0;
	cc->cubic.epoch_ms = 0;
	cc->cwnd = mss;
}

static void
idle(struct cc *cc, uint32_t mss)
{
	cc_idle(cc, mss);
	cc->cubic.epoch_ms = 0;
}

const struct cc_ops cc_cubic = {
	.name = "cubic",
	.init = init,
	.acked = acked,
	.loss = loss,
	.recovered = cc_recovered,
	.timeout = timeout,
	.idle = idle,
};
