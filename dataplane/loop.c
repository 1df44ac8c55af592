/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The loop of an instance: receive, let the function decide, send.
 *
 * When packets stop it backs off: it spins for some microseconds, then
 * sleeps on the doorbell until a packet, mail, or the function's next timer.
 * An instance that shares its core sleeps at once, so that the others get
 * their turn. Under load it makes no system call of its own but one look at
 * the mailbox per millisecond, and one for each write of the log, which takes
 * all records that came while the former was on its way.
 *
 * What the VNIC's ring does not take stays ahead of what comes next, for a
 * while: a ring is drained by another core, which may be late. A function
 * that lets go of many packets asks for room first, and there is none until
 * the ring has taken the last of them; room for a burst is always kept back,
 * so what it lets go is not lost, nor does it cost those that pass by.
 */
#include <rte_branch_prediction.h>
#include <rte_cycles.h>
#include <rte_mempool.h>
#include <rte_pause.h>
#include <string.h>

#include "dataplane/instance.h"

#define TICK_US      1000
#define SLEEP_MAX_US 1000000
#define SPIN_LOOPS   2000 /* about 50 us of empty polls */
#define PAUSE_LOOPS  64   /* from here on, be kind to the sibling thread */
#define SHARED_LOOPS 2
#define LEFT_US      50 /* between looks at a ring that is full */

uint32_t
instance_spin_loops(const struct grant *grant, int doorbell)
{
	if (doorbell < 0)
		return UINT32_MAX;
	return grant->share_core ? SHARED_LOOPS : SPIN_LOOPS;
}

/* Free out[from..n_out). */
static uint16_t
drop_out(struct instance *in, uint16_t from)
{
	uint16_t n = in->n_out - from;

	rte_pktmbuf_free_bulk(in->out + from, n);
	in->stats->drop[NF_DROP_TX_FULL] += n;
	in->n_out = from;
	in->n_left = RTE_MIN(in->n_left, from);
	return n;
}

/* The ring took `sent`, and then no more. */
static __rte_noinline uint16_t
keep_rest(struct instance *in, uint16_t sent)
{
	uint64_t wait = in->tsc_per_us * INSTANCE_OUT_WAIT_US;

	if (sent > 0 || in->n_left == 0)
		in->left_tsc = in->now_tsc;
	in->n_out -= sent;
	in->n_left = in->n_out;
	memmove(in->out, in->out + sent, in->n_out * sizeof(in->out[0]));
	if (in->now_tsc - in->left_tsc >= wait)
		return drop_out(in, 0);
	return sent;
}

uint16_t
instance_flush(struct instance *in)
{
	struct stats *s = in->stats;
	uint64_t bytes = 0;
	uint16_t sent = 0, n;

	for (uint16_t i = 0; i < in->n_out; i++)
		bytes += rte_pktmbuf_pkt_len(in->out[i]);
	while (sent < in->n_out) {
		n = vnic_tx(&in->vnic, in->out + sent, in->n_out - sent);
		if (n == 0)
			break;
		sent += n;
	}
	for (uint16_t i = sent; i < in->n_out; i++)
		bytes -= rte_pktmbuf_pkt_len(in->out[i]);
	s->tx_packets += sent;
	s->tx_bytes += bytes;
	if (unlikely(sent < in->n_out))
		return keep_rest(in, sent);
	in->n_out = in->n_left = 0;
	return sent;
}

void
instance_emit(void *ctx, struct rte_mbuf *m)
{
	struct instance *in = ctx;

	if (in->n_out == INSTANCE_OUT_MAX)
		instance_flush(in);
	if (unlikely(in->n_out == INSTANCE_OUT_MAX)) {
		in->stats->drop[NF_DROP_TX_FULL]++;
		rte_pktmbuf_free(m);
		return;
	}
	in->out[in->n_out++] = m;
}

uint16_t
instance_room(void *ctx)
{
	const struct instance *in = ctx;

	if (in->n_left > 0 || in->n_out >= INSTANCE_OUT_MAX - NF_BURST_MAX)
		return 0;
	return INSTANCE_OUT_MAX - NF_BURST_MAX - in->n_out;
}

static void
refuse(struct instance *in, struct rte_mbuf *m, nf_verdict verdict)
{
	if (verdict == NF_HELD)
		return;
	in->stats->drop[verdict - NF_DROP(0)]++;
	rte_pktmbuf_free(m);
}

void
instance_dispatch(struct instance *in, struct rte_mbuf **pkts, uint16_t n,
	const nf_verdict *verdict)
{
	uint16_t n_out;

	if (in->n_out + n > INSTANCE_OUT_MAX)
		instance_flush(in);
	if (unlikely(in->n_out + n > INSTANCE_OUT_MAX))
		drop_out(in, INSTANCE_OUT_MAX - n);
	n_out = in->n_out;
	for (uint16_t i = 0; i < n; i++) {
		if (likely(verdict[i] == NF_TX))
			in->out[n_out++] = pkts[i];
		else
			refuse(in, pkts[i], verdict[i]);
	}
	in->n_out = n_out;
}

static inline uint64_t
now_ms(const struct instance *in)
{
	return in->now_tsc / (in->tsc_per_us * 1000);
}

void
instance_log_poll(struct instance *in)
{
	bool tell = in->durable_again;

	if (in->log.log == NULL)
		return;
	if (plog_poll(in->log.log, now_ms(in)))
		tell = true;
	if (tell && in->nf->durable != NULL)
		in->durable_again = in->nf->durable(in->nf_state, in->now_tsc);
}

static inline uint16_t
loop_packets(struct instance *in)
{
	struct rte_mbuf *pkts[NF_BURST_MAX];
	nf_verdict verdict[NF_BURST_MAX];
	struct stats *s = in->stats;
	uint16_t n = vnic_rx(&in->vnic, pkts, NF_BURST_MAX);
	uint64_t bytes = 0;

	if (n == 0)
		return 0;
	s->rx_packets += n;
	for (uint16_t i = 0; i < n; i++)
		bytes += rte_pktmbuf_pkt_len(pkts[i]);
	s->rx_bytes += bytes;
	in->nf->burst(in->nf_state, pkts, n, verdict, in->now_tsc);
	instance_dispatch(in, pkts, n, verdict);
	return n;
}

/* Seldom: it looks at the cache of every core there could be. */
static void
count_mbufs(struct instance *in)
{
	if (in->now_tsc < in->count_tsc)
		return;
	in->count_tsc = in->now_tsc + in->env.tsc_hz;
	in->stats->mbufs = rte_mempool_in_use_count(in->vnic.pool);
}

/* Timed work and mail. Returns in how many microseconds there is more. */
static uint32_t
loop_tick(struct instance *in)
{
	uint32_t next_us = SLEEP_MAX_US;

	if (in->nf->tick != NULL)
		next_us = in->nf->tick(in->nf_state, in->now_tsc);
	instance_mail(in, 0);
	instance_log_alive(in->env.grant, &in->stats->log);
	count_mbufs(in);
	in->tick_tsc = in->now_tsc +
		       in->tsc_per_us * (next_us < TICK_US ? next_us : TICK_US);
	return next_us;
}

/* Nothing came: spin, be kind, sleep. */
static void
loop_idle(struct instance *in)
{
	uint32_t next_us;

	if (++in->idle_loops < in->spin_loops) {
		if (in->idle_loops > PAUSE_LOOPS)
			rte_pause();
		return;
	}
	next_us = loop_tick(in);
	instance_log_poll(in);
	if (next_us == 0 || in->n_out > in->n_left)
		return;
	if (next_us > SLEEP_MAX_US)
		next_us = SLEEP_MAX_US;
	/* Nothing rings when the VNIC's ring has room again. */
	if (in->n_left > 0 || in->durable_again)
		next_us = RTE_MIN(next_us, LEFT_US);
	if (!instance_log_sleep(&in->log, now_ms(in), &next_us))
		return;
	vnic_arm(&in->vnic);
	/* What came before it was armed does not ring. */
	if (!in->vnic.armed_by_us || loop_packets(in) == 0) {
		in->stats->sleeps++;
		instance_mail(in, next_us);
	}
	vnic_disarm(&in->vnic);
	instance_log_awake(&in->log);
	in->tick_tsc = 0;
}

/* One round; 1 if there was anything to do. */
static int
loop_once(struct instance *in)
{
	int busy = loop_packets(in) > 0;

	if (in->now_tsc >= in->tick_tsc)
		busy |= loop_tick(in) == 0;
	instance_log_poll(in);
	if (in->n_out > 0)
		busy |= instance_flush(in) > 0;
	if (busy)
		in->idle_loops = 0;
	else
		loop_idle(in);
	return busy;
}

void
instance_run(struct instance *in)
{
	uint64_t last_tsc = rte_rdtsc();

	while (!in->stop) {
		int busy;

		in->now_tsc = last_tsc;
		busy = loop_once(in);
		last_tsc = rte_rdtsc();
		if (busy)
			in->stats->busy_tsc += last_tsc - in->now_tsc;
		else
			in->stats->idle_tsc += last_tsc - in->now_tsc;
		in->stats->loops++;
	}
}
