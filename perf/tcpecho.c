/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TCP echo by plain sockets, one thread, edge-triggered epoll:
 *
 *   tcpecho serve ADDRESS PORT
 *   tcpecho load ADDRESS PORT CONNECTIONS BYTES SECONDS    closed loop
 *   tcpecho open ADDRESS PORT CONNECTIONS 0 SECONDS        connect, close
 *
 * The server says "ready" when it listens, and ends by a signal. The load
 * prints how many round trips, or connections, there have been.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define EVENTS 256
#define BUFFER 65536

/* One connection: buf[from..to) is still to be written. */
struct peer {
	int fd;
	uint32_t from, to;
	uint32_t left; /* load: of the answer */
	char buf[BUFFER];
};

static struct sockaddr_in at;
static int events;
static uint32_t bytes;
static unsigned long done;

static void
fail(const char *what)
{
	perror(what);
	exit(1);
}

static struct peer *
peer_make(int fd)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLOUT | EPOLLET };
	struct peer *p = malloc(sizeof(*p));
	const int on = 1;

	if (p == NULL)
		fail("memory");
	p->fd = fd;
	p->from = p->to = p->left = 0;
	e.data.ptr = p;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (epoll_ctl(events, EPOLL_CTL_ADD, fd, &e) != 0)
		fail("epoll_ctl");
	return p;
}

/* true: all is written. */
static bool
flush(struct peer *p)
{
	while (p->from < p->to) {
		ssize_t n = write(p->fd, p->buf + p->from, p->to - p->from);

		if (n <= 0)
			return false;
		p->from += (uint32_t)n;
	}
	return true;
}

/* --- serve --------------------------------------------------------------- */

static void
serve_peer(struct peer *p)
{
	while (flush(p)) {
		ssize_t n = read(p->fd, p->buf, sizeof(p->buf));

		p->from = 0;
		p->to = n > 0 ? (uint32_t)n : 0;
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			close(p->fd);
			free(p);
			return;
		}
		/* Less than there was room for: that was all. */
		if ((size_t)n < sizeof(p->buf)) {
			flush(p);
			return;
		}
	}
}

static void
serve_accept(int fd)
{
	int c;

	while ((c = accept4(fd, NULL, NULL, SOCK_NONBLOCK)) >= 0)
		serve_peer(peer_make(c));
}

static void
serve(void)
{
	struct epoll_event e = { .events = EPOLLIN }, got[EVENTS];
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	const int on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0 ||
		listen(fd, 4096) != 0 ||
		epoll_ctl(events, EPOLL_CTL_ADD, fd, &e) != 0)
		fail("listen");
	puts("ready");
	fflush(stdout);
	for (;;) {
		int n = epoll_wait(events, got, EVENTS, -1);

		for (int i = 0; i < n; i++)
			if (got[i].data.ptr == NULL)
				serve_accept(fd);
			else
				serve_peer(got[i].data.ptr);
	}
}

/* --- load ---------------------------------------------------------------- */

static int
reach(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof(at)) != 0)
		fail("connect");
	return fd;
}

static void
ask(struct peer *p)
{
	p->from = 0;
	p->to = p->left = bytes;
	flush(p);
}

static void
load_peer(struct peer *p)
{
	static char sink[BUFFER];
	ssize_t n;

	flush(p);
	while ((n = recv(p->fd, sink, sizeof(sink), MSG_DONTWAIT)) > 0) {
		p->left -= (uint32_t)n;
		if (p->left > 0)
			continue;
		done++;
		ask(p);
	}
	if (n == 0)
		fail("the server has closed");
}

static bool
is_over(const struct timespec *from, double seconds)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - from->tv_sec) +
		       (double)(now.tv_nsec - from->tv_nsec) / 1e9 >=
	       seconds;
}

static void
load(int connections, double seconds)
{
	struct epoll_event got[EVENTS];
	struct timespec from;

	for (int i = 0; i < connections; i++)
		ask(peer_make(reach()));
	clock_gettime(CLOCK_MONOTONIC, &from);
	while (!is_over(&from, seconds)) {
		int n = epoll_wait(events, got, EVENTS, 100);

		for (int i = 0; i < n; i++)
			load_peer(got[i].data.ptr);
	}
	printf("%lu\n", done);
}

/*
 * As many at a time. They end in order, and ours is the end that waits: the
 * kernel lets a port be used again after a second (tcp_tw_reuse).
 */
static void
open_and_close(int connections, double seconds)
{
	int *fd = calloc((size_t)connections, sizeof(*fd));
	struct timespec from;

	clock_gettime(CLOCK_MONOTONIC, &from);
	while (fd != NULL && !is_over(&from, seconds)) {
		for (int i = 0; i < connections; i++)
			fd[i] = reach();
		for (int i = 0; i < connections; i++)
			close(fd[i]);
		done += (unsigned long)connections;
	}
	free(fd);
	printf("%lu\n", done);
}

int
main(int argc, char **argv)
{
	at.sin_family = AF_INET;
	events = epoll_create1(EPOLL_CLOEXEC);
	if (argc < 4 || events < 0 ||
		inet_pton(AF_INET, argv[2], &at.sin_addr) != 1) {
		fprintf(stderr, "usage: see perf/tcpecho.c\n");
		return 2;
	}
	at.sin_port = htons((uint16_t)strtoul(argv[3], NULL, 10));
	if (strcmp(argv[1], "serve") == 0)
		serve();
	if (argc != 7)
		return 2;
	bytes = (uint32_t)strtoul(argv[5], NULL, 10);
	if (bytes > BUFFER)
		return 2;
	if (strcmp(argv[1], "load") == 0)
		load(atoi(argv[4]), strtod(argv[6], NULL));
	else
		open_and_close(atoi(argv[4]), strtod(argv[6], NULL));
	return 0;
}
