/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Starting an instance, or the NIC in software: a new process of this same
 * program, with exactly the descriptors that it is given (from number 3 on:
 * enum instance_fd, enum softnic_fd), in a session of its own so that it
 * outlives the control plane and its terminal. An instance waits for the lock
 * of its store before it becomes one, but not for ever: see store.h.
 */
#ifndef CARRYALL_SPAWN_H
#define CARRYALL_SPAWN_H

#include <sys/types.h>

#include "ctrl/rundir.h"

/* The NIC's name among those of instances, all of which have a dot. */
#define SPAWN_NIC "softnic"

#define SPAWN_FDS_MAX 7

/* Places of an instance's descriptors that its caller fills in. */
#define SPAWN_STORE   4
#define SPAWN_DAMAGED 5 /* a store to recover from */
#define SPAWN_ACCESS  6 /* the access log's ring */

struct spawn {
	const char *name;
	const char *appliance;
	unsigned int n;
	int fd[SPAWN_FDS_MAX]; /* in the order of the process's; -1: none */
};

/*
 * Open what instance `name`, or the NIC, is given; `nexthops` is the
 * caller's, stores there are none yet. 0 or -errno.
 */
int spawn_open_instance(struct spawn *spawn, const struct rundir *dir,
	const char *name, int nexthops);
int spawn_open_nic(struct spawn *spawn, const struct rundir *dir);

/* Returns the pid, or -errno. */
pid_t spawn_run(const struct spawn *spawn);

/* Close all descriptors, those filled in too. */
void spawn_close(struct spawn *spawn);

/*
 * Who runs as `name` is kept in a file, for a control plane that comes later
 * and gets no answer. spawn_find() returns a pidfd of that process if it is
 * there and is what it was, with its number in *pid; else -ESRCH.
 */
int spawn_remember(const struct rundir *dir, const char *name, pid_t pid);
int spawn_find(const struct rundir *dir, const char *name, pid_t *pid);

#endif
