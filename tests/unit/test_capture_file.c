/* SPDX-License-Identifier: BSD-3-Clause */
/* Captures: the pcapng written, its filter, its bounds, its ends. */
#include <check.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctrl/capture_file.h"
#include "ctrl/pcapng.h"
#include "tests/unit/frames.h"
#include "tests/unit/pcapng_read.h"

#define ROWS(t)       ((int)(sizeof(t) / sizeof((t)[0])))
#define SECTION_AT    16 /* options of each kind of block */
#define INTERFACE_AT  8
#define APPLICATION   "carryall " CARRYALL_VERSION ", edge1"
#define MONOTONIC_NS  5000000000ull
#define PACKETS_LARGE 400 /* of 200 bytes and more: several bounds' worth */

static char dir[64], path[96], why[512];

static void
set_up(void)
{
	snprintf(dir, sizeof(dir), "/tmp/carryall-unit-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/capture", dir);
	why[0] = '\0';
}

static void
tear_down(void)
{
	char name[128];

	unlink(path);
	for (int i = 0; i < 8; i++) {
		snprintf(name, sizeof(name), "%s.%d", path, i);
		unlink(name);
	}
	ck_assert_int_eq(rmdir(dir), 0);
}

static struct capture_options
defaults(void)
{
	return (struct capture_options){
		.path = path, .appliance = "edge1", .stop_fd = -1
	};
}

static void
open_file(struct capture_file *f, const struct capture_options *o)
{
	int rc = capture_file_open(f, o, "web.0", why, sizeof(why));

	ck_assert_msg(rc == 0, "%d: %s", rc, why);
}

/* Frame number `i`, from the client if it is even; `payload` more bytes. */
static void
make(struct frame *f, uint32_t i, size_t payload)
{
	if (i % 2 == 0)
		frame_flow(f, frame_ours, frame_theirs, 6, "192.0.2.5",
			(uint16_t)(1024 + i), "10.0.0.80", 80, NULL);
	else
		frame_flow(f, frame_theirs, frame_ours, 6, "10.0.0.80", 80,
			"192.0.2.5", (uint16_t)(1024 + i), NULL);
	for (size_t k = 0; k < payload; k++)
		f->b[f->n++] = (uint8_t)(i + k);
}

static void
give(struct capture_file *file, uint32_t i, size_t payload)
{
	struct frame f;
	struct capture_frame c = { .time_ns = MONOTONIC_NS + i, .bytes = f.b };

	make(&f, i, payload);
	c.have = c.length = (uint32_t)f.n;
	c.from_instance = i % 2 == 1;
	capture_file_put(file, &c);
}

/* --- the blocks --- */

static void
check_head(struct ng_file *file, const char *filter, uint32_t snap)
{
	struct ng_block b = ng_expect(file, NG_SECTION);
	static const uint8_t unknown[8] = { 255, 255, 255, 255, 255, 255, 255,
		255 };
	size_t n = 0;
	const uint8_t *p;

	ck_assert_uint_eq(ng_u32(b.body), 0x1a2b3c4d);
	ck_assert_uint_eq(ng_u16(b.body + 4), 1);
	ck_assert_uint_eq(ng_u16(b.body + 6), 0);
	ck_assert_mem_eq(b.body + 8, unknown, 8);
	ng_expect_text(&b, SECTION_AT, 4, APPLICATION);
	b = ng_expect(file, NG_INTERFACE);
	ck_assert_uint_eq(ng_u16(b.body), 1);
	ck_assert_uint_eq(ng_u16(b.body + 2), 0);
	ck_assert_uint_eq(ng_u32(b.body + 4), snap);
	ng_expect_text(&b, INTERFACE_AT, 2, "web.0");
	p = ng_option(&b, INTERFACE_AT, 9, &n);
	ck_assert_ptr_nonnull(p);
	ck_assert_uint_eq(n, 1);
	ck_assert_uint_eq(*p, 9);
	p = ng_option(&b, INTERFACE_AT, 11, &n);
	ck_assert_int_eq(p != NULL, filter != NULL);
	if (filter == NULL)
		return;
	ck_assert_uint_eq(n, strlen(filter) + 1);
	ck_assert_uint_eq(*p, 0);
	ck_assert_mem_eq(p + 1, filter, n - 1);
}

/* Packet number `i` as give() gave it, of which `snap` at most are kept. */
static void
check_packet(const struct capture_file *file, const struct ng_block *b,
	uint32_t i, size_t payload, uint32_t snap)
{
	struct ng_packet p = ng_packet_of(b);
	struct frame f;

	make(&f, i, payload);
	ck_assert_uint_eq(
		p.time_ns, MONOTONIC_NS + i + (uint64_t)file->clock_offset_ns);
	ck_assert_uint_eq(p.length, f.n);
	ck_assert_uint_eq(p.kept, f.n < snap ? f.n : snap);
	ck_assert_mem_eq(p.frame, f.b, p.kept);
	ck_assert_uint_eq(p.flags, i % 2 == 1 ? 2 : 1);
}

START_TEST(every_field)
{
	struct capture_options o = defaults();
	struct capture_file f;
	struct ng_file file;
	struct ng_block b;

	o.filter = "tcp";
	open_file(&f, &o);
	for (uint32_t i = 0; i < 9; i++)
		give(&f, i, i); /* each length modulo 4 */
	f.lost = 3;
	ck_assert_int_eq(capture_file_close(&f), 0);
	ck_assert_uint_eq(f.packets, 9);
	file = ng_load(path);
	check_head(&file, "tcp", CAPTURE_SNAP_BYTES);
	for (uint32_t i = 0; i < 9; i++) {
		b = ng_expect(&file, NG_PACKET);
		check_packet(&f, &b, i, i, CAPTURE_SNAP_BYTES);
	}
	b = ng_expect(&file, NG_STATISTICS);
	ck_assert_uint_eq(ng_u32(b.body), 0);
	ck_assert_uint_eq(ng_total(&b, 4), 12);
	ck_assert_uint_eq(ng_total(&b, 5), 3);
	ck_assert_uint_eq(ng_total(&b, 6), 9);
	ck_assert_uint_eq(file.at, file.size);
	free(file.bytes);
}
END_TEST

/* Times are in halves, the upper one first; 64-bit numbers are not. */
START_TEST(times_and_sizes)
{
	const uint64_t at = 0x0123456789abcdefull;
	const struct pcapng_packet packet = { at, "12345", 5, 999, 0 };
	const struct pcapng_totals totals = { at, at + 1, 1ull << 40, 2, 3 };
	FILE *out = fopen(path, "we");
	struct ng_file file;
	struct ng_block b;
	struct ng_packet p;
	size_t n = 0;

	ck_assert_int_eq(
		pcapng_put_packet(out, &packet), PCAPNG_PACKET_BYTES(5));
	ck_assert_int_eq(pcapng_put_totals(out, &totals), PCAPNG_TOTALS_BYTES);
	fclose(out);
	file = ng_load(path);
	ck_assert_uint_eq(
		file.size, PCAPNG_PACKET_BYTES(5) + PCAPNG_TOTALS_BYTES);
	b = ng_expect(&file, NG_PACKET);
	ck_assert_uint_eq(ng_u32(b.body + 4), 0x01234567);
	ck_assert_uint_eq(ng_u32(b.body + 8), 0x89abcdef);
	p = ng_packet_of(&b);
	ck_assert_uint_eq(p.length, 999);
	ck_assert_uint_eq(p.flags, 0);
	b = ng_expect(&file, NG_STATISTICS);
	ck_assert_uint_eq(ng_time(b.body + 4), at + 1);
	ck_assert_uint_eq(ng_time(ng_option(&b, 12, 2, &n)), at);
	ck_assert_uint_eq(ng_time(ng_option(&b, 12, 3, &n)), at + 1);
	ck_assert_uint_eq(ng_total(&b, 4), 1ull << 40);
	free(file.bytes);
}
END_TEST

START_TEST(long_texts_are_cut)
{
	static char text[PCAPNG_TEXT_MAX + 100];
	const struct pcapng_head head = { text, text, text, 77 };
	FILE *out = fopen(path, "we");
	struct ng_file file;
	struct ng_block b;
	int n;

	memset(text, 'x', sizeof(text) - 1);
	n = pcapng_put_head(out, &head);
	fclose(out);
	file = ng_load(path);
	ck_assert_uint_eq(file.size, (size_t)n);
	text[PCAPNG_TEXT_MAX] = '\0';
	b = ng_expect(&file, NG_SECTION);
	ng_expect_text(&b, SECTION_AT, 4, text);
	b = ng_expect(&file, NG_INTERFACE);
	ng_expect_text(&b, INTERFACE_AT, 2, text);
	ck_assert_uint_lt(file.size + PCAPNG_PACKET_BYTES(CAPTURE_COPY_MAX) +
				  PCAPNG_TOTALS_BYTES,
		CAPTURE_FILE_MIN);
	free(file.bytes);
}
END_TEST

/* --- what others make of it --- */

/* Lines that `tcpdump ARGS -r path` prints, the first into line[0..len). */
static int
tcpdump(const char *args, char *line, int len)
{
	char command[256], more[512];
	FILE *p;
	int n = 0;

	snprintf(command, sizeof(command),
		"tcpdump -nn -tt --nano %s -r %s 2>&1", args, path);
	p = popen(command, "re");
	ck_assert_ptr_nonnull(p);
	while (fgets(more, sizeof(more), p) != NULL)
		if (strncmp(more, "reading from", 12) != 0 && n++ == 0)
			snprintf(line, (size_t)len, "%s", more);
	ck_assert_msg(pclose(p) == 0, "%s: %s", command, line);
	return n;
}

START_TEST(tcpdump_reads_it)
{
	struct capture_options o = defaults();
	struct capture_file f;
	char line[256] = "", expected[64];
	uint64_t ns;

	open_file(&f, &o);
	for (uint32_t i = 0; i < 9; i++)
		give(&f, i, i);
	ck_assert_int_eq(capture_file_close(&f), 0);
	ck_assert_int_eq(tcpdump("", line, sizeof(line)), 9);
	ns = MONOTONIC_NS + (uint64_t)f.clock_offset_ns;
	snprintf(expected, sizeof(expected),
		"%" PRIu64 ".%09" PRIu64 " IP 192.0.2.5.1024 > 10.0.0.80.80",
		ns / 1000000000, ns % 1000000000);
	line[strlen(expected)] = '\0';
	ck_assert_str_eq(line, expected);
	ck_assert_int_eq(tcpdump("src port 80", line, sizeof(line)), 4);
}
END_TEST

/* --- the filter --- */

static const struct {
	const char *filter;
	int err;
	uint64_t packets; /* of make(0..9) */
	const char *words;
} filters[] = {
	{ NULL, 0, 10, "" },
	{ "tcp port 80", 0, 10, "" },
	{ "tcp dst port 80", 0, 5, "" },
	{ "host 192.0.2.5 and src port 80", 0, 5, "" },
	{ "ip6 or udp", 0, 0, "" },
	{ "port 1027", 0, 1, "" },
	{ "tcp prot 80", -EINVAL, 0, "syntax error" },
	{ "port 70000", -EINVAL, 0, "70000" },
	{ "tcp and", -EINVAL, 0, "syntax error" },
	{ "(tcp", -EINVAL, 0, "syntax error" },
};

/* What is refused leaves the file of another day as it was. */
static void
check_refused(const struct capture_options *o, int err, const char *words)
{
	struct capture_file f;
	struct stat st;
	FILE *old = fopen(path, "we");

	fputs("old", old);
	fclose(old);
	ck_assert_int_eq(
		capture_file_open(&f, o, "web.0", why, sizeof(why)), err);
	ck_assert_msg(strstr(why, words) != NULL, "\"%s\"", why);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_size, 3);
}

START_TEST(filter_row)
{
	struct capture_options o = defaults();
	struct capture_file f;
	struct ng_file file;
	struct ng_block b = { .n = 0 };
	uint64_t n = 0;

	o.filter = filters[_i].filter;
	if (filters[_i].err != 0) {
		check_refused(&o, filters[_i].err, filters[_i].words);
		return;
	}
	open_file(&f, &o);
	for (uint32_t i = 0; i < 10; i++)
		give(&f, i, 0);
	ck_assert_int_eq(capture_file_close(&f), 0);
	ck_assert_uint_eq(f.packets, filters[_i].packets);
	file = ng_load(path);
	check_head(&file, filters[_i].filter, CAPTURE_SNAP_BYTES);
	while (ng_next(&file, &b))
		n += b.type == NG_PACKET;
	ck_assert_uint_eq(n, filters[_i].packets);
	ck_assert_uint_eq(ng_total(&b, 4), 10);
	ck_assert_uint_eq(ng_total(&b, 6), filters[_i].packets);
	free(file.bytes);
}
END_TEST

START_TEST(filter_too_long)
{
	static char text[PCAPNG_TEXT_MAX + 2];
	struct capture_options o = defaults();

	memset(text, ' ', sizeof(text) - 1);
	o.filter = text;
	check_refused(&o, -EINVAL, "longer");
}
END_TEST

/* A filter sees more of a frame than is kept. */
START_TEST(snap)
{
	struct capture_options o = defaults();
	struct capture_file f;
	struct ng_file file;
	struct ng_block b;

	o.snap_bytes = 15;
	o.filter = "tcp dst port 80";
	open_file(&f, &o);
	give(&f, 0, 50);
	give(&f, 1, 50);
	ck_assert_int_eq(capture_file_close(&f), 0);
	file = ng_load(path);
	check_head(&file, o.filter, 15);
	b = ng_expect(&file, NG_PACKET);
	check_packet(&f, &b, 0, 50, 15);
	ng_expect(&file, NG_STATISTICS);
	ck_assert_uint_eq(file.at, file.size);
	free(file.bytes);
}
END_TEST

/* Without -d those that were dropped are not even counted. */
START_TEST(drops)
{
	struct capture_frame c = {
		.bytes = "not dropped at all", .have = 18, .length = 18
	};

	for (int wanted = 0; wanted < 2; wanted++) {
		struct capture_options o = defaults();
		struct capture_file f;

		o.drops = wanted;
		open_file(&f, &o);
		c.dropped = true;
		capture_file_put(&f, &c);
		c.dropped = false;
		capture_file_put(&f, &c);
		ck_assert_int_eq(capture_file_close(&f), 0);
		ck_assert_uint_eq(f.packets, wanted ? 2 : 1);
		ck_assert_uint_eq(f.received, wanted ? 2 : 1);
	}
}
END_TEST

START_TEST(max_packets)
{
	struct capture_options o = defaults();
	struct capture_file f;

	o.max_packets = 2;
	o.filter = "src port 80";
	open_file(&f, &o);
	for (uint32_t i = 0; i < 8; i++) {
		ck_assert_int_eq(f.ended, i > 3);
		give(&f, i, 0);
	}
	ck_assert_int_eq(capture_file_close(&f), 0);
	ck_assert_uint_eq(f.packets, 2);
	ck_assert_int_eq(tcpdump("", why, sizeof(why)), 2);
}
END_TEST

/* --- bounds --- */

/* Bytes of a file with packets 0..n-1 in it, whatever its head takes. */
static uint64_t
bytes_of(uint32_t n)
{
	struct capture_options o = defaults();
	struct capture_file f;
	struct stat st;

	open_file(&f, &o);
	for (uint32_t i = 0; i < n; i++)
		give(&f, i, i);
	ck_assert_int_eq(capture_file_close(&f), 0);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(f.packets, n);
	return (uint64_t)st.st_size;
}

/* The bound is kept to the byte: with one less, one packet less. */
START_TEST(bound)
{
	uint64_t whole = bytes_of(300);

	ck_assert_uint_ge(whole, CAPTURE_FILE_MIN + 1);
	for (uint64_t less = 0; less < 2; less++) {
		struct capture_options o = defaults();
		struct capture_file f;
		struct stat st;

		o.max_bytes = whole - less;
		open_file(&f, &o);
		for (uint32_t i = 0; i < PACKETS_LARGE; i++)
			give(&f, i, i);
		ck_assert_int_eq(f.ended, true);
		ck_assert_int_eq(capture_file_close(&f), 0);
		ck_assert_uint_eq(f.packets, 300 - less);
		ck_assert_int_eq(stat(path, &st), 0);
		ck_assert_uint_le((uint64_t)st.st_size, o.max_bytes);
		ck_assert_int_eq(
			tcpdump("", why, sizeof(why)), (int)(300 - less));
	}
}
END_TEST

START_TEST(bound_too_small)
{
	struct capture_options o = defaults();

	o.max_bytes = CAPTURE_FILE_MIN - 1;
	check_refused(&o, -EINVAL, "32K");
}
END_TEST

/* The packets of path.k follow on another: the first and the next number. */
static void
check_ring_file(
	const struct capture_file *f, int k, uint32_t *first, uint32_t *next)
{
	char name[128];
	struct ng_file file;
	struct ng_block b = { .n = 0 };

	snprintf(name, sizeof(name), "%s.%d", path, k);
	file = ng_load(name);
	ck_assert_uint_le(file.size, f->options->max_bytes);
	check_head(&file, NULL, CAPTURE_SNAP_BYTES);
	*first = *next = UINT32_MAX;
	while (ng_next(&file, &b) && b.type == NG_PACKET) {
		uint64_t at = ng_packet_of(&b).time_ns - MONOTONIC_NS -
			      (uint64_t)f->clock_offset_ns;

		if (*first == UINT32_MAX)
			*first = *next = (uint32_t)at;
		check_packet(f, &b, *next, 200, CAPTURE_SNAP_BYTES);
		++*next;
	}
	ck_assert_uint_eq(b.type, NG_STATISTICS);
	ck_assert_uint_eq(file.at, file.size);
	free(file.bytes);
}

START_TEST(ring)
{
	struct capture_options o = defaults();
	struct capture_file f;
	uint32_t first[3], next[3], newest;
	char name[128];
	struct stat st;

	o.max_bytes = CAPTURE_FILE_MIN;
	o.files = 3;
	open_file(&f, &o);
	for (uint32_t i = 0; i < 600; i++)
		give(&f, i, 200);
	ck_assert_int_eq(f.ended, false);
	ck_assert_int_eq(capture_file_close(&f), 0);
	ck_assert_uint_eq(f.packets, 600);
	ck_assert_uint_gt(f.begun, 4);
	for (int k = 0; k < 3; k++)
		check_ring_file(&f, k, &first[k], &next[k]);
	newest = (f.begun - 1) % 3;
	ck_assert_uint_eq(next[newest], 600);
	ck_assert_uint_eq(first[newest], next[(newest + 2) % 3]);
	ck_assert_uint_eq(first[(newest + 2) % 3], next[(newest + 1) % 3]);
	ck_assert_uint_gt(first[(newest + 1) % 3], 0);
	snprintf(name, sizeof(name), "%s.3", path);
	ck_assert_int_ne(stat(name, &st), 0);
	ck_assert_int_ne(stat(path, &st), 0);
}
END_TEST

/* --- ends --- */

static const struct {
	const char *path;
	int err;
} unwritable[] = {
	{ "/nonexistent/capture", -ENOENT },
	{ "/dev/full", -ENOSPC },
	{ "/", -EISDIR },
};

START_TEST(unwritable_row)
{
	struct capture_options o = defaults();
	struct capture_file f;

	o.path = unwritable[_i].path;
	ck_assert_int_eq(capture_file_open(&f, &o, "web.0", why, sizeof(why)),
		unwritable[_i].err);
	ck_assert_ptr_nonnull(strstr(why, o.path));
	ck_assert_ptr_nonnull(strstr(why, strerror(-unwritable[_i].err)));
}
END_TEST

/* A disk that fills is told, the next file of a ring that cannot be made, too.
 */
START_TEST(next_file_fails)
{
	struct capture_options o = defaults();
	struct capture_file f;
	char name[128];

	snprintf(name, sizeof(name), "%s.1", path);
	o.max_bytes = CAPTURE_FILE_MIN;
	o.files = 2;
	ck_assert_int_eq(symlink("/dev/full", name), 0);
	open_file(&f, &o);
	for (uint32_t i = 0; i < PACKETS_LARGE; i++)
		give(&f, i, 200);
	ck_assert_int_eq(f.ended, true);
	ck_assert_int_eq(capture_file_close(&f), -ENOSPC);
}
END_TEST

/* Who read a pipe has gone: an end like others. */
START_TEST(reader_goes)
{
	struct capture_options o = defaults();
	struct capture_file f;
	int ends[2];

	signal(SIGPIPE, SIG_IGN);
	ck_assert_int_eq(pipe(ends), 0);
	ck_assert_int_eq(dup2(ends[1], STDOUT_FILENO), STDOUT_FILENO);
	o.path = "-";
	open_file(&f, &o);
	give(&f, 0, 0);
	capture_file_flush(&f);
	ck_assert_int_eq(f.ended, false);
	close(ends[0]);
	give(&f, 1, 0);
	capture_file_flush(&f);
	ck_assert_int_eq(f.ended, true);
	ck_assert_int_eq(capture_file_close(&f), 0);
}
END_TEST

static TCase *
case_with(const char *name)
{
	TCase *tc = tcase_create(name);

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_set_timeout(tc, 60);
	return tc;
}

int
main(void)
{
	Suite *s = suite_create("capture file");
	TCase *tc = case_with("blocks");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_test(tc, every_field);
	tcase_add_test(tc, times_and_sizes);
	tcase_add_test(tc, long_texts_are_cut);
	tcase_add_test(tc, tcpdump_reads_it);
	suite_add_tcase(s, tc);
	tc = case_with("what is kept");
	tcase_add_loop_test(tc, filter_row, 0, ROWS(filters));
	tcase_add_test(tc, filter_too_long);
	tcase_add_test(tc, snap);
	tcase_add_test(tc, drops);
	tcase_add_test(tc, max_packets);
	suite_add_tcase(s, tc);
	tc = case_with("ends");
	tcase_add_test(tc, bound);
	tcase_add_test(tc, bound_too_small);
	tcase_add_test(tc, ring);
	tcase_add_loop_test(tc, unwritable_row, 0, ROWS(unwritable));
	tcase_add_test(tc, next_file_fails);
	tcase_add_test(tc, reader_goes);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
