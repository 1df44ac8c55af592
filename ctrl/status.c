/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/status.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/clock.h"

static const char *const state_name[] = {
	[SUPERVISOR_DOWN] = "down",
	[SUPERVISOR_STARTING] = "starting",
	[SUPERVISOR_SERVING] = "serving",
	[SUPERVISOR_WAITING] = "waiting",
};

static const char *const scheduler_name[] = {
	[GRANT_SCHED_MAGLEV] = "maglev",
	[GRANT_SCHED_RR] = "rr",
	[GRANT_SCHED_LEASTCONN] = "leastconn",
};

static json_t *
count(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static const char *
proto_name(uint8_t proto)
{
	return proto == IPPROTO_TCP   ? "tcp"
	       : proto == IPPROTO_UDP ? "udp"
				      : "icmp";
}

const char *
status_state_name(enum supervisor_state state)
{
	return state_name[state];
}

static void
sample(struct status_load *load, uint64_t busy_tsc, uint64_t idle_tsc)
{
	uint64_t busy = busy_tsc - load->busy_tsc;
	uint64_t idle = idle_tsc - load->idle_tsc;

	load->busy_tsc = busy_tsc;
	load->idle_tsc = idle_tsc;
	load->busy_percent =
		busy + idle == 0 ? 0
				 : 100.0 * (double)busy / (double)(busy + idle);
}

void
status_sample(struct status_load *load, struct status_load *nic,
	const struct supervisor *sup, unsigned int n)
{
	const struct supervised *s = supervisor_get(sup, SUPERVISOR_NIC);

	for (unsigned int i = 0; i < n; i++) {
		const struct stats *is = supervisor_get(sup, i)->stats;

		sample(&load[i], is->busy_tsc, is->idle_tsc);
		status_requests_sample(
			&load[i], is, clock_ns(CLOCK_MONOTONIC) / 1000);
	}
	if (s != NULL)
		sample(nic, s->nic_stats->busy_tsc, s->nic_stats->idle_tsc);
}

/* Named drops that happened, of an instance. */
static json_t *
drops_json(const struct stats *s)
{
	json_t *o = json_object();
	uint32_t n = s->n_drops;
	char name[GRANT_NAME_MAX];

	for (uint32_t i = 0; i < n && i < STATS_DROPS_MAX; i++) {
		if (s->drop[i] == 0)
			continue;
		memcpy(name, s->drop_name[i], sizeof(name));
		name[sizeof(name) - 1] = '\0';
		json_object_set_new(o, name, count(s->drop[i]));
	}
	return o;
}

/* The same of what the provider counts. */
static json_t *
provider_json(const struct provider_counters *c)
{
	json_t *o = json_object(), *drops = json_object();

	json_object_set_new(o, "rx_packets", count(c->rx_packets));
	json_object_set_new(o, "rx_bytes", count(c->rx_bytes));
	json_object_set_new(o, "tx_packets", count(c->tx_packets));
	json_object_set_new(o, "tx_bytes", count(c->tx_bytes));
	for (unsigned int i = 0; i < c->n_drops; i++)
		if (c->drop[i].count > 0)
			json_object_set_new(drops, c->drop[i].name,
				count(c->drop[i].count));
	json_object_set_new(o, "drops", drops);
	return o;
}

static json_t *
uplink_json(const struct status_source *src, uint32_t i)
{
	const struct config_uplink *u = &src->plan->config->uplinks[i];
	struct provider_counters c = { 0 };
	json_t *o;

	src->provider_ops->uplink_counters(src->provider, i, &c);
	o = provider_json(&c);
	json_object_set_new(o, "passed", count(c.passed));
	json_object_set_new(o, "name", json_string(u->name));
	json_object_set_new(o, "device", json_string(u->device));
	json_object_set_new(o, "provider", json_string(u->provider));
	json_object_set_new(o, "mode",
		json_string(src->provider_ops->uplink_mode(src->provider, i)));
	return o;
}

static unsigned int
buckets_owned(const struct grant *g)
{
	unsigned int n = 0;

	for (uint32_t b = 0; b < g->buckets; b++)
		n += (unsigned int)grant_owns(g, b);
	return n;
}

static bool
is_proxy(const struct status_source *src, uint32_t function)
{
	return src->plan->config->functions[function].proxies;
}

/* Does it end connections of TCP itself? One with SNAT passes them on. */
static bool
ends_tcp(const struct config_function *f)
{
	bool any = false;

	for (unsigned int i = 0; i < f->n_services; i++)
		any |= f->services[i].proto == IPPROTO_TCP;
	return f->proxies || (f->n_snat == 0 && any);
}

static json_t *
instance_json(const struct status_source *src, uint32_t i)
{
	const struct supervised *in = supervisor_get(src->supervisor, i);
	const struct stats *s = in->stats;
	const struct grant *g = src->plan->instances[i].grant;
	struct provider_counters c = { 0 };
	json_t *o = json_pack("{s:s, s:i, s:i, s:s, s:b, s:i, s:i, s:f}",
		"name", in->name, "pid", (int)in->pid, "core", (int)g->core,
		"state", state_name[in->state], "adopted", in->adopted,
		"restarts", (int)in->restarts, "buckets", (int)buckets_owned(g),
		"busy_percent", src->load[i].busy_percent);

	if (o == NULL)
		return NULL;
	json_object_set_new(o, "connections", count(s->connections));
	json_object_set_new(o, "half_open", count(s->half_open));
	json_object_set_new(o, "opened", count(s->opened));
	json_object_set_new(o, "evicted", count(s->evicted));
	json_object_set_new(o, "memory_bytes", count(s->memory_bytes));
	json_object_set_new(o, "mbufs", count(s->mbufs));
	json_object_set_new(o, "rx_packets", count(s->rx_packets));
	json_object_set_new(o, "rx_bytes", count(s->rx_bytes));
	json_object_set_new(o, "tx_packets", count(s->tx_packets));
	json_object_set_new(o, "tx_bytes", count(s->tx_bytes));
	json_object_set_new(o, "misdirected", count(s->misdirected));
	json_object_set_new(o, "sleeps", count(s->sleeps));
	json_object_set_new(o, "drops", drops_json(s));
	src->provider_ops->vnic_counters(src->provider, i, &c);
	json_object_set_new(o, "vnic", provider_json(&c));
	if (ends_tcp(&src->plan->config
			      ->functions[src->plan->instances[i].function]))
		json_object_set_new(o, "tcp", status_tcp_json(&s->tcp));
	if (src->stores[i].size != 0)
		json_object_set_new(
			o, "log", status_log_json(&src->stores[i], g, s));
	if (in->refused[0] != '\0')
		json_object_set_new(o, "refused", json_string(in->refused));
	if (in->state == SUPERVISOR_WAITING)
		json_object_set_new(o, "back_off_ms", count(in->delay_ms));
	return o;
}

static const char *
nexthop_why(
	const struct status_source *src, unsigned int i, char *why, size_t len)
{
	nexthop_state(src->nexthops, i, why, len);
	return "unresolved";
}

static const char *
backend_state(const struct status_source *src, const struct config_backend *b,
	char *why, size_t len)
{
	if (b->weight == 0)
		return "drain";
	for (unsigned int i = 0; i < src->plan->n_nexthops; i++)
		if (ip_addr_eq(&src->plan->nexthops[i].addr, &b->addr))
			return nexthop_get(src->table,
				       src->plan->nexthops[i].index) != 0
				       ? "up"
				       : nexthop_why(src, i, why, len);
	return "unresolved";
}

/* A backend's counters, summed. */
struct backend_sum {
	struct stats_backend all;
	struct stats_server server;
};

/*
 * The counters of one instance. A server in several groups of a service has
 * several entries, which do not say of which group they are.
 */
static void
backend_add(struct backend_sum *sum, const struct stats *s, uint32_t service,
	const struct config_backend *b)
{
	for (uint32_t i = 0; i < GRANT_BACKENDS_MAX; i++) {
		const struct stats_backend *k = &s->backend[i];

		if (!k->used || k->service != service ||
			k->port != htons(b->port) ||
			!ip_addr_eq(&k->addr, &b->addr))
			continue;
		sum->all.connections += k->connections;
		sum->all.opened += k->opened;
		sum->all.packets += k->packets;
		sum->all.bytes += k->bytes;
		sum->all.failed += k->failed;
		status_server_add(&sum->server, &s->server[i]);
	}
}

static struct backend_sum
backend_sum(const struct status_source *src, uint32_t function,
	uint32_t service, const struct config_backend *b)
{
	struct backend_sum sum = { 0 };

	for (uint32_t i = 0; i < src->plan->n_instances; i++)
		if (src->plan->instances[i].function == function)
			backend_add(&sum,
				supervisor_get(src->supervisor, i)->stats,
				service, b);
	return sum;
}

/* In how many groups of the service a backend's server is. */
static unsigned int
groups_with(const struct config_service *c, const struct config_backend *b)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < config_groups(c); i++) {
		struct config_group g = config_group(c, i);

		for (unsigned int k = 0; k < g.n_backends; k++)
			n += g.backends[k].port == b->port &&
			     ip_addr_eq(&g.backends[k].addr, &b->addr);
	}
	return n;
}

/* What only a proxy's backends say. */
static void
server_json(json_t *o, const struct config_service *c,
	const struct config_group *g, const struct config_backend *b,
	const struct backend_sum *sum)
{
	json_object_set_new(o, "group", json_string(g->name));
	status_server_json(o, &sum->server);
	if (groups_with(c, b) > 1)
		json_object_set_new(o, "shared", json_true());
}

static json_t *
backend_json(const struct status_source *src, uint32_t function,
	uint32_t service, const struct config_group *g, unsigned int i)
{
	const struct config_backend *b = &g->backends[i];
	struct backend_sum sum = backend_sum(src, function, service, b);
	char addr[46], why[160] = "";
	json_t *o = json_pack("{s:s, s:i, s:i, s:s}", "address",
		ip_addr_format(&b->addr, addr), "port", (int)b->port, "weight",
		(int)b->weight, "state",
		backend_state(src, b, why, sizeof(why)));

	if (o == NULL)
		return NULL;
	if (why[0] != '\0')
		json_object_set_new(o, "why", json_string(why));
	json_object_set_new(o, "connections", count(sum.all.connections));
	json_object_set_new(o, "opened", count(sum.all.opened));
	json_object_set_new(o, "packets", count(sum.all.packets));
	json_object_set_new(o, "bytes", count(sum.all.bytes));
	json_object_set_new(o, "failed", count(sum.all.failed));
	if (is_proxy(src, function))
		server_json(o,
			&src->plan->config->functions[function]
				 .services[service],
			g, b, &sum);
	return o;
}

static json_t *
backends_json(const struct status_source *src, uint32_t function,
	uint32_t service, const struct config_service *c)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < config_groups(c); i++) {
		struct config_group g = config_group(c, i);

		for (unsigned int k = 0; k < g.n_backends; k++)
			json_array_append_new(list,
				backend_json(src, function, service, &g, k));
	}
	return list;
}

static struct stats_service
service_sum(const struct status_source *src, uint32_t function, uint32_t i)
{
	struct stats_service sum = { 0 };

	for (uint32_t k = 0; k < src->plan->n_instances; k++) {
		const struct stats_service *s;

		if (src->plan->instances[k].function != function)
			continue;
		s = &supervisor_get(src->supervisor, k)->stats->service[i];
		sum.connections += s->connections;
		sum.opened += s->opened;
		sum.packets += s->packets;
		sum.bytes += s->bytes;
	}
	return sum;
}

static json_t *
service_json(const struct status_source *src, uint32_t function, uint32_t i)
{
	const struct config_service *c =
		&src->plan->config->functions[function].services[i];
	struct stats_service sum = service_sum(src, function, i);
	char addr[46];
	json_t *o = json_pack("{s:s, s:s, s:i, s:s, s:o}", "name", c->name,
		"address", ip_addr_format(&c->addr, addr), "port", (int)c->port,
		"protocol", proto_name(c->proto), "backends",
		backends_json(src, function, i, c));

	if (o == NULL)
		return NULL;
	if (c->n_backends > 0)
		json_object_set_new(o, "scheduler",
			json_string(scheduler_name[c->scheduler]));
	json_object_set_new(o, "connections", count(sum.connections));
	json_object_set_new(o, "opened", count(sum.opened));
	json_object_set_new(o, "packets", count(sum.packets));
	json_object_set_new(o, "bytes", count(sum.bytes));
	if (!is_proxy(src, function))
		return o;
	json_object_set_new(o, "mode",
		json_string(c->mode == GRANT_MODE_TCP ? "tcp" : "http"));
	json_object_set_new(o, "http", status_http_json(src, function, i));
	return o;
}

static json_t *
function_json(const struct status_source *src, uint32_t i)
{
	const struct config_function *f = &src->plan->config->functions[i];
	json_t *instances = json_array(), *services = json_array();
	json_t *o, *log;

	for (uint32_t k = 0; k < src->plan->n_instances; k++)
		if (src->plan->instances[k].function == i)
			json_array_append_new(instances, instance_json(src, k));
	for (uint32_t k = 0; k < f->n_services; k++)
		json_array_append_new(services, service_json(src, i, k));
	o = json_pack("{s:s, s:s, s:o, s:o}", "name", f->name, "type", f->type,
		"instances", instances, "services", services);
	log = access_log_json(src->access, i);
	if (log != NULL)
		json_object_set_new(o, "access_log", log);
	return o;
}

json_t *
status_json(const struct status_source *src)
{
	const struct config *c = src->plan->config;
	json_t *uplinks = json_array(), *functions = json_array();
	json_t *o, *nic = status_nic_json(src);

	for (uint32_t i = 0; i < c->n_uplinks; i++)
		json_array_append_new(uplinks, uplink_json(src, i));
	for (uint32_t i = 0; i < c->n_functions; i++)
		json_array_append_new(functions, function_json(src, i));
	o = json_pack("{s:s, s:s, s:i, s:I, s:b, s:s, s:s, s:o, s:o}",
		"appliance", c->name, "version", CARRYALL_VERSION, "pid",
		(int)getpid(), "uptime_s", (json_int_t)src->uptime_s, "adopted",
		src->adopted, "config", c->file, "pages", src->pages, "uplinks",
		uplinks, "functions", functions);
	if (o == NULL)
		json_decref(nic);
	else if (nic != NULL)
		json_object_set_new(o, "nic", nic);
	return o;
}
