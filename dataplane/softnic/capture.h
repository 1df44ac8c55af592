/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Copies of frames for whoever looks, in a ring in shared memory: the NIC
 * writes, one reader at a time takes.
 *
 *    file:  | struct capture_ring | bytes[size] |
 *
 *    bytes: | header | frame | pad to 8 | header | frame | pad | ...
 *               ^ taken % size                       ^ given % size
 *
 * A record may begin near the end of the bytes and go on at their start.
 * When there is no room the copy is not made, and counted: a slow reader
 * loses copies, never anybody a frame. Which VNICs' frames are copied is
 * said by softnic_stats.capture.
 */
#ifndef CARRYALL_SOFTNIC_CAPTURE_H
#define CARRYALL_SOFTNIC_CAPTURE_H

#include <stddef.h>
#include <stdint.h>

#include "dataplane/softnic/counters.h"

#define CAPTURE_MAGIC   0x50414353u /* "SCAP" */
#define CAPTURE_VERSION 1

/* Bytes of the ring: a power of two. */
#define CAPTURE_BYTES (4u << 20)

/* What became of a frame: an enum softnic_vnic_drop, or of steer_tx_drop. */
#define CAPTURE_PASSED     (-1)
#define CAPTURE_TX(reason) (SOFTNIC_VNIC_DROPS + (int)(reason))

/* Ahead of each frame. */
struct capture_header {
	uint64_t time_ns; /* CLOCK_MONOTONIC */
	uint32_t vnic;
	uint32_t length;    /* of the frame, all of which is copied */
	int32_t drop;       /* CAPTURE_*, or a reason */
	uint32_t from_vnic; /* 1: sent by the instance */
};

struct capture_ring {
	uint32_t magic, version;
	uint64_t size; /* CAPTURE_BYTES */
	/* the NIC's */
	uint64_t given __attribute__((aligned(64))); /* bytes so far */
	uint64_t lost;                               /* copies not made */
	/* the reader's */
	uint64_t taken __attribute__((aligned(64)));
	uint8_t bytes[] __attribute__((aligned(64)));
};

#define CAPTURE_FILE_SIZE (sizeof(struct capture_ring) + CAPTURE_BYTES)

/* Make the ring in a file of CAPTURE_FILE_SIZE zeroes. Thread: control. */
void capture_init(struct capture_ring *r);

/* Is it one? Thread: any. */
int capture_check(const struct capture_ring *r);

/* Copy a frame of head->length bytes, or count it. Thread: the loop. */
void capture_put(struct capture_ring *r, const struct capture_header *head,
	const void *frame);

/*
 * Take the oldest copy: the header, and the frame into frame[0..room), cut
 * where that is shorter. 1, or 0 if there is none; -1 if what is there is no
 * record, and then the ring is empty again. Thread: the reader.
 */
int capture_get(struct capture_ring *r, struct capture_header *head,
	void *frame, size_t room);

/* Forget what is there, before a new reader begins. Thread: the reader. */
void capture_flush(struct capture_ring *r);

#endif
