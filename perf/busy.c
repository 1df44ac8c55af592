/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * busy CORE OUT COMMAND...: runs the command, which must not use the core
 * itself, and writes how long the core worked meanwhile, whoever for, into the
 * file OUT: {"busy_ns": N, "ns": N}. Ends with the command's status.
 */
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "perf/lib/corebusy.h"

extern char **environ;

static int
run(char **argv)
{
	int rc, status;
	pid_t pid;

	rc = posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ);
	if (rc != 0) {
		fprintf(stderr, "busy: %s: %s\n", argv[0], strerror(rc));
		return 127;
	}
	if (waitpid(pid, &status, 0) != pid)
		return 127;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static int
write_out(const char *path, const struct corebusy_mark *from,
	const struct corebusy_mark *to)
{
	FILE *f = fopen(path, "we");

	if (f == NULL)
		return -1;
	fprintf(f, "{\"busy_ns\": %.0f, \"ns\": %.0f}\n", corebusy_ns(from, to),
		(double)(to->ns - from->ns));
	return fclose(f);
}

int
main(int argc, char **argv)
{
	struct corebusy_mark from, to;
	struct corebusy busy;
	int rc;

	if (argc < 4) {
		fprintf(stderr, "usage: busy CORE OUT COMMAND...\n");
		return 2;
	}
	rc = corebusy_start(&busy, (int)strtol(argv[1], NULL, 10));
	if (rc != 0) {
		fprintf(stderr, "busy: core %s: %s\n", argv[1], strerror(-rc));
		return 1;
	}
	corebusy_mark(&busy, &from);
	rc = run(argv + 3);
	corebusy_mark(&busy, &to);
	corebusy_stop(&busy);
	if (write_out(argv[2], &from, &to) != 0) {
		perror(argv[2]);
		rc = 1;
	}
	return rc;
}
