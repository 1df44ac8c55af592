/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/softnic/capture.h"
#include "dataplane/softnic/counters.h"
#include "dataplane/stats.h"

#define FD_FIRST 3
#define FD_SPARE 64 /* above all that the child uses */

#define STORE_WAIT_S 10

/* Places of the descriptors that both kinds have. */
#define GRANT 0
#define STATS 1

/* The run directory is named for it. */
static const char *
appliance(const struct rundir *dir)
{
	const char *slash = strrchr(dir->path, '/');

	return slash == NULL ? dir->path : slash + 1;
}

/* NAME.IMAGE, to be read, and NAME.stats; then the others' places are free. */
static int
open_common(struct spawn *spawn, const struct rundir *dir, const char *name,
	const char *image, size_t stats_size)
{
	char path[256];
	bool fresh;

	*spawn = (struct spawn){ .name = name, .appliance = appliance(dir) };
	for (int i = 0; i < SPAWN_FDS_MAX; i++)
		spawn->fd[i] = -1;
	rundir_path(dir, name, image, path, sizeof(path));
	spawn->fd[GRANT] = open(path, O_RDONLY | O_CLOEXEC);
	if (spawn->fd[GRANT] < 0)
		return -errno;
	spawn->fd[STATS] = rundir_file(dir, name, "stats", stats_size, &fresh);
	if (spawn->fd[STATS] >= 0)
		return 0;
	spawn_close(spawn);
	return -EIO;
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
	return open(path, O_RDONLY | O_CLOEXEC);
}

int
spawn_open_instance(struct spawn *spawn, const struct rundir *dir,
	const char *name, int nexthops)
{
	int rc = open_common(spawn, dir, name, "grant", sizeof(struct stats));

	if (rc != 0)
		return rc;
	spawn->n = SPAWN_ACCESS + 1;
	spawn->fd[2] = reopen_read_only(nexthops);
	spawn->fd[3] = rundir_listen(dir, name, SOCK_SEQPACKET);
	if (spawn->fd[2] >= 0 && spawn->fd[3] >= 0)
		return 0;
	spawn_close(spawn);
	return -EIO;
}

/* The ring of captures, which a reader may have open already. */
static int
open_ring(const struct rundir *dir)
{
	bool fresh;
	int fd = rundir_file(
		dir, SPAWN_NIC, "capture", CAPTURE_FILE_SIZE, &fresh);
	struct capture_ring *r;

	if (fd < 0 || !fresh)
		return fd;
	r = mmap(NULL, sizeof(*r), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (r == MAP_FAILED) {
		close(fd);
		return -ENOMEM;
	}
	capture_init(r);
	munmap(r, sizeof(*r));
	return fd;
}

int
spawn_open_nic(struct spawn *spawn, const struct rundir *dir)
{
	int rc = open_common(
		spawn, dir, SPAWN_NIC, "tables", sizeof(struct softnic_stats));

	if (rc != 0)
		return rc;
	spawn->n = SOFTNIC_FD_CAPTURE - FD_FIRST + 1;
	spawn->fd[2] = rundir_listen(dir, SPAWN_NIC, SOCK_SEQPACKET);
	spawn->fd[3] = open_ring(dir);
	if (spawn->fd[2] >= 0 && spawn->fd[3] >= 0)
		return 0;
	spawn_close(spawn);
	return -EIO;
}

void
spawn_close(struct spawn *spawn)
{
	for (int i = 0; i < SPAWN_FDS_MAX; i++) {
		if (spawn->fd[i] >= 0)
			close(spawn->fd[i]);
		spawn->fd[i] = -1;
	}
}

/* Move the descriptors to their places; above and between is nothing. */
static int
descriptors_place(struct spawn *spawn)
{
	for (unsigned int i = 0; i < spawn->n; i++) {
		bool none = spawn->fd[i] < 0;

		spawn->fd[i] = fcntl(spawn->fd[i], F_DUPFD, FD_SPARE);
		if (spawn->fd[i] < 0 && !none)
			return -errno;
	}
	for (unsigned int i = 0; i < spawn->n; i++) {
		int to = FD_FIRST + (int)i;

		if (spawn->fd[i] < 0)
			close(to);
		else if (dup2(spawn->fd[i], to) < 0)
			return -errno;
	}
	return close_range(FD_FIRST + spawn->n, ~0u, 0) == 0 ? 0 : -errno;
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
	spawn->fd[SPAWN_STORE] = spawn->fd[SPAWN_DAMAGED] = -1;
}

static bool
is_nic(const char *name)
{
	return strcmp(name, SPAWN_NIC) == 0;
}

static void
child(struct spawn spawn)
{
	bool nic = is_nic(spawn.name);
	char *argv[] = { "carryall", nic ? SPAWN_NIC : "instance",
		(char *)(uintptr_t)(nic ? spawn.appliance : spawn.name), NULL };
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
	rc = nic ? 0 : store_await(spawn.fd[SPAWN_STORE]);
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
is_child(pid_t pid, const struct rundir *dir, const char *name)
{
	bool nic = is_nic(name);
	char path[48], want[160], have[160];
	int n = snprintf(want, sizeof(want), "carryall%c%s%c%s", 0,
		nic ? SPAWN_NIC : "instance", 0, nic ? appliance(dir) : name);
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
	if (fd >= 0 && is_child(*pid, dir, name))
		return fd;
	if (fd >= 0)
		close(fd);
	return -ESRCH;
}
