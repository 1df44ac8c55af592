/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/lib/wire.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <linux/if_xdp.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define SLOT  2048u
#define SLOTS 8192u
/* Frames that one poll of the device brings in. */
#define BUDGET 64

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

/* return bpf_redirect_map(&xsks, 0, XDP_DROP) */
static int
load_prog(struct wire *w, int index)
{
	const struct bpf_insn insn[] = {
		{ .code = BPF_LD | BPF_IMM | BPF_DW,
			.dst_reg = BPF_REG_1,
			.src_reg = BPF_PSEUDO_MAP_FD,
			.imm = w->map },
		{ .code = 0 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_2 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K,
			.dst_reg = BPF_REG_3,
			.imm = XDP_DROP },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_redirect_map },
		{ .code = BPF_JMP | BPF_EXIT },
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
	rc = busy_poll(fd);
	if (rc == 0)
		rc = bpf_map_update_elem(w->map, &zero, &fd, BPF_ANY);
	return rc;
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
wire_open(struct wire *w, const char *dev)
{
	int index = (int)if_nametoindex(dev), rc;
	struct ifreq req = { 0 };

	memset(w, 0, sizeof(*w));
	w->tx = w->map = w->prog = w->link = -1;
	if (index == 0)
		return -ENODEV;
	rc = open_tx(w, index);
	if (rc == 0)
		rc = open_rx(w, dev, index);
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
	recvfrom(xsk_socket__fd(w->xsk), NULL, 0, MSG_DONTWAIT, NULL, NULL);
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
	lost = s.rx_dropped + s.rx_ring_full + s.rx_fill_ring_empty_descs;
	w->lost = lost;
	return lost - before;
}
