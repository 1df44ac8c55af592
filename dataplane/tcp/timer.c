/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What time does to a connection.
 *
 *   ack_at   the delayed ACK
 *   rtx_at   nothing was acknowledged: send again (RFC 6298), or, with
 *            CONN_PERSIST, ask whether the window has opened
 *   idle_at  the hand-shake has taken too long; a keep-alive is due; a peer
 *            does not close its half
 */
#include <errno.h>

#include "dataplane/tcp/internal.h"

uint32_t
conn_rto(const struct tcp_conn *c)
{
	const struct tcp_config *cfg = &c->stack->cfg;
	uint64_t rto = rtt_rto(&c->rtt, cfg->rto_min_ms, cfg->rto_max_ms);

	rto <<= c->backoff < 16 ? c->backoff : 16;
	return (uint32_t)(rto < cfg->rto_max_ms ? rto : cfg->rto_max_ms);
}

void
timer_rtx_start(struct tcp_conn *c)
{
	c->rtx_at = deadline(c->stack, conn_rto(c));
	conn_arm(c);
}

static void
back_off(struct tcp_conn *c)
{
	if (c->backoff < UINT8_MAX)
		c->backoff++;
	timer_rtx_start(c);
}

/* The way may have changed since. */
static void
route_again(struct tcp_conn *c)
{
	struct tcp *t = c->stack;
	struct tcp_path path;

	if (c->nexthop == TCP_NEXTHOP_PEER ||
		t->cfg.route(t->cfg.ctx, c->nexthop, &path) != 0)
		return;
	/* What ICMP has said of the path holds on. */
	if (path.mtu > c->path.mtu)
		path.mtu = c->path.mtu;
	c->path = path;
}

/* true: given up; the connection is gone. */
static bool
give_up(struct tcp_conn *c)
{
	struct tcp *t = c->stack;

	if (now32(t) - c->una_at <= t->cfg.retransmit_ms)
		return false;
	/* A peer whose window stays closed is there, if it answers. */
	if ((c->flags & CONN_PERSIST) && !(c->flags & CONN_ORPHAN) &&
		now32(t) - c->heard_at <= t->cfg.retransmit_ms)
		return false;
	t->stats->dead++;
	conn_end(c, -ETIMEDOUT);
	return true;
}

static void
lost_all(struct tcp_conn *c)
{
	struct tcp *t = c->stack;
	uint32_t mss = conn_mss(c);

	t->stats->timeouts++;
	/* ssthresh is for the first time-out of a loss (RFC 5681 3.1). */
	if (c->backoff == 0 || c->recovery != RECOVERY_TIME)
		t->cc->timeout(&c->cc, mss, c->snd_nxt - c->snd_una, now32(t));
	else
		c->cc.cwnd = mss;
	loss_restart(c);
	c->flags |= CONN_RTX_DUE;
}

static void
rtx_due(struct tcp_conn *c)
{
	struct tcp *t = c->stack;

	c->rtx_at = 0;
	if (!conn_synced(c)) {
		c->flags |= CONN_SYN_DUE;
	} else if (give_up(c)) {
		return;
	} else if (c->flags & CONN_PERSIST) {
		c->flags |= CONN_PROBE;
		t->stats->probes++;
	} else if (c->snd_una != c->snd_nxt) {
		lost_all(c);
	} else {
		return;
	}
	route_again(c);
	back_off(c);
	conn_mark(c);
}

/* true: the connection is gone. */
static bool
keepalive_due(struct tcp_conn *c)
{
	struct tcp *t = c->stack;
	uint32_t silent = now32(t) - c->heard_at;

	c->idle_at = 0;
	if (t->cfg.keepalive_ms == 0)
		return false;
	if (silent < t->cfg.keepalive_ms || c->snd_una != c->snd_nxt) {
		c->idle_at = deadline(t, silent < t->cfg.keepalive_ms
						 ? t->cfg.keepalive_ms - silent
						 : t->cfg.keepalive_ms);
		return false;
	}
	if (c->probes >= t->cfg.keepalive_probes) {
		t->stats->dead++;
		conn_reset(c);
		conn_end(c, -ETIMEDOUT);
		return true;
	}
	c->probes++;
	c->flags |= CONN_PROBE;
	t->stats->probes++;
	c->idle_at = deadline(t, t->cfg.keepalive_interval_ms);
	conn_mark(c);
	return false;
}

/* true: the connection is gone. */
static bool
idle_due(struct tcp_conn *c)
{
	struct tcp *t = c->stack;

	if (!conn_synced(c)) {
		t->stats->failed_opens++;
		conn_end(c, -ETIMEDOUT);
		return true;
	}
	if (c->state == TCP_FIN_WAIT_2 && (c->flags & CONN_ORPHAN)) {
		t->stats->dead++;
		conn_free(c, false);
		return true;
	}
	return keepalive_due(c);
}

void
timer_run(struct tcp_conn *c)
{
	struct tcp *t = c->stack;
	uint32_t life = c->life;

	if (is_due(t, c->ack_at)) {
		c->ack_at = 0;
		c->flags |= CONN_ACK_NOW;
		conn_mark(c);
	}
	if (is_due(t, c->rtx_at))
		rtx_due(c);
	if (c->life != life || (is_due(t, c->idle_at) && idle_due(c)))
		return;
	conn_arm(c);
}
