/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Providers from inside. What is in this struct is a convenience of the
 * process: all that matters is in the kernel, under names. The provider
 * `soft` has it as the head of its own.
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
	/* Attach an uplink's program: pins_attach_uplink or its like. */
	int (*attach)(struct pins *pins, const struct plan *plan,
		const char *run_dir, unsigned int i, int ifindex, bool generic);
};

/* --- uplinks, for every provider --- */

/* Fill all but `attach`, which stays. 0, or -errno with nothing to close. */
int uplinks_open(struct provider *p, const struct plan *plan,
	const char *run_dir, char *why, size_t len);

/* Let go of descriptors. */
void uplinks_close(struct provider *p);

/* Put `err` of doing `what` into words; returns it. */
int uplinks_explain(int err, const char *what, char *why, size_t len);

/* Look at every uplink; `ours`: it has our program. The first warning, or
 * the error, into why. */
int uplinks_check(struct provider *p, bool ours, char *why, size_t len);

/* Make all maps and fill them; then uplinks_attach(), by the devices' modes;
 * and last the addresses, which draw traffic. uplinks_purge() undoes all. */
int uplinks_make_tables(struct provider *p, char *why, size_t len);
int uplinks_attach(struct provider *p, char *why, size_t len);
int uplinks_add_addresses(struct provider *p, char *why, size_t len);

/* Find maps and links of a former process; what they say is as it was. */
int uplinks_adopt(struct provider *p, char *why, size_t len);

/* Bring the rows of all maps up to the plan. */
int uplinks_sync(struct provider *p, char *why, size_t len);

/* The ops `update` and `purge`. */
int uplinks_update(
	struct provider *p, const struct plan *plan, char *why, size_t len);
void uplinks_purge(const char *run_dir);

/* Count a drop by name, beside what is counted by that name already. */
void counters_add(
	struct provider_counters *c, const char *name, uint64_t count);

/* The name of a refusal by the transmit filter. */
const char *counters_tx_name(enum steer_tx_drop reason);

/* --- VNICs of the provider xdp --- */

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
