/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Clients that ask an instance over TCP, by tcp_port.h.
 *
 * A request is some bytes, its answer as many as were agreed, or an HTTP
 * answer of status 200 by its Content-Length. Connections wait for their turn
 * in a queue: each is asked on after all others that are free, so that with
 * many of them none is in a cache because it was just there.
 *
 *   free --> (opens) --> asked --> answered --> free          kept
 *   free --> opens --> asked --> answered --> ends --> free   one each
 *
 * Load. `window`: so many requests at a time, a new one when one is done
 * (closed loop). `rate`: one when it is due, come what may; its delay counts
 * from when it was due, so that waiting for a free connection is in it.
 *
 * Thread: the NIC's.
 */
#ifndef PERF_TCP_LOAD_H
#define PERF_TCP_LOAD_H

#include "perf/lib/report.h"
#include "perf/lib/tcp_port.h"

enum tcp_load_kind {
	TCP_LOAD_ECHO, /* the answer is the request */
	TCP_LOAD_HTTP,
	TCP_LOAD_OPEN, /* no request: opened, and closed by us */
};

struct tcp_load_conn;

struct tcp_load {
	/* set before tcp_load_init() */
	enum tcp_load_kind kind;
	struct ip_addr to; /* of the service */
	uint16_t port;     /* network order */
	uint32_t n;        /* connections */
	bool each;         /* one for each request; else they are kept */
	/* Acknowledge at once: an answer is the server's until then, and of
	 * many connections none has its next request soon. */
	bool quickack;
	const char *request; /* HTTP */
	uint32_t bytes;      /* ECHO: of a request; else 0 */

	/* load; both 0: none */
	uint32_t window;
	double rate; /* requests/s */

	/* counted, since ever */
	uint64_t done;   /* requests; OPEN: connections that have ended */
	uint64_t opened; /* connections */
	uint64_t failed; /* refused, reset, ended without an answer */
	uint64_t wrong;  /* answers that are not what was asked for */
	uint64_t bytes_in;
	uint32_t established; /* now */
	struct samples delay; /* cycles; only while `sampled` */
	bool sampled;

	/* its own */
	struct tcp_port link; /* both stacks */
	struct tcp_load_conn *conn;
	struct tcp_blob blob;      /* ECHO of more than a segment */
	uint32_t *queue, queue_at; /* free ones, a ring of n */
	uint32_t n_queued, busy;
	uint32_t next_address;
	double tsc_per_request, due_tsc;
};

/*
 * Take over the port of `lab`. Memory: tcp_load_memory(). 0, or -1 and said
 * why. `l` is all zero but for what is to be set.
 */
int tcp_load_init(struct tcp_load *l, struct softlab *lab);

/* MiB that the generator takes with `n` connections. */
uint32_t tcp_load_memory_mb(uint32_t n);

/* Kept ones: open them all. 0, or -1 and said why, after `ns` at most. */
int tcp_load_open(struct tcp_load *l, uint64_t ns);

/* Reset all connections; others may be opened then. */
void tcp_load_close(struct tcp_load *l);

/* Begin with the load that is set. */
void tcp_load_start(struct tcp_load *l);

/*
 * No new requests; rounds until all are answered and connections for one each
 * have ended. 0, or -1 and said why.
 */
int tcp_load_drain(struct tcp_load *l);

/* "failed", "wrong" and the like as members of a line, into buf. */
const char *tcp_load_more(const struct tcp_load *l, char *buf, size_t len);

#endif
