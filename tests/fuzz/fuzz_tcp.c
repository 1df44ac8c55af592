/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A stack and a peer that does anything, in an order that the input decides:
 * segments with numbers near those that count, calls of the user, time, ICMP.
 * So states are reached that no sequence of random bytes would find.
 *
 * Bytes are a function of their sequence number, in both directions, so all
 * that is delivered and all that is sent is checked. Frames that go out must
 * be well-formed, and do not change while a NIC holds them. When all is
 * aborted and time has passed, nothing may be left.
 *
 * Input: one byte of configuration, then commands of six bytes:
 *
 *	op | peer << 4, flags, seq, ack, len, more
 *
 * seq and ack are distances, signed, in units that `more` says.
 */
#include <stdlib.h>

#include <rte_eal.h>
#include <rte_mbuf.h>

#include "dataplane/tcp/tcp.h"
#include "tests/unit/tcp_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PEERS   4
#define HELD    8
#define COMMAND 6
/* Bits of a command's first byte, above the operation and the peer. */
#define NO_FLUSH    0x08
#define TO_LISTENER 0x80 /* else to the port of the latest connection */
#define PORT        80
#define PEER_PORT   40000
#define OWN_PORT    5555

enum { IN_STREAM = 1, OUT_STREAM = 2 };

/* Bits of the first byte. */
#define CFG_V6      0x01
#define CFG_COOKIES 0x02
#define CFG_NARROW  0x04 /* small buffers */
#define CFG_CHAINS  0x08
#define CFG_NAGLE   0x10
#define CFG_ALIVE   0x20
#define CFG_NEWRENO 0x40
#define CFG_SLOW    0x80 /* what comes is not consumed at once */

struct peer {
	struct tcp_conn *c;
	uint32_t iss, irs; /* of the connection that there is */
	uint32_t nxt;      /* what the stack wants next, as far as we know */
	uint32_t max;      /* the end of all that it has sent */
	uint32_t syn_irs;  /* by its latest SYN+ACK */
	uint32_t sent, got, unread;
	uint32_t ts; /* of its latest segment */
	uint16_t lport;
	bool finished;
};

struct held {
	struct rte_mbuf *m;
	uint32_t n;
	uint8_t bytes[2048];
};

static struct {
	struct tcp *tcp;
	struct tcp_config config;
	struct stats_tcp stats;
	struct peer peer[PEERS];
	struct ip_addr local, remote;
	uint64_t now_ms;
	uint8_t mode;
	struct tcp_seg cur; /* what is being taken */
	struct held held[HELD];
	uint32_t n_held;
} f;

static struct rte_mempool *pool;
static const uint8_t mac[2][6] = { { 2, 0, 0, 0, 0, 1 }, { 2, 0, 0, 0, 0, 2 } };

/* An invariant is broken: the sanitizer's report shows where. */
static void
must(bool ok)
{
	if (!ok)
		abort();
}

/* --- what the stack sends ------------------------------------------------ */

static uint32_t
gather(const struct rte_mbuf *m, uint8_t *out, uint32_t size)
{
	uint32_t n = 0;

	for (; m != NULL; m = m->next) {
		must(n + m->data_len <= size);
		memcpy(out + n, rte_pktmbuf_mtod(m, const uint8_t *),
			m->data_len);
		n += m->data_len;
	}
	return n;
}

static void
release(struct held *h)
{
	uint8_t now[2048];

	if (h->m == NULL)
		return;
	must(gather(h->m, now, sizeof(now)) == h->n);
	must(memcmp(now, h->bytes, h->n) == 0);
	rte_pktmbuf_free(h->m);
	h->m = NULL;
}

static void
learn(struct peer *p, const struct wire *w)
{
	const struct tcp_seg *s = &w->seg;

	if (s->flags & TCP_SYN) {
		p->iss = s->seq;
		p->max = s->seq;
		if (s->flags & TCP_ACK)
			p->syn_irs = s->ack - 1;
	}
	if (s->opts & TCP_OPT_TS)
		p->ts = s->ts_val;
	if (s->flags & TCP_ACK)
		p->nxt = s->ack;
	if (!(s->flags & TCP_RST) && seq_gt(s->seq + seg_space(s), p->max))
		p->max = s->seq + seg_space(s);
	if (s->len > 0)
		must(wire_same(w->payload, s->len, OUT_STREAM, s->seq) ==
			s->len);
}

static void
emit(void *ctx, struct rte_mbuf *m)
{
	struct held *h = &f.held[f.n_held++ % HELD];
	struct wire w;

	(void)ctx;
	must(m->nb_segs == 1 || (f.mode & CFG_CHAINS));
	release(h);
	h->m = m;
	h->n = gather(m, h->bytes, sizeof(h->bytes));
	must(h->n == m->pkt_len);
	must(wire_read(&w, h->bytes, h->n) == NULL);
	must(w.ip_len <= 1500);
	must(ip_addr_eq(&w.src, &f.local) && ip_addr_eq(&w.dst, &f.remote));
	must(w.dport >= PEER_PORT && w.dport < PEER_PORT + PEERS);
	learn(&f.peer[w.dport - PEER_PORT], &w);
}

static int
route(void *ctx, uint32_t nexthop, struct tcp_path *path)
{
	(void)ctx;
	(void)nexthop;
	memcpy(path->local_mac, mac[0], 6);
	memcpy(path->remote_mac, mac[1], 6);
	path->mtu = 1500;
	return 0;
}

/* --- the user ------------------------------------------------------------ */

static void
begin(struct peer *p, struct tcp_conn *c, uint32_t irs)
{
	p->c = c;
	p->iss = f.cur.ack - 1;
	p->irs = irs;
	p->sent = p->got = p->unread = 0;
	p->finished = false;
}

static void *
accepted(void *listener, struct tcp_conn *c)
{
	struct tcp_info info;
	struct peer *p;

	(void)listener;
	tcp_info(c, &info);
	p = &f.peer[ntohs(info.rport) - PEER_PORT];
	/* One of each peer is followed; a second one is not taken. */
	if (p->c != NULL)
		return NULL;
	p->lport = PORT;
	begin(p, c, f.mode & CFG_COOKIES ? f.cur.seq - 1 : p->syn_irs);
	return p;
}

static void
connected(struct tcp_conn *c, void *user)
{
	struct peer *p = user;

	must(p->c == c);
	/* Both at once: our SYN+ACK has said it already. */
	begin(p, c, f.cur.flags & TCP_SYN ? f.cur.seq : p->syn_irs);
}

static void
received(struct tcp_conn *c, void *user, struct rte_mbuf *data)
{
	struct peer *p = user;
	uint32_t n = data->pkt_len;

	must(p->c == c && n > 0 && !p->finished);
	for (struct rte_mbuf *m = data; m != NULL; m = m->next) {
		must(wire_same(rte_pktmbuf_mtod(m, uint8_t *), m->data_len,
			     IN_STREAM, p->irs + 1 + p->got) == m->data_len);
		p->got += m->data_len;
		n -= m->data_len;
	}
	must(n == 0);
	if (f.mode & CFG_SLOW)
		p->unread += data->pkt_len;
	else
		tcp_consumed(c, data->pkt_len);
	rte_pktmbuf_free(data);
}

static void
finished(struct tcp_conn *c, void *user)
{
	struct peer *p = user;

	must(p->c == c && !p->finished);
	p->finished = true;
}

static void
room(struct tcp_conn *c, void *user)
{
	must(((struct peer *)user)->c == c);
}

static void
closed(struct tcp_conn *c, void *user, int error)
{
	struct peer *p = user;

	must(p->c == c && error <= 0);
	p->c = NULL;
}

static const struct tcp_ops ops = {
	.accepted = accepted,
	.connected = connected,
	.received = received,
	.finished = finished,
	.room = room,
	.closed = closed,
};

/* --- commands ------------------------------------------------------------ */

static uint32_t
distance(uint8_t byte, uint8_t unit)
{
	static const uint32_t units[] = { 1, 100, 1460, 20000000 };

	return (uint32_t)(int32_t)(int8_t)byte * units[unit & 3];
}

static void
flow(struct wire *w, const struct peer *p, const uint8_t *cmd)
{
	memset(w, 0, sizeof(*w));
	w->src = f.remote;
	w->dst = f.local;
	memcpy(w->dmac, mac[0], 6);
	memcpy(w->smac, mac[1], 6);
	w->sport = (uint16_t)(PEER_PORT + (p - f.peer));
	w->dport = cmd[0] & TO_LISTENER ? PORT : p->lport;
	w->df = true;
}

static void
take(const uint8_t *frame, size_t n)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	nf_verdict v = 0;

	must(m != NULL);
	memcpy(rte_pktmbuf_append(m, (uint16_t)n), frame, n);
	tcp_input(f.tcp, &m, 1, &v, f.now_ms);
	must(v != NF_TX);
	if (v != NF_HELD)
		rte_pktmbuf_free(m);
}

static void
options(struct tcp_seg *s, const struct peer *p, const uint8_t *cmd)
{
	uint8_t more = cmd[5];

	if (s->flags & TCP_SYN) {
		s->opts = (more & 1 ? TCP_OPT_MSS : 0) |
			  (more & 2 ? TCP_OPT_WSCALE : 0) |
			  (more & 4 ? TCP_OPT_SACKOK : 0);
		s->mss = (uint16_t)(cmd[4] * 8);
		s->wscale = more >> 4;
	} else if (more & 0x40) {
		s->opts = TCP_OPT_SACK;
		s->n_sack = 1 + (more >> 5 & 1);
		for (int i = 0; i < s->n_sack; i++) {
			s->sack[i].start = p->iss + 1 + cmd[3 + i] * 100u;
			s->sack[i].end = s->sack[i].start + cmd[4] * 20u;
		}
	}
	if (!(more & 0x08)) {
		s->opts |= TCP_OPT_TS;
		s->ts_val = (uint32_t)f.now_ms - (more & 0x80 ? 5000 : 0);
		s->ts_ecr = p->ts;
	}
}

static void
segment(struct peer *p, const uint8_t *cmd)
{
	uint8_t frame[2048], payload[1400];
	struct wire w;

	flow(&w, p, cmd);
	f.cur = w.seg = (struct tcp_seg){ .flags = cmd[1] & 0x3f,
		.seq = p->nxt + distance(cmd[2], cmd[5]),
		.ack = p->max + distance(cmd[3], cmd[5] >> 2),
		.wnd = (uint16_t)(cmd[4] * cmd[4]),
		.len = cmd[1] & 0x80 ? cmd[4] * 5u : 0 };
	w.urgent = cmd[1] & TCP_URG ? cmd[3] : 0;
	wire_fill(payload, w.seg.len, IN_STREAM,
		w.seg.seq + ((w.seg.flags & TCP_SYN) != 0));
	options(&w.seg, p, cmd);
	take(frame, wire_make(&w, payload, frame));
}

/* Options as they come. */
static void
odd_options(struct peer *p, const uint8_t *cmd)
{
	uint8_t frame[2048];
	struct wire w;

	flow(&w, p, cmd);
	f.cur = w.seg = (struct tcp_seg){ .flags = cmd[1] & 0x3f,
		.seq = p->nxt,
		.ack = p->max,
		.wnd = 1000 };
	w.raw_opts = cmd + 2;
	w.n_raw = 4;
	take(frame, wire_make(&w, NULL, frame));
}

static void
icmp(struct peer *p, const uint8_t *cmd)
{
	uint8_t quoted[128], frame[256];
	bool v6 = f.mode & CFG_V6;
	struct wire w, ours;

	flow(&w, p, cmd);
	ours = w;
	ours.src = w.dst;
	ours.dst = w.src;
	ours.sport = w.dport;
	ours.dport = w.sport;
	ours.seg.seq = p->max + distance(cmd[2], cmd[5]);
	wire_make(&ours, NULL, quoted);
	take(frame, wire_icmp(&w, cmd[1] & 15, cmd[3] & 15, cmd[4] * 8u,
			    quoted + WIRE_L3, v6 ? 48 : 28, frame));
}

static void
send_bytes(struct peer *p, uint32_t n, bool copy)
{
	uint8_t bytes[4096];
	struct rte_mbuf *m;

	n = n < sizeof(bytes) ? n : sizeof(bytes);
	wire_fill(bytes, n, OUT_STREAM, p->iss + 1 + p->sent);
	if (copy) {
		if (tcp_send_copy(p->c, bytes, n) == 0)
			p->sent += n;
		return;
	}
	n = n < 1400 ? n : 1400;
	m = rte_pktmbuf_alloc(pool);
	must(m != NULL);
	memcpy(rte_pktmbuf_append(m, (uint16_t)n), bytes, n);
	if (tcp_send(p->c, m) == 0)
		p->sent += n;
	else
		rte_pktmbuf_free(m);
}

static void
connect_to(struct peer *p, const uint8_t *cmd)
{
	struct tcp_connect to = { .local = f.local,
		.remote = f.remote,
		.lport = htons(OWN_PORT + (cmd[1] & 1)),
		.rport = htons((uint16_t)(PEER_PORT + (p - f.peer))) };

	if (p->c == NULL && tcp_connect(f.tcp, &to, &ops, p, &p->c) != 0) {
		p->c = NULL;
		return;
	}
	p->lport = ntohs(to.lport);
}

static void
call(struct peer *p, const uint8_t *cmd)
{
	struct tcp_conn *c = p->c;

	if (c == NULL) {
		connect_to(p, cmd);
		return;
	}
	switch (cmd[1] % 8) {
	case 0:
	case 1:
		send_bytes(p, cmd[2] * 16u, cmd[1] % 8);
		break;
	case 2:
		tcp_shutdown(c);
		break;
	case 3:
		p->c = NULL;
		tcp_close(c);
		break;
	case 4:
		p->c = NULL;
		tcp_abort(c);
		break;
	case 5:
		tcp_set_quickack(c, cmd[2] & 1);
		break;
	default:
		tcp_consumed(c, p->unread);
		p->unread = 0;
	}
}

static void
flush(void)
{
	uint32_t rounds = 0;

	while (tcp_tick(f.tcp, f.now_ms) == 0)
		must(++rounds < 100000);
	tcp_flush(f.tcp, f.now_ms);
}

static void
pass(const uint8_t *cmd)
{
	static const uint32_t ms[] = { 1, 40, 200, 1000, 3000, 15000, 61000,
		500 };

	f.now_ms += ms[cmd[1] & 7];
	flush();
	for (uint32_t i = 0; i < HELD; i++)
		release(&f.held[i]);
}

static void
command(const uint8_t *cmd)
{
	struct peer *p = &f.peer[cmd[0] >> 4 & (PEERS - 1)];

	switch (cmd[0] & 7) {
	case 0:
	case 1:
	case 2:
		segment(p, cmd);
		break;
	case 3:
	case 4:
		call(p, cmd);
		break;
	case 5:
		pass(cmd);
		break;
	case 6:
		icmp(p, cmd);
		break;
	default:
		odd_options(p, cmd);
	}
	if (!(cmd[0] & NO_FLUSH))
		flush();
}

/* --- a run --------------------------------------------------------------- */

static void
init(void)
{
	char *argv[] = { (char *)"fuzz", (char *)"--no-huge",
		(char *)"--no-pci", (char *)"--no-shconf",
		(char *)"--no-telemetry", (char *)"-m", (char *)"128",
		(char *)"--log-level=4" };

	if (rte_eal_init(RTE_DIM(argv), argv) < 0)
		abort();
	pool = rte_pktmbuf_pool_create(
		"fuzz", 1023, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	if (pool == NULL)
		abort();
}

static void
start(uint8_t mode)
{
	char why[256];

	memset(&f, 0, sizeof(f));
	f.mode = mode;
	f.now_ms = 1000;
	f.local = ip_addr_from_v4(htonl(0x0a000001));
	f.remote = ip_addr_from_v4(htonl(0x0a000002));
	if (mode & CFG_V6)
		f.local.w[0] = f.remote.w[0] = htonl(0xfd000000);
	f.config = (struct tcp_config){ .max_connections = 8,
		.rcv_buf = mode & CFG_NARROW ? 3000 : 0,
		.snd_buf = mode & CFG_NARROW ? 3000 : 0,
		.keepalive_ms = mode & CFG_ALIVE ? 5000 : 0,
		.keepalive_interval_ms = 1000,
		.cc = mode & CFG_NEWRENO ? TCP_CC_NEWRENO : TCP_CC_CUBIC,
		.offload = mode & CFG_CHAINS ? TCP_TX_CHAINS : 0,
		.nagle = mode & CFG_NAGLE,
		.always_cookies = mode & CFG_COOKIES,
		.seed = 42,
		.now_ms = f.now_ms,
		.pool = pool,
		.stats = &f.stats,
		.name = "fuzz",
		.emit = emit,
		.route = route };
	f.tcp = tcp_create(&f.config, why, sizeof(why));
	must(f.tcp != NULL);
	must(tcp_listen(f.tcp, &f.local, htons(PORT), &ops, NULL, 0) == 0);
	for (uint32_t i = 0; i < PEERS; i++)
		f.peer[i] = (struct peer){ .nxt = 0xfffffff0u + i * 100000,
			.lport = PORT };
}

static bool
is_idle(const struct tcp_usage *u)
{
	return !u->connections && !u->half_open && !u->time_wait && !u->held &&
	       !u->timers && !u->boards;
}

/* All that was taken must come back. */
static void
stop(void)
{
	struct tcp_usage u;

	for (uint32_t i = 0; i < PEERS; i++)
		if (f.peer[i].c != NULL)
			tcp_abort(f.peer[i].c);
	tcp_usage(f.tcp, &u);
	for (int i = 0; i < 400 && !is_idle(&u); i++) {
		f.now_ms += 2000;
		flush();
		tcp_usage(f.tcp, &u);
	}
	must(is_idle(&u));
	must(!f.stats.established && !f.stats.time_wait);
	tcp_destroy(f.tcp);
	for (uint32_t i = 0; i < HELD; i++)
		release(&f.held[i]);
	must(rte_mempool_in_use_count(pool) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (pool == NULL)
		init();
	if (size == 0)
		return 0;
	start(data[0]);
	data++;
	size--;
	for (; size >= COMMAND; data += COMMAND, size -= COMMAND)
		command(data);
	stop();
	return 0;
}
