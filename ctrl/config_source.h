/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The text of a configuration: its file and all it includes, made into one
 * text for libconfig, with the way back from a line of that text to the file
 * and line it stands in.
 */
#ifndef CARRYALL_CONFIG_SOURCE_H
#define CARRYALL_CONFIG_SOURCE_H

#include <stdbool.h>
#include <stddef.h>

#include "ctrl/config.h"

#define SOURCE_FILES_MAX 64        /* the file and its includes */
#define SOURCE_DEPTH_MAX 10        /* includes within includes */
#define SOURCE_BYTES_MAX (4 << 20) /* of one file, and of all */
#define SOURCE_NEST_MAX  16        /* brackets within brackets */

struct source_origin {
	unsigned int file;
	int line;
};

struct source {
	char *text; /* what libconfig reads, NUL-terminated */
	size_t len, size;
	struct source_origin *origin; /* origin[i]: of line i + 1 of text */
	size_t n_lines, lines_size;
	char (*file)[256]; /* names, in the order they were met */
	unsigned int n_files;
	bool failed; /* a fault was found: no use parsing it */

	/* while it is being made */
	struct config_faults *faults;
	unsigned int nest;
	bool after_string;
};

/*
 * Read the file `path` with its includes. A relative include is looked for
 * beside the file that includes it. 0, or -EINVAL with the reasons in
 * `faults`. source_free() in either case. Thread: any; blocks on files.
 */
int source_read(
	struct source *s, const char *path, struct config_faults *faults);

/* The same from text[0..len), as if it were the file `path`. */
int source_read_text(struct source *s, const char *path, const char *text,
	size_t len, struct config_faults *faults);

void source_free(struct source *s);

/*
 * Where line `line` of the text comes from; line 0 is the whole file. Returns
 * the line; *file is s's own.
 */
int source_line(const struct source *s, int line, const char **file);

#endif
