/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a packet has cost between two marks of a lab, and whose core was the
 * limit.
 *
 * An instance that has a core to itself polls: its cost are the cycles of its
 * loops that found work. Those that share a core sleep when nothing is there,
 * and the others run meanwhile: their cost is what the core was not idle, by
 * a thread of the idle class (corebusy.h), switches, wake-ups and empty polls
 * included. If the core was not busy all the time, the NIC's was the limit,
 * which it shares with the making of traffic, or what was offered.
 */
#ifndef PERF_COST_H
#define PERF_COST_H

#include <stdbool.h>
#include <stdint.h>

#include "perf/lib/corebusy.h"
#include "perf/lib/softlab.h"

/* Most of the time that an instance's core may be idle and still the limit. */
#define COST_IDLE 0.02

/* Most of an instance's time that others may take. */
#define COST_STOLEN 0.05

/* Most of the time of the NIC's core that may go to making traffic. */
#define COST_TRAFFIC 0.25

#define COST_RUNS_MAX 16

struct cost_mark {
	struct softlab_mark lab;
	struct corebusy_mark core;
};

/* Of one run. */
struct cost {
	double pps;    /* `count` per second */
	double ns;     /* of the instances' core, per one of `count` */
	double idle;   /* part of the time in which that core had no work */
	double stolen; /* in which it ran somebody else's */
	double nic_ns; /* of the NIC's core, per one, its traffic left out */
	double traffic_ns;
	double batch; /* packets in a loop that found some; one instance */
};

/* Over the repeats. */
struct costs {
	uint32_t n;
	double pps[COST_RUNS_MAX], ns[COST_RUNS_MAX], idle[COST_RUNS_MAX];
	double nic_ns[COST_RUNS_MAX], traffic_ns[COST_RUNS_MAX];
	double stolen[COST_RUNS_MAX], batch[COST_RUNS_MAX];
};

/* `busy`: the watcher of the core, where instances share it, or NULL. */
void cost_mark(const struct softlab *lab, const struct corebusy *busy,
	struct cost_mark *m);

/* Of `count` packets, or whatever else, by instances [first, first + n). */
void cost_between(const struct cost_mark *a, const struct cost_mark *b,
	uint64_t count, uint32_t first, uint32_t n, bool shared,
	struct cost *cost);

void costs_add(struct costs *all, const struct cost *one);

/* Who else had too much of the instances' core for a figure, or NULL. */
const char *costs_disturbed(const struct costs *all);

/*
 * What was the limit that is none of the system under test, whose core for
 * the NIC is part of it: or NULL.
 */
const char *costs_limit(const struct costs *all);

/*
 * Of the time between two marks, what others had of the NIC's core. Where that
 * is more than a hundredth, a p99 is theirs: for a line's limited_by, or NULL.
 */
double cost_nic_stolen(
	const struct softlab_mark *a, const struct softlab_mark *b);
const char *cost_late(double stolen);

/* Members of a report's line, for its `more`, into buf, which is returned. */
const char *costs_more(const struct costs *all, char *buf, size_t len);

#endif
