/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where the body of a message ends, while its bytes pass by unchanged.
 *
 *   4;x=1 CR LF W i k i CR LF 0 CR LF Tag: a CR LF CR LF | next message
 *   `---frame--' `data' `---------frame-----------------'
 *
 * Bytes come in pieces of any size, and the outcome does not depend on how
 * they were cut. The machine is ours, not llhttp's: it is begun with what the
 * head said, so that there is one judgement of the framing and not two; it
 * takes 64 bytes of a connection; it is strict where llhttp 8 is not (bare LF
 * behind an extension); and it bounds extensions and trailers.
 *
 * Sources: RFC 9112 section 7.1 (chunked), 6.3 (length); RFC 9110 section 6.5
 * (trailers).
 */
#ifndef CARRYALL_PROXY_HTTP_BODY_H
#define CARRYALL_PROXY_HTTP_BODY_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nf/proxy/http.h"

#define HTTP_EXTENSIONS_MAX 4096 /* bytes, of all chunks of a body together */
#define HTTP_TRAILERS_MAX   8192 /* bytes, of the trailer */
#define HTTP_TRAILER_NAME   24   /* as long as any name that we know */

struct http_body {
	uint64_t left;   /* bytes until the end, or of this chunk */
	uint64_t bytes;  /* of data so far, without framing */
	uint64_t max;    /* of data; 0: any */
	const char *why; /* after -EBADMSG or -EFBIG: static text */
	uint8_t framing; /* enum http_framing */
	uint8_t state;
	uint8_t digits; /* of the chunk's size */
	uint8_t name_len;
	uint16_t extensions, trailers; /* bytes of them so far */
	char name[HTTP_TRAILER_NAME];  /* of the trailer's field */
};

_Static_assert(sizeof(struct http_body) == 64, "one cache line");

/* Begin with the body that `head` announces. `max_body`: of chunked, too. */
void http_body_init(
	struct http_body *b, const struct http_head *head, uint64_t max_body);

/*
 * Bytes data[0..len) have come. *used of them are the message's; what is
 * behind is the next one's. 1: the body is complete, 0: it goes on; of no body
 * at all 1 at once, with *used 0. Of a tunnel and of a close-delimited one all
 * bytes are, always. -EBADMSG: malformed, -EFBIG: larger than `max`; b->why
 * says more, and *used is where it was seen: nothing of this piece should go
 * on, and the connection is of no further use.
 * Thread: any. Pure.
 */
int http_body_feed(
	struct http_body *b, const void *data, size_t len, size_t *used);

/*
 * As http_body_feed(), but stops where data and framing meet: *is_data says
 * which the *used bytes are. For a receiver that does not know chunked
 * (HTTP/1.0), who gets the data alone. Call again with the rest while it
 * returns 0 and bytes are left.
 */
int http_body_piece(struct http_body *b, const void *data, size_t len,
	size_t *used, bool *is_data);

/* Is the message whole if its connection ends here? */
bool http_body_ends(const struct http_body *b);

/*
 * Bytes that can come before anything but counting has to be done, so that
 * a caller may pass them on without a look; 0 if the next byte matters.
 */
static inline uint64_t
http_body_blind(const struct http_body *b)
{
	if (b->framing >= HTTP_BODY_CLOSE)
		return UINT64_MAX;
	return b->framing == HTTP_BODY_LENGTH ? b->left : 0;
}

#endif
