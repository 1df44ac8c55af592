/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/log_watch.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ERRNO_MAX 4095
#define MB(bytes) ((bytes) / 1e6)

static void
remember(struct log_watch *w, const struct stats *s)
{
	w->starts = s->starts;
	w->lost_config = s->log.lost_config;
	w->lost_expired = s->log.lost_expired;
	w->lost_other = s->log.lost_other;
}

void
log_watch_init(struct log_watch *w, const struct stats *stats)
{
	*w = (struct log_watch){ .given = true, .said = PLOG_OK };
	remember(w, stats);
}

void
log_watch_given(struct log_watch *w, bool given)
{
	w->given = given;
	if (!given)
		w->said = PLOG_NONE;
}

static uint64_t
since(uint64_t now, uint64_t then)
{
	return now > then ? now - then : 0;
}

/* --- recovery --- */

static bool
tell_recovery(
	struct log_watch *w, const struct stats *s, char *line, size_t len)
{
	const struct stats_log *l = &s->log;
	uint64_t config = since(l->lost_config, w->lost_config);
	uint64_t expired = since(l->lost_expired, w->lost_expired);
	uint64_t other = since(l->lost_other, w->lost_other);
	char lost[128] = "";

	if (s->starts == w->starts)
		return false;
	remember(w, s);
	if (l->recover_records == 0 && l->recovered == 0 && l->damaged == 0)
		return false;
	if (config + expired + other > 0)
		snprintf(lost, sizeof(lost),
			"; dropped: %" PRIu64 " of what the config no longer "
			"has, %" PRIu64 " expired, %" PRIu64 " other",
			config, expired, other);
	snprintf(line, len, " recovered %" PRIu64 " connections in %.1f ms%s%s",
		l->recovered, (double)l->recover_us / 1000, lost,
		l->damaged != 0
			? "; the store was damaged: later records are lost"
			: "");
	return true;
}

/* --- state --- */

static void
tell_failing(uint32_t error, char *line, size_t len)
{
	char number[24];

	snprintf(number, sizeof(number), "error %u", error);
	snprintf(line, len,
		": log: the device refuses writes (%s); serving on without "
		"durability",
		error > 0 && error <= ERRNO_MAX ? strerror((int)error)
						: number);
}

/* The live set has to fit twice, and an eighth is kept free. */
static void
tell_full(const struct stats_log *l, char *line, size_t len)
{
	double live = (double)l->live;

	snprintf(line, len,
		": log: the store is too small for what is live (%.1f MB of "
		"%.1f MB live, %.1f MB needed); serving on without durability; "
		"set log.size higher",
		MB(live), MB((double)l->capacity), MB(live * 2.5));
}

static void
tell_state(const struct stats_log *l, uint32_t state, uint32_t error,
	char *line, size_t len)
{
	switch (state) {
	case PLOG_OK:
		snprintf(line, len, ": log: durable again");
		break;
	case PLOG_STALLED:
		snprintf(line, len,
			": log: the device does not answer; serving on "
			"without durability");
		break;
	case PLOG_FAILING:
		tell_failing(error, line, len);
		break;
	case PLOG_FULL:
		tell_full(l, line, len);
		break;
	default:
		snprintf(line, len,
			": log: the instance keeps none; serving on without "
			"durability");
	}
}

static bool
worth_telling(const struct log_watch *w, uint32_t state, uint32_t error)
{
	if (state == PLOG_STARTING || state >= PLOG_STATES)
		return false;
	return state != w->said || (state == PLOG_FAILING && error != w->error);
}

bool
log_watch(
	struct log_watch *w, const struct stats *stats, char *line, size_t len)
{
	const struct stats_log *l = &stats->log;
	/* Read once: they may change meanwhile. */
	uint32_t state = __atomic_load_n(&l->state, __ATOMIC_RELAXED);
	uint32_t error = __atomic_load_n(&l->error, __ATOMIC_RELAXED);

	if (tell_recovery(w, stats, line, len))
		return true;
	if (!w->given || !worth_telling(w, state, error))
		return false;
	w->said = state;
	w->error = error;
	tell_state(l, state, error, line, len);
	return true;
}
