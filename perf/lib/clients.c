/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/lib/clients.h"

#include <string.h>

#include <rte_cycles.h>

#include "dataplane/packet.h"

/*
 * What writing and reading one packet may take at most; what is beyond was
 * somebody else's turn on the core, and that counts.
 */
#define PREPARE_NS 100u

/* --- rings --- */

static void
ready_put(struct clients *c, uint32_t i)
{
	c->ready[(c->ready_at + c->n_ready++) % CLIENTS] = i;
}

static uint32_t
ready_get(struct clients *c)
{
	uint32_t i = c->ready[c->ready_at];

	c->ready_at = (c->ready_at + 1) % CLIENTS;
	c->n_ready--;
	return i;
}

static void
idle_put(struct clients *c, struct rte_mbuf *m)
{
	c->idle[(c->idle_at + c->n_idle++) % BENCH_RING] = m;
}

static struct rte_mbuf *
idle_get(struct clients *c)
{
	struct rte_mbuf *m = c->idle[c->idle_at];

	c->idle_at = (c->idle_at + 1) % BENCH_RING;
	c->n_idle--;
	return m;
}

/* --- both sides --- */

static void
begin(struct clients *c, uint32_t i)
{
	c->conn[i] = bench_conn_make(c->next++);
	c->step[i] = 0;
}

void
clients_write(const struct bench_conn *c, uint8_t step, uint8_t *d)
{
	switch (step) {
	case 0:
		bench_from_client(d, c, PACKET_SYN, 1000, 0);
		break;
	case 1:
		bench_from_backend(d, c, PACKET_SYN | PACKET_ACK, 5000, 1001);
		break;
	case 2:
		bench_from_client(d, c, PACKET_ACK, 1001, 5001);
		break;
	case 3:
		bench_from_client(d, c, PACKET_FIN | PACKET_ACK, 1001, 5001);
		break;
	case 4:
		bench_from_backend(d, c, PACKET_FIN | PACKET_ACK, 5001, 1012);
		break;
	default:
		bench_from_client(d, c, PACKET_ACK, 1012, 5012);
	}
}

/* A packet has gone through: its connection's next one can. */
static void
packet_read(struct clients *c, struct rte_mbuf *m)
{
	uint32_t i = m->hash.usr;

	if (c->step[i] == 0)
		bench_conn_learn(&c->conn[i], rte_pktmbuf_mtod(m, uint8_t *));
	if (++c->step[i] == c->steps) {
		c->lives++;
		begin(c, i);
	}
	ready_put(c, i);
	idle_put(c, m);
}

static uint32_t
prepare(struct clients *c, struct rte_mbuf **m)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < c->n_out; i++)
		packet_read(c, c->out[i]);
	c->n_out = 0;
	while (n < BENCH_GROUP && c->n_ready > 0) {
		uint32_t i = ready_get(c);

		m[n] = idle_get(c);
		m[n]->hash.usr = i;
		clients_write(&c->conn[i], c->step[i],
			rte_pktmbuf_mtod(m[n], uint8_t *));
		n++;
	}
	return n;
}

/* --- the loop of an instance --- */

static void
emit(void *ctx, struct rte_mbuf *m)
{
	struct clients *c = ctx;

	c->out[c->n_out++] = m;
}

static void
dispatch(struct clients *c, struct rte_mbuf **m, uint32_t n,
	const nf_verdict *verdict)
{
	for (uint32_t i = 0; i < n; i++) {
		if (verdict[i] == NF_TX) {
			c->out[c->n_out++] = m[i];
		} else if (verdict[i] != NF_HELD) {
			/* Sent again, as a client would. */
			c->lb.stats.drop[verdict[i] - NF_DROP(0)]++;
			c->dropped++;
			ready_put(c, m[i]->hash.usr);
			idle_put(c, m[i]);
		}
	}
}

static void
loop_once(struct clients *c, struct rte_mbuf **m, uint32_t n)
{
	uint64_t now = rte_rdtsc();
	nf_verdict v[BENCH_BURST];

	if (n > 0)
		nf_lb.burst(c->lb.lb, m, (uint16_t)n, v, now);
	dispatch(c, m, n, v);
	if (now >= c->tick_tsc) {
		nf_lb.tick(c->lb.lb, now);
		c->tick_tsc = now + c->tsc_per_ms;
	}
	if (c->log.in.log != NULL && bench_log_poll(&c->log, now))
		nf_lb.durable(c->lb.lb, now);
}

/* How many records a connection makes can be seen between checkpoints. */
static void
count(struct clients *c, uint64_t lsn, uint64_t opened, bool saving)
{
	const struct plog *log = c->log.in.log;

	if (log == NULL || saving || plog_checkpoint_running(log))
		return;
	c->logged += log->lsn - lsn;
	c->opened += c->lb.stats.opened - opened;
}

static void
loop(struct clients *c, struct rte_mbuf **m, uint32_t n)
{
	const struct plog *log = c->log.in.log;
	uint64_t opened = c->lb.stats.opened, lsn = log ? log->lsn : 0;
	bool saving = log != NULL && plog_checkpoint_running(log);
	uint32_t i = 0;

	do {
		uint32_t k = n - i < BENCH_BURST ? n - i : BENCH_BURST;

		loop_once(c, m + i, k);
		i += k;
	} while (i < n);
	count(c, lsn, opened, saving);
}

void
clients_round(struct clients *c)
{
	struct rte_mbuf *m[BENCH_GROUP];
	uint64_t from = rte_rdtsc(), prepared, most;
	uint32_t n_out = c->n_out, n = prepare(c, m);

	prepared = rte_rdtsc() - from;
	loop(c, m, n);
	most = (n + n_out) * c->tsc_per_ms * PREPARE_NS / 1000000;
	c->cycles += rte_rdtsc() - from - (prepared < most ? prepared : most);
	c->rounds++;
}

/* --- life --- */

static int
log_start(struct clients *c, uint32_t durability, uint64_t size)
{
	if (durability == GRANT_DURABILITY_NONE)
		return 0;
	if (bench_log_make(&c->log, &c->lb.grant, &c->lb.stats.log, "lb", size,
		    durability) != 0)
		return -1;
	return bench_log_open(&c->log);
}

int
clients_start(struct clients *c, struct bench_ring *r, uint32_t max,
	uint8_t steps, uint32_t durability, uint64_t size)
{
	memset(c, 0, sizeof(*c));
	c->steps = steps;
	c->tsc_per_ms = rte_get_tsc_hz() / 1000;
	bench_lb_grant(&c->lb, max);
	if (log_start(c, durability, size) != 0 ||
		bench_lb_start(&c->lb, r, c->log.in.log, emit, c) == 0)
		return -1;
	instance_log_start(&c->log.in);
	for (uint32_t i = 0; i < CLIENTS; i++) {
		begin(c, i);
		ready_put(c, i);
	}
	for (uint32_t i = 0; i < BENCH_RING; i++)
		idle_put(c, r->mbuf[i]);
	return 0;
}

void
clients_settle(struct clients *c)
{
	if (c->log.in.log == NULL)
		return;
	bench_log_settle(&c->log);
	nf_lb.durable(c->lb.lb, rte_rdtsc());
}

void
clients_stop(struct clients *c)
{
	if (c->lb.lb != NULL)
		nf_lb.destroy(c->lb.lb);
	c->lb.lb = NULL;
	bench_log_remove(&c->log);
}
