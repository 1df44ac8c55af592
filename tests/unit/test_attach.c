/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Instances come and go, good ones and hostile ones, under a loop that does
 * what the NIC's does: a burst each way for each VNIC, a quiescent state, and
 * a break for what is broken. VNIC 1 is always good, and must be served
 * whatever VNIC 0 does.
 *
 * Waiting is for an event, with a limit after which the test has failed.
 */
#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <pthread.h>
#include <sched.h>
#include <sys/vfs.h>
#include <time.h>

#include <rte_eal.h>
#include <rte_mbuf.h>
#include <rte_rcu_qsbr.h>

#include "dataplane/softnic/attach.h"
#include "tests/e2e/front.h"

#define LIMIT_MS 10000
#define BURST    32

static struct rte_mempool *pool;
static struct softnic_tables *tables;
static struct softnic_stats *stats;
static struct rte_rcu_qsbr *qsbr;
static struct attach *attach;
static pthread_t loop;
static uint32_t loop_stop;
static uint64_t frames[2]; /* from VNIC i */
static uint32_t loop_hold; /* 1: asked to hold_on(), 2: does */
static char dir[] = "/tmp/attachXXXXXX", path[2][64];
static struct front front[2];

static uint64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

#define AWAIT(cond)                                                           \
	do {                                                                  \
		uint64_t limit_ = now_ms() + LIMIT_MS;                        \
		while (!(cond)) {                                             \
			ck_assert_msg(now_ms() < limit_, "never: %s", #cond); \
			sched_yield();                                        \
		}                                                             \
	} while (0)

#define READ(word) __atomic_load_n(&(word), __ATOMIC_ACQUIRE)

/* --- the loop ------------------------------------------------------------ */

static void
loop_break(uint32_t i, int rc)
{
	stats->vnic[i].drop[-1 - rc]++;
	attach_break(attach, i);
}

/*
 * A loop that is slow in this round: it has its link while that is taken
 * away, and uses it for some time more.
 */
static void
hold_on(struct attach_link *link)
{
	uint64_t until;

	__atomic_store_n(&loop_hold, 2, __ATOMIC_RELEASE);
	AWAIT(attach_get(attach, 0) == NULL);
	for (until = now_ms() + 20; now_ms() < until;)
		ck_assert_int_ge(virtq_available(&link->to), 0);
	__atomic_store_n(&loop_hold, 0, __ATOMIC_RELEASE);
}

/* Whatever VNIC i sends goes back to it. */
static void
loop_vnic(uint32_t i, struct rte_mbuf **pkts)
{
	struct attach_link *link = attach_get(attach, i);
	uint16_t large = 0;
	int n, rc;

	if (link == NULL)
		return;
	if (i == 0 && READ(loop_hold) == 1)
		hold_on(link);
	n = virtq_get(&link->from, pkts, BURST, stats->vnic[i].drop);
	if (n < 0) {
		loop_break(i, n);
		return;
	}
	rc = virtq_put(&link->to, pkts, (uint16_t)n, &large);
	if (rc < 0) {
		loop_break(i, rc);
		return;
	}
	virtq_call(&link->to);
	virtq_call(&link->from);
	__atomic_fetch_add(&frames[i], (uint64_t)n, __ATOMIC_RELEASE);
}

static void *
loop_main(void *arg)
{
	struct rte_mbuf *pkts[BURST];

	(void)arg;
	ck_assert_int_eq(rte_pktmbuf_alloc_bulk(pool, pkts, BURST), 0);
	rte_rcu_qsbr_thread_register(qsbr, 0);
	rte_rcu_qsbr_thread_online(qsbr, 0);
	while (!READ(loop_stop)) {
		for (uint32_t i = 0; i < 2; i++)
			loop_vnic(i, pkts);
		rte_rcu_qsbr_quiescent(qsbr, 0);
		sched_yield();
	}
	rte_rcu_qsbr_thread_offline(qsbr, 0);
	rte_rcu_qsbr_thread_unregister(qsbr, 0);
	rte_pktmbuf_free_bulk(pkts, BURST);
	return NULL;
}

/* --- fixture ------------------------------------------------------------- */

static int
descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

static int descriptors_before;

static void
begin(void)
{
	char why[200] = "";

	loop_stop = 0;
	frames[0] = frames[1] = 0;
	ck_assert_msg(attach_create(&attach, tables, stats, qsbr, why,
			      sizeof(why)) == 0,
		"%s", why);
	ck_assert_int_eq(pthread_create(&loop, NULL, loop_main, NULL), 0);
}

static void
end(void)
{
	__atomic_store_n(&loop_stop, 1, __ATOMIC_RELEASE);
	pthread_join(loop, NULL);
	attach_destroy(attach);
}

/* Accept and become attached. */
static void
attached(int i)
{
	ck_assert(front_accept(&front[i], LIMIT_MS));
	ck_assert(front_greet(&front[i]));
	AWAIT(READ(stats->vnic[i].attached) == 1);
}

static void
setup(void)
{
	descriptors_before = descriptors();
	tables = calloc(1, sizeof(*tables));
	stats = calloc(1, sizeof(*stats));
	qsbr = aligned_alloc(64, rte_rcu_qsbr_get_memsize(1));
	rte_rcu_qsbr_init(qsbr, 1);
	strcpy(dir + strlen(dir) - 6, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	tables->n_vnics = 2;
	for (int i = 0; i < 2; i++) {
		snprintf(path[i], sizeof(path[i]), "%s/vnic%d", dir, i);
		strcpy(tables->vnic[i].path, path[i]);
	}
	for (int i = 0; i < 2; i++)
		front_open(&front[i], path[i]);
	begin();
	attached(1);
	front_offer_buffers(&front[1]);
}

/* Whatever has happened, nothing is left. */
static void
teardown(void)
{
	end();
	for (int i = 0; i < 2; i++)
		front_close(&front[i]);
	ck_assert_int_eq(rmdir(dir), 0);
	free(tables);
	free(stats);
	free(qsbr);
	ck_assert_uint_eq(rte_mempool_in_use_count(pool), 0);
	ck_assert_int_eq(descriptors(), descriptors_before);
}

/* --- good ones ----------------------------------------------------------- */

static uint8_t *
buffer(int i, int ring, uint16_t n)
{
	return front[i].mem + front_buffer(ring, n);
}

/* `n` frames there and back, one after the other, each byte the same. */
static void
echo(int i, int n)
{
	struct vring_used_elem e;

	while (n-- > 0) {
		uint32_t len = 60 + (uint32_t)rand() % 1400;
		uint8_t *out = buffer(i, 1, 0);

		for (uint32_t j = 0; j < len; j++)
			out[VIRTQ_HEADER + j] = (uint8_t)rand();
		front_desc(&front[i], 1, 0, len + VIRTQ_HEADER);
		front_offer(&front[i], 1, 0);
		AWAIT(front_used(&front[i], 1, &e));
		AWAIT(front_used(&front[i], 0, &e));
		ck_assert_uint_eq(e.len, len + VIRTQ_HEADER);
		ck_assert_mem_eq(buffer(i, 0, (uint16_t)e.id) + VIRTQ_HEADER,
			out + VIRTQ_HEADER, len);
		front_offer(&front[i], 0, (uint16_t)e.id);
	}
}

/* The neighbour is served: the end of each test of a hostile one. */
static void
neighbour_is_well(void)
{
	echo(1, 20);
	ck_assert_uint_eq(READ(stats->vnic[1].attaches), 1);
	ck_assert_uint_eq(READ(stats->vnic[1].attached), 1);
}

START_TEST(frames_come_back)
{
	uint64_t count;

	attached(0);
	front_offer_buffers(&front[0]);
	echo(0, 1000);
	ck_assert_uint_eq(READ(frames[0]), 1000);
	ck_assert_int_eq(read(front[0].ring[0].call, &count, 8), 8);
	neighbour_is_well();
}
END_TEST

/* Rings that stop and start go on; in between they are not worked on. */
START_TEST(stopped_and_started)
{
	struct vhost_message m = { 0 };
	struct vring_used_elem e;

	attached(0);
	front_offer_buffers(&front[0]);
	echo(0, 100);
	front_say_state(&front[0], VHOST_SET_VRING_ENABLE, 0, 0);
	AWAIT(READ(stats->vnic[0].attached) == 0);
	front_desc(&front[0], 1, 7, 100);
	front_offer(&front[0], 1, 7);
	neighbour_is_well();
	ck_assert_int_eq(front_used(&front[0], 1, &e), 0);
	m.state.index = 1;
	front_say(&front[0], &m, VHOST_GET_VRING_BASE, 8, NULL, 0);
	ck_assert_int_eq(recv(front[0].fd, &m, 20, MSG_WAITALL), 20);
	ck_assert_uint_eq(m.state.num, 100);
	front_say_ring(&front[0], 1);
	front_say_state(&front[0], VHOST_SET_VRING_ENABLE, 0, 1);
	AWAIT(front_used(&front[0], 1, &e));
	ck_assert_uint_eq(e.id, 7);
	AWAIT(front_used(&front[0], 0, &e));
	front_offer(&front[0], 0, (uint16_t)e.id);
	echo(0, 100);
	ck_assert_uint_eq(READ(stats->vnic[0].attaches), 1);
}
END_TEST

/* Memory that is shared anew while it is used: not a moment without. */
START_TEST(memory_changes)
{
	attached(0);
	front_offer_buffers(&front[0]);
	for (int i = 0; i < 100; i++) {
		echo(0, 5);
		front_say_memory(&front[0]);
	}
	neighbour_is_well();
}
END_TEST

/* What the loop has got stays until its round is over. */
START_TEST(the_loop_is_slow)
{
	attached(0);
	front_offer_buffers(&front[0]);
	echo(0, 5);
	__atomic_store_n(&loop_hold, 1, __ATOMIC_RELEASE);
	AWAIT(READ(loop_hold) == 2);
	if (_i == 0)
		front_say_memory(&front[0]);
	else
		front_hang_up(&front[0]);
	AWAIT(READ(loop_hold) == 0);
	if (_i == 0)
		echo(0, 5);
	neighbour_is_well();
}
END_TEST

/* The NIC is another process now: the rings are where they were. */
START_TEST(the_nic_restarts)
{
	attached(0);
	front_offer_buffers(&front[0]);
	for (int round = 0; round < 5; round++) {
		echo(0, 77);
		end();
		begin();
		attached(0);
		attached(1);
	}
	echo(0, 77);
	ck_assert_uint_eq(READ(stats->vnic[0].attaches), 6);
}
END_TEST

/* The instance is another process: new rings, new memory. */
START_TEST(the_instance_restarts)
{
	for (int round = 0; round < 50; round++) {
		attached(0);
		front_offer_buffers(&front[0]);
		echo(0, 10);
		front_close(&front[0]);
		AWAIT(READ(stats->vnic[0].attached) == 0);
		front_open(&front[0], path[0]);
	}
	ck_assert_uint_eq(READ(stats->vnic[0].attaches), 50);
	neighbour_is_well();
}
END_TEST

/* The same socket, a connection after the other. */
START_TEST(the_instance_hangs_up)
{
	for (int round = 0; round < 50; round++) {
		attached(0);
		front_hang_up(&front[0]);
		AWAIT(READ(stats->vnic[0].attached) == 0);
	}
	neighbour_is_well();
}
END_TEST

/* --- hostile ones -------------------------------------------------------- */

static void
bad_index(void)
{
	front[0].ring[1].avail->idx += FRONT_RING + 1;
}

static void
bad_descriptor(void)
{
	front_offer(&front[0], 1, FRONT_RING);
}

static void
bad_loop(void)
{
	front_desc(&front[0], 1, 0, 0)->flags = VRING_DESC_F_NEXT;
	front_offer(&front[0], 1, 0);
}

static void
bad_address(void)
{
	front_desc(&front[0], 1, 0, 100)->addr = FRONT_GUEST + FRONT_SIZE;
	front_offer(&front[0], 1, 0);
}

static void
bad_length(void)
{
	front_desc(&front[0], 1, 0, UINT32_MAX)->addr =
		FRONT_GUEST + FRONT_SIZE - 1000;
	front_offer(&front[0], 1, 0);
}

/* All but the rings, and then those too. */
static void
bad_memory(void)
{
	front_desc(&front[0], 1, 0, 1000);
	FRONT_MUST(ftruncate(front[0].memfd, FRONT_RINGS) == 0);
	front_offer(&front[0], 1, 0);
}

static void
no_memory(void)
{
	FRONT_MUST(ftruncate(front[0].memfd, 0) == 0);
}

static const struct {
	void (*spoil)(void);
	enum softnic_vnic_drop reason;
} hostile[] = {
	{ bad_index, SOFTNIC_BAD_INDEX },
	{ bad_descriptor, SOFTNIC_BAD_DESCRIPTOR },
	{ bad_loop, SOFTNIC_BAD_DESCRIPTOR },
	{ bad_address, SOFTNIC_BAD_ADDRESS },
	{ bad_length, SOFTNIC_BAD_ADDRESS },
	{ bad_memory, SOFTNIC_BAD_MEMORY },
	{ no_memory, SOFTNIC_BAD_MEMORY },
};

START_TEST(hostile_rings)
{
	uint64_t *drop = &stats->vnic[0].drop[hostile[_i].reason];

	attached(0);
	hostile[_i].spoil();
	ck_assert(front_is_left(&front[0], LIMIT_MS));
	ck_assert_uint_eq(READ(*drop), 1);
	ck_assert_uint_eq(READ(stats->vnic[0].attached), 0);
	neighbour_is_well();
	/* It is let in again when it has been restarted, and not before. */
	ck_assert(!front_accept(&front[0], 50));
	front_close(&front[0]);
	front_open(&front[0], path[0]);
	attached(0);
	front_offer_buffers(&front[0]);
	echo(0, 10);
	ck_assert_uint_eq(READ(*drop), 1);
}
END_TEST

/* Half a message holds up nobody, and is one message in the end. */
START_TEST(half_a_message)
{
	struct vhost_message m = {
		.request = VHOST_GET_FEATURES, .flags = VHOST_FLAGS, .size = 8
	};

	ck_assert(front_accept(&front[0], LIMIT_MS));
	for (size_t i = 0; i < VHOST_HEADER + 8; i++) {
		front_send(&front[0], (char *)&m + i, 1, NULL, 0);
		echo(1, 2);
		/* The neighbour is spoken with, too. */
		ck_assert_uint_eq(front_ask(&front[1], VHOST_GET_QUEUE_NUM), 1);
	}
	ck_assert_int_eq(recv(front[0].fd, &m, 20, MSG_WAITALL), 20);
	ck_assert_uint_eq(m.u64, VHOST_FEATURES);
	neighbour_is_well();
}
END_TEST

struct table {
	uint32_t n, size, fds;
	struct {
		uint64_t guest, size, user, offset;
	} r[2];
};

#define G FRONT_GUEST
#define U 0x40000000ull
#define S FRONT_SIZE

static const struct table bad_tables[] = {
	{ 0, 8, 0, { { 0 } } },
	{ 9, 264, 1, { { 0 } } },
	{ UINT32_MAX, 264, 1, { { 0 } } },
	{ 1, 40, 0, { { G, S, U, 0 } } },
	{ 1, 40, 2, { { G, S, U, 0 } } },
	{ 2, 40, 2, { { G, S, U, 0 } } },
	{ 1, 40, 1, { { G, 0, U, 0 } } },
	{ 1, 40, 1, { { G, S + 1, U, 0 } } },
	{ 1, 40, 1, { { G, S, U, 1 } } },
	{ 1, 40, 1, { { G, S, U, ~0ull - S + 1 } } },
	{ 1, 40, 1, { { G, 1ull << 63, U, 0 } } },
	{ 1, 40, 1, { { G, ~0ull, U, 0 } } },
	{ 1, 40, 1, { { ~0ull - 4096, S, U, 0 } } },
	{ 1, 40, 1, { { G, S, ~0ull - 4096, 0 } } },
	{ 2, 72, 2, { { G, S, U, 0 }, { G + S - 1, S, U + S, 0 } } },
	{ 2, 72, 2, { { G, S, U, 0 }, { G + S, S, U, 0 } } },
};

START_TEST(absurd_memory)
{
	const struct table *t = &bad_tables[_i];
	struct vhost_message m = { .memory = { .n = t->n } };
	int fds[2] = { front[0].memfd, front[0].memfd };

	attached(0);
	memcpy(m.memory.region, t->r, sizeof(t->r));
	front_say(&front[0], &m, VHOST_SET_MEM_TABLE, t->size, fds, t->fds);
	ck_assert(front_is_left(&front[0], LIMIT_MS));
	neighbour_is_well();
}
END_TEST

/* Descriptors that are not what they should be. */
START_TEST(foreign_descriptors)
{
	int pipes[2], null = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct vhost_message m = { .memory = { .n = 1 } };

	ck_assert_int_eq(pipe(pipes), 0);
	attached(0);
	if (_i == 0) {
		front_say_u64(&front[0], VHOST_SET_VRING_CALL, 0, pipes[1]);
	} else if (_i == 1) {
		front_say_u64(&front[0], VHOST_SET_VRING_KICK, 1, null);
	} else {
		m.memory.region[0].size = 4096;
		front_say(&front[0], &m, VHOST_SET_MEM_TABLE, 40, &null, 1);
	}
	ck_assert(front_is_left(&front[0], LIMIT_MS));
	close(pipes[0]);
	close(pipes[1]);
	close(null);
	neighbour_is_well();
}
END_TEST

/* A file of `size` bytes that has no name, and is on a disk. */
static int
disk_file(off_t size)
{
	static const char *const where[] = { ".", "/var/tmp", "/tmp", "/root" };
	char name[64];
	struct statfs fs;

	for (size_t i = 0; i < RTE_DIM(where); i++) {
		int fd;

		snprintf(name, sizeof(name), "%s/attach-XXXXXX", where[i]);
		fd = mkostemp(name, O_CLOEXEC);
		if (fd < 0)
			continue;
		unlink(name);
		if (fstatfs(fd, &fs) == 0 && fs.f_type != TMPFS_MAGIC &&
			fs.f_type != HUGETLBFS_MAGIC &&
			ftruncate(fd, size) == 0)
			return fd;
		close(fd);
	}
	ck_abort_msg("no directory that is on a disk");
	return -1;
}

/* Sound but for where it is: a page of it could take as long as a disk. */
START_TEST(memory_on_a_disk)
{
	struct vhost_message m = { .memory = { .n = 1 } };
	int fd = disk_file(FRONT_SIZE);

	attached(0);
	m.memory.region[0].guest = G;
	m.memory.region[0].user = (uintptr_t)front[0].mem;
	m.memory.region[0].size = S;
	front_say(&front[0], &m, VHOST_SET_MEM_TABLE, 40, &fd, 1);
	ck_assert(front_is_left(&front[0], LIMIT_MS));
	close(fd);
	neighbour_is_well();
}
END_TEST

/* Each part of a ring not where memory is, or across its end, or not aligned.
 */
START_TEST(rings_elsewhere)
{
	struct vhost_message m = { .addr = { .index = 1 } };
	uint64_t mem = (uintptr_t)front[0].mem;
	uint64_t at[] = { mem + 1, mem + FRONT_SIZE - 32, mem - 16,
		mem + FRONT_SIZE, 0, ~0ull - 15 };

	attached(0);
	m.addr.desc = (uintptr_t)front[0].ring[1].desc;
	m.addr.avail = (uintptr_t)front[0].ring[1].avail;
	m.addr.used = (uintptr_t)front[0].ring[1].used;
	if (_i % 3 == 0)
		m.addr.desc = at[_i / 3];
	else if (_i % 3 == 1)
		m.addr.avail = at[_i / 3];
	else
		m.addr.used = at[_i / 3];
	front_say(&front[0], &m, VHOST_SET_VRING_ADDR, 40, NULL, 0);
	ck_assert(front_is_left(&front[0], LIMIT_MS));
	neighbour_is_well();
}
END_TEST

/* A ring that has grown out of memory since its address was said. */
START_TEST(rings_that_grow)
{
	struct vhost_message m = { .addr = { .index = 1 } };

	attached(0);
	m.addr.desc = (uintptr_t)front[0].mem + FRONT_SIZE - FRONT_RING * 16;
	m.addr.avail = (uintptr_t)front[0].ring[1].avail;
	m.addr.used = (uintptr_t)front[0].ring[1].used;
	front_say(&front[0], &m, VHOST_SET_VRING_ADDR, 40, NULL, 0);
	ck_assert_uint_eq(front_ask(&front[0], VHOST_GET_QUEUE_NUM), 1);
	ck_assert_uint_eq(READ(stats->vnic[0].attached), 1);
	front_say_state(&front[0], VHOST_SET_VRING_NUM, 1, 2 * FRONT_RING);
	ck_assert(front_is_left(&front[0], LIMIT_MS));
	neighbour_is_well();
}
END_TEST

/* Rings of sizes that none has, and rings that there are not. */
START_TEST(numbers_beyond)
{
	static const struct {
		uint32_t request, index, num;
	} row[] = {
		{ VHOST_SET_VRING_NUM, 1, 0 },
		{ VHOST_SET_VRING_NUM, 1, 255 },
		{ VHOST_SET_VRING_NUM, 1, 2 * VHOST_RING_MAX },
		{ VHOST_SET_VRING_NUM, 1, 1u << 16 },
		{ VHOST_SET_VRING_ENABLE, 2, 1 },
		{ VHOST_GET_VRING_BASE, UINT32_MAX, 0 },
		{ VHOST_SET_VRING_KICK, 0x102, 0 },
		{ VHOST_SET_FEATURES, 1, 0 },
		{ 0, 0, 0 },
		{ 77, 0, 0 },
	};

	attached(0);
	ck_assert_int_lt(_i, (int)RTE_DIM(row));
	front_say_state(&front[0], row[_i].request, row[_i].index, row[_i].num);
	ck_assert(front_is_left(&front[0], LIMIT_MS));
	neighbour_is_well();
}
END_TEST

/* Anything at all, with descriptors: nothing is left of it. */
START_TEST(garbage)
{
	for (int round = 0; round < 300; round++) {
		int fds[8], n_fds = rand() % 9, n = 1 + rand() % 20;

		for (int i = 0; i < 8; i++)
			fds[i] = i & 1 ? front[0].memfd
				       : front[0].ring[i & 2 ? 0 : 1].call;
		ck_assert(front_accept(&front[0], LIMIT_MS));
		if (rand() & 1)
			ck_assert(front_greet(&front[0]));
		while (n-- > 0) {
			struct vhost_message m;

			for (size_t i = 0; i < sizeof(m.bytes); i++)
				m.bytes[i] =
					(uint8_t)(rand() & rand() & rand());
			m.u64 &= rand() & 1 ? 0x101 : ~0ull;
			front_say(&front[0], &m, (uint32_t)rand() % 24,
				(uint32_t)rand() % 2 ? 8
						     : (uint32_t)rand() % 264,
				fds, (uint32_t)n_fds);
		}
		close(front[0].listener);
		front_listen(&front[0], path[0]);
	}
	neighbour_is_well();
}
END_TEST

START_TEST(connected_and_closed)
{
	for (int round = 0; round < 1000; round++) {
		ck_assert(front_accept(&front[0], LIMIT_MS));
		front_hang_up(&front[0]);
		close(front[0].listener);
		front_listen(&front[0], path[0]);
	}
	ck_assert_uint_eq(READ(stats->vnic[0].attaches), 0);
	neighbour_is_well();
}
END_TEST

static int
run(Suite *suite)
{
	char *argv[] = { (char *)"test", (char *)"--no-huge",
		(char *)"--no-pci", (char *)"--no-shconf",
		(char *)"--no-telemetry", (char *)"-m", (char *)"64",
		(char *)"--log-level=4" };
	SRunner *sr = srunner_create(suite);
	int failed;

	if (rte_eal_init(RTE_DIM(argv), argv) < 0)
		return 1;
	pool = rte_pktmbuf_pool_create(
		"test", 255, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	if (pool == NULL)
		return 1;
	srunner_set_fork_status(sr, CK_NOFORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	rte_eal_cleanup();
	return failed != 0;
}

int
main(void)
{
	Suite *suite = suite_create("attach");
	TCase *good = tcase_create("good"), *bad = tcase_create("hostile");

	tcase_add_checked_fixture(good, setup, teardown);
	tcase_set_timeout(good, 60);
	tcase_add_test(good, frames_come_back);
	tcase_add_test(good, stopped_and_started);
	tcase_add_test(good, memory_changes);
	tcase_add_loop_test(good, the_loop_is_slow, 0, 2);
	tcase_add_test(good, the_nic_restarts);
	tcase_add_test(good, the_instance_restarts);
	tcase_add_test(good, the_instance_hangs_up);
	suite_add_tcase(suite, good);
	tcase_add_checked_fixture(bad, setup, teardown);
	tcase_set_timeout(bad, 60);
	tcase_add_loop_test(bad, hostile_rings, 0, RTE_DIM(hostile));
	tcase_add_test(bad, half_a_message);
	tcase_add_loop_test(bad, absurd_memory, 0, RTE_DIM(bad_tables));
	tcase_add_loop_test(bad, foreign_descriptors, 0, 3);
	tcase_add_test(bad, memory_on_a_disk);
	tcase_add_loop_test(bad, rings_elsewhere, 0, 18);
	tcase_add_test(bad, rings_that_grow);
	tcase_add_loop_test(bad, numbers_beyond, 0, 10);
	tcase_add_test(bad, garbage);
	tcase_add_test(bad, connected_and_closed);
	suite_add_tcase(suite, bad);
	return run(suite);
}
