/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bodies: how far they go, what of them is data, and their bounds. What is
 * malformed is in test_http_smuggling.c.
 */
#include <stdio.h>

#include "http_lab.h"

static struct http_body body;

static void
begin(enum http_framing framing, uint64_t length, uint64_t max)
{
	const struct http_head head = { .framing = (uint8_t)framing,
		.length = length };

	http_body_init(&body, &head, max);
}

START_TEST(test_none)
{
	size_t used = 9;

	begin(HTTP_BODY_NONE, 0, 0);
	ck_assert_int_eq(http_body_feed(&body, "abc", 3, &used), 1);
	ck_assert_uint_eq(used, 0);
	ck_assert(http_body_ends(&body));
	ck_assert_uint_eq(http_body_blind(&body), 0);
}
END_TEST

START_TEST(test_length)
{
	size_t used;

	begin(HTTP_BODY_LENGTH, 5, 0);
	ck_assert_uint_eq(http_body_blind(&body), 5);
	ck_assert_int_eq(http_body_feed(&body, "hel", 3, &used), 0);
	ck_assert_uint_eq(used, 3);
	ck_assert(!http_body_ends(&body));
	ck_assert_int_eq(http_body_feed(&body, "", 0, &used), 0);
	ck_assert_uint_eq(http_body_blind(&body), 2);
	ck_assert_int_eq(http_body_feed(&body, "loGET", 5, &used), 1);
	ck_assert_uint_eq(used, 2);
	ck_assert(http_body_ends(&body));
	ck_assert_int_eq(http_body_feed(&body, "GET", 3, &used), 1);
	ck_assert_uint_eq(used, 0);
	ck_assert_uint_eq(body.bytes, 5);
}
END_TEST

START_TEST(test_long)
{
	static char piece[1 << 16];
	const uint64_t length = (5ull << 32) + 1;
	uint64_t left = length;
	size_t used;

	begin(HTTP_BODY_LENGTH, length, 0);
	while (left > sizeof(piece)) {
		ck_assert_int_eq(
			http_body_feed(&body, piece, sizeof(piece), &used), 0);
		left -= sizeof(piece);
	}
	ck_assert_int_eq(http_body_feed(&body, piece, sizeof(piece), &used), 1);
	ck_assert_uint_eq(used, left);
}
END_TEST

START_TEST(test_close)
{
	size_t used;

	begin(_i == 0 ? HTTP_BODY_CLOSE : HTTP_BODY_TUNNEL, 0, 1);
	ck_assert_int_eq(http_body_feed(&body, "0\r\n\r\n", 5, &used), 0);
	ck_assert_uint_eq(used, 5);
	ck_assert(http_body_ends(&body));
	ck_assert_uint_eq(http_body_blind(&body), UINT64_MAX);
	ck_assert_uint_eq(body.bytes, 5);
}
END_TEST

/* The data of a chunked body without its framing, cut at every step. */
START_TEST(test_pieces)
{
	static const char in[] = "3;x=y\r\nabc\r\nA\r\ndefghijklm\r\n1\r\n\r"
				 "\r\n0\r\nT: u\r\n\r\nGET";
	static const char want[] = "abcdefghijklm\r";
	const size_t step = (size_t)_i;
	char out[sizeof(in)];
	size_t at = 0, n = 0, used, end;
	bool is_data;
	int err = 0;

	begin(HTTP_BODY_CHUNKED, 0, 0);
	while (err == 0) {
		end = at + step < sizeof(in) - 1 ? at + step : sizeof(in) - 1;
		while (err == 0 && at < end) {
			err = http_body_piece(
				&body, in + at, end - at, &used, &is_data);
			ck_assert(used > 0);
			if (is_data) {
				memcpy(out + n, in + at, used);
				n += used;
			}
			at += used;
		}
	}
	ck_assert_int_eq(err, 1);
	ck_assert_uint_eq(at, sizeof(in) - 1 - 3);
	ck_assert_uint_eq(n, sizeof(want) - 1);
	ck_assert_mem_eq(out, want, n);
	ck_assert_uint_eq(body.bytes, n);
	ck_assert(http_body_ends(&body));
}
END_TEST

static const struct {
	const char *text;
	uint64_t max;
	int want;
} sizes[] = {
	{ "5\r\nhello\r\n0\r\n\r\n", 5, 1 },
	{ "5\r\nhello\r\n0\r\n\r\n", 4, -EFBIG },
	{ "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", 5, 1 },
	{ "3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n", 5, -EFBIG },
	{ "fffffffffffffff\r\n", 5, -EFBIG },
	{ "fffffffffffffff\r\n", 0, 0 },
};

START_TEST(test_max)
{
	size_t used;

	begin(HTTP_BODY_CHUNKED, 0, sizes[_i].max);
	ck_assert_int_eq(http_body_feed(&body, sizes[_i].text,
				 strlen(sizes[_i].text), &used),
		sizes[_i].want);
	if (sizes[_i].want < 0)
		ck_assert_str_eq(body.why, "body too large");
}
END_TEST

/* Once refused, always refused. */
START_TEST(test_stays_bad)
{
	size_t used;

	begin(HTTP_BODY_CHUNKED, 0, 0);
	ck_assert_int_eq(http_body_feed(&body, "x", 1, &used), -EBADMSG);
	ck_assert_int_eq(
		http_body_feed(&body, "0\r\n\r\n", 5, &used), -EBADMSG);
	ck_assert_uint_eq(used, 0);
	ck_assert(!http_body_ends(&body));
}
END_TEST

/* `n` times `unit` behind `begin`, then `end`: what comes of it. */
static int
feed_many(const char *first, const char *unit, uint32_t n, const char *end)
{
	size_t used;
	int err;

	begin(HTTP_BODY_CHUNKED, 0, 0);
	err = http_body_feed(&body, first, strlen(first), &used);
	for (uint32_t i = 0; err == 0 && i < n; i++)
		err = http_body_feed(&body, unit, strlen(unit), &used);
	if (err == 0)
		err = http_body_feed(&body, end, strlen(end), &used);
	return err;
}

/* Bytes that cost the receiver something and carry nothing are bounded. */
START_TEST(test_bounds)
{
	const uint32_t exts = HTTP_EXTENSIONS_MAX / 4;
	const uint32_t trailers = HTTP_TRAILERS_MAX / 8;

	ck_assert_int_eq(
		feed_many("1;", "abcd", exts - 1, "abc\r\nx\r\n0\r\n\r\n"), 1);
	ck_assert_int_eq(feed_many("1;", "abcd", exts, "abc\r\nx\r\n0\r\n\r\n"),
		-EBADMSG);
	/* over all chunks together: ";a=b" costs three and its CR */
	ck_assert_int_eq(feed_many("", "1;a=b\r\nx\r\n", exts, "0\r\n\r\n"), 1);
	ck_assert_int_eq(feed_many("", "1;a=b\r\nx\r\n", exts + 1, "0\r\n\r\n"),
		-EBADMSG);
	ck_assert_str_eq(body.why, "chunk extensions too long");
	ck_assert_int_eq(
		feed_many("0\r\n", "A: bcd\r\n", trailers - 1, "\r\n"), 1);
	ck_assert_int_eq(
		feed_many("0\r\n", "A: bcd\r\n", trailers, "\r\n"), -EBADMSG);
	ck_assert_str_eq(body.why, "trailer too long");
}
END_TEST

/* Names that end like a known one, or are longer than any, are nobody's. */
START_TEST(test_trailer_names)
{
	static const struct {
		const char *name;
		int want;
	} row[] = {
		{ "X", 1 },
		{ "Expires", 1 },
		{ "Content-MD5", 1 },
		{ "Content-Type", 1 },
		{ "Hosts", 1 },
		{ "Access-Control-Request-Headers-And-More", 1 },
		{ "AAAAAAAAAAAAAAAAAAAAAAAA", 1 },
		{ "AAAAAAAAAAAAAAAAAAAAAAAAA", 1 },
		{ "host", -EBADMSG },
		{ "TE", -EBADMSG },
		{ "Proxy-Connection", -EBADMSG },
		{ "X-Forwarded-Proto", -EBADMSG },
		{ "Set-Cookie", -EBADMSG },
		{ "Authorization", -EBADMSG },
	};
	char text[100];
	size_t used;

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		snprintf(text, sizeof(text), "0\r\n%s: y\r\n\r\n", row[i].name);
		begin(HTTP_BODY_CHUNKED, 0, 0);
		ck_assert_msg(http_body_feed(&body, text, strlen(text),
				      &used) == row[i].want,
			"%s", row[i].name);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("http_body");
	TCase *tc = tcase_create("body");
	SRunner *sr;
	int failed;

	tcase_add_test(tc, test_none);
	tcase_add_test(tc, test_length);
	tcase_add_test(tc, test_long);
	tcase_add_loop_test(tc, test_close, 0, 2);
	tcase_add_loop_test(tc, test_pieces, 1, 60);
	tcase_add_loop_test(
		tc, test_max, 0, (int)(sizeof(sizes) / sizeof(sizes[0])));
	tcase_add_test(tc, test_stays_bad);
	tcase_add_test(tc, test_bounds);
	tcase_add_test(tc, test_trailer_names);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
