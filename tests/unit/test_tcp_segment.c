/* SPDX-License-Identifier: BSD-3-Clause */
/* TCP headers: every malformation of options, and what is written is read. */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/tcp/segment.h"

#define ACK 0x10
#define SYN 0x02

#define MSS    TCP_OPT_MSS
#define WSCALE TCP_OPT_WSCALE
#define SACKOK TCP_OPT_SACKOK
#define TS     TCP_OPT_TS
#define SACK   TCP_OPT_SACK

#define B1 "00000010 00000020 "
#define B2 "00000030 00000040 "
#define B3 "00000050 00000060 "
#define B4 "00000070 00000080 "

/* Options in hex and what is seen of them. */
static const struct row {
	const char *what;
	uint8_t flags;
	const char *options;
	uint8_t opts;
	uint16_t mss;
	uint8_t wscale;
	uint32_t ts_val, ts_ecr;
	uint8_t n_sack;
} rows[] = {
	{ "none", ACK, "", 0, 0, 0, 0, 0, 0 },
	{ "plain timestamp", ACK, "0101080a 01020304 05060708", TS, 0, 0,
		0x01020304, 0x05060708, 0 },
	{ "plain timestamp with a SYN", SYN, "0101080a 01020304 05060708", TS,
		0, 0, 0x01020304, 0x05060708, 0 },
	{ "timestamp, padding behind", ACK, "080a 01020304 05060708 0101", TS,
		0, 0, 0x01020304, 0x05060708, 0 },
	{ "timestamp of 9, layout of the plain one", ACK,
		"01010809 01020304 05060708", 0, 0, 0, 0, 0, 0 },
	{ "timestamp of 11 eats the next", ACK,
		"080b 01020304 05060708 09 01010101", 0, 0, 0, 0, 0, 0 },
	{ "linux SYN", SYN, "020405b4 0402080a 00000001 00000000 01030307",
		MSS | SACKOK | TS | WSCALE, 1460, 7, 1, 0, 0 },
	{ "the same without SYN", ACK,
		"020405b4 0402080a 00000001 00000000 01030307", TS, 0, 0, 1, 0,
		0 },
	{ "mss alone", SYN, "02040218", MSS, 536, 0, 0, 0, 0 },
	{ "mss of 0 says nothing", SYN, "02040000", 0, 0, 0, 0, 0, 0 },
	{ "mss of 1", SYN, "02040001", MSS, 1, 0, 0, 0, 0 },
	{ "mss twice: the first", SYN, "020405b4 02040218", MSS, 1460, 0, 0, 0,
		0 },
	{ "mss wrong, then right", SYN, "020305 020405b4 00", MSS, 1460, 0, 0,
		0, 0 },
	{ "mss too long", SYN, "0205 05b400 010101", 0, 0, 0, 0, 0, 0 },
	{ "mss of length 2", SYN, "0202 0402", SACKOK, 0, 0, 0, 0, 0 },
	{ "window scale of 14", SYN, "0303 0e 00", WSCALE, 0, 14, 0, 0, 0 },
	{ "window scale of 15 is cut", SYN, "0303 0f 00", WSCALE, 0, 14, 0, 0,
		0 },
	{ "window scale of 255 is cut", SYN, "0303 ff 00", WSCALE, 0, 14, 0, 0,
		0 },
	{ "window scale of 0", SYN, "0303 00 00", WSCALE, 0, 0, 0, 0, 0 },
	{ "window scale twice", SYN, "030302 030307 0000", WSCALE, 0, 2, 0, 0,
		0 },
	{ "window scale too short", SYN, "0302 0402", SACKOK, 0, 0, 0, 0, 0 },
	{ "window scale too long", SYN, "030402 02", 0, 0, 0, 0, 0, 0 },
	{ "window scale without SYN", ACK, "030302 00", 0, 0, 0, 0, 0, 0 },
	{ "sack permitted", SYN, "0402 0101", SACKOK, 0, 0, 0, 0, 0 },
	{ "sack permitted too long", SYN, "0403 00 01", 0, 0, 0, 0, 0, 0 },
	{ "sack permitted without SYN", ACK, "0402 0101", 0, 0, 0, 0, 0, 0 },
	{ "length 0 ends it", SYN, "0200 020405b4 0101", 0, 0, 0, 0, 0, 0 },
	{ "length 1 ends it", SYN, "0201 020405b4 0101", 0, 0, 0, 0, 0, 0 },
	{ "length 0 of an unknown kind", SYN, "fd00 020405b4 0101", 0, 0, 0, 0,
		0, 0 },
	{ "what came before a bad length stays", SYN, "020405b4 0300 0402", MSS,
		1460, 0, 0, 0, 0 },
	{ "one byte beyond the end", SYN, "01 0204 05", 0, 0, 0, 0, 0, 0 },
	{ "far beyond the end", SYN, "02ff 05b4", 0, 0, 0, 0, 0, 0 },
	{ "a kind is the last byte", SYN, "01010102", 0, 0, 0, 0, 0, 0 },
	{ "an unknown kind is the last byte", SYN, "010101fe", 0, 0, 0, 0, 0,
		0 },
	{ "END hides the rest", SYN, "00010101 020405b4", 0, 0, 0, 0, 0, 0 },
	{ "unknown kinds are stepped over", SYN,
		"fd04 0102 1e02 2203aa 020405b4 0101 01", MSS, 1460, 0, 0, 0,
		0 },
	{ "timestamp twice: the first", ACK,
		"080a 00000001 00000002 080a 00000003 00000004", TS, 0, 0, 1, 2,
		0 },
	{ "one block", ACK, "0101050a " B1, SACK, 0, 0, 0, 0, 1 },
	{ "four blocks", ACK, "01010522 " B1 B2 B3 B4, SACK, 0, 0, 0, 0, 4 },
	{ "timestamp and three", ACK,
		"0101080a 00000001 00000002 0101051a " B1 B2 B3, TS | SACK, 0,
		0, 1, 2, 3 },
	{ "blocks twice: the first", ACK, "050a " B1 "0512" B2 B3, SACK, 0, 0,
		0, 0, 1 },
	{ "no block", ACK, "0502 0101", 0, 0, 0, 0, 0, 0 },
	{ "half a block", ACK, "0506 00000010 0101", 0, 0, 0, 0, 0, 0 },
	{ "a block and a byte", ACK, "050b " B1 "00 01", 0, 0, 0, 0, 0, 0 },
	{ "a block cut by the end", ACK, "01010512 " B1, 0, 0, 0, 0, 0, 0 },
	{ "blocks with a SYN", SYN, "0101050a " B1, 0, 0, 0, 0, 0, 0 },
};

static int
nibble(char c)
{
	return c <= '9' ? c - '0' : c - 'a' + 10;
}

static uint32_t
unhex(const char *hex, uint8_t *out)
{
	uint32_t n = 0;

	for (; *hex; hex++)
		if (*hex != ' ') {
			out[n++] =
				(uint8_t)(nibble(hex[0]) << 4 | nibble(hex[1]));
			hex++;
		}
	return n;
}

/* Parse from memory of just that size, so that a step over it is seen. */
static int
parse(struct tcp_seg *s, const uint8_t *th, uint32_t have, uint32_t l4_len)
{
	uint8_t *copy = malloc(have ? have : 1);
	int err;

	memcpy(copy, th, have);
	memset(s, 0xa5, sizeof(*s));
	err = seg_parse(s, copy, have, l4_len);
	free(copy);
	return err;
}

/* A header with `options` in hex behind it; its length. */
static uint32_t
header(uint8_t *th, uint8_t flags, const char *options)
{
	uint32_t len = 20 + unhex(options, th + 20);

	unhex("9c40 0050 11223344 55667788 5000 1234 abcd 9999", th);
	while (len % 4)
		th[len++] = 0;
	ck_assert_uint_le(len, TCP_HDR_MAX);
	th[12] = (uint8_t)(len / 4 << 4);
	th[13] = flags;
	return len;
}

START_TEST(test_options)
{
	const struct row *r = &rows[_i];
	uint8_t th[80];
	uint32_t len = header(th, r->flags, r->options);
	struct tcp_seg s;

	ck_assert_int_eq(parse(&s, th, len, len + 1000), 0);
	ck_assert_uint_eq(s.seq, 0x11223344);
	ck_assert_uint_eq(s.ack, 0x55667788);
	ck_assert_uint_eq(s.wnd, 0x1234);
	ck_assert_uint_eq(s.flags, r->flags);
	ck_assert_uint_eq(s.len, 1000);
	ck_assert_uint_eq(s.hdr_len, len);
	ck_assert_msg(s.opts == r->opts, "%s: %#x", r->what, s.opts);
	ck_assert_msg(s.mss == r->mss, "%s: %u", r->what, s.mss);
	ck_assert_msg(s.wscale == r->wscale, "%s: %u", r->what, s.wscale);
	ck_assert_msg(s.ts_val == r->ts_val, "%s: %u", r->what, s.ts_val);
	ck_assert_msg(s.ts_ecr == r->ts_ecr, "%s: %u", r->what, s.ts_ecr);
	ck_assert_msg(s.n_sack == r->n_sack, "%s: %u", r->what, s.n_sack);
	for (uint32_t i = 0; i < s.n_sack; i++) {
		ck_assert_uint_eq(s.sack[i].start, 0x10 + i * 0x20);
		ck_assert_uint_eq(s.sack[i].end, 0x20 + i * 0x20);
	}
}
END_TEST

/* Lengths that contradict each other, and every length that does not. */
START_TEST(test_lengths)
{
	uint8_t th[80] = { 0 };
	struct tcp_seg s;

	for (uint32_t off = 0; off < 16; off++)
		for (uint32_t have = 0; have <= 64; have++)
			for (uint32_t l4 = 0; l4 <= 70; l4++) {
				uint32_t can = have < l4 ? have : l4;
				bool ok = off >= 5 && off * 4 <= can;

				th[12] = (uint8_t)(off << 4);
				ck_assert_int_eq(parse(&s, th, have, l4),
					ok ? 0 : -EINVAL);
				if (ok)
					ck_assert_uint_eq(s.len, l4 - off * 4);
			}
}
END_TEST

START_TEST(test_flags)
{
	struct tcp_seg s;
	uint8_t th[80];

	for (uint32_t flags = 0; flags < 256; flags++) {
		uint32_t len = header(th, (uint8_t)flags, "");

		ck_assert_int_eq(parse(&s, th, len, len + 3), 0);
		ck_assert_uint_eq(s.flags, flags & 0x3f);
		ck_assert_uint_eq(
			seg_space(&s), 3u + (flags & 1) + (flags >> 1 & 1));
	}
}
END_TEST

/* Any bytes as options: what is accepted is written and read again. */
START_TEST(test_any_options)
{
	uint8_t th[TCP_HDR_MAX], again[TCP_HDR_MAX];
	struct tcp_seg s, t;

	srand(_i + 1);
	for (uint32_t round = 0; round < 5000; round++) {
		uint32_t len = 20 + (uint32_t)(rand() % 11) * 4, n;

		for (uint32_t i = 0; i < len; i++)
			th[i] = (uint8_t)(rand() % 4 ? rand() % 12 : rand());
		th[12] = (uint8_t)(len / 4 << 4);
		ck_assert_int_eq(parse(&s, th, len, len), 0);
		ck_assert_uint_le(s.n_sack, TCP_SACK_MAX);
		ck_assert_uint_le(s.wscale, TCP_WSCALE_MAX);
		n = seg_write(&s, again, 1, 2);
		ck_assert_int_eq(parse(&t, again, n, n), 0);
		ck_assert_uint_eq(t.opts, s.opts);
		ck_assert_uint_eq(t.mss, s.mss);
		ck_assert_uint_eq(t.wscale, s.wscale);
		ck_assert_uint_eq(t.ts_val, s.ts_val);
		ck_assert_uint_eq(t.ts_ecr, s.ts_ecr);
		ck_assert_uint_eq(t.n_sack, s.n_sack);
		ck_assert_mem_eq(
			t.sack, s.sack, s.n_sack * sizeof(struct tcp_range));
	}
}
END_TEST

/* SACK blocks that fit behind the options `opts`. */
static uint32_t
blocks_at_most(uint8_t opts)
{
	uint32_t used = (opts & MSS ? 4 : 0) + (opts & WSCALE ? 4 : 0);

	used += opts & TS ? 12 : opts & SACKOK ? 4 : 0;
	return (40 - used - 4) / 8;
}

static struct tcp_seg
some_segment(uint8_t opts, uint8_t n_sack)
{
	struct tcp_seg s = { .seq = 0xfedcba98,
		.ack = 0x89abcdef,
		.wnd = 0xfffe,
		.flags = opts & (MSS | WSCALE | SACKOK) ? SYN | ACK : ACK,
		.opts = opts,
		.n_sack = n_sack };

	if (opts & MSS)
		s.mss = 8960;
	if (opts & WSCALE)
		s.wscale = 9;
	if (opts & TS) {
		s.ts_val = 0xdeadbeef;
		s.ts_ecr = 0xfeedf00d;
	}
	for (uint32_t i = 0; i < n_sack; i++)
		s.sack[i] = (struct tcp_range){ ~i * 1000, ~i * 1000 + 500 };
	return s;
}

/* All sets of options, with 0 to 4 blocks. */
START_TEST(test_round_trip)
{
	const uint8_t opts = (uint8_t)_i;
	const bool syn = opts & (MSS | WSCALE | SACKOK);

	for (uint8_t n = 0; n <= TCP_SACK_MAX; n++) {
		struct tcp_seg s = some_segment(opts, n), t;
		uint8_t th[TCP_HDR_MAX + 4];
		uint32_t fit = blocks_at_most(opts), len;

		memset(th, 0x77, sizeof(th));
		len = seg_write(&s, th, htons(443), htons(40000));
		fit = !(opts & SACK) ? 0 : n < fit ? n : fit;
		ck_assert_uint_eq(len, seg_hdr_len(&s));
		ck_assert_uint_eq(len, s.hdr_len);
		ck_assert_uint_eq(len % 4, 0);
		ck_assert_uint_eq(th[len], 0x77);
		ck_assert_mem_eq(th, "\x01\xbb\x9c\x40", 4);
		ck_assert_mem_eq(th + 16, "\0\0\0\0", 4);
		ck_assert_int_eq(parse(&t, th, len, len + 7), 0);
		if (syn && fit > 0)
			fit = 0;
		ck_assert_uint_eq(t.opts, (opts & ~SACK) | (fit ? SACK : 0));
		ck_assert_uint_eq(t.n_sack, fit);
		ck_assert_mem_eq(
			t.sack, s.sack, fit * sizeof(struct tcp_range));
		ck_assert_uint_eq(t.seq, s.seq);
		ck_assert_uint_eq(t.ack, s.ack);
		ck_assert_uint_eq(t.wnd, s.wnd);
		ck_assert_uint_eq(t.flags, s.flags);
		ck_assert_uint_eq(t.len, 7);
		ck_assert_uint_eq(t.mss, s.mss);
		ck_assert_uint_eq(t.wscale, s.wscale);
		ck_assert_uint_eq(t.ts_val, s.ts_val);
		ck_assert_uint_eq(t.ts_ecr, s.ts_ecr);
	}
}
END_TEST

/* The layouts that others take their quick paths for. */
START_TEST(test_layout)
{
	static const struct {
		uint8_t opts;
		const char *hex;
	} row[] = {
		{ TS, "0101080a deadbeef feedf00d" },
		{ MSS | SACKOK | TS | WSCALE,
			"02042300 0402080a deadbeef feedf00d 01030309" },
		{ MSS | SACKOK | WSCALE, "02042300 01010402 01030309" },
		{ MSS, "02042300" },
		{ TS | SACK,
			"0101080a deadbeef feedf00d 0101050a fffffc18 fffffe0c" },
	};

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct tcp_seg s = some_segment(row[i].opts, 1);
		uint8_t th[TCP_HDR_MAX], want[TCP_HDR_MAX];
		uint32_t n = unhex(row[i].hex, want);

		ck_assert_uint_eq(seg_write(&s, th, 1, 2), 20 + n);
		ck_assert_mem_eq(th + 20, want, n);
	}
}
END_TEST

START_TEST(test_sequence_numbers)
{
	static const uint32_t at[] = { 0, 1, 0x7fffffff, 0x80000000, 0xfffffff0,
		0xffffffff };

	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		uint32_t a = at[i], b = a + 0x7ffffffe;

		ck_assert(seq_lt(a, b) && seq_leq(a, b) && !seq_gt(a, b));
		ck_assert(seq_gt(b, a) && seq_geq(b, a) && !seq_lt(b, a));
		ck_assert(seq_leq(a, a) && seq_geq(a, a));
		ck_assert(!seq_lt(a, a) && !seq_gt(a, a));
		ck_assert_uint_eq(seq_max(a, b), b);
		ck_assert_uint_eq(seq_min(a, b), a);
	}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("tcp segment");
	TCase *tc = tcase_create("segment");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(
		tc, test_options, 0, sizeof(rows) / sizeof(rows[0]));
	tcase_add_test(tc, test_lengths);
	tcase_add_test(tc, test_flags);
	tcase_add_loop_test(tc, test_any_options, 0, 8);
	tcase_add_loop_test(tc, test_round_trip, 0, 32);
	tcase_add_test(tc, test_layout);
	tcase_add_test(tc, test_sequence_numbers);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
