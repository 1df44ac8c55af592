/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the control plane share, and nobody else sees. */
#ifndef CARRYALL_CONTROL_INTERNAL_H
#define CARRYALL_CONTROL_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <systemd/sd-event.h>

#include "ctrl/access.h"
#include "ctrl/api.h"
#include "ctrl/control.h"
#include "ctrl/log_watch.h"
#include "ctrl/nexthop.h"
#include "ctrl/plan.h"
#include "ctrl/provider.h"
#include "ctrl/rundir.h"
#include "ctrl/status.h"
#include "ctrl/store.h"
#include "ctrl/supervisor.h"

struct control {
	const char *path;
	const struct control_functions *functions;
	struct config *config;
	struct plan *plan;
	struct rundir dir;
	bool adopted;
	struct nexthops *table;
	struct nexthop_watch *watch;
	const struct provider_ops *ops;
	struct provider *provider;
	struct supervisor *sup;
	struct api *api;
	struct access_log *access;
	sd_event *event;
	struct status_load *load, nic_load;
	struct store *stores;                /* one per instance */
	struct log_watch *watched;           /* likewise: what was said */
	uint64_t uplink[CONFIG_UPLINKS_MAX]; /* their entries, as filtered */
	bool huge;
	bool ready; /* all instances have served once */
	uint64_t started_s;
};

/* A line on standard error. */
void control_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Seconds of CLOCK_MONOTONIC. */
uint64_t control_now_s(void);

/*
 * Read the config file; print all faults to `out`, their number into
 * *n_faults. NULL if there is any.
 */
struct config *control_config(const char *path,
	const struct control_functions *functions, FILE *out,
	unsigned int *n_faults);

/*
 * The plan of `config` with grants that the functions have agreed to; what
 * they object to is printed to `out`, and NULL returned.
 */
struct plan *control_plan(const struct config *config, uint32_t seed,
	const struct control_functions *functions, FILE *out);

/* The seed of the steering hash: kept, or a new one. 0 or -errno. */
int control_seed(struct control *c, uint32_t *seed);

/*
 * The stages of the stores. First, nothing is made: what is there fits, or
 * the start ends, with the reasons said. Then, when nothing else refuses the
 * start any more, those that are missing are made, and the grants completed.
 * Nothing is touched that runs.
 */
int control_stores_check(struct control *c);
int control_stores_make(struct control *c);

/* The supervisor's hook `store`; `ctx` is the struct control. */
void control_store_give(
	void *ctx, uint32_t index, bool lost, int *store, int *damaged);

/* Answer a request on the control socket; `ctx` is the struct control. */
json_t *control_answer(void *ctx, const char *verb);

#endif
