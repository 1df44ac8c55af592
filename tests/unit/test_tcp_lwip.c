/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Our stack and lwip's, over the lab's link: lwip as client and as server,
 * over good links and all kinds of bad ones. Every byte is known in advance;
 * at the end of each run neither side holds anything.
 *
 * A failure names its seed. To see it again:
 *
 *    TCP_LAB_SEED=n TCP_LAB_TRACE=1 CK_RUN_CASE=loss_percent test_tcp_lwip
 *
 * TCP_LWIP_BYTES=1073741824 sets the size of the large transfers,
 * TCP_LWIP_RUNS=10 multiplies the number of seeds.
 */
#include "tests/unit/lwip_talk.h"

#define PERCENT  10000 /* of a million */
#define PER_MILL 1000

/* --- impairments --- */

static void
good(struct lab_link *l, uint64_t *random)
{
	(void)l;
	(void)random;
}

static void
loss_per_mill(struct lab_link *l, uint64_t *random)
{
	(void)random;
	l->loss = PER_MILL;
}

static void
loss_percent(struct lab_link *l, uint64_t *random)
{
	(void)random;
	l->loss = PERCENT;
}

static void
loss_5_percent(struct lab_link *l, uint64_t *random)
{
	(void)random;
	l->loss = 5 * PERCENT;
}

static void
reorder(struct lab_link *l, uint64_t *random)
{
	(void)random;
	l->reorder = 10 * PERCENT;
}

static void
duplicate(struct lab_link *l, uint64_t *random)
{
	(void)random;
	l->duplicate = 10 * PERCENT;
}

static void
delay(struct lab_link *l, uint64_t *random)
{
	l->delay_us = wire_between(random, 1, 200) * 1000;
	l->jitter_us = wire_below(random, 20000);
}

static void
damage(struct lab_link *l, uint64_t *random)
{
	(void)random;
	l->damage = 3 * PERCENT;
}

static void
storm(struct lab_link *l, uint64_t *random)
{
	delay(l, random);
	l->loss = 2 * PERCENT;
	l->reorder = 5 * PERCENT;
	l->duplicate = 3 * PERCENT;
	l->damage = PERCENT;
}

static const struct impairment {
	const char *name;
	void (*impair)(struct lab_link *l, uint64_t *random);
} impairments[] = {
	{ "good", good },
	{ "loss_per_mill", loss_per_mill },
	{ "loss_percent", loss_percent },
	{ "loss_5_percent", loss_5_percent },
	{ "reorder", reorder },
	{ "duplicate", duplicate },
	{ "delay", delay },
	{ "damage", damage },
	{ "storm", storm },
};

static struct lab_plan
plan(const struct impairment *im, uint64_t seed, uint64_t *random)
{
	struct lab_plan lab = { .seed = seed };

	*random = seed ^ 0x1b56c4e9;
	lab.v6 = wire_below(random, 2);
	lab.rx_good = wire_below(random, 2);
	for (int i = 0; i < 2; i++) {
		struct tcp_config *c = &lab.config[i];

		lab.link[i].delay_us = wire_between(random, 1, 20) * 1000;
		lab.link[i].reorder_us = 30000;
		im->impair(&lab.link[i], random);
		c->cc = wire_below(random, 2) ? TCP_CC_CUBIC : TCP_CC_NEWRENO;
		c->connect_ms = 200000;
		c->retransmit_ms = 600000;
		c->keepalive_ms = 10000;
		c->keepalive_interval_ms = 2000;
	}
	return lab;
}

/* What a VNIC may offer, and buffers of all sizes. */
static void
vary(struct lab_plan *lab, int lwip_side, uint64_t *random)
{
	static const uint8_t offload[] = { 0, TCP_TX_CSUM, TCP_TX_CHAINS,
		TCP_TX_CSUM | TCP_TX_CHAINS | TCP_TX_TSO };
	static const uint32_t size[] = { 4096, 20000, 65536, 262144 };
	struct tcp_config *c = &lab->config[!lwip_side];

	c->offload = offload[wire_below(random, 4)];
	c->rcv_buf = size[wire_below(random, 4)];
	c->snd_buf = size[wire_below(random, 4)];
	c->nagle = wire_below(random, 4) == 0;
	lab->hold_us = wire_below(random, 2) ? 0 : 20000;
	if (wire_below(random, 3) == 0)
		lab->mtu = (uint16_t)wire_between(random, 1280, 1500);
}

/* Did the link do what it is for? */
static void
impaired(const struct impairment *im, const struct lab_world *w)
{
	if (im->impair == good)
		ck_assert_uint_eq(w->lost + w->damaged + w->duplicated, 0);
	if (w->plan.link[0].loss)
		ck_assert_uint_gt(w->lost, 0);
	if (w->plan.link[0].damage)
		ck_assert_uint_gt(w->damaged, 0);
	if (w->plan.link[0].duplicate)
		ck_assert_uint_gt(w->duplicated, 0);
	if (w->plan.link[0].reorder)
		ck_assert_uint_gt(w->reordered, 0);
}

/* --- tests --- */

#define CASES  ((int)RTE_DIM(impairments))
#define IM(i)  (&impairments[(i) / 2])
#define WHO(i) ((i)&1) /* which side is lwip's */

static void
note(const char *what, int i)
{
	snprintf(lab_note, sizeof(lab_note), "%s, %s, lwip is %s", what,
		IM(i)->name, WHO(i) ? "the server" : "the client");
}

static uint32_t
large(const struct impairment *im)
{
	const char *set = getenv("TCP_LWIP_BYTES");

	if (set != NULL)
		return (uint32_t)strtoul(set, NULL, 0);
	return im->impair == good ? 16 << 20 : 3 << 20;
}

/* How many seeds, where `n` are the rule. */
static unsigned int
runs(unsigned int n)
{
	const char *set = getenv("TCP_LWIP_RUNS");

	return set == NULL ? n : n * (unsigned int)strtoul(set, NULL, 0);
}

/* Both ways at once. */
START_TEST(large_transfer)
{
	uint64_t random, seed = 100 + (uint64_t)_i;
	struct lab_plan lab = plan(IM(_i), seed, &random);
	uint32_t n = large(IM(_i));
	struct app_plan app = { .bytes = { n, n },
		.end = END_EACH,
		.send = SEND_MBUF,
		.chunk = 60000 };

	note("large", _i);
	talk_run(&lab, &app, WHO(_i), 0);
	impaired(IM(_i), &run.app.w);
}
END_TEST

START_TEST(short_transfers)
{
	const char *only = getenv("TCP_LAB_SEED");
	uint64_t random, seed, from = (uint64_t)_i * 100000;

	note("short", _i);
	for (seed = from; seed < from + runs(40); seed++) {
		uint64_t s = only ? strtoull(only, NULL, 0) : seed;
		struct lab_plan lab = plan(IM(_i), s, &random);
		struct app_plan app = { .bytes = { wire_below(&random, 60000),
						wire_below(&random, 60000) } };

		app.end = (uint8_t)wire_below(&random, END_ORDERLY);
		app.send = (uint8_t)wire_below(&random, SEND_KINDS);
		app.chunk = wire_between(&random, 100, 16000);
		app.close = wire_below(&random, 2);
		app.quick = wire_below(&random, 8) == 0;
		vary(&lab, WHO(_i), &random);
		app.echo = WHO(_i) == 0 && wire_below(&random, 4) == 0;
		if (app.echo)
			app.end = END_A;
		/* Of a cookie whose ACK is lost we know nothing. */
		lab.config[1].always_cookies = wire_below(&random, 4) == 0;
		app.bytes[0] += lab.config[1].always_cookies;
		talk_run(&lab, &app, WHO(_i), 0);
		if (only)
			break;
	}
}
END_TEST

/* One after the other, and all at once. */
START_TEST(thousand_connections)
{
	uint64_t random, seed = 200 + (uint64_t)_i;
	struct lab_plan lab = plan(IM(_i), seed, &random);
	struct app_plan app = { .bytes = { 300, 1000 },
		.end = _i & 2 ? END_A : END_B,
		.connections = 1000,
		.space_us = 5000 };

	note("a thousand", _i);
	lab.config[0].max_connections = lab.config[1].max_connections = 2048;
	talk_run(&lab, &app, WHO(_i), 0);
	ck_assert_uint_eq(run.app.accepted, 1000);
	impaired(IM(_i), &run.app.w);
}
END_TEST

START_TEST(hundred_in_parallel)
{
	uint64_t random, seed = 300 + (uint64_t)_i;
	struct lab_plan lab = plan(IM(_i), seed, &random);
	struct app_plan app = { .bytes = { 50000, 30000 },
		.end = END_BOTH,
		.connections = 100,
		.space_us = 0 };

	note("a hundred", _i);
	lab.config[0].max_connections = lab.config[1].max_connections = 128;
	talk_run(&lab, &app, WHO(_i), 0);
	ck_assert_uint_eq(run.app.accepted, 100);
}
END_TEST

/* Broken off by either side, or deaf to what comes. */
START_TEST(broken_off)
{
	static const uint8_t ends[] = { END_ABORT_A, END_ABORT_B, END_UNREAD };
	const char *only = getenv("TCP_LAB_SEED");
	uint64_t random, seed, from = 5000000 + (uint64_t)_i * 100000;

	note("broken off", _i);
	for (seed = from; seed < from + runs(40); seed++) {
		uint64_t s = only ? strtoull(only, NULL, 0) : seed;
		struct lab_plan lab = plan(IM(_i), s, &random);
		struct app_plan app = {
			.bytes = { wire_between(&random, 2, 99999),
				wire_between(&random, 2, 99999) }
		};

		app.end = ends[wire_below(&random, 3)];
		app.chunk = wire_between(&random, 100, 16000);
		app.cut = wire_below(
			&random, RTE_MIN(app.bytes[0], app.bytes[1]));
		talk_run(&lab, &app, WHO(_i), 0);
		if (only)
			break;
	}
}
END_TEST

/*
 * lwip offers a few bytes (less than a segment it never would), or reads
 * slowly; or we do.
 */
START_TEST(windows)
{
	const char *only = getenv("TCP_LAB_SEED");
	uint64_t random, seed, from = 7000000 + (uint64_t)_i * 100000;
	uint64_t zero = 0, probes = 0;

	note("windows", _i);
	for (seed = from; seed < from + runs(20); seed++) {
		uint64_t s = only ? strtoull(only, NULL, 0) : seed;
		struct lab_plan lab = plan(IM(_i), s, &random);
		struct app_plan app = { .bytes = { 150000, 150000 },
			.end = END_BOTH,
			.chunk = 9000 };
		struct tcp_config *ours = &lab.config[!WHO(_i)];
		uint32_t window = wire_below(&random, 2)
					  ? 0
					  : wire_between(&random, 1460, 6000);

		if (wire_below(&random, 2))
			ours->rcv_buf = wire_between(&random, 1000, 9000);
		if (window == 0 || wire_below(&random, 2))
			app.read_us = wire_between(&random, 1000, 3000000);
		talk_run(&lab, &app, WHO(_i), window);
		zero += run.app.w.side[!WHO(_i)].stats.zero_windows;
		probes += run.app.w.side[!WHO(_i)].stats.probes;
		if (only)
			break;
	}
	if (!only)
		ck_assert(zero > 0 && probes > 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("tcp_lwip");
	const char *wrong = lwip_peer_load();

	if (wrong != NULL) {
		fprintf(stderr, "lwip: %s\n", wrong);
		return 1;
	}
	for (int i = 0; i < CASES; i++) {
		TCase *tc = tcase_create(impairments[i].name);
		int a = 2 * i, b = 2 * i + 2;

		tcase_set_timeout(tc, 0);
		tcase_add_loop_test(tc, large_transfer, a, b);
		tcase_add_loop_test(tc, short_transfers, a, b);
		tcase_add_loop_test(tc, thousand_connections, a, b);
		tcase_add_loop_test(tc, hundred_in_parallel, a, b);
		tcase_add_loop_test(tc, broken_off, a, b);
		tcase_add_loop_test(tc, windows, a, b);
		suite_add_tcase(suite, tc);
	}
	return lab_main(suite, 32767);
}
