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

#include "ctrl/supervisor.h"

#define LOG_WATCH_LINE 256

/* What was told of one instance; all zero to begin with. */
struct log_watch {
	bool seen;
	uint32_t said;  /* the state that was told last: enum stats_log_state */
	uint32_t error; /* and the error with it */
	uint64_t starts; /* up to which recoveries were told */
	uint64_t lost_config, lost_expired, lost_other;
};

/*
 * Is there something to tell of `s`, which serves? Then it is in
 * line[0..len), to go behind the instance's name; ask again until there is
 * nothing. `given`: it was started with a store.
 */
bool log_watch(struct log_watch *w, const struct supervised *s, bool given,
	char *line, size_t len);

#endif
