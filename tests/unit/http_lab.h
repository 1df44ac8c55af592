/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A message through parser and body, in pieces, each in memory of just its
 * size, so that nobody reads beyond it. What came of it must not depend on the
 * pieces: lab_judge() looks at every way to cut a message in two, and at
 * single bytes.
 */
#ifndef CARRYALL_TEST_HTTP_LAB_H
#define CARRYALL_TEST_HTTP_LAB_H

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nf/proxy/http.h"
#include "nf/proxy/http_body.h"

struct lab_message {
	const char *text;
	size_t len;
	enum http_kind kind;
	struct http_limits limits;
	struct http_asked asked;
	bool lenient; /* llhttp lets pass whatever it can be told to */
};

/* What came of a message. */
struct lab_outcome {
	int head; /* of http_parse(): -EAGAIN if it never ended */
	struct http_error error;
	struct http_head said; /* with head 0 */
	int body;              /* 1 complete, 0 more wanted, or -errno */
	const char *why;       /* of the body's failure */
	size_t left;           /* bytes behind the message, body 1 */
	uint64_t bytes;        /* of body data */
};

/* The first `n` bytes alone, to be freed. */
static inline char *
lab_copy(const struct lab_message *m, size_t from, size_t to)
{
	char *c = malloc(to > from ? to - from : 1);

	ck_assert_ptr_nonnull(c);
	memcpy(c, m->text + from, to - from);
	return c;
}

/* The end of the piece that begins at `at`. */
static inline size_t
lab_piece(const struct lab_message *m, size_t at, size_t first, size_t step)
{
	size_t end = at < first ? first : at + step;

	return end < m->len ? end : m->len;
}

static inline void
lab_body(const struct lab_message *m, size_t at, size_t have, size_t first,
	size_t step, struct lab_outcome *o)
{
	struct http_body b;
	size_t used;
	char *c;

	http_body_init(&b, &o->said, m->limits.max_body);
	for (;;) {
		c = lab_copy(m, at, have);
		o->body = http_body_feed(&b, c, have - at, &used);
		free(c);
		at += used;
		if (o->body != 0 || have == m->len)
			break;
		ck_assert_uint_eq(at, have);
		have = lab_piece(m, at, first, step);
	}
	o->why = b.why;
	o->left = o->body == 1 ? m->len - at : 0;
	o->bytes = b.bytes;
}

static inline struct lab_outcome
lab_run(const struct lab_message *m, size_t first, size_t step)
{
	struct http_parser p, moved;
	struct lab_outcome o;
	size_t have = 0;
	char *c;

	memset(&o, 0, sizeof(o));
	http_parser_init(&p, m->kind, &m->limits, &m->asked);
	if (m->lenient)
		p.llhttp.lenient_flags = UINT8_MAX;
	do {
		have = lab_piece(m, have, first, step);
		/* a parser may be moved between calls */
		memset(&moved, 0xee, sizeof(moved));
		memcpy(&moved, &p, HTTP_PARSER_USED(&p));
		memset(&p, 0xee, sizeof(p));
		c = lab_copy(m, 0, have);
		o.head = http_parse(&moved, c, have);
		free(c);
		p = moved;
	} while (o.head == -EAGAIN && have < m->len);
	o.error = p.error;
	if (o.head != 0)
		return o;
	o.said = p.head;
	lab_body(m, p.head.len, have, first, step, &o);
	return o;
}

static inline void
lab_same(const struct lab_message *m, const struct lab_outcome *a,
	const struct lab_outcome *b, size_t first, size_t step)
{
	const char *aw = a->error.why ? a->error.why : a->why ? a->why : "";
	const char *bw = b->error.why ? b->error.why : b->why ? b->why : "";

	ck_assert_msg(a->head == b->head &&
			      a->error.status == b->error.status &&
			      a->body == b->body && a->left == b->left &&
			      a->bytes == b->bytes && strcmp(aw, bw) == 0 &&
			      memcmp(&a->said, &b->said, sizeof(a->said)) == 0,
		"cut at %zu, %zu: %d %u \"%s\" %d, whole: %d %u \"%s\" %d\n%.*s",
		first, step, b->head, b->error.status, bw, b->body, a->head,
		a->error.status, aw, a->body, (int)m->len, m->text);
}

/* The outcome, the same however it is cut. */
static inline struct lab_outcome
lab_judge(const struct lab_message *m)
{
	struct lab_outcome whole = lab_run(m, m->len, 1), cut;

	for (size_t at = 1; at < m->len; at++) {
		cut = lab_run(m, at, m->len);
		lab_same(m, &whole, &cut, at, m->len);
	}
	cut = lab_run(m, 1, 1);
	lab_same(m, &whole, &cut, 1, 1);
	return whole;
}

#endif
