/* SPDX-License-Identifier: BSD-3-Clause */
#include "nf/proxy/cookie.h"

#include <string.h>

#include "dataplane/tcp/secret.h"

int
cookie_key(struct tcp_secret *key, const struct grant *g)
{
	/* 0 would be one from the kernel, another one at each start. */
	return secret_init(key, (uint64_t)g->steer_seed << 32 | 0x636f6f6b);
}

uint64_t
cookie_id(const struct tcp_secret *key, const struct grant_backend *b)
{
	uint8_t who[sizeof(b->addr) + sizeof(b->port)];
	uint64_t id;

	memcpy(who, &b->addr, sizeof(b->addr));
	memcpy(who + sizeof(b->addr), &b->port, sizeof(b->port));
	id = secret_hash(key, who, sizeof(who));
	return id != 0 ? id : 1;
}

/* 16 digits as cookie_set() writes them; 0: it is something else. */
static uint64_t
parse_id(const char *c, size_t len)
{
	uint64_t id = 0;

	if (len != COOKIE_VALUE)
		return 0;
	for (size_t i = 0; i < len; i++) {
		if (c[i] >= '0' && c[i] <= '9')
			id = id << 4 | (uint64_t)(c[i] - '0');
		else if (c[i] >= 'a' && c[i] <= 'f')
			id = id << 4 | (uint64_t)(c[i] - 'a' + 10);
		else
			return 0;
	}
	return id;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* One cookie of a Cookie field: name=value, blanks aside. */
struct pair {
	size_t at, end; /* of it, up to its ";" or the end of the value */
	const char *name, *value;
	size_t name_len, value_len;
};

/* The pair at `at` (RFC 6265 section 4.2.1, read as servers read it). */
static void
read_pair(const char *c, size_t len, size_t at, struct pair *p)
{
	const char *semicolon = memchr(c + at, ';', len - at), *equals;
	size_t end = semicolon != NULL ? (size_t)(semicolon - c) : len;

	p->at = at;
	p->end = end;
	while (at < end && is_blank(c[at]))
		at++;
	while (end > at && is_blank(c[end - 1]))
		end--;
	equals = memchr(c + at, '=', end - at);
	p->name = c + at;
	p->name_len = (equals != NULL ? (size_t)(equals - c) : end) - at;
	p->value = equals != NULL ? equals + 1 : c + end;
	p->value_len = (size_t)(c + end - p->value);
	while (p->name_len > 0 && is_blank(p->name[p->name_len - 1]))
		p->name_len--;
	while (p->value_len > 0 && is_blank(p->value[0])) {
		p->value++;
		p->value_len--;
	}
}

static bool
is_named(const struct pair *p, const char *name, size_t name_len)
{
	return p->name_len == name_len && memcmp(p->name, name, name_len) == 0;
}

uint64_t
cookie_find(const struct http_parser *p, const char *buf, const char *name,
	size_t name_len)
{
	for (uint32_t i = 0; i < p->head.n_fields; i++) {
		const struct http_slice v = p->field[i].value;
		struct pair pair = { .end = 0 };

		if (p->field[i].id != HTTP_F_COOKIE)
			continue;
		for (size_t at = 0; at < v.len; at = pair.end + 1) {
			read_pair(buf + v.at, v.len, at, &pair);
			if (is_named(&pair, name, name_len))
				return parse_id(pair.value, pair.value_len);
		}
	}
	return 0;
}

size_t
cookie_set(const char *name, size_t name_len, uint64_t id, char *out)
{
	static const char begin[] = "Set-Cookie: ";
	static const char end[] = "; Path=/; HttpOnly; SameSite=Lax\r\n";
	static const char digit[] = "0123456789abcdef";
	char *o = out;

	if (name_len > COOKIE_NAME_MAX)
		return 0;
	o = mempcpy(o, begin, sizeof(begin) - 1);
	o = mempcpy(o, name, name_len);
	*o++ = '=';
	for (int shift = 60; shift >= 0; shift -= 4)
		*o++ = digit[id >> shift & 15];
	o = mempcpy(o, end, sizeof(end) - 1);
	return (size_t)(o - out);
}

/* Behind out[0..n), unless there is no `out`. The new length. */
static size_t
add(char *out, size_t n, const char *c, size_t len)
{
	if (out != NULL)
		memcpy(out + n, c, len);
	return n + len;
}

/*
 * What is left keeps its bytes: a pair goes with the ";" behind it, or, the
 * last one, with the one before it, and a blank at the beginning goes as well.
 */
size_t
cookie_cut(const char *value, size_t len, const char *name, size_t name_len,
	char *out)
{
	struct pair pair = { .end = 0 };
	size_t n = 0;
	bool cut = false;

	for (size_t at = 0; at < len; at = pair.end + 1) {
		read_pair(value, len, at, &pair);
		if (is_named(&pair, name, name_len)) {
			cut = true;
			continue;
		}
		if (n == 0 && cut)
			while (at < pair.end && is_blank(value[at]))
				at++;
		else if (at > 0)
			n = add(out, n, ";", 1);
		n = add(out, n, value + at, pair.end - at);
	}
	return cut ? n : add(out, 0, value, len);
}
