/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Recovery.
 *
 *   replay    from records to an image: image.h
 *   reserve   whatever the grant still has gets the slot it had, so that old
 *             and new records of one log mean the same
 *   load      the grant, as always
 *   link      each connection of the image that may go on gets its port, keys
 *             and place in a list; the others are dropped, by reason:
 *               config   service, backend, SNAT address or bucket is no
 *                        longer this instance's
 *               expired  its time-out has passed meanwhile
 *               other    no room, or it contradicts itself or another
 *
 * Time. A record says how long its connection was idle, and its block when
 * that was. But use is not logged: until the former instance ended, any
 * connection may have been used. When that was, its counters tell, if they
 * outlived it, else the log's last block (record.h: ALIVE). From there the
 * time-outs go on, so no connection is expired before its time, and one that
 * had been idle gets that much more. States whose time-out is fixed when they
 * begin are known exactly. What passes between here and the first packet does
 * not count. Only if the machine went down while the log was in trouble is the
 * last block no measure, and a time-out may be cut by as long as that was.
 *
 * What is dropped or moved is not undone in the log one by one: a checkpoint,
 * due as soon as the log is started, says what is left.
 */
#include "nf/lb/recover.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>

#include "dataplane/clock.h"
#include "nf/lb/image.h"
#include "nf/lb/record.h"
#include "nf/lb/sched.h"
#include "nf/lb/snat.h"

/* stats->log.alive_ms, and the log's last block, are this old at most. */
#define ALIVE_MS      2000
#define LAST_BLOCK_MS (RECORD_ALIVE_MS + 2000)

#define GRACE_MAX 63

/* Connections linked together. */
#define BATCH (FLOW_WARM_MAX / 2)

struct recovery {
	struct lb *lb;
	struct image image;
	struct plog_report report;
	uint64_t dead_ms; /* since the former instance's end, at least */

	struct flow *batch[BATCH];
	uint32_t n_batch;
	uint64_t recovered, config, expired, other;
};

/* --- replay --- */

static uint64_t
less(uint64_t ms, uint64_t by)
{
	return ms > by ? ms - by : 0;
}

static uint64_t
dead_by_log(const struct recovery *r)
{
	if (r->report.records == 0)
		return 0;
	return less(plog_age_ms(r->lb->log, &r->report.last), LAST_BLOCK_MS);
}

/* The counters are those of this start of the machine, or none. */
static uint64_t
dead_ms(const struct recovery *r)
{
	const struct stats_log *s = &r->lb->env->stats->log;
	struct plog_head then = { 0 };

	if (s->alive_ms == 0 || s->boot != r->lb->env->grant->store.boot)
		return dead_by_log(r);
	then.boot = s->boot;
	then.boot_ms = s->alive_ms;
	return less(plog_age_ms(r->lb->log, &then), ALIVE_MS);
}

static int
replay(struct recovery *r, char *why, size_t len)
{
	struct stats_log *stats = &r->lb->env->stats->log;
	int rc = plog_replay(r->lb->log, image_record, &r->image, &r->report);

	if (rc != 0) {
		snprintf(why, len, "the log cannot be read: %s", strerror(-rc));
		return rc;
	}
	stats->end = r->report.end;
	if (r->report.end == PLOG_END_DAMAGED && !stats->damaged) {
		snprintf(why, len, "%s", r->report.why);
		return -EBADMSG;
	}
	r->dead_ms = dead_ms(r);
	return 0;
}

/* --- reserve --- */

static int
reserve_backends(struct recovery *r, const struct grant_service *s, uint16_t of)
{
	const struct grant *g = r->lb->env->grant;

	for (uint32_t k = 0; k < s->n_backends; k++) {
		const struct grant_backend *b =
			&g->backends[s->first_backend + k];
		const struct meaning is = { b->addr, b->port, of };
		uint16_t slot = image_find(r->image.backend, LB_BACKENDS, &is);

		if (slot == LB_NONE || r->image.backend[slot].live)
			continue;
		if (lb_reserve_backend(r->lb, slot, b, of) != 0)
			return -ENOMEM;
		r->image.backend[slot].live = true;
	}
	return 0;
}

static int
reserve_services(struct recovery *r)
{
	const struct grant *g = r->lb->env->grant;
	int rc = 0;

	for (uint32_t i = 0; i < g->n_services && rc == 0; i++) {
		const struct grant_service *s = &g->services[i];
		const struct meaning is = { s->addr, s->port, s->proto };
		uint16_t slot = image_find(r->image.service, LB_SERVICES, &is);

		if (slot == LB_NONE || r->image.service[slot].live)
			continue;
		lb_reserve_service(r->lb, slot, s);
		r->image.service[slot].live = true;
		rc = reserve_backends(r, s, slot);
	}
	return rc;
}

static void
reserve_snats(struct recovery *r)
{
	const struct grant *g = r->lb->env->grant;

	for (uint32_t i = 0; i < g->n_snat; i++) {
		const struct meaning is = { .addr = g->snat[i] };
		uint16_t slot = image_find(r->image.snat, LB_SNATS, &is);

		if (slot == LB_NONE || r->image.snat[slot].live)
			continue;
		lb_reserve_snat(r->lb, slot, &g->snat[i]);
		r->image.snat[slot].live = true;
	}
}

/* --- link: may it go on? --- */

static int
is_consistent(const struct recovery *r, const struct flow *f)
{
	const bool udp = f->state == FLOW_UDP || f->state == FLOW_UDP_NEW;
	const bool v6 = (f->flags & FLOW_F_V6) != 0;
	const struct meaning *s, *b, *a;

	if (!image_is_defined(&r->image, f))
		return 0;
	s = &r->image.service[f->service].is;
	b = &r->image.backend[f->backend].is;
	a = &r->image.snat[f->snat].is;
	return b->of == f->service &&
	       s->of == (udp ? IPPROTO_UDP : IPPROTO_TCP) &&
	       v6 == !ip_addr_is_v4(&s->addr) && v6 == !ip_addr_is_v4(&a->addr);
}

/* Do both sides' packets still come to this instance? */
static int
is_ours(const struct lb *lb, const struct flow *f)
{
	const struct lb_service *s = &lb->service[f->service];
	const struct steer_tuple t = { .src = f->client,
		.dst = s->addr,
		.sport = f->client_port,
		.dport = s->port,
		.proto = s->proto };
	uint32_t bucket = steer_hash(&t, lb->steer_seed, s->flags) & lb->mask;

	return lb_owns(lb, bucket) &&
	       bucket == (ntohs(f->snat_port) & lb->mask);
}

static int
is_configured(const struct recovery *r, const struct flow *f)
{
	return r->image.service[f->service].live &&
	       r->image.backend[f->backend].live &&
	       r->image.snat[f->snat].live && is_ours(r->lb, f);
}

/* Milliseconds since the last use of `f`, at least. */
static uint64_t
idle_ms(const struct recovery *r, const struct flow *f)
{
	uint64_t age = (uint32_t)r->lb->now_ms - f->stamp;

	if (f->state == FLOW_SYN || f->state == FLOW_CLOSED)
		return age;
	return RTE_MIN(age, r->dead_ms);
}

/*
 * What the log has as half-open may have been established in the last moments
 * before the end: it gets the time of a connection that closes.
 */
static uint32_t
timeout_of(const struct lb *lb, const struct flow *f)
{
	if (f->state != FLOW_SYN)
		return lb->timeout_ms[f->state];
	return RTE_MAX(lb->timeout_ms[FLOW_SYN], lb->timeout_ms[FLOW_FIN]);
}

/* May `f` go on? 1, or 0: counted. */
static int
may_go_on(struct recovery *r, const struct flow *f)
{
	if (!is_consistent(r, f)) {
		r->other++;
		return 0;
	}
	if (!is_configured(r, f)) {
		r->config++;
		return 0;
	}
	if (idle_ms(r, f) >= timeout_of(r->lb, f)) {
		r->expired++;
		return 0;
	}
	return 1;
}

/* --- link: the deed --- */

static struct lb_endpoint *
endpoint_of(struct lb *lb, const struct flow *f)
{
	return &lb->endpoint[lb->backend[f->backend].endpoint];
}

/* Time-outs of half-open ones that `f` has left, rounded up; this is one. */
static uint8_t
grace_of(const struct lb *lb, uint64_t left_ms)
{
	uint64_t rounds = (left_ms - 1) / lb->timeout_ms[FLOW_SYN];

	return (uint8_t)RTE_MIN(rounds, GRACE_MAX + 0u);
}

/*
 * Into the list of its state. Lists are in order of time-out: half-open ones
 * begin now, for all alike, with rounds of grace.
 */
static void
arm(struct recovery *r, struct flow *f)
{
	struct lb *lb = r->lb;
	const enum flow_state state = (enum flow_state)f->state;
	uint64_t idle = idle_ms(r, f), left = timeout_of(lb, f) - idle;

	f->state = FLOW_FREE;
	flow_set_state(&lb->flows, f, state, lb->now_ms, (uint32_t)left);
	if (state == FLOW_SYN)
		f->grace = grace_of(lb, left) & GRACE_MAX;
	else
		f->stamp = (uint32_t)(lb->now_ms - idle);
}

/* Give `f` all that a connection holds. 1, or 0 if it was taken. */
static int
link_one(struct recovery *r, struct flow *f, uint64_t key0, uint64_t key1)
{
	struct lb *lb = r->lb;
	struct lb_endpoint *e = endpoint_of(lb, f);

	if (snat_claim(lb, e, f->snat, f->snat_port) != 0)
		return 0;
	if (flow_insert(&lb->flows, f, key0, key1) != 0) {
		snat_give(lb, e, f->snat, f->snat_port);
		return 0;
	}
	lb_set_deltas(lb, f);
	f->logged = 1;
	lb_count(lb, f, 1);
	arm(r, f);
	return 1;
}

/* All steps for the batch, so that each one's memory is there in the next. */
static void
link_batch(struct recovery *r)
{
	struct lb *lb = r->lb;
	uint64_t key[2 * BATCH];

	for (uint32_t i = 0; i < r->n_batch; i++) {
		const struct flow *f = r->batch[i];

		key[2 * i] = lb_flow_key(lb, f, FLOW_CLIENT);
		key[2 * i + 1] = lb_flow_key(lb, f, FLOW_BACKEND);
		snat_prefetch_port(
			lb, endpoint_of(lb, f), f->snat, f->snat_port);
	}
	flow_warm(&lb->flows, key, 2 * r->n_batch);
	for (uint32_t i = 0; i < r->n_batch; i++) {
		if (link_one(r, r->batch[i], key[2 * i], key[2 * i + 1])) {
			r->recovered++;
			continue;
		}
		r->batch[i]->state = FLOW_FREE;
		r->other++;
	}
	r->n_batch = 0;
}

static void
link_later(struct recovery *r, struct flow *f)
{
	r->batch[r->n_batch++] = f;
	if (r->n_batch == BATCH)
		link_batch(r);
}

/* Those beyond the table, into what is free of it. */
static void
link_spilled(struct recovery *r)
{
	struct flow_table *t = &r->lb->flows;

	for (uint32_t i = 0; i < r->image.spill.size; i++) {
		const struct flow *from = &r->image.spill.place[i];
		struct flow *f;

		if (from->link.next == WHEEL_NONE || from->state == FLOW_FREE ||
			!may_go_on(r, from))
			continue;
		f = flow_alloc(t);
		if (f == NULL) {
			r->other++;
			continue;
		}
		*f = *from;
		link_later(r, f);
	}
	link_batch(r);
	flow_table_recount(t);
}

static void
link_image(struct recovery *r)
{
	struct flow_table *t = &r->lb->flows;

	for (uint32_t i = 0; i < t->n; i++) {
		struct flow *f = &t->flow[i];

		if (f->state == FLOW_FREE)
			continue;
		if (may_go_on(r, f))
			link_later(r, f);
		else
			f->state = FLOW_FREE;
	}
	link_batch(r);
	flow_table_recount(t);
}

/* Schedulers count a million connections at once, not one by one. */
static void
scheds_stop(struct lb *lb)
{
	for (uint32_t i = 0; i < LB_BACKENDS; i++)
		lb->backend[i].member = LB_NONE;
}

static void
scheds_start(struct lb *lb)
{
	for (uint32_t i = 0; i < LB_SERVICES; i++)
		if (lb->service[i].sched != NULL)
			sched_start(lb, lb->service[i].sched);
}

/* --- all of it --- */

static uint64_t
now_us(void)
{
	return clock_ns(CLOCK_MONOTONIC) / 1000;
}

static int
run(struct recovery *r, char *why, size_t len)
{
	int rc = replay(r, why, len);

	if (rc != 0)
		return rc;
	rc = reserve_services(r);
	if (rc != 0) {
		snprintf(why, len, "no memory for the log's backends");
		return rc;
	}
	reserve_snats(r);
	rc = lb_load(r->lb, why, len);
	if (rc != 0)
		return rc;
	scheds_stop(r->lb);
	link_image(r);
	if (r->image.spill.size > 0)
		link_spilled(r);
	scheds_start(r->lb);
	lb_publish(r->lb);
	return 0;
}

static void
report(const struct recovery *r, uint64_t took_us)
{
	struct stats_log *s = &r->lb->env->stats->log;

	s->recover_us = took_us;
	s->recover_records = r->report.records;
	s->recovered = r->recovered;
	s->lost_config += r->config;
	s->lost_expired += r->expired;
	s->lost_other += r->other + r->image.bad;
	s->held = 0;
	if (r->config + r->expired + r->other + r->image.bad > 0 ||
		r->image.spill.size > 0)
		plog_outdated(r->lb->log);
}

int
lb_recover(struct lb *lb, char *why, size_t len)
{
	uint64_t from_us = now_us();
	struct recovery *r = calloc(1, sizeof(*r));
	int rc;

	if (r == NULL) {
		snprintf(why, len, "no memory for recovery");
		return -ENOMEM;
	}
	r->lb = lb;
	image_init(&r->image, &lb->flows, lb->log, lb->now_ms);
	rc = run(r, why, len);
	if (rc == 0)
		report(r, now_us() - from_us);
	image_fini(&r->image);
	free(r);
	return rc;
}
