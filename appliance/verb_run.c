/* SPDX-License-Identifier: BSD-3-Clause */
/* run, check, keys: the verbs that read a configuration. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "appliance/verbs.h"
#include "ctrl/control.h"
#include "dataplane/nf.h"
#include "dataplane/vnic.h"

#define TYPES_MAX 32

/*
 * Memory of an instance beside its function's: packet buffers (8,192 of
 * 2.3 KiB), rings, and what DPDK takes for itself.
 */
#define MEMORY_BASE_MB 40

static struct config_type types[TYPES_MAX + 1];

static int
grant_check(const struct grant *grant, char *why, size_t len)
{
	const struct nf *nf = nf_find(grant->type);

	if (nf == NULL || nf->configure == NULL)
		return 0;
	return nf->configure(grant, why, len);
}

static uint32_t
grant_memory_mb(const struct grant *grant)
{
	const struct nf *nf = nf_find(grant->type);
	size_t bytes = 0;

	if (nf != NULL && nf->memory != NULL)
		bytes = nf->memory(grant);
	if (nf != NULL && nf->buffers != NULL)
		bytes += (size_t)nf->buffers(grant) * VNIC_BUFFER_BYTES;
	/* An eighth more for what the allocator cannot place well. */
	bytes += bytes / 8;
	/* Whole huge pages of 2 MiB. */
	return MEMORY_BASE_MB + 2 * (uint32_t)((bytes + (2u << 20) - 1) >> 21);
}

static struct control_functions
functions(void)
{
	struct control_functions f = { types, grant_check, grant_memory_mb };

	for (int i = 0; i < TYPES_MAX && nf_all[i] != NULL; i++) {
		types[i].name = nf_all[i]->name;
		types[i].flags = nf_all[i]->flags;
	}
	return f;
}

static const char *
file_option(int argc, char **argv)
{
	const char *file = NULL;
	int c;

	while ((c = getopt(argc, argv, "f:")) != -1) {
		if (c != 'f')
			return NULL;
		file = optarg;
	}
	if (file == NULL || optind != argc) {
		fprintf(stderr, "usage: carryall %s -f FILE\n", argv[0]);
		return NULL;
	}
	return file;
}

int
verb_run(int argc, char **argv)
{
	struct control_functions f = functions();
	const char *file = file_option(argc, argv);

	return file == NULL ? 2 : control_run(file, &f);
}

int
verb_check(int argc, char **argv)
{
	struct control_functions f = functions();
	const char *file = file_option(argc, argv);
	unsigned int n;

	if (file == NULL)
		return 2;
	n = control_check(file, &f, stderr);
	if (n == 0)
		printf("%s: good\n", file);
	else
		fprintf(stderr, "%s: %u fault%s\n", file, n, n == 1 ? "" : "s");
	return n == 0 ? 0 : 1;
}

int
verb_keys(int argc, char **argv)
{
	if (argc > 2 || (argc == 2 && strcmp(argv[1], "--mdoc") != 0)) {
		fprintf(stderr, "usage: carryall keys [--mdoc]\n");
		return 2;
	}
	config_keys_print(stdout, argc == 2);
	return 0;
}

int
verb_version(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	printf("carryall %s\n", CARRYALL_VERSION);
	printf("functions:");
	for (int i = 0; nf_all[i] != NULL; i++)
		printf(" %s", nf_all[i]->name);
	printf("\n");
	return 0;
}
