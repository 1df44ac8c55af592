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

static int
entry_text(const struct record_entry *e, char line[128])
{
	char text[INET6_ADDRSTRLEN];

	if (!e->is_addr)
		return snprintf(line, 128, "device %s\n", e->device);
	addr_text(&e->addr, text);
	return snprintf(
		line, 128, "address %s %s %u\n", e->device, text, e->prefix);
}

static int
append(const char *path, const char *line, size_t n)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	ssize_t done;
	int err = 0;

	if (fd < 0)
		return -errno;
	done = write(fd, line, n);
	if (done != (ssize_t)n)
		err = done < 0 ? -errno : -ENOSPC;
	close(fd);
	return err;
}

int
record_add(const char *run_dir, const struct record_entry *e)
{
	char path[PATH_MAX], line[128];
	int n = entry_text(e, line);

	file_name(run_dir, path);
	return append(path, line, (size_t)n);
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

/* All lines but `gone` to `out`. */
static int
copy_others(FILE *in, FILE *out, const char *gone)
{
	char line[256];

	while (fgets(line, sizeof(line), in))
		if (strcmp(line, gone) && fputs(line, out) == EOF)
			return -EIO;
	return fflush(out) ? -errno : 0;
}

int
record_remove(const char *run_dir, const struct record_entry *e)
{
	char path[PATH_MAX], fresh[PATH_MAX + 8], gone[128];
	FILE *in, *out;
	int err = -ENOENT;

	entry_text(e, gone);
	file_name(run_dir, path);
	snprintf(fresh, sizeof(fresh), "%s.new", path);
	in = fopen(path, "re");
	out = in ? fopen(fresh, "we") : NULL;
	if (out) {
		err = copy_others(in, out, gone);
		fclose(out);
	}
	if (in)
		fclose(in);
	if (!err && rename(fresh, path))
		err = -errno;
	return err;
}

void
record_clear(const char *run_dir)
{
	char path[PATH_MAX];

	file_name(run_dir, path);
	unlink(path);
}
