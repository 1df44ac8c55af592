/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What instances send: as many frames as sched.c grants are copied out of the
 * ring, and only our copy is looked at. A frame that passed is on its way for
 * sure: it waits in the uplink's `out`, and while the port takes no more,
 * nothing more is taken from whoever may send there. So it is the instance
 * that waits, with its frames in its own ring.
 */
#include <rte_ethdev.h>
#include <string.h>

#include "dataplane/softnic/nic.h"

/* How often to look whether the kernel sends: a system call each time. */
#define TAP_EVERY_NS 50000

#define FRAME_MIN 60 /* bytes, without the check sequence */

/* So many VNICs send between two looks at what has come in. */
#define VNICS_A_LOOK 4

/* --- the uplinks --------------------------------------------------------- */

static void
out_flush(struct softnic *nic, uint32_t u)
{
	struct nic_out *o = &nic->uplink[u].out;
	uint16_t sent = 0;

	while (sent < o->n) {
		uint16_t n = rte_eth_tx_burst(nic->uplink[u].port.id, 0,
			o->pkts + sent, (uint16_t)(o->n - sent));

		if (n == 0)
			break;
		sent = (uint16_t)(sent + n);
	}
	o->n = (uint16_t)(o->n - sent);
	if (unlikely(o->n > 0 && sent > 0))
		memmove(o->pkts, o->pkts + sent, o->n * sizeof(o->pkts[0]));
	sched_block(&nic->sched, u, o->n > 0);
}

static void
outs_flush(struct softnic *nic)
{
	for (uint32_t u = 0; u < nic->n_uplinks; u++)
		if (nic->uplink[u].out.n > 0)
			out_flush(nic, u);
}

static inline void
out_add(struct softnic *nic, uint32_t u, struct rte_mbuf *m)
{
	struct nic_out *o = &nic->uplink[u].out;

	o->pkts[o->n++] = m;
}

/* --- VNICs --------------------------------------------------------------- */

/* What passed, by uplink, and what did not. */
struct tally {
	uint32_t uplinks; /* bit per uplink that has any */
	uint32_t bad;
	uint64_t bad_bytes;
	uint32_t frames[SOFTNIC_UPLINKS_MAX];
	uint64_t bytes[SOFTNIC_UPLINKS_MAX];
};

static inline int
is_from(const uint8_t *frame, const uint8_t mac[6])
{
	return memcmp(frame + 6, mac, 6) == 0;
}

/* The uplink that it may leave by, or STEER_REFUSE(reason). */
static inline int
tx_filter(const struct softnic *nic, uint32_t i, const struct rte_mbuf *m)
{
	const struct softnic_tables *t = nic->lookup.rows;
	const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);
	struct steer_packet pkt = { 0 };
	int u;

	steer_parse(frame, frame + rte_pktmbuf_data_len(m), STEER_OUT, &pkt);
	u = steer_tx(&nic->lookup, &pkt, nic->seed, t->vnic[i].function, i);
	if (unlikely(u < 0))
		return u;
	/* Only those of `uplinks` were asked whether there is room. */
	if (unlikely(!((t->vnic[i].uplinks >> u) & 1)))
		return STEER_REFUSE(STEER_TX_ADDRESS);
	if (unlikely(!is_from(frame, t->uplink[u].mac)))
		return STEER_REFUSE(STEER_TX_MAC);
	return u;
}

static inline void
tx_packet(struct softnic *nic, uint32_t i, struct rte_mbuf *m, struct tally *t)
{
	int u = tx_filter(nic, i, m);

	if (nic_captures(nic, i))
		nic_capture(nic, i, m,
			u < 0 ? CAPTURE_TX(STEER_REASON(u)) : CAPTURE_PASSED,
			1);
	if (unlikely(u < 0)) {
		nic->stats->vnic[i].tx_drop[STEER_REASON(u)]++;
		t->bad++;
		t->bad_bytes += rte_pktmbuf_pkt_len(m);
		rte_pktmbuf_free(m);
		return;
	}
	if (!((t->uplinks >> u) & 1)) {
		t->uplinks |= 1u << u;
		t->frames[u] = 0;
		t->bytes[u] = 0;
	}
	t->frames[u]++;
	t->bytes[u] += rte_pktmbuf_pkt_len(m);
	out_add(nic, (uint32_t)u, m);
}

static void
settle(struct softnic *nic, uint32_t i, const struct tally *t)
{
	struct softnic_vnic_stats *s = &nic->stats->vnic[i];

	for (uint32_t m = t->uplinks; m != 0; m &= m - 1) {
		uint32_t u = (uint32_t)__builtin_ctz(m);
		struct softnic_uplink_stats *up = &nic->stats->uplink[u];

		sched_charge(&nic->sched, i, u, t->frames[u], t->bytes[u]);
		s->tx_packets += t->frames[u];
		s->tx_bytes += t->bytes[u];
		up->tx_packets += t->frames[u];
		up->tx_bytes += t->bytes[u];
		if (nic->uplink[u].out.n >= NIC_BURST)
			out_flush(nic, u);
	}
	sched_waste(&nic->sched, i, t->bad, t->bad_bytes);
}

/* At least n empty packets; false if there are none to be had. */
static bool
spare_fill(struct softnic *nic, uint16_t n)
{
	if (nic->n_spare >= n)
		return true;
	if (rte_pktmbuf_alloc_bulk(nic->pool, nic->spare + nic->n_spare,
		    (unsigned int)(n - nic->n_spare)) != 0) {
		nic->stats->no_buffers++;
		return false;
	}
	nic->n_spare = n;
	return true;
}

/* What is in a packet after a fault has no meaning: have others. */
static void
spare_drop(struct softnic *nic)
{
	rte_pktmbuf_free_bulk(nic->spare, nic->n_spare);
	nic->n_spare = 0;
}

/* Frames that left the ring of VNIC i. */
static unsigned int
vnic_transmit(struct softnic *nic, uint32_t i)
{
	struct virtq *from = &nic->link[i]->from;
	int waiting = virtq_available(from), got;
	struct tally t;
	uint16_t n;

	if (waiting == 0)
		return 0;
	if (unlikely(waiting < 0)) {
		nic_break(nic, i, waiting);
		return 1;
	}
	n = sched_grant(&nic->sched, i, (uint16_t)RTE_MIN(waiting, NIC_BURST));
	if (n == 0 || !spare_fill(nic, n))
		return 0;
	got = virtq_get(from, nic->spare, n, nic->stats->vnic[i].drop);
	if (unlikely(got < 0)) {
		spare_drop(nic);
		nic_break(nic, i, got);
		return 1;
	}
	nic->sent |= 1u << i;
	t.uplinks = 0;
	/* What was granted and gave no frame is a turn all the same. */
	t.bad = (uint32_t)(n - got);
	t.bad_bytes = (uint64_t)t.bad * FRAME_MIN;
	for (int k = 0; k < got; k++)
		tx_packet(nic, i, nic->spare[k], &t);
	nic->n_spare = (uint16_t)(nic->n_spare - got);
	memmove(nic->spare, nic->spare + got,
		nic->n_spare * sizeof(nic->spare[0]));
	settle(nic, i, &t);
	return n;
}

/* --- the kernel ---------------------------------------------------------- */

static unsigned int
kernel_transmit(struct softnic *nic, uint32_t u)
{
	struct nic_uplink *up = &nic->uplink[u];
	uint64_t bytes = 0;
	uint16_t n;

	if (up->tap < 0 || up->out.n > NIC_BURST || !spare_fill(nic, TAP_BURST))
		return 0;
	n = tap_read(up->tap, nic->spare, TAP_BURST);
	for (uint16_t k = 0; k < n; k++) {
		bytes += rte_pktmbuf_pkt_len(nic->spare[k]);
		out_add(nic, u, nic->spare[k]);
	}
	nic->n_spare = (uint16_t)(nic->n_spare - n);
	memmove(nic->spare, nic->spare + n,
		nic->n_spare * sizeof(nic->spare[0]));
	sched_inject(&nic->sched, u, bytes);
	nic->stats->uplink[u].injected += n;
	return n;
}

static unsigned int
taps_transmit(struct softnic *nic)
{
	unsigned int n = 0;

	if (nic->now_ns < nic->tap_ns)
		return 0;
	for (uint32_t u = 0; u < nic->n_uplinks; u++)
		n += kernel_transmit(nic, u);
	nic->tap_ns = n > 0 ? 0 : nic->now_ns + TAP_EVERY_NS;
	return n;
}

/* --- the transmit side of a round ---------------------------------------- */

static void
count_limits(struct softnic *nic)
{
	for (uint32_t m = nic->sched.held; m != 0; m &= m - 1)
		nic->stats->vnic[__builtin_ctz(m)].held++;
	for (uint32_t m = nic->sched.full; m != 0; m &= m - 1)
		nic->stats->uplink[__builtin_ctz(m)].full++;
}

unsigned int
nic_transmit(struct softnic *nic)
{
	unsigned int n = 0, senders = 0;

	outs_flush(nic);
	sched_begin(&nic->sched, nic->now_ns);
	for (uint32_t i = 0; i < nic->n_vnics; i++) {
		unsigned int moved =
			nic->link[i] == NULL ? 0 : vnic_transmit(nic, i);

		n += moved;
		/* Many that send must not keep the rest from receiving. */
		if (moved > 0 && ++senders % VNICS_A_LOOK == 0)
			n += nic_receive(nic);
	}
	n += taps_transmit(nic);
	outs_flush(nic);
	if (unlikely((nic->sched.held | nic->sched.full) != 0))
		count_limits(nic);
	return n;
}
