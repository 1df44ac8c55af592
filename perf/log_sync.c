/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How long one record takes to become durable.
 *
 *   log.append.sync   plog_reserve() to plog_durable(), one at a time
 *   raw.write.sync    the least that must happen: one block of 4 KiB by
 *                     io_uring alone, with the same ring set-up, registered
 *                     buffer and file, flags and way of waiting
 *
 * Both in turn, a block of STEP each, so that whatever else the machine and
 * its device do meets both alike.
 */
#include <fcntl.h>
#include <liburing.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_cycles.h>

#include "perf/lib/bench_log.h"
#include "perf/lib/report.h"

#define SIZE  (64u << 20)
#define RUNS  7u
#define STEPS 40u  /* per run */
#define STEP  100u /* writes of each side */
#define TOTAL (RUNS * STEPS * STEP)

/* As long as dataplane/log/uring.c waits before it gives way. */
#define GIVE_WAY_NS 20000u

struct raw {
	struct io_uring ring;
	int fd, flags;
	uint8_t *block;
	uint64_t slot, slots;
};

struct side {
	struct samples all, run;
	double p50[RUNS], p99[RUNS];
};

static struct grant grant;
static struct stats_log stats;

static int
raw_init(struct raw *r, const struct bench_log *b)
{
	struct iovec iov;
	char path[400];

	memset(r, 0, sizeof(*r));
	bench_log_path(b, "raw", path, sizeof(path));
	r->fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	r->flags = grant.store.flush == GRANT_FLUSH_NONE ? 0 : RWF_DSYNC;
	r->slots = SIZE / PLOG_BLOCK;
	r->block = aligned_alloc(PLOG_BLOCK, PLOG_BLOCK);
	if (r->fd < 0 || r->block == NULL ||
		io_uring_queue_init(16, &r->ring,
			IORING_SETUP_SINGLE_ISSUER |
				IORING_SETUP_DEFER_TASKRUN |
				IORING_SETUP_TASKRUN_FLAG) != 0)
		return -1;
	memset(r->block, 0x5a, PLOG_BLOCK);
	iov = (struct iovec){ r->block, PLOG_BLOCK };
	return io_uring_register_buffers(&r->ring, &iov, 1) |
	       io_uring_register_files(&r->ring, &r->fd, 1);
}

static void
raw_fini(struct raw *r)
{
	io_uring_queue_exit(&r->ring);
	close(r->fd);
	free(r->block);
}

/* Wait for the write in flight; gives way as the log does. */
static int
raw_wait(struct raw *r)
{
	uint64_t give_way = now_ns() + GIVE_WAY_NS, now;
	struct io_uring_cqe *cqe;
	int res;

	while (io_uring_peek_cqe(&r->ring, &cqe) != 0) {
		now = r->flags != 0 ? now_ns() : 0;
		if (now < give_way)
			continue;
		sched_yield();
		give_way = now + GIVE_WAY_NS;
	}
	res = cqe->res;
	io_uring_cqe_seen(&r->ring, cqe);
	return res == (int)PLOG_BLOCK ? 0 : -1;
}

static int
raw_write(struct raw *r)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&r->ring);

	io_uring_prep_write_fixed(sqe, 0, r->block, PLOG_BLOCK,
		(r->slot++ % r->slots) * PLOG_BLOCK, 0);
	sqe->flags |= IOSQE_FIXED_FILE;
	sqe->rw_flags = r->flags;
	io_uring_submit_and_get_events(&r->ring);
	return raw_wait(r);
}

static int
log_write(struct bench_log *b)
{
	struct plog *log = b->in.log;
	void *at = plog_reserve(log, 1, 60);

	if (at == NULL)
		return -1;
	memset(at, 0x5a, 60);
	while (plog_durable(log) < log->lsn)
		bench_log_poll(b, rte_rdtsc());
	plog_trim(log, log->head);
	return 0;
}

static void
add(struct side *s, uint64_t ns)
{
	samples_add(&s->all, ns);
	samples_add(&s->run, ns);
}

static int
step(struct bench_log *b, struct raw *r, struct side *log, struct side *raw)
{
	int rc = 0;

	for (uint32_t i = 0; i < STEP; i++) {
		uint64_t from = now_ns();

		rc |= log_write(b);
		add(log, now_ns() - from);
	}
	/* Superblocks in flight are the log's, not the other's. */
	bench_log_settle(b);
	for (uint32_t i = 0; i < STEP; i++) {
		uint64_t from = now_ns();

		rc |= raw_write(r);
		add(raw, now_ns() - from);
	}
	return rc;
}

static void
run_end(struct side *s, uint32_t run)
{
	samples_sort(&s->run);
	s->p50[run] = samples_at(&s->run, 0.5) / 1e3;
	s->p99[run] = samples_at(&s->run, 0.99) / 1e3;
	s->run.n = 0;
}

static void
print(struct side *s, const struct side *base, const struct bench_log *b)
{
	const char *name = base == NULL ? "raw.write.sync" : "log.append.sync";
	double p50, p99, by_p50 = 0;
	char more[200], conditions[500];

	samples_sort(&s->all);
	p50 = samples_at(&s->all, 0.5) / 1e3;
	p99 = samples_at(&s->all, 0.99) / 1e3;
	if (base != NULL)
		by_p50 = p50 * 1e3 / samples_at(&base->all, 0.5);
	snprintf(more, sizeof(more),
		"\"p99\": %.1f, \"worst\": %.1f, \"p99_spread\": %.3f, "
		"\"p99_ratio\": %.3f, ",
		p99, samples_at(&s->all, 1) / 1e3, runs_spread(s->p99, RUNS),
		base == NULL ? 1 : p99 * 1e3 / samples_at(&base->all, 0.99));
	snprintf(conditions, sizeof(conditions),
		"p50 of %u, %u of each side in turn; %s; %s; io_uring, "
		"registered buffer and file, O_DIRECT on a file of %u MiB "
		"written before, the loop polls, gives way every %u us; one "
		"core for it, the kernel's flush thread where the interrupt is",
		TOTAL, STEP,
		base == NULL ? "one block of 4 KiB, no more"
			     : "one record of 64 bytes (60 and its head), so "
			       "one block of 4 KiB",
		bench_log_mode(b), SIZE >> 20, GIVE_WAY_NS / 1000);
	report(&(struct result){ .name = name,
		.value = p50,
		.unit = "us",
		.baseline = base == NULL ? NULL : "raw.write.sync",
		.ratio = by_p50,
		.runs = s->p50,
		.repeats = RUNS,
		.more = more,
		.conditions = conditions });
}

static int
measure(struct bench_log *b, struct raw *r)
{
	static struct side log, raw;
	struct side warm_log = { 0 }, warm_raw = { 0 };
	int rc = samples_init(&log.all, TOTAL) |
		 samples_init(&log.run, TOTAL / RUNS) |
		 samples_init(&raw.all, TOTAL) |
		 samples_init(&raw.run, TOTAL / RUNS);

	if (rc == 0)
		rc = step(b, r, &warm_log, &warm_raw);
	for (uint32_t run = 0; run < RUNS && rc == 0; run++) {
		for (uint32_t i = 0; i < STEPS; i++)
			rc |= step(b, r, &log, &raw);
		run_end(&log, run);
		run_end(&raw, run);
	}
	if (rc != 0)
		return rc;
	samples_sort(&raw.all);
	print(&log, &raw, b);
	print(&raw, NULL, b);
	return 0;
}

/* A store of its own, so that both files are made alike. */
static int
raw_file(const struct bench_log *b)
{
	struct store s = b->store;
	char why[512] = "";
	int fd;

	bench_log_path(b, "raw", s.path, sizeof(s.path));
	fd = store_make(&s, why, sizeof(why));
	if (fd < 0)
		fprintf(stderr, "%s\n", why);
	else
		close(fd);
	return fd < 0 ? -1 : 0;
}

int
main(void)
{
	struct plog_report found;
	struct bench_log b;
	struct raw raw;
	char path[400];
	int rc;

	rc = bench_log_make(
		&b, &grant, &stats, "lb", SIZE, GRANT_DURABILITY_SYNC);
	if (rc == 0)
		rc = raw_file(&b);
	if (rc == 0)
		rc = bench_log_open(&b);
	if (rc == 0)
		rc = plog_replay(b.in.log, NULL, NULL, &found);
	if (rc == 0)
		rc = raw_init(&raw, &b);
	if (rc == 0) {
		plog_start(b.in.log);
		rc = measure(&b, &raw);
		raw_fini(&raw);
	}
	if (rc != 0)
		fprintf(stderr, "log_sync: failed\n");
	bench_log_path(&b, "raw", path, sizeof(path));
	unlink(path);
	bench_log_remove(&b);
	return rc != 0;
}
