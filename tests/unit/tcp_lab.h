/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two stacks on one virtual clock, and a link between them made of memory.
 *
 *    A: tcp_flush() -> NIC -> checks -> router -> link -> tcp_input() :B
 *                       |                 |        loss, duplicates, delay,
 *                       |                 |        reordering, damage, rate
 *                       |                 +-- ICMP when it does not fit
 *                       +-- holds the mbuf for a while: it must not change
 *
 * The world jumps from event to event: the arrival of a frame, the end of a
 * transmission, a timer of an application, the next tick that a stack has
 * asked for. A run is repeated by its seed: TCP_LAB_SEED=n runs one,
 * TCP_LAB_TRACE=1 prints each segment.
 *
 * Time is in microseconds here; the stacks see it in milliseconds. A frame
 * crosses the link as bytes and arrives in a new mbuf, as from a wire.
 */
#ifndef TCP_LAB_H
#define TCP_LAB_H

#include "tests/unit/tcp_link.h"

/* --- the NIC --- */

/* What a NIC holds: the mbuf, and what it was when it was handed over. */
struct lab_held {
	struct rte_mbuf *m;
	uint32_t len;
	uint8_t bytes[];
};

/* The bytes of the chain `m` to out[0..WIRE_MAX); their number. */
static uint32_t
lab_gather(struct lab_world *w, const struct rte_mbuf *m, uint8_t *out)
{
	const struct rte_mbuf *seg = m;
	uint32_t n = 0, segs = 0;

	for (; seg != NULL; seg = seg->next, segs++) {
		lab_must(w, n + seg->data_len <= WIRE_MAX, "an endless chain");
		lab_must(w, rte_mbuf_refcnt_read(seg) > 0, "a freed mbuf");
		memcpy(out + n, rte_pktmbuf_mtod(seg, uint8_t *),
			seg->data_len);
		n += seg->data_len;
	}
	lab_must(w, n == m->pkt_len && segs == m->nb_segs,
		"pkt_len %u, nb_segs %u of %u bytes in %u", m->pkt_len,
		m->nb_segs, n, segs);
	return n;
}

static void
lab_hold(struct lab_world *w, int from, struct rte_mbuf *m,
	const uint8_t *bytes, uint32_t n)
{
	struct lab_held *h;

	if (w->plan.hold_us == 0) {
		rte_pktmbuf_free(m);
		return;
	}
	h = malloc(sizeof(*h) + n);
	ck_assert_ptr_nonnull(h);
	h->m = m;
	h->len = n;
	memcpy(h->bytes, bytes, n);
	lab_push(w, (struct lab_event){
			    .at_us = w->now_us + wire_below(&w->random,
							 w->plan.hold_us + 1),
			    .kind = LAB_SENT,
			    .side = (uint8_t)from,
			    .arg = h });
}

static void
lab_sent(struct lab_world *w, struct lab_held *h)
{
	static uint8_t now[WIRE_MAX];
	uint32_t n = lab_gather(w, h->m, now);

	lab_must(w, n == h->len && memcmp(now, h->bytes, n) == 0,
		"a frame changed while it was sent");
	rte_pktmbuf_free(h->m);
	free(h);
}

/* Compute what was left to the NIC; the pseudo header's sum must be there. */
static void
lab_nic_csum(
	struct lab_world *w, const struct rte_mbuf *m, uint8_t *f, uint32_t n)
{
	uint8_t *ip = f + m->l2_len, *th = ip + m->l3_len;
	uint32_t l4 = n - m->l2_len - m->l3_len;
	bool tso = (m->ol_flags & RTE_MBUF_F_TX_TCP_SEG) != 0;

	lab_must(w,
		m->l2_len == WIRE_L3 &&
			m->l3_len == (ip[0] >> 4 == 4 ? 20 : 40),
		"l2_len %u, l3_len %u", m->l2_len, m->l3_len);
	lab_must(w,
		wire_get16(th + 16) ==
			wire_pseudo(ip, tso ? 0 : l4, IPPROTO_TCP),
		"no sum of the pseudo header");
	if (ip[0] >> 4 == 4) {
		lab_must(w, m->ol_flags & RTE_MBUF_F_TX_IPV4, "TX_IPV4");
		wire_put16(ip + 10, 0);
		wire_put16(ip + 10, (uint16_t)~wire_sum(0, ip, 20));
	}
	if (tso)
		return;
	wire_put16(th + 16, 0);
	wire_put16(th + 16,
		(uint16_t)~wire_sum(wire_pseudo(ip, l4, IPPROTO_TCP), th, l4));
}

/* Cut f[0..n) into segments of tso_segsz bytes, as a NIC does. */
static void
lab_nic_tso(struct lab_world *w, int from, const struct rte_mbuf *m,
	const uint8_t *f, uint32_t n)
{
	uint32_t hdr = m->l2_len + m->l3_len + m->l4_len, at, len;
	uint8_t out[WIRE_L3 + 100 + 9000], *ip = out + m->l2_len, *th;

	lab_must(w,
		m->l4_len == f[m->l2_len + m->l3_len + 12] >> 4 << 2 &&
			m->tso_segsz > 0 && n > hdr,
		"l4_len %u, tso_segsz %u", m->l4_len, m->tso_segsz);
	for (at = hdr; at < n; at += len) {
		len = RTE_MIN(n - at, (uint32_t)m->tso_segsz);
		lab_must(w, hdr + len <= sizeof(out), "tso_segsz");
		memcpy(out, f, hdr);
		memcpy(out + hdr, f + at, len);
		th = ip + m->l3_len;
		wire_put32(th + 4, wire_get32(th + 4) + at - hdr);
		if (at + len < n)
			th[13] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
		len += m->l4_len;
		wire_put16(ip + (ip[0] >> 4 == 4 ? 2 : 4),
			len + (ip[0] >> 4 == 4 ? 20 : 0));
		wire_put16(ip + 10, ip[0] >> 4 == 4 ? 0 : wire_get16(ip + 10));
		if (ip[0] >> 4 == 4)
			wire_put16(ip + 10, (uint16_t)~wire_sum(0, ip, 20));
		wire_put16(th + 16, 0);
		wire_put16(th + 16,
			(uint16_t)~wire_sum(
				wire_pseudo(ip, len, IPPROTO_TCP), th, len));
		lab_wire(w, from, out, hdr - m->l4_len + len);
		len -= m->l4_len;
	}
}

/* The stack's emit(). */
static void
lab_emit(void *ctx, struct rte_mbuf *m)
{
	static uint8_t f[WIRE_MAX];
	struct lab_side *s = ctx;
	struct lab_world *w = s->world;
	uint8_t offload = w->plan.config[s->i].offload;
	uint32_t n = lab_gather(w, m, f);

	lab_must(w, m->nb_segs == 1 || offload & TCP_TX_CHAINS, "a chain of %u",
		m->nb_segs);
	lab_must(w,
		!(m->ol_flags & RTE_MBUF_F_TX_L4_MASK) || offload & TCP_TX_CSUM,
		"leaves the checksum to us");
	lab_hold(w, s->i, m, f, n);
	if (m->ol_flags & (RTE_MBUF_F_TX_L4_MASK | RTE_MBUF_F_TX_TCP_SEG))
		lab_nic_csum(w, m, f, n);
	if (!(m->ol_flags & RTE_MBUF_F_TX_TCP_SEG)) {
		lab_wire(w, s->i, f, n);
		return;
	}
	lab_must(w, offload & TCP_TX_TSO, "leaves the cutting to us");
	lab_nic_tso(w, s->i, m, f, n);
}

static int
lab_route(void *ctx, uint32_t nexthop, struct tcp_path *path)
{
	struct lab_side *s = ctx;

	if (nexthop != LAB_NEXTHOP && nexthop != TCP_NEXTHOP_PEER)
		return -EHOSTUNREACH;
	memcpy(path->local_mac, lab_mac[s->i], 6);
	memcpy(path->remote_mac, lab_mac[!s->i], 6);
	path->mtu = s->world->plan.mtu;
	return 0;
}

/* --- what a stack is given --- */

static void
lab_flush(struct lab_world *w, struct lab_side *s)
{
	uint64_t ms = w->now_us / 1000;
	const struct lab_foreign *foreign = w->plan.foreign[s->i];
	uint32_t us, rounds = 0;

	if (foreign != NULL) {
		s->next_us = w->now_us + foreign->tick(s);
		s->dirty = false;
		return;
	}
	do {
		us = tcp_tick(s->tcp, ms);
		tcp_flush(s->tcp, ms);
		lab_must(w, ++rounds < 100000, "a tick that never ends");
	} while (us == 0);
	s->next_us = ms * 1000 + RTE_MAX((us + 999) / 1000, 1u) * 1000ull;
	s->dirty = false;
}

/* The burst that has come in; what is damaged must not be taken. */
static void
lab_input(struct lab_world *w, struct lab_side *s)
{
	nf_verdict v[NF_BURST_MAX];

	if (s->n_rx == 0)
		return;
	memset(v, 0, sizeof(v));
	tcp_input(s->tcp, s->rx, s->n_rx, v, w->now_us / 1000);
	for (uint16_t i = 0; i < s->n_rx; i++) {
		lab_must(w, v[i] != NF_TX, "verdict NF_TX");
		lab_must(w, !s->rx_bad[i] || v[i] != NF_HELD,
			"takes a damaged segment");
		if (v[i] != NF_HELD)
			rte_pktmbuf_free(s->rx[i]);
	}
	s->n_rx = 0;
	s->dirty = true;
}

/* A frame in a new mbuf; dropped when there is none, as by a NIC. */
static void
lab_receive(struct lab_world *w, const struct lab_event *e)
{
	const struct lab_foreign *foreign = w->plan.foreign[e->side];
	struct lab_side *s = &w->side[e->side];
	struct rte_mbuf *m;

	lab_track_arrival(w, e);
	if (foreign != NULL) {
		foreign->input(s, e->bytes, e->len);
		s->dirty = true;
		return;
	}
	m = rte_pktmbuf_alloc(lab_pool);
	if (m == NULL)
		return;
	memcpy(rte_pktmbuf_append(m, (uint16_t)e->len), e->bytes, e->len);
	if (w->plan.rx_good)
		m->ol_flags |= e->bad ? RTE_MBUF_F_RX_L4_CKSUM_BAD
				      : RTE_MBUF_F_RX_L4_CKSUM_GOOD |
						RTE_MBUF_F_RX_IP_CKSUM_GOOD;
	s->rx_bad[s->n_rx] = e->bad;
	s->rx[s->n_rx++] = m;
	s->dirty = true;
	if (s->n_rx == NF_BURST_MAX)
		lab_input(w, s);
}

/* --- the loop --- */

static void
lab_event(struct lab_world *w, struct lab_event *e)
{
	switch (e->kind) {
	case LAB_ARRIVES:
		lab_receive(w, e);
		free(e->bytes);
		break;
	case LAB_SENT:
		lab_sent(w, e->arg);
		break;
	default:
		/* In the order that things come: what arrived is first. */
		lab_input(w, &w->side[e->side]);
		e->call(e->arg);
		w->side[e->side].dirty = true;
		break;
	}
}

static uint64_t
lab_next(const struct lab_world *w)
{
	uint64_t us = RTE_MIN(w->side[0].next_us, w->side[1].next_us);

	if (w->n_heap && w->heap[0].at_us < us)
		us = w->heap[0].at_us;
	return RTE_MAX(us, w->now_us);
}

/* Jump to the next thing that happens, and let it. */
MAYBE void
lab_step(struct lab_world *w)
{
	w->now_us = lab_next(w);
	while (w->n_heap && w->heap[0].at_us <= w->now_us) {
		struct lab_event e = lab_pop(w);

		lab_event(w, &e);
	}
	for (int i = 0; i < 2; i++) {
		struct lab_side *s = &w->side[i];

		lab_input(w, s);
		if (s->dirty || s->next_us <= w->now_us)
			lab_flush(w, s);
	}
}

MAYBE void
lab_run_us(struct lab_world *w, uint64_t us)
{
	uint64_t until = w->now_us + us;

	while (lab_next(w) <= until)
		lab_step(w);
	w->now_us = until;
}

static bool
lab_usage_zero(const struct tcp_usage *u)
{
	return !u->connections && !u->half_open && !u->time_wait && !u->held &&
	       !u->timers && !u->boards;
}

static bool
lab_side_quiet(const struct lab_side *s)
{
	const struct lab_foreign *foreign = s->world->plan.foreign[s->i];
	struct tcp_usage u;

	if (foreign != NULL)
		return foreign->quiet(s);
	tcp_usage(s->tcp, &u);
	return lab_usage_zero(&u);
}

MAYBE bool
lab_quiet(const struct lab_world *w)
{
	return w->n_heap == 0 && lab_side_quiet(&w->side[0]) &&
	       lab_side_quiet(&w->side[1]);
}

/* What is left, for a failure's text. */
static void
lab_left(const struct lab_world *w)
{
	struct tcp_usage u;

	for (int i = 0; i < 2; i++) {
		if (w->plan.foreign[i] != NULL)
			continue;
		tcp_usage(w->side[i].tcp, &u);
		fprintf(stderr,
			"%c: connections %u half_open %u time_wait %u held %u "
			"timers %u boards %u\n",
			'A' + i, u.connections, u.half_open, u.time_wait,
			u.held, u.timers, u.boards);
	}
}

/* Run until nothing is left anywhere, `ms` at most. */
MAYBE void
lab_run_quiet(struct lab_world *w, uint64_t ms)
{
	uint64_t until = w->now_us + ms * 1000;

	while (!lab_quiet(w)) {
		if (lab_next(w) > until) {
			lab_left(w);
			lab_must(w, false, "not at an end");
		}
		lab_step(w);
	}
}

/* --- making and ending it --- */

static void
lab_side_make(struct lab_world *w, int i)
{
	struct lab_side *s = &w->side[i];
	struct tcp_config *c = &w->plan.config[i];
	static unsigned int n; /* what a failed test leaves keeps its name */
	char why[256] = "", name[20];

	snprintf(name, sizeof(name), "lab%u", n++);
	*s = (struct lab_side){
		.world = w, .i = i, .addr = lab_address(i, w->plan.v6)
	};
	if (w->plan.foreign[i] != NULL)
		return;
	c->name = name;
	c->ctx = s;
	c->emit = lab_emit;
	c->route = lab_route;
	c->pool = lab_pool;
	c->stats = &s->stats;
	c->seed = w->plan.seed * 2 + (uint64_t)i + 1;
	c->now_ms = w->now_us / 1000;
	if (c->max_connections == 0)
		c->max_connections = 64;
	if (c->max_half_open == 0)
		c->max_half_open = c->max_connections;
	s->tcp = tcp_create(c, why, sizeof(why));
	ck_assert_msg(s->tcp != NULL, "tcp_create: %s", why);
}

MAYBE void
lab_make(struct lab_world *w, const struct lab_plan *plan)
{
	memset(w, 0, sizeof(*w));
	w->plan = *plan;
	w->random = plan->seed;
	w->now_us = LAB_START + wire_below(&w->random, 1000000) * 1000ull;
	w->trace = getenv("TCP_LAB_TRACE") != NULL;
	w->track = calloc(65536, sizeof(*w->track));
	ck_assert_ptr_nonnull(w->track);
	if (w->plan.mtu == 0)
		w->plan.mtu = 1500;
	w->pool_used = rte_mempool_in_use_count(lab_pool);
	lab_side_make(w, 0);
	lab_side_make(w, 1);
}

/* Nothing may be left of it. */
MAYBE void
lab_end(struct lab_world *w)
{
	for (int i = 0; i < 2; i++)
		if (w->side[i].tcp != NULL)
			tcp_destroy(w->side[i].tcp);
	while (w->n_heap) {
		struct lab_event e = lab_pop(w);

		if (e.kind == LAB_ARRIVES)
			free(e.bytes);
		else if (e.kind == LAB_SENT)
			lab_sent(w, e.arg);
	}
	free(w->heap);
	free(w->track);
	lab_must(w, rte_mempool_in_use_count(lab_pool) == w->pool_used,
		"%u mbufs are gone",
		rte_mempool_in_use_count(lab_pool) - w->pool_used);
}

/* Run `suite` in this process, for the EAL does not survive a fork. */
MAYBE int
lab_main(Suite *suite, unsigned int mbufs)
{
	char *argv[] = { (char *)"test", (char *)"--no-huge",
		(char *)"--no-pci", (char *)"--no-shconf",
		(char *)"--no-telemetry", (char *)"-m", (char *)"512",
		(char *)"--log-level=4" };
	SRunner *sr = srunner_create(suite);
	int failed;

	if (rte_eal_init(RTE_DIM(argv), argv) < 0)
		return 1;
	lab_pool = rte_pktmbuf_pool_create(
		"lab", mbufs, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	if (lab_pool == NULL)
		return 1;
	srunner_set_fork_status(sr, CK_NOFORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	rte_eal_cleanup();
	return failed != 0;
}

#endif
