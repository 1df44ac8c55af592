/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/tcp/secret.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#define COOKIE_UNIT_MS 64000
#define COOKIE_AGES    2 /* units that a cookie is good for */
#define COUNT_SHIFT    27
#define COUNT_MASK     0x1f
#define MSS_SHIFT      24
#define MSS_MASK       7
#define HASH_MASK      0xffffff
#define TS_BITS        0x1f
#define TS_SACKOK      0x10
#define TS_WSCALE      0x0f
#define WSCALE_NONE    15

/*
 * Lengths that a cookie can say, the one below the peer's is taken: 536 and
 * 1220 are the defaults of IPv4 and IPv6, 1440 and 1460 what Ethernet gives
 * them, between are tunnels, above are jumbo frames.
 */
static const uint16_t cookie_mss[MSS_MASK + 1] = { TCP_COOKIE_MSS_MIN, 536,
	1220, 1360, 1400, 1440, 1460, 8940 };

/* --- SipHash-2-4 --- */

struct sip {
	uint64_t v0, v1, v2, v3;
};

static inline uint64_t
rotl(uint64_t x, unsigned int by)
{
	return x << by | x >> (64 - by);
}

static inline void
sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v2 += s->v3;
	s->v1 = rotl(s->v1, 13) ^ s->v0;
	s->v3 = rotl(s->v3, 16) ^ s->v2;
	s->v0 = rotl(s->v0, 32);
	s->v2 += s->v1;
	s->v0 += s->v3;
	s->v1 = rotl(s->v1, 17) ^ s->v2;
	s->v3 = rotl(s->v3, 21) ^ s->v0;
	s->v2 = rotl(s->v2, 32);
}

static inline void
sip_word(struct sip *s, uint64_t word)
{
	s->v3 ^= word;
	sip_round(s);
	sip_round(s);
	s->v0 ^= word;
}

/* data[0..len), len <= 8, as a number whose first byte is the lowest. */
static inline uint64_t
little(const uint8_t *data, uint32_t len)
{
	uint64_t word = 0;

	memcpy(&word, data, len);
	return le64toh(word);
}

uint64_t
secret_hash(const struct tcp_secret *secret, const void *data, uint32_t len)
{
	const uint8_t *p = data;
	uint32_t left = len;
	struct sip s = {
		.v0 = secret->key[0] ^ 0x736f6d6570736575u,
		.v1 = secret->key[1] ^ 0x646f72616e646f6du,
		.v2 = secret->key[0] ^ 0x6c7967656e657261u,
		.v3 = secret->key[1] ^ 0x7465646279746573u,
	};

	for (; left >= 8; left -= 8, p += 8)
		sip_word(&s, little(p, 8));
	sip_word(&s, little(p, left) | (uint64_t)len << 56);
	s.v2 ^= 0xff;
	for (int i = 0; i < 4; i++)
		sip_round(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

/* Spread a seed over a key (splitmix64, Steele, Lea and Flood 2014). */
static uint64_t
spread(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

int
secret_init(struct tcp_secret *s, uint64_t seed)
{
	ssize_t n;

	if (seed != 0) {
		s->key[0] = spread(&seed);
		s->key[1] = spread(&seed);
		return 0;
	}
	n = getrandom(s->key, sizeof(s->key), 0);
	if (n < 0)
		return -errno;
	return n == sizeof(s->key) ? 0 : -EIO;
}

/* --- numbers of a connection --- */

/* So that one purpose's numbers say nothing of another's. */
enum purpose {
	FOR_ISN = 1,
	FOR_TS,
	FOR_PORT,
	FOR_COOKIE,
};

struct hashed {
	struct tcp_tuple tuple;
	uint32_t purpose, a, b;
};

_Static_assert(sizeof(struct hashed) == 48, "no byte of it is undefined");

static uint64_t
hash_tuple(const struct tcp_secret *s, const struct tcp_tuple *tuple,
	enum purpose purpose, uint32_t a, uint32_t b)
{
	const struct hashed h = { *tuple, purpose, a, b };

	return secret_hash(s, &h, sizeof(h));
}

uint32_t
secret_isn(const struct tcp_secret *s, const struct tcp_tuple *tuple,
	uint64_t now_ms)
{
	return (uint32_t)(now_ms * 250 + hash_tuple(s, tuple, FOR_ISN, 0, 0));
}

uint32_t
secret_ts_offset(const struct tcp_secret *s, const struct tcp_tuple *tuple)
{
	return (uint32_t)hash_tuple(s, tuple, FOR_TS, 0, 0);
}

uint32_t
secret_port(const struct tcp_secret *s, const struct ip_addr *local,
	const struct ip_addr *remote, uint16_t rport)
{
	const struct tcp_tuple tuple = { *local, *remote, 0, rport };

	return (uint32_t)hash_tuple(s, &tuple, FOR_PORT, 0, 0);
}

/* --- cookies --- */

static uint32_t
cookie(const struct tcp_secret *s, const struct tcp_tuple *tuple, uint32_t irs,
	uint32_t mss, uint32_t count)
{
	uint32_t top = (count & COUNT_MASK) << 3 | mss;

	/* The count as a whole and the MSS go in: neither can be changed. */
	return top << MSS_SHIFT |
	       (hash_tuple(s, tuple, FOR_COOKIE, irs, count << 3 | mss) &
		       HASH_MASK);
}

uint32_t
cookie_make(const struct tcp_secret *s, const struct tcp_tuple *tuple,
	uint32_t irs, uint16_t mss, uint64_t now_ms)
{
	uint32_t i = MSS_MASK;

	while (i > 0 && cookie_mss[i] > mss)
		i--;
	return cookie(s, tuple, irs, i, (uint32_t)(now_ms / COOKIE_UNIT_MS));
}

uint32_t
cookie_ts(uint32_t ts, const struct tcp_seg *syn)
{
	uint32_t bits = syn->opts & TCP_OPT_WSCALE ? syn->wscale : WSCALE_NONE;

	if (syn->opts & TCP_OPT_SACKOK)
		bits |= TS_SACKOK;
	/* Not later than now, for our next timestamp may not be before it. */
	return ts - ((ts - bits) & TS_BITS);
}

static uint8_t
read_ts(uint32_t ts_ecr, uint8_t *wscale)
{
	uint8_t opts = TCP_OPT_TS;

	if (ts_ecr & TS_SACKOK)
		opts |= TCP_OPT_SACKOK;
	if ((ts_ecr & TS_WSCALE) != WSCALE_NONE) {
		opts |= TCP_OPT_WSCALE;
		*wscale = ts_ecr & TS_WSCALE;
	}
	return opts;
}

bool
cookie_check(const struct tcp_secret *s, const struct tcp_tuple *tuple,
	uint32_t irs, uint32_t isn, bool has_ts, uint32_t ts_ecr,
	uint64_t now_ms, struct tcp_cookie *out)
{
	uint32_t now = (uint32_t)(now_ms / COOKIE_UNIT_MS);
	uint32_t age = (now - (isn >> COUNT_SHIFT)) & COUNT_MASK;
	uint32_t mss = isn >> MSS_SHIFT & MSS_MASK;

	if (age >= COOKIE_AGES || isn != cookie(s, tuple, irs, mss, now - age))
		return false;
	*out = (struct tcp_cookie){ .mss = cookie_mss[mss] };
	if (has_ts)
		out->opts = read_ts(ts_ecr, &out->wscale);
	return true;
}
