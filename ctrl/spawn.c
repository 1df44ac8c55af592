/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/stats.h"

#define FD_FIRST    3
#define FD_COUNT    6
#define FD_OPTIONAL 4  /* from here on of FD_COUNT: may be none */
#define FD_SPARE    64 /* above all that the child uses */

#define STORE_WAIT_S 10

int
spawn_open(struct spawn *spawn, const struct rundir *dir)
{
	char path[256];
	bool fresh;

	spawn->stats = spawn->mailbox = -1;
	spawn->store = spawn->damaged = -1;
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
	if (spawn->store >= 0)
		close(spawn->store);
	if (spawn->damaged >= 0)
		close(spawn->damaged);
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
		reopen_read_only(spawn->nexthops), spawn->mailbox, spawn->store,
		spawn->damaged };

	for (int i = 0; i < FD_COUNT; i++) {
		bool none = i >= FD_OPTIONAL && fds[i] < 0;

		fds[i] = fcntl(fds[i], F_DUPFD, FD_SPARE);
		if (fds[i] < 0 && !none)
			return -errno;
	}
	for (int i = 0; i < FD_COUNT; i++) {
		if (fds[i] < 0)
			close(FD_FIRST + i);
		else if (dup2(fds[i], FD_FIRST + i) < 0)
			return -errno;
	}
	return close_range(FD_FIRST + FD_COUNT, ~0u, 0) == 0 ? 0 : -errno;
}

static void
on_alarm(int sig)
{
	(void)sig; /* it has interrupted flock() */
}

/*
 * Whoever had the store may still have writes in flight; the lock comes when
 * the last of them has ended. -EINTR: a device that has not answered for so
 * long may never do.
 */
static int
store_await(int fd)
{
	const struct sigaction interrupt = { .sa_handler = on_alarm };
	int rc;

	if (fd < 0)
		return 0;
	sigaction(SIGALRM, &interrupt, NULL);
	alarm(STORE_WAIT_S);
	rc = flock(fd, LOCK_EX) == 0 ? 0 : -errno;
	alarm(0);
	return rc;
}

/* To serve without it is worth more than to wait for it any longer. */
static void
store_leave(struct spawn *spawn)
{
	dprintf(STDERR_FILENO,
		"carryall: %s: the device of its store has not answered what "
		"was written last for %d s; starting without the store\n",
		spawn->name, STORE_WAIT_S);
	spawn->store = spawn->damaged = -1;
}

static void
child(struct spawn spawn)
{
	char *argv[] = { "carryall", "instance", (char *)(uintptr_t)spawn.name,
		NULL };
	char *envp[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL };
	sigset_t none;
	int null, rc;

	setsid();
	setpriority(PRIO_PROCESS, 0, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	null = open("/dev/null", O_RDWR);
	if (null >= 0)
		dup2(null, STDIN_FILENO);
	rc = store_await(spawn.store);
	if (rc == -EINTR)
		store_leave(&spawn);
	else if (rc != 0)
		_exit(126);
	if (descriptors_place(&spawn) != 0)
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
		child(*spawn);
	return pid;
}

static void
pid_file(const char *name, char *buf, size_t len)
{
	snprintf(buf, len, "%s.pid", name);
}

int
spawn_remember(const struct rundir *dir, const char *name, pid_t pid)
{
	char file[64];

	pid_file(name, file, sizeof(file));
	return rundir_number_set(dir, file, (uint64_t)pid);
}

/* Is it our child() of that name? Numbers of processes are used again. */
static bool
is_instance(pid_t pid, const char *name)
{
	char path[48], want[96], have[96];
	int n = snprintf(
		want, sizeof(want), "carryall%cinstance%c%s", 0, 0, name);
	int fd;
	ssize_t got;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	got = read(fd, have, sizeof(have));
	close(fd);
	return n < (int)sizeof(want) && got == n + 1 &&
	       memcmp(have, want, (size_t)n + 1) == 0;
}

int
spawn_find(const struct rundir *dir, const char *name, pid_t *pid)
{
	char file[64];
	uint64_t kept;
	int fd;

	pid_file(name, file, sizeof(file));
	kept = rundir_number(dir, file, 0);
	if (kept == 0 || kept > INT32_MAX)
		return -ESRCH;
	*pid = (pid_t)kept;
	fd = pidfd_open(*pid, 0);
	if (fd >= 0 && is_instance(*pid, name))
		return fd;
	if (fd >= 0)
		close(fd);
	return -ESRCH;
}
