/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Congestion control behind a small interface: who decides cwnd.
 *
 * Loss detection and recovery (what to send again) are the stack's; here is
 * only how large the window is. Bytes and milliseconds throughout. Pure: one
 * struct, no clock of its own.
 */
#ifndef CARRYALL_TCP_CC_H
#define CARRYALL_TCP_CC_H

#include <stdint.h>

/* RFC 6928: the initial window is min(10 * MSS, max(2 * MSS, 14600)). */
#define CC_INITIAL_SEGMENTS 10
#define CC_INITIAL_BYTES    14600

/* No window is larger: 65535 << 14 (RFC 7323) is just below. Bytes. */
#define CC_WINDOW_MAX (1u << 30)

/* Before the first loss. */
#define CC_SSTHRESH_NONE UINT32_MAX

struct cc {
	uint32_t cwnd, ssthresh; /* bytes */
	union {
		struct {
			uint32_t acked; /* bytes, towards the next MSS */
		} reno;
		struct {
			uint32_t w_max;    /* bytes: where the plateau is */
			uint32_t prior;    /* cwnd before the last loss */
			uint32_t epoch_ms; /* 0: none has begun */
			uint32_t last_ms;  /* of the last acked() in it */
			uint32_t k_ms;     /* from epoch to plateau */
			uint32_t w_est;    /* bytes: Reno-friendly region */
			uint32_t acked;    /* bytes, of w_est */
			uint32_t rest;     /* of a division by cwnd */
		} cubic;
	};
};

/* Several may be called per segment; none allocates, logs or fails. */
struct cc_ops {
	const char *name;
	void (*init)(struct cc *cc, uint32_t mss);

	/*
	 * `bytes` were newly acknowledged, outside a recovery. `limited`: the
	 * sender had used its window up (RFC 9293 / 7661: else no growth).
	 */
	void (*acked)(struct cc *cc, uint32_t mss, uint32_t bytes,
		uint32_t now_ms, uint32_t srtt_ms, int limited);

	/* A loss was detected with `flight` bytes out: ssthresh and cwnd. */
	void (*loss)(
		struct cc *cc, uint32_t mss, uint32_t flight, uint32_t now_ms);

	/* The recovery that loss() began is over. */
	void (*recovered)(struct cc *cc, uint32_t mss, uint32_t flight);

	/*
	 * Retransmission by time: one segment (RFC 5681 section 3.1). Again
	 * for the same segment, it leaves ssthresh as it is.
	 */
	void (*timeout)(
		struct cc *cc, uint32_t mss, uint32_t flight, uint32_t now_ms);

	/* Idle for longer than an RTO: restart window (RFC 5681 4.1). */
	void (*idle)(struct cc *cc, uint32_t mss);
};

extern const struct cc_ops cc_newreno;
extern const struct cc_ops cc_cubic;

/* RFC 6928. Bytes. */
uint32_t cc_initial_window(uint32_t mss);

/* --- what the algorithms have in common; not for others --- */

/* Slow start by `bytes` that were acknowledged (RFC 5681, RFC 3465). */
void cc_slow_start(struct cc *cc, uint32_t mss, uint32_t bytes);

/* Grow by `bytes`, up to CC_WINDOW_MAX. */
static inline void
cc_grow(struct cc *cc, uint32_t bytes)
{
	cc->cwnd = bytes < CC_WINDOW_MAX - cc->cwnd ? cc->cwnd + bytes
						    : CC_WINDOW_MAX;
}

/* `ssthresh` bytes, but two segments at least. */
static inline uint32_t
cc_ssthresh(uint32_t ssthresh, uint32_t mss)
{
	return ssthresh > 2 * mss ? ssthresh : 2 * mss;
}

/* cc_ops.recovered of all (RFC 6582 section 3.2 step 3, the first way). */
void cc_recovered(struct cc *cc, uint32_t mss, uint32_t flight);

/* What cc_ops.idle of all begins with: no more than the initial window. */
void cc_idle(struct cc *cc, uint32_t mss);

#endif
