/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The NIC in software on a bench: two uplinks that are rings in memory, the
 * plan made by hand (xdp_plan.h), and its instances played by hand on their
 * virtqueues; and more VNICs, that no bucket is on, whose instances are down
 * unless a test makes them up. A test puts frames in at one end, runs rounds,
 * and looks at the other; after each, every packet buffer is back.
 *
 * The functions of attach.h are defined here: no instance has a socket.
 */
#ifndef CARRYALL_TEST_SOFTNIC_BENCH_H
#define CARRYALL_TEST_SOFTNIC_BENCH_H

#include <check.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "ctrl/soft/tables.h"
#include "dataplane/softnic/nic.h"
#include "tests/unit/xdp_plan.h"

#define RING      64
#define BUFFER    2048
#define GUEST     0x10000000ull
#define N_PLAYERS 8
#define PORT_OUT  16 /* the port's ring takes one less */

#define CLIENT "192.0.2.5"
#define SERVER "10.0.1.21"
#define TCP    IPPROTO_TCP
#define UDP    IPPROTO_UDP

/* A virtqueue as the driver sees it, and its buffers, in one region. */
struct shared {
	struct vring_desc desc[RING];
	struct {
		uint16_t flags, idx, ring[RING];
	} avail;
	struct {
		uint16_t flags, idx;
		struct vring_used_elem ring[RING];
	} used;
	uint8_t buffer[RING][BUFFER];
};

struct player {
	struct attach_link link;
	struct shared *to, *from;
	uint16_t to_seen, from_seen; /* of `used` */
	int up, broken;
};

static struct player player[N_PLAYERS];
static struct test_plan tp;
static struct softnic_tables *tables;
static struct softnic_stats stats;
static struct softnic *nic;
static struct rte_ring *wire_in[2], *wire_out[2];
static int bell = -1;

/* Before there are tests, and so no ck_assert. */
#define MUST(that)                                             \
	do {                                                   \
		if (!(that)) {                                 \
			fprintf(stderr, "bench: %s\n", #that); \
			abort();                               \
		}                                              \
	} while (0)

/* --- instead of attach.c ------------------------------------------------- */

int
attach_create(struct attach **out, const struct softnic_tables *t,
	struct softnic_stats *s, struct rte_rcu_qsbr *qsbr, char *why,
	size_t len)
{
	(void)t, (void)s, (void)qsbr, (void)why, (void)len;
	bell = eventfd(0, EFD_NONBLOCK);
	*out = (struct attach *)player;
	return 0;
}

struct attach_link *
attach_get(struct attach *a, uint32_t i)
{
	(void)a;
	return player[i].up && !player[i].broken ? &player[i].link : NULL;
}

int
attach_doorbell(const struct attach *a)
{
	(void)a;
	return bell;
}

void
attach_break(struct attach *a, uint32_t i)
{
	(void)a;
	player[i].broken++;
}

void
attach_destroy(struct attach *a)
{
	(void)a;
	close(bell);
}

/* --- instances ----------------------------------------------------------- */

static inline void
queue_make(struct player *p, struct virtq *q, struct shared *s, uint32_t region)
{
	uint64_t guest = GUEST * (region + 1);

	memset(s, 0, sizeof(*s));
	p->link.memory.region[region] = (struct virtq_region){
		.from = guest, .size = sizeof(*s), .at = (uint8_t *)s
	};
	for (uint16_t d = 0; d < RING; d++) {
		s->desc[d].addr = guest + offsetof(struct shared, buffer) +
				  (uint64_t)d * BUFFER;
		s->desc[d].len = BUFFER;
		s->desc[d].flags = region == 0 ? VRING_DESC_F_WRITE : 0;
	}
	*q = (struct virtq){ .desc = s->desc,
		.avail = (struct vring_avail *)&s->avail,
		.used = (struct vring_used *)&s->used,
		.memory = &p->link.memory,
		.size = RING,
		.call = eventfd(0, EFD_NONBLOCK),
		.kick = eventfd(0, EFD_NONBLOCK) };
}

/* n receive buffers of `len` bytes each are there. */
static inline void
player_up(uint32_t i, uint16_t n, uint32_t len)
{
	struct player *p = &player[i];

	memset(p, 0, sizeof(*p));
	p->to = malloc(sizeof(*p->to));
	p->from = malloc(sizeof(*p->from));
	p->link.memory.n = 2;
	queue_make(p, &p->link.to, p->to, 0);
	queue_make(p, &p->link.from, p->from, 1);
	for (uint16_t k = 0; k < n; k++) {
		p->to->avail.ring[k] = k;
		p->to->desc[k].len = len;
	}
	p->to->avail.idx = n;
	p->up = 1;
}

static inline void
player_down(uint32_t i)
{
	struct player *p = &player[i];

	if (p->to == NULL)
		return;
	close(p->link.to.call), close(p->link.to.kick);
	close(p->link.from.call), close(p->link.from.kick);
	free(p->to);
	free(p->from);
	memset(p, 0, sizeof(*p));
}

/* The next frame that was received, or 0. */
static inline size_t
player_get(uint32_t i, struct frame *f)
{
	struct player *p = &player[i];
	struct vring_used_elem *e;

	if (__atomic_load_n(&p->to->used.idx, __ATOMIC_ACQUIRE) == p->to_seen)
		return 0;
	e = &p->to->used.ring[p->to_seen++ % RING];
	f->n = e->len - VIRTQ_HEADER;
	memcpy(f->b, p->to->buffer[e->id] + VIRTQ_HEADER, f->n);
	return f->n;
}

/* Send; buffers are used in turn, as many at a time as the ring has. */
static inline void
player_put(uint32_t i, const struct frame *f)
{
	struct player *p = &player[i];
	uint16_t idx = p->from->avail.idx, d = idx % RING;

	ck_assert_uint_lt((uint16_t)(idx - p->from->used.idx), RING);
	memset(p->from->buffer[d], 0, VIRTQ_HEADER);
	memcpy(p->from->buffer[d] + VIRTQ_HEADER, f->b, f->n);
	p->from->desc[d].len = (uint32_t)(VIRTQ_HEADER + f->n);
	p->from->avail.ring[d] = d;
	__atomic_store_n(
		&p->from->avail.idx, (uint16_t)(idx + 1), __ATOMIC_RELEASE);
}

/* --- wires --------------------------------------------------------------- */

static inline void
wire_put(int u, const struct frame *f)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(nic->pool);

	ck_assert_ptr_nonnull(m);
	memcpy(rte_pktmbuf_append(m, (uint16_t)f->n), f->b, f->n);
	ck_assert_int_eq(rte_ring_enqueue(wire_in[u], m), 0);
}

static inline size_t
wire_get(int u, struct frame *f)
{
	struct rte_mbuf *m;
	void *p;

	if (rte_ring_dequeue(wire_out[u], &p) != 0)
		return 0;
	m = p;
	f->n = rte_pktmbuf_data_len(m);
	memcpy(f->b, rte_pktmbuf_mtod(m, void *), f->n);
	rte_pktmbuf_free(m);
	return f->n;
}

static inline void
rounds(int n)
{
	while (n-- > 0)
		softnic_round(nic);
}

/* --- frames -------------------------------------------------------------- */

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

/* A reply that VNIC 0 may send from the SNAT address: an even port. */
static inline void
out_snat(struct frame *f, uint16_t k)
{
	out_flow(f, TCP, SNAT, (uint16_t)(2048 + 2 * k), SERVER, 80);
}

static inline void
same(const struct frame *a, const struct frame *b)
{
	ck_assert_uint_eq(a->n, b->n);
	ck_assert_mem_eq(a->b, b->b, a->n);
}

/* --- the NIC ------------------------------------------------------------- */

static inline void
bench_ports(void)
{
	char name[16];

	for (int u = 0; u < 2; u++) {
		int port;

		snprintf(name, sizeof(name), "in%d", u);
		wire_in[u] = rte_ring_create(name, 1024, SOCKET_ID_ANY, 0);
		snprintf(name, sizeof(name), "out%d", u);
		wire_out[u] = rte_ring_create(name, PORT_OUT, SOCKET_ID_ANY, 0);
		snprintf(name, sizeof(name), "wire%d", u);
		port = rte_eth_from_rings(
			name, &wire_in[u], 1, &wire_out[u], 1, 0);
		MUST(port >= 0);
		rte_eth_dev_get_name_by_port(
			(uint16_t)port, tables->uplink[u].devargs);
	}
}

/* The tables of the plan, as the control plane fills them. */
static inline void
bench_tables(struct softnic_tables *t)
{
	struct softtables_uplink is[2] = { 0 };
	char why[256] = "";

	for (int u = 0; u < 2; u++) {
		memcpy(is[u].mac, frame_ours, 6);
		is[u].queues = 1;
	}
	MUST(softtables_fill(t, &tp.plan, "/run/unit", is, why, sizeof(why)) ==
		0);
	for (int u = 0; u < 2; u++)
		t->uplink[u].tap[0] = '\0';
}

/* As VNIC 2, but that no entry leads to them. */
static inline void
more_vnics(struct softnic_tables *t)
{
	for (uint32_t i = N_VNICS; i < N_PLAYERS; i++) {
		struct softnic_vnic *v = &t->vnic[i];

		*v = t->vnic[N_VNICS - 1];
		snprintf(v->name, sizeof(v->name), "more.%u", i);
		snprintf(v->path, sizeof(v->path), "/run/unit/more.%u", i);
	}
	t->n_vnics = N_PLAYERS;
}

static inline void
bench_eal(void)
{
	char *argv[] = { (char *)"test", (char *)"--no-huge",
		(char *)"--no-shconf", (char *)"--no-pci",
		(char *)"--no-telemetry", (char *)"-m", (char *)"128",
		(char *)"--log-level=error", NULL };

	if (rte_eal_init((int)RTE_DIM(argv) - 1, argv) < 0)
		abort();
	plan_by_hand(&tp, "lo", "lo");
	tables = calloc(1, sizeof(*tables));
	bench_tables(tables);
	more_vnics(tables);
	bench_ports();
}

static inline void
bench_open(void)
{
	char why[256] = "";

	nic = softnic_open_with(tables, &stats, NULL, why, sizeof(why));
	if (nic == NULL) {
		fprintf(stderr, "%s\n", why);
		abort();
	}
}

/* Each test begins with all instances up, idle, and counters at zero. */
static inline void
bench_setup(void)
{
	for (uint32_t i = 0; i < N_VNICS; i++)
		player_up(i, RING, BUFFER);
	memset(&stats, 0, sizeof(stats));
}

static inline void
bench_teardown(void)
{
	struct frame f;

	for (uint32_t i = 0; i < N_PLAYERS; i++)
		player_down(i);
	rounds(3);
	while (wire_get(0, &f) + wire_get(1, &f) > 0)
		rounds(1);
	ck_assert_uint_eq(rte_mempool_in_use_count(nic->pool), nic->n_spare);
}

#endif
