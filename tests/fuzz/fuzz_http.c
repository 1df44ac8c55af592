/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests and responses with their bodies, whole and in pieces: what comes of
 * them must not depend on the cutting. A head that is taken is written on, and
 * must be taken again with the same meaning; written once more, it must not
 * change any more.
 *
 * Input: a byte of how to read, a byte of how to write, a seed of the cuts, a
 * byte of the limits; then the message.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/grant.h"
#include "nf/proxy/cookie.h"
#include "nf/proxy/http.h"
#include "nf/proxy/http_body.h"
#include "nf/proxy/http_write.h"
#include "nf/proxy/route.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NEED(what)               \
	do {                     \
		if (!(what))     \
			abort(); \
	} while (0)

/* How to read. */
#define RESPONSE 0x01
#define TO_HEAD  0x02
#define UPGRADE  0x04

/* How to write; the low bits are GRANT_F_*. */
#define CLOSE   0x10
#define COOKIE  0x20
#define TUNNEL  0x40
#define MINOR_0 0x80

struct message {
	const char *text;
	size_t len;
	enum http_kind kind;
	struct http_limits limits;
	struct http_asked asked;
};

struct outcome {
	int head, body;
	struct http_error error;
	struct http_head said;
	const char *why;
	size_t end;
	uint64_t bytes;
};

static struct http_parser parser, again;

/* --- reading ---------------------------------------------------------------
 */

/* The end of the next piece: `seed` 0, all; 1, a byte; else by chance. */
static size_t
next_cut(size_t at, size_t len, uint32_t *seed)
{
	size_t n = len - at;

	if (*seed == 1)
		n = 1;
	if (*seed > 1) {
		*seed = *seed * 1664525 + 1013904223;
		n = (*seed >> 16) % 24 + 1;
		*seed |= 2;
	}
	return n < len - at ? at + n : len;
}

/* text[from .. to) in memory of just that size. */
static char *
piece(const struct message *m, size_t from, size_t to)
{
	char *c = malloc(to > from ? to - from : 1);

	NEED(c != NULL);
	memcpy(c, m->text + from, to - from);
	return c;
}

static void
run_body(
	const struct message *m, size_t have, uint32_t *seed, struct outcome *o)
{
	struct http_body b;
	size_t at = o->said.len, used;
	char *c;

	http_body_init(&b, &o->said, m->limits.max_body);
	for (;;) {
		c = piece(m, at, have);
		o->body = http_body_feed(&b, c, have - at, &used);
		free(c);
		NEED(used <= have - at);
		at += used;
		if (o->body != 0 || have == m->len)
			break;
		NEED(at == have);
		have = next_cut(have, m->len, seed);
	}
	NEED((o->body < 0) == (b.why != NULL));
	o->why = b.why;
	o->end = at;
	o->bytes = b.bytes;
}

static void
run(const struct message *m, uint32_t seed, struct outcome *o)
{
	size_t have = 0;
	char *c;

	memset(o, 0, sizeof(*o));
	http_parser_init(&parser, m->kind, &m->limits, &m->asked);
	do {
		have = next_cut(have, m->len, &seed);
		c = piece(m, 0, have);
		o->head = http_parse(&parser, c, have);
		free(c);
	} while (o->head == -EAGAIN && have < m->len);
	o->error = parser.error;
	NEED((o->head == -EBADMSG) == (o->error.why != NULL));
	if (o->head != 0)
		return;
	NEED(parser.head.len <= have);
	o->said = parser.head;
	run_body(m, have, &seed, o);
}

static void
compare(const struct outcome *a, const struct outcome *b)
{
	NEED(a->head == b->head && a->body == b->body);
	NEED(a->error.status == b->error.status);
	NEED(a->error.why == b->error.why && a->why == b->why);
	NEED(memcmp(&a->said, &b->said, sizeof(a->said)) == 0);
	NEED(a->bytes == b->bytes);
	NEED(a->body != 1 || a->end == b->end);
}

/* --- writing ---------------------------------------------------------------
 */

static bool
same_text(
	const char *a, struct http_slice s, const char *b, struct http_slice t)
{
	return s.len == t.len && memcmp(a + s.at, b + t.at, s.len) == 0;
}

static void
check_request(const char *in, const char *out)
{
	const struct http_head *a = &parser.head, *b = &again.head;

	NEED(a->method == b->method && a->absolute == b->absolute);
	NEED(same_text(in, a->target, out, b->target));
	NEED(same_text(in, a->host, out, b->host));
	NEED(same_text(in, a->path, out, b->path));
	NEED(a->expect == b->expect && a->te_trailers == b->te_trailers);
	NEED(http_field(&again, HTTP_F_KEEP_ALIVE) == NULL);
	NEED(cookie_find(&again, out, "S", 1) == 0 ||
		cookie_find(&parser, in, "S", 1) != 0);
}

/* Read what was written, by the same rules. */
static void
read_again(const struct message *m, const struct http_write *w, const char *out,
	size_t len)
{
	const struct http_head *a = &parser.head, *b = &again.head;

	http_parser_init(&again, m->kind, NULL, &m->asked);
	NEED(http_parse(&again, out, len) == 0);
	NEED(b->len == len && b->start == 0);
	NEED(a->minor == b->minor && a->status == b->status);
	if (w->dechunk) {
		NEED(b->framing == HTTP_BODY_CLOSE);
	} else {
		NEED(a->framing == b->framing && a->length == b->length);
	}
	NEED(b->keep_alive ==
		(w->conn != HTTP_CONN_CLOSE && b->framing < HTTP_BODY_CLOSE));
}

static ssize_t
emit(const struct message *m, const struct http_parser *p, const char *in,
	const struct http_write *w, char *out, size_t room)
{
	return m->kind == HTTP_KIND_REQUEST
		       ? http_write_request(p, in, w, out, room)
		       : http_write_response(p, in, w, out, room);
}

/* Written again it stays; but a trusted client's fields grow. */
static void
write_again(const struct message *m, const struct http_write *w,
	const char *first, size_t len)
{
	char *second;

	if (w->flags & GRANT_F_TRUST || w->dechunk)
		return;
	if (m->kind == HTTP_KIND_RESPONSE && w->cookie_len > 0)
		return;
	second = malloc(len);
	NEED(second != NULL);
	NEED(emit(m, &again, first, w, second, len) == (ssize_t)len);
	NEED(memcmp(first, second, len) == 0);
	free(second);
}

static void
set_write(const struct message *m, uint8_t how, struct http_write *w)
{
	static const char line[] = "Set-Cookie: S=1\r\n";
	const struct http_head *h = &parser.head;
	const bool request = m->kind == HTTP_KIND_REQUEST;
	struct http_relay relay = { false, false, false };

	w->flags = how & 0xf;
	w->conn = how & CLOSE ? HTTP_CONN_CLOSE : HTTP_CONN_KEEP;
	w->peer_minor = !(how & MINOR_0);
	if (how & COOKIE) {
		w->cookie = request ? "S" : line;
		w->cookie_len = request ? 1 : sizeof(line) - 1;
	}
	if (request && h->upgrade && how & TUNNEL)
		w->conn = HTTP_CONN_UPGRADE;
	if (request)
		return;
	if (h->framing == HTTP_BODY_TUNNEL)
		w->conn = HTTP_CONN_UPGRADE;
	http_relay(h, w->peer_minor, &relay);
	w->dechunk = relay.dechunk;
	if (relay.must_close)
		w->conn = HTTP_CONN_CLOSE;
}

static void
rewrite(const struct message *m, uint8_t how)
{
	const size_t room = parser.head.len + HTTP_WRITE_GROWTH;
	struct ip_addr addr = ip_addr_from_v4(htonl(0xc0000201));
	struct http_write w = { .conn = HTTP_CONN_KEEP };
	struct http_client client;
	char *in = piece(m, 0, parser.head.len), *out = malloc(room), *exact;
	ssize_t n;

	if (how & MINOR_0)
		addr.w[0] = 1;
	http_client_init(&client, &addr, htons(80));
	w.client = &client;
	set_write(m, how, &w);
	n = emit(m, &parser, in, &w, out, room);
	NEED(n > 0 && (size_t)n <= room);
	exact = malloc((size_t)n);
	NEED(emit(m, &parser, in, &w, exact, (size_t)n) == n);
	NEED(memcmp(out, exact, (size_t)n) == 0);
	NEED(emit(m, &parser, in, &w, exact, (size_t)n - 1) == -ENOBUFS);
	read_again(m, &w, out, (size_t)n);
	if (m->kind == HTTP_KIND_REQUEST)
		check_request(in, out);
	write_again(m, &w, out, (size_t)n);
	free(in);
	free(out);
	free(exact);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct message m = { .limits = { .max_fields = 100 } };
	struct outcome whole, cut;

	if (size < 4)
		return 0;
	m.text = (const char *)data + 4;
	m.len = size - 4;
	m.kind = data[0] & RESPONSE ? HTTP_KIND_RESPONSE : HTTP_KIND_REQUEST;
	m.asked.method = data[0] & TO_HEAD ? HTTP_HEAD : HTTP_GET;
	m.asked.upgrade = data[0] & UPGRADE;
	if (data[3] & 1)
		m.limits.max_bytes = data[3];
	if (data[3] & 2)
		m.limits.max_body = data[3];
	run(&m, 1, &cut);
	run(&m, data[2] | 2u, &whole);
	compare(&whole, &cut);
	run(&m, 0, &whole);
	compare(&whole, &cut);
	if (whole.head == 0)
		rewrite(&m, data[1]);
	return 0;
}
