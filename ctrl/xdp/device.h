/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The uplink's device: may we attach to it, and what of it would harm.
 */
#ifndef CARRYALL_XDP_DEVICE_H
#define CARRYALL_XDP_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ctrl/link.h"

/*
 * Check that `device` is there, up, free of others' XDP programs (unless
 * `ours`: then one is expected) and of receive offloads that make packets
 * larger than the wire's. Fills `info`. 0, with "" or a warning in
 * why[0..len); or -errno with the reason and the command that mends it.
 */
int device_check(struct nl_sock *nl, const char *device, bool ours,
	struct link_info *info, char *why, size_t len);

/* "native", "generic" or "none": how the device's program is attached. */
const char *device_mode(int ifindex);

/* How many receive queues it has in use; 1 if it does not say. */
unsigned int device_queues(const char *device);

/* The device's own statistic `name` (ethtool -S), 0 if it has none such. */
uint64_t device_stat(const char *device, const char *name);

#endif
