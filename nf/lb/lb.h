/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The state of one load balancer instance, and who does what with it.
 *
 *   lb.c      the function's operations; the burst: parse, look up, forward
 *   nat.h     rewriting a packet of a known connection (per packet)
 *   state.c   TCP states (per packet that is not plain)
 *   open.c    packets of no known connection; making and ending connections
 *   sched.c   which backend; maglev.c its consistent table
 *   snat.c    which SNAT address and port
 *   icmp.c    ICMP errors, translated and made
 *   frag.c    fragments behind the first
 *   expire.c  timed work, in slices
 *   tables.c  the small tables below, by slot
 *   update.c  from a grant to these tables
 *   check.c   is a grant good, and what memory does it take
 *   log.c     what the persistent log is told, and when; record.c its records
 *   hold.c    packets that wait for the log
 *   recover.c from the log to the tables, when an instance starts; image.c,
 *             spill.c what the log says
 *   flow.c    the connection table
 *
 * Connections name their service, backend and SNAT address by slot. A slot
 * keeps its meaning until its last connection is gone, so what a new grant
 * removes goes on as a slot that gets no new connections. Slots of backends
 * are also those of stats->backend.
 *
 * One thread, the instance's, owns all of it.
 */
#ifndef CARRYALL_LB_LB_H
#define CARRYALL_LB_LB_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/nf.h"
#include "dataplane/packet.h"
#include "nf/lb/flow.h"
#include "nf/lb/hold.h"

#define LB_SERVICES (2 * GRANT_SERVICES_MAX)
#define LB_BACKENDS GRANT_BACKENDS_MAX
#define LB_SNATS    (2 * GRANT_SNAT_MAX)
#define LB_NONE     UINT16_MAX

/* The load balancer's own drop reasons; names in lb.c. */
enum lb_drop {
	LB_DROP_NO_CONNECTION = NF_DROP_OWN,
	LB_DROP_NO_BACKEND,
	LB_DROP_NO_SNAT_PORT,
	LB_DROP_TABLE_FULL,
	LB_DROP_NO_NEXTHOP,
	LB_DROP_TOO_BIG,
	LB_DROP_ICMP_NO_CONNECTION,
	LB_DROP_HASH_COLLISION,
	LB_DROP_PORT_REUSED,
	LB_DROP_LOG_BUSY,
};

struct lb_sched; /* sched.h */

/*
 * Slot of a service. `live`: the grant has it. A slot that is not live but
 * has connections is being swept (expire.c) and forwards nothing.
 */
struct lb_service {
	struct ip_addr addr;
	uint16_t port; /* network order */
	uint8_t proto;
	bool used, live;
	uint16_t flags; /* STEER_F_* */
	uint16_t stat;  /* index in stats->service: the grant's */
	uint32_t conns;
	struct lb_sched *sched; /* its scheduler, or NULL: no backend */
};

/*
 * Slot of a backend of one service. First line: read by every packet.
 * `hop` is its entry of the next-hop table; once the grant has it no more,
 * that entry may become somebody else's, so `hop` is then its last value.
 */
struct lb_backend {
	struct ip_addr addr;
	uint16_t port;    /* network order */
	uint16_t service; /* slot */
	bool used, live;
	const uint64_t *hop;
	uint64_t last_hop;
	uint32_t conns;
	uint16_t member;   /* place in its service's scheduler, or LB_NONE */
	uint16_t endpoint; /* slot */
} __attribute__((aligned(64)));

struct lb_snat {
	struct ip_addr addr;
	bool used, live, v6;
	uint32_t conns;
};

/*
 * A backend's address, port and protocol, whatever services it is in: what
 * SNAT ports must be unique for.
 */
struct lb_endpoint {
	struct ip_addr addr;
	uint16_t port;
	uint8_t proto;
	uint32_t refs;   /* backend slots */
	uint8_t **ports; /* [LB_SNATS] sets: snat.h; or NULL */
};

/* A first fragment that has passed: where the later ones go. */
struct lb_frag {
	struct ip_addr src, dst;
	uint32_t id, stamp;
	uint32_t flow;
	uint16_t client_port, snat_port; /* it is still that connection */
	uint8_t proto, dir, used;
};

#define LB_FRAGS 1024

/*
 * The SYN of a connection that waits for its backend, as it was sent: see
 * syn.c. The slot is the entry's index modulo LB_SYNS.
 */
#define LB_SYNS    512
#define LB_SYN_MAX 126

struct lb_syn {
	uint16_t len; /* 0: none */
	uint8_t frame[LB_SYN_MAX];
};

struct lb {
	/* per burst */
	uint64_t now_ms;
	uint64_t client_hop, backend_hop; /* the uplinks' own entries */
	struct flow_table flows;
	uint32_t timeout_ms[FLOW_STATES];

	const struct nf_env *env;
	uint64_t tsc_per_ms;
	uint32_t client_uplink, backend_uplink; /* next-hop entries */

	/* steering, as at create: it does not change */
	uint32_t steer_seed, mask; /* mask: buckets - 1 */
	uint64_t own[GRANT_BUCKETS_MAX / 64];
	uint16_t own_index[GRANT_BUCKETS_MAX]; /* among the owned */
	uint32_t n_own;
	uint32_t ports;      /* SNAT ports of one bucket */
	uint32_t port_bytes; /* and of their record: see snat.c */

	uint32_t max_half_open;
	uint32_t sweep;  /* flow to look at next, ending services' flows */
	uint32_t ending; /* connections of services that are gone */
	uint64_t error_ms, error_tokens; /* limit of ICMP errors made */
	uint64_t start_tsc; /* of the first burst or tick: the clock's zero */

	/* the persistent log: log.c */
	struct plog *log;      /* or NULL */
	bool sync;             /* first packets wait for their record */
	uint32_t define_next;  /* definition to be written next */
	uint32_t save_next;    /* flow to look at next, in a checkpoint */
	uint64_t alive_lsn;    /* last record seen by a tick */
	uint64_t alive_ms;     /* and when it was new */
	uint64_t live_bytes;   /* of records of those not ended, at most */
	uint64_t define_bytes; /* of definitions */

	/* this burst's packets, and the mbufs that they are in */
	const struct packet *packets;
	struct rte_mbuf **mbufs;
	struct hold hold;

	/* live SNAT slots by family: [0] IPv4, [1] IPv6 */
	uint16_t snat_of[2][GRANT_SNAT_MAX];
	uint16_t n_snat[2];

	/* service slot + 1 by hash of address and port, open addressing */
	uint8_t service_index[4 * GRANT_SERVICES_MAX];

	struct lb_service service[LB_SERVICES];
	struct lb_snat snat[LB_SNATS];
	struct lb_endpoint endpoint[LB_BACKENDS];
	struct lb_backend backend[LB_BACKENDS];
	struct lb_frag frag[LB_FRAGS];
	struct lb_syn syn[LB_SYNS];
};

/* --- per packet: lb.c --- */

/* Hash of a packet's tuple. */
uint64_t lb_packet_key(const struct lb *lb, const struct packet *p);

/*
 * 1 if packets of direction `dir` of `f`, which is in use, go from `src` to
 * `dst`, else 0: addresses alone, in mapped form.
 */
int lb_flow_between(const struct lb *lb, const struct flow *f,
	enum flow_dir dir, const struct ip_addr *src,
	const struct ip_addr *dst);

/* --- a port that the backend still holds: syn.c --- */

/* Keep the SYN `p`, rewritten and about to be sent, that opened `f`. */
void lb_syn_keep(struct lb *lb, const struct flow *f, const struct packet *p);

/*
 * `p` is the backend's answer to the SYN of `f`, which is in state SYN. If it
 * says that the backend still has another connection on that port, end that
 * one, send the SYN again, and return 1: `p` is done with. Else 0.
 */
int lb_syn_again(struct lb *lb, const struct flow *f, const struct packet *p);

/* --- connections: open.c --- */

/*
 * A connection that is about to be opened. Opening goes in three steps, so
 * that a burst of new connections takes each step for all of them, and the
 * memory that one step asks for is there in the next.
 */
struct lb_opening {
	struct ip_addr client, vip;
	uint16_t service, backend, snat, snat_port;
	uint32_t hash, bucket;
	uint64_t key[2];    /* by direction */
	nf_verdict verdict; /* NF_TX: it can go on */
};

/*
 * Step 1: may `p`, which belongs to no connection, open one, and to which
 * backend? Sets o->verdict.
 */
void lb_open_choose(
	struct lb *lb, const struct packet *p, struct lb_opening *o);

/* Step 2: take a SNAT port, if o->verdict is still NF_TX. */
void lb_open_port(struct lb *lb, const struct packet *p, struct lb_opening *o);

/*
 * Step 3, if o->verdict is still NF_TX: the connection in its first state,
 * or NULL: then o->verdict says why and the port is given back.
 */
struct flow *lb_open_enter(
	struct lb *lb, const struct packet *p, struct lb_opening *o);

/*
 * `n` connections may be opened now: fetch what making room for them will
 * touch.
 */
void lb_make_way(struct lb *lb, uint32_t n);

/* End connection `f` and free all it holds. */
void lb_close(struct lb *lb, struct flow *f);

/* One connection more (`by` is 1) or less (-1) on all that `f` names. */
void lb_count(struct lb *lb, const struct flow *f, int by);

/* Tell the number of connections. */
void lb_publish(struct lb *lb);

/* Set the checksum deltas of `f` from all that it names. */
void lb_set_deltas(const struct lb *lb, struct flow *f);

/* Move `f` to a state, with the counters that go with it. */
void lb_set_state(struct lb *lb, struct flow *f, enum flow_state state);

/* The key that direction `dir` of `f` is found by. */
uint64_t lb_flow_key(
	const struct lb *lb, const struct flow *f, enum flow_dir dir);

/* --- tables.c --- */

/* Slot of the live service at addr, port, proto, or LB_NONE. */
uint16_t lb_service_find(const struct lb *lb, const struct ip_addr *addr,
	uint16_t port, uint8_t proto);

/* Rebuild what lb_service_find() uses from the live slots. */
void lb_service_index(struct lb *lb);

/* Slot of a used SNAT address, or LB_NONE. */
uint16_t lb_snat_find(const struct lb *lb, const struct ip_addr *addr);

/* A backend's next hop as it is now; 0: not resolved. */
static inline uint64_t
lb_hop(const struct lb_backend *b)
{
	return __atomic_load_n(b->hop, __ATOMIC_RELAXED);
}

/* Read the uplinks' own entries, once a burst. */
static inline void
lb_read_uplinks(struct lb *lb)
{
	const struct nexthops *t = lb->env->nexthops;

	lb->client_hop = nexthop_get(t, lb->client_uplink);
	lb->backend_hop = nexthop_get(t, lb->backend_uplink);
}

static inline int
lb_owns(const struct lb *lb, uint32_t bucket)
{
	return (lb->own[bucket / 64] >> (bucket % 64)) & 1;
}

/* --- the log: log.c; all but lb_log_redefine() only where there is one --- */

/* 1 if a new connection could not be logged, so should not be opened. */
int lb_log_busy(const struct lb *lb);

/*
 * `p`, forwarded but for this, is of `f`, which is half-open or closed. Log
 * the connection if it is not yet. NF_TX, NF_HELD when `p` is to wait, or the
 * drop verdict.
 */
nf_verdict lb_log_first(struct lb *lb, struct flow *f, const struct packet *p);

/* `f` has just come from state `was` into the one it is in. */
void lb_log_state(struct lb *lb, struct flow *f, enum flow_state was);

/* Something else of `f` that a record has is another now. */
void lb_log_change(struct lb *lb, struct flow *f);

/* `f` is about to be no more. */
void lb_log_gone(struct lb *lb, struct flow *f);

/* Slots have other meanings: log that before any connection. */
void lb_log_redefine(struct lb *lb);

/*
 * A slice of a checkpoint, if one is due. Returns in how many microseconds it
 * wants to go on, UINT32_MAX: not at all.
 */
uint32_t lb_log_tick(struct lb *lb);

/* nf.durable */
bool lb_durable(void *state, uint64_t now_tsc);

/* --- the other parts --- */

/*
 * An ICMP or ICMPv6 error to one of our addresses: rewrite it for whom it is
 * about. The verdict.
 */
nf_verdict lb_icmp(struct lb *lb, const struct packet *p);

/*
 * Packet `p` is bigger than `mtu`, its way on: answer its sender where the
 * RFCs want it. The drop verdict.
 */
nf_verdict lb_too_big(struct lb *lb, const struct packet *p, uint16_t mtu);

/* Remember the first fragment `p` of flow `f`. */
void lb_frag_note(struct lb *lb, const struct flow *f, enum flow_dir dir,
	const struct packet *p);

/* The flow of a later fragment, or NULL. */
struct flow *lb_frag_find(
	struct lb *lb, const struct packet *p, enum flow_dir *dir);

/* nf.tick */
uint32_t lb_tick(void *state, uint64_t now_tsc);

/* nf.configure and nf.memory: check.c; nf.update: update.c */
int lb_configure(const struct grant *g, char *why, size_t len);
size_t lb_memory(const struct grant *g);
int lb_update(void *state, char *why, size_t len);

/*
 * Take the first grant: tables empty before, but for slots that were
 * reserved. As lb_update().
 */
int lb_load(struct lb *lb, char *why, size_t len);

/*
 * Reserve a vacant slot for what is in the first grant, so that lb_load()
 * finds it there. Of a backend: 0 or -ENOMEM.
 */
void lb_reserve_service(
	struct lb *lb, uint16_t slot, const struct grant_service *g);
void lb_reserve_snat(struct lb *lb, uint16_t slot, const struct ip_addr *addr);
int lb_reserve_backend(struct lb *lb, uint16_t slot,
	const struct grant_backend *g, uint16_t service);

/* Free what the tables hold. */
void lb_unload(struct lb *lb);

/*
 * Set the clock of this burst or tick. It shows LB_CLOCK_START until the
 * first one, so that what is recovered before can be stamped by it.
 */
#define LB_CLOCK_START (1u << 20)

static inline void
lb_clock(struct lb *lb, uint64_t now_tsc)
{
	if (__builtin_expect(lb->start_tsc == 0, 0))
		lb->start_tsc = now_tsc;
	lb->now_ms =
		LB_CLOCK_START + (now_tsc - lb->start_tsc) / lb->tsc_per_ms;
}

#endif
