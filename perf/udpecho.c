/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A UDP echo server by plain sockets, as well as it can be done on one core:
 *
 *   udpecho plain ADDRESS PORT   recvfrom() and sendto(), blocking
 *   udpecho mmsg ADDRESS PORT    recvmmsg() of what is there, sendmmsg()
 *
 * One unconnected socket with a large receive buffer. Says "ready" when it
 * listens; ends by a signal.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define BURST 64
#define BYTES 2048

static void
plain(int fd)
{
	static char data[BYTES];
	struct sockaddr_in from;

	for (;;) {
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(fd, data, sizeof(data), 0,
			(struct sockaddr *)&from, &len);

		if (n >= 0)
			sendto(fd, data, (size_t)n, 0, (struct sockaddr *)&from,
				len);
	}
}

static void
mmsg(int fd)
{
	static char data[BURST][BYTES];
	static struct sockaddr_in from[BURST];
	static struct iovec iov[BURST];
	static struct mmsghdr msg[BURST];

	for (int i = 0; i < BURST; i++) {
		msg[i].msg_hdr.msg_iov = &iov[i];
		msg[i].msg_hdr.msg_iovlen = 1;
		msg[i].msg_hdr.msg_name = &from[i];
		iov[i].iov_base = data[i];
	}
	for (;;) {
		int n, sent = 0, k;

		for (int i = 0; i < BURST; i++) {
			iov[i].iov_len = BYTES;
			msg[i].msg_hdr.msg_namelen = sizeof(from[i]);
		}
		n = recvmmsg(fd, msg, BURST, MSG_WAITFORONE, NULL);
		for (int i = 0; i < n; i++)
			iov[i].iov_len = msg[i].msg_len;
		/* One that cannot be sent is left out, as sendto() would. */
		while (sent < n) {
			k = sendmmsg(
				fd, msg + sent, (unsigned int)(n - sent), 0);
			sent += k > 0 ? k : 1;
		}
	}
}

int
main(int argc, char **argv)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	const int bytes = 8 << 20;

	if (argc != 4 || fd < 0 ||
		inet_pton(AF_INET, argv[2], &at.sin_addr) != 1) {
		fprintf(stderr, "usage: udpecho plain|mmsg ADDRESS PORT\n");
		return 2;
	}
	at.sin_port = htons((uint16_t)strtoul(argv[3], NULL, 10));
	/* Beyond rmem_max, which root may go. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) !=
			0 ||
		bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0) {
		perror("udpecho");
		return 1;
	}
	puts("ready");
	fflush(stdout);
	if (strcmp(argv[1], "mmsg") == 0)
		mmsg(fd);
	else
		plain(fd);
	return 0;
}
