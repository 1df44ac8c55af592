/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device side of a split virtqueue (VIRTIO 1.1, section 2.6), and its
 * copying: what DMA is to a NIC.
 *
 *   instance               available                  NIC
 *   rx buffers  ---------->  [ring 0]  -- virtq_put -->  fills, used
 *   frames      ---------->  [ring 1]  -- virtq_get -->  copies, used
 *
 * The instance may write anything to its rings at any time. Every number is
 * therefore read once, checked, and used from the copy; addresses must lie
 * within the memory that it has shared; chains are as long as the ring at the
 * most. What is wrong is an enum softnic_vnic_drop, and the ring is then
 * not to be used any more. Nothing is ever read beyond the shared memory.
 *
 * Features: VIRTIO_F_VERSION_1 only (a 12-byte header before each frame, no
 * merged buffers, no indirect descriptors, no offloads).
 */
#ifndef CARRYALL_SOFTNIC_VIRTQ_H
#define CARRYALL_SOFTNIC_VIRTQ_H

#include <linux/virtio_ring.h>
#include <stdint.h>

#include "dataplane/softnic/counters.h"

struct rte_mbuf;

#define VIRTQ_HEADER      12 /* struct virtio_net_hdr_v1 */
#define VIRTQ_REGIONS_MAX 8
#define VIRTQ_BURST_MAX   64

/* Shared memory of an instance: guest address [from, from + size). */
struct virtq_region {
	uint64_t from, size;
	uint8_t *at; /* here */
};

struct virtq_memory {
	uint32_t n;
	struct virtq_region region[VIRTQ_REGIONS_MAX];
};

struct virtq {
	/* the instance's memory */
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	/* ours */
	const struct virtq_memory *memory; /* borrowed */
	uint16_t size; /* a power of two, 32768 at the most */
	uint16_t next; /* the next entry of `avail`, and of `used` */
	int call;      /* eventfd that wakes the instance, or -1 */
	int kick;      /* eventfd by which it wakes us, or -1 */
};

/*
 * How many entries the instance has made available, or -1 - reason (enum
 * softnic_vnic_drop) if that is more than there are. All below: one thread
 * per ring, the NIC's loop.
 */
int virtq_available(const struct virtq *r);

/*
 * Copy the frames of pkts[0..n), n <= VIRTQ_BURST_MAX, each of one segment,
 * into the instance's buffers, as far as there are any. The caller keeps all
 * packets. How many were taken, or -1 - reason. A frame larger than its
 * buffer is taken and counted in *large, and the buffer serves the next one.
 * The entries become visible together; with a reason, none does.
 */
int virtq_put(struct virtq *r, struct rte_mbuf *const *pkts, uint16_t n,
	uint16_t *large);

/*
 * Copy up to n frames that the instance has made available into pkts[0..n),
 * empty packets with SOFTNIC_FRAME_MAX bytes of room, n <= VIRTQ_BURST_MAX.
 * A frame too long or too short is given back with *bad counting it. How
 * many packets were filled, or -1 - reason, and then what is in the packets,
 * their lengths included, is of no meaning.
 */
int virtq_get(struct virtq *r, struct rte_mbuf **pkts, uint16_t n,
	uint64_t bad[SOFTNIC_VNIC_DROPS]);

/*
 * Ring the doorbell if the instance asks for it; 1 if it was rung. After the
 * entries of a round: once, for all of them. It does not block, but the
 * instance can make it do so at any time, for it shares the open file: -1 -
 * SOFTNIC_BAD_DOORBELL when a signal had to end that (watchdog.h).
 */
int virtq_call(const struct virtq *r);

/* Would virtq_call() ring? Then again, if nothing changes meanwhile. */
int virtq_wants_call(const struct virtq *r);

/*
 * Ask for a kick when something becomes available, or not to be kicked. Who
 * asks must look at virtq_available() once more before it sleeps: what came
 * before the asking brings no kick.
 */
void virtq_want_kick(struct virtq *r, int want);

#endif
