/* SPDX-License-Identifier: BSD-3-Clause */
/* capture: what goes to and from one instance, as pcap. */
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
#include "ctrl/xdp/capture.h"

static int
usage(void)
{
	fprintf(stderr,
		"usage: carryall capture [NAME] INSTANCE [-w FILE] [-c COUNT] "
		"[-s BYTES] [-d]\n"
		"  -w FILE   write there; \"-\", the default, is standard "
		"output:\n"
		"            carryall capture web.0 | tcpdump -nr -\n"
		"  -c COUNT  end after so many packets\n"
		"  -s BYTES  keep so much of each\n"
		"  -d        those dropped at the VNIC too\n");
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
capture_to(FILE *out, const char *name, const char *instance,
	const struct capture_options *options)
{
	struct capture_result result = { 0 };
	char dir[128], why[256] = "";
	int rc;

	snprintf(dir, sizeof(dir), "%s/%s", RUNDIR_ROOT, name);
	rc = (soft_capture_here(dir) ? soft_capture : xdp_capture)(
		dir, instance, options, out, &result, why, sizeof(why));
	if (rc != 0) {
		fprintf(stderr, "carryall: capture: %s\n",
			why[0] != '\0' ? why : strerror(-rc));
		return 1;
	}
	fprintf(stderr, "%" PRIu64 " packets captured, %" PRIu64 " lost\n",
		result.packets, result.lost);
	return 0;
}

int
verb_capture(int argc, char **argv)
{
	struct capture_options options = { .stop_fd = -1 };
	const char *file = "-";
	char name[64];
	FILE *out;
	int c, rc;

	while ((c = getopt(argc, argv, "w:c:s:d")) != -1) {
		if (c == 'w')
			file = optarg;
		else if (c == 'c')
			options.max_packets = strtoull(optarg, NULL, 10);
		else if (c == 's')
			options.snap_bytes = (uint32_t)atoi(optarg);
		else if (c == 'd')
			options.drops = true;
		else
			return usage();
	}
	if (argc - optind < 1 || argc - optind > 2)
		return usage();
	if (client_name(argc - optind == 2 ? argv[optind] : NULL, name,
		    sizeof(name)) != 0)
		return 1;
	out = strcmp(file, "-") == 0 ? stdout : fopen(file, "we");
	if (out == NULL) {
		perror(file);
		return 1;
	}
	options.stop_fd = stop_signals();
	rc = capture_to(out, name, argv[argc - 1], &options);
	if (out != stdout)
		fclose(out);
	return rc;
}
