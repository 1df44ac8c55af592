/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Steering: which instance a packet belongs to.
 *
 *   client -> VIP            bucket = steer_hash(5-tuple) & mask
 *   backend -> SNAT address  bucket = destination port    & mask
 *   instance = table[function's first entry + bucket]
 *
 * The load balancer picks the SNAT port of a connection so that its low bits
 * are the connection's bucket. One table then steers both directions, no
 * rule is ever installed per connection, and moving a bucket moves whole
 * connections.
 *
 * This file is the one definition of the hash and of the tables' meaning. It
 * is included by the BPF programs of the xdp provider, by every other
 * provider, and by the data plane, which checks that what it receives is its
 * own. It must therefore compile for BPF: no library call, no loop without a
 * constant bound.
 */
#ifndef CARRYALL_STEER_H
#define CARRYALL_STEER_H

#include <linux/types.h>

#include "addr.h"

/* Key of the service and the transmit filter tables. */
struct steer_key {
	struct ip_addr addr; /* the appliance's side: VIP or SNAT address */
	__be16 port;         /* 0 for ICMP and for SNAT addresses */
	__u8 proto;          /* IPPROTO_*; 0 for SNAT addresses */
	__u8 pad;            /* always 0 */
};

/* What a packet's fate is computed from: the value of both tables. */
struct steer_target {
	__u32 function; /* index of the function in the plan */
	__u32 first;    /* steering table entry of the function's bucket 0 */
	__u32 mask;     /* buckets - 1 */
	__u16 flags;    /* STEER_F_* */
	__u16 uplink;   /* uplink that packets from this address leave by */
};

#define STEER_F_HASH_SOURCE 0x1 /* hash addresses only, not the ports */
#define STEER_F_SNAT        0x2 /* the bucket is in the port's low bits */
#define STEER_F_SHARED      0x4 /* a SNAT address that is a VIP as well */

/* The first SNAT port; ports below it are the kernel's. */
#define STEER_SNAT_PORT_MIN 1024

/* A connection as the client sends it. Addresses and ports as on the wire. */
struct steer_tuple {
	struct ip_addr src, dst;
	__be16 sport, dport;
	__u8 proto;
	__u8 pad[3];
};

/* A port to the host's byte order; BPF programs have no ntohs(). */
static inline __u16
steer_ntohs(__be16 v)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return __builtin_bswap16(v);
#else
	return v;
#endif
}

static inline __u32
steer_rotl(__u32 x, int r)
{
	return (x << r) | (x >> (32 - r));
}

/* One 32-bit word into the state (MurmurHash3 x86_32, public domain). */
static inline __u32
steer_mix(__u32 h, __u32 word)
{
	word *= 0xcc9e2d51u;
	word = steer_rotl(word, 15);
	word *= 0x1b873593u;
	return steer_rotl(h ^ word, 13) * 5 + 0xe6546b64u;
}

/*
 * Hash of a connection seen from the client: src is the client, dst the VIP.
 * `seed` is the appliance's secret, so that nobody can aim at one instance.
 * With STEER_F_HASH_SOURCE in `flags` the ports do not count: all
 * connections, and all fragments, of one client go to one bucket.
 */
static inline __u32
steer_hash(const struct steer_tuple *t, __u32 seed, __u16 flags)
{
	__u32 h = seed;

	h = steer_mix(h, t->src.w[0]);
	h = steer_mix(h, t->src.w[1]);
	h = steer_mix(h, t->src.w[2]);
	h = steer_mix(h, t->src.w[3]);
	h = steer_mix(h, t->dst.w[0]);
	h = steer_mix(h, t->dst.w[1]);
	h = steer_mix(h, t->dst.w[2]);
	h = steer_mix(h, t->dst.w[3]);
	if (!(flags & STEER_F_HASH_SOURCE))
		h = steer_mix(h, ((__u32)t->sport << 16) | t->dport);
	h = steer_mix(h, t->proto);
	h ^= h >> 16;
	h *= 0x85ebca6bu;
	h ^= h >> 13;
	h *= 0xc2b2ae35u;
	h ^= h >> 16;
	return h;
}

/*
 * The bucket of a connection whose dst is the appliance's side: the VIP as
 * seen from the client, or the SNAT address as seen from the backend.
 */
static inline __u32
steer_bucket(const struct steer_tuple *t, __u32 seed,
	const struct steer_target *target)
{
	if (target->flags & STEER_F_SNAT)
		return steer_ntohs(t->dport) & target->mask;
	return steer_hash(t, seed, target->flags) & target->mask;
}

#endif
