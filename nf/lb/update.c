/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From a grant to the tables: the first one and every later one alike.
 *
 *   check    is it good, and does it leave alone what cannot change?
 *   reclaim  free the slots whose last connection is gone
 *   prepare  find or take a slot for all that the grant names, make port sets
 *            and schedulers; whatever fails here changed nothing in force
 *   commit   put it in force; cannot fail
 *
 * Services are known by address, port and protocol, backends by service,
 * address and port. A slot that was taken by a failed update is in no use and
 * is reclaimed by the next.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_malloc.h>

#include "nf/lb/lb.h"
#include "nf/lb/sched.h"
#include "nf/lb/snat.h"

/* What a grant comes to, by its own indices. */
struct change {
	uint16_t service[GRANT_SERVICES_MAX]; /* slots */
	uint16_t backend[GRANT_BACKENDS_MAX];
	uint16_t snat[GRANT_SNAT_MAX];
	struct lb_sched *sched[GRANT_SERVICES_MAX];
};

/* --- reclaim --- */

static void
put_endpoint(struct lb *lb, uint16_t slot)
{
	struct lb_endpoint *e = &lb->endpoint[slot];

	if (--e->refs > 0)
		return;
	for (uint32_t i = 0; i < LB_SNATS; i++)
		rte_free(e->ports[i]);
	rte_free(e->ports);
	memset(e, 0, sizeof(*e));
}

static void
free_snat(struct lb *lb, uint16_t slot)
{
	for (uint32_t i = 0; i < LB_BACKENDS; i++) {
		struct lb_endpoint *e = &lb->endpoint[i];

		if (e->refs == 0)
			continue;
		rte_free(e->ports[slot]);
		e->ports[slot] = NULL;
	}
	lb->snat[slot].used = false;
}

static void
reclaim(struct lb *lb)
{
	for (uint16_t i = 0; i < LB_BACKENDS; i++) {
		struct lb_backend *b = &lb->backend[i];

		if (!b->used || b->live || b->conns > 0)
			continue;
		put_endpoint(lb, b->endpoint);
		b->used = false;
		lb->env->stats->backend[i].used = 0;
	}
	for (uint16_t i = 0; i < LB_SNATS; i++)
		if (lb->snat[i].used && !lb->snat[i].live &&
			lb->snat[i].conns == 0)
			free_snat(lb, i);
	for (uint16_t i = 0; i < LB_SERVICES; i++)
		if (!lb->service[i].live && lb->service[i].conns == 0)
			lb->service[i].used = false;
}

/* --- prepare --- */

void
lb_reserve_service(struct lb *lb, uint16_t slot, const struct grant_service *g)
{
	lb->service[slot] = (struct lb_service){ .addr = g->addr,
		.port = g->port,
		.proto = g->proto,
		.used = true };
}

static uint16_t
service_slot(struct lb *lb, const struct grant_service *g)
{
	uint16_t vacant = LB_NONE;

	for (uint16_t i = 0; i < LB_SERVICES; i++) {
		const struct lb_service *s = &lb->service[i];

		if (!s->used)
			vacant = vacant == LB_NONE ? i : vacant;
		else if (ip_addr_eq(&s->addr, &g->addr) && s->port == g->port &&
			 s->proto == g->proto)
			return i;
	}
	if (vacant != LB_NONE)
		lb_reserve_service(lb, vacant, g);
	return vacant;
}

void
lb_reserve_snat(struct lb *lb, uint16_t slot, const struct ip_addr *addr)
{
	lb->snat[slot] = (struct lb_snat){
		.addr = *addr, .used = true, .v6 = !ip_addr_is_v4(addr)
	};
}

static uint16_t
snat_slot(struct lb *lb, const struct ip_addr *addr)
{
	uint16_t slot = lb_snat_find(lb, addr);

	for (uint16_t i = 0; i < LB_SNATS && slot == LB_NONE; i++)
		if (!lb->snat[i].used)
			slot = i;
	if (slot != LB_NONE && !lb->snat[slot].used)
		lb_reserve_snat(lb, slot, addr);
	return slot;
}

static uint16_t
get_endpoint(struct lb *lb, const struct grant_backend *g, uint8_t proto)
{
	uint16_t vacant = LB_NONE;
	struct lb_endpoint *e;

	for (uint16_t i = 0; i < LB_BACKENDS; i++) {
		e = &lb->endpoint[i];
		if (e->refs == 0) {
			vacant = vacant == LB_NONE ? i : vacant;
		} else if (ip_addr_eq(&e->addr, &g->addr) &&
			   e->port == g->port && e->proto == proto) {
			e->refs++;
			return i;
		}
	}
	if (vacant == LB_NONE)
		return LB_NONE;
	e = &lb->endpoint[vacant];
	e->ports = rte_zmalloc(NULL, LB_SNATS * sizeof(*e->ports), 0);
	if (e->ports == NULL)
		return LB_NONE;
	e->addr = g->addr;
	e->port = g->port;
	e->proto = proto;
	e->refs = 1;
	return vacant;
}

/* A new backend's slot: where a former process counted for it, if it is. */
static uint16_t
vacant_backend(
	const struct lb *lb, const struct grant_backend *g, uint16_t service)
{
	const struct stats_backend *stats = lb->env->stats->backend;
	uint16_t vacant = LB_NONE;

	for (uint16_t i = 0; i < LB_BACKENDS; i++) {
		if (lb->backend[i].used)
			continue;
		if (stats[i].used && stats[i].service == service &&
			stats[i].port == g->port &&
			ip_addr_eq(&stats[i].addr, &g->addr))
			return i;
		if (vacant == LB_NONE || (stats[vacant].used && !stats[i].used))
			vacant = i;
	}
	return vacant;
}

static uint16_t
known_backend(
	const struct lb *lb, const struct grant_backend *g, uint16_t service)
{
	for (uint16_t i = 0; i < LB_BACKENDS; i++) {
		const struct lb_backend *b = &lb->backend[i];

		if (b->used && b->service == service && b->port == g->port &&
			ip_addr_eq(&b->addr, &g->addr))
			return i;
	}
	return LB_NONE;
}

int
lb_reserve_backend(struct lb *lb, uint16_t slot, const struct grant_backend *g,
	uint16_t service)
{
	uint16_t endpoint = get_endpoint(lb, g, lb->service[service].proto);
	struct lb_backend *b = &lb->backend[slot];

	if (endpoint == LB_NONE)
		return -ENOMEM;
	*b = (struct lb_backend){ .addr = g->addr,
		.port = g->port,
		.service = service,
		.used = true,
		.member = LB_NONE,
		.endpoint = endpoint };
	b->hop = &b->last_hop;
	return 0;
}

static uint16_t
backend_slot(struct lb *lb, const struct grant_backend *g, uint16_t service,
	uint16_t stat)
{
	uint16_t slot = known_backend(lb, g, service);

	if (slot != LB_NONE)
		return slot;
	slot = vacant_backend(lb, g, stat);
	if (slot == LB_NONE || lb_reserve_backend(lb, slot, g, service) != 0)
		return LB_NONE;
	return slot;
}

/* A port set for every SNAT address of the endpoint's family. */
static int
prepare_ports(struct lb *lb, const struct grant *g, const struct change *c,
	struct lb_endpoint *e)
{
	bool v6 = !ip_addr_is_v4(&e->addr);

	for (uint32_t i = 0; i < g->n_snat; i++) {
		uint16_t slot = c->snat[i];

		if (lb->snat[slot].v6 != v6 || e->ports[slot] != NULL)
			continue;
		e->ports[slot] = snat_set_create(lb);
		if (e->ports[slot] == NULL)
			return -ENOMEM;
	}
	return 0;
}

static int
prepare_backends(
	struct lb *lb, const struct grant *g, uint16_t i, struct change *c)
{
	const struct grant_service *s = &g->services[i];
	int rc = 0;

	for (uint32_t k = 0; k < s->n_backends && rc == 0; k++) {
		uint32_t at = s->first_backend + k;

		c->backend[at] =
			backend_slot(lb, &g->backends[at], c->service[i], i);
		if (c->backend[at] == LB_NONE)
			return -ENOSPC;
		rc = prepare_ports(lb, g, c,
			&lb->endpoint[lb->backend[c->backend[at]].endpoint]);
	}
	return rc;
}

static int
prepare_sched(
	struct lb *lb, const struct grant *g, uint16_t i, struct change *c)
{
	const struct grant_service *s = &g->services[i];
	uint16_t slot[GRANT_BACKENDS_MAX], weight[GRANT_BACKENDS_MAX];
	uint32_t n = 0;

	for (uint32_t k = 0; k < s->n_backends; k++) {
		uint32_t at = s->first_backend + k;

		if (g->backends[at].weight == 0)
			continue;
		slot[n] = c->backend[at];
		weight[n++] = g->backends[at].weight;
	}
	if (n == 0)
		return 0;
	if (sched_is(lb->service[c->service[i]].sched, s->scheduler, slot,
		    weight, n)) {
		c->sched[i] = lb->service[c->service[i]].sched;
		return 0;
	}
	c->sched[i] = sched_create(lb, s->scheduler, slot, weight, n);
	return c->sched[i] == NULL ? -ENOMEM : 0;
}

static int
prepare(struct lb *lb, const struct grant *g, struct change *c)
{
	int rc = 0;

	for (uint32_t i = 0; i < g->n_snat; i++) {
		c->snat[i] = snat_slot(lb, &g->snat[i]);
		if (c->snat[i] == LB_NONE)
			return -ENOSPC;
	}
	for (uint16_t i = 0; i < g->n_services && rc == 0; i++) {
		c->service[i] = service_slot(lb, &g->services[i]);
		if (c->service[i] == LB_NONE)
			return -ENOSPC;
		rc = prepare_backends(lb, g, i, c);
		if (rc == 0)
			rc = prepare_sched(lb, g, i, c);
	}
	return rc;
}

/* --- commit --- */

/* Counters of services follow the grant's order: move them along. */
static void
commit_service_stats(struct lb *lb, const struct grant *g,
	const struct change *c, bool first)
{
	struct stats_service moved[GRANT_SERVICES_MAX];
	struct stats_service *stats = lb->env->stats->service;

	memset(moved, 0, sizeof(moved));
	for (uint16_t i = 0; i < g->n_services; i++) {
		const struct lb_service *s = &lb->service[c->service[i]];

		if (first || s->live)
			moved[i] = stats[first ? i : s->stat];
		moved[i].connections = s->conns;
	}
	memcpy(stats, moved, sizeof(moved));
}

static void
commit_services(struct lb *lb, const struct grant *g, const struct change *c)
{
	for (uint16_t i = 0; i < LB_SERVICES; i++)
		lb->service[i].live = false;
	for (uint16_t i = 0; i < g->n_services; i++) {
		struct lb_service *s = &lb->service[c->service[i]];

		s->live = true;
		s->flags = g->services[i].flags;
		s->stat = i;
		if (s->sched != c->sched[i])
			rte_free(s->sched);
		s->sched = c->sched[i];
	}
	lb->ending = 0;
	for (uint16_t i = 0; i < LB_SERVICES; i++) {
		struct lb_service *s = &lb->service[i];

		if (s->live)
			continue;
		rte_free(s->sched);
		s->sched = NULL;
		lb->ending += s->conns;
	}
	lb_service_index(lb);
}

static void
commit_backend_stats(struct lb *lb, uint16_t slot, uint16_t service)
{
	struct stats_backend *s = &lb->env->stats->backend[slot];
	const struct lb_backend *b = &lb->backend[slot];

	if (!s->used || s->port != b->port || !ip_addr_eq(&s->addr, &b->addr))
		memset(s, 0, sizeof(*s));
	s->addr = b->addr;
	s->port = b->port;
	s->service = service;
	s->connections = b->conns;
	s->used = 1;
}

/* What the grant has no more keeps its next hop as it was. */
static void
retire_backends(struct lb *lb)
{
	for (uint16_t i = 0; i < LB_BACKENDS; i++) {
		struct lb_backend *b = &lb->backend[i];

		b->member = LB_NONE;
		b->live = false;
		if (!b->used)
			continue;
		b->last_hop = lb_hop(b);
		b->hop = &b->last_hop;
	}
}

static void
commit_backends(struct lb *lb, const struct grant *g, const struct change *c)
{
	for (uint16_t i = 0; i < g->n_services; i++) {
		const struct grant_service *s = &g->services[i];

		for (uint32_t k = 0; k < s->n_backends; k++) {
			const struct grant_backend *from =
				&g->backends[s->first_backend + k];
			uint16_t slot = c->backend[s->first_backend + k];
			struct lb_backend *b = &lb->backend[slot];

			b->live = true;
			b->hop = &lb->env->nexthops->entry[from->nexthop];
			commit_backend_stats(lb, slot, i);
		}
		if (c->sched[i] != NULL)
			sched_start(lb, c->sched[i]);
	}
}

/* Slots of no use to anybody, those of a former process among them. */
static void
hide_unused(struct lb *lb)
{
	for (uint16_t i = 0; i < LB_BACKENDS; i++) {
		const struct lb_backend *b = &lb->backend[i];

		if (!b->used || (!b->live && b->conns == 0))
			lb->env->stats->backend[i].used = 0;
	}
}

static void
commit_snats(struct lb *lb, const struct grant *g, const struct change *c)
{
	lb->n_snat[0] = lb->n_snat[1] = 0;
	for (uint16_t i = 0; i < LB_SNATS; i++)
		lb->snat[i].live = false;
	for (uint32_t i = 0; i < g->n_snat; i++) {
		struct lb_snat *s = &lb->snat[c->snat[i]];

		s->live = true;
		lb->snat_of[s->v6][lb->n_snat[s->v6]++] = c->snat[i];
	}
}

static void
commit_limits(struct lb *lb, const struct grant *g)
{
	const struct grant_timeouts *t = &g->timeouts;

	lb->max_half_open = g->max_half_open;
	lb->sync =
		lb->log != NULL && g->store.durability == GRANT_DURABILITY_SYNC;
	lb->client_uplink = g->client_uplink;
	lb->backend_uplink = g->backend_uplink;
	lb->timeout_ms[FLOW_SYN] = t->syn_ms;
	lb->timeout_ms[FLOW_SYN_RCVD] = t->syn_ms;
	lb->timeout_ms[FLOW_UDP_NEW] = t->udp_new_ms;
	lb->timeout_ms[FLOW_CLOSED] = t->closed_ms;
	lb->timeout_ms[FLOW_FIN] = t->fin_ms;
	lb->timeout_ms[FLOW_ESTABLISHED] = t->established_ms;
	lb->timeout_ms[FLOW_UDP] = t->udp_ms;
}

/* The bytes that are in use, as the allocator was asked for them. */
static size_t
memory_in_use(const struct lb *lb)
{
	size_t sum = sizeof(*lb) + flow_table_memory(lb->flows.n);

	sum += lb->log != NULL ? HOLD_BYTES : 0;
	for (uint32_t i = 0; i < LB_SERVICES; i++)
		if (lb->service[i].sched != NULL)
			sum += sched_bytes(lb->service[i].sched);
	for (uint32_t i = 0; i < LB_BACKENDS; i++) {
		const struct lb_endpoint *e = &lb->endpoint[i];

		for (uint32_t k = 0; e->refs > 0 && k < LB_SNATS; k++)
			if (e->ports[k] != NULL)
				sum += snat_set_memory(lb->mask + 1, lb->n_own);
		sum += e->refs > 0 ? LB_SNATS * sizeof(*e->ports) : 0;
	}
	return sum;
}

static void
abandon(struct lb *lb, const struct grant *g, const struct change *c)
{
	for (uint16_t i = 0; i < g->n_services; i++)
		if (c->sched[i] != NULL &&
			c->sched[i] != lb->service[c->service[i]].sched)
			rte_free(c->sched[i]);
	reclaim(lb);
}

static int
apply(struct lb *lb, const struct grant *g, bool first, char *why, size_t len)
{
	struct change c;
	int rc;

	memset(&c, 0, sizeof(c));
	/* At first there are but slots that wait for their connections. */
	if (!first)
		reclaim(lb);
	rc = prepare(lb, g, &c);
	if (rc != 0) {
		abandon(lb, g, &c);
		snprintf(why, len, "%s",
			rc == -ENOMEM ? "no memory for backends and ports"
				      : "too many services, backends or snat "
					"addresses are still draining");
		return rc;
	}
	commit_service_stats(lb, g, &c, first);
	commit_services(lb, g, &c);
	retire_backends(lb);
	commit_backends(lb, g, &c);
	hide_unused(lb);
	commit_snats(lb, g, &c);
	commit_limits(lb, g);
	lb->env->stats->memory_bytes = memory_in_use(lb);
	lb_log_redefine(lb);
	return 0;
}

/* --- the two ways in --- */

static void
take_steering(struct lb *lb, const struct grant *g)
{
	lb->steer_seed = g->steer_seed;
	lb->mask = g->buckets - 1;
	memcpy(lb->own, g->own, sizeof(lb->own));
	for (uint32_t b = 0; b < g->buckets; b++)
		if (grant_owns(g, b))
			lb->own_index[b] = (uint16_t)lb->n_own++;
	snat_init(lb);
}

int
lb_load(struct lb *lb, char *why, size_t len)
{
	struct stats *stats = lb->env->stats;

	take_steering(lb, lb->env->grant);
	stats->connections = stats->half_open = 0;
	for (uint32_t i = 0; i < LB_BACKENDS; i++)
		stats->backend[i].connections = 0;
	return apply(lb, lb->env->grant, true, why, len);
}

/* What is fixed when the instance starts. */
static int
check_fixed(const struct lb *lb, const struct grant *g, char *why, size_t len)
{
	if (g->max_connections != lb->flows.n) {
		snprintf(why, len,
			"max_connections changed from %u to %u: the table's "
			"size is fixed, restart the instance",
			lb->flows.n, g->max_connections);
		return -EINVAL;
	}
	if (g->steer_seed != lb->steer_seed || g->buckets != lb->mask + 1 ||
		memcmp(g->own, lb->own, sizeof(lb->own)) != 0) {
		snprintf(
			why, len, "the steering changed: restart the instance");
		return -EINVAL;
	}
	return 0;
}

int
lb_update(void *state, char *why, size_t len)
{
	struct lb *lb = state;
	const struct grant *g = lb->env->grant;
	int rc = lb_configure(g, why, len);

	if (rc == 0)
		rc = check_fixed(lb, g, why, len);
	return rc == 0 ? apply(lb, g, false, why, len) : rc;
}

void
lb_unload(struct lb *lb)
{
	for (uint32_t i = 0; i < LB_SERVICES; i++)
		rte_free(lb->service[i].sched);
	for (uint16_t i = 0; i < LB_BACKENDS; i++)
		if (lb->backend[i].used)
			put_endpoint(lb, lb->backend[i].endpoint);
}
