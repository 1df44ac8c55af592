/* SPDX-License-Identifier: BSD-3-Clause */
/* Opening a store: refusals, damage, and how old a record is. */
#include "tests/unit/plog_bench.h"

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

/* Twenty records, each in a block of its own that is durable. */
static void
twenty_blocks(void)
{
	struct plog *log;

	begin(SLOTS);
	log = reopen(NULL);
	for (uint32_t i = 0; i < 20; i++) {
		put(log, 1, i);
		mem_settle(log);
	}
	plog_destroy(log, 0);
}

/* Open the store, or with `damaged` that in its place; read, do not start. */
static struct plog *
read_all(const struct plog_io *damaged, struct plog_report *report)
{
	const struct plog_params p = { .io = mem_io(&mem),
		.damaged = damaged,
		.function = "lb",
		.depth = 1,
		.boot = 1,
		.stats = &stats };
	char why[256];
	struct plog *log;
	int err;

	memset(&seen, 0, sizeof(seen));
	log = plog_create(&p, &err, why, sizeof(why));
	ck_assert_ptr_nonnull(log);
	ck_assert_int_eq(plog_replay(log, see, &seen, report), 0);
	return log;
}

/* Some lost bytes anywhere in what was durable: damage, told from a crash. */
START_TEST(test_damage)
{
	struct plog_report report;
	struct plog *log;

	for (uint32_t bad = 0; bad < 20; bad++) {
		twenty_blocks();
		mem.disk[plog_offset(SLOTS, 1 + bad) + 70] ^= 0x10;
		log = read_all(NULL, &report);
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
	struct plog_report report;
	struct plog *log;

	twenty_blocks();
	mem.bad_from = plog_offset(SLOTS, 9);
	mem.bad_to = mem.bad_from + 512;
	log = read_all(NULL, &report);
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
	struct plog_report report;
	struct mem old;
	struct plog_io from;
	struct plog *log;

	twenty_blocks();
	old = mem;
	old.disk[plog_offset(SLOTS, 11) + 70] ^= 1;
	from = mem_io(&old);
	mem_make(&mem, SLOTS, "lb");
	log = read_all(&from, &report);
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
	Suite *s = suite_create("plog_open");
	TCase *t = tcase_create("open");
	SRunner *sr;
	int failed;

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
