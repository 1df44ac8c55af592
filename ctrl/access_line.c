/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/access_line.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "dataplane/stats.h"

static const char *const error_name[] = {
	[HTTP_ERR_BAD_REQUEST] = "bad_request",
	[HTTP_ERR_TIMEOUT] = "timeout",
	[HTTP_ERR_TOO_LARGE] = "too_large",
	[HTTP_ERR_HEADERS] = "headers",
	[HTTP_ERR_BAD_RESPONSE] = "bad_response",
	[HTTP_ERR_NO_BACKEND] = "no_backend",
	[HTTP_ERR_SLOW_BACKEND] = "slow_backend",
	[HTTP_ERR_CLIENT_GONE] = "client_gone",
	[HTTP_ERR_CUT] = "cut",
};

_Static_assert(sizeof(error_name) / sizeof(error_name[0]) == HTTP_ERRORS,
	"every error has its word");

static const char *const month[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
	"Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };

const char *
http_error_name(uint32_t error)
{
	return error < HTTP_ERRORS ? error_name[error] : "unknown";
}

/* --- what both formats say ---------------------------------------------- */

/* A record taken apart: texts with their places, the rest in words. */
struct parts {
	const struct access_record *r;
	const char *function, *service;
	const char *text[ACCESS_TEXTS];
	const char *error; /* NULL: none */
	char client[46], backend[56];
	struct tm tm;
	unsigned int us;
};

static bool
is_none(const struct ip_addr *addr)
{
	const struct ip_addr none = { { 0, 0, 0, 0 } };

	return ip_addr_eq(addr, &none);
}

static void
name_backend(const struct access_record *r, char buf[56])
{
	char addr[46];

	snprintf(buf, 56, ip_addr_is_v4(&r->backend) ? "%s:%u" : "[%s]:%u",
		ip_addr_format(&r->backend, addr), ntohs(r->backend_port));
}

static void
take_apart(struct parts *p, const struct grant *g,
	const struct access_record *r, const char *text)
{
	time_t s = (time_t)(r->at_us / 1000000);

	p->r = r;
	p->function = g->function;
	p->service =
		r->service < g->n_services ? g->services[r->service].name : "-";
	for (int i = 0; i < ACCESS_TEXTS; i++) {
		p->text[i] = text;
		text += r->text_len[i];
	}
	p->error = r->error == 0 ? NULL : http_error_name(r->error - 1u);
	p->client[0] = p->backend[0] = '\0';
	if (!is_none(&r->client))
		ip_addr_format(&r->client, p->client);
	if (!is_none(&r->backend))
		name_backend(r, p->backend);
	memset(&p->tm, 0, sizeof(p->tm));
	gmtime_r(&s, &p->tm);
	p->us = (unsigned int)(r->at_us % 1000000);
}

static const char *
or_dash(const char *text)
{
	return text == NULL || *text == '\0' ? "-" : text;
}

/* --- as web servers write it --------------------------------------------- */

struct out {
	char *buf;
	size_t len, size;
};

static void __attribute__((format(printf, 2, 3)))
add(struct out *o, const char *format, ...)
{
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(o->buf + o->len, o->size - o->len, format, ap);
	va_end(ap);
	if (n > 0 && (size_t)n < o->size - o->len)
		o->len += (size_t)n;
}

/* Quotes and backslashes by a backslash, what does not print as \xHH. */
static void
add_text(struct out *o, const struct parts *p, enum access_text which)
{
	static const char hex[] = "0123456789abcdef";
	const char *text = p->text[which];

	for (uint16_t i = 0; i < p->r->text_len[which]; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '"' || c == '\\') {
			o->buf[o->len++] = '\\';
			o->buf[o->len++] = (char)c;
		} else if (c < ' ' || c >= 0x7f) {
			o->buf[o->len++] = '\\';
			o->buf[o->len++] = 'x';
			o->buf[o->len++] = hex[c >> 4];
			o->buf[o->len++] = hex[c & 15];
		} else {
			o->buf[o->len++] = (char)c;
		}
	}
}

static void
add_quoted(struct out *o, const struct parts *p, enum access_text which)
{
	o->buf[o->len++] = '"';
	if (p->r->text_len[which] == 0)
		o->buf[o->len++] = '-';
	add_text(o, p, which);
	o->buf[o->len++] = '"';
}

static void
add_request(struct out *o, const struct parts *p)
{
	const uint16_t *len = p->r->text_len;

	o->buf[o->len++] = '"';
	if (len[ACCESS_METHOD] == 0 && len[ACCESS_TARGET] == 0)
		o->buf[o->len++] = '-';
	add_text(o, p, ACCESS_METHOD);
	if (len[ACCESS_TARGET] > 0)
		o->buf[o->len++] = ' ';
	add_text(o, p, ACCESS_TARGET);
	if (len[ACCESS_VERSION_TEXT] > 0)
		o->buf[o->len++] = ' ';
	add_text(o, p, ACCESS_VERSION_TEXT);
	o->buf[o->len++] = '"';
}

/* NCSA's combined format, and behind it what a proxy knows besides. */
static int
line_common(const struct parts *p, char *buf, size_t size)
{
	const struct access_record *r = p->r;
	struct out o = { buf, 0, size };

	add(&o, "%s - - [%02d/%s/%d:%02d:%02d:%02d +0000] ", or_dash(p->client),
		p->tm.tm_mday, month[p->tm.tm_mon % 12], p->tm.tm_year + 1900,
		p->tm.tm_hour, p->tm.tm_min, p->tm.tm_sec);
	add_request(&o, p);
	if (r->status == 0)
		add(&o, " - %" PRIu64 " ", r->bytes_out);
	else
		add(&o, " %03u %" PRIu64 " ", r->status, r->bytes_out);
	add_quoted(&o, p, ACCESS_REFERER);
	add(&o, " ");
	add_quoted(&o, p, ACCESS_AGENT);
	add(&o, " host=");
	add_quoted(&o, p, ACCESS_HOST);
	add(&o,
		" service=%.31s/%.31s backend=%s in=%" PRIu64
		" header=%u connect=%u response=%u total=%u retries=%u "
		"reused=%u error=%s\n",
		or_dash(p->function), or_dash(p->service), or_dash(p->backend),
		r->bytes_in, r->header_us, r->connect_us, r->response_us,
		r->total_us, r->retries, r->reused != 0, or_dash(p->error));
	return (int)o.len;
}

/* --- as an object -------------------------------------------------------- */

/* How long a UTF-8 character begins with `c`; 0: none does. */
static size_t
utf8_length(unsigned char c)
{
	if (c < 0x80)
		return c != 0; /* which readers of JSON may not take */
	return c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
}

/* The length of the UTF-8 character at c[0..len), or 0 if it is none. */
static size_t
utf8(const unsigned char *c, size_t len)
{
	size_t n = utf8_length(c[0]);

	if (n == 0 || n > len)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((c[i] & 0xc0) != 0x80)
			return 0;
	/* too long a form, halves of pairs, beyond the last */
	if ((c[0] == 0xe0 && c[1] < 0xa0) || (c[0] == 0xed && c[1] >= 0xa0) ||
		(c[0] == 0xf0 && c[1] < 0x90) || (c[0] == 0xf4 && c[1] >= 0x90))
		return 0;
	return n;
}

/*
 * Not by jansson: a line takes it four times as long, which is time of a core
 * that instances may want. A byte that is of no character becomes U+FFFD.
 */
static void
add_string(struct out *o, const char *text, size_t len)
{
	const unsigned char *c = (const unsigned char *)text;

	for (size_t i = 0, n; i<len; i += n> 0 ? n : 1) {
		n = utf8(c + i, len - i);
		if (n == 0 || c[i] < ' ') {
			add(o, "\\u%04x", n == 0 ? 0xfffdu : c[i]);
			continue;
		}
		if (c[i] == '"' || c[i] == '\\')
			o->buf[o->len++] = '\\';
		memcpy(o->buf + o->len, c + i, n);
		o->len += n;
	}
}

/* What a connection of mode tcp has none of is left out. */
static void
add_members(struct out *o, const struct parts *p)
{
	static const char *const key[] = { "method", "target", "version",
		"host", "referer", "agent" };

	for (int i = 0; i < ACCESS_TEXTS; i++) {
		if (p->r->text_len[i] == 0)
			continue;
		add(o, ",\"%s\":\"", key[i]);
		add_string(o, p->text[i], p->r->text_len[i]);
		add(o, "\"");
	}
	if (p->r->status != 0)
		add(o, ",\"status\":%u", p->r->status);
}

/* Names of functions and services need no escapes: see KEY_NAME. */
static int
line_json(const struct parts *p, char *buf, size_t size)
{
	const struct access_record *r = p->r;
	struct out o = { buf, 0, size };

	add(&o,
		"{\"time\":\"%04d-%02d-%02dT%02d:%02d:%02d.%06uZ\","
		"\"function\":\"%.31s\",\"service\":\"%.31s\"",
		p->tm.tm_year + 1900, p->tm.tm_mon + 1, p->tm.tm_mday,
		p->tm.tm_hour, p->tm.tm_min, p->tm.tm_sec, p->us,
		or_dash(p->function), or_dash(p->service));
	if (p->client[0] != '\0')
		add(&o, ",\"client\":\"%s\",\"client_port\":%u", p->client,
			ntohs(r->client_port));
	add_members(&o, p);
	add(&o, ",\"bytes_in\":%" PRIu64 ",\"bytes_out\":%" PRIu64,
		r->bytes_in & INT64_MAX, r->bytes_out & INT64_MAX);
	if (p->backend[0] != '\0')
		add(&o, ",\"backend\":\"%s\"", p->backend);
	add(&o,
		",\"header_us\":%u,\"connect_us\":%u,\"response_us\":%u,"
		"\"total_us\":%u,\"retries\":%u,\"reused\":%s",
		r->header_us, r->connect_us, r->response_us, r->total_us,
		r->retries, r->reused != 0 ? "true" : "false");
	if (p->error != NULL)
		add(&o, ",\"error\":\"%s\"", p->error);
	add(&o, "}\n");
	return (int)o.len;
}

int
access_line(enum config_access_format format, const struct grant *g,
	const struct access_record *r, const char *text, char *buf, size_t size)
{
	struct parts p;

	take_apart(&p, g, r, text);
	return format == CONFIG_ACCESS_JSON ? line_json(&p, buf, size)
					    : line_common(&p, buf, size);
}
