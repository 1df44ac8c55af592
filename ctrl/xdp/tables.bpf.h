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
#include "dataplane/steer_rules.h"

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
	__type(value, struct steer_host);
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
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct police_rate);
} rates SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct xdp_meter);
} meters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct police_shares);
} shares SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct xdp_queues);
} queues SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, XDP_FRAGMENTS_MAX);
	__type(key, struct steer_fragment);
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

/* How steer_rules.h looks up: the maps are global, so there is no handle. */
STEER_INLINE const struct steer_target *
steer_find_service(const struct steer_tables *t, const struct steer_key *key)
{
	(void)t;
	return bpf_map_lookup_elem(&services, key);
}

STEER_INLINE const struct steer_target *
steer_find_snat(const struct steer_tables *t, const struct ip_addr *addr)
{
	(void)t;
	return bpf_map_lookup_elem(&snat, addr);
}

STEER_INLINE const struct steer_host *
steer_find_host(const struct steer_tables *t, const struct ip_addr *addr)
{
	(void)t;
	return bpf_map_lookup_elem(&hosts, addr);
}

STEER_INLINE const __u32 *
steer_find_entry(const struct steer_tables *t, __u32 entry)
{
	(void)t;
	return bpf_map_lookup_elem(&steering, &entry);
}

STEER_INLINE const __u32 *
steer_find_fragment(
	const struct steer_tables *t, const struct steer_fragment *key)
{
	(void)t;
	return bpf_map_lookup_elem(&fragments, key);
}

STEER_INLINE void
steer_put_fragment(const struct steer_tables *t,
	const struct steer_fragment *key, __u32 fate)
{
	(void)t;
	bpf_map_update_elem(&fragments, key, &fate, BPF_ANY);
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
