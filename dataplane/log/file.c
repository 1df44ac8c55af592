/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/log/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

ssize_t
plog_file_read(int fd, uint64_t off, void *buf, size_t len)
{
	size_t have = 0;

	while (have < len) {
		ssize_t n = pread(fd, (uint8_t *)buf + have, len - have,
			(off_t)(off + have));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		have += (size_t)n;
	}
	return (ssize_t)have;
}

static ssize_t
file_read(void *ctx, uint64_t off, void *buf, size_t len)
{
	const struct plog_file *file = ctx;

	return plog_file_read(file->fd, off, buf, len);
}

static int
file_measure(struct plog_file *file)
{
	struct stat st;
	off_t size;

	if (fstat(file->fd, &st) != 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return -ENOTSUP;
	size = lseek(file->fd, 0, SEEK_END);
	if (size < 0)
		return -errno;
	file->size = (uint64_t)size;
	file->dev = st.st_dev;
	file->ino = st.st_ino;
	return 0;
}

int
plog_file_open(struct plog_file *file, const char *path)
{
	int rc;

	/* Nobody waits for the far end of a FIFO. */
	file->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (file->fd < 0)
		return -errno;
	rc = file_measure(file);
	if (rc != 0) {
		close(file->fd);
		return rc;
	}
	/*
	 * The log writes past the page cache: what was read ahead would only
	 * have to be thrown away again.
	 */
	posix_fadvise(file->fd, 0, 0, POSIX_FADV_RANDOM);
	return 0;
}

struct plog_io
plog_file_io(struct plog_file *file)
{
	return (struct plog_io){
		.ctx = file, .size = file->size, .read = file_read
	};
}

void
plog_file_close(struct plog_file *file)
{
	close(file->fd);
	file->fd = -1;
}
