/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The Internet checksum (RFC 1071) and its incremental update (RFC 1624).
 *
 * The one's complement sum does not care for byte order as long as all words
 * are loaded alike, so every 16-bit word here is used as it lies in memory.
 *
 * A change of a packet is a `delta`: the sum of the new words and of the
 * complements of the old ones. A checksum HC becomes ~(~HC + delta), which is
 * equation 3 of RFC 1624: unlike the older equation 2 it never makes 0xffff
 * out of a checksum that a full computation would make 0. The change back is
 * the complement of the delta, so one word serves both directions.
 */
#ifndef CARRYALL_CHECKSUM_H
#define CARRYALL_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Fold a sum of words to 16 bits, carries added at the low end. */
static inline uint16_t
csum_fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

/*
 * `sum` plus the words of data[0..len); an odd last byte counts as if a zero
 * byte followed. Every piece but the last must be of even length. The sum
 * holds 2^31 bytes without folding.
 */
static inline uint64_t
csum_add(uint64_t sum, const void *data, size_t len)
{
	const uint8_t *p = data;
	uint32_t word;
	uint16_t half;

	for (; len >= 4; p += 4, len -= 4) {
		memcpy(&word, p, 4);
		sum += word;
	}
	if (len >= 2) {
		memcpy(&half, p, 2);
		sum += half;
		p += 2;
		len -= 2;
	}
	if (len == 1) {
		half = 0;
		memcpy(&half, p, 1);
		sum += half;
	}
	return sum;
}

/* `sum` less the words of data[0..len), `len` even: half of a delta. */
static inline uint64_t
csum_sub(uint64_t sum, const void *data, size_t len)
{
	return sum + (uint16_t)~csum_fold(csum_add(0, data, len));
}

/* The delta of the opposite change. */
static inline uint16_t
csum_back(uint16_t delta)
{
	return (uint16_t)~delta;
}

/* The checksum `csum` after a change by `delta` (RFC 1624, equation 3). */
static inline uint16_t
csum_update(uint16_t csum, uint16_t delta)
{
	uint32_t sum = (uint16_t)~csum + (uint32_t)delta;

	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

#endif
