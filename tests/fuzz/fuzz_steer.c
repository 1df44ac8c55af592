/* SPDX-License-Identifier: BSD-3-Clause */
/* The parser of frames: any bytes, both directions. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/steer_packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What has a connection has a protocol of ours, and ports unless ICMP's. */
static void
check(const struct steer_packet *pkt)
{
	const struct steer_tuple *c = &pkt->conn;

	if (pkt->kind > STEER_K_ERROR)
		abort();
	if (pkt->kind == STEER_K_ECHO &&
		(c->proto != STEER_PROTO_ICMP || c->sport || c->dport))
		abort();
	if ((pkt->kind == STEER_K_FLOW || pkt->kind == STEER_K_ERROR) &&
		c->proto != STEER_PROTO_TCP && c->proto != STEER_PROTO_UDP)
		abort();
	if (pkt->kind >= STEER_K_FRAGMENT &&
		ip_addr_is_v4(&c->src) != ip_addr_is_v4(&c->dst))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct steer_packet pkt;

	memset(&pkt, 0, sizeof(pkt));
	steer_parse(data, data + size, STEER_IN, &pkt);
	check(&pkt);
	steer_parse(data, data + size, STEER_OUT, &pkt);
	check(&pkt);
	return 0;
}
