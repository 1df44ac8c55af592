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
#include <stdio.h>
#include <string.h>

#include <rte_byteorder.h>

#include "perf/lib/bare.h"
#include "perf/lib/side.h"
#include "perf/lib/stage.h"

#define VIP(i)    rte_cpu_to_be_32(0x0a00005au + (i)) /* 10.0.0.90 and on */
#define FLOWS     1024
#define SIDES_MAX 3

#define BARE "a bare loop"
#define ECHO "echo, in place"
#define COPY "echo behind an interface that copies"

extern const struct nf nf_echo;

/* What this program's own children can be. */
const struct nf *const nf_all[] = { &nf_echo, &nf_limit, &nf_delay, &nf_copy,
	NULL };

struct act {
	uint32_t n, len, delay_us;
	bool latency; /* of side 1 */
	struct side side[SIDES_MAX];
};

static int
play(struct softlab *lab, const void *argument)
{
	static struct traffic t;
	struct act act = *(const struct act *)argument;

	t.n_streams = act.n;
	for (uint32_t i = 0; i < act.n; i++) {
		act.side[i].stream = act.side[i].first = i;
		act.side[i].n = 1;
		t.stream[i] = (struct traffic_stream){ .vip = VIP(i),
			.vport = RTE_BE16(7),
			.len = (uint16_t)act.len,
			.n_flows = FLOWS,
			.first_vnic = i,
			.n_vnics = 1 };
	}
	if (traffic_init(&t, lab) != 0)
		return -1;
	for (uint32_t r = 0; r < side_repeats(); r++)
		for (uint32_t i = 0; i < act.n; i++)
			if (side_run(&t, &act.side[i], NULL) != 0)
				return -1;
	for (uint32_t i = 0; i < act.n; i++)
		side_print(&t, &act.side[i]);
	return act.latency ? side_latency(&t, &act.side[1], "echo") : 0;
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
			.side = { { .name = name[0], .what = BARE },
				{ .name = name[1], .what = ECHO },
				{ .name = name[2], .what = COPY } } };

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
		.side = { { .name = "limit.64", .what = BARE },
			{ .name = "echo.64", .what = ECHO } },
		.latency = true };
	static const struct act large = { .n = 3,
		.len = 1024,
		.side = { { .name = "limit.1024", .what = BARE },
			{ .name = "echo.1024", .what = ECHO },
			{ .name = "echo.copy.1024", .what = COPY } } };
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
