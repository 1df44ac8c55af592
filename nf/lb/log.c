/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the persistent log is told of connections, and when.
 *
 *   opened                     its record: state SYN or UDP_NEW
 *   established, closing, a    its record
 *   reset that may be forged,
 *   back from that, another
 *   client MAC address
 *   closed by both, ended      GONE, once
 *   nothing for a while        ALIVE, if there are connections
 *
 * Use is not logged: it would be a record per connection and time-out, and yet
 * not tell of the last use. What the log has no end of was in use at the end of
 * the instance, and when that was, it tells (recover.c).
 *
 * Definitions. A record names slots. Before the first record of a session,
 * and whenever slots got another meaning, what all slots mean is written; no
 * connection's record is, until that is complete.
 *
 * What finds no room. A half-open connection is not logged while memory is
 * half full of what waits for the device (plog_pressed()): a flood must leave
 * room for the others; it is logged when it is established. With `sync` it is
 * refused instead. A record of the others that finds no room is missed, and
 * the next checkpoint, which writes all connections, makes up for it. Then
 * `flow->logged` tells only what the log has been told, not that it was in
 * time.
 *
 * A checkpoint goes through the table in slices, one per tick, so few blocks
 * ahead of the device that there is always room for other records. What
 * changes behind its cursor meanwhile is logged by the change.
 *
 * With `sync` the first packet of a connection, ready to be sent, is held
 * until its record is durable. When the log is in trouble nothing is held:
 * to serve on is worth more.
 */
#include <rte_branch_prediction.h>

#include "dataplane/log/plog.h"
#include "nf/lb/lb.h"
#include "nf/lb/record.h"

/* A checkpoint's slice, in units of some 10 ns: 20 us. */
#define SLICE      2000
#define COST_LOOK  1
#define COST_WRITE 5

/* Blocks that a checkpoint may be ahead of the device. */
#define SAVE_AHEAD (PLOG_WINDOW / 8)

/* A checkpoint that waits for the device looks again after this. */
#define SAVE_WAIT_US 1000

#define NEVER UINT32_MAX

/* --- definitions --- */

/* They are numbered: services, backends, SNAT addresses. */
#define DEFINE_BACKENDS LB_SERVICES
#define DEFINE_SNATS    (DEFINE_BACKENDS + LB_BACKENDS)
#define DEFINE_END      (DEFINE_SNATS + LB_SNATS)

static void *
define_reserve(struct lb *lb, uint16_t kind, uint16_t len)
{
	void *at = plog_checkpoint_running(lb->log)
			   ? plog_checkpoint_reserve(lb->log, kind, len)
			   : plog_reserve(lb->log, kind, len);

	if (at != NULL)
		lb->define_bytes += plog_record_bytes(len);
	return at;
}

static bool
define_service(struct lb *lb, uint32_t slot)
{
	const struct lb_service *s = &lb->service[slot];
	struct record_server *r;

	if (!s->used || (!s->live && s->conns == 0))
		return true;
	r = define_reserve(lb, RECORD_SERVICE, sizeof(*r));
	if (r != NULL)
		*r = (struct record_server){ .addr = s->addr,
			.port = s->port,
			.slot = (uint16_t)slot,
			.of = s->proto };
	return r != NULL;
}

static bool
define_backend(struct lb *lb, uint32_t slot)
{
	const struct lb_backend *b = &lb->backend[slot];
	struct record_server *r;

	if (!b->used || (!b->live && b->conns == 0))
		return true;
	r = define_reserve(lb, RECORD_BACKEND, sizeof(*r));
	if (r != NULL)
		*r = (struct record_server){ .addr = b->addr,
			.port = b->port,
			.slot = (uint16_t)slot,
			.of = b->service };
	return r != NULL;
}

static bool
define_snat(struct lb *lb, uint32_t slot)
{
	const struct lb_snat *s = &lb->snat[slot];
	struct record_snat *r;

	if (!s->used || (!s->live && s->conns == 0))
		return true;
	r = define_reserve(lb, RECORD_SNAT, sizeof(*r));
	if (r != NULL)
		*r = (struct record_snat){ .addr = s->addr,
			.slot = (uint16_t)slot };
	return r != NULL;
}

static bool
define_one(struct lb *lb, uint32_t i)
{
	if (i < DEFINE_BACKENDS)
		return define_service(lb, i);
	if (i < DEFINE_SNATS)
		return define_backend(lb, i - DEFINE_BACKENDS);
	return define_snat(lb, i - DEFINE_SNATS);
}

/* Write the definitions that are left. True if there are none now. */
static bool
define(struct lb *lb)
{
	while (lb->define_next < DEFINE_END) {
		if (!define_one(lb, lb->define_next))
			return false;
		lb->define_next++;
	}
	return true;
}

void
lb_log_redefine(struct lb *lb)
{
	lb->define_next = 0;
	lb->define_bytes = 0;
}

/* --- records --- */

static uint32_t
idle_ms(const struct lb *lb, const struct flow *f)
{
	int32_t idle = (int32_t)((uint32_t)lb->now_ms - f->stamp);

	return idle > 0 ? (uint32_t)idle : 0;
}

/* Closed for good, it takes no room in a checkpoint. */
static void
ended_set(struct lb *lb, struct flow *f, uint8_t ended)
{
	uint64_t bytes = record_conn_bytes(f);

	if (f->ended == ended)
		return;
	f->ended = ended & 1;
	lb->live_bytes += ended ? -bytes : bytes;
}

typedef void *(*reserve_fn)(struct plog *log, uint16_t kind, uint16_t len);

/* Append the record of `f`: true, or false when there is no room. */
static inline bool
append_by(struct lb *lb, struct flow *f, reserve_fn reserve)
{
	void *at;

	if (unlikely(lb->define_next < DEFINE_END) && !define(lb))
		return false;
	at = reserve(lb->log, record_conn_kind(f), record_conn_len(f));
	if (unlikely(at == NULL))
		return false;
	record_conn_put(at, f, flow_index(&lb->flows, f), idle_ms(lb, f));
	f->logged = 1;
	if (unlikely(f->ended))
		ended_set(lb, f, 0);
	return true;
}

static bool
append(struct lb *lb, struct flow *f)
{
	return append_by(lb, f, plog_reserve);
}

void
lb_log_change(struct lb *lb, struct flow *f)
{
	if (!append(lb, f))
		plog_missed(lb->log);
}

static void
say_gone(struct lb *lb, struct flow *f)
{
	struct record_gone *r;

	if (!f->logged)
		return;
	f->logged = 0;
	r = plog_reserve(lb->log, RECORD_GONE, sizeof(*r));
	if (r != NULL)
		r->index = flow_index(&lb->flows, f);
	else
		plog_missed(lb->log);
}

void
lb_log_gone(struct lb *lb, struct flow *f)
{
	say_gone(lb, f);
	ended_set(lb, f, 0); /* who counts it out does not know of it */
}

void
lb_log_state(struct lb *lb, struct flow *f, enum flow_state was)
{
	switch (f->state) {
	case FLOW_SYN_RCVD:
		f->grace = 0;
		if (was == FLOW_CLOSED)
			lb_log_change(lb, f);
		break;
	case FLOW_CLOSED:
		if (record_may_return(f)) {
			lb_log_change(lb, f);
			break;
		}
		say_gone(lb, f);
		ended_set(lb, f, 1);
		break;
	case FLOW_ESTABLISHED:
	case FLOW_FIN:
	case FLOW_UDP:
		f->grace = 0;
		lb_log_change(lb, f);
		break;
	default:
		break;
	}
}

/* --- first packets --- */

int
lb_log_busy(const struct lb *lb)
{
	return plog_healthy(lb->log) &&
	       (plog_pressed(lb->log) || lb->hold.n == HOLD_MAX);
}

static nf_verdict
hold(struct lb *lb, struct flow *f, const struct packet *p)
{
	if (!hold_has_room(&lb->hold, f))
		return NF_DROP(LB_DROP_LOG_BUSY);
	hold_put(lb, f, lb->mbufs[p - lb->packets]);
	return NF_HELD;
}

/* `f` is in its first state and not logged. */
static nf_verdict
log_opened(struct lb *lb, struct flow *f, const struct packet *p)
{
	bool wait = lb->sync && plog_healthy(lb->log);

	if ((wait && !hold_has_room(&lb->hold, f)) || plog_pressed(lb->log))
		return wait ? NF_DROP(LB_DROP_LOG_BUSY) : NF_TX;
	if (append(lb, f))
		return wait ? hold(lb, f, p) : NF_TX;
	/* No room on disk: the log is to see whether what is live fits. */
	if (wait)
		plog_missed(lb->log);
	return wait ? NF_DROP(LB_DROP_LOG_BUSY) : NF_TX;
}

nf_verdict
lb_log_first(struct lb *lb, struct flow *f, const struct packet *p)
{
	if (f->held > 0)
		return hold(lb, f, p);
	if (!f->logged && (f->state == FLOW_SYN || f->state == FLOW_UDP_NEW))
		return log_opened(lb, f, p);
	return NF_TX;
}

bool
lb_durable(void *state, uint64_t now_tsc)
{
	struct lb *lb = state;

	(void)now_tsc;
	return hold_release(
		lb, plog_healthy(lb->log) ? plog_durable(lb->log) : UINT64_MAX);
}

/* --- checkpoints --- */

static bool
is_live(const struct flow *f)
{
	return f->state != FLOW_FREE && !f->ended;
}

static bool
is_ahead(const struct plog *log)
{
	return log->head - log->done >= SAVE_AHEAD;
}

/*
 * The device is to catch up. If it has, it is the store that has no room, as
 * more became live than it was kept for: waiting would not help, so give this
 * checkpoint up, for the next one to find room made.
 */
static uint32_t
save_later(struct lb *lb)
{
	if (!is_ahead(lb->log) && plog_checkpoint_running(lb->log))
		plog_checkpoint_abandon(lb->log);
	return SAVE_WAIT_US;
}

static uint32_t
save_slice(struct lb *lb)
{
	int slice = SLICE;

	while (lb->save_next < lb->flows.n && slice > 0) {
		struct flow *f = &lb->flows.flow[lb->save_next];

		slice -= COST_LOOK;
		if (is_live(f)) {
			if (is_ahead(lb->log) ||
				!append_by(lb, f, plog_checkpoint_reserve))
				return save_later(lb);
			slice -= COST_WRITE;
		}
		lb->save_next++;
	}
	if (lb->save_next < lb->flows.n)
		return 0;
	plog_checkpoint_end(lb->log);
	return 0;
}

/* Nothing new in the log for long, but connections: say that they are. */
static void
say_alive(struct lb *lb)
{
	struct record_alive *r;

	if (lb->log->lsn == lb->alive_lsn && lb->flows.live > 0) {
		if (lb->now_ms - lb->alive_ms < RECORD_ALIVE_MS)
			return;
		r = plog_reserve(lb->log, RECORD_ALIVE, sizeof(*r));
		if (r != NULL)
			r->connections = lb->flows.live;
	}
	lb->alive_lsn = lb->log->lsn;
	lb->alive_ms = lb->now_ms;
}

uint32_t
lb_log_tick(struct lb *lb)
{
	struct plog *log = lb->log;
	bool defined = define(lb);

	say_alive(lb);
	if (!plog_checkpoint_running(log)) {
		if (!plog_checkpoint_due(
			    log, lb->live_bytes + lb->define_bytes))
			return defined ? NEVER : SAVE_WAIT_US;
		plog_checkpoint_begin(log);
		lb->save_next = 0;
		lb_log_redefine(lb);
		defined = define(lb);
	}
	return defined ? save_slice(lb) : save_later(lb);
}
