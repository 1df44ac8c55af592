/* SPDX-License-Identifier: BSD-3-Clause */
/* Putting a damaged store aside, under a name that says so. */
#include "ctrl/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MARK ".damaged-"

static unsigned int
count_damaged(const struct store *s)
{
	char prefix[sizeof(s->name) + sizeof(MARK)];
	DIR *d = opendir(s->dir);
	struct dirent *e;
	unsigned int n = 0;

	if (d == NULL)
		return 0;
	snprintf(prefix, sizeof(prefix), "%s" MARK, s->name);
	while ((e = readdir(d)) != NULL)
		n += strncmp(e->d_name, prefix, strlen(prefix)) == 0;
	closedir(d);
	return n;
}

static int
movable(const struct store *s, char *why, size_t len)
{
	struct stat st;

	if (stat(s->path, &st) != 0) {
		snprintf(why, len, "store %s: %s", s->path, strerror(errno));
		return -errno;
	}
	if (S_ISBLK(st.st_mode)) {
		snprintf(why, len,
			"store %s is damaged, and a device cannot be put "
			"aside; see what is left (carryall log check %s), then "
			"blank it: blkdiscard -z -l %llu %s",
			s->path, s->path, (unsigned long long)s->size, s->path);
		return -ENOTBLK;
	}
	if (count_damaged(s) < STORE_DAMAGED_MAX)
		return 0;
	snprintf(why, len,
		"store %s is damaged, and %d damaged ones are kept already; "
		"remove those that nobody needs: %s" MARK "*",
		s->path, STORE_DAMAGED_MAX, s->path);
	return -EMLINK;
}

/* "PATH.damaged-20240229-235959", and "-2" behind it for the second. */
static void
name_for(const struct store *s, int try, char *to, size_t len)
{
	time_t now = time(NULL);
	char date[32], more[16] = "";
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(date, sizeof(date), "%Y%m%d-%H%M%S", &tm);
	if (try > 0)
		snprintf(more, sizeof(more), "-%d", try + 1);
	snprintf(to, len, "%s" MARK "%s%s", s->path, date, more);
}

int
store_rename(
	const struct store *s, char *to, size_t to_len, char *why, size_t len)
{
	int rc = movable(s, why, len);

	if (rc != 0)
		return rc;
	rc = -EEXIST;
	for (int i = 0; rc == -EEXIST && i <= STORE_DAMAGED_MAX; i++) {
		name_for(s, i, to, to_len);
		rc = renameat2(AT_FDCWD, s->path, AT_FDCWD, to,
			     RENAME_NOREPLACE) == 0
			     ? 0
			     : -errno;
	}
	if (rc == 0)
		rc = store_dir_sync(s->dir);
	if (rc != 0)
		snprintf(why, len, "store %s cannot be put aside: %s", s->path,
			strerror(-rc));
	return rc;
}

int
store_put_aside(struct store *s, char *why, size_t len)
{
	int rc = store_rename(s, s->damaged, sizeof(s->damaged), why, len);

	if (rc != 0) {
		s->damaged[0] = '\0';
		return rc;
	}
	snprintf(why, len,
		"store %s has lost durable records; it is kept as %s, and what "
		"can be read of it goes on in a new one",
		s->path, s->damaged);
	return 0;
}

int
store_open_damaged(struct store *s)
{
	int fd;

	if (s->damaged[0] == '\0')
		return -1;
	fd = open(s->damaged, O_RDONLY | O_DIRECT | O_CLOEXEC);
	s->damaged[0] = '\0';
	return fd;
}
