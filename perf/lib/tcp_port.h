/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two TCP stacks at the port of a NIC in software, clients' and backends': the
 * product's own TCP, on the core of the NIC, with no kernel anywhere.
 *
 *   clients (11.0.0.0/8) --+           +--> NIC --> VNIC --> instance
 *                          |-- `out` --+
 *   backends (10.0.1.0/24)-+           |          (or, for want of an instance,
 *         ^                            |           from one stack to the other)
 *         +--------------- `in` <------+<-- NIC <-- VNIC <-- instance
 *
 * A stack's frames wait in `out` until the NIC asks its port for some. It gets
 * no more than the instance's ring has room for, by the instance's counter of
 * what it has received: a link with flow control, so that a frame that is lost
 * is the system's loss and not that of a generator that is faster. What the
 * instance sends waits in `in` until the NIC's round is over, for only then
 * does it belong to nobody else.
 *
 * The port computes checksums (it offers TCP_TX_CSUM), those of payload that
 * is sent over and over once; and marks as good those that it has not looked
 * at, all but each CHECK_EVERY'th frame's.
 *
 * Thread: the NIC's.
 */
#ifndef PERF_TCP_PORT_H
#define PERF_TCP_PORT_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/tcp/tcp.h"
#include "perf/lib/softlab.h"

enum tcp_port_side {
	TCP_PORT_CLIENTS,
	TCP_PORT_BACKENDS,
	TCP_PORT_SIDES,
};

#define TCP_PORT_RING  8192u /* frames that wait; a power of two */
#define TCP_PORT_BLOBS 4

#define TCP_PORT_MTU 1500
/* Payload of a full segment with timestamps. */
#define TCP_PORT_MSS (TCP_PORT_MTU - 20 - 32)

/* Payload whose sum is known: of one pool's mbufs, each with the same. */
struct tcp_port_known {
	const struct rte_mempool *pool;
	uint32_t len;
	uint64_t sum;
};

struct tcp_port_ring {
	struct rte_mbuf *m[TCP_PORT_RING];
	uint32_t first, n;
};

struct tcp_port {
	struct softlab *lab;
	struct rte_mempool *pool;
	struct tcp *stack[TCP_PORT_SIDES];
	struct stats_tcp stats[TCP_PORT_SIDES];

	/* Once a round, between input and flush: begin what is due. */
	void (*work)(void *ctx, uint64_t now_tsc);
	void *ctx;
	bool direct; /* no instance between: clients reach backends */

	struct tcp_port_ring in, out;
	struct tcp_port_known known[TCP_PORT_BLOBS];
	uint32_t n_known;
	uint64_t tsc_per_ms, tick_tsc, full_tsc;
	uint32_t look; /* frames until one's checksum is verified */

	/* counted, since ever */
	uint64_t sent;      /* frames to the instance */
	uint64_t lost;      /* of these, on their way there */
	uint64_t received0; /* what the instance had, when this began */
	uint64_t refused;   /* frames that no stack has taken */
};

/*
 * Take over the port of `lab`, whose instance 0 is the other end, for up to
 * `connections` on each side (a power of two), and `mbufs` for headers and
 * small payload. `p` is all zero but for `work`, `ctx`. 0, or -1 and said why.
 */
int tcp_port_init(struct tcp_port *p, struct softlab *lab, uint32_t connections,
	uint32_t mbufs);

/* Bytes of memory that tcp_port_init() takes. */
size_t tcp_port_memory(uint32_t connections, uint32_t mbufs);

/* Retransmissions of both sides: 0 unless something was lost. */
uint64_t tcp_port_retransmits(const struct tcp_port *p);

/* --- payload that is sent often ------------------------------------------ */

/*
 * Bytes that need no copy: mbufs that hold them since they were made, for a
 * stack writes its headers ahead of them. The first mbuf begins with a head;
 * all else is the same fill byte.
 */
struct tcp_blob {
	struct rte_mempool *first, *rest;
	uint32_t first_len; /* bytes of the first mbuf */
	uint32_t len;       /* of all */
};

/*
 * `len` bytes, the first of them head[0..head_len), head_len <= TCP_PORT_MSS;
 * up to `mbufs` of it on their way. 0, or -1 and said why.
 */
int tcp_blob_init(struct tcp_blob *b, struct tcp_port *p, const char *name,
	uint32_t mbufs, const void *head, uint32_t head_len, uint32_t len);

/*
 * Its bytes from `from` on, which is a place between mbufs: whole mbufs, at
 * least one, until there are `max` bytes or its end. NULL: no mbufs.
 */
struct rte_mbuf *tcp_blob_take(
	const struct tcp_blob *b, uint32_t from, uint32_t max);

#endif
