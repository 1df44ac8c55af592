/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/packet.h"

#include <errno.h>
#include <netinet/in.h>

#define ETHERTYPE_V4 0x0800
#define ETHERTYPE_V6 0x86dd

#define V4_MORE   0x2000
#define V4_OFFSET 0x1fff
#define V6_OFFSET 0xfff8
#define V6_MORE   0x0001

#define MALFORMED NF_DROP(NF_DROP_MALFORMED)

static uint16_t
host16(const uint8_t *p)
{
	return rte_be_to_cpu_16(packet_get16(p));
}

static nf_verdict
parse_tcp(struct packet *p)
{
	const uint8_t *tcp = p->data + p->l4;
	uint32_t header;

	if (p->l4_len < 20 || p->l4 + 20u > p->seg)
		return MALFORMED;
	header = (tcp[12] >> 4) * 4u;
	if (header < 20 || header > p->l4_len)
		return MALFORMED;
	p->sport = packet_get16(tcp);
	p->dport = packet_get16(tcp + 2);
	p->tcp_flags = tcp[13];
	return NF_TX;
}

static nf_verdict
parse_udp(struct packet *p)
{
	const uint8_t *udp = p->data + p->l4;
	uint32_t len;

	if (p->l4_len < 8 || p->l4 + 8u > p->seg)
		return MALFORMED;
	len = host16(udp + 4);
	if (len < 8 || (p->frag == PACKET_WHOLE && len > p->l4_len))
		return MALFORMED;
	p->sport = packet_get16(udp);
	p->dport = packet_get16(udp + 2);
	return NF_TX;
}

/* Ports and flags; protocols that we know nothing of have none. */
static nf_verdict
parse_l4(struct packet *p)
{
	p->sport = p->dport = 0;
	p->tcp_flags = 0;
	if (p->frag == PACKET_FRAG_LATER)
		return NF_TX;
	switch (p->proto) {
	case IPPROTO_TCP:
		return parse_tcp(p);
	case IPPROTO_UDP:
		return parse_udp(p);
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		if (p->l4_len < 8 || p->l4 + 8u > p->seg)
			return MALFORMED;
		return NF_TX;
	default:
		return NF_TX;
	}
}

static nf_verdict
parse_v4(struct packet *p, uint32_t seg_len, uint32_t pkt_len)
{
	const uint8_t *ip = p->data + PACKET_L3;
	uint32_t header, total, frag;

	if (seg_len < PACKET_L3 + 20)
		return MALFORMED;
	header = (ip[0] & 15) * 4u;
	total = host16(ip + 2);
	if (ip[0] >> 4 != 4 || header < 20 || total < header ||
		PACKET_L3 + total > pkt_len || PACKET_L3 + header > seg_len)
		return MALFORMED;
	frag = host16(ip + 6);
	p->version = 4;
	p->proto = ip[9];
	p->ttl = ip[8];
	p->ip_len = total;
	p->l4 = (uint16_t)(PACKET_L3 + header);
	p->l4_len = (uint16_t)(total - header);
	p->seg = RTE_MIN(seg_len, PACKET_L3 + total);
	p->frag = PACKET_WHOLE;
	if (frag & (V4_MORE | V4_OFFSET)) {
		p->frag = frag & V4_OFFSET ? PACKET_FRAG_LATER
					   : PACKET_FRAG_FIRST;
		p->frag_id = packet_get16(ip + 4);
		if ((frag & V4_OFFSET) == 1 && p->proto == IPPROTO_TCP)
			return MALFORMED;
	}
	return parse_l4(p);
}

static void
note_v6_fragment(struct packet *p, const uint8_t *header)
{
	uint32_t frag = host16(header + 2);

	p->frag_id = packet_get32(header + 4);
	if (frag & V6_OFFSET)
		p->frag = PACKET_FRAG_LATER;
	else if (frag & V6_MORE)
		p->frag = PACKET_FRAG_FIRST;
}

/*
 * Follow the extension headers from data[*off] on, `*next` being the first
 * one's number. Stops at the first header that is none, or behind a later
 * fragment's header.
 */
static nf_verdict
skip_extensions(struct packet *p, uint32_t *off, uint8_t *next)
{
	for (int i = 0; i < PACKET_EXT_MAX; i++) {
		const uint8_t *h = p->data + *off;
		uint32_t len = 8;

		if (*next != IPPROTO_HOPOPTS && *next != IPPROTO_ROUTING &&
			*next != IPPROTO_DSTOPTS && *next != IPPROTO_FRAGMENT)
			return NF_TX;
		if (*off + 8 > p->seg)
			return MALFORMED;
		if (*next == IPPROTO_FRAGMENT)
			note_v6_fragment(p, h);
		else
			len = (h[1] + 1u) * 8;
		/* With segments left the destination is only a stop. */
		if (*next == IPPROTO_ROUTING && h[3] != 0)
			return NF_DROP(NF_DROP_NOT_OURS);
		*next = h[0];
		*off += len;
		if (*off > p->seg)
			return MALFORMED;
		if (p->frag == PACKET_FRAG_LATER)
			return NF_TX;
	}
	return MALFORMED;
}

static nf_verdict
parse_v6(struct packet *p, uint32_t seg_len, uint32_t pkt_len)
{
	const uint8_t *ip = p->data + PACKET_L3;
	uint32_t total, off = PACKET_L3 + 40;
	nf_verdict v;

	if (seg_len < off || ip[0] >> 4 != 6)
		return MALFORMED;
	total = 40u + host16(ip + 4);
	if (PACKET_L3 + total > pkt_len)
		return MALFORMED;
	p->version = 6;
	p->proto = ip[6];
	p->ttl = ip[7];
	p->ip_len = total;
	p->seg = RTE_MIN(seg_len, PACKET_L3 + total);
	p->frag = PACKET_WHOLE;
	v = skip_extensions(p, &off, &p->proto);
	if (v != NF_TX)
		return v;
	p->l4 = (uint16_t)off;
	p->l4_len = (uint16_t)(PACKET_L3 + total - off);
	return parse_l4(p);
}

nf_verdict
packet_parse(
	struct packet *p, uint8_t *data, uint32_t seg_len, uint32_t pkt_len)
{
	p->data = data;
	if (seg_len < PACKET_L3)
		return MALFORMED;
	switch (host16(data + 12)) {
	case ETHERTYPE_V4:
		return parse_v4(p, seg_len, pkt_len);
	case ETHERTYPE_V6:
		return parse_v6(p, seg_len, pkt_len);
	default:
		return NF_DROP(NF_DROP_NOT_IP);
	}
}

int
packet_is_icmp_error(const struct packet *p)
{
	const int v4 = p->version == 4;
	uint8_t type;

	if (p->frag != PACKET_WHOLE ||
		p->proto != (v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6))
		return 0;
	type = p->data[p->l4];
	if (v4)
		return type == 3 || type == 11 || type == 12;
	return type >= 1 && type <= 4;
}

/* Bounds of the quoted IP header; the offset of its payload, or 0. */
static uint32_t
inner_header(const struct packet *p, uint32_t l3, uint8_t *proto)
{
	const uint8_t *ip = p->data + l3;
	uint32_t header;

	if (p->version == 4) {
		if (l3 + 20 > p->seg || ip[0] >> 4 != 4)
			return 0;
		header = (ip[0] & 15) * 4u;
		if (header < 20 || (host16(ip + 6) & V4_OFFSET) != 0)
			return 0;
		*proto = ip[9];
		return l3 + header;
	}
	if (l3 + 40 > p->seg || ip[0] >> 4 != 6)
		return 0;
	*proto = ip[6];
	return l3 + 40;
}

int
packet_parse_inner(const struct packet *p, struct packet_inner *in)
{
	struct packet quoted = { .data = p->data, .seg = p->seg };
	uint32_t l3 = p->l4 + 8u;
	uint32_t l4 = inner_header(p, l3, &in->proto);

	if (l4 == 0)
		return -EINVAL;
	if (p->version == 6 &&
		(skip_extensions(&quoted, &l4, &in->proto) != NF_TX ||
			quoted.frag == PACKET_FRAG_LATER))
		return -EINVAL;
	if (in->proto != IPPROTO_TCP && in->proto != IPPROTO_UDP)
		return -EINVAL;
	if (l4 + 8 > p->seg)
		return -EINVAL;
	in->l3 = (uint16_t)l3;
	in->l4 = (uint16_t)l4;
	in->l4_have = (uint16_t)(p->seg - l4);
	in->sport = packet_get16(p->data + l4);
	in->dport = packet_get16(p->data + l4 + 2);
	return 0;
}
