/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The PROXY protocol: headers good and bad, each byte by byte, in memory of
 * just its size; and what is written, read again.
 */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <isa-l/crc.h>

#include "dataplane/grant.h"
#include "nf/proxy/proxyproto.h"

static struct proxyproto out;
static const char *why;

static ssize_t
parse(const void *data, size_t len, uint8_t accept)
{
	void *copy = malloc(len > 0 ? len : 1);
	ssize_t n;

	memcpy(copy, data, len);
	why = NULL;
	n = proxyproto_parse(copy, len, accept, &out, &why);
	free(copy);
	return n;
}

/*
 * The outcome of data[0..len), given as they grow: -EAGAIN until it is clear,
 * and then the same for whatever follows.
 */
static ssize_t
judge(const void *data, size_t len, uint8_t accept)
{
	ssize_t n = -EAGAIN, more;

	for (size_t have = 0; have <= len; have++) {
		more = parse(data, have, accept);
		ck_assert_msg(
			n == -EAGAIN || n == more, "%zd, then %zd", n, more);
		n = more;
		ck_assert((n == -EBADMSG) == (why != NULL));
	}
	return n;
}

/* --- version 1 -------------------------------------------------------------
 */

#define LONG                                                     \
	"PROXY UNKNOWN 0123456789012345678901234567890123456789" \
	"01234567890123456789012345678901234567890123456789"

static const struct {
	const char *line;
	bool known;
	const char *src, *dst;
	uint16_t sport, dport;
} lines[] = {
	{ "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n", true,
		"::ffff:192.0.2.1", "::ffff:198.51.100.1", 56324, 443 },
	{ "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", true,
		"::ffff:255.255.255.255", "::ffff:255.255.255.255", 65535,
		65535 },
	{ "PROXY TCP6 2001:db8::1 ::1 1 0\r\n", true, "2001:db8::1", "::1", 1,
		0 },
	{ "PROXY TCP6 ffff:f:f:f:f:f:f:ffff ffff:f:f:f:f:f:f:ffff 65535 "
	  "65535\r\n",
		true, "ffff:f:f:f:f:f:f:ffff", "ffff:f:f:f:f:f:f:ffff", 65535,
		65535 },
	{ "PROXY UNKNOWN\r\n", false, NULL, NULL, 0, 0 },
	{ "PROXY UNKNOWN whatever that is\r\n", false, NULL, NULL, 0, 0 },
	{ LONG "0\r\n", false, NULL, NULL, 0, 0 }, /* 107 bytes */
};

static void
check_addr(const struct ip_addr *a, const char *want)
{
	struct ip_addr b;

	ck_assert_int_eq(inet_pton(AF_INET6, want, &b), 1);
	ck_assert(ip_addr_eq(a, &b));
}

START_TEST(test_lines)
{
	const char *line = lines[_i].line;
	const size_t len = strlen(line);

	ck_assert_int_eq(judge(line, len, GRANT_PROXY_ANY), len);
	ck_assert_int_eq(judge(line, len, GRANT_PROXY_V1), len);
	ck_assert_uint_eq(out.version, 1);
	ck_assert_int_eq(out.known, lines[_i].known);
	if (!out.known)
		return;
	check_addr(&out.src, lines[_i].src);
	check_addr(&out.dst, lines[_i].dst);
	ck_assert_uint_eq(ntohs(out.sport), lines[_i].sport);
	ck_assert_uint_eq(ntohs(out.dport), lines[_i].dport);
}
END_TEST

static const char *const bad_lines[] = {
	"GET / HTTP/1.1\r\n",
	"PROXYTCP4 1.2.3.4 1.2.3.4 1 2\r\n",
	"proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
	" PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
	"PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
	"PROXY TCP 1.2.3.4 1.2.3.4 1 2\r\n",
	"PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n",
	"PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n",
	"PROXY UNKNOWNX\r\n",
	"PROXY unknown\r\n",
	"PROXY \r\n",
	"PROXY TCP4\r\n",
	"PROXY TCP4 1.2.3.4\r\n",
	"PROXY TCP4 1.2.3.4 1.2.3.4\r\n",
	"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
	"PROXY TCP4 1.2.3.4 1.2.3.4 1 \r\n",
	"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n",
	"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
	"PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n",
	"PROXY TCP4 1.2.3.4\t1.2.3.4 1 2\r\n",
	"PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n",
	"PROXY TCP4 1.2.3.4 1.2.3.4 100000 2\r\n",
	"PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",
	"PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n",
	"PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n",
	"PROXY TCP4 1.2.3.4 1.2.3.4 1a 2\r\n",
	"PROXY TCP4 1.2.3.4 1.2.3.4 0x1 2\r\n",
	"PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n",
	"PROXY TCP4 1.2.3.256 1.2.3.4 1 2\r\n",
	"PROXY TCP4 01.2.3.4 1.2.3.4 1 2\r\n",
	"PROXY TCP4 ::1 ::1 1 2\r\n",
	"PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
	"PROXY TCP6 ::ffff:1.2.3.4 ::1 1 2\r\n",
	"PROXY TCP6 ::1%eth0 ::1 1 2\r\n",
	"PROXY TCP6 [::1] ::1 1 2\r\n",
	"PROXY TCP6 :::1 ::1 1 2\r\n",
	"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n",
	"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\rX",
	"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\r\n",
	"PROXY TCP4 1.2.3.4\n1.2.3.4 1 2\r\n",
	LONG "01\r\n",
	LONG "01234567890",
};

START_TEST(test_bad_lines)
{
	const char *line = bad_lines[_i];

	ck_assert_msg(judge(line, strlen(line), GRANT_PROXY_ANY) == -EBADMSG,
		"%s", line);
}
END_TEST

/* --- version 2 -------------------------------------------------------------
 */

#define MAGIC "\r\n\r\n\0\r\nQUIT\n"
#define ENDS4 "\xc0\x00\x02\x01\xc6\x33\x64\x01\xdc\x04\x01\xbb"
#define ENDS6                                                            \
	"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0" \
	"\0\0\0\0\0\x01\xdc\x04\x01\xbb"
#define V2(t)                       \
	{                           \
		t, sizeof(t) - 1, 0 \
	}

struct bytes {
	const char *data;
	size_t len;
	bool known;
};

static const struct bytes headers[] = {
	{ MAGIC "\x21\x11\0\x0c" ENDS4, 28, true },
	{ MAGIC "\x21\x21\0\x24" ENDS6, 52, true },
	{ MAGIC "\x20\0\0\0", 16, false },
	{ MAGIC "\x20\x11\0\x0c" ENDS4, 28, false },
	{ MAGIC "\x20\xff\0\x03\xff\xff\xff", 19, false },
	{ MAGIC "\x21\0\0\0", 16, false },
	{ MAGIC "\x21\0\0\x03"
		"abc",
		19, false },
	{ MAGIC "\x21\x11\0\x11" ENDS4 "\x01\0\x02h2", 33, true },
	{ MAGIC "\x21\x11\0\x12" ENDS4 "\x04\0\0\xee\0\0", 34, true },
};

START_TEST(test_headers)
{
	const struct bytes *h = &headers[_i];

	ck_assert_int_eq(judge(h->data, h->len, GRANT_PROXY_ANY), h->len);
	ck_assert_int_eq(judge(h->data, h->len, GRANT_PROXY_V2), h->len);
	ck_assert_uint_eq(out.version, 2);
	ck_assert_int_eq(out.known, h->known);
	if (!out.known)
		return;
	ck_assert_uint_eq(ntohs(out.sport), 56324);
	ck_assert_uint_eq(ntohs(out.dport), 443);
	if (h->data[13] == 0x11) {
		check_addr(&out.src, "::ffff:192.0.2.1");
		check_addr(&out.dst, "::ffff:198.51.100.1");
	} else {
		check_addr(&out.src, "2001:db8::1");
		check_addr(&out.dst, "::1");
	}
}
END_TEST

static const struct bytes bad_headers[] = {
	V2("\r\n\r\n\0\r\nQUIX\n\x21\x11\0\x0c" ENDS4),
	V2("\r\n\r\nGET"),
	V2(MAGIC "\x11\x11\0\x0c" ENDS4),
	V2(MAGIC "\x31\x11\0\x0c" ENDS4),
	V2(MAGIC "\x22\x11\0\x0c" ENDS4),
	V2(MAGIC "\x21\x12\0\x0c" ENDS4),
	V2(MAGIC "\x21\x31\0\x0c" ENDS4),
	V2(MAGIC "\x21\x10\0\x0c" ENDS4),
	V2(MAGIC "\x21\x11\0\x0b" ENDS4),
	V2(MAGIC "\x21\x11\0\0"),
	V2(MAGIC "\x21\x21\0\x0c" ENDS4),
	V2(MAGIC "\x21\x11\0\x0d" ENDS4 "\x01"),
	V2(MAGIC "\x21\x11\0\x0e" ENDS4 "\x01\0"),
	V2(MAGIC "\x21\x11\0\x0f" ENDS4 "\x01\0\x01"),
	V2(MAGIC "\x21\x11\0\x11" ENDS4 "\x01\0\x03h2"),
	V2(MAGIC "\x21\x11\0\x11" ENDS4 "\x01\xff\xffh2"),
	V2(MAGIC "\x21\x11\xff\xff"),
	V2(MAGIC "\x21\x11\0\x13" ENDS4 "\x03\0\x04\0\0\0\0"),
	V2(MAGIC "\x21\x11\0\x12" ENDS4 "\x03\0\x03\0\0\0"),
};

START_TEST(test_bad_headers)
{
	ck_assert_int_eq(judge(bad_headers[_i].data, bad_headers[_i].len,
				 GRANT_PROXY_ANY),
		-EBADMSG);
}
END_TEST

/* A CRC that is right holds, and with any one bit changed it does not. */
START_TEST(test_crc)
{
	char h[] =
		MAGIC "\x21\x11\0\x18" ENDS4 "\x01\0\x02h2\x03\0\x04\0\0\0\0";
	const size_t len = sizeof(h) - 1;
	uint32_t crc;

	crc = htonl(~crc32_iscsi((unsigned char *)h, (int)len, 0xffffffff));
	memcpy(h + len - 4, &crc, 4);
	ck_assert_int_eq(judge(h, len, GRANT_PROXY_V2), len);
	for (size_t bit = 16 * 8; bit < len * 8; bit++) {
		const size_t byte = bit / 8;
		ssize_t n;

		h[byte] ^= (char)(1 << bit % 8);
		n = parse(h, len, GRANT_PROXY_V2);
		h[byte] ^= (char)(1 << bit % 8);
		if (byte == 33) /* no CRC any more */
			ck_assert_int_eq(n, len);
		else if (byte != 29 && byte != 30) /* another TLV's length */
			ck_assert_int_eq(n, -EBADMSG);
	}
}
END_TEST

START_TEST(test_tls)
{
	static const char on[] =
		MAGIC "\x21\x11\0\x14" ENDS4 "\x20\0\x05\x01\0\0\0\0";
	static const char off[] =
		MAGIC "\x21\x11\0\x14" ENDS4 "\x20\0\x05\x02\0\0\0\0";

	ck_assert_int_eq(parse(on, sizeof(on) - 1, GRANT_PROXY_V2), 36);
	ck_assert(out.tls);
	ck_assert_int_eq(parse(off, sizeof(off) - 1, GRANT_PROXY_V2), 36);
	ck_assert(!out.tls);
}
END_TEST

/* A service that expects one version takes no other. */
START_TEST(test_accept)
{
	const char *line = lines[0].line;

	ck_assert_int_eq(judge(line, strlen(line), GRANT_PROXY_V2), -EBADMSG);
	ck_assert_int_eq(judge(headers[0].data, headers[0].len, GRANT_PROXY_V1),
		-EBADMSG);
}
END_TEST

/* --- writing ---------------------------------------------------------------
 */

static struct ip_addr
addr(const char *text)
{
	struct ip_addr a;

	ck_assert_int_eq(inet_pton(AF_INET6, text, &a), 1);
	return a;
}

static const struct {
	const char *src, *dst;
	bool known, want;
	const char *line;
} written[] = {
	{ "::ffff:192.0.2.1", "::ffff:198.51.100.1", true, true,
		"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n" },
	{ "2001:db8::1", "::1", true, true,
		"PROXY TCP6 2001:db8::1 ::1 56324 443\r\n" },
	{ "2001:db8::1", "::ffff:192.0.2.1", true, false, "PROXY UNKNOWN\r\n" },
	{ "::1", "::1", false, false, "PROXY UNKNOWN\r\n" },
};

START_TEST(test_write)
{
	struct proxyproto p = { .known = written[_i].known,
		.src = addr(written[_i].src),
		.dst = addr(written[_i].dst),
		.sport = htons(56324),
		.dport = htons(443) };
	uint8_t bytes[PROXYPROTO_OUT];
	size_t n;

	for (p.version = 1; p.version <= 2; p.version++) {
		n = proxyproto_write(&p, bytes);
		ck_assert_uint_le(n, sizeof(bytes));
		if (p.version == 1) {
			ck_assert_uint_eq(n, strlen(written[_i].line));
			ck_assert_mem_eq(bytes, written[_i].line, n);
		}
		ck_assert_int_eq(judge(bytes, n, GRANT_PROXY_ANY), n);
		ck_assert_uint_eq(out.version, p.version);
		ck_assert_int_eq(out.known, written[_i].want);
		if (!out.known)
			continue;
		ck_assert(ip_addr_eq(&out.src, &p.src));
		ck_assert(ip_addr_eq(&out.dst, &p.dst));
		ck_assert_uint_eq(out.sport, p.sport);
		ck_assert_uint_eq(out.dport, p.dport);
	}
}
END_TEST

#define ROWS(t) (int)(sizeof(t) / sizeof((t)[0]))

int
main(void)
{
	Suite *s = suite_create("proxyproto");
	TCase *tc = tcase_create("headers");
	SRunner *sr;
	int failed;

	tcase_add_loop_test(tc, test_lines, 0, ROWS(lines));
	tcase_add_loop_test(tc, test_bad_lines, 0, ROWS(bad_lines));
	tcase_add_loop_test(tc, test_headers, 0, ROWS(headers));
	tcase_add_loop_test(tc, test_bad_headers, 0, ROWS(bad_headers));
	tcase_add_test(tc, test_crc);
	tcase_add_test(tc, test_tls);
	tcase_add_test(tc, test_accept);
	tcase_add_loop_test(tc, test_write, 0, ROWS(written));
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
