/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a TCP segment does to a connection's state, as seen from the middle.
 *
 * The balancer forwards whatever belongs to a connection and judges nothing;
 * the state only decides how long the entry is kept and who is evicted
 * first. So the two things that matter are that nobody gets out of half-open
 * without having seen the backend's sequence number (a flood with spoofed
 * ACKs stays half-open), and that a blind reset does not kill anything: the
 * entry goes on being used, and a later segment from the side that is said
 * to have reset the connection brings it back, for who has really reset a
 * connection sends nothing but resets on it.
 */
#ifndef CARRYALL_LB_STATE_H
#define CARRYALL_LB_STATE_H

#include "dataplane/packet.h"
#include "nf/lb/flow.h"

/*
 * The state that `f`, a TCP connection in any state but FREE, is in after
 * segment `p` of direction `dir`. Updates f->flags, isn, next and fin, but
 * neither f->state nor lists. With f->grace > 0, which says that `f` was
 * recovered half-open, the backend's ACK establishes it. Pure: thread any, no
 * EAL.
 * Source: RFC 9293 section 3.3.2; RFC 5961 for the reason to doubt resets.
 */
enum flow_state state_tcp(
	struct flow *f, enum flow_dir dir, const struct packet *p);

/* 1 if `p` can open a connection: SYN without ACK, RST or FIN, else 0. */
static inline int
state_opens(const struct packet *p)
{
	return (p->tcp_flags & (PACKET_SYN | PACKET_ACK | PACKET_RST |
				       PACKET_FIN)) == PACKET_SYN;
}

#endif
