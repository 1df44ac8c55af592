/* SPDX-License-Identifier: BSD-3-Clause */
/* Addresses as text. */
#include "ctrl/config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

int
ip_addr_parse(const char *text, struct ip_addr *addr)
{
	struct ip_addr a;
	__be32 v4;

	if (inet_pton(AF_INET, text, &v4) == 1) {
		*addr = ip_addr_from_v4(v4);
		return 0;
	}
	/* One address, one spelling: "::ffff:1.2.3.4" is not taken. */
	if (inet_pton(AF_INET6, text, &a) != 1 || ip_addr_is_v4(&a))
		return -EINVAL;
	*addr = a;
	return 0;
}

const char *
ip_addr_format(const struct ip_addr *addr, char buf[46])
{
	if (ip_addr_is_v4(addr))
		inet_ntop(AF_INET, &addr->w[3], buf, 46);
	else
		inet_ntop(AF_INET6, addr, buf, 46);
	return buf;
}
