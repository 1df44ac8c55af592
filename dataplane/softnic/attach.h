/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Instances come and go: the sockets that they listen on, and the rings that
 * they share over them (vhost-user: vhost.h).
 *
 *            its socket appears          rings ready
 *   DETACHED -------------> CONNECTED ------------> ATTACHED
 *      ^                        |    it goes away      |
 *      +------------------------+----------------------+
 *
 * The NIC connects, the instance listens (net_virtio_user, server=1), so that
 * it is attached again when the NIC has been restarted, and goes on with the
 * rings as they are. An instance may be hostile: it may send half a message,
 * shrink the memory that it has shared, or close at any time; that ends its
 * own attachment and nothing else.
 *
 * Threads: attach has one of its own, which sleeps until a socket appears or
 * an instance says something, and never blocks on either. The loop sees a link
 * or none by one pointer; what it saw stays valid until it reports its next
 * quiescent state.
 */
#ifndef CARRYALL_SOFTNIC_ATTACH_H
#define CARRYALL_SOFTNIC_ATTACH_H

#include <stddef.h>

#include "dataplane/softnic/counters.h"
#include "dataplane/softnic/virtq.h"

struct rte_rcu_qsbr;
struct attach;

/* An attached instance. The loop alone works on the rings. */
struct attach_link {
	struct virtq to;   /* the instance's receive ring (0) */
	struct virtq from; /* its transmit ring (1) */
	struct virtq_memory memory;
};

/*
 * Begin: connect to the instances of `tables` (fixed part only: borrowed for
 * ever) as their sockets appear. `stats` gets attached and attaches. `qsbr`
 * has the loop as a reader, which must be offline whenever it sleeps. EAL must
 * be up; SIGBUS is taken over. 0, or -errno with the reason in why[0..len).
 */
int attach_create(struct attach **out, const struct softnic_tables *tables,
	struct softnic_stats *stats, struct rte_rcu_qsbr *qsbr, char *why,
	size_t len);

/*
 * The link of VNIC i, or NULL if nobody is attached. One whose shared memory
 * is gone is counted and broken here. Thread: the loop, once a round: valid
 * until its next quiescent state.
 *
 * Its `kick` is for poll(), from an array made anew for each sleep. Not for
 * epoll: the instance has the same file open, so closing our end would not
 * take it out of the set. And not for reading, which an instance can make
 * block; nor need it be read: kicks are asked for anew, and counted by nobody.
 */
struct attach_link *attach_get(struct attach *a, uint32_t i);

/*
 * An eventfd that becomes readable when a link has come or gone, for a loop
 * that sleeps. Reading it is the loop's.
 */
int attach_doorbell(const struct attach *a);

/*
 * VNIC i's rings are broken (counted by the caller): forget them and close
 * the connection. The instance is attached again only when it has made its
 * socket anew, that is, was restarted. Thread: the loop.
 */
void attach_break(struct attach *a, uint32_t i);

/* End all connections. The loop must have ended. */
void attach_destroy(struct attach *a);

#endif
