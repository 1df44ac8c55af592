/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sleep. After some empty rounds the loop asks everybody to ring: instances
 * to kick when they send, ports to interrupt. Then it looks once more, as
 * what came before the asking rings nothing, and waits for all descriptors
 * at once: until one is readable, or the scheduler wants its turn.
 *
 *   instance  its kick            told by edges: nobody reads the counter. It
 *                                 has the same file open, so a link's kick
 *                                 stays in the set when it goes: see attach
 *   port      socket, interrupt   see port.h; none: look every LOOK_NS
 *   tap       the device
 *   attach    links came or went  the whole set is then made anew, and what
 *                                 is stale goes with the old one
 *   wake      stop, new tables
 *
 * While asleep it is no reader of links and tables (rte_rcu_qsbr), so that
 * whoever changes them need not wait for it; it holds no link over a sleep.
 *
 * A sleep that a timer ended goes on after one empty round; one that an event
 * ended is followed by spinning again, unless the core is shared.
 */
#include <errno.h>
#include <rte_pause.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/softnic/nic.h"

#define SPIN_NS      50000
#define LOOK_NS      250000     /* where a port has no doorbell */
#define FULL_NS      50000      /* where a port takes no more */
#define SLEEP_MAX_NS 1000000000 /* a sign of life, for the counters */
#define WORTH_NS     5000       /* shorter is not worth a system call */
#define EVENTS       16

enum source {
	SOURCE_BELL,
	SOURCE_KICK,
	SOURCE_TAP,
	SOURCE_ATTACH,
	SOURCE_WAKE,
};

static int
watch(const struct nic_doze *d, int fd, enum source source, bool edge)
{
	struct epoll_event ev = {
		.events = EPOLLIN | (edge ? EPOLLET : 0),
		.data.u64 = (uint64_t)source << 32 | (uint32_t)fd,
	};

	if (epoll_ctl(d->epoll, EPOLL_CTL_ADD, fd, &ev) == 0)
		return 0;
	return -errno;
}

/* An instance that has none to kick with is looked at now and then. */
static bool
kicks_watch(struct softnic *nic)
{
	bool all = true;

	for (uint32_t i = 0; i < nic->n_vnics; i++) {
		const struct attach_link *l = attach_get(nic->attach, i);

		if (l != NULL &&
			(l->from.kick < 0 || watch(&nic->doze, l->from.kick,
						     SOURCE_KICK, true) != 0))
			all = false;
	}
	return all;
}

static bool
ports_ring(const struct softnic *nic)
{
	for (uint32_t u = 0; u < nic->n_uplinks; u++)
		if (nic->uplink[u].port.bell == PORT_BELL_NONE)
			return false;
	return true;
}

/* The set of what to wait for, made from nothing. */
static int
set_make(struct softnic *nic)
{
	struct nic_doze *d = &nic->doze;
	int rc;

	d->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (d->epoll < 0)
		return -errno;
	rc = watch(d, d->wake, SOURCE_WAKE, false);
	if (rc == 0)
		rc = watch(
			d, attach_doorbell(nic->attach), SOURCE_ATTACH, false);
	for (unsigned int i = 0; i < d->bells.n && rc == 0; i++)
		rc = watch(d, d->bells.fd[i], SOURCE_BELL, d->bells.edge[i]);
	for (uint32_t u = 0; u < nic->n_uplinks && rc == 0; u++)
		if (nic->uplink[u].tap >= 0)
			rc = watch(d, nic->uplink[u].tap, SOURCE_TAP, false);
	d->look = !kicks_watch(nic) || !ports_ring(nic);
	if (rc != 0)
		close(d->epoll);
	return rc;
}

static void
counter_read(int fd)
{
	uint64_t n;

	if (read(fd, &n, sizeof(n)) < 0)
		return;
}

/* Links came or went. Without a new set the old one must do, with looking. */
static void
set_renew(struct softnic *nic)
{
	int old = nic->doze.epoll;

	counter_read(attach_doorbell(nic->attach));
	if (set_make(nic) == 0) {
		close(old);
		return;
	}
	nic->doze.epoll = old;
	nic->doze.look = true;
}

/*
 * A socket whose device goes down says so until it is asked; a tap that was
 * deleted would do so for ever.
 */
static void
fault(struct softnic *nic, int fd, enum source source)
{
	socklen_t len = sizeof(int);
	int error;

	if (source == SOURCE_TAP)
		epoll_ctl(nic->doze.epoll, EPOLL_CTL_DEL, fd, NULL);
	else if (source == SOURCE_BELL)
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
}

static void
event(struct softnic *nic, const struct epoll_event *ev)
{
	enum source source = (enum source)(ev->data.u64 >> 32);
	int fd = (int)(uint32_t)ev->data.u64;

	switch (source) {
	case SOURCE_ATTACH:
		set_renew(nic);
		break;
	case SOURCE_WAKE:
		counter_read(fd);
		break;
	default:
		if (ev->events & (EPOLLERR | EPOLLHUP))
			fault(nic, fd, source);
	}
}

static void
bells_arm(struct softnic *nic, bool on)
{
	for (uint32_t i = 0; i < nic->n_vnics; i++) {
		struct attach_link *l = attach_get(nic->attach, i);

		if (l != NULL)
			virtq_want_kick(&l->from, on);
	}
	for (uint32_t u = 0; u < nic->n_uplinks; u++)
		port_bells_arm(&nic->uplink[u].port, 1, on);
}

/* How long nothing is to be done, as far as is known. */
static uint64_t
rest_ns(const struct softnic *nic)
{
	uint64_t ns = nic->doze.look ? LOOK_NS : SLEEP_MAX_NS;
	uint64_t next = sched_next(&nic->sched);

	if (nic->sched.blocked != 0)
		ns = RTE_MIN(ns, (uint64_t)FULL_NS);
	if (next <= nic->now_ns)
		return 0;
	return RTE_MIN(ns, next - nic->now_ns);
}

static void
rest(struct softnic *nic, uint64_t ns)
{
	struct timespec ts = { .tv_sec = (time_t)(ns / 1000000000),
		.tv_nsec = (long)(ns % 1000000000) };
	struct epoll_event ev[EVENTS];
	int n;

	nic->stats->sleeps++;
	rte_rcu_qsbr_thread_offline(nic->qsbr, NIC_READER);
	n = epoll_pwait2(nic->doze.epoll, ev, EVENTS, &ts, NULL);
	rte_rcu_qsbr_thread_online(nic->qsbr, NIC_READER);
	for (int i = 0; i < n; i++)
		event(nic, &ev[i]);
	if (n > 0) {
		nic->doze.empty = 0;
		nic->tap_ns = 0;
	}
}

void
nic_idle(struct softnic *nic)
{
	struct nic_doze *d = &nic->doze;
	uint64_t ns;

	if (d->empty == 0)
		d->empty = nic->now_ns;
	if (nic->now_ns - d->empty < d->spin) {
		rte_pause();
		return;
	}
	bells_arm(nic, true);
	if (softnic_round(nic) > 0) {
		d->empty = 0;
	} else {
		ns = rest_ns(nic);
		if (ns >= WORTH_NS && !nic->stop)
			rest(nic, ns);
	}
	bells_arm(nic, false);
}

void
nic_wake(struct softnic *nic)
{
	const uint64_t one = 1;

	if (write(nic->doze.wake, &one, sizeof(one)) < 0)
		return;
}

int
nic_doze_init(struct softnic *nic, char *why, size_t len)
{
	struct nic_doze *d = &nic->doze;
	struct port ports[SOFTNIC_UPLINKS_MAX];
	int rc;

	d->spin = nic->first->share_core ? 0 : SPIN_NS;
	for (uint32_t u = 0; u < nic->n_uplinks; u++)
		ports[u] = nic->uplink[u].port;
	port_bells_find(ports, nic->n_uplinks, &d->bells);
	for (uint32_t u = 0; u < nic->n_uplinks; u++)
		nic->uplink[u].port = ports[u];
	d->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (d->wake < 0) {
		rc = -errno;
	} else {
		rc = set_make(nic);
		if (rc != 0)
			close(d->wake);
	}
	if (rc != 0)
		snprintf(why, len, "doorbells: %s", strerror(-rc));
	return rc;
}

void
nic_doze_fini(struct softnic *nic)
{
	close(nic->doze.epoll);
	close(nic->doze.wake);
}
