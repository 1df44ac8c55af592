/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/lib/bench_eal.h"

#include <stdio.h>

#include <rte_common.h>
#include <rte_eal.h>

#define HUGE "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"

static long added; /* pages, to be given back */

/* Change the kernel's pool by `pages`, beside what others use of it. */
static long
pool_change(long pages)
{
	long had = 0, got = 0;
	FILE *f = fopen(HUGE, "r+");

	if (f == NULL)
		return 0;
	if (fscanf(f, "%ld", &had) == 1) {
		rewind(f);
		fprintf(f, "%ld", had + pages);
		fflush(f);
		rewind(f);
		if (fscanf(f, "%ld", &got) != 1)
			got = had;
	}
	fclose(f);
	return got - had;
}

/* Add `pages`: how many were added, all or none. */
static long
reserve_huge(long pages)
{
	long got = pool_change(pages);

	if (got == pages)
		return got;
	if (got > 0)
		pool_change(-got);
	return 0;
}

int
bench_huge_take(long mb)
{
	/* Some are taken for what is not whole pages, and by the heap. */
	added = reserve_huge(mb / 2 + 16);
	return added > 0;
}

void
bench_huge_give(void)
{
	if (added > 0)
		pool_change(-added);
	added = 0;
}

int
bench_eal_init(const char *name, long mb)
{
	char m[16];
	char *argv[] = { (char *)(uintptr_t)name, (char *)"--no-pci",
		(char *)"--no-shconf", (char *)"--no-telemetry",
		(char *)"--log-level=4", (char *)"-m", m, (char *)"--no-huge" };

	if (bench_huge_take(mb))
		argv[7] = (char *)"--in-memory";
	snprintf(m, sizeof(m), "%ld", mb);
	return rte_eal_init(RTE_DIM(argv), argv) < 0 ? -1 : 0;
}

void
bench_eal_fini(void)
{
	rte_eal_cleanup();
	bench_huge_give();
}

const char *
bench_eal_pages(void)
{
	return added > 0 ? "2 MiB" : "ordinary (no huge)";
}
