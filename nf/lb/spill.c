/* SPDX-License-Identifier: BSD-3-Clause */
#include "nf/lb/spill.h"

#include <stdlib.h>
#include <string.h>

#define SIZE_MIN 1024u

/* The place of `index`, or the vacant one where it would be; size > 0. */
static struct flow *
place_of(const struct spill *s, uint32_t index)
{
	uint32_t i = index * 0x9e3779b1u;

	for (i ^= i >> 15;; i++) {
		struct flow *f = &s->place[i & (s->size - 1)];

		if (f->link.next == index || f->link.next == WHEEL_NONE)
			return f;
	}
}

static int
make(struct spill *s, uint32_t size)
{
	s->place = aligned_alloc(sizeof(*s->place), size * sizeof(*s->place));
	if (s->place == NULL)
		return -1;
	s->size = size;
	s->taken = 0;
	for (uint32_t i = 0; i < size; i++)
		s->place[i].link.next = WHEEL_NONE;
	return 0;
}

static uint32_t
live(const struct spill *s)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < s->size; i++)
		n += s->place[i].link.next != WHEEL_NONE &&
		     s->place[i].state != FLOW_FREE;
	return n;
}

/* A table for twice as many as are live, and they in it. */
static int
grow(struct spill *s)
{
	struct spill old = *s;
	uint32_t n = live(s), size = SIZE_MIN;

	if (n >= s->max) {
		s->refuse = s->size / 4;
		return -1;
	}
	while (size < 2 * (uint64_t)n)
		size *= 2;
	if (make(s, size) != 0) {
		*s = old;
		return -1;
	}
	for (uint32_t i = 0; i < old.size; i++) {
		const struct flow *f = &old.place[i];

		if (f->link.next == WHEEL_NONE || f->state == FLOW_FREE)
			continue;
		*place_of(s, f->link.next) = *f;
		s->taken++;
	}
	free(old.place);
	return 0;
}

struct flow *
spill_find(const struct spill *s, uint32_t index)
{
	struct flow *f;

	if (s->size == 0 || index == WHEEL_NONE)
		return NULL;
	f = place_of(s, index);
	return f->link.next == index ? f : NULL;
}

struct flow *
spill_enter(struct spill *s, uint32_t index)
{
	struct flow *f = spill_find(s, index);

	if (f != NULL || index == WHEEL_NONE)
		return f;
	if (s->refuse > 0) {
		s->refuse--;
		return NULL;
	}
	if (s->taken >= s->size / 4 * 3 && grow(s) != 0)
		return NULL;
	f = place_of(s, index);
	memset(f, 0, sizeof(*f));
	f->link.next = index;
	s->taken++;
	return f;
}

void
spill_fini(struct spill *s)
{
	free(s->place);
	*s = (struct spill){ 0 };
}
