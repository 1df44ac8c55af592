/* SPDX-License-Identifier: BSD-3-Clause */
/* The keyed hash by its published vectors, and what is made of it. */
#include <check.h>
#include <string.h>

#include "dataplane/tcp/secret.h"

#define UNIT 64000u /* ms that a cookie's count stands still */

static const struct tcp_secret secret = { { 0x0706050403020100,
	0x0f0e0d0c0b0a0908 } };

static const struct tcp_tuple tuple = { { { 0, 0, IP_ADDR_V4_TAG, 1 } },
	{ { 0, 0, IP_ADDR_V4_TAG, 2 } }, 80, 40000 };

/* vectors_sip64 of the authors' reference: inputs 00, 00 01, 00 01 02 ... */
START_TEST(test_hash)
{
	static const struct {
		uint32_t len;
		uint64_t hash;
	} row[] = {
		{ 0, 0x726fdb47dd0e0e31 },
		{ 1, 0x74f839c593dc67fd },
		{ 2, 0x0d6c8009d9a94f5a },
		{ 3, 0x85676696d7fb7e2d },
		{ 4, 0xcf2794e0277187b7 },
		{ 5, 0x18765564cd99a68d },
		{ 6, 0xcbc9466e58fee3ce },
		{ 7, 0xab0200f58b01d137 },
		{ 8, 0x93f5f5799a932462 },
		{ 15, 0xa129ca6149be45e5 },
	};
	uint8_t in[16];

	for (uint8_t i = 0; i < sizeof(in); i++)
		in[i] = i;
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++)
		ck_assert_uint_eq(
			secret_hash(&secret, in, row[i].len), row[i].hash);
}
END_TEST

START_TEST(test_init)
{
	struct tcp_secret a, b, c, d;

	ck_assert_int_eq(secret_init(&a, 7), 0);
	ck_assert_int_eq(secret_init(&b, 7), 0);
	ck_assert_int_eq(secret_init(&c, 8), 0);
	ck_assert_mem_eq(&a, &b, sizeof(a));
	ck_assert_mem_ne(&a, &c, sizeof(a));
	ck_assert_uint_ne(a.key[0], a.key[1]);
	ck_assert_int_eq(secret_init(&c, 0), 0);
	ck_assert_int_eq(secret_init(&d, 0), 0);
	ck_assert_mem_ne(&c, &d, sizeof(c));
}
END_TEST

/* Each of a tuple's 36 bytes makes another number, and so does the key. */
START_TEST(test_tuple)
{
	const struct tcp_secret other = { { 1, 2 } };
	const uint32_t isn = secret_isn(&secret, &tuple, 0);
	const uint32_t ts = secret_ts_offset(&secret, &tuple);
	const uint32_t port =
		secret_port(&secret, &tuple.local, &tuple.remote, tuple.rport);

	ck_assert(isn != ts && ts != port && isn != port);
	ck_assert_uint_ne(isn, secret_isn(&other, &tuple, 0));
	ck_assert_uint_ne(ts, secret_ts_offset(&other, &tuple));
	for (size_t i = 0; i < sizeof(tuple); i++) {
		struct tcp_tuple t = tuple;
		uint32_t p;

		((uint8_t *)&t)[i] ^= 0x40;
		ck_assert_uint_ne(isn, secret_isn(&secret, &t, 0));
		ck_assert_uint_ne(ts, secret_ts_offset(&secret, &t));
		p = secret_port(&secret, &t.local, &t.remote, t.rport);
		if (i == offsetof(struct tcp_tuple, lport) ||
			i == offsetof(struct tcp_tuple, lport) + 1)
			ck_assert_uint_eq(p, port);
		else
			ck_assert_uint_ne(p, port);
	}
}
END_TEST

/* RFC 6528: a tuple's numbers rise by one in 4 us, around 2^32. */
START_TEST(test_isn)
{
	const uint32_t at0 = secret_isn(&secret, &tuple, 0);

	ck_assert_uint_eq(secret_isn(&secret, &tuple, 1) - at0, 250);
	ck_assert_uint_eq(secret_isn(&secret, &tuple, 17179869) - at0,
		(uint32_t)(17179869ull * 250));
	ck_assert_uint_eq(secret_isn(&secret, &tuple, 1ull << 40) - at0,
		(uint32_t)((1ull << 40) * 250));
}
END_TEST

/* --- cookies --- */

static bool
good(uint32_t isn, uint32_t irs, uint64_t now_ms, struct tcp_cookie *out)
{
	return cookie_check(&secret, &tuple, irs, isn, false, 0, now_ms, out);
}

START_TEST(test_cookie_mss)
{
	static const struct {
		uint16_t syn, cookie;
	} row[] = {
		{ 1, 64 },
		{ 64, 64 },
		{ 535, 64 },
		{ 536, 536 },
		{ 1219, 536 },
		{ 1220, 1220 },
		{ 1400, 1400 },
		{ 1439, 1400 },
		{ 1440, 1440 },
		{ 1459, 1440 },
		{ 1460, 1460 },
		{ 8939, 1460 },
		{ 8940, 8940 },
		{ 65535, 8940 },
	};
	struct tcp_cookie c;

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		uint32_t isn =
			cookie_make(&secret, &tuple, 99, row[i].syn, 12345678);

		memset(&c, 0xa5, sizeof(c));
		ck_assert(good(isn, 99, 12345678, &c));
		ck_assert_uint_eq(c.mss, row[i].cookie);
		ck_assert_uint_eq(c.opts, 0);
	}
}
END_TEST

/* Good for the unit it was made in and the next; from boot on, for years. */
START_TEST(test_cookie_age)
{
	static const uint64_t unit[] = { 0, 1, 2, 30, 31, 32, 33, 1000,
		UINT32_MAX, 1ull << 33 };
	struct tcp_cookie c;

	for (size_t i = 0; i < sizeof(unit) / sizeof(unit[0]); i++) {
		uint64_t start = unit[i] * UNIT;
		uint32_t isn =
			cookie_make(&secret, &tuple, 5, 1460, start + UNIT / 2);

		ck_assert(good(isn, 5, start, &c));
		ck_assert(good(isn, 5, start + UNIT - 1, &c));
		ck_assert(good(isn, 5, start + UNIT, &c));
		ck_assert(good(isn, 5, start + 2 * UNIT - 1, &c));
		for (uint64_t k = 2; k < 100; k++)
			ck_assert(!good(isn, 5, start + k * UNIT, &c));
		if (unit[i] > 0)
			ck_assert(!good(isn, 5, start - 1, &c));
	}
}
END_TEST

/* No bit of the cookie, the SYN's number or the tuple can be changed. */
START_TEST(test_cookie_bits)
{
	const uint64_t now = 777 * UNIT;
	const uint32_t irs = 0x80001234;
	const uint32_t isn = cookie_make(&secret, &tuple, irs, 1440, now);
	const struct tcp_secret other = { { 1, 2 } };
	struct tcp_cookie c;

	ck_assert(good(isn, irs, now, &c));
	for (uint32_t bit = 0; bit < 32; bit++) {
		ck_assert(!good(isn ^ 1u << bit, irs, now, &c));
		ck_assert(!good(isn, irs ^ 1u << bit, now, &c));
	}
	for (uint32_t bit = 0; bit < sizeof(tuple) * 8; bit++) {
		struct tcp_tuple t = tuple;

		((uint8_t *)&t)[bit / 8] ^= (uint8_t)(1 << bit % 8);
		ck_assert(!cookie_check(
			&secret, &t, irs, isn, false, 0, now, &c));
	}
	ck_assert(!cookie_check(&other, &tuple, irs, isn, false, 0, now, &c));
}
END_TEST

/* Guessing: about one of 2^24 numbers with a count that is young is good. */
START_TEST(test_cookie_guess)
{
	const uint64_t now = 777 * UNIT;
	struct tcp_cookie c;
	uint32_t hits = 0;

	for (uint32_t i = 0; i < 1u << 21; i++)
		hits += good(777u << 27 | (i * 2654435761u >> 5), 1, now, &c);
	ck_assert_uint_le(hits, 6);
}
END_TEST

START_TEST(test_cookie_options)
{
	const uint64_t now = 3 * UNIT;
	const uint32_t isn = cookie_make(&secret, &tuple, 1, 1460, now);

	for (uint32_t w = 0; w <= TCP_WSCALE_MAX + 1; w++)
		for (uint32_t sackok = 0; sackok < 2; sackok++)
			for (uint32_t ts = 0xffffffc0; ts != 64; ts++) {
				struct tcp_seg syn = { .wscale = (uint8_t)w };
				struct tcp_cookie c;
				uint32_t ours;

				syn.opts = TCP_OPT_TS;
				if (sackok)
					syn.opts |= TCP_OPT_SACKOK;
				if (w <= TCP_WSCALE_MAX)
					syn.opts |= TCP_OPT_WSCALE;
				ours = cookie_ts(ts, &syn);
				ck_assert_uint_le(ts - ours, 31);
				ck_assert(cookie_check(&secret, &tuple, 1, isn,
					true, ours, now, &c));
				ck_assert_uint_eq(c.opts, syn.opts);
				if (w <= TCP_WSCALE_MAX)
					ck_assert_uint_eq(c.wscale, w);
			}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("tcp secret");
	TCase *tc = tcase_create("secret");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, test_hash);
	tcase_add_test(tc, test_init);
	tcase_add_test(tc, test_tuple);
	tcase_add_test(tc, test_isn);
	tcase_add_test(tc, test_cookie_mss);
	tcase_add_test(tc, test_cookie_age);
	tcase_add_test(tc, test_cookie_bits);
	tcase_add_test(tc, test_cookie_guess);
	tcase_add_test(tc, test_cookie_options);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
