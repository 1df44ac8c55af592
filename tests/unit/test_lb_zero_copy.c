/* SPDX-License-Identifier: BSD-3-Clause */
/* Zero copy in nf/lb: of a payload no byte is read or written, either way. */
#include "tests/unit/lb_lab.h"
#include "tests/unit/payload_guard.h"

/* Through the balancer with guarded payload; the port it leaves by. */
static uint16_t
through(struct spec s, uint16_t headers)
{
	struct rte_mbuf *m = lab_packet(s);
	struct packet p;
	uint16_t port;

	guard_packet(m, headers);
	ck_assert_uint_eq(lab_send(m), NF_TX);
	ck_assert_int_eq(guard_lift(), 0);
	ck_assert_uint_eq(packet_parse(&p, rte_pktmbuf_mtod(m, uint8_t *),
				  m->data_len, m->pkt_len),
		NF_TX);
	port = ntohs(p.sport);
	guard_prove(m, headers);
	rte_pktmbuf_free(m);
	return port;
}

/* There and back, `headers` bytes of each frame being headers. */
static void
both_ways(uint8_t proto, const char *client, const char *vip, const char *snat,
	const char *backend, uint16_t headers)
{
	struct spec c = SPEC(client, vip, 40000, 80, proto, .ttl = 64,
		.payload = 1300, .fill = 7, .seq = 1000, .flags = PACKET_SYN);
	struct spec b = SPEC(backend, snat, 8080, 0, proto, .ttl = 64,
		.payload = 1300, .fill = 9, .seq = 5000, .ack = 1001,
		.flags = PACKET_SYN | PACKET_ACK);

	b.dport = through(c, headers);
	ck_assert_uint_eq(through(b, headers), 80);
	c.flags = PACKET_ACK;
	c.ack = 5001;
	ck_assert_uint_eq(through(c, headers), b.dport);
}

static const struct {
	uint8_t proto;
	uint16_t l4;
} protocols[] = { { IPPROTO_TCP, 20 }, { IPPROTO_UDP, 8 } };

START_TEST(payload_is_not_touched)
{
	lab_simple(protocols[_i].proto);
	guard_begin();
	both_ways(protocols[_i].proto, "192.0.2.7", "10.0.0.80", "10.0.0.9",
		"10.0.1.21", 14 + 20 + protocols[_i].l4);
	both_ways(protocols[_i].proto, "2001:db8::7", "fd00::80", "fd00::9",
		"fd01::21", 14 + 40 + protocols[_i].l4);
	guard_end();
	lab_stop();
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("lb_zero_copy");
	TCase *tc = tcase_create("payload");

	tcase_add_loop_test(tc, payload_is_not_touched, 0, RTE_DIM(protocols));
	suite_add_tcase(suite, tc);
	return lab_run(suite);
}
