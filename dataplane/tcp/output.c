/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a connection has to say now: SYNs, what was lost, what is new, a FIN,
 * an ACK. How much is decided by the peer's window, by the congestion window
 * and by the rules against small segments.
 */
#include "dataplane/tcp/internal.h"

/* Most that is handed to a port that cuts segments itself. */
#define TSO_BYTES 61440

static bool
syn_output(struct tcp_conn *c)
{
	uint8_t flags = TCP_SYN;

	if (c->state == TCP_SYN_RCVD)
		flags |= TCP_ACK;
	if (!frame_send(c, c->iss, 0, flags))
		return false;
	c->flags &= (uint16_t)~CONN_SYN_DUE;
	if (c->syn_sent++ == 0) {
		c->flags |= CONN_TIMED;
		c->rtt_seq = c->iss;
		c->rtt_at = now32(c->stack);
	} else {
		c->flags &= (uint16_t)~CONN_TIMED;
		c->stack->stats->retransmits++;
		c->retransmits++;
	}
	c->snd_nxt = c->iss + 1;
	if (c->rtx_at == 0)
		timer_rtx_start(c);
	return true;
}

/* --- what was lost ------------------------------------------------------- */

/* [seq, end) of what was sent already, a FIN perhaps at its end. */
static bool
send_again(struct tcp_conn *c, uint32_t seq, uint32_t end)
{
	uint32_t len = seq_min(end, c->snd_end) - seq;
	uint8_t flags = TCP_ACK;

	if (seq_gt(end, c->snd_end))
		flags |= TCP_FIN;
	if (seq_geq(end, c->snd_end))
		flags |= TCP_PSH;
	if (!frame_send(c, seq, len, flags))
		return false;
	c->flags &= (uint16_t)~CONN_TIMED;
	c->stack->stats->retransmits++;
	c->retransmits++;
	c->sent_at = now32(c->stack);
	return true;
}

/* The end of a segment at `seq` that goes no further than `limit`. */
static uint32_t
segment_end(const struct tcp_conn *c, uint32_t seq, uint32_t limit)
{
	uint32_t end = seq + conn_mss(c);

	/* A FIN goes with the last byte, or alone. */
	if (seq_geq(end, c->snd_end))
		end = seq_max(c->snd_end, limit);
	return seq_min(end, limit);
}

/* What SACK says of bytes at `seq`: the next ones that are to be sent. */
static uint32_t
skip_sacked(const struct sack_board *b, uint32_t seq, uint32_t *limit)
{
	for (uint32_t i = 0; b != NULL && i < b->n; i++) {
		if (seq_geq(seq, b->r[i].start) && seq_lt(seq, b->r[i].end))
			seq = b->r[i].end;
		if (seq_gt(b->r[i].start, seq)) {
			*limit = seq_min(*limit, b->r[i].start);
			break;
		}
	}
	return seq;
}

/* Bytes sent since the time-out and not known to have arrived. */
static uint32_t
flight_again(const struct tcp_conn *c)
{
	const struct sack_board *b = conn_board(c);
	uint32_t bytes = c->rtx_nxt - c->snd_una;

	for (uint32_t i = 0; b != NULL && i < b->n; i++)
		if (seq_lt(b->r[i].start, c->rtx_nxt))
			bytes -= seq_min(b->r[i].end, c->rtx_nxt) -
				 b->r[i].start;
	return bytes;
}

static bool
resend_all(struct tcp_conn *c)
{
	while (seq_lt(c->rtx_nxt, c->recover)) {
		uint32_t limit = c->recover, end;
		uint32_t seq = skip_sacked(conn_board(c), c->rtx_nxt, &limit);

		if (seq_geq(seq, c->recover)) {
			c->rtx_nxt = c->recover;
			break;
		}
		end = segment_end(c, seq, limit);
		if (seq != c->snd_una &&
			(flight_again(c) + (end - seq) > c->cc.cwnd ||
				seq_gt(end, c->snd_una + c->snd_wnd)))
			break;
		if (!send_again(c, seq, end))
			return false;
		c->rtx_nxt = end;
	}
	c->flags &= (uint16_t)~CONN_RTX_DUE;
	return true;
}

/* The first segment that is missing. */
static bool
resend_first(struct tcp_conn *c)
{
	struct sack_board *b = conn_board(c);
	uint32_t limit = c->snd_nxt;
	struct tcp_range r = { .start = c->snd_una };

	if (b != NULL)
		skip_sacked(b, c->snd_una, &limit);
	r.end = segment_end(c, r.start, limit);
	if (!send_again(c, r.start, r.end))
		return false;
	if (b != NULL && seq_lt(b->high_rxt, r.end))
		sack_retransmitted(b, &r);
	c->flags &= (uint16_t)~CONN_RTX_DUE;
	return true;
}

static bool
is_new_sendable(const struct tcp_conn *c)
{
	return c->snd_end != c->snd_nxt && !(c->flags & CONN_FIN_SENT) &&
	       seq_gt(c->snd_una + c->snd_wnd, c->snd_nxt);
}

/* RFC 6675 section 5, step C. */
static bool
resend_by_sack(struct tcp_conn *c)
{
	struct sack_board *b = conn_board(c);
	uint32_t mss = conn_mss(c);
	struct tcp_range r;

	while (c->cc.cwnd >= sack_pipe(b, c->snd_una, c->snd_nxt, mss) + mss) {
		if (!sack_next(b, c->snd_una, c->snd_nxt, mss,
			    !is_new_sendable(c), &r))
			break;
		if (!send_again(c, r.start, r.end))
			return false;
		sack_retransmitted(b, &r);
	}
	return true;
}

static bool
resend(struct tcp_conn *c)
{
	if (c->snd_una == c->snd_nxt)
		return true;
	if (c->recovery == RECOVERY_TIME)
		return resend_all(c);
	/* Without a board each partial ACK asks for one; with one, the first
	 * goes whatever the pipe is. */
	if ((c->flags & CONN_RTX_DUE) &&
		(c->board == BOARD_NONE ||
			seq_leq(conn_board(c)->high_rxt, c->snd_una)) &&
		!resend_first(c))
		return false;
	c->flags &= (uint16_t)~CONN_RTX_DUE;
	return c->board == BOARD_NONE || resend_by_sack(c);
}

/* --- what is new --------------------------------------------------------- */

static uint32_t
in_flight(const struct tcp_conn *c)
{
	const struct sack_board *b = conn_board(c);

	if (c->recovery == RECOVERY_FAST && b != NULL)
		return sack_pipe(b, c->snd_una, c->snd_nxt, conn_mss(c));
	if (b != NULL)
		return c->snd_nxt - c->snd_una - b->sacked;
	return c->snd_nxt - c->snd_una;
}

/* Limited transmit (RFC 3042): one more for each of the first duplicates. */
static uint32_t
send_window(const struct tcp_conn *c)
{
	if (c->recovery == RECOVERY_NONE && c->dupacks > 0 &&
		c->board == BOARD_NONE)
		return c->cc.cwnd + (c->dupacks < 2 ? 1 : 2) * conn_mss(c);
	return c->cc.cwnd;
}

/*
 * Bytes that the next segment of new data has; 0: none now. RFC 9293 section
 * 3.8.6.2.1: a small one only if it is the last, or half the largest window
 * that the peer has ever offered, or if it has waited for long enough.
 */
static uint32_t
next_len(struct tcp_conn *c, uint32_t queued, int32_t window)
{
	const struct tcp *t = c->stack;
	uint32_t mss = conn_mss(c), flight = in_flight(c);
	uint32_t len = queued, cwnd = send_window(c);

	if (window <= 0)
		return 0;
	if (t->cfg.offload & TCP_TX_TSO)
		mss = TSO_BYTES / mss * mss;
	if (len > mss)
		len = mss;
	if (len > (uint32_t)window) {
		len = (uint32_t)window;
		if (len < conn_mss(c) && len < c->max_wnd / 2 &&
			!(c->flags & CONN_PROBE))
			return 0;
	}
	if (flight + len > cwnd) {
		c->flags |= CONN_LIMITED;
		len = cwnd > flight
			      ? (cwnd - flight) / conn_mss(c) * conn_mss(c)
			      : 0;
		/* With nothing out there is always something to send. */
		if (len == 0 && flight == 0)
			len = queued < conn_mss(c) ? queued : conn_mss(c);
		return len;
	}
	if (t->cfg.nagle && len < conn_mss(c) && flight > 0 &&
		!(c->flags & CONN_FIN))
		return 0;
	return len;
}

static void
sent_new(struct tcp_conn *c, uint32_t len, bool fin)
{
	struct tcp *t = c->stack;

	if (c->snd_una == c->snd_nxt)
		c->una_at = now32(t);
	if (!(c->flags & CONN_TIMED) && !(c->opts & TCP_OPT_TS)) {
		c->flags |= CONN_TIMED;
		c->rtt_seq = c->snd_nxt;
		c->rtt_at = now32(t);
	}
	c->sent_at = now32(t);
	t->stats->out_bytes += len;
	c->snd_nxt += len + fin;
	if (fin) {
		c->flags |= CONN_FIN_SENT;
		if (c->state == TCP_ESTABLISHED)
			conn_set_state(c, TCP_FIN_WAIT_1);
		else
			conn_set_state(c, TCP_LAST_ACK);
	}
	/* Where the next one begins is found from here. */
	if (len > 0)
		c->snd_cur = queue_at(c, c->snd_nxt - fin - 1);
	if (c->rtx_at == 0 || (c->flags & CONN_PERSIST)) {
		c->flags &= (uint16_t)~CONN_PERSIST;
		c->backoff = 0;
		timer_rtx_start(c);
	}
}

static bool
send_new(struct tcp_conn *c)
{
	struct tcp *t = c->stack;

	if (c->snd_nxt == c->snd_una && c->snd_end != c->snd_nxt &&
		c->sent_at != 0 && now32(t) - c->sent_at > conn_rto(c))
		t->cc->idle(&c->cc, conn_mss(c));
	c->flags &= (uint16_t)~CONN_LIMITED;
	while (conn_sends(c)) {
		uint32_t queued = c->snd_end - c->snd_nxt;
		int32_t window =
			(int32_t)(c->snd_una + c->snd_wnd - c->snd_nxt);
		uint32_t len = next_len(c, queued, window);
		bool last = len == queued;
		bool fin = (c->flags & CONN_FIN) && last && window > 0 &&
			   (uint32_t)window > len;
		uint8_t flags = TCP_ACK;

		if (len == 0 && !fin)
			break;
		if (last && len > 0)
			flags |= TCP_PSH;
		if (fin)
			flags |= TCP_FIN;
		if (!frame_send(c, c->snd_nxt, len, flags))
			return false;
		sent_new(c, len, fin);
	}
	return true;
}

/* --- the rest ------------------------------------------------------------ */

/* Something waits, nothing is out, and the window does not let it go. */
static void
watch_window(struct tcp_conn *c)
{
	struct tcp *t = c->stack;
	bool waits = c->snd_end != c->snd_nxt ||
		     ((c->flags & CONN_FIN) && !(c->flags & CONN_FIN_SENT));

	if (!conn_sends(c) || !waits || c->snd_una != c->snd_nxt ||
		c->rtx_at != 0)
		return;
	c->flags |= CONN_PERSIST;
	c->una_at = now32(t);
	timer_rtx_start(c);
}

/*
 * An old number: the peer must say where it is. It need not read what else is
 * in such a segment, so an ACK that is owed is owed still.
 */
static bool
probe(struct tcp_conn *c)
{
	uint16_t owed = c->flags & CONN_ACK_NOW;
	uint32_t ack_at = c->ack_at;

	if (!frame_send(c, c->snd_una - 1, 0, TCP_ACK))
		return false;
	c->flags &= (uint16_t)~CONN_PROBE;
	c->flags |= owed;
	c->ack_at = ack_at;
	return true;
}

bool
conn_output(struct tcp_conn *c)
{
	if (c->flags & CONN_SYN_DUE)
		return syn_output(c);
	if (!conn_synced(c))
		return c->state != TCP_SYN_RCVD || !(c->flags & CONN_ACK_NOW) ||
		       frame_send(c, c->snd_nxt, 0, TCP_ACK);
	if ((c->flags & CONN_PROBE) && !is_new_sendable(c) && !probe(c))
		return false;
	if (c->recovery != RECOVERY_NONE && !resend(c))
		return false;
	if ((c->recovery != RECOVERY_TIME || seq_geq(c->rtx_nxt, c->recover)) &&
		!send_new(c))
		return false;
	c->flags &= (uint16_t)~CONN_PROBE;
	if ((c->flags & CONN_ACK_NOW) && !frame_send(c, c->snd_nxt, 0, TCP_ACK))
		return false;
	watch_window(c);
	return true;
}
