/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/lib/bare.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <rte_cycles.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>

#include "dataplane/clock.h"
#include "dataplane/instance.h"
#include "dataplane/packet.h"

#define BUFFER 2048

extern const struct nf nf_echo;

/* Cycles that each packet is worked on. */
static uint64_t
delay_of(const struct grant *g)
{
	return strtoull(g->services[0].name + 2, NULL, 10) *
	       (rte_get_tsc_hz() / 1000000);
}

static inline void
work(uint64_t cycles)
{
	uint64_t from = rte_rdtsc();

	while (rte_rdtsc() - from < cycles)
		;
}

/* --- limit --- */

static inline void
swap(uint8_t *a, uint8_t *b, size_t len)
{
	uint8_t t[8];

	memcpy(t, a, len);
	memcpy(a, b, len);
	memcpy(b, t, len);
}

static inline void
frame_swap(struct rte_mbuf *m)
{
	uint8_t *d = rte_pktmbuf_mtod(m, uint8_t *);

	swap(d, d + 6, 6);
	swap(d + 26, d + 30, 4);
	swap(d + 34, d + 36, 2);
}

static inline void
send_all(const struct vnic *v, struct stats *s, struct rte_mbuf **pkts,
	uint16_t n)
{
	uint16_t sent = 0, k;

	do {
		k = vnic_tx(v, pkts + sent, n - sent);
		sent += k;
	} while (k > 0 && sent < n);
	s->tx_packets += sent;
	s->drop[NF_DROP_TX_FULL] += n - sent;
	rte_pktmbuf_free_bulk(pkts + sent, n - sent);
}

/* An instance's burst, its counters, and nothing else. */
static void
loop(const struct vnic *v, struct stats *s, uint64_t delay)
{
	struct rte_mbuf *pkts[NF_BURST_MAX];
	uint64_t last = rte_rdtsc(), now;

	for (;;) {
		uint16_t n = vnic_rx(v, pkts, NF_BURST_MAX);

		for (uint16_t i = 0; i < n; i++) {
			if (delay > 0)
				work(delay);
			frame_swap(pkts[i]);
		}
		if (n > 0)
			send_all(v, s, pkts, n);
		s->rx_packets += n;
		now = rte_rdtsc();
		if (n > 0)
			s->busy_tsc += now - last;
		else
			s->idle_tsc += now - last;
		s->loops++;
		last = now;
	}
}

int
bare_run(void)
{
	const struct grant *g = mmap(
		NULL, sizeof(*g), PROT_READ, MAP_SHARED, INSTANCE_FD_GRANT, 0);
	struct stats *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE,
		MAP_SHARED, INSTANCE_FD_STATS, 0);
	char why[256] = "";
	struct vnic v;

	if (g == MAP_FAILED || s == MAP_FAILED)
		return 126;
	if (vnic_open(&v, g, 0, why, sizeof(why)) != 0) {
		fprintf(stderr, "limit: %s\n", why);
		return 1;
	}
	s->n_drops = NF_DROP_OWN;
	snprintf(s->drop_name[NF_DROP_TX_FULL], GRANT_NAME_MAX, "tx_full");
	s->tsc_hz = rte_get_tsc_hz();
	s->started_ns = clock_ns(CLOCK_MONOTONIC);
	s->state = STATS_SERVING;
	loop(&v, s, delay_of(g));
	return 0;
}

const struct nf nf_limit = {
	.name = "limit",
	.summary = "a bare loop",
	.flags = NF_PROTO_UDP,
};

/* --- delay and copy --- */

struct wrapped {
	const struct nf_env *env;
	void *echo;
	uint64_t delay;
	struct rte_mbuf app[NF_BURST_MAX]; /* heads of the buffers */
	uint8_t buffer[NF_BURST_MAX][BUFFER];
};

static void *
wrapped_create(const struct nf_env *env, char *why, size_t len)
{
	struct wrapped *w = rte_zmalloc("wrapped", sizeof(*w), 64);

	if (w == NULL) {
		snprintf(why, len, "no memory");
		return NULL;
	}
	w->env = env;
	w->delay = delay_of(env->grant);
	w->echo = nf_echo.create(env, why, len);
	return w->echo == NULL ? NULL : w;
}

static void
wrapped_destroy(void *state)
{
	struct wrapped *w = state;

	nf_echo.destroy(w->echo);
	rte_free(w);
}

static void
echo_slowly(struct wrapped *w, struct rte_mbuf **pkts, uint16_t n,
	nf_verdict *verdict, uint64_t now_tsc)
{
	if (w->delay > 0)
		for (uint16_t i = 0; i < n; i++)
			work(w->delay);
	nf_echo.burst(w->echo, pkts, n, verdict, now_tsc);
}

static void
delay_burst(void *state, struct rte_mbuf **pkts, uint16_t n,
	nf_verdict *verdict, uint64_t now_tsc)
{
	echo_slowly(state, pkts, n, verdict, now_tsc);
}

/* As read() does: out of the packet, which is then the interface's again. */
static struct rte_mbuf *
read_one(struct wrapped *w, uint16_t i, struct rte_mbuf *m)
{
	struct rte_mbuf *app = &w->app[i];

	app->buf_addr = w->buffer[i];
	app->data_off = 0;
	app->data_len = (uint16_t)RTE_MIN(m->data_len, BUFFER);
	app->pkt_len = app->data_len;
	memcpy(w->buffer[i], rte_pktmbuf_mtod(m, void *), app->data_len);
	rte_pktmbuf_free(m);
	return app;
}

/* As write() does. Without memory there is nothing to send. */
static struct rte_mbuf *
write_one(struct wrapped *w, const struct rte_mbuf *app, nf_verdict *verdict)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(w->env->pool);

	if (m == NULL) {
		*verdict = NF_HELD;
		return NULL;
	}
	m->data_len = app->data_len;
	m->pkt_len = app->pkt_len;
	memcpy(rte_pktmbuf_mtod(m, void *), rte_pktmbuf_mtod(app, void *),
		app->data_len);
	return m;
}

static void
copy_burst(void *state, struct rte_mbuf **pkts, uint16_t n, nf_verdict *verdict,
	uint64_t now_tsc)
{
	struct rte_mbuf *app[NF_BURST_MAX];
	struct wrapped *w = state;

	for (uint16_t i = 0; i < n; i++)
		app[i] = read_one(w, i, pkts[i]);
	echo_slowly(w, app, n, verdict, now_tsc);
	for (uint16_t i = 0; i < n; i++)
		pkts[i] = write_one(w, app[i], &verdict[i]);
}

const struct nf nf_delay = {
	.name = "delay",
	.summary = "echo that takes its time",
	.flags = NF_PROTO_UDP,
	.create = wrapped_create,
	.burst = delay_burst,
	.destroy = wrapped_destroy,
};

const struct nf nf_copy = {
	.name = "copy",
	.summary = "echo behind an interface that copies",
	.flags = NF_PROTO_UDP,
	.create = wrapped_create,
	.burst = copy_burst,
	.destroy = wrapped_destroy,
};
