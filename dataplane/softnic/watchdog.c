/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/softnic/watchdog.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#define WATCHDOG_SIGNAL (SIGRTMIN + 4)
#define WATCHDOG_NS     (WATCHDOG_US * 1000)

static void
on_signal(int sig)
{
	(void)sig; /* it has interrupted what blocked */
}

int
watchdog_start(struct watchdog *dog)
{
	/* No SA_RESTART: the call is to end, not to go on. */
	const struct sigaction interrupt = { .sa_handler = on_signal };
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID,
		.sigev_signo = WATCHDOG_SIGNAL };

	event._sigev_un._tid = gettid();
	dog->on = sigaction(WATCHDOG_SIGNAL, &interrupt, NULL) == 0 &&
		  timer_create(CLOCK_MONOTONIC, &event, &dog->timer) == 0;
	return dog->on ? 0 : -errno;
}

void
watchdog_end(struct watchdog *dog)
{
	if (dog->on)
		timer_delete(dog->timer);
	dog->on = false;
}

/* It comes again, for the case that it came before the call. */
void
watchdog_arm(struct watchdog *dog)
{
	const struct itimerspec period = { { 0, WATCHDOG_NS },
		{ 0, WATCHDOG_NS } };

	if (dog->on)
		timer_settime(dog->timer, 0, &period, NULL);
}

void
watchdog_disarm(struct watchdog *dog)
{
	const struct itimerspec none = { 0 };

	if (dog->on)
		timer_settime(dog->timer, 0, &none, NULL);
}
