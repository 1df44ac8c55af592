/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The next-hop watcher against the kernel, in namespaces of its own: our end
 * up0 with 10.9.0.1/24 and fd09::1/64, a peer's kernel at the other with .2,
 * ::2 and the gateway .254. Needs root.
 */
#include <check.h>
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ctrl/nexthop.h"
#include "tests/unit/frames.h"

#define SKIP     77
#define PEER_MAC "02:00:00:00:09:02"
#define N_HOPS   7

static const uint8_t peer_mac[6] = { 2, 0, 0, 0, 9, 2 };

/* In the order of their entries, after the uplinks'. */
enum { ON_LINK, ON_LINK6, BEHIND, SILENT, ELSEWHERE, NOWHERE, OURSELVES };

static const char *const addr[N_HOPS] = {
	[ON_LINK] = "10.9.0.2",
	[ON_LINK6] = "fd09::2",
	[BEHIND] = "10.77.0.1",
	[SILENT] = "10.9.0.66",
	[ELSEWHERE] = "10.8.0.2",
	[NOWHERE] = "203.0.113.1",
	[OURSELVES] = "10.9.0.1",
};

static pid_t peer;
static struct nexthops table;
static struct plan plan;
static struct config config;
static struct config_uplink uplink;
static struct plan_nexthop hops[N_HOPS];
static struct plan_instance instance;
static struct grant grant;

static int
sh(const char *format, ...)
{
	char cmd[2048];
	va_list ap;

	va_start(ap, format);
	vsnprintf(cmd, sizeof(cmd), format, ap);
	va_end(ap);
	return system(cmd);
}

#define AT_PEER "nsenter --net=/proc/%d/ns/net "

static double
now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Serve the watcher as the control plane would, until `done` or time out. */
static int
serve(struct nexthop_watch *w, int (*done)(void), double seconds)
{
	double end = now_s() + seconds, tick = now_s() + 1;
	struct pollfd p = { .fd = nexthop_watch_fd(w), .events = POLLIN };

	while (now_s() < end) {
		if (done())
			return 1;
		if (poll(&p, 1, 20) == 1)
			nexthop_watch_dispatch(w);
		if (now_s() < tick)
			continue;
		nexthop_watch_timer(w);
		tick = now_s() + 1;
	}
	return done();
}

static uint64_t
entry(int hop)
{
	return nexthop_get(&table, 1 + (uint32_t)hop);
}

static int
is_peer(int hop)
{
	uint8_t mac[6];

	nexthop_mac(entry(hop), mac);
	return entry(hop) && !memcmp(mac, peer_mac, 6);
}

static int
all_resolved(void)
{
	return is_peer(ON_LINK) && is_peer(ON_LINK6) && is_peer(BEHIND);
}

static struct nexthop_watch *
start(void)
{
	int err = 0;
	struct nexthop_watch *w;

	memset(&table, 0, sizeof(table));
	w = nexthop_watch_create(&plan, &table, &err);
	ck_assert_msg(w != NULL, "create: %d", err);
	ck_assert_int_eq(serve(w, all_resolved, 8), 1);
	return w;
}

static void
expect_state(struct nexthop_watch *w, int hop, const char *part)
{
	char buf[128];

	ck_assert_msg(
		strstr(nexthop_state(w, (unsigned int)hop, buf, sizeof(buf)),
			part) != NULL,
		"%s: %s", addr[hop], buf);
}

START_TEST(test_resolves)
{
	struct nexthop_watch *w = start();
	uint8_t mac[6];

	nexthop_mac(nexthop_get(&table, 0), mac);
	ck_assert_mem_eq(mac, frame_ours, 6);
	ck_assert_uint_eq(nexthop_mtu(nexthop_get(&table, 0)), 1500);
	ck_assert_uint_eq(nexthop_mtu(entry(ON_LINK)), 1500);
	ck_assert_uint_eq(nexthop_mtu(entry(BEHIND)), 1400);
	expect_state(w, ON_LINK, "resolved");
	expect_state(w, ELSEWHERE, "leaves by other0, not by up0");
	expect_state(w, NOWHERE, "no route");
	expect_state(w, OURSELVES, "this machine");
	ck_assert_uint_eq(entry(ELSEWHERE), 0);
	ck_assert_uint_eq(entry(NOWHERE), 0);
	ck_assert_uint_eq(entry(OURSELVES), 0);
	nexthop_watch_destroy(w);
}
END_TEST

static int
silent_resolved(void)
{
	return is_peer(SILENT);
}

static int
never(void)
{
	return 0;
}

/* Nobody answers, for long; then somebody does. */
START_TEST(test_silent_comes_up)
{
	struct nexthop_watch *w = start();

	ck_assert_int_eq(serve(w, never, 4), 0);
	ck_assert_uint_eq(entry(SILENT), 0);
	sh(AT_PEER "ip addr add 10.9.0.66/24 dev peer0", peer);
	ck_assert_int_eq(serve(w, silent_resolved, 6), 1);
	expect_state(w, SILENT, "resolved");
	sh(AT_PEER "ip addr del 10.9.0.66/24 dev peer0", peer);
	nexthop_watch_destroy(w);
}
END_TEST

static int
silent_lost(void)
{
	return !entry(SILENT);
}

/* A stale neighbour is probed, and forgotten when it does not answer. */
START_TEST(test_stale_is_probed)
{
	struct nexthop_watch *w = start();

	sh("ip neigh replace 10.9.0.66 lladdr " PEER_MAC " dev up0 nud stale");
	ck_assert_int_eq(serve(w, silent_resolved, 2), 1);
	ck_assert_int_eq(serve(w, silent_lost, 15), 1);
	nexthop_watch_destroy(w);
}
END_TEST

static int
mac_changed(void)
{
	uint8_t mac[6];

	nexthop_mac(entry(ON_LINK), mac);
	return mac[5] == 0x77;
}

START_TEST(test_neighbour_changes)
{
	struct nexthop_watch *w = start();

	sh("ip neigh replace 10.9.0.2 lladdr 02:00:00:00:09:77 dev up0 nud "
	   "permanent");
	ck_assert_int_eq(serve(w, mac_changed, 2), 1);
	sh("ip neigh del 10.9.0.2 dev up0");
	ck_assert_int_eq(serve(w, all_resolved, 5), 1);
	nexthop_watch_destroy(w);
}
END_TEST

static int
behind_lost(void)
{
	return !entry(BEHIND);
}

START_TEST(test_route_changes)
{
	struct nexthop_watch *w = start();

	sh("ip route del 10.77.0.0/16");
	ck_assert_int_eq(serve(w, behind_lost, 3), 1);
	expect_state(w, BEHIND, "no route");
	sh("ip route add 10.77.0.0/16 via 10.9.0.254 mtu 1400");
	ck_assert_int_eq(serve(w, all_resolved, 5), 1);
	nexthop_watch_destroy(w);
}
END_TEST

static int
mtu_lowered(void)
{
	return nexthop_mtu(nexthop_get(&table, 0)) == 1300 &&
	       nexthop_mtu(entry(BEHIND)) == 1300 &&
	       nexthop_mtu(entry(ON_LINK)) == 1300;
}

START_TEST(test_mtu_changes)
{
	struct nexthop_watch *w = start();

	sh("ip link set dev up0 mtu 1300");
	ck_assert_int_eq(serve(w, mtu_lowered, 3), 1);
	sh("ip link set dev up0 mtu 1500");
	nexthop_watch_destroy(w);
}
END_TEST

/* More events than the queue holds: what is read anew is right. */
START_TEST(test_overrun)
{
	struct nexthop_watch *w = start();

	sh("for i in $(seq 2 60); do for j in $(seq 1 250); do echo neigh "
	   "replace 10.9.$i.$j lladdr " PEER_MAC
	   " dev up0 nud permanent; done; done | ip -batch -");
	sh("ip neigh replace 10.9.0.2 lladdr 02:00:00:00:09:77 dev up0 nud "
	   "permanent; ip neigh flush dev up0 nud permanent to 10.9.2.0/23");
	ck_assert_int_eq(serve(w, mac_changed, 5), 1);
	nexthop_watch_destroy(w);
	sh("ip neigh flush dev up0 nud permanent");
}
END_TEST

START_TEST(test_update)
{
	struct nexthop_watch *w = start();
	struct plan fewer = plan;

	fewer.n_nexthops = 2;
	ck_assert_int_eq(nexthop_watch_update(w, &fewer), 0);
	ck_assert_int_eq(is_peer(ON_LINK), 1);
	ck_assert_int_eq(is_peer(ON_LINK6), 1);
	ck_assert_uint_eq(entry(BEHIND), 0);
	nexthop_watch_destroy(w);
}
END_TEST

/* A namespace for the peer, for as long as a process sleeps in it. */
static int
start_peer(void)
{
	int ready[2];
	char c;

	if (pipe(ready))
		return -errno;
	peer = fork();
	if (peer)
		return read(ready[0], &c, 1) == 1 && c ? 0 : -EPERM;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	c = !unshare(CLONE_NEWNET);
	if (write(ready[1], &c, 1) == 1)
		pause();
	_exit(0);
}

static int
set_up(void)
{
	if (unshare(CLONE_NEWNET))
		return -errno;
	if (start_peer())
		return -EPERM;
	return sh("set -e; ip link set dev lo up; "
		  "ip link add up0 address 02:00:00:00:00:01 type veth "
		  "peer name peer0 address " PEER_MAC " netns %d; "
		  "ip link add other0 type veth peer name other1; "
		  "ip addr add 10.9.0.1/24 dev up0; "
		  "ip addr add fd09::1/64 dev up0 nodad; "
		  "ip addr add 10.8.0.1/24 dev other0; "
		  "ip link set dev up0 up; ip link set dev other0 up; "
		  "ip link set dev other1 up; "
		  "ip route add 10.77.0.0/16 via 10.9.0.254 mtu 1400; "
		  "P() { nsenter --net=/proc/%d/ns/net ip \"$@\"; }; "
		  "P addr add 10.9.0.2/24 dev peer0; "
		  "P addr add 10.9.0.254/24 dev peer0; "
		  "P addr add fd09::2/64 dev peer0 nodad; "
		  "P link set dev peer0 up",
		       peer, peer)
		       ? -EIO
		       : 0;
}

static void
make_plan(void)
{
	strcpy(uplink.name, "wan");
	strcpy(uplink.device, "up0");
	config.n_uplinks = 1;
	config.uplinks = &uplink;
	plan.config = &config;
	plan.n_nexthops = N_HOPS;
	plan.nexthops = hops;
	plan.n_instances = 1;
	plan.instances = &instance;
	instance.grant = &grant;
	grant.n_backends = N_HOPS;
	for (uint32_t i = 0; i < N_HOPS; i++) {
		hops[i].addr = addr_of(addr[i]);
		hops[i].index = 1 + i;
		grant.backends[i].nexthop = 1 + i;
	}
}

static TCase *
cases(void)
{
	TCase *t = tcase_create("nexthop");

	tcase_set_timeout(t, 60);
	tcase_add_test(t, test_resolves);
	tcase_add_test(t, test_silent_comes_up);
	tcase_add_test(t, test_stale_is_probed);
	tcase_add_test(t, test_neighbour_changes);
	tcase_add_test(t, test_route_changes);
	tcase_add_test(t, test_mtu_changes);
	tcase_add_test(t, test_overrun);
	tcase_add_test(t, test_update);
	return t;
}

int
main(void)
{
	Suite *s = suite_create("nexthop");
	SRunner *sr = srunner_create(s);
	int err = geteuid() ? -EPERM : set_up(), failed;

	if (err) {
		printf("skipped: needs root and namespaces: %s\n",
			strerror(-err));
		return err == -EPERM ? SKIP : 1;
	}
	make_plan();
	suite_add_tcase(s, cases());
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	kill(peer, SIGKILL);
	waitpid(peer, NULL, 0);
	return failed ? 1 : 0;
}
