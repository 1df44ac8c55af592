/* SPDX-License-Identifier: BSD-3-Clause */
/* When a log that nobody waits for writes. */
#include "tests/unit/store_mem.h"

static struct mem mem;
static struct stats_log stats;

static void
put(struct plog *log)
{
	uint32_t *r = plog_reserve(log, 1, sizeof(*r));

	ck_assert_ptr_nonnull(r);
	*r = 1;
}

/* Nobody waits: one small write a millisecond, and large ones at once. */
START_TEST(test_gather)
{
	struct plog_params p = { .function = "lb",
		.boot = 1,
		.depth = 4,
		.gather = true,
		.stats = &stats };
	struct plog_report report;
	struct plog *log;
	char why[256];
	int err;

	mem_make(&mem, 256, "lb");
	p.io = mem_io(&mem);
	log = plog_create(&p, &err, why, sizeof(why));
	ck_assert_ptr_nonnull(log);
	ck_assert_int_eq(plog_replay(log, NULL, NULL, &report), 0);
	plog_start(log);
	for (int i = 0; i < 4; i++)
		plog_poll(log, 10);
	put(log);
	ck_assert_uint_eq(plog_wait_ms(log, 10), 0);
	plog_poll(log, 10);
	ck_assert_uint_eq(plog_durable(log), 1);
	put(log);
	plog_poll(log, 10);
	ck_assert_uint_eq(plog_durable(log), 1);
	ck_assert_uint_eq(plog_wait_ms(log, 10), 1);
	ck_assert_uint_eq(plog_wait_ms(log, 11), 0);
	plog_poll(log, 11);
	ck_assert_uint_eq(plog_durable(log), 2);
	while (log->head - log->done < 40)
		put(log);
	plog_poll(log, 11);
	ck_assert_uint_gt(plog_durable(log), 1000);
	plog_destroy(log, 0);
	mem_free(&mem);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("plog_gather");
	TCase *t = tcase_create("plog_gather");
	SRunner *sr;
	int failed;

	tcase_add_test(t, test_gather);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
