/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which group of backends a request is for, by host and path.
 *
 * A route's host fits the request's, port and case aside; ".example.org" fits
 * every name below it, at any depth, but not "example.org". One dot at the end
 * of a request's host is ignored (RFC 3986 section 3.2.2).
 *
 * A route's path fits whole segments: "/api" fits /api, /api/x and /api?x, not
 * /apix; "/api/" fits what is below it. Paths are compared as they came, byte
 * by byte: %2f is no slash and ".." no step up, for the backend may see that
 * differently. So routes choose a server; they do not guard it.
 */
#ifndef CARRYALL_PROXY_ROUTE_H
#define CARRYALL_PROXY_ROUTE_H

#include "dataplane/grant.h"
#include "nf/proxy/http.h"

/*
 * The group of service `service` for the request whose head is in buf: index
 * into g->groups. The first of its routes that fits, or its default. Thread:
 * any. Pure.
 */
uint32_t route_find(const struct grant *g, uint32_t service,
	const struct http_head *head, const char *buf);

/* The same by texts; host without port. */
uint32_t route_find_text(const struct grant *g, uint32_t service,
	const char *host, size_t host_len, const char *path, size_t path_len);

#endif
