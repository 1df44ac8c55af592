/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The provider `xdp` in its veth form.
 *
 *             uplink (uplink.bpf.c)
 *   wire ----> [services, snat, steering] --+--> web.0h ==veth== web.0
 *     ^                                     |                      |
 *     |                                     +--> kernel         AF_XDP
 *     +---- [vnic.bpf.c: filter, rate] <-- web.0h ==veth== web.0 <-+
 *
 * Life: create() makes, from the inside out, maps, devices, programs, and
 * last the addresses that draw traffic; whatever fails, purge() of the same
 * names is the way back. All of it stays when the process goes. A new
 * process finds it again by name (adopt) and changes nothing that carries
 * packets but rows of tables that differ.
 *
 * Synchronisation: one thread. The programs read the tables at any time, so
 * each row and each word is written alone and is right by itself.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctrl/xdp/device.h"
#include "ctrl/xdp/internal.h"

static int
make_devices(struct provider *p, char *why, size_t len)
{
	int err = 0;

	for (uint32_t i = 0; i < p->plan->n_instances && !err; i++)
		err = vnic_make(p, i, why, len);
	return err;
}

/*
 * VNICs come after the uplinks: a device that has no native mode cannot be
 * redirected to from native mode either.
 */
static int
attach_all(struct provider *p, char *why, size_t len)
{
	int err = uplinks_attach(p, why, len);

	for (uint32_t i = 0; i < p->plan->n_instances && !err; i++)
		err = vnic_attach(p, i, why, len);
	return err;
}

static int
make(struct provider *p, char *why, size_t len)
{
	int err = uplinks_make_tables(p, why, len);

	if (!err)
		err = uplinks_explain(pins_write_xsk(p->run_dir),
			"cannot write the VNIC's program", why, len);
	if (!err)
		err = make_devices(p, why, len);
	if (!err)
		err = attach_all(p, why, len);
	return err ? err : uplinks_add_addresses(p, why, len);
}

static int
create_new(struct provider *p, char *why, size_t len)
{
	char warning[256];
	int err;

	uplinks_purge(p->run_dir);
	err = uplinks_check(p, false, why, len);
	if (err)
		return err;
	snprintf(warning, sizeof(warning), "%.255s", why);
	err = make(p, why, len);
	if (err)
		uplinks_purge(p->run_dir);
	else
		snprintf(why, len, "%s", warning);
	return err;
}

static int
find_vnics(struct provider *p, char *why, size_t len)
{
	int err = 0;

	for (uint32_t i = 0; i < p->plan->n_instances && !err; i++)
		err = vnic_find(p, i, why, len);
	return err;
}

/* Nothing is unwound when this fails: what runs goes on running. */
static int
adopt_old(struct provider *p, char *why, size_t len)
{
	char warning[256];
	int err = uplinks_check(p, true, why, len);

	if (err)
		return err;
	snprintf(warning, sizeof(warning), "%.255s", why);
	err = uplinks_adopt(p, why, len);
	if (!err)
		err = find_vnics(p, why, len);
	if (!err)
		err = uplinks_sync(p, why, len);
	if (!err)
		err = uplinks_add_addresses(p, why, len);
	if (!err)
		snprintf(why, len, "%s", warning);
	return err;
}

static void
xdp_detach(struct provider *p)
{
	uplinks_close(p);
	free(p);
}

static int
xdp_create(struct provider **out, const struct plan *plan, const char *run_dir,
	bool adopt, char *why, size_t len)
{
	struct provider *p = calloc(1, sizeof(*p));
	int err = -ENOMEM;

	if (p) {
		p->attach = pins_attach_uplink;
		err = uplinks_open(p, plan, run_dir, why, len);
	}
	if (err) {
		free(p);
		return err;
	}
	err = adopt ? adopt_old(p, why, len) : create_new(p, why, len);
	if (err)
		xdp_detach(p);
	else
		*out = p;
	return err;
}

/* No budget: the instance has a core of its own, the kernel polls by softirq.
 */
static void
xdp_devargs(struct provider *p, uint32_t vnic, char *buf, size_t len)
{
	snprintf(buf, len,
		"net_af_xdp0,iface=%s,start_queue=0,queue_count=1,"
		"xdp_prog=%s/xsk.bpf.o,busy_budget=0",
		p->plan->instances[vnic].name, p->run_dir);
}

static const char *
xdp_uplink_mode(struct provider *p, uint32_t uplink)
{
	return device_mode(p->uplink[uplink].index);
}

static struct softnic_tables *
xdp_nic(struct provider *p)
{
	(void)p;
	return NULL;
}

static uint32_t
xdp_memory_mb(const struct plan *plan)
{
	(void)plan;
	return 0;
}

static void
xdp_destroy(struct provider *p)
{
	char run_dir[sizeof(p->run_dir)];

	memcpy(run_dir, p->run_dir, sizeof(run_dir));
	xdp_detach(p);
	uplinks_purge(run_dir);
}

const struct provider_ops provider_xdp = {
	.name = "xdp",
	.create = xdp_create,
	.devargs = xdp_devargs,
	.vnic_up = xdp_vnic_up,
	.vnic_reset = xdp_vnic_reset,
	.update = uplinks_update,
	.vnic_counters = xdp_vnic_counters,
	.uplink_counters = xdp_uplink_counters,
	.nic = xdp_nic,
	.memory_mb = xdp_memory_mb,
	.uplink_mode = xdp_uplink_mode,
	.detach = xdp_detach,
	.destroy = xdp_destroy,
	.purge = uplinks_purge,
};
