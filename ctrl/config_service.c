/* SPDX-License-Identifier: BSD-3-Clause */
/* Checks within one function: its services, SNAT addresses and backends. */
#include "ctrl/config_parse.h"

#include <netinet/in.h>
#include <string.h>

#include "dataplane/nf.h"

/* A service that is being checked, and what it stands in. */
struct visit {
	struct parse *p;
	const struct config_function *function;
	const struct config_type *type; /* NULL: not known */
	config_setting_t *entry;        /* the service's group */
};

/* An address that was refused is ::, which no config may name. */
static bool
is_given(const struct ip_addr *addr)
{
	const struct ip_addr none = { { 0, 0, 0, 0 } };

	return !ip_addr_eq(addr, &none);
}

static const char *
family(const struct ip_addr *addr)
{
	return ip_addr_is_v4(addr) ? "IPv4" : "IPv6";
}

static uint32_t
proto_flag(uint8_t proto)
{
	return proto == IPPROTO_TCP   ? NF_PROTO_TCP
	       : proto == IPPROTO_UDP ? NF_PROTO_UDP
				      : NF_PROTO_ICMP;
}

static void
check_protocol(const struct visit *v, const struct config_service *s)
{
	uint32_t flags = v->type != NULL ? v->type->flags : UINT32_MAX;

	if (s->proto == 0 || (flags & proto_flag(s->proto)))
		return;
	parse_fault(v->p, parse_at(v->entry, "protocol"),
		"type \"%s\" does not serve %s; it serves:%s%s%s",
		v->type->name, parse_text(v->entry, "protocol"),
		flags & NF_PROTO_TCP ? " tcp" : "",
		flags & NF_PROTO_UDP ? " udp" : "",
		flags & NF_PROTO_ICMP ? " icmp" : "");
}

static void
check_port(const struct visit *v, const struct config_service *s)
{
	bool has = parse_has(v->entry, "port");

	if (s->proto == IPPROTO_ICMP && has)
		parse_fault(v->p, parse_at(v->entry, "port"),
			"port is given, but icmp has no ports; remove it");
	else if (s->proto != 0 && s->proto != IPPROTO_ICMP && !has)
		parse_fault(v->p, v->entry,
			"port is missing; %s needs one: add port = 80;",
			parse_text(v->entry, "protocol"));
}

static void
check_name(const struct visit *v, const struct config_service *s)
{
	if (*s->name == '\0')
		return;
	for (const struct config_service *t = v->function->services; t < s; t++)
		if (strcmp(t->name, s->name) == 0)
			parse_fault(v->p, parse_at(v->entry, "name"),
				"service name \"%s\" is used already, at line "
				"%d; names must differ",
				s->name, t->line);
}

/* A function that talks to backends is of no use without any. */
static void
need_backends(const struct visit *v, const struct config_service *s)
{
	bool proxies = (v->type->flags & NF_PROXIES) != 0;

	if (s->n_backends == 0 && s->backends != NULL)
		parse_fault(v->p, parse_at(v->entry, "backends"),
			"backends is empty; type \"%s\" needs one at least "
			"(weight = 0; drains it)",
			v->type->name);
	else if (parse_has(v->entry, "backends") ||
		 (proxies && parse_has(v->entry, "groups")))
		return;
	else
		parse_fault(v->p, v->entry,
			"backends%s missing; type \"%s\" needs %s: add "
			"backends = ( { address = \"10.0.1.21\"; } );",
			proxies ? " and groups are" : " is", v->type->name,
			proxies ? "one of them" : "it");
}

/* Keys that only mean something with backends. */
static void
check_needs(const struct visit *v, const struct config_service *s)
{
	static const char *const only[] = { "backends", "scheduler" };

	if (v->type == NULL)
		return;
	if (v->type->flags & NF_NEEDS_BACKENDS) {
		need_backends(v, s);
		return;
	}
	for (unsigned int i = 0; i < 2; i++)
		if (parse_has(v->entry, only[i]))
			parse_fault(v->p, parse_at(v->entry, only[i]),
				"type \"%s\" has no backends; remove %s",
				v->type->name, only[i]);
}

/* True if the function can talk to backends of the service's family. */
static bool
has_snat(const struct config_function *f, const struct ip_addr *addr)
{
	for (unsigned int i = 0; i < f->n_snat; i++)
		if (!is_given(&f->snat[i]) ||
			ip_addr_is_v4(&f->snat[i]) == ip_addr_is_v4(addr))
			return true;
	return false;
}

/* A proxy's clients and backends meet in it alone: families may differ. */
static bool
is_proxy(const struct visit *v)
{
	return v->type != NULL && (v->type->flags & NF_PROXIES) != 0;
}

static bool
wants_snat(const struct visit *v, const struct ip_addr *addr)
{
	const struct config_function *f = v->function;

	return v->type != NULL && (v->type->flags & NF_NEEDS_BACKENDS) &&
	       f->snat != NULL && is_given(addr) && !has_snat(f, addr);
}

static void
check_snat(const struct visit *v, const struct config_service *s)
{
	if (is_proxy(v) || !wants_snat(v, &s->addr))
		return;
	parse_fault(v->p, parse_at(v->entry, "address"),
		"service \"%s\" is %s, but snat has no %s address; add one to "
		"snat",
		s->name, family(&s->addr), family(&s->addr));
}

static void
check_family(const struct visit *v, const struct config_service *s,
	const struct config_backend *b, config_setting_t *at)
{
	char text[46];

	if (is_proxy(v) && wants_snat(v, &b->addr))
		parse_fault(v->p, at,
			"backend %s is %s, but snat has no %s address; add "
			"one to snat",
			ip_addr_format(&b->addr, text), family(&b->addr),
			family(&b->addr));
	else if (!is_proxy(v) && is_given(&s->addr) &&
		 ip_addr_is_v4(&b->addr) != ip_addr_is_v4(&s->addr))
		parse_fault(v->p, at,
			"backend %s is not %s, as its service's address is; "
			"give a service for each family",
			ip_addr_format(&b->addr, text), family(&s->addr));
}

/* Backend `i` of a group, whose settings are `group`. */
static void
check_backend(const struct visit *v, const struct config_service *s,
	const struct config_group *g, config_setting_t *group, unsigned int i)
{
	config_setting_t *entry = parse_entry(group, "backends", i);
	struct config_backend *b = &g->backends[i];
	char text[46];

	if (b->port == 0 && !parse_has(entry, "port"))
		b->port = s->port;
	if (!is_given(&b->addr))
		return;
	check_family(v, s, b, parse_at(entry, "address"));
	for (unsigned int j = 0; j < i && b->port != 0; j++)
		if (ip_addr_eq(&g->backends[j].addr, &b->addr) &&
			g->backends[j].port == b->port) {
			parse_fault(v->p, parse_at(entry, "address"),
				"backend %s port %u is in this %s already, at "
				"line %d; give it once, with a weight",
				ip_addr_format(&b->addr, text), b->port,
				group == v->entry ? "service" : "group",
				g->backends[j].line);
			break;
		}
}

/* Group `i` of the service, as config_group() counts. Its backends. */
static unsigned int
check_group(
	const struct visit *v, const struct config_service *s, unsigned int i)
{
	struct config_group g = config_group(s, i);
	unsigned int own = s->n_backends > 0;
	config_setting_t *at =
		i < own ? v->entry : parse_entry(v->entry, "groups", i - own);

	for (unsigned int j = 0; j < g.n_backends; j++)
		check_backend(v, s, &g, at, j);
	return g.n_backends;
}

/* How many backends it has. */
static unsigned int
check_service(const struct visit *v, const struct config_service *s)
{
	unsigned int backends = 0;

	if (!config_setting_is_group(v->entry))
		return 0;
	check_name(v, s);
	check_protocol(v, s);
	check_port(v, s);
	check_needs(v, s);
	check_snat(v, s);
	for (unsigned int i = 0; i < config_groups(s); i++)
		backends += check_group(v, s, i);
	return backends;
}

void
check_services(struct parse *p, unsigned int function, config_setting_t *group,
	const struct config_type *type)
{
	const struct config_function *f = &p->config->functions[function];
	struct visit v = { p, f, type, NULL };
	unsigned int backends = 0;

	if (type != NULL && (type->flags & NF_NEEDS_BACKENDS) &&
		f->snat != NULL && f->n_snat == 0)
		parse_fault(p, parse_at(group, "snat"),
			"snat is empty; type \"%s\" needs an address, as snat "
			"= [ \"10.0.0.9\" ]",
			type->name);
	for (unsigned int i = 0; i < f->n_services; i++) {
		v.entry = parse_entry(group, "services", i);
		backends += check_service(&v, &f->services[i]);
	}
	if (backends > GRANT_BACKENDS_MAX)
		parse_fault(p, parse_at(group, "services"),
			"services have %u backends in all; allowed: at most %d "
			"per function",
			backends, GRANT_BACKENDS_MAX);
}
