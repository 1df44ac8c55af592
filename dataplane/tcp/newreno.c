/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * NewReno's window (RFC 5681 and 6582): doubled in a round trip up to
 * ssthresh, from there one segment larger per round trip; half after a loss.
 */
#include "dataplane/tcp/cc.h"

static void
init(struct cc *cc, uint32_t mss)
{
	cc->cwnd = cc_initial_window(mss);
	cc->ssthresh = CC_SSTHRESH_NONE;
	cc->reno.acked = 0;
}

static void
acked(struct cc *cc, uint32_t mss, uint32_t bytes, uint32_t now_ms,
	uint32_t srtt_ms, int limited)
{
	(void)now_ms;
	(void)srtt_ms;
	if (!limited)
		return;
	if (cc->cwnd < cc->ssthresh) {
		cc_slow_start(cc, mss, bytes);
		return;
	}
	cc->reno.acked += bytes;
	if (cc->reno.acked >= cc->cwnd) {
		cc->reno.acked -= cc->cwnd;
		/* What is beyond counts on, but no more than for one step. */
		if (cc->reno.acked > cc->cwnd)
			cc->reno.acked = cc->cwnd;
		cc_grow(cc, mss);
	}
}

static void
loss(struct cc *cc, uint32_t mss, uint32_t flight, uint32_t now_ms)
{
	(void)now_ms;
	cc->ssthresh = cc_ssthresh(flight / 2, mss);
	cc->cwnd = cc->ssthresh;
	cc->reno.acked = 0;
}

static void
timeout(struct cc *cc, uint32_t mss, uint32_t flight, uint32_t now_ms)
{
	(void)now_ms;
	if (cc->cwnd > mss)
		cc->ssthresh = cc_ssthresh(flight / 2, mss);
	cc->cwnd = mss;
	cc->reno.acked = 0;
}

static void
idle(struct cc *cc, uint32_t mss)
{
	cc_idle(cc, mss);
	cc->reno.acked = 0;
}

const struct cc_ops cc_newreno = {
	.name = "newreno",
	.init = init,
	.acked = acked,
	.loss = loss,
	.recovered = cc_recovered,
	.timeout = timeout,
	.idle = idle,
};
