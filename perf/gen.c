/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The generator: UDP flows through a system that runs on another core of this
 * machine, over veth or any other device that is given. Prints lines:
 *
 *   NAME                  ns of the system's core for a packet, at the best
 *                         rate that it sustains (loss below 1%); softirqs and
 *                         kernel threads of that core included
 *   NAME.pps              that rate: packets/s that came through
 *   NAME.light            ns of the core for a packet at 10% of it
 *   NAME.latency.10       us from sending to arrival, p50, p99 and p99.9, at
 *            .50 .90      10, 50 and 90% of it (with -L, not with -q)
 *
 * A system that polls (-P) has its core busy at any rate: then only lost or
 * late frames of the generator's own tell that it was the limit.
 *
 * A packet is one that came out of the system: an echo, or one that was
 * forwarded to either side. Where the generator was the limit, NAME.pps has no
 * value and says so; the other lines are of the highest rate that was had.
 * Where others used either core, no line has a value: the figures would be of
 * their work. A packet that comes out wrong ends it all without a line.
 */
#include <arpa/inet.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "perf/lib/load.h"

#define FLOWS     1000u
#define REPEATS   5u
#define FRESH_MAX 180000u
#define SAMPLES   (1u << 20)
/* A core of which others use less is as good as ours alone. */
#define QUIET   0.05
#define IDLE_NS 1e8
/* What is tried where the search has found no rate. */
#define LEAST_PPS 1000.0

static struct {
	const char *name, *far, *conditions, *cores;
	struct wire_ends ends[2];
	uint32_t len, vip;
	uint16_t vport;
	uint8_t mac[2][6];
	enum load_mode mode;
	int core, quick, latency, polls;
	uint32_t repeats;
	double run_ns, trial_ns;
} opt = { .core = -1, .len = 64, .conditions = "", .cores = "" };

static struct load load;
static uint64_t wrong;
static double background; /* of the system's core, without traffic */

/* --- lines --- */

struct runs {
	double cost[REPEATS], pps[REPEATS], loss[REPEATS], share[REPEATS];
	double own[REPEATS]; /* of the generator's core that it had */
	double p50[REPEATS], p99[REPEATS], p999[REPEATS];
};

/* Who else was at work, or NULL. */
static const char *
disturbed(struct runs *r)
{
	if (background > QUIET)
		return "other work on the system's core";
	if (runs_median(r->own, opt.repeats) < 1 - QUIET)
		return "other work on the generator's core";
	return NULL;
}

static void
line(const char *suffix, const char *unit, double *runs, const char *limit,
	const char *more, const char *how)
{
	char name[128], conditions[900];

	snprintf(name, sizeof(name), "%s%s", opt.name, suffix);
	snprintf(conditions, sizeof(conditions), "%s; %s", how, opt.conditions);
	report(&(struct result){ .name = name,
		.value = limit == NULL ? runs_median(runs, opt.repeats) : NAN,
		.unit = unit,
		.runs = limit == NULL ? runs : NULL,
		.repeats = opt.repeats,
		.cores = opt.cores,
		.limited_by = limit,
		.more = more,
		.conditions = conditions });
}

static void
repeat(double pps, struct runs *out)
{
	struct load_run r;

	for (uint32_t i = 0; i < opt.repeats; i++) {
		load_run(&load, pps, opt.run_ns, &r);
		wrong += r.wrong;
		out->cost[i] = load_cost(&r);
		out->pps[i] = (double)r.in_time * 1e9 / r.ns;
		out->loss[i] = load_loss(&r);
		out->share[i] = load_share(&r);
		out->own[i] = r.own_share;
		samples_sort(&load.delay);
		out->p50[i] = samples_at(&load.delay, 0.5) / 1e3;
		out->p99[i] = samples_at(&load.delay, 0.99) / 1e3;
		out->p999[i] = samples_at(&load.delay, 0.999) / 1e3;
	}
}

static void
line_latency(struct runs *r, double pps, int percent)
{
	char suffix[32], more[160], how[160];

	snprintf(suffix, sizeof(suffix), ".latency.%d", percent);
	snprintf(more, sizeof(more), "\"p99\": %.1f, \"p999\": %.1f, ",
		runs_median(r->p99, opt.repeats),
		runs_median(r->p999, opt.repeats));
	snprintf(how, sizeof(how),
		"p50 from sending to arrival at %.0f packets/s, %d%% of the "
		"most, the generator's own share in it",
		pps, percent);
	line(suffix, "us", r->p50, disturbed(r), more, how);
}

static void
line_light(struct runs *r, double pps)
{
	char more[160], how[160];

	snprintf(more, sizeof(more), "\"core_share\": %.3f, ",
		runs_median(r->share, opt.repeats));
	snprintf(how, sizeof(how),
		"at %.0f packets/s, 10%% of the most; idle core not halted",
		pps);
	line(".light", "ns/packet", r->cost, disturbed(r), more, how);
}

static void
lines_max(struct runs *r, const struct load_max *max, double asked)
{
	char more[300], how[300];
	double share = runs_median(r->share, opt.repeats);

	snprintf(more, sizeof(more),
		"\"core_share\": %.3f, \"loss\": %.5f, "
		"\"offered\": %.0f, \"came\": %.0f, \"background\": %.3f, ",
		share, runs_median(r->loss, opt.repeats), asked,
		runs_median(r->pps, opt.repeats), background);
	snprintf(how, sizeof(how),
		"at %.0f packets/s, the most with less than 1%% lost%s; the "
		"core worked %.0f%% of the time",
		asked,
		max->limit == NULL ? "" : " that could be offered and taken",
		share * 100);
	line("", "ns/packet", r->cost, disturbed(r), more, how);
	line(".pps", "packets/s", r->pps,
		max->limit != NULL ? max->limit : disturbed(r), more, how);
}

/* --- measuring --- */

/*
 * The rate that the search found must hold in longer runs: where it does not
 * it was found by luck, and the sweep goes on downwards.
 */
static double
settle(struct runs *at, double pps)
{
	for (int i = 0; i < 12; i++) {
		repeat(pps, at);
		if (runs_median(at->loss, opt.repeats) < 0.01)
			return pps;
		pps *= 0.93;
	}
	return 0;
}

/* How much the system's core works when there is nothing to do. */
static double
idle_share(void)
{
	struct load_run r;

	load_run(&load, 0, IDLE_NS, &r);
	return load_share(&r);
}

static int
measure(void)
{
	static const int part[] = { 10, 50, 90 };
	struct load_max max;
	struct runs at;
	double pps;

	background = idle_share();
	load_search(&load, opt.trial_ns, &max);
	pps = settle(&at, max.pps > 0 ? max.pps : LEAST_PPS);
	if (pps == 0 && disturbed(&at) == NULL) {
		fprintf(stderr, "gen: %s: no rate is sustained\n", opt.name);
		return -1;
	}
	lines_max(&at, &max, pps);
	if (pps == 0)
		return 0;
	for (int i = 0; i < (opt.latency ? 3 : 1); i++) {
		repeat(pps * part[i] / 100, &at);
		if (i == 0)
			line_light(&at, pps / 10);
		if (opt.latency)
			line_latency(&at, pps * part[i] / 100, part[i]);
	}
	return 0;
}

/* --- all of it --- */

static int
parse_mac(const char *text, uint8_t mac[6])
{
	unsigned int b[6];

	if (sscanf(text, "%x:%x:%x:%x:%x:%x", &b[0], &b[1], &b[2], &b[3], &b[4],
		    &b[5]) != 6)
		return -1;
	for (int i = 0; i < 6; i++)
		mac[i] = (uint8_t)b[i];
	return 0;
}

static int
parse_vip(char *text)
{
	char *colon = strchr(text, ':');

	if (colon == NULL)
		return -1;
	*colon = '\0';
	opt.vport = htons((uint16_t)strtoul(colon + 1, NULL, 10));
	return inet_pton(AF_INET, text, &opt.vip) == 1 ? 0 : -1;
}

/* DEV,ADDRESS,FAR-DEV,MAC: both devices of a wire, where frames on it go. */
static int
parse_end(char *text, int side)
{
	char *word[4];

	for (int i = 0; i < 4; i++) {
		word[i] = strsep(&text, ",");
		if (word[i] == NULL)
			return -1;
	}
	opt.ends[side].dev = word[0];
	opt.ends[side].addr = word[1];
	opt.ends[side].far_dev = word[2];
	return parse_mac(word[3], opt.mac[side]);
}

static int
parse_mode(const char *text)
{
	static const char *const modes[] = { "echo", "lb", "fresh" };

	for (int i = 0; i < 3; i++) {
		if (strcmp(text, modes[i]) == 0) {
			opt.mode = (enum load_mode)i;
			return 0;
		}
	}
	return -1;
}

static int
parse_one(int c, char *arg)
{
	switch (c) {
	case 'm':
		return parse_mode(arg);
	case 'v':
		return parse_vip(arg);
	case 'n':
		opt.name = arg;
		return 0;
	case 'l':
		opt.len = (uint32_t)strtoul(arg, NULL, 10);
		return 0;
	case 'c':
		return parse_end(arg, 0);
	case 'b':
		return parse_end(arg, 1);
	case 'N':
		opt.far = arg;
		return 0;
	case 's':
		opt.core = (int)strtol(arg, NULL, 10);
		return 0;
	case 'w':
		opt.conditions = arg;
		return 0;
	case 'k':
		opt.cores = arg;
		return 0;
	case 'q':
		opt.quick = 1;
		return 0;
	case 'P':
		opt.polls = 1;
		return 0;
	case 'L':
		opt.latency = 1;
		return 0;
	default:
		return -1;
	}
}

static int
parse(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "m:v:n:l:c:b:N:s:w:k:qLP")) != -1)
		if (parse_one(c, optarg) != 0)
			return -1;
	opt.ends[0].far = opt.far;
	opt.ends[1].far = opt.far;
	opt.repeats = opt.quick ? 3 : REPEATS;
	opt.latency &= !opt.quick;
	opt.run_ns = opt.quick ? 1.2e8 : 4e8;
	opt.trial_ns = opt.quick ? 6e7 : 2e8;
	/* There are only so many ports, and flows stay a while. */
	if (opt.mode == LOAD_FRESH) {
		opt.run_ns = 5e7;
		opt.trial_ns = 3e7;
	}
	return opt.name == NULL || opt.ends[0].dev == NULL || opt.core < 0 ||
			       opt.far == NULL ||
			       (opt.mode != LOAD_ECHO &&
				       opt.ends[1].dev == NULL)
		       ? -1
		       : 0;
}

static int
start(void)
{
	int rc = 0;

	load.mode = opt.mode;
	load.polls = opt.polls;
	load.fresh_max = FRESH_MAX;
	for (int i = 0; i < (opt.mode == LOAD_ECHO ? 1 : 2) && rc == 0; i++)
		rc = wire_open(&load.wire[i], &opt.ends[i]);
	if (rc == 0)
		rc = flows_init(&load.flows, FLOWS, opt.len, opt.vip, opt.vport,
			(const uint8_t(*)[6])opt.mac);
	if (rc == 0)
		rc = samples_init(&load.delay, SAMPLES);
	if (rc == 0)
		rc = corebusy_start(&load.busy, opt.core);
	if (rc != 0)
		fprintf(stderr, "gen: %s\n", strerror(rc < 0 ? -rc : rc));
	return rc;
}

static void
stop(void)
{
	corebusy_stop(&load.busy);
	samples_fini(&load.delay);
	flows_fini(&load.flows);
	for (int i = 0; i < (opt.mode == LOAD_ECHO ? 1 : 2); i++)
		wire_close(&load.wire[i]);
}

int
main(int argc, char **argv)
{
	int rc;

	if (parse(argc, argv) != 0) {
		fprintf(stderr,
			"usage: gen -m echo|lb|fresh -n NAME -l BYTES "
			"-c DEV,ADDRESS,FAR-DEV,MAC "
			"[-b DEV,ADDRESS,FAR-DEV,MAC] -N FAR-NETNS "
			"-v VIP:PORT -s CORE [-w CONDITIONS] [-k CORES] [-q] "
			"[-L] [-P]\n");
		return 2;
	}
	if (start() != 0)
		return 1;
	rc = load_warm(&load);
	if (rc != 0)
		fprintf(stderr,
			"gen: %s: %u of %u flows came through, %llu frames "
			"wrong\n",
			opt.name, load.flows.n_known, load.flows.n,
			(unsigned long long)load.flows.wrong);
	else
		rc = measure();
	if (wrong > 0) {
		fprintf(stderr, "gen: %s: %llu frames came out wrong\n",
			opt.name, (unsigned long long)wrong);
		rc = -1;
	}
	stop();
	return rc != 0;
}
