/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Appending: from a record in memory to a block on stable storage.
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
 * has several writes to work on.
 */
#include "dataplane/log/plog.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define WRITE_MAX   64u   /* blocks of one write: 256 KiB */
#define WRITE_MIN   16u   /* blocks that need not wait for the former write */
#define STALL_MS    1000u /* a write that takes longer */
#define RETRY_MS    10u   /* after a write that failed; doubles ... */
#define RETRY_MAX   1000u /* ... up to this */
#define TAG_SUPER   PLOG_DEPTH_MAX
#define LOG_BYTES   ((size_t)(PLOG_WINDOW + 1) * PLOG_BLOCK)
#define FIRST_BYTES (PLOG_BLOCK - (uint32_t)sizeof(struct plog_head))

enum write_state { WRITE_FREE, WRITE_FLIES, WRITE_FAILED, WRITE_ENDED };

struct write {
	enum write_state state;
	uint64_t seq; /* blocks [seq, seq + n) */
	uint32_t n;
	uint64_t since_ms; /* when it was begun */
};

enum super_state { SUPER_IDLE, SUPER_FIRST, SUPER_COPY };

struct plog_inner {
	struct plog_params params;
	struct plog_super super; /* as on disk, or being written there */
	uint8_t *memory; /* PLOG_WINDOW blocks, one for the superblock */
	uint64_t slots;
	bool started;
	bool open; /* a block is being filled */

	/* writes of blocks: a ring, in order */
	struct write write[PLOG_DEPTH_MAX];
	uint32_t first, n_writes;

	/* the superblock */
	enum super_state super_state;
	struct write super_write;
	bool session;         /* this session's epoch is on disk */
	uint64_t tail_wanted; /* where the tail should be */
	uint64_t limit;       /* first block that would write over the tail */

	/* trouble */
	uint64_t retry_ms; /* when to repeat what failed; 0: nothing did */
	uint32_t backoff_ms;
	bool stalled, full;
	bool behind; /* records are missing on disk */

	/* the checkpoint */
	bool running, ended, clean;
	uint64_t checkpoint;     /* its first block */
	uint64_t checkpoint_lsn; /* its last record */
	uint64_t live;           /* bytes that one takes */
	uint64_t swept;          /* of these, already appended */
};

/* --- time --- */

static uint64_t
clock_ms(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void
now_get(const struct plog *log, uint64_t *boot_ms, uint64_t *wall_ms)
{
	const struct plog_params *p = &log->inner->params;

	if (p->clock != NULL) {
		p->clock(p->clock_ctx, boot_ms, wall_ms);
		return;
	}
	*boot_ms = clock_ms(CLOCK_BOOTTIME);
	*wall_ms = clock_ms(CLOCK_REALTIME);
}

uint64_t
plog_age_ms(const struct plog *log, const struct plog_head *block)
{
	uint64_t boot_ms, wall_ms, then, now;

	now_get(log, &boot_ms, &wall_ms);
	if (block->boot == (uint32_t)log->inner->params.boot) {
		now = boot_ms;
		then = block->boot_ms;
	} else {
		now = wall_ms;
		then = block->wall_ms;
	}
	return now > then ? now - then : 0;
}

/* --- blocks in memory --- */

static struct plog_head *
block_at(const struct plog *log, uint64_t seq)
{
	return (void *)(log->inner->memory +
			(seq % PLOG_WINDOW) * (size_t)PLOG_BLOCK);
}

static bool
block_has_records(const struct plog *log)
{
	return log->inner->open &&
	       log->at != (uint8_t *)(block_at(log, log->head) + 1);
}

/* The block being filled, which has records, takes no more. */
static void
block_close(struct plog *log)
{
	struct plog_head *h = block_at(log, log->head);

	h->records = (uint16_t)(log->lsn + 1 - h->lsn);
	h->used = (uint16_t)(log->at - (uint8_t *)h);
	log->inner->params.stats->records += h->records;
	log->inner->params.stats->bytes += h->used - sizeof(*h);
	log->head++;
	log->inner->open = false;
	log->at = log->end = NULL;
}

static bool
block_open(struct plog *log)
{
	struct plog_head *h;

	if (log->head - log->done >= PLOG_WINDOW || log->head >= log->limit)
		return false;
	h = block_at(log, log->head);
	h->lsn = log->lsn + 1;
	log->at = (uint8_t *)(h + 1);
	log->end = (uint8_t *)h + PLOG_BLOCK;
	log->inner->open = true;
	return true;
}

int
plog_next_block(struct plog *log)
{
	if (!log->inner->started)
		return 0;
	if (block_has_records(log))
		block_close(log);
	if (log->inner->open || block_open(log))
		return 1;
	log->inner->params.stats->no_room++;
	return 0;
}

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
		block_at(log, w->seq), (uint32_t)(w - log->inner->write),
		now_ms);
}

/* What only now is known of the blocks of `w`. */
static void
blocks_seal(struct plog *log, const struct write *w)
{
	struct plog_inner *in = log->inner;
	uint64_t boot_ms, wall_ms;

	now_get(log, &boot_ms, &wall_ms);
	for (uint32_t i = 0; i < w->n; i++) {
		struct plog_head *h = block_at(log, w->seq + i);

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

/* Should a write go out now? Closes the block being filled if it goes. */
static bool
should_write(struct plog *log)
{
	struct plog_inner *in = log->inner;

	if (in->n_writes == in->params.depth || in->retry_ms != 0 ||
		!in->session)
		return false;
	if (in->n_writes > 0)
		return log->head - log->sent >= WRITE_MIN;
	if (log->head == log->sent && block_has_records(log))
		block_close(log);
	return log->head != log->sent;
}

static void
writes_submit(struct plog *log, uint64_t now_ms)
{
	struct plog_inner *in = log->inner;

	while (should_write(log)) {
		struct write *w = write_nth(in, in->n_writes);

		in->n_writes++;
		w->seq = log->sent;
		w->n = run_length(log);
		log->sent += w->n;
		blocks_seal(log, w);
		blocks_write(log, w, now_ms);
	}
}

/* Pass all writes at the queue's front that have ended. 1 if any has. */
static int
writes_retire(struct plog *log)
{
	struct plog_inner *in = log->inner;
	int moved = 0;

	while (in->n_writes > 0 && write_nth(in, 0)->state == WRITE_ENDED) {
		struct write *w = write_nth(in, 0);
		const struct plog_head *last = block_at(log, w->seq + w->n - 1);

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

/* Blocks that `bytes` of records take, with what is lost at blocks' ends. */
static uint64_t
blocks_of(uint64_t bytes)
{
	return bytes / (FIRST_BYTES - 128) + 2;
}

/* New records leave the room that a checkpoint will take, or still takes. */
static void
limit_set(struct plog *log)
{
	struct plog_inner *in = log->inner;
	uint64_t keep = 0;

	if (in->live > in->swept)
		keep = blocks_of(in->live - in->swept) + in->slots / 32;
	log->limit = in->limit > keep ? in->limit - keep : 0;
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
	limit_set(log);
	return 1;
}

/* A checkpoint whose records are all durable moves the tail. */
static void
checkpoint_finish(struct plog *log)
{
	struct plog_inner *in = log->inner;

	if (!in->ended || log->durable < in->checkpoint_lsn)
		return;
	in->ended = false;
	in->tail_wanted = in->checkpoint;
	in->params.stats->checkpoints++;
	if (in->clean)
		in->behind = false;
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

static int
publish(struct plog *log)
{
	struct stats_log *stats = log->inner->params.stats;
	uint32_t was = stats->state;

	stats->state = plog_state(log);
	stats->used = (log->head - log->inner->super.tail) * PLOG_BLOCK;
	return stats->state != was;
}

/* Nothing in flight, nothing to write? */
static bool
is_idle(const struct plog *log)
{
	const struct plog_inner *in = log->inner;

	return in->n_writes == 0 && in->super_state == SUPER_IDLE &&
	       in->session && log->head == log->sent &&
	       !block_has_records(log) && in->super.tail == in->tail_wanted &&
	       !in->ended;
}

int
plog_poll(struct plog *log, uint64_t now_ms)
{
	uint64_t durable = log->durable;
	int changed;

	if (!log->inner->started || is_idle(log))
		return 0;
	changed = completions(log, now_ms);
	retry(log, now_ms);
	checkpoint_finish(log);
	super_submit(log, now_ms);
	writes_submit(log, now_ms);
	/* Some may have ended by the time they were handed over. */
	changed |= completions(log, now_ms);
	stall_watch(log, now_ms);
	log->inner->params.stats->durable += log->durable - durable;
	return publish(log) | changed;
}

uint32_t
plog_wait_ms(const struct plog *log, uint64_t now_ms)
{
	const struct plog_inner *in = log->inner;

	if (!in->started || is_idle(log))
		return UINT32_MAX;
	if (in->retry_ms != 0)
		return in->retry_ms > now_ms ? (uint32_t)(in->retry_ms - now_ms)
					     : 0;
	return in->n_writes > 0 || in->super_state != SUPER_IDLE ? STALL_MS : 0;
}

/* --- checkpoints --- */

void
plog_missed(struct plog *log)
{
	log->inner->params.stats->missed++;
	log->inner->behind = true;
	log->inner->clean = false;
}

/*
 * The log is behind and a checkpoint has no room beside what is there, as
 * more became live than could be written. If it will have room once what is
 * there is given up, give that up: it is out of date as it is.
 */
static bool
make_room(struct plog *log, uint64_t live, uint64_t slack)
{
	struct plog_inner *in = log->inner;

	if (2 * live + slack > in->slots) {
		in->params.stats->fulls += !in->full;
		in->full = true;
		publish(log);
		return false;
	}
	if (block_has_records(log))
		block_close(log);
	in->tail_wanted = log->head;
	return false;
}

bool
plog_checkpoint_due(struct plog *log, uint64_t live_bytes)
{
	struct plog_inner *in = log->inner;
	uint64_t live = blocks_of(live_bytes), slack = in->slots / 8;
	uint64_t used = log->head - in->super.tail;
	uint64_t room = in->limit - log->head;

	in->params.stats->live = in->live = live_bytes;
	limit_set(log);
	if (!in->started || in->running || in->ended || !in->session ||
		in->tail_wanted != in->super.tail ||
		in->super_state != SUPER_IDLE)
		return false;
	if (in->behind && room < live)
		return make_room(log, live, slack);
	in->full = in->full && 2 * live + slack > in->slots;
	if (in->behind)
		return true;
	return used >= live + live / 8 + slack / 4 &&
	       (used >= in->slots / 2 || room <= 2 * live + slack);
}

void
plog_checkpoint_begin(struct plog *log)
{
	if (block_has_records(log))
		block_close(log);
	log->inner->running = true;
	log->inner->clean = true;
	log->inner->checkpoint = log->head;
	log->inner->swept = 0;
}

void *
plog_checkpoint_reserve(struct plog *log, uint16_t kind, uint16_t len)
{
	void *r;

	log->limit = log->inner->limit;
	r = plog_reserve(log, kind, len);
	log->inner->swept += plog_record_bytes(len);
	limit_set(log);
	return r;
}

void
plog_checkpoint_end(struct plog *log)
{
	log->inner->running = false;
	log->inner->ended = log->inner->clean;
	log->inner->checkpoint_lsn = log->lsn;
}

bool
plog_checkpoint_running(const struct plog *log)
{
	return log->inner->running;
}

void
plog_trim(struct plog *log, uint64_t seq)
{
	struct plog_inner *in = log->inner;

	/* Not for every block: a superblock is two writes. */
	if (seq > in->tail_wanted && in->limit - log->head < in->slots / 2)
		in->tail_wanted = seq;
}

/* --- life --- */

static int
params_check(const struct plog_params *p, const struct plog_super *super,
	char *why, size_t len)
{
	if (strcmp(super->function, p->function) == 0)
		return 0;
	snprintf(why, len,
		"is a store of a function of type %s, not %s; move it away",
		super->function, p->function);
	return -EMEDIUMTYPE;
}

static struct plog *
memory_make(void)
{
	struct plog *log = aligned_alloc(64, sizeof(*log));

	if (log == NULL)
		return NULL;
	memset(log, 0, sizeof(*log));
	log->inner = calloc(1, sizeof(*log->inner));
	if (log->inner == NULL) {
		free(log);
		return NULL;
	}
	log->inner->memory = mmap(NULL, LOG_BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (log->inner->memory != MAP_FAILED)
		return log;
	free(log->inner);
	free(log);
	return NULL;
}

static void
memory_free(struct plog *log)
{
	munmap(log->inner->memory, LOG_BYTES);
	free(log->inner);
	free(log);
}

struct plog *
plog_create(const struct plog_params *params, int *err, char *why, size_t len)
{
	struct plog *log = memory_make();
	struct plog_inner *in;

	if (log == NULL) {
		snprintf(why, len, "no memory for the log");
		*err = -ENOMEM;
		return NULL;
	}
	in = log->inner;
	in->params = *params;
	*err = plog_super_read(&params->io, params->size, &in->super, why, len);
	if (*err == 0)
		*err = params_check(params, &in->super, why, len);
	if (*err != 0) {
		memory_free(log);
		return NULL;
	}
	in->slots = in->super.slots;
	log->head = log->sent = log->done = in->super.tail;
	*err = params->io.attach(params->io.ctx, in->memory, LOG_BYTES);
	if (*err == 0)
		return log;
	snprintf(why, len, "cannot be written: %s", strerror(-*err));
	memory_free(log);
	return NULL;
}

/* Where the session begins: behind what was read. */
static void
position_set(struct plog *log, const struct plog_report *report)
{
	log->head = log->sent = log->done = report->next;
	if (report->next_lsn != 0)
		log->lsn = log->durable = report->next_lsn - 1;
	if (report->epoch > log->inner->super.epoch)
		log->inner->super.epoch = report->epoch;
}

/* Records of another store: this one stays as it is, empty. */
static int
replay_damaged(struct plog *log, plog_record_fn fn, void *ctx,
	struct plog_report *report)
{
	const struct plog_io *io = log->inner->params.damaged;
	struct plog_super super;
	char why[160];
	int rc = plog_super_read(io, 0, &super, why, sizeof(why));

	if (rc == 0 && params_check(&log->inner->params, &super, why,
			       sizeof(why)) == 0)
		rc = plog_scan(io, &super, super.tail, 0, fn, ctx, report);
	else
		*report = (struct plog_report){ .end = PLOG_END_DAMAGED };
	report->end = PLOG_END_CLEAN;
	log->inner->behind = true;
	return rc == -EBADMSG || rc == -ENODATA || rc == -EPROTONOSUPPORT ? 0
									  : rc;
}

int
plog_replay(struct plog *log, plog_record_fn fn, void *ctx,
	struct plog_report *report)
{
	struct plog_inner *in = log->inner;
	int rc;

	if (in->params.damaged != NULL)
		return replay_damaged(log, fn, ctx, report);
	rc = plog_scan(
		&in->params.io, &in->super, in->super.tail, 0, fn, ctx, report);
	if (rc == 0)
		position_set(log, report);
	return rc;
}

void
plog_start(struct plog *log)
{
	struct plog_inner *in = log->inner;

	in->started = true;
	in->super.epoch++;
	in->tail_wanted = in->super.tail;
	in->limit = in->super.tail + in->slots;
	limit_set(log);
	in->params.stats->capacity = in->slots * PLOG_BLOCK;
	/* What a former life counted and lost is no longer on its way. */
	in->params.stats->records = in->params.stats->durable;
	publish(log);
}

void
plog_destroy(struct plog *log, uint32_t timeout_ms)
{
	uint64_t end = clock_ms(CLOCK_MONOTONIC) + timeout_ms;
	const struct timespec nap = { .tv_nsec = 50000 };

	while (log->inner->started && !is_idle(log)) {
		uint64_t now = clock_ms(CLOCK_MONOTONIC);

		if (now >= end)
			break;
		plog_poll(log, now);
		nanosleep(&nap, NULL);
	}
	memory_free(log);
}
