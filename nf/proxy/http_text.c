/* SPDX-License-Identifier: BSD-3-Clause */
/* The small words of HTTP: characters, tokens, field names, hosts, lists. */
#include <arpa/inet.h>
#include <string.h>

#include "nf/proxy/http.h"

#define TOKEN 0x1 /* tchar, RFC 9110 section 5.6.2 */
#define HOST  0x2 /* of a name in an authority; "%" aside */
#define HEX   0x4
#define VALUE 0x8 /* of a field value, RFC 9110 section 5.5 */

/*
 * RFC 3986 lets sub-delims into names. No name that resolves has any, and a
 * comma is how some join two Host fields: they are left out.
 */
static const uint8_t class[256] = {
	['\t'] = VALUE,
	[' '] = VALUE,
	['!'] = TOKEN | VALUE,
	['"'] = VALUE,
	['#' ... '\''] = TOKEN | VALUE,
	['(' ... ')'] = VALUE,
	['*' ... '+'] = TOKEN | VALUE,
	[','] = VALUE,
	['-' ... '.'] = TOKEN | HOST | VALUE,
	['/'] = VALUE,
	['0' ... '9'] = TOKEN | HOST | HEX | VALUE,
	[':' ... '@'] = VALUE,
	['A' ... 'F'] = TOKEN | HOST | HEX | VALUE,
	['G' ... 'Z'] = TOKEN | HOST | VALUE,
	['[' ... ']'] = VALUE,
	['^'] = TOKEN | VALUE,
	['_'] = TOKEN | HOST | VALUE,
	['`'] = TOKEN | VALUE,
	['a' ... 'f'] = TOKEN | HOST | HEX | VALUE,
	['g' ... 'z'] = TOKEN | HOST | VALUE,
	['{'] = VALUE,
	['|'] = TOKEN | VALUE,
	['}'] = VALUE,
	['~'] = TOKEN | HOST | VALUE,
	[0x80 ... 0xff] = VALUE,
};

static bool
is(char c, uint8_t what)
{
	return class[(uint8_t)c] & what;
}

bool
http_is_token(const char *c, size_t len)
{
	uint8_t all = TOKEN;

	for (size_t i = 0; i < len; i++)
		all &= class[(uint8_t)c[i]];
	return len > 0 && all;
}

#define ONES  0x0101010101010101ull
#define HIGHS 0x8080808080808080ull

/* Not 0 if any byte of `w` is below 0x20 or is 0x7f. */
static uint64_t
controls(uint64_t w)
{
	uint64_t del = w ^ ONES * 0x7f;

	return ((w - ONES * 0x20) & ~w & HIGHS) | ((del - ONES) & ~del & HIGHS);
}

size_t
http_value_span(const char *c, size_t len)
{
	size_t i = 0;
	uint64_t w;

	while (i < len) {
		if (len - i >= sizeof(w)) {
			memcpy(&w, c + i, sizeof(w));
			if (controls(w) == 0) {
				i += sizeof(w);
				continue;
			}
		}
		/* A tab, or near the end: eight bytes one by one. */
		for (size_t n = 0; n < sizeof(w) && i < len; n++, i++)
			if (!is(c[i], VALUE))
				return i;
	}
	return i;
}

/*
 * `b` has letters, digits and "-" only, and `a` no control characters: then
 * no other character of a's becomes one of b's by the bit that makes lower
 * case.
 */
bool
http_same(const char *a, const char *b, size_t len)
{
	uint64_t x, y, diff = 0;
	size_t i = 0;

	for (; i + sizeof(x) <= len; i += sizeof(x)) {
		memcpy(&x, a + i, sizeof(x));
		memcpy(&y, b + i, sizeof(y));
		diff |= (x | ONES * 0x20) ^ y;
	}
	for (; i < len; i++)
		diff |= (uint64_t)(uint8_t)((a[i] | 0x20) ^ b[i]);
	return diff == 0;
}

#define NAME(text, what) \
	(http_same(name, text, sizeof(text) - 1) ? what : HTTP_F_OTHER)
#define KEY(len, c) ((len) << 8 | (c))

/* Length and first letter leave one name, seldom two. */
enum http_field_id
http_field_id(const char *name, size_t len)
{
	if (len < 2 || len > 19)
		return HTTP_F_OTHER;
	switch (KEY(len, name[0] | 0x20)) {
	case KEY(2, 't'):
		return NAME("te", HTTP_F_TE);
	case KEY(4, 'h'):
		return NAME("host", HTTP_F_HOST);
	case KEY(6, 'c'):
		return NAME("cookie", HTTP_F_COOKIE);
	case KEY(6, 'e'):
		return NAME("expect", HTTP_F_EXPECT);
	case KEY(7, 'r'):
		return NAME("referer", HTTP_F_REFERER);
	case KEY(7, 't'):
		return NAME("trailer", HTTP_F_TRAILER);
	case KEY(7, 'u'):
		return NAME("upgrade", HTTP_F_UPGRADE);
	case KEY(9, 'f'):
		return NAME("forwarded", HTTP_F_FORWARDED);
	case KEY(10, 'c'):
		return NAME("connection", HTTP_F_CONNECTION);
	case KEY(10, 'k'):
		return NAME("keep-alive", HTTP_F_KEEP_ALIVE);
	case KEY(10, 's'):
		return NAME("set-cookie", HTTP_F_SET_COOKIE);
	case KEY(10, 'u'):
		return NAME("user-agent", HTTP_F_USER_AGENT);
	case KEY(12, 'c'):
		return NAME("content-type", HTTP_F_CONTENT_TYPE);
	case KEY(13, 'a'):
		return NAME("authorization", HTTP_F_AUTHORIZATION);
	case KEY(14, 'c'):
		return NAME("content-length", HTTP_F_CONTENT_LENGTH);
	case KEY(14, 'h'):
		return NAME("http2-settings", HTTP_F_HTTP2_SETTINGS);
	case KEY(15, 'x'):
		return NAME("x-forwarded-for", HTTP_F_X_FORWARDED_FOR);
	case KEY(16, 'p'):
		return NAME("proxy-connection", HTTP_F_PROXY_CONNECTION);
	case KEY(16, 'x'):
		return NAME("x-forwarded-port", HTTP_F_X_FORWARDED_PORT);
	case KEY(17, 't'):
		return NAME("transfer-encoding", HTTP_F_TRANSFER_ENCODING);
	case KEY(17, 'x'):
		return NAME("x-forwarded-proto", HTTP_F_X_FORWARDED_PROTO);
	default:
		return HTTP_F_OTHER;
	}
}

/* "" or ":" or ":" and a port. */
static bool
is_port(const char *c, size_t len)
{
	uint32_t port = 0;

	if (len == 0)
		return true;
	if (c[0] != ':' || len > 6)
		return false;
	for (size_t i = 1; i < len; i++) {
		if (c[i] < '0' || c[i] > '9')
			return false;
		port = port * 10 + (uint32_t)(c[i] - '0');
	}
	return port <= 65535;
}

static bool
is_ipv6(const char *c, size_t len)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr a;

	if (len >= sizeof(text))
		return false;
	memcpy(text, c, len);
	text[len] = '\0';
	return strlen(text) == len && inet_pton(AF_INET6, text, &a) == 1;
}

/* Length of the name at the beginning of c[0..len); SIZE_MAX: none. */
static size_t
name_span(const char *c, size_t len)
{
	size_t i = 0;

	while (i < len && c[i] != ':') {
		if (is(c[i], HOST)) {
			i++;
			continue;
		}
		if (c[i] != '%' || len - i < 3 || !is(c[i + 1], HEX) ||
			!is(c[i + 2], HEX))
			return SIZE_MAX;
		i += 3;
	}
	return i;
}

#define HOST_MAX 255 /* RFC 1035 section 2.3.4 */

bool
http_authority(const char *c, size_t len, size_t *host_len)
{
	const char *end;
	size_t n;

	if (len > 0 && c[0] == '[') {
		end = memchr(c, ']', len);
		if (end == NULL || !is_ipv6(c + 1, (size_t)(end - c) - 1))
			return false;
		n = (size_t)(end - c) + 1;
	} else {
		n = name_span(c, len);
		if (n > HOST_MAX || (n == 0 && len > 0))
			return false;
	}
	*host_len = n;
	return is_port(c + n, len - n);
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

bool
http_list_next(const char *list, size_t len, size_t *at, const char **element,
	size_t *element_len)
{
	size_t i = *at, end;

	while (i < len && (is_blank(list[i]) || list[i] == ','))
		i++;
	if (i >= len) {
		*at = len;
		return false;
	}
	*element = list + i;
	for (end = i; i < len && list[i] != ','; i++)
		if (!is_blank(list[i]))
			end = i + 1;
	*element_len = (size_t)(list + end - *element);
	*at = i;
	return true;
}
