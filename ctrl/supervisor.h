/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The supervisor starts instances, knows when they die, and starts them
 * again; or adopts those that a former control plane has started.
 *
 *             spawn            hello answered
 *    DOWN -----------> STARTING ------------> SERVING
 *     ^                    |                     |
 *     |    back-off over   v   died              |
 *     +----------------- WAITING <---------------+
 *
 * An instance that has served for ten seconds is restarted at once; one that
 * dies sooner waits 100 ms, then twice as long each time, 30 s at the most.
 * The others are not touched. One that finds its store damaged, and ends to
 * say so before it serves, is started again at once, with a new one.
 *
 * Thread: control. Nothing here blocks but supervisor_stop(), and making a
 * new store for a start.
 */
#ifndef CARRYALL_SUPERVISOR_H
#define CARRYALL_SUPERVISOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "ctrl/plan.h"
#include "ctrl/rundir.h"
#include "dataplane/stats.h"

enum supervisor_state {
	SUPERVISOR_DOWN,
	SUPERVISOR_STARTING,
	SUPERVISOR_SERVING,
	SUPERVISOR_WAITING,
};

/* What one instance is to the supervisor; for others to read. */
struct supervised {
	struct supervisor *sup;
	uint32_t index; /* in the plan: also the VNIC */
	char name[PLAN_INSTANCE_NAME_MAX];
	enum supervisor_state state;
	pid_t pid;
	bool adopted;
	uint32_t restarts;
	uint32_t delay_ms;         /* the back-off now in force */
	uint64_t spawned_us;       /* CLOCK_MONOTONIC */
	const struct stats *stats; /* read-only map; never trust it */
	uint32_t generation;       /* of the grant in force there */
	bool lost;         /* it ended since its store has lost records */
	char refused[240]; /* why it refused an update, or "" */

	/* the supervisor's own */
	int pidfd, mail;
	sd_event_source *pid_source, *mail_source, *timer;
};

/* What others do when an instance comes and goes. */
struct supervisor_hooks {
	void *ctx;
	/* Before a spawn: make the VNIC ready. 0, or -errno to try later. */
	int (*prepare)(void *ctx, uint32_t index);
	/*
	 * Before a spawn: descriptors of its store and of a damaged one to
	 * recover from, which the supervisor closes; it comes with -1, for
	 * none, in both. `lost`: the last one has found the store damaged.
	 */
	void (*store)(
		void *ctx, uint32_t index, bool lost, int *store, int *damaged);
	/* It serves: let packets in. */
	void (*serving)(void *ctx, uint32_t index);
	/* It died: keep packets out. */
	void (*died)(void *ctx, uint32_t index);
	/* A line for the log. */
	void (*say)(void *ctx, const char *line);
};

struct supervisor;

/*
 * For the instances of `plan`, whose grants are complete; writes the grants'
 * files. `hooks` is copied. 0 or -errno.
 */
int supervisor_create(struct supervisor **out, sd_event *event,
	const struct rundir *dir, const struct plan *plan,
	const struct supervisor_hooks *hooks);

/*
 * Start all instances; with `adopt`, take over those that run, and start the
 * rest. Their serving is reported by hook. 0 or -errno.
 */
int supervisor_start(struct supervisor *sup, bool adopt);

/* Hand the grants of a compatible plan to all. Borrows `plan` from here on. */
int supervisor_update(struct supervisor *sup, const struct plan *plan);

/* How many instances serve. */
unsigned int supervisor_serving(const struct supervisor *sup);

/* Instance i of the plan. */
const struct supervised *supervisor_get(
	const struct supervisor *sup, uint32_t i);

/*
 * End all instances: ask, wait for two seconds at the most, kill. Blocks.
 */
void supervisor_stop(struct supervisor *sup);

/*
 * End all instances whose mailboxes are in `dir`, without a plan: what
 * `carryall stop` does when no control plane is there to ask. Blocks.
 */
void supervisor_clean(const struct rundir *dir);

/* Free the supervisor; instances that still run go on. */
void supervisor_free(struct supervisor *sup);

#endif
