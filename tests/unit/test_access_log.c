/* SPDX-License-Identifier: BSD-3-Clause */
/* The access log: lines as they are written, and files that come and go. */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctrl/access.h"
#include "ctrl/access_line.h"
#include "dataplane/stats.h"
#include "tests/unit/config_lab.h"

static struct grant *grant;
static char line[ACCESS_LINE_MAX + 1];
static char text[ACCESS_TEXT_MAX];

static struct ip_addr
addr(const char *s)
{
	struct ip_addr a;

	ck_assert_int_eq(ip_addr_parse(s, &a), 0);
	return a;
}

/* The record of a good request, with texts[] one after the other in text. */
static struct access_record
record(const char *const texts[ACCESS_TEXTS])
{
	struct access_record r = { .status = 200,
		.service = 1,
		.at_us = 1795550400123456,
		.client = addr("198.51.100.7"),
		.backend = addr("10.0.1.21"),
		.client_port = htons(40000),
		.backend_port = htons(8080),
		.bytes_in = 100,
		.bytes_out = 2048,
		.header_us = 1,
		.connect_us = 2,
		.response_us = 3,
		.total_us = 4,
		.retries = 5,
		.reused = 1 };
	size_t n = 0;

	for (int i = 0; i < ACCESS_TEXTS; i++) {
		r.text_len[i] = (uint16_t)strlen(texts[i]);
		memcpy(text + n, texts[i], r.text_len[i]);
		n += r.text_len[i];
	}
	r.size = (uint32_t)(sizeof(r) + (n + 7) / 8 * 8);
	return r;
}

static const char *
format(enum config_access_format f, const struct access_record *r)
{
	int n = access_line(f, grant, r, text, line, ACCESS_LINE_MAX);

	ck_assert_int_gt(n, 0);
	ck_assert_int_le(n, ACCESS_LINE_MAX);
	line[n] = '\0';
	ck_assert_uint_eq(strlen(line), (size_t)n);
	ck_assert_ptr_eq(strchr(line, '\n'), line + n - 1);
	return line;
}

static void
setup_line(void)
{
	grant = calloc(1, sizeof(*grant));
	ck_assert_ptr_nonnull(grant);
	strcpy(grant->function, "edge");
	grant->n_services = 2;
	strcpy(grant->services[1].name, "site");
}

static void
teardown_line(void)
{
	free(grant);
}

static const char *const plain[] = { "GET", "/x?y=1", "HTTP/1.1", "example.org",
	"http://a/", "curl/8" };

/* --- common --- */

START_TEST(common)
{
	struct access_record r = record(plain);

	ck_assert_str_eq(format(CONFIG_ACCESS_COMMON, &r),
		"198.51.100.7 - - [24/Nov/2026:20:00:00 +0000] "
		"\"GET /x?y=1 HTTP/1.1\" 200 2048 \"http://a/\" \"curl/8\" "
		"host=\"example.org\" service=edge/site "
		"backend=10.0.1.21:8080 in=100 header=1 connect=2 response=3 "
		"total=4 retries=5 reused=1 error=-\n");
	r.client = addr("fd00::7");
	r.backend = addr("fd00::21");
	r.service = 9;
	r.error = 1 + HTTP_ERR_NO_BACKEND;
	r.status = 503;
	r.reused = 200;
	ck_assert_str_eq(format(CONFIG_ACCESS_COMMON, &r),
		"fd00::7 - - [24/Nov/2026:20:00:00 +0000] "
		"\"GET /x?y=1 HTTP/1.1\" 503 2048 \"http://a/\" \"curl/8\" "
		"host=\"example.org\" service=edge/- "
		"backend=[fd00::21]:8080 in=100 header=1 connect=2 response=3 "
		"total=4 retries=5 reused=1 error=no_backend\n");
}
END_TEST

/* A connection of mode tcp; and a client that said nothing. */
START_TEST(common_empty)
{
	static const char *const none[] = { "", "", "", "", "", "" };
	struct access_record r = record(none);

	memset(&r.client, 0, sizeof(r.client));
	memset(&r.backend, 0, sizeof(r.backend));
	r.status = 0;
	r.reused = 0;
	r.error = 255;
	ck_assert_str_eq(format(CONFIG_ACCESS_COMMON, &r),
		"- - - [24/Nov/2026:20:00:00 +0000] \"-\" - 2048 \"-\" \"-\" "
		"host=\"-\" service=edge/site backend=- in=100 header=1 "
		"connect=2 response=3 total=4 retries=5 reused=0 "
		"error=unknown\n");
}
END_TEST

static const struct {
	const char *said, *common, *json;
} injections[] = {
	{ "a\" 200 9 \"", "a\\\" 200 9 \\\"", "a\\\" 200 9 \\\"" },
	{ "a\\", "a\\\\", "a\\\\" },
	{ "a\nb", "a\\x0ab", "a\\u000ab" },
	{ "a\r\n127.0.0.1 - -", "a\\x0d\\x0a127.0.0.1 - -",
		"a\\u000d\\u000a127.0.0.1 - -" },
	{ "\x1b[31m\x7f", "\\x1b[31m\\x7f", "\\u001b[31m\x7f" },
	{ "\t\v\f\b", "\\x09\\x0b\\x0c\\x08", "\\u0009\\u000b\\u000c\\u0008" },
	{ "\xc3\xa9", "\\xc3\\xa9", "\xc3\xa9" },
	{ "\xe2\x80\xa8", "\\xe2\\x80\\xa8", "\xe2\x80\xa8" },
	{ "\xf0\x9f\x98\x80", "\\xf0\\x9f\\x98\\x80", "\xf0\x9f\x98\x80" },
	/* no characters: cut, alone, too long a form, a half, beyond all */
	{ "\xc3", "\\xc3", "\\ufffd" },
	{ "\x80x", "\\x80x", "\\ufffdx" },
	{ "\xc0\xaf", "\\xc0\\xaf", "\\ufffd\\ufffd" },
	{ "\xe0\x80\xaf", "\\xe0\\x80\\xaf", "\\ufffd\\ufffd\\ufffd" },
	{ "\xed\xa0\x80", "\\xed\\xa0\\x80", "\\ufffd\\ufffd\\ufffd" },
	{ "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80",
		"\\ufffd\\ufffd\\ufffd\\ufffd" },
	{ "\xff", "\\xff", "\\ufffd" },
};

/* Whatever is said, in whatever field, stays in its quotes and on its line. */
START_TEST(injection)
{
	for (int i = 0; i < ACCESS_TEXTS; i++) {
		const char *texts[] = { "", "", "", "", "", "" };
		struct access_record r;
		char want[80];

		texts[i] = injections[_i].said;
		r = record(texts);
		ck_assert_ptr_nonnull(strstr(format(CONFIG_ACCESS_COMMON, &r),
			injections[_i].common));
		for (const char *c = line; c[1] != '\0'; c++)
			ck_assert(*c >= ' ' && *c < 0x7f);
		snprintf(want, sizeof(want), ":\"%s\"", injections[_i].json);
		ck_assert_msg(
			strstr(format(CONFIG_ACCESS_JSON, &r), want) != NULL,
			"%s in %s", want, line);
	}
}
END_TEST

/* --- json --- */

START_TEST(json)
{
	struct access_record r = record(plain);

	ck_assert_str_eq(format(CONFIG_ACCESS_JSON, &r),
		"{\"time\":\"2026-11-24T20:00:00.123456Z\","
		"\"function\":\"edge\",\"service\":\"site\","
		"\"client\":\"198.51.100.7\",\"client_port\":40000,"
		"\"method\":\"GET\",\"target\":\"/x?y=1\","
		"\"version\":\"HTTP/1.1\",\"host\":\"example.org\","
		"\"referer\":\"http://a/\",\"agent\":\"curl/8\","
		"\"status\":200,\"bytes_in\":100,\"bytes_out\":2048,"
		"\"backend\":\"10.0.1.21:8080\",\"header_us\":1,"
		"\"connect_us\":2,\"response_us\":3,\"total_us\":4,"
		"\"retries\":5,\"reused\":true}\n");
}
END_TEST

/* Random records: one line, and an object that can be read. */
START_TEST(any_record)
{
	json_error_t err;

	srand((unsigned int)_i);
	for (int i = 0; i < 500; i++) {
		struct access_record r;
		unsigned int left = ACCESS_TEXT_MAX;
		uint8_t *b = (void *)&r;
		json_t *o;

		for (size_t k = 0; k < sizeof(r); k++)
			b[k] = (uint8_t)rand();
		for (int k = 0; k < ACCESS_TEXTS; k++) {
			r.text_len[k] =
				(uint16_t)((unsigned int)rand() % (left + 1));
			left -= r.text_len[k];
		}
		for (size_t k = 0; k < sizeof(text); k++)
			text[k] = (char)(i % 3 == 0 ? 0xff : rand());
		format(CONFIG_ACCESS_COMMON, &r);
		format(CONFIG_ACCESS_JSON, &r);
		o = json_loads(line, 0, &err);
		ck_assert_msg(o != NULL, "%s", err.text);
		json_decref(o);
	}
}
END_TEST

/* --- files --- */

static struct {
	char path[64], file[128], moved[128];
	struct rundir dir;
	struct config *config;
	struct plan *plan;
	struct access_log *log;
	sd_event *event;
	struct access_ring *ring[2];
	uint64_t next;
} lab;

static char said[8][600];
static int n_said;

static void
say(const char *s)
{
	ck_assert_int_lt(n_said, 8);
	snprintf(said[n_said++], sizeof(said[0]), "%s", s);
}

static struct config *
config_of(const char *file, const char *more)
{
	struct config_faults faults = { 0 };
	char source[1024];
	struct config *c;

	snprintf(source, sizeof(source),
		"appliance: { name = \"t\"; };\n"
		"uplinks: ( { name = \"wan\"; device = \"eth0\"; } );\n"
		"functions: ( { name = \"edge\"; type = \"proxy\"; "
		"instances = 2; snat = [ \"10.0.0.9\" ]; %s%s%s services: ( "
		"{ name = \"s\"; address = \"10.0.0.80\"; port = 80; protocol "
		"= \"tcp\"; backends: ( { address = \"10.0.1.21\"; } ); } ); "
		"}, { name = \"ping\"; type = \"echo\"; services: ( { name = "
		"\"p\"; address = \"10.0.0.90\"; protocol = \"icmp\"; } ); } "
		");\n",
		file == NULL ? "" : "access_log: { file = \"",
		file == NULL ? "" : file, file == NULL ? "" : more);
	c = config_load_text(
		"x", source, strlen(source), types, &machine, &faults);
	config_faults_print(&faults, stderr);
	ck_assert_ptr_nonnull(c);
	config_faults_free(&faults);
	return c;
}

static void
rings_map(void)
{
	for (int i = 0; i < 2; i++) {
		int fd =
			access_ring_open(&lab.dir, lab.plan->instances[i].name);

		ck_assert_int_ge(fd, 0);
		lab.ring[i] = mmap(NULL, sizeof(*lab.ring[i]),
			PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		ck_assert_ptr_ne(lab.ring[i], MAP_FAILED);
		close(fd);
	}
}

static void
log_open(void)
{
	ck_assert_int_eq(
		access_log_create(&lab.log, lab.event, &lab.dir, lab.plan, say),
		0);
}

static void
setup_files(void)
{
	n_said = 0;
	memset(&lab, 0, sizeof(lab));
	snprintf(lab.path, sizeof(lab.path), "/tmp/carryall-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(lab.path));
	snprintf(lab.dir.path, sizeof(lab.dir.path), "%s", lab.path);
	lab.dir.fd = open(lab.path, O_RDONLY | O_DIRECTORY);
	lab.dir.lock = dup(lab.dir.fd);
	/* the folder of the file is made, too */
	snprintf(lab.file, sizeof(lab.file), "%s/log/edge.log", lab.path);
	snprintf(lab.moved, sizeof(lab.moved), "%s/log/edge.log.1", lab.path);
	ck_assert_int_ge(sd_event_new(&lab.event), 0);
	lab.config = config_of(lab.file, "\"; };");
	lab.plan = plan_create(lab.config, 1);
	ck_assert_ptr_nonnull(lab.plan);
	log_open();
	rings_map();
}

static void
teardown_files(void)
{
	char cmd[128];

	access_log_free(lab.log);
	for (int i = 0; i < 2; i++)
		munmap(lab.ring[i], sizeof(*lab.ring[i]));
	plan_free(lab.plan);
	config_free(lab.config);
	sd_event_unref(lab.event);
	rundir_close(&lab.dir);
	snprintf(cmd, sizeof(cmd), "rm -r %s", lab.path);
	ck_assert_int_eq(system(cmd), 0);
}

/* One more request, whose target is its number: 0 or -ENOSPC. */
static int
put(int ring)
{
	char target[24];
	const char *texts[] = { "GET", target, "HTTP/1.1", "h", "", "" };
	struct access_record r;
	int rc;

	snprintf(target, sizeof(target), "/%llu", (unsigned long long)lab.next);
	r = record(texts);
	r.service = 0;
	rc = access_put(lab.ring[ring], &r, texts);
	lab.next += rc == 0;
	return rc;
}

static void
put_some(int ring, int n)
{
	for (int i = 0; i < n; i++)
		ck_assert_int_eq(put(ring), 0);
}

/* How many lines `path` has, of which the first is that of request `first`. */
static int
lines_of(const char *path, uint64_t first)
{
	FILE *f = fopen(path, "r");
	static char buf[ACCESS_LINE_MAX];
	char want[40];
	int n = 0;

	if (f == NULL)
		return -1;
	while (fgets(buf, sizeof(buf), f) != NULL) {
		snprintf(want, sizeof(want), "\"GET /%llu HTTP/1.1\"",
			(unsigned long long)first + (unsigned int)n);
		ck_assert_msg(strstr(buf, want) != NULL, "%s in %s", want, buf);
		ck_assert_int_eq(strncmp(buf, "198.51.100.7 ", 13), 0);
		ck_assert_ptr_nonnull(strstr(buf, "error=-\n"));
		n++;
	}
	fclose(f);
	return n;
}

static json_int_t
number(const char *key)
{
	json_t *o = access_log_json(lab.log, 0);
	json_int_t n = json_integer_value(json_object_get(o, key));

	ck_assert_ptr_nonnull(o);
	json_decref(o);
	return n;
}

START_TEST(appends)
{
	struct stat st;

	ck_assert_int_eq(lines_of(lab.file, 0), 0);
	ck_assert_int_eq(stat(lab.file, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0640);
	ck_assert_int_eq(access_log_turn(lab.log, 100), 0);
	put_some(0, 3);
	ck_assert_int_eq(access_log_turn(lab.log, 100), 0);
	ck_assert_int_eq(lines_of(lab.file, 0), 3);
	put_some(1, 4);
	ck_assert_int_eq(access_log_turn(lab.log, 100), 0);
	ck_assert_int_eq(lines_of(lab.file, 0), 7);
	ck_assert_int_eq(number("lines"), 7);
	ck_assert_int_eq(number("errors"), 0);
	ck_assert_ptr_null(access_log_json(lab.log, 1));
	ck_assert_int_eq(n_said, 0);
}
END_TEST

/* A turn has its bound, and no ring can keep the others out. */
START_TEST(bounded)
{
	put_some(0, 250);
	put_some(1, 1);
	ck_assert_int_eq(access_log_turn(lab.log, 100), 1);
	ck_assert_int_eq(number("lines"), 100);
	ck_assert_int_eq(access_log_turn(lab.log, 100), 1);
	ck_assert_uint_eq(lab.ring[1]->head, lab.ring[1]->tail);
	ck_assert_int_eq(access_log_turn(lab.log, 100), 0);
	ck_assert_int_eq(number("lines"), 251);
}
END_TEST

/* More than a buffer, or a ring: all of it, in order. */
START_TEST(many)
{
	int full = 0;

	for (int i = 0; i < 60000;) {
		if (put(0) == 0) {
			i++;
			continue;
		}
		full++;
		while (access_log_turn(lab.log, 700) == 1)
			;
	}
	while (access_log_turn(lab.log, 700) == 1)
		;
	ck_assert_int_gt(full, 0);
	ck_assert_int_eq(lines_of(lab.file, 0), 60000);
}
END_TEST

/* By itself: the event loop's timer. */
START_TEST(timer)
{
	put_some(0, 5000);
	while (lines_of(lab.file, 0) < 5000)
		ck_assert_int_ge(sd_event_run(lab.event, UINT64_MAX), 0);
	put_some(1, 1);
	while (lines_of(lab.file, 0) < 5001)
		ck_assert_int_ge(sd_event_run(lab.event, UINT64_MAX), 0);
}
END_TEST

/* Renamed: the next line is in a new file. Removed: likewise. */
START_TEST(rotated)
{
	put_some(0, 2);
	access_log_turn(lab.log, 100);
	ck_assert_int_eq(rename(lab.file, lab.moved), 0);
	put_some(0, 3);
	access_log_turn(lab.log, 100);
	ck_assert_int_eq(lines_of(lab.moved, 0), 2);
	ck_assert_int_eq(lines_of(lab.file, 2), 3);
	ck_assert_int_eq(unlink(lab.file), 0);
	put_some(0, 4);
	access_log_turn(lab.log, 100);
	ck_assert_int_eq(lines_of(lab.file, 5), 4);
	/* cut short in place, as some turn it: the next is the first */
	ck_assert_int_eq(truncate(lab.file, 0), 0);
	put_some(0, 1);
	access_log_turn(lab.log, 100);
	ck_assert_int_eq(lines_of(lab.file, 9), 1);
	ck_assert_int_eq(n_said, 0);
}
END_TEST

static void
reload(const char *file, const char *more)
{
	struct config *config = config_of(file, more);
	struct plan *plan = plan_create(config, 1);

	ck_assert_ptr_nonnull(plan);
	access_log_update(lab.log, plan);
	plan_free(lab.plan);
	config_free(lab.config);
	lab.plan = plan;
	lab.config = config;
}

/* Another file, another format, none, and one again. */
START_TEST(reloaded)
{
	FILE *f;
	char buf[1024];

	put_some(0, 2);
	/* these are still of the former config */
	reload(lab.moved, "\"; format = \"json\"; };");
	put_some(0, 1);
	access_log_turn(lab.log, 100);
	ck_assert_int_eq(lines_of(lab.file, 0), 2);
	f = fopen(lab.moved, "r");
	ck_assert_ptr_nonnull(f);
	ck_assert_ptr_nonnull(fgets(buf, sizeof(buf), f));
	ck_assert_ptr_nonnull(strstr(buf, "\"target\":\"/2\""));
	fclose(f);
	reload(NULL, NULL);
	ck_assert_ptr_null(access_log_json(lab.log, 0));
	access_log_turn(lab.log, 100);
	reload(lab.file, "\"; };");
	put_some(0, 1);
	access_log_turn(lab.log, 100);
	ck_assert_int_eq(number("lines"), 4);
	ck_assert_int_eq(n_said, 0);
}
END_TEST

/* The same file is opened anew even where its name stands for the same. */
START_TEST(reload_reopens)
{
	put_some(0, 2);
	access_log_turn(lab.log, 100);
	ck_assert_int_eq(rename(lab.file, lab.moved), 0);
	access_log_update(lab.log, lab.plan);
	ck_assert_int_eq(lines_of(lab.file, 0), 0);
	put_some(0, 1);
	access_log_turn(lab.log, 100);
	ck_assert_int_eq(lines_of(lab.moved, 0), 2);
	ck_assert_int_eq(lines_of(lab.file, 2), 1);
}
END_TEST

/* It cannot be opened: said once, and nothing that fits the ring is lost. */
START_TEST(cannot_open)
{
	put_some(0, 2);
	access_log_turn(lab.log, 100);
	ck_assert_int_eq(rename(lab.file, lab.moved), 0);
	ck_assert_int_eq(mkdir(lab.file, 0755), 0);
	put_some(0, 300);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(access_log_turn(lab.log, 1000), 0);
	ck_assert_int_eq(n_said, 1);
	ck_assert_ptr_nonnull(
		strstr(said[0], "Is a directory; its lines wait"));
	ck_assert_int_gt(number("errors"), 4);
	while (put(0) == 0)
		;
	ck_assert_int_eq(rmdir(lab.file), 0);
	ck_assert_int_eq(access_log_turn(lab.log, 1u << 20), 0);
	ck_assert_int_eq(n_said, 2);
	ck_assert_ptr_nonnull(strstr(said[1], "written again"));
	ck_assert_int_eq(lines_of(lab.file, 2), (int)lab.next - 2);
}
END_TEST

static void
limit(rlim_t bytes)
{
	struct rlimit r;

	getrlimit(RLIMIT_FSIZE, &r);
	r.rlim_cur = bytes;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &r), 0);
}

/*
 * A file that takes no more in the middle of a line, for a while: not a byte
 * is lost or twice there. Turned meanwhile: the line is whole in the new one.
 */
START_TEST(disk_full)
{
	int torn;
	char *last;
	FILE *f;

	signal(SIGXFSZ, SIG_IGN);
	put_some(0, 500);
	limit(10007);
	ck_assert_int_eq(access_log_turn(lab.log, 1000), 0);
	ck_assert_int_eq(access_log_turn(lab.log, 1000), 0);
	ck_assert_int_eq(n_said, 1);
	ck_assert_ptr_nonnull(strstr(said[0], "File too large"));
	put_some(0, 500);
	if (_i == 1)
		ck_assert_int_eq(rename(lab.file, lab.moved), 0);
	limit(RLIM_INFINITY);
	ck_assert_int_eq(access_log_turn(lab.log, 1000), 0);
	ck_assert_int_eq(access_log_turn(lab.log, 1000), 0);
	ck_assert_int_eq(n_said, 2);
	if (_i == 0) {
		ck_assert_int_eq(lines_of(lab.file, 0), 1000);
		return;
	}
	/* the cut line is the last of the old file, and the first of this */
	f = fopen(lab.moved, "r");
	ck_assert_ptr_nonnull(f);
	for (torn = 0; fgets(line, sizeof(line), f) != NULL; torn++)
		;
	fclose(f);
	last = strchr(line, '\n');
	ck_assert_ptr_null(last);
	ck_assert_int_eq(
		lines_of(lab.file, (uint64_t)torn - 1), 1000 - (torn - 1));
}
END_TEST

/* A control plane that comes later finds what was not written yet. */
START_TEST(adopted)
{
	put_some(0, 3);
	put_some(1, 2);
	access_log_free(lab.log);
	ck_assert_int_eq(lines_of(lab.file, 0), 5);
	put_some(0, 7);
	log_open();
	access_log_turn(lab.log, 100);
	ck_assert_int_eq(lines_of(lab.file, 0), 12);
}
END_TEST

/* An instance that writes nonsense: said once, and others are not hurt. */
START_TEST(broken_ring)
{
	lab.ring[0]->head = 4096;
	memset(lab.ring[0]->bytes, 0xff, 4096);
	put_some(1, 3);
	access_log_turn(lab.log, 100);
	lab.ring[0]->head += 123;
	access_log_turn(lab.log, 100);
	ck_assert_int_eq(lines_of(lab.file, 0), 3);
	ck_assert_int_eq(n_said, 1);
	ck_assert_ptr_nonnull(strstr(said[0], "edge.0 wrote what is no line"));
	put_some(0, 2);
	access_log_turn(lab.log, 100);
	ck_assert_int_eq(lines_of(lab.file, 0), 5);
}
END_TEST

/* A pipe that nobody reads is no reason to wait. */
START_TEST(pipe_nobody_reads)
{
	ck_assert_int_eq(unlink(lab.file), 0);
	ck_assert_int_eq(mkfifo(lab.file, 0600), 0);
	put_some(0, 3);
	access_log_turn(lab.log, 100);
	ck_assert_int_eq(n_said, 1);
	ck_assert_ptr_nonnull(strstr(said[0], "No such device or address"));
	ck_assert_int_eq(unlink(lab.file), 0);
	access_log_turn(lab.log, 100);
	ck_assert_int_eq(lines_of(lab.file, 0), 3);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("access_log");
	TCase *tl = tcase_create("lines"), *tf = tcase_create("files");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tl, setup_line, teardown_line);
	tcase_add_test(tl, common);
	tcase_add_test(tl, common_empty);
	tcase_add_loop_test(tl, injection, 0,
		(int)(sizeof(injections) / sizeof(injections[0])));
	tcase_add_test(tl, json);
	tcase_add_loop_test(tl, any_record, 0, 5);
	tcase_set_timeout(tf, 60);
	tcase_add_checked_fixture(tf, setup_files, teardown_files);
	tcase_add_test(tf, appends);
	tcase_add_test(tf, bounded);
	tcase_add_test(tf, many);
	tcase_add_test(tf, timer);
	tcase_add_test(tf, rotated);
	tcase_add_test(tf, reloaded);
	tcase_add_test(tf, reload_reopens);
	tcase_add_test(tf, cannot_open);
	tcase_add_loop_test(tf, disk_full, 0, 2);
	tcase_add_test(tf, adopted);
	tcase_add_test(tf, broken_ring);
	tcase_add_test(tf, pipe_nobody_reads);
	suite_add_tcase(s, tl);
	suite_add_tcase(s, tf);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
