/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What stands beside echo on a VNIC, in processes that are started as
 * instances are:
 *
 *   limit   no framework: receive, swap addresses and ports, send. What is
 *           left when all but the VNIC is taken away.
 *   delay   echo, but each packet is worked on for some time before.
 *   copy    the same, through an interface that copies as read() and write()
 *           do: each packet into a buffer of the application's, which echo
 *           works on, and from there into a new packet.
 *
 * How long a packet is worked on stands in the name of the service: "us16",
 * "us0". limit does so, too.
 */
#ifndef PERF_BARE_H
#define PERF_BARE_H

#include "dataplane/nf.h"

extern const struct nf nf_delay, nf_copy;

/* Known to the configuration; its process runs bare_run(). */
extern const struct nf nf_limit;

/* For softlab_child(). */
int bare_run(void);

#endif
