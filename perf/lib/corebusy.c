/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/lib/corebusy.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <x86intrin.h>

#include "perf/lib/report.h"

/*
 * Cycles between two readings above which somebody else had the core. The
 * loop takes 30 to 60; the shortest interrupt is above 1,000.
 */
#define GAP 500u

static int
pin(int core)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(core, &set);
	return pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

static void
watch(struct corebusy *b)
{
	uint64_t idle = 0, last = __rdtsc(), now;

	while (!atomic_load_explicit(&b->stop, memory_order_relaxed)) {
		now = __rdtsc();
		if (now - last < GAP)
			idle += now - last;
		last = now;
		atomic_store_explicit(&b->idle_tsc, idle, memory_order_relaxed);
	}
}

static void *
spin(void *arg)
{
	const struct sched_param param = { 0 };
	struct corebusy *b = arg;
	int rc = pin(b->core);

	if (rc == 0)
		rc = pthread_setschedparam(pthread_self(), SCHED_IDLE, &param);
	atomic_store(&b->state, rc == 0 ? 1 : -rc);
	if (rc == 0)
		watch(b);
	return NULL;
}

int
corebusy_start(struct corebusy *b, int core)
{
	int rc;

	memset(b, 0, sizeof(*b));
	if (core < 0 || core >= CPU_SETSIZE)
		return -EINVAL;
	b->core = core;
	rc = pthread_create(&b->thread, NULL, spin, b);
	if (rc != 0)
		return -rc;
	while ((rc = atomic_load(&b->state)) == 0)
		sched_yield();
	if (rc < 0)
		pthread_join(b->thread, NULL);
	return rc < 0 ? rc : 0;
}

void
corebusy_stop(struct corebusy *b)
{
	atomic_store(&b->stop, 1);
	pthread_join(b->thread, NULL);
}

void
corebusy_mark(const struct corebusy *b, struct corebusy_mark *m)
{
	m->idle_tsc = atomic_load_explicit(&b->idle_tsc, memory_order_relaxed);
	m->tsc = __rdtsc();
	m->ns = now_ns();
}

double
corebusy_ns(const struct corebusy_mark *from, const struct corebusy_mark *to)
{
	double all = (double)(to->tsc - from->tsc);
	double idle = (double)(to->idle_tsc - from->idle_tsc);

	return (all - idle) / all * (double)(to->ns - from->ns);
}
