/* SPDX-License-Identifier: BSD-3-Clause */
#include "nf/proxy/route.h"

#include <string.h>
#include <strings.h>

static bool
host_fits(const char *want, size_t want_len, const char *host, size_t len)
{
	if (want_len == 0)
		return true;
	if (want[0] == '.') {
		if (len <= want_len)
			return false;
		host += len - want_len;
		len = want_len;
	}
	return len == want_len && strncasecmp(want, host, len) == 0;
}

static bool
path_fits(const char *want, size_t want_len, const char *path, size_t len)
{
	if (want_len == 0)
		return true;
	if (len < want_len || memcmp(want, path, want_len) != 0)
		return false;
	return len == want_len || want[want_len - 1] == '/' ||
	       path[want_len] == '/' || path[want_len] == '?';
}

uint32_t
route_find_text(const struct grant *g, uint32_t service, const char *host,
	size_t host_len, const char *path, size_t path_len)
{
	const struct grant_proxy *p = &g->proxy[service];
	const struct grant_route *r = &g->routes[p->first_route];

	if (host_len > 0 && host[host_len - 1] == '.')
		host_len--;
	for (uint32_t i = 0; i < p->n_routes; i++, r++)
		if (host_fits(grant_text(g, r->host), r->host.len, host,
			    host_len) &&
			path_fits(grant_text(g, r->path), r->path.len, path,
				path_len))
			return r->group;
	return p->default_group;
}

uint32_t
route_find(const struct grant *g, uint32_t service,
	const struct http_head *head, const char *buf)
{
	const bool root = head->path.len == 0;

	return route_find_text(g, service, buf + head->host.at, head->host.len,
		root ? "/" : buf + head->path.at, root ? 1 : head->path.len);
}
