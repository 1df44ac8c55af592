/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/link.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/link/veth.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* libnl's error codes are its own; the ones that happen here, as errno. */
static int
to_errno(int err)
{
	switch (err < 0 ? -err : err) {
	case 0:
		return 0;
	case NLE_EXIST:
		return -EEXIST;
	case NLE_NOMEM:
		return -ENOMEM;
	case NLE_NODEV:
	case NLE_OBJ_NOTFOUND:
		return -ENODEV;
	case NLE_NOADDR:
		return -EADDRNOTAVAIL;
	case NLE_PERM:
	case NLE_NOACCESS:
		return -EPERM;
	case NLE_BUSY:
		return -EBUSY;
	case NLE_INVAL:
		return -EINVAL;
	case NLE_RANGE:
		return -ERANGE;
	case NLE_OPNOTSUPP:
		return -EOPNOTSUPP;
	default:
		return -EIO;
	}
}

struct nl_sock *
link_open(int *err)
{
	struct nl_sock *nl = nl_socket_alloc();

	*err = nl ? to_errno(nl_connect(nl, NETLINK_ROUTE)) : -ENOMEM;
	if (*err && nl) {
		nl_socket_free(nl);
		nl = NULL;
	}
	return nl;
}

void
link_close(struct nl_sock *nl)
{
	if (nl)
		nl_socket_free(nl);
}

static void
fill(struct link_info *info, struct rtnl_link *l)
{
	const char *alias = rtnl_link_get_ifalias(l);
	const char *kind = rtnl_link_get_type(l);
	struct nl_addr *mac = rtnl_link_get_addr(l);

	memset(info, 0, sizeof(*info));
	info->index = rtnl_link_get_ifindex(l);
	info->flags = rtnl_link_get_flags(l);
	info->mtu = rtnl_link_get_mtu(l);
	if (mac && nl_addr_get_len(mac) == sizeof(info->mac))
		memcpy(info->mac, nl_addr_get_binary_addr(mac),
			sizeof(info->mac));
	snprintf(info->kind, sizeof(info->kind), "%s", kind ? kind : "");
	snprintf(info->alias, sizeof(info->alias), "%s", alias ? alias : "");
	info->rx_dropped = rtnl_link_get_stat(l, RTNL_LINK_RX_DROPPED);
	info->tx_dropped = rtnl_link_get_stat(l, RTNL_LINK_TX_DROPPED);
}

int
link_find(struct nl_sock *nl, const char *name, struct link_info *info)
{
	struct rtnl_link *l = NULL;
	int err = to_errno(rtnl_link_get_kernel(nl, 0, name, &l));

	if (err)
		return err;
	fill(info, l);
	rtnl_link_put(l);
	return 0;
}

static void
describe(struct rtnl_link *l, const char *name, unsigned int mtu)
{
	rtnl_link_set_name(l, name);
	rtnl_link_set_mtu(l, mtu);
	rtnl_link_set_num_rx_queues(l, 1);
	rtnl_link_set_num_tx_queues(l, 1);
}

static int
create_pair(struct nl_sock *nl, const char *name, const char *peer,
	unsigned int mtu)
{
	struct rtnl_link *l = rtnl_link_veth_alloc();
	struct rtnl_link *p = l ? rtnl_link_veth_get_peer(l) : NULL;
	int err = -ENOMEM;

	if (p) {
		describe(l, name, mtu);
		describe(p, peer, mtu);
		rtnl_link_put(p);
		err = to_errno(rtnl_link_add(nl, l, NLM_F_CREATE | NLM_F_EXCL));
	}
	if (l)
		rtnl_link_veth_release(l);
	return err;
}

/* A kernel without IPv6 has nothing to disable. */
static int
disable_ipv6(const char *name)
{
	char path[96];
	int fd, err;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6",
		name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	err = write(fd, "1", 1) == 1 ? 0 : -errno;
	close(fd);
	return err;
}

/*
 * Ask for flags on the device `name`, those in `off` cleared. What is
 * sent names the changes alone.
 */
static int
change(struct nl_sock *nl, const char *name, unsigned int on, unsigned int off,
	unsigned int mtu, const char *alias)
{
	struct rtnl_link *old = NULL, *new = rtnl_link_alloc();
	int err = new ? to_errno(rtnl_link_get_kernel(nl, 0, name, &old))
		      : -ENOMEM;

	if (!err) {
		rtnl_link_set_flags(new, on);
		if (off)
			rtnl_link_unset_flags(new, off);
		if (mtu)
			rtnl_link_set_mtu(new, mtu);
		if (alias)
			rtnl_link_set_ifalias(new, alias);
		err = to_errno(rtnl_link_change(nl, old, new, 0));
	}
	if (old)
		rtnl_link_put(old);
	if (new)
		rtnl_link_put(new);
	return err;
}

static int
finish(struct nl_sock *nl, const char *name, const char *alias)
{
	int err = change(nl, name, IFF_NOARP, 0, 0, alias);

	if (!err)
		err = disable_ipv6(name);
	return err ? err : change(nl, name, IFF_UP, 0, 0, NULL);
}

int
link_make_veth(struct nl_sock *nl, const char *name, const char *peer,
	unsigned int mtu, const char *alias)
{
	int err = create_pair(nl, name, peer, mtu);

	if (err)
		return err;
	err = finish(nl, name, alias);
	if (!err)
		err = finish(nl, peer, alias);
	if (err)
		link_remove(nl, name);
	return err;
}

/* IFF_TUN_EXCL: a device that is there is not taken, but refused (EBUSY). */
static int
create_tap(const char *name)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_TUN_EXCL };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -errno;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (ioctl(fd, TUNSETIFF, &ifr) || ioctl(fd, TUNSETPERSIST, 1) ||
		ioctl(fd, TUNSETOWNER, 0))
		err = errno == EBUSY ? -EEXIST : -errno;
	close(fd);
	return err;
}

int
link_make_tap(struct nl_sock *nl, const char *name, const char *alias)
{
	int err = create_tap(name);

	if (err)
		return err;
	err = change(nl, name, IFF_UP, 0, 0, alias);
	if (err)
		link_remove(nl, name);
	return err;
}

int
link_remove(struct nl_sock *nl, const char *name)
{
	struct rtnl_link *l = rtnl_link_alloc();
	int err = -ENOMEM;

	if (l) {
		rtnl_link_set_name(l, name);
		err = to_errno(rtnl_link_delete(nl, l));
		rtnl_link_put(l);
	}
	return err;
}

int
link_restore(struct nl_sock *nl, const char *name, unsigned int mtu)
{
	return change(nl, name, IFF_UP, IFF_PROMISC, mtu, NULL);
}

/* The address as libnl has it; to be put by the caller. NULL: no memory. */
static struct nl_addr *
nl_addr_of(const struct ip_addr *addr, unsigned int prefix)
{
	bool v4 = ip_addr_is_v4(addr);
	struct nl_addr *a = v4 ? nl_addr_build(AF_INET, &addr->w[3], 4)
			       : nl_addr_build(AF_INET6, addr->w, 16);

	if (a)
		nl_addr_set_prefixlen(a, (int)prefix);
	return a;
}

static bool
same_addr(struct rtnl_addr *row, struct nl_addr *wanted)
{
	struct nl_addr *local = rtnl_addr_get_local(row);

	return local && nl_addr_get_len(local) == nl_addr_get_len(wanted) &&
	       !memcmp(nl_addr_get_binary_addr(local),
		       nl_addr_get_binary_addr(wanted),
		       nl_addr_get_len(wanted));
}

int
link_has_addr(struct nl_sock *nl, const struct ip_addr *addr)
{
	struct nl_addr *wanted = nl_addr_of(addr, 0);
	struct nl_cache *cache = NULL;
	struct nl_object *o;
	int found = 0, err;

	if (!wanted)
		return -ENOMEM;
	err = to_errno(rtnl_addr_alloc_cache(nl, &cache));
	if (!err)
		for (o = nl_cache_get_first(cache); o && !found;
			o = nl_cache_get_next(o))
			found = same_addr((struct rtnl_addr *)o, wanted);
	if (cache)
		nl_cache_free(cache);
	nl_addr_put(wanted);
	return err ? err : found;
}

static struct rtnl_addr *
addr_row(int ifindex, const struct ip_addr *addr, unsigned int prefix)
{
	struct nl_addr *local = nl_addr_of(addr, prefix);
	struct rtnl_addr *row = local ? rtnl_addr_alloc() : NULL;

	if (row) {
		rtnl_addr_set_ifindex(row, ifindex);
		if (rtnl_addr_set_local(row, local)) {
			rtnl_addr_put(row);
			row = NULL;
		}
	}
	if (local)
		nl_addr_put(local);
	return row;
}

int
link_add_addr(struct nl_sock *nl, int ifindex, const struct ip_addr *addr,
	unsigned int prefix)
{
	struct rtnl_addr *row = addr_row(ifindex, addr, prefix);
	int err;

	if (!row)
		return -ENOMEM;
	if (!ip_addr_is_v4(addr)) {
		rtnl_addr_set_flags(row, IFA_F_NODAD);
		rtnl_addr_set_valid_lifetime(row, UINT32_MAX);
		rtnl_addr_set_preferred_lifetime(row, 0);
	}
	err = to_errno(rtnl_addr_add(nl, row, NLM_F_CREATE | NLM_F_EXCL));
	rtnl_addr_put(row);
	return err;
}

int
link_remove_addr(struct nl_sock *nl, int ifindex, const struct ip_addr *addr,
	unsigned int prefix)
{
	struct rtnl_addr *row = addr_row(ifindex, addr, prefix);
	int err;

	if (!row)
		return -ENOMEM;
	err = to_errno(rtnl_addr_delete(nl, row, 0));
	rtnl_addr_put(row);
	return err;
}
