/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The texts of a grant: one array that they all share, each in it once.
 *
 * Pure. The same texts in the same order always come to the same places; the
 * check of a config counts them as the plan will place them.
 */
#ifndef CARRYALL_TEXTS_H
#define CARRYALL_TEXTS_H

#include <stddef.h>

#include "dataplane/grant.h"

struct texts {
	char *bytes; /* bytes[0..size): the caller's */
	uint32_t len, size;
};

/*
 * Add text[0..len), a NUL behind it, unless it is there already: where it is
 * goes to *at. 0, or -ENOSPC. No text at all takes no place. Thread: any.
 */
int texts_add(
	struct texts *t, const char *text, size_t len, struct grant_text *at);

#endif
