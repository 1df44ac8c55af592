// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)
/*
 * The VNIC's far side: what a NIC does to what a guest sends. Only frames of
 * this VNIC's own connections leave, no faster than its rate.
 */
#include "ctrl/xdp/tables.bpf.h"

/* Set when loaded, once per VNIC. */
const volatile __u32 vnic_index;
const volatile __u32 function_index;
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

/* 1 if a frame of `bytes` is within the VNIC's rate, and takes its share. */
static __always_inline int
within_rate(__u64 bytes)
{
	__u32 i = vnic_index;
	struct xdp_rate *r = bpf_map_lookup_elem(&rates, &i);
	__u64 now, by_bytes, by_packets;
	int ok;

	if (!r || !r->limited)
		return 1;
	now = bpf_ktime_get_ns();
	bpf_spin_lock(&r->lock);
	by_bytes = r->bytes_full_ns > now ? r->bytes_full_ns : now;
	by_packets = r->packets_full_ns > now ? r->packets_full_ns : now;
	ok = by_bytes - now <= r->byte_burst_ns &&
	     by_packets - now <= r->packet_burst_ns;
	if (ok) {
		r->bytes_full_ns =
			by_bytes + ((bytes * r->byte_cost) >> XDP_COST_SHIFT);
		r->packets_full_ns =
			by_packets + (r->packet_cost >> XDP_COST_SHIFT);
	}
	bpf_spin_unlock(&r->lock);
	return ok;
}

/* All checks in turn: the uplink, or STEER_REFUSE(reason). */
static __always_inline int
police(struct xdp_md *ctx, const void *data, const void *end)
{
	struct steer_packet pkt = { 0 };
	int uplink;

	parse_out(ctx, &pkt);
	uplink = steer_tx(0, &pkt, seed, function_index, vnic_index);
	if (uplink < 0)
		return uplink;
	if (!is_from_us(data, end, uplink))
		return STEER_REFUSE(STEER_TX_MAC);
	if (!within_rate(end - data))
		return STEER_REFUSE(STEER_TX_RATE);
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
