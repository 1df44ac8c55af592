/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * streams HOST PORT COUNT BYTES PARALLEL [SLOW_MS]
 *
 * COUNT connections of the kernel's TCP to an echo service, PARALLEL at once.
 * Each sends BYTES bytes, of its own, and says that it has ended; it must get
 * back the same bytes, and the other's end. With SLOW_MS each reads only every
 * so many milliseconds, so that windows close. One JSON object says how it
 * went; exit status 1 if any was not whole.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define CHUNK     65536
#define SILENT_MS 30000 /* nothing at all for so long: it hangs */

struct stream {
	int fd;
	uint64_t sent, got;
	uint64_t send_state, got_state; /* of the generator */
	bool ended;                     /* we have said so */
};

static struct addrinfo *peer;
static uint64_t want_bytes, total_bytes;
static unsigned long started, complete, failed, live;
static int epoll_fd;
static bool is_slow;
static char fault[128];

/* The next byte of a stream (a linear congruence; its high bits). */
static inline uint8_t
next_byte(uint64_t *state)
{
	*state = *state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint8_t)(*state >> 56);
}

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
finish(struct stream *s, const char *why)
{
	if (why == NULL) {
		complete++;
	} else {
		failed++;
		if (fault[0] == '\0')
			snprintf(fault, sizeof(fault), "%s at %llu of %llu",
				why, (unsigned long long)s->got,
				(unsigned long long)want_bytes);
	}
	close(s->fd);
	free(s);
	live--;
}

static void
start(void)
{
	struct stream *s = calloc(1, sizeof(*s));
	struct epoll_event e = { .events = EPOLLIN | EPOLLOUT, .data.ptr = s };

	if (s == NULL)
		abort();
	s->send_state = s->got_state = ++started;
	live++;
	s->fd = socket(peer->ai_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (s->fd < 0 ||
		(connect(s->fd, peer->ai_addr, peer->ai_addrlen) != 0 &&
			errno != EINPROGRESS)) {
		finish(s, strerror(errno));
		return;
	}
	epoll_ctl(epoll_fd, EPOLL_CTL_ADD, s->fd, &e);
}

/* 0: go on; else it was finished. */
static int
pull(struct stream *s)
{
	static uint8_t buf[CHUNK];
	ssize_t n = recv(s->fd, buf, is_slow ? 4096 : sizeof(buf), 0);

	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n <= 0) {
		finish(s, n < 0                  ? strerror(errno)
			  : s->got == want_bytes ? NULL
						 : "ended");
		return 1;
	}
	for (ssize_t i = 0; i < n; i++)
		if (buf[i] != next_byte(&s->got_state)) {
			s->got += (uint64_t)i;
			finish(s, "another byte");
			return 1;
		}
	s->got += (uint64_t)n;
	total_bytes += (uint64_t)n;
	return 0;
}

static void
end(struct stream *s)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = s };

	shutdown(s->fd, SHUT_WR);
	s->ended = true;
	epoll_ctl(epoll_fd, EPOLL_CTL_MOD, s->fd, &e);
}

static void
push(struct stream *s)
{
	static uint8_t buf[CHUNK];
	uint64_t left = want_bytes - s->sent, state = s->send_state;
	size_t n = left < sizeof(buf) ? (size_t)left : sizeof(buf);
	ssize_t sent;

	for (size_t i = 0; i < n; i++)
		buf[i] = next_byte(&state);
	sent = n > 0 ? send(s->fd, buf, n, MSG_NOSIGNAL) : 0;
	for (ssize_t i = 0; i < sent; i++)
		next_byte(&s->send_state);
	if (sent > 0)
		s->sent += (uint64_t)sent;
	if (s->sent == want_bytes)
		end(s);
}

static void
serve(struct stream *s, uint32_t events)
{
	if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && pull(s) != 0)
		return;
	if ((events & EPOLLOUT) && !s->ended)
		push(s);
}

/* Between two turns of slow readers. */
static void
pause_ms(long ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

int
main(int argc, char **argv)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	unsigned long count, parallel;
	struct epoll_event e[256];
	long slow_ms;
	double begun;

	if (argc < 6 || getaddrinfo(argv[1], argv[2], &hints, &peer) != 0)
		return 2;
	count = strtoul(argv[3], NULL, 10);
	want_bytes = strtoull(argv[4], NULL, 10);
	parallel = strtoul(argv[5], NULL, 10);
	slow_ms = argc > 6 ? strtol(argv[6], NULL, 10) : 0;
	is_slow = slow_ms > 0;
	epoll_fd = epoll_create1(0);
	begun = now();
	while (started < count || live > 0) {
		int n;

		while (started < count && live < parallel)
			start();
		n = epoll_wait(epoll_fd, e, 256, SILENT_MS);
		if (n == 0) {
			snprintf(fault, sizeof(fault), "%lu hang", live);
			failed += live;
			break;
		}
		for (int i = 0; i < n; i++)
			serve(e[i].data.ptr, e[i].events);
		if (is_slow)
			pause_ms(slow_ms);
	}
	printf("{\"complete\": %lu, \"failed\": %lu, \"bytes\": %llu, "
	       "\"seconds\": %.3f, \"fault\": \"%s\"}\n",
		complete, failed, (unsigned long long)total_bytes,
		now() - begun, fault);
	return failed != 0 || complete != count;
}
