/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/lib/tcp_backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_byteorder.h>

#define MBUFS 8191u

#define END_OF_HEAD 0x0d0a0d0au /* an empty line, behind another */

struct tcp_backend_conn {
	struct tcp_backends *all;
	struct tcp_backend_conn *next; /* free ones */
	uint32_t tail;                 /* the last bytes that came */
	uint32_t to_send; /* of the answer: what has not gone yet */
	uint32_t owed;    /* answers behind that */
	bool ends;        /* nothing comes behind these */
};

static void
answer_on(struct tcp_conn *c, struct tcp_backend_conn *k)
{
	const struct tcp_blob *b = &k->all->answer;

	while (k->to_send > 0 || k->owed > 0) {
		struct rte_mbuf *m;
		uint32_t n;

		if (k->to_send == 0) {
			k->owed--;
			k->to_send = b->len;
			k->all->answers++;
		}
		m = tcp_blob_take(b, b->len - k->to_send, tcp_room(c));
		if (m == NULL)
			return;
		n = m->pkt_len;
		if (tcp_send(c, m) != 0) {
			rte_pktmbuf_free(m);
			return;
		}
		k->to_send -= n;
	}
	if (k->ends)
		tcp_shutdown(c);
}

/* Ends of requests in data[0..n), of which the last bytes are kept. */
static uint32_t
requests_in(struct tcp_backend_conn *k, const uint8_t *data, uint32_t n)
{
	uint32_t found = 0;

	for (uint32_t i = 0; i < n; i++) {
		k->tail = k->tail << 8 | data[i];
		found += k->tail == END_OF_HEAD;
	}
	return found;
}

static void
received(struct tcp_conn *c, void *user, struct rte_mbuf *data)
{
	struct tcp_backend_conn *k = user;
	uint32_t n = data->pkt_len;

	for (const struct rte_mbuf *m = data; m != NULL; m = m->next)
		k->owed += requests_in(
			k, rte_pktmbuf_mtod(m, const uint8_t *), m->data_len);
	rte_pktmbuf_free(data);
	tcp_consumed(c, n);
	if (k->owed > 0) {
		k->ends |= k->all->close;
		answer_on(c, k);
	}
}

static void *
accepted(void *listener, struct tcp_conn *c)
{
	struct tcp_backends *b = listener;
	struct tcp_backend_conn *k = b->free;

	(void)c;
	if (k == NULL)
		return NULL;
	b->free = k->next;
	memset(k, 0, sizeof(*k));
	k->all = b;
	b->accepted++;
	b->connections++;
	return k;
}

static void
finished(struct tcp_conn *c, void *user)
{
	struct tcp_backend_conn *k = user;

	k->ends = true;
	answer_on(c, k);
}

static void
room(struct tcp_conn *c, void *user)
{
	answer_on(c, user);
}

static void
closed(struct tcp_conn *c, void *user, int error)
{
	struct tcp_backend_conn *k = user;

	(void)c;
	(void)error;
	k->next = k->all->free;
	k->all->free = k;
	k->all->connections--;
}

static const struct tcp_ops ops = {
	.accepted = accepted,
	.received = received,
	.finished = finished,
	.room = room,
	.closed = closed,
};

static int
answer_make(struct tcp_backends *b, struct tcp_port *port)
{
	char head[300];
	int n = snprintf(head, sizeof(head),
		"HTTP/1.1 200 OK\r\nServer: bench\r\n"
		"Content-Type: application/octet-stream\r\n"
		"Content-Length: %u\r\n%s\r\n",
		b->bytes, b->close ? "Connection: close\r\n" : "");

	return tcp_blob_init(&b->answer, port, "answer", MBUFS, head,
		(uint32_t)n, (uint32_t)n + b->bytes);
}

int
tcp_backends_init(struct tcp_backends *b, struct tcp_port *port)
{
	int rc = answer_make(b, port);

	b->conn = calloc(b->n, sizeof(*b->conn));
	if (rc != 0 || b->conn == NULL)
		return -1;
	for (uint32_t i = 0; i < b->n; i++) {
		b->conn[i].next = b->free;
		b->free = &b->conn[i];
	}
	for (uint32_t i = 0; i < TCP_BACKENDS && rc == 0; i++) {
		struct ip_addr addr =
			ip_addr_from_v4(rte_cpu_to_be_32(0x0a000115u + i));

		rc = tcp_listen(port->stack[TCP_PORT_BACKENDS], &addr,
			TCP_BACKEND_PORT, &ops, b, 0);
	}
	if (rc != 0)
		fprintf(stderr, "backends do not listen\n");
	return rc != 0 ? -1 : 0;
}
