/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The queue is a list by tcp_buf.next, and the list is cut into runs: mbufs
 * that touch each other, one SACK block each. The first of a run knows the
 * last one:
 *
 *   first -> a -> b -> c -> d -> e           a.last = b, c.last = e
 *            `--run--'  `----run----'        b, d and e: last is not valid
 *
 * Loss makes few runs, however many mbufs there are, and nearly all segments
 * that follow a hole go to the end of the last run. So whoever looks for a
 * place walks over runs, and a run's inside is never looked at: a new segment
 * has news only where there is no run. What of it lies in the run before is
 * cut off at its front; what lies in a run that goes beyond it is cut off at
 * its end; a run that it covers as a whole is copied into it and freed, so
 * that it needs not be split.
 *
 * Runs are taken out as a whole, for whoever gets the first of one can go on
 * to its last; so no mbuf but a run's first is ever the queue's first.
 *
 * A FIN is a flag of the mbuf it follows, or, as long as that one is missing,
 * an mbuf of no bytes. Runs are measured in bytes, without it.
 */
#include "dataplane/tcp/reass.h"

#include <string.h>

static inline uint32_t
end_of(const struct tcp_buf *b)
{
	return b->seq + b->len;
}

static inline struct tcp_buf *
last_of(const struct tcp_buf *run)
{
	return buf_of(run->last);
}

/* The last run that begins at `seq` or before, or NULL. */
static struct rte_mbuf *
run_before(const struct reass *q, uint32_t seq)
{
	struct rte_mbuf *run = NULL, *r = q->first;

	while (r != NULL && seq_leq(buf_of(r)->seq, seq)) {
		run = r;
		r = last_of(buf_of(r))->next;
	}
	return run;
}

static inline void
cut_front(struct tcp_buf *b, uint32_t seq)
{
	uint16_t by = (uint16_t)(seq - b->seq);

	b->seq = seq;
	b->off += by;
	b->len -= by;
}

/*
 * Free the mbufs of `run`, all of whose bytes `m` has, too, after they were
 * copied there. Returns their number.
 */
static uint16_t
swallow(struct rte_mbuf *m, struct rte_mbuf *run)
{
	struct tcp_buf *b = buf_of(m);
	struct rte_mbuf *end = last_of(buf_of(run))->next, *next;
	uint16_t n = 0;

	if (end_of(last_of(buf_of(run))) == end_of(b))
		b->fin |= last_of(buf_of(run))->fin;
	for (; run != end; run = next, n++) {
		const struct tcp_buf *old = buf_of(run);

		memcpy(buf_data(m) + (old->seq - b->seq), buf_data(run),
			old->len);
		next = old->next;
		rte_pktmbuf_free(run);
	}
	return n;
}

/*
 * Let `m` end where the next run begins, which `*next` becomes; runs that it
 * covers are swallowed. Returns how many mbufs they were.
 */
static uint16_t
cover(struct rte_mbuf *m, struct rte_mbuf **next)
{
	struct tcp_buf *b = buf_of(m);
	uint16_t n = 0;

	while (*next != NULL && seq_lt(buf_of(*next)->seq, end_of(b))) {
		struct tcp_buf *run = buf_of(*next);
		struct rte_mbuf *after = last_of(run)->next;

		if (seq_gt(end_of(last_of(run)), end_of(b))) {
			b->len = (uint16_t)(run->seq - b->seq);
			b->fin = 0;
			break;
		}
		n += swallow(m, *next);
		*next = after;
	}
	return n;
}

/* Put `m` between `run`, or the beginning, and the run `next`; join them. */
static void
link_in(struct reass *q, struct rte_mbuf *run, struct rte_mbuf *m,
	struct rte_mbuf *next)
{
	struct tcp_buf *b = buf_of(m), *head = b;

	b->last = m;
	b->next = next;
	if (run == NULL) {
		q->first = m;
	} else {
		last_of(buf_of(run))->next = m;
		if (end_of(last_of(buf_of(run))) == b->seq) {
			head = buf_of(run);
			head->last = m;
		}
	}
	if (next != NULL && end_of(b) == buf_of(next)->seq)
		head->last = buf_of(next)->last;
}

/*
 * Cut off what `run` has of `m`. Is there anything left? A FIN alone that
 * follows the run's last byte is the run's.
 */
static bool
is_new(struct rte_mbuf *m, struct rte_mbuf *run)
{
	struct tcp_buf *b = buf_of(m), *last;

	if (run == NULL)
		return b->len > 0 || b->fin;
	last = last_of(buf_of(run));
	if (seq_leq(end_of(b), end_of(last))) {
		if (end_of(b) == end_of(last))
			last->fin |= b->fin;
		return false;
	}
	if (seq_lt(b->seq, end_of(last)))
		cut_front(b, end_of(last));
	return b->len > 0 || b->fin;
}

int
reass_insert(struct reass *q, struct rte_mbuf *m, uint32_t seq, bool fin,
	uint32_t max)
{
	struct tcp_buf *b = buf_of(m);
	struct rte_mbuf *run = run_before(q, seq), *next = q->first;
	uint16_t gone;

	b->seq = seq;
	b->off = m->data_off;
	b->len = m->data_len;
	b->fin = fin;
	if (run != NULL)
		next = last_of(buf_of(run))->next;
	if (!is_new(m, run)) {
		if (run != NULL)
			q->latest = buf_of(run)->seq;
		rte_pktmbuf_free(m);
		return 0;
	}
	gone = cover(m, &next);
	if (gone == 0 && q->n >= max) {
		rte_pktmbuf_free(m);
		return 0;
	}
	link_in(q, run, m, next);
	q->latest = b->seq;
	q->n = (uint16_t)(q->n + 1 - gone);
	return 1 - gone;
}

static void
chain(struct rte_mbuf **head, struct rte_mbuf **tail, struct rte_mbuf *m)
{
	m->data_off = buf_of(m)->off;
	m->data_len = buf_of(m)->len;
	m->pkt_len = m->data_len;
	if (*head == NULL) {
		*head = m;
	} else {
		(*tail)->next = m;
		(*head)->nb_segs++;
		(*head)->pkt_len += m->data_len;
	}
	*tail = m;
}

struct rte_mbuf *
reass_take(struct reass *q, uint32_t nxt, uint32_t *taken, bool *fin)
{
	struct rte_mbuf *head = NULL, *tail = NULL;

	*taken = 0;
	*fin = false;
	while (!*fin && q->first != NULL &&
		seq_leq(buf_of(q->first)->seq, nxt)) {
		struct rte_mbuf *m = q->first;
		struct tcp_buf *b = buf_of(m);

		q->first = b->next;
		q->n--;
		++*taken;
		if (b->fin && seq_geq(end_of(b), nxt))
			*fin = true;
		if (seq_leq(end_of(b), nxt)) {
			rte_pktmbuf_free(m);
			continue;
		}
		cut_front(b, nxt);
		nxt = end_of(b);
		chain(&head, &tail, m);
	}
	if (*fin)
		*taken += reass_clear(q);
	return head;
}

/* Put `r` first of block[0..n); of `max` the last one goes. */
static uint32_t
put_first(struct tcp_range *block, uint32_t n, uint32_t max, struct tcp_range r)
{
	if (n < max)
		n++;
	memmove(block + 1, block, (n - 1) * sizeof(*block));
	block[0] = r;
	return n;
}

uint32_t
reass_blocks(const struct reass *q, struct tcp_range *block, uint32_t max)
{
	struct rte_mbuf *m = q->first;
	bool found = false;
	uint32_t n = 0;

	while (m != NULL && max > 0) {
		const struct tcp_buf *run = buf_of(m), *last = last_of(run);
		struct tcp_range r = { run->seq, end_of(last) + last->fin };

		if (!found) {
			n = put_first(block, n, max, r);
			found = seq_leq(r.start, q->latest) &&
				seq_lt(q->latest, r.end);
		} else if (n < max) {
			block[n++] = r;
		} else {
			break;
		}
		m = last->next;
	}
	return n;
}

uint32_t
reass_clear(struct reass *q)
{
	struct rte_mbuf *m = q->first, *next;
	uint32_t n = q->n;

	for (; m != NULL; m = next) {
		next = buf_of(m)->next;
		rte_pktmbuf_free(m);
	}
	q->first = NULL;
	q->n = 0;
	return n;
}
