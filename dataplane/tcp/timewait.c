/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TIME-WAIT: a connection that is over, remembered so that what is still on
 * its way does no harm (RFC 9293 section 3.6.1), in 64 bytes.
 *
 * All wait for the same time, so they hang in one list, oldest first; there is
 * no timer for each. When there are too many the oldest goes.
 *
 *   segment            answer
 *   RST                none (RFC 1337: it may be an old one)
 *   SYN, newer         the entry goes, the SYN opens a connection (RFC 6191)
 *   FIN again, data    ACK, and the time begins anew for a FIN
 *   other              none
 */
#include <rte_hash.h>

#include "dataplane/tcp/internal.h"

static uint32_t
list_head(const struct tcp *t)
{
	return t->cfg.max_connections + t->cfg.max_time_wait;
}

static uint32_t
link_of(const struct tcp *t, const struct tcp_wait *w)
{
	return t->cfg.max_connections + (uint32_t)(w - t->wait);
}

void
wait_init(struct tcp *t)
{
	uint32_t first = t->cfg.max_connections, n = t->cfg.max_time_wait;

	wheel_list_init(&t->wheel, list_head(t));
	for (uint32_t i = 0; i < n; i++)
		t->link[first + i].next = i + 1 < n ? i + 1 : WHEEL_NONE;
	t->free_wait = 0;
}

static void
count(struct tcp *t, int n)
{
	t->time_wait += (uint32_t)n;
	t->stats->time_wait = t->time_wait;
}

static void
release(struct tcp *t, struct tcp_wait *w)
{
	uint64_t key = table_key(t, &w->tuple);
	uint32_t i = link_of(t, w);

	rte_hash_del_key_with_hash(t->hash, &key, (hash_sig_t)key);
	t->changes++;
	wheel_unlink(&t->wheel, i);
	w->used = 0;
	t->link[i].next = t->free_wait;
	t->free_wait = (uint32_t)(w - t->wait);
	count(t, -1);
}

static struct tcp_wait *
oldest(struct tcp *t)
{
	uint32_t i = wheel_list_first(&t->wheel, list_head(t));

	return i == WHEEL_NONE ? NULL : &t->wait[i - t->cfg.max_connections];
}

static void
append(struct tcp *t, struct tcp_wait *w)
{
	w->until = deadline(t, t->cfg.time_wait_ms);
	wheel_list_append(&t->wheel, list_head(t), link_of(t, w));
}

void
wait_enter(struct tcp_conn *c)
{
	struct tcp *t = c->stack;
	const struct tcp_ops *ops = c->ops;
	void *user = c->user;
	bool tell = !(c->flags & CONN_ORPHAN) && c->user != NULL;
	uint64_t key = table_key(t, &c->tuple);
	struct tcp_wait *w;

	c->flags |= CONN_ORPHAN;
	if (tell)
		ops->closed(c, user, 0);
	if (t->free_wait == WHEEL_NONE) {
		release(t, oldest(t));
		t->stats->time_wait_evicted++;
	}
	w = &t->wait[t->free_wait];
	t->free_wait = t->link[link_of(t, w)].next;
	*w = (struct tcp_wait){ .tuple = c->tuple,
		.snd_nxt = c->snd_nxt,
		.rcv_nxt = c->rcv_nxt,
		.ts_recent = c->ts_recent,
		.ts_offset = c->ts_offset,
		.opts = c->opts,
		.used = 1 };
	append(t, w);
	count(t, 1);
	/* The key leads to the new entry from here on. */
	rte_hash_add_key_with_hash_data(t->hash, &key, (hash_sig_t)key,
		(void *)(uintptr_t)link_of(t, w));
	conn_free(c, true);
}

static void
answer(struct tcp *t, const struct tcp_wait *w, const struct tcp_in *in)
{
	struct tcp_seg s = { .seq = w->snd_nxt,
		.ack = w->rcv_nxt,
		.flags = TCP_ACK,
		.wnd = 0,
		.opts = w->opts & TCP_OPT_TS,
		.ts_val = now32(t) + w->ts_offset,
		.ts_ecr = w->ts_recent };

	frame_answer(t, in, &s);
}

/* RFC 6191 section 2: is it certain that `s` is no old duplicate? */
static bool
is_newer(const struct tcp_wait *w, const struct tcp_seg *s)
{
	if (w->opts & s->opts & TCP_OPT_TS) {
		if (s->ts_val != w->ts_recent)
			return seq_gt(s->ts_val, w->ts_recent);
	}
	return seq_gt(s->seq, w->rcv_nxt);
}

bool
wait_input(
	struct tcp *t, struct tcp_wait *w, struct tcp_in *in, uint32_t *min_isn)
{
	const struct tcp_seg *s = &in->s;

	if (s->flags & TCP_RST) {
		t->stats->resets_in++;
		return false;
	}
	if ((s->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN && is_newer(w, s)) {
		*min_isn = w->snd_nxt + 1;
		t->stats->time_wait_reused++;
		release(t, w);
		return true;
	}
	if (seg_space(s) == 0 && s->seq == w->rcv_nxt)
		return false;
	if ((s->flags & TCP_FIN) && s->seq + s->len + 1 == w->rcv_nxt) {
		wheel_unlink(&t->wheel, link_of(t, w));
		append(t, w);
	}
	answer(t, w, in);
	return false;
}

/*
 * As RFC 6191 sees it from the other side: with timestamps, whose clock has
 * gone on since, the peer can tell the new connection from the old one.
 */
bool
wait_reuse(struct tcp *t, struct tcp_wait *w, uint32_t *min_isn)
{
	uint32_t entered = w->until - t->cfg.time_wait_ms;

	if (!(w->opts & TCP_OPT_TS) || now32(t) - entered < 1000)
		return false;
	*min_isn = w->snd_nxt + 1;
	t->stats->time_wait_reused++;
	release(t, w);
	return true;
}

void
wait_tick(struct tcp *t)
{
	for (int budget = 512; budget > 0; budget--) {
		struct tcp_wait *w = oldest(t);

		if (w == NULL || !is_due(t, w->until))
			return;
		release(t, w);
	}
}
