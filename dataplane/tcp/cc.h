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

struct cc {
	uint32_t cwnd, ssthresh; /* bytes */
	union {
		struct {
			uint32_t acked; /* bytes, towards the next MSS */
		} reno;
		struct {
			uint32_t w_max;      /* bytes */
			uint32_t w_last_max; /* fast convergence */
			uint32_t epoch_ms;   /* 0: none has begun */
			uint32_t k_ms;
			uint32_t origin; /* bytes: W_max of the epoch */
			uint32_t w_est;  /* bytes: Reno-friendly region */
			uint32_t acked;  /* bytes, of w_est */
			uint32_t rest;   /* bytes not yet a whole MSS */
		} cubic;
	};
};

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

	/* Retransmission by time: one segment (RFC 5681 section 3.1). */
	void (*timeout)(
		struct cc *cc, uint32_t mss, uint32_t flight, uint32_t now_ms);

	/* Idle for longer than an RTO: restart window (RFC 5681 4.1). */
	void (*idle)(struct cc *cc, uint32_t mss);
};

extern const struct cc_ops cc_newreno;
extern const struct cc_ops cc_cubic;

uint32_t cc_initial_window(uint32_t mss);

#endif
