/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Round-trip time and retransmission time-out (RFC 6298). Times in
 * milliseconds; the average is kept in eighths, the deviation in quarters.
 */
#ifndef CARRYALL_TCP_RTT_H
#define CARRYALL_TCP_RTT_H

#include <stdint.h>

struct rtt {
	uint32_t srtt8;   /* 8 * SRTT; 0: none measured */
	uint32_t rttvar4; /* 4 * RTTVAR; unmeasured: the first RTO, 0: 1 s */
};

/* One measurement (never of a retransmitted segment: Karn). */
static inline void
rtt_sample(struct rtt *r, uint32_t ms)
{
	int32_t err;

	/* Below the clock's grain: what is measured as 0 is not nothing. */
	if (ms == 0)
		ms = 1;
	if (ms > 0xfffffff)
		ms = 0xfffffff;
	if (r->srtt8 == 0) {
		r->srtt8 = ms * 8;
		r->rttvar4 = ms * 2;
		return;
	}
	err = (int32_t)ms - (int32_t)(r->srtt8 / 8);
	r->srtt8 = (uint32_t)((int32_t)r->srtt8 + err);
	if (err < 0)
		err = -err;
	r->rttvar4 = (uint32_t)((int32_t)r->rttvar4 + err -
				(int32_t)(r->rttvar4 / 4));
	if (r->srtt8 == 0)
		r->srtt8 = 1;
}

/* The time-out before back-off, in [min_ms, max_ms]. */
static inline uint32_t
rtt_rto(const struct rtt *r, uint32_t min_ms, uint32_t max_ms)
{
	uint32_t rto = r->rttvar4 != 0 ? r->rttvar4 : 1000;

	if (r->srtt8 != 0)
		rto = r->srtt8 / 8 + (r->rttvar4 > 1 ? r->rttvar4 : 1);
	if (rto < min_ms)
		rto = min_ms;
	return rto < max_ms ? rto : max_ms;
}

#endif
