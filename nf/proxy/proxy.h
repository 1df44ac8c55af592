/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The proxy: clients' connections end here, and others to backends begin.
 *
 *   client ==TCP==> session ---- exchange ---- server ==TCP==> backend
 *                   one per       one request    one per connection to a
 *                   connection    at a time      backend, in use or idle
 *
 * A session is in one of these states:
 *
 *            accepted
 *               |  service expects PROXY        +------------------------+
 *               |-----------> PREFACE ---+      |    answered, goes on   |
 *               |                        v      v                        |
 *               +----------------------> IDLE ----> HEAD ----> BUSY -----+
 *               |  mode tcp                first     whole      |  |
 *               v                          byte      head       |  | answered,
 *            TUNNEL <---------------- 101 Switching ------------+  | ends
 *               |                                                  v
 *               | both have closed                              LINGER
 *               v                                                  |
 *             FREE <---------- client has closed, or time is up ---+
 *
 * While BUSY the exchange goes through two things side by side:
 *
 *   request   head is written -> (backend connects) -> sent -> body ... done
 *   response                       head comes -> written -> body ... done
 *
 * and ends when the response has ended. What else has come of the client by
 * then (pipelining) waits in the session's pipe, not consumed, so that the
 * window bounds it.
 *
 * A connection to a backend goes back to the backend's idle ones, and the
 * latest is taken first; but never after anything odd: bytes that nobody has
 * asked for, an answer before the end of the request, one that ends with the
 * connection, a client that has gone away.
 *
 * Whole heads are parsed where they lie, in the mbuf. Heads that come in
 * pieces are put together in buffers of which there are few (head.h); when
 * all are in use, the oldest is taken away from whoever is slowest. Payload
 * is never copied, but where two messages meet within one mbuf.
 *
 * Time: a session has one deadline, and one place in a wheel, at or before
 * it. Moving the deadline away writes a word; only when the wheel fires is it
 * seen that it is not due.
 *
 * Memory: a session and a server per connection that TCP can have, from arrays
 * made at the start. A kept connection of a client takes 512 bytes here and
 * 512 in TCP, an idle one of a backend 64 and 512; neither holds an mbuf or a
 * buffer.
 *
 * Calls that may end a session say so; who has called one looks at s->state
 * before going on. An entry that is freed is not used again within the event
 * that freed it: connections are accepted only by segments of their own.
 */
#ifndef CARRYALL_PROXY_PROXY_H
#define CARRYALL_PROXY_PROXY_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_branch_prediction.h>
#include <rte_common.h>
#include <rte_mbuf.h>

#include "dataplane/access.h"
#include "dataplane/nf.h"
#include "dataplane/tcp/secret.h"
#include "dataplane/tcp/tcp.h"
#include "dataplane/wheel.h"
#include "nf/proxy/balance.h"
#include "nf/proxy/http.h"
#include "nf/proxy/http_body.h"
#include "nf/proxy/http_write.h"
#include "nf/proxy/relay.h"

#define PROXY_NONE     UINT32_MAX
#define PROXY_SERVICES (2 * GRANT_SERVICES_MAX) /* those that end included */

/* After an answer with which a connection ends (RFC 9112 section 9.6). */
#define LINGER_MS    5000
#define LINGER_BYTES (1u << 20)

/* The wheel of deadlines: slots of 64 ms, a horizon of a minute. */
#define PROXY_SLOTS      1024
#define PROXY_SLOT_SHIFT 6

/* An idle connection to a backend is closed by us after that. */
#define POOL_IDLE_MS 60000

enum session_state {
	SESSION_FREE,
	SESSION_PREFACE, /* the PROXY protocol's header is to come */
	SESSION_IDLE,    /* between requests */
	SESSION_HEAD,    /* a part of a head is there */
	SESSION_BUSY,    /* a request is under way */
	SESSION_TUNNEL,  /* bytes, both ways */
	SESSION_LINGER,  /* all is said: what still comes is thrown away */
};

#define SESSION_FIN   0x01 /* the client has nothing more to say */
#define SESSION_TLS   0x02 /* to the proxy in front, it has spoken TLS */
#define SESSION_NAMED 0x04 /* `who` is filled in */
#define SESSION_SHUT  0x08 /* TUNNEL: our FIN is sent to the client */

struct head_reading;

/* One request and its response. */
#define EXCHANGE_KEEP     0x0001 /* the connection may go on after it */
#define EXCHANGE_UPGRADE  0x0002 /* asked for, and passed on */
#define EXCHANGE_SAFE     0x0004 /* idempotent, no body: may be said twice */
#define EXCHANGE_TUNNEL   0x0008 /* it is one now, and counted */
#define EXCHANGE_LAST     0x0010 /* the client has said: close */
#define EXCHANGE_SENT     0x0020 /* the head has gone to a backend */
#define EXCHANGE_ASKED    0x0040 /* all of the request has */
#define EXCHANGE_REUSED   0x0080 /* on a connection that was there */
#define EXCHANGE_FRESH    0x0100 /* no idle one again, please */
#define EXCHANGE_HEARD    0x0200 /* a byte of a response has come */
#define EXCHANGE_HEADED   0x0400 /* the response's head went to the client */
#define EXCHANGE_ANSWERED 0x0800 /* the response has come to its end */
#define EXCHANGE_DECHUNK  0x1000
#define EXCHANGE_ODD      0x2000 /* its connection is not to be used again */
#define EXCHANGE_STICK    0x4000 /* the answer sets a cookie */
#define EXCHANGE_CUT      0x8000 /* the client must see that it is not whole */

struct exchange {
	uint16_t flags;
	uint16_t status; /* said to the client; 0: none yet */
	uint8_t method, minor;
	uint8_t error; /* enum stats_http_error + 1; 0: none */
	uint8_t retries;
	uint8_t interims;         /* 1xx that came */
	uint32_t group;           /* of the grant in force; PROXY_NONE: gone */
	uint32_t backend;         /* slot; PROXY_NONE: none was found yet */
	uint32_t except;          /* slot that has failed */
	struct rte_mbuf *request; /* the head to be sent, until it is */
	struct rte_mbuf *kept;    /* the head as it came */
	uint64_t cookie;          /* of the backend that the client wants */
	uint64_t began_us, headed_us, connected_us, asked_us, heard_us;
	uint64_t bytes_in, bytes_out;
	struct http_body from_client, from_backend;
	struct http_slice text[ACCESS_TEXTS]; /* in `kept` */
};

struct session {
	/* line 0: each event */
	struct tcp_conn *conn;
	struct proxy *proxy;
	uint8_t state; /* enum session_state */
	uint8_t flags;
	uint16_t service;    /* slot */
	uint32_t server;     /* index, or PROXY_NONE */
	uint32_t head;       /* index of a buffer, or PROXY_NONE */
	uint32_t deadline;   /* ms, cut to 32 bits; 0: none */
	uint32_t armed_at;   /* where in the wheel; 0: not in it */
	uint32_t requests;   /* so far */
	uint32_t lingered;   /* bytes thrown away; free: the next of the list */
	struct pipe in, out; /* from the client, to it */

	struct ip_addr client, local;     /* who it is, what it came to */
	uint16_t client_port, local_port; /* network order */
	struct http_client who;           /* with SESSION_NAMED */
	struct exchange x;
} __attribute__((aligned(64)));

_Static_assert(sizeof(struct session) <= 512 + 64, "a session stays small");

enum server_state {
	SERVER_FREE,
	SERVER_CONNECTING,
	SERVER_BUSY, /* with a session */
	SERVER_IDLE, /* in its backend's list */
};

struct server {
	struct tcp_conn *conn;
	struct proxy *proxy;
	uint32_t session;    /* or PROXY_NONE */
	uint32_t prev, next; /* idle ones of a backend; free ones */
	uint32_t since;      /* idle since, ms */
	uint16_t backend;    /* slot */
	uint8_t state;       /* enum server_state */
	bool fin;            /* the backend has nothing more to say */
	bool shut;           /* TUNNEL: our FIN is sent to it */
};

_Static_assert(sizeof(struct server) <= 64, "one line");

/* A backend of a group, known by service, group, address and port. */
struct backend {
	struct ip_addr addr;
	uint16_t port;
	uint16_t service; /* slot */
	char group[GRANT_NAME_MAX];
	bool used, live; /* live: in the grant in force */
	uint8_t failures;
	uint32_t member;     /* of grant.backends, when live */
	uint32_t in_group;   /* of grant.groups, when live */
	uint32_t nexthop;    /* of the next-hop table */
	uint32_t idle_first; /* latest first */
	uint32_t idle_last;
	uint32_t n_idle;
	uint32_t conns;  /* idle ones included */
	uint32_t active; /* requests, tunnels */
	uint64_t down_until_ms;
	uint64_t cookie;
};

/* A service, known by address and port. */
struct service {
	struct proxy *proxy;
	struct ip_addr addr;
	uint16_t port;
	bool used, live, listening;
	uint32_t stat; /* of grant.services, when live */
	uint32_t conns;
	struct grant_proxy conf; /* the latest that was in force */
	struct stats_http *http;
	struct stats_service *counts;
};

struct proxy {
	const struct nf_env *env;
	struct tcp *tcp;
	struct access_ring *access; /* or NULL */
	uint64_t now_ms, now_us;
	uint64_t tsc_per_us;

	struct session *session; /* [0, n) */
	struct server *server;   /* [0, n) */
	struct wheel_link *link; /* of sessions, then the wheel's */
	struct wheel wheel;
	uint32_t n;
	uint32_t free_session, free_server;
	uint32_t sessions, servers; /* in use */

	uint32_t waiting, max_waiting; /* mbufs in pipes */
	uint32_t max_held;             /* mbufs in TCP's queues */
	uint32_t kept, max_kept;       /* heads of requests under way */

	uint8_t *heads; /* see head.h */
	uint32_t head_room, n_heads, heads_used;
	uint32_t free_head, oldest_head, newest_head;

	uint32_t n_failed; /* backends with failures */
	uint64_t swept_ms; /* when idle connections were looked at */
	uint32_t bound[2]; /* SNAT addresses of each family */
	uint32_t next_snat[2];
	uint16_t snat[2][GRANT_SNAT_MAX]; /* of grant.snat */
	struct tcp_secret cookie_key;

	struct service service[PROXY_SERVICES];
	struct backend backend[GRANT_BACKENDS_MAX];   /* index: of counters */
	uint16_t slot_of[GRANT_BACKENDS_MAX];         /* of grant.backends */
	struct balance_node node[GRANT_BACKENDS_MAX]; /* likewise */
	struct balance balance[GRANT_GROUPS_MAX];
	struct stats_http gone_http; /* of services that are no more */
	struct stats_service gone_counts;

	struct http_parser parser; /* of heads that come whole */
	char scratch[HTTP_HEAD_MAX + HTTP_WRITE_GROWTH + 1]; /* heads made */
	char flat[HTTP_HEAD_MAX + 1]; /* heads out of several mbufs */
};

static inline struct service *
service_of(const struct session *s)
{
	return &s->proxy->service[s->service];
}

static inline struct server *
server_of(const struct session *s)
{
	return s->server == PROXY_NONE ? NULL : &s->proxy->server[s->server];
}

static inline struct session *
session_of(const struct server *v)
{
	return v->session == PROXY_NONE ? NULL : &v->proxy->session[v->session];
}

static inline struct stats_server *
server_stats(const struct proxy *p, uint32_t backend)
{
	return &p->env->stats->server[backend];
}

/* --- session.c ----------------------------------------------------------- */

extern const struct tcp_ops session_ops;

/* Go on with what has come, as far as the state allows. May end it. */
void session_run(struct session *s);

/*
 * Close it in order: what is queued still goes out. With `linger` what the
 * client still sends is taken and thrown away for a while, for a reset would
 * take from it what it has not read yet.
 */
void session_close(struct session *s, bool linger);

/* Reset it. */
void session_abort(struct session *s);

/* Free the entry; its connection has gone or is another's. */
void session_free(struct session *s);

/* More has come than may be held for it, or what it said was not understood;
 * the same for all that is not HTTP. */
void session_drop(struct session *s);

/* --- deadline.c ---------------------------------------------------------- */

/* Due in `ms`; 0: never. */
void deadline_set(struct session *s, uint32_t ms);
void deadline_end(struct session *s);
/* Do what is due, a slice of it: true if there may be more. */
bool deadline_tick(struct proxy *p);
uint32_t deadline_wait(const struct proxy *p, uint32_t max_ms);

/* --- exchange.c ---------------------------------------------------------- */

/* The first byte of a request is there. */
void exchange_reset(struct session *s);

/*
 * The head that was read is whole and good: find a backend, send it on. Takes
 * it out of where it lies. May end the session.
 */
void exchange_begin(struct session *s, const struct head_reading *r);

/* The backend's connection is there. */
void exchange_connected(struct session *s);

/* It did not come about. */
void exchange_not_connected(struct session *s, int error);

/* It has gone, or said its end, before the exchange's. */
void exchange_lost(struct session *s, int error);

/* Send on what has come of the request's body. */
void exchange_pump(struct session *s);

/* Time is up. */
void exchange_late(struct session *s);

/* The response is complete and has gone to the client: the next one. */
void exchange_end(struct session *s);

/* Free the mbufs that it has. */
void exchange_forget(struct session *s);

/* Break off, whatever state it is in: the client has gone. */
void exchange_drop(struct session *s, enum stats_http_error why);

/* --- response.c ---------------------------------------------------------- */

/* Queue `data` for the client; owns it. */
void response_send(struct session *s, struct rte_mbuf *data);

/* A backend's bytes for the session. Owns `data`. */
void response_input(struct session *s, struct rte_mbuf *data);

/* The client takes more. */
void response_pump(struct session *s);

/* The backend has closed in order: true if that was the response's end. */
bool response_ends(struct session *s);

/* The response is at its end: let go of the backend's connection. */
void response_end(struct session *s);

/* --- tunnel.c ------------------------------------------------------------ */

/* TCP mode: a connection that is relayed from its first byte on. */
void tunnel_open(struct session *s);
void tunnel_connected(struct session *s);
void tunnel_not_connected(struct session *s, int error);
/* After 101: what has come of both is sent on. */
void tunnel_begin(struct session *s);
void tunnel_input(struct session *s, struct rte_mbuf *data);
/* Move what can be moved, closings included. May end the session. */
void tunnel_pump(struct session *s);
/* Either side has gone: `error` as closed() says. */
void tunnel_lost(struct session *s, int error);
void tunnel_client_gone(struct session *s, int error);

/* --- answer.c ------------------------------------------------------------ */

/*
 * Answer the request with an error of ours, and count it. The connection goes
 * on after it only if `keep` and all of the request was taken. A response
 * that has begun is broken off instead. May end the session.
 */
void answer_error(struct session *s, uint16_t status,
	enum stats_http_error error, bool keep);

/* --- server.c ------------------------------------------------------------ */

/* An idle connection to backend `slot`, now the session's; or NULL. */
struct server *server_take(struct session *s, uint32_t slot);

/* Open one, for the session. 0, or -errno of tcp_connect(). */
int server_connect(struct session *s, uint32_t slot);

/* Send the PROXY protocol's header for the session, where it is wanted. */
int server_preface(struct session *s);

/* Give the session's back for reuse. */
void server_put(struct session *s);

/* Let go of the session's in order, or (abort) with a reset. */
void server_end(struct session *s, bool abort);

/* Close idle ones: that are too old; all of backend `slot`. */
void server_sweep(struct proxy *p);
void server_close_idle(struct proxy *p, uint32_t slot);

/* --- upstream.c ---------------------------------------------------------- */

/*
 * A backend for the exchange: the one that the client's cookie names, if it is
 * good, else by the group's scheduler; but not x->except if there is another.
 * Its slot, or PROXY_NONE.
 */
uint32_t upstream_pick(struct session *s);

/* It does not connect: leave it alone for a moment. */
void upstream_failed(struct proxy *p, uint32_t slot);
/* It does. */
void upstream_works(struct proxy *p, uint32_t slot);

/* Count a request or tunnel, and a connection, in and out. */
void upstream_busy(struct proxy *p, uint32_t slot, int n);
void upstream_conns(struct proxy *p, uint32_t slot, int n);

/* --- report.c ------------------------------------------------------------ */

/* Remember where the log's texts are, of the head of `h`, which is kept. */
void report_texts(struct exchange *x, const struct http_parser *h);

/* Is a line of the log wanted? */
bool report_logs(const struct session *s);

/* The exchange, or tunnel, is over: counters, and a line of the log. */
void report_end(struct session *s);

/* Count error `e` in the exchange, the first one. */
void report_error(struct session *s, enum stats_http_error e);

/* --- check.c, update.c --------------------------------------------------- */

int proxy_configure(const struct grant *g, char *why, size_t len);
size_t proxy_memory(const struct grant *g);
uint32_t proxy_head_room(const struct grant *g);
uint32_t proxy_buffers(const struct grant *g);

/* Take env->grant over, the first one or a later. 0 or -errno with why. */
int proxy_apply(struct proxy *p, char *why, size_t len);

#endif
