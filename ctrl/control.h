/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control plane: `carryall run`.
 *
 *   config -> run directory -> plan -> next hops -> provider -> stores ->
 *   instances
 *
 * It is never on the data path. Killed with SIGKILL, it leaves everything
 * running and findable; the next one takes it over ("adopts") if its
 * configuration asks for the same VNICs, and refuses if not. Ended with
 * SIGTERM or SIGINT, it removes all it made.
 *
 * Life-cycle of a start: each stage is undone by its twin in reverse order
 * when a later one fails; with nothing found from a former life, a failed
 * start therefore leaves nothing behind.
 */
#ifndef CARRYALL_CONTROL_H
#define CARRYALL_CONTROL_H

#include <stddef.h>

#include "ctrl/config.h"

/* What the control plane must know of the functions in this build. */
struct control_functions {
	const struct config_type *types;
	/* Check a finished grant: 0, or -EINVAL with the reason. */
	int (*check)(const struct grant *grant, char *why, size_t len);
	/* MiB of DPDK memory that an instance with this grant needs. */
	uint32_t (*memory_mb)(const struct grant *grant);
};

/*
 * Run the appliance of config file `path` until it is told to stop. Says what
 * it does on standard error. Returns 0 after a clean stop, 1 when the
 * configuration or the machine refuses, with every reason said.
 */
int control_run(const char *path, const struct control_functions *functions);

/* Find all faults of `path`, print them to `out`. Returns their number. */
unsigned int control_check(
	const char *path, const struct control_functions *functions, FILE *out);

/*
 * Remove what a control plane that was killed has left of appliance `name`,
 * instances included. 0, -ENOENT if there is nothing, -EBUSY if a control
 * plane runs, -EXDEV if it is of another network namespace: nothing is
 * removed then, for what it made cannot be seen from here.
 */
int control_clean(const char *name);

#endif
