/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a segment acknowledges, and what that says of losses.
 *
 *               3 duplicates, or SACK says so          all acknowledged
 *   NONE ---------------------------------> FAST ----------------------> NONE
 *     |                                      |
 *     | retransmission time-out              | time-out
 *     v                                      v
 *   TIME: everything from snd_una on is sent again, as the window allows,
 *         but what the peer has by SACK -----------------------------> NONE
 *
 * FAST with a scoreboard is RFC 6675, without one RFC 6582 (NewReno's
 * inflating window). Which segments go out is output.c's.
 */
#include <errno.h>

#include "dataplane/tcp/internal.h"

#define DUP_THRESH 3

/* A round trip that is longer than this was not measured but forged. */
#define RTT_MAX_MS 600000

static void
take_timestamp(struct tcp_conn *c, const struct tcp_seg *s)
{
	/* RFC 7323 section 4.3. */
	if ((s->opts & c->opts & TCP_OPT_TS) &&
		seq_geq(s->ts_val, c->ts_recent) &&
		seq_leq(s->seq, c->ack_sent)) {
		c->ts_recent = s->ts_val;
		c->ts_recent_at = now32(c->stack);
	}
}

static void
take_rtt(struct tcp_conn *c, const struct tcp_seg *s)
{
	uint32_t ms;

	if (s->opts & c->opts & TCP_OPT_TS) {
		ms = conn_ts(c) - s->ts_ecr;
		if (s->ts_ecr != 0 && ms < RTT_MAX_MS)
			rtt_sample(&c->rtt, ms);
	} else if ((c->flags & CONN_TIMED) && seq_gt(s->ack, c->rtt_seq)) {
		rtt_sample(&c->rtt, now32(c->stack) - c->rtt_at);
		c->flags &= (uint16_t)~CONN_TIMED;
	}
}

/* Returns bytes that the peer is now known to have beyond snd_una. */
static uint32_t
take_sack(struct tcp_conn *c, const struct tcp_seg *s)
{
	if (!(c->opts & TCP_OPT_SACKOK) || s->n_sack == 0 ||
		c->snd_una == c->snd_nxt || !board_get(c))
		return 0;
	return sack_update(
		conn_board(c), s->sack, s->n_sack, c->snd_una, c->snd_nxt);
}

static uint32_t
flight(const struct tcp_conn *c)
{
	return c->snd_nxt - c->snd_una;
}

/* --- recovery ------------------------------------------------------------ */

static void
recovery_begin(struct tcp_conn *c)
{
	struct tcp *t = c->stack;

	t->cc->loss(&c->cc, conn_mss(c), flight(c), now32(t));
	c->recovery = RECOVERY_FAST;
	c->recover = c->snd_nxt;
	c->flags |= CONN_RTX_DUE;
	c->flags &= (uint16_t)~CONN_TIMED;
	if (c->board == BOARD_NONE)
		c->cc.cwnd = c->cc.ssthresh + DUP_THRESH * conn_mss(c);
	t->stats->fast_retransmits++;
	timer_rtx_start(c);
}

static void
recovery_end(struct tcp_conn *c)
{
	struct tcp *t = c->stack;

	if (c->recovery == RECOVERY_FAST)
		t->cc->recovered(&c->cc, conn_mss(c), flight(c));
	c->recovery = RECOVERY_NONE;
	c->dupacks = 0;
	c->flags &= (uint16_t)~CONN_RTX_DUE;
}

void
loss_restart(struct tcp_conn *c)
{
	c->recovery = RECOVERY_TIME;
	c->recover = c->snd_nxt;
	c->rtx_nxt = c->snd_una;
	c->dupacks = 0;
	c->flags &= (uint16_t) ~(CONN_TIMED | CONN_RTX_DUE);
	/* The peer may have thrown away what it has said to hold. */
	board_put(c);
}

/* More of a hole was filled, but not all of it (RFC 6582 section 3.2). */
static void
partial_ack(struct tcp_conn *c, uint32_t bytes)
{
	uint32_t mss = conn_mss(c);

	c->flags |= CONN_RTX_DUE;
	if (c->board != BOARD_NONE)
		return;
	c->cc.cwnd -= bytes < c->cc.cwnd ? bytes : c->cc.cwnd;
	if (bytes >= mss)
		c->cc.cwnd += mss;
	if (c->cc.cwnd < mss)
		c->cc.cwnd = mss;
}

static void
recovery_ack(struct tcp_conn *c, uint32_t bytes)
{
	struct tcp *t = c->stack;
	bool all =
		c->recovery != RECOVERY_NONE && seq_geq(c->snd_una, c->recover);

	if (c->recovery == RECOVERY_TIME && seq_lt(c->rtx_nxt, c->snd_una))
		c->rtx_nxt = c->snd_una;
	if (c->recovery != RECOVERY_FAST) {
		t->cc->acked(&c->cc, conn_mss(c), bytes, now32(t),
			c->rtt.srtt8 / 8,
			c->recovery == RECOVERY_TIME ||
				(c->flags & CONN_LIMITED));
		c->dupacks = 0;
	} else if (!all) {
		partial_ack(c, bytes);
	}
	if (all)
		recovery_end(c);
}

/*
 * Duplicates of what was sent before the last recovery say nothing (RFC 6582
 * section 3.2, step 1); SACK tells them apart.
 */
static bool
may_recover(const struct tcp_conn *c)
{
	return seq_gt(c->snd_una, c->recover) ||
	       (c->snd_una == c->recover && c->board != BOARD_NONE);
}

/*
 * Nothing new is acknowledged, but something has arrived behind a gap. After
 * a time-out duplicates say nothing about what was sent since (RFC 6582
 * section 4: "recover").
 */
static void
duplicate(struct tcp_conn *c)
{
	const struct sack_board *b = conn_board(c);

	conn_mark(c);
	if (c->recovery == RECOVERY_FAST) {
		if (b == NULL)
			c->cc.cwnd += conn_mss(c);
		return;
	}
	if (c->recovery == RECOVERY_TIME)
		return;
	if (c->dupacks < UINT8_MAX)
		c->dupacks++;
	if (c->dupacks < DUP_THRESH &&
		(b == NULL || !sack_is_lost(b, c->snd_una, conn_mss(c))))
		return;
	if (may_recover(c))
		recovery_begin(c);
}

/* --- acknowledgements ---------------------------------------------------- */

/* Our FIN has arrived. true: the connection is still there. */
static bool
fin_acked(struct tcp_conn *c)
{
	switch (c->state) {
	case TCP_FIN_WAIT_1:
		conn_set_state(c, TCP_FIN_WAIT_2);
		if (c->flags & CONN_ORPHAN)
			c->idle_at =
				deadline(c->stack, c->stack->cfg.fin_wait2_ms);
		return true;
	case TCP_CLOSING:
		wait_enter(c);
		return false;
	case TCP_LAST_ACK:
		conn_end(c, 0);
		return false;
	default:
		return true;
	}
}

static bool
new_ack(struct tcp_conn *c, const struct tcp_seg *s)
{
	uint32_t bytes = s->ack - c->snd_una;
	struct tcp *t = c->stack;

	take_rtt(c, s);
	c->snd_una = s->ack;
	c->una_at = now32(t);
	c->backoff = 0;
	queue_advance(c);
	if (c->board != BOARD_NONE)
		sack_advance(conn_board(c), c->snd_una);
	recovery_ack(c, bytes);
	if (c->snd_una == c->snd_nxt) {
		c->rtx_at = 0;
		board_put(c);
	} else {
		timer_rtx_start(c);
	}
	if (c->snd_end != c->snd_una || (c->flags & CONN_FIN))
		conn_mark(c);
	if ((c->flags & CONN_FIN_SENT) && c->snd_una == c->snd_end + 1)
		return fin_acked(c);
	return true;
}

static void
take_window(struct tcp_conn *c, const struct tcp_seg *s)
{
	uint32_t wnd = (uint32_t)s->wnd << c->snd_wscale;

	/*
	 * RFC 9293 section 3.10.7.4: not from an old segment. But what moves
	 * snd_una is news whatever its number (a retransmission has an old
	 * one): the former window, counted from there, was never promised.
	 */
	if (!(seq_gt(s->ack, c->snd_una) || seq_lt(c->snd_wl1, s->seq) ||
		    (c->snd_wl1 == s->seq && seq_leq(c->snd_wl2, s->ack))))
		return;
	c->snd_wl1 = s->seq;
	c->snd_wl2 = s->ack;
	if (wnd == c->snd_wnd)
		return;
	if (wnd == 0)
		c->stack->stats->zero_windows++;
	c->snd_wnd = wnd;
	if (wnd > c->max_wnd)
		c->max_wnd = wnd;
	if (c->flags & CONN_PERSIST) {
		c->flags &= (uint16_t)~CONN_PERSIST;
		c->rtx_at = 0;
		c->backoff = 0;
	}
	conn_mark(c);
}

/* true: the connection is still there. */
static bool
offer_room(struct tcp_conn *c)
{
	uint32_t life = c->life;

	if (!(c->flags & CONN_WANT_ROOM) ||
		c->snd_end - c->snd_una > c->stack->cfg.snd_buf / 2)
		return true;
	c->flags &= (uint16_t)~CONN_WANT_ROOM;
	if (!(c->flags & CONN_ORPHAN) && c->ops->room != NULL)
		c->ops->room(c, c->user);
	return c->life == life;
}

bool
ack_input(struct tcp_conn *c, const struct tcp_seg *s)
{
	uint32_t was_wnd = c->snd_wnd, sacked;
	bool is_new;

	/* RFC 5961 section 5.2. */
	if (seq_gt(s->ack, c->snd_nxt) ||
		seq_lt(s->ack, c->snd_una - c->max_wnd)) {
		c->stack->stats->unacceptable++;
		challenge_ack(c);
		return false;
	}
	take_timestamp(c, s);
	is_new = seq_gt(s->ack, c->snd_una);
	sacked = take_sack(c, s);
	if (seq_geq(s->ack, c->snd_una))
		take_window(c, s);
	if (is_new) {
		if (!new_ack(c, s))
			return false;
	} else if (sacked > 0 ||
		   (!(c->opts & TCP_OPT_SACKOK) && s->ack == c->snd_una &&
			   c->snd_nxt != c->snd_una && s->len == 0 &&
			   !(s->flags & (TCP_SYN | TCP_FIN)) &&
			   c->snd_wnd == was_wnd)) {
		duplicate(c);
	}
	/* A partial acknowledgement with news may complete the evidence. */
	if (is_new && sacked > 0 && c->recovery == RECOVERY_NONE &&
		c->board != BOARD_NONE &&
		sack_is_lost(conn_board(c), c->snd_una, conn_mss(c)) &&
		may_recover(c))
		recovery_begin(c);
	if (!offer_room(c))
		return false;
	conn_arm(c);
	return true;
}
