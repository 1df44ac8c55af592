/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Closing, as packet tables: FIN_WAIT_1 and 2, CLOSE_WAIT, CLOSING, LAST_ACK,
 * TIME_WAIT (RFC 9293 sections 3.6 and 3.10.7.4, 1122, 1337, 6191).
 */
#include <errno.h>

#include "tests/unit/tcp_table.h"

#define FIN_WAIT_1_                                                  \
	ACCEPTED, CALL(DO_SHUTDOWN), OUT(F | A, .seq = 1, .ack = 1), \
		STATE(TCP_FIN_WAIT_1)
#define FIN_WAIT_2_ \
	FIN_WAIT_1_, IN(A, .seq = 1, .ack = 2), STATE(TCP_FIN_WAIT_2)
#define CLOSE_WAIT_                                                  \
	ACCEPTED, IN(F | A, .seq = 1, .ack = 1), EVENT(EV_FINISHED), \
		OUT(A, .seq = 1, .ack = 2), STATE(TCP_CLOSE_WAIT)
#define CLOSING_                                                        \
	FIN_WAIT_1_, IN(F | A, .seq = 1, .ack = 1), EVENT(EV_FINISHED), \
		OUT(A, .seq = 2, .ack = 2), STATE(TCP_CLOSING)
#define LAST_ACK_                                                       \
	CLOSE_WAIT_, CALL(DO_SHUTDOWN), OUT(F | A, .seq = 1, .ack = 2), \
		STATE(TCP_LAST_ACK)
#define WAITS_AFTER(syn)                                           \
	syn, CALL(DO_SHUTDOWN), OUT(F | A, .seq = 1, .ack = 1),    \
		IN(F | A, .seq = 1, .ack = 2), EVENT(EV_FINISHED), \
		EVENT(EV_CLOSED), OUT(A, .seq = 2, .ack = 2),      \
		STATE(TCP_TIME_WAIT)
#define TIME_WAIT_ WAITS_AFTER(ACCEPTED)

/* --- FIN_WAIT_1 ---------------------------------------------------------- */

static const struct row we_close_first[] = {
	FIN_WAIT_1_,
	IN(A, .seq = 1, .ack = 2),
	STATE(TCP_FIN_WAIT_2),
	IN(F | A, .seq = 1, .ack = 2),
	EVENT(EV_FINISHED),
	EVENT(EV_CLOSED),
	OUT(A, .seq = 2, .ack = 2),
	STATE(TCP_TIME_WAIT),
	WAIT(60001),
	STATE(TCP_CLOSED),
	SILENCE,
};

static const struct row fin_and_ack_in_one[] = {
	FIN_WAIT_1_,
	IN(F | A, .seq = 1, .ack = 2, .len = 10),
	EVENT(EV_RECEIVED, .len = 10),
	EVENT(EV_FINISHED),
	EVENT(EV_CLOSED),
	OUT(A, .seq = 2, .ack = 12),
	STATE(TCP_TIME_WAIT),
};

static const struct row both_close[] = {
	CLOSING_,
	IN(A, .seq = 2, .ack = 2),
	EVENT(EV_CLOSED),
	SILENCE,
	STATE(TCP_TIME_WAIT),
};

static const struct row half_closed[] = {
	FIN_WAIT_1_,
	IN(A, .seq = 1, .ack = 1, .len = 10),
	EVENT(EV_RECEIVED, .len = 10),
	IN(A, .seq = 11, .ack = 2, .len = 10),
	EVENT(EV_RECEIVED, .len = 10),
	WITHIN(40, 41),
	OUT(A, .seq = 2, .ack = 21),
	STATE(TCP_FIN_WAIT_2),
	CALL(DO_SEND, .len = 10, .error = -EPIPE),
	/* For as long as it likes, for the user wants to hear it. */
	WAIT(600000),
	IN(A, .seq = 21, .ack = 2, .len = 10),
	EVENT(EV_RECEIVED, .len = 10),
};

static const struct row fin_again[] = {
	FIN_WAIT_1_,
	WITHIN(200, 201),
	OUT(F | A, .seq = 1, .ack = 1),
	WITHIN(400, 401),
	OUT(F | A, .seq = 1, .ack = 1),
	IN(A, .seq = 1, .ack = 2),
	STATE(TCP_FIN_WAIT_2),
	WAIT(10000),
	SILENCE,
};

static const struct row fin_behind_data[] = {
	ACCEPTED,
	CALL(DO_SEND, .len = 2000, .more = true),
	CALL(DO_SHUTDOWN),
	OUT(A, .seq = 1, .ack = 1, .len = 1460),
	OUT(F | A, .seq = 1461, .ack = 1, .len = 540),
	STATE(TCP_FIN_WAIT_1),
	IN(A, .seq = 1, .ack = 2001),
	STATE(TCP_FIN_WAIT_1),
	WITHIN(200, 201),
	OUT(F | A, .seq = 2001, .ack = 1),
	IN(A, .seq = 1, .ack = 2002),
	STATE(TCP_FIN_WAIT_2),
};

static const struct row fin_wait_1_reset[] = {
	FIN_WAIT_1_,
	IN(R, .seq = 2),
	OUT(A, .seq = 2, .ack = 1),
	IN(R, .seq = 1),
	EVENT(EV_CLOSED, .error = -ECONNRESET),
	STATE(TCP_CLOSED),
};

static const struct row fin_wait_1_syn[] = {
	FIN_WAIT_1_,
	IN(S, .seq = 1),
	OUT(A, .seq = 2, .ack = 1),
	STATE(TCP_FIN_WAIT_1),
};

static const struct row fin_wait_1_bad_ack[] = {
	FIN_WAIT_1_,
	IN(A, .seq = 1, .ack = 3),
	OUT(A, .seq = 2, .ack = 1),
	STATE(TCP_FIN_WAIT_1),
};

/* --- FIN_WAIT_2 ---------------------------------------------------------- */

static const struct row fin_wait_2_reset[] = {
	FIN_WAIT_2_,
	IN(R, .seq = 100000),
	SILENCE,
	IN(R, .seq = 1),
	EVENT(EV_CLOSED, .error = -ECONNRESET),
};

static const struct row fin_wait_2_syn[] = {
	FIN_WAIT_2_,
	IN(S, .seq = 0),
	OUT(A, .seq = 2, .ack = 1),
	STATE(TCP_FIN_WAIT_2),
};

static const struct row fin_wait_2_gap[] = {
	FIN_WAIT_2_,
	IN(F | A, .seq = 11, .ack = 2),
	OUT(A, .seq = 2, .ack = 1),
	STATE(TCP_FIN_WAIT_2),
	IN(A, .seq = 1, .ack = 2, .len = 10),
	EVENT(EV_RECEIVED, .len = 10),
	EVENT(EV_FINISHED),
	EVENT(EV_CLOSED),
	OUT(A, .seq = 2, .ack = 12),
	STATE(TCP_TIME_WAIT),
};

/* --- CLOSING ------------------------------------------------------------- */

static const struct row closing_fin_again[] = {
	CLOSING_,
	IN(F | A, .seq = 1, .ack = 1),
	OUT(A, .seq = 2, .ack = 2),
	STATE(TCP_CLOSING),
	/* Ours may be lost, too. */
	WITHIN(150, 201),
	OUT(F | A, .seq = 1, .ack = 2),
};

static const struct row closing_reset[] = {
	CLOSING_,
	IN(R, .seq = 2),
	EVENT(EV_CLOSED, .error = -ECONNRESET),
	STATE(TCP_CLOSED),
};

static const struct row closing_syn[] = {
	CLOSING_,
	IN(S, .seq = 2),
	OUT(A, .seq = 2, .ack = 2),
	STATE(TCP_CLOSING),
};

/* --- CLOSE_WAIT ---------------------------------------------------------- */

static const struct row they_close_first[] = {
	CLOSE_WAIT_,
	CALL(DO_SEND, .len = 100),
	OUT(A, .seq = 1, .ack = 2, .len = 100),
	IN(A, .seq = 2, .ack = 101),
	STATE(TCP_CLOSE_WAIT),
	CALL(DO_SHUTDOWN),
	OUT(F | A, .seq = 101, .ack = 2),
	STATE(TCP_LAST_ACK),
	IN(A, .seq = 2, .ack = 102),
	EVENT(EV_CLOSED),
	STATE(TCP_CLOSED),
};

static const struct row data_behind_fin[] = {
	CLOSE_WAIT_,
	IN(A, .seq = 2, .ack = 1, .len = 10),
	SILENCE,
	IN(F | A, .seq = 2, .ack = 1, .len = 10),
	SILENCE,
	STATE(TCP_CLOSE_WAIT),
};

static const struct row close_wait_fin_again[] = {
	CLOSE_WAIT_,
	IN(F | A, .seq = 1, .ack = 1),
	OUT(A, .seq = 1, .ack = 2),
	IN(F | A, .seq = 1, .ack = 1),
	OUT(A, .seq = 1, .ack = 2),
	STATE(TCP_CLOSE_WAIT),
};

static const struct row close_wait_reset[] = {
	CLOSE_WAIT_,
	IN(R, .seq = 1),
	SILENCE,
	IN(R, .seq = 2),
	EVENT(EV_CLOSED, .error = -ECONNRESET),
};

static const struct row close_wait_syn[] = {
	CLOSE_WAIT_,
	IN(S, .seq = 2),
	OUT(A, .seq = 1, .ack = 2),
	STATE(TCP_CLOSE_WAIT),
};

/* --- LAST_ACK ------------------------------------------------------------ */

static const struct row last_ack_fin_again[] = {
	LAST_ACK_,
	IN(F | A, .seq = 1, .ack = 1),
	OUT(A, .seq = 2, .ack = 2),
	STATE(TCP_LAST_ACK),
	IN(A, .seq = 2, .ack = 1),
	SILENCE,
	STATE(TCP_LAST_ACK),
	IN(A, .seq = 2, .ack = 2),
	EVENT(EV_CLOSED),
	STATE(TCP_CLOSED),
};

static const struct row last_ack_reset[] = {
	LAST_ACK_,
	IN(R, .seq = 2),
	EVENT(EV_CLOSED, .error = -ECONNRESET),
	STATE(TCP_CLOSED),
};

static const struct row last_ack_syn[] = {
	LAST_ACK_,
	IN(S, .seq = 2),
	OUT(A, .seq = 2, .ack = 2),
	STATE(TCP_LAST_ACK),
};

static const struct row last_ack_never[] = {
	LAST_ACK_,
	WITHIN(200, 201),
	OUT(F | A, .seq = 1, .ack = 2),
	WITHIN(400, 401),
	OUT(F | A, .seq = 1, .ack = 2),
	WITHIN(800, 801),
	EVENT(EV_CLOSED, .error = -ETIMEDOUT),
	STATE(TCP_CLOSED),
	STAT(dead, 1),
};

/* --- TIME_WAIT ----------------------------------------------------------- */

static const struct row time_wait_answers[] = {
	TIME_WAIT_,
	/* Its FIN again: our ACK was lost, and the time begins anew. */
	WAIT(59000),
	IN(F | A, .seq = 1, .ack = 2),
	OUT(A, .seq = 2, .ack = 2),
	WAIT(59000),
	STATE(TCP_TIME_WAIT),
	IN(A, .seq = 1, .ack = 2, .len = 1),
	OUT(A, .seq = 2, .ack = 2),
	/* All is said. */
	IN(A, .seq = 2, .ack = 2),
	SILENCE,
	/* RFC 1337: a reset does not end it. */
	IN(R, .seq = 2),
	IN(R | A, .seq = 2, .ack = 2),
	SILENCE,
	STATE(TCP_TIME_WAIT),
	WAIT(1001),
	STATE(TCP_CLOSED),
	IN(A, .seq = 2, .ack = 2),
	OUT(R, .seq = 2),
};

static const struct row time_wait_syn[] = {
	TIME_WAIT_,
	/* An old one. */
	IN(S, .seq = 0),
	OUT(A, .seq = 2, .ack = 2),
	STATE(TCP_TIME_WAIT),
	IN(S, .seq = 1),
	OUT(A, .seq = 2, .ack = 2),
	STATE(TCP_TIME_WAIT),
	/* A new one: RFC 1122 section 4.2.2.13. */
	IN(S, .seq = 1000),
	OUT(S | A, .seq = 0, .ack = 1001, .fresh = true),
	STATE(TCP_SYN_RCVD),
	STAT(time_wait_reused, 1),
	IN(A, .seq = 1001, .ack = 1),
	EVENT(EV_ACCEPTED),
	STATE(TCP_ESTABLISHED),
};

static const struct row time_wait_syn_ack[] = {
	TIME_WAIT_,
	IN(S | A, .seq = 1000, .ack = 2),
	OUT(A, .seq = 2, .ack = 2),
	STATE(TCP_TIME_WAIT),
};

/* RFC 6191: a newer timestamp says it, whatever the number. */
static const struct row time_wait_syn_ts[] = {
	WAITS_AFTER(ACCEPTED_TS),
	WAIT(10),
	IN(S, .seq = 0x90000000, .mss = 1460, .ts_age = 20),
	OUT(A, .seq = 2, .ack = 2),
	STATE(TCP_TIME_WAIT),
	IN(S, .seq = 0x90000000, .mss = 1460),
	OUT(S | A, .seq = 0, .ack = 0x90000001, .fresh = true),
	STATE(TCP_SYN_RCVD),
};

/* Our own: not before the other side can tell by the timestamp. */
static const struct row time_wait_connect[] = {
	CALL(DO_CONNECT),
	OUT(S, .seq = 0),
	IN(S | A, .seq = 0, .ack = 1, .mss = 1460, .ts = true),
	EVENT(EV_CONNECTED),
	OUT(A, .seq = 1, .ack = 1),
	CALL(DO_SHUTDOWN),
	OUT(F | A, .seq = 1, .ack = 1),
	IN(F | A, .seq = 1, .ack = 2),
	EVENT(EV_FINISHED),
	EVENT(EV_CLOSED),
	OUT(A, .seq = 2, .ack = 2),
	STATE(TCP_TIME_WAIT),
	CALL(DO_CONNECT, .error = -EADDRINUSE),
	WAIT(1001),
	CALL(DO_CONNECT),
	OUT(S, .seq = 0, .fresh = true),
	STATE(TCP_SYN_SENT),
	STAT(time_wait_reused, 1),
};

static const struct row time_wait_connect_no_ts[] = {
	WAITS_AFTER(CONNECTED),
	WAIT(50000),
	CALL(DO_CONNECT, .error = -EADDRINUSE),
	WAIT(10001),
	CALL(DO_CONNECT),
	OUT(S, .seq = 0, .fresh = true),
};

/* --- tcp_close() --------------------------------------------------------- */

static const struct row closed_for_good[] = {
	ACCEPTED,
	CALL(DO_CLOSE),
	OUT(F | A, .seq = 1, .ack = 1),
	IN(A, .seq = 1, .ack = 2),
	SILENCE,
	IN(F | A, .seq = 1, .ack = 2),
	OUT(A, .seq = 2, .ack = 2),
	STATE(TCP_TIME_WAIT),
};

/* RFC 1122 section 4.2.2.13: the peer must hear that it speaks to nobody. */
static const struct row closed_and_data[] = {
	ACCEPTED,
	CALL(DO_CLOSE),
	OUT(F | A, .seq = 1, .ack = 1),
	IN(A, .seq = 1, .ack = 2, .len = 10),
	OUT(R | A, .seq = 2, .ack = 1),
	STATE(TCP_CLOSED),
};

static const struct row closed_and_data_behind_a_gap[] = {
	ACCEPTED,
	CALL(DO_CLOSE),
	OUT(F | A, .seq = 1, .ack = 1),
	IN(A, .seq = 101, .ack = 2, .len = 10),
	OUT(R | A, .seq = 2, .ack = 1),
	STATE(TCP_CLOSED),
};

static const struct row closed_with_queue[] = {
	LISTENS,
	IN(S, .seq = 0, .mss = 1460, .wnd = 1000),
	OUT(S | A, .seq = 0, .ack = 1),
	IN(A, .seq = 1, .ack = 1, .wnd = 1000),
	EVENT(EV_ACCEPTED),
	CALL(DO_SEND, .len = 1500),
	OUT(A, .seq = 1, .ack = 1, .len = 1000),
	CALL(DO_CLOSE),
	SILENCE,
	IN(A, .seq = 1, .ack = 1001, .wnd = 1000),
	OUT(F | A, .seq = 1001, .ack = 1, .len = 500),
	IN(F | A, .seq = 1, .ack = 1502),
	OUT(A, .seq = 1502, .ack = 2),
	STATE(TCP_TIME_WAIT),
};

static const struct row closed_and_never_answered[] = {
	ACCEPTED,
	CALL(DO_CLOSE),
	OUT(F | A, .seq = 1, .ack = 1),
	IN(A, .seq = 1, .ack = 2),
	WAIT(4999),
	IN(A, .seq = 0, .ack = 2),
	OUT(A, .seq = 2, .ack = 1),
	WAIT(2),
	SILENCE,
	STATE(TCP_CLOSED),
};

static const struct row closed_half_closed[] = {
	FIN_WAIT_2_,
	CALL(DO_CLOSE),
	SILENCE,
	WAIT(5001),
	STATE(TCP_CLOSED),
};

static const struct row closed_in_close_wait[] = {
	CLOSE_WAIT_,
	CALL(DO_CLOSE),
	OUT(F | A, .seq = 1, .ack = 2),
	IN(A, .seq = 2, .ack = 2),
	SILENCE,
	STATE(TCP_CLOSED),
};

/* --- tcp_abort() --------------------------------------------------------- */

static const struct row aborted[] = {
	ACCEPTED,
	CALL(DO_SEND, .len = 100),
	OUT(A, .seq = 1, .ack = 1, .len = 100),
	CALL(DO_ABORT),
	OUT(R | A, .seq = 101, .ack = 1),
	STATE(TCP_CLOSED),
	IN(A, .seq = 1, .ack = 101),
	OUT(R, .seq = 101),
};

static const struct row aborted_in_fin_wait[] = {
	FIN_WAIT_2_,
	CALL(DO_ABORT),
	OUT(R | A, .seq = 2, .ack = 1),
	STATE(TCP_CLOSED),
};

static const struct row aborted_in_last_ack[] = {
	LAST_ACK_,
	CALL(DO_ABORT),
	OUT(R | A, .seq = 2, .ack = 2),
	STATE(TCP_CLOSED),
};

/* --- the oldest goes ----------------------------------------------------- */

#define WAITS(n)                                                            \
	IN(S, .seq = 0, .peer = (n)),                                       \
		OUT(S | A, .seq = 0, .ack = 1, .peer = (n)),                \
		IN(A, .seq = 1, .ack = 1, .peer = (n)), EVENT(EV_ACCEPTED), \
		CALL(DO_SHUTDOWN, .peer = (n)),                             \
		OUT(F | A, .seq = 1, .ack = 1, .peer = (n)),                \
		IN(F | A, .seq = 1, .ack = 2, .peer = (n)),                 \
		EVENT(EV_FINISHED), EVENT(EV_CLOSED),                       \
		OUT(A, .seq = 2, .ack = 2, .peer = (n))

static const struct row too_many_wait[] = {
	CALL(DO_LISTEN),
	WAITS(1),
	WAIT(5),
	WAITS(2),
	STAT(time_wait, 2),
	WAITS(3),
	STAT(time_wait, 2),
	STAT(time_wait_evicted, 1),
	IN(F | A, .seq = 1, .ack = 2, .peer = 2),
	OUT(A, .seq = 2, .ack = 2, .peer = 2),
	IN(F | A, .seq = 1, .ack = 2, .peer = 1),
	OUT(R, .seq = 2, .peer = 1),
};

static const struct table tables[] = {
	TABLE(we_close_first),
	TABLE(fin_and_ack_in_one),
	TABLE(both_close),
	TABLE(half_closed),
	TABLE(fin_again),
	TABLE(fin_behind_data),
	TABLE(fin_wait_1_reset),
	TABLE(fin_wait_1_syn),
	TABLE(fin_wait_1_bad_ack),
	TABLE(fin_wait_2_reset),
	TABLE(fin_wait_2_syn),
	TABLE(fin_wait_2_gap),
	TABLE(closing_fin_again),
	TABLE(closing_reset),
	TABLE(closing_syn),
	TABLE(they_close_first),
	TABLE(data_behind_fin),
	TABLE(close_wait_fin_again),
	TABLE(close_wait_reset),
	TABLE(close_wait_syn),
	TABLE(last_ack_fin_again),
	TABLE(last_ack_reset),
	TABLE(last_ack_syn),
	TABLE(last_ack_never, .config = { .retransmit_ms = 1000 }),
	TABLE(time_wait_answers),
	TABLE(time_wait_syn),
	TABLE(time_wait_syn_ack),
	TABLE(time_wait_syn_ts),
	TABLE(time_wait_connect),
	TABLE(time_wait_connect_no_ts),
	TABLE(closed_for_good),
	TABLE(closed_and_data),
	TABLE(closed_and_data_behind_a_gap),
	TABLE(closed_with_queue),
	TABLE(closed_and_never_answered, .config = { .fin_wait2_ms = 5000 }),
	TABLE(closed_half_closed, .config = { .fin_wait2_ms = 5000 }),
	TABLE(closed_in_close_wait),
	TABLE(aborted),
	TABLE(aborted_in_fin_wait),
	TABLE(aborted_in_last_ack),
	TABLE(too_many_wait, .config = { .max_time_wait = 2 }),
};

int
main(void)
{
	return tables_main("tcp_table_close", tables, RTE_DIM(tables));
}
