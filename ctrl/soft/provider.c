/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The provider `soft`: a NIC in software, a process of its own, has the VNICs.
 *
 *   device --> softlink.bpf.c --+--> AF_XDP sockets --> NIC --> VNICs
 *                               +--> kernel
 *
 *   port (DPDK's own driver) <--> NIC <--> VNICs
 *                                  +-----> tap, the kernel's end
 *
 * What is made here outlives both us and the NIC: the uplinks' programs with
 * their maps, taps, addresses. A VNIC is but a row of the NIC's tables, and a
 * socket that the instance makes. The tables are filled here, and written and
 * handed over by the supervisor, which has the NIC as it has the instances.
 *
 * Uplinks' programs steer by the same rows as the NIC, to part what the kernel
 * is to have from the rest. Both are changed by one update, the programs
 * first: what they let through too early, the NIC counts and drops.
 *
 * Thread: control.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctrl/soft/soft.h"
#include "ctrl/xdp/device.h"
#include "ctrl/xdp/record.h"

#define ETH_HEADER 14
#define MTU_MAX    (SOFTNIC_FRAME_MAX - ETH_HEADER)

static unsigned int
queues_of(const struct config_uplink *u)
{
	return *u->port ? 1 : device_queues(u->device);
}

/* --- uplinks --- */

/* The name is known to be free, or it is another's: what is recorded is ours.
 */
static int
make_tap(struct soft *s, const struct config_uplink *u, char *why, size_t len)
{
	struct record_entry e = { .is_addr = 0 };
	struct link_info info;
	char alias[128];
	int err;

	if (!link_find(s->base.nl, u->device, &info)) {
		snprintf(why, len,
			"uplink %s: a device %s is there%s%s%s; rename it or "
			"remove it: ip link del %s",
			u->name, u->device, info.alias[0] ? ", \"" : "",
			info.alias, info.alias[0] ? "\"" : "", u->device);
		return -EEXIST;
	}
	snprintf(e.device, sizeof(e.device), "%s", u->device);
	snprintf(alias, sizeof(alias), CONFIG_DEVICE_ALIAS "%s %s",
		s->base.plan->config->name, u->name);
	err = record_add(s->base.run_dir, &e);
	if (!err)
		err = link_make_tap(s->base.nl, u->device, alias);
	if (err)
		snprintf(why, len, "uplink %s: cannot make the tap %s: %s%s",
			u->name, u->device, strerror(-err),
			err == -ENOENT ? "; run: modprobe tun" : "");
	return err;
}

static int
make_taps(struct soft *s, char *why, size_t len)
{
	const struct config *c = s->base.plan->config;
	int err = 0;

	for (unsigned int i = 0; i < c->n_uplinks && !err; i++)
		if (*c->uplinks[i].port)
			err = make_tap(s, &c->uplinks[i], why, len);
	return err;
}

/* What the NIC needs of a device besides what every provider does. */
static int
check_size(const struct soft *s, char *why, size_t len)
{
	const struct config *c = s->base.plan->config;

	for (unsigned int i = 0; i < c->n_uplinks; i++) {
		const struct config_uplink *u = &c->uplinks[i];
		unsigned int mtu = s->base.uplink[i].mtu, n = queues_of(u);

		if (mtu > MTU_MAX) {
			snprintf(why, len,
				"uplink %s: %s has an MTU of %u, and a NIC in "
				"software takes %d at most; run: ip link set "
				"dev %s mtu 1500",
				u->name, u->device, mtu, MTU_MAX, u->device);
			return -EMSGSIZE;
		}
		if (n > XDP_QUEUES_MAX) {
			snprintf(why, len,
				"uplink %s: %s has %u queues, and a NIC in "
				"software takes %d at most; run: ethtool -L "
				"%s combined 4",
				u->name, u->device, n, XDP_QUEUES_MAX,
				u->device);
			return -E2BIG;
		}
	}
	return 0;
}

static int
check(struct soft *s, bool ours, char *why, size_t len)
{
	char text[256];
	int err = uplinks_check(&s->base, ours, why, len);

	if (!err && (err = check_size(s, text, sizeof(text))))
		snprintf(why, len, "%s", text);
	return err;
}

/* --- the NIC's tables --- */

static int
fill(struct soft *s, struct softnic_tables *t, char *why, size_t len)
{
	const struct config *c = s->base.plan->config;
	struct softtables_uplink is[CONFIG_UPLINKS_MAX] = { 0 };
	int err;

	for (unsigned int i = 0; i < c->n_uplinks; i++) {
		memcpy(is[i].mac, s->base.uplink[i].mac, sizeof(is[i].mac));
		is[i].queues = (uint16_t)queues_of(&c->uplinks[i]);
	}
	why[0] = '\0';
	err = softtables_fill(t, s->base.plan, s->base.run_dir, is, why, len);
	return why[0] ? err
		      : uplinks_explain(err,
				"cannot fill the tables of the NIC", why, len);
}

/* Those that a former process has left. */
static int
read_tables(const struct soft *s, struct softnic_tables *t)
{
	char path[PATH_MAX];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/softnic.tables", s->base.run_dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, t, sizeof(*t));
	close(fd);
	return n == (ssize_t)sizeof(*t) ? 0 : -EINVAL;
}

/*
 * Make `tables` what the plan says, one generation on if that is a change;
 * in place, for the supervisor has them too.
 * Memory is what the NIC was started with, queues too: fixed while it runs.
 */
static int
refill(struct soft *s, char *why, size_t len)
{
	struct softnic_tables *now = s->tables, *next = s->next;
	int err = fill(s, next, why, len);

	if (err)
		return err;
	next->huge_mb = now->huge_mb;
	next->memory_mb = now->memory_mb;
	next->generation = now->generation;
	err = softtables_fits(now, next, why, len);
	if (err || softtables_same(now, next))
		return err;
	next->generation++;
	*now = *next;
	return 0;
}

/* --- create --- */

static int
make(struct soft *s, char *why, size_t len)
{
	int err = uplinks_make_tables(&s->base, why, len);

	if (!err)
		err = uplinks_attach(&s->base, why, len);
	if (!err)
		err = fill(s, s->tables, why, len);
	return err ? err : uplinks_add_addresses(&s->base, why, len);
}

static int
create_new(struct soft *s, char *why, size_t len)
{
	char warning[256] = "";
	int err;

	uplinks_purge(s->base.run_dir);
	err = make_taps(s, why, len);
	if (!err)
		err = check(s, false, why, len);
	if (!err) {
		snprintf(warning, sizeof(warning), "%.255s", why);
		err = make(s, why, len);
	}
	if (err)
		uplinks_purge(s->base.run_dir);
	else
		snprintf(why, len, "%s", warning);
	return err;
}

static int
adopt_tables(struct soft *s, char *why, size_t len)
{
	int err = read_tables(s, s->tables);

	if (err) {
		snprintf(why, len,
			"nothing to adopt: %s/softnic.tables: %s; stop what "
			"runs and start anew",
			s->base.run_dir, strerror(-err));
		return err;
	}
	return refill(s, why, len);
}

/* Nothing is unwound when this fails: what runs goes on running. */
static int
adopt_old(struct soft *s, char *why, size_t len)
{
	char warning[256];
	int err = check(s, true, why, len);

	if (err)
		return err;
	snprintf(warning, sizeof(warning), "%.255s", why);
	err = uplinks_adopt(&s->base, why, len);
	if (!err)
		err = adopt_tables(s, why, len);
	if (!err)
		err = uplinks_sync(&s->base, why, len);
	if (!err)
		err = uplinks_add_addresses(&s->base, why, len);
	if (!err)
		snprintf(why, len, "%s", warning);
	return err;
}

static void
release(struct soft *s)
{
	free(s->tables);
	free(s->next);
	free(s);
}

static void
soft_detach(struct provider *p)
{
	soft_stats_close(soft_of(p));
	uplinks_close(p);
	release(soft_of(p));
}

static int
soft_create(struct provider **out, const struct plan *plan, const char *run_dir,
	bool adopt, char *why, size_t len)
{
	struct soft *s = calloc(1, sizeof(*s));
	int err = -ENOMEM;

	if (!s)
		return err;
	s->tables = calloc(1, sizeof(*s->tables));
	s->next = calloc(1, sizeof(*s->next));
	s->base.attach = pins_attach_softlink;
	if (s->tables && s->next)
		err = uplinks_open(&s->base, plan, run_dir, why, len);
	if (err) {
		release(s);
		return err;
	}
	err = adopt ? adopt_old(s, why, len) : create_new(s, why, len);
	if (err)
		soft_detach(&s->base);
	else
		*out = &s->base;
	return err;
}

/* --- VNICs --- */

static const char *
path_of(const struct provider *p, uint32_t vnic, char *buf, size_t len)
{
	return softtables_path(
		p->run_dir, p->plan->instances[vnic].name, buf, len);
}

/*
 * The instance listens and the NIC connects, so that a NIC which is started
 * again finds it. Its rings in order, without merging or offloads: what the
 * NIC takes.
 */
static void
soft_devargs(struct provider *p, uint32_t vnic, char *buf, size_t len)
{
	uint32_t f = p->plan->instances[vnic].function;
	const uint8_t *m = p->uplink[p->plan->config->functions[f].uplink].mac;
	char path[sizeof(p->run_dir) + 32];

	snprintf(buf, len,
		"net_virtio_user0,path=%s,server=1,queues=1,queue_size=1024,"
		"mrg_rxbuf=0,in_order=0,vectorized=1,packed_vq=0,"
		"mac=%02x:%02x:%02x:%02x:%02x:%02x",
		path_of(p, vnic, path, sizeof(path)), m[0], m[1], m[2], m[3],
		m[4], m[5]);
}

/* The NIC sees for itself who is attached. */
static int
soft_vnic_up(struct provider *p, uint32_t vnic, bool up)
{
	(void)up;
	return vnic < p->plan->n_instances ? 0 : -EINVAL;
}

/* The next instance cannot bind to the socket of the last. */
static int
soft_vnic_reset(struct provider *p, uint32_t vnic)
{
	char path[sizeof(p->run_dir) + 32];

	if (unlink(path_of(p, vnic, path, sizeof(path))) && errno != ENOENT)
		return -errno;
	return 0;
}

/* --- changes --- */

static int
soft_update(struct provider *p, const struct plan *plan, char *why, size_t len)
{
	const struct plan *former = p->plan;
	char unheard[256];
	int err = uplinks_update(p, plan, why, len);

	if (err)
		return err;
	err = refill(soft_of(p), why, len);
	if (err && plan != former)
		uplinks_update(p, former, unheard, sizeof(unheard));
	return err;
}

static struct softnic_tables *
soft_nic(struct provider *p)
{
	return soft_of(p)->tables;
}

static uint32_t
soft_memory_mb(const struct plan *plan)
{
	unsigned int queues = 0;

	for (unsigned int i = 0; i < plan->config->n_uplinks; i++)
		queues += queues_of(&plan->config->uplinks[i]);
	return softtables_memory_mb(queues);
}

static const char *
soft_uplink_mode(struct provider *p, uint32_t uplink)
{
	const char *mode;

	if (*p->plan->config->uplinks[uplink].port)
		return "port";
	mode = device_mode(p->uplink[uplink].index);
	return !strcmp(mode, "native")    ? "af_xdp native"
	       : !strcmp(mode, "generic") ? "af_xdp generic"
					  : "none";
}

static void
soft_destroy(struct provider *p)
{
	char run_dir[sizeof(p->run_dir)];

	memcpy(run_dir, p->run_dir, sizeof(run_dir));
	for (uint32_t i = 0; i < p->plan->n_instances; i++)
		soft_vnic_reset(p, i);
	soft_detach(p);
	uplinks_purge(run_dir);
}

const struct provider_ops provider_soft = {
	.name = "soft",
	.create = soft_create,
	.devargs = soft_devargs,
	.vnic_up = soft_vnic_up,
	.vnic_reset = soft_vnic_reset,
	.update = soft_update,
	.vnic_counters = soft_vnic_counters,
	.uplink_counters = soft_uplink_counters,
	.nic = soft_nic,
	.memory_mb = soft_memory_mb,
	.uplink_mode = soft_uplink_mode,
	.detach = soft_detach,
	.destroy = soft_destroy,
	.purge = uplinks_purge,
};
