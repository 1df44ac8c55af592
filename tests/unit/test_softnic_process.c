/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The NIC in software as the control plane starts it: a process with its
 * descriptors, a real port (a veth end by AF_PACKET), a tap, the mailbox; and
 * no instance. In a network namespace of its own, which ends with it. Needs
 * root.
 */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctrl/mail.h"
#include "dataplane/clock.h"
#include "dataplane/softnic/capture.h"
#include "dataplane/softnic/softnic.h"
#include "tests/unit/frames.h"

#define SKIP    77
#define WAIT_MS 20000

static const uint8_t broadcast[6] = { 255, 255, 255, 255, 255, 255 };

static struct softnic_tables *tables;
static struct softnic_stats *stats;
static int tables_fd, stats_fd, capture_fd, mail_fd;
static pid_t child;

/* --- what the control plane does ----------------------------------------- */

static void *
memory(int *fd, size_t size)
{
	void *p;

	*fd = memfd_create("unit", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(*fd, (off_t)size), 0);
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	ck_assert_ptr_ne(p, MAP_FAILED);
	return p;
}

static void
tables_fill(struct softnic_tables *t, uint32_t generation)
{
	t->magic = SOFTNIC_MAGIC;
	t->version = SOFTNIC_VERSION;
	t->size = sizeof(*t);
	t->generation = generation;
	t->memory_mb = 128;
	t->n_uplinks = t->n_functions = t->n_vnics = t->n_entries = 1;
	t->function[0].weight = 1;
	strcpy(t->appliance, "unit");
	strcpy(t->uplink[0].name, "wan");
	strcpy(t->uplink[0].devargs, "net_af_packet0,iface=nic0");
	strcpy(t->uplink[0].tap, "tap0");
	memcpy(t->uplink[0].mac, frame_ours, 6);
	t->uplink[0].queues = 1;
	strcpy(t->vnic[0].name, "web.0");
	strcpy(t->vnic[0].path, "/run/softnic-unit.none");
	t->vnic[0].uplinks = 1;
}

static int
listener_make(struct sockaddr_un *addr)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	memset(addr, 0, sizeof(*addr));
	addr->sun_family = AF_UNIX;
	snprintf(addr->sun_path + 1, sizeof(addr->sun_path) - 1, "unit-%d",
		getpid());
	ck_assert_int_eq(bind(fd, (struct sockaddr *)addr, sizeof(*addr)), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	return fd;
}

/* Far above, then to where they belong: none is overwritten on the way. */
static void
descriptors(int listener)
{
	int from[] = { tables_fd, stats_fd, listener, capture_fd }, high[4];

	for (int i = 0; i < 4; i++)
		high[i] = fcntl(from[i], F_DUPFD, 100);
	for (int i = 0; i < 4; i++)
		dup2(high[i], SOFTNIC_FD_TABLES + i);
}

static void
child_run(int listener)
{
	char why[256] = "";
	struct softnic *nic;

	descriptors(listener);
	nic = softnic_open(why, sizeof(why));
	if (nic == NULL) {
		fprintf(stderr, "softnic: %s\n", why);
		_exit(1);
	}
	softnic_run(nic);
	softnic_close(nic);
	_exit(0);
}

static void
setup(void)
{
	struct sockaddr_un addr;
	int listener;

	tables = memory(&tables_fd, sizeof(*tables));
	stats = memory(&stats_fd, sizeof(*stats));
	capture_init(memory(&capture_fd, CAPTURE_FILE_SIZE));
	tables_fill(tables, 1);
	listener = listener_make(&addr);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0)
		child_run(listener);
	mail_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(
		connect(mail_fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	close(listener);
	ck_assert_int_eq(mail_prepare(mail_fd), 0);
}

/* Whatever the test has come to, no process stays. */
static void
teardown(void)
{
	if (child > 0) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
}

static void
readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	ck_assert_int_eq(poll(&p, 1, WAIT_MS), 1);
}

static struct mail
ask(enum mail_op op, int attach)
{
	struct mail mail;
	pid_t sender;

	ck_assert_int_eq(mail_send(mail_fd, op, attach), 0);
	readable(mail_fd);
	ck_assert_int_eq(mail_take(mail_fd, &mail, &sender), 0);
	ck_assert_int_eq(sender, child);
	return mail;
}

static void
stop(void)
{
	int status;

	ck_assert_int_eq(ask(MAIL_STOP, -1).status, 0);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	child = 0;
	ck_assert_int_eq(status, 0);
}

/* --- wires --------------------------------------------------------------- */

static int
wire(const char *device)
{
	struct sockaddr_ll a = { .sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)if_nametoindex(device) };
	int on = 1, fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	ck_assert_int_eq(setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on,
				 sizeof(on)),
		0);
	return fd;
}

/* Sent at `from`, the frame must come out at `to`, as it is. */
static void
crosses(int from, int to, const struct frame *f)
{
	struct frame g;

	ck_assert_int_eq(send(from, f->b, f->n, 0), (ssize_t)f->n);
	do {
		readable(to);
		g.n = (size_t)recv(to, g.b, sizeof(g.b), 0);
	} while (g.n != f->n || memcmp(g.b, f->b, f->n) != 0);
}

START_TEST(frames_of_the_kernel)
{
	struct frame f;
	int far, tap;

	ck_assert_int_eq(ask(MAIL_HELLO, -1).status, 0);
	far = wire("far0");
	tap = wire("tap0");
	for (uint8_t k = 0; k < 40; k++) {
		put_eth(&f, broadcast, frame_theirs, 0x0806);
		memset(f.b + f.n, k, 46);
		f.n += 46;
		crosses(far, tap, &f);
		put_eth(&f, frame_theirs, frame_ours, 0x0806);
		memset(f.b + f.n, ~k, 1400);
		f.n += 1400;
		crosses(tap, far, &f);
	}
	stop();
	ck_assert_uint_ge(stats->uplink[0].passed, 40);
	ck_assert_uint_ge(stats->uplink[0].injected, 40);
	ck_assert_uint_eq(stats->uplink[0].drop[SOFTNIC_EXCEPTION_LOST], 0);
	close(far);
	close(tap);
}
END_TEST

/* --- privileges, rest, mail ---------------------------------------------- */

static unsigned int
threads_with_caps(unsigned int *threads)
{
	char path[300], line[200];
	unsigned long long caps;
	unsigned int with = 0;
	struct dirent *e;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", child);
	dir = opendir(path);
	ck_assert_ptr_nonnull(dir);
	while ((e = readdir(dir)) != NULL) {
		FILE *in;

		snprintf(path, sizeof(path), "/proc/%d/task/%s/status", child,
			e->d_name);
		in = e->d_name[0] == '.' ? NULL : fopen(path, "r");
		if (in == NULL)
			continue;
		++*threads;
		while (fgets(line, sizeof(line), in) != NULL)
			if ((sscanf(line, "CapPrm: %llx", &caps) == 1 ||
				    sscanf(line, "CapEff: %llx", &caps) == 1 ||
				    sscanf(line, "CapInh: %llx", &caps) == 1 ||
				    sscanf(line, "CapBnd: %llx", &caps) == 1) &&
				caps != 0)
				with++;
		fclose(in);
	}
	closedir(dir);
	return with;
}

START_TEST(no_privileges)
{
	unsigned int threads = 0;

	ck_assert_int_eq(ask(MAIL_HELLO, -1).status, 0);
	ck_assert_uint_eq(threads_with_caps(&threads), 0);
	ck_assert_uint_ge(threads, 3);
	stop();
}
END_TEST

/* Three sleeps, one second each when nothing comes, take next to no time. */
START_TEST(rests)
{
	uint64_t sleeps, cpu, began;
	clockid_t clock;

	ck_assert_int_eq(ask(MAIL_HELLO, -1).status, 0);
	ck_assert_int_eq(clock_getcpuclockid(child, &clock), 0);
	sleeps = __atomic_load_n(&stats->sleeps, __ATOMIC_RELAXED) + 1;
	while (__atomic_load_n(&stats->sleeps, __ATOMIC_RELAXED) < sleeps)
		sched_yield();
	cpu = clock_ns(clock);
	began = clock_ns(CLOCK_MONOTONIC);
	while (__atomic_load_n(&stats->sleeps, __ATOMIC_RELAXED) < sleeps + 3)
		sched_yield();
	ck_assert_uint_gt(clock_ns(CLOCK_MONOTONIC) - began, 2000000000);
	ck_assert_uint_lt(clock_ns(clock) - cpu, 40000000);
	stop();
}
END_TEST

START_TEST(updates)
{
	struct softnic_tables *new;
	struct mail mail;
	int fd;

	mail = ask(MAIL_HELLO, -1);
	ck_assert_int_eq(mail.status, 0);
	ck_assert_uint_eq(mail.pid, (uint32_t)child);
	ck_assert_uint_eq(mail.generation, 1);
	for (uint32_t generation = 2; generation < 6; generation++) {
		new = memory(&fd, sizeof(*new));
		tables_fill(new, generation);
		new->vnic[0].rate_bps = generation * 1000000;
		mail = ask(MAIL_UPDATE, fd);
		ck_assert_msg(mail.status == 0, "%s", mail.why);
		ck_assert_uint_eq(mail.generation, generation);
		munmap(new, sizeof(*new));
		close(fd);
	}
	new = memory(&fd, sizeof(*new));
	mail = ask(MAIL_UPDATE, fd);
	ck_assert_int_eq(mail.status, -EINVAL);
	ck_assert_str_ne(mail.why, "");
	tables_fill(new, 9);
	strcpy(new->vnic[0].path, "/elsewhere");
	mail = ask(MAIL_UPDATE, fd);
	ck_assert_int_eq(mail.status, -EBUSY);
	ck_assert_str_ne(mail.why, "");
	ck_assert_uint_eq(mail.generation, 5);
	ck_assert_int_eq(ask(MAIL_UPDATE, -1).status, -EINVAL);
	ck_assert_int_eq(ask((enum mail_op)77, -1).status, -EOPNOTSUPP);
	stop();
	ck_assert_uint_eq(stats->generation, 5);
	ck_assert_uint_eq(stats->starts, 1);
}
END_TEST

/* Without its device it says which, and ends. */
START_TEST(refuses_what_is_not_there)
{
	int status;

	teardown();
	strcpy(tables->uplink[0].tap, "nosuch");
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0)
		child_run(mail_fd);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	child = 0;
	ck_assert_int_eq(WEXITSTATUS(status), 1);
}
END_TEST

/* A namespace with one cable, far0 to nic0, and the kernel's tap. */
static int
lab(void)
{
	static const char *const command[] = {
		"ip link add nic0 type veth peer name far0",
		"ip tuntap add tap0 mode tap",
		"sysctl -qw net.ipv6.conf.all.disable_ipv6=1",
		"ip link set far0 up",
		"ip link set nic0 up",
		"ip link set tap0 up",
	};

	if (unshare(CLONE_NEWNET) != 0)
		return -errno;
	for (size_t i = 0; i < sizeof(command) / sizeof(command[0]); i++)
		if (system(command[i]) != 0)
			return -ENODEV;
	return 0;
}

int
main(void)
{
	Suite *suite = suite_create("softnic process");
	TCase *c = tcase_create("one uplink");
	SRunner *r;
	int failed;

	if (geteuid() != 0 || lab() != 0) {
		printf("skipped: devices and namespaces need root\n");
		return SKIP;
	}
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_set_timeout(c, 120);
	tcase_add_test(c, frames_of_the_kernel);
	tcase_add_test(c, no_privileges);
	tcase_add_test(c, rests);
	tcase_add_test(c, updates);
	tcase_add_test(c, refuses_what_is_not_there);
	suite_add_tcase(suite, c);
	r = srunner_create(suite);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
