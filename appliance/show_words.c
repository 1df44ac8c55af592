/* SPDX-License-Identifier: BSD-3-Clause */
#include "appliance/show_words.h"

#include <stdint.h>
#include <stdio.h>

const char *
show_text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s != NULL ? s : "-";
}

double
show_number(const json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

const char *
show_human(double n, char buf[16])
{
	static const char unit[] = " kMGTP";
	int i = 0;

	while (n >= 99999.5 && i < 5) {
		n /= 1000;
		i++;
	}
	if (i == 0)
		snprintf(buf, 16, "%.0f", n);
	else
		snprintf(buf, 16, "%.1f%c", n, unit[i]);
	return buf;
}

double
show_seen(struct lens lens, const json_t *now, const json_t *before,
	const char *key)
{
	if (lens.seconds <= 0)
		return show_number(now, key);
	return (show_number(now, key) - show_number(before, key)) /
	       lens.seconds;
}

void
show_counters(FILE *out, const char *title, const json_t *counters)
{
	const char *key;
	json_t *value;
	int n = 0;

	json_object_foreach((json_t *)(uintptr_t)counters, key, value)
		fprintf(out, "%s%s %lld", n++ == 0 ? title : ", ", key,
			(long long)json_integer_value(value));
	if (n > 0)
		fputc('\n', out);
}
