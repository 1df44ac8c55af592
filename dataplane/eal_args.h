/* SPDX-License-Identifier: BSD-3-Clause */
/* EAL's command line, for a process of ours: made up argument by argument. */
#ifndef CARRYALL_EAL_ARGS_H
#define CARRYALL_EAL_ARGS_H

#include <assert.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#define EAL_ARGS_MAX 64

struct eal_args {
	int argc;
	char *argv[EAL_ARGS_MAX]; /* ends with NULL */
	char text[EAL_ARGS_MAX][300];
};

/* One more argument. Thread: any. */
static inline void __attribute__((format(printf, 2, 3)))
eal_arg(struct eal_args *a, const char *format, ...)
{
	va_list ap;

	assert(a->argc < EAL_ARGS_MAX - 1);
	va_start(ap, format);
	vsnprintf(a->text[a->argc], sizeof(a->text[0]), format, ap);
	va_end(ap);
	a->argv[a->argc] = a->text[a->argc];
	a->argv[++a->argc] = NULL;
}

/*
 * Memory that no other process can name: `huge_mb` of huge pages, or, if that
 * is 0, `memory_mb` of ordinary ones. These come with --no-huge, which
 * excludes --in-memory.
 */
static inline void
eal_args_memory(struct eal_args *a, uint32_t huge_mb, uint32_t memory_mb)
{
	if (huge_mb > 0) {
		eal_arg(a, "--in-memory");
		eal_arg(a, "-m");
		eal_arg(a, "%u", huge_mb);
		eal_arg(a, "--socket-limit=%u", huge_mb);
		return;
	}
	eal_arg(a, "--no-huge");
	eal_arg(a, "--no-shconf");
	eal_arg(a, "-m");
	eal_arg(a, "%u", memory_mb);
}

#endif
