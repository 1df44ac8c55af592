/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The peers of a proxy on its bench (proxy_lab.h), the frames between, and
 * time.
 */
#ifndef PROXY_PEERS_H
#define PROXY_PEERS_H

#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_mbuf.h>

#include "nf/proxy/proxy.h"

extern const struct nf nf_proxy;

#define MAYBE __attribute__((unused)) static

#define VIP      "10.0.0.80"
#define SNAT     "10.0.1.9"
#define CLIENT   "10.0.0.2"
#define BACKEND  "10.0.1.20" /* the first; each next one is one more */
#define BACKENDS 4
#define SEED     0x1234

/* --- peers -----------------------------------------------------------------
 */

#define PEERS 256
#define HEARD (4u << 20)

struct peer {
	struct tcp_conn *c;
	bool used, open, fin, gone;
	bool deaf;   /* does not read: its window closes */
	bool ending; /* a FIN behind what waits */
	int error;
	uint16_t port; /* that it is from, or came to; host's order */
	struct ip_addr local;
	char *heard; /* NUL behind it */
	uint32_t len, unread;
	struct rte_mbuf *wait; /* what could not be said yet */
	const char *auto_answer;
	uint32_t answered; /* bytes of `heard` that were answered */
	struct side *side;
	void *app; /* a test's own */
};

struct side {
	struct tcp *tcp;
	struct peer peer[PEERS];
	struct rte_mbuf *first, *last; /* frames on their way to it */
	uint32_t frames;
	const char *auto_answer; /* of peers that come */
	/* If set: what was heard is for it, and so are ends (fin or gone). */
	void (*hear)(struct peer *p);
	bool dead; /* takes no frame */
};

struct lab {
	struct grant grant, next_grant;
	struct nexthops nexthops;
	struct stats stats;
	struct nf_env env;
	struct proxy *proxy;
	struct side clients, backends;
	struct rte_mbuf *first, *last; /* to the proxy */
	uint64_t now_us;
	uint32_t (*lose)(void); /* a frame is lost if it returns 1 */
};

static struct lab lab;
static struct rte_mempool *proxy_pool, *peer_pool;

static struct ip_addr
ip(const char *text)
{
	struct ip_addr a;
	struct in_addr v4;

	if (inet_pton(AF_INET, text, &v4) == 1)
		return ip_addr_from_v4(v4.s_addr);
	ck_assert_int_eq(inet_pton(AF_INET6, text, &a), 1);
	return a;
}

static struct ip_addr
backend_ip(uint32_t i)
{
	struct ip_addr a = ip(BACKEND);

	a.w[3] = htonl(ntohl(a.w[3]) + i);
	return a;
}

static struct peer *
peer_new(struct side *s)
{
	for (uint32_t i = 0; i < PEERS; i++) {
		struct peer *p = &s->peer[i];

		if (p->used)
			continue;
		*p = (struct peer){
			.used = true, .heard = p->heard, .side = s
		};
		if (p->heard == NULL)
			p->heard = malloc(HEARD);
		ck_assert_ptr_nonnull(p->heard);
		p->heard[0] = '\0';
		return p;
	}
	ck_abort_msg("too many peers");
	return NULL;
}

static void
peer_flush(struct peer *p)
{
	struct rte_mbuf *m;

	while ((m = p->wait) != NULL && p->open && !p->gone) {
		struct rte_mbuf *next = m->next;

		m->next = NULL;
		m->nb_segs = 1;
		m->pkt_len = m->data_len;
		if (tcp_send(p->c, m) != 0) {
			m->next = next;
			return;
		}
		p->wait = next;
	}
	if (p->ending && p->open && !p->gone)
		tcp_shutdown(p->c);
}

MAYBE void
finish(struct peer *p)
{
	p->ending = true;
	peer_flush(p);
}

MAYBE void
say_bytes(struct peer *p, const void *data, size_t len)
{
	struct rte_mbuf **link = &p->wait;

	while (*link != NULL)
		link = &(*link)->next;
	for (size_t at = 0; at < len;) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(peer_pool);
		size_t n = RTE_MIN(len - at, (size_t)1400);

		ck_assert_ptr_nonnull(m);
		memcpy(rte_pktmbuf_append(m, (uint16_t)n),
			(const char *)data + at, n);
		*link = m;
		link = &m->next;
		at += n;
	}
	peer_flush(p);
}

/* From here on it reads again. */
MAYBE void
listen_again(struct peer *p)
{
	p->deaf = false;
	if (p->unread > 0 && !p->gone)
		tcp_consumed(p->c, p->unread);
	p->unread = 0;
}

MAYBE void
say(struct peer *p, const char *text)
{
	say_bytes(p, text, strlen(text));
}

/* An answer for each head that was heard. */
static void
peer_answer(struct peer *p)
{
	char *end;

	while (p->auto_answer != NULL &&
		(end = strstr(p->heard + p->answered, "\r\n\r\n")) != NULL) {
		p->answered = (uint32_t)(end - p->heard) + 4;
		say(p, p->auto_answer);
	}
}

static void
on_connected(struct tcp_conn *c, void *user)
{
	struct peer *p = user;

	(void)c;
	p->open = true;
	peer_flush(p);
}

static void
on_received(struct tcp_conn *c, void *user, struct rte_mbuf *data)
{
	struct peer *p = user;

	ck_assert_uint_lt(p->len + data->pkt_len, HEARD);
	for (struct rte_mbuf *m = data; m != NULL; m = m->next) {
		memcpy(p->heard + p->len, rte_pktmbuf_mtod(m, char *),
			m->data_len);
		p->len += m->data_len;
	}
	p->heard[p->len] = '\0';
	if (p->deaf)
		p->unread += data->pkt_len;
	else
		tcp_consumed(c, data->pkt_len);
	rte_pktmbuf_free(data);
	peer_answer(p);
	if (p->side->hear != NULL)
		p->side->hear(p);
}

static void
on_finished(struct tcp_conn *c, void *user)
{
	struct peer *p = user;

	(void)c;
	p->fin = true;
	if (p->side->hear != NULL)
		p->side->hear(p);
}

static void
on_room(struct tcp_conn *c, void *user)
{
	(void)c;
	peer_flush(user);
}

static void
on_closed(struct tcp_conn *c, void *user, int error)
{
	struct peer *p = user;

	(void)c;
	p->gone = true;
	p->error = error;
	if (p->side->hear != NULL)
		p->side->hear(p);
}

static void *on_accepted(void *listener, struct tcp_conn *c);

static const struct tcp_ops peer_ops = {
	.accepted = on_accepted,
	.connected = on_connected,
	.received = on_received,
	.finished = on_finished,
	.room = on_room,
	.closed = on_closed,
};

static void *
on_accepted(void *listener, struct tcp_conn *c)
{
	struct side *s = listener;
	struct peer *p = peer_new(s);
	struct tcp_info info;

	tcp_info(c, &info);
	p->c = c;
	p->open = true;
	p->local = info.local;
	p->port = ntohs(info.rport);
	p->auto_answer = s->auto_answer;
	return p;
}

/* --- frames ----------------------------------------------------------------
 */

static void
put_frame(struct rte_mbuf **first, struct rte_mbuf **last,
	struct rte_mempool *pool, const struct rte_mbuf *from)
{
	struct rte_mbuf *m;

	if (lab.lose != NULL && lab.lose())
		return;
	m = rte_pktmbuf_alloc(pool);
	/* As a NIC: without a buffer the frame is lost. */
	if (m == NULL)
		return;
	for (; from != NULL; from = from->next) {
		char *to = rte_pktmbuf_append(m, from->data_len);

		ck_assert_ptr_nonnull(to);
		memcpy(to, rte_pktmbuf_mtod(from, char *), from->data_len);
	}
	m->ol_flags |=
		RTE_MBUF_F_RX_L4_CKSUM_GOOD | RTE_MBUF_F_RX_IP_CKSUM_GOOD;
	m->dynfield1[0] = 0;
	m->next = NULL;
	/* Linked by userdata words of its own: `next` is the chain's. */
	*(struct rte_mbuf **)(void *)&m->dynfield1[1] = NULL;
	if (*first == NULL)
		*first = m;
	else
		*(struct rte_mbuf **)(void *)&(*last)->dynfield1[1] = m;
	*last = m;
}

static struct rte_mbuf *
take_frame(struct rte_mbuf **first)
{
	struct rte_mbuf *m = *first;

	if (m != NULL)
		*first = *(struct rte_mbuf **)(void *)&m->dynfield1[1];
	return m;
}

/* MAC addresses: 2:0:0:0:0:x, of the proxy 1 and 2, clients 3, backends 4. */
static void
mac(uint8_t *to, uint8_t last)
{
	memset(to, 0, 6);
	to[0] = 2;
	to[5] = last;
}

/* The proxy sends. */
static void
lab_emit(void *ctx, struct rte_mbuf *m)
{
	uint8_t who = rte_pktmbuf_mtod(m, uint8_t *)[5];
	struct side *s = who == 3 ? &lab.clients : &lab.backends;

	(void)ctx;
	ck_assert_uint_ge(who, 3);
	if (!s->dead) {
		put_frame(&s->first, &s->last, peer_pool, m);
		s->frames++;
	}
	rte_pktmbuf_free(m);
}

/* A peer sends. */
static void
peer_emit(void *ctx, struct rte_mbuf *m)
{
	if (!((struct side *)ctx)->dead)
		put_frame(&lab.first, &lab.last, proxy_pool, m);
	rte_pktmbuf_free(m);
}

static int
peer_route(void *ctx, uint32_t nexthop, struct tcp_path *path)
{
	bool client = ctx == &lab.clients;

	(void)nexthop;
	mac(path->local_mac, client ? 3 : 4);
	mac(path->remote_mac, client ? 1 : 2);
	path->mtu = 1500;
	return 0;
}

/* --- time ------------------------------------------------------------------
 */

static uint16_t
gather(struct rte_mbuf **first, struct rte_mbuf **pkts)
{
	uint16_t n = 0;

	while (n < NF_BURST_MAX && (pkts[n] = take_frame(first)) != NULL)
		n++;
	return n;
}

static void
drop_refused(struct rte_mbuf **pkts, const nf_verdict *v, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		ck_assert_uint_ne(v[i], NF_TX);
		if (v[i] != NF_HELD) {
			if (v[i] >= NF_DROP(0))
				lab.stats.drop[v[i] - NF_DROP(0)]++;
			rte_pktmbuf_free(pkts[i]);
		}
	}
}

static bool
deliver_side(struct side *s)
{
	struct rte_mbuf *pkts[NF_BURST_MAX];
	nf_verdict v[NF_BURST_MAX];
	uint16_t n = gather(&s->first, pkts);

	if (n > 0) {
		tcp_input(s->tcp, pkts, n, v, lab.now_us / 1000);
		drop_refused(pkts, v, n);
	}
	tcp_flush(s->tcp, lab.now_us / 1000);
	return n > 0;
}

static bool
deliver(void)
{
	struct rte_mbuf *pkts[NF_BURST_MAX];
	nf_verdict v[NF_BURST_MAX];
	bool any = deliver_side(&lab.clients) | deliver_side(&lab.backends);
	uint16_t n = gather(&lab.first, pkts);

	if (n > 0) {
		nf_proxy.burst(lab.proxy, pkts, n, v, lab.now_us);
		drop_refused(pkts, v, n);
	}
	return any | (n > 0);
}

static void
tick(void)
{
	uint32_t k = 0;

	while (nf_proxy.tick(lab.proxy, lab.now_us) == 0)
		ck_assert_uint_lt(k++, 100000);
	while (tcp_tick(lab.clients.tcp, lab.now_us / 1000) == 0)
		;
	while (tcp_tick(lab.backends.tcp, lab.now_us / 1000) == 0)
		;
}

MAYBE void
lab_steps(uint32_t ms, uint32_t step_ms)
{
	for (uint32_t t = 0; t <= ms; t += step_ms) {
		while (deliver())
			;
		tick();
		while (deliver())
			;
		if (t + step_ms <= ms)
			lab.now_us += step_ms * 1000ull;
	}
}

/* Let so much time go by. */
MAYBE void
lab_run(uint32_t ms)
{
	lab_steps(ms, ms > 2000 ? 10 : 1);
}

#endif
