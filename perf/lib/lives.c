/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/lib/lives.h"

#include <stdio.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>

#include "dataplane/packet.h"
#include "perf/lib/clients.h"

#define BURST 64u
#define POOL  8191
#define LEN   64

/* Packets on their way. */
#define WINDOW (SOFTLAB_RING * 3 / 4)

/* Its number stands in the first bytes of a connection's data. */
#define AT_NUMBER 54
#define AT_SRC    26
#define AT_DST    30
#define AT_SPORT  34
#define AT_DPORT  36

static void
ready_put(struct lives *l, uint32_t i)
{
	l->ready[(l->ready_at + l->n_ready++) % LIVES_MAX] = i;
}

static uint32_t
ready_get(struct lives *l)
{
	uint32_t i = l->ready[l->ready_at];

	l->ready_at = (l->ready_at + 1) % LIVES_MAX;
	l->n_ready--;
	return i;
}

static void
begin(struct lives *l, uint32_t i)
{
	l->conn[i] = bench_conn_make(l->next++);
	l->step[i] = 0;
	ready_put(l, i);
}

/* --- in --- */

/* What is held back until it is durable is then sent at once: it must fit. */
static uint32_t
room(const struct lives *l)
{
	uint64_t away = l->sent - l->came;

	return away >= WINDOW ? 0 : WINDOW - (uint32_t)away;
}

static uint16_t
on_receive(uint16_t port, uint16_t queue, struct rte_mbuf **pkts, uint16_t n,
	uint16_t max, void *ctx)
{
	struct lives *l = ctx;
	uint64_t from = rte_rdtsc();

	(void)port;
	(void)queue;
	n = (uint16_t)RTE_MIN(RTE_MIN(max, BURST), l->n_ready);
	n = (uint16_t)RTE_MIN(n, room(l));
	if (!l->run || n == 0 || rte_pktmbuf_alloc_bulk(l->pool, pkts, n) != 0)
		n = 0;
	for (uint16_t k = 0; k < n; k++) {
		uint8_t *d = rte_pktmbuf_mtod(pkts[k], uint8_t *);
		uint32_t i = ready_get(l);

		clients_write(&l->conn[i], l->step[i], d);
		packet_put32(d + AT_NUMBER, i);
		pkts[k]->data_len = LEN;
		pkts[k]->pkt_len = LEN;
	}
	l->sent += n;
	l->lab->traffic_tsc += rte_rdtsc() - from;
	return n;
}

/* --- out --- */

/* To whom the packet of this step must go. */
static int
is_right(const struct bench_conn *c, uint8_t step, const uint8_t *d)
{
	if (step == 1 || step == 4)
		return packet_get32(d + AT_DST) == c->client &&
		       packet_get16(d + AT_DPORT) == c->client_port;
	if (step == 0)
		return packet_get16(d + AT_DPORT) == RTE_BE16(8080);
	return packet_get32(d + AT_SRC) == c->snat &&
	       packet_get16(d + AT_SPORT) == c->snat_port &&
	       packet_get32(d + AT_DST) == c->backend;
}

static void
take(struct lives *l, const struct rte_mbuf *m)
{
	const uint8_t *d = rte_pktmbuf_mtod(m, const uint8_t *);
	uint32_t i = packet_get32(d + AT_NUMBER);

	l->came++;
	if (m->pkt_len != LEN || i >= LIVES_MAX ||
		!is_right(&l->conn[i], l->step[i], d)) {
		l->wrong++;
		return;
	}
	if (l->step[i] == 0)
		bench_conn_learn(&l->conn[i], d);
	if (++l->step[i] < LIVES_STEPS) {
		ready_put(l, i);
		return;
	}
	l->ended++;
	begin(l, i);
}

static uint16_t
on_send(uint16_t port, uint16_t queue, struct rte_mbuf **pkts, uint16_t n,
	void *ctx)
{
	struct lives *l = ctx;
	uint64_t from = rte_rdtsc();

	(void)port;
	(void)queue;
	for (uint16_t i = 0; i < n; i++)
		take(l, pkts[i]);
	l->lab->traffic_tsc += rte_rdtsc() - from;
	return n;
}

/* --- control --- */

int
lives_init(struct lives *l, struct softlab *lab)
{
	memset(l, 0, sizeof(*l));
	l->lab = lab;
	for (uint32_t i = 0; i < LIVES_MAX; i++)
		begin(l, i);
	l->pool = rte_pktmbuf_pool_create("traffic", POOL, 256, 0,
		RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	if (l->pool != NULL &&
		rte_eth_add_rx_callback(lab->port, 0, on_receive, l) != NULL &&
		rte_eth_add_tx_callback(lab->port, 0, on_send, l) != NULL)
		return 0;
	fprintf(stderr, "no memory for packets, or for callbacks\n");
	return -1;
}

uint64_t
lives_lost(const struct lives *l)
{
	return softlab_drops(l->lab, 0);
}
