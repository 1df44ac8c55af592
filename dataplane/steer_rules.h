/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Steering: the meaning of the tables, once for every provider.
 *
 * steer_packet.h makes a connection of a frame; this file says what becomes
 * of it: whose it is when it comes in on an uplink (steer_rx), and whether
 * an instance may send it (steer_tx). Both read the very same rows, so that
 * one store into the steering table moves a bucket together with its
 * transmit filter.
 *
 *   services   (address, port, protocol) -> target
 *   snat       address                   -> target
 *   hosts      address                   -> whose it is, who takes fragments
 *   steering   target.first + bucket     -> VNIC
 *   fragments  (src, dst, id, protocol)  -> where the first fragment went
 *
 * How a table is looked up is the includer's: BPF maps in the xdp provider,
 * hash tables in memory in the soft one. It defines struct steer_tables and
 * the functions steer_find_* below. As steer.h this compiles for BPF.
 */
#ifndef CARRYALL_STEER_RULES_H
#define CARRYALL_STEER_RULES_H

#include <linux/types.h>

#include "steer_packet.h"
#include "steer_rows.h"

struct steer_tables;

/* Defined by the includer: the row, or NULL. */
STEER_INLINE const struct steer_target *steer_find_service(
	const struct steer_tables *t, const struct steer_key *key);
STEER_INLINE const struct steer_target *steer_find_snat(
	const struct steer_tables *t, const struct ip_addr *addr);
STEER_INLINE const struct steer_host *steer_find_host(
	const struct steer_tables *t, const struct ip_addr *addr);
STEER_INLINE const __u32 *steer_find_entry(
	const struct steer_tables *t, __u32 entry);
STEER_INLINE const __u32 *steer_find_fragment(
	const struct steer_tables *t, const struct steer_fragment *key);
STEER_INLINE void steer_put_fragment(const struct steer_tables *t,
	const struct steer_fragment *key, __u32 fate);

/*
 * The row that a connection's own side falls under, or NULL. Most ports from
 * STEER_SNAT_PORT_MIN on are replies to a SNAT address, those below never,
 * so that either needs one lookup; only an address that is both needs two.
 */
STEER_INLINE const struct steer_target *
steer_target_of(const struct steer_tables *tables, const struct steer_tuple *c)
{
	const struct steer_target *reply = 0, *t;
	struct steer_key key = {
		.addr = c->dst,
		.port = c->dport,
		.proto = c->proto,
	};

	if (steer_ntohs(c->dport) >= STEER_SNAT_PORT_MIN) {
		reply = steer_find_snat(tables, &c->dst);
		if (reply && !(reply->flags & STEER_F_SHARED))
			return reply;
	}
	t = steer_find_service(tables, &key);
	return t ? t : reply;
}

/* 1 if function `f` takes fragments of `proto` at `host`. */
STEER_INLINE int
steer_host_takes(const struct steer_host *host, __u8 proto, __u32 f)
{
	__u32 mask = proto == STEER_PROTO_TCP   ? host->fragments_tcp
		     : proto == STEER_PROTO_UDP ? host->fragments_udp
						: 0;

	return (mask >> (f & 31)) & 1;
}

/*
 * 1 if first fragments under `t` are taken: services must be hashed by the
 * source alone, for what follows has no ports; replies may come for such
 * ones.
 */
STEER_INLINE int
steer_target_takes(const struct steer_tables *tables,
	const struct steer_target *t, const struct steer_tuple *c)
{
	const struct steer_host *host;

	if (!(t->flags & STEER_F_SNAT))
		return (t->flags & STEER_F_HASH_SOURCE) != 0;
	host = steer_find_host(tables, &c->dst);
	return host && steer_host_takes(host, c->proto, t->function);
}

/* --- what comes in on an uplink ------------------------------------------ */

STEER_INLINE struct steer_fragment
steer_fragment_key(const struct steer_packet *pkt)
{
	struct steer_fragment key = {
		.src = pkt->conn.src,
		.dst = pkt->conn.dst,
		.id = pkt->frag_id,
		.proto = pkt->conn.proto,
	};

	return key;
}

/* Let what follows a first fragment go where that went. */
STEER_INLINE void
steer_remember(const struct steer_tables *tables,
	const struct steer_packet *pkt, __u32 fate)
{
	struct steer_fragment key = steer_fragment_key(pkt);

	steer_put_fragment(tables, &key, fate);
}

/*
 * A later fragment has no ports: it goes where its first one went. Without
 * one it is the kernel's, unless such fragments are a function's business.
 */
STEER_INLINE int
steer_rx_fragment(
	const struct steer_tables *tables, const struct steer_packet *pkt)
{
	struct steer_fragment key = steer_fragment_key(pkt);
	const __u32 *fate = steer_find_fragment(tables, &key);
	const struct steer_host *host;

	if (fate && *fate == STEER_FRAGMENT_KERNEL)
		return STEER_RX_KERNEL;
	if (fate && *fate == STEER_FRAGMENT_DROP)
		return STEER_RX_FRAGMENT;
	if (fate)
		return (int)*fate;
	host = steer_find_host(tables, &pkt->conn.dst);
	if (!host)
		return STEER_RX_KERNEL;
	if ((pkt->conn.proto == STEER_PROTO_TCP && host->fragments_tcp) ||
		(pkt->conn.proto == STEER_PROTO_UDP && host->fragments_udp))
		return STEER_RX_FRAGMENT_UNKNOWN;
	return STEER_RX_KERNEL;
}

/*
 * Where the frame that `pkt` was parsed from (STEER_IN) goes: an entry of
 * the steering table, which is not looked up here, or an enum steer_rx. That
 * it is for our station (MAC address) the caller has seen to.
 */
STEER_INLINE int
steer_rx(const struct steer_tables *tables, const struct steer_packet *pkt,
	__u32 seed)
{
	const struct steer_target *t;
	__u32 entry;

	if (pkt->kind < STEER_K_FRAGMENT)
		return STEER_RX_KERNEL;
	if (pkt->kind == STEER_K_FRAGMENT)
		return steer_rx_fragment(tables, pkt);
	t = steer_target_of(tables, &pkt->conn);
	if (!t) {
		/* Its fragments, if to an address of ours, follow it. */
		if (pkt->first && steer_find_host(tables, &pkt->conn.dst))
			steer_remember(tables, pkt, STEER_FRAGMENT_KERNEL);
		return STEER_RX_KERNEL;
	}
	entry = t->first + steer_bucket(&pkt->conn, seed, t);
	if (!pkt->first)
		return (int)entry;
	if (!steer_target_takes(tables, t, &pkt->conn)) {
		steer_remember(tables, pkt, STEER_FRAGMENT_DROP);
		return STEER_RX_FRAGMENT;
	}
	steer_remember(tables, pkt, entry);
	return (int)entry;
}

/* --- what an instance sends ---------------------------------------------- */

/* Why no row allows this source: the address, or but the port. */
STEER_INLINE int
steer_tx_foreign(const struct steer_tables *tables, const struct steer_tuple *c,
	__u32 function)
{
	const struct steer_host *host = steer_find_host(tables, &c->dst);

	if (host && (host->functions >> (function & 31)) & 1)
		return STEER_REFUSE(STEER_TX_PORT);
	return STEER_REFUSE(STEER_TX_ADDRESS);
}

STEER_INLINE int
steer_tx_connection(const struct steer_tables *tables,
	const struct steer_packet *pkt, __u32 seed, __u32 function, __u32 vnic)
{
	const struct steer_target *t = steer_target_of(tables, &pkt->conn);
	const __u32 *owner;

	if (!t || t->function != function)
		return steer_tx_foreign(tables, &pkt->conn, function);
	if (pkt->first && !steer_target_takes(tables, t, &pkt->conn))
		return STEER_REFUSE(STEER_TX_FRAGMENT);
	owner = steer_find_entry(
		tables, t->first + steer_bucket(&pkt->conn, seed, t));
	if (!owner || *owner != vnic)
		return STEER_REFUSE(STEER_TX_BUCKET);
	return t->uplink;
}

/* A later fragment has no port to check: its address must do. */
STEER_INLINE int
steer_tx_fragment(const struct steer_tables *tables,
	const struct steer_tuple *c, __u32 function)
{
	const struct steer_host *host = steer_find_host(tables, &c->dst);

	if (!host || !((host->functions >> (function & 31)) & 1))
		return STEER_REFUSE(STEER_TX_ADDRESS);
	if (!steer_host_takes(host, c->proto, function))
		return STEER_REFUSE(STEER_TX_FRAGMENT);
	return (int)host->uplink;
}

/*
 * May VNIC `vnic` of function `function` send the frame that `pkt` was
 * parsed from (STEER_OUT)? The uplink to leave by, or STEER_REFUSE(reason).
 * The source MAC and the rates are checked after this.
 */
STEER_INLINE int
steer_tx(const struct steer_tables *tables, const struct steer_packet *pkt,
	__u32 seed, __u32 function, __u32 vnic)
{
	switch (pkt->kind) {
	case STEER_K_NOT_IP:
	case STEER_K_VLAN:
		return STEER_REFUSE(STEER_TX_ETHERTYPE);
	case STEER_K_MALFORMED:
		return STEER_REFUSE(STEER_TX_MALFORMED);
	case STEER_K_PROTOCOL:
		return STEER_REFUSE(STEER_TX_PROTOCOL);
	case STEER_K_ICMP:
		return STEER_REFUSE(STEER_TX_ICMP);
	case STEER_K_FRAGMENT:
		return steer_tx_fragment(tables, &pkt->conn, function);
	default:
		return steer_tx_connection(tables, pkt, seed, function, vnic);
	}
}

#endif
