/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * UDP flows of clients with what stands between: an echo server, or a balancer
 * that hands them to backends. What comes back is checked, frame by frame.
 *
 *  frame  0        14    34     42    44      48         56         64
 *         | Ethernet| IP  | UDP  |kind|  flow | stamp    | ~stamp   | zeros...
 *
 * The stamp is the time of sending, CLOCK_MONOTONIC in nanoseconds. Next to
 * its complement it adds nothing to the checksum, so that a frame is made
 * once and only stamped when it is sent.
 *
 * A backend's frames are made of what arrives there: whatever addresses and
 * ports the balancer gives a flow, the answer goes back to them. From then on
 * they must not change.
 */
#ifndef PERF_FLOWS_H
#define PERF_FLOWS_H

#include <stdint.h>

#define FLOWS_LEN_MIN 64u
#define FLOWS_LEN_MAX 1500u

#define FLOWS_KNOWN    0x1 /* the backend has seen it */
#define FLOWS_ANSWERED 0x2 /* the client has seen an answer, or its echo */

enum flows_side { FLOWS_CLIENT, FLOWS_BACKEND };

struct flows {
	uint32_t n, len; /* flows; bytes of a frame, no FCS */
	uint32_t vip;    /* as on the wire, like all below */
	uint16_t vport;
	uint8_t *frame[2]; /* by enum flows_side: n frames of len bytes */
	uint8_t *known;    /* [n): FLOWS_* below */
	uint32_t n_known, n_answered;
	uint64_t wrong;        /* frames that should not have come so */
	uint8_t sut_mac[2][6]; /* by the side that faces it */
};

/*
 * `n` flows of frames of `len` bytes towards vip:vport: 0 or -errno (EINVAL,
 * ENOMEM). `mac` is where each side's frames go.
 */
int flows_init(struct flows *f, uint32_t n, uint32_t len, uint32_t vip,
	uint16_t vport, const uint8_t mac[2][6]);
void flows_fini(struct flows *f);

/* Flow `i` as a client's frame, anew: for flows that come but once. */
void flows_make(const struct flows *f, uint8_t *frame, uint32_t i);

/* The frame of flow `i` of a side, stamped; the backend's must be known. */
uint8_t *flows_frame(
	struct flows *f, enum flows_side side, uint32_t i, uint64_t now_ns);

/*
 * A frame that came in at `side` as `len` bytes: the time when it was sent,
 * or 0 (which `wrong` counts) if it is none that should come there. `echo`:
 * clients' own frames come back to them. `fresh`: flows come but once.
 */
uint64_t flows_take(struct flows *f, enum flows_side side, const uint8_t *frame,
	uint32_t len, int echo, int fresh);

#endif
