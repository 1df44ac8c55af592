/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the supervisor share, and nobody else sees. */
#ifndef CARRYALL_SUPERVISOR_INTERNAL_H
#define CARRYALL_SUPERVISOR_INTERNAL_H

#include "ctrl/supervisor.h"

struct supervisor {
	sd_event *event;
	const struct rundir *dir;
	const struct plan *plan;
	struct softnic_tables *nic; /* NULL: there is none */
	struct supervisor_hooks hooks;
	int nexthops;   /* descriptor handed to instances */
	unsigned int n; /* of s: the instances, then the NIC */
	struct supervised *s;
};

/*
 * The image of a process: what it is told, as a file that it maps. A grant,
 * or the NIC's tables.
 */

/* Write it as it should be. A descriptor of the file, or -errno. */
int image_write(const struct supervised *s);

/* Does it go by the very image that it is to have, as its file says too? */
bool image_known(const struct supervised *s);

/* Write it, and mail it to the process if that can be reached. 0, -errno. */
int image_send(struct supervised *s);

/*
 * A process was adopted: it may be on an older image than the file, one that
 * it refused, or that the former control plane had no time left to send.
 */
void image_catch_up(struct supervised *s);

#endif
