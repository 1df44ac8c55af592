/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One stack on a bench: a row of a table tells what is done to it, or what
 * must have come of it. tcp_table.h says how tables are written, and runs
 * them.
 */
#ifndef TCP_BENCH_H
#define TCP_BENCH_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include <rte_eal.h>
#include <rte_mbuf.h>

#include "dataplane/tcp/tcp.h"
#include "tests/unit/tcp_wire.h"

#define S TCP_SYN
#define A TCP_ACK
#define F TCP_FIN
#define R TCP_RST
#define P TCP_PSH
#define U TCP_URG

enum row_op {
	ROW_IN = 1,
	ROW_OUT,
	ROW_WAIT, /* let `ms` pass: nothing may happen but what is asked for */
	ROW_WITHIN, /* the next thing happens from `ms` to `to_ms` from now */
	ROW_JUMP,   /* the same, at once: nobody looks at the clock meanwhile */
	ROW_SILENCE,
	ROW_CALL,
	ROW_EVENT,
	ROW_STATE,
	ROW_STAT, /* a counter has moved by `len` since the table began */
	ROW_ICMP,
	ROW_ANY, /* forget what was sent and heard */
};

enum row_call {
	DO_LISTEN = 1,
	DO_UNLISTEN,
	DO_CONNECT,
	DO_SEND,      /* tcp_send_copy() of `len` bytes */
	DO_SEND_MBUF, /* tcp_send() of one mbuf */
	DO_CONSUME,   /* `len` bytes */
	DO_SHUTDOWN,
	DO_CLOSE,
	DO_ABORT,
	DO_QUICKACK,
};

enum row_event {
	EV_ACCEPTED = 1,
	EV_CONNECTED,
	EV_RECEIVED, /* `len` bytes */
	EV_FINISHED,
	EV_ROOM,
	EV_CLOSED, /* `error` */
};

/* ICMP errors by what they say, of either family. */
enum row_icmp {
	ICMP_TOO_BIG_, /* for mtu */
	ICMP_NO_PORT_,
	ICMP_NO_HOST_,
	ICMP_TTL_,
};

#define WND_ZERO (-1)

struct row {
	uint8_t op, what, flags; /* what: call, event, state, ICMP */
	uint8_t peer;            /* which of the peer's ports */
	int line;
	uint32_t seq, ack, len;
	int32_t wnd; /* 0: IN 65535, OUT any; WND_ZERO */
	uint16_t mss, mtu, urgent;
	uint8_t wscale;  /* of a SYN, plus 1; OUT: 0 means not looked at */
	bool sackok, ts; /* of a SYN; OUT: looked at with `opts` */
	bool opts;       /* OUT: exactly those options that are in the row */
	bool no_ts;      /* IN: leave them out */
	bool more;       /* IN: in one burst with the next row */
	bool bad_csum;
	bool fresh;      /* OUT SYN: the ISN of a new connection */
	bool garbage;    /* OUT: bytes as they come (a probe's) */
	uint32_t ts_age; /* IN: ms that the timestamp is too old */
	uint8_t n_sack;
	struct tcp_range sack[4];
	const uint8_t *raw; /* options */
	uint8_t n_raw;
	uint16_t dropped; /* IN: the verdict, 0: any */
	uint32_t ms, to_ms;
	int error; /* CALL, EVENT_CLOSED */
};

#define ROW_(o, ...)                                     \
	{                                                \
		.op = (o), .line = __LINE__, __VA_ARGS__ \
	}
#define IN(f, ...)     ROW_(ROW_IN, .flags = (f), __VA_ARGS__)
#define OUT(f, ...)    ROW_(ROW_OUT, .flags = (f), __VA_ARGS__)
#define WAIT(n)        ROW_(ROW_WAIT, .ms = (n))
#define WITHIN(lo, hi) ROW_(ROW_WITHIN, .ms = (lo), .to_ms = (hi))
#define JUMP(n)        ROW_(ROW_JUMP, .ms = (n))
#define SILENCE        ROW_(ROW_SILENCE, .len = 0)
#define CALL(c, ...)   ROW_(ROW_CALL, .what = (c), __VA_ARGS__)
#define EVENT(e, ...)  ROW_(ROW_EVENT, .what = (e), __VA_ARGS__)
#define STATE(s)       ROW_(ROW_STATE, .what = (s))
#define STAT(field, n) \
	ROW_(ROW_STAT, .seq = offsetof(struct stats_tcp, field), .len = (n))
#define ICMP(kind, ...) ROW_(ROW_ICMP, .what = (kind), __VA_ARGS__)
#define ANYTHING        ROW_(ROW_ANY, .len = 0)

struct table {
	const char *name;
	const struct row *rows;
	size_t n;
	struct tcp_config config;
	uint16_t mtu;
	bool hold;   /* received data are consumed by DO_CONSUME alone */
	bool refuse; /* accepted() says no */
	uint8_t on_received; /* a call from within that event */
};

#define TABLE(rows_, ...)                                           \
	{                                                           \
		.name = #rows_, .rows = rows_, .n = RTE_DIM(rows_), \
		__VA_ARGS__                                         \
	}

/* --- the bench --- */

#define MAYBE      __attribute__((unused)) static
#define BENCH_PORT 80
#define PEER_PORT  40000
#define PEERS      16
#define OWN_PORT   5555 /* of connections that the stack opens */
#define IN_STREAM  1
#define OUT_STREAM 2

struct heard {
	uint8_t what;
	uint32_t len;
	int error;
};

struct bench_peer {
	struct tcp_conn *c;
	uint32_t irs, iss;
	bool iss_known, ts_on;
	uint32_t ts_last;   /* the stack's latest timestamp */
	uint32_t sent, got; /* bytes of the user's */
};

static struct bench {
	const struct table *table;
	const struct row *row;
	int variant;
	bool v6;
	struct ip_addr local, remote;
	uint16_t lport; /* ours */
	struct tcp *tcp;
	struct tcp_config config;
	struct stats_tcp stats;
	uint64_t now_ms, next_ms;
	struct rte_mbuf *out[256];
	uint32_t out_head, n_out;
	struct heard ev[256];
	uint32_t ev_head, n_ev;
	struct rte_mbuf *burst[NF_BURST_MAX];
	uint16_t n_burst;
	struct bench_peer peer[PEERS];
	unsigned int pool_used;
} bench;

static struct rte_mempool *bench_pool;

#define row_must(cond, ...)                                              \
	do {                                                             \
		if (!(cond)) {                                           \
			char text_[512];                                 \
			snprintf(text_, sizeof(text_), __VA_ARGS__);     \
			ck_abort_msg("%s, variant %d, line %d: %s",      \
				bench.table->name, bench.variant,        \
				bench.row ? bench.row->line : 0, text_); \
		}                                                        \
	} while (0)

static const uint8_t bench_mac[2][6] = { { 2, 0, 0, 0, 0, 1 },
	{ 2, 0, 0, 0, 0, 2 } };

/* What goes into a ring of 256 places. */
#define BENCH_SEGS 250

static void
bench_emit(void *ctx, struct rte_mbuf *m)
{
	(void)ctx;
	row_must(bench.n_out < RTE_DIM(bench.out), "too much is sent");
	row_must(m->nb_segs <= BENCH_SEGS, "a chain of %u", m->nb_segs);
	bench.out[(bench.out_head + bench.n_out++) % RTE_DIM(bench.out)] = m;
}

/* For the same MSS in both families. */
static uint16_t
bench_mtu(uint16_t v4)
{
	return (uint16_t)(v4 + (bench.v6 ? 20 : 0));
}

static int
bench_route(void *ctx, uint32_t nexthop, struct tcp_path *path)
{
	(void)ctx;
	(void)nexthop;
	memcpy(path->local_mac, bench_mac[0], 6);
	memcpy(path->remote_mac, bench_mac[1], 6);
	path->mtu = bench_mtu(bench.table->mtu ? bench.table->mtu : 1500);
	return 0;
}

/* --- the user --- */

static void
bench_hear(uint8_t what, uint32_t len, int error)
{
	struct heard *last =
		&bench.ev[(bench.ev_head + bench.n_ev + RTE_DIM(bench.ev) - 1) %
			  RTE_DIM(bench.ev)];

	if (bench.n_ev && what == EV_RECEIVED && last->what == what) {
		last->len += len;
		return;
	}
	row_must(bench.n_ev < RTE_DIM(bench.ev), "too many events");
	bench.ev[(bench.ev_head + bench.n_ev++) % RTE_DIM(bench.ev)] =
		(struct heard){ what, len, error };
}

static struct bench_peer *
bench_peer_of(struct tcp_conn *c)
{
	struct tcp_info info;

	tcp_info(c, &info);
	row_must(ntohs(info.rport) - PEER_PORT < PEERS, "an unknown peer");
	return &bench.peer[ntohs(info.rport) - PEER_PORT];
}

static void *
bench_accepted(void *listener, struct tcp_conn *c)
{
	struct bench_peer *p = bench_peer_of(c);

	row_must(listener == &bench, "accepted() of another listener");
	bench_hear(EV_ACCEPTED, 0, 0);
	if (bench.table->refuse)
		return NULL;
	p->c = c;
	p->sent = p->got = 0;
	return p;
}

static void
bench_connected(struct tcp_conn *c, void *user)
{
	struct bench_peer *p = user;

	row_must(p->c == c, "connected() of another");
	bench_hear(EV_CONNECTED, 0, 0);
}

static void bench_call(struct bench_peer *p, const struct row *r);

static void
bench_received(struct tcp_conn *c, void *user, struct rte_mbuf *data)
{
	struct bench_peer *p = user;
	struct row r = { .what = bench.table->on_received };
	uint32_t n = data->pkt_len;

	row_must(p->c == c && n > 0, "received() of another, or nothing");
	for (struct rte_mbuf *m = data; m != NULL; m = m->next) {
		row_must(wire_same(rte_pktmbuf_mtod(m, uint8_t *), m->data_len,
				 IN_STREAM, p->got + 1) == m->data_len,
			"wrong bytes behind %u", p->got);
		p->got += m->data_len;
	}
	rte_pktmbuf_free(data);
	bench_hear(EV_RECEIVED, n, 0);
	if (!bench.table->hold)
		tcp_consumed(c, n);
	if (r.what)
		bench_call(p, &r);
}

static void
bench_finished(struct tcp_conn *c, void *user)
{
	struct bench_peer *p = user;

	row_must(p->c == c, "finished() of another");
	bench_hear(EV_FINISHED, 0, 0);
}

static void
bench_room(struct tcp_conn *c, void *user)
{
	struct bench_peer *p = user;

	row_must(p->c == c, "room() of another");
	bench_hear(EV_ROOM, 0, 0);
}

static void
bench_closed(struct tcp_conn *c, void *user, int error)
{
	struct bench_peer *p = user;

	row_must(p->c == c, "closed() of another");
	p->c = NULL;
	bench_hear(EV_CLOSED, 0, error);
}

static const struct tcp_ops bench_ops = {
	.accepted = bench_accepted,
	.connected = bench_connected,
	.received = bench_received,
	.finished = bench_finished,
	.room = bench_room,
	.closed = bench_closed,
};

/* --- time --- */

static void
bench_tick(void)
{
	uint32_t us, rounds = 0;

	do {
		us = tcp_tick(bench.tcp, bench.now_ms);
		tcp_flush(bench.tcp, bench.now_ms);
		row_must(++rounds < 100000, "a tick that never ends");
	} while (us == 0);
	bench.next_ms = bench.now_ms + RTE_MAX((us + 999) / 1000, 1u);
}

/* To the next tick, `until` at most. */
static void
bench_pass(uint64_t until)
{
	bench.now_ms = RTE_MIN(bench.next_ms, until);
	bench_tick();
}

static void
bench_wait(uint32_t ms)
{
	uint64_t until = bench.now_ms + ms;

	while (bench.now_ms < until)
		bench_pass(until);
}

static void
bench_jump(uint32_t ms)
{
	bench.now_ms += ms;
	bench_tick();
}

static void
bench_within(const struct row *r)
{
	uint64_t from = bench.now_ms;

	row_must(!bench.n_out && !bench.n_ev, "something has happened already");
	while (!bench.n_out && !bench.n_ev && bench.now_ms < from + r->to_ms)
		bench_pass(from + r->to_ms);
	row_must(bench.n_out || bench.n_ev, "nothing happens in %u ms",
		r->to_ms);
	row_must(bench.now_ms >= from + r->ms, "it happens after %u ms",
		(unsigned int)(bench.now_ms - from));
}

/* --- segments in --- */

static void
bench_flow(struct wire *w, const struct row *r)
{
	memset(w, 0, sizeof(*w));
	w->src = bench.remote;
	w->dst = bench.local;
	memcpy(w->dmac, bench_mac[0], 6);
	memcpy(w->smac, bench_mac[1], 6);
	w->sport = (uint16_t)(PEER_PORT + r->peer);
	w->dport = bench.lport;
	w->df = true;
	w->urgent = r->urgent;
	w->raw_opts = r->raw;
	w->n_raw = r->n_raw;
}

static void
bench_opts(struct tcp_seg *s, const struct row *r)
{
	const struct bench_peer *p = &bench.peer[r->peer];

	if (r->mss)
		s->opts |= TCP_OPT_MSS;
	s->mss = r->mss;
	if (r->wscale)
		s->opts |= TCP_OPT_WSCALE;
	s->wscale = (uint8_t)(r->wscale - 1);
	if (r->sackok)
		s->opts |= TCP_OPT_SACKOK;
	if ((r->ts || p->ts_on) && !r->no_ts)
		s->opts |= TCP_OPT_TS;
	s->ts_val = (uint32_t)bench.now_ms + 0x7ffff000 - r->ts_age;
	s->ts_ecr = p->ts_last;
	if (r->n_sack)
		s->opts |= TCP_OPT_SACK;
	s->n_sack = r->n_sack;
	for (int i = 0; i < r->n_sack; i++) {
		s->sack[i].start = p->iss + r->sack[i].start;
		s->sack[i].end = p->iss + r->sack[i].end;
	}
}

static uint16_t
row_window(const struct row *r)
{
	return r->wnd == WND_ZERO ? 0 : r->wnd ? (uint16_t)r->wnd : 65535;
}

static void
bench_input(const struct row *r)
{
	nf_verdict v[NF_BURST_MAX] = { 0 };

	tcp_input(bench.tcp, bench.burst, bench.n_burst, v, bench.now_ms);
	for (uint16_t i = 0; i < bench.n_burst; i++) {
		row_must(v[i] != NF_TX, "verdict NF_TX");
		if (v[i] != NF_HELD)
			rte_pktmbuf_free(bench.burst[i]);
	}
	if (r->dropped)
		row_must(v[0] == r->dropped, "verdict %u, not %u", v[0],
			r->dropped);
	bench.n_burst = 0;
	bench_tick();
}

static void
bench_frame(const uint8_t *f, size_t n)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(bench_pool);

	row_must(m != NULL, "no mbuf left");
	memcpy(rte_pktmbuf_append(m, (uint16_t)n), f, n);
	bench.burst[bench.n_burst++] = m;
}

static void
bench_in(const struct row *r)
{
	struct bench_peer *p = &bench.peer[r->peer];
	uint8_t payload[2048], f[2048 + 128];
	struct wire w;
	size_t n;

	bench_flow(&w, r);
	w.seg = (struct tcp_seg){ .seq = p->irs + r->seq,
		.ack = p->iss + r->ack,
		.len = r->len,
		.wnd = row_window(r),
		.flags = r->flags };
	bench_opts(&w.seg, r);
	if ((r->flags & S) && r->ts)
		p->ts_on = true;
	wire_fill(payload, r->len, IN_STREAM, r->seq + ((r->flags & S) != 0));
	n = wire_make(&w, payload, f);
	if (r->bad_csum)
		f[n - 1] ^= 1;
	bench_frame(f, n);
	if (!r->more)
		bench_input(r);
}

/* An ICMP error about the segment at our `seq`. */
static void
bench_icmp(const struct row *r)
{
	static const uint8_t type[2][4][2] = {
		{ { 3, 4 }, { 3, 3 }, { 3, 1 }, { 11, 0 } },
		{ { 2, 0 }, { 1, 4 }, { 1, 0 }, { 3, 0 } },
	};
	const uint8_t *tc = type[bench.v6][r->what];
	struct bench_peer *p = &bench.peer[r->peer];
	struct wire w, ours;
	uint8_t quoted[128], f[256];
	size_t n;

	bench_flow(&w, r);
	ours = w;
	ours.src = bench.local;
	ours.dst = bench.remote;
	ours.sport = w.dport;
	ours.dport = w.sport;
	ours.seg = (struct tcp_seg){ .seq = p->iss + r->seq, .flags = A };
	wire_make(&ours, NULL, quoted);
	n = wire_icmp(&w, tc[0], tc[1], r->mtu ? bench_mtu(r->mtu) : 0,
		quoted + WIRE_L3, bench.v6 ? 48 : 28, f);
	/* Not in what is quoted, for that would be another segment. */
	if (r->bad_csum)
		f[n - (bench.v6 ? 48 : 28) - 8 + 3] ^= 1;
	bench_frame(f, n);
	bench_input(r);
}

/* --- segments out --- */

static bool
out_same_opts(const struct row *r, const struct bench_peer *p,
	const struct tcp_seg *s)
{
	if (s->n_sack != r->n_sack)
		return false;
	for (int i = 0; i < s->n_sack; i++)
		if (s->sack[i].start - p->irs != r->sack[i].start ||
			s->sack[i].end - p->irs != r->sack[i].end)
			return false;
	if (r->mss && (!(s->opts & TCP_OPT_MSS) || s->mss != r->mss))
		return false;
	if (!(r->flags & R) && p->ts_on && !(r->flags & S) &&
		!(s->opts & TCP_OPT_TS))
		return false;
	if (!r->opts)
		return true;
	return !(s->opts & TCP_OPT_SACKOK) == !r->sackok &&
	       !(s->opts & TCP_OPT_TS) == !r->ts &&
	       !(s->opts & TCP_OPT_WSCALE) == !r->wscale;
}

static bool
out_same(const struct row *r, const struct bench_peer *p, const struct wire *w)
{
	const struct tcp_seg *s = &w->seg;

	if ((s->flags & ~P) != r->flags || s->len != r->len)
		return false;
	if (s->seq - p->iss != r->seq)
		return false;
	if ((s->flags & A) && s->ack - p->irs != r->ack)
		return false;
	if (r->wnd && s->wnd != row_window(r))
		return false;
	return out_same_opts(r, p, s);
}

/* Well-formed and ours; whom it is for. */
static struct bench_peer *
out_read(struct rte_mbuf *m, struct wire *w, const uint8_t **bytes)
{
	static uint8_t f[WIRE_MAX];
	const char *wrong;
	uint32_t n = 0;

	for (; m != NULL; m = m->next) {
		memcpy(f + n, rte_pktmbuf_mtod(m, uint8_t *), m->data_len);
		n += m->data_len;
	}
	wrong = wire_read(w, f, n);
	row_must(wrong == NULL, "sends: %s", wrong);
	row_must(ip_addr_eq(&w->src, &bench.local) &&
			 ip_addr_eq(&w->dst, &bench.remote) &&
			 w->dport - PEER_PORT < PEERS,
		"sends to another");
	row_must(memcmp(w->dmac, bench_mac[1], 6) == 0 &&
			 memcmp(w->smac, bench_mac[0], 6) == 0,
		"wrong MACs");
	*bytes = w->payload;
	row_must(w->sport == bench.lport, "sends from another port");
	return &bench.peer[w->dport - PEER_PORT];
}

static void
out_learn(const struct row *r, struct bench_peer *p, const struct tcp_seg *s)
{
	if ((s->flags & S) && (!p->iss_known || r->fresh)) {
		if (r->fresh)
			row_must(seq_gt(s->seq, p->iss), "an older ISN");
		p->iss = s->seq;
		p->iss_known = true;
	}
	if (s->opts & TCP_OPT_TS)
		p->ts_last = s->ts_val;
	else if (s->flags & S)
		p->ts_on = false;
}

static const char *
out_text(const struct bench_peer *p, const struct tcp_seg *s)
{
	static char text[256];

	return wire_text(s, p->iss, p->irs, text, sizeof(text));
}

static void
bench_out(const struct row *r)
{
	struct bench_peer *p;
	const uint8_t *bytes;
	struct rte_mbuf *m;
	struct wire w;

	row_must(bench.n_out > 0, "nothing is sent");
	m = bench.out[bench.out_head];
	bench.out_head = (bench.out_head + 1) % RTE_DIM(bench.out);
	bench.n_out--;
	p = out_read(m, &w, &bytes);
	rte_pktmbuf_free(m);
	row_must(p == &bench.peer[r->peer], "sends to peer %zu",
		(size_t)(p - bench.peer));
	out_learn(r, p, &w.seg);
	row_must(out_same(r, p, &w), "sends %s", out_text(p, &w.seg));
	row_must(r->garbage ||
			 wire_same(bytes, r->len, OUT_STREAM, r->seq) == r->len,
		"wrong bytes");
}

static void
bench_forget(void)
{
	while (bench.n_out) {
		rte_pktmbuf_free(bench.out[bench.out_head]);
		bench.out_head = (bench.out_head + 1) % RTE_DIM(bench.out);
		bench.n_out--;
	}
	bench.n_ev = 0;
}

/* Nothing more may have happened than the rows say. */
static void
bench_silent(void)
{
	const uint8_t *bytes;
	struct bench_peer *p;
	struct wire w;

	if (bench.n_out) {
		p = out_read(bench.out[bench.out_head], &w, &bytes);
		row_must(false, "before it, sends %s", out_text(p, &w.seg));
	}
	if (bench.n_ev) {
		const struct heard *e = &bench.ev[bench.ev_head];

		row_must(false, "before it, event %u, %u bytes, error %d",
			e->what, e->len, e->error);
	}
}

#endif
