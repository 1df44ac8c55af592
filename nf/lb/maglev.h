/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Maglev consistent hashing (Eisenbud et al., NSDI 2016, section 3.4).
 *
 * A table of a prime number of places, each naming a backend; a connection's
 * hash picks a place. Every backend walks the places in an order of its own,
 * made from its address alone, and takes the first free one whenever it has
 * a turn. So all instances, and all restarts, come to the same table, and a
 * backend that comes or goes moves few places but its own.
 */
#ifndef CARRYALL_LB_MAGLEV_H
#define CARRYALL_LB_MAGLEV_H

#include <stdint.h>

#define MAGLEV_SIZE 65537 /* a prime, 64 times the most backends */

struct maglev_node {
	uint64_t id;     /* hash of who it is: the same on every instance */
	uint32_t weight; /* share of the turns; above 0 */
	uint16_t value;  /* what the table shall hold */
};

/* The id of a backend: a fixed, unkeyed hash of address and port. */
struct ip_addr;
uint64_t maglev_id(const struct ip_addr *addr, uint16_t port);

/*
 * Fill table[0..size), `size` a prime, from node[0..n), 0 < n <= 1024. Sorts
 * the nodes by id. Takes some 2 ms. Pure: thread any.
 */
void maglev_build(
	uint16_t *table, uint32_t size, struct maglev_node *node, uint32_t n);

/* The place of a 32-bit hash: by its high bits, for steering uses the low. */
static inline uint32_t
maglev_place(uint32_t hash, uint32_t size)
{
	return (uint32_t)((uint64_t)hash * size >> 32);
}

#endif
