/* SPDX-License-Identifier: BSD-3-Clause */
/* Asking a running appliance: one request, one JSON answer. */
#ifndef CARRYALL_CLIENT_H
#define CARRYALL_CLIENT_H

#include <jansson.h>
#include <stddef.h>

/*
 * The appliance that the user means: `given`, or the only one that runs, into
 * name[0..len). 0, or -1 after saying what to do on standard error.
 */
int client_name(const char *given, char *name, size_t len);

/*
 * Send `verb` to appliance `name` and wait for the answer. An object that the
 * caller frees; NULL after saying why on standard error. With `quiet` an
 * appliance that does not answer is not an error to speak of.
 */
json_t *client_ask(const char *name, const char *verb, int quiet);

/*
 * Ask it to stop, and wait until it has. 0, -1 if no control plane answers.
 */
int client_stop(const char *name);

#endif
