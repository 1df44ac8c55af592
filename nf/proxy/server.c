/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Connections to backends.
 *
 *          server_connect()        connected()
 *   FREE -------------> CONNECTING -----------> BUSY <---+ server_take()
 *     ^                     |                    |  |    |
 *     |      closed()       |     server_end()   |  +--> IDLE
 *     +---------------------+--------------------+  server_put()
 *
 * The idle ones of a backend are a list, the latest first: that is the one
 * whose window is open widest, and that the backend will close last. Those at
 * the list's end are so closed by age when there is less to do.
 */
#include <errno.h>

#include "nf/proxy/proxy.h"
#include "nf/proxy/proxyproto.h"

static void
unlink_idle(struct proxy *p, struct server *v)
{
	struct backend *b = &p->backend[v->backend];

	if (v->prev == PROXY_NONE)
		b->idle_first = v->next;
	else
		p->server[v->prev].next = v->next;
	if (v->next == PROXY_NONE)
		b->idle_last = v->prev;
	else
		p->server[v->next].prev = v->prev;
	b->n_idle--;
	server_stats(p, v->backend)->idle = b->n_idle;
}

static void
push_idle(struct proxy *p, struct server *v)
{
	struct backend *b = &p->backend[v->backend];
	uint32_t self = (uint32_t)(v - p->server);

	v->prev = PROXY_NONE;
	v->next = b->idle_first;
	if (b->idle_first == PROXY_NONE)
		b->idle_last = self;
	else
		p->server[b->idle_first].prev = self;
	b->idle_first = self;
	b->n_idle++;
	server_stats(p, v->backend)->idle = b->n_idle;
}

/* Free the entry. Its connection has gone. */
static void
release(struct server *v)
{
	struct proxy *p = v->proxy;

	if (v->state == SERVER_IDLE)
		unlink_idle(p, v);
	v->state = SERVER_FREE;
	v->conn = NULL;
	v->session = PROXY_NONE;
	v->next = p->free_server;
	p->free_server = (uint32_t)(v - p->server);
	p->servers--;
	upstream_conns(p, v->backend, -1);
}

static void
close_idle(struct proxy *p, uint32_t i)
{
	struct server *v = &p->server[i];

	tcp_close(v->conn);
	release(v);
}

/* --- what happens on them ------------------------------------------------ */

static void
connected(struct tcp_conn *c, void *user)
{
	struct server *v = user;
	struct session *s = session_of(v);

	(void)c;
	v->state = SERVER_BUSY;
	upstream_works(v->proxy, v->backend);
	if (s->state == SESSION_TUNNEL)
		tunnel_connected(s);
	else
		exchange_connected(s);
	if (s->state != SESSION_FREE)
		session_run(s);
}

static void
received(struct tcp_conn *c, void *user, struct rte_mbuf *data)
{
	struct server *v = user;
	struct session *s = session_of(v);

	if (unlikely(s == NULL)) {
		/* Nobody has asked: what comes next is not to be believed. */
		rte_pktmbuf_free(data);
		server_stats(v->proxy, v->backend)->errors++;
		tcp_abort(c);
		release(v);
		return;
	}
	if (s->state == SESSION_TUNNEL)
		tunnel_input(s, data);
	else
		response_input(s, data);
	if (s->state != SESSION_FREE)
		session_run(s);
}

static void
finished(struct tcp_conn *c, void *user)
{
	struct server *v = user;
	struct session *s = session_of(v);

	v->fin = true;
	if (s == NULL) {
		tcp_close(c);
		release(v);
		return;
	}
	if (s->state == SESSION_TUNNEL)
		tunnel_pump(s);
	else if (!response_ends(s))
		exchange_lost(s, 0);
	if (s->state != SESSION_FREE)
		session_run(s);
}

static void
room(struct tcp_conn *c, void *user)
{
	struct server *v = user;
	struct session *s = session_of(v);

	(void)c;
	if (s != NULL)
		session_run(s);
}

/* While it was connecting. */
static void
failed(struct session *s, uint32_t slot, int error)
{
	upstream_failed(s->proxy, slot);
	if (s->state == SESSION_TUNNEL)
		tunnel_not_connected(s, error);
	else
		exchange_not_connected(s, error);
}

static void
closed(struct tcp_conn *c, void *user, int error)
{
	struct server *v = user;
	struct session *s = session_of(v);
	struct proxy *p = v->proxy;
	bool connecting = v->state == SERVER_CONNECTING;
	uint32_t slot = v->backend;

	(void)c;
	if (s != NULL) {
		s->server = PROXY_NONE;
		upstream_busy(p, slot, -1);
	}
	release(v);
	if (s == NULL)
		return;
	if (connecting)
		failed(s, slot, error);
	else if (s->state == SESSION_TUNNEL)
		tunnel_lost(s, error);
	else
		exchange_lost(s, error);
	if (s->state != SESSION_FREE)
		session_run(s);
}

static const struct tcp_ops server_ops = {
	.connected = connected,
	.received = received,
	.finished = finished,
	.room = room,
	.closed = closed,
};

/* --- getting one --------------------------------------------------------- */

static void
join(struct session *s, struct server *v)
{
	v->session = (uint32_t)(s - s->proxy->session);
	s->server = (uint32_t)(v - s->proxy->server);
	upstream_busy(s->proxy, v->backend, 1);
}

struct server *
server_take(struct session *s, uint32_t slot)
{
	struct proxy *p = s->proxy;
	uint32_t i = p->backend[slot].idle_first;
	struct server *v;

	if (i == PROXY_NONE)
		return NULL;
	v = &p->server[i];
	unlink_idle(p, v);
	v->state = SERVER_BUSY;
	join(s, v);
	return v;
}

/* An address of ours to talk to it from: each in its turn. */
static const struct ip_addr *
source(struct proxy *p, const struct ip_addr *to)
{
	const struct grant *g = p->env->grant;
	int v6 = !ip_addr_is_v4(to);

	if (p->bound[v6] == 0)
		return NULL;
	if (++p->next_snat[v6] >= p->bound[v6])
		p->next_snat[v6] = 0;
	return &g->snat[p->snat[v6][p->next_snat[v6]]];
}

int
server_connect(struct session *s, uint32_t slot)
{
	struct proxy *p = s->proxy;
	struct backend *b = &p->backend[slot];
	const struct ip_addr *from = source(p, &b->addr);
	struct tcp_connect to = { .remote = b->addr,
		.rport = b->port,
		.nexthop = b->nexthop,
		.connect_ms = service_of(s)->conf.connect_ms };
	uint32_t i = p->free_server;
	struct server *v;
	int rc;

	if (from == NULL)
		return -EADDRNOTAVAIL;
	if (i == PROXY_NONE)
		return -ENOSPC;
	to.local = *from;
	v = &p->server[i];
	rc = tcp_connect(p->tcp, &to, &server_ops, v, &v->conn);
	if (rc != 0)
		return rc;
	p->free_server = v->next;
	v->backend = (uint16_t)slot;
	v->state = SERVER_CONNECTING;
	v->fin = v->shut = false;
	p->servers++;
	p->env->stats->backend[slot].opened++;
	upstream_conns(p, slot, 1);
	join(s, v);
	return 0;
}

static uint8_t
preface_version(const struct session *s)
{
	const struct proxy *p = s->proxy;
	const struct backend *b = &p->backend[server_of(s)->backend];

	return b->live ? p->env->grant->groups[b->in_group].proxy_protocol
		       : GRANT_PROXY_NONE;
}

int
server_preface(struct session *s)
{
	struct proxyproto pp = { .known = true,
		.src = s->client,
		.dst = s->local,
		.sport = s->client_port,
		.dport = s->local_port };
	uint8_t version = preface_version(s), out[PROXYPROTO_OUT];

	if (version == GRANT_PROXY_NONE)
		return 0;
	pp.version = version == GRANT_PROXY_V1 ? 1 : 2;
	return tcp_send_copy(
		server_of(s)->conn, out, proxyproto_write(&pp, out));
}

/* --- giving it back ------------------------------------------------------ */

static void
part(struct session *s, struct server *v)
{
	v->session = PROXY_NONE;
	s->server = PROXY_NONE;
	upstream_busy(s->proxy, v->backend, -1);
}

void
server_put(struct session *s)
{
	struct proxy *p = s->proxy;
	struct server *v = server_of(s);
	struct backend *b = &p->backend[v->backend];
	uint32_t max =
		b->live ? p->env->grant->groups[b->in_group].max_idle : 0;

	part(s, v);
	v->state = SERVER_IDLE;
	v->since = (uint32_t)p->now_ms;
	push_idle(p, v);
	while (b->n_idle > max)
		close_idle(p, b->idle_last);
}

void
server_end(struct session *s, bool abort)
{
	struct server *v = server_of(s);

	if (v == NULL)
		return;
	part(s, v);
	if (abort)
		tcp_abort(v->conn);
	else
		tcp_close(v->conn);
	release(v);
}

void
server_close_idle(struct proxy *p, uint32_t slot)
{
	while (p->backend[slot].idle_first != PROXY_NONE)
		close_idle(p, p->backend[slot].idle_first);
}

void
server_sweep(struct proxy *p)
{
	uint32_t now = (uint32_t)p->now_ms;

	for (uint32_t i = 0; i < GRANT_BACKENDS_MAX; i++) {
		struct backend *b = &p->backend[i];

		while (b->n_idle > 0 &&
			now - p->server[b->idle_last].since >= POOL_IDLE_MS)
			close_idle(p, b->idle_last);
	}
}
