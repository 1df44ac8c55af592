/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The life of a log, and its blocks in memory. How they become durable is in
 * commit.c, how space is given back in checkpoint.c.
 */
#include "dataplane/log/plog_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "dataplane/clock.h"

/* --- time --- */

void
plog_now(const struct plog *log, uint64_t *boot_ms, uint64_t *wall_ms)
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

	plog_now(log, &boot_ms, &wall_ms);
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

/* The block being filled, which has records, takes no more. */
void
plog_block_close(struct plog *log)
{
	struct plog_head *h = plog_block(log, log->head);

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
	uint64_t ahead = log->head - log->done;
	struct plog_head *h;

	/* Never two blocks of one slot in flight. */
	if (ahead >= PLOG_WINDOW || ahead >= log->inner->slots ||
		log->head >= log->limit)
		return false;
	h = plog_block(log, log->head);
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
	if (plog_has_records(log))
		plog_block_close(log);
	if (log->inner->open || block_open(log))
		return 1;
	log->inner->params.stats->no_room++;
	return 0;
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
	log->inner->memory = mmap(NULL, PLOG_MEMORY, PROT_READ | PROT_WRITE,
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
	munmap(log->inner->memory, PLOG_MEMORY);
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
	*err = params->io.attach(params->io.ctx, in->memory, PLOG_MEMORY);
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
	plog_limit_set(log);
	in->params.stats->capacity = in->slots * PLOG_BLOCK;
	/* What a former life counted and lost is no longer on its way. */
	in->params.stats->records = in->params.stats->durable;
	plog_publish(log);
}

void
plog_destroy(struct plog *log, uint32_t timeout_ms)
{
	uint64_t end = clock_ms(CLOCK_MONOTONIC) + timeout_ms;
	const struct timespec nap = { .tv_nsec = 50000 };

	while (log->inner->started && !plog_is_idle(log)) {
		uint64_t now = clock_ms(CLOCK_MONOTONIC);

		if (now >= end)
			break;
		plog_poll(log, now);
		nanosleep(&nap, NULL);
	}
	memory_free(log);
}
