/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What one tenant of a NIC in software does to the others: five echo servers,
 * of which the first may be limited to 100 Mb/s, or flooded.
 *
 * Rates, in Mb/s of frames without FCS that came back, over the time of a run:
 *   isolation.rate.{free,limited}.{udp,tcp}.{1..5}   each tenant's
 *   isolation.limited.error.{udp,tcp}  of the limited one, from 100 Mb/s
 *   isolation.limited.error            the larger of the two
 *   isolation.others.{alone,rate}      the others together: without and with
 *                                      the limit of the first
 * `udp`: each is offered 400 Mb/s, whatever becomes of it. `tcp`: each has 64
 * frames on its way, and sends one for each that has come back; the free ones
 * then share what the machine carries.
 *
 * Time of a frame through the second tenant, offered 100,000 a second:
 *   isolation.alone.p99, isolation.flood.p99   the first is flooded, but its
 *       instance does not run: what they share is the NIC
 *   isolation.alone.shared.p99, isolation.flood.shared.p99   it runs, on the
 *       same core
 */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <rte_byteorder.h>
#include <rte_cycles.h>

#include "perf/lib/side.h"
#include "perf/lib/stage.h"

#define TENANTS      5
#define LEN          1024
#define FLOWS        64
#define LIMIT_BPS    100000000u
#define LIMIT_MBPS   100.0
#define OFFER_MBPS   400.0
#define WINDOW       64
#define LIGHT_PPS    100000.0
#define FLOOD_PPS    3000000.0
#define RUNS         COST_RUNS_MAX
#define PARTS        5u /* of a run for rates, each a figure */
#define CORES_SHARED "core 0: the NIC and the generator; core 1: the instances"

enum load { UDP, TCP, LOADS };
static const char *const load_name[LOADS] = { "udp", "tcp" };

struct rates {
	double mbps[2][LOADS][TENANTS][PARTS]; /* by whether it is limited */
};

static uint64_t
rate_ns(void)
{
	return stage_quick ? 600000000ull : 10000000000ull;
}

static const char *
functions_write(void)
{
	static char text[4096];
	size_t n = 0;

	for (uint32_t i = 0; i < TENANTS; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n,
			"%s { name = \"t%u\"; type = \"echo\"; cores = "
			"\"CORE\"; services: ( { name = \"echo\"; address = "
			"\"10.0.0.%u\"; port = 7; protocol = \"udp\"; } ); }",
			i == 0 ? "(" : ",", i + 1, 90 + i);
	snprintf(text + n, sizeof(text) - n, " )");
	return text;
}

static void
streams_set(struct traffic *t, uint16_t len)
{
	t->n_streams = TENANTS;
	for (uint32_t i = 0; i < TENANTS; i++)
		t->stream[i] = (struct traffic_stream){ .vip = rte_cpu_to_be_32(
								0x0a00005a + i),
			.vport = RTE_BE16(7),
			.len = len,
			.n_flows = FLOWS,
			.first_vnic = i,
			.n_vnics = 1 };
}

/* --- rates --- */

/* The NIC takes new tables from another thread than its own. */
struct change {
	struct softlab *lab;
	const struct softnic_tables *tables;
	_Atomic int done; /* 1, or -1 */
};

static void *
change_thread(void *ctx)
{
	struct change *c = ctx;
	char why[256] = "";
	int rc = softnic_update(c->lab->nic, c->tables, why, sizeof(why));

	if (rc != 0)
		fprintf(stderr, "new tables: %s\n", why);
	c->done = rc == 0 ? 1 : -1;
	return NULL;
}

/* The first tenant's limit, from now on. 0, or -1 and said why. */
static int
limit_set(struct softlab *lab, bool limited)
{
	static struct softnic_tables tables[2];
	static uint32_t generation = 1;
	struct change change = { .lab = lab, .tables = &tables[limited] };
	pthread_t thread;

	tables[limited] = *lab->tables;
	tables[limited].generation = ++generation;
	tables[limited].vnic[0].rate_bps = limited ? LIMIT_BPS : 0;
	if (pthread_create(&thread, NULL, change_thread, &change) != 0) {
		fprintf(stderr, "no thread\n");
		return -1;
	}
	while (change.done == 0)
		softnic_round(lab->nic);
	pthread_join(thread, NULL);
	return change.done > 0 ? 0 : -1;
}

static void
load_set(struct traffic *t, enum load load)
{
	for (uint32_t i = 0; i < TENANTS; i++) {
		t->stream[i].window = load == TCP ? WINDOW : 0;
		t->stream[i].pps = load == UDP ? OFFER_MBPS * 1e6 / 8 / LEN : 0;
		traffic_start(t, i);
	}
}

static int
part_run(struct traffic *t, enum load load, bool limited, uint32_t part,
	struct rates *r)
{
	uint64_t came[TENANTS], from;
	double ns;

	if (limit_set(t->lab, limited) != 0)
		return -1;
	load_set(t, load);
	/* Bursts that a rate has saved up belong to the time before. */
	softlab_run(t->lab, rate_ns() / 20);
	for (uint32_t i = 0; i < TENANTS; i++)
		came[i] = t->stream[i].came;
	from = now_ns();
	softlab_run(t->lab, rate_ns() / PARTS);
	ns = (double)(now_ns() - from);
	for (uint32_t i = 0; i < TENANTS; i++)
		r->mbps[limited][load][i][part] =
			(double)(t->stream[i].came - came[i]) * LEN * 8 * 1e3 /
			ns;
	return traffic_drain(t);
}

static double
mean(const double *parts)
{
	double sum = 0;

	for (uint32_t p = 0; p < PARTS; p++)
		sum += parts[p];
	return sum / PARTS;
}

static void
rate_print(const char *name, double *parts, enum load load, const char *what)
{
	char conditions[400];

	snprintf(conditions, sizeof(conditions),
		"%s; five echo servers, frames of %d bytes without FCS, "
		"%s; over %.0f s, in five parts, with and without the "
		"limit in turn",
		what, LEN,
		load == UDP ? "each is offered 400 Mb/s"
			    : "64 frames of each on their way",
		(double)rate_ns() / 1e9);
	report(&(struct result){ .name = name,
		.value = mean(parts),
		.unit = "Mb/s",
		.runs = parts,
		.repeats = PARTS,
		.cores = CORES_SHARED,
		.conditions = conditions });
}

static void
tenants_print(struct rates *r, enum load load)
{
	static const char *const state[] = { "free", "limited" };
	char name[64];

	for (uint32_t l = 0; l < 2; l++)
		for (uint32_t i = 0; i < TENANTS; i++) {
			snprintf(name, sizeof(name), "isolation.rate.%s.%s.%u",
				state[l], load_name[load], i + 1);
			rate_print(name, r->mbps[l][load][i], load,
				l ? "the first is limited to 100 Mb/s"
				  : "without a limit");
		}
}

/* The four others together. */
static void
others_print(struct rates *r, enum load load)
{
	static const char *const of[] = { "alone", "rate" };
	double sum[PARTS];
	char name[64];

	for (uint32_t l = 0; l < 2; l++) {
		memset(sum, 0, sizeof(sum));
		for (uint32_t i = 1; i < TENANTS; i++)
			for (uint32_t p = 0; p < PARTS; p++)
				sum[p] += r->mbps[l][load][i][p];
		snprintf(name, sizeof(name), "isolation.others.%s%s", of[l],
			load == UDP ? "" : ".tcp");
		rate_print(name, sum, load,
			l ? "the four others, with the limit of the first"
			  : "the four others, without the limit");
	}
}

static double
error_print(struct rates *r, enum load load)
{
	double *parts = r->mbps[1][load][0], error[PARTS];
	double all = fabs(mean(parts) / LIMIT_MBPS - 1);
	char name[64];

	for (uint32_t p = 0; p < PARTS; p++)
		error[p] = fabs(parts[p] / LIMIT_MBPS - 1);
	snprintf(name, sizeof(name), "isolation.limited.error.%s",
		load_name[load]);
	report(&(struct result){ .name = name,
		.value = all,
		.unit = "of the limit",
		.runs = error,
		.repeats = PARTS,
		.cores = CORES_SHARED,
		.conditions = "distance from 100 Mb/s over the whole time; "
			      "min and max: of its fifths" });
	return all;
}

static void
rates_print(struct rates *r)
{
	double worst = 0;

	for (enum load load = 0; load < LOADS; load++) {
		tenants_print(r, load);
		others_print(r, load);
		worst = fmax(worst, error_print(r, load));
	}
	report(&(struct result){ .name = "isolation.limited.error",
		.value = worst,
		.unit = "of the limit",
		.cores = CORES_SHARED,
		.conditions = "the larger of both loads'" });
}

/* With and without the limit in turn. */
static int
play_rates(struct softlab *lab, const void *argument)
{
	static struct traffic t;
	static struct rates r;

	(void)argument;
	streams_set(&t, LEN);
	if (traffic_init(&t, lab) != 0)
		return -1;
	for (enum load load = 0; load < LOADS; load++)
		for (uint32_t p = 0; p < PARTS; p++)
			for (int limited = 0; limited < 2; limited++)
				if (part_run(&t, load, limited, p, &r) != 0)
					return -1;
	rates_print(&r);
	return 0;
}

/* --- a neighbour that is flooded --- */

struct flood_act {
	const char *alone, *flood, *how;
	bool runs; /* the neighbour's instance */
};

/* p99 of the second tenant, in microseconds. */
static int
light_run(struct traffic *t, double flood_pps, double *us, double *stolen)
{
	struct softlab_mark a, b;
	struct traffic_stream *light = &t->stream[1], *flood = &t->stream[0];

	light->pps = LIGHT_PPS;
	flood->pps = flood_pps;
	traffic_start(t, 1);
	traffic_start(t, 0);
	softlab_run(t->lab, side_run_ns() / 5);
	softlab_mark(t->lab, &a);
	light->delay.n = 0;
	light->stride = 1;
	softlab_run(t->lab, side_run_ns());
	light->stride = 0;
	softlab_mark(t->lab, &b);
	*stolen = cost_nic_stolen(&a, &b);
	samples_sort(&light->delay);
	*us = samples_at(&light->delay, 0.99) * 1e6 / (double)rte_get_tsc_hz();
	/* What waits for a stopped instance comes when it goes on. */
	softlab_resume(t->lab, 0);
	return traffic_drain(t);
}

static void
flood_print(const char *name, double *us, double *stolen, const char *what,
	const char *how, double flood_pps)
{
	char more[100], conditions[400];

	snprintf(more, sizeof(more),
		"\"neighbour_offered_pps\": %.0f, \"nic_core_stolen\": %.3f, ",
		flood_pps, runs_median(stolen, side_repeats()));
	snprintf(conditions, sizeof(conditions),
		"p99 of a frame's time, from when it was due until the answer "
		"is there, of an echo server offered 100,000 a second; %s; %s",
		what, how);
	report(&(struct result){ .name = name,
		.value = runs_median(us, side_repeats()),
		.unit = "us",
		.runs = us,
		.repeats = side_repeats(),
		.cores = CORES_SHARED,
		.limited_by = cost_late(runs_median(stolen, side_repeats())),
		.more = more,
		.conditions = conditions });
}

static int
play_flood(struct softlab *lab, const void *argument)
{
	static struct traffic t;
	const struct flood_act *act = argument;
	double alone[RUNS], flood[RUNS], stolen[2][RUNS];

	streams_set(&t, TRAFFIC_LEN_MIN);
	if (traffic_init(&t, lab) != 0)
		return -1;
	for (uint32_t i = 2; i < TENANTS; i++)
		softlab_pause(lab, i);
	for (uint32_t r = 0; r < side_repeats(); r++) {
		if (!act->runs)
			softlab_pause(lab, 0);
		if (light_run(&t, 0, &alone[r], &stolen[0][r]) != 0)
			return -1;
		if (!act->runs)
			softlab_pause(lab, 0);
		if (light_run(&t, FLOOD_PPS, &flood[r], &stolen[1][r]) != 0)
			return -1;
	}
	flood_print(act->alone, alone, stolen[0], "no other load", act->how, 0);
	flood_print(act->flood, flood, stolen[1], "a neighbour is flooded",
		act->how, FLOOD_PPS);
	return 0;
}

static int
floods(void)
{
	static const struct flood_act apart = { "isolation.alone.p99",
		"isolation.flood.p99",
		"the neighbour's instance does not run: they share the NIC "
		"alone",
		false };
	static const struct flood_act shared = { "isolation.alone.shared.p99",
		"isolation.flood.shared.p99",
		"the neighbour's instance runs on the same core", true };
	struct scene scene = { .functions = functions_write(),
		.play = play_flood,
		.argument = &apart };
	int rc = stage_play(&scene);

	if (rc != 0)
		return rc;
	scene.together = true;
	scene.argument = &shared;
	return stage_play(&scene);
}

int
main(int argc, char **argv)
{
	struct scene rates = { .functions = functions_write(),
		.together = true,
		.play = play_rates };

	softlab_child(argc, argv, NULL);
	if (stage_init(argc, argv) != 0)
		return 1;
	return stage_play(&rates) != 0 || floods() != 0;
}
