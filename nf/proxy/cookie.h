/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stickiness by a cookie of ours: the client brings back which backend it was
 * on.
 *
 *   Set-Cookie: NAME=5d0a6f1c9e2b7a43; Path=/; HttpOnly; SameSite=Lax
 *
 * The value is a keyed hash of the backend's address and port, so it says
 * nothing about the inside to the outside, cannot be made up for a backend of
 * choice, and needs no table: every instance, and every restart, computes the
 * same, as long as the grant's seed is the same.
 *
 * The key is the seed alone (steer_seed), expanded by secret_init(): 32 bits.
 * Who finds it out can choose their backend, no more.
 */
#ifndef CARRYALL_PROXY_COOKIE_H
#define CARRYALL_PROXY_COOKIE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "dataplane/grant.h"
#include "nf/proxy/http.h"

struct tcp_secret;

#define COOKIE_VALUE 16 /* hex digits */

/* Longest line that cookie_set() makes. */
#define COOKIE_NAME_MAX 256
#define COOKIE_LINE_MAX (COOKIE_NAME_MAX + 80)

/* The key of a grant's cookies. 0 or -errno. */
int cookie_key(struct tcp_secret *key, const struct grant *g);

/* What stands for backend `b`: never 0. Kept by the caller, per backend. */
uint64_t cookie_id(const struct tcp_secret *key, const struct grant_backend *b);

/*
 * The backend's id in the request's cookie `name`, the first of that name; 0
 * if there is none or its value is not of our making.
 */
uint64_t cookie_find(const struct http_parser *p, const char *buf,
	const char *name, size_t name_len);

/*
 * Write the Set-Cookie line, CR LF included, to out[0..COOKIE_LINE_MAX). Its
 * length; 0 if `name` is longer than COOKIE_NAME_MAX.
 */
size_t cookie_set(const char *name, size_t name_len, uint64_t id, char *out);

/*
 * Copy a Cookie field's value[0..len) to `out` (room for len bytes; NULL: just
 * tell the length) without cookies called `name`. Bytes written: 0 if nothing
 * else was in it; len if it was not, and then nothing is changed.
 */
size_t cookie_cut(const char *value, size_t len, const char *name,
	size_t name_len, char *out);

#endif
