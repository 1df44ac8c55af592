/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/pcapng.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

enum block_type {
	BLOCK_SECTION = 0x0a0d0d0a,
	BLOCK_INTERFACE = 1,
	BLOCK_STATISTICS = 5,
	BLOCK_PACKET = 6,
};

/* Codes count from 2 in each kind of block but for what all have. */
enum option_code {
	OPTION_END = 0,
	SECTION_APPLICATION = 4,
	INTERFACE_NAME = 2,
	INTERFACE_TIME_UNIT = 9,
	INTERFACE_FILTER = 11,
	PACKET_FLAGS = 2,
	STATISTICS_BEGIN = 2,
	STATISTICS_END = 3,
	STATISTICS_RECEIVED = 4,
	STATISTICS_DROPPED = 5,
	STATISTICS_ACCEPTED = 6,
};

#define BYTE_ORDER_MAGIC 0x1a2b3c4du
#define LINK_ETHERNET    1
#define LENGTH_UNKNOWN   (~0ull)
#define TIME_UNIT_NS     9 /* 10^-9 s */
#define FILTER_IS_TEXT   0

/* A block but for packets', which are written from where they are. */
struct block {
	uint32_t n;
	uint8_t bytes[2 * (PCAPNG_TEXT_MAX + 9) + 64];
};

static void
put(struct block *b, const void *from, uint32_t n)
{
	assert(n <= sizeof(b->bytes) - b->n);
	memcpy(b->bytes + b->n, from, n);
	b->n += n;
}

static void
put16(struct block *b, uint16_t v)
{
	put(b, &v, sizeof(v));
}

static void
put32(struct block *b, uint32_t v)
{
	put(b, &v, sizeof(v));
}

/* Times and times alone have the upper half first in either byte order. */
static void
put_time(struct block *b, uint64_t ns)
{
	put32(b, (uint32_t)(ns >> 32));
	put32(b, (uint32_t)ns);
}

static void
put_padding(struct block *b)
{
	static const uint8_t zero[4];

	put(b, zero, -b->n & 3);
}

static void
put_option(
	struct block *b, enum option_code code, const void *value, uint32_t n)
{
	put16(b, (uint16_t)code);
	put16(b, (uint16_t)n);
	put(b, value, n);
	put_padding(b);
}

static void
put_text(struct block *b, enum option_code code, const char *text)
{
	if (text != NULL)
		put_option(b, code, text,
			(uint32_t)strnlen(text, PCAPNG_TEXT_MAX));
}

static void
put_number(struct block *b, enum option_code code, uint64_t v)
{
	put_option(b, code, &v, sizeof(v));
}

static void
put_time_option(struct block *b, enum option_code code, uint64_t ns)
{
	put16(b, (uint16_t)code);
	put16(b, sizeof(ns));
	put_time(b, ns);
}

static void
begin(struct block *b, enum block_type type)
{
	b->n = 0;
	put32(b, type);
	put32(b, 0); /* the length, when it is known */
}

static int
append(FILE *out, const void *from, size_t n)
{
	errno = 0;
	if (fwrite(from, 1, n, out) == n)
		return 0;
	return errno != 0 ? -errno : -EIO;
}

static int
end(struct block *b, FILE *out)
{
	uint32_t length;
	int err;

	put_option(b, OPTION_END, "", 0);
	length = b->n + (uint32_t)sizeof(length);
	put32(b, length);
	memcpy(b->bytes + 4, &length, sizeof(length));
	err = append(out, b->bytes, b->n);
	return err != 0 ? err : (int)b->n;
}

static int
put_section(FILE *out, const char *application)
{
	uint64_t length = LENGTH_UNKNOWN;
	struct block b;

	begin(&b, BLOCK_SECTION);
	put32(&b, BYTE_ORDER_MAGIC);
	put16(&b, 1); /* version 1.0 */
	put16(&b, 0);
	put(&b, &length, sizeof(length));
	put_text(&b, SECTION_APPLICATION, application);
	return end(&b, out);
}

static void
put_filter(struct block *b, const char *filter)
{
	uint8_t value[1 + PCAPNG_TEXT_MAX] = { FILTER_IS_TEXT };
	size_t n;

	if (filter == NULL)
		return;
	n = strnlen(filter, PCAPNG_TEXT_MAX);
	memcpy(value + 1, filter, n);
	put_option(b, INTERFACE_FILTER, value, (uint32_t)n + 1);
}

static int
put_interface(FILE *out, const struct pcapng_head *head)
{
	uint8_t unit = TIME_UNIT_NS;
	struct block b;

	begin(&b, BLOCK_INTERFACE);
	put16(&b, LINK_ETHERNET);
	put16(&b, 0);
	put32(&b, head->snap_bytes);
	put_text(&b, INTERFACE_NAME, head->interface);
	put_option(&b, INTERFACE_TIME_UNIT, &unit, sizeof(unit));
	put_filter(&b, head->filter);
	return end(&b, out);
}

int
pcapng_put_head(FILE *out, const struct pcapng_head *head)
{
	int section = put_section(out, head->application), interface;

	if (section < 0)
		return section;
	interface = put_interface(out, head);
	return interface < 0 ? interface : section + interface;
}

/* The frame in the middle is written from where it is. */
int
pcapng_put_packet(FILE *out, const struct pcapng_packet *packet)
{
	static const uint8_t zero[4];
	uint32_t flags = packet->way;
	uint32_t length = (uint32_t)PCAPNG_PACKET_BYTES(packet->kept);
	struct block head, tail;
	int err;

	begin(&head, BLOCK_PACKET);
	memcpy(head.bytes + 4, &length, sizeof(length));
	put32(&head, 0); /* of the first interface */
	put_time(&head, packet->time_ns);
	put32(&head, packet->kept);
	put32(&head, packet->length);
	tail.n = 0;
	put_option(&tail, PACKET_FLAGS, &flags, sizeof(flags));
	put_option(&tail, OPTION_END, "", 0);
	put32(&tail, length);
	err = append(out, head.bytes, head.n);
	if (err == 0)
		err = append(out, packet->frame, packet->kept);
	if (err == 0)
		err = append(out, zero, -packet->kept & 3);
	if (err == 0)
		err = append(out, tail.bytes, tail.n);
	return err != 0 ? err : (int)length;
}

int
pcapng_put_totals(FILE *out, const struct pcapng_totals *totals)
{
	struct block b;

	begin(&b, BLOCK_STATISTICS);
	put32(&b, 0);
	put_time(&b, totals->end_ns);
	put_time_option(&b, STATISTICS_BEGIN, totals->begin_ns);
	put_time_option(&b, STATISTICS_END, totals->end_ns);
	put_number(&b, STATISTICS_RECEIVED, totals->received);
	put_number(&b, STATISTICS_DROPPED, totals->dropped);
	put_number(&b, STATISTICS_ACCEPTED, totals->accepted);
	return end(&b, out);
}
