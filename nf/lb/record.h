/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The load balancer's records in the persistent log.
 *
 * Every record sets something, none changes something: what a slot means
 * (a definition), what a connection is, that an index has none. So the last
 * record of each says all, and any run of records that begins with all of
 * them (a checkpoint) is enough. A connection is known by its index in the
 * table.
 *
 *   SERVICE, BACKEND                        SNAT
 *    0              2              4         0              2              4
 *   +---------------+--------------+        +---------------+--------------+
 *   | address, 16 bytes            |        | address, 16 bytes            |
 *   +---------------+--------------+ 16     +---------------+--------------+ 16
 *   | port          | slot         |        | slot          | 0            |
 *   +---------------+--------------+ 20     +---------------+--------------+ 20
 *   | of            | 0            |
 *   +---------------+--------------+ 24     of: a service's protocol, or a
 *                                           backend's service slot
 *   CONN4, CONN6
 *    0              2              4
 *   +---------------+--------------+
 *   | index                        |
 *   +------------------------------+ 4
 *   | idle_ms: since the last      |   GONE
 *   |   packet, at this moment     |    0                             4
 *   +---------------+--------------+ 8 +------------------------------+
 *   | client_port   | snat_port    |   | index                        |
 *   +---------------+--------------+12 +------------------------------+
 *   | backend       | snat         |
 *   +-------+-------+-------+------+16 ALIVE
 *   |service| state | flags | 0    |    0                             4
 *   +-------+-------+-------+------+20 +------------------------------+
 *   | client_mac                   |   | connections                  |
 *   |               +--------------+24 +------------------------------+
 *   |               | 0            |
 *   +---------------+--------------+28
 *   | client address: 4 bytes in CONN4, 16 in CONN6
 *   +------------------------------+
 *   | fin[2]: only where `flags` says that one side has closed
 *   +------------------------------+
 *
 * Addresses, ports and MAC as on the wire, all else the host's order. State
 * and flags are those of flow.h, but a connection whose hand-shake is under
 * way is always in state SYN: nobody has to trust sequence numbers of before
 * the crash. One that both sides have closed is GONE. ALIVE tells no more than
 * that somebody was, when nothing else did for RECORD_ALIVE_MS.
 */
#ifndef CARRYALL_LB_RECORD_H
#define CARRYALL_LB_RECORD_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/nf.h"
#include "nf/lb/flow.h"

enum record_kind {
	RECORD_SERVICE = 1,
	RECORD_BACKEND,
	RECORD_SNAT,
	RECORD_CONN4,
	RECORD_CONN6,
	RECORD_GONE,
	RECORD_ALIVE,
};

/* A service or a backend. */
struct record_server {
	struct ip_addr addr;
	uint16_t port; /* network order */
	uint16_t slot;
	uint16_t of; /* protocol, or slot of the service */
	uint16_t pad;
};

struct record_snat {
	struct ip_addr addr;
	uint16_t slot;
	uint16_t pad;
};

struct record_conn {
	uint32_t index;
	uint32_t idle_ms;
	uint16_t client_port, snat_port; /* network order */
	uint16_t backend, snat;          /* slots */
	uint8_t service;
	uint8_t state, flags;
	uint8_t pad;
	uint8_t client_mac[6];
	uint16_t pad2;
	uint32_t tail[]; /* client address, fin */
};

struct record_gone {
	uint32_t index;
};

struct record_alive {
	uint32_t connections;
};

/* Whatever else is logged: an instance with connections says so this often. */
#define RECORD_ALIVE_MS 10000

/* Longest payload: with its head a record is at most 64 bytes. */
#define RECORD_CONN_MAX (28 + 16 + 8)

_Static_assert(sizeof(struct record_server) == 24, "as on disk");
_Static_assert(sizeof(struct record_snat) == 20, "as on disk");
_Static_assert(sizeof(struct record_conn) == 28, "as on disk");
_Static_assert(sizeof(struct record_gone) == 4, "as on disk");
_Static_assert(sizeof(struct record_alive) == 4, "as on disk");
_Static_assert(RECORD_CONN_MAX + 4 <= 64, "records are small");
_Static_assert(FLOW_SYN == 1 && FLOW_SYN_RCVD == 2 && FLOW_UDP_NEW == 3 &&
		       FLOW_CLOSED == 4 && FLOW_FIN == 5 &&
		       FLOW_ESTABLISHED == 6 && FLOW_UDP == 7,
	"as on disk");
_Static_assert(FLOW_F_V6 == 0x01 && FLOW_F_EST == 0x02, "as on disk");

/* What a connection takes in the log, at most: its record and the head. */
#define RECORD_BYTES_V4 44
#define RECORD_BYTES_V6 56

static inline uint64_t
record_conn_bytes(const struct flow *f)
{
	return f->flags & FLOW_F_V6 ? RECORD_BYTES_V6 : RECORD_BYTES_V4;
}

#define RECORD_F_FINS (FLOW_F_FIN(0) | FLOW_F_FIN(1))
#define RECORD_F_RSTS (FLOW_F_RST(0) | FLOW_F_RST(1))

/* Kind of the record of `f`. */
static inline uint16_t
record_conn_kind(const struct flow *f)
{
	return f->flags & FLOW_F_V6 ? RECORD_CONN6 : RECORD_CONN4;
}

/* Bytes of the record of `f`. */
static inline uint16_t
record_conn_len(const struct flow *f)
{
	return (uint16_t)(sizeof(struct record_conn) +
			  (f->flags & FLOW_F_V6 ? 16 : 4) +
			  (f->flags & RECORD_F_FINS ? 8 : 0));
}

/*
 * 1 if `f`, in state CLOSED, may be brought back by a later segment: a reset
 * closed it, which anybody may have sent (state.h). Else 0.
 */
static inline int
record_may_return(const struct flow *f)
{
	return (f->flags & FLOW_F_EST) && (f->flags & RECORD_F_RSTS);
}

/*
 * Write the record of `f`, which is not FREE, to at[0..record_conn_len(f)),
 * aligned to 4 bytes. Thread: any, no EAL.
 */
void record_conn_put(
	void *at, const struct flow *f, uint32_t index, uint32_t idle_ms);

/*
 * Read a connection record data[0..len), whatever its bytes, into *f: all of
 * it but lists, stamps and deltas, which are 0. 0, or -EINVAL if nothing that
 * record_conn_put() could have written looks like that. Slots are not
 * checked. Thread: any, no EAL.
 */
int record_conn_get(uint16_t kind, const void *data, size_t len, struct flow *f,
	uint32_t *index, uint32_t *idle_ms);

/* nf.record */
const char *lb_record(uint16_t kind, const void *data, size_t len,
	const struct nf_fields *out);

#endif
