/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/softnic/caps.h"

#include <dirent.h>
#include <errno.h>
#include <linux/capability.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Far longer than a thread may hold off a signal. */
#define ANSWER_S 5

#define SIGNAL (SIGRTMIN + 3)

static sem_t answered;

static int
own_drop(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct none[2] = { 0 };

	return syscall(SYS_capset, &head, none) == 0 ? 0 : -errno;
}

static int
own_left(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct now[2] = { 0 };

	if (syscall(SYS_capget, &head, now) != 0)
		return 1;
	return (now[0].permitted | now[1].permitted | now[0].inheritable |
		       now[1].inheritable) != 0;
}

/* One that fails gives no answer, and that is seen. */
static void
on_signal(int sig)
{
	int saved = errno;

	(void)sig;
	if (own_drop() == 0 && !own_left())
		sem_post(&answered);
	errno = saved;
}

static int
thread_drop(pid_t tid)
{
	struct timespec until;

	if (syscall(SYS_tgkill, getpid(), tid, SIGNAL) != 0)
		return errno == ESRCH ? 0 : -errno;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += ANSWER_S;
	while (sem_timedwait(&answered, &until) != 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

static int
threads_drop(void)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *e;
	int rc = 0;

	if (dir == NULL)
		return -errno;
	while (rc == 0 && (e = readdir(dir)) != NULL)
		if (e->d_name[0] != '.')
			rc = thread_drop((pid_t)atoi(e->d_name));
	closedir(dir);
	return rc;
}

int
caps_drop(char *why, size_t len)
{
	struct sigaction action = { .sa_handler = on_signal,
		.sa_flags = SA_RESTART };
	struct sigaction old;
	int rc;

	sem_init(&answered, 0, 0);
	sigaction(SIGNAL, &action, &old);
	rc = threads_drop();
	sigaction(SIGNAL, &old, NULL);
	sem_destroy(&answered);
	if (rc != 0)
		snprintf(why, len, "a thread keeps its capabilities: %s",
			strerror(-rc));
	return rc;
}
