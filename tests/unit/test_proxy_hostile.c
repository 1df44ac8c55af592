/* SPDX-License-Identifier: BSD-3-Clause */
/* What wears the proxy out, or makes it lose count: each was a fault once. */
#include "dataplane/tcp/internal.h"
#include "tests/unit/proxy_lab.h"

/* Bytes that the proxy's TCP believes to be unread on an idle connection. */
static uint32_t
unread_of_idle(void)
{
	const struct proxy *p = lab.proxy;

	ck_assert_uint_ne(p->backend[0].idle_first, PROXY_NONE);
	return p->server[p->backend[0].idle_first].conn->rcv_held;
}

/* Short of mbufs, a connection that has something queued takes no more: what
 * comes of the body then has to wait. */
START_TEST(upload_without_memory)
{
	static char bytes[12000];
	struct peer *c, *b;

	lab_make(1);
	/* Until its timers have caught up with the clock of its making. */
	lab_run(10000);
	memset(bytes, 'u', sizeof(bytes));
	c = client(80);
	say(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 12000\r\n\r\n");
	lab_run(2);
	b = backend(0);
	hush(b);
	lab.proxy->tcp->cfg.max_held = 2;
	lab.backends.dead = true;
	for (uint32_t at = 0; at < sizeof(bytes); at += 1000) {
		say_bytes(c, bytes + at, 1000);
		lab_run(1);
	}
	lab.backends.dead = false;
	lab.proxy->tcp->cfg.max_held = lab.proxy->max_held;
	lab_run(5000);
	ck_assert_uint_eq(b->len, sizeof(bytes));
	say(b, OK_ANSWER);
	lab_run(1);
	heard(c, OK_ANSWER);
	lab_end();
}
END_TEST

/* The new head is shorter than the old one: all of the old one was read. */
START_TEST(shrinking_heads)
{
	static char answer[1200];
	struct peer *c;

	snprintf(answer, sizeof(answer),
		"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n"
		"Keep-Alive: %0900d\r\nContent-Length: 2\r\n\r\nok",
		0);
	lab_make(1);
	lab.backends.auto_answer = answer;
	c = client(80);
	for (uint32_t i = 1; i <= 400; i++) {
		say(c, GET);
		lab_run(1);
		ck_assert_uint_eq(heard_times(c, "200 OK"), i);
		ck_assert_uint_eq(unread_of_idle(), 0);
	}
	ck_assert_uint_eq(backend_conns(), 1);
	lab_end();
}
END_TEST

/* Bytes that wait take the memory of as many bytes, in however many packets
 * they have come: others are served. */
START_TEST(waiting_bytes)
{
	struct peer *c, *other;
	struct tcp_usage u;

	lab_make(1);
	c = client(80);
	say(c, GET);
	lab_run(1);
	for (int i = 0; i < 16000; i++) {
		say(c, "x");
		lab_run(i % 500 == 0 ? 50 : 0);
	}
	tcp_usage(lab.proxy->tcp, &u);
	ck_assert_uint_lt(u.lent, 100);
	other = client(80);
	say(other, GET);
	lab_run(1);
	say(backend(1), OK_ANSWER);
	lab_run(1);
	heard(other, OK_ANSWER);
	lab_end();
}
END_TEST

/* Heads that are kept for later are few: then a request is said once. */
START_TEST(kept_heads)
{
	struct peer *c[20];

	lab_make(1);
	lab.proxy->max_kept = 10;
	for (uint32_t i = 0; i < RTE_DIM(c); i++) {
		c[i] = client(80);
		say(c[i], GET);
		lab_run(1);
	}
	ck_assert_uint_eq(lab.proxy->kept, 10);
	for (uint32_t i = 0; i < RTE_DIM(c); i++)
		say(backend(i), OK_ANSWER);
	lab_run(1);
	for (uint32_t i = 0; i < RTE_DIM(c); i++)
		heard(c[i], OK_ANSWER);
	ck_assert_uint_eq(lab.proxy->kept, 0);
	lab_end();
}
END_TEST

/* Clients that take all connections that they can leave some to backends. */
START_TEST(full_of_clients)
{
	struct peer *c;

	lab_prepare(1);
	lab.grant.max_connections = 64;
	lab.grant.proxy[0].max_connections = 64;
	lab_start();
	c = client(80);
	for (int i = 0; i < 80; i++)
		client_to(VIP, 80);
	lab_run(10);
	say(c, GET);
	lab_run(1);
	ck_assert_uint_eq(backend_conns(), 1);
	say(backend(0), OK_ANSWER);
	lab_run(1);
	heard(c, OK_ANSWER);
	lab_end();
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("proxy_hostile");
	TCase *counts = tcase_create("counts");

	tcase_set_timeout(counts, 300);
	tcase_add_test(counts, upload_without_memory);
	tcase_add_test(counts, shrinking_heads);
	tcase_add_test(counts, waiting_bytes);
	tcase_add_test(counts, kept_heads);
	tcase_add_test(counts, full_of_clients);
	suite_add_tcase(suite, counts);
	return lab_main(suite);
}
