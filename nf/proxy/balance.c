/* SPDX-License-Identifier: BSD-3-Clause */
#include "nf/proxy/balance.h"

#include "dataplane/grant.h"

static bool
usable(const struct balance_node *node, uint32_t i, uint32_t except)
{
	return node[i].weight > 0 && !node[i].down && i != except;
}

/* Smooth weighted round robin. */
static uint32_t
pick_rr(struct balance_node *node, uint32_t n, uint32_t except)
{
	uint32_t best = BALANCE_NONE;
	int32_t sum = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (!usable(node, i, except))
			continue;
		node[i].credit += node[i].weight;
		sum += node[i].weight;
		if (best == BALANCE_NONE || node[i].credit > node[best].credit)
			best = i;
	}
	if (best != BALANCE_NONE)
		node[best].credit -= sum;
	return best;
}

/* (active + 1) / weight, compared without a division. */
static bool
is_less(const struct balance_node *a, const struct balance_node *b)
{
	return (uint64_t)(a->active + 1ull) * b->weight <
	       (uint64_t)(b->active + 1ull) * a->weight;
}

static uint32_t
pick_least(struct balance *b, const struct balance_node *node, uint32_t n,
	uint32_t except)
{
	uint32_t best = BALANCE_NONE;
	uint32_t i = b->next < n ? b->next : 0;

	for (uint32_t left = n; left > 0; left--) {
		if (usable(node, i, except) &&
			(best == BALANCE_NONE ||
				is_less(&node[i], &node[best])))
			best = i;
		i = i + 1 < n ? i + 1 : 0;
	}
	if (best != BALANCE_NONE)
		b->next = best + 1;
	return best;
}

uint32_t
balance_pick(struct balance *b, struct balance_node *node, uint32_t n,
	uint8_t scheduler, uint32_t except)
{
	uint32_t i = scheduler == GRANT_SCHED_LEASTCONN
			     ? pick_least(b, node, n, except)
			     : pick_rr(node, n, except);

	if (i == BALANCE_NONE && except < n && usable(node, except, n))
		i = except;
	return i;
}
