/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A round of the loop: what came in on the uplinks goes into the instances'
 * rings, what they send goes out (transmit.c).
 *
 * Frames are handled in bursts. Those of one VNIC gather in its stage, so
 * that its ring is written to, and its doorbell rung, once a round. Nothing
 * here waits, locks or calls the kernel per packet; a frame for the kernel
 * does, of which there are few.
 *
 * Order matters in one place: links and tables are looked at as the round
 * begins, and what was seen is used until it ends with a quiescent state;
 * what others free in between they free after that.
 */
#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_prefetch.h>
#include <string.h>
#include <time.h>

#include "dataplane/clock.h"
#include "dataplane/softnic/nic.h"

/* --- captures ------------------------------------------------------------ */

void
nic_capture(struct softnic *nic, uint32_t i, const struct rte_mbuf *m, int drop,
	uint32_t from_vnic)
{
	struct capture_header head = {
		.vnic = i,
		.length = rte_pktmbuf_data_len(m),
		.drop = drop,
		.from_vnic = from_vnic,
	};

	if (!nic_captures(nic, i))
		return;
	head.time_ns = clock_ns(CLOCK_MONOTONIC);
	capture_put(nic->capture, &head, rte_pktmbuf_mtod(m, const void *));
}

/* --- into the instances' rings ------------------------------------------- */

void
nic_break(struct softnic *nic, uint32_t i, int rc)
{
	nic->stats->vnic[i].drop[-1 - rc]++;
	nic->link[i] = NULL;
	nic->received &= ~(1u << i);
	nic->sent &= ~(1u << i);
	attach_break(nic->attach, i);
}

static void
stage_capture(struct softnic *nic, uint32_t i, uint16_t taken, int drop)
{
	const struct nic_stage *g = &nic->stage[i];

	for (uint16_t k = 0; k < g->n; k++)
		nic_capture(nic, i, g->pkts[k], k < taken ? -1 : drop, 0);
}

static void
stage_flush(struct softnic *nic, uint32_t i)
{
	struct softnic_vnic_stats *s = &nic->stats->vnic[i];
	struct nic_stage *g = &nic->stage[i];
	uint16_t large = 0, taken = 0;
	int drop = SOFTNIC_INSTANCE_DOWN, rc;
	uint64_t bytes = 0;

	if (nic->link[i] != NULL) {
		rc = virtq_put(&nic->link[i]->to, g->pkts, g->n, &large);
		if (rc < 0)
			nic_break(nic, i, rc);
		else
			drop = SOFTNIC_RX_FULL;
		taken = rc < 0 ? 0 : (uint16_t)rc;
	}
	for (uint16_t k = 0; k < taken; k++)
		bytes += rte_pktmbuf_pkt_len(g->pkts[k]);
	if (nic_captures(nic, i))
		stage_capture(nic, i, taken, drop);
	s->rx_packets += (uint16_t)(taken - large);
	s->rx_bytes += bytes;
	s->drop[SOFTNIC_RX_LARGE] += large;
	s->drop[drop] += (uint16_t)(g->n - taken);
	nic->received |= (uint32_t)(taken > 0) << i;
	rte_pktmbuf_free_bulk(g->pkts, g->n);
	g->n = 0;
}

static inline void
stage_add(struct softnic *nic, uint32_t i, struct rte_mbuf *m)
{
	struct nic_stage *g = &nic->stage[i];

	if (unlikely(g->n == NIC_STAGE))
		stage_flush(nic, i);
	g->pkts[g->n++] = m;
	nic->staged |= 1u << i;
}

/* --- what comes in ------------------------------------------------------- */

static inline int
is_for(const uint8_t *frame, const uint8_t mac[6])
{
	uint32_t a, b;
	uint16_t c, d;

	memcpy(&a, frame, 4);
	memcpy(&b, mac, 4);
	memcpy(&c, frame + 4, 2);
	memcpy(&d, mac + 4, 2);
	return !((a ^ b) | (uint32_t)(c ^ d));
}

static void
kernel_flush(struct softnic *nic, uint32_t u)
{
	struct softnic_uplink_stats *s = &nic->stats->uplink[u];
	struct nic_uplink *up = &nic->uplink[u];
	uint16_t n = tap_write(up->tap, up->kernel, up->n_kernel);

	s->passed += n;
	s->drop[SOFTNIC_TAP_FULL] += (uint16_t)(up->n_kernel - n);
	rte_pktmbuf_free_bulk(up->kernel, up->n_kernel);
	up->n_kernel = 0;
}

/* For the kernel, when the burst is done. */
static void
to_kernel(struct softnic *nic, uint32_t u, struct rte_mbuf *m)
{
	struct nic_uplink *up = &nic->uplink[u];
	uint64_t *drop = nic->stats->uplink[u].drop;

	if (up->tap < 0) {
		drop[SOFTNIC_EXCEPTION_LOST]++;
		rte_pktmbuf_free(m);
		return;
	}
	up->kernel[up->n_kernel++] = m;
	if (up->n_kernel == TAP_BURST)
		kernel_flush(nic, u);
}

/* A steering entry, or an enum steer_rx, for a frame of one segment. */
static inline int
rx_steer(struct softnic *nic, uint32_t u, const struct rte_mbuf *m)
{
	const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);
	uint16_t len = rte_pktmbuf_data_len(m);
	struct steer_packet pkt = { 0 };

	if (unlikely(len < STEER_ETH_LEN || m->nb_segs > 1))
		return STEER_RX_KERNEL;
	steer_parse(frame, frame + len, STEER_IN, &pkt);
	if (unlikely(pkt.kind == STEER_K_VLAN))
		nic->stats->uplink[u].drop[SOFTNIC_VLAN]++;
	if (unlikely(pkt.kind < STEER_K_FRAGMENT ||
		     !is_for(frame, nic->lookup.rows->uplink[u].mac)))
		return STEER_RX_KERNEL;
	return steer_rx(&nic->lookup, &pkt, nic->seed);
}

/* Counted there as where a ring is full: by VNIC. */
static void
to_nobody(struct softnic *nic, uint32_t i, struct rte_mbuf *m)
{
	nic->stats->vnic[i].drop[SOFTNIC_INSTANCE_DOWN]++;
	nic_capture(nic, i, m, SOFTNIC_INSTANCE_DOWN, 0);
	rte_pktmbuf_free(m);
}

static inline void
rx_packet(struct softnic *nic, uint32_t u, struct rte_mbuf *m)
{
	struct softnic_uplink_stats *s = &nic->stats->uplink[u];
	int entry = rx_steer(nic, u, m);
	const __u32 *vnic;

	if (likely(entry >= 0)) {
		vnic = steer_find_entry(&nic->lookup, (uint32_t)entry);
		if (unlikely(vnic != NULL && nic->link[*vnic] == NULL)) {
			to_nobody(nic, *vnic, m);
			return;
		}
		if (likely(vnic != NULL)) {
			s->rx_packets++;
			s->rx_bytes += rte_pktmbuf_pkt_len(m);
			stage_add(nic, *vnic, m);
			return;
		}
		entry = STEER_RX_KERNEL;
	}
	if (entry == STEER_RX_KERNEL) {
		to_kernel(nic, u, m);
		return;
	}
	s->drop[entry == STEER_RX_FRAGMENT ? SOFTNIC_FRAGMENT
					   : SOFTNIC_FRAGMENT_UNKNOWN]++;
	rte_pktmbuf_free(m);
}

static unsigned int
rx_queue(struct softnic *nic, uint32_t u, uint16_t q)
{
	struct rte_mbuf *pkts[NIC_BURST];
	uint16_t n =
		rte_eth_rx_burst(nic->uplink[u].port.id, q, pkts, NIC_BURST);

	for (uint16_t i = 0; i < n; i++)
		rte_prefetch0(rte_pktmbuf_mtod(pkts[i], const void *));
	for (uint16_t i = 0; i < n; i++)
		rx_packet(nic, u, pkts[i]);
	if (unlikely(nic->uplink[u].n_kernel > 0))
		kernel_flush(nic, u);
	return n;
}

unsigned int
nic_receive(struct softnic *nic)
{
	unsigned int n = 0;

	for (uint32_t u = 0; u < nic->n_uplinks; u++)
		for (uint16_t q = 0; q < nic->uplink[u].port.queues; q++)
			n += rx_queue(nic, u, q);
	for (uint32_t m = nic->staged; m != 0; m &= m - 1)
		stage_flush(nic, (uint32_t)__builtin_ctz(m));
	nic->staged = 0;
	return n;
}

/* --- the round ----------------------------------------------------------- */

void
nic_take_tables(struct softnic *nic)
{
	const struct softnic_tables *t =
		__atomic_load_n(&nic->tables, __ATOMIC_ACQUIRE);

	/* New ones may lie where others have lain. */
	if (likely(t == nic->lookup.rows &&
		    t->generation == nic->stats->generation))
		return;
	nic->lookup.rows = t;
	nic->seed = t->seed;
	sched_update(&nic->sched, t);
	nic->stats->generation = t->generation;
}

/* A ring that is new asks for kicks, which only a loop that sleeps needs. */
static void
round_begin(struct softnic *nic)
{
	nic->now_ns = nic_ns(nic, rte_rdtsc());
	fragments_now(nic->lookup.fragments, nic->now_ns);
	nic_take_tables(nic);
	nic->received = nic->sent = 0;
	for (uint32_t i = 0; i < nic->n_vnics; i++) {
		struct attach_link *l = attach_get(nic->attach, i);

		if (unlikely(l != nic->link[i] && l != NULL))
			virtq_want_kick(&l->from, 0);
		nic->link[i] = l;
	}
}

static void
ring_doorbell(struct softnic *nic, uint32_t i, bool of_receive)
{
	const struct attach_link *l = nic->link[i];
	const struct virtq *ring;
	int rc;

	if (l == NULL)
		return;
	ring = of_receive ? &l->to : &l->from;
	if (!virtq_wants_call(ring))
		return;
	watchdog_arm(&nic->dog);
	rc = virtq_call(ring);
	watchdog_disarm(&nic->dog);
	if (unlikely(rc < 0))
		nic_break(nic, i, rc);
	else
		nic->stats->vnic[i].kicks += (uint64_t)rc;
}

static void
ring_doorbells(struct softnic *nic)
{
	uint32_t received = nic->received, sent = nic->sent;

	for (uint32_t m = received | sent; m != 0; m &= m - 1) {
		uint32_t i = (uint32_t)__builtin_ctz(m);

		if ((received >> i) & 1)
			ring_doorbell(nic, i, true);
		if ((sent >> i) & 1)
			ring_doorbell(nic, i, false);
	}
}

unsigned int
softnic_round(struct softnic *nic)
{
	unsigned int n;

	round_begin(nic);
	n = nic_receive(nic);
	n += nic_transmit(nic);
	ring_doorbells(nic);
	rte_rcu_qsbr_quiescent(nic->qsbr, NIC_READER);
	return n;
}

void
softnic_run(struct softnic *nic)
{
	struct softnic_stats *s = nic->stats;
	uint64_t last = rte_rdtsc(), now;

	watchdog_start(&nic->dog);
	while (!nic->stop) {
		unsigned int n = softnic_round(nic);

		if (n > 0)
			nic->doze.empty = 0;
		else
			nic_idle(nic);
		now = rte_rdtsc();
		*(n > 0 ? &s->busy_tsc : &s->idle_tsc) += now - last;
		last = now;
		s->loops++;
	}
	watchdog_end(&nic->dog);
}
