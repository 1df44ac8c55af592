/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a segment brings: payload in order to the user, the rest to wait for
 * what is missing, the FIN, and the window that we offer.
 *
 * There is no receive queue. Payload in order is the user's at once, and
 * fills the window until it says that it has gone on.
 */
#include <rte_mbuf.h>

#include "dataplane/tcp/internal.h"

/* --- the window ---------------------------------------------------------- */

uint32_t
receive_space(const struct tcp_conn *c)
{
	uint32_t buf = c->stack->cfg.rcv_buf;
	uint32_t most = (uint32_t)UINT16_MAX
			<< c->rcv_wscale; /* Short of mbufs everybody gets on,
					     by little steps. */
	if (unlikely(is_pressed(c->stack)) && buf > 2u * c->mss)
		buf = 2u * c->mss;
	if (c->rcv_held >= buf)
		return 0;
	buf -= c->rcv_held;
	return buf < most ? buf : most;
}

/*
 * The right edge moves by a segment or half the buffer at least (RFC 9293
 * section 3.8.6.2.2), and never back.
 */
uint16_t
receive_window(struct tcp_conn *c)
{
	uint32_t edge = c->rcv_nxt + receive_space(c);
	uint32_t step = c->stack->cfg.rcv_buf / 2;

	if (step > c->mss)
		step = c->mss;
	if (seq_geq(edge, c->rcv_adv + step))
		c->rcv_adv = edge;
	return (uint16_t)((c->rcv_adv - c->rcv_nxt) >> c->rcv_wscale);
}

/* Is it worth a segment of its own to say that there is more room? */
static bool
is_window_news(const struct tcp_conn *c)
{
	uint32_t now = c->rcv_adv - c->rcv_nxt;
	uint32_t more = c->rcv_nxt + receive_space(c) - c->rcv_adv;
	uint32_t buf = c->stack->cfg.rcv_buf;

	if ((int32_t)more <= 0)
		return false;
	if (now < 2u * c->mss)
		return more >= c->mss || more >= buf / 2;
	return more >= buf / 4;
}

/*
 * The count of mbufs goes down by the share of bytes: which are which is the
 * user's knowledge.
 */
static void
give_back(struct tcp_conn *c, uint32_t bytes)
{
	uint32_t bufs = c->rcv_bufs;

	if (bytes < c->rcv_held)
		bufs = (uint32_t)((uint64_t)bufs * bytes / c->rcv_held);
	else
		bytes = c->rcv_held;
	c->rcv_held -= bytes;
	c->rcv_bufs -= (uint16_t)bufs;
	c->stack->lent -= bufs;
}

void
tcp_consumed(struct tcp_conn *c, uint32_t bytes)
{
	give_back(c, bytes);
	if ((c->flags & CONN_PEER_FIN) || !conn_synced(c) || !is_window_news(c))
		return;
	c->flags |= CONN_ACK_NOW;
	conn_mark(c);
}

void
tcp_returned(struct tcp_conn *c, uint32_t bufs)
{
	if (bufs > c->rcv_bufs)
		bufs = c->rcv_bufs;
	c->rcv_bufs -= (uint16_t)bufs;
	c->stack->lent -= bufs;
}

/* --- acknowledging ------------------------------------------------------- */

/* Every second full segment at once, else a little later (RFC 5681 4.2). */
static void
ack_data(struct tcp_conn *c)
{
	struct tcp *t = c->stack;

	if ((c->flags & CONN_QUICKACK) ||
		c->rcv_nxt - c->ack_sent >= 2 * conn_mss(c)) {
		c->flags |= CONN_ACK_NOW;
		conn_mark(c);
	} else if (c->ack_at == 0) {
		c->ack_at = deadline(t, t->cfg.delack_ms);
		conn_arm(c);
	}
}

static void
ack_at_once(struct tcp_conn *c)
{
	c->flags |= CONN_ACK_NOW;
	conn_mark(c);
}

/* --- payload ------------------------------------------------------------- */

/*
 * Cut the frame to the part of its payload that is in the window. What lies
 * before it was taken already; a FIN beyond the edge is not taken.
 */
static void
trim(const struct tcp_conn *c, struct tcp_in *in)
{
	struct tcp_seg *s = &in->s;
	struct rte_mbuf *m = in->m;
	uint32_t front = in->p.l4 + s->hdr_len, cut = 0, over;

	if (seq_lt(s->seq, c->rcv_nxt)) {
		cut = c->rcv_nxt - s->seq;
		if (cut > s->len)
			cut = s->len;
		s->seq += cut;
		s->len -= cut;
		c->stack->stats->duplicates += s->len == 0;
	}
	if (seq_gt(s->seq + s->len, c->rcv_adv)) {
		over = s->seq + s->len - c->rcv_adv;
		s->len -= over < s->len ? over : s->len;
		s->flags &= (uint8_t)~TCP_FIN;
	}
	rte_pktmbuf_adj(m, (uint16_t)(front + cut));
	rte_pktmbuf_trim(m, (uint16_t)(m->pkt_len - s->len));
}

/*
 * rte_pktmbuf_adj() and _trim() work on one segment. Frames of several are
 * taken if the headers, and what is cut off, are in the first and the last.
 */
static bool
can_trim(const struct tcp_conn *c, const struct tcp_in *in)
{
	const struct rte_mbuf *m = in->m;
	uint32_t end = in->p.l4 + in->s.hdr_len + in->s.len;

	return m->nb_segs == 1 ||
	       (in->s.seq == c->rcv_nxt && end == m->pkt_len &&
		       seq_leq(in->s.seq + in->s.len, c->rcv_adv) &&
		       in->p.l4 + in->s.hdr_len <= m->data_len);
}

/* true: the connection is still there. */
static bool
deliver(struct tcp_conn *c, struct rte_mbuf *data)
{
	struct stats_tcp *stats = c->stack->stats;
	uint32_t life = c->life;

	/* The user has closed while it was told of what came before. */
	if (c->flags & CONN_ORPHAN) {
		rte_pktmbuf_free(data);
		conn_reset(c);
		conn_free(c, false);
		return false;
	}
	c->rcv_nxt += data->pkt_len;
	c->rcv_held += data->pkt_len;
	c->rcv_bufs += data->nb_segs;
	c->stack->lent += data->nb_segs;
	stats->in_bytes += data->pkt_len;
	c->ops->received(c, c->user, data);
	return c->life == life;
}

static bool
fin_input(struct tcp_conn *c)
{
	uint32_t life = c->life;

	c->rcv_nxt++;
	/* Taken behind a closed window: its ACKs come from behind it, too. */
	c->rcv_adv = seq_max(c->rcv_adv, c->rcv_nxt);
	c->flags |= CONN_PEER_FIN;
	ack_at_once(c);
	if (c->state == TCP_ESTABLISHED)
		conn_set_state(c, TCP_CLOSE_WAIT);
	else if (c->state == TCP_FIN_WAIT_1)
		conn_set_state(c, TCP_CLOSING);
	if (!(c->flags & CONN_ORPHAN))
		c->ops->finished(c, c->user);
	if (c->life != life)
		return false;
	if (c->state == TCP_FIN_WAIT_2) { /* Its answer first: the small entry
					     can only repeat it. */
		c->stack->tx_room = 1;
		conn_output(c);
		wait_enter(c);
		return false;
	}
	return true;
}

static void
reset_unread(struct tcp_conn *c)
{
	conn_reset(c);
	conn_free(c, false);
}

/* What follows what has just come. true: the connection is still there. */
static bool
take_queued(struct tcp_conn *c, bool *fin)
{
	struct tcp *t = c->stack;
	uint32_t taken;
	struct rte_mbuf *data = reass_take(&c->ooo, c->rcv_nxt, &taken, fin);

	t->held -= taken;
	/* The user may have closed it over what came just before. */
	if (data != NULL && (c->flags & CONN_ORPHAN)) {
		rte_pktmbuf_free(data);
		reset_unread(c);
		return false;
	}
	return data == NULL || deliver(c, data);
}

static void
in_order(struct tcp_conn *c, struct tcp_in *in)
{
	bool fin = in->s.flags & TCP_FIN, gap = c->ooo.first != NULL;

	if (in->s.len > 0) {
		if (!deliver(c, in->m))
			return;
	} else {
		rte_pktmbuf_free(in->m);
	}
	if (gap && !fin && !take_queued(c, &fin))
		return;
	if (gap)
		ack_at_once(c);
	else
		ack_data(c);
	if (fin)
		fin_input(c);
}

/* mbufs that may wait: by memory, not by bytes, which may be one in each. */
static uint32_t
queue_max(const struct tcp_conn *c)
{
	return c->stack->cfg.rcv_buf / 1024 + 16;
}

static void
out_of_order(struct tcp_conn *c, struct tcp_in *in)
{
	struct tcp *t = c->stack;
	t->stats->out_of_order++;
	ack_at_once(c);
	if (is_pressed(t) || in->m->nb_segs > 1) {
		t->stats->no_memory++;
		rte_pktmbuf_free(in->m);
		return;
	}
	t->held += (uint32_t)reass_insert(
		&c->ooo, in->m, in->s.seq, in->s.flags & TCP_FIN, queue_max(c));
}

/* Nobody reads any more: say so (RFC 1122 section 4.2.2.13). */
static bool
is_unwanted(const struct tcp_conn *c, const struct tcp_seg *s)
{
	return (c->flags & CONN_ORPHAN) && s->len > 0 &&
	       seq_gt(s->seq + s->len, c->rcv_nxt);
}

static bool
is_spent(const struct tcp *t)
{
	return t->held + t->lent >= t->cfg.max_held + t->cfg.max_held / 2;
}

void
receive_input(struct tcp_conn *c, struct tcp_in *in)
{
	struct tcp_seg *s = &in->s;

	if ((c->flags & CONN_PEER_FIN) || !can_trim(c, in)) {
		rte_pktmbuf_free(in->m);
		return;
	}
	if (is_unwanted(c, s)) {
		rte_pktmbuf_free(in->m);
		reset_unread(c);
		return;
	} /* The driver must have some to receive with, or no ACK comes in. */
	if (unlikely(is_spent(c->stack)) && s->len > 0) {
		c->stack->stats->no_memory++;
		rte_pktmbuf_free(in->m);
		return;
	}
	trim(c, in);
	if (s->len == 0 && !(s->flags & TCP_FIN)) {
		ack_at_once(c);
		rte_pktmbuf_free(in->m);
	} else if (s->seq == c->rcv_nxt) {
		in_order(c, in);
	} else {
		out_of_order(c, in);
	}
}
