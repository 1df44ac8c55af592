/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/lib/report.h"

#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static int
by_value(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

double
runs_median(double *run, uint32_t n)
{
	qsort(run, n, sizeof(*run), by_value);
	return run[n / 2];
}

double
runs_spread(double *run, uint32_t n)
{
	double mid = runs_median(run, n);

	return (run[n - 1] - run[0]) / mid;
}

/* A member; null if `value` is no number, or one that was not set. */
static void
number(const char *key, double value, int set)
{
	if (!set || isnan(value))
		printf("\"%s\": null, ", key);
	else
		printf("\"%s\": %.*f, ", key, fabs(value) < 100 ? 3 : 1, value);
}

static void
text(const char *key, const char *value)
{
	if (value == NULL)
		printf("\"%s\": null, ", key);
	else
		printf("\"%s\": \"%s\", ", key, value);
}

void
report(const struct result *r)
{
	const uint32_t n = r->runs == NULL ? 0 : r->repeats;

	if (n > 0)
		runs_median(r->runs, n);
	putchar('{');
	text("name", r->name);
	number("median", r->value, 1);
	text("unit", r->unit);
	text("baseline", r->baseline);
	number("ratio", r->ratio, r->ratio != 0);
	number("min", n > 0 ? r->runs[0] : 0, n > 0);
	number("max", n > 0 ? r->runs[n - 1] : 0, n > 0);
	number("spread", n > 0 ? runs_spread(r->runs, n) : 0, n > 0);
	number("repeats", r->repeats, r->repeats != 0);
	text("cores", r->cores);
	text("limited_by", r->limited_by);
	fputs(r->more == NULL ? "" : r->more, stdout);
	printf("\"conditions\": \"%s\"}\n", r->conditions);
	fflush(stdout);
}

int
samples_init(struct samples *s, uint32_t max)
{
	s->at = calloc(max, sizeof(*s->at));
	s->n = 0;
	s->max = max;
	return s->at == NULL ? -1 : 0;
}

void
samples_fini(struct samples *s)
{
	free(s->at);
	s->at = NULL;
}

static int
by_number(const void *a, const void *b)
{
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

void
samples_sort(struct samples *s)
{
	qsort(s->at, s->n, sizeof(*s->at), by_number);
}

uint32_t
samples_at(const struct samples *s, double q)
{
	uint32_t i = (uint32_t)(q * s->n);

	if (s->n == 0)
		return 0;
	return s->at[i < s->n ? i : s->n - 1];
}

static uint64_t
clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t
now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

uint64_t
cpu_ns(void)
{
	return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

long
switches(void)
{
	struct rusage u;

	return getrusage(RUSAGE_THREAD, &u) == 0 ? u.ru_nivcsw : 0;
}

/* First word of /proc/PID/FILE, or "". */
static void
proc_word(const char *pid, const char *file, char *word, size_t len)
{
	char path[300];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%s/%s", pid, file);
	word[0] = '\0';
	f = fopen(path, "re");
	if (f == NULL)
		return;
	if (fgets(word, (int)len, f) == NULL)
		word[0] = '\0';
	fclose(f);
	word[strcspn(word, " \n")] = '\0';
}

uint64_t
kernel_threads_ns(const char *prefix)
{
	char word[64];
	struct dirent *e;
	uint64_t sum = 0;
	DIR *d = opendir("/proc");

	while (d != NULL && (e = readdir(d)) != NULL) {
		if (e->d_name[0] < '1' || e->d_name[0] > '9')
			continue;
		proc_word(e->d_name, "comm", word, sizeof(word));
		if (strncmp(word, prefix, strlen(prefix)) != 0)
			continue;
		proc_word(e->d_name, "schedstat", word, sizeof(word));
		sum += strtoull(word, NULL, 10);
	}
	if (d != NULL)
		closedir(d);
	return sum;
}
