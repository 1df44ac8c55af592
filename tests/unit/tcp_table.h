/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What TCP answers, as tables: segment in, segments out, calls, events, time.
 *
 *	static const struct row syn_to_closed_port[] = {
 *		IN(S, .seq = 0),                a SYN comes
 *		OUT(R | A, .seq = 0, .ack = 1), the answer, and nothing else
 *	};
 *
 * Sequence numbers are relative: those of the peer to its ISN, ours to our
 * own, acknowledgements to the other side's. So each table runs in several
 * variants: IPv4 and IPv6, ISNs that wrap soon on either side, a clock that
 * wraps. The byte of relative number n is known, so that data are checked
 * without a word in the table.
 *
 * A table is strict: what is sent, or heard of by the user, must be told by
 * the rows that follow, before the next row that does something. PSH is not
 * looked at. Segments and events are two queues, in order each.
 */
#ifndef TCP_TABLE_H
#define TCP_TABLE_H

#include "tests/unit/tcp_bench.h"

/* How a connection comes to be, in the middle of a table. */
#define LISTENS CALL(DO_LISTEN)
#define ACCEPTED_(...)                                                     \
	CALL(DO_LISTEN), IN(S, .seq = 0, __VA_ARGS__),                     \
		OUT(S | A, .seq = 0, .ack = 1), IN(A, .seq = 1, .ack = 1), \
		EVENT(EV_ACCEPTED)
#define ACCEPTED      ACCEPTED_(.mss = 1460)
#define ACCEPTED_SACK ACCEPTED_(.mss = 1460, .sackok = true)
#define ACCEPTED_TS   ACCEPTED_(.mss = 1460, .ts = true)
#define CONNECTED                                           \
	CALL(DO_CONNECT), OUT(S, .seq = 0),                 \
		IN(S | A, .seq = 0, .ack = 1, .mss = 1460), \
		OUT(A, .seq = 1, .ack = 1), EVENT(EV_CONNECTED)

/* --- calls --- */

static int
bench_connect(struct bench_peer *p)
{
	struct tcp_connect to = { .local = bench.local,
		.remote = bench.remote,
		.lport = htons(OWN_PORT),
		.rport = htons((uint16_t)(PEER_PORT + (p - bench.peer))),
		.nexthop = 7 };

	bench.lport = OWN_PORT;
	p->sent = p->got = 0;
	return tcp_connect(bench.tcp, &to, &bench_ops, p, &p->c);
}

static int
bench_send(struct bench_peer *p, const struct row *r)
{
	static uint8_t bytes[1 << 20];
	struct rte_mbuf *m;
	int rc;

	wire_fill(bytes, r->len, OUT_STREAM, p->sent + 1);
	if (r->what == DO_SEND) {
		rc = tcp_send_copy(p->c, bytes, r->len);
	} else {
		m = rte_pktmbuf_alloc(bench_pool);
		row_must(m != NULL, "no mbuf left");
		memcpy(rte_pktmbuf_append(m, (uint16_t)r->len), bytes, r->len);
		rc = tcp_send(p->c, m);
		if (rc != 0)
			rte_pktmbuf_free(m);
	}
	if (rc == 0)
		p->sent += r->len;
	return rc;
}

static void
bench_end(struct bench_peer *p, uint8_t how)
{
	if (how == DO_CLOSE)
		tcp_close(p->c);
	else
		tcp_abort(p->c);
	p->c = NULL;
}

static void
bench_call(struct bench_peer *p, const struct row *r)
{
	int rc = 0;

	if (r->what == DO_LISTEN) {
		bench.lport = BENCH_PORT;
		rc = tcp_listen(bench.tcp, &bench.local, htons(BENCH_PORT),
			&bench_ops, &bench, r->len);
	} else if (r->what == DO_UNLISTEN) {
		rc = tcp_unlisten(bench.tcp, &bench.local, htons(BENCH_PORT));
	} else if (r->what == DO_CONNECT) {
		rc = bench_connect(p);
	} else {
		row_must(p->c != NULL, "no connection");
		if (r->what == DO_SEND || r->what == DO_SEND_MBUF)
			rc = bench_send(p, r);
		else if (r->what == DO_CONSUME)
			tcp_consumed(p->c, r->len);
		else if (r->what == DO_SHUTDOWN)
			tcp_shutdown(p->c);
		else if (r->what == DO_QUICKACK)
			tcp_set_quickack(p->c, true);
		else
			bench_end(p, r->what);
	}
	row_must(rc == r->error, "returns %d, not %d", rc, r->error);
}

/* --- rows --- */

static void
row_event(const struct row *r)
{
	const struct heard *e = &bench.ev[bench.ev_head];

	row_must(bench.n_ev > 0, "nothing is heard");
	row_must(e->what == r->what && e->len == r->len && e->error == r->error,
		"event %u, %u bytes, error %d; not %u, %u, %d", e->what, e->len,
		e->error, r->what, r->len, r->error);
	bench.ev_head = (bench.ev_head + 1) % RTE_DIM(bench.ev);
	bench.n_ev--;
}

static void
row_state(const struct row *r)
{
	const struct bench_peer *p = &bench.peer[r->peer];
	struct tcp_info info;
	struct tcp_usage u;
	uint8_t state = TCP_CLOSED;

	tcp_usage(bench.tcp, &u);
	if (u.time_wait)
		state = TCP_TIME_WAIT;
	if (p->c != NULL) {
		tcp_info(p->c, &info);
		state = info.state;
	} else if (r->what == TCP_SYN_RCVD) {
		state = u.half_open ? TCP_SYN_RCVD : TCP_CLOSED;
	} else {
		row_must(r->what == TCP_TIME_WAIT || !u.connections,
			"%u connections", u.connections);
	}
	row_must(state == r->what, "state %u, not %u", state, r->what);
}

static void
row_stat(const struct row *r)
{
	uint64_t v;

	memcpy(&v, (uint8_t *)&bench.stats + r->seq, sizeof(v));
	row_must(v == r->len, "the counter is %llu, not %u",
		(unsigned long long)v, r->len);
}

/* Rows that look at what has happened; false: the row does something. */
static bool
row_looks(const struct row *r)
{
	switch (r->op) {
	case ROW_OUT:
		bench_out(r);
		return true;
	case ROW_EVENT:
		row_event(r);
		return true;
	case ROW_STATE:
		row_state(r);
		return true;
	case ROW_STAT:
		row_stat(r);
		return true;
	case ROW_ANY:
		bench_forget();
		return true;
	case ROW_SILENCE:
		bench_silent();
		return true;
	default:
		return false;
	}
}

static void
row_run(const struct row *r)
{
	bench.row = r;
	if (row_looks(r))
		return;
	bench_silent();
	switch (r->op) {
	case ROW_IN:
		bench_in(r);
		break;
	case ROW_ICMP:
		bench_icmp(r);
		break;
	case ROW_WAIT:
		bench_wait(r->ms);
		break;
	case ROW_JUMP:
		bench_jump(r->ms);
		break;
	case ROW_WITHIN:
		bench_within(r);
		break;
	default:
		row_must(r->op == ROW_CALL, "no such row");
		bench_call(&bench.peer[r->peer], r);
		if (!r->more)
			bench_tick();
		break;
	}
}

/* --- tables --- */

/* Variants: 0 plain, 1 IPv6, 2 sequence numbers wrap, 3 the clock does. */
#define VARIANTS   4
#define BENCH_TIME 1000000ull

static void
bench_start(const struct table *t, int variant, uint64_t now_ms)
{
	static unsigned int n; /* what a failed table leaves keeps its name */
	char why[256] = "", name[20];

	snprintf(name, sizeof(name), "bench%u", n++);
	memset(&bench, 0, sizeof(bench));
	bench.table = t;
	bench.variant = variant;
	bench.v6 = variant & 1;
	bench.now_ms = now_ms;
	bench.local = ip_addr_from_v4(htonl(0x0a000050));
	bench.remote = ip_addr_from_v4(htonl(0xc6336407));
	if (bench.v6) {
		inet_pton(AF_INET6, "fd00::80", &bench.local);
		inet_pton(AF_INET6, "2001:db8::7", &bench.remote);
	}
	for (int i = 0; i < PEERS; i++)
		bench.peer[i].irs = variant == 2 ? 0xffffff00u : 1000000;
	if (variant == 3)
		bench.peer[0].irs = 0x7fffff00u;
	bench.lport = BENCH_PORT;
	bench.config = t->config;
	bench.config.name = name;
	bench.pool_used = rte_mempool_in_use_count(bench_pool);
	bench.config.seed = 4711;
	bench.config.now_ms = now_ms;
	bench.config.pool = bench_pool;
	bench.config.stats = &bench.stats;
	bench.config.emit = bench_emit;
	bench.config.route = bench_route;
	if (bench.config.max_connections == 0)
		bench.config.max_connections = 64;
	bench.tcp = tcp_create(&bench.config, why, sizeof(why));
	ck_assert_msg(bench.tcp != NULL, "tcp_create: %s", why);
	bench_tick();
	bench_forget();
}

/* End what is left, and see that nothing is. */
static void
bench_stop(void)
{
	uint64_t until = bench.now_ms + 3600 * 1000;
	struct tcp_usage u;

	bench_silent();
	for (int i = 0; i < PEERS; i++)
		if (bench.peer[i].c != NULL)
			bench_end(&bench.peer[i], DO_ABORT);
	tcp_usage(bench.tcp, &u);
	while (u.connections + u.half_open + u.time_wait > 0 &&
		bench.now_ms < until) {
		bench_pass(until);
		bench_forget();
		tcp_usage(bench.tcp, &u);
	}
	row_must(!u.connections && !u.half_open && !u.time_wait && !u.held &&
			 !u.timers && !u.boards,
		"left: connections %u half_open %u time_wait %u held %u "
		"timers %u boards %u",
		u.connections, u.half_open, u.time_wait, u.held, u.timers,
		u.boards);
	tcp_destroy(bench.tcp);
	bench_forget();
	row_must(rte_mempool_in_use_count(bench_pool) == bench.pool_used,
		"%u mbufs are gone",
		rte_mempool_in_use_count(bench_pool) - bench.pool_used);
}

static void
bench_run(const struct table *t, int variant, uint64_t now_ms)
{
	bench_start(t, variant, now_ms);
	for (size_t i = 0; i < t->n; i++)
		row_run(&t->rows[i]);
	bench_stop();
}

/* Numbers of ours move by 250 each millisecond (RFC 6528): when they wrap. */
static uint64_t
bench_wraps_at(const struct table *t)
{
	bench_run(t, 0, BENCH_TIME);
	return BENCH_TIME + (0u - 100 - bench.peer[0].iss) / 250;
}

MAYBE void
table_run(const struct table *t, int variant)
{
	uint64_t now_ms = BENCH_TIME;

	if (variant == 2)
		now_ms = bench_wraps_at(t);
	if (variant == 3)
		now_ms = (1ull << 32) - 700;
	bench_run(t, variant, now_ms);
}

/* --- the suite --- */

static const struct table *suite_tables;

START_TEST(table_holds)
{
	table_run(&suite_tables[_i / VARIANTS], _i % VARIANTS);
}
END_TEST

/* Run `tables` in this process, for the EAL does not survive a fork. */
MAYBE int
tables_main(const char *name, const struct table *tables, int n)
{
	char *argv[] = { (char *)"test", (char *)"--no-huge",
		(char *)"--no-pci", (char *)"--no-shconf",
		(char *)"--no-telemetry", (char *)"-m", (char *)"256",
		(char *)"--log-level=4" };
	Suite *suite = suite_create(name);
	SRunner *sr = srunner_create(suite);
	int failed;

	if (rte_eal_init(RTE_DIM(argv), argv) < 0)
		return 1;
	bench_pool = rte_pktmbuf_pool_create(
		"bench", 2047, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	if (bench_pool == NULL)
		return 1;
	suite_tables = tables;
	for (int i = 0; i < n; i++) {
		TCase *tc = tcase_create(tables[i].name);

		tcase_set_timeout(tc, 0);
		tcase_add_loop_test(
			tc, table_holds, i * VARIANTS, (i + 1) * VARIANTS);
		suite_add_tcase(suite, tc);
	}
	srunner_set_fork_status(sr, CK_NOFORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	rte_eal_cleanup();
	return failed != 0;
}

#endif
