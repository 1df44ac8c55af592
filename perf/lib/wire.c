/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/lib/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define SLOT  256u
#define SLOTS 65536u
#define BLOCK (1u << 20)
#define SNAP  128u

static int
bind_to(int fd, int index, uint16_t proto)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET,
		.sll_protocol = htons(proto),
		.sll_ifindex = index };

	return bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0 ? 0 : -errno;
}

static int
set(int fd, int level, int option, const void *value, socklen_t len)
{
	return setsockopt(fd, level, option, value, len) == 0 ? 0 : -errno;
}

/* Only the head of each frame is copied. */
static int
snap(int fd)
{
	struct sock_filter keep = BPF_STMT(BPF_RET | BPF_K, SNAP);
	const struct sock_fprog prog = { .len = 1, .filter = &keep };

	return set(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog));
}

static int
open_rx(struct wire *w, int index)
{
	const int version = TPACKET_V2;
	const struct tpacket_req req = { .tp_block_size = BLOCK,
		.tp_block_nr = SLOTS / (BLOCK / SLOT),
		.tp_frame_size = SLOT,
		.tp_frame_nr = SLOTS };
	int rc;

	w->rx = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (w->rx < 0)
		return -errno;
	rc = snap(w->rx);
	if (rc == 0)
		rc = set(w->rx, SOL_PACKET, PACKET_VERSION, &version,
			sizeof(version));
	if (rc == 0)
		rc = set(w->rx, SOL_PACKET, PACKET_RX_RING, &req, sizeof(req));
	if (rc != 0)
		return rc;
	w->ring = mmap(NULL, (size_t)SLOT * SLOTS, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_POPULATE, w->rx, 0);
	if (w->ring == MAP_FAILED) {
		w->ring = NULL;
		return -errno;
	}
	w->slots = SLOTS;
	return bind_to(w->rx, index, ETH_P_IP);
}

static int
open_tx(struct wire *w, int index)
{
	const int one = 1;
	int rc;

	w->tx = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (w->tx < 0)
		return -errno;
	rc = set(w->tx, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one));
	if (rc == 0)
		rc = bind_to(w->tx, index, 0);
	for (uint32_t i = 0; i < WIRE_BURST; i++) {
		w->msg[i].msg_hdr.msg_iov = &w->iov[i];
		w->msg[i].msg_hdr.msg_iovlen = 1;
	}
	return rc;
}

int
wire_open(struct wire *w, const char *dev)
{
	int index = (int)if_nametoindex(dev), rc;
	struct ifreq req = { 0 };

	memset(w, 0, sizeof(*w));
	w->rx = -1;
	w->tx = -1;
	if (index == 0)
		return -ENODEV;
	rc = open_tx(w, index);
	if (rc == 0)
		rc = open_rx(w, index);
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

void
wire_close(struct wire *w)
{
	if (w->ring != NULL)
		munmap(w->ring, (size_t)SLOT * SLOTS);
	if (w->rx >= 0)
		close(w->rx);
	if (w->tx >= 0)
		close(w->tx);
	w->ring = NULL;
	w->rx = -1;
	w->tx = -1;
}

uint32_t
wire_send(struct wire *w, uint8_t *const *frames, uint32_t n, uint32_t len)
{
	int sent;

	for (uint32_t i = 0; i < n; i++)
		w->iov[i] = (struct iovec){ frames[i], len };
	sent = sendmmsg(w->tx, w->msg, n, MSG_DONTWAIT);
	if (sent < 0) {
		w->refused++;
		return 0;
	}
	w->sent += (uint32_t)sent;
	return (uint32_t)sent;
}

static struct tpacket2_hdr *
slot(const struct wire *w)
{
	return (struct tpacket2_hdr *)(void *)(w->ring + (size_t)w->at * SLOT);
}

const uint8_t *
wire_next(struct wire *w, uint32_t *len)
{
	const struct tpacket2_hdr *h = slot(w);

	if (!(__atomic_load_n(&h->tp_status, __ATOMIC_ACQUIRE) &
		    TP_STATUS_USER))
		return NULL;
	*len = h->tp_len;
	return (const uint8_t *)h + h->tp_mac;
}

void
wire_done(struct wire *w)
{
	__atomic_store_n(
		&slot(w)->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
	w->at = w->at + 1 == w->slots ? 0 : w->at + 1;
}

uint32_t
wire_dropped(struct wire *w)
{
	struct tpacket_stats s = { 0 };
	socklen_t len = sizeof(s);

	if (getsockopt(w->rx, SOL_PACKET, PACKET_STATISTICS, &s, &len) != 0)
		return 0;
	return s.tp_drops;
}
