/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/log/format.h"

#include <errno.h>

#include <isa-l/crc.h>

/* Bytes before what a CRC covers: magic and the CRC itself. */
#define BARE 8u

uint32_t
plog_crc(const void *data, size_t len)
{
	return ~crc32_iscsi(
		(unsigned char *)(uintptr_t)data, (int)len, 0xffffffffu);
}

static uint32_t
crc_behind(const void *at, size_t size)
{
	return plog_crc((const uint8_t *)at + BARE, size - BARE);
}

void
plog_super_seal(struct plog_super *super)
{
	super->magic = PLOG_SUPER_MAGIC;
	super->crc = crc_behind(super, sizeof(*super));
}

void
plog_head_seal(struct plog_head *head)
{
	head->magic = PLOG_BLOCK_MAGIC;
	head->crc = crc_behind(head, head->used);
}

/* Printable and ended: it is shown on people's terminals. */
static int
is_text(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (text[i] == '\0')
			return 1;
		if (text[i] < 0x20 || text[i] > 0x7e)
			return 0;
	}
	return 0;
}

int
plog_super_check(const void *block)
{
	const struct plog_super *s = block;

	if (s->magic != PLOG_SUPER_MAGIC)
		return -EBADMSG;
	if (s->version != PLOG_VERSION || s->block != PLOG_BLOCK)
		return -EPROTONOSUPPORT;
	if (s->crc != crc_behind(s, sizeof(*s)))
		return -EBADMSG;
	if (s->slots < PLOG_SLOTS_MIN || s->slots > 1ull << 40)
		return -EBADMSG;
	return is_text(s->function, sizeof(s->function)) &&
			       is_text(s->owner, sizeof(s->owner))
		       ? 0
		       : -EBADMSG;
}

/* Do the records fill the block up to `used`, and are as many as it says? */
static int
records_fit(const struct plog_head *head)
{
	const uint8_t *at = (const uint8_t *)(head + 1);
	uint32_t left = head->used - (uint32_t)sizeof(*head), n = 0;

	while (left > 0) {
		const struct plog_record_head *r = (const void *)at;
		uint32_t bytes;

		if (left < sizeof(*r) || r->len > PLOG_RECORD_MAX)
			return 0;
		bytes = plog_record_bytes(r->len);
		if (bytes > left)
			return 0;
		at += bytes;
		left -= bytes;
		n++;
	}
	return n == head->records;
}

int
plog_block_check(const void *block, uint64_t store)
{
	const struct plog_head *h = block;

	if (h->magic != PLOG_BLOCK_MAGIC || h->store != store)
		return 0;
	if (h->used < sizeof(*h) || h->used > PLOG_BLOCK || h->used % 4 != 0)
		return 0;
	return h->crc == crc_behind(h, h->used) && records_fit(h);
}
