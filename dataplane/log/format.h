/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The log's store: what is where on disk, and what makes it believable.
 *
 *   offset 0        4096                                       size - 4096
 *   +---------------+---------+---------+--- ... ---+---------+-----------+
 *   | superblock    | slot 0  | slot 1  |           | slot N-1| its copy  |
 *   +---------------+---------+---------+--- ... ---+---------+-----------+
 *
 * The slots are a ring. Block number `seq` is written to slot seq mod N, each
 * number once; the superblock says at which number what is still needed
 * begins (`tail`). A block is written once and never again until its slot's
 * turn comes after the tail has passed it, so no write can harm what is
 * durable.
 *
 * Block, 4096 bytes, the unit of writing and of validity:
 *
 *    0               4               8                               16
 *   +---------------+---------------+-------------------------------+
 *   | magic         | crc           | store                         |
 *   +---------------+---------------+-------------------------------+
 *   | seq                           | lsn of the first record       | 32
 *   +-------------------------------+-------------------------------+
 *   | boot          |behind |       | boot_ms                       | 48
 *   +-------------------------------+---------------+-------+-------+
 *   | wall_ms                       | epoch         |records| used  | 64
 *   +-------------------------------+---------------+-------+-------+
 *   | len  | kind  | payload[len] ...         | to 4 | len | kind | ...
 *   +------+-------+--------------------------+------+-----+------+
 *
 * Records follow one another, each padded with zeros to 4 bytes; none is cut
 * in two. Bytes from `used` on mean nothing. `crc` is CRC-32C (RFC 3720
 * appendix B.4) of bytes [8, used). All numbers are the host's, which is
 * little endian.
 *
 * What the fields are for:
 *   crc     a torn or scribbled block
 *   store   a block of another store, copied or left on a device
 *   seq     a block of a former lap
 *   epoch   a block that a former session wrote beyond the point where its
 *           recovery had to end: sessions count up, along the chain the epoch
 *           never falls
 *   lsn     records are numbered without a gap
 *   behind  all blocks before seq - behind were durable when this one was
 *           sealed: if one of them is not good, something durable was lost
 *
 * The records that count are those of blocks tail, tail + 1, ... up to the
 * first that is not good in this sense: see read.h.
 */
#ifndef CARRYALL_LOG_FORMAT_H
#define CARRYALL_LOG_FORMAT_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define PLOG_BLOCK   4096u
#define PLOG_VERSION 1u

#define PLOG_SUPER_MAGIC 0x53474c50u /* "PLGS" */
#define PLOG_BLOCK_MAGIC 0x42474c50u /* "PLGB" */

/* Both superblocks and two slots at the least. */
#define PLOG_SLOTS_MIN 16u
#define PLOG_SIZE_MIN  ((PLOG_SLOTS_MIN + 2) * PLOG_BLOCK)

/* Longest payload of a record. */
#define PLOG_RECORD_MAX 1024u

struct plog_super {
	uint32_t magic;
	uint32_t crc; /* CRC-32C of the bytes behind it */
	uint32_t version;
	uint32_t block;      /* bytes: PLOG_BLOCK */
	uint64_t store;      /* random, when it was made */
	uint64_t slots;      /* N */
	uint64_t generation; /* of this superblock: the highest counts */
	uint64_t tail;       /* seq of the first block that is needed */
	uint64_t created_ms; /* CLOCK_REALTIME */
	uint32_t epoch;      /* of the latest session */
	uint32_t pad;
	char function[32]; /* type of function whose records these are */
	char owner[64];    /* "APPLIANCE/INSTANCE", for people */
};

struct plog_head {
	uint32_t magic;
	uint32_t crc;
	uint64_t store;
	uint64_t seq;
	uint64_t lsn;    /* of the first record; counts from 1 */
	uint32_t boot;   /* which start of the machine: low bits of it */
	uint16_t behind; /* blocks before it that were not durable yet */
	uint16_t pad;
	uint64_t boot_ms; /* CLOCK_BOOTTIME when it was sealed */
	uint64_t wall_ms; /* CLOCK_REALTIME likewise */
	uint32_t epoch;
	uint16_t records;
	uint16_t used; /* bytes, this header included */
};

struct plog_record_head {
	uint16_t len; /* of the payload */
	uint16_t kind;
};

_Static_assert(sizeof(struct plog_super) == 160, "as on disk");
_Static_assert(sizeof(struct plog_head) == 64, "as on disk");
_Static_assert(sizeof(struct plog_record_head) == 4, "as on disk");
_Static_assert(offsetof(struct plog_super, function) == 64, "as on disk");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "as on disk");

/* Bytes that a record of `len` bytes of payload takes in a block. */
static inline uint32_t
plog_record_bytes(uint32_t len)
{
	return (uint32_t)sizeof(struct plog_record_head) + ((len + 3) & ~3u);
}

/* Where block `seq` is in a store of `slots` slots: bytes from its start. */
static inline uint64_t
plog_offset(uint64_t slots, uint64_t seq)
{
	return (1 + seq % slots) * PLOG_BLOCK;
}

/* Where the superblock's copy is. */
static inline uint64_t
plog_copy_offset(uint64_t slots)
{
	return (1 + slots) * PLOG_BLOCK;
}

/* Bytes of a store of `slots` slots. */
static inline uint64_t
plog_store_bytes(uint64_t slots)
{
	return (2 + slots) * PLOG_BLOCK;
}

/* CRC-32C of data[0..len). */
uint32_t plog_crc(const void *data, size_t len);

/* Fill in the CRC of a superblock, of a block. */
void plog_super_seal(struct plog_super *super);
void plog_head_seal(struct plog_head *head);

/*
 * A superblock at `block` (PLOG_BLOCK bytes) that can be believed: 0;
 * -EBADMSG if it is none or damaged, -EPROTONOSUPPORT if its version or
 * block size is another one's.
 */
int plog_super_check(const void *block);

/*
 * Is block[0..PLOG_BLOCK) a good block of `store`, records well formed? 1 or
 * 0. Whether its seq, lsn and epoch are the right ones is the caller's.
 */
int plog_block_check(const void *block, uint64_t store);

#endif
