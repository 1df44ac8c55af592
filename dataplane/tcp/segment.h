/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A TCP segment as it is on the wire, and the arithmetic of sequence numbers.
 *
 *    0                   1                   2                   3
 *    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *   +-------------------------------+-------------------------------+
 *   |          Source Port          |       Destination Port        |
 *   |                        Sequence Number                        |
 *   |                    Acknowledgment Number                      |
 *   |  Data |       |C|E|U|A|P|R|S|F|                               |
 *   | Offset| Rsrvd |W|C|R|C|S|S|Y|I|            Window             |
 *   |       |       |R|E|G|K|H|T|N|N|                               |
 *   |           Checksum            |         Urgent Pointer        |
 *   |                           [Options]                           |
 *   +---------------------------------------------------------------+
 *                                              RFC 9293 section 3.1
 *
 * Works on bytes alone: tested and fuzzed without an EAL.
 */
#ifndef CARRYALL_TCP_SEGMENT_H
#define CARRYALL_TCP_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_PSH 0x08
#define TCP_ACK 0x10
#define TCP_URG 0x20

#define TCP_HDR_MIN      20
#define TCP_HDR_MAX      60
#define TCP_SACK_MAX     4  /* blocks in one segment */
#define TCP_WSCALE_MAX   14 /* RFC 7323 section 2.3 */
#define TCP_MSS_DEFAULT4 536
#define TCP_MSS_DEFAULT6 1220
#define TCP_TS_LEN       12 /* the option with its padding */

/* Sequence numbers wrap: a is before b when the difference is negative. */
static inline bool
seq_lt(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

static inline bool
seq_leq(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) <= 0;
}

static inline bool
seq_gt(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) > 0;
}

static inline bool
seq_geq(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) >= 0;
}

static inline uint32_t
seq_max(uint32_t a, uint32_t b)
{
	return seq_gt(a, b) ? a : b;
}

static inline uint32_t
seq_min(uint32_t a, uint32_t b)
{
	return seq_lt(a, b) ? a : b;
}

/* A range of sequence space: [start, end). */
struct tcp_range {
	uint32_t start, end;
};

#define TCP_OPT_MSS    0x01
#define TCP_OPT_WSCALE 0x02
#define TCP_OPT_SACKOK 0x04
#define TCP_OPT_TS     0x08
#define TCP_OPT_SACK   0x10

/* A segment's header in host order. `opts` says which options it has. */
struct tcp_seg {
	uint32_t seq, ack;
	uint32_t len;    /* of the payload, bytes */
	uint16_t wnd;    /* as on the wire, not scaled */
	uint8_t flags;   /* TCP_FIN ... */
	uint8_t hdr_len; /* with options */
	uint8_t opts;    /* TCP_OPT_* */
	uint8_t wscale;  /* cut to TCP_WSCALE_MAX */
	uint8_t n_sack;
	uint16_t mss;
	uint32_t ts_val, ts_ecr;
	struct tcp_range sack[TCP_SACK_MAX];
};

/* Sequence space that it takes: payload, SYN and FIN. */
static inline uint32_t
seg_space(const struct tcp_seg *s)
{
	return s->len + ((s->flags & TCP_SYN) != 0) +
	       ((s->flags & TCP_FIN) != 0);
}

/*
 * Read the header at th[0..have) of a segment of `l4_len` bytes, header and
 * payload, of which the first `have` can be read. 0, or -EINVAL if the header
 * is cut short or contradicts itself. Options are read as far as they make
 * sense: a faulty length ends them without error, an option of the wrong size
 * is not there, nor an MSS of 0; a repeated one counts the first time. MSS,
 * window scale and SACK-permitted are read only with a SYN, SACK only without
 * (RFC 9293 section 3.1, 7323, 2018). What no option gives is 0, s->sack[]
 * aside. Flags but TCP_FIN .. TCP_URG are left out. Ports are the caller's.
 * Thread: any.
 */
int seg_parse(
	struct tcp_seg *s, const uint8_t *th, uint32_t have, uint32_t l4_len);

/*
 * Write the header of `s` to th[0..TCP_HDR_MAX): ports (network order),
 * numbers, flags, window, options by s->opts (SACK blocks: as many of
 * s->n_sack as there is room for), padded with NOP/END to 32 bits, urgent
 * pointer and checksum zero. Returns its length and sets s->hdr_len.
 */
uint32_t seg_write(
	struct tcp_seg *s, uint8_t *th, uint16_t sport, uint16_t dport);

/* The length that seg_write() would return. */
uint32_t seg_hdr_len(const struct tcp_seg *s);

#endif
