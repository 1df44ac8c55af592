/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One instance's end of vhost-user, the protocol by which it shares memory
 * and rings with us (QEMU's docs/interop/vhost-user.rst; we are the back
 * end).
 *
 * Own code, and not DPDK's vhost library, since that is made for front ends
 * that mean well: it reads from a blocking socket in one thread for all, it
 * unmaps memory that is in use, and on its ways out it leaves descriptors
 * open. Here nothing blocks, a message counts when all of it is there, and
 * whatever came with it is closed on each way out.
 */
#ifndef CARRYALL_SOFTNIC_VHOST_H
#define CARRYALL_SOFTNIC_VHOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/softnic/virtq.h"

#define VHOST_RINGS    2    /* 0: the instance receives, 1: it transmits */
#define VHOST_RING_MAX 4096 /* entries; bounds what a burst may walk */
#define VHOST_PAYLOAD  264  /* the longest: a table of 8 regions */

/* A message, packed as on the wire. */
struct vhost_message {
	uint32_t request, flags, size;
	union {
		uint64_t u64;
		struct {
			uint32_t index, num;
		} state;
		struct {
			uint32_t index, flags;
			uint64_t desc, used, avail, log;
		} addr;
		struct {
			uint32_t n, pad;
			struct {
				uint64_t guest, size, user, offset;
			} region[VIRTQ_REGIONS_MAX];
		} memory;
		uint8_t bytes[VHOST_PAYLOAD];
	};
} __attribute__((packed, aligned(4)));

#define VHOST_HEADER 12

_Static_assert(
	offsetof(struct vhost_message, u64) == VHOST_HEADER &&
		sizeof(struct vhost_message) == VHOST_HEADER + VHOST_PAYLOAD,
	"as on the wire");

enum vhost_request {
	VHOST_GET_FEATURES = 1,
	VHOST_SET_FEATURES = 2,
	VHOST_SET_OWNER = 3,
	VHOST_RESET_OWNER = 4,
	VHOST_SET_MEM_TABLE = 5,
	VHOST_SET_VRING_NUM = 8,
	VHOST_SET_VRING_ADDR = 9,
	VHOST_SET_VRING_BASE = 10,
	VHOST_GET_VRING_BASE = 11,
	VHOST_SET_VRING_KICK = 12,
	VHOST_SET_VRING_CALL = 13,
	VHOST_SET_VRING_ERR = 14,
	VHOST_GET_PROTOCOL_FEATURES = 15,
	VHOST_SET_PROTOCOL_FEATURES = 16,
	VHOST_GET_QUEUE_NUM = 17,
	VHOST_SET_VRING_ENABLE = 18,
};

#define VHOST_FLAGS    0x1u /* version */
#define VHOST_REPLY    0x4u
#define VHOST_NO_FD    0x100u
#define VHOST_FEATURES (1ull << 32 | 1ull << 30 | 1ull << 27)
#define VHOST_F_MODERN (1ull << 32) /* VIRTIO_F_VERSION_1 */
#define VHOST_F_ENABLE (1ull << 30) /* VHOST_USER_F_PROTOCOL_FEATURES */

struct vhost_region {
	uint64_t guest, user, size;
	uint8_t *at;  /* of the region */
	uint8_t *map; /* what has been mapped for it */
	size_t map_size;
};

struct vhost_ring {
	uint64_t desc, avail, used; /* the instance's own addresses */
	uint16_t size;
	uint16_t base;
	bool placed, started, enabled;
	int kick, call;
};

/*
 * `stop` is called before anything that rings in use depend on changes: when
 * it returns, nobody uses them any more, and it has noted in ring[].base
 * where they are.
 */
struct vhost {
	int fd;
	uint32_t *lost; /* becomes 1 when shared memory is gone */
	void (*stop)(void *ctx);
	void *ctx;

	uint64_t features;
	uint32_t n_regions;
	struct vhost_region region[VIRTQ_REGIONS_MAX];
	struct vhost_ring ring[VHOST_RINGS];

	/* the message that is coming */
	struct vhost_message msg;
	uint32_t have; /* bytes */
	int fds[VIRTQ_REGIONS_MAX];
	uint32_t n_fds;
};

/*
 * Begin with `fd`, connected and not blocking; it is the connection's from
 * now on. All of these: one thread.
 */
void vhost_init(struct vhost *v, int fd, uint32_t *lost,
	void (*stop)(void *ctx), void *ctx);

/*
 * Read what is there, one message at the most. 0; or -errno when the
 * connection is to end: -ECONNRESET if the instance has closed it, else it
 * has broken the protocol.
 */
int vhost_read(struct vhost *v);

/*
 * The rings, if both are ready and lie in shared memory: 1 with *to, *from
 * and *memory (which they borrow); 0 if they are not ready; -EINVAL if they
 * never will be.
 */
int vhost_rings(const struct vhost *v, struct virtq *to, struct virtq *from,
	struct virtq_memory *memory);

/* Stop, unmap and close everything. */
void vhost_fini(struct vhost *v);

#endif
