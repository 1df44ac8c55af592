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

/* Keys that only mean something with backends. */
static void
check_needs(const struct visit *v, const struct config_service *s)
{
	static const char *const only[] = { "backends", "scheduler" };

	if (v->type == NULL)
		return;
	if (v->type->flags & NF_NEEDS_BACKENDS) {
		if (s->n_backends == 0 && s->backends != NULL)
			parse_fault(v->p, parse_at(v->entry, "backends"),
				"backends is empty; type \"%s\" needs one at "
				"least (weight = 0; drains it)",
				v->type->name);
		else if (!parse_has(v->entry, "backends"))
			parse_fault(v->p, v->entry,
				"backends is missing; type \"%s\" needs it: "
				"add backends = ( { address = \"10.0.1.21\"; } "
				");",
				v->type->name);
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

static void
check_snat(const struct visit *v, const struct config_service *s)
{
	const struct config_function *f = v->function;

	if (v->type == NULL || !(v->type->flags & NF_NEEDS_BACKENDS) ||
		f->snat == NULL || !is_given(&s->addr) || has_snat(f, &s->addr))
		return;
	parse_fault(v->p, parse_at(v->entry, "address"),
		"service \"%s\" is %s, but snat has no %s address; add one to "
		"snat",
		s->name, family(&s->addr), family(&s->addr));
}

static void
check_backend(
	const struct visit *v, const struct config_service *s, unsigned int i)
{
	config_setting_t *entry = parse_entry(v->entry, "backends", i);
	struct config_backend *b = &s->backends[i];
	char text[46];

	if (b->port == 0 && !parse_has(entry, "port"))
		b->port = s->port;
	if (!is_given(&b->addr))
		return;
	if (is_given(&s->addr) &&
		ip_addr_is_v4(&b->addr) != ip_addr_is_v4(&s->addr))
		parse_fault(v->p, parse_at(entry, "address"),
			"backend %s is not %s, as its service's address is; "
			"give a service for each family",
			ip_addr_format(&b->addr, text), family(&s->addr));
	for (unsigned int j = 0; j < i && b->port != 0; j++)
		if (ip_addr_eq(&s->backends[j].addr, &b->addr) &&
			s->backends[j].port == b->port) {
			parse_fault(v->p, parse_at(entry, "address"),
				"backend %s port %u is in this service "
				"already, at line %d; give it once, with a "
				"weight",
				ip_addr_format(&b->addr, text), b->port,
				s->backends[j].line);
			break;
		}
}

static void
check_service(const struct visit *v, const struct config_service *s)
{
	if (!config_setting_is_group(v->entry))
		return;
	check_name(v, s);
	check_protocol(v, s);
	check_port(v, s);
	check_needs(v, s);
	check_snat(v, s);
	for (unsigned int i = 0; i < s->n_backends; i++)
		check_backend(v, s, i);
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
		check_service(&v, &f->services[i]);
		backends += f->services[i].n_backends;
	}
	if (backends > GRANT_BACKENDS_MAX)
		parse_fault(p, parse_at(group, "services"),
			"services have %u backends in all; allowed: at most %d "
			"per function",
			backends, GRANT_BACKENDS_MAX);
}
