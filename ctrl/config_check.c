/* SPDX-License-Identifier: BSD-3-Clause */
/* Checks of uplinks and functions against each other and the machine. */
#include "ctrl/config_parse.h"

#include <string.h>

#include "ctrl/config_fault.h"
#include "dataplane/log/format.h"
#include "dataplane/nf.h"

#define TYPES_MAX 64

static void
check_appliance(struct parse *p)
{
	config_setting_t *group = parse_at(p->root, "appliance");
	const struct config *c = p->config;

	if (*c->state != '\0' && *c->state != '/')
		parse_fault(p, parse_at(group, "state"),
			"state is \"%s\"; allowed: an absolute path, as state "
			"= \"/var/lib/carryall\"",
			c->state);
	if (strcmp(c->user, "root") == 0)
		parse_fault(p, parse_at(group, "user"),
			"user is root; instances run without privileges, as "
			"user = \"nobody\"");
	else if (*c->user != '\0' &&
		 !p->machine->has_user(p->machine->ctx, c->user))
		parse_fault(p, parse_at(group, "user"),
			"there is no user \"%s\" on this machine; create it "
			"or take another, as user = \"nobody\"",
			c->user);
}

/* The type named `name`; its fault is added if there is none. */
static const struct config_type *
find_type(struct parse *p, config_setting_t *entry, const char *name)
{
	const char *names[TYPES_MAX], *nearest;
	char list[256] = "";
	size_t used = 0;
	unsigned int n = 0;

	for (const struct config_type *t = p->types; t->name != NULL; t++) {
		if (strcmp(t->name, name) == 0)
			return t;
		if (n == TYPES_MAX || used >= sizeof(list))
			continue;
		used += (size_t)snprintf(list + used, sizeof(list) - used,
			"%s\"%s\"", n == 0 ? "" : ", ", t->name);
		names[n++] = t->name;
	}
	nearest = text_nearest(name, names, n);
	parse_fault(p, parse_at(entry, "type"),
		"unknown type \"%s\";%s%s%s allowed: %s", name,
		nearest != NULL ? " did you mean \"" : "",
		nearest != NULL ? nearest : "", nearest != NULL ? "\"?" : "",
		list);
	return NULL;
}

/* The index of the uplink `name`, or -1 with a fault added at `at`. */
static int
find_uplink(struct parse *p, config_setting_t *at, const char *name)
{
	const char *names[CONFIG_UPLINKS_MAX], *nearest;
	unsigned int n = p->config->n_uplinks;
	bool refused = n == 0;

	for (unsigned int i = 0; i < n; i++) {
		names[i] = p->config->uplinks[i].name;
		refused |= *names[i] == '\0';
		if (strcmp(names[i], name) == 0)
			return (int)i;
	}
	if (refused)
		return -1;
	nearest = text_nearest(name, names, n);
	parse_fault(p, at, "there is no uplink \"%.64s\"; %s \"%s\"%s", name,
		nearest != NULL ? "did you mean" : "the first is",
		nearest != NULL ? nearest : names[0],
		nearest != NULL ? "?" : "");
	return -1;
}

/* One that is not found gets a number that no uplink has. */
static void
set_uplink(struct parse *p, config_setting_t *entry, struct config_function *f)
{
	const char *name = parse_text(entry, "uplink");
	int i = 0;

	if (name != NULL)
		i = find_uplink(p, parse_at(entry, "uplink"), name);
	else if (!parse_has(entry, "uplink") && p->config->n_uplinks > 1)
		parse_fault(p, entry,
			"uplink is missing, and there are %u; add uplink = "
			"\"%s\"; or another",
			p->config->n_uplinks, p->config->uplinks[0].name);
	f->uplink = i < 0 ? CONFIG_UPLINKS_MAX : (unsigned int)i;
	name = parse_text(entry, "backend_uplink");
	if (name != NULL)
		i = find_uplink(p, parse_at(entry, "backend_uplink"), name);
	f->backend_uplink = i < 0 ? CONFIG_UPLINKS_MAX : (unsigned int)i;
}

static void
check_name(struct parse *p, config_setting_t *entry, unsigned int index)
{
	const struct config *c = p->config;
	const struct config_function *f = &c->functions[index];
	size_t n = strlen(f->name);

	if (n == 0)
		return;
	for (unsigned int i = 0; i < index; i++)
		if (strcmp(c->functions[i].name, f->name) == 0)
			parse_fault(p, parse_at(entry, "name"),
				"function name \"%s\" is used already, at line "
				"%d; names must differ",
				f->name, c->functions[i].line);
	for (unsigned int i = 0; i < c->n_uplinks; i++)
		if (strncmp(c->uplinks[i].device, f->name, n) == 0 &&
			c->uplinks[i].device[n] == '.')
			parse_fault(p, parse_at(entry, "name"),
				"function \"%s\" would make devices named as "
				"the uplink's device \"%s\"; take another name",
				f->name, c->uplinks[i].device);
}

static void
check_buckets(struct parse *p, config_setting_t *entry,
	const struct config_function *f)
{
	if ((f->buckets & (f->buckets - 1)) != 0)
		parse_fault(p, parse_at(entry, "buckets"),
			"buckets is %u; allowed: a power of two, as 64 or 128",
			f->buckets);
	else if (f->buckets != 0 && f->instances > f->buckets)
		parse_fault(p, parse_at(entry, "instances"),
			"%u instances share %u buckets; give as many buckets "
			"as instances at least",
			f->instances, f->buckets);
}

static uint32_t
round_up(uint32_t v)
{
	uint32_t r = 1;

	while (r < v)
		r *= 2;
	return r;
}

static void
set_connections(
	struct parse *p, config_setting_t *entry, struct config_function *f)
{
	if (f->max_connections == 0)
		return;
	f->max_connections = round_up(f->max_connections);
	if (!parse_has(entry, "half_open"))
		f->max_half_open = f->max_connections / 4;
	else if (f->max_half_open > f->max_connections)
		parse_fault(p, parse_at(entry, "half_open"),
			"half_open is %u, more than connections, which is %u; "
			"allowed: at most as many",
			f->max_half_open, f->max_connections);
}

/* What only functions with backends have, and they need. */
static void
check_backends(struct parse *p, config_setting_t *entry,
	const struct config_function *f, const struct config_type *type)
{
	static const char *const only[] = { "snat", "backend_uplink" };

	if (type->flags & NF_NEEDS_BACKENDS) {
		if (f->n_snat == 0 && !parse_has(entry, "snat"))
			parse_fault(p, entry,
				"snat is missing; type \"%s\" talks to "
				"backends: add snat = [ \"10.0.0.9\" ];",
				type->name);
		return;
	}
	for (unsigned int i = 0; i < 2; i++)
		if (parse_has(entry, only[i]))
			parse_fault(p, parse_at(entry, only[i]),
				"type \"%s\" has no backends; remove %s",
				type->name, only[i]);
}

/* The types that keep a log, as a list; "none" if there are none. */
static void
list_logging(const struct parse *p, char *buf, size_t len)
{
	size_t used = 0;

	snprintf(buf, len, "none");
	for (const struct config_type *t = p->types; t->name != NULL; t++)
		if ((t->flags & NF_LOGS) != 0 && used < len)
			used += (size_t)snprintf(buf + used, len - used,
				"%s\"%s\"", used == 0 ? "" : ", ", t->name);
}

/* What a proxy would keep in a log, its clients keep. */
static void
refuse_log(
	struct parse *p, config_setting_t *at, const struct config_type *type)
{
	char list[256];

	list_logging(p, list, sizeof(list));
	if (type->flags & NF_PROXIES)
		parse_fault(p, at,
			"type \"%s\" keeps no log; allowed: durability = "
			"\"none\". Stickiness needs none: the cookie itself "
			"names the backend, by a keyed hash, and so survives "
			"restarts",
			type->name);
	else
		parse_fault(p, at,
			"type \"%s\" keeps no log; allowed: durability = "
			"\"none\"; types that keep one: %s",
			type->name, list);
}

static void
set_log(struct parse *p, config_setting_t *entry, struct config_function *f,
	const struct config_type *type)
{

	f->log_size = (f->log_size + PLOG_BLOCK - 1) / PLOG_BLOCK * PLOG_BLOCK;
	if (f->durability == GRANT_DURABILITY_NONE || type == NULL ||
		(type->flags & NF_LOGS) != 0)
		return;
	refuse_log(p, parse_at(parse_at(entry, "log"), "durability"), type);
}

static void
check_function(struct parse *p, unsigned int index)
{
	config_setting_t *entry = parse_entry(p->root, "functions", index);
	struct config_function *f = &p->config->functions[index];
	const struct config_type *type = NULL;

	if (!config_setting_is_group(entry))
		return;
	check_name(p, entry, index);
	if (*f->type != '\0')
		type = find_type(p, entry, f->type);
	set_uplink(p, entry, f);
	check_buckets(p, entry, f);
	set_connections(p, entry, f);
	set_log(p, entry, f, type);
	if (type != NULL)
		check_backends(p, entry, f, type);
	check_services(p, index, entry, type);
	if (type != NULL)
		check_proxy(p, index, entry, type);
}

/* The NIC in software has a port for each, and a process has so many. */
static void
check_instances(struct parse *p, unsigned int n)
{
	config_setting_t *at = parse_at(p->root, "functions");

	if (n > CONFIG_VNICS_MAX)
		parse_fault(p, at,
			"functions have %u instances in all; allowed: at most "
			"%d",
			n, CONFIG_VNICS_MAX);
	else if (config_soft(p->config) && n > CONFIG_SOFT_VNICS_MAX)
		parse_fault(p, at,
			"functions have %u instances in all; allowed with "
			"provider soft: at most %d",
			n, CONFIG_SOFT_VNICS_MAX);
}

void
parse_check(struct parse *p)
{
	unsigned int instances = 0;

	check_appliance(p);
	check_uplinks(p);
	for (unsigned int i = 0; i < p->config->n_functions; i++) {
		check_function(p, i);
		instances += p->config->functions[i].instances;
	}
	check_instances(p, instances);
	check_cores(p);
	check_claims(p);
}
