/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The hash of a connection's tuple that tables of connections are keyed by: 64
 * bits, for either family.
 *
 * It is NH (Black et al., UMAC, CRYPTO 1999): for whoever does not know the
 * random key no two tuples collide more often than by chance, so nobody can
 * fill one bucket of a table.
 */
#ifndef CARRYALL_FLOW_HASH_H
#define CARRYALL_FLOW_HASH_H

#include <stdint.h>
#include <string.h>

#include "dataplane/addr.h"

/* Words of key that the hash takes. */
#define FLOW_KEYS 6

/* 128-bit product sums of NH down to 64 well mixed bits. */
static inline uint64_t
flow_hash_finish(__uint128_t sum)
{
	uint64_t h =
		(uint64_t)sum ^ ((uint64_t)(sum >> 64) * 0x9e3779b97f4a7c15ull);

	h ^= h >> 32;
	h *= 0xd6e8feb86659fd93ull;
	return h ^ h >> 32;
}

/*
 * Hash of an IPv4 tuple: addresses as (src << 32 | dst), `rest` from
 * flow_rest(). All words as on the wire.
 */
static inline uint64_t
flow_hash_v4(const uint64_t *key, uint64_t addrs, uint64_t rest)
{
	return flow_hash_finish(
		(__uint128_t)(addrs + key[0]) * (rest + key[1]));
}

/* Hash of an IPv6 tuple: the addresses' halves as they lie in memory. */
static inline uint64_t
flow_hash_v6(const uint64_t *key, const uint64_t src[2], const uint64_t dst[2],
	uint64_t rest)
{
	__uint128_t sum = (__uint128_t)(src[0] + key[0]) * (src[1] + key[1]);

	sum += (__uint128_t)(dst[0] + key[2]) * (dst[1] + key[3]);
	sum += (__uint128_t)(rest + key[4]) * key[5];
	return flow_hash_finish(sum);
}

/* Ports and protocol as one word of the hash. */
static inline uint64_t
flow_rest(uint16_t sport, uint16_t dport, uint8_t proto)
{
	return (uint64_t)proto << 32 | (uint32_t)sport << 16 | dport;
}

/* Hash of a tuple in mapped form: the same as of the packet's bytes. */
static inline uint64_t
flow_hash(const uint64_t *key, const struct ip_addr *src,
	const struct ip_addr *dst, uint16_t sport, uint16_t dport,
	uint8_t proto)
{
	uint64_t s[2], d[2], rest = flow_rest(sport, dport, proto);

	if (ip_addr_is_v4(src))
		return flow_hash_v4(
			key, (uint64_t)src->w[3] << 32 | dst->w[3], rest);
	memcpy(s, src, sizeof(s));
	memcpy(d, dst, sizeof(d));
	return flow_hash_v6(key, s, d, rest);
}

#endif
