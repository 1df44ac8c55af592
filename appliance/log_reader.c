/* SPDX-License-Identifier: BSD-3-Clause */
#include "appliance/log_reader.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static void
open_explain(int rc, char *why, size_t len)
{
	snprintf(why, len, "%s",
		rc == -ENOTSUP ? "is neither a file nor a block device"
			       : strerror(-rc));
}

int
log_reader_open(struct log_reader *r, const char *path, char *why, size_t len)
{
	int rc;

	*r = (struct log_reader){ .path = path };
	rc = plog_file_open(&r->file, path);
	if (rc != 0) {
		open_explain(rc, why, len);
		return rc;
	}
	r->io = plog_file_io(&r->file);
	rc = plog_super_read(&r->io, 0, &r->super, why, len);
	if (rc != 0) {
		plog_file_close(&r->file);
		return rc;
	}
	r->next = r->super.tail;
	return 0;
}

void
log_reader_close(struct log_reader *r)
{
	plog_file_close(&r->file);
}

int
log_reader_read(struct log_reader *r, bool all, plog_record_fn fn, void *ctx)
{
	int rc;

	rc = plog_scan(&r->io, &r->super, r->next, all, fn, ctx, &r->report);
	if (r->report.next == r->next)
		return rc;
	r->next = r->report.next;
	r->next_lsn = r->report.next_lsn;
	r->epoch = r->report.epoch;
	return rc;
}

/* Block `seq`, if it is there and good. */
static bool
block_get(const struct log_reader *r, uint64_t seq, union log_block *b)
{
	uint64_t off = plog_offset(r->super.slots, seq);

	return r->io.read(r->io.ctx, off, b, sizeof(*b)) == sizeof(*b) &&
	       plog_block_check(b, r->super.store) && b->head.seq == seq;
}

bool
log_reader_ready(const struct log_reader *r)
{
	union log_block b;

	return block_get(r, r->next, &b) && b.head.epoch >= r->epoch &&
	       (r->next_lsn == 0 || b.head.lsn == r->next_lsn);
}

/* The superblock as it is now; false if that cannot be told. */
static bool
super_now(const struct log_reader *r, struct plog_super *now)
{
	char why[160];

	return plog_super_read(&r->io, 0, now, why, sizeof(why)) == 0 &&
	       now->store == r->super.store;
}

bool
log_reader_lapped(struct log_reader *r)
{
	struct plog_super now;

	if (!super_now(r, &now))
		return false;
	r->super = now;
	if (now.tail <= r->next)
		return false;
	r->next = now.tail;
	r->next_lsn = 0;
	return true;
}

void
log_reader_rewind(struct log_reader *r)
{
	struct plog_super now;

	if (super_now(r, &now))
		r->super = now;
	r->next = r->super.tail;
	r->next_lsn = 0;
	r->epoch = 0;
}

/*
 * The order counts: while the tail is not past the block, nobody writes over
 * it. If it was not there, and the tail has not passed it later on, then it
 * was not there.
 */
bool
log_reader_damaged(const struct log_reader *r)
{
	struct plog_super now;

	if (r->report.end != PLOG_END_DAMAGED || log_reader_ready(r))
		return false;
	return !super_now(r, &now) || now.tail <= r->next;
}

bool
log_reader_replaced(const struct log_reader *r)
{
	struct stat st;

	return stat(r->path, &st) == 0 &&
	       (st.st_dev != r->file.dev || st.st_ino != r->file.ino);
}
