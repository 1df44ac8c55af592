/* SPDX-License-Identifier: BSD-3-Clause */
/* status, top, reload, stop: the verbs that ask a running appliance. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "appliance/client.h"
#include "appliance/show.h"
#include "appliance/verbs.h"
#include "ctrl/control.h"

#define TOP_SECONDS 1

/*
 * [NAME] and, if `flag` is not NULL, that one flag in any place. Returns 0
 * with name[0..len) filled, else -1 after saying why.
 */
static int
arguments(int argc, char **argv, const char *flag, int *set, char *name,
	size_t len)
{
	const char *given = NULL;

	for (int i = 1; i < argc; i++) {
		if (flag != NULL && strcmp(argv[i], flag) == 0) {
			*set = 1;
		} else if (argv[i][0] == '-' || given != NULL) {
			fprintf(stderr, "usage: carryall %s [NAME]%s%s%s\n",
				argv[0], flag != NULL ? " [" : "",
				flag != NULL ? flag : "",
				flag != NULL ? "]" : "");
			return -1;
		} else {
			given = argv[i];
		}
	}
	return client_name(given, name, len);
}

int
verb_status(int argc, char **argv)
{
	char name[64];
	int json = 0;
	json_t *status;

	if (arguments(argc, argv, "--json", &json, name, sizeof(name)) != 0)
		return 2;
	status = client_ask(name, "status", 0);
	if (status == NULL)
		return 1;
	if (json) {
		json_dumpf(status, stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		show_status(stdout, status, NULL, 0);
	}
	json_decref(status);
	return 0;
}

int
verb_top(int argc, char **argv)
{
	char name[64];
	json_t *now, *before = NULL;

	if (arguments(argc, argv, NULL, NULL, name, sizeof(name)) != 0)
		return 2;
	while ((now = client_ask(name, "status", 0)) != NULL) {
		if (isatty(STDOUT_FILENO))
			fputs("\033[H\033[2J", stdout);
		show_status(stdout, now, before, TOP_SECONDS);
		fflush(stdout);
		json_decref(before);
		before = now;
		sleep(TOP_SECONDS);
	}
	json_decref(before);
	return 1;
}

int
verb_reload(int argc, char **argv)
{
	char name[64];
	json_t *answer;
	int ok;

	if (arguments(argc, argv, NULL, NULL, name, sizeof(name)) != 0)
		return 2;
	answer = client_ask(name, "reload", 0);
	if (answer == NULL)
		return 1;
	ok = json_is_true(json_object_get(answer, "ok"));
	if (!ok)
		fprintf(stderr, "carryall: %s\n",
			json_string_value(json_object_get(answer, "error")));
	json_decref(answer);
	return ok ? 0 : 1;
}

int
verb_stop(int argc, char **argv)
{
	char name[64];
	int rc;

	if (arguments(argc, argv, NULL, NULL, name, sizeof(name)) != 0)
		return 2;
	if (client_stop(name) == 0)
		return 0;
	rc = control_clean(name);
	if (rc == 0)
		fprintf(stderr,
			"carryall: removed what a dead control plane "
			"had left of \"%s\"\n",
			name);
	else
		fprintf(stderr, "carryall: %s: %s\n", name,
			rc == -ENOENT ? "no such appliance runs here"
			: rc == -EXDEV
				? "it is of another network namespace; stop it there"
				: strerror(-rc));
	return rc == 0 ? 0 : 1;
}
