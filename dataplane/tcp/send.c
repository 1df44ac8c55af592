/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The queue of what is to be sent, and the calls on a connection.
 *
 *   snd_first                    snd_cur                snd_last
 *    [ buf ]-->[ buf ]-->[ buf ]-->[ buf ]-->[ buf ]-->[ buf ]
 *    ^snd_una                       ^snd_nxt                  ^snd_end
 *
 * An mbuf stays until its last byte is acknowledged. The driver may hold it
 * longer: it has a reference of its own.
 */
#include <errno.h>
#include <rte_mbuf.h>

#include "dataplane/tcp/internal.h"

void
queue_advance(struct tcp_conn *c)
{
	struct rte_mbuf *m = c->snd_first;

	while (m != NULL &&
		seq_leq(buf_of(m)->seq + buf_of(m)->len, c->snd_una)) {
		struct rte_mbuf *next = buf_of(m)->next;

		if (c->snd_cur == m)
			c->snd_cur = NULL;
		rte_pktmbuf_free_seg(m);
		c->snd_bufs--;
		c->stack->held--;
		m = next;
	}
	c->snd_first = m;
	if (m == NULL)
		c->snd_last = NULL;
}

void
queue_clear(struct tcp_conn *c)
{
	while (c->snd_first != NULL) {
		struct rte_mbuf *next = buf_of(c->snd_first)->next;

		rte_pktmbuf_free_seg(c->snd_first);
		c->stack->held--;
		c->snd_first = next;
	}
	c->snd_last = c->snd_cur = NULL;
	c->snd_bufs = 0;
}

static bool
holds(struct rte_mbuf *m, uint32_t seq)
{
	const struct tcp_buf *b = buf_of(m);

	return seq_geq(seq, b->seq) && seq_lt(seq, b->seq + b->len);
}

struct rte_mbuf *
queue_at(const struct tcp_conn *c, uint32_t seq)
{
	struct rte_mbuf *m = c->snd_cur;

	if (m == NULL || seq_lt(seq, buf_of(m)->seq))
		m = c->snd_first;
	while (m != NULL && !holds(m, seq))
		m = buf_of(m)->next;
	return m;
}

static void
append(struct tcp_conn *c, struct rte_mbuf *m)
{
	struct tcp_buf *b = buf_of(m);

	b->next = NULL;
	b->seq = c->snd_end;
	b->off = m->data_off;
	b->len = m->data_len;
	m->next = NULL;
	m->nb_segs = 1;
	if (c->snd_last != NULL)
		buf_of(c->snd_last)->next = m;
	else
		c->snd_first = m;
	c->snd_last = m;
	c->snd_end += b->len;
	c->snd_bufs++;
	c->stack->held++;
}

uint32_t
tcp_queued(const struct tcp_conn *c)
{
	return c->snd_end - c->snd_una;
}

uint32_t
tcp_room(const struct tcp_conn *c)
{
	uint32_t queued = tcp_queued(c), buf = c->stack->cfg.snd_buf;

	/* mbufs are bounded, too: each may hold a byte. */
	if (queued >= buf || c->snd_bufs >= buf / 128 + 64)
		return 0;
	/* One that has nothing queued would not hear of room. */
	if (c->snd_bufs > 0 && c->stack->held >= c->stack->cfg.max_held)
		return 0;
	return buf - queued;
}

void
tcp_want_room(struct tcp_conn *c)
{
	c->flags |= CONN_WANT_ROOM;
}

static int
may_send(struct tcp_conn *c)
{
	if (!conn_sends(c) || (c->flags & CONN_FIN))
		return -EPIPE;
	if (tcp_room(c) == 0) {
		c->flags |= CONN_WANT_ROOM;
		return -ENOBUFS;
	}
	return 0;
}

static void
queue_all(struct tcp_conn *c, struct rte_mbuf *data)
{
	while (data != NULL) {
		struct rte_mbuf *next = data->next;

		if (data->data_len > 0) {
			append(c, data);
		} else {
			data->next = NULL;
			rte_pktmbuf_free_seg(data);
		}
		data = next;
	}
	if (tcp_queued(c) > c->stack->cfg.snd_buf / 2)
		c->flags |= CONN_WANT_ROOM;
	conn_mark(c);
}

int
tcp_send(struct tcp_conn *c, struct rte_mbuf *data)
{
	int rc = may_send(c);

	if (rc == 0)
		queue_all(c, data);
	return rc;
}

int
tcp_send_copy(struct tcp_conn *c, const void *data, size_t len)
{
	const uint8_t *from = data;
	struct rte_mbuf *first = NULL, **link = &first;
	int rc = may_send(c);

	if (rc == 0 && len > tcp_room(c)) {
		c->flags |= CONN_WANT_ROOM;
		rc = -ENOBUFS;
	}
	while (rc == 0 && len > 0) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(c->stack->cfg.pool);
		uint16_t n;

		if (m == NULL) {
			rc = -ENOBUFS;
			break;
		}
		/* No more than a segment, so that it goes out in place. */
		n = rte_pktmbuf_tailroom(m);
		if (n > conn_mss(c))
			n = (uint16_t)conn_mss(c);
		if (n > len)
			n = (uint16_t)len;
		memcpy(rte_pktmbuf_append(m, n), from, n);
		from += n;
		len -= n;
		*link = m;
		link = &m->next;
	}
	if (rc == 0 && first != NULL)
		queue_all(c, first);
	else if (first != NULL)
		rte_pktmbuf_free(first);
	return rc;
}

/* --- ending -------------------------------------------------------------- */

void
tcp_shutdown(struct tcp_conn *c)
{
	if (c->flags & CONN_FIN)
		return;
	c->flags |= CONN_FIN;
	conn_mark(c);
}

void
tcp_close(struct tcp_conn *c)
{
	struct tcp *t = c->stack;

	c->flags |= CONN_ORPHAN;
	c->flags &= (uint16_t)~CONN_WANT_ROOM;
	/* What the user still has it will not tell us of. */
	tcp_returned(c, UINT32_MAX);
	/* Nothing was agreed yet, so there is nothing to end in order. */
	if (c->state == TCP_SYN_SENT) {
		t->stats->failed_opens++;
		conn_free(c, false);
		return;
	}
	tcp_shutdown(c);
	if (c->state == TCP_FIN_WAIT_2) {
		c->idle_at = deadline(t, t->cfg.fin_wait2_ms);
		conn_arm(c);
	}
}

void
tcp_abort(struct tcp_conn *c)
{
	c->flags |= CONN_ORPHAN;
	if (c->state != TCP_SYN_SENT)
		conn_reset(c);
	else
		c->stack->stats->failed_opens++;
	conn_free(c, false);
}

/* --- small calls --------------------------------------------------------- */

void
tcp_set_user(struct tcp_conn *c, const struct tcp_ops *ops, void *user)
{
	c->ops = ops;
	c->user = user;
}

void
tcp_set_quickack(struct tcp_conn *c, bool on)
{
	if (on)
		c->flags |= CONN_QUICKACK;
	else
		c->flags &= (uint16_t)~CONN_QUICKACK;
}

void
tcp_info(const struct tcp_conn *c, struct tcp_info *info)
{
	*info = (struct tcp_info){ .local = c->tuple.local,
		.remote = c->tuple.remote,
		.lport = c->tuple.lport,
		.rport = c->tuple.rport,
		.srtt_us = c->rtt.srtt8 * 125,
		.rto_ms = conn_rto(c),
		.cwnd = c->cc.cwnd,
		.ssthresh = c->cc.ssthresh,
		.mss = conn_mss(c),
		.retransmits = c->retransmits,
		.state = c->state };
}

struct tcp *
tcp_of(const struct tcp_conn *c)
{
	return c->stack;
}

void *
tcp_user(const struct tcp_conn *c)
{
	return c->user;
}
