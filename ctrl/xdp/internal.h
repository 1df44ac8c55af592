/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The xdp provider from inside. What is in this struct is a convenience of
 * the process: all that matters is in the kernel, under names.
 */
#ifndef CARRYALL_XDP_INTERNAL_H
#define CARRYALL_XDP_INTERNAL_H

#include <limits.h>

#include "ctrl/link.h"
#include "ctrl/provider.h"
#include "ctrl/xdp/pins.h"

struct provider {
	const struct plan *plan; /* borrowed */
	char run_dir[PATH_MAX - 64];
	struct nl_sock *nl;
	struct pins pins;
	unsigned int n_cpus;
	unsigned int mtu; /* the uplinks' largest */
	bool generic;     /* VNICs are attached in generic mode */
	struct link_info uplink[CONFIG_UPLINKS_MAX];
};

/* Make the device pair of VNIC `i`; attach comes later. */
int vnic_make(struct provider *p, uint32_t i, char *why, size_t len);

/* Attach the transmit filter to VNIC `i`'s host end. */
int vnic_attach(struct provider *p, uint32_t i, char *why, size_t len);

/* Check that VNIC `i` of a former process is whole. */
int vnic_find(struct provider *p, uint32_t i, char *why, size_t len);

/* The ops of the same names. */
int xdp_vnic_up(struct provider *p, uint32_t i, bool up);
int xdp_vnic_reset(struct provider *p, uint32_t i);
int xdp_vnic_counters(
	struct provider *p, uint32_t i, struct provider_counters *c);
int xdp_uplink_counters(
	struct provider *p, uint32_t i, struct provider_counters *c);

#endif
