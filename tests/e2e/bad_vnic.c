/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bad_vnic: an instance that is hostile to the NIC in software.
 *
 *   bad_vnic MODE SOCKET [MS]
 *
 * It takes the place of an instance: listens on SOCKET, and behaves badly in
 * one way once it is attached. Prints one line of what it did and what the
 * NIC did. Status: 0 if the NIC did what it should, 1 if not.
 *
 *   good          echo UDP over IPv4 for MS: should be left attached
 *   stop          share rings and never look at them again: should be let be
 *   half-message  send half a message: should be let be
 *   bad-index, bad-desc, loop, bad-address, bad-length, truncate
 *                 break a ring: should be hung up on within MS
 *   tables        memory tables that cannot be: each should be hung up on
 *   garbage       random messages and rings, on new sockets, for MS
 *   close         accept and close at once, 1,000 times, on new sockets
 *   cycle         attach, send a frame and go, 1,000 times, every other time on
 *                 a new socket: should be attached to each time
 */
#include <time.h>

#include "tests/e2e/front.h"

#define ACCEPT_MS 10000

static struct front front;
static const char *path;
static int limit_ms = 2000;

static uint64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static bool
attach(void)
{
	if (front_accept(&front, ACCEPT_MS) && front_greet(&front))
		return true;
	printf("nobody attaches to %s\n", path);
	return false;
}

/* --- good ---------------------------------------------------------------- */

static void
swap(uint8_t *a, uint8_t *b, size_t n)
{
	uint8_t t[6];

	memcpy(t, a, n);
	memcpy(a, b, n);
	memcpy(b, t, n);
}

/* Back to where it came from; no checksum changes by that. */
static void
turn(uint8_t *frame)
{
	swap(frame, frame + 6, 6);
	swap(frame + 26, frame + 30, 4);
	swap(frame + 34, frame + 36, 2);
}

/* Buffer i of ring 1 is free when it is not with the NIC. */
static void
echo(uint16_t from, uint32_t len, uint16_t to)
{
	uint8_t *in = front.mem + front_buffer(0, from);
	uint8_t *out = front.mem + front_buffer(1, to);

	memset(out, 0, VIRTQ_HEADER);
	memcpy(out + VIRTQ_HEADER, in + VIRTQ_HEADER, len - VIRTQ_HEADER);
	turn(out + VIRTQ_HEADER);
	front_desc(&front, 1, to, len);
	front_offer(&front, 1, to);
}

static int
good(void)
{
	uint64_t end = now_ms() + (uint64_t)limit_ms, n = 0, sent = 0, back = 0;
	struct vring_used_elem e;

	front_offer_buffers(&front);
	while (now_ms() < end) {
		struct pollfd p[] = { { .fd = front.ring[0].call,
					      .events = POLLIN },
			{ .fd = front.fd, .events = POLLRDHUP } };
		uint64_t count;

		(void)!read(front.ring[0].call, &count, sizeof(count));
		while (front_used(&front, 1, &e))
			back++;
		while (front_used(&front, 0, &e)) {
			if (e.len >= VIRTQ_HEADER + 42 &&
				sent - back < FRONT_RING)
				echo((uint16_t)e.id, e.len,
					(uint16_t)(sent++ % FRONT_RING));
			front_offer(&front, 0, (uint16_t)e.id);
			n++;
		}
		if (poll(p, 2, (int)(end - now_ms()) + 1) < 0 || p[1].revents)
			break;
	}
	printf("good: %lu frames came, %lu sent, %s\n", n, sent,
		now_ms() < end ? "hung up on" : "still attached");
	return now_ms() < end;
}

/* --- one offence --------------------------------------------------------- */

static void
stop(void)
{
	front_offer_buffers(&front);
}

static void
half_message(void)
{
	struct vhost_message m = {
		.request = VHOST_SET_MEM_TABLE, .flags = VHOST_FLAGS, .size = 40
	};

	front_send(&front, &m, 30, &front.memfd, 1);
}

static void
bad_index(void)
{
	front.ring[1].avail->idx += FRONT_RING + 1;
	front.ring[0].avail->idx += FRONT_RING + 1;
}

static void
bad_desc(void)
{
	front_offer(&front, 1, FRONT_RING);
}

static void
loop(void)
{
	front_desc(&front, 1, 0, 0)->flags = VRING_DESC_F_NEXT;
	front_offer(&front, 1, 0);
}

static void
bad_address(void)
{
	front_desc(&front, 1, 0, 100)->addr = FRONT_GUEST + FRONT_SIZE;
	front_offer(&front, 1, 0);
}

static void
bad_length(void)
{
	front_desc(&front, 1, 0, UINT32_MAX)->addr =
		FRONT_GUEST + FRONT_SIZE - 1000;
	front_offer(&front, 1, 0);
}

/* The buffers go; the rings stay, so that the NIC comes to look for them. */
static void
truncate_memory(void)
{
	front_desc(&front, 1, 0, 1000);
	FRONT_MUST(ftruncate(front.memfd, FRONT_RINGS) == 0);
	front_offer(&front, 1, 0);
}

static const struct offence {
	const char *name;
	void (*commit)(void);
	bool left; /* should be hung up on */
} offences[] = {
	{ "stop", stop, false },
	{ "half-message", half_message, false },
	{ "bad-index", bad_index, true },
	{ "bad-desc", bad_desc, true },
	{ "loop", loop, true },
	{ "bad-address", bad_address, true },
	{ "bad-length", bad_length, true },
	{ "truncate", truncate_memory, true },
};

static int
offend(const struct offence *o)
{
	uint64_t begin = now_ms();
	bool left;

	o->commit();
	/* A NIC that sleeps has been kicked; this one may have no frame. */
	FRONT_MUST(write(front.ring[1].kick, &(uint64_t){ 1 }, 8) == 8);
	left = front_is_left(&front, limit_ms);
	printf("%s: %s after %lu ms\n", o->name,
		left ? "hung up on" : "still attached", now_ms() - begin);
	return left != o->left;
}

/* --- many connections ---------------------------------------------------- */

static void
anew(void)
{
	front_hang_up(&front);
	close(front.listener);
	front_listen(&front, path);
}

/* Guest address, size and offset of one region; how many of it. */
static const struct {
	uint64_t guest, size, offset;
	uint32_t n, fds;
} bad_tables[] = {
	{ FRONT_GUEST, FRONT_SIZE, 0, 0, 0 },
	{ FRONT_GUEST, FRONT_SIZE, 0, 1, 0 },
	{ FRONT_GUEST, FRONT_SIZE, 0, 2, 2 }, /* overlap */
	{ FRONT_GUEST, FRONT_SIZE, 0, 8, 1 },
	{ FRONT_GUEST, FRONT_SIZE, 0, UINT32_MAX, 8 },
	{ FRONT_GUEST, 0, 0, 1, 1 },
	{ FRONT_GUEST, FRONT_SIZE + 1, 0, 1, 1 },
	{ FRONT_GUEST, FRONT_SIZE, 4096, 1, 1 },
	{ FRONT_GUEST, FRONT_SIZE, 0ull - FRONT_SIZE, 1, 1 },
	{ FRONT_GUEST, 1ull << 46, 0, 1, 1 },
	{ FRONT_GUEST, UINT64_MAX, 0, 1, 1 },
	{ 0ull - 4096, FRONT_SIZE, 0, 1, 1 },
};

#define TABLES (sizeof(bad_tables) / sizeof(bad_tables[0]))

static int
tables(void)
{
	size_t refused = 0;
	int fds[8];

	for (int i = 0; i < 8; i++)
		fds[i] = front.memfd;
	for (size_t i = 0; i < TABLES; i++) {
		struct vhost_message m = { .memory = { .n = bad_tables[i].n } };

		for (int j = 0; j < VIRTQ_REGIONS_MAX; j++) {
			m.memory.region[j].guest = bad_tables[i].guest;
			m.memory.region[j].user = (uintptr_t)front.mem;
			m.memory.region[j].size = bad_tables[i].size;
			m.memory.region[j].offset = bad_tables[i].offset;
		}
		if (!attach())
			return 1;
		front_say(&front, &m, VHOST_SET_MEM_TABLE, VHOST_PAYLOAD, fds,
			bad_tables[i].fds);
		refused += front_is_left(&front, limit_ms);
		anew();
	}
	printf("tables: hung up on for %zu of %zu\n", refused, TABLES);
	return refused != TABLES;
}

static void
random_fill(void *at, size_t n)
{
	for (uint8_t *p = at; n > 0; n--)
		*p++ = (uint8_t)(rand() & rand() & rand());
}

static void
random_message(void)
{
	int fds[8] = { front.memfd, front.ring[0].call, front.ring[1].kick,
		front.memfd, front.memfd, front.memfd, 0, 1 };
	struct vhost_message m;

	random_fill(&m, sizeof(m));
	m.u64 &= rand() & 1 ? 0x101 : UINT64_MAX;
	front_say(&front, &m, (uint32_t)rand() % 48,
		rand() & 1 ? 8 : (uint32_t)rand() % VHOST_PAYLOAD, fds,
		(uint32_t)rand() % 9);
}

/* Rings of random content, shorter or longer than they say. */
static void
random_rings(void)
{
	for (int i = 0; i < 2; i++) {
		random_fill(front.ring[i].desc, 16 * FRONT_RING);
		for (uint16_t j = 0; j < FRONT_RING; j++)
			if (rand() & 3)
				front_desc(
					&front, i, j, (uint32_t)rand() % 4096);
		front.ring[i].avail->idx = (uint16_t)(front.ring[i].used->idx +
						      rand() % FRONT_RING);
		FRONT_MUST(write(front.ring[i].kick, &(uint64_t){ 1 }, 8) == 8);
	}
}

static int
garbage(void)
{
	uint64_t end = now_ms() + (uint64_t)limit_ms, n = 0;

	while (now_ms() < end) {
		if (!front_accept(&front, ACCEPT_MS)) {
			printf("garbage: nobody comes after %lu\n", n);
			return 1;
		}
		if (rand() & 1 && front_greet(&front))
			random_rings();
		for (int i = rand() % 20; i > 0; i--)
			random_message();
		n++;
		anew();
	}
	printf("garbage: %lu connections\n", n);
	return 0;
}

static int
close_at_once(void)
{
	for (int n = 0; n < 1000; n++) {
		if (!front_accept(&front, ACCEPT_MS)) {
			printf("close: nobody comes after %d\n", n);
			return 1;
		}
		anew();
	}
	printf("close: 1000 connections\n");
	return 0;
}

/* True when the NIC has taken a frame: both rings are in use then. */
static bool
frame_taken(void)
{
	uint64_t end = now_ms() + (uint64_t)limit_ms, count;
	struct pollfd p = { .fd = front.ring[1].call, .events = POLLIN };
	struct vring_used_elem e;

	front_desc(&front, 1, 0, VIRTQ_HEADER + 60);
	front_offer(&front, 1, 0);
	while (!front_used(&front, 1, &e)) {
		if (now_ms() >= end)
			return false;
		(void)!poll(&p, 1, limit_ms);
		(void)!read(p.fd, &count, sizeof(count));
	}
	return true;
}

static int
cycle(void)
{
	for (int n = 0; n < 1000; n++) {
		if (!attach() || !frame_taken()) {
			printf("cycle: nothing is taken after %d\n", n);
			return 1;
		}
		front_hang_up(&front);
		if (n & 1)
			anew();
		/* The NIC may still look at the old rings: they stay. */
		front_unshare(&front);
		front_share(&front);
	}
	printf("cycle: 1000 times attached\n");
	return 0;
}

static int
run(const char *mode)
{
	if (strcmp(mode, "good") == 0)
		return attach() ? good() : 1;
	if (strcmp(mode, "tables") == 0)
		return tables();
	if (strcmp(mode, "garbage") == 0)
		return garbage();
	if (strcmp(mode, "close") == 0)
		return close_at_once();
	if (strcmp(mode, "cycle") == 0)
		return cycle();
	for (size_t i = 0; i < sizeof(offences) / sizeof(offences[0]); i++)
		if (strcmp(mode, offences[i].name) == 0)
			return attach() ? offend(&offences[i]) : 1;
	fprintf(stderr, "bad_vnic: no mode %s\n", mode);
	return 2;
}

int
main(int argc, char **argv)
{
	int rc;

	if (argc < 3 || argc > 4) {
		fprintf(stderr, "usage: bad_vnic MODE SOCKET [MS]\n");
		return 2;
	}
	path = argv[2];
	if (argc == 4)
		limit_ms = atoi(argv[3]);
	front_open(&front, path);
	rc = run(argv[1]);
	front_close(&front);
	return rc;
}
