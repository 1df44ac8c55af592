/* SPDX-License-Identifier: BSD-3-Clause */
/* Making the list of a configuration's faults. */
#ifndef CARRYALL_CONFIG_FAULT_H
#define CARRYALL_CONFIG_FAULT_H

#include <stdarg.h>

#include "ctrl/config.h"

/* More faults than this are not worth reading; the last says so. */
#define FAULTS_MAX 1000

/*
 * Add a fault at `file`:`line`. Control characters in the text, as from a
 * value quoted, become '?', so that a fault stays one line.
 */
void faults_add(struct config_faults *faults, const char *file, int line,
	const char *format, ...) __attribute__((format(printf, 4, 5)));

void faults_add_va(struct config_faults *faults, const char *file, int line,
	const char *format, va_list args) __attribute__((format(printf, 4, 0)));

/*
 * Sort by file, in the order of file[0..n), and by line; of equal faults at
 * one place one stays.
 */
void faults_sort(
	struct config_faults *faults, char (*file)[256], unsigned int n);

/*
 * The number of single-letter changes (insert, delete, replace, swap of
 * neighbours) from `a` to `b`: the optimal string alignment distance. Text
 * beyond 63 letters is not looked at.
 */
unsigned int text_distance(const char *a, const char *b);

/*
 * The one of names[0..n) that `text` was most likely meant to be, or NULL if
 * none is near. Entries may be NULL.
 */
const char *text_nearest(
	const char *text, const char *const *names, unsigned int n);

#endif
