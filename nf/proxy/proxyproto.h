/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The PROXY protocol, both versions: who the client is, told by the one that
 * has relayed its connection, ahead of the first byte.
 *
 * Version 1 is a line:
 *
 *   PROXY TCP4 192.0.2.1 198.51.100.1 56324 443 CR LF      (107 bytes at most)
 *
 * Version 2 is binary; integers in network order:
 *
 *    0                   12      13       14      16
 *   +-------------------+-------+--------+-------+-----------+----------+
 *   | 0d0a0d0a000d0a51  | 0010  | family | length| addresses | TLVs ... |
 *   | 5549540a          | + cmd | + proto|       | 12 or 36  |          |
 *   +-------------------+-------+--------+-------+-----------+----------+
 *   addresses: source, destination, source port, destination port
 *   TLV: type (1), length (2), value; 0x03 is a CRC-32C of the whole header,
 *   itself taken as zero
 *
 * Read strictly: one way to write an address, no leading zeros, no blanks
 * more than needed. Who sends anything else is not the balancer that the
 * service expects, and nothing of it is served.
 *
 * Source: "The PROXY protocol, versions 1 & 2", HAProxy's proxy-protocol.txt,
 * sections 2.1 and 2.2.
 */
#ifndef CARRYALL_PROXY_PROXYPROTO_H
#define CARRYALL_PROXY_PROXYPROTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "dataplane/addr.h"

#define PROXYPROTO_V1_MAX 107  /* bytes of a line */
#define PROXYPROTO_V2_MAX 2048 /* of a header, TLVs included; ours */
#define PROXYPROTO_OUT    107  /* the most that is written */

struct proxyproto {
	bool known; /* false: LOCAL or UNKNOWN, the connection's own ends hold
		     */
	bool tls;   /* version 2: the client has come over TLS (PP2_TYPE_SSL) */
	uint8_t version;         /* 1 or 2 */
	struct ip_addr src, dst; /* the client, and what it has connected to */
	uint16_t sport, dport;   /* network order */
};

/*
 * Read the header at data[0..len), all bytes that have come so far. `accept`
 * is a service's enum grant_proxy_protocol, not _NONE. > 0: its length, with
 * *out; -EAGAIN: more is needed; -EBADMSG: it is none, with a static text in
 * *why. Thread: any. Pure.
 */
ssize_t proxyproto_parse(const void *data, size_t len, uint8_t accept,
	struct proxyproto *out, const char **why);

/*
 * Write `p` in version p->version to out[0..PROXYPROTO_OUT). Both addresses
 * are to be of one family; if they are not, the header says UNKNOWN (LOCAL in
 * version 2). Bytes written.
 */
size_t proxyproto_write(const struct proxyproto *p, uint8_t *out);

#endif
