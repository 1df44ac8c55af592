/* SPDX-License-Identifier: BSD-3-Clause */
/* The scoreboard against a map of bytes, and RFC 6675's rules by hand. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/tcp/sack.h"

#define WINDOW 500 /* bytes of a random history that may be out */

/* --- by hand --- */

static struct sack_board board;

static void
start(uint32_t una, const struct tcp_range *r, uint32_t n, uint32_t nxt)
{
	memset(&board, 0xa5, sizeof(board));
	sack_init(&board, una);
	sack_update(&board, r, n, una, nxt);
}

static void
expect_next(uint32_t una, uint32_t nxt, bool rule3, uint32_t from, uint32_t to)
{
	struct tcp_range out;

	ck_assert(sack_next(&board, una, nxt, 10, rule3, &out));
	ck_assert_uint_eq(out.start, from);
	ck_assert_uint_eq(out.end, to);
	sack_retransmitted(&board, &out);
}

static void
expect_none(uint32_t una, uint32_t nxt, bool rule3)
{
	struct tcp_range out;

	ck_assert(!sack_next(&board, una, nxt, 10, rule3, &out));
}

/* What blocks are taken, with una 100 and nxt 200. */
START_TEST(test_blocks)
{
	static const struct {
		struct tcp_range block[4];
		uint32_t n, fresh, ranges;
	} row[] = {
		{ { { 110, 120 } }, 1, 10, 1 },
		{ { { 110, 120 }, { 110, 120 } }, 2, 10, 1 },
		{ { { 110, 120 }, { 120, 130 } }, 2, 20, 1 },
		{ { { 120, 130 }, { 110, 120 } }, 2, 20, 1 },
		{ { { 110, 120 }, { 121, 130 } }, 2, 19, 2 },
		{ { { 110, 120 }, { 130, 140 }, { 115, 135 } }, 3, 30, 1 },
		{ { { 110, 120 }, { 130, 140 }, { 105, 145 } }, 3, 40, 1 },
		{ { { 112, 114 }, { 110, 120 } }, 2, 10, 1 },
		{ { { 190, 200 } }, 1, 10, 1 },
		{ { { 190, 201 } }, 1, 0, 0 }, /* not yet sent */
		{ { { 100, 110 } }, 1, 0, 0 }, /* una itself */
		{ { { 90, 110 } }, 1, 0, 0 },  /* D-SACK over una */
		{ { { 80, 90 } }, 1, 0, 0 },   /* D-SACK */
		{ { { 110, 110 } }, 1, 0, 0 }, /* empty */
		{ { { 120, 110 } }, 1, 0, 0 }, /* backwards */
		{ { { 110, 110 + (1u << 31) } }, 1, 0, 0 },
		{ { { 101, 200 } }, 1, 99, 1 },
	};

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		sack_init(&board, 100);
		ck_assert_uint_eq(
			sack_update(&board, row[i].block, row[i].n, 100, 200),
			row[i].fresh);
		ck_assert_uint_eq(board.n, row[i].ranges);
		ck_assert_uint_eq(board.sacked, row[i].fresh);
	}
}
END_TEST

/* Three ranges above, or more than two segments' bytes: lost. mss is 10. */
START_TEST(test_lost)
{
	const struct tcp_range three[] = { { 110, 111 }, { 120, 121 },
		{ 130, 131 } };
	const struct tcp_range twenty[] = { { 110, 130 } };
	const struct tcp_range more[] = { { 110, 131 } };

	start(100, three, 3, 200);
	ck_assert(sack_is_lost(&board, 100, 10));
	ck_assert(!sack_is_lost(&board, 111, 10));
	ck_assert_uint_eq(sack_pipe(&board, 100, 200, 10), 9 + 9 + 69);
	expect_next(100, 200, false, 100, 110);
	ck_assert_uint_eq(sack_pipe(&board, 100, 200, 10), 10 + 9 + 9 + 69);
	expect_none(100, 200, false);
	expect_next(100, 200, true, 111, 120);
	expect_next(100, 200, true, 121, 130);
	start(100, twenty, 1, 200);
	ck_assert(!sack_is_lost(&board, 100, 10));
	start(100, more, 1, 200);
	ck_assert(sack_is_lost(&board, 109, 10));
	ck_assert(!sack_is_lost(&board, 131, 10));
}
END_TEST

/* A gap is sent again by segments, up to its end. */
START_TEST(test_next)
{
	const struct tcp_range r[] = { { 125, 160 } };

	start(100, r, 1, 200);
	expect_next(100, 200, false, 100, 110);
	expect_next(100, 200, false, 110, 120);
	expect_next(100, 200, false, 120, 125);
	expect_none(100, 200, false);
	ck_assert_uint_eq(board.high_rxt, 125);
}
END_TEST

/* Rule 4: once, the end of what is out; HighRxt stays. */
START_TEST(test_rescue)
{
	const struct tcp_range below[] = { { 110, 150 } };
	const struct tcp_range at_end[] = { { 110, 150 }, { 154, 200 } };

	start(100, below, 1, 200);
	expect_next(100, 200, true, 100, 110);
	expect_next(100, 200, true, 190, 200);
	expect_none(100, 200, true);
	ck_assert_uint_eq(board.high_rxt, 110);
	sack_advance(&board, 150);
	expect_none(150, 200, true);
	sack_advance(&board, 200);
	expect_next(200, 220, true, 210, 220);

	/* The highest range ends where everything does. */
	start(100, at_end, 2, 200);
	expect_next(100, 200, true, 100, 110);
	expect_next(100, 200, true, 150, 154);
	expect_next(100, 200, true, 150, 154);
	expect_none(100, 200, true);

	/* The hole is closed and no range left: the tail, once. */
	start(100, below, 1, 155);
	expect_next(100, 155, false, 100, 110);
	sack_advance(&board, 150);
	expect_next(150, 155, true, 150, 155);
	expect_none(150, 155, true);

	/* Nothing is out. */
	start(100, below, 0, 100);
	expect_none(100, 100, true);
}
END_TEST

/* After a time-out everything is lost, above the highest range as well. */
START_TEST(test_restart)
{
	const struct tcp_range r[] = { { 110, 120 } };

	start(100, r, 1, 145);
	expect_next(100, 145, true, 100, 110);
	sack_restart(&board, 100, 145);
	ck_assert_uint_eq(sack_pipe(&board, 100, 145, 10), 0);
	ck_assert(sack_is_lost(&board, 144, 10));
	ck_assert(!sack_is_lost(&board, 145, 10));
	expect_next(100, 145, false, 100, 110);
	ck_assert_uint_eq(sack_pipe(&board, 100, 145, 10), 10);
	expect_next(100, 145, false, 120, 130);
	expect_next(100, 145, false, 130, 140);
	expect_next(100, 145, false, 140, 145);
	expect_none(100, 155, false);

	/* New data behind: they are on their way, not lost. */
	ck_assert_uint_eq(sack_pipe(&board, 100, 155, 10), 35 + 10);
}
END_TEST

/* A peer that acknowledges up to what it says it has, has it no more. */
START_TEST(test_reneging)
{
	const struct tcp_range r[] = { { 110, 120 }, { 130, 140 } };

	start(100, r, 2, 200);
	sack_advance(&board, 105);
	ck_assert_uint_eq(board.n, 2);
	sack_advance(&board, 120);
	ck_assert_uint_eq(board.n, 1);
	ck_assert_uint_eq(board.sacked, 10);
	sack_advance(&board, 130);
	ck_assert_uint_eq(board.n, 0);
	ck_assert_uint_eq(board.sacked, 0);
	start(100, r, 2, 200);
	sack_advance(&board, 115);
	ck_assert_uint_eq(board.n, 0);
}
END_TEST

/* --- random histories --- */

/* A byte each, of base .. base + WINDOW; numbers are relative to base. */
struct model {
	uint32_t base, una, nxt, high_rxt, lost_to, rescue;
	bool rescued;
	bool sacked[WINDOW + 1];
};

static uint32_t
ranges_above(const struct model *m, uint32_t at)
{
	uint32_t n = 0;

	for (; at < m->nxt; at++)
		n += m->sacked[at] && !m->sacked[at + 1];
	return n;
}

static uint32_t
bytes_above(const struct model *m, uint32_t at)
{
	uint32_t n = 0;

	for (; at < m->nxt; at++)
		n += m->sacked[at];
	return n;
}

static bool
model_lost(const struct model *m, uint32_t at, uint32_t mss)
{
	return at < m->lost_to || ranges_above(m, at) >= 3 ||
	       bytes_above(m, at) > 2 * mss;
}

static uint32_t
model_pipe(const struct model *m, uint32_t mss)
{
	uint32_t pipe = 0;

	for (uint32_t at = m->una; at < m->nxt; at++)
		if (!m->sacked[at])
			pipe += !model_lost(m, at, mss) + (at < m->high_rxt);
	return pipe;
}

/* Of more ranges than there is room for the highest goes. */
static void
forget(struct model *m)
{
	uint32_t at = m->nxt;

	if (ranges_above(m, 0) <= SACK_RANGES)
		return;
	while (!m->sacked[at])
		at--;
	while (m->sacked[at])
		m->sacked[at--] = false;
}

static uint32_t
model_update(struct model *m, uint32_t from, uint32_t to)
{
	bool before[WINDOW + 1];
	uint32_t fresh = 0;

	if (from <= m->una || from >= to || to > m->nxt)
		return 0;
	memcpy(before, m->sacked, sizeof(before));
	memset(m->sacked + from, 1, to - from);
	forget(m);
	for (uint32_t at = from; at < to; at++)
		fresh += m->sacked[at] && !before[at];
	return fresh;
}

static void
model_advance(struct model *m, uint32_t una)
{
	m->una = una;
	if (m->sacked[una])
		memset(m->sacked, 0, sizeof(m->sacked));
	memset(m->sacked, 0, una);
	if (m->high_rxt < una)
		m->high_rxt = una;
	if (m->lost_to < una)
		m->lost_to = una;
	if (m->rescue <= una)
		m->rescued = false;
}

/* The end of the gap that `at` is in, `mss` from it at most. */
static uint32_t
end_of_gap(const struct model *m, uint32_t at, uint32_t mss)
{
	uint32_t end = at;

	while (end < m->nxt && end < at + mss && !m->sacked[end])
		end++;
	return end;
}

static bool
model_next(
	const struct model *m, uint32_t mss, bool rule3, struct tcp_range *out)
{
	for (int any = 0; any <= rule3; any++)
		for (uint32_t at = m->high_rxt; at < m->nxt; at++)
			if (!m->sacked[at] &&
				(at < m->lost_to || bytes_above(m, at) > 0) &&
				(any || model_lost(m, at, mss))) {
				out->start = at;
				out->end = end_of_gap(m, at, mss);
				return true;
			}
	if (!rule3 || m->rescued)
		return false;
	for (uint32_t at = m->nxt; at > m->una; at--)
		if (!m->sacked[at - 1]) {
			out->start = out->end = at;
			while (out->start > m->una && at - out->start < mss &&
				!m->sacked[out->start - 1])
				out->start--;
			return true;
		}
	return false;
}

static void
model_retransmitted(struct model *m, const struct tcp_range *out)
{
	bool next = out->start >= m->high_rxt &&
		    (out->start < m->lost_to || bytes_above(m, out->start) > 0);

	if (next || (ranges_above(m, 0) == 0 && out->start == m->high_rxt))
		m->high_rxt = out->end;
	if (!next) {
		m->rescued = true;
		m->rescue = out->end;
	}
}

static uint32_t
random_update(struct sack_board *b, struct model *m)
{
	struct tcp_range block[4];
	uint32_t n = 1 + (uint32_t)rand() % 4, fresh = 0;

	for (uint32_t i = 0; i < n; i++) {
		/* Also before una, beyond nxt and backwards. */
		uint32_t from = (uint32_t)rand() % (WINDOW - 40);
		uint32_t to = from + (uint32_t)rand() % 30;

		if (rand() % 20 == 0)
			to = (uint32_t)rand() % WINDOW;
		block[i].start = m->base + from;
		block[i].end = m->base + to;
		fresh += model_update(m, from, to);
	}
	return sack_update(b, block, n, m->base + m->una, m->base + m->nxt) !=
	       fresh;
}

/* Ask both, and tell both that it was sent. */
static uint32_t
random_send(struct sack_board *b, struct model *m, uint32_t mss)
{
	struct tcp_range want = { 0, 0 }, have = { 0, 0 };
	const bool rule3 = rand() % 2;
	bool is = model_next(m, mss, rule3, &want);

	if (sack_next(b, m->base + m->una, m->base + m->nxt, mss, rule3,
		    &have) != is)
		return 1;
	if (!is)
		return 0;
	if (have.start != m->base + want.start ||
		have.end != m->base + want.end)
		return 1;
	if (rand() % 3) {
		model_retransmitted(m, &want);
		sack_retransmitted(b, &have);
	}
	return 0;
}

/* The board must be sorted, apart, counted, and the map's ranges. */
static uint32_t
wrong_board(const struct sack_board *b, const struct model *m)
{
	uint32_t wrong = b->n != ranges_above(m, 0), sum = 0;

	for (uint32_t i = 0; i < b->n; i++) {
		uint32_t from = b->r[i].start - m->base;
		uint32_t to = b->r[i].end - m->base;

		if (from >= to || from <= m->una || to > m->nxt)
			return wrong + 1;
		wrong += m->sacked[from - 1] || m->sacked[to];
		for (uint32_t at = from; at < to; at++)
			wrong += !m->sacked[at];
		sum += to - from;
	}
	wrong += sum != b->sacked || sum != bytes_above(m, 0);
	wrong += b->high_rxt - m->base != m->high_rxt;
	return wrong + (b->rescued != m->rescued);
}

static uint32_t
wrong_answers(const struct sack_board *b, const struct model *m, uint32_t mss)
{
	const uint32_t at = m->una + (uint32_t)rand() % (m->nxt - m->una);
	uint32_t wrong = 0;

	if (!m->sacked[at])
		wrong += sack_is_lost(b, m->base + at, mss) !=
			 model_lost(m, at, mss);
	return wrong + (sack_pipe(b, m->base + m->una, m->base + m->nxt, mss) !=
			       model_pipe(m, mss));
}

static uint32_t
random_step(struct sack_board *b, struct model *m, uint32_t mss)
{
	uint32_t wrong = 0, una;

	switch (rand() % 12) {
	case 0:
		una = m->una + (uint32_t)rand() % 60;
		if (una >= m->nxt)
			break;
		model_advance(m, una);
		sack_advance(b, m->base + una);
		break;
	case 1:
		m->nxt += (uint32_t)rand() % 100;
		if (m->nxt > WINDOW)
			m->nxt = WINDOW;
		break;
	case 2:
		if (rand() % 8)
			break;
		m->high_rxt = m->una;
		m->lost_to = m->nxt;
		m->rescued = false;
		sack_restart(b, m->base + m->una, m->base + m->nxt);
		break;
	case 3:
	case 4:
	case 5:
	case 6:
		wrong = random_send(b, m, mss);
		break;
	default:
		wrong = random_update(b, m);
	}
	return wrong + wrong_board(b, m) + wrong_answers(b, m, mss);
}

START_TEST(test_histories)
{
	for (unsigned int seed = 0; seed < 250; seed++) {
		struct model m = { .base = 0u - (seed % 8) * 100, .nxt = 200 };
		struct sack_board b;
		uint32_t wrong = 0, mss;

		srand(seed * 97 + (unsigned int)_i * 1000003);
		mss = 1 + (uint32_t)rand() % 40;
		sack_init(&b, m.base);
		for (uint32_t k = 0; k < 120; k++)
			wrong += random_step(&b, &m, mss);
		ck_assert_msg(wrong == 0, "history %u: %u", seed, wrong);
	}
}
END_TEST

/* More ranges than there is room for, in any order. */
START_TEST(test_full)
{
	for (unsigned int seed = 0; seed < 100; seed++) {
		struct model m = { .base = 0u - 250, .nxt = WINDOW };
		struct sack_board b;
		uint32_t wrong = 0, full = 0;

		srand(seed);
		sack_init(&b, m.base);
		for (uint32_t k = 0; k < 150; k++) {
			uint32_t at = 2 + (uint32_t)rand() % (WINDOW - 4);
			struct tcp_range r = { m.base + at, m.base + at + 2 };

			wrong += sack_update(
					 &b, &r, 1, m.base, m.base + m.nxt) !=
				 model_update(&m, at, at + 2);
			wrong += wrong_board(&b, &m);
			full += b.n == SACK_RANGES;
		}
		ck_assert_uint_eq(wrong, 0);
		ck_assert_uint_gt(full, 0);
	}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("tcp sack");
	TCase *tc = tcase_create("sack");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 100);
	tcase_add_test(tc, test_blocks);
	tcase_add_test(tc, test_lost);
	tcase_add_test(tc, test_next);
	tcase_add_test(tc, test_rescue);
	tcase_add_test(tc, test_restart);
	tcase_add_test(tc, test_reneging);
	tcase_add_loop_test(tc, test_histories, 0, 8);
	tcase_add_test(tc, test_full);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
