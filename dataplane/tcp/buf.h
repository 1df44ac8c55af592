/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mbufs in the queues of a connection.
 *
 * A queued mbuf keeps its place in the stream in the mbuf's own spare words
 * (dynfield1), at an offset that is reserved with DPDK when a stack is made,
 * so that a queue needs no memory of its own. mbuf->next is not used for
 * queues: a driver that still holds the mbuf follows it.
 *
 * Offset and length of the payload are kept here, too: when an mbuf is sent
 * in place, its header is written ahead of the payload and data_off and
 * data_len are the frame's, but the queue's view stays.
 */
#ifndef CARRYALL_TCP_BUF_H
#define CARRYALL_TCP_BUF_H

#include <assert.h>
#include <stdint.h>

#include <rte_mbuf.h>

struct tcp_buf {
	struct rte_mbuf *next; /* in the queue, by sequence number */
	struct rte_mbuf *last; /* out-of-order queue: see reass.c */
	uint32_t seq;          /* of the first byte */
	uint16_t off;          /* of it, from buf_addr */
	uint16_t len;          /* bytes */
	uint8_t fin;           /* out-of-order queue: a FIN follows it */
};

#define TCP_BUF_OFFSET RTE_ALIGN_CEIL(offsetof(struct rte_mbuf, dynfield1), 8)

_Static_assert(
	TCP_BUF_OFFSET + sizeof(struct tcp_buf) <= sizeof(struct rte_mbuf),
	"the spare words of an mbuf hold it");

static inline struct tcp_buf *
buf_of(struct rte_mbuf *m)
{
	return (struct tcp_buf *)(void *)((uint8_t *)m + TCP_BUF_OFFSET);
}

static inline uint8_t *
buf_data(struct rte_mbuf *m)
{
	return (uint8_t *)m->buf_addr + buf_of(m)->off;
}

/* Reserve the words; may be called again. 0 or -errno. */
int buf_register(void);

#endif
