/* SPDX-License-Identifier: BSD-3-Clause */
#include "nf/proxy/head.h"

#include <errno.h>
#include <string.h>

#include <rte_malloc.h>

#define HEADS_MIN 64
#define HEADS_MAX 512

struct head {
	uint32_t session;
	uint32_t prev, next; /* by age; or free ones */
	uint32_t len;        /* bytes that are there */
	struct http_parser parser;
	char bytes[];
};

static size_t
stride(uint32_t room)
{
	return RTE_ALIGN_CEIL(sizeof(struct head) + room, 64);
}

static struct head *
head_at(const struct proxy *p, uint32_t i)
{
	return (struct head *)(void *)(p->heads + i * stride(p->head_room));
}

/* --- which are in use ---------------------------------------------------- */

static void
unlink_head(struct proxy *p, uint32_t i)
{
	struct head *h = head_at(p, i);

	if (h->prev == PROXY_NONE)
		p->oldest_head = h->next;
	else
		head_at(p, h->prev)->next = h->next;
	if (h->next == PROXY_NONE)
		p->newest_head = h->prev;
	else
		head_at(p, h->next)->prev = h->prev;
}

void
head_drop(struct session *s)
{
	struct proxy *p = s->proxy;

	if (s->head == PROXY_NONE)
		return;
	unlink_head(p, s->head);
	head_at(p, s->head)->next = p->free_head;
	p->free_head = s->head;
	p->heads_used--;
	s->head = PROXY_NONE;
}

/* The slowest makes room. */
static void
evict(struct proxy *p)
{
	struct session *s = &p->session[head_at(p, p->oldest_head)->session];

	head_drop(s);
	if (s->state == SESSION_BUSY)
		answer_error(s, 502, HTTP_ERR_BAD_RESPONSE, false);
	else if (s->state == SESSION_HEAD)
		answer_error(s, 503, HTTP_ERR_HEADERS, false);
	else
		session_drop(s);
}

static int
head_get(struct session *s)
{
	struct proxy *p = s->proxy;
	struct head *h;

	if (p->free_head == PROXY_NONE && p->oldest_head != PROXY_NONE)
		evict(p);
	if (p->free_head == PROXY_NONE)
		return -ENOBUFS;
	s->head = p->free_head;
	h = head_at(p, s->head);
	p->free_head = h->next;
	h->session = (uint32_t)(s - p->session);
	h->len = 0;
	h->prev = p->newest_head;
	h->next = PROXY_NONE;
	if (p->newest_head == PROXY_NONE)
		p->oldest_head = s->head;
	else
		head_at(p, p->newest_head)->next = s->head;
	p->newest_head = s->head;
	p->heads_used++;
	return 0;
}

/* --- reading ------------------------------------------------------------- */

static void
begin_parser(const struct session *s, struct http_parser *parser,
	const struct head_reading *r)
{
	const struct grant_proxy *conf = &service_of(s)->conf;
	const struct http_limits limits = {
		.max_bytes = conf->max_header_bytes,
		.max_fields = conf->max_headers,
		.max_body = r->kind == HTTP_KIND_REQUEST ? conf->max_body : 0,
	};

	http_parser_init(parser, r->kind, &limits, r->asked);
}

/*
 * Move the first mbuf's bytes into the buffer, as many as fit. What of them
 * belongs to the head is known when it has been parsed: the rest stays in the
 * pipe.
 */
static int
read_more(struct session *s, struct head *h, struct pipe *q,
	const struct head_reading *r)
{
	const struct rte_mbuf *m = q->first;
	uint32_t room = s->proxy->head_room - h->len, was = h->len, used;
	int rc;

	used = RTE_MIN(room, (uint32_t)m->data_len);
	memcpy(h->bytes + h->len, rte_pktmbuf_mtod(m, const char *), used);
	h->len += used;
	rc = http_parse(&h->parser, h->bytes, h->len);
	if (rc == 0)
		used = h->parser.head.len - was;
	pipe_strip(s->proxy, q, used);
	tcp_consumed(r->conn, used);
	if (rc == -EAGAIN && h->len == s->proxy->head_room)
		return http_parse_fail(&h->parser, 431, "head too long");
	return rc;
}

static int
read_pieces(struct session *s, struct pipe *q, struct head_reading *r)
{
	struct head *h = head_at(s->proxy, s->head);
	int rc = -EAGAIN;

	r->parser = &h->parser;
	r->buf = h->bytes;
	r->in_place = false;
	while (rc == -EAGAIN && pipe_peek(s->proxy, q) != NULL)
		rc = read_more(s, h, q, r);
	return rc;
}

/* In the first mbuf, mostly all of it. */
static int
read_in_place(struct session *s, struct pipe *q, struct head_reading *r)
{
	struct http_parser *parser = &s->proxy->parser;
	const struct rte_mbuf *m = pipe_peek(s->proxy, q);

	begin_parser(s, parser, r);
	r->parser = parser;
	r->buf = rte_pktmbuf_mtod(m, const char *);
	r->in_place = true;
	return http_parse(parser, r->buf, m->data_len);
}

int
head_read(struct session *s, struct pipe *q, struct head_reading *r)
{
	int rc;

	if (s->head != PROXY_NONE)
		return read_pieces(s, q, r);
	rc = read_in_place(s, q, r);
	if (likely(rc != -EAGAIN))
		return rc;
	if (head_get(s) != 0)
		return -ENOBUFS;
	begin_parser(s, &head_at(s->proxy, s->head)->parser, r);
	return read_pieces(s, q, r);
}

void
head_done(struct session *s, struct pipe *q, const struct head_reading *r)
{
	if (r->in_place) {
		tcp_consumed(r->conn, r->parser->head.len);
		pipe_strip(s->proxy, q, r->parser->head.len);
	} else {
		head_drop(s);
	}
}

/* --- other bytes --------------------------------------------------------- */

const uint8_t *
head_bytes(const struct session *s, uint32_t *len)
{
	const struct head *h = head_at(s->proxy, s->head);

	*len = h->len;
	return (const uint8_t *)h->bytes;
}

int
head_gather(struct session *s, struct pipe *q, struct tcp_conn *conn)
{
	struct proxy *p = s->proxy;
	struct rte_mbuf *m;
	struct head *h;

	if (s->head == PROXY_NONE && head_get(s) != 0)
		return -ENOBUFS;
	h = head_at(p, s->head);
	while ((m = pipe_pop(p, q)) != NULL) {
		uint32_t n = m->data_len;

		if (n > p->head_room - h->len) {
			rte_pktmbuf_free(m);
			return -EMSGSIZE;
		}
		memcpy(h->bytes + h->len, rte_pktmbuf_mtod(m, char *), n);
		h->len += n;
		rte_pktmbuf_free(m);
		tcp_consumed(conn, n);
	}
	return 0;
}

int
head_return(struct session *s, struct pipe *q, uint32_t used)
{
	struct head *h = head_at(s->proxy, s->head);
	struct rte_mbuf *rest = NULL;

	if (used < h->len) {
		rest = relay_copy(s->proxy, h->bytes + used, h->len - used);
		if (rest == NULL)
			return -ENOBUFS;
		pipe_unpop(s->proxy, q, rest);
	}
	head_drop(s);
	return 0;
}

/* --- memory -------------------------------------------------------------- */

uint32_t
head_count(uint32_t max_connections)
{
	uint32_t n = max_connections / 16;

	return n < HEADS_MIN ? HEADS_MIN : n > HEADS_MAX ? HEADS_MAX : n;
}

size_t
head_memory(uint32_t max_connections, uint32_t room)
{
	return head_count(max_connections) * stride(room);
}

int
head_init(struct proxy *p, uint32_t max_connections, uint32_t room)
{
	p->n_heads = head_count(max_connections);
	p->head_room = room;
	p->heads = rte_zmalloc("heads", head_memory(max_connections, room), 64);
	if (p->heads == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < p->n_heads; i++)
		head_at(p, i)->next = i + 1 < p->n_heads ? i + 1 : PROXY_NONE;
	p->free_head = 0;
	p->oldest_head = p->newest_head = PROXY_NONE;
	return 0;
}

void
head_fini(struct proxy *p)
{
	rte_free(p->heads);
	p->heads = NULL;
}

int
head_grow(struct proxy *p, uint32_t room)
{
	size_t was = stride(p->head_room), is = stride(room);
	uint8_t *more;

	if (room <= p->head_room)
		return 0;
	more = rte_zmalloc("heads", p->n_heads * is, 64);
	if (more == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < p->n_heads; i++)
		memcpy(more + i * is, p->heads + i * was, was);
	rte_free(p->heads);
	p->heads = more;
	p->head_room = room;
	return 0;
}
