/* SPDX-License-Identifier: BSD-3-Clause */
/* Is a grant one that we can serve, and what memory does it take? */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>

#include <rte_common.h>

#include "nf/lb/lb.h"
#include "nf/lb/sched.h"
#include "nf/lb/snat.h"

/* A table index with the direction fits in a 32-bit word. */
#define CONNECTIONS_MAX (1u << 28)

/* Idle times are compared as signed 32-bit milliseconds. */
#define TIMEOUT_MAX_MS (1u << 30)

#define REFUSE(...) (snprintf(why, len, __VA_ARGS__), -EINVAL)

static int
is_v6(const struct ip_addr *a)
{
	return !ip_addr_is_v4(a);
}

static int
has_snat(const struct grant *g, int v6)
{
	for (uint32_t i = 0; i < g->n_snat; i++)
		if (is_v6(&g->snat[i]) == v6)
			return 1;
	return 0;
}

static int
check_backends(const struct grant *g, const struct grant_service *s, char *why,
	size_t len)
{
	if (s->n_backends > g->n_backends ||
		s->first_backend > g->n_backends - s->n_backends)
		return REFUSE("service \"%s\" names backends beyond the "
			      "grant's %u",
			s->name, g->n_backends);
	for (uint32_t i = 0; i < s->n_backends; i++) {
		const struct grant_backend *b =
			&g->backends[s->first_backend + i];

		if (is_v6(&b->addr) != is_v6(&s->addr))
			return REFUSE("service \"%s\" and its backend %u are "
				      "of different address families",
				s->name, i);
		if (b->nexthop >= NEXTHOPS_MAX || b->weight > GRANT_WEIGHT_MAX)
			return REFUSE("backend %u of service \"%s\": next hop "
				      "%u or weight %u out of range",
				i, s->name, b->nexthop, b->weight);
	}
	return 0;
}

static int
check_service(const struct grant *g, const struct grant_service *s, char *why,
	size_t len)
{
	if (s->proto != IPPROTO_TCP && s->proto != IPPROTO_UDP)
		return REFUSE("service \"%s\": protocol %u; tcp and udp can "
			      "be balanced",
			s->name, s->proto);
	if (s->port == 0)
		return REFUSE("service \"%s\" has no port", s->name);
	if (s->scheduler > GRANT_SCHED_LEASTCONN)
		return REFUSE("service \"%s\": no scheduler %u", s->name,
			s->scheduler);
	if (s->n_backends > 0 && !has_snat(g, is_v6(&s->addr)))
		return REFUSE("service \"%s\" is IPv%d, but no snat address "
			      "is",
			s->name, is_v6(&s->addr) ? 6 : 4);
	return check_backends(g, s, why, len);
}

static int
check_timeouts(const struct grant_timeouts *t, char *why, size_t len)
{
	const uint32_t ms[] = { t->syn_ms, t->established_ms, t->fin_ms,
		t->closed_ms, t->udp_new_ms, t->udp_ms };

	for (unsigned int i = 0; i < RTE_DIM(ms); i++)
		if (ms[i] == 0 || ms[i] > TIMEOUT_MAX_MS)
			return REFUSE("a time-out of %u ms; 1 to %u are "
				      "allowed",
				ms[i], TIMEOUT_MAX_MS);
	return 0;
}

static uint32_t
owned_buckets(const struct grant *g)
{
	uint32_t n = 0;

	for (uint32_t b = 0; b < g->buckets; b++)
		n += (uint32_t)grant_owns(g, b);
	return n;
}

static int
check_sizes(const struct grant *g, char *why, size_t len)
{
	if (g->n_services > GRANT_SERVICES_MAX || g->n_snat > GRANT_SNAT_MAX ||
		g->n_backends > GRANT_BACKENDS_MAX)
		return REFUSE("more services, backends or snat addresses than "
			      "a grant can hold");
	if (g->buckets == 0 || g->buckets > GRANT_BUCKETS_MAX ||
		!rte_is_power_of_2(g->buckets))
		return REFUSE("%u buckets; a power of two up to %d is allowed",
			g->buckets, GRANT_BUCKETS_MAX);
	if (owned_buckets(g) == 0)
		return REFUSE("no bucket of this instance's own");
	if (g->max_connections == 0 || g->max_connections > CONNECTIONS_MAX)
		return REFUSE("max_connections %u; 1 to %u are allowed",
			g->max_connections, CONNECTIONS_MAX);
	if (g->max_half_open == 0)
		return REFUSE("max_half_open 0 would refuse every connection");
	if (g->client_uplink >= NEXTHOPS_MAX ||
		g->backend_uplink >= NEXTHOPS_MAX)
		return REFUSE("an uplink beyond the next-hop table");
	return 0;
}

int
lb_configure(const struct grant *g, char *why, size_t len)
{
	int rc = check_sizes(g, why, len);

	if (rc == 0)
		rc = check_timeouts(&g->timeouts, why, len);
	for (uint32_t i = 0; i < g->n_services && rc == 0; i++)
		rc = check_service(g, &g->services[i], why, len);
	return rc;
}

/* --- memory --- */

/* What DPDK's allocator adds to a piece, rounded up. */
#define PIECE 256

static size_t
ports_memory(const struct grant *g)
{
	size_t pairs = 0, set;
	uint32_t v6 = 0;

	for (uint32_t i = 0; i < g->n_snat; i++)
		v6 += (uint32_t)is_v6(&g->snat[i]);
	for (uint32_t i = 0; i < g->n_backends; i++)
		pairs += is_v6(&g->backends[i].addr) ? v6 : g->n_snat - v6;
	set = snat_set_memory(g->buckets, owned_buckets(g)) + PIECE;
	return pairs * set +
	       g->n_backends * (LB_SNATS * sizeof(void *) + PIECE);
}

static size_t
scheds_memory(const struct grant *g)
{
	size_t sum = 0;

	for (uint32_t i = 0; i < g->n_services; i++)
		sum += sched_memory(g->services[i].scheduler,
			       g->services[i].n_backends) +
		       PIECE;
	return sum;
}

/*
 * A quarter more for ports and schedulers than this grant takes, and once
 * more the schedulers: an update makes the new before it frees the old.
 */
size_t
lb_memory(const struct grant *g)
{
	size_t tables = ports_memory(g) + 2 * scheds_memory(g);

	return sizeof(struct lb) + HOLD_BYTES +
	       flow_table_memory(g->max_connections) + tables + tables / 4 +
	       (4u << 20);
}
