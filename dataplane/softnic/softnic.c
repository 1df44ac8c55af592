/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The life of the NIC in software outside its loop.
 *
 * Everything comes as descriptors (enum softnic_fd). In turn: the tables and
 * counters are mapped, EAL starts with the ports, taps are attached; then all
 * privileges are laid down, and only after that is anything started that
 * meets an instance. Threads begin after that too, so that none has more.
 *
 * To end it, the loop first comes back from softnic_run(); nothing moves any
 * more when the links, the mailbox and the ports are closed in turn.
 */
#include "dataplane/softnic/softnic.h"

#include <errno.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xdp/libxdp.h>

#include "dataplane/confine.h"
#include "dataplane/eal_args.h"
#include "dataplane/softnic/caps.h"
#include "dataplane/softnic/nic.h"

#define POOL_CACHE 256

/* --- EAL ----------------------------------------------------------------- */

/* A process of our own, with the uplinks' ports and no others. */
static void
eal_args_fill(struct eal_args *a, const struct softnic_tables *t)
{
	bool pci = false;

	eal_arg(a, "carryall");
	eal_arg(a, "--lcores=0@%u", t->core);
	eal_arg(a, "--no-telemetry");
	eal_arg(a, "--log-level=lib.eal:error");
	eal_arg(a, "--log-level=pmd.net.af_xdp:error");
	eal_arg(a, "--file-prefix=carryall-%s-softnic", t->appliance);
	eal_args_memory(a, t->huge_mb, t->memory_mb);
	for (uint32_t u = 0; u < t->n_uplinks; u++) {
		char port[sizeof(t->uplink[u].devargs) + 8];

		port_argument(&t->uplink[u], port, sizeof(port));
		eal_arg(a, "%s", port);
		pci |= strncmp(port, "-a", 2) == 0;
	}
	if (!pci)
		eal_arg(a, "--no-pci");
}

static int
eal_start(const struct softnic_tables *t, const char *const *more, char *why,
	size_t len)
{
	struct eal_args *a = calloc(1, sizeof(*a));
	int rc;

	if (a == NULL)
		return -ENOMEM;
	eal_args_fill(a, t);
	/* It warns that our program on an uplink is not its own. */
	libxdp_set_print(NULL);
	for (; *more != NULL; more++)
		eal_arg(a, "%s", *more);
	/* EAL keeps the strings: the memory is for the process's life. */
	rc = rte_eal_init(a->argc, a->argv);
	if (rc >= 0)
		return 0;
	snprintf(why, len, "DPDK does not start with the uplinks: %s",
		rte_strerror(rte_errno));
	free(a);
	return -ENODEV;
}

/* --- parts --------------------------------------------------------------- */

static int
ports_open(struct softnic *nic, char *why, size_t len)
{
	const struct softnic_tables *t = nic->first;

	nic->pool = rte_pktmbuf_pool_create("softnic", port_buffers(t),
		POOL_CACHE, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	if (nic->pool == NULL) {
		snprintf(why, len, "no memory for %u packet buffers: %s",
			port_buffers(t), rte_strerror(rte_errno));
		return -ENOMEM;
	}
	for (uint32_t u = 0; u < t->n_uplinks; u++) {
		int rc = port_open(&nic->uplink[u].port, &t->uplink[u],
			nic->pool, why, len);

		if (rc != 0)
			return rc;
		nic->n_ports++;
	}
	return 0;
}

static int
taps_open(struct softnic *nic, char *why, size_t len)
{
	for (uint32_t u = 0; u < nic->first->n_uplinks; u++) {
		const char *name = nic->first->uplink[u].tap;

		if (name[0] == '\0')
			continue;
		nic->uplink[u].tap = tap_attach(name, why, len);
		if (nic->uplink[u].tap < 0)
			return nic->uplink[u].tap;
	}
	return 0;
}

static int
reader_init(struct softnic *nic)
{
	size_t size = rte_rcu_qsbr_get_memsize(1);

	nic->qsbr = rte_zmalloc("softnic", size, RTE_CACHE_LINE_SIZE);
	if (nic->qsbr == NULL || rte_rcu_qsbr_init(nic->qsbr, 1) != 0 ||
		rte_rcu_qsbr_thread_register(nic->qsbr, NIC_READER) != 0)
		return -ENOMEM;
	rte_rcu_qsbr_thread_online(nic->qsbr, NIC_READER);
	return 0;
}

static int
lookup_init(struct softnic *nic)
{
	uint64_t secret[2];

	if (getrandom(secret, sizeof(secret), 0) != sizeof(secret))
		return -EIO;
	nic->lookup.fragments = fragments_create(secret);
	return nic->lookup.fragments != NULL ? 0 : -ENOMEM;
}

/* Counters go on from the former NIC's; gauges begin anew. */
static void
stats_begin(struct softnic_stats *s)
{
	if (s->magic != SOFTNIC_STATS_MAGIC ||
		s->version != SOFTNIC_STATS_VERSION || s->size != sizeof(*s))
		memset(s, 0, sizeof(*s));
	s->magic = SOFTNIC_STATS_MAGIC;
	s->version = SOFTNIC_STATS_VERSION;
	s->size = sizeof(*s);
	s->pid = (uint32_t)getpid();
	s->tsc_hz = rte_get_tsc_hz();
	for (uint32_t i = 0; i < SOFTNIC_VNICS_MAX; i++)
		s->vnic[i].attached = 0;
	s->starts++;
}

static void
clock_init(struct softnic *nic)
{
	nic->tsc_base = rte_rdtsc();
	nic->tsc_to_ns = (1000000000ull << 32) / rte_get_tsc_hz();
}

static struct softnic *
nic_alloc(const struct softnic_tables *t, struct softnic_stats *s)
{
	struct softnic *nic = calloc(1, sizeof(*nic));

	if (nic == NULL)
		return NULL;
	nic->first = nic->tables = t;
	nic->stats = s;
	nic->n_vnics = t->n_vnics;
	nic->n_uplinks = t->n_uplinks;
	for (uint32_t u = 0; u < SOFTNIC_UPLINKS_MAX; u++)
		nic->uplink[u].tap = -1;
	return nic;
}

/* Ports and taps: what needs privileges. */
static int
nic_devices(struct softnic *nic, char *why, size_t len)
{
	int rc = ports_open(nic, why, len);

	if (rc == 0)
		rc = taps_open(nic, why, len);
	if (rc == 0) {
		rc = reader_init(nic);
		if (rc == 0)
			rc = lookup_init(nic);
		if (rc != 0)
			snprintf(why, len, "no memory for tables");
	}
	return rc;
}

/* Instances, and sleep: what needs none. */
static int
nic_start(struct softnic *nic, char *why, size_t len)
{
	int rc;

	stats_begin(nic->stats);
	clock_init(nic);
	nic_take_tables(nic);
	rc = attach_create(
		&nic->attach, nic->first, nic->stats, nic->qsbr, why, len);
	if (rc != 0)
		return rc;
	rc = nic_doze_init(nic, why, len);
	if (rc != 0) {
		attach_destroy(nic->attach);
		nic->attach = NULL;
	}
	return rc;
}

/* --- the whole ----------------------------------------------------------- */

static void
frames_free(struct softnic *nic)
{
	rte_pktmbuf_free_bulk(nic->spare, nic->n_spare);
	for (uint32_t u = 0; u < nic->n_uplinks; u++)
		rte_pktmbuf_free_bulk(
			nic->uplink[u].out.pkts, nic->uplink[u].out.n);
}

static void
devices_close(struct softnic *nic)
{
	for (uint32_t u = 0; u < nic->n_ports; u++)
		port_close(&nic->uplink[u].port);
	for (uint32_t u = 0; u < nic->n_uplinks; u++)
		if (nic->uplink[u].tap >= 0)
			close(nic->uplink[u].tap);
	free(nic->lookup.fragments);
	rte_free(nic->qsbr);
	rte_mempool_free(nic->pool);
}

static void
maps_close(struct softnic *nic)
{
	const struct softnic_tables *now = nic->tables;

	if (now != nic->first)
		munmap((void *)(uintptr_t)now, sizeof(*now));
	munmap((void *)(uintptr_t)nic->first, sizeof(*nic->first));
	munmap(nic->stats, sizeof(*nic->stats));
	if (nic->capture != NULL)
		munmap(nic->capture, CAPTURE_FILE_SIZE);
}

void
softnic_close(struct softnic *nic)
{
	/* It reads no more: whoever waits for it need not. */
	if (nic->qsbr != NULL)
		rte_rcu_qsbr_thread_offline(nic->qsbr, NIC_READER);
	nic_mail_end(nic);
	if (nic->attach != NULL) {
		nic_doze_fini(nic);
		attach_destroy(nic->attach);
	}
	frames_free(nic);
	devices_close(nic);
	if (nic->own_eal)
		rte_eal_cleanup();
	if (nic->mapped)
		maps_close(nic);
	free(nic);
}

struct softnic *
softnic_open_with(const struct softnic_tables *tables,
	struct softnic_stats *stats, const char *const *eal, char *why,
	size_t len)
{
	struct softnic *nic;

	if (softnic_tables_check(tables, why, len) != 0 ||
		(eal != NULL && eal_start(tables, eal, why, len) != 0))
		return NULL;
	nic = nic_alloc(tables, stats);
	if (nic == NULL)
		return NULL;
	nic->own_eal = eal != NULL;
	if (nic_devices(nic, why, len) != 0 || nic_start(nic, why, len) != 0) {
		softnic_close(nic);
		return NULL;
	}
	return nic;
}

static void *
map(int fd, size_t size)
{
	struct stat st;
	void *p;

	if (fstat(fd, &st) != 0 || (size_t)st.st_size < size)
		return NULL;
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return p == MAP_FAILED ? NULL : p;
}

static void
capture_map(struct softnic *nic)
{
	nic->capture = map(SOFTNIC_FD_CAPTURE, CAPTURE_FILE_SIZE);
	if (nic->capture != NULL && !capture_check(nic->capture)) {
		munmap(nic->capture, CAPTURE_FILE_SIZE);
		nic->capture = NULL;
	}
}

/* All that is mapped, so that there is a NIC to close if the rest fails. */
static struct softnic *
nic_map(char *why, size_t len)
{
	const struct softnic_tables *t =
		nic_tables_map(SOFTNIC_FD_TABLES, why, len);
	struct softnic_stats *s = map(SOFTNIC_FD_STATS, sizeof(*s));
	struct softnic *nic;

	if (t == NULL)
		return NULL;
	if (s == NULL) {
		snprintf(why, len, "the counters cannot be mapped");
		return NULL;
	}
	nic = nic_alloc(t, s);
	if (nic == NULL)
		return NULL;
	nic->mapped = true;
	capture_map(nic);
	close(SOFTNIC_FD_TABLES);
	close(SOFTNIC_FD_STATS);
	return nic;
}

struct softnic *
softnic_open(char *why, size_t len)
{
	static const char *const no_more[] = { NULL };
	struct softnic *nic;

	if (confine_early(why, len) != 0)
		return NULL;
	nic = nic_map(why, len);
	if (nic == NULL)
		return NULL;
	if (eal_start(nic->first, no_more, why, len) != 0)
		goto out_maps;
	nic->own_eal = true;
	if (nic_devices(nic, why, len) != 0 || caps_drop(why, len) != 0 ||
		nic_start(nic, why, len) != 0 ||
		nic_mail_start(nic, why, len) != 0) {
		softnic_close(nic);
		return NULL;
	}
	return nic;

out_maps:
	maps_close(nic);
	free(nic);
	return NULL;
}

void
softnic_stop(struct softnic *nic)
{
	nic->stop = 1;
	nic_wake(nic);
}
