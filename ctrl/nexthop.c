/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Each next hop goes through two steps, the kernel's own:
 *
 *   address --route--> device, gateway, MTU --neighbour--> MAC address
 *
 * Routes are asked for one by one (RTM_GETROUTE), at the start and again
 * when any route, address or link changes; neighbours are dumped once and
 * then followed by notifications. Instances send behind the kernel's back,
 * so the kernel would neither resolve nor confirm their neighbours by itself:
 * it is told, with NTF_USE, that somebody uses them, which starts resolution
 * and sends a stale one into probing.
 *
 *   unresolved --USE--> incomplete --> reachable --> stale --USE--> probe
 *        ^                  |              ^                          |
 *        +---- failed <-----+              +--------------------------+
 *
 * While a neighbour is probed its MAC address stays in force. An entry is
 * published by one store, and only if it differs.
 *
 * A change of routes marks all next hops for another look, which happens at
 * the end of a dispatch, at most five times a second, else with the timer:
 * a routing daemon may change thousands of routes.
 */
#include "ctrl/nexthop.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/route/link.h>
#include <netlink/route/neighbour.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ctrl/link.h"

/* Neighbour states in which the MAC address may be sent to. */
#define NUD_USABLE \
	(NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT)

#define REFRESH_MIN_MS 200
#define REFRESH_MAX_MS 30000

enum hop_fault {
	HOP_OK,
	HOP_NO_ROUTE,
	HOP_LOCAL,        /* an address of this machine */
	HOP_OTHER_DEVICE, /* the route leaves by another uplink's device */
	HOP_TWO_UPLINKS,  /* functions of two uplinks have it */
};

struct hop {
	struct ip_addr addr;
	uint32_t index;   /* in the table */
	uint32_t uplinks; /* bit per uplink that it must leave by; 0: any */
	enum hop_fault fault;
	int oif;
	struct nl_addr *via; /* whom to resolve, or NULL */
	uint16_t mtu;
	uint16_t nud; /* NUD_*, 0: the kernel knows nothing */
	uint8_t mac[6];
	bool seen; /* in the dump under way */
};

struct nexthop_watch {
	const struct plan *plan;
	struct nexthops *table;
	struct nl_sock *events, *requests;
	struct hop *hops;
	unsigned int n_hops;
	int uplink_index[CONFIG_UPLINKS_MAX];
	uint16_t uplink_mtu[CONFIG_UPLINKS_MAX];
	bool dirty;           /* routes must be looked at again */
	int64_t refreshed_ms; /* when they were last */
};

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void
store(struct nexthops *table, uint32_t i, uint64_t entry)
{
	if (i < NEXTHOPS_MAX && nexthop_get(table, i) != entry)
		__atomic_store_n(&table->entry[i], entry, __ATOMIC_RELEASE);
}

static void
publish(const struct nexthop_watch *w, const struct hop *h)
{
	bool usable = h->fault == HOP_OK && h->nud & NUD_USABLE;

	store(w->table, h->index, usable ? nexthop_pack(h->mac, h->mtu) : 0);
}

/* --- the uplinks themselves ---------------------------------------------- */

static uint16_t
mtu16(unsigned int mtu)
{
	return mtu > UINT16_MAX ? UINT16_MAX : (uint16_t)mtu;
}

static void
refresh_uplinks(struct nexthop_watch *w)
{
	for (uint32_t i = 0; i < w->plan->config->n_uplinks; i++) {
		struct link_info info;

		w->uplink_index[i] = 0;
		if (link_find(w->requests, w->plan->config->uplinks[i].device,
			    &info)) {
			store(w->table, i, 0);
			continue;
		}
		w->uplink_index[i] = info.index;
		w->uplink_mtu[i] = mtu16(info.mtu);
		store(w->table, i, nexthop_pack(info.mac, mtu16(info.mtu)));
	}
}

/* --- routes ----------------------------------------------------------------
 */

static struct nl_addr *
to_nl_addr(const struct ip_addr *a)
{
	return ip_addr_is_v4(a) ? nl_addr_build(AF_INET, &a->w[3], 4)
				: nl_addr_build(AF_INET6, a->w, 16);
}

/*
 * The uplink that must be taken. What no grant names any more, a backend with
 * old connections alone, goes on by whichever it is found at.
 */
static uint32_t
uplink_for(const struct nexthop_watch *w, const struct hop *h)
{
	uint32_t i = 0;

	if (h->uplinks)
		return (uint32_t)__builtin_ctz(h->uplinks);
	while (i < w->plan->config->n_uplinks - 1 &&
		w->uplink_index[i] != h->oif)
		i++;
	return i;
}

/* The uplink whose device is `oif`, if the next hop may leave by it. */
static enum hop_fault
check_device(const struct nexthop_watch *w, struct hop *h)
{
	uint32_t uplink = uplink_for(w, h);

	if (h->uplinks & (h->uplinks - 1))
		return HOP_TWO_UPLINKS;
	if (w->uplink_index[uplink] != h->oif)
		return HOP_OTHER_DEVICE;
	if (!h->mtu || h->mtu > w->uplink_mtu[uplink])
		h->mtu = w->uplink_mtu[uplink];
	return HOP_OK;
}

/* A neighbour of before is no longer one when device or gateway differ. */
static void
set_via(struct hop *h, int oif, struct nl_addr *via)
{
	if (oif != h->oif || !h->via || nl_addr_cmp(h->via, via))
		h->nud = 0;
	h->oif = oif;
	nl_addr_get(via);
	if (h->via)
		nl_addr_put(h->via);
	h->via = via;
}

static enum hop_fault
read_route(const struct nexthop_watch *w, struct hop *h, struct rtnl_route *r,
	struct nl_addr *dst)
{
	struct rtnl_nexthop *nh = rtnl_route_nexthop_n(r, 0);
	struct nl_addr *via;
	uint32_t mtu = 0;

	if (rtnl_route_get_type(r) == RTN_LOCAL)
		return HOP_LOCAL;
	if (!nh || rtnl_route_get_type(r) != RTN_UNICAST)
		return HOP_NO_ROUTE;
	via = rtnl_route_nh_get_gateway(nh);
	if (!via)
		via = rtnl_route_nh_get_via(nh);
	set_via(h, rtnl_route_nh_get_ifindex(nh), via ? via : dst);
	if (rtnl_route_get_metric(r, RTAX_MTU, &mtu))
		mtu = 0;
	h->mtu = mtu16(mtu);
	return check_device(w, h);
}

static void
look_up_route(struct nexthop_watch *w, struct hop *h)
{
	struct nl_addr *dst = to_nl_addr(&h->addr);
	struct rtnl_route *r = NULL;

	if (!dst)
		return;
	if (rtnl_route_lookup(w->requests, dst, &r) || !r)
		h->fault = HOP_NO_ROUTE;
	else
		h->fault = read_route(w, h, r, dst);
	if (r)
		rtnl_route_put(r);
	nl_addr_put(dst);
}

/* --- neighbours ------------------------------------------------------------
 */

static void
take_neighbour(struct nexthop_watch *w, struct rtnl_neigh *n, bool gone)
{
	struct nl_addr *dst = rtnl_neigh_get_dst(n);
	struct nl_addr *mac = rtnl_neigh_get_lladdr(n);
	int oif = rtnl_neigh_get_ifindex(n), nud = rtnl_neigh_get_state(n);

	for (unsigned int i = 0; i < w->n_hops && dst; i++) {
		struct hop *h = &w->hops[i];

		if (h->oif != oif || !h->via || nl_addr_cmp(h->via, dst))
			continue;
		h->seen = true;
		h->nud = gone || nud < 0 ? 0 : (uint16_t)nud;
		if (mac && nl_addr_get_len(mac) == sizeof(h->mac))
			memcpy(h->mac, nl_addr_get_binary_addr(mac),
				sizeof(h->mac));
		else
			h->nud &= (uint16_t)~NUD_USABLE;
		publish(w, h);
	}
}

static void
take_cached(struct nl_object *o, void *ctx)
{
	take_neighbour(ctx, (struct rtnl_neigh *)o, false);
}

static void
dump_neighbours(struct nexthop_watch *w)
{
	struct nl_cache *cache = NULL;

	if (rtnl_neigh_alloc_cache(w->requests, &cache))
		return;
	for (unsigned int i = 0; i < w->n_hops; i++)
		w->hops[i].seen = false;
	nl_cache_foreach(cache, take_cached, w);
	nl_cache_free(cache);
	for (unsigned int i = 0; i < w->n_hops; i++)
		if (!w->hops[i].seen)
			w->hops[i].nud = 0;
}

/* Tell the kernel that the neighbour is in use: see above. */
static void
use_neighbour(struct nexthop_watch *w, struct hop *h)
{
	struct rtnl_neigh *n = rtnl_neigh_alloc();

	if (!n)
		return;
	rtnl_neigh_set_ifindex(n, h->oif);
	rtnl_neigh_set_dst(n, h->via);
	rtnl_neigh_set_flags(n, NTF_USE);
	rtnl_neigh_add(w->requests, n, NLM_F_CREATE);
	rtnl_neigh_put(n);
}

static void
use_where_needed(struct nexthop_watch *w)
{
	for (unsigned int i = 0; i < w->n_hops; i++) {
		struct hop *h = &w->hops[i];
		bool waiting = h->nud & (NUD_REACHABLE | NUD_DELAY | NUD_PROBE |
						NUD_PERMANENT | NUD_INCOMPLETE);

		if (h->fault == HOP_OK && !waiting)
			use_neighbour(w, h);
	}
}

/* --- all of it --------------------------------------------------------------
 */

static void
refresh(struct nexthop_watch *w)
{
	w->dirty = false;
	w->refreshed_ms = now_ms();
	refresh_uplinks(w);
	for (unsigned int i = 0; i < w->n_hops; i++)
		look_up_route(w, &w->hops[i]);
	dump_neighbours(w);
	for (unsigned int i = 0; i < w->n_hops; i++)
		publish(w, &w->hops[i]);
	use_where_needed(w);
}

static int
on_event(struct nl_msg *msg, void *ctx)
{
	struct nlmsghdr *h = nlmsg_hdr(msg);
	struct nexthop_watch *w = ctx;
	struct rtnl_neigh *n = NULL;

	if (h->nlmsg_type != RTM_NEWNEIGH && h->nlmsg_type != RTM_DELNEIGH) {
		w->dirty = true;
		return NL_OK;
	}
	if (!rtnl_neigh_parse(h, &n)) {
		take_neighbour(w, n, h->nlmsg_type == RTM_DELNEIGH);
		rtnl_neigh_put(n);
	}
	return NL_OK;
}

static int
subscribe(struct nexthop_watch *w)
{
	int err;

	w->events = nl_socket_alloc();
	if (!w->events)
		return -ENOMEM;
	nl_socket_disable_seq_check(w->events);
	nl_socket_modify_cb(w->events, NL_CB_VALID, NL_CB_CUSTOM, on_event, w);
	err = nl_connect(w->events, NETLINK_ROUTE);
	if (!err)
		err = nl_socket_add_memberships(w->events, RTNLGRP_NEIGH,
			RTNLGRP_LINK, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE,
			RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, 0);
	if (!err)
		err = nl_socket_set_nonblocking(w->events);
	return err ? -EIO : 0;
}

/* By which uplinks the functions of each next hop send: masks by index. */
static uint32_t *
uplink_masks(const struct plan *plan)
{
	uint32_t *mask = calloc(NEXTHOPS_MAX, sizeof(*mask));

	for (unsigned int i = 0; mask && i < plan->n_instances; i++) {
		const struct grant *g = plan->instances[i].grant;

		for (uint32_t b = 0; b < g->n_backends; b++)
			mask[g->backends[b].nexthop % NEXTHOPS_MAX] |=
				1u << (g->backend_uplink & 31);
	}
	return mask;
}

static struct hop *
make_hops(const struct plan *plan)
{
	unsigned int n = plan->n_nexthops;
	struct hop *hops = calloc(n ? n : 1, sizeof(*hops));
	uint32_t *mask = uplink_masks(plan);

	for (unsigned int i = 0; hops && mask && i < n; i++) {
		const struct plan_nexthop *from = &plan->nexthops[i];

		hops[i].addr = from->addr;
		hops[i].index = from->index;
		hops[i].uplinks = mask[from->index % NEXTHOPS_MAX];
		hops[i].fault = HOP_NO_ROUTE;
	}
	if (!mask) {
		free(hops);
		hops = NULL;
	}
	free(mask);
	return hops;
}

static void
free_hops(struct hop *hops, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		if (hops[i].via)
			nl_addr_put(hops[i].via);
	free(hops);
}

struct nexthop_watch *
nexthop_watch_create(const struct plan *plan, struct nexthops *table, int *err)
{
	struct nexthop_watch *w = calloc(1, sizeof(*w));

	*err = -ENOMEM;
	if (!w)
		return NULL;
	w->plan = plan;
	w->table = table;
	w->n_hops = plan->n_nexthops;
	w->hops = make_hops(plan);
	if (w->hops)
		w->requests = link_open(err);
	if (w->requests)
		*err = subscribe(w);
	if (*err) {
		nexthop_watch_destroy(w);
		return NULL;
	}
	refresh(w);
	return w;
}

int
nexthop_watch_fd(const struct nexthop_watch *w)
{
	return nl_socket_get_fd(w->events);
}

/* The queue overran when there is no memory for it: then all is read anew. */
void
nexthop_watch_dispatch(struct nexthop_watch *w)
{
	int err;

	do {
		err = nl_recvmsgs_default(w->events);
	} while (!err);
	if (err != -NLE_AGAIN)
		w->dirty = true;
	if (w->dirty && now_ms() - w->refreshed_ms >= REFRESH_MIN_MS)
		refresh(w);
}

void
nexthop_watch_timer(struct nexthop_watch *w)
{
	if (w->dirty || now_ms() - w->refreshed_ms >= REFRESH_MAX_MS)
		refresh(w);
	else
		use_where_needed(w);
}

/* The table's entries of next hops that went are taken back. */
static void
clear_unused(struct nexthop_watch *w, unsigned int from)
{
	for (unsigned int i = from; i < NEXTHOPS_MAX; i++) {
		unsigned int k = 0;

		while (k < w->n_hops && w->hops[k].index != i)
			k++;
		if (k == w->n_hops)
			store(w->table, i, 0);
	}
}

int
nexthop_watch_update(struct nexthop_watch *w, const struct plan *plan)
{
	struct hop *hops = make_hops(plan);

	if (!hops)
		return -ENOMEM;
	free_hops(w->hops, w->n_hops);
	w->hops = hops;
	w->n_hops = plan->n_nexthops;
	w->plan = plan;
	refresh(w);
	clear_unused(w, plan->config->n_uplinks);
	return 0;
}

static const char *
expected_device(const struct nexthop_watch *w, const struct hop *h)
{
	return w->plan->config->uplinks[uplink_for(w, h)].device;
}

static void
describe_fault(const struct nexthop_watch *w, const struct hop *h, char *buf,
	size_t len)
{
	char device[IFNAMSIZ] = "?";

	if_indextoname((unsigned int)h->oif, device);
	switch (h->fault) {
	case HOP_NO_ROUTE:
		snprintf(buf, len, "no route");
		break;
	case HOP_LOCAL:
		snprintf(buf, len, "an address of this machine");
		break;
	case HOP_OTHER_DEVICE:
		snprintf(buf, len, "the route leaves by %s, not by %s", device,
			expected_device(w, h));
		break;
	default:
		snprintf(buf, len,
			"functions on two uplinks have it, the route "
			"leaves by %s",
			device);
	}
}

const char *
nexthop_state(
	const struct nexthop_watch *w, unsigned int i, char *buf, size_t len)
{
	const struct hop *h = &w->hops[i];
	char via[64] = "?";

	if (h->fault != HOP_OK) {
		describe_fault(w, h, buf, len);
		return buf;
	}
	nl_addr2str(h->via, via, sizeof(via));
	if (h->nud & NUD_USABLE)
		snprintf(buf, len, "resolved");
	else if (h->nud & NUD_FAILED)
		snprintf(buf, len, "%s does not answer on %s", via,
			expected_device(w, h));
	else
		snprintf(buf, len, "resolving %s on %s", via,
			expected_device(w, h));
	return buf;
}

void
nexthop_watch_destroy(struct nexthop_watch *w)
{
	if (!w)
		return;
	if (w->hops)
		free_hops(w->hops, w->n_hops);
	if (w->events)
		nl_socket_free(w->events);
	link_close(w->requests);
	free(w);
}
