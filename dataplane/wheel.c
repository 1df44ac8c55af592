/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/wheel.h"

#include <assert.h>

static uint32_t
slot_head(const struct wheel *w, uint64_t slot)
{
	return w->first + (uint32_t)(slot & (w->slots - 1));
}

void
wheel_init(struct wheel *w, void *base, uint32_t stride, uint32_t first,
	uint32_t slots, uint32_t shift, uint64_t now_ms)
{
	assert(slots != 0 && (slots & (slots - 1)) == 0);
	w->base = base;
	w->stride = stride;
	w->first = first;
	w->slots = slots;
	w->shift = shift;
	w->cursor = now_ms >> shift;
	for (uint32_t i = 0; i < slots; i++)
		wheel_list_init(w, first + i);
}

void
wheel_arm(struct wheel *w, uint32_t i, uint64_t now_ms, uint32_t delay_ms)
{
	uint64_t slot = (now_ms + delay_ms) >> w->shift;

	/* The cursor may lag behind the clock: the ring ends before it. */
	if (slot > w->cursor + w->slots - 1)
		slot = w->cursor + w->slots - 1;
	if (slot < w->cursor)
		slot = w->cursor;
	wheel_list_append(w, slot_head(w, slot), i);
}

uint32_t
wheel_pop(struct wheel *w, uint64_t now_ms)
{
	uint64_t now = now_ms >> w->shift;

	/* After a long sleep one turn visits every slot. */
	if (now > w->cursor + w->slots)
		w->cursor = now - w->slots;
	while (w->cursor < now) {
		uint32_t i = wheel_list_first(w, slot_head(w, w->cursor));

		if (i != WHEEL_NONE) {
			wheel_unlink(w, i);
			return i;
		}
		w->cursor++;
	}
	return WHEEL_NONE;
}

uint32_t
wheel_wait(const struct wheel *w, uint64_t now_ms, uint32_t max_ms)
{
	for (uint32_t k = 0; k < w->slots; k++) {
		uint64_t due = (w->cursor + k + 1) << w->shift;

		if (due > now_ms && due - now_ms >= max_ms)
			break;
		if (wheel_list_first(w, slot_head(w, w->cursor + k)) !=
			WHEEL_NONE)
			return due > now_ms ? (uint32_t)(due - now_ms) : 0;
	}
	return max_ms;
}
