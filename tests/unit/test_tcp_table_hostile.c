/* SPDX-License-Identifier: BSD-3-Clause */
/* Peers that no one would write, as packet tables: each was a fault once. */
#include <errno.h>

#include "tests/unit/tcp_table.h"

/* A FIN is taken behind a closed window: then ACKs stand beyond its edge. */
static const struct row fin_behind_window[] = {
	ACCEPTED,
	IN(A, .seq = 1, .ack = 1, .len = 1000),
	EVENT(EV_RECEIVED, .len = 1000),
	IN(A, .seq = 1001, .ack = 1, .len = 1000),
	EVENT(EV_RECEIVED, .len = 1000),
	WITHIN(40, 41),
	OUT(A, .seq = 1, .ack = 2001, .wnd = WND_ZERO),
	IN(F | A, .seq = 2001, .ack = 1),
	EVENT(EV_FINISHED),
	OUT(A, .seq = 1, .ack = 2002, .wnd = WND_ZERO),
	CALL(DO_SEND, .len = 20),
	OUT(A, .seq = 1, .ack = 2002, .len = 20, .wnd = WND_ZERO),
	IN(A, .seq = 2002, .ack = 21),
	WAIT(5000),
	SILENCE,
	STAT(unacceptable, 0),
};

/* One in TIME-WAIT that takes no reset: no SYN for each of its ACKs. */
static const struct row syn_for_ack_for_ever[] = {
	CALL(DO_CONNECT),
	OUT(S, .seq = 0),
	IN(A, .seq = 900, .ack = 500),
	OUT(R, .seq = 500),
	OUT(S, .seq = 0),
	IN(A, .seq = 900, .ack = 500),
	OUT(R, .seq = 500),
	OUT(S, .seq = 0),
	IN(A, .seq = 900, .ack = 500),
	OUT(R, .seq = 500),
	IN(A, .seq = 900, .ack = 500),
	OUT(R, .seq = 500),
	WITHIN(900, 1001),
	OUT(S, .seq = 0),
	STATE(TCP_SYN_SENT),
};

/* Closed while both SYNs cross: there is a FIN to be said, and an end. */
static const struct row closed_while_both_open[] = {
	CALL(DO_CONNECT),
	OUT(S, .seq = 0),
	IN(S, .seq = 0, .mss = 1460),
	OUT(S | A, .seq = 0, .ack = 1),
	CALL(DO_CLOSE),
	IN(S | A, .seq = 0, .ack = 1, .mss = 1460),
	OUT(F | A, .seq = 1, .ack = 1),
	IN(A, .seq = 1, .ack = 2),
	IN(F | A, .seq = 1, .ack = 2),
	OUT(A, .seq = 2, .ack = 2),
	STATE(TCP_TIME_WAIT),
};

/* A byte in each mbuf: no ring takes a chain of so many. */
#define BYTE    CALL(DO_SEND_MBUF, .len = 1)
#define BYTES_5 BYTE, BYTE, BYTE, BYTE, BYTE
#define BYTES_50                                                       \
	BYTES_5, BYTES_5, BYTES_5, BYTES_5, BYTES_5, BYTES_5, BYTES_5, \
		BYTES_5, BYTES_5, BYTES_5
#define BYTES_300 BYTES_50, BYTES_50, BYTES_50, BYTES_50, BYTES_50, BYTES_50

static const struct row single_bytes[] = {
	ACCEPTED_(.mss = 1460),
	IN(A, .seq = 1, .ack = 1, .wnd = WND_ZERO),
	BYTES_300,
	IN(A, .seq = 1, .ack = 1, .wnd = 10000),
	OUT(A, .seq = 1, .ack = 1, .len = 300),
};

static const struct table tables[] = {
	TABLE(fin_behind_window, .hold = true, .config = { .rcv_buf = 2000 }),
	TABLE(syn_for_ack_for_ever),
	TABLE(closed_while_both_open),
	TABLE(single_bytes, .config = { .offload = TCP_TX_CHAINS }),
};

int
main(void)
{
	return tables_main("tcp_table_hostile", tables, RTE_DIM(tables));
}
