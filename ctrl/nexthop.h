/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Next hops: the kernel's routes and neighbours, made into the table that
 * instances read (struct nexthops in dataplane/grant.h).
 *
 * The kernel stays the one that knows routes and speaks ARP and ND; this
 * follows it over netlink. It makes the kernel resolve what nobody else asks
 * it for, since packets of instances pass it by, and asks again before an
 * entry grows old, so that a backend that has moved or died is noticed.
 *
 * Thread: control. Nothing blocks but short requests to the kernel.
 */
#ifndef CARRYALL_NEXTHOP_H
#define CARRYALL_NEXTHOP_H

#include <stddef.h>

#include "ctrl/plan.h"
#include "dataplane/grant.h"

struct nexthop_watch;

/*
 * Fill `table` for the plan's uplinks and next hops and begin to follow
 * changes. Borrows both. 0, or -errno with the reason in why[0..len).
 */
int nexthop_watch_create(struct nexthop_watch **out, const struct plan *plan,
	struct nexthops *table, char *why, size_t len);

/* The table stays as it is. */
void nexthop_watch_free(struct nexthop_watch *watch);

/* A descriptor that is readable when nexthop_watch_dispatch() has work. */
int nexthop_watch_fd(const struct nexthop_watch *watch);
void nexthop_watch_dispatch(struct nexthop_watch *watch);

/* To be called once a second. */
void nexthop_watch_timer(struct nexthop_watch *watch);

/*
 * Follow another plan from here on, whose numbers agree with the former's
 * (adopt_inherit). Borrows it in the former's place. 0 or -ENOMEM, and then
 * the former plan is followed on.
 */
int nexthop_watch_update(struct nexthop_watch *watch, const struct plan *plan);

/*
 * Is plan->nexthops[i] resolved? 0, or -EHOSTUNREACH with the reason in
 * why[0..len).
 */
int nexthop_state(const struct nexthop_watch *watch, unsigned int i, char *why,
	size_t len);

#endif
