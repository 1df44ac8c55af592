/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One end of a wire: whole frames out by AF_PACKET, in by AF_XDP.
 *
 * Out: sendmmsg() past the queueing discipline. Not by a transmit ring: that
 * gives a frame's memory back when the kernel lets go of the sender, which on
 * a veth between namespaces is before the receiver has read it.
 *
 * In: an XDP program on the device gives every frame to a socket, and the
 * device is polled from here (preferred busy polling), so that to receive is
 * this thread's work from the wire on: who sends on another core leaves the
 * frame on the wire and neither interrupts this core nor does its work. On a
 * virtual machine such an interrupt costs its sender more than a packet.
 *
 * The kernel polls the queue that a socket has last heard of, and an AF_XDP
 * socket on veth never says which (seen with Linux 6.18). A UDP socket does,
 * once it has had a datagram of the device: one is sent to it from the other
 * end's namespace.
 */
#ifndef PERF_WIRE_H
#define PERF_WIRE_H

#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <xdp/xsk.h>

#define WIRE_BURST 64u

struct wire {
	int tx;
	int poll; /* the UDP socket that the device is polled by */
	int far;  /* /proc/net/dev of the other end's namespace */
	char far_dev[16];
	int map, prog, link; /* the XDP program */
	void *memory;
	struct xsk_umem *umem;
	struct xsk_socket *xsk;
	struct xsk_ring_prod fill;
	struct xsk_ring_cons rx, done; /* `done` belongs to a sender */
	uint32_t at, have;             /* frames of the ring in hand */
	uint64_t lost;                 /* for want of room, when last asked */
	uint64_t sent;
	uint8_t mac[6];
	struct iovec iov[WIRE_BURST];
	struct mmsghdr msg[WIRE_BURST];
};

struct wire_ends {
	const char *dev, *addr;    /* this end, whose queue 0 has all traffic */
	const char *far, *far_dev; /* the other: path of its netns, device */
};

/*
 * A datagram that is sent to `addr` in the other end's namespace must come in
 * on `dev`. 0 or -errno (EBUSY: it has an XDP program; EAGAIN: the datagram
 * did not come; EOPNOTSUPP: the device cannot be polled). Until wire_close()
 * nothing but datagrams to port 7 reaches the kernel from `dev`.
 */
int wire_open(struct wire *w, const struct wire_ends *ends);
void wire_close(struct wire *w);

/* frames[0..n) of `len` bytes, n <= WIRE_BURST: how many were sent. */
uint32_t wire_send(
	struct wire *w, uint8_t *const *frames, uint32_t n, uint32_t len);

/*
 * The next frame that has come, of `len` bytes, or NULL. It is the caller's
 * until wire_done().
 */
const uint8_t *wire_next(struct wire *w, uint32_t *len);
void wire_done(struct wire *w);

/*
 * Frames that were lost since the last call for want of room at this end: in
 * the socket, or on the wire, where the other end's device counts them.
 */
uint64_t wire_dropped(struct wire *w);

#endif
