/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A timer wheel over the entries of a table, linked by index.
 *
 * Every entry has two 32-bit links in its own memory; the heads of lists are
 * entries of the same table, so an entry leaves whatever list it is in with
 * no knowledge of it, and nothing is ever allocated:
 *
 *    index   0 .......... n-1 | n .......... | first ..... first + slots - 1
 *            the user's       | heads of the | heads of the wheel's slots
 *            entries          | user's lists |
 *
 * The wheel has one level. A time further away than its horizon (slots x
 * slot length) is cut to it: the timer fires early and its owner arms it
 * again. So a timer that is refreshed often costs nothing: who refreshes it
 * writes the time of last use next to the link, and only when the timer
 * fires is it seen that it is not yet due. That also bounds how long a
 * changed time-out takes to show: one horizon.
 *
 * One thread owns a wheel and its entries.
 */
#ifndef CARRYALL_WHEEL_H
#define CARRYALL_WHEEL_H

#include <stdint.h>

struct wheel_link {
	uint32_t prev, next;
};

struct wheel {
	uint8_t *base;   /* link of entry 0 */
	uint32_t stride; /* bytes from link to link */
	uint32_t first;  /* index of slot 0's head */
	uint32_t slots;  /* a power of two */
	uint32_t shift;  /* a slot is 2^shift milliseconds */
	uint64_t cursor; /* slot number that is drained next */
};

#define WHEEL_NONE UINT32_MAX

static inline struct wheel_link *
wheel_link(const struct wheel *w, uint32_t i)
{
	return (struct wheel_link *)(void *)(w->base + (uint64_t)i * w->stride);
}

/* Make head `head` an empty list. */
static inline void
wheel_list_init(struct wheel *w, uint32_t head)
{
	struct wheel_link *h = wheel_link(w, head);

	h->prev = h->next = head;
}

/* The first entry of list `head`, or WHEEL_NONE. */
static inline uint32_t
wheel_list_first(const struct wheel *w, uint32_t head)
{
	uint32_t i = wheel_link(w, head)->next;

	return i == head ? WHEEL_NONE : i;
}

/* Put entry `i`, which is in no list, at the end of list `head`. */
static inline void
wheel_list_append(struct wheel *w, uint32_t head, uint32_t i)
{
	struct wheel_link *h = wheel_link(w, head), *l = wheel_link(w, i);

	l->prev = h->prev;
	l->next = head;
	wheel_link(w, h->prev)->next = i;
	h->prev = i;
}

/* Take entry `i` out of the list it is in: a user's list or a slot. */
static inline void
wheel_unlink(struct wheel *w, uint32_t i)
{
	struct wheel_link *l = wheel_link(w, i);

	wheel_link(w, l->prev)->next = l->next;
	wheel_link(w, l->next)->prev = l->prev;
}

/*
 * Make an empty wheel that stands at `now_ms`. `base` is the link of entry
 * 0, one every `stride` bytes, owned by the caller; entries
 * [first, first + slots) become heads. `slots` is a power of two.
 */
void wheel_init(struct wheel *w, void *base, uint32_t stride, uint32_t first,
	uint32_t slots, uint32_t shift, uint64_t now_ms);

/*
 * Arm entry `i`, which is in no list: wheel_pop() yields it no earlier than
 * `delay_ms` after `now_ms`, or at the horizon if that is earlier.
 */
void wheel_arm(struct wheel *w, uint32_t i, uint64_t now_ms, uint32_t delay_ms);

/*
 * Take out the next entry whose slot has passed at `now_ms` and return its
 * index, or WHEEL_NONE when there is none left. Time may jump, but not back.
 */
uint32_t wheel_pop(struct wheel *w, uint64_t now_ms);

/*
 * The entry behind the next one of those that are due together, or WHEEL_NONE:
 * what to fetch, while the next one is dealt with.
 */
static inline uint32_t
wheel_behind(const struct wheel *w)
{
	uint32_t head = w->first + (uint32_t)(w->cursor & (w->slots - 1));
	uint32_t next = wheel_link(w, head)->next;

	if (next == head)
		return WHEEL_NONE;
	next = wheel_link(w, next)->next;
	return next == head ? WHEEL_NONE : next;
}

/*
 * Milliseconds from `now_ms` until wheel_pop() may yield an entry, at most
 * `max_ms`. 0 if it may now.
 */
uint32_t wheel_wait(const struct wheel *w, uint64_t now_ms, uint32_t max_ms);

#endif
