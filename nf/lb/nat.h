/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rewriting a packet in place: addresses, ports, TTL, checksums, MACs.
 *
 * All inline: this is the per-packet path. Checksums change by the flow's
 * precomputed deltas (dataplane/checksum.h), so no payload is ever read.
 */
#ifndef CARRYALL_LB_NAT_H
#define CARRYALL_LB_NAT_H

#include <netinet/in.h>
#include <string.h>

#include "dataplane/checksum.h"
#include "dataplane/packet.h"

/* A packet's new addresses and ports, and what they do to checksums. */
struct nat {
	const struct ip_addr *src, *dst;
	uint16_t sport, dport;
	uint16_t l4_delta, ip_delta;
};

/* TTL less one, as a delta of the word that holds TTL and protocol. */
#define NAT_TTL_DELTA ((uint16_t)~RTE_BE16(0x0100))

/* Delta of the addresses src, dst becoming new_src, new_dst. */
static inline uint16_t
nat_delta(const struct ip_addr *src, const struct ip_addr *dst,
	const struct ip_addr *new_src, const struct ip_addr *new_dst)
{
	uint64_t sum = csum_sub(0, src, sizeof(*src));

	sum = csum_sub(sum, dst, sizeof(*dst));
	sum = csum_add(sum, new_src, sizeof(*new_src));
	return csum_fold(csum_add(sum, new_dst, sizeof(*new_dst)));
}

/* `delta` and the ports sport, dport becoming new_sport, new_dport. */
static inline uint16_t
nat_delta_ports(uint16_t delta, uint16_t sport, uint16_t dport,
	uint16_t new_sport, uint16_t new_dport)
{
	return csum_fold((uint64_t)delta + (uint16_t)~sport + (uint16_t)~dport +
			 new_sport + new_dport);
}

/*
 * The Ethernet header's addresses. `dst` and `src` hold the MAC address in
 * the first six bytes in memory order; byte 12 on is left as it is.
 */
static inline void
nat_ethernet(uint8_t *eth, uint64_t dst, uint64_t src)
{
	memcpy(eth, &dst, 8);
	memcpy(eth + 6, &src, 4);
	src >>= 32;
	memcpy(eth + 10, &src, 2);
}

/* New addresses in the IP header at `ip`, TTL untouched. */
static inline void
nat_addresses(uint8_t *ip, const struct nat *nat)
{
	if (ip[0] >> 4 == 4) {
		packet_put32(ip + 12, nat->src->w[3]);
		packet_put32(ip + 16, nat->dst->w[3]);
		packet_put16(ip + 10,
			csum_update(packet_get16(ip + 10), nat->ip_delta));
	} else {
		memcpy(ip + 8, nat->src, 16);
		memcpy(ip + 24, nat->dst, 16);
	}
}

/* One hop less: RFC 1812 section 5.3.1, RFC 8200 section 3. */
static inline void
nat_ttl(uint8_t *ip)
{
	if (ip[0] >> 4 == 4) {
		ip[8]--;
		packet_put16(ip + 10,
			csum_update(packet_get16(ip + 10), NAT_TTL_DELTA));
	} else {
		ip[7]--;
	}
}

/*
 * A UDP checksum of 0 says that there is none (RFC 768) and stays; one that
 * comes out as 0 is sent as 0xffff.
 */
static inline void
nat_udp_checksum(uint8_t *at, uint16_t delta)
{
	uint16_t csum = packet_get16(at);

	if (csum == 0)
		return;
	csum = csum_update(csum, delta);
	packet_put16(at, csum == 0 ? 0xffff : csum);
}

/* New ports and checksum in the TCP or UDP header at `l4`. */
static inline void
nat_l4(uint8_t *l4, uint8_t proto, const struct nat *nat)
{
	packet_put16(l4, nat->sport);
	packet_put16(l4 + 2, nat->dport);
	if (proto == IPPROTO_TCP)
		packet_put16(l4 + 16,
			csum_update(packet_get16(l4 + 16), nat->l4_delta));
	else
		nat_udp_checksum(l4 + 6, nat->l4_delta);
}

/* All of a packet but its MAC addresses. */
static inline void
nat_packet(const struct packet *p, const struct nat *nat)
{
	uint8_t *ip = p->data + PACKET_L3;

	nat_addresses(ip, nat);
	nat_ttl(ip);
	if (__builtin_expect(p->frag != PACKET_FRAG_LATER, 1))
		nat_l4(p->data + p->l4, p->proto, nat);
}

#endif
