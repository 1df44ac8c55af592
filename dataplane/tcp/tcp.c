/* SPDX-License-Identifier: BSD-3-Clause */
/* A stack from its making to its end, and what can be asked of it. */
#include "dataplane/tcp/tcp.h"

#include <errno.h>
#include <rte_hash.h>
#include <rte_malloc.h>
#include <rte_prefetch.h>
#include <stdio.h>
#include <string.h>

#include "dataplane/flow_keys.h"
#include "dataplane/tcp/internal.h"

/* Scoreboards: so many connections recover from losses by SACK at once. */
#define BOARDS_MAX 4096

static void
or_default(uint32_t *value, uint32_t otherwise)
{
	if (*value == 0)
		*value = otherwise;
}

static struct tcp_config
with_defaults(const struct tcp_config *config)
{
	struct tcp_config c = *config;

	or_default(&c.max_connections, 65536);
	or_default(&c.max_half_open, 4096);
	or_default(&c.max_time_wait, c.max_connections);
	or_default(&c.max_held, c.pool != NULL ? c.pool->size / 2 : 1);
	or_default(&c.rcv_buf, 256 << 10);
	or_default(&c.snd_buf, 256 << 10);
	or_default(&c.rto_min_ms, 200);
	or_default(&c.rto_max_ms, 60000);
	or_default(&c.connect_ms, 15000);
	or_default(&c.retransmit_ms, 100000);
	or_default(&c.delack_ms, 40);
	or_default(&c.time_wait_ms, 60000);
	or_default(&c.fin_wait2_ms, 60000);
	or_default(&c.keepalive_interval_ms, 10000);
	or_default(&c.keepalive_probes, 5);
	return c;
}

static uint32_t
boards_of(const struct tcp_config *c)
{
	return c->no_sack                        ? 0
	       : c->max_connections < BOARDS_MAX ? c->max_connections
						 : BOARDS_MAX;
}

static uint32_t
links_of(const struct tcp_config *c)
{
	return c->max_connections + c->max_time_wait + LINK_LISTS + WHEEL_SLOTS;
}

static uint32_t
keys_of(const struct tcp_config *c)
{
	return c->max_connections + c->max_time_wait;
}

size_t
tcp_memory(const struct tcp_config *config)
{
	struct tcp_config c = with_defaults(config);

	return sizeof(struct tcp) +
	       (size_t)c.max_connections * sizeof(struct tcp_conn) +
	       (size_t)c.max_time_wait * sizeof(struct tcp_wait) +
	       (size_t)links_of(&c) * sizeof(struct wheel_link) +
	       (size_t)boards_of(&c) * sizeof(struct sack_board) +
	       (size_t)c.buckets * sizeof(uint16_t) +
	       flow_keys_memory(keys_of(&c));
}

static int
make_tables(struct tcp *t)
{
	const struct tcp_config *c = &t->cfg;

	t->conn = rte_zmalloc(
		NULL, (size_t)c->max_connections * sizeof(*t->conn), 64);
	t->wait = rte_zmalloc(
		NULL, (size_t)c->max_time_wait * sizeof(*t->wait), 64);
	t->link = rte_zmalloc(NULL, (size_t)links_of(c) * sizeof(*t->link), 64);
	t->board = rte_zmalloc(
		NULL, (size_t)boards_of(c) * sizeof(*t->board) + 1, 64);
	t->hash = flow_keys_create(keys_of(c), c->name);
	return t->conn == NULL || t->wait == NULL || t->link == NULL ||
			       t->board == NULL || t->hash == NULL
		       ? -ENOMEM
		       : 0;
}

static void
make_lists(struct tcp *t)
{
	const struct tcp_config *c = &t->cfg;
	uint32_t waits = c->max_connections, n_boards = boards_of(c);

	wheel_init(&t->wheel, t->link, sizeof(*t->link),
		waits + c->max_time_wait + LINK_LISTS, WHEEL_SLOTS, 0,
		c->now_ms);
	for (uint32_t i = 0; i < c->max_connections; i++)
		t->link[i].next =
			i + 1 < c->max_connections ? i + 1 : WHEEL_NONE;
	wait_init(t);
	for (uint32_t i = 0; i < n_boards; i++)
		t->board[i].next_free = i + 1 < n_boards ? i + 1 : BOARD_NONE;
	t->free_board = n_boards > 0 ? 0 : BOARD_NONE;
	t->out_first = t->out_last = BOARD_NONE;
}

static int
make_secrets(struct tcp *t)
{
	int rc = secret_init(&t->secret, t->cfg.seed);

	for (uint32_t i = 0; rc == 0 && i < FLOW_KEYS; i++)
		t->key[i] = secret_hash(&t->secret, &i, sizeof(i));
	return rc;
}

struct tcp *
tcp_create(const struct tcp_config *config, char *why, size_t len)
{
	struct tcp *t = rte_zmalloc("tcp", sizeof(*t), 64);

	if (t == NULL) {
		snprintf(why, len, "no memory for TCP");
		return NULL;
	}
	t->cfg = with_defaults(config);
	t->stats = t->cfg.stats != NULL ? t->cfg.stats : &t->own_stats;
	t->cc = t->cfg.cc == TCP_CC_NEWRENO ? &cc_newreno : &cc_cubic;
	t->now_ms = t->cfg.now_ms;
	if (buf_register() != 0) {
		snprintf(why, len, "no room in packet buffers for TCP");
		goto fail;
	}
	if (make_secrets(t) != 0) {
		snprintf(why, len, "no random numbers");
		goto fail;
	}
	if (make_tables(t) != 0) {
		snprintf(why, len, "no memory for %u connections of TCP",
			t->cfg.max_connections);
		goto fail;
	}
	make_lists(t);
	tcp_set_buckets(t, t->cfg.buckets, t->cfg.own);
	return t;
fail:
	tcp_destroy(t);
	return NULL;
}

void
tcp_destroy(struct tcp *t)
{
	for (uint32_t i = 0; t->conn != NULL && i < t->cfg.max_connections; i++)
		if (t->conn[i].state != TCP_CLOSED) {
			queue_clear(&t->conn[i]);
			reass_clear(&t->conn[i].ooo);
		}
	t->stats->established = t->stats->time_wait = 0;
	rte_hash_free(t->hash);
	rte_free(t->board);
	rte_free(t->own);
	rte_free(t->link);
	rte_free(t->wait);
	rte_free(t->conn);
	rte_free(t);
}

void
tcp_set_buckets(struct tcp *t, uint32_t buckets, const uint64_t *own)
{
	uint16_t *list = NULL;
	uint32_t n = 0;

	if (buckets > 0)
		list = rte_malloc(NULL, buckets * sizeof(*list), 0);
	for (uint32_t b = 0; list != NULL && b < buckets; b++)
		if (own[b / 64] >> (b % 64) & 1)
			list[n++] = (uint16_t)b;
	rte_free(t->own);
	t->own = list;
	t->n_own = n;
	t->cfg.buckets = buckets;
	t->cfg.own = NULL;
}

void
tcp_usage(const struct tcp *t, struct tcp_usage *usage)
{
	*usage = (struct tcp_usage){
		.connections = t->connections,
		.half_open = t->half_open,
		.time_wait = t->time_wait,
		.held = t->held,
		.lent = t->lent,
		.timers = t->timers,
		.listeners = t->n_listeners,
		.boards = t->boards,
	};
}

/* What timer_run() reads first of one that has long not been touched. */
static inline void
prefetch_timer(const struct tcp *t, uint32_t i)
{
	const struct tcp_conn *c;

	if (i >= t->cfg.max_connections)
		return;
	c = &t->conn[i];
	rte_prefetch0(&t->link[i]);
	rte_prefetch0(&c->flags);
	rte_prefetch0(&c->rtx_at);
	rte_prefetch0(&c->armed_at);
	rte_prefetch0(&c->life);
}

uint32_t
tcp_tick(struct tcp *t, uint64_t now_ms)
{
	uint32_t i, budget = 256, wait_ms;

	t->now_ms = now_ms;
	wait_tick(t);
	while (budget-- > 0) {
		i = wheel_pop(&t->wheel, now_ms);
		if (i == WHEEL_NONE)
			break;
		prefetch_timer(t, wheel_behind(&t->wheel));
		t->conn[i].flags &= (uint16_t)~CONN_ARMED;
		t->timers--;
		timer_run(&t->conn[i]);
	}
	if (budget == UINT32_MAX || t->out_first != BOARD_NONE)
		return budget == UINT32_MAX ? 0 : 1000;
	wait_ms = wheel_wait(&t->wheel, now_ms, 1000);
	return wait_ms * 1000;
}

/*
 * A connection that finds no mbuf, or no room in the port, stays marked, and
 * those behind it: what is sent now would only take what it needs.
 */
bool
tcp_flush(struct tcp *t, uint64_t now_ms)
{
	t->now_ms = now_ms;
	t->tx_room = t->cfg.room != NULL ? t->cfg.room(t->cfg.ctx) : UINT32_MAX;
	while (t->out_first != BOARD_NONE) {
		struct tcp_conn *c = &t->conn[t->out_first];

		t->out_first = c->out_next;
		if (t->out_first == BOARD_NONE)
			t->out_last = BOARD_NONE;
		c->flags &= (uint16_t)~CONN_MARKED;
		if (!conn_output(c)) {
			conn_mark(c);
			return false;
		}
	}
	return true;
}
