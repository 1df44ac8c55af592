/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Taking over what runs: the grants in the run directory say what the
 * instances of a former control plane were given. A new plan fits if it
 * gives each the same VNIC, core, buckets and log, so that it can go on as it
 * is.
 */
#ifndef CARRYALL_ADOPT_H
#define CARRYALL_ADOPT_H

#include <stdbool.h>
#include <stddef.h>

#include "ctrl/plan.h"
#include "ctrl/rundir.h"

/* Is there anything to adopt: at least one grant? */
bool adopt_possible(const struct rundir *dir);

/*
 * Compare the plan with the grants found, and let it keep their next-hop
 * numbers. 0, or -EBUSY with the first difference in why[0..len).
 */
int adopt_check(
	const struct rundir *dir, struct plan *plan, char *why, size_t len);

/*
 * Give the next hops of `plan` the numbers that they have in `running`, and
 * new numbers to new ones: an instance reads the table by the numbers of its
 * old grant until it has taken the new one, and for ever for the connections
 * of a backend that was removed. 0, or -ENOSPC when the table is full.
 */
int adopt_inherit(
	struct plan *plan, const struct plan *running, char *why, size_t len);

#endif
