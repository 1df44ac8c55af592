/* SPDX-License-Identifier: BSD-3-Clause */
/* New grants: what is kept keeps its connections and counters. */
#include <errno.h>
#include <stdio.h>

#include "lb_lab.h"
#include "nf/lb/lb.h"

#define CLIENT "192.0.2.1"
#define BACK   "10.0.1.21"

static int
update(void)
{
	char why[256] = "";
	int rc = nf_lb.update(lab.lb, why, sizeof(why));

	ck_assert_msg((rc == 0) == (why[0] == '\0'), "%d but \"%s\"", rc, why);
	return rc;
}

/* Empty the grant's lists, for another set of services. */
static void
fresh(void)
{
	lab.grant.generation++;
	lab.grant.n_services = lab.grant.n_backends = lab.grant.n_snat = 0;
	memset(lab.grant.services, 0, sizeof(lab.grant.services));
	memset(lab.grant.backends, 0, sizeof(lab.grant.backends));
}

static struct spec
data(uint16_t port)
{
	return (struct spec)SPEC(CLIENT, "10.0.0.80", port, 80, IPPROTO_TCP,
		.flags = PACKET_ACK, .seq = 1001, .ack = 5001, .payload = 10);
}

static struct spec
syn(uint16_t port)
{
	return (struct spec)SPEC(CLIENT, "10.0.0.80", port, 80, IPPROTO_TCP,
		.flags = PACKET_SYN, .seq = 1);
}

static const struct stats_backend *
backend_stats(const char *addr)
{
	struct ip_addr a = lab_addr(addr);

	for (int i = 0; i < GRANT_BACKENDS_MAX; i++)
		if (lab.stats.backend[i].used &&
			ip_addr_eq(&lab.stats.backend[i].addr, &a))
			return &lab.stats.backend[i];
	return NULL;
}

/* A backend that goes keeps what it has, gets no more, then its slot goes. */
START_TEST(test_remove_backend)
{
	lab_simple(IPPROTO_TCP);
	lab_connect(CLIENT, 1, BACK);
	fresh();
	lab_service("10.0.0.80", 80, IPPROTO_TCP);
	lab_backend("10.0.1.77", 8080, 1);
	lab_snat("10.0.0.9");
	/* Its next hop's entry is somebody else's by now. */
	lab.nexthops.entry[10] = nexthop_pack((uint8_t[6]){ 2, 0, 0, 9 }, 1500);
	ck_assert_int_eq(update(), 0);
	ck_assert_uint_eq(lab.stats.connections, 1);
	lab_pass_through(data(1));
	ck_assert_ptr_nonnull(backend_stats(BACK));
	ck_assert_uint_eq(backend_stats(BACK)->connections, 1);
	for (uint16_t i = 10; i < 30; i++)
		lab_pass_through(syn(i));
	ck_assert_uint_eq(backend_stats("10.0.1.77")->connections, 20);
	ck_assert_uint_eq(backend_stats(BACK)->connections, 1);
	lab_pass(700000);
	ck_assert_uint_eq(lab.stats.connections, 0);
	ck_assert_ptr_null(backend_stats(BACK));
	ck_assert_int_eq(update(), 0);
	ck_assert_uint_eq(((struct lb *)lab.lb)->endpoint[0].refs +
				  ((struct lb *)lab.lb)->endpoint[1].refs +
				  ((struct lb *)lab.lb)->endpoint[2].refs,
		1);
	lab_stop();
}
END_TEST

/* The frozen next hop is the one that the backend had. */
START_TEST(test_removed_keeps_hop)
{
	struct spec want = data(1);
	struct rte_mbuf *m;
	uint16_t port;

	lab_simple(IPPROTO_TCP);
	port = lab_connect(CLIENT, 1, BACK);
	fresh();
	lab_service("10.0.0.80", 80, IPPROTO_TCP);
	lab_snat("10.0.0.9");
	ck_assert_int_eq(update(), 0);
	lab.nexthops.entry[10] = 0;
	m = lab_packet(data(1));
	ck_assert_uint_eq(lab_send(m), NF_TX);
	want.src = "10.0.0.9";
	want.dst = BACK;
	want.sport = port;
	want.dport = 8080;
	want.ttl = 63;
	want.smac = OWN_MAC_B;
	want.dmac = BACKEND_MAC + 10;
	ck_assert(lab_is(m, want));
	rte_pktmbuf_free(m);
	ck_assert_uint_eq(lab_try(syn(5)), NF_DROP(LB_DROP_NO_BACKEND));
	lab_stop();
}
END_TEST

/* Weight 0: old ones go on, new ones go elsewhere; and it comes back. */
START_TEST(test_drain)
{
	lab_grant();
	lab_service("10.0.0.80", 80, IPPROTO_TCP)->scheduler = (uint8_t)_i;
	lab_backend(BACK, 8080, 1);
	lab_backend("10.0.1.22", 8080, 0);
	lab_snat("10.0.0.9");
	lab_start();
	lab_connect(CLIENT, 1, BACK);
	lab.grant.backends[0].weight = 0;
	lab.grant.backends[1].weight = 1;
	ck_assert_int_eq(update(), 0);
	lab_pass_through(data(1));
	for (uint16_t i = 10; i < 20; i++)
		lab_pass_through(syn(i));
	ck_assert_uint_eq(lab.stats.backend[0].connections, 1);
	ck_assert_uint_eq(lab.stats.backend[1].connections, 10);
	lab.grant.backends[0].weight = 200;
	ck_assert_int_eq(update(), 0);
	for (uint16_t i = 30; i < 50; i++)
		lab_pass_through(syn(i));
	ck_assert_uint_gt(lab.stats.backend[0].connections, 15);
	lab_stop();
}
END_TEST

/* A service that goes: its connections end, counted, the others do not. */
START_TEST(test_remove_service)
{
	struct spec v6 = SPEC("2001:db8::1", "fd00::80", 9, 80, IPPROTO_TCP,
		.flags = PACKET_SYN);

	lab_simple(IPPROTO_TCP);
	for (uint16_t i = 1; i <= 50; i++)
		lab_connect(CLIENT, i, BACK);
	lab_pass_through(v6);
	fresh();
	lab_service("fd00::80", 80, IPPROTO_TCP);
	lab_backend("fd01::21", 8080, 1);
	lab_snat("fd00::9");
	ck_assert_int_eq(update(), 0);
	ck_assert_uint_eq(lab_try(data(1)), NF_DROP(NF_DROP_NOT_OURS));
	lab_pass(100);
	ck_assert_uint_eq(lab.stats.connections, 1);
	ck_assert_uint_eq(lab.stats.ended, 50);
	ck_assert_uint_eq(lab.stats.service[0].connections, 1);
	ck_assert_uint_eq(lab.stats.service[0].opened, 1);
	ck_assert_uint_eq(lab.stats.service[1].opened, 0);
	ck_assert_ptr_null(backend_stats(BACK));
	lab_pass_through(v6);
	ck_assert_uint_eq(nf_lb.tick(lab.lb, lab.now_us) > 0, 1);
	lab_stop();
}
END_TEST

/* Removed and back before the sweep has come by: nothing is lost. */
START_TEST(test_service_returns)
{
	const struct grant before = (lab_simple(IPPROTO_TCP), lab.grant);

	lab_connect(CLIENT, 1, BACK);
	fresh();
	ck_assert_int_eq(update(), 0);
	lab.grant = before;
	ck_assert_int_eq(update(), 0);
	lab_pass_through(data(1));
	lab_pass(1000);
	ck_assert_uint_eq(lab.stats.connections, 1);
	ck_assert_uint_eq(lab.stats.ended, 0);
	lab_stop();
}
END_TEST

/* Another order in the config: counters stay with whom they count. */
START_TEST(test_reorder)
{
	lab_simple(IPPROTO_TCP);
	lab_connect(CLIENT, 1, BACK);
	fresh();
	lab_service("10.0.0.99", 99, IPPROTO_UDP);
	lab_backend("10.0.1.99", 99, 3);
	lab_service("fd00::80", 80, IPPROTO_TCP);
	lab_backend("fd01::21", 8080, 1);
	lab_service("10.0.0.80", 80, IPPROTO_TCP);
	lab_backend("10.0.1.20", 8080, 1);
	lab_backend(BACK, 8080, 1);
	lab_snat("fd00::9");
	lab_snat("10.0.0.8");
	lab_snat("10.0.0.9");
	ck_assert_int_eq(update(), 0);
	lab_pass_through(data(1));
	ck_assert_uint_eq(lab.stats.service[0].packets, 0);
	ck_assert_uint_eq(lab.stats.service[2].packets, 4);
	ck_assert_uint_eq(lab.stats.service[2].connections, 1);
	ck_assert_uint_eq(backend_stats(BACK)->packets, 4);
	ck_assert_uint_eq(backend_stats(BACK)->service, 2);
	lab_stop();
}
END_TEST

START_TEST(test_timeouts_live)
{
	lab_simple(IPPROTO_TCP);
	lab_connect(CLIENT, 1, BACK);
	lab_pass_through(syn(2));
	lab.grant.timeouts.established_ms = 100000;
	lab.grant.timeouts.syn_ms = 1000;
	ck_assert_int_eq(update(), 0);
	lab_pass(1100);
	ck_assert_uint_eq(lab.stats.connections, 1);
	lab_pass(98000);
	ck_assert_uint_eq(lab.stats.connections, 1);
	lab_pass(70000);
	ck_assert_uint_eq(lab.stats.connections, 0);
	lab_stop();
}
END_TEST

START_TEST(test_scheduler_live)
{
	lab_grant();
	lab_service("10.0.0.80", 80, IPPROTO_TCP);
	lab_backend(BACK, 8080, 1);
	lab_backend("10.0.1.22", 8080, 1);
	lab_snat("10.0.0.9");
	lab_start();
	for (uint16_t i = 1; i < 30; i++)
		lab_pass_through(syn(i));
	lab.grant.services[0].scheduler = GRANT_SCHED_LEASTCONN;
	ck_assert_int_eq(update(), 0);
	for (uint16_t i = 101; i < 132; i++)
		lab_pass_through(syn(i));
	ck_assert_uint_eq(lab.stats.backend[0].connections, 30);
	ck_assert_uint_eq(lab.stats.backend[1].connections, 30);
	lab_stop();
}
END_TEST

/* The same backend in two services: their connections share its ports. */
START_TEST(test_shared_backend)
{
	uint16_t one, two;
	struct spec other = SPEC(
		CLIENT, "10.0.0.81", 1, 80, IPPROTO_TCP, .flags = PACKET_SYN);
	struct spec same = SPEC(
		CLIENT, "10.0.0.80", 1, 80, IPPROTO_TCP, .flags = PACKET_SYN);

	lab_grant();
	lab.grant.buckets = 1;
	lab_service("10.0.0.80", 80, IPPROTO_TCP);
	lab_backend(BACK, 8080, 1);
	lab_service("10.0.0.81", 80, IPPROTO_TCP);
	lab_backend(BACK, 8080, 1);
	lab_snat("10.0.0.9");
	lab_start();
	one = lab_pass_through(same);
	two = lab_pass_through(other);
	ck_assert_uint_ne(one, two);
	ck_assert_uint_eq(lab.stats.service[0].connections, 1);
	ck_assert_uint_eq(lab.stats.service[1].connections, 1);
	lab_stop();
}
END_TEST

/* A SNAT address that goes is used no more for new ones. */
START_TEST(test_remove_snat)
{
	lab_simple(IPPROTO_TCP);
	lab_connect(CLIENT, 1, BACK);
	lab.grant.snat[0] = lab_addr("10.0.0.66");
	ck_assert_int_eq(update(), 0);
	lab_pass_through(data(1));
	for (uint16_t i = 10; i < 20; i++) {
		struct rte_mbuf *m = lab_packet(syn(i));

		ck_assert_uint_eq(lab_send(m), NF_TX);
		ck_assert_uint_eq(rte_pktmbuf_mtod(m, uint8_t *)[29], 66);
		rte_pktmbuf_free(m);
	}
	lab_pass(700000);
	ck_assert_int_eq(update(), 0);
	ck_assert_uint_eq(lb_snat_find(lab.lb,
				  (struct ip_addr[]){ lab_addr("10.0.0.9") }),
		LB_NONE);
	lab_stop();
}
END_TEST

/* A process that starts anew goes on with the counters of the former. */
START_TEST(test_restart)
{
	lab_simple(IPPROTO_TCP);
	lab_connect(CLIENT, 1, BACK);
	nf_lb.destroy(lab.lb);
	lab_start();
	ck_assert_uint_eq(lab.stats.connections, 0);
	ck_assert_uint_eq(lab.stats.opened, 1);
	ck_assert_uint_eq(lab.stats.service[0].packets, 3);
	ck_assert_uint_eq(lab.stats.service[0].connections, 0);
	ck_assert_uint_eq(backend_stats(BACK)->packets, 3);
	ck_assert_uint_eq(backend_stats(BACK)->connections, 0);
	lab_stop();
}
END_TEST

/* --- refused --- */

struct fault {
	const char *what;
	void (*make)(struct grant *g);
};

static void
f_connections(struct grant *g)
{
	g->max_connections = 2048;
}
static void
f_none(struct grant *g)
{
	g->max_connections = 0;
}
static void
f_half(struct grant *g)
{
	g->max_half_open = 0;
}
static void
f_seed(struct grant *g)
{
	g->steer_seed++;
}
static void
f_own(struct grant *g)
{
	g->own[0] = 1;
}
static void
f_own_none(struct grant *g)
{
	memset(g->own, 0, sizeof(g->own));
}
static void
f_buckets(struct grant *g)
{
	g->buckets = 100;
}
static void
f_buckets2(struct grant *g)
{
	g->buckets = 64;
}
static void
f_many(struct grant *g)
{
	g->n_services = 65;
}
static void
f_backends(struct grant *g)
{
	g->n_backends = 1025;
}
static void
f_snats(struct grant *g)
{
	g->n_snat = 257;
}
static void
f_snat(struct grant *g)
{
	g->n_snat = 1;
}
static void
f_proto(struct grant *g)
{
	g->services[0].proto = 1;
}
static void
f_port(struct grant *g)
{
	g->services[0].port = 0;
}
static void
f_sched(struct grant *g)
{
	g->services[0].scheduler = 3;
}
static void
f_beyond(struct grant *g)
{
	g->services[0].n_backends = 3;
}
static void
f_first(struct grant *g)
{
	g->services[0].first_backend = ~0u;
}
static void
f_family(struct grant *g)
{
	g->services[0].first_backend = 1;
}
static void
f_hop(struct grant *g)
{
	g->backends[1].nexthop = 4096;
}
static void
f_weight(struct grant *g)
{
	g->backends[1].weight = 257;
}
static void
f_uplink(struct grant *g)
{
	g->client_uplink = 4096;
}
static void
f_time(struct grant *g)
{
	g->timeouts.udp_ms = 0;
}
static void
f_long(struct grant *g)
{
	g->timeouts.fin_ms = ~0u;
}

static const struct fault faults[] = {
	{ "table size", f_connections },
	{ "no connections", f_none },
	{ "no half-open", f_half },
	{ "seed", f_seed },
	{ "owned buckets", f_own },
	{ "no bucket owned", f_own_none },
	{ "buckets no power of two", f_buckets },
	{ "buckets", f_buckets2 },
	{ "services", f_many },
	{ "backends", f_backends },
	{ "snats", f_snats },
	{ "no snat of the family", f_snat },
	{ "protocol", f_proto },
	{ "port", f_port },
	{ "scheduler", f_sched },
	{ "backends beyond the list", f_beyond },
	{ "first backend", f_first },
	{ "family", f_family },
	{ "next hop", f_hop },
	{ "weight", f_weight },
	{ "uplink", f_uplink },
	{ "time-out of 0", f_time },
	{ "time-out too long", f_long },
};

/* Refused with a reason, and all goes on by the old grant. */
START_TEST(test_refused)
{
	struct grant before;

	lab_simple(IPPROTO_TCP);
	lab_connect(CLIENT, 1, BACK);
	before = lab.grant;
	faults[_i].make(&lab.grant);
	ck_assert_msg(update() == -EINVAL, "%s", faults[_i].what);
	lab.grant = before;
	lab_pass_through(data(1));
	lab_pass_through(syn(7));
	ck_assert_uint_eq(lab.stats.connections, 2);
	lab_stop();
}
END_TEST

/* More draining backends than there are slots: refused, nothing lost. */
START_TEST(test_no_slots)
{
	char addr[32];
	struct grant before;

	lab_simple(IPPROTO_TCP);
	lab_connect(CLIENT, 1, BACK);
	before = lab.grant;
	fresh();
	lab_service("10.0.0.80", 80, IPPROTO_TCP);
	for (int i = 0; i < GRANT_BACKENDS_MAX; i++) {
		snprintf(
			addr, sizeof(addr), "10.7.%d.%d", i / 250, i % 250 + 1);
		lab_backend(addr, 80, 1);
	}
	lab_snat("10.0.0.9");
	ck_assert_int_eq(update(), -ENOSPC);
	lab.grant = before;
	lab_pass_through(data(1));
	lab_pass_through(syn(9));
	ck_assert_uint_eq(lab.stats.backend[0].connections +
				  lab.stats.backend[1].connections,
		2);
	ck_assert_int_eq(update(), 0);
	lab_pass_through(syn(10));
	lab_stop();
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("lb_update");
	TCase *tc = tcase_create("update");

	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, test_remove_backend);
	tcase_add_test(tc, test_removed_keeps_hop);
	tcase_add_loop_test(tc, test_drain, 0, 3);
	tcase_add_test(tc, test_remove_service);
	tcase_add_test(tc, test_service_returns);
	tcase_add_test(tc, test_reorder);
	tcase_add_test(tc, test_timeouts_live);
	tcase_add_test(tc, test_scheduler_live);
	tcase_add_test(tc, test_shared_backend);
	tcase_add_test(tc, test_remove_snat);
	tcase_add_test(tc, test_restart);
	tcase_add_loop_test(tc, test_refused, 0, RTE_DIM(faults));
	tcase_add_test(tc, test_no_slots);
	suite_add_tcase(suite, tc);
	return lab_run(suite);
}
