/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A request, from its head to its last byte, and what becomes of it when a
 * backend fails.
 *
 * It is said again to another connection in two cases only, for then nobody
 * can have acted on it: the connection did not come about; or it was an idle
 * one, closed before a byte of an answer, and the request is idempotent and
 * without a body (RFC 9112 section 9.3.1). For the second case the head is
 * kept as it came, which is also where the log's texts are.
 */
#include <errno.h>
#include <string.h>

#include "nf/proxy/cookie.h"
#include "nf/proxy/head.h"
#include "nf/proxy/route.h"

void
exchange_reset(struct session *s)
{
	struct exchange *x = &s->x;

	memset(x, 0, sizeof(*x));
	x->group = x->backend = x->except = PROXY_NONE;
	x->began_us = s->proxy->now_us;
}

static bool
is_idempotent(uint8_t method)
{
	switch (method) {
	case HTTP_GET:
	case HTTP_HEAD:
	case HTTP_OPTIONS:
	case HTTP_TRACE:
	case HTTP_PUT:
	case HTTP_DELETE:
		return true;
	default:
		return false;
	}
}

/* Is all of the request here, or has gone through? */
static bool
is_taken(const struct exchange *x)
{
	return x->from_client.framing == HTTP_BODY_NONE ||
	       (x->flags & EXCHANGE_ASKED);
}

/* --- the head ------------------------------------------------------------ */

static const struct grant_group *
group_of(const struct session *s)
{
	return &s->proxy->env->grant->groups[s->x.group];
}

static void
take_head(struct session *s, const struct head_reading *r)
{
	const struct service *v = service_of(s);
	const struct grant_proxy *conf = &v->conf;
	const struct http_head *h = &r->parser->head;
	const struct grant *g = s->proxy->env->grant;
	struct exchange *x = &s->x;
	const struct grant_group *group;

	x->headed_us = s->proxy->now_us;
	x->method = h->method;
	x->minor = h->minor;
	x->bytes_in = h->len;
	s->requests++;
	if (!h->keep_alive)
		x->flags |= EXCHANGE_LAST;
	else if (v->live &&
		 (conf->max_requests == 0 || s->requests < conf->max_requests))
		x->flags |= EXCHANGE_KEEP;
	if (h->upgrade)
		x->flags |= EXCHANGE_UPGRADE;
	if (h->framing == HTTP_BODY_NONE && is_idempotent(h->method) &&
		!h->upgrade)
		x->flags |= EXCHANGE_SAFE;
	http_body_init(&x->from_client, h, conf->max_body);
	if (!v->live)
		return;
	x->group = route_find(g, v->stat, h, r->buf);
	group = &g->groups[x->group];
	if (group->cookie.len > 0)
		x->cookie = cookie_find(r->parser, r->buf,
			grant_text(g, group->cookie), group->cookie.len);
	/* Who the client is was said at its beginning: it is for no other. */
	if (group->proxy_protocol != GRANT_PROXY_NONE || group->max_idle == 0)
		x->flags |= EXCHANGE_ODD;
}

static enum http_conn
conn_of(const struct exchange *x)
{
	if (x->flags & EXCHANGE_UPGRADE)
		return HTTP_CONN_UPGRADE;
	return x->flags & EXCHANGE_ODD ? HTTP_CONN_CLOSE : HTTP_CONN_KEEP;
}

static const struct http_client *
client_of(struct session *s, uint16_t flags)
{
	if (!(flags & (GRANT_F_FORWARDED_FOR | GRANT_F_FORWARDED)))
		return NULL;
	if (!(s->flags & SESSION_NAMED)) {
		http_client_init(&s->who, &s->client, s->local_port);
		s->who.tls = s->flags & SESSION_TLS;
		s->flags |= SESSION_NAMED;
	}
	return &s->who;
}

/* The head as it goes on, into x->request. */
static int
write_head(struct session *s, const struct http_parser *h, const char *buf)
{
	struct proxy *p = s->proxy;
	const struct grant *g = p->env->grant;
	const struct grant_group *group = group_of(s);
	uint16_t flags = service_of(s)->conf.flags;
	struct http_write w = { .conn = (uint8_t)conn_of(&s->x),
		.flags = flags,
		.client = client_of(s, flags),
		.cookie = grant_text(g, group->cookie),
		.cookie_len = group->cookie.len };
	struct rte_mbuf *m = rte_pktmbuf_alloc(p->env->pool);
	ssize_t n;

	if (m == NULL)
		return -ENOBUFS;
	n = http_write_request(h, buf, &w, rte_pktmbuf_mtod(m, char *),
		rte_pktmbuf_tailroom(m));
	if (likely(n > 0)) {
		m->data_len = (uint16_t)n;
		m->pkt_len = (uint32_t)n;
		s->x.request = m;
		return 0;
	}
	rte_pktmbuf_free(m);
	n = http_write_request(h, buf, &w, p->scratch, sizeof(p->scratch));
	if (n < 0)
		return (int)n;
	s->x.request = relay_copy(p, p->scratch, (size_t)n);
	return s->x.request == NULL ? -ENOBUFS : 0;
}

/*
 * Take the head out of where it lies, and keep it if it may be needed again:
 * mostly it is all of its mbuf, which is then kept as it is. Not when very
 * many are: the request is not said again then, and its line has no texts.
 */
static void
keep_head(struct session *s, const struct head_reading *r)
{
	struct exchange *x = &s->x;
	struct proxy *p = s->proxy;
	uint32_t len = r->parser->head.len;

	if (service_of(s)->conf.retries == 0 || p->kept >= p->max_kept)
		x->flags &= (uint16_t)~EXCHANGE_SAFE;
	if ((!(x->flags & EXCHANGE_SAFE) && !report_logs(s)) ||
		p->kept >= p->max_kept) {
		head_done(s, &s->in, r);
		return;
	}
	report_texts(x, r->parser);
	if (r->in_place && s->in.first->data_len == len) {
		x->kept = pipe_pop(p, &s->in);
		tcp_consumed(s->conn, len);
	} else {
		x->kept = relay_copy(p, r->buf, len);
		if (x->kept == NULL)
			x->flags &= (uint16_t)~EXCHANGE_SAFE;
		head_done(s, &s->in, r);
	}
	if (x->kept != NULL)
		p->kept += x->kept->nb_segs;
}

void
exchange_forget(struct session *s)
{
	struct exchange *x = &s->x;

	if (x->kept != NULL)
		s->proxy->kept -= x->kept->nb_segs;
	rte_pktmbuf_free(x->request);
	rte_pktmbuf_free(x->kept);
	x->request = x->kept = NULL;
}

/* --- sending ------------------------------------------------------------- */

static void
asked(struct session *s)
{
	s->x.flags |= EXCHANGE_ASKED;
	s->x.asked_us = s->proxy->now_us;
	deadline_set(s, service_of(s)->conf.response_ms);
}

static void
send_head(struct session *s)
{
	struct exchange *x = &s->x;
	struct server *v = server_of(s);
	int rc = 0;

	x->connected_us = s->proxy->now_us;
	if (!(x->flags & EXCHANGE_REUSED))
		rc = server_preface(s);
	if (rc == 0)
		rc = tcp_send(v->conn, x->request);
	if (unlikely(rc != 0)) {
		answer_error(s, 503, HTTP_ERR_NO_BACKEND, true);
		return;
	}
	x->request = NULL;
	x->flags |= EXCHANGE_SENT;
	if (x->from_client.framing == HTTP_BODY_NONE)
		asked(s);
	else
		deadline_set(s, service_of(s)->conf.idle_ms);
}

/* One more try is allowed, and counted. */
static bool
tries_again(struct session *s)
{
	struct exchange *x = &s->x;

	if (x->retries >= service_of(s)->conf.retries)
		return false;
	x->retries++;
	service_of(s)->http->retries++;
	return true;
}

static void
find_backend(struct session *s)
{
	struct exchange *x = &s->x;

	do {
		uint32_t slot = upstream_pick(s);

		if (slot == PROXY_NONE)
			break;
		x->backend = slot;
		if (!(x->flags & EXCHANGE_FRESH) &&
			!(x->flags & EXCHANGE_ODD) &&
			server_take(s, slot) != NULL) {
			x->flags |= EXCHANGE_REUSED;
			send_head(s);
			return;
		}
		/* From here on the stack watches the time. */
		deadline_set(s, 0);
		if (server_connect(s, slot) == 0)
			return;
		x->except = slot;
	} while (tries_again(s));
	answer_error(s, 503, HTTP_ERR_NO_BACKEND, true);
}

void
exchange_begin(struct session *s, const struct head_reading *r)
{
	s->state = SESSION_BUSY;
	take_head(s, r);
	if (unlikely(s->x.group == PROXY_NONE)) {
		head_done(s, &s->in, r);
		answer_error(s, 503, HTTP_ERR_NO_BACKEND, false);
		return;
	}
	if (unlikely(write_head(s, r->parser, r->buf) != 0)) {
		head_done(s, &s->in, r);
		answer_error(s, 503, HTTP_ERR_NO_BACKEND, false);
		return;
	}
	keep_head(s, r);
	find_backend(s);
}

void
exchange_connected(struct session *s)
{
	send_head(s);
}

void
exchange_not_connected(struct session *s, int error)
{
	(void)error;
	s->x.except = s->x.backend;
	if (tries_again(s))
		find_backend(s);
	else
		answer_error(s, 503, HTTP_ERR_NO_BACKEND, true);
}

/* --- the body ------------------------------------------------------------ */

static void
bad_body(struct session *s, int rc)
{
	bool large = rc == -EFBIG;

	answer_error(s, large ? 413 : 400,
		large ? HTTP_ERR_TOO_LARGE : HTTP_ERR_BAD_REQUEST, false);
}

/* What is behind the request's end goes back: it is the next one's. */
static int
split(struct session *s, struct rte_mbuf *m, size_t used)
{
	struct rte_mbuf *rest = relay_copy(s->proxy,
		rte_pktmbuf_mtod_offset(m, char *, used), m->data_len - used);

	if (rest == NULL)
		return -ENOBUFS;
	pipe_unpop(s->proxy, &s->in, rest);
	m->data_len = (uint16_t)used;
	m->pkt_len = (uint32_t)used;
	return 0;
}

/* One mbuf of the body; false: it was the last, or the exchange is over. */
static bool
pump_one(struct session *s, struct server *v)
{
	struct exchange *x = &s->x;
	struct rte_mbuf *m = pipe_pop(s->proxy, &s->in);
	size_t used;
	int rc;

	if (m == NULL)
		return false;
	rc = http_body_feed(&x->from_client, rte_pktmbuf_mtod(m, char *),
		m->data_len, &used);
	if (unlikely(used < m->data_len) && rc == 1 && split(s, m, used) != 0)
		rc = -ENOBUFS;
	if (unlikely(rc < 0)) {
		rte_pktmbuf_free(m);
		bad_body(s, rc);
		return false;
	}
	x->bytes_in += used;
	tcp_consumed(s->conn, (uint32_t)used);
	/* A backend that has closed is heard of by itself. */
	if (tcp_send(v->conn, m) != 0)
		rte_pktmbuf_free(m);
	if (rc == 1)
		asked(s);
	else
		deadline_set(s, service_of(s)->conf.idle_ms);
	return rc == 0;
}

void
exchange_pump(struct session *s)
{
	struct exchange *x = &s->x;
	struct server *v = server_of(s);

	if ((x->flags & (EXCHANGE_SENT | EXCHANGE_ASKED)) == EXCHANGE_SENT &&
		v != NULL)
		while (s->in.bytes > 0 && relay_room(s->proxy, v->conn) &&
			pump_one(s, v))
			;
	if (s->state == SESSION_BUSY && unlikely(s->flags & SESSION_FIN) &&
		s->in.bytes == 0 && !is_taken(x) &&
		!(x->flags & EXCHANGE_ANSWERED))
		answer_error(s, 400, HTTP_ERR_CLIENT_GONE, false);
}

/* --- what goes wrong ----------------------------------------------------- */

/* Make the head once more, from what was kept of it. */
static int
make_again(struct session *s)
{
	struct proxy *p = s->proxy;
	struct rte_mbuf *m = s->x.kept;
	const char *buf = rte_pktmbuf_read(m, 0, m->pkt_len, p->flat);

	if (buf == NULL)
		return -EMSGSIZE;
	http_parser_init(&p->parser, HTTP_KIND_REQUEST, NULL, NULL);
	if (http_parse(&p->parser, buf, m->pkt_len) != 0)
		return -EBADMSG;
	return write_head(s, &p->parser, buf);
}

static bool
may_repeat(struct session *s)
{
	const uint16_t want = EXCHANGE_REUSED | EXCHANGE_SAFE;
	struct exchange *x = &s->x;

	return (x->flags & (want | EXCHANGE_HEARD)) == want &&
	       x->group != PROXY_NONE && tries_again(s);
}

void
exchange_lost(struct session *s, int error)
{
	struct exchange *x = &s->x;

	(void)error;
	if (may_repeat(s)) {
		server_end(s, true);
		x->flags &= (uint16_t) ~(
			EXCHANGE_SENT | EXCHANGE_ASKED | EXCHANGE_REUSED);
		x->flags |= EXCHANGE_FRESH;
		if (make_again(s) == 0) {
			find_backend(s);
			return;
		}
	}
	server_stats(s->proxy, x->backend)->errors++;
	answer_error(s, 502,
		x->flags & EXCHANGE_HEADED ? HTTP_ERR_CUT
					   : HTTP_ERR_BAD_RESPONSE,
		true);
}

void
exchange_late(struct session *s)
{
	struct exchange *x = &s->x;

	if (!(x->flags & EXCHANGE_ASKED) && s->in.bytes == 0 &&
		!(x->flags & EXCHANGE_HEADED)) {
		answer_error(s, 408, HTTP_ERR_TIMEOUT, false);
		return;
	}
	if (s->out.bytes > 0 || (x->flags & EXCHANGE_ANSWERED)) {
		/* The client does not read. */
		session_drop(s);
		return;
	}
	server_stats(s->proxy, x->backend)->errors++;
	answer_error(s, 504,
		x->flags & EXCHANGE_HEADED ? HTTP_ERR_CUT
					   : HTTP_ERR_SLOW_BACKEND,
		true);
}

/* --- the end ------------------------------------------------------------- */

void
exchange_end(struct session *s)
{
	struct exchange *x = &s->x;
	bool linger;

	report_end(s);
	exchange_forget(s);
	if (likely(x->flags & EXCHANGE_KEEP)) {
		s->state = SESSION_IDLE;
		deadline_set(s, service_of(s)->conf.idle_ms);
		return;
	}
	if (x->flags & EXCHANGE_CUT) {
		session_abort(s);
		return;
	}
	linger = !(x->flags & EXCHANGE_LAST) || !is_taken(x) || s->in.bytes > 0;
	session_close(s, linger);
}

void
exchange_drop(struct session *s, enum stats_http_error why)
{
	report_error(s, why);
	report_end(s);
	server_end(s, true);
}
