/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the log wants of its store: few calls, so that the log is the same on
 * io_uring (uring.h), on a file that is only read (file.h), and in tests that
 * crash it at any point.
 */
#ifndef CARRYALL_LOG_IO_H
#define CARRYALL_LOG_IO_H

#include <stdint.h>
#include <sys/types.h>

struct plog_done {
	uint32_t tag;
	int32_t res; /* 0: durable, all of it; or -errno */
};

struct plog_io {
	void *ctx;
	uint64_t size; /* bytes that the store has; 0: not known */

	/*
	 * Read up to `len` bytes at `off` into buf (aligned to a block); the
	 * count, less only at the store's end, or -errno. Blocks; only before
	 * the log is started.
	 */
	ssize_t (*read)(void *ctx, uint64_t off, void *buf, size_t len);

	/*
	 * Writes will come from base[0..len), aligned to a block, which stays
	 * as long as the log. Once, when the log is made. 0 or -errno. NULL
	 * where nothing is written.
	 */
	int (*attach)(void *ctx, void *base, size_t len);

	/*
	 * Begin to write buf[0..len) at `off`, whole blocks. Does not block.
	 * buf is not changed until reap() returns `tag`. 0 or -errno: then it
	 * was not begun.
	 */
	int (*write)(void *ctx, uint64_t off, const void *buf, uint32_t len,
		uint32_t tag);

	/*
	 * Hand what was begun to the device, and collect up to `max` writes
	 * that have ended, in any order. Does not block. How many.
	 */
	unsigned int (*reap)(
		void *ctx, struct plog_done *done, unsigned int max);
};

#endif
