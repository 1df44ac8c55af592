/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The configuration's parser. Faulty files are in tests/config/bad: each says
 * in comments "# expect LINE: TEXT" or "# expect INCLUDE:LINE: TEXT" which
 * faults it has, and must have these and no others. Run from the top folder.
 */
#include <check.h>
#include <glob.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctrl/config.h"
#include "ctrl/config_fault.h"
#include "ctrl/config_lex.h"
#include "ctrl/keys.h"
#include "tests/unit/config_lab.h"

#define ROWS(t) ((int)(sizeof(t) / sizeof((t)[0])))

/* --- faulty files --- */

static glob_t bad;

struct expect {
	char file[256];
	int line;
	char text[256];
	bool met;
};

/* "# expect 3: text" or "# expect parts/x.inc:3: text" of the file `path`. */
static bool
read_expect(const char *line, const char *path, struct expect *e)
{
	const char *p = line, *colon;
	size_t dir = (size_t)(strrchr(path, '/') - path) + 1;

	if (strncmp(p, "# expect ", 9) != 0)
		return false;
	p += 9;
	memset(e, 0, sizeof(*e));
	if (*p >= '0' && *p <= '9') {
		snprintf(e->file, sizeof(e->file), "%s", path);
	} else {
		colon = strchr(p, ':');
		ck_assert_ptr_nonnull(colon);
		snprintf(e->file, sizeof(e->file), "%.*s%.*s", (int)dir, path,
			(int)(colon - p), p);
		p = colon + 1;
	}
	e->line = atoi(p);
	p = strstr(p, ": ");
	ck_assert_ptr_nonnull(p);
	snprintf(e->text, sizeof(e->text), "%.*s", (int)strcspn(p + 2, "\n"),
		p + 2);
	return true;
}

static int
read_expects(const char *path, struct expect *e, int max)
{
	FILE *f = fopen(path, "r");
	char line[512];
	int n = 0;

	ck_assert_ptr_nonnull(f);
	while (n < max && fgets(line, sizeof(line), f) != NULL)
		n += read_expect(line, path, &e[n]);
	fclose(f);
	return n;
}

static bool
is_expected(const struct config_fault *fault, struct expect *e, int n)
{
	for (int i = 0; i < n; i++)
		if (!e[i].met && e[i].line == fault->line &&
			strcmp(e[i].file, fault->file) == 0 &&
			strstr(fault->text, e[i].text) != NULL)
			return e[i].met = true;
	return false;
}

START_TEST(bad_file)
{
	const char *path = bad.gl_pathv[_i];
	struct expect e[64];
	int n = read_expects(path, e, 64);
	struct config_faults faults = { 0 };

	ck_assert_msg(n > 0, "%s expects nothing", path);
	ck_assert_ptr_null(config_load(path, types, &machine, &faults));
	for (unsigned int i = 0; i < faults.n; i++) {
		const struct config_fault *f = &faults.fault[i];

		ck_assert_msg(is_expected(f, e, n), "unexpected %s:%d: %s",
			f->file, f->line, f->text);
		/* what is wrong; what is allowed */
		ck_assert_ptr_nonnull(strchr(f->text, ';'));
		/* in order, and in one line */
		ck_assert_msg(i == 0 || strcmp(f[-1].file, f->file) != 0 ||
				      f[-1].line <= f->line,
			"%s:%d is out of order", f->file, f->line);
		ck_assert_ptr_null(strpbrk(f->text, "\n\r"));
	}
	for (int i = 0; i < n; i++)
		ck_assert_msg(e[i].met, "%s:%d: not found: %s", e[i].file,
			e[i].line, e[i].text);
	config_faults_free(&faults);
}
END_TEST

START_TEST(many_bad_files)
{
	ck_assert_int_ge((int)bad.gl_pathc, 80);
}
END_TEST

/* --- good files --- */

static void
assert_addr(const struct ip_addr *addr, const char *text)
{
	char buf[46];

	ck_assert_str_eq(ip_addr_format(addr, buf), text);
}

START_TEST(all_appliance)
{
	struct config *c = load("tests/config/good/all.cfg");

	ck_assert_str_eq(c->file, "tests/config/good/all.cfg");
	ck_assert_str_eq(c->name, "all-keys");
	ck_assert_str_eq(c->state, "/srv/state");
	ck_assert_str_eq(c->user, "carryall");
	ck_assert(c->share_cores);
	ck_assert_int_eq(c->pages, CONFIG_PAGES_SMALL);
	ck_assert_uint_eq(c->n_uplinks, 2);
	ck_assert_str_eq(c->uplinks[0].name, "wan");
	ck_assert_str_eq(c->uplinks[0].device, "wan0");
	ck_assert_str_eq(c->uplinks[0].provider, "xdp");
	ck_assert_int_eq(c->uplinks[0].mode, CONFIG_XDP_NATIVE);
	ck_assert_int_eq(c->uplinks[0].line, 1);
	ck_assert_str_eq(c->uplinks[1].device, "lan0");
	ck_assert_int_eq(c->uplinks[1].mode, CONFIG_XDP_GENERIC);
	ck_assert_int_eq(c->uplinks[1].line, 4);
	ck_assert_uint_eq(c->n_functions, 3);
	config_free(c);
}
END_TEST

START_TEST(all_function)
{
	struct config *c = load("tests/config/good/all.cfg");
	const struct config_function *f = &c->functions[0];
	const struct grant_timeouts t = { 1000, 7200000, 3000, 400, 5000,
		360000 };

	ck_assert_str_eq(f->name, "web");
	ck_assert_str_eq(f->type, "lb");
	ck_assert_uint_eq(f->uplink, 0);
	ck_assert_uint_eq(f->backend_uplink, 1);
	ck_assert_uint_eq(f->instances, 3);
	ck_assert_uint_eq(f->cores[0], 2);
	ck_assert_uint_eq(f->cores[1], 3);
	ck_assert_uint_eq(f->cores[2], 2);
	ck_assert_uint_eq(f->buckets, 256);
	ck_assert_uint_eq(f->rate_bps, 2500000000);
	ck_assert_uint_eq(f->packet_rate, 10000);
	ck_assert_uint_eq(f->max_connections, 1024);
	ck_assert_uint_eq(f->max_half_open, 100);
	ck_assert_mem_eq(&f->timeouts, &t, sizeof(t));
	ck_assert_int_eq(f->durability, GRANT_DURABILITY_SYNC);
	/* rounded up to whole blocks */
	ck_assert_uint_eq(f->log_size, 1540 << 10);
	ck_assert_uint_eq(f->n_snat, 3);
	assert_addr(&f->snat[1], "10.0.2.10");
	assert_addr(&f->snat[2], "fd00:2::9");
	ck_assert_int_eq(f->line, 11);
	ck_assert_uint_eq(c->functions[1].uplink, 1);
	/* the least used core, and not the first of them */
	ck_assert_uint_eq(c->functions[1].cores[0], 1);
	config_free(c);
}
END_TEST

START_TEST(all_services)
{
	struct config *c = load("tests/config/good/all.cfg");
	const struct config_service *a = &c->functions[0].services[0];
	const struct config_service *b = &c->functions[0].services[1];
	const struct config_service *i = &c->functions[1].services[0];

	ck_assert_str_eq(a->name, "a");
	assert_addr(&a->addr, "10.0.1.80");
	ck_assert_uint_eq(a->port, 443);
	ck_assert_uint_eq(a->proto, IPPROTO_TCP);
	ck_assert_int_eq(a->scheduler, GRANT_SCHED_RR);
	ck_assert(a->hash_source);
	ck_assert_uint_eq(a->n_backends, 2);
	assert_addr(&a->backends[0].addr, "10.0.2.21");
	ck_assert_uint_eq(a->backends[0].port, 8443);
	ck_assert_uint_eq(a->backends[0].weight, 256);
	ck_assert_uint_eq(a->backends[1].port, 443);
	ck_assert_uint_eq(a->backends[1].weight, 0);
	ck_assert_uint_eq(b->proto, IPPROTO_UDP);
	ck_assert_int_eq(b->scheduler, GRANT_SCHED_LEASTCONN);
	ck_assert(!b->hash_source);
	ck_assert_uint_eq(b->backends[0].port, 53);
	ck_assert_uint_eq(b->backends[0].weight, 1);
	ck_assert_uint_eq(i->proto, IPPROTO_ICMP);
	ck_assert_uint_eq(i->port, 0);
	ck_assert_uint_eq(i->n_backends, 0);
	config_free(c);
}
END_TEST

START_TEST(defaults)
{
	struct config *c = load("tests/config/good/least.cfg");
	const struct config_function *f = &c->functions[0];
	const struct grant_timeouts t = { 10000, 7440000, 240000, 30000, 10000,
		120000 };

	ck_assert_str_eq(c->state, "/var/lib/carryall");
	ck_assert_str_eq(c->user, "nobody");
	ck_assert(!c->share_cores);
	ck_assert_int_eq(c->pages, CONFIG_PAGES_AUTO);
	ck_assert_str_eq(c->uplinks[0].provider, "xdp");
	ck_assert_int_eq(c->uplinks[0].mode, CONFIG_XDP_AUTO);
	ck_assert_uint_eq(f->uplink, 0);
	ck_assert_uint_eq(f->backend_uplink, 0);
	ck_assert_uint_eq(f->instances, 1);
	ck_assert_uint_eq(f->cores[0], 1);
	ck_assert_uint_eq(f->buckets, 128);
	ck_assert_uint_eq(f->rate_bps, 0);
	ck_assert_uint_eq(f->packet_rate, 0);
	ck_assert_uint_eq(f->max_connections, 65536);
	ck_assert_uint_eq(f->max_half_open, 16384);
	ck_assert_mem_eq(&f->timeouts, &t, sizeof(t));
	ck_assert_int_eq(f->durability, GRANT_DURABILITY_NONE);
	ck_assert_uint_eq(f->log_size, 64 << 20);
	ck_assert_int_eq(f->services[0].scheduler, GRANT_SCHED_MAGLEV);
	ck_assert(!f->services[0].hash_source);
	ck_assert_uint_eq(f->services[0].backends[0].port, 80);
	ck_assert_uint_eq(f->services[0].backends[0].weight, 1);
	config_free(c);
}
END_TEST

/* --- a proxy --- */

START_TEST(proxy_function)
{
	struct config *c = load("tests/config/good/proxy.cfg");
	const struct config_function *f = &c->functions[0];

	ck_assert(f->proxies);
	ck_assert_int_eq(f->congestion, CONFIG_NEWRENO);
	ck_assert_str_eq(f->access.file, "/tmp/edge.log");
	ck_assert_int_eq(f->access.format, CONFIG_ACCESS_JSON);
	ck_assert_int_eq(c->functions[1].congestion, CONFIG_CUBIC);
	ck_assert_str_eq(c->functions[1].access.file, "");
	ck_assert(c->functions[1].proxies);
	ck_assert(!c->functions[2].proxies);
	ck_assert(config_keeps_seed(c));
	c->n_functions = 1;
	ck_assert(config_keeps_seed(c));
	c->functions[0].proxies = false;
	ck_assert(!config_keeps_seed(c));
	c->n_functions = 3;
	config_free(c);
}
END_TEST

START_TEST(proxy_service)
{
	struct config *c = load("tests/config/good/proxy.cfg");
	const struct config_service *s = &c->functions[0].services[0];
	const struct config_waits w = { 1000, 2000, 3000, 4000, 5000 };

	ck_assert_int_eq(s->mode, GRANT_MODE_HTTP);
	ck_assert_int_eq(s->proxy_protocol, GRANT_PROXY_ANY);
	ck_assert_int_eq(s->scheduler, GRANT_SCHED_LEASTCONN);
	ck_assert(!s->access_log && !s->forwarded_for);
	ck_assert(s->forwarded && s->trust_forwarded);
	ck_assert_uint_eq(s->client_connections, 77);
	ck_assert_uint_eq(s->retries, 0);
	ck_assert_uint_eq(s->max_header, 4096);
	ck_assert_uint_eq(s->max_headers, 50);
	ck_assert_uint_eq(s->max_requests, 9);
	ck_assert_uint_eq(s->max_body, 5ull << 30);
	ck_assert_mem_eq(&s->timeouts, &w, sizeof(w));
	ck_assert_str_eq(s->cookie, "SRV");
	ck_assert_int_eq(s->send_proxy, GRANT_PROXY_V2);
	ck_assert_uint_eq(s->max_idle, 3);
	ck_assert_uint_eq(s->error_len, 11);
	ck_assert_mem_eq(s->error_body, "<p>No.</p>\n", 11);
	config_free(c);
}
END_TEST

START_TEST(proxy_groups)
{
	struct config *c = load("tests/config/good/proxy.cfg");
	const struct config_service *s = &c->functions[0].services[0];
	struct config_group own = config_group(s, 0);
	struct config_group api = config_group(s, 1);

	ck_assert_uint_eq(config_groups(s), 3);
	ck_assert_uint_eq(config_default_group(s), 0);
	ck_assert_str_eq(own.name, "default");
	ck_assert_str_eq(own.cookie, "SRV");
	ck_assert_uint_eq(own.n_backends, 1);
	/* the families of clients and backends need not be the same */
	assert_addr(&own.backends[0].addr, "fd00:2::21");
	ck_assert_str_eq(api.name, "api");
	ck_assert_int_eq(api.scheduler, GRANT_SCHED_LEASTCONN);
	ck_assert_int_eq(api.send_proxy, GRANT_PROXY_V1);
	ck_assert_uint_eq(api.max_idle, 0);
	ck_assert_str_eq(api.cookie, "A!#$%&'*+-.^_`|~9");
	ck_assert_uint_eq(api.n_backends, 2);
	ck_assert_uint_eq(api.backends[0].port, 9000);
	ck_assert_uint_eq(api.backends[1].port, 80);
	ck_assert_int_eq(config_group(s, 2).scheduler, GRANT_SCHED_RR);
	ck_assert_uint_eq(config_group(s, 2).max_idle, 64);
	/* without backends of its own: the group of that name, or the first */
	s = &c->functions[0].services[1];
	ck_assert_uint_eq(config_groups(s), 2);
	ck_assert_uint_eq(config_default_group(s), 1);
	s = &c->functions[0].services[2];
	ck_assert_uint_eq(config_default_group(s), 0);
	config_free(c);
}
END_TEST

START_TEST(proxy_routes)
{
	struct config *c = load("tests/config/good/proxy.cfg");
	const struct config_service *s = &c->functions[0].services[0];

	ck_assert_uint_eq(s->n_routes, 5);
	ck_assert_str_eq(s->routes[0].host, "");
	ck_assert_str_eq(s->routes[0].path, "/v1/");
	ck_assert_uint_eq(s->routes[0].index, 1);
	ck_assert_str_eq(s->routes[1].host, "api.example.org");
	ck_assert_str_eq(s->routes[1].path, "");
	ck_assert_str_eq(s->routes[2].host, ".example.org");
	ck_assert_uint_eq(s->routes[2].index, 2);
	ck_assert_str_eq(s->routes[3].host, "[fd00::1]");
	ck_assert_uint_eq(s->routes[4].index, 0);
	config_free(c);
}
END_TEST

START_TEST(proxy_defaults)
{
	struct config *c = load("tests/config/good/proxy.cfg");
	const struct config_service *s = &c->functions[1].services[0];
	const struct config_waits w = { 5000, 10000, 60000, 60000, 3600000 };

	ck_assert_int_eq(s->mode, GRANT_MODE_HTTP);
	ck_assert_int_eq(s->proxy_protocol, GRANT_PROXY_NONE);
	ck_assert_int_eq(s->scheduler, GRANT_SCHED_RR);
	ck_assert(s->access_log && s->forwarded_for);
	ck_assert(!s->forwarded && !s->trust_forwarded);
	/* half of what the function has, as rounded up */
	ck_assert_uint_eq(s->client_connections, 512);
	ck_assert_uint_eq(s->retries, 2);
	ck_assert_uint_eq(s->max_header, 16384);
	ck_assert_uint_eq(s->max_headers, 100);
	ck_assert_uint_eq(s->max_requests, 0);
	ck_assert_uint_eq(s->max_body, 0);
	ck_assert_mem_eq(&s->timeouts, &w, sizeof(w));
	ck_assert_str_eq(s->cookie, "");
	ck_assert_int_eq(s->send_proxy, GRANT_PROXY_NONE);
	ck_assert_uint_eq(s->max_idle, 64);
	ck_assert_uint_eq(s->error_len, 0);
	ck_assert_int_eq(c->functions[1].services[1].mode, GRANT_MODE_TCP);
	config_free(c);
}
END_TEST

/* Includes are found from any working directory. */
START_TEST(include_elsewhere)
{
	char path[4096];
	struct config *c;

	ck_assert_ptr_nonnull(realpath("tests/config/good/all.cfg", path));
	ck_assert_int_eq(chdir("/"), 0);
	c = load(path);
	ck_assert_uint_eq(c->n_uplinks, 2);
	config_free(c);
}
END_TEST

START_TEST(example_demo)
{
	struct config *c;

	n_cores = 2;
	c = load("conf/demo.cfg");
	ck_assert_str_eq(c->name, "demo");
	ck_assert_uint_eq(c->n_functions, 3);
	ck_assert_uint_eq(c->functions[0].n_services, 3);
	ck_assert_uint_eq(c->functions[0].instances, 2);
	ck_assert_str_eq(c->functions[1].type, "proxy");
	ck_assert_uint_eq(c->functions[2].n_services, 5);
	config_free(c);
}
END_TEST

START_TEST(example_others)
{
	n_cores = 1;
	config_free(load("conf/lb.cfg"));
	config_free(load("conf/echo.cfg"));
	config_free(load("conf/proxy.cfg"));
	n_cores = 2;
	config_free(load("conf/soft.cfg"));
}
END_TEST

/* Each durability, with the largest size that is taken. */
START_TEST(durabilities)
{
	static const char *const name[] = { "none", "batch", "sync" };
	char text[600];
	struct config_faults faults = { 0 };
	struct config *c;

	snprintf(text, sizeof(text),
		"appliance: { name = \"t\"; };\n"
		"uplinks: ( { name = \"wan\"; device = \"eth0\"; } );\n"
		"functions: ( { name = \"web\"; type = \"lb\"; "
		"snat = [ \"10.0.0.9\" ]; "
		"log: { durability = \"%s\"; size = \"64G\"; }; services: ( "
		"{ name = \"s\"; address = \"10.0.0.80\"; port = 80; "
		"protocol = \"tcp\"; backends: ( "
		"{ address = \"10.0.1.21\"; } ); } ); } );\n",
		name[_i]);
	c = config_load_text("x", text, strlen(text), types, &machine, &faults);
	config_faults_print(&faults, stderr);
	ck_assert_ptr_nonnull(c);
	ck_assert_int_eq((int)c->functions[0].durability, _i);
	ck_assert_uint_eq(c->functions[0].log_size, 64ull << 30);
	config_free(c);
	config_faults_free(&faults);
}
END_TEST

/* --- what is no text --- */

static void
assert_one_fault(const char *path, const char *text, size_t len, int line,
	const char *expect)
{
	struct config_faults faults = { 0 };
	struct config *c = text == NULL
				   ? config_load(path, types, &machine, &faults)
				   : config_load_text(path, text, len, types,
					     &machine, &faults);

	ck_assert_ptr_null(c);
	ck_assert_uint_eq(faults.n, 1);
	ck_assert_int_eq(faults.fault[0].line, line);
	ck_assert_msg(strstr(faults.fault[0].text, expect) != NULL, "%s",
		faults.fault[0].text);
	config_faults_free(&faults);
}

START_TEST(unreadable)
{
	char path[400];

	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_one_fault("no/such.cfg", NULL, 0, 0, "No such file");
	assert_one_fault("tests", NULL, 0, 0, "not a plain file");
	assert_one_fault("/dev/zero", NULL, 0, 0, "not a plain file");
	assert_one_fault(path, NULL, 0, 0, "name too long");
	assert_one_fault("x", "a = 1;\n\0b = 2;", 15, 2, "NUL byte");
	assert_one_fault("x", "a = \"\0\";", 8, 1, "no end");
}
END_TEST

START_TEST(too_large)
{
	size_t len = (5 << 20);
	char *text = malloc(len);

	ck_assert_ptr_nonnull(text);
	for (size_t i = 0; i < len; i += 2)
		memcpy(text + i, "; ", 2);
	assert_one_fault("x", text, len, 1, "more than 4 MiB");
	free(text);
}
END_TEST

/* The number of faults is bounded, and the last one says so. */
START_TEST(too_many)
{
	size_t len = 0;
	char *text = malloc(1 << 16);
	struct config_faults faults = { 0 };

	ck_assert_ptr_nonnull(text);
	for (int i = 0; i < 3000; i++)
		len += (size_t)sprintf(text + len, "key%d = 1;\n", i);
	ck_assert_ptr_null(
		config_load_text("x", text, len, types, &machine, &faults));
	ck_assert_uint_eq(faults.n, FAULTS_MAX);
	config_faults_free(&faults);
	free(text);
}
END_TEST

START_TEST(print_faults)
{
	struct config_faults faults = { 0 };
	char *out = NULL;
	size_t len;
	FILE *f = open_memstream(&out, &len);
	char files[2][256] = { "b", "a" };

	faults_add(&faults, "a", 9, "third %s", "one");
	faults_add(&faults, "b", 10, "second\n");
	faults_add(&faults, "b", 2, "first");
	faults_add(&faults, "b", 2, "first");
	faults_sort(&faults, files, 2);
	config_faults_print(&faults, f);
	fclose(f);
	ck_assert_str_eq(out, "b:2: first\nb:10: second?\na:9: third one\n");
	free(out);
	config_faults_free(&faults);
	ck_assert_uint_eq(faults.n, 0);
}
END_TEST

/* --- nearest names --- */

static const struct {
	const char *a, *b;
	unsigned int distance;
} distances[] = {
	{ "", "", 0 },
	{ "", "abc", 3 },
	{ "port", "port", 0 },
	{ "port", "prt", 1 },
	{ "port", "ports", 1 },
	{ "port", "part", 1 },
	{ "port", "prot", 1 },
	{ "instnaces", "instances", 1 },
	{ "kitten", "sitting", 3 },
	{ "ca", "abc", 3 },
};

START_TEST(distance_row)
{
	ck_assert_uint_eq(text_distance(distances[_i].a, distances[_i].b),
		distances[_i].distance);
	ck_assert_uint_eq(text_distance(distances[_i].b, distances[_i].a),
		distances[_i].distance);
}
END_TEST

START_TEST(nearest)
{
	const char *names[] = { "name", NULL, "type", "services", "snat" };
	char longest[500];

	ck_assert_str_eq(text_nearest("nmae", names, 5), "name");
	ck_assert_str_eq(text_nearest("service", names, 5), "services");
	ck_assert_ptr_null(text_nearest("x", names, 5));
	ck_assert_ptr_null(text_nearest("elephant", names, 5));
	ck_assert_ptr_null(text_nearest("name", names, 0));
	memset(longest, 'n', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	ck_assert_ptr_null(text_nearest(longest, names, 5));
}
END_TEST

/* --- words --- */

static const struct {
	const char *text;
	const char *kinds; /* one letter each, in the order of the enum */
	int line;          /* of the last one */
} words[] = {
	{ "", "E", 1 },
	{ " \n\t# x\n// y\n/* z\n */", "E", 5 },
	{ "a = 1;", "NP#PE", 1 },
	{ "a-b_*:\"x\"", "NPSE", 1 },
	{ "\"a\\\"b\" c", "SNE", 1 },
	{ "\"a\\\\\" c", "SNE", 1 },
	{ "\"a\nb\" c", "SNE", 2 },
	{ "\"a", "s", 1 },
	{ "x\n\"a\n", "Ns", 2 },
	{ "\"a\\", "s", 1 },
	{ "/*", "c", 1 },
	{ "/* *", "c", 1 },
	{ "\n/**/x", "NE", 2 },
	{ "/ x", "PNE", 1 },
	{ "-5 +6 0x1F 1.5e+3 -.5 9L", "######E", 1 },
	{ "0xe+1", "##E", 1 },
	{ "1-2", "##E", 1 },
	{ "- 5", "P#E", 1 },
	{ "@include \"x\"", "IE", 1 },
	{ "a = 1;\n \t@include\t\"x\" b", "NP#PINE", 2 },
	{ "a @include \"x\"", "NPNSE", 1 },
	{ "@include\"x\"", "PNSE", 1 },
	{ "@include x", "PNNE", 1 },
	{ "@include \"x", "PNs", 1 },
	{ "@includes \"x\"", "PNSE", 1 },
	{ "/**/@include \"x\"", "PNSE", 1 },
	{ "\xff\xc3", "PPE", 1 },
};

START_TEST(word_row)
{
	const char *text = words[_i].text, *kinds = words[_i].kinds;
	struct lex lex;
	struct token t = { .kind = TOKEN_END };

	lex_init(&lex, text, strlen(text));
	for (; *kinds != '\0'; kinds++) {
		t = lex_next(&lex);
		ck_assert_msg("ES#NPIsc0"[t.kind] == *kinds,
			"%s: kind %d where %s is due", text, t.kind, kinds);
		ck_assert(t.text >= text && t.text + t.len <= lex.end);
	}
	ck_assert_int_eq(t.line, words[_i].line);
	ck_assert_int_eq(lex_next(&lex).kind, t.kind);
}
END_TEST

/* --- the table --- */

static int
count_keys(void)
{
	int n = 0;

	while (keys[n].path != NULL)
		n++;
	return n;
}

/* Each row stands behind its group, and says all that the manual needs. */
START_TEST(key_row)
{
	const struct key *k = &keys[_i];
	const char *dot = strrchr(k->path, '.');
	bool found = dot == NULL;

	for (int i = 0; i < _i && dot != NULL; i++)
		found |= strlen(keys[i].path) == (size_t)(dot - k->path) &&
			 strncmp(keys[i].path, k->path,
				 (size_t)(dot - k->path)) == 0;
	ck_assert_msg(found, "%s stands before its group", k->path);
	ck_assert_ptr_nonnull(k->help);
	ck_assert_ptr_nonnull(k->example);
	ck_assert_msg(k->help[strlen(k->help) - 1] == '.', "%s", k->path);
	ck_assert_msg(!(k->required && k->initial != NULL), "%s", k->path);
	if (k->kind == KEY_INT || k->kind == KEY_QUANTITY)
		ck_assert_msg(k->min < k->max, "%s", k->path);
	for (int i = 0; i < _i; i++)
		ck_assert_str_ne(keys[i].path, k->path);
}
END_TEST

START_TEST(key_words)
{
	const struct key *provider = key_find("uplinks", "provider");
	const struct key *port = key_find("functions.services", "port");
	char buf[64];

	ck_assert_str_eq(
		key_allowed(provider, buf, sizeof(buf)), "\"xdp\", \"soft\"");
	ck_assert_str_eq(key_allowed(port, buf, sizeof(buf)), "1 to 65535");
	ck_assert_str_eq(key_name(port), "port");
	ck_assert_ptr_null(key_find("functions", "port"));
	ck_assert_ptr_null(key_find("", "functions.name"));
}
END_TEST

/* Both forms print every key; as mdoc no line begins a macro by accident. */
START_TEST(keys_print)
{
	for (int mdoc = 0; mdoc < 2; mdoc++) {
		char *out = NULL;
		size_t len;
		FILE *f = open_memstream(&out, &len);

		config_keys_print(f, mdoc);
		fclose(f);
		for (const struct key *k = keys; k->path != NULL; k++)
			ck_assert_ptr_nonnull(strstr(out, k->path));
		ck_assert_ptr_nonnull(strstr(out, "\"64kb/s\" to \"1Tb/s\""));
		for (char *l = out; mdoc && *l; l += strcspn(l, "\n") + 1)
			ck_assert_msg(strchr("'\\", *l) == NULL, "%.40s", l);
		free(out);
	}
}
END_TEST

/* libconfig 1.5 leaks strings that a syntax error makes it drop. */
const char *__lsan_default_suppressions(void);
const char *
__lsan_default_suppressions(void)
{
	return "leak:strbuf_append\nleak:libconfig_yylex\n";
}

int
main(void)
{
	Suite *s = suite_create("config");
	TCase *tc = tcase_create("config");
	SRunner *sr = srunner_create(s);
	int failed;

	glob("tests/config/bad/*.cfg", 0, NULL, &bad);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, bad_file, 0, (int)bad.gl_pathc);
	tcase_add_test(tc, many_bad_files);
	tcase_add_test(tc, all_appliance);
	tcase_add_test(tc, all_function);
	tcase_add_test(tc, all_services);
	tcase_add_test(tc, defaults);
	tcase_add_test(tc, proxy_function);
	tcase_add_test(tc, proxy_service);
	tcase_add_test(tc, proxy_groups);
	tcase_add_test(tc, proxy_routes);
	tcase_add_test(tc, proxy_defaults);
	tcase_add_test(tc, include_elsewhere);
	tcase_add_test(tc, example_demo);
	tcase_add_test(tc, example_others);
	tcase_add_loop_test(tc, durabilities, 0, 3);
	tcase_add_test(tc, unreadable);
	tcase_add_test(tc, too_large);
	tcase_add_test(tc, too_many);
	tcase_add_test(tc, print_faults);
	tcase_add_loop_test(tc, distance_row, 0, ROWS(distances));
	tcase_add_test(tc, nearest);
	tcase_add_loop_test(tc, word_row, 0, ROWS(words));
	tcase_add_loop_test(tc, key_row, 0, count_keys());
	tcase_add_test(tc, key_words);
	tcase_add_test(tc, keys_print);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	globfree(&bad);
	return failed != 0;
}
