/* SPDX-License-Identifier: BSD-3-Clause */
/* The provider `soft` from inside. */
#ifndef CARRYALL_SOFT_SOFT_H
#define CARRYALL_SOFT_SOFT_H

#include "ctrl/soft/tables.h"
#include "ctrl/xdp/internal.h"
#include "dataplane/softnic/counters.h"

/* The head is what providers share: a pointer to one is one to the other. */
struct soft {
	struct provider base;
	struct softnic_tables *tables; /* what the NIC is told; stays there */
	struct softnic_tables *next;   /* room for what it will be */
	const struct softnic_stats *stats; /* mapped; NULL: not yet */
};

static inline struct soft *
soft_of(struct provider *p)
{
	return (struct soft *)(void *)p;
}

/* The ops of the same names. */
int soft_vnic_counters(
	struct provider *p, uint32_t i, struct provider_counters *c);
int soft_uplink_counters(
	struct provider *p, uint32_t i, struct provider_counters *c);

/* Let go of the counters. */
void soft_stats_close(struct soft *s);

#endif
