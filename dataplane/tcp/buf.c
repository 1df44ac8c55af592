/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/tcp/buf.h"

#include <rte_errno.h>
#include <rte_mbuf_dyn.h>

int
buf_register(void)
{
	static const struct rte_mbuf_dynfield field = {
		.name = "carryall_tcp_buf",
		.size = sizeof(struct tcp_buf),
		.align = 8,
	};

	if (rte_mbuf_dynfield_register_offset(&field, TCP_BUF_OFFSET) < 0)
		return -rte_errno;
	return 0;
}
