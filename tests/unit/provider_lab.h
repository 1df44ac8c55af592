/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two uplinks in a network and mount namespace of the test's own, for tests of
 * providers. Needs root.
 *
 *   peer0 ==veth== up0   uplink 0: peer0 is the wire's far end
 *   peer1 ==veth== up1   uplink 1
 *
 * Frames are put on peerN, and looked for elsewhere, by packet sockets.
 */
#ifndef CARRYALL_TEST_PROVIDER_LAB_H
#define CARRYALL_TEST_PROVIDER_LAB_H

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ctrl/link.h"
#include "tests/unit/frames.h"

static char run_dir[] = "/tmp/carryall-unit-XXXXXX";
static struct nl_sock *nl;

static int
packet_socket(const char *device)
{
	struct sockaddr_ll ll = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(0x0003),
		.sll_ifindex = (int)if_nametoindex(device),
	};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(0x0003));

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&ll, sizeof(ll)), 0);
	return fd;
}

static void
send_on(const char *device, const struct frame *f)
{
	int fd = packet_socket(device);

	ck_assert_int_eq(send(fd, f->b, f->n, 0), f->n);
	close(fd);
}

/* Put `f` on `from` and wait for it at `to`: 1 if it came. */
static int
crosses(const char *from, const struct frame *f, const char *to)
{
	uint8_t b[FRAME_MAX];
	int fd = packet_socket(to), came = 0;
	struct pollfd p = { .fd = fd, .events = POLLIN };

	send_on(from, f);
	while (!came && poll(&p, 1, 300) == 1) {
		ssize_t n = recv(fd, b, sizeof(b), 0);

		came = n == (ssize_t)f->n && !memcmp(b, f->b, f->n);
	}
	close(fd);
	return came;
}

/* What a driver's attach, or ethtool -K DEV gro on, does: frames redirected
 * to a veth are only taken where the receiver polls. */
static int
enable_gro(const char *device)
{
	struct ethtool_value v = { .cmd = ETHTOOL_SGRO, .data = 1 };
	struct ifreq ifr = { .ifr_data = (void *)&v };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), err;

	strcpy(ifr.ifr_name, device);
	err = ioctl(fd, SIOCETHTOOL, &ifr) ? -errno : 0;
	close(fd);
	return err;
}

static void
read_mac(const char *device, uint8_t mac[6])
{
	struct link_info info;

	ck_assert_int_eq(link_find(nl, device, &info), 0);
	memcpy(mac, info.mac, 6);
}

static int
count_files(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *e;
	int n = 0;

	if (!dir)
		return 0;
	while ((e = readdir(dir)))
		n += e->d_name[0] != '.';
	closedir(dir);
	return n;
}

/* Uplinks are veths of the kind that has none; these are to have it. */
static int
enable_ipv6(const char *device)
{
	char path[96];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6",
		device);
	f = fopen(path, "we");
	if (!f)
		return -errno;
	fputs("0", f);
	return fclose(f) ? -errno : 0;
}

static int
set_up(void)
{
	int err;

	if (unshare(CLONE_NEWNET | CLONE_NEWNS) ||
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return -errno;
	nl = link_open(&err);
	if (!nl)
		return err;
	err = link_make_veth(nl, "up0", "peer0", 1500, "lab");
	if (!err)
		err = link_make_veth(nl, "up1", "peer1", 1500, "lab");
	if (!err)
		err = enable_ipv6("up0");
	if (!err)
		err = enable_ipv6("up1");
	if (!err)
		err = enable_gro("peer0");
	if (!err)
		err = enable_gro("peer1");
	if (err)
		return err;
	return mkdtemp(run_dir) ? 0 : -errno;
}

#endif
