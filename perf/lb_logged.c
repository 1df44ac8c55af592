/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the log costs the balancer where it costs most: new connections.
 *
 *   lb.new.life            connections/s, each of which lives all its life:
 *                          SYN, SYN+ACK, ACK, FIN, FIN, ACK; no log
 *   lb.new.logged.batch    the same, with a log, durability = "batch"
 *   lb.new.logged.sync     "sync": no SYN goes on before its record is durable
 *   lb.new.flood           SYNs alone, each evicts the oldest; no log
 *   lb.new.flood.batch     with a log: what is half-open is not logged
 *                          while the device is behind
 *
 * All with the loop that an instance has around the burst: tick, poll of the
 * log, the wall time of all of it, whatever the core did meanwhile, with
 * only the writing and reading of packets taken off. The sides take turns.
 */
#include <stdlib.h>

#include <rte_cycles.h>

#include "perf/lib/bench_eal.h"
#include "perf/lib/clients.h"
#include "perf/lib/report.h"

#define TABLE (1u << 20)
#define STORE (256u << 20)
#define RUNS  7u
#define SIDES 3u

struct side {
	const char *name, *what;
	uint32_t durability;
	struct clients *clients;
	double rate[RUNS];
};

static struct bench_ring ring[SIDES];

static void
run(struct clients *c, uint64_t lives)
{
	uint64_t until = c->lives + lives;

	while (c->lives < until)
		clients_round(c);
}

static double
run_timed(struct clients *c, uint64_t lives)
{
	uint64_t from = c->lives, cycles = c->cycles;

	run(c, lives);
	return (double)(c->lives - from) * (double)rte_get_tsc_hz() /
	       (double)(c->cycles - cycles);
}

static void
print(struct side *s, double base, const char *baseline, uint64_t dropped)
{
	const struct clients *c = s->clients;
	const struct stats_log *l = &c->lb.stats.log;
	double rate = runs_median(s->rate, RUNS);
	char more[400], conditions[700];

	snprintf(more, sizeof(more),
		"\"records_per_connection\": %.2f, \"missed\": %llu, "
		"\"dropped\": %llu, \"checkpoints\": %llu, "
		"\"blocks_per_write\": %.1f, \"connections_per_write\": %.1f, ",
		c->opened == 0 ? 0 : (double)c->logged / (double)c->opened,
		(unsigned long long)l->missed, (unsigned long long)dropped,
		(unsigned long long)l->checkpoints,
		l->writes == 0
			? 0
			: (double)l->written / PLOG_BLOCK / (double)l->writes,
		l->writes == 0 ? 0 : (double)c->lives / (double)l->writes);
	snprintf(conditions, sizeof(conditions),
		"%s; %u at a time, table of 1M, full of closed or half-open "
		"ones, 24 backends, 16 SNAT addresses, maglev; wall time of "
		"burst of 32, tick and poll of the log on one core, less "
		"writing and reading packets; %s%s; %s pages, %.2f GHz TSC",
		s->what, CLIENTS,
		c->log.in.log == NULL ? "no log" : bench_log_mode(&c->log),
		c->log.in.log == NULL ? "" : ", store of 256 MiB",
		bench_eal_pages(), (double)rte_get_tsc_hz() / 1e9);
	report(&(struct result){ .name = s->name,
		.value = rate,
		.unit = "connections/s",
		.baseline = base > 0 ? baseline : NULL,
		.ratio = base > 0 ? rate / base : 0,
		.runs = s->rate,
		.repeats = RUNS,
		.more = more,
		.conditions = conditions });
}

/* In turn; before each run its side's log has nothing to do. */
static int
measure(struct side *side, uint32_t n, uint8_t steps, uint64_t lives)
{
	uint64_t dropped[SIDES];

	for (uint32_t i = 0; i < n; i++) {
		side[i].clients = calloc(1, sizeof(*side[i].clients));
		if (side[i].clients == NULL ||
			clients_start(side[i].clients, &ring[i], TABLE, steps,
				side[i].durability, STORE) != 0)
			return -1;
		run(side[i].clients, 2 * TABLE);
		clients_settle(side[i].clients);
		dropped[i] = side[i].clients->dropped;
	}
	for (uint32_t r = 0; r < RUNS; r++)
		for (uint32_t i = 0; i < n; i++) {
			side[i].rate[r] = run_timed(side[i].clients, lives);
			clients_settle(side[i].clients);
		}
	for (uint32_t i = 0; i < n; i++)
		print(&side[i], i == 0 ? 0 : side[0].rate[RUNS / 2],
			side[0].name, side[i].clients->dropped - dropped[i]);
	return 0;
}

static void
end(struct side *side, uint32_t n)
{
	for (uint32_t i = 0; i < n && side[i].clients != NULL; i++) {
		clients_stop(side[i].clients);
		free(side[i].clients);
	}
}

static int
bench_life(uint64_t lives)
{
	static const char what[] = "SYN, SYN+ACK, ACK, FIN, FIN, ACK";
	struct side side[] = {
		{ .name = "lb.new.life",
			.what = what,
			.durability = GRANT_DURABILITY_NONE },
		{ .name = "lb.new.logged.batch",
			.what = what,
			.durability = GRANT_DURABILITY_BATCH },
		{ .name = "lb.new.logged.sync",
			.what = what,
			.durability = GRANT_DURABILITY_SYNC },
	};
	int rc = measure(side, 3, CLIENTS_STEPS, lives);

	end(side, 3);
	return rc;
}

static int
bench_flood(uint64_t lives)
{
	static const char what[] = "SYN alone, 262144 half-open, each evicts "
				   "the oldest";
	struct side side[] = {
		{ .name = "lb.new.flood",
			.what = what,
			.durability = GRANT_DURABILITY_NONE },
		{ .name = "lb.new.flood.batch",
			.what = what,
			.durability = GRANT_DURABILITY_BATCH },
	};
	int rc = measure(side, 2, 1, lives);

	end(side, 2);
	return rc;
}

/* Optional argument: connections of each run. */
int
main(int argc, char **argv)
{
	uint64_t lives = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
	static const char *const name[SIDES] = { "one", "two", "three" };
	int rc = bench_eal_init("lb_logged", 1000);

	for (uint32_t i = 0; i < SIDES && rc == 0; i++)
		rc = bench_ring_init(&ring[i], name[i]);
	if (rc == 0)
		rc = bench_life(lives);
	if (rc == 0)
		rc = bench_flood(2 * lives);
	if (rc != 0)
		fprintf(stderr, "lb_logged: failed, see above\n");
	bench_eal_fini();
	return rc != 0;
}
