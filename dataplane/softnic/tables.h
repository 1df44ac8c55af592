/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the NIC in software is told: ports, VNICs, rates, and the tables that
 * it steers and filters by.
 *
 * Plain data without pointers, in the file softnic.tables of the run
 * directory, written by the control plane and mapped read-only by the NIC. A
 * change is a new file with a higher `generation`, announced over the
 * mailbox as a grant is (grant.h): the NIC maps it, and the next burst goes
 * by it. What is fixed while it runs (ports, VNICs, core, memory) must be
 * the same in both; the rest may differ.
 *
 * The rows are in hash tables with linear probing, no more than half full, so
 * that to take over new ones the NIC has nothing to build. Keys come from the
 * configuration, not from the wire: nobody can aim at the hash.
 *
 * Byte order: addresses and ports as on the wire, all else the host's.
 */
#ifndef CARRYALL_SOFTNIC_TABLES_H
#define CARRYALL_SOFTNIC_TABLES_H

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "dataplane/grant.h"
#include "dataplane/steer.h"
#include "dataplane/steer_rows.h"

#define SOFTNIC_MAGIC   0x54464f53u /* "SOFT" */
#define SOFTNIC_VERSION 1

#define SOFTNIC_UPLINKS_MAX   16
#define SOFTNIC_FUNCTIONS_MAX 32
#define SOFTNIC_VNICS_MAX     31
#define SOFTNIC_ENTRIES_MAX   (SOFTNIC_FUNCTIONS_MAX * GRANT_BUCKETS_MAX)

/* Slots: powers of two, twice the rows at the least. */
#define SOFTNIC_SERVICE_SLOTS (2 * SOFTNIC_FUNCTIONS_MAX * GRANT_SERVICES_MAX)
#define SOFTNIC_SNAT_SLOTS    (2 * SOFTNIC_FUNCTIONS_MAX * GRANT_SNAT_MAX)
#define SOFTNIC_HOST_SLOTS    (2 * SOFTNIC_SNAT_SLOTS)

/* The largest frame, with its Ethernet header, that a VNIC carries. */
#define SOFTNIC_FRAME_MAX 1920

/* The descriptors that the process is started with. */
enum softnic_fd {
	SOFTNIC_FD_TABLES = 3, /* struct softnic_tables, read only */
	SOFTNIC_FD_STATS,      /* struct softnic_stats (counters.h) */
	SOFTNIC_FD_MAILBOX,    /* as an instance's: grant.h */
	SOFTNIC_FD_CAPTURE,    /* struct capture_ring (capture.h), or closed */
};

struct softnic_uplink {
	char name[GRANT_NAME_MAX];
	char devargs[256]; /* EAL --vdev argument, or a PCI address (-a) */
	char tap[16];      /* kernel's netdev for what no service wants, or ""
			    * where that never reaches us (AF_XDP) */
	uint8_t mac[6];    /* our station's address */
	uint16_t queues;   /* receive queues, all polled */
	uint32_t pad;
	uint64_t rate_bps; /* what it carries; 0: as much as the port takes */
};

/* Shares and limits of a function: what all its VNICs send together. */
struct softnic_function {
	uint32_t weight; /* 1 .. GRANT_WEIGHT_MAX */
	uint32_t pad;
	uint64_t rate_bps;    /* 0: no limit */
	uint64_t packet_rate; /* packets/s; 0: no limit */
};

struct softnic_vnic {
	char name[GRANT_NAME_MAX]; /* the instance's */
	char path[108];            /* socket that the instance listens on */
	uint32_t function;
	uint32_t uplinks; /* bit u: it may send by uplink u */
	uint64_t rate_bps;
	uint64_t packet_rate;
};

/* A slot is free when its `used` is 0. */
struct softnic_service_slot {
	struct steer_key key;
	struct steer_target target;
	uint32_t used;
};

struct softnic_snat_slot {
	struct ip_addr addr;
	struct steer_target target;
	uint32_t used;
};

struct softnic_host_slot {
	struct ip_addr addr;
	struct steer_host host;
	uint32_t used;
};

struct softnic_tables {
	uint32_t magic, version;
	uint32_t size;       /* sizeof(struct softnic_tables) */
	uint32_t generation; /* counts up with each change */

	/* fixed while it runs */
	char appliance[GRANT_NAME_MAX];
	uint32_t core;       /* the CPU it is pinned to */
	uint32_t huge_mb;    /* huge pages, or 0 for ordinary ones */
	uint32_t memory_mb;  /* to reserve in either case */
	uint32_t share_core; /* 1: others run on that CPU too */
	uint32_t n_uplinks, n_functions, n_vnics, n_entries;
	struct softnic_uplink uplink[SOFTNIC_UPLINKS_MAX]; /* but rate, MAC */
	struct softnic_vnic vnic[SOFTNIC_VNICS_MAX];       /* but rates */

	/* may change */
	uint32_t seed;                         /* of steer_hash */
	uint32_t n_services, n_snats, n_hosts; /* rows, kept by the puts */
	struct softnic_function function[SOFTNIC_FUNCTIONS_MAX];
	uint32_t entry[SOFTNIC_ENTRIES_MAX]; /* steering: VNIC */
	struct softnic_service_slot service[SOFTNIC_SERVICE_SLOTS];
	struct softnic_snat_slot snat[SOFTNIC_SNAT_SLOTS];
	struct softnic_host_slot host[SOFTNIC_HOST_SLOTS];
};

/* Where a key's probing begins; the caller masks it. */
static inline uint32_t
softnic_hash_addr(const struct ip_addr *a)
{
	uint64_t h = ((uint64_t)a->w[0] << 32 | a->w[1]) * 0x9e3779b97f4a7c15u;

	h ^= (uint64_t)a->w[2] << 32 | a->w[3];
	h *= 0xff51afd7ed558ccdu;
	return (uint32_t)(h >> 32);
}

static inline uint32_t
softnic_hash_key(const struct steer_key *k)
{
	return softnic_hash_addr(&k->addr) ^
	       (k->port | (uint32_t)k->proto << 16) * 0x85ebca6bu;
}

/*
 * Enter a row, or overwrite that of the same key. 0, or -1 if the table is
 * half full. Rows are never taken out: a change is made in new tables.
 * Thread: control.
 */
int softnic_service_put(struct softnic_tables *t, const struct steer_key *key,
	const struct steer_target *target);
int softnic_snat_put(struct softnic_tables *t, const struct ip_addr *addr,
	const struct steer_target *target);
int softnic_host_put(struct softnic_tables *t, const struct ip_addr *addr,
	const struct steer_host *host);

/*
 * Is this what it says it is, with every number within its range, so that it
 * can be gone by without looking again? 0, or -EINVAL with the reason in
 * why[0..len). Thread: any.
 */
int softnic_tables_check(const struct softnic_tables *t, char *why, size_t len);

#endif
