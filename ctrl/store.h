/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stores: where the persistent logs of instances live.
 *
 *   appliance.state/APPLIANCE/        directory, root's, 0755
 *     web.0.log                       a store, root's, 0600 (log/format.h)
 *     web.0.log.new                   one that is being made
 *     web.0.log.damaged-DATE-TIME     one that was put aside; 4 at the most
 *     seed                            of the steering hash (control_state.c)
 *
 * web.0.log may be a link to a block device, or be one. Nothing here is ever
 * deleted or written over: a store that does not fit is refused with what to
 * do, one that cannot be read is put aside under a name that says so.
 *
 * Life-cycle. A store is made under another name: space is allocated, all of
 * it is written with zeros, so that later writes change no metadata of the
 * file system, the superblocks are written, all is flushed, and only then it
 * gets its name. So a store that has its name is whole, after a crash too.
 * Making one takes as long as the device needs to write its size, and blocks
 * the control plane that long; what runs goes on.
 *
 * An instance opens nothing: it inherits a descriptor, opened anew for each
 * start, since the lock belongs to it.
 *
 * Exclusive. Whoever writes a store holds flock(LOCK_EX) on the open file
 * that it writes by. Why this is exact:
 * - The lock is of the open file description, which is born at open() for one
 *   instance. The control plane closes its copy right after fork(), so only
 *   the instance's process keeps it, with the io_uring that writes by it.
 * - The kernel drops the lock when the last reference to the description
 *   goes, and every write in flight holds one. So the lock outlives a killed
 *   instance for as long as a write of it may still reach the device, and
 *   ends with the last of them.
 * - The next instance takes the lock before it reads the first byte: between
 *   fork() and exec(), where waiting keeps nobody else from working. When the
 *   device has not answered for ten seconds, it serves without the store.
 * A `carryall run` that starts fresh looks first whether all locks are to be
 * had, and says who holds one; a control plane that adopts does not, for
 * running instances hold their own.
 *
 * Thread: control.
 */
#ifndef CARRYALL_STORE_H
#define CARRYALL_STORE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/grant.h"

/* Damaged stores that are kept of each. */
#define STORE_DAMAGED_MAX 4

struct store {
	char dir[PATH_MAX / 4];
	char name[64]; /* "web.0.log" */
	char path[PATH_MAX / 2];
	char instance[GRANT_NAME_MAX];
	char function[GRANT_NAME_MAX]; /* its name, for what to do */
	char type[GRANT_NAME_MAX];     /* whose records these are */
	char owner[64];                /* "APPLIANCE/INSTANCE" */
	uint64_t size;                 /* bytes; 0: no store is kept */
	char damaged[PATH_MAX / 2];    /* to recover from, once; or "" */
};

/* The store of `instance` ("web.0") by its grant; touches no file. */
void store_init(struct store *s, const char *state, const char *instance,
	const struct grant *grant);

/*
 * Before anything is started: is the store there, of the right kind, and in
 * nobody's use? Waits some time for writes that a dead process has left in
 * flight. 0, also when it is missing or unreadable, so that store_open() will
 * make one; or -errno with the reason and what to do in why[0..len).
 */
int store_check(const struct store *s, char *why, size_t len);

/*
 * A new descriptor of the store for direct I/O; the caller closes it. Makes the
 * store if there is none, and puts an unreadable one aside. Or -errno. In
 * why[0..len), "" to begin with, is what to say in either case.
 */
int store_open(struct store *s, char *why, size_t len);

/*
 * An instance has found that durable records are missing: put the store
 * aside, for the next start to recover from. 0 or -errno, and what to say.
 */
int store_put_aside(struct store *s, char *why, size_t len);

/* A descriptor of the damaged store to recover from, once; else -1. */
int store_open_damaged(struct store *s);

/* What its device needs for a write to be durable. */
enum grant_flush store_flush(const struct store *s);

/* The directory, and those above it: 0 or -errno. */
int store_dir_make(const char *dir);

/* Make what was renamed in `dir` durable: 0 or -errno. */
int store_dir_sync(const char *dir);

/* --- between the files of this module --- */

/*
 * Make the store, which is missing. A descriptor for direct I/O, locked, or
 * -errno with the reason; nothing is left then.
 */
int store_make(const struct store *s, char *why, size_t len);

/* Write both superblocks of an empty store to `fd`: 0 or -errno. */
int store_format(const struct store *s, int fd);

/* Rename it; its new name into to[0..to_len). 0 or -errno with the reason. */
int store_rename(
	const struct store *s, char *to, size_t to_len, char *why, size_t len);

#endif
