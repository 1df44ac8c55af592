/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause) */
/*
 * Policing: which of the frames that instances send are let out, by rates
 * and by shares of an uplink. Pure functions of a row of state and the time,
 * for BPF and C alike.
 *
 * Everything is counted in time: a byte costs as long as the rate takes for
 * one, a packet likewise, in ticks of 2^-16 ns. A frame has all its bytes
 * from the Ethernet header to the payload's end (no preamble, no checksum).
 *
 * Rates. A meter is what is owed: it falls by the time that passes and grows
 * by the cost of each frame let out. A frame passes while no more than the
 * burst is owed (a leaky bucket as a meter, ITU-T I.371). What is over is
 * dropped and owes nothing.
 *
 *   owed   _ _ _ _ _ _ _ _ _ _ _ _  burst        / grows with a frame
 *          /\/\/\/\/\/\    /\                    \ falls with time
 *        _/            \__/  \_____  0
 *
 * Shares. An uplink of a known rate has one phantom queue per function: no
 * frame is in it, only its cost. The queues are drained as an ideal link
 * would drain real ones, by weight among those that are not empty
 * (generalised processor sharing: Parekh and Gallager, IEEE/ACM ToN 1993),
 * and a frame passes if there is room in its function's queue. What passes
 * is therefore what such a link would have sent:
 *
 *   - functions that send more than their share get it by weight, and what
 *     one leaves goes to the others, again by weight (max-min fair);
 *   - the queues drain at the uplink's full rate while any is not empty, so
 *     nothing of the uplink is left unused;
 *   - a queue fills only if its function sends more than that, so none is
 *     dropped from while the uplink is not full.
 *
 * That a policer may stand for a scheduler in this way: Tahir et al.,
 * Efficient Policy-Rich Rate Enforcement with Phantom Queues, SIGCOMM 2024.
 *
 * The room of a queue is what all together leave of one burst: n busy
 * functions have 1/(n + 1) of it each, and one that begins finds as much free
 * (dynamic thresholds: Choudhury and Hahne, IEEE/ACM ToN 1998). So the uplink
 * never gets more at once than one burst, however many functions there are.
 *
 * Draining looks at every function, so it is done once in POLICE_DRAIN_NS
 * and not for each frame. A function that begins between two drains gets its
 * share for up to so long before it began, which is no more than it may burst.
 *
 * Synchronisation: the caller's. A row of state has one lock; what the
 * control plane writes (rates, weights) is read without, each word alone, and
 * may change between two words. What is owed stays when a rate changes: it
 * is time, so the bucket is as full as it was. It is cut to the burst only
 * where no frame of now could have made it so much. Clocks of two CPUs may
 * differ a little: time that seems to go back stands still.
 */
#ifndef CARRYALL_POLICE_H
#define CARRYALL_POLICE_H

#include <linux/types.h>

#define POLICE_SHIFT     16
#define POLICE_TICKS(ns) ((__u64)(ns) << POLICE_SHIFT)

#define POLICE_NS_PER_S 1000000000ull

/*
 * 200 ms is the least time-out of Linux's TCP: a sender that was cut off can
 * only use its rate if the bucket holds what came in meanwhile (Flach et al.,
 * An Internet-Wide Analysis of Traffic Policing, SIGCOMM 2016). It is never
 * less than this many frames, what an instance sends at once.
 */
#define POLICE_BURST_NS     200000000ull
#define POLICE_BURST_FRAMES 64

#define POLICE_FRAME_MAX  65536 /* bytes of the longest frame there can be */
#define POLICE_DRAIN_NS   100000
#define POLICE_ROUNDS     3 /* of a drain; what is left then waits */
#define POLICE_FUNCTIONS  32
#define POLICE_WEIGHT_MAX 65535

/* A limit, written by the control plane. A cost of 0: no limit. */
struct police_rate {
	__u64 byte_cost, packet_cost; /* ticks */
	__u64 burst_bytes;            /* the burst is no less */
};

/* What one instance, or one function, owes. */
struct police_meter {
	__u64 stamp_ns;                 /* when that was */
	__u64 bytes_owed, packets_owed; /* ticks */
};

/* An uplink, written by the control plane. A cost of 0: no sharing. */
struct police_shares {
	__u64 byte_cost;   /* ticks */
	__u64 burst_bytes; /* of all together; the burst is no less */
	__u32 weight[POLICE_FUNCTIONS]; /* 1 .. POLICE_WEIGHT_MAX */
};

/* An uplink's phantom queues, in ticks of its own. */
struct police_queues {
	__u64 stamp_ns; /* drained up to here */
	__u64 total;    /* sum of `queue` */
	__u64 queue[POLICE_FUNCTIONS];
};

/* Hides from the compiler what it would make a branch of: see below. */
#define POLICE_OPAQUE(x) __asm__ volatile("" : "+r"(x))

/* Ticks per byte of a rate in bits/s, and per packet of one in packets/s. */
static inline __u64
police_byte_cost(__u64 rate_bps)
{
	return rate_bps ? POLICE_TICKS(8 * POLICE_NS_PER_S) / rate_bps : 0;
}

static inline __u64
police_packet_cost(__u64 packet_rate)
{
	return packet_rate ? POLICE_TICKS(POLICE_NS_PER_S) / packet_rate : 0;
}

/* The burst in ticks, `least` being bytes or packets at `cost` each. */
static inline __u64
police_burst(__u64 cost, __u64 least)
{
	__u64 ticks = cost * least;

	return ticks > POLICE_TICKS(POLICE_BURST_NS)
		       ? ticks
		       : POLICE_TICKS(POLICE_BURST_NS);
}

/* What is owed after `ns` more, and after a former rate: see above. */
static inline __u64
police_owed(__u64 owed, __u64 ns, __u64 burst, __u64 cost_max)
{
	owed = ns > owed >> POLICE_SHIFT ? 0 : owed - POLICE_TICKS(ns);
	return owed > burst + cost_max ? burst : owed;
}

/*
 * May a frame of `bytes` pass at `now_ns`? 1, and it is charged; or 0, and
 * it is not. `now_ns` is any clock that goes on while nothing is sent. `r` is
 * a copy, so that it is the same throughout.
 */
static inline int
police_meter_pass(struct police_meter *m, const struct police_rate *r,
	__u64 bytes, __u64 now_ns)
{
	__u64 ns = now_ns > m->stamp_ns ? now_ns - m->stamp_ns : 0;
	__u64 byte_burst = police_burst(r->byte_cost, r->burst_bytes);
	__u64 packet_burst = police_burst(r->packet_cost, POLICE_BURST_FRAMES);
	__u64 by_bytes = police_owed(
		m->bytes_owed, ns, byte_burst, r->byte_cost * POLICE_FRAME_MAX);
	__u64 by_packets =
		police_owed(m->packets_owed, ns, packet_burst, r->packet_cost);
	int pass = by_bytes <= byte_burst && by_packets <= packet_burst;

	if (pass) {
		by_bytes += bytes * r->byte_cost;
		by_packets += r->packet_cost;
	}
	m->stamp_ns += ns;
	m->bytes_owed = by_bytes;
	m->packets_owed = by_packets;
	return pass;
}

static inline void
police_clear(struct police_queues *q)
{
	for (int i = 0; i < POLICE_FUNCTIONS; i++)
		q->queue[i] = 0;
	q->total = 0;
}

/*
 * One round of a drain: `left` ticks to the queues that are not empty, by
 * weight, none more than it holds. Returns what is left then.
 *
 * Neither loop branches on what is in a row. The kernel's verifier walks every
 * path of a program, and 32 rows with a branch each would be too many.
 */
static inline __u64
police_round(struct police_queues *q, const struct police_shares *s, __u64 left)
{
	__u64 weights = 0, taken = 0, unit;

	for (int i = 0; i < POLICE_FUNCTIONS; i++) {
		/* The sign says whether it is above 0. */
		__u64 sign = 0 - q->queue[i];

		POLICE_OPAQUE(sign);
		weights += s->weight[i] & (0 - (sign >> 63));
	}
	if (!weights)
		return 0;
	unit = left / weights;
	for (int i = 0; i < POLICE_FUNCTIONS; i++) {
		__u64 rest = q->queue[i] - unit * s->weight[i];
		__u64 sign = rest >> 63;

		POLICE_OPAQUE(sign);
		rest &= sign - 1;
		taken += q->queue[i] - rest;
		q->queue[i] = rest;
	}
	q->total -= taken;
	/* More only if weights have changed meanwhile. */
	return left > taken ? left - taken : 0;
}

/*
 * Drain by the time since the last drain. Each round but the last empties a
 * queue; what there is no round for is drained the next time.
 */
static inline void
police_drain(struct police_queues *q, const struct police_shares *s,
	__u64 burst, __u64 cost_max, __u64 now_ns)
{
	__u64 ns = now_ns - q->stamp_ns;
	__u64 over = q->total > burst + cost_max ? q->total - burst : 0;
	__u64 left = POLICE_TICKS(ns) + over;

	q->stamp_ns = now_ns;
	if (ns > q->total >> POLICE_SHIFT || left >= q->total) {
		police_clear(q);
		return;
	}
	for (int i = 0; i < POLICE_ROUNDS; i++)
		left = police_round(q, s, left);
	q->stamp_ns -= left >> POLICE_SHIFT;
}

/*
 * May a frame of `bytes` that function `f` sends pass at `now_ns`? 1, and it
 * is charged; or 0, and it is not. The clock is the same for all.
 */
static inline int
police_share_pass(struct police_queues *q, const struct police_shares *s,
	__u32 f, __u64 bytes, __u64 now_ns)
{
	__u64 cost = s->byte_cost;
	__u64 burst = police_burst(cost, s->burst_bytes);
	__u64 *mine = &q->queue[f & (POLICE_FUNCTIONS - 1)];

	if (now_ns > q->stamp_ns && now_ns - q->stamp_ns >= POLICE_DRAIN_NS)
		police_drain(q, s, burst, cost * POLICE_FRAME_MAX, now_ns);
	if (q->total > burst || *mine > burst - q->total)
		return 0;
	*mine += bytes * cost;
	q->total += bytes * cost;
	return 1;
}

#endif
