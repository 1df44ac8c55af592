/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * udpload: datagrams to an echo service at an even rate, and what comes back.
 *
 *   udpload DST PORT SIZE RATE FLOWS SECONDS
 *
 * RATE datagrams per second in all, of SIZE bytes, in turn from FLOWS source
 * ports. Every half second, and at the end, when nothing has come for as
 * long, it prints a line: time in ns, datagrams sent, datagrams received,
 * all since the start.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FLOWS_MAX   64
#define PAYLOAD_MAX 1472
#define TICK_NS     1000000ull
#define PRINT_NS    500000000ull
#define NS_PER_S    1000000000ull
#define BUFFER      (16 << 20)

struct load {
	int fd[FLOWS_MAX];
	unsigned int flows;
	size_t size;
	uint64_t rate;
	uint64_t start_ns, print_ns, heard_ns;
	uint64_t sent, received;
};

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

/* A socket with room for what comes while another process has the core. */
static int
open_flow(const char *dst, const char *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	int room = BUFFER;

	a.sin_port = htons((uint16_t)atoi(port));
	if (fd < 0 || inet_pton(AF_INET, dst, &a.sin_addr) != 1 ||
		setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room,
			sizeof(room)) != 0 ||
		connect(fd, (struct sockaddr *)&a, sizeof(a)) != 0) {
		perror("udpload");
		exit(2);
	}
	return fd;
}

/* A datagram that the device has no room for is none that was sent. */
static void
send_due(struct load *l, uint64_t now)
{
	static const char text[PAYLOAD_MAX];
	uint64_t due = (now - l->start_ns) * l->rate / NS_PER_S;

	while (l->sent < due) {
		int fd = l->fd[l->sent % l->flows];

		if (send(fd, text, l->size, 0) < 0) {
			if (errno == ENOBUFS || errno == EAGAIN)
				return;
			perror("udpload: send");
			exit(1);
		}
		l->sent++;
	}
}

static void
receive(struct load *l, uint64_t now)
{
	char text[PAYLOAD_MAX];

	for (unsigned int i = 0; i < l->flows; i++) {
		while (recv(l->fd[i], text, sizeof(text), 0) ==
			(ssize_t)l->size) {
			l->received++;
			l->heard_ns = now;
		}
	}
}

static void
print(struct load *l, uint64_t now)
{
	printf("%llu %llu %llu\n", (unsigned long long)(now - l->start_ns),
		(unsigned long long)l->sent, (unsigned long long)l->received);
	fflush(stdout);
	l->print_ns = now;
}

static void
wait_until(uint64_t when_ns)
{
	struct timespec t = { .tv_sec = (time_t)(when_ns / NS_PER_S),
		.tv_nsec = (long)(when_ns % NS_PER_S) };

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

/* Both in one loop: what is received is drained as often as is sent. */
static void
run(struct load *l, uint64_t seconds)
{
	uint64_t now = now_ns(), end = now + seconds * NS_PER_S;

	l->start_ns = l->print_ns = l->heard_ns = now;
	while (now < end || now - l->heard_ns < PRINT_NS) {
		if (now < end)
			send_due(l, now);
		receive(l, now);
		if (now - l->print_ns >= PRINT_NS)
			print(l, now);
		wait_until(now + TICK_NS);
		now = now_ns();
	}
	print(l, now);
}

int
main(int argc, char **argv)
{
	struct load l = { 0 };

	if (argc != 7) {
		fprintf(stderr, "usage: udpload DST PORT SIZE RATE FLOWS "
				"SECONDS\n");
		return 2;
	}
	l.size = strtoul(argv[3], NULL, 10);
	l.rate = strtoull(argv[4], NULL, 10);
	l.flows = (unsigned int)strtoul(argv[5], NULL, 10);
	if (l.size == 0 || l.size > PAYLOAD_MAX || l.flows == 0 ||
		l.flows > FLOWS_MAX) {
		fprintf(stderr, "udpload: SIZE 1..%d, FLOWS 1..%d\n",
			PAYLOAD_MAX, FLOWS_MAX);
		return 2;
	}
	for (unsigned int i = 0; i < l.flows; i++)
		l.fd[i] = open_flow(argv[1], argv[2]);
	run(&l, strtoull(argv[6], NULL, 10));
	for (unsigned int i = 0; i < l.flows; i++)
		close(l.fd[i]);
	return 0;
}
