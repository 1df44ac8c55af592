/* SPDX-License-Identifier: BSD-3-Clause */
/* Which changes of a plan a running appliance can take without a restart. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "ctrl/plan.h"

/* Where the reason goes. */
struct reason {
	char *why;
	size_t len;
};

static int __attribute__((format(printf, 2, 3)))
differ(struct reason r, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (r.len > 0)
		vsnprintf(r.why, r.len, format, args);
	va_end(args);
	return -EBUSY;
}

static int
same_number(struct reason r, const char *function, const char *what,
	unsigned long a, unsigned long b)
{
	return a == b ? 0
		      : differ(r, "%s%s%s changes from %lu to %lu", function,
				*function == '\0' ? "" : ": ", what, a, b);
}

static int
same_text(struct reason r, const char *where, const char *what, const char *a,
	const char *b)
{
	return strcmp(a, b) == 0
		       ? 0
		       : differ(r, "%s%s%s changes from %s to %s", where,
				 *where == '\0' ? "" : ": ", what, a, b);
}

static int
same_appliance(struct reason r, const struct config *a, const struct config *b)
{
	int err = same_text(r, "appliance", "name", a->name, b->name);

	if (err == 0)
		err = same_text(r, "appliance", "user", a->user, b->user);
	if (err == 0)
		err = same_text(r, "appliance", "state", a->state, b->state);
	if (err == 0 && config_soft(a) && config_soft(b))
		err = same_number(r, "appliance", "core of the NIC",
			a->nic_core, b->nic_core);
	if (err == 0 && a->pages != b->pages)
		err = differ(r, "appliance: memory_pages changes");
	return err;
}

static int
same_uplink(struct reason r, const struct config_uplink *a,
	const struct config_uplink *b)
{
	int err = same_text(r, "uplinks", "name", a->name, b->name);

	if (err == 0)
		err = same_text(r, a->name, "device", a->device, b->device);
	if (err == 0)
		err = same_text(
			r, a->name, "provider", a->provider, b->provider);
	if (err == 0 && strcmp(a->port, b->port) != 0)
		err = differ(r, "%s: port changes", a->name);
	if (err == 0 && a->mode != b->mode)
		err = differ(r, "%s: mode changes", a->name);
	return err;
}

static int
same_uplinks(struct reason r, const struct config *a, const struct config *b)
{
	int err = same_number(
		r, "", "number of uplinks", a->n_uplinks, b->n_uplinks);

	for (unsigned int i = 0; err == 0 && i < a->n_uplinks; i++)
		err = same_uplink(r, &a->uplinks[i], &b->uplinks[i]);
	return err;
}

static int
same_cores(struct reason r, const struct config_function *a,
	const struct config_function *b)
{
	int err = 0;

	for (unsigned int i = 0; err == 0 && i < a->instances; i++)
		err = same_number(r, a->name, "core of an instance",
			a->cores[i], b->cores[i]);
	return err;
}

/* A store is made for one size, and opened once, when an instance starts. */
static int
same_log(struct reason r, const struct config_function *a,
	const struct config_function *b)
{
	int err = same_text(r, a->name, "log.durability",
		config_durability_name(a->durability),
		config_durability_name(b->durability));

	if (err == 0 && a->durability != GRANT_DURABILITY_NONE)
		err = same_number(
			r, a->name, "log.size", a->log_size, b->log_size);
	return err;
}

/* Tables for connections are made once, when an instance starts. */
static int
same_function(struct reason r, const struct config_function *a,
	const struct config_function *b)
{
	int err = same_text(r, "functions", "name", a->name, b->name);

	if (err == 0)
		err = same_text(r, a->name, "type", a->type, b->type);
	if (err == 0)
		err = same_number(
			r, a->name, "instances", a->instances, b->instances);
	if (err == 0)
		err = same_number(
			r, a->name, "buckets", a->buckets, b->buckets);
	if (err == 0)
		err = same_cores(r, a, b);
	if (err == 0)
		err = same_number(r, a->name, "connections", a->max_connections,
			b->max_connections);
	if (err == 0)
		err = same_log(r, a, b);
	return err;
}

static int
same_functions(struct reason r, const struct config *a, const struct config *b)
{
	int err = same_number(
		r, "", "number of functions", a->n_functions, b->n_functions);

	for (unsigned int i = 0; err == 0 && i < a->n_functions; i++)
		err = same_function(r, &a->functions[i], &b->functions[i]);
	return err;
}

/* The last resort: whatever the reason, no bucket may move. */
static int
same_steering(struct reason r, const struct plan *a, const struct plan *b)
{
	if (a->seed != b->seed)
		return differ(r, "the steering hash's seed changes");
	if (a->n_entries != b->n_entries ||
		memcmp(a->entries, b->entries,
			a->n_entries * sizeof(*a->entries)) != 0)
		return differ(r, "buckets move between instances");
	return 0;
}

int
plan_compatible(
	const struct plan *a, const struct plan *b, char *why, size_t len)
{
	struct reason r = { why, len };
	int err = same_appliance(r, a->config, b->config);

	if (err == 0)
		err = same_uplinks(r, a->config, b->config);
	if (err == 0)
		err = same_functions(r, a->config, b->config);
	if (err == 0)
		err = same_steering(r, a, b);
	return err;
}
