/* SPDX-License-Identifier: BSD-3-Clause */
/* Many connections of two stacks: at once, and one after the other. */
#include "tests/unit/tcp_app.h"

static struct app_run run;

static struct lab_plan
plan(int i, uint32_t connections)
{
	struct lab_plan p = { .seed = 77 + (uint64_t)i, .v6 = i & 1 };

	for (int side = 0; side < 2; side++) {
		p.config[side].max_connections = connections;
		p.config[side].rcv_buf = p.config[side].snd_buf = 16384;
		p.config[side].connect_ms = 200000;
		p.link[side].delay_us = 5000;
		p.link[side].reorder_us = 20000;
	}
	return p;
}

static void
impair(struct lab_plan *p)
{
	for (int side = 0; side < 2; side++) {
		p->link[side].loss = 10000;
		p->link[side].reorder = 20000;
		p->link[side].duplicate = 10000;
	}
}

START_TEST(a_thousand_at_once)
{
	struct lab_plan lab = plan(_i, 1024);
	struct app_plan app = { .bytes = { 5000, 9000 },
		.end = END_A,
		.connections = 1000,
		.space_us = 100 };

	if (_i >= 2)
		impair(&lab);
	snprintf(lab_note, sizeof(lab_note), "variant %d", _i);
	app_begin(&run, &lab, &app);
	lab_run_us(&run.w, 120000);
	ck_assert_uint_eq(run.opened, 1000);
	app_finish(&run, 3600 * 1000);
	ck_assert_uint_eq(run.accepted, 1000);
	ck_assert_uint_eq(run.w.side[1].stats.passive_opens, 1000);
}
END_TEST

START_TEST(ten_thousand_short_ones)
{
	struct lab_plan lab = plan(_i, 4096);
	struct app_plan app = { .bytes = { 100, 1000 },
		.end = _i & 1 ? END_A : END_B,
		.close = _i & 1,
		.connections = 10000,
		.space_us = 300 };

	if (_i >= 2)
		impair(&lab);
	snprintf(lab_note, sizeof(lab_note), "variant %d", _i);
	app_run(&run, &lab, &app, 3600 * 1000);
	ck_assert_uint_eq(run.accepted, 10000);
	ck_assert_uint_eq(run.closed[0], 10000);
	ck_assert_uint_eq(run.closed[1], 10000);
}
END_TEST

/* Whatever it was doing: tcp_destroy() leaves nothing. */
START_TEST(destroyed_while_at_work)
{
	struct lab_plan lab = plan(_i, 64);
	struct app_plan app = { .bytes = { 1000000, 1000000 },
		.connections = 20,
		.space_us = 3000,
		.read_us = 30000,
		.send = SEND_CHAIN };
	struct app *a;

	impair(&lab);
	lab.hold_us = 4000;
	app_begin(&run, &lab, &app);
	lab_run_us(&run.w, 20000 + (uint64_t)_i * 37000);
	for (a = run.apps; a != NULL; a = a->next) {
		a->gone = true;
		app_read_all(a);
	}
	lab_end(&run.w);
	while ((a = run.apps) != NULL) {
		run.apps = a->next;
		free(a);
	}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("tcp_many");
	TCase *tc = tcase_create("many");

	tcase_set_timeout(tc, 0);
	tcase_add_loop_test(tc, a_thousand_at_once, 0, 4);
	tcase_add_loop_test(tc, ten_thousand_short_ones, 0, 4);
	tcase_add_loop_test(tc, destroyed_while_at_work, 0, 12);
	suite_add_tcase(suite, tc);
	return lab_main(suite, 32767);
}
