/* SPDX-License-Identifier: BSD-3-Clause */
#include "nf/lb/sched.h"

#include <string.h>

#include <rte_malloc.h>

#include "nf/lb/maglev.h"

/* One connection of a backend of weight 1, in units of key. */
#define STRIDE (1u << 20)

/* Members that round robin passes over before it looks at all. */
#define PASS_OVER 16

struct member {
	uint64_t key;
	uint16_t slot;
	uint16_t weight;
	uint16_t at; /* its place in the heap */
};

struct lb_sched {
	uint8_t kind; /* enum grant_scheduler */
	uint32_t n;
	uint16_t *heap;   /* [n]: members, lowest key first */
	uint16_t *maglev; /* [MAGLEV_SIZE]: members */
	struct member member[];
};

static size_t
tail_bytes(uint8_t kind, uint32_t n)
{
	return sizeof(uint16_t) *
	       (kind == GRANT_SCHED_MAGLEV ? MAGLEV_SIZE : n);
}

size_t
sched_memory(uint8_t kind, uint32_t n)
{
	return sizeof(struct lb_sched) + n * sizeof(struct member) +
	       tail_bytes(kind, n);
}

/* --- the heap --- */

static void
put(struct lb_sched *s, uint32_t at, uint16_t m)
{
	s->heap[at] = m;
	s->member[m].at = (uint16_t)at;
}

static void
sift_up(struct lb_sched *s, uint32_t at)
{
	uint16_t m = s->heap[at];

	while (at > 0) {
		uint32_t up = (at - 1) / 2;

		if (s->member[s->heap[up]].key <= s->member[m].key)
			break;
		put(s, at, s->heap[up]);
		at = up;
	}
	put(s, at, m);
}

static void
sift_down(struct lb_sched *s, uint32_t at)
{
	uint16_t m = s->heap[at];

	for (;;) {
		uint32_t down = 2 * at + 1;

		if (down >= s->n)
			break;
		if (down + 1 < s->n && s->member[s->heap[down + 1]].key <
					       s->member[s->heap[down]].key)
			down++;
		if (s->member[m].key <= s->member[s->heap[down]].key)
			break;
		put(s, at, s->heap[down]);
		at = down;
	}
	put(s, at, m);
}

static void
set_key(struct lb_sched *s, uint16_t m, uint64_t key)
{
	s->member[m].key = key;
	sift_up(s, s->member[m].at);
	sift_down(s, s->member[m].at);
}

/* --- making one --- */

static uint64_t
load_key(const struct lb_backend *b, uint16_t weight)
{
	return (b->conns + 1ull) * STRIDE / weight;
}

static uint64_t
first_key(const struct lb *lb, const struct lb_sched *s, uint16_t m)
{
	const struct member *member = &s->member[m];

	if (s->kind == GRANT_SCHED_LEASTCONN)
		return load_key(&lb->backend[member->slot], member->weight);
	return STRIDE / member->weight;
}

static void
make_heap(const struct lb *lb, struct lb_sched *s)
{
	for (uint16_t m = 0; m < s->n; m++) {
		s->member[m].key = first_key(lb, s, m);
		put(s, m, m);
		sift_up(s, m);
	}
}

static void
make_maglev(const struct lb *lb, struct lb_sched *s)
{
	struct maglev_node node[LB_BACKENDS];

	for (uint16_t m = 0; m < s->n; m++) {
		const struct lb_backend *b = &lb->backend[s->member[m].slot];

		node[m].id = maglev_id(&b->addr, b->port);
		node[m].weight = s->member[m].weight;
		node[m].value = m;
	}
	maglev_build(s->maglev, MAGLEV_SIZE, node, s->n);
}

struct lb_sched *
sched_create(const struct lb *lb, uint8_t kind, const uint16_t *slot,
	const uint16_t *weight, uint32_t n)
{
	struct lb_sched *s = rte_zmalloc(NULL, sched_memory(kind, n), 0);

	if (s == NULL)
		return NULL;
	s->kind = kind;
	s->n = n;
	s->heap = (uint16_t *)&s->member[n];
	s->maglev = s->heap;
	for (uint32_t m = 0; m < n; m++) {
		s->member[m].slot = slot[m];
		s->member[m].weight = weight[m];
	}
	if (kind == GRANT_SCHED_MAGLEV)
		make_maglev(lb, s);
	return s;
}

int
sched_is(const struct lb_sched *s, uint8_t kind, const uint16_t *slot,
	const uint16_t *weight, uint32_t n)
{
	if (s == NULL || s->kind != kind || s->n != n)
		return 0;
	for (uint32_t m = 0; m < n; m++)
		if (s->member[m].slot != slot[m] ||
			s->member[m].weight != weight[m])
			return 0;
	return 1;
}

size_t
sched_bytes(const struct lb_sched *s)
{
	return sched_memory(s->kind, s->n);
}

void
sched_start(struct lb *lb, struct lb_sched *s)
{
	for (uint16_t m = 0; m < s->n; m++)
		lb->backend[s->member[m].slot].member = m;
	if (s->kind != GRANT_SCHED_MAGLEV)
		make_heap(lb, s);
}

/* --- picking --- */

static int
resolved(const struct lb *lb, uint16_t slot)
{
	return lb_hop(&lb->backend[slot]) != 0;
}

/* The member of lowest key among those with a next hop, or LB_NONE. */
static uint16_t
lowest_resolved(const struct lb *lb, const struct lb_sched *s)
{
	uint16_t best = LB_NONE;

	for (uint16_t m = 0; m < s->n; m++)
		if (resolved(lb, s->member[m].slot) &&
			(best == LB_NONE ||
				s->member[m].key < s->member[best].key))
			best = m;
	return best;
}

/* Maglev's next choices come from rehashing, so they too are consistent. */
static uint16_t
pick_maglev(const struct lb *lb, const struct lb_sched *s, uint32_t hash)
{
	for (int i = 0; i < PASS_OVER; i++) {
		uint16_t m = s->maglev[maglev_place(hash, MAGLEV_SIZE)];

		if (resolved(lb, s->member[m].slot))
			return m;
		hash = hash * 0x2c1b3c6du + 0x297a2d39u;
	}
	return lowest_resolved(lb, s);
}

static void
have_turn(struct lb_sched *s, uint16_t m)
{
	set_key(s, m, s->member[m].key + STRIDE / s->member[m].weight);
}

/* A member without next hop has its turn, lest it claims them all later. */
static uint16_t
pick_rr(const struct lb *lb, struct lb_sched *s)
{
	uint16_t m;

	for (int i = 0; i < PASS_OVER; i++) {
		m = s->heap[0];
		have_turn(s, m);
		if (resolved(lb, s->member[m].slot))
			return m;
	}
	m = lowest_resolved(lb, s);
	if (m != LB_NONE)
		have_turn(s, m);
	return m;
}

static uint16_t
pick_leastconn(const struct lb *lb, const struct lb_sched *s)
{
	uint16_t m = s->heap[0];

	return resolved(lb, s->member[m].slot) ? m : lowest_resolved(lb, s);
}

uint16_t
sched_pick(struct lb *lb, struct lb_sched *s, uint32_t hash)
{
	uint16_t m;

	switch (s->kind) {
	case GRANT_SCHED_RR:
		m = pick_rr(lb, s);
		break;
	case GRANT_SCHED_LEASTCONN:
		m = pick_leastconn(lb, s);
		break;
	default:
		m = pick_maglev(lb, s, hash);
	}
	return m == LB_NONE ? LB_NONE : s->member[m].slot;
}

void
sched_count(struct lb_sched *s, const struct lb_backend *b)
{
	if (s->kind == GRANT_SCHED_LEASTCONN)
		set_key(s, b->member, load_key(b, s->member[b->member].weight));
}
