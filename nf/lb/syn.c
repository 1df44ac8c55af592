/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A port that the backend still holds.
 *
 * The side that closes first keeps a connection in TIME-WAIT for a minute or
 * more. When a server closes first, and connections come fast or an instance
 * has been restarted, a new connection may get a SNAT port that the backend
 * has in TIME-WAIT. To a host that reuses its own ports this does no harm, as
 * its sequence numbers and timestamps grow; but ours come from many clients,
 * and half of the time they look old to the backend. It then answers the SYN
 * with an ACK of the former connection (RFC 9293 section 3.10.7.4, RFC 5961).
 * The client would reset that, wait a whole second, and try again.
 *
 * So the balancer does at once what the client would do: it resets the former
 * connection, with the sequence number that the ACK asks for, and sends the
 * SYN again. For that a copy of each SYN is kept while its slot lasts. What
 * does not fit, or was overwritten, goes the long way as before. It is done
 * once per SYN: the second ACK goes to the client.
 */
#include <netinet/in.h>
#include <string.h>

#include <rte_mbuf.h>
#include <rte_tcp.h>

#include "dataplane/checksum.h"
#include "nf/lb/lb.h"

#define TCP_BYTES 20

_Static_assert(PACKET_L3 + 40 + 60 <= LB_SYN_MAX, "any SYN over IPv6 fits");

static struct lb_syn *
slot_of(struct lb *lb, const struct flow *f)
{
	return &lb->syn[(f - lb->flows.flow) % LB_SYNS];
}

/* Where TCP begins in a frame without IP options or extension headers. */
static uint16_t
plain_l4(int version)
{
	return PACKET_L3 + (version == 4 ? 20 : 40);
}

void
lb_syn_keep(struct lb *lb, const struct flow *f, const struct packet *p)
{
	struct lb_syn *s = slot_of(lb, f);

	s->len = 0;
	if (p->l4 != plain_l4(p->version) || p->seg > LB_SYN_MAX ||
		p->seg != PACKET_L3 + p->ip_len)
		return;
	memcpy(s->frame, p->data, p->seg);
	s->len = (uint16_t)p->seg;
}

static int
is_pure_ack(const struct packet *p)
{
	const uint8_t all = PACKET_SYN | PACKET_RST | PACKET_FIN | PACKET_ACK;

	return p->proto == IPPROTO_TCP && (p->tcp_flags & all) == PACKET_ACK;
}

/* The slot may be of another connection by now. */
static int
is_of(const struct lb *lb, const struct lb_syn *s, const struct flow *f,
	const struct packet *p)
{
	const uint8_t *ip = s->frame + PACKET_L3;
	struct ip_addr src, dst;

	if (s->len == 0 || ip[0] >> 4 != p->version)
		return 0;
	packet_addrs(ip, &src, &dst);
	return lb_flow_between(lb, f, FLOW_BACKEND, &dst, &src) &&
	       packet_get16(s->frame + plain_l4(p->version)) == f->snat_port &&
	       packet_get16(s->frame + plain_l4(p->version) + 2) ==
		       lb->backend[f->backend].port;
}

static struct rte_mbuf *
frame_make(struct lb *lb, const uint8_t *bytes, uint16_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(lb->env->pool);

	if (m == NULL)
		return NULL;
	memcpy(rte_pktmbuf_mtod(m, void *), bytes, len);
	m->data_len = len;
	m->pkt_len = len;
	return m;
}

static void
length_set(uint8_t *ip, uint16_t l4_len)
{
	if (ip[0] >> 4 == 4) {
		packet_put16(ip + 2, htons((uint16_t)(20 + l4_len)));
		packet_put16(ip + 10, 0);
		packet_put16(
			ip + 10, (uint16_t)~csum_fold(csum_add(0, ip, 20)));
	} else {
		packet_put16(ip + 4, htons(l4_len));
	}
}

/* The checksum of a bare TCP header, pseudo header included. */
static uint16_t
tcp_checksum(const uint8_t *ip, const uint8_t *tcp)
{
	const int v4 = ip[0] >> 4 == 4;
	uint64_t sum = htons(IPPROTO_TCP) + (uint64_t)htons(TCP_BYTES);

	sum = csum_add(sum, ip + (v4 ? 12 : 8), v4 ? 8 : 32);
	return (uint16_t)~csum_fold(csum_add(sum, tcp, TCP_BYTES));
}

/* A SYN made into a reset with sequence number `seq`, as on the wire. */
static void
reset_make(struct rte_mbuf *m, uint16_t l4, uint32_t seq)
{
	uint8_t *ip = rte_pktmbuf_mtod_offset(m, uint8_t *, PACKET_L3);
	uint8_t *at = rte_pktmbuf_mtod_offset(m, uint8_t *, l4);
	struct rte_tcp_hdr *tcp = (struct rte_tcp_hdr *)at;

	tcp->sent_seq = seq;
	tcp->recv_ack = 0;
	tcp->data_off = TCP_BYTES / 4 << 4;
	tcp->tcp_flags = RTE_TCP_RST_FLAG;
	tcp->rx_win = 0;
	tcp->tcp_urp = 0;
	tcp->cksum = 0;
	length_set(ip, TCP_BYTES);
	tcp->cksum = tcp_checksum(ip, at);
}

int
lb_syn_again(struct lb *lb, const struct flow *f, const struct packet *p)
{
	struct lb_syn *s = slot_of(lb, f);
	uint16_t l4 = plain_l4(p->version);
	struct rte_mbuf *reset, *syn;

	if (!is_pure_ack(p) || !is_of(lb, s, f, p))
		return 0;
	reset = frame_make(lb, s->frame, l4 + TCP_BYTES);
	syn = frame_make(lb, s->frame, s->len);
	if (reset == NULL || syn == NULL) {
		rte_pktmbuf_free(reset);
		rte_pktmbuf_free(syn);
		return 0;
	}
	reset_make(reset, l4, packet_get32(p->data + p->l4 + 8));
	s->len = 0;
	nf_emit(lb->env, reset);
	nf_emit(lb->env, syn);
	return 1;
}
