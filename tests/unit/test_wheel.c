/* SPDX-License-Identifier: BSD-3-Clause */
/* The timer wheel against a list of times that is looked through. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/wheel.h"

#define ENTRIES 200
#define SLOTS   16
#define SHIFT   3 /* slots of 8 ms: a horizon of 128 ms */
#define LISTS   2

struct node {
	char other[12];
	struct wheel_link link;
	char more[5];
};

static struct node node[ENTRIES + LISTS + SLOTS];
static struct wheel wheel;

static void
setup(uint64_t now_ms)
{
	memset(node, 0xee, sizeof(node));
	wheel_init(&wheel, &node->link, sizeof(*node), ENTRIES + LISTS, SLOTS,
		SHIFT, now_ms);
	for (uint32_t i = 0; i < LISTS; i++)
		wheel_list_init(&wheel, ENTRIES + i);
}

START_TEST(test_lists)
{
	const uint32_t list = ENTRIES;

	setup(0);
	ck_assert_uint_eq(wheel_list_first(&wheel, list), WHEEL_NONE);
	for (uint32_t i = 0; i < 5; i++)
		wheel_list_append(&wheel, list, i);
	wheel_unlink(&wheel, 0);
	wheel_unlink(&wheel, 3);
	wheel_unlink(&wheel, 4);
	wheel_list_append(&wheel, list, 0);
	for (uint32_t want = 1; want != WHEEL_NONE;
		want = want == 1   ? 2
		       : want == 2 ? 0
				   : WHEEL_NONE) {
		ck_assert_uint_eq(wheel_list_first(&wheel, list), want);
		wheel_unlink(&wheel, want);
	}
	ck_assert_uint_eq(wheel_list_first(&wheel, list), WHEEL_NONE);
}
END_TEST

/* Never early (but at the horizon), and late by less than two slots. */
START_TEST(test_times)
{
	const uint64_t start = _i == 0 ? 0 : 1000003ull * (uint64_t)_i;

	for (uint32_t delay = 0; delay < 300; delay++) {
		uint64_t now = start, due = start + delay;

		setup(start);
		if (delay > (SLOTS - 1) << SHIFT)
			due = start + ((SLOTS - 2) << SHIFT);
		wheel_arm(&wheel, 7, start, delay);
		while (wheel_pop(&wheel, now) == WHEEL_NONE)
			now++;
		ck_assert_uint_ge(now, due);
		ck_assert_uint_le(now, start + delay + (2 << SHIFT));
		ck_assert_uint_eq(wheel_pop(&wheel, now + 1000), WHEEL_NONE);
	}
}
END_TEST

/* What was unlinked does not fire; what is armed twice over does once. */
START_TEST(test_unlink)
{
	setup(50);
	for (uint32_t i = 0; i < ENTRIES; i++)
		wheel_arm(&wheel, i, 50, i % 100);
	for (uint32_t i = 0; i < ENTRIES; i += 2)
		wheel_unlink(&wheel, i);
	for (uint32_t left = ENTRIES / 2; left > 0; left--)
		ck_assert_uint_eq(wheel_pop(&wheel, 500) % 2, 1);
	ck_assert_uint_eq(wheel_pop(&wheel, 500), WHEEL_NONE);
}
END_TEST

/* After a sleep of any length everything that was due fires. */
START_TEST(test_jump)
{
	setup(10);
	for (uint32_t i = 0; i < ENTRIES; i++)
		wheel_arm(&wheel, i, 10, i * 3);
	for (uint32_t i = 0; i < ENTRIES; i++)
		ck_assert_uint_lt(wheel_pop(&wheel, 1ull << 40), ENTRIES);
	ck_assert_uint_eq(wheel_pop(&wheel, 1ull << 40), WHEEL_NONE);
	wheel_arm(&wheel, 3, 1ull << 40, 20);
	ck_assert_uint_eq(wheel_pop(&wheel, (1ull << 40) + 19), WHEEL_NONE);
	ck_assert_uint_eq(wheel_pop(&wheel, (1ull << 40) + 32), 3);
}
END_TEST

START_TEST(test_wait)
{
	setup(0);
	ck_assert_uint_eq(wheel_wait(&wheel, 0, 1000), 1000);
	wheel_arm(&wheel, 1, 0, 50);
	ck_assert_uint_eq(wheel_wait(&wheel, 0, 1000), 56);
	ck_assert_uint_eq(wheel_wait(&wheel, 0, 30), 30);
	ck_assert_uint_eq(wheel_wait(&wheel, 55, 1000), 1);
	ck_assert_uint_eq(wheel_wait(&wheel, 56, 1000), 0);
	ck_assert_uint_eq(wheel_wait(&wheel, 5000, 1000), 0);
	ck_assert_uint_eq(wheel_pop(&wheel, 56), 1);
	ck_assert_uint_eq(wheel_wait(&wheel, 56, 1000), 1000);
}
END_TEST

/* An owner that arms again until its own time is there, as the balancer. */
START_TEST(test_lazy)
{
	uint64_t stamp[ENTRIES], fired[ENTRIES] = { 0 };
	const uint64_t timeout = 400; /* more than the horizon */

	setup(0);
	srand(7);
	for (uint32_t i = 0; i < ENTRIES; i++) {
		stamp[i] = 0;
		wheel_arm(&wheel, i, 0, (uint32_t)timeout);
	}
	for (uint64_t now = 1; now < 3000; now++) {
		uint32_t i = (uint32_t)rand() % ENTRIES;

		if (now < 1500 && fired[i] == 0)
			stamp[i] = now;
		while ((i = wheel_pop(&wheel, now)) != WHEEL_NONE) {
			if (stamp[i] + timeout > now)
				wheel_arm(&wheel, i, now,
					(uint32_t)(stamp[i] + timeout - now));
			else
				fired[i] = now;
		}
	}
	for (uint32_t i = 0; i < ENTRIES; i++) {
		ck_assert_uint_ge(fired[i], stamp[i] + timeout);
		ck_assert_uint_le(fired[i], stamp[i] + timeout + (2 << SHIFT));
	}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("wheel");
	TCase *tc = tcase_create("wheel");
	SRunner *sr;
	int failed;

	tcase_add_test(tc, test_lists);
	tcase_add_loop_test(tc, test_times, 0, 12);
	tcase_add_test(tc, test_unlink);
	tcase_add_test(tc, test_jump);
	tcase_add_test(tc, test_wait);
	tcase_add_test(tc, test_lazy);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
