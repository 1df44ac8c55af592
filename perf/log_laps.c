/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * log.laps: a store of 1 MiB takes RECORDS records, some 650 times its size.
 *
 * An owner of KEYS values sets one after another at random, logs each, and
 * writes all of them anew when a checkpoint is due, a slice at a time between
 * the others. What is told is how long one append and one poll took. Then the
 * store is opened again, and must say what all values were.
 */
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>

#include "perf/lib/bench_log.h"
#include "perf/lib/report.h"

#define SIZE    (1u << 20)
#define RECORDS 10000000u
#define KEYS    4096u
#define LONG_NS 50000u
#define SLICE   64u /* values of a checkpoint written between two records */

struct value {
	uint32_t key, pad;
	uint64_t version;
	uint8_t rest[44];
} __attribute__((packed));

_Static_assert(sizeof(struct value) == 60, "64 bytes with its head");

struct owner {
	uint64_t version[KEYS];
	uint32_t save_next;
	uint64_t random;
	uint64_t waits; /* appends that found no room at first */
};

struct laps {
	struct samples took, waited; /* ns */
	uint64_t ran_max;
	long switched;
};

static struct grant grant;
static struct stats_log stats;
static struct owner owner;

static uint64_t
draw(void)
{
	uint64_t x = owner.random;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return owner.random = x;
}

static void
value_put(struct value *v, uint32_t key)
{
	*v = (struct value){ .key = key, .version = owner.version[key] };
	memset(v->rest, (int)v->version, sizeof(v->rest));
}

static int
value_get(void *ctx, const struct plog_record *r)
{
	uint64_t *version = ctx;
	const struct value *v = r->data;

	if (r->len != sizeof(*v) || v->key >= KEYS ||
		v->rest[43] != (uint8_t)v->version)
		return -1;
	version[v->key] = v->version;
	return 0;
}

static void
save_slice(struct plog *log)
{
	for (uint32_t i = 0; i < SLICE && owner.save_next < KEYS; i++) {
		struct value *v = plog_checkpoint_reserve(log, 1, sizeof(*v));

		if (v == NULL)
			return;
		value_put(v, owner.save_next++);
	}
	if (owner.save_next == KEYS)
		plog_checkpoint_end(log);
}

static void
save(struct plog *log)
{
	if (plog_checkpoint_running(log)) {
		save_slice(log);
		return;
	}
	if (!plog_checkpoint_due(log, KEYS * 64))
		return;
	plog_checkpoint_begin(log);
	owner.save_next = 0;
}

/* One value more; until there is room for it, the device is waited for. */
static void
set(struct bench_log *b, uint32_t key)
{
	struct plog *log = b->in.log;
	struct value *v;

	owner.version[key]++;
	while ((v = plog_reserve(log, 1, sizeof(*v))) == NULL) {
		owner.waits++;
		save(log);
		bench_log_poll(b, rte_rdtsc());
	}
	value_put(v, key);
}

/* Of what took long: how long this thread ran meanwhile, the longest. */
static void
note_long(struct laps *l, uint64_t ns, uint64_t cpu_from)
{
	uint64_t ran;

	if (ns < LONG_NS)
		return;
	ran = cpu_ns() - cpu_from;
	if (ran > l->ran_max)
		l->ran_max = ran;
}

static void
run(struct bench_log *b, struct laps *l)
{
	double ns = 1e6 / (double)b->tsc_per_ms;

	for (uint32_t i = 0; i < RECORDS; i++) {
		uint64_t waits = owner.waits, cpu = cpu_ns();
		uint64_t from = rte_rdtsc(), took;

		set(b, (uint32_t)(draw() >> 32) % KEYS);
		bench_log_poll(b, from);
		took = (uint64_t)((double)(rte_rdtsc() - from) * ns);
		if (owner.waits == waits) {
			samples_add(&l->took, took);
			note_long(l, took, cpu);
		} else {
			samples_add(&l->waited, took);
		}
		save(b->in.log);
	}
	bench_log_settle(b);
}

/* What the store says of the values: how many are not what they were. */
static int
lost(struct bench_log *b, uint32_t *n)
{
	static uint64_t version[KEYS];
	struct plog_report found;

	*n = 0;
	if (bench_log_open(b) != 0 ||
		plog_replay(b->in.log, value_get, version, &found) != 0)
		return -1;
	for (uint32_t i = 0; i < KEYS; i++)
		*n += version[i] != owner.version[i];
	return 0;
}

static void
print(struct laps *l, uint32_t n, const struct bench_log *b)
{
	char more[500], conditions[500];

	samples_sort(&l->waited);
	samples_sort(&l->took);
	snprintf(more, sizeof(more),
		"\"p99\": %u, \"p99.99\": %u, \"worst\": %u, "
		"\"max_running\": %llu, \"waited\": %u, \"waited_p50\": %u, \"waited_max\": %u, "
		"\"lost\": %u, \"laps\": %.0f, \"checkpoints\": %llu, "
		"\"switches\": %ld, ",
		samples_at(&l->took, 0.99), samples_at(&l->took, 0.9999),
		samples_at(&l->took, 1), (unsigned long long)l->ran_max,
		l->waited.n, samples_at(&l->waited, 0.5),
		samples_at(&l->waited, 1), n,
		(double)stats.written / (double)stats.capacity,
		(unsigned long long)stats.checkpoints, l->switched);
	snprintf(conditions, sizeof(conditions),
		"one append and one poll, %u records of 64 bytes, as fast as "
		"the store takes them; %u live values, written anew by each "
		"checkpoint; waited: those that found the store or memory full "
		"and had to wait for the device; max_running: the longest of "
		"the others by the thread's own processor time, for the core "
		"is given to other threads: as often as `switches` says; replayed at the end; %s; file of "
		"%u KiB; one core",
		RECORDS, KEYS, bench_log_mode(b), SIZE >> 10);
	report(&(struct result){ .name = "log.laps",
		.value = samples_at(&l->took, 0.5),
		.unit = "ns",
		.more = more,
		.conditions = conditions });
}

int
main(void)
{
	struct laps l = { 0 };
	struct plog_report found;
	struct bench_log b;
	uint32_t n = 0;
	int rc;

	owner.random = 88172645463325252ull;
	rc = bench_log_make(
		&b, &grant, &stats, "lb", SIZE, GRANT_DURABILITY_BATCH);
	if (rc == 0)
		rc = samples_init(&l.waited, RECORDS) |
		     samples_init(&l.took, RECORDS) | bench_log_open(&b);
	if (rc == 0)
		rc = plog_replay(b.in.log, NULL, NULL, &found);
	if (rc == 0) {
		plog_start(b.in.log);
		l.switched = -switches();
		run(&b, &l);
		l.switched += switches();
		bench_log_close(&b);
		rc = lost(&b, &n);
	}
	if (rc == 0)
		print(&l, n, &b);
	if (rc != 0 || n != 0)
		fprintf(stderr, "log_laps: failed, %u values lost\n", n);
	bench_log_remove(&b);
	return rc != 0 || n != 0;
}
