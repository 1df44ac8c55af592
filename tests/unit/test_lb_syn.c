/* SPDX-License-Identifier: BSD-3-Clause */
/* A backend that still holds the SNAT port: reset it, and ask again. */
#include <rte_tcp.h>

#include "tests/unit/lb_lab.h"

static struct rte_mbuf *out[8];
static unsigned int n_out;

static void
collect(void *ctx, struct rte_mbuf *m)
{
	(void)ctx;
	ck_assert_uint_lt(n_out, 8);
	out[n_out++] = m;
}

static void
out_free(void)
{
	rte_pktmbuf_free_bulk(out, n_out);
	n_out = 0;
}

struct family {
	const char *client, *vip, *snat, *backend;
};

static const struct family families[] = {
	{ "198.51.100.7", "10.0.0.80", "10.0.0.9", "10.0.1.21" },
	{ "2001:db8::7", "fd00::80", "fd00::9", "fd01::21" },
};

/* The lab's backends have next hops by their place; this is the MAC. */
static struct spec
syn_out(const struct family *f, uint16_t port, uint64_t mac)
{
	return (struct spec)SPEC(f->snat, f->backend, port, 8080, IPPROTO_TCP,
		.flags = PACKET_SYN, .seq = 1000, .ttl = 63, .smac = OWN_MAC_B,
		.dmac = mac);
}

static uint64_t
mac_at(const struct rte_mbuf *m, size_t at)
{
	const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *) + at;
	uint64_t mac = 0;

	for (int i = 0; i < 6; i++)
		mac = mac << 8 | p[i];
	return mac;
}

static uint16_t
port_at(const struct rte_mbuf *m)
{
	const uint8_t *d = rte_pktmbuf_mtod(m, const uint8_t *);
	const uint8_t *l4 = d + (d[PACKET_L3] >> 4 == 4 ? 34 : 54);

	return (uint16_t)(l4[0] << 8 | l4[1]);
}

static nf_verdict
syn_in(const struct family *f, uint16_t *port, uint64_t *mac)
{
	struct rte_mbuf *m = lab_packet((struct spec)SPEC(f->client, f->vip,
		40000, 80, IPPROTO_TCP, .flags = PACKET_SYN, .seq = 1000,
		.ttl = 64, .smac = CLIENT_MAC, .dmac = OWN_MAC));
	nf_verdict v = lab_send(m);

	*port = port_at(m);
	*mac = mac_at(m, 0);
	rte_pktmbuf_free(m);
	return v;
}

static nf_verdict
from_backend(const struct family *f, uint16_t port, uint8_t flags)
{
	struct rte_mbuf *m =
		lab_packet((struct spec)SPEC(f->backend, f->snat, 8080, port,
			IPPROTO_TCP, .flags = flags, .seq = 777, .ack = 424242,
			.ttl = 64, .smac = BACKEND_MAC, .dmac = OWN_MAC_B));
	nf_verdict v = lab_send(m);

	rte_pktmbuf_free(m);
	return v;
}

static unsigned int
port_reused(void)
{
	for (unsigned int i = 0; nf_lb.drops[i] != NULL; i++)
		if (strcmp(nf_lb.drops[i], "port_reused") == 0)
			return NF_DROP_OWN + i;
	ck_abort_msg("no such drop");
	return 0;
}

START_TEST(the_old_is_reset_and_the_syn_sent_again)
{
	const struct family *f = &families[_i];
	uint16_t port;
	uint64_t mac;

	lab_simple(IPPROTO_TCP);
	lab.env.emit = collect;
	ck_assert_uint_eq(syn_in(f, &port, &mac), NF_TX);
	ck_assert_uint_eq(
		from_backend(f, port, PACKET_ACK), NF_DROP(port_reused()));
	ck_assert_uint_eq(n_out, 2);
	ck_assert_uint_eq(rte_pktmbuf_mtod_offset(out[0], struct rte_tcp_hdr *,
				  _i == 0 ? 34 : 54)
				  ->sent_seq,
		htonl(424242));
	ck_assert_uint_eq(mac_at(out[0], 0), mac);
	ck_assert_uint_eq(port_at(out[0]), port);
	ck_assert(lab_is(out[1], syn_out(f, port, mac)));
	out_free();
	/* Once: the next such answer is for the client to judge. */
	ck_assert_uint_eq(from_backend(f, port, PACKET_ACK), NF_TX);
	ck_assert_uint_eq(n_out, 0);
	/* And the connection goes on on the same port. */
	ck_assert_uint_eq(
		from_backend(f, port, PACKET_SYN | PACKET_ACK), NF_TX);
	lab_stop();
}
END_TEST

/* The reset's checksums, computed in full by the lab's own code. */
START_TEST(the_reset_is_well_formed)
{
	const struct family *f = &families[_i];
	uint8_t *ip, *l4;
	uint16_t port;
	uint64_t mac;

	lab_simple(IPPROTO_TCP);
	lab.env.emit = collect;
	syn_in(f, &port, &mac);
	from_backend(f, port, PACKET_ACK);
	ck_assert_uint_eq(n_out, 2);
	ip = rte_pktmbuf_mtod_offset(out[0], uint8_t *, PACKET_L3);
	l4 = ip + (_i == 0 ? 20 : 40);
	ck_assert_uint_eq(rte_pktmbuf_pkt_len(out[0]),
		(size_t)PACKET_L3 + (_i == 0 ? 40 : 60));
	ck_assert_uint_eq(l4[13], RTE_TCP_RST_FLAG);
	ck_assert_uint_eq(l4[12], 5 << 4);
	ck_assert_uint_eq(ref_l4(ip, l4, 20, IPPROTO_TCP), 0);
	if (_i == 0)
		ck_assert_uint_eq(ref_sum(0, ip, 20), 0xffff);
	out_free();
	lab_stop();
}
END_TEST

/* What is not such an answer goes on as ever. */
START_TEST(other_answers_are_forwarded)
{
	static const uint8_t flags[] = { PACKET_SYN | PACKET_ACK, PACKET_RST,
		PACKET_RST | PACKET_ACK, PACKET_FIN | PACKET_ACK };
	uint16_t port;
	uint64_t mac;

	lab_simple(IPPROTO_TCP);
	lab.env.emit = collect;
	syn_in(&families[0], &port, &mac);
	ck_assert_uint_eq(from_backend(&families[0], port, flags[_i]), NF_TX);
	ck_assert_uint_eq(n_out, 0);
	lab_stop();
}
END_TEST

/* An ACK on a connection that is open is data's business. */
START_TEST(an_open_connection_is_left_alone)
{
	const struct family *f = &families[0];
	uint16_t port;

	lab_simple(IPPROTO_TCP);
	lab.env.emit = collect;
	port = lab_connect(f->client, 40000, f->backend);
	ck_assert_uint_eq(from_backend(f, port, PACKET_ACK), NF_TX);
	ck_assert_uint_eq(n_out, 0);
	lab_stop();
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("lb_syn");
	TCase *tc = tcase_create("lb_syn");

	tcase_add_loop_test(tc, the_old_is_reset_and_the_syn_sent_again, 0, 2);
	tcase_add_loop_test(tc, the_reset_is_well_formed, 0, 2);
	tcase_add_loop_test(tc, other_answers_are_forwarded, 0, 4);
	tcase_add_test(tc, an_open_connection_is_left_alone);
	suite_add_tcase(suite, tc);
	return lab_run(suite);
}
