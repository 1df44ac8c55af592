/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The instance's side of the mailbox (struct mail in grant.h): a listening
 * socket it inherits, and the one control plane that is connected to it. A
 * control plane that dies is simply a connection that ends.
 */
#ifndef CARRYALL_MAILBOX_H
#define CARRYALL_MAILBOX_H

#include <stdbool.h>

#include "dataplane/grant.h"

struct mailbox {
	int listener;
	int peer;  /* -1: no control plane is connected */
	int epoll; /* watches both, and the doorbell */
};

/*
 * Handle one request: fill mail->status and mail->why. `fd` came with it, or
 * is -1; the handler owns it. Called on the instance's thread.
 */
typedef void (*mailbox_handler)(void *ctx, struct mail *mail, int fd);

/* Watch `listener`, and `doorbell` unless it is -1. 0 or -errno. */
int mailbox_init(struct mailbox *box, int listener, int doorbell);

/*
 * Wake mailbox_poll() also when `fd` becomes readable: once each time, it
 * need not be read. 0 or -errno.
 */
int mailbox_watch(struct mailbox *box, int fd);

/*
 * Wait up to `timeout_us` (0: only look) for mail or the doorbell, and handle
 * the mail. Never blocks on a peer that is slow.
 */
void mailbox_poll(struct mailbox *box, unsigned int timeout_us,
	mailbox_handler handler, void *ctx);

void mailbox_fini(struct mailbox *box);

#endif
