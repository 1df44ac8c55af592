/* SPDX-License-Identifier: BSD-3-Clause */
/* The proxy's way with requests and responses that are as they should be. */
#include "tests/unit/proxy_lab.h"

/* One request, and its response; all as it crosses each connection. */
struct row {
	const char *name;
	const char *request, *asked;   /* from the client, to the backend */
	const char *response, *answer; /* from the backend, to the client */
	bool reused;                   /* the backend's connection is kept */
	bool goes_on;                  /* so is the client's */
	bool backend_closes, client_closes;
};

static const struct row rows[] = {
	{ "get", GET, GET, OK_ANSWER, OK_ANSWER, .reused = true,
		.goes_on = true },
	{ "hop by hop fields are ours",
		"GET /x?y HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-A\r\n"
		"X-A: 1\r\nKeep-Alive: 5\r\nX-B: 2\r\n\r\n",
		"GET /x?y HTTP/1.1\r\nHost: a\r\nX-B: 2\r\n\r\n",
		"HTTP/1.1 200 OK\r\nConnection: X-C\r\nX-C: 1\r\n"
		"Content-Length: 2\r\nX-D: 2\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-D: 2\r\n\r\nok",
		.reused = true, .goes_on = true },
	{ "the client says close",
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", GET,
		OK_ANSWER,
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
		"Connection: close\r\n\r\nok",
		.reused = true },
	{ "the backend says close", GET, GET,
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
		"Connection: close\r\n\r\nok",
		OK_ANSWER, .goes_on = true },
	{ "head", "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
		"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n",
		.reused = true, .goes_on = true },
	{ "204", GET, GET, "HTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.1 204 No Content\r\n\r\n", .reused = true,
		.goes_on = true },
	{ "304", GET, GET,
		"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n",
		"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n",
		.reused = true, .goes_on = true },
	{ "an empty body", GET, GET,
		"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", .reused = true,
		.goes_on = true },
	{ "chunked, with a trailer", GET, GET,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
		"4\r\nWiki\r\n5;x=y\r\npedia\r\n0\r\nTag: a\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
		"4\r\nWiki\r\n5;x=y\r\npedia\r\n0\r\nTag: a\r\n\r\n",
		.reused = true, .goes_on = true },
	{ "a body with a length",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
		OK_ANSWER, OK_ANSWER, .reused = true, .goes_on = true },
	{ "a body of length 0",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
		OK_ANSWER, OK_ANSWER, .reused = true, .goes_on = true },
	{ "a chunked body",
		"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
		"5\r\nhello\r\n0\r\n\r\n",
		"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
		"5\r\nhello\r\n0\r\n\r\n",
		OK_ANSWER, OK_ANSWER, .reused = true, .goes_on = true },
	{ "until the end", GET, GET, "HTTP/1.1 200 OK\r\n\r\nall of it",
		"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it",
		.backend_closes = true },
	{ "http/1.0", "GET / HTTP/1.0\r\nHost: a\r\n\r\n",
		"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
		OK_ANSWER,
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
		"Connection: close\r\n\r\nok",
		.reused = true },
	{ "http/1.0, kept",
		"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
		"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
		OK_ANSWER,
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
		"Connection: keep-alive\r\n\r\nok",
		.reused = true, .goes_on = true },
	{ "http/1.0 does not know chunks",
		"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
		"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
		"4\r\nWiki\r\n5\r\npedia\r\n0\r\nTag: a\r\n\r\n",
		"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nWikipedia",
		.reused = true },
	{ "interim responses", GET, GET,
		"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" OK_ANSWER,
		"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" OK_ANSWER,
		.reused = true, .goes_on = true },
	{ "interim responses are not for http/1.0",
		"GET / HTTP/1.0\r\nHost: a\r\n\r\n",
		"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
		"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" OK_ANSWER,
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
		"Connection: close\r\n\r\nok",
		.reused = true },
	{ "an empty line before it", "\r\n" GET, GET, OK_ANSWER, OK_ANSWER,
		.reused = true, .goes_on = true },
	{ "the client has no more to say", GET, GET, OK_ANSWER, OK_ANSWER,
		.client_closes = true, .reused = true },
	{ "more than was said", GET, GET, OK_ANSWER "HTTP/1.1 200", OK_ANSWER,
		.goes_on = true },
};

enum pieces { WHOLE, BYTES, HALVES };

static void
say_in(struct peer *p, const char *text, enum pieces pieces)
{
	size_t len = strlen(text);
	size_t n = pieces == WHOLE ? len : pieces == BYTES ? 1 : (len + 1) / 2;

	for (size_t at = 0; at < len; at += n) {
		say_bytes(p, text + at, RTE_MIN(n, len - at));
		if (pieces != WHOLE)
			lab_run(0);
	}
	lab_run(1);
}

static void
check_row(const struct row *r, enum pieces pieces)
{
	struct peer *c, *b;

	lab_make(1);
	c = client(80);
	say_in(c, r->request, pieces);
	b = backend(0);
	ck_assert_msg(b != NULL, "%s: nobody was asked", r->name);
	ck_assert_msg(strcmp(b->heard, r->asked) == 0, "%s: asked %s", r->name,
		b->heard);
	if (r->client_closes)
		finish(c);
	say_in(b, r->response, pieces);
	if (r->backend_closes) {
		finish(b);
		lab_run(1);
	}
	ck_assert_msg(strcmp(c->heard, r->answer) == 0, "%s: answered %s",
		r->name, c->heard);
	ck_assert_msg(c->fin == (!r->goes_on), "%s: the client's end", r->name);
	ck_assert_msg((b->fin || b->gone) == !r->reused,
		"%s: the backend's end", r->name);
	ck_assert_uint_eq(lab.stats.http[0].requests, 1);
	ck_assert_uint_eq(lab.stats.server[0].requests, 1);
	/* It goes on as if nothing had been. */
	if (r->goes_on) {
		hush(c);
		hush(b);
		say(c, GET);
		lab_run(1);
		b = r->reused ? b : backend(1);
		heard(b, GET);
		say(b, OK_ANSWER);
		lab_run(1);
		heard(c, OK_ANSWER);
		ck_assert_uint_eq(lab.stats.server[0].reused, r->reused);
	}
	lab_end();
}

START_TEST(exchange)
{
	const struct row *r = &rows[_i / 3];

	check_row(r, (enum pieces)(_i % 3));
}
END_TEST

/* --- several requests ---------------------------------------------------- */

START_TEST(pipelined)
{
	struct peer *c, *b;

	lab_make(1);
	c = client(80);
	say(c, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"
	       "POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
	       "GET /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
	       "GET /4 HTTP/1.1\r\nHost: a\r\n\r\n");
	lab_run(1);
	b = backend(0);
	/* One after the other: answers cannot come in another order. */
	heard(b, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
	say(b, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1");
	lab_run(1);
	heard_has(b, "POST /2 HTTP/1.1\r\nHost: a\r\n"
		     "Content-Length: 3\r\n\r\nabc");
	heard_not(b, "GET /3");
	say(b, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2");
	lab_run(1);
	heard_has(b, "GET /3");
	say(b, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n3");
	lab_run(1);
	heard(c, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1"
		 "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2"
		 "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n"
		 "Connection: close\r\n\r\n3");
	/* Behind "close" nothing is done. */
	heard_not(b, "GET /4");
	ck_assert(c->fin && !c->gone);
	ck_assert_uint_eq(backend_conns(), 1);
	ck_assert_uint_eq(lab.stats.http[0].requests, 3);
	ck_assert_uint_eq(lab.stats.http[0].status[2], 3);
	lab_end();
}
END_TEST

START_TEST(pipelined_many)
{
	struct peer *c;

	lab_prepare(1);
	lab_start();
	lab.backends.auto_answer = OK_ANSWER;
	c = client(80);
	for (int i = 0; i < 3000; i++)
		say(c, GET);
	lab_run(100);
	ck_assert_uint_eq(heard_times(c, OK_ANSWER), 3000);
	ck_assert_uint_eq(backend_conns(), 1);
	lab_end();
}
END_TEST

START_TEST(expects)
{
	struct peer *c, *b;
	const char *head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n"
			   "Expect: 100-continue\r\n\r\n";

	lab_make(1);
	c = client(80);
	say(c, head);
	lab_run(1);
	b = backend(0);
	heard(b, head);
	say(b, "HTTP/1.1 100 Continue\r\n\r\n");
	lab_run(1);
	heard(c, "HTTP/1.1 100 Continue\r\n\r\n");
	say(c, "abc");
	lab_run(1);
	heard_has(b, "\r\n\r\nabc");
	say(b, OK_ANSWER);
	lab_run(1);
	heard(c, "HTTP/1.1 100 Continue\r\n\r\n" OK_ANSWER);
	ck_assert(!c->fin && !b->fin);
	lab_end();
}
END_TEST

/* What the client would still send is read, so that it gets the answer. */
START_TEST(answered_early)
{
	struct peer *c, *b;

	lab_make(1);
	c = client(80);
	say(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nab");
	lab_run(1);
	b = backend(0);
	say(b, OK_ANSWER);
	lab_run(1);
	heard(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
		 "Connection: close\r\n\r\nok");
	ck_assert(c->fin && !c->gone);
	ck_assert(b->gone || b->fin);
	for (int i = 0; i < 50; i++)
		say(c, "more of it");
	lab_run(1);
	ck_assert(!c->gone);
	finish(c);
	lab_run(1);
	ck_assert(c->gone && c->error == 0);
	ck_assert_uint_eq(lab.proxy->sessions, 0);
	lab_end();
}
END_TEST

START_TEST(upgrades)
{
	struct peer *c, *b;
	const char *ask = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
			  "Connection: Upgrade\r\n\r\n";
	const char *switches = "HTTP/1.1 101 Switching Protocols\r\n"
			       "Upgrade: websocket\r\n"
			       "Connection: Upgrade\r\n\r\n";

	lab_make(1);
	c = client(80);
	say(c, ask);
	lab_run(1);
	b = backend(0);
	heard(b, ask);
	say(b, switches);
	say(b, "hello");
	lab_run(1);
	heard_has(c, switches);
	heard_has(c, "hello");
	ck_assert_uint_eq(lab.stats.http[0].tunnels, 1);
	hush(b);
	say(c, "GET / is no request any more");
	lab_run(1);
	heard(b, "GET / is no request any more");
	/* Each way ends by itself. */
	finish(c);
	lab_run(1);
	ck_assert(b->fin && !c->fin);
	say(b, "bye");
	lab_run(1);
	heard_has(c, "bye");
	finish(b);
	lab_run(1);
	ck_assert(c->gone && c->error == 0 && b->gone && b->error == 0);
	ck_assert_uint_eq(lab.stats.http[0].tunnels, 0);
	ck_assert_uint_eq(lab.stats.http[0].status[1], 1);
	lab_end();
}
END_TEST

/* --- pools ---------------------------------------------------------------- */

START_TEST(latest_first)
{
	struct peer *c[3];

	lab_make(1);
	for (int i = 0; i < 3; i++) {
		c[i] = client(80);
		say(c[i], GET);
	}
	lab_run(1);
	ck_assert_uint_eq(backend_conns(), 3);
	ck_assert_uint_eq(lab.stats.server[0].active, 3);
	say(backend(1), OK_ANSWER);
	lab_run(1);
	say(backend(2), OK_ANSWER);
	lab_run(1);
	say(backend(0), OK_ANSWER);
	lab_run(1);
	ck_assert_uint_eq(lab.stats.server[0].idle, 3);
	ck_assert_uint_eq(lab.stats.server[0].active, 0);
	hush(backend(0));
	say(c[1], GET);
	lab_run(1);
	heard(backend(0), GET);
	ck_assert_uint_eq(lab.stats.server[0].idle, 2);
	lab_end();
}
END_TEST

START_TEST(no_more_idle_than_asked)
{
	struct peer *c[5];

	lab_prepare(1);
	lab.grant.groups[0].max_idle = 2;
	lab_start();
	for (int i = 0; i < 5; i++) {
		c[i] = client(80);
		say(c[i], GET);
	}
	lab_run(1);
	for (uint32_t i = 0; i < 5; i++)
		say(backend(i), OK_ANSWER);
	lab_run(1);
	ck_assert_uint_eq(lab.stats.server[0].idle, 2);
	/* The oldest went. */
	for (uint32_t i = 0; i < 3; i++)
		ck_assert(backend(i)->fin);
	ck_assert(!backend(3)->fin && !backend(4)->fin);
	lab_end();
}
END_TEST

START_TEST(none_idle)
{
	struct peer *c;

	lab_prepare(1);
	lab.grant.groups[0].max_idle = 0;
	lab_start();
	c = client(80);
	say(c, GET);
	lab_run(1);
	heard(backend(0),
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
	say(backend(0), OK_ANSWER);
	lab_run(1);
	heard(c, OK_ANSWER);
	ck_assert(backend(0)->fin);
	lab_end();
}
END_TEST

START_TEST(idle_ones_go)
{
	struct peer *c;

	lab_make(1);
	c = client(80);
	say(c, GET);
	lab_run(1);
	say(backend(0), OK_ANSWER);
	lab_run(1);
	/* Closed by the backend: nothing is said of it. */
	finish(backend(0));
	lab_run(1);
	ck_assert_uint_eq(lab.stats.server[0].idle, 0);
	say(c, GET);
	lab_run(1);
	say(backend(1), OK_ANSWER);
	lab_run(1);
	ck_assert_uint_eq(heard_times(c, OK_ANSWER), 2);
	/* Or by us, after a while. */
	lab_run(POOL_IDLE_MS + 3000);
	ck_assert_uint_eq(lab.stats.server[0].idle, 0);
	ck_assert(backend(1)->fin);
	ck_assert_uint_eq(lab.stats.server[0].errors, 0);
	ck_assert_uint_eq(lab.stats.http[0].retries, 0);
	lab_end();
}
END_TEST

START_TEST(bytes_nobody_asked_for)
{
	struct peer *c;

	lab_make(1);
	c = client(80);
	say(c, GET);
	lab_run(1);
	say(backend(0), OK_ANSWER);
	lab_run(1);
	say(backend(0), "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
	lab_run(1);
	ck_assert(backend(0)->gone);
	ck_assert_uint_eq(lab.stats.server[0].errors, 1);
	say(c, GET);
	lab_run(1);
	say(backend(1), OK_ANSWER);
	lab_run(1);
	heard_not(c, "evil");
	ck_assert_uint_eq(heard_times(c, OK_ANSWER), 2);
	lab_end();
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("proxy");
	TCase *exchanges = tcase_create("exchanges");
	TCase *pools = tcase_create("pools");

	tcase_set_timeout(exchanges, 120);
	tcase_add_loop_test(exchanges, exchange, 0, 3 * (int)RTE_DIM(rows));
	tcase_add_test(exchanges, pipelined);
	tcase_add_test(exchanges, pipelined_many);
	tcase_add_test(exchanges, expects);
	tcase_add_test(exchanges, answered_early);
	tcase_add_test(exchanges, upgrades);
	tcase_add_test(pools, latest_first);
	tcase_add_test(pools, no_more_idle_than_asked);
	tcase_add_test(pools, none_idle);
	tcase_add_test(pools, idle_ones_go);
	tcase_add_test(pools, bytes_nobody_asked_for);
	suite_add_tcase(suite, exchanges);
	suite_add_tcase(suite, pools);
	return lab_main(suite);
}
