/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What llhttp leaves to us. First line by line: every byte of a line is
 * accounted for, and each line begins where the last one has ended. Then, at
 * the end of the head, what the fields say together: whom it is for, and
 * where the body ends. Where RFC 9110 and 9112 leave a choice between
 * repairing and refusing, it is refused: what is repaired here may be repaired
 * otherwise behind.
 */
#include <errno.h>
#include <string.h>

#include "nf/proxy/http_check.h"

#define IS(s, text) slice_is(buf, s, text, sizeof(text) - 1)

static bool
slice_is(const char *buf, struct http_slice s, const char *text, size_t len)
{
	return s.len == len && http_same(buf + s.at, text, len);
}

static struct http_slice
slice(size_t at, size_t end)
{
	return (struct http_slice){ (uint16_t)at, (uint16_t)(end - at) };
}

/* --- the start line --------------------------------------------------------
 */

/*
 * "HTTP/1.0" or "HTTP/1.1" at `at`, in a line that ends at `end`. llhttp lets
 * 0.9 and 2.0 pass.
 */
static int
check_version(struct http_parser *p, const char *buf, size_t at, size_t end)
{
	const char *v = buf + at;

	if (end - at < 8 || memcmp(v, "HTTP/", 5) != 0 || v[6] != '.')
		return http_fail(p, 400, at, "no version");
	if (v[5] != '1' || (v[7] != '0' && v[7] != '1'))
		return http_fail(p, 505, at, "version is not 1.0 or 1.1");
	p->head.minor = (uint8_t)(v[7] - '0');
	p->head.version = slice(at, at + 8);
	return 0;
}

/*
 * Browsers leave "|", "^", "{" and the like as they are, against RFC 3986, and
 * so does all that is behind us; a fragment is never sent.
 */
static int
check_target_chars(struct http_parser *p, const char *buf)
{
	const struct http_slice t = p->head.target;
	uint8_t c;

	for (size_t i = t.at; i < (size_t)t.at + t.len; i++) {
		c = (uint8_t)buf[i];
		if (c <= ' ' || c >= 0x7f || c == '#')
			return http_fail(p, 400, i, "character in target");
	}
	return 0;
}

/* The path in the target from `at` on. */
static void
set_path(struct http_head *h, const char *buf, size_t at)
{
	size_t end = (size_t)h->target.at + h->target.len;
	const char *query = memchr(buf + at, '?', end - at);

	h->path = slice(at, query != NULL ? (size_t)(query - buf) : end);
}

static int
set_authority(struct http_parser *p, const char *buf, struct http_slice a)
{
	struct http_head *h = &p->head;
	size_t host_len;

	if (!http_authority(buf + a.at, a.len, &host_len))
		return http_fail(p, 400, a.at, "invalid host");
	h->authority = a;
	h->host = slice(a.at, a.at + host_len);
	return 0;
}

/* absolute-form: a URI, RFC 9112 section 3.2.2. */
static int
check_absolute(struct http_parser *p, const char *buf)
{
	struct http_head *h = &p->head;
	size_t at = h->target.at, end = at + h->target.len, stop;
	size_t scheme = h->target.len > 4 && buf[at + 4] == ':' ? 4 : 5;

	if (end - at < scheme + 3 || !http_same(buf + at, "https", scheme) ||
		memcmp(buf + at + scheme, "://", 3) != 0)
		return http_fail(p, 400, at, "target is not of http");
	at += scheme + 3;
	for (stop = at; stop < end && buf[stop] != '/' && buf[stop] != '?';)
		stop++;
	if (stop == at)
		return http_fail(p, 400, at, "no host in target");
	h->absolute = true;
	set_path(h, buf, stop);
	return set_authority(p, buf, slice(at, stop));
}

static int
check_target(struct http_parser *p, const char *buf)
{
	struct http_head *h = &p->head;

	if (h->method == HTTP_CONNECT)
		return http_fail(p, 501, h->start, "CONNECT is not served");
	if (check_target_chars(p, buf) != 0)
		return -EBADMSG;
	set_path(h, buf, h->target.at);
	if (buf[h->target.at] == '/')
		return 0;
	if (buf[h->target.at] != '*')
		return check_absolute(p, buf);
	if (h->target.len != 1 || h->method != HTTP_OPTIONS)
		return http_fail(p, 400, h->target.at, "target with \"*\"");
	return 0;
}

/* method SP target SP version, in buf[start .. end). */
static int
check_request_line(struct http_parser *p, const char *buf, size_t end)
{
	struct http_head *h = &p->head;
	size_t target_end = (size_t)p->target.at + p->target.len;

	h->method = p->llhttp.method;
	h->target = p->target;
	if (h->target.len == 0 || target_end >= end)
		return http_fail(p, 400, end, "no version");
	h->method_text = slice(h->start, h->target.at - 1u);
	if (!http_is_token(buf + h->start, h->method_text.len) ||
		buf[h->target.at - 1] != ' ')
		return http_fail(p, 400, h->start, "blanks ahead of target");
	if (buf[target_end] != ' ')
		return http_fail(p, 400, target_end, "no version");
	if (check_version(p, buf, target_end + 1, end) != 0)
		return -EBADMSG;
	if (target_end + 9 != end)
		return http_fail(p, 400, end, "more behind the version");
	return check_target(p, buf);
}

/* version SP 3DIGIT [ SP reason ]. Many leave the second blank out. */
static int
check_status_line(struct http_parser *p, const char *buf, size_t end)
{
	struct http_head *h = &p->head;
	const char *s = buf + h->start + 9;

	if (check_version(p, buf, h->start, end) != 0)
		return -EBADMSG;
	if (end < 12u || s[-1] != ' ' || s[0] < '1' || s[0] > '5' ||
		s[1] < '0' || s[1] > '9' || s[2] < '0' || s[2] > '9' ||
		(end > 12u && s[3] != ' '))
		return http_fail(p, 502, 9, "invalid status");
	h->status = (uint16_t)((s[0] - '0') * 100 + (s[1] - '0') * 10 +
			       (s[2] - '0'));
	if (http_value_span(s + 3, end - 12) != end - 12)
		return http_fail(p, 502, 12, "character in reason");
	return 0;
}

int
http_check_start(struct http_parser *p, const char *buf, size_t len)
{
	struct http_head *h = &p->head;
	size_t from = p->line_at > h->start ? p->line_at : h->start;
	const char *lf = memchr(buf + from, '\n', len - from);
	size_t end;
	int err;

	p->line_at = (uint16_t)len;
	if (lf == NULL)
		return -EAGAIN;
	end = (size_t)(lf - buf);
	if (end == h->start || buf[end - 1] != '\r')
		return http_fail(p, 400, end, "LF without CR");
	err = h->kind == HTTP_KIND_REQUEST ? check_request_line(p, buf, end - 1)
					   : check_status_line(p, buf, end - 1);
	if (err != 0)
		return err;
	h->fields_at = p->line_at = (uint16_t)(end + 1);
	h->start_line_ok = true;
	return 0;
}

/* --- one field -------------------------------------------------------------
 */

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/*
 * The line ends within the bytes that llhttp has seen, and so does the byte
 * behind it: at the first CR at the latest.
 */
int
http_check_field(struct http_parser *p, const char *buf, uint32_t i)
{
	struct http_field *f = &p->field[i];
	size_t at = (size_t)f->name.at + f->name.len, end;

	if (f->name.at != p->line_at)
		return http_fail(p, 400, p->line_at, "no field");
	if (!http_is_token(buf + f->name.at, f->name.len) || buf[at] != ':')
		return http_fail(p, 400, at, "invalid field name");
	while (++at < p->fed && is_blank(buf[at]))
		;
	end = at + http_value_span(buf + at, p->fed - at);
	if (p->fed - end < 2 || buf[end] != '\r' || buf[end + 1] != '\n')
		return http_fail(p, 400, end, "character in field value");
	p->line_at = (uint16_t)(end + 2);
	if (p->fed > end + 2 && is_blank(buf[end + 2]))
		return http_fail(p, 400, end + 2, "folded field");
	while (end > at && is_blank(buf[end - 1]))
		end--;
	f->value = slice(at, end);
	f->id = (uint8_t)http_field_id(buf + f->name.at, f->name.len);
	return 0;
}

/* --- all of them -----------------------------------------------------------
 */

/* What is gathered from fields, before it is judged. */
struct seen {
	uint8_t times[HTTP_F_IDS]; /* 0, 1, 2 (or more) */
	uint8_t first[HTTP_F_IDS]; /* index of the field */
	bool close, keep_alive, upgrade;
};

_Static_assert(HTTP_FIELDS_MAX <= 256, "an index is one byte");

static const struct http_field *
the(const struct http_parser *p, const struct seen *s, enum http_field_id id)
{
	return s->times[id] > 0 ? &p->field[s->first[id]] : NULL;
}

/* Fields that may come once, and confuse if they come twice. */
static int
check_repeated(struct http_parser *p, const struct seen *s)
{
	static const struct {
		uint8_t id;
		bool of_requests; /* responses may */
		const char *why;
	} once[] = {
		{ HTTP_F_HOST, true, "repeated Host" },
		{ HTTP_F_CONTENT_LENGTH, false, "repeated Content-Length" },
		{ HTTP_F_TRANSFER_ENCODING, false,
			"repeated Transfer-Encoding" },
		{ HTTP_F_EXPECT, true, "repeated Expect" },
		{ HTTP_F_CONTENT_TYPE, true, "repeated Content-Type" },
		{ HTTP_F_AUTHORIZATION, true, "repeated Authorization" },
	};

	for (size_t i = 0; i < sizeof(once) / sizeof(once[0]); i++)
		if (s->times[once[i].id] > 1 &&
			(!once[i].of_requests ||
				p->head.kind == HTTP_KIND_REQUEST))
			return http_fail(p, 400, p->head.len, once[i].why);
	return 0;
}

/* Mark the fields that Connection names. */
static void
mark_hop(struct http_parser *p, const char *buf, const char *name, size_t len)
{
	for (uint32_t i = 0; i < p->head.n_fields; i++) {
		struct http_field *f = &p->field[i];

		if (f->name.len == len &&
			strncasecmp(buf + f->name.at, name, len) == 0)
			f->hop = 1;
	}
}

static int
take_option(struct http_parser *p, const char *buf, struct seen *s,
	struct http_slice o)
{
	enum http_field_id id;

	if (!http_is_token(buf + o.at, o.len))
		return http_fail(p, 400, o.at, "invalid Connection");
	if (IS(o, "close")) {
		s->close = true;
		return 0;
	}
	if (IS(o, "keep-alive")) {
		s->keep_alive = true;
		return 0;
	}
	if (IS(o, "upgrade")) {
		s->upgrade = true;
		return 0;
	}
	id = http_field_id(buf + o.at, o.len);
	if (id == HTTP_F_HOST || id == HTTP_F_CONTENT_LENGTH ||
		id == HTTP_F_TRANSFER_ENCODING)
		return http_fail(p, 400, o.at,
			"Connection names what it may "
			"not");
	mark_hop(p, buf, buf + o.at, o.len);
	return 0;
}

/* Each field of Connection; their options are bounded, for each is compared
 * with every field. */
static int
take_connection(struct http_parser *p, const char *buf, struct seen *s)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < p->head.n_fields; i++) {
		const struct http_slice v = p->field[i].value;
		const char *e;
		size_t at = 0, len;

		if (p->field[i].id != HTTP_F_CONNECTION)
			continue;
		while (http_list_next(buf + v.at, v.len, &at, &e, &len)) {
			size_t off = (size_t)(e - buf);

			if (++n > HTTP_OPTIONS_MAX)
				return http_fail(
					p, 400, off, "too many in Connection");
			if (take_option(p, buf, s, slice(off, off + len)) != 0)
				return -EBADMSG;
		}
	}
	return 0;
}

/* Is `word` an element of any field `id`? `word` as http_same() has it. */
static bool
has_element(const struct http_parser *p, const char *buf, uint8_t id,
	const char *word, size_t word_len)
{
	for (uint32_t i = 0; i < p->head.n_fields; i++) {
		const struct http_slice v = p->field[i].value;
		const char *e;
		size_t at = 0, len;

		if (p->field[i].id != id)
			continue;
		while (http_list_next(buf + v.at, v.len, &at, &e, &len))
			if (len == word_len && http_same(e, word, len))
				return true;
	}
	return false;
}

static int
take_length(struct http_parser *p, const char *buf, struct http_slice v)
{
	uint64_t length = 0;

	if (v.len == 0 || v.len > 18)
		return http_fail(p, 400, v.at, "invalid Content-Length");
	for (size_t i = v.at; i < (size_t)v.at + v.len; i++) {
		if (buf[i] < '0' || buf[i] > '9')
			return http_fail(p, 400, i, "invalid Content-Length");
		length = length * 10 + (uint64_t)(buf[i] - '0');
	}
	p->head.length = length;
	p->head.has_length = true;
	return 0;
}

/*
 * Chunked and nothing else: of other codings neither we nor, as it seems, most
 * of those behind us know anything.
 */
static int
check_codings(struct http_parser *p, const char *buf, struct http_slice v)
{
	const char *e;
	size_t at = 0, len, other = 0;
	bool chunked = false;

	while (http_list_next(buf + v.at, v.len, &at, &e, &len)) {
		if (chunked)
			return http_fail(p, 400, v.at, "more than chunked");
		chunked = len == 7 && http_same(e, "chunked", 7);
		other += !chunked;
	}
	if (!chunked)
		return http_fail(p, 400, v.at, "chunked is not the last");
	if (other > 0)
		return http_fail(p, 501, v.at, "unknown transfer coding");
	if (v.len != 7)
		return http_fail(p, 400, v.at, "invalid Transfer-Encoding");
	return 0;
}

/* What Content-Length and Transfer-Encoding say, to be none or one. */
static int
take_framing(struct http_parser *p, const char *buf, const struct seen *s)
{
	struct http_head *h = &p->head;
	const struct http_field *l = the(p, s, HTTP_F_CONTENT_LENGTH);
	const struct http_field *t = the(p, s, HTTP_F_TRANSFER_ENCODING);

	if (l != NULL && t != NULL)
		return http_fail(p, 400, l->name.at,
			"Content-Length and Transfer-Encoding");
	if (t != NULL && h->minor == 0)
		return http_fail(
			p, 400, t->name.at, "Transfer-Encoding in HTTP/1.0");
	if (t != NULL) {
		h->framing = HTTP_BODY_CHUNKED;
		return check_codings(p, buf, t->value);
	}
	if (l != NULL && take_length(p, buf, l->value) != 0)
		return -EBADMSG;
	h->framing = h->length > 0 ? HTTP_BODY_LENGTH : HTTP_BODY_NONE;
	return 0;
}

static int
check_host(struct http_parser *p, const char *buf, const struct seen *s)
{
	struct http_head *h = &p->head;
	const struct http_field *f = the(p, s, HTTP_F_HOST);
	size_t host_len;

	if (f == NULL)
		return h->minor == 0 ? 0 : http_fail(p, 400, h->len, "no Host");
	h->host_field = (uint16_t)(f - p->field);
	if (!h->absolute)
		return set_authority(p, buf, f->value);
	if (!http_authority(buf + f->value.at, f->value.len, &host_len))
		return http_fail(p, 400, f->value.at, "invalid host");
	return 0;
}

static int
check_expect(struct http_parser *p, const char *buf, const struct seen *s)
{
	struct http_head *h = &p->head;
	const struct http_field *f = the(p, s, HTTP_F_EXPECT);

	if (f == NULL)
		return 0;
	if (!IS(f->value, "100-continue"))
		return http_fail(p, 417, f->value.at, "unknown expectation");
	h->expect = h->minor == 1 && h->framing != HTTP_BODY_NONE;
	return 0;
}

static int
check_request(struct http_parser *p, const char *buf, const struct seen *s)
{
	struct http_head *h = &p->head;

	if (check_host(p, buf, s) != 0 || check_expect(p, buf, s) != 0)
		return -EBADMSG;
	if (p->limits.max_body > 0 && h->length > p->limits.max_body)
		return http_fail(p, 413, h->len, "body too large");
	h->upgrade = s->upgrade && s->times[HTTP_F_UPGRADE] == 1 &&
		     h->minor == 1 && h->framing == HTTP_BODY_NONE &&
		     !has_element(p, buf, HTTP_F_UPGRADE, "h2c", 3);
	h->te_trailers = h->minor == 1 && s->times[HTTP_F_TE] > 0 &&
			 has_element(p, buf, HTTP_F_TE, "trailers", 8);
	return 0;
}

/*
 * A response that has no body by its status says nothing of one (RFC 9110
 * sections 15.2, 15.3.5): what its sender, or the client, took for one would
 * be read as the next response.
 */
static int
check_bodiless(struct http_parser *p)
{
	struct http_head *h = &p->head;

	if (h->framing != HTTP_BODY_NONE)
		return http_fail(p, 502, h->len, "a body where none may be");
	return 0;
}

static int
check_switch(struct http_parser *p, const struct seen *s)
{
	if (!p->asked.upgrade)
		return http_fail(p, 502, p->head.len, "101 not asked for");
	if (!s->upgrade || s->times[HTTP_F_UPGRADE] == 0)
		return http_fail(p, 502, p->head.len, "101 without Upgrade");
	p->head.framing = HTTP_BODY_TUNNEL;
	return 0;
}

/* RFC 9112 section 6.3. */
static int
check_response(struct http_parser *p, const struct seen *s)
{
	struct http_head *h = &p->head;
	const bool interim = h->status < 200;

	if (interim && h->minor == 0)
		return http_fail(p, 502, h->len, "1xx in HTTP/1.0");
	if (interim || h->status == 204) {
		if (check_bodiless(p) != 0)
			return -EBADMSG;
		return h->status == 101 ? check_switch(p, s) : 0;
	}
	if (h->status == 304 || p->asked.method == HTTP_HEAD) {
		h->framing = HTTP_BODY_NONE;
		h->length = 0;
	} else if (h->framing == HTTP_BODY_NONE && !h->has_length) {
		h->framing = HTTP_BODY_CLOSE;
	}
	return 0;
}

static void
gather(const struct http_parser *p, struct seen *s)
{
	memset(s, 0, sizeof(*s));
	for (uint32_t i = 0; i < p->head.n_fields; i++) {
		uint8_t id = p->field[i].id;

		if (s->times[id] == 0)
			s->first[id] = (uint8_t)i;
		if (s->times[id] < 2)
			s->times[id]++;
	}
}

int
http_check_head(struct http_parser *p, const char *buf)
{
	struct http_head *h = &p->head;
	struct seen s;
	int err;

	if (h->n_fields != p->checked || p->fed != p->line_at + 2u ||
		memcmp(buf + p->line_at, "\r\n", 2) != 0)
		return http_fail(p, 400, p->line_at, "malformed end of head");
	h->len = (uint16_t)(p->line_at + 2);
	gather(p, &s);
	if (check_repeated(p, &s) != 0 ||
		(s.times[HTTP_F_CONNECTION] > 0 &&
			take_connection(p, buf, &s) != 0) ||
		take_framing(p, buf, &s) != 0)
		return -EBADMSG;
	err = h->kind == HTTP_KIND_REQUEST ? check_request(p, buf, &s)
					   : check_response(p, &s);
	h->keep_alive = !s.close && (h->minor == 1 || s.keep_alive) &&
			h->framing < HTTP_BODY_CLOSE;
	return err;
}
