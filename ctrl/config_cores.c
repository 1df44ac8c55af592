/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Cores for instances. Functions that name cores get them first, in the order
 * of the file; the others then get what is left, with core 0, where the
 * kernel and the control plane like to run, last. The NIC in software, where
 * there is one, has its core before those others.
 */
#include "ctrl/config_parse.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct cores {
	bool there[CONFIG_CORES_MAX];
	unsigned int users[CONFIG_CORES_MAX]; /* instances on it */
	const char *owner[CONFIG_CORES_MAX];  /* the last one's function;
					       * NULL: the NIC's */
	unsigned int n;                       /* cores there */
	char names[128];                      /* "0-3": those there */
	unsigned int nic;                     /* its core, or none */
};

static void
look(const struct config_machine *machine, struct cores *c)
{
	size_t used = 0;

	for (unsigned int i = 0; i < CONFIG_CORES_MAX; i++) {
		c->there[i] = machine->has_core(machine->ctx, i) != 0;
		c->n += c->there[i];
	}
	for (unsigned int i = 0, j; i < CONFIG_CORES_MAX; i = j + 1) {
		for (j = i; j < CONFIG_CORES_MAX && c->there[j]; j++)
			;
		if (j > i && used < sizeof(c->names))
			used += (size_t)snprintf(c->names + used,
				sizeof(c->names) - used,
				j - i == 1 ? "%s%u" : "%s%u-%u",
				used == 0 ? "" : ",", i, j - 1);
	}
}

/* A number below CONFIG_CORES_MAX, or -EINVAL. */
static int
core_number(const char **text)
{
	unsigned int v = 0, digits = 0;

	for (; isdigit((unsigned char)**text) && digits < 4; digits++)
		v = v * 10 + (unsigned int)(*(*text)++ - '0');
	return digits > 0 && v < CONFIG_CORES_MAX ? (int)v : -EINVAL;
}

/* "1-2,5" into list[0..max): how many there are, or -EINVAL. */
static int
cores_parse(const char *text, unsigned int *list, unsigned int max)
{
	unsigned int n = 0;

	do {
		int first = core_number(&text), last = first;

		if (first >= 0 && *text == '-') {
			text++;
			last = core_number(&text);
		}
		if (first < 0 || last < first)
			return -EINVAL;
		for (; first <= last && n < max; first++)
			list[n++] = (unsigned int)first;
		if (first <= last)
			return -EINVAL;
	} while (*text++ == ',');
	return text[-1] == '\0' ? (int)n : -EINVAL;
}

static void
use(struct parse *p, struct cores *c, config_setting_t *at,
	struct config_function *f, unsigned int instance, unsigned int core)
{
	if (!c->there[core])
		parse_fault(p, at,
			"core %u is not there; this machine lets us have: %s",
			core, c->names);
	else if (c->users[core] > 0 && !p->config->share_cores &&
		 c->owner[core] == NULL)
		parse_fault(p, at,
			"core %u is the NIC's (nic_core); give each a core, or "
			"set share_cores = true in appliance",
			core);
	else if (c->users[core] > 0 && !p->config->share_cores)
		parse_fault(p, at,
			"core %u has an instance of function \"%s\" already; "
			"give each instance a core, or set share_cores = true "
			"in appliance",
			core, c->owner[core]);
	f->cores[instance] = core;
	c->users[core]++;
	c->owner[core] = f->name;
}

/* Each core of the list in turn; again from the first if they are shared. */
static void
use_list(struct parse *p, struct cores *c, config_setting_t *at,
	struct config_function *f, const char *text)
{
	unsigned int list[CONFIG_CORES_MAX];
	int n = cores_parse(text, list, CONFIG_CORES_MAX);

	if (n <= 0) {
		parse_fault(p, at,
			"cores is \"%.100s\"; allowed: core numbers and ranges "
			"from 0 to %d, as cores = \"1-2,5\"",
			text, CONFIG_CORES_MAX - 1);
		return;
	}
	if ((unsigned int)n < f->instances && !p->config->share_cores) {
		parse_fault(p, at,
			"%u instances, but cores names %d; give each instance "
			"a core, or set share_cores = true in appliance",
			f->instances, n);
		return;
	}
	for (unsigned int i = 0; i < f->instances; i++)
		use(p, c, at, f, i, list[i % (unsigned int)n]);
}

/*
 * The core with the fewest users, 0 only if no other is as free, the NIC's
 * only if there is no other; or -1.
 */
static int
pick(const struct cores *c, bool share)
{
	int best = -1;

	for (unsigned int n = 1; n <= CONFIG_CORES_MAX; n++) {
		unsigned int i = n % CONFIG_CORES_MAX;

		if (c->there[i] && (share || c->users[i] == 0) &&
			(i != c->nic || c->n == 1) &&
			(best < 0 || c->users[i] < c->users[best]))
			best = (int)i;
	}
	return best;
}

static void
use_free(struct parse *p, struct cores *c, config_setting_t *at,
	struct config_function *f)
{
	for (unsigned int i = 0; i < f->instances; i++) {
		int core = pick(c, p->config->share_cores);

		if (core < 0) {
			parse_fault(p, parse_at(at, "instances"),
				"%u instances, but only %u of the machine's %u "
				"cores %s left%s; fewer instances, or "
				"share_cores = true in appliance",
				f->instances, i, c->n, i == 1 ? "is" : "are",
				c->nic != CONFIG_CORE_ANY ? " beside the NIC's"
							  : "");
			return;
		}
		use(p, c, at, f, i, (unsigned int)core);
	}
}

static void
check_functions(struct parse *p, struct cores *c, bool named)
{
	for (unsigned int i = 0; i < p->config->n_functions; i++) {
		config_setting_t *entry = parse_entry(p->root, "functions", i);
		struct config_function *f = &p->config->functions[i];
		const char *text = parse_text(entry, "cores");

		if (parse_has(entry, "cores") != named)
			continue;
		if (text != NULL)
			use_list(p, c, parse_at(entry, "cores"), f, text);
		else if (!named)
			use_free(p, c, entry, f);
	}
}

/* --- the NIC in software --- */

/* The lowest core with the fewest users. */
static void
nic_pick(struct parse *p, struct cores *c)
{
	unsigned int best = CONFIG_CORE_ANY;

	for (unsigned int i = 0; i < CONFIG_CORES_MAX; i++)
		if (c->there[i] && (best == CONFIG_CORE_ANY ||
					   c->users[i] < c->users[best]))
			best = i;
	if (best == CONFIG_CORE_ANY ||
		(c->users[best] > 0 && !p->config->share_cores))
		parse_fault(p, parse_at(p->root, "appliance"),
			"provider soft takes a core, and instances name all "
			"of the machine's %u; leave it one, or set share_cores = true in "
			"appliance",
			c->n);
	else
		c->nic = best;
}

static void
nic_given(struct parse *p, struct cores *c)
{
	config_setting_t *at =
		parse_at(parse_at(p->root, "appliance"), "nic_core");
	unsigned int core = p->config->nic_core;

	if (!config_soft(p->config))
		parse_fault(p, at,
			"nic_core is given, but no uplink has provider soft; "
			"remove nic_core, or set provider = \"soft\"");
	else if (!c->there[core])
		parse_fault(p, at,
			"core %u is not there; this machine lets us have: %s",
			core, c->names);
	else
		c->nic = core;
}

/* Before the instances if its core is given, else when theirs are. */
static void
check_nic(struct parse *p, struct cores *c, bool named)
{
	bool given = parse_has(parse_at(p->root, "appliance"), "nic_core");

	if (given != named)
		return;
	if (given)
		nic_given(p, c);
	else if (config_soft(p->config))
		nic_pick(p, c);
	p->config->nic_core = c->nic;
	if (c->nic == CONFIG_CORE_ANY)
		return;
	c->users[c->nic]++;
	c->owner[c->nic] = NULL;
}

void
check_cores(struct parse *p)
{
	struct cores *c = calloc(1, sizeof(*c));

	if (c == NULL) {
		p->no_memory = true;
		return;
	}
	c->nic = CONFIG_CORE_ANY;
	look(p->machine, c);
	check_nic(p, c, true);
	check_functions(p, c, true);
	check_nic(p, c, false);
	check_functions(p, c, false);
	free(c);
}
