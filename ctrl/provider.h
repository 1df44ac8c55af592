/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A provider makes VNICs: the one place that knows the hardware, or what
 * stands for it. All calls come from the control plane's one thread and may
 * block for the time of a few system calls. Errors are -errno with a line
 * for people in why[0..len): what is wrong and what mends it.
 */
#ifndef CARRYALL_PROVIDER_H
#define CARRYALL_PROVIDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ctrl/plan.h"

#define PROVIDER_DROPS_MAX 32

/* Counters that a VNIC or uplink keeps outside the instance. */
struct provider_counters {
	uint64_t rx_packets, rx_bytes; /* towards the instance */
	uint64_t tx_packets, tx_bytes; /* from it, passed on */
	uint64_t passed;               /* uplink: left to the kernel */
	unsigned int n_drops;
	struct {
		const char *name; /* static */
		uint64_t count;
	} drop[PROVIDER_DROPS_MAX];
};

struct provider;
struct softnic_tables;

struct provider_ops {
	const char *name;

	/*
	 * Attach to the plan's uplinks, and make or (`adopt`) find again all
	 * VNICs, tables and filters, under the directory `run_dir`
	 * (/run/carryall/NAME), which is there. Unwinds what it made when it
	 * fails. With `adopt` nothing that carries packets is replaced;
	 * without, what a former process left there is removed first. On
	 * success why is "" or a warning, one line, for the operator.
	 */
	int (*create)(struct provider **out, const struct plan *plan,
		const char *run_dir, bool adopt, char *why, size_t len);

	/* The EAL argument by which instance `vnic` attaches. */
	void (*devargs)(
		struct provider *p, uint32_t vnic, char *buf, size_t len);

	/*
	 * Let packets flow to the VNIC, or stop them there, counted
	 * `instance_down`. Before an instance attaches the VNIC is down.
	 */
	int (*vnic_up)(struct provider *p, uint32_t vnic, bool up);

	/* Make the VNIC of a dead instance ready for the next attach. */
	int (*vnic_reset)(struct provider *p, uint32_t vnic);

	/*
	 * Change tables in place to those of a compatible plan. Borrows
	 * `plan` from here on instead of the former.
	 */
	int (*update)(struct provider *p, const struct plan *plan, char *why,
		size_t len);

	int (*vnic_counters)(
		struct provider *p, uint32_t vnic, struct provider_counters *c);
	int (*uplink_counters)(struct provider *p, uint32_t uplink,
		struct provider_counters *c);

	/*
	 * What the provider's own process, a NIC in software, is told: as of
	 * the last create() or update(), with a generation that counts them.
	 * Owned by the provider until it lets go; the supervisor counts the
	 * generation up where it has to. NULL: there is no such process.
	 */
	struct softnic_tables *(*nic)(struct provider *p);

	/* MiB of DPDK memory that this process needs; 0 without one. */
	uint32_t (*memory_mb)(const struct plan *plan);

	/* "native", "generic": how the uplink is attached. */
	const char *(*uplink_mode)(struct provider *p, uint32_t uplink);

	/* Let go of descriptors; all of it keeps working. */
	void (*detach)(struct provider *p);

	/* Remove all that create() made, in this or a former process. */
	void (*destroy)(struct provider *p);

	/*
	 * Remove all that create() of a former process made under
	 * `run_dir`, by names alone: no plan is needed. Nothing left of it
	 * is no error. Not to be called while a provider is open on it.
	 */
	void (*purge)(const char *run_dir);
};

extern const struct provider_ops provider_xdp;
extern const struct provider_ops provider_soft;

#endif
