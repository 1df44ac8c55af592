/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The counters of the NIC in software, in shared memory, and the words by
 * which captures are switched.
 *
 * The NIC is the one writer of the counters, the control plane of `capture`.
 * Each is one aligned word, read while it is written. The file,
 * softnic.stats in the run directory, outlives the NIC: counters go on.
 */
#ifndef CARRYALL_SOFTNIC_COUNTERS_H
#define CARRYALL_SOFTNIC_COUNTERS_H

#include <stdint.h>

#include "dataplane/softnic/tables.h"
#include "dataplane/steer_rows.h"

#define SOFTNIC_STATS_MAGIC   0x53464f53u /* "SOFS" */
#define SOFTNIC_STATS_VERSION 1

/* Why a VNIC's frame is dropped, besides enum steer_tx_drop. */
enum softnic_vnic_drop {
	SOFTNIC_INSTANCE_DOWN, /* nobody is attached */
	SOFTNIC_RX_FULL,       /* the instance's ring has no room */
	SOFTNIC_RX_LARGE,      /* larger than the buffers in its ring */
	SOFTNIC_TX_LARGE,      /* longer than SOFTNIC_FRAME_MAX */
	SOFTNIC_TX_SHORT,      /* no Ethernet header in it */
	/* what an instance did to its rings; each detaches the VNIC */
	SOFTNIC_BAD_INDEX,      /* more available than the ring has */
	SOFTNIC_BAD_DESCRIPTOR, /* number beyond the ring, a loop, flags */
	SOFTNIC_BAD_ADDRESS,    /* not within the memory it has shared */
	SOFTNIC_BAD_MEMORY,     /* shared memory that is gone */
	SOFTNIC_BAD_DOORBELL,   /* one that blocks who rings it */
	SOFTNIC_VNIC_DROPS,
};

struct softnic_vnic_stats {
	uint64_t rx_packets, rx_bytes; /* into the instance's ring */
	uint64_t tx_packets, tx_bytes; /* from it, passed on */
	uint64_t attached;             /* gauge: 1 */
	uint64_t attaches;             /* how often an instance came */
	uint64_t kicks;                /* doorbells rung for the instance */
	uint64_t held;                 /* rounds in which a rate held it back */
	uint64_t drop[SOFTNIC_VNIC_DROPS];
	uint64_t tx_drop[STEER_TX_DROPS];
};

enum softnic_uplink_drop {
	SOFTNIC_FRAGMENT,         /* of a service that takes none */
	SOFTNIC_FRAGMENT_UNKNOWN, /* came before, or without, its first */
	SOFTNIC_VLAN,             /* tagged; left to the kernel */
	SOFTNIC_EXCEPTION_LOST,   /* the kernel's, but no way to hand it over */
	SOFTNIC_TAP_FULL,         /* the kernel did not take it */
	SOFTNIC_UPLINK_DROPS,
};

struct softnic_uplink_stats {
	uint64_t rx_packets, rx_bytes; /* handed to VNICs */
	uint64_t tx_packets, tx_bytes; /* taken from VNICs */
	uint64_t passed;               /* to the kernel */
	uint64_t injected;             /* from the kernel, sent */
	uint64_t full; /* rounds in which the port or its rate was the limit */
	uint64_t drop[SOFTNIC_UPLINK_DROPS];
};

struct softnic_stats {
	uint32_t magic, version;
	uint32_t size; /* sizeof(struct softnic_stats) */
	uint32_t pid;
	uint64_t tsc_hz;
	uint64_t busy_tsc, idle_tsc; /* cycles of loops with work, without */
	uint64_t loops, sleeps;
	uint64_t starts;
	uint64_t generation; /* gauge: of the tables in force */
	uint64_t no_buffers; /* rounds without packet buffers */
	struct softnic_uplink_stats uplink[SOFTNIC_UPLINKS_MAX];
	struct softnic_vnic_stats vnic[SOFTNIC_VNICS_MAX];
	uint32_t capture[SOFTNIC_VNICS_MAX + 1]; /* 1: copy its frames */
};

#endif
