/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A hostile instance: rings and shared memory with anything in them, both
 * ways through them. Rings, regions and packets are blocks of just their
 * size, so that each byte touched beyond them is seen.
 *
 * Input: log2 of the ring's size, where it is, then steps until the input
 * ends, each of a byte that says what is done:
 *   bit 0  a burst is put into the ring, else got from it
 *   bit 1  descriptors are written before: a count, then 8 bytes each
 *   bit 2  heads are made available before: a count, then a byte each
 *   bit 3  the index is set before, to any value
 * A descriptor is flags, next, where (0 .. 3: a region's start or end, else
 * anywhere), and three bytes of an offset and two of a length.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <rte_mbuf.h>

#include "dataplane/softnic/virtq.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BURST  16
#define REGION 3000

static struct virtq_memory memory;
static struct virtq ring;
static struct rte_mbuf *pkts[BURST];

struct input {
	const uint8_t *data;
	size_t size;
};

static uint8_t
take(struct input *in)
{
	if (in->size == 0)
		return 0;
	in->size--;
	return *in->data++;
}

static uint16_t
take16(struct input *in)
{
	uint16_t low = take(in);

	return (uint16_t)(low | take(in) << 8);
}

static void
make(struct input *in)
{
	ring = (struct virtq){ .memory = &memory,
		.size = (uint16_t)(1u << (take(in) & 7)),
		.call = -1,
		.kick = -1 };
	ring.next = take16(in);
	ring.desc = calloc(ring.size, sizeof(*ring.desc));
	ring.avail = calloc(1, sizeof(*ring.avail) + 2u * ring.size);
	ring.used = calloc(1, sizeof(*ring.used) + 8u * ring.size);
	ring.avail->idx = ring.next;
	memory.n = 2;
	for (uint32_t i = 0; i < memory.n; i++)
		memory.region[i] = (struct virtq_region){ .size = REGION,
			.from = 0x10000 + i * REGION,
			.at = calloc(1, REGION) };
	for (int i = 0; i < BURST; i++) {
		pkts[i] = calloc(1, sizeof(struct rte_mbuf));
		pkts[i]->buf_addr = calloc(1, SOFTNIC_FRAME_MAX);
	}
}

static void
unmake(void)
{
	free(ring.desc);
	free(ring.avail);
	free(ring.used);
	for (uint32_t i = 0; i < memory.n; i++)
		free(memory.region[i].at);
	for (int i = 0; i < BURST; i++) {
		free(pkts[i]->buf_addr);
		free(pkts[i]);
	}
}

static void
descriptor(struct input *in, struct vring_desc *d)
{
	uint8_t flags = take(in), next = take(in), where = take(in);
	uint32_t offset = take16(in) | (uint32_t)take(in) << 16;

	d->flags = flags & 0x80 ? flags : flags & 3;
	d->next = next & 0x80 ? next : next & (ring.size - 1);
	d->len = take16(in);
	if (where < 2)
		d->addr = memory.region[where].from + offset;
	else if (where < 4)
		d->addr = memory.region[where - 2].from + REGION - offset;
	else
		d->addr = (uint64_t)where << 56 | offset;
}

static void
check(int rc, uint16_t before, int frames)
{
	uint16_t used = (uint16_t)(ring.used->idx - before);

	if (rc > BURST || rc <= -1 - SOFTNIC_VNIC_DROPS)
		abort();
	if (used > (rc < 0 ? 0 : BURST) || used > ring.size)
		abort();
	for (int i = 0; frames && i < rc; i++)
		if (pkts[i]->data_len < 14 ||
			pkts[i]->data_len > SOFTNIC_FRAME_MAX ||
			pkts[i]->pkt_len != pkts[i]->data_len)
			abort();
}

/* 0 when the ring is broken. */
static int
step(struct input *in)
{
	uint64_t bad[SOFTNIC_VNIC_DROPS] = { 0 };
	uint8_t what = take(in);
	uint16_t before = ring.used->idx, large = 0;
	int rc;

	if (what & 2)
		for (uint8_t n = take(in) & 15; n > 0; n--)
			descriptor(in, &ring.desc[take(in) & (ring.size - 1)]);
	if (what & 4)
		for (uint8_t n = take(in) & 15; n > 0; n--)
			ring.avail->ring[ring.avail->idx++ & (ring.size - 1)] =
				take(in) % (ring.size + 1);
	if (what & 8)
		ring.avail->idx = take16(in);
	if (what & 1) {
		for (int i = 0; i < BURST; i++)
			pkts[i]->data_len = take16(in) % SOFTNIC_FRAME_MAX;
		rc = virtq_put(&ring, pkts, BURST, &large);
	} else {
		rc = virtq_get(&ring, pkts, BURST, bad);
	}
	check(rc, before, !(what & 1));
	return rc >= 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };

	make(&in);
	ring.used->idx = ring.next;
	while (in.size > 0 && step(&in))
		;
	unmake();
	return 0;
}
