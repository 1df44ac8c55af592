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

/* Held while the pool is changed: other appliances change it too. */
static int
pool_lock(void)
{
	int fd = open(RUNDIR_ROOT, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

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

/* Add `want` pages and write down that it is us who did. */
static int
pool_grow(const struct rundir *dir, long want)
{
	long have = pool_read(POOL "nr_hugepages");
	long added = (long)rundir_number(dir, "hugepages", 0);

	if (have < 0 || rundir_number_set(dir, "hugepages",
				(uint64_t)(added + want)) != 0)
		return -ENOMEM;
	pool_write(have + want);
	if (pool_read(POOL "nr_hugepages") >= have + want)
		return 0;
	pool_write(have);
	rundir_number_set(dir, "hugepages", (uint64_t)added);
	return -ENOMEM;
}

int
hugepages_reserve(const struct rundir *dir, uint32_t mb)
{
	long want = (long)(mb + PAGE_MB - 1) / PAGE_MB;
	int lock = pool_lock();
	int rc = pool_grow(dir, want);

	/* What an administrator has set aside will do. */
	if (rc != 0 && pool_read(POOL "free_hugepages") >= want)
		rc = 0;
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
