/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Offered load, and what becomes of it: a rate for a time, and the search for
 * the highest rate that a system carries.
 *
 * One thread sends at both ends and takes what arrives at both. Frames that
 * are due leave every LOAD_PERIOD_NS together, as a NIC that moderates its
 * interrupts would hand them over: one interrupt of the system's core a frame
 * would measure the interrupts, which cost a virtual machine several times
 * what the packet does. What the thread cannot send in time is `behind`: then
 * it was the limit, and not the system. So it was when frames were lost at its
 * own end.
 */
#ifndef PERF_LOAD_H
#define PERF_LOAD_H

#include <stdint.h>

#include "perf/lib/corebusy.h"
#include "perf/lib/flows.h"
#include "perf/lib/report.h"
#include "perf/lib/wire.h"

#define LOAD_PERIOD_NS 50000u

enum load_mode {
	LOAD_ECHO,  /* clients' frames come back to them */
	LOAD_LB,    /* known flows, half from clients, half from backends */
	LOAD_FRESH, /* every frame a flow of its own, from clients */
};

struct load {
	enum load_mode mode;
	struct wire wire[2]; /* by enum flows_side; one for LOAD_ECHO */
	struct flows flows;
	struct corebusy busy; /* watches the core of the system */
	int polls;            /* the system does: its core always works */
	uint32_t next[2];     /* flow to send next */
	uint32_t fresh;       /* flows there have been, LOAD_FRESH */
	uint32_t fresh_max;   /* no more than so many */
	struct samples delay; /* ns from stamp to arrival of the last run */
};

struct load_run {
	double asked_pps;
	double ns; /* that frames were sent for */
	uint64_t sent;
	uint64_t came;    /* of them, until nothing more came */
	uint64_t in_time; /* of those, before the last was sent */
	uint64_t wrong;
	uint64_t own_drops; /* lost at this end */
	double busy_ns;     /* of the system's core, while frames were sent */
	double own_share; /* of its core that this thread had; it never waits */
	int behind;       /* fewer were sent than asked */
};

/*
 * Flows once through, or as often as it takes until both ends know each: 0 or
 * -ETIMEDOUT.
 */
int load_warm(struct load *l);

/* `pps` frames a second for `ns`. */
void load_run(struct load *l, double pps, double ns, struct load_run *r);

/* Of what was sent, the part that did not come. */
double load_loss(const struct load_run *r);

/* Nanoseconds of the system's core for a frame, and its part that worked. */
double load_cost(const struct load_run *r);
double load_share(const struct load_run *r);

struct load_max {
	double pps;        /* the highest with a loss below 1% */
	const char *limit; /* "generator" if more could not be tried, or NULL */
	double loss_above; /* of the lowest rate that was not carried */
	double share_above; /* that the core worked at it */
};

/* Search by runs of `ns` each. */
void load_search(struct load *l, double ns, struct load_max *max);

#endif
