/* SPDX-License-Identifier: BSD-3-Clause */
#include "appliance/show.h"

#include <stdint.h>
#include <string.h>

static const char *
text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s != NULL ? s : "-";
}

static double
number(const json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

/* 12345678 -> "12.3M", right for a column of seven. */
static const char *
human(double n, char buf[16])
{
	static const char unit[] = " kMGTP";
	int i = 0;

	while (n >= 99999.5 && i < 5) {
		n /= 1000;
		i++;
	}
	if (i == 0)
		snprintf(buf, 16, "%.0f", n);
	else
		snprintf(buf, 16, "%.1f%c", n, unit[i]);
	return buf;
}

/* A counter, or its rate when there is a former value. */
struct lens {
	double seconds; /* 0: totals */
};

static double
seen(struct lens lens, const json_t *now, const json_t *before, const char *key)
{
	if (lens.seconds <= 0)
		return number(now, key);
	return (number(now, key) - number(before, key)) / lens.seconds;
}

/* "name 12, other 3" of an object of counters, or nothing. */
static void
show_counters(FILE *out, const char *title, const json_t *counters)
{
	const char *key;
	json_t *value;
	int n = 0;

	json_object_foreach((json_t *)(uintptr_t)counters, key, value)
		fprintf(out, "%s%s %lld", n++ == 0 ? title : ", ", key,
			(long long)json_integer_value(value));
	if (n > 0)
		fputc('\n', out);
}

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
		if (number(l, key[i]) > 0)
			fprintf(out, "%s%s %.0f",
				n++ == 0 ? "    log trouble: " : ", ", key[i],
				number(l, key[i]));
	if (json_object_get(l, "error") != NULL)
		fprintf(out, "%s%s", n++ == 0 ? "    log trouble: " : "; now: ",
			text(l, "error"));
	if (n > 0)
		fputc('\n', out);
}

static void
show_log_recovery(FILE *out, const json_t *l)
{
	double lost = number(l, "lost_config") + number(l, "lost_expired") +
		      number(l, "lost_other");

	if (number(l, "recovered") + lost <= 0)
		return;
	fprintf(out, "    log recovered: %.0f connections in %.1f ms",
		number(l, "recovered"), number(l, "recover_ms"));
	if (lost > 0)
		fprintf(out,
			", dropped: %.0f not in the config, %.0f expired, "
			"%.0f other",
			number(l, "lost_config"), number(l, "lost_expired"),
			number(l, "lost_other"));
	fprintf(out, "%s\n",
		json_is_true(json_object_get(l, "damaged"))
			? ", from a damaged store"
			: "");
}

static void
show_log(FILE *out, const json_t *l)
{
	char used[16], capacity[16], records[16], left[16];
	double waits = number(l, "records") - number(l, "durable");

	if (l == NULL)
		return;
	fprintf(out, "    log: %s, %s, %s of %s, records %s (",
		text(l, "state"), text(l, "durability"),
		human_size(number(l, "used"), used),
		human_size(number(l, "capacity"), capacity),
		human(number(l, "records"), records));
	if (waits > 0)
		fprintf(out, "%s not durable", human(waits, left));
	else
		fputs("all durable", out);
	fprintf(out, "), checkpoints %.0f\n", number(l, "checkpoints"));
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
		text(u, "name"), text(u, "device"), text(u, "provider"),
		text(u, "mode"), human(seen(lens, u, b, "rx_packets"), rx),
		human(seen(lens, u, b, "passed"), passed));
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
		text(n, "state"), (int)number(n, "pid"), (int)number(n, "core"),
		number(n, "busy_percent"), (int)number(n, "restarts"),
		human(seen(lens, n, b, "rx_packets"), rx),
		human(seen(lens, n, b, "tx_packets"), tx));
	if (number(n, "no_buffers") > 0)
		fprintf(out, "    without packet buffers: %.0f times\n",
			number(n, "no_buffers"));
	if (json_object_get(n, "refused") != NULL)
		fprintf(out, "    refused the config: %s\n",
			text(n, "refused"));
}

static void
show_instance(FILE *out, const json_t *i, const json_t *b, struct lens lens)
{
	char conns[16], opened[16], rx[16], tx[16], mis[16];

	fprintf(out, "  %-12s %-8s %6d %4d %5.1f%% %8s %8s %8s %8s %8s %5d\n",
		text(i, "name"), text(i, "state"), (int)number(i, "pid"),
		(int)number(i, "core"), number(i, "busy_percent"),
		human(number(i, "connections"), conns),
		human(seen(lens, i, b, "opened"), opened),
		human(seen(lens, i, b, "rx_packets"), rx),
		human(seen(lens, i, b, "tx_packets"), tx),
		human(number(i, "misdirected"), mis),
		(int)number(i, "restarts"));
	show_counters(out, "    dropped: ", json_object_get(i, "drops"));
	show_counters(out, "    dropped by its VNIC: ",
		json_object_get(json_object_get(i, "vnic"), "drops"));
	show_log(out, json_object_get(i, "log"));
	if (json_object_get(i, "refused") != NULL)
		fprintf(out, "    refused the config: %s\n",
			text(i, "refused"));
}

static void
show_backend(FILE *out, const json_t *k, const json_t *b, struct lens lens)
{
	char where[64], conns[16], opened[16], packets[16], failed[16];

	snprintf(where, sizeof(where),
		strchr(text(k, "address"), ':') ? "[%s]:%d" : "%s:%d",
		text(k, "address"), (int)number(k, "port"));
	fprintf(out, "    %-30s %-10s %6d %8s %8s %8s %6s", where,
		text(k, "state"), (int)number(k, "weight"),
		human(number(k, "connections"), conns),
		human(seen(lens, k, b, "opened"), opened),
		human(seen(lens, k, b, "packets"), packets),
		human(number(k, "failed"), failed));
	if (json_object_get(k, "why") != NULL)
		fprintf(out, "  %s", text(k, "why"));
	fputc('\n', out);
}

static void
show_service(FILE *out, const json_t *s, const json_t *b, struct lens lens)
{
	const json_t *list = json_object_get(s, "backends");
	const json_t *former = json_object_get(b, "backends");
	char conns[16], opened[16], packets[16];

	fprintf(out, "  service %s  %s %s%s%s", text(s, "name"),
		text(s, "protocol"), strchr(text(s, "address"), ':') ? "[" : "",
		text(s, "address"), strchr(text(s, "address"), ':') ? "]" : "");
	if (number(s, "port") > 0)
		fprintf(out, ":%d", (int)number(s, "port"));
	if (json_array_size(list) == 0) {
		fprintf(out, "  packets %s\n",
			human(seen(lens, s, b, "packets"), packets));
		return;
	}
	fprintf(out, "  %s  connections %s, opened %s, packets %s\n",
		text(s, "scheduler"), human(number(s, "connections"), conns),
		human(seen(lens, s, b, "opened"), opened),
		human(seen(lens, s, b, "packets"), packets));
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

	fprintf(out, "\nfunction %s (%s)\n", text(f, "name"), text(f, "type"));
	fprintf(out, "  %-12s %-8s %6s %4s %6s %8s %8s %8s %8s %8s %5s\n",
		"instance", "state", "pid", "core", "busy", "conns", "opened",
		"rx", "tx", "misdir.", "rest.");
	for (size_t i = 0; i < json_array_size(instances); i++)
		show_instance(out, json_array_get(instances, i),
			json_array_get(json_object_get(b, "instances"), i),
			lens);
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
		text(now, "appliance"), text(now, "version"),
		(int)number(now, "pid"), (int)number(now, "uptime_s"),
		json_is_true(json_object_get(now, "adopted")) ? ", adopted"
							      : "",
		text(now, "pages"),
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
