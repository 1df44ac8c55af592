/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/softnic/lookup.h"

#include <stdlib.h>

#define KEY_WORDS (sizeof(struct steer_fragment) / 8)

_Static_assert(sizeof(struct steer_fragment) % 8 == 0, "whole words");

struct sip {
	uint64_t a, b, c, d;
};

static inline uint64_t
rotl(uint64_t x, int r)
{
	return x << r | x >> (64 - r);
}

static inline void
sip_round(struct sip *s)
{
	s->a += s->b;
	s->c += s->d;
	s->b = rotl(s->b, 13) ^ s->a;
	s->d = rotl(s->d, 16) ^ s->c;
	s->a = rotl(s->a, 32) + s->d;
	s->c += s->b;
	s->d = rotl(s->d, 21) ^ s->a;
	s->b = rotl(s->b, 17) ^ s->c;
	s->c = rotl(s->c, 32);
}

static inline void
sip_word(struct sip *s, uint64_t word)
{
	s->d ^= word;
	sip_round(s);
	s->a ^= word;
}

/* SipHash-1-3 (Aumasson and Bernstein, 2012), the length being constant. */
static uint64_t
hash(const uint64_t secret[2], const struct steer_fragment *key)
{
	uint64_t word[KEY_WORDS];
	struct sip s = {
		.a = secret[0] ^ 0x736f6d6570736575u,
		.b = secret[1] ^ 0x646f72616e646f6du,
		.c = secret[0] ^ 0x6c7967656e657261u,
		.d = secret[1] ^ 0x7465646279746573u,
	};

	memcpy(word, key, sizeof(word));
	for (size_t i = 0; i < KEY_WORDS; i++)
		sip_word(&s, word[i]);
	sip_word(&s, (uint64_t)sizeof(*key) << 56);
	s.c ^= 0xff;
	for (int i = 0; i < 3; i++)
		sip_round(&s);
	return s.a ^ s.b ^ s.c ^ s.d;
}

static inline uint32_t
set_of(const struct fragments *c, const struct steer_fragment *key)
{
	return (uint32_t)hash(c->secret, key) & (FRAGMENTS_SETS - 1);
}

static inline int
is_young(const struct fragments *c, const struct fragment_slot *s)
{
	return s->tick != 0 && c->tick - s->tick < FRAGMENTS_TICKS_MAX;
}

struct fragments *
fragments_create(const uint64_t secret[2])
{
	struct fragments *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->secret[0] = secret[0];
	c->secret[1] = secret[1];
	c->tick = 1;
	return c;
}

const uint32_t *
fragments_find(const struct fragments *c, const struct steer_fragment *key)
{
	const struct fragment_slot *s = c->slot[set_of(c, key)];

	for (int i = 0; i < FRAGMENTS_WAYS; i++)
		if (is_young(c, &s[i]) && !memcmp(&s[i].key, key, sizeof(*key)))
			return &s[i].fate;
	return NULL;
}

/* A set is in the order of entry, the newest first: the last makes room. */
void
fragments_put(
	struct fragments *c, const struct steer_fragment *key, uint32_t fate)
{
	struct fragment_slot *s = c->slot[set_of(c, key)];
	int i = 0;

	while (i < FRAGMENTS_WAYS - 1 && memcmp(&s[i].key, key, sizeof(*key)))
		i++;
	memmove(&s[1], &s[0], (size_t)i * sizeof(s[0]));
	s[0].key = *key;
	s[0].fate = fate;
	s[0].tick = c->tick;
}
