/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs of a load over TCP, and their lines: what an instance's core does for a
 * request, how many there are, how long they take.
 */
#ifndef PERF_TCP_TURN_H
#define PERF_TCP_TURN_H

#include "perf/lib/cost.h"
#include "perf/lib/tcp_load.h"

/* What one of `count` is, and what it is told in. */
enum tcp_turn_unit {
	TCP_TURN_NS, /* ns of the core per WHAT */
	TCP_TURN_US, /* us of it */
	TCP_TURN_GB, /* the rate is Gb/s of payload, both ways together */
};

struct tcp_turn {
	const char *name;
	const char *per;  /* "round trip", "request", "connection" */
	const char *what; /* conditions */
	enum tcp_turn_unit unit;
	bool segments; /* count the instance's segments, in and out */
	bool bytes;    /* count payload, in GB */

	struct costs costs; /* of its runs */
};

/* One run of `l` with the load that is set; counted into `t`. 0 or -1. */
int tcp_turn_run(struct tcp_turn *t, struct tcp_load *l);

/* As many runs as side.h says, then both lines. 0, or -1 and said why. */
int tcp_turn_all(struct tcp_turn *t, struct tcp_load *l);

/*
 * NAME: of the core, per one; NAME.rate: so many a second (NAME.gbps with
 * TCP_TURN_GB). Sorts the runs.
 */
void tcp_turn_print(struct tcp_turn *t, const struct tcp_load *l);

/*
 * Runs at `rate`: quantiles of the delay in us, medians of the runs, into
 * us[0..2): p50, p99. `stolen`: as cost_nic_stolen(). 0, or -1 and said why.
 */
int tcp_turn_delay(
	struct tcp_load *l, double rate, double us[2], double *stolen);

#endif
