// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)
/*
 * The VNIC's near side, which the instance's driver attaches: every frame to
 * the instance's socket. Never to the kernel, which has the same addresses
 * and would answer a segment of an instance that is gone with a reset.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

/* The driver finds it by this name and puts its socket at its queue. */
struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, 64);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} xsks_map SEC(".maps");

SEC("xdp")
int
xsk_rx(struct xdp_md *ctx)
{
	return bpf_redirect_map(&xsks_map, ctx->rx_queue_index, XDP_DROP);
}

char _license[] SEC("license") = "Dual BSD/GPL";
