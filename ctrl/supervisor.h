/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The supervisor starts instances, knows when they die, and starts them
 * again; or adopts those that a former control plane has started. The NIC in
 * software, where there is one, is a process as they are: started first,
 * ended last.
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
 * An instance serves when the NIC has attached it, so the time that it may
 * take to start counts from when the NIC serves.
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
#include "dataplane/softnic/counters.h"
#include "dataplane/stats.h"

enum supervisor_state {
	SUPERVISOR_DOWN,
	SUPERVISOR_STARTING,
	SUPERVISOR_SERVING,
	SUPERVISOR_WAITING,
};

/* The NIC's index, where that of an instance is asked for. */
#define SUPERVISOR_NIC UINT32_MAX

/* What one process is to the supervisor; for others to read. */
struct supervised {
	struct supervisor *sup;
	uint32_t index; /* in the plan: also the VNIC; or SUPERVISOR_NIC */
	char name[PLAN_INSTANCE_NAME_MAX]; /* of its files */
	const char *title;                 /* in the log */
	enum supervisor_state state;
	pid_t pid;
	bool adopted;
	uint32_t restarts;
	uint32_t delay_ms;   /* the back-off now in force */
	uint64_t spawned_us; /* CLOCK_MONOTONIC */
	uint64_t serving_us; /* since when it serves */
	/* Read-only maps, never to be trusted: one of the two. */
	const struct stats *stats;
	const struct softnic_stats *nic_stats;
	uint32_t generation; /* of the grant, or the tables, in force there */
	bool lost;           /* it ended since its store has lost records */
	char refused[240];   /* why it refused an update, or "" */

	/* the supervisor's own */
	int pidfd, mail;
	sd_event_source *pid_source, *mail_source, *timer;
};

/* What others do when a process comes and goes; also SUPERVISOR_NIC. */
struct supervisor_hooks {
	void *ctx;
	/* Before a spawn: make the VNIC ready. 0, or -errno to try later. */
	int (*prepare)(void *ctx, uint32_t index);
	/*
	 * Before an instance's spawn: descriptors of its store and of a damaged
	 * one to recover from, which the supervisor closes; it comes with -1,
	 * for none, in both. `lost`: the last one has found the store damaged.
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
 * For the instances of `plan`, whose grants are complete, and a NIC that is
 * told `nic`, or none if that is NULL; writes the files of both. `nic` is
 * borrowed, and its generation counted up where a running NIC has to hear of
 * it. `hooks` is copied. 0 or -errno.
 */
int supervisor_create(struct supervisor **out, sd_event *event,
	const struct rundir *dir, const struct plan *plan,
	struct softnic_tables *nic, const struct supervisor_hooks *hooks);

/*
 * Start all instances; with `adopt`, take over those that run, and start the
 * rest. Their serving is reported by hook. 0 or -errno.
 */
int supervisor_start(struct supervisor *sup, bool adopt);

/* Hand the grants of a compatible plan to all instances. Borrows `plan` from
 * here on. */
int supervisor_update(struct supervisor *sup, const struct plan *plan);

/*
 * The NIC's tables have changed: hand them over, unless it has them already.
 * Without a NIC nothing is done. 0 or -errno.
 */
int supervisor_update_nic(struct supervisor *sup);

/* Do all instances serve, and the NIC? */
bool supervisor_all_serve(const struct supervisor *sup);

/* Instance i of the plan; SUPERVISOR_NIC: the NIC, or NULL. */
const struct supervised *supervisor_get(
	const struct supervisor *sup, uint32_t i);

/*
 * End all: ask, wait for two seconds at the most, kill. Blocks.
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
