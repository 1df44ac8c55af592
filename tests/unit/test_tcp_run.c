/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Transfers between two stacks under all that a network does, thousands of
 * them, each from a seed of its own. A failure names its seed: repeat it by
 *
 *    TCP_LAB_SEED=n TCP_LAB_TRACE=1 CK_RUN_CASE=storm test_tcp_run
 *
 * TCP_LAB_MORE=n makes n times as many runs, TCP_LAB_SAY=1 tells what they
 * have seen.
 */
#include "tests/unit/tcp_app.h"

#define RUN_MS   (4u * 3600 * 1000)
#define PERCENT  10000 /* of a million */
#define PER_MILL 1000

struct shape {
	struct lab_plan lab;
	struct app_plan app;
	uint64_t random;
};

struct scenario {
	const char *name;
	unsigned int runs;
	void (*shape)(struct shape *s);
};

static bool
coin(struct shape *s)
{
	return wire_below(&s->random, 2);
}

static uint32_t
among(struct shape *s, uint32_t lo, uint32_t hi)
{
	return wire_between(&s->random, lo, hi);
}

static void
both_links(struct shape *s, uint32_t chance, size_t field)
{
	for (int i = 0; i < 2; i++)
		memcpy((uint8_t *)&s->lab.link[i] + field, &chance,
			sizeof(chance));
}

#define LINK(s, field, value) \
	both_links(s, value, offsetof(struct lab_link, field))

static void
base_config(struct shape *s, struct tcp_config *c)
{
	static const uint32_t size[] = { 8192, 30000, 65536, 262144 };

	c->cc = coin(s) ? TCP_CC_CUBIC : TCP_CC_NEWRENO;
	c->rcv_buf = size[among(s, 0, 3)];
	c->snd_buf = size[among(s, 0, 3)];
	c->connect_ms = 200000;
	c->nagle = among(s, 0, 7) == 0;
	c->no_timestamps = among(s, 0, 7) == 0;
	c->no_sack = among(s, 0, 5) == 0;
}

/* What all have: a random connection over a good link. */
static void
base(struct shape *s, uint64_t seed)
{
	memset(s, 0, sizeof(*s));
	s->random = seed ^ 0xb5297a4d;
	s->lab.seed = seed;
	s->lab.v6 = coin(s);
	s->lab.rx_good = coin(s);
	s->lab.hold_us = coin(s) ? 0 : among(s, 0, 20000);
	base_config(s, &s->lab.config[0]);
	base_config(s, &s->lab.config[1]);
	for (int i = 0; i < 2; i++) {
		s->lab.link[i].delay_us = among(s, 1, 20) * 1000;
		s->lab.link[i].reorder_us = 30000;
		s->app.bytes[i] = among(s, 0, 3) ? among(s, 1, 60000) : 0;
	}
	s->app.end = (uint8_t)among(s, 0, END_ORDERLY - 1);
	s->app.send = (uint8_t)among(s, 0, SEND_KINDS - 1);
	s->app.chunk = among(s, 1, 4) * among(s, 100, 4000);
	s->app.close = coin(s);
	s->app.quick = among(s, 0, 7) == 0;
	s->app.pause_us = among(s, 0, 3) ? 0 : among(s, 1, 3000);
}

static void
clean(struct shape *s)
{
	(void)s;
}

static void
loss_per_mill(struct shape *s)
{
	LINK(s, loss, PER_MILL);
}

static void
loss_percent(struct shape *s)
{
	LINK(s, loss, PERCENT);
}

static void
loss_5_percent(struct shape *s)
{
	LINK(s, loss, 5 * PERCENT);
}

static void
reorder(struct shape *s)
{
	LINK(s, reorder, 10 * PERCENT);
}

static void
duplicate(struct shape *s)
{
	LINK(s, duplicate, 10 * PERCENT);
}

static void
delay(struct shape *s)
{
	for (int i = 0; i < 2; i++) {
		s->lab.link[i].delay_us = among(s, 1, 200) * 1000;
		s->lab.link[i].jitter_us = among(s, 0, 3) ? 0 : 20000;
		s->lab.link[i].loss = coin(s) ? 0 : PERCENT;
	}
}

static void
damage(struct shape *s)
{
	LINK(s, damage, 3 * PERCENT);
}

/* Readers who are slow, so that windows shut and open again. */
static void
zero_window(struct shape *s)
{
	for (int i = 0; i < 2; i++)
		s->lab.config[i].rcv_buf = among(s, 1000, 9000);
	s->app.read_us = among(s, 1000, 3000000);
	LINK(s, loss, coin(s) ? 0 : 2 * PERCENT);
}

static void
tiny_mss(struct shape *s)
{
	s->lab.config[0].mss = (uint16_t)among(s, 64, 200);
	s->lab.config[1].mss = (uint16_t)(coin(s) ? 0 : among(s, 64, 200));
	s->app.bytes[0] /= 8;
	s->app.bytes[1] /= 8;
	LINK(s, loss, coin(s) ? 0 : PERCENT);
}

static void
no_options(struct shape *s)
{
	for (int i = 0; i < 2; i++) {
		struct tcp_config *c = &s->lab.config[i];

		c->no_timestamps = c->no_sack = c->no_wscale = true;
	}
	LINK(s, loss, coin(s) ? 0 : 3 * PERCENT);
	LINK(s, reorder, coin(s) ? 0 : 3 * PERCENT);
}

/* A speaks first: of a cookie whose ACK is lost, B knows nothing. */
static void
cookies(struct shape *s)
{
	s->lab.config[1].always_cookies = true;
	s->app.bytes[0] += 1;
	LINK(s, loss, coin(s) ? 0 : 3 * PERCENT);
}

static void
both_open(struct shape *s)
{
	s->app.both_open = true;
	s->app.end = coin(s) ? END_BOTH : END_EACH;
	s->lab.link[0].delay_us = s->lab.link[1].delay_us = 10000;
	LINK(s, loss, coin(s) ? 0 : 3 * PERCENT);
}

static void
both_close(struct shape *s)
{
	s->app.end = END_BOTH;
	LINK(s, loss, coin(s) ? 0 : 5 * PERCENT);
	LINK(s, duplicate, coin(s) ? 0 : 5 * PERCENT);
}

/* A router that all of one way has to fit through. */
static void
small_mtu(struct shape *s)
{
	for (int i = 0; i < 2; i++)
		s->lab.link[i].mtu =
			(uint16_t)(s->lab.v6 ? among(s, 1280, 1499)
					     : among(s, 576, 1499));
	LINK(s, loss, coin(s) ? 0 : PERCENT);
}

static void
slow_link(struct shape *s)
{
	LINK(s, rate_kbps, among(s, 128, 10000));
	LINK(s, queue, among(s, 4000, 60000));
}

static void
offload(struct shape *s)
{
	static const uint8_t kinds[] = { TCP_TX_CSUM, TCP_TX_CHAINS,
		TCP_TX_CSUM | TCP_TX_CHAINS,
		TCP_TX_CSUM | TCP_TX_CHAINS | TCP_TX_TSO };

	s->lab.config[0].offload = kinds[among(s, 0, 3)];
	s->lab.config[1].offload = kinds[among(s, 0, 3)];
	LINK(s, loss, coin(s) ? 0 : 2 * PERCENT);
	LINK(s, reorder, coin(s) ? 0 : 2 * PERCENT);
}

/* What comes goes out again, in the same mbufs. */
static void
echo(struct shape *s)
{
	s->app.echo = true;
	s->app.end = coin(s) ? END_A : END_EACH;
	if (coin(s))
		offload(s);
	LINK(s, loss, coin(s) ? 0 : 3 * PERCENT);
	LINK(s, reorder, coin(s) ? 0 : 3 * PERCENT);
}

static void
broken_off(struct shape *s)
{
	for (int i = 0; i < 2; i++) {
		struct tcp_config *c = &s->lab.config[i];

		c->keepalive_ms = 5000;
		c->keepalive_interval_ms = 1000;
		c->connect_ms = 30000;
		s->app.bytes[i] = among(s, 2, 60000);
	}
	s->app.close = false;
	s->app.cut = among(s, 0, RTE_MIN(s->app.bytes[0], s->app.bytes[1]) - 1);
}

static void
aborted(struct shape *s)
{
	static const uint8_t ends[] = { END_ABORT_A, END_ABORT_B, END_UNREAD };

	broken_off(s);
	s->app.end = ends[among(s, 0, 2)];
	LINK(s, loss, coin(s) ? 0 : 5 * PERCENT);
}

static void
vanished(struct shape *s)
{
	broken_off(s);
	s->app.end = END_VANISH;
	s->app.read_us = coin(s) ? 0 : 100000;
}

/* Everything at once. */
static void
storm(struct shape *s)
{
	offload(s);
	delay(s);
	LINK(s, loss, 3 * PERCENT);
	LINK(s, reorder, 5 * PERCENT);
	LINK(s, duplicate, 3 * PERCENT);
	LINK(s, damage, PERCENT);
	s->app.read_us = coin(s) ? 0 : 50000;
	if (coin(s))
		small_mtu(s);
	if (coin(s))
		s->lab.config[0].mss = (uint16_t)among(s, 64, 1460);
}

static const struct scenario scenarios[] = {
	{ "clean", 900, clean },
	{ "loss_per_mill", 600, loss_per_mill },
	{ "loss_percent", 600, loss_percent },
	{ "loss_5_percent", 600, loss_5_percent },
	{ "reorder", 600, reorder },
	{ "duplicate", 600, duplicate },
	{ "delay", 600, delay },
	{ "damage", 600, damage },
	{ "zero_window", 450, zero_window },
	{ "tiny_mss", 450, tiny_mss },
	{ "no_options", 600, no_options },
	{ "cookies", 600, cookies },
	{ "both_open", 600, both_open },
	{ "both_close", 600, both_close },
	{ "small_mtu", 600, small_mtu },
	{ "slow_link", 300, slow_link },
	{ "offload", 600, offload },
	{ "echo", 600, echo },
	{ "aborted", 600, aborted },
	{ "vanished", 450, vanished },
	{ "storm", 600, storm },
};

/* Did it see what it is for? Summed over all runs of a scenario. */
struct seen {
	uint64_t frames, lost, damaged, duplicated, reordered, too_big, full;
	struct stats_tcp tcp;
};

static void
add_up(struct seen *sum, const struct app_run *r)
{
	const struct lab_world *w = &r->w;

	sum->frames += w->frames[0] + w->frames[1];
	sum->lost += w->lost;
	sum->damaged += w->damaged;
	sum->duplicated += w->duplicated;
	sum->reordered += w->reordered;
	sum->too_big += w->too_big;
	sum->full += w->full;
	for (int i = 0; i < 2; i++) {
		const struct stats_tcp *t = &w->side[i].stats;

		sum->tcp.retransmits += t->retransmits;
		sum->tcp.fast_retransmits += t->fast_retransmits;
		sum->tcp.timeouts += t->timeouts;
		sum->tcp.zero_windows += t->zero_windows;
		sum->tcp.probes += t->probes;
		sum->tcp.cookies_ok += t->cookies_ok;
		sum->tcp.pmtu += t->pmtu;
		sum->tcp.dead += t->dead;
		sum->tcp.out_of_order += t->out_of_order;
		ck_assert_uint_eq(t->established, 0);
		ck_assert_uint_eq(t->time_wait, 0);
	}
}

static void
one(const struct scenario *sc, uint64_t seed, struct seen *sum)
{
	static struct app_run r;
	struct shape s;

	base(&s, seed);
	sc->shape(&s);
	snprintf(lab_note, sizeof(lab_note), "%s, %u and %u bytes, end %d",
		sc->name, s.app.bytes[0], s.app.bytes[1], s.app.end);
	app_run(&r, &s.lab, &s.app, RUN_MS);
	add_up(sum, &r);
}

static void
say(const struct scenario *sc, const struct seen *x)
{
	if (getenv("TCP_LAB_SAY") == NULL)
		return;
	fprintf(stderr,
		"%-14s frames %lu lost %lu damaged %lu dup %lu reordered %lu "
		"too big %lu full %lu | rtx %lu fast %lu timeouts %lu zero "
		"windows %lu probes %lu cookies %lu pmtu %lu dead %lu\n",
		sc->name, x->frames, x->lost, x->damaged, x->duplicated,
		x->reordered, x->too_big, x->full, x->tcp.retransmits,
		x->tcp.fast_retransmits, x->tcp.timeouts, x->tcp.zero_windows,
		x->tcp.probes, x->tcp.cookies_ok, x->tcp.pmtu, x->tcp.dead);
}

START_TEST(scenario_holds)
{
	const struct scenario *sc = &scenarios[_i];
	const char *only = getenv("TCP_LAB_SEED");
	const char *more = getenv("TCP_LAB_MORE");
	unsigned int runs = sc->runs * (more ? (unsigned int)atoi(more) : 1);
	struct seen sum = { 0 };

	if (only != NULL) {
		one(sc, strtoull(only, NULL, 0), &sum);
		return;
	}
	for (unsigned int i = 0; i < runs; i++)
		one(sc, (uint64_t)_i * 1000000 + i, &sum);
	say(sc, &sum);
	if (sc->shape == loss_5_percent)
		ck_assert(sum.lost && sum.tcp.fast_retransmits);
	if (sc->shape == reorder)
		ck_assert(sum.reordered && sum.tcp.out_of_order);
	if (sc->shape == damage)
		ck_assert(sum.damaged);
	if (sc->shape == zero_window)
		ck_assert(sum.tcp.zero_windows && sum.tcp.probes);
	if (sc->shape == cookies)
		ck_assert_uint_ge(sum.tcp.cookies_ok, sc->runs);
	if (sc->shape == small_mtu)
		ck_assert(sum.too_big && sum.tcp.pmtu);
	if (sc->shape == slow_link)
		ck_assert(sum.full);
	if (sc->shape == vanished)
		ck_assert_uint_ge(sum.tcp.dead, sc->runs);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("tcp_run");

	for (int i = 0; i < (int)RTE_DIM(scenarios); i++) {
		TCase *tc = tcase_create(scenarios[i].name);

		tcase_set_timeout(tc, 0);
		tcase_add_loop_test(tc, scenario_holds, i, i + 1);
		suite_add_tcase(suite, tc);
	}
	return lab_main(suite, 16383);
}
