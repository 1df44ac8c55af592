/* SPDX-License-Identifier: BSD-3-Clause */
/* What only a proxy counts, in the status: TCP, HTTP, backends' answers. */
#include <stddef.h>

#include "ctrl/access_line.h"
#include "ctrl/status.h"

struct counter {
	const char *name;
	size_t offset;
};

#define TCP(field)                                        \
	{                                                 \
#field, offsetof(struct stats_tcp, field) \
	}

static const struct counter tcp[] = {
	TCP(established),
	TCP(time_wait),
	TCP(active_opens),
	TCP(passive_opens),
	TCP(failed_opens),
	TCP(in_segments),
	TCP(out_segments),
	TCP(in_bytes),
	TCP(out_bytes),
	TCP(resets_in),
	TCP(resets_out),
	TCP(retransmits),
	TCP(fast_retransmits),
	TCP(timeouts),
	TCP(out_of_order),
	TCP(duplicates),
	TCP(unacceptable),
	TCP(paws),
	TCP(challenge_acks),
	TCP(challenge_limited),
	TCP(zero_windows),
	TCP(probes),
	TCP(cookies_sent),
	TCP(cookies_ok),
	TCP(cookies_bad),
	TCP(time_wait_reused),
	TCP(time_wait_evicted),
	TCP(icmp_errors),
	TCP(pmtu),
	TCP(no_memory),
	TCP(table_full),
	TCP(dead),
};

_Static_assert(sizeof(tcp) / sizeof(tcp[0]) ==
		       sizeof(struct stats_tcp) / sizeof(uint64_t),
	"every counter has its name");

static json_t *
count(uint64_t n)
{
	return json_integer((json_int_t)n);
}

json_t *
status_tcp_json(const struct stats_tcp *t)
{
	json_t *o = json_object();

	for (size_t i = 0; i < sizeof(tcp) / sizeof(tcp[0]); i++)
		json_object_set_new(o, tcp[i].name,
			count(*(const uint64_t *)(const void
					*)((const char *)t + tcp[i].offset)));
	return o;
}

/* --- a service --- */

static void
http_add(struct stats_http *sum, const struct stats_http *h)
{
	sum->requests += h->requests;
	for (int i = 0; i < 6; i++)
		sum->status[i] += h->status[i];
	for (int i = 0; i < HTTP_ERRORS; i++)
		sum->error[i] += h->error[i];
	sum->retries += h->retries;
	sum->tunnels += h->tunnels;
	sum->limited += h->limited;
	sum->access_lost += h->access_lost;
}

static json_t *
answers_json(const struct stats_http *h)
{
	static const char *const name[] = { "none", "1xx", "2xx", "3xx", "4xx",
		"5xx" };
	json_t *o = json_object();

	for (int i = 0; i < 6; i++)
		json_object_set_new(o, name[i], count(h->status[i]));
	return o;
}

/* Errors that happened, by name. */
static json_t *
errors_json(const struct stats_http *h)
{
	json_t *o = json_object();

	for (uint32_t i = 0; i < HTTP_ERRORS; i++)
		if (h->error[i] > 0)
			json_object_set_new(
				o, http_error_name(i), count(h->error[i]));
	return o;
}

json_t *
status_http_json(
	const struct status_source *src, uint32_t function, uint32_t service)
{
	struct stats_http sum = { 0 };
	double per_s = 0;
	json_t *o;

	for (uint32_t i = 0; i < src->plan->n_instances; i++) {
		if (src->plan->instances[i].function != function)
			continue;
		http_add(&sum, &supervisor_get(src->supervisor, i)
					->stats->http[service]);
		per_s += src->load[i].requests_per_s[service];
	}
	o = json_pack("{s:f, s:o, s:o}", "requests_per_s", per_s, "answers",
		answers_json(&sum), "errors", errors_json(&sum));
	json_object_set_new(o, "requests", count(sum.requests));
	json_object_set_new(o, "retries", count(sum.retries));
	json_object_set_new(o, "tunnels", count(sum.tunnels));
	json_object_set_new(o, "limited", count(sum.limited));
	json_object_set_new(o, "access_lost", count(sum.access_lost));
	return o;
}

/* --- a backend --- */

void
status_server_add(struct stats_server *sum, const struct stats_server *s)
{
	sum->idle += s->idle;
	sum->active += s->active;
	sum->requests += s->requests;
	sum->reused += s->reused;
	sum->errors += s->errors;
	sum->response_us += s->response_us;
}

void
status_server_json(json_t *o, const struct stats_server *s)
{
	json_object_set_new(o, "active", count(s->active));
	json_object_set_new(o, "idle", count(s->idle));
	json_object_set_new(o, "requests", count(s->requests));
	json_object_set_new(o, "reused", count(s->reused));
	json_object_set_new(o, "errors", count(s->errors));
	json_object_set_new(o, "response_us_total", count(s->response_us));
	json_object_set_new(o, "response_ms",
		json_real(s->requests == 0 ? 0
					   : (double)s->response_us / 1000 /
						     (double)s->requests));
}

/* --- rates --- */

void
status_requests_sample(
	struct status_load *load, const struct stats *s, uint64_t now_us)
{
	uint64_t us = now_us - load->sampled_us;

	for (uint32_t i = 0; i < GRANT_SERVICES_MAX; i++) {
		uint64_t n = s->http[i].requests;

		/* The first sample has nothing to compare with. */
		load->requests_per_s[i] =
			load->sampled_us == 0 || us == 0 ||
					n < load->requests[i]
				? 0
				: (double)(n - load->requests[i]) * 1e6 /
					  (double)us;
		load->requests[i] = n;
	}
	load->sampled_us = now_us;
}
