/* SPDX-License-Identifier: BSD-3-Clause */
/* Answers that the proxy gives itself. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "nf/proxy/http_write.h"

static const struct {
	uint16_t status;
	const char *text;
} known[] = {
	{ 400, "Bad Request" },
	{ 403, "Forbidden" },
	{ 404, "Not Found" },
	{ 408, "Request Timeout" },
	{ 413, "Content Too Large" },
	{ 414, "URI Too Long" },
	{ 417, "Expectation Failed" },
	{ 421, "Misdirected Request" },
	{ 429, "Too Many Requests" },
	{ 431, "Request Header Fields Too Large" },
	{ 500, "Internal Server Error" },
	{ 501, "Not Implemented" },
	{ 502, "Bad Gateway" },
	{ 503, "Service Unavailable" },
	{ 504, "Gateway Timeout" },
	{ 505, "HTTP Version Not Supported" },
};

#define KNOWN (sizeof(known) / sizeof(known[0]))

static const char *
find_text(uint16_t status)
{
	for (size_t i = 0; i < KNOWN; i++)
		if (known[i].status == status)
			return known[i].text;
	return NULL;
}

const char *
http_status_text(uint16_t status)
{
	const char *text = find_text(status);

	return text != NULL ? text : "Error";
}

/* no-store: some of these statuses are kept by caches unless told not to. */
ssize_t
http_write_error(uint16_t status, const char *body, size_t body_len, bool keep,
	bool head_only, char *out, size_t room)
{
	const char *text = find_text(status);
	char own[256];
	int n;

	if (text == NULL)
		return -EINVAL;
	if (body == NULL) {
		n = snprintf(own, sizeof(own),
			"<html><head><title>%u %s</title></head>"
			"<body><h1>%u %s</h1></body></html>\n",
			status, text, status, text);
		body = own;
		body_len = (size_t)n;
	}
	n = snprintf(out, room,
		"HTTP/1.1 %u %s\r\n"
		"Content-Type: text/html\r\n"
		"Content-Length: %zu\r\n"
		"Cache-Control: no-store\r\n"
		"%s\r\n",
		status, text, body_len, keep ? "" : "Connection: close\r\n");
	if ((size_t)n >= room || (!head_only && room - (size_t)n < body_len))
		return -ENOBUFS;
	if (head_only)
		return n;
	memcpy(out + n, body, body_len);
	return n + (ssize_t)body_len;
}
