/* SPDX-License-Identifier: BSD-3-Clause */
#include "appliance/log_find.h"

#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "appliance/client.h"
#include "ctrl/rundir.h"

#define STATE_DEFAULT "/var/lib/carryall" /* key appliance.state */
#define STORES_MAX    16

struct stores {
	char appliance[STORES_MAX][64];
	char path[STORES_MAX][512];
	unsigned int n; /* found, also such as have no room here */
};

static void
stores_add(struct stores *s, const char *appliance, const char *path)
{
	for (unsigned int i = 0; i < s->n && i < STORES_MAX; i++)
		if (strcmp(s->path[i], path) == 0)
			return;
	if (s->n < STORES_MAX) {
		snprintf(s->appliance[s->n], sizeof(s->appliance[0]), "%s",
			appliance);
		snprintf(s->path[s->n], sizeof(s->path[0]), "%s", path);
	}
	s->n++;
}

/* --- appliances that run --- */

/* A store that is not in use says no path. */
static void
stores_of_status(struct stores *s, const char *appliance, const char *instance,
	const json_t *status)
{
	const json_t *functions = json_object_get(status, "functions");

	for (size_t i = 0; i < json_array_size(functions); i++) {
		const json_t *list = json_object_get(
			json_array_get(functions, i), "instances");

		for (size_t k = 0; k < json_array_size(list); k++) {
			const json_t *one = json_array_get(list, k);
			const char *name =
				json_string_value(json_object_get(one, "name"));
			const char *path = json_string_value(json_object_get(
				json_object_get(one, "log"), "store"));

			if (name != NULL && path != NULL &&
				strcmp(name, instance) == 0)
				stores_add(s, appliance, path);
		}
	}
}

static void
stores_running(struct stores *s, const char *appliance, const char *instance)
{
	json_t *status = client_ask(appliance, "status", 1);

	if (status == NULL)
		return;
	stores_of_status(s, appliance, instance, status);
	json_decref(status);
}

/* --- places --- */

static const char *
last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

static void
each_running(struct stores *s, const char *instance)
{
	glob_t found;

	if (glob(RUNDIR_ROOT "/*", 0, NULL, &found) != 0)
		return;
	for (size_t i = 0; i < found.gl_pathc; i++)
		stores_running(s, last_part(found.gl_pathv[i]), instance);
	globfree(&found);
}

/* Of `appliance`, or, if it is NULL, of any. */
static void
each_kept(struct stores *s, const char *appliance, const char *instance)
{
	char pattern[256];
	glob_t found;

	snprintf(pattern, sizeof(pattern), STATE_DEFAULT "/%s/%s.log",
		appliance != NULL ? appliance : "*", instance);
	if (glob(pattern, 0, NULL, &found) != 0)
		return;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		char *path = found.gl_pathv[i], name[64];

		snprintf(name, sizeof(name), "%.*s",
			(int)strcspn(path + sizeof(STATE_DEFAULT), "/"),
			path + sizeof(STATE_DEFAULT));
		stores_add(s, name, path);
	}
	globfree(&found);
}

/* --- what was meant --- */

/* "APPLIANCE/INSTANCE" in two; false if it must be a path. */
static bool
name_split(
	const char *given, char *appliance, size_t len, const char **instance)
{
	const char *slash = strchr(given, '/');

	appliance[0] = '\0';
	*instance = given;
	if (strpbrk(given, "*?[\\") != NULL || given[0] == '.')
		return false;
	if (slash == NULL)
		return true;
	if (slash == given || strchr(slash + 1, '/') != NULL)
		return false;
	snprintf(appliance, len, "%.*s", (int)(slash - given), given);
	*instance = slash + 1;
	return true;
}

static void
say_which(const char *instance, const struct stores *s)
{
	fprintf(stderr,
		"carryall: several appliances have a store of %s; say "
		"which one:\n",
		instance);
	for (unsigned int i = 0; i < s->n && i < STORES_MAX; i++)
		fprintf(stderr, "  %s/%s (%s)\n", s->appliance[i], instance,
			s->path[i]);
}

int
log_find(const char *given, char *path, size_t len)
{
	struct stores stores = { .n = 0 };
	char appliance[64];
	const char *instance;

	snprintf(path, len, "%s", given);
	if (access(given, F_OK) == 0)
		return 0;
	if (!name_split(given, appliance, sizeof(appliance), &instance)) {
		fprintf(stderr, "carryall: there is no file %s\n", given);
		return -1;
	}
	if (appliance[0] != '\0')
		stores_running(&stores, appliance, instance);
	else
		each_running(&stores, instance);
	if (stores.n == 0)
		each_kept(&stores, appliance[0] != '\0' ? appliance : NULL,
			instance);
	if (stores.n > 1) {
		say_which(instance, &stores);
		return -1;
	}
	if (stores.n == 0) {
		fprintf(stderr,
			"carryall: no store of %s: no appliance that runs here "
			"has one, nor is it under %s; if appliance.state says "
			"another place, give the path of the store\n",
			given, STATE_DEFAULT);
		return -1;
	}
	snprintf(path, len, "%s", stores.path[0]);
	return 0;
}
