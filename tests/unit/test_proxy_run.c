/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Many clients and backends at once, seed by seed: bodies of all sizes and
 * framings both ways, pipelining, pieces of any size, lost packets, clients
 * that go away or do not read, backends that break off or are down.
 *
 * Each request has a number; from it follows every byte of its body, and of
 * its response's. So an answer to the wrong request, and a wrong byte, show. A
 * run without trouble has no error at all; with trouble there are those that
 * are allowed, and never a wrong byte.
 *
 * PROXY_RUN_SEED=n runs one seed.
 */
#include "tests/unit/proxy_lab.h"

#define CLIENTS  16
#define REQUESTS 12 /* of each client */
#define PENDING  4  /* requests on their way, at most */
#define SEEDS    8

struct plan {
	bool trouble;
	uint32_t loss;  /* of 1000 frames */
	uint32_t mbufs; /* that the proxy has; 0: enough */
};

static const struct plan plans[] = {
	{ false, 0, 0 },
	{ false, 10, 0 },
	{ true, 0, 0 },
	{ true, 10, 0 },
	{ false, 0, 700 },
};

struct request {
	uint32_t id, size;
	char kind; /* g: get, h: head, p: post, c: post in chunks */
	char how;  /* l: length, c: chunks, e: until the end */
};

struct asker {
	struct peer *p;
	struct request pending[PENDING];
	uint32_t n, done, left;
	uint32_t deaf_ms;
};

static struct asker asker[CLIENTS];
static const struct plan *plan;
static uint64_t rnd;
static uint32_t next_id, n_errors, n_cut, n_good;
static unsigned int seed_now;
static bool is_up[BACKENDS];

static uint32_t
below(uint32_t n)
{
	rnd = rnd * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(rnd >> 33) % n;
}

static uint32_t
lose(void)
{
	return below(1000) < plan->loss;
}

static char
byte_of(uint32_t id, uint32_t at)
{
	return (char)('a' + (id * 31 + at * 7 + (at >> 8) * 3) % 26);
}

static char *
body_of(uint32_t id, uint32_t size)
{
	static char out[1 << 20];

	for (uint32_t i = 0; i < size; i++)
		out[i] = byte_of(id, i);
	return out;
}

static bool
is_body(const char *c, uint32_t id, uint32_t at, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		if (c[i] != byte_of(id, at + i))
			return false;
	return true;
}

#define must(cond) ck_assert_msg(cond, "seed %u: %s", seed_now, #cond)

/* --- messages --------------------------------------------------------------
 */

/* say_bytes() in pieces: small ones, some hundreds at most, or all. */
static void
say_pieces(struct peer *p, const char *data, size_t len)
{
	uint32_t small = 1 + below(200) + (uint32_t)len / 100;
	uint32_t most = below(3) == 0 ? small : 1 << 20;

	for (size_t at = 0; at < len;) {
		size_t n = RTE_MIN(len - at, (size_t)(1 + below(most)));

		say_bytes(p, data + at, n);
		at += n;
	}
}

static void
say_chunked(struct peer *p, const char *data, uint32_t len)
{
	char size[32];

	for (uint32_t at = 0; at < len;) {
		uint32_t n = RTE_MIN(len - at, 1 + below(9000));

		snprintf(size, sizeof(size), "%x\r\n", n);
		say(p, size);
		say_pieces(p, data + at, n);
		say(p, "\r\n");
		at += n;
	}
	say(p, "0\r\n\r\n");
}

/*
 * Bytes of the message's body at c[0..len), whole: its end in *used, data in
 * *out. false: not whole yet.
 */
static bool
dechunk(const char *c, uint32_t len, char *out, uint32_t *n, uint32_t *used)
{
	uint32_t at = 0;

	*n = 0;
	for (;;) {
		const char *eol = memmem(c + at, len - at, "\r\n", 2);
		uint32_t size;

		if (eol == NULL)
			return false;
		size = (uint32_t)strtoul(c + at, NULL, 16);
		at = (uint32_t)(eol - c) + 2;
		if (at + size + 2 > len)
			return false;
		memcpy(out + *n, c + at, size);
		*n += size;
		at += size + 2;
		if (size == 0)
			break;
	}
	*used = at;
	return true;
}

/* The number behind `name` in the head, or -1. */
static long
number(const char *head, const char *name)
{
	const char *at = strstr(head, name);

	return at == NULL ? -1 : strtol(at + strlen(name), NULL, 10);
}

/* Cut the first `n` bytes off what was heard. */
static void
forget(struct peer *p, uint32_t n)
{
	memmove(p->heard, p->heard + n, p->len - n + 1);
	p->len -= n;
}

static char scratch[HEARD];

/*
 * The head at the front of what `p` has heard, NUL-terminated in `head`, its
 * length in *len; false: not whole.
 */
static bool
read_head(const struct peer *p, char *head, size_t room, uint32_t *len)
{
	const char *end = strstr(p->heard, "\r\n\r\n");

	if (end == NULL)
		return false;
	*len = (uint32_t)(end - p->heard) + 4;
	must(*len < room);
	memcpy(head, p->heard, *len);
	head[*len] = '\0';
	return true;
}

/* --- backends --------------------------------------------------------------
 */

static void
breaks_off(struct peer *p)
{
	if (below(2))
		reset(p);
	else
		finish(p);
	p->app = p; /* no more of it */
}

static void
respond(struct peer *p, const struct request *r)
{
	const char *body = body_of(r->id, r->size);
	char head[256];
	int n = snprintf(
		head, sizeof(head), "HTTP/1.1 200 OK\r\nX-Id: %u\r\n", r->id);

	if (r->how == 'l')
		n += snprintf(head + n, sizeof(head) - (size_t)n,
			"Content-Length: %u\r\n\r\n", r->size);
	else if (r->how == 'c')
		n += snprintf(head + n, sizeof(head) - (size_t)n,
			"Transfer-Encoding: chunked\r\n\r\n");
	else
		n += snprintf(head + n, sizeof(head) - (size_t)n, "\r\n");
	say_pieces(p, head, (size_t)n);
	if (plan->trouble && below(40) == 0) {
		say_bytes(p, body, r->size / 2);
		breaks_off(p);
	} else if (r->kind == 'h') {
		/* A connection that was to be kept: a race with a POST. */
		if (r->how == 'e' && plan->trouble) {
			finish(p);
			p->app = p;
		}
	} else if (r->how == 'l') {
		say_pieces(p, body, r->size);
	} else if (r->how == 'c') {
		say_chunked(p, body, r->size);
	} else {
		say_pieces(p, body, r->size);
		finish(p);
		p->app = p;
	}
}

/* One request off what was heard; false: there is none. */
static bool
serve_one(struct peer *p)
{
	struct request r = { 0 };
	char head[2048];
	uint32_t len, used = 0, n = 0;

	if (p->app != NULL || p->gone ||
		!read_head(p, head, sizeof(head), &len))
		return false;
	must(sscanf(strchr(head, ' '), " /%c/%u/%u/%c ", &r.kind, &r.id,
		     &r.size, &r.how) == 4);
	if (r.kind == 'p') {
		used = n = (uint32_t)number(head, "Content-Length: ");
		if (p->len < len + used)
			return false;
		memcpy(scratch, p->heard + len, n);
	} else if (r.kind == 'c') {
		if (!dechunk(p->heard + len, p->len - len, scratch, &n, &used))
			return false;
	}
	must(r.kind == 'g' || r.kind == 'h' || n == r.size);
	must(is_body(scratch, r.id, 0, n));
	forget(p, len + used);
	if (plan->trouble && below(30) == 0)
		breaks_off(p);
	else
		respond(p, &r);
	return true;
}

static void
backend_hears(struct peer *p)
{
	/* A connection that is idle is closed by either. */
	if (p->fin && !p->gone && p->app == NULL) {
		finish(p);
		p->app = p;
	}
	while (serve_one(p))
		;
}

/* --- clients ---------------------------------------------------------------
 */

static void
ask(struct asker *a)
{
	static const uint32_t sizes[] = { 1, 100, 1000, 1448, 5000, 70000,
		150000 };
	struct request *r = &a->pending[a->n++];
	char head[256];
	int n;

	*r = (struct request){ .id = next_id++,
		.size = below(sizes[below(7)] + 1),
		.kind = "gggghpc"[below(7)],
		.how = "llllcce"[below(7)] };
	n = snprintf(head, sizeof(head),
		"%s /%c/%u/%u/%c HTTP/1.1\r\n"
		"Host: a\r\n",
		r->kind == 'g'   ? "GET"
		: r->kind == 'h' ? "HEAD"
				 : "POST",
		r->kind, r->id, r->size, r->how);
	if (r->kind == 'p')
		n += snprintf(head + n, sizeof(head) - (size_t)n,
			"Content-Length: %u\r\n", r->size);
	if (r->kind == 'c')
		n += snprintf(head + n, sizeof(head) - (size_t)n,
			"Transfer-Encoding: chunked\r\n");
	n += snprintf(head + n, sizeof(head) - (size_t)n, "\r\n");
	say_pieces(a->p, head, (size_t)n);
	if (r->kind == 'p')
		say_pieces(a->p, body_of(r->id, r->size), r->size);
	if (r->kind == 'c')
		say_chunked(a->p, body_of(r->id, r->size), r->size);
	a->left--;
}

static void
answered(struct asker *a)
{
	a->n--;
	a->done++;
	memmove(a->pending, a->pending + 1, a->n * sizeof(*a->pending));
}

/* An answer of the proxy's own. */
static void
is_error(struct asker *a, const char *head)
{
	long status = strtol(head + 9, NULL, 10);

	must(plan->trouble);
	must(status == 502 || status == 503 || status == 400);
	n_errors++;
	answered(a);
}

/* One response off what was heard; false: it is not whole. */
static bool
take_one(struct asker *a)
{
	struct peer *p = a->p;
	const struct request *r = &a->pending[0];
	char head[2048];
	uint32_t len, used = 0, n = 0;
	long length;

	if (!read_head(p, head, sizeof(head), &len))
		return false;
	must(a->n > 0);
	length = number(head, "Content-Length: ");
	if (strncmp(head, "HTTP/1.1 200 ", 13) != 0) {
		if (r->kind == 'h')
			length = 0;
		if (p->len < len + (uint32_t)length)
			return false;
		forget(p, len + (uint32_t)length);
		is_error(a, head);
		return true;
	}
	must(number(head, "X-Id: ") == (long)r->id);
	if (r->kind != 'h') {
		if (length >= 0) {
			used = n = (uint32_t)length;
			if (p->len < len + n)
				return false;
			memcpy(scratch, p->heard + len, n);
		} else if (strstr(head, "chunked") != NULL) {
			if (!dechunk(p->heard + len, p->len - len, scratch, &n,
				    &used))
				return false;
		} else {
			if (!p->fin)
				return false;
			used = n = p->len - len;
			memcpy(scratch, p->heard + len, n);
		}
		must(is_body(scratch, r->id, 0, n));
		/* Half of it, and then an end in order, cannot be told. */
		must(n == r->size || plan->trouble);
	}
	forget(p, len + used);
	n_good++;
	answered(a);
	return true;
}

/* What was not answered is asked again, as another request. */
static void
ends(struct asker *a)
{
	/* What has come of a response that was cut is right as far as it is. */
	a->left += a->n;
	if (a->n > 0 && a->p->len > 0)
		n_cut++;
	a->n = 0;
	if (!a->p->gone)
		reset(a->p);
	rte_pktmbuf_free(a->p->wait);
	a->p->wait = NULL;
	a->p->used = false;
	a->p->app = NULL;
	a->p = NULL;
}

static void
client_hears(struct peer *p)
{
	struct asker *a = p->app;

	if (a == NULL || a->p != p)
		return;
	while (take_one(a))
		;
}

static void
act(struct asker *a)
{
	if (a->p != NULL && (a->p->fin || a->p->gone))
		ends(a);
	if (a->p == NULL && a->left > 0) {
		a->p = client_to(VIP, 80);
		a->p->app = a;
		a->deaf_ms = 0;
	}
	if (a->p == NULL || !a->p->open)
		return;
	if (a->deaf_ms > 0 && --a->deaf_ms == 0)
		listen_again(a->p);
	else if (!a->p->deaf && below(300) == 0) {
		a->p->deaf = true;
		a->deaf_ms = 1 + below(3000);
	}
	if (plan->trouble && a->n > 0 && below(2000) == 0) {
		ends(a);
		return;
	}
	if (a->n < PENDING && a->left > 0 && below(10) == 0)
		ask(a);
}

static void
move_backends(void)
{
	/* Entries of connections that are over are used again. */
	for (uint32_t i = 0; i < PEERS; i++)
		if (backend(i) != NULL && backend(i)->gone) {
			rte_pktmbuf_free(backend(i)->wait);
			backend(i)->wait = NULL;
			backend(i)->used = false;
		}
	if (lab.now_us / 1000 % 512 != 0 || !plan->trouble)
		return;
	for (uint32_t i = 1; i < BACKENDS; i++)
		if (below(2)) {
			is_up[i] = !is_up[i];
			backend_up(i, is_up[i]);
		}
}

static bool
all_done(void)
{
	for (int i = 0; i < CLIENTS; i++)
		if (asker[i].left > 0 || asker[i].n > 0)
			return false;
	return true;
}

static void
run(unsigned int seed)
{
	uint32_t ms = 0;

	seed_now = seed;
	rnd = seed * 7919 + 1;
	next_id = 1;
	n_errors = n_cut = n_good = 0;
	lab_prepare(BACKENDS);
	lab.grant.groups[0].max_idle = seed % 3 * 2;
	lab.grant.groups[0].scheduler =
		seed % 2 ? GRANT_SCHED_RR : GRANT_SCHED_LEASTCONN;
	lab_start();
	memset(is_up, true, sizeof(is_up));
	lab.lose = lose;
	lab.backends.hear = backend_hears;
	lab.clients.hear = client_hears;
	for (int i = 0; i < CLIENTS; i++)
		asker[i] = (struct asker){ .left = REQUESTS };
	while (!all_done()) {
		for (int i = 0; i < CLIENTS; i++)
			act(&asker[i]);
		move_backends();
		lab_steps(1, 1);
		ck_assert_msg(ms++ < 120000, "seed %u: never done", seed);
	}
	must(n_good >= CLIENTS * REQUESTS - n_errors);
	/* Who holds the most goes first where there are too few mbufs. */
	must(plan->trouble || plan->mbufs > 0 || n_cut == 0);
	must(plan->trouble || n_errors == 0);
	lab.backends.hear = lab.clients.hear = NULL;
	lab_end();
}

START_TEST(seeds)
{
	const char *one = getenv("PROXY_RUN_SEED");
	struct rte_mempool *enough = proxy_pool;

	plan = &plans[_i];
	if (plan->mbufs > 0)
		proxy_pool = rte_pktmbuf_pool_create(
			"few", plan->mbufs, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	ck_assert_ptr_nonnull(proxy_pool);
	if (one != NULL)
		run((unsigned int)atoi(one));
	for (unsigned int seed = 0; one == NULL && seed < SEEDS; seed++)
		run(seed);
	if (proxy_pool != enough)
		rte_mempool_free(proxy_pool);
	proxy_pool = enough;
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("proxy_run");
	TCase *runs = tcase_create("runs");

	tcase_set_timeout(runs, 600);
	tcase_add_loop_test(runs, seeds, 0, (int)RTE_DIM(plans));
	suite_add_tcase(suite, runs);
	return lab_main(suite);
}
