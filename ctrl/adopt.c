/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/adopt.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SUFFIX ".grant"

/* Call fn for each grant file in the directory until it returns non-zero. */
static int
grants_walk(const struct rundir *dir, int (*fn)(const char *name, void *ctx),
	void *ctx)
{
	int fd = openat(dir->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int rc = 0;

	if (d == NULL)
		return -EIO;
	while (rc == 0 && (e = readdir(d)) != NULL) {
		size_t n = strlen(e->d_name), s = strlen(SUFFIX);

		if (n <= s || strcmp(e->d_name + n - s, SUFFIX) != 0)
			continue;
		e->d_name[n - s] = '\0';
		rc = fn(e->d_name, ctx);
	}
	closedir(d);
	return rc;
}

static int
found_one(const char *name, void *ctx)
{
	(void)name;
	(void)ctx;
	return 1;
}

bool
adopt_possible(const struct rundir *dir)
{
	return grants_walk(dir, found_one, NULL) == 1;
}

static struct grant *
grant_read(const struct rundir *dir, const char *name)
{
	struct grant *g = malloc(sizeof(*g));
	char path[256];
	int fd;
	ssize_t n;

	if (g == NULL)
		return NULL;
	rundir_path(dir, name, "grant", path, sizeof(path));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, g, sizeof(*g));
	if (fd >= 0)
		close(fd);
	if (n == (ssize_t)sizeof(*g) && g->magic == GRANT_MAGIC &&
		g->version == GRANT_VERSION && g->size == sizeof(*g))
		return g;
	free(g);
	return NULL;
}

/* --- next-hop numbers ---------------------------------------------------- */

static const struct plan_nexthop *
nexthop_find(const struct plan_nexthop *list, unsigned int n,
	const struct ip_addr *addr)
{
	for (unsigned int i = 0; i < n; i++)
		if (ip_addr_eq(&list[i].addr, addr))
			return &list[i];
	return NULL;
}

static uint32_t
number_free(const struct plan_nexthop *list, unsigned int n, uint32_t first)
{
	uint32_t next = first;

	for (unsigned int i = 0; i < n; i++)
		if (list[i].index >= next)
			next = list[i].index + 1;
	return next;
}

/* All of kept[0..n), then those of the plan that are not among them. */
static int
nexthops_merge(
	struct plan *plan, const struct plan_nexthop *kept, unsigned int n)
{
	struct plan_nexthop *all =
		calloc(n + plan->n_nexthops + 1, sizeof(*all));
	uint32_t next = number_free(kept, n, plan->config->n_uplinks);
	unsigned int count = n;

	if (all == NULL)
		return -ENOMEM;
	if (n > 0)
		memcpy(all, kept, n * sizeof(*all));
	for (unsigned int i = 0; i < plan->n_nexthops; i++) {
		const struct ip_addr *a = &plan->nexthops[i].addr;

		if (nexthop_find(all, count, a) != NULL)
			continue;
		all[count].addr = *a;
		all[count++].index = next++;
	}
	free(plan->nexthops);
	plan->nexthops = all;
	plan->n_nexthops = count;
	return next <= NEXTHOPS_MAX ? 0 : -ENOSPC;
}

static void
grants_renumber(struct plan *plan)
{
	uint32_t top = number_free(
		plan->nexthops, plan->n_nexthops, plan->config->n_uplinks);

	for (unsigned int i = 0; i < plan->n_instances; i++) {
		struct grant *g = plan->instances[i].grant;

		g->n_nexthops = top;
		for (uint32_t b = 0; b < g->n_backends; b++)
			g->backends[b].nexthop = nexthop_find(plan->nexthops,
				plan->n_nexthops, &g->backends[b].addr)
							 ->index;
	}
}

static int
nexthops_keep(struct plan *plan, const struct plan_nexthop *kept,
	unsigned int n, char *why, size_t len)
{
	int rc = nexthops_merge(plan, kept, n);

	if (rc != 0) {
		snprintf(why, len,
			"the next-hop table of %d entries is full; stop and "
			"run again empties it",
			NEXTHOPS_MAX);
		return rc;
	}
	grants_renumber(plan);
	return 0;
}

int
adopt_inherit(
	struct plan *plan, const struct plan *running, char *why, size_t len)
{
	for (unsigned int i = 0; i < plan->n_instances; i++) {
		struct grant *g = plan->instances[i].grant;
		const struct grant *r = running->instances[i].grant;

		g->generation = r->generation + 1;
		g->huge_mb = r->huge_mb;
		g->memory_mb = r->memory_mb;
		memcpy(g->devargs, r->devargs, sizeof(g->devargs));
		g->store.boot = r->store.boot;
		g->store.flush = r->store.flush;
	}
	return nexthops_keep(
		plan, running->nexthops, running->n_nexthops, why, len);
}

/* --- what was found against what is planned ------------------------------ */

struct check {
	const struct rundir *dir;
	struct plan *plan;
	char *why;
	size_t len;
	unsigned int found;
	struct plan_nexthop *kept;
	unsigned int n_kept;
};

static struct plan_instance *
instance_find(const struct plan *plan, const char *name)
{
	for (unsigned int i = 0; i < plan->n_instances; i++)
		if (strcmp(plan->instances[i].name, name) == 0)
			return &plan->instances[i];
	return NULL;
}

static int
differs(struct check *c, const char *name, const char *what, uint64_t now,
	uint64_t then)
{
	snprintf(c->why, c->len,
		"%s: %s is %llu in the config, %llu as it runs", name, what,
		(unsigned long long)now, (unsigned long long)then);
	return -EBUSY;
}

/* Its store, and what is promised of it, are for the life of an instance. */
static int
log_check(struct check *c, const char *name, const struct grant_store *now,
	const struct grant_store *then)
{
	if (now->durability != then->durability) {
		snprintf(c->why, c->len,
			"%s: log.durability is %s in the config, %s as it runs",
			name, config_durability_name(now->durability),
			config_durability_name(then->durability));
		return -EBUSY;
	}
	return now->size == then->size
		       ? 0
		       : differs(c, name, "log.size", now->size, then->size);
}

static int
shape_check(struct check *c, const char *name, const struct grant *now,
	const struct grant *then)
{
	if (strcmp(now->type, then->type) != 0) {
		snprintf(c->why, c->len, "%s: type is %s, runs as %s", name,
			now->type, then->type);
		return -EBUSY;
	}
	if (now->instances != then->instances)
		return differs(
			c, name, "instances", now->instances, then->instances);
	if (now->core != then->core)
		return differs(c, name, "core", now->core, then->core);
	if (now->buckets != then->buckets)
		return differs(c, name, "buckets", now->buckets, then->buckets);
	if (now->max_connections != then->max_connections)
		return differs(c, name, "connections", now->max_connections,
			then->max_connections);
	if (now->client_uplink != then->client_uplink ||
		now->backend_uplink != then->backend_uplink ||
		memcmp(now->own, then->own, sizeof(now->own)) != 0) {
		snprintf(c->why, c->len, "%s: other uplinks or buckets", name);
		return -EBUSY;
	}
	return log_check(c, name, &now->store, &then->store);
}

static int
nexthops_collect(struct check *c, const struct grant *g)
{
	for (uint32_t i = 0; i < g->n_backends && i < GRANT_BACKENDS_MAX; i++) {
		struct plan_nexthop *more;

		if (nexthop_find(c->kept, c->n_kept, &g->backends[i].addr) !=
			NULL)
			continue;
		more = realloc(c->kept, (c->n_kept + 1) * sizeof(*more));
		if (more == NULL)
			return -ENOMEM;
		c->kept = more;
		more[c->n_kept].addr = g->backends[i].addr;
		more[c->n_kept++].index = g->backends[i].nexthop;
	}
	return 0;
}

static int
found_check(const char *name, void *ctx)
{
	struct check *c = ctx;
	struct plan_instance *p = instance_find(c->plan, name);
	struct grant *then;
	int rc;

	if (p == NULL) {
		snprintf(c->why, c->len, "%s runs but is not in the config",
			name);
		return -EBUSY;
	}
	then = grant_read(c->dir, name);
	if (then == NULL) {
		snprintf(c->why, c->len,
			"%s was started by another version of carryall", name);
		return -EBUSY;
	}
	rc = shape_check(c, name, p->grant, then);
	if (rc == 0) {
		p->grant->generation = then->generation;
		p->grant->huge_mb = then->huge_mb;
		p->grant->memory_mb = then->memory_mb;
		c->found++;
		rc = nexthops_collect(c, then);
	}
	free(then);
	return rc;
}

int
adopt_check(const struct rundir *dir, struct plan *plan, char *why, size_t len)
{
	struct check c = { .dir = dir, .plan = plan, .why = why, .len = len };
	int rc = grants_walk(dir, found_check, &c);

	if (rc == 0 && c.found < plan->n_instances) {
		snprintf(why, len, "%u instances in the config, %u run",
			plan->n_instances, c.found);
		rc = -EBUSY;
	}
	if (rc == 0)
		rc = nexthops_keep(plan, c.kept, c.n_kept, why, len);
	free(c.kept);
	return rc;
}
