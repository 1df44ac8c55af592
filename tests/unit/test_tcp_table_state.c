/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A connection that is established, as packet tables: what is acceptable,
 * resets, SYNs, old timestamps, the edges of the window, what is out of order
 * (RFC 9293 section 3.10.7.4, 5961, 7323, 2018).
 */
#include <errno.h>

#include "tests/unit/tcp_table.h"

/* --- sequence numbers ---------------------------------------------------- */

static const struct row in_order[] = {
	ACCEPTED,
	IN(A, .seq = 1, .ack = 1, .len = 100),
	EVENT(EV_RECEIVED, .len = 100),
	WITHIN(40, 41),
	OUT(A, .seq = 1, .ack = 101),
	WAIT(10000),
	SILENCE,
};

static const struct row old_duplicate[] = {
	ACCEPTED,
	IN(A, .seq = 1, .ack = 1, .len = 100),
	EVENT(EV_RECEIVED, .len = 100),
	IN(A, .seq = 1, .ack = 1, .len = 100),
	OUT(A, .seq = 1, .ack = 101),
	IN(A, .seq = 51, .ack = 1, .len = 10),
	OUT(A, .seq = 1, .ack = 101),
	STAT(duplicates, 2),
	STAT(unacceptable, 2),
	WAIT(1000),
	SILENCE,
};

static const struct row overlap[] = {
	ACCEPTED,
	IN(A, .seq = 1, .ack = 1, .len = 100),
	EVENT(EV_RECEIVED, .len = 100),
	IN(A, .seq = 51, .ack = 1, .len = 100),
	EVENT(EV_RECEIVED, .len = 50),
	WITHIN(40, 41),
	OUT(A, .seq = 1, .ack = 151),
};

static const struct row beyond_window[] = {
	ACCEPTED,
	IN(A, .seq = 300001, .ack = 1, .len = 10),
	OUT(A, .seq = 1, .ack = 1),
	/* The first byte beyond, and the last within. */
	IN(A, .seq = 65536, .ack = 1, .len = 1),
	OUT(A, .seq = 1, .ack = 1),
	STAT(unacceptable, 2),
	STAT(out_of_order, 0),
	IN(A, .seq = 65535, .ack = 1, .len = 10),
	OUT(A, .seq = 1, .ack = 1),
	STAT(out_of_order, 1),
	STAT(unacceptable, 2),
};

/* A FIN beyond the edge is cut off with what is. */
static const struct row over_the_edge[] = {
	ACCEPTED,
	IN(A, .seq = 1, .ack = 1, .len = 1000),
	EVENT(EV_RECEIVED, .len = 1000),
	IN(F | A, .seq = 1001, .ack = 1, .len = 1460),
	EVENT(EV_RECEIVED, .len = 1000),
	WITHIN(0, 41),
	OUT(A, .seq = 1, .ack = 2001, .wnd = WND_ZERO),
	STATE(TCP_ESTABLISHED),
	CALL(DO_CONSUME, .len = 2000),
	OUT(A, .seq = 1, .ack = 2001, .wnd = 2000),
	IN(F | A, .seq = 2001, .ack = 1, .len = 460),
	EVENT(EV_RECEIVED, .len = 460),
	EVENT(EV_FINISHED),
	OUT(A, .seq = 1, .ack = 2462),
};

static const struct row bare_ack_outside[] = {
	ACCEPTED,
	/* One before the window: somebody asks whether we are there. */
	IN(A, .seq = 0, .ack = 1),
	OUT(A, .seq = 1, .ack = 1),
	IN(A, .seq = 0, .ack = 1),
	OUT(A, .seq = 1, .ack = 1),
	/* Others could be answered for ever. */
	IN(A, .seq = 0xfffffc00, .ack = 1),
	OUT(A, .seq = 1, .ack = 1),
	IN(A, .seq = 70000, .ack = 1),
	SILENCE,
	STAT(challenge_limited, 1),
	WAIT(500),
	IN(A, .seq = 70000, .ack = 1),
	OUT(A, .seq = 1, .ack = 1),
};

static const struct row zero_window[] = {
	ACCEPTED,
	IN(A, .seq = 1, .ack = 1, .len = 1000),
	EVENT(EV_RECEIVED, .len = 1000),
	IN(A, .seq = 1001, .ack = 1, .len = 1000),
	EVENT(EV_RECEIVED, .len = 1000),
	WITHIN(40, 41),
	OUT(A, .seq = 1, .ack = 2001, .wnd = WND_ZERO),
	/* Probes of both kinds. */
	IN(A, .seq = 2001, .ack = 1, .len = 1),
	OUT(A, .seq = 1, .ack = 2001, .wnd = WND_ZERO),
	IN(A, .seq = 2000, .ack = 1),
	OUT(A, .seq = 1, .ack = 2001, .wnd = WND_ZERO),
	/* Its ACKs count. */
	CALL(DO_SEND, .len = 10),
	OUT(A, .seq = 1, .ack = 2001, .len = 10, .wnd = WND_ZERO),
	IN(A, .seq = 2001, .ack = 11),
	SILENCE,
	/* A little room is not worth a word (silly window). */
	CALL(DO_CONSUME, .len = 500),
	SILENCE,
	IN(A, .seq = 2001, .ack = 11, .len = 1),
	OUT(A, .seq = 11, .ack = 2001, .wnd = WND_ZERO),
	CALL(DO_CONSUME, .len = 500),
	OUT(A, .seq = 11, .ack = 2001, .wnd = 1000),
	IN(A, .seq = 2001, .ack = 11, .len = 1),
	EVENT(EV_RECEIVED, .len = 1),
};

static const struct row zero_window_reset[] = {
	ACCEPTED,
	IN(A, .seq = 1, .ack = 1, .len = 1000),
	EVENT(EV_RECEIVED, .len = 1000),
	IN(A, .seq = 1001, .ack = 1, .len = 1000),
	EVENT(EV_RECEIVED, .len = 1000),
	WITHIN(40, 41),
	OUT(A, .seq = 1, .ack = 2001, .wnd = WND_ZERO),
	IN(R, .seq = 2001),
	EVENT(EV_CLOSED, .error = -ECONNRESET),
};

static const struct row damaged[] = {
	ACCEPTED,
	IN(A, .seq = 1, .ack = 1, .len = 100, .bad_csum = true,
		.dropped = NF_DROP(TCP_DROP_CHECKSUM)),
	IN(R, .seq = 1, .bad_csum = true,
		.dropped = NF_DROP(TCP_DROP_CHECKSUM)),
	SILENCE,
	STATE(TCP_ESTABLISHED),
};

static const struct row urgent_is_data[] = {
	ACCEPTED,
	IN(A | U, .seq = 1, .ack = 1, .len = 10, .urgent = 5),
	EVENT(EV_RECEIVED, .len = 10),
	IN(A | U, .seq = 11, .ack = 1, .len = 10, .urgent = 50000),
	EVENT(EV_RECEIVED, .len = 10),
	WITHIN(40, 41),
	OUT(A, .seq = 1, .ack = 21),
};

static const struct row no_ack_no_news[] = {
	ACCEPTED,
	IN(0, .seq = 1, .len = 10),
	IN(P, .seq = 1, .len = 10),
	IN(F, .seq = 1),
	SILENCE,
	STATE(TCP_ESTABLISHED),
};

/* --- resets -------------------------------------------------------------- */

static const struct row reset_exact[] = {
	ACCEPTED,
	IN(R, .seq = 1),
	EVENT(EV_CLOSED, .error = -ECONNRESET),
	STATE(TCP_CLOSED),
	SILENCE,
	STAT(resets_in, 1),
};

static const struct row reset_in_window[] = {
	ACCEPTED,
	IN(R, .seq = 2),
	OUT(A, .seq = 1, .ack = 1),
	STATE(TCP_ESTABLISHED),
	/* Few of them: RFC 5961 section 7. */
	IN(R, .seq = 3),
	IN(R | A, .seq = 65535, .ack = 1),
	SILENCE,
	STAT(challenge_acks, 1),
	STAT(challenge_limited, 2),
	WAIT(500),
	IN(R, .seq = 65535),
	OUT(A, .seq = 1, .ack = 1),
	/* The peer is what sent it: it answers by an exact one. */
	IN(R, .seq = 1),
	EVENT(EV_CLOSED, .error = -ECONNRESET),
};

static const struct row reset_outside[] = {
	ACCEPTED,
	IN(R, .seq = 0),
	IN(R, .seq = 65536),
	IN(R | A, .seq = 0x80000000, .ack = 1),
	SILENCE,
	STATE(TCP_ESTABLISHED),
	STAT(resets_in, 0),
};

/* What waits behind a gap goes with it. */
static const struct row reset_with_gap[] = {
	ACCEPTED_SACK,
	IN(A, .seq = 101, .ack = 1, .len = 100),
	OUT(A, .seq = 1, .ack = 1, .n_sack = 1, .sack = { { 101, 201 } }),
	CALL(DO_SEND, .len = 50),
	OUT(A, .seq = 1, .ack = 1, .len = 50),
	IN(R, .seq = 1),
	EVENT(EV_CLOSED, .error = -ECONNRESET),
	STATE(TCP_CLOSED),
};

/* --- SYNs ---------------------------------------------------------------- */

static const struct row syn_in_established[] = {
	ACCEPTED,
	IN(S, .seq = 0),
	OUT(A, .seq = 1, .ack = 1),
	WAIT(500),
	IN(S, .seq = 1),
	OUT(A, .seq = 1, .ack = 1),
	WAIT(500),
	IN(S, .seq = 500000),
	OUT(A, .seq = 1, .ack = 1),
	WAIT(500),
	IN(S | A, .seq = 0, .ack = 1),
	OUT(A, .seq = 1, .ack = 1),
	IN(S, .seq = 100),
	SILENCE,
	STATE(TCP_ESTABLISHED),
	STAT(challenge_acks, 4),
};

/* The ACK of our SYN was lost: the peer asks again. */
static const struct row syn_ack_again[] = {
	CONNECTED,
	IN(S | A, .seq = 0, .ack = 1, .mss = 1460),
	OUT(A, .seq = 1, .ack = 1),
	STATE(TCP_ESTABLISHED),
};

/* --- acknowledgements ---------------------------------------------------- */

static const struct row ack_of_nothing[] = {
	ACCEPTED,
	/* Of what was never sent: and its data are not taken. */
	IN(A, .seq = 1, .ack = 2, .len = 10),
	OUT(A, .seq = 1, .ack = 1),
	WAIT(500),
	/* Older than any window: RFC 5961 section 5. */
	IN(A, .seq = 1, .ack = 0xfffe0000, .len = 10),
	OUT(A, .seq = 1, .ack = 1),
	STATE(TCP_ESTABLISHED),
	/* An old one within the largest window is fine. */
	IN(A, .seq = 1, .ack = 0xffffff00, .len = 10),
	EVENT(EV_RECEIVED, .len = 10),
	WITHIN(40, 41),
	OUT(A, .seq = 1, .ack = 11),
};

/* --- timestamps ---------------------------------------------------------- */

static const struct row paws[] = {
	ACCEPTED_TS,
	WAIT(1000),
	IN(A, .seq = 1, .ack = 1, .len = 10),
	EVENT(EV_RECEIVED, .len = 10),
	WITHIN(40, 41),
	OUT(A, .seq = 1, .ack = 11),
	IN(A, .seq = 11, .ack = 1, .len = 10, .ts_age = 500),
	OUT(A, .seq = 1, .ack = 11),
	STAT(paws, 1),
	IN(A, .seq = 11, .ack = 1, .ts_age = 500),
	OUT(A, .seq = 1, .ack = 11),
	STAT(paws, 2),
	/* As old as the latest is not too old. */
	IN(A, .seq = 11, .ack = 1, .len = 10, .ts_age = 40),
	EVENT(EV_RECEIVED, .len = 10),
	WITHIN(40, 41),
	OUT(A, .seq = 1, .ack = 21),
};

/* RFC 7323 section 5.2: a reset is judged by its number alone. */
static const struct row paws_reset[] = {
	ACCEPTED_TS,
	IN(R, .seq = 1, .ts_age = 100000),
	EVENT(EV_CLOSED, .error = -ECONNRESET),
};

static const struct row reset_without_ts[] = {
	ACCEPTED_TS,
	IN(R, .seq = 1, .no_ts = true),
	EVENT(EV_CLOSED, .error = -ECONNRESET),
};

/* RFC 7323 section 3.2. */
static const struct row ts_missing[] = {
	ACCEPTED_TS,
	IN(A, .seq = 1, .ack = 1, .len = 10, .no_ts = true),
	SILENCE,
	IN(A, .seq = 1, .ack = 1, .len = 10),
	EVENT(EV_RECEIVED, .len = 10),
};

/* RFC 7323 section 5.5: after 24 days the peer's clock may be anywhere. */
static const struct row ts_after_a_month[] = {
	ACCEPTED_TS,
	JUMP(2155000000u),
	IN(A, .seq = 1, .ack = 1, .len = 10),
	EVENT(EV_RECEIVED, .len = 10),
	STAT(paws, 0),
};

/* --- out of order -------------------------------------------------------- */

static const struct row behind_a_gap[] = {
	ACCEPTED,
	IN(A, .seq = 101, .ack = 1, .len = 100),
	OUT(A, .seq = 1, .ack = 1),
	IN(A, .seq = 101, .ack = 1, .len = 100),
	OUT(A, .seq = 1, .ack = 1),
	IN(A, .seq = 201, .ack = 1, .len = 100),
	OUT(A, .seq = 1, .ack = 1),
	IN(A, .seq = 1, .ack = 1, .len = 100),
	EVENT(EV_RECEIVED, .len = 300),
	OUT(A, .seq = 1, .ack = 301),
	STAT(out_of_order, 3),
};

/* The block that grew last comes first (RFC 2018 section 4). */
static const struct row gaps_with_sack[] = {
	ACCEPTED_SACK,
	IN(A, .seq = 101, .ack = 1, .len = 100),
	OUT(A, .seq = 1, .ack = 1, .n_sack = 1, .sack = { { 101, 201 } }),
	IN(A, .seq = 301, .ack = 1, .len = 100),
	OUT(A, .seq = 1, .ack = 1, .n_sack = 2,
		.sack = { { 301, 401 }, { 101, 201 } }),
	IN(A, .seq = 201, .ack = 1, .len = 50),
	OUT(A, .seq = 1, .ack = 1, .n_sack = 2,
		.sack = { { 101, 251 }, { 301, 401 } }),
	IN(A, .seq = 1, .ack = 1, .len = 100),
	EVENT(EV_RECEIVED, .len = 250),
	OUT(A, .seq = 1, .ack = 251, .n_sack = 1, .sack = { { 301, 401 } }),
	IN(A, .seq = 151, .ack = 1, .len = 150),
	EVENT(EV_RECEIVED, .len = 150),
	OUT(A, .seq = 1, .ack = 401),
};

static const struct row fin_behind_a_gap[] = {
	ACCEPTED,
	IN(F | A, .seq = 101, .ack = 1, .len = 10),
	OUT(A, .seq = 1, .ack = 1),
	STATE(TCP_ESTABLISHED),
	IN(A, .seq = 1, .ack = 1, .len = 100),
	EVENT(EV_RECEIVED, .len = 110),
	EVENT(EV_FINISHED),
	OUT(A, .seq = 1, .ack = 112),
	STATE(TCP_CLOSE_WAIT),
};

static const struct row bare_fin_behind_a_gap[] = {
	ACCEPTED,
	IN(F | A, .seq = 101, .ack = 1),
	OUT(A, .seq = 1, .ack = 1),
	IN(A, .seq = 1, .ack = 1, .len = 100),
	EVENT(EV_RECEIVED, .len = 100),
	EVENT(EV_FINISHED),
	OUT(A, .seq = 1, .ack = 102),
};

/* --- acknowledging ------------------------------------------------------- */

static const struct row every_second[] = {
	ACCEPTED,
	IN(A, .seq = 1, .ack = 1, .len = 1460),
	EVENT(EV_RECEIVED, .len = 1460),
	IN(A, .seq = 1461, .ack = 1, .len = 1460),
	EVENT(EV_RECEIVED, .len = 1460),
	OUT(A, .seq = 1, .ack = 2921),
	IN(A, .seq = 2921, .ack = 1, .len = 1460),
	EVENT(EV_RECEIVED, .len = 1460),
	WITHIN(40, 41),
	OUT(A, .seq = 1, .ack = 4381),
	WAIT(1000),
	SILENCE,
};

static const struct row one_burst[] = {
	ACCEPTED,
	IN(A, .seq = 1, .ack = 1, .len = 1460, .more = true),
	IN(A, .seq = 1461, .ack = 1, .len = 1460, .more = true),
	IN(A, .seq = 2921, .ack = 1, .len = 1460, .more = true),
	IN(A, .seq = 4381, .ack = 1, .len = 1460),
	EVENT(EV_RECEIVED, .len = 5840),
	OUT(A, .seq = 1, .ack = 5841),
};

static const struct row small_ones_wait[] = {
	ACCEPTED,
	IN(A, .seq = 1, .ack = 1, .len = 10),
	EVENT(EV_RECEIVED, .len = 10),
	WAIT(30),
	IN(A, .seq = 11, .ack = 1, .len = 10),
	EVENT(EV_RECEIVED, .len = 10),
	/* 40 ms from the first. */
	WITHIN(10, 11),
	OUT(A, .seq = 1, .ack = 21),
};

static const struct row answer_carries_ack[] = {
	ACCEPTED,
	IN(A, .seq = 1, .ack = 1, .len = 10),
	EVENT(EV_RECEIVED, .len = 10),
	CALL(DO_SEND, .len = 20),
	OUT(A, .seq = 1, .ack = 11, .len = 20),
	IN(A, .seq = 11, .ack = 21),
	WAIT(1000),
	SILENCE,
};

static const struct row quick_ack[] = {
	ACCEPTED,
	CALL(DO_QUICKACK),
	IN(A, .seq = 1, .ack = 1, .len = 10),
	EVENT(EV_RECEIVED, .len = 10),
	OUT(A, .seq = 1, .ack = 11),
};

/* --- a user that ends it in the middle of an event ----------------------- */

static const struct row aborted_within[] = {
	ACCEPTED,
	IN(A, .seq = 1, .ack = 1, .len = 10),
	EVENT(EV_RECEIVED, .len = 10),
	OUT(R | A, .seq = 1, .ack = 11),
	STATE(TCP_CLOSED),
};

static const struct row closed_within[] = {
	ACCEPTED,
	IN(A, .seq = 101, .ack = 1, .len = 10),
	OUT(A, .seq = 1, .ack = 1),
	/* What waits behind it is wanted by nobody. */
	IN(A, .seq = 1, .ack = 1, .len = 100),
	EVENT(EV_RECEIVED, .len = 100),
	OUT(R | A, .seq = 1, .ack = 101),
	STATE(TCP_CLOSED),
};

static const struct row shut_within[] = {
	ACCEPTED,
	IN(F | A, .seq = 1, .ack = 1, .len = 10),
	EVENT(EV_RECEIVED, .len = 10),
	EVENT(EV_FINISHED),
	OUT(F | A, .seq = 1, .ack = 12),
	STATE(TCP_LAST_ACK),
};

#define SMALL_BUFFER .hold = true, .config = { .rcv_buf = 2000 }

static const struct table tables[] = {
	TABLE(in_order),
	TABLE(old_duplicate),
	TABLE(overlap),
	TABLE(beyond_window),
	TABLE(over_the_edge, SMALL_BUFFER),
	TABLE(bare_ack_outside),
	TABLE(zero_window, SMALL_BUFFER),
	TABLE(zero_window_reset, SMALL_BUFFER),
	TABLE(damaged),
	TABLE(urgent_is_data),
	TABLE(no_ack_no_news),
	TABLE(reset_exact),
	TABLE(reset_in_window),
	TABLE(reset_outside),
	TABLE(reset_with_gap),
	TABLE(syn_in_established),
	TABLE(syn_ack_again),
	TABLE(ack_of_nothing),
	TABLE(paws),
	TABLE(paws_reset),
	TABLE(reset_without_ts),
	TABLE(ts_missing),
	TABLE(ts_after_a_month),
	TABLE(behind_a_gap),
	TABLE(gaps_with_sack),
	TABLE(fin_behind_a_gap),
	TABLE(bare_fin_behind_a_gap),
	TABLE(every_second),
	TABLE(one_burst),
	TABLE(small_ones_wait),
	TABLE(answer_carries_ack),
	TABLE(quick_ack),
	TABLE(aborted_within, .on_received = DO_ABORT),
	TABLE(closed_within, .on_received = DO_CLOSE),
	TABLE(shut_within, .on_received = DO_SHUTDOWN),
};

int
main(void)
{
	return tables_main("tcp_table_state", tables, RTE_DIM(tables));
}
