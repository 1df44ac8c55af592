/* SPDX-License-Identifier: BSD-3-Clause */
/* From a plan to the tables of the NIC in software. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctrl/soft/tables.h"
#include "tests/unit/xdp_plan.h"

#define ROWS(t) ((int)(sizeof(t) / sizeof((t)[0])))
#define RUN_DIR "/run/carryall/unit"

static struct test_plan tp;
static struct softnic_tables t, u;
static char why[256];

static const struct softtables_uplink is[2] = {
	{ { 2, 0, 0, 0, 0, 1 }, 1 },
	{ { 2, 0, 0, 0, 0, 2 }, 4 },
};

static void
setup(void)
{
	plan_by_hand(&tp, "eth0", "eth1");
	tp.plan.nic_memory_mb = softtables_memory_mb(5);
	tp.config.nic_core = 1;
	tp.functions[0].weight = 3;
	tp.functions[0].rate_bps = 1000000;
	tp.functions[1].total_rate_bps = 2000000;
	tp.functions[1].total_packet_rate = 100;
	tp.functions[1].packet_rate = 10;
	tp.uplinks[0].rate_bps = 10000000;
	for (uint32_t i = 0; i < N_VNICS; i++)
		tp.grants[i].core = i + 2;
	why[0] = '\0';
}

static void
fill(void)
{
	ck_assert_int_eq(
		softtables_fill(&t, &tp.plan, RUN_DIR, is, why, sizeof(why)),
		0);
	ck_assert_str_eq(why, "");
	ck_assert_msg(
		softnic_tables_check(&t, why, sizeof(why)) == 0, "%s", why);
}

START_TEST(head)
{
	fill();
	ck_assert_str_eq(t.appliance, "unit");
	ck_assert_uint_eq(t.generation, 1);
	ck_assert_uint_eq(t.core, 1);
	ck_assert_uint_eq(t.share_core, 0);
	ck_assert_uint_eq(t.huge_mb, 0);
	ck_assert_uint_eq(t.memory_mb, 64 + 5 * 10);
	ck_assert_uint_eq(t.seed, SEED);
	ck_assert_uint_eq(t.n_entries, N_ENTRIES);
	ck_assert_mem_eq(t.entry, tp.entries, sizeof(tp.entries));
	tp.grants[2].core = 1;
	tp.plan.nic_huge_mb = tp.plan.nic_memory_mb;
	fill();
	ck_assert_uint_eq(t.share_core, 1);
	ck_assert_uint_eq(t.huge_mb, t.memory_mb);
}
END_TEST

START_TEST(vnics)
{
	fill();
	ck_assert_uint_eq(t.n_functions, 2);
	ck_assert_uint_eq(t.function[0].weight, 3);
	ck_assert_uint_eq(t.function[0].rate_bps, 0);
	ck_assert_uint_eq(t.function[1].weight, 1);
	ck_assert_uint_eq(t.function[1].rate_bps, 2000000);
	ck_assert_uint_eq(t.function[1].packet_rate, 100);
	ck_assert_uint_eq(t.n_vnics, N_VNICS);
	ck_assert_str_eq(t.vnic[1].name, "web.1");
	ck_assert_str_eq(t.vnic[1].path, RUN_DIR "/web.1.vnic");
	ck_assert_uint_eq(t.vnic[1].function, 0);
	ck_assert_uint_eq(t.vnic[1].uplinks, 3);
	ck_assert_uint_eq(t.vnic[1].rate_bps, 1000000);
	ck_assert_uint_eq(t.vnic[2].function, 1);
	ck_assert_uint_eq(t.vnic[2].uplinks, 1);
	ck_assert_uint_eq(t.vnic[2].packet_rate, 10);
}
END_TEST

/* --- uplinks --- */

static const struct {
	const char *port, *devargs;
} ports[] = {
	{ "0000:03:00.0", "0000:03:00.0" },
	{ "net_null", "net_null1" },
	{ "net_null0", "net_null1" },
	{ "net_vhost17,iface=/run/x,queues=1",
		"net_vhost1,iface=/run/x,queues=1" },
	{ "net_af_packet,iface=veth0", "net_af_packet1,iface=veth0" },
	{ "net_virtio_user0,path=/run/y,mac=02:00:00:00:00:01",
		"net_virtio_user1,path=/run/y,mac=02:00:00:00:00:01" },
};

START_TEST(uplink_port)
{
	strcpy(tp.uplinks[1].port, ports[_i].port);
	fill();
	ck_assert_str_eq(t.uplink[1].devargs, ports[_i].devargs);
	ck_assert_str_eq(t.uplink[1].tap, "eth1");
	ck_assert_mem_eq(t.uplink[1].mac, is[1].mac, 6);
}
END_TEST

START_TEST(uplink_device)
{
	fill();
	ck_assert_uint_eq(t.n_uplinks, 2);
	ck_assert_str_eq(t.uplink[0].name, "wan");
	ck_assert_str_eq(t.uplink[0].devargs,
		"net_af_xdp0,iface=eth0,start_queue=0,queue_count=1,"
		"busy_budget=0");
	ck_assert_str_eq(t.uplink[1].devargs,
		"net_af_xdp1,iface=eth1,start_queue=0,queue_count=4,"
		"busy_budget=0");
	ck_assert_str_eq(t.uplink[0].tap, "");
	ck_assert_uint_eq(t.uplink[1].queues, 4);
	ck_assert_uint_eq(t.uplink[0].rate_bps, 10000000);
	ck_assert_uint_eq(t.uplink[1].rate_bps, 0);
	ck_assert_mem_eq(t.uplink[0].mac, is[0].mac, 6);
	ck_assert_int_eq(
		softtables_fill(&u, &tp.plan, RUN_DIR, NULL, why, sizeof(why)),
		0);
	ck_assert_uint_eq(u.uplink[1].queues, 1);
}
END_TEST

/* --- rows: what the plan has, found where a look-up would find it --- */

static const struct steer_target *
service_find(const struct steer_key *key)
{
	uint32_t mask = SOFTNIC_SERVICE_SLOTS - 1,
		 i = softnic_hash_key(key) & mask;

	for (; t.service[i].used; i = (i + 1) & mask)
		if (memcmp(&t.service[i].key, key, sizeof(*key)) == 0)
			return &t.service[i].target;
	return NULL;
}

static const struct steer_target *
snat_find(const struct ip_addr *addr)
{
	uint32_t mask = SOFTNIC_SNAT_SLOTS - 1,
		 i = softnic_hash_addr(addr) & mask;

	for (; t.snat[i].used; i = (i + 1) & mask)
		if (ip_addr_eq(&t.snat[i].addr, addr))
			return &t.snat[i].target;
	return NULL;
}

static const struct steer_host *
host_find(const struct ip_addr *addr)
{
	uint32_t mask = SOFTNIC_HOST_SLOTS - 1,
		 i = softnic_hash_addr(addr) & mask;

	for (; t.host[i].used; i = (i + 1) & mask)
		if (ip_addr_eq(&t.host[i].addr, addr))
			return &t.host[i].host;
	return NULL;
}

START_TEST(rows)
{
	unsigned int n = 0;

	fill();
	for (unsigned int i = 0; i < tp.plan.n_steers; i++) {
		const struct plan_steer *s = &tp.steers[i];
		const struct steer_target *f = s->target.flags & STEER_F_SNAT
						       ? snat_find(&s->key.addr)
						       : service_find(&s->key);

		ck_assert_ptr_nonnull(f);
		ck_assert_uint_eq(f->function, s->target.function);
		ck_assert_uint_eq(f->first, s->target.first);
		ck_assert_uint_eq(f->mask, s->target.mask);
		ck_assert_uint_eq(f->uplink, s->target.uplink);
		ck_assert_uint_eq(f->flags & ~STEER_F_SHARED, s->target.flags);
	}
	for (unsigned int i = 0; i < SOFTNIC_SERVICE_SLOTS; i++)
		n += t.service[i].used != 0;
	ck_assert_uint_eq(n, 10);
}
END_TEST

static const struct {
	const char *addr;
	struct steer_host host;
} hosts[] = {
	{ VIP, { 3, 0, 1, 0 } },
	{ VIP6, { 1, 0, 1, 0 } },
	{ SNAT, { 1, 0, 1, 1 } },
	{ ONE, { 1, 0, 1, 1 } },
	{ PING, { 2, 0, 0, 0 } },
};

START_TEST(hosts_row)
{
	struct ip_addr addr = addr_of(hosts[_i].addr);
	const struct steer_host *h;

	fill();
	h = host_find(&addr);
	ck_assert_ptr_nonnull(h);
	ck_assert_mem_eq(h, &hosts[_i].host, sizeof(*h));
}
END_TEST

/* An address of both kinds is marked, others are not. */
START_TEST(shared)
{
	struct ip_addr one = addr_of(ONE), snat = addr_of(SNAT);

	fill();
	ck_assert_uint_eq(
		snat_find(&one)->flags, STEER_F_SNAT | STEER_F_SHARED);
	ck_assert_uint_eq(snat_find(&snat)->flags, STEER_F_SNAT);
}
END_TEST

/* --- refused --- */

START_TEST(too_many)
{
	tp.plan.n_instances = SOFTNIC_VNICS_MAX + 1;
	ck_assert_int_eq(
		softtables_fill(&t, &tp.plan, RUN_DIR, is, why, sizeof(why)),
		-E2BIG);
	ck_assert_str_eq(
		why, "32 instances; a NIC in software has 31 VNICs at most");
}
END_TEST

START_TEST(too_long)
{
	char dir[120] = "/";

	memset(dir + 1, 'd', sizeof(dir) - 2);
	ck_assert_int_eq(
		softtables_fill(&t, &tp.plan, dir, is, why, sizeof(why)),
		-ENAMETOOLONG);
	ck_assert_ptr_nonnull(strstr(why, "too long a path"));
	dir[107 - strlen("/ping.0.vnic")] = '\0';
	ck_assert_int_eq(
		softtables_fill(&t, &tp.plan, dir, is, why, sizeof(why)), 0);
	ck_assert_uint_eq(strlen(t.vnic[2].path), 107);
}
END_TEST

/* --- one beside the other --- */

static void
nothing(void)
{
}
static void
next_version(void)
{
	u.version++;
}
static void
other_core(void)
{
	u.core++;
}
static void
core_shared(void)
{
	u.share_core = 1;
}
static void
more_uplinks(void)
{
	u.n_uplinks++;
}
static void
fewer_vnics(void)
{
	u.n_vnics--;
}
static void
fewer_entries(void)
{
	u.n_entries--;
}
static void
other_seed(void)
{
	u.seed++;
}
static void
other_port(void)
{
	u.uplink[1].devargs[10]++;
}
static void
other_tap(void)
{
	u.uplink[1].tap[0] = 'x';
}
static void
more_queues(void)
{
	u.uplink[0].queues++;
}
static void
other_path(void)
{
	u.vnic[2].path[5]++;
}
static void
other_uplinks(void)
{
	u.vnic[2].uplinks = 2;
}
static void
rates(void)
{
	u.vnic[0].rate_bps = 5;
	u.function[0].weight = 7;
	u.uplink[0].rate_bps = 9;
}
static void
other_mac(void)
{
	u.uplink[0].mac[5]++;
}
static void
moved_bucket(void)
{
	u.entry[0] = 1;
}
static void
no_service(void)
{
	memset(u.service, 0, sizeof(u.service));
}

static const struct {
	void (*change)(void);
	const char *why; /* NULL: it fits */
	bool same;
} changes[] = {
	{ nothing, NULL, true },
	{ next_version, "the NIC in software was started by another", false },
	{ other_core, "the core", false },
	{ core_shared, "the core", false },
	{ more_uplinks, "the number of uplinks", false },
	{ fewer_vnics, "the number of VNICs", false },
	{ fewer_entries, "the steering", false },
	{ other_seed, "the steering", false },
	{ other_port, "uplink lan: the port changes from net_af_xdp1", false },
	{ other_tap, "uplink lan: the port changes", false },
	{ more_queues, "uplink wan: the port changes", false },
	{ other_path, "ping.0", false },
	{ other_uplinks, "ping.0", false },
	{ rates, NULL, false },
	{ other_mac, NULL, false },
	{ moved_bucket, NULL, false },
	{ no_service, NULL, false },
};

START_TEST(fits)
{
	int err;

	fill();
	u = t;
	u.generation = 7;
	changes[_i].change();
	err = softtables_fits(&t, &u, why, sizeof(why));
	if (changes[_i].why == NULL) {
		ck_assert_msg(err == 0, "%s", why);
	} else {
		ck_assert_int_eq(err, -EBUSY);
		ck_assert_msg(strstr(why, changes[_i].why) == why, "%s", why);
	}
	ck_assert_int_eq(softtables_same(&t, &u), changes[_i].same);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("soft_tables");
	TCase *tc = tcase_create("fill");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, head);
	tcase_add_test(tc, vnics);
	tcase_add_test(tc, uplink_device);
	tcase_add_loop_test(tc, uplink_port, 0, ROWS(ports));
	tcase_add_test(tc, rows);
	tcase_add_loop_test(tc, hosts_row, 0, ROWS(hosts));
	tcase_add_test(tc, shared);
	tcase_add_test(tc, too_many);
	tcase_add_test(tc, too_long);
	tcase_add_loop_test(tc, fits, 0, ROWS(changes));
	suite_add_tcase(s, tc);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
