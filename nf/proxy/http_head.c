/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The parser's way through a head: bytes to llhttp, then our checks over what
 * it has found, in the order of the bytes.
 *
 * llhttp says where names begin and end, that a field's line is over, and
 * that the head is. The rest is looked at by us. When llhttp finds a fault,
 * what lies before it is still checked first: so the earliest fault is the one
 * reported, whether the bytes came at once or one by one.
 */
#include <errno.h>
#include <string.h>

#include "nf/proxy/http_check.h"

static struct http_parser *
parser_of(llhttp_t *l)
{
	return l->data;
}

static int
on_target(llhttp_t *l, const char *at, size_t len)
{
	struct http_parser *p = parser_of(l);
	uint16_t off = (uint16_t)(at - p->buf);

	if (p->target.len == 0)
		p->target.at = off;
	p->target.len = (uint16_t)(off + len - p->target.at);
	return 0;
}

static int
on_name(llhttp_t *l, const char *at, size_t len)
{
	struct http_parser *p = parser_of(l);
	uint16_t off = (uint16_t)(at - p->buf);

	if (p->name.len == 0)
		p->name.at = off;
	p->name.len = (uint16_t)(off + len - p->name.at);
	return 0;
}

static int
on_name_end(llhttp_t *l)
{
	struct http_parser *p = parser_of(l);

	if (p->head.n_fields >= p->limits.max_fields) {
		p->too_many = true;
		return -1;
	}
	p->field[p->head.n_fields++] = (struct http_field){
		.name = p->name,
	};
	p->name.len = 0;
	return 0;
}

static int
on_line_end(llhttp_t *l)
{
	parser_of(l)->complete++;
	return 0;
}

static int
on_head_end(llhttp_t *l)
{
	parser_of(l)->ended = true;
	return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
	.on_url = on_target,
	.on_header_field = on_name,
	.on_header_field_complete = on_name_end,
	.on_header_value_complete = on_line_end,
	.on_headers_complete = on_head_end,
};

void
http_parser_init(struct http_parser *p, enum http_kind kind,
	const struct http_limits *limits, const struct http_asked *asked)
{
	memset(p, 0, offsetof(struct http_parser, field));
	p->head.kind = (uint8_t)kind;
	p->head.host_field = HTTP_FIELDS_MAX;
	if (limits != NULL)
		p->limits = *limits;
	if (p->limits.max_bytes - 1 >= HTTP_HEAD_MAX)
		p->limits.max_bytes = HTTP_HEAD_MAX;
	if (p->limits.max_fields - 1 >= HTTP_FIELDS_MAX)
		p->limits.max_fields = HTTP_FIELDS_MAX;
	if (asked != NULL)
		p->asked = *asked;
	llhttp_init(&p->llhttp,
		kind == HTTP_KIND_REQUEST ? HTTP_REQUEST : HTTP_RESPONSE,
		&settings);
}

int
http_fail(struct http_parser *p, uint16_t status, size_t at, const char *why)
{
	if (p->error.why == NULL)
		p->error = (struct http_error){
			.status = p->head.kind == HTTP_KIND_REQUEST ? status
								    : 502,
			.at = (uint16_t)at,
			.why = why,
		};
	return -EBADMSG;
}

int
http_parse_fail(struct http_parser *p, uint16_t status, const char *why)
{
	return http_fail(p, status, p->fed, why);
}

/*
 * An empty line ahead of a request is ignored (RFC 9112 section 2.2), one and
 * no more; llhttp would take any number, of CR and LF in any order. -EAGAIN
 * until it can be told.
 */
static int
skip_empty_line(struct http_parser *p, const char *buf, size_t len)
{
	if (buf[0] != '\r' && buf[0] != '\n')
		return 0;
	if (p->head.kind != HTTP_KIND_REQUEST || buf[0] == '\n')
		return http_fail(p, 400, 0, "no start line");
	if (len < 2)
		return -EAGAIN;
	if (buf[1] != '\n')
		return http_fail(p, 400, 1, "CR without LF");
	if (len < 3)
		return -EAGAIN;
	if (buf[2] == '\r' || buf[2] == '\n')
		return http_fail(p, 400, 2, "empty lines");
	p->fed = p->head.start = 2;
	return 0;
}

/* Is there "D.D" at `at`, for digits D, but neither "1.0" nor "1.1"? */
static bool
is_other_version(const char *buf, size_t len, size_t at)
{
	const char *v = buf + at;

	return at + 3 <= len && v[0] >= '0' && v[0] <= '9' && v[1] == '.' &&
	       v[2] >= '0' && v[2] <= '9' &&
	       (v[0] != '1' || (v[2] != '0' && v[2] != '1'));
}

/* What a fault that llhttp has seen at buf[at] means to the client. */
static uint16_t
llhttp_status(const struct http_parser *p, llhttp_errno_t e, const char *buf,
	size_t at)
{
	size_t version = (size_t)p->target.at + p->target.len + 6;

	switch (e) {
	case HPE_INVALID_METHOD:
		/* A method still, if of no kind that we know. */
		return buf[at] == ' ' || http_is_token(buf + at, 1) ? 501 : 400;
	case HPE_INVALID_VERSION:
		return is_other_version(buf, at + 1, version) ? 505 : 400;
	case HPE_PAUSED_H2_UPGRADE:
		return 505;
	default:
		return 400;
	}
}

static int
llhttp_fault(
	struct http_parser *p, llhttp_errno_t e, const char *buf, size_t len)
{
	size_t at = p->fed < len ? p->fed : len - 1;
	const char *why = llhttp_get_error_reason(&p->llhttp);

	if (e == HPE_PAUSED_H2_UPGRADE)
		why = "HTTP/2 is not spoken here";
	return http_fail(p, llhttp_status(p, e, buf, at), at,
		why != NULL && why[0] != '\0' ? why : "malformed");
}

/* Let llhttp have buf[p->fed .. len). What it has said in the end. */
static llhttp_errno_t
feed(struct http_parser *p, const char *buf, size_t len)
{
	llhttp_errno_t e;

	p->buf = buf;
	p->llhttp.data = p;
	e = llhttp_execute(&p->llhttp, buf + p->fed, len - p->fed);
	p->fed = e == HPE_OK
			 ? (uint32_t)len
			 : (uint32_t)(llhttp_get_error_pos(&p->llhttp) - buf);
	return e;
}

/* Our checks over what llhttp has gone through, up to the first fault. */
static int
check(struct http_parser *p, const char *buf, size_t seen)
{
	int err;

	if (!p->head.start_line_ok) {
		err = http_check_start(p, buf, seen);
		if (err != 0)
			return err;
	}
	while (p->checked < p->complete) {
		err = http_check_field(p, buf, p->checked++);
		if (err != 0)
			return err;
	}
	return p->ended ? http_check_head(p, buf) : -EAGAIN;
}

/* Feed and check buf[0..end). */
static int
advance(struct http_parser *p, const char *buf, size_t end)
{
	llhttp_errno_t e;
	int err;

	if (p->fed == 0 && end > 0) {
		err = skip_empty_line(p, buf, end);
		if (err != 0)
			return err;
	}
	if (p->fed >= end)
		return -EAGAIN;
	e = feed(p, buf, end);
	err = check(p, buf, p->fed);
	if (err != -EAGAIN)
		return err;
	if (p->too_many)
		return http_fail(p, 431, p->name.at, "too many fields");
	return e == HPE_OK ? -EAGAIN : llhttp_fault(p, e, buf, end);
}

int
http_parse(struct http_parser *p, const char *buf, size_t len)
{
	const size_t max = p->limits.max_bytes;
	int err = advance(p, buf, len < max ? len : max);

	if (err != -EAGAIN || len < max)
		return err;
	return p->head.start_line_ok
		       ? http_fail(p, 431, max, "head too long")
		       : http_fail(p, 414, max, "target too long");
}
