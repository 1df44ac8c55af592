/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A proxy on a bench, between two more TCPs: one for clients, one for all
 * backends. Frames cross as bytes, time stands still until lab_run() moves it.
 *
 *   peers of `clients` --- VIP [nf_proxy] SNAT --- peers of `backends`
 *
 * Both kinds of peers keep what they hear and say what a test tells them. The
 * proxy has its own mbufs: at the end of each test all of them are back.
 */
#ifndef PROXY_LAB_H
#define PROXY_LAB_H

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
	bool deaf; /* does not read: its window closes */
	int error;
	uint16_t port; /* that it is from, or came to; host's order */
	struct ip_addr local;
	char *heard; /* NUL behind it */
	uint32_t len, unread;
	struct rte_mbuf *wait; /* what could not be said yet */
	const char *auto_answer;
	uint32_t answered; /* bytes of `heard` that were answered */
};

struct side {
	struct tcp *tcp;
	struct peer peer[PEERS];
	struct rte_mbuf *first, *last; /* frames on their way to it */
	uint32_t frames;
	const char *auto_answer; /* of peers that come */
	bool dead;               /* takes no frame */
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
		*p = (struct peer){ .used = true, .heard = p->heard };
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
}

static void
on_finished(struct tcp_conn *c, void *user)
{
	(void)c;
	((struct peer *)user)->fin = true;
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

/* --- making it -------------------------------------------------------------
 */

/*
 * Services: port 80, mode HTTP, and port 81, mode TCP, each with a group of
 * `n` backends, on ports 8080 and 8081.
 */
static void
lab_grant(struct grant *g, uint32_t n)
{
	memset(g, 0, sizeof(*g));
	g->magic = GRANT_MAGIC;
	g->version = GRANT_VERSION;
	g->size = sizeof(*g);
	g->steer_seed = SEED;
	g->buckets = 8;
	g->own[0] = 0xff;
	g->backend_uplink = 1;
	g->n_nexthops = 2 + BACKENDS;
	g->max_connections = 256;
	g->max_half_open = 64;
	g->n_snat = 1;
	g->snat[0] = ip(SNAT);
	g->n_services = g->n_groups = 2;
	g->n_backends = 2 * n;
	for (uint32_t i = 0; i < 2; i++) {
		struct grant_service *s = &g->services[i];

		snprintf(s->name, sizeof(s->name), "s%u", i);
		s->addr = ip(VIP);
		s->port = htons((uint16_t)(80 + i));
		s->proto = IPPROTO_TCP;
		s->first_backend = i * n;
		s->n_backends = n;
		snprintf(g->groups[i].name, GRANT_NAME_MAX, "default");
		g->groups[i].first_backend = i * n;
		g->groups[i].n_backends = n;
		g->groups[i].max_idle = 8;
		g->groups[i].scheduler = GRANT_SCHED_RR;
		g->proxy[i] = (struct grant_proxy){
			.mode = i == 0 ? GRANT_MODE_HTTP : GRANT_MODE_TCP,
			.default_group = i,
			.connect_ms = 3000,
			.header_ms = 10000,
			.idle_ms = 20000,
			.response_ms = 30000,
			.tunnel_ms = 40000,
			.max_connections = 100,
			.max_header_bytes = 4096,
			.max_headers = 50,
			.retries = 2,
		};
		for (uint32_t k = 0; k < n; k++)
			g->backends[i * n + k] = (struct grant_backend){
				.addr = backend_ip(k),
				.port = htons((uint16_t)(8080 + i)),
				.weight = 1,
				.nexthop = 2 + k,
			};
	}
}

static void
side_make(struct side *s, const char *name)
{
	struct tcp_config c = { .max_connections = 1024,
		.max_half_open = 256,
		.time_wait_ms = 1000,
		.seed = name[0],
		.now_ms = lab.now_us / 1000,
		.pool = peer_pool,
		.name = name,
		.ctx = s,
		.emit = peer_emit,
		.route = peer_route };
	char why[128] = "";

	s->tcp = tcp_create(&c, why, sizeof(why));
	ck_assert_msg(s->tcp != NULL, "%s", why);
}

/* Backend i listens on both ports, or no longer. */
MAYBE void
backend_up(uint32_t i, bool up)
{
	struct ip_addr a = backend_ip(i);

	for (uint16_t k = 0; k < 2; k++) {
		uint16_t port = htons((uint16_t)(8080 + k));
		int rc = up ? tcp_listen(lab.backends.tcp, &a, port, &peer_ops,
				      &lab.backends, 0)
			    : tcp_unlisten(lab.backends.tcp, &a, port);

		ck_assert_int_eq(rc, 0);
	}
}

static void
fill_nexthops(void)
{
	uint8_t m[6];

	for (uint8_t i = 0; i < 2 + BACKENDS; i++) {
		mac(m, i < 2 ? i + 1 : 4);
		lab.nexthops.entry[i] = nexthop_pack(m, 1500);
	}
}

/* With lab.grant as it is. */
MAYBE void
lab_start(void)
{
	char why[256] = "";

	/* The clock of tcp_bind(): the world begins now, and then stands. */
	lab.now_us = (rte_rdtsc() / 1000 + 1) * 1000;
	fill_nexthops();
	lab.env = (struct nf_env){ .grant = &lab.grant,
		.nexthops = &lab.nexthops,
		.stats = &lab.stats,
		.pool = proxy_pool,
		.tsc_hz = 1000000,
		.access = lab.env.access,
		.emit = lab_emit };
	side_make(&lab.clients, "clients");
	side_make(&lab.backends, "backends");
	for (uint32_t i = 0; i < BACKENDS; i++)
		backend_up(i, true);
	lab.proxy = nf_proxy.create(&lab.env, why, sizeof(why));
	ck_assert_msg(lab.proxy != NULL, "%s", why);
}

static void
free_frames(struct rte_mbuf **first)
{
	struct rte_mbuf *m;

	while ((m = take_frame(first)) != NULL)
		rte_pktmbuf_free(m);
}

/* All of it goes, also what a test that has failed has left. */
static void
lab_clear(void)
{
	if (lab.proxy != NULL)
		nf_proxy.destroy(lab.proxy);
	if (lab.clients.tcp != NULL)
		tcp_destroy(lab.clients.tcp);
	if (lab.backends.tcp != NULL)
		tcp_destroy(lab.backends.tcp);
	lab.proxy = NULL;
	lab.clients.tcp = lab.backends.tcp = NULL;
	for (uint32_t i = 0; i < PEERS; i++) {
		rte_pktmbuf_free(lab.clients.peer[i].wait);
		rte_pktmbuf_free(lab.backends.peer[i].wait);
		lab.clients.peer[i].wait = lab.backends.peer[i].wait = NULL;
	}
	free_frames(&lab.first);
	free_frames(&lab.clients.first);
	free_frames(&lab.backends.first);
}

/* A bench with `n` backends; the grant can be changed before lab_start(). */
MAYBE void
lab_prepare(uint32_t n)
{
	struct access_ring *access = lab.env.access;

	lab_clear();
	for (uint32_t i = 0; i < PEERS; i++) {
		free(lab.clients.peer[i].heard);
		free(lab.backends.peer[i].heard);
	}
	memset(&lab, 0, sizeof(lab));
	lab.env.access = access;
	lab_grant(&lab.grant, n);
}

MAYBE void
lab_make(uint32_t n)
{
	lab_prepare(n);
	lab_start();
}

/* Put lab.next_grant in force. */
MAYBE int
lab_update(char *why, size_t len)
{
	static struct grant before;
	int rc;

	before = lab.grant;
	lab.grant = lab.next_grant;
	rc = nf_proxy.update(lab.proxy, why, len);
	if (rc != 0)
		lab.grant = before;
	return rc;
}

static void
side_end(struct side *s)
{
	for (uint32_t i = 0; i < PEERS; i++) {
		struct peer *p = &s->peer[i];

		if (p->used && !p->gone && p->c != NULL)
			tcp_abort(p->c);
		rte_pktmbuf_free(p->wait);
		p->wait = NULL;
		p->used = false;
	}
}

/* What the proxy has in use. */
MAYBE void
lab_assert_empty(void)
{
	struct proxy *p = lab.proxy;
	struct tcp_usage u;

	tcp_usage(p->tcp, &u);
	ck_assert_uint_eq(p->sessions, 0);
	ck_assert_uint_eq(p->servers, 0);
	ck_assert_uint_eq(p->waiting, 0);
	ck_assert_uint_eq(p->heads_used, 0);
	ck_assert_uint_eq(u.connections, 0);
	ck_assert_uint_eq(u.held, 0);
	ck_assert_uint_eq(u.timers, 0);
	ck_assert_uint_eq(rte_mempool_in_use_count(proxy_pool), 0);
	ck_assert_uint_eq(lab.stats.connections, 0);
	for (uint32_t i = 0; i < GRANT_BACKENDS_MAX; i++) {
		ck_assert_uint_eq(lab.stats.server[i].active, 0);
		ck_assert_uint_eq(lab.stats.server[i].idle, 0);
		ck_assert_uint_eq(lab.stats.backend[i].connections, 0);
	}
	for (uint32_t i = 0; i < GRANT_SERVICES_MAX; i++)
		ck_assert_uint_eq(lab.stats.http[i].tunnels, 0);
}

/* All peers reset what they have: nothing may be left of it in the proxy. */
MAYBE void
lab_end(void)
{
	lab.lose = NULL;
	lab.clients.dead = lab.backends.dead = false;
	side_end(&lab.clients);
	side_end(&lab.backends);
	lab_steps(200000, 500);
	lab_assert_empty();
	lab_clear();
	ck_assert_uint_eq(rte_mempool_in_use_count(proxy_pool), 0);
	ck_assert_uint_eq(rte_mempool_in_use_count(peer_pool), 0);
}

/* --- what tests do ---------------------------------------------------------
 */

MAYBE struct peer *
client_to(const char *vip, uint16_t port)
{
	struct tcp_connect to = {
		.local = ip(CLIENT), .remote = ip(vip), .rport = htons(port)
	};
	struct peer *p = peer_new(&lab.clients);
	struct tcp_info info;

	ck_assert_int_eq(
		tcp_connect(lab.clients.tcp, &to, &peer_ops, p, &p->c), 0);
	tcp_info(p->c, &info);
	p->port = ntohs(info.lport);
	return p;
}

MAYBE struct peer *
client(uint16_t port)
{
	struct peer *p = client_to(VIP, port);

	lab_run(1);
	ck_assert(p->open);
	return p;
}

/* The i-th connection that has come to backends; NULL: so many have not. */
MAYBE struct peer *
backend(uint32_t i)
{
	return lab.backends.peer[i].used ? &lab.backends.peer[i] : NULL;
}

MAYBE uint32_t
backend_conns(void)
{
	uint32_t n = 0;

	while (n < PEERS && lab.backends.peer[n].used)
		n++;
	return n;
}

/* Which backend peer `p` is of. */
MAYBE uint32_t
backend_of(const struct peer *p)
{
	return ntohl(p->local.w[3]) - ntohl(ip(BACKEND).w[3]);
}

/* Forget what was heard so far. */
MAYBE void
hush(struct peer *p)
{
	p->len = p->answered = 0;
	p->heard[0] = '\0';
}

MAYBE void
finish(struct peer *p)
{
	tcp_shutdown(p->c);
}

MAYBE void
reset(struct peer *p)
{
	tcp_abort(p->c);
	p->gone = true;
}

#define heard(p, text)     ck_assert_str_eq((p)->heard, text)
#define heard_has(p, text) ck_assert_ptr_nonnull(strstr((p)->heard, text))
#define heard_not(p, text) ck_assert_ptr_null(strstr((p)->heard, text))

/* How often `text` is in what was heard. */
MAYBE uint32_t
heard_times(const struct peer *p, const char *text)
{
	uint32_t n = 0;

	for (const char *at = p->heard; (at = strstr(at, text)) != NULL; at++)
		n++;
	return n;
}

#define OK_ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define GET       "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

/* --- main ------------------------------------------------------------------
 */

MAYBE int
lab_main(Suite *suite)
{
	char *argv[] = { (char *)"test", (char *)"--no-huge",
		(char *)"--no-pci", (char *)"--no-shconf",
		(char *)"--no-telemetry", (char *)"-m", (char *)"512",
		(char *)"--log-level=4" };
	SRunner *sr = srunner_create(suite);
	int failed;

	if (rte_eal_init(RTE_DIM(argv), argv) < 0)
		return 1;
	proxy_pool = rte_pktmbuf_pool_create(
		"proxy", 16384, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	peer_pool = rte_pktmbuf_pool_create(
		"peers", 65536, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	if (proxy_pool == NULL || peer_pool == NULL)
		return 1;
	srunner_set_fork_status(sr, CK_NOFORK);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	rte_eal_cleanup();
	return failed != 0;
}

#endif
