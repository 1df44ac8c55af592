/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/lib/bench_log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_cycles.h>

#include "perf/lib/report.h"

/* DPDK's figure is there only once its EAL is. */
static uint64_t
tsc_per_ms(void)
{
	uint64_t ns = now_ns(), tsc = rte_rdtsc();

	while (now_ns() - ns < 20000000)
		;
	return (rte_rdtsc() - tsc) / 20;
}

int
bench_log_make(struct bench_log *b, struct grant *grant,
	struct stats_log *stats, const char *type, uint64_t size,
	uint32_t durability)
{
	static int made;
	const char *base = getenv("CARRYALL_PERF_DIR");
	char why[512] = "";
	int fd;

	memset(b, 0, sizeof(*b));
	b->grant = grant;
	b->stats = stats;
	b->tsc_per_ms = tsc_per_ms();
	snprintf(b->dir, sizeof(b->dir), "%s/store.%d.%d",
		base == NULL ? "build/perf" : base, getpid(), made++);
	snprintf(grant->appliance, sizeof(grant->appliance), "perf");
	snprintf(grant->function, sizeof(grant->function), "bench");
	snprintf(grant->type, sizeof(grant->type), "%s", type);
	grant->store = (struct grant_store){
		.size = size, .boot = 1, .durability = durability
	};
	store_init(&b->store, b->dir, "bench.0", grant);
	grant->store.flush = store_flush(&b->store);
	fd = store_make(&b->store, why, sizeof(why));
	if (fd < 0) {
		fprintf(stderr, "%s\n", why);
		return -1;
	}
	close(fd);
	grant->store.flush = store_flush(&b->store);
	return 0;
}

int
bench_log_open(struct bench_log *b)
{
	char why[512] = "";

	memset(&b->in, 0, sizeof(b->in));
	b->in.damaged.fd = -1;
	b->in.store = store_open(&b->store, why, sizeof(why));
	if (b->in.store >= 0 &&
		instance_log_open(
			&b->in, b->grant, b->stats, why, sizeof(why)) == 0 &&
		b->in.log != NULL)
		return 0;
	fprintf(stderr, "%s\n", why);
	return -1;
}

void
bench_log_close(struct bench_log *b)
{
	instance_log_close(&b->in);
}

void
bench_log_remove(struct bench_log *b)
{
	instance_log_close(&b->in);
	unlink(b->store.path);
	rmdir(b->store.dir);
	rmdir(b->dir);
}

void
bench_log_path(
	const struct bench_log *b, const char *name, char *path, size_t len)
{
	snprintf(path, len, "%s/%s", b->store.dir, name);
}

const char *
bench_log_mode(const struct bench_log *b)
{
	return b->grant->store.flush == GRANT_FLUSH_NONE
		       ? "write-through device: no flush"
		       : "write-back device: RWF_DSYNC";
}

int
bench_log_poll(struct bench_log *b, uint64_t now_tsc)
{
	return plog_poll(b->in.log, now_tsc / b->tsc_per_ms);
}

void
bench_log_settle(struct bench_log *b)
{
	const struct plog *log = b->in.log;

	while (plog_durable(log) < log->lsn ||
		plog_wait_ms(log, 0) != UINT32_MAX)
		bench_log_poll(b, rte_rdtsc());
}
