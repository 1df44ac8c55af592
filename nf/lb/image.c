/* SPDX-License-Identifier: BSD-3-Clause */
#include "nf/lb/image.h"

#include <rte_common.h>

#include "nf/lb/record.h"

/* Idle times are compared as signed 32-bit milliseconds. */
#define AGE_MAX ((uint64_t)INT32_MAX)

void
image_init(struct image *m, struct flow_table *flows, const struct plog *log,
	uint64_t now_ms)
{
	m->flows = flows;
	m->log = log;
	m->now_ms = now_ms;
	m->block = UINT64_MAX;
	m->spill.max = flows->n;
}

void
image_fini(struct image *m)
{
	spill_fini(&m->spill);
}

/* --- what slots meant --- */

static int
means_same(const struct meaning *a, const struct meaning *b)
{
	return ip_addr_eq(&a->addr, &b->addr) && a->port == b->port &&
	       a->of == b->of;
}

/*
 * Slot `i` of slot[0..n) means `is` from here on. No two slots mean the same
 * at a time, so another that did has been given up.
 */
static void
redefine(struct image *m, struct slot *slot, uint32_t n, uint32_t i,
	const struct meaning *is)
{
	if (i >= n) {
		m->bad++;
		return;
	}
	if (slot[i].used && means_same(&slot[i].is, is))
		return;
	for (uint32_t k = 0; k < n; k++)
		if (slot[k].used && means_same(&slot[k].is, is))
			slot[k].used = false;
	slot[i] =
		(struct slot){ .is = *is, .since = ++m->defined, .used = true };
}

static void
replay_server(struct image *m, const struct plog_record *rec)
{
	const struct record_server *s = rec->data;
	struct meaning is;

	if (rec->len != sizeof(*s)) {
		m->bad++;
		return;
	}
	is = (struct meaning){ .addr = s->addr, .port = s->port, .of = s->of };
	if (rec->kind == RECORD_SERVICE)
		redefine(m, m->service, LB_SERVICES, s->slot, &is);
	else
		redefine(m, m->backend, LB_BACKENDS, s->slot, &is);
}

static void
replay_snat(struct image *m, const struct plog_record *rec)
{
	const struct record_snat *s = rec->data;
	struct meaning is;

	if (rec->len != sizeof(*s)) {
		m->bad++;
		return;
	}
	is = (struct meaning){ .addr = s->addr };
	redefine(m, m->snat, LB_SNATS, s->slot, &is);
}

/* --- connections --- */

/* Milliseconds since `block` was sealed. */
static uint64_t
age_of(struct image *m, const struct plog_head *block)
{
	if (block->seq != m->block) {
		m->block = block->seq;
		m->block_age = plog_age_ms(m->log, block);
	}
	return m->block_age;
}

static void
replay_conn(struct image *m, const struct plog_record *rec)
{
	struct flow_table *t = m->flows;
	uint32_t index, idle;
	struct flow f, *at;
	uint64_t age;

	if (record_conn_get(
		    rec->kind, rec->data, rec->len, &f, &index, &idle) != 0) {
		m->bad++;
		return;
	}
	at = index < t->n ? &t->flow[index] : spill_enter(&m->spill, index);
	if (at == NULL) {
		m->bad++;
		return;
	}
	age = RTE_MIN(age_of(m, rec->block) + idle, AGE_MAX);
	f.stamp = (uint32_t)(m->now_ms - age);
	f.link.prev = m->defined;
	f.link.next = index;
	*at = f;
}

static void
replay_gone(struct image *m, const struct plog_record *rec)
{
	const struct record_gone *g = rec->data;
	struct flow_table *t = m->flows;
	struct flow *f;

	if (rec->len != sizeof(*g)) {
		m->bad++;
		return;
	}
	f = g->index < t->n ? &t->flow[g->index]
			    : spill_find(&m->spill, g->index);
	if (f != NULL)
		f->state = FLOW_FREE;
}

int
image_record(void *ctx, const struct plog_record *rec)
{
	struct image *m = ctx;

	switch (rec->kind) {
	case RECORD_CONN4:
	case RECORD_CONN6:
		replay_conn(m, rec);
		break;
	case RECORD_GONE:
		replay_gone(m, rec);
		break;
	case RECORD_SERVICE:
	case RECORD_BACKEND:
		replay_server(m, rec);
		break;
	case RECORD_SNAT:
		replay_snat(m, rec);
		break;
	case RECORD_ALIVE:
		break;
	default:
		m->bad++;
	}
	return 0;
}

uint16_t
image_find(const struct slot *slot, uint32_t n, const struct meaning *is)
{
	for (uint32_t i = 0; i < n; i++)
		if (slot[i].used && means_same(&slot[i].is, is))
			return (uint16_t)i;
	return LB_NONE;
}

static bool
is_defined(
	const struct slot *slot, uint32_t n, uint32_t i, const struct flow *f)
{
	return i < n && slot[i].used && slot[i].since <= f->link.prev;
}

bool
image_is_defined(const struct image *m, const struct flow *f)
{
	return is_defined(m->service, LB_SERVICES, f->service, f) &&
	       is_defined(m->backend, LB_BACKENDS, f->backend, f) &&
	       is_defined(m->snat, LB_SNATS, f->snat, f);
}
