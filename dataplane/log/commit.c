/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commit: from a record in memory to a block on stable storage.
 *
 * Writes are a queue in the order of their blocks. They may end in any order,
 * but `done` passes a write only when all before it have ended well, so
 * plog_durable() never counts a record behind a hole.
 *
 * The superblock is written like a block, first one copy, then the other,
 * and only when both are durable the space that it gives back is used: at any
 * time one good copy is there, and either leads to blocks that are whole. In
 * a new session it goes first, for its epoch must be on disk before any block
 * of that epoch.
 *
 * With nothing in flight whatever is there goes out at once, be it one
 * record. While a write is in flight records gather for the next; only who
 * has gathered WRITE_MIN blocks does not wait, so that under load the device
 * has several writes to work on. Where nobody waits for records (`gather`), a
 * write a millisecond is enough: one costs the core some 50 us, whatever its
 * size, for the kernel's work and the interrupts of a write and a flush.
 */
#include "dataplane/log/plog_internal.h"

#include <string.h>

#define WRITE_MAX 64u   /* blocks of one write: 256 KiB */
#define WRITE_MIN 32u   /* blocks that need not wait for the former write */
#define STALL_MS  1000u /* a write that takes longer */
#define RETRY_MS  10u   /* after a write that failed; doubles ... */
#define RETRY_MAX 1000u /* ... up to this */
#define TAG_SUPER PLOG_DEPTH_MAX

/* --- writes --- */

static struct write *
write_nth(struct plog_inner *in, uint32_t i)
{
	return &in->write[(in->first + i) % PLOG_DEPTH_MAX];
}

static void
failed(struct plog *log, int error, uint64_t now_ms)
{
	struct plog_inner *in = log->inner;

	in->params.stats->errors++;
	in->params.stats->error = (uint32_t)-error;
	in->backoff_ms = in->backoff_ms == 0 ? RETRY_MS : in->backoff_ms * 2;
	if (in->backoff_ms > RETRY_MAX)
		in->backoff_ms = RETRY_MAX;
	in->retry_ms = now_ms + in->backoff_ms;
}

static void
write_begin(struct plog *log, struct write *w, uint64_t off, const void *buf,
	uint32_t tag, uint64_t now_ms)
{
	struct plog_inner *in = log->inner;
	int rc = in->params.io.write(
		in->params.io.ctx, off, buf, w->n * PLOG_BLOCK, tag);

	w->since_ms = now_ms;
	w->state = rc == 0 ? WRITE_FLIES : WRITE_FAILED;
	if (rc != 0)
		failed(log, rc, now_ms);
}

static void
blocks_write(struct plog *log, struct write *w, uint64_t now_ms)
{
	write_begin(log, w, plog_offset(log->inner->slots, w->seq),
		plog_block(log, w->seq), (uint32_t)(w - log->inner->write),
		now_ms);
}

/* What only now is known of the blocks of `w`. */
static void
blocks_seal(struct plog *log, const struct write *w)
{
	struct plog_inner *in = log->inner;
	uint64_t boot_ms, wall_ms;

	plog_now(log, &boot_ms, &wall_ms);
	for (uint32_t i = 0; i < w->n; i++) {
		struct plog_head *h = plog_block(log, w->seq + i);

		h->store = in->super.store;
		h->seq = w->seq + i;
		h->boot = (uint32_t)in->params.boot;
		h->behind = (uint16_t)(h->seq - log->done);
		h->pad = 0;
		h->boot_ms = boot_ms;
		h->wall_ms = wall_ms;
		h->epoch = in->super.epoch;
		plog_head_seal(h);
	}
}

/* How many blocks from `sent` on one write can take. */
static uint32_t
run_length(const struct plog *log)
{
	uint64_t n = log->head - log->sent;
	uint64_t memory = PLOG_WINDOW - log->sent % PLOG_WINDOW;
	uint64_t disk = log->inner->slots - log->sent % log->inner->slots;

	n = n < memory ? n : memory;
	n = n < disk ? n : disk;
	return (uint32_t)(n < WRITE_MAX ? n : WRITE_MAX);
}

/* Nobody waits, and a moment ago there was one: more may come along. */
static bool
is_early(const struct plog *log, uint64_t now_ms)
{
	const struct plog_inner *in = log->inner;

	return in->params.gather && now_ms == in->wrote_ms &&
	       log->head - log->sent < WRITE_MIN;
}

/* Is there enough for one more, beside those in flight? */
static bool
may_overlap(const struct plog *log)
{
	return log->inner->n_writes < log->inner->params.depth &&
	       log->head - log->sent >= WRITE_MIN;
}

/* Should a write go out now? Closes the block being filled if it goes. */
static bool
should_write(struct plog *log, uint64_t now_ms)
{
	struct plog_inner *in = log->inner;

	if (in->retry_ms != 0 || !in->session)
		return false;
	if (in->n_writes > 0)
		return may_overlap(log);
	if (is_early(log, now_ms))
		return false;
	if (log->head == log->sent && plog_has_records(log))
		plog_block_close(log);
	return log->head != log->sent;
}

/* One write at a time: packets wait while it is handed over. */
static void
write_submit(struct plog *log, uint64_t now_ms)
{
	struct plog_inner *in = log->inner;
	struct write *w = write_nth(in, in->n_writes);

	if (!should_write(log, now_ms))
		return;
	in->n_writes++;
	in->wrote_ms = now_ms;
	w->seq = log->sent;
	w->n = run_length(log);
	log->sent += w->n;
	blocks_seal(log, w);
	blocks_write(log, w, now_ms);
}

/* Pass all writes at the queue's front that have ended. 1 if any has. */
static int
writes_retire(struct plog *log)
{
	struct plog_inner *in = log->inner;
	int moved = 0;

	while (in->n_writes > 0 && write_nth(in, 0)->state == WRITE_ENDED) {
		struct write *w = write_nth(in, 0);
		const struct plog_head *last =
			plog_block(log, w->seq + w->n - 1);

		log->done = w->seq + w->n;
		log->durable = last->lsn + last->records - 1;
		in->params.stats->writes++;
		in->params.stats->written += (uint64_t)w->n * PLOG_BLOCK;
		w->state = WRITE_FREE;
		in->first = (in->first + 1) % PLOG_DEPTH_MAX;
		in->n_writes--;
		moved = 1;
	}
	return moved;
}

/* --- the superblock --- */

static void
super_write(struct plog *log, enum super_state state, uint64_t now_ms)
{
	struct plog_inner *in = log->inner;
	uint8_t *block = in->memory + (size_t)PLOG_WINDOW * PLOG_BLOCK;

	in->super_state = state;
	in->super_write.n = 1;
	write_begin(log, &in->super_write,
		state == SUPER_FIRST ? 0 : plog_copy_offset(in->slots), block,
		TAG_SUPER, now_ms);
}

/* Write a new one: with the tail where it is wanted. */
static void
super_begin(struct plog *log, uint64_t now_ms)
{
	struct plog_inner *in = log->inner;
	uint8_t *block = in->memory + (size_t)PLOG_WINDOW * PLOG_BLOCK;

	in->super.generation++;
	in->super.tail = in->tail_wanted;
	plog_super_seal(&in->super);
	memset(block, 0, PLOG_BLOCK);
	memcpy(block, &in->super, sizeof(in->super));
	super_write(log, SUPER_FIRST, now_ms);
}

/* One of the two copies is durable. 1 if both are. */
static int
super_ended(struct plog *log, uint64_t now_ms)
{
	struct plog_inner *in = log->inner;

	if (in->super_state == SUPER_FIRST) {
		super_write(log, SUPER_COPY, now_ms);
		return 0;
	}
	in->super_state = SUPER_IDLE;
	in->session = true;
	in->limit = in->super.tail + in->slots;
	in->swept = 0;
	plog_limit_set(log);
	return 1;
}

static void
super_submit(struct plog *log, uint64_t now_ms)
{
	struct plog_inner *in = log->inner;

	if (in->super_state != SUPER_IDLE || in->retry_ms != 0)
		return;
	if (!in->session || in->super.tail != in->tail_wanted)
		super_begin(log, now_ms);
}

/* --- completions --- */

static int
completion(struct plog *log, const struct plog_done *done, uint64_t now_ms)
{
	struct plog_inner *in = log->inner;
	struct write *w = done->tag == TAG_SUPER ? &in->super_write
						 : &in->write[done->tag];

	if (done->res != 0) {
		w->state = WRITE_FAILED;
		failed(log, done->res, now_ms);
		return 1;
	}
	w->state = WRITE_ENDED;
	if (in->retry_ms == 0)
		in->backoff_ms = 0;
	return done->tag == TAG_SUPER ? super_ended(log, now_ms) : 0;
}

static int
completions(struct plog *log, uint64_t now_ms)
{
	struct plog_done done[PLOG_DEPTH_MAX + 1];
	struct plog_inner *in = log->inner;
	unsigned int n =
		in->params.io.reap(in->params.io.ctx, done, PLOG_DEPTH_MAX + 1);
	int changed = 0;

	for (unsigned int i = 0; i < n; i++)
		changed |= completion(log, &done[i], now_ms);
	return changed | writes_retire(log);
}

/* Repeat all that failed, when it is time; the blocks are as they were. */
static void
retry(struct plog *log, uint64_t now_ms)
{
	struct plog_inner *in = log->inner;

	if (in->retry_ms == 0 || now_ms < in->retry_ms)
		return;
	in->retry_ms = 0;
	for (uint32_t i = 0; i < in->n_writes; i++)
		if (write_nth(in, i)->state == WRITE_FAILED)
			blocks_write(log, write_nth(in, i), now_ms);
	if (in->super_state != SUPER_IDLE &&
		in->super_write.state == WRITE_FAILED)
		super_write(log, in->super_state, now_ms);
}

static bool
is_late(const struct write *w, uint64_t now_ms)
{
	return w->state == WRITE_FLIES && now_ms - w->since_ms >= STALL_MS;
}

static void
stall_watch(struct plog *log, uint64_t now_ms)
{
	struct plog_inner *in = log->inner;
	bool late = in->super_state != SUPER_IDLE &&
		    is_late(&in->super_write, now_ms);

	if (in->n_writes > 0)
		late |= is_late(write_nth(in, 0), now_ms);
	if (late && !in->stalled)
		in->params.stats->stalls++;
	in->stalled = late;
}

enum stats_log_state
plog_state(const struct plog *log)
{
	const struct plog_inner *in = log->inner;

	/* A write that is being repeated is still one that fails. */
	if (in->backoff_ms != 0)
		return PLOG_FAILING;
	if (in->stalled)
		return PLOG_STALLED;
	if (in->full)
		return PLOG_FULL;
	return in->session ? PLOG_OK : PLOG_STARTING;
}

bool
plog_healthy(const struct plog *log)
{
	enum stats_log_state s = plog_state(log);

	return s == PLOG_OK || s == PLOG_STARTING;
}

int
plog_publish(struct plog *log)
{
	struct stats_log *stats = log->inner->params.stats;
	uint32_t was = stats->state;

	stats->state = plog_state(log);
	stats->used = (log->head - log->inner->super.tail) * PLOG_BLOCK;
	return stats->state != was;
}

/* Nothing in flight, nothing to write? */
bool
plog_is_idle(const struct plog *log)
{
	const struct plog_inner *in = log->inner;

	return in->n_writes == 0 && in->super_state == SUPER_IDLE &&
	       in->session && log->head == log->sent &&
	       !plog_has_records(log) && in->super.tail == in->tail_wanted &&
	       !in->ended;
}

int
plog_poll(struct plog *log, uint64_t now_ms)
{
	uint64_t durable = log->durable;
	int changed;

	if (!log->inner->started || plog_is_idle(log))
		return 0;
	changed = completions(log, now_ms);
	retry(log, now_ms);
	plog_checkpoint_finish(log);
	super_submit(log, now_ms);
	write_submit(log, now_ms);
	/* Some may have ended by the time they were handed over. */
	changed |= completions(log, now_ms);
	stall_watch(log, now_ms);
	log->inner->params.stats->durable += log->durable - durable;
	return plog_publish(log) | changed;
}

/* When stall_watch() would next see something new, if nothing ends. */
static uint32_t
stall_in(const struct plog_inner *in, uint64_t now_ms)
{
	uint64_t age = 0, of_super = 0;

	if (in->n_writes > 0)
		age = now_ms - in->write[in->first].since_ms;
	if (in->super_state != SUPER_IDLE)
		of_super = now_ms - in->super_write.since_ms;
	age = age > of_super ? age : of_super;
	return age < STALL_MS ? (uint32_t)(STALL_MS - age) : STALL_MS;
}

uint32_t
plog_wait_ms(const struct plog *log, uint64_t now_ms)
{
	const struct plog_inner *in = log->inner;

	if (!in->started || plog_is_idle(log))
		return UINT32_MAX;
	if (in->retry_ms != 0)
		return in->retry_ms > now_ms ? (uint32_t)(in->retry_ms - now_ms)
					     : 0;
	if (in->session && in->n_writes > 0 && may_overlap(log))
		return 0;
	if (in->n_writes > 0 || in->super_state != SUPER_IDLE)
		return stall_in(in, now_ms);
	return is_early(log, now_ms) ? 1 : 0;
}
