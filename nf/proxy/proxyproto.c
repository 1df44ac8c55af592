/* SPDX-License-Identifier: BSD-3-Clause */
#include "nf/proxy/proxyproto.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <isa-l/crc.h>

#include "dataplane/grant.h"

static const char v1_begin[] = "PROXY ";
static const uint8_t v2_begin[12] = { 0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a,
	0x51, 0x55, 0x49, 0x54, 0x0a };

#define V1_BEGIN  (sizeof(v1_begin) - 1)
#define V2_HEADER 16

/* Version and command, family and protocol. */
#define V2_LOCAL  0x20
#define V2_PROXY  0x21
#define V2_UNSPEC 0x00
#define V2_TCP4   0x11
#define V2_TCP6   0x21

#define V2_BYTES4 12 /* of addresses and ports */
#define V2_BYTES6 36

#define TLV_CRC32C 0x03
#define TLV_SSL    0x20
#define SSL_CLIENT 0x01 /* in the first byte of TLV_SSL */

static ssize_t
bad(const char **why, const char *text)
{
	*why = text;
	return -EBADMSG;
}

/* --- version 1 -------------------------------------------------------------
 */

/* The next word of a line: up to one blank, or to its end. */
struct word {
	const char *c;
	size_t len;
};

static struct word
next_word(const char **at, const char *end)
{
	const char *blank = memchr(*at, ' ', (size_t)(end - *at));
	struct word w = { *at, (size_t)((blank ? blank : end) - *at) };

	*at = blank != NULL ? blank + 1 : end;
	return w;
}

/* Digits, no zero ahead of others, no more than 65535. */
static bool
read_port(struct word w, uint16_t *port)
{
	uint32_t v = 0;

	if (w.len == 0 || w.len > 5 || (w.len > 1 && w.c[0] == '0'))
		return false;
	for (size_t i = 0; i < w.len; i++) {
		if (w.c[i] < '0' || w.c[i] > '9')
			return false;
		v = v * 10 + (uint32_t)(w.c[i] - '0');
	}
	*port = htons((uint16_t)v);
	return v <= 65535;
}

/* inet_pton() takes no leading zeros in IPv4, and no zone. */
static bool
read_addr(struct word w, int family, struct ip_addr *a)
{
	char text[INET6_ADDRSTRLEN];
	struct in_addr v4;

	if (w.len >= sizeof(text))
		return false;
	memcpy(text, w.c, w.len);
	text[w.len] = '\0';
	if (strlen(text) != w.len)
		return false;
	if (family == AF_INET6)
		return inet_pton(AF_INET6, text, a) == 1 && !ip_addr_is_v4(a);
	if (inet_pton(AF_INET, text, &v4) != 1)
		return false;
	*a = ip_addr_from_v4(v4.s_addr);
	return true;
}

/* What is between "PROXY " and CR LF. */
static bool
read_line(const char *at, const char *end, struct proxyproto *out)
{
	struct word family = next_word(&at, end), src, dst, sport;
	int af;

	if (family.len == 7 && memcmp(family.c, "UNKNOWN", 7) == 0)
		return true;
	if (family.len != 4 || memcmp(family.c, "TCP", 3) != 0)
		return false;
	af = family.c[3] == '4' ? AF_INET : AF_INET6;
	if (family.c[3] != '4' && family.c[3] != '6')
		return false;
	src = next_word(&at, end);
	dst = next_word(&at, end);
	sport = next_word(&at, end);
	out->known = true;
	return read_addr(src, af, &out->src) && read_addr(dst, af, &out->dst) &&
	       read_port(sport, &out->sport) &&
	       read_port((struct word){ at, (size_t)(end - at) }, &out->dport);
}

static ssize_t
parse_v1(const char *c, size_t len, struct proxyproto *out, const char **why)
{
	size_t most = len < PROXYPROTO_V1_MAX ? len : PROXYPROTO_V1_MAX;
	const char *cr = memchr(c, '\r', most);
	size_t end;

	if (memchr(c, '\n', cr != NULL ? (size_t)(cr - c) : most) != NULL)
		return bad(why, "PROXY line without CR");
	if (cr == NULL || (size_t)(cr - c) + 1 == PROXYPROTO_V1_MAX)
		return most < PROXYPROTO_V1_MAX
			       ? -EAGAIN
			       : bad(why, "PROXY line too long");
	end = (size_t)(cr - c);
	if (end + 1 == len)
		return -EAGAIN;
	if (c[end + 1] != '\n')
		return bad(why, "CR without LF in PROXY line");
	out->version = 1;
	if (!read_line(c + V1_BEGIN, cr, out))
		return bad(why, "malformed PROXY line");
	return (ssize_t)end + 2;
}

/* --- version 2 -------------------------------------------------------------
 */

static uint16_t
get16(const uint8_t *d)
{
	return (uint16_t)(d[0] << 8 | d[1]);
}

/* Over the whole header, its own four bytes as zeros. */
static bool
crc_is_good(const uint8_t *d, size_t len, size_t at)
{
	static const uint8_t zero[4];
	uint32_t crc = 0xffffffff, want;

	memcpy(&want, d + at, sizeof(want));
	crc = crc32_iscsi((unsigned char *)(uintptr_t)d, (int)at, crc);
	crc = crc32_iscsi((unsigned char *)(uintptr_t)zero, 4, crc);
	crc = crc32_iscsi((unsigned char *)(uintptr_t)(d + at + 4),
		(int)(len - at - 4), crc);
	return htonl(~crc) == want;
}

static ssize_t
read_tlvs(const uint8_t *d, size_t at, size_t end, struct proxyproto *out,
	const char **why)
{
	while (at < end) {
		size_t len;

		if (end - at < 3)
			return bad(why, "PROXY TLV cut short");
		len = get16(d + at + 1);
		if (end - at - 3 < len)
			return bad(why, "PROXY TLV beyond the header");
		if (d[at] == TLV_CRC32C &&
			(len != 4 || !crc_is_good(d, end, at + 3)))
			return bad(why, "PROXY header with a wrong CRC");
		if (d[at] == TLV_SSL && len > 0)
			out->tls = d[at + 3] & SSL_CLIENT;
		at += 3 + len;
	}
	return (ssize_t)end;
}

static void
read_ends4(const uint8_t *d, struct proxyproto *out)
{
	uint32_t v4[2];

	memcpy(v4, d, sizeof(v4));
	out->src = ip_addr_from_v4(v4[0]);
	out->dst = ip_addr_from_v4(v4[1]);
	memcpy(&out->sport, d + 8, 2);
	memcpy(&out->dport, d + 10, 2);
}

static void
read_ends6(const uint8_t *d, struct proxyproto *out)
{
	memcpy(&out->src, d, 16);
	memcpy(&out->dst, d + 16, 16);
	memcpy(&out->sport, d + 32, 2);
	memcpy(&out->dport, d + 34, 2);
}

/* A header that is all there. */
static ssize_t
read_v2(const uint8_t *d, size_t len, struct proxyproto *out, const char **why)
{
	size_t body = len - V2_HEADER;

	out->version = 2;
	if (d[12] == V2_LOCAL)
		return (ssize_t)len; /* whatever follows is to be skipped */
	if (d[13] == V2_UNSPEC)
		return (ssize_t)len;
	out->known = true;
	if (d[13] == V2_TCP4) {
		if (body < V2_BYTES4)
			return bad(why, "PROXY addresses cut short");
		read_ends4(d + V2_HEADER, out);
		return read_tlvs(d, V2_HEADER + V2_BYTES4, len, out, why);
	}
	if (body < V2_BYTES6)
		return bad(why, "PROXY addresses cut short");
	read_ends6(d + V2_HEADER, out);
	return read_tlvs(d, V2_HEADER + V2_BYTES6, len, out, why);
}

/* Byte by byte, so that what is wrong is refused as soon as it is there. */
static ssize_t
parse_v2(const uint8_t *d, size_t len, struct proxyproto *out, const char **why)
{
	size_t size;

	if (len > 12 && d[12] != V2_LOCAL && d[12] != V2_PROXY)
		return bad(why, "PROXY header of unknown version or command");
	if (len > 13 && d[12] == V2_PROXY && d[13] != V2_UNSPEC &&
		d[13] != V2_TCP4 && d[13] != V2_TCP6)
		return bad(why, "PROXY header of another protocol");
	if (len < V2_HEADER)
		return -EAGAIN;
	size = V2_HEADER + (size_t)get16(d + 14);
	if (size > PROXYPROTO_V2_MAX)
		return bad(why, "PROXY header too long");
	return len < size ? -EAGAIN : read_v2(d, size, out, why);
}

/* Are data[0..len) and `begin`[0..n) alike as far as both go? */
static bool
begins(const void *data, size_t len, const void *begin, size_t n)
{
	return memcmp(data, begin, len < n ? len : n) == 0;
}

ssize_t
proxyproto_parse(const void *data, size_t len, uint8_t accept,
	struct proxyproto *out, const char **why)
{
	memset(out, 0, sizeof(*out));
	if (len == 0)
		return -EAGAIN;
	if (begins(data, len, v1_begin, V1_BEGIN) && accept != GRANT_PROXY_V2)
		return len < V1_BEGIN ? -EAGAIN : parse_v1(data, len, out, why);
	if (begins(data, len, v2_begin, sizeof(v2_begin)) &&
		accept != GRANT_PROXY_V1)
		return len < sizeof(v2_begin) ? -EAGAIN
					      : parse_v2(data, len, out, why);
	return bad(why, "no PROXY header");
}

/* --- writing ---------------------------------------------------------------
 */

static size_t
write_v1(const struct proxyproto *p, bool known, bool v4, uint8_t *out)
{
	char src[INET6_ADDRSTRLEN], dst[INET6_ADDRSTRLEN];
	char line[PROXYPROTO_OUT + 1];
	int n;

	if (!known) {
		n = snprintf(line, sizeof(line), "PROXY UNKNOWN\r\n");
	} else {
		int af = v4 ? AF_INET : AF_INET6;

		inet_ntop(af, v4 ? &p->src.w[3] : p->src.w, src, sizeof(src));
		inet_ntop(af, v4 ? &p->dst.w[3] : p->dst.w, dst, sizeof(dst));
		n = snprintf(line, sizeof(line), "PROXY TCP%c %s %s %u %u\r\n",
			v4 ? '4' : '6', src, dst, ntohs(p->sport),
			ntohs(p->dport));
	}
	memcpy(out, line, (size_t)n);
	return (size_t)n;
}

static size_t
write_v2(const struct proxyproto *p, bool known, bool v4, uint8_t *out)
{
	uint8_t bytes = 0;

	memcpy(out, v2_begin, sizeof(v2_begin));
	out[12] = known ? V2_PROXY : V2_LOCAL;
	out[13] = !known ? V2_UNSPEC : v4 ? V2_TCP4 : V2_TCP6;
	if (known && v4) {
		memcpy(out + 16, &p->src.w[3], 4);
		memcpy(out + 20, &p->dst.w[3], 4);
		memcpy(out + 24, &p->sport, 2);
		memcpy(out + 26, &p->dport, 2);
		bytes = V2_BYTES4;
	} else if (known) {
		memcpy(out + 16, &p->src, 16);
		memcpy(out + 32, &p->dst, 16);
		memcpy(out + 48, &p->sport, 2);
		memcpy(out + 50, &p->dport, 2);
		bytes = V2_BYTES6;
	}
	out[14] = 0;
	out[15] = bytes;
	return V2_HEADER + (size_t)bytes;
}

size_t
proxyproto_write(const struct proxyproto *p, uint8_t *out)
{
	const bool v4 = ip_addr_is_v4(&p->src);
	const bool known = p->known && v4 == ip_addr_is_v4(&p->dst);

	return p->version == 1 ? write_v1(p, known, v4, out)
			       : write_v2(p, known, v4, out);
}
