/* SPDX-License-Identifier: BSD-3-Clause */
/* Ending instances that nobody supervises any more. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ctrl/mail.h"
#include "ctrl/spawn.h"
#include "ctrl/supervisor.h"

#define SUFFIX    ".sock"
#define ANSWER_MS 2000
#define STOP_MS   2000

/* 0 once `fd` is readable, -ETIMEDOUT else. */
static int
readable(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) == 1 ? 0 : -ETIMEDOUT;
}

static void
process_end(int pidfd)
{
	if (readable(pidfd, STOP_MS) == 0)
		return;
	pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
	readable(pidfd, STOP_MS);
}

/*
 * Ask one to stop. The kernel says who answers; one that does not is known
 * by what was noted when it was started.
 */
static void
instance_end(const struct rundir *dir, const char *name)
{
	struct mail mail;
	pid_t pid;
	int who = spawn_find(dir, name, &pid);
	int fd = rundir_connect(dir, name, SOCK_SEQPACKET);

	if (fd >= 0 && mail_prepare(fd) == 0 &&
		mail_send(fd, MAIL_STOP, -1) == 0 &&
		readable(fd, ANSWER_MS) == 0 &&
		mail_take(fd, &mail, &pid) == 0 && who < 0)
		who = pidfd_open(pid, 0);
	if (fd >= 0)
		close(fd);
	if (who < 0)
		return;
	process_end(who);
	close(who);
}

void
supervisor_clean(const struct rundir *dir)
{
	int fd = openat(dir->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL) {
		size_t n = strlen(e->d_name), s = strlen(SUFFIX);

		if (n <= s || strcmp(e->d_name + n - s, SUFFIX) != 0)
			continue;
		e->d_name[n - s] = '\0';
		if (strcmp(e->d_name, "control") != 0)
			instance_end(dir, e->d_name);
	}
	if (d != NULL)
		closedir(d);
}
