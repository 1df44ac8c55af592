/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include <rte_common.h>

#include "nf/lb/lb.h"

static uint32_t
service_hash(const struct ip_addr *addr, uint16_t port, uint8_t proto)
{
	uint32_t h = addr->w[0] ^ addr->w[1] * 0x9e3779b1u;

	h = (h ^ addr->w[2]) * 0x85ebca6bu;
	h = (h ^ addr->w[3]) * 0xc2b2ae35u;
	h = (h ^ ((uint32_t)port << 8 | proto)) * 0x27d4eb2fu;
	return h >> 24;
}

_Static_assert(RTE_DIM(((struct lb *)0)->service_index) == 256,
	"service_hash() yields 8 bits");
_Static_assert(LB_SERVICES < UINT8_MAX, "a slot + 1 fits service_index");

static int
service_is(const struct lb_service *s, const struct ip_addr *addr,
	uint16_t port, uint8_t proto)
{
	return s->port == port && s->proto == proto &&
	       ip_addr_eq(&s->addr, addr);
}

uint16_t
lb_service_find(const struct lb *lb, const struct ip_addr *addr, uint16_t port,
	uint8_t proto)
{
	uint8_t h = (uint8_t)service_hash(addr, port, proto);

	for (; lb->service_index[h] != 0; h++) {
		uint16_t slot = lb->service_index[h] - 1;

		if (service_is(&lb->service[slot], addr, port, proto))
			return slot;
	}
	return LB_NONE;
}

void
lb_service_index(struct lb *lb)
{
	memset(lb->service_index, 0, sizeof(lb->service_index));
	for (uint16_t slot = 0; slot < LB_SERVICES; slot++) {
		const struct lb_service *s = &lb->service[slot];
		uint8_t h;

		if (!s->live)
			continue;
		h = (uint8_t)service_hash(&s->addr, s->port, s->proto);
		while (lb->service_index[h] != 0)
			h++;
		lb->service_index[h] = (uint8_t)(slot + 1);
	}
}

uint16_t
lb_snat_find(const struct lb *lb, const struct ip_addr *addr)
{
	for (uint16_t slot = 0; slot < LB_SNATS; slot++)
		if (lb->snat[slot].used &&
			ip_addr_eq(&lb->snat[slot].addr, addr))
			return slot;
	return LB_NONE;
}
