/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of keys: all that a configuration may say.
 *
 * A row says where a key stands, what it takes and where its value goes. The
 * parser (config_build.c), the messages and the man page are driven by it; a
 * new key is a new row, and a field in ctrl/config.h for its value.
 */
#ifndef CARRYALL_KEYS_H
#define CARRYALL_KEYS_H

#include <stdbool.h>
#include <stdint.h>

#include "ctrl/units.h"

enum key_kind {
	KEY_GROUP,     /* { ... } */
	KEY_LIST,      /* ( { ... }, { ... } ) */
	KEY_TEXT,      /* a string that fits the field */
	KEY_NAME,      /* [a-z][a-z0-9-]*, at most `max` long */
	KEY_BOOL,      /* true, false */
	KEY_INT,       /* `min` to `max` */
	KEY_CHOICE,    /* one of `choices`: kept by value, or as text */
	KEY_QUANTITY,  /* text with a unit, `min` to `max` */
	KEY_ADDRESS,   /* a unicast IPv4 or IPv6 address */
	KEY_ADDRESSES, /* [ ... ] of them, at most `max` */
	KEY_CORES,     /* "1-2,5" */
};

/* Whom a key is for; it is refused in all others (config_proxy.c). */
enum key_only {
	KEY_ANY,
	KEY_PROXY, /* functions that proxy */
	KEY_HTTP,  /* of these, services whose mode is http */
};

struct key_choice {
	const char *name;
	unsigned int value;
	bool refused; /* known, but not in this version */
};

/*
 * Offsets count from the structure of the list entry or, outside lists, from
 * struct config; a field of size 0 is none: the value is checked, and
 * used by the checks across entries (config_check.c) or by nobody.
 */
struct key {
	const char *path; /* "functions.services.port" */
	enum key_kind kind;
	enum unit unit;
	bool required;
	enum key_only only;
	uint16_t offset, size; /* of the field */
	uint64_t min, max;
	const struct key_choice *choices; /* ended by a NULL name */

	/* lists: fields of the number and the line, size of an entry */
	uint16_t count, line, entry;

	const char *initial; /* default, as written in a file without quotes */
	const char *otherwise; /* what holds without the key, in words */
	const char *example;   /* as written in a file */
	const char *help;
};

/* All keys, each behind its group or list; ended by a NULL path. */
extern const struct key keys[];

/* The key `name` directly in the group `path` ("" is the file), or NULL. */
const struct key *key_find(const char *path, const char *name);

/* True if `key` stands directly in the group `path`. */
bool key_in(const struct key *key, const char *path);

/* The last part of its path. */
const char *key_name(const struct key *key);

/* What the key takes, in words, into buf[0..len): "1 to 65535". */
const char *key_allowed(const struct key *key, char *buf, size_t len);

#endif
