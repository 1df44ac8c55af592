/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The uplinks' ports: any DPDK port by its devargs. What is particular to a
 * driver is here: whether it has our MAC address, and what tells a loop that
 * sleeps that frames have come.
 *
 *   net_af_xdp, net_af_packet    the socket itself (found by its family)
 *   ports with receive interrupts  an event per queue
 *   all others                   nothing: the loop looks now and then
 */
#ifndef CARRYALL_SOFTNIC_PORT_H
#define CARRYALL_SOFTNIC_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/softnic/tables.h"

struct rte_mempool;

#define PORT_DOORBELLS_MAX 64

enum port_bell {
	PORT_BELL_NONE,
	PORT_BELL_SOCKET,
	PORT_BELL_INTERRUPT,
};

struct port {
	uint16_t id;     /* DPDK's */
	uint16_t queues; /* to receive from; frames leave by queue 0 */
	uint8_t bell;    /* enum port_bell */
};

/* What a sleeping loop watches. */
struct port_bells {
	unsigned int n;
	int fd[PORT_DOORBELLS_MAX];
	bool edge[PORT_DOORBELLS_MAX]; /* each event is told once */
};

/* Packet buffers that ports of so many queues hold, and the loop. */
unsigned int port_buffers(const struct softnic_tables *t);

/* An EAL argument of a port: "--vdev=..." or "-a..."; EAL must copy it. */
void port_argument(const struct softnic_uplink *u, char *buf, size_t len);

/*
 * Start the port of `u`, which EAL has found, with buffers from `pool`. 0, or
 * -errno with the reason in why[0..len). Thread: the loop's, before it runs.
 */
int port_open(struct port *p, const struct softnic_uplink *u,
	struct rte_mempool *pool, char *why, size_t len);

/*
 * Let the port receive what is for `mac`; promiscuous where it cannot be
 * told. Thread: any, while the loop runs.
 */
void port_set_mac(const struct port *p, const uint8_t mac[6]);

/*
 * The doorbells of ports[0..n), which says in `bell` what each has. Thread:
 * the loop's, once all are open.
 */
void port_bells_find(struct port *ports, unsigned int n, struct port_bells *b);

/* Let ports that have interrupts ring, or not. Thread: the loop. */
void port_bells_arm(const struct port *ports, unsigned int n, bool on);

void port_close(const struct port *p);

#endif
