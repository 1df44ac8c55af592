/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/xdp/tables.h"

#include <errno.h>
#include <string.h>

#include <bpf/bpf.h>

#include "ctrl/rows.h"

#define ETH_HEADER 14

_Static_assert(CONFIG_FUNCTIONS_MAX <= POLICE_FUNCTIONS, "a queue for each");
_Static_assert(GRANT_WEIGHT_MAX <= POLICE_WEIGHT_MAX, "weights fit");

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
	unsigned char key[ROWS_KEY_MAX], next[ROWS_KEY_MAX];
	int more = !bpf_map_get_next_key(fd, NULL, key);

	while (more) {
		more = !bpf_map_get_next_key(fd, key, next);
		if (!rows_find(r, key) && bpf_map_delete_elem(fd, key))
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
	const struct steer_rows *w)
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
	static const struct steer_rows_max max = { XDP_SERVICES_MAX,
		XDP_SNAT_MAX, XDP_HOSTS_MAX };
	struct steer_rows w;
	int err = steer_rows_init(&w, plan, &max);

	if (err)
		return err;
	err = write_all(pins, plan, mtu, &w);
	if (!err)
		err = rows_prune(pins->map[PINS_SERVICES], &w.services);
	if (!err)
		err = rows_prune(pins->map[PINS_SNAT], &w.snat);
	if (!err)
		err = rows_prune(pins->map[PINS_HOSTS], &w.hosts);
	steer_rows_free(&w);
	return err;
}
