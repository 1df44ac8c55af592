/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/instance_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/clock.h"
#include "dataplane/instance.h"

#define DEPTH   4
#define LAST_MS 2000u

static int
given(int fd)
{
	return fcntl(fd, F_GETFD) >= 0 ? fd : -1;
}

void
instance_log_inherit(struct instance_log *l)
{
	l->store = given(INSTANCE_FD_STORE);
	l->damaged.fd = given(INSTANCE_FD_DAMAGED);
}

/* The store that was put aside, if there is one to recover from. */
static const struct plog_io *
damaged_io(struct instance_log *l)
{
	struct stat st;

	if (l->damaged.fd < 0)
		return NULL;
	if (fstat(l->damaged.fd, &st) == 0)
		l->damaged.size = (uint64_t)st.st_size;
	l->damaged_io = plog_file_io(&l->damaged);
	return &l->damaged_io;
}

/* What an instance cannot mend says itself; what is damaged is put aside. */
static int
log_make(struct instance_log *l, const struct grant *grant,
	struct stats_log *stats, char *why, size_t len)
{
	const struct plog_params p = {
		.io = plog_uring_io(l->uring),
		.size = grant->store.size,
		.damaged = damaged_io(l),
		.function = grant->type,
		.boot = grant->store.boot,
		.depth = DEPTH,
		.gather = grant->store.durability == GRANT_DURABILITY_BATCH,
		.stats = stats,
	};
	int err;

	stats->damaged = p.damaged != NULL;
	l->log = plog_create(&p, &err, why, len);
	if (l->log != NULL)
		return 0;
	stats->error = (uint32_t)-err;
	return err == -EBADMSG || err == -ENODATA ? -EUCLEAN : err;
}

int
instance_log_open(struct instance_log *l, const struct grant *grant,
	struct stats_log *stats, char *why, size_t len)
{
	int rc;

	stats->state = PLOG_NONE;
	if (grant->store.durability == GRANT_DURABILITY_NONE)
		return 0;
	if (l->store < 0)
		return 0; /* the control plane has said why */
	stats->state = PLOG_FAILING;
	l->uring = plog_uring_create(l->store, grant->store.size,
		grant->store.flush != GRANT_FLUSH_NONE, why, len);
	if (l->uring == NULL) {
		stats->error = (uint32_t)errno;
		return 0;
	}
	rc = log_make(l, grant, stats, why, len);
	if (rc == 0) {
		stats->state = PLOG_STARTING;
		stats->error = 0;
		return 0;
	}
	plog_uring_destroy(l->uring);
	l->uring = NULL;
	return rc == -EUCLEAN ? rc : 0;
}

void
instance_log_start(struct instance_log *l)
{
	if (l->log != NULL)
		plog_start(l->log);
	if (l->damaged.fd >= 0)
		close(l->damaged.fd);
	l->damaged.fd = -1;
}

void
instance_log_close(struct instance_log *l)
{
	if (l->log == NULL)
		return;
	plog_destroy(l->log, LAST_MS);
	plog_uring_destroy(l->uring);
	l->log = NULL;
}

void
instance_log_alive(const struct grant *grant, struct stats_log *stats)
{
	if (grant->store.durability == GRANT_DURABILITY_NONE)
		return;
	stats->alive_ms = clock_ms(CLOCK_BOOTTIME);
	stats->boot = grant->store.boot;
}

bool
instance_log_sleep(struct instance_log *l, uint64_t now_ms, uint32_t *us)
{
	uint32_t wait_ms;

	if (l->log == NULL)
		return true;
	wait_ms = plog_wait_ms(l->log, now_ms);
	if (wait_ms == 0)
		return false;
	if (wait_ms < *us / 1000)
		*us = wait_ms * 1000;
	return plog_uring_sleep(l->uring);
}

void
instance_log_awake(struct instance_log *l)
{
	if (l->log != NULL)
		plog_uring_awake(l->uring);
}
