/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Backends at the port of a NIC in software, beside the clients of tcp_load.h:
 * each request that ends in an empty line gets the same answer, HTTP with its
 * length told, from mbufs that hold it already. Thread: the NIC's.
 */
#ifndef PERF_TCP_BACKEND_H
#define PERF_TCP_BACKEND_H

#include "perf/lib/tcp_port.h"

#define TCP_BACKENDS     4 /* 10.0.1.21 and on */
#define TCP_BACKEND_PORT RTE_BE16(8080)

/* MiB that they take of the generator's memory. */
#define TCP_BACKENDS_MB 48

struct tcp_backend_conn;

struct tcp_backends {
	/* set before tcp_backends_init() */
	uint32_t n;     /* connections there can be */
	uint32_t bytes; /* of an answer's body */
	bool close;     /* the connection, after an answer */

	/* counted, since ever */
	uint64_t accepted, answers;
	uint32_t connections; /* now */

	/* its own */
	struct tcp_blob answer;
	struct tcp_backend_conn *conn, *free;
};

/* Listen on `port`. 0, or -1 and said why. */
int tcp_backends_init(struct tcp_backends *b, struct tcp_port *port);

#endif
