/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One end of a wire: whole frames out and in, by AF_PACKET.
 *
 * Out: sendmmsg() past the queueing discipline. Not by a transmit ring: that
 * gives a frame's memory back when the kernel lets go of the sender, which on
 * a veth between namespaces is before the receiver has read it.
 * In: a ring in shared memory, a slot per frame; no system call to receive.
 */
#ifndef PERF_WIRE_H
#define PERF_WIRE_H

#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define WIRE_BURST 64u

struct wire {
	int tx, rx;
	uint8_t *ring;
	uint32_t slots, at;
	uint64_t sent, refused; /* frames; the kernel took none */
	uint8_t mac[6];
	struct iovec iov[WIRE_BURST];
	struct mmsghdr msg[WIRE_BURST];
};

/* On device `dev`: 0 or -errno. Receives IPv4 alone. */
int wire_open(struct wire *w, const char *dev);
void wire_close(struct wire *w);

/* frames[0..n) of `len` bytes, n <= WIRE_BURST: how many were sent. */
uint32_t wire_send(
	struct wire *w, uint8_t *const *frames, uint32_t n, uint32_t len);

/*
 * The next frame that has come, or NULL: at most 128 bytes of it are there.
 * `len`: what it was on the wire. It is the caller's until wire_done().
 */
const uint8_t *wire_next(struct wire *w, uint32_t *len);
void wire_done(struct wire *w);

/* Frames that did not fit into the ring, since the last call. */
uint32_t wire_dropped(struct wire *w);

#endif
