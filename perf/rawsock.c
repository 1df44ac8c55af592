/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The paper's baseline: an IP-layer load balancer over raw sockets, as well as
 * it can be written. One instance of `of` that share the traffic:
 *
 *   rawsock -i INSTANCE -n OF [-m] [-f] -w DEV -l DEV -v VIP:PORT -s SNAT
 *           -b BACKEND-MAC BACKEND...
 *
 *   -m  recvmmsg() and sendmmsg() of up to 64, else recv() and send()
 *   -f  a classic BPF filter keeps what is another's out of the socket; it
 *       can have no hash, so the low bits of the client's port decide
 *
 * Without a NIC that steers, every instance's socket sees every packet, and
 * drops what is another's: by the same hash of the 5-tuple as the appliance's
 * for what comes from clients, by the low bits of the SNAT port for replies.
 *
 * AF_PACKET and not AF_INET raw sockets: those are behind the kernel's IP
 * input and output with its routing, these hand over and send whole frames.
 * The box owns neither VIP nor SNAT address and takes frames that are for
 * another station's address, so that the kernel drops its own copy of each as
 * soon as it looks at it. One socket receives of both devices: no poll(). The
 * ones that send are bound to a device each and pass the queueing discipline.
 *
 * Connections are never forgotten; there is room for 65536 of them.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "dataplane/checksum.h"
#include "dataplane/steer.h"

#define BURST    64
#define BYTES    2048
#define BUCKETS  128u
#define SLOTS    131072u /* of the table: twice the connections, 2^n */
#define BACKENDS 16
#define SEED     0x5eedu

enum { WAN, LAN };

struct conn {
	uint32_t client, backend; /* as on the wire, like all here */
	uint16_t cport, port;     /* of the client, of the SNAT address */
	uint16_t ip_delta, udp_delta;
	uint8_t client_mac[6];
	uint8_t used;
};

static struct {
	uint32_t instance, of;
	int batch, filter;
	int rx, tx[2];
	uint8_t mac[2][6], backend_mac[6];
	uint32_t vip, snat, backend[BACKENDS], n_backend, turn;
	uint16_t vport;
	uint32_t next_port[BUCKETS]; /* of this bucket, in steps */
	struct conn table[SLOTS];
	struct conn *by_port[65536];
} lb = { .of = 1 };

/* --- a packet --- */

static uint16_t
get16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, 2);
	return v;
}

static uint32_t
get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return v;
}

static void
put16(uint8_t *p, uint16_t v)
{
	memcpy(p, &v, 2);
}

static void
put32(uint8_t *p, uint32_t v)
{
	memcpy(p, &v, 4);
}

static uint32_t
hash(const uint8_t *d)
{
	const struct steer_tuple t = { .src = ip_addr_from_v4(get32(d + 26)),
		.dst = ip_addr_from_v4(get32(d + 30)),
		.sport = get16(d + 34),
		.dport = get16(d + 36),
		.proto = d[23] };

	return steer_hash(&t, SEED, 0);
}

/* --- connections --- */

/* The change of addresses and ports on the way to the backend. */
static void
deltas(struct conn *c)
{
	uint64_t sum = csum_add(0, &lb.snat, 4);

	sum = csum_add(sum, &c->backend, 4);
	sum = csum_sub(sum, &c->client, 4);
	sum = csum_sub(sum, &lb.vip, 4);
	c->ip_delta = csum_fold(sum);
	sum = csum_add(sum, &c->port, 2);
	c->udp_delta = csum_fold(csum_sub(sum, &c->cport, 2));
}

/* A new connection in slot `c`; NULL if the bucket has no port left. */
static struct conn *
open_conn(struct conn *c, const uint8_t *d, uint32_t bucket)
{
	uint32_t port =
		STEER_SNAT_PORT_MIN + lb.next_port[bucket] * BUCKETS + bucket;

	if (port > 65535)
		return NULL;
	lb.next_port[bucket]++;
	c->client = get32(d + 26);
	c->cport = get16(d + 34);
	c->port = htons((uint16_t)port);
	c->backend = lb.backend[lb.turn++ % lb.n_backend];
	memcpy(c->client_mac, d + 6, 6);
	c->used = 1;
	deltas(c);
	lb.by_port[port] = c;
	return c;
}

static struct conn *
find(const uint8_t *d, uint32_t h, uint32_t bucket)
{
	const uint32_t client = get32(d + 26);
	const uint16_t port = get16(d + 34);

	for (uint32_t i = h / BUCKETS;; i++) {
		struct conn *c = &lb.table[i & (SLOTS - 1)];

		if (!c->used)
			return open_conn(c, d, bucket);
		if (c->client == client && c->cport == port)
			return c;
	}
}

/* --- both ways --- */

static void
mend(uint8_t *p, uint16_t delta)
{
	put16(p, csum_update(get16(p), delta));
}

/* One hop less, then what else has changed. */
static void
finish(uint8_t *d, int out, const uint8_t *to, uint16_t ip_delta,
	uint16_t udp_delta)
{
	uint64_t sum = csum_sub(ip_delta, d + 22, 2);

	d[22]--;
	mend(d + 24, csum_fold(csum_add(sum, d + 22, 2)));
	/* No checksum is none after the change as well. */
	if (get16(d + 40) != 0)
		mend(d + 40, udp_delta);
	memcpy(d, to, 6);
	memcpy(d + 6, lb.mac[out], 6);
}

static int
from_client(uint8_t *d)
{
	uint32_t h = hash(d), bucket = h & (BUCKETS - 1);
	struct conn *c;

	if (lb.filter)
		bucket = ntohs(get16(d + 34)) & (BUCKETS - 1);
	if (bucket % lb.of != lb.instance)
		return -1;
	c = find(d, h, bucket);
	if (c == NULL)
		return -1;
	put32(d + 26, lb.snat);
	put32(d + 30, c->backend);
	put16(d + 34, c->port);
	finish(d, LAN, lb.backend_mac, c->ip_delta, c->udp_delta);
	return LAN;
}

static int
from_backend(uint8_t *d)
{
	uint16_t port = ntohs(get16(d + 36));
	const struct conn *c;

	if ((port & (BUCKETS - 1)) % lb.of != lb.instance)
		return -1;
	c = lb.by_port[port];
	if (c == NULL || c->backend != get32(d + 26))
		return -1;
	put32(d + 26, lb.vip);
	put32(d + 30, c->client);
	put16(d + 36, c->cport);
	finish(d, WAN, c->client_mac, csum_back(c->ip_delta),
		csum_back(c->udp_delta));
	return WAN;
}

/* Where the frame goes now, WAN or LAN, or -1. */
static int
forward(uint8_t *d, size_t len)
{
	if (len < 42 || d[14] != 0x45 || d[23] != IPPROTO_UDP || d[22] < 2)
		return -1;
	if (get32(d + 30) == lb.vip && get16(d + 36) == lb.vport)
		return from_client(d);
	if (get32(d + 30) == lb.snat && get16(d + 34) == lb.vport)
		return from_backend(d);
	return -1;
}

/* --- loops --- */

static void
one_by_one(void)
{
	static uint8_t d[BYTES];

	for (;;) {
		ssize_t n = recv(lb.rx, d, sizeof(d), 0);
		int out = n > 0 ? forward(d, (size_t)n) : -1;

		if (out >= 0)
			send(lb.tx[out], d, (size_t)n, 0);
	}
}

/* One that cannot be sent is left out, as send() would. */
static void
send_all(int fd, struct mmsghdr *msg, int n)
{
	for (int sent = 0, k; sent<n; sent += k> 0 ? k : 1)
		k = sendmmsg(fd, msg + sent, (unsigned int)(n - sent), 0);
}

static void
in_batches(void)
{
	static uint8_t d[BURST][BYTES];
	static struct iovec iov[BURST], riov[2][BURST];
	static struct mmsghdr in[BURST], out[2][BURST];

	for (int i = 0; i < BURST; i++) {
		iov[i] = (struct iovec){ d[i], BYTES };
		in[i].msg_hdr.msg_iov = &iov[i];
		in[i].msg_hdr.msg_iovlen = 1;
		for (int k = 0; k < 2; k++) {
			out[k][i].msg_hdr.msg_iov = &riov[k][i];
			out[k][i].msg_hdr.msg_iovlen = 1;
		}
	}
	for (;;) {
		int n = recvmmsg(lb.rx, in, BURST, MSG_WAITFORONE, NULL);
		int have[2] = { 0, 0 };

		for (int i = 0; i < n; i++) {
			int k = forward(d[i], in[i].msg_len);

			if (k >= 0)
				riov[k][have[k]++] =
					(struct iovec){ d[i], in[i].msg_len };
		}
		send_all(lb.tx[WAN], out[WAN], have[WAN]);
		send_all(lb.tx[LAN], out[LAN], have[LAN]);
	}
}

/* --- set-up --- */

/*
 * UDP, and (from the client ? its port : the SNAT port) & (of - 1) is ours.
 * `of` is a power of two. Buckets have the same low bits.
 */
static int
attach_filter(void)
{
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 23),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 0, 7),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 30),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ntohl(lb.vip), 0, 2),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 34),
		BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 36),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, lb.of - 1),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, lb.instance, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
	};
	const struct sock_fprog prog = { sizeof(f) / sizeof(*f), f };

	return setsockopt(
		lb.rx, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog));
}

static int
open_tx(int side, const char *dev)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET,
		.sll_ifindex = (int)if_nametoindex(dev) };
	struct ifreq req = { 0 };
	const int one = 1;

	lb.tx[side] = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	strncpy(req.ifr_name, dev, IFNAMSIZ - 1);
	if (lb.tx[side] < 0 || at.sll_ifindex == 0 ||
		setsockopt(lb.tx[side], SOL_PACKET, PACKET_QDISC_BYPASS, &one,
			sizeof(one)) != 0 ||
		bind(lb.tx[side], (struct sockaddr *)&at, sizeof(at)) != 0 ||
		ioctl(lb.tx[side], SIOCGIFHWADDR, &req) != 0)
		return -1;
	memcpy(lb.mac[side], req.ifr_hwaddr.sa_data, 6);
	return 0;
}

/* The filter first: what comes before it would be another's. */
static int
open_rx(void)
{
	const struct sockaddr_ll at = { .sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_IP) };
	const int bytes = 8 << 20;

	lb.rx = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (lb.rx < 0 ||
		setsockopt(lb.rx, SOL_SOCKET, SO_RCVBUFFORCE, &bytes,
			sizeof(bytes)) != 0 ||
		(lb.filter && attach_filter() != 0))
		return -1;
	return bind(lb.rx, (const struct sockaddr *)&at, sizeof(at));
}

static int
parse_service(char *text)
{
	char *colon = strchr(text, ':');

	if (colon == NULL)
		return -1;
	*colon = '\0';
	lb.vport = htons((uint16_t)strtoul(colon + 1, NULL, 10));
	return inet_pton(AF_INET, text, &lb.vip) == 1 ? 0 : -1;
}

static int
parse_mac(const char *text)
{
	unsigned int b[6];

	if (sscanf(text, "%x:%x:%x:%x:%x:%x", &b[0], &b[1], &b[2], &b[3], &b[4],
		    &b[5]) != 6)
		return -1;
	for (int i = 0; i < 6; i++)
		lb.backend_mac[i] = (uint8_t)b[i];
	return 0;
}

static int
parse_one(int c, char *arg)
{
	switch (c) {
	case 'i':
		lb.instance = (uint32_t)strtoul(arg, NULL, 10);
		return 0;
	case 'n':
		lb.of = (uint32_t)strtoul(arg, NULL, 10);
		return lb.of > 0 && (lb.of & (lb.of - 1)) == 0 ? 0 : -1;
	case 'm':
		lb.batch = 1;
		return 0;
	case 'f':
		lb.filter = 1;
		return 0;
	case 'w':
		return open_tx(WAN, arg);
	case 'l':
		return open_tx(LAN, arg);
	case 'v':
		return parse_service(arg);
	case 's':
		return inet_pton(AF_INET, arg, &lb.snat) == 1 ? 0 : -1;
	case 'b':
		return parse_mac(arg);
	default:
		return -1;
	}
}

static int
parse(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "i:n:mfw:l:v:s:b:")) != -1) {
		if (parse_one(c, optarg) != 0) {
			fprintf(stderr, "rawsock: -%c: %s\n", c,
				strerror(errno));
			return -1;
		}
	}
	for (; optind < argc && lb.n_backend < BACKENDS; optind++)
		if (inet_pton(AF_INET, argv[optind],
			    &lb.backend[lb.n_backend++]) != 1)
			return -1;
	return lb.n_backend > 0 && lb.tx[WAN] > 0 && lb.tx[LAN] > 0 &&
			       lb.vip != 0 && lb.snat != 0
		       ? 0
		       : -1;
}

int
main(int argc, char **argv)
{
	if (parse(argc, argv) != 0) {
		fprintf(stderr,
			"usage: rawsock -i INSTANCE -n OF [-m] [-f] -w DEV "
			"-l DEV -v VIP:PORT -s SNAT -b MAC BACKEND...\n");
		return 2;
	}
	if (open_rx() != 0) {
		perror("rawsock");
		return 1;
	}
	puts("ready");
	fflush(stdout);
	if (lb.batch)
		in_batches();
	else
		one_by_one();
	return 0;
}
