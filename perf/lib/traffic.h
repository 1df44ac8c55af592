/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * UDP traffic at the port of a NIC in software: its callbacks make the frames
 * that come in, and check and count those that go out.
 *
 *      0          14    34    42     46       50      58
 *      | Ethernet | IPv4 | UDP | flow | stream | stamp | whatever was there
 *
 * A stream is one service's flows, taken in turn. Of an echo server each
 * frame must come back as a swap of what was sent. Of a balancer, a client's
 * frame must arrive at a backend, always the same with the same SNAT address
 * and port; then the backend's answer, to these, is the flow's next frame, and
 * must arrive at that client; and so on by turns.
 *
 * The payload is not written, beyond the stamp: on a NIC it comes by DMA. The
 * UDP checksum is a number that nobody verifies; a balancer updates it.
 *
 * Load. `window`: so many frames on their way through each VNIC, a new one for
 * each that has come back: never more than can be carried. `pps`: one when it
 * is due, come what may; the stamp is the time when it was due, so that a frame
 * that was late is not as if it had been sent later. A frame is lost when a
 * counter of the NIC or of an instance says so.
 *
 * Thread: the NIC's.
 */
#ifndef PERF_TRAFFIC_H
#define PERF_TRAFFIC_H

#include <stdint.h>

#include "perf/lib/report.h"
#include "perf/lib/softlab.h"

#define TRAFFIC_STREAMS_MAX 5
#define TRAFFIC_VNICS_MAX   4  /* of a stream */
#define TRAFFIC_BACKENDS    24 /* 10.0.1.21 and on */
#define TRAFFIC_LEN_MIN     64 /* of a frame, without FCS */

struct traffic_flow;

/* On their way through one VNIC, which a flow is steered to. */
struct traffic_way {
	uint64_t sent, came;
	uint64_t lost;
	uint64_t full_tsc; /* since when the window is full, or 0 */
};

struct traffic_stream {
	/* set by the caller before traffic_stream_init() */
	uint32_t vip; /* as on the wire, like the port */
	uint16_t vport;
	uint16_t len; /* of frames: without FCS */
	uint32_t n_flows;
	uint32_t first_vnic, n_vnics; /* who serves it: to see losses */
	int lb;                       /* a balancer, not an echo server */
	int learn; /* its flows are new: let each be answered soon */

	/* load; both 0: none */
	uint32_t window;
	double pps;

	/* counted, since ever */
	uint64_t sent, came;
	uint64_t wrong;       /* came, but should not have so */
	struct samples delay; /* cycles, of every so many'th frame */
	uint32_t stride;      /* 0: none are taken */

	/* its own */
	struct traffic_flow *flow;
	uint32_t next;
	int again;                     /* the second time through its block */
	double tsc_per_frame, due_tsc; /* when the next one is due */
	struct traffic_way way[TRAFFIC_VNICS_MAX];
};

struct traffic {
	struct softlab *lab;
	struct rte_mempool *pool;
	uint32_t n_streams, turn;
	struct traffic_stream stream[TRAFFIC_STREAMS_MAX];
};

/*
 * Take over the port of `lab` for the streams that the caller has described.
 * 0, or -1 and said why. `t` is all zero but for these.
 */
int traffic_init(struct traffic *t, struct softlab *lab);

/* Begin, or go on, with the load that is set in stream `i`. */
void traffic_start(struct traffic *t, uint32_t i);

/* No new frames; turn rounds until all have come. 0, or -1 and said why. */
int traffic_drain(struct traffic *t);

/* Lost frames of stream `i`, as counters say it now. */
uint64_t traffic_lost(const struct traffic *t, uint32_t i);

/* A balancer's stream: of its flows, those seen at a backend. */
uint32_t traffic_known(const struct traffic_stream *s);

#endif
