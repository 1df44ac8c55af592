/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctrl/mail.h"
#include "ctrl/supervisor_internal.h"

struct image {
	const char *suffix;
	size_t size;
	size_t generation; /* where in it */
	void *data;
};

static struct image
image_of(const struct supervised *s)
{
	struct image grant = { "grant", sizeof(struct grant),
		offsetof(struct grant, generation), NULL };
	struct image tables = { "tables", sizeof(struct softnic_tables),
		offsetof(struct softnic_tables, generation), s->sup->nic };

	if (s->index == SUPERVISOR_NIC)
		return tables;
	grant.data = s->sup->plan->instances[s->index].grant;
	return grant;
}

static uint32_t *
generation_of(const struct image *i, void *data)
{
	return (uint32_t *)(void *)((char *)data + i->generation);
}

int
image_write(const struct supervised *s)
{
	struct image i = image_of(s);

	return rundir_replace(s->sup->dir, s->name, i.suffix, i.data, i.size);
}

static bool
image_current(const struct supervised *s)
{
	struct image i = image_of(s);
	void *file = malloc(i.size);
	char path[256];
	bool same = false;
	int fd;

	rundir_path(s->sup->dir, s->name, i.suffix, path, sizeof(path));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && file != NULL &&
		read(fd, file, i.size) == (ssize_t)i.size) {
		*generation_of(&i, file) = *generation_of(&i, i.data);
		same = memcmp(file, i.data, i.size) == 0;
	}
	if (fd >= 0)
		close(fd);
	free(file);
	return same;
}

int
image_send(struct supervised *s)
{
	int rc = 0, fd = image_write(s);

	if (fd < 0)
		return fd;
	s->refused[0] = '\0';
	if (s->mail >= 0)
		rc = mail_send(s->mail, MAIL_UPDATE, fd);
	close(fd);
	return rc;
}

bool
image_known(const struct supervised *s)
{
	struct image i = image_of(s);

	return s->generation == *generation_of(&i, i.data) && image_current(s);
}

void
image_catch_up(struct supervised *s)
{
	struct image i = image_of(s);

	if (image_known(s))
		return;
	++*generation_of(&i, i.data);
	image_send(s);
}
