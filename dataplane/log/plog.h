/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A persistent log, straight on its store.
 *
 * Overview. plog_reserve() gives room in the block that is being filled and
 * returns at once; the record is built in place, for memory and disk have one
 * layout (format.h). Whatever was appended while writes were in flight goes
 * out together with the next one (group commit). When everything up to a
 * record is on stable storage, plog_durable() reaches the record's LSN.
 *
 *   plog_create     read the superblock
 *   plog_replay     what was durable when the last session ended, in order
 *   plog_start      from here on: append
 *   plog_poll       hand over what is to be written, take what was
 *   plog_destroy    wait for what is in flight, free
 *
 * Memory is a ring of PLOG_WINDOW blocks. Block `seq` is at seq mod
 * PLOG_WINDOW until it is durable:
 *
 *      done            sent            head
 *   ....|###############|===============|--- free
 *   disk|   in flight   | sealed, waits | being filled
 *
 * Space is a ring as well: what is before the tail may be written over. The
 * owner moves the tail by a checkpoint: it appends all that is live once
 * more, in slices of its choice, while other records go on; when the last of
 * them is durable, what is before the first is needed no longer. So an owner
 * must be able to rebuild its state from the records since the beginning of a
 * checkpoint alone: records that set (not change) something, and records
 * that end something, do.
 *
 * Trouble. A write that fails is repeated, with back-off; meanwhile memory
 * fills, and then plog_reserve() returns NULL: the owner serves on. Whoever
 * got NULL for a record that matters must call plog_missed(): then the log on
 * disk is behind until the owner's next checkpoint is complete, for which
 * plog_checkpoint_due() asks. Room for one is always kept, for which the
 * owner says how much is live. If the live set does not fit twice, state
 * PLOG_FULL says so, until it does.
 *
 * One thread, the instance's, owns it; nothing here blocks but plog_create,
 * plog_replay and plog_destroy.
 */
#ifndef CARRYALL_LOG_PLOG_H
#define CARRYALL_LOG_PLOG_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/log/format.h"
#include "dataplane/log/io.h"
#include "dataplane/log/read.h"
#include "dataplane/stats.h"

/* Most writes in flight. */
#define PLOG_DEPTH_MAX 8

struct plog_params {
	struct plog_io io; /* the store */
	uint64_t size;     /* that it should have, in bytes; 0: any */
	/*
	 * NULL, or a damaged store of which only records are taken: they are
	 * replayed instead of those of `io`, which is a new store.
	 */
	const struct plog_io *damaged;
	const char *function; /* type; the store must be of it */
	uint64_t boot;        /* which start of the machine this is; not 0 */
	uint32_t depth;       /* writes in flight, 1 to PLOG_DEPTH_MAX */
	/*
	 * Nobody waits for records: under load write at most once a
	 * millisecond, unless there is enough for a large write.
	 */
	bool gather;
	/*
	 * CLOCK_BOOTTIME and CLOCK_REALTIME in milliseconds; NULL: the
	 * system's.
	 */
	void (*clock)(void *ctx, uint64_t *boot_ms, uint64_t *wall_ms);
	void *clock_ctx;
	struct stats_log *stats; /* counters, written here */
};

/* Of these only the first line is touched per record. */
struct plog {
	/* line 0: appending */
	uint8_t *at;      /* where the next record goes */
	uint8_t *end;     /* of the block being filled */
	uint64_t lsn;     /* of the last record appended */
	uint64_t durable; /* all up to it are on stable storage */
	uint64_t head;    /* seq of the block being filled */
	uint64_t sent;    /* first block that is not in flight */
	uint64_t done;    /* first block that is not durable */
	uint64_t limit;   /* first block that new records have no room for */

	struct plog_inner *inner;
} __attribute__((aligned(64)));

/*
 * Read the superblock of the store. The log, or NULL with the reason in
 * why[0..len) and an error in *err as of plog_super_read(), or -EMEDIUMTYPE
 * when it is of another function.
 */
struct plog *plog_create(
	const struct plog_params *params, int *err, char *why, size_t len);

/*
 * Call `fn` for each record that was durable when the last session ended, in
 * order. 0 with *report filled, -ENOMEM, -EIO, or what `fn` returned. When
 * the report says PLOG_END_DAMAGED, the store should be put aside as it is
 * and not be started. Once, before plog_start().
 */
int plog_replay(struct plog *log, plog_record_fn fn, void *ctx,
	struct plog_report *report);

/*
 * Milliseconds from the sealing of `block` to now, for records of a former
 * session: by the clock that runs through if the machine was not started
 * since, else by the wall clock; 0 if that was put back.
 */
uint64_t plog_age_ms(const struct plog *log, const struct plog_head *block);

/* Begin a session behind what was replayed. */
void plog_start(struct plog *log);

/* Wait for what was appended, at most `timeout_ms`, and free all. */
void plog_destroy(struct plog *log, uint32_t timeout_ms);

/* Close the block that is full; at and end of the next one, or 0: no room. */
int plog_next_block(struct plog *log);

/*
 * Room for a record of `len` <= PLOG_RECORD_MAX bytes, to be filled in before
 * the next call of any of these; its LSN is log->lsn. NULL when there is no
 * room in memory or on disk: counted. Aligned to 4 bytes.
 */
static inline void *
plog_reserve(struct plog *log, uint16_t kind, uint16_t len)
{
	uint32_t bytes = plog_record_bytes(len);
	struct plog_record_head *r;

	if (__builtin_expect((size_t)(log->end - log->at) < bytes, 0) &&
		!plog_next_block(log))
		return NULL;
	r = (struct plog_record_head *)(void *)log->at;
	r->len = len;
	r->kind = kind;
	log->at += bytes;
	/* The padding; the payload covers the rest of the word. */
	if (len & 3)
		*(uint32_t *)(void *)(log->at - 4) = 0;
	log->lsn++;
	return r + 1;
}

/* All records with an LSN up to this one are on stable storage. */
static inline uint64_t
plog_durable(const struct plog *log)
{
	return log->durable;
}

/*
 * Memory is more than half full of what is not durable: who appends what can
 * wait or be left out should, so that room stays for the rest.
 */
static inline bool
plog_pressed(const struct plog *log)
{
	return log->head - log->done >= PLOG_WINDOW / 2;
}

/*
 * Hand appended records to the device if it can take them, collect what has
 * ended. 1 if plog_durable() or the state has changed, else 0. Costs a few
 * loads when there is nothing to do. `now_ms`: any clock in milliseconds.
 */
int plog_poll(struct plog *log, uint64_t now_ms);

/*
 * How long plog_poll() need not be called if nothing is appended and no
 * completion comes: milliseconds, 0: at once.
 */
uint32_t plog_wait_ms(const struct plog *log, uint64_t now_ms);

/* Is it taking records, and making them durable? PLOG_OK: stats.h. */
enum stats_log_state plog_state(const struct plog *log);

/* True if waiting for plog_durable() makes sense: state OK or STARTING. */
bool plog_healthy(const struct plog *log);

/* A record that matters found no room. */
void plog_missed(struct plog *log);

/* The log has what is no longer so: a checkpoint is due, nothing was lost. */
void plog_outdated(struct plog *log);

/*
 * Should a checkpoint begin, when writing all that is live takes
 * `live_bytes` (plog_record_bytes() of each)? To be asked often, for it is
 * also how the log learns what is live. Decides on PLOG_FULL.
 */
bool plog_checkpoint_due(struct plog *log, uint64_t live_bytes);

/* From here on the owner appends all that is live. */
void plog_checkpoint_begin(struct plog *log);

/* plog_reserve() for these: into the room that is kept for them. */
void *plog_checkpoint_reserve(struct plog *log, uint16_t kind, uint16_t len);

/*
 * All of it is appended: when it is durable, the tail moves. If records of
 * others were missed since the beginning, another one is due then.
 */
void plog_checkpoint_end(struct plog *log);

/* Not all of it could be appended: forget it; another one is due. */
void plog_checkpoint_abandon(struct plog *log);

/*
 * For owners that need no checkpoints: nothing before block `seq` is needed
 * (a record's block is log->head when it was appended). The tail follows when
 * room gets short. Block `seq` must be durable, or what is behind it would be
 * lost in a crash.
 */
void plog_trim(struct plog *log, uint64_t seq);

/* Between begin and end? */
bool plog_checkpoint_running(const struct plog *log);

#endif
