/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What happens to an instance's log, told in lines: once when it changes, and
 * not again. It is read from the counters that the instance writes, which are
 * not trusted: numbers are printed, and nothing else is done with them.
 */
#ifndef CARRYALL_LOG_WATCH_H
#define CARRYALL_LOG_WATCH_H

#include <stdbool.h>
#include <stddef.h>

#include "dataplane/stats.h"

#define LOG_WATCH_LINE 256

/* What was told of one instance. */
struct log_watch {
	bool given;     /* it was started with a store */
	uint32_t said;  /* the state that was told last: enum stats_log_state */
	uint32_t error; /* and the error with it */
	uint64_t starts; /* up to which recoveries were told */
	uint64_t lost_config, lost_expired, lost_other;
};

/* Before it is started, or adopted: what has been was told by others. */
void log_watch_init(struct log_watch *w, const struct stats *stats);

/*
 * It is started with a store, or without one: then that was told, with the
 * reason, and nothing is until it has one.
 */
void log_watch_given(struct log_watch *w, bool given);

/*
 * Is there something to tell of an instance that serves? Then it is in
 * line[0..len), to go behind its name; ask again until there is nothing.
 */
bool log_watch(
	struct log_watch *w, const struct stats *stats, char *line, size_t len);

#endif
