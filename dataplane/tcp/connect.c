/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Connections that we open: a port, an entry, a SYN.
 *
 * The port's low bits are a bucket of ours, so that replies are steered to
 * this instance and no other:
 *
 *   port = 1024 + i * buckets + bucket
 *
 * The search begins at a point that is secret for each destination, and goes
 * on by one with each connection (RFC 6056 algorithm 3), so that a port rests
 * as long as can be before the same peer sees it again.
 */
#include <errno.h>
#include <rte_byteorder.h>

#include "dataplane/steer.h"
#include "dataplane/tcp/internal.h"

/* Ports that are looked at for one connection. */
#define PORT_TRIES 256

static uint32_t
ports(const struct tcp *t)
{
	uint32_t all = 65536 - STEER_SNAT_PORT_MIN;

	return t->cfg.buckets == 0 ? all : all / t->cfg.buckets * t->n_own;
}

static uint16_t
port_at(const struct tcp *t, uint32_t i)
{
	if (t->cfg.buckets != 0)
		i = i / t->n_own * t->cfg.buckets + t->own[i % t->n_own];
	return rte_cpu_to_be_16((uint16_t)(STEER_SNAT_PORT_MIN + i));
}

/* May `tuple` be used? A TIME-WAIT entry in its place may have to go. */
static bool
is_free(struct tcp *t, const struct tcp_tuple *tuple, uint32_t *min_isn)
{
	struct tcp_conn *c;
	struct tcp_wait *w;

	table_find(t, tuple, &c, &w);
	return c == NULL && (w == NULL || wait_reuse(t, w, min_isn));
}

static int
choose_port(struct tcp *t, struct tcp_tuple *tuple, uint32_t *min_isn)
{
	uint32_t n = ports(t), start;

	if (n == 0)
		return -EADDRNOTAVAIL;
	start = secret_port(
		&t->secret, &tuple->local, &tuple->remote, tuple->rport);
	for (uint32_t k = 0; k < PORT_TRIES && k < n; k++) {
		uint32_t i =
			(uint32_t)(((uint64_t)start + t->port_count++) % n);

		tuple->lport = port_at(t, i);
		if (is_free(t, tuple, min_isn))
			return 0;
	}
	return -EADDRNOTAVAIL;
}

int
tcp_connect(struct tcp *t, const struct tcp_connect *to,
	const struct tcp_ops *ops, void *user, struct tcp_conn **conn)
{
	struct tcp_tuple tuple = { .local = to->local,
		.remote = to->remote,
		.lport = to->lport,
		.rport = to->rport };
	struct tcp_path path;
	uint32_t min_isn = 0;
	struct tcp_conn *c;
	int rc = 0;

	if (t->cfg.route(t->cfg.ctx, to->nexthop, &path) != 0)
		return -EHOSTUNREACH;
	if (tuple.lport == 0)
		rc = choose_port(t, &tuple, &min_isn);
	else if (!is_free(t, &tuple, &min_isn))
		rc = -EADDRINUSE;
	if (rc != 0)
		return rc;
	c = conn_create(t, &tuple);
	if (c == NULL)
		return -ENOSPC;
	c->path = path;
	c->nexthop = to->nexthop;
	c->ops = ops;
	c->user = user;
	conn_begin(c, min_isn);
	if (to->connect_ms != 0)
		c->idle_at = deadline(t, to->connect_ms);
	c->snd_end = c->iss + 1;
	conn_set_state(c, TCP_SYN_SENT);
	c->flags |= CONN_SYN_DUE;
	t->stats->active_opens++;
	conn_mark(c);
	conn_arm(c);
	*conn = c;
	return 0;
}
