/* SPDX-License-Identifier: BSD-3-Clause */
/* log show, log check: what is in a store, and whether it is whole. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "appliance/log_check.h"
#include "appliance/log_find.h"
#include "appliance/log_print.h"
#include "appliance/log_reader.h"
#include "appliance/verbs.h"

/* How long a change that nobody tells of goes unseen. */
#define FOLLOW_MS 100

/* How often a reader that is lapped tries to come to the end. */
#define LAPS_MAX 100

static volatile sig_atomic_t stopped;

static int
usage(void)
{
	fprintf(stderr,
		"usage: carryall log show STORE [--json] [--follow]\n"
		"       carryall log check STORE\n"
		"  STORE     the path of a store, an instance (web.0), or\n"
		"            APPLIANCE/INSTANCE\n"
		"  --json    one object per record and line\n"
		"  --follow  go on with records as they come\n");
	return 2;
}

static void
stop(int sig)
{
	(void)sig;
	stopped = 1;
}

/* An interrupt ends a line, not amid one; a pipe's end is seen in poll(). */
static void
stop_signals(void)
{
	struct sigaction action = { .sa_handler = stop };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/* --- show --- */

static int
show_record(void *ctx, const struct plog_record *r)
{
	return stopped ? -EINTR : log_print_record(ctx, r);
}

/* The path of a store that was put aside leads to another one. */
static int
show_reopen(struct log_reader *r)
{
	struct log_reader next;
	char why[160];

	if (!log_reader_replaced(r) ||
		log_reader_open(&next, r->path, why, sizeof(why)) != 0)
		return 0;
	fprintf(stderr, "carryall: %s is another store now\n", r->path);
	log_reader_close(r);
	*r = next;
	r->io.ctx = &r->file;
	return 1;
}

/* Wait for more to come: 1; 0 if nobody is to be told of it. */
static int
show_wait(int notify)
{
	struct pollfd fds[2] = { { .fd = STDOUT_FILENO },
		{ .fd = notify, .events = POLLIN } };
	char events[4096];

	if (stopped || poll(fds, 2, FOLLOW_MS) < 0)
		return errno == EINTR && !stopped;
	if (fds[0].revents & POLLERR)
		return 0;
	if (fds[1].revents & POLLIN && read(notify, events, sizeof(events)) < 0)
		return errno == EAGAIN;
	return !stopped;
}

static int
show_watch(const char *path)
{
	int notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	if (notify >= 0)
		inotify_add_watch(notify, path, IN_MODIFY);
	return notify;
}

/* 0 at the end; else what ended it. */
static int
show_all(struct log_reader *r, struct log_print *p)
{
	int rc = log_reader_read(r, false, show_record, p);

	for (int i = 0; rc == 0 && i < LAPS_MAX && log_reader_lapped(r); i++)
		rc = log_reader_read(r, false, show_record, p);
	return fflush(p->out) == 0 ? rc : -EPIPE;
}

static int
show_follow(struct log_reader *r, struct log_print *p)
{
	int notify = show_watch(r->path), rc = 0;

	while (rc == 0 && show_wait(notify)) {
		if (log_reader_ready(r) || log_reader_lapped(r)) {
			rc = show_all(r, p);
		} else if (show_reopen(r)) {
			p->last = 0;
			close(notify);
			notify = show_watch(r->path);
			rc = show_all(r, p);
		}
	}
	close(notify);
	return rc;
}

static int
show(struct log_reader *r, bool json, bool follow)
{
	struct log_print p = {
		.out = stdout, .nf = nf_find(r->super.function), .json = json
	};
	int rc;

	stop_signals();
	rc = show_all(r, &p);
	if (rc == 0 && log_reader_damaged(r)) {
		fprintf(stderr,
			"carryall: %s is damaged: %s; carryall log check %s "
			"tells more\n",
			r->path, r->report.why, r->path);
		return 1;
	}
	if (rc == 0 && follow)
		rc = show_follow(r, &p);
	if (rc == 0 || rc == -EINTR || rc == -EPIPE)
		return 0;
	fprintf(stderr, "carryall: %s: %s\n", r->path, strerror(-rc));
	return 1;
}

/* --- the command line --- */

struct arguments {
	const char *store;
	bool check, json, follow;
};

static int
arguments_parse(int argc, char **argv, struct arguments *a)
{
	if (argc < 3)
		return -EINVAL;
	a->check = strcmp(argv[1], "check") == 0;
	if (!a->check && strcmp(argv[1], "show") != 0)
		return -EINVAL;
	for (int i = 2; i < argc; i++) {
		if (!a->check && strcmp(argv[i], "--json") == 0)
			a->json = true;
		else if (!a->check && strcmp(argv[i], "--follow") == 0)
			a->follow = true;
		else if (argv[i][0] == '-' || a->store != NULL)
			return -EINVAL;
		else
			a->store = argv[i];
	}
	return a->store != NULL ? 0 : -EINVAL;
}

int
verb_log(int argc, char **argv)
{
	struct arguments a = { .store = NULL };
	struct log_reader r;
	char path[512], why[160];
	int rc;

	if (arguments_parse(argc, argv, &a) != 0)
		return usage();
	if (log_find(a.store, path, sizeof(path)) != 0)
		return 2;
	rc = log_reader_open(&r, path, why, sizeof(why));
	if (rc != 0) {
		fprintf(stderr, "carryall: %s: %s\n", path, why);
		return rc == -EBADMSG && log_check_remains(path) > 0 ? 1 : 2;
	}
	rc = a.check ? log_check(&r) : show(&r, a.json, a.follow);
	log_reader_close(&r);
	return rc;
}
