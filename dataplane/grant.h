/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The grant: all that the control plane hands to one instance.
 *
 * It is plain data without pointers, in a file under /run/carryall/NAME that
 * the instance maps read-only. A change of the configuration is a new file
 * with a higher `generation`, announced over the mailbox; the old one stays
 * mapped until the function has taken the new one over.
 *
 *   file               written by       read by
 *   INSTANCE.grant     control plane    the instance
 *   INSTANCE.stats     the instance     control plane (see stats.h)
 *   nexthops           control plane    every instance
 *
 * Byte order: addresses and ports as on the wire, all else the host's.
 */
#ifndef CARRYALL_GRANT_H
#define CARRYALL_GRANT_H

#include <assert.h>
#include <stdint.h>

#include "addr.h"
#include "steer.h"

#define GRANT_MAGIC   0x544e4743u /* "CGNT" */
#define GRANT_VERSION 3

#define GRANT_NAME_MAX     32   /* any name, with its NUL */
#define GRANT_SERVICES_MAX 64   /* services per function */
#define GRANT_BACKENDS_MAX 1024 /* backends per function, all services */
#define GRANT_SNAT_MAX     256  /* SNAT addresses per function */
#define GRANT_BUCKETS_MAX  1024 /* buckets per function */
#define GRANT_WEIGHT_MAX   256

enum grant_scheduler {
	GRANT_SCHED_MAGLEV,
	GRANT_SCHED_RR,
	GRANT_SCHED_LEASTCONN,
};

struct grant_backend {
	struct ip_addr addr;
	uint16_t port;    /* network order */
	uint16_t weight;  /* 0: drain; old connections go on, no new ones */
	uint32_t nexthop; /* index into the next-hop table */
};

struct grant_service {
	char name[GRANT_NAME_MAX];
	struct ip_addr addr;
	uint16_t port;     /* network order; 0 with ICMP */
	uint8_t proto;     /* IPPROTO_TCP, _UDP, _ICMP (both families) */
	uint8_t scheduler; /* enum grant_scheduler */
	uint16_t flags;    /* STEER_F_HASH_SOURCE or 0 */
	uint16_t pad;
	uint32_t first_backend; /* grant.backends[first .. first + n) */
	uint32_t n_backends;
};

/* Time-outs of a connection's states, in milliseconds. */
struct grant_timeouts {
	uint32_t syn_ms;         /* SYN seen, hand-shake not finished */
	uint32_t established_ms; /* idle, hand-shake finished */
	uint32_t fin_ms;         /* one side has closed */
	uint32_t closed_ms;      /* both sides have closed, or a reset */
	uint32_t udp_new_ms;     /* UDP, no reply seen yet */
	uint32_t udp_ms;         /* UDP, idle */
};

/* When a connection's first packet goes on. */
enum grant_durability {
	GRANT_DURABILITY_NONE,  /* at once, and no log is kept */
	GRANT_DURABILITY_BATCH, /* at once */
	GRANT_DURABILITY_SYNC,  /* when its record is durable */
};

/* How a write becomes durable, by what the device says of its cache. */
enum grant_flush {
	GRANT_FLUSH_NONE,  /* no volatile cache: when it has ended */
	GRANT_FLUSH_DSYNC, /* RWF_DSYNC: FUA where the device has it, or flush
			    */
};

/* The persistent log and the store it is on. */
struct grant_store {
	uint64_t size;       /* bytes; 0: none */
	uint64_t boot;       /* which start of the machine this is; not 0 */
	uint32_t durability; /* enum grant_durability */
	uint32_t flush;      /* enum grant_flush */
};

/* --- the proxy's part ------------------------------------------------------
 */

#define GRANT_GROUPS_MAX 128   /* backend groups per function */
#define GRANT_ROUTES_MAX 512   /* routes per function */
#define GRANT_TEXT_MAX   65536 /* bytes of all texts below */

/*
 * A text of variable length: grant.text[at .. at + len), no NUL counted, though
 * one follows. len 0: not given.
 */
struct grant_text {
	uint32_t at, len;
};

enum grant_mode {
	GRANT_MODE_HTTP,
	GRANT_MODE_TCP, /* bytes as they come */
};

/* The PROXY protocol, in and out. */
enum grant_proxy_protocol {
	GRANT_PROXY_NONE,
	GRANT_PROXY_V1,
	GRANT_PROXY_V2,
	GRANT_PROXY_ANY, /* in only: either version, but one of them */
};

/* Backends that serve alike. Those of a service follow each other. */
struct grant_group {
	char name[GRANT_NAME_MAX];
	uint32_t first_backend, n_backends; /* of grant.backends */
	uint32_t max_idle;      /* idle connections kept per backend */
	uint8_t scheduler;      /* enum grant_scheduler: _RR, _LEASTCONN */
	uint8_t proxy_protocol; /* sent: _NONE, _V1, _V2 */
	uint16_t pad;
	struct grant_text cookie; /* its name, for stickiness */
};

/*
 * Requests for `host` (lower case, without port; empty: any) whose path begins
 * with the segments of `path` (empty: any) go to `group`. A host that begins
 * with a dot, ".example.org", is every name that ends with it and is longer; it
 * is no host by itself. A service's routes are sorted, and the first that fits
 * is the one: whole hosts, then those with a dot, the longest first, then none;
 * of one host the longer paths first.
 */
struct grant_route {
	struct grant_text host, path;
	uint32_t group; /* of grant.groups */
};

#define GRANT_F_FORWARDED_FOR 0x1 /* X-Forwarded-For, -Proto, -Port */
#define GRANT_F_FORWARDED     0x2 /* Forwarded (RFC 7239) */
#define GRANT_F_ACCESS_LOG    0x4
#define GRANT_F_TRUST         0x8 /* keep what clients send of these headers */

/* How a service of the proxy behaves; one per service, same index. */
struct grant_proxy {
	uint8_t mode;           /* enum grant_mode */
	uint8_t proxy_protocol; /* expected of clients */
	uint16_t flags;         /* GRANT_F_* */
	uint32_t default_group; /* of grant.groups; where no route fits */
	uint32_t first_route, n_routes;

	uint32_t connect_ms;  /* backend's hand-shake */
	uint32_t header_ms;   /* a request's head, from its first byte */
	uint32_t idle_ms;     /* between requests; between bytes of a body */
	uint32_t response_ms; /* from a request's end to the answer's head */
	uint32_t tunnel_ms;   /* nothing in either direction */

	uint32_t max_connections;  /* of clients, per instance */
	uint32_t max_header_bytes; /* a head, request line included */
	uint32_t max_headers;
	uint64_t max_body;     /* bytes of a request's; 0: any */
	uint32_t retries;      /* on a fresh connection, where that is safe */
	uint32_t max_requests; /* per client connection; 0: any */

	/* Bodies of our own answers, as HTML; empty: a short text. */
	struct grant_text error_body;
};

struct grant {
	uint32_t magic, version;
	uint32_t size;       /* sizeof(struct grant) */
	uint32_t generation; /* counts up with each change */

	char appliance[GRANT_NAME_MAX];
	char function[GRANT_NAME_MAX];
	char type[GRANT_NAME_MAX]; /* name of the function's struct nf */
	uint32_t instance;         /* 0 .. instances - 1 */
	uint32_t instances;
	uint32_t core;       /* the CPU it is pinned to */
	uint32_t share_core; /* 1: other instances run on that CPU too */
	uint32_t uid, gid;   /* whom it runs as once attached */

	/* Memory: huge pages in MiB, or 0 for ordinary pages. */
	uint32_t huge_mb;
	uint32_t memory_mb; /* to reserve in either case */

	/* The VNIC, as an EAL --vdev (or allow-list) argument. */
	char devargs[256];

	/*
	 * Steering. `steer_seed` is the hash's secret; bucket b is this
	 * instance's own if bit b of `own` is set.
	 */
	uint32_t steer_seed;
	uint32_t buckets; /* a power of two */
	uint64_t own[GRANT_BUCKETS_MAX / 64];

	/* Next-hop table entries of the uplinks' own MAC addresses. */
	uint32_t client_uplink;  /* where services are */
	uint32_t backend_uplink; /* where SNAT addresses are */
	uint32_t n_nexthops;

	uint32_t max_connections; /* per instance; a power of two */
	uint32_t max_half_open;   /* per instance */
	struct grant_timeouts timeouts;
	struct grant_store store;

	uint32_t n_snat;
	struct ip_addr snat[GRANT_SNAT_MAX];
	uint32_t n_services;
	struct grant_service services[GRANT_SERVICES_MAX];
	uint32_t n_backends;
	struct grant_backend backends[GRANT_BACKENDS_MAX];

	/* The proxy's. */
	uint32_t congestion; /* 0: CUBIC, 1: NewReno */
	uint32_t n_groups;
	struct grant_group groups[GRANT_GROUPS_MAX];
	uint32_t n_routes;
	struct grant_route routes[GRANT_ROUTES_MAX];
	struct grant_proxy proxy[GRANT_SERVICES_MAX];
	uint32_t text_len;
	char text[GRANT_TEXT_MAX];
};

/* The bytes of a text of the grant. */
static inline const char *
grant_text(const struct grant *g, struct grant_text t)
{
	return g->text + t.at;
}

/* 1 if bucket `b` (below grant->buckets) is steered to this instance. */
static inline int
grant_owns(const struct grant *g, uint32_t b)
{
	return (g->own[b / 64] >> (b % 64)) & 1;
}

/*
 * The next-hop table. Entry i < number of uplinks is uplink i itself: its own
 * MAC address and MTU. The others are backends: the MAC address to send to
 * and the path's MTU. 0 means not resolved. One entry is one word, so that
 * reading it needs no lock and never sees half a change:
 *
 *    63                                        16 15             0
 *   +--------------------------------------------+----------------+
 *   | MAC address, first byte most significant   | MTU in bytes   |
 *   +--------------------------------------------+----------------+
 */
#define NEXTHOPS_MAX 4096

struct nexthops {
	uint32_t magic, version;
	uint64_t entry[NEXTHOPS_MAX];
};

#define NEXTHOPS_MAGIC 0x504f484eu /* "NHOP" */

static inline uint64_t
nexthop_pack(const uint8_t mac[6], uint16_t mtu)
{
	uint64_t v = 0;

	for (int i = 0; i < 6; i++)
		v = v << 8 | mac[i];
	return v << 16 | mtu;
}

/* Thread: any. 0 if the entry is not resolved. */
static inline uint64_t
nexthop_get(const struct nexthops *t, uint32_t i)
{
	return __atomic_load_n(&t->entry[i], __ATOMIC_RELAXED);
}

static inline void
nexthop_mac(uint64_t entry, uint8_t mac[6])
{
	for (int i = 0; i < 6; i++)
		mac[i] = (uint8_t)(entry >> (56 - 8 * i));
}

static inline uint16_t
nexthop_mtu(uint64_t entry)
{
	return (uint16_t)entry;
}

/*
 * An instance ends with this status, before it serves, when its store has
 * lost what was durable: then it is put aside and the next instance is given
 * a new one, and the damaged one to recover from.
 */
#define INSTANCE_EXIT_DAMAGED 3

/*
 * The mailbox: a SOCK_SEQPACKET socket INSTANCE.sock that the control plane
 * binds and the instance inherits, listening. One message is one
 * struct mail; the instance answers every request with the same `op` and a
 * `status`, and the text of an error.
 */
enum mail_op {
	MAIL_HELLO = 1, /* is it up? answered once the VNIC is served */
	MAIL_UPDATE,    /* descriptor of a new grant attached */
	MAIL_STOP,      /* finish and exit 0 */
};

struct mail {
	uint32_t op;         /* enum mail_op */
	int32_t status;      /* answer: 0 or -errno */
	uint32_t pid;        /* answer: the instance's process */
	uint32_t generation; /* answer: of the grant in force */
	char why[240];       /* answer: reason, NUL-terminated */
};

_Static_assert(sizeof(struct mail) == 256, "mail is one fixed message");

#endif
