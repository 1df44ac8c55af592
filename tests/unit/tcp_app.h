/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A byte stream on top of the lab: two applications of a connection send each
 * other bytes that are known in advance, check each one that comes, and end
 * in the manner that the plan says.
 *
 * A opens, B accepts (or both open). Which bytes are due follows from the
 * port of A, so that B knows its peer without a word. Every event is held
 * against what may come: nothing twice, nothing after the last.
 */
#ifndef TCP_APP_H
#define TCP_APP_H

#include "tests/unit/tcp_lab.h"

enum app_end {
	END_A,       /* A shuts down when it has sent and got all, then B */
	END_B,       /* the other way round */
	END_BOTH,    /* each when it has sent and got all: at once */
	END_EACH,    /* each when it has sent its own */
	END_HALF,    /* A when it has sent its own; only then B begins */
	END_ORDERLY, /* --- number of the above --- */
	END_ABORT_A = END_ORDERLY, /* A aborts after `cut` bytes have come */
	END_ABORT_B,
	END_UNREAD, /* A closes after `cut` bytes, deaf to what comes */
	END_VANISH, /* the link is cut after `cut` bytes */
	END_KINDS,
};

enum app_send {
	SEND_COPY,
	SEND_MBUF,  /* one segment */
	SEND_CHAIN, /* of several segments */
	SEND_KINDS,
};

struct app_plan {
	uint32_t bytes[2]; /* that A and B send */
	uint8_t end, send; /* enum app_end, app_send */
	bool echo;         /* B sends back what comes, by reference */
	bool both_open;
	bool close;        /* the last word is tcp_close(), no closed() comes */
	bool quick;        /* tcp_set_quickack() */
	uint32_t chunk;    /* bytes of a call at most; 0: 4096 */
	uint32_t pause_us; /* between calls at most */
	uint32_t read_us;  /* until read, at most; 0: at once */
	uint32_t cut;
	uint32_t connections; /* 0: one */
	uint32_t space_us;    /* between connects */
};

struct app_run;

/* A chain that came and was not read yet. */
struct app_unread {
	struct app_unread *next;
	struct rte_mbuf *m;
};

/* One end of a connection. */
struct app {
	struct app_run *run;
	struct app *next;
	int side;
	struct tcp_conn *c;
	uint32_t id[2]; /* of the streams that A and B send */
	uint32_t total[2];
	uint32_t sent, got;
	struct app_unread *unread, **unread_end; /* oldest first */
	bool open, waiting_room, shut, finished, gone, aborted, writing,
		reading;
	int error;
};

struct app_run {
	struct lab_world w;
	struct app_plan plan;
	struct app *apps;
	uint32_t opened, accepted, closed[2];
	bool mild; /* END_UNREAD, but there was nothing left to read */
};

static void app_work(struct app *a);

static uint32_t
app_total(const struct app *a, bool mine)
{
	return a->total[mine ? a->side : !a->side];
}

static bool
app_got_all(const struct app *a)
{
	return a->got == app_total(a, false);
}

static bool
app_sent_all(const struct app *a)
{
	return a->sent == app_total(a, true);
}

/* --- reading --- */

static void
app_check(struct app *a, const struct rte_mbuf *m)
{
	struct lab_world *w = &a->run->w;
	uint32_t id = a->id[!a->side], n = 0, same;

	for (; m != NULL; m = m->next) {
		same = wire_same(rte_pktmbuf_mtod(m, uint8_t *), m->data_len,
			id, a->got);
		lab_must(w, same == m->data_len, "%c: byte %u is wrong",
			'A' + a->side, a->got + same);
		a->got += m->data_len;
		n += m->data_len;
	}
	lab_must(w, a->got <= app_total(a, false), "%u bytes too many",
		a->got - app_total(a, false));
}

static void
app_keep(struct app *a, struct rte_mbuf *m)
{
	struct app_unread *u = malloc(sizeof(*u));

	ck_assert_ptr_nonnull(u);
	*u = (struct app_unread){ .m = m };
	*a->unread_end = u;
	a->unread_end = &u->next;
}

static void
app_forget(struct app *a)
{
	struct app_unread *u = a->unread;

	a->unread = u->next;
	if (a->unread == NULL)
		a->unread_end = &a->unread;
	free(u);
}

/* Echo: send the oldest back. false: no room. */
static bool
app_return(struct app *a)
{
	struct rte_mbuf *m = a->unread->m;
	uint32_t n = m->pkt_len;
	int rc = tcp_send(a->c, m);

	if (rc == -ENOBUFS)
		return false;
	lab_must(&a->run->w, rc == 0, "tcp_send: %d", rc);
	a->sent += n;
	app_forget(a);
	tcp_consumed(a->c, n);
	return true;
}

static void
app_read_one(struct app *a)
{
	struct rte_mbuf *m = a->unread->m;
	uint32_t n = m->pkt_len;

	app_forget(a);
	rte_pktmbuf_free(m);
	if (!a->gone)
		tcp_consumed(a->c, n);
}

static void
app_read_all(struct app *a)
{
	while (a->unread)
		app_read_one(a);
}

static void app_read(struct app *a);

static void
app_read_later(void *arg)
{
	struct app *a = arg;
	uint64_t *random = &a->run->w.random;

	a->reading = false;
	if (a->unread && !wire_below(random, 2))
		app_read_one(a);
	else
		app_read_all(a);
	app_read(a);
	app_work(a);
}

static void
app_read(struct app *a)
{
	struct lab_world *w = &a->run->w;
	uint32_t us = a->run->plan.read_us;

	if (us == 0 || a->gone) {
		app_read_all(a);
		return;
	}
	if (a->reading || !a->unread)
		return;
	a->reading = true;
	lab_later(
		w, a->side, 1 + wire_below(&w->random, us), app_read_later, a);
}

/* --- writing --- */

static struct rte_mbuf *
app_mbuf(struct app *a, uint32_t n, uint32_t at)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(lab_pool);

	lab_must(&a->run->w, m != NULL, "no mbuf left");
	n = RTE_MIN(n, (uint32_t)rte_pktmbuf_tailroom(m));
	wire_fill((uint8_t *)rte_pktmbuf_append(m, (uint16_t)n), n,
		a->id[a->side], at);
	return m;
}

static struct rte_mbuf *
app_chain(struct app *a, uint32_t n, bool many)
{
	struct lab_world *w = &a->run->w;
	struct rte_mbuf *m = app_mbuf(a, many ? 1 + n / 3 : n, a->sent), *more;

	while (many && m->pkt_len < n && m->nb_segs < 5) {
		uint32_t left = n - m->pkt_len;

		more = app_mbuf(a, 1 + wire_below(&w->random, left),
			a->sent + m->pkt_len);
		ck_assert_int_eq(rte_pktmbuf_chain(m, more), 0);
	}
	return m;
}

/* Write once: bytes, or -errno. */
static int
app_write(struct app *a, uint32_t n)
{
	const struct app_plan *p = &a->run->plan;
	static uint8_t buf[65536];
	struct rte_mbuf *m;
	int rc;

	if (p->send == SEND_COPY) {
		wire_fill(buf, n, a->id[a->side], a->sent);
		rc = tcp_send_copy(a->c, buf, n);
		return rc < 0 ? rc : (int)n;
	}
	m = app_chain(a, n, p->send == SEND_CHAIN);
	n = m->pkt_len;
	rc = tcp_send(a->c, m);
	if (rc < 0)
		rte_pktmbuf_free(m);
	return rc < 0 ? rc : (int)n;
}

static void
app_write_later(void *arg)
{
	struct app *a = arg;

	a->writing = false;
	app_work(a);
}

/* Queue what there is room for. */
static void
app_fill(struct app *a)
{
	const struct app_plan *p = &a->run->plan;
	struct lab_world *w = &a->run->w;
	uint32_t chunk = p->chunk ? p->chunk : 4096, n, room;
	int rc;

	while (!app_sent_all(a) && !a->waiting_room && !a->writing) {
		n = RTE_MIN(app_total(a, true) - a->sent,
			1 + wire_below(&w->random, chunk));
		room = tcp_room(a->c);
		if (p->send == SEND_COPY && room > 0)
			n = RTE_MIN(n, room);
		rc = app_write(a, n);
		if (rc == -ENOBUFS) {
			a->waiting_room = true;
			break;
		}
		lab_must(w, rc > 0, "tcp_send: %d", rc);
		a->sent += (uint32_t)rc;
		if (p->pause_us == 0)
			continue;
		a->writing = true;
		lab_later(w, a->side, 1 + wire_below(&w->random, p->pause_us),
			app_write_later, a);
	}
}

/* --- ending --- */

static void
app_gone(struct app *a)
{
	a->gone = true;
	a->c = NULL;
	a->run->closed[a->side]++;
	app_read_all(a);
}

/* True if the plan breaks it off here. */
static bool
app_break(struct app *a)
{
	const struct app_plan *p = &a->run->plan;
	struct lab_world *w = &a->run->w;

	if (p->end < END_ORDERLY || a->got < p->cut)
		return false;
	if (p->end == END_VANISH) {
		w->plan.link[0].dead = w->plan.link[1].dead = true;
		return false;
	}
	if (a->side != (p->end == END_ABORT_B))
		return false;
	a->aborted = true;
	a->run->mild = app_got_all(a);
	if (p->end == END_UNREAD)
		tcp_close(a->c);
	else
		tcp_abort(a->c);
	app_gone(a);
	return true;
}

static bool
app_may_end(const struct app *a)
{
	switch (a->run->plan.end) {
	case END_A:
		return app_got_all(a) && (a->side == 0 || a->finished);
	case END_B:
		return app_got_all(a) && (a->side == 1 || a->finished);
	case END_EACH:
		return true;
	case END_HALF:
		return a->side == 0 || a->finished;
	case END_UNREAD:
		return app_got_all(a) || a->finished;
	default:
		return app_got_all(a);
	}
}

static void
app_shut(struct app *a)
{
	if (a->shut || !app_sent_all(a) || !app_may_end(a))
		return;
	a->shut = true;
	if (!a->run->plan.close || !app_got_all(a) || a->unread) {
		tcp_shutdown(a->c);
		return;
	}
	tcp_close(a->c);
	app_gone(a);
}

/* Do all that can be done now. */
static void
app_work(struct app *a)
{
	const struct app_plan *p = &a->run->plan;

	if (a->gone || !a->open || app_break(a))
		return;
	if (p->echo && a->side == 1) {
		while (a->unread && app_return(a))
			;
	} else if (p->end != END_HALF || a->side == 0 || a->finished) {
		app_fill(a);
	}
	app_shut(a);
}

/* --- events --- */

static void
app_open(struct app *a)
{
	lab_must(&a->run->w, !a->open && !a->gone, "opened twice");
	a->open = true;
	if (a->run->plan.quick)
		tcp_set_quickack(a->c, true);
	app_work(a);
}

static void
app_connected(struct tcp_conn *c, void *user)
{
	struct app *a = user;

	lab_must(&a->run->w, a->c == c, "connected() of another");
	app_open(a);
}

static void
app_received(struct tcp_conn *c, void *user, struct rte_mbuf *data)
{
	static uint8_t bytes[WIRE_MAX];
	struct app *a = user;
	struct lab_world *w = &a->run->w;

	lab_must(w, a->c == c && !a->gone, "received() of another");
	lab_must(w, !a->finished, "data after the FIN");
	lab_must(w, data->pkt_len > 0, "no data");
	lab_gather(w, data, bytes);
	app_check(a, data);
	app_keep(a, data);
	if (!a->run->plan.echo || a->side == 0)
		app_read(a);
	app_work(a);
}

static void
app_finished(struct tcp_conn *c, void *user)
{
	struct app *a = user;
	struct lab_world *w = &a->run->w;

	lab_must(w, a->c == c && !a->finished, "finished() twice");
	lab_must(w, app_got_all(a) || a->run->plan.end == END_UNREAD,
		"FIN after %u of %u bytes", a->got, app_total(a, false));
	a->finished = true;
	app_work(a);
}

static void
app_room(struct tcp_conn *c, void *user)
{
	struct app *a = user;

	lab_must(&a->run->w, a->c == c, "room() of another");
	a->waiting_room = false;
	app_work(a);
}

static void
app_closed(struct tcp_conn *c, void *user, int error)
{
	struct app *a = user;

	lab_must(&a->run->w, a->c == c && !a->gone, "closed() twice");
	a->error = error;
	app_gone(a);
}

static void *app_accepted(void *listener, struct tcp_conn *c);

static const struct tcp_ops app_ops = {
	.accepted = app_accepted,
	.connected = app_connected,
	.received = app_received,
	.finished = app_finished,
	.room = app_room,
	.closed = app_closed,
};

/* --- a run --- */

/* `port` of A says which streams these are. */
static struct app *
app_make(struct app_run *r, int side, uint16_t port)
{
	struct app *a = calloc(1, sizeof(*a));

	ck_assert_ptr_nonnull(a);
	a->run = r;
	a->side = side;
	a->unread_end = &a->unread;
	a->id[0] = (uint32_t)r->w.plan.seed * 2 + port * 0x10001u;
	a->id[1] = r->plan.echo ? a->id[0] : ~a->id[0];
	memcpy(a->total, r->plan.bytes, sizeof(a->total));
	if (r->plan.echo)
		a->total[1] = a->total[0];
	a->next = r->apps;
	r->apps = a;
	return a;
}

static void
app_start(void *arg)
{
	struct app *a = arg;

	if (!a->gone)
		app_open(a);
}

/* The stack may call on before accepted() has returned its user. */
static void *
app_accepted(void *listener, struct tcp_conn *c)
{
	struct app_run *r = listener;
	struct tcp_info info;
	struct app *a;

	tcp_info(c, &info);
	lab_must(&r->w, ntohs(info.lport) == LAB_SERVICE, "wrong port");
	a = app_make(r, 1, ntohs(info.rport));
	a->c = c;
	r->accepted++;
	lab_later(&r->w, 1, 0, app_start, a);
	return a;
}

static void
app_connect(struct app_run *r, int side, uint16_t lport, uint16_t rport)
{
	struct lab_side *s = &r->w.side[side];
	struct tcp_connect to = { .local = s->addr,
		.remote = r->w.side[!side].addr,
		.lport = htons(lport),
		.rport = htons(rport),
		.nexthop = LAB_NEXTHOP };
	struct app *a = app_make(r, side, side == 0 ? lport : rport);
	struct tcp_info info;
	int rc = tcp_connect(s->tcp, &to, &app_ops, a, &a->c);

	lab_must(&r->w, rc == 0, "tcp_connect: %d", rc);
	r->opened++;
	s->dirty = true;
	tcp_info(a->c, &info);
	if (side == 0 && lport == 0) {
		uint16_t port = ntohs(info.lport);

		a->id[0] = (uint32_t)r->w.plan.seed * 2 + port * 0x10001u;
		a->id[1] = r->plan.echo ? a->id[0] : ~a->id[0];
	}
}

static void
app_connect_next(void *arg)
{
	struct app_run *r = arg;

	app_connect(r, 0, 0, LAB_SERVICE);
	if (r->opened < r->plan.connections)
		lab_later(&r->w, 0, r->plan.space_us, app_connect_next, r);
}

MAYBE void
app_begin(struct app_run *r, const struct lab_plan *lab,
	const struct app_plan *plan)
{
	memset(r, 0, sizeof(*r));
	r->plan = *plan;
	lab_make(&r->w, lab);
	if (plan->both_open) {
		app_connect(r, 0, 4000, 5000);
		app_connect(r, 1, 5000, 4000);
		return;
	}
	ck_assert_int_eq(tcp_listen(r->w.side[1].tcp, &r->w.side[1].addr,
				 htons(LAB_SERVICE), &app_ops, r, 0),
		0);
	app_connect_next(r);
}

static void
app_verify(const struct app *a)
{
	const struct app_plan *p = &a->run->plan;
	const struct lab_world *w = &a->run->w;

	lab_must(w, a->gone, "%c: not closed, sent %u got %u", 'A' + a->side,
		a->sent, a->got);
	if (a->aborted)
		return;
	if (p->end == END_UNREAD && a->run->mild) {
		lab_must(w, a->error == 0, "closed(%d) in order", a->error);
		return;
	}
	if (p->end >= END_ORDERLY) {
		lab_must(w, a->error == -ECONNRESET || a->error == -ETIMEDOUT,
			"%c: closed(%d)", 'A' + a->side, a->error);
		return;
	}
	lab_must(w, a->error == 0, "%c: closed(%d)", 'A' + a->side, a->error);
	lab_must(w, app_sent_all(a) && app_got_all(a), "%c: sent %u got %u",
		'A' + a->side, a->sent, a->got);
	lab_must(w, a->finished || p->close, "%c: no FIN", 'A' + a->side);
}

/* Run it to its end, `ms` at most, and hold all against the plan. */
MAYBE void
app_finish(struct app_run *r, uint64_t ms)
{
	struct app *a;

	lab_run_quiet(&r->w, ms);
	for (a = r->apps; a != NULL; a = a->next)
		app_verify(a);
	if (r->plan.end < END_ORDERLY && !r->plan.both_open)
		lab_must(&r->w, r->accepted == r->opened, "%u accepted of %u",
			r->accepted, r->opened);
	lab_end(&r->w);
	while ((a = r->apps) != NULL) {
		r->apps = a->next;
		free(a);
	}
}

MAYBE void
app_run(struct app_run *r, const struct lab_plan *lab,
	const struct app_plan *plan, uint64_t ms)
{
	app_begin(r, lab, plan);
	app_finish(r, ms);
}

#endif
