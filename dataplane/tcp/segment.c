/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/tcp/segment.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

/* Kinds (RFC 9293 section 3.1, 7323, 2018) and lengths of options. */
enum {
	KIND_END = 0,
	KIND_NOP = 1,
	KIND_MSS = 2,
	KIND_WSCALE = 3,
	KIND_SACKOK = 4,
	KIND_SACK = 5,
	KIND_TS = 8,
};

#define LEN_MSS    4
#define LEN_WSCALE 3
#define LEN_SACKOK 2
#define LEN_TS     10
#define LEN_BLOCK  8

/* NOP NOP TS 10: how nearly every segment of a connection begins. */
#define PLAIN_TS 0x0101080au

/* Congestion bits are not for us: without them flags compare as a whole. */
#define FLAGS 0x3f

static inline uint16_t
get16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return be16toh(v);
}

static inline uint32_t
get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return be32toh(v);
}

static inline uint8_t *
put16(uint8_t *p, uint16_t v)
{
	v = htobe16(v);
	memcpy(p, &v, sizeof(v));
	return p + sizeof(v);
}

static inline uint8_t *
put32(uint8_t *p, uint32_t v)
{
	v = htobe32(v);
	memcpy(p, &v, sizeof(v));
	return p + sizeof(v);
}

/* --- reading --- */

static void
read_blocks(struct tcp_seg *s, const uint8_t *o)
{
	s->n_sack = (uint8_t)((o[1] - 2) / LEN_BLOCK);
	o += 2;
	for (uint32_t i = 0; i < s->n_sack; i++, o += LEN_BLOCK) {
		s->sack[i].start = get32(o);
		s->sack[i].end = get32(o + 4);
	}
}

/* Which option is at `o`, whose length fits; 0: none of ours, or faulty. */
static uint8_t
option_of(const uint8_t *o, bool syn)
{
	switch (o[0]) {
	case KIND_MSS:
		return syn && o[1] == LEN_MSS && get16(o + 2) ? TCP_OPT_MSS : 0;
	case KIND_WSCALE:
		return syn && o[1] == LEN_WSCALE ? TCP_OPT_WSCALE : 0;
	case KIND_SACKOK:
		return syn && o[1] == LEN_SACKOK ? TCP_OPT_SACKOK : 0;
	case KIND_TS:
		return o[1] == LEN_TS ? TCP_OPT_TS : 0;
	case KIND_SACK:
		return !syn && o[1] > 2 && (o[1] - 2) % LEN_BLOCK == 0
			       ? TCP_OPT_SACK
			       : 0;
	default:
		return 0;
	}
}

static void
read_option(struct tcp_seg *s, const uint8_t *o)
{
	uint8_t opt = option_of(o, (s->flags & TCP_SYN) != 0);

	if (opt == 0 || s->opts & opt)
		return;
	s->opts |= opt;
	switch (opt) {
	case TCP_OPT_MSS:
		s->mss = get16(o + 2);
		break;
	case TCP_OPT_WSCALE:
		s->wscale = o[2] < TCP_WSCALE_MAX ? o[2] : TCP_WSCALE_MAX;
		break;
	case TCP_OPT_TS:
		s->ts_val = get32(o + 2);
		s->ts_ecr = get32(o + 6);
		break;
	case TCP_OPT_SACK:
		read_blocks(s, o);
		break;
	}
}

static void
read_options(struct tcp_seg *s, const uint8_t *o, const uint8_t *end)
{
	while (o < end && o[0] != KIND_END) {
		if (o[0] == KIND_NOP) {
			o++;
			continue;
		}
		if (end - o < 2 || o[1] < 2 || o[1] > end - o)
			return;
		read_option(s, o);
		o += o[1];
	}
}

int
seg_parse(struct tcp_seg *s, const uint8_t *th, uint32_t have, uint32_t l4_len)
{
	uint32_t hdr_len;

	if (have > l4_len)
		have = l4_len;
	if (have < TCP_HDR_MIN)
		return -EINVAL;
	hdr_len = (uint32_t)(th[12] >> 4) * 4;
	if (hdr_len < TCP_HDR_MIN || hdr_len > have)
		return -EINVAL;
	s->seq = get32(th + 4);
	s->ack = get32(th + 8);
	s->len = l4_len - hdr_len;
	s->wnd = get16(th + 14);
	s->flags = th[13] & FLAGS;
	s->hdr_len = (uint8_t)hdr_len;
	s->opts = s->wscale = s->n_sack = 0;
	s->mss = 0;
	s->ts_val = s->ts_ecr = 0;
	if (hdr_len == TCP_HDR_MIN)
		return 0;
	if (hdr_len == TCP_HDR_MIN + TCP_TS_LEN &&
		get32(th + TCP_HDR_MIN) == PLAIN_TS) {
		s->opts = TCP_OPT_TS;
		s->ts_val = get32(th + TCP_HDR_MIN + 4);
		s->ts_ecr = get32(th + TCP_HDR_MIN + 8);
		return 0;
	}
	read_options(s, th + TCP_HDR_MIN, th + hdr_len);
	return 0;
}

/* --- writing --- */

/*
 * Each piece is a multiple of 32 bits, so that its neighbours stay aligned:
 *
 *   MSS | SACKOK TS, or NOP NOP TS, or NOP NOP SACKOK | NOP WSCALE |
 *   NOP NOP SACK
 */
static uint32_t
fixed_len(uint8_t opts)
{
	uint32_t len = 0;

	if (opts & TCP_OPT_MSS)
		len += LEN_MSS;
	if (opts & TCP_OPT_TS)
		len += TCP_TS_LEN;
	else if (opts & TCP_OPT_SACKOK)
		len += 2 + LEN_SACKOK;
	if (opts & TCP_OPT_WSCALE)
		len += 1 + LEN_WSCALE;
	return len;
}

/* How many SACK blocks go behind `fixed` bytes of other options. */
static uint32_t
blocks_that_fit(const struct tcp_seg *s, uint32_t fixed)
{
	uint32_t n = (TCP_HDR_MAX - TCP_HDR_MIN - 4 - fixed) / LEN_BLOCK;

	if (!(s->opts & TCP_OPT_SACK))
		return 0;
	return s->n_sack < n ? s->n_sack : n;
}

uint32_t
seg_hdr_len(const struct tcp_seg *s)
{
	uint32_t fixed = fixed_len(s->opts);
	uint32_t blocks = blocks_that_fit(s, fixed);

	return TCP_HDR_MIN + fixed + (blocks ? 4 + blocks * LEN_BLOCK : 0);
}

static uint8_t *
write_fixed(const struct tcp_seg *s, uint8_t *p)
{
	const uint32_t sackok = KIND_SACKOK << 8 | LEN_SACKOK;
	const uint32_t nops = KIND_NOP << 8 | KIND_NOP;

	if (s->opts & TCP_OPT_MSS)
		p = put32(p, (uint32_t)KIND_MSS << 24 | LEN_MSS << 16 | s->mss);
	if (s->opts & TCP_OPT_TS) {
		uint32_t before = s->opts & TCP_OPT_SACKOK ? sackok : nops;

		p = put32(p, before << 16 | KIND_TS << 8 | LEN_TS);
		p = put32(p, s->ts_val);
		p = put32(p, s->ts_ecr);
	} else if (s->opts & TCP_OPT_SACKOK) {
		p = put32(p, nops << 16 | sackok);
	}
	if (s->opts & TCP_OPT_WSCALE)
		p = put32(p, (uint32_t)KIND_NOP << 24 | KIND_WSCALE << 16 |
				     LEN_WSCALE << 8 | s->wscale);
	return p;
}

static void
write_blocks(const struct tcp_seg *s, uint8_t *p, uint32_t n)
{
	*p++ = KIND_NOP;
	*p++ = KIND_NOP;
	*p++ = KIND_SACK;
	*p++ = (uint8_t)(2 + n * LEN_BLOCK);
	for (uint32_t i = 0; i < n; i++) {
		p = put32(p, s->sack[i].start);
		p = put32(p, s->sack[i].end);
	}
}

uint32_t
seg_write(struct tcp_seg *s, uint8_t *th, uint16_t sport, uint16_t dport)
{
	uint32_t len = seg_hdr_len(s), blocks;
	uint8_t *p;

	memcpy(th, &sport, sizeof(sport));
	memcpy(th + 2, &dport, sizeof(dport));
	put32(th + 4, s->seq);
	put32(th + 8, s->ack);
	th[12] = (uint8_t)(len / 4 << 4);
	th[13] = s->flags & FLAGS;
	put16(th + 14, s->wnd);
	memset(th + 16, 0, 4);
	s->hdr_len = (uint8_t)len;
	if (len == TCP_HDR_MIN)
		return len;
	p = write_fixed(s, th + TCP_HDR_MIN);
	blocks = blocks_that_fit(s, (uint32_t)(p - th) - TCP_HDR_MIN);
	if (blocks > 0)
		write_blocks(s, p, blocks);
	return len;
}
