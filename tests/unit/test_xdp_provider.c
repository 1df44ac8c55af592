/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The xdp provider on real devices, in a network and mount namespace of its
 * own: create, traffic both ways, adopt, reset, update, purge. Needs root.
 *
 *   peer0 ==veth== up0   uplink 0: peer0 is the wire's far end
 *   peer1 ==veth== up1   uplink 1
 *
 * Frames are put on peerN and on the instance's end by packet sockets.
 */
#include <check.h>
#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "ctrl/link.h"
#include "ctrl/provider.h"
#include "ctrl/xdp/capture.h"
#include "tests/unit/pcapng_read.h"
#include "tests/unit/provider_lab.h"
#include "tests/unit/xdp_plan.h"

#define SKIP    77
#define CLIENT  "192.0.2.5"
#define SERVER  "10.0.1.21"
#define CLIENT6 "2001:db8::5"

static struct test_plan tp;
static char why[512];

static struct provider *
open_provider(bool adopt)
{
	struct provider *p = NULL;
	int err = provider_xdp.create(
		&p, &tp.plan, run_dir, adopt, why, sizeof(why));

	ck_assert_msg(!err, "create: %s: %s", strerror(-err), why);
	return p;
}

static uint64_t
vnic_drop(struct provider *p, uint32_t i, const char *name)
{
	struct provider_counters c;

	ck_assert_int_eq(provider_xdp.vnic_counters(p, i, &c), 0);
	for (unsigned int k = 0; k < c.n_drops; k++)
		if (!strcmp(c.drop[k].name, name))
			return c.drop[k].count;
	ck_abort_msg("no drop counter %s", name);
	return 0;
}

static uint64_t
vnic_rx(struct provider *p, uint32_t i)
{
	struct provider_counters c;

	ck_assert_int_eq(provider_xdp.vnic_counters(p, i, &c), 0);
	return c.rx_packets;
}

/* Everything that create() makes is away, in the kernel and on disk. */
static void
expect_nothing_left(void)
{
	static const char *const device[] = { "web.0", "web.0h", "web.1",
		"web.1h", "ping.0", "ping.0h" };
	static const char *const addr[] = { VIP, SNAT, VIP6, SNAT6, PING };
	LIBBPF_OPTS(bpf_xdp_query_opts, q);

	for (size_t i = 0; i < 6; i++)
		ck_assert_uint_eq(if_nametoindex(device[i]), 0);
	for (size_t i = 0; i < 5; i++) {
		struct ip_addr a = addr_of(addr[i]);

		ck_assert_int_eq(link_has_addr(nl, &a), 0);
	}
	ck_assert_int_eq(bpf_xdp_query((int)if_nametoindex("up0"), 0, &q), 0);
	ck_assert_uint_eq(q.prog_id, 0);
	ck_assert_int_eq(count_files(run_dir), 0);
}

/* What lets a packet socket stand in for the instance's driver. */
static void
instance_attach(struct provider *p, uint32_t i, const char *device)
{
	ck_assert_int_eq(enable_gro(device), 0);
	ck_assert_int_eq(provider_xdp.vnic_up(p, i, true), 0);
}

static void
to_ping(struct frame *f)
{
	uint8_t mac[6];

	read_mac("up0", mac);
	frame_flow(
		f, mac, frame_theirs, IPPROTO_UDP, CLIENT, 4000, PING, 7, NULL);
}

static void
from_ping(struct frame *f)
{
	uint8_t mac[6];

	read_mac("up0", mac);
	frame_flow(
		f, frame_theirs, mac, IPPROTO_UDP, PING, 7, CLIENT, 4000, NULL);
}

START_TEST(test_create_and_destroy)
{
	struct link_info a, b;
	char args[256];
	struct provider *p = open_provider(false);

	ck_assert_str_eq(provider_xdp.uplink_mode(p, 0), "native");
	provider_xdp.devargs(p, 0, args, sizeof(args));
	ck_assert_ptr_nonnull(strstr(args, "iface=web.0,"));
	ck_assert_ptr_nonnull(strstr(args, "/xsk.bpf.o"));
	ck_assert_int_eq(link_find(nl, "web.0", &a), 0);
	ck_assert_int_eq(link_find(nl, "web.0h", &b), 0);
	ck_assert_str_eq(a.alias, "carryall unit web.0");
	ck_assert_int_eq(a.flags & (IFF_UP | IFF_NOARP), IFF_UP | IFF_NOARP);
	ck_assert_int_eq(b.flags & (IFF_UP | IFF_NOARP), IFF_UP | IFF_NOARP);
	ck_assert_uint_eq(a.mtu, 1500);
	ck_assert_ptr_nonnull(strstr(why, "PEER"));
	provider_xdp.destroy(p);
	expect_nothing_left();
	provider_xdp.purge(run_dir);
	expect_nothing_left();
}
END_TEST

static void
expect_crossing(struct provider *p)
{
	struct frame f;

	to_ping(&f);
	ck_assert_int_eq(crosses("peer0", &f, "ping.0"), 1);
	ck_assert_uint_eq(vnic_drop(p, 2, "instance_down"), 0);
	from_ping(&f);
	ck_assert_int_eq(crosses("ping.0", &f, "peer0"), 1);
	f.b[14 + 15] ^= 1; /* another source address */
	ck_assert_int_eq(crosses("ping.0", &f, "peer0"), 0);
	ck_assert_uint_ge(vnic_drop(p, 2, "tx_address"), 1);
}

START_TEST(test_traffic)
{
	struct frame f;
	uint64_t down;
	struct provider *p = open_provider(false);

	to_ping(&f);
	ck_assert_int_eq(crosses("peer0", &f, "ping.0"), 0);
	down = vnic_drop(p, 2, "instance_down");
	ck_assert_uint_eq(down, 1);
	provider_xdp.destroy(p);
	p = open_provider(false);
	instance_attach(p, 2, "ping.0");
	expect_crossing(p);
	provider_xdp.destroy(p);
	expect_nothing_left();
}
END_TEST

/* The same in generic mode, uplinks and VNICs. */
START_TEST(test_generic)
{
	struct provider *p;

	tp.uplinks[0].mode = CONFIG_XDP_GENERIC;
	p = open_provider(false);
	ck_assert_str_eq(provider_xdp.uplink_mode(p, 0), "generic");
	ck_assert_str_eq(provider_xdp.uplink_mode(p, 1), "native");
	instance_attach(p, 2, "ping.0");
	expect_crossing(p);
	provider_xdp.destroy(p);
	expect_nothing_left();
	tp.uplinks[0].mode = CONFIG_XDP_AUTO;
}
END_TEST

/* Replies to a SNAT address come in by uplink 1 and leave by it. */
START_TEST(test_second_uplink)
{
	struct frame f;
	uint8_t mac[6];
	struct provider *p = open_provider(false);

	read_mac("up1", mac);
	instance_attach(p, 1, "web.1");
	frame_flow(&f, mac, frame_theirs, IPPROTO_TCP, SERVER, 80, SNAT, 5001,
		NULL);
	ck_assert_int_eq(crosses("peer1", &f, "web.1"), 1);
	frame_flow(&f, frame_theirs, mac, IPPROTO_TCP, SNAT, 5001, SERVER, 80,
		NULL);
	ck_assert_int_eq(crosses("web.1", &f, "peer1"), 1);
	provider_xdp.destroy(p);
}
END_TEST

/* The process goes; packets flow on; another takes over, counters and all. */
START_TEST(test_adopt)
{
	struct frame f;
	uint64_t before;
	struct provider *p = open_provider(false);

	instance_attach(p, 2, "ping.0");
	to_ping(&f);
	ck_assert_int_eq(crosses("peer0", &f, "ping.0"), 1);
	before = vnic_rx(p, 2);
	provider_xdp.detach(p);
	ck_assert_int_eq(crosses("peer0", &f, "ping.0"), 1);
	p = open_provider(true);
	ck_assert_uint_eq(vnic_rx(p, 2), before + 1);
	ck_assert_int_eq(crosses("peer0", &f, "ping.0"), 1);
	ck_assert_str_eq(provider_xdp.uplink_mode(p, 0), "native");
	provider_xdp.detach(p);
	provider_xdp.purge(run_dir);
	expect_nothing_left();
}
END_TEST

START_TEST(test_adopt_refused)
{
	struct provider *p;

	ck_assert_int_eq(provider_xdp.create(
				 &p, &tp.plan, run_dir, true, why, sizeof(why)),
		-ENOENT);
	ck_assert_ptr_nonnull(strstr(why, "nothing to adopt"));
	provider_xdp.detach(open_provider(false));
	tp.plan.seed++;
	ck_assert_int_eq(provider_xdp.create(
				 &p, &tp.plan, run_dir, true, why, sizeof(why)),
		-EBUSY);
	ck_assert_ptr_nonnull(strstr(why, "another seed"));
	tp.plan.seed--;
	ck_assert_int_eq(link_remove(nl, "web.1"), 0);
	ck_assert_int_eq(provider_xdp.create(
				 &p, &tp.plan, run_dir, true, why, sizeof(why)),
		-ENODEV);
	ck_assert_ptr_nonnull(strstr(why, "web.1"));
	provider_xdp.purge(run_dir);
	expect_nothing_left();
}
END_TEST

/* Without adopt, what a killed process left makes way. */
START_TEST(test_leftovers_make_way)
{
	struct provider *p;

	provider_xdp.detach(open_provider(false));
	p = open_provider(false);
	provider_xdp.destroy(p);
	expect_nothing_left();
}
END_TEST

/* As the driver does: attach the ELF's program, and leave it behind. */
static int
driver_attach(const char *device)
{
	char path[128];
	struct bpf_object *obj;
	struct bpf_program *prog;
	int err;

	snprintf(path, sizeof(path), "%s/xsk.bpf.o", run_dir);
	obj = bpf_object__open_file(path, NULL);
	if (!obj)
		return -errno;
	prog = bpf_object__next_program(obj, NULL);
	bpf_program__set_type(prog, BPF_PROG_TYPE_XDP);
	err = bpf_object__load(obj);
	if (!err && !bpf_object__find_map_by_name(obj, "xsks_map"))
		err = -ENOENT;
	if (!err)
		err = bpf_xdp_attach((int)if_nametoindex(device),
			bpf_program__fd(prog), XDP_FLAGS_UPDATE_IF_NOEXIST,
			NULL);
	bpf_object__close(obj);
	return err;
}

START_TEST(test_reset)
{
	struct provider *p = open_provider(false);
	struct frame f;

	ck_assert_int_eq(driver_attach("ping.0"), 0);
	ck_assert_int_eq(driver_attach("ping.0"), -EBUSY);
	/* No socket there: dropped, not handed to the kernel. */
	ck_assert_int_eq(provider_xdp.vnic_up(p, 2, true), 0);
	to_ping(&f);
	ck_assert_int_eq(crosses("peer0", &f, "ping.0"), 0);
	ck_assert_uint_eq(vnic_rx(p, 2), 1);
	ck_assert_uint_eq(vnic_drop(p, 2, "no_socket"), 1);
	ck_assert_int_eq(provider_xdp.vnic_reset(p, 2), 0);
	send_on("peer0", &f);
	usleep(50000);
	ck_assert_uint_eq(vnic_drop(p, 2, "instance_down"), 1);
	ck_assert_int_eq(driver_attach("ping.0"), 0);
	/* And when even the device is gone. */
	ck_assert_int_eq(link_remove(nl, "ping.0"), 0);
	ck_assert_int_eq(provider_xdp.vnic_reset(p, 2), 0);
	instance_attach(p, 2, "ping.0");
	ck_assert_int_eq(crosses("peer0", &f, "ping.0"), 1);
	from_ping(&f);
	ck_assert_int_eq(crosses("ping.0", &f, "peer0"), 1);
	provider_xdp.destroy(p);
	expect_nothing_left();
}
END_TEST

START_TEST(test_update_addresses)
{
	static const char old[] = PING6, new[] = "fd00::1234";
	struct ip_addr a = addr_of(old), b = addr_of(new);
	struct provider *p = open_provider(false);
	struct test_plan next;

	ck_assert_int_eq(link_has_addr(nl, &a), 1);
	plan_by_hand(&next, "up0", "up1");
	for (unsigned int i = 0; i < next.plan.n_steers; i++)
		if (ip_addr_eq(&next.steers[i].key.addr, &a))
			next.steers[i].key.addr = b;
	ck_assert_int_eq(
		provider_xdp.update(p, &next.plan, why, sizeof(why)), 0);
	ck_assert_int_eq(link_has_addr(nl, &a), 0);
	ck_assert_int_eq(link_has_addr(nl, &b), 1);
	next.plan.n_instances--;
	ck_assert_int_eq(
		provider_xdp.update(p, &next.plan, why, sizeof(why)), -EBUSY);
	next.plan.n_instances++;
	provider_xdp.destroy(p);
	ck_assert_int_eq(link_has_addr(nl, &b), 0);
}
END_TEST

/* Half way there it turns back, and borrows nothing of what was refused. */
START_TEST(test_update_refused)
{
	static const char old[] = PING6, new[] = "fd00::1234";
	struct ip_addr a = addr_of(old), b = addr_of(new);
	struct provider *p = open_provider(false);
	struct test_plan next;

	plan_by_hand(&next, "up0", "up1");
	for (unsigned int i = 0; i < next.plan.n_steers; i++)
		if (ip_addr_eq(&next.steers[i].key.addr, &a))
			next.steers[i].key.addr = b;
	strcpy(next.uplinks[1].device, "nowhere");
	ck_assert_int_eq(
		provider_xdp.update(p, &next.plan, why, sizeof(why)), -ENODEV);
	memset(&next, 0xff, sizeof(next));
	ck_assert_int_eq(link_has_addr(nl, &a), 1);
	ck_assert_int_eq(link_has_addr(nl, &b), 0);
	ck_assert_int_eq(provider_xdp.vnic_reset(p, 0), 0);
	ck_assert_int_eq(provider_xdp.update(p, &tp.plan, why, sizeof(why)), 0);
	provider_xdp.destroy(p);
	expect_nothing_left();
}
END_TEST

/* A new MAC address of the uplink's is known from the next update on. */
START_TEST(test_update_mac)
{
	struct provider *p = open_provider(false);
	struct frame f;

	instance_attach(p, 2, "ping.0");
	ck_assert_int_eq(
		system("ip link set dev up0 address 02:00:00:00:aa:01"), 0);
	from_ping(&f);
	ck_assert_int_eq(crosses("ping.0", &f, "peer0"), 0);
	ck_assert_uint_eq(vnic_drop(p, 2, "tx_mac"), 1);
	ck_assert_int_eq(provider_xdp.update(p, &tp.plan, why, sizeof(why)), 0);
	ck_assert_int_eq(crosses("ping.0", &f, "peer0"), 1);
	provider_xdp.destroy(p);
}
END_TEST

/* An address that was there before us stays when we go. */
START_TEST(test_foreign_address_stays)
{
	struct ip_addr a = addr_of(VIP);
	int index = (int)if_nametoindex("up0");

	ck_assert_int_eq(link_add_addr(nl, index, &a, 24), 0);
	provider_xdp.destroy(open_provider(false));
	ck_assert_int_eq(link_has_addr(nl, &a), 1);
	ck_assert_int_eq(link_remove_addr(nl, index, &a, 24), 0);
	ck_assert_int_eq(link_has_addr(nl, &a), 0);
}
END_TEST

/* A capture in a process of its own, into `path`, of two packets. */
static pid_t
start_capture(const char *path, const char *name, bool drops)
{
	struct capture_options o = { .path = path,
		.appliance = "unit",
		.max_packets = 2,
		.drops = drops,
		.stop_fd = -1 };
	struct capture_result r;
	pid_t pid = fork();

	if (pid)
		return pid;
	_exit(xdp_capture(run_dir, name, &o, &r, why, sizeof(why)) ||
		r.packets != 2);
}

static void
expect_packet(struct ng_file *file, const struct frame *f, uint32_t flags)
{
	struct ng_block b = ng_expect(file, NG_PACKET);
	struct ng_packet p = ng_packet_of(&b);

	ck_assert_uint_eq(p.kept, f->n);
	ck_assert_uint_eq(p.length, f->n);
	ck_assert_mem_eq(p.frame, f->b, f->n);
	ck_assert_uint_eq(p.flags, flags);
}

/* A file of the two frames that went in and out, to the byte. */
static void
expect_capture(
	const char *path, const struct frame *in, const struct frame *out)
{
	struct ng_file file = ng_load(path);
	struct ng_block b;

	ng_expect(&file, NG_SECTION);
	b = ng_expect(&file, NG_INTERFACE);
	ng_expect_text(&b, 8, 2, "ping.0");
	expect_packet(&file, in, 1);
	expect_packet(&file, out, 2);
	b = ng_expect(&file, NG_STATISTICS);
	ck_assert_uint_eq(ng_total(&b, 4), 2);
	ck_assert_uint_eq(file.at, file.size);
	free(file.bytes);
}

START_TEST(test_capture)
{
	struct capture_options o = { .path = "-", .stop_fd = -1 };
	struct capture_result r;
	struct provider *p = open_provider(false);
	struct frame in, out;
	char path[128];
	pid_t pid;
	int status;

	snprintf(path, sizeof(path), "%s/pcap", run_dir);
	instance_attach(p, 2, "ping.0");
	pid = start_capture(path, "ping.0", true);
	usleep(300000);
	ck_assert_int_eq(
		xdp_capture(run_dir, "ping.0", &o, &r, why, sizeof(why)),
		-EBUSY);
	to_ping(&in);
	from_ping(&out);
	out.b[14 + 15] ^= 1; /* is dropped, and seen all the same */
	ck_assert_int_eq(crosses("peer0", &in, "ping.0"), 1);
	send_on("ping.0", &out);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	expect_capture(path, &in, &out);
	unlink(path);
	o.filter = "tcp prot 80";
	ck_assert_int_eq(
		xdp_capture(run_dir, "ping.0", &o, &r, why, sizeof(why)),
		-EINVAL);
	ck_assert_ptr_nonnull(strstr(why, "syntax error"));
	o.filter = NULL;
	ck_assert_int_eq(
		xdp_capture(run_dir, "ping.1", &o, &r, why, sizeof(why)),
		-ENOENT);
	provider_xdp.destroy(p);
	expect_nothing_left();
}
END_TEST

static int
try_create(void)
{
	struct provider *p;
	int err = provider_xdp.create(
		&p, &tp.plan, run_dir, false, why, sizeof(why));

	if (!err)
		provider_xdp.destroy(p);
	return err;
}

START_TEST(test_create_refused)
{
	/* Somebody else's device of our name: it stays. */
	ck_assert_int_eq(link_make_veth(nl, "web.1", "other", 1500, "mine"), 0);
	ck_assert_int_eq(try_create(), -EEXIST);
	ck_assert_ptr_nonnull(strstr(why, "web.1"));
	ck_assert_uint_ne(if_nametoindex("web.1"), 0);
	ck_assert_int_eq(link_remove(nl, "web.1"), 0);
	/* Somebody else's program. */
	provider_xdp.detach(open_provider(false));
	ck_assert_int_eq(driver_attach("peer0"), 0);
	provider_xdp.purge(run_dir);
	strcpy(tp.uplinks[0].device, "peer0");
	ck_assert_int_eq(try_create(), -EBUSY);
	ck_assert_ptr_nonnull(strstr(why, "xsk_rx"));
	strcpy(tp.uplinks[0].device, "up0");
	bpf_xdp_detach((int)if_nametoindex("peer0"), 0, NULL);
	/* No such device. */
	strcpy(tp.uplinks[1].device, "nowhere");
	ck_assert_int_eq(try_create(), -ENODEV);
	ck_assert_ptr_nonnull(strstr(why, "nowhere"));
	strcpy(tp.uplinks[1].device, "up1");
	/* A name that leaves no room. */
	strcpy(tp.instances[0].name, "abcdefghijklm.0");
	ck_assert_int_eq(try_create(), -ENAMETOOLONG);
	strcpy(tp.instances[0].name, "web.0");
	expect_nothing_left();
}
END_TEST

static void
undo(void)
{
	provider_xdp.purge(run_dir);
}

static TCase *
cases(void)
{
	TCase *t = tcase_create("provider");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, NULL, undo);
	tcase_add_test(t, test_create_and_destroy);
	tcase_add_test(t, test_traffic);
	tcase_add_test(t, test_generic);
	tcase_add_test(t, test_second_uplink);
	tcase_add_test(t, test_adopt);
	tcase_add_test(t, test_adopt_refused);
	tcase_add_test(t, test_leftovers_make_way);
	tcase_add_test(t, test_reset);
	tcase_add_test(t, test_update_addresses);
	tcase_add_test(t, test_update_refused);
	tcase_add_test(t, test_update_mac);
	tcase_add_test(t, test_foreign_address_stays);
	tcase_add_test(t, test_capture);
	tcase_add_test(t, test_create_refused);
	return t;
}

int
main(void)
{
	Suite *s = suite_create("xdp provider");
	SRunner *sr = srunner_create(s);
	int err = geteuid() ? -EPERM : set_up(), failed;

	if (err) {
		printf("skipped: needs root and namespaces: %s\n",
			strerror(-err));
		return err == -EPERM ? SKIP : 1;
	}
	plan_by_hand(&tp, "up0", "up1");
	suite_add_tcase(s, cases());
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	undo();
	link_close(nl);
	rmdir(run_dir);
	return failed ? 1 : 0;
}
