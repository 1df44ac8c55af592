/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The next-hop watcher: fills the table that instances take MAC addresses
 * from, and keeps it as the kernel's routes and neighbours are.
 *
 * Thread: the control plane's. No call blocks beyond requests that the
 * kernel answers at once.
 */
#ifndef CARRYALL_NEXTHOP_H
#define CARRYALL_NEXTHOP_H

#include <stddef.h>

#include "ctrl/plan.h"
#include "dataplane/grant.h"

struct nexthop_watch;

/*
 * Begin to watch: entry i < number of uplinks becomes uplink i's own MAC
 * address and MTU, each plan->nexthops[] what it resolves to, now and until
 * the end. Borrows `plan` and `table`, which is writable and has its header.
 * NULL with -errno in *err.
 */
struct nexthop_watch *nexthop_watch_create(
	const struct plan *plan, struct nexthops *table, int *err);

/* Readable when there is something to dispatch; never blocks on reading. */
int nexthop_watch_fd(const struct nexthop_watch *w);

/* Take in what has changed. Call when the descriptor is readable. */
void nexthop_watch_dispatch(struct nexthop_watch *w);

/* Ask again for whom no answer came, probe the stale. Call every second. */
void nexthop_watch_timer(struct nexthop_watch *w);

/*
 * Go over to another plan with the same uplinks, borrowed from here on.
 * Entries of next hops that both have never become unresolved. 0 or -errno;
 * then the former plan stays.
 */
int nexthop_watch_update(struct nexthop_watch *w, const struct plan *plan);

/*
 * How plan->nexthops[i] stands, for people: "resolved", or why not and what
 * to look at. Into buf[0..len); returns buf.
 */
const char *nexthop_state(
	const struct nexthop_watch *w, unsigned int i, char *buf, size_t len);

/* Stop watching. The table stays as it is. */
void nexthop_watch_destroy(struct nexthop_watch *w);

#endif
