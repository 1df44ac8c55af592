/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The plan: numbers for everything, and the tables made of them.
 *
 *   functions    f0: "web", 2 instances, 128 buckets   f1: "ping", 1, 128
 *   VNICs        0 web.0   1 web.1                     2 ping.0
 *   entries      [0..64) -> 0   [64..128) -> 1         [128..256) -> 2
 *   next hops    [0..uplinks) the uplinks, then each backend address once
 *
 * The numbers follow from the order of the file alone, so that the same file
 * gives the same plan in a control plane that comes back.
 */
#include "ctrl/plan.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static_assert(CONFIG_VNICS_MAX >= CONFIG_INSTANCES_MAX,
	"one function may have as many instances as it asks for");

static unsigned int
count_backends(const struct config_service *s)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < config_groups(s); i++)
		n += config_group(s, i).n_backends;
	return n;
}

/* How much of everything there will be. */
static void
count(struct plan *plan, unsigned int *backends)
{
	const struct config *c = plan->config;

	for (unsigned int i = 0; i < c->n_functions; i++) {
		const struct config_function *f = &c->functions[i];

		plan->n_instances += f->instances;
		plan->n_entries += f->buckets;
		plan->n_steers += f->n_services + f->n_snat;
		for (unsigned int j = 0; j < f->n_services; j++)
			*backends += count_backends(&f->services[j]);
	}
}

/* calloc(0) may be NULL: that would look like memory that is out. */
static void *
array(size_t n, size_t size)
{
	return calloc(n == 0 ? 1 : n, size);
}

static int
allocate(struct plan *plan)
{
	unsigned int backends = 0;

	count(plan, &backends);
	plan->instances = array(plan->n_instances, sizeof(*plan->instances));
	plan->steers = array(plan->n_steers, sizeof(*plan->steers));
	plan->entries = array(plan->n_entries, sizeof(*plan->entries));
	plan->nexthops = array(backends, sizeof(*plan->nexthops));
	if (plan->instances == NULL || plan->steers == NULL ||
		plan->entries == NULL || plan->nexthops == NULL)
		return -ENOMEM;
	for (unsigned int i = 0; i < plan->n_instances; i++) {
		plan->instances[i].grant = calloc(1, sizeof(struct grant));
		if (plan->instances[i].grant == NULL)
			return -ENOMEM;
	}
	return 0;
}

/* --- next hops --- */

static int
compare_nexthops(const void *a, const void *b)
{
	const struct plan_nexthop *x = a, *y = b;
	int d = memcmp(&x->addr, &y->addr, sizeof(x->addr));

	if (d != 0)
		return d;
	return x->index < y->index ? -1 : x->index > y->index;
}

static int
compare_index(const void *a, const void *b)
{
	const struct plan_nexthop *x = a, *y = b;

	return x->index < y->index ? -1 : x->index > y->index;
}

static void
list_service(struct plan *plan, const struct config_service *s)
{
	for (unsigned int i = 0; i < config_groups(s); i++) {
		struct config_group g = config_group(s, i);

		for (unsigned int k = 0; k < g.n_backends; k++) {
			unsigned int n = plan->n_nexthops++;

			plan->nexthops[n] =
				(struct plan_nexthop){ g.backends[k].addr, n };
		}
	}
}

/* All backends in the order of the file, numbered as they come. */
static void
list_backends(struct plan *plan)
{
	const struct config *c = plan->config;

	plan->n_nexthops = 0;
	for (unsigned int i = 0; i < c->n_functions; i++)
		for (unsigned int j = 0; j < c->functions[i].n_services; j++)
			list_service(plan, &c->functions[i].services[j]);
}

/*
 * Each address once, where it came first. Sorting by address brings equals
 * together; sorting those kept by number brings the file's order back.
 */
static void
number_nexthops(struct plan *plan)
{
	struct plan_nexthop *h = plan->nexthops;
	unsigned int kept = 0;

	list_backends(plan);
	qsort(h, plan->n_nexthops, sizeof(*h), compare_nexthops);
	for (unsigned int i = 0; i < plan->n_nexthops; i++)
		if (kept == 0 || !ip_addr_eq(&h[kept - 1].addr, &h[i].addr))
			h[kept++] = h[i];
	plan->n_nexthops = kept;
	qsort(h, kept, sizeof(*h), compare_index);
	for (unsigned int i = 0; i < kept; i++)
		h[i].index = plan->config->n_uplinks + i;
}

/* Once per backend: not worth an index. */
static uint32_t
nexthop_of(const struct plan *plan, const struct ip_addr *addr)
{
	for (unsigned int i = 0; i < plan->n_nexthops; i++)
		if (ip_addr_eq(&plan->nexthops[i].addr, addr))
			return plan->nexthops[i].index;
	assert(!"every backend is a next hop");
	return 0;
}

/* --- grants --- */

static void
copy_name(char to[GRANT_NAME_MAX], const char *from)
{
	snprintf(to, GRANT_NAME_MAX, "%s", from);
}

static void
grant_backends(const struct plan *plan, struct grant *g,
	const struct config_group *from)
{
	for (unsigned int i = 0; i < from->n_backends; i++)
		g->backends[g->n_backends++] = (struct grant_backend){
			.addr = from->backends[i].addr,
			.port = htons(from->backends[i].port),
			.weight = from->backends[i].weight,
			.nexthop = nexthop_of(plan, &from->backends[i].addr),
		};
}

/* A service's backends follow each other, group by group. */
static int
grant_service(const struct plan *plan, struct grant *g,
	const struct config_service *s, bool proxies)
{
	struct grant_service *to = &g->services[g->n_services++];
	uint32_t first = g->n_groups;
	int rc = 0;

	copy_name(to->name, s->name);
	to->addr = s->addr;
	to->port = htons(s->port);
	to->proto = s->proto;
	to->scheduler = (uint8_t)s->scheduler;
	to->flags = s->hash_source ? STEER_F_HASH_SOURCE : 0;
	to->first_backend = g->n_backends;
	for (unsigned int i = 0; i < config_groups(s) && rc == 0; i++) {
		struct config_group from = config_group(s, i);

		if (proxies)
			rc = plan_group(g, &from);
		grant_backends(plan, g, &from);
	}
	to->n_backends = g->n_backends - to->first_backend;
	return rc == 0 && proxies ? plan_proxy(g, s, first) : rc;
}

/* What all instances of a function have alike. */
static int
grant_function(const struct plan *plan, struct grant *g,
	const struct config_function *f)
{
	int rc = 0;

	*g = (struct grant){
		.magic = GRANT_MAGIC,
		.version = GRANT_VERSION,
		.size = sizeof(*g),
		.generation = 1,
		.instances = f->instances,
		.steer_seed = plan->seed,
		.buckets = f->buckets,
		.client_uplink = f->uplink,
		.backend_uplink = f->backend_uplink,
		.n_nexthops = plan->config->n_uplinks + plan->n_nexthops,
		.max_connections = f->max_connections,
		.max_half_open = f->max_half_open,
		.timeouts = f->timeouts,
		.n_snat = f->n_snat,
	};
	if (f->durability != GRANT_DURABILITY_NONE)
		g->store = (struct grant_store){ .size = f->log_size,
			.durability = f->durability };
	copy_name(g->appliance, plan->config->name);
	copy_name(g->function, f->name);
	copy_name(g->type, f->type);
	if (f->n_snat > 0)
		memcpy(g->snat, f->snat, f->n_snat * sizeof(*f->snat));
	g->congestion = (uint32_t)f->congestion;
	for (unsigned int i = 0; i < f->n_services && rc == 0; i++)
		rc = grant_service(plan, g, &f->services[i], f->proxies);
	/* Without a file there is nobody to read the ring. */
	for (unsigned int i = 0; *f->access.file == '\0' && i < f->n_services;
		i++)
		g->proxy[i].flags &= (uint16_t)~GRANT_F_ACCESS_LOG;
	return rc;
}

/* How many run on `core`: instances of all functions, and the NIC. */
static unsigned int
core_users(const struct config *c, unsigned int core)
{
	unsigned int n = config_soft(c) && c->nic_core == core;

	for (unsigned int i = 0; i < c->n_functions; i++)
		for (unsigned int j = 0; j < c->functions[i].instances; j++)
			n += c->functions[i].cores[j] == core;
	return n;
}

/* --- steering --- */

/*
 * The instance of bucket `b`: blocks, so that instance i of n owns the
 * buckets from i * B / n up to (i + 1) * B / n, equal shares within one.
 */
static unsigned int
bucket_instance(const struct config_function *f, unsigned int b)
{
	return ((b + 1) * f->instances - 1) / f->buckets;
}

static void
add_steer(struct plan *plan, const struct ip_addr *addr, uint16_t port,
	uint8_t proto, struct steer_target target)
{
	struct plan_steer *s = &plan->steers[plan->n_steers++];

	s->key = (struct steer_key){
		.addr = *addr, .port = htons(port), .proto = proto
	};
	s->target = target;
	s->prefix = ip_addr_is_v4(addr) ? 32 : 128;
}

static void
steer_function(struct plan *plan, unsigned int index, uint32_t first)
{
	const struct config_function *f = &plan->config->functions[index];
	struct steer_target t = {
		.function = index, .first = first, .mask = f->buckets - 1
	};

	for (unsigned int i = 0; i < f->n_services; i++) {
		const struct config_service *s = &f->services[i];

		t.flags = s->hash_source ? STEER_F_HASH_SOURCE : 0;
		t.uplink = (__u16)f->uplink;
		add_steer(plan, &s->addr, s->port, s->proto, t);
	}
	t.flags = STEER_F_SNAT;
	t.uplink = (__u16)f->backend_uplink;
	for (unsigned int i = 0; i < f->n_snat; i++)
		add_steer(plan, &f->snat[i], 0, 0, t);
}

/* One function's instances from VNIC `vnic` on, entries from `first` on. */
static int
plan_function(
	struct plan *plan, unsigned int index, uint32_t vnic, uint32_t first)
{
	const struct config_function *f = &plan->config->functions[index];
	struct plan_instance *in = &plan->instances[vnic];

	for (unsigned int i = 0; i < f->instances; i++) {
		struct grant *g = in[i].grant;

		snprintf(in[i].name, sizeof(in[i].name), "%.11s.%u", f->name,
			i % CONFIG_INSTANCES_MAX);
		in[i].function = index;
		in[i].vnic = vnic + i;
		if (i > 0)
			*g = *in[0].grant;
		else if (grant_function(plan, g, f) < 0)
			return -ENOSPC;
		g->instance = i;
		g->core = f->cores[i];
		g->share_core = core_users(plan->config, g->core) > 1;
	}
	for (unsigned int b = 0; b < f->buckets; b++) {
		unsigned int i = bucket_instance(f, b);

		plan->entries[first + b] = vnic + i;
		in[i].grant->own[b / 64] |= 1ull << (b % 64);
	}
	steer_function(plan, index, first);
	return 0;
}

struct plan *
plan_create(const struct config *config, uint32_t seed)
{
	struct plan *plan = calloc(1, sizeof(*plan));
	uint32_t vnic = 0, first = 0;

	if (plan == NULL)
		return NULL;
	plan->config = config;
	plan->seed = seed;
	if (allocate(plan) < 0) {
		plan_free(plan);
		return NULL;
	}
	number_nexthops(plan);
	plan->n_steers = 0;
	for (unsigned int i = 0; i < config->n_functions; i++) {
		if (plan_function(plan, i, vnic, first) < 0) {
			plan_free(plan);
			return NULL;
		}
		vnic += config->functions[i].instances;
		first += config->functions[i].buckets;
	}
	return plan;
}

void
plan_free(struct plan *plan)
{
	if (plan == NULL)
		return;
	for (unsigned int i = 0; plan->instances && i < plan->n_instances; i++)
		free(plan->instances[i].grant);
	free(plan->instances);
	free(plan->steers);
	free(plan->entries);
	free(plan->nexthops);
	free(plan);
}
