/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of the stack share: the connection, the stack, and who does
 * what. A segment's way:
 *
 *   input.c   a burst: parse, look up, hand on       icmp.c   errors
 *     |-> state.c   a segment for a connection: RFC 9293 section 3.10.7
 *     |     |-> ack.c       what it acknowledges, loss and recovery
 *     |     `-> receive.c   its data and FIN, the window we offer
 *     |-> listen.c  SYNs, cookies       connect.c  SYNs of our own, ports
 *     `-> timewait.c                    timer.c    what time does
 *   output.c  what is to be sent now -> frame.c  as a frame
 *   table.c   entries, the hash, timers        send.c   the queue, and calls
 *
 * Memory of an idle connection: struct tcp_conn and its links, asserted below,
 * and in rte_hash about 16 bytes of key, 16 of bucket and 8 of free list; no
 * mbuf.
 */
#ifndef CARRYALL_TCP_INTERNAL_H
#define CARRYALL_TCP_INTERNAL_H

#include <assert.h>

#include <rte_branch_prediction.h>

#include "dataplane/flow_hash.h"
#include "dataplane/packet.h"
#include "dataplane/tcp/cc.h"
#include "dataplane/tcp/reass.h"
#include "dataplane/tcp/rtt.h"
#include "dataplane/tcp/sack.h"
#include "dataplane/tcp/secret.h"
#include "dataplane/tcp/segment.h"
#include "dataplane/tcp/tcp.h"
#include "dataplane/wheel.h"

/* What a connection has to do or has done. */
#define CONN_MARKED    0x0001 /* in the list of tcp_flush() */
#define CONN_ARMED     0x0002 /* in the wheel */
#define CONN_ACK_NOW   0x0004 /* say where we are, with data or without */
#define CONN_FIN       0x0008 /* tcp_shutdown(): a FIN behind the queue */
#define CONN_FIN_SENT  0x0010
#define CONN_ORPHAN    0x0020 /* tcp_close(): no event any more */
#define CONN_PASSIVE   0x0040 /* it came to a listener */
#define CONN_PERSIST   0x0080 /* rtx_at is for probing a closed window */
#define CONN_PROBE     0x0100 /* a probe is due */
#define CONN_SYN_DUE   0x0200 /* send SYN or SYN+ACK */
#define CONN_TIMED     0x0400 /* rtt_seq, rtt_at are being measured */
#define CONN_WANT_ROOM 0x0800 /* room() is owed */
#define CONN_QUICKACK  0x1000
#define CONN_RTX_DUE   0x2000 /* recovery may have something to send */
#define CONN_PEER_FIN  0x4000 /* its FIN was taken */
#define CONN_LIMITED   0x8000 /* the window was used up */

enum recovery {
	RECOVERY_NONE,
	RECOVERY_FAST, /* duplicates or SACK have shown a loss */
	RECOVERY_TIME, /* all from rtx_nxt on is sent again */
};

#define BOARD_NONE UINT32_MAX

/*
 * One connection. Line 0 finds it, line 1 is what each segment reads and
 * writes; 2 is for sending and its timers, 3 and 4 for queues and the ends.
 * All times in milliseconds of the stack's clock, cut to 32 bits; 0: none.
 */
struct tcp_conn {
	struct tcp_tuple tuple;
	uint8_t state;      /* enum tcp_state */
	uint8_t opts;       /* TCP_OPT_* that both sides use */
	uint8_t snd_wscale; /* of windows that come in */
	uint8_t rcv_wscale; /* of those we send */
	uint16_t flags;     /* CONN_* */
	uint16_t mss;       /* most payload, options not yet taken off */
	struct tcp *stack;
	uint32_t out_next; /* in the list of tcp_flush() */
	uint32_t listener; /* PASSIVE: slot; in SYN_RCVD */

	uint32_t rcv_nxt;
	uint32_t rcv_adv;  /* right edge that was offered */
	uint32_t rcv_held; /* delivered, not consumed */
	uint32_t ack_sent; /* rcv_nxt of the last ACK sent */
	uint32_t snd_una, snd_nxt;
	uint32_t snd_end; /* behind the last byte queued */
	uint32_t snd_wnd; /* bytes */
	uint32_t snd_wl1, snd_wl2;
	uint32_t max_wnd; /* largest snd_wnd ever */
	uint32_t ts_recent, ts_recent_at;
	uint32_t ts_offset;
	uint32_t heard_at; /* last segment that was in order */
	uint32_t una_at;   /* since when snd_una waits */

	struct cc cc;
	struct rtt rtt;
	uint8_t backoff; /* the RTO is doubled so often */
	uint8_t dupacks;
	uint8_t recovery; /* enum recovery */
	uint8_t probes;   /* keep-alives unanswered */
	uint32_t recover; /* snd_nxt when the recovery began */
	uint32_t rtx_nxt; /* RECOVERY_TIME: next to be sent again */
	uint32_t rtt_seq, rtt_at;
	uint32_t rtx_at;  /* retransmission, or probe */
	uint32_t ack_at;  /* delayed ACK */
	uint32_t idle_at; /* keep-alive, FIN_WAIT_2, end of a hand-shake */
	uint32_t armed_at;

	struct rte_mbuf *snd_first, *snd_last;
	struct rte_mbuf *snd_cur; /* holds snd_nxt, or NULL */
	struct reass ooo;
	const struct tcp_ops *ops;
	void *user;
	uint32_t board; /* SACK scoreboard, or BOARD_NONE */
	uint32_t iss, irs;
	uint32_t nexthop;
	struct tcp_path path;
	uint16_t snd_bufs;     /* mbufs queued */
	uint8_t mac_news;      /* of another peer's MAC, once seen; or 0 */
	uint8_t syn_sent;      /* SYNs sent */
	uint16_t rcv_bufs;     /* mbufs delivered, not consumed, about */
	uint32_t challenge_at; /* of the last challenge ACK; 0: none */
	uint32_t retransmits;
	uint32_t sent_at; /* last segment with data */
	uint32_t life;    /* goes up when the entry is freed: a caller that
			   * remembers it knows whether `c` is still there */
} __attribute__((aligned(64)));

_Static_assert(offsetof(struct tcp_conn, rcv_nxt) == 64, "line 1");
_Static_assert(sizeof(struct tcp_conn) + sizeof(struct wheel_link) + 48 <= 512,
	"an idle connection takes at most 512 bytes");

/* A connection in TIME-WAIT: one line. */
struct tcp_wait {
	struct tcp_tuple tuple;
	uint32_t snd_nxt, rcv_nxt;
	uint32_t ts_recent;
	uint32_t ts_offset;
	uint32_t until; /* ms */
	uint8_t opts;
	uint8_t used;
	uint8_t pad[6];
} __attribute__((aligned(64)));

_Static_assert(sizeof(struct tcp_wait) == 64, "a line");

struct tcp_listener {
	struct ip_addr addr;
	uint16_t port;
	uint8_t used;
	uint32_t backlog, half_open;
	const struct tcp_ops *ops;
	void *user;
};

/* Indices of the stack's links: entries, then heads of lists, then slots. */
#define LINK_LISTS 1 /* TIME-WAIT, oldest first */

#define WHEEL_SLOTS 16384 /* of a millisecond: a horizon of 16 s */

struct tcp {
	struct tcp_config cfg;
	struct tcp_secret secret;
	uint64_t key[FLOW_KEYS]; /* of the table's hash */
	uint64_t now_ms;
	struct stats_tcp *stats;
	const struct cc_ops *cc;

	struct rte_hash *hash;
	struct tcp_conn *conn;   /* [0, max_connections) */
	struct tcp_wait *wait;   /* [0, max_time_wait) */
	struct wheel_link *link; /* entries, waits, lists, slots */
	struct wheel wheel;
	uint32_t free_conn, free_wait;
	uint32_t out_first, out_last; /* marked connections; BOARD_NONE */
	uint32_t changes; /* of the hash, so that a look-up knows its age */
	uint32_t connections, half_open, time_wait, held, lent, timers;
	uint32_t tx_room;    /* frames that this tcp_flush() may still send */
	uint32_t cookies_at; /* when one was sent last; 0: never */
	uint32_t port_count; /* RFC 6056 */

	uint32_t n_own;
	uint16_t *own;                           /* buckets of ours */
	uint16_t listener_at[TCP_LISTENERS * 2]; /* hash: slot + 1 */
	uint32_t n_listeners;
	struct tcp_listener listener[TCP_LISTENERS];

	struct sack_board *board;
	uint32_t free_board, boards;
	struct stats_tcp own_stats;
};

static inline uint32_t
conn_index(const struct tcp_conn *c)
{
	return (uint32_t)(c - c->stack->conn);
}

static inline uint32_t
now32(const struct tcp *t)
{
	return (uint32_t)t->now_ms;
}

/* A deadline `ms` from now; never 0, which means none. */
static inline uint32_t
deadline(const struct tcp *t, uint32_t ms)
{
	uint32_t at = now32(t) + ms;

	return at != 0 ? at : 1;
}

/* Is time `at` there? */
static inline bool
is_due(const struct tcp *t, uint32_t at)
{
	return at != 0 && seq_leq(at, now32(t));
}

static inline uint32_t
conn_ts(const struct tcp_conn *c)
{
	return now32(c->stack) + c->ts_offset;
}

/* Bytes of options that a data segment has. */
static inline uint32_t
conn_opts_len(const struct tcp_conn *c)
{
	return c->opts & TCP_OPT_TS ? TCP_TS_LEN : 0;
}

/* The payload of a full segment. */
static inline uint32_t
conn_mss(const struct tcp_conn *c)
{
	return c->mss - conn_opts_len(c);
}

static inline struct sack_board *
conn_board(const struct tcp_conn *c)
{
	return c->board == BOARD_NONE ? NULL : &c->stack->board[c->board];
}

static inline bool
conn_synced(const struct tcp_conn *c)
{
	return c->state >= TCP_ESTABLISHED;
}

/* May it still send new data (or has it not said FIN yet)? */
static inline bool
conn_sends(const struct tcp_conn *c)
{
	return c->state == TCP_ESTABLISHED || c->state == TCP_CLOSE_WAIT;
}

/* A segment that has come in: the frame, its parts, and when it is sent on. */
struct tcp_in {
	struct rte_mbuf *m;
	struct packet p;
	struct tcp_seg s;
	uint64_t key;
};

/* --- table.c ------------------------------------------------------------- */

uint64_t table_key(const struct tcp *t, const struct tcp_tuple *tuple);

/* What `tuple` leads to: at most one of *c and *w is not NULL. */
void table_find(struct tcp *t, const struct tcp_tuple *tuple,
	struct tcp_conn **c, struct tcp_wait **w);

/* The same from what the hash holds for its key; compares the tuple. */
void table_resolve(struct tcp *t, uintptr_t data, const struct tcp_tuple *tuple,
	struct tcp_conn **c, struct tcp_wait **w);

/* A fresh entry for `tuple`, in the hash; NULL when full (counted). */
struct tcp_conn *conn_create(struct tcp *t, const struct tcp_tuple *tuple);

/* Free all it has. Not in the hash any more if `keep_key` is false. */
void conn_free(struct tcp_conn *c, bool keep_key);

/* End it: closed(error) to the user, unless it has none, then freed. */
void conn_end(struct tcp_conn *c, int error);

/* To be looked at by tcp_flush(). */
void conn_mark(struct tcp_conn *c);

/* Be woken at the earliest deadline. After any was set. */
void conn_arm(struct tcp_conn *c);

/* Move to another state, with what is counted by it. */
void conn_set_state(struct tcp_conn *c, enum tcp_state state);

/* A scoreboard for `c`: true if it has one now. */
bool board_get(struct tcp_conn *c);
void board_put(struct tcp_conn *c);

/* --- timewait.c ---------------------------------------------------------- */

/* `c` has ended in order: its place is taken by a small entry. */
void wait_enter(struct tcp_conn *c);
/* A segment for one; true if a SYN may take its place (it is then gone). */
bool wait_input(struct tcp *t, struct tcp_wait *w, struct tcp_in *in,
	uint32_t *min_isn);
/* May a connection that we open take its place? Then it is gone. */
bool wait_reuse(struct tcp *t, struct tcp_wait *w, uint32_t *min_isn);
void wait_tick(struct tcp *t);
void wait_init(struct tcp *t);

/* --- listen.c, connect.c ------------------------------------------------- */

/* A segment that no connection has. `min_isn` for a SYN; 0: any. */
nf_verdict listen_input(struct tcp *t, struct tcp_in *in,
	const struct tcp_tuple *tuple, uint32_t min_isn);
void listen_handshake_over(struct tcp_conn *c);
/* MSS, scale, SACK and timestamps from the peer's SYN. */
void conn_take_options(struct tcp_conn *c, const struct tcp_seg *syn);
/* What is common to both kinds of opening; `mtu` is in c->path. */
void conn_begin(struct tcp_conn *c, uint32_t min_isn);
/* The hand-shake is done: established. */
void conn_established(struct tcp_conn *c);
/* The most payload of segments over a path with `mtu`, options included. */
uint16_t mss_of_mtu(const struct tcp *t, const struct ip_addr *a, uint16_t mtu);

/* --- state.c, ack.c, receive.c ------------------------------------------- */

/* A segment for `c`; takes in->m. */
void conn_input(struct tcp_conn *c, struct tcp_in *in);
/* Its acknowledgement; false: it is no good, drop it (answered). */
bool ack_input(struct tcp_conn *c, const struct tcp_seg *s);
/* Its payload and FIN, already cut to the window; takes in->m. */
void receive_input(struct tcp_conn *c, struct tcp_in *in);
/* The window to offer; moves rcv_adv. Scaled as the wire wants it. */
uint16_t receive_window(struct tcp_conn *c);
/* Are there more mbufs in use than should be? */
static inline bool
is_pressed(const struct tcp *t)
{
	return t->held + t->lent >= t->cfg.max_held;
}

/* Bytes that could be offered now, beyond rcv_nxt. */
uint32_t receive_space(const struct tcp_conn *c);
/* An ACK in answer to something odd, as often as is good (RFC 5961). */
void challenge_ack(struct tcp_conn *c);
/* After a time-out, or a smaller path: send again from snd_una. */
void loss_restart(struct tcp_conn *c);
void icmp_input(struct tcp *t, struct tcp_in *in);
/* A smaller path for what goes out from here on. */
void conn_set_mtu(struct tcp_conn *c, uint16_t mtu);

/* --- output.c, frame.c --------------------------------------------------- */

/* Send what may be sent. false: no mbuf, to be tried again. */
bool conn_output(struct tcp_conn *c);

/*
 * Send one segment of `c`: payload [seq, seq + len) of the queue, `flags`.
 * false: no mbuf.
 */
bool frame_send(struct tcp_conn *c, uint32_t seq, uint32_t len, uint8_t flags);

/* Send a segment without a connection, back to where `to` came from. */
void frame_answer(struct tcp *t, const struct tcp_in *to, struct tcp_seg *s);
void frame_reset(struct tcp *t, const struct tcp_in *to);
void conn_reset(struct tcp_conn *c);

/* --- timer.c, send.c ----------------------------------------------------- */

/* (Re)start the retransmission timer. */
void timer_rtx_start(struct tcp_conn *c);
void timer_run(struct tcp_conn *c);
uint32_t conn_rto(const struct tcp_conn *c);

/* Free what is acknowledged: the queue begins at snd_una. */
void queue_advance(struct tcp_conn *c);
void queue_clear(struct tcp_conn *c);
/* The mbuf that holds `seq`, which is queued. */
struct rte_mbuf *queue_at(const struct tcp_conn *c, uint32_t seq);

#endif
