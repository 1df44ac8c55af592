/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A load balancer with a log on the bench, and its crash: the store in memory
 * stays, all else goes.
 */
#ifndef LB_LOG_H
#define LB_LOG_H

#include <stdio.h>

#include "lb_lab.h"
#include "nf/lb/lb.h"
#include "nf/lb/record.h"
#include "store_mem.h"

#define CLIENT "192.0.2.1"
#define VIP    "10.0.0.80"
#define SNAT   "10.0.0.9"
#define BACK   "10.0.1.21"

#define DROP(r) NF_DROP(LB_DROP_##r)

#define SLOTS 256

static struct {
	struct mem mem;
	struct mem_clock clock;
	uint64_t boot;
} bench;

static struct lb *
the_lb(void)
{
	return lab.lb;
}

/* Open the store on the bench for the grant that is there. */
MAYBE void
log_open(const struct plog_io *damaged)
{
	const struct plog_params p = { .io = mem_io(&bench.mem),
		.size = bench.mem.size,
		.damaged = damaged,
		.function = "lb",
		.boot = bench.boot,
		.depth = 4,
		.clock = mem_clock,
		.clock_ctx = &bench.clock,
		.stats = &lab.stats.log };
	char why[256] = "";
	int err;

	lab.log = plog_create(&p, &err, why, sizeof(why));
	ck_assert_msg(lab.log != NULL, "%d: %s", err, why);
	lab.grant.store.boot = bench.boot;
}

MAYBE void
bench_make(uint64_t slots)
{
	mem_make(&bench.mem, slots, "lb");
	bench.clock = (struct mem_clock){ .boot_ms = 5000000,
		.wall_ms = 1700000000000 };
	bench.boot = 77;
}

/* Until all is durable. */
MAYBE void
log_settle(void)
{
	for (int i = 0; i < 10000 && lab.log->durable < lab.log->lsn; i++)
		lab_poll();
	for (int i = 0; i < 10; i++)
		lab_poll();
	ck_assert_uint_eq(lab.log->durable, lab.log->lsn);
}

/* Let time pass, on all clocks alike. */
MAYBE void
pass(uint64_t ms)
{
	while (ms > 0) {
		uint64_t some = RTE_MIN(ms, 1000u);

		lab_pass(some);
		bench.clock.boot_ms += some;
		bench.clock.wall_ms += some;
		lab.stats.log.alive_ms = bench.clock.boot_ms;
		lab.stats.log.boot = bench.boot;
		ms -= some;
	}
}

/* The process ends: what is not on the store is lost. */
MAYBE void
crash(void)
{
	LAB_NF.destroy(lab.lb);
	lab.lb = NULL;
	plog_destroy(lab.log, 0);
	lab.log = NULL;
	mem_drop(&bench.mem);
	rte_pktmbuf_free(lab.emitted);
	lab.emitted = NULL;
	ck_assert_uint_eq(rte_mempool_avail_count(lab_pool), lab.pool_full);
}

/* `ms` later: the next process, on what is on the store. */
MAYBE void
restart(uint64_t ms)
{
	lab.now_us += ms * 1000;
	bench.clock.boot_ms += ms;
	bench.clock.wall_ms += ms;
	log_open(NULL);
	lab_start();
}

MAYBE void
bench_end(void)
{
	LAB_NF.destroy(lab.lb);
	plog_destroy(lab.log, 0);
	rte_pktmbuf_free(lab.emitted);
	mem_free(&bench.mem);
	ck_assert_uint_eq(rte_mempool_avail_count(lab_pool), lab.pool_full);
	memset(&lab, 0, sizeof(lab));
}

/* The usual grant: IPv4 and IPv6, one backend each; not yet started. */
MAYBE void
grant_simple(uint8_t proto, uint32_t durability)
{
	lab_grant();
	lab.grant.store.durability = durability;
	lab.grant.store.size = bench.mem.size;
	lab_service(VIP, 80, proto);
	lab_backend(BACK, 8080, 1);
	lab_service("fd00::80", 80, proto);
	lab_backend("fd01::21", 8080, 1);
	lab_snat(SNAT);
	lab_snat("fd00::9");
}

MAYBE void
start_simple(uint8_t proto, uint32_t durability)
{
	bench_make(SLOTS);
	grant_simple(proto, durability);
	log_open(NULL);
	lab_start();
	log_settle();
}

MAYBE struct spec
syn(uint16_t port)
{
	return (struct spec)SPEC(CLIENT, VIP, port, 80, IPPROTO_TCP,
		.flags = PACKET_SYN, .seq = 1000);
}

MAYBE struct spec
from_client(uint16_t port, uint8_t flags, uint32_t seq, uint32_t ack)
{
	return (struct spec)SPEC(CLIENT, VIP, port, 80, IPPROTO_TCP,
		.flags = flags, .seq = seq, .ack = ack);
}

MAYBE struct spec
from_backend(uint16_t port, uint8_t flags, uint32_t seq, uint32_t ack)
{
	return (struct spec)SPEC(BACK, SNAT, 8080, port, IPPROTO_TCP,
		.flags = flags, .seq = seq, .ack = ack);
}

/* Records of the store as it is, in order. */
struct record {
	uint16_t kind, len;
	uint32_t data[16];
};

struct records {
	struct record r[4096];
	uint32_t n;
};

MAYBE int
records_add(void *ctx, const struct plog_record *rec)
{
	struct records *all = ctx;
	struct record *r = &all->r[all->n];

	if (rec->kind == RECORD_ALIVE && rec->len != 4)
		return 0; /* a test's filling */
	ck_assert_uint_lt(all->n, RTE_DIM(all->r));
	ck_assert_uint_le(rec->len, sizeof(r->data));
	ck_assert_uint_le(plog_record_bytes(rec->len), 64);
	r->kind = rec->kind;
	r->len = rec->len;
	memcpy(r->data, rec->data, rec->len);
	all->n++;
	return 0;
}

MAYBE void
records_read(struct records *all)
{
	const struct plog_io io = mem_io(&bench.mem);
	struct plog_report report;
	struct plog_super super;
	char why[256];

	all->n = 0;
	ck_assert_int_eq(
		plog_super_read(&io, bench.mem.size, &super, why, sizeof(why)),
		0);
	ck_assert_int_eq(plog_scan(&io, &super, super.tail, 1, records_add, all,
				 &report),
		0);
}

/* How many of `kind`, of connections in `state` (any: FLOW_FREE). */
MAYBE uint32_t
records_count(uint16_t kind, enum flow_state state)
{
	static struct records all;
	uint32_t n = 0;

	records_read(&all);
	for (uint32_t i = 0; i < all.n; i++) {
		const struct record_conn *c = (const void *)all.r[i].data;

		n += all.r[i].kind == kind &&
		     (state == FLOW_FREE || c->state == state);
	}
	return n;
}

/* The backend that the balancer chose for the client's port. */
MAYBE const char *
backend_of(uint16_t port)
{
	static char text[INET6_ADDRSTRLEN];
	const struct lb *lb = the_lb();

	for (uint32_t i = 0; i < lb->flows.n; i++) {
		const struct flow *f = &lb->flows.flow[i];

		if (f->state == FLOW_FREE || f->client_port != htons(port))
			continue;
		return inet_ntop(AF_INET, &lb->backend[f->backend].addr.w[3],
			text, sizeof(text));
	}
	ck_abort_msg("no connection from port %u", port);
	return NULL;
}

MAYBE struct spec
reply(uint16_t port, uint16_t snat_port, uint8_t flags, uint32_t seq,
	uint32_t ack)
{
	struct spec s = from_backend(snat_port, flags, seq, ack);

	s.src = backend_of(port);
	return s;
}

/* Ports in use, by the sets of all endpoints: snat.c. */
MAYBE uint32_t
ports_used(void)
{
	const struct lb *lb = the_lb();
	uint32_t used = 0, bits = 0;

	for (uint32_t i = 0; i < LB_BACKENDS * LB_SNATS; i++) {
		const struct lb_endpoint *e = &lb->endpoint[i / LB_SNATS];
		const uint8_t *set = e->refs ? e->ports[i % LB_SNATS] : NULL;

		for (uint32_t b = 0; set != NULL && b < lb->n_own; b++) {
			const uint8_t *at = set + (size_t)b * lb->port_bytes;

			used += packet_get32(at + 4);
			for (uint32_t k = 8; k < lb->port_bytes; k += 4)
				bits += (uint32_t)__builtin_popcount(
					packet_get32(at + k));
		}
	}
	ck_assert_uint_eq(used, bits);
	return used;
}

/* All gauges agree with the table. */
MAYBE void
consistent(void)
{
	const struct lb *lb = the_lb();
	uint32_t live = 0, half = 0, by_backend = 0, by_service = 0, snat = 0;
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < lb->flows.n; i++) {
		const struct flow *f = &lb->flows.flow[i];

		live += f->state != FLOW_FREE;
		half += f->state == FLOW_SYN || f->state == FLOW_SYN_RCVD ||
			f->state == FLOW_UDP_NEW;
		if (f->state != FLOW_FREE && !f->ended)
			bytes += f->flags & FLOW_F_V6 ? RECORD_BYTES_V6
						      : RECORD_BYTES_V4;
	}
	for (uint32_t i = 0; i < LB_BACKENDS; i++) {
		by_backend += lb->backend[i].conns;
		ck_assert_uint_eq(
			lb->backend[i].conns, lab.stats.backend[i].connections);
	}
	for (uint32_t i = 0; i < LB_SERVICES; i++)
		by_service += lb->service[i].conns;
	for (uint32_t i = 0; i < LB_SNATS; i++)
		snat += lb->snat[i].conns;
	ck_assert_uint_eq(lb->flows.live, live);
	ck_assert_uint_eq(lb->flows.half, half);
	ck_assert_uint_eq(lab.stats.connections, live);
	ck_assert_uint_eq(lab.stats.half_open, half);
	ck_assert_uint_eq(by_backend, live);
	ck_assert_uint_eq(by_service, live);
	ck_assert_uint_eq(snat, live);
	ck_assert_uint_eq(lb->live_bytes, bytes);
	ck_assert_uint_eq(ports_used(), live);
	for (uint32_t i = lb->flows.free; i != WHEEL_NONE;
		i = lb->flows.flow[i].link.next) {
		ck_assert_uint_eq(lb->flows.flow[i].state, FLOW_FREE);
		live++;
	}
	ck_assert_uint_eq(live, lb->flows.n);
}

/* Of all that was logged so much came back, and the rest was lost so. */
MAYBE void
expect(uint64_t recovered, uint64_t config, uint64_t expired, uint64_t other)
{
	ck_assert_uint_eq(lab.stats.log.recovered, recovered);
	ck_assert_uint_eq(lab.stats.log.lost_config, config);
	ck_assert_uint_eq(lab.stats.log.lost_expired, expired);
	ck_assert_uint_eq(lab.stats.log.lost_other, other);
	ck_assert_uint_eq(lab.stats.connections, recovered);
	consistent();
}

/* What the checkpoint after a loss says is what was left. */
MAYBE void
expect_checkpoint(void)
{
	uint64_t n = lab.stats.log.recovered;

	pass(2000);
	log_settle();
	ck_assert_uint_ge(lab.stats.log.checkpoints, 1);
	crash();
	restart(0);
	ck_assert_uint_eq(lab.stats.log.recovered, n);
	bench_end();
}

/* Until memory is half full. */
MAYBE void
press(void)
{
	bench.mem.auto_done = false;
	while (!plog_pressed(lab.log)) {
		ck_assert_ptr_nonnull(plog_reserve(lab.log, RECORD_ALIVE, 60));
		lab_poll();
	}
}

#endif
