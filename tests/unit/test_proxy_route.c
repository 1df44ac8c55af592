/* SPDX-License-Identifier: BSD-3-Clause */
/* Routes, sticky cookies, and the choice of a backend. */
#include <arpa/inet.h>
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/tcp/secret.h"
#include "nf/proxy/balance.h"
#include "nf/proxy/cookie.h"
#include "nf/proxy/route.h"

static struct grant grant;
static struct http_parser parser;

/* --- routes ----------------------------------------------------------------
 */

static struct grant_text
text(const char *t)
{
	struct grant_text s = { grant.text_len, (uint32_t)strlen(t) };

	memcpy(grant.text + s.at, t, s.len + 1);
	grant.text_len += s.len + 1;
	return s;
}

static void
add_route(const char *host, const char *path, uint32_t group)
{
	grant.routes[grant.n_routes++] = (struct grant_route){
		.host = text(host), .path = text(path), .group = group
	};
}

/* Service 1's, behind one of service 0 that fits everything. */
static void
make_routes(void)
{
	memset(&grant, 0, sizeof(grant));
	add_route("", "", 99);
	grant.proxy[0].n_routes = 1;
	grant.proxy[1].first_route = 1;
	grant.proxy[1].default_group = 7;
	add_route("a.example", "/static/img/", 1);
	add_route("a.example", "/api", 2);
	add_route("a.example", "", 3);
	add_route(".example", "/x", 4);
	add_route(".a.example", "", 5);
	add_route("[::1]", "", 6);
	add_route("", "/health", 8);
	grant.proxy[1].n_routes = grant.n_routes - 1;
}

static const struct {
	const char *host, *path;
	uint32_t group;
} routes[] = {
	{ "a.example", "/", 3 },
	{ "A.eXample", "/", 3 },
	{ "a.example.", "/", 3 },
	{ "a.example", "/static/img/x.png", 1 },
	{ "a.example", "/static/img", 3 },
	{ "a.example", "/static/img?", 3 },
	{ "a.example", "/api", 2 },
	{ "a.example", "/api/", 2 },
	{ "a.example", "/api/v1", 2 },
	{ "a.example", "/api?x", 2 },
	{ "a.example", "/apix", 3 },
	{ "a.example", "/API", 3 },
	{ "a.example", "/ap", 3 },
	{ "a.example", "//api", 3 },
	{ "a.example", "/%61pi", 3 },
	{ "b.example", "/x", 4 },
	{ "b.c.EXAMPLE", "/x/y", 4 },
	{ "b.example", "/y", 7 },
	{ "example", "/x", 7 },
	{ ".example", "/x", 7 },
	{ "xexample", "/x", 7 },
	{ "b.a.example", "/", 5 },
	{ "b.a.example.", "/", 5 },
	{ "[::1]", "/", 6 },
	{ "", "/health", 8 },
	{ "other", "/health/now", 8 },
	{ "other", "/", 7 },
	{ "", "/", 7 },
	{ ".", "/", 7 },
	{ "a.example.evil", "/", 7 },
};

START_TEST(test_routes)
{
	make_routes();
	ck_assert_uint_eq(route_find_text(&grant, 1, routes[_i].host,
				  strlen(routes[_i].host), routes[_i].path,
				  strlen(routes[_i].path)),
		routes[_i].group);
}
END_TEST

static const struct {
	const char *head;
	uint32_t group;
} heads[] = {
	{ "GET /api?x HTTP/1.1\r\nHost: A.example:8080\r\n\r\n", 2 },
	{ "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", 6 },
	{ "GET http://a.example HTTP/1.1\r\nHost: other\r\n\r\n", 3 },
	{ "GET http://x.y?a HTTP/1.1\r\nHost: a.example\r\n\r\n", 7 },
	{ "GET /health HTTP/1.0\r\n\r\n", 8 },
	{ "OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n", 3 },
};

START_TEST(test_heads)
{
	const char *head = heads[_i].head;

	make_routes();
	http_parser_init(&parser, HTTP_KIND_REQUEST, NULL, NULL);
	ck_assert_int_eq(http_parse(&parser, head, strlen(head)), 0);
	ck_assert_uint_eq(
		route_find(&grant, 1, &parser.head, head), heads[_i].group);
	ck_assert_uint_eq(route_find(&grant, 0, &parser.head, head), 99);
}
END_TEST

/* An empty path is "/": a route for that fits it. */
START_TEST(test_root)
{
	static const char head[] = "GET http://a HTTP/1.1\r\nHost: a\r\n\r\n";

	memset(&grant, 0, sizeof(grant));
	grant.proxy[0].n_routes = 1;
	add_route("", "/", 1);
	http_parser_init(&parser, HTTP_KIND_REQUEST, NULL, NULL);
	ck_assert_int_eq(http_parse(&parser, head, sizeof(head) - 1), 0);
	ck_assert_uint_eq(route_find(&grant, 0, &parser.head, head), 1);
}
END_TEST

/* --- cookies ---------------------------------------------------------------
 */

static const struct {
	const char *fields;
	uint64_t id;
} cookies[] = {
	{ "", 0 },
	{ "Cookie: S=0123456789abcdef\r\n", 0x0123456789abcdef },
	{ "cookie:a=b; S=0123456789abcdef ;c=d\r\n", 0x0123456789abcdef },
	{ "Cookie: a=b;S=0123456789abcdef\r\n", 0x0123456789abcdef },
	{ "Cookie: a=b\r\nCookie: S=fedcba9876543210\r\n", 0xfedcba9876543210 },
	{ "Cookie: S=0000000000000001; S=0000000000000002\r\n", 1 },
	{ "Cookie: s=0123456789abcdef\r\n", 0 },
	{ "Cookie: SS=0123456789abcdef\r\n", 0 },
	{ "Cookie: XS=0123456789abcdef\r\n", 0 },
	{ "Cookie: a=S=0123456789abcdef\r\n", 0 },
	{ "Cookie: S\r\n", 0 },
	{ "Cookie: S=\r\n", 0 },
	{ "Cookie: S=0123456789ABCDEF\r\n", 0 },
	{ "Cookie: S=0123456789abcde\r\n", 0 },
	{ "Cookie: S=0123456789abcdef0\r\n", 0 },
	{ "Cookie: S=0123456789abcdeg\r\n", 0 },
	{ "Cookie: S=\"0123456789abcdef\"\r\n", 0 },
	{ "Cookie:\r\n", 0 },
	{ "Cookie: ;;;\r\n", 0 },
	{ "X: S=0123456789abcdef\r\n", 0 },
};

START_TEST(test_cookie_find)
{
	char head[256];

	snprintf(head, sizeof(head), "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n",
		cookies[_i].fields);
	http_parser_init(&parser, HTTP_KIND_REQUEST, NULL, NULL);
	ck_assert_int_eq(http_parse(&parser, head, strlen(head)), 0);
	ck_assert_uint_eq(cookie_find(&parser, head, "S", 1), cookies[_i].id);
}
END_TEST

static const struct {
	const char *value, *left;
} cuts[] = {
	{ "S=1", "" },
	{ "S", "" },
	{ " S = 1 ", "" },
	{ "S=1; S=2", "" },
	{ "a=b", "a=b" },
	{ "a=b;", "a=b;" },
	{ ";a=b", ";a=b" },
	{ "", "" },
	{ "a=b; S=1", "a=b" },
	{ "S=1; a=b", "a=b" },
	{ "S=1;a=b", "a=b" },
	{ "a=b; S=1; c=d", "a=b; c=d" },
	{ "a=b;S=1;c=d", "a=b;c=d" },
	{ "S=1; a=b; S=2; c=d; S=3", "a=b; c=d" },
	{ "SS=1; xS=2; a=S=3", "SS=1; xS=2; a=S=3" },
	{ "s=1", "s=1" },
};

START_TEST(test_cookie_cut)
{
	const char *value = cuts[_i].value;
	const size_t len = strlen(value);
	char *out = malloc(len > 0 ? len : 1);
	size_t n = cookie_cut(value, len, "S", 1, out);

	ck_assert_msg(n == strlen(cuts[_i].left) &&
			      memcmp(out, cuts[_i].left, n) == 0,
		"\"%.*s\"", (int)n, out);
	ck_assert_uint_eq(cookie_cut(value, len, "S", 1, NULL), n);
	free(out);
}
END_TEST

/* What is set is found again, and is the same at the next start. */
START_TEST(test_cookie_id)
{
	static char head[COOKIE_LINE_MAX + 100];
	struct grant_backend b = { .addr = ip_addr_from_v4(htonl(1)),
		.port = htons(80) };
	struct tcp_secret key, other;
	char line[COOKIE_LINE_MAX], name[COOKIE_NAME_MAX + 1];
	uint64_t id;
	size_t n;

	memset(name, 'n', sizeof(name));
	grant.steer_seed = 1;
	ck_assert_int_eq(cookie_key(&key, &grant), 0);
	ck_assert_int_eq(cookie_key(&other, &grant), 0);
	id = cookie_id(&key, &b);
	ck_assert_uint_eq(cookie_id(&other, &b), id);
	b.weight = 5; /* who it is, not how */
	ck_assert_uint_eq(cookie_id(&key, &b), id);
	b.port = htons(81);
	ck_assert_uint_ne(cookie_id(&key, &b), id);
	grant.steer_seed = 0;
	ck_assert_int_eq(cookie_key(&key, &grant), 0);
	ck_assert_int_eq(cookie_key(&other, &grant), 0);
	ck_assert_uint_eq(cookie_id(&key, &b), cookie_id(&other, &b));

	ck_assert_uint_eq(cookie_set(name, sizeof(name), id, line), 0);
	n = cookie_set(name, COOKIE_NAME_MAX, id, line);
	ck_assert_uint_le(n, COOKIE_LINE_MAX);
	ck_assert_mem_eq(line, "Set-Cookie: n", 13);
	ck_assert_mem_eq(line + n - 2, "\r\n", 2);
	n = (size_t)snprintf(head, sizeof(head),
		"GET / HTTP/1.1\r\nHost: a\r\nCookie: %.*s\r\n\r\n",
		COOKIE_NAME_MAX + 1 + COOKIE_VALUE, line + 12);
	http_parser_init(&parser, HTTP_KIND_REQUEST, NULL, NULL);
	ck_assert_int_eq(http_parse(&parser, head, n), 0);
	ck_assert_uint_eq(
		cookie_find(&parser, head, name, COOKIE_NAME_MAX), id);
}
END_TEST

START_TEST(test_cookie_line)
{
	static const char want[] = "Set-Cookie: SRV=00000000000000ab; "
				   "Path=/; HttpOnly; SameSite=Lax\r\n";
	char line[COOKIE_LINE_MAX];

	ck_assert_uint_eq(cookie_set("SRV", 3, 0xab, line), sizeof(want) - 1);
	ck_assert_mem_eq(line, want, sizeof(want) - 1);
}
END_TEST

/* --- balance ---------------------------------------------------------------
 */

static struct balance balance;
static struct balance_node node[8];

static void
weights(const uint16_t *w, uint32_t n)
{
	memset(&balance, 0, sizeof(balance));
	memset(node, 0, sizeof(node));
	for (uint32_t i = 0; i < n; i++)
		node[i].weight = w[i];
}

static uint32_t
pick(uint32_t n, uint8_t scheduler)
{
	return balance_pick(&balance, node, n, scheduler, BALANCE_NONE);
}

START_TEST(test_rr_order)
{
	static const uint16_t w[] = { 5, 1, 1 };
	static const char want[] = "aabacaaaabacaa";

	weights(w, 3);
	for (size_t i = 0; i < sizeof(want) - 1; i++)
		ck_assert_int_eq('a' + (int)pick(3, GRANT_SCHED_RR), want[i]);
}
END_TEST

/* Each has its weight of any whole round, at the highest weights too. */
START_TEST(test_rr_shares)
{
	static const uint16_t w[] = { 256, 0, 1, 17, 256 };
	uint32_t had[5] = { 0 };

	weights(w, 5);
	for (int round = 1; round <= 3; round++) {
		for (int i = 0; i < 530; i++)
			had[pick(5, GRANT_SCHED_RR)]++;
		for (int i = 0; i < 5; i++)
			ck_assert_uint_eq(had[i], (uint32_t)round * w[i]);
	}
}
END_TEST

/* One that is down takes no part, and does not make up for it. */
START_TEST(test_rr_down)
{
	static const uint16_t w[] = { 1, 1, 1 };
	uint32_t had[3] = { 0 };

	weights(w, 3);
	node[1].down = true;
	for (int i = 0; i < 100; i++)
		had[pick(3, GRANT_SCHED_RR)]++;
	ck_assert_uint_eq(had[0], 50);
	ck_assert_uint_eq(had[1], 0);
	node[1].down = false;
	for (int i = 0; i < 99; i++)
		had[pick(3, GRANT_SCHED_RR)]++;
	ck_assert_uint_eq(had[1], 33);
}
END_TEST

START_TEST(test_least)
{
	static const uint16_t w[] = { 1, 2, 0, 4 };
	uint32_t i;

	weights(w, 4);
	for (int n = 0; n < 7 * 100; n++) {
		i = pick(4, GRANT_SCHED_LEASTCONN);
		ck_assert_uint_ne(i, BALANCE_NONE);
		node[i].active++;
	}
	ck_assert_uint_eq(node[0].active, 100);
	ck_assert_uint_eq(node[1].active, 200);
	ck_assert_uint_eq(node[2].active, 0);
	ck_assert_uint_eq(node[3].active, 400);
	node[1].active = 100;
	ck_assert_uint_eq(pick(4, GRANT_SCHED_LEASTCONN), 1);
	node[1].down = true;
	node[0].active = 99;
	ck_assert_uint_eq(pick(4, GRANT_SCHED_LEASTCONN), 0);
}
END_TEST

/* Idle ones alike take turns. */
START_TEST(test_least_turns)
{
	static const uint16_t w[] = { 3, 3, 3 };

	weights(w, 3);
	for (uint32_t i = 0; i < 9; i++)
		ck_assert_uint_eq(pick(3, GRANT_SCHED_LEASTCONN), i % 3);
}
END_TEST

START_TEST(test_nobody)
{
	static const uint16_t w[] = { 0, 1 };
	const uint8_t sched = _i == 0 ? GRANT_SCHED_RR : GRANT_SCHED_LEASTCONN;

	weights(w, 2);
	ck_assert_uint_eq(pick(0, sched), BALANCE_NONE);
	ck_assert_uint_eq(pick(1, sched), BALANCE_NONE);
	ck_assert_uint_eq(pick(2, sched), 1);
	node[1].down = true;
	ck_assert_uint_eq(pick(2, sched), BALANCE_NONE);
	ck_assert_uint_eq(
		balance_pick(&balance, node, 2, sched, 1), BALANCE_NONE);
}
END_TEST

/* Another one than the last, where there is another. */
START_TEST(test_except)
{
	static const uint16_t w[] = { 256, 1, 0 };
	const uint8_t sched = _i == 0 ? GRANT_SCHED_RR : GRANT_SCHED_LEASTCONN;

	weights(w, 3);
	for (int i = 0; i < 10; i++)
		ck_assert_uint_eq(balance_pick(&balance, node, 3, sched, 0), 1);
	node[1].down = true;
	ck_assert_uint_eq(balance_pick(&balance, node, 3, sched, 0), 0);
}
END_TEST

#define ROWS(t) (int)(sizeof(t) / sizeof((t)[0]))

int
main(void)
{
	Suite *s = suite_create("proxy_route");
	TCase *tc = tcase_create("choice");
	SRunner *sr;
	int failed;

	tcase_add_loop_test(tc, test_routes, 0, ROWS(routes));
	tcase_add_loop_test(tc, test_heads, 0, ROWS(heads));
	tcase_add_test(tc, test_root);
	tcase_add_loop_test(tc, test_cookie_find, 0, ROWS(cookies));
	tcase_add_loop_test(tc, test_cookie_cut, 0, ROWS(cuts));
	tcase_add_test(tc, test_cookie_id);
	tcase_add_test(tc, test_cookie_line);
	tcase_add_test(tc, test_rr_order);
	tcase_add_test(tc, test_rr_shares);
	tcase_add_test(tc, test_rr_down);
	tcase_add_test(tc, test_least);
	tcase_add_test(tc, test_least_turns);
	tcase_add_loop_test(tc, test_nobody, 0, 2);
	tcase_add_loop_test(tc, test_except, 0, 2);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
