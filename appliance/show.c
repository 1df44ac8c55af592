/* SPDX-License-Identifier: BSD-3-Clause */
#include "appliance/show.h"
#include "appliance/show_words.h"

#include <stdint.h>
#include <string.h>

/* Bytes: 12897485 -> "12.3M", as sizes are written in a config. */
static const char *
human_size(double n, char buf[16])
{
	static const char unit[] = "BKMGT";
	int i = 0;

	while (n >= 999.5 && i < 4) {
		n /= 1024;
		i++;
	}
	snprintf(buf, 16, "%.3g%c", n, unit[i]);
	return buf;
}

/* What went wrong with a log since the counters began. */
static void
show_log_trouble(FILE *out, const json_t *l)
{
	static const char *const key[] = { "errors", "stalls", "no_room",
		"missed", "fulls" };
	int n = 0;

	for (size_t i = 0; i < sizeof(key) / sizeof(key[0]); i++)
		if (show_number(l, key[i]) > 0)
			fprintf(out, "%s%s %.0f",
				n++ == 0 ? "    log trouble: " : ", ", key[i],
				show_number(l, key[i]));
	if (json_object_get(l, "error") != NULL)
		fprintf(out, "%s%s", n++ == 0 ? "    log trouble: " : "; now: ",
			show_text(l, "error"));
	if (n > 0)
		fputc('\n', out);
}

static void
show_log_recovery(FILE *out, const json_t *l)
{
	double lost = show_number(l, "lost_config") +
		      show_number(l, "lost_expired") +
		      show_number(l, "lost_other");

	if (show_number(l, "recovered") + lost <= 0)
		return;
	fprintf(out, "    log recovered: %.0f connections in %.1f ms",
		show_number(l, "recovered"), show_number(l, "recover_ms"));
	if (lost > 0)
		fprintf(out,
			", dropped: %.0f not in the config, %.0f expired, "
			"%.0f other",
			show_number(l, "lost_config"),
			show_number(l, "lost_expired"),
			show_number(l, "lost_other"));
	fprintf(out, "%s\n",
		json_is_true(json_object_get(l, "damaged"))
			? ", from a damaged store"
			: "");
}

static void
show_log(FILE *out, const json_t *l)
{
	char used[16], capacity[16], records[16], left[16];
	double waits = show_number(l, "records") - show_number(l, "durable");

	if (l == NULL)
		return;
	fprintf(out, "    log: %s, %s, %s of %s, records %s (",
		show_text(l, "state"), show_text(l, "durability"),
		human_size(show_number(l, "used"), used),
		human_size(show_number(l, "capacity"), capacity),
		show_human(show_number(l, "records"), records));
	if (waits > 0)
		fprintf(out, "%s not durable", show_human(waits, left));
	else
		fputs("all durable", out);
	fprintf(out, "), checkpoints %.0f\n", show_number(l, "checkpoints"));
	show_log_trouble(out, l);
	show_log_recovery(out, l);
}

static void
show_uplink(FILE *out, const json_t *u, const json_t *b, struct lens lens)
{
	char rx[16], passed[16];

	fprintf(out,
		"uplink %-8s device %-10s %s, %s   to instances %s, to the "
		"kernel %s\n",
		show_text(u, "name"), show_text(u, "device"),
		show_text(u, "provider"), show_text(u, "mode"),
		show_human(show_seen(lens, u, b, "rx_packets"), rx),
		show_human(show_seen(lens, u, b, "passed"), passed));
	show_counters(out, "    dropped: ", json_object_get(u, "drops"));
}

/* The NIC in software, if there is one. */
static void
show_nic(FILE *out, const json_t *n, const json_t *b, struct lens lens)
{
	char rx[16], tx[16];

	if (n == NULL)
		return;
	fprintf(out,
		"the NIC  %s, pid %d, core %d, busy %.1f%%, restarts %d   "
		"to instances %s, from instances %s\n",
		show_text(n, "state"), (int)show_number(n, "pid"),
		(int)show_number(n, "core"), show_number(n, "busy_percent"),
		(int)show_number(n, "restarts"),
		show_human(show_seen(lens, n, b, "rx_packets"), rx),
		show_human(show_seen(lens, n, b, "tx_packets"), tx));
	if (show_number(n, "no_buffers") > 0)
		fprintf(out, "    without packet buffers: %.0f times\n",
			show_number(n, "no_buffers"));
	if (json_object_get(n, "refused") != NULL)
		fprintf(out, "    refused the config: %s\n",
			show_text(n, "refused"));
}

static void
show_instance(FILE *out, const json_t *i, const json_t *b, struct lens lens)
{
	char conns[16], opened[16], rx[16], tx[16], mis[16];

	fprintf(out, "  %-12s %-8s %6d %4d %5.1f%% %8s %8s %8s %8s %8s %5d\n",
		show_text(i, "name"), show_text(i, "state"),
		(int)show_number(i, "pid"), (int)show_number(i, "core"),
		show_number(i, "busy_percent"),
		show_human(show_number(i, "connections"), conns),
		show_human(show_seen(lens, i, b, "opened"), opened),
		show_human(show_seen(lens, i, b, "rx_packets"), rx),
		show_human(show_seen(lens, i, b, "tx_packets"), tx),
		show_human(show_number(i, "misdirected"), mis),
		(int)show_number(i, "restarts"));
	show_counters(out, "    dropped: ", json_object_get(i, "drops"));
	show_counters(out, "    dropped by its VNIC: ",
		json_object_get(json_object_get(i, "vnic"), "drops"));
	show_tcp(out, json_object_get(i, "tcp"), json_object_get(b, "tcp"),
		lens);
	show_log(out, json_object_get(i, "log"));
	if (json_object_get(i, "refused") != NULL)
		fprintf(out, "    refused the config: %s\n",
			show_text(i, "refused"));
}

static void
show_backend(FILE *out, const json_t *k, const json_t *b, struct lens lens)
{
	char where[64], conns[16], opened[16], packets[16], failed[16];

	snprintf(where, sizeof(where),
		strchr(show_text(k, "address"), ':') ? "[%s]:%d" : "%s:%d",
		show_text(k, "address"), (int)show_number(k, "port"));
	fprintf(out, "    %-30s %-10s %6d %8s %8s %8s %6s", where,
		show_text(k, "state"), (int)show_number(k, "weight"),
		show_human(show_number(k, "connections"), conns),
		show_human(show_seen(lens, k, b, "opened"), opened),
		show_human(show_seen(lens, k, b, "packets"), packets),
		show_human(show_number(k, "failed"), failed));
	if (json_object_get(k, "why") != NULL)
		fprintf(out, "  %s", show_text(k, "why"));
	fputc('\n', out);
}

static void
show_service(FILE *out, const json_t *s, const json_t *b, struct lens lens)
{
	const json_t *list = json_object_get(s, "backends");
	const json_t *former = json_object_get(b, "backends");
	char conns[16], opened[16], packets[16];

	fprintf(out, "  service %s  %s %s%s%s", show_text(s, "name"),
		show_text(s, "protocol"),
		strchr(show_text(s, "address"), ':') ? "[" : "",
		show_text(s, "address"),
		strchr(show_text(s, "address"), ':') ? "]" : "");
	if (show_number(s, "port") > 0)
		fprintf(out, ":%d", (int)show_number(s, "port"));
	if (json_object_get(s, "mode") != NULL) {
		show_proxy_service(out, s, b, lens);
		return;
	}
	if (json_array_size(list) == 0) {
		fprintf(out, "  packets %s\n",
			show_human(show_seen(lens, s, b, "packets"), packets));
		return;
	}
	fprintf(out, "  %s  connections %s, opened %s, packets %s\n",
		show_text(s, "scheduler"),
		show_human(show_number(s, "connections"), conns),
		show_human(show_seen(lens, s, b, "opened"), opened),
		show_human(show_seen(lens, s, b, "packets"), packets));
	fprintf(out, "    %-30s %-10s %6s %8s %8s %8s %6s\n", "backend",
		"state", "weight", "conns", "opened", "packets", "failed");
	for (size_t i = 0; i < json_array_size(list); i++)
		show_backend(out, json_array_get(list, i),
			json_array_get(former, i), lens);
}

static void
show_function(FILE *out, const json_t *f, const json_t *b, struct lens lens)
{
	const json_t *instances = json_object_get(f, "instances");
	const json_t *services = json_object_get(f, "services");

	fprintf(out, "\nfunction %s (%s)\n", show_text(f, "name"),
		show_text(f, "type"));
	fprintf(out, "  %-12s %-8s %6s %4s %6s %8s %8s %8s %8s %8s %5s\n",
		"instance", "state", "pid", "core", "busy", "conns", "opened",
		"rx", "tx", "misdir.", "rest.");
	for (size_t i = 0; i < json_array_size(instances); i++)
		show_instance(out, json_array_get(instances, i),
			json_array_get(json_object_get(b, "instances"), i),
			lens);
	show_access_log(out, json_object_get(f, "access_log"));
	for (size_t i = 0; i < json_array_size(services); i++)
		show_service(out, json_array_get(services, i),
			json_array_get(json_object_get(b, "services"), i),
			lens);
}

void
show_status(FILE *out, const json_t *now, const json_t *before, double seconds)
{
	const json_t *uplinks = json_object_get(now, "uplinks");
	const json_t *functions = json_object_get(now, "functions");
	struct lens lens = { before != NULL ? seconds : 0 };

	fprintf(out, "%s  carryall %s, pid %d, up %d s%s, %s pages%s\n",
		show_text(now, "appliance"), show_text(now, "version"),
		(int)show_number(now, "pid"), (int)show_number(now, "uptime_s"),
		json_is_true(json_object_get(now, "adopted")) ? ", adopted"
							      : "",
		show_text(now, "pages"),
		before != NULL ? "; opened, packets, rx, tx: per second" : "");
	for (size_t i = 0; i < json_array_size(uplinks); i++)
		show_uplink(out, json_array_get(uplinks, i),
			json_array_get(json_object_get(before, "uplinks"), i),
			lens);
	show_nic(out, json_object_get(now, "nic"),
		json_object_get(before, "nic"), lens);
	for (size_t i = 0; i < json_array_size(functions); i++)
		show_function(out, json_array_get(functions, i),
			json_array_get(json_object_get(before, "functions"), i),
			lens);
}
