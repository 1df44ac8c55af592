/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any text as a configuration: refused with a fault in one line, or read, and
 * then planned.
 */
#include <stdlib.h>
#include <string.h>

#include "ctrl/config.h"
#include "ctrl/plan.h"
#include "dataplane/nf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int
has_core(void *ctx, unsigned int cpu)
{
	(void)ctx;
	return cpu < 4;
}

static int
has_name(void *ctx, const char *name)
{
	(void)ctx;
	return *name != 'x';
}

static const struct config_machine machine = { NULL, has_core, has_name,
	has_name };

static const struct config_type types[] = {
	{ "lb", NF_NEEDS_BACKENDS | NF_LOGS | NF_PROTO_TCP | NF_PROTO_UDP },
	{ "proxy", NF_NEEDS_BACKENDS | NF_PROXIES | NF_PROTO_TCP },
	{ "echo", NF_PROTO_TCP | NF_PROTO_UDP | NF_PROTO_ICMP },
	{ 0 },
};

static void
check(const struct config *config, const struct config_faults *faults)
{
	struct plan *plan;

	if ((config == NULL) != (faults->n > 0))
		abort();
	for (unsigned int i = 0; i < faults->n; i++)
		if (faults->fault[i].line < 1 || *faults->fault[i].text == 0 ||
			strchr(faults->fault[i].text, '\n') != NULL)
			abort();
	if (config == NULL)
		return;
	plan = plan_create(config, 1);
	if (plan == NULL)
		abort();
	plan_free(plan);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config_faults faults = { 0 };
	struct config *config = config_load_text(
		"fuzz.cfg", (const char *)data, size, types, &machine, &faults);

	check(config, &faults);
	config_free(config);
	config_faults_free(&faults);
	return 0;
}

/* libconfig 1.5 leaks strings that a syntax error makes it drop. */
const char *__lsan_default_suppressions(void);
const char *
__lsan_default_suppressions(void)
{
	return "leak:strbuf_append\nleak:libconfig_yylex\n";
}
