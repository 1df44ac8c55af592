/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the config asks of the proxy: choosing a backend, stickiness, headers,
 * the PROXY protocol, mode tcp, the log, and changes of all that while it runs.
 */
#include "dataplane/access.h"
#include "tests/unit/proxy_lab.h"

static struct access_ring ring;

static struct grant_text
text(struct grant *g, const char *t)
{
	struct grant_text at = { g->text_len, (uint32_t)strlen(t) };

	memcpy(g->text + g->text_len, t, at.len + 1);
	g->text_len += at.len + 1;
	return at;
}

/* Asks once, on a connection of its own: which backend, 99: none. */
static uint32_t
asks(const char *request)
{
	struct peer *c = client(80);
	uint32_t who = 99;

	say(c, request);
	lab_run(1);
	for (uint32_t i = 0; i < PEERS; i++)
		if (backend(i) != NULL && backend(i)->len > 0) {
			who = backend_of(backend(i));
			hush(backend(i));
		}
	finish(c);
	lab_run(1);
	return who;
}

/* --- which backend ---------------------------------------------------------
 */

START_TEST(in_turn)
{
	uint32_t n[3] = { 0 };

	lab_prepare(3);
	lab.grant.backends[0].weight = 3;
	lab.grant.backends[1].weight = 1;
	lab.grant.backends[2].weight = 0; /* drained */
	lab_start();
	lab.backends.auto_answer = OK_ANSWER;
	for (int i = 0; i < 16; i++)
		n[asks(GET)]++;
	ck_assert_uint_eq(n[0], 12);
	ck_assert_uint_eq(n[1], 4);
	lab_end();
}
END_TEST

START_TEST(fewest)
{
	struct peer *c[6];
	uint32_t n[3] = { 0 };

	lab_prepare(3);
	lab.grant.groups[0].scheduler = GRANT_SCHED_LEASTCONN;
	lab_start();
	for (int i = 0; i < 3; i++) {
		c[i] = client(80);
		say(c[i], GET);
		lab_run(1);
	}
	for (uint32_t i = 0; i < 3; i++)
		n[backend_of(backend(i))]++;
	for (uint32_t i = 0; i < 3; i++)
		ck_assert_uint_eq(n[i], 1);
	/* One is free again: it is the one that is asked. */
	say(backend(1), OK_ANSWER);
	lab_run(1);
	hush(backend(1));
	c[3] = client(80);
	say(c[3], GET);
	lab_run(1);
	heard(backend(1), GET);
	lab_end();
}
END_TEST

START_TEST(by_route)
{
	struct grant *g = &lab.grant;

	lab_prepare(3);
	g->n_groups = 4;
	g->groups[0].n_backends = 1;
	for (uint32_t i = 2; i < 4; i++) {
		g->groups[i] = g->groups[0];
		g->groups[i].first_backend = i - 1;
		snprintf(g->groups[i].name, GRANT_NAME_MAX, "g%u", i);
	}
	g->routes[0] =
		(struct grant_route){ .host = text(g, "x.org"), .group = 2 };
	g->routes[1] =
		(struct grant_route){ .path = text(g, "/api"), .group = 3 };
	g->n_routes = g->proxy[0].n_routes = 2;
	lab_start();
	lab.backends.auto_answer = OK_ANSWER;
	ck_assert_uint_eq(asks(GET), 0);
	ck_assert_uint_eq(asks("GET / HTTP/1.1\r\nHost: x.org\r\n\r\n"), 1);
	ck_assert_uint_eq(asks("GET /api/1 HTTP/1.1\r\nHost: a\r\n\r\n"), 2);
	ck_assert_uint_eq(asks("GET /apis HTTP/1.1\r\nHost: a\r\n\r\n"), 0);
	lab_end();
}
END_TEST

/* The value of the cookie in what was heard, or NULL. */
static const char *
cookie_of(struct peer *c, char *out)
{
	const char *at = strstr(c->heard, "Set-Cookie: SRV=");

	if (at == NULL)
		return NULL;
	memcpy(out, at + 16, 16);
	out[16] = '\0';
	return out;
}

START_TEST(sticks)
{
	char value[17], request[128];
	struct peer *c;
	uint32_t who;

	lab_prepare(3);
	lab.grant.groups[0].cookie = text(&lab.grant, "SRV");
	lab_start();
	lab.backends.auto_answer = OK_ANSWER;
	c = client(80);
	say(c, GET);
	lab_run(1);
	ck_assert_ptr_nonnull(cookie_of(c, value));
	who = backend_of(backend(0));
	snprintf(request, sizeof(request),
		"GET / HTTP/1.1\r\nHost: a\r\nCookie: SRV=%s; b=c\r\n\r\n",
		value);
	for (int i = 0; i < 5; i++) {
		hush(backend(0));
		hush(c);
		say(c, request);
		lab_run(1);
		heard(backend(0),
			"GET / HTTP/1.1\r\nHost: a\r\nCookie: b=c\r\n\r\n");
		/* It has it already. */
		heard(c, OK_ANSWER);
	}
	/* One that is not to be had: another, and another cookie. */
	backend_up(who, false);
	finish(backend(0));
	lab_run(1);
	hush(c);
	say(c, request);
	lab_run(1);
	heard_has(c, "200 OK");
	heard_has(c, "Set-Cookie: SRV=");
	heard_not(c, value);
	/* Of no meaning: as if there were none. */
	hush(c);
	say(c, "GET / HTTP/1.1\r\nHost: a\r\nCookie: SRV=x\r\n\r\n");
	lab_run(1);
	heard_has(c, "Set-Cookie: SRV=");
	lab_end();
}
END_TEST

START_TEST(drained_loses_its_clients)
{
	char value[17], request[128];
	struct peer *c;

	lab_prepare(2);
	lab.grant.groups[0].cookie = text(&lab.grant, "SRV");
	lab_start();
	lab.backends.auto_answer = OK_ANSWER;
	c = client(80);
	say(c, GET);
	lab_run(1);
	ck_assert_ptr_nonnull(cookie_of(c, value));
	snprintf(request, sizeof(request),
		"GET / HTTP/1.1\r\nHost: a\r\nCookie: SRV=%s\r\n\r\n", value);
	lab.next_grant = lab.grant;
	lab.next_grant.backends[backend_of(backend(0))].weight = 0;
	ck_assert_int_eq(lab_update(value, 0), 0);
	hush(c);
	say(c, request);
	lab_run(1);
	heard_has(c, "Set-Cookie: SRV=");
	ck_assert_uint_ne(backend_of(backend(1)), backend_of(backend(0)));
	lab_end();
}
END_TEST

/* --- who asks --------------------------------------------------------------
 */

START_TEST(says_who_asks)
{
	struct peer *c;

	lab_prepare(1);
	lab.grant.proxy[0].flags = GRANT_F_FORWARDED_FOR | GRANT_F_FORWARDED;
	lab_start();
	c = client(80);
	say(c, "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n");
	lab_run(1);
	heard(backend(0),
		"GET / HTTP/1.1\r\nHost: a\r\n"
		"X-Forwarded-For: 10.0.0.2\r\nX-Forwarded-Proto: http\r\n"
		"X-Forwarded-Port: 80\r\n"
		"Forwarded: for=10.0.0.2;proto=http\r\n\r\n");
	lab_end();
}
END_TEST

static const char v2[] = "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"
			 "\x01\x02\x03\x04\x0a\0\0\x50\x11\x5c\x01\xbb";

START_TEST(proxy_protocol_in)
{
	const char *v1 = "PROXY TCP4 1.2.3.4 10.0.0.80 4444 443\r\n";
	struct peer *c;

	lab_prepare(1);
	lab.grant.proxy[0].flags = GRANT_F_FORWARDED_FOR;
	lab.grant.proxy[0].proxy_protocol = GRANT_PROXY_ANY;
	lab_start();
	c = client(80);
	if (_i & 1)
		say_bytes(c, v2, sizeof(v2) - 1);
	else if (_i & 2)
		for (size_t k = 0; k < strlen(v1); k++) {
			say_bytes(c, v1 + k, 1);
			lab_run(0);
		}
	else
		say(c, v1);
	if (_i & 2)
		lab_run(1);
	say(c, GET);
	lab_run(1);
	ck_assert_ptr_nonnull(backend(0));
	heard_has(backend(0), "X-Forwarded-For: 1.2.3.4\r\n");
	heard_has(backend(0), "X-Forwarded-Port: 443\r\n");
	say(backend(0), OK_ANSWER);
	lab_run(1);
	heard(c, OK_ANSWER);
	/* It is said once. */
	say(c, GET);
	lab_run(1);
	say(backend(0), OK_ANSWER);
	lab_run(1);
	ck_assert_uint_eq(heard_times(c, OK_ANSWER), 2);
	lab_end();
}
END_TEST

START_TEST(proxy_protocol_missing)
{
	struct peer *c;

	lab_prepare(1);
	lab.grant.proxy[0].proxy_protocol = GRANT_PROXY_V2;
	lab_start();
	c = client(80);
	if (_i == 0)
		say(c, GET);
	else if (_i == 1)
		say(c, "\r\n\r\n");
	lab_run(_i == 0 ? 1 : 10300);
	ck_assert(c->gone && c->error == -ECONNRESET);
	ck_assert_uint_eq(backend_conns(), 0);
	lab_end();
}
END_TEST

START_TEST(proxy_protocol_out)
{
	char want[128];
	struct peer *c;

	lab_prepare(1);
	lab.grant.groups[0].proxy_protocol = GRANT_PROXY_V1;
	lab.grant.groups[1].proxy_protocol = GRANT_PROXY_V1;
	lab_start();
	c = client((uint16_t)(80 + _i));
	say(c, GET);
	lab_run(1);
	snprintf(want, sizeof(want),
		"PROXY TCP4 10.0.0.2 10.0.0.80 %u %d\r\nGET / ", c->port,
		80 + _i);
	ck_assert_ptr_eq(strstr(backend(0)->heard, want), backend(0)->heard);
	say(backend(0), OK_ANSWER);
	lab_run(1);
	heard(c, OK_ANSWER);
	/* It was said for this client: nobody else gets the connection. */
	ck_assert_uint_eq(lab.stats.server[0].idle, 0);
	lab_end();
}
END_TEST

/* --- mode tcp --------------------------------------------------------------
 */

START_TEST(relays)
{
	struct peer *c, *b;

	lab_make(2);
	c = client(81);
	lab_run(1);
	b = backend(0);
	ck_assert_ptr_nonnull(b);
	say(b, "220 speaks first\r\n");
	lab_run(1);
	heard(c, "220 speaks first\r\n");
	say(c, "anything");
	lab_run(1);
	heard(b, "anything");
	ck_assert_uint_eq(lab.stats.http[1].tunnels, 1);
	ck_assert_uint_eq(lab.stats.backend[2].connections, 1);
	finish(b);
	lab_run(1);
	ck_assert(c->fin && !b->fin);
	say(c, "more");
	finish(c);
	lab_run(1);
	heard(b, "anythingmore");
	ck_assert(b->gone && b->error == 0 && c->gone && c->error == 0);
	ck_assert_uint_eq(lab.proxy->sessions, 0);
	lab_end();
}
END_TEST

START_TEST(relays_resets)
{
	struct peer *c;

	lab_make(1);
	c = client(81);
	lab_run(1);
	if (_i == 0)
		reset(c);
	else
		reset(backend(0));
	lab_run(1);
	if (_i == 0)
		ck_assert(backend(0)->gone && backend(0)->error != 0);
	else
		ck_assert(c->gone && c->error == -ECONNRESET);
	lab_end();
}
END_TEST

START_TEST(relays_to_who_is_there)
{
	struct peer *c;

	lab_make(2);
	backend_up(0, false);
	for (int i = 0; i < 3; i++) {
		c = client(81);
		lab_run(1);
		ck_assert(!c->gone);
	}
	backend_up(1, false);
	c = client_to(VIP, 81);
	lab_run(1);
	ck_assert(c->gone);
	ck_assert_uint_eq(lab.stats.http[1].error[HTTP_ERR_NO_BACKEND], 1);
	lab_end();
}
END_TEST

START_TEST(quiet_tunnels_end)
{
	struct peer *c;

	lab_make(1);
	c = client(81);
	lab_run(39000);
	say(c, "x");
	lab_run(39000);
	ck_assert(!c->gone);
	lab_run(1200);
	ck_assert(c->gone && backend(0)->gone);
	lab_end();
}
END_TEST

/* --- the log ---------------------------------------------------------------
 */

static void
log_on(void)
{
	memset(&ring, 0, sizeof(ring));
	access_init(&ring);
	lab.env.access = &ring;
	lab.grant.proxy[0].flags |= GRANT_F_ACCESS_LOG;
	lab.grant.proxy[1].flags |= GRANT_F_ACCESS_LOG;
}

START_TEST(writes_lines)
{
	char texts[ACCESS_TEXT_MAX + 1] = "";
	struct access_record r;
	struct peer *c;

	lab_prepare(1);
	log_on();
	lab_start();
	c = client(80);
	say(c, "GET /a?b HTTP/1.1\r\nHost: x.org\r\nReferer: r\r\n");
	lab_run(5);
	say(c, "User-Agent: u\r\n\r\n");
	lab_run(7);
	say(backend(0), OK_ANSWER);
	lab_run(1);
	ck_assert_int_eq(access_get(&ring, &r, texts), 1);
	ck_assert_uint_eq(r.status, 200);
	ck_assert_uint_eq(r.service, 0);
	ck_assert_uint_eq(ntohs(r.client_port), c->port);
	ck_assert_uint_eq(ntohs(r.backend_port), 8080);
	ck_assert_uint_eq(r.error, 0);
	ck_assert_uint_eq(r.bytes_out, strlen(OK_ANSWER));
	ck_assert_uint_ge(r.header_us, 5000);
	ck_assert_uint_ge(r.response_us, 6000);
	ck_assert_uint_ge(r.total_us, 11000);
	ck_assert_str_eq(texts, "GET/a?bHTTP/1.1x.orgru");
	/* Whatever it was that came. */
	say(c, "nonsense\r\n\r\n");
	lab_run(1);
	ck_assert_int_eq(access_get(&ring, &r, texts), 1);
	ck_assert_uint_ge(r.status, 400);
	ck_assert_uint_eq(r.error, HTTP_ERR_BAD_REQUEST + 1);
	ck_assert_int_eq(access_get(&ring, &r, texts), 0);
	c = client(81);
	say(c, "abc");
	lab_run(1);
	finish(c);
	finish(backend(1));
	lab_run(1);
	ck_assert_int_eq(access_get(&ring, &r, texts), 1);
	ck_assert_uint_eq(r.service, 1);
	ck_assert_uint_eq(r.bytes_in, 3);
	lab_end();
	lab.env.access = NULL;
}
END_TEST

START_TEST(counts_lost_lines)
{
	struct peer *c;

	lab_prepare(1);
	log_on();
	lab_start();
	lab.backends.auto_answer = OK_ANSWER;
	ring.head += ACCESS_BYTES;
	c = client(80);
	say(c, GET);
	lab_run(1);
	heard(c, OK_ANSWER);
	ck_assert_uint_eq(lab.stats.http[0].access_lost, 1);
	lab_end();
	lab.env.access = NULL;
}
END_TEST

/* --- changes ----------------------------------------------------------------
 */

static void
update(void)
{
	char why[256] = "";
	int rc = lab_update(why, sizeof(why));

	ck_assert_msg(rc == 0, "%s", why);
}

START_TEST(backends_come_and_go)
{
	struct grant *g = &lab.next_grant;
	struct peer *c, *d;

	lab_make(2);
	c = client(80);
	say(c, GET);
	lab_run(1);
	ck_assert_uint_eq(backend_of(backend(0)), 0);
	d = client(80);
	say(d, GET);
	lab_run(1);
	say(backend(1), OK_ANSWER);
	lab_run(1);
	ck_assert_uint_eq(lab.stats.server[1].idle, 1);
	/* The first goes, the third comes, at the first one's place. */
	*g = lab.grant;
	g->backends[0].addr = backend_ip(2);
	g->backends[0].nexthop = 4;
	update();
	/* What was under way is answered; and then it is let go. */
	say(backend(0), OK_ANSWER);
	lab_run(1);
	heard(c, OK_ANSWER);
	ck_assert(backend(0)->fin);
	/* The other one's connection is still there. */
	ck_assert(!backend(1)->fin);
	lab.backends.auto_answer = OK_ANSWER;
	backend(1)->auto_answer = OK_ANSWER;
	for (int i = 0; i < 4; i++)
		ck_assert_uint_ne(asks(GET), 0);
	lab_end();
}
END_TEST

START_TEST(services_come_and_go)
{
	struct grant *g = &lab.next_grant;
	struct peer *c, *idle, *other;

	lab_make(1);
	c = client(80);
	idle = client(80);
	other = client(81);
	say(c, GET);
	lab_run(1);
	/* The first goes; the second one's place is another now. */
	lab_grant(g, 1);
	g->services[0] = g->services[1];
	g->proxy[0] = g->proxy[1];
	g->proxy[0].default_group = 0;
	g->groups[0] = g->groups[1];
	g->groups[0].first_backend = 0;
	g->backends[0] = g->backends[1];
	g->n_services = g->n_groups = g->n_backends = 1;
	update();
	lab_run(1);
	ck_assert(idle->fin || idle->gone);
	ck_assert(!c->fin && !other->gone);
	ck_assert_uint_eq(lab.stats.service[0].connections, 1);
	for (uint32_t i = 0; i < 2; i++)
		if (backend(i)->len > 0)
			say(backend(i), OK_ANSWER);
	lab_run(1);
	heard_has(c, "Connection: close\r\n\r\nok");
	ck_assert(c->fin);
	say(other, "still there");
	lab_run(1);
	ck_assert(!other->gone);
	finish(c);
	lab_run(1);
	c = client_to(VIP, 80);
	lab_run(1);
	ck_assert(c->gone && !c->open);
	/* And back. */
	lab_grant(g, 1);
	update();
	c = client(80);
	lab.backends.auto_answer = OK_ANSWER;
	say(c, GET);
	lab_run(1);
	heard(c, OK_ANSWER);
	lab_end();
}
END_TEST

START_TEST(larger_heads)
{
	struct peer *c, *d;

	lab_make(1);
	lab.backends.auto_answer = OK_ANSWER;
	c = client(80);
	say(c, "GET / HTTP/1.1\r\nHo");
	lab_run(1);
	lab.next_grant = lab.grant;
	lab.next_grant.proxy[0].max_header_bytes = 16384;
	update();
	d = client(80);
	say(d, "GET / HTTP/1.1\r\nHost: a\r\nX: ");
	for (int i = 0; i < 800; i++)
		say(d, "0123456789");
	say(d, "\r\n\r\n");
	say(c, "st: a\r\n\r\n");
	lab_run(1);
	heard(c, OK_ANSWER);
	heard(d, OK_ANSWER);
	lab_end();
}
END_TEST

START_TEST(bad_grants)
{
	char why[256] = "";
	struct grant *g = &lab.next_grant;

	lab_make(1);
	*g = lab.grant;
	switch (_i) {
	case 0:
		g->proxy[0].default_group = 2;
		break;
	case 1:
		g->proxy[0].idle_ms = 0;
		break;
	case 2:
		g->backends[0].addr = ip("fd00::1");
		break;
	case 3:
		g->services[0].proto = IPPROTO_UDP;
		break;
	case 4:
		g->max_connections *= 2;
		break;
	case 5:
		g->groups[0].n_backends = 3;
		break;
	default:
		g->proxy[0].n_routes = 1;
		break;
	}
	ck_assert_int_eq(lab_update(why, sizeof(why)), -EINVAL);
	ck_assert_str_ne(why, "");
	lab.backends.auto_answer = OK_ANSWER;
	ck_assert_uint_eq(asks(GET), 0);
	lab_end();
}
END_TEST

/* --- whose packets ---------------------------------------------------------
 */

START_TEST(other_instances)
{
	uint32_t opened = 0;

	lab_prepare(1);
	lab.grant.own[0] = 0x0f; /* half of the buckets */
	lab_start();
	for (uint32_t i = 0; i < 64; i++) {
		struct peer *c = client_to(VIP, 80);

		lab_run(1);
		opened += c->open;
	}
	ck_assert_uint_gt(opened, 16);
	ck_assert_uint_lt(opened, 48);
	ck_assert_uint_eq(lab.stats.misdirected, 64 - opened);
	ck_assert_uint_eq(lab.stats.drop[NF_DROP_MISDIRECTED], 64 - opened);
	lab_end();
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("proxy_service");
	TCase *choice = tcase_create("choice");
	TCase *rest = tcase_create("rest");
	TCase *changes = tcase_create("changes");

	tcase_set_timeout(choice, 120);
	tcase_set_timeout(rest, 120);
	tcase_set_timeout(changes, 120);
	tcase_add_test(choice, in_turn);
	tcase_add_test(choice, fewest);
	tcase_add_test(choice, by_route);
	tcase_add_test(choice, sticks);
	tcase_add_test(choice, drained_loses_its_clients);
	tcase_add_test(rest, says_who_asks);
	tcase_add_loop_test(rest, proxy_protocol_in, 0, 4);
	tcase_add_loop_test(rest, proxy_protocol_missing, 0, 3);
	tcase_add_loop_test(rest, proxy_protocol_out, 0, 2);
	tcase_add_test(rest, relays);
	tcase_add_loop_test(rest, relays_resets, 0, 2);
	tcase_add_test(rest, relays_to_who_is_there);
	tcase_add_test(rest, quiet_tunnels_end);
	tcase_add_test(rest, writes_lines);
	tcase_add_test(rest, counts_lost_lines);
	tcase_add_test(rest, other_instances);
	tcase_add_test(changes, backends_come_and_go);
	tcase_add_test(changes, services_come_and_go);
	tcase_add_test(changes, larger_heads);
	tcase_add_loop_test(changes, bad_grants, 0, 7);
	suite_add_tcase(suite, choice);
	suite_add_tcase(suite, rest);
	suite_add_tcase(suite, changes);
	return lab_main(suite);
}
