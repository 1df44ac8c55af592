/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Heads that have to be waited for.
 *
 * A head that lies whole in the first mbuf of a pipe is parsed there. Others
 * are put together in a buffer with a parser of its own. Of these there is a
 * fixed number, far fewer than connections; when all are in use the one that
 * was begun first is taken away from its session, which is answered 503 (or,
 * if it waits for a response, 502). So many slow clients crowd out each other,
 * and not those whose heads come in two packets.
 */
#ifndef CARRYALL_PROXY_HEAD_H
#define CARRYALL_PROXY_HEAD_H

#include "nf/proxy/proxy.h"

/* Bytes, for the PROXY protocol at least. */
#define HEAD_ROOM_MIN 4096

/* What is asked of head_read(), and what it found. */
struct head_reading {
	enum http_kind kind;
	const struct http_asked *asked; /* of responses */
	struct tcp_conn *conn;          /* whose bytes they are */

	const struct http_parser *parser; /* valid until the next reading */
	const char *buf;
	bool in_place; /* the head is still in the pipe */
};

/*
 * Read the head at the front of `q`, for session `s`. 0: it is whole, r->parser
 * and r->buf say what it is; -EAGAIN: what was there is in a buffer now, and
 * consumed; -EBADMSG: r->parser->error says why; -ENOBUFS.
 */
int head_read(struct session *s, struct pipe *q, struct head_reading *r);

/* Done with it: free its bytes, and its buffer. */
void head_done(struct session *s, struct pipe *q, const struct head_reading *r);

/* Give the session's buffer back, if it has one. */
void head_drop(struct session *s);

/* Bytes that have been put together so far for the session. */
const uint8_t *head_bytes(const struct session *s, uint32_t *len);

/* As head_read(), for bytes that are no HTTP: append all of `q`. 0, -ENOBUFS,
 * -EMSGSIZE. */
int head_gather(struct session *s, struct pipe *q, struct tcp_conn *conn);

/* Put the bytes behind the first `used` back to the front of `q`; then as
 * head_drop(). 0 or -ENOBUFS. */
int head_return(struct session *s, struct pipe *q, uint32_t used);

/* Memory for heads of up to `room` bytes; how many there are. */
uint32_t head_count(uint32_t max_connections);
size_t head_memory(uint32_t max_connections, uint32_t room);
int head_init(struct proxy *p, uint32_t max_connections, uint32_t room);
void head_fini(struct proxy *p);
/* Make them larger; what they hold goes along. 0 or -ENOMEM. */
int head_grow(struct proxy *p, uint32_t room);

#endif
