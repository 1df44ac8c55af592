/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/stats.h"

#define FD_FIRST 3
#define FD_COUNT 4
#define FD_SPARE 64 /* above all that the child uses */

int
spawn_open(struct spawn *spawn, const struct rundir *dir)
{
	char path[256];
	bool fresh;

	spawn->stats = spawn->mailbox = -1;
	rundir_path(dir, spawn->name, "grant", path, sizeof(path));
	spawn->grant = open(path, O_RDONLY | O_CLOEXEC);
	if (spawn->grant < 0)
		return -errno;
	spawn->stats = rundir_file(
		dir, spawn->name, "stats", sizeof(struct stats), &fresh);
	if (spawn->stats < 0)
		goto fail;
	spawn->mailbox = rundir_listen(dir, spawn->name, SOCK_SEQPACKET);
	if (spawn->mailbox < 0)
		goto fail;
	return 0;
fail:
	spawn_close(spawn);
	return -EIO;
}

void
spawn_close(struct spawn *spawn)
{
	if (spawn->grant >= 0)
		close(spawn->grant);
	if (spawn->stats >= 0)
		close(spawn->stats);
	if (spawn->mailbox >= 0)
		close(spawn->mailbox);
}

/*
 * The next-hop table must not be writable for the instance, so it gets a
 * descriptor of its own, opened for reading.
 */
static int
reopen_read_only(int fd)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_RDONLY);
}

/* Move the descriptors to their places; above and between is nothing. */
static int
descriptors_place(const struct spawn *spawn)
{
	int fds[FD_COUNT] = { spawn->grant, spawn->stats,
		reopen_read_only(spawn->nexthops), spawn->mailbox };

	for (int i = 0; i < FD_COUNT; i++) {
		fds[i] = fcntl(fds[i], F_DUPFD, FD_SPARE);
		if (fds[i] < 0)
			return -errno;
	}
	for (int i = 0; i < FD_COUNT; i++)
		if (dup2(fds[i], FD_FIRST + i) < 0)
			return -errno;
	return close_range(FD_FIRST + FD_COUNT, ~0u, 0) == 0 ? 0 : -errno;
}

static void
child(const struct spawn *spawn)
{
	char *argv[] = { "carryall", "instance", (char *)(uintptr_t)spawn->name,
		NULL };
	char *envp[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL };
	sigset_t none;
	int null;

	setsid();
	setpriority(PRIO_PROCESS, 0, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	null = open("/dev/null", O_RDWR);
	if (null >= 0)
		dup2(null, STDIN_FILENO);
	if (descriptors_place(spawn) != 0)
		_exit(126);
	execve("/proc/self/exe", argv, envp);
	_exit(127);
}

pid_t
spawn_run(const struct spawn *spawn)
{
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0)
		child(spawn);
	return pid;
}
