/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control socket, /run/carryall/NAME/control.sock, root only: a client
 * sends one line, a verb, and reads one JSON object until the end of the
 * stream. Requests are answered from memory, so that an answer takes
 * milliseconds also under full load; a client that does not read is let go
 * after five seconds and holds up nobody.
 */
#ifndef CARRYALL_API_H
#define CARRYALL_API_H

#include <jansson.h>
#include <systemd/sd-event.h>

#include "ctrl/rundir.h"

/*
 * Answer a request. The object returned is given to the client and freed;
 * NULL keeps the client waiting until the process ends (for "stop").
 */
typedef json_t *(*api_handler)(void *ctx, const char *verb);

struct api;

/* 0 or -errno. Thread: control, as the handler. */
int api_create(struct api **out, sd_event *event, const struct rundir *dir,
	api_handler handler, void *ctx);
void api_free(struct api *api);

#endif
