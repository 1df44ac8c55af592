/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The store of a log on io_uring: a file or block device opened for direct
 * I/O, registered buffers, one registered file, no thread.
 *
 * Completions are taken from shared memory; the kernel is called once to hand
 * over what was begun, and once where it says that it has completions to
 * post. While the loop runs it gets no signal; before it sleeps it asks for
 * one on the doorbell, an eventfd.
 *
 * What is set up here can do nothing but write to that one file: the ring is
 * restricted before it is enabled (IORING_REGISTER_RESTRICTIONS), and whoever
 * holds it needs no system call but io_uring_enter().
 */
#ifndef CARRYALL_LOG_URING_H
#define CARRYALL_LOG_URING_H

#include <stdbool.h>
#include <stddef.h>

#include "dataplane/log/io.h"

struct plog_uring;

/*
 * On `fd`, opened O_RDWR | O_DIRECT, which it takes over; `size` bytes of it
 * are the store. With `dsync` each write asks for stable storage (RWF_DSYNC:
 * FUA where the device has it, else a flush); without, the device has no
 * volatile cache. The ring holds the file, and a lock on it, until it is
 * destroyed or, when the process dies, until all that is in flight has ended.
 * Thread: that which will use it. NULL with errno set and the reason in
 * why[0..len).
 */
struct plog_uring *plog_uring_create(
	int fd, uint64_t size, bool dsync, char *why, size_t len);

/* The calls of the log; `attach` enables the ring, once and for all. */
struct plog_io plog_uring_io(struct plog_uring *u);

/* Readable, edge by edge, when a write has ended after plog_uring_sleep(). */
int plog_uring_doorbell(const struct plog_uring *u);

/* About to sleep: false if something has ended already. */
bool plog_uring_sleep(struct plog_uring *u);

/* Awake again: no signals. */
void plog_uring_awake(struct plog_uring *u);

void plog_uring_destroy(struct plog_uring *u);

#endif
