/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lwip as a side of the lab, and an application on it that is the counterpart
 * of tcp_app.h's: the same streams, the same ways to end.
 *
 * lwip is held to the rules of the lab as ours is: what it sends is checked
 * against what was said before. Some things of lwip 2.1.3 are its own. It takes
 * the acknowledgement of a probe, whose sequence number is old, but not its
 * window, and then sends beyond that: data which are ours to cut. Once in
 * hundreds of such runs it never sends them again, though the window has
 * opened, and its keep-alive resets the connection (windows, loss_percent, seed
 * 7500122, which is beyond the usual number of runs). And when it
 * splits a segment with a FIN to fit a small window it sends the FIN with the
 * first part: where windows are small, it ends only with an empty queue.
 */
#ifndef LWIP_TALK_H
#define LWIP_TALK_H

#include "tests/unit/lwip_peer.h"
#include "tests/unit/tcp_app.h"

#define TALK_MS (24u * 3600 * 1000)

/* The application on lwip's side. */
struct talk {
	struct talk_run *run;
	struct talk *next;
	struct lwip_conn *c;
	int side;
	uint32_t id[2], total[2];
	uint32_t sent, got;
	uint32_t unread; /* not yet consumed */
	bool open, shut, finished, gone, aborted, called, reading;
	int error;
};

struct talk_run {
	struct app_run app; /* our side's, and the world */
	int lwip;           /* which side is lwip's */
	uint32_t window;    /* lwip's receive window; 0: all it has */
	bool drain;         /* lwip sends its FIN after all is acknowledged */
	struct talk *talks;
	uint32_t opened;
	uint64_t tick_us; /* lwip's next */
};

static struct talk_run run;

/* --- lwip's application --- */

static uint32_t
talk_total(const struct talk *a, bool mine)
{
	return a->total[mine ? a->side : !a->side];
}

static bool
talk_done(const struct talk *a)
{
	return a->got == talk_total(a, false) && a->sent == talk_total(a, true);
}

static void
talk_gone(struct talk *a, int error)
{
	a->gone = true;
	a->c = NULL;
	a->error = error;
}

static void talk_call(struct talk *a);

/* Bytes that are to be left unconsumed, so that the window is small. */
static uint32_t
talk_keep(const struct talk *a)
{
	if (a->run->window == 0 || a->got == talk_total(a, false))
		return 0;
	return LWIP_PEER_WINDOW - a->run->window;
}

static void
talk_consume(struct talk *a)
{
	uint32_t keep = talk_keep(a);

	if (a->gone || a->unread <= keep)
		return;
	lwip_conn_consumed(a->c, a->unread - keep);
	a->unread = keep;
}

static void
talk_read_later(void *arg)
{
	struct talk *a = arg;

	a->reading = false;
	talk_consume(a);
	talk_call(a);
}

static void
talk_read(struct talk *a)
{
	struct lab_world *w = &a->run->app.w;
	uint32_t us = a->run->app.plan.read_us;

	if (us == 0) {
		talk_consume(a);
		return;
	}
	if (a->reading || a->unread == 0)
		return;
	a->reading = true;
	lab_later(
		w, a->side, 1 + wire_below(&w->random, us), talk_read_later, a);
}

static void
talk_write(struct talk *a)
{
	static uint8_t buf[65536];
	struct app_run *r = &a->run->app;
	uint32_t n, left, chunk = r->plan.chunk ? r->plan.chunk : 4096;

	while ((left = talk_total(a, true) - a->sent) > 0) {
		n = RTE_MIN(left, 1 + wire_below(&r->w.random, chunk));
		n = RTE_MIN(n, lwip_conn_room(a->c));
		n = RTE_MIN(n, UINT16_MAX);
		if (n == 0)
			return;
		wire_fill(buf, n, a->id[a->side], a->sent);
		if (!lwip_conn_send(a->c, buf, (uint16_t)n))
			return;
		a->sent += n;
	}
}

/* True if it was broken off here. */
static bool
talk_break(struct talk *a)
{
	const struct app_plan *p = &a->run->app.plan;

	if (p->end < END_ORDERLY || a->got < p->cut ||
		a->side != (p->end == END_ABORT_B))
		return false;
	a->aborted = true;
	if (p->end == END_UNREAD)
		lwip_conn_close(a->c);
	else
		lwip_conn_abort(a->c);
	talk_gone(a, 0);
	return true;
}

static bool
talk_may_end(const struct talk *a)
{
	switch (a->run->app.plan.end) {
	case END_A:
		return a->finished || (talk_done(a) && a->side == 0);
	case END_B:
		return a->finished || (talk_done(a) && a->side == 1);
	case END_EACH:
		return true;
	case END_HALF:
		return a->side == 0 || a->finished;
	default:
		return talk_done(a);
	}
}

static void
talk_end(struct talk *a)
{
	if (a->sent < talk_total(a, true) || !talk_may_end(a))
		return;
	if (a->run->drain && lwip_conn_room(a->c) < LWIP_PEER_SND_BUF)
		return;
	if (a->finished && !a->shut && !a->unread && a->run->app.plan.close) {
		lwip_conn_close(a->c);
		talk_gone(a, 0);
		return;
	}
	if (!a->shut)
		lwip_conn_shutdown(a->c);
	a->shut = true;
	if (!a->finished || a->unread)
		return;
	lwip_conn_release(a->c);
	talk_gone(a, 0);
}

static void
talk_work(void *arg)
{
	struct talk *a = arg;
	const struct app_plan *p = &a->run->app.plan;

	a->called = false;
	if (a->gone || !a->open || talk_break(a))
		return;
	talk_read(a);
	if (p->end != END_HALF || a->side == 0 || a->finished)
		talk_write(a);
	talk_end(a);
}

/* Work is done outside of lwip's callbacks, where it may be freed. */
static void
talk_call(struct talk *a)
{
	if (a->called || a->gone)
		return;
	a->called = true;
	lab_later(&a->run->app.w, a->side, 0, talk_work, a);
}

static void
talk_received(struct lwip_conn *c, void *user, const uint8_t *data, uint32_t n)
{
	struct talk *a = user;
	uint32_t same = wire_same(data, n, a->id[!a->side], a->got);
	struct lab_world *w = &a->run->app.w;

	lab_must(w, a->c == c && !a->finished, "lwip: data of another");
	lab_must(w, same == n, "lwip: byte %u is wrong", a->got + same);
	a->got += n;
	a->unread += n;
	lab_must(w, a->got <= talk_total(a, false), "lwip: too many bytes");
	talk_call(a);
}

static void
talk_finished(struct lwip_conn *c, void *user)
{
	struct talk *a = user;
	struct lab_world *w = &a->run->app.w;

	(void)c;
	lab_must(w, !a->finished, "lwip: finished twice");
	lab_must(w,
		a->got == talk_total(a, false) ||
			a->run->app.plan.end == END_UNREAD,
		"lwip: FIN after %u of %u bytes", a->got, talk_total(a, false));
	a->finished = true;
	talk_call(a);
}

static void
talk_room(struct lwip_conn *c, void *user)
{
	(void)c;
	talk_call(user);
}

static void
talk_connected(struct lwip_conn *c, void *user)
{
	struct talk *a = user;

	(void)c;
	a->open = true;
	talk_call(a);
}

static void
talk_closed(struct lwip_conn *c, void *user, int error)
{
	(void)c;
	talk_gone(user, error);
}

static struct talk *
talk_make(struct talk_run *r, uint16_t port)
{
	struct talk *a = calloc(1, sizeof(*a));

	ck_assert_ptr_nonnull(a);
	a->run = r;
	a->side = r->lwip;
	a->id[0] = (uint32_t)r->app.w.plan.seed * 2 + port * 0x10001u;
	a->id[1] = r->app.plan.echo ? a->id[0] : ~a->id[0];
	memcpy(a->total, r->app.plan.bytes, sizeof(a->total));
	if (r->app.plan.echo)
		a->total[1] = a->total[0];
	a->next = r->talks;
	r->talks = a;
	return a;
}

static void *
talk_accepted(void *listener, struct lwip_conn *c)
{
	struct talk_run *r = listener;
	struct talk *a = talk_make(r, lwip_conn_port(c, true));

	a->c = c;
	a->open = true;
	r->app.accepted++;
	talk_call(a);
	return a;
}

static const struct lwip_events talk_events = {
	.accepted = talk_accepted,
	.connected = talk_connected,
	.received = talk_received,
	.finished = talk_finished,
	.room = talk_room,
	.closed = talk_closed,
};

/* --- lwip as a side of the lab --- */

static struct lwip_addr
to_lwip(struct ip_addr a)
{
	struct lwip_addr l = { .v4 = ip_addr_is_v4(&a) };

	memcpy(l.word, a.w, sizeof(l.word));
	if (l.v4)
		memset(l.word, 0, 3 * sizeof(l.word[0]));
	return l;
}

static void
lwip_sends(void *ctx, const uint8_t *ip, uint32_t n)
{
	struct lab_side *s = ctx;
	uint8_t f[WIRE_MAX];

	memcpy(f, lab_mac[!s->i], 6);
	memcpy(f + 6, lab_mac[s->i], 6);
	wire_put16(f + 12, ip[0] >> 4 == 4 ? 0x0800 : 0x86dd);
	memcpy(f + WIRE_L3, ip, n);
	lab_wire(s->world, s->i, f, WIRE_L3 + n);
}

static void
lwip_input(struct lab_side *s, const uint8_t *f, uint32_t n)
{
	(void)s;
	lwip_peer_input(f + WIRE_L3, n - WIRE_L3);
}

static uint64_t
lwip_tick(struct lab_side *s)
{
	struct lab_world *w = s->world;

	if (run.tick_us <= w->now_us) {
		lwip_peer_tick();
		run.tick_us = w->now_us + LWIP_PEER_TICK_US;
	}
	return run.tick_us - w->now_us;
}

static bool
lwip_quiet(const struct lab_side *s)
{
	(void)s;
	return lwip_peer_connections() == 0;
}

static const struct lab_foreign lwip = {
	.input = lwip_input,
	.tick = lwip_tick,
	.quiet = lwip_quiet,
};

/* --- a run --- */

static void
lwip_connect_next(void *arg)
{
	struct talk_run *r = arg;
	uint16_t port = (uint16_t)(1024 + r->opened);
	struct talk *a = talk_make(r, port);
	struct lwip_addr to = to_lwip(r->app.w.side[1].addr);

	r->opened = ++r->app.opened;
	a->c = lwip_peer_connect(&to, LAB_SERVICE, port, &talk_events, a);
	if (r->opened < r->app.plan.connections)
		lab_later(&r->app.w, 0, r->app.plan.space_us, lwip_connect_next,
			r);
}

static void
talk_begin(struct lab_plan *lab, const struct app_plan *app, int side,
	uint32_t window)
{
	struct lab_world *w = &run.app.w;
	struct lwip_addr v4 = to_lwip(lab_address(side, false));
	struct lwip_addr v6 = to_lwip(lab_address(side, true));

	memset(&run, 0, sizeof(run));
	lwip_peer_clear();
	run.lwip = side;
	run.window = window;
	run.drain = window > 0 || app->read_us > 0 ||
		    lab->config[!side].rcv_buf > 0;
	run.app.plan = *app;
	lab->foreign[side] = &lwip;
	lab_make(w, lab);
	lwip_peer_link(&v4, &v6, w->plan.mtu, lwip_sends, &w->side[side]);
	run.tick_us = w->now_us;
	if (side == 1) {
		lwip_peer_listen(LAB_SERVICE, !lab->v6, &talk_events, &run);
		app_connect_next(&run.app);
		return;
	}
	ck_assert_int_eq(tcp_listen(w->side[1].tcp, &w->side[1].addr,
				 htons(LAB_SERVICE), &app_ops, &run.app, 0),
		0);
	lwip_connect_next(&run);
}

static void
talk_verify(const struct talk *a)
{
	const struct lab_world *w = &a->run->app.w;
	const struct app_plan *p = &a->run->app.plan;

	lab_must(w, a->gone, "lwip: not closed, sent %u got %u", a->sent,
		a->got);
	if (a->aborted || (p->end == END_UNREAD && a->error == 0))
		return;
	if (p->end >= END_ORDERLY) {
		lab_must(w, a->error != 0, "lwip: closed in order");
		return;
	}
	lab_must(w, a->error == 0, "lwip: closed(%d)", a->error);
	lab_must(w, talk_done(a), "lwip: sent %u got %u", a->sent, a->got);
}

static void
talk_run(struct lab_plan *lab, const struct app_plan *app, int side,
	uint32_t window)
{
	struct talk *a;

	talk_begin(lab, app, side, window);
	app_finish(&run.app, TALK_MS);
	if (side == 1)
		lwip_peer_unlisten();
	ck_assert_uint_eq(lwip_peer_connections(), 0);
	ck_assert_uint_eq(lwip_peer_listeners(), 0);
	while ((a = run.talks) != NULL) {
		talk_verify(a);
		run.talks = a->next;
		free(a);
	}
	ck_assert_uint_eq(run.app.w.side[!side].stats.established, 0);
	ck_assert_uint_eq(run.app.w.side[!side].stats.time_wait, 0);
}

#endif
