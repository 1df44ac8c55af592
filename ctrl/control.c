/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/control_internal.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "ctrl/adopt.h"
#include "ctrl/hugepages.h"

#define TICK_US  1000000ull
#define PRIORITY -10 /* nice; instances have 0 */

void
control_say(const char *format, ...)
{
	va_list ap;

	fputs("carryall: ", stderr);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
}

uint64_t
control_now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec;
}

/* --- stages of a start, and how each is undone --------------------------- */

/* The network namespace that we, and all that we make, are in. */
static uint64_t
netns_here(void)
{
	struct stat st;

	return stat("/proc/self/ns/net", &st) == 0 ? st.st_ino : 0;
}

static int
rundir_start(struct control *c)
{
	pid_t holder;
	int rc = rundir_open(&c->dir, c->config->name, &holder);

	if (rc == -EBUSY)
		control_say(
			"appliance \"%s\" runs already, as process %d; "
			"`carryall reload %s` makes it read a changed config",
			c->config->name, holder, c->config->name);
	else if (rc != 0)
		control_say("%s: %s", c->dir.path, strerror(-rc));
	else if (!c->dir.found)
		rc = rundir_number_set(&c->dir, "netns", netns_here());
	return rc;
}

static int
plan_start(struct control *c)
{
	uint32_t seed;
	int rc = control_seed(c, &seed);

	if (rc != 0)
		return rc;
	c->ops = config_soft(c->config) ? &provider_soft : &provider_xdp;
	c->plan = control_plan(c->config, seed, c->functions, stderr);
	return c->plan != NULL ? 0 : -EINVAL;
}

/* With something found running: does the configuration still fit it? */
static int
adopt_start(struct control *c)
{
	char why[256];
	int rc;

	if (!c->dir.found || !adopt_possible(&c->dir))
		return 0;
	rc = adopt_check(&c->dir, c->plan, why, sizeof(why));
	if (rc != 0) {
		control_say(
			"\"%s\" is running from before and cannot be adopted with "
			"this config: %s",
			c->config->name, why);
		control_say(
			"put the config back, or end it first: carryall stop %s",
			c->config->name);
		return rc;
	}
	c->adopted = true;
	return 0;
}

static int
memory_start(struct control *c)
{
	uint32_t total = c->ops->memory_mb(c->plan);
	int rc = -ENOTSUP;

	if (c->adopted) {
		c->huge = c->plan->instances[0].grant->huge_mb > 0;
		return 0;
	}
	c->plan->nic_memory_mb = total;
	for (unsigned int i = 0; i < c->plan->n_instances; i++)
		total += c->plan->instances[i].grant->memory_mb;
	if (c->config->pages != CONFIG_PAGES_SMALL)
		rc = hugepages_reserve(&c->dir, total);
	if (rc != 0 && c->config->pages == CONFIG_PAGES_HUGE) {
		control_say(
			"%u MiB of huge pages are not to be had; free memory, or "
			"set appliance.memory_pages = \"auto\"",
			total);
		return rc;
	}
	if (rc != 0 && c->config->pages == CONFIG_PAGES_AUTO)
		control_say(
			"warning: no %u MiB of huge pages to be had; ordinary "
			"pages cost some speed",
			total);
	c->huge = rc == 0;
	c->plan->nic_huge_mb = c->huge ? c->plan->nic_memory_mb : 0;
	for (unsigned int i = 0; i < c->plan->n_instances; i++) {
		struct grant *g = c->plan->instances[i].grant;

		g->huge_mb = c->huge ? g->memory_mb : 0;
	}
	return 0;
}

/*
 * The transmit filter knows the uplinks' MAC addresses. When one changes, it
 * has to learn the new one before frames with the old one are worth nothing.
 */
static void
uplinks_follow(struct control *c)
{
	char why[256] = "";
	bool changed = false;

	for (unsigned int i = 0; i < c->plan->config->n_uplinks; i++) {
		uint64_t now = nexthop_get(c->table, i);

		changed |= c->uplink[i] != 0 && c->uplink[i] != now;
		c->uplink[i] = now;
	}
	if (!changed)
		return;
	if (c->ops->update(c->provider, c->plan, why, sizeof(why)) != 0)
		control_say("uplink changed: %s", why);
	else
		supervisor_update_nic(c->sup);
}

static int
on_netlink(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct control *c = arg;

	(void)source;
	(void)fd;
	(void)events;
	nexthop_watch_dispatch(c->watch);
	uplinks_follow(c);
	return 0;
}

static int
nexthops_start(struct control *c)
{
	bool fresh;
	int rc, fd = rundir_file(&c->dir, "nexthops", "",
			sizeof(struct nexthops), &fresh);

	if (fd < 0)
		return fd;
	c->table = mmap(NULL, sizeof(struct nexthops), PROT_READ | PROT_WRITE,
		MAP_SHARED, fd, 0);
	close(fd);
	if (c->table == MAP_FAILED) {
		c->table = NULL;
		return -ENOMEM;
	}
	c->table->magic = NEXTHOPS_MAGIC;
	c->table->version = GRANT_VERSION;
	c->watch = nexthop_watch_create(c->plan, c->table, &rc);
	if (c->watch == NULL) {
		control_say("next hops: %s", strerror(-rc));
		return rc;
	}
	rc = sd_event_add_io(c->event, NULL, nexthop_watch_fd(c->watch),
		EPOLLIN, on_netlink, c);
	return rc < 0 ? rc : 0;
}

static void
nexthops_stop(struct control *c)
{
	if (c->watch != NULL)
		nexthop_watch_destroy(c->watch);
	if (c->table != NULL)
		munmap(c->table, sizeof(struct nexthops));
}

static int
provider_start(struct control *c)
{
	char why[512] = "";
	int rc;

	rc = c->ops->create(&c->provider, c->plan, c->dir.path, c->adopted, why,
		sizeof(why));
	if (why[0] != '\0')
		control_say("%s%s", rc == 0 ? "warning: " : "", why);
	else if (rc != 0)
		control_say("the VNICs cannot be made: %s", strerror(-rc));
	if (rc != 0)
		return rc;
	for (unsigned int i = 0; i < c->plan->n_instances; i++) {
		struct grant *g = c->plan->instances[i].grant;

		c->ops->devargs(c->provider, i, g->devargs, sizeof(g->devargs));
	}
	if (!c->adopted)
		return 0;
	/* The tables are the former life's: bring them up to the config. */
	rc = c->ops->update(c->provider, c->plan, why, sizeof(why));
	if (rc != 0)
		control_say("%s", why);
	return rc;
}

/* --- what the supervisor tells ------------------------------------------- */

static int
hook_prepare(void *ctx, uint32_t index)
{
	struct control *c = ctx;

	if (index == SUPERVISOR_NIC)
		return 0;
	c->ops->vnic_up(c->provider, index, false);
	return c->ops->vnic_reset(c->provider, index);
}

static void
ready_say(struct control *c)
{
	if (c->ready || !supervisor_all_serve(c->sup))
		return;
	c->ready = true;
	control_say("%s serves with %u instances%s", c->config->name,
		c->plan->n_instances, c->adopted ? " (adopted)" : "");
	sd_notifyf(
		0, "READY=1\nSTATUS=%u instances serve", c->plan->n_instances);
}

static void
hook_serving(void *ctx, uint32_t index)
{
	struct control *c = ctx;
	const struct supervised *s = supervisor_get(c->sup, index);
	bool nic = index == SUPERVISOR_NIC;

	if (!nic)
		c->ops->vnic_up(c->provider, index, true);
	control_say("%s %s, pid %d, core %u", s->title,
		s->adopted ? "adopted" : "serves", s->pid,
		nic ? c->config->nic_core
		    : c->plan->instances[index].grant->core);
	ready_say(c);
}

static void
hook_died(void *ctx, uint32_t index)
{
	struct control *c = ctx;

	if (index != SUPERVISOR_NIC)
		c->ops->vnic_up(c->provider, index, false);
}

static void
hook_say(void *ctx, const char *line)
{
	(void)ctx;
	control_say("%s", line);
}

static int
supervisor_begin(struct control *c)
{
	struct supervisor_hooks hooks = { c, hook_prepare, control_store_give,
		hook_serving, hook_died, hook_say };
	int rc = supervisor_create(&c->sup, c->event, &c->dir, c->plan,
		c->ops->nic(c->provider), &hooks);

	for (uint32_t i = 0; rc == 0 && i < c->plan->n_instances; i++)
		log_watch_init(
			&c->watched[i], supervisor_get(c->sup, i)->stats);
	if (rc == 0)
		rc = supervisor_start(c->sup, c->adopted);
	if (rc != 0)
		control_say("instances cannot be started: %s", strerror(-rc));
	return rc;
}

static void
access_say(const char *line)
{
	control_say("%s", line);
}

static int
access_start(struct control *c)
{
	int rc = access_log_create(
		&c->access, c->event, &c->dir, c->plan, access_say);

	if (rc != 0)
		control_say("access log: %s", strerror(-rc));
	return rc;
}

/* --- events --- */

static int
on_reload_signal(
	sd_event_source *source, const struct signalfd_siginfo *si, void *arg)
{
	(void)source;
	(void)si;
	json_decref(control_answer(arg, "reload"));
	return 0;
}

/* Told of one instance's log in a second, at most. */
#define LOG_LINES 2

static void
logs_watch(struct control *c)
{
	char line[LOG_WATCH_LINE];

	for (uint32_t i = 0; i < c->plan->n_instances; i++) {
		const struct supervised *s = supervisor_get(c->sup, i);

		if (c->stores[i].size == 0 || s->state != SUPERVISOR_SERVING)
			continue;
		/* Not all there is: it may write faster than we can tell. */
		for (int n = 0;
			n < LOG_LINES &&
			log_watch(&c->watched[i], s->stats, line, sizeof(line));
			n++)
			control_say("%s%s", s->name, line);
	}
}

static int
on_tick(sd_event_source *source, uint64_t usec, void *arg)
{
	struct control *c = arg;

	(void)usec;
	nexthop_watch_timer(c->watch);
	uplinks_follow(c);
	status_sample(c->load, &c->nic_load, c->sup, c->plan->n_instances);
	logs_watch(c);
	sd_event_source_set_time_relative(source, TICK_US);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/*
 * SIGTERM and SIGINT end the event loop; they are blocked so that they are
 * only taken there, and never in the middle of a change.
 */
static int
event_start(struct control *c)
{
	sigset_t set;
	int rc;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	rc = sd_event_new(&c->event);
	if (rc >= 0)
		rc = sd_event_add_signal(c->event, NULL, SIGTERM, NULL, NULL);
	if (rc >= 0)
		rc = sd_event_add_signal(c->event, NULL, SIGINT, NULL, NULL);
	if (rc >= 0)
		rc = sd_event_add_signal(
			c->event, NULL, SIGHUP, on_reload_signal, c);
	return rc < 0 ? rc : 0;
}

static int
serve_start(struct control *c)
{
	int rc = api_create(&c->api, c->event, &c->dir, control_answer, c);

	if (rc == 0)
		rc = sd_event_add_time_relative(c->event, NULL, CLOCK_MONOTONIC,
			TICK_US, 0, on_tick, c);
	if (rc < 0)
		control_say("control socket: %s", strerror(-rc));
	return rc < 0 ? rc : 0;
}

/*
 * A start that fails after it found something running must not tear that
 * down: then it only lets go.
 */
static void
leave(struct control *c, bool remove)
{
	if (remove && c->sup != NULL)
		supervisor_stop(c->sup);
	access_log_free(c->access);
	supervisor_free(c->sup);
	if (c->provider != NULL) {
		if (remove)
			c->ops->destroy(c->provider);
		else
			c->ops->detach(c->provider);
	} else if (remove) {
		/* Of a start that was killed half way: the record goes now. */
		provider_xdp.purge(c->dir.path);
	}
	nexthops_stop(c);
	if (remove) {
		hugepages_release(&c->dir);
		rundir_remove(&c->dir);
	} else {
		rundir_close(&c->dir);
	}
}

static int
stages_run(struct control *c)
{
	int rc = plan_start(c);

	if (rc == 0)
		rc = adopt_start(c);
	if (rc == 0)
		rc = control_stores_check(c);
	if (rc != 0)
		return rc;
	c->load = calloc(c->plan->n_instances, sizeof(*c->load));
	c->watched = calloc(c->plan->n_instances, sizeof(*c->watched));
	if (c->load == NULL || c->watched == NULL)
		return -ENOMEM;
	rc = memory_start(c);
	if (rc == 0)
		rc = nexthops_start(c);
	if (rc == 0)
		rc = provider_start(c);
	if (rc == 0)
		rc = control_stores_make(c);
	if (rc == 0)
		rc = supervisor_begin(c);
	if (rc == 0)
		rc = access_start(c);
	if (rc == 0)
		rc = serve_start(c);
	return rc;
}

int
control_run(const char *path, const struct control_functions *functions)
{
	struct control c = { .path = path, .functions = functions };
	unsigned int n;
	bool running;
	int rc;

	c.started_s = control_now_s();
	/* It works little but must be heard when instances fill all cores. */
	setpriority(PRIO_PROCESS, 0, PRIORITY);
	c.config = control_config(path, functions, stderr, &n);
	if (c.config == NULL) {
		control_say("%s has %u fault%s; nothing was started", path, n,
			n == 1 ? "" : "s");
		return 1;
	}
	if (geteuid() != 0) {
		control_say(
			"must be started by root: it makes network devices and "
			"loads XDP programs");
		rc = -EPERM;
		goto out_config;
	}
	rc = event_start(&c);
	if (rc == 0)
		rc = rundir_start(&c);
	if (rc != 0)
		goto out_event;
	running = c.dir.found && adopt_possible(&c.dir);
	rc = stages_run(&c);
	if (rc == 0) {
		int err = sd_event_loop(c.event);

		if (err < 0)
			control_say(
				"the event loop failed: %s", strerror(-err));
		sd_notify(0, "STOPPING=1");
		control_say("stopping %s", c.config->name);
	}
	leave(&c, rc == 0 || !running);
	if (rc == 0)
		control_say("%s has stopped; nothing but logs is left",
			c.config->name);
	api_free(c.api);
	plan_free(c.plan);
	free(c.load);
	free(c.stores);
	free(c.watched);
out_event:
	sd_event_unref(c.event);
out_config:
	config_free(c.config);
	return rc == 0 ? 0 : 1;
}

/* --- what a dead control plane has left ---------------------------------- */

int
control_clean(const char *name)
{
	struct rundir dir;
	pid_t holder;
	int rc;

	if (strchr(name, '/') != NULL || *name == '.' || *name == '\0')
		return -EINVAL;
	rc = rundir_open(&dir, name, &holder);
	if (rc != 0)
		return rc;
	rc = dir.found ? 0 : -ENOENT;
	if (rc == 0 &&
		rundir_number(&dir, "netns", netns_here()) != netns_here()) {
		rundir_close(&dir);
		return -EXDEV;
	}
	if (rc == 0) {
		supervisor_clean(&dir);
		provider_xdp.purge(dir.path);
		hugepages_release(&dir);
	}
	rundir_remove(&dir);
	return rc;
}
