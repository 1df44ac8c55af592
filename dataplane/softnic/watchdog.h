/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The write to an instance's doorbell holds the loop no longer than
 * WATCHDOG_US.
 *
 * It is the one call to the kernel that an instance could make block: it
 * shares the open file, so it can take O_NONBLOCK from it, and fill its
 * counter, between any check of ours and the write. A timer's signal to the
 * loop's thread ends such a write with EINTR; virtq_call() then says whose
 * fault it was. The timer runs during the write only.
 */
#ifndef CARRYALL_SOFTNIC_WATCHDOG_H
#define CARRYALL_SOFTNIC_WATCHDOG_H

#include <stdbool.h>
#include <time.h>

#define WATCHDOG_US 1000

struct watchdog {
	timer_t timer;
	bool on;
};

/* For the calling thread, until watchdog_end(). 0 or -errno. */
int watchdog_start(struct watchdog *dog);
void watchdog_end(struct watchdog *dog);

/* Around a call. One that was not started does nothing. */
void watchdog_arm(struct watchdog *dog);
void watchdog_disarm(struct watchdog *dog);

#endif
