/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The plan: what a configuration comes to, before anything is touched.
 *
 * Pure: config in, plan out. It numbers uplinks, functions, VNICs and
 * buckets, fills each instance's grant, and lists the next hops. Applying it
 * is the work of the provider, the next-hop watcher and the supervisor.
 */
#ifndef CARRYALL_PLAN_H
#define CARRYALL_PLAN_H

#include <stdint.h>

#include "ctrl/config.h"
#include "dataplane/grant.h"
#include "dataplane/steer.h"

/* "web.0" and the netdevs made from it must fit IFNAMSIZ. */
#define PLAN_INSTANCE_NAME_MAX 16

struct plan_instance {
	char name[PLAN_INSTANCE_NAME_MAX]; /* "web.0": also its VNIC */
	uint32_t function;
	uint32_t vnic;       /* index over all instances of the appliance */
	struct grant *grant; /* but devargs, uid/gid, memory,
			      * the store's boot and flush */
};

/* A row of the service or SNAT table. */
struct plan_steer {
	struct steer_key key;
	struct steer_target target;
	uint16_t prefix; /* of the address when the kernel is given it */
};

struct plan_nexthop {
	struct ip_addr addr;
	uint32_t index; /* in the next-hop table */
};

struct plan {
	const struct config *config; /* borrowed */
	uint32_t seed;               /* of steer_hash */
	unsigned int n_instances;
	struct plan_instance *instances;
	unsigned int n_steers;
	struct plan_steer *steers;
	/* The steering table: entry -> VNIC. */
	unsigned int n_entries;
	uint32_t *entries;
	/* Of the NIC in software, in MiB; set by the control plane. */
	uint32_t nic_memory_mb; /* to reserve */
	uint32_t nic_huge_mb;   /* of it in huge pages: all or 0 */
	unsigned int n_nexthops;
	struct plan_nexthop *nexthops; /* backends, each address once */
};

/*
 * Compute the plan of `config` (kept by reference: it must live as long).
 * Buckets are dealt so that instances own equal shares within one. NULL when
 * memory is out, or room for texts. The caller frees it with plan_free().
 */
struct plan *plan_create(const struct config *config, uint32_t seed);
void plan_free(struct plan *plan);

/*
 * The proxy's part of a grant, of service `s`, whose backends and groups are
 * in `g` already, from group `first` on. Part of plan_create(). 0 or -ENOSPC:
 * texts do not fit, which the check of the config has made sure of.
 */
int plan_proxy(struct grant *g, const struct config_service *s, uint32_t first);

/* The group `from` with its backends yet to come; texts as above. */
int plan_group(struct grant *g, const struct config_group *from);

/*
 * 0 if `b` can be reached from the running `a` without touching VNICs,
 * uplinks, cores or buckets (then instances take new grants by mail), else
 * -EBUSY with the first difference in why[0..len).
 */
int plan_compatible(
	const struct plan *a, const struct plan *b, char *why, size_t len);

#endif
