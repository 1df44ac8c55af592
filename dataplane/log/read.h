/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading a store: at recovery, and for `carryall log`.
 *
 * The log is the chain of blocks tail, tail + 1, ... Each must be a good
 * block (plog_block_check), have the number it should have, begin with the
 * LSN that follows the last one's, and an epoch no lower. It ends at the
 * first block for which this does not hold.
 *
 * Up to `PLOG_WINDOW` blocks may be in flight at once and reach the disk in
 * any order, so behind the end there may be good blocks that nobody was told
 * of; they are not part of the log. But each block says how many before it
 * were not durable yet when it was sealed. One that knew the block at the
 * end to be durable says that it was lost since: the store is damaged.
 */
#ifndef CARRYALL_LOG_READ_H
#define CARRYALL_LOG_READ_H

#include <stddef.h>
#include <stdint.h>

#include "dataplane/log/format.h"
#include "dataplane/log/io.h"

/* Most blocks that are in flight at once. */
#define PLOG_WINDOW 256u

struct plog_record {
	uint64_t lsn;
	uint16_t kind;
	uint16_t len;
	const void *data;              /* aligned to 4 bytes */
	const struct plog_head *block; /* that it is in */
};

/* Called for each record in order; other than 0 ends the reading with it. */
typedef int (*plog_record_fn)(void *ctx, const struct plog_record *r);

enum plog_end {
	PLOG_END_CLEAN,   /* nothing behind it but former laps */
	PLOG_END_TORN,    /* unfinished writes behind it: a crash */
	PLOG_END_DAMAGED, /* durable blocks are behind it, or cannot be read */
};

/* What was read. */
struct plog_report {
	enum plog_end end;
	uint64_t tail;     /* first block */
	uint64_t next;     /* block behind the last good one */
	uint64_t next_lsn; /* LSN behind the last good one's; 0: none read */
	uint64_t records;
	uint32_t epoch; /* highest seen */
	struct plog_head last;
	char why[160]; /* of END_DAMAGED, END_TORN: where and what */
};

/*
 * Read the superblock and its copy; the newer good one into *super. `size`
 * is what the store should have, or 0: any. 0; -EBADMSG when neither is good;
 * -EPROTONOSUPPORT for another version; -ENODATA when both are all zeros;
 * -EFBIG when the geometry is not that of `size`; -EIO. The reason with what
 * to do about it in why[0..len).
 */
int plog_super_read(const struct plog_io *io, uint64_t size,
	struct plog_super *super, char *why, size_t len);

/*
 * Read the chain from `tail` on and call `fn`, which may be NULL, for each
 * record. With `all`, the whole store is looked through for durable blocks
 * behind the end; else only some of it. 0 with *report filled, -ENOMEM, or
 * what `fn` returned. Memory: 1 MiB while it runs.
 */
int plog_scan(const struct plog_io *io, const struct plog_super *super,
	uint64_t tail, int all, plog_record_fn fn, void *ctx,
	struct plog_report *report);

#endif
