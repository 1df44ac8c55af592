/* SPDX-License-Identifier: BSD-3-Clause */
/* The persistent log of an instance in the status. */
#include <string.h>

#include "ctrl/status.h"

static const char *
state_name(uint32_t state)
{
	static const char *const name[PLOG_STATES] = {
		[PLOG_NONE] = "none",
		[PLOG_STARTING] = "starting",
		[PLOG_OK] = "ok",
		[PLOG_STALLED] = "stalled",
		[PLOG_FAILING] = "failing",
		[PLOG_FULL] = "full",
	};

	return state < PLOG_STATES ? name[state] : "unknown";
}

static void
add(json_t *o, const char *key, uint64_t n)
{
	json_object_set_new(o, key, json_integer((json_int_t)n));
}

static void
add_writing(json_t *o, const struct stats_log *l)
{
	add(o, "capacity", l->capacity);
	add(o, "used", l->used);
	add(o, "live", l->live);
	add(o, "records", l->records);
	add(o, "durable", l->durable);
	add(o, "bytes", l->bytes);
	add(o, "writes", l->writes);
	add(o, "written", l->written);
	add(o, "errors", l->errors);
	add(o, "stalls", l->stalls);
	add(o, "no_room", l->no_room);
	add(o, "missed", l->missed);
	add(o, "fulls", l->fulls);
	add(o, "checkpoints", l->checkpoints);
	add(o, "held", l->held);
}

static void
add_recovery(json_t *o, const struct stats_log *l)
{
	add(o, "recovered", l->recovered);
	json_object_set_new(
		o, "recover_ms", json_real((double)l->recover_us / 1000));
	add(o, "recover_records", l->recover_records);
	add(o, "lost_config", l->lost_config);
	add(o, "lost_expired", l->lost_expired);
	add(o, "lost_other", l->lost_other);
	json_object_set_new(o, "damaged", json_boolean(l->damaged != 0));
}

json_t *
status_log_json(const struct store *store, const struct grant *grant,
	const struct stats *stats)
{
	const struct stats_log *l = &stats->log;
	uint32_t state = l->state, error = l->error;
	json_t *o = json_pack("{s:s, s:s, s:s}", "store", store->path,
		"durability", config_durability_name(grant->store.durability),
		"state", state_name(state));

	if (o == NULL)
		return NULL;
	add_writing(o, l);
	if (state == PLOG_FAILING)
		json_object_set_new(o, "error",
			json_string(error <= 4095 ? strerror((int)error)
						  : "unknown"));
	add_recovery(o, l);
	return o;
}
