/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * udpflows: one UDP datagram of each of many flows.
 *
 *   udpflows DEV SMAC DMAC FIRST DST PORT COUNT RATE
 *
 * Flow i is from address FIRST (IPv4) + i / 10000, port 1024 + i % 10000, to
 * DST:PORT by way of DMAC; RATE per second. Called again, it sends the same
 * ones. Prints how many were sent.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "tests/e2e/frame.h"

#define PORTS 10000u
#define SLICE 64u /* sent between two looks at the clock */

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void
wait_until(uint64_t when_ns)
{
	struct timespec t = { .tv_sec = (time_t)(when_ns / 1000000000),
		.tv_nsec = (long)(when_ns % 1000000000) };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) ==
		EINTR)
		;
}

static void
send_one(int fd, const struct frame_spec *s)
{
	uint8_t buf[FRAME_MAX];
	size_t len = frame_build(buf, s);

	while (send(fd, buf, len, 0) < 0) {
		if (errno != ENOBUFS && errno != EAGAIN) {
			perror("udpflows");
			exit(1);
		}
	}
}

static void
send_all(int fd, struct frame_spec *s, uint32_t first, uint64_t count,
	uint64_t rate)
{
	uint64_t start = now_ns();

	for (uint64_t i = 0; i < count; i++) {
		s->src = ip_addr_from_v4(htonl(first + (uint32_t)(i / PORTS)));
		s->sport = (uint16_t)(1024 + i % PORTS);
		send_one(fd, s);
		if (i % SLICE == 0)
			wait_until(start + i * 1000000000 / rate);
	}
}

int
main(int argc, char **argv)
{
	struct frame_spec s = { .proto = IPPROTO_UDP };
	struct ip_addr first;
	uint64_t count, rate;

	if (argc != 9 || frame_mac(argv[2], s.smac) != 0 ||
		frame_mac(argv[3], s.dmac) != 0 ||
		frame_addr(argv[4], &first) != 0 ||
		frame_addr(argv[5], &s.dst) != 0 || !ip_addr_is_v4(&first) ||
		!ip_addr_is_v4(&s.dst)) {
		fprintf(stderr, "usage: udpflows DEV SMAC DMAC FIRST DST PORT "
				"COUNT RATE\n");
		return 2;
	}
	s.dport = (uint16_t)atoi(argv[6]);
	count = strtoull(argv[7], NULL, 10);
	rate = strtoull(argv[8], NULL, 10);
	send_all(frame_socket(argv[1]), &s, ntohl(first.w[3]), count,
		rate > 0 ? rate : 1);
	printf("%llu\n", (unsigned long long)count);
	return 0;
}
