/* SPDX-License-Identifier: BSD-3-Clause */
/* The proxy as a network function: see proxy.h. */
#include "nf/proxy/proxy.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include <rte_malloc.h>

#include "dataplane/packet.h"
#include "dataplane/tcp/bind.h"
#include "nf/proxy/cookie.h"
#include "nf/proxy/head.h"

#define SWEEP_MS      1000
#define RESERVED_PART 8  /* of connections, for those to backends */
#define AGAIN_US      50 /* until what could not be sent is tried again */

/* --- packets ------------------------------------------------------------- */

static void
set_clock(struct proxy *p, uint64_t now_tsc)
{
	p->now_ms = tcp_bind_ms(p->env, now_tsc);
	p->now_us = now_tsc / p->tsc_per_us;
}

/* A SYN of a bucket that another instance has. */
static bool
is_astray(struct proxy *p, const struct rte_mbuf *m)
{
	const struct grant *g = p->env->grant;
	struct steer_tuple t = { .proto = IPPROTO_TCP };
	struct packet k;

	if (packet_parse(&k, rte_pktmbuf_mtod(m, uint8_t *), m->data_len,
		    m->pkt_len) != NF_TX ||
		k.proto != IPPROTO_TCP)
		return false;
	packet_addrs(k.data + PACKET_L3, &t.src, &t.dst);
	t.sport = k.sport;
	t.dport = k.dport;
	for (uint32_t i = 0; i < g->n_services; i++) {
		const struct grant_service *s = &g->services[i];

		if (s->port != k.dport || !ip_addr_eq(&s->addr, &t.dst))
			continue;
		return !grant_owns(g, steer_hash(&t, g->steer_seed, s->flags) &
					      (g->buckets - 1));
	}
	return false;
}

/* Where the flags of TCP are in a frame without options before it. */
static bool
is_syn(const struct rte_mbuf *m)
{
	const uint8_t *d = rte_pktmbuf_mtod(m, const uint8_t *);
	uint32_t at = PACKET_L3 + 13 + (d[PACKET_L3] >> 4 == 6 ? 40 : 20);

	return m->data_len > at &&
	       (d[at] & (PACKET_SYN | PACKET_ACK)) == PACKET_SYN;
}

/* Take those out that are another instance's: n of them stay. */
static uint16_t
sort_out(struct proxy *p, struct rte_mbuf **pkts, uint16_t n,
	nf_verdict *verdict, struct rte_mbuf **mine, uint16_t *at)
{
	uint16_t k = 0;

	for (uint16_t i = 0; i < n; i++) {
		if (unlikely(is_syn(pkts[i])) && is_astray(p, pkts[i])) {
			p->env->stats->misdirected++;
			verdict[i] = NF_DROP(NF_DROP_MISDIRECTED);
			continue;
		}
		mine[k] = pkts[i];
		at[k++] = i;
	}
	return k;
}

static void
proxy_burst(void *state, struct rte_mbuf **pkts, uint16_t n,
	nf_verdict *verdict, uint64_t now_tsc)
{
	struct proxy *p = state;
	struct rte_mbuf *mine[NF_BURST_MAX];
	nf_verdict said[NF_BURST_MAX];
	uint16_t at[NF_BURST_MAX], k;

	set_clock(p, now_tsc);
	k = sort_out(p, pkts, n, verdict, mine, at);
	tcp_input(p->tcp, mine, k, said, p->now_ms);
	for (uint16_t i = 0; i < k; i++)
		verdict[at[i]] = said[i];
	tcp_flush(p->tcp, p->now_ms);
}

static uint32_t
proxy_tick(void *state, uint64_t now_tsc)
{
	struct proxy *p = state;
	struct tcp_usage usage;
	uint32_t next_us;
	bool more;

	set_clock(p, now_tsc);
	next_us = tcp_tick(p->tcp, p->now_ms);
	more = deadline_tick(p);
	if (p->now_ms - p->swept_ms >= SWEEP_MS) {
		p->swept_ms = p->now_ms;
		server_sweep(p);
	}
	if (!tcp_flush(p->tcp, p->now_ms))
		next_us = RTE_MIN(next_us, (uint32_t)AGAIN_US);
	tcp_usage(p->tcp, &usage);
	p->env->stats->half_open = usage.half_open;
	if (more || next_us == 0)
		return 0;
	return RTE_MIN(next_us, deadline_wait(p, SWEEP_MS) * 1000);
}

/* --- life ---------------------------------------------------------------- */

static void
proxy_destroy(void *state)
{
	struct proxy *p = state;

	if (p == NULL)
		return;
	for (uint32_t i = 0; p->session != NULL && i < p->n; i++) {
		struct session *s = &p->session[i];

		pipe_clear(p, &s->in);
		pipe_clear(p, &s->out);
		rte_pktmbuf_free(s->x.request);
		rte_pktmbuf_free(s->x.kept);
	}
	if (p->tcp != NULL)
		tcp_destroy(p->tcp);
	head_fini(p);
	rte_free(p->link);
	rte_free(p->server);
	rte_free(p->session);
	rte_free(p);
}

static int
make_arrays(struct proxy *p)
{
	p->session = rte_zmalloc(NULL, p->n * sizeof(*p->session), 64);
	p->server = rte_zmalloc(NULL, p->n * sizeof(*p->server), 64);
	p->link = rte_zmalloc(
		NULL, (p->n + (size_t)PROXY_SLOTS) * sizeof(*p->link), 64);
	if (p->session == NULL || p->server == NULL || p->link == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < p->n; i++) {
		uint32_t next = i + 1 < p->n ? i + 1 : PROXY_NONE;

		p->session[i].proxy = p;
		p->session[i].lingered = next;
		p->session[i].server = p->session[i].head = PROXY_NONE;
		p->server[i].proxy = p;
		p->server[i].session = PROXY_NONE;
		p->server[i].next = next;
	}
	for (uint32_t i = 0; i < GRANT_BACKENDS_MAX; i++)
		p->backend[i].idle_first = p->backend[i].idle_last = PROXY_NONE;
	return head_init(p, p->n, proxy_head_room(p->env->grant));
}

static struct tcp *
make_tcp(struct proxy *p, char *why, size_t len)
{
	struct tcp_config c;

	tcp_bind(&c, p->env);
	p->max_held = p->env->pool->size / 2;
	p->max_waiting = p->env->pool->size / 4;
	p->max_kept = p->env->pool->size / 8;
	c.max_held = p->max_held;
	/* However many clients there are: some of them can be served. */
	c.reserved = p->n / RESERVED_PART;
	p->now_ms = c.now_ms;
	wheel_init(&p->wheel, p->link, sizeof(*p->link), p->n, PROXY_SLOTS,
		PROXY_SLOT_SHIFT, p->now_ms);
	return tcp_create(&c, why, len);
}

/* Gauges of a process that is no more. */
static void
begin_stats(struct proxy *p)
{
	struct stats *s = p->env->stats;

	s->connections = s->half_open = 0;
	for (uint32_t i = 0; i < GRANT_BACKENDS_MAX; i++) {
		s->backend[i].connections = 0;
		s->server[i].idle = s->server[i].active = 0;
	}
	s->memory_bytes = proxy_memory(p->env->grant);
}

static void *
proxy_create(const struct nf_env *env, char *why, size_t len)
{
	struct proxy *p;

	if (proxy_configure(env->grant, why, len) != 0)
		return NULL;
	p = rte_zmalloc("proxy", sizeof(*p), 64);
	if (p == NULL) {
		snprintf(why, len, "no memory");
		return NULL;
	}
	p->env = env;
	p->n = env->grant->max_connections;
	p->access = env->access;
	p->tsc_per_us = RTE_MAX(env->tsc_hz / 1000000, 1u);
	begin_stats(p);
	if (make_arrays(p) != 0 ||
		cookie_key(&p->cookie_key, env->grant) != 0) {
		snprintf(why, len, "no memory for %u connections", p->n);
		goto fail;
	}
	p->tcp = make_tcp(p, why, len);
	if (p->tcp == NULL || proxy_apply(p, why, len) != 0)
		goto fail;
	return p;
fail:
	proxy_destroy(p);
	return NULL;
}

static int
proxy_update(void *state, char *why, size_t len)
{
	struct proxy *p = state;
	const struct grant *g = p->env->grant;
	int rc = proxy_configure(g, why, len);

	if (rc != 0)
		return rc;
	if (g->max_connections != p->n) {
		snprintf(why, len,
			"max_connections changed from %u to %u: the tables' "
			"size is fixed, restart the instance",
			p->n, g->max_connections);
		return -EINVAL;
	}
	rc = proxy_apply(p, why, len);
	if (rc == 0)
		tcp_flush(p->tcp, p->now_ms);
	return rc;
}

static const char *const drops[] = { TCP_DROPS, NULL };

extern const struct nf nf_proxy;
const struct nf nf_proxy = {
	.name = "proxy",
	.summary = "ends TCP connections, balances HTTP/1.1 requests or "
		   "connections over backends",
	.flags = NF_NEEDS_BACKENDS | NF_PROXIES | NF_PROTO_TCP,
	.drops = drops,
	.configure = proxy_configure,
	.memory = proxy_memory,
	.buffers = proxy_buffers,
	.create = proxy_create,
	.burst = proxy_burst,
	.tick = proxy_tick,
	.update = proxy_update,
	.destroy = proxy_destroy,
};
