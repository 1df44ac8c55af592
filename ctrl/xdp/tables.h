/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From the plan to the rows of the BPF maps. Rows are changed in place: what
 * is new or different is written first, then what the plan no longer has is
 * deleted, so that a row both plans have never is away.
 */
#ifndef CARRYALL_XDP_TABLES_H
#define CARRYALL_XDP_TABLES_H

#include "ctrl/plan.h"
#include "ctrl/xdp/pins.h"

/*
 * Make services, SNAT addresses, hosts, steering, rates and shares those of
 * `plan`. What is owed by rates and shares stays.
 * 0 or -errno: -E2BIG when there are more rows than the maps hold; then, as
 * with -ENOMEM, nothing was changed. `mtu` is the uplinks' largest.
 */
int tables_sync(struct pins *pins, const struct plan *plan, unsigned int mtu);

/*
 * The row of a limit: `rate_bps` in bits/s and `packet_rate` in packets/s, 0
 * being no limit, for frames of up to `mtu` and header. The burst is 200 ms,
 * and never less than 64 full frames (police.h says why).
 */
struct police_rate tables_rate(
	uint64_t rate_bps, uint64_t packet_rate, unsigned int mtu);

#endif
