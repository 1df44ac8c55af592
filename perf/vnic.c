/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Echo on a VNIC of the NIC in software, and what there is beside it.
 *
 *   limit.{64,1024}       a bare loop that swaps addresses and ports
 *   echo.{64,1024}        the product's instance, in place
 *   echo.copy.1024        echo behind an interface that copies
 *   {limit,echo,echo.copy}.delay.N   each packet worked on for N us
 *   echo.latency.{10,50,90}          in parts of the maximum
 *
 * NAME is nanoseconds of the instance's core per packet that came back,
 * NAME.pps how many came back a second. All sides of one size are on one NIC
 * and take turns: those that do not run are stopped.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <rte_byteorder.h>
#include <rte_common.h>
#include <rte_cycles.h>

#include "perf/lib/bare.h"
#include "perf/lib/cost.h"
#include "perf/lib/stage.h"
#include "perf/lib/traffic.h"

#define VIP(i)    rte_cpu_to_be_32(0x0a00005au + (i)) /* 10.0.0.90 and on */
#define FLOWS     1024
#define SIDES_MAX 3
#define MS        1000000ull

#define CORES \
	"core 0: the NIC and the generator; core 1: the instance, which polls"

extern const struct nf nf_echo;

/* What this program's own children can be. */
const struct nf *const nf_all[] = { &nf_echo, &nf_limit, &nf_delay, &nf_copy,
	NULL };

struct side {
	const char *name, *what;
};

struct act {
	uint32_t n, len;
	struct side side[SIDES_MAX];
	uint32_t delay_us;
	int latency; /* of side 1 */
};

static uint32_t
repeats(void)
{
	return stage_quick ? 3 : 7;
}

static uint64_t
run_ns(void)
{
	return stage_quick ? 150 * MS : 500 * MS;
}

/* --- throughput --- */

static int
run_one(struct traffic *t, uint32_t i, struct costs *all)
{
	struct traffic_stream *s = &t->stream[i];
	struct cost_mark a, b;
	struct cost cost;
	uint64_t came;

	softlab_only(t->lab, i);
	s->window = SOFTLAB_RING / 2;
	traffic_start(t, i);
	softlab_run(t->lab, run_ns() / 5);
	cost_mark(t->lab, NULL, &a);
	came = s->came;
	softlab_run(t->lab, run_ns());
	cost_mark(t->lab, NULL, &b);
	cost_between(&a, &b, s->came - came, i, 1, false, &cost);
	costs_add(all, &cost);
	return traffic_drain(t);
}

static void
print(const struct act *act, uint32_t i, struct costs *all,
	const struct traffic *t)
{
	const struct traffic_stream *s = &t->stream[i];
	const char *limit = costs_limit(all);
	char name[64], more[500], conditions[500];

	snprintf(more, sizeof(more), "\"wrong\": %llu, \"lost\": %llu, ",
		(unsigned long long)s->wrong,
		(unsigned long long)traffic_lost(t, i));
	costs_more(all, more + strlen(more), sizeof(more) - strlen(more));
	snprintf(conditions, sizeof(conditions),
		"%s; frames of %u bytes without FCS, %u flows, %u on their "
		"way; runs of %llu ms, sides in turn; %s pages",
		act->side[i].what, act->len, FLOWS, SOFTLAB_RING / 2,
		(unsigned long long)(run_ns() / MS),
		t->lab->huge ? "2 MiB" : "ordinary");
	report(&(struct result){ .name = act->side[i].name,
		.value = runs_median(all->ns, all->n),
		.unit = "ns/packet",
		.runs = all->ns,
		.repeats = all->n,
		.cores = CORES,
		.more = more,
		.conditions = conditions });
	snprintf(name, sizeof(name), "%s.pps", act->side[i].name);
	report(&(struct result){ .name = name,
		.value = runs_median(all->pps, all->n),
		.unit = "packets/s",
		.runs = all->pps,
		.repeats = all->n,
		.cores = CORES,
		.limited_by = limit,
		.more = more,
		.conditions = conditions });
}

/* --- latency --- */

static int
latency_one(struct traffic *t, uint32_t i, double pps, double ns[3])
{
	static const double at[3] = { 0.5, 0.99, 0.999 };
	double ns_per_tsc = 1e9 / (double)rte_get_tsc_hz();
	struct traffic_stream *s = &t->stream[i];

	s->pps = pps;
	traffic_start(t, i);
	softlab_run(t->lab, run_ns() / 5);
	s->stride = 1 + (uint32_t)(pps * (double)run_ns() / 1e9 / 1e6);
	s->delay.n = 0;
	softlab_run(t->lab, run_ns());
	s->stride = 0;
	samples_sort(&s->delay);
	for (int q = 0; q < 3; q++)
		ns[q] = samples_at(&s->delay, at[q]) * ns_per_tsc;
	return traffic_drain(t);
}

static int
latency_at(struct traffic *t, uint32_t i, double max, uint32_t percent)
{
	double us[3][COST_RUNS_MAX], ns[3], pps = max * percent / 100;
	uint64_t sent = t->stream[i].sent, lost = traffic_lost(t, i);
	char name[64], more[300], conditions[400];

	for (uint32_t r = 0; r < repeats(); r++) {
		if (latency_one(t, i, pps, ns) != 0)
			return -1;
		for (int q = 0; q < 3; q++)
			us[q][r] = ns[q] / 1e3;
	}
	snprintf(name, sizeof(name), "echo.latency.%u", percent);
	snprintf(more, sizeof(more),
		"\"p99\": %.2f, \"p999\": %.2f, \"offered_pps\": %.0f, "
		"\"sent\": %llu, \"lost\": %llu, ",
		runs_median(us[1], repeats()), runs_median(us[2], repeats()),
		pps, (unsigned long long)(t->stream[i].sent - sent),
		(unsigned long long)(traffic_lost(t, i) - lost));
	snprintf(conditions, sizeof(conditions),
		"median of a frame's time from when it was due at the NIC's "
		"port until the answer is there, at %u%% of what echo.64 "
		"carries; due at even distances; frames of 64 bytes; runs of "
		"%llu ms",
		percent, (unsigned long long)(run_ns() / MS));
	report(&(struct result){ .name = name,
		.value = runs_median(us[0], repeats()),
		.unit = "us",
		.runs = us[0],
		.repeats = repeats(),
		.cores = CORES,
		.more = more,
		.conditions = conditions });
	return 0;
}

static int
latencies(struct traffic *t, uint32_t i, double max)
{
	static const uint32_t percent[] = { 10, 50, 90 };

	softlab_only(t->lab, i);
	for (uint32_t k = 0; k < RTE_DIM(percent); k++)
		if (latency_at(t, i, max, percent[k]) != 0)
			return -1;
	return 0;
}

/* --- scenes --- */

static int
play(struct softlab *lab, const void *argument)
{
	static struct traffic t;
	const struct act *act = argument;
	struct costs all[SIDES_MAX] = { 0 };

	t.n_streams = act->n;
	for (uint32_t i = 0; i < act->n; i++) {
		struct traffic_stream *s = &t.stream[i];

		/* One processor to itself: the others are stopped. */
		*s = (struct traffic_stream){ .vip = VIP(i),
			.vport = RTE_BE16(7),
			.len = (uint16_t)act->len,
			.n_flows = FLOWS,
			.first_vnic = i,
			.n_vnics = 1 };
	}
	if (traffic_init(&t, lab) != 0)
		return -1;
	for (uint32_t r = 0; r < repeats(); r++)
		for (uint32_t i = 0; i < act->n; i++)
			if (run_one(&t, i, &all[i]) != 0)
				return -1;
	for (uint32_t i = 0; i < act->n; i++)
		print(act, i, &all[i], &t);
	if (!act->latency)
		return 0;
	return latencies(&t, 1, runs_median(all[1].pps, all[1].n));
}

/* A function for each side, of the types in order. */
static int
stage(const struct act *act, const char *const *types)
{
	struct scene scene = { .play = play, .argument = act };
	char functions[1500] = "(";

	for (uint32_t i = 0; i < act->n; i++)
		snprintf(functions + strlen(functions),
			sizeof(functions) - strlen(functions),
			"%s { name = \"side%u\"; type = \"%s\"; "
			"cores = \"CORE\"; services: ( { name = \"us%u\"; "
			"address = \"10.0.0.%u\"; port = 7; "
			"protocol = \"udp\"; } ); }",
			i == 0 ? "" : ",", i, types[i], act->delay_us, 90 + i);
	strcat(functions, " )");
	scene.functions = functions;
	return stage_play(&scene);
}

static int
delays(void)
{
	static const char *const types[] = { "limit", "delay", "copy" };
	char name[SIDES_MAX][32];
	int rc = 0;

	for (uint32_t us = 0; us <= 64 && rc == 0; us = us == 0 ? 1 : 2 * us) {
		struct act act = { .n = 3,
			.len = 1024,
			.delay_us = us,
			.side = { { name[0], "bare loop" }, { name[1], "echo" },
				{ name[2], "echo behind an interface that "
					   "copies" } } };

		snprintf(name[0], sizeof(name[0]), "limit.delay.%u", us);
		snprintf(name[1], sizeof(name[1]), "echo.delay.%u", us);
		snprintf(name[2], sizeof(name[2]), "echo.copy.delay.%u", us);
		rc = stage(&act, types);
	}
	return rc;
}

int
main(int argc, char **argv)
{
	static const char *const types[] = { "limit", "echo", "copy" };
	static const struct act small = { .n = 2,
		.len = 64,
		.side = { { "limit.64", "bare loop" },
			{ "echo.64", "echo, in place" } },
		.latency = 1 };
	static const struct act large = { .n = 3,
		.len = 1024,
		.side = { { "limit.1024", "bare loop" },
			{ "echo.1024", "echo, in place" },
			{ "echo.copy.1024", "echo behind an interface that "
					    "copies" } } };
	int rc;

	softlab_child(argc, argv, bare_run);
	if (stage_init(argc, argv) != 0)
		return 1;
	rc = stage(&small, types);
	if (rc == 0)
		rc = stage(&large, types);
	if (rc == 0 && !stage_quick)
		rc = delays();
	return rc != 0;
}
