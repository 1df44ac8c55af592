/* SPDX-License-Identifier: BSD-3-Clause */
/* What only a proxy has to show. */
#include "appliance/show_words.h"

#include <stdio.h>
#include <string.h>

/* Two are as they are now, through any lens; the others are told if there is
 * anything to tell. */
void
show_tcp(FILE *out, const json_t *t, const json_t *b, struct lens lens)
{
	static const struct {
		const char *key, *word;
	} shown[] = {
		{ "retransmits", "retransmits" },
		{ "timeouts", "time-outs" },
		{ "resets_in", "resets in" },
		{ "resets_out", "resets out" },
		{ "out_of_order", "out of order" },
		{ "zero_windows", "zero windows" },
		{ "cookies_sent", "cookies sent" },
		{ "cookies_ok", "cookies good" },
	};
	char n[16];

	if (t == NULL)
		return;
	fprintf(out, "    tcp: established %s",
		show_human(show_number(t, "established"), n));
	fprintf(out, ", time wait %s",
		show_human(show_number(t, "time_wait"), n));
	for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
		double v = show_seen(lens, t, b, shown[i].key);

		if (v > 0)
			fprintf(out, ", %s %s", shown[i].word,
				show_human(v, n));
	}
	fputc('\n', out);
}

void
show_access_log(FILE *out, const json_t *a)
{
	char n[16];

	if (a == NULL)
		return;
	fprintf(out, "  access log %s (%s): %s lines", show_text(a, "file"),
		show_text(a, "format"), show_human(show_number(a, "lines"), n));
	if (json_object_get(a, "error") != NULL)
		fprintf(out, ", waits: %s", show_text(a, "error"));
	fputc('\n', out);
}

static void
show_requests(FILE *out, const json_t *h, const json_t *b, struct lens lens)
{
	static const char *const class[] = { "2xx", "3xx", "4xx", "5xx",
		"none" };
	const json_t *answers = json_object_get(h, "answers");
	const json_t *former = json_object_get(b, "answers");
	char n[16], rate[16];

	fprintf(out, "    requests %s, now %s/s:",
		show_human(show_number(h, "requests"), n),
		show_human(show_number(h, "requests_per_s"), rate));
	for (size_t i = 0; i < sizeof(class) / sizeof(class[0]); i++)
		fprintf(out, "%s %s %s", i == 0 ? "" : ",", class[i],
			show_human(
				show_seen(lens, answers, former, class[i]), n));
	fputc('\n', out);
}

/* What is seldom is only told when it is there. */
static void
show_seldom(FILE *out, const json_t *h)
{
	static const struct {
		const char *key, *word;
	} shown[] = {
		{ "tunnels", "tunnels" },
		{ "retries", "retries" },
		{ "limited", "refused by client_connections" },
		{ "access_lost", "lines of the access log lost" },
	};
	char n[16];
	int some = 0;

	for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
		if (show_number(h, shown[i].key) > 0)
			fprintf(out, "%s%s %s", some++ == 0 ? "    " : ", ",
				shown[i].word,
				show_human(show_number(h, shown[i].key), n));
	if (some > 0)
		fputc('\n', out);
	show_counters(out, "    errors: ", json_object_get(h, "errors"));
}

static void
show_server(FILE *out, const json_t *k, const json_t *b, struct lens lens)
{
	char where[64], active[16], idle[16], requests[16], errors[16],
		failed[16];
	double n = show_seen(lens, k, b, "requests");
	double reused = show_seen(lens, k, b, "reused");
	double us = show_seen(lens, k, b, "response_us_total");

	snprintf(where, sizeof(where),
		strchr(show_text(k, "address"), ':') ? "[%s]:%d" : "%s:%d",
		show_text(k, "address"), (int)show_number(k, "port"));
	fprintf(out,
		"    %-26s %-8.8s %-10s %4d %6s %6s %7s %5.0f%% %7.2f "
		"%6s %6s",
		where, show_text(k, "group"), show_text(k, "state"),
		(int)show_number(k, "weight"),
		show_human(show_number(k, "active"), active),
		show_human(show_number(k, "idle"), idle),
		show_human(n, requests), n > 0 ? 100 * reused / n : 0,
		n > 0 ? us / n / 1000 : 0,
		show_human(show_number(k, "errors"), errors),
		show_human(show_number(k, "failed"), failed));
	if (json_is_true(json_object_get(k, "shared")))
		fputs("  counts of all its groups", out);
	if (json_object_get(k, "why") != NULL)
		fprintf(out, "  %s", show_text(k, "why"));
	fputc('\n', out);
}

/* Behind what every service begins with. */
void
show_proxy_service(
	FILE *out, const json_t *s, const json_t *b, struct lens lens)
{
	const json_t *list = json_object_get(s, "backends");
	const json_t *former = json_object_get(b, "backends");
	const json_t *h = json_object_get(s, "http");
	const char *mode = show_text(s, "mode");
	char conns[16], opened[16];

	fprintf(out, "  mode %s  connections %s, opened %s\n", mode,
		show_human(show_number(s, "connections"), conns),
		show_human(show_seen(lens, s, b, "opened"), opened));
	if (strcmp(mode, "http") == 0)
		show_requests(out, h, json_object_get(b, "http"), lens);
	show_seldom(out, h);
	fprintf(out, "    %-26s %-8s %-10s %4s %6s %6s %7s %6s %7s %6s %6s\n",
		"backend", "group", "state", "wgt", "active", "idle", "reqs",
		"reused", "ms", "errors", "failed");
	for (size_t i = 0; i < json_array_size(list); i++)
		show_server(out, json_array_get(list, i),
			json_array_get(former, i), lens);
}
