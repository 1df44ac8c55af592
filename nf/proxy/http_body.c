/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The way through a chunked body:
 *
 *   SIZE_FIRST -> SIZE -> (EXT_*) -> SIZE_LF -> DATA -> DATA_CR -> DATA_LF
 *       ^                               |                             |
 *       +-------------------------------|-----------------------------+
 *                       of size 0       v
 *             TRAILER_LINE -> TRAILER_NAME -> TRAILER_VALUE -> TRAILER_LF
 *                 |   ^--------------------------------------------'
 *                 +-> END_LF -> DONE
 *
 * Data are counted; all else goes byte by byte.
 */
#include <errno.h>
#include <string.h>

#include "nf/proxy/http_body.h"

enum state {
	SIZE_FIRST,
	SIZE,
	EXT_BLANK, /* blanks behind a size or an extension: now ";" */
	EXT_SEMICOLON,
	EXT_NAME,
	EXT_NAME_BLANK,
	EXT_EQUALS,
	EXT_TOKEN,
	EXT_QUOTED,
	EXT_ESCAPED,
	EXT_UNQUOTED,
	SIZE_LF,
	DATA,
	DATA_CR,
	DATA_LF,
	TRAILER_LINE,
	TRAILER_NAME,
	TRAILER_VALUE,
	TRAILER_LF,
	END_LF,
	DONE,
	BAD,
};

/* 15 digits do for any length, and leave room to add them up. */
#define SIZE_DIGITS 15

void
http_body_init(
	struct http_body *b, const struct http_head *head, uint64_t max_body)
{
	memset(b, 0, sizeof(*b));
	b->framing = head->framing;
	b->max = max_body;
	if (head->framing == HTTP_BODY_LENGTH)
		b->left = head->length;
	if (head->framing == HTTP_BODY_NONE)
		b->state = DONE;
}

static int
bad(struct http_body *b, const char *why)
{
	b->state = BAD;
	b->why = why;
	return -EBADMSG;
}

static int
go(struct http_body *b, enum state s)
{
	b->state = (uint8_t)s;
	return 0;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Behind a size, an extension's name or its value. */
static int
step_behind(struct http_body *b, char c, enum state blank)
{
	if (c == '\r')
		return go(b, SIZE_LF);
	if (c == ';')
		return go(b, EXT_SEMICOLON);
	if (is_blank(c))
		return go(b, blank);
	return bad(b, "invalid chunk size");
}

static int
step_size(struct http_body *b, char c)
{
	int digit = hex_digit(c);

	if (digit < 0)
		return b->state == SIZE_FIRST ? bad(b, "no chunk size")
					      : step_behind(b, c, EXT_BLANK);
	if (b->state == SIZE_FIRST) {
		b->left = 0;
		b->digits = 0;
	}
	if (++b->digits > SIZE_DIGITS)
		return bad(b, "chunk size too long");
	b->left = b->left << 4 | (uint64_t)digit;
	return go(b, SIZE);
}

/* RFC 9112 section 7.1.1, "bad" whitespace included. */
static int
step_extension(struct http_body *b, char c)
{
	const bool token = http_is_token(&c, 1), blank = is_blank(c);

	if (++b->extensions > HTTP_EXTENSIONS_MAX)
		return bad(b, "chunk extensions too long");
	switch (b->state) {
	case EXT_BLANK:
		if (blank || c == ';')
			return go(b, blank ? EXT_BLANK : EXT_SEMICOLON);
		break;
	case EXT_SEMICOLON:
		if (blank || token)
			return go(b, blank ? EXT_SEMICOLON : EXT_NAME);
		break;
	case EXT_NAME:
		if (token)
			return 0;
		return c == '=' ? go(b, EXT_EQUALS)
				: step_behind(b, c, EXT_NAME_BLANK);
	case EXT_NAME_BLANK:
		if (c == '=')
			return go(b, EXT_EQUALS);
		if (blank || c == ';')
			return go(b, blank ? EXT_NAME_BLANK : EXT_SEMICOLON);
		break;
	case EXT_EQUALS:
		if (c == '"')
			return go(b, EXT_QUOTED);
		if (blank || token)
			return go(b, blank ? EXT_EQUALS : EXT_TOKEN);
		break;
	case EXT_TOKEN:
		return token ? 0 : step_behind(b, c, EXT_BLANK);
	case EXT_UNQUOTED:
		return step_behind(b, c, EXT_BLANK);
	}
	return bad(b, "invalid chunk extension");
}

static int
step_quoted(struct http_body *b, char c)
{
	if (++b->extensions > HTTP_EXTENSIONS_MAX)
		return bad(b, "chunk extensions too long");
	if (http_value_span(&c, 1) == 0)
		return bad(b, "invalid chunk extension");
	if (b->state == EXT_ESCAPED)
		return go(b, EXT_QUOTED);
	if (c == '"')
		return go(b, EXT_UNQUOTED);
	return go(b, c == '\\' ? EXT_ESCAPED : EXT_QUOTED);
}

static int
step_size_end(struct http_body *b, char c)
{
	if (c != '\n')
		return bad(b, "CR without LF in chunk size");
	if (b->left == 0)
		return go(b, TRAILER_LINE);
	if (b->max > 0 && b->left > b->max - b->bytes) {
		bad(b, "body too large");
		return -EFBIG;
	}
	return go(b, DATA);
}

/* What would have meant something in the head means nothing good here. */
static int
end_of_name(struct http_body *b)
{
	if (b->name_len <= HTTP_TRAILER_NAME &&
		http_field_id(b->name, b->name_len) >= HTTP_F_NO_TRAILER)
		return bad(b, "field not allowed in trailer");
	return go(b, TRAILER_VALUE);
}

static int
step_name(struct http_body *b, char c)
{
	if (c == ':' && b->state == TRAILER_NAME)
		return end_of_name(b);
	if (c == '\r' && b->state == TRAILER_LINE)
		return go(b, END_LF);
	if (!http_is_token(&c, 1))
		return bad(b, "invalid trailer");
	if (b->state == TRAILER_LINE)
		b->name_len = 0;
	if (b->name_len < HTTP_TRAILER_NAME)
		b->name[b->name_len] = c;
	if (b->name_len <= HTTP_TRAILER_NAME)
		b->name_len++;
	return go(b, TRAILER_NAME);
}

static int
step_trailer(struct http_body *b, char c)
{
	if (++b->trailers > HTTP_TRAILERS_MAX)
		return bad(b, "trailer too long");
	switch (b->state) {
	case TRAILER_VALUE:
		if (c == '\r')
			return go(b, TRAILER_LF);
		return http_value_span(&c, 1) == 1
			       ? 0
			       : bad(b, "character in trailer");
	case TRAILER_LF:
		return c == '\n' ? go(b, TRAILER_LINE)
				 : bad(b, "CR without LF in trailer");
	case END_LF:
		return c == '\n' ? go(b, DONE)
				 : bad(b, "CR without LF behind trailer");
	default:
		return step_name(b, c);
	}
}

/* One byte that is not data. 0, -EBADMSG, -EFBIG. */
static int
step(struct http_body *b, char c)
{
	switch (b->state) {
	case SIZE_FIRST:
	case SIZE:
		return step_size(b, c);
	case SIZE_LF:
		return step_size_end(b, c);
	case DATA_CR:
		return c == '\r' ? go(b, DATA_LF)
				 : bad(b, "no CR behind chunk");
	case DATA_LF:
		return c == '\n' ? go(b, SIZE_FIRST)
				 : bad(b, "no LF behind chunk");
	case EXT_QUOTED:
	case EXT_ESCAPED:
		return step_quoted(b, c);
	default:
		return b->state < SIZE_LF ? step_extension(b, c)
					  : step_trailer(b, c);
	}
}

/* Data by number: `left` of them, then state `next`. */
static size_t
count(struct http_body *b, size_t len, enum state next)
{
	size_t n = len < b->left ? len : (size_t)b->left;

	b->left -= n;
	b->bytes += n;
	if (b->left == 0)
		b->state = (uint8_t)next;
	return n;
}

static int
failure(const struct http_body *b)
{
	return b->why == NULL ? 0 : -EBADMSG;
}

int
http_body_piece(struct http_body *b, const void *data, size_t len, size_t *used,
	bool *is_data)
{
	const char *c = data;
	size_t i = 0;
	int err = failure(b);

	*used = 0;
	*is_data = b->framing != HTTP_BODY_CHUNKED || b->state == DATA;
	if (b->framing >= HTTP_BODY_CLOSE) {
		b->bytes += *used = len;
		return 0;
	}
	if (b->state == DONE)
		return 1;
	if (*is_data) {
		*used = count(b, len,
			b->framing == HTTP_BODY_LENGTH ? DONE : DATA_CR);
		return b->state == DONE;
	}
	while (err == 0 && i < len && b->state != DATA && b->state != DONE)
		err = step(b, c[i++]);
	*used = i;
	return err != 0 ? err : b->state == DONE;
}

int
http_body_feed(struct http_body *b, const void *data, size_t len, size_t *used)
{
	size_t n;
	bool is_data;
	int err;

	*used = 0;
	do {
		err = http_body_piece(b, (const char *)data + *used,
			len - *used, &n, &is_data);
		*used += n;
	} while (err == 0 && *used < len);
	return err;
}

bool
http_body_ends(const struct http_body *b)
{
	return b->framing >= HTTP_BODY_CLOSE || b->state == DONE;
}
