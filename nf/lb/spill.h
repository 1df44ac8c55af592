/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Connections of a log whose indices are beyond the table: it was larger when
 * they were logged. Kept by index while the log is read, until those that are
 * left then move to free entries.
 *
 * A hash table with linear probing; `link.next` of a connection is its index,
 * WHEEL_NONE where a place was never used. One that ended keeps its place, in
 * state FREE, until the table grows. No more than `max` live ones are kept,
 * whatever the log says.
 */
#ifndef CARRYALL_LB_SPILL_H
#define CARRYALL_LB_SPILL_H

#include <stdint.h>

#include "nf/lb/flow.h"

struct spill {
	struct flow *place; /* [size] */
	uint32_t size;      /* 0, or a power of two */
	uint32_t taken;     /* places that are or were in use */
	uint32_t max;
	uint32_t refuse; /* new ones to refuse before looking again */
};

/* The connection of `index`, or NULL. */
struct flow *spill_find(const struct spill *s, uint32_t index);

/*
 * The same, made if there is none: then in state FREE. NULL without memory,
 * or when there are `max`.
 */
struct flow *spill_enter(struct spill *s, uint32_t index);

void spill_fini(struct spill *s);

#endif
