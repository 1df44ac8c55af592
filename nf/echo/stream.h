/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * echo over TCP (RFC 862): every connection's bytes go back as they came, in
 * the mbufs that they came in, until its peer has no more to say.
 *
 * A peer that does not read its own bytes fills its send queue, then what
 * waits here, then the window that we offer: no more than two buffers' worth.
 */
#ifndef CARRYALL_ECHO_STREAM_H
#define CARRYALL_ECHO_STREAM_H

#include "dataplane/nf.h"

struct streams;

/* Bytes of DPDK memory, and packet buffers, for a grant with TCP services. */
size_t streams_memory(const struct grant *g);
uint32_t streams_buffers(const struct grant *g);

/* Listen on the grant's TCP services. NULL with the reason in why[0..len). */
struct streams *streams_create(const struct nf_env *env, char *why, size_t len);
void streams_destroy(struct streams *s);

/* As an nf's burst(), for frames that may be TCP's. */
void streams_burst(struct streams *s, struct rte_mbuf **pkts, uint16_t n,
	nf_verdict *verdict, uint64_t now_tsc);

/* As an nf's tick(). */
uint32_t streams_tick(struct streams *s, uint64_t now_tsc);

/*
 * The grant was replaced. Connections of services that have gone are reset,
 * those of others go on.
 */
int streams_update(struct streams *s, char *why, size_t len);

#endif
