/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TCP for the data path: one stack per instance, one thread, no lock, no
 * global state.
 *
 *   VNIC --frames--> tcp_input() --events--> the user (nf/proxy, nf/echo)
 *                        |                      |  tcp_send(), tcp_consumed(),
 *                        |                      v  tcp_shutdown() ...
 *   VNIC <--emit()-- tcp_flush() <---- connections with something to say
 *
 * A stack knows no NIC: frames go out by a function of the configuration, and
 * time comes in with each call. So two stacks talk to each other in a test,
 * over a link made of memory, on a clock that jumps.
 *
 * Nothing is copied. Received data are the mbufs that the VNIC delivered, cut
 * to the payload; they belong to the user, who may send them on another
 * connection, where they get a new header in the room of the old one. Sent
 * data stay in the connection's queue until they are acknowledged.
 *
 * Flow control is by bytes: what is delivered fills the receive window until
 * tcp_consumed() says that it has gone on; what is queued to be sent is held
 * against tcp_room(). So a relay is bounded in both directions by passing the *
 * one on to the other. All connections together hold at most max_held mbufs:
 * near that, windows are opened by two segments only, so that each goes on,
 * but slowly; far beyond it payload is dropped.
 *
 * Output is collected: calls and segments only mark a connection, and
 * tcp_flush() at the end of a burst sends what is due, so that an answer
 * carries the acknowledgement of its question.
 *
 * Sources: RFC 9293 (TCP), 6298 (RTO), 5681 and 6582 (NewReno), 9438 (CUBIC),
 * 2018 and 6675 (SACK), 3042 (limited transmit), 7323 (window scale,
 * timestamps, PAWS), 5961 (blind attacks), 6528 (sequence numbers), 4987 (SYN
 * cookies), 1191 and 8201 (path MTU), 5927 (ICMP), 6191 (TIME-WAIT), 6691
 * (MSS), 1122 and 6429 (keep-alive, persist).
 */
#ifndef CARRYALL_TCP_H
#define CARRYALL_TCP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_mbuf.h>

#include "dataplane/addr.h"
#include "dataplane/nf.h"
#include "dataplane/stats.h"

struct tcp;
struct tcp_conn;

/* RFC 9293 section 3.3.2; LISTEN is a listener's, and no connection's. */
enum tcp_state {
	TCP_CLOSED, /* no connection */
	TCP_SYN_SENT,
	TCP_SYN_RCVD,
	TCP_ESTABLISHED,
	TCP_CLOSE_WAIT,
	TCP_FIN_WAIT_1,
	TCP_FIN_WAIT_2,
	TCP_CLOSING,
	TCP_LAST_ACK,
	TCP_TIME_WAIT, /* a small entry of its own, see timewait.c */
};

/* Congestion control; see cc.h. */
enum tcp_cc_name {
	TCP_CC_CUBIC,
	TCP_CC_NEWRENO,
};

#define TCP_NEXTHOP_PEER UINT32_MAX

/* What the port does for us. */
#define TCP_TX_CSUM   0x1 /* it computes IPv4 and TCP checksums */
#define TCP_TX_CHAINS 0x2 /* it sends packets of several segments */
#define TCP_TX_TSO    0x4 /* it cuts large segments; needs the other two */

/* Where frames of a connection go. */
struct tcp_path {
	uint8_t local_mac[6], remote_mac[6];
	uint16_t mtu; /* of the IP packet, bytes */
};

/* All of a stack; zero means the default of each. Copied by tcp_create(). */
struct tcp_config {
	uint32_t max_connections; /* a power of two; default 65536 */
	uint32_t max_half_open;   /* beyond: SYN cookies; default 4096 */
	uint32_t reserved;        /* of them, for tcp_connect() alone; 0 */
	uint32_t max_time_wait;   /* oldest go first; default max_connections */
	uint32_t max_held;        /* mbufs that connections hold, delivered ones
				   * included; default half of the pool */
	uint32_t rcv_buf;         /* bytes per connection; default 256 KiB */
	uint32_t snd_buf;         /* likewise; default 256 KiB */
	uint32_t rto_min_ms, rto_max_ms; /* 200, 60000 */
	uint32_t connect_ms;             /* give up a hand-shake; 15000 */
	uint32_t retransmit_ms; /* give up unacknowledged data; 100000 */
	uint32_t delack_ms;     /* 40 */
	uint32_t time_wait_ms;  /* 60000 */
	uint32_t fin_wait2_ms;  /* after tcp_close(); 60000 */
	uint32_t keepalive_ms;  /* idle before the first probe; 0: none */
	uint32_t keepalive_interval_ms; /* 10000 */
	uint32_t keepalive_probes;      /* 5 */
	uint16_t mss;                   /* at most; 0: by the MTU */
	uint8_t cc;                     /* enum tcp_cc_name */
	uint8_t offload;                /* TCP_TX_* */
	bool nagle; /* RFC 9293 section 3.7.4; default off */
	bool no_timestamps, no_sack, no_wscale; /* for tests and odd peers */
	bool always_cookies;                    /* for tests */

	/*
	 * Local ports of connections that we open: those whose low bits are a
	 * bucket with its bit set in own[]. buckets 0: any port from 1024 on.
	 */
	uint32_t buckets;
	const uint64_t *own; /* read by tcp_create() and tcp_set_buckets() */

	uint64_t seed;            /* of all secrets; 0: from the kernel */
	uint64_t now_ms;          /* the clock at creation */
	struct rte_mempool *pool; /* for headers, ACKs and small copies */
	struct stats_tcp *stats;  /* counters; NULL: the stack's own */
	const char *name;         /* unique in the process, <= 20 bytes */

	void *ctx; /* of the two below */

	/* Send a frame. It owns `m`. Called by tcp_flush(), tcp_input() ... */
	void (*emit)(void *ctx,
		struct rte_mbuf *m); /*
				      * How many frames emit() takes now without
				      * losing one; what is over is sent by a
				      * later tcp_flush(). NULL: any number.
				      */
	uint16_t (*room)(void *ctx);

	/*
	 * The way to next hop `nexthop` (tcp_connect()'s). For a peer that has
	 * come to us it is TCP_NEXTHOP_PEER: local_mac and mtu count, frames
	 * go to the MAC address that its own came from. 0, or -errno while
	 * it is not resolved. Asked when a connection is opened and at every
	 * retransmission by time.
	 */
	int (*route)(void *ctx, uint32_t nexthop, struct tcp_path *path);
};

/*
 * What a user hears of its connections. All run on the stack's thread, within
 * tcp_input(), tcp_tick() or tcp_flush(), and may call the stack again on any
 * connection, tcp_abort() and tcp_close() of this one included. `user` is
 * what accepted() returned or tcp_connect() was given. None may be NULL but
 * `accepted` of users that do not listen.
 */
struct tcp_ops {
	/*
	 * A hand-shake has ended. Returns the `user` of the connection; NULL
	 * refuses it with a reset, and no other event comes.
	 */
	void *(*accepted)(void *listener, struct tcp_conn *c);

	/* tcp_connect() has succeeded: it can be sent on. */
	void (*connected)(struct tcp_conn *c, void *user);

	/*
	 * The next bytes in order, a chain whose pkt_len is their number, >=
	 * 1. The user owns it, and says tcp_consumed() in its own time.
	 */
	void (*received)(struct tcp_conn *c, void *user, struct rte_mbuf *data);

	/* The peer has sent its FIN: no more received(). */
	void (*finished)(struct tcp_conn *c, void *user);

	/*
	 * Bytes were acknowledged and the queue is at most half full; comes
	 * only after tcp_send() had filled it beyond that, or tcp_want_room().
	 */
	void (*room)(struct tcp_conn *c, void *user);

	/*
	 * The connection is gone, `c` is no longer valid: the last event. 0:
	 * both sides have closed in order; -ECONNRESET, -ECONNREFUSED,
	 * -ETIMEDOUT, -EHOSTUNREACH (ICMP, while opening), -ENOBUFS.
	 */
	void (*closed)(struct tcp_conn *c, void *user, int error);
};

/* Bytes of DPDK memory that tcp_create() takes, mbufs not counted. */
size_t tcp_memory(const struct tcp_config *config);

/* A stack, or NULL with the reason in why[0..len). */
struct tcp *tcp_create(const struct tcp_config *config, char *why, size_t len);

/* Free all: connections end without a word to either side. */
void tcp_destroy(struct tcp *t);

/*
 * Accept connections to addr:port (network order). `listener` goes to
 * accepted(). `backlog` bounds half-open ones of this port, 0: none of its
 * own. 0, -EADDRINUSE, -ENOSPC (at most TCP_LISTENERS).
 */
#define TCP_LISTENERS 256
int tcp_listen(struct tcp *t, const struct ip_addr *addr, uint16_t port,
	const struct tcp_ops *ops, void *listener, uint32_t backlog);

/* Stop accepting. Connections go on. 0 or -ENOENT. */
int tcp_unlisten(struct tcp *t, const struct ip_addr *addr, uint16_t port);

/*
 * Open a connection to remote:rport (network order) from `local`, over next
 * hop `nexthop`. The port is the stack's choice (RFC 6056) unless lport is
 * not 0. connected() or closed() follows, never before this returns. 0 with
 * *conn, -EADDRNOTAVAIL (no port left), -ENOSPC (table full), -EHOSTUNREACH
 * (no way there), -EADDRINUSE.
 */
struct tcp_connect {
	struct ip_addr local, remote;
	uint16_t lport, rport;
	uint32_t nexthop;
	uint32_t connect_ms; /* 0: the configuration's */
};
int tcp_connect(struct tcp *t, const struct tcp_connect *to,
	const struct tcp_ops *ops, void *user, struct tcp_conn **conn);

/*
 * Queue the chain `data` (each segment writable and unshared, as received or
 * made; or an indirect one). The stack owns it with 0 and frees it when it is
 * acknowledged. -ENOBUFS when it does not fit (tcp_room() says what does;
 * one chain may go beyond while there is any room), -EPIPE after
 * tcp_shutdown() or when not established: then `data` is still the caller's.
 */
int tcp_send(struct tcp_conn *c, struct rte_mbuf *data);

/* Queue a copy of data[0..len). 0, -ENOBUFS or -EPIPE. */
int tcp_send_copy(struct tcp_conn *c, const void *data, size_t len);

/* Bytes that tcp_send() takes now. */
uint32_t tcp_room(const struct tcp_conn *c);

/* Bytes queued and not yet acknowledged. */
uint32_t tcp_queued(const struct tcp_conn *c);

/* room() is wanted with the next bytes that are acknowledged, see there. */
void tcp_want_room(struct tcp_conn *c);

/* `bytes` of what received() delivered have gone on: open the window. */
void tcp_consumed(struct tcp_conn *c, uint32_t bytes);

/*
 * Bytes that received() delivered, and which are not consumed yet, were moved
 * together: `bufs` of their mbufs are free again. They do not count any more
 * among those that connections hold; the window stays as it is.
 */
void tcp_returned(struct tcp_conn *c, uint32_t bufs);

/* No more to send: a FIN behind what is queued. Receiving goes on. */
void tcp_shutdown(struct tcp_conn *c);

/*
 * The user has no more interest: as tcp_shutdown(), no event comes any more,
 * and data that still come are answered with a reset (RFC 1122 section
 * 4.2.2.13). What is queued is still sent.
 */
void tcp_close(struct tcp_conn *c);

/* Reset it, free all. No event comes any more; `c` is not valid after. */
void tcp_abort(struct tcp_conn *c);

/* Change whom it belongs to. */
void tcp_set_user(struct tcp_conn *c, const struct tcp_ops *ops, void *user);

/* Acknowledge without delay from here on, or (false) as usual. */
void tcp_set_quickack(struct tcp_conn *c, bool on);

/* Who is on the line. Ports in network order. */
struct tcp_info {
	struct ip_addr local, remote;
	uint16_t lport, rport;
	uint32_t srtt_us, rto_ms, cwnd, ssthresh, mss;
	uint32_t retransmits;
	uint8_t state; /* enum tcp_state */
};
void tcp_info(const struct tcp_conn *c, struct tcp_info *info);
struct tcp *tcp_of(const struct tcp_conn *c);
void *tcp_user(const struct tcp_conn *c);

/*
 * Take pkts[0..n), n <= NF_BURST_MAX, as an nf's burst(). NF_HELD: the stack
 * (or the user) owns it now. Else the verdict says why it is not taken:
 * NF_DROP_MALFORMED, _NOT_OURS, _FRAGMENT ... or TCP_DROP(reason) of the
 * user's numbering, see TCP_DROPS. ICMP errors that quote a connection are
 * taken as well. Frames must have their TCP checksum intact or be marked good
 * by the driver. Not followed by a flush: that is the caller's.
 */
void tcp_input(struct tcp *t, struct rte_mbuf **pkts, uint16_t n,
	nf_verdict *verdict, uint64_t now_ms);

/*
 * The drop reasons of tcp_input(): a user puts these names first into its
 * nf.drops, in this order.
 */
enum tcp_drop {
	TCP_DROP_CHECKSUM = NF_DROP_OWN, /* TCP or IPv4 header checksum */
	TCP_DROP_CLOSED_PORT, /* nothing listens; answered with a reset */
	TCP_DROP_OWN,         /* the user's own reasons begin here */
};
#define TCP_DROPS "tcp_checksum", "tcp_closed_port"

/*
 * Do what is due by `now_ms`, a bounded slice of it. Returns microseconds
 * until there is more to do; 0: at once. To be followed by tcp_flush().
 */
uint32_t tcp_tick(struct tcp *t, uint64_t now_ms);

/*
 * Send all that is due on connections that have been marked. false: some could
 * not be sent for want of mbufs, or of room: to be called again soon.
 */
bool tcp_flush(struct tcp *t, uint64_t now_ms);

/* Buckets of ours have changed: connections that we open take these. */
void tcp_set_buckets(struct tcp *t, uint32_t buckets, const uint64_t *own);

/* What is in use; all zero but the pool's when nothing is left. */
struct tcp_usage {
	uint32_t connections, half_open, time_wait;
	uint32_t held;   /* mbufs in queues of the stack */
	uint32_t lent;   /* mbufs delivered and not yet consumed, about */
	uint32_t timers; /* armed */
	uint32_t listeners;
	uint32_t boards; /* SACK scoreboards in use */
};
void tcp_usage(const struct tcp *t, struct tcp_usage *usage);

#endif
