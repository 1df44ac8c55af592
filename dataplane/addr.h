/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IP addresses of both families in one shape.
 *
 * An IPv4 address a.b.c.d is kept as the IPv4-mapped IPv6 address
 * ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2), so that tables, keys and hashes
 * have one form. The header has no dependency, so that BPF programs, the
 * control plane and the data plane all include it.
 */
#ifndef CARRYALL_ADDR_H
#define CARRYALL_ADDR_H

#include <linux/types.h>

/* An address in network byte order; w[0] holds the first four bytes. */
struct ip_addr {
	__be32 w[4];
};

/* The third word of every IPv4-mapped address: 00 00 ff ff on the wire. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define IP_ADDR_V4_TAG ((__be32)0xffff0000)
#else
#define IP_ADDR_V4_TAG ((__be32)0x0000ffff)
#endif

/* The IPv4 address `v4` (network byte order) in mapped form. */
static inline struct ip_addr
ip_addr_from_v4(__be32 v4)
{
	struct ip_addr a = { { 0, 0, IP_ADDR_V4_TAG, v4 } };

	return a;
}

/* 1 if `a` is an IPv4-mapped address, else 0. */
static inline int
ip_addr_is_v4(const struct ip_addr *a)
{
	return a->w[0] == 0 && a->w[1] == 0 && a->w[2] == IP_ADDR_V4_TAG;
}

/* 1 if the addresses are the same, else 0. */
static inline int
ip_addr_eq(const struct ip_addr *a, const struct ip_addr *b)
{
	return !((a->w[0] ^ b->w[0]) | (a->w[1] ^ b->w[1]) |
		 (a->w[2] ^ b->w[2]) | (a->w[3] ^ b->w[3]));
}

#endif
