/* SPDX-License-Identifier: BSD-3-Clause */
/* A store that is only read: a file or block device, also of a live log. */
#ifndef CARRYALL_LOG_FILE_H
#define CARRYALL_LOG_FILE_H

#include <stdint.h>

#include "dataplane/log/io.h"

struct plog_file {
	int fd;
	uint64_t size;     /* bytes, when it was opened */
	uint64_t dev, ino; /* which one it is, wherever it is moved */
};

/*
 * Open the file or block device `path` for reading. It is not locked: the log
 * may be written meanwhile. 0 or -errno; -EISDIR, -ENOTSUP for what is
 * neither.
 */
int plog_file_open(struct plog_file *file, const char *path);

/* Read as plog_io.read() does, from any descriptor. */
ssize_t plog_file_read(int fd, uint64_t off, void *buf, size_t len);

/* What plog_super_read() and plog_scan() want; good as long as `file`. */
struct plog_io plog_file_io(struct plog_file *file);

void plog_file_close(struct plog_file *file);

#endif
