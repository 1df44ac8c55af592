/* SPDX-License-Identifier: BSD-3-Clause */
/* The plan: shares, ownership, both directions, numbering, compatibility. */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctrl/plan.h"

#define SEED 0x5eed1234u

/*
 * A config of two uplinks and two functions, all of it on the stack: "web" of
 * `instances` over `buckets`, two services and backends that they share, and
 * "ping".
 */
struct fixture {
	struct config config;
	struct config_uplink uplinks[2];
	struct config_function functions[2];
	struct config_service web[2], ping[1];
	struct config_backend b4[3], b6[2];
	struct ip_addr snat[2];
};

static struct ip_addr
addr(const char *text)
{
	struct ip_addr a = { { 0 } };

	ck_assert_int_eq(ip_addr_parse(text, &a), 0);
	return a;
}

static void
fill_services(struct fixture *f)
{
	f->b4[0] = (struct config_backend){ addr("10.0.2.21"), 8080, 2, 0 };
	f->b4[1] = (struct config_backend){ addr("10.0.2.22"), 8080, 1, 0 };
	f->b4[2] = (struct config_backend){ addr("10.0.2.21"), 8081, 0, 0 };
	f->b6[0] = (struct config_backend){ addr("10.0.2.20"), 53, 1, 0 };
	f->b6[1] = (struct config_backend){ addr("10.0.2.22"), 53, 1, 0 };
	f->snat[0] = addr("10.0.2.9");
	f->snat[1] = addr("fd00:2::9");
	f->web[0] = (struct config_service){ .name = "site",
		.addr = addr("10.0.1.80"),
		.port = 80,
		.proto = IPPROTO_TCP,
		.scheduler = GRANT_SCHED_MAGLEV,
		.n_backends = 3,
		.backends = f->b4 };
	f->web[1] = (struct config_service){ .name = "dns",
		.addr = addr("10.0.1.80"),
		.port = 53,
		.proto = IPPROTO_UDP,
		.scheduler = GRANT_SCHED_RR,
		.hash_source = true,
		.n_backends = 2,
		.backends = f->b6 };
	f->ping[0] = (struct config_service){
		.name = "p", .addr = addr("fd00:1::90"), .proto = IPPROTO_ICMP
	};
}

static void
fill(struct fixture *f, unsigned int instances, unsigned int buckets)
{
	memset(f, 0, sizeof(*f));
	fill_services(f);
	f->uplinks[0] = (struct config_uplink){
		.name = "wan", .device = "wan0", .provider = "xdp"
	};
	f->uplinks[1] = (struct config_uplink){
		.name = "lan", .device = "lan0", .provider = "xdp"
	};
	f->functions[0] = (struct config_function){ .name = "web",
		.type = "lb",
		.uplink = 0,
		.backend_uplink = 1,
		.instances = instances,
		.buckets = buckets,
		.max_connections = 1024,
		.max_half_open = 256,
		.timeouts = { 1, 2, 3, 4, 5, 6 },
		.durability = GRANT_DURABILITY_BATCH,
		.log_size = 1 << 20,
		.n_snat = 2,
		.snat = f->snat,
		.n_services = 2,
		.services = f->web };
	f->functions[1] = (struct config_function){ .name = "ping",
		.type = "echo",
		.uplink = 1,
		.backend_uplink = 1,
		.instances = 1,
		.buckets = 8,
		.log_size = 1 << 20,
		.cores = { 3 },
		.n_services = 1,
		.services = f->ping };
	for (unsigned int i = 0; i < instances; i++)
		f->functions[0].cores[i] = i;
	f->config = (struct config){ .name = "t",
		.user = "nobody",
		.state = "/var/lib/carryall",
		.n_uplinks = 2,
		.uplinks = f->uplinks,
		.n_functions = 2,
		.functions = f->functions };
}

static struct plan *
make(struct fixture *f, unsigned int instances, unsigned int buckets)
{
	struct plan *p;

	fill(f, instances, buckets);
	p = plan_create(&f->config, SEED);
	ck_assert_ptr_nonnull(p);
	return p;
}

/* --- shares: a bucket has one owner, and owners differ by one at most --- */

static unsigned int
owned(const struct grant *g)
{
	unsigned int n = 0;

	for (unsigned int b = 0; b < GRANT_BUCKETS_MAX; b++)
		n += (unsigned int)grant_owns(g, b);
	return n;
}

static void
assert_shares(unsigned int instances, unsigned int buckets)
{
	struct fixture f;
	struct plan *p = make(&f, instances, buckets);
	unsigned int least = buckets, most = 0, sum = 0, disagree = 0;

	ck_assert_uint_eq(p->n_instances, instances + 1);
	ck_assert_uint_eq(p->n_entries, buckets + 8);
	for (unsigned int i = 0; i < instances; i++) {
		unsigned int n = owned(p->instances[i].grant);

		least = n < least ? n : least;
		most = n > most ? n : most;
		sum += n;
	}
	ck_assert_uint_eq(sum, buckets);
	ck_assert_uint_le(most - least, 1);
	ck_assert_uint_ge(least, 1);
	/* bucket -> instance and instance -> bucket say the same */
	for (unsigned int b = 0; b < buckets; b++)
		for (unsigned int i = 0; i < instances; i++)
			disagree += grant_owns(p->instances[i].grant, b) !=
				    (p->entries[b] == p->instances[i].vnic);
	ck_assert_uint_eq(disagree, 0);
	plan_free(p);
}

/* All numbers of instances; every power of two that is enough for them. */
START_TEST(shares)
{
	unsigned int instances = (unsigned int)_i;

	for (unsigned int b = 1; b <= GRANT_BUCKETS_MAX; b *= 2)
		if (b >= instances)
			assert_shares(instances, b);
}
END_TEST

/* --- both directions --- */

static const struct plan_steer *
find_steer(const struct plan *p, const struct ip_addr *a, uint16_t port,
	uint8_t proto)
{
	struct steer_key key = { *a, htons(port), proto, 0 };

	for (unsigned int i = 0; i < p->n_steers; i++)
		if (memcmp(&p->steers[i].key, &key, sizeof(key)) == 0)
			return &p->steers[i];
	return NULL;
}

/*
 * What the hash sends to an instance, comes back to it by the SNAT port that
 * its bucket is coded into.
 */
START_TEST(both_directions)
{
	struct fixture f;
	struct plan *p = make(&f, 1 + (unsigned int)_i, 128);
	const struct plan_steer *in =
		find_steer(p, &f.web[0].addr, 80, IPPROTO_TCP);
	const struct plan_steer *back = find_steer(p, &f.snat[0], 0, 0);

	ck_assert_ptr_nonnull(in);
	ck_assert_ptr_nonnull(back);
	for (unsigned int i = 0; i < 2000; i++) {
		struct steer_tuple t = { .src = addr("198.51.100.7"),
			.dst = f.web[0].addr,
			.sport = htons((uint16_t)(1024 + i * 31)),
			.dport = htons(80),
			.proto = IPPROTO_TCP };
		uint32_t b = steer_bucket(&t, p->seed, &in->target);
		uint32_t vnic = p->entries[in->target.first + b];
		uint16_t port =
			(uint16_t)(STEER_SNAT_PORT_MIN + (i % 500) * 128 + b);

		ck_assert_uint_eq(p->entries[back->target.first +
					     (port & back->target.mask)],
			vnic);
		ck_assert(grant_owns(p->instances[vnic].grant, b));
	}
	plan_free(p);
}
END_TEST

/* --- numbering --- */

START_TEST(steers)
{
	struct fixture f;
	struct plan *p = make(&f, 2, 128);
	const struct plan_steer *tcp =
		find_steer(p, &f.web[0].addr, 80, IPPROTO_TCP);
	const struct plan_steer *udp =
		find_steer(p, &f.web[0].addr, 53, IPPROTO_UDP);
	const struct plan_steer *snat6 = find_steer(p, &f.snat[1], 0, 0);
	const struct plan_steer *icmp =
		find_steer(p, &f.ping[0].addr, 0, IPPROTO_ICMP);

	ck_assert_uint_eq(p->n_steers, 5);
	ck_assert(tcp != NULL && udp != NULL && snat6 != NULL && icmp != NULL);
	ck_assert_uint_eq(tcp->target.function, 0);
	ck_assert_uint_eq(tcp->target.first, 0);
	ck_assert_uint_eq(tcp->target.mask, 127);
	ck_assert_uint_eq(tcp->target.flags, 0);
	ck_assert_uint_eq(tcp->target.uplink, 0);
	ck_assert_uint_eq(tcp->prefix, 32);
	ck_assert_uint_eq(udp->target.flags, STEER_F_HASH_SOURCE);
	ck_assert_uint_eq(snat6->target.flags, STEER_F_SNAT);
	ck_assert_uint_eq(snat6->target.uplink, 1);
	ck_assert_uint_eq(snat6->prefix, 128);
	ck_assert_uint_eq(icmp->target.function, 1);
	ck_assert_uint_eq(icmp->target.first, 128);
	ck_assert_uint_eq(icmp->target.mask, 7);
	ck_assert_uint_eq(icmp->target.flags, 0);
	ck_assert_uint_eq(icmp->target.uplink, 1);
	plan_free(p);
}
END_TEST

/* Each backend address once, in the order of the file, after the uplinks. */
START_TEST(nexthops)
{
	static const char *const order[] = { "10.0.2.21", "10.0.2.22",
		"10.0.2.20" };
	struct fixture f;
	struct plan *p = make(&f, 2, 128);
	const struct grant *g = p->instances[1].grant;
	char buf[46];

	ck_assert_uint_eq(p->n_nexthops, 3);
	for (unsigned int i = 0; i < 3; i++) {
		ck_assert_str_eq(
			ip_addr_format(&p->nexthops[i].addr, buf), order[i]);
		ck_assert_uint_eq(p->nexthops[i].index, 2 + i);
	}
	ck_assert_uint_eq(g->n_nexthops, 5);
	ck_assert_uint_eq(g->backends[0].nexthop, 2);
	ck_assert_uint_eq(g->backends[1].nexthop, 3);
	ck_assert_uint_eq(g->backends[2].nexthop, 2);
	ck_assert_uint_eq(g->backends[3].nexthop, 4);
	ck_assert_uint_eq(g->backends[4].nexthop, 3);
	plan_free(p);
}
END_TEST

START_TEST(instances)
{
	static const char *const names[] = { "web.0", "web.1", "ping.0" };
	struct fixture f;
	struct plan *p = make(&f, 2, 128);

	for (unsigned int i = 0; i < 3; i++) {
		const struct plan_instance *in = &p->instances[i];

		ck_assert_str_eq(in->name, names[i]);
		ck_assert_uint_eq(in->vnic, i);
		ck_assert_uint_eq(in->function, i / 2);
		ck_assert_uint_eq(in->grant->instance, i % 2);
		ck_assert_uint_eq(in->grant->instances, i < 2 ? 2 : 1);
	}
	ck_assert_uint_eq(p->entries[127], 1);
	ck_assert_uint_eq(p->entries[128], 2);
	ck_assert_uint_eq(p->entries[135], 2);
	plan_free(p);
}
END_TEST

/* The longest name of an instance leaves room for a netdev's suffix. */
START_TEST(longest_name)
{
	struct fixture f;
	struct plan *p;

	fill(&f, 64, 64);
	strcpy(f.functions[0].name, "abcdefghijk");
	p = plan_create(&f.config, SEED);
	ck_assert_ptr_nonnull(p);
	ck_assert_str_eq(p->instances[63].name, "abcdefghijk.63");
	ck_assert_uint_le(strlen(p->instances[63].name) + 1, IFNAMSIZ - 1);
	plan_free(p);
}
END_TEST

START_TEST(grants)
{
	struct fixture f;
	struct plan *p = make(&f, 2, 128);
	const struct grant *g = p->instances[1].grant;

	ck_assert_uint_eq(g->magic, GRANT_MAGIC);
	ck_assert_uint_eq(g->version, GRANT_VERSION);
	ck_assert_uint_eq(g->size, sizeof(*g));
	ck_assert_uint_eq(g->generation, 1);
	ck_assert_str_eq(g->appliance, "t");
	ck_assert_str_eq(g->function, "web");
	ck_assert_str_eq(g->type, "lb");
	ck_assert_uint_eq(g->core, 1);
	ck_assert_uint_eq(g->share_core, 0);
	ck_assert_uint_eq(g->steer_seed, SEED);
	ck_assert_uint_eq(g->buckets, 128);
	ck_assert_uint_eq(g->client_uplink, 0);
	ck_assert_uint_eq(g->backend_uplink, 1);
	ck_assert_uint_eq(g->max_connections, 1024);
	ck_assert_uint_eq(g->max_half_open, 256);
	ck_assert_uint_eq(g->timeouts.syn_ms, 1);
	ck_assert_uint_eq(g->timeouts.udp_ms, 6);
	ck_assert_uint_eq(g->store.size, 1 << 20);
	ck_assert_uint_eq(g->store.durability, GRANT_DURABILITY_BATCH);
	/* none is kept: no size either, whatever the config says */
	ck_assert_uint_eq(p->instances[2].grant->store.size, 0);
	ck_assert_uint_eq(g->n_snat, 2);
	ck_assert_mem_eq(g->snat, f.snat, sizeof(f.snat));
	plan_free(p);
}
END_TEST

START_TEST(grant_services)
{
	struct fixture f;
	struct plan *p = make(&f, 2, 128);
	const struct grant *g = p->instances[0].grant;
	const struct grant_service *s = g->services;

	ck_assert_uint_eq(g->n_services, 2);
	ck_assert_uint_eq(g->n_backends, 5);
	ck_assert_str_eq(s[0].name, "site");
	ck_assert_uint_eq(s[0].port, htons(80));
	ck_assert_uint_eq(s[0].proto, IPPROTO_TCP);
	ck_assert_uint_eq(s[0].scheduler, GRANT_SCHED_MAGLEV);
	ck_assert_uint_eq(s[0].first_backend, 0);
	ck_assert_uint_eq(s[0].n_backends, 3);
	ck_assert_uint_eq(s[1].first_backend, 3);
	ck_assert_uint_eq(s[1].n_backends, 2);
	ck_assert_uint_eq(s[1].scheduler, GRANT_SCHED_RR);
	ck_assert_uint_eq(s[1].flags, STEER_F_HASH_SOURCE);
	ck_assert_uint_eq(g->backends[0].port, htons(8080));
	ck_assert_uint_eq(g->backends[0].weight, 2);
	ck_assert_uint_eq(g->backends[2].weight, 0);
	ck_assert_uint_eq(p->instances[2].grant->n_services, 1);
	ck_assert_uint_eq(p->instances[2].grant->n_backends, 0);
	plan_free(p);
}
END_TEST

/* A core with two instances is shared, be they of one function or of two. */
START_TEST(shared_cores)
{
	struct fixture f;
	struct plan *p;

	fill(&f, 3, 128);
	f.functions[0].cores[0] = 3; /* as "ping" */
	p = plan_create(&f.config, SEED);
	ck_assert_ptr_nonnull(p);
	ck_assert_uint_eq(p->instances[0].grant->share_core, 1);
	ck_assert_uint_eq(p->instances[1].grant->share_core, 0);
	ck_assert_uint_eq(p->instances[3].grant->share_core, 1);
	plan_free(p);
}
END_TEST

/* A control plane that comes back computes the same. */
START_TEST(repeatable)
{
	struct fixture f;
	struct plan *p = make(&f, 3, 64), *q = plan_create(&f.config, SEED);

	ck_assert_ptr_nonnull(q);
	ck_assert_mem_eq(
		p->steers, q->steers, p->n_steers * sizeof(*p->steers));
	ck_assert_mem_eq(
		p->entries, q->entries, p->n_entries * sizeof(*p->entries));
	for (unsigned int i = 0; i < p->n_instances; i++)
		ck_assert_mem_eq(p->instances[i].grant, q->instances[i].grant,
			sizeof(struct grant));
	plan_free(p);
	plan_free(q);
}
END_TEST

/* Nothing, and the most of everything that a config may have. */
START_TEST(extremes)
{
	struct fixture f;
	struct plan *p;

	fill(&f, 1, 1);
	f.config.n_functions = 0;
	p = plan_create(&f.config, SEED);
	ck_assert_ptr_nonnull(p);
	ck_assert_uint_eq(p->n_instances, 0);
	plan_free(p);
	plan_free(NULL);
	p = make(&f, CONFIG_INSTANCES_MAX, GRANT_BUCKETS_MAX);
	ck_assert_uint_eq(
		p->entries[GRANT_BUCKETS_MAX - 1], CONFIG_INSTANCES_MAX - 1);
	plan_free(p);
}
END_TEST

/* --- what a running plan can become --- */

static void
nothing(struct fixture *f)
{
	(void)f;
}

static void
change_weight(struct fixture *f)
{
	f->b4[0].weight = 7;
}

static void
drop_backend(struct fixture *f)
{
	f->web[0].n_backends = 1;
}

static void
change_vip(struct fixture *f)
{
	f->web[0].addr = addr("10.0.1.81");
}

static void
drop_service(struct fixture *f)
{
	f->functions[0].n_services = 1;
}

static void
change_limits(struct fixture *f)
{
	f->functions[0].rate_bps = 64000;
	f->functions[0].max_half_open = 100;
	f->functions[0].timeouts.syn_ms = 99;
}

static void
change_appliance(struct fixture *f)
{
	strcpy(f->config.name, "u");
}

static void
change_user(struct fixture *f)
{
	strcpy(f->config.user, "carryall");
}

static void
change_state(struct fixture *f)
{
	strcpy(f->config.state, "/srv");
}

static void
change_pages(struct fixture *f)
{
	f->config.pages = CONFIG_PAGES_HUGE;
}

static void
drop_uplink(struct fixture *f)
{
	f->config.n_uplinks = 1;
	f->functions[0].backend_uplink = 0;
	f->functions[1].uplink = f->functions[1].backend_uplink = 0;
}

static void
change_uplink(struct fixture *f)
{
	strcpy(f->uplinks[1].name, "inside");
}

static void
change_device(struct fixture *f)
{
	strcpy(f->uplinks[1].device, "lan1");
}

static void
change_mode(struct fixture *f)
{
	f->uplinks[0].mode = CONFIG_XDP_NATIVE;
}

static void
drop_function(struct fixture *f)
{
	f->config.n_functions = 1;
}

static void
change_name(struct fixture *f)
{
	strcpy(f->functions[0].name, "site");
}

static void
change_type(struct fixture *f)
{
	strcpy(f->functions[1].type, "other");
}

static void
change_instances(struct fixture *f)
{
	f->functions[0].instances = 3;
}

static void
change_buckets(struct fixture *f)
{
	f->functions[0].buckets = 64;
}

static void
change_core(struct fixture *f)
{
	f->functions[0].cores[1] = 2;
}

static void
change_connections(struct fixture *f)
{
	f->functions[0].max_connections = 2048;
}

static void
change_durability(struct fixture *f)
{
	f->functions[0].durability = GRANT_DURABILITY_SYNC;
}

static void
change_log_size(struct fixture *f)
{
	f->functions[0].log_size = 2 << 20;
}

/* Of no store: nothing changes. */
static void
change_size_of_none(struct fixture *f)
{
	f->functions[1].log_size = 2 << 20;
}

static void
change_port(struct fixture *f)
{
	snprintf(f->uplinks[1].port, sizeof(f->uplinks[1].port), "net_null");
}

/* A rate is a row of a table: compatible. */
static void
change_rate(struct fixture *f)
{
	f->uplinks[0].rate_bps = 1000000;
	f->functions[0].total_rate_bps = 1000000;
	f->functions[0].weight = 3;
}

static const struct {
	void (*change)(struct fixture *f);
	const char *why; /* NULL: compatible */
} changes[] = {
	{ nothing, NULL },
	{ change_weight, NULL },
	{ drop_backend, NULL },
	{ change_vip, NULL },
	{ drop_service, NULL },
	{ change_limits, NULL },
	{ change_appliance, "appliance: name changes from t to u" },
	{ change_user, "appliance: user changes from nobody to carryall" },
	{ change_state, "appliance: state changes" },
	{ change_pages, "appliance: memory_pages changes" },
	{ drop_uplink, "number of uplinks changes from 2 to 1" },
	{ change_uplink, "uplinks: name changes from lan to inside" },
	{ change_device, "lan: device changes from lan0 to lan1" },
	{ change_mode, "wan: mode changes" },
	{ change_port, "lan: port changes" },
	{ change_rate, NULL },
	{ drop_function, "number of functions changes from 2 to 1" },
	{ change_name, "functions: name changes from web to site" },
	{ change_type, "ping: type changes from echo to other" },
	{ change_instances, "web: instances changes from 2 to 3" },
	{ change_buckets, "web: buckets changes from 128 to 64" },
	{ change_core, "web: core of an instance changes from 1 to 2" },
	{ change_connections, "web: connections changes from 1024 to 2048" },
	{ change_durability, "web: log.durability changes from batch to sync" },
	{ change_log_size, "web: log.size changes from 1048576 to 2097152" },
	{ change_size_of_none, NULL },
};

START_TEST(compatible_row)
{
	struct fixture f, g;
	struct plan *a = make(&f, 2, 128), *b;
	char why[128] = "";
	int err;

	fill(&g, 2, 128);
	changes[_i].change(&g);
	b = plan_create(&g.config, SEED);
	ck_assert_ptr_nonnull(b);
	err = plan_compatible(a, b, why, sizeof(why));
	if (changes[_i].why == NULL) {
		ck_assert_msg(err == 0, "%s", why);
	} else {
		ck_assert_int_eq(err, -EBUSY);
		ck_assert_msg(strstr(why, changes[_i].why) == why, "%s", why);
	}
	plan_free(a);
	plan_free(b);
}
END_TEST

/* The NIC's core is one more that an instance may share. */
START_TEST(nic_core)
{
	struct fixture f, g;
	struct plan *a, *b;
	char why[128] = "";

	fill(&f, 2, 128);
	for (int i = 0; i < 2; i++)
		memcpy(f.uplinks[i].provider, "soft", 5);
	f.config.nic_core = 1;
	g = f;
	g.config.uplinks = g.uplinks;
	g.config.functions = g.functions;
	g.config.nic_core = 2;
	a = plan_create(&f.config, SEED);
	b = plan_create(&g.config, SEED);
	ck_assert_ptr_nonnull(a);
	ck_assert_ptr_nonnull(b);
	ck_assert_uint_eq(a->instances[0].grant->share_core, 0);
	ck_assert_uint_eq(a->instances[1].grant->share_core, 1);
	ck_assert_int_eq(plan_compatible(a, b, why, sizeof(why)), -EBUSY);
	ck_assert_str_eq(why, "appliance: core of the NIC changes from 1 to 2");
	plan_free(a);
	plan_free(b);
}
END_TEST

START_TEST(compatible_seed)
{
	struct fixture f;
	struct plan *a = make(&f, 2, 128), *b = plan_create(&f.config, 1);
	char why[128];

	ck_assert_int_eq(plan_compatible(a, b, why, sizeof(why)), -EBUSY);
	ck_assert_ptr_nonnull(strstr(why, "seed"));
	ck_assert_int_eq(plan_compatible(a, b, NULL, 0), -EBUSY);
	plan_free(a);
	plan_free(b);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("plan");
	TCase *tc = tcase_create("plan");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, shares, 1, CONFIG_INSTANCES_MAX + 1);
	tcase_add_loop_test(tc, both_directions, 0, 8);
	tcase_add_test(tc, steers);
	tcase_add_test(tc, nexthops);
	tcase_add_test(tc, instances);
	tcase_add_test(tc, longest_name);
	tcase_add_test(tc, grants);
	tcase_add_test(tc, grant_services);
	tcase_add_test(tc, shared_cores);
	tcase_add_test(tc, repeatable);
	tcase_add_test(tc, extremes);
	tcase_add_loop_test(tc, compatible_row, 0,
		(int)(sizeof(changes) / sizeof(changes[0])));
	tcase_add_test(tc, nic_core);
	tcase_add_test(tc, compatible_seed);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
