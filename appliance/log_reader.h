/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading a store that somebody may be writing: no lock, nothing is asked of
 * the writer.
 *
 * The log's chain is read block by block from the superblock's tail on. While
 * that goes on the writer appends, moves the tail, and writes over what is
 * before it. So where the chain ends, three things may be the case: it is the
 * end; the next block has come meanwhile; or the tail has passed the reader,
 * which then has missed some and goes on from the tail. Only the first may be
 * called an end, and only then is damage damage.
 */
#ifndef CARRYALL_LOG_READER_H
#define CARRYALL_LOG_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/log/file.h"
#include "dataplane/log/read.h"

/* A block, as aligned as its fields want it. */
union log_block {
	struct plog_head head;
	uint8_t bytes[PLOG_BLOCK];
};

struct log_reader {
	const char *path;
	struct plog_file file;
	struct plog_io io;
	struct plog_super super;
	uint64_t next;             /* block to be read next */
	uint64_t next_lsn;         /* that it begins with; 0: any */
	uint32_t epoch;            /* that it has at the least */
	struct plog_report report; /* of the last log_reader_read() */
};

/*
 * Open the store at `path`, to be read from its tail on. 0; the error of
 * plog_file_open(), or of plog_super_read(), with the reason in why[0..len).
 */
int log_reader_open(
	struct log_reader *r, const char *path, char *why, size_t len);

void log_reader_close(struct log_reader *r);

/*
 * Call `fn` for every record from where the last call ended. With `all`, look
 * through the whole store for what is behind the end. 0 with r->report
 * filled, -ENOMEM, or what `fn` returned.
 */
int log_reader_read(
	struct log_reader *r, bool all, plog_record_fn fn, void *ctx);

/* From the tail on once more, by the superblock as it is now. */
void log_reader_rewind(struct log_reader *r);

/* Is the block there that follows what was read? */
bool log_reader_ready(const struct log_reader *r);

/*
 * Has the tail passed the reader? Then it goes on from the tail, and what was
 * between is missed.
 */
bool log_reader_lapped(struct log_reader *r);

/*
 * Was something durable lost behind what was read? What the report says,
 * unless the log has moved on since.
 */
bool log_reader_damaged(const struct log_reader *r);

/* Is the file at the path another one by now? */
bool log_reader_replaced(const struct log_reader *r);

#endif
