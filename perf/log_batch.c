/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Records made durable as fast as they come.
 *
 *   log.append.batch      records/s, durable, 64 bytes each with their heads,
 *                         lap after lap: the tail follows at once, as nothing
 *                         is live
 *   ext4.append.fsync.1   write() of 64 bytes and fdatasync(), each time
 *   ext4.append.fsync.64  64 such writes, then fdatasync()
 *   log.append.cpu        ns of the appending thread's processor time per
 *                         record, when RATE records/s are offered and it
 *                         sleeps in between
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <rte_cycles.h>

#include "perf/lib/bench_log.h"
#include "perf/lib/report.h"

#define SIZE    (64u << 20)
#define RUNS    7u
#define RUN_NS  1000000000u
#define EXT4_NS 500000000u
#define PAYLOAD 60u

/* log.append.cpu: every PERIOD_NS, PERIOD_NS * RATE / 1e9 records. */
#define RATE      1000000u
#define PERIOD_NS 200000u
#define EACH      (RATE / (1000000000u / PERIOD_NS))

static struct grant grant;
static struct stats_log stats;

static void
fill(void *at, uint64_t i)
{
	memset(at, (int)i, PAYLOAD);
}

/* --- as many as it takes --- */

/* Until there is no room in memory, or enough for one round. */
static void
append_some(struct plog *log)
{
	for (int i = 0; i < 256; i++) {
		void *at = plog_reserve(log, 1, PAYLOAD);

		if (at == NULL)
			return;
		fill(at, log->lsn);
	}
}

static double
run_batch(struct bench_log *b)
{
	struct plog *log = b->in.log;
	uint64_t from = now_ns(), durable = plog_durable(log), now;

	do {
		append_some(log);
		bench_log_poll(b, rte_rdtsc());
		plog_trim(log, log->done);
		now = now_ns();
	} while (now - from < RUN_NS);
	return (double)(plog_durable(log) - durable) * 1e9 /
	       (double)(now - from);
}

static double
run_ext4(int fd, uint32_t batch)
{
	uint64_t from = now_ns(), now, n = 0;
	uint8_t record[PAYLOAD + 4];

	do {
		for (uint32_t i = 0; i < batch; i++) {
			memset(record, (int)n, sizeof(record));
			if (write(fd, record, sizeof(record)) !=
				(ssize_t)sizeof(record))
				return -1;
			n++;
		}
		if (fdatasync(fd) != 0)
			return -1;
		now = now_ns();
	} while (now - from < EXT4_NS);
	return (double)n * 1e9 / (double)(now - from);
}

static void
print_rate(const char *name, double *run, double base, const char *more,
	const char *conditions)
{
	double value = runs_median(run, RUNS);

	report(&(struct result){ .name = name,
		.value = value,
		.unit = "records/s",
		.baseline = base > 0 ? "ext4.append.fsync.64" : NULL,
		.ratio = base > 0 ? value / base : 0,
		.runs = run,
		.repeats = RUNS,
		.more = more,
		.conditions = conditions });
}

/* All in turn. */
static int
measure_rates(struct bench_log *b, int fd1, int fd64)
{
	double log[RUNS], one[RUNS], many[RUNS];
	char conditions[400], more[200];

	run_batch(b);
	for (uint32_t i = 0; i < RUNS; i++) {
		log[i] = run_batch(b);
		bench_log_settle(b);
		one[i] = run_ext4(fd1, 1);
		many[i] = run_ext4(fd64, 64);
		if (one[i] < 0 || many[i] < 0)
			return -1;
	}
	snprintf(conditions, sizeof(conditions),
		"60 bytes and head of 4 each, appended 256 at a time and "
		"polled; %s, file of %u MiB, gone round %.0f times, the tail "
		"follows; one core appends and waits, the kernel's flush "
		"thread where the interrupt is",
		bench_log_mode(b), SIZE >> 20, (double)stats.written / SIZE);
	snprintf(more, sizeof(more),
		"\"ratio_fsync_1\": %.1f, \"blocks_per_write\": %.1f, ",
		runs_median(log, RUNS) / runs_median(one, RUNS),
		(double)stats.written / PLOG_BLOCK / (double)stats.writes);
	print_rate("log.append.batch", log, runs_median(many, RUNS), more,
		conditions);
	print_rate("ext4.append.fsync.64", many, 0, NULL,
		"64 times write() of 64 bytes, then fdatasync(); a file that "
		"grows, same file system; one core");
	print_rate("ext4.append.fsync.1", one, 0, NULL,
		"write() of 64 bytes, then fdatasync(); a file that grows, "
		"same file system; one core");
	return 0;
}

/* --- at a fixed rate --- */

/* Sleep until `at`, then it is PERIOD_NS later. */
static void
next_period(struct timespec *at)
{
	at->tv_nsec += PERIOD_NS;
	if (at->tv_nsec >= 1000000000) {
		at->tv_nsec -= 1000000000;
		at->tv_sec++;
	}
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, at, NULL);
}

/* With `b` NULL: the same into plain memory, to be taken off. */
static double
run_cpu(struct bench_log *b, uint64_t *refused)
{
	static uint8_t memory[EACH * (PAYLOAD + 4)];
	struct timespec at;
	uint64_t from;

	clock_gettime(CLOCK_MONOTONIC, &at);
	from = cpu_ns();
	for (uint32_t k = 0; k < RUN_NS / PERIOD_NS; k++) {
		for (uint32_t i = 0; i < EACH; i++) {
			void *to =
				b == NULL ? memory + (size_t)i * 64
					  : plog_reserve(b->in.log, 1, PAYLOAD);

			if (to != NULL)
				fill(to, i);
			else
				++*refused;
		}
		if (b != NULL) {
			bench_log_poll(b, rte_rdtsc());
			plog_trim(b->in.log, b->in.log->done);
		}
		next_period(&at);
	}
	return (double)(cpu_ns() - from) / RATE;
}

static void
measure_cpu(struct bench_log *b)
{
	double log[RUNS], idle[RUNS], net[RUNS], kernel[RUNS];
	uint64_t refused = 0;
	char conditions[500], more[200];

	run_cpu(b, &refused);
	for (uint32_t i = 0; i < RUNS; i++) {
		uint64_t from = kernel_threads_ns("kworker");

		log[i] = run_cpu(b, &refused);
		kernel[i] =
			(double)(kernel_threads_ns("kworker") - from) / RATE;
		idle[i] = run_cpu(NULL, &refused);
		net[i] = log[i] - idle[i];
	}
	snprintf(more, sizeof(more),
		"\"with_loop\": %.1f, \"loop_alone\": %.1f, "
		"\"kworkers\": %.1f, \"refused\": %llu, ",
		runs_median(log, RUNS), runs_median(idle, RUNS),
		runs_median(kernel, RUNS), (unsigned long long)refused);
	snprintf(conditions, sizeof(conditions),
		"CLOCK_THREAD_CPUTIME_ID of a thread that every %u us wakes, "
		"appends %u records of 64 bytes and polls once, system calls "
		"and their interrupts included, less the same loop filling "
		"plain memory; kworkers: what all of the machine's kernel "
		"workers ran meanwhile, beside it; %s; one core",
		PERIOD_NS / 1000, EACH, bench_log_mode(b));
	report(&(struct result){ .name = "log.append.cpu",
		.value = runs_median(net, RUNS),
		.unit = "ns/record",
		.runs = net,
		.repeats = RUNS,
		.more = more,
		.conditions = conditions });
}

/* --- all of it --- */

static int
plain_file(const struct bench_log *b, const char *name)
{
	char path[400];
	int fd;

	bench_log_path(b, name, path, sizeof(path));
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC,
		0600);
	unlink(path);
	return fd;
}

int
main(void)
{
	struct plog_report found;
	struct bench_log b;
	int rc, fd1 = -1, fd64 = -1;

	rc = bench_log_make(
		&b, &grant, &stats, "lb", SIZE, GRANT_DURABILITY_BATCH);
	if (rc == 0)
		rc = bench_log_open(&b);
	if (rc == 0)
		rc = plog_replay(b.in.log, NULL, NULL, &found);
	if (rc == 0) {
		plog_start(b.in.log);
		fd1 = plain_file(&b, "one");
		fd64 = plain_file(&b, "many");
		rc = fd1 < 0 || fd64 < 0 ? -1 : measure_rates(&b, fd1, fd64);
	}
	if (rc == 0)
		measure_cpu(&b);
	if (rc != 0)
		fprintf(stderr, "log_batch: failed\n");
	close(fd1);
	close(fd64);
	bench_log_remove(&b);
	return rc != 0;
}
