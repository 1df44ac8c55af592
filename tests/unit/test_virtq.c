/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device side of a ring, against a driver that is made here: what is
 * right arrives bit by bit, and each thing that is wrong is named. Rings and
 * shared memory are blocks of just their size, so that the sanitizer sees any
 * access beyond them.
 */
#include <check.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_mbuf.h>

#include "dataplane/softnic/virtq.h"
#include "dataplane/softnic/watchdog.h"

/* Two regions that adjoin for the instance, and one far up. */
#define A         0x700000000000ull
#define B         (A + PART)
#define C         (0ull - 2 * PART)
#define PART      4096u
#define END       (B + PART)
#define SIZE      8
#define W         VRING_DESC_F_WRITE
#define N         VRING_DESC_F_NEXT
#define I         VRING_DESC_F_INDIRECT
#define REASON(r) (-1 - SOFTNIC_##r)

static struct rte_mempool *pool;
static struct virtq_memory memory;
static struct virtq ring;
static struct rte_mbuf *pkts[VIRTQ_BURST_MAX];
static uint64_t bad[SOFTNIC_VNIC_DROPS];

static void
ring_make(uint16_t size, uint16_t next)
{
	ring = (struct virtq){ .memory = &memory,
		.size = size,
		.next = next,
		.call = -1,
		.kick = -1 };
	ring.desc = calloc(size, sizeof(struct vring_desc));
	ring.avail = calloc(1, sizeof(struct vring_avail) + 2u * size);
	ring.used = calloc(1, sizeof(struct vring_used) +
				      size * sizeof(struct vring_used_elem));
	ring.avail->idx = ring.used->idx = next;
}

static void
ring_free(void)
{
	free(ring.desc);
	free(ring.avail);
	free(ring.used);
}

static void
setup(void)
{
	const uint64_t from[] = { C, A, B };

	memory.n = 3;
	for (uint32_t i = 0; i < memory.n; i++) {
		memory.region[i] = (struct virtq_region){
			.from = from[i], .size = PART, .at = malloc(PART)
		};
		for (uint32_t j = 0; j < PART; j++)
			memory.region[i].at[j] = (uint8_t)rand();
	}
	ring_make(SIZE, 0);
	memset(bad, 0, sizeof(bad));
	ck_assert_int_eq(
		rte_pktmbuf_alloc_bulk(pool, pkts, VIRTQ_BURST_MAX), 0);
}

static void
teardown(void)
{
	ring_free();
	for (uint32_t i = 0; i < memory.n; i++)
		free(memory.region[i].at);
	rte_pktmbuf_free_bulk(pkts, VIRTQ_BURST_MAX);
	ck_assert_uint_eq(rte_mempool_in_use_count(pool), 0);
}

/* One byte of the shared memory, looked up as simply as can be. */
static uint8_t *
byte_at(uint64_t addr)
{
	for (uint32_t i = 0; i < memory.n; i++)
		if (addr - memory.region[i].from < memory.region[i].size)
			return memory.region[i].at +
			       (addr - memory.region[i].from);
	ck_abort_msg("not shared: %llx", (unsigned long long)addr);
	return NULL;
}

/* All bytes of a good chain; how many. */
static uint32_t
chain_bytes(uint16_t i, uint8_t *out)
{
	uint32_t n = 0;

	for (;; i = ring.desc[i].next) {
		uint64_t at = ring.desc[i].addr, end = at + ring.desc[i].len;

		while (at < end)
			out[n++] = *byte_at(at++);
		if (!(ring.desc[i].flags & N))
			return n;
	}
}

static void
offer(uint16_t head)
{
	ring.avail->ring[ring.avail->idx & (ring.size - 1)] = head;
	__atomic_store_n(&ring.avail->idx, (uint16_t)(ring.avail->idx + 1),
		__ATOMIC_RELEASE);
}

/* --- one entry of each kind ---------------------------------------------- */

struct row {
	const char *name;
	int want; /* frame's length, or REASON() */
	uint16_t head;
	struct vring_desc d[SIZE];
};

/* Length of the frame that was read, or the reason. */
static int
get_row(const struct row *row)
{
	int rc;

	memcpy(ring.desc, row->d, sizeof(row->d));
	offer(row->head);
	rc = virtq_get(&ring, pkts, 1, bad);
	if (rc < 0)
		return rc;
	ck_assert_uint_eq(ring.used->idx, 1);
	ck_assert_uint_eq(ring.used->ring[0].id, row->head);
	ck_assert_uint_eq(ring.used->ring[0].len, 0);
	if (rc == 1)
		return rte_pktmbuf_data_len(pkts[0]);
	return bad[SOFTNIC_TX_SHORT]   ? REASON(TX_SHORT)
	       : bad[SOFTNIC_TX_LARGE] ? REASON(TX_LARGE)
				       : 0;
}

static const struct row get_rows[] = {
	{ "whole", 60, 3, { [3] = { A, 72, 0, 0 } } },
	{ "far up", 60, 0, { { C, 72, 0, 0 } } },
	{ "next without its flag", 60, 0, { { A, 72, 0, 99 } } },
	{ "header in front", 60, 0,
		{ { B, 12, N, 5 }, [5] = { A, 60, 0, 0 } } },
	{ "header split", 60, 0,
		{ { A, 5, N, 2 }, { A + 99, 60, 0, 0 }, { B, 7, N, 1 } } },
	{ "header and some", 60, 0, { { A, 20, N, 1 }, { B + 1, 52, 0, 0 } } },
	{ "header's end and all", 60, 0,
		{ { A, 11, N, 1 }, { B + 1, 61, 0, 0 } } },
	{ "as many as there are", 40, 7,
		{ { A, 5, N, 1 }, { B, 5, N, 2 }, { A + 9, 5, N, 3 },
			{ C, 5, N, 4 }, { A, 5, N, 5 }, { A, 5, N, 6 },
			{ A, 5, 0, 0 }, { A, 17, N, 0 } } },
	{ "nothing between", 60, 0,
		{ { A, 0, N, 1 }, { A, 12, N, 2 }, { A, 0, N, 3 },
			{ A, 60, N, 4 }, { A, 0, 0, 0 } } },
	{ "nothing, wherever", 60, 0, { { A, 72, N, 1 }, { 1, 0, 0, 0 } } },
	{ "across regions", 60, 0, { { B - 30, 72, 0, 0 } } },
	{ "header across", 60, 0, { { B - 3, 72, 0, 0 } } },
	{ "up to the end", 60, 0, { { END - 72, 72, 0, 0 } } },
	{ "one beyond", REASON(BAD_ADDRESS), 0, { { END - 71, 72, 0, 0 } } },
	{ "all beyond", REASON(BAD_ADDRESS), 0, { { END, 72, 0, 0 } } },
	{ "one before", REASON(BAD_ADDRESS), 0, { { A - 1, 72, 0, 0 } } },
	{ "null", REASON(BAD_ADDRESS), 0, { { 0, 72, 0, 0 } } },
	{ "round the top", REASON(BAD_ADDRESS), 0,
		{ { ~0ull - 7, 72, 0, 0 } } },
	{ "out of a region", REASON(BAD_ADDRESS), 0,
		{ { C + PART - 30, 72, 0, 0 } } },
	{ "second outside", REASON(BAD_ADDRESS), 0,
		{ { A, 12, N, 1 }, { 4711, 60, 0, 0 } } },
	{ "long beyond the end", REASON(BAD_ADDRESS), 0,
		{ { END - 100, 0xffffffff, 0, 0 } } },
	{ "long", REASON(TX_LARGE), 0, { { A, 0xffffffff, 0, 0 } } },
	{ "for writing", REASON(BAD_DESCRIPTOR), 0, { { A, 72, W, 0 } } },
	{ "second for writing", REASON(BAD_DESCRIPTOR), 0,
		{ { A, 12, N, 1 }, { A, 60, W, 0 } } },
	{ "indirect", REASON(BAD_DESCRIPTOR), 0, { { A, 16, I, 0 } } },
	{ "unknown flag", REASON(BAD_DESCRIPTOR), 0, { { A, 72, 0x80, 0 } } },
	{ "no such head", REASON(BAD_DESCRIPTOR), SIZE, { { A, 72, 0, 0 } } },
	{ "no such head at all", REASON(BAD_DESCRIPTOR), 0xffff, { { 0 } } },
	{ "no such next", REASON(BAD_DESCRIPTOR), 0, { { A, 12, N, SIZE } } },
	{ "names itself", REASON(BAD_DESCRIPTOR), 0, { { A, 12, N, 0 } } },
	{ "names itself, long", REASON(BAD_DESCRIPTOR), 0,
		{ { A, 1000, N, 0 } } },
	{ "loop", REASON(BAD_DESCRIPTOR), 0,
		{ { A, 12, N, 1 }, { A, 20, N, 2 }, { A, 9, N, 1 } } },
	{ "loop of nothing", REASON(BAD_DESCRIPTOR), 0,
		{ { A, 0, N, 1 }, { A, 0, N, 0 } } },
	{ "longest", SOFTNIC_FRAME_MAX, 0,
		{ { A, SOFTNIC_FRAME_MAX + 12, 0, 0 } } },
	{ "too long", REASON(TX_LARGE), 0,
		{ { A, SOFTNIC_FRAME_MAX + 13, 0, 0 } } },
	{ "longest of two", SOFTNIC_FRAME_MAX, 0,
		{ { A, 1000, N, 1 }, { A, SOFTNIC_FRAME_MAX - 988, 0, 0 } } },
	{ "too long of two", REASON(TX_LARGE), 0,
		{ { A, 1000, N, 1 }, { A, SOFTNIC_FRAME_MAX - 987, 0, 0 } } },
	{ "shortest", 14, 0, { { A, 26, 0, 0 } } },
	{ "too short", REASON(TX_SHORT), 0, { { A, 25, 0, 0 } } },
	{ "but a header", REASON(TX_SHORT), 0, { { A, 12, 0, 0 } } },
	{ "not a header", REASON(TX_SHORT), 0, { { A, 11, 0, 0 } } },
	{ "nothing", REASON(TX_SHORT), 0, { { A, 0, 0, 0 } } },
};

START_TEST(get_each)
{
	const struct row *row = &get_rows[_i];
	uint8_t bytes[PART];
	int rc = get_row(row);

	ck_assert_msg(
		rc == row->want, "%s: %d, not %d", row->name, rc, row->want);
	if (rc < 0)
		return;
	ck_assert_uint_eq(chain_bytes(row->head, bytes), (unsigned int)rc + 12);
	ck_assert_mem_eq(
		bytes + 12, rte_pktmbuf_mtod(pkts[0], void *), (size_t)rc);
	ck_assert_uint_eq(rte_pktmbuf_pkt_len(pkts[0]), (unsigned int)rc);
}
END_TEST

/* `want` is the frame that goes in, or REASON() when 60 bytes are sent. */
static const struct row put_rows[] = {
	{ "whole", 60, 3, { [3] = { A, 72, W, 0 } } },
	{ "room", 60, 3, { [3] = { A, 2048, W, 0 } } },
	{ "longest", SOFTNIC_FRAME_MAX, 0,
		{ { A, SOFTNIC_FRAME_MAX + 12, W, 0 } } },
	{ "header in front", 60, 0,
		{ { B, 12, W | N, 5 }, [5] = { A, 60, W, 0 } } },
	{ "header split", 60, 0,
		{ { A, 5, W | N, 2 }, { A + 99, 60, W, 0 },
			{ B, 7, W | N, 1 } } },
	{ "as many as there are", 40, 7,
		{ { A, 5, W | N, 1 }, { B, 5, W | N, 2 },
			{ A + 9, 5, W | N, 3 }, { C, 5, W | N, 4 },
			{ A + 20, 5, W | N, 5 }, { A + 30, 5, W | N, 6 },
			{ A + 50, 5, W, 0 }, { A + 70, 17, W | N, 0 } } },
	{ "nothing between", 60, 0,
		{ { A, 0, W | N, 1 }, { A, 12, W | N, 2 }, { A, 0, W | N, 3 },
			{ B, 60, W, 0 } } },
	{ "across regions", 60, 0, { { B - 30, 72, W, 0 } } },
	{ "up to the end", 60, 0, { { END - 72, 72, W, 0 } } },
	{ "too small", REASON(RX_LARGE), 0, { { A, 71, W, 0 } } },
	{ "too small in two", REASON(RX_LARGE), 0,
		{ { A, 12, W | N, 1 }, { A, 59, W, 0 } } },
	{ "but a header", REASON(RX_LARGE), 0, { { A, 12, W, 0 } } },
	{ "not a header", REASON(RX_LARGE), 0, { { A, 11, W, 0 } } },
	{ "nothing", REASON(RX_LARGE), 0, { { A, 0, W, 0 } } },
	{ "one beyond", REASON(BAD_ADDRESS), 0, { { END - 71, 72, W, 0 } } },
	{ "one before", REASON(BAD_ADDRESS), 0, { { A - 1, 72, W, 0 } } },
	{ "round the top", REASON(BAD_ADDRESS), 0,
		{ { ~0ull - 7, 72, W, 0 } } },
	{ "second outside", REASON(BAD_ADDRESS), 0,
		{ { A, 12, W | N, 1 }, { 4711, 60, W, 0 } } },
	{ "for reading", REASON(BAD_DESCRIPTOR), 0, { { A, 72, 0, 0 } } },
	{ "second for reading", REASON(BAD_DESCRIPTOR), 0,
		{ { A, 12, W | N, 1 }, { A, 60, 0, 0 } } },
	{ "indirect", REASON(BAD_DESCRIPTOR), 0, { { A, 72, I, 0 } } },
	{ "indirect for writing", REASON(BAD_DESCRIPTOR), 0,
		{ { A, 72, I | W, 0 } } },
	{ "no such head", REASON(BAD_DESCRIPTOR), SIZE, { { A, 72, W, 0 } } },
	{ "no such next", REASON(BAD_DESCRIPTOR), 0,
		{ { A, 12, W | N, SIZE } } },
	{ "loop", REASON(BAD_DESCRIPTOR), 0, { { A, 2, W | N, 0 } } },
	{ "loop of nothing", REASON(BAD_DESCRIPTOR), 0,
		{ { A, 0, W | N, 1 }, { A, 0, W | N, 0 } } },
};

static void
frame_make(struct rte_mbuf *m, uint16_t len)
{
	static uint8_t noise[1 << 16];

	for (size_t i = 0; noise[0] == 0 && i < sizeof(noise); i++)
		noise[sizeof(noise) - 1 - i] = (uint8_t)(1 + rand() % 255);
	m->data_len = len;
	m->pkt_len = len;
	memcpy(rte_pktmbuf_mtod(m, void *), noise + rand() % 60000, len);
}

START_TEST(put_each)
{
	static const uint8_t head[VIRTQ_HEADER] = { [10] = 1 };
	const struct row *row = &put_rows[_i];
	uint8_t bytes[PART];
	uint16_t large = 0;
	int rc;

	memcpy(ring.desc, row->d, sizeof(row->d));
	offer(row->head);
	frame_make(pkts[0], (uint16_t)(row->want < 0 ? 60 : row->want));
	rc = virtq_put(&ring, pkts, 1, &large);
	if (rc == 1)
		rc = large ? REASON(RX_LARGE) : rte_pktmbuf_data_len(pkts[0]);
	ck_assert_msg(
		rc == row->want, "%s: %d, not %d", row->name, rc, row->want);
	ck_assert_uint_eq(ring.used->idx, rc >= 0);
	if (rc < 0)
		return;
	ck_assert_uint_eq(ring.used->ring[0].id, row->head);
	ck_assert_uint_eq(ring.used->ring[0].len, (unsigned int)rc + 12);
	ck_assert_uint_ge(chain_bytes(row->head, bytes), (unsigned int)rc + 12);
	ck_assert_mem_eq(bytes, head, sizeof(head));
	ck_assert_mem_eq(
		bytes + 12, rte_pktmbuf_mtod(pkts[0], void *), (size_t)rc);
}
END_TEST

/* --- the indices --------------------------------------------------------- */

START_TEST(too_much_available)
{
	uint16_t large = 0;

	ring.desc[0] = (struct vring_desc){ A, 72, 0, 0 };
	ck_assert_int_eq(virtq_available(&ring), 0);
	ring.avail->idx = SIZE;
	ck_assert_int_eq(virtq_available(&ring), SIZE);
	ck_assert_int_eq(virtq_get(&ring, pkts, 64, bad), SIZE);
	ring.avail->idx = SIZE + SIZE + 1;
	ck_assert_int_eq(virtq_available(&ring), REASON(BAD_INDEX));
	ck_assert_int_eq(virtq_get(&ring, pkts, 1, bad), REASON(BAD_INDEX));
	ck_assert_int_eq(virtq_put(&ring, pkts, 1, &large), REASON(BAD_INDEX));
	/* Backwards is as far as can be. */
	ring.avail->idx = SIZE - 1;
	ck_assert_int_eq(virtq_available(&ring), REASON(BAD_INDEX));
}
END_TEST

START_TEST(indices_wrap)
{
	ring_free();
	ring_make(SIZE, 65530);
	for (uint16_t i = 0; i < SIZE; i++)
		ring.desc[i] = (struct vring_desc){ A + 100 * i, 72, 0, 0 };
	for (uint16_t i = 0; i < 30; i++) {
		uint16_t at = (uint16_t)(65530 + i) % SIZE;

		offer((i * 3) % SIZE);
		ck_assert_int_eq(virtq_get(&ring, pkts, 64, bad), 1);
		ck_assert_uint_eq(ring.used->ring[at].id, (i * 3) % SIZE);
		ck_assert_uint_eq(ring.used->idx, (uint16_t)(65531 + i));
	}
}
END_TEST

/* A full ring in one burst, around its end, in order. */
START_TEST(bursts_wrap)
{
	ring_free();
	ring_make(SIZE, 65533);
	for (uint16_t i = 0; i < SIZE; i++)
		ring.desc[i] =
			(struct vring_desc){ A + 100 * i, 72u + i, 0, 0 };
	for (int round = 0; round < 5; round++) {
		for (uint16_t i = 0; i < SIZE; i++)
			offer(SIZE - 1 - i);
		ck_assert_int_eq(virtq_get(&ring, pkts, 64, bad), SIZE);
		for (uint16_t i = 0; i < SIZE; i++)
			ck_assert_uint_eq(rte_pktmbuf_data_len(pkts[i]),
				60u + SIZE - 1 - i);
	}
	ck_assert_uint_eq(ring.used->idx, (uint16_t)(65533 + 5 * SIZE));
}
END_TEST

/* --- bursts -------------------------------------------------------------- */

/* The buffer that was too small for one serves the next. */
static void
large_row(struct vring_desc first, struct vring_desc second)
{
	uint16_t large = 0;

	ring.desc[0] = first;
	ring.desc[1] = second;
	ring.desc[2] = (struct vring_desc){ B, 200, W, 0 };
	offer(0);
	offer(2);
	for (int i = 0; i < 30; i++)
		frame_make(pkts[i], 300);
	frame_make(pkts[28], 100);
	frame_make(pkts[30], 100);
	frame_make(pkts[31], 100);
	ck_assert_int_eq(virtq_put(&ring, pkts, 32, &large), 31);
	ck_assert_uint_eq(large, 29);
	ck_assert_uint_eq(ring.used->idx, 2);
	ck_assert_uint_eq(ring.used->ring[0].id, 0);
	ck_assert_uint_eq(ring.used->ring[1].id, 2);
	ck_assert_uint_eq(ring.used->ring[1].len, 112);
	ck_assert_mem_eq(
		byte_at(B + 12), rte_pktmbuf_mtod(pkts[30], void *), 100);
}

START_TEST(large_frames_in_a_burst)
{
	struct vring_desc none = { 0 };

	if (_i == 0)
		large_row((struct vring_desc){ A, 250, W, 0 }, none);
	else
		large_row((struct vring_desc){ A, 12, W | N, 1 },
			(struct vring_desc){ A + 12, 238, W, 0 });
}
END_TEST

START_TEST(odd_frames_in_a_burst)
{
	const uint32_t len[] = { 72, 20, 100, 3000, 80 };

	for (uint16_t i = 0; i < 5; i++) {
		ring.desc[i] = (struct vring_desc){ A, len[i], 0, 0 };
		offer(i);
	}
	ck_assert_int_eq(virtq_get(&ring, pkts, 64, bad), 3);
	ck_assert_uint_eq(rte_pktmbuf_data_len(pkts[0]), 60);
	ck_assert_uint_eq(rte_pktmbuf_data_len(pkts[1]), 88);
	ck_assert_uint_eq(rte_pktmbuf_data_len(pkts[2]), 68);
	ck_assert_uint_eq(bad[SOFTNIC_TX_SHORT], 1);
	ck_assert_uint_eq(bad[SOFTNIC_TX_LARGE], 1);
	ck_assert_uint_eq(ring.used->idx, 5);
}
END_TEST

/* One long chain, named again and again: the walk is bounded all the same. */
START_TEST(one_chain_in_many_entries)
{
	for (uint16_t i = 0; i < SIZE; i++) {
		ring.desc[i] = (struct vring_desc){ A, i ? 0 : 72,
			i < SIZE - 1 ? N : 0, (uint16_t)(i + 1) };
		offer(0);
	}
	ck_assert_int_eq(
		virtq_get(&ring, pkts, SIZE, bad), REASON(BAD_DESCRIPTOR));
	ck_assert_uint_eq(ring.used->idx, 0);
}
END_TEST

/* `entries` of a chain of `steps` descriptors, all but two of no length. */
static void
long_chains(uint16_t entries, uint16_t steps, uint16_t flags)
{
	ring_free();
	ring_make(1024, 0);
	for (uint16_t i = 0; i < steps; i++)
		ring.desc[i] = (struct vring_desc){ A, 0,
			(uint16_t)(i < steps - 1 ? flags | N : flags),
			(uint16_t)(i + 1) };
	ring.desc[0].len = 12;
	ring.desc[steps - 1].len = 60;
	while (entries-- > 0)
		offer(0);
}

/*
 * However large the ring: 64 descriptors and 20 for each frame are walked in
 * a burst from the instance, twice as many to it.
 */
START_TEST(steps_of_a_burst)
{
	static const struct {
		uint16_t entries, steps, want;
	} row[] = {
		{ 1, 84, 1 },
		{ 1, 85, 0 },
		{ 1, 500, 0 },
		{ 2, 52, 1 },
		{ 2, 53, 0 },
		{ 10, 26, 1 },
		{ 10, 27, 0 },
	};
	uint16_t large = 0;
	int got, put;

	ck_assert_int_lt(_i, (int)RTE_DIM(row));
	long_chains(row[_i].entries, row[_i].steps, 0);
	got = virtq_get(&ring, pkts, VIRTQ_BURST_MAX, bad);
	ck_assert_int_eq(
		got, row[_i].want ? row[_i].entries : REASON(BAD_DESCRIPTOR));
	long_chains(row[_i].entries,
		row[_i].want ? 2 * row[_i].steps : 2 * row[_i].steps - 1, W);
	for (uint16_t i = 0; i < row[_i].entries; i++)
		frame_make(pkts[i], 60);
	put = virtq_put(&ring, pkts, row[_i].entries, &large);
	ck_assert_int_eq(
		put, row[_i].want ? row[_i].entries : REASON(BAD_DESCRIPTOR));
	ck_assert_uint_eq(large, 0);
}
END_TEST

/* With nothing to do, or nothing to do it with, nothing happens. */
START_TEST(nothing_to_do)
{
	uint16_t large = 0;

	ck_assert_int_eq(virtq_get(&ring, pkts, 64, bad), 0);
	ck_assert_int_eq(virtq_put(&ring, pkts, 64, &large), 0);
	ring.desc[0] = (struct vring_desc){ A, 72, W, 0 };
	offer(0);
	ck_assert_int_eq(virtq_put(&ring, pkts, 0, &large), 0);
	ck_assert_uint_eq(ring.used->idx, 0);
	ck_assert_uint_eq(large, 0);
}
END_TEST

/* --- a million, bit by bit ----------------------------------------------- */

#define MANY  500000
#define DEEP  256
#define SLOTS 64

/* Descriptors of buffer k begin at 4k: one to four of them. */
static uint32_t
layout(uint16_t k, uint32_t len, uint16_t flags)
{
	uint64_t at = 0x10000 + (uint64_t)k * 2048 + (uint32_t)rand() % 64;
	uint16_t parts = (uint16_t)(rand() % 8 ? 1 : 1 + rand() % 4), i = k * 4;

	for (uint16_t p = parts; p > 0; p--, i++) {
		uint32_t n = p == 1 ? len : (uint32_t)rand() % (len + 1);

		ring.desc[i] = (struct vring_desc){ at, n,
			(uint16_t)(p > 1 ? flags | N : flags),
			(uint16_t)(i + 1) };
		at += n;
		len -= n;
	}
	return k * 4;
}

static uint16_t
some_length(void)
{
	return (uint16_t)(rand() % 4 ? 14 + rand() % 100
				     : 14 + rand() % (SOFTNIC_FRAME_MAX - 13));
}

static void
many_setup(void)
{
	/* Regions that adjoin, of an odd size: buffers lie across them. */
	static const uint32_t cut[] = { 50000, 31111, 0 };
	uint64_t from = 0x10000, end = from + SLOTS * 2048 + 64;

	for (uint32_t i = 0; i < memory.n; i++)
		free(memory.region[i].at);
	for (uint32_t i = 0; i < 3; i++) {
		uint64_t size = cut[i] ? cut[i] : end - from;

		memory.region[i] = (struct virtq_region){
			.from = from, .size = size, .at = malloc(size)
		};
		from += size;
	}
	ring_free();
	ring_make(DEEP, 0xff00);
}

START_TEST(many_from_the_instance)
{
	uint8_t frame[2048];
	uint32_t done = 0;

	many_setup();
	while (done < MANY) {
		int n = 1 + rand() % SLOTS, got;
		uint64_t sum = 0;

		for (uint16_t k = 0; k < n; k++) {
			uint32_t len = some_length() + 12u;

			offer((uint16_t)layout(k, len, 0));
			sum += len - 12;
			for (uint32_t j = 0; j < len; j += 61)
				*byte_at(ring.desc[k * 4].addr + j) =
					(uint8_t)rand();
		}
		got = virtq_get(&ring, pkts, (uint16_t)n, bad);
		ck_assert_int_eq(got, n);
		for (uint16_t k = 0; k < n; k++) {
			uint32_t len = chain_bytes(k * 4, frame) - 12;

			ck_assert_uint_eq(rte_pktmbuf_data_len(pkts[k]), len);
			ck_assert_mem_eq(frame + 12,
				rte_pktmbuf_mtod(pkts[k], void *), len);
			sum -= len;
		}
		ck_assert_uint_eq(sum, 0);
		ck_assert_uint_eq(ring.used->idx, ring.avail->idx);
		done += (uint32_t)n;
	}
}
END_TEST

START_TEST(many_to_the_instance)
{
	uint8_t frame[2048];
	uint32_t done = 0;

	many_setup();
	while (done < MANY) {
		uint16_t n = (uint16_t)(1 + rand() % SLOTS), large = 0;
		uint16_t at = ring.used->idx;

		for (uint16_t k = 0; k < n; k++) {
			offer((uint16_t)layout(k, 1932, W));
			frame_make(pkts[k], some_length());
		}
		ck_assert_int_eq(virtq_put(&ring, pkts, n, &large), n);
		ck_assert_uint_eq(large, 0);
		for (uint16_t k = 0; k < n; k++, at++) {
			uint16_t len = rte_pktmbuf_data_len(pkts[k]);
			struct vring_used_elem *u = &ring.used->ring[at % DEEP];

			ck_assert_uint_eq(u->id, k * 4u);
			ck_assert_uint_eq(u->len, len + 12u);
			chain_bytes(k * 4, frame);
			ck_assert_mem_eq(frame + 12,
				rte_pktmbuf_mtod(pkts[k], void *), len);
		}
		ck_assert_uint_eq(at, ring.used->idx);
		done += n;
	}
}
END_TEST

/* --- doorbells ----------------------------------------------------------- */

/* Made to block, and full: only the watchdog's signal ends it. */
START_TEST(doorbell_that_blocks)
{
	const uint64_t full = UINT64_MAX - 1;
	struct watchdog dog;

	ring.call = eventfd(0, 0);
	ck_assert_int_eq(write(ring.call, &full, 8), 8);
	ck_assert_int_eq(watchdog_start(&dog), 0);
	watchdog_arm(&dog);
	ck_assert_int_eq(virtq_call(&ring), REASON(BAD_DOORBELL));
	watchdog_disarm(&dog);
	watchdog_end(&dog);
	close(ring.call);
}
END_TEST

START_TEST(doorbells)
{
	uint64_t count;

	ck_assert_int_eq(virtq_call(&ring), 0);
	ring.call = eventfd(0, EFD_NONBLOCK);
	ck_assert_int_eq(virtq_call(&ring), 1);
	ring.avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	ck_assert_int_eq(virtq_call(&ring), 0);
	ck_assert_int_eq(read(ring.call, &count, 8), 8);
	ck_assert_uint_eq(count, 1);
	/* One that is full has been rung. */
	ring.avail->flags = 0;
	count = UINT64_MAX - 1;
	ck_assert_int_eq(write(ring.call, &count, 8), 8);
	ck_assert_int_eq(virtq_call(&ring), 0);
	close(ring.call);
	virtq_want_kick(&ring, 0);
	ck_assert_uint_eq(ring.used->flags, VRING_USED_F_NO_NOTIFY);
	virtq_want_kick(&ring, 1);
	ck_assert_uint_eq(ring.used->flags, 0);
}
END_TEST

static int
run(Suite *suite)
{
	char *argv[] = { (char *)"test", (char *)"--no-huge",
		(char *)"--no-pci", (char *)"--no-shconf",
		(char *)"--no-telemetry", (char *)"-m", (char *)"64",
		(char *)"--log-level=4" };
	SRunner *sr = srunner_create(suite);
	int failed;

	if (rte_eal_init(RTE_DIM(argv), argv) < 0)
		return 1;
	pool = rte_pktmbuf_pool_create(
		"test", 255, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	if (pool == NULL)
		return 1;
	srunner_set_fork_status(sr, CK_NOFORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	rte_eal_cleanup();
	return failed != 0;
}

int
main(void)
{
	Suite *suite = suite_create("virtq");
	TCase *tc = tcase_create("virtq");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, get_each, 0, RTE_DIM(get_rows));
	tcase_add_loop_test(tc, put_each, 0, RTE_DIM(put_rows));
	tcase_add_test(tc, too_much_available);
	tcase_add_test(tc, indices_wrap);
	tcase_add_test(tc, bursts_wrap);
	tcase_add_loop_test(tc, large_frames_in_a_burst, 0, 2);
	tcase_add_test(tc, odd_frames_in_a_burst);
	tcase_add_test(tc, one_chain_in_many_entries);
	tcase_add_loop_test(tc, steps_of_a_burst, 0, 7);
	tcase_add_test(tc, nothing_to_do);
	tcase_add_test(tc, many_from_the_instance);
	tcase_add_test(tc, many_to_the_instance);
	tcase_add_test(tc, doorbells);
	tcase_add_test(tc, doorbell_that_blocks);
	suite_add_tcase(suite, tc);
	return run(suite);
}
