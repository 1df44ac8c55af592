/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause) */
/* What the programs of uplinks share, whichever provider's. */
#ifndef CARRYALL_UPLINK_BPF_H
#define CARRYALL_UPLINK_BPF_H

#include "ctrl/xdp/tables.bpf.h"

/* Set when loaded, once per uplink. */
const volatile __u32 uplink_index;
const volatile __u32 seed;

static __always_inline int
pass(struct xdp_uplink_counters *count)
{
	count->passed++;
	return XDP_PASS;
}

/* 1 if the frame is for this station: others' frames are the kernel's. */
static __always_inline int
is_for_us(const __u8 *frame)
{
	__u32 i = uplink_index;
	const struct xdp_uplink *u = bpf_map_lookup_elem(&uplinks, &i);

	return u && *(const __u32 *)frame == *(const __u32 *)u->mac &&
	       *(const __u16 *)(frame + 4) == *(const __u16 *)(u->mac + 4);
}

/* Global, not static: the verifier then looks at it once, not on each path. */
int
parse_in(struct xdp_md *ctx, struct steer_packet *pkt)
{
	if (!pkt)
		return STEER_K_MALFORMED;
	return steer_parse((const void *)(long)ctx->data,
		(const void *)(long)ctx->data_end, STEER_IN, pkt);
}

/*
 * 1 if the frame, of an Ethernet header at least, is of a kind that steering
 * knows, and for this station; parsed into *pkt.
 */
static __always_inline int
may_be_ours(struct xdp_md *ctx, struct steer_packet *pkt,
	struct xdp_uplink_counters *count)
{
	const void *data = (const void *)(long)ctx->data;
	const void *end = (const void *)(long)ctx->data_end;

	parse_in(ctx, pkt);
	if (pkt->kind == STEER_K_VLAN)
		count->drop[XDP_COUNT_VLAN]++;
	if (pkt->kind < STEER_K_FRAGMENT || data + STEER_ETH_LEN > end)
		return 0;
	return is_for_us(data);
}

#endif
