/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who may send how much, and when: the arithmetic of the transmit side.
 *
 *   VNIC      bits/s, packets/s --+
 *   VNIC      bits/s, packets/s --+-- function  bits/s, packets/s --+
 *   VNIC      ...                                                   |
 *                                    function   ...         --------+-- uplink
 *                                      by weight when it is full      bits/s
 *
 * Nothing is queued here: frames wait in the instances' rings, and the loop
 * asks how many it may take out of one. It does not know their sizes before
 * it has them, so a rate is a bucket that may be overdrawn by one grant, and
 * nothing is granted until that is paid back: the average is exact, and no
 * burst is longer than SCHED_CREDIT_NS of the rate and one grant.
 *
 * Pure: no clock, no memory of its own, no DPDK. Thread: the loop.
 */
#ifndef CARRYALL_SOFTNIC_SCHED_H
#define CARRYALL_SOFTNIC_SCHED_H

#include <stdint.h>

#include "dataplane/softnic/tables.h"

/* Most of a rate that can be saved up while nobody sends. */
#define SCHED_CREDIT_NS 10000000u

/* How long a limit that was met counts as one that is shared. */
#define SCHED_SHARED_NS 10000000u

/* Let this much gather before the loop wakes for it. */
#define SCHED_GATHER_NS 100000u

#define SCHED_MEMBERS_MAX 32

/* A rate, of bits or of packets. */
struct sched_bucket {
	uint64_t cost;    /* ns for one, times 2^32; 0: no limit */
	uint64_t paid_ns; /* when what was taken is paid for */
	uint32_t frac;    /* and this, in 2^-32 ns */
};

/* Those that share one limit, by how far each is served (sched.c). */
struct sched_share {
	uint64_t until_ns;                  /* it matters until then */
	uint64_t floor;                     /* how far who is served least is */
	uint32_t asking;                    /* bit per member: in this round */
	uint32_t active;                    /* in the last one */
	uint64_t served[SCHED_MEMBERS_MAX]; /* bytes by weight */
};

struct sched_vnic {
	struct sched_bucket bits, packets;
	uint32_t function;
	uint32_t uplinks; /* bit per uplink */
	uint32_t bytes;   /* of its frames, on average */
};

struct sched_function {
	struct sched_bucket bits, packets;
	struct sched_share share; /* members: VNICs */
	uint32_t step;            /* what a byte counts for it */
	uint32_t shut;            /* 1: nothing left as the round began */
};

struct sched_uplink {
	struct sched_bucket bits;
	struct sched_share share; /* members: functions */
};

struct sched {
	uint64_t now_ns;
	uint64_t next_ns; /* when what was refused may be granted */
	/* of the round: */
	uint32_t held; /* bit per VNIC: a rate held it back */
	uint32_t full; /* bit per uplink: it was the limit */
	uint32_t shut; /* bit per uplink: full as it began */
	/* of the loop: */
	uint32_t blocked; /* bit per uplink: the port takes no more */
	uint32_t n_vnics, n_functions, n_uplinks;
	struct sched_vnic vnic[SOFTNIC_VNICS_MAX];
	struct sched_function function[SOFTNIC_FUNCTIONS_MAX];
	struct sched_uplink uplink[SOFTNIC_UPLINKS_MAX];
};

/*
 * Begin, or go on, with the rates, shares and VNICs of `t`. `s` is all zero,
 * or one that was filled before: what is owed then stays owed, as bits.
 */
void sched_update(struct sched *s, const struct softnic_tables *t);

/*
 * Begin a round at `now_ns`, of any clock. One that goes back shifts what is
 * owed along with it.
 */
void sched_begin(struct sched *s, uint64_t now_ns);

/*
 * The port of uplink `u` takes no more for the moment, or does again. What
 * is so when a round begins must have been said before sched_begin().
 */
static inline void
sched_block(struct sched *s, uint32_t u, int blocked)
{
	s->blocked = (s->blocked & ~(1u << u)) | (uint32_t) !!blocked << u;
}

/*
 * How many frames, of `want` > 0 that wait, VNIC `i` may send now. If fewer,
 * `held` or `full` says why, and next_ns when to ask again.
 */
uint16_t sched_grant(struct sched *s, uint32_t i, uint16_t want);

/* Of a grant, these were sent by uplink `u`. */
void sched_charge(struct sched *s, uint32_t i, uint32_t u, uint32_t frames,
	uint64_t bytes);

/*
 * And these were not, by the filter: they cost none of a rate, but a turn
 * where there are turns.
 */
void sched_waste(struct sched *s, uint32_t i, uint32_t frames, uint64_t bytes);

/* The kernel has sent these by uplink `u`. */
void sched_inject(struct sched *s, uint32_t u, uint64_t bytes);

/* When to ask again, if nothing else happens; UINT64_MAX: no need to. */
static inline uint64_t
sched_next(const struct sched *s)
{
	return s->next_ns;
}

#endif
