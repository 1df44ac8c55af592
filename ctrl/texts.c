/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/texts.h"

#include <errno.h>
#include <string.h>

/* Where text[0..len) with a NUL behind it is, or NULL. */
static const char *
find(const struct texts *t, const char *text, size_t len)
{
	const char *end = t->bytes + t->len, *p = t->bytes;

	while ((p = memmem(p, (size_t)(end - p), text, len)) != NULL) {
		if (p + len < end && p[len] == '\0')
			return p;
		p++;
	}
	return NULL;
}

int
texts_add(struct texts *t, const char *text, size_t len, struct grant_text *at)
{
	const char *p;

	*at = (struct grant_text){ 0 };
	if (len == 0)
		return 0;
	p = find(t, text, len);
	if (p == NULL && len >= t->size - t->len)
		return -ENOSPC;
	if (p == NULL) {
		p = t->bytes + t->len;
		memcpy(t->bytes + t->len, text, len);
		t->bytes[t->len + len] = '\0';
		t->len += (uint32_t)len + 1;
	}
	*at = (struct grant_text){ (uint32_t)(p - t->bytes), (uint32_t)len };
	return 0;
}
