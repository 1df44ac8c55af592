/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The proxy's part of a grant: groups, routes and what else a service of a
 * proxy says. Texts go into one array, equal ones once; groups first, then
 * routes, then the page, as check_proxy() counts them.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctrl/plan.h"
#include "ctrl/texts.h"

static int
add_text(struct grant *g, const char *text, size_t len, struct grant_text *at)
{
	struct texts t = { g->text, g->text_len, GRANT_TEXT_MAX };
	int rc = texts_add(&t, text, len, at);

	g->text_len = t.len;
	return rc;
}

int
plan_group(struct grant *g, const struct config_group *from)
{
	struct grant_group *to = &g->groups[g->n_groups++];

	*to = (struct grant_group){
		.first_backend = g->n_backends,
		.n_backends = from->n_backends,
		.max_idle = from->max_idle,
		.scheduler = (uint8_t)from->scheduler,
		.proxy_protocol = (uint8_t)from->send_proxy,
	};
	snprintf(to->name, sizeof(to->name), "%s", from->name);
	return add_text(g, from->cookie, strlen(from->cookie), &to->cookie);
}

/* --- routes --- */

/* Whole hosts, those with names below them, none. */
static int class(const struct config_route *r)
{
	return *r->host == '\0' ? 2 : *r->host == '.';
}

static int
longer(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b);

	return n != m ? (n > m ? -1 : 1) : strcmp(a, b);
}

/* As grant_route says; the order of the file does not matter. */
static int
compare_routes(const void *a, const void *b)
{
	const struct config_route *x = a, *y = b;
	int d = class(x) - class(y);

	if (d == 0)
		d = longer(x->host, y->host);
	return d != 0 ? d : longer(x->path, y->path);
}

static int
add_routes(struct grant *g, const struct config_service *s, uint32_t first)
{
	size_t size = s->n_routes * sizeof(*s->routes);
	struct config_route *sorted = malloc(size + 1);
	int rc = sorted == NULL ? -ENOMEM : 0;

	if (rc == 0 && size > 0) {
		memcpy(sorted, s->routes, size);
		qsort(sorted, s->n_routes, sizeof(*sorted), compare_routes);
	}
	for (unsigned int i = 0; i < s->n_routes && rc == 0; i++) {
		struct grant_route *to = &g->routes[g->n_routes++];
		const struct config_route *r = &sorted[i];

		to->group = first + r->index;
		rc = add_text(g, r->host, strlen(r->host), &to->host);
		if (rc == 0)
			rc = add_text(g, r->path, strlen(r->path), &to->path);
	}
	free(sorted);
	return rc;
}

static uint16_t
flags(const struct config_service *s)
{
	int flags = 0;

	flags |= s->forwarded_for ? GRANT_F_FORWARDED_FOR : 0;
	flags |= s->forwarded ? GRANT_F_FORWARDED : 0;
	flags |= s->trust_forwarded ? GRANT_F_TRUST : 0;
	flags |= s->access_log ? GRANT_F_ACCESS_LOG : 0;
	return (uint16_t)flags;
}

int
plan_proxy(struct grant *g, const struct config_service *s, uint32_t first)
{
	struct grant_proxy *to = &g->proxy[g->n_services - 1];
	int rc;

	*to = (struct grant_proxy){
		.mode = (uint8_t)s->mode,
		.proxy_protocol = (uint8_t)s->proxy_protocol,
		.flags = flags(s),
		.default_group = first + config_default_group(s),
		.first_route = g->n_routes,
		.n_routes = s->n_routes,
		.connect_ms = s->timeouts.connect_ms,
		.header_ms = s->timeouts.header_ms,
		.idle_ms = s->timeouts.idle_ms,
		.response_ms = s->timeouts.response_ms,
		.tunnel_ms = s->timeouts.tunnel_ms,
		.max_connections = s->client_connections,
		.max_header_bytes = s->max_header,
		.max_headers = s->max_headers,
		.max_body = s->max_body,
		.retries = s->retries,
		.max_requests = s->max_requests,
	};
	rc = add_routes(g, s, first);
	if (rc == 0)
		rc = add_text(g, s->error_body, s->error_len, &to->error_body);
	return rc;
}
