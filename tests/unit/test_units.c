/* SPDX-License-Identifier: BSD-3-Clause */
/* Quantities with units, and addresses as text. */
#include <check.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "ctrl/config.h"
#include "ctrl/units.h"

static const struct {
	enum unit unit;
	const char *text;
	int err;
	uint64_t value;
} parses[] = {
	{ UNIT_SIZE, "0B", 0, 0 },
	{ UNIT_SIZE, "512B", 0, 512 },
	{ UNIT_SIZE, "64M", 0, 64ull << 20 },
	{ UNIT_SIZE, "1.5K", 0, 1536 },
	{ UNIT_SIZE, "16777215T", 0, 16777215ull << 40 },
	{ UNIT_SIZE, "16777216T", -ERANGE, 0 },
	{ UNIT_SIZE, "18446744073709551615B", 0, UINT64_MAX },
	{ UNIT_SIZE, "18446744073709551616B", -ERANGE, 0 },
	{ UNIT_SIZE, "99999999999999999999999B", -ERANGE, 0 },
	{ UNIT_SIZE, "64", -EINVAL, 0 },
	{ UNIT_SIZE, "64MB", -EINVAL, 0 },
	{ UNIT_SIZE, "64m", -EINVAL, 0 },
	{ UNIT_SIZE, "M", -EINVAL, 0 },
	{ UNIT_SIZE, "", -EINVAL, 0 },
	{ UNIT_SIZE, "-1M", -EINVAL, 0 },
	{ UNIT_SIZE, "+1M", -EINVAL, 0 },
	{ UNIT_SIZE, " 1M", -EINVAL, 0 },
	{ UNIT_SIZE, "1M ", -EINVAL, 0 },
	{ UNIT_SIZE, "1 M", -EINVAL, 0 },
	{ UNIT_SIZE, "0x10M", -EINVAL, 0 },
	{ UNIT_SIZE, "1.M", -EINVAL, 0 },
	{ UNIT_SIZE, ".5M", -EINVAL, 0 },
	{ UNIT_SIZE, "1e3M", -EINVAL, 0 },
	{ UNIT_SIZE, "0.3B", -EDOM, 0 },
	{ UNIT_SIZE, "0.1234567T", -EDOM, 0 },
	{ UNIT_RATE, "100b/s", 0, 100 },
	{ UNIT_RATE, "64kb/s", 0, 64000 },
	{ UNIT_RATE, "100Mb/s", 0, 100000000 },
	{ UNIT_RATE, "2.5Gb/s", 0, 2500000000 },
	{ UNIT_RATE, "1Tb/s", 0, 1000000000000 },
	{ UNIT_RATE, "18446744Tb/s", 0, 18446744000000000000ull },
	{ UNIT_RATE, "18446745Tb/s", -ERANGE, 0 },
	{ UNIT_RATE, "18446744073709551615.9kb/s", -ERANGE, 0 },
	{ UNIT_RATE, "100Mbps", -EINVAL, 0 },
	{ UNIT_RATE, "100MB/s", -EINVAL, 0 },
	{ UNIT_RATE, "100M", -EINVAL, 0 },
	{ UNIT_PACKETS, "500/s", 0, 500 },
	{ UNIT_PACKETS, "10k/s", 0, 10000 },
	{ UNIT_PACKETS, "1.488095M/s", 0, 1488095 },
	{ UNIT_PACKETS, "1G/s", 0, 1000000000 },
	{ UNIT_PACKETS, "10kpps", -EINVAL, 0 },
	{ UNIT_PACKETS, "10", -EINVAL, 0 },
	{ UNIT_TIME, "0ms", 0, 0 },
	{ UNIT_TIME, "500ms", 0, 500 },
	{ UNIT_TIME, "1.5s", 0, 1500 },
	{ UNIT_TIME, "10m", 0, 600000 },
	{ UNIT_TIME, "1h", 0, 3600000 },
	{ UNIT_TIME, "7d", 0, 604800000 },
	{ UNIT_TIME, "1.5ms", -EDOM, 0 },
	{ UNIT_TIME, "1.0ms", 0, 1 },
	{ UNIT_TIME, "10us", -EINVAL, 0 },
	{ UNIT_TIME, "1h30m", -EINVAL, 0 },
	{ UNIT_TIME, "10 s", -EINVAL, 0 },
};

START_TEST(parse_row)
{
	uint64_t v = 0;
	int err = unit_parse(parses[_i].unit, parses[_i].text, &v);

	ck_assert_msg(err == parses[_i].err && v == parses[_i].value,
		"\"%s\" is %d, %" PRIu64, parses[_i].text, err, v);
}
END_TEST

static const struct {
	enum unit unit;
	uint64_t value;
	const char *text;
} formats[] = {
	{ UNIT_SIZE, 0, "0B" },
	{ UNIT_SIZE, 1000, "1000B" },
	{ UNIT_SIZE, 1024, "1K" },
	{ UNIT_SIZE, 64 << 20, "64M" },
	{ UNIT_SIZE, UINT64_MAX, "18446744073709551615B" },
	{ UNIT_RATE, 64000, "64kb/s" },
	{ UNIT_RATE, 2500000000, "2500Mb/s" },
	{ UNIT_PACKETS, 1000000, "1M/s" },
	{ UNIT_PACKETS, 1, "1/s" },
	{ UNIT_TIME, 90000, "90s" },
	{ UNIT_TIME, 7440000, "124m" },
	{ UNIT_TIME, 86400000, "1d" },
};

START_TEST(format_row)
{
	uint64_t v;
	char buf[24];

	ck_assert_str_eq(unit_format(formats[_i].unit, formats[_i].value, buf,
				 sizeof(buf)),
		formats[_i].text);
	ck_assert_int_eq(unit_parse(formats[_i].unit, buf, &v), 0);
	ck_assert_uint_eq(v, formats[_i].value);
}
END_TEST

/* What is formatted is read back, over many magnitudes. */
START_TEST(round_trip)
{
	uint64_t x = 88172645463325252ull, v;
	char buf[24];

	for (int i = 0; i < 40000; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		uint64_t in = x >> (i % 64);

		unit_format((enum unit)(i % 4), in, buf, sizeof(buf));
		ck_assert_int_eq(unit_parse((enum unit)(i % 4), buf, &v), 0);
		ck_assert_uint_eq(v, in);
	}
}
END_TEST

/* NULL: not an address; "=": the same text comes back. */
static const struct {
	const char *text, *back;
} addresses[] = {
	{ "10.0.0.1", "=" },
	{ "255.255.255.255", "=" },
	{ "0.0.0.0", "=" },
	{ "fd00::1", "=" },
	{ "FD00:0::0001", "fd00::1" },
	{ "::", "=" },
	{ "::1", "=" },
	{ "2001:db8:1:2:3:4:5:6", "=" },
	{ "::10.0.0.1", "=" },
	{ "64:ff9b::10.0.0.1", "64:ff9b::a00:1" },
	{ "::ffff:10.0.0.1", NULL },
	{ "::ffff:a00:1", NULL },
	{ "", NULL },
	{ "10.0.0", NULL },
	{ "10.0.0.1.2", NULL },
	{ "10.0.0.256", NULL },
	{ "010.0.0.1", NULL },
	{ "0x0a.0.0.1", NULL },
	{ "10.0.0.1/24", NULL },
	{ " 10.0.0.1", NULL },
	{ "10.0.0.1 ", NULL },
	{ "fd00:::1", NULL },
	{ "fd00::1%eth0", NULL },
	{ "[fd00::1]", NULL },
	{ "localhost", NULL },
};

START_TEST(address_row)
{
	const char *text = addresses[_i].text, *back = addresses[_i].back;
	struct ip_addr a;
	char buf[46];

	if (back == NULL) {
		ck_assert_int_eq(ip_addr_parse(text, &a), -EINVAL);
		return;
	}
	ck_assert_int_eq(ip_addr_parse(text, &a), 0);
	ck_assert_str_eq(ip_addr_format(&a, buf), *back == '=' ? text : back);
}
END_TEST

START_TEST(address_bytes)
{
	const unsigned char v4[16] = {
		[10] = 255, [11] = 255, [12] = 10, [13] = 1, [14] = 2, [15] = 3
	};
	const unsigned char v6[16] = { 0xfd, 0, [15] = 9 };
	struct ip_addr a;

	ck_assert_int_eq(ip_addr_parse("10.1.2.3", &a), 0);
	ck_assert_mem_eq(&a, v4, 16);
	ck_assert_int_eq(ip_addr_is_v4(&a), 1);
	ck_assert_int_eq(ip_addr_parse("fd00::9", &a), 0);
	ck_assert_mem_eq(&a, v6, 16);
	ck_assert_int_eq(ip_addr_is_v4(&a), 0);
}
END_TEST

#define ROWS(t) ((int)(sizeof(t) / sizeof((t)[0])))

int
main(void)
{
	Suite *s = suite_create("units");
	TCase *tc = tcase_create("units");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_loop_test(tc, parse_row, 0, ROWS(parses));
	tcase_add_loop_test(tc, format_row, 0, ROWS(formats));
	tcase_add_test(tc, round_trip);
	tcase_add_loop_test(tc, address_row, 0, ROWS(addresses));
	tcase_add_test(tc, address_bytes);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
