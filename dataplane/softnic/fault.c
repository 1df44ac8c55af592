/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A handler may interrupt anything, so the mappings are in an array of plain
 * words: `at` is written last when one is entered and first when it goes, and
 * an entry that is being read by the handler is in use by the very access
 * that it interrupted, so it does not go meanwhile.
 */
#include "dataplane/softnic/fault.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>

#include "dataplane/softnic/tables.h"
#include "dataplane/softnic/virtq.h"

#define MAPPINGS (SOFTNIC_VNICS_MAX * VIRTQ_REGIONS_MAX)

struct mapping {
	uintptr_t at; /* 0: free */
	size_t size;
	uint32_t *flag;
};

static struct mapping mappings[MAPPINGS];

/* 1 if the address was in one, and now can be accessed. */
static int
replace(uintptr_t addr)
{
	for (uint32_t i = 0; i < MAPPINGS; i++) {
		struct mapping *m = &mappings[i];
		uintptr_t at = __atomic_load_n(&m->at, __ATOMIC_ACQUIRE);

		if (at == 0 || addr - at >= m->size)
			continue;
		/* The whole of it: huge pages cannot be replaced in part. */
		if (mmap((void *)at, m->size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED |
				    MAP_NORESERVE,
			    -1, 0) == MAP_FAILED)
			return 0;
		__atomic_store_n(m->flag, 1, __ATOMIC_RELEASE);
		return 1;
	}
	return 0;
}

static void
on_sigbus(int sig, siginfo_t *info, void *context)
{
	int saved = errno;

	(void)context;
	/* One that was sent by somebody is about no address. */
	if (info->si_code <= 0)
		return;
	/* If it is none of ours, it comes again at once, and ends us. */
	if (!replace((uintptr_t)info->si_addr))
		signal(sig, SIG_DFL);
	errno = saved;
}

int
fault_init(void)
{
	struct sigaction act = { .sa_sigaction = on_sigbus,
		.sa_flags = SA_SIGINFO };

	sigemptyset(&act.sa_mask);
	return sigaction(SIGBUS, &act, NULL) == 0 ? 0 : -errno;
}

int
fault_watch(void *at, size_t size, uint32_t *flag)
{
	for (uint32_t i = 0; i < MAPPINGS; i++) {
		struct mapping *m = &mappings[i];

		if (m->at != 0)
			continue;
		m->size = size;
		m->flag = flag;
		__atomic_store_n(&m->at, (uintptr_t)at, __ATOMIC_RELEASE);
		return 0;
	}
	return -ENOSPC;
}

void
fault_forget(const void *at)
{
	for (uint32_t i = 0; i < MAPPINGS; i++)
		if (mappings[i].at == (uintptr_t)at)
			__atomic_store_n(&mappings[i].at, 0, __ATOMIC_RELEASE);
}
