/* SPDX-License-Identifier: BSD-3-Clause */
/* What the control plane answers: status, reload, stop. */
#include <errno.h>
#include <string.h>

#include "ctrl/adopt.h"
#include "ctrl/control_internal.h"

static void
append(char *why, size_t len, const char *more)
{
	size_t n = strlen(why);

	snprintf(why + n, len - n, "%s", more);
}

/* Read the config again; all of it is taken, or none. */
static int
reload(struct control *c, char *why, size_t len)
{
	unsigned int n;
	struct config *config =
		control_config(c->path, c->functions, stderr, &n);
	struct plan *plan = NULL;
	int rc = -EINVAL;

	if (config == NULL) {
		snprintf(why, len,
			"the config has %u fault%s (carryall check -f %s); "
			"nothing was changed",
			n, n == 1 ? "" : "s", c->path);
		return rc;
	}
	plan = control_plan(config, c->plan->seed, c->functions, stderr);
	if (plan == NULL) {
		snprintf(why, len, "a function refuses the config");
		goto fail;
	}
	rc = plan_compatible(c->plan, plan, why, len);
	if (rc != 0)
		append(why, len, "; that takes a stop and a new run");
	if (rc == 0)
		rc = adopt_inherit(plan, c->plan, why, len);
	if (rc == 0)
		rc = c->ops->update(c->provider, plan, why, len);
	if (rc != 0)
		goto fail;
	nexthop_watch_update(c->watch, plan);
	supervisor_update_nic(c->sup);
	supervisor_update(c->sup, plan);
	access_log_update(c->access, plan);
	plan_free(c->plan);
	config_free(c->config);
	c->plan = plan;
	c->config = config;
	return 0;
fail:
	plan_free(plan);
	config_free(config);
	return rc;
}

static json_t *
answer_reload(struct control *c)
{
	char why[512] = "";
	int rc = reload(c, why, sizeof(why));

	/* Whoever turns logs asks for a reload, whatever the config is like. */
	if (rc != 0)
		access_log_update(c->access, c->plan);
	control_say("reload: %s", rc == 0 ? "done" : why);
	return rc == 0 ? json_pack("{s:b}", "ok", 1)
		       : json_pack("{s:b, s:s}", "ok", 0, "error", why);
}

static json_t *
answer_status(const struct control *c)
{
	struct status_source src = {
		.plan = c->plan,
		.provider_ops = c->ops,
		.provider = c->provider,
		.supervisor = c->sup,
		.nexthops = c->watch,
		.table = c->table,
		.load = c->load,
		.nic_load = &c->nic_load,
		.stores = c->stores,
		.access = c->access,
		.pages = c->huge ? "huge" : "small",
		.adopted = c->adopted,
		.uptime_s = control_now_s() - c->started_s,
	};
	json_t *o = status_json(&src);

	return o != NULL ? o
			 : json_pack("{s:b, s:s}", "ok", 0, "error",
				   "no memory for the answer");
}

json_t *
control_answer(void *ctx, const char *verb)
{
	struct control *c = ctx;

	if (strcmp(verb, "status") == 0)
		return answer_status(c);
	if (strcmp(verb, "reload") == 0)
		return answer_reload(c);
	if (strcmp(verb, "stop") == 0) {
		sd_event_exit(c->event, 0);
		return NULL;
	}
	return json_pack("{s:b, s:s}", "ok", 0, "error",
		"unknown request; known: status, reload, stop");
}
