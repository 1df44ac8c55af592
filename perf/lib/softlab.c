/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/lib/softlab.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>

#include "ctrl/spawn.h"
#include "dataplane/instance.h"
#include "perf/lib/report.h"
#include "perf/lib/softlab_internal.h"

#define START_NS 20000000000ull

/* --- children --- */

/* The product is beside the folder of the benchmarks. */
static void
product_run(char **argv)
{
	char self[512], path[600];
	char *envp[] = { NULL };
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n < 0)
		return;
	self[n] = '\0';
	snprintf(path, sizeof(path), "%s/../carryall", dirname(self));
	execve(path, argv, envp);
	fprintf(stderr, "%s: %s\n", path, strerror(errno));
}

static struct instance instance;

static int
instance_here(const char *name)
{
	char why[256] = "";

	if (instance_init(&instance, why, sizeof(why)) != 0) {
		fprintf(stderr, "%s: %s\n", name, why);
		return 1;
	}
	instance_run(&instance);
	return 0;
}

void
softlab_child(int argc, char **argv, int (*bare)(void))
{
	static struct grant g;

	if (argc != 3 || strcmp(argv[0], "carryall") != 0 ||
		strcmp(argv[1], "instance") != 0)
		return;
	if (pread(INSTANCE_FD_GRANT, &g, sizeof(g), 0) != sizeof(g))
		exit(126);
	if (strcmp(g.type, "echo") == 0 || strcmp(g.type, "lb") == 0 ||
		strcmp(g.type, "proxy") == 0) {
		product_run(argv);
		exit(127);
	}
	if (bare != NULL && strcmp(g.type, "limit") == 0)
		exit(bare());
	exit(instance_here(argv[2]));
}

/* --- what instances are given --- */

int
softlab_dir_make(struct softlab *lab)
{
	const char *base = getenv("CARRYALL_PERF_DIR");

	snprintf(lab->dir.path, sizeof(lab->dir.path), "/run/carryall-perf.%d",
		getpid());
	snprintf(lab->state, sizeof(lab->state), "%s/store.%d",
		base == NULL ? "build/perf" : base, getpid());
	if (mkdir(lab->dir.path, 0700) != 0) {
		perror(lab->dir.path);
		return -1;
	}
	lab->dir.fd = open(lab->dir.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return lab->dir.fd < 0 ? -1 : 0;
}

/* A store's name is known before it is made. */
static void
stores_remove(struct softlab *lab)
{
	struct store s;

	for (uint32_t i = 0; i < lab->plan->n_instances; i++) {
		store_init(&s, lab->state, lab->plan->instances[i].name,
			lab->plan->instances[i].grant);
		unlink(s.path);
		rmdir(s.dir);
	}
	rmdir(lab->state);
}

void
softlab_dir_remove(struct softlab *lab)
{
	stores_remove(lab);
	if (lab->dir.fd >= 0)
		rundir_remove(&lab->dir);
	lab->dir.fd = -1;
}

static void *
map_file(int fd, size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return fd < 0 || p == MAP_FAILED ? NULL : p;
}

/* Uplink 0 is the NIC's own address; all backends are behind one router. */
static int
nexthops_make(struct softlab *lab)
{
	static const uint8_t backend[6] = { 2, 0, 0, 0, 0, 9 };
	struct nexthops *t;
	bool fresh;

	lab->nexthops =
		rundir_file(&lab->dir, "nexthops", "", sizeof(*t), &fresh);
	t = map_file(lab->nexthops, sizeof(*t));
	if (t == NULL)
		return -1;
	t->magic = NEXTHOPS_MAGIC;
	t->version = 1;
	t->entry[0] = nexthop_pack(lab->tables->uplink[0].mac, 1500);
	for (uint32_t i = 1; i < NEXTHOPS_MAX; i++)
		t->entry[i] = nexthop_pack(backend, 1500);
	munmap(t, sizeof(*t));
	return 0;
}

/* A log, where the configuration asks for one: its descriptor, or -1. */
static int
store_give(struct softlab *lab, uint32_t i)
{
	struct store *s = &lab->instance[i].store;
	struct grant *g = lab->plan->instances[i].grant;
	char why[512] = "";
	int fd;

	if (g->store.size == 0)
		return -1;
	store_init(s, lab->state, lab->plan->instances[i].name, g);
	g->store.boot = 1;
	fd = store_open(s, why, sizeof(why));
	if (fd < 0)
		fprintf(stderr, "%s\n", why);
	g->store.flush = store_flush(s);
	return fd;
}

static int
instance_start(struct softlab *lab, uint32_t i)
{
	struct softlab_instance *in = &lab->instance[i];
	const struct plan_instance *p = &lab->plan->instances[i];
	struct spawn spawn;
	int store = store_give(lab, i), fd;

	fd = rundir_replace(
		&lab->dir, p->name, "grant", p->grant, sizeof(*p->grant));
	if (fd < 0 || (store < 0 && p->grant->store.size > 0))
		return -1;
	close(fd);
	if (spawn_open_instance(&spawn, &lab->dir, p->name, lab->nexthops) != 0)
		return -1;
	spawn.fd[SPAWN_STORE] = store;
	in->stats = map_file(spawn.fd[INSTANCE_FD_STATS - INSTANCE_FD_GRANT],
		sizeof(*in->stats));
	in->pid = spawn_run(&spawn);
	spawn_close(&spawn);
	if (in->pid < 0 || in->stats == NULL)
		return -1;
	lab->pids[i] = in->pid;
	return 0;
}

/* --- the NIC --- */

static int
nic_start(struct softlab *lab)
{
	static const char *const no_more[] = { NULL };
	char why[512] = "";
	bool fresh;
	int fd = rundir_file(&lab->dir, "softnic", "stats",
		sizeof(struct softnic_stats), &fresh);

	lab->stats = map_file(fd, sizeof(*lab->stats));
	if (lab->stats == NULL)
		return -1;
	close(fd);
	lab->nic = softnic_open_with(
		lab->tables, lab->stats, no_more, why, sizeof(why));
	if (lab->nic == NULL) {
		fprintf(stderr, "the NIC: %s\n", why);
		return -1;
	}
	lab->port = (uint16_t)rte_eth_find_next(0);
	return 0;
}

static bool
all_serve(const struct softlab *lab)
{
	for (uint32_t i = 0; i < lab->plan->n_instances; i++)
		if (lab->instance[i].stats->state != STATS_SERVING ||
			lab->stats->vnic[i].attached != 1)
			return false;
	return true;
}

static int
await(struct softlab *lab)
{
	uint64_t end = now_ns() + START_NS;

	while (!all_serve(lab)) {
		softnic_round(lab->nic);
		if (now_ns() < end)
			continue;
		fprintf(stderr, "not all instances serve after %llu s\n",
			START_NS / 1000000000);
		return -1;
	}
	return 0;
}

int
softlab_open(struct softlab *lab)
{
	if (softlab_fill(lab) != 0 || nexthops_make(lab) != 0)
		return -1;
	for (uint32_t i = 0; i < lab->plan->n_instances; i++)
		if (instance_start(lab, i) != 0) {
			fprintf(stderr, "%s does not start\n",
				lab->plan->instances[i].name);
			return -1;
		}
	return nic_start(lab) == 0 && await(lab) == 0 ? 0 : -1;
}

void
softlab_close(struct softlab *lab)
{
	for (uint32_t i = 0; i < lab->plan->n_instances; i++) {
		struct softlab_instance *in = &lab->instance[i];

		if (in->pid <= 0)
			continue;
		kill(in->pid, SIGKILL);
		waitpid(in->pid, NULL, 0);
		in->pid = lab->pids[i] = 0;
	}
	if (lab->nic != NULL)
		softnic_close(lab->nic);
	lab->nic = NULL;
}

/* --- while it runs --- */

void
softlab_pause(struct softlab *lab, uint32_t i)
{
	int status;

	if (lab->instance[i].paused)
		return;
	kill(lab->instance[i].pid, SIGSTOP);
	waitpid(lab->instance[i].pid, &status, WUNTRACED);
	lab->instance[i].paused = true;
}

void
softlab_resume(struct softlab *lab, uint32_t i)
{
	if (lab->instance[i].paused)
		kill(lab->instance[i].pid, SIGCONT);
	lab->instance[i].paused = false;
}

void
softlab_run(struct softlab *lab, uint64_t ns)
{
	uint64_t end = rte_rdtsc() + ns * (rte_get_tsc_hz() / 1000000) / 1000;

	do {
		for (int i = 0; i < 16; i++)
			softnic_round(lab->nic);
	} while (rte_rdtsc() < end);
}

/* --- counters --- */

/* Time that the process has run, by the scheduler's account. */
static uint64_t
process_ns(pid_t pid)
{
	unsigned long long ns = 0;
	char path[40];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/schedstat", pid);
	f = fopen(path, "re");
	if (f == NULL)
		return 0;
	if (fscanf(f, "%llu", &ns) != 1)
		ns = 0;
	fclose(f);
	return ns;
}

void
softlab_mark(const struct softlab *lab, struct softlab_mark *m)
{
	memset(m, 0, sizeof(*m));
	for (uint32_t i = 0; i < lab->plan->n_instances; i++) {
		const struct softlab_instance *in = &lab->instance[i];
		const struct stats *s = in->stats;

		if (in->paused)
			continue;
		m->of[i].busy_tsc = s->busy_tsc;
		m->of[i].idle_tsc = s->idle_tsc;
		m->of[i].rx = s->rx_packets;
		m->of[i].tx = s->tx_packets;
		m->of[i].loops = s->loops;
		m->of[i].sleeps = s->sleeps;
		m->of[i].cpu_ns = process_ns(in->pid);
	}
	m->nic_busy_tsc = lab->stats->busy_tsc;
	m->nic_idle_tsc = lab->stats->idle_tsc;
	m->traffic_tsc = lab->traffic_tsc;
	m->own_ns = cpu_ns();
	m->ns = now_ns();
	m->tsc = rte_rdtsc();
}

uint64_t
softlab_drops(const struct softlab *lab, uint32_t i)
{
	const struct softnic_vnic_stats *v = &lab->stats->vnic[i];
	const struct stats *s = lab->instance[i].stats;
	uint64_t sum = 0;

	for (int r = 0; r < SOFTNIC_VNIC_DROPS; r++)
		sum += v->drop[r];
	for (int r = 0; r < STEER_TX_DROPS; r++)
		sum += v->tx_drop[r];
	for (uint32_t r = 0; r < s->n_drops && r < STATS_DROPS_MAX; r++)
		sum += s->drop[r];
	return sum;
}

static void
say(char *buf, size_t len, const char *what, int number, uint64_t count)
{
	size_t used = strlen(buf);

	if (count > 0)
		snprintf(buf + used, len - used, "%s%s %d: %llu",
			used > 0 ? ", " : "", what, number,
			(unsigned long long)count);
}

const char *
softlab_drops_say(const struct softlab *lab, char *buf, size_t len)
{
	const struct softnic_uplink_stats *u = &lab->stats->uplink[0];

	buf[0] = '\0';
	for (uint32_t i = 0; i < lab->plan->n_instances; i++) {
		const struct softnic_vnic_stats *v = &lab->stats->vnic[i];
		const struct stats *s = lab->instance[i].stats;

		for (int r = 0; r < SOFTNIC_VNIC_DROPS; r++)
			say(buf, len, "VNIC drop", r, v->drop[r]);
		for (int r = 0; r < STEER_TX_DROPS; r++)
			say(buf, len, "filter drop", r, v->tx_drop[r]);
		for (uint32_t r = 0; r < s->n_drops && r < STATS_DROPS_MAX; r++)
			say(buf, len, s->drop_name[r], (int)i, s->drop[r]);
	}
	for (int r = 0; r < SOFTNIC_UPLINK_DROPS; r++)
		say(buf, len, "uplink drop", r, u->drop[r]);
	say(buf, len, "to the kernel", 0, u->passed);
	return buf;
}
