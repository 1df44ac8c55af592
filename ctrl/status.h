/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The state of the appliance as one JSON object, for `carryall status` and
 * whoever asks on the control socket. Counters are summed over instances;
 * what an instance wrote is data of a process that is not trusted, so counts
 * of entries are bounded and names are cut.
 */
#ifndef CARRYALL_STATUS_H
#define CARRYALL_STATUS_H

#include <jansson.h>
#include <stdbool.h>

#include "ctrl/access.h"
#include "ctrl/nexthop.h"
#include "ctrl/plan.h"
#include "ctrl/provider.h"
#include "ctrl/store.h"
#include "ctrl/supervisor.h"

/*
 * Of the last whole second: the busy share of a process's core, and requests
 * of each service of an instance.
 */
struct status_load {
	uint64_t busy_tsc, idle_tsc; /* at the last sample */
	double busy_percent;
	uint64_t sampled_us; /* CLOCK_MONOTONIC; 0: never */
	uint64_t requests[GRANT_SERVICES_MAX];
	double requests_per_s[GRANT_SERVICES_MAX];
};

struct status_source {
	const struct plan *plan;
	const struct provider_ops *provider_ops;
	struct provider *provider;
	const struct supervisor *supervisor;
	const struct nexthop_watch *nexthops;
	const struct nexthops *table;
	const struct status_load *load; /* one per instance */
	const struct status_load *nic_load;
	const struct store *stores; /* likewise */
	const struct access_log *access;
	const char *pages; /* "huge", "small" */
	bool adopted;
	uint64_t uptime_s;
};

/* Take a sample: once a second, load[0 .. instances), and the NIC's if there
 * is one. */
void status_sample(struct status_load *load, struct status_load *nic,
	const struct supervisor *sup, unsigned int n);

/*
 * The NIC in software as an object, owned by the caller: its process, load,
 * and totals over uplinks and VNICs. NULL: there is none.
 */
json_t *status_nic_json(const struct status_source *src);

/* The word for a state. */
const char *status_state_name(enum supervisor_state state);

/*
 * What an instance's log does: the object, or NULL when memory is out. Only of
 * instances that keep one.
 */
json_t *status_log_json(const struct store *store, const struct grant *grant,
	const struct stats *stats);

/*
 * Of a proxy, objects owned by the caller: the TCP of an instance, every
 * counter by its name; the HTTP of a service, summed over instances.
 */
json_t *status_tcp_json(const struct stats_tcp *t);
json_t *status_http_json(
	const struct status_source *src, uint32_t function, uint32_t service);

/* Add up a backend's; and put the sum into the backend's object. */
void status_server_add(struct stats_server *sum, const struct stats_server *s);
void status_server_json(json_t *o, const struct stats_server *s);

/* Part of status_sample(): requests of one instance, at `now_us`. */
void status_requests_sample(
	struct status_load *load, const struct stats *s, uint64_t now_us);

/* The object, owned by the caller; NULL when memory is out. */
json_t *status_json(const struct status_source *src);

#endif
