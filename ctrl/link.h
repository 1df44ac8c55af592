/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Network devices and their addresses, over rtnetlink.
 *
 * All calls are blocking requests on a socket from link_open(), used by one
 * thread at a time. They act in the network namespace of the caller. Errors
 * are -errno as the kernel gave them.
 */
#ifndef CARRYALL_LINK_H
#define CARRYALL_LINK_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/addr.h"

struct nl_sock;

struct link_info {
	int index;
	unsigned int flags; /* IFF_* */
	unsigned int mtu;
	uint8_t mac[6];
	char kind[16];   /* "veth", "bond"..., or "" */
	char alias[128]; /* or "" */
	uint64_t rx_dropped, tx_dropped;
};

/* A connected rtnetlink socket, or NULL with -errno in *err. */
struct nl_sock *link_open(int *err);
void link_close(struct nl_sock *nl);

/* Look a device up by name. -ENODEV if there is none. */
int link_find(struct nl_sock *nl, const char *name, struct link_info *info);

/*
 * Make the veth pair `name` and `peer`, both with `mtu`, one queue, `alias`,
 * without ARP and without IPv6, and set them up: wires for frames of others.
 * All or nothing. -EEXIST if one of the names is taken.
 */
int link_make_veth(struct nl_sock *nl, const char *name, const char *peer,
	unsigned int mtu, const char *alias);

/*
 * Make the tap `name`, which stays when nobody has it open, and set it up: the
 * kernel's end of a port that it does not drive. -EEXIST if the name is taken.
 */
int link_make_tap(struct nl_sock *nl, const char *name, const char *alias);

/* Remove a device; -ENODEV if there is none. A veth takes its peer along. */
int link_remove(struct nl_sock *nl, const char *name);

/* Set up, and not promiscuous, a device of ours. */
int link_restore(struct nl_sock *nl, const char *name, unsigned int mtu);

/* 1 if some device here has the address, else 0, or -errno. */
int link_has_addr(struct nl_sock *nl, const struct ip_addr *addr);

/*
 * Give the device an address. IPv6 ones skip duplicate detection and are
 * deprecated (RFC 4862 section 5.5.4), so that the kernel does not take
 * them as source of connections of its own, whose replies would be steered
 * away from it. -EEXIST if it is there.
 */
int link_add_addr(struct nl_sock *nl, int ifindex, const struct ip_addr *addr,
	unsigned int prefix);

/* Take it away; -EADDRNOTAVAIL if it is not there. */
int link_remove_addr(struct nl_sock *nl, int ifindex,
	const struct ip_addr *addr, unsigned int prefix);

#endif
