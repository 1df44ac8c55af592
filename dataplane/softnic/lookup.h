/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How the NIC in software looks up what steer_rules.h asks for: the rows of
 * softnic_tables where they lie, and a cache of fragments of its own.
 *
 * The cache is set-associative: a datagram's key picks a set of four slots,
 * and the slot that is oldest makes room. A fate is believed for 30 s. Keys
 * come from the wire, so the set is picked by a keyed hash (SipHash-1-3) with
 * a key that nobody outside knows.
 */
#ifndef CARRYALL_SOFTNIC_LOOKUP_H
#define CARRYALL_SOFTNIC_LOOKUP_H

#include <stdint.h>

#include "dataplane/softnic/tables.h"
#include "dataplane/steer_rules.h"

#define FRAGMENTS_SLOTS 16384
#define FRAGMENTS_WAYS  4
#define FRAGMENTS_SETS  (FRAGMENTS_SLOTS / FRAGMENTS_WAYS)

/* Time is kept in ticks of 2^27 ns, 134 ms: 32 bits of them are 18 years. */
#define FRAGMENTS_TICK_SHIFT 27
#define FRAGMENTS_TICKS_MAX  (30000000000ull >> FRAGMENTS_TICK_SHIFT)

struct fragment_slot {
	struct steer_fragment key;
	uint32_t fate;
	uint32_t tick; /* when it was entered; 0: free */
};

_Static_assert(sizeof(struct fragment_slot) == 48, "a set is three lines");

struct fragments {
	uint64_t secret[2];
	uint32_t tick; /* now; never 0 */
	struct fragment_slot slot[FRAGMENTS_SETS][FRAGMENTS_WAYS];
};

/* Of steer_rules.h. Both are borrowed; the loop alone uses them. */
struct steer_tables {
	const struct softnic_tables *rows;
	struct fragments *fragments;
};

/* An empty cache; the caller frees it by free(). NULL without memory. */
struct fragments *fragments_create(const uint64_t secret[2]);

/* Let it be `now_ns`, of a clock that does not go back. Thread: loop. */
static inline void
fragments_now(struct fragments *c, uint64_t now_ns)
{
	c->tick = (uint32_t)(now_ns >> FRAGMENTS_TICK_SHIFT) + 1;
}

/* The fate of a datagram, or NULL if none is known. Thread: loop. */
const uint32_t *fragments_find(
	const struct fragments *c, const struct steer_fragment *key);

/* Enter it, or renew it. Thread: loop. */
void fragments_put(
	struct fragments *c, const struct steer_fragment *key, uint32_t fate);

static inline int
steer_key_eq(const struct steer_key *a, const struct steer_key *b)
{
	return ip_addr_eq(&a->addr, &b->addr) && a->port == b->port &&
	       a->proto == b->proto;
}

/* Probing ends: no table is more than half full (softnic_tables_check). */
STEER_INLINE const struct steer_target *
steer_find_service(const struct steer_tables *t, const struct steer_key *key)
{
	const struct softnic_service_slot *s = t->rows->service;
	uint32_t i = softnic_hash_key(key) & (SOFTNIC_SERVICE_SLOTS - 1);

	while (s[i].used) {
		if (steer_key_eq(&s[i].key, key))
			return &s[i].target;
		i = (i + 1) & (SOFTNIC_SERVICE_SLOTS - 1);
	}
	return NULL;
}

STEER_INLINE const struct steer_target *
steer_find_snat(const struct steer_tables *t, const struct ip_addr *addr)
{
	const struct softnic_snat_slot *s = t->rows->snat;
	uint32_t i = softnic_hash_addr(addr) & (SOFTNIC_SNAT_SLOTS - 1);

	while (s[i].used) {
		if (ip_addr_eq(&s[i].addr, addr))
			return &s[i].target;
		i = (i + 1) & (SOFTNIC_SNAT_SLOTS - 1);
	}
	return NULL;
}

STEER_INLINE const struct steer_host *
steer_find_host(const struct steer_tables *t, const struct ip_addr *addr)
{
	const struct softnic_host_slot *s = t->rows->host;
	uint32_t i = softnic_hash_addr(addr) & (SOFTNIC_HOST_SLOTS - 1);

	while (s[i].used) {
		if (ip_addr_eq(&s[i].addr, addr))
			return &s[i].host;
		i = (i + 1) & (SOFTNIC_HOST_SLOTS - 1);
	}
	return NULL;
}

STEER_INLINE const __u32 *
steer_find_entry(const struct steer_tables *t, __u32 entry)
{
	return entry < t->rows->n_entries ? &t->rows->entry[entry] : NULL;
}

STEER_INLINE const __u32 *
steer_find_fragment(
	const struct steer_tables *t, const struct steer_fragment *key)
{
	return fragments_find(t->fragments, key);
}

STEER_INLINE void
steer_put_fragment(const struct steer_tables *t,
	const struct steer_fragment *key, __u32 fate)
{
	fragments_put(t->fragments, key, fate);
}

#endif
