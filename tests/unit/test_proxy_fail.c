/* SPDX-License-Identifier: BSD-3-Clause */
/* What the proxy does when clients, backends or time are not as they should. */
#include "tests/unit/proxy_lab.h"

static uint64_t
errors(enum stats_http_error e)
{
	return lab.stats.http[0].error[e];
}

static const struct stats_http *
http(void)
{
	return &lab.stats.http[0];
}

/* --- backends --------------------------------------------------------------
 */

START_TEST(next_backend)
{
	struct peer *c;

	lab_make(2);
	backend_up(0, false);
	lab.backends.auto_answer = OK_ANSWER;
	for (int i = 0; i < 4; i++) {
		c = client(80);
		say(c, GET);
		lab_run(1);
		heard(c, OK_ANSWER);
	}
	/* It was tried once, and then left alone. */
	ck_assert_uint_eq(lab.stats.backend[0].failed, 1);
	ck_assert_uint_eq(http()->retries, 1);
	ck_assert_uint_eq(http()->status[2], 4);
	lab_end();
}
END_TEST

START_TEST(none_connects)
{
	struct peer *c;

	lab_make(2);
	backend_up(0, false);
	backend_up(1, false);
	c = client(80);
	say(c, GET);
	lab_run(1);
	heard_has(c, "HTTP/1.1 503 ");
	/* All of the request was there: the connection goes on. */
	ck_assert(!c->fin);
	ck_assert_uint_eq(errors(HTTP_ERR_NO_BACKEND), 1);
	ck_assert_uint_eq(lab.stats.backend[0].failed, 1);
	ck_assert_uint_eq(lab.stats.backend[1].failed, 1);
	say(c, GET);
	lab_run(1);
	ck_assert_uint_eq(heard_times(c, "HTTP/1.1 503 "), 2);
	/* Down, one of them is asked all the same. */
	ck_assert_uint_eq(
		lab.stats.backend[0].failed + lab.stats.backend[1].failed, 3);
	lab_end();
}
END_TEST

/* Down or not, the only one is asked by each request. */
START_TEST(comes_back)
{
	struct peer *c;
	uint64_t failed = 0;

	lab_make(1);
	backend_up(0, false);
	c = client(80);
	for (int i = 0; i < 5; i++) {
		say(c, GET);
		lab_run(1);
		ck_assert_uint_eq(lab.stats.backend[0].failed, ++failed);
		lab_run((500u << i) - 10);
		say(c, GET);
		lab_run(1);
		ck_assert_uint_eq(lab.stats.backend[0].failed, ++failed);
		lab_run(20);
	}
	backend_up(0, true);
	hush(c);
	say(c, GET);
	lab_run(1);
	say(backend(0), OK_ANSWER);
	lab_run(1);
	heard(c, OK_ANSWER);
	ck_assert_uint_eq(lab.proxy->n_failed, 0);
	lab_end();
}
END_TEST

/* It is back for all at once. */
START_TEST(comes_back_for_all)
{
	struct peer *c[3];

	lab_make(1);
	backend_up(0, false);
	c[0] = client(80);
	say(c[0], GET);
	lab_run(1);
	heard_has(c[0], "HTTP/1.1 503 ");
	lab_run(510);
	backend_up(0, true);
	for (int i = 1; i < 3; i++)
		c[i] = client(80);
	for (int i = 1; i < 3; i++)
		say(c[i], GET);
	lab_run(1);
	ck_assert_uint_eq(backend_conns(), 2);
	for (uint32_t i = 0; i < 2; i++)
		say(backend(i), OK_ANSWER);
	lab_run(1);
	heard(c[1], OK_ANSWER);
	heard(c[2], OK_ANSWER);
	lab_end();
}
END_TEST

START_TEST(does_not_answer_syns)
{
	struct peer *c;

	lab_make(1);
	lab.backends.dead = true;
	c = client(80);
	say(c, GET);
	lab_run(2900);
	heard(c, "");
	lab_run(15000);
	heard_has(c, "HTTP/1.1 503 ");
	ck_assert_uint_eq(errors(HTTP_ERR_NO_BACKEND), 1);
	lab_end();
}
END_TEST

/* An idle connection, closed just as the request went out. */
static void
idle_closes(const char *request, bool reset_it, struct peer **c)
{
	lab_make(1);
	*c = client(80);
	say(*c, GET);
	lab_run(1);
	say(backend(0), OK_ANSWER);
	lab_run(1);
	hush(*c);
	say(*c, request);
	lab_run(1);
	heard(backend(0) ? backend(0) : *c, backend(0)->heard);
	if (reset_it)
		reset(backend(0));
	else
		finish(backend(0));
	lab_run(1);
}

START_TEST(said_again)
{
	struct peer *c;

	idle_closes("GET /again HTTP/1.1\r\nHost: a\r\n\r\n", _i, &c);
	ck_assert_ptr_nonnull(backend(1));
	heard(backend(1), "GET /again HTTP/1.1\r\nHost: a\r\n\r\n");
	say(backend(1), OK_ANSWER);
	lab_run(1);
	heard(c, OK_ANSWER);
	ck_assert_uint_eq(http()->retries, 1);
	ck_assert_uint_eq(http()->status[2], 2);
	lab_end();
}
END_TEST

/* They could have acted on it. */
static const char *const once[] = {
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
	"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab",
	"PATCH / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab",
};

START_TEST(said_once)
{
	struct peer *c;

	idle_closes(once[_i], true, &c);
	ck_assert_uint_eq(backend_conns(), 1);
	heard_has(c, "HTTP/1.1 502 ");
	ck_assert_uint_eq(errors(HTTP_ERR_BAD_RESPONSE), 1);
	ck_assert_uint_eq(http()->retries, 0);
	ck_assert_uint_eq(lab.stats.server[0].errors, 1);
	lab_end();
}
END_TEST

/* A fresh connection that is closed has seen the request: no second one. */
START_TEST(fresh_closes)
{
	struct peer *c;

	lab_make(2);
	c = client(80);
	say(c, GET);
	lab_run(1);
	reset(backend(0));
	lab_run(1);
	heard_has(c, "HTTP/1.1 502 ");
	ck_assert_uint_eq(backend_conns(), 1);
	lab_end();
}
END_TEST

/* After a byte of an answer it is never said again. */
START_TEST(half_a_head)
{
	struct peer *c;

	lab_make(1);
	c = client(80);
	say(c, GET);
	lab_run(1);
	say(backend(0), OK_ANSWER);
	lab_run(1);
	hush(c);
	say(c, GET);
	lab_run(1);
	say(backend(0), "HTTP/1.1 200 OK\r\nConte");
	lab_run(1);
	ck_assert_uint_eq(lab.proxy->heads_used, 1);
	finish(backend(0));
	lab_run(1);
	heard_has(c, "HTTP/1.1 502 ");
	ck_assert_uint_eq(backend_conns(), 1);
	ck_assert_uint_eq(lab.proxy->heads_used, 0);
	lab_end();
}
END_TEST

START_TEST(cut_short)
{
	static const char *const begun[] = {
		"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nab",
	};
	struct peer *c;

	lab_make(1);
	c = client(80);
	say(c, GET);
	lab_run(1);
	say(backend(0), begun[_i]);
	lab_run(1);
	if (_i == 0)
		finish(backend(0));
	else
		reset(backend(0));
	lab_run(1);
	/* It sees that something is missing. */
	heard(c, begun[_i]);
	ck_assert(c->fin);
	ck_assert_uint_eq(errors(HTTP_ERR_CUT), 1);
	lab_end();
}
END_TEST

/* Where the end of the connection would be taken for the response's. */
START_TEST(cut_until_the_end)
{
	struct peer *c;

	lab_make(1);
	c = client(80);
	say(c, GET);
	lab_run(1);
	say(backend(0), "HTTP/1.1 200 OK\r\n\r\nabc");
	lab_run(1);
	reset(backend(0));
	lab_run(1);
	ck_assert(c->gone && c->error == -ECONNRESET);
	lab_end();
}
END_TEST

START_TEST(malformed)
{
	static const char *const bad[] = {
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2"
		"\r\n\r\na",
		"nonsense\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n"
		"Connection: Upgrade\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
	};
	struct peer *c;

	lab_make(1);
	c = client(80);
	say(c, GET);
	lab_run(1);
	say(backend(0), bad[_i]);
	lab_run(1);
	heard_has(c, "HTTP/1.1 502 ");
	ck_assert_uint_eq(errors(HTTP_ERR_BAD_RESPONSE), 1);
	ck_assert(backend(0)->gone);
	ck_assert(!c->fin);
	lab_end();
}
END_TEST

START_TEST(too_many_interims)
{
	struct peer *c;

	lab_make(1);
	c = client(80);
	say(c, GET);
	lab_run(1);
	for (int i = 0; i < 40; i++)
		say(backend(0), "HTTP/1.1 103 Early Hints\r\n\r\n");
	lab_run(1);
	heard_has(c, "HTTP/1.1 502 ");
	ck_assert(backend(0)->gone);
	lab_end();
}
END_TEST

/* --- time ------------------------------------------------------------------
 */

START_TEST(slow_backend)
{
	struct peer *c;

	lab_make(1);
	c = client(80);
	say(c, GET);
	lab_run(29900);
	heard(c, "");
	lab_run(300);
	heard_has(c, "HTTP/1.1 504 ");
	ck_assert_uint_eq(errors(HTTP_ERR_SLOW_BACKEND), 1);
	ck_assert(backend(0)->gone);
	lab_end();
}
END_TEST

START_TEST(silent_in_the_middle)
{
	struct peer *c;

	lab_make(1);
	c = client(80);
	say(c, GET);
	lab_run(1);
	say(backend(0), "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
	lab_run(19900);
	ck_assert(!c->fin);
	say(backend(0), "def");
	lab_run(19900);
	ck_assert(!c->fin);
	lab_run(300);
	ck_assert(c->fin);
	ck_assert_uint_eq(errors(HTTP_ERR_CUT), 1);
	lab_end();
}
END_TEST

START_TEST(slow_head)
{
	struct peer *c;

	lab_make(1);
	c = client(80);
	/* A byte each second, and it does not help. */
	for (int i = 0; i < 9; i++) {
		say(c, i == 0 ? "GET / HTTP/1.1\r\nX: " : "a");
		lab_run(1000);
	}
	heard(c, "");
	lab_run(1200);
	heard_has(c, "HTTP/1.1 408 ");
	ck_assert(c->fin && !c->gone);
	ck_assert_uint_eq(errors(HTTP_ERR_TIMEOUT), 1);
	ck_assert_uint_eq(http()->status[4], 1);
	/* The rest is thrown away for a while. */
	say(c, "a\r\n\r\n");
	lab_run(LINGER_MS + 300);
	ck_assert_uint_eq(lab.proxy->sessions, 0);
	lab_end();
}
END_TEST

START_TEST(says_nothing)
{
	struct peer *c;

	lab_make(1);
	c = client(80);
	lab_run(9900);
	ck_assert(!c->fin);
	lab_run(300);
	ck_assert(c->fin);
	heard(c, "");
	lab_end();
}
END_TEST

START_TEST(between_requests)
{
	struct peer *c;

	lab_make(1);
	lab.backends.auto_answer = OK_ANSWER;
	c = client(80);
	say(c, GET);
	lab_run(19900);
	say(c, GET);
	lab_run(19900);
	ck_assert(!c->fin);
	lab_run(300);
	ck_assert(c->fin);
	ck_assert_uint_eq(heard_times(c, OK_ANSWER), 2);
	lab_end();
}
END_TEST

START_TEST(slow_body)
{
	struct peer *c;

	lab_make(1);
	c = client(80);
	say(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc");
	lab_run(19900);
	say(c, "def");
	lab_run(19900);
	heard(c, "");
	lab_run(300);
	heard_has(c, "HTTP/1.1 408 ");
	ck_assert(c->fin);
	ck_assert(backend(0)->gone);
	ck_assert_uint_eq(errors(HTTP_ERR_TIMEOUT), 1);
	lab_end();
}
END_TEST

START_TEST(does_not_read)
{
	static char big[900000];
	struct peer *c;

	lab_make(1);
	c = client(80);
	c->deaf = true;
	say(c, GET);
	lab_run(1);
	memset(big, 'x', sizeof(big));
	say(backend(0), "HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n");
	say_bytes(backend(0), big, sizeof(big));
	lab_run(1000);
	/* One buffer of each connection, and no more. */
	ck_assert_uint_lt(c->len, 300000);
	ck_assert_uint_gt(lab.proxy->waiting, 0);
	ck_assert_uint_lt(
		rte_mempool_in_use_count(proxy_pool), 3 * 262144 / 1400);
	lab_run(22000);
	ck_assert(c->gone);
	ck_assert(backend(0)->gone);
	ck_assert_uint_eq(errors(HTTP_ERR_CLIENT_GONE), 1);
	ck_assert_uint_eq(lab.proxy->waiting, 0);
	lab_end();
}
END_TEST

/* --- clients ---------------------------------------------------------------
 */

/* Its answer would be the next one's. */
START_TEST(client_goes)
{
	struct peer *c;

	lab_make(1);
	c = client(80);
	say(c, GET);
	lab_run(1);
	reset(c);
	lab_run(1);
	ck_assert(backend(0)->gone);
	ck_assert_uint_eq(lab.stats.server[0].idle, 0);
	ck_assert_uint_eq(errors(HTTP_ERR_CLIENT_GONE), 1);
	ck_assert_uint_eq(http()->status[0], 1);
	lab_end();
}
END_TEST

START_TEST(client_goes_while_connecting)
{
	struct peer *c;

	lab_make(1);
	lab.backends.dead = true;
	c = client(80);
	say(c, GET);
	lab_run(10);
	reset(c);
	lab_run(1);
	ck_assert_uint_eq(lab.proxy->servers, 0);
	ck_assert_uint_eq(lab.proxy->sessions, 0);
	lab_end();
}
END_TEST

START_TEST(half_a_request)
{
	struct peer *c;

	lab_make(1);
	c = client(80);
	say(c, _i == 0 ? "GET / HT"
		       : "POST / HTTP/1.1\r\nHost: a\r\n"
			 "Content-Length: 9\r\n\r\nabc");
	lab_run(1);
	finish(c);
	lab_run(1);
	heard_has(c, "HTTP/1.1 400 ");
	ck_assert(c->gone && c->error == 0);
	if (_i == 1)
		ck_assert(backend(0)->gone);
	lab_end();
}
END_TEST

struct refusal {
	const char *request;
	const char *status;
	enum stats_http_error error;
};

static const struct refusal refusals[] = {
	{ "GET / HTP/1.1\r\n\r\n", "400", HTTP_ERR_BAD_REQUEST },
	{ "GET / HTTP/1.1\r\n\r\n", "400", HTTP_ERR_BAD_REQUEST },
	{ "\x16\x03\x01\x02\x00\x01", "400", HTTP_ERR_BAD_REQUEST },
	{ "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", "501",
		HTTP_ERR_BAD_REQUEST },
	{ "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n", "413",
		HTTP_ERR_TOO_LARGE },
	{ "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
	  "3e9\r\n",
		"413", HTTP_ERR_TOO_LARGE },
	{ "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
	  "zz\r\n",
		"400", HTTP_ERR_BAD_REQUEST },
};

START_TEST(refused)
{
	const struct refusal *r = &refusals[_i];
	char want[32];
	struct peer *c;

	lab_prepare(1);
	lab.grant.proxy[0].max_body = 1000;
	lab_start();
	c = client(80);
	say(c, r->request);
	lab_run(1);
	snprintf(want, sizeof(want), "HTTP/1.1 %s ", r->status);
	heard_has(c, want);
	heard_has(c, "Connection: close\r\n");
	ck_assert(c->fin && !c->gone);
	ck_assert_uint_eq(errors(r->error), 1);
	lab_end();
}
END_TEST

START_TEST(large_heads)
{
	struct peer *c;

	lab_make(1);
	c = client(80);
	say(c, "GET / HTTP/1.1\r\nHost: a\r\n");
	for (int i = 0; i < 60; i++)
		say(c, _i == 0 ? "A: 0123456789012345678901234567890123456789"
				 "012345678901234567890123456789012345\r\n"
			       : "A: 0\r\n");
	lab_run(1);
	heard_has(c, "HTTP/1.1 431 ");
	ck_assert_uint_eq(errors(HTTP_ERR_HEADERS), 1);
	ck_assert_uint_eq(lab.proxy->heads_used, 0);
	lab_end();
}
END_TEST

START_TEST(page_of_ours)
{
	struct peer *c;

	lab_prepare(1);
	strcpy(lab.grant.text, "<b>sorry</b>");
	lab.grant.text_len = 12;
	lab.grant.proxy[0].error_body.len = 12;
	lab_start();
	c = client(80);
	say(c, "x\r\n\r\n");
	lab_run(1);
	heard_has(c, "Content-Length: 12\r\n");
	heard_has(c, "\r\n\r\n<b>sorry</b>");
	lab_end();
}
END_TEST

START_TEST(so_many_connections)
{
	struct peer *c[4];

	lab_prepare(1);
	lab.grant.proxy[0].max_connections = 3;
	lab_start();
	for (int i = 0; i < 3; i++)
		c[i] = client(80);
	c[3] = client_to(VIP, 80);
	lab_run(1);
	ck_assert(c[3]->gone && c[3]->error == -ECONNRESET);
	ck_assert_uint_eq(http()->limited, 1);
	reset(c[0]);
	lab_run(1);
	c[3] = client(80);
	lab_end();
}
END_TEST

START_TEST(so_many_requests)
{
	struct peer *c;

	lab_prepare(1);
	lab.grant.proxy[0].max_requests = 3;
	lab_start();
	lab.backends.auto_answer = OK_ANSWER;
	c = client(80);
	for (int i = 0; i < 5; i++) {
		say(c, GET);
		lab_run(1);
	}
	ck_assert_uint_eq(heard_times(c, "200 OK"), 3);
	ck_assert_uint_eq(heard_times(c, "Connection: close"), 1);
	ck_assert(c->fin);
	lab_end();
}
END_TEST

/* Many that never end a head do not keep others from being served. */
START_TEST(slowloris)
{
	struct peer *c;
	uint32_t n;

	lab_prepare(1);
	lab.grant.max_connections = 512;
	lab.grant.proxy[0].max_connections = 250;
	lab_start();
	n = lab.proxy->n_heads;
	ck_assert_uint_lt(n, 200);
	for (uint32_t i = 0; i < 200; i++) {
		c = client(80);
		say(c, "GET / HTTP/1.1\r\nX");
	}
	lab_run(1);
	ck_assert_uint_eq(lab.proxy->heads_used, n);
	c = client(80);
	say(c, "GET / HTTP/1.1\r\nHo");
	lab_run(10);
	say(c, "st: a\r\n\r\n");
	lab_run(1);
	say(backend(0), OK_ANSWER);
	lab_run(1);
	heard(c, OK_ANSWER);
	/* Those that had waited longest made room. */
	heard_has(&lab.clients.peer[0], "HTTP/1.1 503 ");
	ck_assert_uint_eq(errors(HTTP_ERR_HEADERS), 200 + 1 - n);
	lab_end();
}
END_TEST

/* More than is thrown away in peace. */
START_TEST(lingers_not_for_ever)
{
	static char much[LINGER_BYTES + 300000];
	struct peer *c;

	lab_make(1);
	c = client(80);
	say(c, "x\r\n\r\n");
	lab_run(1);
	heard_has(c, "HTTP/1.1 501 ");
	memset(much, 'x', sizeof(much));
	say_bytes(c, much, sizeof(much));
	lab_run(1000);
	ck_assert(c->gone && c->error == -ECONNRESET);
	ck_assert_uint_eq(lab.proxy->sessions, 0);
	lab_end();
}
END_TEST

/* What follows a request that waits: a window's worth, not more. */
START_TEST(pipelined_flood)
{
	static char much[1000000];
	struct peer *c;

	lab_make(1);
	c = client(80);
	memset(much, 'G', sizeof(much));
	say(c, GET);
	say_bytes(c, much, sizeof(much));
	lab_run(1000);
	ck_assert_uint_lt(
		rte_mempool_in_use_count(proxy_pool), 2 * 262144 / 1400);
	lab_end();
}
END_TEST

/* Single bytes take no mbuf each. */
START_TEST(single_bytes)
{
	struct peer *c;

	lab_make(1);
	c = client(80);
	say(c, GET);
	for (int i = 0; i < 5000; i++) {
		say(c, "x");
		lab_run(0);
	}
	ck_assert_uint_lt(rte_mempool_in_use_count(proxy_pool), 20);
	lab_end();
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("proxy_fail");
	TCase *backends = tcase_create("backends");
	TCase *times = tcase_create("times");
	TCase *clients = tcase_create("clients");

	tcase_set_timeout(backends, 120);
	tcase_set_timeout(times, 120);
	tcase_set_timeout(clients, 120);
	tcase_add_test(backends, next_backend);
	tcase_add_test(backends, none_connects);
	tcase_add_test(backends, comes_back);
	tcase_add_test(backends, comes_back_for_all);
	tcase_add_test(backends, does_not_answer_syns);
	tcase_add_loop_test(backends, said_again, 0, 2);
	tcase_add_loop_test(backends, said_once, 0, (int)RTE_DIM(once));
	tcase_add_test(backends, fresh_closes);
	tcase_add_test(backends, half_a_head);
	tcase_add_loop_test(backends, cut_short, 0, 2);
	tcase_add_test(backends, cut_until_the_end);
	tcase_add_loop_test(backends, malformed, 0, 4);
	tcase_add_test(backends, too_many_interims);
	tcase_add_test(times, slow_backend);
	tcase_add_test(times, silent_in_the_middle);
	tcase_add_test(times, slow_head);
	tcase_add_test(times, says_nothing);
	tcase_add_test(times, between_requests);
	tcase_add_test(times, slow_body);
	tcase_add_test(times, does_not_read);
	tcase_add_test(clients, client_goes);
	tcase_add_test(clients, client_goes_while_connecting);
	tcase_add_loop_test(clients, half_a_request, 0, 2);
	tcase_add_loop_test(clients, refused, 0, (int)RTE_DIM(refusals));
	tcase_add_loop_test(clients, large_heads, 0, 2);
	tcase_add_test(clients, page_of_ours);
	tcase_add_test(clients, so_many_connections);
	tcase_add_test(clients, so_many_requests);
	tcase_add_test(clients, slowloris);
	tcase_add_test(clients, lingers_not_for_ever);
	tcase_add_test(clients, pipelined_flood);
	tcase_add_test(clients, single_bytes);
	suite_add_tcase(suite, backends);
	suite_add_tcase(suite, times);
	suite_add_tcase(suite, clients);
	return lab_main(suite);
}
