/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Counters: the NIC's own, in the file that it shares, and those of the
 * uplinks' programs, which see what never reaches it.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctrl/soft/soft.h"

static const char *const vnic_drop_name[SOFTNIC_VNIC_DROPS] = {
	[SOFTNIC_INSTANCE_DOWN] = "instance_down",
	[SOFTNIC_RX_FULL] = "rx_full",
	[SOFTNIC_RX_LARGE] = "rx_large",
	[SOFTNIC_TX_LARGE] = "tx_large",
	[SOFTNIC_TX_SHORT] = "tx_short",
	[SOFTNIC_BAD_INDEX] = "bad_index",
	[SOFTNIC_BAD_DESCRIPTOR] = "bad_descriptor",
	[SOFTNIC_BAD_ADDRESS] = "bad_address",
	[SOFTNIC_BAD_MEMORY] = "bad_memory",
	[SOFTNIC_BAD_DOORBELL] = "bad_doorbell",
};

static const char *const uplink_drop_name[SOFTNIC_UPLINK_DROPS] = {
	[SOFTNIC_FRAGMENT] = "fragment",
	[SOFTNIC_FRAGMENT_UNKNOWN] = "fragment_unknown",
	[SOFTNIC_VLAN] = "vlan",
	[SOFTNIC_EXCEPTION_LOST] = "exception_lost",
	[SOFTNIC_TAP_FULL] = "tap_full",
};

/* The file is made when the NIC is first started, after the provider. */
static const struct softnic_stats *
stats(struct soft *s)
{
	char path[PATH_MAX];
	struct stat st;
	void *p = MAP_FAILED;
	int fd;

	if (s->stats)
		return s->stats;
	snprintf(path, sizeof(path), "%s/softnic.stats", s->base.run_dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	if (!fstat(fd, &st) && st.st_size >= (off_t)sizeof(*s->stats))
		p = mmap(NULL, sizeof(*s->stats), PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (p != MAP_FAILED)
		s->stats = p;
	return s->stats;
}

void
soft_stats_close(struct soft *s)
{
	if (s->stats)
		munmap((void *)(uintptr_t)s->stats, sizeof(*s->stats));
	s->stats = NULL;
}

int
soft_vnic_counters(struct provider *p, uint32_t i, struct provider_counters *c)
{
	const struct softnic_stats *s = stats(soft_of(p));
	const struct softnic_vnic_stats *v;

	memset(c, 0, sizeof(*c));
	if (!s)
		return 0;
	v = &s->vnic[i];
	c->rx_packets = v->rx_packets;
	c->rx_bytes = v->rx_bytes;
	c->tx_packets = v->tx_packets;
	c->tx_bytes = v->tx_bytes;
	for (unsigned int k = 0; k < SOFTNIC_VNIC_DROPS; k++)
		counters_add(c, vnic_drop_name[k], v->drop[k]);
	for (unsigned int k = 0; k < STEER_TX_DROPS; k++)
		counters_add(c, counters_tx_name(k), v->tx_drop[k]);
	return 0;
}

int
soft_uplink_counters(
	struct provider *p, uint32_t i, struct provider_counters *c)
{
	const struct softnic_stats *s = stats(soft_of(p));
	const struct softnic_uplink_stats *u;
	int err = xdp_uplink_counters(p, i, c);

	if (err || !s)
		return err;
	u = &s->uplink[i];
	c->rx_packets += u->rx_packets;
	c->rx_bytes += u->rx_bytes;
	c->tx_packets += u->tx_packets;
	c->tx_bytes += u->tx_bytes;
	c->passed += u->passed;
	for (unsigned int k = 0; k < SOFTNIC_UPLINK_DROPS; k++)
		counters_add(c, uplink_drop_name[k], u->drop[k]);
	return 0;
}
