/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Opening, as packet tables: CLOSED, LISTEN, SYN_SENT, SYN_RCVD, both ends at
 * once, cookies (RFC 9293 section 3.10.7.1 to .4, 5961, 4987).
 */
#include <errno.h>

#include "tests/unit/tcp_table.h"

#define CLOSED_PORT NF_DROP(TCP_DROP_CLOSED_PORT)

/* --- CLOSED -------------------------------------------------------------- */

static const struct row closed_port[] = {
	IN(S, .seq = 0, .dropped = CLOSED_PORT),
	OUT(R | A, .seq = 0, .ack = 1),
	IN(A, .seq = 5, .ack = 77, .dropped = CLOSED_PORT),
	OUT(R, .seq = 77),
	IN(F, .seq = 5, .len = 10),
	OUT(R | A, .seq = 0, .ack = 16),
	IN(F | A, .seq = 5, .ack = 9, .len = 10),
	OUT(R, .seq = 9),
	IN(R, .seq = 0, .dropped = CLOSED_PORT),
	IN(R | A, .seq = 0, .ack = 1),
	SILENCE,
};

/* --- LISTEN -------------------------------------------------------------- */

static const struct row listening[] = {
	LISTENS,
	IN(R, .seq = 0),
	SILENCE,
	IN(A, .seq = 5, .ack = 77, .dropped = CLOSED_PORT),
	OUT(R, .seq = 77),
	IN(S | A, .seq = 0, .ack = 7),
	OUT(R, .seq = 7),
	/* "Should not be reached": nobody is told anything. */
	IN(F, .seq = 0),
	IN(0, .seq = 0, .len = 10),
	IN(S | F, .seq = 0),
	SILENCE,
	STATE(TCP_CLOSED),
	IN(S, .seq = 0, .mss = 1460, .dropped = NF_HELD),
	OUT(S | A, .seq = 0, .ack = 1, .mss = 1460),
	STATE(TCP_SYN_RCVD),
	IN(A, .seq = 1, .ack = 1),
	EVENT(EV_ACCEPTED),
	STATE(TCP_ESTABLISHED),
	STAT(passive_opens, 1),
};

static const struct row listening_no_more[] = {
	LISTENS,
	CALL(DO_LISTEN, .error = -EADDRINUSE),
	IN(S, .seq = 0, .peer = 1),
	OUT(S | A, .seq = 0, .ack = 1, .peer = 1),
	IN(S, .seq = 0, .mss = 1460),
	OUT(S | A, .seq = 0, .ack = 1),
	IN(A, .seq = 1, .ack = 1),
	EVENT(EV_ACCEPTED),
	CALL(DO_UNLISTEN),
	/* The half-open one ends with its listener. */
	OUT(R | A, .seq = 1, .ack = 1, .peer = 1),
	CALL(DO_UNLISTEN, .error = -ENOENT),
	IN(S, .seq = 0, .peer = 2),
	OUT(R | A, .seq = 0, .ack = 1, .peer = 2),
	STATE(TCP_ESTABLISHED),
};

static const struct row all_options[] = {
	LISTENS,
	IN(S, .seq = 0, .mss = 1000, .wscale = 8, .sackok = true, .ts = true),
	OUT(S | A, .seq = 0, .ack = 1, .mss = 1460, .opts = true, .wscale = 1,
		.sackok = true, .ts = true),
	IN(A, .seq = 1, .ack = 1),
	EVENT(EV_ACCEPTED),
	/* An MSS is without options (RFC 6691). */
	CALL(DO_SEND, .len = 1500),
	OUT(A, .seq = 1, .ack = 1, .len = 988),
	OUT(A, .seq = 989, .ack = 1, .len = 512),
};

static const struct row no_options[] = {
	LISTENS,
	IN(S, .seq = 0),
	OUT(S | A, .seq = 0, .ack = 1, .mss = 1460, .opts = true),
	IN(A, .seq = 1, .ack = 1),
	EVENT(EV_ACCEPTED),
};

static const struct row options_not_wanted[] = {
	LISTENS,
	IN(S, .seq = 0, .mss = 1000, .wscale = 8, .sackok = true, .ts = true),
	OUT(S | A, .seq = 0, .ack = 1, .mss = 1460, .opts = true),
};

static const struct row small_mss[] = {
	LISTENS,
	IN(S, .seq = 0, .mss = 500),
	OUT(S | A, .seq = 0, .ack = 1),
	IN(A, .seq = 1, .ack = 1),
	EVENT(EV_ACCEPTED),
	CALL(DO_SEND, .len = 1200),
	OUT(A, .seq = 1, .ack = 1, .len = 500),
	OUT(A, .seq = 501, .ack = 1, .len = 500),
	OUT(A, .seq = 1001, .ack = 1, .len = 200),
};

/* An MSS of a byte: a bound of ours keeps segments from being all header. */
static const uint8_t mss_one[] = { 2, 4, 0, 1 };
static const struct row tiny_mss[] = {
	LISTENS,
	IN(S, .seq = 0, .raw = mss_one, .n_raw = 4),
	OUT(S | A, .seq = 0, .ack = 1),
	IN(A, .seq = 1, .ack = 1),
	EVENT(EV_ACCEPTED),
	CALL(DO_SEND, .len = 100),
	OUT(A, .seq = 1, .ack = 1, .len = 64),
	OUT(A, .seq = 65, .ack = 1, .len = 36),
};

/* Options that make no sense are not there. */
static const uint8_t cut_short[] = { 1, 1, 1, 2 };
static const uint8_t no_length[] = { 3, 0, 7, 7, 1, 3, 3, 7 };
static const uint8_t too_long[] = { 8, 40, 0, 0, 0, 0, 0, 0 };
static const uint8_t wrong_size[] = { 3, 4, 7, 7, 4, 3, 0, 0 };
static const uint8_t unknown[] = { 254, 4, 1, 2, 3, 3, 7, 0 };
static const struct row odd_options[] = {
	LISTENS,
	IN(S, .seq = 0, .peer = 1, .raw = cut_short, .n_raw = 4),
	OUT(S | A, .seq = 0, .ack = 1, .peer = 1, .opts = true),
	IN(S, .seq = 0, .peer = 2, .raw = no_length, .n_raw = 8),
	OUT(S | A, .seq = 0, .ack = 1, .peer = 2, .opts = true),
	IN(S, .seq = 0, .peer = 3, .raw = too_long, .n_raw = 8),
	OUT(S | A, .seq = 0, .ack = 1, .peer = 3, .opts = true),
	IN(S, .seq = 0, .peer = 4, .raw = wrong_size, .n_raw = 8),
	OUT(S | A, .seq = 0, .ack = 1, .peer = 4, .opts = true),
	IN(S, .seq = 0, .peer = 5, .raw = unknown, .n_raw = 8),
	OUT(S | A, .seq = 0, .ack = 1, .peer = 5, .opts = true, .wscale = 1),
};

/* Not acknowledged, so they come again. */
static const struct row data_in_syn[] = {
	LISTENS,
	IN(S, .seq = 0, .len = 10),
	OUT(S | A, .seq = 0, .ack = 1),
	IN(A, .seq = 1, .ack = 1, .len = 10),
	EVENT(EV_ACCEPTED),
	EVENT(EV_RECEIVED, .len = 10),
	WITHIN(40, 41),
	OUT(A, .seq = 1, .ack = 11),
};

static const struct row not_accepted[] = {
	LISTENS,
	IN(S, .seq = 0),
	OUT(S | A, .seq = 0, .ack = 1),
	IN(A, .seq = 1, .ack = 1),
	EVENT(EV_ACCEPTED),
	OUT(R | A, .seq = 1, .ack = 1),
	STATE(TCP_CLOSED),
};

/* --- SYN_RCVD ------------------------------------------------------------ */

#define HALF_OPEN LISTENS, IN(S, .seq = 0), OUT(S | A, .seq = 0, .ack = 1)

static const struct row syn_again[] = {
	HALF_OPEN,
	IN(S, .seq = 0),
	OUT(S | A, .seq = 0, .ack = 1),
	/* Another one: RFC 5961 section 4.2. */
	IN(S, .seq = 500),
	OUT(A, .seq = 1, .ack = 1),
	STATE(TCP_SYN_RCVD),
	IN(A, .seq = 1, .ack = 1),
	EVENT(EV_ACCEPTED),
};

static const struct row half_open_reset[] = {
	HALF_OPEN,
	IN(R, .seq = 0),
	IN(R, .seq = 100000),
	SILENCE,
	STATE(TCP_SYN_RCVD),
	IN(R, .seq = 2),
	OUT(A, .seq = 1, .ack = 1),
	STATE(TCP_SYN_RCVD),
	IN(R, .seq = 1),
	SILENCE,
	STATE(TCP_CLOSED),
	STAT(resets_in, 1),
	STAT(failed_opens, 1),
};

static const struct row half_open_bad_ack[] = {
	HALF_OPEN,
	IN(A, .seq = 1, .ack = 2),
	OUT(R, .seq = 2),
	IN(A, .seq = 1, .ack = 0),
	OUT(R, .seq = 0),
	STATE(TCP_SYN_RCVD),
	IN(A, .seq = 1, .ack = 1),
	EVENT(EV_ACCEPTED),
};

static const struct row half_open_unacceptable[] = {
	HALF_OPEN,
	IN(A, .seq = 100000, .ack = 1, .len = 10),
	OUT(A, .seq = 1, .ack = 1),
	/* No ACK, no news. */
	IN(0, .seq = 1, .len = 10),
	SILENCE,
	STATE(TCP_SYN_RCVD),
};

static const struct row half_open_data[] = {
	HALF_OPEN,
	IN(A, .seq = 1, .ack = 1, .len = 100),
	EVENT(EV_ACCEPTED),
	EVENT(EV_RECEIVED, .len = 100),
	WITHIN(40, 41),
	OUT(A, .seq = 1, .ack = 101),
};

static const struct row half_open_fin[] = {
	HALF_OPEN,
	IN(F | A, .seq = 1, .ack = 1, .len = 5),
	EVENT(EV_ACCEPTED),
	EVENT(EV_RECEIVED, .len = 5),
	EVENT(EV_FINISHED),
	OUT(A, .seq = 1, .ack = 7),
	STATE(TCP_CLOSE_WAIT),
};

static const struct row half_open_in_time[] = {
	HALF_OPEN,
	WITHIN(1000, 1001),
	OUT(S | A, .seq = 0, .ack = 1),
	WITHIN(2000, 2001),
	OUT(S | A, .seq = 0, .ack = 1),
	WITHIN(4000, 4001),
	OUT(S | A, .seq = 0, .ack = 1),
	WAIT(3001),
	SILENCE,
	STATE(TCP_CLOSED),
	STAT(failed_opens, 1),
};

/* --- SYN_SENT ------------------------------------------------------------ */

#define ASKED CALL(DO_CONNECT), OUT(S, .seq = 0)

static const struct row connect_plain[] = {
	CALL(DO_CONNECT),
	OUT(S, .seq = 0, .mss = 1460, .opts = true, .wscale = 1, .sackok = true,
		.ts = true),
	STATE(TCP_SYN_SENT),
	IN(S | A, .seq = 0, .ack = 1, .mss = 1460),
	EVENT(EV_CONNECTED),
	OUT(A, .seq = 1, .ack = 1),
	STATE(TCP_ESTABLISHED),
	STAT(active_opens, 1),
};

static const struct row connect_twice[] = {
	ASKED,
	CALL(DO_CONNECT, .error = -EADDRINUSE),
};

/* An old connection of these ends: it is reset, and the SYN goes again. */
static const struct row connect_to_half_open[] = {
	ASKED,
	IN(A, .seq = 900, .ack = 500),
	OUT(R, .seq = 500),
	OUT(S, .seq = 0),
	STATE(TCP_SYN_SENT),
	IN(S | A, .seq = 0, .ack = 1),
	EVENT(EV_CONNECTED),
	OUT(A, .seq = 1, .ack = 1),
};

static const struct row connect_bad_syn_ack[] = {
	ASKED,
	IN(S | A, .seq = 0, .ack = 2),
	OUT(R, .seq = 2),
	OUT(S, .seq = 0),
	IN(S | A, .seq = 0, .ack = 0),
	OUT(R, .seq = 0),
	OUT(S, .seq = 0),
	STATE(TCP_SYN_SENT),
};

static const struct row connect_refused[] = {
	ASKED,
	IN(R, .seq = 0),
	IN(R | A, .seq = 0, .ack = 0),
	IN(R | A, .seq = 0, .ack = 2),
	/* Neither SYN nor RST. */
	IN(A, .seq = 1, .ack = 1),
	IN(F, .seq = 1),
	IN(0, .seq = 1, .len = 10),
	SILENCE,
	STATE(TCP_SYN_SENT),
	IN(R | A, .seq = 0, .ack = 1),
	EVENT(EV_CLOSED, .error = -ECONNREFUSED),
	STATE(TCP_CLOSED),
	STAT(failed_opens, 1),
};

static const struct row connect_data_in_syn_ack[] = {
	ASKED,
	IN(S | A, .seq = 0, .ack = 1, .len = 10),
	EVENT(EV_CONNECTED),
	OUT(A, .seq = 1, .ack = 1),
	IN(A, .seq = 1, .ack = 1, .len = 10),
	EVENT(EV_RECEIVED, .len = 10),
	WITHIN(40, 41),
	OUT(A, .seq = 1, .ack = 11),
};

static const struct row connect_in_time[] = {
	ASKED,
	WITHIN(1000, 1001),
	OUT(S, .seq = 0),
	WITHIN(2000, 2001),
	OUT(S, .seq = 0),
	WITHIN(1999, 2001),
	EVENT(EV_CLOSED, .error = -ETIMEDOUT),
	STATE(TCP_CLOSED),
};

/* Both have sent a SYN (RFC 9293 figure 7). */
static const struct row both_at_once[] = {
	ASKED,
	IN(S, .seq = 0, .mss = 1460),
	OUT(S | A, .seq = 0, .ack = 1),
	STATE(TCP_SYN_RCVD),
	IN(S | A, .seq = 0, .ack = 1, .mss = 1460),
	EVENT(EV_CONNECTED),
	STATE(TCP_ESTABLISHED),
	IN(A, .seq = 1, .ack = 1, .len = 10),
	EVENT(EV_RECEIVED, .len = 10),
	CALL(DO_SEND, .len = 20),
	OUT(A, .seq = 1, .ack = 11, .len = 20),
};

static const struct row both_at_once_ack[] = {
	ASKED,
	IN(S, .seq = 0),
	OUT(S | A, .seq = 0, .ack = 1),
	IN(A, .seq = 1, .ack = 1),
	EVENT(EV_CONNECTED),
	STATE(TCP_ESTABLISHED),
};

static const struct row both_at_once_reset[] = {
	ASKED,
	IN(S, .seq = 0),
	OUT(S | A, .seq = 0, .ack = 1),
	IN(R, .seq = 1),
	EVENT(EV_CLOSED, .error = -ECONNREFUSED),
	STATE(TCP_CLOSED),
};

static const struct row both_at_once_closed[] = {
	ASKED,
	IN(S, .seq = 0),
	OUT(S | A, .seq = 0, .ack = 1),
	CALL(DO_CLOSE),
	SILENCE,
	IN(A, .seq = 1, .ack = 1),
	OUT(F | A, .seq = 1, .ack = 1),
	IN(F | A, .seq = 1, .ack = 2),
	OUT(A, .seq = 2, .ack = 2),
	STATE(TCP_TIME_WAIT),
};

static const struct row connect_aborted[] = {
	ASKED,
	CALL(DO_ABORT),
	SILENCE,
	IN(S | A, .seq = 0, .ack = 1),
	OUT(R, .seq = 1),
	STATE(TCP_CLOSED),
};

static const struct row connect_closed[] = {
	ASKED,
	CALL(DO_CLOSE),
	SILENCE,
	STATE(TCP_CLOSED),
	IN(S | A, .seq = 0, .ack = 1),
	OUT(R, .seq = 1),
};

/* --- ICMP ---------------------------------------------------------------- */

static const struct row icmp_refuses[] = {
	ASKED,
	/* Not ours: of no sequence number that is on its way. */
	ICMP(ICMP_NO_HOST_, .seq = 5),
	ICMP(ICMP_NO_HOST_, .seq = 0xffffff00),
	SILENCE,
	STATE(TCP_SYN_SENT),
	ICMP(ICMP_NO_HOST_, .seq = 0),
	EVENT(EV_CLOSED, .error = -EHOSTUNREACH),
	STATE(TCP_CLOSED),
};

static const struct row icmp_no_port[] = {
	ASKED,
	ICMP(ICMP_NO_PORT_, .seq = 0),
	EVENT(EV_CLOSED, .error = -ECONNREFUSED),
};

static const struct row icmp_soft[] = {
	ASKED,
	ICMP(ICMP_TTL_, .seq = 0),
	SILENCE,
	STATE(TCP_SYN_SENT),
};

/* --- cookies ------------------------------------------------------------- */

static const struct row cookie_taken[] = {
	LISTENS,
	IN(S, .seq = 0, .mss = 1000, .wscale = 8, .sackok = true, .ts = true),
	OUT(S | A, .seq = 0, .ack = 1, .mss = 1460, .opts = true, .wscale = 1,
		.sackok = true, .ts = true),
	STATE(TCP_CLOSED),
	WAIT(100),
	IN(A, .seq = 1, .ack = 1),
	EVENT(EV_ACCEPTED),
	STATE(TCP_ESTABLISHED),
	STAT(cookies_sent, 1),
	STAT(cookies_ok, 1),
	IN(A, .seq = 1001, .ack = 1, .len = 100),
	OUT(A, .seq = 1, .ack = 1, .n_sack = 1, .sack = { { 1001, 1101 } }),
};

static const struct row cookie_bare[] = {
	LISTENS,
	IN(S, .seq = 0, .wscale = 8, .sackok = true),
	/* Without timestamps there is no room for the other options. */
	OUT(S | A, .seq = 0, .ack = 1, .opts = true),
	IN(A, .seq = 1, .ack = 1, .len = 10),
	EVENT(EV_ACCEPTED),
	EVENT(EV_RECEIVED, .len = 10),
	WITHIN(40, 41),
	OUT(A, .seq = 1, .ack = 11),
};

static const struct row cookie_bad[] = {
	LISTENS,
	IN(S, .seq = 0),
	OUT(S | A, .seq = 0, .ack = 1),
	IN(A, .seq = 1, .ack = 2),
	OUT(R, .seq = 2),
	IN(A, .seq = 2, .ack = 1),
	OUT(R, .seq = 1),
	IN(A, .seq = 1, .ack = 1, .peer = 1),
	OUT(R, .seq = 1, .peer = 1),
	STAT(cookies_bad, 3),
	STATE(TCP_CLOSED),
	/* What is behind a lost segment must not end it. */
	IN(A, .seq = 101, .ack = 1, .len = 10),
	SILENCE,
	IN(A, .seq = 1, .ack = 1, .len = 100),
	EVENT(EV_ACCEPTED),
	EVENT(EV_RECEIVED, .len = 100),
};

static const struct row cookie_old[] = {
	LISTENS,
	IN(S, .seq = 0),
	OUT(S | A, .seq = 0, .ack = 1),
	WAIT(200000),
	IN(A, .seq = 1, .ack = 1),
	OUT(R, .seq = 1),
};

/* The third is one too many: it gets a cookie, and is as good. */
static const struct row crowded[] = {
	LISTENS,
	IN(S, .seq = 0, .peer = 1),
	OUT(S | A, .seq = 0, .ack = 1, .peer = 1),
	IN(S, .seq = 0, .peer = 2),
	OUT(S | A, .seq = 0, .ack = 1, .peer = 2),
	STAT(cookies_sent, 0),
	IN(S, .seq = 0, .peer = 3),
	OUT(S | A, .seq = 0, .ack = 1, .peer = 3),
	STAT(cookies_sent, 1),
	IN(A, .seq = 1, .ack = 1, .peer = 3),
	EVENT(EV_ACCEPTED),
	IN(A, .seq = 1, .ack = 1, .peer = 1),
	EVENT(EV_ACCEPTED),
	/* There is room again. */
	IN(S, .seq = 0, .peer = 4),
	OUT(S | A, .seq = 0, .ack = 1, .peer = 4),
	STAT(cookies_sent, 1),
};

static const struct row crowded_port[] = {
	CALL(DO_LISTEN, .len = 1),
	IN(S, .seq = 0, .peer = 1),
	OUT(S | A, .seq = 0, .ack = 1, .peer = 1),
	IN(S, .seq = 0, .peer = 2),
	OUT(S | A, .seq = 0, .ack = 1, .peer = 2),
	STAT(cookies_sent, 1),
	IN(A, .seq = 1, .ack = 1, .peer = 2),
	EVENT(EV_ACCEPTED),
};

#define ONE_MORE(n)                                          \
	IN(S, .seq = 0, .peer = (n)),                        \
		OUT(S | A, .seq = 0, .ack = 1, .peer = (n)), \
		IN(A, .seq = 1, .ack = 1, .peer = (n)), EVENT(EV_ACCEPTED)

/* No entry left: a SYN is not answered, so that it comes again. */
static const struct row table_full[] = {
	LISTENS,
	ONE_MORE(0),
	ONE_MORE(1),
	ONE_MORE(2),
	ONE_MORE(3),
	ONE_MORE(4),
	ONE_MORE(5),
	ONE_MORE(6),
	ONE_MORE(7),
	IN(S, .seq = 0, .peer = 8),
	SILENCE,
	STAT(table_full, 1),
	CALL(DO_ABORT),
	OUT(R | A, .seq = 1, .ack = 1),
	ONE_MORE(8),
};

static const struct table tables[] = {
	TABLE(closed_port),
	TABLE(listening),
	TABLE(listening_no_more),
	TABLE(all_options),
	TABLE(no_options),
	TABLE(options_not_wanted, .config = { .no_timestamps = true,
					  .no_sack = true,
					  .no_wscale = true }),
	TABLE(small_mss),
	TABLE(tiny_mss),
	TABLE(odd_options),
	TABLE(data_in_syn),
	TABLE(not_accepted, .refuse = true),
	TABLE(syn_again),
	TABLE(half_open_reset),
	TABLE(half_open_bad_ack),
	TABLE(half_open_unacceptable),
	TABLE(half_open_data),
	TABLE(half_open_fin),
	TABLE(half_open_in_time, .config = { .connect_ms = 10000 }),
	TABLE(connect_plain),
	TABLE(connect_twice),
	TABLE(connect_to_half_open),
	TABLE(connect_bad_syn_ack),
	TABLE(connect_refused),
	TABLE(connect_data_in_syn_ack),
	TABLE(connect_in_time, .config = { .connect_ms = 5000 }),
	TABLE(both_at_once),
	TABLE(both_at_once_ack),
	TABLE(both_at_once_reset),
	TABLE(both_at_once_closed),
	TABLE(connect_aborted),
	TABLE(connect_closed),
	TABLE(icmp_refuses),
	TABLE(icmp_no_port),
	TABLE(icmp_soft),
	TABLE(cookie_taken, .config = { .always_cookies = true }),
	TABLE(cookie_bare, .config = { .always_cookies = true }),
	TABLE(cookie_bad, .config = { .always_cookies = true }),
	TABLE(cookie_old, .config = { .always_cookies = true }),
	TABLE(crowded, .config = { .max_half_open = 2 }),
	TABLE(crowded_port),
	TABLE(table_full, .config = { .max_connections = 8 }),
};

int
main(void)
{
	return tables_main("tcp_table_open", tables, RTE_DIM(tables));
}
