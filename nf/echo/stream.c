/* SPDX-License-Identifier: BSD-3-Clause */
#include "nf/echo/stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <stdio.h>
#include <string.h>

#include "dataplane/tcp/bind.h"

#define BUFFERS     16384 /* packets in queues of all connections */
#define STREAM_NONE UINT32_MAX
#define AGAIN_US    50 /* until what had no room is tried again */

/* One connection. */
struct stream {
	struct streams *all;
	struct tcp_conn *conn; /* NULL: free */
	struct rte_mbuf *wait; /* what its queue did not take, or NULL */
	uint32_t next;         /* free list */
	uint16_t service;
	bool finished; /* the peer has; we do when nothing waits */
};

struct listener {
	struct streams *all;
	struct ip_addr addr;
	uint16_t port;
	uint16_t service; /* in the grant in force */
	bool used, kept;
};

struct streams {
	const struct nf_env *env;
	struct tcp *tcp;
	struct stream *stream;
	uint32_t n, free;
	struct listener listener[GRANT_SERVICES_MAX];
};

static bool
has_tcp(const struct grant *g)
{
	for (uint32_t i = 0; i < g->n_services; i++)
		if (g->services[i].proto == IPPROTO_TCP)
			return true;
	return false;
}

size_t
streams_memory(const struct grant *g)
{
	if (!has_tcp(g))
		return 0;
	return tcp_bind_memory(g) +
	       (size_t)g->max_connections * sizeof(struct stream) +
	       sizeof(struct streams);
}

uint32_t
streams_buffers(const struct grant *g)
{
	return has_tcp(g) ? BUFFERS : 0;
}

/* --- a connection -------------------------------------------------------- */

static void
count(const struct stream *s, int n)
{
	struct stats *stats = s->all->env->stats;

	stats->connections += (uint64_t)n;
	stats->service[s->service].connections += (uint64_t)n;
}

static void *
accepted(void *listener, struct tcp_conn *c)
{
	struct listener *l = listener;
	struct streams *all = l->all;
	struct stats *stats = all->env->stats;
	struct stream *s;

	/* There is one for each connection that the stack can have. */
	if (all->free == STREAM_NONE)
		return NULL;
	s = &all->stream[all->free];
	all->free = s->next;
	*s = (struct stream){ .all = all, .conn = c, .service = l->service };
	count(s, 1);
	stats->opened++;
	stats->service[s->service].opened++;
	return s;
}

static void
release(struct stream *s)
{
	struct streams *all = s->all;

	count(s, -1);
	rte_pktmbuf_free(s->wait);
	s->wait = NULL;
	s->conn = NULL;
	s->next = all->free;
	all->free = (uint32_t)(s - all->stream);
}

static void
tally(const struct stream *s, uint32_t bytes)
{
	struct stats_service *t = &s->all->env->stats->service[s->service];

	t->packets++;
	t->bytes += bytes;
}

/* true: the queue has it, and the window opens by it. */
static bool
send_back(struct stream *s, struct rte_mbuf *data)
{
	uint32_t bytes = data->pkt_len;

	if (tcp_send(s->conn, data) != 0)
		return false;
	tally(s, bytes);
	tcp_consumed(s->conn, bytes);
	return true;
}

static void
received(struct tcp_conn *c, void *user, struct rte_mbuf *data)
{
	struct stream *s = user;

	(void)c;
	if (s->wait == NULL && send_back(s, data))
		return;
	if (s->wait == NULL) {
		s->wait = data;
	} else if (rte_pktmbuf_chain(s->wait, data) != 0) {
		/* As many as a chain can have, of a byte each. */
		rte_pktmbuf_free(data);
		tcp_abort(s->conn);
		release(s);
	}
}

static void
room(struct tcp_conn *c, void *user)
{
	struct stream *s = user;
	struct rte_mbuf *data = s->wait;

	s->wait = NULL;
	if (data != NULL && !send_back(s, data))
		s->wait = data;
	else if (s->finished)
		tcp_shutdown(c);
}

static void
finished(struct tcp_conn *c, void *user)
{
	struct stream *s = user;

	s->finished = true;
	if (s->wait == NULL)
		tcp_shutdown(c);
}

static void
closed(struct tcp_conn *c, void *user, int error)
{
	(void)c;
	(void)error;
	release(user);
}

static const struct tcp_ops ops = {
	.accepted = accepted,
	.received = received,
	.finished = finished,
	.room = room,
	.closed = closed,
};

/* --- services ------------------------------------------------------------ */

static struct listener *
listener_of(struct streams *s, const struct grant_service *service)
{
	struct listener *unused = NULL;

	for (uint32_t i = 0; i < GRANT_SERVICES_MAX; i++) {
		struct listener *l = &s->listener[i];

		if (l->used && l->port == service->port &&
			ip_addr_eq(&l->addr, &service->addr))
			return l;
		if (!l->used && unused == NULL)
			unused = l;
	}
	return unused;
}

static int
listen_on(struct streams *s, uint16_t i)
{
	const struct grant_service *service = &s->env->grant->services[i];
	struct listener *l = listener_of(s, service);
	int rc = 0;

	if (l == NULL)
		return -ENOSPC;
	if (!l->used) {
		*l = (struct listener){ .all = s,
			.addr = service->addr,
			.port = service->port,
			.used = true };
		rc = tcp_listen(s->tcp, &l->addr, l->port, &ops, l, 0);
		l->used = rc == 0;
	}
	l->service = i;
	l->kept = true;
	return rc;
}

static int
listen_all(struct streams *s, char *why, size_t len)
{
	const struct grant *g = s->env->grant;
	int rc = 0;

	for (uint16_t i = 0; i < g->n_services && rc == 0; i++)
		if (g->services[i].proto == IPPROTO_TCP) {
			rc = listen_on(s, i);
			if (rc != 0)
				snprintf(why, len,
					"service \"%s\" cannot listen: %s",
					g->services[i].name, strerror(-rc));
		}
	return rc;
}

struct streams *
streams_create(const struct nf_env *env, char *why, size_t len)
{
	const struct grant *g = env->grant;
	struct streams *s = rte_zmalloc("streams", sizeof(*s), 64);
	struct tcp_config config;

	if (s == NULL) {
		snprintf(why, len, "no memory");
		return NULL;
	}
	s->env = env;
	s->n = g->max_connections;
	s->stream = rte_zmalloc(NULL, s->n * sizeof(*s->stream), 64);
	tcp_bind(&config, env);
	config.keepalive_ms = g->timeouts.established_ms;
	if (s->stream != NULL)
		s->tcp = tcp_create(&config, why, len);
	else
		snprintf(why, len, "no memory for %u connections", s->n);
	if (s->tcp == NULL || listen_all(s, why, len) != 0) {
		streams_destroy(s);
		return NULL;
	}
	for (uint32_t i = 0; i < s->n; i++)
		s->stream[i].next = i + 1 < s->n ? i + 1 : STREAM_NONE;
	env->stats->memory_bytes = streams_memory(g);
	return s;
}

void
streams_destroy(struct streams *s)
{
	for (uint32_t i = 0; s->stream != NULL && i < s->n; i++)
		rte_pktmbuf_free(s->stream[i].wait);
	if (s->tcp != NULL)
		tcp_destroy(s->tcp);
	rte_free(s->stream);
	rte_free(s);
}

/* Connections are told by where they have come to: services may have moved. */
static void
sort_streams(struct streams *s)
{
	for (uint32_t i = 0; i < s->n; i++) {
		struct stream *t = &s->stream[i];
		struct listener *l = NULL;
		struct tcp_info info;

		if (t->conn == NULL)
			continue;
		tcp_info(t->conn, &info);
		for (uint32_t k = 0; k < GRANT_SERVICES_MAX; k++)
			if (s->listener[k].used && s->listener[k].kept &&
				s->listener[k].port == info.lport &&
				ip_addr_eq(&s->listener[k].addr, &info.local))
				l = &s->listener[k];
		count(t, -1);
		if (l != NULL)
			t->service = l->service;
		count(t, 1);
		if (l == NULL) {
			s->env->stats->ended++;
			tcp_abort(t->conn);
			release(t);
		}
	}
}

int
streams_update(struct streams *s, char *why, size_t len)
{
	int rc;

	for (uint32_t i = 0; i < GRANT_SERVICES_MAX; i++)
		s->listener[i].kept = false;
	rc = listen_all(s, why, len);
	if (rc != 0)
		return rc;
	sort_streams(s);
	for (uint32_t i = 0; i < GRANT_SERVICES_MAX; i++) {
		struct listener *l = &s->listener[i];

		if (!l->used || l->kept)
			continue;
		tcp_unlisten(s->tcp, &l->addr, l->port);
		l->used = false;
	}
	tcp_bind_update(s->tcp, s->env);
	return 0;
}

/* --- the loop ------------------------------------------------------------ */

static void
gauges(struct streams *s)
{
	struct tcp_usage usage;

	tcp_usage(s->tcp, &usage);
	s->env->stats->half_open = usage.half_open;
}

void
streams_burst(struct streams *s, struct rte_mbuf **pkts, uint16_t n,
	nf_verdict *verdict, uint64_t now_tsc)
{
	uint64_t now_ms = tcp_bind_ms(s->env, now_tsc);

	tcp_input(s->tcp, pkts, n, verdict, now_ms);
	tcp_flush(s->tcp, now_ms);
}

uint32_t
streams_tick(struct streams *s, uint64_t now_tsc)
{
	uint64_t now_ms = tcp_bind_ms(s->env, now_tsc);
	uint32_t next_us = tcp_tick(s->tcp, now_ms);

	if (!tcp_flush(s->tcp, now_ms) && next_us > AGAIN_US)
		next_us = AGAIN_US;
	gauges(s);
	return next_us;
}
