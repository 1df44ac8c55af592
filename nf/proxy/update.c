/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From a grant to what is served, the first one and every later one alike.
 *
 *   check    is it good, does it leave alone what cannot change, is there a
 *            slot for all that it names? Nothing is changed until here
 *   commit   services, backends, groups; new ones are listened on
 *   follow   sessions under way: their group's new place, or none
 *
 * Services are known by address and port, backends by service, group's name,
 * address and port. What the grant has no more keeps its slot until its last
 * connection has gone: a session of a service that has gone ends with its
 * request, an idle one at once.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "dataplane/tcp/bind.h"
#include "nf/proxy/cookie.h"
#include "nf/proxy/head.h"

#define NONE UINT16_MAX

/* What a grant comes to, by its own indices. */
struct change {
	uint16_t service[GRANT_SERVICES_MAX]; /* slots */
	uint16_t backend[GRANT_BACKENDS_MAX];
	uint32_t owner[GRANT_GROUPS_MAX]; /* services, of the grant */
	bool new_service[PROXY_SERVICES];
	bool new_backend[GRANT_BACKENDS_MAX];
};

/* --- whose group it is --------------------------------------------------- */

/* A group is its service's: by its default or by a route. */
static void
find_owners(const struct grant *g, struct change *c)
{
	for (uint32_t i = 0; i < g->n_groups; i++)
		c->owner[i] = PROXY_NONE;
	for (uint32_t i = 0; i < g->n_services; i++) {
		const struct grant_proxy *p = &g->proxy[i];

		c->owner[p->default_group] = i;
		for (uint32_t k = 0; k < p->n_routes; k++)
			c->owner[g->routes[p->first_route + k].group] = i;
	}
}

/* --- slots --------------------------------------------------------------- */

static uint16_t
service_slot(const struct proxy *p, const struct grant_service *g,
	const struct change *c)
{
	uint16_t vacant = NONE;

	for (uint16_t i = 0; i < PROXY_SERVICES; i++) {
		const struct service *v = &p->service[i];

		if (v->used && ip_addr_eq(&v->addr, &g->addr) &&
			v->port == g->port)
			return i;
		if (!v->used && !c->new_service[i] && vacant == NONE)
			vacant = i;
	}
	return vacant;
}

static bool
is_backend(const struct backend *b, const struct grant_backend *g,
	uint16_t service, const char *group)
{
	return b->used && b->service == service && b->port == g->port &&
	       ip_addr_eq(&b->addr, &g->addr) &&
	       strncmp(b->group, group, GRANT_NAME_MAX) == 0;
}

/* One of no use to anybody; best one where a former process counted for it. */
static uint16_t
vacant_backend(const struct proxy *p, const struct change *c,
	const struct grant_backend *g, uint16_t service)
{
	const struct stats_backend *stats = p->env->stats->backend;
	uint16_t vacant = NONE;

	for (uint16_t i = 0; i < GRANT_BACKENDS_MAX; i++) {
		const struct backend *b = &p->backend[i];

		if (c->new_backend[i] ||
			(b->used && (b->live || b->conns > 0 || b->active > 0)))
			continue;
		if (stats[i].used && stats[i].service == service &&
			stats[i].port == g->port &&
			ip_addr_eq(&stats[i].addr, &g->addr))
			return i;
		if (vacant == NONE || (stats[vacant].used && !stats[i].used))
			vacant = i;
	}
	return vacant;
}

static uint16_t
backend_slot(const struct proxy *p, const struct change *c,
	const struct grant_backend *g, uint16_t service, const char *group)
{
	for (uint16_t i = 0; i < GRANT_BACKENDS_MAX; i++)
		if (!c->new_backend[i] && is_backend(&p->backend[i], g,
						  c->service[service], group))
			return i;
	return vacant_backend(p, c, g, service);
}

static int
find_backends(const struct proxy *p, const struct grant *g, struct change *c)
{
	for (uint32_t i = 0; i < g->n_groups; i++) {
		const struct grant_group *group = &g->groups[i];

		if (c->owner[i] == PROXY_NONE)
			continue;
		for (uint32_t k = 0; k < group->n_backends; k++) {
			uint32_t at = group->first_backend + k;
			const struct grant_backend *from = &g->backends[at];
			uint16_t service = (uint16_t)c->owner[i];
			uint16_t slot =
				backend_slot(p, c, from, service, group->name);

			if (slot == NONE)
				return -ENOSPC;
			c->backend[at] = slot;
			if (!is_backend(&p->backend[slot], from,
				    c->service[service], group->name))
				c->new_backend[slot] = true;
		}
	}
	return 0;
}

static int
prepare(const struct proxy *p, const struct grant *g, struct change *c)
{
	memset(c, 0, sizeof(*c));
	memset(c->backend, 0xff, sizeof(c->backend));
	find_owners(g, c);
	for (uint16_t i = 0; i < g->n_services; i++) {
		uint16_t slot = service_slot(p, &g->services[i], c);

		if (slot == NONE)
			return -ENOSPC;
		c->service[i] = slot;
		c->new_service[slot] = !p->service[slot].used;
	}
	return find_backends(p, g, c);
}

/* --- services ------------------------------------------------------------ */

/* Counters follow the grant's order: move them along. */
static void
move_counters(struct proxy *p, const struct grant *g, const struct change *c,
	bool first)
{
	struct stats *stats = p->env->stats;
	struct stats_service counts[GRANT_SERVICES_MAX];
	struct stats_http http[GRANT_SERVICES_MAX];

	memset(counts, 0, sizeof(counts));
	memset(http, 0, sizeof(http));
	for (uint16_t i = 0; i < g->n_services; i++) {
		const struct service *v = &p->service[c->service[i]];

		if (!first && !v->live)
			continue;
		counts[i] = stats->service[first ? i : v->stat];
		http[i] = stats->http[first ? i : v->stat];
		if (first)
			http[i].tunnels = 0;
	}
	memcpy(stats->service, counts, sizeof(counts));
	memcpy(stats->http, http, sizeof(http));
}

static void
retire_service(struct proxy *p, struct service *v)
{
	v->http = &p->gone_http;
	v->counts = &p->gone_counts;
	if (v->used && v->conns == 0)
		v->used = false;
}

static int
listen_on(struct proxy *p, struct service *v, const struct grant_service *g)
{
	if (v->listening)
		return 0;
	v->addr = g->addr;
	v->port = g->port;
	v->proxy = p;
	v->used = true;
	v->listening =
		tcp_listen(p->tcp, &v->addr, v->port, &session_ops, v, 0) == 0;
	return v->listening ? 0 : -EADDRINUSE;
}

static void
commit_service(
	struct proxy *p, const struct grant *g, uint32_t i, struct service *v)
{
	v->live = true;
	v->stat = i;
	v->conf = g->proxy[i];
	v->http = &p->env->stats->http[i];
	v->counts = &p->env->stats->service[i];
	v->counts->connections = v->conns;
}

static int
commit_services(struct proxy *p, const struct grant *g, const struct change *c)
{
	int rc = 0;

	for (uint32_t i = 0; i < PROXY_SERVICES; i++)
		p->service[i].live = false;
	for (uint32_t i = 0; i < g->n_services; i++) {
		struct service *v = &p->service[c->service[i]];
		int err = listen_on(p, v, &g->services[i]);

		commit_service(p, g, i, v);
		rc = rc != 0 ? rc : err;
	}
	for (uint32_t i = 0; i < PROXY_SERVICES; i++) {
		struct service *v = &p->service[i];

		if (v->live)
			continue;
		if (v->listening)
			tcp_unlisten(p->tcp, &v->addr, v->port);
		v->listening = false;
		retire_service(p, v);
	}
	return rc;
}

/* --- backends ------------------------------------------------------------ */

static void
count_backend(struct proxy *p, uint16_t slot, uint32_t service)
{
	struct stats_backend *s = &p->env->stats->backend[slot];
	const struct backend *b = &p->backend[slot];

	if (!s->used || s->port != b->port || !ip_addr_eq(&s->addr, &b->addr)) {
		memset(s, 0, sizeof(*s));
		memset(server_stats(p, slot), 0,
			sizeof(*server_stats(p, slot)));
	}
	s->addr = b->addr;
	s->port = b->port;
	s->service = (uint16_t)service;
	s->connections = b->conns;
	s->used = 1;
	server_stats(p, slot)->active = b->active;
	server_stats(p, slot)->idle = b->n_idle;
}

static void
commit_backend(struct proxy *p, const struct grant *g, const struct change *c,
	uint32_t group, uint32_t at)
{
	const struct grant_backend *from = &g->backends[at];
	uint16_t slot = c->backend[at];
	struct backend *b = &p->backend[slot];

	if (c->new_backend[slot]) {
		if (b->failures > 0)
			p->n_failed--;
		*b = (struct backend){ .addr = from->addr,
			.port = from->port,
			.service = c->service[c->owner[group]],
			.used = true,
			.idle_first = PROXY_NONE,
			.idle_last = PROXY_NONE };
		memcpy(b->group, g->groups[group].name, GRANT_NAME_MAX);
	}
	b->live = true;
	b->member = at;
	b->in_group = group;
	b->nexthop = from->nexthop;
	b->cookie = cookie_id(&p->cookie_key, from);
	p->slot_of[at] = slot;
	p->node[at] = (struct balance_node){ .active = b->active,
		.weight = from->weight };
	count_backend(p, slot, c->owner[group]);
}

static void
commit_backends(struct proxy *p, const struct grant *g, const struct change *c)
{
	for (uint32_t i = 0; i < GRANT_BACKENDS_MAX; i++)
		p->backend[i].live = false;
	memset(p->balance, 0, sizeof(p->balance));
	for (uint32_t i = 0; i < g->n_groups; i++)
		for (uint32_t k = 0; c->owner[i] != PROXY_NONE &&
				     k < g->groups[i].n_backends;
			k++)
			commit_backend(
				p, g, c, i, g->groups[i].first_backend + k);
	for (uint32_t i = 0; i < GRANT_BACKENDS_MAX; i++) {
		struct backend *b = &p->backend[i];

		if (b->live)
			continue;
		if (b->used)
			server_close_idle(p, i);
		if (!b->used || (b->conns == 0 && b->active == 0))
			p->env->stats->backend[i].used = 0;
	}
}

static void
commit_snat(struct proxy *p, const struct grant *g)
{
	p->bound[0] = p->bound[1] = 0;
	for (uint16_t i = 0; i < g->n_snat; i++) {
		int v6 = !ip_addr_is_v4(&g->snat[i]);

		p->snat[v6][p->bound[v6]++] = i;
	}
}

/* --- sessions under way -------------------------------------------------- */

/* Where the backend that it is at says that its group is now. */
static void
follow(struct proxy *p, struct session *s)
{
	const struct service *v = service_of(s);
	struct exchange *x = &s->x;

	if (s->state == SESSION_FREE)
		return;
	if (!v->live && s->state == SESSION_IDLE) {
		p->env->stats->ended++;
		session_close(s, false);
		return;
	}
	if (s->state != SESSION_BUSY && s->state != SESSION_TUNNEL)
		return;
	if (!v->live)
		p->env->stats->ended++;
	if (x->backend != PROXY_NONE && p->backend[x->backend].live)
		x->group = p->backend[x->backend].in_group;
	else
		x->group = PROXY_NONE;
}

/* --- the way in ---------------------------------------------------------- */

int
proxy_apply(struct proxy *p, char *why, size_t len)
{
	const struct grant *g = p->env->grant;
	struct change c;
	bool first = p->sessions == 0 && p->service[0].proxy == NULL;
	int rc = prepare(p, g, &c);

	if (rc == 0)
		rc = head_grow(p, proxy_head_room(g));
	if (rc != 0) {
		snprintf(why, len, "%s",
			rc == -ENOMEM ? "no memory for larger heads"
				      : "too many services or backends are "
					"still draining");
		return rc;
	}
	move_counters(p, g, &c, first);
	if (commit_services(p, g, &c) != 0)
		snprintf(why, len, "a service's port is taken");
	commit_backends(p, g, &c);
	commit_snat(p, g);
	for (uint32_t i = 0; i < p->n; i++)
		follow(p, &p->session[i]);
	if (!first)
		tcp_bind_update(p->tcp, p->env);
	return 0;
}
