/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * liblwip as a peer in the same process: its raw API behind a few calls, in
 * types that are neither lwip's nor ours.
 *
 * The names of lwip's functions are ours, too (tcp_connect, tcp_close ...). So
 * the library is loaded at run time, its names to itself, and only
 * lwip_peer.c sees its headers.
 *
 * Debian's build: TCP_WND and TCP_SND_BUF 65535, MSS 1460, window scale 1, no
 * SACK, no timestamps, NewReno, retransmission timer of 500 ms ticks and 3 s
 * at first, delayed ACKs by 250 ms, TIME-WAIT of 120 s. Its timers are a
 * function that is called every 250 ms: it needs no clock, so that virtual
 * time is as good as any.
 *
 * lwip is one per process. All calls are of one thread.
 */
#ifndef LWIP_PEER_H
#define LWIP_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LWIP_PEER_WINDOW  65535 /* TCP_WND */
#define LWIP_PEER_SND_BUF 65535 /* TCP_SND_BUF */
#define LWIP_PEER_TICK_US 250000

struct lwip_conn;

/* IPv6, or IPv4 in word[3] with the others 0 and v4 set; network order. */
struct lwip_addr {
	uint32_t word[4];
	bool v4;
};

/* As struct tcp_ops; no event after closed(). */
struct lwip_events {
	void *(*accepted)(void *listener, struct lwip_conn *c);
	void (*connected)(struct lwip_conn *c, void *user);
	/* data[0..n) is good until it returns. */
	void (*received)(struct lwip_conn *c, void *user, const uint8_t *data,
		uint32_t n);
	void (*finished)(struct lwip_conn *c, void *user);
	void (*room)(struct lwip_conn *c, void *user);
	void (*closed)(struct lwip_conn *c, void *user, int error);
};

/* Load lwip, once: NULL, or why it cannot be. */
const char *lwip_peer_load(void);

/*
 * Give it the addresses `v4` and `v6`, and a link: output(ctx, ip, n) takes
 * each IP packet ip[0..n), n <= `mtu`. May be called again.
 */
void lwip_peer_link(const struct lwip_addr *v4, const struct lwip_addr *v6,
	uint16_t mtu, void (*output)(void *ctx, const uint8_t *ip, uint32_t n),
	void *ctx);

/* An IP packet ip[0..n) has come. */
void lwip_peer_input(const uint8_t *ip, uint32_t n);

/* To be called every LWIP_PEER_TICK_US. */
void lwip_peer_tick(void);

/* Forget what a failed test has left, without a word to anyone. */
void lwip_peer_clear(void);

/* Connections that it knows, TIME-WAIT included; listeners are not counted. */
unsigned int lwip_peer_connections(void);
unsigned int lwip_peer_listeners(void);

/* Listen on `port` (host order). One listener at a time. */
void lwip_peer_listen(uint16_t port, bool v4, const struct lwip_events *events,
	void *listener);
void lwip_peer_unlisten(void);

/* Connect from lport to addr:port. connected() or closed() follows. */
struct lwip_conn *lwip_peer_connect(const struct lwip_addr *addr, uint16_t port,
	uint16_t lport, const struct lwip_events *events, void *user);

/*
 * Calls on a connection; not within its events. room: bytes that send takes
 * at most; false: they are too many segments, to be tried again after room().
 * After release, which both directions must have ended before, and after
 * close and abort, `c` is gone and no event comes.
 */
uint16_t lwip_conn_port(const struct lwip_conn *c, bool remote);
uint32_t lwip_conn_room(const struct lwip_conn *c);
bool lwip_conn_send(struct lwip_conn *c, const uint8_t *data, uint16_t n);
void lwip_conn_consumed(struct lwip_conn *c, uint32_t n);
void lwip_conn_shutdown(struct lwip_conn *c);
void lwip_conn_close(struct lwip_conn *c);
void lwip_conn_release(struct lwip_conn *c);
void lwip_conn_abort(struct lwip_conn *c);

#endif
