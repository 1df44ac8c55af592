/* SPDX-License-Identifier: BSD-3-Clause */
/* Parsing: frames in hex, what they are, and every cut of them. */
#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include "dataplane/packet.h"

#define ETH4  "020000000001 020000000009 0800 "
#define ETH6  "020000000001 020000000009 86dd "
#define A4    "c0000201 0a000050 " /* 192.0.2.1 -> 10.0.0.80 */
#define A6    "20010db8000000000000000000000001 fd000000000000000000000000000080 "
#define TCP20 "9c40 0050 00000001 00000002 5010 0200 0000 0000 "
#define UDP8  "9c40 0050 000c 1234 "

#define MAL NF_DROP(NF_DROP_MALFORMED)
#define OUR NF_DROP(NF_DROP_NOT_OURS)
#define NIP NF_DROP(NF_DROP_NOT_IP)

struct row {
	const char *what, *hex;
	nf_verdict verdict;
	uint8_t version, proto, frag, flags;
	uint16_t l4, l4_len;
	uint16_t sport, dport;
};

#define OK(version, proto, frag, l4, l4_len, sport, dport, flags) \
	NF_TX, version, proto, frag, flags, l4, l4_len, sport, dport
#define NO(v) v, 0, 0, 0, 0, 0, 0, 0, 0

static const struct row rows[] = {
	{ "tcp", ETH4 "4500 0028 0000 4000 40 06 0000 " A4 TCP20,
		OK(4, 6, 0, 34, 20, 40000, 80, 0x10) },
	{ "tcp with padding behind",
		ETH4 "4500 0028 0000 4000 40 06 0000 " A4 TCP20 "000000000000",
		OK(4, 6, 0, 34, 20, 40000, 80, 0x10) },
	{ "udp with payload",
		ETH4 "4500 0020 0000 0000 40 11 0000 " A4 UDP8 "01020304",
		OK(4, 17, 0, 34, 12, 40000, 80, 0) },
	{ "ip options",
		ETH4 "4600 0024 0000 0000 40 11 0000 " A4 "01010101 " UDP8
		     "01020304",
		OK(4, 17, 0, 38, 12, 40000, 80, 0) },
	{ "first fragment: udp length goes beyond",
		ETH4 "4500 001c 0000 2000 40 11 0000 " A4 "9c40 0050 0800 0000",
		OK(4, 17, 1, 34, 8, 40000, 80, 0) },
	{ "later fragment: no ports",
		ETH4 "4500 001c 0000 2010 40 11 0000 " A4 "9c40 0050 0800 0000",
		OK(4, 17, 2, 34, 8, 0, 0, 0) },
	{ "last fragment, short",
		ETH4 "4500 0015 0000 0010 40 06 0000 " A4 "9c",
		OK(4, 6, 2, 34, 1, 0, 0, 0) },
	{ "fragment over a tcp header (RFC 3128)",
		ETH4 "4500 0020 0000 0001 40 06 0000 " A4
		     "00000000 00000000 00000000",
		NO(MAL) },
	{ "first fragment that cuts tcp",
		ETH4 "4500 0024 0000 2000 40 06 0000 " A4
		     "9c400050 00000001 00000002 5010",
		NO(MAL) },
	{ "icmp", ETH4 "4500 001c 0000 0000 40 01 0000 " A4 "0800000000000000",
		OK(4, 1, 0, 34, 8, 0, 0, 0) },
	{ "unknown protocol", ETH4 "4500 0015 0000 0000 40 2f 0000 " A4 "00",
		OK(4, 47, 0, 34, 1, 0, 0, 0) },
	{ "unknown protocol, no payload",
		ETH4 "4500 0014 0000 0000 40 31 0000 " A4,
		OK(4, 49, 0, 34, 0, 0, 0, 0) },
	{ "arp", "ffffffffffff 020000000009 0806 0001080006040001", NO(NIP) },
	{ "vlan", "020000000001 020000000009 8100 0001 0800", NO(NIP) },
	{ "version 5", ETH4 "5500 0028 0000 4000 40 06 0000 " A4 TCP20,
		NO(MAL) },
	{ "version 4 as v6", ETH6 "4500 0028 0000 4000 40 06 0000 " A4 TCP20,
		NO(MAL) },
	{ "header of 16", ETH4 "4400 0028 0000 4000 40 06 0000 " A4 TCP20,
		NO(MAL) },
	{ "total below header", ETH4 "4500 0013 0000 4000 40 06 0000 " A4 TCP20,
		NO(MAL) },
	{ "total beyond frame", ETH4 "4500 0029 0000 4000 40 06 0000 " A4 TCP20,
		NO(MAL) },
	{ "tcp cut by total", ETH4 "4500 0027 0000 4000 40 06 0000 " A4 TCP20,
		NO(MAL) },
	{ "tcp header of 16",
		ETH4 "4500 0028 0000 4000 40 06 0000 " A4
		     "9c400050 00000001 00000002 4010 0200 00000000",
		NO(MAL) },
	{ "tcp header beyond the packet",
		ETH4 "4500 0028 0000 4000 40 06 0000 " A4
		     "9c400050 00000001 00000002 6010 0200 00000000",
		NO(MAL) },
	{ "udp length 7",
		ETH4 "4500 0020 0000 0000 40 11 0000 " A4
		     "9c400050 0007 1234 01020304",
		NO(MAL) },
	{ "udp length beyond",
		ETH4 "4500 0020 0000 0000 40 11 0000 " A4
		     "9c400050 000d 1234 01020304",
		NO(MAL) },
	{ "v6 tcp", ETH6 "60000000 0014 06 40 " A6 TCP20,
		OK(6, 6, 0, 54, 20, 40000, 80, 0x10) },
	{ "v6 udp", ETH6 "60000000 000c 11 40 " A6 UDP8 "01020304",
		OK(6, 17, 0, 54, 12, 40000, 80, 0) },
	{ "v6 hop-by-hop and destination options",
		ETH6 "60000000 0024 00 40 " A6 "3c00 0104 00000000 "
		     "1101 0104 00000000 0000000000000000 " UDP8 "01020304",
		OK(6, 17, 0, 78, 12, 40000, 80, 0) },
	{ "v6 first fragment",
		ETH6 "60000000 0010 2c 40 " A6 "1100 0001 12345678 "
		     "9c400050 0800 0000",
		OK(6, 17, 1, 62, 8, 40000, 80, 0) },
	{ "v6 later fragment",
		ETH6 "60000000 0010 2c 40 " A6 "1100 0008 12345678 "
		     "9c400050 0800 0000",
		OK(6, 17, 2, 62, 8, 0, 0, 0) },
	{ "v6 atomic fragment (RFC 6946)",
		ETH6 "60000000 0014 2c 40 " A6 "1100 0000 12345678 " UDP8
		     "01020304",
		OK(6, 17, 0, 62, 12, 40000, 80, 0) },
	{ "v6 source route with segments left",
		ETH6 "60000000 0014 2b 40 " A6 "1100 0001 00000000 " UDP8
		     "01020304",
		NO(OUR) },
	{ "v6 source route used up",
		ETH6 "60000000 0014 2b 40 " A6 "1100 0000 00000000 " UDP8
		     "01020304",
		OK(6, 17, 0, 62, 12, 40000, 80, 0) },
	{ "v6 option length beyond",
		ETH6 "60000000 000c 3c 40 " A6 "1109 0104 00000000 01020304",
		NO(MAL) },
	{ "v6 option length beyond, nothing behind",
		ETH6 "60000000 000c 3c 40 " A6 "3b09 0104 00000000 01020304",
		NO(MAL) },
	{ "v6 eight extension headers",
		ETH6 "60000000 0040 3c 40 " A6
		     "3c000104 00000000 3c000104 00000000 "
		     "3c000104 00000000 3c000104 00000000 "
		     "3c000104 00000000 3c000104 00000000 "
		     "3c000104 00000000 11000104 00000000",
		NO(MAL) },
	{ "v6 payload beyond frame", ETH6 "60000000 0015 06 40 " A6 TCP20,
		NO(MAL) },
	{ "v6 no next header", ETH6 "60000000 0000 3b 40 " A6,
		OK(6, 59, 0, 54, 0, 0, 0, 0) },
};

/* The bytes of a hex string in memory of just that size. */
static uint8_t *
bytes(const char *hex, size_t *len)
{
	uint8_t *out = malloc(strlen(hex) / 2 + 1);
	unsigned int v;

	for (*len = 0; *hex; hex++) {
		if (*hex == ' ')
			continue;
		ck_assert_int_eq(sscanf(hex++, "%2x", &v), 1);
		out[(*len)++] = (uint8_t)v;
	}
	return realloc(out, *len);
}

START_TEST(test_rows)
{
	const struct row *r = &rows[_i];
	struct packet p;
	size_t len;
	uint8_t *data = bytes(r->hex, &len);

	ck_assert_msg(packet_parse(&p, data, (uint32_t)len, (uint32_t)len) ==
			      r->verdict,
		"%s", r->what);
	if (r->verdict == NF_TX) {
		ck_assert_uint_eq(p.version, r->version);
		ck_assert_uint_eq(p.proto, r->proto);
		ck_assert_uint_eq(p.frag, r->frag);
		ck_assert_uint_eq(p.l4, r->l4);
		ck_assert_uint_eq(p.l4_len, r->l4_len);
		ck_assert_uint_eq(ntohs(p.sport), r->sport);
		ck_assert_uint_eq(ntohs(p.dport), r->dport);
		ck_assert_uint_eq(p.tcp_flags, r->flags);
		ck_assert_int_eq(packet_is_icmp_error(&p), 0);
	}
	free(data);
}
END_TEST

/* Cut anywhere, in memory that ends there: the sanitizer sees each step
 * beyond. A cut IP packet is malformed. */
START_TEST(test_cuts)
{
	const struct row *r = &rows[_i];
	struct packet p;
	size_t len;
	uint8_t *data = bytes(r->hex, &len);

	for (size_t cut = 0; cut < len; cut++) {
		uint8_t *piece = malloc(cut ? cut : 1);
		nf_verdict v;

		memcpy(piece, data, cut);
		v = packet_parse(&p, piece, (uint32_t)cut, (uint32_t)cut);
		if (r->verdict == NF_TX && cut < r->l4 + r->l4_len)
			ck_assert_uint_eq(v, MAL);
		free(piece);
	}
	free(data);
}
END_TEST

/* The payload may lie in a second segment, the headers may not. */
START_TEST(test_segments)
{
	struct packet p;
	size_t len;
	uint8_t *data =
		bytes(ETH4 "4500 0020 0000 0000 40 11 0000 " A4 UDP8, &len);

	ck_assert_uint_eq(packet_parse(&p, data, (uint32_t)len, 46), NF_TX);
	ck_assert_uint_eq(p.seg, len);
	ck_assert_uint_eq(p.l4_len, 12);
	ck_assert_uint_eq(packet_parse(&p, data, (uint32_t)len - 1, 46), MAL);
	free(data);
	data = bytes(ETH4 "4600 0018 0000 0000 40 2f 0000 " A4, &len);
	ck_assert_uint_eq(packet_parse(&p, data, (uint32_t)len, 38), MAL);
	free(data);
}
END_TEST

#define QUOTE4 "4500 0200 0000 4000 40 06 0000 0a000009 0a000115 "
#define QUOTE6                                                  \
	"60000000 0200 06 40 fd000000000000000000000000000009 " \
	"fd010000000000000000000000000021 "

struct inner_row {
	const char *what, *hex;
	int rc;
	uint16_t l4, have;
};

#define ICMP4(len) ETH4 "4500 " len " 0000 0000 40 01 0000 " A4
#define ICMP6(len) ETH6 "60000000 " len " 3a 40 " A6
#define PORTS      "04d2 1f90 00000001 "

static const struct inner_row inners[] = {
	{ "8 bytes", ICMP4("0038") "0303000000000000 " QUOTE4 PORTS, 0, 62, 8 },
	{ "20 bytes",
		ICMP4("0044") "0304000000000578 " QUOTE4 PORTS
			      "00000000 00000000 00000000",
		0, 62, 20 },
	{ "7 bytes", ICMP4("0037") "0303000000000000 " QUOTE4 "04d21f90000000",
		-1, 0, 0 },
	{ "header cut",
		ICMP4("0028") "0303000000000000 4500020000004000 "
			      "40060000",
		-1, 0, 0 },
	{ "quote of icmp",
		ICMP4("0038") "0303000000000000 "
			      "4500 0200 0000 4000 40 01 0000 0a0000090a000115 " PORTS,
		-1, 0, 0 },
	{ "quote of a later fragment",
		ICMP4("0038") "0303000000000000 "
			      "4500 0200 0000 0001 40 06 0000 0a0000090a000115 " PORTS,
		-1, 0, 0 },
	{ "quote of another family",
		ICMP4("0038") "0303000000000000 "
			      "6000 0200 0000 4000 40 06 0000 0a0000090a000115 " PORTS,
		-1, 0, 0 },
	{ "v6", ICMP6("0038") "0200000000000500 " QUOTE6 PORTS, 0, 102, 8 },
	{ "v6 behind an extension header",
		ICMP6("0040") "0200000000000500 "
			      "60000000 0200 3c 40 "
			      "fd000000000000000000000000000009 "
			      "fd010000000000000000000000000021 "
			      "0600010400000000 " PORTS,
		0, 110, 8 },
	{ "v6 cut", ICMP6("0037") "0200000000000500 " QUOTE6 "04d21f90000000",
		-1, 0, 0 },
};

START_TEST(test_inner)
{
	const struct inner_row *r = &inners[_i];
	struct packet_inner in;
	struct packet p;
	size_t len;
	uint8_t *data = bytes(r->hex, &len);

	ck_assert_msg(
		packet_parse(&p, data, (uint32_t)len, (uint32_t)len) == NF_TX,
		"%s", r->what);
	ck_assert(packet_is_icmp_error(&p));
	ck_assert_msg((packet_parse_inner(&p, &in) == 0) == (r->rc == 0), "%s",
		r->what);
	if (r->rc == 0) {
		ck_assert_uint_eq(in.l4, r->l4);
		ck_assert_uint_eq(in.l4_have, r->have);
		ck_assert_uint_eq(ntohs(in.sport), 1234);
		ck_assert_uint_eq(ntohs(in.dport), 8080);
	}
	free(data);
}
END_TEST

START_TEST(test_icmp_kinds)
{
	static const uint8_t errors4[] = { 3, 11, 12 },
			     errors6[] = { 1, 2, 3, 4 };

	for (int v6 = 0; v6 < 2; v6++) {
		struct packet p;
		size_t len;
		uint8_t *data = bytes(v6 ? ICMP6("0008") "0000000000000000"
					 : ICMP4("001c") "0000000000000000",
			&len);

		for (int type = 0; type < 256; type++) {
			int want = v6 ? memchr(errors6, type, 4) != NULL
				      : memchr(errors4, type, 3) != NULL;

			data[v6 ? 54 : 34] = (uint8_t)type;
			packet_parse(&p, data, (uint32_t)len, (uint32_t)len);
			ck_assert_int_eq(packet_is_icmp_error(&p), want);
		}
		free(data);
	}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("packet");
	TCase *tc = tcase_create("packet");
	SRunner *sr;
	int failed;

	tcase_add_loop_test(tc, test_rows, 0, RTE_DIM(rows));
	tcase_add_loop_test(tc, test_cuts, 0, RTE_DIM(rows));
	tcase_add_test(tc, test_segments);
	tcase_add_loop_test(tc, test_inner, 0, RTE_DIM(inners));
	tcase_add_test(tc, test_icmp_kinds);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
