/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The head that goes on, made from the head that came.
 *
 * Start line and fields stay byte by byte what they were, in their order, but
 * for these:
 *
 *   taken out   Connection and what it names, Keep-Alive, Proxy-Connection,
 *               Upgrade and HTTP2-Settings (RFC 9110 section 7.6.1), TE but
 *               "trailers"; towards backends our sticky cookie, and, unless
 *               the client is trusted, X-Forwarded-* and Forwarded;
 *               Transfer-Encoding and Trailer when the body loses its chunks
 *   put in      Connection as we want it, X-Forwarded-For, -Proto, -Port,
 *               Forwarded (RFC 7239), Set-Cookie for stickiness
 *   replaced    Host, by the authority of a target that is a URI (RFC 9112
 *               section 3.2.2)
 *
 * The version stays, too. A client of HTTP/1.0 is so known to the backend,
 * which then sends it nothing chunked; and a backend of HTTP/1.0 is to the
 * client.
 *
 * It is copied straight into the caller's buffer, an mbuf's room as a rule.
 * Fields that stay follow each other mostly, and are copied as one run: a
 * head of 300 bytes takes less time so than a chain of segments would.
 */
#ifndef CARRYALL_PROXY_HTTP_WRITE_H
#define CARRYALL_PROXY_HTTP_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "dataplane/addr.h"
#include "nf/proxy/http.h"

/*
 * The most that a head grows by: "room for len + HTTP_WRITE_GROWTH" is always
 * enough, where cookie texts are as made by cookie_set().
 */
#define HTTP_WRITE_GROWTH 1024

/* What becomes of the connection that the head is sent on. */
enum http_conn {
	HTTP_CONN_KEEP,
	HTTP_CONN_CLOSE,
	HTTP_CONN_UPGRADE, /* with the Upgrade field; request and 101 */
};

#define HTTP_ADDR_TEXT 46 /* INET6_ADDRSTRLEN */

/* Who asks, as the forwarding fields tell it. Made once per connection. */
struct http_client {
	char addr[HTTP_ADDR_TEXT]; /* text, without brackets; no NUL counted */
	uint8_t addr_len;
	bool v6;
	char port[6]; /* that it has connected to: X-Forwarded-Port */
	uint8_t port_len;
	bool tls; /* X-Forwarded-Proto: https (from the PROXY protocol) */
};

/*
 * Client `addr`, which has connected to port `port` (network order) of ours.
 */
void http_client_init(
	struct http_client *c, const struct ip_addr *addr, uint16_t port);

struct http_write {
	uint8_t conn;       /* enum http_conn */
	uint8_t peer_minor; /* response: the client's HTTP/1.minor */
	bool dechunk;       /* response: its body goes on without chunks */

	/* requests */
	uint16_t flags;                   /* GRANT_F_* */
	const struct http_client *client; /* of GRANT_F_FORWARDED* */

	/*
	 * Request: the sticky cookie's name, which is cut out; len 0: none.
	 * Response: a whole Set-Cookie line, CR LF included; see cookie_set().
	 */
	const char *cookie;
	uint32_t cookie_len;
};

/*
 * Write the head of `p`, which lies in `buf`, complete and good, to
 * out[0..room). Bytes written; -ENOBUFS: they do not fit, out is garbage.
 * Thread: any. Pure.
 */
ssize_t http_write_request(const struct http_parser *p, const char *buf,
	const struct http_write *w, char *out, size_t room);
ssize_t http_write_response(const struct http_parser *p, const char *buf,
	const struct http_write *w, char *out, size_t room);

/*
 * May the client be sent the response `p` to a request of HTTP/1.minor at
 * all, and how? What is to be done is in *how.
 */
struct http_relay {
	bool skip; /* 1xx for HTTP/1.0: not to be passed on (RFC 9110 15.2) */
	bool dechunk;    /* chunked, but the client is of HTTP/1.0 */
	bool must_close; /* its end is the connection's end */
};
void http_relay(const struct http_head *response, uint8_t minor,
	struct http_relay *how);

/*
 * An answer of our own, with head and body, and Connection: close or (`keep`)
 * none. `body`[0..body_len) is HTML; NULL: a short text that names the status.
 * With `head_only` (to HEAD) the body is announced, not sent. Bytes written,
 * -ENOBUFS, or -EINVAL if `status` is none of 400, 403, 404, 408, 413, 414,
 * 417, 421, 429, 431, 500 to 505.
 */
ssize_t http_write_error(uint16_t status, const char *body, size_t body_len,
	bool keep, bool head_only, char *out, size_t room);

/* "HTTP/1.1 100 Continue" CR LF CR LF, where we say it ourselves. */
#define HTTP_CONTINUE     "HTTP/1.1 100 Continue\r\n\r\n"
#define HTTP_CONTINUE_LEN (sizeof(HTTP_CONTINUE) - 1)

/* "Bad Gateway" of 502; "Error" of what is unknown. */
const char *http_status_text(uint16_t status);

#endif
