/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A front end of vhost-user that can do wrong: it listens as an instance
 * does, shares a memfd with two rings and their buffers, and leaves what is
 * in them to its user. All calls abort when the machine, not the NIC, fails.
 *
 *   offset   0       ring 0 (we receive): desc, avail, used
 *            32 KiB  ring 1 (we transmit)
 *            64 KiB  FRONT_RING buffers of 2 KiB for ring 0, then for ring 1
 */
#ifndef CARRYALL_TEST_FRONT_H
#define CARRYALL_TEST_FRONT_H

#include <errno.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "dataplane/softnic/vhost.h"

#define FRONT_RING   256
#define FRONT_RINGS  (64u << 10)
#define FRONT_BUFFER 2048
#define FRONT_SIZE   (2u << 20)
#define FRONT_GUEST  0x100000000ull

#define FRONT_MUST(x)                                                          \
	do {                                                                   \
		if (!(x)) {                                                    \
			fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, \
				#x, strerror(errno));                          \
			abort();                                               \
		}                                                              \
	} while (0)

struct front_ring {
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t seen; /* of `used` */
	int kick, call;
};

struct front {
	char path[108];
	int listener, fd, memfd;
	uint8_t *mem;
	struct front_ring ring[2];
};

static inline uint64_t
front_buffer(int ring, uint16_t i)
{
	return FRONT_RINGS + (uint64_t)(ring * FRONT_RING + i) * FRONT_BUFFER;
}

/* A new socket under the name, as an instance that was restarted has. */
static inline void
front_listen(struct front *f, const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	snprintf(f->path, sizeof(f->path), "%s", path);
	memcpy(addr.sun_path, f->path, sizeof(addr.sun_path));
	unlink(path);
	f->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	FRONT_MUST(f->listener >= 0);
	FRONT_MUST(bind(f->listener, (void *)&addr, sizeof(addr)) == 0);
	FRONT_MUST(listen(f->listener, 8) == 0);
}

/* Fresh memory and rings, all zero. */
static inline void
front_share(struct front *f)
{
	f->memfd = memfd_create("front", MFD_CLOEXEC);
	FRONT_MUST(f->memfd >= 0 && ftruncate(f->memfd, FRONT_SIZE) == 0);
	f->mem = mmap(NULL, FRONT_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
		f->memfd, 0);
	FRONT_MUST(f->mem != MAP_FAILED);
	for (int i = 0; i < 2; i++) {
		uint8_t *at = f->mem + i * (FRONT_RINGS / 2);

		f->ring[i] = (struct front_ring){ .desc = (void *)at,
			.avail = (void *)(at + 8192),
			.used = (void *)(at + 16384),
			.kick = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
			.call = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC) };
	}
}

static inline void
front_unshare(struct front *f)
{
	close(f->memfd);
	munmap(f->mem, FRONT_SIZE);
	for (int i = 0; i < 2; i++) {
		close(f->ring[i].kick);
		close(f->ring[i].call);
	}
}

static inline void
front_open(struct front *f, const char *path)
{
	f->fd = -1;
	front_share(f);
	front_listen(f, path);
}

static inline void
front_hang_up(struct front *f)
{
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
}

static inline void
front_close(struct front *f)
{
	front_hang_up(f);
	close(f->listener);
	unlink(f->path);
	front_unshare(f);
}

/* False if nobody connects in time. */
static inline bool
front_accept(struct front *f, int timeout_ms)
{
	struct pollfd p = { .fd = f->listener, .events = POLLIN };

	front_hang_up(f);
	if (poll(&p, 1, timeout_ms) != 1)
		return false;
	f->fd = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC);
	FRONT_MUST(f->fd >= 0);
	return true;
}

/* True if the NIC hangs up in time. */
static inline bool
front_is_left(struct front *f, int timeout_ms)
{
	struct pollfd p = { .fd = f->fd, .events = POLLRDHUP };

	return poll(&p, 1, timeout_ms) == 1 &&
	       (p.revents & (POLLRDHUP | POLLHUP));
}

/* bytes[0..n) with descriptors; an NIC that has hung up is no matter. */
static inline void
front_send(struct front *f, const void *bytes, size_t n, const int *fds,
	uint32_t n_fds)
{
	char control[CMSG_SPACE(16 * sizeof(int))] __attribute__((aligned(8)));
	struct iovec iov = { (void *)(uintptr_t)bytes, n };
	struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };

	memset(control, 0, sizeof(control));
	if (n_fds > 0) {
		struct cmsghdr *c = (struct cmsghdr *)control;

		hdr.msg_control = control;
		hdr.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
	}
	if (sendmsg(f->fd, &hdr, MSG_NOSIGNAL) < 0)
		FRONT_MUST(errno == EPIPE || errno == ECONNRESET);
}

static inline void
front_say(struct front *f, struct vhost_message *m, uint32_t request,
	uint32_t size, const int *fds, uint32_t n_fds)
{
	m->request = request;
	m->flags = VHOST_FLAGS;
	m->size = size;
	front_send(f, m, VHOST_HEADER + size, fds, n_fds);
}

static inline void
front_say_u64(struct front *f, uint32_t request, uint64_t value, int fd)
{
	struct vhost_message m = { .u64 = value };

	front_say(f, &m, request, 8, &fd, fd >= 0);
}

static inline void
front_say_state(struct front *f, uint32_t request, uint32_t i, uint32_t num)
{
	struct vhost_message m = { .state = { i, num } };

	front_say(f, &m, request, 8, NULL, 0);
}

/* The number that the NIC answers, or ~0 if it hangs up. */
static inline uint64_t
front_ask(struct front *f, uint32_t request)
{
	struct vhost_message m = { 0 };
	ssize_t n;

	front_say(f, &m, request, 0, NULL, 0);
	n = recv(f->fd, &m, VHOST_HEADER + 8, MSG_WAITALL);
	return n == VHOST_HEADER + 8 ? m.u64 : ~0ull;
}

static inline void
front_say_memory(struct front *f)
{
	struct vhost_message m = { .memory = { .n = 1 } };

	m.memory.region[0].guest = FRONT_GUEST;
	m.memory.region[0].user = (uintptr_t)f->mem;
	m.memory.region[0].size = FRONT_SIZE;
	front_say(f, &m, VHOST_SET_MEM_TABLE, 40, &f->memfd, 1);
}

static inline void
front_say_ring(struct front *f, uint32_t i)
{
	struct front_ring *r = &f->ring[i];
	struct vhost_message m = { .addr = { .index = i,
					   .desc = (uintptr_t)r->desc,
					   .used = (uintptr_t)r->used,
					   .avail = (uintptr_t)r->avail } };

	front_say_state(f, VHOST_SET_VRING_NUM, i, FRONT_RING);
	front_say_state(f, VHOST_SET_VRING_BASE, i, 0);
	front_say(f, &m, VHOST_SET_VRING_ADDR, 40, NULL, 0);
	front_say_u64(f, VHOST_SET_VRING_CALL, i, r->call);
	front_say_u64(f, VHOST_SET_VRING_KICK, i, r->kick);
}

/* All that an instance says; false if the NIC hangs up meanwhile. */
static inline bool
front_greet(struct front *f)
{
	uint64_t features = front_ask(f, VHOST_GET_FEATURES);
	struct vhost_message m = { 0 };

	if (features == ~0ull)
		return false;
	front_say(f, &m, VHOST_SET_OWNER, 0, NULL, 0);
	front_say_u64(f, VHOST_SET_FEATURES, features, -1);
	front_say_memory(f);
	for (uint32_t i = 0; i < 2; i++)
		front_say_ring(f, i);
	for (uint32_t i = 0; i < 2; i++)
		front_say_state(f, VHOST_SET_VRING_ENABLE, i, 1);
	return front_ask(f, VHOST_GET_QUEUE_NUM) != ~0ull;
}

/* --- rings --------------------------------------------------------------- */

/* Make descriptor `head` available, and kick. */
static inline void
front_offer(struct front *f, int ring, uint16_t head)
{
	struct front_ring *r = &f->ring[ring];
	const uint64_t one = 1;
	uint16_t idx = r->avail->idx;

	r->avail->ring[idx % FRONT_RING] = head;
	__atomic_store_n(&r->avail->idx, (uint16_t)(idx + 1), __ATOMIC_RELEASE);
	FRONT_MUST(write(r->kick, &one, sizeof(one)) == sizeof(one) ||
		   errno == EAGAIN);
}

static inline struct vring_desc *
front_desc(struct front *f, int ring, uint16_t i, uint32_t len)
{
	f->ring[ring].desc[i] = (struct vring_desc){
		.addr = FRONT_GUEST + front_buffer(ring, i),
		.len = len,
		.flags = ring == 0 ? VRING_DESC_F_WRITE : 0,
	};
	return &f->ring[ring].desc[i];
}

/* Give the NIC all buffers to fill. */
static inline void
front_offer_buffers(struct front *f)
{
	for (uint16_t i = 0; i < FRONT_RING; i++) {
		front_desc(f, 0, i, FRONT_BUFFER);
		front_offer(f, 0, i);
	}
}

/* The next used entry of a ring: 1, or 0 if there is none. */
static inline int
front_used(struct front *f, int ring, struct vring_used_elem *e)
{
	struct front_ring *r = &f->ring[ring];

	if (__atomic_load_n(&r->used->idx, __ATOMIC_ACQUIRE) == r->seen)
		return 0;
	*e = r->used->ring[r->seen++ % FRONT_RING];
	return 1;
}

#endif
