/* SPDX-License-Identifier: BSD-3-Clause */
#include "nf/proxy/relay.h"

#include <errno.h>
#include <string.h>

#include "dataplane/tcp/tcp.h"
#include "nf/proxy/proxy.h"

/* Pieces up to so many bytes are moved together. */
#define SMALL 512

/* Each connection may have this part of the mbufs that nobody holds. */
#define SHARE 4

/* However little is left: a connection gets on with so much. */
#define LEAST_BYTES 4096
#define LEAST_BUFS  4

static struct rte_mbuf *
last_of(struct rte_mbuf *m)
{
	while (m->next != NULL)
		m = m->next;
	return m;
}

/* Is it written into by nobody else, so that we may? */
static bool
is_ours(struct rte_mbuf *m)
{
	return RTE_MBUF_DIRECT(m) && rte_mbuf_refcnt_read(m) == 1;
}

/* A small piece goes into the room behind the last one. */
static bool
join(struct pipe *q, struct rte_mbuf *m)
{
	struct rte_mbuf *last = q->last;

	if (last == NULL || m->data_len > SMALL || m->next != NULL ||
		!is_ours(last) || rte_pktmbuf_tailroom(last) < m->data_len)
		return false;
	memcpy(rte_pktmbuf_mtod_offset(last, uint8_t *, last->data_len),
		rte_pktmbuf_mtod(m, uint8_t *), m->data_len);
	last->data_len += m->data_len;
	q->bytes += m->data_len;
	rte_pktmbuf_free(m);
	return true;
}

static void
count(struct proxy *p, struct pipe *q, const struct rte_mbuf *data)
{
	q->bytes += data->pkt_len;
	q->bufs += data->nb_segs;
	p->waiting += data->nb_segs;
}

uint32_t
pipe_push(struct proxy *p, struct pipe *q, struct rte_mbuf *data)
{
	if (join(q, data))
		return 1;
	count(p, q, data);
	if (q->last != NULL)
		q->last->next = data;
	else
		q->first = data;
	q->last = last_of(data);
	return 0;
}

void
pipe_unpop(struct proxy *p, struct pipe *q, struct rte_mbuf *data)
{
	struct rte_mbuf *last = last_of(data);

	count(p, q, data);
	last->next = q->first;
	q->first = data;
	if (q->last == NULL)
		q->last = last;
}

static struct rte_mbuf *
take(struct proxy *p, struct pipe *q)
{
	struct rte_mbuf *m = q->first;

	q->first = m->next;
	if (q->first == NULL)
		q->last = NULL;
	q->bufs--;
	p->waiting--;
	q->bytes -= m->data_len;
	m->next = NULL;
	m->nb_segs = 1;
	m->pkt_len = m->data_len;
	return m;
}

struct rte_mbuf *
pipe_peek(struct proxy *p, struct pipe *q)
{
	while (q->first != NULL && unlikely(q->first->data_len == 0))
		rte_pktmbuf_free(take(p, q));
	return q->first;
}

struct rte_mbuf *
pipe_pop(struct proxy *p, struct pipe *q)
{
	return pipe_peek(p, q) == NULL ? NULL : take(p, q);
}

void
pipe_strip(struct proxy *p, struct pipe *q, uint32_t bytes)
{
	while (bytes > 0) {
		struct rte_mbuf *m = q->first;

		if (m->data_len > bytes) {
			m->data_off += (uint16_t)bytes;
			m->data_len -= (uint16_t)bytes;
			q->bytes -= bytes;
			return;
		}
		bytes -= m->data_len;
		rte_pktmbuf_free(take(p, q));
	}
}

void
pipe_clear(struct proxy *p, struct pipe *q)
{
	while (q->first != NULL)
		rte_pktmbuf_free(take(p, q));
}

struct rte_mbuf *
relay_copy(struct proxy *p, const void *data, size_t len)
{
	const uint8_t *from = data;
	struct rte_mbuf *first = NULL, *last = NULL;

	while (len > 0) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(p->env->pool);
		uint16_t n;

		if (m == NULL) {
			rte_pktmbuf_free(first);
			return NULL;
		}
		n = rte_pktmbuf_tailroom(m);
		n = n < len ? n : (uint16_t)len;
		memcpy(rte_pktmbuf_mtod(m, uint8_t *), from, n);
		m->data_len = n;
		m->pkt_len = n;
		from += n;
		len -= n;
		if (first == NULL) {
			first = m;
		} else {
			last->next = m;
			first->nb_segs++;
			first->pkt_len += n;
		}
		last = m;
	}
	return first;
}

/* --- how much ------------------------------------------------------------ */

/*
 * A part of what is left, for each: when many hold much, what is left gets
 * small, and with it what each may hold, so that whoever does not read cannot
 * take all from those who do (Choudhury and Hahne, "Dynamic queue length
 * thresholds", 1998).
 */
static uint32_t
share_bytes(const struct proxy *p)
{
	struct tcp_usage u;

	tcp_usage(p->tcp, &u);
	if (u.held >= p->max_held)
		return 0;
	return RTE_MAX(
		(p->max_held - u.held) / SHARE * 1024, (uint32_t)LEAST_BYTES);
}

bool
relay_room(struct proxy *p, struct tcp_conn *c)
{
	uint32_t queued = tcp_queued(c);

	if (likely(queued == 0))
		return true;
	if (tcp_room(c) > 0 && queued < share_bytes(p))
		return true;
	tcp_want_room(c);
	return false;
}

uint32_t
relay_pump(struct proxy *p, struct pipe *from, struct tcp_conn *to,
	struct tcp_conn *source)
{
	uint32_t sent = 0;
	struct rte_mbuf *m;

	while (from->bytes > 0 && relay_room(p, to)) {
		uint32_t len;

		m = pipe_pop(p, from);
		len = m->data_len;
		if (tcp_send(to, m) != 0) {
			pipe_unpop(p, from, m);
			break;
		}
		sent += len;
	}
	if (sent > 0 && source != NULL)
		tcp_consumed(source, sent);
	return sent;
}

bool
relay_flooded(const struct proxy *p, const struct pipe *q)
{
	uint32_t left =
		p->waiting < p->max_waiting ? p->max_waiting - p->waiting : 0;

	return q->bufs > RTE_MAX(left / SHARE, (uint32_t)LEAST_BUFS);
}
