/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two netlink sockets: one that hears of changes and is never waited for,
 * one that asks. A change of a neighbour is applied at once to the next hops
 * behind it; a change of routes, links or addresses makes all of them be
 * looked up again, at most once a second. If the kernel says that messages
 * were lost (ENOBUFS), everything is looked up again, so nothing is missed
 * for longer than that.
 */
#include "ctrl/nexthop.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/netlink.h>
#include <netlink/route/link.h>
#include <netlink/route/neighbour.h>
#include <netlink/route/route.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REFRESH_S 5 /* between looks at all entries */

#define NUD_USABLE                                                           \
	(NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT | \
		NUD_NOARP)

/* One next hop of the plan: how the kernel would reach it. */
struct hop {
	uint32_t uplinks; /* a bit per uplink that it may be behind */
	int ifindex;      /* of its route; 0: there is none */
	uint16_t mtu;
	struct nl_addr *via; /* the neighbour: a gateway or itself */
	const char *trouble; /* static; NULL: none */
};

struct nexthop_watch {
	const struct plan *plan;
	struct nexthops *table;
	struct nl_sock *heard, *asked;
	struct hop *hops; /* one per plan->nexthops[] */
	int ifindex[CONFIG_UPLINKS_MAX];
	bool dirty;
	unsigned int age_s; /* since all were looked up */
};

static struct nl_addr *
address_make(const struct ip_addr *a)
{
	if (ip_addr_is_v4(a))
		return nl_addr_build(AF_INET, &a->w[3], 4);
	return nl_addr_build(AF_INET6, a->w, 16);
}

static void
publish(struct nexthop_watch *w, uint32_t index, uint64_t entry)
{
	__atomic_store_n(&w->table->entry[index], entry, __ATOMIC_RELEASE);
}

/* --- uplinks ------------------------------------------------------------- */

static void
uplink_look(struct nexthop_watch *w, unsigned int i)
{
	const char *device = w->plan->config->uplinks[i].device;
	struct rtnl_link *link = NULL;
	struct nl_addr *mac;
	uint64_t entry = 0;

	w->ifindex[i] = 0;
	if (rtnl_link_get_kernel(w->asked, 0, device, &link) == 0) {
		mac = rtnl_link_get_addr(link);
		w->ifindex[i] = rtnl_link_get_ifindex(link);
		if (mac != NULL && nl_addr_get_len(mac) == 6)
			entry = nexthop_pack(nl_addr_get_binary_addr(mac),
				(uint16_t)rtnl_link_get_mtu(link));
		rtnl_link_put(link);
	}
	publish(w, i, entry);
}

/* --- routes -------------------------------------------------------------- */

static void
route_take(struct hop *h, struct rtnl_route *route, struct nl_addr *dst)
{
	struct rtnl_nexthop *nh = rtnl_route_nexthop_n(route, 0);
	struct nl_addr *gateway;
	unsigned int mtu = 0;

	if (nh == NULL) {
		h->trouble = "its route has no device";
		return;
	}
	h->ifindex = rtnl_route_nh_get_ifindex(nh);
	gateway = rtnl_route_nh_get_gateway(nh);
	if (rtnl_route_get_type(route) != RTN_UNICAST)
		h->trouble = "it is not a unicast destination from here";
	h->via = nl_addr_get(gateway != NULL ? gateway : dst);
	if (rtnl_route_get_metric(route, RTAX_MTU, &mtu) == 0 && mtu > 0)
		h->mtu = (uint16_t)(mtu < UINT16_MAX ? mtu : UINT16_MAX);
}

/* It must leave by an uplink that frames with its SNAT address leave by. */
static void
route_judge(const struct nexthop_watch *w, struct hop *h)
{
	if (h->trouble != NULL)
		return;
	for (unsigned int i = 0; i < w->plan->config->n_uplinks; i++) {
		uint16_t mtu = nexthop_mtu(w->table->entry[i]);

		if (w->ifindex[i] != h->ifindex || !(h->uplinks & (1u << i)))
			continue;
		if (h->mtu == 0 || h->mtu > mtu)
			h->mtu = mtu;
		return;
	}
	h->trouble = "its route leaves by another device than the uplink";
}

static void
route_look(struct nexthop_watch *w, unsigned int i)
{
	struct hop *h = &w->hops[i];
	struct nl_addr *dst = address_make(&w->plan->nexthops[i].addr);
	struct rtnl_route *route = NULL;

	nl_addr_put(h->via);
	h->via = NULL;
	h->ifindex = 0;
	h->mtu = 0;
	h->trouble = NULL;
	if (dst == NULL || rtnl_route_lookup(w->asked, dst, &route) != 0) {
		h->trouble = "there is no route to it";
	} else {
		route_take(h, route, dst);
		rtnl_route_put(route);
		route_judge(w, h);
	}
	nl_addr_put(dst);
}

/* --- neighbours ---------------------------------------------------------- */

/* Have the kernel resolve or confirm it, as if it had a packet to send. */
static void
neighbour_ask(struct nexthop_watch *w, const struct hop *h)
{
	struct rtnl_neigh *n = rtnl_neigh_alloc();

	if (n == NULL)
		return;
	rtnl_neigh_set_ifindex(n, h->ifindex);
	rtnl_neigh_set_dst(n, h->via);
	rtnl_neigh_set_flags(n, NTF_USE);
	rtnl_neigh_add(w->asked, n, NLM_F_CREATE);
	rtnl_neigh_put(n);
}

/* What the kernel knows of the neighbour becomes the table's entry. */
static void
neighbour_take(struct nexthop_watch *w, unsigned int i, struct rtnl_neigh *n)
{
	struct nl_addr *mac = n != NULL ? rtnl_neigh_get_lladdr(n) : NULL;
	int state = n != NULL ? rtnl_neigh_get_state(n) : 0;
	uint64_t entry = 0;

	if ((state & NUD_USABLE) && mac != NULL && nl_addr_get_len(mac) == 6)
		entry = nexthop_pack(
			nl_addr_get_binary_addr(mac), w->hops[i].mtu);
	publish(w, w->plan->nexthops[i].index, entry);
	if (entry == 0)
		w->hops[i].trouble =
			state & NUD_FAILED
				? "it does not answer ARP or ND"
				: "its MAC address is being asked for";
}

static void
hop_look(struct nexthop_watch *w, unsigned int i, struct nl_cache *neighbours)
{
	struct hop *h = &w->hops[i];
	struct rtnl_neigh *n;

	route_look(w, i);
	if (h->trouble != NULL) {
		publish(w, w->plan->nexthops[i].index, 0);
		return;
	}
	n = rtnl_neigh_get(neighbours, h->ifindex, h->via);
	neighbour_take(w, i, n);
	if (n == NULL || !(rtnl_neigh_get_state(n) &
				 (NUD_REACHABLE | NUD_PERMANENT | NUD_NOARP)))
		neighbour_ask(w, h);
	if (n != NULL)
		rtnl_neigh_put(n);
}

static void
look_all(struct nexthop_watch *w)
{
	struct nl_cache *neighbours;

	w->dirty = false;
	w->age_s = 0;
	for (unsigned int i = 0; i < w->plan->config->n_uplinks; i++)
		uplink_look(w, i);
	if (rtnl_neigh_alloc_cache(w->asked, &neighbours) != 0) {
		w->dirty = true;
		return;
	}
	for (unsigned int i = 0; i < w->plan->n_nexthops; i++)
		hop_look(w, i, neighbours);
	nl_cache_free(neighbours);
}

/* --- changes ------------------------------------------------------------- */

static void
neighbour_changed(struct nl_object *object, void *arg)
{
	struct nexthop_watch *w = arg;
	struct rtnl_neigh *n = (struct rtnl_neigh *)object;
	struct nl_addr *dst = rtnl_neigh_get_dst(n);

	for (unsigned int i = 0; dst != NULL && i < w->plan->n_nexthops; i++) {
		struct hop *h = &w->hops[i];

		if (h->via == NULL || h->ifindex != rtnl_neigh_get_ifindex(n) ||
			nl_addr_cmp(h->via, dst) != 0)
			continue;
		if (nl_object_get_msgtype(object) == RTM_DELNEIGH) {
			w->dirty = true;
			continue;
		}
		h->trouble = NULL;
		route_judge(w, h);
		if (h->trouble == NULL)
			neighbour_take(w, i, n);
	}
}

static int
on_message(struct nl_msg *msg, void *arg)
{
	struct nexthop_watch *w = arg;
	int type = nlmsg_hdr(msg)->nlmsg_type;

	if (type == RTM_NEWNEIGH || type == RTM_DELNEIGH)
		nl_msg_parse(msg, neighbour_changed, w);
	else
		w->dirty = true;
	return NL_OK;
}

void
nexthop_watch_dispatch(struct nexthop_watch *w)
{
	int rc = nl_recvmsgs_default(w->heard);

	/* Lost messages, or anything we do not understand: look again. */
	if (rc < 0 && rc != -NLE_AGAIN)
		w->dirty = true;
}

void
nexthop_watch_timer(struct nexthop_watch *w)
{
	bool trouble = false;

	for (unsigned int i = 0; i < w->plan->n_nexthops; i++)
		trouble |= w->hops[i].trouble != NULL;
	if (w->dirty || trouble || ++w->age_s >= REFRESH_S)
		look_all(w);
}

int
nexthop_watch_fd(const struct nexthop_watch *w)
{
	return nl_socket_get_fd(w->heard);
}

int
nexthop_state(
	const struct nexthop_watch *w, unsigned int i, char *why, size_t len)
{
	if (w->hops[i].trouble == NULL)
		return 0;
	snprintf(why, len, "%s", w->hops[i].trouble);
	return -EHOSTUNREACH;
}

/* --- life ---------------------------------------------------------------- */

/* Which uplinks' functions send to this address? */
static uint32_t
uplinks_of(const struct plan *plan, const struct ip_addr *addr)
{
	uint32_t mask = 0;

	for (unsigned int i = 0; i < plan->n_instances; i++) {
		const struct grant *g = plan->instances[i].grant;

		for (uint32_t b = 0; b < g->n_backends; b++)
			if (ip_addr_eq(&g->backends[b].addr, addr))
				mask |= 1u << g->backend_uplink;
	}
	return mask;
}

static struct hop *
hops_make(const struct plan *plan)
{
	struct hop *hops = calloc(plan->n_nexthops + 1, sizeof(*hops));

	for (unsigned int i = 0; hops != NULL && i < plan->n_nexthops; i++) {
		hops[i].uplinks = uplinks_of(plan, &plan->nexthops[i].addr);
		/* Kept for connections of a backend that was removed. */
		if (hops[i].uplinks == 0)
			hops[i].uplinks = UINT32_MAX;
	}
	return hops;
}

static void
hops_free(struct hop *hops, unsigned int n)
{
	for (unsigned int i = 0; hops != NULL && i < n; i++)
		nl_addr_put(hops[i].via);
	free(hops);
}

int
nexthop_watch_update(struct nexthop_watch *w, const struct plan *plan)
{
	struct hop *hops = hops_make(plan);

	if (hops == NULL)
		return -ENOMEM;
	hops_free(w->hops, w->plan->n_nexthops);
	w->hops = hops;
	w->plan = plan;
	look_all(w);
	return 0;
}

static struct nl_sock *
socket_open(void)
{
	struct nl_sock *s = nl_socket_alloc();

	if (s != NULL && nl_connect(s, NETLINK_ROUTE) != 0) {
		nl_socket_free(s);
		s = NULL;
	}
	return s;
}

static int
sockets_open(struct nexthop_watch *w)
{
	w->asked = socket_open();
	w->heard = socket_open();
	if (w->asked == NULL || w->heard == NULL)
		return -EIO;
	nl_socket_disable_seq_check(w->heard);
	nl_socket_set_nonblocking(w->heard);
	nl_socket_modify_cb(w->heard, NL_CB_VALID, NL_CB_CUSTOM, on_message, w);
	return nl_socket_add_memberships(w->heard, RTNLGRP_NEIGH, RTNLGRP_LINK,
		RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_IFADDR,
		RTNLGRP_IPV6_IFADDR, 0);
}

int
nexthop_watch_create(struct nexthop_watch **out, const struct plan *plan,
	struct nexthops *table, char *why, size_t len)
{
	struct nexthop_watch *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return -ENOMEM;
	w->plan = plan;
	w->table = table;
	w->hops = hops_make(plan);
	if (w->hops == NULL || sockets_open(w) != 0) {
		snprintf(why, len,
			"netlink: cannot follow the kernel's "
			"routes and neighbours");
		nexthop_watch_free(w);
		return -EIO;
	}
	look_all(w);
	*out = w;
	return 0;
}

void
nexthop_watch_free(struct nexthop_watch *w)
{
	if (w == NULL)
		return;
	hops_free(w->hops, w->plan->n_nexthops);
	nl_socket_free(w->heard);
	nl_socket_free(w->asked);
	free(w);
}
