/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/log/read.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- superblocks --- */

/* Read one block; bytes that the store does not have are zeros. */
static int
block_read(const struct plog_io *io, uint64_t off, void *block)
{
	ssize_t n = io->read(io->ctx, off, block, PLOG_BLOCK);

	if (n < 0)
		return (int)n;
	memset((uint8_t *)block + n, 0, PLOG_BLOCK - (size_t)n);
	return 0;
}

static int
is_zero(const uint8_t *block)
{
	for (size_t i = 0; i < PLOG_BLOCK; i++)
		if (block[i] != 0)
			return 0;
	return 1;
}

/* One superblock: 0, or why not as of plog_super_read(). */
static int
super_at(const struct plog_io *io, uint64_t off, void *block,
	struct plog_super *super)
{
	int rc = block_read(io, off, block);

	if (rc != 0)
		return -EIO;
	if (is_zero(block))
		return -ENODATA;
	rc = plog_super_check(block);
	if (rc == 0)
		memcpy(super, block, sizeof(*super));
	return rc;
}

/* Where the copy must be, by the first one or by the store's size. */
static uint64_t
copy_offset(const struct plog_io *io, uint64_t size, int rc,
	const struct plog_super *first)
{
	if (rc == 0)
		return plog_copy_offset(first->slots);
	if (size == 0)
		size = io->size;
	return size < PLOG_SIZE_MIN ? 0 : (size & ~4095ull) - PLOG_BLOCK;
}

static int
super_pick(const struct plog_io *io, uint64_t size, void *block,
	struct plog_super *super)
{
	struct plog_super copy = { 0 };
	int rc = super_at(io, 0, block, super), rc_copy = -ENODATA;
	uint64_t off = copy_offset(io, size, rc, super);

	if (off != 0)
		rc_copy = super_at(io, off, block, &copy);
	if (rc_copy == 0 && plog_copy_offset(copy.slots) != off)
		rc_copy = -EBADMSG;
	if (rc_copy == 0 && (rc != 0 || copy.generation > super->generation)) {
		*super = copy;
		return 0;
	}
	/* Of two faults the one that says more. */
	if (rc == -ENODATA && rc_copy != 0)
		return rc_copy == -ENODATA ? rc : -EBADMSG;
	return rc;
}

static const char *
super_why(int rc)
{
	switch (rc) {
	case -ENODATA:
		return "is empty: not a store";
	case -EPROTONOSUPPORT:
		return "is of another version of the log; use the version "
		       "that made it, or move it away";
	case -EIO:
		return "cannot be read: input/output error";
	default:
		return "has no good superblock: not a store, or damaged";
	}
}

/* As the config has it. */
static const char *
size_text(uint64_t bytes, char text[24])
{
	if (bytes % (1 << 20) == 0)
		snprintf(text, 24, "%" PRIu64 "M", bytes >> 20);
	else
		snprintf(text, 24, "%" PRIu64 "K", bytes >> 10);
	return text;
}

int
plog_super_read(const struct plog_io *io, uint64_t size,
	struct plog_super *super, char *why, size_t len)
{
	char have[24], want[24];
	void *block = aligned_alloc(PLOG_BLOCK, PLOG_BLOCK);
	int rc;

	if (block == NULL) {
		snprintf(why, len, "no memory");
		return -ENOMEM;
	}
	rc = super_pick(io, size, block, super);
	free(block);
	if (rc != 0) {
		snprintf(why, len, "%s", super_why(rc));
		return rc;
	}
	if (size == 0 || plog_store_bytes(super->slots) == size)
		return 0;
	snprintf(why, len,
		"is of %s, not %s; set log.size = \"%s\", or move it away",
		size_text(plog_store_bytes(super->slots), have),
		size_text(size, want), have);
	return -EFBIG;
}

/* --- the chain --- */

/* A look through the store, some blocks at a time. */
struct reader {
	const struct plog_io *io;
	const struct plog_super *super;
	uint8_t *buf; /* of `room` blocks */
	uint64_t room;
	uint64_t first, n; /* blocks that are in it */
};

/* Fill the buffer from `seq` on, up to the ring's end: how many. */
static int64_t
reader_fill(struct reader *r, uint64_t seq, uint64_t most)
{
	uint64_t slot = seq % r->super->slots;
	uint64_t n = r->super->slots - slot;
	ssize_t got;

	n = n < most ? n : most;
	n = n < r->room ? n : r->room;
	r->n = 0;
	got = r->io->read(r->io->ctx, plog_offset(r->super->slots, seq), r->buf,
		(size_t)n * PLOG_BLOCK);
	if (got < 0)
		return got;
	r->first = seq;
	r->n = n;
	/* What a store that was cut short has no more is no block. */
	memset(r->buf + got, 0, (size_t)n * PLOG_BLOCK - (size_t)got);
	return (int64_t)n;
}

/*
 * Block `seq`, whatever is there, or NULL if it cannot be read. When many
 * cannot be read at once, it may be another of them that is bad.
 */
static const struct plog_head *
reader_block(struct reader *r, uint64_t seq, uint64_t most)
{
	if (seq < r->first || seq >= r->first + r->n) {
		int64_t n = reader_fill(r, seq, most);

		if (n < 0 && most > 1)
			n = reader_fill(r, seq, 1);
		if (n <= 0)
			return NULL;
	}
	return (const void *)(r->buf + (seq - r->first) * PLOG_BLOCK);
}

static int
is_next(const struct reader *r, const struct plog_head *h,
	const struct plog_report *report)
{
	if (h->seq != report->next || h->epoch < report->epoch)
		return 0;
	if (report->next_lsn != 0 && h->lsn != report->next_lsn)
		return 0;
	return h->lsn != 0 && plog_block_check(h, r->super->store);
}

static int
records_each(const struct plog_head *h, plog_record_fn fn, void *ctx)
{
	const uint8_t *at = (const uint8_t *)(h + 1);

	for (uint32_t i = 0; i < h->records; i++) {
		const struct plog_record_head *head = (const void *)at;
		struct plog_record r = { .lsn = h->lsn + i,
			.kind = head->kind,
			.len = head->len,
			.data = head + 1,
			.block = h };
		int rc = fn(ctx, &r);

		if (rc != 0)
			return rc;
		at += plog_record_bytes(head->len);
	}
	return 0;
}

/* Follow the chain; where it ends is in the report. */
static int
chain_follow(struct reader *r, plog_record_fn fn, void *ctx,
	struct plog_report *report)
{
	const struct plog_head *h;
	int rc;

	for (uint64_t n = 0; n < r->super->slots; n++) {
		h = reader_block(r, report->next, PLOG_WINDOW);
		if (h == NULL) {
			report->end = PLOG_END_DAMAGED;
			snprintf(report->why, sizeof(report->why),
				"block %" PRIu64 " cannot be read",
				report->next);
			return 0;
		}
		if (!is_next(r, h, report))
			return 0;
		rc = fn == NULL ? 0 : records_each(h, fn, ctx);
		if (rc != 0)
			return rc;
		report->last = *h;
		report->records += h->records;
		report->epoch = h->epoch;
		report->next_lsn = h->lsn + h->records;
		report->next++;
	}
	return 0;
}

/* --- what is behind the end --- */

/* Block `seq`, behind the end: what does it say of what is missing? */
static enum plog_end
look_behind(struct reader *r, uint64_t seq, uint64_t most,
	struct plog_report *report)
{
	const struct plog_head *h = reader_block(r, seq, most);

	if (h == NULL || h->seq != seq || h->epoch < report->epoch ||
		!plog_block_check(h, r->super->store))
		return PLOG_END_CLEAN;
	if (h->seq - h->behind <= report->next)
		return PLOG_END_TORN;
	snprintf(report->why, sizeof(report->why),
		"block %" PRIu64 " is not good, but block %" PRIu64
		" was written when it was durable",
		report->next, seq);
	return PLOG_END_DAMAGED;
}

static void
end_note(struct plog_report *report, enum plog_end end)
{
	if (end == PLOG_END_TORN && report->end == PLOG_END_CLEAN)
		snprintf(report->why, sizeof(report->why),
			"block %" PRIu64 " was being written", report->next);
	if (end > report->end)
		report->end = end;
}

/*
 * A hole of k blocks shows in what is within 2k behind it; so all blocks that
 * can have been in flight, and then ever wider steps, see any that is no
 * larger than half of what was written behind it.
 */
static void
end_classify(struct reader *r, int all, struct plog_report *report)
{
	uint64_t slots = r->super->slots, k = 0;

	/* A superblock may promise more than there is to look through. */
	if (all && r->io->size != 0 && slots > r->io->size / PLOG_BLOCK)
		slots = r->io->size / PLOG_BLOCK;
	while (k < slots && report->end != PLOG_END_DAMAGED) {
		int near = all || k < 2 * PLOG_WINDOW;

		end_note(report, look_behind(r, report->next + k,
					 near ? PLOG_WINDOW : 1, report));
		k += near ? 1 : k;
	}
}

static void
size_check(const struct plog_io *io, const struct plog_super *super,
	struct plog_report *report)
{
	if (io->size == 0 || io->size >= plog_store_bytes(super->slots))
		return;
	report->end = PLOG_END_DAMAGED;
	snprintf(report->why, sizeof(report->why),
		"it was cut short: %" PRIu64 " of %" PRIu64 " bytes are there",
		io->size, plog_store_bytes(super->slots));
}

int
plog_scan(const struct plog_io *io, const struct plog_super *super,
	uint64_t tail, int all, plog_record_fn fn, void *ctx,
	struct plog_report *report)
{
	struct reader r = { .io = io, .super = super };
	int rc;

	*report = (struct plog_report){ .tail = tail, .next = tail };
	r.room = super->slots < PLOG_WINDOW ? super->slots : PLOG_WINDOW;
	r.buf = aligned_alloc(PLOG_BLOCK, (size_t)r.room * PLOG_BLOCK);
	if (r.buf == NULL)
		return -ENOMEM;
	rc = chain_follow(&r, fn, ctx, report);
	if (rc == 0 && report->end != PLOG_END_DAMAGED)
		end_classify(&r, all, report);
	if (rc == 0 && report->end != PLOG_END_DAMAGED)
		size_check(io, super, report);
	free(r.buf);
	return rc;
}
