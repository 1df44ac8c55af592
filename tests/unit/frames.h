/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames for tests: Ethernet, IPv4 or IPv6 by the addresses, and what is in
 * it. Each function appends to a frame and returns its new length. No
 * checksums: nothing that is tested here looks at them.
 */
#ifndef CARRYALL_TEST_FRAMES_H
#define CARRYALL_TEST_FRAMES_H

#include <arpa/inet.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/addr.h"

#define FRAME_MAX 2048

static const uint8_t frame_ours[6] = { 2, 0, 0, 0, 0, 1 };
static const uint8_t frame_theirs[6] = { 2, 0, 0, 0, 0, 2 };

struct frame {
	uint8_t b[FRAME_MAX];
	size_t n;
};

/* How an IP packet is cut: all zero for a whole one. */
struct cut {
	uint32_t id;
	uint16_t offset; /* bytes */
	int more;
};

static inline struct ip_addr
addr_of(const char *text)
{
	struct ip_addr a;
	__be32 v4;

	if (inet_pton(AF_INET, text, &v4) == 1)
		return ip_addr_from_v4(v4);
	if (inet_pton(AF_INET6, text, a.w) != 1)
		abort();
	return a;
}

static inline void
put(struct frame *f, const void *p, size_t n)
{
	memcpy(f->b + f->n, p, n);
	f->n += n;
}

static inline void
put16(struct frame *f, uint16_t v)
{
	uint16_t be = htons(v);

	put(f, &be, sizeof(be));
}

static inline void
put32(struct frame *f, uint32_t v)
{
	uint32_t be = htonl(v);

	put(f, &be, sizeof(be));
}

static inline void
put_eth(struct frame *f, const uint8_t dst[6], const uint8_t src[6],
	uint16_t type)
{
	f->n = 0;
	put(f, dst, 6);
	put(f, src, 6);
	put16(f, type);
}

static inline void
put_ipv4(struct frame *f, const struct ip_addr *src, const struct ip_addr *dst,
	uint8_t proto, size_t payload, const struct cut *cut)
{
	put16(f, 0x4500);
	put16(f, (uint16_t)(20 + payload));
	put16(f, (uint16_t)cut->id);
	put16(f, (uint16_t)(cut->offset / 8 | (cut->more ? 0x2000 : 0)));
	put16(f, (uint16_t)(64 << 8 | proto));
	put16(f, 0);
	put(f, &src->w[3], 4);
	put(f, &dst->w[3], 4);
}

static inline void
put_ipv6(struct frame *f, const struct ip_addr *src, const struct ip_addr *dst,
	uint8_t proto, size_t payload, const struct cut *cut)
{
	int is_cut = cut->id || cut->offset || cut->more;

	put32(f, 6u << 28);
	put16(f, (uint16_t)(payload + (is_cut ? 8 : 0)));
	put16(f, (uint16_t)((is_cut ? 44 : proto) << 8 | 64));
	put(f, src->w, 16);
	put(f, dst->w, 16);
	if (!is_cut)
		return;
	put16(f, (uint16_t)(proto << 8));
	put16(f, (uint16_t)(cut->offset | (cut->more ? 1 : 0)));
	put32(f, cut->id);
}

/* An IP header for `payload` bytes to come, of the family of `src`. */
static inline void
put_ip(struct frame *f, const char *src, const char *dst, uint8_t proto,
	size_t payload, const struct cut *cut)
{
	static const struct cut whole;
	struct ip_addr s = addr_of(src), d = addr_of(dst);

	if (ip_addr_is_v4(&s))
		put_ipv4(f, &s, &d, proto, payload, cut ? cut : &whole);
	else
		put_ipv6(f, &s, &d, proto, payload, cut ? cut : &whole);
}

static inline uint16_t
frame_type(const char *addr)
{
	return strchr(addr, ':') ? 0x86dd : 0x0800;
}

static inline void
put_ports(struct frame *f, uint16_t sport, uint16_t dport)
{
	put16(f, sport);
	put16(f, dport);
	put32(f, 0x00100000); /* UDP length; of no matter to TCP */
	put32(f, 0);
	put32(f, 0);
}

#define PORTS_LEN 16

/* A whole TCP or UDP frame, or a fragment with ports of one. */
static inline void
frame_flow(struct frame *f, const uint8_t dmac[6], const uint8_t smac[6],
	uint8_t proto, const char *src, uint16_t sport, const char *dst,
	uint16_t dport, const struct cut *cut)
{
	put_eth(f, dmac, smac, frame_type(src));
	put_ip(f, src, dst, proto, PORTS_LEN, cut);
	put_ports(f, sport, dport);
}

/* An echo request or reply, or whatever ICMP `type` is. */
static inline void
frame_icmp(struct frame *f, const uint8_t dmac[6], const uint8_t smac[6],
	uint8_t type, const char *src, const char *dst)
{
	put_eth(f, dmac, smac, frame_type(src));
	put_ip(f, src, dst, strchr(src, ':') ? 58 : 1, 8, NULL);
	put32(f, (uint32_t)type << 24);
	put32(f, 0x12340001);
}

/* An ICMP error from `from` about a packet src:sport -> dst:dport. */
static inline void
frame_error(struct frame *f, const uint8_t dmac[6], const uint8_t smac[6],
	uint8_t type, const char *from, uint8_t proto, const char *src,
	uint16_t sport, const char *dst, uint16_t dport)
{
	size_t inner = (strchr(src, ':') ? 40 : 20) + PORTS_LEN;

	put_eth(f, dmac, smac, frame_type(src));
	put_ip(f, from, src, strchr(src, ':') ? 58 : 1, 8 + inner, NULL);
	put32(f, (uint32_t)type << 24);
	put32(f, 0);
	put_ip(f, src, dst, proto, PORTS_LEN, NULL);
	put_ports(f, sport, dport);
}

#endif
