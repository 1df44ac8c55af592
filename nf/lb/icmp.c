/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ICMP errors: translated, and made.
 *
 * An error quotes a packet that we sent. Turned round, the quoted addresses
 * and ports are those of a packet that would come back, so the error belongs
 * to the connection and direction that such a packet belongs to, and goes
 * where it would go:
 *
 *   from the backends' side, quoting SNAT:port -> backend
 *        becomes   VIP -> client,     quoting client -> VIP
 *   from the clients' side, quoting VIP -> client
 *        becomes   SNAT -> backend,   quoting backend -> SNAT:port
 *
 * The quoted packet is what its sender once sent, so its checksums change
 * back by the same deltas. RFC 5508 (NAT and ICMP), RFC 792, RFC 4443.
 */
#include <netinet/in.h>

#include <rte_mbuf.h>

#include "nf/lb/forward.h"

/* ICMP errors made: at most ERRORS_PER_MS, in a burst of ERRORS_BURST. */
#define ERRORS_PER_MS 1
#define ERRORS_BURST  64

/* The quote of an error: 576 bytes (RFC 1812), 1280 (RFC 4443) in all. */
#define QUOTE_V4 (576 - 28)
#define QUOTE_V6 (1280 - 48)

#define TTL_MADE 64

/* --- translating --- */

/*
 * The connection that the error is about, and the direction it takes. The
 * error must come to the address that the quoted packet came from.
 */
static struct flow *
find(struct lb *lb, const struct packet *p, const struct packet_inner *in,
	enum flow_dir *dir)
{
	struct ip_addr src, dst, from, to;
	const struct lb_service *s;
	struct flow *f;

	packet_addrs(p->data + in->l3, &src, &dst);
	packet_addrs(p->data + PACKET_L3, &from, &to);
	if (!ip_addr_eq(&to, &src))
		return NULL;
	f = flow_lookup(&lb->flows,
		flow_hash(lb->flows.key, &dst, &src, in->dport, in->sport,
			in->proto),
		dir);
	if (f == NULL || !lb_flow_between(lb, f, *dir, &dst, &src))
		return NULL;
	s = &lb->service[f->service];
	if (s->proto != in->proto)
		return NULL;
	if (*dir == FLOW_CLIENT)
		return in->dport == f->client_port && in->sport == s->port
			       ? f
			       : NULL;
	return in->dport == lb->backend[f->backend].port &&
			       in->sport == f->snat_port
		       ? f
		       : NULL;
}

/* Bytes of the quoted L4 header that change, if they are there. */
static uint16_t
l4_touched(const struct packet_inner *in)
{
	if (in->proto == IPPROTO_TCP)
		return in->l4_have >= 18 ? 18 : 4;
	return 8;
}

static void
rewrite_inner(const struct packet *p, const struct packet_inner *in,
	const struct nat *nat)
{
	uint8_t *l4 = p->data + in->l4;

	nat_addresses(p->data + in->l3, nat);
	if (l4_touched(in) > 4) {
		nat_l4(l4, in->proto, nat);
	} else {
		packet_put16(l4, nat->sport);
		packet_put16(l4 + 2, nat->dport);
	}
}

/* Rewrite the quote; what that does to a sum over it. */
static uint16_t
translate_inner(const struct packet *p, const struct packet_inner *in,
	const struct nat *nat)
{
	const struct nat back = { .src = nat->dst,
		.dst = nat->src,
		.sport = nat->dport,
		.dport = nat->sport,
		.l4_delta = nat->l4_delta,
		.ip_delta = nat->ip_delta };
	const uint8_t *quote = p->data + in->l3;
	size_t len = (size_t)(in->l4 - in->l3) + l4_touched(in);
	uint64_t sum = csum_sub(0, quote, len);

	rewrite_inner(p, in, &back);
	return csum_fold(csum_add(sum, quote, len));
}

static void
translate(
	const struct packet *p, const struct packet_inner *in, struct nat *nat)
{
	uint8_t *ip = p->data + PACKET_L3, *icmp = p->data + p->l4;
	uint16_t delta = translate_inner(p, in, nat);
	struct ip_addr src, dst;

	packet_addrs(ip, &src, &dst);
	nat->ip_delta = nat_delta(&src, &dst, nat->src, nat->dst);
	if (p->version == 6)
		delta = csum_fold((uint64_t)delta + nat->ip_delta);
	packet_put16(icmp + 2, csum_update(packet_get16(icmp + 2), delta));
	nat_addresses(ip, nat);
	nat_ttl(ip);
}

nf_verdict
lb_icmp(struct lb *lb, const struct packet *p)
{
	struct packet_inner in;
	enum flow_dir dir;
	struct flow *f;
	struct way way;
	struct nat nat;

	if (p->frag != PACKET_WHOLE)
		return NF_DROP(NF_DROP_FRAGMENT);
	if (!packet_is_icmp_error(p))
		return NF_DROP(NF_DROP_NOT_OURS);
	if (packet_parse_inner(p, &in) != 0 ||
		(f = find(lb, p, &in, &dir)) == NULL ||
		!lb->service[f->service].live)
		return NF_DROP(LB_DROP_ICMP_NO_CONNECTION);
	if (forward_way(lb, f, dir, &way) != 0)
		return NF_DROP(LB_DROP_NO_NEXTHOP);
	if (p->ttl <= 1)
		return NF_DROP(NF_DROP_TTL);
	if (p->ip_len > way.mtu && way.mtu != 0)
		return NF_DROP(LB_DROP_TOO_BIG);
	nat = forward_nat(lb, f, dir);
	translate(p, &in, &nat);
	nat_ethernet(p->data, way.dst_mac, way.src_mac);
	forward_count(lb, f, p);
	return NF_TX;
}

/* --- making --- */

static int
may_answer(struct lb *lb)
{
	uint64_t more = (lb->now_ms - lb->error_ms) * ERRORS_PER_MS;

	lb->error_ms = lb->now_ms;
	lb->error_tokens = RTE_MIN(lb->error_tokens + more, ERRORS_BURST);
	if (lb->error_tokens == 0)
		return 0;
	lb->error_tokens--;
	return 1;
}

static void
answer_ethernet(uint8_t *out, const struct packet *p)
{
	memcpy(out, p->data + 6, 6);
	memcpy(out + 6, p->data, 6);
	memcpy(out + 12, p->data + 12, 2);
}

/* ICMP type 3 code 4, RFC 1191: `quote` bytes of `p` behind it at out + 42. */
static void
answer_v4(uint8_t *out, const struct packet *p, uint16_t quote, uint16_t mtu)
{
	const uint8_t *ip = p->data + PACKET_L3;
	uint8_t *to = out + PACKET_L3, *icmp = to + 20;

	memset(to, 0, 28);
	to[0] = 0x45;
	packet_put16(to + 2, rte_cpu_to_be_16((uint16_t)(28 + quote)));
	to[8] = TTL_MADE;
	to[9] = IPPROTO_ICMP;
	memcpy(to + 12, ip + 16, 4);
	memcpy(to + 16, ip + 12, 4);
	packet_put16(to + 10, (uint16_t)~csum_fold(csum_add(0, to, 20)));
	icmp[0] = 3;
	icmp[1] = 4;
	packet_put16(icmp + 6, rte_cpu_to_be_16(mtu));
	packet_put16(
		icmp + 2, (uint16_t)~csum_fold(csum_add(0, icmp, 8u + quote)));
}

/* ICMPv6 type 2, RFC 4443 section 3.2: quote at out + 62. */
static void
answer_v6(uint8_t *out, const struct packet *p, uint16_t quote, uint16_t mtu)
{
	const uint8_t *ip = p->data + PACKET_L3;
	uint8_t *to = out + PACKET_L3, *icmp = to + 40;
	uint16_t len = rte_cpu_to_be_16((uint16_t)(8 + quote));
	uint64_t sum;

	memset(to, 0, 48);
	to[0] = 0x60;
	packet_put16(to + 4, len);
	to[6] = IPPROTO_ICMPV6;
	to[7] = TTL_MADE;
	memcpy(to + 8, ip + 24, 16);
	memcpy(to + 24, ip + 8, 16);
	icmp[0] = 2;
	packet_put32(icmp + 4, rte_cpu_to_be_32(mtu));
	sum = csum_add(len + RTE_BE16(IPPROTO_ICMPV6), to + 8, 32);
	packet_put16(icmp + 2,
		(uint16_t)~csum_fold(csum_add(sum, icmp, 8u + quote)));
}

static void
answer(struct lb *lb, const struct packet *p, uint16_t mtu)
{
	const int v4 = p->version == 4;
	const uint16_t head = v4 ? PACKET_L3 + 28 : PACKET_L3 + 48;
	uint16_t quote = (uint16_t)RTE_MIN(
		p->seg - PACKET_L3, v4 ? QUOTE_V4 + 0u : QUOTE_V6 + 0u);
	struct rte_mbuf *m = rte_pktmbuf_alloc(lb->env->pool);
	uint8_t *out;

	if (m == NULL)
		return;
	out = (uint8_t *)rte_pktmbuf_append(m, head + quote);
	if (out == NULL) {
		rte_pktmbuf_free(m);
		return;
	}
	memcpy(out + head, p->data + PACKET_L3, quote);
	answer_ethernet(out, p);
	if (v4)
		answer_v4(out, p, quote, mtu);
	else
		answer_v6(out, p, quote, mtu);
	nf_emit(lb->env, m);
}

/* RFC 1122 section 3.2.2: not about errors, nor about later fragments. */
nf_verdict
lb_too_big(struct lb *lb, const struct packet *p, uint16_t mtu)
{
	const int dont_fragment =
		p->version == 6 || (p->data[PACKET_L3 + 6] & 0x40) != 0;

	if (dont_fragment && p->frag != PACKET_FRAG_LATER && may_answer(lb))
		answer(lb, p, mtu);
	return NF_DROP(LB_DROP_TOO_BIG);
}
