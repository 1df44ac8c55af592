/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/units.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* More decimals than this could not be multiplied in 64 bits. */
#define DECIMALS_MAX 6

struct suffix {
	const char *name;
	uint64_t factor;
};

/* Of each quantity, smallest first, ended by a NULL name. */
static const struct suffix suffixes[][6] = {
	[UNIT_SIZE] = { { "B", 1 }, { "K", 1ull << 10 }, { "M", 1ull << 20 },
		{ "G", 1ull << 30 }, { "T", 1ull << 40 }, { 0 } },
	[UNIT_RATE] = { { "b/s", 1 }, { "kb/s", 1000 }, { "Mb/s", 1000000 },
		{ "Gb/s", 1000000000 }, { "Tb/s", 1000000000000 }, { 0 } },
	[UNIT_PACKETS] = { { "/s", 1 }, { "k/s", 1000 }, { "M/s", 1000000 },
		{ "G/s", 1000000000 }, { 0 } },
	[UNIT_TIME] = { { "ms", 1 }, { "s", 1000 }, { "m", 60 * 1000 },
		{ "h", 3600 * 1000 }, { "d", 24 * 3600 * 1000 }, { 0 } },
};

static const char *const names[] = {
	[UNIT_SIZE] = "B, K, M, G, T",
	[UNIT_RATE] = "b/s, kb/s, Mb/s, Gb/s, Tb/s",
	[UNIT_PACKETS] = "/s, k/s, M/s, G/s",
	[UNIT_TIME] = "ms, s, m, h, d",
};

const char *
unit_names(enum unit unit)
{
	return names[unit];
}

static int
digits(const char **text, uint64_t *value)
{
	const char *p = *text;
	uint64_t v = 0;

	for (; isdigit((unsigned char)*p); p++)
		if (__builtin_mul_overflow(v, 10, &v) ||
			__builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
			return -ERANGE;
	if (p == *text)
		return -EINVAL;
	*text = p;
	*value = v;
	return 0;
}

/* ".25" into 25 and 100; nothing leaves them as they are. */
static int
decimals(const char **text, uint64_t *numerator, uint64_t *denominator)
{
	const char *p;
	int err;

	if (**text != '.')
		return 0;
	p = ++*text;
	err = digits(text, numerator);
	if (err == 0 && *text - p > DECIMALS_MAX)
		err = -EDOM;
	if (err < 0)
		return err;
	for (; p < *text; p++)
		*denominator *= 10;
	return 0;
}

static uint64_t
factor_of(enum unit unit, const char *name)
{
	for (const struct suffix *s = suffixes[unit]; s->name != NULL; s++)
		if (strcmp(s->name, name) == 0)
			return s->factor;
	return 0;
}

int
unit_parse(enum unit unit, const char *text, uint64_t *value)
{
	uint64_t whole, numerator = 0, denominator = 1, factor;
	int err = digits(&text, &whole);

	if (err == 0)
		err = decimals(&text, &numerator, &denominator);
	if (err < 0)
		return err;
	factor = factor_of(unit, text);
	if (factor == 0)
		return -EINVAL;
	if (__builtin_mul_overflow(whole, factor, &whole))
		return -ERANGE;
	numerator *= factor;
	if (numerator % denominator != 0)
		return -EDOM;
	if (__builtin_add_overflow(whole, numerator / denominator, value))
		return -ERANGE;
	return 0;
}

const char *
unit_format(enum unit unit, uint64_t value, char *buf, size_t len)
{
	const struct suffix *best = suffixes[unit];

	for (const struct suffix *s = best; s->name != NULL; s++)
		if (value != 0 && value % s->factor == 0)
			best = s;
	snprintf(buf, len, "%" PRIu64 "%s", value / best->factor, best->name);
	return buf;
}
