/* SPDX-License-Identifier: BSD-3-Clause */
/* A crash behind every record that a history has left in the log. */
#include "lb_log.h"

/* --- a history, and what there was after each step of it --- */

struct conn {
	uint32_t index;
	uint8_t state; /* half-open ones as logged */
	uint8_t proto;
	bool live; /* service and backend are in the grant */
	struct ip_addr client, vip, snat, backend;
	uint16_t client_port, vip_port, snat_port, backend_port;
	uint8_t mac[6];
};

struct step {
	uint64_t lsn; /* last record so far */
	struct grant *grant;
	struct conn conn[64];
	uint32_t n;
};

static struct step steps[400];
static uint32_t n_steps;

/* Both ends closed: not to be recovered. */
static bool
counts(const struct flow *f)
{
	return f->state != FLOW_FREE &&
	       (f->state != FLOW_CLOSED ||
		       ((f->flags & FLOW_F_EST) &&
			       (f->flags & (FLOW_F_RST(0) | FLOW_F_RST(1)))));
}

static struct conn
conn_of(const struct lb *lb, const struct flow *f)
{
	const struct lb_service *s = &lb->service[f->service];
	const struct lb_backend *b = &lb->backend[f->backend];
	struct conn c;

	memset(&c, 0, sizeof(c));
	c.index = flow_index(&lb->flows, f);
	c.state = f->state == FLOW_SYN_RCVD ? FLOW_SYN : f->state;
	c.proto = s->proto;
	c.live = s->live && b->live && lb->snat[f->snat].live;
	c.client = f->client;
	c.vip = s->addr;
	c.snat = lb->snat[f->snat].addr;
	c.backend = b->addr;
	c.client_port = f->client_port;
	c.vip_port = s->port;
	c.snat_port = f->snat_port;
	c.backend_port = b->port;
	memcpy(c.mac, f->client_mac, 6);
	return c;
}

static uint32_t
conns(struct conn *out, uint32_t max)
{
	struct lb *lb = the_lb();
	uint32_t n = 0;

	for (uint32_t i = 0; i < lb->flows.n; i++)
		if (counts(&lb->flows.flow[i])) {
			ck_assert_uint_lt(n, max);
			out[n++] = conn_of(lb, &lb->flows.flow[i]);
		}
	return n;
}

static void
step(void)
{
	struct step *s = &steps[n_steps++];

	ck_assert_uint_lt(n_steps, RTE_DIM(steps));
	s->lsn = lab.log->lsn;
	s->n = conns(s->conn, RTE_DIM(s->conn));
	s->grant = malloc(sizeof(*s->grant));
	memcpy(s->grant, &lab.grant, sizeof(*s->grant));
}

static uint16_t
act(struct spec s)
{
	uint16_t port = lab_pass_through(s);

	step();
	return port;
}

static void
wait_ms(uint64_t ms)
{
	pass(ms);
	step();
}

static uint16_t
shake(uint16_t port)
{
	uint16_t snat_port = act(syn(port));

	act(reply(port, snat_port, PACKET_SYN | PACKET_ACK, 5000, 1001));
	act(from_client(port, PACKET_ACK, 1001, 5001));
	return snat_port;
}

static void
close_both(uint16_t port, uint16_t snat_port)
{
	act(from_client(port, PACKET_FIN | PACKET_ACK, 1001, 5001));
	act(reply(port, snat_port, PACKET_FIN | PACKET_ACK, 5001, 1002));
	act(from_client(port, PACKET_ACK, 1002, 5002));
}

static void
backends(const char *a, const char *b)
{
	char why[256];

	lab.grant.generation++;
	lab.grant.n_services = lab.grant.n_backends = 0;
	memset(lab.grant.services, 0, sizeof(lab.grant.services));
	lab_service(VIP, 80, IPPROTO_TCP)->scheduler = GRANT_SCHED_RR;
	lab_backend(a, 8080, 1);
	lab_backend(b, 8080, 1);
	lab_service(VIP, 53, IPPROTO_UDP);
	lab_backend(BACK, 53, 1);
	lab_service("fd00::80", 80, IPPROTO_TCP);
	lab_backend("fd01::21", 8080, 1);
	if (lab.lb != NULL) {
		ck_assert_int_eq(nf_lb.update(lab.lb, why, sizeof(why)), 0);
		step();
	}
}

static void
play_udp(void)
{
	struct spec c = SPEC(CLIENT, VIP, 3, 53, IPPROTO_UDP, .payload = 9);
	struct spec b = SPEC(BACK, SNAT, 53, 0, IPPROTO_UDP, .payload = 9);

	b.dport = act(c);
	act(b);
	c.sport = 4;
	act(c);
}

static void
play_v6(void)
{
	struct spec c = SPEC("2001:db8::7", "fd00::80", 5, 80, IPPROTO_TCP,
		.flags = PACKET_SYN, .seq = 1000);
	struct spec b = SPEC("fd01::21", "fd00::9", 8080, 0, IPPROTO_TCP,
		.flags = PACKET_SYN | PACKET_ACK, .seq = 5000, .ack = 1001);

	b.dport = act(c);
	act(b);
	c.flags = PACKET_ACK;
	c.seq = 1001;
	c.ack = 5001;
	act(c);
}

static void
play_resets(void)
{
	uint16_t p;

	shake(7);
	act(from_client(7, PACKET_RST, 1001, 0));
	shake(8);
	act(from_client(8, PACKET_RST, 1001, 0));
	act(from_client(8, PACKET_ACK, 1001, 5001));
	p = shake(9);
	act(from_client(9, PACKET_RST, 1001, 0));
	act(syn(9));
	act(reply(9, p, PACKET_SYN | PACKET_ACK, 9000, 1001));
	act(from_client(9, PACKET_ACK, 1001, 9001));
	p = act(syn(10));
	act(reply(10, p, PACKET_RST | PACKET_ACK, 0, 1001));
	act(syn(10));
}

static void
play(void)
{
	uint16_t p[40];

	n_steps = 0;
	step();
	shake(1);
	act(syn(2));
	play_udp();
	play_v6();
	close_both(6, shake(6));
	play_resets();
	wait_ms(6000);
	backends("10.0.1.22", "10.0.1.23");
	for (uint16_t i = 11; i < 15; i++)
		p[i] = shake(i);
	act(from_client(12, PACKET_FIN | PACKET_ACK, 1001, 5001));
	close_both(11, p[11]);
	/* The first one's slot is free, and becomes the fourth one's. */
	for (uint16_t i = 1; i < 10; i++)
		if (i == 1 || i == 8 || i == 9)
			act(from_client(i, PACKET_RST, 1001, 0));
	wait_ms(11000);
	backends("10.0.1.22", "10.0.1.24");
	for (uint16_t i = 15; i < 18; i++)
		shake(i);
	for (uint16_t i = 100; i < 112; i++)
		act(syn(i));
	wait_ms(10100);
}

static void
start_history(void)
{
	bench_make(1024);
	lab_grant();
	lab.grant.store.durability = GRANT_DURABILITY_BATCH;
	lab.grant.max_half_open = 6;
	lab.grant.max_connections = 64;
	lab_snat(SNAT);
	lab_snat("fd00::9");
	backends(BACK, "10.0.1.22");
	log_open(NULL);
	lab_start();
}

/* --- a store with the first n records of another --- */

static void
store_prefix(const struct records *all, uint64_t n)
{
	struct stats_log ignored = { 0 };
	struct plog *log;

	mem_format(&bench.mem, 1024, "lb");
	log = mem_log(&bench.mem, "lb", &ignored, records_add,
		&(struct records){ .n = 0 }, NULL);
	for (uint64_t i = 0; i < n; i++) {
		const struct record *r = &all->r[i];
		void *at = plog_reserve(log, r->kind, r->len);

		ck_assert_ptr_nonnull(at);
		memcpy(at, r->data, r->len);
	}
	mem_settle(log);
	plog_destroy(log, 0);
}

/* --- what came back --- */

static const struct conn *
conn_at(const struct step *s, uint32_t index)
{
	for (uint32_t i = 0; i < s->n; i++)
		if (s->conn[i].index == index)
			return &s->conn[i];
	return NULL;
}

/* The same connection, or none in both. */
static bool
same(const struct conn *a, const struct conn *b)
{
	struct conn x, y;

	if (a != NULL && !a->live)
		a = NULL;
	if (a == NULL || b == NULL)
		return a == b;
	x = *a;
	y = *b;
	return memcmp(&x, &y, sizeof(x)) == 0;
}

static const char *
text_of(const struct ip_addr *a, char *text)
{
	int v4 = ip_addr_is_v4(a);

	return inet_ntop(v4 ? AF_INET : AF_INET6,
		v4 ? (const void *)&a->w[3] : a, text, INET6_ADDRSTRLEN);
}

static uint64_t
backend_mac(const struct conn *c)
{
	for (uint32_t i = 0; i < lab.grant.n_backends; i++)
		if (ip_addr_eq(&lab.grant.backends[i].addr, &c->backend) &&
			lab.grant.backends[i].port == c->backend_port)
			return BACKEND_MAC + 10 + i;
	return 0;
}

static uint64_t
mac_of(const uint8_t mac[6])
{
	uint64_t v = 0;

	for (int i = 0; i < 6; i++)
		v = v << 8 | mac[i];
	return v;
}

static void
goes(struct spec in, struct spec out)
{
	struct rte_mbuf *m = lab_packet(in);

	out.ttl = 63;
	ck_assert_uint_eq(lab_send(m), NF_TX);
	ck_assert(lab_is(m, out));
	rte_pktmbuf_free(m);
}

/* Packets of `c` come out both ways as they did before. */
static void
both_ways(const struct conn *c)
{
	char client[INET6_ADDRSTRLEN], vip[INET6_ADDRSTRLEN];
	char snat[INET6_ADDRSTRLEN], backend[INET6_ADDRSTRLEN];
	struct spec in = { .proto = c->proto,
		.flags = PACKET_ACK,
		.seq = 1001,
		.ack = 5001,
		.payload = 11 };
	struct spec out = in;

	if (c->proto == IPPROTO_UDP)
		in.flags = out.flags = 0;
	in.src = text_of(&c->client, client);
	in.dst = text_of(&c->vip, vip);
	in.sport = ntohs(c->client_port);
	in.dport = ntohs(c->vip_port);
	in.smac = mac_of(c->mac);
	out.src = text_of(&c->snat, snat);
	out.dst = text_of(&c->backend, backend);
	out.sport = ntohs(c->snat_port);
	out.dport = ntohs(c->backend_port);
	out.smac = OWN_MAC_B;
	out.dmac = backend_mac(c);
	goes(in, out);
	in = out;
	out.src = vip;
	out.dst = client;
	out.sport = ntohs(c->vip_port);
	out.dport = ntohs(c->client_port);
	out.smac = OWN_MAC;
	out.dmac = mac_of(c->mac);
	in.src = backend;
	in.dst = snat;
	in.sport = ntohs(c->backend_port);
	in.dport = ntohs(c->snat_port);
	in.smac = 0;
	in.dmac = OWN_MAC_B;
	goes(in, out);
}

/* No two connections have one port towards one backend. */
static void
ports_differ(void)
{
	static struct conn all[64];
	uint32_t n;

	for (uint16_t i = 0; i < 6; i++)
		lab_try(syn((uint16_t)(2000 + i)));
	n = conns(all, RTE_DIM(all));
	for (uint32_t i = 0; i < n; i++)
		for (uint32_t k = 0; k < i; k++)
			ck_assert(
				all[i].snat_port != all[k].snat_port ||
				!ip_addr_eq(&all[i].backend, &all[k].backend) ||
				all[i].proto != all[k].proto);
}

/*
 * The table is what `before` or `after`, the steps around, have. Between them
 * an entry may be free that one connection has left and another will take.
 */
static void
is_between(const struct step *before, const struct step *after)
{
	static struct step now;

	now.n = conns(now.conn, RTE_DIM(now.conn));
	for (uint32_t i = 0; i < the_lb()->flows.n; i++) {
		const struct conn *c = conn_at(&now, i);

		ck_assert_msg(same(conn_at(before, i), c) ||
				      same(conn_at(after, i), c) ||
				      (c == NULL && before != after),
			"connection %u of lsn %lu to %lu", i,
			(unsigned long)before->lsn, (unsigned long)after->lsn);
	}
	ck_assert_uint_eq(lab.stats.log.recovered, now.n);
	consistent();
	for (uint32_t i = 0; i < now.n; i++)
		both_ways(&now.conn[i]);
	ports_differ();
	consistent();
}

/* The last step whose records are all among the first n. */
static uint32_t
step_of(uint64_t n)
{
	uint32_t i = 0;

	while (i + 1 < n_steps && steps[i + 1].lsn <= n)
		i++;
	return i;
}

/* A crash behind every record of the history. */
START_TEST(test_every_record)
{
	static struct records all;
	uint32_t at;

	start_history();
	play();
	log_settle();
	records_read(&all);
	ck_assert_uint_eq(all.n, lab.log->lsn);
	ck_assert_uint_gt(all.n, 100);
	crash();
	for (uint64_t n = 0; n <= all.n; n++) {
		store_prefix(&all, n);
		at = step_of(n);
		memcpy(&lab.grant, steps[at].grant, sizeof(lab.grant));
		restart(0);
		is_between(&steps[at],
			&steps[at + 1 < n_steps && steps[at].lsn < n ? at + 1
								     : at]);
		crash();
	}
	for (uint32_t i = 0; i < n_steps; i++)
		free(steps[i].grant);
	mem_free(&bench.mem);
}
END_TEST

/* A crash after a crash after a crash: the log goes on in between. */
START_TEST(test_again_and_again)
{
	start_simple(IPPROTO_TCP, GRANT_DURABILITY_BATCH);
	for (uint16_t i = 1; i <= 20; i++) {
		lab_connect(CLIENT, i, BACK);
		log_settle();
		crash();
		restart(10);
		log_settle();
		ck_assert_uint_eq(lab.stats.log.recovered, i);
		ck_assert_uint_eq(lab.stats.log.lost_other, 0);
		for (uint16_t k = 1; k <= i; k++)
			lab_pass_through(
				from_client(k, PACKET_ACK, 1001, 5001));
		consistent();
	}
	ck_assert_uint_eq(records_count(RECORD_SERVICE, 0), 40);
	bench_end();
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("lb_log_crash");
	TCase *tc = tcase_create("crash");

	tcase_set_timeout(tc, 170);
	tcase_add_test(tc, test_every_record);
	tcase_add_test(tc, test_again_and_again);
	suite_add_tcase(suite, tc);
	return lab_run(suite);
}
