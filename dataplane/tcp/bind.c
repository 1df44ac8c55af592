/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/tcp/bind.h"

#include <errno.h>
#include <rte_cycles.h>
#include <rte_ethdev.h>

static void
emit(void *ctx, struct rte_mbuf *m)
{
	nf_emit(ctx, m);
}

static uint16_t
room(void *ctx)
{
	return nf_room(ctx);
}

/* The own MAC address is that of the uplink on whose side the peer is. */
static int
route(void *ctx, uint32_t nexthop, struct tcp_path *path)
{
	const struct nf_env *env = ctx;
	const struct grant *g = env->grant;
	bool is_peer = nexthop == TCP_NEXTHOP_PEER;
	uint64_t own = nexthop_get(
		env->nexthops, is_peer ? g->client_uplink : g->backend_uplink);
	uint64_t to = own;

	if (!is_peer)
		to = nexthop < NEXTHOPS_MAX
			     ? nexthop_get(env->nexthops, nexthop)
			     : 0;
	if (own == 0 || to == 0)
		return -EHOSTUNREACH;
	nexthop_mac(own, path->local_mac);
	nexthop_mac(to, path->remote_mac);
	path->mtu = nexthop_mtu(to);
	return 0;
}

/* Each is of use only with the ones before. */
static uint8_t
offloads(uint64_t tx)
{
	const uint64_t csum =
		RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
	uint8_t on = 0;

	if ((tx & csum) == csum)
		on |= TCP_TX_CSUM;
	if (tx & RTE_ETH_TX_OFFLOAD_MULTI_SEGS)
		on |= TCP_TX_CHAINS;
	if ((tx & RTE_ETH_TX_OFFLOAD_TCP_TSO) &&
		on == (TCP_TX_CSUM | TCP_TX_CHAINS))
		on |= TCP_TX_TSO;
	return on;
}

static void
sizes(struct tcp_config *c, const struct grant *g)
{
	c->max_connections = g->max_connections;
	c->max_half_open = g->max_half_open;
	c->max_time_wait = g->max_connections;
	c->buckets = g->buckets;
	c->cc = g->congestion == 1 ? TCP_CC_NEWRENO : TCP_CC_CUBIC;
}

void
tcp_bind(struct tcp_config *c, const struct nf_env *env)
{
	const struct grant *g = env->grant;

	*c = (struct tcp_config){ .own = g->own,
		.offload = offloads(env->tx_offload),
		.now_ms = tcp_bind_ms(env, rte_rdtsc()),
		.pool = env->pool,
		.stats = &env->stats->tcp,
		.name = "tcp",
		.ctx = (void *)(uintptr_t)env,
		.emit = emit,
		.room = room,
		.route = route };
	sizes(c, g);
}

size_t
tcp_bind_memory(const struct grant *g)
{
	struct tcp_config c = { 0 };

	sizes(&c, g);
	return tcp_memory(&c);
}

void
tcp_bind_update(struct tcp *t, const struct nf_env *env)
{
	tcp_set_buckets(t, env->grant->buckets, env->grant->own);
}
