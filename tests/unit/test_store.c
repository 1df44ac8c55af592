/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stores on a real file system: made whole or not at all, refused with what
 * to do, put aside, and written by one process only.
 */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctrl/store.h"
#include "dataplane/log/file.h"
#include "dataplane/log/read.h"

#define MB   (1ull << 20)
#define SKIP 77

static char state[] = "/tmp/carryall-store-XXXXXX";
static struct store s;
static char why[512];

static struct grant
grant_of(uint64_t size)
{
	struct grant g = { .appliance = "edge1",
		.function = "web",
		.type = "lb",
		.store = { .size = size } };

	return g;
}

static void
init(uint64_t size)
{
	struct grant g = grant_of(size);

	store_init(&s, state, "web.0", &g);
	why[0] = '\0';
}

static void
setup(void)
{
	strcpy(state + sizeof(state) - 7, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(state));
	init(MB);
}

static void
teardown(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", state);
	ck_assert_int_eq(system(command), 0);
}

static void
assert_why(const char *part)
{
	ck_assert_msg(strstr(why, part) != NULL, "%s\nlacks: %s", why, part);
}

/* Make it, or open what is there. */
static void
open_well(void)
{
	int fd = store_open(&s, why, sizeof(why));

	ck_assert_msg(fd >= 0, "%s", why);
	close(fd);
}

static struct plog_super
super_of(const char *path)
{
	struct plog_super super;
	struct plog_file file;
	struct plog_io io;
	char text[128] = "";

	ck_assert_int_eq(plog_file_open(&file, path), 0);
	io = plog_file_io(&file);
	io.size = file.size;
	ck_assert_msg(plog_super_read(&io, 0, &super, text, sizeof(text)) == 0,
		"%s", text);
	plog_file_close(&file);
	return super;
}

/* Change the file without the store's code. */
static void
scribble(uint64_t off, const void *data, size_t len)
{
	int fd = open(s.path, O_WRONLY);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pwrite(fd, data, len, (off_t)off), (ssize_t)len);
	close(fd);
}

static unsigned int
files(const char *part)
{
	DIR *d = opendir(s.dir);
	struct dirent *e;
	unsigned int n = 0;

	ck_assert_ptr_nonnull(d);
	while ((e = readdir(d)) != NULL)
		n += e->d_name[0] != '.' && strstr(e->d_name, part) != NULL;
	closedir(d);
	return n;
}

/* --- making --- */

START_TEST(made_whole)
{
	struct plog_super super, copy;
	struct stat st;
	int fd = store_open(&s, why, sizeof(why));

	ck_assert_msg(fd >= 0, "%s", why);
	ck_assert_str_eq(why, "");
	ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	ck_assert(fcntl(fd, F_GETFL) & O_DIRECT);
	close(fd);
	ck_assert_str_eq(s.path + strlen(state), "/edge1/web.0.log");
	ck_assert_int_eq(stat(s.path, &st), 0);
	ck_assert_uint_eq((uint64_t)st.st_size, MB);
	ck_assert_uint_eq((uint64_t)st.st_blocks * 512, MB);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	ck_assert_int_eq(stat(s.dir, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0755);
	ck_assert_uint_eq(files(""), 1);
	super = super_of(s.path);
	ck_assert_uint_eq(super.slots, MB / PLOG_BLOCK - 2);
	ck_assert_uint_eq(super.generation, 1);
	ck_assert_uint_eq(super.tail, 1);
	ck_assert_uint_eq(super.epoch, 0);
	ck_assert_str_eq(super.function, "lb");
	ck_assert_str_eq(super.owner, "edge1/web.0");
	/* Either leads to the store. */
	scribble(0, "x", 1);
	copy = super_of(s.path);
	ck_assert_mem_eq(&copy, &super, sizeof(super));
}
END_TEST

START_TEST(found_again)
{
	struct plog_super super, again;

	ck_assert_int_eq(store_check(&s, why, sizeof(why)), 0);
	open_well();
	super = super_of(s.path);
	ck_assert_int_eq(store_check(&s, why, sizeof(why)), 0);
	open_well();
	again = super_of(s.path);
	ck_assert_mem_eq(&again, &super, sizeof(super));
	/* Another one is another one. */
	ck_assert_int_eq(unlink(s.path), 0);
	open_well();
	ck_assert_uint_ne(super_of(s.path).store, super.store);
}
END_TEST

/* What a crash has left half made is begun again. */
START_TEST(half_made)
{
	char path[sizeof(s.path) + 8];
	int fd;

	ck_assert_int_eq(store_dir_make(s.dir), 0);
	snprintf(path, sizeof(path), "%s.new", s.path);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	ck_assert_int_eq(write(fd, "half", 4), 4);
	close(fd);
	open_well();
	ck_assert_uint_eq(super_of(s.path).slots, MB / PLOG_BLOCK - 2);
	ck_assert_uint_eq(files(""), 1);
}
END_TEST

START_TEST(no_room)
{
	const struct rlimit limit = { MB - 4096, MB - 4096 };

	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	ck_assert_int_eq(store_open(&s, why, sizeof(why)), -EFBIG);
	assert_why(s.path);
	assert_why("it needs 1048576 bytes (1M)");
	assert_why("set log.size of \"web\" lower");
	ck_assert_uint_eq(files(""), 0);
}
END_TEST

START_TEST(no_space)
{
	init(1ull << 50); /* beyond what the file system has */
	ck_assert_int_lt(store_open(&s, why, sizeof(why)), 0);
	assert_why("cannot be made: it needs 1125899906842624 bytes (1024T)");
	ck_assert_uint_eq(files(""), 0);
}
END_TEST

START_TEST(in_memory)
{
	struct grant g = grant_of(MB);
	char command[128];

	store_init(&s, "/dev/shm/carryall-store-test", "web.0", &g);
	if (store_open(&s, why, sizeof(why)) == -EMEDIUMTYPE)
		assert_why("its file system is in memory");
	else
		assert_why("its file system has no direct I/O");
	assert_why("put appliance.state on ext4 or xfs");
	ck_assert_uint_eq(files(""), 0);
	snprintf(command, sizeof(command),
		"rm -rf /dev/shm/carryall-store-test");
	ck_assert_int_eq(system(command), 0);
}
END_TEST

/* --- refusals: whatever the way, the file stays as it is --- */

static void
assert_refused(int error, const char *part)
{
	struct stat before, after;

	ck_assert_int_eq(stat(s.path, &before), 0);
	ck_assert_int_eq(store_check(&s, why, sizeof(why)), error);
	assert_why(part);
	assert_why(s.path);
	why[0] = '\0';
	ck_assert_int_eq(store_open(&s, why, sizeof(why)), error);
	assert_why(part);
	ck_assert_int_eq(stat(s.path, &after), 0);
	ck_assert_uint_eq(before.st_ino, after.st_ino);
	ck_assert_int_eq(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
	ck_assert_uint_eq(files(""), 1);
}

/* As an instance that writes to it would. */
static void
use_it(void)
{
	struct plog_super super = super_of(s.path);
	int fd = open(s.path, O_WRONLY);

	super.epoch = 1;
	super.generation = 2;
	plog_super_seal(&super);
	ck_assert_int_eq(
		pwrite(fd, &super, sizeof(super), 0), (int)sizeof(super));
	close(fd);
}

START_TEST(another_size)
{
	open_well();
	use_it();
	init(2 * MB);
	assert_refused(-EFBIG, "is of 1M, not 2M; set log.size = \"1M\"");
}
END_TEST

/* Of a start that failed half way: nobody would miss it. */
START_TEST(another_size_unused)
{
	open_well();
	init(2 * MB);
	ck_assert_int_eq(store_check(&s, why, sizeof(why)), 0);
	open_well();
	ck_assert_uint_eq(super_of(s.path).slots, 2 * MB / PLOG_BLOCK - 2);
	ck_assert_uint_eq(files(""), 1);
}
END_TEST

START_TEST(another_function)
{
	struct grant g = grant_of(MB);

	open_well();
	strcpy(g.type, "proxy");
	store_init(&s, state, "web.0", &g);
	assert_refused(-EMEDIUMTYPE,
		"is of a function of type \"lb\", and \"web\" is of type "
		"\"proxy\"; move it away");
}
END_TEST

START_TEST(another_version)
{
	const uint32_t version = PLOG_VERSION + 1;

	open_well();
	scribble(offsetof(struct plog_super, version), &version,
		sizeof(version));
	scribble(MB - PLOG_BLOCK, "x", 1);
	assert_refused(-EPROTONOSUPPORT, "another version of the log");
}
END_TEST

/* The owner is for people alone: appliances may be renamed. */
START_TEST(another_owner)
{
	struct grant g = grant_of(MB);
	char to[PATH_MAX], from[PATH_MAX];

	open_well();
	snprintf(from, sizeof(from), "%s", s.dir);
	strcpy(g.appliance, "edge2");
	store_init(&s, state, "web.0", &g);
	snprintf(to, sizeof(to), "%s", s.dir);
	ck_assert_int_eq(rename(from, to), 0);
	open_well();
	ck_assert_str_eq(super_of(s.path).owner, "edge1/web.0");
}
END_TEST

START_TEST(a_folder)
{
	ck_assert_int_eq(store_dir_make(s.path), 0);
	ck_assert_int_lt(store_check(&s, why, sizeof(why)), 0);
	assert_why("is neither a file nor a block device");
	ck_assert_int_lt(store_open(&s, why, sizeof(why)), 0);
}
END_TEST

/* --- aside --- */

START_TEST(unreadable_goes_aside)
{
	struct plog_super super;

	open_well();
	super = super_of(s.path);
	scribble(0, "x", 1);
	scribble(MB - PLOG_BLOCK, "x", 1);
	/* No reason not to start. */
	ck_assert_int_eq(store_check(&s, why, sizeof(why)), 0);
	ck_assert_str_eq(why, "");
	open_well();
	assert_why("has no good superblock");
	assert_why("it is kept as");
	assert_why("web.0.log.damaged-2");
	ck_assert_uint_ne(super_of(s.path).store, super.store);
	ck_assert_uint_eq(files(""), 2);
	/* Nothing can be found in it. */
	ck_assert_int_eq(store_open_damaged(&s), -1);
}
END_TEST

START_TEST(empty_goes_aside)
{
	open_well();
	ck_assert_int_eq(truncate(s.path, 0), 0);
	open_well();
	assert_why("is empty: not a store; it is kept as");
	ck_assert_uint_eq(super_of(s.path).slots, MB / PLOG_BLOCK - 2);
}
END_TEST

/* The blocks that it still has are worth reading. */
START_TEST(short_goes_aside)
{
	struct stat st;
	int fd;

	open_well();
	ck_assert_int_eq(truncate(s.path, MB / 2), 0);
	ck_assert_int_eq(store_check(&s, why, sizeof(why)), 0);
	open_well();
	assert_why("was cut short to 524288 bytes; it is kept as");
	fd = store_open_damaged(&s);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(st.st_size, MB / 2);
	close(fd);
	ck_assert_int_eq(store_open_damaged(&s), -1);
}
END_TEST

/* An instance has said so: the damaged one goes to the next, once. */
START_TEST(lost_goes_aside)
{
	struct plog_super super;
	struct stat st;
	int fd;

	open_well();
	super = super_of(s.path);
	ck_assert_int_eq(store_put_aside(&s, why, sizeof(why)), 0);
	assert_why("has lost durable records; it is kept as");
	ck_assert_int_ne(access(s.path, F_OK), 0);
	ck_assert_uint_eq(super_of(s.damaged).store, super.store);
	open_well();
	fd = store_open_damaged(&s);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(st.st_size, MB);
	close(fd);
	ck_assert_int_eq(store_open_damaged(&s), -1);
	ck_assert_uint_ne(super_of(s.path).store, super.store);
}
END_TEST

/* Each has a name of its own within a second, and four are enough. */
START_TEST(few_are_kept)
{
	uint64_t last;

	for (unsigned int i = 0; i < STORE_DAMAGED_MAX; i++) {
		open_well();
		ck_assert_int_eq(store_put_aside(&s, why, sizeof(why)), 0);
		ck_assert_uint_eq(files(".damaged-"), i + 1);
	}
	open_well();
	last = super_of(s.path).store;
	ck_assert_int_eq(store_put_aside(&s, why, sizeof(why)), -EMLINK);
	assert_why("4 damaged ones are kept already; remove those that nobody "
		   "needs");
	assert_why("web.0.log.damaged-*");
	ck_assert_str_eq(s.damaged, "");
	ck_assert_uint_eq(super_of(s.path).store, last);
	/* The same when it is found unreadable. */
	scribble(0, "x", 1);
	scribble(MB - PLOG_BLOCK, "x", 1);
	ck_assert_int_eq(store_open(&s, why, sizeof(why)), -EMLINK);
	ck_assert_uint_eq(files(""), STORE_DAMAGED_MAX + 1);
}
END_TEST

/* --- exclusive --- */

/* A process that holds the lock as an instance does, until `pipe` closes. */
static pid_t
hold(int *go)
{
	int fds[2], ready[2];
	char byte = 0;
	pid_t pid;

	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		int fd = open(s.path, O_RDWR | O_DIRECT);

		close(fds[1]);
		if (fd < 0 || flock(fd, LOCK_EX) != 0 ||
			write(ready[1], &byte, 1) != 1)
			_exit(1);
		_exit(read(fds[0], &byte, 1) != 0);
	}
	close(fds[0]);
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(ready[1]);
	*go = fds[1];
	return pid;
}

static void
let_go(pid_t pid, int go)
{
	int status;

	close(go);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}

START_TEST(in_use)
{
	char part[64];
	pid_t pid;
	int go;

	open_well();
	pid = hold(&go);
	ck_assert_int_eq(store_check(&s, why, sizeof(why)), -EBUSY);
	snprintf(part, sizeof(part), "is in use by process %d;", pid);
	assert_why(part);
	/* The control plane opens it while an instance dies. */
	open_well();
	let_go(pid, go);
	ck_assert_int_eq(store_check(&s, why, sizeof(why)), 0);
}
END_TEST

/* A holder that goes within the time that writes in flight may take. */
START_TEST(in_use_for_a_moment)
{
	pid_t pid, killer;
	int go, status;

	open_well();
	pid = hold(&go);
	killer = fork();
	if (killer == 0) {
		usleep(300000);
		_exit(kill(pid, SIGKILL));
	}
	ck_assert_int_eq(store_check(&s, why, sizeof(why)), 0);
	ck_assert_int_eq(waitpid(killer, &status, 0), killer);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	close(go);
}
END_TEST

/*
 * As at a start: the control plane opens, the child locks, the control plane
 * lets go of its copy. The lock stays as long as the child.
 */
START_TEST(the_lock_is_the_child_s)
{
	int fd, other, go, ready[2], fds[2], status;
	char byte = 0;
	pid_t pid;

	open_well();
	fd = store_open(&s, why, sizeof(why));
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pipe(ready), 0);
	ck_assert_int_eq(pipe(fds), 0);
	go = fds[1];
	pid = fork();
	if (pid == 0) {
		close(go);
		if (flock(fd, LOCK_EX) != 0 || write(ready[1], &byte, 1) != 1)
			_exit(1);
		_exit(read(fds[0], &byte, 1) != 0);
	}
	close(fd);
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	other = store_open(&s, why, sizeof(why));
	ck_assert_int_ge(other, 0);
	ck_assert_int_ne(flock(other, LOCK_EX | LOCK_NB), 0);
	close(go);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(flock(other, LOCK_EX | LOCK_NB), 0);
	close(other);
}
END_TEST

/* --- a block device --- */

static char loop[64];

/* A loop device over a file of zeros, linked to in the store's place. */
static bool
loop_up(uint64_t size)
{
	char command[512];
	FILE *f;

	snprintf(command, sizeof(command),
		"truncate -s %llu %s/disk && "
		"losetup -f --show %s/disk 2>/dev/null",
		(unsigned long long)size, state, state);
	f = popen(command, "r");
	loop[0] = '\0';
	if (f == NULL || fscanf(f, "%63s", loop) != 1)
		loop[0] = '\0';
	if (f != NULL)
		pclose(f);
	if (loop[0] == '\0')
		return false;
	ck_assert_int_eq(store_dir_make(s.dir), 0);
	ck_assert_int_eq(symlink(loop, s.path), 0);
	return true;
}

static void
loop_down(void)
{
	char command[128];

	if (loop[0] == '\0')
		return;
	snprintf(command, sizeof(command), "losetup -d %s", loop);
	ck_assert_int_eq(system(command), 0);
	loop[0] = '\0';
}

static void
teardown_loop(void)
{
	loop_down();
	teardown();
}

START_TEST(device_blank)
{
	struct plog_super super;

	if (!loop_up(2 * MB))
		return;
	ck_assert_int_eq(store_check(&s, why, sizeof(why)), 0);
	open_well();
	assert_why("made on the blank device");
	super = super_of(s.path);
	ck_assert_uint_eq(super.slots, MB / PLOG_BLOCK - 2);
	open_well();
	ck_assert_str_eq(why, "");
	ck_assert_uint_eq(super_of(s.path).store, super.store);
	/* It stays where it is. */
	ck_assert_int_lt(store_put_aside(&s, why, sizeof(why)), 0);
	assert_why("a device cannot be put aside");
	assert_why("blkdiscard -z -l 1048576 ");
	ck_assert_str_eq(s.damaged, "");
}
END_TEST

START_TEST(device_of_somebody)
{
	if (!loop_up(2 * MB))
		return;
	scribble(MB - 1, "x", 1);
	ck_assert_int_eq(store_check(&s, why, sizeof(why)), -EBADMSG);
	assert_why("something on it that is no store");
	assert_why("blank it: blkdiscard -z -l 1048576 ");
	ck_assert_int_eq(store_open(&s, why, sizeof(why)), -EBADMSG);
}
END_TEST

START_TEST(device_too_small)
{
	if (!loop_up(MB / 2))
		return;
	ck_assert_int_eq(store_check(&s, why, sizeof(why)), -ENOSPC);
	assert_why("is a device of 524288 bytes");
}
END_TEST

START_TEST(device_claimed)
{
	int fd;

	if (!loop_up(2 * MB))
		return;
	fd = open(loop, O_RDWR | O_EXCL);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(store_check(&s, why, sizeof(why)), -EBUSY);
	assert_why("is in use by another process");
	close(fd);
	ck_assert_int_eq(store_check(&s, why, sizeof(why)), 0);
}
END_TEST

/* --- */

/* Outside any test, so without assertions. */
static bool
direct_io(void)
{
	char path[] = "/tmp/carryall-store-XXXXXX";
	int fd = mkostemp(path, O_DIRECT);

	if (fd < 0) {
		fprintf(stderr, "no direct I/O under /tmp: %s\n",
			strerror(errno));
		unlink(path);
		return false;
	}
	close(fd);
	unlink(path);
	return true;
}

static void
add_files(Suite *suite)
{
	TCase *tc = tcase_create("files");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, made_whole);
	tcase_add_test(tc, found_again);
	tcase_add_test(tc, half_made);
	tcase_add_test(tc, no_room);
	tcase_add_test(tc, no_space);
	tcase_add_test(tc, in_memory);
	tcase_add_test(tc, another_size);
	tcase_add_test(tc, another_size_unused);
	tcase_add_test(tc, another_function);
	tcase_add_test(tc, another_version);
	tcase_add_test(tc, another_owner);
	tcase_add_test(tc, a_folder);
	tcase_add_test(tc, unreadable_goes_aside);
	tcase_add_test(tc, empty_goes_aside);
	tcase_add_test(tc, short_goes_aside);
	tcase_add_test(tc, lost_goes_aside);
	tcase_add_test(tc, few_are_kept);
	tcase_add_test(tc, in_use);
	tcase_add_test(tc, in_use_for_a_moment);
	tcase_add_test(tc, the_lock_is_the_child_s);
	suite_add_tcase(suite, tc);
}

int
main(void)
{
	Suite *suite = suite_create("store");
	TCase *tc = tcase_create("devices");
	SRunner *sr = srunner_create(suite);
	int failed;

	add_files(suite);
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown_loop);
	tcase_add_test(tc, device_blank);
	tcase_add_test(tc, device_of_somebody);
	tcase_add_test(tc, device_too_small);
	tcase_add_test(tc, device_claimed);
	suite_add_tcase(suite, tc);
	if (!direct_io())
		return SKIP;
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
