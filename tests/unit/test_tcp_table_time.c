/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Closed windows, keep-alive, Nagle, and paths that get smaller, as packet
 * tables (RFC 9293 section 3.8, 6429, 1122, 1191, 8201, 5927).
 */
#include <errno.h>

#include "tests/unit/tcp_table.h"

#define MSS     1460
#define FULL(s) OUT(A, .seq = (s), .ack = 1, .len = MSS)
/* A probe has an old number, so that it must be answered. */
#define PROBE         OUT(A, .seq = 0, .ack = 1, .garbage = true)
#define CLOSED_WINDOW ACCEPTED, IN(A, .seq = 1, .ack = 1, .wnd = WND_ZERO)
#define STILL_CLOSED  IN(A, .seq = 1, .ack = 1, .wnd = WND_ZERO)

/* --- a closed window ----------------------------------------------------- */

static const struct row probes[] = {
	CLOSED_WINDOW,
	CALL(DO_SEND, .len = 100),
	SILENCE,
	STAT(zero_windows, 1),
	WITHIN(200, 201),
	PROBE,
	STILL_CLOSED,
	WITHIN(400, 401),
	PROBE,
	STILL_CLOSED,
	WITHIN(800, 801),
	PROBE,
	/* Answers or none, it asks less and less often. */
	WITHIN(1600, 1601),
	PROBE,
	STILL_CLOSED,
	WITHIN(2000, 2001),
	PROBE,
	STILL_CLOSED,
	WITHIN(2000, 2001),
	PROBE,
	STAT(probes, 6),
	IN(A, .seq = 1, .ack = 1, .wnd = 1000),
	OUT(A, .seq = 1, .ack = 1, .len = 100),
	STAT(timeouts, 0),
	/* Back-off is over. */
	WITHIN(200, 201),
	OUT(A, .seq = 1, .ack = 1, .len = 100),
};

/* RFC 1122 section 4.2.2.17: as long as there are answers. */
#define ANSWERED WITHIN(2000, 2001), PROBE, STILL_CLOSED
/* What came shortly before a probe is acknowledged all the same. */
static const struct row probe_owes[] = {
	CLOSED_WINDOW,
	CALL(DO_SEND, .len = 100),
	WITHIN(200, 201),
	PROBE,
	STILL_CLOSED,
	WAIT(390),
	IN(A, .seq = 1, .ack = 1, .len = 100, .wnd = WND_ZERO),
	EVENT(EV_RECEIVED, .len = 100),
	WITHIN(10, 11),
	OUT(A, .seq = 0, .ack = 101, .garbage = true),
	WITHIN(29, 31),
	OUT(A, .seq = 1, .ack = 101),
};
static const struct row closed_for_long[] = {
	CLOSED_WINDOW,
	CALL(DO_SEND, .len = 100),
	WITHIN(200, 201),
	PROBE,
	STILL_CLOSED,
	WITHIN(400, 401),
	PROBE,
	STILL_CLOSED,
	WITHIN(800, 801),
	PROBE,
	STILL_CLOSED,
	WITHIN(1600, 1601),
	PROBE,
	STILL_CLOSED,
	ANSWERED,
	ANSWERED,
	ANSWERED,
	ANSWERED,
	ANSWERED,
	ANSWERED,
	STATE(TCP_ESTABLISHED),
	/* Until there are none. */
	WITHIN(2000, 2001),
	PROBE,
	WITHIN(2000, 2001),
	PROBE,
	WITHIN(2000, 2001),
	EVENT(EV_CLOSED, .error = -ETIMEDOUT),
	STAT(dead, 1),
};

/* Nobody would hear of it: it may not hold us for ever. */
static const struct row closed_and_orphan[] = {
	CLOSED_WINDOW,
	CALL(DO_SEND, .len = 100, .more = true),
	CALL(DO_CLOSE),
	WITHIN(200, 201),
	PROBE,
	STILL_CLOSED,
	WITHIN(400, 401),
	PROBE,
	STILL_CLOSED,
	WITHIN(800, 801),
	PROBE,
	STILL_CLOSED,
	WITHIN(1600, 1601),
	PROBE,
	STILL_CLOSED,
	WAIT(2001),
	SILENCE,
	STATE(TCP_CLOSED),
};

static const struct row fin_waits_for_window[] = {
	CLOSED_WINDOW,
	CALL(DO_SHUTDOWN),
	SILENCE,
	WITHIN(200, 201),
	PROBE,
	IN(A, .seq = 1, .ack = 1, .wnd = 1000),
	OUT(F | A, .seq = 1, .ack = 1),
};

static const struct row opens_a_little[] = {
	CLOSED_WINDOW,
	CALL(DO_SEND, .len = 100),
	WITHIN(200, 201),
	PROBE,
	IN(A, .seq = 1, .ack = 1, .wnd = 10),
	SILENCE,
	WITHIN(200, 201),
	OUT(A, .seq = 1, .ack = 1, .len = 10),
	IN(A, .seq = 1, .ack = 11, .wnd = 10),
	WITHIN(200, 201),
	OUT(A, .seq = 11, .ack = 1, .len = 10),
	IN(A, .seq = 1, .ack = 21, .wnd = 10000),
	OUT(A, .seq = 21, .ack = 1, .len = 80),
};

static const struct row closes_while_in_flight[] = {
	ACCEPTED,
	CALL(DO_SEND, .len = 2000),
	FULL(1),
	OUT(A, .seq = 1461, .ack = 1, .len = 540),
	IN(A, .seq = 1, .ack = 2001, .wnd = WND_ZERO),
	CALL(DO_SEND, .len = 100),
	WITHIN(200, 201),
	OUT(A, .seq = 2000, .ack = 1, .garbage = true),
	IN(A, .seq = 1, .ack = 2001, .wnd = 5000),
	OUT(A, .seq = 2001, .ack = 1, .len = 100),
};

/* --- keep-alive ---------------------------------------------------------- */

static const struct row keep_alive[] = {
	ACCEPTED,
	WITHIN(10000, 10001),
	PROBE,
	IN(A, .seq = 1, .ack = 1),
	WITHIN(9999, 10001),
	PROBE,
	WITHIN(1000, 1001),
	PROBE,
	/* Late, but there. */
	IN(A, .seq = 1, .ack = 1),
	WITHIN(9000, 10001),
	PROBE,
	WITHIN(1000, 1001),
	PROBE,
	WITHIN(1000, 1001),
	PROBE,
	WITHIN(1000, 1001),
	EVENT(EV_CLOSED, .error = -ETIMEDOUT),
	OUT(R | A, .seq = 1, .ack = 1),
	STATE(TCP_CLOSED),
	STAT(dead, 1),
	STAT(probes, 6),
};

static const struct row alive_by_data[] = {
	ACCEPTED,
	WAIT(5000),
	IN(A, .seq = 1, .ack = 1, .len = 10),
	EVENT(EV_RECEIVED, .len = 10),
	WITHIN(40, 41),
	OUT(A, .seq = 1, .ack = 11),
	WAIT(9900),
	SILENCE,
	WITHIN(50, 70),
	OUT(A, .seq = 0, .ack = 11, .garbage = true),
};

/* The peer has no such connection any more. */
static const struct row alive_no_more[] = {
	ACCEPTED,
	WITHIN(10000, 10001),
	PROBE,
	IN(R, .seq = 1),
	EVENT(EV_CLOSED, .error = -ECONNRESET),
};

static const struct row no_keep_alive[] = {
	ACCEPTED,
	WAIT(8 * 3600 * 1000),
	SILENCE,
	STATE(TCP_ESTABLISHED),
};

/* --- Nagle --------------------------------------------------------------- */

static const struct row nagle[] = {
	ACCEPTED,
	CALL(DO_SEND, .len = 10),
	OUT(A, .seq = 1, .ack = 1, .len = 10),
	CALL(DO_SEND, .len = 10),
	CALL(DO_SEND, .len = 10),
	SILENCE,
	IN(A, .seq = 1, .ack = 11),
	OUT(A, .seq = 11, .ack = 1, .len = 20),
	/* A full one need not wait. */
	CALL(DO_SEND, .len = 1500),
	OUT(A, .seq = 31, .ack = 1, .len = 1460),
	IN(A, .seq = 1, .ack = 1491),
	OUT(A, .seq = 1491, .ack = 1, .len = 40),
	/* Nor the last. */
	CALL(DO_SEND, .len = 10),
	CALL(DO_SHUTDOWN),
	OUT(F | A, .seq = 1531, .ack = 1, .len = 10),
};

static const struct row no_nagle[] = {
	ACCEPTED,
	CALL(DO_SEND, .len = 10),
	OUT(A, .seq = 1, .ack = 1, .len = 10),
	CALL(DO_SEND, .len = 10),
	OUT(A, .seq = 11, .ack = 1, .len = 10),
	/* What is queued before a flush is one segment. */
	CALL(DO_SEND, .len = 10, .more = true),
	CALL(DO_SEND_MBUF, .len = 10, .more = true),
	CALL(DO_SEND, .len = 10),
	OUT(A, .seq = 21, .ack = 1, .len = 30),
};

/* --- smaller paths ------------------------------------------------------- */

static const struct row too_big[] = {
	ACCEPTED,
	CALL(DO_SEND, .len = 2920),
	FULL(1),
	FULL(1461),
	ICMP(ICMP_TOO_BIG_, .seq = 1, .mtu = 1300),
	OUT(A, .seq = 1, .ack = 1, .len = 1260),
	OUT(A, .seq = 1261, .ack = 1, .len = 1260),
	OUT(A, .seq = 2521, .ack = 1, .len = 400),
	STAT(pmtu, 1),
	/* The second of them comes, too, and says nothing new. */
	ICMP(ICMP_TOO_BIG_, .seq = 1461, .mtu = 1300),
	SILENCE,
	STAT(pmtu, 1),
	IN(A, .seq = 1, .ack = 2921),
	CALL(DO_SEND, .len = 1300),
	OUT(A, .seq = 2921, .ack = 1, .len = 1260),
	OUT(A, .seq = 4181, .ack = 1, .len = 40),
};

static const struct row too_big_for_whom[] = {
	ACCEPTED,
	CALL(DO_SEND, .len = 2920),
	FULL(1),
	FULL(1461),
	/* Not on its way. */
	ICMP(ICMP_TOO_BIG_, .seq = 0, .mtu = 1300),
	ICMP(ICMP_TOO_BIG_, .seq = 2921, .mtu = 1300),
	ICMP(ICMP_TOO_BIG_, .seq = 0x80000000, .mtu = 1300),
	/* No smaller than what was sent. */
	ICMP(ICMP_TOO_BIG_, .seq = 1, .mtu = 1500),
	ICMP(ICMP_TOO_BIG_, .seq = 1, .mtu = 9000),
	/* Damaged. */
	ICMP(ICMP_TOO_BIG_, .seq = 1, .mtu = 1300, .bad_csum = true),
	SILENCE,
	STAT(pmtu, 0),
	IN(A, .seq = 1, .ack = 2921),
	/* Late. */
	ICMP(ICMP_TOO_BIG_, .seq = 1, .mtu = 1300),
	ICMP(ICMP_TOO_BIG_, .seq = 2921, .mtu = 1300),
	STAT(pmtu, 0),
	CALL(DO_SEND, .len = 1460),
	FULL(2921),
};

/* RFC 5927: an established connection is not ended by ICMP. */
static const struct row icmp_kills_nothing[] = {
	ACCEPTED,
	CALL(DO_SEND, .len = 100),
	OUT(A, .seq = 1, .ack = 1, .len = 100),
	ICMP(ICMP_NO_PORT_, .seq = 1),
	ICMP(ICMP_NO_HOST_, .seq = 1),
	ICMP(ICMP_TTL_, .seq = 1),
	SILENCE,
	STATE(TCP_ESTABLISHED),
	IN(A, .seq = 1, .ack = 101),
};

/* A path that is narrow from the start. */
static const struct row small_path[] = {
	LISTENS,
	IN(S, .seq = 0, .mss = 1460),
	OUT(S | A, .seq = 0, .ack = 1, .mss = 1260),
	IN(A, .seq = 1, .ack = 1),
	EVENT(EV_ACCEPTED),
	CALL(DO_SEND, .len = 1300),
	OUT(A, .seq = 1, .ack = 1, .len = 1260),
	OUT(A, .seq = 1261, .ack = 1, .len = 40),
};

#define PATIENT .config = { .rto_max_ms = 2000, .retransmit_ms = 5000 }
#define KEEPS_ALIVE                            \
	.config = { .keepalive_ms = 10000,     \
		.keepalive_interval_ms = 1000, \
		.keepalive_probes = 3 }

static const struct table tables[] = {
	TABLE(probes, .config = { .rto_max_ms = 2000 }),
	TABLE(probe_owes),
	TABLE(closed_for_long, PATIENT),
	TABLE(closed_and_orphan,
		.config = { .rto_max_ms = 2000, .retransmit_ms = 4000 }),
	TABLE(fin_waits_for_window),
	TABLE(opens_a_little),
	TABLE(closes_while_in_flight),
	TABLE(keep_alive, KEEPS_ALIVE),
	TABLE(alive_by_data, KEEPS_ALIVE),
	TABLE(alive_no_more, KEEPS_ALIVE),
	TABLE(no_keep_alive),
	TABLE(nagle, .config = { .nagle = true }),
	TABLE(no_nagle),
	TABLE(too_big),
	TABLE(too_big_for_whom),
	TABLE(icmp_kills_nothing),
	TABLE(small_path, .mtu = 1300),
};

int
main(void)
{
	return tables_main("tcp_table_time", tables, RTE_DIM(tables));
}
