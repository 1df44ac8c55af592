/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SNAT ports: one set per pair of endpoint and SNAT address.
 *
 * A connection's SNAT port carries its bucket in the low bits, so that the
 * reply is steered to the same instance:
 *
 *   port = 1024 + i * buckets + bucket      i = 0 .. 64512 / buckets - 1
 *
 *    15            log2(buckets)        0
 *   +----------------------+-------------+
 *   | i + 1024 / buckets   |   bucket    |
 *   +----------------------+-------------+
 *
 * A set keeps one bitmap of i per bucket that the instance owns, and a
 * cursor that goes round, so that a port rests as long as can be before it
 * is used again: the backend may still hold the old connection in TIME-WAIT.
 * The same port is free for use towards every other endpoint. One instance
 * has 64512 / instances ports per endpoint and SNAT address.
 */
#ifndef CARRYALL_LB_SNAT_H
#define CARRYALL_LB_SNAT_H

#include <stdint.h>

#include "dataplane/steer.h"
#include "nf/lb/lb.h"

/* Ports with a given bucket, when there are `buckets`. */
static inline uint32_t
snat_ports(uint32_t buckets)
{
	return (65536 - STEER_SNAT_PORT_MIN) / buckets;
}

/* Bytes of one set. */
size_t snat_set_memory(uint32_t buckets, uint32_t owned);

/* Note in `lb` what sets are like; before the first is made. */
void snat_init(struct lb *lb);

/* An empty set, by rte_free() free, or NULL. */
uint8_t *snat_set_create(const struct lb *lb);

/* Fetch what snat_take() and snat_give() will touch. */
void snat_prefetch(const struct lb *lb, const struct lb_endpoint *endpoint,
	int family, uint32_t bucket, uint32_t hash);
void snat_prefetch_port(const struct lb *lb, const struct lb_endpoint *endpoint,
	uint16_t slot, uint16_t port);

/*
 * Take a port of `bucket` for a connection to `endpoint` from `family`'s
 * (0: IPv4, 1: IPv6) SNAT addresses, beginning with the one that `hash`
 * falls on. 0 with *slot and *port (network order), or -ENOSPC.
 */
int snat_take(struct lb *lb, struct lb_endpoint *endpoint, int family,
	uint32_t bucket, uint32_t hash, uint16_t *slot, uint16_t *port);

/*
 * Take the very port `port` (network order) of SNAT address `slot`, for which
 * `endpoint` has a set. 0; -EINVAL if it is none of an owned bucket; -EEXIST
 * if it is in use.
 */
int snat_claim(struct lb *lb, struct lb_endpoint *endpoint, uint16_t slot,
	uint16_t port);

/* Give a port back. */
void snat_give(struct lb *lb, struct lb_endpoint *endpoint, uint16_t slot,
	uint16_t port);

/*
 * End a closed connection to `endpoint` that holds a port of `bucket`: the
 * first of a few that the cursor comes to, which are those taken longest
 * ago. 1 if there was one, else 0.
 */
int snat_evict_closed(struct lb *lb, struct lb_endpoint *endpoint, int family,
	uint32_t bucket, uint32_t hash);

#endif
