/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What outlives a stop and a start of the machine, in appliance.state: the
 * stores, and with them the seed of the steering hash. For a log says which
 * connections an instance had; they come back to it only if the hash sends
 * them where it did before. A proxy's cookies name backends by a hash with the
 * same seed, and clients keep them for longer than any instance lives.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "ctrl/control_internal.h"

#define BOOT_ID "/proc/sys/kernel/random/boot_id"

static void
state_dir(const struct config *config, char *buf, size_t len)
{
	snprintf(buf, len, "%s/%s", config->state, config->name);
}

/* --- the seed --- */

static int
seed_load(const struct config *config, uint32_t *seed)
{
	char dir[512], path[520];
	unsigned long value;
	FILE *f;
	int n;

	state_dir(config, dir, sizeof(dir));
	snprintf(path, sizeof(path), "%s/seed", dir);
	f = fopen(path, "re");
	if (f == NULL)
		return -errno;
	n = fscanf(f, "%lu", &value);
	fclose(f);
	if (n != 1 || value > UINT32_MAX)
		return -EINVAL;
	*seed = (uint32_t)value;
	return 0;
}

static int
number_write(const char *path, uint32_t value)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%u\n", value);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int rc = 0;

	if (fd < 0)
		return -errno;
	errno = ENOSPC; /* where fewer bytes than asked are written */
	if (write(fd, text, (size_t)n) != n || fsync(fd) != 0)
		rc = -errno;
	close(fd);
	return rc;
}

/* All of it or nothing: another seed would steer connections elsewhere. */
static int
seed_save(const struct config *config, uint32_t seed)
{
	char dir[512], path[520], fresh[528];
	uint32_t kept;
	int rc;

	if (seed_load(config, &kept) == 0 && kept == seed)
		return 0;
	state_dir(config, dir, sizeof(dir));
	snprintf(path, sizeof(path), "%s/seed", dir);
	snprintf(fresh, sizeof(fresh), "%s.new", path);
	rc = store_dir_make(dir);
	if (rc == 0)
		rc = number_write(fresh, seed);
	if (rc == 0 && rename(fresh, path) != 0)
		rc = -errno;
	if (rc == 0)
		rc = store_dir_sync(dir);
	if (rc != 0)
		control_say("%s: %s", path, strerror(-rc));
	return rc;
}

/*
 * The seed lives as long as the appliance runs: a control plane that adopts
 * must steer as the former one did. With a log or a proxy it lives on.
 */
int
control_seed(struct control *c, uint32_t *seed)
{
	uint64_t kept = rundir_number(&c->dir, "seed", UINT64_MAX);

	if (kept != UINT64_MAX) {
		*seed = (uint32_t)kept;
		return 0;
	}
	if ((!config_keeps_seed(c->config) ||
		    seed_load(c->config, seed) != 0) &&
		getrandom(seed, sizeof(*seed), 0) != sizeof(*seed))
		return -EIO;
	return rundir_number_set(&c->dir, "seed", *seed);
}

/* --- stores --- */

/* Which start of the machine this is: the first half of a random UUID. */
static uint64_t
boot_number(void)
{
	uint64_t n = 0;
	FILE *f = fopen(BOOT_ID, "re");
	int digit, digits = 0;

	while (f != NULL && digits < 16 && (digit = fgetc(f)) != EOF) {
		char text[2] = { (char)digit, '\0' };

		if (digit == '-')
			continue;
		n = n << 4 | strtoull(text, NULL, 16);
		digits++;
	}
	if (f != NULL)
		fclose(f);
	return n != 0 ? n : 1;
}

/*
 * What the disk does to us is no reason not to start: an instance goes without
 * its store, which is said then. All else is for people to decide.
 */
static bool
is_trouble(int err)
{
	static const int trouble[] = { -EIO, -EROFS, -EPERM, -EACCES, -ENXIO,
		-ENODEV, -ETIMEDOUT, -EMLINK };

	for (size_t i = 0; i < sizeof(trouble) / sizeof(trouble[0]); i++)
		if (err == trouble[i])
			return true;
	return false;
}

/* Refuse what does not fit before anything is made. */
static int
stores_check(struct control *c)
{
	char why[512] = "";
	int rc = 0;

	for (unsigned int i = 0; i < c->plan->n_instances; i++) {
		int err;

		if (c->stores[i].size == 0)
			continue;
		err = store_check(&c->stores[i], why, sizeof(why));
		if (err == 0 || is_trouble(err))
			continue;
		control_say("%s", why);
		rc = rc == 0 ? err : rc;
	}
	return rc;
}

/* Make those that are missing. */
static int
stores_make(struct control *c)
{
	char why[512];

	for (unsigned int i = 0; i < c->plan->n_instances; i++) {
		int fd;

		if (c->stores[i].size == 0)
			continue;
		fd = store_open(&c->stores[i], why, sizeof(why));
		if (is_trouble(fd))
			continue;
		if (why[0] != '\0')
			control_say("%s", why);
		if (fd < 0)
			return fd;
		close(fd);
	}
	return 0;
}

int
control_stores_check(struct control *c)
{
	c->stores = calloc(c->plan->n_instances, sizeof(*c->stores));
	if (c->stores == NULL)
		return -ENOMEM;
	for (unsigned int i = 0; i < c->plan->n_instances; i++)
		store_init(&c->stores[i], c->config->state,
			c->plan->instances[i].name,
			c->plan->instances[i].grant);
	return c->adopted ? 0 : stores_check(c);
}

int
control_stores_make(struct control *c)
{
	uint64_t boot = boot_number();
	int err, rc = c->adopted ? 0 : stores_make(c);

	if (rc == 0 && config_keeps_seed(c->config) &&
		(err = seed_save(c->config, c->plan->seed)) != 0)
		control_say("warning: %s/%s/seed cannot be written (%s): "
			    "connections and cookies will not outlive a stop",
			c->config->state, c->config->name, strerror(-err));
	for (unsigned int i = 0; rc == 0 && i < c->plan->n_instances; i++) {
		struct grant *g = c->plan->instances[i].grant;

		if (g->store.size == 0)
			continue;
		g->store.boot = boot;
		g->store.flush = store_flush(&c->stores[i]);
	}
	return rc;
}

/* The descriptor, or -errno with what is to be said. */
static int
store_get(struct store *s, bool lost, char *why, size_t len)
{
	int rc;

	if (lost) {
		rc = store_put_aside(s, why, len);
		if (rc != 0)
			return rc;
		control_say("%s", why);
	}
	return store_open(s, why, len);
}

void
control_store_give(
	void *ctx, uint32_t index, bool lost, int *store, int *damaged)
{
	struct control *c = ctx;
	struct store *s = &c->stores[index];
	char why[512] = "";
	int fd;

	if (s->size == 0)
		return;
	fd = store_get(s, lost, why, sizeof(why));
	log_watch_given(&c->watched[index], fd >= 0);
	if (fd < 0) {
		control_say(
			"%s serves without durability: %s", s->instance, why);
		return;
	}
	if (why[0] != '\0')
		control_say("%s", why);
	*store = fd;
	*damaged = store_open_damaged(s);
}
