/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A store in memory that forgets: what is written is kept as a list of writes
 * first, and only reaches the "disk" when the test says so, whole or in part.
 *
 *   mem_make      a fresh store, formatted as the control plane would
 *   mem.auto_done writes end at once (the usual case of a test)
 *   mem_complete  end write i of those in flight
 *   mem_crash     what a crash leaves: chosen sectors of writes in flight
 */
#ifndef STORE_MEM_H
#define STORE_MEM_H

#include <check.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/log/plog.h"

#define MEM_MAYBE __attribute__((unused)) static

#define MEM_SECTOR 512u
#define MEM_FLIES  16

struct mem_write {
	uint64_t off;
	uint32_t len, tag;
	uint8_t *data; /* as it was when the write began */
	bool ended;
};

struct mem {
	uint8_t *disk;
	uint64_t size;
	bool auto_done;
	int fail;          /* -errno for writes that end from now on; or 0 */
	int fail_read;     /* likewise, reads */
	uint64_t bad_from; /* reads of [bad_from, bad_to) fail */
	uint64_t bad_to;
	struct mem_write fly[MEM_FLIES];
	unsigned int n; /* in flight, oldest first */
	uint64_t writes;
	/* Called for each write when it begins, if not NULL. */
	void (*on_write)(struct mem *mem, const struct mem_write *w);
	void *user;
};

/* Whole words: memcpy() under a sanitizer goes byte by byte. */
__attribute__((no_sanitize("address"))) static void
mem_copy(void *to, const void *from, size_t len)
{
	uint64_t *d = to;
	const uint64_t *s = from;

	for (size_t i = 0; i < len / sizeof(*d); i++)
		d[i] = s[i];
}

static ssize_t
mem_read(void *ctx, uint64_t off, void *buf, size_t len)
{
	struct mem *m = ctx;

	if (m->fail_read != 0)
		return m->fail_read;
	if (off < m->bad_to && off + len > m->bad_from)
		return -EIO;
	if (off >= m->size)
		return 0;
	if (len > m->size - off)
		len = m->size - off;
	mem_copy(buf, m->disk + off, len);
	return (ssize_t)len;
}

static int
mem_attach(void *ctx, void *base, size_t len)
{
	(void)ctx;
	ck_assert_uint_eq((uintptr_t)base % PLOG_BLOCK, 0);
	ck_assert_uint_eq(len % PLOG_BLOCK, 0);
	return 0;
}

static int
mem_write(void *ctx, uint64_t off, const void *buf, uint32_t len, uint32_t tag)
{
	struct mem *m = ctx;
	struct mem_write *w;

	ck_assert_uint_lt(m->n, MEM_FLIES);
	ck_assert_uint_eq(off % PLOG_BLOCK, 0);
	ck_assert_uint_eq(len % PLOG_BLOCK, 0);
	ck_assert_uint_gt(len, 0);
	ck_assert_uint_le(off + len, m->size);
	w = &m->fly[m->n++];
	*w = (struct mem_write){ .off = off, .len = len, .tag = tag };
	w->data = malloc(len);
	mem_copy(w->data, buf, len);
	m->writes++;
	if (m->on_write != NULL)
		m->on_write(m, w);
	return 0;
}

/* Write i of those in flight ends, well unless mem->fail. */
MEM_MAYBE void
mem_complete(struct mem *m, unsigned int i)
{
	m->fly[i].ended = true;
	if (m->fail == 0)
		mem_copy(
			m->disk + m->fly[i].off, m->fly[i].data, m->fly[i].len);
}

static unsigned int
mem_reap(void *ctx, struct plog_done *done, unsigned int max)
{
	struct mem *m = ctx;
	unsigned int got = 0, kept = 0;

	for (unsigned int i = 0; i < m->n; i++) {
		if (m->auto_done && !m->fly[i].ended)
			mem_complete(m, i);
		if (m->fly[i].ended && got < max) {
			done[got++] =
				(struct plog_done){ m->fly[i].tag, m->fail };
			free(m->fly[i].data);
		} else {
			m->fly[kept++] = m->fly[i];
		}
	}
	m->n = kept;
	return got;
}

MEM_MAYBE struct plog_io
mem_io(struct mem *m)
{
	return (struct plog_io){ .ctx = m,
		.size = m->size,
		.read = mem_read,
		.attach = mem_attach,
		.write = mem_write,
		.reap = mem_reap };
}

/* Both superblocks of a new store onto the disk. */
MEM_MAYBE void
mem_format(struct mem *m, uint64_t slots, const char *function)
{
	struct plog_super s = { .version = PLOG_VERSION,
		.block = PLOG_BLOCK,
		.store = 0x5107e0001,
		.slots = slots,
		.generation = 1,
		.tail = 1 };

	strncpy(s.function, function, sizeof(s.function) - 1);
	plog_super_seal(&s);
	memset(m->disk, 0, m->size);
	memcpy(m->disk, &s, sizeof(s));
	memcpy(m->disk + plog_copy_offset(slots), &s, sizeof(s));
}

MEM_MAYBE void
mem_make(struct mem *m, uint64_t slots, const char *function)
{
	memset(m, 0, sizeof(*m));
	m->size = plog_store_bytes(slots);
	m->disk = malloc(m->size);
	m->auto_done = true;
	mem_format(m, slots, function);
}

/* Forget what is in flight. */
MEM_MAYBE void
mem_drop(struct mem *m)
{
	for (unsigned int i = 0; i < m->n; i++)
		free(m->fly[i].data);
	m->n = 0;
}

MEM_MAYBE void
mem_free(struct mem *m)
{
	mem_drop(m);
	free(m->disk);
}

/* A clock for tests: what it shows is set by hand. */
struct mem_clock {
	uint64_t boot_ms, wall_ms;
};

MEM_MAYBE void
mem_clock(void *ctx, uint64_t *boot_ms, uint64_t *wall_ms)
{
	const struct mem_clock *c = ctx;

	*boot_ms = c->boot_ms;
	*wall_ms = c->wall_ms;
}

/* Open the store; the log is replayed to `fn` and started. */
MEM_MAYBE struct plog *
mem_log(struct mem *m, const char *function, struct stats_log *stats,
	plog_record_fn fn, void *ctx, struct plog_report *report)
{
	struct plog_params p = { .io = mem_io(m),
		.size = m->size,
		.function = function,
		.boot = 1,
		.depth = 4,
		.stats = stats };
	struct plog_report ignored;
	char why[256] = "";
	struct plog *log;
	int err;

	log = plog_create(&p, &err, why, sizeof(why));
	ck_assert_msg(log != NULL, "%d: %s", err, why);
	if (report == NULL)
		report = &ignored;
	ck_assert_int_eq(plog_replay(log, fn, ctx, report), 0);
	plog_start(log);
	return log;
}

/* Poll until everything is durable; only with auto_done. */
MEM_MAYBE void
mem_settle(struct plog *log)
{
	for (int i = 0; i < 1000 && log->durable < log->lsn; i++)
		plog_poll(log, 0);
	for (int i = 0; i < 10; i++)
		plog_poll(log, 0);
	ck_assert_uint_eq(log->durable, log->lsn);
}

#endif
