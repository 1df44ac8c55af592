/* SPDX-License-Identifier: BSD-3-Clause */
/* The proxy's part of a plan: groups, routes and texts, from files. */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctrl/plan.h"
#include "ctrl/texts.h"
#include "tests/unit/config_lab.h"

#define SEED 0x5eed1234u

/* A text of the grant: always with a NUL behind. */
static const char *
text(const struct grant *g, struct grant_text t)
{
	ck_assert_uint_lt(t.at + t.len, GRANT_TEXT_MAX);
	ck_assert_uint_le(t.at + t.len, g->text_len);
	if (t.len > 0)
		ck_assert_int_eq(g->text[t.at + t.len], '\0');
	return t.len == 0 ? "" : grant_text(g, t);
}

struct lab {
	struct config *config;
	struct plan *plan;
	const struct grant *g;
};

static struct lab
make(const char *path, unsigned int instance)
{
	struct lab l = { .config = load(path) };

	l.plan = plan_create(l.config, SEED);
	ck_assert_ptr_nonnull(l.plan);
	ck_assert_uint_gt(l.plan->n_instances, instance);
	l.g = l.plan->instances[instance].grant;
	return l;
}

static void
drop(struct lab *l)
{
	plan_free(l->plan);
	config_free(l->config);
}

#define FILE_ALL "tests/config/good/proxy.cfg"

/* Groups of a service follow each other, and their backends do. */
START_TEST(groups)
{
	struct lab l = make(FILE_ALL, 0);
	const struct grant_group *a = &l.g->groups[0];
	uint32_t next = 0;

	ck_assert_uint_eq(l.g->n_groups, 7);
	ck_assert_uint_eq(l.g->n_backends, 8);
	for (uint32_t i = 0; i < l.g->n_groups; i++) {
		ck_assert_uint_eq(l.g->groups[i].first_backend, next);
		next += l.g->groups[i].n_backends;
	}
	ck_assert_uint_eq(next, l.g->n_backends);
	ck_assert_uint_eq(l.g->services[0].first_backend, 0);
	ck_assert_uint_eq(l.g->services[0].n_backends, 4);
	ck_assert_uint_eq(l.g->services[1].first_backend, 4);
	ck_assert_uint_eq(l.g->services[1].n_backends, 2);
	ck_assert_uint_eq(l.g->services[2].n_backends, 2);
	ck_assert_str_eq(a[0].name, "default");
	ck_assert_str_eq(text(l.g, a[0].cookie), "SRV");
	ck_assert_uint_eq(a[0].scheduler, GRANT_SCHED_LEASTCONN);
	ck_assert_uint_eq(a[0].proxy_protocol, GRANT_PROXY_V2);
	ck_assert_uint_eq(a[0].max_idle, 3);
	ck_assert_str_eq(a[1].name, "api");
	ck_assert_str_eq(text(l.g, a[1].cookie), "A!#$%&'*+-.^_`|~9");
	ck_assert_uint_eq(a[1].proxy_protocol, GRANT_PROXY_V1);
	ck_assert_uint_eq(a[2].scheduler, GRANT_SCHED_RR);
	ck_assert_uint_eq(a[2].cookie.len, 0);
	ck_assert_uint_eq(l.g->backends[1].port, htons(9000));
	drop(&l);
}
END_TEST

/* A server in several groups is one next hop. */
START_TEST(nexthops)
{
	struct lab l = make(FILE_ALL, 0);
	const struct grant_backend *b = l.g->backends;

	ck_assert_uint_eq(l.plan->n_nexthops, 4);
	for (uint32_t i = 0; i < l.g->n_backends; i++) {
		ck_assert_uint_ge(b[i].nexthop, 1);
		ck_assert_uint_lt(b[i].nexthop, l.g->n_nexthops);
		for (uint32_t j = 0; j < i; j++)
			ck_assert_int_eq(b[i].nexthop == b[j].nexthop,
				ip_addr_eq(&b[i].addr, &b[j].addr));
	}
	drop(&l);
}
END_TEST

START_TEST(service)
{
	struct lab l = make(FILE_ALL, 0);
	const struct grant_proxy *p = &l.g->proxy[0];

	ck_assert_uint_eq(l.g->congestion, 1);
	ck_assert_uint_eq(p->mode, GRANT_MODE_HTTP);
	ck_assert_uint_eq(p->proxy_protocol, GRANT_PROXY_ANY);
	ck_assert_uint_eq(p->flags, GRANT_F_FORWARDED | GRANT_F_TRUST);
	ck_assert_uint_eq(p->default_group, 0);
	ck_assert_uint_eq(p->n_routes, 5);
	ck_assert_uint_eq(p->connect_ms, 1000);
	ck_assert_uint_eq(p->header_ms, 2000);
	ck_assert_uint_eq(p->idle_ms, 3000);
	ck_assert_uint_eq(p->response_ms, 4000);
	ck_assert_uint_eq(p->tunnel_ms, 5000);
	ck_assert_uint_eq(p->max_connections, 77);
	ck_assert_uint_eq(p->max_header_bytes, 4096);
	ck_assert_uint_eq(p->max_headers, 50);
	ck_assert_uint_eq(p->max_body, 5ull << 30);
	ck_assert_uint_eq(p->retries, 0);
	ck_assert_uint_eq(p->max_requests, 9);
	ck_assert_str_eq(text(l.g, p->error_body), "<p>No.</p>\n");
	/* groups b: x, default; c: x, y */
	ck_assert_uint_eq(p[1].default_group, 4);
	ck_assert_uint_eq(
		p[1].flags, GRANT_F_FORWARDED_FOR | GRANT_F_ACCESS_LOG);
	ck_assert_uint_eq(p[2].default_group, 5);
	ck_assert_uint_eq(p[2].first_route, 5);
	ck_assert_uint_eq(p[2].n_routes, 0);
	ck_assert_uint_eq(p[1].error_body.len, 0);
	drop(&l);
}
END_TEST

/* No file: nobody reads a ring, and none is written. */
START_TEST(no_access_log)
{
	struct lab l = make(FILE_ALL, 1);

	ck_assert_str_eq(l.g->function, "plain");
	ck_assert_uint_eq(l.g->congestion, 0);
	ck_assert_uint_eq(l.g->n_groups, 2);
	ck_assert_uint_eq(l.g->proxy[0].flags, GRANT_F_FORWARDED_FOR);
	ck_assert_uint_eq(l.g->proxy[1].mode, GRANT_MODE_TCP);
	ck_assert_uint_eq(l.g->proxy[1].flags & GRANT_F_ACCESS_LOG, 0);
	drop(&l);
}
END_TEST

/* What is no proxy has groups in the config alone. */
START_TEST(others)
{
	struct lab l = make("conf/lb.cfg", 0);
	static const struct grant_proxy none;

	ck_assert_uint_eq(l.g->n_groups, 0);
	ck_assert_uint_eq(l.g->n_routes, 0);
	ck_assert_uint_eq(l.g->text_len, 0);
	ck_assert_mem_eq(&l.g->proxy[0], &none, sizeof(none));
	ck_assert_uint_eq(l.g->services[0].n_backends, 3);
	drop(&l);
}
END_TEST

/* --- the order of routes --- */

static const char *const host[] = { "", "example.org", "a.example.org",
	"b.example.org", "*.example.org", "*.a.example.org" };
static const char *const path[] = { "", "/", "/v1/", "/v1/users" };

#define N_HOSTS  6
#define N_PATHS  4
#define N_ROUTES (N_HOSTS * N_PATHS)

static bool
below(const char *suffix, const char *name)
{
	size_t n = strlen(suffix), m = strlen(name);

	return m > n && strcmp(name + m - n, suffix) == 0;
}

/* The way that an instance looks a request up. */
static uint32_t
lookup(const struct grant *g, const char *name, const char *target)
{
	for (uint32_t i = 0; i < g->proxy[0].n_routes; i++) {
		const struct grant_route *r =
			&g->routes[g->proxy[0].first_route + i];
		const char *h = text(g, r->host), *p = text(g, r->path);

		if ((*h == '\0' || (*h == '.' ? below(h, name)
					      : strcmp(h, name) == 0)) &&
			strncmp(target, p, strlen(p)) == 0)
			return r->group;
	}
	return g->proxy[0].default_group;
}

/* Each route has a group of its own: "h1p2" of host 1 and path 2. */
static char *
routes_config(const unsigned int *order, unsigned int n)
{
	char *out = NULL;
	size_t len;
	FILE *f = open_memstream(&out, &len);

	fprintf(f, "appliance: { name = \"t\"; };\n"
		   "uplinks: ( { name = \"wan\"; device = \"eth0\"; } );\n"
		   "functions: ( { name = \"edge\"; type = \"proxy\"; "
		   "snat = [ \"10.0.0.9\" ]; services: ( { name = \"s\"; "
		   "address = \"10.0.0.80\"; port = 80; protocol = \"tcp\"; "
		   "backends: ( { address = \"10.0.1.20\"; } );\ngroups: (");
	for (unsigned int i = 0; i < N_ROUTES; i++)
		fprintf(f,
			"%s{ name = \"h%up%u\"; backends: ( { address = "
			"\"10.0.1.21\"; } ); }",
			i == 0 ? "" : ",\n", i / N_PATHS, i % N_PATHS);
	fputs(");\nroutes: (", f);
	for (unsigned int i = 0; i < n; i++) {
		const char *h = host[order[i] / N_PATHS];
		const char *p = path[order[i] % N_PATHS];

		fprintf(f, "%s{ group = \"h%up%u\"; ", i == 0 ? "" : ",\n",
			order[i] / N_PATHS, order[i] % N_PATHS);
		if (*h != '\0')
			fprintf(f, "host = \"%s\"; ", h);
		if (*p != '\0')
			fprintf(f, "path = \"%s\"; ", p);
		fputs("}", f);
	}
	fputs("); } ); } );\n", f);
	fclose(f);
	return out;
}

static const struct {
	const char *host, *target, *group;
} requests[] = {
	{ "example.org", "/v1/users/7", "h1p3" },
	{ "example.org", "/v1/user", "h1p2" },
	{ "example.org", "/v2", "h1p1" },
	{ "example.org", "*", "h1p0" },
	{ "a.example.org", "/v1/", "h2p2" },
	{ "b.example.org", "/v1", "h3p1" },
	{ "c.example.org", "/v1/x", "h4p2" },
	{ "x.a.example.org", "/v1/x", "h5p2" },
	{ "x.b.example.org", "/", "h4p1" },
	{ ".example.org", "/", "h0p1" },
	{ "badexample.org", "/v1/users", "h0p3" },
	{ "", "/", "h0p1" },
	{ "other", "*", "h0p0" },
};

static void
shuffle(unsigned int *order, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		order[i] = i;
	for (unsigned int i = n; i-- > 1;) {
		unsigned int j = (unsigned int)rand() % (i + 1);
		unsigned int t = order[i];

		order[i] = order[j];
		order[j] = t;
	}
}

static struct config *
config_of(const char *source)
{
	struct config_faults faults = { 0 };
	struct config *c = config_load_text(
		"x", source, strlen(source), types, &machine, &faults);

	config_faults_print(&faults, stderr);
	ck_assert_ptr_nonnull(c);
	config_faults_free(&faults);
	return c;
}

/* Whatever their order in the file, the same route wins. */
START_TEST(routes_order)
{
	unsigned int order[N_ROUTES];
	char *source;
	struct config *c;
	struct plan *p;
	const struct grant *g;

	srand((unsigned int)_i);
	shuffle(order, N_ROUTES);
	source = routes_config(order, N_ROUTES);
	c = config_of(source);
	p = plan_create(c, SEED);
	ck_assert_ptr_nonnull(p);
	g = p->instances[0].grant;
	ck_assert_uint_eq(g->n_routes, N_ROUTES);
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		uint32_t got = lookup(g, requests[i].host, requests[i].target);

		ck_assert_msg(
			strcmp(g->groups[got].name, requests[i].group) == 0,
			"%s %s: %s, not %s", requests[i].host,
			requests[i].target, g->groups[got].name,
			requests[i].group);
	}
	/* equal texts once: six hosts' names and three paths at most */
	ck_assert_uint_le(g->text_len, 96);
	plan_free(p);
	config_free(c);
	free(source);
}
END_TEST

/* Any subset of routes against the rule, written down once more. */
static int
rank(unsigned int route, const char *name, const char *target)
{
	const char *h = host[route / N_PATHS], *p = path[route % N_PATHS];
	int by_host = *h == '\0'                        ? 0
		      : strcmp(h, name) == 0            ? 2000
		      : *h == '*' && below(h + 1, name) ? 1000 + (int)strlen(h)
							: -1;

	if (by_host < 0 || strncmp(target, p, strlen(p)) != 0)
		return -1;
	return by_host * 100 + (int)strlen(p);
}

START_TEST(routes_subset)
{
	unsigned int order[N_ROUTES], n;
	char *source;
	struct config *c;
	struct plan *p;

	srand((unsigned int)_i);
	shuffle(order, N_ROUTES);
	n = 1 + (unsigned int)rand() % N_ROUTES;
	source = routes_config(order, n);
	c = config_of(source);
	p = plan_create(c, SEED);
	ck_assert_ptr_nonnull(p);
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		const struct grant *g = p->instances[0].grant;
		uint32_t got = lookup(g, requests[i].host, requests[i].target);
		uint32_t want = 0; /* default */
		int best = -1;

		for (unsigned int j = 0; j < n; j++) {
			int r = rank(
				order[j], requests[i].host, requests[i].target);

			if (r > best) {
				best = r;
				want = 1 + order[j];
			}
		}
		ck_assert_uint_eq(got, want);
	}
	plan_free(p);
	config_free(c);
	free(source);
}
END_TEST

/* --- texts --- */

START_TEST(texts_once)
{
	char bytes[32];
	struct texts t = { bytes, 0, sizeof(bytes) };
	struct grant_text a, b, c, d, none;

	ck_assert_int_eq(texts_add(&t, "/v1/", 4, &a), 0);
	ck_assert_int_eq(texts_add(&t, "", 0, &none), 0);
	ck_assert_uint_eq(none.len, 0);
	ck_assert_uint_eq(t.len, 5);
	ck_assert_int_eq(texts_add(&t, "/v1/", 4, &b), 0);
	ck_assert_uint_eq(b.at, a.at);
	/* the end of another, with its NUL, but not its beginning */
	ck_assert_int_eq(texts_add(&t, "1/", 2, &c), 0);
	ck_assert_uint_eq(c.at, 2);
	ck_assert_uint_eq(t.len, 5);
	ck_assert_int_eq(texts_add(&t, "/v", 2, &d), 0);
	ck_assert_uint_eq(t.len, 8);
	ck_assert_str_eq(bytes + d.at, "/v");
	/* NUL is a byte like others */
	ck_assert_int_eq(texts_add(&t, "x\0y", 3, &d), 0);
	ck_assert_uint_eq(t.len, 12);
	ck_assert_mem_eq(bytes + d.at, "x\0y", 4);
}
END_TEST

/* To the last byte, and not beyond. */
START_TEST(texts_full)
{
	char bytes[9];
	struct texts t = { bytes, 0, 8 };
	struct grant_text a;

	bytes[8] = '#';
	ck_assert_int_eq(texts_add(&t, "12345678", 8, &a), -ENOSPC);
	ck_assert_uint_eq(t.len, 0);
	ck_assert_int_eq(texts_add(&t, "1234567", 7, &a), 0);
	ck_assert_uint_eq(t.len, 8);
	ck_assert_int_eq(texts_add(&t, "7", 1, &a), 0);
	ck_assert_int_eq(texts_add(&t, "8", 1, &a), -ENOSPC);
	ck_assert_int_eq(bytes[8], '#');
}
END_TEST

/* As much as the check lets through, the plan has room for. */
START_TEST(texts_agree)
{
	char *out = NULL, *source;
	size_t len;
	int fits = 0, refused = 0;

	for (int n = 270; n < 300; n++) {
		struct config_faults faults = { 0 };
		FILE *f = open_memstream(&out, &len);
		struct config *c;
		struct plan *p = NULL;

		source = routes_config(NULL, 0);
		fprintf(f, "%.*sroutes: (",
			(int)(strstr(source, "routes: (") - source), source);
		free(source);
		for (int i = 0; i < n; i++)
			fprintf(f,
				"%s{ path = \"/%0231d\"; group = \"h0p0\"; }",
				i == 0 ? "" : ",\n", i);
		fputs("); } ); } );\n", f);
		fclose(f);
		c = config_load_text("x", out, len, types, &machine, &faults);
		if (c != NULL)
			p = plan_create(c, SEED);
		ck_assert_int_eq(c != NULL, p != NULL);
		ck_assert_int_eq(c != NULL, n * 233 <= GRANT_TEXT_MAX);
		fits += c != NULL;
		refused += c == NULL;
		plan_free(p);
		config_free(c);
		config_faults_free(&faults);
		free(out);
	}
	ck_assert_int_gt(fits, 0);
	ck_assert_int_gt(refused, 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("plan_proxy");
	TCase *tc = tcase_create("plan_proxy");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, groups);
	tcase_add_test(tc, nexthops);
	tcase_add_test(tc, service);
	tcase_add_test(tc, no_access_log);
	tcase_add_test(tc, others);
	tcase_add_loop_test(tc, routes_order, 0, 20);
	tcase_add_loop_test(tc, routes_subset, 0, 50);
	tcase_add_test(tc, texts_once);
	tcase_add_test(tc, texts_full);
	tcase_add_test(tc, texts_agree);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
