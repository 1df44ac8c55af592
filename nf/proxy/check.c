/* SPDX-License-Identifier: BSD-3-Clause */
/* Is a grant one that we can serve, and what memory does it take? */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>

#include "dataplane/tcp/bind.h"
#include "nf/proxy/cookie.h"
#include "nf/proxy/head.h"

/* Times are compared as signed 32-bit milliseconds. */
#define TIMEOUT_MAX_MS (1u << 30)

/* Packets in the hands of connections, whatever their number. */
#define BUFFERS 32768

#define REFUSE(...) (snprintf(why, len, __VA_ARGS__), -EINVAL)

static int
has_snat(const struct grant *g, const struct ip_addr *like)
{
	for (uint32_t i = 0; i < g->n_snat; i++)
		if (ip_addr_is_v4(&g->snat[i]) == ip_addr_is_v4(like))
			return 1;
	return 0;
}

static int
check_group(const struct grant *g, const struct grant_group *group, char *why,
	size_t len)
{
	if (group->n_backends > g->n_backends ||
		group->first_backend > g->n_backends - group->n_backends)
		return REFUSE("group \"%s\" names backends beyond the grant's "
			      "%u",
			group->name, g->n_backends);
	if (group->cookie.len > COOKIE_NAME_MAX)
		return REFUSE("group \"%s\": a cookie's name of %u bytes; "
			      "at most %d",
			group->name, group->cookie.len, COOKIE_NAME_MAX);
	for (uint32_t i = 0; i < group->n_backends; i++) {
		const struct grant_backend *b =
			&g->backends[group->first_backend + i];

		if (b->nexthop >= NEXTHOPS_MAX || b->weight > GRANT_WEIGHT_MAX)
			return REFUSE("backend %u of group \"%s\": next hop %u "
				      "or weight %u out of range",
				i, group->name, b->nexthop, b->weight);
		if (!has_snat(g, &b->addr))
			return REFUSE("backend %u of group \"%s\" is IPv%d, "
				      "but no snat address is",
				i, group->name,
				ip_addr_is_v4(&b->addr) ? 4 : 6);
	}
	return 0;
}

static int
check_times(const struct grant_service *s, const struct grant_proxy *p,
	char *why, size_t len)
{
	const uint32_t http[] = { p->connect_ms, p->header_ms, p->idle_ms,
		p->response_ms, p->tunnel_ms };
	const uint32_t tcp[] = { p->connect_ms, p->header_ms, p->tunnel_ms };
	const uint32_t *ms = p->mode == GRANT_MODE_TCP ? tcp : http;
	uint32_t n = p->mode == GRANT_MODE_TCP ? RTE_DIM(tcp) : RTE_DIM(http);

	for (uint32_t i = 0; i < n; i++)
		if (ms[i] == 0 || ms[i] > TIMEOUT_MAX_MS)
			return REFUSE("service \"%s\": a time-out of %u ms; 1 "
				      "to %u are allowed",
				s->name, ms[i], TIMEOUT_MAX_MS);
	return 0;
}

static int
check_service(const struct grant *g, uint32_t i, char *why, size_t len)
{
	const struct grant_service *s = &g->services[i];
	const struct grant_proxy *p = &g->proxy[i];

	if (s->proto != IPPROTO_TCP || s->port == 0)
		return REFUSE(
			"service \"%s\": a proxy serves ports of TCP", s->name);
	if (p->default_group >= g->n_groups)
		return REFUSE(
			"service \"%s\" has no group of backends", s->name);
	if (p->n_routes > g->n_routes ||
		p->first_route > g->n_routes - p->n_routes)
		return REFUSE("service \"%s\" names routes beyond the grant's "
			      "%u",
			s->name, g->n_routes);
	for (uint32_t k = 0; k < p->n_routes; k++)
		if (g->routes[p->first_route + k].group >= g->n_groups)
			return REFUSE("service \"%s\": route %u leads to no "
				      "group",
				s->name, k);
	if (p->max_header_bytes > HTTP_HEAD_MAX + 1)
		return REFUSE("service \"%s\": heads of %u bytes; at most %d",
			s->name, p->max_header_bytes, HTTP_HEAD_MAX + 1);
	if (p->max_connections == 0)
		return REFUSE("service \"%s\": 0 connections would refuse "
			      "every client",
			s->name);
	return check_times(s, p, why, len);
}

static int
check_sizes(const struct grant *g, char *why, size_t len)
{
	if (g->n_services > GRANT_SERVICES_MAX ||
		g->n_backends > GRANT_BACKENDS_MAX ||
		g->n_snat > GRANT_SNAT_MAX || g->n_groups > GRANT_GROUPS_MAX ||
		g->n_routes > GRANT_ROUTES_MAX || g->text_len > GRANT_TEXT_MAX)
		return REFUSE("more services, groups, routes, backends or snat "
			      "addresses than a grant can hold");
	if (g->max_connections < 2 || g->max_connections > 1u << 24)
		return REFUSE("max_connections %u; 2 to %u are allowed",
			g->max_connections, 1u << 24);
	if (g->buckets == 0 || g->buckets > GRANT_BUCKETS_MAX ||
		!rte_is_power_of_2(g->buckets))
		return REFUSE("%u buckets; a power of two up to %d is allowed",
			g->buckets, GRANT_BUCKETS_MAX);
	return 0;
}

int
proxy_configure(const struct grant *g, char *why, size_t len)
{
	int rc = check_sizes(g, why, len);

	for (uint32_t i = 0; i < g->n_groups && rc == 0; i++)
		rc = check_group(g, &g->groups[i], why, len);
	for (uint32_t i = 0; i < g->n_services && rc == 0; i++)
		rc = check_service(g, i, why, len);
	return rc;
}

uint32_t
proxy_head_room(const struct grant *g)
{
	uint32_t most = HEAD_ROOM_MIN;

	for (uint32_t i = 0; i < g->n_services; i++)
		if (g->proxy[i].mode == GRANT_MODE_HTTP)
			most = RTE_MAX(most, g->proxy[i].max_header_bytes);
	return RTE_MIN(most, (uint32_t)HTTP_HEAD_MAX);
}

/* Heads twice: an update may make them larger, and move what they hold. */
size_t
proxy_memory(const struct grant *g)
{
	size_t n = g->max_connections;

	return sizeof(struct proxy) + tcp_bind_memory(g) +
	       n * (sizeof(struct session) + sizeof(struct server)) +
	       (n + PROXY_SLOTS) * sizeof(struct wheel_link) +
	       2 * head_memory(g->max_connections, proxy_head_room(g)) +
	       (4u << 20);
}

uint32_t
proxy_buffers(const struct grant *g)
{
	(void)g;
	return BUFFERS;
}
