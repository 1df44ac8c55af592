/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The NIC lays down its privileges: it stays uid 0, so that it may connect to
 * the sockets of instances (which root owns), but without a capability. Ports
 * and taps are open by then; what comes later are files and sockets that are
 * handed to it or that root owns.
 */
#ifndef CARRYALL_SOFTNIC_CAPS_H
#define CARRYALL_SOFTNIC_CAPS_H

#include <stddef.h>

/*
 * Empty the capability sets of every thread of this process. Capabilities
 * are each thread's own, so each is interrupted to lay down its own. 0, or
 * -errno with the reason in why[0..len). Thread: the main one; no other may
 * start threads meanwhile.
 */
int caps_drop(char *why, size_t len);

#endif
