/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The last steps of every packet that is forwarded: may it go on, whereto,
 * and on whose account. Inline: the per-packet path.
 */
#ifndef CARRYALL_LB_FORWARD_H
#define CARRYALL_LB_FORWARD_H

#include <rte_branch_prediction.h>
#include <rte_byteorder.h>

#include "nf/lb/lb.h"
#include "nf/lb/nat.h"

/* A packet's way: MAC addresses in memory order, see nat_ethernet(). */
struct way {
	uint64_t dst_mac, src_mac;
	uint16_t mtu; /* 0: not known, no limit */
};

/* The way of direction `dir` of flow `f`: 0, or -1 without a next hop. */
static inline int
forward_way(const struct lb *lb, const struct flow *f, enum flow_dir dir,
	struct way *way)
{
	uint64_t hop, own;

	if (dir == FLOW_CLIENT) {
		hop = lb_hop(&lb->backend[f->backend]);
		own = lb->backend_hop;
		way->dst_mac = rte_cpu_to_be_64(hop);
		way->mtu = nexthop_mtu(hop);
	} else {
		hop = own = lb->client_hop;
		way->mtu = nexthop_mtu(own);
		/* Two bytes too many: nat_ethernet() writes over them. */
		way->dst_mac = packet_get64(
			(const uint8_t *)f + offsetof(struct flow, client_mac));
	}
	way->src_mac = rte_cpu_to_be_64(own);
	return hop == 0 || own == 0 ? -1 : 0;
}

/* May the packet go its way? NF_TX, or the drop verdict. */
static inline nf_verdict
forward_check(struct lb *lb, const struct packet *p, const struct way *way)
{
	if (unlikely(p->ttl <= 1))
		return NF_DROP(NF_DROP_TTL);
	if (unlikely(p->ip_len > way->mtu) && way->mtu != 0)
		return lb_too_big(lb, p, way->mtu);
	return NF_TX;
}

/* The rewriting that direction `dir` of flow `f` needs. */
static inline struct nat
forward_nat(const struct lb *lb, const struct flow *f, enum flow_dir dir)
{
	const struct lb_service *s = &lb->service[f->service];
	const struct lb_backend *b = &lb->backend[f->backend];

	if (dir == FLOW_CLIENT)
		return (struct nat){ .src = &lb->snat[f->snat].addr,
			.dst = &b->addr,
			.sport = f->snat_port,
			.dport = b->port,
			.l4_delta = f->l4_delta,
			.ip_delta = f->ip_delta };
	return (struct nat){ .src = &s->addr,
		.dst = &f->client,
		.sport = s->port,
		.dport = f->client_port,
		.l4_delta = csum_back(f->l4_delta),
		.ip_delta = csum_back(f->ip_delta) };
}

static inline void
forward_count(struct lb *lb, const struct flow *f, const struct packet *p)
{
	struct stats *stats = lb->env->stats;
	struct stats_backend *b = &stats->backend[f->backend];
	struct stats_service *s = &stats->service[lb->service[f->service].stat];

	b->packets++;
	b->bytes += p->ip_len + PACKET_L3;
	s->packets++;
	s->bytes += p->ip_len + PACKET_L3;
}

#endif
