/* SPDX-License-Identifier: BSD-3-Clause */
/* The status object as text for people: see ctrl/status.h for its shape. */
#ifndef CARRYALL_SHOW_H
#define CARRYALL_SHOW_H

#include <jansson.h>
#include <stdio.h>

/*
 * Print `now`. With `before`, an older answer, and the seconds between, rates
 * are printed in the place of totals.
 */
void show_status(
	FILE *out, const json_t *now, const json_t *before, double seconds);

#endif
