/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One side of a comparison on a NIC in software: a function, its instances,
 * and the stream that it serves. Sides take turns on one NIC, so that what
 * else the machine does meets all alike; those that do not run are stopped.
 */
#ifndef PERF_SIDE_H
#define PERF_SIDE_H

#include "perf/lib/cost.h"
#include "perf/lib/traffic.h"

struct side {
	const char *name, *what;
	uint32_t stream;
	uint32_t first, n; /* its instances */

	struct costs costs; /* of its runs */
};

/* How many runs, and how long each. */
uint32_t side_repeats(void);
uint64_t side_run_ns(void);

/*
 * Let its instances run, and no others. More than one share their core: then
 * `busy` watches that.
 */
void side_only(struct softlab *lab, const struct side *side);

/* As much as it carries, for one run. 0, or -1 and said why. */
int side_run(struct traffic *t, struct side *side, const struct corebusy *busy);

/*
 * Two lines: NAME, in ns of the instances' core per packet, and NAME.pps.
 * Sorts the runs.
 */
void side_print(const struct traffic *t, struct side *side);

/*
 * Lines LABEL.latency.{10,50,90}: microseconds from when a frame was due until
 * it is through, in percent of the side's packets/s, which was printed. 0, or
 * -1 and said why.
 */
int side_latency(struct traffic *t, const struct side *side, const char *label);

#endif
