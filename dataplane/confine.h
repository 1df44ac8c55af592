/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An instance lays down its privileges: before the first packet of a
 * stranger is looked at, it can do nothing but its work. What a taken-over
 * instance may still send is the VNIC's business (transmit filters).
 */
#ifndef CARRYALL_CONFINE_H
#define CARRYALL_CONFINE_H

#include <stddef.h>
#include <stdint.h>

/*
 * Before any thread is started: no new privileges, an empty bounding set;
 * what comes later inherits both. 0 or -errno, reason in why[0..len).
 */
int confine_early(char *why, size_t len);

/*
 * After the VNIC is attached: become `uid`:`gid` with no groups and no
 * capability, in every thread, and allow only the system calls of the loop;
 * any other kills the process. Irreversible. 0 or -errno.
 */
int confine(uint32_t uid, uint32_t gid, char *why, size_t len);

#endif
