/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/xdp/tables.h"

#include <errno.h>
#include <string.h>

#include <bpf/bpf.h>

#include "ctrl/rows.h"

#define NS_PER_S     1000000000ull
#define BURST_NS     200000000ull
#define BURST_FRAMES 64
#define ETH_HEADER   14

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

static uint64_t
max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

struct xdp_rate
tables_rate(uint64_t rate_bps, uint64_t packet_rate, unsigned int mtu)
{
	uint64_t frames = (uint64_t)(mtu + ETH_HEADER) * BURST_FRAMES;
	struct xdp_rate r = { .limited = rate_bps || packet_rate };

	if (rate_bps) {
		r.byte_cost = (8 * NS_PER_S << XDP_COST_SHIFT) / rate_bps;
		r.byte_burst_ns = max_u64(
			BURST_NS, (r.byte_cost * frames) >> XDP_COST_SHIFT);
	}
	if (packet_rate) {
		r.packet_cost = (NS_PER_S << XDP_COST_SHIFT) / packet_rate;
		r.packet_burst_ns = max_u64(BURST_NS,
			(r.packet_cost * BURST_FRAMES) >> XDP_COST_SHIFT);
	}
	return r;
}

static bool
same_rate(const struct xdp_rate *a, const struct xdp_rate *b)
{
	return a->limited == b->limited && a->byte_cost == b->byte_cost &&
	       a->packet_cost == b->packet_cost &&
	       a->byte_burst_ns == b->byte_burst_ns &&
	       a->packet_burst_ns == b->packet_burst_ns;
}

/* A rate that stays keeps its bucket's level. */
static int
sync_rates(int fd, const struct plan *plan, unsigned int mtu)
{
	for (uint32_t i = 0; i < plan->n_instances; i++) {
		const struct plan_instance *in = &plan->instances[i];
		const struct config_function *f =
			&plan->config->functions[in->function];
		struct xdp_rate now,
			rate = tables_rate(f->rate_bps, f->packet_rate, mtu);

		if (bpf_map_lookup_elem_flags(fd, &i, &now, BPF_F_LOCK))
			return -errno;
		if (!same_rate(&now, &rate) &&
			bpf_map_update_elem(fd, &i, &rate, BPF_F_LOCK))
			return -errno;
	}
	return 0;
}

static int
write_all(struct pins *pins, const struct plan *plan, unsigned int mtu,
	const struct steer_rows *w)
{
	int err = sync_rates(pins->map[PINS_RATES], plan, mtu);

	if (!err)
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
