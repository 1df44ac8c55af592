/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/flow_keys.h"

#include <rte_common.h>
#include <rte_hash.h>

/* rte_hash's own sizes: a bucket of 8 keys is a line, keys are 16 bytes. */
#define HASH_BUCKET_KEYS  8
#define HASH_BUCKET_BYTES 64
#define HASH_KEY_BYTES    16
#define HASH_RING_BYTES   4

/*
 * What rte_hash is made for. It makes the next power of two of slots; filled
 * to the brim it would move keys about for every new one and at last refuse,
 * so at least a quarter of the slots stays free.
 */
static uint32_t
entries(uint32_t keys)
{
	uint32_t slots = rte_align32pow2(++keys);

	return (uint64_t)keys * 4 > (uint64_t)slots * 3 ? slots + 1 : keys;
}

size_t
flow_keys_memory(uint32_t keys)
{
	size_t n = entries(keys), slots = rte_align32pow2((uint32_t)n);

	return slots / HASH_BUCKET_KEYS * HASH_BUCKET_BYTES +
	       (n + 1) * HASH_KEY_BYTES +
	       (size_t)rte_align32pow2((uint32_t)n + 1) * HASH_RING_BYTES;
}

static int
compare_keys(const void *a, const void *b, size_t len)
{
	(void)len;
	return *(const uint64_t *)a != *(const uint64_t *)b;
}

struct rte_hash *
flow_keys_create(uint32_t keys, const char *name)
{
	const struct rte_hash_parameters params = {
		.name = name,
		.entries = entries(keys),
		.key_len = sizeof(uint64_t),
		.socket_id = SOCKET_ID_ANY,
	};
	struct rte_hash *hash = rte_hash_create(&params);

	if (hash != NULL)
		rte_hash_set_cmp_func(hash, compare_keys);
	return hash;
}
