/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ICMP errors that quote a segment of ours.
 *
 * Anybody can send one, so it is believed as little as can be (RFC 5927): the
 * quoted sequence number must be on its way just now, an established
 * connection is never ended by one, and a path only gets smaller. While a
 * connection is being opened a hard error ends it.
 */
#include <errno.h>
#include <netinet/in.h>
#include <rte_byteorder.h>

#include "dataplane/tcp/internal.h"

/* Least MTUs: RFC 791's 68 would be a weapon; RFC 8200 for IPv6. */
#define MTU_MIN4 552
#define MTU_MIN6 1280

void
conn_set_mtu(struct tcp_conn *c, uint16_t mtu)
{
	uint16_t mss,
		least = ip_addr_is_v4(&c->tuple.remote) ? MTU_MIN4 : MTU_MIN6;
	struct tcp *t = c->stack;

	if (mtu < least)
		mtu = least;
	if (mtu >= c->path.mtu)
		return;
	t->stats->pmtu++;
	c->path.mtu = mtu;
	mss = mss_of_mtu(t, &c->tuple.remote, mtu);
	if (mss >= c->mss)
		return;
	c->mss = mss;
	if (!conn_synced(c) || c->snd_una == c->snd_nxt)
		return;
	/* What is out there was too large: again, in smaller pieces, and
	 * without taking it for congestion (RFC 1191 section 6.3). */
	loss_restart(c);
	c->flags |= CONN_RTX_DUE;
	conn_mark(c);
}

/* What the error says of the way. */
enum meaning {
	SAYS_NOTHING,
	SAYS_REFUSED,
	SAYS_UNREACHABLE,
	SAYS_TOO_BIG,
};

static enum meaning
meaning4(uint8_t type, uint8_t code)
{
	if (type != 3)
		return SAYS_NOTHING;
	switch (code) {
	case 2: /* protocol */
	case 3: /* port */
		return SAYS_REFUSED;
	case 4:
		return SAYS_TOO_BIG;
	case 0: /* network */
	case 1: /* host */
	case 9: /* administratively prohibited ... */
	case 10:
	case 13:
		return SAYS_UNREACHABLE;
	default:
		return SAYS_NOTHING;
	}
}

static enum meaning
meaning6(uint8_t type, uint8_t code)
{
	if (type == 2)
		return SAYS_TOO_BIG;
	if (type == 1)
		return code == 4 ? SAYS_REFUSED : SAYS_UNREACHABLE;
	if (type == 4 && code == 1) /* unrecognized next header */
		return SAYS_REFUSED;
	return SAYS_NOTHING;
}

static uint16_t
mtu_of(const struct packet *p)
{
	const uint8_t *icmp = p->data + p->l4;
	uint32_t mtu;

	if (p->version == 4)
		return rte_be_to_cpu_16(packet_get16(icmp + 6));
	mtu = rte_be_to_cpu_32(packet_get32(icmp + 4));
	return mtu < UINT16_MAX ? (uint16_t)mtu : UINT16_MAX;
}

static bool
is_in_flight(const struct tcp_conn *c, uint32_t seq)
{
	return seq_geq(seq, c->snd_una) && seq_lt(seq, c->snd_nxt);
}

static void
apply(struct tcp_conn *c, enum meaning says, const struct packet *p)
{
	struct tcp *t = c->stack;

	t->stats->icmp_errors++;
	if (says == SAYS_TOO_BIG) {
		conn_set_mtu(c, mtu_of(p));
	} else if (c->state == TCP_SYN_SENT) {
		t->stats->failed_opens++;
		conn_end(c,
			says == SAYS_REFUSED ? -ECONNREFUSED : -EHOSTUNREACH);
	}
}

void
icmp_input(struct tcp *t, struct tcp_in *in)
{
	const struct packet *p = &in->p;
	struct packet_inner inner;
	struct tcp_tuple u;
	struct tcp_conn *c;
	struct tcp_wait *w;
	enum meaning says;
	uint32_t seq;

	if (packet_parse_inner(p, &inner) != 0 || inner.proto != IPPROTO_TCP)
		return;
	says = p->version == 4 ? meaning4(p->data[p->l4], p->data[p->l4 + 1])
			       : meaning6(p->data[p->l4], p->data[p->l4 + 1]);
	if (says == SAYS_NOTHING)
		return;
	packet_addrs(p->data + inner.l3, &u.local, &u.remote);
	u.lport = inner.sport;
	u.rport = inner.dport;
	table_find(t, &u, &c, &w);
	seq = rte_be_to_cpu_32(packet_get32(p->data + inner.l4 + 4));
	if (c != NULL && is_in_flight(c, seq))
		apply(c, says, p);
}
