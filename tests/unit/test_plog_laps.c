/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A store of 1 MiB takes ten million records, some 650 times its size, and a
 * live set that fits: whenever its owner goes, the next one finds every value.
 *
 * The owner sets values at random, ends some, logs each change, and writes
 * what is live anew when the log asks for it, a slice at a time between other
 * changes. Some writes end late, and some fail. The session ends at random
 * moments, with records on the way.
 */
#include "tests/unit/store_mem.h"

#define SLOTS    (1024 / 4 - 2)
#define RECORDS  10000000u
#define SESSIONS 20u
#define KEYS     4096u
#define SLICE    64u

enum kind { SET = 1, END };

struct value {
	uint32_t key, version;
	uint8_t rest[52];
};

_Static_assert(sizeof(struct value) == 60, "64 bytes with its head");

/* Versions by key; 0: there is none. `since` is the last change's LSN. */
struct owner {
	uint32_t version[KEYS];
	uint64_t since[KEYS];
	uint32_t live, save_next, count;
};

static struct mem mem;
static struct stats_log stats;
static struct owner owner;
static uint64_t random_state = 88172645463325252ull;

static uint32_t
draw(uint32_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)((random_state >> 32) * below >> 32);
}

/* --- what the store says --- */

static int
found(void *ctx, const struct plog_record *r)
{
	struct owner *o = ctx;
	const struct value *v = r->data;

	ck_assert_uint_eq(r->len, r->kind == SET ? sizeof(*v) : 4);
	ck_assert_uint_lt(v->key, KEYS);
	if (r->kind == SET)
		ck_assert_uint_eq(v->rest[51], (uint8_t)v->version);
	o->version[v->key] = r->kind == SET ? v->version : 0;
	return 0;
}

/* Every value whose last change was durable is there; later ones may be. */
static void
compare(const struct owner *o, uint64_t durable)
{
	for (uint32_t i = 0; i < KEYS; i++)
		if (owner.since[i] <= durable)
			ck_assert_uint_eq(o->version[i], owner.version[i]);
}

static struct plog *
open_log(uint64_t durable)
{
	static struct owner next;
	struct plog_report report;
	struct plog *log;

	memset(&next, 0, sizeof(next));
	log = mem_log(&mem, "lb", &stats, found, &next, &report);
	ck_assert_int_ne(report.end, PLOG_END_DAMAGED);
	compare(&next, durable);
	for (uint32_t i = 0; i < KEYS; i++) {
		next.live += next.version[i] != 0;
		next.since[i] = 0;
	}
	next.count = owner.count;
	owner = next;
	return log;
}

/* --- what the owner does --- */

static void
value_put(struct value *v, uint32_t key)
{
	v->key = key;
	v->version = owner.version[key];
	memset(v->rest, (int)v->version, sizeof(v->rest));
}

static void
save_slice(struct plog *log)
{
	for (uint32_t i = 0; i < SLICE && owner.save_next < KEYS; i++) {
		struct value *v;

		if (owner.version[owner.save_next] == 0) {
			owner.save_next++;
			continue;
		}
		v = plog_checkpoint_reserve(log, SET, sizeof(*v));
		if (v == NULL)
			return;
		value_put(v, owner.save_next++);
	}
	if (owner.save_next == KEYS)
		plog_checkpoint_end(log);
}

static void
save(struct plog *log)
{
	if (plog_checkpoint_running(log)) {
		save_slice(log);
	} else if (plog_checkpoint_due(log, owner.live * 64)) {
		plog_checkpoint_begin(log);
		owner.save_next = 0;
	}
}

/* A write in flight ends, any of them; now and then it fails. */
static void
device(void)
{
	if (mem.n == 0 || draw(4) == 0)
		return;
	mem.fail = draw(1000) == 0 ? -EIO : 0;
	mem_complete(&mem, draw(mem.n));
}

static void
turn(struct plog *log, uint64_t *now_ms)
{
	save(log);
	device();
	plog_poll(log, ++*now_ms);
	mem.fail = 0;
}

static void
change(struct plog *log, uint64_t *now_ms)
{
	uint32_t key = draw(KEYS), end = draw(8) == 0;
	void *at;

	while ((at = plog_reserve(log, end ? END : SET,
			end ? 4 : sizeof(struct value))) == NULL)
		turn(log, now_ms);
	owner.live -= owner.version[key] != 0;
	owner.version[key] = end ? 0 : ++owner.count;
	owner.live += !end;
	owner.since[key] = log->lsn;
	if (end)
		memcpy(at, &key, sizeof(key));
	else
		value_put(at, key);
}

static void
session(struct plog *log, uint32_t records)
{
	uint64_t now_ms = 1;

	for (uint32_t i = 0; i < records; i++) {
		change(log, &now_ms);
		if (draw(16) == 0)
			turn(log, &now_ms);
	}
}

START_TEST(test_laps)
{
	uint64_t durable = 0;

	mem_make(&mem, SLOTS, "lb");
	for (uint32_t i = 0; i < SESSIONS; i++) {
		struct plog *log;

		mem.auto_done = true;
		log = open_log(durable);
		mem.auto_done = false;
		session(log, RECORDS / SESSIONS);
		durable = plog_durable(log);
		plog_destroy(log, 0);
		mem_drop(&mem);
	}
	mem.auto_done = true;
	plog_destroy(open_log(durable), 0);
	ck_assert_uint_gt(stats.written / (SLOTS * PLOG_BLOCK), 600);
	ck_assert_uint_gt(stats.checkpoints, 1000);
	ck_assert_uint_gt(stats.errors, 10);
	ck_assert_uint_eq(stats.missed, 0);
	mem_free(&mem);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("plog_laps");
	TCase *t = tcase_create("plog_laps");
	SRunner *sr;
	int failed;

	tcase_add_test(t, test_laps);
	tcase_set_timeout(t, 120);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
