/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/rows.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(
	sizeof(struct steer_host) <= ROWS_VALUE_MAX, "a row holds a host");
_Static_assert(
	sizeof(struct ip_addr) <= ROWS_KEY_MAX, "a row holds an address");

struct row *
rows_find(const struct rows *r, const void *key)
{
	for (unsigned int i = 0; i < r->n; i++)
		if (!memcmp(r->row[i].key, key, r->key_size))
			return &r->row[i];
	return NULL;
}

/* The row of `key`, made with a value of zeroes if there was none. */
static struct row *
row_get(struct rows *r, const void *key)
{
	struct row *row = rows_find(r, key);

	if (row || r->n == r->max)
		return row;
	row = &r->row[r->n++];
	memset(row, 0, sizeof(*row));
	memcpy(row->key, key, r->key_size);
	return row;
}

static int
rows_init(struct rows *r, size_t key_size, size_t value_size, unsigned int max)
{
	r->key_size = key_size;
	r->value_size = value_size;
	r->max = max;
	r->row = calloc(max ? max : 1, sizeof(*r->row));
	return r->row ? 0 : -ENOMEM;
}

void
steer_rows_free(struct steer_rows *w)
{
	free(w->services.row);
	free(w->snat.row);
	free(w->hosts.row);
}

/* Protocols whose fragments function `f` takes: bit 0 TCP, bit 1 UDP. */
static unsigned int
fragment_protocols(const struct plan *plan, uint32_t f)
{
	unsigned int mask = 0;

	for (unsigned int i = 0; i < plan->n_steers; i++) {
		const struct plan_steer *s = &plan->steers[i];

		if (s->target.function != f ||
			!(s->target.flags & STEER_F_HASH_SOURCE))
			continue;
		mask |= s->key.proto == IPPROTO_TCP ? 1 : 0;
		mask |= s->key.proto == IPPROTO_UDP ? 2 : 0;
	}
	return mask;
}

static void
host_merge(struct steer_host *host, const struct plan *plan,
	const struct plan_steer *s)
{
	uint32_t bit = 1u << (s->target.function & 31);
	unsigned int protocols = 0;

	if (s->target.flags & STEER_F_SNAT)
		protocols = fragment_protocols(plan, s->target.function);
	else if (s->target.flags & STEER_F_HASH_SOURCE)
		protocols = s->key.proto == IPPROTO_TCP   ? 1
			    : s->key.proto == IPPROTO_UDP ? 2
							  : 0;
	host->functions |= bit;
	host->fragments_tcp |= protocols & 1 ? bit : 0;
	host->fragments_udp |= protocols & 2 ? bit : 0;
	host->uplink = s->target.uplink;
}

static int
add_host(struct steer_rows *w, const struct plan *plan,
	const struct plan_steer *s)
{
	struct row *row = row_get(&w->hosts, &s->key.addr);
	struct steer_host host;

	if (!row)
		return -E2BIG;
	memcpy(&host, row->value, sizeof(host));
	host_merge(&host, plan, s);
	memcpy(row->value, &host, sizeof(host));
	return 0;
}

static int
add_target(struct rows *r, const void *key, const struct steer_target *t)
{
	struct row *row = row_get(r, key);

	if (!row)
		return -E2BIG;
	memcpy(row->value, t, sizeof(*t));
	return 0;
}

/* A SNAT address that services have too costs a second look-up: say so. */
static void
mark_shared(struct steer_rows *w, const struct plan *plan)
{
	for (unsigned int i = 0; i < plan->n_steers; i++) {
		const struct plan_steer *s = &plan->steers[i];
		struct steer_target t;
		struct row *row;

		if (s->target.flags & STEER_F_SNAT)
			continue;
		row = rows_find(&w->snat, &s->key.addr);
		if (!row)
			continue;
		memcpy(&t, row->value, sizeof(t));
		t.flags |= STEER_F_SHARED;
		memcpy(row->value, &t, sizeof(t));
	}
}

static int
fill(struct steer_rows *w, const struct plan *plan)
{
	for (unsigned int i = 0; i < plan->n_steers; i++) {
		const struct plan_steer *s = &plan->steers[i];
		int err = add_host(w, plan, s);

		if (!err && s->target.flags & STEER_F_SNAT)
			err = add_target(&w->snat, &s->key.addr, &s->target);
		else if (!err)
			err = add_target(&w->services, &s->key, &s->target);
		if (err)
			return err;
	}
	mark_shared(w, plan);
	return 0;
}

int
steer_rows_init(struct steer_rows *w, const struct plan *plan,
	const struct steer_rows_max *max)
{
	int err;

	memset(w, 0, sizeof(*w));
	err = rows_init(&w->services, sizeof(struct steer_key),
		sizeof(struct steer_target), max->services);
	if (!err)
		err = rows_init(&w->snat, sizeof(struct ip_addr),
			sizeof(struct steer_target), max->snat);
	if (!err)
		err = rows_init(&w->hosts, sizeof(struct ip_addr),
			sizeof(struct steer_host), max->hosts);
	if (!err)
		err = fill(w, plan);
	if (err)
		steer_rows_free(w);
	return err;
}
