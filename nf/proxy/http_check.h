/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The checks of a head that are ours; between http_head.c, which finds what is
 * to be checked, and http_check.c. Each returns 0, or -EBADMSG with p->error
 * set.
 */
#ifndef CARRYALL_PROXY_HTTP_CHECK_H
#define CARRYALL_PROXY_HTTP_CHECK_H

#include "nf/proxy/http.h"

/* Set p->error, if it is not set yet. Of a response, status is 502. */
int http_fail(
	struct http_parser *p, uint16_t status, size_t at, const char *why);

/*
 * The start line, once it is complete within buf[0..len); -EAGAIN: it is not.
 */
int http_check_start(struct http_parser *p, const char *buf, size_t len);

/* The line of field i, which llhttp has gone beyond by a byte. */
int http_check_field(struct http_parser *p, const char *buf, uint32_t i);

/* The end of the head, and what its fields say together. */
int http_check_head(struct http_parser *p, const char *buf);

#endif
