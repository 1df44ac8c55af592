/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * echo: sends UDP datagrams and ICMP echo requests back to where they came
 * from, in place. It is also the smallest complete function: read it first.
 *
 * Nothing is copied. Swapping addresses and ports leaves every checksum as
 * it was, for one's complement addition does not care for order; only what
 * else changes (ICMP type, TTL) is made up for.
 */
#include <netinet/in.h>
#include <rte_byteorder.h>
#include <rte_ether.h>
#include <rte_icmp.h>
#include <rte_ip.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_udp.h>
#include <stdio.h>

#include "dataplane/checksum.h"
#include "dataplane/nf.h"
#include "dataplane/packet.h"

#define ICMP6_ECHO_REQUEST 128
#define ICMP6_ECHO_REPLY   129
#define REPLY_TTL          64 /* RFC 1700 */

enum echo_drop { ECHO_LOOP = NF_DROP_OWN };

static const char *const echo_drops[] = { "echo_loop", NULL };

struct echo {
	const struct nf_env *env;
};

/* The service a packet is for: its index, or -1. */
static int
service_find(const struct grant *g, const struct packet *p, uint8_t proto)
{
	struct ip_addr src, dst;

	packet_addrs(p->data + PACKET_L3, &src, &dst);
	for (uint32_t i = 0; i < g->n_services; i++) {
		const struct grant_service *s = &g->services[i];

		if (s->proto == proto && s->port == p->dport &&
			ip_addr_eq(&s->addr, &dst))
			return (int)i;
	}
	return -1;
}

static void
swap_bytes(uint8_t *a, uint8_t *b, size_t len)
{
	uint8_t t[16];

	memcpy(t, a, len);
	memcpy(a, b, len);
	memcpy(b, t, len);
}

/* Back to the sender: MAC and IP addresses, and a fresh TTL. */
static void
reply_address(struct packet *p)
{
	uint8_t *eth = p->data, *ip = p->data + PACKET_L3;

	swap_bytes(eth, eth + RTE_ETHER_ADDR_LEN, RTE_ETHER_ADDR_LEN);
	if (p->version == 4) {
		struct rte_ipv4_hdr *h = (struct rte_ipv4_hdr *)ip;
		uint16_t was = packet_get16(ip + 8), now;

		swap_bytes(ip + 12, ip + 16, 4);
		h->time_to_live = REPLY_TTL;
		now = packet_get16(ip + 8);
		h->hdr_checksum = csum_update(h->hdr_checksum,
			csum_fold((uint64_t)now + (uint16_t)~was));
	} else {
		swap_bytes(ip + 8, ip + 24, 16);
		((struct rte_ipv6_hdr *)ip)->hop_limits = REPLY_TTL;
	}
}

/*
 * A datagram that comes from an echo port would be answered by its sender,
 * and so on for ever (CERT CA-1996-01).
 */
static nf_verdict
udp_reply(struct packet *p)
{
	struct rte_udp_hdr *udp = (struct rte_udp_hdr *)(p->data + p->l4);

	if (udp->src_port == udp->dst_port || udp->src_port == htons(7))
		return NF_DROP(ECHO_LOOP);
	udp->dst_port = udp->src_port;
	udp->src_port = p->dport;
	reply_address(p);
	return NF_TX;
}

static nf_verdict
icmp_reply(struct packet *p)
{
	struct rte_icmp_hdr *icmp = (struct rte_icmp_hdr *)(p->data + p->l4);
	uint8_t request =
		p->version == 4 ? RTE_IP_ICMP_ECHO_REQUEST : ICMP6_ECHO_REQUEST;
	uint16_t was = packet_get16(p->data + p->l4), now;

	if (icmp->icmp_type != request || icmp->icmp_code != 0)
		return NF_DROP(NF_DROP_NOT_OURS);
	icmp->icmp_type =
		p->version == 4 ? RTE_IP_ICMP_ECHO_REPLY : ICMP6_ECHO_REPLY;
	now = packet_get16(p->data + p->l4);
	icmp->icmp_cksum = csum_update(
		icmp->icmp_cksum, csum_fold((uint64_t)now + (uint16_t)~was));
	reply_address(p);
	return NF_TX;
}

static nf_verdict
echo_one(struct echo *e, struct rte_mbuf *m)
{
	const struct grant *g = e->env->grant;
	struct packet p;
	nf_verdict v = packet_parse(&p, rte_pktmbuf_mtod(m, uint8_t *),
		rte_pktmbuf_data_len(m), rte_pktmbuf_pkt_len(m));
	uint8_t proto;
	int service;

	if (v != NF_TX)
		return v;
	if (p.frag != PACKET_WHOLE)
		return NF_DROP(NF_DROP_FRAGMENT);
	proto = p.proto == PACKET_ICMP6 ? IPPROTO_ICMP : p.proto;
	service = service_find(g, &p, proto);
	if (service < 0)
		return NF_DROP(NF_DROP_NOT_OURS);
	v = proto == IPPROTO_UDP ? udp_reply(&p) : icmp_reply(&p);
	if (v == NF_TX) {
		e->env->stats->service[service].packets++;
		e->env->stats->service[service].bytes += m->pkt_len;
	}
	return v;
}

static void
echo_burst(void *state, struct rte_mbuf **pkts, uint16_t n, nf_verdict *verdict,
	uint64_t now_tsc)
{
	(void)now_tsc;
	for (uint16_t i = 0; i < n; i++)
		verdict[i] = echo_one(state, pkts[i]);
}

static void *
echo_create(const struct nf_env *env, char *why, size_t len)
{
	struct echo *e = rte_zmalloc("echo", sizeof(*e), 0);

	if (e == NULL)
		snprintf(why, len, "no memory");
	else
		e->env = env;
	return e;
}

/* The grant is read with each packet: there is nothing else to change. */
static int
echo_update(void *state, char *why, size_t len)
{
	(void)state;
	(void)why;
	(void)len;
	return 0;
}

static void
echo_destroy(void *state)
{
	rte_free(state);
}

extern const struct nf nf_echo;
const struct nf nf_echo = {
	.name = "echo",
	.summary = "answers UDP datagrams and ICMP echo requests",
	.flags = NF_PROTO_UDP | NF_PROTO_ICMP,
	.drops = echo_drops,
	.create = echo_create,
	.burst = echo_burst,
	.update = echo_update,
	.destroy = echo_destroy,
};
