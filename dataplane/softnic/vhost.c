/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/softnic/vhost.h"

#include <errno.h>
#include <linux/magic.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "dataplane/softnic/fault.h"

/* What one instance may share in all; addresses are cheap, tables are not. */
#define MEMORY_MAX (64ull << 30)

/* --- descriptors --------------------------------------------------------- */

static void
fd_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void
fds_close(struct vhost *v)
{
	for (uint32_t i = 0; i < v->n_fds; i++)
		fd_close(&v->fds[i]);
	v->n_fds = 0;
}

/*
 * Only eventfds are rung and waited for: anything else could block us, or do
 * whatever writing to it does.
 */
static bool
is_eventfd(int fd)
{
	static const char want[] = "anon_inode:[eventfd]";
	char path[32], name[sizeof(want)];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return readlink(path, name, sizeof(name)) == sizeof(want) - 1 &&
	       memcmp(name, want, sizeof(want) - 1) == 0;
}

/* Take the message's eventfd, or none if it says so. */
static int
eventfd_take(struct vhost *v, int *out)
{
	bool none = v->msg.u64 & VHOST_NO_FD;
	int fd;

	if (v->n_fds != (none ? 0 : 1))
		return -EPROTO;
	if (!none) {
		fd = v->fds[0];
		if (!is_eventfd(fd) || fcntl(fd, F_SETFL, O_NONBLOCK) != 0)
			return -EPROTO;
		v->n_fds = 0;
	}
	fd_close(out);
	*out = none ? -1 : fd;
	return 0;
}

/* --- memory -------------------------------------------------------------- */

static void
regions_unmap(struct vhost *v)
{
	for (uint32_t i = 0; i < v->n_regions; i++) {
		fault_forget(v->region[i].map);
		munmap(v->region[i].map, v->region[i].map_size);
	}
	v->n_regions = 0;
}

static bool
overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a < b + b_size && b < a + a_size;
}

/* Is region i of the table within bounds, and apart from those before? */
static bool
region_is_sound(const struct vhost_message *m, uint32_t i)
{
	uint64_t guest = m->memory.region[i].guest;
	uint64_t user = m->memory.region[i].user;
	uint64_t size = m->memory.region[i].size;
	uint64_t offset = m->memory.region[i].offset;

	if (size == 0 || size > MEMORY_MAX || offset > MEMORY_MAX ||
		guest > UINT64_MAX - size || user > UINT64_MAX - size)
		return false;
	for (uint32_t j = 0; j < i; j++)
		if (overlap(guest, size, m->memory.region[j].guest,
			    m->memory.region[j].size) ||
			overlap(user, size, m->memory.region[j].user,
				m->memory.region[j].size))
			return false;
	return true;
}

/*
 * Map from the file's start, since an offset need not be a multiple of its
 * page size, and to a multiple of that, which huge pages ask for.
 */
static int
region_map(struct vhost *v, uint32_t i)
{
	uint64_t offset = v->msg.memory.region[i].offset;
	struct vhost_region *r = &v->region[v->n_regions];
	struct statfs fs;
	struct stat st;

	r->guest = v->msg.memory.region[i].guest;
	r->user = v->msg.memory.region[i].user;
	r->size = v->msg.memory.region[i].size;
	if (fstat(v->fds[i], &st) != 0 || !S_ISREG(st.st_mode) ||
		st.st_blksize <= 0 || (uint64_t)st.st_size < offset + r->size)
		return -EINVAL;
	/* A page that is on a disk would make the loop wait for it. */
	if (fstatfs(v->fds[i], &fs) != 0 ||
		(fs.f_type != TMPFS_MAGIC && fs.f_type != HUGETLBFS_MAGIC))
		return -EINVAL;
	r->map_size = offset + r->size + (uint64_t)st.st_blksize - 1;
	r->map_size -= r->map_size % (uint64_t)st.st_blksize;
	r->map = mmap(NULL, r->map_size, PROT_READ | PROT_WRITE, MAP_SHARED,
		v->fds[i], 0);
	if (r->map == MAP_FAILED)
		return -errno;
	if (fault_watch(r->map, r->map_size, v->lost) != 0) {
		munmap(r->map, r->map_size);
		return -ENOSPC;
	}
	r->at = r->map + offset;
	v->n_regions++;
	return 0;
}

static int
set_memory(struct vhost *v)
{
	uint32_t n = v->msg.memory.n;
	uint64_t sum = 0;
	int rc = 0;

	if (n < 1 || n > VIRTQ_REGIONS_MAX || n != v->n_fds ||
		v->msg.size < 8 + n * sizeof(v->msg.memory.region[0]))
		return -EPROTO;
	for (uint32_t i = 0; i < n; i++) {
		sum += v->msg.memory.region[i].size;
		if (!region_is_sound(&v->msg, i) || sum > MEMORY_MAX)
			return -EINVAL;
	}
	regions_unmap(v);
	for (uint32_t i = 0; i < n && rc == 0; i++)
		rc = region_map(v, i);
	return rc;
}

/* --- rings --------------------------------------------------------------- */

/* Ring `index` is stopped. */
static void
ring_stop(struct vhost_ring *r)
{
	r->started = false;
	fd_close(&r->kick);
	fd_close(&r->call);
}

static int
set_size(struct vhost_ring *r, uint32_t n)
{
	if (n < 1 || n > VHOST_RING_MAX || (n & (n - 1)) != 0)
		return -EINVAL;
	r->size = (uint16_t)n;
	return 0;
}

static int
set_addr(struct vhost *v, struct vhost_ring *r)
{
	if (v->msg.addr.flags != 0)
		return -EINVAL;
	r->desc = v->msg.addr.desc;
	r->avail = v->msg.addr.avail;
	r->used = v->msg.addr.used;
	r->placed = true;
	return 0;
}

static int
set_kick(struct vhost *v, struct vhost_ring *r)
{
	int rc = eventfd_take(v, &r->kick);

	if (rc != 0)
		return rc;
	r->started = true;
	if (!(v->features & VHOST_F_ENABLE))
		r->enabled = true;
	return 0;
}

/* Where [user, user + size) is here, or NULL. */
static void *
user_at(const struct vhost *v, uint64_t user, uint64_t size, uint64_t align)
{
	for (uint32_t i = 0; i < v->n_regions; i++) {
		const struct vhost_region *r = &v->region[i];
		uint64_t offset = user - r->user;

		if (offset >= r->size || size > r->size - offset)
			continue;
		return (uintptr_t)(r->at + offset) % align == 0 ? r->at + offset
								: NULL;
	}
	return NULL;
}

static int
ring_place(const struct vhost *v, const struct vhost_ring *r, struct virtq *q,
	const struct virtq_memory *memory)
{
	q->desc = user_at(v, r->desc, 16ull * r->size, 16);
	q->avail = user_at(v, r->avail, 4 + 2ull * r->size, 2);
	q->used = user_at(v, r->used, 4 + 8ull * r->size, 4);
	if (q->desc == NULL || q->avail == NULL || q->used == NULL)
		return -EINVAL;
	q->memory = memory;
	q->size = r->size;
	/*
	 * Not the base that it has been told: one that we have been attached
	 * to before, perhaps as another process, says 0 whatever the ring
	 * is at. Entries are used in order, so this is where we are.
	 */
	q->next = __atomic_load_n(&q->used->idx, __ATOMIC_ACQUIRE);
	q->call = r->call;
	q->kick = r->kick;
	return 0;
}

int
vhost_rings(const struct vhost *v, struct virtq *to, struct virtq *from,
	struct virtq_memory *memory)
{
	int rc;

	for (int i = 0; i < VHOST_RINGS; i++)
		if (!v->ring[i].started || !v->ring[i].enabled)
			return 0;
	if (v->n_regions == 0 || !(v->features & VHOST_F_MODERN))
		return -EINVAL;
	for (int i = 0; i < VHOST_RINGS; i++)
		if (!v->ring[i].placed || v->ring[i].size == 0)
			return -EINVAL;
	memory->n = v->n_regions;
	for (uint32_t i = 0; i < v->n_regions; i++)
		memory->region[i] =
			(struct virtq_region){ .from = v->region[i].guest,
				.size = v->region[i].size,
				.at = v->region[i].at };
	rc = ring_place(v, &v->ring[0], to, memory);
	if (rc == 0)
		rc = ring_place(v, &v->ring[1], from, memory);
	return rc == 0 ? 1 : rc;
}

/* --- messages ------------------------------------------------------------ */

/* A front end that does not read its replies is let go, not waited for. */
static int
reply(struct vhost *v, uint32_t size)
{
	size_t n = VHOST_HEADER + size;

	v->msg.flags = VHOST_FLAGS | VHOST_REPLY;
	v->msg.size = size;
	if (send(v->fd, &v->msg, n, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)n)
		return -ECONNRESET;
	return 0;
}

static int
reply_u64(struct vhost *v, uint64_t value)
{
	v->msg.u64 = value;
	return reply(v, sizeof(value));
}

static int
set_features(struct vhost *v)
{
	if (v->msg.u64 & ~VHOST_FEATURES)
		return -EINVAL;
	v->features = v->msg.u64;
	return 0;
}

static int
get_base(struct vhost *v, struct vhost_ring *r)
{
	ring_stop(r);
	v->msg.state.num = r->base;
	return reply(v, sizeof(v->msg.state));
}

/* The payload that a request must have at least. */
static uint32_t
least_size(uint32_t request)
{
	switch (request) {
	case VHOST_GET_FEATURES:
	case VHOST_SET_OWNER:
	case VHOST_RESET_OWNER:
	case VHOST_GET_PROTOCOL_FEATURES:
	case VHOST_GET_QUEUE_NUM:
		return 0;
	case VHOST_SET_VRING_ADDR:
		return sizeof(((struct vhost_message *)0)->addr);
	default:
		return 8;
	}
}

/* Those about one ring, which all begin with its number. */
static int
ring_message(struct vhost *v)
{
	uint32_t i = v->msg.state.index;
	struct vhost_ring *r;

	if (v->msg.request >= VHOST_SET_VRING_KICK &&
		v->msg.request <= VHOST_SET_VRING_ERR)
		i &= 0xff;
	if (i >= VHOST_RINGS)
		return -EINVAL;
	r = &v->ring[i];
	switch (v->msg.request) {
	case VHOST_SET_VRING_NUM:
		return set_size(r, v->msg.state.num);
	case VHOST_SET_VRING_ADDR:
		return set_addr(v, r);
	case VHOST_SET_VRING_BASE:
		r->base = (uint16_t)v->msg.state.num;
		return 0;
	case VHOST_GET_VRING_BASE:
		return get_base(v, r);
	case VHOST_SET_VRING_KICK:
		return set_kick(v, r);
	case VHOST_SET_VRING_CALL:
		return eventfd_take(v, &r->call);
	case VHOST_SET_VRING_ENABLE:
		r->enabled = v->msg.state.num != 0;
		return 0;
	case VHOST_SET_VRING_ERR:
		return 0;
	default:
		return -EPROTO;
	}
}

static int
handle(struct vhost *v)
{
	if (v->msg.size < least_size(v->msg.request))
		return -EPROTO;
	switch (v->msg.request) {
	case VHOST_GET_FEATURES:
		return reply_u64(v, VHOST_FEATURES);
	case VHOST_GET_PROTOCOL_FEATURES:
		return reply_u64(v, 0);
	case VHOST_GET_QUEUE_NUM:
		return reply_u64(v, 1);
	case VHOST_SET_PROTOCOL_FEATURES:
		return v->msg.u64 == 0 ? 0 : -EINVAL;
	case VHOST_SET_OWNER:
		return 0;
	default:
		break;
	}
	/* All others change what the rings in use are, or end them. */
	v->stop(v->ctx);
	switch (v->msg.request) {
	case VHOST_SET_FEATURES:
		return set_features(v);
	case VHOST_SET_MEM_TABLE:
		return set_memory(v);
	case VHOST_RESET_OWNER:
		ring_stop(&v->ring[0]);
		ring_stop(&v->ring[1]);
		return 0;
	default:
		return ring_message(v);
	}
}

/* --- reading ------------------------------------------------------------- */

static int
rights_take(struct vhost *v, struct msghdr *hdr)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(hdr); c != NULL;
		c = CMSG_NXTHDR(hdr, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			if (v->n_fds < VIRTQ_REGIONS_MAX)
				v->fds[v->n_fds++] = fd;
			else
				close(fd);
		}
	}
	return hdr->msg_flags & MSG_CTRUNC ? -EPROTO : 0;
}

/* Up to `want` bytes of the message: 0 when more must come, or -errno. */
static int
fill(struct vhost *v, uint32_t want)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(VIRTQ_REGIONS_MAX * sizeof(int))];
	} control;
	struct iovec iov = { (char *)&v->msg + v->have, want - v->have };
	struct msghdr hdr = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes) };
	ssize_t n = recvmsg(v->fd, &hdr, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n == 0)
		return -ECONNRESET;
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -ECONNRESET;
	v->have += (uint32_t)n;
	return rights_take(v, &hdr);
}

int
vhost_read(struct vhost *v)
{
	int rc = 0;

	if (v->have < VHOST_HEADER)
		rc = fill(v, VHOST_HEADER);
	if (rc != 0 || v->have < VHOST_HEADER)
		return rc;
	if (v->msg.size > VHOST_PAYLOAD || (v->msg.flags & 3) != VHOST_FLAGS)
		return -EPROTO;
	if (v->have < VHOST_HEADER + v->msg.size)
		rc = fill(v, VHOST_HEADER + v->msg.size);
	if (rc != 0 || v->have < VHOST_HEADER + v->msg.size)
		return rc;
	rc = handle(v);
	v->have = 0;
	fds_close(v);
	return rc;
}

/* --- life-cycle ---------------------------------------------------------- */

void
vhost_init(struct vhost *v, int fd, uint32_t *lost, void (*stop)(void *ctx),
	void *ctx)
{
	memset(v, 0, sizeof(*v));
	v->fd = fd;
	v->lost = lost;
	v->stop = stop;
	v->ctx = ctx;
	for (int i = 0; i < VHOST_RINGS; i++)
		v->ring[i].kick = v->ring[i].call = -1;
}

void
vhost_fini(struct vhost *v)
{
	v->stop(v->ctx);
	for (int i = 0; i < VHOST_RINGS; i++)
		ring_stop(&v->ring[i]);
	regions_unmap(v);
	fds_close(v);
	fd_close(&v->fd);
}
