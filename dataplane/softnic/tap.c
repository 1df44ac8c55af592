/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/softnic/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <rte_mbuf.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

int
tap_attach(const char *name, char *why, size_t len)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI };
	int fd, rc;

	/* Asked for one that is not there, the kernel would make it. */
	if (if_nametoindex(name) == 0) {
		snprintf(why, len, "there is no tap device %s", name);
		return -ENODEV;
	}
	fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0) {
		rc = -errno;
		snprintf(why, len, "/dev/net/tun: %s", strerror(-rc));
		return rc;
	}
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%.15s", name);
	if (ioctl(fd, TUNSETIFF, &ifr) != 0) {
		rc = -errno;
		snprintf(why, len, "tap device %s: %s", name, strerror(-rc));
		close(fd);
		return rc;
	}
	return fd;
}

uint16_t
tap_write(int fd, struct rte_mbuf *const *pkts, uint16_t n)
{
	uint16_t done = 0;

	for (uint16_t i = 0; i < n; i++) {
		uint16_t len = rte_pktmbuf_data_len(pkts[i]);

		if (write(fd, rte_pktmbuf_mtod(pkts[i], void *), len) == len)
			done++;
		else if (errno == EAGAIN)
			break;
	}
	return done;
}

uint16_t
tap_read(int fd, struct rte_mbuf **pkts, uint16_t n)
{
	uint16_t got = 0;

	while (got < n) {
		struct rte_mbuf *m = pkts[got];
		size_t room = rte_pktmbuf_tailroom(m);
		ssize_t len = read(fd, rte_pktmbuf_mtod(m, void *), room);

		if (len <= 0)
			break;
		if ((size_t)len == room)
			continue;
		m->data_len = (uint16_t)len;
		m->pkt_len = (uint32_t)len;
		got++;
	}
	return got;
}
