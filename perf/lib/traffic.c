/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/lib/traffic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "dataplane/checksum.h"
#include "dataplane/packet.h"

#define BURST    64
#define BLOCK    2048u
#define POOL     8191
#define SAMPLES  (1u << 20)
#define DRAIN_NS 5000000000ull

#define AT_SRC     26 /* of an IPv4 frame without options */
#define AT_DST     30
#define AT_SPORT   34
#define AT_DPORT   36
#define AT_FLOW    42
#define AT_STREAM  46
#define AT_STAMP   50
#define HEAD       42
#define BACKEND(i) (0x0a000115u + (i))

/* One cache line, read for each frame. */
struct traffic_flow {
	uint8_t head[HEAD]; /* of the client's frames */
	uint16_t snat_port; /* all of these as on the wire */
	uint32_t snat;      /* 0: not seen at a backend yet */
	uint32_t backend;
	uint8_t answer; /* the backend's turn */
	uint8_t way;    /* of the stream's, that it is steered to */
	uint8_t pad[10];
};

_Static_assert(sizeof(struct traffic_flow) == 64, "one cache line");

/* --- frames --- */

static void
ip_checksum(uint8_t *d)
{
	packet_put16(d + 24, 0);
	packet_put16(d + 24, (uint16_t)~csum_fold(csum_add(0, d + 14, 20)));
}

static void
head_make(struct traffic_flow *f, const struct traffic_stream *s, uint32_t i)
{
	static const uint8_t start[] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 8,
		0, 0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17 };
	/* 1024 ports of each client address, in an order of no pattern. */
	uint32_t x = i * 2654435761u;
	uint8_t *d = f->head;

	memset(f, 0, sizeof(*f));
	memcpy(d, start, sizeof(start));
	packet_put16(d + 16, rte_cpu_to_be_16((uint16_t)(s->len - 14)));
	packet_put32(d + AT_SRC, rte_cpu_to_be_32(0x0b000000 + (x >> 10)));
	packet_put32(d + AT_DST, s->vip);
	packet_put16(
		d + AT_SPORT, rte_cpu_to_be_16((uint16_t)(1024 + (x & 1023))));
	packet_put16(d + AT_DPORT, s->vport);
	packet_put16(d + 38, rte_cpu_to_be_16((uint16_t)(s->len - 34)));
	packet_put16(d + 40, 0x1234);
	ip_checksum(d);
}

/* What a backend answers, to whom it was sent by. */
static void
answer_make(uint8_t *d, const struct traffic_flow *f)
{
	packet_put32(d + AT_SRC, f->backend);
	packet_put32(d + AT_DST, f->snat);
	packet_put16(d + AT_SPORT, RTE_BE16(8080));
	packet_put16(d + AT_DPORT, f->snat_port);
	ip_checksum(d);
}

/*
 * All flows in turn, so that none is in a cache because it was just there. To
 * learn them, in blocks, each twice, so that a backend's first answer comes
 * soon, and not after all are half open. A block is larger than any window.
 */
static inline uint32_t
flow_after(struct traffic_stream *s)
{
	uint32_t next = s->next + 1;

	if (next < s->n_flows && next % BLOCK != 0)
		return next;
	s->again = s->learn && !s->again;
	if (s->again)
		return s->next / BLOCK * BLOCK;
	return next < s->n_flows ? next : 0;
}

static inline void
frame_make(struct traffic_stream *s, uint32_t stream, struct rte_mbuf *m,
	uint64_t stamp)
{
	struct traffic_flow *f = &s->flow[s->next];
	uint8_t *d = rte_pktmbuf_mtod(m, uint8_t *);

	memcpy(d, f->head, HEAD);
	if (s->lb) {
		if (f->answer)
			answer_make(d, f);
		f->answer = !f->answer && f->snat != 0;
	}
	packet_put32(d + AT_FLOW, s->next);
	packet_put32(d + AT_STREAM, stream);
	memcpy(d + AT_STAMP, &stamp, sizeof(stamp));
	m->data_len = s->len;
	m->pkt_len = s->len;
	s->way[f->way].sent++;
	s->next = flow_after(s);
	s->sent++;
}

/* --- in --- */

static inline uint32_t
way_room(const struct traffic_stream *s, uint32_t w)
{
	const struct traffic_way *way = &s->way[w];
	uint64_t away = way->sent - way->came - way->lost;

	return away < s->window ? s->window - (uint32_t)away : 0;
}

/* Seldom, for it reads many counters: has one been lost? */
static void
way_full(struct traffic *t, struct traffic_stream *s, uint32_t w, uint64_t now)
{
	struct traffic_way *way = &s->way[w];

	if (way->full_tsc == 0)
		way->full_tsc = now;
	if (now - way->full_tsc <= rte_get_tsc_hz() / 1000)
		return;
	way->lost = softlab_drops(t->lab, s->first_vnic + w);
	way->full_tsc = now;
}

static uint32_t
window_room(struct traffic *t, struct traffic_stream *s, uint64_t now)
{
	uint32_t sum = 0;

	for (uint32_t w = 0; w < s->n_vnics; w++) {
		uint32_t room = way_room(s, w);

		if (room == 0)
			way_full(t, s, w, now);
		else
			s->way[w].full_tsc = 0;
		sum += room;
	}
	return sum;
}

/* How many may go, of at most `max`. */
static inline uint32_t
due(struct traffic *t, struct traffic_stream *s, uint32_t max, uint64_t now)
{
	double late = (double)now - s->due_tsc;

	if (s->pps == 0)
		return s->window == 0 ? 0
				      : RTE_MIN(max, window_room(t, s, now));
	if (late < 0)
		return 0;
	late /= s->tsc_per_frame;
	return late >= max ? max : RTE_MIN(max, (uint32_t)late + 1);
}

/* On to a flow whose VNIC has room; there is one, or nearly. */
static inline void
flow_with_room(struct traffic_stream *s)
{
	for (uint32_t i = 0; i < s->n_flows; i++) {
		if (way_room(s, s->flow[s->next].way) > 0)
			return;
		s->next = flow_after(s);
	}
}

static uint32_t
stream_make(struct traffic *t, uint32_t i, struct rte_mbuf **pkts, uint32_t max,
	uint64_t now)
{
	struct traffic_stream *s = &t->stream[i];
	uint32_t n = due(t, s, max, now);

	if (n == 0 || rte_pktmbuf_alloc_bulk(t->pool, pkts, n) != 0)
		return 0;
	for (uint32_t k = 0; k < n; k++) {
		if (s->pps > 0) {
			now = (uint64_t)s->due_tsc;
			s->due_tsc += s->tsc_per_frame;
		} else if (s->n_vnics > 1) {
			flow_with_room(s);
		}
		frame_make(s, i, pkts[k], now);
	}
	return n;
}

/* The driver gives nothing: what it would have received is made here. */
static uint16_t
on_receive(uint16_t port, uint16_t queue, struct rte_mbuf **pkts, uint16_t n,
	uint16_t max, void *ctx)
{
	struct traffic *t = ctx;
	uint64_t now = rte_rdtsc();
	uint32_t made = n, room = RTE_MIN(max, BURST);

	(void)port;
	(void)queue;
	/* Each first in its turn, so that none starves behind the others. */
	for (uint32_t k = 0; k < t->n_streams && made < room; k++) {
		uint32_t i = (t->turn + k) % t->n_streams;

		made += stream_make(t, i, pkts + made, room - made, now);
	}
	t->turn++;
	t->lab->traffic_tsc += rte_rdtsc() - now;
	return (uint16_t)made;
}

/* --- out --- */

static inline int
echo_right(const struct traffic_flow *f, const uint8_t *d)
{
	return packet_get32(d + AT_SRC) == packet_get32(f->head + AT_DST) &&
	       packet_get32(d + AT_DST) == packet_get32(f->head + AT_SRC) &&
	       packet_get16(d + AT_SPORT) == packet_get16(f->head + AT_DPORT) &&
	       packet_get16(d + AT_DPORT) == packet_get16(f->head + AT_SPORT);
}

/* At a backend: for the first time, or as it was then. */
static inline int
backend_right(struct traffic_flow *f, const uint8_t *d)
{
	uint32_t snat = packet_get32(d + AT_SRC);
	uint32_t backend = packet_get32(d + AT_DST);
	uint16_t port = packet_get16(d + AT_SPORT);

	if (rte_be_to_cpu_32(backend) - BACKEND(0) >= TRAFFIC_BACKENDS ||
		packet_get16(d + AT_DPORT) != RTE_BE16(8080))
		return 0;
	if (f->snat == 0) {
		f->snat = snat;
		f->snat_port = port;
		f->backend = backend;
		f->answer = 1;
		return 1;
	}
	return f->snat == snat && f->snat_port == port && f->backend == backend;
}

static inline int
frame_right(struct traffic_stream *s, struct rte_mbuf *m, const uint8_t *d)
{
	uint32_t i = packet_get32(d + AT_FLOW);
	struct traffic_flow *f;

	if (m->pkt_len != s->len || i >= s->n_flows)
		return 0;
	f = &s->flow[i];
	s->way[f->way].came++;
	if (s->lb && packet_get32(d + AT_SRC) != s->vip)
		return backend_right(f, d);
	return echo_right(f, d);
}

static inline void
frame_take(struct traffic *t, struct rte_mbuf *m, uint64_t now)
{
	const uint8_t *d = rte_pktmbuf_mtod(m, const uint8_t *);
	uint32_t i = packet_get32(d + AT_STREAM);
	struct traffic_stream *s;
	uint64_t stamp;

	if (m->pkt_len < TRAFFIC_LEN_MIN || i >= t->n_streams) {
		t->stream[0].wrong++;
		return;
	}
	s = &t->stream[i];
	s->came++;
	if (!frame_right(s, m, d))
		s->wrong++;
	if (s->stride == 0 || s->came % s->stride != 0)
		return;
	memcpy(&stamp, d + AT_STAMP, sizeof(stamp));
	samples_add(&s->delay, now - stamp);
}

/* All are left to the driver, which frees them. */
static uint16_t
on_send(uint16_t port, uint16_t queue, struct rte_mbuf **pkts, uint16_t n,
	void *ctx)
{
	struct traffic *t = ctx;
	uint64_t now = rte_rdtsc();

	(void)port;
	(void)queue;
	for (uint16_t i = 0; i < n; i++)
		frame_take(t, pkts[i], now);
	t->lab->traffic_tsc += rte_rdtsc() - now;
	return n;
}

/* --- control --- */

/* By the tables that the NIC goes by. */
static uint8_t
way_of(const struct softlab *lab, const struct traffic_stream *s,
	const struct traffic_flow *f)
{
	const struct plan *plan = lab->plan;
	struct steer_tuple c = { .src = ip_addr_from_v4(
					 packet_get32(f->head + AT_SRC)),
		.dst = ip_addr_from_v4(s->vip),
		.sport = packet_get16(f->head + AT_SPORT),
		.dport = s->vport,
		.proto = 17 };

	for (unsigned int i = 0; i < plan->n_steers; i++) {
		const struct plan_steer *r = &plan->steers[i];

		if (ip_addr_eq(&r->key.addr, &c.dst) && r->key.port == c.dport)
			return (uint8_t)(plan->entries[r->target.first +
						       steer_bucket(&c,
							       plan->seed,
							       &r->target)] -
					 s->first_vnic);
	}
	return 0;
}

static int
stream_init(struct traffic_stream *s, const struct softlab *lab)
{
	s->flow = aligned_alloc(64, (size_t)s->n_flows * sizeof(*s->flow));
	if (s->flow == NULL || samples_init(&s->delay, SAMPLES) != 0)
		return -1;
	for (uint32_t i = 0; i < s->n_flows; i++) {
		head_make(&s->flow[i], s, i);
		s->flow[i].way = way_of(lab, s, &s->flow[i]);
	}
	return 0;
}

int
traffic_init(struct traffic *t, struct softlab *lab)
{
	t->lab = lab;
	t->pool = rte_pktmbuf_pool_create("traffic", POOL, 256, 0,
		RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	if (t->pool == NULL) {
		fprintf(stderr, "no memory for packets\n");
		return -1;
	}
	for (uint32_t i = 0; i < t->n_streams; i++)
		if (stream_init(&t->stream[i], lab) != 0) {
			fprintf(stderr, "no memory for flows\n");
			return -1;
		}
	if (rte_eth_add_rx_callback(lab->port, 0, on_receive, t) == NULL ||
		rte_eth_add_tx_callback(lab->port, 0, on_send, t) == NULL) {
		fprintf(stderr, "the port takes no callbacks\n");
		return -1;
	}
	return 0;
}

void
traffic_start(struct traffic *t, uint32_t i)
{
	struct traffic_stream *s = &t->stream[i];

	for (uint32_t w = 0; w < s->n_vnics; w++) {
		s->way[w].lost = softlab_drops(t->lab, s->first_vnic + w);
		s->way[w].full_tsc = 0;
	}
	s->delay.n = 0;
	if (s->pps > 0) {
		s->tsc_per_frame = (double)rte_get_tsc_hz() / s->pps;
		s->due_tsc = (double)rte_rdtsc();
	}
}

static int
is_drained(struct traffic *t)
{
	for (uint32_t i = 0; i < t->n_streams; i++) {
		const struct traffic_stream *s = &t->stream[i];

		if (s->sent - s->came != traffic_lost(t, i))
			return 0;
	}
	return 1;
}

int
traffic_drain(struct traffic *t)
{
	uint64_t end = now_ns() + DRAIN_NS;
	char drops[400];

	for (uint32_t i = 0; i < t->n_streams; i++)
		t->stream[i].window = 0, t->stream[i].pps = 0;
	while (!is_drained(t)) {
		softlab_run(t->lab, 100000);
		if (now_ns() < end)
			continue;
		for (uint32_t i = 0; i < t->n_streams; i++)
			fprintf(stderr,
				"stream %u: of %llu frames %llu came, %llu "
				"were dropped\n",
				i, (unsigned long long)t->stream[i].sent,
				(unsigned long long)t->stream[i].came,
				(unsigned long long)traffic_lost(t, i));
		fprintf(stderr, "%s\n",
			softlab_drops_say(t->lab, drops, sizeof(drops)));
		return -1;
	}
	return 0;
}

uint64_t
traffic_lost(const struct traffic *t, uint32_t i)
{
	const struct traffic_stream *s = &t->stream[i];
	uint64_t sum = 0;

	for (uint32_t v = 0; v < s->n_vnics; v++)
		sum += softlab_drops(t->lab, s->first_vnic + v);
	return sum;
}

uint32_t
traffic_known(const struct traffic_stream *s)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < s->n_flows; i++)
		n += s->flow[i].snat != 0;
	return n;
}
