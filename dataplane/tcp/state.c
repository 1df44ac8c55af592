/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A segment arrives for a connection: RFC 9293 section 3.10.7, in its order.
 *
 *   old timestamp? outside the window? RST? SYN? what it acknowledges,
 *   its data, its FIN
 *
 * with the checks of RFC 5961: a reset must be exact, a SYN never resets, and
 * what is odd is answered by a challenge ACK, of which there are few.
 */
#include <errno.h>
#include <rte_mbuf.h>

#include "dataplane/tcp/internal.h"

/* Between two challenge ACKs of a connection. */
#define CHALLENGE_MS 500

/* So many SYNs may go out without waiting for the time-out. */
#define SYNS_AT_ONCE 3

/* A timestamp that has not moved for so long says nothing (RFC 7323 5.5). */
#define TS_RECENT_LIFE_MS (24u * 86400 * 1000)

void
challenge_ack(struct tcp_conn *c)
{
	struct tcp *t = c->stack;

	/* For each connection apart: a limit that is shared tells others. */
	if (c->challenge_at != 0 && now32(t) - c->challenge_at < CHALLENGE_MS) {
		t->stats->challenge_limited++;
		return;
	}
	c->challenge_at = deadline(t, 0);
	t->stats->challenge_acks++;
	c->flags |= CONN_ACK_NOW;
	conn_mark(c);
}

static void
ack_now(struct tcp_conn *c)
{
	c->flags |= CONN_ACK_NOW;
	conn_mark(c);
}

/* RFC 7323 section 5.3; false: drop it. */
static bool
paws(struct tcp_conn *c, const struct tcp_seg *s)
{
	struct tcp *t = c->stack;

	if (!(c->opts & TCP_OPT_TS) || (s->flags & TCP_RST))
		return true;
	if (!(s->opts & TCP_OPT_TS)) {
		/* Section 3.2: it had promised one in each. */
		t->stats->unacceptable++;
		return false;
	}
	if (!seq_lt(s->ts_val, c->ts_recent) ||
		now32(t) - c->ts_recent_at > TS_RECENT_LIFE_MS)
		return true;
	t->stats->paws++;
	if (seg_space(s) > 0)
		ack_now(c);
	else
		challenge_ack(c);
	return false;
}

/*
 * Is any of it in the window? A bare ACK may stand at the window's very edge:
 * a peer that has filled it has nowhere else to send one from.
 */
static bool
acceptable(const struct tcp_conn *c, const struct tcp_seg *s)
{
	uint32_t space = seg_space(s), end = s->seq + space;
	uint32_t edge = c->rcv_adv;

	if (space == 0)
		return seq_geq(s->seq, c->rcv_nxt) && seq_leq(s->seq, edge);
	/* With a closed window what it acknowledges counts, and a bare FIN. */
	if (edge == c->rcv_nxt)
		return s->seq == c->rcv_nxt;
	return seq_lt(s->seq, edge) && seq_gt(end, c->rcv_nxt);
}

static void
refuse(struct tcp_conn *c, const struct tcp_seg *s)
{
	struct tcp *t = c->stack;

	t->stats->unacceptable++;
	if (s->len > 0 && seq_leq(s->seq + s->len, c->rcv_nxt))
		t->stats->duplicates++;
	/*
	 * What takes sequence space is waiting for an ACK, and so is a probe,
	 * just before the window. Other bare ACKs could be answered for ever.
	 */
	if (seg_space(s) > 0 || s->seq == c->rcv_nxt - 1)
		ack_now(c);
	else
		challenge_ack(c);
}

/* RFC 5961 section 3. */
static void
reset_input(struct tcp_conn *c, const struct tcp_seg *s)
{
	struct tcp *t = c->stack;

	if (s->seq != c->rcv_nxt) {
		if (seq_gt(s->seq, c->rcv_nxt) && seq_lt(s->seq, c->rcv_adv))
			challenge_ack(c);
		return;
	}
	t->stats->resets_in++;
	if (c->state == TCP_SYN_RCVD) {
		t->stats->failed_opens++;
		conn_end(c, -ECONNREFUSED);
		return;
	}
	conn_end(c, -ECONNRESET);
}

/* --- opening ------------------------------------------------------------- */

static void
rtt_of_syn(struct tcp_conn *c)
{
	if (c->syn_sent == 1 && (c->flags & CONN_TIMED))
		rtt_sample(&c->rtt, now32(c->stack) - c->rtt_at);
	c->flags &= (uint16_t)~CONN_TIMED;
}

static void
window_first(struct tcp_conn *c, const struct tcp_seg *s, uint8_t scale)
{
	c->snd_wnd = (uint32_t)s->wnd << scale;
	c->max_wnd = c->snd_wnd;
	c->snd_wl1 = s->seq;
	c->snd_wl2 = s->ack;
}

static void
syn_ack_input(struct tcp_conn *c, const struct tcp_seg *s)
{
	rtt_of_syn(c);
	c->snd_una = s->ack;
	window_first(c, s, 0);
	conn_established(c);
	ack_now(c);
	c->ops->connected(c, c->user);
}

/* Both have sent a SYN (RFC 9293 figure 7). */
static void
simultaneous(struct tcp_conn *c)
{
	conn_set_state(c, TCP_SYN_RCVD);
	c->snd_nxt = c->iss;
	c->flags |= CONN_SYN_DUE;
	conn_mark(c);
}

static void
syn_sent_input(struct tcp_conn *c, struct tcp_in *in)
{
	const struct tcp_seg *s = &in->s;
	struct tcp *t = c->stack;
	bool acks = s->flags & TCP_ACK;

	if (acks && s->ack != c->iss + 1) {
		/*
		 * An old connection of the same ends, of which the peer still
		 * knows: the reset ends it, and the next SYN need not wait.
		 */
		if (s->flags & TCP_RST)
			return;
		frame_reset(t, in);
		/* A peer that ignores resets would be asked for ever. */
		if (c->syn_sent < SYNS_AT_ONCE) {
			c->flags |= CONN_SYN_DUE;
			conn_mark(c);
		}
		return;
	}
	if (s->flags & TCP_RST) {
		if (!acks)
			return;
		t->stats->resets_in++;
		t->stats->failed_opens++;
		conn_end(c, -ECONNREFUSED);
		return;
	}
	if (!(s->flags & TCP_SYN))
		return;
	conn_take_options(c, s);
	c->irs = s->seq;
	c->rcv_nxt = c->ack_sent = s->seq + 1;
	c->rcv_adv = c->rcv_nxt;
	/* What our SYN has offered. */
	c->rcv_adv += c->stack->cfg.rcv_buf < UINT16_MAX ? c->stack->cfg.rcv_buf
							 : UINT16_MAX;
	if (acks)
		syn_ack_input(c, s);
	else
		simultaneous(c);
}

/*
 * SYN_RCVD: SYNs again, and the ACK that ends the hand-shake. true: it is
 * established now (or was ended: see c->life), and the segment goes on.
 */
static bool
syn_rcvd_input(struct tcp_conn *c, struct tcp_in *in)
{
	struct tcp_seg *s = &in->s;
	struct tcp *t = c->stack;

	if (!(s->flags & TCP_ACK))
		return false;
	if (s->ack != c->iss + 1 || c->snd_nxt == c->iss) {
		frame_reset(t, in);
		return false;
	}
	rtt_of_syn(c);
	c->snd_una = s->ack;
	window_first(c, s, s->flags & TCP_SYN ? 0 : c->snd_wscale);
	conn_established(c);
	if (c->flags & CONN_PASSIVE) {
		const struct tcp_listener *l = &t->listener[c->listener];
		uint32_t life = c->life;
		void *user = c->ops->accepted(l->user, c);

		t->stats->passive_opens++;
		if (c->life != life)
			return true;
		if (user == NULL) {
			conn_reset(c);
			conn_free(c, false);
			return true;
		}
		if (c->user == NULL)
			c->user = user;
	} else if (!(c->flags & CONN_ORPHAN)) {
		c->ops->connected(c, c->user);
	}
	return true;
}

/* A SYN where one was taken: true: the segment goes on without it. */
static bool
syn_again(struct tcp_conn *c, struct tcp_in *in)
{
	struct tcp_seg *s = &in->s;

	if (c->state != TCP_SYN_RCVD || s->seq != c->irs) {
		challenge_ack(c);
		return false;
	}
	if (s->flags & TCP_ACK) {
		/* Of a simultaneous open: behind its SYN it is an ACK. */
		s->seq++;
		return true;
	}
	c->flags |= CONN_SYN_DUE;
	conn_mark(c);
	return false;
}

/* --- every segment ------------------------------------------------------- */

/*
 * The peer's way has changed: two segments in a row from another MAC address
 * than before, for one could be forged by whoever is on its network.
 */
static void
learn_mac(struct tcp_conn *c, const uint8_t *mac)
{
	uint8_t news = (uint8_t)(mac[3] ^ mac[4] ^ mac[5]) | 1;

	if (c->nexthop != TCP_NEXTHOP_PEER)
		return;
	if (c->mac_news == news) {
		memcpy(c->path.remote_mac, mac, 6);
		c->mac_news = 0;
	} else {
		c->mac_news = news;
	}
}

static void
heard(struct tcp_conn *c, const struct tcp_in *in)
{
	const uint8_t *mac = in->p.data + 6;

	c->heard_at = now32(c->stack);
	c->probes = 0;
	if (unlikely(memcmp(c->path.remote_mac, mac, 6) != 0))
		learn_mac(c, mac);
	else
		c->mac_news = 0;
}

/* Steps 1 to 5; true: its data are to be looked at. */
static bool
check(struct tcp_conn *c, struct tcp_in *in)
{
	struct tcp_seg *s = &in->s;
	uint32_t life = c->life;

	if (c->state == TCP_SYN_SENT) {
		syn_sent_input(c, in);
		return false;
	}
	if ((s->flags & TCP_SYN) && !(s->flags & TCP_RST) && !syn_again(c, in))
		return false;
	if (!paws(c, s))
		return false;
	if (s->flags & TCP_RST) {
		reset_input(c, s);
		return false;
	}
	if (!acceptable(c, s)) {
		refuse(c, s);
		return false;
	}
	heard(c, in);
	if (c->state == TCP_SYN_RCVD &&
		(!syn_rcvd_input(c, in) || c->life != life))
		return false;
	if (!(s->flags & TCP_ACK))
		return false;
	return ack_input(c, s) && c->life == life;
}

void
conn_input(struct tcp_conn *c, struct tcp_in *in)
{
	if (check(c, in) && (in->s.len > 0 || (in->s.flags & TCP_FIN)))
		receive_input(c, in);
	else
		rte_pktmbuf_free(in->m);
}
