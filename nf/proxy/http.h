/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Heads of HTTP/1.x messages: what is in them, and how much body follows.
 *
 *     buf  start                                        len
 *      |    v                                            v
 *      |\r\n|GET /a?b HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n|body or next ...
 *
 * A head lies in one buffer, to which the caller appends bytes as they come.
 * Everything that the parser says is an offset into it, so the buffer may be
 * moved between calls, and so may the parser (a struct copy): one parser of
 * the instance does for all heads that come whole, and only a head that comes
 * in pieces needs one of its own until it is complete.
 *
 * Two readers go over each head. llhttp, in its strict mode, takes the bytes
 * apart, each once. Then our own checks go along what it has found and
 * account for every byte: start line, name, colon, value, CR LF, and nothing
 * else in between. What the two do not agree on is refused. That is what
 * keeps out the requests that two servers would read differently: whatever
 * llhttp might be lenient about, our checks do not depend on it.
 *
 * What is refused, is refused at the first byte that shows it, however the
 * bytes were cut into pieces.
 *
 * Sources: RFC 9110 (semantics), 9112 (HTTP/1.1), 3986 (targets, hosts).
 */
#ifndef CARRYALL_PROXY_HTTP_H
#define CARRYALL_PROXY_HTTP_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <llhttp.h>

#define HTTP_HEAD_MAX    65535 /* bytes that a head can have at all */
#define HTTP_FIELDS_MAX  256   /* fields likewise */
#define HTTP_OPTIONS_MAX 32    /* options in Connection */

/* buf[at .. at + len). len 0: not there, or empty. */
struct http_slice {
	uint16_t at, len;
};

/* Fields that we know. All others are carried along unread. */
enum http_field_id {
	HTTP_F_OTHER,
	HTTP_F_REFERER,
	HTTP_F_USER_AGENT,
	HTTP_F_CONTENT_TYPE,
	HTTP_F_NO_TRAILER, /* those below have no place in a trailer */
	HTTP_F_AUTHORIZATION = HTTP_F_NO_TRAILER,
	HTTP_F_CONNECTION,
	HTTP_F_CONTENT_LENGTH,
	HTTP_F_COOKIE,
	HTTP_F_EXPECT,
	HTTP_F_FORWARDED,
	HTTP_F_HOST,
	HTTP_F_HTTP2_SETTINGS,
	HTTP_F_KEEP_ALIVE,
	HTTP_F_PROXY_CONNECTION,
	HTTP_F_SET_COOKIE,
	HTTP_F_TE,
	HTTP_F_TRAILER,
	HTTP_F_TRANSFER_ENCODING,
	HTTP_F_UPGRADE,
	HTTP_F_X_FORWARDED_FOR,
	HTTP_F_X_FORWARDED_PORT,
	HTTP_F_X_FORWARDED_PROTO,
	HTTP_F_IDS,
};

struct http_field {
	struct http_slice name, value; /* value without blanks around it */
	uint8_t id;                    /* enum http_field_id */
	uint8_t hop;                   /* 1: named by Connection */
};

enum http_kind {
	HTTP_KIND_REQUEST,
	HTTP_KIND_RESPONSE,
};

/* Where the body ends (RFC 9112 section 6.3). */
enum http_framing {
	HTTP_BODY_NONE,
	HTTP_BODY_LENGTH,  /* after head.length bytes */
	HTTP_BODY_CHUNKED, /* with the last chunk and its trailer */
	HTTP_BODY_CLOSE,   /* with the connection; responses only */
	HTTP_BODY_TUNNEL,  /* 101: no HTTP any more; responses only */
};

/*
 * What is said in a head. Valid once http_parse() has returned 0, but for
 * `start`, and, with `start_line_ok`, what is in the start line: they come
 * earlier.
 */
struct http_head {
	uint8_t kind;       /* enum http_kind */
	uint8_t method;     /* request: llhttp_method_t, HTTP_GET ... */
	uint8_t minor;      /* HTTP/1.minor: 0 or 1 */
	uint8_t framing;    /* enum http_framing */
	uint16_t status;    /* response: 100 .. 599 */
	uint16_t start;     /* of the start line: 2 behind an empty line */
	uint16_t fields_at; /* where the first field begins */
	uint16_t len;       /* bytes of the head; then comes the body */
	uint64_t length;    /* of the body, HTTP_BODY_LENGTH; else 0 */

	bool keep_alive;    /* its sender would keep the connection */
	bool expect;        /* request: Expect: 100-continue, of HTTP/1.1 */
	bool upgrade;       /* request: a wish that we would grant; see below */
	bool te_trailers;   /* request: TE: trailers, of HTTP/1.1 */
	bool absolute;      /* request: target is a URI */
	bool has_length;    /* Content-Length was there */
	bool start_line_ok; /* the start line is complete, and good */

	struct http_slice method_text; /* request */
	struct http_slice target;      /* request, as it came */
	struct http_slice version;     /* "HTTP/1.1" */
	struct http_slice host;        /* request: without port; "[::1]" */
	struct http_slice authority;   /* request: host[:port] */
	struct http_slice path;        /* request: without query; "" is "/" */
	uint16_t n_fields;
	uint16_t host_field; /* index of Host; HTTP_FIELDS_MAX: none */
};

/*
 * `upgrade` is set when Connection and Upgrade both ask for it, the request is
 * HTTP/1.1 and has no body. A wish for h2c is never granted: what is then said
 * in HTTP/2 would pass unseen.
 */

/* What was wrong with a message. */
struct http_error {
	uint16_t status; /* that a client is answered with; of responses 502 */
	uint16_t at;     /* offset of the byte that showed it, about */
	const char *why; /* static text, for logs; NULL: nothing wrong */
};

/* What a head may be; zero means the most that there can be. */
struct http_limits {
	uint32_t max_bytes;  /* of the head: 431, or 414 in the start line */
	uint32_t max_fields; /* 431 */
	uint64_t max_body;   /* Content-Length: 413; zero: any */
};

/* What a response answers. */
struct http_asked {
	uint8_t method; /* of the request: llhttp_method_t */
	bool upgrade;   /* the request was passed on with its wish */
};

/*
 * 2.8 KB, most of it fields. One that is put aside needs to be kept, and put
 * back, only up to the last field that it has: HTTP_PARSER_USED.
 */
struct http_parser {
	struct http_head head;
	struct http_error error;
	struct http_limits limits;
	struct http_asked asked;
	llhttp_t llhttp;
	const char *buf;   /* during http_parse() */
	uint32_t fed;      /* bytes of the buffer that llhttp has had */
	uint16_t line_at;  /* where the next line must begin */
	uint16_t complete; /* fields whose line llhttp has seen the end of */
	uint16_t checked;  /* of these, those that our checks have passed */
	bool ended;        /* llhttp has seen the end of the head */
	bool too_many;     /* one field more than there may be */
	struct http_slice target, name; /* llhttp's, as far as it has come */
	struct http_field field[HTTP_FIELDS_MAX]; /* head.n_fields of them */
};

#define HTTP_PARSER_USED(p)                    \
	(offsetof(struct http_parser, field) + \
		(p)->head.n_fields * sizeof(struct http_field))

/*
 * Begin with a message of `kind`. `limits` NULL: none but our own. `asked` is
 * copied; of responses only. Does not touch the fields: cheap.
 */
void http_parser_init(struct http_parser *p, enum http_kind kind,
	const struct http_limits *limits, const struct http_asked *asked);

/*
 * Go on with the head in buf[0..len): the same bytes as at the last call,
 * and perhaps more behind them. Takes time for the new bytes alone.
 *
 * 0: the head is complete, buf[0 .. p->head.len), and all of it is good; what
 * is behind is the body's or the next message's. -EAGAIN: more is needed.
 * -EBADMSG: p->error says what is wrong; call no more.
 * Thread: any, one at a time for a parser. Pure.
 */
int http_parse(struct http_parser *p, const char *buf, size_t len);

/*
 * The connection has ended, or time is up, and http_parse() wants more: sets
 * p->error to `status` and `why`, and returns -EBADMSG.
 */
int http_parse_fail(struct http_parser *p, uint16_t status, const char *why);

/* The id of the field called name[0..len), a valid token. Pure. */
enum http_field_id http_field_id(const char *name, size_t len);

/* Is c[0..len) not empty and all of a token's characters (RFC 9110 5.6.2)? */
bool http_is_token(const char *c, size_t len);

/*
 * The first byte of c[0..len) that no field value may have (controls but tab,
 * DEL; obs-text is let through), or len.
 */
size_t http_value_span(const char *c, size_t len);

/*
 * Are a[0..len), which has no control characters, and `b` of that length,
 * lower case and of letters, digits and "-", alike, case aside?
 */
bool http_same(const char *a, const char *b, size_t len);

/*
 * Is c[0..len) a host with or without a port, as in Host (RFC 3986 section
 * 3.2.2; no user)? true with *host_len, the length of the host alone.
 */
bool http_authority(const char *c, size_t len, size_t *host_len);

/*
 * Walk along a comma-separated list (RFC 9110 section 5.6.1): the next element
 * of list[*at .. len), without the blanks around it, or false at its end.
 * Empty elements are passed over.
 */
bool http_list_next(const char *list, size_t len, size_t *at,
	const char **element, size_t *element_len);

/* The first field of that id, or NULL. */
static inline const struct http_field *
http_field(const struct http_parser *p, enum http_field_id id)
{
	for (uint32_t i = 0; i < p->head.n_fields; i++)
		if (p->field[i].id == id)
			return &p->field[i];
	return NULL;
}

#endif
