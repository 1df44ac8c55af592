/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A persistent queue, on a store of its own.
 *
 * Appending and popping are both records of a log (plog.h), so both are
 * asynchronous: they take effect in memory at once, and have an LSN; when
 * pqueue_durable() reaches it, a crash cannot take it back. After a crash the
 * queue is as it was after some operation behind which nothing was durable.
 *
 *   pqueue_create     read the superblock
 *   pqueue_replay     fill the queue with what is in the store
 *   pqueue_start      from here on: append, front, pop
 *   pqueue_poll       hand over what is to be written, take what was
 *   pqueue_destroy    wait for what is in flight, free
 *
 * Items are in memory as well, in a ring of bytes, so that the front is a
 * pointer and nothing is ever read from the store but at the start.
 *
 * How much it holds. In memory: items of `memory` bytes in all, each counted
 * with PQUEUE_ITEM_BYTES() of its length. On disk: whoever waits for every
 * single pop to be durable makes each a block of its own, and no pop may ever
 * fail for lack of room, or a full queue would stay full. So for each item a
 * block is kept free beside those that the items are in: a store of N slots
 * holds N/2 items if each was written alone, and up to N if they are small
 * and were written together.
 *
 * One thread owns it; nothing here blocks but create, replay and destroy.
 */
#ifndef CARRYALL_LOG_PQUEUE_H
#define CARRYALL_LOG_PQUEUE_H

#include <stddef.h>
#include <stdint.h>

#include "dataplane/log/plog.h"

/* Kinds of its records. */
enum pqueue_kind {
	PQUEUE_ITEM = 1, /* payload: the item's bytes */
	PQUEUE_POP = 2,  /* payload: uint64_t, LSN up to which all is popped */
};

/* Longest item. */
#define PQUEUE_ITEM_MAX PLOG_RECORD_MAX

/* What an item of `len` bytes takes of the queue's memory. */
#define PQUEUE_ITEM_BYTES(len) (24u + (((uint32_t)(len) + 7u) & ~7u))

struct pqueue;

/*
 * As plog_create(), with room for `memory` bytes of items. The queue, or NULL
 * with the reason in why[0..len) and an error in *err.
 */
struct pqueue *pqueue_create(const struct plog_params *params, size_t memory,
	int *err, char *why, size_t len);

/*
 * Fill the queue with what was durable when the last session ended. 0 with
 * *report filled; -ENOBUFS when it has more than `memory` bytes of items,
 * -EPROTO when its records are not a queue's; else as plog_replay(). Once,
 * before pqueue_start().
 */
int pqueue_replay(struct pqueue *q, struct plog_report *report);

/* Begin a session. */
void pqueue_start(struct pqueue *q);

/* Wait for what was done, at most `timeout_ms`, and free all. */
void pqueue_destroy(struct pqueue *q, uint32_t timeout_ms);

/*
 * Put a copy of data[0..len), len <= PQUEUE_ITEM_MAX, behind the last item.
 * Its LSN; 0 when there is no room in memory or on disk: nothing was done,
 * and it may be tried again after a pop or a poll.
 */
uint64_t pqueue_append(struct pqueue *q, const void *data, uint16_t len);

/*
 * The oldest item and its length, or NULL if there is none. It may not be
 * durable yet. Good until it is popped; aligned to 8 bytes.
 */
const void *pqueue_front(const struct pqueue *q, uint16_t *len);

/*
 * Take the oldest item away. The LSN of that; 0 if there is no item, or no
 * room in memory for the record because the device is behind: nothing was
 * done, and it may be tried again after a poll.
 */
uint64_t pqueue_pop(struct pqueue *q);

/* How many items there are. */
uint64_t pqueue_length(const struct pqueue *q);

/* All that has an LSN up to this one is on stable storage. */
uint64_t pqueue_durable(const struct pqueue *q);

/*
 * As plog_poll(), and gives back room on disk: 1 if pqueue_durable() or the
 * log's state has changed.
 */
int pqueue_poll(struct pqueue *q, uint64_t now_ms);

/* As plog_wait_ms(). */
uint32_t pqueue_wait_ms(const struct pqueue *q, uint64_t now_ms);

#endif
