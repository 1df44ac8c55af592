/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Checks of what only a proxy has: groups, routes, cookies and pages. What
 * the table of keys says is for a proxy, or for its mode http, is refused
 * elsewhere: a key that does nothing is a mistake.
 */
#include "ctrl/config_parse.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctrl/config_fault.h"
#include "ctrl/texts.h"
#include "dataplane/nf.h"

/* RFC 9110 5.6.2, beside letters and digits. */
#define TOKEN_MARKS "!#$%&'*+-.^_`|~"

/* A service that is being checked. */
struct visit {
	struct parse *p;
	const struct config_type *type;
	config_setting_t *entry; /* its group of settings */
	struct config_service *s;
};

/* --- keys in the wrong place --- */

static void
check_only(struct parse *p, config_setting_t *group, const char *path,
	const struct config_type *type, enum grant_mode mode)
{
	bool proxies = (type->flags & NF_PROXIES) != 0;

	for (const struct key *k = keys; k->path != NULL; k++) {
		if (k->only == KEY_ANY || !key_in(k, path) ||
			!parse_has(group, key_name(k)))
			continue;
		if (!proxies)
			parse_fault(p, parse_at(group, key_name(k)),
				"type \"%s\" is no proxy; remove %s",
				type->name, key_name(k));
		else if (k->only == KEY_HTTP && mode == GRANT_MODE_TCP)
			parse_fault(p, parse_at(group, key_name(k)),
				"mode is \"tcp\", which reads no HTTP; remove "
				"%s, or set mode = \"http\"",
				key_name(k));
	}
}

static void
check_keys(const struct visit *v)
{
	check_only(v->p, v->entry, "functions.services", v->type, v->s->mode);
	if (!(v->type->flags & NF_PROXIES) || !parse_has(v->entry, "timeouts"))
		return;
	check_only(v->p, parse_at(v->entry, "timeouts"),
		"functions.services.timeouts", v->type, v->s->mode);
}

/* --- groups --- */

/* The setting of group `i`, counted as config_group() does. */
static config_setting_t *
group_at(const struct visit *v, unsigned int i)
{
	unsigned int own = v->s->n_backends > 0;

	return i < own ? v->entry : parse_entry(v->entry, "groups", i - own);
}

static void
check_group_name(const struct visit *v, unsigned int i)
{
	struct config_group g = config_group(v->s, i), h;

	for (unsigned int j = 0; j < i && *g.name != '\0'; j++) {
		h = config_group(v->s, j);
		if (strcmp(h.name, g.name) != 0)
			continue;
		parse_fault(v->p, parse_at(group_at(v, i), "name"),
			j == 0 && v->s->n_backends > 0
				? "group \"%s\" is what the service's own "
				  "backends are, at line %d; take another name"
				: "group name \"%s\" is used already, at line "
				  "%d; names must differ",
			g.name, h.line);
		return;
	}
}

static bool
is_token(const char *text)
{
	for (; *text != '\0'; text++)
		if (!isalnum((unsigned char)*text) &&
			strchr(TOKEN_MARKS, *text) == NULL)
			return false;
	return true;
}

/* With one cookie for two groups, each would make clients leave the other. */
static void
check_cookie(const struct visit *v, unsigned int i)
{
	struct config_group g = config_group(v->s, i), h;
	config_setting_t *at = parse_at(group_at(v, i), "cookie");

	if (!is_token(g.cookie))
		parse_fault(v->p, at,
			"cookie is \"%s\"; allowed: letters, digits and "
			"%s, as cookie = \"SRV\"",
			g.cookie, TOKEN_MARKS);
	for (unsigned int j = 0; j < i && *g.cookie != '\0'; j++) {
		h = config_group(v->s, j);
		if (strcmp(h.cookie, g.cookie) != 0)
			continue;
		parse_fault(v->p, at,
			"cookie \"%s\" is that of group \"%s\" already; give "
			"each group another",
			g.cookie, h.name);
		return;
	}
}

/* What says how to treat backends, where the service has none of its own. */
static void
check_own(const struct visit *v)
{
	static const char *const own[] = { "scheduler", "cookie", "send_proxy",
		"max_idle" };

	if (parse_has(v->entry, "backends"))
		return;
	for (unsigned int i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if (parse_has(v->entry, own[i]))
			parse_fault(v->p, parse_at(v->entry, own[i]),
				"%s is of the service's own backends, and it "
				"has none; give it to the groups that it is "
				"for",
				own[i]);
}

static void
set_scheduler(const struct visit *v)
{
	if (!parse_has(v->entry, "scheduler"))
		v->s->scheduler = GRANT_SCHED_RR;
	else if (v->s->scheduler == GRANT_SCHED_MAGLEV &&
		 parse_text(v->entry, "scheduler") != NULL &&
		 strcmp(parse_text(v->entry, "scheduler"), "maglev") == 0)
		parse_fault(v->p, parse_at(v->entry, "scheduler"),
			"scheduler is \"maglev\", which type \"%s\" has not; "
			"allowed: \"rr\", \"leastconn\" (cookie keeps a client "
			"on its backend)",
			v->type->name);
}

/* --- routes --- */

static bool
is_host(const char *host)
{
	size_t n = strspn(host, "abcdefghijklmnopqrstuvwxyz0123456789-_.");

	return *host != '\0' && *host != '.' && host[n] == '\0' &&
	       host[n - 1] != '.' && strstr(host, "..") == NULL;
}

/* "[fd00::1]", as clients that go by an address write it. */
static bool
is_literal(const char *host)
{
	size_t n = strlen(host);
	char text[46];
	struct in6_addr a;

	if (n < 4 || n >= sizeof(text) + 1 || *host != '[' ||
		host[n - 1] != ']')
		return false;
	memcpy(text, host + 1, n - 2);
	text[n - 2] = '\0';
	return inet_pton(AF_INET6, text, &a) == 1;
}

static void
check_host(const struct visit *v, struct config_route *r, config_setting_t *at)
{
	bool below = strncmp(r->host, "*.", 2) == 0;

	for (char *c = r->host; *c != '\0'; c++)
		*c = (char)tolower((unsigned char)*c);
	if (*r->host == '\0' || is_literal(r->host) ||
		is_host(r->host + (below ? 2 : 0))) {
		if (below)
			memmove(r->host, r->host + 1, strlen(r->host));
		return;
	}
	parse_fault(v->p, at,
		"host is \"%.100s\"; allowed: a name without a port, as host = "
		"\"api.example.org\" or \"*.example.org\"",
		r->host);
	*r->host = ' '; /* and so like no other */
}

static void
check_path(const struct visit *v, struct config_route *r, config_setting_t *at)
{
	bool good = *r->path == '/' || *r->path == '\0';

	for (const char *c = r->path; *c != '\0'; c++)
		good &= *c > ' ' && *c < 0x7f && *c != '?' && *c != '#';
	if (!good)
		parse_fault(v->p, at,
			"path is \"%.100s\"; allowed: / and what follows it, "
			"without blanks, ? or #, as path = \"/v1/\"",
			r->path);
}

static void
unknown_group(const struct visit *v, const struct config_route *r,
	config_setting_t *at)
{
	const char *names[GRANT_GROUPS_MAX + 1], *nearest;
	unsigned int n = 0;

	for (unsigned int i = 0; i < v->s->n_groups; i++)
		names[n++] = v->s->groups[i].name;
	if (v->s->n_backends > 0)
		names[n++] = CONFIG_GROUP_OWN;
	if (n == 0)
		return;
	nearest = text_nearest(r->group, names, n);
	parse_fault(v->p, at, "there is no group \"%s\"; %s \"%s\"%s", r->group,
		nearest != NULL ? "did you mean" : "the first is",
		nearest != NULL ? nearest : names[0],
		nearest != NULL ? "?" : "");
}

static void
set_group(const struct visit *v, struct config_route *r, config_setting_t *at)
{
	bool refused = *r->group == '\0';

	for (unsigned int i = 0; i < config_groups(v->s); i++) {
		struct config_group g = config_group(v->s, i);

		refused |= *g.name == '\0';
		r->index = i;
		if (strcmp(g.name, r->group) == 0)
			return;
	}
	if (!refused)
		unknown_group(v, r, at);
}

static void
check_route(const struct visit *v, unsigned int i)
{
	config_setting_t *entry = parse_entry(v->entry, "routes", i);
	struct config_route *r = &v->s->routes[i], *before = v->s->routes;

	if (!config_setting_is_group(entry))
		return;
	check_host(v, r, parse_at(entry, "host"));
	check_path(v, r, parse_at(entry, "path"));
	set_group(v, r, parse_at(entry, "group"));
	while (strcmp(before->host, r->host) != 0 ||
		strcmp(before->path, r->path) != 0)
		before++;
	if (before < r && *r->group != '\0')
		parse_fault(v->p, entry,
			"a route for this host and path is at line %d already; "
			"keep one",
			before->line);
}

/* --- the page --- */

/* Read the whole of `fd`; what is wrong with it in words, or NULL. */
static const char *
page_take(struct config_service *s, int fd)
{
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return "is no plain file";
	s->error_body = malloc(CONFIG_ERROR_PAGE_MAX + 1);
	if (s->error_body == NULL)
		return "finds no memory";
	n = read(fd, s->error_body, CONFIG_ERROR_PAGE_MAX + 1);
	if (n < 0)
		return strerror(errno);
	if (n == 0)
		return "is empty";
	if (n > (ssize_t)CONFIG_ERROR_PAGE_MAX)
		return "has more than 16K";
	s->error_len = (uint32_t)n;
	return NULL;
}

static void
page_path(const struct visit *v, config_setting_t *at, char *buf, size_t len)
{
	const char *file = "", *slash;

	source_line(v->p->source, (int)config_setting_source_line(at), &file);
	slash = strrchr(file, '/');
	if (*v->s->error_page == '/' || slash == NULL)
		snprintf(buf, len, "%s", v->s->error_page);
	else
		snprintf(buf, len, "%.*s/%s", (int)(slash - file), file,
			v->s->error_page);
}

/* Not to wait for a pipe that nobody writes into. */
static void
read_page(const struct visit *v)
{
	config_setting_t *at = parse_at(v->entry, "error_page");
	const char *why;
	char path[520];
	int fd;

	if (*v->s->error_page == '\0')
		return;
	page_path(v, at, path, sizeof(path));
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	why = fd < 0 ? strerror(errno) : page_take(v->s, fd);
	if (fd >= 0)
		close(fd);
	if (why != NULL)
		parse_fault(v->p, at,
			"error_page \"%s\": %s; give a file of 16K at most "
			"that can be read",
			v->s->error_page, why);
}

/* --- a service --- */

static void
set_limits(const struct visit *v, const struct config_function *f)
{
	struct config_service *s = v->s;

	if (!parse_has(v->entry, "client_connections"))
		s->client_connections = f->max_connections / 2;
	else if (f->max_connections != 0 &&
		 s->client_connections > f->max_connections)
		parse_fault(v->p, parse_at(v->entry, "client_connections"),
			"client_connections is %u, more than connections, "
			"which is %u; allowed: at most as many",
			s->client_connections, f->max_connections);
}

static void
check_service(const struct visit *v, const struct config_function *f)
{
	check_keys(v);
	if (!(v->type->flags & NF_PROXIES))
		return;
	set_limits(v, f);
	set_scheduler(v);
	check_own(v);
	for (unsigned int i = 0; i < config_groups(v->s); i++) {
		check_group_name(v, i);
		check_cookie(v, i);
	}
	for (unsigned int i = 0; i < v->s->n_routes; i++)
		check_route(v, i);
	read_page(v);
}

/* --- the function --- */

/* The same texts as the plan adds, in its order. */
static int
count_texts(const struct config_function *f, struct texts *t)
{
	struct grant_text at;
	int rc = 0;

	for (unsigned int i = 0; i < f->n_services && rc == 0; i++) {
		const struct config_service *s = &f->services[i];

		for (unsigned int j = 0; j < config_groups(s) && rc == 0; j++) {
			struct config_group g = config_group(s, j);

			rc = texts_add(t, g.cookie, strlen(g.cookie), &at);
		}
		for (unsigned int j = 0; j < s->n_routes && rc == 0; j++) {
			const struct config_route *r = &s->routes[j];

			rc = texts_add(t, r->host, strlen(r->host), &at);
			if (rc == 0)
				rc = texts_add(
					t, r->path, strlen(r->path), &at);
		}
		if (rc == 0)
			rc = texts_add(t, s->error_body, s->error_len, &at);
	}
	return rc;
}

static void
check_texts(struct parse *p, const struct config_function *f,
	config_setting_t *group)
{
	struct texts t = { malloc(GRANT_TEXT_MAX), 0, GRANT_TEXT_MAX };

	if (t.bytes == NULL)
		p->no_memory = true;
	else if (count_texts(f, &t) != 0)
		parse_fault(p, parse_at(group, "services"),
			"hosts, paths, cookies and error pages are more than "
			"%d bytes; allowed: as many per function, equal ones "
			"counted once",
			GRANT_TEXT_MAX);
	free(t.bytes);
}

static void
check_totals(struct parse *p, const struct config_function *f,
	config_setting_t *group)
{
	unsigned int groups = 0, routes = 0;

	for (unsigned int i = 0; i < f->n_services; i++) {
		groups += config_groups(&f->services[i]);
		routes += f->services[i].n_routes;
	}
	if (groups > GRANT_GROUPS_MAX)
		parse_fault(p, parse_at(group, "services"),
			"services have %u groups of backends in all; allowed: "
			"at most %d per function",
			groups, GRANT_GROUPS_MAX);
	if (routes > GRANT_ROUTES_MAX)
		parse_fault(p, parse_at(group, "services"),
			"services have %u routes in all; allowed: at most %d "
			"per function",
			routes, GRANT_ROUTES_MAX);
}

static void
check_function(struct parse *p, struct config_function *f,
	config_setting_t *group, const struct config_type *type)
{
	if (parse_has(group, "timeouts"))
		parse_fault(p, parse_at(group, "timeouts"),
			"type \"%s\" has time-outs in its services; remove "
			"these",
			type->name);
	if (*f->access.file != '\0' && *f->access.file != '/')
		parse_fault(p, parse_at(parse_at(group, "access_log"), "file"),
			"file is \"%s\"; allowed: an absolute path, as file = "
			"\"/var/log/carryall/edge.log\"",
			f->access.file);
	check_totals(p, f, group);
	check_texts(p, f, group);
}

void
check_proxy(struct parse *p, unsigned int function, config_setting_t *group,
	const struct config_type *type)
{
	struct config_function *f = &p->config->functions[function];

	f->proxies = (type->flags & NF_PROXIES) != 0;
	check_only(p, group, "functions", type, GRANT_MODE_HTTP);
	for (unsigned int i = 0; i < f->n_services; i++) {
		struct visit v = { p, type, parse_entry(group, "services", i),
			&f->services[i] };

		if (config_setting_is_group(v.entry))
			check_service(&v, f);
	}
	if (f->proxies)
		check_function(p, f, group, type);
}
