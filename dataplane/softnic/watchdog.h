/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * No call to the kernel holds the loop for longer than WATCHDOG_MS.
 *
 * The one that an instance could make block is the write to its doorbell: it
 * shares the open file, so it can take O_NONBLOCK from it, and fill its
 * counter, between any check of ours and the write. A timer's signal to the
 * loop's thread ends such a write with EINTR; virtq_call() then says whose
 * fault it was. A sleep of the loop's own is not disturbed: it waits with
 * WATCHDOG_SIGNAL blocked.
 */
#ifndef CARRYALL_SOFTNIC_WATCHDOG_H
#define CARRYALL_SOFTNIC_WATCHDOG_H

#include <signal.h>
#include <stdbool.h>
#include <time.h>

#define WATCHDOG_MS     50
#define WATCHDOG_SIGNAL (SIGRTMIN + 4)

struct watchdog {
	timer_t timer;
	bool on;
};

/*
 * Watch the calling thread until watchdog_end(). Without a timer, which takes
 * memory alone, there is no watch.
 */
void watchdog_start(struct watchdog *dog);
void watchdog_end(struct watchdog *dog);

#endif
