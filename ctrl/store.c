/* SPDX-License-Identifier: BSD-3-Clause */
/* Opening a store: what is there, and whether it is ours to use. */
#include "ctrl/store.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/log/read.h"

/* What was found that can be helped; errors are negative. */
enum found {
	FOUND_GOOD,
	FOUND_BLANK,      /* a device, all zeros */
	FOUND_UNREADABLE, /* a file with no good superblock */
	FOUND_SHORT,      /* a file that lacks its end */
	FOUND_UNUSED,     /* of another size, and never written */
};

/* For what a dead process has in flight to end. */
#define IN_USE_TRIES 200
#define IN_USE_NS    10000000

void
store_init(struct store *s, const char *state, const char *instance,
	const struct grant *grant)
{
	memset(s, 0, sizeof(*s));
	s->size = grant->store.size;
	snprintf(s->dir, sizeof(s->dir), "%s/%s", state, grant->appliance);
	snprintf(s->name, sizeof(s->name), "%.31s.log", instance);
	snprintf(s->path, sizeof(s->path), "%s/%s", s->dir, s->name);
	snprintf(s->instance, sizeof(s->instance), "%s", instance);
	snprintf(s->function, sizeof(s->function), "%s", grant->function);
	snprintf(s->type, sizeof(s->type), "%s", grant->type);
	snprintf(s->owner, sizeof(s->owner), "%.31s/%.31s", grant->appliance,
		instance);
}

/* --- what is there --- */

static ssize_t
read_at(void *ctx, uint64_t off, void *buf, size_t len)
{
	ssize_t n = pread(*(int *)ctx, buf, len, (off_t)off);

	return n < 0 ? -errno : n;
}

/* Bytes of the file or device: 0 or -errno. */
static int
size_get(int fd, const struct stat *st, uint64_t *size)
{
	*size = (uint64_t)st->st_size;
	if (!S_ISBLK(st->st_mode))
		return 0;
	return ioctl(fd, BLKGETSIZE64, size) == 0 ? 0 : -errno;
}

static int
device_large_enough(const struct store *s, uint64_t have, char *why, size_t len)
{
	if (have >= s->size)
		return 0;
	snprintf(why, len,
		"store %s is a device of %llu bytes, and log.size of \"%s\" is "
		"%llu; set that lower, or take a larger device",
		s->path, (unsigned long long)have, s->function,
		(unsigned long long)s->size);
	return -ENOSPC;
}

/* A good superblock: is what it describes ours, and all there? */
static int
judge_super(const struct store *s, const struct plog_super *super,
	uint64_t have, char *why, size_t len)
{
	if (strcmp(super->function, s->type) != 0) {
		snprintf(why, len,
			"store %s is of a function of type \"%s\", and \"%s\" "
			"is of type \"%s\"; move it away, or rename the "
			"function",
			s->path, super->function, s->function, s->type);
		return -EMEDIUMTYPE;
	}
	if (have >= s->size)
		return 0;
	snprintf(why, len, "was cut short to %llu bytes",
		(unsigned long long)have);
	return FOUND_SHORT;
}

/* No store on a device: all zeros, or something of somebody's. */
static int
judge_foreign_device(const struct store *s, int rc, char *why, size_t len)
{
	if (rc == -ENODATA)
		return FOUND_BLANK;
	snprintf(why, len,
		"store %s is a device with something on it that is no store; "
		"if nobody needs that, blank it: blkdiscard -z -l %llu %s",
		s->path, (unsigned long long)s->size, s->path);
	return -EBADMSG;
}

/*
 * An enum found, with what is the matter in why; or -errno: refused, with the
 * reason and what to do.
 */
static int
judge(const struct store *s, int fd, char *why, size_t len)
{
	struct plog_io io = { .ctx = &fd, .read = read_at };
	struct plog_super super;
	struct stat st;
	char what[192] = "";
	int rc = fstat(fd, &st) == 0 ? size_get(fd, &st, &io.size) : -errno;

	if (rc == 0 && S_ISBLK(st.st_mode))
		rc = device_large_enough(s, io.size, why, len);
	if (rc != 0)
		return rc;
	rc = plog_super_read(&io, s->size, &super, what, sizeof(what));
	if (rc == 0)
		return judge_super(s, &super, io.size, why, len);
	/* Made for a start that failed: nobody ever wrote to it. */
	if (rc == -EFBIG && super.epoch == 0 && S_ISREG(st.st_mode))
		return FOUND_UNUSED;
	if (rc == -ENODATA || rc == -EBADMSG) {
		if (S_ISBLK(st.st_mode))
			return judge_foreign_device(s, rc, why, len);
		snprintf(why, len, "%s", what);
		return FOUND_UNREADABLE;
	}
	snprintf(why, len, "store %s %s", s->path, what);
	return rc;
}

/* --- opening --- */

static int
open_direct(const struct store *s, int flags)
{
	int fd = open(s->path, O_RDWR | O_DIRECT | O_CLOEXEC | flags);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) == 0 && (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)))
		return fd;
	close(fd);
	return -EBADFD;
}

static void
explain_open(const struct store *s, int rc, char *why, size_t len)
{
	if (rc == -EINVAL)
		snprintf(why, len,
			"store %s: its file system has no direct I/O; put "
			"appliance.state on ext4 or xfs, or make it a link to "
			"a block device",
			s->path);
	else if (rc == -EBADFD || rc == -EISDIR)
		snprintf(why, len,
			"store %s is neither a file nor a block device; move "
			"it away",
			s->path);
	else
		snprintf(why, len, "store %s cannot be opened: %s", s->path,
			strerror(-rc));
}

/* Who holds a lock on the file, by /proc/locks: its pid, or 0. */
static int
holder(const struct store *s)
{
	FILE *f = fopen("/proc/locks", "re");
	char line[256], want[64];
	struct stat st;
	int pid = 0, found = 0;

	if (f == NULL)
		return 0;
	if (stat(s->path, &st) == 0)
		snprintf(want, sizeof(want), " %02x:%02x:%llu ",
			major(st.st_dev), minor(st.st_dev),
			(unsigned long long)st.st_ino);
	else
		snprintf(want, sizeof(want), "none");
	while (found == 0 && fgets(line, sizeof(line), f) != NULL)
		if (strstr(line, want) != NULL &&
			sscanf(line, "%*s FLOCK %*s %*s %d", &pid) == 1)
			found = pid;
	fclose(f);
	return found;
}

static void
explain_in_use(const struct store *s, char *why, size_t len)
{
	char who[32] = "another process";
	int pid = holder(s);

	/* The lock ends with the file's last user, be that the kernel. */
	if (pid > 0 && kill(pid, 0) != 0 && errno == ESRCH) {
		snprintf(why, len,
			"store %s is in use by process %d, which has ended: "
			"its device has not answered a write yet, or another "
			"process has the file from it; wait for that, or take "
			"another appliance.state",
			s->path, pid);
		return;
	}
	if (pid > 0)
		snprintf(who, sizeof(who), "process %d", pid);
	snprintf(why, len,
		"store %s is in use by %s; only one can write it: end that "
		"one, or take another appliance.state",
		s->path, who);
}

/*
 * Open it if nobody else has it: a file by its lock, a device also by the
 * kernel's claim, which whoever has mounted it holds.
 */
static int
open_alone(const struct store *s)
{
	const struct timespec pause = { .tv_nsec = IN_USE_NS };
	struct stat st;
	int claim = stat(s->path, &st) == 0 && S_ISBLK(st.st_mode) ? O_EXCL : 0;
	int fd = -EBUSY;

	for (int i = 0; i < IN_USE_TRIES; i++) {
		fd = open_direct(s, claim);
		if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
			return fd;
		if (fd >= 0)
			close(fd);
		else if (fd != -EBUSY)
			return fd;
		nanosleep(&pause, NULL);
	}
	return -EBUSY;
}

int
store_check(const struct store *s, char *why, size_t len)
{
	int rc, fd = open_alone(s);

	if (fd == -ENOENT)
		return 0;
	if (fd == -EBUSY)
		explain_in_use(s, why, len);
	else if (fd < 0)
		explain_open(s, fd, why, len);
	if (fd < 0)
		return fd;
	rc = judge(s, fd, why, len);
	close(fd);
	if (rc < 0)
		return rc;
	why[0] = '\0'; /* store_open() will help it */
	return 0;
}

/* One that cannot be used goes aside; its blocks may still be good. */
static int
renew(struct store *s, enum found found, char *why, size_t len)
{
	char to[sizeof(s->damaged)], what[192];
	int fd;

	snprintf(what, sizeof(what), "%s", why);
	fd = store_rename(s, to, sizeof(to), why, len);
	if (fd != 0)
		return fd;
	if (found == FOUND_SHORT)
		memcpy(s->damaged, to, sizeof(to));
	fd = store_make(s, why, len);
	if (fd >= 0)
		snprintf(why, len,
			"store %s %s; it is kept as %s, and a new one is made",
			s->path, what, to);
	return fd;
}

static int
blank_format(const struct store *s, int fd, char *why, size_t len)
{
	int rc = store_format(s, fd);

	if (rc != 0)
		snprintf(why, len, "store %s cannot be written: %s", s->path,
			strerror(-rc));
	else
		snprintf(why, len, "store %s: made on the blank device",
			s->path);
	return rc;
}

int
store_open(struct store *s, char *why, size_t len)
{
	int rc, fd = open_direct(s, 0);

	why[0] = '\0';
	if (fd == -ENOENT)
		return store_make(s, why, len);
	if (fd < 0) {
		explain_open(s, fd, why, len);
		return fd;
	}
	rc = judge(s, fd, why, len);
	if (rc == FOUND_BLANK)
		rc = blank_format(s, fd, why, len);
	if (rc == FOUND_GOOD)
		return fd;
	close(fd);
	if (rc == FOUND_UNUSED)
		return unlink(s->path) == 0 ? store_make(s, why, len) : -errno;
	return rc < 0 ? rc : renew(s, (enum found)rc, why, len);
}

/* --- the device --- */

/* What the file in /sys says: a partition's disk has it. */
static int
write_cache(dev_t dev, const char *up, char *buf, size_t len)
{
	char path[96];
	FILE *f;
	int rc;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%squeue/write_cache",
		major(dev), minor(dev), up);
	f = fopen(path, "re");
	if (f == NULL)
		return -errno;
	rc = fgets(buf, (int)len, f) != NULL ? 0 : -EIO;
	fclose(f);
	return rc;
}

/* Who says nothing, such as a file system over several devices, may cache. */
enum grant_flush
store_flush(const struct store *s)
{
	char mode[32] = "";
	struct stat st;
	dev_t dev;

	if (stat(s->path, &st) != 0 && stat(s->dir, &st) != 0)
		return GRANT_FLUSH_DSYNC;
	dev = S_ISBLK(st.st_mode) ? st.st_rdev : st.st_dev;
	if (write_cache(dev, "", mode, sizeof(mode)) != 0 &&
		write_cache(dev, "../", mode, sizeof(mode)) != 0)
		return GRANT_FLUSH_DSYNC;
	return strncmp(mode, "write through", 13) == 0 ? GRANT_FLUSH_NONE
						       : GRANT_FLUSH_DSYNC;
}
