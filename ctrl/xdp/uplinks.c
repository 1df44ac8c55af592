/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Uplinks that an XDP program of ours is attached to, whichever provider has
 * the VNICs: devices, tables, programs, and the addresses of services.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "ctrl/xdp/device.h"
#include "ctrl/xdp/internal.h"
#include "ctrl/xdp/record.h"
#include "ctrl/xdp/tables.h"

/* Lines that libbpf prints say less than our own; errors come as codes. */
static int
be_quiet(enum libbpf_print_level level, const char *format, va_list ap)
{
	(void)level;
	(void)format;
	(void)ap;
	return 0;
}

int
uplinks_explain(int err, const char *what, char *why, size_t len)
{
	if (err == -EPERM)
		snprintf(why, len, "%s: not permitted; run as root", what);
	else if (err == -E2BIG)
		snprintf(why, len,
			"%s: more than %d services, %d SNAT addresses or %d "
			"addresses in all",
			what, XDP_SERVICES_MAX, XDP_SNAT_MAX, XDP_HOSTS_MAX);
	else if (err)
		snprintf(why, len, "%s: %s", what, strerror(-err));
	return err;
}

int
uplinks_open(struct provider *p, const struct plan *plan, const char *run_dir,
	char *why, size_t len)
{
	int n_cpus = libbpf_num_possible_cpus(), err = 0;

	libbpf_set_print(be_quiet);
	pins_init(&p->pins);
	p->plan = plan;
	snprintf(p->run_dir, sizeof(p->run_dir), "%s", run_dir);
	p->nl = link_open(&err);
	if (n_cpus < 0)
		err = n_cpus;
	p->n_cpus = n_cpus < 0 ? 0 : (unsigned int)n_cpus;
	if (err)
		uplinks_close(p);
	return uplinks_explain(err, "cannot talk to the kernel", why, len);
}

void
uplinks_close(struct provider *p)
{
	pins_close(&p->pins);
	link_close(p->nl);
	p->nl = NULL;
}

/* The tap of an uplink with a port: of our own making. */
static int
find_tap(struct provider *p, unsigned int i, char *why, size_t len)
{
	const char *device = p->plan->config->uplinks[i].device;
	int err = link_find(p->nl, device, &p->uplink[i]);

	why[0] = '\0';
	if (err)
		snprintf(why, len,
			"%s: %s; stop what runs and start anew to make it",
			device, strerror(-err));
	return err;
}

/* Look at every uplink; the first warning is handed up. */
int
uplinks_check(struct provider *p, bool ours, char *why, size_t len)
{
	char text[256];
	int err = 0;

	why[0] = '\0';
	for (unsigned int i = 0; i < p->plan->config->n_uplinks && !err; i++) {
		const struct config_uplink *u = &p->plan->config->uplinks[i];

		err = *u->port ? find_tap(p, i, text, sizeof(text))
			       : device_check(p->nl, u->device, ours,
					 &p->uplink[i], text, sizeof(text));
		if (text[0] && (err || !why[0]))
			snprintf(why, len, "uplink %s: %s", u->name, text);
		if (p->uplink[i].mtu > p->mtu)
			p->mtu = p->uplink[i].mtu;
	}
	return err;
}

/* The MAC addresses that frames of an uplink have, in one row each. */
static int
enter_uplinks(struct provider *p)
{
	for (uint32_t i = 0; i < p->plan->config->n_uplinks; i++) {
		memcpy(p->pins.uplinks[i].mac, p->uplink[i].mac,
			sizeof(p->pins.uplinks[i].mac));
		if (bpf_map_update_elem(p->pins.map[PINS_TO_UPLINK], &i,
			    &p->uplink[i].index, BPF_ANY))
			return -errno;
	}
	return 0;
}

int
uplinks_sync(struct provider *p, char *why, size_t len)
{
	int err = uplinks_explain(tables_sync(&p->pins, p->plan, p->mtu),
		"cannot fill the tables", why, len);

	return err ? err
		   : uplinks_explain(enter_uplinks(p),
			     "cannot enter the uplinks", why, len);
}

int
uplinks_make_tables(struct provider *p, char *why, size_t len)
{
	int err = uplinks_explain(
		pins_mount(p->run_dir), "cannot mount a bpffs", why, len);

	if (!err)
		err = uplinks_explain(
			pins_create(&p->pins, p->plan, p->run_dir),
			"cannot load the BPF programs", why, len);
	return err ? err : uplinks_sync(p, why, len);
}

/* Errors that a driver's lack of native XDP shows itself by. */
static bool
try_generic(enum config_xdp_mode mode, int err)
{
	return mode == CONFIG_XDP_AUTO && err != -EBUSY && err != -EPERM &&
	       err != -EEXIST;
}

static int
attach_one(struct provider *p, unsigned int i, char *why, size_t len)
{
	const struct config_uplink *u = &p->plan->config->uplinks[i];
	bool generic = u->mode == CONFIG_XDP_GENERIC;
	int index = p->uplink[i].index;
	int err = p->attach(&p->pins, p->plan, p->run_dir, i, index, generic);

	if (err && !generic && try_generic(u->mode, err)) {
		generic = true;
		err = p->attach(
			&p->pins, p->plan, p->run_dir, i, index, generic);
	}
	p->generic |= generic;
	if (err == -EBUSY)
		snprintf(why, len,
			"uplink %s: %s has got another XDP program "
			"meanwhile (bpftool net tells whose)",
			u->name, u->device);
	else if (err)
		snprintf(why, len,
			"uplink %s: cannot attach to %s in %s mode: %s; its "
			"MTU %u may be too large (ip link set dev %s mtu "
			"1500), or set mode = \"generic\"",
			u->name, u->device, generic ? "generic" : "native",
			strerror(-err), p->uplink[i].mtu, u->device);
	return err;
}

int
uplinks_attach(struct provider *p, char *why, size_t len)
{
	int err = 0;

	for (uint32_t i = 0; i < p->plan->config->n_uplinks && !err; i++)
		if (!*p->plan->config->uplinks[i].port)
			err = attach_one(p, i, why, len);
	return err;
}

/* --- addresses --- */

static int
add_address(struct provider *p, const struct plan_steer *s)
{
	const struct link_info *up = &p->uplink[s->target.uplink];
	const struct config_uplink *u =
		&p->plan->config->uplinks[s->target.uplink];
	struct record_entry e = { .addr = s->key.addr, .is_addr = 1 };
	int err = link_has_addr(p->nl, &s->key.addr);

	if (err)
		return err < 0 ? err : 0;
	e.prefix = ip_addr_is_v4(&s->key.addr) ? 32 : 128;
	if (s->prefix)
		e.prefix = s->prefix;
	snprintf(e.device, sizeof(e.device), "%s", u->device);
	err = record_add(p->run_dir, &e);
	if (!err)
		err = link_add_addr(p->nl, up->index, &s->key.addr, e.prefix);
	return err == -EEXIST ? 0 : err;
}

static void
explain_address(const struct provider *p, const struct plan_steer *s, int err,
	char *why, size_t len)
{
	const char *device = p->plan->config->uplinks[s->target.uplink].device;
	bool v4 = ip_addr_is_v4(&s->key.addr);
	char text[INET6_ADDRSTRLEN] = "?";

	inet_ntop(v4 ? AF_INET : AF_INET6,
		v4 ? &s->key.addr.w[3] : &s->key.addr.w[0], text, sizeof(text));
	snprintf(why, len, "cannot add the address %s to %s: %s%s%s", text,
		device, strerror(-err),
		v4 ? "" : "; is IPv6 off? sysctl net.ipv6.conf.",
		v4 ? "" : device);
}

int
uplinks_add_addresses(struct provider *p, char *why, size_t len)
{
	int err = 0;

	for (unsigned int i = 0; i < p->plan->n_steers && !err; i++) {
		const struct plan_steer *s = &p->plan->steers[i];

		err = add_address(p, s);
		if (err)
			explain_address(p, s, err, why, len);
	}
	return err;
}

/* Take away an address that we added and the new plan does without. */
static void
remove_unplanned(void *ctx, const struct record_entry *e)
{
	struct provider *p = ctx;
	struct link_info info;

	if (!e->is_addr)
		return;
	for (unsigned int i = 0; i < p->plan->n_steers; i++)
		if (ip_addr_eq(&p->plan->steers[i].key.addr, &e->addr))
			return;
	if (!link_find(p->nl, e->device, &info))
		link_remove_addr(p->nl, info.index, &e->addr, e->prefix);
	record_remove(p->run_dir, e);
}

/* --- what a former process made --- */

/* Every uplink's link must be there, each on its device. */
static int
find_links(struct provider *p, char *why, size_t len)
{
	int err = 0;

	for (unsigned int i = 0; i < p->plan->config->n_uplinks && !err; i++) {
		if (*p->plan->config->uplinks[i].port)
			continue;
		err = pins_check_link(
			p->run_dir, "uplink", i, p->uplink[i].index);
		if (err)
			snprintf(why, len,
				"nothing to adopt: uplink %s is another "
				"device now, or has lost its program; stop "
				"what runs and start anew",
				p->plan->config->uplinks[i].name);
		else if (!strcmp(device_mode(p->uplink[i].index), "generic"))
			p->generic = true;
	}
	return err;
}

int
uplinks_adopt(struct provider *p, char *why, size_t len)
{
	int err = pins_open(&p->pins, p->plan, p->run_dir, why, len);

	return err ? err : find_links(p, why, len);
}

/* An uplink's MAC address may have been changed meanwhile. */
static int
reread_uplinks(struct provider *p)
{
	for (unsigned int i = 0; i < p->plan->config->n_uplinks; i++) {
		const char *device = p->plan->config->uplinks[i].device;
		int err = link_find(p->nl, device, &p->uplink[i]);

		if (err)
			return err;
	}
	return 0;
}

/* Tables, uplinks and addresses as `plan` says; from here on it is ours. */
static int
take_plan(struct provider *p, const struct plan *plan, char *why, size_t len)
{
	int err;

	p->plan = plan;
	err = uplinks_explain(
		reread_uplinks(p), "cannot look at the uplinks", why, len);
	if (!err)
		err = uplinks_sync(p, why, len);
	if (err)
		return err;
	record_walk(p->run_dir, remove_unplanned, p);
	return uplinks_add_addresses(p, why, len);
}

/*
 * The caller frees a plan that is refused: whatever fails, the former is the
 * one in force again, as far as the kernel lets us.
 */
int
uplinks_update(
	struct provider *p, const struct plan *plan, char *why, size_t len)
{
	const struct plan *former = p->plan;
	char unheard[256];
	int err;

	if (plan->n_instances != p->pins.n_vnics ||
		plan->config->n_uplinks != p->pins.n_uplinks ||
		plan->n_entries != former->n_entries ||
		plan->seed != former->seed) {
		snprintf(why, len, "the new plan has other VNICs or buckets");
		return -EBUSY;
	}
	err = take_plan(p, plan, why, len);
	if (err && plan != former)
		take_plan(p, former, unheard, sizeof(unheard));
	return err;
}

/* --- the end --- */

/* As made by us; one that was killed in between has no alias yet. */
static bool
is_ours(const struct link_info *info)
{
	return (!strcmp(info->kind, "veth") || !strcmp(info->kind, "tun")) &&
	       (!info->alias[0] || !strncmp(info->alias, CONFIG_DEVICE_ALIAS,
					   strlen(CONFIG_DEVICE_ALIAS)));
}

static void
remove_entry(void *ctx, const struct record_entry *e)
{
	struct nl_sock *nl = ctx;
	struct link_info info;

	if (link_find(nl, e->device, &info))
		return;
	if (e->is_addr)
		link_remove_addr(nl, info.index, &e->addr, e->prefix);
	else if (is_ours(&info))
		link_remove(nl, e->device);
}

/*
 * Addresses first, so that no new traffic comes, then programs, maps,
 * devices. Each step stands alone, so that a second call ends what a first
 * could not.
 */
void
uplinks_purge(const char *run_dir)
{
	int err;
	struct nl_sock *nl = link_open(&err);

	if (nl && !record_walk(run_dir, remove_entry, nl))
		record_clear(run_dir);
	link_close(nl);
	pins_unmount(run_dir);
}
