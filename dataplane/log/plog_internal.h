/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the log share, and nobody else sees. */
#ifndef CARRYALL_LOG_PLOG_INTERNAL_H
#define CARRYALL_LOG_PLOG_INTERNAL_H

#include "dataplane/log/plog.h"

#define PLOG_MEMORY ((size_t)(PLOG_WINDOW + 1) * PLOG_BLOCK)

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
	uint64_t wrote_ms; /* when the latest write of blocks was begun */
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

/* Block `seq` in memory. */
static inline struct plog_head *
plog_block(const struct plog *log, uint64_t seq)
{
	return (void *)(log->inner->memory +
			(seq % PLOG_WINDOW) * (size_t)PLOG_BLOCK);
}

/* Has the block being filled any record? */
static inline bool
plog_has_records(const struct plog *log)
{
	return log->inner->open &&
	       log->at != (uint8_t *)(plog_block(log, log->head) + 1);
}

/* The clocks of the log, in milliseconds: plog.c. */
void plog_now(const struct plog *log, uint64_t *boot_ms, uint64_t *wall_ms);

/* The block being filled, which has records, takes no more: plog.c. */
void plog_block_close(struct plog *log);

/* Nothing in flight, nothing to write? commit.c. */
bool plog_is_idle(const struct plog *log);

/* State and gauges to the counters; 1 if the state has changed: commit.c. */
int plog_publish(struct plog *log);

/* New records leave the room that a checkpoint will take: checkpoint.c. */
void plog_limit_set(struct plog *log);

/* A checkpoint whose records are all durable moves the tail: checkpoint.c. */
void plog_checkpoint_finish(struct plog *log);

#endif
