/* SPDX-License-Identifier: BSD-3-Clause */
/* Verifying a store, and saying what is in it. */
#ifndef CARRYALL_LOG_CHECK_H
#define CARRYALL_LOG_CHECK_H

#include <stdint.h>

#include "appliance/log_reader.h"

/*
 * Read all of the store and print a summary on standard output. 0 if it is
 * good, also when it ends with what a crash left unfinished; 1 if it is
 * damaged.
 */
int log_check(struct log_reader *r);

/*
 * A file without a good superblock: how many good blocks of a log are in it,
 * told on standard error if there are any.
 */
uint64_t log_check_remains(const char *path);

#endif
