/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a packet is: one pass over its headers, every length checked.
 *
 * Works on bytes, not on mbufs, so that it is tested and fuzzed without an
 * EAL: the caller says how many bytes can be read (the first segment) and how
 * many there are (all segments). All headers up to and including TCP's, UDP's
 * or ICMP's first 8 bytes must be in the first segment.
 *
 *     data                l3                l4
 *      | Ethernet, 14      | IP, extensions  | TCP, UDP, ICMP | payload
 *      +-------------------+-----------------+----------------+---------
 *                          |<------------- ip_len ---------------->|
 *                                            |<----- l4_len ------>|
 *
 * Ethernet padding after the IP packet is allowed and not counted.
 */
#ifndef CARRYALL_PACKET_H
#define CARRYALL_PACKET_H

#include <stdint.h>
#include <string.h>

#include <rte_byteorder.h>

#include "nf.h"

#define PACKET_L3 14 /* offset of the IP header: no VLAN tag is taken */

#define PACKET_FIN 0x01
#define PACKET_SYN 0x02
#define PACKET_RST 0x04
#define PACKET_ACK 0x10

/* Most IPv6 extension headers that are followed. */
#define PACKET_EXT_MAX 8

#define PACKET_ICMP6 58 /* IPPROTO_ICMPV6, fixed width for tables */

enum packet_frag {
	PACKET_WHOLE,
	PACKET_FRAG_FIRST, /* offset 0, more to come: has the L4 header */
	PACKET_FRAG_LATER, /* has none: ports are 0 */
};

struct packet {
	uint8_t *data;   /* the Ethernet header */
	uint32_t seg;    /* bytes readable from data, IP packet's end at most */
	uint32_t ip_len; /* IP header and payload, as the header says */
	uint32_t frag_id; /* as on the wire; IPv4: 16 bits */
	uint16_t l4;      /* offset of the L4 header or fragment payload */
	uint16_t l4_len;  /* bytes from there to the IP packet's end */
	rte_be16_t sport, dport; /* TCP, UDP; else 0 */
	uint8_t version;         /* 4 or 6 */
	uint8_t proto;           /* IPPROTO_* after extension headers */
	uint8_t tcp_flags;       /* PACKET_SYN...; 0 if not TCP */
	uint8_t frag;            /* enum packet_frag */
	uint8_t ttl;             /* or hop limit */
};

/* The packet that an ICMP error quotes, as far as it is quoted. */
struct packet_inner {
	uint16_t l3, l4;  /* offsets from packet.data */
	uint16_t l4_have; /* bytes quoted from l4 on, at least 8 */
	rte_be16_t sport, dport;
	uint8_t proto; /* IPPROTO_TCP or IPPROTO_UDP */
};

static inline uint16_t
packet_get16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint32_t
packet_get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint64_t
packet_get64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline void
packet_put16(uint8_t *p, uint16_t v)
{
	memcpy(p, &v, sizeof(v));
}

static inline void
packet_put32(uint8_t *p, uint32_t v)
{
	memcpy(p, &v, sizeof(v));
}

/*
 * Parse the Ethernet frame at `data` into `p`: `seg_len` bytes can be read,
 * the frame has `pkt_len` >= seg_len. Returns NF_TX if `p` is filled, else
 * the drop verdict (malformed, not_ip, not_ours for a source route) and `p`
 * is undefined. `p` keeps `data`. Thread: any.
 * Sources: RFC 791, 8200, 9293, 768; 6946 (atomic fragments), 3128 (tiny
 * fragments that would overwrite a TCP header).
 */
nf_verdict packet_parse(
	struct packet *p, uint8_t *data, uint32_t seg_len, uint32_t pkt_len);

/*
 * 1 if `p` is an ICMP or ICMPv6 error (RFC 792, 4443: one that quotes a
 * packet and is about its delivery), else 0.
 */
int packet_is_icmp_error(const struct packet *p);

/*
 * Parse what the ICMP error `p` quotes: 0, or -EINVAL if it is cut before 8
 * bytes of TCP or UDP, is of another family or protocol, or is a fragment
 * without ports. The quote may end anywhere after. Thread: any.
 */
int packet_parse_inner(const struct packet *p, struct packet_inner *in);

/* Copies of an IP header's addresses at `ip`, in the mapped form. */
static inline void
packet_addrs(const uint8_t *ip, struct ip_addr *src, struct ip_addr *dst)
{
	if (ip[0] >> 4 == 4) {
		*src = ip_addr_from_v4(packet_get32(ip + 12));
		*dst = ip_addr_from_v4(packet_get32(ip + 16));
	} else {
		memcpy(src, ip + 8, sizeof(*src));
		memcpy(dst, ip + 24, sizeof(*dst));
	}
}

#endif
