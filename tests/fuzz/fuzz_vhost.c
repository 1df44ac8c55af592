/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an instance may say over its socket, in messages whole or cut, with
 * descriptors of every kind. After each input no descriptor is left.
 *
 * Input: steps of two bytes and a message. The first: how many descriptors
 * (bits 0-3) come with it and of which kind (bits 4-7); the second: bit 7, the
 * bytes after are sent as they are, up to 64 of them; else it is the request,
 * and a sound header with a payload of 8, 40 or 264 bytes is put before them.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/softnic/fault.h"
#include "dataplane/softnic/vhost.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MEMORY 65536

static int memfd, event, null;
static uint32_t lost;

static void
init(void)
{
	memfd = memfd_create("fuzz", MFD_CLOEXEC);
	event = eventfd(0, EFD_NONBLOCK);
	null = open("/dev/null", O_RDWR);
	if (memfd < 0 || event < 0 || null < 0 ||
		ftruncate(memfd, MEMORY) != 0 || fault_init() != 0)
		abort();
}

static void
stop(void *ctx)
{
	(void)ctx;
}

static void
say(int fd, const void *bytes, size_t n, uint8_t rights)
{
	char control[CMSG_SPACE(15 * sizeof(int))] __attribute__((aligned(8)));
	struct iovec iov = { (void *)(uintptr_t)bytes, n };
	struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c = (struct cmsghdr *)control;
	uint32_t n_fds = rights & 15;
	int fds[15];

	for (uint32_t i = 0; i < n_fds; i++)
		fds[i] = rights & 0x80 ? null : rights & 0x40 ? event : memfd;
	if (n_fds > 0) {
		hdr.msg_control = control;
		hdr.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
	}
	if (sendmsg(fd, &hdr, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return;
}

/* One step's bytes; how many of the input they were. */
static size_t
step(int fd, const uint8_t *data, size_t size)
{
	static const uint32_t sizes[] = { 8, 8, 40, VHOST_PAYLOAD };
	struct vhost_message m = { .flags = VHOST_FLAGS };
	uint8_t rights = data[0], what = data[1];
	size_t n = size - 2 < 64 ? size - 2 : 64;

	if (what & 0x80) {
		say(fd, data + 2, n, rights);
		return 2 + n;
	}
	m.request = what & 31;
	m.size = sizes[what >> 5];
	n = size - 2 < m.size ? size - 2 : m.size;
	memcpy(m.bytes, data + 2, n);
	say(fd, &m, VHOST_HEADER + m.size, rights);
	return 2 + n;
}

/* Rings that are said to be good must be there from end to end. */
static void
touch(const struct vhost *v)
{
	struct virtq_memory memory;
	struct virtq q[2];

	if (vhost_rings(v, &q[0], &q[1], &memory) != 1)
		return;
	for (int i = 0; i < 2; i++) {
		volatile uint8_t *desc = (uint8_t *)q[i].desc;
		volatile uint8_t *avail = (uint8_t *)q[i].avail;
		volatile uint8_t *used = (uint8_t *)q[i].used;

		(void)desc[16u * q[i].size - 1];
		(void)avail[4 + 2u * q[i].size - 1];
		used[4 + 8u * q[i].size - 1] = 0;
	}
}

static int
lowest_free(void)
{
	int fd = dup(null);

	close(fd);
	return fd;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int pair[2], free_before, hold, rc = 0;
	struct vhost v;
	char reply[64];

	if (memfd == 0)
		init();
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) != 0)
		abort();
	free_before = lowest_free();
	vhost_init(&v, pair[0], &lost, stop, NULL);
	while (size > 2 && rc == 0) {
		size_t n = step(pair[1], data, size);

		data += n;
		size -= n;
		for (int i = 0; i < 8 && rc == 0; i++)
			rc = vhost_read(&v);
		if (rc == 0)
			touch(&v);
		while (recv(pair[1], reply, sizeof(reply), MSG_DONTWAIT) > 0)
			;
	}
	vhost_fini(&v);
	/* In the place of pair[0], so that the next free one is as before. */
	hold = dup(null);
	if (lowest_free() != free_before)
		abort();
	close(hold);
	close(pair[1]);
	return 0;
}
