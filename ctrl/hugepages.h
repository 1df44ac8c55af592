/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Huge pages for the instances: taken from the kernel when an appliance
 * starts, given back when it stops. How many were added is written into the
 * run directory first, so that also a later process can give them back.
 *
 * Every appliance adds all that it needs, and takes away just as much. Pages
 * that happen to be free are not counted on: they are those that another
 * appliance has added and whose instances have not taken them yet, or died
 * and come back for them.
 */
#ifndef CARRYALL_HUGEPAGES_H
#define CARRYALL_HUGEPAGES_H

#include <stdint.h>

#include "ctrl/rundir.h"

/*
 * Add 2 MiB pages for `mb` MiB. 0, also if the kernel has no more but enough
 * are free; or -ENOMEM with nothing changed: it finds no contiguous memory,
 * or has no such pages. Thread: control; may take a moment while the kernel
 * compacts, or another appliance does the same.
 */
int hugepages_reserve(const struct rundir *dir, uint32_t mb);

/* Give back what was added. Does nothing if nothing was. */
void hugepages_release(const struct rundir *dir);

#endif
