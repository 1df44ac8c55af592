/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Starting an instance: a new process of this same program, with exactly the
 * descriptors of its grant (numbers 3..8, enum instance_fd), in a session of
 * its own so that it outlives the control plane and its terminal. It waits
 * for the lock of its store before it becomes an instance, but not for ever:
 * see store.h.
 */
#ifndef CARRYALL_SPAWN_H
#define CARRYALL_SPAWN_H

#include <sys/types.h>

#include "ctrl/rundir.h"

/* The descriptors in the order in which the instance finds them. */
struct spawn {
	const char *name;
	int grant;
	int stats;
	int nexthops; /* the caller's */
	int mailbox;  /* listening */
	int store;    /* -1: none */
	int damaged;  /* a store to recover from; -1: none */
};

/* Open all but `nexthops` and the stores, which are none. 0 or -errno. */
int spawn_open(struct spawn *spawn, const struct rundir *dir);
/* Returns the pid, or -errno. */
pid_t spawn_run(const struct spawn *spawn);
void spawn_close(struct spawn *spawn);

/*
 * Who runs as `name` is kept in a file, for a control plane that comes later
 * and gets no answer. spawn_find() returns a pidfd of that process if it is
 * there and is what it was, with its number in *pid; else -ESRCH.
 */
int spawn_remember(const struct rundir *dir, const char *name, pid_t pid);
int spawn_find(const struct rundir *dir, const char *name, pid_t *pid);

#endif
