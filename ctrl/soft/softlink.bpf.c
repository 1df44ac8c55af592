// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)
/*
 * The uplink's program where a NIC in software has the VNICs: what no service
 * wants goes to the kernel, all else to the NIC's socket of the queue that it
 * came by. Never to the kernel instead: that has the same addresses, and
 * would reset the connections of instances while the NIC is away.
 *
 * The control plane attaches it; the NIC's driver finds it there, by the
 * names of the program and of its map and by the version (libxdp's), and puts
 * its sockets into the map.
 */
#include "ctrl/xdp/uplink.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, XDP_QUEUES_MAX);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} xsks_map SEC(".maps");

__uint(xsk_prog_version, 1) SEC("xdp_metadata");

SEC("xdp")
int
xsk_def_prog(struct xdp_md *ctx)
{
	const void *data = (const void *)(long)ctx->data;
	const void *end = (const void *)(long)ctx->data_end;
	__u32 i = uplink_index;
	struct xdp_uplink_counters *count;
	struct steer_packet pkt = { 0 };
	int verdict;

	count = bpf_map_lookup_elem(&uplink_counters, &i);
	if (!count || data + STEER_ETH_LEN > end)
		return XDP_PASS;
	if (!may_be_ours(ctx, &pkt, count) ||
		steer_rx(0, &pkt, seed) == STEER_RX_KERNEL)
		return pass(count);
	verdict = bpf_redirect_map(&xsks_map, ctx->rx_queue_index, XDP_DROP);
	if (verdict == XDP_DROP)
		count->drop[XDP_DROP_NIC_DOWN]++;
	return verdict;
}

char _license[] SEC("license") = "Dual BSD/GPL";
