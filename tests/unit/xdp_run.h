/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The BPF programs loaded on the plan made by hand, and run by the kernel on
 * one frame at a time (BPF_PROG_TEST_RUN): what becomes of a frame is told
 * by the counters, and must be told by exactly one.
 */
#ifndef CARRYALL_TEST_XDP_RUN_H
#define CARRYALL_TEST_XDP_RUN_H

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "ctrl/xdp/pins.h"
#include "ctrl/xdp/tables.h"
#include "dataplane/steer_packet.h"
#include "tests/unit/xdp_plan.h"
#include "uplink.skel.h"
#include "vnic.skel.h"

#define SKIP   77
#define CLIENT "192.0.2.5"
#define SERVER "10.0.1.21"

#define CLIENT6 "2001:db8::5"
#define SERVER6 "fd00:1::21"

#define TCP IPPROTO_TCP
#define UDP IPPROTO_UDP

static struct test_plan tp;
static struct pins pins;
static struct uplink_bpf *uplink;
static struct vnic_bpf *vnic[N_VNICS];
static unsigned int n_cpus;

struct state {
	struct xdp_uplink_counters uplink[2];
	struct xdp_vnic_counters vnic[N_VNICS];
};

static inline void
sum_rows(enum pins_map map, uint32_t i, uint64_t *total, size_t words)
{
	uint64_t *row = calloc(n_cpus, words * sizeof(*row));

	ck_assert_int_eq(bpf_map_lookup_elem(pins.map[map], &i, row), 0);
	memset(total, 0, words * sizeof(*total));
	for (size_t k = 0; k < n_cpus * words; k++)
		total[k % words] += row[k];
	free(row);
}

static inline struct state
look(void)
{
	struct state s;

	for (uint32_t i = 0; i < 2; i++)
		sum_rows(PINS_UPLINK_COUNTERS, i, (uint64_t *)&s.uplink[i],
			sizeof(s.uplink[i]) / 8);
	for (uint32_t i = 0; i < N_VNICS; i++)
		sum_rows(PINS_VNIC_COUNTERS, i, (uint64_t *)&s.vnic[i],
			sizeof(s.vnic[i]) / 8);
	return s;
}

static inline uint32_t
run(struct bpf_program *prog, const struct frame *f)
{
	uint8_t out[FRAME_MAX];
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = f->b,
		.data_size_in = (__u32)f->n, .data_out = out,
		.data_size_out = sizeof(out));

	ck_assert_int_eq(bpf_prog_test_run_opts(bpf_program__fd(prog), &o), 0);
	ck_assert_uint_eq(o.data_size_out, f->n);
	ck_assert_mem_eq(out, f->b, f->n);
	return o.retval;
}

/* What became of a frame: VNIC or uplink number, or what else. */
enum fate {
	KERNEL = 100,
	DOWN,     /* dropped: the VNIC is down */
	FRAGMENT, /* dropped by the uplink: see enum xdp_uplink_drop */
	UNKNOWN,
	VLAN,
	REFUSED, /* REFUSED + enum xdp_vnic_drop: by the transmit filter */
};

static inline int
fate_in(const struct frame *f)
{
	struct state a = look(), b;
	uint32_t ret = run(uplink->progs.uplink_rx, f);

	b = look();
	ck_assert_uint_eq(b.uplink[1].passed, a.uplink[1].passed);
	if (ret == XDP_PASS) {
		ck_assert_uint_eq(b.uplink[0].passed, a.uplink[0].passed + 1);
		return b.uplink[0].drop[XDP_COUNT_VLAN] >
				       a.uplink[0].drop[XDP_COUNT_VLAN]
			       ? VLAN
			       : KERNEL;
	}
	for (int i = 0; i < N_VNICS; i++)
		if (b.vnic[i].rx_packets > a.vnic[i].rx_packets) {
			ck_assert_uint_eq(ret, XDP_REDIRECT);
			ck_assert_uint_eq(
				b.vnic[i].rx_bytes, a.vnic[i].rx_bytes + f->n);
			ck_assert_uint_eq(b.uplink[0].rx_bytes,
				a.uplink[0].rx_bytes + f->n);
			return i;
		}
	ck_assert_uint_eq(ret, XDP_DROP);
	for (int i = 0; i < 2; i++)
		if (b.uplink[0].drop[i] > a.uplink[0].drop[i])
			return FRAGMENT + i;
	for (int i = 0; i < N_VNICS; i++)
		if (b.vnic[i].drop[XDP_DROP_INSTANCE_DOWN] >
			a.vnic[i].drop[XDP_DROP_INSTANCE_DOWN])
			return DOWN;
	ck_abort_msg("dropped and not counted");
	return -1;
}

static inline int
fate_out(int i, const struct frame *f)
{
	struct state a = look(), b;
	uint32_t ret = run(vnic[i]->progs.vnic_tx, f);

	b = look();
	for (int u = 0; u < 2; u++)
		if (b.uplink[u].tx_packets > a.uplink[u].tx_packets) {
			ck_assert_uint_eq(ret, XDP_REDIRECT);
			ck_assert_uint_eq(
				b.vnic[i].tx_bytes, a.vnic[i].tx_bytes + f->n);
			return u;
		}
	ck_assert_uint_eq(ret, XDP_DROP);
	ck_assert_uint_eq(b.vnic[i].tx_packets, a.vnic[i].tx_packets);
	for (int r = 0; r < XDP_VNIC_DROPS; r++)
		if (b.vnic[i].drop[r] > a.vnic[i].drop[r])
			return REFUSED + r;
	ck_abort_msg("dropped and not counted");
	return -1;
}

/* The plan's row for a connection's own side, the slow and plain way. */
static inline const struct steer_target *
plan_find(const struct steer_tuple *c)
{
	const struct steer_target *snat = NULL;

	for (unsigned int i = 0; i < tp.plan.n_steers; i++) {
		const struct plan_steer *s = &tp.steers[i];

		if (!ip_addr_eq(&s->key.addr, &c->dst))
			continue;
		if (s->target.flags & STEER_F_SNAT)
			snat = ntohs(c->dport) >= 1024 ? &s->target : NULL;
		else if (s->key.port == c->dport && s->key.proto == c->proto)
			return &s->target;
	}
	return snat;
}

static inline int
plan_vnic(const struct steer_tuple *c)
{
	const struct steer_target *t = plan_find(c);

	return t ? (int)tp.entries[t->first + steer_bucket(c, SEED, t)]
		 : KERNEL;
}

/* Where a frame that comes in should go, by the C code alone. */
static inline int
model_in(const struct frame *f)
{
	struct steer_packet pkt;

	if (steer_parse(f->b, f->b + f->n, STEER_IN, &pkt) < STEER_K_FLOW)
		return pkt.kind == STEER_K_VLAN ? VLAN : KERNEL;
	return plan_vnic(&pkt.conn);
}

static inline void
in_flow(struct frame *f, uint8_t proto, const char *src, uint16_t sport,
	const char *dst, uint16_t dport)
{
	frame_flow(f, frame_ours, frame_theirs, proto, src, sport, dst, dport,
		NULL);
}

static inline void
out_flow(struct frame *f, uint8_t proto, const char *src, uint16_t sport,
	const char *dst, uint16_t dport)
{
	frame_flow(f, frame_theirs, frame_ours, proto, src, sport, dst, dport,
		NULL);
}

static inline const char *
pick(const char *const *of, size_t n)
{
	return of[(size_t)random() % n];
}

static inline void
random_frame(struct frame *f)
{
	static const char *const ours4[] = { VIP, SNAT, ONE, PING };
	static const char *const ours6[] = { VIP6, SNAT6, PING6 };
	static const uint16_t ports[] = { 7, 53, 80, 8080, 7777, 1023, 1024 };
	int v6 = random() & 1;
	const char *us = v6 ? pick(ours6, 3) : pick(ours4, 4);
	const char *them = v6 ? CLIENT6 : CLIENT;
	uint16_t port = random() & 1 ? ports[random() % 7] : (uint16_t)random();
	uint16_t peer = (uint16_t)random();
	uint8_t proto = random() & 1 ? TCP : UDP;

	switch (random() % 4) {
	case 0:
		frame_icmp(f, frame_ours, frame_theirs, v6 ? 128 : 8, them, us);
		break;
	case 1:
		frame_error(f, frame_ours, frame_theirs, v6 ? 2 : 3, them,
			proto, us, port, them, peer);
		break;
	default:
		in_flow(f, proto, them, peer, us, port);
	}
}

/* Noise behind the Ethernet header, fragments set aside: they have state. */
static inline int
scramble(struct frame *f)
{
	struct steer_packet pkt;

	for (long k = random() % 4; k > 0; k--)
		f->b[12 + (size_t)random() % (f->n - 12)] = (uint8_t)random();
	steer_parse(f->b, f->b + f->n, STEER_IN, &pkt);
	return pkt.kind != STEER_K_FRAGMENT && !pkt.first;
}

/* One table set for all programs, the uplink's program making it. */
static inline int
load_uplink(void)
{
	struct bpf_map *m;

	uplink = uplink_bpf__open();
	if (!uplink)
		return -errno;
	uplink->rodata->seed = SEED;
	bpf_map__set_max_entries(uplink->maps.steering, N_ENTRIES);
	bpf_map__set_max_entries(uplink->maps.uplinks, 2);
	bpf_map__set_max_entries(uplink->maps.uplink_counters, 2);
	bpf_map__set_max_entries(uplink->maps.to_uplink, 2);
	bpf_map__set_max_entries(uplink->maps.shares, 2);
	bpf_map__set_max_entries(uplink->maps.queues, 2);
	bpf_map__set_max_entries(
		uplink->maps.rates, N_VNICS + tp.config.n_functions);
	bpf_map__set_max_entries(
		uplink->maps.meters, N_VNICS + tp.config.n_functions);
	bpf_object__for_each_map(m, uplink->obj)
	{
		const char *name = bpf_map__name(m);

		if (!strcmp(name, "vnics") || !strcmp(name, "vnic_counters") ||
			!strcmp(name, "to_vnic"))
			bpf_map__set_max_entries(m, N_VNICS);
	}
	return uplink_bpf__load(uplink);
}

static inline int
load_vnic(uint32_t i)
{
	struct bpf_map *m, *theirs;

	vnic[i] = vnic_bpf__open();
	if (!vnic[i])
		return -errno;
	vnic[i]->rodata->vnic_index = i;
	vnic[i]->rodata->function_index = tp.instances[i].function;
	vnic[i]->rodata->n_vnics = N_VNICS;
	vnic[i]->rodata->seed = SEED;
	bpf_object__for_each_map(m, vnic[i]->obj)
	{
		theirs = bpf_object__find_map_by_name(
			uplink->obj, bpf_map__name(m));
		if (theirs && !bpf_map__is_internal(m))
			bpf_map__reuse_fd(m, bpf_map__fd(theirs));
	}
	return vnic_bpf__load(vnic[i]);
}

/* The rows of an array that can be mapped; lives as long as the process. */
static inline void *
memory(struct bpf_map *m)
{
	return mmap(NULL, (size_t)getpagesize(), PROT_READ | PROT_WRITE,
		MAP_SHARED, bpf_map__fd(m), 0);
}

static inline void
take_maps(void)
{
	pins.map[PINS_SERVICES] = bpf_map__fd(uplink->maps.services);
	pins.map[PINS_SNAT] = bpf_map__fd(uplink->maps.snat);
	pins.map[PINS_HOSTS] = bpf_map__fd(uplink->maps.hosts);
	pins.map[PINS_STEERING] = bpf_map__fd(uplink->maps.steering);
	pins.map[PINS_VNIC_COUNTERS] = bpf_map__fd(uplink->maps.vnic_counters);
	pins.map[PINS_UPLINK_COUNTERS] =
		bpf_map__fd(uplink->maps.uplink_counters);
	pins.uplinks = memory(uplink->maps.uplinks);
	pins.vnics = memory(uplink->maps.vnics);
	pins.rates = memory(uplink->maps.rates);
	pins.shares = memory(uplink->maps.shares);
}

/* Any device does as a target: the kernel says where it would redirect to. */
static inline int
fill(void)
{
	uint32_t loopback = 1;

	for (uint32_t i = 0; i < 2; i++) {
		memcpy(pins.uplinks[i].mac, frame_ours, 6);
		if (bpf_map__update_elem(uplink->maps.to_uplink, &i, sizeof(i),
			    &loopback, sizeof(loopback), 0))
			return -errno;
	}
	for (uint32_t i = 0; i < N_VNICS; i++) {
		pins.vnics[i].up = 1;
		if (bpf_map__update_elem(uplink->maps.to_vnic, &i, sizeof(i),
			    &loopback, sizeof(loopback), 0))
			return -errno;
	}
	return tables_sync(&pins, &tp.plan, 1500);
}

static inline int
load(void)
{
	int err = load_uplink();

	for (uint32_t i = 0; i < N_VNICS && !err; i++)
		err = load_vnic(i);
	if (err)
		return err;
	n_cpus = (unsigned int)libbpf_num_possible_cpus();
	take_maps();
	return fill();
}

/* Load, run the cases, unload: the exit status of a test program. */
static inline int
run_cases(const char *name, TCase *cases)
{
	Suite *s = suite_create(name);
	SRunner *sr = srunner_create(s);
	int err, failed;

	suite_add_tcase(s, cases);
	plan_by_hand(&tp, "lo", "lo");
	err = geteuid() ? -EPERM : load();
	if (err) {
		printf("%s: %s\n",
			err == -EPERM ? "skipped: BPF programs need root"
				      : "cannot load the programs",
			strerror(-err));
		return err == -EPERM ? SKIP : 1;
	}
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	for (int i = 0; i < N_VNICS; i++)
		vnic_bpf__destroy(vnic[i]);
	uplink_bpf__destroy(uplink);
	return failed ? 1 : 0;
}

#endif
