/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Counters: one row per CPU in the kernel, summed here; and those that the
 * devices keep themselves.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "ctrl/xdp/device.h"
#include "ctrl/xdp/internal.h"

static const char *const vnic_drop_name[XDP_VNIC_DROPS] = {
	[XDP_DROP_INSTANCE_DOWN] = "instance_down",
	[XDP_DROP_TX(STEER_TX_ETHERTYPE)] = "tx_ethertype",
	[XDP_DROP_TX(STEER_TX_MALFORMED)] = "tx_malformed",
	[XDP_DROP_TX(STEER_TX_PROTOCOL)] = "tx_protocol",
	[XDP_DROP_TX(STEER_TX_ICMP)] = "tx_icmp",
	[XDP_DROP_TX(STEER_TX_FRAGMENT)] = "tx_fragment",
	[XDP_DROP_TX(STEER_TX_ADDRESS)] = "tx_address",
	[XDP_DROP_TX(STEER_TX_PORT)] = "tx_port",
	[XDP_DROP_TX(STEER_TX_BUCKET)] = "tx_bucket",
	[XDP_DROP_TX(STEER_TX_MAC)] = "tx_mac",
	[XDP_DROP_TX(STEER_TX_RATE)] = "tx_rate",
	[XDP_DROP_TX(STEER_TX_SHARE)] = "tx_share",
};

static const char *const uplink_drop_name[XDP_UPLINK_DROPS] = {
	[XDP_DROP_FRAGMENT] = "fragment",
	[XDP_DROP_FRAGMENT_UNKNOWN] = "fragment_unknown",
	[XDP_COUNT_VLAN] = "vlan",
	[XDP_DROP_NIC_DOWN] = "nic_down",
};

void
counters_add(struct provider_counters *c, const char *name, uint64_t count)
{
	unsigned int i = 0;

	while (i < c->n_drops && strcmp(c->drop[i].name, name))
		i++;
	if (i == PROVIDER_DROPS_MAX)
		return;
	if (i == c->n_drops)
		c->drop[c->n_drops++].count = 0;
	c->drop[i].name = name;
	c->drop[i].count += count;
}

const char *
counters_tx_name(enum steer_tx_drop reason)
{
	return vnic_drop_name[XDP_DROP_TX(reason)];
}

/* Row `i` of a per-CPU map of `words` counters, all CPUs' added up. */
static int
sum(const struct provider *p, enum pins_map map, uint32_t i, uint64_t *total,
	unsigned int words)
{
	uint64_t *row = calloc(p->n_cpus, words * sizeof(*row));

	memset(total, 0, words * sizeof(*total));
	if (!row)
		return -ENOMEM;
	if (bpf_map_lookup_elem(p->pins.map[map], &i, row)) {
		free(row);
		return -errno;
	}
	for (unsigned int k = 0; k < p->n_cpus * words; k++)
		total[k % words] += row[k];
	free(row);
	return 0;
}

/*
 * What the instance's end dropped: no socket was there, as the instance had
 * just died; or its rings were full, as it did not keep up.
 */
static void
add_device_drops(struct provider *p, uint32_t i, struct provider_counters *c)
{
	const char *name = p->plan->instances[i].name;
	struct link_info info;

	counters_add(c, "no_socket", device_stat(name, "rx_queue_0_xdp_drops"));
	if (!link_find(p->nl, name, &info))
		counters_add(c, "rx_full", info.rx_dropped);
}

int
xdp_vnic_counters(struct provider *p, uint32_t i, struct provider_counters *c)
{
	struct xdp_vnic_counters t;
	int err = sum(p, PINS_VNIC_COUNTERS, i, (uint64_t *)&t,
		sizeof(t) / sizeof(uint64_t));

	memset(c, 0, sizeof(*c));
	if (err)
		return err;
	c->rx_packets = t.rx_packets;
	c->rx_bytes = t.rx_bytes;
	c->tx_packets = t.tx_packets;
	c->tx_bytes = t.tx_bytes;
	for (int k = 0; k < XDP_VNIC_DROPS; k++)
		counters_add(c, vnic_drop_name[k], t.drop[k]);
	add_device_drops(p, i, c);
	return 0;
}

int
xdp_uplink_counters(struct provider *p, uint32_t i, struct provider_counters *c)
{
	struct xdp_uplink_counters t;
	int err = sum(p, PINS_UPLINK_COUNTERS, i, (uint64_t *)&t,
		sizeof(t) / sizeof(uint64_t));

	memset(c, 0, sizeof(*c));
	if (err)
		return err;
	c->rx_packets = t.rx_packets;
	c->rx_bytes = t.rx_bytes;
	c->tx_packets = t.tx_packets;
	c->tx_bytes = t.tx_bytes;
	c->passed = t.passed;
	for (int k = 0; k < XDP_UPLINK_DROPS; k++)
		counters_add(c, uplink_drop_name[k], t.drop[k]);
	return 0;
}
