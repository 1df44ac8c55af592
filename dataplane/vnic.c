/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/vnic.h"

#include <dirent.h>
#include <errno.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "dataplane/eal_args.h"

/*
 * Packet buffers: the af_xdp driver keeps a fill and a receive ring of 2,048
 * each and as many to send; the rest is for packets in the function's hands.
 */
#define VNIC_POOL_SIZE  8192
#define VNIC_POOL_CACHE 256
#define VNIC_RING_SIZE  2048

/*
 * A VNIC of the NIC in software: it works on the memory of this process, which
 * it must therefore be able to map, in few pieces.
 */
static bool
is_shared(const struct grant *grant)
{
	return strncmp(grant->devargs, "net_virtio_user", 15) == 0;
}

/* A process of our own: no PCI scan, no files shared, only the VNIC. */
static void
eal_args_fill(struct eal_args *a, const struct grant *grant)
{
	eal_arg(a, "carryall");
	eal_arg(a, "--lcores=0@%u", grant->core);
	eal_arg(a, "--no-pci");
	eal_arg(a, "--no-telemetry");
	eal_arg(a, "--log-level=lib.eal:error");
	eal_arg(a, "--log-level=pmd.net.af_xdp:error");
	eal_arg(a, "--log-level=pmd.net.virtio.*:critical");
	eal_arg(a, "--file-prefix=carryall-%s-%s.%u", grant->appliance,
		grant->function, grant->instance);
	eal_args_memory(a, grant->huge_mb, grant->memory_mb);
	if (grant->huge_mb > 0 && is_shared(grant))
		eal_arg(a, "--single-file-segments");
	eal_arg(a, "--vdev=%s", grant->devargs);
}

/*
 * The af_xdp driver of DPDK 22.11 offers no receive interrupt, but its socket
 * can be waited for as any other. It is the only one of its family here.
 */
static int
socket_find(void)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *e;
	int found = -1;

	if (dir == NULL)
		return -1;
	while (found < 0 && (e = readdir(dir)) != NULL) {
		int fd = atoi(e->d_name), domain = 0;
		socklen_t len = sizeof(domain);

		if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 &&
			domain == AF_XDP)
			found = fd;
	}
	closedir(dir);
	return found;
}

/* Where there are receive interrupts, they come by an eventfd. */
static void
doorbell_find(struct vnic *vnic, bool interrupts)
{
	vnic->doorbell =
		interrupts ? rte_eth_dev_rx_intr_ctl_q_get_fd(vnic->port, 0)
			   : socket_find();
	vnic->armed_by_us = interrupts && vnic->doorbell >= 0;
}

void
vnic_arm(const struct vnic *vnic)
{
	if (vnic->armed_by_us)
		rte_eth_dev_rx_intr_enable(vnic->port, 0);
}

void
vnic_disarm(const struct vnic *vnic)
{
	if (vnic->armed_by_us)
		rte_eth_dev_rx_intr_disable(vnic->port, 0);
}

/* What a TCP of our own makes use of, where the port has it. */
#define TX_OFFLOADS                                                     \
	(RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM | \
		RTE_ETH_TX_OFFLOAD_MULTI_SEGS | RTE_ETH_TX_OFFLOAD_TCP_TSO)

static int
port_start(struct vnic *vnic, bool interrupts, char *why, size_t len)
{
	struct rte_eth_conf conf = { .rxmode.mq_mode = RTE_ETH_MQ_RX_NONE,
		.intr_conf.rxq = interrupts };
	uint16_t n_rx = VNIC_RING_SIZE, n_tx = VNIC_RING_SIZE;
	struct rte_eth_dev_info info;
	int rc;

	rc = rte_eth_dev_info_get(vnic->port, &info);
	if (rc == 0)
		conf.txmode.offloads = info.tx_offload_capa & TX_OFFLOADS;
	vnic->tx_offload = conf.txmode.offloads;
	if (rc == 0)
		rc = rte_eth_dev_configure(vnic->port, 1, 1, &conf);
	if (rc == 0)
		rc = rte_eth_dev_adjust_nb_rx_tx_desc(vnic->port, &n_rx, &n_tx);
	if (rc == 0)
		rc = rte_eth_rx_queue_setup(
			vnic->port, 0, n_rx, SOCKET_ID_ANY, NULL, vnic->pool);
	if (rc == 0)
		rc = rte_eth_tx_queue_setup(
			vnic->port, 0, n_tx, SOCKET_ID_ANY, NULL);
	if (rc == 0)
		rc = rte_eth_dev_start(vnic->port);
	if (rc != 0)
		snprintf(why, len, "the VNIC does not start: %s",
			rte_strerror(-rc));
	return rc;
}

int
vnic_open(struct vnic *vnic, const struct grant *grant, uint32_t buffers,
	char *why, size_t len)
{
	struct eal_args args = { 0 };
	int rc;

	eal_args_fill(&args, grant);
	if (rte_eal_init(args.argc, args.argv) < 0) {
		snprintf(why, len, "DPDK does not start with VNIC \"%s\": %s",
			grant->devargs, rte_strerror(rte_errno));
		return -ENODEV;
	}
	if (rte_eth_dev_count_avail() != 1) {
		snprintf(why, len, "no port came of VNIC \"%s\"",
			grant->devargs);
		rc = -ENODEV;
		goto out_eal;
	}
	vnic->port = (uint16_t)rte_eth_find_next(0);
	vnic->pool = rte_pktmbuf_pool_create("packets",
		VNIC_POOL_SIZE + buffers, VNIC_POOL_CACHE, 0,
		RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	if (vnic->pool == NULL) {
		snprintf(why, len, "no memory for packet buffers: %s",
			rte_strerror(rte_errno));
		rc = -ENOMEM;
		goto out_eal;
	}
	rc = port_start(vnic, is_shared(grant), why, len);
	if (rc != 0)
		goto out_eal;
	doorbell_find(vnic, is_shared(grant));
	return 0;

out_eal:
	rte_eal_cleanup();
	return rc;
}

void
vnic_close(struct vnic *vnic)
{
	rte_eth_dev_stop(vnic->port);
	rte_eth_dev_close(vnic->port);
	rte_eal_cleanup();
}
