/* SPDX-License-Identifier: BSD-3-Clause */
/* Maglev: spread by weight, the same everywhere, little moved by a change. */
#include <arpa/inet.h>
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/grant.h"
#include "nf/lb/maglev.h"

static uint16_t table[MAGLEV_SIZE], other[MAGLEV_SIZE];

/* Backends 10.0.1.x:8080 for x in [first, first + n), value x. */
static void
build(uint16_t *to, uint32_t first, uint32_t n, const uint32_t *weight)
{
	struct maglev_node node[GRANT_BACKENDS_MAX];

	for (uint32_t i = 0; i < n; i++) {
		struct ip_addr a =
			ip_addr_from_v4(htonl(0x0a000100 + first + i));

		node[i].id = maglev_id(&a, htons(8080));
		node[i].weight = weight ? weight[i] : 1;
		node[i].value = (uint16_t)(first + i);
	}
	maglev_build(to, MAGLEV_SIZE, node, n);
}

static uint32_t
share(const uint16_t *of, uint32_t value)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < MAGLEV_SIZE; i++)
		n += of[i] == value;
	return n;
}

START_TEST(test_even)
{
	static const uint32_t sizes[] = { 1, 2, 3, 10, 100, 1024 };
	const uint32_t n = sizes[_i], fair = MAGLEV_SIZE / n;

	build(table, 0, n, NULL);
	for (uint32_t v = 0; v < n; v++) {
		ck_assert_uint_ge(share(table, v), fair);
		ck_assert_uint_le(share(table, v), fair + 1);
	}
}
END_TEST

START_TEST(test_weights)
{
	static const uint32_t weight[] = { 1, 2, 5, 256, 100 };
	uint32_t sum = 364;

	build(table, 0, 5, weight);
	for (uint32_t v = 0; v < 5; v++) {
		double fair = (double)MAGLEV_SIZE * weight[v] / sum;

		ck_assert_double_ge(share(table, v), fair - 2);
		ck_assert_double_le(share(table, v), fair + 2);
	}
}
END_TEST

/* The order in which a config names them does not matter. */
START_TEST(test_order)
{
	struct maglev_node node[2][20];

	for (uint32_t i = 0; i < 20; i++) {
		struct ip_addr a = ip_addr_from_v4(htonl(0x0a000100 + i));

		node[0][i] = (struct maglev_node){ maglev_id(&a, 1), 1 + i % 3,
			(uint16_t)i };
		node[1][19 - i] = node[0][i];
	}
	maglev_build(table, MAGLEV_SIZE, node[0], 20);
	maglev_build(other, MAGLEV_SIZE, node[1], 20);
	ck_assert_mem_eq(table, other, sizeof(table));
}
END_TEST

/* Places that change hands when one of n backends goes: its own, and few
 * others (NSDI 2016, section 5.3: below a percent or two at this size). */
START_TEST(test_disruption)
{
	static const uint32_t sizes[] = { 3, 10, 50 };
	const uint32_t n = sizes[_i];
	uint32_t moved = 0;

	build(table, 0, n, NULL);
	build(other, 1, n - 1, NULL);
	for (uint32_t i = 0; i < MAGLEV_SIZE; i++)
		moved += table[i] != 0 && table[i] != other[i];
	ck_assert_uint_le(moved, MAGLEV_SIZE * 3 / 100);
	ck_assert_uint_eq(share(other, 0), 0);
}
END_TEST

/* Ports and addresses of either family have ids of their own. */
START_TEST(test_ids)
{
	struct ip_addr a = ip_addr_from_v4(htonl(0x0a000101)), b = a;

	b.w[0] = 1;
	ck_assert_uint_ne(maglev_id(&a, 1), maglev_id(&a, 2));
	ck_assert_uint_ne(maglev_id(&a, 1), maglev_id(&b, 1));
	ck_assert_uint_lt(maglev_place(UINT32_MAX, MAGLEV_SIZE), MAGLEV_SIZE);
	ck_assert_uint_eq(maglev_place(0, MAGLEV_SIZE), 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("lb_maglev");
	TCase *tc = tcase_create("maglev");
	SRunner *sr;
	int failed;

	tcase_add_loop_test(tc, test_even, 0, 6);
	tcase_add_test(tc, test_weights);
	tcase_add_test(tc, test_order);
	tcase_add_loop_test(tc, test_disruption, 0, 3);
	tcase_add_test(tc, test_ids);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
