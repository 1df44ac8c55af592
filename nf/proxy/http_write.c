/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Copies a head and changes it on the way. Which fields are looked at is a
 * mask of ids, made once per head; between two of these everything is copied
 * as it lies.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "dataplane/grant.h"
#include "nf/proxy/cookie.h"
#include "nf/proxy/http_write.h"

#define BIT(id) (1u << (id))

_Static_assert(HTTP_F_IDS <= 32, "ids fit a mask");

/* Where it is written. Once something does not fit, `at` stays beyond `end`. */
struct out {
	char *at, *end;
	bool full;
};

static void
put(struct out *o, const char *c, size_t len)
{
	if ((size_t)(o->end - o->at) < len) {
		o->full = true;
		return;
	}
	memcpy(o->at, c, len);
	o->at += len;
}

#define PUT(o, text) put(o, text, sizeof(text) - 1)

/* A head on its way. */
struct copy {
	const struct http_parser *p;
	const char *buf;
	const struct http_write *w;
	uint32_t mask;  /* ids that are looked at */
	uint32_t has;   /* ids of fields that go on */
	int32_t for_at; /* the field that the client is added to; -1: none */
	int32_t forwarded_at;
};

/* --- who asks --------------------------------------------------------------
 */

static uint8_t
decimal(char *out, uint32_t v)
{
	char digit[10];
	uint8_t n = 0, i = 0;

	do {
		digit[n++] = (char)('0' + v % 10);
		v /= 10;
	} while (v > 0);
	while (n > 0)
		out[i++] = digit[--n];
	return i;
}

static uint8_t
ipv4_text(char *out, uint32_t host_order)
{
	uint8_t n = 0;

	for (int shift = 24; shift >= 0; shift -= 8) {
		n += decimal(out + n, host_order >> shift & 0xff);
		if (shift > 0)
			out[n++] = '.';
	}
	return n;
}

void
http_client_init(
	struct http_client *c, const struct ip_addr *addr, uint16_t port)
{
	c->v6 = !ip_addr_is_v4(addr);
	c->tls = false;
	c->port_len = decimal(c->port, ntohs(port));
	if (c->v6) {
		inet_ntop(AF_INET6, addr, c->addr, sizeof(c->addr));
		c->addr_len = (uint8_t)strlen(c->addr);
	} else {
		c->addr_len = ipv4_text(c->addr, ntohl(addr->w[3]));
	}
}

static void
put_for(struct out *o, const struct http_client *c)
{
	put(o, c->addr, c->addr_len);
}

/* RFC 7239 section 4; an IPv6 address is in brackets, and so quoted. */
static void
put_forwarded(struct out *o, const struct http_client *c)
{
	if (c->v6)
		PUT(o, "for=\"[");
	else
		PUT(o, "for=");
	put(o, c->addr, c->addr_len);
	if (c->v6)
		PUT(o, "]\"");
	if (c->tls)
		PUT(o, ";proto=https");
	else
		PUT(o, ";proto=http");
}

/* --- field by field --------------------------------------------------------
 */

/* Field i with its line's end: to the next field, or the empty line. */
static size_t
line_end(const struct http_parser *p, uint32_t i)
{
	return i + 1 < p->head.n_fields ? p->field[i + 1].name.at
					: p->head.len - 2u;
}

static size_t
value_end(const struct http_field *f)
{
	return (size_t)f->value.at + f->value.len;
}

/* The field as it is, and behind its value what `add` puts there. */
static void
put_more(struct out *o, const struct copy *c, const struct http_field *f,
	void (*add)(struct out *, const struct http_client *))
{
	put(o, c->buf + f->name.at, value_end(f) - f->name.at);
	if (f->value.len > 0)
		PUT(o, ", ");
	add(o, c->w->client);
	PUT(o, "\r\n");
}

static void
put_host(struct out *o, const struct copy *c, const struct http_field *f)
{
	const struct http_slice a = c->p->head.authority;

	put(o, c->buf + f->name.at, (size_t)f->name.len + 1);
	PUT(o, " ");
	put(o, c->buf + a.at, a.len);
	PUT(o, "\r\n");
}

/* false: the cookie is not in it, nothing is written. */
static bool
put_cookie(struct out *o, const struct copy *c, const struct http_field *f)
{
	const char *value = c->buf + f->value.at;
	const struct http_write *w = c->w;
	size_t len =
		cookie_cut(value, f->value.len, w->cookie, w->cookie_len, NULL);

	if (len == f->value.len)
		return false;
	if (len == 0)
		return true;
	put(o, c->buf + f->name.at, (size_t)f->value.at - f->name.at);
	if ((size_t)(o->end - o->at) < len) {
		o->full = true;
		return true;
	}
	o->at += cookie_cut(
		value, f->value.len, w->cookie, w->cookie_len, o->at);
	PUT(o, "\r\n");
	return true;
}

/* A field that is looked at: goes on as it is (true), or is dealt with. */
static bool
stays(struct out *o, const struct copy *c, uint32_t i)
{
	const struct http_field *f = &c->p->field[i];

	if (f->hop)
		return false;
	if ((int32_t)i == c->for_at) {
		put_more(o, c, f, put_for);
		return false;
	}
	if ((int32_t)i == c->forwarded_at) {
		put_more(o, c, f, put_forwarded);
		return false;
	}
	switch (f->id) {
	case HTTP_F_HOST:
		put_host(o, c, f);
		return false;
	case HTTP_F_COOKIE:
		return !put_cookie(o, c, f);
	case HTTP_F_X_FORWARDED_FOR:
	case HTTP_F_FORWARDED:
		return c->w->flags & GRANT_F_TRUST;
	default:
		return false;
	}
}

/* Start line and fields, in runs. */
static void
copy_fields(struct out *o, const struct copy *c)
{
	const struct http_parser *p = c->p;
	size_t from = p->head.start;

	for (uint32_t i = 0; i < p->head.n_fields; i++) {
		const struct http_field *f = &p->field[i];

		if (!f->hop && !(c->mask & BIT(f->id)))
			continue;
		put(o, c->buf + from, f->name.at - from);
		from = line_end(p, i);
		if (stays(o, c, i))
			from = f->name.at;
	}
	put(o, c->buf + from, p->head.len - 2u - from);
}

static ssize_t
finish(struct out *o, const char *begin)
{
	PUT(o, "\r\n");
	return o->full ? -ENOBUFS : o->at - begin;
}

#define HOP_BY_HOP                                              \
	(BIT(HTTP_F_CONNECTION) | BIT(HTTP_F_KEEP_ALIVE) |      \
		BIT(HTTP_F_PROXY_CONNECTION) | BIT(HTTP_F_TE) | \
		BIT(HTTP_F_HTTP2_SETTINGS) | BIT(HTTP_F_UPGRADE))
#define X_FORWARDED                                                   \
	(BIT(HTTP_F_X_FORWARDED_FOR) | BIT(HTTP_F_X_FORWARDED_PORT) | \
		BIT(HTTP_F_X_FORWARDED_PROTO))

/* Options of Connection, joined; `keep` says keep-alive where it must be. */
static void
put_connection(
	struct out *o, enum http_conn conn, bool keep, bool upgrade, bool te)
{
	const char *sep = "Connection: ";

	if (conn == HTTP_CONN_CLOSE || (conn == HTTP_CONN_KEEP && keep)) {
		put(o, sep, strlen(sep));
		if (conn == HTTP_CONN_CLOSE)
			PUT(o, "close");
		else
			PUT(o, "keep-alive");
		sep = ", ";
	}
	if (upgrade) {
		put(o, sep, strlen(sep));
		PUT(o, "Upgrade");
		sep = ", ";
	}
	if (te) {
		put(o, sep, strlen(sep));
		PUT(o, "TE");
		sep = ", ";
	}
	if (sep[0] == ',')
		PUT(o, "\r\n");
}

/* --- requests --------------------------------------------------------------
 */

static void
survey(struct copy *c)
{
	const bool trust = c->w->flags & GRANT_F_TRUST;

	for (uint32_t i = 0; i < c->p->head.n_fields; i++) {
		const struct http_field *f = &c->p->field[i];

		if (f->hop)
			continue;
		c->has |= BIT(f->id);
		if (!trust)
			continue;
		if (f->id == HTTP_F_X_FORWARDED_FOR &&
			c->w->flags & GRANT_F_FORWARDED_FOR)
			c->for_at = (int32_t)i;
		if (f->id == HTTP_F_FORWARDED &&
			c->w->flags & GRANT_F_FORWARDED)
			c->forwarded_at = (int32_t)i;
	}
}

static uint32_t
request_mask(const struct copy *c)
{
	const struct http_write *w = c->w;
	uint32_t mask = HOP_BY_HOP;

	if (w->conn == HTTP_CONN_UPGRADE)
		mask &= ~BIT(HTTP_F_UPGRADE);
	if (c->p->head.absolute)
		mask |= BIT(HTTP_F_HOST);
	if (w->cookie_len > 0)
		mask |= BIT(HTTP_F_COOKIE);
	if (!(w->flags & GRANT_F_TRUST))
		return mask | X_FORWARDED | BIT(HTTP_F_FORWARDED);
	if (c->for_at >= 0)
		mask |= BIT(HTTP_F_X_FORWARDED_FOR);
	if (c->forwarded_at >= 0)
		mask |= BIT(HTTP_F_FORWARDED);
	return mask;
}

/* Those that are not there, or not believed. */
static void
put_x_forwarded(struct out *o, const struct copy *c)
{
	const struct http_client *client = c->w->client;
	const uint32_t has = c->w->flags & GRANT_F_TRUST ? c->has : 0;

	if (!(has & BIT(HTTP_F_X_FORWARDED_FOR))) {
		PUT(o, "X-Forwarded-For: ");
		put_for(o, client);
		PUT(o, "\r\n");
	}
	if (!(has & BIT(HTTP_F_X_FORWARDED_PROTO))) {
		if (client->tls)
			PUT(o, "X-Forwarded-Proto: https\r\n");
		else
			PUT(o, "X-Forwarded-Proto: http\r\n");
	}
	if (!(has & BIT(HTTP_F_X_FORWARDED_PORT))) {
		PUT(o, "X-Forwarded-Port: ");
		put(o, client->port, client->port_len);
		PUT(o, "\r\n");
	}
}

ssize_t
http_write_request(const struct http_parser *p, const char *buf,
	const struct http_write *w, char *out, size_t room)
{
	struct out o = { .at = out, .end = out + room };
	struct copy c = {
		.p = p, .buf = buf, .w = w, .for_at = -1, .forwarded_at = -1
	};
	const bool te = p->head.te_trailers;

	survey(&c);
	c.mask = request_mask(&c);
	copy_fields(&o, &c);
	if (w->flags & GRANT_F_FORWARDED_FOR)
		put_x_forwarded(&o, &c);
	if (w->flags & GRANT_F_FORWARDED && c.forwarded_at < 0) {
		PUT(&o, "Forwarded: ");
		put_forwarded(&o, w->client);
		PUT(&o, "\r\n");
	}
	put_connection(&o, w->conn, p->head.minor == 0,
		w->conn == HTTP_CONN_UPGRADE, te);
	if (te)
		PUT(&o, "TE: trailers\r\n");
	return finish(&o, out);
}

/* --- responses -------------------------------------------------------------
 */

ssize_t
http_write_response(const struct http_parser *p, const char *buf,
	const struct http_write *w, char *out, size_t room)
{
	struct out o = { .at = out, .end = out + room };
	struct copy c = {
		.p = p, .buf = buf, .w = w, .for_at = -1, .forwarded_at = -1
	};
	bool upgrade = w->conn == HTTP_CONN_UPGRADE;

	/* 426 tells what to ask for the next time (RFC 9110 15.5.22). */
	if (p->head.status == 426 && http_field(p, HTTP_F_UPGRADE) != NULL)
		upgrade = true;
	c.mask = HOP_BY_HOP;
	if (upgrade)
		c.mask &= ~BIT(HTTP_F_UPGRADE);
	if (w->dechunk)
		c.mask |= BIT(HTTP_F_TRANSFER_ENCODING) | BIT(HTTP_F_TRAILER);
	copy_fields(&o, &c);
	if (w->cookie_len > 0)
		put(&o, w->cookie, w->cookie_len);
	put_connection(&o, w->conn, p->head.minor == 0 || w->peer_minor == 0,
		upgrade, false);
	return finish(&o, out);
}

void
http_relay(const struct http_head *r, uint8_t minor, struct http_relay *how)
{
	how->skip = r->status < 200 && minor == 0;
	how->dechunk = r->framing == HTTP_BODY_CHUNKED && minor == 0;
	how->must_close = how->dechunk || r->framing == HTTP_BODY_CLOSE;
}
