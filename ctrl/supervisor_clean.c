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
process_end(pid_t pid)
{
	int fd = pidfd_open(pid, 0);

	if (fd < 0)
		return;
	if (readable(fd, STOP_MS) != 0) {
		pidfd_send_signal(fd, SIGKILL, NULL, 0);
		readable(fd, STOP_MS);
	}
	close(fd);
}

/* Ask one to stop. The kernel says who answers; that process is awaited. */
static void
instance_end(const struct rundir *dir, const char *name)
{
	struct mail mail;
	pid_t sender;
	int fd = rundir_connect(dir, name, SOCK_SEQPACKET);

	if (fd < 0)
		return;
	if (mail_prepare(fd) == 0 && mail_send(fd, MAIL_STOP, -1) == 0 &&
		readable(fd, ANSWER_MS) == 0 &&
		mail_take(fd, &mail, &sender) == 0)
		process_end(sender);
	close(fd);
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
