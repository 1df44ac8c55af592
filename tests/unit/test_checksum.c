/* SPDX-License-Identifier: BSD-3-Clause */
/* Checksums against the definition: words in network order, added one by one,
 * carries last (RFC 1071). */
#include <check.h>
#include <stdlib.h>

#include "dataplane/checksum.h"

static uint32_t seed;

static uint32_t
draw(void)
{
	seed = seed * 1664525 + 1013904223;
	return seed >> 8;
}

static uint16_t
reference(const uint8_t *p, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i += 2)
		sum += (uint32_t)p[i] << 8 | (i + 1 < len ? p[i + 1] : 0);
	while (sum > 0xffff)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* The checksum as it lies in memory, read in network order. */
static uint16_t
ours(const void *data, size_t len)
{
	uint16_t csum = (uint16_t)~csum_fold(csum_add(0, data, len));
	uint8_t b[2];

	memcpy(b, &csum, 2);
	return (uint16_t)(b[0] << 8 | b[1]);
}

START_TEST(test_full)
{
	uint8_t data[1501];

	for (size_t len = 0; len < sizeof(data); len++) {
		for (size_t i = 0; i < len; i++)
			data[i] = (uint8_t)draw();
		ck_assert_uint_eq(ours(data, len), reference(data, len));
	}
}
END_TEST

/* RFC 1071 section 3: the example's sum is ddf2. */
START_TEST(test_rfc1071)
{
	const uint8_t data[] = { 0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6,
		0xf7 };

	ck_assert_uint_eq(ours(data, sizeof(data)), 0xffff & ~0xddf2u);
}
END_TEST

START_TEST(test_carries)
{
	uint8_t ones[65536];

	memset(ones, 0xff, sizeof(ones));
	ck_assert_uint_eq(ours(ones, sizeof(ones)), 0);
	ck_assert_uint_eq(csum_fold(UINT64_MAX), 0xffff);
	ck_assert_uint_eq(csum_fold(0), 0);
	ck_assert_uint_eq(csum_fold(0x10000), 1);
}
END_TEST

/* RFC 1624 section 4: header 0x5555 becomes 0x3285, checksum 0xdd2f 0. */
START_TEST(test_rfc1624)
{
	const uint8_t was[] = { 0x55, 0x55 }, is[] = { 0x32, 0x85 };
	const uint8_t in[] = { 0xdd, 0x2f };
	uint16_t csum, delta = csum_fold(csum_add(csum_sub(0, was, 2), is, 2));

	memcpy(&csum, in, 2);
	ck_assert_uint_eq(csum_update(csum, delta), 0);
}
END_TEST

/* After any change the checksum is what a full computation says, and the
 * opposite change brings the first one back. */
START_TEST(test_update)
{
	for (int round = 0; round < 20000; round++) {
		uint8_t data[40], old[12];
		uint16_t before, after, delta;
		size_t at = draw() % 15 * 2;

		for (size_t i = 0; i < sizeof(data); i++)
			data[i] = round % 3 ? (uint8_t)draw()
					    : (uint8_t) - (int)(draw() & 1);
		data[0] |= 1;
		data[38] |= 1;
		memcpy(old, data + at, 10);
		before = (uint16_t)~csum_fold(csum_add(0, data, 40));
		for (size_t i = 0; i < 10; i++)
			data[at + i] = (uint8_t)draw();
		delta = csum_fold(
			csum_add(csum_sub(0, old, 10), data + at, 10));
		after = (uint16_t)~csum_fold(csum_add(0, data, 40));
		ck_assert_uint_eq(csum_update(before, delta), after);
		ck_assert_uint_eq(csum_update(after, csum_back(delta)), before);
	}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("checksum");
	TCase *tc = tcase_create("checksum");
	SRunner *sr;
	int failed;

	tcase_add_test(tc, test_full);
	tcase_add_test(tc, test_rfc1071);
	tcase_add_test(tc, test_carries);
	tcase_add_test(tc, test_rfc1624);
	tcase_add_test(tc, test_update);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
