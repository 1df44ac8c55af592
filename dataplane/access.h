/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The access log's way off the data path: a ring of bytes in shared memory.
 *
 *   instance --access_put()--> INSTANCE.access --access_get()--> control plane
 *   (never waits: what does     (in the run         (writes lines to the log
 *   not fit is dropped, and     directory)          file, when it can)
 *   counted by the caller)
 *
 *       tail                                     head
 *   -----|#######|###############|######|---------|-----------
 *         record  record          record
 *
 * One writer (the instance) and one reader (the control plane). While no
 * control plane runs the ring fills, and then drops. A record is a struct
 * access_record followed by its texts, in whole 8 bytes, wrapping at the end
 * of the ring byte by byte. The reader trusts nothing: sizes are checked
 * against the ring, and a writer that breaks it loses only its own lines.
 */
#ifndef CARRYALL_ACCESS_H
#define CARRYALL_ACCESS_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"

#define ACCESS_MAGIC    0x53434341u /* "ACCS" */
#define ACCESS_VERSION  1
#define ACCESS_BYTES    (4u << 20) /* of the ring; a power of two */
#define ACCESS_TEXT_MAX 4096 /* bytes of texts in one record; cut beyond */

enum access_text {
	ACCESS_METHOD,
	ACCESS_TARGET,
	ACCESS_VERSION_TEXT, /* "HTTP/1.1" */
	ACCESS_HOST,
	ACCESS_REFERER,
	ACCESS_AGENT,
	ACCESS_TEXTS,
};

/* One request, or one connection of TCP mode. Times in microseconds. */
struct access_record {
	uint32_t size;   /* with texts, padded to 8 */
	uint16_t status; /* answered to the client; 0: none */
	uint16_t service;
	uint64_t at_us; /* CLOCK_REALTIME, of the request's first byte */
	struct ip_addr client, backend;     /* all zero: none */
	uint16_t client_port, backend_port; /* network order */
	uint16_t retries;
	uint8_t error;  /* enum stats_http_error + 1; 0: none */
	uint8_t reused; /* the backend's connection was there already */
	uint64_t bytes_in, bytes_out; /* heads and bodies, client's side */
	uint32_t header_us;           /* first byte to end of head */
	uint32_t connect_us;          /* to have a backend's connection */
	uint32_t response_us;         /* request sent to head of the answer */
	uint32_t total_us;
	uint16_t text_len[ACCESS_TEXTS];
	uint16_t pad[2];
};

_Static_assert(sizeof(struct access_record) % 8 == 0, "records stay aligned");

struct access_ring {
	uint32_t magic, version;
	uint32_t size; /* ACCESS_BYTES */
	uint32_t pad[13];
	uint64_t head; /* bytes ever written: the writer's line */
	uint64_t pad_head[7];
	uint64_t tail; /* bytes ever read: the reader's line */
	uint64_t pad_tail[7];
	uint8_t bytes[ACCESS_BYTES];
};

/* An empty ring. Thread: whoever has made it, before others have it. */
void access_init(struct access_ring *ring);

/* Is it a ring, and of this version? Thread: any. */
bool access_valid(const struct access_ring *ring);

/*
 * Append a record with its texts (text[i], r->text_len[i] bytes; cut to
 * ACCESS_TEXT_MAX together). Sets r->size. 0, or -ENOSPC when the ring is
 * full. Thread: the writer.
 */
int access_put(struct access_ring *ring, struct access_record *r,
	const char *const text[ACCESS_TEXTS]);

/*
 * Take the oldest record out: 1 with *r and its texts one after the other in
 * text[0..ACCESS_TEXT_MAX); 0 when there is none; -EINVAL when the ring makes
 * no sense (then all of it was skipped). Thread: the reader.
 */
int access_get(struct access_ring *ring, struct access_record *r, char *text);

#endif
