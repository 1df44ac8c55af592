/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TCP of an instance on a VNIC of the NIC in software: the echo function.
 *
 *   tcp.echo.{1,64}          64 bytes there and back, 1 and 64 connections
 *   tcp.bulk                 64 KiB there and back, 4 connections
 *   tcp.conns.{1k,100k,1M}   64 bytes there and back and an ACK, each
 * connection in its turn, 256 at a time: per segment tcp.cps connections: SYN,
 * SYN+ACK, ACK, FIN, FIN, ACK
 *
 * NAME is nanoseconds of the instance's core, NAME.rate how many a second.
 */
#include <stdio.h>
#include <string.h>

#include <rte_byteorder.h>

#include "perf/lib/stage.h"
#include "perf/lib/tcp_turn.h"

#define VIP     RTE_BE32(0x0a00005a) /* 10.0.0.90 */
#define PORT    RTE_BE16(7)
#define OPEN_NS 60000000000ull

struct act {
	struct tcp_turn turn;
	enum tcp_load_kind kind;
	uint32_t n, bytes, window;
	bool each, quickack;
};

static struct tcp_load load;

static int
play(struct softlab *lab, const void *argument)
{
	struct act act = *(const struct act *)argument;

	load = (struct tcp_load){ .kind = act.kind,
		.to = ip_addr_from_v4(VIP),
		.port = PORT,
		.n = act.n,
		.each = act.each,
		.quickack = act.quickack,
		.bytes = act.bytes };
	if (tcp_load_init(&load, lab) != 0)
		return -1;
	if (!act.each && tcp_load_open(&load, OPEN_NS) != 0)
		return -1;
	load.window = act.window;
	/* Once round: what was asked for with the opening is done. */
	if (tcp_turn_all(&act.turn, &load) != 0)
		return -1;
	return tcp_load_drain(&load);
}

static int
stage(const struct act *act)
{
	char functions[400];
	uint32_t table = 4096;
	struct scene scene = { .play = play,
		.argument = act,
		.functions = functions,
		.memory_mb = tcp_load_memory_mb(act->n) };

	while (table < act->n)
		table *= 2;
	/* Those of one each leave a TIME-WAIT on our side alone. */
	snprintf(functions, sizeof(functions),
		"( { name = \"it\"; type = \"echo\"; cores = \"CORE\"; "
		"connections = %u; services: ( { name = \"s\"; "
		"address = \"10.0.0.90\"; port = 7; protocol = \"tcp\"; } ); "
		"} )",
		table);
	return stage_play(&scene);
}

static int
echo(void)
{
	static const struct act one = { .turn = { .name = "tcp.echo.1",
						.per = "round trip",
						.what = "64 bytes there and "
							"back, echo, 1 "
							"connection" },
		.n = 1,
		.bytes = 64,
		.window = 1 };
	static const struct act many = { .turn = { .name = "tcp.echo.64",
						 .per = "round trip",
						 .what = "64 bytes there and "
							 "back, echo, 64 "
							 "connections" },
		.n = 64,
		.bytes = 64,
		.window = 64 };
	int rc = stage(&one);

	return rc != 0 ? rc : stage(&many);
}

static int
bulk(void)
{
	static const struct act act = { .turn = { .name = "tcp.bulk",
						.per = "byte",
						.what = "64 KiB there and "
							"back, echo, 4 "
							"connections; bytes "
							"that have come back",
						.unit = TCP_TURN_GB,
						.bytes = true },
		.n = 4,
		.bytes = 65536,
		.window = 4 };

	return stage(&act);
}

static int
conns(const char *name, uint32_t n)
{
	char what[120];
	struct act act = { .turn = { .name = name,
				   .per = "segment",
				   .what = what,
				   .segments = true },
		.n = n,
		.bytes = 64,
		.window = 256,
		.quickack = true };

	snprintf(what, sizeof(what),
		"64 bytes there and back and an ACK, echo, %u connections, "
		"each in its turn, 256 at a time",
		n);
	return stage(&act);
}

static int
cps(void)
{
	static const struct act act = { .turn = { .name = "tcp.cps",
						.per = "connection",
						.what = "opened and closed by "
							"the client, no data, "
							"256 at a time" },
		.kind = TCP_LOAD_OPEN,
		.n = 256,
		.window = 256,
		.each = true };

	return stage(&act);
}

int
main(int argc, char **argv)
{
	int rc;

	softlab_child(argc, argv, NULL);
	if (stage_init(argc, argv) != 0)
		return 1;
	rc = echo();
	if (rc == 0)
		rc = bulk();
	if (rc == 0)
		rc = cps();
	if (rc == 0)
		rc = conns("tcp.conns.1k", 1000);
	if (rc == 0)
		rc = conns("tcp.conns.100k", 100000);
	if (rc == 0 && !stage_quick)
		rc = conns("tcp.conns.1M", 1000000);
	return rc != 0;
}
