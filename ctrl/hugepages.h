/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Huge pages for the instances: taken from the kernel when an appliance
 * starts, given back when it stops. How many were added is written into the
 * run directory first, so that also a later process can give them back.
 */
#ifndef CARRYALL_HUGEPAGES_H
#define CARRYALL_HUGEPAGES_H

#include <stdint.h>

#include "ctrl/rundir.h"

/*
 * See to it that `mb` MiB of free 2 MiB pages are there. 0, or -ENOMEM with
 * nothing changed: the kernel finds no contiguous memory, or has no such
 * pages. Thread: control; may take a moment while the kernel compacts.
 */
int hugepages_reserve(const struct rundir *dir, uint32_t mb);

/* Give back what was added. Does nothing if nothing was. */
void hugepages_release(const struct rundir *dir);

#endif
