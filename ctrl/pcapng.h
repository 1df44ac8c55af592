/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The blocks of a pcapng file of Ethernet frames from one interface
 * (draft-ietf-opsawg-pcapng), in the host's byte order:
 *
 *    head:    | section header | interface description |
 *    packet:  | enhanced packet: time, lengths, frame, direction |  ...
 *    totals:  | interface statistics |
 *
 * Each block has its length at both ends and is a multiple of 4 bytes long:
 *
 *     0               4               8
 *    | type          | length        | body ... options | length        |
 *
 * An option is | code, 16 bit | length, 16 bit | value, padded to 4 |.
 */
#ifndef CARRYALL_PCAPNG_H
#define CARRYALL_PCAPNG_H

#include <stdint.h>
#include <stdio.h>

/* Which way a packet went, as in epb_flags. */
enum pcapng_way {
	PCAPNG_UNKNOWN,
	PCAPNG_INBOUND,
	PCAPNG_OUTBOUND,
};

/* Longest text in a head: what is longer is cut. */
#define PCAPNG_TEXT_MAX 4095

/* The file's first two blocks. Texts may be NULL: then they are left out. */
struct pcapng_head {
	const char *application;
	const char *interface;
	const char *filter;  /* as it was given to libpcap */
	uint32_t snap_bytes; /* most bytes kept of a frame */
};

struct pcapng_packet {
	uint64_t time_ns; /* since 1970 */
	const void *frame;
	uint32_t kept;   /* frame[0..kept) goes into the file */
	uint32_t length; /* of the frame as it was */
	enum pcapng_way way;
};

/* What the last block says; times since 1970, numbers since the beginning. */
struct pcapng_totals {
	uint64_t begin_ns, end_ns;
	uint64_t received; /* those that were dropped included */
	uint64_t dropped;  /* for want of room */
	uint64_t accepted; /* by the filter */
};

/* Bytes in the file of a packet of which `kept` are kept, and of totals. */
#define PCAPNG_PACKET_BYTES(kept) (44 + (((uint64_t)(kept) + 3) & ~3ull))
#define PCAPNG_TOTALS_BYTES       88

/*
 * Append to `out`. The number of bytes, or -errno, -EIO where there is none.
 * Thread: any, one at a time.
 */
int pcapng_put_head(FILE *out, const struct pcapng_head *head);
int pcapng_put_packet(FILE *out, const struct pcapng_packet *packet);
int pcapng_put_totals(FILE *out, const struct pcapng_totals *totals);

#endif
