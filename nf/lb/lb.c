/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The load balancer: full NAT of TCP and UDP, IPv4 and IPv6.
 *
 *    client:port -> VIP:port        becomes   SNAT:port -> backend:port
 *    backend:port -> SNAT:port      becomes   VIP:port -> client:port
 *
 * A burst goes through in three passes, so that the memory each needs is on
 * its way while the others are worked on: parse all packets and hash their
 * tuples; look all hashes up, fetching the connections; forward each. Only
 * what belongs to no connection, or changes one's state, leaves this file.
 */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include <rte_hash.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_prefetch.h>

#include "nf/lb/forward.h"
#include "nf/lb/record.h"
#include "nf/lb/recover.h"
#include "nf/lb/state.h"

/* Packets of one burst on their way through the passes. */
struct batch {
	struct packet packet[NF_BURST_MAX];
	uint64_t key[NF_BURST_MAX]; /* of those to be looked up ... */
	const void *key_at[NF_BURST_MAX];
	hash_sig_t sig[NF_BURST_MAX];
	void *found[NF_BURST_MAX];
	uint8_t plain[NF_BURST_MAX]; /* ... which packet each is */
	uint8_t odd[NF_BURST_MAX];   /* ICMP, later fragments, strangers */
	uint16_t n_plain, n_odd;
	uint64_t hits;
};

/* --- whose packet is it --- */

uint64_t
lb_packet_key(const struct lb *lb, const struct packet *p)
{
	const uint8_t *ip = p->data + PACKET_L3;
	uint64_t rest = flow_rest(p->sport, p->dport, p->proto);
	uint64_t addr[4];

	if (likely(p->version == 4))
		return flow_hash_v4(lb->flows.key,
			(uint64_t)packet_get32(ip + 12) << 32 |
				packet_get32(ip + 16),
			rest);
	memcpy(addr, ip + 8, sizeof(addr));
	return flow_hash_v6(lb->flows.key, addr, addr + 2, rest);
}

static inline int
addrs_are(const struct packet *p, const struct ip_addr *src,
	const struct ip_addr *dst)
{
	const uint8_t *ip = p->data + PACKET_L3;
	struct ip_addr a[2];

	if (likely(p->version == 4))
		return packet_get32(ip + 12) == src->w[3] &&
		       packet_get32(ip + 16) == dst->w[3];
	memcpy(a, ip + 8, sizeof(a));
	return ip_addr_eq(&a[0], src) && ip_addr_eq(&a[1], dst);
}

static inline int
flow_is(const struct lb *lb, const struct flow *f, enum flow_dir dir,
	const struct packet *p)
{
	const struct lb_service *s = &lb->service[f->service];
	const struct lb_backend *b = &lb->backend[f->backend];

	if (f->state == FLOW_FREE || s->proto != p->proto ||
		(p->version == 6) != (f->flags & FLOW_F_V6))
		return 0;
	if (dir == FLOW_CLIENT)
		return p->sport == f->client_port && p->dport == s->port &&
		       addrs_are(p, &f->client, &s->addr);
	return p->sport == b->port && p->dport == f->snat_port &&
	       addrs_are(p, &b->addr, &lb->snat[f->snat].addr);
}

int
lb_flow_between(const struct lb *lb, const struct flow *f, enum flow_dir dir,
	const struct ip_addr *src, const struct ip_addr *dst)
{
	if (f->state == FLOW_FREE)
		return 0;
	if (dir == FLOW_CLIENT)
		return ip_addr_eq(src, &f->client) &&
		       ip_addr_eq(dst, &lb->service[f->service].addr);
	return ip_addr_eq(src, &lb->backend[f->backend].addr) &&
	       ip_addr_eq(dst, &lb->snat[f->snat].addr);
}

/* --- a packet of a known connection --- */

static void
change_state(struct lb *lb, struct flow *f, enum flow_dir dir,
	const struct packet *p)
{
	enum flow_state was = (enum flow_state)f->state, is;

	if (p->proto == IPPROTO_UDP) {
		if (dir == FLOW_BACKEND)
			lb_set_state(lb, f, FLOW_UDP);
		else
			f->stamp = (uint32_t)lb->now_ms;
		return;
	}
	is = state_tcp(f, dir, p);
	if (is != was)
		lb_set_state(lb, f, is);
	else if (is > FLOW_CLOSED)
		f->stamp = (uint32_t)lb->now_ms;
	if (is == FLOW_CLOSED && dir == FLOW_BACKEND &&
		(was == FLOW_SYN || was == FLOW_SYN_RCVD))
		lb->env->stats->backend[f->backend].failed++;
}

/*
 * Replies go to the MAC address that the client's packets come from, which
 * changes when its router does. One packet is no change: a forged one would
 * turn a download away for good, as the client, hearing nothing, says nothing
 * that could turn it back. So it takes two in a row.
 */
static __rte_noinline void
mac_differs(struct lb *lb, struct flow *f, const uint8_t *mac)
{
	uint8_t news =
		(uint8_t)(mac[0] ^ mac[1] ^ mac[2] ^ mac[3] ^ mac[4] ^ mac[5]) |
		1;

	if (f->mac_news == news) {
		memcpy(f->client_mac, mac, sizeof(f->client_mac));
		news = 0;
		if (f->logged)
			lb_log_change(lb, f);
	}
	f->mac_news = news;
}

static inline void
follow_mac(struct lb *lb, struct flow *f, const uint8_t *mac)
{
	if (unlikely(memcmp(f->client_mac, mac, sizeof(f->client_mac)) != 0))
		mac_differs(lb, f, mac);
	else if (unlikely(f->mac_news != 0))
		f->mac_news = 0;
}

static inline void
track(struct lb *lb, struct flow *f, enum flow_dir dir, const struct packet *p)
{
	const uint8_t change = PACKET_SYN | PACKET_FIN | PACKET_RST;

	if (likely(f->state >= FLOW_ESTABLISHED && !(p->tcp_flags & change)))
		f->stamp = (uint32_t)lb->now_ms;
	else
		change_state(lb, f, dir, p);
	if (dir == FLOW_CLIENT)
		follow_mac(lb, f, p->data + 6);
}

/* Only services that hash by source have all fragments in one place. */
static nf_verdict
note_fragment(struct lb *lb, const struct flow *f, enum flow_dir dir,
	const struct packet *p)
{
	if (!(lb->service[f->service].flags & STEER_F_HASH_SOURCE))
		return NF_DROP(NF_DROP_FRAGMENT);
	if (p->frag == PACKET_FRAG_FIRST)
		lb_frag_note(lb, f, dir, p);
	return NF_TX;
}

static inline nf_verdict
forward(struct lb *lb, struct flow *f, enum flow_dir dir,
	const struct packet *p)
{
	struct way way;
	struct nat nat;
	nf_verdict v;

	if (unlikely(!lb->service[f->service].live))
		return NF_DROP(NF_DROP_NOT_OURS);
	if (unlikely(f->state == FLOW_SYN) && dir == FLOW_BACKEND &&
		lb_syn_again(lb, f, p))
		return NF_DROP(LB_DROP_PORT_REUSED);
	if (unlikely(forward_way(lb, f, dir, &way) != 0))
		return NF_DROP(LB_DROP_NO_NEXTHOP);
	v = forward_check(lb, p, &way);
	if (likely(v == NF_TX) && unlikely(p->frag != PACKET_WHOLE))
		v = note_fragment(lb, f, dir, p);
	if (unlikely(v != NF_TX))
		return v;
	if (likely(p->frag != PACKET_FRAG_LATER))
		track(lb, f, dir, p);
	nat = forward_nat(lb, f, dir);
	nat_packet(p, &nat);
	nat_ethernet(p->data, way.dst_mac, way.src_mac);
	forward_count(lb, f, p);
	if (unlikely(f->state <= FLOW_CLOSED) && lb->log != NULL)
		return lb_log_first(lb, f, p);
	return NF_TX;
}

/* --- all others --- */

/* The first packet of a connection that has just been entered. */
static nf_verdict
forward_first(struct lb *lb, struct flow *f, const struct packet *p)
{
	nf_verdict v = forward(lb, f, FLOW_CLIENT, p);

	if ((v == NF_TX || v == NF_HELD) && f->state == FLOW_SYN)
		lb_syn_keep(lb, f, p);
	return v;
}

/*
 * A SYN on a closed connection opens a new one, on a new port. Only where a
 * reset closed it, which anybody may have sent, does the SYN go the old way:
 * a backend that has indeed no connection answers SYN+ACK, and that makes
 * the entry a new connection; one that still has it answers an ACK, and the
 * client's next segment brings the old one back.
 */
static int
begins_anew(const struct lb *lb, const struct flow *f, enum flow_dir dir,
	const struct packet *p)
{
	const struct lb_backend *b = &lb->backend[f->backend];

	if (f->state != FLOW_CLOSED || dir != FLOW_CLIENT || !state_opens(p))
		return 0;
	return !(f->flags & FLOW_F_EST) ||
	       !(f->flags & (FLOW_F_RST(0) | FLOW_F_RST(1))) ||
	       b->member == LB_NONE || lb_hop(b) == 0;
}

/* A packet whose connection is there, now that its key is looked up again. */
static nf_verdict
forward_found(struct lb *lb, struct flow *f, enum flow_dir dir,
	const struct packet *p)
{
	struct lb_opening o;

	if (!flow_is(lb, f, dir, p))
		return NF_DROP(LB_DROP_HASH_COLLISION);
	if (!begins_anew(lb, f, dir, p))
		return forward(lb, f, dir, p);
	lb_close(lb, f);
	lb_open_choose(lb, p, &o);
	lb_open_port(lb, p, &o);
	f = lb_open_enter(lb, p, &o);
	return f == NULL ? o.verdict : forward_first(lb, f, p);
}

/*
 * A packet that the bulk lookup found nothing for, or the wrong entry. An
 * earlier packet of the burst may have made or ended its connection, so a
 * failure to open one is believed only after a second look.
 */
static nf_verdict
forward_opening(struct lb *lb, const struct packet *p, struct lb_opening *o)
{
	struct flow *f = lb_open_enter(lb, p, o);
	enum flow_dir dir;

	if (f != NULL)
		return forward_first(lb, f, p);
	f = flow_lookup(&lb->flows, lb_packet_key(lb, p), &dir);
	return f == NULL ? o->verdict : forward_found(lb, f, dir, p);
}

static nf_verdict
forward_odd(struct lb *lb, const struct packet *p)
{
	enum flow_dir dir;
	struct flow *f;

	if (p->proto == (p->version == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6))
		return lb_icmp(lb, p);
	if (p->proto != IPPROTO_TCP && p->proto != IPPROTO_UDP)
		return NF_DROP(NF_DROP_NOT_OURS);
	f = lb_frag_find(lb, p, &dir);
	return f == NULL ? NF_DROP(NF_DROP_FRAGMENT) : forward(lb, f, dir, p);
}

/* --- the burst --- */

static inline int
is_plain(const struct packet *p)
{
	return (p->proto == IPPROTO_TCP || p->proto == IPPROTO_UDP) &&
	       p->frag != PACKET_FRAG_LATER;
}

static inline void
batch_add(const struct lb *lb, struct batch *b, uint16_t i)
{
	uint16_t k;

	if (unlikely(!is_plain(&b->packet[i]))) {
		b->odd[b->n_odd++] = (uint8_t)i;
		return;
	}
	k = b->n_plain++;
	b->plain[k] = (uint8_t)i;
	b->key[k] = lb_packet_key(lb, &b->packet[i]);
	b->key_at[k] = &b->key[k];
	b->sig[k] = (hash_sig_t)b->key[k];
}

static void
batch_parse(const struct lb *lb, struct batch *b, struct rte_mbuf **pkts,
	uint16_t n, nf_verdict *verdict)
{
	b->n_plain = b->n_odd = 0;
	for (uint16_t i = 0; i < n; i++)
		rte_prefetch0(rte_pktmbuf_mtod(pkts[i], void *));
	for (uint16_t i = 0; i < n; i++) {
		verdict[i] = packet_parse(&b->packet[i],
			rte_pktmbuf_mtod(pkts[i], uint8_t *),
			rte_pktmbuf_data_len(pkts[i]),
			rte_pktmbuf_pkt_len(pkts[i]));
		if (likely(verdict[i] == NF_TX))
			batch_add(lb, b, i);
	}
}

static void
batch_find(const struct lb *lb, struct batch *b)
{
	enum flow_dir dir;

	b->hits = 0;
	if (b->n_plain == 0)
		return;
	rte_hash_lookup_with_hash_bulk_data(lb->flows.hash, b->key_at, b->sig,
		b->n_plain, &b->hits, b->found);
	for (uint16_t k = 0; k < b->n_plain; k++)
		if (b->hits >> k & 1)
			rte_prefetch0(flow_of(
				&lb->flows, (uintptr_t)b->found[k], &dir));
}

/* 1 if the k-th plain packet is of a known connection, and was forwarded. */
static inline int
batch_forward(
	struct lb *lb, const struct batch *b, uint16_t k, nf_verdict *verdict)
{
	const struct packet *p = &b->packet[b->plain[k]];
	enum flow_dir dir;
	struct flow *f;

	if (unlikely(!(b->hits >> k & 1)))
		return 0;
	f = flow_of(&lb->flows, (uintptr_t)b->found[k], &dir);
	if (unlikely(f->state == FLOW_CLOSED) || !flow_is(lb, f, dir, p))
		return 0;
	verdict[b->plain[k]] = forward(lb, f, dir, p);
	return 1;
}

/* The packets miss[0..n), in order: each step for all of them. */
static __rte_noinline void
batch_open(struct lb *lb, const struct batch *b, const uint8_t *miss,
	uint16_t n, nf_verdict *verdict)
{
	struct lb_opening o[NF_BURST_MAX];
	uint64_t key[FLOW_WARM_MAX];
	uint32_t keys = 0;

	for (uint16_t i = 0; i < n; i++)
		lb_open_choose(lb, &b->packet[miss[i]], &o[i]);
	lb_make_way(lb, n);
	for (uint16_t i = 0; i < n; i++) {
		lb_open_port(lb, &b->packet[miss[i]], &o[i]);
		if (o[i].verdict == NF_TX)
			key[keys++] = o[i].key[FLOW_BACKEND];
	}
	flow_warm(&lb->flows, key, keys);
	for (uint16_t i = 0; i < n; i++)
		verdict[miss[i]] =
			forward_opening(lb, &b->packet[miss[i]], &o[i]);
}

static inline void
batch_plain(struct lb *lb, const struct batch *b, nf_verdict *verdict)
{
	uint8_t miss[NF_BURST_MAX];
	uint16_t n = 0;

	for (uint16_t k = 0; k < b->n_plain; k++)
		if (unlikely(!batch_forward(lb, b, k, verdict)))
			miss[n++] = b->plain[k];
	if (unlikely(n > 0))
		batch_open(lb, b, miss, n, verdict);
}

static void
lb_burst(void *state, struct rte_mbuf **pkts, uint16_t n, nf_verdict *verdict,
	uint64_t now_tsc)
{
	struct lb *lb = state;
	struct batch b;

	lb_clock(lb, now_tsc);
	lb_read_uplinks(lb);
	lb->packets = b.packet;
	lb->mbufs = pkts;
	batch_parse(lb, &b, pkts, n, verdict);
	batch_find(lb, &b);
	batch_plain(lb, &b, verdict);
	for (uint16_t k = 0; k < b.n_odd; k++)
		verdict[b.odd[k]] = forward_odd(lb, &b.packet[b.odd[k]]);
}

/* --- life --- */

static void
lb_destroy(void *state)
{
	struct lb *lb = state;

	if (lb == NULL)
		return;
	hold_fini(&lb->hold);
	lb_unload(lb);
	flow_table_fini(&lb->flows);
	rte_free(lb);
}

/* rte_hash wants a name, and more than one instance may be in a process. */
static int
make_flows(struct lb *lb)
{
	char name[24];

	snprintf(name, sizeof(name), "lb%lx", (unsigned long)(uintptr_t)lb);
	return flow_table_init(
		&lb->flows, lb->env->grant->max_connections, name, lb->now_ms);
}

static struct lb *
make(const struct nf_env *env)
{
	struct lb *lb = rte_zmalloc(NULL, sizeof(*lb), RTE_CACHE_LINE_SIZE);

	if (lb == NULL)
		return NULL;
	lb->env = env;
	lb->log = env->log;
	lb->tsc_per_ms = RTE_MAX(env->tsc_hz / 1000, 1u);
	lb->now_ms = LB_CLOCK_START;
	if (make_flows(lb) == 0 &&
		(lb->log == NULL || hold_init(&lb->hold) == 0))
		return lb;
	lb_destroy(lb);
	return NULL;
}

static void *
lb_create(const struct nf_env *env, char *why, size_t len)
{
	struct lb *lb;
	int rc;

	if (lb_configure(env->grant, why, len) != 0)
		return NULL;
	lb = make(env);
	if (lb == NULL) {
		snprintf(why, len, "no memory for %u connections",
			env->grant->max_connections);
		return NULL;
	}
	rc = lb->log == NULL ? lb_load(lb, why, len) : lb_recover(lb, why, len);
	if (rc == 0)
		return lb;
	lb_destroy(lb);
	return NULL;
}

static const char *const drops[] = {
	"no_connection",
	"no_backend",
	"no_snat_port",
	"table_full",
	"no_nexthop",
	"too_big",
	"icmp_no_connection",
	"hash_collision",
	"port_reused",
	"log_busy",
	NULL,
};

const struct nf nf_lb = {
	.name = "lb",
	.summary = "balances TCP and UDP connections over backends (full NAT)",
	.flags = NF_NEEDS_BACKENDS | NF_LOGS | NF_PROTO_TCP | NF_PROTO_UDP,
	.drops = drops,
	.configure = lb_configure,
	.memory = lb_memory,
	.create = lb_create,
	.burst = lb_burst,
	.tick = lb_tick,
	.update = lb_update,
	.durable = lb_durable,
	.record = lb_record,
	.destroy = lb_destroy,
};
