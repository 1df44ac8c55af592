/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packets that wait until the log has their connection.
 *
 * One queue, in the order of the log: a packet goes on when all that was
 * appended before it came is durable. The first packet of a connection waits
 * here, rewritten and ready to be sent, and what follows it while it waits
 * does, too, so none overtakes another. Other connections' packets pass.
 *
 *         first                  first + n
 *   ring:  |  m, lsn  |  m, lsn  |
 *             lsn grows -->
 *
 * `flow->held` counts a connection's packets in here. One that ends meanwhile
 * leaves them; they are freed when their turn comes.
 *
 * One write may make more of them durable than the VNIC's ring takes at once,
 * so they are let go in slices, as there is room.
 */
#ifndef CARRYALL_LB_HOLD_H
#define CARRYALL_LB_HOLD_H

#include <stdbool.h>
#include <stdint.h>

struct flow;
struct lb;
struct rte_mbuf;

#define HOLD_MAX 2048 /* a power of two */

struct hold_packet {
	struct rte_mbuf *m;
	uint64_t lsn;    /* it may go when this is durable */
	uint32_t flow;   /* index; its connection, if it is still ... */
	uint32_t client; /* ... of this address (the last word) */
	uint16_t client_port, snat_port; /* ... and these ports */
};

#define HOLD_BYTES (HOLD_MAX * sizeof(struct hold_packet))

struct hold {
	struct hold_packet *ring;
	uint32_t first; /* counts on; the place is modulo HOLD_MAX */
	uint32_t n;
};

/* An empty queue. 0 or -ENOMEM. */
int hold_init(struct hold *h);

/* Free it and the packets in it; also if it is all zero. */
void hold_fini(struct hold *h);

/* 1 if it takes one more packet of `f`, else 0. */
int hold_has_room(const struct hold *h, const struct flow *f);

/*
 * Take over `m`, a packet of `f` for which there is room, until all that is
 * appended now is durable.
 */
void hold_put(struct lb *lb, struct flow *f, struct rte_mbuf *m);

/*
 * Emit the packets that wait for records up to `durable`, as many as there is
 * room for; free those whose connection is no more. True if some that could
 * go are left.
 */
bool hold_release(struct lb *lb, uint64_t durable);

#endif
