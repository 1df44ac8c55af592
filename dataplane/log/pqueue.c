/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The queue's state is a function of its records in order: an item is put
 * behind the others, a pop takes away all up to an LSN. Of items and pops
 * before the tail nothing is needed, if the tail is at the block of the
 * oldest item: a pop that matters is behind its item.
 *
 * The tail must never be further than that on disk, so it follows a pop only
 * when the pop is durable:
 *
 *   pop        remember its LSN and, as `keep`, the block of the item that
 *              is the oldest from then on, or the pop's own if there is none
 *   poll       when that LSN is durable, nothing before `keep` is needed
 *
 * Only one such pair is remembered at a time; the pops that come meanwhile
 * are covered by the next one. As `keep` is not behind the pop's block, the
 * tail is always at a block that is durable, so LSNs go on where they were.
 *
 * Memory is a ring of bytes; an item lies in one piece. Where it does not fit
 * before the ring's end it begins at 0, and `wrap` is where the reader turns
 * round. Two items' room beyond what is promised makes up for what is lost
 * there, so an item that is within the promise always finds its place:
 *
 *     0         head            tail            wrap    size
 *     |#########|...............|###############|.......|
 */
#include "dataplane/log/pqueue.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct item {
	uint64_t lsn;
	uint64_t block; /* that its record is in */
	uint32_t len;
	uint32_t pad;
	uint8_t data[];
};

_Static_assert(sizeof(struct item) == PQUEUE_ITEM_BYTES(0), "as promised");

struct pqueue {
	struct plog *log;
	uint64_t items;

	/* memory */
	uint8_t *ring;
	size_t size, promised, used; /* `used` of what is promised */
	size_t head, tail, wrap;

	/* the latest pop, and the one that is waited for; LSN 0: none */
	uint64_t pop_lsn, pop_block;
	uint64_t wait_lsn, keep;
	uint64_t trim; /* nothing before this block is needed */
};

/* --- memory --- */

static struct item *
item_at(const struct pqueue *q, size_t at)
{
	return (struct item *)(void *)(q->ring + at);
}

static struct item *
item_front(const struct pqueue *q)
{
	return q->items > 0 ? item_at(q, q->tail) : NULL;
}

/* An item of `len` bytes behind the others, or NULL: beyond the promise. */
static struct item *
item_push(struct pqueue *q, uint32_t len)
{
	size_t bytes = PQUEUE_ITEM_BYTES(len);
	struct item *item;

	if (q->used + bytes > q->promised)
		return NULL;
	if (q->head >= q->tail && q->size - q->head < bytes) {
		q->wrap = q->head;
		q->head = 0;
	}
	item = item_at(q, q->head);
	item->len = len;
	q->head += bytes;
	q->used += bytes;
	q->items++;
	return item;
}

static void
item_drop(struct pqueue *q)
{
	size_t bytes = PQUEUE_ITEM_BYTES(item_at(q, q->tail)->len);

	q->used -= bytes;
	q->tail += bytes;
	q->items--;
	if (q->tail == q->wrap) {
		q->tail = 0;
		q->wrap = q->size;
	}
	if (q->items == 0) {
		q->head = q->tail = 0;
		q->wrap = q->size;
	}
}

/* --- recovery --- */

static int
replay_item(struct pqueue *q, const struct plog_record *r)
{
	struct item *item = item_push(q, r->len);

	if (item == NULL)
		return -ENOBUFS;
	item->lsn = r->lsn;
	item->block = r->block->seq;
	memcpy(item->data, r->data, r->len);
	return 0;
}

static int
replay_pop(struct pqueue *q, const struct plog_record *r)
{
	uint64_t lsn;

	if (r->len != sizeof(lsn))
		return -EPROTO;
	memcpy(&lsn, r->data, sizeof(lsn));
	while (q->items > 0 && item_front(q)->lsn <= lsn)
		item_drop(q);
	return 0;
}

static int
replay_one(void *ctx, const struct plog_record *r)
{
	switch (r->kind) {
	case PQUEUE_ITEM:
		return replay_item(ctx, r);
	case PQUEUE_POP:
		return replay_pop(ctx, r);
	default:
		return -EPROTO;
	}
}

int
pqueue_replay(struct pqueue *q, struct plog_report *report)
{
	int rc = plog_replay(q->log, replay_one, q, report);

	if (rc == 0 && q->items > 0)
		q->trim = item_front(q)->block;
	return rc;
}

/* --- operations --- */

/* Blocks that can still be begun. */
static uint64_t
blocks_left(const struct plog *log)
{
	uint64_t left = log->limit - log->head;

	return log->at != NULL ? left - 1 : left;
}

uint64_t
pqueue_append(struct pqueue *q, const void *data, uint16_t len)
{
	struct plog *log = q->log;
	struct item *item;
	void *record;

	/* One block for it, and one for each pop, its own too. */
	if (q->used + PQUEUE_ITEM_BYTES(len) > q->promised ||
		len > PQUEUE_ITEM_MAX || blocks_left(log) < q->items + 2)
		return 0;
	record = plog_reserve(log, PQUEUE_ITEM, len);
	if (record == NULL)
		return 0;
	memcpy(record, data, len);
	item = item_push(q, len);
	memcpy(item->data, data, len);
	item->lsn = log->lsn;
	item->block = log->head;
	return log->lsn;
}

const void *
pqueue_front(const struct pqueue *q, uint16_t *len)
{
	const struct item *item = item_front(q);

	if (item == NULL)
		return NULL;
	*len = (uint16_t)item->len;
	return item->data;
}

/* When the latest pop is durable, this is what is needed from then on. */
static void
trim_prepare(struct pqueue *q)
{
	const struct item *item = item_front(q);

	q->wait_lsn = q->pop_lsn;
	q->keep = q->pop_block;
	if (item != NULL && item->block < q->keep)
		q->keep = item->block;
}

static void
trim_follow(struct pqueue *q)
{
	if (q->wait_lsn != 0 && plog_durable(q->log) >= q->wait_lsn) {
		q->trim = q->keep;
		if (q->pop_lsn > q->wait_lsn)
			trim_prepare(q);
		else
			q->wait_lsn = 0;
	}
	/* Asked for each time: the log moves its tail when room is short. */
	if (q->trim != 0)
		plog_trim(q->log, q->trim);
}

uint64_t
pqueue_pop(struct pqueue *q)
{
	const struct item *item = item_front(q);
	void *record;

	if (item == NULL)
		return 0;
	record = plog_reserve(q->log, PQUEUE_POP, sizeof(item->lsn));
	if (record == NULL)
		return 0;
	memcpy(record, &item->lsn, sizeof(item->lsn));
	item_drop(q);
	q->pop_lsn = q->log->lsn;
	q->pop_block = q->log->head;
	if (q->wait_lsn == 0)
		trim_prepare(q);
	return q->pop_lsn;
}

uint64_t
pqueue_length(const struct pqueue *q)
{
	return q->items;
}

uint64_t
pqueue_durable(const struct pqueue *q)
{
	return plog_durable(q->log);
}

int
pqueue_poll(struct pqueue *q, uint64_t now_ms)
{
	int changed = plog_poll(q->log, now_ms);

	trim_follow(q);
	return changed;
}

uint32_t
pqueue_wait_ms(const struct pqueue *q, uint64_t now_ms)
{
	return plog_wait_ms(q->log, now_ms);
}

/* --- life --- */

struct pqueue *
pqueue_create(const struct plog_params *params, size_t memory, int *err,
	char *why, size_t len)
{
	struct pqueue *q = calloc(1, sizeof(*q));

	*err = -ENOMEM;
	snprintf(why, len, "no memory for the queue");
	if (q == NULL)
		return NULL;
	q->promised = memory;
	q->size = q->wrap =
		memory + 2 * (size_t)PQUEUE_ITEM_BYTES(PQUEUE_ITEM_MAX);
	q->ring = malloc(q->size);
	if (q->ring != NULL)
		q->log = plog_create(params, err, why, len);
	if (q->log != NULL)
		return q;
	free(q->ring);
	free(q);
	return NULL;
}

void
pqueue_start(struct pqueue *q)
{
	plog_start(q->log);
}

void
pqueue_destroy(struct pqueue *q, uint32_t timeout_ms)
{
	plog_destroy(q->log, timeout_ms);
	free(q->ring);
	free(q);
}
