/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A segment becomes a frame.
 *
 * How its payload gets there, best first:
 *   in place   it is one whole mbuf of the queue: the headers are written in
 *              the room ahead of it, and the driver gets a second reference
 *   chained    a new mbuf with the headers, then references to the parts; if
 *              the port takes such
 *   copied     small ones, and all on a port that sends single mbufs only
 *
 * An mbuf that a driver may still hold (its reference count says so) is left
 * as it is: a retransmission then is chained or copied.
 */
#include <netinet/in.h>
#include <rte_byteorder.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_mbuf.h>

#include "dataplane/checksum.h"
#include "dataplane/tcp/chain.h"
#include "dataplane/tcp/internal.h"

#define HOP_LIMIT 64  /* RFC 1700 */
#define COPY_MAX  192 /* bytes: below, a copy is cheaper than references */
#define PART_COPY 512 /* likewise, of a part of a chain */

static uint32_t
ip_len(const struct tcp_tuple *tuple)
{
	return ip_addr_is_v4(&tuple->remote) ? 20 : 40;
}

/* --- headers ------------------------------------------------------------- */

static void
write_ipv4(uint8_t *ip, const struct tcp_tuple *u, uint32_t l4_len, bool csum)
{
	struct rte_ipv4_hdr *h = (struct rte_ipv4_hdr *)ip;

	/* An atomic datagram: its identification means nothing (RFC 6864). */
	*h = (struct rte_ipv4_hdr){ .version_ihl = 0x45,
		.total_length = rte_cpu_to_be_16((uint16_t)(20 + l4_len)),
		.fragment_offset = rte_cpu_to_be_16(RTE_IPV4_HDR_DF_FLAG),
		.time_to_live = HOP_LIMIT,
		.next_proto_id = IPPROTO_TCP,
		.src_addr = u->local.w[3],
		.dst_addr = u->remote.w[3] };
	if (csum)
		h->hdr_checksum = (uint16_t)~csum_fold(csum_add(0, ip, 20));
}

static void
write_ipv6(uint8_t *ip, const struct tcp_tuple *u, uint32_t l4_len)
{
	struct rte_ipv6_hdr *h = (struct rte_ipv6_hdr *)ip;

	h->vtc_flow = rte_cpu_to_be_32(6u << 28);
	h->payload_len = rte_cpu_to_be_16((uint16_t)l4_len);
	h->proto = IPPROTO_TCP;
	h->hop_limits = HOP_LIMIT;
	memcpy(h->src_addr, &u->local, 16);
	memcpy(h->dst_addr, &u->remote, 16);
}

/* The pseudo-header's sum (RFC 9293 section 3.1), length left out if 0. */
static uint64_t
pseudo_sum(const struct tcp_tuple *u, uint32_t l4_len)
{
	uint64_t sum = rte_cpu_to_be_16(IPPROTO_TCP);

	sum += rte_cpu_to_be_16((uint16_t)l4_len);
	if (ip_addr_is_v4(&u->remote))
		return csum_add(
			csum_add(sum, &u->local.w[3], 4), &u->remote.w[3], 4);
	return csum_add(csum_add(sum, &u->local, 16), &u->remote, 16);
}

static void
offload(struct rte_mbuf *m, const struct tcp_tuple *u, uint8_t *th,
	uint32_t hdr_len, uint32_t l4_len, uint32_t mss)
{
	bool v4 = ip_addr_is_v4(&u->remote);

	m->l2_len = RTE_ETHER_HDR_LEN;
	m->l3_len = ip_len(u);
	m->l4_len = hdr_len;
	m->ol_flags |= RTE_MBUF_F_TX_TCP_CKSUM |
		       (v4 ? RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM
			   : RTE_MBUF_F_TX_IPV6);
	if (l4_len - hdr_len > mss) {
		m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
		m->tso_segsz = (uint16_t)mss;
		l4_len = 0; /* the port adds each segment's own */
	}
	packet_put16(th + 16, csum_fold(pseudo_sum(u, l4_len)));
}

/*
 * Write Ethernet, IP and TCP headers of `s` at the front of `m`, whose data
 * are these headers' room and the payload.
 */
static void
write_headers(struct tcp *t, struct rte_mbuf *m, const struct tcp_path *path,
	const struct tcp_tuple *u, struct tcp_seg *s, uint32_t mss)
{
	uint8_t *eth = rte_pktmbuf_mtod(m, uint8_t *);
	uint8_t *ip = eth + RTE_ETHER_HDR_LEN, *th = ip + ip_len(u);
	uint32_t hdr_len = seg_write(s, th, u->lport, u->rport);
	uint32_t l4_len = hdr_len + s->len;
	bool soft = !(t->cfg.offload & TCP_TX_CSUM);

	memcpy(eth, path->remote_mac, 6);
	memcpy(eth + 6, path->local_mac, 6);
	if (ip_addr_is_v4(&u->remote)) {
		packet_put16(eth + 12, RTE_BE16(RTE_ETHER_TYPE_IPV4));
		write_ipv4(ip, u, l4_len, soft);
	} else {
		packet_put16(eth + 12, RTE_BE16(RTE_ETHER_TYPE_IPV6));
		write_ipv6(ip, u, l4_len);
	}
	if (soft)
		packet_put16(th + 16,
			(uint16_t)~csum_fold(chain_sum(pseudo_sum(u, l4_len), m,
				(uint32_t)(th - eth), l4_len)));
	else
		offload(m, u, th, hdr_len, l4_len, mss);
	t->stats->out_segments++;
	t->cfg.emit(t->cfg.ctx, m);
}

/* --- payload ------------------------------------------------------------- */

static bool
is_in_place(struct rte_mbuf *m, uint32_t seq, uint32_t len, uint32_t room)
{
	const struct tcp_buf *b = buf_of(m);

	return b->seq == seq && b->len == len && RTE_MBUF_DIRECT(m) &&
	       rte_mbuf_refcnt_read(m) == 1 && b->off >= room;
}

static struct rte_mbuf *
in_place(struct rte_mbuf *m, uint32_t room)
{
	const struct tcp_buf *b = buf_of(m);

	rte_mbuf_refcnt_update(m, 1);
	m->data_off = (uint16_t)(b->off - room);
	m->data_len = (uint16_t)(b->len + room);
	m->pkt_len = m->data_len;
	m->ol_flags = 0;
	m->nb_segs = 1;
	m->next = NULL;
	return m;
}

/* A new mbuf with room for headers, as its data. */
static struct rte_mbuf *
head(struct tcp *t, uint32_t room)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(t->cfg.pool);

	if (m != NULL)
		m->data_len = (uint16_t)(m->pkt_len = room);
	return m;
}

static struct rte_mbuf *
copied(struct tcp_conn *c, struct rte_mbuf *from, uint32_t seq, uint32_t len,
	uint32_t room)
{
	struct rte_mbuf *m = head(c->stack, room);

	if (m == NULL)
		return NULL;
	for (; len > 0; from = buf_of(from)->next) {
		const struct tcp_buf *b = buf_of(from);
		uint32_t skip = seq - b->seq, n = b->len - skip;

		if (n > len)
			n = len;
		memcpy(rte_pktmbuf_append(m, (uint16_t)n),
			buf_data(from) + skip, n);
		seq += n;
		len -= n;
	}
	return m;
}

static bool
has_room(const struct rte_mbuf *m, uint32_t n)
{
	return RTE_MBUF_DIRECT(m) && rte_pktmbuf_tailroom(m) >= n;
}

/* `n` bytes of `from`, behind `skip`, into `part`: a copy or a reference. */
static void
fill_part(
	struct rte_mbuf *part, struct rte_mbuf *from, uint32_t skip, uint32_t n)
{
	if (n <= PART_COPY) {
		memcpy(rte_pktmbuf_mtod_offset(part, uint8_t *, part->data_len),
			buf_data(from) + skip, n);
		part->data_len += (uint16_t)n;
		return;
	}
	rte_pktmbuf_attach(part, from);
	part->data_off = (uint16_t)(buf_of(from)->off + skip);
	part->data_len = (uint16_t)n;
	part->pkt_len = n;
}

/*
 * Small parts are copied together, for a ring takes no chain of a thousand
 * bytes in as many mbufs: of 60 KiB there are 240 parts at most.
 */
static struct rte_mbuf *
chained(struct tcp_conn *c, struct rte_mbuf *from, uint32_t seq, uint32_t len,
	uint32_t room)
{
	struct rte_mbuf *m = head(c->stack, room), *last = m;

	for (; m != NULL && len > 0; from = buf_of(from)->next) {
		const struct tcp_buf *b = buf_of(from);
		uint32_t skip = seq - b->seq, n = b->len - skip;
		struct rte_mbuf *part = last;

		if (n > len)
			n = len;
		if (n > PART_COPY || !has_room(last, n))
			part = rte_pktmbuf_alloc(c->stack->cfg.pool);
		if (part == NULL) {
			rte_pktmbuf_free(m);
			return NULL;
		}
		fill_part(part, from, skip, n);
		if (part != last) {
			last->next = part;
			last = part;
			m->nb_segs++;
		}
		m->pkt_len += n;
		seq += n;
		len -= n;
	}
	return m;
}

static struct rte_mbuf *
payload(struct tcp_conn *c, uint32_t seq, uint32_t len, uint32_t room)
{
	struct rte_mbuf *from;

	if (len == 0)
		return head(c->stack, room);
	from = queue_at(c, seq);
	if (likely(is_in_place(from, seq, len, room)))
		return in_place(from, room);
	if ((c->stack->cfg.offload & TCP_TX_CHAINS) && len > COPY_MAX)
		return chained(c, from, seq, len, room);
	return copied(c, from, seq, len, room);
}

/* --- segments ------------------------------------------------------------ */

static uint8_t
syn_options(const struct tcp_conn *c, uint8_t flags)
{
	const struct tcp_config *cfg = &c->stack->cfg;
	uint8_t opts = TCP_OPT_MSS;

	if (flags & TCP_ACK)
		return opts | (c->opts & (TCP_OPT_WSCALE | TCP_OPT_SACKOK |
						 TCP_OPT_TS));
	if (!cfg->no_wscale)
		opts |= TCP_OPT_WSCALE;
	if (!cfg->no_sack)
		opts |= TCP_OPT_SACKOK;
	if (!cfg->no_timestamps)
		opts |= TCP_OPT_TS;
	return opts;
}

static void
fill_syn(struct tcp_conn *c, struct tcp_seg *s)
{
	uint32_t space = c->stack->cfg.rcv_buf;

	s->opts = syn_options(c, s->flags);
	s->mss = mss_of_mtu(c->stack, &c->tuple.remote, c->path.mtu);
	s->wscale = c->rcv_wscale;
	/* A SYN's window is never scaled (RFC 7323 section 2.2). */
	s->wnd = (uint16_t)(space < UINT16_MAX ? space : UINT16_MAX);
	if (s->flags & TCP_ACK)
		c->rcv_adv = c->rcv_nxt + s->wnd;
	else
		s->ack = 0;
}

static void
fill(struct tcp_conn *c, struct tcp_seg *s)
{
	s->opts = c->opts & TCP_OPT_TS;
	s->wnd = receive_window(c);
	/* Data are cut to leave no room for it: it goes with the next ACK. */
	if (unlikely(c->ooo.first != NULL) && s->len == 0) {
		s->opts |= c->opts & TCP_OPT_SACKOK ? TCP_OPT_SACK : 0;
		s->n_sack =
			(uint8_t)reass_blocks(&c->ooo, s->sack, TCP_SACK_MAX);
	}
}

/* All that it has acknowledged is said. */
static void
said(struct tcp_conn *c)
{
	c->flags &= (uint16_t)~CONN_ACK_NOW;
	c->ack_at = 0;
	c->ack_sent = c->rcv_nxt;
}

bool
frame_send(struct tcp_conn *c, uint32_t seq, uint32_t len, uint8_t flags)
{
	struct tcp *t = c->stack;
	struct tcp_seg s = { .seq = seq,
		.ack = c->rcv_nxt,
		.len = len,
		.flags = flags,
		.ts_val = conn_ts(c),
		.ts_ecr = c->ts_recent };
	struct rte_mbuf *m;

	if (unlikely(flags & TCP_SYN))
		fill_syn(c, &s);
	else
		fill(c, &s);
	if (unlikely(t->tx_room == 0))
		return false;
	m = payload(c, seq, len,
		RTE_ETHER_HDR_LEN + ip_len(&c->tuple) + seg_hdr_len(&s));
	if (unlikely(m == NULL)) {
		t->stats->no_memory++;
		return false;
	}
	t->tx_room--;
	if (flags & TCP_ACK)
		said(c);
	write_headers(t, m, &c->path, &c->tuple, &s, conn_mss(c));
	return true;
}

void
conn_reset(struct tcp_conn *c)
{
	struct tcp *t = c->stack;
	struct tcp_seg s = {
		.seq = c->snd_nxt, .ack = c->rcv_nxt, .flags = TCP_RST | TCP_ACK
	};
	struct rte_mbuf *m =
		head(t, RTE_ETHER_HDR_LEN + ip_len(&c->tuple) + TCP_HDR_MIN);

	if (m == NULL) {
		t->stats->no_memory++;
		return;
	}
	t->stats->resets_out++;
	write_headers(t, m, &c->path, &c->tuple, &s, TCP_MSS_DEFAULT4);
}

/* --- answers without a connection ---------------------------------------- */

void
frame_answer(struct tcp *t, const struct tcp_in *to, struct tcp_seg *s)
{
	const struct packet *p = &to->p;
	struct tcp_tuple u = { .lport = p->dport, .rport = p->sport };
	struct tcp_path path = { 0 };
	struct rte_mbuf *m;

	packet_addrs(p->data + PACKET_L3, &u.remote, &u.local);
	memcpy(path.local_mac, p->data, 6);
	memcpy(path.remote_mac, p->data + 6, 6);
	m = head(t, RTE_ETHER_HDR_LEN + ip_len(&u) + seg_hdr_len(s));
	if (m == NULL) {
		t->stats->no_memory++;
		return;
	}
	write_headers(t, m, &path, &u, s, TCP_MSS_DEFAULT4);
}

/* RFC 9293 section 3.5.2, group 1. */
void
frame_reset(struct tcp *t, const struct tcp_in *to)
{
	const struct tcp_seg *in = &to->s;
	struct tcp_seg s = { .flags = TCP_RST };

	if (in->flags & TCP_RST)
		return;
	if (in->flags & TCP_ACK) {
		s.seq = in->ack;
	} else {
		s.flags |= TCP_ACK;
		s.ack = in->seq + seg_space(in);
	}
	t->stats->resets_out++;
	frame_answer(t, to, &s);
}
