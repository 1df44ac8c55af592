/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One line of the access log, from a record that an instance wrote. Neither
 * it nor the client whose words are in it is trusted: whatever the bytes, a
 * line is one line, and a quoted field ends at its quote.
 *
 * Pure. Thread: any.
 */
#ifndef CARRYALL_ACCESS_LINE_H
#define CARRYALL_ACCESS_LINE_H

#include <stddef.h>

#include "ctrl/config.h"
#include "dataplane/access.h"

/* No line is longer: six bytes for each of a text, and the rest. */
#define ACCESS_LINE_MAX (6 * ACCESS_TEXT_MAX + 2048)

/*
 * The line of `r`, whose texts follow each other in text[], into buf[0..size)
 * with its line feed and no NUL; size is ACCESS_LINE_MAX at least. `g` is the
 * instance's grant, for names. Returns the line's length.
 */
int access_line(enum config_access_format format, const struct grant *g,
	const struct access_record *r, const char *text, char *buf,
	size_t size);

/* Of an enum stats_http_error, its word: "no_backend"; else "unknown". */
const char *http_error_name(uint32_t error);

#endif
