/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The reader of a store: any bytes, and a good store that was tampered with.
 *
 *   byte 0   what the rest is:
 *            0  the store itself
 *            1  changes of a good store; what is read then is exactly what
 *               was written, in order and without a gap, or less
 *            2  the same, and every CRC is made right again: it need not be
 *               true, but must be well formed
 *   byte 1   how many bytes of the store there are, in 1/255
 *   then     changes of 4 bytes: an offset of 3 bytes and a byte to put
 *            there; beyond the store's end: block offset % 18 is copied to
 *            the place of block byte % 18
 *
 * The good store has 16 slots, a lap behind it, two epochs, and a tail that
 * has moved: blocks 20 to 28 count, 15 to 19 are not needed
 * any more, and 29, 30 are there with an epoch that has been passed.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/log/format.h"
#include "dataplane/log/read.h"

#define SLOTS       16u
#define BLOCKS      (SLOTS + 2)
#define IMAGE_BYTES (BLOCKS * PLOG_BLOCK)
#define RAW_MAX     (1u << 20)

#define STORE    0x0123456789abcdefull
#define TAIL_OLD 18u
#define TAIL     20u
#define NEXT     29u
#define LAST     30u

/* No reading takes more than this of a store that small. */
#define READS_MAX 100000u

enum mode { RAW, CHANGED, SEALED, MODES };

struct store {
	uint8_t *bytes;
	size_t size;  /* that it has */
	size_t there; /* that can be read */
	size_t reads;
};

struct seen {
	enum mode mode;
	uint64_t next_lsn; /* 0: none yet */
	uint64_t records;
	uint8_t sum; /* of all bytes, so that all are read */
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* --- what was written --- */

static uint64_t
mix(uint64_t x)
{
	x = (x ^ (x >> 31)) * 0x7fb5d329728ea185ull;
	return x ^ (x >> 27);
}

static uint16_t
known_len(uint64_t lsn)
{
	return (uint16_t)(mix(lsn) % 150);
}

static uint16_t
known_kind(uint64_t lsn)
{
	return (uint16_t)(1 + lsn % 5);
}

static uint8_t
known_byte(uint64_t lsn, uint32_t i)
{
	return (uint8_t)mix(lsn * 151 + i);
}

static uint16_t
known_records(uint64_t seq)
{
	return (uint16_t)(1 + seq * 7 % 20);
}

static uint64_t
known_lsn(uint64_t seq)
{
	uint64_t lsn = 1;

	for (uint64_t i = 1; i < seq; i++)
		lsn += known_records(i);
	return lsn;
}

static uint8_t *
put_record(uint8_t *at, uint64_t lsn)
{
	struct plog_record_head *r = (void *)at;

	r->kind = known_kind(lsn);
	r->len = known_len(lsn);
	for (uint32_t i = 0; i < r->len; i++)
		at[sizeof(*r) + i] = known_byte(lsn, i);
	return at + plog_record_bytes(r->len);
}

static void
put_block(uint8_t *image, uint64_t seq)
{
	struct plog_head *h = (void *)(image + plog_offset(SLOTS, seq));
	uint8_t *at = (uint8_t *)(h + 1);

	memset(h, 0, PLOG_BLOCK);
	h->store = STORE;
	h->seq = seq;
	h->lsn = known_lsn(seq);
	h->boot = 1;
	h->behind = 3;
	h->boot_ms = h->wall_ms = seq;
	h->epoch = seq < 24 || seq >= NEXT ? 3 : 4;
	h->records = known_records(seq);
	for (uint64_t i = 0; i < h->records; i++)
		at = put_record(at, h->lsn + i);
	h->used = (uint16_t)(at - (uint8_t *)h);
	plog_head_seal(h);
}

static void
put_super(uint8_t *at, uint64_t generation, uint64_t tail)
{
	struct plog_super s = { .version = PLOG_VERSION,
		.block = PLOG_BLOCK,
		.store = STORE,
		.slots = SLOTS,
		.generation = generation,
		.tail = tail,
		.epoch = 4,
		.function = "lb",
		.owner = "edge/web.0" };

	plog_super_seal(&s);
	memcpy(at, &s, sizeof(s));
}

static void
image_make(uint8_t *image)
{
	memset(image, 0, IMAGE_BYTES);
	put_super(image, 7, TAIL);
	put_super(image + plog_copy_offset(SLOTS), 6, TAIL_OLD);
	for (uint64_t seq = LAST - SLOTS + 1; seq <= LAST; seq++)
		put_block(image, seq);
}

/* --- tampering --- */

static void
change(uint8_t *image, enum mode mode, const uint8_t *c)
{
	uint32_t off = c[0] | (uint32_t)c[1] << 8 | (uint32_t)c[2] << 16;

	if (off >= IMAGE_BYTES) {
		memmove(image + c[3] % BLOCKS * PLOG_BLOCK,
			image + off % BLOCKS * PLOG_BLOCK, PLOG_BLOCK);
		return;
	}
	/* Who may write the CRC could as well have written the block. */
	if (mode == CHANGED && off % PLOG_BLOCK / 4 == 1)
		return;
	image[off] = c[3];
}

static void
seal_all(uint8_t *image)
{
	for (uint32_t i = 0; i < BLOCKS; i++) {
		uint8_t *at = image + (size_t)i * PLOG_BLOCK;
		struct plog_head *h = (void *)at;

		if (h->magic == PLOG_SUPER_MAGIC)
			plog_super_seal((void *)at);
		else if (h->magic == PLOG_BLOCK_MAGIC &&
			 h->used >= sizeof(*h) && h->used <= PLOG_BLOCK)
			plog_head_seal(h);
	}
}

/* --- reading --- */

static ssize_t
store_read(void *ctx, uint64_t off, void *buf, size_t len)
{
	struct store *s = ctx;

	if (++s->reads > READS_MAX)
		abort();
	if (off >= s->there)
		return 0;
	len = len < s->there - off ? len : s->there - off;
	memcpy(buf, s->bytes + off, len);
	return (ssize_t)len;
}

/* Byte for byte what was written, and nothing missed. */
static void
check_known(const struct seen *seen, const struct plog_record *r)
{
	const uint8_t *data = r->data;

	if (seen->next_lsn == 0 && r->lsn != known_lsn(TAIL) &&
		r->lsn != known_lsn(TAIL_OLD))
		abort();
	if (r->lsn >= known_lsn(NEXT) || r->kind != known_kind(r->lsn) ||
		r->len != known_len(r->lsn))
		abort();
	for (uint32_t i = 0; i < r->len; i++)
		if (data[i] != known_byte(r->lsn, i))
			abort();
}

static int
check_record(void *ctx, const struct plog_record *r)
{
	struct seen *seen = ctx;
	const uint8_t *block = (const uint8_t *)r->block;
	const uint8_t *data = r->data;
	uint8_t sum = 0;

	if (data < block + sizeof(*r->block) ||
		data + r->len > block + r->block->used ||
		r->len > PLOG_RECORD_MAX)
		abort();
	for (uint32_t i = 0; i < r->len; i++)
		sum ^= data[i];
	if (seen->next_lsn != 0 && r->lsn != seen->next_lsn)
		abort();
	if (seen->mode == CHANGED)
		check_known(seen, r);
	seen->next_lsn = r->lsn + 1;
	seen->sum ^= sum;
	seen->records++;
	return 0;
}

/* How many records were read. */
static uint64_t
store_scan(struct store *s, enum mode mode, int all)
{
	struct plog_io io = { .ctx = s, .size = s->there, .read = store_read };
	struct seen seen = { .mode = mode };
	struct plog_report report;
	struct plog_super super;
	char why[200];

	s->reads = 0;
	if (plog_super_read(&io, 0, &super, why, sizeof(why)) != 0)
		return 0;
	if (plog_scan(&io, &super, super.tail, all, check_record, &seen,
		    &report) != 0 ||
		report.records != seen.records)
		abort();
	if (seen.records > 0 && report.next_lsn != seen.next_lsn)
		abort();
	return seen.records;
}

/* The good store; untouched, all that counts of it is read. */
static const uint8_t *
image_good(void)
{
	static uint8_t image[IMAGE_BYTES] __attribute__((aligned(4096)));
	struct store s = {
		.bytes = image, .size = IMAGE_BYTES, .there = IMAGE_BYTES
	};

	if (image[0] != 0)
		return image;
	image_make(image);
	if (store_scan(&s, CHANGED, 1) != known_lsn(NEXT) - known_lsn(TAIL))
		abort();
	return image;
}

static void
tampered(enum mode mode, const uint8_t *data, size_t size)
{
	struct store s = { .size = IMAGE_BYTES };

	s.bytes = malloc(IMAGE_BYTES);
	s.there = (size_t)IMAGE_BYTES * data[0] / 255;
	memcpy(s.bytes, image_good(), IMAGE_BYTES);
	for (size_t i = 1; i + 4 <= size; i += 4)
		change(s.bytes, mode, data + i);
	if (mode == SEALED)
		seal_all(s.bytes);
	store_scan(&s, mode, 0);
	store_scan(&s, mode, 1);
	free(s.bytes);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct store s = { .bytes = NULL };

	if (size < 2 || size > RAW_MAX)
		return 0;
	if (data[0] % MODES != RAW) {
		tampered(data[0] % MODES, data + 1, size - 1);
		return 0;
	}
	s.size = s.there = size - 1;
	s.bytes = malloc(s.size);
	memcpy(s.bytes, data + 1, s.size);
	store_scan(&s, RAW, 0);
	store_scan(&s, RAW, 1);
	free(s.bytes);
	return 0;
}
