/* SPDX-License-Identifier: BSD-3-Clause */
#include "nf/lb/hold.h"

#include <errno.h>

#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_prefetch.h>

#include "dataplane/log/plog.h"
#include "nf/lb/lb.h"

int
hold_init(struct hold *h)
{
	h->ring = rte_zmalloc(NULL, HOLD_BYTES, RTE_CACHE_LINE_SIZE);
	return h->ring == NULL ? -ENOMEM : 0;
}

static struct hold_packet *
nth(const struct hold *h, uint32_t i)
{
	return &h->ring[(h->first + i) % HOLD_MAX];
}

void
hold_fini(struct hold *h)
{
	for (uint32_t i = 0; i < h->n; i++)
		rte_pktmbuf_free(nth(h, i)->m);
	rte_free(h->ring);
	*h = (struct hold){ 0 };
}

int
hold_has_room(const struct hold *h, const struct flow *f)
{
	return h->n < HOLD_MAX && f->held < UINT8_MAX;
}

void
hold_put(struct lb *lb, struct flow *f, struct rte_mbuf *m)
{
	struct hold *h = &lb->hold;

	*nth(h, h->n++) = (struct hold_packet){ .m = m,
		.lsn = lb->log->lsn,
		.flow = flow_index(&lb->flows, f),
		.client = f->client.w[3],
		.client_port = f->client_port,
		.snat_port = f->snat_port };
	f->held++;
	lb->env->stats->log.held = h->n;
}

/* The connection that `p` is of, or NULL: it has ended. */
static struct flow *
flow_of_packet(const struct lb *lb, const struct hold_packet *p)
{
	struct flow *f = &lb->flows.flow[p->flow];

	return f->state != FLOW_FREE && f->held > 0 &&
			       f->client.w[3] == p->client &&
			       f->client_port == p->client_port &&
			       f->snat_port == p->snat_port
		       ? f
		       : NULL;
}

/* 1 if it was emitted, 0 if its connection is no more. */
static uint16_t
release_one(struct lb *lb, const struct hold_packet *p)
{
	struct flow *f = flow_of_packet(lb, p);

	if (f == NULL) {
		rte_pktmbuf_free(p->m);
		return 0;
	}
	f->held--;
	nf_emit(lb->env, p->m);
	return 1;
}

bool
hold_release(struct lb *lb, uint64_t durable)
{
	struct hold *h = &lb->hold;
	uint16_t room = nf_room(lb->env);

	while (h->n > 0 && room > 0 && nth(h, 0)->lsn <= durable) {
		rte_prefetch0(&lb->flows.flow[nth(h, 8)->flow]);
		room -= release_one(lb, nth(h, 0));
		h->first++;
		h->n--;
	}
	lb->env->stats->log.held = h->n;
	return h->n > 0 && nth(h, 0)->lsn <= durable;
}
