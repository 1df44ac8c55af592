/* SPDX-License-Identifier: BSD-3-Clause */
/* What is told of an exchange when it is over: counters, and the log. */
#include <string.h>

#include "dataplane/clock.h"
#include "nf/proxy/proxy.h"

bool
report_logs(const struct session *s)
{
	return (service_of(s)->conf.flags & GRANT_F_ACCESS_LOG) &&
	       s->proxy->access != NULL;
}

static struct http_slice
value_of(const struct http_parser *h, enum http_field_id id)
{
	const struct http_field *f = http_field(h, id);
	const struct http_slice none = { 0 };

	return f == NULL ? none : f->value;
}

void
report_texts(struct exchange *x, const struct http_parser *h)
{
	x->text[ACCESS_METHOD] = h->head.method_text;
	x->text[ACCESS_TARGET] = h->head.target;
	x->text[ACCESS_VERSION_TEXT] = h->head.version;
	x->text[ACCESS_HOST] = h->head.authority;
	x->text[ACCESS_REFERER] = value_of(h, HTTP_F_REFERER);
	x->text[ACCESS_AGENT] = value_of(h, HTTP_F_USER_AGENT);
}

void
report_error(struct session *s, enum stats_http_error e)
{
	if (s->x.error != 0)
		return;
	s->x.error = (uint8_t)(e + 1);
	service_of(s)->http->error[e]++;
}

/* --- the log ------------------------------------------------------------- */

/* From `from` to `to`; what has not happened took no time. */
static uint32_t
took(uint64_t from, uint64_t to)
{
	if (from == 0 || to <= from)
		return 0;
	return (uint32_t)RTE_MIN(to - from, (uint64_t)UINT32_MAX);
}

static void
fill(const struct session *s, struct access_record *r)
{
	const struct proxy *p = s->proxy;
	const struct exchange *x = &s->x;
	uint64_t total = p->now_us - x->began_us;

	*r = (struct access_record){ .status = x->status,
		.service = (uint16_t)service_of(s)->stat,
		.at_us = clock_ns(CLOCK_REALTIME) / 1000 - total,
		.client = s->client,
		.client_port = s->client_port,
		.retries = x->retries,
		.error = x->error,
		.reused = (x->flags & EXCHANGE_REUSED) != 0,
		.bytes_in = x->bytes_in,
		.bytes_out = x->bytes_out,
		.header_us = took(x->began_us, x->headed_us),
		.connect_us = took(x->headed_us ? x->headed_us : x->began_us,
			x->connected_us),
		.response_us = took(x->asked_us, x->heard_us),
		.total_us = took(x->began_us, p->now_us) };
	if (x->backend != PROXY_NONE) {
		r->backend = p->backend[x->backend].addr;
		r->backend_port = p->backend[x->backend].port;
	}
}

/* The texts are where they were, unless the head came in so many pieces. */
static void
write_line(struct session *s)
{
	struct proxy *p = s->proxy;
	struct exchange *x = &s->x;
	const char *text[ACCESS_TEXTS] = { 0 };
	struct access_record r;
	const char *buf = NULL;

	fill(s, &r);
	if (x->kept != NULL)
		buf = rte_pktmbuf_read(x->kept, 0, x->kept->pkt_len, p->flat);
	for (int i = 0; buf != NULL && i < ACCESS_TEXTS; i++) {
		text[i] = buf + x->text[i].at;
		r.text_len[i] = x->text[i].len;
	}
	if (access_put(p->access, &r, text) != 0)
		service_of(s)->http->access_lost++;
}

/* --- all of it ----------------------------------------------------------- */

static void
count(struct session *s)
{
	struct service *v = service_of(s);
	struct exchange *x = &s->x;
	uint64_t bytes = x->bytes_in + x->bytes_out;

	if (v->conf.mode == GRANT_MODE_HTTP) {
		v->http->requests++;
		v->http->status[x->status / 100 % 6]++;
	}
	if (x->flags & EXCHANGE_TUNNEL)
		v->http->tunnels--;
	v->counts->packets++;
	v->counts->bytes += bytes;
	if (x->backend != PROXY_NONE) {
		struct stats_backend *b =
			&s->proxy->env->stats->backend[x->backend];

		b->packets++;
		b->bytes += bytes;
	}
}

void
report_end(struct session *s)
{
	count(s);
	if (report_logs(s))
		write_line(s);
}
