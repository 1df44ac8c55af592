/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The framework's promise to a function: each packet is sent, held or freed
 * exactly once, by its verdict. And the mailbox, driven by a peer that is
 * good and by one that talks nonsense.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "dataplane/instance.h"
#include "tests/unit/lb_lab.h"

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
	tcase_add_test(tc, mail_is_answered);
	tcase_add_test(tc, nonsense_is_let_go);
	tcase_add_test(tc, the_newest_peer_counts);
	suite_add_tcase(suite, tc);
	return lab_run(suite);
}
