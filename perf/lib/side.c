/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/lib/side.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <rte_cycles.h>

#include "perf/lib/stage.h"

#define MS 1000000ull

uint32_t
side_repeats(void)
{
	return stage_quick ? 3 : 7;
}

uint64_t
side_run_ns(void)
{
	return stage_quick ? 150 * MS : 500 * MS;
}

void
side_only(struct softlab *lab, const struct side *side)
{
	for (uint32_t i = 0; i < lab->plan->n_instances; i++)
		if (i < side->first || i >= side->first + side->n)
			softlab_pause(lab, i);
	for (uint32_t i = 0; i < side->n; i++)
		softlab_resume(lab, side->first + i);
}

/* --- throughput --- */

int
side_run(struct traffic *t, struct side *side, const struct corebusy *busy)
{
	struct traffic_stream *s = &t->stream[side->stream];
	struct cost_mark a, b;
	struct cost cost;
	uint64_t came;

	side_only(t->lab, side);
	s->window = SOFTLAB_RING / 2;
	traffic_start(t, side->stream);
	softlab_run(t->lab, side_run_ns() / 5);
	cost_mark(t->lab, busy, &a);
	came = s->came;
	softlab_run(t->lab, side_run_ns());
	cost_mark(t->lab, busy, &b);
	cost_between(&a, &b, s->came - came, side->first, side->n, busy != NULL,
		&cost);
	costs_add(&side->costs, &cost);
	return traffic_drain(t);
}

static const char *
cores(const struct side *side)
{
	return side->n == 1 ? "core 0: the NIC and the generator; core 1: the "
			      "instance, which polls"
			    : "core 0: the NIC and the generator; core 1: all "
			      "instances, which sleep when there is nothing";
}

void
side_print(const struct traffic *t, struct side *side)
{
	const struct traffic_stream *s = &t->stream[side->stream];
	struct costs *all = &side->costs;
	char name[64], more[500], conditions[600];

	snprintf(more, sizeof(more), "\"wrong\": %llu, \"lost\": %llu, ",
		(unsigned long long)s->wrong,
		(unsigned long long)traffic_lost(t, side->stream));
	costs_more(all, more + strlen(more), sizeof(more) - strlen(more));
	snprintf(conditions, sizeof(conditions),
		"%s; frames of %u bytes without FCS, %u flows, %u on their "
		"way; runs of %llu ms, sides in turn; %s pages",
		side->what, s->len, s->n_flows, SOFTLAB_RING / 2,
		(unsigned long long)(side_run_ns() / MS),
		t->lab->huge ? "2 MiB" : "ordinary");
	report(&(struct result){ .name = side->name,
		.value = runs_median(all->ns, all->n),
		.unit = "ns/packet",
		.runs = all->ns,
		.repeats = all->n,
		.cores = cores(side),
		.limited_by = costs_disturbed(all),
		.more = more,
		.conditions = conditions });
	snprintf(name, sizeof(name), "%s.pps", side->name);
	report(&(struct result){ .name = name,
		.value = runs_median(all->pps, all->n),
		.unit = "packets/s",
		.runs = all->pps,
		.repeats = all->n,
		.cores = cores(side),
		.limited_by = costs_limit(all),
		.more = more,
		.conditions = conditions });
}

/* --- latency --- */

#define QUANTILES 3
static const double quantile[QUANTILES] = { 0.5, 0.99, 0.999 };

/* Of the runs at one rate. */
struct latency {
	uint32_t percent;
	double pps;
	double us[QUANTILES][COST_RUNS_MAX];
	double stolen[COST_RUNS_MAX];
	uint64_t sent, lost;
};

static int
latency_run(struct traffic *t, uint32_t stream, uint32_t r, struct latency *l)
{
	double us_per_tsc = 1e6 / (double)rte_get_tsc_hz();
	struct traffic_stream *s = &t->stream[stream];
	struct softlab_mark a, b;

	s->pps = l->pps;
	traffic_start(t, stream);
	softlab_run(t->lab, side_run_ns() / 5);
	softlab_mark(t->lab, &a);
	s->delay.n = 0;
	s->stride = 1 + (uint32_t)(l->pps * (double)side_run_ns() / 1e9 /
				   s->delay.max);
	softlab_run(t->lab, side_run_ns());
	s->stride = 0;
	softlab_mark(t->lab, &b);
	l->stolen[r] = cost_nic_stolen(&a, &b);
	samples_sort(&s->delay);
	for (int q = 0; q < QUANTILES; q++)
		l->us[q][r] = samples_at(&s->delay, quantile[q]) * us_per_tsc;
	return traffic_drain(t);
}

static void
latency_print(const struct side *side, const char *label, struct latency *l)
{
	const uint32_t n = side_repeats();
	double stolen = runs_median(l->stolen, n);
	char name[64], more[300], conditions[400];

	snprintf(name, sizeof(name), "%s.latency.%u", label, l->percent);
	snprintf(more, sizeof(more),
		"\"p99\": %.2f, \"p999\": %.2f, \"offered_pps\": %.0f, "
		"\"sent\": %llu, \"lost\": %llu, \"nic_core_stolen\": %.3f, ",
		runs_median(l->us[1], n), runs_median(l->us[2], n), l->pps,
		(unsigned long long)l->sent, (unsigned long long)l->lost,
		stolen);
	snprintf(conditions, sizeof(conditions),
		"median (p99, p999) of the time from when a frame was due at "
		"the NIC's port, at even distances, until it is through, at "
		"%u%% of what %s carries; runs of %llu ms",
		l->percent, side->name,
		(unsigned long long)(side_run_ns() / MS));
	report(&(struct result){ .name = name,
		.value = runs_median(l->us[0], n),
		.unit = "us",
		.runs = l->us[0],
		.repeats = n,
		.cores = cores(side),
		.limited_by = cost_late(stolen),
		.more = more,
		.conditions = conditions });
}

int
side_latency(struct traffic *t, const struct side *side, const char *label)
{
	static const uint32_t percent[] = { 10, 50, 90 };
	const double most = side->costs.pps[side->costs.n / 2];
	const struct traffic_stream *s = &t->stream[side->stream];

	side_only(t->lab, side);
	for (uint32_t k = 0; k < sizeof(percent) / sizeof(*percent); k++) {
		struct latency l = { .percent = percent[k],
			.pps = most * percent[k] / 100 };
		uint64_t sent = s->sent, lost = traffic_lost(t, side->stream);

		for (uint32_t r = 0; r < side_repeats(); r++)
			if (latency_run(t, side->stream, r, &l) != 0)
				return -1;
		l.sent = s->sent - sent;
		l.lost = traffic_lost(t, side->stream) - lost;
		latency_print(side, label, &l);
	}
	return 0;
}
