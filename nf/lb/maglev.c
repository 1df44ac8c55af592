/* SPDX-License-Identifier: BSD-3-Clause */
#include "nf/lb/maglev.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/grant.h"

#define EMPTY UINT16_MAX

struct walk {
	uint32_t place, skip; /* where it stands, and its step */
	uint32_t credit;      /* turns saved up, in units of weight */
};

static uint64_t
mix(uint64_t h)
{
	h ^= h >> 31;
	h *= 0x7fb5d329728ea185ull;
	h ^= h >> 27;
	h *= 0x81dadef4bc2dd44dull;
	return h ^ h >> 33;
}

uint64_t
maglev_id(const struct ip_addr *addr, uint16_t port)
{
	uint64_t half[2];

	memcpy(half, addr, sizeof(half));
	return mix(mix(mix(half[0] + 1) ^ half[1]) + port);
}

static int
by_id(const void *a, const void *b)
{
	const struct maglev_node *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static void
start_walk(struct walk *w, uint64_t id, uint32_t size)
{
	w->place = (uint32_t)(mix(id ^ 0x6f66667365740000ull) % size);
	w->skip = (uint32_t)(mix(id ^ 0x736b697000000000ull) % (size - 1)) + 1;
	w->credit = 0;
}

static void
take_place(uint16_t *table, uint32_t size, struct walk *w, uint16_t value)
{
	while (table[w->place] != EMPTY) {
		w->place += w->skip;
		if (w->place >= size)
			w->place -= size;
	}
	table[w->place] = value;
}

static uint32_t
highest_weight(const struct maglev_node *node, uint32_t n)
{
	uint32_t most = 1;

	for (uint32_t i = 0; i < n; i++)
		if (node[i].weight > most)
			most = node[i].weight;
	return most;
}

void
maglev_build(
	uint16_t *table, uint32_t size, struct maglev_node *node, uint32_t n)
{
	struct walk walk[GRANT_BACKENDS_MAX];
	uint32_t turn = highest_weight(node, n), taken = 0;

	qsort(node, n, sizeof(*node), by_id);
	for (uint32_t i = 0; i < n; i++)
		start_walk(&walk[i], node[i].id, size);
	memset(table, 0xff, size * sizeof(*table));
	for (uint32_t i = 0; taken < size; i = i + 1 < n ? i + 1 : 0) {
		walk[i].credit += node[i].weight;
		if (walk[i].credit < turn)
			continue;
		walk[i].credit -= turn;
		take_place(table, size, &walk[i], node[i].value);
		taken++;
	}
}
