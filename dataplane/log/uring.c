/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/log/uring.h"

#include <errno.h>
#include <liburing.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "dataplane/clock.h"
#include "dataplane/log/file.h"

/* More than the log ever has in flight. */
#define ENTRIES 16

/*
 * Where the device has a volatile cache and no FUA, the flush behind a write
 * is sent by a kernel thread on the core that took the interrupt, and that
 * may be ours. It waits for a loop that never sleeps until the scheduler's
 * next tick: 4 ms instead of 70 us. So the loop gives way now and then, while
 * something is in flight.
 */
#define GIVE_WAY_NS 20000u

struct plog_uring {
	struct io_uring ring;
	int fd, event;
	bool dsync, attached;
	uint64_t size;
	uint32_t len[ENTRIES]; /* of what flies, by tag */
	uint32_t flying;
	uint64_t give_way_ns; /* when to, next time */
};

static void
give_way(struct plog_uring *u)
{
	uint64_t now;

	if (!u->dsync || u->flying == 0)
		return;
	now = clock_ns(CLOCK_MONOTONIC);
	if (now < u->give_way_ns)
		return;
	sched_yield();
	u->give_way_ns = now + GIVE_WAY_NS;
}

static ssize_t
read_at(void *ctx, uint64_t off, void *buf, size_t len)
{
	const struct plog_uring *u = ctx;

	return plog_file_read(u->fd, off, buf, len);
}

/* What the ring may do from now on: write to the file, and nothing else. */
static int
restrict_ring(struct plog_uring *u)
{
	struct io_uring_restriction r[] = {
		{ .opcode = IORING_RESTRICTION_SQE_OP,
			.sqe_op = IORING_OP_WRITE_FIXED },
		{ .opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED,
			.sqe_flags = IOSQE_FIXED_FILE },
	};
	int rc = io_uring_register_restrictions(
		&u->ring, r, sizeof(r) / sizeof(r[0]));

	return rc != 0 ? rc : io_uring_enable_rings(&u->ring);
}

static int
attach(void *ctx, void *base, size_t len)
{
	struct plog_uring *u = ctx;
	struct iovec iov = { base, len };
	int rc = io_uring_register_buffers(&u->ring, &iov, 1);

	if (rc == 0)
		rc = io_uring_register_files(&u->ring, &u->fd, 1);
	if (rc == 0)
		rc = io_uring_register_eventfd(&u->ring, u->event);
	if (rc == 0)
		rc = restrict_ring(u);
	if (rc == 0)
		rc = io_uring_cq_eventfd_toggle(&u->ring, false);
	u->attached = rc == 0;
	return rc;
}

static int
write_at(void *ctx, uint64_t off, const void *buf, uint32_t len, uint32_t tag)
{
	struct plog_uring *u = ctx;
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

	if (sqe == NULL)
		return -EAGAIN;
	io_uring_prep_write_fixed(sqe, 0, buf, len, off, 0);
	sqe->flags |= IOSQE_FIXED_FILE;
	sqe->rw_flags = u->dsync ? RWF_DSYNC : 0;
	sqe->user_data = tag;
	u->len[tag] = len;
	if (u->flying++ == 0 && u->dsync)
		u->give_way_ns = clock_ns(CLOCK_MONOTONIC) + GIVE_WAY_NS;
	return 0;
}

/* A write that was cut short is repeated as a whole, as one that failed. */
static int32_t
result(const struct plog_uring *u, uint64_t tag, int32_t res)
{
	if (res < 0)
		return res;
	return (uint32_t)res == u->len[tag] ? 0 : -EIO;
}

static unsigned int
reap(void *ctx, struct plog_done *done, unsigned int max)
{
	struct plog_uring *u = ctx;
	struct io_uring_cqe *cqe[ENTRIES];
	unsigned int n;

	/* What the kernel does not take now stays in the ring: next time. */
	if (io_uring_sq_ready(&u->ring) > 0)
		io_uring_submit_and_get_events(&u->ring);
	n = io_uring_peek_batch_cqe(
		&u->ring, cqe, max < ENTRIES ? max : ENTRIES);
	if (n == 0)
		give_way(u);
	u->flying -= n;
	for (unsigned int i = 0; i < n; i++)
		done[i] = (struct plog_done){ (uint32_t)cqe[i]->user_data,
			result(u, cqe[i]->user_data, cqe[i]->res) };
	io_uring_cq_advance(&u->ring, n);
	return n;
}

struct plog_io
plog_uring_io(struct plog_uring *u)
{
	return (struct plog_io){ .ctx = u,
		.size = u->size,
		.read = read_at,
		.attach = attach,
		.write = write_at,
		.reap = reap };
}

int
plog_uring_doorbell(const struct plog_uring *u)
{
	return u->event;
}

static bool
something_ended(struct plog_uring *u)
{
	return io_uring_cq_ready(&u->ring) > 0 ||
	       (IO_URING_READ_ONCE(*u->ring.sq.kflags) & IORING_SQ_TASKRUN);
}

bool
plog_uring_sleep(struct plog_uring *u)
{
	io_uring_cq_eventfd_toggle(&u->ring, true);
	/* What ends between the two is seen by the one or the other. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!something_ended(u))
		return true;
	plog_uring_awake(u);
	return false;
}

void
plog_uring_awake(struct plog_uring *u)
{
	io_uring_cq_eventfd_toggle(&u->ring, false);
}

/*
 * Completions are posted when this thread asks for them, and not by
 * interrupting it (since Linux 6.1).
 */
static int
ring_make(struct plog_uring *u)
{
	return io_uring_queue_init(ENTRIES, &u->ring,
		IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER |
			IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG);
}

struct plog_uring *
plog_uring_create(int fd, uint64_t size, bool dsync, char *why, size_t len)
{
	struct plog_uring *u = calloc(1, sizeof(*u));
	int rc;

	if (u == NULL) {
		snprintf(why, len, "no memory for the log");
		return NULL;
	}
	u->fd = fd;
	u->size = size;
	u->dsync = dsync;
	u->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	rc = u->event < 0 ? -errno : ring_make(u);
	if (rc == 0)
		return u;
	snprintf(why, len, "io_uring: %s%s", strerror(-rc),
		rc == -EPERM    ? "; see sysctl kernel.io_uring_disabled"
		: rc == -EINVAL ? "; it takes Linux 6.1 or later"
				: "");
	if (u->event >= 0)
		close(u->event);
	free(u);
	errno = -rc;
	return NULL;
}

void
plog_uring_destroy(struct plog_uring *u)
{
	io_uring_queue_exit(&u->ring);
	close(u->event);
	close(u->fd);
	free(u);
}
