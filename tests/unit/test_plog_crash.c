/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Crashes of the log, by exhaustion.
 *
 * A log runs on a store in memory, through several laps and checkpoints; its
 * writes end in a random order. After each step the machine crashes in every
 * way that the test can think of: each subset of the writes in flight has
 * reached the disk, each of them is torn at its sector boundaries from either
 * side, and random sectors of all of them are there. Blocks of former laps
 * are what was on the disk before. After each crash, recovery must yield
 * exactly the state after some prefix of what was appended, and that prefix
 * must contain everything that was said to be durable.
 *
 * Some of the crashed stores are used again and crash a second time, so that
 * blocks that the first life left behind its end lie in the second one's way.
 */
#include <stdio.h>

#include "tests/unit/store_mem.h"

#define KEYS    24
#define HISTORY 20000

/* What was appended, by LSN: key and value. */
struct history {
	uint32_t key[HISTORY], value[HISTORY];
	uint64_t n; /* LSNs 1 to n */
};

struct world {
	struct mem mem;
	struct stats_log stats;
	struct plog *log;
	struct history h;
	uint32_t now[KEYS]; /* the live set */
	uint32_t random;
	uint32_t sweep;
	bool sweeping;
	uint32_t most; /* bytes of a record */
	unsigned long cases, torn;
	bool twice; /* crash again after a crash */
};

static struct world world;

static uint32_t
draw(struct world *w, uint32_t below)
{
	w->random = w->random * 1664525 + 1013904223;
	return (uint32_t)(((uint64_t)w->random * below) >> 32);
}

/* --- appending --- */

/* A record's bytes follow from its value, so that any mix-up shows. */
static void
fill(uint32_t *r, uint32_t len, uint32_t key, uint32_t value)
{
	r[0] = key;
	r[1] = value;
	for (uint32_t i = 2; i < len / 4; i++)
		r[i] = value * 2654435761u + i;
}

static uint32_t
length(const struct world *w, uint32_t value)
{
	return 8 + (value * 40503u >> 7) % (w->most - 8) / 4 * 4;
}

typedef void *(*reserve_fn)(struct plog *log, uint16_t kind, uint16_t len);

static int
append(struct world *w, uint32_t key, uint32_t value, reserve_fn reserve)
{
	uint32_t len = length(w, value);
	uint32_t *r = reserve(w->log, 7, (uint16_t)len);

	if (r == NULL)
		return 0;
	fill(r, len, key, value);
	ck_assert_uint_lt(w->log->lsn, HISTORY);
	ck_assert_uint_eq(w->log->lsn, w->h.n + 1);
	w->h.n++;
	w->h.key[w->h.n] = key;
	w->h.value[w->h.n] = value;
	w->now[key] = value;
	return 1;
}

static void
checkpoint_some(struct world *w)
{
	if (!w->sweeping &&
		plog_checkpoint_due(w->log, KEYS * (w->most / 2 + 16))) {
		plog_checkpoint_begin(w->log);
		w->sweeping = true;
		w->sweep = 0;
	}
	for (int i = 0; w->sweeping && i < 6 && w->sweep < KEYS; i++)
		if (!append(w, w->sweep, w->now[w->sweep],
			    plog_checkpoint_reserve))
			break;
		else
			w->sweep++;
	if (w->sweeping && w->sweep == KEYS) {
		plog_checkpoint_end(w->log);
		w->sweeping = false;
	}
}

/* --- recovery --- */

struct recovered {
	const struct world *w;
	uint32_t now[KEYS];
};

static int
replay(void *ctx, const struct plog_record *r)
{
	struct recovered *got = ctx;
	const struct history *h = &got->w->h;
	const uint32_t *v = r->data;
	uint32_t want[PLOG_RECORD_MAX / 4];

	/* One assertion, for each writes to a file. */
	if (r->kind != 7 || r->lsn < 1 || r->lsn > h->n ||
		v[0] != h->key[r->lsn] || v[1] != h->value[r->lsn] ||
		r->len != length(got->w, v[1]))
		ck_abort_msg("record %lu was never written", r->lsn);
	fill(want, r->len, v[0], v[1]);
	if (memcmp(want, v, r->len) != 0)
		ck_abort_msg("record %lu has other bytes", r->lsn);
	got->now[v[0]] = v[1];
	return 0;
}

static void
state_after(const struct history *h, uint64_t n, uint32_t *now)
{
	memset(now, 0, KEYS * sizeof(*now));
	for (uint64_t i = 1; i <= n; i++)
		now[h->key[i]] = h->value[i];
}

/* The LSN up to which the store has all, once it is checked. */
static uint64_t
store_check(const struct world *w, struct mem *disk, uint64_t acked)
{
	struct plog_io io = mem_io(disk);
	struct recovered got = { .w = w };
	struct plog_report report;
	struct plog_super super;
	uint32_t want[KEYS];
	char why[200] = "";
	uint64_t n;

	ck_assert_msg(
		plog_super_read(&io, disk->size, &super, why, sizeof(why)) == 0,
		"%s", why);
	ck_assert_int_eq(
		plog_scan(&io, &super, super.tail, 1, replay, &got, &report),
		0);
	ck_assert_msg(report.end != PLOG_END_DAMAGED, "%s", report.why);
	n = report.next_lsn == 0 ? 0 : report.next_lsn - 1;
	ck_assert_msg(n >= acked, "%lu of %lu acknowledged", n, acked);
	state_after(&w->h, n, want);
	ck_assert_int_eq(memcmp(want, got.now, sizeof(want)), 0);
	return n;
}

/* --- a second life on a crashed store --- */

static struct world second;

static void
live_again(struct world *w, struct mem *disk, uint64_t n)
{
	struct world *s = &second;
	struct plog_report report;
	uint64_t acked;

	s->mem = *disk;
	s->mem.n = 0;
	s->mem.auto_done = false;
	s->random = w->random;
	s->most = w->most;
	s->sweeping = false;
	s->h.n = n;
	memcpy(s->h.key, w->h.key, (n + 1) * sizeof(uint32_t));
	memcpy(s->h.value, w->h.value, (n + 1) * sizeof(uint32_t));
	state_after(&s->h, n, s->now);
	memset(&s->stats, 0, sizeof(s->stats));
	s->log = mem_log(&s->mem, "lb", &s->stats, NULL, NULL, &report);
	ck_assert_uint_eq(s->log->lsn, n);
	for (int i = 0; i < 12; i++) {
		uint64_t next = s->h.n + 1 + 1000000;

		append(s, draw(s, KEYS), (uint32_t)next, plog_reserve);
		plog_poll(s->log, 0);
		/* All but the last few writes reach the disk. */
		while (s->mem.n > 0 && i < 9 + (int)draw(s, 3)) {
			mem_complete(&s->mem, 0);
			plog_poll(s->log, 0);
		}
	}
	acked = s->log->durable;
	/* Of what is in flight, the later block and not the earlier one. */
	if (s->mem.n > 0 && s->mem.fly[0].len > PLOG_BLOCK)
		memcpy(s->mem.disk + s->mem.fly[0].off + PLOG_BLOCK,
			s->mem.fly[0].data + PLOG_BLOCK,
			s->mem.fly[0].len - PLOG_BLOCK);
	store_check(s, &s->mem, acked);
	plog_destroy(s->log, 0);
	mem_drop(&s->mem);
}

/* --- crashes --- */

static struct mem crashed;

static void
crash_all(const struct world *w)
{
	mem_copy(crashed.disk, w->mem.disk, w->mem.size);
}

/* As it was: only where writes fly it may differ. */
static void
crash_begin(const struct world *w)
{
	for (unsigned int i = 0; i < w->mem.n; i++)
		mem_copy(crashed.disk + w->mem.fly[i].off,
			w->mem.disk + w->mem.fly[i].off, w->mem.fly[i].len);
}

/* Sectors [from, to) of write i reach the disk. */
static void
crash_add(const struct world *w, unsigned int i, uint32_t from, uint32_t to)
{
	const struct mem_write *f = &w->mem.fly[i];

	mem_copy(crashed.disk + f->off + from * MEM_SECTOR,
		f->data + from * MEM_SECTOR, (to - from) * MEM_SECTOR);
}

static uint32_t
sectors(const struct world *w, unsigned int i)
{
	return w->mem.fly[i].len / MEM_SECTOR;
}

static void
crash_end(struct world *w)
{
	uint64_t n = store_check(w, &crashed, w->log->durable);

	w->cases++;
	if (w->twice && w->cases % 5 == 0) {
		live_again(w, &crashed, n);
		crash_all(w);
	}
}

static void
crash_subsets(struct world *w)
{
	for (uint32_t set = 0; set < 1u << w->mem.n; set++) {
		crash_begin(w);
		for (unsigned int i = 0; i < w->mem.n; i++)
			if (set >> i & 1)
				crash_add(w, i, 0, sectors(w, i));
		crash_end(w);
	}
}

static void
crash_torn_at(struct world *w, unsigned int i, uint32_t at)
{
	crash_begin(w);
	crash_add(w, i, 0, at);
	crash_end(w);
	crash_begin(w);
	for (unsigned int k = 0; k < w->mem.n; k++)
		crash_add(w, k, k == i ? at : 0, sectors(w, k));
	crash_end(w);
	w->torn += 2;
}

/* Each boundary in the first and the last block, some between. */
static void
crash_torn(struct world *w)
{
	for (unsigned int i = 0; i < w->mem.n; i++)
		for (uint32_t at = 1; at < sectors(w, i); at++)
			if (at <= 8 || at + 8 >= sectors(w, i) ||
				draw(w, sectors(w, i)) < 8)
				crash_torn_at(w, i, at);
}

static void
crash_random(struct world *w)
{
	for (int r = 0; r < 4; r++) {
		crash_begin(w);
		for (unsigned int i = 0; i < w->mem.n; i++)
			for (uint32_t s = 0; s < sectors(w, i); s++)
				if (draw(w, 2))
					crash_add(w, i, s, s + 1);
		crash_end(w);
	}
}

static void
crash_all_ways(struct world *w)
{
	if (w->mem.n == 0)
		return;
	crash_all(w);
	crash_subsets(w);
	crash_torn(w);
	crash_random(w);
}

/* --- the run --- */

static void
world_begin(struct world *w, uint64_t slots, uint32_t most, uint32_t seed)
{
	memset(w, 0, sizeof(*w));
	mem_make(&w->mem, slots, "lb");
	w->mem.auto_done = false;
	w->random = seed;
	w->most = most;
	crashed = w->mem;
	crashed.disk = malloc(w->mem.size);
	second.mem.disk = NULL;
	w->log = mem_log(&w->mem, "lb", &w->stats, NULL, NULL, NULL);
}

static void
world_end(struct world *w)
{
	plog_destroy(w->log, 0);
	mem_free(&w->mem);
	free(crashed.disk);
}

/* One step: some records, then some writes end, in any order. */
static void
step(struct world *w, uint32_t burst, uint32_t value)
{
	uint32_t n = draw(w, burst) + 1;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t key = draw(w, KEYS);

		if (!append(w, key, value * 4096 + i, plog_reserve))
			break;
	}
	checkpoint_some(w);
	plog_poll(w->log, value);
	crash_all_ways(w);
	while (w->mem.n > 0 && draw(w, 3) != 0) {
		mem_complete(&w->mem, draw(w, w->mem.n));
		if (draw(w, 2))
			crash_all_ways(w);
		plog_poll(w->log, value);
	}
}

static void
run(uint64_t slots, uint32_t most, uint32_t burst, uint32_t steps, bool twice,
	uint32_t seed, uint64_t laps)
{
	struct world *w = &world;

	world_begin(w, slots, most, seed);
	w->twice = twice;
	for (uint32_t i = 1; i <= steps; i++)
		step(w, burst, i);
	printf("%u steps, %lu crashes, %lu of them torn, %lu checkpoints, "
	       "%lu laps\n",
		steps, w->cases, w->torn, w->stats.checkpoints,
		w->log->head / slots);
	ck_assert_uint_gt(w->cases, 3000);
	ck_assert_uint_ge(w->stats.checkpoints, laps);
	ck_assert_uint_ge(w->log->head / slots, laps);
	world_end(w);
}

/* Few records at a time: a block a write, many laps. */
START_TEST(test_trickle)
{
	run(24, 64, 4, 400, false, 11 + (uint32_t)_i, 3);
}
END_TEST

/* Bursts: several writes of many blocks in flight. */
START_TEST(test_bursts)
{
	run(160, 1000, 180, 55, false, 21 + (uint32_t)_i, 2);
}
END_TEST

START_TEST(test_twice)
{
	run(24, 200, 6, 400, true, 31 + (uint32_t)_i, 3);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("plog_crash");
	TCase *t = tcase_create("crash");
	SRunner *sr;
	int failed;

	tcase_add_loop_test(t, test_trickle, 0, 2);
	tcase_add_loop_test(t, test_bursts, 0, 2);
	tcase_add_loop_test(t, test_twice, 0, 2);
	tcase_set_timeout(t, 170);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
