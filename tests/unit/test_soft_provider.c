/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The provider of a NIC in software on real devices, without the NIC: what it
 * makes, what the uplinks' programs let through and keep back, adopt, update,
 * purge. Needs root.
 */
#include <check.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <xdp/xsk.h>

#include "ctrl/provider.h"
#include "ctrl/soft/tables.h"
#include "tests/unit/provider_lab.h"
#include "tests/unit/xdp_plan.h"

#define SKIP   77
#define CLIENT "192.0.2.5"
#define TAP    "tap9"
#define UMEM   64 /* frames */

static const struct provider_ops *const ops = &provider_soft;
static struct test_plan tp;
static char why[512];

static struct provider *
open_provider(bool adopt)
{
	struct provider *p = NULL;
	int err = ops->create(&p, &tp.plan, run_dir, adopt, why, sizeof(why));

	ck_assert_msg(!err, "create: %s: %s", strerror(-err), why);
	return p;
}

static int
try_create(bool adopt)
{
	struct provider *p;
	int err = ops->create(&p, &tp.plan, run_dir, adopt, why, sizeof(why));

	if (!err)
		ops->destroy(p);
	return err;
}

/* As the supervisor does before it starts the NIC. */
static void
write_tables(struct provider *p)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/softnic.tables", run_dir);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	ck_assert_int_eq(write(fd, ops->nic(p), sizeof(struct softnic_tables)),
		sizeof(struct softnic_tables));
	close(fd);
}

static void
remove_tables(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/softnic.tables", run_dir);
	unlink(path);
}

static void
expect_nothing_left(void)
{
	static const char *const addr[] = { VIP, SNAT, VIP6, SNAT6, PING };
	LIBBPF_OPTS(bpf_xdp_query_opts, q);

	remove_tables();
	for (size_t i = 0; i < 5; i++) {
		struct ip_addr a = addr_of(addr[i]);

		ck_assert_int_eq(link_has_addr(nl, &a), 0);
	}
	ck_assert_uint_eq(if_nametoindex(TAP), 0);
	ck_assert_int_eq(bpf_xdp_query((int)if_nametoindex("up0"), 0, &q), 0);
	ck_assert_uint_eq(q.prog_id, 0);
	ck_assert_int_eq(count_files(run_dir), 0);
}

static uint64_t
uplink_drop(struct provider *p, const char *name)
{
	struct provider_counters c;

	ck_assert_int_eq(ops->uplink_counters(p, 0, &c), 0);
	for (unsigned int k = 0; k < c.n_drops; k++)
		if (!strcmp(c.drop[k].name, name))
			return c.drop[k].count;
	ck_abort_msg("no drop counter %s", name);
	return 0;
}

static void
to_ping(struct frame *f, uint16_t port)
{
	uint8_t mac[6];

	read_mac("up0", mac);
	frame_flow(f, mac, frame_theirs, IPPROTO_UDP, CLIENT, 4000, PING, port,
		NULL);
}

START_TEST(create_and_destroy)
{
	struct provider *p = open_provider(false);
	const struct softnic_tables *t = ops->nic(p);
	struct link_info up0;
	char args[256];

	ck_assert_msg(
		softnic_tables_check(t, why, sizeof(why)) == 0, "%s", why);
	ck_assert_str_eq(ops->uplink_mode(p, 0), "af_xdp native");
	ck_assert_int_eq(link_find(nl, "up0", &up0), 0);
	ck_assert_mem_eq(t->uplink[0].mac, up0.mac, 6);
	ck_assert_uint_eq(t->uplink[0].queues, 1);
	ck_assert_uint_eq(t->n_vnics, N_VNICS);
	ops->devargs(p, 0, args, sizeof(args));
	ck_assert_ptr_nonnull(strstr(args, "net_virtio_user0,path=/tmp/"));
	ck_assert_ptr_nonnull(strstr(args, "/web.0.vnic,server=1,"));
	ck_assert_ptr_nonnull(strstr(args, ",mac="));
	ck_assert_uint_eq(ops->memory_mb(&tp.plan), 64 + 2 * 10);
	ops->destroy(p);
	expect_nothing_left();
}
END_TEST

/* Without a NIC, a service's frames are nobody's; others are the kernel's. */
START_TEST(parted)
{
	struct provider *p = open_provider(false);
	struct frame f;

	to_ping(&f, 7);
	ck_assert_int_eq(crosses("peer0", &f, "up0"), 0);
	ck_assert_uint_eq(uplink_drop(p, "nic_down"), 1);
	to_ping(&f, 8);
	ck_assert_int_eq(crosses("peer0", &f, "up0"), 1);
	to_ping(&f, 7);
	f.b[5] ^= 1; /* another station's */
	ck_assert_int_eq(crosses("peer0", &f, "up0"), 1);
	ck_assert_uint_eq(uplink_drop(p, "nic_down"), 1);
	ops->destroy(p);
	expect_nothing_left();
}
END_TEST

/* --- a socket, as the NIC's driver opens it --- */

struct socket {
	struct xsk_umem *umem;
	struct xsk_socket *xsk;
	struct xsk_ring_prod fill, tx;
	struct xsk_ring_cons comp, rx;
	void *memory;
};

static int
socket_open(struct socket *s, const char *device)
{
	struct xsk_socket_config c = {
		.rx_size = UMEM, .tx_size = UMEM, .bind_flags = XDP_COPY
	};
	size_t size = UMEM * XSK_UMEM__DEFAULT_FRAME_SIZE;
	uint32_t at;
	int err;

	ck_assert_int_eq(posix_memalign(&s->memory, 4096, size), 0);
	err = xsk_umem__create(
		&s->umem, s->memory, size, &s->fill, &s->comp, NULL);
	ck_assert_int_eq(err, 0);
	err = xsk_socket__create(
		&s->xsk, device, 0, s->umem, &s->rx, &s->tx, &c);
	if (err)
		return err;
	ck_assert_uint_eq(
		xsk_ring_prod__reserve(&s->fill, UMEM / 2, &at), UMEM / 2);
	for (uint32_t i = 0; i < UMEM / 2; i++)
		*xsk_ring_prod__fill_addr(&s->fill, at + i) =
			(uint64_t)i * XSK_UMEM__DEFAULT_FRAME_SIZE;
	xsk_ring_prod__submit(&s->fill, UMEM / 2);
	return 0;
}

static void
socket_close(struct socket *s)
{
	xsk_socket__delete(s->xsk);
	xsk_umem__delete(s->umem);
	free(s->memory);
}

static int
socket_gets(struct socket *s, const struct frame *f)
{
	struct pollfd p = { .fd = xsk_socket__fd(s->xsk), .events = POLLIN };
	const struct xdp_desc *d;
	uint32_t at;
	int same;

	send_on("peer0", f);
	if (poll(&p, 1, 2000) != 1 || !xsk_ring_cons__peek(&s->rx, 1, &at))
		return 0;
	d = xsk_ring_cons__rx_desc(&s->rx, at);
	same = d->len == f->n &&
	       !memcmp(xsk_umem__get_data(s->memory, d->addr), f->b, f->n);
	xsk_ring_cons__release(&s->rx, 1);
	return same;
}

/* The driver takes our program as it is, and leaves it when it goes. */
START_TEST(driver)
{
	struct provider *p = open_provider(false);

	for (int i = 0; i < 2; i++) {
		struct socket s = { 0 };
		struct frame f;
		int err = socket_open(&s, "up0");

		ck_assert_msg(!err, "%s", strerror(-err));
		to_ping(&f, 7);
		ck_assert_int_eq(socket_gets(&s, &f), 1);
		to_ping(&f, 8);
		ck_assert_int_eq(crosses("peer0", &f, "up0"), 1);
		socket_close(&s);
		to_ping(&f, 7);
		ck_assert_int_eq(crosses("peer0", &f, "up0"), 0);
		ck_assert_uint_eq(uplink_drop(p, "nic_down"), 1 + (uint64_t)i);
		ck_assert_str_eq(ops->uplink_mode(p, 0), "af_xdp native");
	}
	ops->destroy(p);
	expect_nothing_left();
}
END_TEST

/* --- a port with a tap --- */

static void
use_port(const char *port)
{
	strcpy(tp.uplinks[1].port, port);
	strcpy(tp.uplinks[1].device, *port ? TAP : "up1");
}

START_TEST(tap)
{
	struct provider *p;
	struct link_info made, found;
	LIBBPF_OPTS(bpf_xdp_query_opts, q);

	use_port("net_null0");
	p = open_provider(false);
	ck_assert_int_eq(link_find(nl, TAP, &made), 0);
	ck_assert_str_eq(made.kind, "tun");
	ck_assert_str_eq(made.alias, "carryall unit lan");
	ck_assert_uint_ne(made.flags & IFF_UP, 0);
	ck_assert_int_eq(bpf_xdp_query(made.index, 0, &q), 0);
	ck_assert_uint_eq(q.prog_id, 0);
	ck_assert_str_eq(ops->uplink_mode(p, 1), "port");
	ck_assert_str_eq(ops->nic(p)->uplink[1].devargs, "net_null1");
	ck_assert_str_eq(ops->nic(p)->uplink[1].tap, TAP);
	ck_assert_mem_eq(ops->nic(p)->uplink[1].mac, made.mac, 6);
	write_tables(p);
	ops->detach(p);
	p = open_provider(true);
	ck_assert_int_eq(link_find(nl, TAP, &found), 0);
	ck_assert_int_eq(found.index, made.index);
	ck_assert_mem_eq(found.mac, made.mac, 6);
	ops->detach(p);
	ops->purge(run_dir);
	expect_nothing_left();
	use_port("");
}
END_TEST

START_TEST(tap_refused)
{
	use_port("net_null0");
	ck_assert_int_eq(link_make_veth(nl, TAP, "other", 1500, "mine"), 0);
	ck_assert_int_eq(try_create(false), -EEXIST);
	ck_assert_ptr_nonnull(strstr(why, "a device tap9 is there, \"mine\""));
	ck_assert_int_eq(link_remove(nl, TAP), 0);
	ck_assert_int_eq(link_make_tap(nl, TAP, "carryall other lan"), 0);
	ck_assert_int_eq(link_make_tap(nl, TAP, "again"), -EEXIST);
	ck_assert_int_eq(try_create(false), -EEXIST);
	ck_assert_ptr_nonnull(strstr(why, "carryall other lan"));
	ck_assert_int_eq(link_remove(nl, TAP), 0);
	use_port("");
	expect_nothing_left();
}
END_TEST

/* --- adopt and update --- */

START_TEST(adopt)
{
	struct provider *p = open_provider(false);
	struct frame f;

	write_tables(p);
	ck_assert_uint_eq(ops->nic(p)->generation, 1);
	ops->detach(p);
	to_ping(&f, 7);
	ck_assert_int_eq(crosses("peer0", &f, "up0"), 0);
	p = open_provider(true);
	ck_assert_uint_eq(ops->nic(p)->generation, 1);
	ck_assert_uint_eq(uplink_drop(p, "nic_down"), 1);
	ops->detach(p);
	/* The config has changed meanwhile; memory is what it was. */
	tp.functions[0].rate_bps = 1000000;
	tp.plan.nic_memory_mb = 1000;
	p = open_provider(true);
	ck_assert_uint_eq(ops->nic(p)->generation, 2);
	ck_assert_uint_eq(ops->nic(p)->vnic[0].rate_bps, 1000000);
	ck_assert_uint_eq(ops->nic(p)->memory_mb, 0);
	ops->destroy(p);
	expect_nothing_left();
	tp.functions[0].rate_bps = 0;
	tp.plan.nic_memory_mb = 0;
}
END_TEST

START_TEST(adopt_refused)
{
	struct provider *p;

	ck_assert_int_eq(try_create(true), -ENOENT);
	p = open_provider(false);
	ck_assert_int_eq(try_create(true), -ENOENT);
	ck_assert_ptr_nonnull(strstr(why, "softnic.tables"));
	write_tables(p);
	tp.config.nic_core = 1;
	ck_assert_int_eq(try_create(true), -EBUSY);
	ck_assert_ptr_nonnull(strstr(why, "the core of the NIC"));
	tp.config.nic_core = 0;
	ops->destroy(p);
	expect_nothing_left();
}
END_TEST

START_TEST(update)
{
	struct provider *p = open_provider(false);
	const struct softnic_tables *t = ops->nic(p);
	struct ip_addr ping = addr_of(PING);
	unsigned int n = tp.plan.n_steers;
	struct frame f;

	ck_assert_int_eq(ops->update(p, &tp.plan, why, sizeof(why)), 0);
	ck_assert_uint_eq(t->generation, 1);
	/* A service goes: the kernel has its frames, and not its address. */
	tp.plan.n_steers = 9;
	ck_assert_int_eq(ops->update(p, &tp.plan, why, sizeof(why)), 0);
	ck_assert_uint_eq(t->generation, 2);
	ck_assert_int_eq(link_has_addr(nl, &ping), 0);
	to_ping(&f, 7);
	ck_assert_int_eq(crosses("peer0", &f, "up0"), 1);
	tp.plan.n_steers = n;
	ck_assert_int_eq(ops->update(p, &tp.plan, why, sizeof(why)), 0);
	ck_assert_uint_eq(t->generation, 3);
	ck_assert_int_eq(link_has_addr(nl, &ping), 1);
	ck_assert_int_eq(crosses("peer0", &f, "up0"), 0);
	ck_assert_ptr_eq(ops->nic(p), t);
	ops->destroy(p);
	expect_nothing_left();
}
END_TEST

START_TEST(update_refused)
{
	struct provider *p = open_provider(false);
	struct test_plan *other = malloc(sizeof(*other));

	plan_by_hand(other, "up0", "up1");
	other->config.nic_core = 3;
	ck_assert_int_eq(
		ops->update(p, &other->plan, why, sizeof(why)), -EBUSY);
	ck_assert_uint_eq(ops->nic(p)->generation, 1);
	ck_assert_uint_eq(ops->nic(p)->core, 0);
	free(other);
	/* The former plan is in force again. */
	ck_assert_int_eq(ops->update(p, &tp.plan, why, sizeof(why)), 0);
	ck_assert_uint_eq(ops->nic(p)->generation, 1);
	ops->destroy(p);
	expect_nothing_left();
}
END_TEST

/* What an instance has left would not let the next one bind. */
START_TEST(reset)
{
	struct provider *p = open_provider(false);
	char path[128];
	int fd;

	ck_assert_int_eq(ops->vnic_reset(p, 0), 0);
	softtables_path(run_dir, "web.0", path, sizeof(path));
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	ck_assert_int_ge(fd, 0);
	close(fd);
	ck_assert_int_eq(ops->vnic_reset(p, 0), 0);
	ck_assert_int_ne(access(path, F_OK), 0);
	ck_assert_int_eq(ops->vnic_up(p, 0, true), 0);
	ck_assert_int_eq(ops->vnic_up(p, N_VNICS, true), -EINVAL);
	ops->destroy(p);
	expect_nothing_left();
}
END_TEST

START_TEST(large_mtu)
{
	ck_assert_int_eq(link_restore(nl, "up1", 1907), 0);
	ck_assert_int_eq(try_create(false), -EMSGSIZE);
	ck_assert_ptr_nonnull(strstr(why, "ip link set dev up1 mtu 1500"));
	expect_nothing_left();
	ck_assert_int_eq(link_restore(nl, "up1", 1906), 0);
	ck_assert_int_eq(try_create(false), 0);
	ck_assert_int_eq(link_restore(nl, "up1", 1500), 0);
	expect_nothing_left();
}
END_TEST

static void
undo(void)
{
	ops->purge(run_dir);
	remove_tables();
}

static TCase *
cases(void)
{
	TCase *t = tcase_create("provider");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, NULL, undo);
	tcase_add_test(t, create_and_destroy);
	tcase_add_test(t, parted);
	tcase_add_test(t, driver);
	tcase_add_test(t, tap);
	tcase_add_test(t, tap_refused);
	tcase_add_test(t, adopt);
	tcase_add_test(t, adopt_refused);
	tcase_add_test(t, update);
	tcase_add_test(t, update_refused);
	tcase_add_test(t, reset);
	tcase_add_test(t, large_mtu);
	return t;
}

int
main(void)
{
	Suite *s = suite_create("soft provider");
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
