/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Checkpoints: when one is due, the room that is kept for it, and the tail
 * that it moves.
 */
#include "dataplane/log/plog_internal.h"

/* Records of a block. */
#define ROOM (PLOG_BLOCK - (uint32_t)sizeof(struct plog_head))

/* Blocks that `bytes` of records take, with what is lost at blocks' ends. */
static uint64_t
blocks_of(uint64_t bytes)
{
	return bytes / (ROOM - 128) + 2;
}

/* New records leave the room that a checkpoint will take, or still takes. */
void
plog_limit_set(struct plog *log)
{
	struct plog_inner *in = log->inner;
	uint64_t keep = 0;

	if (in->live > in->swept)
		keep = blocks_of(in->live - in->swept) + in->slots / 32;
	log->limit = in->limit > keep ? in->limit - keep : 0;
}

/* A checkpoint whose records are all durable moves the tail. */
void
plog_checkpoint_finish(struct plog *log)
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

void
plog_outdated(struct plog *log)
{
	log->inner->behind = true;
	log->inner->clean = false;
}

void
plog_missed(struct plog *log)
{
	log->inner->params.stats->missed++;
	plog_outdated(log);
}

/* What is live beside what was, and room for others meanwhile. */
static bool
fits(const struct plog_inner *in, uint64_t live)
{
	return 2 * live + in->slots / 8 <= in->slots;
}

/*
 * The log is behind and a checkpoint has no room beside what is there, as
 * more became live than could be written. If it will have room once what is
 * there is given up, give that up: it is out of date as it is.
 */
static bool
make_room(struct plog *log, uint64_t live)
{
	struct plog_inner *in = log->inner;

	if (!fits(in, live)) {
		in->params.stats->fulls += !in->full;
		in->full = true;
		plog_publish(log);
		return false;
	}
	if (plog_has_records(log))
		plog_block_close(log);
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
	plog_limit_set(log);
	if (!in->started || in->running || in->ended || !in->session ||
		in->tail_wanted != in->super.tail ||
		in->super_state != SUPER_IDLE)
		return false;
	if (in->behind && (room < live || !fits(in, live)))
		return make_room(log, live);
	if (in->full && fits(in, live)) {
		in->full = false;
		plog_publish(log);
	}
	if (in->behind)
		return true;
	return used >= live + live / 8 + slack / 4 &&
	       (used >= in->slots / 2 || room <= 2 * live + slack);
}

void
plog_checkpoint_begin(struct plog *log)
{
	if (plog_has_records(log))
		plog_block_close(log);
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
	if (r != NULL)
		log->inner->swept += plog_record_bytes(len);
	plog_limit_set(log);
	return r;
}

void
plog_checkpoint_end(struct plog *log)
{
	log->inner->running = false;
	log->inner->ended = true;
	log->inner->checkpoint_lsn = log->lsn;
}

void
plog_checkpoint_abandon(struct plog *log)
{
	log->inner->running = false;
	plog_outdated(log);
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
