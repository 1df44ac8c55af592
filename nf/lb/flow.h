/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The connection table: one entry per connection, found from both sides.
 *
 *   client -> VIP    key0 = H(client, VIP, ports, proto)     --+
 *                                                              +--> entry
 *   backend -> SNAT  key1 = H(backend, SNAT, ports, proto)   --+
 *
 * H is a keyed 64-bit hash of the tuple, and only the hash is the key in
 * rte_hash: 8 bytes for either family. What a key leads to is always checked
 * against the whole tuple, so two tuples with one hash are counted and
 * refused, never mixed up (dataplane/flow_hash.h).
 *
 * Memory per connection: 64 bytes for the entry, and for its two keys in
 * rte_hash about 16 bytes of key, 16 of bucket and 8 of free list each.
 * All of it is taken when the table is made.
 *
 * Life of an entry, with the list that it hangs in (see dataplane/wheel.h):
 *
 *   FREE --SYN--> SYN --SYN+ACK--> SYN_RCVD --its ACK--> ESTABLISHED
 *    free list     half-open list, oldest first              | wheel
 *                                                           FIN
 *   FREE --> UDP_NEW --reply--> UDP (wheel)                  | both acked,
 *            new-UDP list                                    | or RST
 *                                                         CLOSED
 *                                                          closed list
 *
 * A packet of a steady connection writes `stamp` in the entry's own cache
 * line and nothing else; the wheel looks at the stamp when it fires.
 */
#ifndef CARRYALL_LB_FLOW_H
#define CARRYALL_LB_FLOW_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/addr.h"
#include "dataplane/flow_hash.h"
#include "dataplane/wheel.h"

struct rte_hash;

/* The order counts: from ESTABLISHED on a plain packet changes no state. */
enum flow_state {
	FLOW_FREE,
	FLOW_SYN,      /* client's SYN seen */
	FLOW_SYN_RCVD, /* backend's SYN+ACK seen: `isn` and `next` are known */
	FLOW_UDP_NEW,  /* no reply yet */
	FLOW_CLOSED,   /* both FINs acknowledged, or a reset */
	FLOW_FIN,      /* one side has closed */
	FLOW_ESTABLISHED,
	FLOW_UDP,
	FLOW_STATES,
};

#define FLOW_F_V6     0x01
#define FLOW_F_EST    0x02                   /* the hand-shake was verified */
#define FLOW_F_FIN(d) (uint8_t)(0x04 << (d)) /* direction d has closed */
#define FLOW_F_ACK(d) (uint8_t)(0x10 << (d)) /* ... and that was acked */
#define FLOW_F_RST(d) (uint8_t)(0x40 << (d)) /* direction d sent a reset */
#define FLOW_F_ENDED  0xfc                   /* all of the latter */

/* Directions; also the low bit of what rte_hash holds for a key. */
enum flow_dir {
	FLOW_CLIENT,  /* client -> VIP */
	FLOW_BACKEND, /* backend -> SNAT */
};

/*
 * One connection: one cache line, read and written by every packet of it.
 * VIP, backend and SNAT address are in small tables (see lb.h), by index.
 * A delta is that of a client's packet; replies take csum_back() of it.
 */
struct flow {
	struct ip_addr client;
	struct wheel_link link; /* `next` alone links the free list */
	uint32_t stamp;         /* milliseconds, wrapping: last packet */
	uint16_t client_port;   /* network order */
	uint16_t snat_port;     /* network order */
	uint16_t l4_delta;      /* of the TCP or UDP checksum */
	uint16_t ip_delta;      /* of the IPv4 header checksum */
	uint8_t state;          /* enum flow_state */
	uint8_t flags;          /* FLOW_F_* */
	uint8_t client_mac[6];  /* where replies go */
	uint16_t backend;       /* slots */
	uint16_t snat;
	uint8_t service;
	uint8_t mac_news;   /* of a new client MAC, once seen; or 0 */
	uint8_t logged : 1; /* the log has a record of it */
	uint8_t ended : 1;  /* closed for good: a checkpoint leaves it out */
	uint8_t grace : 6;  /* recovered half-open: time-outs it has left */
	uint8_t held;       /* packets that wait for that record: hold.h */
	union {
		struct {
			uint32_t isn;  /* SYN_RCVD: the backend's */
			uint32_t next; /* and what it has sent up to */
		};
		uint32_t fin[2]; /* FIN: sequence number after each FIN */
		uint32_t queued; /* UDP_NEW: when it came into the list */
	};
	uint32_t pad;
} __attribute__((aligned(64)));

_Static_assert(sizeof(struct flow) == 64, "a flow is one cache line");
_Static_assert(offsetof(struct flow, link) == 16, "links behind the address");

/* Lists that are not slots of the wheel. */
enum flow_list {
	FLOW_LIST_HALF,    /* SYN, SYN_RCVD */
	FLOW_LIST_UDP_NEW, /* UDP_NEW */
	FLOW_LIST_CLOSED,  /* CLOSED */
	FLOW_LISTS,
};

#define FLOW_WHEEL_SLOTS 1024 /* of 64 ms: a horizon of 65 s */
#define FLOW_WHEEL_SHIFT 6

struct flow_table {
	struct flow *flow; /* [0, n), then the heads of lists and slots */
	struct rte_hash *hash;
	struct wheel wheel;
	uint64_t key[FLOW_KEYS]; /* the hash's secret */
	uint32_t n;
	uint32_t free; /* first free entry, or WHEEL_NONE */
	uint32_t live; /* entries in use */
	uint32_t half; /* of these: SYN, SYN_RCVD and UDP_NEW */
};

/*
 * Bytes of DPDK memory of a table of `n` entries, as exactly as can be said.
 */
size_t flow_table_memory(uint32_t n);

/*
 * Make a table of `n` entries, with a hash of unique name `name`. 0, or
 * -ENOMEM, -EIO when there is no random key. Thread: instance.
 */
int flow_table_init(
	struct flow_table *t, uint32_t n, const char *name, uint64_t now_ms);

/* Free it; also after a failed init, if the table was zero before. */
void flow_table_fini(struct flow_table *t);

static inline uint32_t
flow_index(const struct flow_table *t, const struct flow *f)
{
	return (uint32_t)(f - t->flow);
}

/* The entry and direction that rte_hash holds for a key. */
static inline struct flow *
flow_of(const struct flow_table *t, uint64_t data, enum flow_dir *dir)
{
	*dir = (enum flow_dir)(data & 1);
	return &t->flow[data >> 1];
}

/*
 * The entry that `key` leads to, with the direction in *dir, or NULL. The
 * caller compares the tuple.
 */
struct flow *flow_lookup(
	const struct flow_table *t, uint64_t key, enum flow_dir *dir);

/*
 * Fetch what rte_hash keeps for key[0..n), n <= FLOW_WARM_MAX, all at once:
 * who is about to add or delete them one by one then waits for memory once.
 */
#define FLOW_WARM_MAX 64
void flow_warm(const struct flow_table *t, const uint64_t *key, uint32_t n);

/*
 * A free entry, zeroed and in state FREE, or NULL if the table is full. It
 * is in no list yet.
 */
struct flow *flow_alloc(struct flow_table *t);

/*
 * Make `f` reachable by both keys. 0; -EEXIST when a key is taken by another
 * connection (a collision of hashes); -ENOSPC when rte_hash has no room.
 * After an error neither key leads to `f`.
 */
int flow_insert(
	struct flow_table *t, struct flow *f, uint64_t key0, uint64_t key1);

/* Take both keys out. */
void flow_erase(struct flow_table *t, uint64_t key0, uint64_t key1);

/*
 * Move `f` to `state` and the list that belongs to it, stamped `now_ms`;
 * `timeout_ms` is the state's.
 */
void flow_set_state(struct flow_table *t, struct flow *f, enum flow_state state,
	uint64_t now_ms, uint32_t timeout_ms);

/*
 * Entries were filled in from outside: what is not in state FREE is in use.
 * Counts them and makes the free list anew, lowest first.
 */
void flow_table_recount(struct flow_table *t);

/* Give an entry back; it is in no list and has no keys. */
void flow_free(struct flow_table *t, struct flow *f);

/* Take `f` out of its list; its state becomes FREE. */
void flow_unlink(struct flow_table *t, struct flow *f);

/* The oldest entry of a list, or NULL. */
struct flow *flow_oldest(const struct flow_table *t, enum flow_list list);

#endif
