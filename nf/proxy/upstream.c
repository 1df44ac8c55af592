/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which backend, and which are not to be had just now.
 *
 * A backend that does not connect is left alone for a moment: half a second,
 * and twice as long with each failure that follows, up to half a minute. Then
 * one request tries it; until that has connected, or failed, the others still
 * pass it by.
 */
#include "nf/proxy/proxy.h"

#define DOWN_MS      500u
#define DOWN_DOUBLES 6

static uint64_t
down_ms(const struct backend *b)
{
	return (uint64_t)DOWN_MS << RTE_MIN(b->failures - 1, DOWN_DOUBLES);
}

void
upstream_failed(struct proxy *p, uint32_t slot)
{
	struct backend *b = &p->backend[slot];

	p->env->stats->backend[slot].failed++;
	if (b->failures == 0)
		p->n_failed++;
	if (b->failures < UINT8_MAX)
		b->failures++;
	b->down_until_ms = p->now_ms + down_ms(b);
}

void
upstream_works(struct proxy *p, uint32_t slot)
{
	struct backend *b = &p->backend[slot];

	if (likely(b->failures == 0))
		return;
	b->failures = 0;
	b->down_until_ms = 0;
	p->n_failed--;
	/* With the last one nobody refreshes this any more. */
	if (b->live)
		p->node[b->member].down = false;
}

static bool
is_down(const struct proxy *p, const struct backend *b)
{
	return b->failures > 0 && p->now_ms < b->down_until_ms;
}

/* Say to the scheduler who is down; mostly nobody is or was. */
static void
refresh(struct proxy *p, const struct grant_group *g)
{
	for (uint32_t i = 0; i < g->n_backends; i++) {
		uint32_t at = g->first_backend + i;

		p->node[at].down = is_down(p, &p->backend[p->slot_of[at]]);
	}
}

/* The backend whose cookie it is, if it may be asked. */
static uint32_t
find_cookie(const struct proxy *p, const struct grant_group *g,
	const struct exchange *x)
{
	for (uint32_t i = 0; i < g->n_backends; i++) {
		uint32_t at = g->first_backend + i, slot = p->slot_of[at];

		if (p->backend[slot].cookie != x->cookie)
			continue;
		if (p->node[at].weight == 0 || slot == x->except ||
			is_down(p, &p->backend[slot]))
			return PROXY_NONE;
		return slot;
	}
	return PROXY_NONE;
}

static uint32_t
member_of(const struct proxy *p, const struct grant_group *g, uint32_t slot)
{
	const struct backend *b = slot == PROXY_NONE ? NULL : &p->backend[slot];

	if (b == NULL || !b->live || b->member < g->first_backend ||
		b->member >= g->first_backend + g->n_backends)
		return BALANCE_NONE;
	return b->member - g->first_backend;
}

/*
 * All are down, as it seems, and this request has asked none: one that failed a
 * moment ago is better than none, and whether it was the backend that failed or
 * the way is not known.
 */
static uint32_t
last_resort(
	struct proxy *p, const struct exchange *x, const struct grant_group *g)
{
	for (uint32_t i = 0; i < g->n_backends; i++)
		p->node[g->first_backend + i].down = false;
	return balance_pick(&p->balance[x->group], &p->node[g->first_backend],
		g->n_backends, g->scheduler, member_of(p, g, x->except));
}

uint32_t
upstream_pick(struct session *s)
{
	struct proxy *p = s->proxy;
	struct exchange *x = &s->x;
	const struct grant_group *g;
	uint32_t slot = PROXY_NONE, i;
	struct backend *b;

	if (x->group == PROXY_NONE)
		return PROXY_NONE;
	g = &p->env->grant->groups[x->group];
	if (x->cookie != 0)
		slot = find_cookie(p, g, x);
	if (slot == PROXY_NONE) {
		if (unlikely(p->n_failed > 0))
			refresh(p, g);
		i = balance_pick(&p->balance[x->group],
			&p->node[g->first_backend], g->n_backends, g->scheduler,
			member_of(p, g, x->except));
		if (i == BALANCE_NONE && x->except == PROXY_NONE)
			i = last_resort(p, x, g);
		if (i == BALANCE_NONE)
			return PROXY_NONE;
		slot = p->slot_of[g->first_backend + i];
	}
	b = &p->backend[slot];
	/* It is this one that tries. */
	if (unlikely(b->failures > 0))
		b->down_until_ms = p->now_ms + down_ms(b);
	return slot;
}

void
upstream_busy(struct proxy *p, uint32_t slot, int n)
{
	struct backend *b = &p->backend[slot];

	b->active += (uint32_t)n;
	server_stats(p, slot)->active = b->active;
	if (likely(b->live))
		p->node[b->member].active = b->active;
}

void
upstream_conns(struct proxy *p, uint32_t slot, int n)
{
	struct backend *b = &p->backend[slot];

	b->conns += (uint32_t)n;
	p->env->stats->backend[slot].connections = b->conns;
	/* Nobody knows it any more. */
	if (b->conns == 0 && b->active == 0 && !b->live)
		p->env->stats->backend[slot].used = 0;
}
