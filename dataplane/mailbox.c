/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/mailbox.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum source { SOURCE_LISTENER, SOURCE_PEER, SOURCE_DOORBELL };

static int
watch(struct mailbox *box, int fd, enum source source, uint32_t more)
{
	struct epoll_event ev = { .events = EPOLLIN | more,
		.data.u32 = source };

	return epoll_ctl(box->epoll, EPOLL_CTL_ADD, fd, &ev) == 0 ? 0 : -errno;
}

int
mailbox_init(struct mailbox *box, int listener, int doorbell)
{
	int rc;

	box->listener = listener;
	box->peer = -1;
	box->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (box->epoll < 0)
		return -errno;
	rc = watch(box, listener, SOURCE_LISTENER, 0);
	if (rc == 0 && doorbell >= 0)
		rc = watch(box, doorbell, SOURCE_DOORBELL, 0);
	if (rc != 0)
		close(box->epoll);
	return rc;
}

int
mailbox_watch(struct mailbox *box, int fd)
{
	return watch(box, fd, SOURCE_DOORBELL, EPOLLET);
}

static void
peer_close(struct mailbox *box)
{
	close(box->peer);
	box->peer = -1;
}

/*
 * The newest control plane counts: it holds the lock of the appliance, so a
 * former one is dead or about to be.
 */
static void
peer_accept(struct mailbox *box)
{
	int fd = accept4(
		box->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	if (box->peer >= 0)
		peer_close(box);
	box->peer = fd;
	if (watch(box, fd, SOURCE_PEER, 0) != 0)
		peer_close(box);
}

/* Take one message; 0, or -errno when the peer is gone or talks nonsense. */
static int
mail_receive(int fd, struct mail *mail, int *attached)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { mail, sizeof(*mail) };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	struct cmsghdr *c;
	ssize_t n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	*attached = -1;
	if (n < 0)
		return -errno;
	c = CMSG_FIRSTHDR(&msg);
	if (c != NULL && c->cmsg_level == SOL_SOCKET &&
		c->cmsg_type == SCM_RIGHTS &&
		c->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(attached, CMSG_DATA(c), sizeof(int));
	if (n == (ssize_t)sizeof(*mail))
		return 0;
	if (*attached >= 0)
		close(*attached);
	return n == 0 ? -EPIPE : -EPROTO;
}

static void
peer_serve(struct mailbox *box, mailbox_handler handler, void *ctx)
{
	struct iovec iov;
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct mail mail;
	int attached, rc;

	rc = mail_receive(box->peer, &mail, &attached);
	if (rc == -EAGAIN || rc == -EINTR)
		return;
	if (rc != 0) {
		peer_close(box);
		return;
	}
	mail.status = 0;
	memset(mail.why, 0, sizeof(mail.why));
	handler(ctx, &mail, attached);
	iov.iov_base = &mail;
	iov.iov_len = sizeof(mail);
	if (sendmsg(box->peer, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		peer_close(box);
}

void
mailbox_poll(struct mailbox *box, unsigned int timeout_us,
	mailbox_handler handler, void *ctx)
{
	struct epoll_event ev[4];
	int n = epoll_wait(box->epoll, ev, 4, (int)(timeout_us + 999) / 1000);

	for (int i = 0; i < n; i++) {
		if (ev[i].data.u32 == SOURCE_LISTENER)
			peer_accept(box);
		else if (ev[i].data.u32 == SOURCE_PEER && box->peer >= 0)
			peer_serve(box, handler, ctx);
	}
}

void
mailbox_fini(struct mailbox *box)
{
	if (box->peer >= 0)
		peer_close(box);
	close(box->epoll);
	close(box->listener);
}
