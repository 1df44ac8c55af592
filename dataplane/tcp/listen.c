/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Segments that no connection has: SYNs to a port that listens, the ACKs of
 * cookies, and what gets a reset.
 *
 * A SYN takes an entry and becomes half-open, until there are max_half_open of
 * them, or the port has its backlog full. Then it is answered by a cookie (RFC
 * 4987): what has to be remembered is in the sequence number, and the entry is
 * made when the ACK brings it back. A flood of SYNs costs a packet each and no
 * memory.
 */
#include <errno.h>
#include <rte_byteorder.h>
#include <rte_mbuf.h>

#include "dataplane/tcp/internal.h"

/* Cookies are looked for in ACKs for so long after one was sent. */
#define COOKIE_LIFE_MS (2 * 64000)

/* --- the table of listeners ---------------------------------------------- */

#define LISTENER_SLOTS (TCP_LISTENERS * 2)

static uint32_t
slot_of(const struct ip_addr *addr, uint16_t port)
{
	uint32_t h = addr->w[0] ^ addr->w[1] ^ addr->w[2] ^ addr->w[3] ^
		     ((uint32_t)port << 16 | port);

	h *= 0x9e3779b1u;
	return h >> 16 & (LISTENER_SLOTS - 1);
}

/* Where it is, or where it would be. */
static uint16_t *
place(struct tcp *t, const struct ip_addr *addr, uint16_t port)
{
	uint32_t i = slot_of(addr, port);

	for (;; i = (i + 1) & (LISTENER_SLOTS - 1)) {
		const struct tcp_listener *l;

		if (t->listener_at[i] == 0)
			return &t->listener_at[i];
		l = &t->listener[t->listener_at[i] - 1];
		if (l->port == port && ip_addr_eq(&l->addr, addr))
			return &t->listener_at[i];
	}
}

int
tcp_listen(struct tcp *t, const struct ip_addr *addr, uint16_t port,
	const struct tcp_ops *ops, void *listener, uint32_t backlog)
{
	uint16_t *at = place(t, addr, port);
	uint16_t i = 0;

	if (*at != 0)
		return -EADDRINUSE;
	while (i < TCP_LISTENERS && t->listener[i].used)
		i++;
	if (i == TCP_LISTENERS)
		return -ENOSPC;
	t->listener[i] = (struct tcp_listener){ .addr = *addr,
		.port = port,
		.used = 1,
		.backlog = backlog,
		.ops = ops,
		.user = listener };
	*at = (uint16_t)(i + 1);
	t->n_listeners++;
	return 0;
}

/* Half-open connections of a listener that has gone are reset. */
static void
drop_half_open(struct tcp *t, uint32_t listener)
{
	for (uint32_t i = 0; i < t->cfg.max_connections; i++) {
		struct tcp_conn *c = &t->conn[i];

		if (c->state == TCP_SYN_RCVD && (c->flags & CONN_PASSIVE) &&
			c->listener == listener) {
			conn_reset(c);
			conn_free(c, false);
		}
	}
}

int
tcp_unlisten(struct tcp *t, const struct ip_addr *addr, uint16_t port)
{
	uint16_t *at = place(t, addr, port);
	uint32_t i;

	if (*at == 0)
		return -ENOENT;
	i = *at - 1u;
	if (t->listener[i].half_open > 0)
		drop_half_open(t, i);
	t->listener[i].used = 0;
	t->n_listeners--;
	/* Open addressing: the others find their places again. */
	memset(t->listener_at, 0, sizeof(t->listener_at));
	for (uint16_t k = 0; k < TCP_LISTENERS; k++)
		if (t->listener[k].used)
			*place(t, &t->listener[k].addr, t->listener[k].port) =
				(uint16_t)(k + 1);
	return 0;
}

void
listen_handshake_over(struct tcp_conn *c)
{
	c->stack->listener[c->listener].half_open--;
}

/* --- what both ends of a hand-shake do ----------------------------------- */

uint16_t
mss_of_mtu(const struct tcp *t, const struct ip_addr *a, uint16_t mtu)
{
	uint32_t headers = (ip_addr_is_v4(a) ? 20 : 40) + TCP_HDR_MIN;
	uint32_t mss = mtu > headers + 64 ? mtu - headers : 64;
	/* Without chains a frame is one mbuf. */
	uint32_t room = rte_pktmbuf_data_room_size(t->cfg.pool) -
			RTE_PKTMBUF_HEADROOM - 14 - headers;

	if (!(t->cfg.offload & TCP_TX_CHAINS) && mss > room)
		mss = room;
	if (t->cfg.mss != 0 && mss > t->cfg.mss)
		mss = t->cfg.mss;
	return (uint16_t)(mss < UINT16_MAX ? mss : UINT16_MAX);
}

/* The smallest scale that can say all of the buffer. */
static uint8_t
scale_for(uint32_t rcv_buf)
{
	uint8_t scale = 0;

	while (rcv_buf >> scale > UINT16_MAX && scale < TCP_WSCALE_MAX)
		scale++;
	return scale;
}

void
conn_take_options(struct tcp_conn *c, const struct tcp_seg *syn)
{
	const struct tcp_config *cfg = &c->stack->cfg;
	uint16_t mss = ip_addr_is_v4(&c->tuple.remote) ? TCP_MSS_DEFAULT4
						       : TCP_MSS_DEFAULT6;

	if (syn->opts & TCP_OPT_MSS)
		mss = syn->mss;
	/* No segment is so small that its options leave no room. */
	if (mss < 64)
		mss = 64;
	if (c->mss > mss)
		c->mss = mss;
	c->opts = 0;
	c->rcv_wscale = 0;
	if ((syn->opts & TCP_OPT_WSCALE) && !cfg->no_wscale) {
		c->opts |= TCP_OPT_WSCALE;
		c->snd_wscale = syn->wscale;
		c->rcv_wscale = scale_for(cfg->rcv_buf);
	}
	if ((syn->opts & TCP_OPT_SACKOK) && !cfg->no_sack)
		c->opts |= TCP_OPT_SACKOK;
	if ((syn->opts & TCP_OPT_TS) && !cfg->no_timestamps) {
		c->opts |= TCP_OPT_TS;
		c->ts_recent = syn->ts_val;
		c->ts_recent_at = now32(c->stack);
	}
}

void
conn_begin(struct tcp_conn *c, uint32_t min_isn)
{
	struct tcp *t = c->stack;

	c->mss = mss_of_mtu(t, &c->tuple.remote, c->path.mtu);
	c->rcv_wscale = scale_for(t->cfg.rcv_buf);
	c->iss = secret_isn(&t->secret, &c->tuple, t->now_ms);
	/* Beyond the former connection of the same ends (RFC 6191). */
	if (min_isn != 0 && seq_lt(c->iss, min_isn))
		c->iss = min_isn + 64000;
	c->ts_offset = secret_ts_offset(&t->secret, &c->tuple);
	c->snd_una = c->snd_nxt = c->iss;
	c->snd_end = c->iss + 1;
	c->heard_at = c->una_at = now32(t);
	c->idle_at = deadline(t, t->cfg.connect_ms);
}

void
conn_established(struct tcp_conn *c)
{
	struct tcp *t = c->stack;

	conn_set_state(c, TCP_ESTABLISHED);
	t->cc->init(&c->cc, conn_mss(c));
	/* A SYN that was lost: RFC 5681 section 3.1, 6298 section 5.7. */
	if (c->syn_sent > 1) {
		c->cc.cwnd = conn_mss(c);
		if (c->rtt.srtt8 == 0)
			c->rtt.rttvar4 = 3000;
	}
	c->backoff = 0;
	c->recover = c->iss;
	c->rtx_at = 0;
	c->idle_at =
		t->cfg.keepalive_ms > 0 ? deadline(t, t->cfg.keepalive_ms) : 0;
	conn_arm(c);
	/* Closed before it was there, after a simultaneous open. */
	if (c->flags & CONN_FIN)
		conn_mark(c);
}

/* --- SYNs ---------------------------------------------------------------- */

/* Back to where the frame came from. */
static bool
path_back(struct tcp *t, const struct tcp_in *in, struct tcp_path *path)
{
	const uint8_t *eth = in->p.data;

	if (t->cfg.route(t->cfg.ctx, TCP_NEXTHOP_PEER, path) != 0)
		return false;
	memcpy(path->local_mac, eth, 6);
	memcpy(path->remote_mac, eth + 6, 6);
	return true;
}

static struct tcp_conn *
passive_create(struct tcp *t, struct tcp_in *in, const struct tcp_tuple *tuple,
	uint32_t listener, uint32_t min_isn)
{
	struct tcp_path path;
	struct tcp_conn *c;

	if (!path_back(t, in, &path))
		return NULL;
	if (t->connections + t->cfg.reserved >= t->cfg.max_connections) {
		t->stats->table_full++;
		return NULL;
	}
	c = conn_create(t, tuple);
	if (c == NULL)
		return NULL;
	c->path = path;
	c->nexthop = TCP_NEXTHOP_PEER;
	c->listener = listener;
	c->ops = t->listener[listener].ops;
	c->flags |= CONN_PASSIVE;
	conn_begin(c, min_isn);
	conn_take_options(c, &in->s);
	return c;
}

/* Answer a SYN without remembering it. */
static void
answer_cookie(struct tcp *t, struct tcp_in *in, const struct tcp_tuple *tuple)
{
	const struct tcp_seg *syn = &in->s;
	uint32_t ts = now32(t) + secret_ts_offset(&t->secret, tuple);
	struct tcp_path path;
	struct tcp_seg s = { .ack = syn->seq + 1,
		.flags = TCP_SYN | TCP_ACK,
		.opts = TCP_OPT_MSS,
		.wscale = scale_for(t->cfg.rcv_buf),
		.ts_ecr = syn->ts_val };
	uint16_t mss = ip_addr_is_v4(&tuple->remote) ? TCP_MSS_DEFAULT4
						     : TCP_MSS_DEFAULT6;

	if (!path_back(t, in, &path))
		return;
	if (syn->opts & TCP_OPT_MSS)
		mss = syn->mss;
	s.seq = cookie_make(&t->secret, tuple, syn->seq, mss, t->now_ms);
	s.mss = mss_of_mtu(t, &tuple->remote, path.mtu);
	s.wnd = (uint16_t)(t->cfg.rcv_buf < UINT16_MAX ? t->cfg.rcv_buf
						       : UINT16_MAX);
	/* Only timestamps have room for the other options. */
	if ((syn->opts & TCP_OPT_TS) && !t->cfg.no_timestamps) {
		s.opts |= TCP_OPT_TS |
			  (syn->opts & (TCP_OPT_WSCALE | TCP_OPT_SACKOK));
		if (t->cfg.no_sack)
			s.opts &= (uint8_t)~TCP_OPT_SACKOK;
		if (t->cfg.no_wscale)
			s.opts &= (uint8_t)~TCP_OPT_WSCALE;
		s.ts_val = cookie_ts(ts, syn);
	}
	t->cookies_at = deadline(t, 0);
	t->stats->cookies_sent++;
	frame_answer(t, in, &s);
}

static bool
is_crowded(const struct tcp *t, const struct tcp_listener *l)
{
	return t->cfg.always_cookies || t->half_open >= t->cfg.max_half_open ||
	       (l->backlog != 0 && l->half_open >= l->backlog);
}

static void
syn_input(struct tcp *t, struct tcp_in *in, const struct tcp_tuple *tuple,
	uint32_t listener, uint32_t min_isn)
{
	struct tcp_conn *c;

	if (is_crowded(t, &t->listener[listener])) {
		answer_cookie(t, in, tuple);
		return;
	}
	c = passive_create(t, in, tuple, listener, min_isn);
	if (c == NULL)
		return;
	c->irs = in->s.seq;
	c->rcv_nxt = c->rcv_adv = c->ack_sent = in->s.seq + 1;
	c->snd_wnd = c->max_wnd = in->s.wnd;
	t->listener[listener].half_open++;
	conn_set_state(c, TCP_SYN_RCVD);
	c->flags |= CONN_SYN_DUE;
	conn_mark(c);
	conn_arm(c);
}

/* --- the ACK of a cookie ------------------------------------------------- */

/* What the SYN has said, as far as the cookie knows. */
static struct tcp_seg
syn_of(const struct tcp_cookie *cookie, const struct tcp_seg *ack)
{
	return (struct tcp_seg){ .opts = cookie->opts | TCP_OPT_MSS,
		.mss = cookie->mss,
		.wscale = cookie->wscale,
		.ts_val = ack->ts_val };
}

/* true: nothing more is to be said to the segment. */
static bool
cookie_input(struct tcp *t, struct tcp_in *in, const struct tcp_tuple *tuple,
	uint32_t listener)
{
	const struct tcp_seg *s = &in->s;
	struct tcp_cookie cookie;
	struct tcp_conn *c;
	struct tcp_seg syn;

	if (t->cookies_at == 0 || now32(t) - t->cookies_at > COOKIE_LIFE_MS)
		return false;
	if (!cookie_check(&t->secret, tuple, s->seq - 1, s->ack - 1,
		    s->opts & TCP_OPT_TS, s->ts_ecr, t->now_ms, &cookie)) {
		t->stats->cookies_bad++;
		/*
		 * Its first segment, which had the cookie, may be lost; a
		 * reset would end what can still begin when it comes again.
		 */
		return seg_space(s) > 0;
	}
	t->stats->cookies_ok++;
	c = passive_create(t, in, tuple, listener, 0);
	if (c == NULL)
		return true;
	syn = syn_of(&cookie, s);
	conn_take_options(c, &syn);
	c->iss = s->ack - 1;
	c->irs = s->seq - 1;
	c->snd_una = c->snd_nxt = c->iss;
	c->snd_end = c->snd_nxt = c->iss + 1;
	c->rcv_nxt = c->ack_sent = s->seq;
	c->rcv_adv = s->seq;
	receive_window(c);
	t->listener[listener].half_open++;
	conn_set_state(c, TCP_SYN_RCVD);
	/* From here on it is as if the SYN+ACK had been remembered. */
	conn_input(c, in);
	in->m = NULL;
	return true;
}

nf_verdict
listen_input(struct tcp *t, struct tcp_in *in, const struct tcp_tuple *tuple,
	uint32_t min_isn)
{
	uint16_t at = *place(t, &tuple->local, tuple->lport);
	uint8_t flags = in->s.flags;

	if (flags & TCP_RST)
		return NF_DROP(TCP_DROP_CLOSED_PORT);
	if (at != 0 && (flags & (TCP_SYN | TCP_ACK | TCP_FIN)) == TCP_SYN) {
		syn_input(t, in, tuple, at - 1u, min_isn);
	} else if (at != 0 && !(flags & TCP_ACK)) {
		/* RFC 9293 section 3.10.7.2: not even worth a reset. */
		return NF_DROP(TCP_DROP_CLOSED_PORT);
	} else if (at == 0 || (flags & TCP_SYN) ||
		   !cookie_input(t, in, tuple, at - 1u)) {
		frame_reset(t, in);
		return NF_DROP(TCP_DROP_CLOSED_PORT);
	}
	rte_pktmbuf_free(in->m);
	return NF_HELD;
}
