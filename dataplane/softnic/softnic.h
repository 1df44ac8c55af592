/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The NIC in software: `carryall softnic`, one process on a core of its own,
 * started by the control plane.
 *
 *            +------------------- softnic -------------------+
 *   uplink ->| port rx -> steer_rx -> virtq_put -> VNIC ring |-> instance
 *   uplink <-| port tx <- steer_tx <- virtq_get <- VNIC ring |<- instance
 *            |    |  ^                  ^ as far as rates,   |
 *            |    v  |                    shares, port allow |
 *            |   tap (kernel)                                |
 *            +-----------------------------------------------+
 *
 * Threads. The loop is on the core and touches packets; it takes no lock. One
 * answers the mailbox (update.c), and one connects to instances' sockets and
 * speaks vhost-user with them (attach.h). What these change (rings come and
 * go, new tables) reaches the loop through one pointer each, and is freed
 * when the loop has passed a quiescent state (rte_rcu_qsbr).
 */
#ifndef CARRYALL_SOFTNIC_H
#define CARRYALL_SOFTNIC_H

#include <stddef.h>

#include "dataplane/softnic/counters.h"
#include "dataplane/softnic/tables.h"

struct softnic;

/*
 * Start EAL and ports, and listen for instances, by the descriptors of enum
 * softnic_fd. Privileges are laid down when it returns. NULL with the reason
 * in why[0..len). Thread: the process's main one, which then runs it.
 */
struct softnic *softnic_open(char *why, size_t len);

/*
 * The same without a control plane, for a program that is one itself: by
 * tables and counters in its memory, which are borrowed, with no mailbox, no
 * captures, and with all privileges kept. eal[0..) are more EAL arguments up
 * to a NULL; without `eal`, EAL is up, and has the ports. One per process.
 */
struct softnic *softnic_open_with(const struct softnic_tables *tables,
	struct softnic_stats *stats, const char *const *eal, char *why,
	size_t len);

/*
 * One round of the loop, which does not sleep: packets moved, or taken from
 * instances and dropped. Thread: the one that has opened it.
 */
unsigned int softnic_round(struct softnic *nic);

/*
 * From the next round on go by `tables`, which are checked, and must stay
 * until others are in force and this has returned for those. Waits for the
 * loop to have seen them. Thread: any but the loop's, one at a time. 0, or
 * -EINVAL, or -EBUSY for what cannot change while it runs, with the reason
 * in why[0..len).
 */
int softnic_update(struct softnic *nic, const struct softnic_tables *tables,
	char *why, size_t len);

/* Run until softnic_stop(). Thread: the one that has called softnic_open. */
void softnic_run(struct softnic *nic);

/* Thread: any; safe in a signal handler. */
void softnic_stop(struct softnic *nic);

/* Give all back. EAL stays for softnic_open_with() without `eal`. */
void softnic_close(struct softnic *nic);

#endif
