/* SPDX-License-Identifier: BSD-3-Clause */
/* Of a benchmark's functions: configuration, plan, grants, and the tables. */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctrl/config.h"
#include "ctrl/soft/tables.h"
#include "dataplane/nf.h"
#include "dataplane/vnic.h"
#include "perf/lib/softlab_internal.h"

#define TYPES_MAX 16
#define SEED      0x1234567

/* As appliance/verb_run.c has it: an instance's, beside its function's. */
#define INSTANCE_MB 40

/* Of the NIC, beside its own: what traffic is made in. */
#define TRAFFIC_MB 64

static const uint8_t uplink_mac[6] = { 2, 0, 0, 0, 0, 1 };

int
softlab_core(void)
{
	return (int)sysconf(_SC_NPROCESSORS_ONLN) - 1;
}

/* --- the configuration --- */

/* The uplink's device is none, for its port makes no use of it. */
static int
no_device(void *ctx, const char *name)
{
	(void)ctx;
	(void)name;
	return CONFIG_DEVICE_NONE;
}

static struct config *
config_make(const char *functions, int core)
{
	static struct config_type types[TYPES_MAX + 1];
	struct config_machine machine = config_this_machine;
	struct config_faults faults = { 0 };
	struct config *config;
	char *text = NULL, *rest;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (f == NULL)
		return NULL;
	fprintf(f,
		"appliance: { name = \"perf\"; share_cores = true; "
		"nic_core = %d; };\n"
		"uplinks: ( { name = \"wan\"; device = \"perf\"; "
		"provider = \"soft\"; port = \"net_null0,no-rx=1\"; } );\n"
		"functions: ",
		SOFTLAB_NIC_CORE);
	for (const char *p = functions; p != NULL; p = rest) {
		rest = strstr(p, "CORE");
		fprintf(f, "%.*s",
			rest == NULL ? (int)strlen(p) : (int)(rest - p), p);
		if (rest != NULL) {
			fprintf(f, "%d", core);
			rest += strlen("CORE");
		}
	}
	fprintf(f, ";\n");
	fclose(f);
	for (int i = 0; i < TYPES_MAX && nf_all[i] != NULL; i++)
		types[i] = (struct config_type){ nf_all[i]->name,
			nf_all[i]->flags };
	machine.has_device = no_device;
	config = config_load_text("perf", text, len, types, &machine, &faults);
	config_faults_print(&faults, stderr);
	config_faults_free(&faults);
	free(text);
	return config;
}

/* --- the grants --- */

static uint32_t
memory_mb(const struct grant *g)
{
	const struct nf *nf = nf_find(g->type);
	size_t bytes = nf->memory == NULL ? 0 : nf->memory(g);

	if (nf->buffers != NULL)
		bytes += (size_t)nf->buffers(g) * VNIC_BUFFER_BYTES;
	bytes += bytes / 8;
	return INSTANCE_MB + 2 * (uint32_t)((bytes + (2u << 20) - 1) >> 21);
}

static int
grants_complete(struct softlab *lab, bool together)
{
	const struct passwd *pw = getpwnam(lab->config->user);

	if (pw == NULL)
		return -1;
	for (unsigned int i = 0; i < lab->plan->n_instances; i++) {
		struct grant *g = lab->plan->instances[i].grant;

		g->uid = pw->pw_uid;
		g->gid = pw->pw_gid;
		g->memory_mb = memory_mb(g);
		if (!together)
			g->share_core = g->instances > 1;
		lab->memory_mb += g->memory_mb;
	}
	lab->plan->nic_memory_mb = softtables_memory_mb(1) + TRAFFIC_MB;
	lab->memory_mb += lab->plan->nic_memory_mb;
	return 0;
}

int
softlab_plan(struct softlab *lab, const char *functions, bool together)
{
	int core = softlab_core();

	memset(lab, 0, sizeof(*lab));
	lab->nexthops = lab->dir.fd = lab->dir.lock = -1;
	if (core < 1) {
		fprintf(stderr, "the NIC and the instances need a core each; "
				"there is one core\n");
		return -1;
	}
	lab->core = (unsigned int)core;
	lab->config = config_make(functions, core);
	if (lab->config == NULL)
		return -1;
	lab->plan = plan_create(lab->config, SEED);
	lab->tables = calloc(1, sizeof(*lab->tables));
	if (lab->plan != NULL && lab->tables != NULL &&
		grants_complete(lab, together) == 0)
		return 0;
	fprintf(stderr, "no memory, or no user \"%s\"\n", lab->config->user);
	softlab_plan_free(lab);
	return -1;
}

void
softlab_memory(struct softlab *lab, uint32_t mb)
{
	lab->plan->nic_memory_mb += mb;
	lab->memory_mb += mb;
}

void
softlab_plan_free(struct softlab *lab)
{
	free(lab->tables);
	plan_free(lab->plan);
	config_free(lab->config);
	memset(lab, 0, sizeof(*lab));
}

/* What is known only in the process that runs it: pages, sockets. */
int
softlab_fill(struct softlab *lab)
{
	struct softtables_uplink uplink = { .queues = 1 };
	char why[256] = "";

	memcpy(uplink.mac, uplink_mac, sizeof(uplink.mac));
	lab->plan->nic_huge_mb = lab->huge ? lab->plan->nic_memory_mb : 0;
	if (softtables_fill(lab->tables, lab->plan, lab->dir.path, &uplink, why,
		    sizeof(why)) != 0) {
		fprintf(stderr, "%s\n", why);
		return -1;
	}
	lab->tables->uplink[0].tap[0] = '\0';
	for (unsigned int i = 0; i < lab->plan->n_instances; i++) {
		struct grant *g = lab->plan->instances[i].grant;

		g->huge_mb = lab->huge ? g->memory_mb : 0;
		snprintf(g->devargs, sizeof(g->devargs),
			"net_virtio_user0,path=%s,server=1,queues=1,"
			"queue_size=%u",
			lab->tables->vnic[i].path, SOFTLAB_RING);
	}
	return 0;
}
