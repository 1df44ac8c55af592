/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One thread waits for all: for sockets to appear (inotify), for what
 * instances say (epoll), for the loop (an eventfd). It alone connects, maps
 * and closes, so the state of a peer needs no lock. Three words of a peer are
 * shared:
 *
 *   word     written by                    read by
 *   link     our thread                    the loop
 *   lost     the SIGBUS handler, any       the loop, our thread
 *   broken   the loop (1), our thread (0)  both
 *
 * Before what a link is made of changes, our thread takes the pointer away
 * and waits for the loop's quiescent state; so one `struct attach_link` per
 * peer will do, for nobody reads it when it is filled anew.
 *
 * When to connect. Binding a socket makes its file, listening comes later,
 * and in between it refuses: then we try again in steps of 2 ms for 2 s. A
 * connection that ends is made again at once if it had been attached; if not,
 * after a delay that doubles, so that a peer that closes at once does not
 * keep us busy. A peer that has broken its rings or the protocol is left
 * alone until its socket is made anew, as that of a restarted instance is. The
 * event says so and nothing else does: a new socket may well have the inode,
 * and within a tick the times, of the one before.
 */
#include "dataplane/softnic/attach.h"

#include <errno.h>
#include <libgen.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <rte_lcore.h>
#include <rte_rcu_qsbr.h>

#include "dataplane/clock.h"
#include "dataplane/softnic/fault.h"
#include "dataplane/softnic/vhost.h"

#define STEP_MS    2
#define PENDING_MS 2000
#define DELAY_MS   1000 /* the longest between connections */
#define EVENTS     16
#define NEVER      UINT64_MAX

struct peer {
	/* shared: see above */
	struct attach_link *link;
	uint32_t lost, broken;

	/* our thread's */
	struct attach_link storage;
	struct attach *attach;
	uint32_t index;
	bool connected;
	bool was_attached; /* this connection */
	bool refused;      /* not to be connected to again */
	bool anew;         /* another socket has come since we connected */
	uint32_t failures; /* connections that ended unattached */
	uint64_t try_ms, end_ms; /* when to try next, and until when */
	struct vhost vhost;
} __attribute__((aligned(64)));

struct attach {
	const struct softnic_tables *tables;
	struct softnic_stats *stats;
	struct rte_rcu_qsbr *qsbr;
	int epoll, inotify;
	int wake; /* for our thread */
	int bell; /* for the loop */
	uint32_t stop;
	pthread_t thread;
	struct peer peer[SOFTNIC_VNICS_MAX];
};

/* What an event is about: a peer, or one of these. */
enum source { SOURCE_INOTIFY = SOFTNIC_VNICS_MAX, SOURCE_WAKE };

static void
ring_bell(int fd)
{
	const uint64_t one = 1;

	/* It is full when it has been rung before, which does. */
	if (write(fd, &one, sizeof(one)) < 0)
		return;
}

static struct softnic_vnic_stats *
stats_of(struct peer *p)
{
	return &p->attach->stats->vnic[p->index];
}

/* --- links --------------------------------------------------------------- */

/* When it returns, the loop has let go of the link. */
static void
link_down(void *ctx)
{
	struct peer *p = ctx;

	if (p->link == NULL)
		return;
	__atomic_store_n(&p->link, NULL, __ATOMIC_RELEASE);
	ring_bell(p->attach->bell);
	rte_rcu_qsbr_synchronize(p->attach->qsbr, RTE_QSBR_THRID_INVALID);
	p->vhost.ring[0].base = p->storage.to.next;
	p->vhost.ring[1].base = p->storage.from.next;
	__atomic_store_n(&stats_of(p)->attached, 0, __ATOMIC_RELAXED);
}

/* Let the loop have the rings, if they are ready; 0 or -errno. */
static int
link_up(struct peer *p)
{
	int rc;

	if (p->link != NULL || __atomic_load_n(&p->broken, __ATOMIC_ACQUIRE))
		return 0;
	rc = vhost_rings(&p->vhost, &p->storage.to, &p->storage.from,
		&p->storage.memory);
	if (rc <= 0)
		return rc;
	if (!p->was_attached)
		stats_of(p)->attaches++;
	p->was_attached = true;
	p->failures = 0;
	__atomic_store_n(&stats_of(p)->attached, 1, __ATOMIC_RELAXED);
	__atomic_store_n(&p->link, &p->storage, __ATOMIC_RELEASE);
	ring_bell(p->attach->bell);
	return 0;
}

/* --- connections --------------------------------------------------------- */

static const char *
path_of(const struct peer *p)
{
	return p->attach->tables->vnic[p->index].path;
}

/* A connected socket, or -errno. Never blocks. */
static int
connect_to(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int rc;

	if (fd < 0)
		return -errno;
	memcpy(addr.sun_path, path, sizeof(addr.sun_path));
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0)
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}

static int
watch(struct attach *a, int fd, uint32_t source)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u32 = source };

	return epoll_ctl(a->epoll, EPOLL_CTL_ADD, fd, &ev) == 0 ? 0 : -errno;
}

static void
peer_begin(struct peer *p, int fd)
{
	__atomic_store_n(&p->broken, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&p->lost, 0, __ATOMIC_RELAXED);
	vhost_init(&p->vhost, fd, &p->lost, link_down, p);
	p->connected = true;
	p->was_attached = p->anew = false;
	p->try_ms = p->end_ms = NEVER;
}

/* Connect if a socket is there that has not been refused. */
static void
peer_try(struct peer *p, uint64_t now)
{
	int fd;

	p->try_ms = NEVER;
	if (p->refused)
		return;
	fd = connect_to(path_of(p));
	if (fd >= 0 && watch(p->attach, fd, p->index) == 0) {
		peer_begin(p, fd);
		return;
	}
	if (fd >= 0)
		close(fd);
	if (now < p->end_ms)
		p->try_ms = now + STEP_MS;
}

/* Something has come to be under its name. */
static void
peer_appeared(struct peer *p, uint64_t now)
{
	p->refused = false;
	p->failures = 0;
	p->anew = p->connected;
	if (p->connected)
		return;
	p->end_ms = now + PENDING_MS;
	peer_try(p, now);
}

/*
 * The connection has ended. Its socket may still be there: an instance that
 * was stopped and started goes on listening.
 */
static void
peer_end(struct peer *p, bool refuse)
{
	uint64_t now = clock_ms(CLOCK_MONOTONIC), delay = 0;

	vhost_fini(&p->vhost);
	p->connected = false;
	p->refused = refuse && !p->anew;
	if (!p->was_attached && ++p->failures > 1)
		delay = p->failures > 10 ? DELAY_MS : 1u << (p->failures - 1);
	p->end_ms = now + delay + PENDING_MS;
	p->try_ms = now + delay;
}

static void
peer_serve(struct peer *p)
{
	int rc = vhost_read(&p->vhost);

	if (rc == 0)
		rc = link_up(p);
	/* What we lack (memory, descriptors) is not its fault. */
	if (rc != 0)
		peer_end(p, rc == -EPROTO || rc == -EINVAL);
}

/* --- the thread ---------------------------------------------------------- */

static void
appeared(struct attach *a, const char *name, uint64_t now)
{
	for (uint32_t i = 0; i < a->tables->n_vnics; i++) {
		const char *base = strrchr(path_of(&a->peer[i]), '/') + 1;

		if (name == NULL || strcmp(base, name) == 0)
			peer_appeared(&a->peer[i], now);
	}
}

static void
inotify_read(struct attach *a, uint64_t now)
{
	char buf[4096] __attribute__((aligned(8)));
	ssize_t n = read(a->inotify, buf, sizeof(buf));
	struct inotify_event *ev;

	for (char *p = buf; n > 0 && p < buf + n; p += sizeof(*ev) + ev->len) {
		ev = (struct inotify_event *)p;
		if (ev->mask & IN_Q_OVERFLOW)
			appeared(a, NULL, now);
		else if (ev->len > 0)
			appeared(a, ev->name, now);
	}
}

/* What the loop has broken, and what is due; how long to wait, in ms. */
static int
peers_check(struct attach *a, uint64_t now)
{
	uint64_t next = NEVER;

	for (uint32_t i = 0; i < a->tables->n_vnics; i++) {
		struct peer *p = &a->peer[i];

		if (p->connected &&
			__atomic_load_n(&p->broken, __ATOMIC_ACQUIRE))
			peer_end(p, true);
		if (!p->connected && p->try_ms <= now)
			peer_try(p, now);
		if (!p->connected && p->try_ms < next)
			next = p->try_ms;
	}
	if (next == NEVER)
		return -1;
	return next > now ? (int)(next - now) : 0;
}

static void *
attach_main(void *arg)
{
	struct attach *a = arg;
	struct epoll_event ev[EVENTS];
	uint64_t count, now = clock_ms(CLOCK_MONOTONIC);

	appeared(a, NULL, now);
	while (!__atomic_load_n(&a->stop, __ATOMIC_ACQUIRE)) {
		int n = epoll_wait(a->epoll, ev, EVENTS, peers_check(a, now));

		now = clock_ms(CLOCK_MONOTONIC);
		for (int i = 0; i < n; i++) {
			uint32_t source = ev[i].data.u32;

			if (source == SOURCE_INOTIFY)
				inotify_read(a, now);
			else if (source == SOURCE_WAKE)
				(void)!read(a->wake, &count, sizeof(count));
			else if (a->peer[source].connected)
				peer_serve(&a->peer[source]);
		}
	}
	return NULL;
}

/* --- the loop's side ----------------------------------------------------- */

struct attach_link *
attach_get(struct attach *a, uint32_t i)
{
	struct peer *p = &a->peer[i];
	struct attach_link *link = __atomic_load_n(&p->link, __ATOMIC_ACQUIRE);

	if (link == NULL || __atomic_load_n(&p->broken, __ATOMIC_RELAXED))
		return NULL;
	if (__atomic_load_n(&p->lost, __ATOMIC_ACQUIRE)) {
		a->stats->vnic[i].drop[SOFTNIC_BAD_MEMORY]++;
		attach_break(a, i);
		return NULL;
	}
	return link;
}

void
attach_break(struct attach *a, uint32_t i)
{
	__atomic_store_n(&a->peer[i].broken, 1, __ATOMIC_RELEASE);
	ring_bell(a->wake);
}

int
attach_doorbell(const struct attach *a)
{
	return a->bell;
}

/* --- beginning and end --------------------------------------------------- */

static int
dirs_watch(struct attach *a, char *why, size_t len)
{
	char path[sizeof(a->tables->vnic[0].path)];

	for (uint32_t i = 0; i < a->tables->n_vnics; i++) {
		memcpy(path, a->tables->vnic[i].path, sizeof(path));
		if (inotify_add_watch(a->inotify, dirname(path),
			    IN_CREATE | IN_MOVED_TO) < 0) {
			snprintf(why, len, "cannot watch for %s: %s",
				a->tables->vnic[i].path, strerror(errno));
			return -errno;
		}
	}
	return 0;
}

static int
descriptors_open(struct attach *a)
{
	int rc;

	a->epoll = epoll_create1(EPOLL_CLOEXEC);
	a->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	a->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	a->bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (a->epoll < 0 || a->inotify < 0 || a->wake < 0 || a->bell < 0)
		return -errno;
	rc = watch(a, a->inotify, SOURCE_INOTIFY);
	return rc == 0 ? watch(a, a->wake, SOURCE_WAKE) : rc;
}

static void
descriptors_close(struct attach *a)
{
	const int fds[] = { a->epoll, a->inotify, a->wake, a->bell };

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static void
peers_init(struct attach *a)
{
	for (uint32_t i = 0; i < a->tables->n_vnics; i++) {
		a->peer[i].attach = a;
		a->peer[i].index = i;
		a->peer[i].try_ms = a->peer[i].end_ms = NEVER;
		a->stats->vnic[i].attached = 0;
	}
}

int
attach_create(struct attach **out, const struct softnic_tables *tables,
	struct softnic_stats *stats, struct rte_rcu_qsbr *qsbr, char *why,
	size_t len)
{
	struct attach *a = aligned_alloc(64, sizeof(*a));
	int rc;

	snprintf(why, len, "cannot attach instances");
	if (a == NULL)
		return -ENOMEM;
	memset(a, 0, sizeof(*a));
	a->tables = tables;
	a->stats = stats;
	a->qsbr = qsbr;
	peers_init(a);
	rc = descriptors_open(a);
	if (rc == 0)
		rc = dirs_watch(a, why, len);
	if (rc == 0)
		rc = fault_init();
	/* On the CPUs that are not the loop's. */
	if (rc == 0)
		rc = rte_ctrl_thread_create(
			&a->thread, "attach", NULL, attach_main, a);
	if (rc != 0) {
		descriptors_close(a);
		free(a);
		return rc;
	}
	*out = a;
	return 0;
}

void
attach_destroy(struct attach *a)
{
	__atomic_store_n(&a->stop, 1, __ATOMIC_RELEASE);
	ring_bell(a->wake);
	pthread_join(a->thread, NULL);
	for (uint32_t i = 0; i < a->tables->n_vnics; i++)
		if (a->peer[i].connected)
			vhost_fini(&a->peer[i].vhost);
	descriptors_close(a);
	free(a);
}
