/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From the plan to what the NIC in software is told
 * (dataplane/softnic/tables.h).
 */
#ifndef CARRYALL_SOFT_TABLES_H
#define CARRYALL_SOFT_TABLES_H

#include <stdbool.h>
#include <stddef.h>

#include "ctrl/plan.h"
#include "dataplane/softnic/tables.h"

/* What an uplink's device says of itself. */
struct softtables_uplink {
	uint8_t mac[6];
	uint16_t queues; /* receive queues; 0: one */
};

/*
 * Fill `t` for `plan`: all but the generation, which becomes 1. VNICs listen
 * under `run_dir`; uplinks[0 .. uplinks of the plan), or NULL: no addresses
 * known, one queue each. `t` need not be initialised. Thread: any.
 *
 * 0; -E2BIG when the plan has more than the tables hold (VNICs, rows), or
 * -ENAMETOOLONG for a run_dir that leaves no room for a socket's name, with
 * the reason in why[0..len); -ENOMEM.
 */
int softtables_fill(struct softnic_tables *t, const struct plan *plan,
	const char *run_dir, const struct softtables_uplink *uplinks, char *why,
	size_t len);

/*
 * Can a NIC that runs by `now` take `next`: is all the same that is fixed
 * while it runs? 0, or -EBUSY with the first difference in why[0..len).
 */
int softtables_fits(const struct softnic_tables *now,
	const struct softnic_tables *next, char *why, size_t len);

/* Do both say the same, but for the generation? */
bool softtables_same(
	const struct softnic_tables *a, const struct softnic_tables *b);

/* MiB of packet buffers, and all else, for so many queues in all. */
uint32_t softtables_memory_mb(unsigned int queues);

/* The socket that VNIC `instance` listens on: into buf, which is returned. */
const char *softtables_path(
	const char *run_dir, const char *instance, char *buf, size_t len);

#endif
