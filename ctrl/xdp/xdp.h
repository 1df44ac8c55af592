/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause) */
/*
 * The tables that the xdp provider shares with its BPF programs.
 *
 *   frame in an uplink       services, snat -> target -> bucket
 *   (uplink.bpf.c)           steering[first + bucket] -> VNIC
 *                            vnics[VNIC].up -> to_vnic[VNIC], host end
 *
 *   frame from an instance   services, snat -> target -> bucket
 *   (vnic.bpf.c, one per     steering[first + bucket] must be this VNIC
 *   VNIC at its host end)    rates[VNIC], rates[function],
 *                            shares[target's uplink] -> to_uplink[it]
 *
 * Both directions read the very same rows, so that one store into `steering`
 * moves a bucket together with its transmit filter. All maps are pinned
 * under RUN_DIR/bpf by the names they have here. Rows are written by the
 * control plane alone; counters, `fragments`, and what is owed by the rates
 * and shares (`meters`, `queues`), by the programs.
 */
#ifndef CARRYALL_XDP_H
#define CARRYALL_XDP_H

#include <linux/bpf.h>
#include <linux/types.h>

#include "ctrl/xdp/police.h"
#include "dataplane/addr.h"
#include "dataplane/steer.h"
#include "dataplane/steer_rows.h"

/* Raised when a table's form or meaning changes: then adopt refuses. */
#define XDP_VERSION 2

#define XDP_SERVICES_MAX  4096
#define XDP_SNAT_MAX      8192
#define XDP_HOSTS_MAX     8192
#define XDP_FRAGMENTS_MAX 16384
#define XDP_QUEUES_MAX    64 /* of an uplink, with a NIC in software */

/* What the tables were made for; one row. Read by adopt only. */
struct xdp_meta {
	__u32 version;
	__u32 seed;
	__u32 n_uplinks, n_vnics, n_entries;
	__u32 generic;     /* 1: VNICs are attached in generic mode */
	__u32 n_functions; /* since version 2 */
};

/* `uplinks`, mapped shared by the control plane. */
struct xdp_uplink {
	__u8 mac[6];
	__u16 pad;
};

/* `vnics`, mapped shared by the control plane: each word stored alone. */
struct xdp_vnic {
	__u32 up;      /* 1: an instance is there */
	__u32 capture; /* 1: copy every packet to `captures` */
};

/*
 * `rates` (struct police_rate) and `shares` (struct police_shares, a row per
 * uplink) are mapped shared by the control plane too. The rows of `rates`,
 * and of `meters`, are the VNICs', and then the functions', of all their
 * VNICs together.
 */
#define XDP_RATE_OF_FUNCTION(n_vnics, f) ((n_vnics) + (f))

/* `meters`: what a VNIC or function owes. */
struct xdp_meter {
	struct bpf_spin_lock lock;
	__u32 pad;
	struct police_meter m;
};

/* `queues`: what an uplink's functions owe. */
struct xdp_queues {
	struct bpf_spin_lock lock;
	__u32 pad;
	struct police_queues q;
};

/* Reasons of a VNIC: its instance is down, and those of steer_rows.h. */
#define XDP_DROP_INSTANCE_DOWN 0
#define XDP_DROP_TX(reason)    (1 + (reason))
#define XDP_VNIC_DROPS         XDP_DROP_TX(STEER_TX_DROPS)

/* Room for reasons: a power of two, which the verifier likes for an index. */
#define XDP_DROPS_MAX 16

struct xdp_vnic_counters {
	__u64 rx_packets, rx_bytes;
	__u64 tx_packets, tx_bytes;
	__u64 drop[XDP_DROPS_MAX];
};

_Static_assert(XDP_VNIC_DROPS <= XDP_DROPS_MAX, "a counter per reason");

enum xdp_uplink_drop {
	XDP_DROP_FRAGMENT,         /* of a service that takes none */
	XDP_DROP_FRAGMENT_UNKNOWN, /* came before, or without, its first */
	XDP_COUNT_VLAN,            /* tagged; left to the kernel */
	XDP_DROP_NIC_DOWN,         /* the NIC in software is not there */
	XDP_UPLINK_DROPS,
};

struct xdp_uplink_counters {
	__u64 rx_packets, rx_bytes; /* handed to VNICs */
	__u64 tx_packets, tx_bytes; /* taken from VNICs */
	__u64 passed;               /* left to the kernel */
	__u64 drop[XDP_UPLINK_DROPS];
};

/* Ahead of each captured frame in `captures`. */
struct xdp_capture {
	__u64 time_ns; /* CLOCK_MONOTONIC */
	__u32 vnic;
	__u32 length;    /* of the frame; the copy may be shorter */
	__s32 drop;      /* XDP_DROP_*, or -1: passed on */
	__u32 from_vnic; /* 1: sent by the instance */
};

/* Most bytes of a frame that are copied; sample records are 64 KiB. */
#define XDP_CAPTURE_MAX 16384

#endif
