/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A reader of pcapng files for tests, which takes nothing on trust: each
 * block is whole, its two lengths agree, its options end where it ends.
 */
#ifndef CARRYALL_TEST_PCAPNG_READ_H
#define CARRYALL_TEST_PCAPNG_READ_H

#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	NG_SECTION = 0x0a0d0d0a,
	NG_INTERFACE = 1,
	NG_STATISTICS = 5,
	NG_PACKET = 6,
};

struct ng_file {
	uint8_t *bytes; /* to be freed */
	size_t size, at;
};

struct ng_block {
	uint32_t type;
	const uint8_t *body; /* body[0..n), options included */
	size_t n;
};

struct ng_packet {
	uint64_t time_ns;
	uint32_t kept, length, flags;
	const uint8_t *frame;
};

static inline uint32_t
ng_u32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint16_t
ng_u16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint64_t
ng_time(const uint8_t *p)
{
	return (uint64_t)ng_u32(p) << 32 | ng_u32(p + 4);
}

static inline struct ng_file
ng_load(const char *path)
{
	struct ng_file file = { .size = 0 };
	FILE *f = fopen(path, "re");

	ck_assert_msg(f != NULL, "no %s", path);
	fseek(f, 0, SEEK_END);
	file.size = (size_t)ftell(f);
	rewind(f);
	file.bytes = malloc(file.size + 1);
	ck_assert_uint_eq(fread(file.bytes, 1, file.size, f), file.size);
	fclose(f);
	return file;
}

/* The next block: 1, or 0 at the very end of the file. */
static inline int
ng_next(struct ng_file *file, struct ng_block *b)
{
	const uint8_t *p = file->bytes + file->at;
	size_t left = file->size - file->at;
	uint32_t length;

	if (left == 0)
		return 0;
	ck_assert_uint_ge(left, 12);
	length = ng_u32(p + 4);
	ck_assert_uint_le(length, left);
	ck_assert_uint_ge(length, 12);
	ck_assert_uint_eq(length % 4, 0);
	ck_assert_uint_eq(ng_u32(p + length - 4), length);
	*b = (struct ng_block){ ng_u32(p), p + 8, length - 12 };
	file->at += length;
	return 1;
}

static inline struct ng_block
ng_expect(struct ng_file *file, uint32_t type)
{
	struct ng_block b = { .n = 0 };

	ck_assert_int_eq(ng_next(file, &b), 1);
	ck_assert_uint_eq(b.type, type);
	return b;
}

/*
 * The value of option `code` of those that begin at body[at], its length in
 * *n; NULL if it is not there. All are walked, to their end.
 */
static inline const uint8_t *
ng_option(const struct ng_block *b, size_t at, uint16_t code, size_t *n)
{
	const uint8_t *found = NULL;

	for (;;) {
		const uint8_t *p = b->body + at;
		uint16_t length;

		ck_assert_uint_le(at + 4, b->n);
		length = ng_u16(p + 2);
		if (ng_u16(p) == 0)
			break;
		if (ng_u16(p) == code) {
			ck_assert_ptr_null(found);
			found = p + 4;
			*n = length;
		}
		at += 4 + ((length + 3u) & ~3u);
	}
	ck_assert_uint_eq(ng_u16(b->body + at + 2), 0);
	ck_assert_uint_eq(at + 4, b->n);
	return found;
}

/* Option `code` is `text`, or is not there if that is NULL. */
static inline void
ng_expect_text(
	const struct ng_block *b, size_t at, uint16_t code, const char *text)
{
	size_t n = 0;
	const uint8_t *p = ng_option(b, at, code, &n);

	if (text == NULL) {
		ck_assert_ptr_null(p);
		return;
	}
	ck_assert_ptr_nonnull(p);
	ck_assert_uint_eq(n, strlen(text));
	ck_assert_mem_eq(p, text, n);
}

static inline struct ng_packet
ng_packet_of(const struct ng_block *b)
{
	struct ng_packet p;
	const uint8_t *flags;
	size_t n = 0;

	ck_assert_uint_eq(b->type, NG_PACKET);
	ck_assert_uint_ge(b->n, 20);
	ck_assert_uint_eq(ng_u32(b->body), 0);
	p.time_ns = ng_time(b->body + 4);
	p.kept = ng_u32(b->body + 12);
	p.length = ng_u32(b->body + 16);
	p.frame = b->body + 20;
	ck_assert_uint_le(20 + p.kept, b->n);
	for (size_t i = p.kept; i % 4 != 0; i++)
		ck_assert_uint_eq(p.frame[i], 0);
	flags = ng_option(b, 20 + ((p.kept + 3) & ~3u), 2, &n);
	ck_assert_ptr_nonnull(flags);
	ck_assert_uint_eq(n, 4);
	p.flags = ng_u32(flags);
	return p;
}

/* The 64-bit option `code` of the statistics. */
static inline uint64_t
ng_total(const struct ng_block *b, uint16_t code)
{
	size_t n = 0;
	const uint8_t *p = ng_option(b, 12, code, &n);
	uint64_t v;

	ck_assert_uint_eq(b->type, NG_STATISTICS);
	ck_assert_ptr_nonnull(p);
	ck_assert_uint_eq(n, 8);
	memcpy(&v, p, sizeof(v));
	return v;
}

#endif
