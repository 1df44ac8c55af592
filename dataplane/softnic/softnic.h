/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The NIC in software: `carryall softnic`, one process on a core of its own,
 * started by the control plane.
 *
 *              +---------------------- softnic ------------------------+
 *   uplink --> | port rx -> steer_rx -> virtq_put --> VNIC (virtio) ---|-->
 * instance uplink <-- | port tx <- steer_tx <- virtq_get <-- VNIC <---|---
 * instance |    |  ^                    ^ only as far as rates,    | |    v  |
 * shares and the port allow| |   tap (kernel) |
 *              +-------------------------------------------------------+
 *
 * Threads. The loop is on the core and touches packets; it takes no lock. The
 * control thread answers the mailbox, and connects to instances' sockets;
 * DPDK's vhost thread speaks their protocol. What these change (rings come
 * and go, new tables) reaches the loop through one pointer each, and is
 * freed when the loop has passed a quiescent state (rte_rcu_qsbr).
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
 * in why[0..len). Thread: the process's main one.
 */
struct softnic *softnic_open(char *why, size_t len);

/* Run until softnic_stop(). Thread: the one that has called softnic_open. */
void softnic_run(struct softnic *nic);

/* Thread: any; safe in a signal handler. */
void softnic_stop(struct softnic *nic);

void softnic_close(struct softnic *nic);

#endif
