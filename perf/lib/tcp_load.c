/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/lib/tcp_load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_byteorder.h>
#include <rte_cycles.h>

#include "dataplane/packet.h"

#define ADDRESSES   64u /* of clients, 11.0.0.1 and on */
#define OPEN_WINDOW 128u
#define DRAIN_NS    10000000000ull
#define SAMPLES     (1u << 20)
#define MBUFS       32767u
#define BLOB_MBUFS  4095u
#define BURST       64u /* requests begun in one round */

enum conn_state {
	CONN_FREE,    /* no connection, in the queue */
	CONN_OPENING, /* to be asked on when it is open */
	CONN_IDLE,    /* open, in the queue */
	CONN_ASKED,
	CONN_ENDING, /* answered, and to be closed */
};

struct tcp_load_conn {
	struct tcp_load *load;
	struct tcp_conn *conn;
	uint64_t asked_tsc; /* when it was due */
	uint32_t left;      /* bytes of the answer */
	uint32_t to_send;   /* of a request that has not gone whole */
	uint8_t state;      /* enum conn_state */
	bool head;          /* of the answer: has been seen */
};

/* --- the queue of free ones ---------------------------------------------- */

static void
queue_put(struct tcp_load *l, struct tcp_load_conn *k)
{
	uint32_t at = l->queue_at + l->n_queued++;

	l->queue[at < l->n ? at : at - l->n] = (uint32_t)(k - l->conn);
}

static struct tcp_load_conn *
queue_get(struct tcp_load *l)
{
	struct tcp_load_conn *k = &l->conn[l->queue[l->queue_at]];

	l->queue_at = l->queue_at + 1 < l->n ? l->queue_at + 1 : 0;
	l->n_queued--;
	return k;
}

/* --- a request ----------------------------------------------------------- */

static void
answered(struct tcp_load_conn *k)
{
	struct tcp_load *l = k->load;

	l->done++;
	if (l->sampled)
		samples_add(&l->delay, rte_rdtsc() - k->asked_tsc);
	if (l->each) {
		/* Who answers HTTP closes; an echo server does not. */
		k->state = CONN_ENDING;
		if (l->kind == TCP_LOAD_ECHO)
			tcp_shutdown(k->conn);
		return;
	}
	k->state = CONN_IDLE;
	l->busy--;
	queue_put(l, k);
}

static void
send_blob(struct tcp_load_conn *k)
{
	const struct tcp_blob *b = &k->load->blob;

	while (k->to_send > 0) {
		struct rte_mbuf *m = tcp_blob_take(
			b, b->len - k->to_send, tcp_room(k->conn));
		uint32_t n;

		if (m == NULL)
			return;
		n = m->pkt_len;
		if (tcp_send(k->conn, m) != 0) {
			rte_pktmbuf_free(m);
			return;
		}
		k->to_send -= n;
	}
}

/* It has an open connection. */
static void
ask(struct tcp_load_conn *k)
{
	struct tcp_load *l = k->load;
	int rc = 0;

	k->state = CONN_ASKED;
	k->head = false;
	k->left = l->bytes;
	if (l->kind == TCP_LOAD_HTTP) {
		rc = tcp_send_copy(k->conn, l->request, strlen(l->request));
	} else if (l->kind == TCP_LOAD_ECHO) {
		k->to_send = l->bytes;
		send_blob(k);
	} else {
		k->state = CONN_ENDING;
		tcp_shutdown(k->conn);
	}
	if (rc != 0)
		l->wrong++;
}

/* --- an answer ----------------------------------------------------------- */

/* Bytes of an HTTP answer by its head, which is in data[0..n); 0: not so. */
static uint32_t
answer_len(const char *data, uint32_t n)
{
	static const char status[] = "HTTP/1.1 200 ";
	static const char field[] = "content-length:";
	const char *end = memmem(data, n, "\r\n\r\n", 4), *at = data;

	if (end == NULL || memcmp(data, status, sizeof(status) - 1) != 0)
		return 0;
	while ((at = memmem(at, (size_t)(end - at), "\r\n", 2)) != NULL) {
		at += 2;
		if (strncasecmp(at, field, sizeof(field) - 1) != 0)
			continue;
		return (uint32_t)(end + 4 - data) +
		       (uint32_t)strtoul(at + sizeof(field) - 1, NULL, 10);
	}
	return 0;
}

/* The first bytes of an answer have come. */
static bool
head_read(struct tcp_load_conn *k, struct rte_mbuf *m)
{
	if (k->head || k->load->kind != TCP_LOAD_HTTP)
		return true;
	k->head = true;
	k->left = answer_len(rte_pktmbuf_mtod(m, const char *), m->data_len);
	return k->left > 0;
}

static void
received(struct tcp_conn *c, void *user, struct rte_mbuf *data)
{
	struct tcp_load_conn *k = user;
	uint32_t n = data->pkt_len;
	bool right =
		k->state == CONN_ASKED && head_read(k, data) && n <= k->left;

	rte_pktmbuf_free(data);
	tcp_consumed(c, n);
	k->load->bytes_in += n;
	if (!right) {
		k->load->wrong++;
		return;
	}
	k->left -= n;
	if (k->left == 0 && k->to_send == 0)
		answered(k);
}

/* --- a connection -------------------------------------------------------- */

static void
connected(struct tcp_conn *c, void *user)
{
	struct tcp_load_conn *k = user;
	struct tcp_load *l = k->load;

	l->established++;
	l->opened++;
	tcp_set_quickack(c, l->quickack);
	if (l->each) {
		ask(k);
		return;
	}
	k->state = CONN_IDLE;
	l->busy--;
	queue_put(l, k);
}

static void
finished(struct tcp_conn *c, void *user)
{
	struct tcp_load_conn *k = user;

	(void)k;
	tcp_shutdown(c);
}

static void
room(struct tcp_conn *c, void *user)
{
	(void)c;
	send_blob(user);
}

/*
 * A kept one that the other end has closed while it was idle is in the queue,
 * and opened again at its turn.
 */
static void
closed(struct tcp_conn *c, void *user, int error)
{
	struct tcp_load_conn *k = user;
	struct tcp_load *l = k->load;
	bool was_idle = k->state == CONN_IDLE;

	(void)c;
	if (k->state != CONN_OPENING)
		l->established--;
	if (k->state == CONN_ENDING && error == 0)
		l->done += l->kind == TCP_LOAD_OPEN;
	else if (!was_idle)
		l->failed++;
	k->conn = NULL;
	k->state = CONN_FREE;
	k->to_send = 0;
	if (was_idle)
		return;
	l->busy--;
	queue_put(l, k);
}

static const struct tcp_ops ops = {
	.connected = connected,
	.received = received,
	.finished = finished,
	.room = room,
	.closed = closed,
};

static void
open_one(struct tcp_load *l, struct tcp_load_conn *k)
{
	struct tcp_connect to = { .remote = l->to, .rport = l->port };
	uint32_t host = 0x0b000001u + l->next_address++ % ADDRESSES;

	to.local = ip_addr_from_v4(rte_cpu_to_be_32(host));
	k->state = CONN_OPENING;
	l->busy++;
	if (tcp_connect(l->link.stack[TCP_PORT_CLIENTS], &to, &ops, k,
		    &k->conn) == 0)
		return;
	l->failed++;
	l->busy--;
	k->state = CONN_FREE;
	queue_put(l, k);
}

/* --- load ---------------------------------------------------------------- */

static void
begin(struct tcp_load *l, uint64_t due_tsc)
{
	struct tcp_load_conn *k = queue_get(l);

	k->asked_tsc = due_tsc;
	if (k->state != CONN_IDLE) {
		open_one(l, k);
		return;
	}
	l->busy++;
	ask(k);
}

/* Requests that are due, of `rate`. */
static void
begin_due(struct tcp_load *l, uint64_t now_tsc)
{
	for (uint32_t i = 0;
		i < BURST && l->n_queued > 0 && l->due_tsc <= (double)now_tsc;
		i++) {
		begin(l, (uint64_t)l->due_tsc);
		l->due_tsc += l->tsc_per_request;
	}
}

static void
work(void *ctx, uint64_t now_tsc)
{
	struct tcp_load *l = ctx;

	if (l->rate > 0) {
		begin_due(l, now_tsc);
		return;
	}
	for (uint32_t i = 0;
		i < BURST && l->busy < l->window && l->n_queued > 0; i++)
		begin(l, now_tsc);
}

/* --- control ------------------------------------------------------------- */

static uint32_t
power_of_two(uint32_t n)
{
	uint32_t p = 4096;

	while (p < n)
		p *= 2;
	return p;
}

uint32_t
tcp_load_memory_mb(uint32_t n)
{
	size_t bytes = tcp_port_memory(power_of_two(n), MBUFS);

	bytes += 4 * (size_t)BLOB_MBUFS * (RTE_MBUF_DEFAULT_BUF_SIZE + 256);
	bytes += bytes / 8;
	return (uint32_t)(bytes >> 20) + 2;
}

int
tcp_load_init(struct tcp_load *l, struct softlab *lab)
{
	l->link.work = work;
	l->link.ctx = l;
	l->conn = calloc(l->n, sizeof(*l->conn));
	l->queue = calloc(l->n, sizeof(*l->queue));
	if (l->conn == NULL || l->queue == NULL ||
		samples_init(&l->delay, SAMPLES) != 0) {
		fprintf(stderr, "no memory for %u connections\n", l->n);
		return -1;
	}
	for (uint32_t i = 0; i < l->n; i++) {
		l->conn[i].load = l;
		queue_put(l, &l->conn[i]);
	}
	if (tcp_port_init(&l->link, lab, power_of_two(l->n), MBUFS) != 0)
		return -1;
	return l->bytes == 0 ? 0
			     : tcp_blob_init(&l->blob, &l->link, "request",
				       BLOB_MBUFS, "", 0, l->bytes);
}

/* Rounds until `*value` is `aim` or `ns` have passed. */
static int
await(struct tcp_load *l, const uint32_t *value, uint32_t aim, uint64_t ns,
	const char *what)
{
	uint64_t end = now_ns() + ns;
	char drops[400];

	while (*value != aim) {
		softlab_run(l->link.lab, 100000);
		if (now_ns() < end)
			continue;
		fprintf(stderr,
			"%u of %u %s; %llu failed, %llu wrong, %llu frames to "
			"nobody; %s\n",
			*value, aim, what, (unsigned long long)l->failed,
			(unsigned long long)l->wrong,
			(unsigned long long)l->link.refused,
			softlab_drops_say(l->link.lab, drops, sizeof(drops)));
		return -1;
	}
	return 0;
}

/* So that their turn is not the order in which tables were filled. */
static void
shuffle(struct tcp_load *l)
{
	uint64_t x = 1;

	for (uint32_t i = l->n_queued; i > 1; i--) {
		uint32_t *a = &l->queue[(l->queue_at + i - 1) % l->n], *b;
		uint32_t kept = *a;

		/* Knuth's MMIX: the high bits are the good ones. */
		x = x * 6364136223846793005u + 1442695040888963407u;
		b = &l->queue[(l->queue_at + (uint32_t)((x >> 32) % i)) % l->n];
		*a = *b;
		*b = kept;
	}
}

int
tcp_load_open(struct tcp_load *l, uint64_t ns)
{
	int rc;

	uint64_t end = now_ns() + ns;

	/* Free ones are ahead of those that were opened. */
	while (l->established + l->busy < l->n && now_ns() < end) {
		for (uint32_t i = 0; l->busy < OPEN_WINDOW && i < BURST &&
				     l->established + l->busy < l->n;
			i++)
			open_one(l, queue_get(l));
		softnic_round(l->link.lab->nic);
	}
	rc = await(l, &l->established, l->n, ns, "connections are open");
	shuffle(l);
	return rc;
}

void
tcp_load_close(struct tcp_load *l)
{
	l->n_queued = l->busy = l->established = 0;
	for (uint32_t i = 0; i < l->n; i++) {
		struct tcp_load_conn *k = &l->conn[i];

		if (k->conn != NULL)
			tcp_abort(k->conn);
		k->conn = NULL;
		k->state = CONN_FREE;
		k->to_send = 0;
		queue_put(l, k);
	}
	/* The resets go to whom the connections were with. */
	while (l->link.out.n > 0)
		softnic_round(l->link.lab->nic);
}

void
tcp_load_start(struct tcp_load *l)
{
	l->delay.n = 0;
	if (l->rate <= 0)
		return;
	l->tsc_per_request = (double)rte_get_tsc_hz() / l->rate;
	l->due_tsc = (double)rte_rdtsc();
}

int
tcp_load_drain(struct tcp_load *l)
{
	l->window = 0;
	l->rate = 0;
	return await(l, &l->busy, 0, DRAIN_NS, "requests are open");
}

const char *
tcp_load_more(const struct tcp_load *l, char *buf, size_t len)
{
	snprintf(buf, len,
		"\"failed\": %llu, \"wrong\": %llu, \"opened\": %llu, "
		"\"retransmits\": %llu, \"lost\": %llu, ",
		(unsigned long long)l->failed, (unsigned long long)l->wrong,
		(unsigned long long)l->opened,
		(unsigned long long)tcp_port_retransmits(&l->link),
		(unsigned long long)softlab_drops(l->link.lab, 0));
	return buf;
}
