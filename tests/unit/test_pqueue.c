/* SPDX-License-Identifier: BSD-3-Clause */
/* The persistent queue: order, bounds, laps, and crashes at every point. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/log/pqueue.h"
#include "tests/unit/store_mem.h"

#define FUNCTION "queue"
#define OPS_MAX  4096

/* A queue on a store, and what it should hold: items [popped, appended). */
struct bench {
	struct mem mem;
	struct stats_log stats;
	struct plog_report report;
	struct pqueue *q;
	uint64_t appended, popped;
	uint64_t lsn0; /* before the first operation */
	/* after operation i: the same, i = LSN - lsn0 */
	struct {
		uint64_t appended, popped;
	} after[OPS_MAX];
	size_t ops;
};

/* --- items: the n-th is known by its bytes --- */

static uint64_t
mix(uint64_t x)
{
	x = (x ^ (x >> 31)) * 0x7fb5d329728ea185ull;
	x = (x ^ (x >> 27)) * 0x81dadef4bc2dd44dull;
	return x ^ (x >> 33);
}

static uint16_t
item_len(uint64_t n)
{
	uint64_t r = mix(n + 1);

	return r % 8 == 0 ? (uint16_t)(r / 8 % (PQUEUE_ITEM_MAX + 1))
			  : (uint16_t)(r / 8 % 100);
}

static uint16_t
item_make(uint64_t n, uint8_t *buf)
{
	uint16_t len = item_len(n);

	for (uint16_t i = 0; i < len; i++)
		buf[i] = (uint8_t)mix(n * 1031 + i);
	return len;
}

static void
item_check(const void *item, uint16_t len, uint64_t n)
{
	uint8_t want[PQUEUE_ITEM_MAX];

	ck_assert_ptr_nonnull(item);
	ck_assert_uint_eq((uintptr_t)item % 8, 0);
	ck_assert_uint_eq(len, item_make(n, want));
	ck_assert_mem_eq(item, want, len);
}

/* --- the bench --- */

static struct pqueue *
queue_open(struct mem *mem, size_t memory, struct stats_log *stats, int *rc,
	struct plog_report *report)
{
	struct plog_params p = { .io = mem_io(mem),
		.size = mem->size,
		.function = FUNCTION,
		.boot = 1,
		.depth = 3,
		.stats = stats };
	char why[256] = "";
	struct pqueue *q;
	int err;

	q = pqueue_create(&p, memory, &err, why, sizeof(why));
	ck_assert_msg(q != NULL, "%d: %s", err, why);
	*rc = pqueue_replay(q, report);
	return q;
}

static void
bench_open(struct bench *b, size_t memory)
{
	int rc;

	b->q = queue_open(&b->mem, memory, &b->stats, &rc, &b->report);
	ck_assert_int_eq(rc, 0);
	pqueue_start(b->q);
}

static struct bench *
bench_make(uint64_t slots, size_t memory)
{
	struct bench *b = calloc(1, sizeof(*b));

	mem_make(&b->mem, slots, FUNCTION);
	bench_open(b, memory);
	return b;
}

static void
bench_free(struct bench *b)
{
	pqueue_destroy(b->q, 0);
	mem_free(&b->mem);
	free(b);
}

static void
op_note(struct bench *b, uint64_t lsn)
{
	if (b->ops == 0)
		b->lsn0 = lsn - 1;
	b->ops++;
	ck_assert_uint_eq(lsn, b->lsn0 + b->ops);
	if (b->ops < OPS_MAX) {
		b->after[b->ops].appended = b->appended;
		b->after[b->ops].popped = b->popped;
	}
}

static int
put(struct bench *b)
{
	uint8_t buf[PQUEUE_ITEM_MAX];
	uint16_t len = item_make(b->appended, buf);
	uint64_t lsn = pqueue_append(b->q, buf, len);

	if (lsn == 0)
		return 0;
	b->appended++;
	op_note(b, lsn);
	return 1;
}

static int
take(struct bench *b)
{
	uint16_t len = 0;
	const void *item = pqueue_front(b->q, &len);
	uint64_t lsn;

	if (b->appended == b->popped) {
		ck_assert_ptr_null(item);
		ck_assert_uint_eq(pqueue_pop(b->q), 0);
		return 0;
	}
	item_check(item, len, b->popped);
	lsn = pqueue_pop(b->q);
	if (lsn == 0)
		return 0;
	b->popped++;
	op_note(b, lsn);
	return 1;
}

static void
settle(struct bench *b)
{
	for (int i = 0; i < 20; i++)
		pqueue_poll(b->q, 0);
	ck_assert_uint_eq(pqueue_durable(b->q), b->lsn0 + b->ops);
}

/* Take everything: exactly items [popped, appended). */
static void
drain(struct bench *b)
{
	ck_assert_uint_eq(pqueue_length(b->q), b->appended - b->popped);
	while (b->appended > b->popped)
		if (!take(b))
			settle(b);
	ck_assert_uint_eq(pqueue_length(b->q), 0);
}

/* --- tests --- */

START_TEST(first_in_first_out)
{
	struct bench *b = bench_make(64, 1 << 16);

	ck_assert_int_eq(take(b), 0);
	for (int i = 0; i < 20; i++)
		ck_assert_int_eq(put(b), 1);
	ck_assert_uint_eq(pqueue_durable(b->q), 0);
	settle(b);
	drain(b);
	settle(b);
	bench_free(b);
}
END_TEST

START_TEST(goes_on_after_a_restart)
{
	struct bench *b = bench_make(64, 1 << 16);

	for (int round = 0; round < 50; round++) {
		for (int i = 0; i < 10; i++)
			ck_assert_int_eq(put(b), 1);
		for (int i = 0; i < (round % 5) * 5; i++)
			take(b);
		settle(b);
		pqueue_destroy(b->q, 0);
		bench_open(b, 1 << 16);
		ck_assert_int_ne(b->report.end, PLOG_END_DAMAGED);
	}
	drain(b);
	bench_free(b);
}
END_TEST

/* Any mix of operations, the ring of memory small enough to turn often. */
START_TEST(memory_is_bounded_and_used)
{
	const size_t memory = 5000;
	struct bench *b = bench_make(1024, memory);
	size_t used = 0, refused = 0;

	for (uint64_t i = 0; i < 50000; i++) {
		size_t want = PQUEUE_ITEM_BYTES(item_len(b->appended));

		if (mix(i) % 2 == 0) {
			ck_assert_int_eq(put(b), used + want <= memory);
			refused += used + want > memory;
			used += used + want <= memory ? want : 0;
		} else if (b->appended > b->popped) {
			used -= PQUEUE_ITEM_BYTES(item_len(b->popped));
			ck_assert_int_eq(take(b), 1);
		}
		pqueue_poll(b->q, 0);
	}
	ck_assert_uint_gt(refused, 100);
	ck_assert_uint_gt(b->stats.writes, 10 * 1024); /* laps */
	drain(b);
	bench_free(b);
}
END_TEST

/*
 * Full by the disk: then every pop, waited for, is a block of its own, and
 * none may be refused. Filled one by one (_i 0) or together (_i 1).
 */
START_TEST(full_queue_can_be_emptied)
{
	struct bench *b = bench_make(32, 1 << 20);

	for (int lap = 0; lap < 200; lap++) {
		size_t n = 0;

		while (put(b)) {
			n++;
			if (_i == 0)
				settle(b);
		}
		ck_assert_uint_ge(n, _i == 0 ? 14 : 20);
		settle(b);
		while (b->appended > b->popped) {
			ck_assert_int_eq(take(b), 1);
			settle(b);
		}
	}
	bench_free(b);
}
END_TEST

/* A front that stays pins the tail: what is refused is refused, and no more. */
START_TEST(pinned_front_loses_nothing)
{
	struct bench *b = bench_make(32, 1 << 20);

	for (int i = 0; i < 10000; i++) {
		put(b);
		if (b->appended - b->popped > 8)
			ck_assert_int_eq(take(b), 1);
		if (i % 3 == 0)
			settle(b);
	}
	while (put(b))
		;
	settle(b);
	pqueue_destroy(b->q, 0);
	bench_open(b, 1 << 20);
	drain(b);
	bench_free(b);
}
END_TEST

START_TEST(device_that_hangs)
{
	struct bench *b = bench_make(4096, 1 << 24);
	uint64_t held;

	settle(b);
	b->mem.auto_done = false;
	while (put(b))
		pqueue_poll(b->q, 0);
	ck_assert_uint_eq(pqueue_durable(b->q), 0);
	held = b->appended;
	ck_assert_uint_gt(held, PLOG_WINDOW);
	while (take(b))
		;
	b->mem.auto_done = true;
	settle(b);
	ck_assert_int_eq(put(b), 1);
	drain(b);
	bench_free(b);
}
END_TEST

START_TEST(more_than_memory)
{
	struct bench *b = bench_make(64, 1 << 16);
	struct pqueue *q;
	int rc;

	for (int i = 0; i < 20; i++)
		put(b);
	settle(b);
	q = queue_open(&b->mem, 200, &b->stats, &rc, &b->report);
	ck_assert_int_eq(rc, -ENOBUFS);
	pqueue_destroy(q, 0);
	bench_free(b);
}
END_TEST

static const struct {
	uint16_t kind, len;
} foreign[] = { { 0, 8 }, { 3, 8 }, { PQUEUE_POP, 7 }, { PQUEUE_POP, 0 } };

START_TEST(records_of_another)
{
	struct stats_log stats = { 0 };
	struct plog_report report;
	struct pqueue *q;
	struct plog *log;
	struct mem mem;
	int rc;

	mem_make(&mem, 16, FUNCTION);
	log = mem_log(&mem, FUNCTION, &stats, NULL, NULL, NULL);
	memset(plog_reserve(log, foreign[_i].kind, foreign[_i].len), 0,
		foreign[_i].len);
	mem_settle(log);
	plog_destroy(log, 0);
	q = queue_open(&mem, 1000, &stats, &rc, &report);
	ck_assert_int_eq(rc, -EPROTO);
	pqueue_destroy(q, 0);
	mem_free(&mem);
}
END_TEST

/* --- crashes --- */

/* Writes of `which` reach the disk, but of the last one only `sectors`. */
static void
crash_write(struct mem *disk, const struct mem *m, unsigned int which,
	unsigned int sectors)
{
	for (unsigned int i = 0; i < m->n; i++) {
		size_t len = m->fly[i].len;

		if (!(which & (1u << i)))
			continue;
		if (which >> (i + 1) == 0 && len > sectors * MEM_SECTOR)
			len = sectors * MEM_SECTOR;
		memcpy(disk->disk + m->fly[i].off, m->fly[i].data, len);
	}
}

/* Is item n the one at the front? */
static bool
item_is(const struct pqueue *q, uint64_t n)
{
	uint8_t want[PQUEUE_ITEM_MAX];
	uint16_t len = 0, want_len = item_make(n, want);
	const void *item = pqueue_front(q, &len);

	return item != NULL && len == want_len && memcmp(item, want, len) == 0;
}

/*
 * What is recovered is the state after some operation, none before `acked`.
 * Items of the same bytes are told apart by those behind them.
 */
static void
recovered_check(const struct bench *b, struct pqueue *q, uint64_t acked)
{
	bool may[OPS_MAX];
	uint64_t n = pqueue_length(q);
	int found = 0;

	for (uint64_t op = 0; op <= b->ops; op++)
		may[op] = op >= acked - b->lsn0 &&
			  b->after[op].appended - b->after[op].popped == n;
	for (uint64_t i = 0; i < n; i++) {
		for (uint64_t op = 0; op <= b->ops; op++)
			may[op] =
				may[op] && item_is(q, b->after[op].popped + i);
		ck_assert_uint_ne(pqueue_pop(q), 0);
	}
	for (uint64_t op = 0; op <= b->ops; op++)
		found += may[op];
	ck_assert_int_gt(found, 0);
}

static void
crash_one(const struct bench *b, struct mem *disk, unsigned int which,
	unsigned int sectors)
{
	struct stats_log stats = { 0 };
	struct plog_report report;
	struct pqueue *q;
	int rc;

	memcpy(disk->disk, b->mem.disk, b->mem.size);
	crash_write(disk, &b->mem, which, sectors);
	q = queue_open(disk, 1 << 16, &stats, &rc, &report);
	ck_assert_int_eq(rc, 0);
	ck_assert_int_ne(report.end, PLOG_END_DAMAGED);
	pqueue_start(q);
	recovered_check(b, q, b->ops > 0 ? pqueue_durable(b->q) : 0);
	pqueue_destroy(q, 0);
	mem_drop(disk);
}

/* Every choice of what is in flight, the last one torn somewhere. */
static size_t
crash_all(const struct bench *b, struct mem *disk, uint64_t seed)
{
	unsigned int all = 1u << b->mem.n, last = PLOG_BLOCK / MEM_SECTOR;

	for (unsigned int which = 0; which < all; which++) {
		crash_one(b, disk, which, 64 * last);
		crash_one(b, disk, which, (unsigned int)(mix(seed) % last));
	}
	return 2 * all;
}

static void
some_ops(struct bench *b, uint64_t step)
{
	uint64_t n = mix(step) % 5;

	for (uint64_t i = 0; i < n; i++)
		if (mix(step * 7 + i) % 9 < (step % 100 < 50 ? 6u : 3u))
			put(b);
		else
			take(b);
}

START_TEST(crash_at_every_step)
{
	struct bench *b = bench_make(20, 1 << 16);
	struct mem disk;
	size_t cases = 0;

	mem_make(&disk, 20, FUNCTION);
	b->mem.auto_done = false;
	for (uint64_t step = 1; cases < 8000 && b->ops < OPS_MAX - 8; step++) {
		some_ops(b, step);
		pqueue_poll(b->q, 0);
		cases += crash_all(b, &disk, step);
		for (unsigned int i = 0; i < b->mem.n; i++)
			if (mix(step * 31 + i) % 3 != 0)
				mem_complete(&b->mem, i);
	}
	ck_assert_uint_gt(b->stats.writes, 60); /* laps */
	mem_free(&disk);
	bench_free(b);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("pqueue");
	TCase *tc = tcase_create("pqueue");
	SRunner *sr;
	int bad;

	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, first_in_first_out);
	tcase_add_test(tc, goes_on_after_a_restart);
	tcase_add_test(tc, memory_is_bounded_and_used);
	tcase_add_loop_test(tc, full_queue_can_be_emptied, 0, 2);
	tcase_add_test(tc, pinned_front_loses_nothing);
	tcase_add_test(tc, device_that_hangs);
	tcase_add_test(tc, more_than_memory);
	tcase_add_loop_test(tc, records_of_another, 0,
		sizeof(foreign) / sizeof(foreign[0]));
	tcase_add_test(tc, crash_at_every_step);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	bad = srunner_ntests_failed(sr);
	srunner_free(sr);
	return bad != 0;
}
