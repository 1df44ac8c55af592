/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Limits and shares.
 *
 * A limit is a bucket in the virtual scheduling form (ITU-T I.371): not a
 * level, but the time at which all that was taken is paid for. Frames may be
 * taken while that time is not ahead of now. Time saved up beyond
 * SCHED_CREDIT_NS is lost, and that is the burst.
 *
 * A share says who goes first where a limit is met: an uplink by functions,
 * by weight, and a function by its VNICs, in equal parts. Each member has a
 * count of the bytes it was served, divided by its weight; whoever is behind
 * goes, the others wait (fair queueing by virtual time, Goyal, Vin and Cheng
 * 1996, where deficit round robin would need a queue to take the turns in:
 * here the frames are in rings that are asked in any order). A member that
 * does not ask is not waited for, so that idle shares go to the others; when
 * it asks again it is behind by no more than LAG_BYTES.
 *
 * A VNIC needs several things at once: its function's limit, and those of all
 * uplinks that it may send by, as which one is not known before the frame
 * is. Who waits for one thing must not hold a turn at another, or two of
 * them could wait for each other: it asks for a thing only if it is stuck at
 * no other. That somebody took the last of it in this very round is no being
 * stuck, or who is asked first would be the only one that ever asks.
 *
 * The counts are kept only while the limit has been met within the last
 * SCHED_SHARED_NS: where there is room for all, no turns are taken.
 */
#include "dataplane/softnic/sched.h"

#include <stdbool.h>

#define NS_PER_S  1000000000ull
#define LAG_BYTES 65536

/* What a byte counts for a member of weight 1. */
#define SERVED_UNIT 4096

/* What a frame at least counts wherever it might have gone. */
#define FRAME_MIN 64

/* A VNIC's frames, before any was seen. */
#define BYTES_FIRST 256

/* --- buckets ------------------------------------------------------------- */

static inline uint64_t
scale(uint64_t a, uint64_t b, uint64_t divisor)
{
	return (uint64_t)((unsigned __int128)a * b / divisor);
}

static void
bucket_set(struct sched_bucket *b, uint64_t rate, uint64_t now)
{
	uint64_t cost = rate ? (NS_PER_S << 32) / rate : 0;

	if (cost == b->cost)
		return;
	if (b->cost == 0)
		b->paid_ns = now;
	else if (cost != 0 && b->paid_ns > now)
		b->paid_ns = now + scale(b->paid_ns - now, cost, b->cost);
	b->cost = cost;
}

static inline bool
bucket_empty(const struct sched_bucket *b, uint64_t now)
{
	return b->cost != 0 && b->paid_ns > now;
}

/* How many of `want` frames of `units` each it has room for. */
static inline uint32_t
bucket_room(struct sched *s, const struct sched_bucket *b, uint32_t units,
	uint32_t want)
{
	uint64_t credit, frame;

	if (b->cost == 0)
		return want;
	if (bucket_empty(b, s->now_ns)) {
		if (b->paid_ns + SCHED_GATHER_NS < s->next_ns)
			s->next_ns = b->paid_ns + SCHED_GATHER_NS;
		return 0;
	}
	credit = s->now_ns - b->paid_ns;
	if (credit > SCHED_CREDIT_NS)
		credit = SCHED_CREDIT_NS;
	frame = scale(units, b->cost, 1ull << 32) + 1;
	if (credit >= frame * want)
		return want;
	credit = credit / frame + 1;
	return credit < want ? (uint32_t)credit : want;
}

static inline void
bucket_charge(struct sched_bucket *b, uint64_t now, uint64_t units)
{
	unsigned __int128 cost;

	if (b->cost == 0)
		return;
	if (b->paid_ns + SCHED_CREDIT_NS < now)
		b->paid_ns = now - SCHED_CREDIT_NS;
	cost = (unsigned __int128)units * b->cost + b->frac;
	b->paid_ns += (uint64_t)(cost >> 32);
	b->frac = (uint32_t)cost;
}

static void
bucket_shift(struct sched_bucket *b, uint64_t by)
{
	b->paid_ns = b->paid_ns > by ? b->paid_ns - by : 0;
}

/* --- shares -------------------------------------------------------------- */

/* Counts wrap; they are never further apart than what is served in hours. */
static inline bool
ahead(uint64_t a, uint64_t b)
{
	return (int64_t)(a - b) > 0;
}

static inline bool
share_matters(const struct sched_share *h, uint64_t now)
{
	return now < h->until_ns;
}

/* The limit was met. Whoever comes, nobody is ahead to begin with. */
static void
share_met(struct sched_share *h, uint64_t now)
{
	if (!share_matters(h, now))
		for (int m = 0; m < SCHED_MEMBERS_MAX; m++)
			h->served[m] = h->floor;
	h->until_ns = now + SCHED_SHARED_NS;
}

static void
share_begin(struct sched_share *h, uint64_t now)
{
	uint64_t least = h->floor, lag = (uint64_t)LAG_BYTES * SERVED_UNIT;
	bool any = false;

	h->active = h->asking;
	h->asking = 0;
	if (!share_matters(h, now))
		return;
	for (uint32_t m = 0; m < SCHED_MEMBERS_MAX; m++) {
		if (!((h->active >> m) & 1))
			continue;
		if (!any || ahead(least, h->served[m]))
			least = h->served[m];
		any = true;
	}
	if (ahead(least, h->floor))
		h->floor = least;
	for (uint32_t m = 0; m < SCHED_MEMBERS_MAX; m++)
		if (ahead(h->floor - lag, h->served[m]))
			h->served[m] = h->floor - lag;
}

static inline bool
share_waits(const struct sched_share *h, uint32_t m, uint64_t now)
{
	return share_matters(h, now) && ahead(h->served[m], h->floor);
}

static inline void
share_serve(struct sched_share *h, uint32_t m, uint64_t now, uint64_t units)
{
	if (share_matters(h, now))
		h->served[m] += units;
}

/* --- the whole ----------------------------------------------------------- */

#define EACH_UPLINK(u, mask)          \
	for (uint32_t m_ = (mask), u; \
		m_ != 0 && (u = (uint32_t)__builtin_ctz(m_), 1); m_ &= m_ - 1)

void
sched_update(struct sched *s, const struct softnic_tables *t)
{
	s->n_vnics = t->n_vnics;
	s->n_functions = t->n_functions;
	s->n_uplinks = t->n_uplinks;
	for (uint32_t i = 0; i < t->n_vnics; i++) {
		struct sched_vnic *v = &s->vnic[i];

		v->function = t->vnic[i].function;
		v->uplinks = t->vnic[i].uplinks;
		if (v->bytes == 0)
			v->bytes = BYTES_FIRST;
		bucket_set(&v->bits, t->vnic[i].rate_bps, s->now_ns);
		bucket_set(&v->packets, t->vnic[i].packet_rate, s->now_ns);
	}
	for (uint32_t f = 0; f < t->n_functions; f++) {
		const struct softnic_function *from = &t->function[f];
		struct sched_function *to = &s->function[f];

		to->step = SERVED_UNIT / (from->weight ? from->weight : 1);
		bucket_set(&to->bits, from->rate_bps, s->now_ns);
		bucket_set(&to->packets, from->packet_rate, s->now_ns);
	}
	for (uint32_t u = 0; u < t->n_uplinks; u++)
		bucket_set(
			&s->uplink[u].bits, t->uplink[u].rate_bps, s->now_ns);
}

static void
shift(struct sched *s, uint64_t by)
{
	for (uint32_t i = 0; i < s->n_vnics; i++) {
		bucket_shift(&s->vnic[i].bits, by);
		bucket_shift(&s->vnic[i].packets, by);
	}
	for (uint32_t f = 0; f < s->n_functions; f++) {
		bucket_shift(&s->function[f].bits, by);
		bucket_shift(&s->function[f].packets, by);
		s->function[f].share.until_ns = 0;
	}
	for (uint32_t u = 0; u < s->n_uplinks; u++) {
		bucket_shift(&s->uplink[u].bits, by);
		s->uplink[u].share.until_ns = 0;
	}
}

void
sched_begin(struct sched *s, uint64_t now_ns)
{
	if (now_ns < s->now_ns)
		shift(s, s->now_ns - now_ns);
	s->now_ns = now_ns;
	s->next_ns = UINT64_MAX;
	s->held = s->full = 0;
	s->shut = s->blocked;
	for (uint32_t f = 0; f < s->n_functions; f++) {
		struct sched_function *a = &s->function[f];

		share_begin(&a->share, now_ns);
		a->shut = bucket_empty(&a->bits, now_ns) ||
			  bucket_empty(&a->packets, now_ns);
	}
	for (uint32_t u = 0; u < s->n_uplinks; u++) {
		share_begin(&s->uplink[u].share, now_ns);
		if (bucket_empty(&s->uplink[u].bits, now_ns))
			s->shut |= 1u << u;
	}
}

/* What one VNIC meets when it asks; bit per uplink, and FUNCTION_BIT. */
struct ask {
	uint32_t room;    /* frames that all limits have room for */
	uint32_t refused; /* there is none */
	uint32_t wait;    /* of these, but for a turn */
	uint32_t stuck;   /* of these, since the round began */
};

#define FUNCTION_BIT (1u << SOFTNIC_UPLINKS_MAX)

_Static_assert(SOFTNIC_UPLINKS_MAX < 32, "a bit is left for the function");

static inline uint32_t
least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static uint32_t
room_of(struct sched *s, const struct sched_bucket *bits,
	const struct sched_bucket *packets, uint32_t bytes, uint32_t want)
{
	uint32_t n = bucket_room(s, bits, bytes * 8, want);

	return n == 0 ? 0 : least(n, bucket_room(s, packets, 1, n));
}

static void
ask_function(struct sched *s, uint32_t i, uint32_t want, struct ask *a)
{
	struct sched_vnic *v = &s->vnic[i];
	struct sched_function *f = &s->function[v->function];
	uint32_t n = room_of(s, &f->bits, &f->packets, v->bytes, want);

	if (n < want)
		share_met(&f->share, s->now_ns);
	a->room = least(a->room, n);
	if (n == 0) {
		a->refused |= FUNCTION_BIT;
		a->stuck |= f->shut ? FUNCTION_BIT : 0;
		s->held |= 1u << i;
	} else if (share_waits(&f->share, i, s->now_ns)) {
		a->refused |= FUNCTION_BIT;
		a->stuck |= FUNCTION_BIT;
		a->wait |= FUNCTION_BIT;
	}
}

static void
ask_uplink(
	struct sched *s, uint32_t i, uint32_t u, uint32_t want, struct ask *a)
{
	struct sched_vnic *v = &s->vnic[i];
	struct sched_share *h = &s->uplink[u].share;
	uint32_t n = (s->blocked >> u) & 1 ? 0
					   : bucket_room(s, &s->uplink[u].bits,
						     v->bytes * 8, want);

	if (n < want) {
		share_met(h, s->now_ns);
		share_met(&s->function[v->function].share, s->now_ns);
	}
	a->room = least(a->room, n);
	if (n == 0) {
		a->refused |= 1u << u;
		a->stuck |= s->shut & 1u << u;
		s->full |= 1u << u;
	} else if (share_waits(h, v->function, s->now_ns)) {
		a->refused |= 1u << u;
		a->stuck |= 1u << u;
		a->wait |= 1u << u;
	}
}

/* Ask for a thing unless stuck at another. */
static void
ask_stand(struct sched *s, uint32_t i, const struct ask *a)
{
	struct sched_vnic *v = &s->vnic[i];

	if ((a->stuck & ~FUNCTION_BIT) == 0)
		s->function[v->function].share.asking |= 1u << i;
	EACH_UPLINK(u, v->uplinks)
	{
		if ((a->stuck & ~(1u << u)) == 0)
			s->uplink[u].share.asking |= 1u << v->function;
	}
}

uint16_t
sched_grant(struct sched *s, uint32_t i, uint16_t want)
{
	struct sched_vnic *v = &s->vnic[i];
	struct ask a = { 0 };

	a.room = room_of(s, &v->bits, &v->packets, v->bytes, want);
	if (a.room == 0) {
		s->held |= 1u << i;
		return 0;
	}
	ask_function(s, i, a.room, &a);
	EACH_UPLINK(u, v->uplinks)
	{
		ask_uplink(s, i, u, a.room ? a.room : 1, &a);
	}
	ask_stand(s, i, &a);
	if (a.refused == 0)
		return (uint16_t)a.room;
	if (a.wait == a.refused)
		s->next_ns = s->now_ns;
	return 0;
}

/* A frame counts everywhere it might have gone, but little. */
static void
serve(struct sched *s, uint32_t i, uint32_t by, uint32_t frames, uint64_t bytes)
{
	struct sched_vnic *v = &s->vnic[i];
	struct sched_function *f = &s->function[v->function];

	share_serve(&f->share, i, s->now_ns, bytes * SERVED_UNIT);
	EACH_UPLINK(u, v->uplinks)
	{
		uint64_t b =
			(by >> u) & 1 ? bytes : (uint64_t)frames * FRAME_MIN;

		share_serve(&s->uplink[u].share, v->function, s->now_ns,
			b * f->step);
	}
}

void
sched_charge(struct sched *s, uint32_t i, uint32_t u, uint32_t frames,
	uint64_t bytes)
{
	struct sched_vnic *v = &s->vnic[i];
	struct sched_function *f = &s->function[v->function];

	if (frames == 0)
		return;
	v->bytes = (v->bytes * 7 + (uint32_t)(bytes / frames)) / 8 + 1;
	bucket_charge(&v->bits, s->now_ns, bytes * 8);
	bucket_charge(&v->packets, s->now_ns, frames);
	bucket_charge(&f->bits, s->now_ns, bytes * 8);
	bucket_charge(&f->packets, s->now_ns, frames);
	bucket_charge(&s->uplink[u].bits, s->now_ns, bytes * 8);
	serve(s, i, 1u << u, frames, bytes);
}

void
sched_waste(struct sched *s, uint32_t i, uint32_t frames, uint64_t bytes)
{
	if (frames > 0)
		serve(s, i, UINT32_MAX, frames, bytes);
}

void
sched_inject(struct sched *s, uint32_t u, uint64_t bytes)
{
	bucket_charge(&s->uplink[u].bits, s->now_ns, bytes * 8);
}
