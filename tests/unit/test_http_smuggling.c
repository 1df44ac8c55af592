/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What two servers might read differently, and what we make of it. A row is a
 * message and the whole judgement: refused with which status and why, or taken
 * with which framing, and then how many bytes are left for the next message.
 * Each is cut in every place; see http_lab.h.
 */
#include "http_lab.h"

enum verdict {
	HEAD_BAD, /* refused by its head */
	BODY_BAD, /* by its body */
	TAKEN,    /* complete */
	SHORT,    /* good so far, not complete */
};

struct row {
	const char *name;
	const char *text;
	size_t len;
	enum verdict verdict;
	uint16_t status; /* HEAD_BAD */
	const char *why; /* begins with; "": llhttp's words */
	enum http_framing framing;
	size_t left;
	struct http_asked asked;
};

#define TEXT(t) .text = (t), .len = sizeof(t) - 1

#define GET     "GET / HTTP/1.1\r\nHost: a\r\n"
#define POST    "POST / HTTP/1.1\r\nHost: a\r\n"
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"
#define OK      "HTTP/1.1 200 OK\r\n"

#include "http_smuggling_heads.h"

static const struct row bodies[] = {
	{ "chunk extension",
		TEXT(CHUNKED "5;a=b;c;d=\"e;f\\\"\"\r\nhello\r\n0;x\r\n\r\n"),
		TAKEN, .framing = HTTP_BODY_CHUNKED, .left = 0 },
	{ "chunk extension with blanks",
		TEXT(CHUNKED "5 ; a = b ; c\r\nhello\r\n0\r\n\r\n"), TAKEN,
		.framing = HTTP_BODY_CHUNKED, .left = 0 },
	{ "trailer", TEXT(CHUNKED "0\r\nA: b\r\nServer-Timing:\r\n\r\nGET"),
		TAKEN, .framing = HTTP_BODY_CHUNKED, .left = 3 },
	{ "chunk size in capitals and with zeros",
		TEXT(CHUNKED "00A\r\n0123456789\r\n000\r\n\r\n"), TAKEN,
		.framing = HTTP_BODY_CHUNKED, .left = 0 },
	{ "chunk cut short", TEXT(CHUNKED "5\r\nhel"), SHORT },
	{ "no last chunk", TEXT(CHUNKED "5\r\nhello\r\n"), SHORT },
	{ "no end of trailer", TEXT(CHUNKED "0\r\n"), SHORT },
	{ "length cut short", TEXT(POST "Content-Length: 5\r\n\r\nhell"),
		SHORT },
	{ "no size", TEXT(CHUNKED "\r\nhello"), BODY_BAD,
		.why = "no chunk size" },
	{ "size with a sign", TEXT(CHUNKED "+5\r\nhello\r\n0\r\n\r\n"),
		BODY_BAD, .why = "no chunk size" },
	{ "size below zero", TEXT(CHUNKED "-5\r\nhello\r\n0\r\n\r\n"), BODY_BAD,
		.why = "no chunk size" },
	{ "size with 0x", TEXT(CHUNKED "0x5\r\nhello\r\n0\r\n\r\n"), BODY_BAD,
		.why = "invalid chunk size" },
	{ "blank ahead of the size", TEXT(CHUNKED " 5\r\nhello\r\n0\r\n\r\n"),
		BODY_BAD, .why = "no chunk size" },
	{ "blank behind the size", TEXT(CHUNKED "5 \r\nhello\r\n0\r\n\r\n"),
		BODY_BAD, .why = "invalid chunk extension" },
	{ "size too long",
		TEXT(CHUNKED "0000000000000005\r\nhello\r\n0\r\n\r\n"),
		BODY_BAD, .why = "chunk size too long" },
	{ "size of 64 bits",
		TEXT(CHUNKED "ffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
		BODY_BAD, .why = "chunk size too long" },
	{ "size with a letter", TEXT(CHUNKED "5g\r\nhello\r\n0\r\n\r\n"),
		BODY_BAD, .why = "invalid chunk size" },
	{ "LF alone behind the size", TEXT(CHUNKED "5\nhello\r\n0\r\n\r\n"),
		BODY_BAD, .why = "invalid chunk size" },
	{ "CR alone behind the size", TEXT(CHUNKED "5\rhello\r\n0\r\n\r\n"),
		BODY_BAD, .why = "CR without LF in chunk size" },
	{ "CR CR LF behind the size", TEXT(CHUNKED "5\r\r\nhello\r\n0\r\n\r\n"),
		BODY_BAD, .why = "CR without LF in chunk size" },
	{ "LF alone behind an extension",
		TEXT(CHUNKED "5;a\nhello\r\n0\r\n\r\n"), BODY_BAD,
		.why = "invalid chunk size" },
	{ "LF in a quoted extension",
		TEXT(CHUNKED "5;a=\"\n\"\r\nhello\r\n0\r\n\r\n"), BODY_BAD,
		.why = "invalid chunk extension" },
	{ "CR in a quoted extension",
		TEXT(CHUNKED "5;a=\"\r\n\"\r\nhello\r\n0\r\n\r\n"), BODY_BAD,
		.why = "invalid chunk extension" },
	{ "escaped CR in an extension",
		TEXT(CHUNKED "5;a=\"\\\r\n\"\r\nhello\r\n0\r\n\r\n"), BODY_BAD,
		.why = "invalid chunk extension" },
	{ "empty extension", TEXT(CHUNKED "5;\r\nhello\r\n0\r\n\r\n"), BODY_BAD,
		.why = "invalid chunk extension" },
	{ "extension without name", TEXT(CHUNKED "5;=b\r\nhello\r\n0\r\n\r\n"),
		BODY_BAD, .why = "invalid chunk extension" },
	{ "extension without value", TEXT(CHUNKED "5;a=\r\nhello\r\n0\r\n\r\n"),
		BODY_BAD, .why = "invalid chunk extension" },
	{ "quotes and more", TEXT(CHUNKED "5;a=\"b\"c\r\nhello\r\n0\r\n\r\n"),
		BODY_BAD, .why = "invalid chunk size" },
	{ "control in an extension",
		TEXT(CHUNKED "5;a=\x01\r\nhello\r\n0\r\n\r\n"), BODY_BAD,
		.why = "invalid chunk extension" },
	{ "chunk longer than its size",
		TEXT(CHUNKED "5\r\nhello!\r\n0\r\n\r\n"), BODY_BAD,
		.why = "no CR behind chunk" },
	{ "chunk shorter than its size",
		TEXT(CHUNKED "6\r\nhello\r\n0\r\n\r\n"), BODY_BAD,
		.why = "no CR behind chunk" },
	{ "LF alone behind a chunk", TEXT(CHUNKED "5\r\nhello\n0\r\n\r\n"),
		BODY_BAD, .why = "no CR behind chunk" },
	{ "CR alone behind a chunk", TEXT(CHUNKED "5\r\nhello\r0\r\n\r\n"),
		BODY_BAD, .why = "no LF behind chunk" },
	{ "any two bytes behind a chunk", TEXT(CHUNKED "5\r\nhelloXX0\r\n\r\n"),
		BODY_BAD, .why = "no CR behind chunk" },
	{ "LF alone ends the trailer", TEXT(CHUNKED "0\r\n\n"), BODY_BAD,
		.why = "invalid trailer" },
	{ "CR and more end the trailer", TEXT(CHUNKED "0\r\n\rX"), BODY_BAD,
		.why = "CR without LF behind trailer" },
	{ "Content-Length in the trailer",
		TEXT(CHUNKED "0\r\nContent-Length: 5\r\n\r\n"), BODY_BAD,
		.why = "field not allowed in trailer" },
	{ "Transfer-Encoding in the trailer",
		TEXT(CHUNKED "0\r\nTransfer-Encoding: x\r\n\r\n"), BODY_BAD,
		.why = "field not allowed in trailer" },
	{ "Host in the trailer", TEXT(CHUNKED "0\r\nHost: b\r\n\r\n"), BODY_BAD,
		.why = "field not allowed in trailer" },
	{ "Connection in the trailer",
		TEXT(CHUNKED "0\r\nA: b\r\nconnection: close\r\n\r\n"),
		BODY_BAD, .why = "field not allowed in trailer" },
	{ "Cookie in the trailer", TEXT(CHUNKED "0\r\nCookie: a=b\r\n\r\n"),
		BODY_BAD, .why = "field not allowed in trailer" },
	{ "X-Forwarded-For in the trailer",
		TEXT(CHUNKED "0\r\nX-Forwarded-For: ::1\r\n\r\n"), BODY_BAD,
		.why = "field not allowed in trailer" },
	{ "folded trailer", TEXT(CHUNKED "0\r\nA: b\r\n c\r\n\r\n"), BODY_BAD,
		.why = "invalid trailer" },
	{ "trailer without colon", TEXT(CHUNKED "0\r\nA\r\n\r\n"), BODY_BAD,
		.why = "invalid trailer" },
	{ "trailer without name", TEXT(CHUNKED "0\r\n: b\r\n\r\n"), BODY_BAD,
		.why = "invalid trailer" },
	{ "blank ahead of a trailer's colon",
		TEXT(CHUNKED "0\r\nA : b\r\n\r\n"), BODY_BAD,
		.why = "invalid trailer" },
	{ "NUL in a trailer", TEXT(CHUNKED "0\r\nA: \0\r\n\r\n"), BODY_BAD,
		.why = "character in trailer" },
	{ "LF alone behind a trailer", TEXT(CHUNKED "0\r\nA: b\n\r\n"),
		BODY_BAD, .why = "character in trailer" },
	{ "a request where the trailer should be",
		TEXT(CHUNKED "0\r\nGET / HTTP/1.1\r\n\r\n"), BODY_BAD,
		.why = "invalid trailer" },
};

static const struct row responses[] = {
	{ "no length: until the end", TEXT(OK "\r\nabc"), TAKEN,
		.framing = HTTP_BODY_CLOSE, .left = 0,
		.asked.method = HTTP_GET },
	{ "length", TEXT(OK "Content-Length: 3\r\n\r\nabcHTTP"), TAKEN,
		.framing = HTTP_BODY_LENGTH, .left = 4,
		.asked.method = HTTP_GET },
	{ "length of zero", TEXT(OK "Content-Length: 0\r\n\r\nHTTP"), TAKEN,
		.framing = HTTP_BODY_NONE, .left = 4,
		.asked.method = HTTP_GET },
	{ "chunked",
		TEXT(OK "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nHTTP"),
		TAKEN, .framing = HTTP_BODY_CHUNKED, .left = 4,
		.asked.method = HTTP_GET },
	{ "HEAD with a length", TEXT(OK "Content-Length: 3\r\n\r\nHTTP"), TAKEN,
		.framing = HTTP_BODY_NONE, .left = 4,
		.asked.method = HTTP_HEAD },
	{ "HEAD with chunked",
		TEXT(OK "Transfer-Encoding: chunked\r\n\r\nHTTP"), TAKEN,
		.framing = HTTP_BODY_NONE, .left = 4,
		.asked.method = HTTP_HEAD },
	{ "HEAD with nothing", TEXT(OK "\r\nHTTP"), TAKEN,
		.framing = HTTP_BODY_NONE, .left = 4,
		.asked.method = HTTP_HEAD },
	{ "304 with a length",
		TEXT("HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\nHTTP"),
		TAKEN, .framing = HTTP_BODY_NONE, .left = 4,
		.asked.method = HTTP_GET },
	{ "204", TEXT("HTTP/1.1 204 No Content\r\n\r\nHTTP"), TAKEN,
		.framing = HTTP_BODY_NONE, .left = 4,
		.asked.method = HTTP_GET },
	{ "204 with a length of zero",
		TEXT("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\nHTTP"),
		TAKEN, .framing = HTTP_BODY_NONE, .left = 4,
		.asked.method = HTTP_GET },
	{ "100", TEXT("HTTP/1.1 100 Continue\r\n\r\nHTTP"), TAKEN,
		.framing = HTTP_BODY_NONE, .left = 4,
		.asked.method = HTTP_GET },
	{ "103", TEXT("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP"), TAKEN,
		.framing = HTTP_BODY_NONE, .left = 4,
		.asked.method = HTTP_GET },
	{ "no reason", TEXT("HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n"),
		TAKEN, .framing = HTTP_BODY_NONE, .left = 0,
		.asked.method = HTTP_GET },
	{ "no blank behind the status",
		TEXT("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"), TAKEN,
		.framing = HTTP_BODY_NONE, .left = 0,
		.asked.method = HTTP_GET },
	{ "8 bits in the reason",
		TEXT("HTTP/1.1 200 \xc3\xa4\r\nContent-Length: 0\r\n\r\n"),
		TAKEN, .framing = HTTP_BODY_NONE, .left = 0,
		.asked.method = HTTP_GET },
	{ "HTTP/1.0", TEXT("HTTP/1.0 200 OK\r\n\r\nabc"), TAKEN,
		.framing = HTTP_BODY_CLOSE, .left = 0,
		.asked.method = HTTP_GET },
	{ "HTTP/1.0 with a length",
		TEXT("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc"), TAKEN,
		.framing = HTTP_BODY_LENGTH, .left = 0,
		.asked.method = HTTP_GET },
	{ "101 that was asked for",
		TEXT("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nabc"),
		TAKEN, .framing = HTTP_BODY_TUNNEL, .left = 0,
		.asked.method = HTTP_GET, .asked.upgrade = true },
	{ "200 where 101 was asked for", TEXT(OK "Content-Length: 0\r\n\r\n"),
		TAKEN, .framing = HTTP_BODY_NONE, .left = 0,
		.asked.method = HTTP_GET, .asked.upgrade = true },
	{ "two Content-Types",
		TEXT(OK "Content-Length: 0\r\nContent-Type: a/b\r\nContent-Type: a/b\r\n\r\n"),
		TAKEN, .framing = HTTP_BODY_NONE, .left = 0,
		.asked.method = HTTP_GET },
	{ "101 that nobody asked for",
		TEXT("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"),
		HEAD_BAD, .status = 502, .why = "101 not asked for",
		.asked.method = HTTP_GET },
	{ "101 without Upgrade",
		TEXT("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n"),
		HEAD_BAD, .status = 502, .why = "101 without Upgrade",
		.asked.method = HTTP_GET, .asked.upgrade = true },
	{ "101 without Connection",
		TEXT("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"),
		HEAD_BAD, .status = 502, .why = "101 without Upgrade",
		.asked.method = HTTP_GET, .asked.upgrade = true },
	{ "101 with a length",
		TEXT("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n\r\nabc"),
		HEAD_BAD, .status = 502, .why = "a body where none may be",
		.asked.method = HTTP_GET, .asked.upgrade = true },
	{ "100 with a length",
		TEXT("HTTP/1.1 100 Continue\r\nContent-Length: 3\r\n\r\nabc"),
		HEAD_BAD, .status = 502, .why = "a body where none may be",
		.asked.method = HTTP_GET },
	{ "204 with a length",
		TEXT("HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\nabc"),
		HEAD_BAD, .status = 502, .why = "a body where none may be",
		.asked.method = HTTP_GET },
	{ "204 with chunked",
		TEXT("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
		HEAD_BAD, .status = 502, .why = "a body where none may be",
		.asked.method = HTTP_GET },
	{ "100 in HTTP/1.0", TEXT("HTTP/1.0 100 Continue\r\n\r\n"), HEAD_BAD,
		.status = 502, .why = "1xx in HTTP/1.0",
		.asked.method = HTTP_GET },
	{ "Content-Length and Transfer-Encoding",
		TEXT(OK "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
		HEAD_BAD, .status = 502, .why = "", .asked.method = HTTP_GET },
	{ "the two, to HEAD",
		TEXT(OK "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"),
		HEAD_BAD, .status = 502, .why = "", .asked.method = HTTP_HEAD },
	{ "two lengths",
		TEXT(OK "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc"),
		HEAD_BAD, .status = 502, .why = "", .asked.method = HTTP_GET },
	{ "two lengths alike",
		TEXT(OK "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc"),
		HEAD_BAD, .status = 502, .why = "", .asked.method = HTTP_GET },
	{ "length of a list", TEXT(OK "Content-Length: 3, 3\r\n\r\nabc"),
		HEAD_BAD, .status = 502, .why = "", .asked.method = HTTP_GET },
	{ "length with a sign", TEXT(OK "Content-Length: +3\r\n\r\nabc"),
		HEAD_BAD, .status = 502, .why = "", .asked.method = HTTP_GET },
	{ "gzip until the end", TEXT(OK "Transfer-Encoding: gzip\r\n\r\nabc"),
		HEAD_BAD, .status = 502, .why = "chunked is not the last",
		.asked.method = HTTP_GET },
	{ "gzip, chunked",
		TEXT(OK "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
		HEAD_BAD, .status = 502, .why = "unknown transfer coding",
		.asked.method = HTTP_GET },
	{ "chunked, gzip",
		TEXT(OK "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
		HEAD_BAD, .status = 502, .why = "more than chunked",
		.asked.method = HTTP_GET },
	{ "Transfer-Encoding twice",
		TEXT(OK "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
		HEAD_BAD, .status = 502, .why = "repeated Transfer-Encoding",
		.asked.method = HTTP_GET },
	{ "chunked in HTTP/1.0",
		TEXT("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
		HEAD_BAD, .status = 502, .why = "Transfer-Encoding in HTTP/1.0",
		.asked.method = HTTP_GET },
	{ "HTTP/2.0", TEXT("HTTP/2.0 200 OK\r\n\r\n"), HEAD_BAD, .status = 502,
		.why = "version is not", .asked.method = HTTP_GET },
	{ "HTTP/0.9 status line", TEXT("HTTP/0.9 200 OK\r\n\r\n"), HEAD_BAD,
		.status = 502, .why = "version is not",
		.asked.method = HTTP_GET },
	{ "HTTP/0.9 answer", TEXT("<html></html>"), HEAD_BAD, .status = 502,
		.why = "", .asked.method = HTTP_GET },
	{ "status of two digits", TEXT("HTTP/1.1 20 OK\r\n\r\n"), HEAD_BAD,
		.status = 502, .why = "", .asked.method = HTTP_GET },
	{ "status of four digits", TEXT("HTTP/1.1 2000 OK\r\n\r\n"), HEAD_BAD,
		.status = 502, .why = "", .asked.method = HTTP_GET },
	{ "status with a letter", TEXT("HTTP/1.1 2x0 OK\r\n\r\n"), HEAD_BAD,
		.status = 502, .why = "", .asked.method = HTTP_GET },
	{ "status below 100", TEXT("HTTP/1.1 099 OK\r\n\r\n"), HEAD_BAD,
		.status = 502, .why = "invalid status",
		.asked.method = HTTP_GET },
	{ "status above 599", TEXT("HTTP/1.1 600 OK\r\n\r\n"), HEAD_BAD,
		.status = 502, .why = "invalid status",
		.asked.method = HTTP_GET },
	{ "two blanks ahead of the status", TEXT("HTTP/1.1  200 OK\r\n\r\n"),
		HEAD_BAD, .status = 502, .why = "", .asked.method = HTTP_GET },
	{ "no blank ahead of the status", TEXT("HTTP/1.1200 OK\r\n\r\n"),
		HEAD_BAD, .status = 502, .why = "", .asked.method = HTTP_GET },
	{ "control in the reason", TEXT("HTTP/1.1 200 O\x01K\r\n\r\n"),
		HEAD_BAD, .status = 502, .why = "", .asked.method = HTTP_GET },
	{ "NUL in the reason", TEXT("HTTP/1.1 200 O\0K\r\n\r\n"), HEAD_BAD,
		.status = 502, .why = "", .asked.method = HTTP_GET },
	{ "LF alone", TEXT("HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n"),
		HEAD_BAD, .status = 502, .why = "", .asked.method = HTTP_GET },
	{ "CR alone", TEXT("HTTP/1.1 200 OK\rContent-Length: 0\r\n\r\n"),
		HEAD_BAD, .status = 502, .why = "", .asked.method = HTTP_GET },
	{ "empty line ahead", TEXT("\r\nHTTP/1.1 200 OK\r\n\r\n"), HEAD_BAD,
		.status = 502, .why = "no start line",
		.asked.method = HTTP_GET },
	{ "folded field", TEXT(OK "A: b\r\n c\r\n\r\n"), HEAD_BAD,
		.status = 502, .why = "folded field",
		.asked.method = HTTP_GET },
	{ "blank ahead of the colon", TEXT(OK "Content-Length : 0\r\n\r\n"),
		HEAD_BAD, .status = 502, .why = "", .asked.method = HTTP_GET },
	{ "LF alone behind a field", TEXT(OK "A: b\nContent-Length: 0\r\n\r\n"),
		HEAD_BAD, .status = 502, .why = "", .asked.method = HTTP_GET },
	{ "Connection names Content-Length",
		TEXT(OK "Content-Length: 0\r\nConnection: content-length\r\n\r\n"),
		HEAD_BAD, .status = 502, .why = "Connection names",
		.asked.method = HTTP_GET },
	{ "a request", TEXT(GET "\r\n"), HEAD_BAD, .status = 502, .why = "",
		.asked.method = HTTP_GET },
	{ "length cut short", TEXT(OK "Content-Length: 3\r\n\r\nab"), SHORT,
		.asked.method = HTTP_GET },
};

#define ROWS(t) (int)(sizeof(t) / sizeof((t)[0]))

static void
check_taken(const struct row *r, const struct lab_outcome *o)
{
	const bool endless = r->framing >= HTTP_BODY_CLOSE;

	ck_assert_msg(o->head == 0, "%s: refused: %s", r->name,
		o->error.why ? o->error.why : "it is not complete");
	ck_assert_msg(o->said.framing == r->framing, "%s: framing %d", r->name,
		o->said.framing);
	ck_assert_msg(o->body == !endless, "%s: body %d %s", r->name, o->body,
		o->why ? o->why : "");
	ck_assert_msg(o->left == r->left, "%s: %zu left", r->name, o->left);
}

static void
check_refused(const struct row *r, const struct lab_outcome *o)
{
	const bool by_body = r->verdict == BODY_BAD;
	const char *why = by_body ? o->why : o->error.why;

	ck_assert_msg(why != NULL, "%s: taken", r->name);
	ck_assert_msg(strncmp(why, r->why, strlen(r->why)) == 0, "%s: %s",
		r->name, why);
	ck_assert_msg(o->error.status == r->status, "%s: status %u", r->name,
		o->error.status);
	ck_assert_int_eq(o->head, by_body ? 0 : -EBADMSG);
	ck_assert_int_eq(o->body, by_body ? -EBADMSG : 0);
}

/*
 * Our own checks hold what llhttp holds: nothing more is taken when it is told
 * to be lenient. Only the words, and 505 for 400, may then be others.
 */
static void
check_lenient(const struct row *r, struct lab_message m)
{
	struct lab_outcome o;

	m.lenient = true;
	o = lab_run(&m, m.len, 1);
	if (r->verdict == HEAD_BAD)
		ck_assert_msg(o.head == -EBADMSG, "%s: taken", r->name);
	else if (r->verdict == TAKEN)
		check_taken(r, &o);
}

static void
check_row(const struct row *r, enum http_kind kind)
{
	const struct lab_message m = {
		.text = r->text, .len = r->len, .kind = kind, .asked = r->asked
	};
	const struct lab_outcome o = lab_judge(&m);

	if (r->verdict == TAKEN)
		check_taken(r, &o);
	else if (r->verdict == SHORT)
		ck_assert_msg(o.head == 0 && o.body == 0, "%s", r->name);
	else
		check_refused(r, &o);
	check_lenient(r, m);
}

START_TEST(test_requests)
{
	check_row(&requests[_i], HTTP_KIND_REQUEST);
}
END_TEST

START_TEST(test_bodies)
{
	check_row(&bodies[_i], HTTP_KIND_REQUEST);
}
END_TEST

START_TEST(test_responses)
{
	check_row(&responses[_i], HTTP_KIND_RESPONSE);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("http_smuggling");
	TCase *tc = tcase_create("rows");
	SRunner *sr;
	int failed;

	tcase_add_loop_test(tc, test_requests, 0, ROWS(requests));
	tcase_add_loop_test(tc, test_bodies, 0, ROWS(bodies));
	tcase_add_loop_test(tc, test_responses, 0, ROWS(responses));
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
