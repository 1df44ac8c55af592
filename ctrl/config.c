/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading a configuration: the stages in order (see config_parse.h). */
#include "ctrl/config.h"

#include <net/if.h>
#include <pwd.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "ctrl/config_fault.h"
#include "ctrl/config_parse.h"
#include "ctrl/link.h"

static int
this_has_core(void *ctx, unsigned int cpu)
{
	cpu_set_t set;

	(void)ctx;
	/* Fails only where there are more than 1024, and we take no more. */
	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return 0;
	return cpu < CPU_SETSIZE && CPU_ISSET(cpu, &set);
}

static int
this_has_device(void *ctx, const char *name)
{
	struct link_info info = { 0 };
	int err;
	struct nl_sock *nl = link_open(&err);

	(void)ctx;
	err = nl == NULL ? err : link_find(nl, name, &info);
	link_close(nl);
	if (err != 0)
		return if_nametoindex(name) != 0 ? CONFIG_DEVICE_OTHER
						 : CONFIG_DEVICE_NONE;
	return strcmp(info.kind, "tun") == 0 &&
			       strncmp(info.alias, CONFIG_DEVICE_ALIAS,
				       strlen(CONFIG_DEVICE_ALIAS)) == 0
		       ? CONFIG_DEVICE_TAP
		       : CONFIG_DEVICE_OTHER;
}

static int
this_has_user(void *ctx, const char *name)
{
	(void)ctx;
	return getpwnam(name) != NULL;
}

const struct config_machine config_this_machine = {
	.has_core = this_has_core,
	.has_device = this_has_device,
	.has_user = this_has_user,
};

/* libconfig's few reasons, with what to do about them. */
static const char *
syntax_reason(const char *reason)
{
	if (strstr(reason, "duplicate") != NULL)
		return "this key is given twice in one group; keep one";
	if (strstr(reason, "mismatched") != NULL)
		return "an array in [ ] mixes kinds; all its entries must be "
		       "alike";
	return "syntax error here or just before; a setting is name = value; "
	       "with text in quotes";
}

static int
parse_tree(struct config_t *tree, const struct source *source,
	struct config_faults *faults)
{
	const char *file;
	int line;

	if (config_read_string(tree, source->text))
		return 0;
	line = source_line(source, config_error_line(tree), &file);
	faults_add(faults, file, line, "%s",
		syntax_reason(config_error_text(tree)));
	return -1;
}

static struct config *
build(const struct source *source, config_setting_t *root,
	const struct config_type *types, const struct config_machine *machine,
	struct config_faults *faults)
{
	struct parse p = { calloc(1, sizeof(struct config)), types, machine,
		source, faults, root, false };

	if (p.config != NULL) {
		snprintf(p.config->file, sizeof(p.config->file), "%s",
			source->file[0]);
		parse_build(&p);
		parse_check(&p);
	}
	if (p.config == NULL || p.no_memory)
		faults_add(faults, source->file[0], 1, "memory is out");
	if (faults->n > 0) {
		config_free(p.config);
		return NULL;
	}
	return p.config;
}

/* The stages behind the source; takes the source over. */
static struct config *
load(struct source *source, int err, const struct config_type *types,
	const struct config_machine *machine, struct config_faults *faults)
{
	struct config *config = NULL;
	struct config_t tree;

	config_init(&tree);
	if (err == 0 && parse_tree(&tree, source, faults) == 0)
		config = build(source, config_root_setting(&tree), types,
			machine != NULL ? machine : &config_this_machine,
			faults);
	config_destroy(&tree);
	faults_sort(faults, source->file, source->n_files);
	source_free(source);
	return config;
}

struct config *
config_load(const char *path, const struct config_type *types,
	const struct config_machine *machine, struct config_faults *faults)
{
	struct source source;
	int err = source_read(&source, path, faults);

	return load(&source, err, types, machine, faults);
}

struct config *
config_load_text(const char *path, const char *text, size_t len,
	const struct config_type *types, const struct config_machine *machine,
	struct config_faults *faults)
{
	struct source source;
	int err = source_read_text(&source, path, text, len, faults);

	return load(&source, err, types, machine, faults);
}

bool
config_soft(const struct config *config)
{
	return config->n_uplinks > 0 &&
	       strcmp(config->uplinks[0].provider, "soft") == 0;
}

/* --- groups --- */

unsigned int
config_groups(const struct config_service *service)
{
	return (service->n_backends > 0) + service->n_groups;
}

struct config_group
config_group(const struct config_service *service, unsigned int i)
{
	struct config_group own = { .name = CONFIG_GROUP_OWN,
		.scheduler = service->scheduler,
		.send_proxy = service->send_proxy,
		.max_idle = service->max_idle,
		.n_backends = service->n_backends,
		.backends = service->backends,
		.line = service->line };

	if (service->n_backends == 0)
		return service->groups[i];
	if (i > 0)
		return service->groups[i - 1];
	memcpy(own.cookie, service->cookie, sizeof(own.cookie));
	return own;
}

unsigned int
config_default_group(const struct config_service *service)
{
	for (unsigned int i = 0; i < service->n_groups; i++)
		if (service->n_backends == 0 &&
			strcmp(service->groups[i].name, CONFIG_GROUP_OWN) == 0)
			return i;
	return 0;
}

bool
config_keeps_seed(const struct config *config)
{
	for (unsigned int i = 0; i < config->n_functions; i++) {
		const struct config_function *f = &config->functions[i];

		if (f->proxies || f->durability != GRANT_DURABILITY_NONE)
			return true;
	}
	return false;
}

/* --- end --- */

static void
service_free(struct config_service *s)
{
	for (unsigned int i = 0; i < s->n_groups; i++)
		free(s->groups[i].backends);
	free(s->groups);
	free(s->routes);
	free(s->error_body);
	free(s->backends);
}

void
config_free(struct config *config)
{
	if (config == NULL)
		return;
	for (unsigned int i = 0; i < config->n_functions; i++) {
		struct config_function *f = &config->functions[i];

		for (unsigned int j = 0; j < f->n_services; j++)
			service_free(&f->services[j]);
		free(f->services);
		free(f->snat);
	}
	free(config->functions);
	free(config->uplinks);
	free(config);
}
