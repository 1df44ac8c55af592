/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/xdp/record.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void
file_name(const char *run_dir, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s/made", run_dir);
}

static void
addr_text(const struct ip_addr *a, char buf[INET6_ADDRSTRLEN])
{
	if (ip_addr_is_v4(a))
		inet_ntop(AF_INET, &a->w[3], buf, INET6_ADDRSTRLEN);
	else
		inet_ntop(AF_INET6, a->w, buf, INET6_ADDRSTRLEN);
}

static int
addr_parse(const char *text, struct ip_addr *a)
{
	__be32 v4;

	if (inet_pton(AF_INET, text, &v4) == 1) {
		*a = ip_addr_from_v4(v4);
		return 0;
	}
	return inet_pton(AF_INET6, text, a->w) == 1 ? 0 : -EINVAL;
}

int
record_add(const char *run_dir, const struct record_entry *e)
{
	char path[PATH_MAX], text[INET6_ADDRSTRLEN], line[128];
	int fd, n, err = 0;

	file_name(run_dir, path);
	addr_text(&e->addr, text);
	n = e->is_addr ? snprintf(line, sizeof(line), "address %s %s %u\n",
				 e->device, text, e->prefix)
		       : snprintf(line, sizeof(line), "device %s\n", e->device);
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (write(fd, line, (size_t)n) != n)
		err = errno ? -errno : -EIO;
	close(fd);
	return err;
}

static int
parse(const char *line, struct record_entry *e)
{
	char addr[64], rest;

	memset(e, 0, sizeof(*e));
	if (sscanf(line, "device %31s%c", e->device, &rest) == 2)
		return rest == '\n' ? 0 : -EINVAL;
	e->is_addr = 1;
	if (sscanf(line, "address %31s %63s %u%c", e->device, addr, &e->prefix,
		    &rest) != 4)
		return -EINVAL;
	return addr_parse(addr, &e->addr);
}

/* The newest come off first, as in any unwinding. */
static void
walk_back(char **lines, size_t n,
	void (*each)(void *ctx, const struct record_entry *e), void *ctx)
{
	struct record_entry e;

	while (n-- > 0) {
		if (!parse(lines[n], &e))
			each(ctx, &e);
		free(lines[n]);
	}
}

static int
read_lines(FILE *f, char ***lines, size_t *n)
{
	char *line = NULL;
	size_t size = 0;

	while (getline(&line, &size, f) > 0) {
		char **more = realloc(*lines, (*n + 1) * sizeof(**lines));

		if (!more) {
			free(line);
			return -ENOMEM;
		}
		*lines = more;
		more[(*n)++] = line;
		line = NULL;
		size = 0;
	}
	free(line);
	return 0;
}

int
record_walk(const char *run_dir,
	void (*each)(void *ctx, const struct record_entry *e), void *ctx)
{
	char path[PATH_MAX], **lines = NULL;
	size_t n = 0;
	FILE *f;
	int err;

	file_name(run_dir, path);
	f = fopen(path, "re");
	if (!f)
		return errno == ENOENT ? 0 : -errno;
	err = read_lines(f, &lines, &n);
	fclose(f);
	walk_back(lines, n, each, ctx);
	free(lines);
	return err;
}

void
record_clear(const char *run_dir)
{
	char path[PATH_MAX];

	file_name(run_dir, path);
	unlink(path);
}
