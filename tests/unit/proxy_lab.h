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

#include "tests/unit/proxy_peers.h"

#define ROUND_US (4096 * 1000ull)

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

	/*
	 * tcp_bind() reads the clock: the world begins soon after, at a round
	 * time, so that what a test does by the clock is always the same.
	 */
	lab.now_us = (rte_rdtsc() / ROUND_US + 1) * ROUND_US;
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
