/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Maps, programs and links of the provider, and their names: everything is
 * pinned in a bpffs of the appliance's own, RUN_DIR/bpf, and so outlives the
 * process that made it.
 *
 *   RUN_DIR/bpf/services, snat, ...   the maps of tables.bpf.h
 *   RUN_DIR/bpf/uplink_N              link of uplink N's program
 *   RUN_DIR/bpf/vnic_N                link of VNIC N's program
 */
#ifndef CARRYALL_XDP_PINS_H
#define CARRYALL_XDP_PINS_H

#include <stdbool.h>
#include <stddef.h>

#include "ctrl/plan.h"
#include "ctrl/xdp/xdp.h"

enum pins_map {
	PINS_META,
	PINS_SERVICES,
	PINS_SNAT,
	PINS_HOSTS,
	PINS_STEERING,
	PINS_UPLINKS,
	PINS_VNICS,
	PINS_RATES,
	PINS_METERS,
	PINS_SHARES,
	PINS_QUEUES,
	PINS_FRAGMENTS,
	PINS_VNIC_COUNTERS,
	PINS_UPLINK_COUNTERS,
	PINS_TO_VNIC,
	PINS_TO_UPLINK,
	PINS_CAPTURES,
	PINS_MAPS,
};

struct pins {
	int map[PINS_MAPS];           /* descriptors, or -1 */
	struct xdp_vnic *vnics;       /* mapped, n_vnics */
	struct xdp_uplink *uplinks;   /* mapped, n_uplinks */
	struct police_rate *rates;    /* mapped, n_vnics + n_functions */
	struct police_shares *shares; /* mapped, n_uplinks */
	unsigned int n_vnics, n_functions, n_uplinks;
};

/* No descriptor, nothing mapped: what pins_close() may be called on. */
void pins_init(struct pins *pins);

/* Mount RUN_DIR/bpf unless it is. 0 or -errno. */
int pins_mount(const char *run_dir);

/* Unpin everything and unmount. Programs go with their links. */
void pins_unmount(const char *run_dir);

/* Create all maps, sized for `plan`, and pin them. 0 or -errno. */
int pins_create(
	struct pins *pins, const struct plan *plan, const char *run_dir);

/*
 * Open the pinned maps of a former process and check that they are for a
 * plan of the same shape. -ENOENT: some are missing; -EBUSY: another shape;
 * with what it is in why[0..len).
 */
int pins_open(struct pins *pins, const struct plan *plan, const char *run_dir,
	char *why, size_t len);

/* Let go of descriptors; what is pinned stays. */
void pins_close(struct pins *pins);

/* A map pinned in RUN_DIR/bpf: descriptor or -errno. */
int pins_get(const char *run_dir, enum pins_map map);

/*
 * Load uplink `i`'s (with a NIC in software: softlink; VNIC `i`'s) program on
 * the maps of `pins`, attach it to the device `ifindex` in native or generic
 * mode, and pin the link.
 */
int pins_attach_uplink(struct pins *pins, const struct plan *plan,
	const char *run_dir, unsigned int i, int ifindex, bool generic);
int pins_attach_softlink(struct pins *pins, const struct plan *plan,
	const char *run_dir, unsigned int i, int ifindex, bool generic);
int pins_attach_vnic(struct pins *pins, const struct plan *plan,
	const char *run_dir, unsigned int i, int ifindex, bool generic);

/* 0 if the pinned link `kind` ("uplink", "vnic") `i` is there and on the
 * device `ifindex`; else -ENOENT. */
int pins_check_link(
	const char *run_dir, const char *kind, unsigned int i, int ifindex);

/* Write the ELF file of the VNIC's near side for the instance's driver. */
int pins_write_xsk(const char *run_dir);

#endif
