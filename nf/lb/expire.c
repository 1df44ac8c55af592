/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Timed work, in slices of some 50 us; checkpoints of the log have their own.
 *
 * The three lists hold connections whose time-out is fixed, so their heads
 * are the next to go. New UDP flows are stamped by every packet without being
 * moved: a head that was used since goes to the end again. The wheel's
 * entries are looked at when they fire and armed again if they were used.
 */
#include <netinet/in.h>

#include <rte_common.h>
#include <rte_prefetch.h>

#include "nf/lb/lb.h"

/* A slice, in units of about 0.1 us; ending a connection costs 4. */
#define SLICE      400
#define COST_CLOSE 4
#define COST_LOOK  1

#define WAIT_MAX_MS 1000

/* Milliseconds until `f` is due; 0 or less: it is. */
static int64_t
due_in(const struct lb *lb, const struct flow *f)
{
	int32_t idle = (int32_t)((uint32_t)lb->now_ms - f->stamp);

	return (int64_t)lb->timeout_ms[f->state] - idle;
}

/* A SYN that nothing answered is the backend's failure. */
static void
expire(struct lb *lb, struct flow *f)
{
	if (f->grace > 0) {
		f->grace--;
		lb_set_state(lb, f, (enum flow_state)f->state);
		return;
	}
	if (f->state == FLOW_SYN)
		lb->env->stats->backend[f->backend].failed++;
	lb_close(lb, f);
}

/* End what is due at a list's head; what is left of the slice. */
static int
drain_list(struct lb *lb, enum flow_list list, int slice)
{
	struct flow *f;

	while (slice > 0 && (f = flow_oldest(&lb->flows, list)) != NULL &&
		due_in(lb, f) <= 0) {
		rte_prefetch0(&lb->flows.flow[f->link.next]);
		expire(lb, f);
		slice -= COST_CLOSE;
	}
	return slice;
}

/* Milliseconds until the head of the new UDP flows is to be looked at. */
static int64_t
udp_look_in(const struct lb *lb, const struct flow *f)
{
	int32_t waited = (int32_t)((uint32_t)lb->now_ms - f->queued);

	return (int64_t)lb->timeout_ms[FLOW_UDP_NEW] - waited;
}

/* The same for new UDP flows, whose stamps move on where they stand. */
static int
drain_udp_new(struct lb *lb, int slice)
{
	struct flow *f;

	while (slice > 0 &&
		(f = flow_oldest(&lb->flows, FLOW_LIST_UDP_NEW)) != NULL &&
		udp_look_in(lb, f) <= 0) {
		uint32_t stamp = f->stamp;

		if (due_in(lb, f) <= 0) {
			expire(lb, f);
			slice -= COST_CLOSE;
			continue;
		}
		lb_set_state(lb, f, FLOW_UDP_NEW);
		f->stamp = stamp;
		slice -= COST_LOOK;
	}
	return slice;
}

static int
drain_wheel(struct lb *lb, int slice)
{
	while (slice > 0) {
		uint32_t i = wheel_pop(&lb->flows.wheel, lb->now_ms);
		struct flow *f;
		int64_t due;

		if (i == WHEEL_NONE)
			break;
		f = &lb->flows.flow[i];
		due = due_in(lb, f);
		/* Closing takes it out of a list: it must be in one. */
		wheel_arm(&lb->flows.wheel, i, lb->now_ms,
			due > 0 ? (uint32_t)due : 0);
		slice -= COST_LOOK;
		if (due > 0)
			continue;
		expire(lb, f);
		slice -= COST_CLOSE;
	}
	return slice;
}

/* End connections of services that a grant has removed. */
static int
sweep(struct lb *lb, int slice)
{
	while (slice > 0 && lb->ending > 0) {
		struct flow *f = &lb->flows.flow[lb->sweep];

		lb->sweep = lb->sweep + 1 < lb->flows.n ? lb->sweep + 1 : 0;
		slice -= COST_LOOK;
		if (f->state == FLOW_FREE || lb->service[f->service].live)
			continue;
		lb_close(lb, f);
		lb->env->stats->ended++;
		slice -= COST_CLOSE;
	}
	return slice;
}

static int64_t
list_wait(const struct lb *lb, enum flow_list list)
{
	const struct flow *f = flow_oldest(&lb->flows, list);

	if (f == NULL)
		return WAIT_MAX_MS;
	return list == FLOW_LIST_UDP_NEW ? udp_look_in(lb, f) : due_in(lb, f);
}

/* Milliseconds until there is something to do, at most WAIT_MAX_MS. */
static int64_t
next_work(const struct lb *lb)
{
	int64_t wait = WAIT_MAX_MS;

	if (lb->flows.live == 0)
		return wait;
	for (int list = 0; list < FLOW_LISTS; list++)
		wait = RTE_MIN(wait, list_wait(lb, (enum flow_list)list));
	if (wait <= 0)
		return 0;
	return wheel_wait(&lb->flows.wheel, lb->now_ms, (uint32_t)wait);
}

uint32_t
lb_tick(void *state, uint64_t now_tsc)
{
	struct lb *lb = state;
	uint32_t save_us = UINT32_MAX;
	int slice = SLICE;

	lb_clock(lb, now_tsc);
	if (lb->log != NULL)
		save_us = lb_log_tick(lb);
	/* Packets wait for both: who saves ends fewer. */
	if (save_us == 0)
		slice = SLICE / 2;
	slice = sweep(lb, slice);
	slice = drain_list(lb, FLOW_LIST_HALF, slice);
	slice = drain_list(lb, FLOW_LIST_CLOSED, slice);
	slice = drain_udp_new(lb, slice);
	slice = drain_wheel(lb, slice);
	if (slice <= 0 || lb->ending > 0)
		return 0;
	return RTE_MIN(save_us, (uint32_t)next_work(lb) * 1000);
}
