/* SPDX-License-Identifier: BSD-3-Clause */
/* What is told of a log, from counters that an untrusted process writes. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctrl/log_watch.h"
#include "ctrl/status.h"

static struct stats *stats;
static struct log_watch w;
static char line[LOG_WATCH_LINE];

static void
setup(void)
{
	stats = calloc(1, sizeof(*stats));
	ck_assert_ptr_nonnull(stats);
	log_watch_init(&w, stats);
	stats->starts = 1;
	stats->log.state = PLOG_OK;
}

static void
teardown(void)
{
	free(stats);
}

static void
told(const char *text)
{
	ck_assert_msg(
		log_watch(&w, stats, line, sizeof(line)), "not told: %s", text);
	ck_assert_str_eq(line, text);
}

static void
told_nothing(void)
{
	ck_assert_msg(!log_watch(&w, stats, line, sizeof(line)), "%s", line);
}

START_TEST(trouble_and_its_end)
{
	told_nothing();
	stats->log.state = PLOG_FAILING;
	stats->log.error = EIO;
	told(": log: the device refuses writes (Input/output error); serving "
	     "on without durability");
	told_nothing();
	stats->log.error = ENOSPC;
	told(": log: the device refuses writes (No space left on device); "
	     "serving on without durability");
	stats->log.state = PLOG_STALLED;
	told(": log: the device does not answer; serving on without "
	     "durability");
	stats->log.state = PLOG_OK;
	told(": log: durable again");
	told_nothing();
	stats->log.state = PLOG_FULL;
	stats->log.live = 800000;
	stats->log.capacity = 1000000;
	told(": log: the store is too small for what is live (0.8 MB of 1.0 MB "
	     "live, 2.0 MB needed); serving on without durability; set "
	     "log.size higher");
	told_nothing();
}
END_TEST

START_TEST(a_restart)
{
	told_nothing();
	stats->starts = 2;
	stats->log.state = PLOG_STARTING;
	stats->log.recovered = 200;
	stats->log.recover_records = 300;
	stats->log.recover_us = 1500;
	told(" recovered 200 connections in 1.5 ms");
	told_nothing();
	stats->log.state = PLOG_OK;
	told_nothing();
	/* The losses count on; told are those of this start. */
	stats->starts = 3;
	stats->log.lost_config = 1;
	stats->log.lost_expired = 2;
	stats->log.lost_other = 3;
	told(" recovered 200 connections in 1.5 ms; dropped: 1 of what the "
	     "config no longer has, 2 expired, 3 other");
	stats->starts = 4;
	stats->log.lost_other = 5;
	stats->log.damaged = 1;
	told(" recovered 200 connections in 1.5 ms; dropped: 0 of what the "
	     "config no longer has, 0 expired, 2 other; the store was "
	     "damaged: later records are lost");
	told_nothing();
}
END_TEST

/* A new store has nothing to recover. */
START_TEST(first_start)
{
	told_nothing();
	told_nothing();
}
END_TEST

START_TEST(without_a_store)
{
	log_watch_given(&w, false);
	stats->log.state = PLOG_FAILING;
	stats->log.error = ENODEV;
	told_nothing();
	/* Also if nobody has looked in between. */
	log_watch_given(&w, false);
	log_watch_given(&w, true);
	stats->starts = 2;
	stats->log.state = PLOG_OK;
	told(": log: durable again");
}
END_TEST

/* Whoever adopts tells what is wrong, and not what has been. */
START_TEST(adopted)
{
	stats->starts = 7;
	stats->log.recovered = 200;
	stats->log.lost_config = 9;
	log_watch_init(&w, stats);
	told_nothing();
	stats->log.state = PLOG_STALLED;
	told(": log: the device does not answer; serving on without "
	     "durability");
}
END_TEST

START_TEST(nonsense)
{
	memset(stats, 0xff, sizeof(*stats));
	for (int i = 0; i < 3; i++)
		log_watch(&w, stats, line, sizeof(line));
	told_nothing();
	stats->log.state = PLOG_FAILING;
	told(": log: the device refuses writes (error 4294967295); serving on "
	     "without durability");
	memset(stats, 0, sizeof(*stats));
	told(": log: the instance keeps none; serving on without durability");
	told_nothing();
}
END_TEST

/* --- the status of it --- */

static json_t *
status(uint32_t durability)
{
	static struct grant grant;
	static struct store store;

	grant.store.durability = durability;
	strcpy(store.path, "/srv/t/web.0.log");
	return status_log_json(&store, &grant, stats);
}

START_TEST(in_the_status)
{
	json_t *o;

	stats->log.state = PLOG_FAILING;
	stats->log.error = EIO;
	stats->log.records = 5;
	stats->log.recover_us = 1500;
	o = status(GRANT_DURABILITY_SYNC);
	ck_assert_str_eq(json_string_value(json_object_get(o, "store")),
		"/srv/t/web.0.log");
	ck_assert_str_eq(
		json_string_value(json_object_get(o, "durability")), "sync");
	ck_assert_str_eq(
		json_string_value(json_object_get(o, "state")), "failing");
	ck_assert_str_eq(json_string_value(json_object_get(o, "error")),
		"Input/output error");
	ck_assert_int_eq(json_integer_value(json_object_get(o, "records")), 5);
	ck_assert(json_real_value(json_object_get(o, "recover_ms")) == 1.5);
	ck_assert(json_is_false(json_object_get(o, "damaged")));
	json_decref(o);
	memset(stats, 0xff, sizeof(*stats));
	o = status(GRANT_DURABILITY_BATCH);
	ck_assert_str_eq(
		json_string_value(json_object_get(o, "state")), "unknown");
	ck_assert_ptr_null(json_object_get(o, "error"));
	json_decref(o);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("log_watch");
	TCase *tc = tcase_create("log_watch");
	SRunner *sr = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, trouble_and_its_end);
	tcase_add_test(tc, a_restart);
	tcase_add_test(tc, first_start);
	tcase_add_test(tc, without_a_store);
	tcase_add_test(tc, adopted);
	tcase_add_test(tc, nonsense);
	tcase_add_test(tc, in_the_status);
	suite_add_tcase(suite, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
