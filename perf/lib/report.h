/* SPDX-License-Identifier: BSD-3-Clause */
/* What benchmarks share: clocks, samples, and a result as a line of JSON. */
#ifndef PERF_REPORT_H
#define PERF_REPORT_H

#include <stdint.h>
#include <stdio.h>

/*
 * One figure. `value` is the median of the repeats, unless its conditions say
 * otherwise. Zero and NULL: not said; the line has null there.
 */
struct result {
	const char *name;
	double value; /* NAN with `limited_by`: not the system's own figure */
	const char *unit;
	const char *baseline; /* name of another result, or NULL */
	double ratio;         /* to that; 0: none */
	double *runs; /* the repeats, for min, max and spread, or NULL */
	uint32_t repeats;
	const char *cores;      /* what core did what */
	const char *limited_by; /* what else than the system was the limit */
	const char *more;       /* members `"key": value, `, or NULL */
	const char *conditions;
};

/*
 * One line on standard output: a JSON object, with min, max and spread
 * ((max - min) / median) of the runs, which are sorted.
 */
void report(const struct result *r);

/* Median of run[0..n), which is sorted. */
double runs_median(double *run, uint32_t n);

/* (highest - lowest) / median of run[0..n), which is sorted. */
double runs_spread(double *run, uint32_t n);

/* Nanoseconds, or whatever else, to take quantiles of. */
struct samples {
	uint32_t *at;
	uint32_t n, max;
};

/* Room for `max`: 0 or -1. */
int samples_init(struct samples *s, uint32_t max);
void samples_fini(struct samples *s);

/* More than there is room for are left out. */
static inline void
samples_add(struct samples *s, uint64_t value)
{
	if (s->n < s->max)
		s->at[s->n++] =
			value < UINT32_MAX ? (uint32_t)value : UINT32_MAX;
}

void samples_sort(struct samples *s);

/* Of sorted samples: `q` from 0 to 1. */
uint32_t samples_at(const struct samples *s, double q);

/* CLOCK_MONOTONIC, and what this thread has run, in nanoseconds. */
uint64_t now_ns(void);
uint64_t cpu_ns(void);

/* How often another thread was given this one's core. */
long switches(void);

/* Nanoseconds that kernel threads named `prefix...` have run. */
uint64_t kernel_threads_ns(const char *prefix);

#endif
