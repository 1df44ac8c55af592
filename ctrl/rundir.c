/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/rundir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LISTEN_BACKLOG 16

static int
dir_make(const char *path)
{
	return mkdir(path, 0755) == 0 || errno == EEXIST ? 0 : -errno;
}

/* Take the lock and write our pid into it, for those who come second. */
static int
lock_take(struct rundir *dir, pid_t *holder)
{
	char buf[16] = "";
	ssize_t n;
	int fd = openat(dir->fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0644);

	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		n = read(fd, buf, sizeof(buf) - 1);
		*holder = n > 0 ? atoi(buf) : 0;
		close(fd);
		return -EBUSY;
	}
	n = snprintf(buf, sizeof(buf), "%d\n", getpid());
	if (ftruncate(fd, 0) != 0 || pwrite(fd, buf, (size_t)n, 0) != n) {
		close(fd);
		return -EIO;
	}
	return fd;
}

static int
open_once(struct rundir *dir, pid_t *holder)
{
	struct stat st;
	int rc;

	dir->found = access(dir->path, F_OK) == 0;
	rc = dir_make(RUNDIR_ROOT);
	if (rc == 0)
		rc = dir_make(dir->path);
	if (rc != 0)
		return rc;
	dir->fd = open(dir->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir->fd < 0)
		return -errno;
	dir->lock = lock_take(dir, holder);
	if (dir->lock < 0) {
		rc = dir->lock;
		close(dir->fd);
		return rc;
	}
	if (fstat(dir->lock, &st) == 0 && st.st_nlink > 0)
		return 0;
	rundir_close(dir);
	return -ENOENT;
}

/* Who ends just now may remove any of it between our steps: then again. */
int
rundir_open(struct rundir *dir, const char *name, pid_t *holder)
{
	int rc = -ENOENT;

	*holder = 0;
	snprintf(dir->path, sizeof(dir->path), "%s/%s", RUNDIR_ROOT, name);
	for (int tries = 0; tries < 5; tries++) {
		rc = open_once(dir, holder);
		if (rc != -ENOENT)
			break;
	}
	return rc;
}

void
rundir_close(struct rundir *dir)
{
	close(dir->fd);
	close(dir->lock);
}

void
rundir_remove(struct rundir *dir)
{
	DIR *d = fdopendir(dup(dir->fd));
	struct dirent *e;

	if (d != NULL) {
		rewinddir(d);
		while ((e = readdir(d)) != NULL)
			if (strcmp(e->d_name, "lock") != 0 &&
				(e->d_type == DT_REG || e->d_type == DT_SOCK))
				unlinkat(dir->fd, e->d_name, 0);
		closedir(d);
	}
	/* Last: whoever makes a new one from here on keeps the directory. */
	unlinkat(dir->fd, "lock", 0);
	rmdir(dir->path);
	rmdir(RUNDIR_ROOT);
	rundir_close(dir);
}

const char *
rundir_path(const struct rundir *dir, const char *name, const char *suffix,
	char *buf, size_t len)
{
	snprintf(buf, len, "%s/%s%s%s", dir->path, name,
		*suffix != '\0' ? "." : "", suffix);
	return buf;
}

int
rundir_file(const struct rundir *dir, const char *name, const char *suffix,
	size_t size, bool *fresh)
{
	char path[256];
	struct stat st;
	int fd;

	rundir_path(dir, name, suffix, path, sizeof(path));
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) != 0)
		goto fail;
	*fresh = (size_t)st.st_size != size;
	if (*fresh &&
		(ftruncate(fd, 0) != 0 || ftruncate(fd, (off_t)size) != 0))
		goto fail;
	return fd;
fail:
	close(fd);
	return -EIO;
}

int
rundir_replace(const struct rundir *dir, const char *name, const char *suffix,
	const void *data, size_t len)
{
	char path[256], fresh[264];
	int fd, rc;

	rundir_path(dir, name, suffix, path, sizeof(path));
	snprintf(fresh, sizeof(fresh), "%s.new", path);
	fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (write(fd, data, len) != (ssize_t)len || rename(fresh, path) != 0) {
		rc = errno == 0 ? -ENOSPC : -errno;
		close(fd);
		unlink(fresh);
		return rc;
	}
	close(fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int
address_fill(
	const struct rundir *dir, const char *name, struct sockaddr_un *addr)
{
	size_t n;

	memset(addr, 0, sizeof(*addr));
	addr->sun_family = AF_UNIX;
	n = (size_t)snprintf(addr->sun_path, sizeof(addr->sun_path),
		"%s/%s.sock", dir->path, name);
	return n < sizeof(addr->sun_path) ? 0 : -ENAMETOOLONG;
}

int
rundir_listen(const struct rundir *dir, const char *name, int type)
{
	struct sockaddr_un addr;
	mode_t mask;
	int fd, rc = address_fill(dir, name, &addr);

	if (rc != 0)
		return rc;
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	unlink(addr.sun_path);
	mask = umask(0177);
	rc = bind(fd, (struct sockaddr *)&addr, sizeof(addr));
	umask(mask);
	if (rc != 0 || listen(fd, LISTEN_BACKLOG) != 0) {
		rc = -errno;
		close(fd);
		return rc;
	}
	return fd;
}

int
rundir_connect(const struct rundir *dir, const char *name, int type)
{
	struct sockaddr_un addr;
	int fd, rc = address_fill(dir, name, &addr);

	if (rc != 0)
		return rc;
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0) {
		rc = -errno;
		close(fd);
		return rc;
	}
	return fd;
}

uint64_t
rundir_number(const struct rundir *dir, const char *name, uint64_t missing)
{
	char buf[32] = "", *end;
	uint64_t value;
	int fd = openat(dir->fd, name, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return missing;
	n = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	if (n <= 0)
		return missing;
	value = strtoull(buf, &end, 10);
	return end != buf ? value : missing;
}

int
rundir_number_set(const struct rundir *dir, const char *name, uint64_t value)
{
	char buf[32];
	int n = snprintf(buf, sizeof(buf), "%llu\n", (unsigned long long)value);
	int fd = rundir_replace(dir, name, "", buf, (size_t)n);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

int
rundir_only(char *name, size_t len)
{
	DIR *d = opendir(RUNDIR_ROOT);
	struct dirent *e;
	int n = 0;

	if (d == NULL)
		return -ENOENT;
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(name, len, "%s", e->d_name);
		n++;
	}
	closedir(d);
	return n == 1 ? 0 : n == 0 ? -ENOENT : -ENOTUNIQ;
}
