/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A response, from a backend to the client.
 *
 * Mostly its head, and of a small one all of it, lies in one mbuf. The new
 * head is then put right before the body, in the room that the old head and
 * the frame's headers have left, so that one mbuf goes out as one segment:
 *
 *    |  headroom, headers | old head            | body      |
 *    |             | new head with a cookie ... | body      |
 *                  ^ data_off, with room for headers before it
 */
#include <errno.h>
#include <string.h>

#include "nf/proxy/cookie.h"
#include "nf/proxy/head.h"

/* Ethernet, IPv6, TCP and its options, to be written before a head. */
#define HEADERS_ROOM 128

/* Interim responses to one request. */
#define INTERIMS_MAX 32

/* --- to the client ------------------------------------------------------- */

void
response_send(struct session *s, struct rte_mbuf *data)
{
	struct proxy *p = s->proxy;
	struct server *v = server_of(s);
	uint32_t len = data->pkt_len;

	s->x.bytes_out += len;
	if (likely(s->out.bytes == 0 && relay_room(p, s->conn) &&
		    tcp_send(s->conn, data) == 0)) {
		if (v != NULL)
			tcp_consumed(v->conn, len);
		return;
	}
	len = pipe_push(p, &s->out, data);
	if (v != NULL)
		tcp_returned(v->conn, len);
}

void
response_pump(struct session *s)
{
	struct server *v = server_of(s);

	if (s->out.bytes > 0 && relay_pump(s->proxy, &s->out, s->conn,
					v == NULL ? NULL : v->conn) > 0)
		deadline_set(s, service_of(s)->conf.idle_ms);
	if ((s->x.flags & EXCHANGE_ANSWERED) && s->out.bytes == 0)
		exchange_end(s);
}

/* --- the body ------------------------------------------------------------ */

static void
bad(struct session *s)
{
	server_stats(s->proxy, s->x.backend)->errors++;
	answer_error(s, 502, HTTP_ERR_BAD_RESPONSE, true);
}

/* The data of a chunked body alone, copied. < 0: malformed. */
static int
dechunk(struct session *s, const char *data, size_t len)
{
	struct proxy *p = s->proxy;
	size_t used;
	int rc = 0;

	for (size_t at = 0; rc == 0 && at < len; at += used) {
		struct rte_mbuf *m;
		bool is_data;

		rc = http_body_piece(&s->x.from_backend, data + at, len - at,
			&used, &is_data);
		if (rc < 0)
			return rc;
		if (!is_data || used == 0) {
			tcp_consumed(server_of(s)->conn, (uint32_t)used);
			continue;
		}
		m = relay_copy(p, data + at, used);
		if (m == NULL)
			return -ENOBUFS;
		response_send(s, m);
	}
	return rc;
}

/*
 * One mbuf, whose first `head` bytes are the new head. Owns it. Behind the
 * response's end there should be nothing.
 */
static void
body(struct session *s, struct rte_mbuf *m, uint32_t head)
{
	struct exchange *x = &s->x;
	const char *data = rte_pktmbuf_mtod_offset(m, const char *, head);
	uint32_t len = m->data_len - head;
	size_t used = 0;
	int rc;

	if (x->flags & EXCHANGE_DECHUNK) {
		rc = dechunk(s, data, len);
		rte_pktmbuf_free(m);
		m = NULL;
	} else {
		rc = http_body_feed(&x->from_backend, data, len, &used);
	}
	if (unlikely(rc < 0)) {
		rte_pktmbuf_free(m);
		bad(s);
		return;
	}
	x->flags |= EXCHANGE_HEADED;
	if (m != NULL) {
		if (unlikely(used < len)) {
			x->flags |= EXCHANGE_ODD;
			m->data_len = (uint16_t)(head + used);
			m->pkt_len = m->data_len;
		}
		response_send(s, m);
	}
	if (rc == 1)
		x->flags |= EXCHANGE_ANSWERED;
	else
		deadline_set(s, service_of(s)->conf.idle_ms);
}

/* --- the head ------------------------------------------------------------ */

/* A line that sets the cookie, if the client should have one; its length. */
static size_t
cookie_line(struct session *s, char *out)
{
	const struct proxy *p = s->proxy;
	const struct backend *b = &p->backend[s->x.backend];
	const struct grant_group *g;

	if (!b->live || s->x.group == PROXY_NONE || s->x.cookie == b->cookie)
		return 0;
	g = &p->env->grant->groups[s->x.group];
	if (g->cookie.len == 0)
		return 0;
	return cookie_set(grant_text(p->env->grant, g->cookie), g->cookie.len,
		b->cookie, out);
}

/* The new head to p->scratch. Its length, or 0. */
static size_t
write_head(struct session *s, const struct head_reading *r, enum http_conn conn)
{
	struct proxy *p = s->proxy;
	char cookie[COOKIE_LINE_MAX];
	struct http_write w = { .conn = (uint8_t)conn,
		.peer_minor = s->x.minor,
		.dechunk = s->x.flags & EXCHANGE_DECHUNK,
		.cookie = cookie };
	ssize_t n;

	if (r->parser->head.status >= 200)
		w.cookie_len = (uint32_t)cookie_line(s, cookie);
	n = http_write_response(
		r->parser, r->buf, &w, p->scratch, sizeof(p->scratch));
	return n > 0 ? (size_t)n : 0;
}

/* Is there room for the new head in the mbuf of the old one? */
static bool
fits(struct rte_mbuf *m, const struct head_reading *r, size_t n)
{
	return r->in_place && RTE_MBUF_DIRECT(m) &&
	       rte_mbuf_refcnt_read(m) == 1 &&
	       m->data_off + (size_t)r->parser->head.len >= n + HEADERS_ROOM;
}

/*
 * The head in p->scratch[0..n) goes to the client; before what follows it in
 * its mbuf, if it can (then that was the first piece of the body).
 */
static int
send_head(struct session *s, struct pipe *q, const struct head_reading *r,
	size_t n)
{
	struct proxy *p = s->proxy;
	uint16_t old = r->parser->head.len;
	struct rte_mbuf *m = q->first;

	if (likely(fits(m, r, n)) && !(s->x.flags & EXCHANGE_DECHUNK)) {
		/* As much as goes on is given back when it does. */
		if (old > n)
			tcp_consumed(r->conn, old - (uint32_t)n);
		m = pipe_pop(p, q);
		m->data_off = (uint16_t)(m->data_off + old - n);
		m->data_len = (uint16_t)(m->data_len + n - old);
		m->pkt_len = m->data_len;
		memcpy(rte_pktmbuf_mtod(m, char *), p->scratch, n);
		body(s, m, (uint32_t)n);
		return 0;
	}
	m = relay_copy(p, p->scratch, n);
	if (m == NULL)
		return -ENOBUFS;
	head_done(s, q, r);
	s->x.flags |= EXCHANGE_HEADED;
	response_send(s, m);
	if (http_body_ends(&s->x.from_backend) &&
		s->x.from_backend.framing < HTTP_BODY_CLOSE)
		s->x.flags |= EXCHANGE_ANSWERED;
	else
		deadline_set(s, service_of(s)->conf.idle_ms);
	return 0;
}

static void
count_response(struct session *s, uint16_t status)
{
	struct exchange *x = &s->x;
	struct stats_server *stats = server_stats(s->proxy, x->backend);

	x->status = status;
	x->heard_us = s->proxy->now_us;
	stats->requests++;
	stats->reused += (x->flags & EXCHANGE_REUSED) != 0;
	if (x->flags & EXCHANGE_ASKED)
		stats->response_us += x->heard_us - x->asked_us;
}

static void
final(struct session *s, struct pipe *q, const struct head_reading *r)
{
	const struct http_head *h = &r->parser->head;
	struct exchange *x = &s->x;
	struct http_relay how;
	enum http_conn conn;
	size_t n;

	http_relay(h, x->minor, &how);
	http_body_init(&x->from_backend, h, 0);
	if (how.dechunk)
		x->flags |= EXCHANGE_DECHUNK;
	/* What the client is still sending is of no use any more. */
	if (how.must_close || !(x->flags & EXCHANGE_ASKED) ||
		!service_of(s)->live)
		x->flags &= (uint16_t)~EXCHANGE_KEEP;
	if (!h->keep_alive || !(x->flags & EXCHANGE_ASKED))
		x->flags |= EXCHANGE_ODD;
	conn = h->framing == HTTP_BODY_TUNNEL ? HTTP_CONN_UPGRADE
	       : x->flags & EXCHANGE_KEEP     ? HTTP_CONN_KEEP
					      : HTTP_CONN_CLOSE;
	count_response(s, h->status);
	n = write_head(s, r, conn);
	if (n == 0 || send_head(s, q, r, n) != 0)
		bad(s);
}

/* 1xx: passed on, but to those who do not know it. */
static void
interim(struct session *s, struct pipe *q, const struct head_reading *r)
{
	struct http_relay how;
	struct rte_mbuf *m = NULL;
	size_t n = 0;

	http_relay(&r->parser->head, s->x.minor, &how);
	if (++s->x.interims > INTERIMS_MAX) {
		bad(s);
		return;
	}
	if (!how.skip) {
		n = write_head(s, r, HTTP_CONN_KEEP);
		m = n > 0 ? relay_copy(s->proxy, s->proxy->scratch, n) : NULL;
	}
	head_done(s, q, r);
	if (m != NULL)
		response_send(s, m);
	else if (!how.skip)
		bad(s);
}

/* true: there may be more. */
static bool
head(struct session *s, struct pipe *q)
{
	struct exchange *x = &s->x;
	const struct http_asked asked = { .method = x->method,
		.upgrade = x->flags & EXCHANGE_UPGRADE };
	struct head_reading r = { .kind = HTTP_KIND_RESPONSE,
		.asked = &asked,
		.conn = server_of(s)->conn };
	int rc = head_read(s, q, &r);

	if (rc == -EAGAIN)
		return false;
	if (unlikely(rc != 0)) {
		bad(s);
		return false;
	}
	if (unlikely(r.parser->head.status < 200) &&
		r.parser->head.framing != HTTP_BODY_TUNNEL)
		interim(s, q, &r);
	else
		final(s, q, &r);
	return true;
}

/* --- all of it ----------------------------------------------------------- */

static bool
is_waiting(const struct session *s)
{
	return s->state == SESSION_BUSY && s->server != PROXY_NONE &&
	       !(s->x.flags & EXCHANGE_ANSWERED);
}

/* What follows a 101 is no HTTP. */
static void
becomes_tunnel(struct session *s, struct pipe *q)
{
	struct rte_mbuf *m;

	while ((m = pipe_pop(s->proxy, q)) != NULL)
		pipe_push(s->proxy, &s->out, m);
	tunnel_begin(s);
}

static bool
is_tunnel(const struct session *s)
{
	return is_waiting(s) && (s->x.flags & EXCHANGE_HEADED) &&
	       s->x.from_backend.framing == HTTP_BODY_TUNNEL;
}

void
response_input(struct session *s, struct rte_mbuf *data)
{
	struct proxy *p = s->proxy;
	struct pipe q = { 0 };

	if (unlikely(relay_flooded(p, &s->out))) {
		rte_pktmbuf_free(data);
		session_drop(s);
		return;
	}
	pipe_push(p, &q, data);
	s->x.flags |= EXCHANGE_HEARD;
	while (q.bytes > 0 && is_waiting(s) && !is_tunnel(s)) {
		if (s->x.flags & EXCHANGE_HEADED)
			body(s, pipe_pop(p, &q), 0);
		else if (!head(s, &q))
			break;
	}
	if (is_tunnel(s))
		becomes_tunnel(s, &q);
	else if (s->state == SESSION_BUSY && s->server != PROXY_NONE &&
		 (s->x.flags & EXCHANGE_ANSWERED)) {
		if (q.bytes > 0)
			s->x.flags |= EXCHANGE_ODD;
		response_end(s);
	}
	pipe_clear(p, &q);
}

bool
response_ends(struct session *s)
{
	struct exchange *x = &s->x;

	if (!(x->flags & EXCHANGE_HEADED) || !http_body_ends(&x->from_backend))
		return false;
	x->flags |= EXCHANGE_ANSWERED;
	response_end(s);
	return true;
}

void
response_end(struct session *s)
{
	struct exchange *x = &s->x;
	struct server *v = server_of(s);

	if (!(x->flags & EXCHANGE_ODD) && !v->fin)
		server_put(s);
	else
		server_end(s, !(x->flags & EXCHANGE_ASKED));
	if (s->out.bytes == 0)
		exchange_end(s);
}
