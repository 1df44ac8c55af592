/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * impair: a bad wire.
 *
 *   impair NEAR FAR [OPTION=N]...
 *
 * Passes the frames that come in by one device on by the other, in both
 * directions alike, until SIGTERM; then one JSON object says what was done.
 * Chances are of a million frames, times in microseconds:
 *
 *   seed       of all chance; 1
 *   loss       frames that vanish
 *   duplicate  that come twice
 *   corrupt    with one bit turned over, anywhere behind the Ethernet header
 *   delay      of each, and up to `jitter` more; neither changes the order
 *   reorder    those that are late by up to `late` more and are overtaken
 *   queue      frames under way in a direction, at most; 16384
 *
 * ARP and whatever else is not IP is passed on in order and unharmed, since
 * it has no checksum: a wrong address would be believed for minutes.
 *
 * One thread. A frame lies in a slot of its direction from when it was read
 * until it is sent; those under way are a heap by the time that they are due.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>

#define BATCH      64
#define FRAME_SIZE 2048
#define ETH_LEN    14
#define MILLION    1000000

static struct {
	uint64_t seed, loss, duplicate, corrupt, delay, jitter, reorder, late,
		queue;
} plan = { .seed = 1, .queue = 16384 };

static const struct {
	const char *name;
	uint64_t *at;
} options[] = {
	{ "seed", &plan.seed },
	{ "loss", &plan.loss },
	{ "duplicate", &plan.duplicate },
	{ "corrupt", &plan.corrupt },
	{ "delay", &plan.delay },
	{ "jitter", &plan.jitter },
	{ "reorder", &plan.reorder },
	{ "late", &plan.late },
	{ "queue", &plan.queue },
};

struct frame {
	uint32_t len;
	uint8_t bytes[FRAME_SIZE];
};

struct waiting {
	uint64_t due_ns, order;
	struct frame *frame;
};

/* What comes in by one device, to go out by the other. */
struct way {
	int in, out;
	struct frame *spare[BATCH]; /* to be read into */
	struct frame **unused;      /* [0, n_unused) */
	size_t n_unused;
	struct waiting *heap;
	size_t n_heap;
	uint64_t last_due_ns, order;
	uint64_t frames, lost, duplicated, corrupted, reordered;
	uint64_t full;    /* lost since the queue was full */
	uint64_t refused; /* by the device: too big, say */
};

static volatile sig_atomic_t is_over;

static void
on_term(int sig)
{
	(void)sig;
	is_over = 1;
}

static void
die(const char *what)
{
	fprintf(stderr, "impair: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* --- chance --- */

/* xorshift64*: what is random here need not be unpredictable. */
static uint64_t
below(uint64_t n)
{
	static uint64_t state;

	if (state == 0)
		state = plan.seed * 0x9e3779b97f4a7c15ull | 1;
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return n ? ((state * 0x2545f4914f6cdd1dull) >> 16) % n : 0;
}

static bool
happens(uint64_t of_a_million)
{
	return of_a_million && below(MILLION) < of_a_million;
}

/* --- the heap --- */

static bool
is_before(const struct waiting *a, const struct waiting *b)
{
	if (a->due_ns != b->due_ns)
		return a->due_ns < b->due_ns;
	return a->order < b->order;
}

static void
heap_push(struct way *w, struct waiting e)
{
	size_t i = w->n_heap++;

	e.order = w->order++;
	for (; i > 0 && is_before(&e, &w->heap[(i - 1) / 2]); i = (i - 1) / 2)
		w->heap[i] = w->heap[(i - 1) / 2];
	w->heap[i] = e;
}

static struct frame *
heap_pop(struct way *w)
{
	struct waiting top = w->heap[0], last = w->heap[--w->n_heap];
	size_t i = 0, child;

	while ((child = 2 * i + 1) < w->n_heap) {
		if (child + 1 < w->n_heap &&
			is_before(&w->heap[child + 1], &w->heap[child]))
			child++;
		if (!is_before(&w->heap[child], &last))
			break;
		w->heap[i] = w->heap[child];
		i = child;
	}
	w->heap[i] = last;
	return top.frame;
}

/* --- what happens to a frame --- */

static bool
is_ip(const struct frame *f)
{
	uint16_t type;

	if (f->len <= ETH_LEN)
		return false;
	memcpy(&type, f->bytes + 12, sizeof(type));
	return type == htons(ETH_P_IP) || type == htons(ETH_P_IPV6);
}

static void
put(struct way *w, struct frame *f, uint64_t due_ns)
{
	heap_push(w, (struct waiting){ .due_ns = due_ns, .frame = f });
}

static void
duplicate(struct way *w, const struct frame *f, uint64_t due_ns)
{
	struct frame *twin;

	if (w->n_unused == 0)
		return;
	twin = w->unused[--w->n_unused];
	memcpy(twin, f, sizeof(*f));
	put(w, twin, due_ns);
	w->duplicated++;
}

static void
corrupt(struct way *w, struct frame *f)
{
	uint64_t bit = below((f->len - ETH_LEN) * 8);

	f->bytes[ETH_LEN + bit / 8] ^= (uint8_t)(1 << bit % 8);
	w->corrupted++;
}

/* The wire takes `f`, which the caller has found an empty slot for. */
static void
take(struct way *w, struct frame *f, uint64_t now)
{
	uint64_t due = now + plan.delay * 1000;

	w->frames++;
	if (is_ip(f) && happens(plan.loss)) {
		w->lost++;
		w->unused[w->n_unused++] = f;
		return;
	}
	due += below(plan.jitter * 1000 + 1);
	if (due < w->last_due_ns)
		due = w->last_due_ns;
	w->last_due_ns = due;
	if (is_ip(f)) {
		if (happens(plan.duplicate))
			duplicate(w, f, due);
		if (happens(plan.corrupt))
			corrupt(w, f);
		if (happens(plan.reorder)) {
			due += 1000 + below(plan.late * 1000);
			w->reordered++;
		}
	}
	put(w, f, due);
}

/* --- in and out --- */

static void
message(struct mmsghdr *m, struct iovec *v, struct frame *f, size_t len)
{
	*v = (struct iovec){ .iov_base = f->bytes, .iov_len = len };
	*m = (struct mmsghdr){ .msg_hdr = { .msg_iov = v, .msg_iovlen = 1 } };
}

/* One batch; false: there was nothing. */
static bool
read_some(struct way *w)
{
	struct mmsghdr m[BATCH];
	struct iovec v[BATCH];
	uint64_t now;
	int n;

	for (int i = 0; i < BATCH; i++)
		message(&m[i], &v[i], w->spare[i], FRAME_SIZE);
	n = recvmmsg(w->in, m, BATCH, MSG_DONTWAIT, NULL);
	if (n < 0 && errno != EAGAIN && errno != EINTR && errno != ENETDOWN)
		die("receive");
	now = now_ns();
	for (int i = 0; i < n; i++) {
		struct frame *f = w->spare[i];

		if (w->n_unused == 0) {
			w->frames++;
			w->full++;
			continue;
		}
		w->spare[i] = w->unused[--w->n_unused];
		f->len = m[i].msg_len;
		take(w, f, now);
	}
	return n > 0;
}

/* All of f[0..n), for the device cannot be waited for. */
static void
send_all(struct way *w, struct frame **f, unsigned int n)
{
	struct mmsghdr m[BATCH];
	struct iovec v[BATCH];

	for (unsigned int i = 0; i < n; i++)
		message(&m[i], &v[i], f[i], f[i]->len);
	for (unsigned int done = 0; done < n;) {
		int k = sendmmsg(w->out, m + done, n - done, 0);

		if (k > 0) {
			done += (unsigned int)k;
		} else if (errno != EINTR) {
			w->refused++;
			done++;
		}
	}
	for (unsigned int i = 0; i < n; i++)
		w->unused[w->n_unused++] = f[i];
}

/* Send what is due. */
static void
send_due(struct way *w)
{
	struct frame *f[BATCH];
	uint64_t now = now_ns();
	unsigned int n;

	do {
		for (n = 0;
			n < BATCH && w->n_heap > 0 && w->heap[0].due_ns <= now;
			n++)
			f[n] = heap_pop(w);
		send_all(w, f, n);
	} while (n == BATCH);
}

/* --- the wire --- */

static int
open_device(const char *name)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)if_nametoindex(name) };
	int one = 1, size = 64 << 20, fd = socket(AF_PACKET, SOCK_RAW, 0);

	if (fd < 0)
		die("socket");
	if (at.sll_ifindex == 0)
		die(name);
	/* What it sends itself it must not read again. */
	if (setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one,
		    sizeof(one)) != 0 ||
		setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size,
			sizeof(size)) != 0 ||
		setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size,
			sizeof(size)) != 0 ||
		bind(fd, (const struct sockaddr *)&at, sizeof(at)) != 0)
		die(name);
	return fd;
}

static void
way_init(struct way *w, int in, int out)
{
	size_t n = plan.queue + BATCH;
	struct frame *f = calloc(n, sizeof(*f));

	*w = (struct way){ .in = in, .out = out };
	w->unused = calloc(n, sizeof(*w->unused));
	w->heap = calloc(n, sizeof(*w->heap));
	if (f == NULL || w->unused == NULL || w->heap == NULL)
		die("memory");
	for (size_t i = 0; i < BATCH; i++)
		w->spare[i] = &f[i];
	for (size_t i = BATCH; i < n; i++)
		w->unused[w->n_unused++] = &f[i];
}

/* Frames that came faster than they were read. */
static unsigned int
missed(int fd)
{
	struct tpacket_stats s = { 0 };
	socklen_t len = sizeof(s);

	if (getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &s, &len) != 0)
		die("statistics");
	return s.tp_drops;
}

static void
say(const struct way *w, const char *name, const char *end)
{
	printf("\"%s\": {\"frames\": %" PRIu64 ", \"lost\": %" PRIu64
	       ", \"duplicated\": %" PRIu64 ", \"corrupted\": %" PRIu64
	       ", \"reordered\": %" PRIu64 ", \"full\": %" PRIu64
	       ", \"refused\": %" PRIu64 ", \"missed\": %u}%s",
		name, w->frames, w->lost, w->duplicated, w->corrupted,
		w->reordered, w->full, w->refused, missed(w->in), end);
}

/* Until something comes, or is due; SIGTERM only here. */
static void
sleep_until_due(const struct way *w, const sigset_t *awake)
{
	struct pollfd p[2] = { { .fd = w[0].in, .events = POLLIN },
		{ .fd = w[1].in, .events = POLLIN } };
	uint64_t now = now_ns(), due = UINT64_MAX;
	struct timespec t = { 0 };

	for (int i = 0; i < 2; i++)
		if (w[i].n_heap > 0 && w[i].heap[0].due_ns < due)
			due = w[i].heap[0].due_ns;
	if (due > now && due != UINT64_MAX) {
		t.tv_sec = (time_t)((due - now) / 1000000000);
		t.tv_nsec = (long)((due - now) % 1000000000);
	}
	if (ppoll(p, 2, due == UINT64_MAX ? NULL : &t, awake) < 0 &&
		errno != EINTR)
		die("poll");
}

static void
option(const char *text)
{
	const char *eq = strchr(text, '=');

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (eq != NULL &&
			strlen(options[i].name) == (size_t)(eq - text) &&
			strncmp(options[i].name, text, (size_t)(eq - text)) ==
				0) {
			*options[i].at = strtoull(eq + 1, NULL, 10);
			return;
		}
	fprintf(stderr, "impair: no option %s\n", text);
	exit(2);
}

int
main(int argc, char **argv)
{
	struct sigaction act = { .sa_handler = on_term };
	sigset_t term, awake;
	struct way w[2];
	int near, far;

	if (argc < 3) {
		fprintf(stderr, "usage: impair NEAR FAR [OPTION=N]...\n");
		return 2;
	}
	for (int i = 3; i < argc; i++)
		option(argv[i]);
	sigaction(SIGTERM, &act, NULL);
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, &awake);
	near = open_device(argv[1]);
	far = open_device(argv[2]);
	way_init(&w[0], near, far);
	way_init(&w[1], far, near);
	fprintf(stderr, "impair: ready\n");
	while (!is_over) {
		for (int i = 0; i < 2; i++) {
			read_some(&w[i]);
			send_due(&w[i]);
		}
		sleep_until_due(w, &awake);
	}
	printf("{");
	say(&w[0], "from_near", ", ");
	say(&w[1], "from_far", "}\n");
	return 0;
}
