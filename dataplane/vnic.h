/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The instance's VNIC: one DPDK port with one receive and one transmit
 * queue. All that is particular to a provider is in the grant's devargs; here
 * is only what rte_ethdev offers, and the doorbell to sleep on.
 */
#ifndef CARRYALL_VNIC_H
#define CARRYALL_VNIC_H

#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/grant.h"

struct vnic {
	uint16_t port;
	int doorbell;     /* to wait for when there are no packets; -1: none */
	bool armed_by_us; /* it rings only after vnic_arm(), at each new
			   * packet; else it is readable while packets wait */
	struct rte_mempool *pool;
	uint64_t tx_offload; /* RTE_ETH_TX_OFFLOAD_* that are on */
};

/*
 * Start DPDK in this process with the memory, the core and the VNIC that the
 * grant names, and start the port. There are `buffers` packet buffers more than
 * the rings take, of VNIC_BUFFER_BYTES each. Needs the privileges that
 * confine() drops afterwards. Thread: the instance's, once per process. 0, or
 * -errno with the reason in why[0..len).
 */
#define VNIC_BUFFER_BYTES (RTE_MBUF_DEFAULT_BUF_SIZE + 192)
int vnic_open(struct vnic *vnic, const struct grant *grant, uint32_t buffers,
	char *why, size_t len);

/* Stop the port and end DPDK in this process. */
void vnic_close(struct vnic *vnic);

/* Receive pkts[0..max); the caller owns them. Returns how many. */
static inline uint16_t
vnic_rx(const struct vnic *vnic, struct rte_mbuf **pkts, uint16_t max)
{
	return rte_eth_rx_burst(vnic->port, 0, pkts, max);
}

/*
 * Send pkts[0..n). Returns how many the VNIC took; the caller still owns the
 * rest.
 */
static inline uint16_t
vnic_tx(const struct vnic *vnic, struct rte_mbuf **pkts, uint16_t n)
{
	return rte_eth_tx_burst(vnic->port, 0, pkts, n);
}

/*
 * Let the doorbell ring from here on, before a sleep. What came before may
 * not ring it: look for packets once more. Thread: the instance's.
 */
void vnic_arm(const struct vnic *vnic);

/* After a sleep: packets are polled for again, and need not ring. */
void vnic_disarm(const struct vnic *vnic);

#endif
