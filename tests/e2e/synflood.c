/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * synflood: SYNs from random sources, as fast as asked for.
 *
 *   synflood DEV SMAC DMAC DST PORT COUNT RATE
 *
 * Sends COUNT SYNs to DST:PORT by way of DMAC, RATE per second (0: as fast
 * as the device takes them), each from a random address, port and sequence
 * number. IPv6 sources lie in fd00::/8. Prints how many were sent.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

#include "tests/e2e/frame.h"

#define BATCH 64

static uint64_t state;

/* xorshift64*: what is random here need not be unpredictable. */
static uint32_t
random_word(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (uint32_t)((state * 0x2545f4914f6cdd1dull) >> 32);
}

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Any unicast IPv4 address from 11.0.0.0 on, or any in fd00::/8. */
static void
random_source(struct frame_spec *s)
{
	if (ip_addr_is_v4(&s->dst)) {
		uint32_t host = 0x0b000000u + random_word() % 0xd4000000u;

		s->src = ip_addr_from_v4(htonl(host));
	} else {
		for (int i = 0; i < 4; i++)
			s->src.w[i] = random_word();
		s->src.w[0] = htonl(0xfd000000u | (random_word() >> 8));
	}
	s->sport = (uint16_t)(1024 + random_word() % 64000);
	s->seq = random_word();
}

/* Send msg[0..n) as a whole; waits while the device is full. */
static void
send_all(int fd, struct mmsghdr *msg, unsigned int n)
{
	for (unsigned int done = 0; done < n;) {
		int k = sendmmsg(fd, msg + done, n - done, 0);

		if (k > 0) {
			done += (unsigned int)k;
		} else if (errno != ENOBUFS && errno != EAGAIN) {
			perror("send");
			exit(1);
		}
	}
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
flood(int fd, struct frame_spec *s, uint64_t count, uint64_t rate)
{
	static uint8_t buf[BATCH][FRAME_MAX];
	static struct iovec iov[BATCH];
	static struct mmsghdr msg[BATCH];
	uint64_t start = now_ns();

	for (uint64_t sent = 0; sent < count;) {
		unsigned int n = count - sent < BATCH
					 ? (unsigned int)(count - sent)
					 : BATCH;

		for (unsigned int i = 0; i < n; i++) {
			random_source(s);
			iov[i].iov_base = buf[i];
			iov[i].iov_len = frame_build(buf[i], s);
			msg[i].msg_hdr.msg_iov = &iov[i];
			msg[i].msg_hdr.msg_iovlen = 1;
		}
		send_all(fd, msg, n);
		sent += n;
		if (rate > 0)
			wait_until(start + sent * 1000000000 / rate);
	}
}

int
main(int argc, char **argv)
{
	struct frame_spec s = { .proto = IPPROTO_TCP };
	uint64_t count;

	if (argc != 8 || frame_mac(argv[2], s.smac) != 0 ||
		frame_mac(argv[3], s.dmac) != 0 ||
		frame_addr(argv[4], &s.dst) != 0) {
		fprintf(stderr, "usage: synflood DEV SMAC DMAC DST PORT COUNT "
				"RATE\n");
		return 2;
	}
	s.dport = (uint16_t)atoi(argv[5]);
	count = strtoull(argv[6], NULL, 10);
	state = now_ns() | 1;
	flood(frame_socket(argv[1]), &s, count, strtoull(argv[7], NULL, 10));
	printf("%llu\n", (unsigned long long)count);
	return 0;
}
