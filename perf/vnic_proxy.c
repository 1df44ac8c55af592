/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The HTTP proxy on a VNIC of the NIC in software.
 *
 *   proxy.close        a connection for each request, on both sides; 1 KiB
 *   proxy.keepalive    requests over kept connections on both sides; 1 KiB
 *   proxy.tcp          bytes relayed, a connection for each request; 1 KiB
 *   proxy.big          1 MiB answers over kept connections
 *   proxy.latency      what the proxy adds at half of proxy.keepalive's rate:
 *                      the median (p99) less that of the same load without it
 *
 * NAME is microseconds of the proxy's core per request (proxy.big: ms per GB),
 * NAME.rate requests/s (proxy.big.gbps: Gb/s of what has come to clients).
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <rte_byteorder.h>

#include "perf/lib/side.h"
#include "perf/lib/stage.h"
#include "perf/lib/tcp_backend.h"
#include "perf/lib/tcp_turn.h"

#define VIP         RTE_BE32(0x0a000050) /* 10.0.0.80 */
#define PORT        RTE_BE16(80)
#define BACKEND     RTE_BE32(0x0a000115)
#define CONNECTIONS 64u
#define SERVED      4096u /* connections of backends */
#define OPEN_NS     20000000000ull

#define REQUEST(connection)                         \
	"GET /1k HTTP/1.1\r\nHost: example.org\r\n" \
	"User-Agent: bench\r\nAccept: */*\r\n" connection "\r\n"

struct act {
	struct tcp_turn turn;
	uint32_t n;     /* connections */
	uint32_t bytes; /* of an answer */
	bool each;
	bool tcp;     /* relay */
	bool latency; /* besides */
};

static struct tcp_load load;
static struct tcp_backends backends;

/* --- latency ------------------------------------------------------------- */

/* Quantiles through the proxy and without it. */
struct added {
	double through[2], directly[2], stolen[2];
	double rate;
};

static void
added_print(const struct added *a)
{
	double stolen = fmax(a->stolen[0], a->stolen[1]);
	char more[300], conditions[500];

	snprintf(more, sizeof(more),
		"\"p99\": %.2f, \"through\": [%.2f, %.2f], "
		"\"directly\": [%.2f, %.2f], \"offered_rate\": %.0f, "
		"\"nic_core_stolen\": %.3f, ",
		a->through[1] - a->directly[1], a->through[0], a->through[1],
		a->directly[0], a->directly[1], a->rate, stolen);
	snprintf(conditions, sizeof(conditions),
		"median (p99) of the time from when a request was due, at even "
		"distances, until its answer is there, at half of "
		"proxy.keepalive.rate, less that of the same load handed from "
		"the generator's clients to its backends; 1 KiB answers, %u "
		"kept connections; runs of %llu ms",
		CONNECTIONS, (unsigned long long)(side_run_ns() / 1000000));
	report(&(struct result){ .name = "proxy.latency",
		.value = a->through[0] - a->directly[0],
		.unit = "us",
		.repeats = side_repeats(),
		.cores = "core 1: the proxy, which polls; core 0: the NIC and "
			 "the generator",
		.limited_by = cost_late(stolen),
		.more = more,
		.conditions = conditions });
}

/* `l` has been measured by `t`, whose runs are sorted. */
static int
latency(struct tcp_turn *t, struct tcp_load *l)
{
	struct added a = { .rate = runs_median(t->costs.pps, t->costs.n) / 2 };

	if (tcp_load_drain(l) != 0 ||
		tcp_turn_delay(l, a.rate, a.through, &a.stolen[0]) != 0)
		return -1;
	tcp_load_close(l);
	l->link.direct = true;
	l->to = ip_addr_from_v4(BACKEND);
	l->port = TCP_BACKEND_PORT;
	if (tcp_load_open(l, OPEN_NS) != 0 ||
		tcp_turn_delay(l, a.rate, a.directly, &a.stolen[1]) != 0)
		return -1;
	added_print(&a);
	return 0;
}

/* --- scenes -------------------------------------------------------------- */

static int
play(struct softlab *lab, const void *argument)
{
	struct act act = *(const struct act *)argument;

	backends = (struct tcp_backends){
		.n = SERVED, .bytes = act.bytes, .close = act.each
	};
	load = (struct tcp_load){ .kind = TCP_LOAD_HTTP,
		.to = ip_addr_from_v4(VIP),
		.port = PORT,
		.n = act.n,
		.each = act.each,
		.request = act.each && !act.tcp
				   ? REQUEST("Connection: close\r\n")
				   : REQUEST("") };
	if (tcp_load_init(&load, lab) != 0 ||
		tcp_backends_init(&backends, &load.link) != 0 ||
		(!act.each && tcp_load_open(&load, OPEN_NS) != 0))
		return -1;
	load.window = act.n;
	if (tcp_turn_all(&act.turn, &load) != 0 ||
		(act.latency && latency(&act.turn, &load) != 0))
		return -1;
	return tcp_load_drain(&load);
}

static void
function_write(char *to, size_t len, const struct act *act)
{
	char service[300];

	if (act->tcp)
		snprintf(service, sizeof(service), "mode = \"tcp\";");
	else
		snprintf(service, sizeof(service),
			"cookie = \"SRV\"; forwarded_for = true; "
			"max_idle = %u;",
			act->each ? 0 : CONNECTIONS);
	snprintf(to, len,
		"( { name = \"it\"; type = \"proxy\"; cores = \"CORE\"; "
		"snat = [ \"10.0.0.9\", \"10.0.0.10\", \"10.0.0.11\", "
		"\"10.0.0.12\" ]; connections = 65536; services: ( { "
		"name = \"s\"; address = \"10.0.0.80\"; port = 80; "
		"protocol = \"tcp\"; scheduler = \"rr\"; %s backends: (",
		service);
	for (uint32_t i = 0; i < TCP_BACKENDS; i++)
		snprintf(to + strlen(to), len - strlen(to),
			"%s { address = \"10.0.1.%u\"; port = 8080; }",
			i == 0 ? "" : ",", 21 + i);
	snprintf(to + strlen(to), len - strlen(to), " ); } ); } )");
}

static int
stage(const struct act *act)
{
	char functions[1200];
	struct scene scene = { .play = play,
		.argument = act,
		.functions = functions,
		.memory_mb = tcp_load_memory_mb(act->n) + TCP_BACKENDS_MB };

	function_write(functions, sizeof(functions), act);
	return stage_play(&scene);
}

static const struct act acts[] = {
	{ .turn = { .name = "proxy.close",
		  .per = "request",
		  .unit = TCP_TURN_US,
		  .what = "HTTP/1.1, GET, 1 KiB answers, Connection: close: a "
			  "connection for each request to the proxy and one "
			  "to a backend; round robin over 4, a cookie set, "
			  "X-Forwarded-For; 64 at a time" },
		.n = CONNECTIONS,
		.bytes = 1024,
		.each = true },
	{ .turn = { .name = "proxy.keepalive",
		  .per = "request",
		  .unit = TCP_TURN_US,
		  .what = "HTTP/1.1, GET, 1 KiB answers, 64 kept connections "
			  "of clients, backends' kept as well; round robin "
			  "over 4, a cookie set, X-Forwarded-For" },
		.n = CONNECTIONS,
		.bytes = 1024,
		.latency = true },
	{ .turn = { .name = "proxy.tcp",
		  .per = "request",
		  .unit = TCP_TURN_US,
		  .what = "mode tcp, 1 KiB answers, a connection for each "
			  "request to the proxy and one to a backend, which "
			  "closes; round robin over 4; 64 at a time" },
		.n = CONNECTIONS,
		.bytes = 1024,
		.each = true,
		.tcp = true },
	{ .turn = { .name = "proxy.big",
		  .per = "byte",
		  .unit = TCP_TURN_GB,
		  .bytes = true,
		  .what = "HTTP/1.1, GET, 1 MiB answers, 8 kept connections; "
			  "bytes that have come to clients" },
		.n = 8,
		.bytes = 1u << 20 },
};

int
main(int argc, char **argv)
{
	int rc = 0;

	softlab_child(argc, argv, NULL);
	if (stage_init(argc, argv) != 0)
		return 1;
	for (size_t i = 0; i < sizeof(acts) / sizeof(*acts) && rc == 0; i++)
		rc = stage(&acts[i]);
	return rc != 0;
}
