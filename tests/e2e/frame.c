/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/e2e/frame.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static const char payload[] = "carryall-test-frame";

static uint32_t
sum_words(const uint8_t *data, size_t len, uint32_t sum)
{
	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)data[i] << 8 | data[i + 1];
	if (len & 1)
		sum += (uint32_t)data[len - 1] << 8;
	return sum;
}

uint16_t
frame_checksum(const uint8_t *data, size_t len, uint32_t sum)
{
	sum = sum_words(data, len, sum);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

static size_t
build_l4(uint8_t *p, const struct frame_spec *s)
{
	if (s->proto == IPPROTO_TCP) {
		struct tcphdr h = { .source = htons(s->sport),
			.dest = htons(s->dport),
			.seq = htonl(s->seq),
			.doff = 5,
			.syn = 1,
			.window = htons(65535) };

		memcpy(p, &h, sizeof(h));
		return sizeof(h);
	} else {
		struct udphdr h = { .source = htons(s->sport),
			.dest = htons(s->dport),
			.len = htons(sizeof(h) + sizeof(payload)) };

		memcpy(p, &h, sizeof(h));
		memcpy(p + sizeof(h), payload, sizeof(payload));
		return sizeof(h) + sizeof(payload);
	}
}

/* The checksum of the segment l4[0..len) with its pseudo header. */
static void
seal_l4(uint8_t *l4, size_t len, const struct frame_spec *s)
{
	size_t at = s->proto == IPPROTO_TCP ? offsetof(struct tcphdr, check)
					    : offsetof(struct udphdr, check);
	uint32_t sum = s->proto + (uint32_t)len;
	uint16_t check;

	/* The mapped form's tag is no part of an IPv4 pseudo header. */
	if (ip_addr_is_v4(&s->src)) {
		sum = sum_words((const uint8_t *)&s->src.w[3], 4, sum);
		sum = sum_words((const uint8_t *)&s->dst.w[3], 4, sum);
	} else {
		sum = sum_words((const uint8_t *)&s->src, 16, sum);
		sum = sum_words((const uint8_t *)&s->dst, 16, sum);
	}
	check = frame_checksum(l4, len, sum);
	memcpy(l4 + at, &check, 2);
}

static size_t
build_v4(uint8_t *p, const struct frame_spec *s)
{
	size_t len = build_l4(p + sizeof(struct iphdr), s);
	struct iphdr h = { .version = 4,
		.ihl = 5,
		.tot_len = htons((uint16_t)(sizeof(h) + len)),
		.ttl = 64,
		.protocol = s->proto,
		.saddr = s->src.w[3],
		.daddr = s->dst.w[3] };

	h.check = frame_checksum((const uint8_t *)&h, sizeof(h), 0);
	memcpy(p, &h, sizeof(h));
	seal_l4(p + sizeof(h), len, s);
	return sizeof(h) + len;
}

static size_t
build_v6(uint8_t *p, const struct frame_spec *s)
{
	size_t len = build_l4(p + sizeof(struct ip6_hdr), s);
	struct ip6_hdr h = { .ip6_flow = htonl(6u << 28),
		.ip6_plen = htons((uint16_t)len),
		.ip6_nxt = s->proto,
		.ip6_hlim = 64 };

	memcpy(&h.ip6_src, &s->src, 16);
	memcpy(&h.ip6_dst, &s->dst, 16);
	memcpy(p, &h, sizeof(h));
	seal_l4(p + sizeof(h), len, s);
	return sizeof(h) + len;
}

size_t
frame_build(uint8_t *buf, const struct frame_spec *s)
{
	struct ethhdr *eth = (struct ethhdr *)buf;
	int v4 = ip_addr_is_v4(&s->src);

	memset(buf, 0, FRAME_MAX);
	memcpy(eth->h_dest, s->dmac, 6);
	memcpy(eth->h_source, s->smac, 6);
	eth->h_proto = htons(v4 ? ETH_P_IP : ETH_P_IPV6);
	return sizeof(*eth) + (v4 ? build_v4(buf + sizeof(*eth), s)
				  : build_v6(buf + sizeof(*eth), s));
}

int
frame_mac(const char *text, uint8_t mac[6])
{
	int n = sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &mac[0], &mac[1],
		&mac[2], &mac[3], &mac[4], &mac[5]);

	return n == 6 ? 0 : -1;
}

int
frame_addr(const char *text, struct ip_addr *addr)
{
	struct in_addr v4;

	if (inet_pton(AF_INET, text, &v4) == 1) {
		*addr = ip_addr_from_v4(v4.s_addr);
		return 0;
	}
	return inet_pton(AF_INET6, text, addr) == 1 ? 0 : -1;
}

static void
die(const char *what)
{
	perror(what);
	exit(1);
}

int
frame_socket(const char *dev)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET,
		.sll_ifindex = (int)if_nametoindex(dev) };
	int fd = socket(AF_PACKET, SOCK_RAW, 0);

	if (fd < 0)
		die("raw socket");
	if (to.sll_ifindex == 0)
		die(dev);
	if (bind(fd, (const struct sockaddr *)&to, sizeof(to)) != 0)
		die("bind");
	return fd;
}
