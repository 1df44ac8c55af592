/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A port whose transmit ring takes SLOW_ROOM packets and then none, until the
 * test takes some out of it. Include after lb_lab.h; under lab_run().
 */
#ifndef CARRYALL_TEST_SLOW_PORT_H
#define CARRYALL_TEST_SLOW_PORT_H

#include <check.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_ring.h>

#define SLOW_ROOM 64

static struct {
	struct rte_ring *rx, *tx;
	uint16_t port;
} slow;

static struct rte_ring *
slow_ring(const char *name)
{
	struct rte_ring *r = rte_ring_create(name, SLOW_ROOM, 0,
		RING_F_SP_ENQ | RING_F_SC_DEQ | RING_F_EXACT_SZ);

	ck_assert_ptr_nonnull(r);
	return r;
}

static inline void
slow_create(void)
{
	const struct rte_eth_conf conf = { .rxmode = { .mtu = 1500 } };
	int port;

	slow.rx = slow_ring("slow_rx");
	slow.tx = slow_ring("slow_tx");
	port = rte_eth_from_rings("slow", &slow.rx, 1, &slow.tx, 1, 0);
	ck_assert_int_ge(port, 0);
	slow.port = (uint16_t)port;
	ck_assert_int_eq(rte_eth_dev_configure(slow.port, 1, 1, &conf), 0);
	ck_assert_int_eq(
		rte_eth_rx_queue_setup(slow.port, 0, 64, 0, NULL, lab_pool), 0);
	ck_assert_int_eq(rte_eth_tx_queue_setup(slow.port, 0, 64, 0, NULL), 0);
	ck_assert_int_eq(rte_eth_dev_start(slow.port), 0);
}

/* Begin with an empty ring; there is one port in a process. */
static inline void
slow_begin(void)
{
	if (slow.tx == NULL)
		slow_create();
	ck_assert_uint_eq(rte_ring_count(slow.tx), 0);
}

/* Take pkts[0..max) out, the oldest first; they are the caller's. How many. */
static inline unsigned int
slow_take(struct rte_mbuf **pkts, unsigned int max)
{
	return rte_ring_dequeue_burst(slow.tx, (void **)pkts, max, NULL);
}

/* Free what is in the ring. */
static inline void
slow_end(void)
{
	struct rte_mbuf *m;

	while (slow_take(&m, 1) == 1)
		rte_pktmbuf_free(m);
}

#endif
