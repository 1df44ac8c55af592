/* SPDX-License-Identifier: BSD-3-Clause */
#include "appliance/log_check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "appliance/log_print.h"

/* How often a log is read again that has moved on while it was read. */
#define TRIES    5
#define PAUSE_NS 50000000
#define KIB      1024.0

static int
first_lsn(void *ctx, const struct plog_record *r)
{
	uint64_t *lsn = ctx;

	if (*lsn == 0)
		*lsn = r->lsn;
	return 0;
}

/* Was it read to its end, and that end not one that had moved on? */
static bool
settled(const struct log_reader *r)
{
	return r->report.end != PLOG_END_DAMAGED || log_reader_damaged(r);
}

/* Read it whole, again if it moved. 0 with the first LSN, or -errno. */
static int
read_whole(struct log_reader *r, uint64_t *first)
{
	const struct timespec pause = { .tv_nsec = PAUSE_NS };
	int rc;

	for (int i = 0; i < TRIES; i++) {
		*first = 0;
		rc = log_reader_read(r, true, first_lsn, first);
		if (rc != 0 || (settled(r) && !log_reader_lapped(r)))
			return rc;
		nanosleep(&pause, NULL);
		log_reader_rewind(r);
	}
	return -EAGAIN;
}

static void
print_store(const struct log_reader *r)
{
	const struct plog_super *s = &r->super;
	char when[32];

	printf("store     %s\n", r->path);
	printf("owner     %.*s\n", (int)strnlen(s->owner, sizeof(s->owner)),
		s->owner);
	printf("function  %.*s\n",
		(int)strnlen(s->function, sizeof(s->function)), s->function);
	printf("made      %s as %016" PRIx64 "\n",
		log_print_time(s->created_ms, ' ', when), s->store);
	printf("size      %.0f KiB, room for %" PRIu64 " blocks\n",
		(double)plog_store_bytes(s->slots) / KIB, s->slots);
	printf("epoch     %" PRIu32 "\n", s->epoch);
}

static void
print_records(const struct plog_report *report, uint64_t first)
{
	char when[32];

	printf("tail      block %" PRIu64 "\n", report->tail);
	printf("blocks    %" PRIu64 ", the next one is block %" PRIu64 "\n",
		report->next - report->tail, report->next);
	if (report->records == 0) {
		printf("records   none\n");
		return;
	}
	printf("records   %" PRIu64 ", LSN %" PRIu64 " to %" PRIu64 "\n",
		report->records, first, report->next_lsn - 1);
	printf("last      %s, epoch %" PRIu32 "\n",
		log_print_time(report->last.wall_ms, ' ', when),
		report->last.epoch);
}

static int
print_end(const struct plog_report *report)
{
	switch (report->end) {
	case PLOG_END_CLEAN:
		printf("end       clean\n");
		return 0;
	case PLOG_END_TORN:
		printf("end       torn, as a crash or a log in use leaves it: "
		       "%s; nothing that was durable is missing\n",
			report->why);
		return 0;
	default:
		printf("end       DAMAGED: %s; what is before block %" PRIu64
		       " is good\n",
			report->why, report->next);
		return 1;
	}
}

int
log_check(struct log_reader *r)
{
	uint64_t first;
	int rc = read_whole(r, &first);

	print_store(r);
	if (rc == 0) {
		print_records(&r->report, first);
		return print_end(&r->report);
	}
	if (rc == -EAGAIN) {
		print_records(&r->report, first);
		printf("end       not seen: it is written faster than it is "
		       "read; what was read is good\n");
		return 0;
	}
	fprintf(stderr, "carryall: %s: %s\n", r->path, strerror(-rc));
	return 1;
}

uint64_t
log_check_remains(const char *path)
{
	union log_block b;
	struct plog_file file;
	struct plog_io io;
	uint64_t good = 0;

	if (plog_file_open(&file, path) != 0)
		return 0;
	io = plog_file_io(&file);
	for (uint64_t off = 0; off + sizeof(b) <= file.size; off += sizeof(b))
		if (io.read(io.ctx, off, &b, sizeof(b)) == sizeof(b))
			good += plog_block_check(&b, b.head.store) != 0;
	plog_file_close(&file);
	if (good > 0)
		fprintf(stderr,
			"carryall: both superblocks are damaged, and %" PRIu64
			" blocks of a log are still good; without its tail "
			"they cannot be put in order\n",
			good);
	return good;
}
