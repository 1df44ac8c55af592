/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/lib/cost.h"

#include <stdio.h>
#include <string.h>

#include <rte_cycles.h>

#include "perf/lib/report.h"

void
cost_mark(const struct softlab *lab, const struct corebusy *busy,
	struct cost_mark *m)
{
	memset(m, 0, sizeof(*m));
	softlab_mark(lab, &m->lab);
	if (busy != NULL)
		corebusy_mark(busy, &m->core);
}

static void
of_one(const struct cost_mark *a, const struct cost_mark *b, uint32_t i,
	double ns_per_tsc, struct cost *c)
{
	double busy = (double)(b->lab.of[i].busy_tsc - a->lab.of[i].busy_tsc);
	double idle = (double)(b->lab.of[i].idle_tsc - a->lab.of[i].idle_tsc);
	double ran = (double)(b->lab.of[i].cpu_ns - a->lab.of[i].cpu_ns);
	double all = (double)(b->lab.ns - a->lab.ns);

	c->ns = busy * ns_per_tsc;
	c->idle = idle / (busy + idle);
	/* It polls: whenever it did not run, somebody else did. */
	c->stolen = ran < all ? 1 - ran / all : 0;
}

/* What the core was busy with beside them was somebody else's. */
static void
of_core(const struct cost_mark *a, const struct cost_mark *b, uint32_t first,
	uint32_t n, struct cost *c)
{
	double all = (double)(b->lab.ns - a->lab.ns), ran = 0;

	for (uint32_t i = first; i < first + n; i++)
		ran += (double)(b->lab.of[i].cpu_ns - a->lab.of[i].cpu_ns);
	c->ns = corebusy_ns(&a->core, &b->core);
	c->idle = 1 - c->ns / all;
	c->stolen = c->ns > ran ? (c->ns - ran) / all : 0;
}

void
cost_between(const struct cost_mark *a, const struct cost_mark *b,
	uint64_t count, uint32_t first, uint32_t n, bool shared, struct cost *c)
{
	double per_tsc = 1e9 / (double)rte_get_tsc_hz();
	double all = (double)(b->lab.ns - a->lab.ns), made, rx, loops;

	memset(c, 0, sizeof(*c));
	if (shared) {
		of_core(a, b, first, n, c);
	} else {
		of_one(a, b, first, per_tsc, c);
	}
	made = (double)(b->lab.traffic_tsc - a->lab.traffic_tsc) * per_tsc;
	rx = (double)(b->lab.of[first].rx - a->lab.of[first].rx);
	loops = (double)(b->lab.of[first].loops - a->lab.of[first].loops);
	c->batch = n == 1 && loops > 0 ? rx / loops : 0;
	c->pps = (double)count * 1e9 / all;
	c->ns /= (double)count;
	c->traffic_ns = made / (double)count;
	c->nic_ns = (all - made) / (double)count;
}

void
costs_add(struct costs *all, const struct cost *one)
{
	uint32_t i = all->n;

	if (i == COST_RUNS_MAX)
		return;
	all->pps[i] = one->pps;
	all->ns[i] = one->ns;
	all->idle[i] = one->idle;
	all->stolen[i] = one->stolen;
	all->nic_ns[i] = one->nic_ns;
	all->traffic_ns[i] = one->traffic_ns;
	all->batch[i] = one->batch;
	all->n++;
}

/* It polls, too. */
double
cost_nic_stolen(const struct softlab_mark *a, const struct softlab_mark *b)
{
	double all = (double)(b->ns - a->ns);
	double ran = (double)(b->own_ns - a->own_ns);

	return ran < all ? 1 - ran / all : 0;
}

const char *
cost_late(double stolen)
{
	return stolen > 0.01 ? "other processes on the core of the NIC" : NULL;
}

/* Sorts a copy: the runs stay as they belong together. */
static double
median_of(const double *runs, uint32_t n)
{
	double copy[COST_RUNS_MAX];

	memcpy(copy, runs, n * sizeof(*runs));
	return runs_median(copy, n);
}

const char *
costs_disturbed(const struct costs *all)
{
	return median_of(all->stolen, all->n) > COST_STOLEN
		       ? "other processes on the core of the instances"
		       : NULL;
}

const char *
costs_limit(const struct costs *all)
{
	double nic = median_of(all->nic_ns, all->n);
	double traffic = median_of(all->traffic_ns, all->n);

	if (costs_disturbed(all) != NULL)
		return costs_disturbed(all);
	if (median_of(all->idle, all->n) <= COST_IDLE)
		return NULL;
	return traffic > COST_TRAFFIC * (nic + traffic) ? "the generator"
							: NULL;
}

/* Whose core had no time left; the instances' unless that was idle. */
static const char *
bottleneck(const struct costs *all)
{
	return median_of(all->idle, all->n) > COST_IDLE
		       ? "core 0, of the NIC and the generator"
		       : "the core of the instances";
}

const char *
costs_more(const struct costs *all, char *buf, size_t len)
{
	uint32_t n = all->n;

	snprintf(buf, len,
		"\"bottleneck\": \"%s\", \"instance_core_idle\": %.3f, \"instance_core_stolen\": %.3f, "
		"\"packets_per_loop\": %.1f, \"nic_ns\": %.1f, "
		"\"generator_ns\": %.1f, ",
		bottleneck(all), median_of(all->idle, n),
		median_of(all->stolen, n), median_of(all->batch, n),
		median_of(all->nic_ns, n), median_of(all->traffic_ns, n));
	return buf;
}
