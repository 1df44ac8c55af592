/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Clients' connections: what happens on them, and what is read of them while
 * no request is under way. See proxy.h for the states.
 */
#include <errno.h>
#include <string.h>

#include "nf/proxy/head.h"
#include "nf/proxy/proxyproto.h"

/* --- begin and end ------------------------------------------------------- */

static void
count(struct session *s, int n)
{
	struct proxy *p = s->proxy;
	struct service *v = service_of(s);

	v->conns += (uint32_t)n;
	v->counts->connections = v->conns;
	p->sessions += (uint32_t)n;
	p->env->stats->connections = p->sessions;
}

static void
name_client(struct session *s, struct tcp_conn *c)
{
	struct tcp_info info;

	tcp_info(c, &info);
	s->client = info.remote;
	s->client_port = info.rport;
	s->local = info.local;
	s->local_port = info.lport;
}

static struct session *
create(struct service *v, struct tcp_conn *c)
{
	struct proxy *p = v->proxy;
	uint32_t i = p->free_session;
	struct session *s = &p->session[i];

	p->free_session = s->lingered;
	memset(s, 0, sizeof(*s));
	s->proxy = p;
	s->conn = c;
	s->service = (uint16_t)(v - p->service);
	s->server = s->head = PROXY_NONE;
	name_client(s, c);
	count(s, 1);
	p->env->stats->opened++;
	v->counts->opened++;
	return s;
}

static void *
accepted(void *listener, struct tcp_conn *c)
{
	struct service *v = listener;
	struct session *s;

	if (v->conns >= v->conf.max_connections ||
		v->proxy->free_session == PROXY_NONE) {
		v->http->limited++;
		return NULL;
	}
	s = create(v, c);
	if (v->conf.proxy_protocol != GRANT_PROXY_NONE)
		s->state = SESSION_PREFACE;
	else if (v->conf.mode == GRANT_MODE_TCP)
		tunnel_open(s);
	else
		s->state = SESSION_IDLE;
	if (s->state != SESSION_TUNNEL && s->state != SESSION_FREE)
		deadline_set(s, v->conf.header_ms);
	return s->state == SESSION_FREE ? NULL : s;
}

void
session_free(struct session *s)
{
	struct proxy *p = s->proxy;

	server_end(s, true);
	head_drop(s);
	deadline_end(s);
	pipe_clear(p, &s->in);
	pipe_clear(p, &s->out);
	exchange_forget(s);
	count(s, -1);
	s->state = SESSION_FREE;
	s->conn = NULL;
	s->lingered = p->free_session;
	p->free_session = (uint32_t)(s - p->session);
}

/* What still comes is taken, so that the window does not stop the client from
 * reading what we have said. */
static void
throw_away(struct session *s)
{
	uint32_t n = s->in.bytes;

	pipe_clear(s->proxy, &s->in);
	tcp_consumed(s->conn, n);
	s->lingered += n;
	if (s->lingered > LINGER_BYTES)
		session_abort(s);
}

void
session_close(struct session *s, bool linger)
{
	struct tcp_conn *c = s->conn;

	if (c == NULL) {
		session_free(s);
		return;
	}
	head_drop(s);
	if (linger && !(s->flags & SESSION_FIN)) {
		tcp_shutdown(c);
		s->state = SESSION_LINGER;
		s->lingered = 0;
		deadline_set(s, LINGER_MS);
		return;
	}
	tcp_close(c);
	session_free(s);
}

void
session_abort(struct session *s)
{
	if (s->conn != NULL)
		tcp_abort(s->conn);
	session_free(s);
}

void
session_drop(struct session *s)
{
	if (s->state == SESSION_BUSY || s->state == SESSION_HEAD)
		exchange_drop(s, HTTP_ERR_CLIENT_GONE);
	session_abort(s);
}

/* --- the PROXY protocol -------------------------------------------------- */

static void
preface_done(struct session *s, const struct proxyproto *pp)
{
	if (pp->known) {
		s->client = pp->src;
		s->client_port = pp->sport;
		s->local = pp->dst;
		s->local_port = pp->dport;
	}
	if (pp->tls)
		s->flags |= SESSION_TLS;
	if (service_of(s)->conf.mode == GRANT_MODE_TCP)
		tunnel_open(s);
	else
		s->state = SESSION_IDLE;
}

/* All that is there, as one piece: in the first mbuf or, once it was not
 * enough, in a buffer. */
static ssize_t
preface_parse(struct session *s, struct proxyproto *pp)
{
	uint8_t accept = service_of(s)->conf.proxy_protocol;
	const uint8_t *bytes;
	const char *why;
	ssize_t n;
	uint32_t len;
	int rc;

	if (s->head == PROXY_NONE) {
		const struct rte_mbuf *m = pipe_peek(s->proxy, &s->in);

		n = proxyproto_parse(rte_pktmbuf_mtod(m, const void *),
			m->data_len, accept, pp, &why);
		if (n > 0) {
			tcp_consumed(s->conn, (uint32_t)n);
			pipe_strip(s->proxy, &s->in, (uint32_t)n);
		}
		if (n != -EAGAIN)
			return n;
	}
	rc = head_gather(s, &s->in, s->conn);
	if (rc != 0)
		return rc;
	bytes = head_bytes(s, &len);
	n = proxyproto_parse(bytes, len, accept, pp, &why);
	if (n > 0)
		rc = head_return(s, &s->in, (uint32_t)n);
	return rc != 0 ? rc : n;
}

/* true: there may be more to do. */
static bool
preface_read(struct session *s)
{
	struct proxyproto pp;
	ssize_t n = -EAGAIN;

	if (s->in.bytes > 0)
		n = preface_parse(s, &pp);
	if (n > 0) {
		preface_done(s, &pp);
		return true;
	}
	if (n != -EAGAIN || (s->flags & SESSION_FIN))
		session_drop(s);
	return false;
}

/* --- the head of a request ----------------------------------------------- */

static bool
request_waits(struct session *s)
{
	const struct grant_proxy *conf = &service_of(s)->conf;

	if (s->flags & SESSION_FIN) {
		answer_error(s, 400, HTTP_ERR_BAD_REQUEST, false);
		return false;
	}
	if (s->state == SESSION_IDLE && s->requests > 0)
		deadline_set(s, conf->header_ms);
	s->state = SESSION_HEAD;
	return false;
}

static bool
request_bad(struct session *s, const struct http_error *e)
{
	enum stats_http_error error = HTTP_ERR_BAD_REQUEST;

	if (e->status == 413)
		error = HTTP_ERR_TOO_LARGE;
	else if (e->status == 431 || e->status == 414)
		error = HTTP_ERR_HEADERS;
	answer_error(s, e->status, error, false);
	return false;
}

/* true: there may be more to do. */
static bool
request_read(struct session *s)
{
	struct head_reading r = { .kind = HTTP_KIND_REQUEST, .conn = s->conn };
	int rc;

	if (s->in.bytes == 0) {
		if (s->state == SESSION_HEAD && (s->flags & SESSION_FIN))
			return request_waits(s);
		if (s->flags & SESSION_FIN)
			session_close(s, false);
		return false;
	}
	if (s->state == SESSION_IDLE)
		exchange_reset(s);
	rc = head_read(s, &s->in, &r);
	if (rc == -EAGAIN)
		return request_waits(s);
	if (likely(rc == 0)) {
		exchange_begin(s, &r);
		return true;
	}
	s->state = SESSION_HEAD;
	if (rc == -EBADMSG)
		return request_bad(s, &r.parser->error);
	answer_error(s, 503, HTTP_ERR_HEADERS, false);
	return false;
}

/* --- what happens on the connection -------------------------------------- */

/* One step; true: look again. */
static bool
step(struct session *s)
{
	switch (s->state) {
	case SESSION_PREFACE:
		return preface_read(s);
	case SESSION_IDLE:
	case SESSION_HEAD:
		return request_read(s);
	case SESSION_BUSY:
		exchange_pump(s);
		return s->state == SESSION_IDLE;
	case SESSION_TUNNEL:
		tunnel_pump(s);
		return false;
	case SESSION_LINGER:
		throw_away(s);
		return false;
	default:
		return false;
	}
}

void
session_run(struct session *s)
{
	while (step(s))
		;
}

static void
received(struct tcp_conn *c, void *user, struct rte_mbuf *data)
{
	struct session *s = user;

	if (unlikely(relay_flooded(s->proxy, &s->in))) {
		rte_pktmbuf_free(data);
		session_drop(s);
		return;
	}
	tcp_returned(c, pipe_push(s->proxy, &s->in, data));
	session_run(s);
}

static void
finished(struct tcp_conn *c, void *user)
{
	struct session *s = user;

	(void)c;
	s->flags |= SESSION_FIN;
	if (s->state == SESSION_LINGER)
		session_close(s, false);
	else
		session_run(s);
}

static void
room(struct tcp_conn *c, void *user)
{
	struct session *s = user;

	(void)c;
	if (s->state == SESSION_BUSY)
		response_pump(s);
	if (s->state != SESSION_FREE)
		session_run(s);
}

static void
closed(struct tcp_conn *c, void *user, int error)
{
	struct session *s = user;

	(void)c;
	s->conn = NULL;
	if (s->state == SESSION_TUNNEL) {
		tunnel_client_gone(s, error);
		return;
	}
	if (s->state == SESSION_BUSY || s->state == SESSION_HEAD)
		exchange_drop(s, HTTP_ERR_CLIENT_GONE);
	session_free(s);
}

const struct tcp_ops session_ops = {
	.accepted = accepted,
	.received = received,
	.finished = finished,
	.room = room,
	.closed = closed,
};
