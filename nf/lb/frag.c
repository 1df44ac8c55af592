/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fragments, where the service hashes by source address, so that all of a
 * datagram come to one instance.
 *
 * The first fragment has the ports: it is handled as a whole packet is, and
 * noted here. The others find it by addresses, id and protocol and get new
 * addresses alone, for the checksum stands in the first. One that comes
 * before the first, or after FRAG_MS, is dropped and counted. The cache has a
 * fixed size; a newer datagram takes an older one's place.
 */
#include "nf/lb/lb.h"

/* Long enough for a datagram's fragments to pass, too short for id wrap. */
#define FRAG_MS 2000

static struct lb_frag *
place(struct lb *lb, const struct ip_addr *src, const struct ip_addr *dst,
	const struct packet *p)
{
	uint64_t h = flow_hash(lb->flows.key, src, dst,
		(uint16_t)(p->frag_id >> 16), (uint16_t)p->frag_id, p->proto);

	return &lb->frag[h % LB_FRAGS];
}

void
lb_frag_note(struct lb *lb, const struct flow *f, enum flow_dir dir,
	const struct packet *p)
{
	struct ip_addr src, dst;
	struct lb_frag *e;

	packet_addrs(p->data + PACKET_L3, &src, &dst);
	e = place(lb, &src, &dst, p);
	*e = (struct lb_frag){ .src = src,
		.dst = dst,
		.id = p->frag_id,
		.stamp = (uint32_t)lb->now_ms,
		.flow = flow_index(&lb->flows, f),
		.client_port = f->client_port,
		.snat_port = f->snat_port,
		.proto = p->proto,
		.dir = (uint8_t)dir,
		.used = 1 };
}

static int
is_of(const struct lb *lb, const struct lb_frag *e, const struct ip_addr *src,
	const struct ip_addr *dst, const struct packet *p)
{
	return e->used && e->id == p->frag_id && e->proto == p->proto &&
	       (uint32_t)lb->now_ms - e->stamp < FRAG_MS &&
	       ip_addr_eq(&e->src, src) && ip_addr_eq(&e->dst, dst);
}

struct flow *
lb_frag_find(struct lb *lb, const struct packet *p, enum flow_dir *dir)
{
	struct ip_addr src, dst;
	const struct lb_frag *e;
	struct flow *f;

	packet_addrs(p->data + PACKET_L3, &src, &dst);
	e = place(lb, &src, &dst, p);
	if (!is_of(lb, e, &src, &dst, p))
		return NULL;
	f = &lb->flows.flow[e->flow];
	*dir = (enum flow_dir)e->dir;
	if (f->client_port != e->client_port || f->snat_port != e->snat_port ||
		!lb_flow_between(lb, f, *dir, &src, &dst))
		return NULL;
	return f;
}
