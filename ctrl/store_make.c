/* SPDX-License-Identifier: BSD-3-Clause */
/* Making a store: whole, or not at all. */
#include "ctrl/store.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <time.h>
#include <unistd.h>

#include "ctrl/units.h"
#include "dataplane/log/format.h"

#define CHUNK (1u << 20)

int
store_dir_make(const char *dir)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/", dir);
	for (char *p = strchr(path + 1, '/'); p != NULL;
		p = strchr(p + 1, '/')) {
		*p = '\0';
		if (mkdir(path, 0755) != 0 && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	return 0;
}

int
store_dir_sync(const char *dir)
{
	int rc, fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	rc = fsync(fd) == 0 ? 0 : -errno;
	close(fd);
	return rc;
}

static int
write_all(int fd, const void *data, size_t len, uint64_t off)
{
	ssize_t n = pwrite(fd, data, len, (off_t)off);

	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -ENOSPC;
}

/* Zeros over all of it: what is allocated only is not written yet. */
static int
write_zeros(int fd, uint64_t size)
{
	void *zeros = aligned_alloc(PLOG_BLOCK, CHUNK);
	int rc = zeros == NULL ? -ENOMEM : 0;

	if (zeros != NULL)
		memset(zeros, 0, CHUNK);
	for (uint64_t off = 0; rc == 0 && off < size; off += CHUNK) {
		uint64_t left = size - off;

		rc = write_all(fd, zeros, left < CHUNK ? left : CHUNK, off);
	}
	free(zeros);
	return rc;
}

static int
super_fill(const struct store *s, struct plog_super *super)
{
	struct timespec now;

	*super = (struct plog_super){
		.magic = PLOG_SUPER_MAGIC,
		.version = PLOG_VERSION,
		.block = PLOG_BLOCK,
		.slots = s->size / PLOG_BLOCK - 2,
		.generation = 1,
		.tail = 1,
	};
	clock_gettime(CLOCK_REALTIME, &now);
	super->created_ms =
		(uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
	snprintf(super->function, sizeof(super->function), "%s", s->type);
	snprintf(super->owner, sizeof(super->owner), "%s", s->owner);
	if (getrandom(&super->store, sizeof(super->store), 0) !=
		sizeof(super->store))
		return -EIO;
	plog_super_seal(super);
	return 0;
}

/*
 * The copy first: whoever finds the first one finds both.
 */
int
store_format(const struct store *s, int fd)
{
	struct plog_super *super = aligned_alloc(PLOG_BLOCK, PLOG_BLOCK);
	int rc;

	if (super == NULL)
		return -ENOMEM;
	memset(super, 0, PLOG_BLOCK);
	rc = super_fill(s, super);
	if (rc == 0)
		rc = write_all(
			fd, super, PLOG_BLOCK, plog_copy_offset(super->slots));
	if (rc == 0)
		rc = write_all(fd, super, PLOG_BLOCK, 0);
	if (rc == 0 && fsync(fd) != 0)
		rc = -errno;
	free(super);
	return rc;
}

/* Not there where the file system cannot: then zeros allocate. */
static int
allocate(int fd, uint64_t size)
{
	if (fallocate(fd, 0, 0, (off_t)size) == 0 || errno == EOPNOTSUPP)
		return 0;
	return -errno;
}

/* Memory takes direct I/O and forgets everything with the next start. */
static int
lasting(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) != 0)
		return -errno;
	return fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC
		       ? -EMEDIUMTYPE
		       : 0;
}

static bool
is_named(int fd, const char *path)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 && stat(path, &b) == 0 &&
	       a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

static int
fill(const struct store *s, int fd, const char *fresh)
{
	int rc;

	/* Also when another one has given it its name in between. */
	if (flock(fd, LOCK_EX | LOCK_NB) != 0 || !is_named(fd, fresh))
		return -EBUSY;
	rc = lasting(fd);
	if (rc == 0 && ftruncate(fd, 0) != 0)
		rc = -errno;
	if (rc == 0)
		rc = allocate(fd, s->size);
	if (rc == 0)
		rc = write_zeros(fd, s->size);
	return rc == 0 ? store_format(s, fd) : rc;
}

/* Two that make one store at once: the second does not write over it. */
static int
give_name(const struct store *s, const char *fresh)
{
	if (renameat2(AT_FDCWD, fresh, AT_FDCWD, s->path, RENAME_NOREPLACE) !=
		0)
		return -errno;
	return store_dir_sync(s->dir);
}

static void
explain(const struct store *s, int rc, char *why, size_t len)
{
	char size[24];

	unit_format(UNIT_SIZE, s->size, size, sizeof(size));
	if (rc == -ENOSPC || rc == -EDQUOT || rc == -EFBIG)
		snprintf(why, len,
			"store %s cannot be made: it needs %llu bytes (%s), "
			"and %s; free some space, or set log.size of \"%s\" "
			"lower",
			s->path, (unsigned long long)s->size, size,
			rc == -ENOSPC   ? "no space is left"
			: rc == -EDQUOT ? "the quota is used up"
					: "no file may be that large here",
			s->function);
	else if (rc == -EINVAL || rc == -EMEDIUMTYPE)
		snprintf(why, len,
			"store %s cannot be made: its file system %s; put "
			"appliance.state on ext4 or xfs, or make %s a link to "
			"a block device",
			s->path,
			rc == -EINVAL ? "has no direct I/O"
				      : "is in memory, and does not outlive a "
					"restart of the machine",
			s->path);
	else if (rc == -EBUSY)
		snprintf(why, len,
			"store %s is being made by another process; only one "
			"can use it",
			s->path);
	else
		snprintf(why, len, "store %s cannot be made: %s", s->path,
			strerror(-rc));
}

int
store_make(const struct store *s, char *why, size_t len)
{
	char fresh[sizeof(s->path) + 8];
	int fd = -1, rc = store_dir_make(s->dir);

	snprintf(fresh, sizeof(fresh), "%s.new", s->path);
	if (rc == 0) {
		fd = open(fresh, O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0600);
		rc = fd < 0 ? -errno : fill(s, fd, fresh);
	}
	if (rc == 0)
		rc = give_name(s, fresh);
	/* Who will write it takes the lock, and is known by it. */
	if (rc == 0 && flock(fd, LOCK_UN) == 0)
		return fd;
	explain(s, rc, why, len);
	/* While another one makes it, the file is that one's. */
	if (rc != -EBUSY)
		unlink(fresh);
	if (fd >= 0)
		close(fd);
	return rc;
}
