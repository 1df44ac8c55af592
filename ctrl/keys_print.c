/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of keys in words: for messages and for the man page. */
#include "ctrl/keys.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ctrl/config.h"

#define MDOC_COLUMNS 76

/* What to write, for each kind. */
static const char *const kind_words[] = {
	[KEY_GROUP] = "a group",
	[KEY_LIST] = "a list of groups",
	[KEY_TEXT] = "text",
	[KEY_NAME] = "a name",
	[KEY_BOOL] = "true or false",
	[KEY_INT] = "a whole number",
	[KEY_CHOICE] = "one of a few words",
	[KEY_QUANTITY] = "text with a unit",
	[KEY_ADDRESS] = "an address",
	[KEY_ADDRESSES] = "an array of addresses",
	[KEY_CORES] = "text with core numbers",
};

static void
print_choices(const struct key *key, char *buf, size_t len)
{
	int used = 0;

	for (const struct key_choice *c = key->choices; c->name != NULL; c++)
		if (!c->refused && used >= 0 && (size_t)used < len)
			used += snprintf(buf + used, len - (size_t)used,
				"%s\"%s\"", used > 0 ? ", " : "", c->name);
}

static void
print_quantity(const struct key *key, char *buf, size_t len)
{
	char low[24], high[24];

	snprintf(buf, len, "\"%s\" to \"%s\", units: %s",
		unit_format(key->unit, key->min, low, sizeof(low)),
		unit_format(key->unit, key->max, high, sizeof(high)),
		unit_names(key->unit));
}

const char *
key_allowed(const struct key *key, char *buf, size_t len)
{
	switch (key->kind) {
	case KEY_INT:
		snprintf(buf, len, "%" PRIu64 " to %" PRIu64, key->min,
			key->max);
		break;
	case KEY_CHOICE:
		print_choices(key, buf, len);
		break;
	case KEY_QUANTITY:
		print_quantity(key, buf, len);
		break;
	case KEY_NAME:
		snprintf(buf, len,
			"a small letter, then small letters, digits and "
			"dashes, at most %" PRIu64 " in all",
			key->max);
		break;
	case KEY_TEXT:
		snprintf(buf, len, "text of 1 to %d bytes",
			key->size != 0 ? key->size - 1 : GRANT_NAME_MAX - 1);
		break;
	case KEY_LIST:
	case KEY_ADDRESSES:
		snprintf(buf, len, "%" PRIu64 " to %" PRIu64 " entries",
			key->min, key->max);
		break;
	case KEY_ADDRESS:
		snprintf(buf, len, "a unicast IPv4 or IPv6 address");
		break;
	case KEY_CORES:
		snprintf(buf, len, "core numbers and ranges from 0 to %" PRIu64,
			key->max);
		break;
	default:
		snprintf(buf, len, "%s", kind_words[key->kind]);
	}
	return buf;
}

static const char *const only_words[] = {
	[KEY_ANY] = "",
	[KEY_PROXY] = "Of a proxy. ",
	[KEY_HTTP] = "Of a proxy, mode http. ",
};

/* What holds if the key is not given. */
static void
print_initial(FILE *out, const struct key *key)
{
	bool quoted = key->kind != KEY_INT && key->kind != KEY_BOOL;

	if (key->required)
		fputs("Required.", out);
	else if (key->initial != NULL)
		fprintf(out, quoted ? "Default: \"%s\"." : "Default: %s.",
			key->initial);
	else if (key->otherwise != NULL)
		fprintf(out, "Default: %s.", key->otherwise);
	else
		fputs("Optional.", out);
}

static size_t
line_end(FILE *out)
{
	fputc('\n', out);
	return 0;
}

/*
 * mdoc wants every sentence on a line of its own, and no line beyond 80
 * columns: a word that would go there begins the next.
 */
static void
print_lines(FILE *out, const char *text)
{
	size_t column = 0;

	while (*text != '\0') {
		size_t n = strcspn(text, " ");
		bool end = n > 0 && (text[n - 1] == '.' || text[n - 1] == '?');

		if (column > 0 && column + 1 + n > MDOC_COLUMNS)
			column = line_end(out);
		else if (column > 0)
			column += (size_t)fprintf(out, " ");
		column += (size_t)fprintf(out, "%.*s", (int)n, text);
		text += n + strspn(text + n, " ");
		if (end && *text != '\0')
			column = line_end(out);
	}
	fputc('\n', out);
}

/* A dot or quote that begins a line is a macro to mdoc; ours begin none. */
static void
print_mdoc(FILE *out, const struct key *key)
{
	char allowed[256], text[sizeof(allowed) + sizeof("Allowed: .")];
	char help[1024];

	fprintf(out, ".It Ic %s No = Ar %s\n", key->path,
		kind_words[key->kind]);
	snprintf(help, sizeof(help), "%s%s", only_words[key->only], key->help);
	print_lines(out, help);
	fputs(".br\n", out);
	snprintf(text, sizeof(text), "Allowed: %s.",
		key_allowed(key, allowed, sizeof(allowed)));
	print_lines(out, text);
	print_initial(out, key);
	fprintf(out, "\n.br\nExample: %s = %s;\n", key_name(key), key->example);
}

static void
print_text(FILE *out, const struct key *key)
{
	char allowed[256];

	fprintf(out, "%s = %s\n", key->path, key->example);
	fprintf(out, "    %s%s\n    Allowed: %s. ", only_words[key->only],
		key->help, key_allowed(key, allowed, sizeof(allowed)));
	print_initial(out, key);
	fputs("\n", out);
}

void
config_keys_print(FILE *out, bool mdoc)
{
	if (mdoc)
		fputs(".Sh KEYS\n.Bl -tag -width Ds\n", out);
	for (const struct key *k = keys; k->path != NULL; k++) {
		if (mdoc)
			print_mdoc(out, k);
		else
			print_text(out, k);
	}
	if (mdoc)
		fputs(".El\n", out);
}
