/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * faultfs: a file system that fails when it is told to.
 *
 *   faultfs DIRECTORY MOUNTPOINT
 *
 * Passes everything through to DIRECTORY, without a cache, until it ends by
 * SIGTERM or is unmounted. Words written to MOUNTPOINT/.faults, one line at a
 * time, switch what goes wrong from then on:
 *
 *   ok              nothing, and what hangs is let go
 *   write ERROR     writes answer with it: EIO, ENOSPC
 *   short           writes take half
 *   hang            writes are answered when that ends, and not before
 *   read OFFSET     reads of bytes from there on answer EIO
 *   gone            every call answers ENODEV
 *
 * Reading it tells the fault, and how many calls hang. What a write has taken
 * is on stable storage when it is answered.
 */
#define FUSE_USE_VERSION 312
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#define CONTROL   "/.faults"
#define MAX_WRITE (1u << 20)
#define NO_FD     UINT64_MAX

enum fault { OK, WRITE_ERROR, WRITE_SHORT, HANG, READ_ERROR, GONE };

static const char *root; /* DIRECTORY, without a slash at its end */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	enum fault kind;
	int error;
	off_t from; /* of READ_ERROR */
	unsigned int hanging;
} fault = { .lock = PTHREAD_MUTEX_INITIALIZER,
	.changed = PTHREAD_COND_INITIALIZER };

/* --- faults --- */

static int
is_control(const char *path)
{
	return path != NULL && strcmp(path, CONTROL) == 0;
}

static int
gone(void)
{
	int is;

	pthread_mutex_lock(&fault.lock);
	is = fault.kind == GONE;
	pthread_mutex_unlock(&fault.lock);
	return is ? -ENODEV : 0;
}

/* Wait until writes may go on. How many bytes of `len` to take, or -errno. */
static ssize_t
write_admit(size_t len)
{
	ssize_t n = (ssize_t)len;

	pthread_mutex_lock(&fault.lock);
	fault.hanging++;
	while (fault.kind == HANG)
		pthread_cond_wait(&fault.changed, &fault.lock);
	fault.hanging--;
	if (fault.kind == WRITE_ERROR)
		n = -fault.error;
	else if (fault.kind == WRITE_SHORT)
		n /= 2;
	else if (fault.kind == GONE)
		n = -ENODEV;
	pthread_mutex_unlock(&fault.lock);
	return n;
}

/* The same for reads; they do not hang. */
static ssize_t
read_admit(size_t len, off_t off)
{
	ssize_t n = (ssize_t)len;

	pthread_mutex_lock(&fault.lock);
	if (fault.kind == GONE)
		n = -ENODEV;
	else if (fault.kind == READ_ERROR && off >= fault.from)
		n = -EIO;
	else if (fault.kind == READ_ERROR && off + n > fault.from)
		n = (ssize_t)(fault.from - off);
	pthread_mutex_unlock(&fault.lock);
	return n;
}

static int
error_of(const char *name)
{
	if (strcmp(name, "EIO") == 0)
		return EIO;
	return strcmp(name, "ENOSPC") == 0 ? ENOSPC : 0;
}

/* A line of words: 0, or -EINVAL and nothing changes. */
static int
fault_set(const char *line)
{
	char word[16] = "", arg[16] = "";
	enum fault kind = OK;
	int error = 0;

	if (sscanf(line, "%15s %15s", word, arg) < 1)
		return -EINVAL;
	if (strcmp(word, "write") == 0 && (error = error_of(arg)) != 0)
		kind = WRITE_ERROR;
	else if (strcmp(word, "short") == 0)
		kind = WRITE_SHORT;
	else if (strcmp(word, "hang") == 0)
		kind = HANG;
	else if (strcmp(word, "read") == 0 && arg[0] != '\0')
		kind = READ_ERROR;
	else if (strcmp(word, "gone") == 0)
		kind = GONE;
	else if (strcmp(word, "ok") != 0)
		return -EINVAL;
	pthread_mutex_lock(&fault.lock);
	fault.kind = kind;
	fault.error = error;
	fault.from = (off_t)strtoll(arg, NULL, 10);
	pthread_cond_broadcast(&fault.changed);
	pthread_mutex_unlock(&fault.lock);
	return 0;
}

static int
fault_tell(char *buf, size_t size, off_t off)
{
	static const char *const names[] = { "ok", "write", "short", "hang",
		"read", "gone" };
	char text[64];
	int n;

	pthread_mutex_lock(&fault.lock);
	n = snprintf(text, sizeof(text), "%s, %u hang\n", names[fault.kind],
		fault.hanging);
	pthread_mutex_unlock(&fault.lock);
	if (off >= n)
		return 0;
	n -= (int)off;
	if ((size_t)n > size)
		n = (int)size;
	memcpy(buf, text + off, (size_t)n);
	return n;
}

/* --- calls with a path --- */

/* Where `path` is in DIRECTORY: 0, or -errno of the fault. */
static int
below(const char *path, char *to)
{
	int rc = gone();

	if (rc == 0 && snprintf(to, PATH_MAX, "%s%s", root, path) >= PATH_MAX)
		rc = -ENAMETOOLONG;
	return rc;
}

/* 0, or -errno of the call that has just ended with `rc`. */
static int
result(int rc)
{
	return rc < 0 ? -errno : 0;
}

static int
fs_getattr(const char *path, struct stat *st, struct fuse_file_info *fi)
{
	char at[PATH_MAX];
	int rc;

	if (is_control(path)) {
		*st = (struct stat){ .st_mode = S_IFREG | 0600, .st_nlink = 1 };
		return 0;
	}
	if (fi != NULL)
		return gone() != 0 ? -ENODEV : result(fstat((int)fi->fh, st));
	rc = below(path, at);
	/* The way to CONTROL stays open. */
	if (strcmp(path, "/") == 0)
		return result(lstat(root, st));
	return rc != 0 ? rc : result(lstat(at, st));
}

static int
fs_readdir(const char *path, void *buf, fuse_fill_dir_t fill, off_t off,
	struct fuse_file_info *fi, enum fuse_readdir_flags flags)
{
	char at[PATH_MAX];
	int rc = below(path, at);
	struct dirent *e;
	DIR *d;

	(void)off;
	(void)fi;
	(void)flags;
	if (rc != 0)
		return rc;
	d = opendir(at);
	if (d == NULL)
		return -errno;
	while ((e = readdir(d)) != NULL)
		fill(buf, e->d_name, NULL, 0, (enum fuse_fill_dir_flags)0);
	closedir(d);
	return 0;
}

static int
fs_mkdir(const char *path, mode_t mode)
{
	char at[PATH_MAX];
	int rc = below(path, at);

	return rc != 0 ? rc : result(mkdir(at, mode));
}

static int
fs_rmdir(const char *path)
{
	char at[PATH_MAX];
	int rc = below(path, at);

	return rc != 0 ? rc : result(rmdir(at));
}

static int
fs_unlink(const char *path)
{
	char at[PATH_MAX];
	int rc = below(path, at);

	return rc != 0 ? rc : result(unlink(at));
}

static int
fs_rename(const char *from, const char *to, unsigned int flags)
{
	char old[PATH_MAX], new[PATH_MAX];
	int rc = below(from, old);

	if (rc == 0)
		rc = below(to, new);
	if (rc != 0)
		return rc;
	return result(renameat2(AT_FDCWD, old, AT_FDCWD, new, flags));
}

static int
fs_chmod(const char *path, mode_t mode, struct fuse_file_info *fi)
{
	char at[PATH_MAX];
	int rc = below(path, at);

	(void)fi;
	return rc != 0 ? rc : result(chmod(at, mode));
}

static int
fs_truncate(const char *path, off_t size, struct fuse_file_info *fi)
{
	char at[PATH_MAX];
	int rc;

	if (is_control(path))
		return 0;
	if (fi != NULL)
		return gone() != 0 ? -ENODEV
				   : result(ftruncate((int)fi->fh, size));
	rc = below(path, at);
	return rc != 0 ? rc : result(truncate(at, size));
}

static int
fs_statfs(const char *path, struct statvfs *st)
{
	char at[PATH_MAX];
	int rc = below(path, at);

	return rc != 0 ? rc : result(statvfs(at, st));
}

/* --- calls with an open file --- */

/* Direct I/O is what the caller asks of this file system, not of DIRECTORY. */
static int
file_open(const char *path, int flags, mode_t mode, struct fuse_file_info *fi)
{
	char at[PATH_MAX];
	int fd, rc;

	fi->fh = NO_FD;
	if (is_control(path))
		return 0;
	rc = below(path, at);
	if (rc != 0)
		return rc;
	fd = open(at, (flags & ~O_DIRECT) | O_CLOEXEC, mode);
	if (fd < 0)
		return -errno;
	fi->fh = (uint64_t)fd;
	return 0;
}

static int
fs_open(const char *path, struct fuse_file_info *fi)
{
	return file_open(path, fi->flags, 0, fi);
}

static int
fs_create(const char *path, mode_t mode, struct fuse_file_info *fi)
{
	return file_open(path, fi->flags | O_CREAT, mode, fi);
}

static int
fs_release(const char *path, struct fuse_file_info *fi)
{
	(void)path;
	return fi->fh == NO_FD ? 0 : result(close((int)fi->fh));
}

static int
fs_read(const char *path, char *buf, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	ssize_t n;

	(void)path;
	if (fi->fh == NO_FD)
		return fault_tell(buf, size, off);
	n = read_admit(size, off);
	if (n > 0)
		n = pread((int)fi->fh, buf, (size_t)n, off);
	else
		return (int)n;
	return n < 0 ? -errno : (int)n;
}

static int
control_write(const char *buf, size_t size)
{
	char line[64];
	int rc;

	if (size >= sizeof(line))
		return -EINVAL;
	memcpy(line, buf, size);
	line[size] = '\0';
	rc = fault_set(line);
	return rc == 0 ? (int)size : rc;
}

static int
fs_write(const char *path, const char *buf, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	struct iovec iov = { (void *)(uintptr_t)buf, 0 };
	ssize_t n;

	(void)path;
	if (fi->fh == NO_FD)
		return control_write(buf, size);
	n = write_admit(size);
	if (n <= 0)
		return (int)n;
	iov.iov_len = (size_t)n;
	n = pwritev2((int)fi->fh, &iov, 1, off, RWF_DSYNC);
	return n < 0 ? -errno : (int)n;
}

static int
fs_fsync(const char *path, int data_only, struct fuse_file_info *fi)
{
	ssize_t rc = write_admit(0);

	(void)path;
	(void)data_only;
	return rc < 0 ? (int)rc : result(fdatasync((int)fi->fh));
}

static int
fs_fallocate(const char *path, int mode, off_t off, off_t len,
	struct fuse_file_info *fi)
{
	ssize_t rc = write_admit(0);

	(void)path;
	return rc < 0 ? (int)rc
		      : result(fallocate((int)fi->fh, mode, off, len));
}

/* --- the file system --- */

static void *
fs_init(struct fuse_conn_info *conn, struct fuse_config *config)
{
	conn->max_write = MAX_WRITE;
	config->direct_io = 1;
	config->attr_timeout = 0;
	config->entry_timeout = 0;
	config->negative_timeout = 0;
	return NULL;
}

static const struct fuse_operations operations = {
	.init = fs_init,
	.getattr = fs_getattr,
	.readdir = fs_readdir,
	.mkdir = fs_mkdir,
	.rmdir = fs_rmdir,
	.unlink = fs_unlink,
	.rename = fs_rename,
	.chmod = fs_chmod,
	.truncate = fs_truncate,
	.statfs = fs_statfs,
	.open = fs_open,
	.create = fs_create,
	.release = fs_release,
	.read = fs_read,
	.write = fs_write,
	.fsync = fs_fsync,
	.fallocate = fs_fallocate,
};

int
main(int argc, char **argv)
{
	char name[] = "faultfs", front[] = "-f", option[] = "-o";
	/* Threads for all that may hang at once, and for the word to go on. */
	char options[] = "allow_other,default_permissions,max_threads=64";

	if (argc != 3) {
		fprintf(stderr, "usage: faultfs DIRECTORY MOUNTPOINT\n");
		return 2;
	}
	root = realpath(argv[1], NULL);
	if (root == NULL) {
		perror(argv[1]);
		return 1;
	}
	umask(0);
	return fuse_main(5,
		((char *[]){ name, front, option, options, argv[2], NULL }),
		&operations, NULL);
}
