/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The run directory, /run/carryall/NAME: all by which a running appliance is
 * found again.
 *
 *   lock             held by the control plane as long as it lives
 *   control.sock     where status and the other verbs ask
 *   nexthops         the next-hop table
 *   seed             of the steering hash
 *   netns            inode of the network namespace it is in
 *   hugepages        how many were added to the kernel's pool
 *   INSTANCE.grant   what the instance was given
 *   INSTANCE.stats   its counters
 *   INSTANCE.access  the ring of its lines for the access log, of a proxy
 *   INSTANCE.sock    its mailbox
 *   INSTANCE.pid     its process
 *   (the provider)   its own files
 *
 * Functions return 0 or a descriptor, or -errno. Thread: control.
 */
#ifndef CARRYALL_RUNDIR_H
#define CARRYALL_RUNDIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define RUNDIR_ROOT "/run/carryall"

struct rundir {
	char path[128];
	int fd;     /* the directory */
	int lock;   /* held */
	bool found; /* it was there before: something may still run */
};

/*
 * Make or find the directory of appliance `name` and take its lock. -EBUSY if
 * another control plane holds it; its pid is then in *holder.
 */
int rundir_open(struct rundir *dir, const char *name, pid_t *holder);

/* Let go of the lock; the directory stays. */
void rundir_close(struct rundir *dir);

/* Remove the directory and its plain files and sockets, and let go. */
void rundir_remove(struct rundir *dir);

/* "NAME.SUFFIX" in the directory, into buf. Returns buf. */
const char *rundir_path(const struct rundir *dir, const char *name,
	const char *suffix, char *buf, size_t len);

/*
 * Open, or make with `size` zero bytes, the file NAME.SUFFIX for mapping;
 * *fresh says which. Returns the descriptor.
 */
int rundir_file(const struct rundir *dir, const char *name, const char *suffix,
	size_t size, bool *fresh);

/*
 * Replace the file NAME.SUFFIX as a whole by data[0..len). Returns a
 * read-only descriptor of the new file.
 */
int rundir_replace(const struct rundir *dir, const char *name,
	const char *suffix, const void *data, size_t len);

/*
 * Bind a listening socket NAME.sock, mode 0600, non-blocking. `type` is
 * SOCK_SEQPACKET or SOCK_STREAM.
 */
int rundir_listen(const struct rundir *dir, const char *name, int type);

/* Connect to NAME.sock, non-blocking. */
int rundir_connect(const struct rundir *dir, const char *name, int type);

/* A number kept in a small text file; `missing` if there is none. */
uint64_t rundir_number(
	const struct rundir *dir, const char *name, uint64_t missing);
int rundir_number_set(
	const struct rundir *dir, const char *name, uint64_t value);

/*
 * The name of the appliance that runs here, if there is exactly one, into
 * name[0..len). 0, -ENOENT if none, -ENOTUNIQ if several.
 */
int rundir_only(char *name, size_t len);

#endif
