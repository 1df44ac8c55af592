// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)
/*
 * The VNIC's far side: what a NIC does to what a guest sends. Only frames of
 * this VNIC's own connections leave, no faster than its own rate, that of its
 * function, and its function's share of the uplink (police.h).
 */
#include "ctrl/xdp/tables.bpf.h"

/* Set when loaded, once per VNIC. */
const volatile __u32 vnic_index;
const volatile __u32 function_index;
const volatile __u32 n_vnics;
const volatile __u32 seed;

/* Global, not static: the verifier then looks at it once, not on each path. */
int
parse_out(struct xdp_md *ctx, struct steer_packet *pkt)
{
	if (!pkt)
		return STEER_K_MALFORMED;
	return steer_parse((const void *)(long)ctx->data,
		(const void *)(long)ctx->data_end, STEER_OUT, pkt);
}

/* 1 if the frame's source is the uplink's own station. */
static __always_inline int
is_from_us(const __u8 *frame, const __u8 *end, __u32 uplink)
{
	const struct xdp_uplink *u = bpf_map_lookup_elem(&uplinks, &uplink);

	if (!u || frame + STEER_ETH_LEN > end)
		return 0;
	return *(const __u32 *)(frame + 6) == *(const __u32 *)u->mac &&
	       *(const __u16 *)(frame + 10) == *(const __u16 *)(u->mac + 4);
}

/* 1 if a frame of `bytes` is within the rate of row `i`, and is charged. */
static __always_inline int
within_rate(__u32 i, __u64 bytes)
{
	const volatile struct police_rate *r = bpf_map_lookup_elem(&rates, &i);
	struct xdp_meter *m;
	struct police_rate now;
	__u64 now_ns;
	int pass;

	if (!r)
		return 1;
	now.byte_cost = r->byte_cost;
	now.packet_cost = r->packet_cost;
	now.burst_bytes = r->burst_bytes;
	if (!now.byte_cost && !now.packet_cost)
		return 1;
	m = bpf_map_lookup_elem(&meters, &i);
	if (!m)
		return 1;
	now_ns = bpf_ktime_get_ns();
	bpf_spin_lock(&m->lock);
	pass = police_meter_pass(&m->m, &now, bytes, now_ns);
	bpf_spin_unlock(&m->lock);
	return pass;
}

/* 1 if a frame of `bytes` is within the function's share of `uplink`. */
static __always_inline int
within_share(__u32 uplink, __u64 bytes)
{
	const struct police_shares *s = bpf_map_lookup_elem(&shares, &uplink);
	struct xdp_queues *q;
	__u64 now_ns;
	int pass;

	if (!s || !s->byte_cost)
		return 1;
	q = bpf_map_lookup_elem(&queues, &uplink);
	if (!q)
		return 1;
	now_ns = bpf_ktime_get_ns();
	bpf_spin_lock(&q->lock);
	pass = police_share_pass(&q->q, s, function_index, bytes, now_ns);
	bpf_spin_unlock(&q->lock);
	return pass;
}

/*
 * All checks in turn, the narrowest limit first, as what one lets through is
 * charged although the next may drop it. The uplink, or STEER_REFUSE(reason).
 */
static __always_inline int
police(struct xdp_md *ctx, const void *data, const void *end)
{
	struct steer_packet pkt = { 0 };
	__u64 bytes = end - data;
	int uplink;

	parse_out(ctx, &pkt);
	uplink = steer_tx(0, &pkt, seed, function_index, vnic_index);
	if (uplink < 0)
		return uplink;
	if (!is_from_us(data, end, uplink))
		return STEER_REFUSE(STEER_TX_MAC);
	if (!within_rate(vnic_index, bytes) ||
		!within_rate(
			XDP_RATE_OF_FUNCTION(n_vnics, function_index), bytes))
		return STEER_REFUSE(STEER_TX_RATE);
	if (!within_share(uplink, bytes))
		return STEER_REFUSE(STEER_TX_SHARE);
	return uplink;
}

static __always_inline int
send(struct xdp_vnic_counters *c, __u32 uplink, __u64 bytes)
{
	struct xdp_uplink_counters *u;

	u = bpf_map_lookup_elem(&uplink_counters, &uplink);
	if (u) {
		u->tx_packets++;
		u->tx_bytes += bytes;
	}
	c->tx_packets++;
	c->tx_bytes += bytes;
	return bpf_redirect_map(&to_uplink, uplink, XDP_DROP);
}

SEC("xdp")
int
vnic_tx(struct xdp_md *ctx)
{
	const void *data = (const void *)(long)ctx->data;
	const void *end = (const void *)(long)ctx->data_end;
	__u64 bytes = end - data;
	__u32 i = vnic_index;
	struct xdp_vnic_counters *c;
	const struct xdp_vnic *v;
	int verdict;

	c = bpf_map_lookup_elem(&vnic_counters, &i);
	v = bpf_map_lookup_elem(&vnics, &i);
	if (!c || !v)
		return XDP_DROP;
	verdict = police(ctx, data, end);
	if (v->capture)
		capture_frame(ctx, i,
			verdict < 0 ? XDP_DROP_TX(STEER_REASON(verdict)) : -1,
			1);
	if (verdict >= 0)
		return send(c, verdict, bytes);
	c->drop[XDP_DROP_TX(STEER_REASON(verdict)) & (XDP_DROPS_MAX - 1)]++;
	return XDP_DROP;
}

char _license[] SEC("license") = "Dual BSD/GPL";
