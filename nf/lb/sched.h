/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Schedulers: which backend a new connection goes to.
 *
 * The members are the service's live backends of weight above 0. Maglev
 * looks a place of its table up. The other two keep the members in a heap
 * and take the lowest key:
 *
 *   round robin        stride scheduling (Waldspurger 1995): the key moves on
 *                      by 1/weight with each connection, which interleaves
 *                      weights smoothly
 *   least connections  (connections + 1) / weight
 *
 * A member without a resolved next hop is passed over.
 */
#ifndef CARRYALL_LB_SCHED_H
#define CARRYALL_LB_SCHED_H

#include <stddef.h>
#include <stdint.h>

#include "nf/lb/lb.h"

/* Bytes of a scheduler of `kind` (enum grant_scheduler) with n members. */
size_t sched_memory(uint8_t kind, uint32_t n);

/*
 * Make a scheduler over the backend slots slot[0..n), n > 0. Takes
 * addresses, weights and connections from lb->backend but changes nothing
 * there. By rte_free() free; NULL when memory is out.
 */
struct lb_sched *sched_create(const struct lb *lb, uint8_t kind,
	const uint16_t *slot, const uint16_t *weight, uint32_t n);

/* 1 if `s`, which may be NULL, is what sched_create() would make, else 0. */
int sched_is(const struct lb_sched *s, uint8_t kind, const uint16_t *slot,
	const uint16_t *weight, uint32_t n);

/* Bytes that `s` takes. */
size_t sched_bytes(const struct lb_sched *s);

/* Put `s` in force: its members learn their places, connections count. */
void sched_start(struct lb *lb, struct lb_sched *s);

/*
 * The backend slot for a connection of hash `hash` (any 32 bits), or LB_NONE
 * if no member has a next hop.
 */
uint16_t sched_pick(struct lb *lb, struct lb_sched *s, uint32_t hash);

/* The number of connections of member backend `b` has changed. */
void sched_count(struct lb_sched *s, const struct lb_backend *b);

#endif
