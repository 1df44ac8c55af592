/* SPDX-License-Identifier: BSD-3-Clause */
/* From a file to a plan that every function agrees to. */
#include <errno.h>
#include <pwd.h>

#include "ctrl/control_internal.h"

struct config *
control_config(const char *path, const struct control_functions *functions,
	FILE *out, unsigned int *n_faults)
{
	struct config_faults faults = { 0 };
	struct config *c = config_load(
		path, functions->types, &config_this_machine, &faults);

	config_faults_print(&faults, out);
	*n_faults = faults.n;
	config_faults_free(&faults);
	return c;
}

/* What the plan leaves open: who runs it, and how much memory. */
static int
grants_complete(
	struct plan *plan, const struct control_functions *functions, FILE *out)
{
	const struct passwd *pw = getpwnam(plan->config->user);
	unsigned int bad = 0;

	if (pw == NULL || pw->pw_uid == 0) {
		fprintf(out,
			"%s: appliance.user \"%s\" %s; name one without "
			"privilege\n",
			plan->config->file, plan->config->user,
			pw == NULL ? "is not known" : "is root");
		return -EINVAL;
	}
	for (unsigned int i = 0; i < plan->n_instances; i++) {
		struct grant *g = plan->instances[i].grant;
		char why[256] = "";

		g->uid = pw->pw_uid;
		g->gid = pw->pw_gid;
		g->memory_mb = functions->memory_mb(g);
		if (g->instance == 0 &&
			functions->check(g, why, sizeof(why)) != 0) {
			fprintf(out, "%s:%d: function \"%s\": %s\n",
				plan->config->file,
				plan->config
					->functions[plan->instances[i].function]
					.line,
				g->function, why);
			bad++;
		}
	}
	return bad == 0 ? 0 : -EINVAL;
}

struct plan *
control_plan(const struct config *config, uint32_t seed,
	const struct control_functions *functions, FILE *out)
{
	struct plan *plan = plan_create(config, seed);

	if (plan == NULL) {
		fprintf(out, "carryall: no memory for the plan\n");
		return NULL;
	}
	if (grants_complete(plan, functions, out) != 0) {
		plan_free(plan);
		return NULL;
	}
	return plan;
}

unsigned int
control_check(
	const char *path, const struct control_functions *functions, FILE *out)
{
	unsigned int n;
	struct config *c = control_config(path, functions, out, &n);
	struct plan *plan;

	if (c == NULL)
		return n;
	plan = control_plan(c, 0, functions, out);
	if (plan == NULL)
		n++;
	plan_free(plan);
	config_free(c);
	return n;
}
