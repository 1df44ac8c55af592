/* SPDX-License-Identifier: BSD-3-Clause */
/* Which store people mean: a path, an instance, or APPLIANCE/INSTANCE. */
#ifndef CARRYALL_LOG_FIND_H
#define CARRYALL_LOG_FIND_H

#include <stddef.h>

/*
 * The path of the store `given` into path[0..len). A file of that name counts
 * first; then what running appliances say of their instances; then the
 * default place of stores. 0, or -1 after saying on standard error what to do.
 */
int log_find(const char *given, char *path, size_t len);

#endif
