/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A stack of an instance: its configuration from what the framework gives to
 * a function.
 */
#ifndef CARRYALL_TCP_BIND_H
#define CARRYALL_TCP_BIND_H

#include "dataplane/nf.h"
#include "dataplane/tcp/tcp.h"

/*
 * Fill `c` for a stack of the function that `env` belongs to: connections,
 * half-open ones and buckets as the grant says, frames by nf_emit(), ways by
 * the next-hop table (a nexthop is an index into it), offloads of the VNIC.
 * `env` must stay valid. The caller may change all of it before tcp_create().
 */
void tcp_bind(struct tcp_config *c, const struct nf_env *env);

/* Bytes of DPDK memory that such a stack takes. Thread: control. */
size_t tcp_bind_memory(const struct grant *g);

/* The clock of such a stack. */
static inline uint64_t
tcp_bind_ms(const struct nf_env *env, uint64_t now_tsc)
{
	return now_tsc / (env->tsc_hz / 1000);
}

/*
 * The grant was replaced: the stack opens connections from its buckets from
 * here on.
 */
void tcp_bind_update(struct tcp *t, const struct nf_env *env);

#endif
