/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bytes on their way, as the mbufs that they came in.
 *
 *   received() --> pipe --> tcp_send() of the other connection
 *                   |
 *                   `-- tcp_consumed() when they leave it
 *
 * A pipe holds what the other side does not take yet. What is in it is not
 * consumed, so the sender's window closes, and a pipe holds no more than that
 * window. Pieces that are much smaller than their mbuf are moved together,
 * so that a sender of single bytes cannot fill memory with nearly empty mbufs.
 */
#ifndef CARRYALL_PROXY_RELAY_H
#define CARRYALL_PROXY_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_mbuf.h>

struct proxy;
struct tcp_conn;

struct pipe {
	struct rte_mbuf *first, *last;
	uint32_t bytes, bufs;
};

/*
 * Put the chain `data` behind what is there. The pipe owns it. Returns how many
 * mbufs of it were freed, their bytes being moved: see tcp_returned().
 */
uint32_t pipe_push(struct proxy *p, struct pipe *q, struct rte_mbuf *data);

/* Put the chain `data` before what is there. The pipe owns it. */
void pipe_unpop(struct proxy *p, struct pipe *q, struct rte_mbuf *data);

/* The first mbuf that is not empty, which stays; NULL: none is left. */
struct rte_mbuf *pipe_peek(struct proxy *p, struct pipe *q);

/* Take the first mbuf, one segment that is not empty; NULL: none is left. */
struct rte_mbuf *pipe_pop(struct proxy *p, struct pipe *q);

/* Free the first `bytes`, of which there are at least so many. */
void pipe_strip(struct proxy *p, struct pipe *q, uint32_t bytes);

void pipe_clear(struct proxy *p, struct pipe *q);

/* data[0..len) in new mbufs, a chain; NULL: there are none. len >= 1. */
struct rte_mbuf *relay_copy(struct proxy *p, const void *data, size_t len);

/*
 * May more be queued on `c` now? Its own buffer bounds it, and, when many
 * connections hold much, a part of what is left for all. If so, tcp_send()
 * takes a chain; if not, room() of `c` comes when some of what it has queued
 * was acknowledged.
 */
bool relay_room(struct proxy *p, struct tcp_conn *c);

/*
 * Send what `from` holds on `to`, as far as it may go, and open the window of
 * `source` (NULL: it is gone) by it. Bytes sent.
 */
uint32_t relay_pump(struct proxy *p, struct pipe *from, struct tcp_conn *to,
	struct tcp_conn *source);

/* Is so much held, in `q` and by all, that its sender must go? */
bool relay_flooded(const struct proxy *p, const struct pipe *q);

#endif
