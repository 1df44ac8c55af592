/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * log_crash: a process that appends to a log is killed, again and again.
 *
 *   log_crash STORE KIB KILLS SEED [nosync]
 *
 * STORE is made anew. A child recovers what is in it, checks it, and appends;
 * what is durable it tells through a pipe. At a random moment it is killed,
 * also amid recovery or a write. Then what is in the store must be all that
 * was told, in order and byte for byte, and nothing that was never appended.
 * The store is small, so that it is written over many times.
 *
 * Prints one JSON object; exit status 1 with the reason on standard error if
 * anything was missing, altered or invented.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/log/file.h"
#include "dataplane/log/plog.h"
#include "dataplane/log/uring.h"

#define FUNCTION  "crash"
#define BURST     24    /* most records appended between two polls ... */
#define BURST_BIG 2000  /* ... and now and then */
#define KEEP      2000  /* records before the last one are kept */
#define NOTES     65536 /* more than KEEP and what is in flight */
#define LIFE_US   12000

struct shared {
	uint64_t appended; /* highest LSN that was ever given out */
};

struct test {
	const char *path;
	uint64_t size;
	bool dsync;
	struct shared *shared;
	uint64_t acked, recovered, torn;
};

static uint64_t
mix(uint64_t x)
{
	x = (x ^ (x >> 31)) * 0x7fb5d329728ea185ull;
	x = (x ^ (x >> 27)) * 0x81dadef4bc2dd44dull;
	return x ^ (x >> 33);
}

static int
die(const char *what, int error)
{
	fprintf(stderr, "log_crash: %s: %s\n", what, strerror(error));
	exit(1);
}

static uint64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* --- records: their bytes follow from the LSN --- */

static uint16_t
record_len(uint64_t lsn)
{
	uint64_t r = mix(lsn);

	return (uint16_t)(r % 16 == 0 ? r / 16 % 1000 : r / 16 % 64);
}

static uint8_t
record_byte(uint64_t lsn, uint32_t i)
{
	return (uint8_t)mix(lsn * 1009 + i);
}

/* Records in order, each as it was appended. */
static int
record_check(void *ctx, const struct plog_record *r)
{
	uint64_t *last = ctx;
	const uint8_t *data = r->data;

	if (*last != 0 && r->lsn != *last + 1)
		die("a gap in the LSNs", EBADMSG);
	if (r->kind != 1 + r->lsn % 3 || r->len != record_len(r->lsn))
		die("a record that was never appended", EBADMSG);
	for (uint32_t i = 0; i < r->len; i++)
		if (data[i] != record_byte(r->lsn, i))
			die("a record that was altered", EBADMSG);
	*last = r->lsn;
	return 0;
}

static bool
record_append(struct plog *log, struct shared *shared)
{
	uint64_t lsn = log->lsn + 1;
	uint16_t len = record_len(lsn);
	uint8_t *data;

	/* Before it can reach the disk. */
	__atomic_store_n(&shared->appended, lsn, __ATOMIC_SEQ_CST);
	data = plog_reserve(log, (uint16_t)(1 + lsn % 3), len);
	if (data == NULL)
		return false;
	for (uint32_t i = 0; i < len; i++)
		data[i] = record_byte(lsn, i);
	return true;
}

/* --- the child --- */

/*
 * The lock is the log's own: it is free only when all that a killed process
 * had in flight has ended.
 */
static struct plog_uring *
store_open(const struct test *t)
{
	char why[200] = "";
	int fd = open(t->path, O_RDWR | O_DIRECT | O_CLOEXEC);
	struct plog_uring *u;

	if (fd < 0 || flock(fd, LOCK_EX) != 0)
		die(t->path, errno);
	u = plog_uring_create(fd, t->size, t->dsync, why, sizeof(why));
	if (u == NULL)
		die(why, EIO);
	return u;
}

static struct plog *
log_open(const struct test *t, struct plog_uring *u, struct stats_log *stats)
{
	struct plog_params p = { .io = plog_uring_io(u),
		.size = t->size,
		.function = FUNCTION,
		.boot = 1,
		.depth = 4,
		.stats = stats };
	struct plog_report report;
	uint64_t last = 0;
	char why[200] = "";
	struct plog *log;
	int err;

	log = plog_create(&p, &err, why, sizeof(why));
	if (log == NULL)
		die(why, -err);
	err = plog_replay(log, record_check, &last, &report);
	if (err != 0)
		die("replay", -err);
	if (report.end == PLOG_END_DAMAGED)
		die(report.why, EBADMSG);
	plog_start(log);
	return log;
}

/* Sleep until a write has ended, as an instance with nothing to do does. */
static void
log_sleep(struct plog *log, struct plog_uring *u)
{
	struct pollfd door = { .fd = plog_uring_doorbell(u), .events = POLLIN };
	uint64_t count;

	if (plog_wait_ms(log, now_us() / 1000) == 0 || !plog_uring_sleep(u))
		return;
	poll(&door, 1, 5);
	if (read(door.fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		die("doorbell", errno);
	plog_uring_awake(u);
}

/* What may be written over: all but the last KEEP that are durable. */
static void
log_trim(struct plog *log, uint64_t block[NOTES], uint64_t *noted)
{
	while (*noted < log->lsn)
		block[++*noted % NOTES] = log->head;
	if (log->durable > KEEP)
		plog_trim(log, block[(log->durable - KEEP) % NOTES]);
}

static void
ack(int pipe, uint64_t lsn)
{
	if (write(pipe, &lsn, sizeof(lsn)) != sizeof(lsn))
		_exit(1);
}

static void
child(const struct test *t, int pipe, uint64_t seed)
{
	static uint64_t block[NOTES];
	struct stats_log stats = { 0 };
	struct plog_uring *u = store_open(t);
	struct plog *log = log_open(t, u, &stats);
	uint64_t told = log->durable, noted = log->lsn;

	for (size_t i = 0; i < NOTES; i++)
		block[i] = log->head > 40 ? log->head - 40 : 0;
	ack(pipe, told);
	for (uint64_t round = 0;; round++) {
		uint64_t r = mix(seed + round);
		uint64_t n = r / 64 % (r % 64 == 0 ? BURST_BIG : BURST);

		while (n-- > 0 && record_append(log, t->shared))
			;
		plog_poll(log, now_us() / 1000);
		if (log->durable != told)
			ack(pipe, told = log->durable);
		log_trim(log, block, &noted);
		if (mix(seed * 3 + round) % 4 == 0)
			log_sleep(log, u);
	}
}

/* --- the parent --- */

static void
store_make(const struct test *t)
{
	struct plog_super s = { .version = PLOG_VERSION,
		.block = PLOG_BLOCK,
		.store = mix((uint64_t)getpid()),
		.slots = t->size / PLOG_BLOCK - 2,
		.generation = 1,
		.tail = 1,
		.function = FUNCTION,
		.owner = "a test" };
	uint8_t *zero = calloc(1, t->size);
	int fd = open(t->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	plog_super_seal(&s);
	memcpy(zero, &s, sizeof(s));
	memcpy(zero + plog_copy_offset(s.slots), &s, sizeof(s));
	if (fd < 0 || write(fd, zero, t->size) != (ssize_t)t->size ||
		fsync(fd) != 0)
		die(t->path, errno);
	close(fd);
	free(zero);
}

/* What a child told before it died, whole or not at all. */
static void
acks_read(struct test *t, int pipe)
{
	uint64_t lsn;

	while (read(pipe, &lsn, sizeof(lsn)) == sizeof(lsn)) {
		if (lsn < t->acked)
			die("durable records were lost at recovery", EBADMSG);
		t->acked = lsn;
	}
}

/* Wait until it has told something, or, now and then, do not. */
static void
first_ack_wait(struct test *t, int pipe, uint64_t r)
{
	struct pollfd p = { .fd = pipe, .events = POLLIN };
	uint64_t lsn;

	if (r % 8 == 0 || poll(&p, 1, 5000) <= 0)
		return;
	if (read(pipe, &lsn, sizeof(lsn)) != sizeof(lsn))
		return;
	if (lsn < t->acked)
		die("durable records were lost at recovery", EBADMSG);
	t->acked = lsn;
}

/* Read by other means than the log's own: as carryall log check does. */
static void
store_verify(struct test *t)
{
	struct plog_report report;
	struct plog_super super;
	struct plog_file file;
	struct plog_io io;
	uint64_t last = 0;
	char why[200] = "";
	int rc = plog_file_open(&file, t->path);

	if (rc != 0)
		die(t->path, -rc);
	/* Not before the last write of the dead has ended. */
	if (flock(file.fd, LOCK_SH) != 0)
		die(t->path, errno);
	io = plog_file_io(&file);
	if (plog_super_read(&io, t->size, &super, why, sizeof(why)) != 0)
		die(why, EBADMSG);
	rc = plog_scan(
		&io, &super, super.tail, 1, record_check, &last, &report);
	if (rc != 0 || report.end == PLOG_END_DAMAGED)
		die(report.why, EBADMSG);
	if (last < t->acked)
		die("what was told durable is missing", EBADMSG);
	if (last > t->shared->appended)
		die("more than was appended", EBADMSG);
	t->recovered = last;
	t->torn += report.end == PLOG_END_TORN;
	plog_file_close(&file);
}

static void
kill_once(struct test *t, uint64_t seed)
{
	int fds[2], status;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) != 0 ||
		fcntl(fds[1], F_SETPIPE_SZ, 1 << 20) < 0)
		die("pipe", errno);
	pid = fork();
	if (pid < 0)
		die("fork", errno);
	if (pid == 0)
		child(t, fds[1], seed);
	close(fds[1]);
	first_ack_wait(t, fds[0], mix(seed + 1));
	usleep((useconds_t)(mix(seed) % LIFE_US));
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	acks_read(t, fds[0]);
	close(fds[0]);
	if (!WIFSIGNALED(status))
		die("the child ended by itself", ECHILD);
	store_verify(t);
}

int
main(int argc, char **argv)
{
	struct test t = { .dsync = argc < 6 };
	uint64_t kills, seed;

	if (argc < 5) {
		fprintf(stderr,
			"usage: log_crash STORE KIB KILLS SEED [nosync]\n");
		return 2;
	}
	t.path = argv[1];
	t.size = strtoull(argv[2], NULL, 10) * 1024 & ~(PLOG_BLOCK - 1ull);
	kills = strtoull(argv[3], NULL, 10);
	seed = strtoull(argv[4], NULL, 10);
	t.shared = mmap(NULL, sizeof(*t.shared), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (t.shared == MAP_FAILED)
		die("mmap", errno);
	store_make(&t);
	for (uint64_t i = 0; i < kills; i++)
		kill_once(&t, mix(seed + i));
	printf("{\"kills\":%" PRIu64 ",\"acked\":%" PRIu64
	       ",\"recovered\":%" PRIu64 ",\"appended\":%" PRIu64
	       ",\"torn\":%" PRIu64 "}\n",
		kills, t.acked, t.recovered, t.shared->appended, t.torn);
	return 0;
}
