/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Heads as they go on: a row is what came and what is to be sent. Each is
 * written in memory of just its size, and in every smaller one, where it must
 * say so; and what was written is read again.
 */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/grant.h"
#include "nf/proxy/http_write.h"

#define FOR   GRANT_F_FORWARDED_FOR
#define RFC   GRANT_F_FORWARDED
#define TRUST GRANT_F_TRUST

static struct http_parser parser, again;

static struct http_client
client_of(bool v6)
{
	struct ip_addr a = ip_addr_from_v4(htonl(0xc0000207));
	struct http_client c;

	if (v6)
		ck_assert_int_eq(inet_pton(AF_INET6, "2001:db8::17", &a), 1);
	http_client_init(&c, &a, htons(8080));
	return c;
}

/* --- requests --------------------------------------------------------------
 */

static const struct request_row {
	const char *name, *in, *out;
	uint16_t flags;
	uint8_t conn;
	bool v6, tls;
	const char *cookie;
} requests[] = {
	{ .name = "nothing to do",
		.in = "GET /a HTTP/1.1\r\nhost:  A\r\nX:\ty \r\n\r\n",
		.out = "GET /a HTTP/1.1\r\nhost:  A\r\nX:\ty \r\n\r\n" },
	{ .name = "empty line ahead goes",
		.in = "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
		.out = "GET / HTTP/1.1\r\nHost: a\r\n\r\n" },
	{ .name = "hop by hop",
		.in = "GET / HTTP/1.1\r\nConnection: x-a, keep-alive\r\n"
		      "Host: a\r\nX-A: 1\r\nKeep-Alive: 3\r\nB: c\r\n"
		      "Proxy-Connection: keep-alive\r\nTE: gzip\r\n"
		      "Upgrade: websocket\r\nHTTP2-Settings: x\r\nD: e\r\n"
		      "x-a: 2\r\n\r\n",
		.out = "GET / HTTP/1.1\r\nHost: a\r\nB: c\r\nD: e\r\n\r\n" },
	{ .name = "end to end stays, whatever older RFCs said of it",
		.in = "GET / HTTP/1.1\r\nHost: a\r\nProxy-Authorization: b\r\n"
		      "Trailer: c\r\nMax-Forwards: 3\r\n\r\n",
		.out = "GET / HTTP/1.1\r\nHost: a\r\nProxy-Authorization: b\r\n"
		       "Trailer: c\r\nMax-Forwards: 3\r\n\r\n" },
	{ .name = "framing stays",
		.in = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
		      "Chunked\r\n\r\n",
		.out = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
		       "Chunked\r\n\r\n" },
	{ .name = "close",
		.conn = HTTP_CONN_CLOSE,
		.in = "GET / HTTP/1.1\r\nHost: a\r\n"
		      "Connection: keep-alive\r\n\r\n",
		.out = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
		       "\r\n" },
	{ .name = "HTTP/1.0 says that it keeps",
		.in = "GET / HTTP/1.0\r\nA: b\r\n\r\n",
		.out = "GET / HTTP/1.0\r\nA: b\r\nConnection: keep-alive\r\n"
		       "\r\n" },
	{ .name = "upgrade",
		.conn = HTTP_CONN_UPGRADE,
		.in = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
		      "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
		      "\r\n",
		.out = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
		       "Sec-WebSocket-Version: 13\r\nConnection: Upgrade\r\n"
		       "\r\n" },
	{ .name = "TE: trailers",
		.in = "GET / HTTP/1.1\r\nHost: a\r\nTE: gzip, trailers\r\n"
		      "Connection: TE\r\n\r\n",
		.out = "GET / HTTP/1.1\r\nHost: a\r\nConnection: TE\r\n"
		       "TE: trailers\r\n\r\n" },
	{ .name = "TE: trailers and close",
		.conn = HTTP_CONN_CLOSE,
		.in = "GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n",
		.out = "GET / HTTP/1.1\r\nHost: a\r\n"
		       "Connection: close, TE\r\nTE: trailers\r\n\r\n" },
	{ .name = "Host by the target",
		.in = "GET http://b:81/x HTTP/1.1\r\nA: b\r\nhOst: evil\r\n"
		      "C: d\r\n\r\n",
		.out = "GET http://b:81/x HTTP/1.1\r\nA: b\r\nhOst: b:81\r\n"
		       "C: d\r\n\r\n" },
	{ .name = "forwarding fields of who is not trusted",
		.in = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: evil\r\n"
		      "Forwarded: for=evil\r\nx-forwarded-proto: https\r\n"
		      "X-Forwarded-Port: 1\r\nX-Forwarded-Host: b\r\n\r\n",
		.out = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Host: b\r\n"
		       "\r\n" },
	{ .name = "X-Forwarded-For",
		.flags = FOR,
		.in = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: evil\r\n"
		      "\r\n",
		.out = "GET / HTTP/1.1\r\nHost: a\r\n"
		       "X-Forwarded-For: 192.0.2.7\r\n"
		       "X-Forwarded-Proto: http\r\nX-Forwarded-Port: 8080\r\n"
		       "\r\n" },
	{ .name = "X-Forwarded-For with IPv6 and TLS",
		.flags = FOR,
		.v6 = true,
		.tls = true,
		.in = "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		.out = "GET / HTTP/1.1\r\nHost: a\r\n"
		       "X-Forwarded-For: 2001:db8::17\r\n"
		       "X-Forwarded-Proto: https\r\n"
		       "X-Forwarded-Port: 8080\r\n\r\n" },
	{ .name = "X-Forwarded-For, appended to the last",
		.flags = FOR | TRUST,
		.in = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1\r\n"
		      "x-forwarded-for: 2, 3 \r\nX-Forwarded-Proto: https\r\n"
		      "\r\n",
		.out = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1\r\n"
		       "x-forwarded-for: 2, 3, 192.0.2.7\r\n"
		       "X-Forwarded-Proto: https\r\n"
		       "X-Forwarded-Port: 8080\r\n\r\n" },
	{ .name = "X-Forwarded-For, appended to nothing",
		.flags = FOR | TRUST,
		.in = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: \r\n"
		      "X-Forwarded-Proto: a\r\nX-Forwarded-Port: b\r\n\r\n",
		.out = "GET / HTTP/1.1\r\nHost: a\r\n"
		       "X-Forwarded-For: 192.0.2.7\r\n"
		       "X-Forwarded-Proto: a\r\nX-Forwarded-Port: b\r\n"
		       "\r\n" },
	{ .name = "X-Forwarded-For that Connection names is not there",
		.flags = FOR | TRUST,
		.in = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1\r\n"
		      "Connection: x-forwarded-for\r\n\r\n",
		.out = "GET / HTTP/1.1\r\nHost: a\r\n"
		       "X-Forwarded-For: 192.0.2.7\r\n"
		       "X-Forwarded-Proto: http\r\nX-Forwarded-Port: 8080\r\n"
		       "\r\n" },
	{ .name = "trusted, and nothing added",
		.flags = TRUST,
		.in = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1\r\n"
		      "Forwarded: for=2\r\n\r\n",
		.out = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1\r\n"
		       "Forwarded: for=2\r\n\r\n" },
	{ .name = "Forwarded",
		.flags = RFC,
		.in = "GET / HTTP/1.1\r\nHost: a\r\nForwarded: for=evil\r\n"
		      "\r\n",
		.out = "GET / HTTP/1.1\r\nHost: a\r\n"
		       "Forwarded: for=192.0.2.7;proto=http\r\n\r\n" },
	{ .name = "Forwarded with IPv6, appended",
		.flags = RFC | TRUST,
		.v6 = true,
		.tls = true,
		.in = "GET / HTTP/1.1\r\nHost: a\r\nForwarded: for=1\r\n\r\n",
		.out = "GET / HTTP/1.1\r\nHost: a\r\nForwarded: for=1, "
		       "for=\"[2001:db8::17]\";proto=https\r\n\r\n" },
	{ .name = "sticky cookie alone",
		.cookie = "S",
		.in = "GET / HTTP/1.1\r\nHost: a\r\nCookie: S=1\r\nB: c\r\n"
		      "\r\n",
		.out = "GET / HTTP/1.1\r\nHost: a\r\nB: c\r\n\r\n" },
	{ .name = "sticky cookie among others",
		.cookie = "S",
		.in = "GET / HTTP/1.1\r\nHost: a\r\nCOOKIE:a=b; S=1; c=\"d\" "
		      "\r\nCookie: e=f \r\n\r\n",
		.out = "GET / HTTP/1.1\r\nHost: a\r\nCOOKIE:a=b; c=\"d\"\r\n"
		       "Cookie: e=f \r\n\r\n" },
	{ .name = "all of it",
		.cookie = "S",
		.flags = FOR | RFC,
		.conn = HTTP_CONN_CLOSE,
		.in = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
		      "Expect: 100-continue\r\nCookie: S=1;a=b\r\n\r\n",
		.out = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
		       "Expect: 100-continue\r\nCookie: a=b\r\n"
		       "X-Forwarded-For: 192.0.2.7\r\n"
		       "X-Forwarded-Proto: http\r\nX-Forwarded-Port: 8080\r\n"
		       "Forwarded: for=192.0.2.7;proto=http\r\n"
		       "Connection: close\r\n\r\n" },
};

typedef ssize_t (*writer)(const struct http_parser *, const char *,
	const struct http_write *, char *, size_t);

/* It fits into its own length and into nothing less. */
static void
check_write(const char *name, writer write, const char *in, const char *want,
	const struct http_write *w)
{
	const size_t len = strlen(want);

	for (size_t room = 0; room <= len; room++) {
		char *out = malloc(room > 0 ? room : 1);
		ssize_t n = write(&parser, in, w, out, room);

		if (room < len)
			ck_assert_msg(
				n == -ENOBUFS, "%s: %zd in %zu", name, n, room);
		else
			ck_assert_msg(n == (ssize_t)len &&
					      memcmp(out, want, len) == 0,
				"%s: %.*s", name, (int)n, out);
		free(out);
	}
}

START_TEST(test_requests)
{
	const struct request_row *r = &requests[_i];
	struct http_client client = client_of(r->v6);
	const struct http_write w = { .conn = r->conn,
		.flags = r->flags,
		.client = &client,
		.cookie = r->cookie,
		.cookie_len = r->cookie ? (uint32_t)strlen(r->cookie) : 0 };

	client.tls = r->tls;
	http_parser_init(&parser, HTTP_KIND_REQUEST, NULL, NULL);
	ck_assert_msg(http_parse(&parser, r->in, strlen(r->in)) == 0, "%s: %s",
		r->name, parser.error.why);
	check_write(r->name, http_write_request, r->in, r->out, &w);
	http_parser_init(&again, HTTP_KIND_REQUEST, NULL, NULL);
	ck_assert_int_eq(http_parse(&again, r->out, strlen(r->out)), 0);
	ck_assert_uint_eq(again.head.framing, parser.head.framing);
	ck_assert_uint_eq(again.head.length, parser.head.length);
}
END_TEST

/* --- responses -------------------------------------------------------------
 */

static const struct response_row {
	const char *name, *in, *out;
	uint8_t conn, peer_minor;
	bool dechunk, upgrade;
	const char *cookie;
} responses[] = {
	{ .name = "nothing to do",
		.peer_minor = 1,
		.in = "HTTP/1.1 200 OK\r\nA: b\r\n\r\n",
		.out = "HTTP/1.1 200 OK\r\nA: b\r\n\r\n" },
	{ .name = "hop by hop",
		.peer_minor = 1,
		.in = "HTTP/1.1 200 Fine\r\nConnection: keep-alive, A\r\n"
		      "A: b\r\nKeep-Alive: timeout=5\r\nUpgrade: h2\r\n"
		      "Proxy-Authenticate: c\r\nTransfer-Encoding: chunked\r\n"
		      "\r\n",
		.out = "HTTP/1.1 200 Fine\r\nProxy-Authenticate: c\r\n"
		       "Transfer-Encoding: chunked\r\n\r\n" },
	{ .name = "close",
		.peer_minor = 1,
		.conn = HTTP_CONN_CLOSE,
		.in = "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n",
		.out = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" },
	{ .name = "to a client of HTTP/1.0",
		.in = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
		.out = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"
		       "Connection: keep-alive\r\n\r\n" },
	{ .name = "from a backend of HTTP/1.0",
		.peer_minor = 1,
		.in = "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
		.out = "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n"
		       "Connection: keep-alive\r\n\r\n" },
	{ .name = "chunks taken away",
		.dechunk = true,
		.conn = HTTP_CONN_CLOSE,
		.in = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
		      "Trailer: a\r\nB: c\r\n\r\n",
		.out = "HTTP/1.1 200 OK\r\nB: c\r\nConnection: close\r\n"
		       "\r\n" },
	{ .name = "101",
		.peer_minor = 1,
		.conn = HTTP_CONN_UPGRADE,
		.upgrade = true,
		.in = "HTTP/1.1 101 Go\r\nConnection: upgrade\r\n"
		      "Upgrade: websocket\r\nA: b\r\n\r\n",
		.out = "HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nA: b\r\n"
		       "Connection: Upgrade\r\n\r\n" },
	{ .name = "426",
		.peer_minor = 1,
		.conn = HTTP_CONN_CLOSE,
		.in = "HTTP/1.1 426 Do\r\nUpgrade: websocket\r\n"
		      "Connection: upgrade\r\nContent-Length: 0\r\n\r\n",
		.out = "HTTP/1.1 426 Do\r\nUpgrade: websocket\r\n"
		       "Content-Length: 0\r\nConnection: close, Upgrade\r\n"
		       "\r\n" },
	{ .name = "Set-Cookie",
		.peer_minor = 1,
		.cookie = "Set-Cookie: S=1\r\n",
		.in = "HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\n\r\n",
		.out = "HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\n"
		       "Set-Cookie: S=1\r\n\r\n" },
	{ .name = "no field at all",
		.peer_minor = 1,
		.in = "HTTP/1.1 100 Continue\r\n\r\n",
		.out = "HTTP/1.1 100 Continue\r\n\r\n" },
};

START_TEST(test_responses)
{
	const struct response_row *r = &responses[_i];
	const struct http_asked asked = { HTTP_GET, r->upgrade };
	const struct http_write w = { .conn = r->conn,
		.peer_minor = r->peer_minor,
		.dechunk = r->dechunk,
		.cookie = r->cookie,
		.cookie_len = r->cookie ? (uint32_t)strlen(r->cookie) : 0 };

	http_parser_init(&parser, HTTP_KIND_RESPONSE, NULL, &asked);
	ck_assert_msg(http_parse(&parser, r->in, strlen(r->in)) == 0, "%s: %s",
		r->name, parser.error.why);
	check_write(r->name, http_write_response, r->in, r->out, &w);
	http_parser_init(&again, HTTP_KIND_RESPONSE, NULL, &asked);
	ck_assert_int_eq(http_parse(&again, r->out, strlen(r->out)), 0);
	ck_assert_uint_eq(again.head.framing,
		r->dechunk ? HTTP_BODY_CLOSE : parser.head.framing);
}
END_TEST

static const struct {
	const char *in;
	uint8_t minor;
	struct http_relay want;
} relays[] = {
	{ "HTTP/1.1 100 Continue\r\n\r\n", 1, { false, false, false } },
	{ "HTTP/1.1 103 Hints\r\n\r\n", 0, { true, false, false } },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n", 0,
		{ false, false, false } },
	{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 1,
		{ false, false, false } },
	{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 0,
		{ false, true, true } },
	{ "HTTP/1.1 200 OK\r\n\r\n", 1, { false, false, true } },
};

START_TEST(test_relay)
{
	const struct http_asked asked = { HTTP_GET, false };
	struct http_relay how;

	http_parser_init(&parser, HTTP_KIND_RESPONSE, NULL, &asked);
	ck_assert_int_eq(
		http_parse(&parser, relays[_i].in, strlen(relays[_i].in)), 0);
	http_relay(&parser.head, relays[_i].minor, &how);
	ck_assert_int_eq(how.skip, relays[_i].want.skip);
	ck_assert_int_eq(how.dechunk, relays[_i].want.dechunk);
	ck_assert_int_eq(how.must_close, relays[_i].want.must_close);
}
END_TEST

/* --- bounds ----------------------------------------------------------------
 */

/* All that can be added at once stays within what the header promises. */
START_TEST(test_growth)
{
	static const char fill[] = "a.example.a.example.a.example.a.example.";
	char in[2048], out[4096];
	struct http_client client = client_of(false);
	struct http_write w = { .flags = FOR | RFC, .client = &client };
	size_t n;
	ssize_t len;

	memset(client.addr, 'f', sizeof(client.addr));
	client.addr_len = HTTP_ADDR_TEXT;
	client.v6 = client.tls = true;
	n = (size_t)sprintf(in, "GET http://");
	for (int i = 0; i < 6; i++)
		n += (size_t)sprintf(in + n, "%s", fill);
	sprintf(in + n, ":65535/ HTTP/1.1\r\nHost:\r\nTE:trailers\r\n\r\n");
	http_parser_init(&parser, HTTP_KIND_REQUEST, NULL, NULL);
	ck_assert_int_eq(http_parse(&parser, in, strlen(in)), 0);
	for (int conn = HTTP_CONN_KEEP; conn <= HTTP_CONN_UPGRADE; conn++) {
		w.conn = (uint8_t)conn;
		len = http_write_request(&parser, in, &w, out, sizeof(out));
		ck_assert_int_gt(len, 0);
		ck_assert_int_le(len, (ssize_t)strlen(in) + HTTP_WRITE_GROWTH);
	}
}
END_TEST

/* --- our own answers -------------------------------------------------------
 */

START_TEST(test_errors)
{
	static const uint16_t status[] = { 400, 403, 404, 408, 413, 414, 417,
		421, 429, 431, 500, 501, 502, 503, 504, 505 };
	const struct http_asked asked = { HTTP_GET, false };
	char out[1024];
	ssize_t n;

	for (size_t i = 0; i < sizeof(status) / sizeof(status[0]); i++) {
		n = http_write_error(
			status[i], NULL, 0, false, false, out, sizeof(out));
		ck_assert_int_gt(n, 0);
		http_parser_init(&again, HTTP_KIND_RESPONSE, NULL, &asked);
		ck_assert_int_eq(http_parse(&again, out, (size_t)n), 0);
		ck_assert_uint_eq(again.head.status, status[i]);
		ck_assert_uint_eq(
			again.head.len + again.head.length, (uint64_t)n);
		ck_assert(!again.head.keep_alive);
	}
	ck_assert_int_eq(
		http_write_error(200, NULL, 0, false, false, out, sizeof(out)),
		-EINVAL);
}
END_TEST

START_TEST(test_error_body)
{
	static const char want[] = "HTTP/1.1 503 Service Unavailable\r\n"
				   "Content-Type: text/html\r\n"
				   "Content-Length: 5\r\n"
				   "Cache-Control: no-store\r\n\r\n<p>no";
	const size_t len = sizeof(want) - 1;
	char out[sizeof(want)];

	ck_assert_int_eq(
		http_write_error(503, "<p>no", 5, true, false, out, len), len);
	ck_assert_mem_eq(out, want, len);
	ck_assert_int_eq(
		http_write_error(503, "<p>no", 5, true, false, out, len - 1),
		-ENOBUFS);
	ck_assert_int_eq(
		http_write_error(503, "<p>no", 5, true, false, out, 10),
		-ENOBUFS);
	ck_assert_int_eq(
		http_write_error(503, "<p>no", 5, true, true, out, len - 4),
		len - 5);
	ck_assert_mem_eq(out, want, len - 5);
}
END_TEST

START_TEST(test_client_text)
{
	static const struct {
		uint32_t addr;
		const char *text;
	} row[] = { { 0, "0.0.0.0" }, { 0xffffffff, "255.255.255.255" },
		{ 0x0a010a64, "10.1.10.100" } };
	struct http_client c;

	for (int i = 0; i < 3; i++) {
		struct ip_addr a = ip_addr_from_v4(htonl(row[i].addr));

		http_client_init(&c, &a, htons(i == 0 ? 0 : 65535));
		ck_assert_uint_eq(c.addr_len, strlen(row[i].text));
		ck_assert_mem_eq(c.addr, row[i].text, c.addr_len);
		ck_assert_uint_eq(c.port_len, i == 0 ? 1 : 5);
	}
}
END_TEST

#define ROWS(t) (int)(sizeof(t) / sizeof((t)[0]))

int
main(void)
{
	Suite *s = suite_create("http_write");
	TCase *tc = tcase_create("write");
	SRunner *sr;
	int failed;

	tcase_add_loop_test(tc, test_requests, 0, ROWS(requests));
	tcase_add_loop_test(tc, test_responses, 0, ROWS(responses));
	tcase_add_loop_test(tc, test_relay, 0, ROWS(relays));
	tcase_add_test(tc, test_growth);
	tcase_add_test(tc, test_errors);
	tcase_add_test(tc, test_error_body);
	tcase_add_test(tc, test_client_text);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
