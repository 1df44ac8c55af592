/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two ways through one ring. Nearly every entry is a single descriptor within
 * one region: fetch() reads a burst of these, in two passes so that the
 * memory is on its way by the time that it is needed, and what it has read
 * and checked is what is used. All else (chains, odd lengths, descriptors
 * across regions, faults) takes the slow way, a walk of the chain that trusts
 * nothing that fetch() has seen, and that names what is wrong.
 *
 * An instance can make a walk long, with descriptors of no length, and let
 * many entries name one chain. What is bounded is therefore how far a burst
 * may walk, not each chain of it: by the ring's size, for an honest driver has
 * each descriptor in one chain only, and by what its frames may need.
 */
#include "dataplane/softnic/virtq.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include <rte_branch_prediction.h>
#include <rte_common.h>
#include <rte_mbuf.h>
#include <rte_memcpy.h>
#include <rte_prefetch.h>

#define BAD(reason) (-1 - (int)(reason))
#define ETHER_LEN   14

/* Descriptors of a frame: a header, and fragments of a page (Linux: 17). */
#define STEPS_FRAME 20u
#define STEPS_BURST 64u

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
	"rings of VIRTIO 1 are in little endian");
_Static_assert(sizeof(struct vring_desc) == 16, "VIRTIO 1.1, section 2.6.5");

typedef uint64_t __attribute__((may_alias)) word;

/* A descriptor as it was at one moment. */
struct span {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

static inline struct span
span_read(const struct virtq *r, uint16_t i)
{
	const word *d = (const word *)&r->desc[i];
	uint64_t low = __atomic_load_n(&d[0], __ATOMIC_RELAXED);
	uint64_t high = __atomic_load_n(&d[1], __ATOMIC_RELAXED);
	struct span s = { low, (uint32_t)high, (uint16_t)(high >> 32),
		(uint16_t)(high >> 48) };

	return s;
}

/* Where [addr, addr + len) is, if all of it is within region `i`. */
static inline uint8_t *
region_at(const struct virtq_memory *m, uint32_t i, uint64_t addr, uint32_t len)
{
	const struct virtq_region *region = &m->region[i];
	uint64_t offset = addr - region->from;

	if (offset >= region->size || len > region->size - offset)
		return NULL;
	return region->at + offset;
}

/* The same in any region; *hint is that of the last one found. */
static inline uint8_t *
memory_at(const struct virtq_memory *m, uint32_t *hint, uint64_t addr,
	uint32_t len)
{
	uint8_t *p = region_at(m, *hint, addr, len);

	if (likely(p != NULL))
		return p;
	for (uint32_t i = 0; i < m->n; i++) {
		p = region_at(m, i, addr, len);
		if (p != NULL) {
			*hint = i;
			return p;
		}
	}
	return NULL;
}

/* Any number of bytes; the few of a small frame without a call. */
static inline void
copy(uint8_t *to, const uint8_t *from, uint32_t n)
{
	if (n < 16 || n > 256) {
		rte_memcpy(to, from, n);
		return;
	}
	for (uint32_t i = 0; i + 16 < n; i += 16)
		rte_mov16(to + i, from + i);
	rte_mov16(to + n - 16, from + n - 16);
}

/* --- the slow way -------------------------------------------------------- */

struct chain {
	const struct virtq *r;
	uint32_t *steps; /* left to this burst */
	struct span span;
	uint16_t want; /* VRING_DESC_F_WRITE, or 0 */
	uint16_t next; /* the descriptor that follows `span` */
	bool more;     /* there is one */
};

static struct chain
chain_at(const struct virtq *r, uint16_t head, uint16_t want, uint32_t *steps)
{
	struct chain c = {
		.r = r, .steps = steps, .want = want, .next = head, .more = true
	};

	return c;
}

/* The next descriptor that is not empty: 1; 0 at the end; or BAD(). */
static int
chain_next(struct chain *c)
{
	while (c->span.len == 0) {
		if (!c->more)
			return 0;
		if (*c->steps == 0 || c->next >= c->r->size)
			return BAD(SOFTNIC_BAD_DESCRIPTOR);
		--*c->steps;
		c->span = span_read(c->r, c->next);
		if ((c->span.flags & ~VRING_DESC_F_NEXT) != c->want)
			return BAD(SOFTNIC_BAD_DESCRIPTOR);
		c->more = c->span.flags & VRING_DESC_F_NEXT;
		c->next = c->span.next;
	}
	return 1;
}

/*
 * Up to `max` bytes of the chain that are in one piece: 1 with *at and *len;
 * 0 at the end of the chain; or BAD().
 */
static int
chain_piece(struct chain *c, uint32_t max, uint8_t **at, uint32_t *len)
{
	const struct virtq_memory *m = c->r->memory;
	int rc = chain_next(c);

	if (rc <= 0)
		return rc;
	for (uint32_t i = 0; i < m->n; i++) {
		uint64_t offset = c->span.addr - m->region[i].from;

		if (offset >= m->region[i].size)
			continue;
		*len = (uint32_t)RTE_MIN((uint64_t)RTE_MIN(max, c->span.len),
			m->region[i].size - offset);
		*at = m->region[i].at + offset;
		c->span.addr += *len;
		c->span.len -= *len;
		return 1;
	}
	return BAD(SOFTNIC_BAD_ADDRESS);
}

/*
 * Between the chain and buf[0..len): how many bytes it was, less where the
 * chain ends early, or BAD(). Into the chain if that is for writing.
 */
static int
chain_copy(struct chain *c, uint8_t *buf, uint32_t len)
{
	uint32_t done = 0, n;
	uint8_t *at;

	while (done < len) {
		int rc = chain_piece(c, len - done, &at, &n);

		if (rc < 0)
			return rc;
		if (rc == 0)
			break;
		if (c->want)
			memcpy(at, buf + done, n);
		else
			memcpy(buf + done, at, n);
		done += n;
	}
	return (int)done;
}

/* --- what a burst has in common ------------------------------------------ */

/* What honest drivers need, and no more than would be noticed by others. */
static inline uint32_t
burst_steps(const struct virtq *r, uint16_t n)
{
	return RTE_MIN((uint32_t)r->size, STEPS_BURST + STEPS_FRAME * n);
}

/* An entry that was made available. */
struct slot {
	uint8_t *at;  /* header and frame, or NULL: the slow way */
	uint32_t len; /* of both; UINT32_MAX when not known */
	uint16_t head;
};

static inline uint16_t
avail_head(const struct virtq *r, uint16_t i)
{
	uint16_t at = (uint16_t)(r->next + i) & (uint16_t)(r->size - 1);

	return __atomic_load_n(&r->avail->ring[at], __ATOMIC_RELAXED);
}

/* The next `n` entries; 0 or BAD(). */
static inline int
fetch(const struct virtq *r, struct slot *slots, uint16_t n, uint16_t want)
{
	uint32_t hint = 0;

	for (uint16_t i = 0; i < n; i++) {
		slots[i].head = avail_head(r, i);
		if (unlikely(slots[i].head >= r->size))
			return BAD(SOFTNIC_BAD_DESCRIPTOR);
		rte_prefetch0(&r->desc[slots[i].head]);
	}
	for (uint16_t i = 0; i < n; i++) {
		struct span s = span_read(r, slots[i].head);

		slots[i].at = NULL;
		slots[i].len = UINT32_MAX;
		if (unlikely(s.flags != want || s.len < VIRTQ_HEADER))
			continue;
		slots[i].at = memory_at(r->memory, &hint, s.addr, s.len);
		if (unlikely(slots[i].at == NULL))
			continue;
		slots[i].len = s.len;
		/* The header ends one line, and the frame begins the next. */
		__builtin_prefetch(slots[i].at, 1);
		__builtin_prefetch(slots[i].at + VIRTQ_HEADER, 1);
	}
	return 0;
}

static inline void
use(struct virtq *r, uint16_t i, uint16_t head, uint32_t len)
{
	uint16_t at = (uint16_t)(r->next + i) & (uint16_t)(r->size - 1);

	r->used->ring[at].id = head;
	r->used->ring[at].len = len;
}

static inline void
use_publish(struct virtq *r, uint16_t n)
{
	if (n == 0)
		return;
	r->next = (uint16_t)(r->next + n);
	__atomic_store_n(&r->used->idx, r->next, __ATOMIC_RELEASE);
}

int
virtq_available(const struct virtq *r)
{
	uint16_t idx = __atomic_load_n(&r->avail->idx, __ATOMIC_ACQUIRE);
	uint16_t n = (uint16_t)(idx - r->next);

	return n <= r->size ? n : BAD(SOFTNIC_BAD_INDEX);
}

/* --- to the instance ----------------------------------------------------- */

/* No offloads; without merged buffers a frame is in one (section 5.1.6.4). */
static const uint8_t header[VIRTQ_HEADER] = { [10] = 1 };

/* How much of header and frame is in the chain's buffer now, or BAD(). */
static int
put_chain(const struct virtq *r, uint16_t head, const uint8_t *frame,
	uint32_t len, uint32_t *steps)
{
	struct chain c = chain_at(r, head, VRING_DESC_F_WRITE, steps);
	uint8_t start[VIRTQ_HEADER];
	int rc;

	memcpy(start, header, sizeof(start));
	rc = chain_copy(&c, start, sizeof(start));
	if (rc < (int)sizeof(start))
		return rc;
	/* The chain is written to, never the frame. */
	rc = chain_copy(&c, (uint8_t *)(uintptr_t)frame, len);
	return rc < 0 ? rc : VIRTQ_HEADER + rc;
}

/* 1 if it is in the buffer, 0 if that is too small, or BAD(). */
static inline int
put_frame(const struct virtq *r, struct slot *s, const uint8_t *frame,
	uint32_t len, uint32_t *steps)
{
	int rc;

	if (unlikely(len > s->len - VIRTQ_HEADER))
		return 0;
	if (likely(s->at != NULL)) {
		memcpy(s->at, header, VIRTQ_HEADER);
		copy(s->at + VIRTQ_HEADER, frame, len);
		return 1;
	}
	rc = put_chain(r, s->head, frame, len, steps);
	if (rc < 0 || (uint32_t)rc == VIRTQ_HEADER + len)
		return rc < 0 ? rc : 1;
	/* Not walked again until a frame comes that fits. */
	s->len = RTE_MAX((uint32_t)rc, (uint32_t)VIRTQ_HEADER);
	return 0;
}

int
virtq_put(struct virtq *r, struct rte_mbuf *const *pkts, uint16_t n,
	uint16_t *large)
{
	int there = virtq_available(r), rc;
	struct slot slots[VIRTQ_BURST_MAX];
	uint32_t steps;
	uint16_t used = 0, i;

	if (there <= 0)
		return there;
	there = RTE_MIN(there, n);
	/* Each chain once, and once more if it was too small before. */
	steps = 2 * burst_steps(r, (uint16_t)there);
	rc = fetch(r, slots, (uint16_t)there, VRING_DESC_F_WRITE);
	if (unlikely(rc != 0))
		return rc;
	for (i = 0; i < n && used < there; i++) {
		const uint8_t *frame = rte_pktmbuf_mtod(pkts[i], uint8_t *);
		uint32_t len = rte_pktmbuf_data_len(pkts[i]);

		rc = put_frame(r, &slots[used], frame, len, &steps);
		if (unlikely(rc < 0))
			return rc;
		if (unlikely(rc == 0)) {
			++*large;
			continue;
		}
		use(r, used, slots[used].head, VIRTQ_HEADER + len);
		used++;
	}
	use_publish(r, used);
	return i;
}

/* --- from the instance --------------------------------------------------- */

/* The frame's length, beyond SOFTNIC_FRAME_MAX if it is longer, or BAD(). */
static int
get_chain(const struct virtq *r, uint16_t head, uint8_t *frame, uint32_t *steps)
{
	struct chain c = chain_at(r, head, 0, steps);
	uint8_t start[VIRTQ_HEADER];
	int rc, len;

	rc = chain_copy(&c, start, sizeof(start));
	if (rc < (int)sizeof(start))
		return rc < 0 ? rc : 0;
	len = chain_copy(&c, frame, SOFTNIC_FRAME_MAX);
	if (len < SOFTNIC_FRAME_MAX)
		return len;
	/* Too long, or a loop? */
	while ((rc = chain_next(&c)) == 1) {
		c.span.len = 0;
		len = SOFTNIC_FRAME_MAX + 1;
	}
	return rc < 0 ? rc : len;
}

static inline int
get_frame(const struct virtq *r, const struct slot *s, uint8_t *frame,
	uint32_t *steps)
{
	uint32_t len = s->len - VIRTQ_HEADER;

	if (unlikely(s->at == NULL))
		return get_chain(r, s->head, frame, steps);
	if (likely(len <= SOFTNIC_FRAME_MAX))
		copy(frame, s->at + VIRTQ_HEADER, len);
	else
		len = SOFTNIC_FRAME_MAX + 1;
	return (int)len;
}

int
virtq_get(struct virtq *r, struct rte_mbuf **pkts, uint16_t n,
	uint64_t bad[SOFTNIC_VNIC_DROPS])
{
	int there = virtq_available(r), rc;
	struct slot slots[VIRTQ_BURST_MAX];
	uint32_t steps;
	uint16_t filled = 0;

	if (there <= 0)
		return there;
	there = RTE_MIN(there, n);
	steps = burst_steps(r, (uint16_t)there);
	rc = fetch(r, slots, (uint16_t)there, 0);
	if (unlikely(rc != 0))
		return rc;
	for (uint16_t i = 0; i < there; i++) {
		struct rte_mbuf *m = pkts[filled];
		int len = get_frame(
			r, &slots[i], rte_pktmbuf_mtod(m, uint8_t *), &steps);

		if (unlikely(len < 0))
			return len;
		use(r, i, slots[i].head, 0);
		if (unlikely(len < ETHER_LEN || len > SOFTNIC_FRAME_MAX)) {
			bad[len < ETHER_LEN ? SOFTNIC_TX_SHORT
					    : SOFTNIC_TX_LARGE]++;
			continue;
		}
		m->data_len = (uint16_t)len;
		m->pkt_len = (uint32_t)len;
		filled++;
	}
	use_publish(r, (uint16_t)there);
	return filled;
}

/* --- doorbells ----------------------------------------------------------- */

int
virtq_wants_call(const struct virtq *r)
{
	if (r->call < 0)
		return 0;
	/* The entries before the flag: else both could miss each other. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return !(__atomic_load_n(&r->avail->flags, __ATOMIC_RELAXED) &
		 VRING_AVAIL_F_NO_INTERRUPT);
}

int
virtq_call(const struct virtq *r)
{
	const uint64_t one = 1;

	if (!virtq_wants_call(r))
		return 0;
	/* Full means that it has been rung before, which does. */
	if (write(r->call, &one, sizeof(one)) == (ssize_t)sizeof(one))
		return 1;
	return errno == EINTR ? BAD(SOFTNIC_BAD_DOORBELL) : 0;
}

void
virtq_want_kick(struct virtq *r, int want)
{
	uint16_t flags = want ? 0 : VRING_USED_F_NO_NOTIFY;

	__atomic_store_n(&r->used->flags, flags, __ATOMIC_RELAXED);
	if (want)
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
}
