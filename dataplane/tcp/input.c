/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A burst of frames comes in.
 *
 * All of it is read first, then looked up at once, so that the table's lines
 * are fetched side by side; then one segment after the other. What a segment
 * does to the table (a SYN, an end) is seen by those behind it: they are
 * looked up again.
 */
#include <netinet/in.h>
#include <rte_byteorder.h>
#include <rte_hash.h>
#include <rte_mbuf.h>
#include <rte_prefetch.h>

#include "dataplane/checksum.h"
#include "dataplane/tcp/chain.h"
#include "dataplane/tcp/internal.h"

#define CSUM_GOOD 0xffff

/* Frames between the one that is fetched and the one that is read. */
#define AHEAD      4
#define USER_AHEAD 2

static void
tuple_of(const struct packet *p, struct tcp_tuple *u)
{
	packet_addrs(p->data + PACKET_L3, &u->remote, &u->local);
	u->lport = p->dport;
	u->rport = p->sport;
}

static bool
checksum_ok(const struct rte_mbuf *m, const struct packet *p)
{
	const uint8_t *ip = p->data + PACKET_L3;
	uint64_t sum = rte_cpu_to_be_16(IPPROTO_TCP);

	if ((m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) ==
		RTE_MBUF_F_RX_L4_CKSUM_GOOD)
		return true;
	if (p->version == 4) {
		if (csum_fold(csum_add(0, ip, (ip[0] & 15) * 4u)) != CSUM_GOOD)
			return false;
		sum = csum_add(sum, ip + 12, 8);
	} else {
		sum = csum_add(sum, ip + 8, 32);
	}
	sum += rte_cpu_to_be_16(p->l4_len);
	if (likely(m->nb_segs == 1))
		sum = csum_add(sum, p->data + p->l4, p->l4_len);
	else
		sum = chain_sum(sum, m, p->l4, p->l4_len);
	return csum_fold(sum) == CSUM_GOOD;
}

/*
 * Read one frame. NF_TX: it is a segment, in->s and in->key are filled;
 * NF_HELD: it was an ICMP error and is dealt with.
 */
static nf_verdict
read_frame(struct tcp *t, struct tcp_in *in)
{
	struct rte_mbuf *m = in->m;
	struct packet *p = &in->p;
	struct tcp_tuple u;
	nf_verdict v = packet_parse(p, rte_pktmbuf_mtod(m, uint8_t *),
		rte_pktmbuf_data_len(m), rte_pktmbuf_pkt_len(m));

	if (v != NF_TX)
		return v;
	if (p->frag != PACKET_WHOLE)
		return NF_DROP(NF_DROP_FRAGMENT);
	if (p->proto != IPPROTO_TCP) {
		if (!packet_is_icmp_error(p))
			return NF_DROP(NF_DROP_NOT_OURS);
		return NF_HELD;
	}
	if (!checksum_ok(m, p))
		return NF_DROP(TCP_DROP_CHECKSUM);
	if (seg_parse(&in->s, p->data + p->l4, p->seg - p->l4, p->l4_len) != 0)
		return NF_DROP(NF_DROP_MALFORMED);
	tuple_of(p, &u);
	in->key = table_key(t, &u);
	return NF_TX;
}

/* Give one segment to whom it is for. */
static nf_verdict
hand_on(struct tcp *t, struct tcp_in *in, bool hit, void *data, bool fresh)
{
	struct tcp_wait *w = NULL;
	struct tcp_conn *c = NULL;
	struct tcp_tuple u;
	uint32_t min_isn = 0;

	t->stats->in_segments++;
	tuple_of(&in->p, &u);
	if (!fresh)
		table_find(t, &u, &c, &w);
	else if (hit)
		table_resolve(t, (uintptr_t)data, &u, &c, &w);
	if (likely(c != NULL)) {
		conn_input(c, in);
		return NF_HELD;
	}
	if (w != NULL && !wait_input(t, w, in, &min_isn)) {
		rte_pktmbuf_free(in->m);
		return NF_HELD;
	}
	return listen_input(t, in, &u, min_isn);
}

/* No NIC looks at ICMP's, and an error that is damaged says anything. */
static bool
icmp_checksum_ok(const struct tcp_in *in)
{
	const struct packet *p = &in->p;
	uint64_t sum = 0;

	if (p->version == 6) {
		sum = rte_cpu_to_be_16(PACKET_ICMP6);
		sum += rte_cpu_to_be_16(p->l4_len);
		sum = csum_add(sum, p->data + PACKET_L3 + 8, 32);
	}
	return csum_fold(chain_sum(sum, in->m, p->l4, p->l4_len)) == CSUM_GOOD;
}

/* One ICMP error; its frame is done with. */
static nf_verdict
hand_icmp(struct tcp *t, struct tcp_in *in)
{
	if (!icmp_checksum_ok(in))
		return NF_DROP(TCP_DROP_CHECKSUM);
	icmp_input(t, in);
	rte_pktmbuf_free(in->m);
	return NF_HELD;
}

static void
prefetch(const struct tcp *t, uintptr_t data)
{
	const uint8_t *line;

	if (data >= t->cfg.max_connections) {
		rte_prefetch0(&t->wait[data - t->cfg.max_connections]);
		return;
	}
	line = (const uint8_t *)&t->conn[data];
	for (uint32_t i = 0; i < sizeof(struct tcp_conn); i += 64)
		rte_prefetch0(line + i);
	rte_prefetch0(&t->link[data]);
}

/* Look in[0..n) up, all at once. Bit i of the result: data[i] is there. */
static uint64_t
look_up(const struct tcp *t, struct tcp_in *in, uint16_t n, void **data)
{
	const void *key[NF_BURST_MAX];
	hash_sig_t sig[NF_BURST_MAX];
	uint64_t hits = 0;

	if (n == 0)
		return 0;
	for (uint16_t i = 0; i < n; i++) {
		key[i] = &in[i].key;
		sig[i] = (hash_sig_t)in[i].key;
	}
	rte_hash_lookup_with_hash_bulk_data(t->hash, key, sig, n, &hits, data);
	for (uint16_t i = 0; i < n; i++)
		if (hits >> i & 1)
			prefetch(t, (uintptr_t)data[i]);
	return hits;
}

/*
 * Another core has written the frame: its headers are in two lines, and a
 * small payload in a third.
 */
static inline void
prefetch_frame(struct rte_mbuf *const *pkts, uint16_t i, uint16_t n)
{
	const uint8_t *line;

	if (i >= n)
		return;
	line = rte_pktmbuf_mtod(pkts[i], const uint8_t *);
	rte_prefetch0(line);
	rte_prefetch0(line + 64);
	if (pkts[i]->data_len > 128)
		rte_prefetch0(line + 128);
}

/* What is the user's of a connection that was fetched some segments ago. */
static inline void
prefetch_user(const struct tcp *t, uintptr_t data)
{
	if (data < t->cfg.max_connections)
		rte_prefetch0(t->conn[data].user);
}

void
tcp_input(struct tcp *t, struct rte_mbuf **pkts, uint16_t n,
	nf_verdict *verdict, uint64_t now_ms)
{
	struct tcp_in in[NF_BURST_MAX];
	uint16_t at[NF_BURST_MAX] = { 0 }, n_seg = 0;
	void *data[NF_BURST_MAX];
	uint64_t hits;
	uint32_t changes;

	t->now_ms = now_ms;
	for (uint16_t i = 0; i < AHEAD; i++)
		prefetch_frame(pkts, i, n);
	for (uint16_t i = 0; i < n; i++) {
		prefetch_frame(pkts, (uint16_t)(i + AHEAD), n);
		in[n_seg].m = pkts[i];
		verdict[i] = read_frame(t, &in[n_seg]);
		if (verdict[i] == NF_HELD)
			verdict[i] = hand_icmp(t, &in[n_seg]);
		else if (verdict[i] == NF_TX)
			at[n_seg++] = i;
	}
	hits = look_up(t, in, n_seg, data);
	changes = t->changes;
	for (uint16_t k = 0; k < n_seg; k++) {
		if (k + USER_AHEAD < n_seg && hits >> (k + USER_AHEAD) & 1)
			prefetch_user(t, (uintptr_t)data[k + USER_AHEAD]);
		verdict[at[k]] = hand_on(t, &in[k], hits >> k & 1, data[k],
			t->changes == changes);
	}
}
