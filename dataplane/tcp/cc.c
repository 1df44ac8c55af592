/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/tcp/cc.h"

uint32_t
cc_initial_window(uint32_t mss)
{
	uint32_t floor =
		2 * mss > CC_INITIAL_BYTES ? 2 * mss : CC_INITIAL_BYTES;
	uint32_t window = CC_INITIAL_SEGMENTS * mss;

	return window < floor ? window : floor;
}

void
cc_slow_start(struct cc *cc, uint32_t mss, uint32_t bytes)
{
	/*
	 * RFC 3465 section 2.3: an ACK of two segments, as peers that delay
	 * send it, counts as such until the first loss. After one it may cover
	 * what was lost and sent again, and says less about the path.
	 */
	uint32_t most = cc->ssthresh == CC_SSTHRESH_NONE ? 2 * mss : mss;

	cc_grow(cc, bytes < most ? bytes : most);
}

void
cc_recovered(struct cc *cc, uint32_t mss, uint32_t flight)
{
	uint32_t window = (flight > mss ? flight : mss) + mss;

	/* What is in flight may be little: a whole window would be a burst. */
	cc->cwnd = cc->ssthresh < window ? cc->ssthresh : window;
}

void
cc_idle(struct cc *cc, uint32_t mss)
{
	uint32_t window = cc_initial_window(mss);

	if (cc->cwnd > window)
		cc->cwnd = window;
}
