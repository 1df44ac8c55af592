/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inside the configuration's parser: what its stages share.
 *
 *   source  files -> one text              config_source.c
 *   libconfig: text -> tree of settings
 *   build   tree -> struct config, by the table of keys
 *                                          config_build.c, config_value.c
 *   check   entries against each other and the machine
 *                                          config_check.c, config_uplink.c,
 *                                          config_service.c,
 *                                          config_proxy.c, config_claim.c,
 *                                          config_cores.c
 *
 * Every stage goes on after a fault. A value that was refused stays zero in
 * the structure (a name "", an address ::, a number 0), and checks pass over
 * what is zero, so that one mistake is one fault.
 */
#ifndef CARRYALL_CONFIG_PARSE_H
#define CARRYALL_CONFIG_PARSE_H

#include <libconfig.h>

#include "ctrl/config.h"
#include "ctrl/config_source.h"
#include "ctrl/keys.h"

struct parse {
	struct config *config;
	const struct config_type *types;
	const struct config_machine *machine;
	const struct source *source;
	struct config_faults *faults;
	config_setting_t *root;
	bool no_memory;
};

/* Add a fault at the place of the setting `at`. */
void parse_fault(struct parse *p, const config_setting_t *at,
	const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The line of a setting in its own file. */
int parse_line(const struct parse *p, const config_setting_t *at);

/* The member `name` of `group`, or `group` where it has none. */
config_setting_t *parse_at(config_setting_t *group, const char *name);

/* True if `group` has a member `name`. */
bool parse_has(const config_setting_t *group, const char *name);

/* The text of the member `name`, or NULL if there is none or it is no text. */
const char *parse_text(const config_setting_t *group, const char *name);

/* Entry `i` of the list `name` in `group`, as build has seen it. */
config_setting_t *parse_entry(
	config_setting_t *group, const char *name, unsigned int i);

/* Read the value of `s` into its field below `base`, or add a fault. */
void parse_value(struct parse *p, const struct key *key, config_setting_t *s,
	void *base);

/* Set the field below `base` to the key's default, if it has one. */
void parse_initial(struct parse *p, const struct key *key, void *base);

/* Fill p->config from p->root; faults for what a row of the table refuses. */
void parse_build(struct parse *p);

/* The checks across entries, and what can only be set after them. */
void parse_check(struct parse *p);
void check_uplinks(struct parse *p);
void check_cores(struct parse *p);
void check_services(struct parse *p, unsigned int function,
	config_setting_t *group, const struct config_type *type);
void check_proxy(struct parse *p, unsigned int function,
	config_setting_t *group, const struct config_type *type);
void check_claims(struct parse *p);

/* An address in words, for faults: what kind it is, or NULL if unicast. */
const char *address_refused(const struct ip_addr *addr);

#endif
