/* SPDX-License-Identifier: BSD-3-Clause */
/* The cache of fragments: what is remembered, for how long, who makes room. */
#include <check.h>
#include <stdlib.h>

#include "dataplane/softnic/lookup.h"

#define S 1000000000ull

static struct fragments *c;

static void
setup(void)
{
	static const uint64_t secret[2] = { 0x1234, 0x5678 };

	c = fragments_create(secret);
	fragments_now(c, 1000 * S);
}

static void
teardown(void)
{
	free(c);
}

static struct steer_fragment
key(uint32_t id)
{
	struct steer_fragment k = { .id = id, .proto = 17 };

	k.src = ip_addr_from_v4(0x0a000001);
	k.dst = ip_addr_from_v4(0x0a000002);
	return k;
}

static int
find(uint32_t id)
{
	struct steer_fragment k = key(id);
	const uint32_t *fate = fragments_find(c, &k);

	return fate != NULL ? (int)*fate : -1;
}

static void
enter(uint32_t id, uint32_t fate)
{
	struct steer_fragment k = key(id);

	fragments_put(c, &k, fate);
}

START_TEST(remembers)
{
	struct steer_fragment other = key(1);

	ck_assert_int_eq(find(1), -1);
	enter(1, 10);
	enter(2, 20);
	ck_assert_int_eq(find(1), 10);
	ck_assert_int_eq(find(2), 20);
	enter(1, 11);
	ck_assert_int_eq(find(1), 11);
	other.proto = 6;
	ck_assert_ptr_null(fragments_find(c, &other));
	other = key(1);
	other.src.w[3]++;
	ck_assert_ptr_null(fragments_find(c, &other));
}
END_TEST

START_TEST(forgets_after_30_s)
{
	enter(1, 10);
	fragments_now(c, 1000 * S + 29 * S);
	ck_assert_int_eq(find(1), 10);
	enter(2, 20);
	fragments_now(c, 1000 * S + 31 * S);
	ck_assert_int_eq(find(1), -1);
	ck_assert_int_eq(find(2), 20);
	enter(1, 12);
	fragments_now(c, 1000 * S + 50 * S);
	ck_assert_int_eq(find(1), 12);
}
END_TEST

/* A flood takes the oldest of each set; the newest are all there. */
START_TEST(oldest_makes_room)
{
	int old = 0, new = 0;

	for (uint32_t i = 0; i < 1000; i++)
		enter(i, 1);
	fragments_now(c, 1001 * S);
	for (uint32_t i = 1000; i < 1000 + 8 * FRAGMENTS_SLOTS; i++)
		enter(i, 2);
	for (uint32_t i = 0; i < 1000; i++) {
		old += find(i) == 1;
		new += find(1000 + 8 * FRAGMENTS_SLOTS - 1 - i) == 2;
	}
	ck_assert_int_eq(old, 0);
	ck_assert_int_gt(new, 990);
}
END_TEST

/* One set after the other fills up: none is favoured by these keys. */
START_TEST(spreads)
{
	int there = 0;

	for (uint32_t i = 0; i < FRAGMENTS_SETS; i++)
		enter(i << 16, 3);
	for (uint32_t i = 0; i < FRAGMENTS_SETS; i++)
		there += find(i << 16) == 3;
	ck_assert_int_gt(there, FRAGMENTS_SETS * 99 / 100);
}
END_TEST

int
main(void)
{
	const TTest *const test[] = { remembers, forgets_after_30_s,
		oldest_makes_room, spreads };
	Suite *suite = suite_create("softnic lookup");
	TCase *t = tcase_create("fragments");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	for (size_t i = 0; i < sizeof(test) / sizeof(test[0]); i++)
		tcase_add_test(t, test[i]);
	suite_add_tcase(suite, t);
	r = srunner_create(suite);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
