/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause) */
/*
 * The maps of both programs, and the one lookup they share. What xdp.h says
 * of each is not said again. Sizes of 1 are set when the plan is known.
 */
#ifndef CARRYALL_TABLES_BPF_H
#define CARRYALL_TABLES_BPF_H

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "ctrl/xdp/xdp.h"
#include "dataplane/steer_packet.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct xdp_meta);
} meta SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, XDP_SERVICES_MAX);
	__type(key, struct steer_key);
	__type(value, struct steer_target);
} services SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, XDP_SNAT_MAX);
	__type(key, struct ip_addr);
	__type(value, struct steer_target);
} snat SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, XDP_HOSTS_MAX);
	__type(key, struct ip_addr);
	__type(value, struct xdp_host);
} hosts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} steering SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct xdp_uplink);
} uplinks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct xdp_vnic);
} vnics SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct xdp_rate);
} rates SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, XDP_FRAGMENTS_MAX);
	__type(key, struct xdp_fragment);
	__type(value, __u32);
} fragments SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct xdp_vnic_counters);
} vnic_counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct xdp_uplink_counters);
} uplink_counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} to_vnic SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} to_uplink SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} captures SEC(".maps");

/*
 * The row that a connection's own side falls under, or NULL. Most ports from
 * STEER_SNAT_PORT_MIN on are replies to a SNAT address, those below never,
 * so that either needs one lookup; only an address that is both needs two.
 */
static __always_inline const struct steer_target *
target_find(const struct steer_tuple *c)
{
	const struct steer_target *reply = 0, *t;
	struct steer_key key = {
		.addr = c->dst,
		.port = c->dport,
		.proto = c->proto,
	};

	if (steer_ntohs(c->dport) >= STEER_SNAT_PORT_MIN) {
		reply = bpf_map_lookup_elem(&snat, &c->dst);
		if (reply && !(reply->flags & STEER_F_SHARED))
			return reply;
	}
	t = bpf_map_lookup_elem(&services, &key);
	return t ? t : reply;
}

/* 1 if function `f` takes fragments of `proto` at `host`. */
static __always_inline int
host_takes_fragments(const struct xdp_host *host, __u8 proto, __u32 f)
{
	__u32 mask = proto == STEER_PROTO_TCP   ? host->fragments_tcp
		     : proto == STEER_PROTO_UDP ? host->fragments_udp
						: 0;

	return (mask >> (f & 31)) & 1;
}

/*
 * 1 if first fragments under `t` are taken: services must be hashed by the
 * source alone, for what follows has no ports; replies may come for such
 * ones.
 */
static __always_inline int
target_takes_fragments(
	const struct steer_target *t, const struct steer_tuple *c)
{
	const struct xdp_host *host;

	if (!(t->flags & STEER_F_SNAT))
		return (t->flags & STEER_F_HASH_SOURCE) != 0;
	host = bpf_map_lookup_elem(&hosts, &c->dst);
	return host && host_takes_fragments(host, c->proto, t->function);
}

/* Copy the frame for whoever captures on VNIC `vnic`. */
static __always_inline void
capture_frame(struct xdp_md *ctx, __u32 vnic, __s32 drop, __u32 from_vnic)
{
	const void *data = (const void *)(long)ctx->data;
	const void *end = (const void *)(long)ctx->data_end;
	__u64 length = end - data;
	struct xdp_capture head = {
		.time_ns = bpf_ktime_get_ns(),
		.vnic = vnic,
		.length = length,
		.drop = drop,
		.from_vnic = from_vnic,
	};

	if (length > XDP_CAPTURE_MAX)
		length = XDP_CAPTURE_MAX;
	bpf_perf_event_output(ctx, &captures, length << 32 | BPF_F_CURRENT_CPU,
		&head, sizeof(head));
}

#endif
