/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "appliance/verbs.h"

struct verb {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help; /* NULL: not for people */
};

static const struct verb verbs[] = {
	{ "run", verb_run, "run -f FILE          run an appliance" },
	{ "check", verb_check,
		"check -f FILE        find every fault of FILE" },
	{ "status", verb_status,
		"status [NAME] [--json]  functions, backends, counters" },
	{ "top", verb_top, "top [NAME]           the same, live" },
	{ "capture", verb_capture,
		"capture [NAME] INSTANCE [-w FILE] [FILTER ...]  packets, as "
		"pcapng" },
	{ "log", verb_log,
		"log show STORE [--json] [--follow]  the records of a store\n"
		"  carryall log check STORE      verify it" },
	{ "reload", verb_reload, "reload [NAME]        read the config again" },
	{ "stop", verb_stop,
		"stop [NAME]          stop it and remove all it made" },
	{ "keys", verb_keys,
		"keys [--mdoc]        every key a config may have" },
	{ "version", verb_version, "version" },
	{ "instance", verb_instance, NULL },
	{ "softnic", verb_softnic, NULL },
};

#define N_VERBS (sizeof(verbs) / sizeof(verbs[0]))

static void
usage(FILE *out)
{
	fprintf(out, "usage:\n");
	for (size_t i = 0; i < N_VERBS; i++)
		if (verbs[i].help != NULL)
			fprintf(out, "  carryall %s\n", verbs[i].help);
}

int
main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";

	for (size_t i = 0; i < N_VERBS; i++)
		if (strcmp(name, verbs[i].name) == 0)
			return verbs[i].run(argc - 1, argv + 1);
	if (strcmp(name, "--help") == 0 || strcmp(name, "help") == 0) {
		usage(stdout);
		return 0;
	}
	if (strcmp(name, "--version") == 0)
		return verb_version(argc - 1, argv + 1);
	fprintf(stderr, "carryall: %s%s%s\n",
		*name != '\0' ? "unknown verb \"" : "a verb is missing", name,
		*name != '\0' ? "\"" : "");
	usage(stderr);
	return 2;
}
