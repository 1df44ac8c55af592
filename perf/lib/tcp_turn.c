/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/lib/tcp_turn.h"

#include <stdio.h>
#include <string.h>

#include <rte_cycles.h>

#include "perf/lib/side.h"

#define GB 1e9

static uint64_t
segments_of(const struct tcp_load *l)
{
	const struct stats *s = l->link.lab->instance[0].stats;

	return s->rx_packets + s->tx_packets;
}

static uint64_t
count_of(const struct tcp_turn *t, const struct tcp_load *l)
{
	if (t->segments)
		return segments_of(l);
	return t->bytes ? l->bytes_in : l->done;
}

static void
say_nothing(const char *name, const struct tcp_load *l)
{
	char more[300];

	fprintf(stderr, "%s: nothing was answered; %s\n", name,
		tcp_load_more(l, more, sizeof(more)));
}

int
tcp_turn_run(struct tcp_turn *t, struct tcp_load *l)
{
	struct softlab *lab = l->link.lab;
	struct cost_mark a, b;
	struct cost cost;
	uint64_t count;

	tcp_load_start(l);
	softlab_run(lab, side_run_ns() / 5);
	cost_mark(lab, NULL, &a);
	count = count_of(t, l);
	softlab_run(lab, side_run_ns());
	cost_mark(lab, NULL, &b);
	count = count_of(t, l) - count;
	if (count == 0) {
		say_nothing(t->name, l);
		return -1;
	}
	cost_between(&a, &b, count, 0, 1, false, &cost);
	costs_add(&t->costs, &cost);
	return 0;
}

int
tcp_turn_all(struct tcp_turn *t, struct tcp_load *l)
{
	for (uint32_t r = 0; r < side_repeats(); r++)
		if (tcp_turn_run(t, l) != 0)
			return -1;
	tcp_turn_print(t, l);
	return 0;
}

static void
scale(double *runs, uint32_t n, double by)
{
	for (uint32_t i = 0; i < n; i++)
		runs[i] *= by;
}

static void
cost_print(const struct tcp_turn *t, double *ns, const char *more,
	const char *conditions)
{
	const struct costs *all = &t->costs;
	char unit[40];

	if (t->unit == TCP_TURN_US)
		scale(ns, all->n, 1e-3);
	/* ns a byte are s a GB: told in ms. */
	if (t->unit == TCP_TURN_GB)
		scale(ns, all->n, 1e3);
	if (t->unit == TCP_TURN_GB)
		snprintf(unit, sizeof(unit), "ms/GB");
	else if (t->unit == TCP_TURN_US)
		snprintf(unit, sizeof(unit), "us");
	else
		snprintf(unit, sizeof(unit), "ns/%s", t->per);
	report(&(struct result){ .name = t->name,
		.value = runs_median(ns, all->n),
		.unit = unit,
		.runs = ns,
		.repeats = all->n,
		.cores = "core 1: the instance, which polls; core 0: the NIC "
			 "and the generator",
		.limited_by = costs_disturbed(all),
		.more = more,
		.conditions = conditions });
}

static void
rate_print(const struct tcp_turn *t, double *pps, const char *more,
	const char *conditions)
{
	const struct costs *all = &t->costs;
	bool gb = t->unit == TCP_TURN_GB;
	char unit[40], name[64];

	if (gb)
		scale(pps, all->n, 8 / GB);
	snprintf(name, sizeof(name), "%s.%s", t->name, gb ? "gbps" : "rate");
	snprintf(unit, sizeof(unit), "%ss/s", t->per);
	report(&(struct result){ .name = name,
		.value = runs_median(pps, all->n),
		.unit = gb ? "Gb/s" : unit,
		.runs = pps,
		.repeats = all->n,
		.cores = "core 1: the instance, which polls; core 0: the NIC "
			 "and the generator",
		.limited_by = costs_limit(all),
		.more = more,
		.conditions = conditions });
}

void
tcp_turn_print(struct tcp_turn *t, const struct tcp_load *l)
{
	char more[900], conditions[700];
	double ns[COST_RUNS_MAX], pps[COST_RUNS_MAX];

	memcpy(ns, t->costs.ns, sizeof(ns));
	memcpy(pps, t->costs.pps, sizeof(pps));
	tcp_load_more(l, more, sizeof(more));
	costs_more(&t->costs, more + strlen(more), sizeof(more) - strlen(more));
	snprintf(conditions, sizeof(conditions),
		"%s; generator: the project's own TCP, clients and backends "
		"in one process with the NIC in software; runs of %llu ms; %s "
		"pages",
		t->what, (unsigned long long)(side_run_ns() / 1000000),
		l->link.lab->huge ? "2 MiB" : "ordinary");
	cost_print(t, ns, more, conditions);
	rate_print(t, pps, more, conditions);
}

int
tcp_turn_delay(struct tcp_load *l, double rate, double us[2], double *stolen)
{
	const double us_per_tsc = 1e6 / (double)rte_get_tsc_hz();
	double runs[3][COST_RUNS_MAX];
	uint32_t n = side_repeats();

	l->rate = rate;
	for (uint32_t r = 0; r < n; r++) {
		struct softlab_mark a, b;

		tcp_load_start(l);
		softlab_run(l->link.lab, side_run_ns() / 5);
		softlab_mark(l->link.lab, &a);
		l->sampled = true;
		l->delay.n = 0;
		softlab_run(l->link.lab, side_run_ns());
		l->sampled = false;
		softlab_mark(l->link.lab, &b);
		if (l->delay.n == 0) {
			say_nothing("latency", l);
			return -1;
		}
		samples_sort(&l->delay);
		runs[0][r] = samples_at(&l->delay, 0.5) * us_per_tsc;
		runs[1][r] = samples_at(&l->delay, 0.99) * us_per_tsc;
		runs[2][r] = cost_nic_stolen(&a, &b);
	}
	us[0] = runs_median(runs[0], n);
	us[1] = runs_median(runs[1], n);
	*stolen = runs_median(runs[2], n);
	return tcp_load_drain(l);
}
