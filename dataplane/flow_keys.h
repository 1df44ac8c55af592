/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The rte_hash of a table of connections: its keys are flow_hash()'s 64 bits,
 * which serve as the hash as well. One thread owns it.
 */
#ifndef CARRYALL_FLOW_KEYS_H
#define CARRYALL_FLOW_KEYS_H

#include <stddef.h>
#include <stdint.h>

struct rte_hash;

/*
 * One for `keys` keys at once, of a name that is unique in the process; NULL:
 * no memory. By rte_hash_free() free.
 */
struct rte_hash *flow_keys_create(uint32_t keys, const char *name);

/* Bytes of DPDK memory that it takes, as exactly as can be said. */
size_t flow_keys_memory(uint32_t keys);

#endif
