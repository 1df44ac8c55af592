/* SPDX-License-Identifier: BSD-3-Clause */
/* The checksum of a packet that may lie in several mbufs. */
#ifndef CARRYALL_TCP_CHAIN_H
#define CARRYALL_TCP_CHAIN_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>

#include "dataplane/checksum.h"

/*
 * `sum` plus the words of `len` bytes of the chain from offset `at` on. What
 * follows a part of odd length counts with its bytes swapped (RFC 1071, 2B).
 */
static inline uint64_t
chain_sum(uint64_t sum, const struct rte_mbuf *m, uint32_t at, uint32_t len)
{
	bool odd = false;

	for (; m != NULL && len > 0; m = m->next) {
		uint32_t n;
		uint16_t part;

		if (at >= m->data_len) {
			at -= m->data_len;
			continue;
		}
		n = m->data_len - at < len ? m->data_len - at : len;
		part = csum_fold(csum_add(
			0, rte_pktmbuf_mtod_offset(m, const uint8_t *, at), n));
		sum += odd ? (uint16_t)(part << 8 | part >> 8) : part;
		odd ^= n & 1;
		len -= n;
		at = 0;
	}
	return sum;
}

#endif
