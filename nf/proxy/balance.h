/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The next backend of a group.
 *
 * Round robin is the smooth kind: every choice adds each one's weight to its
 * credit, takes the highest, and subtracts the sum of weights from it. Over a
 * sum of weights choices each has had exactly its weight of them, and with
 * weights 5, 1, 1 the order is a a b a c a a, not aaaaabc.
 *
 * Least connections takes the lowest (active + 1) / weight; among equals it
 * goes round, so that an idle group does not load its first backend alone.
 *
 * Weight 0 drains: never chosen. A backend that the caller has marked down is
 * passed over, and its credit does not grow meanwhile.
 *
 * A choice looks at each backend of the group once.
 */
#ifndef CARRYALL_PROXY_BALANCE_H
#define CARRYALL_PROXY_BALANCE_H

#include <stdbool.h>
#include <stdint.h>

struct balance_node {
	int32_t credit;  /* balance_pick()'s; 0 at first */
	uint32_t active; /* requests or connections in progress: the caller's */
	uint16_t weight; /* 0: drain */
	bool down;       /* the caller's */
};

struct balance {
	uint32_t next; /* where to begin among equals */
};

#define BALANCE_NONE UINT32_MAX

/*
 * Choose of node[0..n), n <= GRANT_BACKENDS_MAX, by `scheduler` (enum
 * grant_scheduler: _LEASTCONN, else round robin), but not `except` (of an
 * attempt that failed; BALANCE_NONE: any), unless there is no other. Its index
 * or BALANCE_NONE. Does not count the choice in `active`. Thread: the
 * instance's.
 */
uint32_t balance_pick(struct balance *b, struct balance_node *node, uint32_t n,
	uint8_t scheduler, uint32_t except);

#endif
