/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The balancer on VNICs of the NIC in software.
 *
 *   lb.{64,1024}.instances.{1,2,4}   known UDP flows, half of the frames from
 *                                    clients, half from backends
 *   lb.conns.{1k,100k,1M}            the same by the number of flows
 *   lb.latency.{10,50,90}            in percent of lb.64.instances.1
 *   lb.cps, lb.cps.{batch,sync}      TCP connections, SYN to the last ACK; with
 *                                    no log, and by durability
 *
 * NAME is nanoseconds of the instances' core per packet, NAME.pps packets/s,
 * NAME.ns nanoseconds of that core per connection. All instances of a function
 * are on one core.
 */
#include <stdio.h>
#include <string.h>

#include <rte_byteorder.h>

#include "perf/lib/lives.h"
#include "perf/lib/side.h"
#include "perf/lib/stage.h"

#define BACKENDS TRAFFIC_BACKENDS
#define FLOWS    1024
#define SIDES    3
#define LEARN_NS 30000000000ull

#define TABLE 1048576u

/* --- configuration --- */

struct function {
	const char *protocol, *durability;
	uint32_t instances, connections, half_open;
};

/*
 * Function number `i`: VIP 10.0.I.80, and 16 SNAT addresses of its own.
 * Returns the end of what was written at `to`.
 */
static char *
function_write(char *to, const char *end, uint32_t i, const struct function *f)
{
	to += snprintf(to, (size_t)(end - to),
		"%s{ name = \"lb%u\"; type = \"lb\"; instances = %u; "
		"cores = \"CORE\"; connections = %u; half_open = %u; "
		"log = { durability = \"%s\"; size = \"%uM\"; }; snat = [",
		i == 0 ? "" : ", ", i, f->instances, f->connections,
		f->half_open, f->durability,
		f->connections > 262144 ? 256u : 64u);
	for (uint32_t k = 0; k < BENCH_SNATS; k++)
		to += snprintf(to, (size_t)(end - to), "%s \"10.1.%u.%u\"",
			k == 0 ? "" : ",", i, 9 + k);
	to += snprintf(to, (size_t)(end - to),
		" ]; services: ( { name = \"bench\"; address = \"10.0.%u.80\"; "
		"port = 80; protocol = \"%s\"; backends: (",
		i, f->protocol);
	for (uint32_t k = 0; k < BACKENDS; k++)
		to += snprintf(to, (size_t)(end - to),
			"%s { address = \"10.0.1.%u\"; port = 8080; }",
			k == 0 ? "" : ",", 21 + k);
	to += snprintf(to, (size_t)(end - to), " ); } ); }");
	return to;
}

static const char *
functions_write(const struct function *f, uint32_t n)
{
	static char text[16384];
	char *to = text;
	const char *end = text + sizeof(text);

	to += snprintf(to, (size_t)(end - to), "( ");
	for (uint32_t i = 0; i < n; i++)
		to = function_write(to, end, i, &f[i]);
	snprintf(to, (size_t)(end - to), " )");
	return text;
}

/* --- known flows --- */

struct act {
	uint32_t n, len;
	bool latency; /* of side 0 */
	uint32_t flows[SIDES];
	struct side side[SIDES]; /* with n set */
};

/* Every flow once through to its backend. */
static int
learn(struct traffic *t, const struct side *side)
{
	struct traffic_stream *s = &t->stream[side->stream];
	uint64_t end = now_ns() + LEARN_NS;

	side_only(t->lab, side);
	s->learn = 1;
	s->window = SOFTLAB_RING / 2;
	traffic_start(t, side->stream);
	while (traffic_known(s) < s->n_flows) {
		softlab_run(t->lab, 20000000);
		if (now_ns() < end)
			continue;
		fprintf(stderr, "%s: %u of %u flows have reached a backend\n",
			side->name, traffic_known(s), s->n_flows);
		return -1;
	}
	s->learn = 0;
	return traffic_drain(t);
}

/* Instances that share the core are watched from outside. */
static int
turn(struct traffic *t, struct side *side)
{
	struct corebusy busy = { 0 };
	int rc;

	if (side->n == 1)
		return side_run(t, side, NULL);
	rc = corebusy_start(&busy, (int)t->lab->core);
	if (rc != 0) {
		fprintf(stderr, "core %u cannot be watched: %s\n", t->lab->core,
			strerror(-rc));
		return -1;
	}
	rc = side_run(t, side, &busy);
	corebusy_stop(&busy);
	return rc;
}

static void
streams_set(struct traffic *t, struct act *act)
{
	uint32_t vnic = 0;

	t->n_streams = act->n;
	for (uint32_t i = 0; i < act->n; i++) {
		struct side *side = &act->side[i];

		side->stream = i;
		side->first = vnic;
		t->stream[i] = (struct traffic_stream){
			.vip = rte_cpu_to_be_32(0x0a000050 + (i << 8)),
			.vport = RTE_BE16(80),
			.len = (uint16_t)act->len,
			.n_flows = act->flows[i],
			.first_vnic = vnic,
			.n_vnics = side->n,
			.lb = 1
		};
		vnic += side->n;
	}
}

static int
play_flows(struct softlab *lab, const void *argument)
{
	static struct traffic t;
	struct act act = *(const struct act *)argument;

	streams_set(&t, &act);
	if (traffic_init(&t, lab) != 0)
		return -1;
	for (uint32_t i = 0; i < act.n; i++)
		if (learn(&t, &act.side[i]) != 0)
			return -1;
	for (uint32_t r = 0; r < side_repeats(); r++)
		for (uint32_t i = 0; i < act.n; i++)
			if (turn(&t, &act.side[i]) != 0)
				return -1;
	for (uint32_t i = 0; i < act.n; i++)
		side_print(&t, &act.side[i]);
	return act.latency ? side_latency(&t, &act.side[0], "lb") : 0;
}

static uint32_t
power_of_two(uint32_t n)
{
	uint32_t p = 1024;

	while (p < n)
		p *= 2;
	return p;
}

static int
stage_flows(const struct act *act)
{
	struct function f[SIDES];
	struct scene scene = { .play = play_flows, .argument = act };

	for (uint32_t i = 0; i < act->n; i++)
		f[i] = (struct function){ "udp", "none", act->side[i].n,
			power_of_two(2 * act->flows[i]), act->flows[i] };
	scene.functions = functions_write(f, act->n);
	return stage_play(&scene);
}

static int
instances(uint32_t len)
{
	static const uint32_t n[SIDES] = { 1, 2, 4 };
	static const char *const what[SIDES] = { "one instance of lb",
		"two instances of lb on one core",
		"four instances of lb on one core" };
	struct act act = { .n = SIDES, .len = len, .latency = len == 64 };
	char name[SIDES][32];

	for (uint32_t i = 0; i < SIDES; i++) {
		snprintf(name[i], sizeof(name[i]), "lb.%u.instances.%u", len,
			n[i]);
		act.flows[i] = FLOWS;
		act.side[i] = (struct side){
			.name = name[i], .what = what[i], .n = n[i]
		};
	}
	return stage_flows(&act);
}

static int
connections(void)
{
	static const struct act act = { .n = SIDES,
		.len = 64,
		.flows = { 1000, 100000, 1000000 },
		.side = { { .name = "lb.conns.1k", .what = "lb", .n = 1 },
			{ .name = "lb.conns.100k", .what = "lb", .n = 1 },
			{ .name = "lb.conns.1M", .what = "lb", .n = 1 } } };

	return stage_flows(&act);
}

/* --- connections --- */

struct cps {
	const char *name, *durability;
	uint32_t table;
};

static int
lives_run(struct lives *l, uint64_t ns, struct costs *all)
{
	struct cost_mark a, b;
	struct cost cost;
	uint64_t ended;

	cost_mark(l->lab, NULL, &a);
	ended = l->ended;
	softlab_run(l->lab, ns);
	cost_mark(l->lab, NULL, &b);
	if (l->ended == ended) {
		fprintf(stderr, "no connection has ended\n");
		return -1;
	}
	cost_between(&a, &b, l->ended - ended, 0, 1, false, &cost);
	costs_add(all, &cost);
	return 0;
}

static void
cps_print(const struct lives *l, const struct cps *c, struct costs *all)
{
	const struct stats_log *log = &l->lab->instance[0].stats->log;
	char name[64], more[600], conditions[500];

	snprintf(more, sizeof(more),
		"\"wrong\": %llu, \"lost\": %llu, \"missed\": %llu, "
		"\"checkpoints\": %llu, ",
		(unsigned long long)l->wrong, (unsigned long long)lives_lost(l),
		(unsigned long long)log->missed,
		(unsigned long long)log->checkpoints);
	costs_more(all, more + strlen(more), sizeof(more) - strlen(more));
	snprintf(conditions, sizeof(conditions),
		"SYN, SYN+ACK, ACK, FIN, FIN, ACK of 64 bytes, %u connections "
		"at a time, table of %u, full of closed ones, %u backends, %u "
		"SNAT addresses, maglev; durability %s; runs of %llu ms",
		LIVES_MAX, c->table, (unsigned int)BACKENDS,
		(unsigned int)BENCH_SNATS, c->durability,
		(unsigned long long)(side_run_ns() / 1000000));
	report(&(struct result){ .name = c->name,
		.value = runs_median(all->pps, all->n),
		.unit = "connections/s",
		.runs = all->pps,
		.repeats = all->n,
		.cores = "core 0: the NIC and the generator; core 1: the "
			 "instance, which polls",
		.limited_by = costs_limit(all),
		.more = more,
		.conditions = conditions });
	snprintf(name, sizeof(name), "%s.ns", c->name);
	report(&(struct result){ .name = name,
		.value = runs_median(all->ns, all->n),
		.unit = "ns/connection",
		.runs = all->ns,
		.repeats = all->n,
		.cores = "core 1: the instance",
		.limited_by = costs_disturbed(all),
		.more = more,
		.conditions = conditions });
}

static int
play_cps(struct softlab *lab, const void *argument)
{
	static struct lives lives;
	const struct cps *c = argument;
	struct costs all = { 0 };
	uint64_t end = now_ns() + LEARN_NS;
	char drops[400];

	if (lives_init(&lives, lab) != 0)
		return -1;
	lives.run = 1;
	while (lives.ended < c->table + c->table / 4) {
		softlab_run(lab, 20000000);
		if (now_ns() < end)
			continue;
		fprintf(stderr,
			"%s: the table does not fill: %llu have ended, %llu "
			"packets on their way; %s\n",
			c->name, (unsigned long long)lives.ended,
			(unsigned long long)(lives.sent - lives.came),
			softlab_drops_say(lab, drops, sizeof(drops)));
		return -1;
	}
	for (uint32_t r = 0; r < side_repeats(); r++)
		if (lives_run(&lives, side_run_ns(), &all) != 0)
			return -1;
	cps_print(&lives, c, &all);
	return 0;
}

static int
stage_cps(const char *name, const char *durability)
{
	struct cps c = { name, durability, stage_quick ? TABLE / 8 : TABLE };
	struct function f = { "tcp", durability, 1, c.table, c.table / 4 };
	struct scene scene = { .play = play_cps, .argument = &c };

	scene.functions = functions_write(&f, 1);
	return stage_play(&scene);
}

int
main(int argc, char **argv)
{
	int rc;

	softlab_child(argc, argv, NULL);
	if (stage_init(argc, argv) != 0)
		return 1;
	rc = instances(64);
	if (rc == 0 && !stage_quick)
		rc = instances(1024);
	if (rc == 0 && !stage_quick)
		rc = connections();
	if (rc == 0)
		rc = stage_cps("lb.cps", "none");
	if (rc == 0)
		rc = stage_cps("lb.cps.batch", "batch");
	if (rc == 0 && !stage_quick)
		rc = stage_cps("lb.cps.sync", "sync");
	return rc != 0;
}
