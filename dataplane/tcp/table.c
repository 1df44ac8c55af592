/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Entries: where they come from, how they are found, when they are woken.
 *
 *   hash key (64 bits) -> index i       [0, n): connections
 *                                       [n, n + waits): TIME-WAIT entries
 *   link[i]: free list (next alone), the wheel, or the list of TIME-WAITs
 *
 * Links lie apart from the entries, eight bytes each, so that the wheel does
 * not touch a neighbour's lines.
 *
 * A connection has one place in the wheel for all its timers, at the earliest
 * deadline known when it was armed. A deadline that moves away leaves it where
 * it is: it fires, finds nothing due and is armed again. So the timers of a
 * busy connection cost a few wheel operations a second, not some per segment.
 */
#include <rte_hash.h>

#include "dataplane/tcp/internal.h"

uint64_t
table_key(const struct tcp *t, const struct tcp_tuple *tuple)
{
	return flow_hash(t->key, &tuple->remote, &tuple->local, tuple->rport,
		tuple->lport, 6);
}

static bool
tuple_eq(const struct tcp_tuple *a, const struct tcp_tuple *b)
{
	return a->lport == b->lport && a->rport == b->rport &&
	       ip_addr_eq(&a->remote, &b->remote) &&
	       ip_addr_eq(&a->local, &b->local);
}

void
table_resolve(struct tcp *t, uintptr_t data, const struct tcp_tuple *tuple,
	struct tcp_conn **c, struct tcp_wait **w)
{
	*c = NULL;
	*w = NULL;
	if (data < t->cfg.max_connections) {
		if (tuple_eq(&t->conn[data].tuple, tuple))
			*c = &t->conn[data];
	} else {
		struct tcp_wait *found =
			&t->wait[data - t->cfg.max_connections];

		if (tuple_eq(&found->tuple, tuple))
			*w = found;
	}
}

void
table_find(struct tcp *t, const struct tcp_tuple *tuple, struct tcp_conn **c,
	struct tcp_wait **w)
{
	uint64_t key = table_key(t, tuple);
	void *data;

	*c = NULL;
	*w = NULL;
	if (rte_hash_lookup_with_hash_data(
		    t->hash, &key, (hash_sig_t)key, &data) >= 0)
		table_resolve(t, (uintptr_t)data, tuple, c, w);
}

/* Two tuples with one hash: the later one is refused, as if it were full. */
static int
insert(struct tcp *t, const struct tcp_tuple *tuple, uint32_t index)
{
	uint64_t key = table_key(t, tuple);
	void *data;

	if (rte_hash_lookup_with_hash_data(
		    t->hash, &key, (hash_sig_t)key, &data) >= 0)
		return -EEXIST;
	t->changes++;
	return rte_hash_add_key_with_hash_data(
		t->hash, &key, (hash_sig_t)key, (void *)(uintptr_t)index);
}

struct tcp_conn *
conn_create(struct tcp *t, const struct tcp_tuple *tuple)
{
	uint32_t i = t->free_conn;
	struct tcp_conn *c;
	uint32_t life;

	if (i == WHEEL_NONE || insert(t, tuple, i) != 0) {
		t->stats->table_full++;
		return NULL;
	}
	t->free_conn = t->link[i].next;
	c = &t->conn[i];
	life = c->life;
	memset(c, 0, sizeof(*c));
	c->life = life;
	c->tuple = *tuple;
	c->stack = t;
	c->board = BOARD_NONE;
	c->out_next = BOARD_NONE;
	t->connections++;
	return c;
}

/* The list is as long as a burst at most, mostly. */
static void
unmark(struct tcp_conn *c)
{
	struct tcp *t = c->stack;
	uint32_t self = conn_index(c), prev = BOARD_NONE, i;

	if (!(c->flags & CONN_MARKED))
		return;
	for (i = t->out_first; i != self; i = t->conn[i].out_next)
		prev = i;
	if (prev == BOARD_NONE)
		t->out_first = c->out_next;
	else
		t->conn[prev].out_next = c->out_next;
	if (t->out_last == self)
		t->out_last = prev;
	c->flags &= (uint16_t)~CONN_MARKED;
}

static void
disarm(struct tcp_conn *c)
{
	if (!(c->flags & CONN_ARMED))
		return;
	wheel_unlink(&c->stack->wheel, conn_index(c));
	c->flags &= (uint16_t)~CONN_ARMED;
	c->stack->timers--;
}

void
conn_free(struct tcp_conn *c, bool keep_key)
{
	struct tcp *t = c->stack;

	if (!keep_key) {
		uint64_t key = table_key(t, &c->tuple);

		rte_hash_del_key_with_hash(t->hash, &key, (hash_sig_t)key);
	}
	t->changes++;
	conn_set_state(c, TCP_CLOSED);
	unmark(c);
	disarm(c);
	queue_clear(c);
	t->held -= reass_clear(&c->ooo);
	board_put(c);
	t->lent -= c->rcv_bufs;
	c->rcv_bufs = 0;
	c->life++;
	t->link[conn_index(c)].next = t->free_conn;
	t->free_conn = conn_index(c);
	t->connections--;
}

void
conn_end(struct tcp_conn *c, int error)
{
	const struct tcp_ops *ops = c->ops;
	void *user = c->user;
	bool tell = !(c->flags & CONN_ORPHAN) && c->user != NULL;

	/* What the user does in it cannot find the connection any more. */
	c->flags |= CONN_ORPHAN;
	if (tell)
		ops->closed(c, user, error);
	conn_free(c, false);
}

void
conn_mark(struct tcp_conn *c)
{
	struct tcp *t = c->stack;
	uint32_t self = conn_index(c);

	if (c->flags & CONN_MARKED)
		return;
	c->flags |= CONN_MARKED;
	c->out_next = BOARD_NONE;
	if (t->out_last == BOARD_NONE)
		t->out_first = self;
	else
		t->conn[t->out_last].out_next = self;
	t->out_last = self;
}

static uint32_t
earlier(uint32_t a, uint32_t b)
{
	if (a == 0 || b == 0)
		return a | b;
	return seq_min(a, b);
}

void
conn_arm(struct tcp_conn *c)
{
	struct tcp *t = c->stack;
	uint32_t at = earlier(c->rtx_at, earlier(c->ack_at, c->idle_at));
	int32_t delay;

	if (at == 0 || ((c->flags & CONN_ARMED) && seq_leq(c->armed_at, at)))
		return;
	disarm(c);
	delay = (int32_t)(at - now32(t));
	wheel_arm(&t->wheel, conn_index(c), t->now_ms,
		delay > 0 ? (uint32_t)delay : 0);
	c->armed_at = at;
	c->flags |= CONN_ARMED;
	t->timers++;
}

void
conn_set_state(struct tcp_conn *c, enum tcp_state state)
{
	struct tcp *t = c->stack;
	bool was = c->state == TCP_ESTABLISHED || c->state == TCP_CLOSE_WAIT;
	bool is = state == TCP_ESTABLISHED || state == TCP_CLOSE_WAIT;

	if (c->state == TCP_SYN_RCVD) {
		t->half_open--;
		if (c->flags & CONN_PASSIVE)
			listen_handshake_over(c);
	}
	if (state == TCP_SYN_RCVD)
		t->half_open++;
	/* RFC 4022, tcpCurrEstab: these two states. */
	t->stats->established += (uint64_t)is - (uint64_t)was;
	c->state = (uint8_t)state;
}

bool
board_get(struct tcp_conn *c)
{
	struct tcp *t = c->stack;

	if (c->board != BOARD_NONE)
		return true;
	if (t->free_board == BOARD_NONE)
		return false;
	c->board = t->free_board;
	t->free_board = t->board[c->board].next_free;
	t->boards++;
	sack_init(&t->board[c->board], c->snd_una);
	return true;
}

void
board_put(struct tcp_conn *c)
{
	struct tcp *t = c->stack;

	if (c->board == BOARD_NONE)
		return;
	t->board[c->board].next_free = t->free_board;
	t->free_board = c->board;
	t->boards--;
	c->board = BOARD_NONE;
}
