/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An instance's counters, in shared memory.
 *
 * One writer, the instance; the control plane maps the file read-only and
 * reads while it is written: each counter is one aligned word. The file
 * outlives the instance, so counters go on over a restart; gauges (named so
 * below) are set to zero when an instance starts. Counters carry their
 * names, so that a control plane of another version still shows them.
 *
 * Cache lines: the first line is written every loop, the others when
 * something happens. Nothing here is read on the per-packet path.
 */
#ifndef CARRYALL_STATS_H
#define CARRYALL_STATS_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "grant.h"

#define STATS_MAGIC     0x54415453u /* "STAT" */
#define STATS_VERSION   3
#define STATS_DROPS_MAX 64

enum stats_state {
	STATS_STARTING,
	STATS_SERVING,
	STATS_STOPPED,
};

struct stats_service {
	uint64_t connections;    /* gauge: now */
	uint64_t opened;         /* connections since ever */
	uint64_t packets, bytes; /* forwarded, both directions */
};

struct stats_backend {
	struct ip_addr addr; /* who it is: set by the instance */
	uint16_t port;
	uint16_t service;
	uint32_t used;        /* 0: free slot */
	uint64_t connections; /* gauge: now */
	uint64_t opened;
	uint64_t packets, bytes;
	uint64_t failed; /* hand-shakes reset, refused or timed out */
};

/* TCP of an instance, over all its connections (RFC 4022's words mostly). */
struct stats_tcp {
	uint64_t active_opens, passive_opens;
	uint64_t failed_opens; /* hand-shakes that came to nothing */
	uint64_t established;  /* gauge */
	uint64_t time_wait;    /* gauge */
	uint64_t in_segments, out_segments;
	uint64_t in_bytes, out_bytes; /* of payload, in order / first time */
	uint64_t resets_in, resets_out;
	uint64_t retransmits;       /* segments */
	uint64_t fast_retransmits;  /* recoveries begun by duplicates or SACK */
	uint64_t timeouts;          /* retransmissions by time */
	uint64_t out_of_order;      /* segments beyond a gap */
	uint64_t duplicates;        /* segments of which nothing was new */
	uint64_t unacceptable;      /* outside the window; RFC 9293 3.10.7.4 */
	uint64_t paws;              /* old timestamps (RFC 7323) */
	uint64_t challenge_acks;    /* sent (RFC 5961) */
	uint64_t challenge_limited; /* not sent: too many */
	uint64_t zero_windows;      /* the peer has closed its window */
	uint64_t probes;            /* of a closed window, and keep-alives */
	uint64_t cookies_sent, cookies_ok, cookies_bad;
	uint64_t time_wait_reused, time_wait_evicted;
	uint64_t icmp_errors; /* that were of a connection, and believed */
	uint64_t pmtu;        /* of these, that made a path smaller */
	uint64_t no_memory;   /* segments not taken or sent for lack of mbufs */
	uint64_t table_full;  /* connections refused */
	uint64_t dead;        /* given up: nothing acknowledged for too long */
};

/* Why the proxy has answered itself, or broken off. */
enum stats_http_error {
	HTTP_ERR_BAD_REQUEST,  /* 400 */
	HTTP_ERR_TIMEOUT,      /* 408: the head took too long */
	HTTP_ERR_TOO_LARGE,    /* 413 */
	HTTP_ERR_HEADERS,      /* 431 */
	HTTP_ERR_BAD_RESPONSE, /* 502: malformed, cut short */
	HTTP_ERR_NO_BACKEND,   /* 503: none, or none that connects */
	HTTP_ERR_SLOW_BACKEND, /* 504 */
	HTTP_ERR_CLIENT_GONE,  /* no answer could be given */
	HTTP_ERR_CUT,          /* an answer that ended before its end */
	HTTP_ERRORS,
};

/* HTTP of one service. */
struct stats_http {
	uint64_t requests;
	uint64_t status[6]; /* answers to clients by class; [0]: none given */
	uint64_t error[HTTP_ERRORS];
	uint64_t retries;
	uint64_t tunnels;     /* gauge */
	uint64_t limited;     /* connections refused: max_connections */
	uint64_t access_lost; /* lines of the access log not written */
};

/* The HTTP part of a backend; same index as stats.backend. */
struct stats_server {
	uint64_t idle;        /* gauge: connections kept for reuse */
	uint64_t active;      /* gauge: requests in progress */
	uint64_t requests;    /* answered */
	uint64_t reused;      /* of these, on a connection that was there */
	uint64_t errors;      /* 502, 504, resets */
	uint64_t response_us; /* sum: request's end to answer's head */
};

/* What the persistent log is doing. */
enum stats_log_state {
	PLOG_NONE,     /* no log is kept */
	PLOG_STARTING, /* recovered, the session is being written */
	PLOG_OK,
	PLOG_STALLED, /* the device has not answered for too long */
	PLOG_FAILING, /* the device refuses writes; they are repeated */
	PLOG_FULL,    /* the store is too small for what is live */
	PLOG_STATES,
};

/*
 * The log of an instance. Appending is the log's (dataplane/log), recovery
 * the function's. All but gauges count on over restarts.
 */
struct stats_log {
	uint32_t state;    /* gauge: enum stats_log_state */
	uint32_t error;    /* errno of the last write that failed */
	uint64_t capacity; /* gauge: bytes for records */
	uint64_t used;     /* gauge: of these, from the tail to the head */
	uint64_t live;     /* gauge: bytes that a checkpoint takes */
	uint64_t records;  /* appended */
	uint64_t durable;  /* of these, on stable storage */
	uint64_t bytes;    /* of payload, appended */
	uint64_t writes;   /* of blocks, ended well */
	uint64_t written;  /* bytes, by them */
	uint64_t errors;   /* writes that failed or were cut short */
	uint64_t stalls;   /* how often a write took too long */
	uint64_t no_room;  /* records that found no room */
	uint64_t missed;   /* of these, such as mattered */
	uint64_t fulls;    /* how often the store became too small */
	uint64_t checkpoints;

	/* recovery: of the latest start */
	uint64_t recover_us;      /* gauge: time it took */
	uint64_t recover_records; /* gauge: read */
	uint64_t recovered;       /* gauge: connections that go on */
	uint64_t lost_config;  /* connections of what the config has no more */
	uint64_t lost_expired; /* whose time-out passed while it was down */
	uint64_t lost_other;   /* no room, or contradicting */
	uint32_t end;          /* gauge: enum plog_end of that recovery */
	uint32_t damaged;      /* gauge: 1: from a damaged store */

	uint64_t held;     /* gauge: packets that wait for their record */
	uint64_t alive_ms; /* CLOCK_BOOTTIME, about a second old at most */
	uint64_t boot;     /* which start of the machine that was in */
};

struct stats {
	/* line 0: written every loop */
	uint64_t busy_tsc; /* cycles in loops that found work */
	uint64_t idle_tsc; /* cycles in loops that did not, sleep included */
	uint64_t rx_packets, rx_bytes;
	uint64_t tx_packets, tx_bytes;
	uint64_t loops, sleeps;

	/* line 1: who is writing */
	uint32_t magic, version;
	uint32_t size;  /* sizeof(struct stats) */
	uint32_t state; /* enum stats_state */
	uint32_t pid;
	uint32_t pad;
	uint64_t tsc_hz;
	uint64_t started_ns; /* CLOCK_MONOTONIC: first packet could be served */
	uint64_t starts;     /* how often an instance began on these counters */
	uint64_t misdirected; /* packets of a bucket that is not ours */
	uint64_t tx_full;     /* packets the VNIC did not take; dropped */

	/* connections, written by the function */
	uint64_t connections;  /* gauge */
	uint64_t half_open;    /* gauge */
	uint64_t opened;       /* ever */
	uint64_t evicted;      /* half-open ones that made room */
	uint64_t ended;        /* of services that a new grant removed */
	uint64_t memory_bytes; /* gauge: of the function's tables */
	uint64_t mbufs; /* gauge, a second old: in use, the driver's included */

	struct stats_log log;

	/* drops by name: reason r counts in drop[r], named drop_name[r] */
	uint32_t n_drops;
	uint32_t pad2;
	uint64_t drop[STATS_DROPS_MAX];
	char drop_name[STATS_DROPS_MAX][GRANT_NAME_MAX];

	struct stats_service service[GRANT_SERVICES_MAX];
	struct stats_backend backend[GRANT_BACKENDS_MAX];

	struct stats_tcp tcp;
	struct stats_http http[GRANT_SERVICES_MAX];
	struct stats_server server[GRANT_BACKENDS_MAX];
};

_Static_assert(offsetof(struct stats, magic) == 64, "line 0 is one cache line");

#endif
