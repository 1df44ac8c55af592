/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who claims an address: checks over all functions.
 *
 * Every address in the file is a claim, in one of three roles. Sorted by
 * address, then by role and place, all claims to one address stand together
 * with the service addresses first, and each is held against those before
 * it:
 *
 *   service   not the same port and protocol twice; on one uplink
 *   snat      not a service's address; not twice
 *   backend   not an address of ours; over one uplink
 */
#include "ctrl/config_parse.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

enum role {
	ROLE_SERVICE,
	ROLE_SNAT,
	ROLE_BACKEND,
};

struct claim {
	struct ip_addr addr;
	enum role role;
	uint16_t port;
	uint8_t proto;
	unsigned int uplink;
	unsigned int order; /* of appearance */
	const char *function;
	config_setting_t *at;
};

struct claims {
	struct claim *claim;
	unsigned int n, size;
	bool no_memory;
};

static void
claim(struct claims *c, struct claim claim)
{
	const struct ip_addr none = { { 0, 0, 0, 0 } };
	unsigned int size = c->size == 0 ? 64 : 2 * c->size;
	struct claim *more;

	if (ip_addr_eq(&claim.addr, &none) || c->no_memory)
		return;
	if (c->n == c->size) {
		more = realloc(c->claim, size * sizeof(*more));
		if (more == NULL) {
			c->no_memory = true;
			return;
		}
		c->claim = more;
		c->size = size;
	}
	claim.order = c->n;
	c->claim[c->n++] = claim;
}

static void
claim_group(struct claims *c, const struct config_function *f,
	const struct config_group *g, config_setting_t *at)
{
	for (unsigned int i = 0; i < g->n_backends; i++)
		claim(c, (struct claim){ .addr = g->backends[i].addr,
				 .role = ROLE_BACKEND,
				 .uplink = f->backend_uplink,
				 .function = f->name,
				 .at = parse_at(parse_entry(at, "backends", i),
					 "address") });
}

static void
claim_service(struct claims *c, const struct config_function *f,
	const struct config_service *s, config_setting_t *entry)
{
	claim(c, (struct claim){ .addr = s->addr,
			 .role = ROLE_SERVICE,
			 .port = s->port,
			 .proto = s->proto,
			 .uplink = f->uplink,
			 .function = f->name,
			 .at = parse_at(entry, "address") });
	for (unsigned int i = 0; i < config_groups(s); i++) {
		struct config_group g = config_group(s, i);
		unsigned int own = s->n_backends > 0;

		claim_group(c, f, &g,
			i < own ? entry
				: parse_entry(entry, "groups", i - own));
	}
}

static void
claim_function(struct parse *p, struct claims *c, unsigned int index)
{
	const struct config_function *f = &p->config->functions[index];
	config_setting_t *entry = parse_entry(p->root, "functions", index);

	for (unsigned int i = 0; i < f->n_snat; i++)
		claim(c, (struct claim){ .addr = f->snat[i],
				 .role = ROLE_SNAT,
				 .uplink = f->backend_uplink,
				 .function = f->name,
				 .at = parse_entry(entry, "snat", i) });
	for (unsigned int i = 0; i < f->n_services; i++)
		claim_service(c, f, &f->services[i],
			parse_entry(entry, "services", i));
}

static int
compare(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;
	int d = memcmp(&x->addr, &y->addr, sizeof(x->addr));

	if (d != 0)
		return d;
	if (x->role != y->role)
		return x->role < y->role ? -1 : 1;
	return x->order < y->order ? -1 : 1;
}

/* A service whose port or protocol was refused is like no other. */
static bool
is_whole(const struct claim *y)
{
	return y->proto == IPPROTO_ICMP || (y->proto != 0 && y->port != 0);
}

/* The claim before y[0] for the same service, or NULL; x..y share a role. */
static const struct claim *
same_service(const struct claim *x, const struct claim *y)
{
	for (; x < y; x++)
		if (x->port == y->port && x->proto == y->proto && is_whole(y))
			return x;
	return NULL;
}

/* An uplink that was not found is no other uplink. */
static bool
other_uplink(
	const struct parse *p, const struct claim *x, const struct claim *y)
{
	unsigned int n = p->config->n_uplinks;

	return x->uplink < n && y->uplink < n && x->uplink != y->uplink;
}

static void
check_service(struct parse *p, const struct claim *first, const struct claim *y)
{
	const struct claim *x = same_service(first, y);
	char text[46];

	ip_addr_format(&y->addr, text);
	if (x != NULL)
		parse_fault(p, y->at,
			"%s with this port and protocol is served already, by "
			"function \"%s\", line %d; a service belongs to one "
			"function",
			text, x->function, parse_line(p, x->at));
	else if (other_uplink(p, first, y))
		parse_fault(p, y->at,
			"%s is served on uplink \"%s\" already, line %d; an "
			"address lives on one uplink",
			text, p->config->uplinks[first->uplink].name,
			parse_line(p, first->at));
}

static void
check_snat(struct parse *p, const struct claim *first, const struct claim *y)
{
	char text[46];

	parse_fault(p, y->at,
		"snat address %s is %s already, line %d; each function "
		"needs SNAT addresses of its own",
		ip_addr_format(&y->addr, text),
		first->role == ROLE_SERVICE ? "a service's address"
					    : "an SNAT address",
		parse_line(p, first->at));
}

static void
check_backend(struct parse *p, const struct claim *first, const struct claim *y)
{
	char text[46];

	ip_addr_format(&y->addr, text);
	if (first->role != ROLE_BACKEND)
		parse_fault(p, y->at,
			"backend %s is %s of this appliance, line %d; a "
			"backend is another machine's address",
			text,
			first->role == ROLE_SERVICE ? "a service's address"
						    : "an SNAT address",
			parse_line(p, first->at));
	else if (other_uplink(p, first, y))
		parse_fault(p, y->at,
			"backend %s is reached over uplink \"%s\" elsewhere, "
			"line %d; an address has one next hop",
			text, p->config->uplinks[first->uplink].name,
			parse_line(p, first->at));
}

/* Hold claims[1..n), all to one address, against those before them. */
static void
check_address(struct parse *p, const struct claim *claims, unsigned int n)
{
	for (unsigned int i = 1; i < n; i++) {
		const struct claim *y = &claims[i];

		if (y->role == ROLE_SERVICE)
			check_service(p, claims, y);
		else if (y->role == ROLE_SNAT)
			check_snat(p, claims, y);
		else
			check_backend(p, claims, y);
	}
}

static void
check_all(struct parse *p, const struct claims *c)
{
	unsigned int nexthops = p->config->n_uplinks, end;

	for (unsigned int i = 0; i < c->n; i = end) {
		for (end = i + 1; end < c->n; end++)
			if (!ip_addr_eq(&c->claim[i].addr, &c->claim[end].addr))
				break;
		check_address(p, &c->claim[i], end - i);
		nexthops += c->claim[end - 1].role == ROLE_BACKEND;
	}
	if (nexthops > NEXTHOPS_MAX)
		parse_fault(p, parse_at(p->root, "functions"),
			"functions have %u different backend addresses in all; "
			"allowed: at most %u",
			nexthops - p->config->n_uplinks,
			NEXTHOPS_MAX - p->config->n_uplinks);
}

void
check_claims(struct parse *p)
{
	struct claims c = { 0 };

	for (unsigned int i = 0; i < p->config->n_functions; i++)
		claim_function(p, &c, i);
	if (c.n > 0)
		qsort(c.claim, c.n, sizeof(*c.claim), compare);
	if (c.no_memory)
		p->no_memory = true;
	else
		check_all(p, &c);
	free(c.claim);
}
