/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/access.h"

#include <errno.h>
#include <string.h>

_Static_assert((ACCESS_BYTES & (ACCESS_BYTES - 1)) == 0,
	"places in the ring are by mask");
_Static_assert(sizeof(struct access_record) + ACCESS_TEXT_MAX < ACCESS_BYTES,
	"any record fits an empty ring");
_Static_assert(offsetof(struct access_ring, head) == 64 &&
		       offsetof(struct access_ring, tail) == 128 &&
		       offsetof(struct access_ring, bytes) == 192,
	"writer and reader have a cache line each");

static uint32_t
whole(uint32_t n)
{
	return (n + 7) & ~7u;
}

void
access_init(struct access_ring *ring)
{
	memset(ring, 0, offsetof(struct access_ring, bytes));
	ring->magic = ACCESS_MAGIC;
	ring->version = ACCESS_VERSION;
	ring->size = ACCESS_BYTES;
}

bool
access_valid(const struct access_ring *ring)
{
	return ring->magic == ACCESS_MAGIC && ring->version == ACCESS_VERSION &&
	       ring->size == ACCESS_BYTES;
}

/* --- the writer --- */

static uint64_t
put_bytes(struct access_ring *ring, uint64_t at, const void *data, size_t len)
{
	size_t place = at & (ACCESS_BYTES - 1);
	size_t first = ACCESS_BYTES - place;

	if (first > len)
		first = len;
	if (len == 0)
		return at;
	memcpy(ring->bytes + place, data, first);
	memcpy(ring->bytes, (const uint8_t *)data + first, len - first);
	return at + len;
}

/* Cut the texts to what a record may have; their bytes. */
static uint32_t
cut(struct access_record *r)
{
	uint32_t n = 0;

	for (int i = 0; i < ACCESS_TEXTS; i++) {
		if (r->text_len[i] > ACCESS_TEXT_MAX - n)
			r->text_len[i] = (uint16_t)(ACCESS_TEXT_MAX - n);
		n += r->text_len[i];
	}
	return n;
}

int
access_put(struct access_ring *ring, struct access_record *r,
	const char *const text[ACCESS_TEXTS])
{
	uint64_t head = ring->head, at = head;
	uint64_t used = head - __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE);
	static const uint8_t zero[8];

	r->size = whole((uint32_t)sizeof(*r) + cut(r));
	if (used > ACCESS_BYTES || r->size > ACCESS_BYTES - used)
		return -ENOSPC;
	at = put_bytes(ring, at, r, sizeof(*r));
	for (int i = 0; i < ACCESS_TEXTS; i++)
		at = put_bytes(ring, at, text[i], r->text_len[i]);
	put_bytes(ring, at, zero, r->size - (at - head));
	__atomic_store_n(&ring->head, head + r->size, __ATOMIC_RELEASE);
	return 0;
}

/* --- the reader --- */

static void
get_bytes(const struct access_ring *ring, uint64_t at, void *data, size_t len)
{
	size_t place = at & (ACCESS_BYTES - 1);
	size_t first = ACCESS_BYTES - place;

	if (first > len)
		first = len;
	memcpy(data, ring->bytes + place, first);
	memcpy((uint8_t *)data + first, ring->bytes, len - first);
}

/* Bytes of the texts of a record, or -EINVAL if its numbers contradict. */
static int
check(const struct access_record *r, uint64_t used)
{
	uint32_t n = 0;

	for (int i = 0; i < ACCESS_TEXTS; i++)
		n += r->text_len[i];
	if (n > ACCESS_TEXT_MAX || r->size > used ||
		r->size != whole((uint32_t)sizeof(*r) + n))
		return -EINVAL;
	return (int)n;
}

/*
 * Both ends are read once: they are the writer's to change, whatever the
 * rules say. What was copied is checked, and not what is in the ring.
 */
int
access_get(struct access_ring *ring, struct access_record *r, char *text)
{
	uint64_t tail = __atomic_load_n(&ring->tail, __ATOMIC_RELAXED);
	uint64_t head = __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE);
	uint64_t used = head - tail, next = head;
	int n = -EINVAL;

	if (used == 0)
		return 0;
	if (used <= ACCESS_BYTES && used >= sizeof(*r)) {
		get_bytes(ring, tail, r, sizeof(*r));
		n = check(r, used);
	}
	if (n >= 0) {
		get_bytes(ring, tail + sizeof(*r), text, (size_t)n);
		next = tail + r->size;
	}
	__atomic_store_n(&ring->tail, next, __ATOMIC_RELEASE);
	return n < 0 ? n : 1;
}
