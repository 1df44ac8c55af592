/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/lib/wire.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <linux/if_xdp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define SLOT  2048u
#define SLOTS 8192u
/* Frames that one poll of the device brings in. */
#define BUDGET    64
#define POLL_PORT 7

static int
set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) == 0
		       ? 0
		       : -errno;
}

static int
open_tx(struct wire *w, int index)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET,
		.sll_ifindex = index };
	int rc;

	w->tx = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (w->tx < 0)
		return -errno;
	rc = set(w->tx, SOL_PACKET, PACKET_QDISC_BYPASS, 1);
	if (rc == 0 && bind(w->tx, (struct sockaddr *)&at, sizeof(at)) != 0)
		rc = -errno;
	for (uint32_t i = 0; i < WIRE_BURST; i++) {
		w->msg[i].msg_hdr.msg_iov = &w->iov[i];
		w->msg[i].msg_hdr.msg_iovlen = 1;
	}
	return rc;
}

/* r1 to r5 as the calling convention has them. */
#define INSN(c, d, s, o, i)                                              \
	{                                                                \
		.code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), \
		.imm = (i)                                               \
	}

/*
 * To port 7 (of UDP or whatever): the kernel's. All else:
 * return bpf_redirect_map(&map, 0, XDP_DROP)
 */
static int
load_prog(struct wire *w, int index)
{
	const struct bpf_insn insn[] = {
		INSN(BPF_LDX | BPF_MEM | BPF_W, 2, 1, 0, 0), /* data */
		INSN(BPF_LDX | BPF_MEM | BPF_W, 3, 1, 4, 0), /* data_end */
		INSN(BPF_ALU64 | BPF_MOV | BPF_X, 4, 2, 0, 0),
		INSN(BPF_ALU64 | BPF_ADD | BPF_K, 4, 0, 0, 38),
		INSN(BPF_JMP | BPF_JGT | BPF_X, 4, 3, 4, 0),
		INSN(BPF_LDX | BPF_MEM | BPF_H, 5, 2, 36, 0),
		INSN(BPF_JMP | BPF_JNE | BPF_K, 5, 0, 2, htons(POLL_PORT)),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, XDP_PASS),
		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
		INSN(BPF_LD | BPF_IMM | BPF_DW, 1, BPF_PSEUDO_MAP_FD, 0,
			w->map),
		INSN(0, 0, 0, 0, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, 2, 0, 0, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, 3, 0, 0, XDP_DROP),
		INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_redirect_map),
		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};

	w->prog = bpf_prog_load(BPF_PROG_TYPE_XDP, "wire", "BSD", insn,
		sizeof(insn) / sizeof(*insn), NULL);
	if (w->prog < 0)
		return w->prog;
	w->link = bpf_link_create(w->prog, index, BPF_XDP, NULL);
	return w->link < 0 ? w->link : 0;
}

/* All slots to the kernel. */
static void
fill_all(struct wire *w)
{
	uint32_t at = 0;

	xsk_ring_prod__reserve(&w->fill, SLOTS, &at);
	for (uint32_t i = 0; i < SLOTS; i++)
		*xsk_ring_prod__fill_addr(&w->fill, at + i) =
			(uint64_t)i * SLOT;
	xsk_ring_prod__submit(&w->fill, SLOTS);
}

static int
busy_poll(int fd)
{
	int rc = set(fd, SOL_SOCKET, SO_PREFER_BUSY_POLL, 1);

	if (rc == 0)
		rc = set(fd, SOL_SOCKET, SO_BUSY_POLL, 20);
	if (rc == 0)
		rc = set(fd, SOL_SOCKET, SO_BUSY_POLL_BUDGET, BUDGET);
	return rc;
}

static int
open_xsk(struct wire *w, const char *dev)
{
	const struct xsk_umem_config memory = {
		.fill_size = SLOTS, .comp_size = 64, .frame_size = SLOT
	};
	const struct xsk_socket_config config = { .rx_size = SLOTS,
		.libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD,
		.bind_flags = XDP_COPY };
	int rc, fd, zero = 0;

	w->memory = aligned_alloc(4096, (size_t)SLOT * SLOTS);
	if (w->memory == NULL)
		return -ENOMEM;
	rc = xsk_umem__create(&w->umem, w->memory, (uint64_t)SLOT * SLOTS,
		&w->fill, &w->done, &memory);
	if (rc != 0)
		return rc;
	fill_all(w);
	rc = xsk_socket__create(
		&w->xsk, dev, 0, w->umem, &w->rx, NULL, &config);
	if (rc != 0)
		return rc;
	fd = xsk_socket__fd(w->xsk);
	return bpf_map_update_elem(w->map, &zero, &fd, BPF_ANY);
}

/* /proc/net/dev as of another namespace; it stays that when it is open. */
static void *
open_far(void *arg)
{
	struct wire *w = arg;
	int ns = w->far;

	w->far = setns(ns, CLONE_NEWNET) == 0
			 ? open("/proc/thread-self/net/dev",
				   O_RDONLY | O_CLOEXEC)
			 : -1;
	close(ns);
	return NULL;
}

/* By a thread of its own, for ours stays where it is. */
static int
open_counters(struct wire *w, const struct wire_ends *ends)
{
	pthread_t thread;

	strncpy(w->far_dev, ends->far_dev, sizeof(w->far_dev) - 1);
	w->far = open(ends->far, O_RDONLY | O_CLOEXEC);
	if (w->far < 0)
		return -errno;
	if (pthread_create(&thread, NULL, open_far, w) != 0)
		return -EAGAIN;
	pthread_join(thread, NULL);
	return w->far < 0 ? -ENOENT : 0;
}

/* Frames that the other end could not put onto the wire: the 12th number. */
static uint64_t
far_drops(const struct wire *w)
{
	char text[8192], name[32], *at;
	unsigned long long drops = 0;
	ssize_t n = pread(w->far, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	snprintf(name, sizeof(name), " %s:", w->far_dev);
	at = strstr(text, name);
	if (at != NULL &&
		sscanf(at + strlen(name),
			"%*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu",
			&drops) != 1)
		return 0;
	return drops;
}

/* A process of its own may enter a namespace without leaving ours. */
static int
send_from(const char *far, const struct sockaddr_in *to)
{
	int status, fd;
	pid_t pid = fork();

	if (pid == 0) {
		fd = open(far, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || setns(fd, CLONE_NEWNET) != 0)
			_exit(1);
		fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		_exit(sendto(fd, "", 1, 0, (const struct sockaddr *)to,
			      sizeof(*to)) != 1);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -ENETDOWN;
}

/* The socket that has heard of the device, see wire.h. */
static int
open_poll(struct wire *w, const char *dev, const char *addr, const char *far)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_port = htons(POLL_PORT) };
	const struct timeval second = { .tv_sec = 1 };
	unsigned int id = 0;
	socklen_t len = sizeof(id);
	char byte;
	int rc;

	w->poll = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (w->poll < 0 || inet_pton(AF_INET, addr, &at.sin_addr) != 1 ||
		setsockopt(w->poll, SOL_SOCKET, SO_BINDTODEVICE, dev,
			(socklen_t)strlen(dev)) != 0 ||
		setsockopt(w->poll, SOL_SOCKET, SO_RCVTIMEO, &second,
			sizeof(second)) != 0 ||
		bind(w->poll, (struct sockaddr *)&at, sizeof(at)) != 0)
		return -errno;
	rc = send_from(far, &at);
	if (rc == 0 && recv(w->poll, &byte, 1, 0) < 0)
		rc = -errno;
	if (rc == 0 && (getsockopt(w->poll, SOL_SOCKET, SO_INCOMING_NAPI_ID,
				&id, &len) != 0 ||
			       id == 0))
		rc = -EOPNOTSUPP;
	return rc == 0 ? busy_poll(w->poll) : rc;
}

static int
open_rx(struct wire *w, const char *dev, int index)
{
	int rc;

	w->map = bpf_map_create(BPF_MAP_TYPE_XSKMAP, "wire", 4, 4, 1, NULL);
	if (w->map < 0)
		return w->map;
	rc = load_prog(w, index);
	return rc == 0 ? open_xsk(w, dev) : rc;
}

int
wire_open(struct wire *w, const struct wire_ends *ends)
{
	const char *dev = ends->dev;
	int index = (int)if_nametoindex(dev), rc;
	struct ifreq req = { 0 };

	memset(w, 0, sizeof(*w));
	w->tx = w->poll = w->far = w->map = w->prog = w->link = -1;
	if (index == 0)
		return -ENODEV;
	rc = open_tx(w, index);
	if (rc == 0)
		rc = open_rx(w, dev, index);
	if (rc == 0)
		rc = open_poll(w, dev, ends->addr, ends->far);
	if (rc == 0)
		rc = open_counters(w, ends);
	if (rc == 0) {
		strncpy(req.ifr_name, dev, IFNAMSIZ - 1);
		rc = ioctl(w->tx, SIOCGIFHWADDR, &req) == 0 ? 0 : -errno;
	}
	if (rc != 0)
		wire_close(w);
	else
		memcpy(w->mac, req.ifr_hwaddr.sa_data, 6);
	return rc;
}

static void
shut(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void
wire_close(struct wire *w)
{
	shut(&w->link);
	if (w->xsk != NULL)
		xsk_socket__delete(w->xsk);
	if (w->umem != NULL)
		xsk_umem__delete(w->umem);
	free(w->memory);
	shut(&w->prog);
	shut(&w->map);
	shut(&w->poll);
	shut(&w->far);
	shut(&w->tx);
	w->xsk = NULL;
	w->umem = NULL;
	w->memory = NULL;
}

uint32_t
wire_send(struct wire *w, uint8_t *const *frames, uint32_t n, uint32_t len)
{
	int sent;

	for (uint32_t i = 0; i < n; i++)
		w->iov[i] = (struct iovec){ frames[i], len };
	sent = sendmmsg(w->tx, w->msg, n, MSG_DONTWAIT);
	if (sent < 0)
		return 0;
	w->sent += (uint32_t)sent;
	return (uint32_t)sent;
}

/* Poll the device, as its interrupt would. */
static void
poll_device(struct wire *w)
{
	char none;

	recv(w->poll, &none, 1, MSG_DONTWAIT);
}

const uint8_t *
wire_next(struct wire *w, uint32_t *len)
{
	const struct xdp_desc *d;

	if (w->have == 0) {
		poll_device(w);
		w->have = xsk_ring_cons__peek(&w->rx, BUDGET, &w->at);
		if (w->have == 0)
			return NULL;
	}
	d = xsk_ring_cons__rx_desc(&w->rx, w->at);
	*len = d->len;
	return xsk_umem__get_data(w->memory, d->addr);
}

void
wire_done(struct wire *w)
{
	uint64_t addr = xsk_ring_cons__rx_desc(&w->rx, w->at)->addr;
	uint32_t at = 0;

	/* As many slots as the ring has places: there is always room. */
	xsk_ring_prod__reserve(&w->fill, 1, &at);
	*xsk_ring_prod__fill_addr(&w->fill, at) = addr;
	xsk_ring_prod__submit(&w->fill, 1);
	xsk_ring_cons__release(&w->rx, 1);
	w->at++;
	w->have--;
}

uint64_t
wire_dropped(struct wire *w)
{
	struct xdp_statistics s = { 0 };
	socklen_t len = sizeof(s);
	uint64_t lost, before = w->lost;

	if (getsockopt(xsk_socket__fd(w->xsk), SOL_XDP, XDP_STATISTICS, &s,
		    &len) != 0)
		return 0;
	lost = far_drops(w) + s.rx_dropped + s.rx_ring_full +
	       s.rx_fill_ring_empty_descs;
	w->lost = lost;
	return lost - before;
}
