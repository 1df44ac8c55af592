/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Steering: the rows that are in the tables besides steer.h's, and the
 * verdicts that steer_rules.h comes to by them. As steer.h this compiles for
 * BPF.
 */
#ifndef CARRYALL_STEER_ROWS_H
#define CARRYALL_STEER_ROWS_H

#include <linux/types.h>

#include "addr.h"

/*
 * An address of ours. The masks have a bit per function: whose it is, and
 * who of them takes fragments of TCP and of UDP there.
 */
struct steer_host {
	__u32 functions;
	__u32 fragments_tcp, fragments_udp;
	__u32 uplink;
};

/* Names a datagram in fragments: RFC 791 section 2.3, RFC 8200 section 4.5. */
struct steer_fragment {
	struct ip_addr src, dst;
	__u32 id;
	__u32 proto;
};

/* Where fragments go: a steering entry, or one of these. */
#define STEER_FRAGMENT_KERNEL 0xffffffffu
#define STEER_FRAGMENT_DROP   0xfffffffeu

/* What steer_rx says besides a steering entry. */
enum steer_rx {
	STEER_RX_KERNEL = -1,           /* no function's: the kernel's */
	STEER_RX_FRAGMENT = -2,         /* of a service that takes none */
	STEER_RX_FRAGMENT_UNKNOWN = -3, /* before, or without, its first */
};

/* Why a frame that an instance sends is not sent, here or further on. */
enum steer_tx_drop {
	STEER_TX_ETHERTYPE, /* ARP, VLAN, anything but IP */
	STEER_TX_MALFORMED,
	STEER_TX_PROTOCOL, /* neither TCP, UDP nor ICMP */
	STEER_TX_ICMP,     /* ICMP of no connection of ours, also ND */
	STEER_TX_FRAGMENT, /* where fragments are not taken */
	STEER_TX_ADDRESS,  /* source address of others */
	STEER_TX_PORT,     /* source port or protocol of others */
	STEER_TX_BUCKET,   /* a bucket of another instance */
	STEER_TX_MAC,      /* source MAC is not the uplink's */
	STEER_TX_RATE,     /* beyond a rate, where rates are policed */
	STEER_TX_SHARE,    /* beyond its share of an uplink that is full */
	STEER_TX_DROPS,
};

/* A refusal as steer_tx returns it, and back. */
#define STEER_REFUSE(reason)  (-1 - (int)(reason))
#define STEER_REASON(verdict) (-1 - (verdict))

#endif
