/* SPDX-License-Identifier: BSD-3-Clause */
/* The log without a crash: format, appending, laps, checkpoints, trouble. */
#include "tests/unit/store_mem.h"

#define SLOTS 64

static struct mem mem;
static struct stats_log stats;

static void
begin(uint64_t slots)
{
	memset(&stats, 0, sizeof(stats));
	mem_make(&mem, slots, "lb");
}

static void
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

static struct seen seen;

static int
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

static struct plog *
reopen(struct plog_report *report)
{
	memset(&seen, 0, sizeof(seen));
	return mem_log(&mem, "lb", &stats, see, &seen, report);
}

START_TEST(test_crc)
{
	uint8_t zeros[32] = { 0 };

	/* RFC 3720 appendix B.4, and the check value of the CRC catalogue. */
	ck_assert_uint_eq(plog_crc(zeros, 32), 0x8a9136aau);
	ck_assert_uint_eq(plog_crc("123456789", 9), 0xe3069283u);
}
END_TEST

START_TEST(test_lengths)
{
	static const uint16_t len[] = { 0, 1, 2, 3, 4, 5, 44, 60, 1023,
		PLOG_RECORD_MAX };
	struct plog_report report;
	struct plog *log;

	begin(SLOTS);
	log = reopen(NULL);
	for (unsigned int i = 0; i < sizeof(len) / sizeof(len[0]); i++) {
		uint8_t *r = plog_reserve(log, (uint16_t)i, len[i]);

		ck_assert_ptr_nonnull(r);
		ck_assert_uint_eq((uintptr_t)r % 4, 0);
		memset(r, (int)(i + 1), len[i]);
	}
	mem_settle(log);
	plog_destroy(log, 0);
	log = reopen(&report);
	ck_assert_uint_eq(seen.n, sizeof(len) / sizeof(len[0]));
	for (unsigned int i = 0; i < seen.n; i++) {
		uint32_t want = (i + 1) * 0x01010101u;

		want = len[i] >= 4 ? want : want & ((1u << len[i] * 8) - 1);
		ck_assert_uint_eq(seen.kind[i], i);
		ck_assert_uint_eq(seen.value[i], want);
	}
	ck_assert_int_eq(report.end, PLOG_END_CLEAN);
	plog_destroy(log, 0);
	mem_free(&mem);
}
END_TEST

/* Records of many sessions, each behind the other's. */
START_TEST(test_sessions)
{
	struct plog_report report;
	struct plog *log;

	begin(SLOTS);
	for (uint32_t s = 0; s < 20; s++) {
		log = reopen(&report);
		ck_assert_uint_eq(seen.n, s * 10);
		ck_assert_uint_eq(report.epoch, s);
		for (uint32_t i = 0; i < 10; i++)
			put(log, 1, s * 10 + i);
		ck_assert_uint_eq(log->lsn, s * 10 + 10);
		mem_settle(log);
		plog_destroy(log, 0);
	}
	log = reopen(NULL);
	ck_assert_uint_eq(seen.n, 200);
	for (uint32_t i = 0; i < 200; i++)
		ck_assert_uint_eq(seen.value[i], i);
	plog_destroy(log, 0);
	mem_free(&mem);
}
END_TEST

/* What was appended while a write was in flight goes out as one. */
START_TEST(test_group_commit)
{
	struct plog *log;
	uint64_t before;

	begin(SLOTS);
	log = reopen(NULL);
	plog_poll(log, 0);
	mem_settle(log);
	mem.auto_done = false;
	put(log, 1, 0);
	plog_poll(log, 0);
	ck_assert_uint_eq(mem.n, 1);
	before = mem.writes;
	for (uint32_t i = 1; i < 200; i++) {
		put(log, 1, i);
		plog_poll(log, 0);
	}
	ck_assert_uint_eq(mem.writes, before);
	ck_assert_uint_eq(plog_durable(log), 0);
	mem_complete(&mem, 0);
	ck_assert_int_eq(plog_poll(log, 0), 1);
	ck_assert_uint_eq(plog_durable(log), 1);
	ck_assert_uint_eq(mem.writes, before + 1);
	mem_complete(&mem, 0);
	plog_poll(log, 0);
	ck_assert_uint_eq(plog_durable(log), 200);
	plog_destroy(log, 0);
	mem_free(&mem);
}
END_TEST

/* Under load writes overlap; what ends first is durable only in its turn. */
START_TEST(test_order)
{
	struct plog *log;
	uint64_t first;

	begin(SLOTS);
	log = reopen(NULL);
	mem_settle(log);
	mem.auto_done = false;
	for (uint32_t i = 0; i < 500 * 40; i++) {
		if (plog_reserve(log, 1, 4) == NULL)
			break;
		plog_poll(log, 0);
	}
	ck_assert_uint_ge(mem.n, 2);
	first = mem.fly[0].len / PLOG_BLOCK;
	mem_complete(&mem, 1);
	plog_poll(log, 0);
	ck_assert_uint_eq(plog_durable(log), 0);
	mem_complete(&mem, 0);
	plog_poll(log, 0);
	ck_assert_uint_gt(plog_durable(log), first);
	mem.auto_done = true;
	mem_settle(log);
	plog_destroy(log, 0);
	mem_free(&mem);
}
END_TEST

/* --- a live set over many laps --- */

#define LIVE 300

static uint32_t model[LIVE];

static int
replay_model(void *ctx, const struct plog_record *r)
{
	const uint32_t *v = r->data;

	((uint32_t *)ctx)[v[0]] = v[1];
	return 0;
}

typedef void *(*reserve_fn)(struct plog *log, uint16_t kind, uint16_t len);

static int
set_by(struct plog *log, uint32_t key, uint32_t value, reserve_fn reserve)
{
	uint32_t *r = reserve(log, 1, 8);

	if (r == NULL)
		return 0;
	r[0] = key;
	r[1] = value;
	return 1;
}

static int
set(struct plog *log, uint32_t key, uint32_t value)
{
	return set_by(log, key, value, plog_reserve);
}

struct sweep {
	uint32_t next;
	bool on;
};

static void
checkpoint_some(struct plog *log, struct sweep *s, uint64_t live_bytes)
{
	if (!s->on && plog_checkpoint_due(log, live_bytes)) {
		plog_checkpoint_begin(log);
		s->on = true;
		s->next = 0;
	}
	for (int i = 0; s->on && i < 30 && s->next < LIVE; i++) {
		if (plog_pressed(log))
			return;
		if (!set_by(log, s->next, model[s->next],
			    plog_checkpoint_reserve))
			plog_missed(log);
		s->next++;
	}
	if (s->on && s->next == LIVE) {
		plog_checkpoint_end(log);
		s->on = false;
	}
}

static void
model_check(void)
{
	uint32_t got[LIVE] = { 0 };
	struct plog_report report;
	struct stats_log ignored = { 0 };
	struct plog *log =
		mem_log(&mem, "lb", &ignored, replay_model, got, &report);

	for (uint32_t i = 0; i < LIVE; i++)
		ck_assert_uint_eq(got[i], model[i]);
	plog_destroy(log, 0);
}

START_TEST(test_laps)
{
	struct sweep sweep = { 0 };
	struct plog *log;
	uint32_t random = 1;

	begin(SLOTS);
	memset(model, 0, sizeof(model));
	log = reopen(NULL);
	for (uint32_t i = 1; i < 400000; i++) {
		uint32_t key;

		random = random * 1664525 + 1013904223;
		key = (random >> 8) % LIVE;
		model[key] = i;
		ck_assert_int_eq(set(log, key, i), 1);
		checkpoint_some(log, &sweep, LIVE * 12);
		plog_poll(log, 0);
	}
	mem_settle(log);
	ck_assert_uint_gt(stats.checkpoints, 100);
	ck_assert_uint_gt(log->head, 50 * SLOTS);
	ck_assert_uint_eq(stats.missed, 0);
	ck_assert_uint_eq(plog_state(log), PLOG_OK);
	plog_destroy(log, 0);
	model_check();
	mem_free(&mem);
}
END_TEST

/*
 * Others miss a record while a checkpoint runs: it counts all the same, so
 * that there is room for the next one, and nothing is ever given up.
 */
START_TEST(test_missed_meanwhile)
{
	struct sweep sweep = { 0 };
	struct plog *log;

	begin(SLOTS);
	memset(model, 0, sizeof(model));
	log = reopen(NULL);
	for (uint32_t round = 1; round < 200; round++) {
		for (uint32_t i = 0; i < LIVE; i++) {
			if (!set(log, i, round))
				continue;
			model[i] = round;
			checkpoint_some(log, &sweep, LIVE * 12);
			if (plog_checkpoint_running(log) && i % 50 == 0)
				plog_missed(log);
			plog_poll(log, 0);
		}
		mem_settle(log);
		model_check();
	}
	ck_assert_uint_gt(stats.missed, 10);
	ck_assert_uint_gt(stats.checkpoints, 10);
	plog_destroy(log, 0);
	mem_free(&mem);
}
END_TEST

/* An idle log asks for no checkpoint, whatever is live. */
START_TEST(test_checkpoint_idle)
{
	struct plog *log;

	begin(SLOTS);
	log = reopen(NULL);
	mem_settle(log);
	for (uint64_t live = 0; live < SLOTS * 4000; live += 1000)
		ck_assert_int_eq(plog_checkpoint_due(log, live), false);
	plog_destroy(log, 0);
	mem_free(&mem);
}
END_TEST

/*
 * A live set that does not fit twice: the log says so and takes no more; when
 * it has become smaller, one checkpoint catches up.
 */
START_TEST(test_full)
{
	const uint64_t big = (SLOTS - 10) * 4000ull;
	struct sweep sweep = { 0 };
	struct plog *log;
	uint32_t n = 0;

	begin(SLOTS);
	log = reopen(NULL);
	memset(model, 0, sizeof(model));
	while (set(log, n % LIVE, 7)) {
		model[n % LIVE] = 7;
		plog_poll(log, 0);
		n++;
	}
	model[3] = 9;
	ck_assert_int_eq(set(log, 3, 9), 0);
	plog_missed(log);
	mem_settle(log);
	ck_assert_int_eq(plog_checkpoint_due(log, big), false);
	ck_assert_int_eq(plog_state(log), PLOG_FULL);
	ck_assert_int_eq(plog_healthy(log), false);
	ck_assert_uint_eq(stats.fulls, 1);
	ck_assert_uint_eq(stats.state, PLOG_FULL);
	for (int i = 0; i < 1000; i++) {
		checkpoint_some(log, &sweep, LIVE * 12);
		plog_poll(log, 0);
	}
	mem_settle(log);
	ck_assert_int_eq(plog_state(log), PLOG_OK);
	ck_assert_uint_eq(stats.state, PLOG_OK);
	ck_assert_int_eq(set(log, 4, 11), 1);
	model[4] = 11;
	mem_settle(log);
	plog_destroy(log, 0);
	model_check();
	mem_free(&mem);
}
END_TEST

/*
 * What is live fits once, but not beside itself: that is too small as well,
 * and no reason to write checkpoint after checkpoint.
 */
START_TEST(test_full_once)
{
	const uint64_t big = SLOTS / 2 * 4000ull;
	struct plog *log;
	uint64_t writes;

	begin(SLOTS);
	log = reopen(NULL);
	mem_settle(log);
	ck_assert_int_eq(plog_checkpoint_due(log, big), false);
	while (plog_reserve(log, 1, 1000) != NULL)
		plog_poll(log, 0);
	plog_missed(log);
	mem_settle(log);
	writes = mem.writes;
	for (int i = 0; i < 1000; i++) {
		ck_assert_int_eq(plog_checkpoint_due(log, big), false);
		plog_poll(log, 0);
	}
	ck_assert_uint_eq(mem.writes, writes);
	ck_assert_int_eq(plog_state(log), PLOG_FULL);
	ck_assert_int_eq(plog_checkpoint_due(log, big / 2), true);
	plog_destroy(log, 0);
	mem_free(&mem);
}
END_TEST

/* --- trouble --- */

/* Writes fail for a while: nothing is lost, and nothing said to be durable. */
START_TEST(test_failing)
{
	static const int error[] = { -EIO, -ENOSPC, -ENODEV, -EAGAIN };
	struct plog *log;
	uint64_t now = 1000;
	uint32_t wait;

	begin(SLOTS);
	log = reopen(NULL);
	put(log, 1, 0);
	mem_settle(log);
	for (int e = 0; e < 4; e++) {
		mem.fail = error[e];
		put(log, 1, (uint32_t)(1 + 2 * e));
		plog_poll(log, now);
		plog_poll(log, now);
		ck_assert_int_eq(plog_state(log), PLOG_FAILING);
		ck_assert_int_eq(plog_healthy(log), false);
		ck_assert_uint_eq(stats.error, (uint32_t)-error[e]);
		put(log, 1, (uint32_t)(2 + 2 * e));
		/* It is repeated, ever more seldom, once a second at last. */
		for (int i = 0; i < 20; i++) {
			uint64_t errors = stats.errors;

			wait = plog_wait_ms(log, now);
			ck_assert_uint_gt(wait, 0);
			ck_assert_uint_le(wait, 1000);
			now += wait;
			plog_poll(log, now);
			plog_poll(log, now);
			ck_assert_uint_eq(stats.errors, errors + 1);
		}
		ck_assert_uint_eq(wait, 1000);
		ck_assert_uint_eq(plog_durable(log), (uint64_t)(1 + 2 * e));
		mem.fail = 0;
		now += 1000;
		plog_poll(log, now);
		mem_settle(log);
		ck_assert_int_eq(plog_state(log), PLOG_OK);
	}
	plog_destroy(log, 0);
	log = reopen(NULL);
	ck_assert_uint_eq(seen.n, 9);
	for (uint32_t i = 0; i < 9; i++)
		ck_assert_uint_eq(seen.value[i], i);
	plog_destroy(log, 0);
	mem_free(&mem);
}
END_TEST

/* With memory full, records are refused; the rest is there afterwards. */
START_TEST(test_failing_long)
{
	struct plog *log;
	uint32_t n = 0;

	begin(4 * PLOG_WINDOW);
	log = reopen(NULL);
	mem_settle(log);
	mem.fail = -EIO;
	while (plog_reserve(log, 1, 1000) != NULL) {
		plog_poll(log, n);
		n++;
	}
	ck_assert_uint_ge(n, (PLOG_WINDOW - 1) * 4);
	ck_assert_int_eq(plog_pressed(log), true);
	ck_assert_uint_ge(stats.no_room, 1);
	mem.fail = 0;
	for (uint64_t now = 0; now < 5000; now += 100)
		plog_poll(log, n + now);
	ck_assert_uint_eq(plog_durable(log), n);
	ck_assert_int_eq(plog_state(log), PLOG_OK);
	plog_destroy(log, 0);
	mem_free(&mem);
}
END_TEST

/* A device that says nothing: stalled after a second, well when it answers. */
START_TEST(test_stalled)
{
	struct plog *log;

	begin(SLOTS);
	log = reopen(NULL);
	mem_settle(log);
	mem.auto_done = false;
	put(log, 1, 1);
	plog_poll(log, 100);
	ck_assert_uint_eq(plog_wait_ms(log, 100), 1000);
	/* Whoever was woken meanwhile must not sleep past it. */
	ck_assert_uint_eq(plog_wait_ms(log, 700), 400);
	plog_poll(log, 1099);
	ck_assert_int_eq(plog_state(log), PLOG_OK);
	ck_assert_int_eq(plog_poll(log, 1100), 1);
	ck_assert_int_eq(plog_state(log), PLOG_STALLED);
	plog_poll(log, 5000);
	ck_assert_uint_eq(stats.stalls, 1);
	mem_complete(&mem, 0);
	ck_assert_int_eq(plog_poll(log, 6000), 1);
	ck_assert_int_eq(plog_state(log), PLOG_OK);
	ck_assert_uint_eq(plog_durable(log), 1);
	plog_destroy(log, 0);
	mem_free(&mem);
}
END_TEST

/* The first superblock of a session fails: no block is written before it. */
START_TEST(test_super_first)
{
	struct plog *log;
	const struct plog_super *s = (const void *)mem.disk;

	begin(SLOTS);
	s = (const void *)mem.disk;
	log = reopen(NULL);
	mem.fail = -EIO;
	put(log, 1, 5);
	plog_poll(log, 0);
	plog_poll(log, 1);
	ck_assert_int_eq(plog_state(log), PLOG_FAILING);
	ck_assert_uint_eq(mem.writes, 1);
	ck_assert_uint_eq(s->epoch, 0);
	mem.fail = 0;
	plog_poll(log, 100);
	mem_settle(log);
	ck_assert_uint_eq(s->epoch, 1);
	plog_destroy(log, 0);
	log = reopen(NULL);
	ck_assert_uint_eq(seen.n, 1);
	plog_destroy(log, 0);
	mem_free(&mem);
}
END_TEST

/* --- opening --- */

START_TEST(test_refused)
{
	struct plog_params p = { .function = "lb", .depth = 1, .boot = 1 };
	char why[256];
	int err;

	begin(SLOTS);
	p.stats = &stats;
	p.io = mem_io(&mem);
	p.size = mem.size;
	p.function = "proxy";
	ck_assert_ptr_null(plog_create(&p, &err, why, sizeof(why)));
	ck_assert_int_eq(err, -EMEDIUMTYPE);
	ck_assert_ptr_nonnull(strstr(why, "of type lb, not proxy"));
	p.function = "lb";
	p.size = mem.size + PLOG_BLOCK;
	ck_assert_ptr_null(plog_create(&p, &err, why, sizeof(why)));
	ck_assert_int_eq(err, -EFBIG);
	p.size = mem.size;
	((struct plog_super *)(void *)mem.disk)->version = 2;
	plog_super_seal((struct plog_super *)(void *)mem.disk);
	memset(mem.disk + mem.size - PLOG_BLOCK, 0, PLOG_BLOCK);
	ck_assert_ptr_null(plog_create(&p, &err, why, sizeof(why)));
	ck_assert_int_eq(err, -EPROTONOSUPPORT);
	memset(mem.disk, 7, PLOG_BLOCK);
	ck_assert_ptr_null(plog_create(&p, &err, why, sizeof(why)));
	ck_assert_int_eq(err, -EBADMSG);
	memset(mem.disk, 0, PLOG_BLOCK);
	ck_assert_ptr_null(plog_create(&p, &err, why, sizeof(why)));
	ck_assert_int_eq(err, -ENODATA);
	mem_format(&mem, SLOTS, "l\033b");
	ck_assert_ptr_null(plog_create(&p, &err, why, sizeof(why)));
	ck_assert_int_eq(err, -EBADMSG);
	mem.fail_read = -EIO;
	ck_assert_ptr_null(plog_create(&p, &err, why, sizeof(why)));
	ck_assert_int_eq(err, -EIO);
	mem_free(&mem);
}
END_TEST

/* Either superblock is enough. */
START_TEST(test_one_super)
{
	struct plog *log;

	for (int lost = 0; lost < 2; lost++) {
		begin(SLOTS);
		log = reopen(NULL);
		put(log, 1, 1);
		mem_settle(log);
		plog_destroy(log, 0);
		memset(lost ? mem.disk + mem.size - PLOG_BLOCK : mem.disk, 1,
			PLOG_BLOCK);
		log = reopen(NULL);
		ck_assert_uint_eq(seen.n, 1);
		plog_destroy(log, 0);
		mem_free(&mem);
	}
}
END_TEST

/* Some lost bytes anywhere in what was durable: damage, told from a crash. */
START_TEST(test_damage)
{
	struct plog_params p = { .function = "lb", .depth = 1, .boot = 1 };
	struct plog_report report;
	char why[256];
	struct plog *log;
	int err;

	for (uint32_t bad = 0; bad < 20; bad++) {
		begin(SLOTS);
		log = reopen(NULL);
		for (uint32_t i = 0; i < 20; i++) {
			put(log, 1, i);
			mem_settle(log);
		}
		plog_destroy(log, 0);
		mem.disk[plog_offset(SLOTS, 1 + bad) + 70] ^= 0x10;
		memset(&seen, 0, sizeof(seen));
		p.stats = &stats;
		p.io = mem_io(&mem);
		log = plog_create(&p, &err, why, sizeof(why));
		ck_assert_ptr_nonnull(log);
		ck_assert_int_eq(plog_replay(log, see, &seen, &report), 0);
		ck_assert_uint_eq(seen.n, bad);
		/* Nothing is behind the last block to say that it was there. */
		ck_assert_int_eq(report.end,
			bad == 19 ? PLOG_END_CLEAN : PLOG_END_DAMAGED);
		plog_destroy(log, 0);
		mem_free(&mem);
	}
}
END_TEST

START_TEST(test_unreadable)
{
	struct plog_params p = { .function = "lb", .depth = 1, .boot = 1 };
	struct plog_report report;
	char why[256];
	struct plog *log;
	int err;

	begin(SLOTS);
	log = reopen(NULL);
	for (uint32_t i = 0; i < 20; i++) {
		put(log, 1, i);
		mem_settle(log);
	}
	plog_destroy(log, 0);
	mem.bad_from = plog_offset(SLOTS, 9);
	mem.bad_to = mem.bad_from + 512;
	p.stats = &stats;
	p.io = mem_io(&mem);
	memset(&seen, 0, sizeof(seen));
	log = plog_create(&p, &err, why, sizeof(why));
	ck_assert_ptr_nonnull(log);
	ck_assert_int_eq(plog_replay(log, see, &seen, &report), 0);
	ck_assert_uint_eq(seen.n, 8);
	ck_assert_int_eq(report.end, PLOG_END_DAMAGED);
	ck_assert_ptr_nonnull(strstr(report.why, "cannot be read"));
	plog_destroy(log, 0);
	mem_free(&mem);
}
END_TEST

/* The good part of a damaged store goes on in a new one. */
START_TEST(test_damaged_source)
{
	struct plog_params p = { .function = "lb", .depth = 1, .boot = 1 };
	struct plog_report report;
	struct mem old;
	struct plog_io from;
	char why[256];
	struct plog *log;
	int err;

	begin(SLOTS);
	log = reopen(NULL);
	for (uint32_t i = 0; i < 20; i++) {
		put(log, 1, i);
		mem_settle(log);
	}
	plog_destroy(log, 0);
	old = mem;
	old.disk[plog_offset(SLOTS, 11) + 70] ^= 1;
	from = mem_io(&old);
	mem_make(&mem, SLOTS, "lb");
	p.stats = &stats;
	p.io = mem_io(&mem);
	p.damaged = &from;
	memset(&seen, 0, sizeof(seen));
	log = plog_create(&p, &err, why, sizeof(why));
	ck_assert_ptr_nonnull(log);
	ck_assert_int_eq(plog_replay(log, see, &seen, &report), 0);
	ck_assert_uint_eq(seen.n, 10);
	ck_assert_int_eq(report.end, PLOG_END_CLEAN);
	plog_start(log);
	mem_settle(log);
	ck_assert_int_eq(plog_checkpoint_due(log, 100), true);
	plog_destroy(log, 0);
	mem_free(&mem);
	mem_free(&old);
}
END_TEST

START_TEST(test_age)
{
	struct plog_params p = { .function = "lb", .depth = 1, .boot = 5 };
	struct mem_clock clock = { 1000, 1000000 };
	struct plog_head h = { .boot = 5, .boot_ms = 400, .wall_ms = 999000 };
	char why[256];
	struct plog *log;
	int err;

	begin(SLOTS);
	p.stats = &stats;
	p.io = mem_io(&mem);
	p.clock = mem_clock;
	p.clock_ctx = &clock;
	log = plog_create(&p, &err, why, sizeof(why));
	ck_assert_ptr_nonnull(log);
	ck_assert_uint_eq(plog_age_ms(log, &h), 600);
	h.boot = 6;
	ck_assert_uint_eq(plog_age_ms(log, &h), 1000);
	clock.wall_ms = 10;
	ck_assert_uint_eq(plog_age_ms(log, &h), 0);
	plog_destroy(log, 0);
	mem_free(&mem);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("plog");
	TCase *t = tcase_create("plog");
	SRunner *sr;
	int failed;

	tcase_add_test(t, test_crc);
	tcase_add_test(t, test_lengths);
	tcase_add_test(t, test_sessions);
	tcase_add_test(t, test_group_commit);
	tcase_add_test(t, test_order);
	tcase_add_test(t, test_laps);
	tcase_add_test(t, test_missed_meanwhile);
	tcase_add_test(t, test_checkpoint_idle);
	tcase_add_test(t, test_full);
	tcase_add_test(t, test_full_once);
	tcase_add_test(t, test_failing);
	tcase_add_test(t, test_failing_long);
	tcase_add_test(t, test_stalled);
	tcase_add_test(t, test_super_first);
	tcase_add_test(t, test_refused);
	tcase_add_test(t, test_one_super);
	tcase_add_test(t, test_damage);
	tcase_add_test(t, test_unreadable);
	tcase_add_test(t, test_damaged_source);
	tcase_add_test(t, test_age);
	tcase_set_timeout(t, 60);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
