/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/softnic/capture.h"

#include <string.h>

#define MASK (CAPTURE_BYTES - 1)

_Static_assert((CAPTURE_BYTES & MASK) == 0, "a power of two");
_Static_assert(sizeof(struct capture_header) == 24, "without holes");

static size_t
record_size(uint32_t length)
{
	return sizeof(struct capture_header) + (((size_t)length + 7) & ~7ul);
}

/* Bytes at `at`, which may go on at the start. */
static void
ring_write(struct capture_ring *r, uint64_t at, const void *from, size_t n)
{
	size_t begin = at & MASK, first = CAPTURE_BYTES - begin;

	if (first > n)
		first = n;
	memcpy(r->bytes + begin, from, first);
	memcpy(r->bytes, (const char *)from + first, n - first);
}

static void
ring_read(const struct capture_ring *r, uint64_t at, void *to, size_t n)
{
	size_t begin = at & MASK, first = CAPTURE_BYTES - begin;

	if (first > n)
		first = n;
	memcpy(to, r->bytes + begin, first);
	memcpy((char *)to + first, r->bytes, n - first);
}

void
capture_init(struct capture_ring *r)
{
	r->magic = CAPTURE_MAGIC;
	r->version = CAPTURE_VERSION;
	r->size = CAPTURE_BYTES;
	r->given = r->taken = r->lost = 0;
}

int
capture_check(const struct capture_ring *r)
{
	return r->magic == CAPTURE_MAGIC && r->version == CAPTURE_VERSION &&
	       r->size == CAPTURE_BYTES;
}

/* A reader that writes nonsense into `taken` gets nothing, or nonsense. */
void
capture_put(struct capture_ring *r, const struct capture_header *head,
	const void *frame)
{
	uint64_t taken = __atomic_load_n(&r->taken, __ATOMIC_ACQUIRE);
	uint64_t used = r->given - taken;
	size_t n = record_size(head->length);

	if (used > CAPTURE_BYTES || n > CAPTURE_BYTES - used) {
		__atomic_store_n(&r->lost, r->lost + 1, __ATOMIC_RELAXED);
		return;
	}
	ring_write(r, r->given, head, sizeof(*head));
	ring_write(r, r->given + sizeof(*head), frame, head->length);
	__atomic_store_n(&r->given, r->given + n, __ATOMIC_RELEASE);
}

int
capture_get(struct capture_ring *r, struct capture_header *head, void *frame,
	size_t room)
{
	uint64_t given = __atomic_load_n(&r->given, __ATOMIC_ACQUIRE);
	uint64_t used = given - r->taken;
	size_t n;

	if (used == 0)
		return 0;
	if (used < sizeof(*head) || used > CAPTURE_BYTES)
		goto out_nonsense;
	ring_read(r, r->taken, head, sizeof(*head));
	n = record_size(head->length);
	if (n > used)
		goto out_nonsense;
	ring_read(r, r->taken + sizeof(*head), frame,
		head->length < room ? head->length : room);
	__atomic_store_n(&r->taken, r->taken + n, __ATOMIC_RELEASE);
	return 1;

out_nonsense:
	__atomic_store_n(&r->taken, given, __ATOMIC_RELEASE);
	return -1;
}

void
capture_flush(struct capture_ring *r)
{
	__atomic_store_n(&r->taken,
		__atomic_load_n(&r->given, __ATOMIC_ACQUIRE), __ATOMIC_RELEASE);
}
