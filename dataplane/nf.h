/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The contract of a network function.
 *
 * A function is a folder nf/NAME that defines `const struct nf nf_NAME`. The
 * build finds the folder; nothing else in the tree names it.
 *
 *    VNIC --rx--> burst(): one verdict each --TX----> VNIC
 *                              |  |
 *                              |  +--HELD--> the function's until nf_emit()
 *                              +--DROP r--> freed, counted under r's name
 *
 * The framework sends or frees each packet exactly once, by its verdict. All
 * callbacks but `configure` and `memory` run on the instance's one thread;
 * none may block, and burst and tick neither allocate nor call the kernel.
 */
#ifndef CARRYALL_NF_H
#define CARRYALL_NF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "grant.h"
#include "stats.h"

struct access_ring;
struct plog;
struct rte_mbuf;
struct rte_mempool;

/* Most packets in one burst. */
#define NF_BURST_MAX 64

/*
 * A verdict: what the framework does with the packet when burst() returns.
 * NF_DROP(r) frees it and counts drop reason r: one of enum nf_drop, or
 * NF_DROP_OWN + i for the function's own drops[i].
 */
typedef uint16_t nf_verdict;
#define NF_TX      ((nf_verdict)0) /* send it: the packet as it is now */
#define NF_HELD    ((nf_verdict)1) /* the function owns it from here on */
#define NF_DROP(r) ((nf_verdict)(2 + (r)))

/* Drop reasons that every function shares. */
enum nf_drop {
	NF_DROP_MALFORMED,   /* headers cut short or contradicting */
	NF_DROP_NOT_IP,      /* neither IPv4 nor IPv6 */
	NF_DROP_NOT_OURS,    /* address, port or protocol of no service */
	NF_DROP_MISDIRECTED, /* a bucket of another instance */
	NF_DROP_FRAGMENT,    /* a fragment where fragments are not taken */
	NF_DROP_TTL,         /* TTL or hop limit used up */
	NF_DROP_TX_FULL,     /* the VNIC did not take it */
	NF_DROP_OWN,         /* the function's own reasons begin here */
};

/* What the framework gives to a function; valid until destroy(). */
struct nf_env {
	const struct grant *grant; /* in force; replaced before update() */
	const struct nexthops *nexthops;
	struct stats *stats;      /* the function writes its part */
	struct rte_mempool *pool; /* for packets that a function makes */
	uint64_t tx_offload; /* RTE_ETH_TX_OFFLOAD_* that the VNIC has on */
	/*
	 * The persistent log, NULL if none is kept. create() may replay it;
	 * the framework starts it when create() returns, and polls it.
	 */
	struct plog *log;
	/* The access log's ring, NULL if there is none; see GRANT_F_ACCESS_LOG.
	 */
	struct access_ring *access;
	uint64_t tsc_hz;
	void *emit_ctx;
	void (*emit)(void *emit_ctx, struct rte_mbuf *m);
	uint16_t (*room)(void *emit_ctx); /* NULL: there always is */
};

/*
 * Send a packet that the function made or held. The framework owns it from
 * here, sends it with the current burst or as soon as the VNIC takes it, or
 * frees it and counts tx_full.
 */
static inline void
nf_emit(const struct nf_env *env, struct rte_mbuf *m)
{
	env->emit(env->emit_ctx, m);
}

/*
 * How many packets nf_emit() takes now without one of them, or of the next
 * burst, being lost; 0 while the VNIC has not taken what was sent before.
 * Who has many packets that can wait lets go of so many at a time.
 */
static inline uint16_t
nf_room(const struct nf_env *env)
{
	return env->room == NULL ? UINT16_MAX : env->room(env->emit_ctx);
}

/* What a function needs from the config: checked before anything runs. */
#define NF_NEEDS_BACKENDS 0x1 /* services have backends, functions snat */
#define NF_LOGS           0x2 /* keeps its connections in a log */
#define NF_PROXIES        0x4 /* ends connections: grant.proxy and groups */
#define NF_PROTO_TCP      0x10
#define NF_PROTO_UDP      0x20
#define NF_PROTO_ICMP     0x40

/* Where a function tells the fields of a record to: for people, or JSON. */
struct nf_fields {
	void *ctx;
	void (*text)(void *ctx, const char *name, const char *value);
	void (*number)(void *ctx, const char *name, uint64_t value);
};

struct nf {
	const char *name;    /* the config's `type`, the folder's name */
	const char *summary; /* one line for people */
	uint32_t flags;      /* NF_NEEDS_*, NF_PROTO_* it can serve */

	/* The function's own drop reasons, NULL-terminated, or NULL. */
	const char *const *drops;

	/*
	 * Check a grant's content beyond what the config table can say.
	 * Thread: control. 0, or -EINVAL with the reason in why[0..len).
	 * May be NULL.
	 */
	int (*configure)(const struct grant *g, char *why, size_t len);

	/*
	 * Bytes of DPDK memory that create() will take for this grant,
	 * packet buffers not counted. Thread: control. NULL: none.
	 */
	size_t (*memory)(const struct grant *g);

	/*
	 * Packet buffers that it may hold at once, beyond those in the VNIC's
	 * rings. Thread: control and instance. NULL: a few hundred.
	 */
	uint32_t (*buffers)(const struct grant *g);

	/*
	 * Make the function's state. Thread: instance, before the first
	 * burst. The state or NULL with the reason in why[0..len).
	 */
	void *(*create)(const struct nf_env *env, char *why, size_t len);

	/*
	 * Handle pkts[0..n), n <= NF_BURST_MAX, and set verdict[0..n). The
	 * framework owns the packets but those with verdict NF_HELD.
	 * `now_tsc` is the loop's clock.
	 */
	void (*burst)(void *state, struct rte_mbuf **pkts, uint16_t n,
		nf_verdict *verdict, uint64_t now_tsc);

	/*
	 * Do timed work, a bounded slice of it. Called about every
	 * millisecond under load, and when the time it asked for is there.
	 * Returns in how many microseconds it wants to be called again at
	 * the latest (0: at once, there is more to do now). May be NULL.
	 */
	uint32_t (*tick)(void *state, uint64_t now_tsc);

	/*
	 * Take over env->grant, which has just been replaced by a newer
	 * generation. Connections go on. 0, or -errno with the reason in
	 * why[0..len) and the old behaviour kept (the framework then puts
	 * the old grant back). May be NULL: then an update is refused.
	 */
	int (*update)(void *state, char *why, size_t len);

	/*
	 * More of env->log is durable than before, or its state has changed.
	 * True to be called again in the loop's next round, as there was no
	 * room (nf_room()) for all that waited for it. Thread: instance,
	 * between bursts. NULL unless NF_LOGS.
	 */
	bool (*durable)(void *state, uint64_t now_tsc);

	/*
	 * Tell the fields of a log record data[0..len), whatever its bytes.
	 * The name of its kind, or NULL if it is none. Thread: any. NULL
	 * unless NF_LOGS.
	 */
	const char *(*record)(uint16_t kind, const void *data, size_t len,
		const struct nf_fields *out);

	/* Free all of it, held packets included. */
	void (*destroy)(void *state);
};

/* All functions found under nf/, NULL-terminated; made by the build. */
extern const struct nf *const nf_all[];

/* The function named `name`, or NULL. Thread: any. */
const struct nf *nf_find(const char *name);

#endif
