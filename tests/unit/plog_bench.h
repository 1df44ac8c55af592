/* SPDX-License-Identifier: BSD-3-Clause */
/* A log on a store in memory, and what a replay of it yields. */
#ifndef PLOG_BENCH_H
#define PLOG_BENCH_H

#include "tests/unit/store_mem.h"

#define SLOTS 64

MEM_MAYBE struct mem mem;
MEM_MAYBE struct stats_log stats;

MEM_MAYBE void
begin(uint64_t slots)
{
	memset(&stats, 0, sizeof(stats));
	mem_make(&mem, slots, "lb");
}

MEM_MAYBE void
put(struct plog *log, uint16_t kind, uint32_t value)
{
	uint32_t *r = plog_reserve(log, kind, sizeof(*r));

	ck_assert_ptr_nonnull(r);
	*r = value;
}

/* What a replay yields: kinds and first words. */
struct seen {
	uint32_t n;
	uint32_t value[4096];
	uint16_t kind[4096];
	uint64_t lsn;
};

MEM_MAYBE struct seen seen;

MEM_MAYBE int
see(void *ctx, const struct plog_record *r)
{
	struct seen *s = ctx;

	ck_assert_uint_lt(s->n, 4096);
	if (s->n > 0)
		ck_assert_uint_eq(r->lsn, s->lsn + 1);
	s->lsn = r->lsn;
	s->kind[s->n] = r->kind;
	s->value[s->n] = 0;
	memcpy(&s->value[s->n++], r->data, r->len < 4 ? r->len : 4);
	return 0;
}

MEM_MAYBE struct plog *
reopen(struct plog_report *report)
{
	memset(&seen, 0, sizeof(seen));
	return mem_log(&mem, "lb", &stats, see, &seen, report);
}

#endif
