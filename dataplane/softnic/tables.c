/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/softnic/tables.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/*
 * The three hash tables differ in their rows, not in how they are probed: a
 * row begins with its key and has a word `used`.
 */
struct shape {
	const char *name;
	size_t rows;  /* where they are in the tables */
	size_t count; /* where the number of them is */
	size_t stride, key, used;
	uint32_t slots; /* a power of two */
};

#define SHAPE(NAME, FIELD, COUNT, ROW, KEY, SLOTS)              \
	{                                                       \
		NAME, offsetof(struct softnic_tables, FIELD),   \
			offsetof(struct softnic_tables, COUNT), \
			sizeof(struct ROW), sizeof(struct KEY), \
			offsetof(struct ROW, used), SLOTS       \
	}

static const struct shape services = SHAPE("service", service, n_services,
	softnic_service_slot, steer_key, SOFTNIC_SERVICE_SLOTS);
static const struct shape snats = SHAPE(
	"snat", snat, n_snats, softnic_snat_slot, ip_addr, SOFTNIC_SNAT_SLOTS);
static const struct shape hosts = SHAPE(
	"host", host, n_hosts, softnic_host_slot, ip_addr, SOFTNIC_HOST_SLOTS);

#define POWER_OF_TWO(n) ((n) > 0 && ((n) & ((n)-1)) == 0)

_Static_assert(POWER_OF_TWO(SOFTNIC_SERVICE_SLOTS) &&
		       POWER_OF_TWO(SOFTNIC_SNAT_SLOTS) &&
		       POWER_OF_TWO(SOFTNIC_HOST_SLOTS),
	"probing masks");
_Static_assert(offsetof(struct softnic_service_slot, key) == 0 &&
		       offsetof(struct softnic_snat_slot, addr) == 0 &&
		       offsetof(struct softnic_host_slot, addr) == 0,
	"a row begins with its key");
_Static_assert(sizeof(struct steer_key) == 20, "keys are compared as bytes");

static const void *
row_at(const struct softnic_tables *t, const struct shape *s, uint32_t i)
{
	return (const char *)t + s->rows + i * s->stride;
}

static uint32_t
row_used(const struct shape *s, const void *row)
{
	uint32_t used;

	memcpy(&used, (const char *)row + s->used, sizeof(used));
	return used;
}

static uint32_t
row_count(const struct softnic_tables *t, const struct shape *s)
{
	uint32_t n;

	memcpy(&n, (const char *)t + s->count, sizeof(n));
	return n;
}

static uint32_t
row_start(const struct shape *s, const void *key)
{
	uint32_t hash =
		s == &services ? softnic_hash_key(key) : softnic_hash_addr(key);

	return hash & (s->slots - 1);
}

/*
 * The row of that key, or the free one where it would be; NULL if there is
 * neither, which only tables that are more than half full can have.
 */
static const void *
row_find(const struct softnic_tables *t, const struct shape *s, const void *key)
{
	uint32_t start = row_start(s, key);

	for (uint32_t i = 0; i < s->slots; i++) {
		const void *row = row_at(t, s, (start + i) & (s->slots - 1));

		if (!row_used(s, row) || memcmp(row, key, s->key) == 0)
			return row;
	}
	return NULL;
}

/* --- entering ------------------------------------------------------------ */

/* The row to write for that key, marked as used, or NULL. */
static void *
row_enter(struct softnic_tables *t, const struct shape *s, const void *key)
{
	char *row = (char *)t +
		    ((const char *)row_find(t, s, key) - (const char *)t);
	uint32_t n = row_count(t, s), used = 1;

	if (row_used(s, row))
		return row;
	if (n >= s->slots / 2)
		return NULL;
	n++;
	memcpy((char *)t + s->count, &n, sizeof(n));
	memcpy(row, key, s->key);
	memcpy(row + s->used, &used, sizeof(used));
	return row;
}

int
softnic_service_put(struct softnic_tables *t, const struct steer_key *key,
	const struct steer_target *target)
{
	struct softnic_service_slot *row = row_enter(t, &services, key);

	if (row == NULL)
		return -1;
	row->target = *target;
	return 0;
}

int
softnic_snat_put(struct softnic_tables *t, const struct ip_addr *addr,
	const struct steer_target *target)
{
	struct softnic_snat_slot *row = row_enter(t, &snats, addr);

	if (row == NULL)
		return -1;
	row->target = *target;
	return 0;
}

int
softnic_host_put(struct softnic_tables *t, const struct ip_addr *addr,
	const struct steer_host *host)
{
	struct softnic_host_slot *row = row_enter(t, &hosts, addr);

	if (row == NULL)
		return -1;
	row->host = *host;
	return 0;
}

/* --- checking ------------------------------------------------------------ */

struct report {
	char *why;
	size_t len;
};

#define REFUSE(r, ...) (snprintf((r)->why, (r)->len, __VA_ARGS__), -EINVAL)

/* A text that is there and ends within its field. */
static bool
is_text(const char *s, size_t size)
{
	return s[0] != '\0' && memchr(s, '\0', size) != NULL;
}

#define IS_TEXT(field) is_text(field, sizeof(field))

static int
check_head(const struct softnic_tables *t, const struct report *r)
{
	if (t->magic != SOFTNIC_MAGIC || t->version != SOFTNIC_VERSION ||
		t->size != sizeof(*t))
		return REFUSE(r, "not the tables of this version");
	if (!IS_TEXT(t->appliance))
		return REFUSE(r, "no appliance's name");
	if (t->share_core > 1)
		return REFUSE(r, "share_core is %u", t->share_core);
	if (t->n_uplinks < 1 || t->n_uplinks > SOFTNIC_UPLINKS_MAX)
		return REFUSE(r, "%u uplinks", t->n_uplinks);
	if (t->n_functions > SOFTNIC_FUNCTIONS_MAX)
		return REFUSE(r, "%u functions", t->n_functions);
	if (t->n_vnics > SOFTNIC_VNICS_MAX)
		return REFUSE(r, "%u VNICs", t->n_vnics);
	if (t->n_entries > SOFTNIC_ENTRIES_MAX)
		return REFUSE(r, "%u steering entries", t->n_entries);
	return 0;
}

/* The bits 0 .. n - 1, n at most 32. */
static uint32_t
bits(uint32_t n)
{
	return (uint32_t)((1ull << n) - 1);
}

static int
check_uplinks(const struct softnic_tables *t, const struct report *r)
{
	for (uint32_t i = 0; i < t->n_uplinks; i++) {
		const struct softnic_uplink *u = &t->uplink[i];

		if (!IS_TEXT(u->name))
			return REFUSE(r, "uplink %u has no name", i);
		if (!IS_TEXT(u->devargs))
			return REFUSE(r, "uplink %u has no device", i);
		if (memchr(u->tap, '\0', sizeof(u->tap)) == NULL)
			return REFUSE(r, "uplink %u: its tap's name", i);
		if (u->queues == 0)
			return REFUSE(r, "uplink %u has no queue", i);
	}
	return 0;
}

static int
check_functions(const struct softnic_tables *t, const struct report *r)
{
	for (uint32_t i = 0; i < t->n_functions; i++) {
		uint32_t weight = t->function[i].weight;

		if (weight < 1 || weight > GRANT_WEIGHT_MAX)
			return REFUSE(
				r, "function %u has weight %u", i, weight);
	}
	return 0;
}

static int
check_vnics(const struct softnic_tables *t, const struct report *r)
{
	for (uint32_t i = 0; i < t->n_vnics; i++) {
		const struct softnic_vnic *v = &t->vnic[i];

		if (!IS_TEXT(v->name))
			return REFUSE(r, "VNIC %u has no name", i);
		if (!IS_TEXT(v->path) || v->path[0] != '/')
			return REFUSE(r, "VNIC %u has no socket", i);
		if (v->function >= t->n_functions)
			return REFUSE(
				r, "VNIC %u is of function %u", i, v->function);
		if (v->uplinks & ~bits(t->n_uplinks))
			return REFUSE(
				r, "VNIC %u has uplinks %#x", i, v->uplinks);
	}
	return 0;
}

static int
check_entries(const struct softnic_tables *t, const struct report *r)
{
	for (uint32_t i = 0; i < t->n_entries; i++)
		if (t->entry[i] >= t->n_vnics)
			return REFUSE(r, "entry %u is VNIC %u", i, t->entry[i]);
	return 0;
}

static int
check_target(const struct softnic_tables *t, const struct steer_target *target,
	const char *what, const struct report *r)
{
	const uint32_t flags =
		STEER_F_HASH_SOURCE | STEER_F_SNAT | STEER_F_SHARED;

	if (target->function >= t->n_functions)
		return REFUSE(
			r, "%s row of function %u", what, target->function);
	if (target->mask >= GRANT_BUCKETS_MAX ||
		!POWER_OF_TWO(target->mask + 1))
		return REFUSE(r, "%s row with mask %#x", what, target->mask);
	if ((uint64_t)target->first + target->mask >= t->n_entries)
		return REFUSE(r, "%s row with entries from %u, mask %#x", what,
			target->first, target->mask);
	if (target->uplink >= t->n_uplinks)
		return REFUSE(r, "%s row with uplink %u", what, target->uplink);
	if (target->flags & ~flags)
		return REFUSE(r, "%s row with flags %#x", what, target->flags);
	return 0;
}

static int
check_service(
	const struct softnic_tables *t, const void *row, const struct report *r)
{
	const struct softnic_service_slot *s = row;

	if (s->key.pad != 0)
		return REFUSE(r, "service row with a padded key");
	return check_target(t, &s->target, "service", r);
}

static int
check_snat(
	const struct softnic_tables *t, const void *row, const struct report *r)
{
	const struct softnic_snat_slot *s = row;

	return check_target(t, &s->target, "snat", r);
}

static int
check_host(
	const struct softnic_tables *t, const void *row, const struct report *r)
{
	const struct softnic_host_slot *s = row;
	const struct steer_host *h = &s->host;
	uint32_t masks = h->functions | h->fragments_tcp | h->fragments_udp;

	if (masks & ~bits(t->n_functions))
		return REFUSE(r, "host row of functions %#x", masks);
	if (h->uplink >= t->n_uplinks)
		return REFUSE(r, "host row with uplink %u", h->uplink);
	return 0;
}

/*
 * Every row within range and where a search finds it, and no more than half
 * of them: each search ends.
 */
static int
check_rows(const struct softnic_tables *t, const struct shape *s,
	int (*check)(const struct softnic_tables *t, const void *row,
		const struct report *r),
	const struct report *r)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < s->slots; i++)
		n += row_used(s, row_at(t, s, i)) != 0;
	if (n > s->slots / 2)
		return REFUSE(r, "%s table with %u rows", s->name, n);
	if (n != row_count(t, s))
		return REFUSE(r, "%s table has %u rows and counts %u", s->name,
			n, row_count(t, s));
	for (uint32_t i = 0; i < s->slots; i++) {
		const void *row = row_at(t, s, i);

		if (!row_used(s, row))
			continue;
		if (check(t, row, r) != 0)
			return -EINVAL;
		if (row_find(t, s, row) != row)
			return REFUSE(
				r, "%s row %u is never found", s->name, i);
	}
	return 0;
}

int
softnic_tables_check(const struct softnic_tables *t, char *why, size_t len)
{
	const struct report r = { why, len };
	int rc = check_head(t, &r);

	if (rc == 0)
		rc = check_uplinks(t, &r);
	if (rc == 0)
		rc = check_functions(t, &r);
	if (rc == 0)
		rc = check_vnics(t, &r);
	if (rc == 0)
		rc = check_entries(t, &r);
	if (rc == 0)
		rc = check_rows(t, &services, check_service, &r);
	if (rc == 0)
		rc = check_rows(t, &snats, check_snat, &r);
	if (rc == 0)
		rc = check_rows(t, &hosts, check_host, &r);
	return rc;
}
