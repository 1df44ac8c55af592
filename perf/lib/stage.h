/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where benchmarks on a NIC in software take place, one scene after the other.
 *
 * DPDK starts but once in a process, so each scene is a process of its own,
 * which is the NIC. This one plans, reserves huge pages, waits, and clears up
 * whatever way the scene has ended, or when it is told to end itself.
 */
#ifndef PERF_STAGE_H
#define PERF_STAGE_H

#include <stdbool.h>

#include "perf/lib/softlab.h"

struct scene {
	const char *functions; /* value of the key in a configuration */
	bool together;         /* they run at the same time, not in turn */
	uint32_t memory_mb;    /* of the generator, beyond a few packets */
	/* 0, or -1 and said why. The lab is open, and closed afterwards. */
	int (*play)(struct softlab *lab, const void *argument);
	const void *argument;
};

/* Shorter and fewer runs: "quick" as argument, or PERF_QUICK in the
 * environment. */
extern bool stage_quick;

/* Before the first scene. 0 or -1. */
int stage_init(int argc, char **argv);

/* Play it: 0, or -1 and said why. */
int stage_play(const struct scene *scene);

#endif
