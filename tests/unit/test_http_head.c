/* SPDX-License-Identifier: BSD-3-Clause */
/* What is read out of heads that are good, and the limits of heads. */
#include <stdio.h>

#include "http_lab.h"

static struct http_parser parser;

static int
parse(enum http_kind kind, const char *text, const struct http_asked *asked)
{
	http_parser_init(&parser, kind, NULL, asked);
	return http_parse(&parser, text, strlen(text));
}

static void
check_slice(const char *text, struct http_slice s, const char *want)
{
	ck_assert_msg(
		strlen(want) == s.len && memcmp(text + s.at, want, s.len) == 0,
		"\"%.*s\", not \"%s\"", s.len, text + s.at, want);
}

/* --- targets and hosts -----------------------------------------------------
 */

static const struct target_row {
	const char *head;
	const char *method, *target, *host, *authority, *path;
} targets[] = {
	{ "GET /a/b?c=/d HTTP/1.1\r\nHost: Www.Example:8080\r\n\r\n", "GET",
		"/a/b?c=/d", "Www.Example", "Www.Example:8080", "/a/b" },
	{ "DELETE / HTTP/1.1\r\nHost:[::1]\r\n\r\n", "DELETE", "/", "[::1]",
		"[::1]", "/" },
	{ "GET /? HTTP/1.1\r\nHost: [::1]:80 \r\n\r\n", "GET", "/?", "[::1]",
		"[::1]:80", "/" },
	{ "GET http://b:1/x?y HTTP/1.1\r\nHost: a\r\n\r\n", "GET",
		"http://b:1/x?y", "b", "b:1", "/x" },
	{ "GET hTTps://b HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "hTTps://b", "b",
		"b", "" },
	{ "GET http://b?x/y HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "http://b?x/y",
		"b", "b", "" },
	{ "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS", "*", "a", "a",
		"*" },
	{ "GET //x//y HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "//x//y", "a", "a",
		"//x//y" },
	{ "GET / HTTP/1.0\r\n\r\n", "GET", "/", "", "", "/" },
	{ "GET / HTTP/1.1\r\nHost:\r\n\r\n", "GET", "/", "", "", "/" },
	{ "\r\nPATCH /p HTTP/1.1\r\nHost: a\r\n\r\n", "PATCH", "/p", "a", "a",
		"/p" },
};

START_TEST(test_targets)
{
	const struct target_row *r = &targets[_i];

	ck_assert_int_eq(parse(HTTP_KIND_REQUEST, r->head, NULL), 0);
	check_slice(r->head, parser.head.method_text, r->method);
	check_slice(r->head, parser.head.target, r->target);
	check_slice(r->head, parser.head.host, r->host);
	check_slice(r->head, parser.head.authority, r->authority);
	check_slice(r->head, parser.head.path, r->path);
	ck_assert_uint_eq(parser.head.len, strlen(r->head));
	ck_assert_uint_eq(parser.head.start, r->head[0] == '\r' ? 2 : 0);
}
END_TEST

/* --- fields ----------------------------------------------------------------
 */

START_TEST(test_fields)
{
	static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\nX-Y:\r\n"
				   "A:  b \t c \t\r\n!:d:e\r\n"
				   "x-Forwarded-FOR: 1\r\n\r\nbody";
	static const char *const want[][2] = { { "Host", "a" }, { "X-Y", "" },
		{ "A", "b \t c" }, { "!", "d:e" }, { "x-Forwarded-FOR", "1" } };

	ck_assert_int_eq(parse(HTTP_KIND_REQUEST, text, NULL), 0);
	ck_assert_uint_eq(parser.head.n_fields, 5);
	for (uint32_t i = 0; i < 5; i++) {
		check_slice(text, parser.field[i].name, want[i][0]);
		check_slice(text, parser.field[i].value, want[i][1]);
	}
	ck_assert_uint_eq(parser.head.len, sizeof(text) - 1 - 4);
	ck_assert_uint_eq(parser.head.fields_at, 16);
	ck_assert_uint_eq(parser.head.host_field, 0);
	ck_assert_ptr_eq(
		http_field(&parser, HTTP_F_X_FORWARDED_FOR), &parser.field[4]);
	ck_assert_ptr_null(http_field(&parser, HTTP_F_COOKIE));
}
END_TEST

static const struct {
	const char *name;
	enum http_field_id id;
} names[] = {
	{ "host", HTTP_F_HOST },
	{ "HOST", HTTP_F_HOST },
	{ "hosu", HTTP_F_OTHER },
	{ "hos", HTTP_F_OTHER },
	{ "hosts", HTTP_F_OTHER },
	{ "te", HTTP_F_TE },
	{ "Cookie", HTTP_F_COOKIE },
	{ "Expect", HTTP_F_EXPECT },
	{ "Referer", HTTP_F_REFERER },
	{ "Trailer", HTTP_F_TRAILER },
	{ "Upgrade", HTTP_F_UPGRADE },
	{ "Forwarded", HTTP_F_FORWARDED },
	{ "Connection", HTTP_F_CONNECTION },
	{ "Keep-Alive", HTTP_F_KEEP_ALIVE },
	{ "Set-Cookie", HTTP_F_SET_COOKIE },
	{ "User-Agent", HTTP_F_USER_AGENT },
	{ "Content-Type", HTTP_F_CONTENT_TYPE },
	{ "Authorization", HTTP_F_AUTHORIZATION },
	{ "Content-Length", HTTP_F_CONTENT_LENGTH },
	{ "Content_Length", HTTP_F_OTHER },
	{ "HTTP2-Settings", HTTP_F_HTTP2_SETTINGS },
	{ "X-Forwarded-For", HTTP_F_X_FORWARDED_FOR },
	{ "Proxy-Connection", HTTP_F_PROXY_CONNECTION },
	{ "X-Forwarded-Port", HTTP_F_X_FORWARDED_PORT },
	{ "Transfer-Encoding", HTTP_F_TRANSFER_ENCODING },
	{ "transfer-encodinG", HTTP_F_TRANSFER_ENCODING },
	{ "Transfer-Encodinh", HTTP_F_OTHER },
	{ "X-Forwarded-Proto", HTTP_F_X_FORWARDED_PROTO },
	{ "Access-Control-Request-Headers", HTTP_F_OTHER },
};

START_TEST(test_names)
{
	ck_assert_int_eq(http_field_id(names[_i].name, strlen(names[_i].name)),
		names[_i].id);
}
END_TEST

/* --- what becomes of the connection ----------------------------------------
 */

#define KEEP    0x01
#define UPGRADE 0x02
#define EXPECT  0x04
#define TE      0x08

static const struct {
	const char *head;
	int flags;
} connections[] = {
	{ "GET / HTTP/1.1\r\nHost: a\r\n\r\n", KEEP },
	{ "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 0 },
	{ "GET / HTTP/1.1\r\nHost: a\r\nConnection: Keep-Alive, CLOSE\r\n\r\n",
		0 },
	{ "GET / HTTP/1.1\r\nHost: a\r\nConnection: x\r\nConnection: "
	  "close\r\n\r\n",
		0 },
	{ "GET / HTTP/1.1\r\nHost: a\r\nConnection: closed\r\n\r\n", KEEP },
	{ "GET / HTTP/1.1\r\nHost: a\r\nProxy-Connection: close\r\n\r\n",
		KEEP },
	{ "GET / HTTP/1.0\r\n\r\n", 0 },
	{ "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", KEEP },
	{ "GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", 0 },
	{ "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: "
	  "websocket\r\n\r\n",
		KEEP | UPGRADE },
	{ "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n", KEEP },
	{ "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n\r\n", KEEP },
	{ "GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: "
	  "websocket\r\n\r\n",
		0 },
	{ "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, "
	  "HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n",
		KEEP },
	{ "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: "
	  "websocket, H2C\r\n\r\n",
		KEEP },
	{ "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: "
	  "a\r\nUpgrade: b\r\n\r\n",
		KEEP },
	{ "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nConnection: "
	  "Upgrade\r\nUpgrade: websocket\r\n\r\n",
		KEEP },
	{ "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: "
	  "100-CONTINUE\r\n\r\n",
		KEEP | EXPECT },
	{ "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n", KEEP },
	{ "POST / HTTP/1.0\r\nContent-Length: 1\r\nExpect: "
	  "100-continue\r\n\r\n",
		0 },
	{ "GET / HTTP/1.1\r\nHost: a\r\nTE: deflate;q=0.5, "
	  "Trailers\r\nConnection: TE\r\n\r\n",
		KEEP | TE },
	{ "GET / HTTP/1.1\r\nHost: a\r\nTE: gzip\r\n\r\n", KEEP },
};

START_TEST(test_connection)
{
	const struct http_head *h = &parser.head;
	int flags;

	ck_assert_int_eq(
		parse(HTTP_KIND_REQUEST, connections[_i].head, NULL), 0);
	flags = (h->keep_alive ? KEEP : 0) | (h->upgrade ? UPGRADE : 0) |
		(h->expect ? EXPECT : 0) | (h->te_trailers ? TE : 0);
	ck_assert_int_eq(flags, connections[_i].flags);
}
END_TEST

START_TEST(test_hop)
{
	static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\n"
				   "Connection: a, Keep-Alive , X-b\r\n"
				   "x-B: 2\r\nKeep-Alive: 3\r\nAb: 4\r\na: 5"
				   "\r\n\r\n";
	static const uint8_t hop[] = { 0, 1, 0, 1, 0, 0, 1 };

	ck_assert_int_eq(parse(HTTP_KIND_REQUEST, text, NULL), 0);
	ck_assert_uint_eq(parser.head.n_fields, sizeof(hop));
	for (uint32_t i = 0; i < sizeof(hop); i++)
		ck_assert_uint_eq(parser.field[i].hop, hop[i]);
}
END_TEST

static const struct {
	const char *head;
	bool keep;
} responses[] = {
	{ "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n", true },
	{ "HTTP/1.1 200 OK\r\n\r\n", false },
	{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", true },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: "
	  "close\r\n\r\n",
		false },
	{ "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n", false },
	{ "HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: "
	  "keep-alive\r\n\r\n",
		true },
	{ "HTTP/1.1 204 No\r\n\r\n", true },
	{ "HTTP/1.1 304 No\r\n\r\n", true },
};

START_TEST(test_response_keep)
{
	const struct http_asked asked = { HTTP_GET, false };

	ck_assert_int_eq(
		parse(HTTP_KIND_RESPONSE, responses[_i].head, &asked), 0);
	ck_assert_int_eq(parser.head.keep_alive, responses[_i].keep);
}
END_TEST

/* --- limits ----------------------------------------------------------------
 */

static const struct {
	const char *head;
	struct http_limits limits;
	uint16_t status;
} limits[] = {
	{ "GET /12345 HTTP/1.1\r\nHost: a\r\n\r\n", { 0 }, 0 },
	{ "GET /12345 HTTP/1.1\r\nHost: a\r\n\r\n", { .max_bytes = 31 }, 431 },
	{ "GET /12345 HTTP/1.1\r\nHost: a\r\n\r\n", { .max_bytes = 32 }, 0 },
	{ "GET /12345 HTTP/1.1\r\nHost: a\r\n\r\n", { .max_bytes = 20 }, 414 },
	{ "GET /12345 HTTP/1.1\r\nHost: a\r\n\r\n", { .max_bytes = 21 }, 431 },
	{ "GET / HTTP/1.1\r\nHost: a\r\nB: c\r\n\r\n", { .max_fields = 2 }, 0 },
	{ "GET / HTTP/1.1\r\nHost: a\r\nB: c\r\n\r\n", { .max_fields = 1 },
		431 },
	{ "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789",
		{ .max_body = 10 }, 0 },
	{ "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n",
		{ .max_body = 10 }, 413 },
};

START_TEST(test_limits)
{
	const struct lab_message m = { .text = limits[_i].head,
		.len = strlen(limits[_i].head),
		.kind = HTTP_KIND_REQUEST,
		.limits = limits[_i].limits };
	const struct lab_outcome o = lab_judge(&m);

	ck_assert_int_eq(o.head, limits[_i].status == 0 ? 0 : -EBADMSG);
	ck_assert_uint_eq(o.error.status, limits[_i].status);
}
END_TEST

/* A head of `n` fields whose last one's value is filled up to `len` bytes. */
static char *
long_head(uint32_t n, size_t len)
{
	char *text = malloc(len + 1);
	size_t at;

	ck_assert_ptr_nonnull(text);
	at = (size_t)sprintf(text, "GET / HTTP/1.1\r\nHost: a\r\n");
	for (uint32_t i = 1; i < n; i++)
		at += (size_t)sprintf(text + at, "B: c\r\n");
	at -= 2;
	memset(text + at, 'x', len - at - 4);
	memcpy(text + len - 4, "\r\n\r\n", 5);
	return text;
}

static const struct {
	uint32_t fields;
	size_t len;
	uint16_t status;
} largest[] = {
	{ HTTP_FIELDS_MAX, HTTP_HEAD_MAX, 0 },
	{ HTTP_FIELDS_MAX + 1, HTTP_HEAD_MAX, 431 },
	{ HTTP_FIELDS_MAX, HTTP_HEAD_MAX + 1, 431 },
	{ 2, HTTP_HEAD_MAX, 0 },
	{ 2, HTTP_HEAD_MAX + 1000, 431 },
};

START_TEST(test_largest)
{
	char *text = long_head(largest[_i].fields, largest[_i].len);
	int err = parse(HTTP_KIND_REQUEST, text, NULL);

	ck_assert_int_eq(err, largest[_i].status == 0 ? 0 : -EBADMSG);
	ck_assert_uint_eq(parser.error.status, largest[_i].status);
	if (err == 0)
		ck_assert_uint_eq(parser.head.len, largest[_i].len);
	free(text);
}
END_TEST

/* Byte by byte, a head takes a step per byte: llhttp is never fed twice. */
START_TEST(test_linear)
{
	char *text = long_head(100, 60000);

	http_parser_init(&parser, HTTP_KIND_REQUEST, NULL, NULL);
	for (size_t len = 1; len < 60000; len++) {
		ck_assert_int_eq(http_parse(&parser, text, len), -EAGAIN);
		ck_assert_uint_eq(parser.fed, len);
	}
	ck_assert_int_eq(http_parse(&parser, text, 60000), 0);
	free(text);
}
END_TEST

START_TEST(test_fail)
{
	ck_assert_int_eq(parse(HTTP_KIND_REQUEST, "GET /", NULL), -EAGAIN);
	ck_assert_int_eq(http_parse_fail(&parser, 408, "too slow"), -EBADMSG);
	ck_assert_uint_eq(parser.error.status, 408);
	ck_assert_str_eq(parser.error.why, "too slow");
	ck_assert_int_eq(parse(HTTP_KIND_REQUEST, "", NULL), -EAGAIN);
	ck_assert_int_eq(parse(HTTP_KIND_RESPONSE, "HTTP/1.1", NULL), -EAGAIN);
	ck_assert_int_eq(http_parse_fail(&parser, 504, "cut"), -EBADMSG);
	ck_assert_uint_eq(parser.error.status, 502);
}
END_TEST

/* --- characters ------------------------------------------------------------
 */

/* Every byte at every place of a text longer than a word. */
START_TEST(test_value_span)
{
	char text[21];

	for (int c = 0; c < 256; c++) {
		bool good = c == '\t' || (c >= ' ' && c != 0x7f);

		for (size_t at = 0; at < sizeof(text); at++) {
			memset(text, 'x', sizeof(text));
			text[at] = (char)c;
			ck_assert_uint_eq(http_value_span(text, sizeof(text)),
				good ? sizeof(text) : at);
		}
	}
	ck_assert_uint_eq(http_value_span(text, 0), 0);
}
END_TEST

START_TEST(test_token)
{
	for (int i = 0; i < 256; i++) {
		char c = (char)i;
		bool good = i != 0 && i < 128 &&
			    strchr("!#$%&'*+-.^_`|~0123456789"
				   "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "abcdefghijklmnopqrstuvwxyz",
				    i) != NULL;

		ck_assert_int_eq(http_is_token(&c, 1), good);
	}
	ck_assert(!http_is_token("", 0));
	ck_assert(!http_is_token("a b", 3));
}
END_TEST

START_TEST(test_list)
{
	static const char list[] = " ,, a , b\tc ,,d";
	static const char *const want[] = { "a", "b\tc", "d" };
	const char *e;
	size_t at = 0, len;

	for (int i = 0; i < 3; i++) {
		ck_assert(
			http_list_next(list, sizeof(list) - 1, &at, &e, &len));
		ck_assert_uint_eq(len, strlen(want[i]));
		ck_assert_mem_eq(e, want[i], len);
	}
	ck_assert(!http_list_next(list, sizeof(list) - 1, &at, &e, &len));
	ck_assert(!http_list_next(list, sizeof(list) - 1, &at, &e, &len));
}
END_TEST

/* Names are bounded, so that what is written for them is. */
START_TEST(test_host_length)
{
	char host[300];
	size_t len;

	memset(host, 'a', sizeof(host));
	ck_assert(http_authority(host, 255, &len));
	ck_assert_uint_eq(len, 255);
	ck_assert(!http_authority(host, 256, &len));
	memcpy(host + 255, ":65535", 6);
	ck_assert(http_authority(host, 261, &len));
	ck_assert_uint_eq(len, 255);
}
END_TEST

#define ROWS(t) (int)(sizeof(t) / sizeof((t)[0]))

int
main(void)
{
	Suite *s = suite_create("http_head");
	TCase *tc = tcase_create("head");
	SRunner *sr;
	int failed;

	tcase_add_loop_test(tc, test_targets, 0, ROWS(targets));
	tcase_add_test(tc, test_fields);
	tcase_add_loop_test(tc, test_names, 0, ROWS(names));
	tcase_add_loop_test(tc, test_connection, 0, ROWS(connections));
	tcase_add_test(tc, test_hop);
	tcase_add_loop_test(tc, test_response_keep, 0, ROWS(responses));
	tcase_add_loop_test(tc, test_limits, 0, ROWS(limits));
	tcase_add_loop_test(tc, test_largest, 0, ROWS(largest));
	tcase_add_test(tc, test_linear);
	tcase_add_test(tc, test_fail);
	tcase_add_test(tc, test_value_span);
	tcase_add_test(tc, test_token);
	tcase_add_test(tc, test_list);
	tcase_add_test(tc, test_host_length);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
