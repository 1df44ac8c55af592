/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A function's file has a buffer of lines that are not written yet. While
 * there is something in it that the file does not take, no ring of the
 * function is read: rings are where lines wait.
 */
#include "ctrl/access.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctrl/access_line.h"

#define TURN_US    100000u
#define TURN_LINES 2000u
#define BUFFER     (64u << 10)
#define RING_LINES (ACCESS_BYTES / (unsigned int)sizeof(struct access_record))

_Static_assert(BUFFER >= 2 * ACCESS_LINE_MAX, "a buffer is of many lines");

struct file {
	const struct config_access *config; /* of the plan */
	int fd;                             /* -1: not open */
	dev_t dev;
	ino_t ino;
	int error;              /* that was said, and lasts; 0: none */
	uint64_t lines, errors; /* taken; openings and writes that failed */
	size_t sent, len;       /* buf[sent..len) is to be written */
	char buf[BUFFER];
};

struct ring {
	struct access_ring *map; /* NULL: none */
	bool broken;             /* that was said */
};

struct access_log {
	const struct rundir *dir;
	const struct plan *plan;
	void (*say)(const char *line);
	sd_event_source *timer;
	unsigned int n_rings, next; /* the ring to begin with */
	struct ring *rings;         /* one per instance */
	unsigned int n_files;
	struct file **files; /* one per function; NULL: it is no proxy */
};

/* --- rings ---------------------------------------------------------------- */

static struct access_ring *
ring_map(int fd)
{
	struct access_ring *r = mmap(
		NULL, sizeof(*r), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return r == MAP_FAILED ? NULL : r;
}

int
access_ring_open(const struct rundir *dir, const char *name)
{
	bool fresh;
	int fd = rundir_file(
		dir, name, "access", sizeof(struct access_ring), &fresh);
	struct access_ring *r;

	if (fd < 0 || !fresh)
		return fd;
	r = ring_map(fd);
	if (r == NULL) {
		close(fd);
		return -ENOMEM;
	}
	access_init(r);
	munmap(r, sizeof(*r));
	return fd;
}

static int
rings_open(struct access_log *log)
{
	const struct plan *plan = log->plan;

	for (unsigned int i = 0; i < plan->n_instances; i++) {
		const struct plan_instance *in = &plan->instances[i];
		int fd;

		if (!plan->config->functions[in->function].proxies)
			continue;
		fd = access_ring_open(log->dir, in->name);
		if (fd < 0)
			return fd;
		log->rings[i].map = ring_map(fd);
		close(fd);
		if (log->rings[i].map == NULL)
			return -ENOMEM;
	}
	return 0;
}

/* --- files ---------------------------------------------------------------- */

static void __attribute__((format(printf, 3, 4)))
say(const struct access_log *log, const struct file *f, const char *format, ...)
{
	char text[256], line[544];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	snprintf(
		line, sizeof(line), "access log %s: %s", f->config->file, text);
	log->say(line);
}

/* Said when it begins, and when it is another; and when it is over. */
static void
tell(struct access_log *log, struct file *f, int error)
{
	if (error == f->error)
		return;
	f->error = error;
	if (error != 0)
		say(log, f, "%s; its lines wait, as many as there is room for",
			strerror(error));
	else
		say(log, f, "written again");
}

static void
file_close(struct file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
	/* A line that was cut short goes whole into the next file. */
	while (f->sent > 0 && f->sent < f->len && f->buf[f->sent - 1] != '\n')
		f->sent--;
}

/* Its folder, where only that one is missing. */
static void
folder_make(const char *path)
{
	char folder[sizeof(((struct config_access *)0)->file)];

	snprintf(folder, sizeof(folder), "%s", path);
	*strrchr(folder, '/') = '\0';
	mkdir(folder, 0755);
}

static int
open_once(const char *path)
{
	/* Not to wait for a pipe's reader: the control plane waits for none. */
	int fd = open(path,
		O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK |
			O_NOCTTY,
		0640);

	return fd < 0 ? -errno : fd;
}

/* 0, or a positive error number. */
static int
file_open(struct file *f)
{
	struct stat st = { 0 };
	int fd = open_once(f->config->file);

	if (fd == -ENOENT) {
		folder_make(f->config->file);
		fd = open_once(f->config->file);
	}
	if (fd < 0)
		return -fd;
	fstat(fd, &st); /* of what is open: fails on no account */
	f->fd = fd;
	f->dev = st.st_dev;
	f->ino = st.st_ino;
	return 0;
}

/* Is what is open still what the name stands for? */
static bool
is_same(const struct file *f)
{
	struct stat st;

	return stat(f->config->file, &st) == 0 && st.st_dev == f->dev &&
	       st.st_ino == f->ino;
}

/* 0 with the file open, or a positive error number. */
static int
file_ready(struct file *f)
{
	if (f->fd >= 0 && !is_same(f))
		file_close(f);
	return f->fd >= 0 ? 0 : file_open(f);
}

/* Write what is in the buffer: 0 with all of it written, or as above. */
static int
file_flush(struct file *f)
{
	int rc = file_ready(f);

	while (rc == 0 && f->sent < f->len) {
		ssize_t n = write(f->fd, f->buf + f->sent, f->len - f->sent);

		if (n < 0 && errno != EINTR)
			rc = errno;
		if (n > 0)
			f->sent += (size_t)n;
	}
	if (f->sent == f->len)
		f->sent = f->len = 0;
	f->errors += rc != 0;
	return rc;
}

/* --- a turn --------------------------------------------------------------- */

static void
ring_broken(struct access_log *log, unsigned int i, const struct file *f)
{
	if (!log->rings[i].broken)
		say(log, f, "%s wrote what is no line; what it had is lost",
			log->plan->instances[i].name);
	log->rings[i].broken = true;
}

/* Lines of ring `i`, at most `lines`: how many. */
static unsigned int
ring_take(struct access_log *log, unsigned int i, struct file *f,
	unsigned int lines)
{
	const struct grant *g = log->plan->instances[i].grant;
	struct access_record r;
	char text[ACCESS_TEXT_MAX];
	unsigned int n = 0;

	for (; n < lines; n++) {
		int rc;

		if (BUFFER - f->len < ACCESS_LINE_MAX && file_flush(f) != 0)
			break;
		rc = access_get(log->rings[i].map, &r, text);
		if (rc == 0)
			break;
		if (rc < 0) {
			ring_broken(log, i, f);
			break;
		}
		f->len += (size_t)access_line(f->config->format, g, &r, text,
			f->buf + f->len, BUFFER - f->len);
		f->lines++;
	}
	return n;
}

static struct file *
file_of(const struct access_log *log, unsigned int ring)
{
	struct file *f = log->files[log->plan->instances[ring].function];

	return f != NULL && *f->config->file != '\0' ? f : NULL;
}

static void
files_flush(struct access_log *log)
{
	for (unsigned int i = 0; i < log->n_files; i++)
		if (log->files[i] != NULL &&
			*log->files[i]->config->file != '\0')
			tell(log, log->files[i], file_flush(log->files[i]));
}

/* Each turn begins with another ring, so that one cannot starve others. */
int
access_log_turn(struct access_log *log, unsigned int lines)
{
	unsigned int left = lines;

	files_flush(log);
	for (unsigned int k = 0; k < log->n_rings && left > 0; k++) {
		unsigned int i = (log->next + k) % log->n_rings;
		struct file *f = file_of(log, i);

		if (f != NULL && f->error == 0)
			left -= ring_take(log, i, f, left);
	}
	files_flush(log);
	log->next = log->n_rings > 0 ? (log->next + 1) % log->n_rings : 0;
	return left == 0;
}

static int
on_turn(sd_event_source *source, uint64_t usec, void *arg)
{
	int more = access_log_turn(arg, TURN_LINES);

	(void)usec;
	sd_event_source_set_time_relative(source, more ? 0 : TURN_US);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/* --- life ----------------------------------------------------------------- */

/* Without a proxy there is nothing to wake up for. */
static int
files_make(struct access_log *log, sd_event *event)
{
	const struct config *c = log->plan->config;
	bool any = false;
	int rc;

	for (unsigned int i = 0; i < c->n_functions; i++) {
		if (!c->functions[i].proxies)
			continue;
		log->files[i] = calloc(1, sizeof(*log->files[i]));
		if (log->files[i] == NULL)
			return -ENOMEM;
		log->files[i]->fd = -1;
		any = true;
	}
	access_log_update(log, log->plan);
	if (!any)
		return 0;
	rc = sd_event_add_time_relative(event, &log->timer, CLOCK_MONOTONIC,
		TURN_US, 1000, on_turn, log);
	/* All else goes first: a reload, an instance that died. */
	if (rc >= 0)
		rc = sd_event_source_set_priority(
			log->timer, SD_EVENT_PRIORITY_IDLE);
	return rc < 0 ? rc : 0;
}

int
access_log_create(struct access_log **out, sd_event *event,
	const struct rundir *dir, const struct plan *plan,
	void (*say_line)(const char *line))
{
	struct access_log *log = calloc(1, sizeof(*log));
	int rc = -ENOMEM;

	*out = NULL;
	if (log == NULL)
		return rc;
	log->dir = dir;
	log->plan = plan;
	log->say = say_line;
	log->n_rings = plan->n_instances;
	log->n_files = plan->config->n_functions;
	log->rings = calloc(log->n_rings + 1, sizeof(*log->rings));
	log->files = calloc(log->n_files + 1, sizeof(*log->files));
	if (log->rings != NULL && log->files != NULL)
		rc = rings_open(log);
	if (rc == 0)
		rc = files_make(log, event);
	if (rc != 0) {
		access_log_free(log);
		return rc;
	}
	*out = log;
	return 0;
}

void
access_log_update(struct access_log *log, const struct plan *plan)
{
	/* What is in the rings is of services as they were numbered before. */
	if (plan != log->plan)
		access_log_turn(log, TURN_LINES);
	log->plan = plan;
	for (unsigned int i = 0; i < log->n_files; i++) {
		struct file *f = log->files[i];

		if (f == NULL)
			continue;
		file_close(f);
		f->config = &plan->config->functions[i].access;
		f->error = 0;
		if (*f->config->file != '\0')
			tell(log, f, file_ready(f));
		else
			f->sent = f->len = 0;
	}
}

json_t *
access_log_json(const struct access_log *log, uint32_t i)
{
	const struct file *f = log == NULL ? NULL : log->files[i];
	json_t *o;

	if (f == NULL || *f->config->file == '\0')
		return NULL;
	o = json_pack("{s:s, s:s, s:I, s:I}", "file", f->config->file, "format",
		f->config->format == CONFIG_ACCESS_JSON ? "json" : "common",
		"lines", (json_int_t)f->lines, "errors", (json_int_t)f->errors);
	if (o != NULL && f->error != 0)
		json_object_set_new(
			o, "error", json_string(strerror(f->error)));
	return o;
}

/* The instances have ended by now, or go on without us. */
void
access_log_free(struct access_log *log)
{
	if (log == NULL)
		return;
	sd_event_source_disable_unref(log->timer);
	if (log->rings != NULL && log->files != NULL)
		access_log_turn(log, log->n_rings * RING_LINES);
	for (unsigned int i = 0; log->files != NULL && i < log->n_files; i++) {
		if (log->files[i] != NULL && log->files[i]->fd >= 0)
			close(log->files[i]->fd);
		free(log->files[i]);
	}
	for (unsigned int i = 0; log->rings != NULL && i < log->n_rings; i++)
		if (log->rings[i].map != NULL)
			munmap(log->rings[i].map, sizeof(struct access_ring));
	free(log->files);
	free(log->rings);
	free(log);
}
