/* SPDX-License-Identifier: BSD-3-Clause */
/* TCP states: segments in, states out; no EAL. */
#include <check.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "nf/lb/state.h"

#define S PACKET_SYN
#define A PACKET_ACK
#define F PACKET_FIN
#define R PACKET_RST

#define C FLOW_CLIENT
#define B FLOW_BACKEND

/* The client's numbers begin at 1000, the backend's at 5000. */
struct step {
	enum flow_dir dir;
	uint8_t flags;
	uint32_t seq, ack, payload;
	enum flow_state after;
};

struct play {
	const char *what;
	struct step step[12];
};

#define OPENED                                              \
	{ C, S, 1000, 0, 0, FLOW_SYN },                     \
		{ B, S | A, 5000, 1001, 0, FLOW_SYN_RCVD }, \
	{                                                   \
		C, A, 1001, 5001, 0, FLOW_ESTABLISHED       \
	}

static const struct play plays[] = {
	{ "open and close, client first",
		{ OPENED, { C, A, 1001, 5001, 100, FLOW_ESTABLISHED },
			{ B, A, 5001, 1101, 500, FLOW_ESTABLISHED },
			{ C, F | A, 1101, 5501, 0, FLOW_FIN },
			{ B, A, 5501, 1102, 0, FLOW_FIN },
			{ B, F | A, 5501, 1102, 0, FLOW_FIN },
			{ C, A, 1102, 5502, 0, FLOW_CLOSED } } },
	{ "close, backend first, FIN with data",
		{ OPENED, { B, F | A, 5001, 1001, 50, FLOW_FIN },
			{ C, A, 1001, 5051, 0, FLOW_FIN },
			{ C, F | A, 1001, 5052, 0, FLOW_FIN },
			{ B, A, 5052, 1002, 0, FLOW_CLOSED } } },
	{ "both at once", { OPENED, { C, F | A, 1001, 5001, 0, FLOW_FIN },
				  { B, F | A, 5001, 1001, 0, FLOW_FIN },
				  { B, A, 5002, 1002, 0, FLOW_FIN },
				  { C, A, 1002, 5002, 0, FLOW_CLOSED } } },
	{ "an ACK that does not reach the FIN",
		{ OPENED, { C, F | A, 1001, 5001, 10, FLOW_FIN },
			{ B, F | A, 5001, 1012, 0, FLOW_FIN },
			{ C, A, 1012, 5001, 0, FLOW_FIN },
			{ C, A, 1012, 5002, 0, FLOW_CLOSED } } },
	{ "numbers that wrap",
		{ { C, S, 0xfffffff0u, 0, 0, FLOW_SYN },
			{ B, S | A, 0xffffffffu, 0xfffffff1u, 0,
				FLOW_SYN_RCVD },
			{ C, A, 0xfffffff1u, 0, 0, FLOW_ESTABLISHED },
			{ C, F | A, 0xfffffff1u, 0, 14, FLOW_FIN },
			{ B, F | A, 0, 0, 0, FLOW_FIN },
			{ C, A, 0, 1, 0, FLOW_CLOSED } } },
	{ "guessed ACKs promote nothing",
		{ { C, S, 1000, 0, 0, FLOW_SYN },
			{ C, A, 1001, 5001, 0, FLOW_SYN },
			{ B, S | A, 5000, 1001, 0, FLOW_SYN_RCVD },
			{ C, A, 1001, 5000, 0, FLOW_SYN_RCVD },
			{ C, A, 1001, 5002, 0, FLOW_SYN_RCVD },
			{ C, A, 1001, 0, 0, FLOW_SYN_RCVD },
			{ C, S | A, 1001, 5001, 0, FLOW_SYN_RCVD },
			{ C, 0, 1001, 5001, 0, FLOW_SYN_RCVD },
			{ C, A, 1001, 5001, 0, FLOW_ESTABLISHED } } },
	{ "a second SYN+ACK with another number (SYN cookies)",
		{ { C, S, 1000, 0, 0, FLOW_SYN },
			{ B, S | A, 5000, 1001, 0, FLOW_SYN_RCVD },
			{ B, S | A, 9000, 1001, 0, FLOW_SYN_RCVD },
			{ C, A, 1001, 5001, 0, FLOW_SYN_RCVD },
			{ C, A, 1001, 9001, 0, FLOW_ESTABLISHED } } },
	{ "Fast Open: data before the ACK (RFC 7413)",
		{ { C, S, 1000, 0, 50, FLOW_SYN },
			{ B, S | A, 5000, 1051, 0, FLOW_SYN_RCVD },
			{ B, A, 5001, 1051, 1000, FLOW_SYN_RCVD },
			{ C, A, 1051, 6001, 0, FLOW_ESTABLISHED } } },
	{ "ACK and FIN in one",
		{ { C, S, 1000, 0, 0, FLOW_SYN },
			{ B, S | A, 5000, 1001, 0, FLOW_SYN_RCVD },
			{ C, F | A, 1001, 5001, 0, FLOW_FIN } } },
	{ "refused", { { C, S, 1000, 0, 0, FLOW_SYN },
			     { B, R | A, 0, 1001, 0, FLOW_CLOSED },
			     { B, A, 1, 1001, 0, FLOW_CLOSED },
			     { C, A, 1001, 1, 0, FLOW_CLOSED } } },
	{ "a blind reset, the client goes on",
		{ OPENED, { C, R, 1001, 0, 0, FLOW_CLOSED },
			{ B, A, 5001, 1001, 10, FLOW_CLOSED },
			{ C, A, 1001, 5011, 10, FLOW_ESTABLISHED },
			{ B, A, 5011, 1011, 10, FLOW_ESTABLISHED } } },
	{ "a real reset, the backend's data still in flight",
		{ OPENED, { C, R | A, 1001, 5001, 0, FLOW_CLOSED },
			{ B, A, 5001, 1001, 10, FLOW_CLOSED },
			{ C, R, 1001, 0, 0, FLOW_CLOSED } } },
	{ "a blind reset while half closed",
		{ OPENED, { C, F | A, 1001, 5001, 0, FLOW_FIN },
			{ B, R, 5001, 0, 0, FLOW_CLOSED },
			{ B, A, 5001, 1002, 100, FLOW_FIN },
			{ B, F | A, 5101, 1002, 0, FLOW_FIN },
			{ C, A, 1002, 5102, 0, FLOW_CLOSED } } },
	{ "closed for good is closed",
		{ OPENED, { C, F | A, 1001, 5001, 0, FLOW_FIN },
			{ B, F | A, 5001, 1002, 0, FLOW_FIN },
			{ C, A, 1002, 5002, 0, FLOW_CLOSED },
			{ B, A, 5002, 1002, 0, FLOW_CLOSED },
			{ C, A, 1002, 5002, 0, FLOW_CLOSED } } },
	{ "a new one after a reset, by the backend's word only",
		{ OPENED, { C, R, 1001, 0, 0, FLOW_CLOSED },
			{ C, S, 7000, 0, 0, FLOW_CLOSED },
			{ C, S | A, 7000, 0, 0, FLOW_CLOSED },
			{ B, S | A, 8000, 7001, 0, FLOW_SYN_RCVD },
			{ C, A, 7001, 5001, 0, FLOW_SYN_RCVD },
			{ C, A, 7001, 8001, 0, FLOW_ESTABLISHED } } },
	{ "a SYN on an established one",
		{ OPENED, { C, S, 99, 0, 0, FLOW_ESTABLISHED },
			{ B, A, 5001, 1001, 0, FLOW_ESTABLISHED } } },
};

static void
segment(uint8_t *tcp, const struct step *s, struct packet *p)
{
	memset(tcp, 0, 20);
	packet_put32(tcp + 4, rte_cpu_to_be_32(s->seq));
	packet_put32(tcp + 8, rte_cpu_to_be_32(s->ack));
	tcp[12] = 5 << 4;
	tcp[13] = s->flags;
	*p = (struct packet){ .data = tcp,
		.l4_len = (uint16_t)(20 + s->payload),
		.version = 4,
		.proto = IPPROTO_TCP,
		.tcp_flags = s->flags };
}

START_TEST(test_play)
{
	const struct play *play = &plays[_i];
	struct flow f = { .state = FLOW_SYN };
	uint8_t tcp[20];
	struct packet p;

	for (int i = 0; i < 12 && play->step[i].after != FLOW_FREE; i++) {
		segment(tcp, &play->step[i], &p);
		f.state = (uint8_t)state_tcp(&f, play->step[i].dir, &p);
		ck_assert_msg(f.state == play->step[i].after,
			"%s: step %d leads to %u", play->what, i, f.state);
	}
}
END_TEST

START_TEST(test_opens)
{
	for (unsigned int flags = 0; flags < 256; flags++) {
		struct packet p = { .tcp_flags = (uint8_t)flags };

		ck_assert_int_eq(
			state_opens(&p), (flags & (S | A | R | F)) == S);
	}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("lb_state");
	TCase *tc = tcase_create("states");
	SRunner *sr;
	int failed;

	tcase_add_loop_test(tc, test_play, 0, RTE_DIM(plays));
	tcase_add_test(tc, test_opens);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
