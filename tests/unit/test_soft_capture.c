/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A capture over the ring of a NIC in software, whose files are made here:
 * what it takes from the ring, the flag that it sets and takes back, and the
 * orders in which things may be wrong.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctrl/soft/capture.h"
#include "dataplane/softnic/capture.h"
#include "dataplane/softnic/tables.h"
#include "tests/unit/frames.h"
#include "tests/unit/pcapng_read.h"

#define PASSED CAPTURE_PASSED

static char dir[64], path[96], why[512];
static struct softnic_tables *tables;
static struct softnic_stats *stats;
static struct capture_ring *ring;

static void *
file_make(const char *suffix, size_t size)
{
	char name[128];
	void *at;
	int fd;

	snprintf(name, sizeof(name), "%s/softnic.%s", dir, suffix);
	fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
	at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(at, MAP_FAILED);
	close(fd);
	return at;
}

static void
set_up(void)
{
	snprintf(dir, sizeof(dir), "/tmp/carryall-unit-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/out", dir);
	tables = file_make("tables", sizeof(*tables));
	stats = file_make("stats", sizeof(*stats));
	ring = file_make("capture", CAPTURE_FILE_SIZE);
	capture_init(ring);
	tables->n_vnics = 2;
	strcpy(tables->vnic[0].name, "web.0");
	strcpy(tables->vnic[1].name, "web.1");
}

static void
tear_down(void)
{
	static const char *const file[] = { "softnic.tables", "softnic.stats",
		"softnic.capture", "capture.lock", "out" };
	char name[128];

	munmap(tables, sizeof(*tables));
	munmap(stats, sizeof(*stats));
	munmap(ring, CAPTURE_FILE_SIZE);
	for (size_t i = 0; i < sizeof(file) / sizeof(file[0]); i++) {
		snprintf(name, sizeof(name), "%s/%s", dir, file[i]);
		unlink(name);
	}
	ck_assert_int_eq(rmdir(dir), 0);
}

/* What the NIC does with a frame of VNIC `i` to or from `port`. */
static void
nic_sees(uint32_t i, uint16_t port, int drop, uint32_t from_vnic)
{
	struct frame f;
	struct capture_header h = {
		.time_ns = 1, .vnic = i, .drop = drop, .from_vnic = from_vnic
	};

	frame_flow(&f, frame_ours, frame_theirs, 6, "192.0.2.5", port,
		"10.0.0.80", 80, NULL);
	h.length = (uint32_t)f.n;
	capture_put(ring, &h, f.b);
}

static pid_t
capture_begin(const struct capture_options *o)
{
	struct capture_result r;
	pid_t pid = fork();

	if (pid == 0)
		_exit(soft_capture(dir, "web.1", o, &r, why, sizeof(why)) ||
			r.packets != 3 || r.lost != 1);
	/* A capture that never begins is the test's time-out. */
	while (__atomic_load_n(&stats->capture[1], __ATOMIC_ACQUIRE) == 0)
		sched_yield();
	return pid;
}

static void
expect_source(struct ng_file *file, uint16_t port, uint32_t flags)
{
	struct ng_block b = ng_expect(file, NG_PACKET);
	struct ng_packet p = ng_packet_of(&b);

	ck_assert_uint_eq(p.flags, flags);
	ck_assert_uint_eq(p.frame[34] << 8 | p.frame[35], port);
}

/* Its VNIC's, by the filter, without drops; what was there before is not. */
START_TEST(takes_its_own)
{
	struct capture_options o = { .path = path,
		.appliance = "unit",
		.filter = "tcp src portrange 1-99",
		.max_packets = 3,
		.stop_fd = -1 };
	struct ng_file file;
	struct ng_block b;
	int status;
	pid_t pid;

	nic_sees(1, 9, PASSED, 0);
	pid = capture_begin(&o);
	ring->lost++;
	nic_sees(1, 10, PASSED, 0);
	nic_sees(0, 11, PASSED, 0);
	nic_sees(1, 12, 3, 0);
	nic_sees(1, 113, PASSED, 0);
	nic_sees(1, 14, PASSED, 1);
	nic_sees(1, 15, PASSED, 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_uint_eq(stats->capture[1], 0);
	file = ng_load(path);
	ng_expect(&file, NG_SECTION);
	b = ng_expect(&file, NG_INTERFACE);
	ng_expect_text(&b, 8, 2, "web.1");
	expect_source(&file, 10, 1);
	expect_source(&file, 14, 2);
	expect_source(&file, 15, 1);
	b = ng_expect(&file, NG_STATISTICS);
	ck_assert_uint_eq(ng_total(&b, 4), 5); /* with one that was lost */
	ck_assert_uint_eq(ng_total(&b, 5), 1);
	ck_assert_uint_eq(ng_total(&b, 6), 3);
	free(file.bytes);
}
END_TEST

/* Nothing is switched on, and no file made, for what is refused. */
static void
refused(const struct capture_options *o, const char *vnic, int err,
	const char *words)
{
	struct capture_result r;

	ck_assert_int_eq(soft_capture(dir, vnic, o, &r, why, sizeof(why)), err);
	ck_assert_msg(strstr(why, words) != NULL, "\"%s\"", why);
	ck_assert_uint_eq(stats->capture[0] | stats->capture[1], 0);
	ck_assert_int_ne(access(path, F_OK), 0);
}

START_TEST(refusals)
{
	struct capture_options o = {
		.path = path, .appliance = "unit", .stop_fd = -1
	};
	int lock;

	refused(&o, "web.2", -ENOENT, "web.2");
	lock = capture_lock(dir);
	refused(&o, "web.1", -EBUSY, "another capture");
	close(lock);
	o.filter = "tcp prot 80";
	refused(&o, "web.1", -EINVAL, "syntax error");
	o.filter = NULL;
	o.max_bytes = 1000;
	refused(&o, "web.1", -EINVAL, "32K");
	o.max_bytes = 0;
	ring->magic++;
	refused(&o, "web.1", -EINVAL, "cannot capture");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("soft capture");
	TCase *tc = tcase_create("ring");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, takes_its_own);
	tcase_add_test(tc, refusals);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
