/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Headers of the PROXY protocol: what comes of one must not depend on how much
 * of it, or of what follows, has come; and one that is taken is written, and
 * read again.
 *
 * Input: a byte of which versions are taken, then the bytes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/grant.h"
#include "nf/proxy/proxyproto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NEED(what)               \
	do {                     \
		if (!(what))     \
			abort(); \
	} while (0)

/* In memory of just its size. */
static ssize_t
parse(const uint8_t *data, size_t len, uint8_t accept, struct proxyproto *p)
{
	uint8_t *copy = malloc(len > 0 ? len : 1);
	const char *why = NULL;
	ssize_t n;

	NEED(copy != NULL);
	memcpy(copy, data, len);
	n = proxyproto_parse(copy, len, accept, p, &why);
	free(copy);
	NEED(n == -EAGAIN || n == -EBADMSG || (n > 0 && (size_t)n <= len));
	NEED((n == -EBADMSG) == (why != NULL));
	return n;
}

static void
write_and_read(struct proxyproto *p)
{
	struct proxyproto q;
	uint8_t out[PROXYPROTO_OUT];
	size_t n;

	for (p->version = 1; p->version <= 2; p->version++) {
		n = proxyproto_write(p, out);
		NEED(n > 0 && n <= sizeof(out));
		NEED(parse(out, n, GRANT_PROXY_ANY, &q) == (ssize_t)n);
		NEED(q.version == p->version);
		NEED(q.known == (p->known && ip_addr_is_v4(&p->src) ==
						     ip_addr_is_v4(&p->dst)));
		if (!q.known)
			continue;
		NEED(ip_addr_eq(&q.src, &p->src) &&
			ip_addr_eq(&q.dst, &p->dst));
		NEED(q.sport == p->sport && q.dport == p->dport);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t accepts[] = { GRANT_PROXY_V1, GRANT_PROXY_V2,
		GRANT_PROXY_ANY };
	struct proxyproto p;
	ssize_t n, last = -EAGAIN;
	uint8_t accept;

	if (size < 1)
		return 0;
	accept = accepts[data[0] % 3];
	for (size_t len = 0; len < size; len++) {
		n = parse(data + 1, len, accept, &p);
		NEED(last == -EAGAIN || last == n);
		last = n;
	}
	if (last > 0)
		write_and_read(&p);
	return 0;
}
