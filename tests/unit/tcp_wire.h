/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TCP on the wire, for tests: frames made from a description and read back
 * into one, with code that shares nothing with what is tested but the struct
 * that holds a header. Bytes alone: no mbuf, no EAL, no test library, so that
 * unit tests and fuzzers use it alike.
 */
#ifndef TCP_WIRE_H
#define TCP_WIRE_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "dataplane/addr.h"
#include "dataplane/tcp/segment.h"

#define WIRE_MAYBE __attribute__((unused)) static
#define WIRE_L3    14
#define WIRE_MAX   65600 /* bytes of a frame: a whole IP packet's */

/* --- numbers that a seed repeats --- */

/* SplitMix64 (Steele et al. 2014). */
WIRE_MAYBE uint64_t
wire_random(uint64_t *s)
{
	uint64_t z = *s += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

/* One of [0, n); 0 for n = 0. */
WIRE_MAYBE uint32_t
wire_below(uint64_t *s, uint32_t n)
{
	return n ? (uint32_t)((wire_random(s) >> 32) * n >> 32) : 0;
}

/* One of [lo, hi]. */
WIRE_MAYBE uint32_t
wire_between(uint64_t *s, uint32_t lo, uint32_t hi)
{
	return lo + wire_below(s, hi - lo + 1);
}

/* Byte `at` of stream `id`: a shift by any distance is seen. */
WIRE_MAYBE uint8_t
wire_byte(uint32_t id, uint32_t at)
{
	uint32_t x = (at >> 2) ^ id * 0x9e3779b1u;

	x = (x ^ x >> 16) * 0x7feb352du;
	x = (x ^ x >> 15) * 0x846ca68bu;
	return (uint8_t)(x >> (8 * (at & 3)));
}

WIRE_MAYBE void
wire_fill(uint8_t *p, uint32_t n, uint32_t id, uint32_t at)
{
	for (uint32_t i = 0; i < n; i++)
		p[i] = wire_byte(id, at + i);
}

/* How many bytes of p[0..n) are those of the stream from `at` on. */
WIRE_MAYBE uint32_t
wire_same(const uint8_t *p, uint32_t n, uint32_t id, uint32_t at)
{
	uint32_t i = 0;

	while (i < n && p[i] == wire_byte(id, at + i))
		i++;
	return i;
}

/* --- bytes --- */

WIRE_MAYBE void
wire_put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

WIRE_MAYBE void
wire_put32(uint8_t *p, uint32_t v)
{
	wire_put16(p, v >> 16);
	wire_put16(p + 2, v);
}

WIRE_MAYBE uint16_t
wire_get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

WIRE_MAYBE uint32_t
wire_get32(const uint8_t *p)
{
	return (uint32_t)wire_get16(p) << 16 | wire_get16(p + 2);
}

/* The one's complement sum of `sum` and p[0..n) (RFC 1071). */
WIRE_MAYBE uint16_t
wire_sum(uint32_t sum, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* Sum of the pseudo header for `len` bytes of `proto` under the header ip. */
WIRE_MAYBE uint16_t
wire_pseudo(const uint8_t *ip, uint32_t len, uint8_t proto)
{
	uint32_t sum = proto + (len >> 16) + (len & 0xffff);

	if (ip[0] >> 4 == 4)
		return wire_sum(sum, ip + 12, 8);
	return wire_sum(sum, ip + 8, 32);
}

/* --- frames --- */

struct wire {
	struct ip_addr src, dst;
	uint8_t smac[6], dmac[6];
	uint16_t sport, dport; /* host order, as all here */
	uint16_t urgent;
	uint8_t ttl; /* 0: 64 */
	bool df;     /* IPv4 */
	struct tcp_seg seg;
	const uint8_t *raw_opts; /* instead of seg.opts, */
	uint8_t n_raw;           /* a multiple of 4 bytes */

	/* of a frame that was read: */
	const uint8_t *payload;
	uint32_t ip_len; /* bytes of the IP packet */
	uint16_t l4;     /* offset of the TCP header */
};

WIRE_MAYBE bool
wire_is_v4(const struct wire *w)
{
	return ip_addr_is_v4(&w->src);
}

static inline size_t
wire_sack_opt(const struct tcp_seg *s, uint8_t *p)
{
	p[0] = p[1] = 1;
	p[2] = 5;
	p[3] = (uint8_t)(2 + 8 * s->n_sack);
	for (int i = 0; i < s->n_sack; i++) {
		wire_put32(p + 4 + 8 * i, s->sack[i].start);
		wire_put32(p + 8 + 8 * i, s->sack[i].end);
	}
	return 4 + 8u * s->n_sack;
}

static inline size_t
wire_syn_opts(const struct tcp_seg *s, uint8_t *p)
{
	size_t n = 0;

	if (s->opts & TCP_OPT_MSS) {
		wire_put16(p, 0x0204);
		wire_put16(p + 2, s->mss);
		n += 4;
	}
	if (s->opts & TCP_OPT_WSCALE) {
		wire_put32(p + n, 0x01030300u | s->wscale);
		n += 4;
	}
	if (s->opts & TCP_OPT_SACKOK) {
		wire_put32(p + n, 0x01010402);
		n += 4;
	}
	return n;
}

static inline size_t
wire_opts(const struct wire *w, uint8_t *p)
{
	const struct tcp_seg *s = &w->seg;
	size_t n;

	if (w->raw_opts != NULL) {
		memcpy(p, w->raw_opts, w->n_raw);
		return w->n_raw;
	}
	n = wire_syn_opts(s, p);
	if (s->opts & TCP_OPT_TS) {
		wire_put32(p + n, 0x0101080a);
		wire_put32(p + n + 4, s->ts_val);
		wire_put32(p + n + 8, s->ts_ecr);
		n += 12;
	}
	if (s->opts & TCP_OPT_SACK)
		n += wire_sack_opt(s, p + n);
	return n;
}

/* An IP header at `ip` for `len` bytes of `proto`; its length. */
WIRE_MAYBE size_t
wire_ip(const struct wire *w, uint8_t *ip, size_t len, uint8_t proto)
{
	uint8_t ttl = w->ttl ? w->ttl : 64;

	memset(ip, 0, 40);
	if (!wire_is_v4(w)) {
		ip[0] = 0x60;
		wire_put16(ip + 4, (uint32_t)len);
		ip[6] = proto;
		ip[7] = ttl;
		memcpy(ip + 8, &w->src, 16);
		memcpy(ip + 24, &w->dst, 16);
		return 40;
	}
	ip[0] = 0x45;
	wire_put16(ip + 2, (uint32_t)(20 + len));
	wire_put16(ip + 6, w->df ? 0x4000 : 0);
	ip[8] = ttl;
	ip[9] = proto;
	memcpy(ip + 12, &w->src.w[3], 4);
	memcpy(ip + 16, &w->dst.w[3], 4);
	wire_put16(ip + 10, (uint16_t)~wire_sum(0, ip, 20));
	return 20;
}

WIRE_MAYBE void
wire_ether(const struct wire *w, uint8_t *f)
{
	memcpy(f, w->dmac, 6);
	memcpy(f + 6, w->smac, 6);
	wire_put16(f + 12, wire_is_v4(w) ? 0x0800 : 0x86dd);
}

/*
 * The frame that `w` describes with payload[0..w->seg.len) at f[0..); its
 * length.
 */
WIRE_MAYBE size_t
wire_make(const struct wire *w, const uint8_t *payload, uint8_t *f)
{
	uint8_t *ip = f + WIRE_L3, *th = ip + (wire_is_v4(w) ? 20 : 40);
	size_t hdr = 20 + wire_opts(w, th + 20), len = hdr + w->seg.len;

	wire_ether(w, f);
	wire_ip(w, ip, len, IPPROTO_TCP);
	wire_put16(th, w->sport);
	wire_put16(th + 2, w->dport);
	wire_put32(th + 4, w->seg.seq);
	wire_put32(th + 8, w->seg.ack);
	th[12] = (uint8_t)(hdr / 4 << 4);
	th[13] = w->seg.flags;
	wire_put16(th + 14, w->seg.wnd);
	wire_put16(th + 16, 0);
	wire_put16(th + 18, w->urgent);
	if (w->seg.len)
		memcpy(th + hdr, payload, w->seg.len);
	wire_put16(th + 16,
		(uint16_t)~wire_sum(
			wire_pseudo(ip, (uint32_t)len, IPPROTO_TCP), th, len));
	return (size_t)(th - f) + len;
}

static inline void
wire_read_opt(struct tcp_seg *s, const uint8_t *o)
{
	switch (o[0] << 8 | o[1]) {
	case 0x0204:
		s->opts |= TCP_OPT_MSS;
		s->mss = wire_get16(o + 2);
		break;
	case 0x0303:
		s->opts |= TCP_OPT_WSCALE;
		s->wscale = o[2];
		break;
	case 0x0402:
		s->opts |= TCP_OPT_SACKOK;
		break;
	case 0x080a:
		s->opts |= TCP_OPT_TS;
		s->ts_val = wire_get32(o + 2);
		s->ts_ecr = wire_get32(o + 6);
		break;
	}
	if (o[0] != 5)
		return;
	s->opts |= TCP_OPT_SACK;
	s->n_sack = (uint8_t)(o[1] / 8);
	for (int i = 0; i < s->n_sack; i++) {
		s->sack[i].start = wire_get32(o + 2 + 8 * i);
		s->sack[i].end = wire_get32(o + 6 + 8 * i);
	}
}

/* Stricter than a receiver may be: a stack of ours sends none of the rest. */
static inline const char *
wire_read_opts(struct tcp_seg *s, const uint8_t *o, size_t n)
{
	while (n > 0 && o[0] != 0) {
		size_t len = o[0] == 1 ? 1 : n > 1 ? o[1] : 0;

		if (len == 0 || len > n || (o[0] != 1 && len < 2))
			return "an option runs over the header's end";
		if (o[0] == 5 && (len < 10 || len > 34 || len % 8 != 2))
			return "a SACK option of a wrong length";
		if (o[0] != 1)
			wire_read_opt(s, o);
		o += len;
		n -= len;
	}
	for (; n > 0; n--)
		if (*o++ != 0)
			return "bytes after the end of the options";
	return NULL;
}

static inline const char *
wire_read_tcp(struct wire *w, const uint8_t *ip, const uint8_t *th, size_t n)
{
	size_t hdr = n >= 20 ? (size_t)(th[12] >> 4) * 4 : 0;

	if (hdr < 20 || hdr > n)
		return "TCP header cut short";
	if (wire_sum(wire_pseudo(ip, (uint32_t)n, IPPROTO_TCP), th, n) !=
		0xffff)
		return "TCP checksum";
	w->sport = wire_get16(th);
	w->dport = wire_get16(th + 2);
	w->seg.seq = wire_get32(th + 4);
	w->seg.ack = wire_get32(th + 8);
	w->seg.hdr_len = (uint8_t)hdr;
	w->seg.flags = th[13];
	w->seg.wnd = wire_get16(th + 14);
	w->urgent = wire_get16(th + 18);
	w->seg.len = (uint32_t)(n - hdr);
	w->payload = th + hdr;
	if (th[12] & 0x0f)
		return "reserved bits are set";
	return wire_read_opts(&w->seg, th + 20, hdr - 20);
}

static inline const char *
wire_read_v4(struct wire *w, const uint8_t *ip, size_t n)
{
	if (n < 20 || ip[0] != 0x45)
		return "IPv4 header";
	if (wire_get16(ip + 2) != n)
		return "IPv4 length";
	if (wire_sum(0, ip, 20) != 0xffff)
		return "IPv4 checksum";
	if (ip[8] == 0 || ip[9] != IPPROTO_TCP)
		return "IPv4 TTL or protocol";
	if (wire_get16(ip + 6) & 0xbfff)
		return "a fragment";
	w->df = wire_get16(ip + 6) >> 14 & 1;
	w->ttl = ip[8];
	w->src = ip_addr_from_v4(0);
	w->dst = ip_addr_from_v4(0);
	memcpy(&w->src.w[3], ip + 12, 4);
	memcpy(&w->dst.w[3], ip + 16, 4);
	return wire_read_tcp(w, ip, ip + 20, n - 20);
}

/*
 * Read the frame f[0..n) into `w`: NULL, or what is wrong with it. Checksums
 * and lengths must be right to the byte, padding there may be none.
 */
WIRE_MAYBE const char *
wire_read(struct wire *w, const uint8_t *f, size_t n)
{
	const uint8_t *ip = f + WIRE_L3;

	memset(w, 0, sizeof(*w));
	if (n < WIRE_L3 + 20)
		return "too short";
	memcpy(w->dmac, f, 6);
	memcpy(w->smac, f + 6, 6);
	n -= WIRE_L3;
	w->ip_len = (uint32_t)n;
	w->l4 = WIRE_L3 + (ip[0] >> 4 == 4 ? 20 : 40);
	if (wire_get16(f + 12) == 0x0800)
		return wire_read_v4(w, ip, n);
	if (wire_get16(f + 12) != 0x86dd || ip[0] >> 4 != 6 || n < 40)
		return "neither IPv4 nor IPv6";
	if (wire_get16(ip + 4) != n - 40)
		return "IPv6 length";
	if (ip[6] != IPPROTO_TCP || ip[7] == 0)
		return "IPv6 next header or hop limit";
	w->ttl = ip[7];
	memcpy(&w->src, ip + 8, 16);
	memcpy(&w->dst, ip + 24, 16);
	return wire_read_tcp(w, ip, ip + 40, n - 40);
}

/*
 * An ICMP error from `from` (its addresses and MACs; dst is who has sent the
 * packet) that quotes `quote` bytes of the IP packet `ip`, at f[0..). `rest`:
 * the word after the checksum (an MTU). Returns its length.
 */
WIRE_MAYBE size_t
wire_icmp(const struct wire *from, uint8_t type, uint8_t code, uint32_t rest,
	const uint8_t *ip, size_t quote, uint8_t *f)
{
	bool v4 = wire_is_v4(from);
	uint8_t *at = f + WIRE_L3, *ic = at + (v4 ? 20 : 40);
	uint8_t proto = v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
	size_t len = 8 + quote;
	uint32_t sum;

	wire_ether(from, f);
	wire_ip(from, at, len, proto);
	ic[0] = type;
	ic[1] = code;
	wire_put16(ic + 2, 0);
	wire_put32(ic + 4, rest);
	memcpy(ic + 8, ip, quote);
	sum = v4 ? 0 : wire_pseudo(at, (uint32_t)len, proto);
	wire_put16(ic + 2, (uint16_t)~wire_sum(sum, ic, len));
	return (size_t)(ic - f) + len;
}

/* "SA seq+len ack win": for people. Returns `buf`. */
WIRE_MAYBE const char *
wire_text(const struct tcp_seg *s, uint32_t isn, uint32_t peer_isn, char *buf,
	size_t n)
{
	static const char letter[] = "FSRPAUEC";
	char flags[9];
	int at = 0, len;

	for (int i = 0; i < 8; i++)
		if (s->flags >> i & 1)
			flags[at++] = letter[i];
	flags[at] = '\0';
	len = snprintf(buf, n, "%s seq %u len %u ack %u wnd %u", flags,
		s->seq - isn, s->len,
		s->flags & TCP_ACK ? s->ack - peer_isn : 0, s->wnd);
	if (s->opts & TCP_OPT_TS)
		len += snprintf(buf + len, n - (size_t)len, " ts %u/%u",
			s->ts_val, s->ts_ecr);
	for (int i = 0; i < s->n_sack; i++)
		len += snprintf(buf + len, n - (size_t)len, " sack %u-%u",
			s->sack[i].start - peer_isn, s->sack[i].end - peer_isn);
	return buf;
}

#endif
