/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is lost, and how much may be sent, as packet tables: retransmission by
 * time (RFC 6298), fast retransmit, NewReno, SACK (5681, 6582, 6675), limited
 * transmit (3042), the windows.
 */
#include <errno.h>

#include "tests/unit/tcp_table.h"

#define MSS       1460
#define FULL(s)   OUT(A, .seq = (s), .ack = 1, .len = MSS)
#define DUPLICATE IN(A, .seq = 1, .ack = 1)
#define SACKS(n, ...) \
	IN(A, .seq = 1, .ack = 1, .n_sack = (n), .sack = { __VA_ARGS__ })

/* The initial window (RFC 6928): ten segments. */
#define TEN                                                                  \
	FULL(1), FULL(1461), FULL(2921), FULL(4381), FULL(5841), FULL(7301), \
		FULL(8761), FULL(10221), FULL(11681), FULL(13141)

/* --- by time ------------------------------------------------------------- */

static const struct row back_off[] = {
	ACCEPTED,
	CALL(DO_SEND, .len = 100),
	OUT(A, .seq = 1, .ack = 1, .len = 100),
	WITHIN(200, 201),
	OUT(A, .seq = 1, .ack = 1, .len = 100),
	WITHIN(400, 401),
	OUT(A, .seq = 1, .ack = 1, .len = 100),
	WITHIN(800, 801),
	OUT(A, .seq = 1, .ack = 1, .len = 100),
	WITHIN(1600, 1601),
	OUT(A, .seq = 1, .ack = 1, .len = 100),
	/* rto_max_ms */
	WITHIN(2000, 2001),
	OUT(A, .seq = 1, .ack = 1, .len = 100),
	WITHIN(2000, 2001),
	OUT(A, .seq = 1, .ack = 1, .len = 100),
	STAT(timeouts, 6),
	STAT(retransmits, 6),
	/* What is acknowledged ends the back-off. */
	IN(A, .seq = 1, .ack = 101),
	WAIT(10000),
	SILENCE,
	CALL(DO_SEND, .len = 100),
	OUT(A, .seq = 101, .ack = 1, .len = 100),
	WITHIN(200, 201),
	OUT(A, .seq = 101, .ack = 1, .len = 100),
};

/* Also what is only a part of it. */
static const struct row back_off_ends[] = {
	ACCEPTED,
	CALL(DO_SEND, .len = 2920),
	FULL(1),
	FULL(1461),
	WITHIN(200, 201),
	FULL(1),
	WITHIN(400, 401),
	FULL(1),
	IN(A, .seq = 1, .ack = 1461),
	FULL(1461),
	WITHIN(200, 201),
	FULL(1461),
};

static const struct row gives_up[] = {
	ACCEPTED,
	CALL(DO_SEND, .len = 100),
	OUT(A, .seq = 1, .ack = 1, .len = 100),
	WITHIN(200, 201),
	OUT(A, .seq = 1, .ack = 1, .len = 100),
	WITHIN(400, 401),
	OUT(A, .seq = 1, .ack = 1, .len = 100),
	WITHIN(800, 801),
	OUT(A, .seq = 1, .ack = 1, .len = 100),
	WITHIN(1600, 1601),
	EVENT(EV_CLOSED, .error = -ETIMEDOUT),
	SILENCE,
	STATE(TCP_CLOSED),
	STAT(dead, 1),
};

/* The round trip sets it: 300 ms, and its deviation of 150 four times. */
static const struct row by_round_trip[] = {
	LISTENS,
	IN(S, .seq = 0, .mss = 1460),
	OUT(S | A, .seq = 0, .ack = 1),
	WAIT(300),
	IN(A, .seq = 1, .ack = 1),
	EVENT(EV_ACCEPTED),
	CALL(DO_SEND, .len = 100),
	OUT(A, .seq = 1, .ack = 1, .len = 100),
	WITHIN(900, 901),
	OUT(A, .seq = 1, .ack = 1, .len = 100),
	WAIT(300),
	/* Whichever of the two it is for: no measure (Karn). */
	IN(A, .seq = 1, .ack = 101),
	CALL(DO_SEND, .len = 100),
	OUT(A, .seq = 101, .ack = 1, .len = 100),
	WITHIN(900, 901),
	OUT(A, .seq = 101, .ack = 1, .len = 100),
};

/* RFC 6298 section 5.7, 5681 section 3.1: a SYN that was lost. */
static const struct row syn_was_lost[] = {
	LISTENS,
	IN(S, .seq = 0, .mss = 1460),
	OUT(S | A, .seq = 0, .ack = 1),
	WITHIN(1000, 1001),
	OUT(S | A, .seq = 0, .ack = 1),
	IN(A, .seq = 1, .ack = 1),
	EVENT(EV_ACCEPTED),
	CALL(DO_SEND, .len = 4000),
	FULL(1),
	WITHIN(3000, 3001),
	FULL(1),
};

static const struct row slow_start_after_time_out[] = {
	ACCEPTED,
	CALL(DO_SEND, .len = 14600),
	TEN,
	WITHIN(200, 201),
	FULL(1),
	IN(A, .seq = 1, .ack = 1461),
	FULL(1461),
	FULL(2921),
	IN(A, .seq = 1, .ack = 2921),
	FULL(4381),
	FULL(5841),
	/* The rest was there. */
	IN(A, .seq = 1, .ack = 14601),
	WAIT(1000),
	SILENCE,
	STAT(timeouts, 1),
	STAT(fast_retransmits, 0),
};

/* --- duplicates ---------------------------------------------------------- */

static const struct row fast_retransmit[] = {
	ACCEPTED,
	CALL(DO_SEND, .len = 20000),
	TEN,
	/* Limited transmit. */
	DUPLICATE,
	FULL(14601),
	DUPLICATE,
	FULL(16061),
	DUPLICATE,
	FULL(1),
	STAT(fast_retransmits, 1),
	/* Each is a segment that has left; the window is half, and inflates. */
	DUPLICATE,
	DUPLICATE,
	DUPLICATE,
	SILENCE,
	DUPLICATE,
	FULL(17521),
	IN(A, .seq = 1, .ack = 18981),
	OUT(A, .seq = 18981, .ack = 1, .len = 1020),
	STAT(timeouts, 0),
};

/* NewReno: a partial acknowledgement tells the next hole. */
static const struct row partial[] = {
	ACCEPTED,
	CALL(DO_SEND, .len = 20000),
	TEN,
	DUPLICATE,
	FULL(14601),
	DUPLICATE,
	FULL(16061),
	DUPLICATE,
	FULL(1),
	IN(A, .seq = 1, .ack = 2921),
	FULL(2921),
	IN(A, .seq = 1, .ack = 4381),
	FULL(4381),
	IN(A, .seq = 1, .ack = 17521),
	FULL(17521),
	OUT(A, .seq = 18981, .ack = 1, .len = 1020),
	STAT(fast_retransmits, 1),
	STAT(timeouts, 0),
};

/* RFC 6582 section 3.2: they may be of what was sent twice. */
#define OLD_DUPLICATE IN(A, .seq = 1, .ack = 14601)
static const struct row after_time_out[] = {
	ACCEPTED,
	CALL(DO_SEND, .len = 14600),
	TEN,
	WITHIN(200, 201),
	FULL(1),
	IN(A, .seq = 1, .ack = 14601),
	CALL(DO_SEND, .len = 8760),
	FULL(14601),
	FULL(16061),
	OLD_DUPLICATE,
	FULL(17521),
	OLD_DUPLICATE,
	FULL(18981),
	OLD_DUPLICATE,
	OLD_DUPLICATE,
	SILENCE,
	STAT(fast_retransmits, 0),
};

static const struct row two_are_not_three[] = {
	ACCEPTED,
	CALL(DO_SEND, .len = 4380),
	FULL(1),
	FULL(1461),
	FULL(2921),
	DUPLICATE,
	DUPLICATE,
	IN(A, .seq = 1, .ack = 1461),
	DUPLICATE,
	WAIT(150),
	SILENCE,
	IN(A, .seq = 1, .ack = 4381),
	STAT(fast_retransmits, 0),
	STAT(retransmits, 0),
};

/* RFC 5681 section 2: no payload, the same window. */
static const struct row no_duplicates[] = {
	ACCEPTED,
	CALL(DO_SEND, .len = 2920),
	FULL(1),
	FULL(1461),
	IN(A, .seq = 1, .ack = 1, .wnd = 60000),
	IN(A, .seq = 1, .ack = 1, .wnd = 61000),
	IN(A, .seq = 1, .ack = 1, .wnd = 62000),
	IN(A, .seq = 1, .ack = 1, .wnd = 63000),
	SILENCE,
	IN(A, .seq = 1, .ack = 1, .wnd = 63000, .len = 10),
	EVENT(EV_RECEIVED, .len = 10),
	IN(A, .seq = 11, .ack = 1, .wnd = 63000, .len = 10),
	EVENT(EV_RECEIVED, .len = 10),
	IN(A, .seq = 21, .ack = 1, .wnd = 63000, .len = 10),
	EVENT(EV_RECEIVED, .len = 10),
	SILENCE,
	STAT(fast_retransmits, 0),
};

/* --- SACK ---------------------------------------------------------------- */

static const struct row sack_one_hole[] = {
	ACCEPTED_SACK,
	CALL(DO_SEND, .len = 14600),
	TEN,
	SACKS(1, { 1461, 2921 }),
	SACKS(1, { 1461, 4381 }),
	SILENCE,
	SACKS(1, { 1461, 5841 }),
	FULL(1),
	STAT(fast_retransmits, 1),
	IN(A, .seq = 1, .ack = 14601),
	WAIT(1000),
	SILENCE,
	STAT(retransmits, 1),
};

static const struct row sack_two_holes[] = {
	ACCEPTED_SACK,
	CALL(DO_SEND, .len = 14600),
	TEN,
	SACKS(1, { 1461, 2921 }),
	SACKS(2, { 4381, 5841 }, { 1461, 2921 }),
	SACKS(2, { 4381, 7301 }, { 1461, 2921 }),
	FULL(1),
	/* Three segments above the second one: it is lost as well. */
	SACKS(2, { 4381, 8761 }, { 1461, 2921 }),
	FULL(2921),
	/* RFC 6675 NextSeg() rule 4, once: the last might be lost, too. */
	FULL(13141),
	SACKS(2, { 4381, 10221 }, { 1461, 2921 }),
	SACKS(2, { 4381, 11681 }, { 1461, 2921 }),
	SILENCE,
	IN(A, .seq = 1, .ack = 14601),
	WAIT(1000),
	SILENCE,
	STAT(fast_retransmits, 1),
	STAT(retransmits, 3),
	STAT(timeouts, 0),
};

static const struct row sack_limited_transmit[] = {
	ACCEPTED_SACK,
	CALL(DO_SEND, .len = 20000),
	TEN,
	SACKS(1, { 1461, 2921 }),
	FULL(14601),
	SACKS(1, { 1461, 4381 }),
	FULL(16061),
	SACKS(1, { 1461, 5841 }),
	FULL(1),
};

/* Forged ones, and those of what was acknowledged (D-SACK). */
static const struct row sack_of_nothing[] = {
	ACCEPTED_SACK,
	CALL(DO_SEND, .len = 14600),
	TEN,
	SACKS(1, { 14601, 16061 }),
	SACKS(1, { 0xffffff00, 1 }),
	SACKS(1, { 2921, 1461 }),
	SACKS(1, { 1, 20001 }),
	SACKS(1, { 50000, 60000 }),
	SILENCE,
	STAT(fast_retransmits, 0),
};

/* The peer may have thrown away what it has said to hold. */
static const struct row sack_and_time_out[] = {
	ACCEPTED_SACK,
	CALL(DO_SEND, .len = 4380),
	FULL(1),
	FULL(1461),
	FULL(2921),
	SACKS(1, { 1461, 4381 }),
	SILENCE,
	WITHIN(200, 201),
	FULL(1),
	IN(A, .seq = 1, .ack = 1461),
	FULL(1461),
	FULL(2921),
	IN(A, .seq = 1, .ack = 4381),
	WAIT(1000),
	SILENCE,
};

/* Without SACK-permitted in both SYNs blocks say nothing. */
static const struct row sack_not_agreed[] = {
	ACCEPTED,
	CALL(DO_SEND, .len = 8760),
	FULL(1),
	FULL(1461),
	FULL(2921),
	FULL(4381),
	FULL(5841),
	FULL(7301),
	SACKS(1, { 1461, 8761 }),
	SILENCE,
};

/* --- windows ------------------------------------------------------------- */

static const struct row initial_window[] = {
	ACCEPTED,
	CALL(DO_SEND, .len = 30000),
	TEN,
	SILENCE,
};

#define NARROW(w)                                          \
	LISTENS, IN(S, .seq = 0, .mss = 1460, .wnd = (w)), \
		OUT(S | A, .seq = 0, .ack = 1),            \
		IN(A, .seq = 1, .ack = 1, .wnd = (w)), EVENT(EV_ACCEPTED)

static const struct row peers_window[] = {
	NARROW(3000),
	CALL(DO_SEND, .len = 10000),
	FULL(1),
	FULL(1461),
	/* 80 bytes would do, and would be silly. */
	SILENCE,
	IN(A, .seq = 1, .ack = 2921, .wnd = 3000),
	FULL(2921),
	FULL(4381),
	IN(A, .seq = 1, .ack = 5841, .wnd = 80),
	SILENCE,
	/* But not for ever. */
	WITHIN(200, 201),
	OUT(A, .seq = 5841, .ack = 1, .len = 80),
	/* Half of the largest is a window. */
	IN(A, .seq = 1, .ack = 5921, .wnd = 1500),
	OUT(A, .seq = 5921, .ack = 1, .len = 1460),
	IN(A, .seq = 1, .ack = 7381, .wnd = 1400),
	SILENCE,
};

/* RFC 9293 section 3.8.6: a peer should not, but may. */
static const struct row window_shrinks[] = {
	ACCEPTED,
	CALL(DO_SEND, .len = 4380),
	FULL(1),
	FULL(1461),
	FULL(2921),
	IN(A, .seq = 1, .ack = 1461, .wnd = WND_ZERO),
	SILENCE,
	WITHIN(200, 201),
	FULL(1461),
	IN(A, .seq = 1, .ack = 4381, .wnd = 10000),
	SILENCE,
};

/* An old segment's window is not the window (SND.WL1, SND.WL2). */
static const struct row old_window[] = {
	ACCEPTED,
	IN(A, .seq = 1, .ack = 1, .len = 100),
	EVENT(EV_RECEIVED, .len = 100),
	IN(A, .seq = 101, .ack = 1, .len = 100, .wnd = 1000),
	EVENT(EV_RECEIVED, .len = 100),
	IN(A, .seq = 51, .ack = 1, .len = 160, .wnd = 50000),
	EVENT(EV_RECEIVED, .len = 10),
	WITHIN(40, 41),
	OUT(A, .seq = 1, .ack = 211),
	CALL(DO_SEND, .len = 1100),
	SILENCE,
};

/* But what moves snd_una is news, whatever its number. */
static const struct row window_of_news[] = {
	NARROW(8000),
	IN(A, .seq = 1461, .ack = 1, .len = 1460, .wnd = 8000),
	OUT(A, .seq = 1, .ack = 1),
	CALL(DO_SEND, .len = 10000),
	FULL(1),
	FULL(1461),
	FULL(2921),
	FULL(4381),
	FULL(5841),
	IN(A, .seq = 1, .ack = 2921, .len = 1460, .wnd = 5000),
	EVENT(EV_RECEIVED, .len = 2920),
	OUT(A, .seq = 7301, .ack = 2921),
};

static const struct row buffer_full[] = {
	ACCEPTED,
	CALL(DO_SEND, .len = 8000),
	FULL(1),
	FULL(1461),
	FULL(2921),
	FULL(4381),
	FULL(5841),
	OUT(A, .seq = 7301, .ack = 1, .len = 700),
	CALL(DO_SEND, .len = 1, .error = -ENOBUFS),
	IN(A, .seq = 1, .ack = 2921),
	SILENCE,
	/* At most half full. */
	IN(A, .seq = 1, .ack = 4381),
	EVENT(EV_ROOM),
	CALL(DO_SEND, .len = 1),
	OUT(A, .seq = 8001, .ack = 1, .len = 1),
	IN(A, .seq = 1, .ack = 8002),
	SILENCE,
};

#define NEWRENO .config = { .cc = TCP_CC_NEWRENO }

static const struct table tables[] = {
	TABLE(back_off, .config = { .rto_max_ms = 2000 }),
	TABLE(back_off_ends),
	TABLE(gives_up, .config = { .retransmit_ms = 2000 }),
	TABLE(by_round_trip),
	TABLE(syn_was_lost),
	TABLE(slow_start_after_time_out, NEWRENO),
	TABLE(fast_retransmit, NEWRENO),
	TABLE(partial, NEWRENO),
	TABLE(after_time_out, NEWRENO),
	TABLE(two_are_not_three),
	TABLE(no_duplicates),
	TABLE(sack_one_hole),
	TABLE(sack_two_holes),
	TABLE(sack_limited_transmit),
	TABLE(sack_of_nothing),
	TABLE(sack_and_time_out, NEWRENO),
	TABLE(sack_not_agreed),
	TABLE(initial_window),
	TABLE(peers_window),
	TABLE(window_shrinks),
	TABLE(old_window),
	TABLE(window_of_news),
	TABLE(buffer_full, .config = { .snd_buf = 8000 }),
};

int
main(void)
{
	return tables_main("tcp_table_loss", tables, RTE_DIM(tables));
}
