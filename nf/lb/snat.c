/* SPDX-License-Identifier: BSD-3-Clause */
#include "nf/lb/snat.h"

#include <errno.h>

#include <rte_byteorder.h>
#include <rte_malloc.h>
#include <rte_prefetch.h>
#include <rte_random.h>

/* Ports that snat_evict_closed() looks at for each SNAT address. */
#define EVICT_LOOKS 8

/*
 * The ports of one bucket: bit i set when port i is in use. A set is one such
 * record for each owned bucket, and nothing else.
 */
struct bucket_ports {
	uint32_t cursor; /* i that is tried next */
	uint32_t used;
	uint64_t bits[];
};

static uint32_t
bucket_bytes(uint32_t buckets)
{
	return (uint32_t)sizeof(struct bucket_ports) +
	       (snat_ports(buckets) + 63) / 64 * 8;
}

size_t
snat_set_memory(uint32_t buckets, uint32_t owned)
{
	return (size_t)owned * bucket_bytes(buckets);
}

void
snat_init(struct lb *lb)
{
	lb->ports = snat_ports(lb->mask + 1);
	lb->port_bytes = bucket_bytes(lb->mask + 1);
}

/*
 * Each bucket begins at a random port. An instance that was restarted would
 * else take the very ports first that its predecessor has used last, and that
 * backends still hold in TIME-WAIT.
 */
uint8_t *
snat_set_create(const struct lb *lb)
{
	uint8_t *set = rte_zmalloc(NULL, (size_t)lb->n_own * lb->port_bytes, 0);

	for (uint32_t i = 0; set != NULL && i < lb->n_own; i++) {
		struct bucket_ports *b =
			(void *)(set + (size_t)i * lb->port_bytes);

		b->cursor = (uint32_t)rte_rand_max(lb->ports);
	}
	return set;
}

static struct bucket_ports *
bucket_of(const struct lb *lb, uint8_t *set, uint32_t bucket)
{
	return (struct bucket_ports *)(void *)(set +
					       (size_t)lb->port_bytes *
						       lb->own_index[bucket]);
}

static uint16_t
port_of(const struct lb *lb, uint32_t i, uint32_t bucket)
{
	return rte_cpu_to_be_16(
		(uint16_t)(STEER_SNAT_PORT_MIN + i * (lb->mask + 1) + bucket));
}

static uint32_t
ctz(uint64_t bits)
{
	return (uint32_t)__builtin_ctzll(bits);
}

/*
 * The first clear bit in bits[0..n) at or behind `from`, going round; there
 * is one.
 */
static uint32_t
next_clear(const uint64_t *bits, uint32_t n, uint32_t from)
{
	uint32_t words = (n + 63) / 64, w = from / 64;
	uint64_t clear = ~bits[w] & ~0ull << (from % 64);

	for (;;) {
		/* Bits beyond n are clear, but no ports. */
		if (clear != 0 && w * 64 + ctz(clear) < n)
			return w * 64 + ctz(clear);
		w = w + 1 < words ? w + 1 : 0;
		clear = ~bits[w];
	}
}

static int
take_from(const struct lb *lb, uint8_t *set, uint32_t bucket, uint16_t *port)
{
	struct bucket_ports *b = bucket_of(lb, set, bucket);
	uint32_t i;

	if (b->used == lb->ports)
		return -ENOSPC;
	i = next_clear(b->bits, lb->ports, b->cursor);
	b->bits[i / 64] |= 1ull << (i % 64);
	b->used++;
	b->cursor = i + 1 < lb->ports ? i + 1 : 0;
	*port = port_of(lb, i, bucket);
	return 0;
}

/* The k-th SNAT slot to try for a hash. */
static uint16_t
nth_slot(const struct lb *lb, int family, uint32_t hash, uint32_t k)
{
	uint32_t n = lb->n_snat[family];
	uint32_t at = (uint32_t)((uint64_t)(hash * 0x9e3779b1u) * n >> 32) + k;

	return lb->snat_of[family][at < n ? at : at - n];
}

/* The record and, where it is longer than a line, the word of its cursor. */
static void
fetch(const struct lb *lb, uint8_t *set, uint32_t bucket)
{
	const uint8_t *at = (const uint8_t *)bucket_of(lb, set, bucket);

	rte_prefetch0(at);
	rte_prefetch0(at + 64);
}

void
snat_prefetch(const struct lb *lb, const struct lb_endpoint *endpoint,
	int family, uint32_t bucket, uint32_t hash)
{
	if (lb->n_snat[family] > 0)
		fetch(lb, endpoint->ports[nth_slot(lb, family, hash, 0)],
			bucket);
}

void
snat_prefetch_port(const struct lb *lb, const struct lb_endpoint *endpoint,
	uint16_t slot, uint16_t port)
{
	fetch(lb, endpoint->ports[slot], rte_be_to_cpu_16(port) & lb->mask);
}

int
snat_take(struct lb *lb, struct lb_endpoint *endpoint, int family,
	uint32_t bucket, uint32_t hash, uint16_t *slot, uint16_t *port)
{
	for (uint32_t k = 0; k < lb->n_snat[family]; k++) {
		uint16_t s = nth_slot(lb, family, hash, k);

		if (take_from(lb, endpoint->ports[s], bucket, port) == 0) {
			*slot = s;
			return 0;
		}
	}
	return -ENOSPC;
}

int
snat_claim(struct lb *lb, struct lb_endpoint *endpoint, uint16_t slot,
	uint16_t port)
{
	uint32_t host = rte_be_to_cpu_16(port);
	uint32_t i = (host - STEER_SNAT_PORT_MIN) / (lb->mask + 1);
	struct bucket_ports *b;

	if (host < STEER_SNAT_PORT_MIN || i >= lb->ports ||
		!lb_owns(lb, host & lb->mask))
		return -EINVAL;
	b = bucket_of(lb, endpoint->ports[slot], host & lb->mask);
	if (b->bits[i / 64] >> (i % 64) & 1)
		return -EEXIST;
	b->bits[i / 64] |= 1ull << (i % 64);
	b->used++;
	return 0;
}

void
snat_give(struct lb *lb, struct lb_endpoint *endpoint, uint16_t slot,
	uint16_t port)
{
	uint32_t host = rte_be_to_cpu_16(port);
	struct bucket_ports *b =
		bucket_of(lb, endpoint->ports[slot], host & lb->mask);
	uint32_t i = (host - STEER_SNAT_PORT_MIN) / (lb->mask + 1);

	b->bits[i / 64] &= ~(1ull << (i % 64));
	b->used--;
}

static struct flow *
flow_at_port(struct lb *lb, const struct lb_endpoint *e, uint16_t slot,
	uint16_t port)
{
	enum flow_dir dir;
	struct flow *f = flow_lookup(&lb->flows,
		flow_hash(lb->flows.key, &e->addr, &lb->snat[slot].addr,
			e->port, port, e->proto),
		&dir);

	if (f == NULL || dir != FLOW_BACKEND || f->snat != slot ||
		f->snat_port != port ||
		&lb->endpoint[lb->backend[f->backend].endpoint] != e)
		return NULL;
	return f;
}

static int
evict_at(struct lb *lb, struct lb_endpoint *e, uint16_t slot, uint32_t bucket)
{
	uint8_t *set = e->ports[slot];
	const struct bucket_ports *b = bucket_of(lb, set, bucket);
	uint32_t i = b->cursor;

	for (int look = 0; look < EVICT_LOOKS; look++) {
		struct flow *f =
			flow_at_port(lb, e, slot, port_of(lb, i, bucket));

		if (f != NULL && f->state == FLOW_CLOSED) {
			lb_close(lb, f);
			return 1;
		}
		i = i + 1 < lb->ports ? i + 1 : 0;
	}
	return 0;
}

int
snat_evict_closed(struct lb *lb, struct lb_endpoint *endpoint, int family,
	uint32_t bucket, uint32_t hash)
{
	for (uint32_t k = 0; k < lb->n_snat[family] && k < EVICT_LOOKS; k++)
		if (evict_at(lb, endpoint, nth_slot(lb, family, hash, k),
			    bucket))
			return 1;
	return 0;
}
