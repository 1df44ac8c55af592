/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a second control plane may take over, and that next-hop numbers stay
 * what running instances believe they are.
 */
#include <check.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctrl/adopt.h"
#include "dataplane/nf.h"

static const struct config_type types[] = {
	{ "lb", NF_NEEDS_BACKENDS | NF_LOGS | NF_PROTO_TCP | NF_PROTO_UDP },
	{ "echo", NF_PROTO_UDP | NF_PROTO_ICMP },
	{ NULL, 0 },
};

static int
yes_core(void *ctx, unsigned int cpu)
{
	(void)ctx;
	return cpu < 8;
}

static int
yes(void *ctx, const char *name)
{
	(void)ctx;
	(void)name;
	return 1;
}

static const struct config_machine machine = { NULL, yes_core, yes, yes };

/* A config with `instances`, the given backends and what the log is. */
static struct plan *
plan_of_log(unsigned int instances, const char *backends, const char *log)
{
	char text[2048];
	struct config_faults faults = { 0 };
	struct config *c;
	struct plan *p;

	snprintf(text, sizeof(text),
		"appliance: { name = \"t\"; };\n"
		"uplinks: ( { name = \"wan\"; device = \"eth0\"; } );\n"
		"functions: ( { name = \"web\"; type = \"lb\"; instances = %u; "
		"snat = [ \"10.0.0.9\" ]; log: { %s }; services: ( { name = \"s\"; "
		"address = \"10.0.0.80\"; port = 80; protocol = \"tcp\"; "
		"backends: ( %s ); } ); } );\n",
		instances, log, backends);
	c = config_load_text(
		"t.cfg", text, strlen(text), types, &machine, &faults);
	config_faults_print(&faults, stderr);
	ck_assert_ptr_nonnull(c);
	config_faults_free(&faults);
	p = plan_create(c, 1);
	ck_assert_ptr_nonnull(p);
	return p;
}

static struct plan *
plan_of(unsigned int instances, const char *backends)
{
	return plan_of_log(instances, backends, "");
}

static void
plan_drop(struct plan *p)
{
	struct config *c = (struct config *)(uintptr_t)p->config;

	plan_free(p);
	config_free(c);
}

#define B(n) "{ address = \"10.0.1." n "\"; }"

static uint32_t
number_of(const struct plan *p, const char *addr)
{
	struct ip_addr a;
	uint32_t found = 0;

	ck_assert_int_eq(ip_addr_parse(addr, &a), 0);
	for (unsigned int i = 0; i < p->n_nexthops; i++)
		if (ip_addr_eq(&p->nexthops[i].addr, &a))
			found = p->nexthops[i].index;
	for (unsigned int i = 0; i < p->n_instances; i++) {
		const struct grant *g = p->instances[i].grant;

		for (uint32_t b = 0; b < g->n_backends; b++)
			if (ip_addr_eq(&g->backends[b].addr, &a))
				ck_assert_uint_eq(
					g->backends[b].nexthop, found);
	}
	return found;
}

START_TEST(numbers_survive_a_reload)
{
	struct plan *a = plan_of(2, B("21") "," B("22") "," B("23"));
	struct plan *b = plan_of(2, B("24") "," B("23") "," B("21"));
	struct plan *c = plan_of(2, B("22") "," B("25"));
	uint32_t n21 = number_of(a, "10.0.1.21"), n22, n24;
	char why[256];

	n22 = number_of(a, "10.0.1.22");
	ck_assert_int_eq(adopt_inherit(b, a, why, sizeof(why)), 0);
	ck_assert_uint_eq(number_of(b, "10.0.1.21"), n21);
	/* The removed one keeps its number: connections still use it. */
	ck_assert_uint_eq(number_of(b, "10.0.1.22"), n22);
	n24 = number_of(b, "10.0.1.24");
	ck_assert_uint_eq(n24, 4);
	ck_assert_uint_eq(b->instances[0].grant->generation,
		a->instances[0].grant->generation + 1);
	ck_assert_int_eq(adopt_inherit(c, b, why, sizeof(why)), 0);
	ck_assert_uint_eq(number_of(c, "10.0.1.22"), n22);
	ck_assert_uint_eq(number_of(c, "10.0.1.24"), n24);
	ck_assert_uint_eq(number_of(c, "10.0.1.25"), 5);
	ck_assert_uint_eq(c->instances[1].grant->n_nexthops, 6);
	plan_drop(a);
	plan_drop(b);
	plan_drop(c);
}
END_TEST

/* --- adopt_check on a directory of grants --- */

static struct rundir dir;

static void
dir_make(const struct plan *p)
{
	memset(&dir, 0, sizeof(dir));
	snprintf(dir.path, sizeof(dir.path), "/tmp/carryall-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir.path));
	dir.fd = open(dir.path, O_RDONLY | O_DIRECTORY);
	dir.lock = dup(dir.fd);
	for (unsigned int i = 0; i < p->n_instances; i++)
		close(rundir_replace(&dir, p->instances[i].name, "grant",
			p->instances[i].grant, sizeof(struct grant)));
}

static void
check_plan(struct plan *p, const char *why_part)
{
	char why[256] = "";
	int rc = adopt_check(&dir, p, why, sizeof(why));

	if (why_part == NULL) {
		ck_assert_msg(rc == 0, "%s", why);
		ck_assert_uint_eq(p->instances[0].grant->generation, 7);
	} else {
		ck_assert_int_ne(rc, 0);
		ck_assert_msg(strstr(why, why_part) != NULL, "%s", why);
	}
	plan_drop(p);
}

static void
check(unsigned int instances, const char *backends, const char *why_part)
{
	check_plan(plan_of(instances, backends), why_part);
}

static void
check_log(const char *log, const char *why_part)
{
	check_plan(plan_of_log(2, B("21"), log), why_part);
}

START_TEST(a_log_stays_what_it_is)
{
	struct plan *a = plan_of_log(
		2, B("21"), "durability = \"sync\"; size = \"2M\";");

	a->instances[0].grant->generation = 7;
	a->instances[1].grant->generation = 7;
	dir_make(a);
	check_log("durability = \"sync\"; size = \"2M\";", NULL);
	check_log("durability = \"batch\"; size = \"2M\";",
		"log.durability is batch in the config, sync as it runs");
	check_log("durability = \"sync\"; size = \"1M\";",
		"log.size is 1048576 in the config, 2097152 as it runs");
	check_log("", "log.durability is none");
	rundir_remove(&dir);
	plan_drop(a);
}
END_TEST

/* The machine's part of a store is not in the config. */
START_TEST(a_reload_keeps_the_store)
{
	static const char log[] = "durability = \"sync\";";
	struct plan *a = plan_of_log(2, B("21"), log);
	struct plan *b = plan_of_log(2, B("22"), log);
	char why[256];

	a->instances[1].grant->store.boot = 5;
	a->instances[1].grant->store.flush = GRANT_FLUSH_DSYNC;
	ck_assert_int_eq(adopt_inherit(b, a, why, sizeof(why)), 0);
	ck_assert_mem_eq(&a->instances[1].grant->store,
		&b->instances[1].grant->store, sizeof(struct grant_store));
	plan_drop(a);
	plan_drop(b);
}
END_TEST

START_TEST(what_fits_is_adopted)
{
	struct plan *a = plan_of(2, B("21") "," B("22"));
	char path[200];
	int fd;

	a->instances[0].grant->generation = 7;
	a->instances[1].grant->generation = 7;
	dir_make(a);
	ck_assert(adopt_possible(&dir));
	check(2, B("21") "," B("22"), NULL);
	check(2, B("23"), NULL);
	check(1, B("21"), "web.");
	check(3, B("21"), "instances is 3");
	/* A grant of another version, or a torn one. */
	snprintf(path, sizeof(path), "%s/web.1.grant", dir.path);
	fd = open(path, O_WRONLY);
	ck_assert_int_eq(ftruncate(fd, 100), 0);
	close(fd);
	check(2, B("21"), "another version");
	rundir_remove(&dir);
	ck_assert_int_ne(access(dir.path, F_OK), 0);
	plan_drop(a);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("adopt");
	TCase *tc = tcase_create("adopt");
	SRunner *sr;
	int failed;

	tcase_add_test(tc, numbers_survive_a_reload);
	tcase_add_test(tc, what_fits_is_adopted);
	tcase_add_test(tc, a_log_stays_what_it_is);
	tcase_add_test(tc, a_reload_keeps_the_store);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
