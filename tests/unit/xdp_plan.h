/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A plan made by hand, for tests of the xdp provider:
 *
 *   function  VNICs       services                           SNAT
 *   0 web     0, 1        VIP:80/tcp, VIP:53/udp (by source) SNAT (both
 *             8 buckets   VIP:8080/tcp, ONE:80/tcp           families), ONE
 *   1 ping    2           PING:7/udp, PING/icmp (both
 *             4 buckets   families), VIP:7777/udp
 *
 * Services are on uplink 0, SNAT addresses on uplink 1.
 */
#ifndef CARRYALL_TEST_XDP_PLAN_H
#define CARRYALL_TEST_XDP_PLAN_H

#include <netinet/in.h>

#include "ctrl/plan.h"
#include "tests/unit/frames.h"

#define VIP   "10.0.0.80"
#define SNAT  "10.0.1.9"
#define ONE   "10.0.0.99" /* a VIP and a SNAT address */
#define PING  "10.0.0.7"
#define VIP6  "fd00::80"
#define SNAT6 "fd00:1::9"
#define PING6 "fd00::7"

#define SEED      0x5eed1234u
#define N_VNICS   3
#define N_ENTRIES 12

struct test_plan {
	struct plan plan;
	struct config config;
	struct config_uplink uplinks[2];
	struct config_function functions[2];
	struct plan_instance instances[N_VNICS];
	struct grant grants[N_VNICS];
	struct plan_steer steers[32];
	uint32_t entries[N_ENTRIES];
};

static inline void
plan_service(struct test_plan *t, uint32_t function, const char *addr,
	uint16_t port, uint8_t proto, uint16_t flags)
{
	struct plan_steer *s = &t->steers[t->plan.n_steers++];

	memset(s, 0, sizeof(*s));
	s->key.addr = addr_of(addr);
	s->key.port = htons(port);
	s->key.proto = proto;
	s->target.function = function;
	s->target.first = function ? 8 : 0;
	s->target.mask = function ? 3 : 7;
	s->target.flags = flags;
	s->target.uplink = flags & STEER_F_SNAT ? 1 : 0;
}

static inline void
plan_services(struct test_plan *t)
{
	plan_service(t, 0, VIP, 80, IPPROTO_TCP, 0);
	plan_service(t, 0, VIP6, 80, IPPROTO_TCP, 0);
	plan_service(t, 0, VIP, 53, IPPROTO_UDP, STEER_F_HASH_SOURCE);
	plan_service(t, 0, VIP6, 53, IPPROTO_UDP, STEER_F_HASH_SOURCE);
	plan_service(t, 0, VIP, 8080, IPPROTO_TCP, 0);
	plan_service(t, 0, ONE, 8080, IPPROTO_TCP, 0);
	plan_service(t, 0, SNAT, 0, 0, STEER_F_SNAT);
	plan_service(t, 0, SNAT6, 0, 0, STEER_F_SNAT);
	plan_service(t, 0, ONE, 0, 0, STEER_F_SNAT);
	plan_service(t, 1, PING, 7, IPPROTO_UDP, 0);
	plan_service(t, 1, PING, 0, IPPROTO_ICMP, 0);
	plan_service(t, 1, PING6, 0, IPPROTO_ICMP, 0);
	plan_service(t, 1, VIP, 7777, IPPROTO_UDP, 0);
}

static inline void
plan_instances(struct test_plan *t)
{
	static const char *const name[N_VNICS] = { "web.0", "web.1", "ping.0" };

	for (uint32_t i = 0; i < N_VNICS; i++) {
		struct plan_instance *in = &t->instances[i];

		strcpy(in->name, name[i]);
		in->function = i / 2;
		in->vnic = i;
		in->grant = &t->grants[i];
	}
	for (uint32_t e = 0; e < N_ENTRIES; e++)
		t->entries[e] = e < 8 ? e % 2 : 2;
}

static inline void
plan_by_hand(struct test_plan *t, const char *device0, const char *device1)
{
	memset(t, 0, sizeof(*t));
	strcpy(t->config.name, "unit");
	strcpy(t->uplinks[0].name, "wan");
	strcpy(t->uplinks[0].device, device0);
	strcpy(t->uplinks[1].name, "lan");
	strcpy(t->uplinks[1].device, device1);
	t->config.n_uplinks = 2;
	t->config.uplinks = t->uplinks;
	t->functions[0].backend_uplink = 1;
	t->functions[0].weight = t->functions[1].weight = 1;
	t->config.n_functions = 2;
	t->config.functions = t->functions;
	t->plan.config = &t->config;
	t->plan.seed = SEED;
	t->plan.n_instances = N_VNICS;
	t->plan.instances = t->instances;
	t->plan.steers = t->steers;
	t->plan.n_entries = N_ENTRIES;
	t->plan.entries = t->entries;
	plan_instances(t);
	plan_services(t);
}

#endif
