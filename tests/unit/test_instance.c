/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The framework's promise to a function: each packet is sent, held or freed
 * exactly once, by its verdict, also where the VNIC's ring is full. And the
 * mailbox, driven by a peer that is
 * good and by one that talks nonsense.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "dataplane/instance.h"
#include "tests/unit/lb_lab.h"
#include "tests/unit/slow_port.h"

#define N 48

static struct instance in;

START_TEST(each_packet_exactly_once)
{
	struct rte_mbuf *pkts[N], *held[N];
	nf_verdict verdict[N];
	unsigned int n_held = 0, full = rte_mempool_avail_count(lab_pool);
	static struct stats stats;

	memset(&in, 0, sizeof(in));
	memset(&stats, 0, sizeof(stats));
	in.stats = &stats;
	for (int i = 0; i < N; i++) {
		pkts[i] = rte_pktmbuf_alloc(lab_pool);
		verdict[i] = (nf_verdict)(i % 4);
		if (verdict[i] == NF_HELD)
			held[n_held++] = pkts[i];
	}
	instance_dispatch(&in, pkts, N, verdict);
	ck_assert_uint_eq(in.n_out, N / 4);
	for (int i = 0; i < in.n_out; i++)
		ck_assert_ptr_eq(in.out[i], pkts[i * 4]);
	ck_assert_uint_eq(stats.drop[0], N / 4);
	ck_assert_uint_eq(stats.drop[1], N / 4);
	ck_assert_uint_eq(rte_mempool_avail_count(lab_pool), full - N / 2);
	rte_pktmbuf_free_bulk(in.out, in.n_out);
	rte_pktmbuf_free_bulk(held, n_held);
	ck_assert_uint_eq(rte_mempool_avail_count(lab_pool), full);
}
END_TEST

START_TEST(spins_by_what_it_shares)
{
	struct grant g = { .share_core = 0 };
	uint32_t alone = instance_spin_loops(&g, 5);

	g.share_core = 1;
	ck_assert_uint_lt(instance_spin_loops(&g, 5), alone);
	/* Without a doorbell nothing would wake it. */
	ck_assert_uint_eq(instance_spin_loops(&g, -1), UINT32_MAX);
}
END_TEST

/* --- a ring that is full --- */

static struct stats ring_stats;
static unsigned int pool_full;

static void
ring_begin(void)
{
	pool_full = rte_mempool_avail_count(lab_pool);
	slow_begin();
	memset(&in, 0, sizeof(in));
	memset(&ring_stats, 0, sizeof(ring_stats));
	in.stats = &ring_stats;
	in.vnic.port = slow.port;
	in.tsc_per_us = 1;
	in.now_tsc = 77;
}

/* Whatever is left is freed, and then the pool is as it was. */
static void
ring_end(void)
{
	rte_pktmbuf_free_bulk(in.out, in.n_out);
	slow_end();
	ck_assert_uint_eq(rte_mempool_avail_count(lab_pool), pool_full);
}

/* A packet that tells its number, by its length. */
static struct rte_mbuf *
numbered(uint16_t i)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(lab_pool);

	ck_assert_ptr_nonnull(m);
	ck_assert_ptr_nonnull(rte_pktmbuf_append(m, i));
	return m;
}

static void
emit_numbered(uint16_t from, uint16_t to)
{
	for (uint16_t i = from; i < to; i++)
		instance_emit(&in, numbered(i));
}

/* The ring gives numbers from..to-1 next. */
static void
ring_gives(uint16_t from, uint16_t to)
{
	struct rte_mbuf *m;

	for (uint16_t i = from; i < to; i++) {
		ck_assert_uint_eq(slow_take(&m, 1), 1);
		ck_assert_uint_eq(rte_pktmbuf_pkt_len(m), i);
		rte_pktmbuf_free(m);
	}
}

START_TEST(what_the_ring_leaves_stays)
{
	ring_begin();
	emit_numbered(0, 150);
	ck_assert_uint_eq(instance_flush(&in), SLOW_ROOM);
	ck_assert_uint_eq(instance_flush(&in), 0);
	ck_assert_uint_eq(in.n_out, 150 - SLOW_ROOM);
	ring_gives(0, 10);
	emit_numbered(150, 160);
	ck_assert_uint_eq(instance_flush(&in), 10);
	ring_gives(10, 10 + SLOW_ROOM);
	ck_assert_uint_eq(instance_flush(&in), SLOW_ROOM);
	ring_gives(74, 74 + SLOW_ROOM);
	ck_assert_uint_eq(instance_flush(&in), 160 - 74 - SLOW_ROOM);
	ring_gives(74 + SLOW_ROOM, 160);
	ck_assert_uint_eq(in.n_out, 0);
	ck_assert_uint_eq(in.n_left, 0);
	ck_assert_uint_eq(ring_stats.tx_packets, 160);
	ck_assert_uint_eq(ring_stats.tx_bytes, 160 * 159 / 2);
	ck_assert_uint_eq(ring_stats.drop[NF_DROP_TX_FULL], 0);
	ring_end();
}
END_TEST

/* What comes last is lost where something must be: what waited is not. */
START_TEST(no_room_for_a_burst)
{
	nf_verdict verdict[NF_BURST_MAX] = { NF_TX };
	struct rte_mbuf *pkts[NF_BURST_MAX];
	const uint16_t first = INSTANCE_OUT_MAX - NF_BURST_MAX;

	ring_begin();
	emit_numbered(0, SLOW_ROOM);
	instance_flush(&in);
	emit_numbered(0, first);
	for (uint16_t round = 0; round < 3; round++) {
		for (uint16_t i = 0; i < NF_BURST_MAX; i++)
			pkts[i] = numbered(1000 + round);
		instance_dispatch(&in, pkts, NF_BURST_MAX, verdict);
		instance_flush(&in);
		ck_assert_uint_eq(in.n_out, INSTANCE_OUT_MAX);
		ck_assert_uint_eq(
			ring_stats.drop[NF_DROP_TX_FULL], round * NF_BURST_MAX);
		for (uint16_t i = 0; i < in.n_out; i++)
			ck_assert_uint_eq(rte_pktmbuf_pkt_len(in.out[i]),
				i < first ? i : 1000 + round);
	}
	instance_emit(&in, numbered(1));
	ck_assert_uint_eq(
		ring_stats.drop[NF_DROP_TX_FULL], 2 * NF_BURST_MAX + 1);
	ck_assert_uint_eq(in.n_out, INSTANCE_OUT_MAX);
	ring_end();
}
END_TEST

/* The wait counts from the last packet that the ring took. */
START_TEST(nothing_taken_for_long)
{
	ring_begin();
	emit_numbered(0, SLOW_ROOM + 20);
	instance_flush(&in);
	in.now_tsc += INSTANCE_OUT_WAIT_US - 1;
	ck_assert_uint_eq(instance_flush(&in), 0);
	ring_gives(0, 1);
	ck_assert_uint_eq(instance_flush(&in), 1);
	in.now_tsc += INSTANCE_OUT_WAIT_US - 1;
	ck_assert_uint_eq(instance_flush(&in), 0);
	ck_assert_uint_eq(in.n_out, 19);
	in.now_tsc += 1;
	ck_assert_uint_eq(instance_flush(&in), 19);
	ck_assert_uint_eq(in.n_out, 0);
	ck_assert_uint_eq(ring_stats.drop[NF_DROP_TX_FULL], 19);
	/* The next one begins a wait of its own. */
	emit_numbered(0, 1);
	instance_flush(&in);
	in.now_tsc += INSTANCE_OUT_WAIT_US - 1;
	ck_assert_uint_eq(instance_flush(&in), 0);
	ck_assert_uint_eq(in.n_out, 1);
	ring_end();
}
END_TEST

START_TEST(room_is_what_can_wait)
{
	const uint16_t most = INSTANCE_OUT_MAX - NF_BURST_MAX;

	ring_begin();
	ck_assert_uint_eq(instance_room(&in), most);
	emit_numbered(0, 10);
	ck_assert_uint_eq(instance_room(&in), most - 10);
	emit_numbered(10, most);
	ck_assert_uint_eq(instance_room(&in), 0);
	emit_numbered(most, most + 5);
	ck_assert_uint_eq(instance_room(&in), 0);
	/* While any is left there is none, however few. */
	for (uint16_t i = 0; in.n_out > 0; i++) {
		instance_flush(&in);
		ck_assert_uint_eq(instance_room(&in), in.n_out > 0 ? 0 : most);
		ring_gives(
			i * SLOW_ROOM, RTE_MIN((i + 1) * SLOW_ROOM, most + 5));
	}
	ring_end();
}
END_TEST

/* --- mailbox --- */

static struct mailbox box;
static struct sockaddr_un addr;
static unsigned int handled;
static int handled_fd;

static void
handle(void *ctx, struct mail *mail, int fd)
{
	(void)ctx;
	handled++;
	handled_fd = fd;
	mail->status = -EBUSY;
	mail->pid = 4711;
	snprintf(mail->why, sizeof(mail->why), "because");
}

static void
box_open(void)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0);
	socklen_t len = sizeof(addr);

	memset(&addr, 0, sizeof(addr));
	addr.sun_family = AF_UNIX;
	/* The kernel chooses an abstract name. */
	ck_assert_int_eq(bind(fd, (void *)&addr, sizeof(sa_family_t)), 0);
	ck_assert_int_eq(getsockname(fd, (void *)&addr, &len), 0);
	ck_assert_int_eq(listen(fd, 4), 0);
	ck_assert_int_eq(mailbox_init(&box, fd, -1), 0);
	handled = 0;
}

static int
box_connect(void)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 6);

	ck_assert_int_eq(connect(fd, (void *)&addr, len), 0);
	mailbox_poll(&box, 0, handle, NULL);
	return fd;
}

START_TEST(mail_is_answered)
{
	struct mail mail = { .op = MAIL_HELLO };
	int fd;

	box_open();
	fd = box_connect();
	ck_assert_int_eq(send(fd, &mail, sizeof(mail), 0), sizeof(mail));
	mailbox_poll(&box, 0, handle, NULL);
	ck_assert_int_eq(
		recv(fd, &mail, sizeof(mail), MSG_DONTWAIT), sizeof(mail));
	ck_assert_uint_eq(mail.op, MAIL_HELLO);
	ck_assert_int_eq(mail.status, -EBUSY);
	ck_assert_uint_eq(mail.pid, 4711);
	ck_assert_str_eq(mail.why, "because");
	ck_assert_int_eq(handled_fd, -1);
	close(fd);
	mailbox_fini(&box);
}
END_TEST

/* A message that is none ends that connection, and nothing else. */
START_TEST(nonsense_is_let_go)
{
	struct mail mail = { .op = MAIL_HELLO };
	char half[100] = "half a message";
	int bad, good;

	box_open();
	bad = box_connect();
	ck_assert_int_eq(send(bad, half, sizeof(half), 0), sizeof(half));
	mailbox_poll(&box, 0, handle, NULL);
	ck_assert_uint_eq(handled, 0);
	ck_assert_int_eq(recv(bad, half, sizeof(half), MSG_DONTWAIT), 0);
	good = box_connect();
	ck_assert_int_eq(send(good, &mail, sizeof(mail), 0), sizeof(mail));
	mailbox_poll(&box, 0, handle, NULL);
	ck_assert_uint_eq(handled, 1);
	close(bad);
	close(good);
	mailbox_fini(&box);
}
END_TEST

/* A new control plane takes the place of a former that hangs. */
START_TEST(the_newest_peer_counts)
{
	struct mail mail = { .op = MAIL_STOP };
	int old, new;

	box_open();
	old = box_connect();
	new = box_connect();
	ck_assert_int_eq(recv(old, &mail, sizeof(mail), MSG_DONTWAIT), 0);
	ck_assert_int_eq(send(new, &mail, sizeof(mail), 0), sizeof(mail));
	mailbox_poll(&box, 0, handle, NULL);
	ck_assert_uint_eq(handled, 1);
	close(old);
	close(new);
	mailbox_fini(&box);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("instance");
	TCase *tc = tcase_create("instance");

	tcase_add_test(tc, each_packet_exactly_once);
	tcase_add_test(tc, spins_by_what_it_shares);
	tcase_add_test(tc, what_the_ring_leaves_stays);
	tcase_add_test(tc, no_room_for_a_burst);
	tcase_add_test(tc, nothing_taken_for_long);
	tcase_add_test(tc, room_is_what_can_wait);
	tcase_add_test(tc, mail_is_answered);
	tcase_add_test(tc, nonsense_is_let_go);
	tcase_add_test(tc, the_newest_peer_counts);
	suite_add_tcase(suite, tc);
	return lab_run(suite);
}
