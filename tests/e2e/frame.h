/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames for the test programs: Ethernet, IPv4 or IPv6, TCP or UDP, whole and
 * with right checksums. Addresses are struct ip_addr (IPv4 mapped).
 */
#ifndef TESTS_E2E_FRAME_H
#define TESTS_E2E_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "dataplane/addr.h"

#define FRAME_MAX 256

struct frame_spec {
	uint8_t smac[6], dmac[6];
	struct ip_addr src, dst; /* of one family */
	uint16_t sport, dport;   /* host order */
	uint8_t proto;           /* IPPROTO_TCP (a SYN) or IPPROTO_UDP */
	uint32_t seq;            /* TCP: the SYN's sequence number */
};

/* Write the frame to buf[0..FRAME_MAX); returns its length. */
size_t frame_build(uint8_t *buf, const struct frame_spec *spec);

/* Internet checksum (RFC 1071) of data[0..len) and what `sum` brings. */
uint16_t frame_checksum(const uint8_t *data, size_t len, uint32_t sum);

/* "02:00:00:00:00:01" to a MAC address: 0 or -1. */
int frame_mac(const char *text, uint8_t mac[6]);

/* "10.0.0.1" or "fd00::1" to an address: 0 or -1. */
int frame_addr(const char *text, struct ip_addr *addr);

/* A raw socket on device `dev`; on a fault says why and ends the program. */
int frame_socket(const char *dev);

#endif
