// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)
/*
 * The uplink's program: hands each frame of a service, or of a reply to one,
 * to the VNIC that its bucket is steered to. All else goes to the kernel as
 * if the program were not there.
 */
#include "ctrl/xdp/uplink.bpf.h"

static __always_inline int
to_entry(struct xdp_md *ctx, struct xdp_uplink_counters *count, __u32 entry)
{
	const void *data = (const void *)(long)ctx->data;
	const void *end = (const void *)(long)ctx->data_end;
	__u64 bytes = end - data;
	__u32 *vnic = bpf_map_lookup_elem(&steering, &entry);
	struct xdp_vnic_counters *c;
	struct xdp_vnic *v;

	if (!vnic)
		return pass(count);
	v = bpf_map_lookup_elem(&vnics, vnic);
	c = bpf_map_lookup_elem(&vnic_counters, vnic);
	if (!v || !c)
		return pass(count);
	if (v->capture)
		capture_frame(
			ctx, *vnic, v->up ? -1 : XDP_DROP_INSTANCE_DOWN, 0);
	if (!v->up) {
		c->drop[XDP_DROP_INSTANCE_DOWN]++;
		return XDP_DROP;
	}
	c->rx_packets++;
	c->rx_bytes += bytes;
	count->rx_packets++;
	count->rx_bytes += bytes;
	return bpf_redirect_map(&to_vnic, *vnic, XDP_DROP);
}

SEC("xdp")
int
uplink_rx(struct xdp_md *ctx)
{
	const void *data = (const void *)(long)ctx->data;
	const void *end = (const void *)(long)ctx->data_end;
	__u32 i = uplink_index;
	struct xdp_uplink_counters *count;
	struct steer_packet pkt = { 0 };
	int entry;

	count = bpf_map_lookup_elem(&uplink_counters, &i);
	if (!count || data + STEER_ETH_LEN > end)
		return XDP_PASS;
	if (!may_be_ours(ctx, &pkt, count))
		return pass(count);
	entry = steer_rx(0, &pkt, seed);
	if (entry >= 0)
		return to_entry(ctx, count, entry);
	if (entry == STEER_RX_KERNEL)
		return pass(count);
	count->drop[entry == STEER_RX_FRAGMENT ? XDP_DROP_FRAGMENT
					       : XDP_DROP_FRAGMENT_UNKNOWN]++;
	return XDP_DROP;
}

char _license[] SEC("license") = "Dual BSD/GPL";
