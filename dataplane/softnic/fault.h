/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Shared memory that goes away. Who shares a file can make it shorter; the
 * next access behind its new end is SIGBUS, in whatever thread that is. The
 * handler puts zeros in the place of the whole mapping, says so by a flag,
 * and the access goes on as if nothing had happened.
 */
#ifndef CARRYALL_SOFTNIC_FAULT_H
#define CARRYALL_SOFTNIC_FAULT_H

#include <stddef.h>
#include <stdint.h>

/*
 * Take SIGBUS over, for the process. Faults that are not within watched
 * memory end it as before. 0 or -errno.
 */
int fault_init(void);

/*
 * Watch the mapping at[0..size), both of whole pages of its kind; *flag
 * becomes 1 when it has been replaced, and must live until fault_forget().
 * 0, or -ENOSPC. Thread: one at a time.
 */
int fault_watch(void *at, size_t size, uint32_t *flag);

/*
 * Before it is unmapped, and when no other thread accesses it any more.
 * Thread: that of fault_watch.
 */
void fault_forget(const void *at);

#endif
