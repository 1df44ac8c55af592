/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The image: what a log says there was, as its records are read.
 *
 * Connections go straight into the table's entries, at the index they had, but
 * with no keys, ports or lists yet: state, stamp and what the record says, and
 * in link.prev the number of definitions before it. What is beyond the table
 * is kept aside (spill.h).
 *
 * What slots meant is kept as well. Definitions that change something are
 * numbered: a connection that was recorded before a slot that it names was
 * redefined has ended since.
 *
 * Nothing in a record is believed: whatever the bytes are, memory is bounded,
 * and what does not fit is counted and left out.
 */
#ifndef CARRYALL_LB_IMAGE_H
#define CARRYALL_LB_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/log/plog.h"
#include "nf/lb/lb.h"
#include "nf/lb/spill.h"

/* What a slot meant. `of`: protocol of a service, service of a backend. */
struct meaning {
	struct ip_addr addr;
	uint16_t port, of;
};

struct slot {
	struct meaning is;
	uint32_t since; /* number of its definition */
	bool used;
	bool live; /* the grant has it, in the same slot: recover.c */
};

struct image {
	struct flow_table *flows; /* whose entries are filled */
	const struct plog *log;   /* that the records are of */
	uint64_t now_ms;          /* the clock of stamps */
	uint32_t defined;         /* definitions that changed something */
	struct slot service[LB_SERVICES];
	struct slot backend[LB_BACKENDS];
	struct slot snat[LB_SNATS];
	struct spill spill;
	uint64_t bad; /* records that say nothing that can be */

	uint64_t block; /* seq of the last record's block, and its age */
	uint64_t block_age;
};

/* An empty one, all zero before; the table is empty, too. */
void image_init(struct image *m, struct flow_table *flows,
	const struct plog *log, uint64_t now_ms);

void image_fini(struct image *m);

/* A plog_record_fn: take one more record; `ctx` is the image. 0. */
int image_record(void *ctx, const struct plog_record *r);

/* Which of slot[0..n) means `is`, or LB_NONE. */
uint16_t image_find(
	const struct slot *slot, uint32_t n, const struct meaning *is);

/* Have all slots that `f`, of the image, names the meaning they then had? */
bool image_is_defined(const struct image *m, const struct flow *f);

#endif
