/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/lib/load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A loss that counts as carried: 1%. */
#define LOSS 0.01
/* Nothing for so long: nothing more comes. */
#define QUIET_NS 30000000u
/* Between frames of the passes that warm up. */
#define WARM_NS     50000u
#define WARM_PASSES 10
/* A search starts here, goes up by this, then halves so often. */
#define FIRST_PPS 20000.0
#define STEP_UP   1.6
#define HALVINGS  5
/* A system whose core works less is not what limits. */
#define SATURATED 0.9

/* --- sending --- */

static uint32_t
send_known(struct load *l, enum flows_side side, uint32_t n)
{
	uint8_t *frames[WIRE_BURST];
	uint64_t now = now_ns();
	uint32_t sent, at = l->next[side];

	for (uint32_t i = 0; i < n; i++) {
		frames[i] = flows_frame(&l->flows, side, at, now);
		at = at + 1 == l->flows.n ? 0 : at + 1;
	}
	sent = wire_send(&l->wire[side], frames, n, l->flows.len);
	l->next[side] = (l->next[side] + sent) % l->flows.n;
	return sent;
}

static uint32_t
send_fresh(struct load *l, uint32_t n)
{
	uint8_t *frames[WIRE_BURST];
	uint64_t now = now_ns();
	uint32_t sent;

	if (n > l->fresh_max - l->fresh)
		n = l->fresh_max - l->fresh;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t slot = i % l->flows.n;

		flows_make(&l->flows,
			l->flows.frame[0] + (size_t)slot * l->flows.len,
			l->fresh + i);
		frames[i] = flows_frame(&l->flows, FLOWS_CLIENT, slot, now);
	}
	sent = wire_send(&l->wire[0], frames, n, l->flows.len);
	l->fresh += sent;
	return sent;
}

/* `n` frames, of both sides in turn. */
static uint32_t
send_some(struct load *l, uint32_t n)
{
	uint32_t half;

	if (n > WIRE_BURST)
		n = WIRE_BURST;
	if (l->mode == LOAD_FRESH)
		return send_fresh(l, n);
	if (l->mode == LOAD_ECHO)
		return send_known(l, FLOWS_CLIENT, n);
	/* An odd one goes to either side in turn, by who has sent less. */
	half = l->wire[0].sent > l->wire[1].sent ? n / 2 : n - n / 2;
	if (half > 0)
		half = send_known(l, FLOWS_CLIENT, half);
	return n == half ? half : half + send_known(l, FLOWS_BACKEND, n - half);
}

/* --- receiving --- */

/* All that has come to one end: how many frames were right. */
static uint32_t
take(struct load *l, enum flows_side side)
{
	struct wire *w = &l->wire[side];
	uint32_t n = 0, len;
	const uint8_t *frame;
	uint64_t now = 0, stamp;

	for (uint32_t i = 0; i < WIRE_BURST; i++) {
		frame = wire_next(w, &len);
		if (frame == NULL)
			break;
		if (now == 0)
			now = now_ns();
		stamp = flows_take(&l->flows, side, frame, len,
			l->mode == LOAD_ECHO, l->mode == LOAD_FRESH);
		wire_done(w);
		if (stamp == 0)
			continue;
		samples_add(&l->delay, now - stamp);
		n++;
	}
	return n;
}

static uint32_t
take_all(struct load *l)
{
	uint32_t n = take(l, FLOWS_CLIENT);

	return l->mode == LOAD_ECHO ? n : n + take(l, FLOWS_BACKEND);
}

static uint64_t
own_drops(struct load *l)
{
	uint64_t drops = wire_dropped(&l->wire[0]);

	return l->mode == LOAD_ECHO ? drops : drops + wire_dropped(&l->wire[1]);
}

/* --- a run --- */

static void
drain(struct load *l, struct load_run *r)
{
	uint64_t last = now_ns(), now;
	uint32_t n;

	while (r->came < r->sent) {
		n = take_all(l);
		now = now_ns();
		if (n > 0)
			last = now;
		else if (now - last > QUIET_NS)
			break;
		r->came += n;
	}
}

/* Until `until`, frames as they become due. */
static void
offer(struct load *l, struct load_run *r, uint64_t from, uint64_t until)
{
	const double per_ns = r->asked_pps / 1e9;
	uint64_t now;

	while ((now = now_ns()) < until) {
		uint64_t due = (uint64_t)((double)(now - from) * per_ns);

		if (due > r->sent)
			r->sent += send_some(
				l, due - r->sent > WIRE_BURST
					   ? WIRE_BURST
					   : (uint32_t)(due - r->sent));
		r->came += take_all(l);
		if (l->mode == LOAD_FRESH && l->fresh == l->fresh_max)
			break;
	}
	r->ns = (double)(now - from);
}

void
load_run(struct load *l, double pps, double ns, struct load_run *r)
{
	struct corebusy_mark from, to;
	uint64_t wrong = l->flows.wrong, ran;

	memset(r, 0, sizeof(*r));
	r->asked_pps = pps;
	take_all(l);
	own_drops(l);
	l->delay.n = 0;
	corebusy_mark(&l->busy, &from);
	ran = cpu_ns();
	offer(l, r, from.ns, from.ns + (uint64_t)ns);
	ran = cpu_ns() - ran;
	corebusy_mark(&l->busy, &to);
	r->own_share = (double)ran / (double)(to.ns - from.ns);
	r->in_time = r->came;
	r->busy_ns = corebusy_ns(&from, &to);
	drain(l, r);
	r->behind = (double)r->sent < 0.97 * pps * r->ns / 1e9;
	r->own_drops = own_drops(l);
	r->wrong = l->flows.wrong - wrong;
}

double
load_loss(const struct load_run *r)
{
	if (r->sent == 0)
		return 1;
	return r->came >= r->sent
		       ? 0
		       : (double)(r->sent - r->came) / (double)r->sent;
}

double
load_cost(const struct load_run *r)
{
	return r->in_time == 0 ? 0 : r->busy_ns / (double)r->in_time;
}

double
load_share(const struct load_run *r)
{
	return r->ns == 0 ? 0 : r->busy_ns / r->ns;
}

/* --- warming up --- */

/* One pass of a side over all flows, slowly enough for any system. */
static void
pass(struct load *l, enum flows_side side)
{
	const uint64_t from = now_ns();
	uint64_t sent = 0, last = from, now;

	while (sent < l->flows.n || now_ns() - last < QUIET_NS) {
		uint32_t n;

		now = now_ns();
		if (sent < l->flows.n && (now - from) / WARM_NS > sent) {
			sent += send_known(l, side, 1);
			last = now;
		}
		n = take_all(l);
		if (n > 0)
			last = now;
	}
}

int
load_warm(struct load *l)
{
	if (l->mode == LOAD_FRESH)
		return 0;
	/* Some passes: a frame may be lost, a neighbour may be unknown. */
	for (int i = 0; i < WARM_PASSES; i++) {
		pass(l, FLOWS_CLIENT);
		if (l->mode == LOAD_LB && l->flows.n_known == l->flows.n)
			pass(l, FLOWS_BACKEND);
		if (l->flows.n_answered == l->flows.n)
			return 0;
	}
	return -ETIMEDOUT;
}

/* --- the highest rate --- */

/* One trial: was it carried? */
static int
trial(struct load *l, double pps, double ns, struct load_max *max)
{
	struct load_run r;
	int carried;

	load_run(l, pps, ns, &r);
	carried = load_loss(&r) < LOSS && r.sent > 0;
	if (carried) {
		max->pps = r.behind ? (double)r.sent / r.ns * 1e9 : pps;
		if (r.behind)
			max->limit = "generator";
		return !r.behind;
	}
	max->loss_above = load_loss(&r);
	max->share_above = load_share(&r);
	/* The lowest that failed comes last: its reason stays. */
	max->limit =
		r.own_drops > 0 || (!l->polls && load_share(&r) < SATURATED)
			? "generator"
			: NULL;
	return 0;
}

void
load_search(struct load *l, double ns, struct load_max *max)
{
	double low = 0, high = FIRST_PPS, mid;

	memset(max, 0, sizeof(*max));
	while (trial(l, high, ns, max)) {
		low = high;
		high *= STEP_UP;
	}
	/* What it carried, but could not be sent: no use in halving. */
	if (max->pps > low)
		return;
	for (int i = 0; i < HALVINGS; i++) {
		mid = (low + high) / 2;
		if (trial(l, mid, ns, max))
			low = mid;
		else
			high = mid;
	}
	max->pps = low;
}
