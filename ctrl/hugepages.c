/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/hugepages.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#define POOL    "/sys/kernel/mm/hugepages/hugepages-2048kB/"
#define PAGE_MB 2

static long
pool_read(const char *file)
{
	FILE *f = fopen(file, "re");
	long n = -1;

	if (f == NULL)
		return -1;
	if (fscanf(f, "%ld", &n) != 1)
		n = -1;
	fclose(f);
	return n;
}

static void
pool_write(long n)
{
	FILE *f = fopen(POOL "nr_hugepages", "we");

	if (f == NULL)
		return;
	fprintf(f, "%ld\n", n);
	fclose(f);
}

/*
 * Appliances that start or stop at the same time change one number: each must
 * see the other's change. The lock is on the kernel's own file, so it leaves
 * nothing behind and holds across mount namespaces. -1 only means no lock.
 */
static int
pool_lock(void)
{
	int fd = open(POOL "nr_hugepages", O_RDONLY | O_CLOEXEC);

	if (fd >= 0)
		flock(fd, LOCK_EX);
	return fd;
}

static void
pool_unlock(int fd)
{
	if (fd >= 0)
		close(fd);
}

/* Make the pool larger by `want` pages, all or none; the record first. */
static int
pool_grow(const struct rundir *dir, long want)
{
	long have = pool_read(POOL "nr_hugepages");
	long added = (long)rundir_number(dir, "hugepages", 0);

	if (have < 0)
		return -ENOMEM;
	if (rundir_number_set(dir, "hugepages", (uint64_t)(added + want)) != 0)
		return -ENOMEM;
	pool_write(have + want);
	if (pool_read(POOL "nr_hugepages") >= have + want)
		return 0;
	pool_write(have);
	rundir_number_set(dir, "hugepages", (uint64_t)added);
	return -ENOMEM;
}

/*
 * Pages that are free may be another appliance's whose instances are only
 * starting, or one's that is just being restarted. So they count only where
 * no more can be had, as when an operator reserved them at boot for us.
 */
int
hugepages_reserve(const struct rundir *dir, uint32_t mb)
{
	long want = (long)(mb + PAGE_MB - 1) / PAGE_MB, free;
	int lock = pool_lock();
	int rc = pool_grow(dir, want);

	free = pool_read(POOL "free_hugepages");
	if (rc != 0 && free >= want)
		rc = 0;
	else if (rc != 0 && free > 0)
		rc = pool_grow(dir, want - free);
	pool_unlock(lock);
	return rc;
}

void
hugepages_release(const struct rundir *dir)
{
	int lock = pool_lock();
	long added = (long)rundir_number(dir, "hugepages", 0);
	long have = pool_read(POOL "nr_hugepages");

	if (added > 0 && have >= 0) {
		pool_write(have > added ? have - added : 0);
		rundir_number_set(dir, "hugepages", 0);
	}
	pool_unlock(lock);
}
