/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Making and ending connections.
 *
 * Whatever a connection takes is taken in this order and given back in the
 * reverse one: a backend, a SNAT port, an entry, two keys. Room is made by
 * ending connections that matter least: closed ones first, then half-open
 * ones, oldest first, never one whose hand-shake was seen through.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "nf/lb/lb.h"
#include "nf/lb/nat.h"
#include "nf/lb/record.h"
#include "nf/lb/sched.h"
#include "nf/lb/snat.h"
#include "nf/lb/state.h"

static struct lb_endpoint *
endpoint_of(struct lb *lb, const struct flow *f)
{
	return &lb->endpoint[lb->backend[f->backend].endpoint];
}

uint64_t
lb_flow_key(const struct lb *lb, const struct flow *f, enum flow_dir dir)
{
	const struct lb_service *s = &lb->service[f->service];
	const struct lb_backend *b = &lb->backend[f->backend];

	if (dir == FLOW_CLIENT)
		return flow_hash(lb->flows.key, &f->client, &s->addr,
			f->client_port, s->port, s->proto);
	return flow_hash(lb->flows.key, &b->addr, &lb->snat[f->snat].addr,
		b->port, f->snat_port, s->proto);
}

/* --- counters --- */

void
lb_publish(struct lb *lb)
{
	lb->env->stats->connections = lb->flows.live;
	lb->env->stats->half_open = lb->flows.half;
}

void
lb_count(struct lb *lb, const struct flow *f, int by)
{
	struct lb_service *s = &lb->service[f->service];
	struct lb_backend *b = &lb->backend[f->backend];
	struct stats *stats = lb->env->stats;

	s->conns += (uint32_t)by;
	b->conns += (uint32_t)by;
	lb->snat[f->snat].conns += (uint32_t)by;
	lb->live_bytes += (uint64_t)by * record_conn_bytes(f);
	stats->backend[f->backend].connections = b->conns;
	if (s->live)
		stats->service[s->stat].connections = s->conns;
	if (b->member != LB_NONE)
		sched_count(s->sched, b);
	if (!b->live && b->conns == 0)
		stats->backend[f->backend].used = 0;
	if (!s->live)
		lb->ending += (uint32_t)by;
}

static void
count_opened(struct lb *lb, const struct flow *f)
{
	struct stats *stats = lb->env->stats;

	stats->opened++;
	stats->backend[f->backend].opened++;
	if (lb->service[f->service].live)
		stats->service[lb->service[f->service].stat].opened++;
}

void
lb_set_state(struct lb *lb, struct flow *f, enum flow_state state)
{
	const enum flow_state was = (enum flow_state)f->state;

	if (was == FLOW_CLOSED && state == FLOW_SYN_RCVD)
		count_opened(lb, f);
	flow_set_state(&lb->flows, f, state, lb->now_ms, lb->timeout_ms[state]);
	lb_publish(lb);
	if (lb->log != NULL)
		lb_log_state(lb, f, was);
}

/* --- ending --- */

void
lb_close(struct lb *lb, struct flow *f)
{
	if (lb->log != NULL)
		lb_log_gone(lb, f);
	flow_erase(&lb->flows, lb_flow_key(lb, f, FLOW_CLIENT),
		lb_flow_key(lb, f, FLOW_BACKEND));
	flow_unlink(&lb->flows, f);
	snat_give(lb, endpoint_of(lb, f), f->snat, f->snat_port);
	lb_count(lb, f, -1);
	flow_free(&lb->flows, f);
	lb_publish(lb);
}

static int
evict_closed(struct lb *lb)
{
	struct flow *f = flow_oldest(&lb->flows, FLOW_LIST_CLOSED);

	if (f == NULL)
		return 0;
	lb_close(lb, f);
	return 1;
}

static int
evict_half_open(struct lb *lb)
{
	struct flow *f = flow_oldest(&lb->flows, FLOW_LIST_HALF);
	struct flow *udp = flow_oldest(&lb->flows, FLOW_LIST_UDP_NEW);

	if (f == NULL || (udp != NULL && (int32_t)(udp->stamp - f->stamp) < 0))
		f = udp;
	if (f == NULL)
		return 0;
	lb_close(lb, f);
	lb->env->stats->evicted++;
	return 1;
}

static int
make_room(struct lb *lb)
{
	if (lb->flows.half >= lb->max_half_open)
		return evict_half_open(lb);
	return lb->flows.live < lb->flows.n || evict_closed(lb) ||
	       evict_half_open(lb);
}

/*
 * Keys of the n half-open connections that go next, and how many there are;
 * their ports are fetched.
 */
static uint32_t
next_victims(struct lb *lb, uint32_t n, uint64_t *key)
{
	const struct flow *f = flow_oldest(&lb->flows, FLOW_LIST_HALF);
	uint32_t k = 0;

	while (f != NULL && k < 2 * n) {
		key[k++] = lb_flow_key(lb, f, FLOW_CLIENT);
		key[k++] = lb_flow_key(lb, f, FLOW_BACKEND);
		snat_prefetch_port(
			lb, endpoint_of(lb, f), f->snat, f->snat_port);
		f = f->link.next < lb->flows.n ? &lb->flows.flow[f->link.next]
					       : NULL;
	}
	return k;
}

void
lb_make_way(struct lb *lb, uint32_t n)
{
	uint64_t key[FLOW_WARM_MAX];

	if (lb->flows.half + n <= lb->max_half_open &&
		lb->flows.live + n <= lb->flows.n)
		return;
	n = RTE_MIN(n, FLOW_WARM_MAX / 2u);
	flow_warm(&lb->flows, key, next_victims(lb, n, key));
}

/* --- opening --- */

static nf_verdict
misdirected(struct lb *lb)
{
	lb->env->stats->misdirected++;
	return NF_DROP(NF_DROP_MISDIRECTED);
}

/* A packet to no service: a reply to nobody, or not for us at all. */
static nf_verdict
refuse_stranger(
	struct lb *lb, const struct packet *p, const struct lb_opening *o)
{
	if (lb_snat_find(lb, &o->vip) == LB_NONE)
		return NF_DROP(NF_DROP_NOT_OURS);
	if (!lb_owns(lb, rte_be_to_cpu_16(p->dport) & lb->mask))
		return misdirected(lb);
	return NF_DROP(LB_DROP_NO_CONNECTION);
}

/* Which service, and is it ours to serve? */
static nf_verdict
admit(struct lb *lb, const struct packet *p, struct lb_opening *o)
{
	struct steer_tuple t = {
		.sport = p->sport, .dport = p->dport, .proto = p->proto
	};
	const struct lb_service *s;

	packet_addrs(p->data + PACKET_L3, &o->client, &o->vip);
	o->service = lb_service_find(lb, &o->vip, p->dport, p->proto);
	if (o->service == LB_NONE)
		return refuse_stranger(lb, p, o);
	s = &lb->service[o->service];
	t.src = o->client;
	t.dst = o->vip;
	o->hash = steer_hash(&t, lb->steer_seed, s->flags);
	o->bucket = o->hash & lb->mask;
	if (!lb_owns(lb, o->bucket))
		return misdirected(lb);
	if (p->frag != PACKET_WHOLE && !(s->flags & STEER_F_HASH_SOURCE))
		return NF_DROP(NF_DROP_FRAGMENT);
	if (p->proto == IPPROTO_TCP && !state_opens(p))
		return NF_DROP(LB_DROP_NO_CONNECTION);
	return NF_TX;
}

static struct lb_endpoint *
chosen_endpoint(struct lb *lb, const struct lb_opening *o)
{
	return &lb->endpoint[lb->backend[o->backend].endpoint];
}

static nf_verdict
choose_backend(struct lb *lb, struct lb_opening *o)
{
	struct lb_sched *sched = lb->service[o->service].sched;

	o->backend = LB_NONE;
	if (sched != NULL)
		o->backend = sched_pick(lb, sched, o->hash);
	return o->backend == LB_NONE ? NF_DROP(LB_DROP_NO_BACKEND) : NF_TX;
}

void
lb_open_choose(struct lb *lb, const struct packet *p, struct lb_opening *o)
{
	o->verdict = admit(lb, p, o);
	if (o->verdict == NF_TX)
		o->verdict = choose_backend(lb, o);
	if (o->verdict == NF_TX)
		snat_prefetch(lb, chosen_endpoint(lb, o),
			!ip_addr_is_v4(&o->vip), o->bucket, o->hash);
}

static nf_verdict
choose_port(struct lb *lb, struct lb_opening *o)
{
	struct lb_endpoint *e = chosen_endpoint(lb, o);
	int family = !ip_addr_is_v4(&o->vip);

	for (;;) {
		if (snat_take(lb, e, family, o->bucket, o->hash, &o->snat,
			    &o->snat_port) == 0)
			return NF_TX;
		if (!snat_evict_closed(lb, e, family, o->bucket, o->hash))
			return NF_DROP(LB_DROP_NO_SNAT_PORT);
	}
}

void
lb_open_port(struct lb *lb, const struct packet *p, struct lb_opening *o)
{
	const struct lb_backend *b;

	if (o->verdict == NF_TX)
		o->verdict = choose_port(lb, o);
	if (o->verdict != NF_TX)
		return;
	b = &lb->backend[o->backend];
	o->key[FLOW_CLIENT] = lb_packet_key(lb, p);
	o->key[FLOW_BACKEND] = flow_hash(lb->flows.key, &b->addr,
		&lb->snat[o->snat].addr, b->port, o->snat_port, p->proto);
}

void
lb_set_deltas(const struct lb *lb, struct flow *f)
{
	const struct lb_service *s = &lb->service[f->service];
	const struct lb_backend *b = &lb->backend[f->backend];

	f->ip_delta = nat_delta(
		&f->client, &s->addr, &lb->snat[f->snat].addr, &b->addr);
	f->l4_delta = nat_delta_ports(
		f->ip_delta, f->client_port, s->port, f->snat_port, b->port);
}

static void
fill(struct lb *lb, struct flow *f, const struct packet *p,
	const struct lb_opening *o)
{
	f->client = o->client;
	f->client_port = p->sport;
	f->snat = o->snat;
	f->snat_port = o->snat_port;
	f->backend = o->backend;
	f->service = (uint8_t)o->service;
	f->flags = ip_addr_is_v4(&o->client) ? 0 : FLOW_F_V6;
	memcpy(f->client_mac, p->data + 6, sizeof(f->client_mac));
	f->mac_news = 0;
	lb_set_deltas(lb, f);
}

static nf_verdict
enter(struct lb *lb, struct flow *f, const struct packet *p,
	const struct lb_opening *o)
{
	int rc;

	fill(lb, f, p, o);
	rc = flow_insert(&lb->flows, f, o->key[0], o->key[1]);
	if (rc != 0)
		return NF_DROP(rc == -EEXIST ? LB_DROP_HASH_COLLISION
					     : LB_DROP_TABLE_FULL);
	lb_count(lb, f, 1);
	count_opened(lb, f);
	lb_set_state(lb, f, p->proto == IPPROTO_TCP ? FLOW_SYN : FLOW_UDP_NEW);
	return NF_TX;
}

/* Take an entry for what was chosen, and enter it into the table. */
static struct flow *
take_entry(struct lb *lb, const struct packet *p, struct lb_opening *o)
{
	struct flow *f;

	/* Before room is made: what is refused should evict nothing. */
	if (lb->sync && lb_log_busy(lb)) {
		o->verdict = NF_DROP(LB_DROP_LOG_BUSY);
		return NULL;
	}
	f = make_room(lb) ? flow_alloc(&lb->flows) : NULL;
	if (f == NULL) {
		o->verdict = NF_DROP(LB_DROP_TABLE_FULL);
		return NULL;
	}
	o->verdict = enter(lb, f, p, o);
	if (o->verdict == NF_TX)
		return f;
	flow_free(&lb->flows, f);
	return NULL;
}

struct flow *
lb_open_enter(struct lb *lb, const struct packet *p, struct lb_opening *o)
{
	struct flow *f;

	if (o->verdict != NF_TX)
		return NULL;
	f = take_entry(lb, p, o);
	if (f == NULL)
		snat_give(lb, chosen_endpoint(lb, o), o->snat, o->snat_port);
	return f;
}
