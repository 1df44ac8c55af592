/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/soft/tables.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ctrl/rows.h"

/*
 * Packet buffers are 2.4 KiB: 4,096 in the NIC's hands and as many for each
 * queue's rings. The base has room for what DPDK takes.
 */
#define MEMORY_BASE_MB  64
#define MEMORY_QUEUE_MB 10

_Static_assert(CONFIG_SOFT_VNICS_MAX == SOFTNIC_VNICS_MAX, "as the NIC has");
_Static_assert(CONFIG_UPLINKS_MAX <= SOFTNIC_UPLINKS_MAX, "any config fits");
_Static_assert(CONFIG_FUNCTIONS_MAX <= SOFTNIC_FUNCTIONS_MAX, "likewise");

uint32_t
softtables_memory_mb(unsigned int queues)
{
	return MEMORY_BASE_MB + MEMORY_QUEUE_MB * queues;
}

const char *
softtables_path(
	const char *run_dir, const char *instance, char *buf, size_t len)
{
	snprintf(buf, len, "%s/%s.vnic", run_dir, instance);
	return buf;
}

/* --- uplinks --- */

/*
 * A port as the config has it, but a virtual one's number is the uplink's:
 * two of one driver must have different ones.
 */
static void
port_devargs(
	char *buf, size_t len, const struct config_uplink *u, unsigned int i)
{
	size_t name = strcspn(u->port, ",");
	const char *arguments = u->port + name;

	if (strncmp(u->port, "net_", 4) != 0) {
		snprintf(buf, len, "%s", u->port);
		return;
	}
	while (name > 0 && isdigit((unsigned char)u->port[name - 1]))
		name--;
	snprintf(buf, len, "%.*s%u%s", (int)name, u->port, i, arguments);
}

/*
 * AF_XDP without a busy poll budget: the NIC has a core of its own, and the
 * kernel polls the device by softirq.
 */
static void
fill_uplink(struct softnic_uplink *to, const struct config_uplink *u,
	unsigned int i, const struct softtables_uplink *is)
{
	snprintf(to->name, sizeof(to->name), "%s", u->name);
	to->queues = is != NULL && is->queues > 0 ? is->queues : 1;
	to->rate_bps = u->rate_bps;
	if (is != NULL)
		memcpy(to->mac, is->mac, sizeof(to->mac));
	if (*u->port != '\0') {
		port_devargs(to->devargs, sizeof(to->devargs), u, i);
		snprintf(to->tap, sizeof(to->tap), "%.15s", u->device);
	} else {
		snprintf(to->devargs, sizeof(to->devargs),
			"net_af_xdp%u,iface=%s,start_queue=0,queue_count=%u,"
			"busy_budget=0",
			i, u->device, to->queues);
	}
}

/* --- functions and VNICs --- */

static void
fill_function(struct softnic_function *to, const struct config_function *f)
{
	to->weight = f->weight > 0 ? f->weight : 1;
	to->rate_bps = f->total_rate_bps;
	to->packet_rate = f->total_packet_rate;
}

static int
fill_vnic(struct softnic_vnic *to, const struct plan *plan,
	const struct plan_instance *in, const char *run_dir)
{
	const struct config_function *f =
		&plan->config->functions[in->function];
	char path[512];

	snprintf(to->name, sizeof(to->name), "%s", in->name);
	softtables_path(run_dir, in->name, path, sizeof(path));
	if (strlen(path) >= sizeof(to->path))
		return -ENAMETOOLONG;
	memcpy(to->path, path, strlen(path) + 1);
	to->function = in->function;
	to->uplinks = 1u << f->uplink | 1u << f->backend_uplink;
	to->rate_bps = f->rate_bps;
	to->packet_rate = f->packet_rate;
	return 0;
}

/* --- rows --- */

static int
put_rows(struct softnic_tables *t, const struct steer_rows *rows)
{
	int err = 0;

	for (unsigned int i = 0; i < rows->services.n && err == 0; i++) {
		const struct row *r = &rows->services.row[i];
		struct steer_target target;
		struct steer_key key;

		memcpy(&key, r->key, sizeof(key));
		memcpy(&target, r->value, sizeof(target));
		err = softnic_service_put(t, &key, &target);
	}
	for (unsigned int i = 0; i < rows->snat.n && err == 0; i++) {
		const struct row *r = &rows->snat.row[i];
		struct steer_target target;
		struct ip_addr addr;

		memcpy(&addr, r->key, sizeof(addr));
		memcpy(&target, r->value, sizeof(target));
		err = softnic_snat_put(t, &addr, &target);
	}
	for (unsigned int i = 0; i < rows->hosts.n && err == 0; i++) {
		const struct row *r = &rows->hosts.row[i];
		struct steer_host host;
		struct ip_addr addr;

		memcpy(&addr, r->key, sizeof(addr));
		memcpy(&host, r->value, sizeof(host));
		err = softnic_host_put(t, &addr, &host);
	}
	return err == 0 ? 0 : -E2BIG;
}

static int
fill_rows(struct softnic_tables *t, const struct plan *plan)
{
	static const struct steer_rows_max max = { SOFTNIC_SERVICE_SLOTS / 2,
		SOFTNIC_SNAT_SLOTS / 2, SOFTNIC_HOST_SLOTS / 2 };
	struct steer_rows rows;
	int err;

	if (plan->n_entries > SOFTNIC_ENTRIES_MAX)
		return -E2BIG;
	t->n_entries = plan->n_entries;
	memcpy(t->entry, plan->entries,
		plan->n_entries * sizeof(*plan->entries));
	err = steer_rows_init(&rows, plan, &max);
	if (err != 0)
		return err;
	err = put_rows(t, &rows);
	steer_rows_free(&rows);
	return err;
}

/* --- the whole --- */

static void
fill_head(struct softnic_tables *t, const struct plan *plan)
{
	const struct config *c = plan->config;

	memset(t, 0, sizeof(*t));
	t->magic = SOFTNIC_MAGIC;
	t->version = SOFTNIC_VERSION;
	t->size = sizeof(*t);
	t->generation = 1;
	snprintf(t->appliance, sizeof(t->appliance), "%s", c->name);
	t->core = c->nic_core;
	t->huge_mb = plan->nic_huge_mb;
	t->memory_mb = plan->nic_memory_mb;
	t->seed = plan->seed;
	t->n_uplinks = c->n_uplinks;
	t->n_functions = c->n_functions;
	t->n_vnics = plan->n_instances;
	for (unsigned int i = 0; i < plan->n_instances; i++)
		t->share_core |= plan->instances[i].grant->core == c->nic_core;
}

int
softtables_fill(struct softnic_tables *t, const struct plan *plan,
	const char *run_dir, const struct softtables_uplink *uplinks, char *why,
	size_t len)
{
	const struct config *c = plan->config;
	int err = 0;

	if (plan->n_instances > SOFTNIC_VNICS_MAX) {
		snprintf(why, len,
			"%u instances; a NIC in software has %d VNICs at most",
			plan->n_instances, SOFTNIC_VNICS_MAX);
		return -E2BIG;
	}
	fill_head(t, plan);
	for (unsigned int i = 0; i < c->n_uplinks; i++)
		fill_uplink(&t->uplink[i], &c->uplinks[i], i,
			uplinks != NULL ? &uplinks[i] : NULL);
	for (unsigned int i = 0; i < c->n_functions; i++)
		fill_function(&t->function[i], &c->functions[i]);
	for (unsigned int i = 0; i < plan->n_instances && err == 0; i++)
		err = fill_vnic(
			&t->vnic[i], plan, &plan->instances[i], run_dir);
	if (err != 0) {
		snprintf(why, len,
			"%s: too long a path for the sockets of VNICs",
			run_dir);
		return err;
	}
	err = fill_rows(t, plan);
	if (err == -E2BIG)
		snprintf(why, len,
			"more services, addresses or buckets than the tables "
			"of a NIC in software hold");
	return err;
}

/* --- one beside the other --- */

static int
differ(char *why, size_t len, const char *what)
{
	snprintf(why, len, "%s of the NIC in software is another", what);
	return -EBUSY;
}

/* What it was started with; the MAC address and the rate may change. */
static int
uplinks_fit(const struct softnic_tables *a, const struct softnic_tables *b,
	char *why, size_t len)
{
	for (uint32_t i = 0; i < a->n_uplinks; i++) {
		const struct softnic_uplink *u = &a->uplink[i],
					    *v = &b->uplink[i];

		if (strcmp(u->devargs, v->devargs) != 0 ||
			strcmp(u->tap, v->tap) != 0 || u->queues != v->queues) {
			snprintf(why, len,
				"uplink %s: the port changes from %.100s to "
				"%.100s",
				v->name, u->devargs, v->devargs);
			return -EBUSY;
		}
	}
	return 0;
}

static int
vnics_fit(const struct softnic_tables *a, const struct softnic_tables *b,
	char *why, size_t len)
{
	for (uint32_t i = 0; i < a->n_vnics; i++) {
		const struct softnic_vnic *u = &a->vnic[i], *v = &b->vnic[i];

		if (strcmp(u->path, v->path) != 0 ||
			u->function != v->function || u->uplinks != v->uplinks)
			return differ(why, len, v->name);
	}
	return 0;
}

int
softtables_fits(const struct softnic_tables *now,
	const struct softnic_tables *next, char *why, size_t len)
{
	int err;

	if (now->magic != next->magic || now->version != next->version ||
		now->size != next->size) {
		snprintf(why, len,
			"the NIC in software was started by another version");
		return -EBUSY;
	}
	if (now->core != next->core || now->share_core != next->share_core)
		return differ(why, len, "the core");
	if (now->n_uplinks != next->n_uplinks)
		return differ(why, len, "the number of uplinks");
	if (now->n_functions != next->n_functions ||
		now->n_vnics != next->n_vnics)
		return differ(why, len, "the number of VNICs");
	if (now->n_entries != next->n_entries || now->seed != next->seed)
		return differ(why, len, "the steering");
	err = uplinks_fit(now, next, why, len);
	return err != 0 ? err : vnics_fit(now, next, why, len);
}

bool
softtables_same(const struct softnic_tables *a, const struct softnic_tables *b)
{
	size_t skip = offsetof(struct softnic_tables, generation) +
		      sizeof(a->generation);

	return memcmp(a, b, offsetof(struct softnic_tables, generation)) == 0 &&
	       memcmp((const char *)a + skip, (const char *)b + skip,
		       sizeof(*a) - skip) == 0;
}
