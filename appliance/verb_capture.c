/* SPDX-License-Identifier: BSD-3-Clause */
/* capture: what goes to and from one instance, as pcapng. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "appliance/client.h"
#include "appliance/verbs.h"
#include "ctrl/rundir.h"
#include "ctrl/soft/capture.h"
#include "ctrl/units.h"
#include "ctrl/xdp/capture.h"

#define FILES_MAX 10000

static int
usage(void)
{
	fprintf(stderr,
		"usage: carryall capture [NAME] INSTANCE [-w FILE] [-c COUNT] "
		"[-s BYTES] [-d]\n"
		"                        [-C SIZE [-W FILES]] [FILTER ...]\n"
		"  -w FILE   write there; \"-\", the default, is standard "
		"output:\n"
		"            carryall capture web.0 | tcpdump -nr -\n"
		"  -c COUNT  end after so many packets\n"
		"  -s BYTES  keep so much of each\n"
		"  -d        those dropped at the VNIC too\n"
		"  -C SIZE   end when the file would be larger (64M)\n"
		"  -W FILES  then begin another, so many in turn: FILE.0, "
		"FILE.1, ...\n"
		"  FILTER    as tcpdump has it: tcp port 80\n");
	return 2;
}

/* Ctrl-C and the like end a capture in order: the file is whole then. */
static int
stop_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

static int
capture(const char *name, const char *instance, struct capture_options *options)
{
	struct capture_result result = { 0 };
	char dir[128], why[512] = "";
	int rc;

	snprintf(dir, sizeof(dir), "%s/%s", RUNDIR_ROOT, name);
	options->appliance = name;
	options->stop_fd = stop_signals();
	rc = (soft_capture_here(dir) ? soft_capture : xdp_capture)(
		dir, instance, options, &result, why, sizeof(why));
	if (rc != 0)
		fprintf(stderr, "carryall: capture: %s\n", why);
	if (rc == 0 || result.packets != 0)
		fprintf(stderr,
			"%" PRIu64 " packets captured, %" PRIu64 " lost\n",
			result.packets, result.lost);
	return rc != 0;
}

static int
refuse(int option, const char *text, const char *wanted)
{
	fprintf(stderr, "carryall: capture: -%c %s: not %s\n", option, text,
		wanted);
	return 2;
}

static int
number(int option, const char *text, uint64_t min, uint64_t max,
	uint64_t *value)
{
	char *end, wanted[64];

	errno = 0;
	*value = strtoull(text, &end, 10);
	if (*text >= '0' && *text <= '9' && *end == '\0' && errno == 0 &&
		*value >= min && *value <= max)
		return 0;
	snprintf(wanted, sizeof(wanted),
		"a number from %" PRIu64 " to %" PRIu64, min, max);
	return refuse(option, text, wanted);
}

static int
option_take(struct capture_options *o, int c, const char *text)
{
	uint64_t v = 0;
	int rc = 0;

	if (c == 'w') {
		o->path = text;
	} else if (c == 'd') {
		o->drops = true;
	} else if (c == 'c') {
		rc = number(c, text, 0, UINT64_MAX, &o->max_packets);
	} else if (c == 's') {
		rc = number(c, text, 0, CAPTURE_SNAP_BYTES, &v);
		o->snap_bytes = (uint32_t)v;
	} else if (c == 'W') {
		rc = number(c, text, 1, FILES_MAX, &v);
		o->files = (uint32_t)v;
	} else if (c == 'C') {
		if (unit_parse(UNIT_SIZE, text, &o->max_bytes) != 0 ||
			o->max_bytes == 0)
			rc = refuse(c, text, "a size like 64M");
	} else {
		rc = usage();
	}
	return rc;
}

/* The words of a filter, with blanks between; NULL if there are none. */
static char *
filter_join(char **word, int n)
{
	size_t size = 0;
	char *text, *at;

	for (int i = 0; i < n; i++)
		size += strlen(word[i]) + 1;
	if (n == 0)
		return NULL;
	text = at = malloc(size);
	for (int i = 0; text != NULL && i < n; i++) {
		at = stpcpy(at, word[i]);
		*at++ = i + 1 < n ? ' ' : '\0';
	}
	return text;
}

int
verb_capture(int argc, char **argv)
{
	struct capture_options options = { .path = "-", .stop_fd = -1 };
	const char *given = NULL;
	char name[64], *filter;
	int c, rc;

	while ((c = getopt(argc, argv, "w:c:s:dC:W:")) != -1) {
		rc = option_take(&options, c, optarg);
		if (rc != 0)
			return rc;
	}
	if (options.files != 0 &&
		(options.max_bytes == 0 || strcmp(options.path, "-") == 0))
		return usage();
	/* Only instances have a dot in their names. */
	if (optind < argc && strchr(argv[optind], '.') == NULL)
		given = argv[optind++];
	if (optind == argc)
		return usage();
	if (client_name(given, name, sizeof(name)) != 0)
		return 1;
	filter = filter_join(argv + optind + 1, argc - optind - 1);
	options.filter = filter;
	rc = capture(name, argv[optind], &options);
	free(filter);
	return rc;
}
