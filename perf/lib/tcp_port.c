/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/lib/tcp_port.h"

#include <stdio.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "dataplane/checksum.h"
#include "dataplane/packet.h"

#define BURST 64u

/* Frames on their way to the instance. */
#define WINDOW (SOFTLAB_RING * 3 / 4)

/* Of so many frames one is verified by the stack. */
#define CHECK_EVERY 16

/* So few TIME-WAITs: their ports are wanted again. */
#define TIME_WAIT 4096u

#define AT_IP  14
#define AT_DST 30 /* of an IPv4 frame */

#define BACKENDS_NET  0x0a000100u
#define BACKENDS_MASK 0xffffff00u

/* --- rings --------------------------------------------------------------- */

static inline uint32_t
ring_room(const struct tcp_port_ring *r)
{
	return TCP_PORT_RING - r->n;
}

static inline void
ring_put(struct tcp_port_ring *r, struct rte_mbuf *m)
{
	r->m[(r->first + r->n++) % TCP_PORT_RING] = m;
}

static inline struct rte_mbuf *
ring_get(struct tcp_port_ring *r)
{
	struct rte_mbuf *m = r->m[r->first];

	r->first = (r->first + 1) % TCP_PORT_RING;
	r->n--;
	return m;
}

/* --- what the stacks ask for --------------------------------------------- */

static void
emit(void *ctx, struct rte_mbuf *m)
{
	struct tcp_port *p = ctx;

	/* tcp_flush() asks for room first; what it does not ask for is lost. */
	if (ring_room(&p->out) == 0)
		rte_pktmbuf_free(m);
	else
		ring_put(&p->out, m);
}

/* Some is kept for what goes out without being asked for: resets. */
static uint16_t
room(void *ctx)
{
	const struct tcp_port *p = ctx;
	uint32_t n = ring_room(&p->out);

	return n > BURST ? (uint16_t)(n - BURST) : 0;
}

static int
route(void *ctx, uint32_t nexthop, struct tcp_path *path)
{
	static const uint8_t own[6] = { 2, 0, 0, 0, 0, 9 };
	const struct tcp_port *p = ctx;

	(void)nexthop;
	memcpy(path->local_mac, own, sizeof(own));
	memcpy(path->remote_mac, p->lab->tables->uplink[0].mac, 6);
	path->mtu = TCP_PORT_MTU;
	return 0;
}

/* --- in ------------------------------------------------------------------ */

static enum tcp_port_side
side_of(const struct rte_mbuf *m)
{
	uint32_t dst = packet_get32(
		rte_pktmbuf_mtod_offset(m, const uint8_t *, AT_DST));

	return (rte_be_to_cpu_32(dst) & BACKENDS_MASK) == BACKENDS_NET
		       ? TCP_PORT_BACKENDS
		       : TCP_PORT_CLIENTS;
}

static void
input(struct tcp_port *p, enum tcp_port_side side, struct rte_mbuf **pkts,
	uint16_t n, uint64_t now_ms)
{
	nf_verdict verdict[NF_BURST_MAX];

	if (n == 0)
		return;
	tcp_input(p->stack[side], pkts, n, verdict, now_ms);
	for (uint16_t i = 0; i < n; i++)
		if (verdict[i] != NF_HELD) {
			p->refused++;
			rte_pktmbuf_free(pkts[i]);
		}
}

static void
input_all(struct tcp_port *p, uint64_t now_ms)
{
	struct rte_mbuf *pkts[TCP_PORT_SIDES][NF_BURST_MAX];

	while (p->in.n > 0) {
		uint16_t n[TCP_PORT_SIDES] = { 0 };

		for (uint32_t k = RTE_MIN(p->in.n, NF_BURST_MAX); k > 0; k--) {
			struct rte_mbuf *m = ring_get(&p->in);
			enum tcp_port_side side = side_of(m);

			if (p->look-- > 0)
				m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_GOOD |
					       RTE_MBUF_F_RX_IP_CKSUM_GOOD;
			else
				p->look = CHECK_EVERY - 1;
			pkts[side][n[side]++] = m;
		}
		input(p, TCP_PORT_CLIENTS, pkts[0], n[0], now_ms);
		input(p, TCP_PORT_BACKENDS, pkts[1], n[1], now_ms);
	}
}

/* --- out ----------------------------------------------------------------- */

static uint64_t
payload_sum(
	const struct tcp_port *p, const struct rte_mbuf *m, const uint8_t *data)
{
	uint32_t len = (uint32_t)(rte_pktmbuf_mtod(m, const uint8_t *) +
				  m->data_len - data);

	for (uint32_t i = 0; i < p->n_known; i++)
		if (m->pool == p->known[i].pool && len == p->known[i].len)
			return p->known[i].sum;
	return csum_add(0, data, len);
}

static void
checksum(const struct tcp_port *p, struct rte_mbuf *m)
{
	uint8_t *ip = rte_pktmbuf_mtod_offset(m, uint8_t *, AT_IP);
	uint8_t *th = ip + m->l3_len;
	uint64_t sum;

	if (!(m->ol_flags & RTE_MBUF_F_TX_TCP_CKSUM))
		return;
	/* The stack has left the pseudo-header's sum in the field. */
	sum = csum_add(0, th, m->l4_len);
	sum += payload_sum(p, m, th + m->l4_len);
	packet_put16(th + 16, (uint16_t)~csum_fold(sum));
	packet_put16(ip + 10, 0);
	packet_put16(ip + 10, (uint16_t)~csum_fold(csum_add(0, ip, 20)));
	m->ol_flags = 0;
}

/* Seldom, for it reads many counters: have some been lost? */
static void
count_lost(struct tcp_port *p, uint64_t now_tsc)
{
	const struct softnic_vnic_stats *v = &p->lab->stats->vnic[0];

	if (p->full_tsc == 0)
		p->full_tsc = now_tsc;
	if (now_tsc - p->full_tsc <= p->tsc_per_ms)
		return;
	p->lost = 0;
	for (int r = 0; r < SOFTNIC_VNIC_DROPS; r++)
		p->lost += v->drop[r];
	p->full_tsc = now_tsc;
}

static uint32_t
link_room(struct tcp_port *p, uint64_t now_tsc)
{
	uint64_t came = p->lab->instance[0].stats->rx_packets - p->received0;
	uint64_t away = p->sent - came - p->lost;

	if (away < WINDOW) {
		p->full_tsc = 0;
		return WINDOW - (uint32_t)away;
	}
	count_lost(p, now_tsc);
	return 0;
}

/* From one stack to the other, by a copy, as through a NIC. */
static void
deliver_direct(struct tcp_port *p)
{
	while (p->out.n > 0 && ring_room(&p->in) > 0) {
		struct rte_mbuf *m = ring_get(&p->out);
		struct rte_mbuf *copy = rte_pktmbuf_alloc(p->pool);

		checksum(p, m);
		if (copy != NULL) {
			memcpy(rte_pktmbuf_append(copy, m->data_len),
				rte_pktmbuf_mtod(m, void *), m->data_len);
			ring_put(&p->in, copy);
		}
		rte_pktmbuf_free(m);
	}
}

static uint16_t
deliver(struct tcp_port *p, struct rte_mbuf **pkts, uint32_t max,
	uint64_t now_tsc)
{
	uint32_t n = RTE_MIN(max, p->out.n);

	if (n == 0)
		return 0;
	n = RTE_MIN(n, link_room(p, now_tsc));
	for (uint32_t i = 0; i < n; i++) {
		pkts[i] = ring_get(&p->out);
		checksum(p, pkts[i]);
	}
	p->sent += n;
	return (uint16_t)n;
}

/* --- the port ------------------------------------------------------------ */

static void
turn(struct tcp_port *p, uint64_t now_tsc)
{
	uint64_t now_ms = now_tsc / p->tsc_per_ms;

	input_all(p, now_ms);
	if (now_tsc >= p->tick_tsc) {
		for (int i = 0; i < TCP_PORT_SIDES; i++)
			tcp_tick(p->stack[i], now_ms);
		p->tick_tsc = now_tsc + p->tsc_per_ms / 4;
	}
	p->work(p->ctx, now_tsc);
	for (int i = 0; i < TCP_PORT_SIDES; i++)
		tcp_flush(p->stack[i], now_ms);
}

static uint16_t
on_receive(uint16_t port, uint16_t queue, struct rte_mbuf **pkts, uint16_t n,
	uint16_t max, void *ctx)
{
	struct tcp_port *p = ctx;
	uint64_t now_tsc = rte_rdtsc();

	(void)port;
	(void)queue;
	turn(p, now_tsc);
	if (p->direct)
		deliver_direct(p);
	else
		n = deliver(p, pkts, RTE_MIN(max, BURST), now_tsc);
	p->lab->traffic_tsc += rte_rdtsc() - now_tsc;
	return n;
}

/* The driver frees what it sends: that is one reference of two. */
static uint16_t
on_send(uint16_t port, uint16_t queue, struct rte_mbuf **pkts, uint16_t n,
	void *ctx)
{
	struct tcp_port *p = ctx;
	uint64_t from = rte_rdtsc();

	(void)port;
	(void)queue;
	n = (uint16_t)RTE_MIN(n, ring_room(&p->in));
	for (uint16_t i = 0; i < n; i++) {
		rte_mbuf_refcnt_update(pkts[i], 1);
		ring_put(&p->in, pkts[i]);
	}
	p->lab->traffic_tsc += rte_rdtsc() - from;
	return n;
}

/* --- control ------------------------------------------------------------- */

static struct tcp_config
config_of(struct tcp_port *p, enum tcp_port_side side, uint32_t connections)
{
	static const char *const name[] = { "clients", "backends" };

	return (struct tcp_config){ .max_connections = connections,
		.max_half_open = RTE_MIN(connections, 8192u),
		.max_time_wait = TIME_WAIT,
		.max_held = UINT32_MAX,
		.offload = TCP_TX_CSUM,
		.now_ms = rte_rdtsc() / (rte_get_tsc_hz() / 1000),
		.seed = 7 + (uint64_t)side,
		.pool = p->pool,
		.stats = &p->stats[side],
		.name = name[side],
		.ctx = p,
		.emit = emit,
		.room = room,
		.route = route };
}

size_t
tcp_port_memory(uint32_t connections, uint32_t mbufs)
{
	const struct tcp_config c = { .max_connections = connections,
		.max_time_wait = TIME_WAIT };

	return TCP_PORT_SIDES * tcp_memory(&c) +
	       (size_t)mbufs * (RTE_MBUF_DEFAULT_BUF_SIZE + 256);
}

static int
stacks_make(struct tcp_port *p, uint32_t connections)
{
	char why[200] = "";

	for (int i = 0; i < TCP_PORT_SIDES; i++) {
		struct tcp_config c =
			config_of(p, (enum tcp_port_side)i, connections);

		p->stack[i] = tcp_create(&c, why, sizeof(why));
		if (p->stack[i] == NULL) {
			fprintf(stderr, "the generator's TCP: %s\n", why);
			return -1;
		}
	}
	return 0;
}

int
tcp_port_init(struct tcp_port *p, struct softlab *lab, uint32_t connections,
	uint32_t mbufs)
{
	p->lab = lab;
	p->tsc_per_ms = rte_get_tsc_hz() / 1000;
	p->received0 = lab->instance[0].stats->rx_packets;
	p->pool = rte_pktmbuf_pool_create(
		"tcp", mbufs, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	if (p->pool == NULL) {
		fprintf(stderr, "no memory for packets\n");
		return -1;
	}
	if (stacks_make(p, connections) != 0)
		return -1;
	if (rte_eth_add_rx_callback(lab->port, 0, on_receive, p) != NULL &&
		rte_eth_add_tx_callback(lab->port, 0, on_send, p) != NULL)
		return 0;
	fprintf(stderr, "the port takes no callbacks\n");
	return -1;
}

uint64_t
tcp_port_retransmits(const struct tcp_port *p)
{
	return p->stats[0].retransmits + p->stats[1].retransmits;
}

/* --- payload that is sent often ------------------------------------------ */

struct content {
	const void *head;
	uint32_t head_len, len;
};

static void
content_write(struct rte_mempool *pool, void *arg, void *obj, unsigned int i)
{
	const struct content *c = arg;
	struct rte_mbuf *m = obj;
	uint8_t *at = (uint8_t *)m->buf_addr + RTE_PKTMBUF_HEADROOM;

	(void)pool;
	(void)i;
	memset(at, 'x', c->len);
	memcpy(at, c->head, c->head_len);
}

static struct rte_mempool *
blob_pool(struct tcp_port *p, const char *name, uint32_t mbufs,
	const struct content *c)
{
	struct rte_mempool *pool = rte_pktmbuf_pool_create(
		name, mbufs, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	uint8_t bytes[TCP_PORT_MSS];

	if (pool == NULL || p->n_known == TCP_PORT_BLOBS)
		return NULL;
	rte_mempool_obj_iter(
		pool, content_write, (void *)(uintptr_t)(const void *)c);
	memset(bytes, 'x', sizeof(bytes));
	memcpy(bytes, c->head, c->head_len);
	p->known[p->n_known++] = (struct tcp_port_known){
		.pool = pool, .len = c->len, .sum = csum_add(0, bytes, c->len)
	};
	return pool;
}

int
tcp_blob_init(struct tcp_blob *b, struct tcp_port *p, const char *name,
	uint32_t mbufs, const void *head, uint32_t head_len, uint32_t len)
{
	struct content first = { head, head_len, RTE_MIN(len, TCP_PORT_MSS) };
	const struct content rest = { "", 0, TCP_PORT_MSS };
	char more[24];

	snprintf(more, sizeof(more), "%s+", name);
	b->len = len;
	b->first_len = first.len;
	b->first = blob_pool(p, name, mbufs, &first);
	b->rest = NULL;
	if (len > first.len)
		b->rest = blob_pool(p, more, mbufs, &rest);
	if (b->first != NULL && (b->rest != NULL || len == first.len))
		return 0;
	fprintf(stderr, "no memory for packets of \"%s\"\n", name);
	return -1;
}

/* One mbuf of it, from `from` on. */
static struct rte_mbuf *
blob_part(const struct tcp_blob *b, uint32_t from)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(from == 0 ? b->first : b->rest);
	uint32_t len =
		from == 0 ? b->first_len : RTE_MIN(b->len - from, TCP_PORT_MSS);

	if (m != NULL)
		m->data_len = (uint16_t)(m->pkt_len = len);
	return m;
}

struct rte_mbuf *
tcp_blob_take(const struct tcp_blob *b, uint32_t from, uint32_t max)
{
	struct rte_mbuf *chain = blob_part(b, from), *last = chain;

	if (chain == NULL)
		return NULL;
	from += chain->data_len;
	while (from < b->len && chain->pkt_len < max) {
		struct rte_mbuf *m = blob_part(b, from);

		if (m == NULL)
			break;
		last->next = m;
		last = m;
		chain->nb_segs++;
		chain->pkt_len += m->data_len;
		from += m->data_len;
	}
	return chain;
}
