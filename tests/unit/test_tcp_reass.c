/* SPDX-License-Identifier: BSD-3-Clause */
/* The out-of-order queue against a map of bytes, and by hand. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_mbuf.h>

#include "dataplane/tcp/reass.h"

#define STREAM 400 /* bytes of a random history */
#define POOL   1023

static struct rte_mempool *pool;

/* The byte at `seq` in its `version`: what a second one would overwrite. */
static uint8_t
byte_at(uint32_t seq, uint32_t version)
{
	return (uint8_t)(seq * 31 + (seq >> 8) * 17 + version * 101);
}

/* A segment as it is cut from a frame, with a header before the payload. */
static struct rte_mbuf *
segment(uint32_t seq, uint32_t len, uint32_t version)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	uint8_t *p;

	if (m == NULL)
		ck_abort_msg("the pool is empty");
	p = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(54 + len));
	for (uint32_t i = 0; i < len; i++)
		p[54 + i] = byte_at(seq + i, version);
	rte_pktmbuf_adj(m, 54);
	return m;
}

static int
put(struct reass *q, uint32_t seq, uint32_t len, bool fin)
{
	return reass_insert(q, segment(seq, len, 0), seq, fin, UINT16_MAX);
}

static void
expect_balance(void)
{
	ck_assert_uint_eq(rte_mempool_avail_count(pool), POOL);
}

/* --- by hand --- */

struct piece {
	uint32_t seq, len;
	bool fin;
};

/* What is put in, how often the queue grows, and its blocks, last first. */
static const struct row {
	const char *what;
	struct piece in[6];
	uint32_t n_in;
	uint32_t n; /* mbufs then */
	struct tcp_range block[4];
	uint32_t n_block;
} rows[] = {
	{ "one", { { 10, 5, 0 } }, 1, 1, { { 10, 15 } }, 1 },
	{ "the same twice", { { 10, 5, 0 }, { 10, 5, 0 } }, 2, 1,
		{ { 10, 15 } }, 1 },
	{ "nothing", { { 10, 0, 0 } }, 1, 0, { { 0, 0 } }, 0 },
	{ "touching: one block", { { 10, 5, 0 }, { 15, 5, 0 } }, 2, 2,
		{ { 10, 20 } }, 1 },
	{ "touching from below", { { 15, 5, 0 }, { 10, 5, 0 } }, 2, 2,
		{ { 10, 20 } }, 1 },
	{ "apart, the last one first", { { 10, 5, 0 }, { 20, 5, 0 } }, 2, 2,
		{ { 20, 25 }, { 10, 15 } }, 2 },
	{ "apart, from above", { { 20, 5, 0 }, { 10, 5, 0 } }, 2, 2,
		{ { 10, 15 }, { 20, 25 } }, 2 },
	{ "the gap is closed", { { 10, 5, 0 }, { 20, 5, 0 }, { 15, 5, 0 } }, 3,
		3, { { 10, 25 } }, 1 },
	{ "more than the gap", { { 10, 5, 0 }, { 20, 5, 0 }, { 12, 10, 0 } }, 3,
		3, { { 10, 25 } }, 1 },
	{ "inside", { { 10, 20, 0 }, { 15, 5, 0 } }, 2, 1, { { 10, 30 } }, 1 },
	{ "around", { { 15, 5, 0 }, { 10, 20, 0 } }, 2, 1, { { 10, 30 } }, 1 },
	{ "around three",
		{ { 15, 2, 0 }, { 18, 2, 0 }, { 21, 2, 0 }, { 10, 20, 0 } }, 4,
		1, { { 10, 30 } }, 1 },
	{ "around two, into a third",
		{ { 15, 2, 0 }, { 18, 2, 0 }, { 21, 20, 0 }, { 10, 20, 0 } }, 4,
		2, { { 10, 41 } }, 1 },
	{ "the end overlaps", { { 20, 5, 0 }, { 15, 8, 0 } }, 2, 2,
		{ { 15, 25 } }, 1 },
	{ "the front overlaps", { { 20, 5, 0 }, { 22, 8, 0 } }, 2, 2,
		{ { 20, 30 } }, 1 },
	{ "five blocks, four told: the last and those below",
		{ { 50, 1, 0 }, { 10, 1, 0 }, { 20, 1, 0 }, { 30, 1, 0 },
			{ 40, 1, 0 } },
		5, 5, { { 40, 41 }, { 30, 31 }, { 20, 21 }, { 10, 11 } }, 4 },
	{ "five blocks, the lowest last, those above follow",
		{ { 50, 1, 0 }, { 40, 1, 0 }, { 30, 1, 0 }, { 20, 1, 0 },
			{ 10, 1, 0 } },
		5, 5, { { 10, 11 }, { 20, 21 }, { 30, 31 }, { 40, 41 } }, 4 },
	{ "a duplicate's block comes first",
		{ { 10, 5, 0 }, { 20, 5, 0 }, { 12, 2, 0 } }, 3, 2,
		{ { 10, 15 }, { 20, 25 } }, 2 },
	{ "FIN with data", { { 10, 5, 1 } }, 1, 1, { { 10, 16 } }, 1 },
	{ "FIN alone", { { 15, 0, 1 } }, 1, 1, { { 15, 16 } }, 1 },
	{ "FIN alone twice", { { 15, 0, 1 }, { 15, 0, 1 } }, 2, 1,
		{ { 15, 16 } }, 1 },
	{ "FIN behind its data", { { 10, 5, 0 }, { 15, 0, 1 } }, 2, 1,
		{ { 10, 16 } }, 1 },
	{ "FIN before its data", { { 15, 0, 1 }, { 10, 5, 0 } }, 2, 2,
		{ { 10, 16 } }, 1 },
	{ "FIN in a duplicate", { { 10, 5, 0 }, { 12, 3, 1 } }, 2, 1,
		{ { 10, 16 } }, 1 },
	{ "FIN goes over to what covers it", { { 12, 3, 1 }, { 10, 5, 0 } }, 2,
		1, { { 10, 16 } }, 1 },
	{ "FIN in the middle of data is none", { { 10, 9, 0 }, { 12, 3, 1 } },
		2, 1, { { 10, 19 } }, 1 },
	{ "FIN that later data contradict", { { 15, 0, 1 }, { 10, 9, 0 } }, 2,
		1, { { 10, 19 } }, 1 },
	{ "FIN before data that are there", { { 20, 5, 0 }, { 10, 12, 1 } }, 2,
		2, { { 10, 25 } }, 1 },
};

/* All of it at sequence numbers that wrap, too. */
START_TEST(test_rows)
{
	static const uint32_t base[] = { 0, 0xffffffff - 17, 0x7ffffff0 };
	const struct row *r = &rows[_i];

	for (size_t b = 0; b < RTE_DIM(base); b++) {
		struct tcp_range block[4];
		struct reass q = { 0 };
		int grown = 0;

		for (uint32_t i = 0; i < r->n_in; i++)
			grown += put(&q, base[b] + r->in[i].seq, r->in[i].len,
				r->in[i].fin);
		ck_assert_msg(q.n == r->n, "%s: %u mbufs", r->what, q.n);
		ck_assert_int_eq(grown, q.n);
		ck_assert_msg(reass_blocks(&q, block, 4) == r->n_block, "%s",
			r->what);
		for (uint32_t i = 0; i < r->n_block; i++) {
			ck_assert_msg(
				block[i].start - base[b] == r->block[i].start,
				"%s: block %u", r->what, i);
			ck_assert_msg(block[i].end - base[b] == r->block[i].end,
				"%s: block %u", r->what, i);
		}
		ck_assert_uint_eq(reass_blocks(&q, block, 1), r->n_block > 0);
		ck_assert_uint_eq(reass_blocks(&q, block, 0), 0);
		ck_assert_uint_eq(reass_clear(&q), r->n);
		ck_assert_uint_eq(reass_clear(&q), 0);
		expect_balance();
	}
}
END_TEST

START_TEST(test_take_by_hand)
{
	struct reass q = { 0 };
	struct rte_mbuf *m;
	uint32_t taken;
	bool fin;

	/* Nothing at nxt; then a chain of two, cut at the front. */
	put(&q, 10, 5, false);
	put(&q, 15, 5, false);
	put(&q, 30, 5, true);
	ck_assert_ptr_null(reass_take(&q, 9, &taken, &fin));
	ck_assert(taken == 0 && !fin);
	m = reass_take(&q, 12, &taken, &fin);
	ck_assert(m != NULL && taken == 2 && !fin && q.n == 1);
	ck_assert_uint_eq(m->pkt_len, 8);
	ck_assert_uint_eq(m->nb_segs, 2);
	ck_assert_uint_eq(m->data_len, 3);
	ck_assert_uint_eq(*rte_pktmbuf_mtod(m, uint8_t *), byte_at(12, 0));
	rte_pktmbuf_free(m);

	/* What is old is freed; a FIN is seen though its data are old. */
	ck_assert_ptr_null(reass_take(&q, 35, &taken, &fin));
	ck_assert(taken == 1 && fin && q.n == 0);

	/* A FIN that is old itself is none. */
	put(&q, 30, 5, true);
	ck_assert_ptr_null(reass_take(&q, 36, &taken, &fin));
	ck_assert(taken == 1 && !fin);

	/* A FIN in the middle of data is none, whichever came first. */
	put(&q, 60, 5, false);
	put(&q, 50, 12, true);
	put(&q, 48, 4, true);
	m = reass_take(&q, 50, &taken, &fin);
	ck_assert(m != NULL && taken == 3 && !fin && q.n == 0);
	ck_assert_uint_eq(m->pkt_len, 15);
	rte_pktmbuf_free(m);

	/* A FIN alone, and what a peer dares to send behind it. */
	put(&q, 40, 0, true);
	put(&q, 40, 5, false);
	put(&q, 50, 5, false);
	ck_assert_ptr_null(reass_take(&q, 40, &taken, &fin));
	ck_assert(taken == 3 && fin && q.n == 0);
	expect_balance();
}
END_TEST

/* What is full takes no mbuf more, but a FIN's mark, and what shrinks it. */
START_TEST(test_max)
{
	struct reass q = { 0 };

	for (uint32_t i = 0; i < 4; i++)
		ck_assert_int_eq(
			reass_insert(&q, segment(i * 4, 2, 0), i * 4, false, 4),
			1);
	ck_assert_int_eq(reass_insert(&q, segment(50, 2, 0), 50, false, 4), 0);
	ck_assert_int_eq(reass_insert(&q, segment(2, 2, 0), 2, false, 4), 0);
	ck_assert_uint_eq(q.n, 4);
	ck_assert_int_eq(reass_insert(&q, segment(14, 0, 0), 14, true, 4), 0);
	ck_assert_int_eq(reass_insert(&q, segment(3, 8, 0), 3, false, 4), -1);
	ck_assert_uint_eq(q.n, 3);
	ck_assert_uint_eq(reass_clear(&q), 3);
	expect_balance();
}
END_TEST

/* --- random histories --- */

/* One version of each byte, or 0; `done`: up to where they were taken. */
struct model {
	uint32_t base, done;
	uint8_t version[STREAM + 1]; /* the last one is the FIN */
};

/*
 * How much of what the queue says it has is not the map's. Asserts take long;
 * so a history counts its faults.
 */
static uint32_t
wrong_blocks(const struct reass *q, const struct model *m)
{
	struct tcp_range block[STREAM];
	uint32_t n = reass_blocks(q, block, STREAM), bytes = 0, wrong = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t start = block[i].start - m->base;
		uint32_t end = block[i].end - m->base;

		if (start >= end || end > STREAM + 1) {
			wrong++;
			continue;
		}
		wrong += start != m->done && m->version[start - 1];
		wrong += end != STREAM + 1 && m->version[end];
		for (uint32_t k = start; k < end; k++)
			wrong += m->version[k] == 0;
		bytes += end - start;
	}
	for (uint32_t k = m->done; k <= STREAM; k++)
		bytes -= m->version[k] != 0;
	return wrong + bytes;
}

/* As the stack cuts them: nothing before what it waits for. */
static uint32_t
random_put(struct reass *q, struct model *m, uint8_t version)
{
	uint32_t left = STREAM - m->done;
	uint32_t at = m->done + (uint32_t)rand() % (left + 1);
	uint32_t len = (uint32_t)rand() % (rand() % 8 ? 40 : 200);
	uint32_t n = q->n;
	bool fin;

	if (len > STREAM - at)
		len = STREAM - at;
	fin = at + len == STREAM && rand() % 2;
	n += (uint32_t)reass_insert(q, segment(m->base + at, len, version),
		m->base + at, fin, UINT16_MAX);
	for (uint32_t i = at; i < at + len; i++)
		if (m->version[i] == 0)
			m->version[i] = version;
	if (fin)
		m->version[STREAM] = 1;
	return n != q->n;
}

/* Take what there is, byte by byte the version that came first. */
static bool
random_take(struct reass *q, struct model *m)
{
	uint32_t taken, n = q->n, at = m->done, wrong = 0;
	struct rte_mbuf *head, *s;
	bool fin;

	head = reass_take(q, m->base + m->done, &taken, &fin);
	ck_assert_uint_eq(n - taken, q->n);
	for (s = head; s != NULL; s = s->next)
		for (uint32_t i = 0; i < s->data_len; i++, at++)
			wrong += rte_pktmbuf_mtod(s, uint8_t *)[i] !=
				 byte_at(m->base + at, m->version[at]);
	ck_assert_uint_eq(wrong, 0);
	ck_assert_uint_eq(head ? head->pkt_len : 0, at - m->done);
	if (head != NULL)
		rte_mbuf_sanity_check(head, 1);
	rte_pktmbuf_free(head);
	m->done = at;
	ck_assert(at == STREAM || m->version[at] == 0);
	ck_assert(fin == (at == STREAM && m->version[STREAM] != 0));
	return fin;
}

START_TEST(test_histories)
{
	for (unsigned int seed = 0; seed < 300; seed++) {
		struct model m = { .base = 0u - (seed % 7) * 100 };
		struct reass q = { 0 };
		uint32_t wrong = 0;
		bool done = false;

		srand(seed * 97 + (unsigned int)_i * 1000003);
		for (uint32_t k = 0; !done; k++) {
			/* Version 0 says "none" in the map. */
			wrong += random_put(&q, &m, (uint8_t)(1 + k % 250));
			wrong += wrong_blocks(&q, &m);
			if (rand() % 8 == 0)
				done = random_take(&q, &m);
		}
		ck_assert_uint_eq(wrong, 0);
		ck_assert_uint_eq(m.done, STREAM);
		ck_assert_uint_eq(q.n, 0);
		ck_assert_ptr_null(q.first);
		expect_balance();
	}
}
END_TEST

/* A peer that contradicts itself: FINs anywhere. It is kept in order. */
START_TEST(test_liar)
{
	for (unsigned int seed = 0; seed < 250; seed++) {
		struct reass q = { 0 };
		uint32_t nxt = 0u - 150, taken, end;
		bool fin, sorted = true;

		srand(seed + (unsigned int)_i * 1000003);
		for (uint32_t k = 0; k < 200; k++) {
			uint32_t seq = nxt + (uint32_t)rand() % 300;
			int n = q.n;

			n += reass_insert(&q,
				segment(seq, (uint32_t)rand() % 30, 0), seq,
				rand() % 5 == 0, 50);
			sorted &= n == q.n && n <= 50;
			if (rand() % 20 == 0) {
				struct rte_mbuf *m =
					reass_take(&q, nxt, &taken, &fin);

				nxt += m ? m->pkt_len : 0;
				rte_pktmbuf_free(m);
			}
			end = nxt;
			n = 0;
			for (struct rte_mbuf *m = q.first; m != NULL;
				m = buf_of(m)->next, n++) {
				sorted &= seq_leq(end, buf_of(m)->seq);
				end = buf_of(m)->seq + buf_of(m)->len;
			}
			sorted &= n == q.n;
		}
		ck_assert(sorted);
		reass_clear(&q);
		expect_balance();
	}
}
END_TEST

static Suite *
make_suite(void)
{
	Suite *suite = suite_create("tcp reass");
	TCase *tc = tcase_create("reass");

	tcase_set_timeout(tc, 100);
	tcase_add_loop_test(tc, test_rows, 0, RTE_DIM(rows));
	tcase_add_test(tc, test_take_by_hand);
	tcase_add_test(tc, test_max);
	tcase_add_loop_test(tc, test_histories, 0, 8);
	tcase_add_loop_test(tc, test_liar, 0, 4);
	suite_add_tcase(suite, tc);
	return suite;
}

int
main(void)
{
	char *argv[] = { (char *)"test", (char *)"--no-huge",
		(char *)"--no-pci", (char *)"--no-shconf",
		(char *)"--no-telemetry", (char *)"-m", (char *)"64",
		(char *)"--log-level=4" };
	SRunner *sr = srunner_create(make_suite());
	int failed;

	if (rte_eal_init(RTE_DIM(argv), argv) < 0)
		return 1;
	pool = rte_pktmbuf_pool_create(
		"reass", POOL, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	/* A second stack in the process reserves the same words. */
	if (pool == NULL || buf_register() != 0 || buf_register() != 0)
		return 1;
	srunner_set_fork_status(sr, CK_NOFORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	rte_eal_cleanup();
	return failed != 0;
}
