/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/softnic/port.h"

#include <dirent.h>
#include <errno.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_log.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define RING_SIZE 2048

/* Both rings of a queue, and what the loop has in its hands. */
#define QUEUE_BUFFERS (2 * RING_SIZE)
#define LOOP_BUFFERS  4096

unsigned int
port_buffers(const struct softnic_tables *t)
{
	unsigned int n = LOOP_BUFFERS;

	for (uint32_t u = 0; u < t->n_uplinks; u++)
		n += t->uplink[u].queues * QUEUE_BUFFERS;
	return n;
}

void
port_argument(const struct softnic_uplink *u, char *buf, size_t len)
{
	bool virtual = strncmp(u->devargs, "net_", 4) == 0 ||
		       strncmp(u->devargs, "eth_", 4) == 0;

	snprintf(buf, len, "%s%s", virtual ? "--vdev=" : "-a", u->devargs);
}

/* --- starting ------------------------------------------------------------ */

static int
configure(struct port *p, const struct rte_eth_dev_info *info)
{
	struct rte_eth_conf conf = { .rxmode.mq_mode = RTE_ETH_MQ_RX_NONE };
	int rc;

	if (info->max_rx_queues > 0 && p->queues > info->max_rx_queues)
		return -ERANGE;
	if (p->queues > 1 && info->flow_type_rss_offloads & RTE_ETH_RSS_IP) {
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf.rx_adv_conf.rss_conf.rss_hf = RTE_ETH_RSS_IP;
	}
	conf.intr_conf.rxq = 1;
	rc = rte_eth_dev_configure(p->id, p->queues, 1, &conf);
	if (rc == 0) {
		p->bell = PORT_BELL_INTERRUPT;
		return 0;
	}
	conf.intr_conf.rxq = 0;
	return rte_eth_dev_configure(p->id, p->queues, 1, &conf);
}

static int
rings_setup(const struct port *p, struct rte_mempool *pool)
{
	uint16_t rx = RING_SIZE, tx = RING_SIZE;
	int rc = rte_eth_dev_adjust_nb_rx_tx_desc(p->id, &rx, &tx);

	for (uint16_t q = 0; q < p->queues && rc == 0; q++)
		rc = rte_eth_rx_queue_setup(
			p->id, q, rx, SOCKET_ID_ANY, NULL, pool);
	if (rc == 0)
		rc = rte_eth_tx_queue_setup(p->id, 0, tx, SOCKET_ID_ANY, NULL);
	return rc;
}

static int
port_start(struct port *p, struct rte_mempool *pool)
{
	struct rte_eth_dev_info info;
	int rc = rte_eth_dev_info_get(p->id, &info);

	if (rc == 0)
		rc = configure(p, &info);
	if (rc == 0)
		rc = rings_setup(p, pool);
	if (rc == 0)
		rc = rte_eth_dev_start(p->id);
	if (rc != 0 || info.driver_name == NULL)
		return rc;
	if (strcmp(info.driver_name, "net_af_xdp") == 0 ||
		strcmp(info.driver_name, "net_af_packet") == 0)
		p->bell = PORT_BELL_SOCKET;
	return 0;
}

int
port_open(struct port *p, const struct softnic_uplink *u,
	struct rte_mempool *pool, char *why, size_t len)
{
	char name[sizeof(u->devargs)];
	int rc;

	memset(p, 0, sizeof(*p));
	p->queues = u->queues;
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(u->devargs, ","),
		u->devargs);
	if (rte_eth_dev_get_port_by_name(name, &p->id) != 0) {
		snprintf(why, len, "uplink %s: no port came of \"%s\"", u->name,
			u->devargs);
		return -ENODEV;
	}
	rc = port_start(p, pool);
	if (rc == -ERANGE)
		snprintf(why, len, "uplink %s: %s has no %u receive queues",
			u->name, u->devargs, u->queues);
	else if (rc != 0)
		snprintf(why, len, "uplink %s: %s does not start: %s", u->name,
			u->devargs, rte_strerror(-rc));
	if (rc == 0)
		port_set_mac(p, u->mac);
	return rc;
}

void
port_set_mac(const struct port *p, const uint8_t mac[6])
{
	struct rte_ether_addr now, want;

	memcpy(want.addr_bytes, mac, sizeof(want.addr_bytes));
	if (rte_eth_macaddr_get(p->id, &now) == 0 &&
		rte_is_same_ether_addr(&now, &want))
		return;
	/* The kernel's devices keep their own: that is where ARP comes from. */
	if (p->bell == PORT_BELL_SOCKET ||
		rte_eth_dev_default_mac_addr_set(p->id, &want) != 0)
		rte_eth_promiscuous_enable(p->id);
}

void
port_close(const struct port *p)
{
	rte_eth_dev_stop(p->id);
	rte_eth_dev_close(p->id);
}

/* --- doorbells ----------------------------------------------------------- */

static bool
bell_add(struct port_bells *b, int fd, bool edge)
{
	if (b->n == PORT_DOORBELLS_MAX)
		return false;
	b->fd[b->n] = fd;
	b->edge[b->n++] = edge;
	return true;
}

/* A queue's event is a counter that nobody reads: so it is told by edges. */
static bool
interrupts_use(const struct port *p, struct port_bells *b)
{
	for (uint16_t q = 0; q < p->queues; q++) {
		int fd = rte_eth_dev_rx_intr_ctl_q_get_fd(p->id, q);

		if (fd < 0 || rte_eth_dev_rx_intr_enable(p->id, q) != 0 ||
			!bell_add(b, fd, true))
			return false;
		rte_eth_dev_rx_intr_disable(p->id, q);
	}
	return true;
}

/* Not to have any is no fault, for which ethdev would complain. */
static bool
interrupts_find(const struct port *p, struct port_bells *b)
{
	bool found;

	rte_log_set_level_pattern("lib.ethdev", RTE_LOG_CRIT);
	found = interrupts_use(p, b);
	rte_log_set_level_pattern("lib.ethdev", RTE_LOG_NOTICE);
	return found;
}

/* The drivers do not tell their sockets, but no others of these are here. */
static bool
sockets_find(struct port_bells *b)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *e;
	bool all = dir != NULL;

	while (all && (e = readdir(dir)) != NULL) {
		int fd = atoi(e->d_name), domain = 0;
		socklen_t len = sizeof(domain);

		if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 &&
			(domain == AF_XDP || domain == AF_PACKET))
			all = bell_add(b, fd, false);
	}
	if (dir != NULL)
		closedir(dir);
	return all && b->n > 0;
}

void
port_bells_find(struct port *ports, unsigned int n, struct port_bells *b)
{
	bool sockets;

	b->n = 0;
	sockets = sockets_find(b);
	for (unsigned int i = 0; i < n; i++) {
		struct port *p = &ports[i];

		if (p->bell == PORT_BELL_SOCKET && !sockets)
			p->bell = PORT_BELL_NONE;
		if (p->bell == PORT_BELL_INTERRUPT && !interrupts_find(p, b))
			p->bell = PORT_BELL_NONE;
	}
}

void
port_bells_arm(const struct port *ports, unsigned int n, bool on)
{
	for (unsigned int i = 0; i < n; i++) {
		if (ports[i].bell != PORT_BELL_INTERRUPT)
			continue;
		for (uint16_t q = 0; q < ports[i].queues; q++) {
			if (on)
				rte_eth_dev_rx_intr_enable(ports[i].id, q);
			else
				rte_eth_dev_rx_intr_disable(ports[i].id, q);
		}
	}
}
