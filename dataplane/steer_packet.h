/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Steering: from the bytes of a frame to the connection it belongs to.
 *
 * Whatever the frame is, a segment, an echo request or an ICMP error about
 * either direction, the outcome has one form: the connection with `dst` the
 * appliance's side. One lookup then serves what comes in and what goes out:
 *
 *   frame                     connection (src -> dst)
 *   in:  client -> VIP        client -> VIP
 *   in:  error about VIP -> client, as sent by us
 *                             client -> VIP
 *   out: VIP -> client        client -> VIP
 *   out: error about client -> VIP, as received by us
 *                             client -> VIP
 *
 * and the same with backend and SNAT address. As steer.h it compiles for
 * BPF: every access is checked against `end` right before it.
 */
#ifndef CARRYALL_STEER_PACKET_H
#define CARRYALL_STEER_PACKET_H

#include <linux/types.h>

#include "steer.h"

#define STEER_ETH_LEN   14
#define STEER_ETH_IPV4  0x0800
#define STEER_ETH_IPV6  0x86dd
#define STEER_ETH_8021Q 0x8100
#define STEER_ETH_QINQ  0x88a8

#define STEER_PROTO_ICMP   1
#define STEER_PROTO_TCP    6
#define STEER_PROTO_UDP    17
#define STEER_PROTO_ICMPV6 58

/* Most IPv6 extension headers walked; a packet with more is "other". */
#define STEER_EXT_MAX 6

enum steer_dir {
	STEER_IN,  /* received on an uplink */
	STEER_OUT, /* sent by an instance */
};

enum steer_kind {
	STEER_K_NOT_IP,
	STEER_K_VLAN,      /* 802.1Q or 802.1ad tag */
	STEER_K_MALFORMED, /* headers cut short or contradicting */
	STEER_K_PROTOCOL,  /* IP, but neither TCP, UDP nor ICMP */
	STEER_K_ICMP,      /* ICMP of no connection (also ND, MLD) */
	STEER_K_FRAGMENT,  /* a fragment but the first: it has no ports */
	/* from here on `conn` is a whole connection */
	STEER_K_FLOW,  /* TCP or UDP */
	STEER_K_ECHO,  /* in: echo request; out: echo reply */
	STEER_K_ERROR, /* ICMP error; conn is that of the inner packet */
};

struct steer_packet {
	/*
	 * dst is the appliance's side. ICMP has ports 0 and the protocol
	 * IPPROTO_ICMP in both families; a fragment has ports 0.
	 */
	struct steer_tuple conn;
	__u32 frag_id; /* as on the wire; of a fragment */
	__u8 kind;     /* enum steer_kind */
	__u8 first;    /* 1: a first fragment, more follow */
	__u16 pad;
};

/* What the IP header, outer or inner, says. */
struct steer_l3 {
	struct ip_addr src, dst;
	const __u8 *l4;
	__u32 frag_id;
	__u8 proto;
	__u8 first; /* first fragment */
	__u8 later; /* fragment with an offset */
};

#ifdef __bpf__
#define STEER_INLINE static inline __attribute__((always_inline))
#else
#define STEER_INLINE static inline
#endif

/*
 * Loads from a packet, of any alignment. BPF has no unaligned types (clang
 * makes bytes of them), but the machines below do.
 */
STEER_INLINE __u16
steer_load16(const __u8 *p)
{
#ifdef __bpf__
	return *(const __u16 *)p;
#else
	__u16 v;

	__builtin_memcpy(&v, p, sizeof(v));
	return v;
#endif
}

STEER_INLINE __u32
steer_load32(const __u8 *p)
{
#ifdef __bpf__
	return *(const __u32 *)p;
#else
	__u32 v;

	__builtin_memcpy(&v, p, sizeof(v));
	return v;
#endif
}

STEER_INLINE void
steer_load_v6(struct ip_addr *a, const __u8 *p)
{
	a->w[0] = steer_load32(p);
	a->w[1] = steer_load32(p + 4);
	a->w[2] = steer_load32(p + 8);
	a->w[3] = steer_load32(p + 12);
}

/* RFC 791 section 3.1. -1 if malformed. */
STEER_INLINE int
steer_ipv4(const __u8 *p, const __u8 *end, struct steer_l3 *l3)
{
	__u32 len;
	__u16 frag;

	if (p + 20 > end || p[0] >> 4 != 4)
		return -1;
	len = (p[0] & 15u) * 4;
	if (len < 20)
		return -1;
	frag = steer_ntohs(steer_load16(p + 6));
	l3->src = ip_addr_from_v4(steer_load32(p + 12));
	l3->dst = ip_addr_from_v4(steer_load32(p + 16));
	l3->proto = p[9];
	l3->later = (frag & 0x1fff) != 0;
	l3->first = (frag & 0x3fff) == 0x2000;
	l3->frag_id = steer_load16(p + 4);
	l3->l4 = p + len;
	return 0;
}

/* The fragment header at `p`, RFC 8200 section 4.5. */
STEER_INLINE void
steer_ipv6_fragment(const __u8 *p, struct steer_l3 *l3)
{
	__u16 frag = steer_ntohs(steer_load16(p + 2));

	l3->later = (frag & 0xfff8) != 0;
	l3->first = (frag & 0xfff9) == 1;
	l3->frag_id = steer_load32(p + 4);
}

/*
 * RFC 8200 sections 3 and 4. A fragment with offset 0 and no more to come
 * is a whole packet (RFC 6946). -1 if malformed, as IPv4-mapped addresses
 * are: on the wire they have no meaning, here they would be IPv4 ones.
 */
STEER_INLINE int
steer_ipv6(const __u8 *p, const __u8 *end, struct steer_l3 *l3)
{
	const __u8 *h = p + 40;
	__u8 next;

	if (h > end || p[0] >> 4 != 6)
		return -1;
	steer_load_v6(&l3->src, p + 8);
	steer_load_v6(&l3->dst, p + 24);
	if (ip_addr_is_v4(&l3->src) || ip_addr_is_v4(&l3->dst))
		return -1;
	l3->first = l3->later = 0;
	l3->frag_id = 0;
	next = p[6];
	for (int i = 0; i < STEER_EXT_MAX && !l3->later; i++) {
		__u32 len;

		if (next != 0 && next != 43 && next != 44 && next != 60)
			break;
		if (h + 8 > end)
			return -1;
		if (next == 44)
			steer_ipv6_fragment(h, l3);
		len = next == 44 ? 8 : (h[1] + 1u) * 8;
		next = h[0];
		h += len;
	}
	l3->proto = next;
	l3->l4 = h;
	return 0;
}

/* 1 if the packet at `p`, of IP version `v6`, is longer than the frame. */
STEER_INLINE int
steer_cut_short(const __u8 *p, const __u8 *end, int v6)
{
	__u32 len;

	if (p + 20 > end)
		return 1;
	len = v6 ? 40u + steer_ntohs(steer_load16(p + 4))
		 : steer_ntohs(steer_load16(p + 2));
	return len < 20 || len > (__u64)(end - p);
}

/* Enter src:ports:dst into `c`, turned round if `swap`. */
STEER_INLINE void
steer_conn(struct steer_tuple *c, const struct steer_l3 *l3, __u32 ports,
	__u8 proto, int swap)
{
	__u16 half[2];

	__builtin_memcpy(half, &ports, sizeof(half));
	c->src = swap ? l3->dst : l3->src;
	c->dst = swap ? l3->src : l3->dst;
	c->sport = swap ? half[1] : half[0];
	c->dport = swap ? half[0] : half[1];
	c->proto = proto;
	c->pad[0] = c->pad[1] = c->pad[2] = 0;
}

/* RFC 792 and RFC 4443: the errors that hold the packet they are about. */
STEER_INLINE int
steer_icmp_is_error(__u8 type, int v6)
{
	return v6 ? type >= 1 && type <= 4
		  : type == 3 || type == 11 || type == 12;
}

/*
 * The inner packet of an ICMP error, which begins at `p`. An error is sent
 * to whom the inner packet is from; ours to an instance's peers come from
 * whom it was for. Anything else is of no connection.
 */
STEER_INLINE __u8
steer_icmp_error(const __u8 *p, const __u8 *end, int v6, enum steer_dir dir,
	const struct steer_l3 *outer, struct steer_tuple *c)
{
	struct steer_l3 in;

	if ((v6 ? steer_ipv6(p, end, &in) : steer_ipv4(p, end, &in)) ||
		in.later || in.l4 + 4 > end)
		return STEER_K_ICMP;
	if (in.proto != STEER_PROTO_TCP && in.proto != STEER_PROTO_UDP)
		return STEER_K_ICMP;
	if (!ip_addr_eq(&outer->dst, &in.src))
		return STEER_K_ICMP;
	if (dir == STEER_OUT && !ip_addr_eq(&outer->src, &in.dst))
		return STEER_K_ICMP;
	steer_conn(c, &in, steer_load32(in.l4), in.proto, dir == STEER_IN);
	return STEER_K_ERROR;
}

STEER_INLINE __u8
steer_icmp(const struct steer_l3 *l3, const __u8 *end, int v6,
	enum steer_dir dir, struct steer_tuple *c)
{
	const __u8 *p = l3->l4;
	__u8 echo;

	if (l3->first)
		return STEER_K_ICMP;
	if (p + 8 > end)
		return STEER_K_MALFORMED;
	echo = dir == STEER_IN ? (v6 ? 128 : 8) : (v6 ? 129 : 0);
	if (p[0] == echo)
		return STEER_K_ECHO;
	if (!steer_icmp_is_error(p[0], v6))
		return STEER_K_ICMP;
	return steer_icmp_error(p + 8, end, v6, dir, l3, c);
}

STEER_INLINE __u8
steer_parse_l4(const struct steer_l3 *l3, const __u8 *end, int v6,
	enum steer_dir dir, struct steer_tuple *c)
{
	const __u8 *p = l3->l4;

	steer_conn(c, l3, 0, l3->proto, dir == STEER_OUT);
	if (l3->later)
		return STEER_K_FRAGMENT;
	if (l3->proto == STEER_PROTO_TCP || l3->proto == STEER_PROTO_UDP) {
		if (p + 8 > end)
			return STEER_K_MALFORMED;
		steer_conn(c, l3, steer_load32(p), l3->proto, dir == STEER_OUT);
		return STEER_K_FLOW;
	}
	if (l3->proto != (v6 ? STEER_PROTO_ICMPV6 : STEER_PROTO_ICMP))
		return STEER_K_PROTOCOL;
	c->proto = STEER_PROTO_ICMP;
	return steer_icmp(l3, end, v6, dir, c);
}

STEER_INLINE __u8
steer_parse_ip(const __u8 *p, const __u8 *end, int v6, enum steer_dir dir,
	struct steer_packet *pkt)
{
	struct steer_l3 l3;

	if (steer_cut_short(p, end, v6) ||
		(v6 ? steer_ipv6(p, end, &l3) : steer_ipv4(p, end, &l3)))
		return STEER_K_MALFORMED;
	pkt->first = l3.first;
	pkt->frag_id = l3.frag_id;
	return steer_parse_l4(&l3, end, v6, dir, &pkt->conn);
}

/*
 * Find the connection of the Ethernet frame data[0..end), which goes in
 * direction `dir`. Fills `pkt`, whose `kind` says how much of `conn` is
 * meant, and returns the kind. Reads nothing at or beyond `end`. Checksums
 * are not looked at. Thread: any.
 */
STEER_INLINE __u8
steer_parse(const void *data, const void *end, enum steer_dir dir,
	struct steer_packet *pkt)
{
	const __u8 *p = data, *stop = end;
	__u16 type;

	pkt->first = 0;
	pkt->pad = 0;
	pkt->frag_id = 0;
	pkt->kind = STEER_K_MALFORMED;
	if (p + STEER_ETH_LEN > stop)
		return pkt->kind;
	type = steer_ntohs(steer_load16(p + 12));
	if (type == STEER_ETH_IPV4)
		pkt->kind =
			steer_parse_ip(p + STEER_ETH_LEN, stop, 0, dir, pkt);
	else if (type == STEER_ETH_IPV6)
		pkt->kind =
			steer_parse_ip(p + STEER_ETH_LEN, stop, 1, dir, pkt);
	else if (type == STEER_ETH_8021Q || type == STEER_ETH_QINQ)
		pkt->kind = STEER_K_VLAN;
	else
		pkt->kind = STEER_K_NOT_IP;
	return pkt->kind;
}

#endif
