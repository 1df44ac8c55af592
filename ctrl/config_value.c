/* SPDX-License-Identifier: BSD-3-Clause */
/* One value: from a setting, by its key's row, into its field. */
#include "ctrl/config_parse.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctrl/config_fault.h"

#define CHOICES_MAX 8

/* The same for each kind: what to write instead. */
static const char *const kind_wanted[] = {
	[KEY_GROUP] = "a group in { }",
	[KEY_LIST] = "a list in ( )",
	[KEY_TEXT] = "text in quotes",
	[KEY_NAME] = "text in quotes",
	[KEY_BOOL] = "true or false, without quotes",
	[KEY_INT] = "a whole number",
	[KEY_CHOICE] = "text in quotes",
	[KEY_QUANTITY] = "text with a unit",
	[KEY_ADDRESS] = "an address in quotes",
	[KEY_ADDRESSES] = "an array of addresses in [ ]",
	[KEY_CORES] = "text in quotes",
};

/* What a setting is, for people. */
static const char *
type_name(const config_setting_t *s)
{
	switch (config_setting_type(s)) {
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		return "a number";
	case CONFIG_TYPE_FLOAT:
		return "a number with decimals";
	case CONFIG_TYPE_STRING:
		return "text";
	case CONFIG_TYPE_BOOL:
		return "true or false";
	case CONFIG_TYPE_ARRAY:
		return "an array";
	case CONFIG_TYPE_LIST:
		return "a list";
	default:
		return "a group";
	}
}

static void
wrong_type(struct parse *p, const struct key *key, config_setting_t *s)
{
	parse_fault(p, s, "%s is %s; give %s, as %s = %s", key_name(key),
		type_name(s), kind_wanted[key->kind], key_name(key),
		key->example);
}

static void
refuse(struct parse *p, const struct key *key, config_setting_t *s,
	const char *value)
{
	char allowed[256];

	parse_fault(p, s, "%s is %.100s; allowed: %s", key_name(key), value,
		key_allowed(key, allowed, sizeof(allowed)));
}

static void
refuse_text(struct parse *p, const struct key *key, config_setting_t *s,
	const char *text)
{
	char quoted[104];

	snprintf(quoted, sizeof(quoted), "\"%.100s\"", text);
	refuse(p, key, s, quoted);
}

/* A number into a field of 1, 2, 4 or 8 bytes. */
static void
store(const struct key *key, void *base, uint64_t v)
{
	void *field = (char *)base + key->offset;

	if (key->size == sizeof(uint64_t))
		memcpy(field, &v, sizeof(v));
	else if (key->size == sizeof(uint32_t))
		memcpy(field, &(uint32_t){ (uint32_t)v }, sizeof(uint32_t));
	else if (key->size == sizeof(uint16_t))
		memcpy(field, &(uint16_t){ (uint16_t)v }, sizeof(uint16_t));
	else if (key->size == sizeof(uint8_t))
		memcpy(field, &(uint8_t){ (uint8_t)v }, sizeof(uint8_t));
}

static void
store_text(const struct key *key, void *base, const char *text)
{
	if (key->size != 0)
		snprintf((char *)base + key->offset, key->size, "%s", text);
}

static void
take_bool(
	struct parse *p, const struct key *key, config_setting_t *s, void *base)
{
	if (config_setting_type(s) != CONFIG_TYPE_BOOL)
		wrong_type(p, key, s);
	else
		store(key, base, config_setting_get_bool(s) != 0);
}

static void
take_int(
	struct parse *p, const struct key *key, config_setting_t *s, void *base)
{
	int type = config_setting_type(s);
	long long v = type == CONFIG_TYPE_INT64 ? config_setting_get_int64(s)
						: config_setting_get_int(s);
	char digits[24];

	if (type != CONFIG_TYPE_INT && type != CONFIG_TYPE_INT64) {
		wrong_type(p, key, s);
	} else if (v < (long long)key->min || v > (long long)key->max) {
		snprintf(digits, sizeof(digits), "%lld", v);
		/* That is where the source cut it to 64 bits. */
		refuse(p, key, s,
			v == INT64_MAX || v == INT64_MIN ? "beyond 64 bits"
							 : digits);
	} else {
		store(key, base, (uint64_t)v);
	}
}

static bool
is_name(const char *text, uint64_t max)
{
	size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return *text >= 'a' && *text <= 'z' && text[n] == '\0' && n <= max;
}

static void
take_name(struct parse *p, const struct key *key, config_setting_t *s,
	const char *text, void *base)
{
	if (is_name(text, key->max))
		store_text(key, base, text);
	else
		refuse_text(p, key, s, text);
}

/* A key without a field is looked up later, and refused there. */
static void
take_text(struct parse *p, const struct key *key, config_setting_t *s,
	const char *text, void *base)
{
	size_t n = strlen(text);

	if (key->size != 0 && (n == 0 || n >= key->size))
		refuse_text(p, key, s, text);
	else
		store_text(key, base, text);
}

static void
refuse_choice(struct parse *p, const struct key *key, config_setting_t *s,
	const char *text)
{
	const char *names[CHOICES_MAX], *nearest;
	char allowed[256];
	unsigned int n = 0;

	for (const struct key_choice *c = key->choices; c->name != NULL; c++)
		if (!c->refused && n < CHOICES_MAX)
			names[n++] = c->name;
	nearest = text_nearest(text, names, n);
	if (nearest == NULL)
		refuse_text(p, key, s, text);
	else
		parse_fault(p, s,
			"%s is \"%.100s\"; did you mean \"%s\"? allowed: %s",
			key_name(key), text, nearest,
			key_allowed(key, allowed, sizeof(allowed)));
}

static void
take_choice(struct parse *p, const struct key *key, config_setting_t *s,
	const char *text, void *base)
{
	const struct key_choice *c = key->choices;
	char allowed[256];

	while (c->name != NULL && strcmp(c->name, text) != 0)
		c++;
	if (c->name == NULL)
		refuse_choice(p, key, s, text);
	else if (c->refused)
		parse_fault(p, s,
			"%s \"%s\" is not in this version; allowed: "
			"%s",
			key_name(key), text,
			key_allowed(key, allowed, sizeof(allowed)));
	else if (key->size > sizeof(uint64_t))
		store_text(key, base, c->name);
	else
		store(key, base, c->value);
}

static void
take_quantity(struct parse *p, const struct key *key, config_setting_t *s,
	const char *text, void *base)
{
	uint64_t v = 0;
	int err = unit_parse(key->unit, text, &v);

	if (err == -EINVAL)
		parse_fault(p, s,
			"%s is \"%.100s\", which is no number with a unit; "
			"units: %s, as %s = %s",
			key_name(key), text, unit_names(key->unit),
			key_name(key), key->example);
	else if (err == -EDOM)
		parse_fault(p, s,
			"%s is \"%.100s\", which is no whole number of the "
			"smallest unit; units: %s, as %s = %s",
			key_name(key), text, unit_names(key->unit),
			key_name(key), key->example);
	else if (err < 0 || v < key->min || v > key->max)
		refuse_text(p, key, s, text);
	else
		store(key, base, v);
}

const char *
address_refused(const struct ip_addr *addr)
{
	const uint8_t *b = (const uint8_t *)addr->w;
	const struct ip_addr none = { { 0, 0, 0, 0 } };
	const struct ip_addr loop6 = { { 0, 0, 0, htonl(1) } };

	if (ip_addr_is_v4(addr))
		return b[12] == 0                    ? "an unspecified address"
		       : b[12] == 127                ? "a loopback address"
		       : b[12] >= 224 && b[12] < 240 ? "a multicast address"
		       : b[12] >= 240 ? "a reserved or broadcast address"
				      : NULL;
	return ip_addr_eq(addr, &none)    ? "the unspecified address"
	       : ip_addr_eq(addr, &loop6) ? "the loopback address"
	       : b[0] == 0xff             ? "a multicast address"
	       : b[0] == 0xfe && (b[1] & 0xc0) == 0x80 ? "a link-local address"
						       : NULL;
}

/* What is wrong with a text that is no address. */
static const char *
address_hint(const char *text)
{
	struct ip_addr a;

	if (inet_pton(AF_INET6, text, &a) == 1)
		return "an IPv4 address in IPv6 form; write it as IPv4, as "
		       "\"10.0.0.80\"";
	if (strchr(text, '/') != NULL)
		return "a prefix; give one address without the / and what "
		       "follows";
	if (strchr(text, '%') != NULL)
		return "an address with a zone; give a global one";
	return "no address; allowed: a unicast IPv4 or IPv6 address, as "
	       "\"10.0.0.80\" or \"fd00::80\"";
}

static void
take_address(struct parse *p, const struct key *key, config_setting_t *s,
	const char *text, struct ip_addr *addr)
{
	struct ip_addr a;
	const char *why;

	if (ip_addr_parse(text, &a) < 0) {
		parse_fault(p, s, "%s \"%.100s\" is %s", key_name(key), text,
			address_hint(text));
		return;
	}
	why = address_refused(&a);
	if (why != NULL)
		parse_fault(p, s,
			"%s \"%s\" is %s; allowed: a unicast IPv4 or IPv6 "
			"address",
			key_name(key), text, why);
	else
		*addr = a;
}

/* All the kinds that are written as text. */
static void
take_string(
	struct parse *p, const struct key *key, config_setting_t *s, void *base)
{
	const char *text = config_setting_get_string(s);

	if (text == NULL)
		wrong_type(p, key, s);
	else if (key->kind == KEY_NAME)
		take_name(p, key, s, text, base);
	else if (key->kind == KEY_CHOICE)
		take_choice(p, key, s, text, base);
	else if (key->kind == KEY_QUANTITY)
		take_quantity(p, key, s, text, base);
	else if (key->kind == KEY_ADDRESS)
		take_address(p, key, s, text,
			(struct ip_addr *)((char *)base + key->offset));
	else
		take_text(p, key, s, text, base);
}

static void
take_addresses(struct parse *p, const struct key *key, config_setting_t *s,
	struct ip_addr *addr, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		config_setting_t *e = config_setting_get_elem(s, i);
		const char *text = config_setting_get_string(e);

		if (text == NULL)
			parse_fault(p, e,
				"entry %u of %s is %s; give an "
				"address in quotes, as %s = %s",
				i + 1, key_name(key), type_name(e),
				key_name(key), key->example);
		else
			take_address(p, key, e, text, &addr[i]);
	}
}

/* [ ] and ( ) are both fine. */
static void
take_array(
	struct parse *p, const struct key *key, config_setting_t *s, void *base)
{
	unsigned int n = (unsigned int)config_setting_length(s);
	unsigned int *count = (void *)((char *)base + key->count);
	struct ip_addr **field = (void *)((char *)base + key->offset);

	if (!config_setting_is_array(s) && !config_setting_is_list(s)) {
		wrong_type(p, key, s);
		return;
	}
	if (n > key->max) {
		parse_fault(p, s, "%s has %u entries; allowed: at most %u",
			key_name(key), n, (unsigned int)key->max);
		n = (unsigned int)key->max;
	}
	*field = calloc(n == 0 ? 1 : n, sizeof(**field));
	if (*field == NULL) {
		p->no_memory = true;
		return;
	}
	*count = n;
	take_addresses(p, key, s, *field, n);
}

void
parse_value(
	struct parse *p, const struct key *key, config_setting_t *s, void *base)
{
	switch (key->kind) {
	case KEY_BOOL:
		take_bool(p, key, s, base);
		break;
	case KEY_INT:
		take_int(p, key, s, base);
		break;
	case KEY_ADDRESSES:
		take_array(p, key, s, base);
		break;
	default:
		take_string(p, key, s, base);
	}
}

/* Defaults are part of the program: those that can't be read are a fault. */
void
parse_initial(struct parse *p, const struct key *key, void *base)
{
	if (key->initial == NULL)
		return;
	if (key->kind == KEY_INT)
		store(key, base, strtoull(key->initial, NULL, 10));
	else if (key->kind == KEY_BOOL)
		store(key, base, strcmp(key->initial, "true") == 0);
	else if (key->kind == KEY_CHOICE)
		take_choice(p, key, p->root, key->initial, base);
	else if (key->kind == KEY_QUANTITY)
		take_quantity(p, key, p->root, key->initial, base);
	else
		take_text(p, key, p->root, key->initial, base);
}
