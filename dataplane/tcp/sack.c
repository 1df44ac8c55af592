/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Everything is computed by gaps, the space between two ranges, for all bytes
 * of a gap have the same ranges above them. Below the range r[i] is gap i,
 * above the highest one is gap n, which ends at `nxt`:
 *
 *      una       r[0]          r[1]          nxt
 *       |..gap 0..####..gap 1..####..gap 2..|
 *
 * A board has few ranges (SACK_RANGES), so it is walked from the start.
 */
#include "dataplane/tcp/sack.h"

#include <string.h>

/* RFC 6675: ranges above a byte that make it lost. */
#define DUP_THRESH 3

static inline uint32_t
size_of(const struct tcp_range *r)
{
	return r->end - r->start;
}

void
sack_init(struct sack_board *b, uint32_t una)
{
	b->n = 0;
	b->sacked = 0;
	b->high_rxt = b->lost_to = b->rescue = una;
	b->rescued = false;
}

/* --- what the peer has --- */

/* Replace ranges [i, j) by `r`: they all lie within it. */
static void
replace(struct sack_board *b, uint32_t i, uint32_t j, struct tcp_range r)
{
	for (uint32_t k = i; k < j; k++)
		b->sacked -= size_of(&b->r[k]);
	if (i == j && b->n == SACK_RANGES)
		b->sacked -= size_of(&b->r[--b->n]);
	memmove(&b->r[i + 1], &b->r[j], (b->n - j) * sizeof(r));
	b->r[i] = r;
	b->n = b->n + 1 - (j - i);
	b->sacked += size_of(&r);
}

/* Returns bytes that are new. */
static uint32_t
add(struct sack_board *b, struct tcp_range r)
{
	uint32_t i = 0, j, had = 0;

	while (i < b->n && seq_lt(b->r[i].end, r.start))
		i++;
	for (j = i; j < b->n && seq_leq(b->r[j].start, r.end); j++)
		had += size_of(&b->r[j]);
	if (i == SACK_RANGES)
		return 0;
	if (i < j) {
		r.start = seq_min(r.start, b->r[i].start);
		r.end = seq_max(r.end, b->r[j - 1].end);
	}
	if (size_of(&r) == had)
		return 0;
	replace(b, i, j, r);
	return size_of(&r) - had;
}

uint32_t
sack_update(struct sack_board *b, const struct tcp_range *block, uint32_t n,
	uint32_t una, uint32_t nxt)
{
	uint32_t bytes = 0;

	for (uint32_t i = 0; i < n; i++)
		if (seq_lt(una, block[i].start) &&
			seq_lt(block[i].start, block[i].end) &&
			seq_leq(block[i].end, nxt))
			bytes += add(b, block[i]);
	return bytes;
}

void
sack_advance(struct sack_board *b, uint32_t una)
{
	uint32_t gone = 0;

	while (gone < b->n && seq_leq(b->r[gone].end, una))
		b->sacked -= size_of(&b->r[gone++]);
	b->n -= gone;
	memmove(b->r, b->r + gone, b->n * sizeof(b->r[0]));
	if (b->n > 0 && seq_leq(b->r[0].start, una))
		b->n = b->sacked = 0;
	b->high_rxt = seq_max(b->high_rxt, una);
	b->lost_to = seq_max(b->lost_to, una);
	if (seq_leq(b->rescue, una)) {
		b->rescue = una;
		b->rescued = false;
	}
}

/* --- what follows of it --- */

/* A gap, on a walk from the lowest to the highest. */
struct gap {
	struct tcp_range at;
	uint32_t i;     /* ranges below it */
	uint32_t above; /* bytes sacked above it */
};

static inline struct gap
first_gap(const struct sack_board *b, uint32_t una, uint32_t nxt)
{
	struct gap g = { { una, b->n > 0 ? b->r[0].start : nxt }, 0,
		b->sacked };

	return g;
}

/* false: there is none above. */
static inline bool
next_gap(const struct sack_board *b, struct gap *g, uint32_t nxt)
{
	if (g->i == b->n)
		return false;
	g->above -= size_of(&b->r[g->i]);
	g->at.start = b->r[g->i].end;
	g->i++;
	g->at.end = g->i < b->n ? b->r[g->i].start : nxt;
	return true;
}

/* Are gap i's bytes lost by what is sacked above it? */
static inline bool
gap_is_lost(
	const struct sack_board *b, uint32_t i, uint32_t above, uint32_t mss)
{
	return b->n - i >= DUP_THRESH || above > (DUP_THRESH - 1) * mss;
}

/* Where sequence space ends that something is sacked above. */
static inline uint32_t
top_of(const struct sack_board *b, uint32_t una)
{
	return b->n > 0 ? b->r[b->n - 1].end : una;
}

bool
sack_is_lost(const struct sack_board *b, uint32_t seq, uint32_t mss)
{
	uint32_t i = 0, above = b->sacked;

	for (; i < b->n && seq_leq(b->r[i].start, seq); i++)
		above -= size_of(&b->r[i]);
	return seq_lt(seq, b->lost_to) || gap_is_lost(b, i, above, mss);
}

/* Bytes of `r` below `seq`. */
static inline uint32_t
bytes_below(const struct tcp_range *r, uint32_t seq)
{
	if (seq_leq(seq, r->start))
		return 0;
	return seq_min(seq, r->end) - r->start;
}

uint32_t
sack_pipe(const struct sack_board *b, uint32_t una, uint32_t nxt, uint32_t mss)
{
	struct gap g = first_gap(b, una, nxt);
	uint32_t pipe = 0;

	do {
		if (!gap_is_lost(b, g.i, g.above, mss))
			pipe += size_of(&g.at) - bytes_below(&g.at, b->lost_to);
		pipe += bytes_below(&g.at, b->high_rxt);
	} while (next_gap(b, &g, nxt));
	return pipe;
}

static bool
cut_to(struct tcp_range *out, uint32_t start, uint32_t end, uint32_t mss)
{
	out->start = start;
	out->end = end - start > mss ? start + mss : end;
	return true;
}

/* Rules 1 and, if `any`, 3: the first after HighRxt that is (perhaps) lost. */
static bool
next_lost(const struct sack_board *b, uint32_t una, uint32_t nxt, uint32_t mss,
	bool any, struct tcp_range *out)
{
	struct gap g = first_gap(b, una, nxt);
	const uint32_t top = seq_max(top_of(b, una), b->lost_to);

	do {
		uint32_t start = seq_max(g.at.start, b->high_rxt);

		if (seq_geq(start, top))
			return false;
		if (seq_geq(start, g.at.end))
			continue;
		if (any || seq_lt(start, b->lost_to) ||
			gap_is_lost(b, g.i, g.above, mss))
			return cut_to(out, start, g.at.end, mss);
	} while (next_gap(b, &g, nxt));
	return false;
}

/* Rule 4: once, what ends with the highest byte that is not sacked. */
static bool
rescue(const struct sack_board *b, uint32_t una, uint32_t nxt, uint32_t mss,
	struct tcp_range *out)
{
	uint32_t start = top_of(b, una), end = nxt;

	if (b->rescued)
		return false;
	if (b->n > 0 && start == nxt) {
		start = b->n > 1 ? b->r[b->n - 2].end : una;
		end = b->r[b->n - 1].start;
	}
	if (start == end)
		return false;
	return cut_to(out, end - start > mss ? end - mss : start, end, mss);
}

bool
sack_next(const struct sack_board *b, uint32_t una, uint32_t nxt, uint32_t mss,
	bool may_rule3, struct tcp_range *out)
{
	if (next_lost(b, una, nxt, mss, false, out))
		return true;
	if (!may_rule3)
		return false;
	return next_lost(b, una, nxt, mss, true, out) ||
	       rescue(b, una, nxt, mss, out);
}

void
sack_retransmitted(struct sack_board *b, const struct tcp_range *out)
{
	const uint32_t top = seq_max(top_of(b, b->high_rxt), b->lost_to);
	const bool next =
		seq_geq(out->start, b->high_rxt) && seq_lt(out->start, top);

	/*
	 * Rules 1 and 3 give what is below `top`, and nothing twice. Without
	 * any range the first segment and the one to rescue look the same.
	 */
	if (next || (b->n == 0 && out->start == b->high_rxt))
		b->high_rxt = out->end;
	if (!next) {
		b->rescued = true;
		b->rescue = out->end;
	}
}

void
sack_restart(struct sack_board *b, uint32_t una, uint32_t nxt)
{
	b->high_rxt = b->rescue = una;
	b->lost_to = nxt;
	b->rescued = false;
}
