/* SPDX-License-Identifier: BSD-3-Clause */
/* The control plane's side of the mailbox: see struct mail in grant.h. */
#ifndef CARRYALL_MAIL_H
#define CARRYALL_MAIL_H

#include <sys/types.h>

#include "dataplane/grant.h"

/* Ask the kernel to say who sends the answers. 0 or -errno. */
int mail_prepare(int fd);

/* Send a request, with descriptor `attach` unless it is -1. 0 or -errno. */
int mail_send(int fd, enum mail_op op, int attach);

/*
 * Take an answer, and the process that the kernel says sent it. 0, -EAGAIN,
 * -EPIPE when the other side is gone, -EPROTO for what is no mail.
 */
int mail_take(int fd, struct mail *mail, pid_t *sender);

#endif
