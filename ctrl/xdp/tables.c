/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/xdp/tables.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#define ETH_HEADER 14

/* The longest key and value of the hash maps here. */
#define KEY_MAX   sizeof(struct steer_key)
#define VALUE_MAX sizeof(struct steer_target)

_Static_assert(CONFIG_FUNCTIONS_MAX <= POLICE_FUNCTIONS, "a queue for each");
_Static_assert(GRANT_WEIGHT_MAX <= POLICE_WEIGHT_MAX, "weights fit");
_Static_assert(sizeof(struct steer_host) <= VALUE_MAX, "a row holds a host");
_Static_assert(sizeof(struct ip_addr) <= KEY_MAX, "a row holds an address");

/* Rows wanted in one hash map, as bytes: keys of one size, values too. */
struct rows {
	size_t key_size, value_size;
	unsigned int n, max;
	struct row {
		unsigned char key[KEY_MAX];
		unsigned char value[VALUE_MAX];
	} * row;
};

struct wanted {
	struct rows services, snat, hosts;
};

static struct row *
row_find(const struct rows *r, const void *key)
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
	struct row *row = row_find(r, key);

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

static void
wanted_free(struct wanted *w)
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
add_host(struct wanted *w, const struct plan *plan, const struct plan_steer *s)
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
mark_shared(struct wanted *w, const struct plan *plan)
{
	for (unsigned int i = 0; i < plan->n_steers; i++) {
		const struct plan_steer *s = &plan->steers[i];
		struct steer_target t;
		struct row *row;

		if (s->target.flags & STEER_F_SNAT)
			continue;
		row = row_find(&w->snat, &s->key.addr);
		if (!row)
			continue;
		memcpy(&t, row->value, sizeof(t));
		t.flags |= STEER_F_SHARED;
		memcpy(row->value, &t, sizeof(t));
	}
}

static int
wanted_fill(struct wanted *w, const struct plan *plan)
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

/* Any set of rows fits that the maps have room for. */
static int
wanted_init(struct wanted *w, const struct plan *plan)
{
	int err = rows_init(&w->services, sizeof(struct steer_key),
		sizeof(struct steer_target), XDP_SERVICES_MAX);

	if (!err)
		err = rows_init(&w->snat, sizeof(struct ip_addr),
			sizeof(struct steer_target), XDP_SNAT_MAX);
	if (!err)
		err = rows_init(&w->hosts, sizeof(struct ip_addr),
			sizeof(struct steer_host), XDP_HOSTS_MAX);
	return err ? err : wanted_fill(w, plan);
}

static int
rows_write(int fd, const struct rows *r)
{
	for (unsigned int i = 0; i < r->n; i++)
		if (bpf_map_update_elem(
			    fd, r->row[i].key, r->row[i].value, BPF_ANY))
			return -errno;
	return 0;
}

/*
 * Delete the rows that are not wanted. A deleted key no longer leads on to
 * the next, so the next is asked for first.
 */
static int
rows_prune(int fd, const struct rows *r)
{
	unsigned char key[KEY_MAX], next[KEY_MAX];
	int more = !bpf_map_get_next_key(fd, NULL, key);

	while (more) {
		more = !bpf_map_get_next_key(fd, key, next);
		if (!row_find(r, key) && bpf_map_delete_elem(fd, key))
			return -errno;
		memcpy(key, next, r->key_size);
	}
	return 0;
}

/* Steering entries are compared first: writing what is there is no change. */
static int
sync_steering(int fd, const struct plan *plan)
{
	for (uint32_t i = 0; i < plan->n_entries; i++) {
		uint32_t now;

		if (bpf_map_lookup_elem(fd, &i, &now))
			return -errno;
		if (now != plan->entries[i] &&
			bpf_map_update_elem(fd, &i, &plan->entries[i], 0))
			return -errno;
	}
	return 0;
}

struct police_rate
tables_rate(uint64_t rate_bps, uint64_t packet_rate, unsigned int mtu)
{
	return (struct police_rate){
		.byte_cost = police_byte_cost(rate_bps),
		.packet_cost = police_packet_cost(packet_rate),
		.burst_bytes =
			(uint64_t)(mtu + ETH_HEADER) * POLICE_BURST_FRAMES,
	};
}

/* The programs read each word by itself, at any time. */
static void
put_rate(struct police_rate *row, struct police_rate r)
{
	__atomic_store_n(&row->burst_bytes, r.burst_bytes, __ATOMIC_RELAXED);
	__atomic_store_n(&row->byte_cost, r.byte_cost, __ATOMIC_RELAXED);
	__atomic_store_n(&row->packet_cost, r.packet_cost, __ATOMIC_RELAXED);
}

static void
put_rates(struct pins *pins, const struct plan *plan, unsigned int mtu)
{
	const struct config_function *f = plan->config->functions;
	uint32_t n = plan->n_instances;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t k = plan->instances[i].function;

		put_rate(&pins->rates[i],
			tables_rate(f[k].rate_bps, f[k].packet_rate, mtu));
	}
	for (uint32_t k = 0; k < plan->config->n_functions; k++)
		put_rate(&pins->rates[XDP_RATE_OF_FUNCTION(n, k)],
			tables_rate(f[k].total_rate_bps, f[k].total_packet_rate,
				mtu));
}

/* Twice a rate's burst, so that one function alone has what a rate has. */
static void
put_shares(struct pins *pins, const struct plan *plan, unsigned int mtu)
{
	const struct config *c = plan->config;

	for (uint32_t u = 0; u < c->n_uplinks; u++) {
		struct police_shares *s = &pins->shares[u];
		struct police_rate r =
			tables_rate(c->uplinks[u].rate_bps, 0, mtu);

		for (uint32_t k = 0; k < c->n_functions; k++)
			__atomic_store_n(&s->weight[k], c->functions[k].weight,
				__ATOMIC_RELAXED);
		__atomic_store_n(
			&s->burst_bytes, 2 * r.burst_bytes, __ATOMIC_RELAXED);
		__atomic_store_n(&s->byte_cost, r.byte_cost, __ATOMIC_RELEASE);
	}
}

static int
write_all(struct pins *pins, const struct plan *plan, unsigned int mtu,
	const struct wanted *w)
{
	int err;

	put_rates(pins, plan, mtu);
	put_shares(pins, plan, mtu);
	err = sync_steering(pins->map[PINS_STEERING], plan);
	if (!err)
		err = rows_write(pins->map[PINS_HOSTS], &w->hosts);
	if (!err)
		err = rows_write(pins->map[PINS_SNAT], &w->snat);
	if (!err)
		err = rows_write(pins->map[PINS_SERVICES], &w->services);
	return err;
}

int
tables_sync(struct pins *pins, const struct plan *plan, unsigned int mtu)
{
	struct wanted w = { 0 };
	int err = wanted_init(&w, plan);

	if (!err)
		err = write_all(pins, plan, mtu, &w);
	if (!err)
		err = rows_prune(pins->map[PINS_SERVICES], &w.services);
	if (!err)
		err = rows_prune(pins->map[PINS_SNAT], &w.snat);
	if (!err)
		err = rows_prune(pins->map[PINS_HOSTS], &w.hosts);
	wanted_free(&w);
	return err;
}
