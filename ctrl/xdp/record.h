/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The record of what was made: RUN_DIR/made.
 *
 * One line per device and address, written before the thing is made, so that
 * whoever comes after a killed control plane knows what to remove, and what
 * was there before us stays.
 *
 *   device web.0
 *   address eth1 10.0.0.80 32
 */
#ifndef CARRYALL_XDP_RECORD_H
#define CARRYALL_XDP_RECORD_H

#include "dataplane/addr.h"

struct record_entry {
	char device[32];
	struct ip_addr addr;
	unsigned int prefix;
	int is_addr; /* 0: the device itself was made */
};

/* Add one entry. 0 or -errno. */
int record_add(const char *run_dir, const struct record_entry *e);

/* Call `each` for every entry, the latest first; a line that is none is
 * skipped. 0 (also when there is no record) or -errno. */
int record_walk(const char *run_dir,
	void (*each)(void *ctx, const struct record_entry *e), void *ctx);

/* Forget one entry. 0 or -errno; then the record is as it was. */
int record_remove(const char *run_dir, const struct record_entry *e);

/* Forget all. */
void record_clear(const char *run_dir);

#endif
