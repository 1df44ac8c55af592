/* SPDX-License-Identifier: BSD-3-Clause */
/* A machine and functions that configs are checked against in tests. */
#ifndef CARRYALL_TEST_CONFIG_LAB_H
#define CARRYALL_TEST_CONFIG_LAB_H

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "ctrl/config.h"
#include "dataplane/nf.h"

static const struct config_type types[] = {
	{ "lb", NF_NEEDS_BACKENDS | NF_LOGS | NF_PROTO_TCP | NF_PROTO_UDP },
	{ "proxy", NF_NEEDS_BACKENDS | NF_PROXIES | NF_PROTO_TCP },
	{ "echo", NF_PROTO_TCP | NF_PROTO_UDP | NF_PROTO_ICMP },
	{ 0 },
};

static int
has_core(void *ctx, unsigned int cpu)
{
	return cpu < *(unsigned int *)ctx;
}

static int
has_device(void *ctx, const char *name)
{
	(void)ctx;
	return strcmp(name, "eth9") == 0   ? CONFIG_DEVICE_NONE
	       : strcmp(name, "tap0") == 0 ? CONFIG_DEVICE_TAP
					   : CONFIG_DEVICE_OTHER;
}

static int
has_user(void *ctx, const char *name)
{
	(void)ctx;
	return strcmp(name, "nobody") == 0 || strcmp(name, "carryall") == 0;
}

static unsigned int n_cores = 4;
static const struct config_machine machine = { &n_cores, has_core, has_device,
	has_user };

static inline struct config *
load(const char *path)
{
	struct config_faults faults = { 0 };
	struct config *c = config_load(path, types, &machine, &faults);

	config_faults_print(&faults, stderr);
	ck_assert_uint_eq(faults.n, 0);
	ck_assert_ptr_nonnull(c);
	config_faults_free(&faults);
	return c;
}

#endif
