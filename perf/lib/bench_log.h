/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A persistent log on a real store, made as the control plane makes it and
 * opened as an instance does, in a directory that is removed afterwards:
 * build/perf/store.PID.N, or below $CARRYALL_PERF_DIR, so that another device
 * can be measured.
 */
#ifndef PERF_BENCH_LOG_H
#define PERF_BENCH_LOG_H

#include <stdint.h>

#include "ctrl/store.h"
#include "dataplane/instance_log.h"

struct bench_log {
	struct grant *grant; /* whose log it is */
	struct stats_log *stats;
	struct store store;
	struct instance_log in;
	char dir[200];
	uint64_t tsc_per_ms;
};

/*
 * Make a store of `size` bytes for `grant`, whose type, durability and store
 * are set here. 0, or -1 with the reason on standard error.
 */
int bench_log_make(struct bench_log *b, struct grant *grant,
	struct stats_log *stats, const char *type, uint64_t size,
	uint32_t durability);

/* Open it: plog_replay() and plog_start() are next. 0 or -1. */
int bench_log_open(struct bench_log *b);

/* Close it; the store stays. */
void bench_log_close(struct bench_log *b);

/* Close it if it is open, and remove the store. */
void bench_log_remove(struct bench_log *b);

/* Another file there for a baseline: its name into path[0..len). */
void bench_log_path(
	const struct bench_log *b, const char *name, char *path, size_t len);

/* "write back" or "write through": what its device is asked for, in words. */
const char *bench_log_mode(const struct bench_log *b);

/* plog_poll() with the time of the loop. */
int bench_log_poll(struct bench_log *b, uint64_t now_tsc);

/* Poll until all that was appended is durable. */
void bench_log_settle(struct bench_log *b);

#endif
