/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The link between two stacks, and who watches over what they send.
 *
 * Each frame is checked as it leaves the NIC: bytes, lengths, checksums, MTU,
 * addresses, and against what both sides have said before: nothing beyond the
 * window that has been seen, no gap, no ACK of what never came or that goes
 * back, no window that shrinks. Then it is lost, doubled, damaged, delayed or
 * overtaken as the plan has it; all chance comes from one seed. tcp_lab.h has
 * the rest of the world.
 */
#ifndef TCP_LINK_H
#define TCP_LINK_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include <rte_eal.h>
#include <rte_mbuf.h>

#include "dataplane/tcp/tcp.h"
#include "tests/unit/tcp_wire.h"

#define MAYBE __attribute__((unused)) static

#define LAB_SERVICE 80 /* the port that B listens on */
#define LAB_NEXTHOP 7
#define LAB_START   (1000 * 1000ull)

static struct rte_mempool *lab_pool;

/* One direction. Chances are of a million frames. */
struct lab_link {
	uint32_t loss, duplicate, reorder, damage;
	uint32_t delay_us, jitter_us;
	uint32_t reorder_us; /* how much later */
	uint32_t rate_kbps;  /* 0: as fast as it comes */
	uint32_t queue;      /* bytes that wait for it at most; 0: any */
	uint16_t mtu;        /* of the router; 0: all pass */
	bool dead;
};

struct lab_side;

/*
 * Another TCP in the place of a side's stack, which sends by lab_wire(). It
 * need not keep to the window nor set DF.
 */
struct lab_foreign {
	/* A frame has come; f[0..n) is the lab's. */
	void (*input)(struct lab_side *s, const uint8_t *f, uint32_t n);
	/* Do what is due: microseconds until there is more. */
	uint64_t (*tick)(struct lab_side *s);
	/* Has it nothing left? */
	bool (*quiet)(const struct lab_side *s);
};

/* What is asked of a world. */
struct lab_plan {
	uint64_t seed;
	bool v6;
	bool rx_good;            /* the NIC has checked checksums */
	uint32_t hold_us;        /* a NIC holds a frame so long at most */
	struct lab_link link[2]; /* from A, from B */
	struct tcp_config config[2];
	const struct lab_foreign *foreign[2]; /* NULL: a stack of ours */
	uint16_t mtu;                         /* of the paths; 0: 1500 */
};

struct lab_world;

struct lab_side {
	struct lab_world *world;
	int i;
	struct tcp *tcp;
	struct stats_tcp stats;
	struct ip_addr addr;
	uint64_t next_us; /* its next tick */
	uint64_t wire_free_us;
	uint32_t in_queue; /* bytes */
	bool dirty;        /* called since its last flush */
	/* what waits for tcp_input() */
	struct rte_mbuf *rx[NF_BURST_MAX];
	bool rx_bad[NF_BURST_MAX];
	uint16_t n_rx;
};

enum lab_kind {
	LAB_ARRIVES, /* a frame at `side` */
	LAB_SENT,    /* the NIC of `side` lets go of an mbuf */
	LAB_CALL,    /* of an application */
};

struct lab_event {
	uint64_t at_us, order;
	uint8_t kind, side;
	bool bad;   /* damaged: must not be taken */
	bool plain; /* no TCP frame */
	uint16_t epoch;
	uint32_t len;
	uint8_t *bytes;
	struct rte_mbuf *held;
	void (*call)(void *arg);
	void *arg;
};

/* What a direction of a connection has said, as seen on the wire. */
struct lab_flow {
	bool known, edge_known, fin;
	bool scaled;                  /* the SYN had the option */
	uint8_t shift;                /* of its windows */
	uint32_t isn, nxt, ack, edge; /* edge: up to where it may send */
	uint32_t granted;             /* the right edge that it has granted */
	uint32_t ts;
};

struct lab_track {
	struct lab_flow flow[2];
	uint16_t epoch; /* which connection of these ports */
};

struct lab_world {
	struct lab_plan plan;
	uint64_t now_us, random, order;
	struct lab_side side[2];
	struct lab_event *heap;
	size_t n_heap, max_heap, in_flight;
	struct lab_track *track; /* by the port of A */
	unsigned int pool_used;
	bool trace;
	/* Sees each frame before the link: false swallows it. */
	bool (*filter)(struct lab_world *w, int from, const struct wire *f);
	void *filter_arg;
	/* counts, for tests */
	uint64_t frames[2], lost, damaged, duplicated, reordered, too_big;
	uint64_t probes, full; /* full: dropped by the queue of the link */
};

/* Said before each failure: how to see it again. */
static char lab_note[256];

#define lab_must(w, cond, ...)                                              \
	do {                                                                \
		if (!(cond)) {                                              \
			char text_[256];                                    \
			snprintf(text_, sizeof(text_), __VA_ARGS__);        \
			ck_abort_msg("%s; seed %llu, %llu us: %s", text_,   \
				(unsigned long long)(w)->plan.seed,         \
				(unsigned long long)(w)->now_us, lab_note); \
		}                                                           \
	} while (0)

static bool
lab_chance(struct lab_world *w, uint32_t of_a_million)
{
	return of_a_million && wire_below(&w->random, 1000000) < of_a_million;
}

static const uint8_t lab_mac[2][6] = { { 2, 0, 0, 0, 0, 0xa },
	{ 2, 0, 0, 0, 0, 0xb } };

static struct ip_addr
lab_address(int side, bool v6)
{
	struct ip_addr a = { { htonl(0xfd000000), 0, 0,
		htonl(0x10u + (uint32_t)side) } };

	return v6 ? a : ip_addr_from_v4(htonl(0x0a000010u + (uint32_t)side));
}

/* --- events --- */

static bool
lab_before(const struct lab_event *a, const struct lab_event *b)
{
	if (a->at_us != b->at_us)
		return a->at_us < b->at_us;
	return a->order < b->order;
}

static void
lab_push(struct lab_world *w, struct lab_event e)
{
	size_t i = w->n_heap++;

	if (w->n_heap > w->max_heap) {
		w->max_heap = w->max_heap ? 2 * w->max_heap : 256;
		w->heap = realloc(w->heap, w->max_heap * sizeof(*w->heap));
		ck_assert_ptr_nonnull(w->heap);
	}
	e.order = w->order++;
	for (; i > 0 && lab_before(&e, &w->heap[(i - 1) / 2]); i = (i - 1) / 2)
		w->heap[i] = w->heap[(i - 1) / 2];
	w->heap[i] = e;
	w->in_flight += e.kind == LAB_ARRIVES;
}

static struct lab_event
lab_pop(struct lab_world *w)
{
	struct lab_event top = w->heap[0], last = w->heap[--w->n_heap];
	size_t i = 0, child;

	while ((child = 2 * i + 1) < w->n_heap) {
		if (child + 1 < w->n_heap &&
			lab_before(&w->heap[child + 1], &w->heap[child]))
			child++;
		if (!lab_before(&w->heap[child], &last))
			break;
		w->heap[i] = w->heap[child];
		i = child;
	}
	w->heap[i] = last;
	w->in_flight -= top.kind == LAB_ARRIVES;
	return top;
}

/* call(arg) `us` from now; the stack of `side` is flushed after it. */
MAYBE void
lab_later(struct lab_world *w, int side, uint64_t us, void (*call)(void *),
	void *arg)
{
	lab_push(w, (struct lab_event){ .at_us = w->now_us + us,
			    .kind = LAB_CALL,
			    .side = (uint8_t)side,
			    .call = call,
			    .arg = arg });
}

/* --- what each segment must keep to --- */

static struct lab_track *
lab_track_of(struct lab_world *w, int from, const struct wire *f)
{
	return &w->track[from == 0 ? f->sport : f->dport];
}

/* The window of `s`, from the side of `me`, in bytes. */
static uint32_t
lab_window(const struct lab_track *t, int me, const struct tcp_seg *s)
{
	bool scaled = t->flow[0].scaled && t->flow[1].scaled;

	if (s->flags & TCP_SYN || !scaled)
		return s->wnd;
	return (uint32_t)s->wnd << t->flow[me].shift;
}

static void
lab_track_syn(struct lab_track *t, int from, const struct tcp_seg *s)
{
	struct lab_flow *f = &t->flow[from];

	if (f->known && f->isn == s->seq)
		return;
	if (!(s->flags & TCP_ACK) && f->known) {
		t->epoch++;
		memset(&t->flow[!from], 0, sizeof(t->flow[0]));
	}
	*f = (struct lab_flow){ .known = true,
		.isn = s->seq,
		.nxt = s->seq + 1,
		.scaled = (s->opts & TCP_OPT_WSCALE) != 0,
		.shift = s->opts & TCP_OPT_WSCALE ? s->wscale : 0,
		.ts = s->ts_val };
}

static void
lab_check_ack(struct lab_world *w, struct lab_track *t, int from,
	const struct tcp_seg *s)
{
	struct lab_flow *me = &t->flow[from], *peer = &t->flow[!from];
	uint32_t edge = s->ack + lab_window(t, from, s);

	lab_must(w, peer->known, "an ACK of what never came");
	lab_must(w, seq_leq(s->ack, peer->nxt),
		"acknowledges %u bytes that were never sent",
		s->ack - peer->nxt);
	if (me->ack)
		lab_must(w, seq_geq(s->ack, me->ack), "ACK goes back by %u",
			me->ack - s->ack);
	/* RFC 7323 section 2.4: less than a unit of the scale may be lost. */
	if (me->granted && !peer->fin)
		lab_must(w, seq_gt(edge + (1u << me->shift), me->granted),
			"the window shrinks by %u", me->granted - edge);
	me->ack = s->ack;
	if (!me->granted || seq_gt(edge, me->granted))
		me->granted = edge;
}

static void
lab_check_data(struct lab_world *w, int from, struct lab_flow *me,
	const struct tcp_seg *s)
{
	uint32_t end = s->seq + s->len;

	lab_must(w, me->edge_known, "data before a window was known");
	if (seq_gt(end, me->edge) && w->plan.foreign[from] == NULL) {
		lab_must(w, s->len == 1, "%u bytes beyond the window",
			end - me->edge);
		w->probes++;
	}
	lab_must(w, seq_leq(s->seq, me->nxt), "a gap of %u in what is sent",
		s->seq - me->nxt);
}

static void
lab_check_segment(struct lab_world *w, int from, const struct wire *f)
{
	struct lab_track *t = lab_track_of(w, from, f);
	struct lab_flow *me = &t->flow[from];
	const struct tcp_seg *s = &f->seg;

	if (s->flags & TCP_SYN)
		lab_track_syn(t, from, s);
	if (s->flags & TCP_RST)
		return;
	lab_must(w, me->known, "a segment before any SYN");
	lab_must(w, !(s->flags & TCP_URG) && f->urgent == 0, "urgent data");
	if (s->flags & TCP_ACK)
		lab_check_ack(w, t, from, s);
	else
		lab_must(w, s->flags & TCP_SYN, "neither ACK nor SYN");
	if (s->len > 0)
		lab_check_data(w, from, me, s);
	if (s->opts & TCP_OPT_TS) {
		lab_must(w, (int32_t)(s->ts_val - me->ts) >= 0,
			"timestamps go back");
		me->ts = s->ts_val;
	}
	me->nxt = seq_max(me->nxt, s->seq + seg_space(s));
	me->fin |= (s->flags & TCP_FIN) != 0;
}

/* The frame reaches the peer: this is how far the peer may send now. */
static void
lab_track_arrival(struct lab_world *w, const struct lab_event *e)
{
	int from = !e->side;
	struct lab_track *t;
	struct lab_flow *peer;
	struct wire f;
	uint32_t edge;

	if (e->bad || e->plain || wire_read(&f, e->bytes, e->len) != NULL)
		return;
	t = lab_track_of(w, from, &f);
	peer = &t->flow[!from];
	if (t->epoch != e->epoch || !(f.seg.flags & TCP_ACK))
		return;
	edge = f.seg.ack + lab_window(t, from, &f.seg);
	if (!peer->edge_known || seq_gt(edge, peer->edge))
		peer->edge = edge;
	peer->edge_known = true;
}

static void
lab_trace(struct lab_world *w, int from, const struct wire *f, const char *fate)
{
	const struct lab_track *t = lab_track_of(w, from, f);
	char text[256];

	if (!w->trace)
		return;
	fprintf(stderr, "%10.3f %s %5u %s%s\n", (double)w->now_us / 1000,
		from == 0 ? "A>" : "  <B", from == 0 ? f->sport : f->dport,
		wire_text(&f->seg, t->flow[from].isn, t->flow[!from].isn, text,
			sizeof(text)),
		fate);
}

/* --- the link --- */

static void
lab_arrive(struct lab_world *w, int to, uint64_t us, const uint8_t *f, size_t n,
	struct lab_event like)
{
	like.at_us = w->now_us + us;
	like.kind = LAB_ARRIVES;
	like.side = (uint8_t)to;
	like.len = (uint32_t)n;
	like.bytes = malloc(n);
	ck_assert_ptr_nonnull(like.bytes);
	memcpy(like.bytes, f, n);
	lab_push(w, like);
}

/* The router tells `from` that f[0..n) is too big. */
static void
lab_too_big(struct lab_world *w, int from, const uint8_t *f, size_t n)
{
	struct wire r = { .src = lab_address(9, w->plan.v6),
		.dst = w->side[from].addr };
	size_t quote = n - WIRE_L3;
	uint8_t out[1500];

	w->too_big++;
	memcpy(r.dmac, lab_mac[from], 6);
	memcpy(r.smac, lab_mac[!from], 6);
	if (w->plan.v6) {
		quote = RTE_MIN(quote, (size_t)1000);
		n = wire_icmp(&r, 2, 0, w->plan.link[from].mtu, f + WIRE_L3,
			quote, out);
	} else {
		quote = RTE_MIN(quote, (size_t)28);
		n = wire_icmp(&r, 3, 4, w->plan.link[from].mtu, f + WIRE_L3,
			quote, out);
	}
	lab_arrive(w, from, w->plan.link[from].delay_us, out, n,
		(struct lab_event){ .plain = true });
}

/* How long until the last bit of `n` bytes is on the wire, or -1: no room. */
static int64_t
lab_queue(struct lab_world *w, int from, size_t n)
{
	const struct lab_link *l = &w->plan.link[from];
	struct lab_side *s = &w->side[from];
	uint64_t waits;

	if (l->rate_kbps == 0)
		return 0;
	if (s->wire_free_us < w->now_us)
		s->wire_free_us = w->now_us;
	waits = s->wire_free_us - w->now_us;
	if (l->queue && waits * l->rate_kbps / 8000 + n > l->queue)
		return -1;
	s->wire_free_us += n * 8000 / l->rate_kbps;
	return (int64_t)(s->wire_free_us - w->now_us);
}

static void
lab_damage(struct lab_world *w, uint8_t *f, size_t n, size_t l4)
{
	size_t at = l4 + wire_below(&w->random, (uint32_t)(n - l4));

	f[at] ^= (uint8_t)(1 + wire_below(&w->random, 255));
	w->damaged++;
}

/* One frame on its way, with whatever happens to it there. */
static void
lab_cross(struct lab_world *w, int from, const struct wire *f, uint8_t *bytes,
	size_t n)
{
	const struct lab_link *l = &w->plan.link[from];
	struct lab_event e = { .epoch = lab_track_of(w, from, f)->epoch };
	int64_t queued = lab_queue(w, from, n);
	uint64_t us;

	if (queued < 0) {
		w->full++;
		lab_trace(w, from, f, " (queue full)");
		return;
	}
	if (l->dead || lab_chance(w, l->loss)) {
		w->lost++;
		lab_trace(w, from, f, " (lost)");
		return;
	}
	us = (uint64_t)queued + l->delay_us +
	     wire_below(&w->random, l->jitter_us + 1);
	if (lab_chance(w, l->reorder)) {
		us += 1 + wire_below(&w->random, l->reorder_us);
		w->reordered++;
	}
	if (lab_chance(w, l->duplicate)) {
		lab_arrive(w, !from, us + wire_below(&w->random, 3000), bytes,
			n, e);
		w->duplicated++;
	}
	e.bad = lab_chance(w, l->damage);
	lab_trace(w, from, f, e.bad ? " (damaged)" : "");
	if (e.bad)
		lab_damage(w, bytes, n, f->l4);
	lab_arrive(w, !from, us, bytes, n, e);
}

/* A frame leaves the NIC of `from`: it must be right in every way. */
static void
lab_wire(struct lab_world *w, int from, uint8_t *bytes, size_t n)
{
	const struct lab_link *l = &w->plan.link[from];
	const char *wrong;
	struct wire f;

	wrong = wire_read(&f, bytes, n);
	lab_must(w, wrong == NULL, "%c sends: %s", 'A' + from, wrong);
	lab_must(w, f.ip_len <= w->plan.mtu, "%u bytes on an MTU of %u",
		f.ip_len, w->plan.mtu);
	lab_must(w,
		ip_addr_eq(&f.src, &w->side[from].addr) &&
			ip_addr_eq(&f.dst, &w->side[!from].addr),
		"wrong addresses");
	lab_must(w,
		memcmp(f.smac, lab_mac[from], 6) == 0 &&
			memcmp(f.dmac, lab_mac[!from], 6) == 0,
		"wrong MACs");
	lab_must(w, f.df || w->plan.v6 || w->plan.foreign[from] != NULL,
		"may be fragmented");
	w->frames[from]++;
	lab_check_segment(w, from, &f);
	if (w->filter != NULL && !w->filter(w, from, &f)) {
		lab_trace(w, from, &f, " (filtered)");
		return;
	}
	if (l->mtu && f.ip_len > l->mtu) {
		lab_trace(w, from, &f, " (too big)");
		lab_too_big(w, from, bytes, n);
		return;
	}
	lab_cross(w, from, &f, bytes, n);
}

#endif
