/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A VNIC: a veth pair. `web.0` is the instance's end, whose program the
 * instance's driver attaches; `web.0h` is ours, with the transmit filter.
 *
 *   made -> down -> (instance attaches) -> up -> (instance dies) -> down
 *            ^                                                       |
 *            +------------------------ reset <-----------------------+
 *
 * Down is a word in a map that the uplink's program reads: packets are then
 * dropped there, by name. The instance's program stays attached when the
 * instance dies, and the next one's driver will not attach beside it: hence
 * the reset.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "ctrl/xdp/internal.h"
#include "ctrl/xdp/record.h"

/* The host end's name: the instance's and an h. */
static int
host_name(char buf[IFNAMSIZ], const struct plan_instance *in)
{
	int n = snprintf(buf, IFNAMSIZ, "%.14sh", in->name);

	return n == (int)strlen(in->name) + 1 ? 0 : -ENAMETOOLONG;
}

static void
alias(const struct provider *p, const struct plan_instance *in, char *buf,
	size_t len)
{
	snprintf(buf, len, "carryall %s %s", p->plan->config->name, in->name);
}

/* Frames come from, and leave by, the uplinks of the function. */
static unsigned int
vnic_mtu(const struct provider *p, const struct plan_instance *in)
{
	const struct config_function *f =
		&p->plan->config->functions[in->function];
	unsigned int a = p->uplink[f->uplink].mtu;
	unsigned int b = p->uplink[f->backend_uplink].mtu;

	return a > b ? a : b;
}

static int
refuse_taken(struct provider *p, const char *name, char *why, size_t len)
{
	struct link_info info = { 0 };

	if (link_find(p->nl, name, &info))
		return 0;
	snprintf(why, len,
		"a device %s is there%s%s%s; rename it or remove it: "
		"ip link del %s",
		name, info.alias[0] ? ", \"" : " and is not ours", info.alias,
		info.alias[0] ? "\"" : "", name);
	return -EEXIST;
}

/* Let the uplinks' programs redirect to the host end. */
static int
enter_host_end(struct provider *p, uint32_t i, const char *host)
{
	struct link_info info = { 0 };
	int err = link_find(p->nl, host, &info);

	if (!err && bpf_map_update_elem(p->pins.map[PINS_TO_VNIC], &i,
			    &info.index, BPF_ANY))
		err = -errno;
	return err;
}

/* Only now is the name known to be free: what is recorded is ours. */
static int
make_pair(struct provider *p, uint32_t i, const char *host)
{
	const struct plan_instance *in = &p->plan->instances[i];
	struct record_entry e = { .is_addr = 0 };
	char text[128];
	int err;

	snprintf(e.device, sizeof(e.device), "%s", in->name);
	alias(p, in, text, sizeof(text));
	err = record_add(p->run_dir, &e);
	if (!err)
		err = link_make_veth(
			p->nl, in->name, host, vnic_mtu(p, in), text);
	return err ? err : enter_host_end(p, i, host);
}

int
vnic_make(struct provider *p, uint32_t i, char *why, size_t len)
{
	const struct plan_instance *in = &p->plan->instances[i];
	char host[IFNAMSIZ];
	int err = host_name(host, in);

	if (err) {
		snprintf(why, len,
			"%s: too long for a device's name: the function's "
			"name may have 11 characters",
			in->name);
		return err;
	}
	err = refuse_taken(p, in->name, why, len);
	if (!err)
		err = refuse_taken(p, host, why, len);
	if (err)
		return err;
	err = make_pair(p, i, host);
	if (err)
		snprintf(why, len, "%s: cannot make the veth pair: %s",
			in->name, strerror(-err));
	return err;
}

int
vnic_attach(struct provider *p, uint32_t i, char *why, size_t len)
{
	const struct plan_instance *in = &p->plan->instances[i];
	struct link_info info = { 0 };
	char host[IFNAMSIZ];
	int err = host_name(host, in);

	if (!err)
		err = link_find(p->nl, host, &info);
	if (!err)
		err = pins_attach_vnic(&p->pins, p->plan, p->run_dir, i,
			info.index, p->generic);
	if (err)
		snprintf(why, len, "%s: cannot attach the transmit filter: %s",
			in->name, strerror(-err));
	return err;
}

int
vnic_find(struct provider *p, uint32_t i, char *why, size_t len)
{
	const struct plan_instance *in = &p->plan->instances[i];
	char host[IFNAMSIZ], text[128];
	struct link_info info = { 0 };
	int err = host_name(host, in);

	alias(p, in, text, sizeof(text));
	if (!err)
		err = link_find(p->nl, host, &info);
	if (!err && strcmp(info.alias, text))
		err = -ENOENT;
	if (!err)
		err = pins_check_link(p->run_dir, "vnic", i, info.index);
	if (err)
		snprintf(why, len,
			"nothing to adopt: VNIC %s or its filter is gone; "
			"stop what runs and start anew",
			in->name);
	return err;
}

/* One store: the uplinks' programs read it for the next packet. */
int
xdp_vnic_up(struct provider *p, uint32_t i, bool up)
{
	if (i >= p->pins.n_vnics)
		return -EINVAL;
	__atomic_store_n(&p->pins.vnics[i].up, up, __ATOMIC_RELEASE);
	return 0;
}

/* Somebody has deleted the pair: a dead instance loses nothing by a new one. */
static int
make_again(struct provider *p, uint32_t i)
{
	char why[256];
	int err = vnic_make(p, i, why, sizeof(why));

	return err ? err : vnic_attach(p, i, why, sizeof(why));
}

int
xdp_vnic_reset(struct provider *p, uint32_t i)
{
	const struct plan_instance *in;
	struct link_info info = { 0 };
	int err = xdp_vnic_up(p, i, false);

	if (err)
		return err;
	in = &p->plan->instances[i];
	err = link_find(p->nl, in->name, &info);
	if (err == -ENODEV)
		return make_again(p, i);
	if (!err)
		err = bpf_xdp_detach(info.index, 0, NULL);
	if (err && err != -ENOENT)
		return err;
	return link_restore(p->nl, in->name, vnic_mtu(p, in));
}
