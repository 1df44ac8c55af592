/* SPDX-License-Identifier: BSD-3-Clause */
/* Log records on standard output: lines for people, or JSON, one a line. */
#ifndef CARRYALL_LOG_PRINT_H
#define CARRYALL_LOG_PRINT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "dataplane/log/read.h"
#include "dataplane/nf.h"

struct log_print {
	FILE *out;
	const struct nf *nf; /* whose records they are; NULL: not known */
	bool json;
	uint64_t last; /* LSN printed; 0: none */
};

/*
 * Print one record; before it, how many were missed since the last one. 0, or
 * -EPIPE when nobody reads any more.
 */
int log_print_record(struct log_print *p, const struct plog_record *r);

/* Milliseconds of CLOCK_REALTIME as text, UTC. Returns buf. */
const char *log_print_time(uint64_t wall_ms, char separator, char buf[32]);

#endif
