/* SPDX-License-Identifier: BSD-3-Clause */
/* From libconfig's tree to struct config, driven by the table of keys. */
#include "ctrl/config_parse.h"

#include <stdlib.h>
#include <string.h>

#include "ctrl/config_fault.h"

#define NAMES_MAX 32 /* keys of one group */

static void build_group(
	struct parse *p, const char *path, config_setting_t *group, void *base);

int
parse_line(const struct parse *p, const config_setting_t *at)
{
	const char *file;

	return source_line(
		p->source, (int)config_setting_source_line(at), &file);
}

void
parse_fault(
	struct parse *p, const config_setting_t *at, const char *format, ...)
{
	const char *file;
	int line = source_line(
		p->source, (int)config_setting_source_line(at), &file);
	va_list args;

	va_start(args, format);
	faults_add_va(p->faults, file, line, format, args);
	va_end(args);
}

static config_setting_t *
member(const config_setting_t *group, const char *name)
{
	if (group == NULL || !config_setting_is_group(group))
		return NULL;
	return config_setting_get_member(group, name);
}

config_setting_t *
parse_at(config_setting_t *group, const char *name)
{
	config_setting_t *s = member(group, name);

	return s != NULL ? s : group;
}

bool
parse_has(const config_setting_t *group, const char *name)
{
	return member(group, name) != NULL;
}

const char *
parse_text(const config_setting_t *group, const char *name)
{
	const config_setting_t *s = member(group, name);

	return s == NULL ? NULL : config_setting_get_string(s);
}

config_setting_t *
parse_entry(config_setting_t *group, const char *name, unsigned int i)
{
	return config_setting_get_elem(member(group, name), i);
}

/* "functions.services" -> "a service"; the file itself has no name. */
static const char *
place_name(const char *path)
{
	const char *dot = strrchr(path, '.');

	return *path == '\0' ? "the file" : dot == NULL ? path : dot + 1;
}

static void
unknown_key(struct parse *p, const char *path, config_setting_t *s)
{
	const char *names[NAMES_MAX], *nearest;
	char list[400] = "";
	size_t used = 0;
	unsigned int n = 0;

	for (const struct key *k = keys; k->path != NULL; k++) {
		if (!key_in(k, path) || n == NAMES_MAX || used >= sizeof(list))
			continue;
		names[n] = key_name(k);
		used += (size_t)snprintf(list + used, sizeof(list) - used,
			"%s%s", n == 0 ? "" : ", ", names[n]);
		n++;
	}
	nearest = text_nearest(config_setting_name(s), names, n);
	if (nearest != NULL)
		parse_fault(p, s, "unknown key %.64s in %s; did you mean %s?",
			config_setting_name(s), place_name(path), nearest);
	else
		parse_fault(p, s, "unknown key %.64s in %s; allowed: %s",
			config_setting_name(s), place_name(path), list);
}

static void
check_unknown(struct parse *p, const char *path, config_setting_t *group)
{
	int n = config_setting_length(group);

	for (int i = 0; i < n; i++) {
		config_setting_t *s =
			config_setting_get_elem(group, (unsigned int)i);

		if (key_find(path, config_setting_name(s)) == NULL)
			unknown_key(p, path, s);
	}
}

static void
wrong_shape(struct parse *p, const struct key *key, config_setting_t *s)
{
	parse_fault(p, s, "%s is not %s; write %s = %s;", key_name(key),
		key->kind == KEY_GROUP ? "a group in { }"
				       : "a list of groups in ( )",
		key_name(key), key->example);
}

static void
build_entry(struct parse *p, const struct key *key, config_setting_t *s,
	unsigned int i, char *entry)
{
	int line = parse_line(p, s);

	memcpy(entry + key->line, &line, sizeof(line));
	if (config_setting_is_group(s))
		build_group(p, key->path, s, entry);
	else
		parse_fault(p, s,
			"entry %u of %s is not a group in { }; write %s = %s;",
			i + 1, key_name(key), key_name(key), key->example);
}

/* How many entries to take: faults for too few or too many. */
static unsigned int
list_length(struct parse *p, const struct key *key, config_setting_t *s)
{
	unsigned int n = (unsigned int)config_setting_length(s);
	char allowed[64];

	if (n >= key->min && n <= key->max)
		return n;
	parse_fault(p, s, "%s has %u entries; allowed: %s", key_name(key), n,
		key_allowed(key, allowed, sizeof(allowed)));
	return n < key->min ? n : (unsigned int)key->max;
}

static void
build_list(
	struct parse *p, const struct key *key, config_setting_t *s, void *base)
{
	unsigned int n;
	char *entries;

	if (!config_setting_is_list(s)) {
		wrong_shape(p, key, s);
		return;
	}
	n = list_length(p, key, s);
	entries = calloc(n == 0 ? 1 : n, key->entry);
	if (entries == NULL) {
		p->no_memory = true;
		return;
	}
	memcpy((char *)base + key->offset, &entries, sizeof(entries));
	memcpy((char *)base + key->count, &n, sizeof(n));
	for (unsigned int i = 0; i < n; i++)
		build_entry(p, key, config_setting_get_elem(s, i), i,
			entries + (size_t)i * key->entry);
}

/* A group that is missing still has its defaults. */
static void
build_subgroup(
	struct parse *p, const struct key *key, config_setting_t *s, void *base)
{
	if (s != NULL && !config_setting_is_group(s)) {
		wrong_shape(p, key, s);
		s = NULL;
	}
	build_group(p, key->path, s, (char *)base + key->offset);
}

static void
build_key(struct parse *p, const struct key *key, config_setting_t *group,
	void *base)
{
	config_setting_t *s = member(group, key_name(key));

	if (s == NULL && key->required && group != NULL)
		parse_fault(p, group, "%s is missing; add %s = %s;",
			key_name(key), key_name(key), key->example);
	if (key->kind == KEY_GROUP)
		build_subgroup(p, key, s, base);
	else if (s == NULL)
		parse_initial(p, key, base);
	else if (key->kind == KEY_LIST)
		build_list(p, key, s, base);
	else
		parse_value(p, key, s, base);
}

/* `group` may be NULL: then all keys have their defaults. */
static void
build_group(
	struct parse *p, const char *path, config_setting_t *group, void *base)
{
	for (const struct key *k = keys; k->path != NULL; k++)
		if (key_in(k, path))
			build_key(p, k, group, base);
	if (group != NULL)
		check_unknown(p, path, group);
}

void
parse_build(struct parse *p)
{
	build_group(p, "", p->root, p->config);
}
