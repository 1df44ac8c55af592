/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vnic_send: frames as a hijacked instance could put on its VNIC.
 *
 *   vnic_send VNIC KIND SMAC DMAC SRC SPORT DST DPORT COUNT
 *
 * VNIC: the device that is its near end; or, with a slash in it, the socket on
 * which the NIC in software attaches to the instance whose place is taken.
 * KIND: udp, tcp; vlan (udp, with a VLAN tag); arp (a reply that says SRC is
 * at SMAC); na (the same for IPv6: an advertisement); junk (an unknown
 * Ethernet type). A port with a + behind it counts up with each frame.
 * Prints the number of frames that the VNIC took.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip6.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/e2e/frame.h"
#include "tests/e2e/front.h"

#define VLAN_TAG_LEN 4
#define TAKEN_MS     5000

struct port {
	uint16_t first;
	uint16_t step;
};

static struct port
port_parse(const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);
	struct port p = { (uint16_t)n, *end == '+' };

	return p;
}

/* Put a tag of VLAN 5 into a frame of `len` bytes. */
static size_t
tag_vlan(uint8_t *buf, size_t len)
{
	const uint8_t tag[VLAN_TAG_LEN] = { 0x81, 0x00, 0x00, 0x05 };

	memmove(buf + 12 + sizeof(tag), buf + 12, len - 12);
	memcpy(buf + 12, tag, sizeof(tag));
	return len + sizeof(tag);
}

static size_t
build_arp(uint8_t *buf, const struct frame_spec *s)
{
	/* Ethernet, IPv4, reply: RFC 826 */
	const uint8_t head[] = { 0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 2 };
	uint8_t *p = buf + 12;

	memcpy(p, head, sizeof(head));
	p += sizeof(head);
	memcpy(p, s->smac, 6);
	memcpy(p + 6, &s->src.w[3], 4);
	memcpy(p + 10, s->dmac, 6);
	memcpy(p + 16, &s->dst.w[3], 4);
	return 60;
}

/* A neighbour advertisement with the override flag: RFC 4861 section 4.4. */
static size_t
build_na(uint8_t *buf, const struct frame_spec *s)
{
	struct ip6_hdr *ip = (struct ip6_hdr *)(buf + 14);
	uint8_t *na = buf + 54;
	uint16_t check;
	size_t len = 32;

	memset(buf + 14, 0, FRAME_MAX - 14);
	ip->ip6_flow = htonl(6u << 28);
	ip->ip6_plen = htons((uint16_t)len);
	ip->ip6_nxt = IPPROTO_ICMPV6;
	ip->ip6_hlim = 255;
	memcpy(&ip->ip6_src, &s->src, 16);
	memcpy(&ip->ip6_dst, &s->dst, 16);
	na[0] = ND_NEIGHBOR_ADVERT;
	na[4] = 0x60;
	memcpy(na + 8, &s->src, 16);
	na[24] = 2;
	na[25] = 1;
	memcpy(na + 26, s->smac, 6);
	/* Source and destination stand right before the payload. */
	check = frame_checksum(
		buf + 22, 32 + len, (uint32_t)(IPPROTO_ICMPV6 + len));
	memcpy(na + 2, &check, 2);
	return 54 + len;
}

static size_t
build(uint8_t *buf, const char *kind, struct frame_spec *s)
{
	size_t len;

	s->proto = strcmp(kind, "tcp") == 0 ? IPPROTO_TCP : IPPROTO_UDP;
	len = frame_build(buf, s);
	if (strcmp(kind, "vlan") == 0)
		return tag_vlan(buf, len);
	if (strcmp(kind, "arp") == 0)
		return build_arp(buf, s);
	if (strcmp(kind, "na") == 0)
		return build_na(buf, s);
	if (strcmp(kind, "junk") == 0)
		memcpy(buf + 12, "\x88\xb5", 2);
	return len;
}

/* --- what they are put on ------------------------------------------------ */

/* A device, or what stands for an instance. */
struct vnic {
	int fd;
	bool socket;
	struct front front;
};

static void
vnic_open(struct vnic *v, const char *name)
{
	v->socket = strchr(name, '/') != NULL;
	if (!v->socket) {
		v->fd = frame_socket(name);
		return;
	}
	front_open(&v->front, name);
	if (!front_accept(&v->front, TAKEN_MS) || !front_greet(&v->front)) {
		fprintf(stderr, "vnic_send: nobody attaches to %s\n", name);
		exit(1);
	}
}

/* Frame i of at most FRONT_RING; 1 if the VNIC has it. */
static int
vnic_put(struct vnic *v, int i, const uint8_t *frame, size_t len)
{
	uint8_t *at = v->front.mem + front_buffer(1, (uint16_t)i);

	if (!v->socket)
		return send(v->fd, frame, len, 0) > 0;
	memset(at, 0, VIRTQ_HEADER);
	memcpy(at + VIRTQ_HEADER, frame, len);
	front_desc(&v->front, 1, (uint16_t)i, (uint32_t)len + VIRTQ_HEADER);
	front_offer(&v->front, 1, (uint16_t)i);
	return 1;
}

/* How many of n the NIC has taken, when it has all or hangs up. */
static int
vnic_taken(struct vnic *v, int n)
{
	struct pollfd p[2] = { { .fd = v->front.fd, .events = POLLRDHUP },
		{ .fd = v->front.ring[1].call, .events = POLLIN } };
	struct vring_used_elem e;
	uint64_t count;
	int taken = 0;

	while (taken < n) {
		while (front_used(&v->front, 1, &e))
			taken++;
		if (taken < n && (poll(p, 2, TAKEN_MS) <= 0 || p[0].revents))
			break;
		(void)!read(v->front.ring[1].call, &count, sizeof(count));
	}
	return taken;
}

static int
vnic_close(struct vnic *v, int sent)
{
	if (!v->socket)
		return sent;
	sent = vnic_taken(v, sent);
	front_close(&v->front);
	return sent;
}

int
main(int argc, char **argv)
{
	struct frame_spec s = { .seq = 1 };
	struct port sport, dport;
	struct vnic vnic = { .fd = -1 };
	uint8_t buf[FRAME_MAX];
	int count, sent = 0;

	if (argc != 10 || frame_mac(argv[3], s.smac) != 0 ||
		frame_mac(argv[4], s.dmac) != 0 ||
		frame_addr(argv[5], &s.src) != 0 ||
		frame_addr(argv[7], &s.dst) != 0) {
		fprintf(stderr, "usage: vnic_send VNIC KIND SMAC DMAC SRC "
				"SPORT DST DPORT COUNT\n");
		return 2;
	}
	sport = port_parse(argv[6]);
	dport = port_parse(argv[8]);
	count = atoi(argv[9]);
	if (count > FRONT_RING) {
		fprintf(stderr, "vnic_send: %d at most\n", FRONT_RING);
		return 2;
	}
	vnic_open(&vnic, argv[1]);
	for (int i = 0; i < count; i++) {
		s.sport = (uint16_t)(sport.first + i * sport.step);
		s.dport = (uint16_t)(dport.first + i * dport.step);
		sent += vnic_put(&vnic, i, buf, build(buf, argv[2], &s));
	}
	sent = vnic_close(&vnic, sent);
	printf("%d\n", sent);
	return sent == count ? 0 : 1;
}
