/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Quantities as text with a unit: "64M", "1Gb/s", "10k/s", "500ms".
 *
 *   quantity       value in    units
 *   UNIT_SIZE      bytes       B K M G T          (K = 1024 bytes)
 *   UNIT_RATE      bits/s      b/s kb/s Mb/s Gb/s Tb/s   (k = 1000)
 *   UNIT_PACKETS   packets/s   /s k/s M/s G/s            (k = 1000)
 *   UNIT_TIME      ms          ms s m h d
 *
 * A number without a unit is refused, never guessed at. Decimals are taken
 * when they come to a whole value: "2.5Gb/s" is, "1.5ms" is not.
 */
#ifndef CARRYALL_UNITS_H
#define CARRYALL_UNITS_H

#include <stddef.h>
#include <stdint.h>

enum unit {
	UNIT_SIZE,
	UNIT_RATE,
	UNIT_PACKETS,
	UNIT_TIME,
};

/*
 * The value of `text`, exactly. 0, or -EINVAL: not a number with a unit of
 * `unit`; -ERANGE: beyond 64 bits; -EDOM: not a whole value. Thread: any.
 */
int unit_parse(enum unit unit, const char *text, uint64_t *value);

/*
 * `value` in the largest unit that keeps it whole, into buf[0..len), such
 * that unit_parse() gives it back; 24 bytes hold any. Returns buf.
 */
const char *unit_format(enum unit unit, uint64_t value, char *buf, size_t len);

/* The units of `unit` for people: "ms, s, m, h, d". Static. */
const char *unit_names(enum unit unit);

#endif
