/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How long a core works, whoever it works for.
 *
 * A thread with the policy SCHED_IDLE is pinned to the core and reads the
 * time stamp counter in a loop. It runs only while nothing else wants the
 * core, so two readings that lie close together are idle time, and a gap is
 * somebody's work: a process, a kernel thread, an interrupt, a softirq. Ticks
 * of /proc/stat see none of the short ones; a process's own processor time
 * leaves out the softirqs that it causes, or is charged with another's.
 *
 * The core never halts meanwhile, so what is measured is without the cost of
 * waking it (an interrupt of a virtual machine's idle core may cost more than
 * the packet), for all sides alike. A gap also holds the two context switches
 * around the work, and what a hypervisor takes away.
 */
#ifndef PERF_COREBUSY_H
#define PERF_COREBUSY_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

struct corebusy {
	pthread_t thread;
	int core;
	atomic_int state;          /* 0 starting, 1 runs, <0 an error */
	atomic_int stop;           /* the caller's */
	_Atomic uint64_t idle_tsc; /* the thread's: cycles nobody wanted */
};

struct corebusy_mark {
	uint64_t idle_tsc, tsc, ns;
};

/*
 * Start to watch `core`: 0 or -errno (EINVAL: no such core). The thread runs
 * when this returns.
 */
int corebusy_start(struct corebusy *b, int core);
void corebusy_stop(struct corebusy *b);

/* What it has seen until now. The caller's core must be another one. */
void corebusy_mark(const struct corebusy *b, struct corebusy_mark *m);

/* Nanoseconds between two marks that the core has worked. */
double corebusy_ns(
	const struct corebusy_mark *from, const struct corebusy_mark *to);

#endif
