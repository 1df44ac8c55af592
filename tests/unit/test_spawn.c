/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an instance inherits, and what its end leads to; the NIC in software
 * likewise. Both are this same program, so it is the test itself that is
 * started: instance_play(), nic_play().
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctrl/spawn.h"
#include "ctrl/access.h"
#include "ctrl/supervisor.h"

#define STORE   7
#define DAMAGED 8
#define ACCESS  9

static struct rundir dir;

/* --- the instance's side --- */

static bool
is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* Descriptors 3 to 6 are always there, nothing is above. */
static bool
inherited(bool store, bool damaged, bool access)
{
	for (int fd = 3; fd <= 6; fd++)
		if (!is_open(fd))
			return false;
	for (int fd = ACCESS + 1; fd < 256; fd++)
		if (is_open(fd))
			return false;
	return is_open(STORE) == store && is_open(DAMAGED) == damaged &&
	       is_open(ACCESS) == access;
}

static int
instance_play(const char *name)
{
	if (strcmp(name, "none") == 0)
		return !inherited(false, false, false);
	if (strcmp(name, "store") == 0)
		return !inherited(true, false, false);
	if (strcmp(name, "both") == 0)
		return !inherited(true, true, false);
	if (strcmp(name, "all") == 0)
		return !inherited(true, true, true);
	/* Says that its store is damaged, as one that recovers does. */
	return INSTANCE_EXIT_DAMAGED;
}

/* The NIC gets four, and its tables only to be read. */
static int
nic_play(void)
{
	struct softnic_tables t;

	for (int fd = 3; fd < 256; fd++)
		if (is_open(fd) != (fd <= SOFTNIC_FD_CAPTURE))
			return 1;
	if ((fcntl(SOFTNIC_FD_TABLES, F_GETFL) & O_ACCMODE) != O_RDONLY)
		return 2;
	if (read(SOFTNIC_FD_TABLES, &t, sizeof(t)) != sizeof(t) ||
		t.generation != 5)
		return 3;
	return 0;
}

/* --- */

static void
setup(void)
{
	int fd;

	/* Check's handler, inherited by a fork, would end us all. */
	signal(SIGTERM, SIG_DFL);
	memset(&dir, 0, sizeof(dir));
	snprintf(dir.path, sizeof(dir.path), "/tmp/carryall-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir.path));
	dir.fd = open(dir.path, O_RDONLY | O_DIRECTORY);
	dir.lock = dup(dir.fd);
	for (int i = 0; i < 2; i++) {
		char path[160];

		snprintf(path, sizeof(path), "%s/store%d", dir.path, i);
		fd = open(path, O_RDWR | O_CREAT, 0600);
		ck_assert_int_ge(fd, 0);
		close(fd);
	}
}

static void
teardown(void)
{
	rundir_remove(&dir);
}

static int
open_file(int i, int flags)
{
	char path[160];
	int fd;

	snprintf(path, sizeof(path), "%s/store%d", dir.path, i);
	fd = open(path, flags | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	return fd;
}

static void
spawn_make(struct spawn *spawn, const char *name)
{
	char grant[] = "grant";
	int nexthops;

	close(rundir_replace(&dir, name, "grant", grant, sizeof(grant)));
	nexthops = open_file(0, O_RDWR);
	ck_assert_int_eq(spawn_open_instance(spawn, &dir, name, nexthops), 0);
	close(nexthops);
	ck_assert_int_eq(spawn->fd[SPAWN_STORE], -1);
	ck_assert_int_eq(spawn->fd[SPAWN_DAMAGED], -1);
	ck_assert_int_eq(spawn->fd[SPAWN_ACCESS], -1);
}

static int
status_of(pid_t pid)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

static const char *const names[] = { "none", "store", "both", "all" };

START_TEST(descriptors)
{
	struct spawn spawn;
	pid_t pid;

	spawn_make(&spawn, names[_i]);
	if (_i > 0)
		spawn.fd[SPAWN_STORE] = open_file(0, O_RDWR);
	if (_i > 1)
		spawn.fd[SPAWN_DAMAGED] = open_file(1, O_RDONLY);
	if (_i > 2)
		spawn.fd[SPAWN_ACCESS] = access_ring_open(&dir, names[_i]);
	pid = spawn_run(&spawn);
	ck_assert_int_gt(pid, 0);
	spawn_close(&spawn);
	ck_assert_int_eq(status_of(pid), 0);
}
END_TEST

/* A former instance: killed, it lets go of the lock. */
static pid_t
former_start(void)
{
	int ready[2];
	char byte = 0;
	pid_t pid;

	ck_assert_int_eq(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		int fd = open_file(0, O_RDWR);

		if (flock(fd, LOCK_EX) != 0 || write(ready[1], &byte, 1) != 1)
			_exit(1);
		pause();
	}
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

/* It becomes an instance only when the store is nobody else's. */
START_TEST(waits_for_the_lock)
{
	struct spawn spawn;
	pid_t pid, former = former_start();
	int status;

	spawn_make(&spawn, "store");
	spawn.fd[SPAWN_STORE] = open_file(0, O_RDWR);
	pid = spawn_run(&spawn);
	spawn_close(&spawn);
	usleep(200000);
	ck_assert_int_eq(waitpid(pid, &status, WNOHANG), 0);
	kill(former, SIGKILL);
	status_of(former);
	ck_assert_int_eq(status_of(pid), 0);
}
END_TEST

/* --- a damaged store is told to who gives stores --- */

struct seen {
	sd_event *event;
	unsigned int starts, lost;
	char said[512];
};

static int
hook_prepare(void *ctx, uint32_t index)
{
	(void)ctx;
	(void)index;
	return 0;
}

static void
hook_store(void *ctx, uint32_t index, bool lost, int *store, int *damaged)
{
	struct seen *seen = ctx;

	(void)index;
	ck_assert_int_eq(*store, -1);
	ck_assert_int_eq(*damaged, -1);
	seen->starts++;
	seen->lost += lost;
	if (seen->starts == 3)
		sd_event_exit(seen->event, 0);
}

static void
hook_none(void *ctx, uint32_t index)
{
	(void)ctx;
	(void)index;
}

static void
hook_say(void *ctx, const char *text)
{
	struct seen *seen = ctx;

	snprintf(seen->said, sizeof(seen->said), "%s", text);
}

START_TEST(damaged_is_told)
{
	struct seen seen = { 0 };
	struct supervisor_hooks hooks = { &seen, hook_prepare, hook_store,
		hook_none, hook_none, hook_say };
	struct grant *grant = calloc(1, sizeof(*grant));
	struct plan_instance in = { .name = "lost", .grant = grant };
	struct plan plan = { .n_instances = 1, .instances = &in };
	struct supervisor *sup;

	ck_assert_int_ge(sd_event_new(&seen.event), 0);
	ck_assert_int_eq(
		supervisor_create(&sup, seen.event, &dir, &plan, NULL, &hooks),
		0);
	ck_assert_int_eq(supervisor_start(sup, false), 0);
	ck_assert_int_ge(sd_event_loop(seen.event), 0);
	/* All but the first, and with no pause between. */
	ck_assert_uint_eq(seen.starts, 3);
	ck_assert_uint_eq(seen.lost, 2);
	ck_assert_uint_eq(supervisor_get(sup, 0)->delay_ms, 0);
	ck_assert_msg(strstr(seen.said, "found its store damaged") != NULL,
		"%s", seen.said);
	supervisor_stop(sup);
	supervisor_free(sup);
	sd_event_unref(seen.event);
	free(grant);
}
END_TEST

/* --- the NIC --- */

struct nic_seen {
	sd_event *event;
	uint32_t order[8]; /* as they were started */
	unsigned int n;
	bool died;
	char said[512]; /* of the NIC */
};

static int
nic_prepare(void *ctx, uint32_t index)
{
	struct nic_seen *seen = ctx;

	if (seen->n < 8)
		seen->order[seen->n++] = index;
	return 0;
}

static void
nic_store(void *ctx, uint32_t index, bool lost, int *store, int *damaged)
{
	(void)ctx;
	(void)lost;
	(void)store;
	(void)damaged;
	ck_assert_uint_eq(index, 0);
}

static void
nic_died(void *ctx, uint32_t index)
{
	struct nic_seen *seen = ctx;

	if (index == SUPERVISOR_NIC && !seen->died) {
		seen->died = true;
		sd_event_exit(seen->event, 0);
	}
}

static void
nic_say(void *ctx, const char *text)
{
	struct nic_seen *seen = ctx;

	if (strncmp(text, "the NIC", 7) == 0 && !seen->died)
		snprintf(seen->said, sizeof(seen->said), "%s", text);
}

/* First, with its descriptors; when it ends it is started again later. */
START_TEST(nic_is_supervised)
{
	struct nic_seen seen = { 0 };
	struct supervisor_hooks hooks = { &seen, nic_prepare, nic_store,
		hook_none, nic_died, nic_say };
	struct grant *grant = calloc(1, sizeof(*grant));
	struct softnic_tables *tables = calloc(1, sizeof(*tables));
	struct plan_instance in = { .name = "none", .grant = grant };
	struct plan plan = { .n_instances = 1, .instances = &in };
	struct supervisor *sup;
	const struct supervised *nic;

	tables->generation = 5;
	ck_assert_int_ge(sd_event_new(&seen.event), 0);
	ck_assert_int_eq(supervisor_create(
				 &sup, seen.event, &dir, &plan, tables, &hooks),
		0);
	nic = supervisor_get(sup, SUPERVISOR_NIC);
	ck_assert_ptr_nonnull(nic);
	ck_assert_ptr_nonnull(nic->nic_stats);
	ck_assert_ptr_null(nic->stats);
	ck_assert_int_eq(supervisor_start(sup, false), 0);
	ck_assert(!supervisor_all_serve(sup));
	ck_assert_int_ge(sd_event_loop(seen.event), 0);
	ck_assert_uint_eq(seen.order[0], SUPERVISOR_NIC);
	ck_assert_uint_eq(seen.order[1], 0);
	ck_assert_msg(strstr(seen.said, "ended with status 0; starting it "
					"again in 100 ms") != NULL,
		"%s", seen.said);
	ck_assert_uint_eq(nic->restarts, 1);
	ck_assert_int_eq(nic->state, SUPERVISOR_WAITING);
	supervisor_stop(sup);
	supervisor_free(sup);
	sd_event_unref(seen.event);
	free(tables);
	free(grant);
}
END_TEST

int
main(int argc, char **argv)
{
	Suite *suite = suite_create("spawn");
	TCase *tc = tcase_create("spawn");
	SRunner *sr;
	int failed;

	if (argc == 3 && strcmp(argv[1], "instance") == 0)
		_exit(instance_play(argv[2]));
	if (argc == 3 && strcmp(argv[1], SPAWN_NIC) == 0)
		_exit(nic_play());
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, descriptors, 0, 4);
	tcase_add_test(tc, waits_for_the_lock);
	tcase_add_test(tc, damaged_is_told);
	tcase_add_test(tc, nic_is_supervised);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
