/* SPDX-License-Identifier: BSD-3-Clause */
/* DPDK for a benchmark: huge pages, if the machine gives any, and its EAL. */
#ifndef PERF_BENCH_EAL_H
#define PERF_BENCH_EAL_H

/* `mb` MiB of memory, of which huge pages are given back: 0 or -1. */
int bench_eal_init(const char *name, long mb);

void bench_eal_fini(void);

/*
 * Huge pages for `mb` MiB alone, for processes that are started: 1 if the
 * kernel's pool has grown by them, else 0. One taking at a time.
 */
int bench_huge_take(long mb);
void bench_huge_give(void);

/* What kind of pages it got, in words. */
const char *bench_eal_pages(void);

#endif
