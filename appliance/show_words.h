/* SPDX-License-Identifier: BSD-3-Clause */
/* What the parts of `carryall status` share: values out of the answer. */
#ifndef CARRYALL_SHOW_WORDS_H
#define CARRYALL_SHOW_WORDS_H

#include <jansson.h>
#include <stdio.h>

/* A counter, or its rate when there is a former value. */
struct lens {
	double seconds; /* 0: totals */
};

/* A text, "-" if there is none; a number, 0 if there is none. */
const char *show_text(const json_t *o, const char *key);
double show_number(const json_t *o, const char *key);

/* 12345678 -> "12.3M", right for a column of seven. Returns buf. */
const char *show_human(double n, char buf[16]);

/* A counter through the lens. */
double show_seen(struct lens lens, const json_t *now, const json_t *before,
	const char *key);

/* TITLE"name 12, other 3" of an object of counters, or nothing. */
void show_counters(FILE *out, const char *title, const json_t *counters);

/* Of a proxy: an instance's TCP, a service, a function's access log. Each
 * shows nothing where it is NULL. */
void show_tcp(FILE *out, const json_t *t, const json_t *b, struct lens lens);
void show_proxy_service(
	FILE *out, const json_t *s, const json_t *b, struct lens lens);
void show_access_log(FILE *out, const json_t *a);

#endif
