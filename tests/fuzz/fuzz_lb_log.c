/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Arbitrary records into the recovery of the load balancer. Whatever they
 * say, what comes out is a table that agrees with itself, and packets can be
 * sent; in the end all that it took comes back.
 *
 * Input: any number of records, each behind two bytes: kind and length. Bit 7
 * of the kind: the record is a good one of that kind, and the bytes say only
 * what differs, in pairs of offset and value, so that the fuzzer need not
 * find out what a record looks like.
 */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_mbuf.h>

#include "dataplane/log/plog.h"
#include "nf/lb/lb.h"
#include "nf/lb/record.h"

extern const struct nf nf_lb;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SLOTS 64
#define BYTES ((SLOTS + 2) * PLOG_BLOCK)

static uint8_t disk[BYTES];
static struct plog_done ended[32];
static unsigned int n_ended;

static struct grant grant;
static struct nexthops nexthops;
static struct stats stats;
static struct rte_mempool *pool;

/* --- a store in memory, whose writes end at once --- */

static ssize_t
disk_read(void *ctx, uint64_t off, void *buf, size_t len)
{
	(void)ctx;
	if (off >= BYTES)
		return 0;
	len = RTE_MIN(len, BYTES - off);
	memcpy(buf, disk + off, len);
	return (ssize_t)len;
}

static int
disk_attach(void *ctx, void *base, size_t len)
{
	(void)ctx;
	(void)base;
	(void)len;
	return 0;
}

static int
disk_write(void *ctx, uint64_t off, const void *buf, uint32_t len, uint32_t tag)
{
	(void)ctx;
	if (off > BYTES || len > BYTES - off)
		abort();
	memcpy(disk + off, buf, len);
	ended[n_ended++] = (struct plog_done){ .tag = tag };
	return 0;
}

static unsigned int
disk_reap(void *ctx, struct plog_done *done, unsigned int max)
{
	unsigned int n = RTE_MIN(n_ended, max);

	(void)ctx;
	memcpy(done, ended, n * sizeof(*done));
	n_ended -= n;
	memmove(ended, ended + n, n_ended * sizeof(*done));
	return n;
}

static void
disk_format(void)
{
	struct plog_super s = { .version = PLOG_VERSION,
		.block = PLOG_BLOCK,
		.store = 1,
		.slots = SLOTS,
		.generation = 1,
		.tail = 1,
		.function = "lb" };

	plog_super_seal(&s);
	memset(disk, 0, sizeof(disk));
	memcpy(disk, &s, sizeof(s));
	memcpy(disk + plog_copy_offset(SLOTS), &s, sizeof(s));
	n_ended = 0;
}

static int
ignore(void *ctx, const struct plog_record *r)
{
	(void)ctx;
	(void)r;
	return 0;
}

static struct plog *
log_make(void)
{
	const struct plog_params p = {
		.io = { .read = disk_read,
			.attach = disk_attach,
			.write = disk_write,
			.reap = disk_reap,
			.size = BYTES },
		.size = BYTES,
		.function = "lb",
		.boot = 1,
		.depth = 2,
		.stats = &stats.log,
	};
	char why[256];
	int err;
	struct plog *log = plog_create(&p, &err, why, sizeof(why));

	if (log == NULL)
		abort();
	return log;
}

/* --- the grant: two services of either family --- */

static void
add(uint32_t i, const char *vip, const char *backend, uint8_t proto)
{
	struct grant_service *s = &grant.services[i];
	struct grant_backend *b = &grant.backends[i];
	uint32_t v4 = (uint32_t)strtoul(vip, NULL, 16);

	s->addr = ip_addr_from_v4(rte_cpu_to_be_32(v4));
	v4 = (uint32_t)strtoul(backend, NULL, 16);
	b->addr = ip_addr_from_v4(rte_cpu_to_be_32(v4));
	if (i & 1)
		s->addr.w[0] = b->addr.w[0] = RTE_BE32(0xfd000000);
	s->port = RTE_BE16(80);
	s->proto = proto;
	s->scheduler = GRANT_SCHED_LEASTCONN;
	s->first_backend = i;
	s->n_backends = 1;
	b->port = RTE_BE16(8080);
	b->weight = 1;
	b->nexthop = 2;
	grant.n_services = grant.n_backends = i + 1;
}

static void
make_grant(void)
{
	static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 1 };

	grant.buckets = 1;
	grant.own[0] = 1;
	grant.backend_uplink = 1;
	grant.max_connections = 64;
	grant.max_half_open = 8;
	grant.timeouts =
		(struct grant_timeouts){ 1000, 9000, 1000, 1000, 1000, 1000 };
	grant.store.boot = 1;
	grant.n_snat = 2;
	grant.snat[0] = ip_addr_from_v4(RTE_BE32(0x0a000009));
	grant.snat[1] = grant.snat[0];
	grant.snat[1].w[0] = RTE_BE32(0xfd000000);
	add(0, "0a000050", "0a000115", IPPROTO_TCP);
	add(1, "0a000050", "0a000115", IPPROTO_TCP);
	add(2, "0a000050", "0a000115", IPPROTO_UDP);
	add(3, "0a000050", "0a000115", IPPROTO_UDP);
	for (int i = 0; i < 3; i++)
		nexthops.entry[i] = nexthop_pack(mac, 1500);
}

static void
init(void)
{
	char *argv[] = { (char *)"fuzz", (char *)"--no-huge",
		(char *)"--no-pci", (char *)"--no-shconf",
		(char *)"--no-telemetry", (char *)"-m", (char *)"64",
		(char *)"--log-level=4" };

	if (rte_eal_init(RTE_DIM(argv), argv) < 0)
		abort();
	pool = rte_pktmbuf_pool_create(
		"fuzz", 127, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	if (pool == NULL)
		abort();
	make_grant();
}

static void
emit(void *ctx, struct rte_mbuf *m)
{
	(void)ctx;
	rte_pktmbuf_free(m);
}

/* --- records --- */

/* A good record of `kind`, about index and slot 0; its length. */
static size_t
good(uint16_t kind, uint8_t *at)
{
	struct flow f = { .state = FLOW_ESTABLISHED,
		.flags = FLOW_F_EST,
		.client_port = RTE_BE16(1000),
		.snat_port = RTE_BE16(2000) };
	struct record_server server = { .addr = grant.services[0].addr,
		.port = RTE_BE16(80),
		.of = IPPROTO_TCP };

	memset(at, 0, 64);
	switch (kind) {
	case RECORD_BACKEND:
		server.addr = grant.backends[0].addr;
		server.port = RTE_BE16(8080);
		server.of = 0;
		/* fall through */
	case RECORD_SERVICE:
		memcpy(at, &server, sizeof(server));
		return sizeof(server);
	case RECORD_SNAT:
		memcpy(at, &grant.snat[0], 16);
		return sizeof(struct record_snat);
	case RECORD_CONN6:
		f.flags |= FLOW_F_V6;
		f.client = grant.snat[1];
		break;
	case RECORD_CONN4:
		f.client = ip_addr_from_v4(RTE_BE32(0xc0000201));
		break;
	default:
		return 4;
	}
	record_conn_put(at, &f, 0, 0);
	return record_conn_len(&f);
}

static void
append(struct plog *log, uint8_t kind, const uint8_t *data, size_t len)
{
	uint8_t payload[64];
	size_t n = RTE_MIN(len, sizeof(payload));
	void *at;

	if (kind & 0x80) {
		n = good(kind & 0x7f, payload);
		for (size_t i = 0; i + 1 < len; i += 2)
			payload[data[i] % n] = data[i + 1];
	} else {
		memcpy(payload, data, n);
	}
	at = plog_reserve(log, kind & 0x7f, (uint16_t)n);
	if (at != NULL)
		memcpy(at, payload, n);
}

static void
write_log(const uint8_t *data, size_t size)
{
	struct plog_report report;
	struct plog *log;

	disk_format();
	log = log_make();
	plog_replay(log, ignore, NULL, &report);
	plog_start(log);
	while (size >= 2) {
		size_t len = data[1] < size - 2 ? data[1] : size - 2;

		append(log, data[0], data + 2, len);
		data += 2 + len;
		size -= 2 + len;
	}
	for (int i = 0; i < 8; i++)
		plog_poll(log, 1);
	plog_destroy(log, 0);
}

/* --- what came of it --- */

static void
check(const struct lb *lb)
{
	uint32_t live = 0, conns = 0, free = 0;

	for (uint32_t i = 0; i < lb->flows.n; i++)
		live += lb->flows.flow[i].state != FLOW_FREE;
	for (uint32_t i = 0; i < LB_BACKENDS; i++)
		conns += lb->backend[i].conns;
	for (uint32_t i = lb->flows.free; i != WHEEL_NONE;
		i = lb->flows.flow[i].link.next)
		free++;
	if (live != lb->flows.live || live != conns ||
		live + free != lb->flows.n || live != stats.connections ||
		live != stats.log.recovered)
		abort();
	for (uint32_t i = 0; i < lb->flows.n; i++) {
		const struct flow *f = &lb->flows.flow[i];
		enum flow_dir dir;

		if (f->state == FLOW_FREE)
			continue;
		if (flow_lookup(&lb->flows, lb_flow_key(lb, f, FLOW_CLIENT),
			    &dir) != f ||
			flow_lookup(&lb->flows,
				lb_flow_key(lb, f, FLOW_BACKEND), &dir) != f)
			abort();
	}
}

/* A SYN or datagram to the service, from port `port`. */
static void
try(void *lb, uint16_t port, uint8_t proto)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	uint8_t *d = (uint8_t *)rte_pktmbuf_append(m, 54);
	uint8_t *ip = d + 14;
	nf_verdict v;

	memset(d, 0, 54);
	packet_put16(d + 12, RTE_BE16(0x0800));
	ip[0] = 0x45;
	packet_put16(ip + 2, RTE_BE16(40));
	ip[8] = 64;
	ip[9] = proto;
	packet_put32(ip + 12, RTE_BE32(0xc0000201));
	packet_put32(ip + 16, RTE_BE32(0x0a000050));
	packet_put16(ip + 20, rte_cpu_to_be_16(port));
	packet_put16(ip + 22, RTE_BE16(80));
	ip[32] = 5 << 4;
	ip[33] = PACKET_SYN;
	if (proto == IPPROTO_UDP)
		packet_put16(ip + 24, RTE_BE16(20));
	nf_lb.burst(lb, &m, 1, &v, 1000000);
	if (v != NF_HELD)
		rte_pktmbuf_free(m);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nf_env env = { .grant = &grant,
		.nexthops = &nexthops,
		.stats = &stats,
		.tsc_hz = 1000000,
		.emit = emit };
	uint64_t later = 1ull << 30;
	char why[256];
	void *lb;

	if (pool == NULL)
		init();
	memset(&stats, 0, sizeof(stats));
	write_log(data, size);
	env.pool = pool;
	env.log = log_make();
	lb = nf_lb.create(&env, why, sizeof(why));
	if (lb == NULL)
		abort();
	plog_start(env.log);
	check(lb);
	for (uint16_t i = 0; i < 40; i++)
		try(lb, (uint16_t)(980 + i), i & 1 ? IPPROTO_UDP : IPPROTO_TCP);
	for (int i = 0; i < 40; i++) {
		nf_lb.tick(lb, later += 10000000);
		if (plog_poll(env.log, later / 1000))
			nf_lb.durable(lb, later);
	}
	if (stats.connections != 0 || stats.half_open != 0)
		abort();
	nf_lb.destroy(lb);
	plog_destroy(env.log, 0);
	if (rte_mempool_in_use_count(pool) != 0)
		abort();
	return 0;
}
