/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * echo: sends UDP datagrams and ICMP echo requests back to where they came
 * from, in place. It is also the smallest complete function: read it first.
 * What TCP services get is stream.c's.
 *
 * Nothing is copied. Swapping addresses and ports leaves every checksum as
 * it was, for one's complement addition does not care for order; only what
 * else changes (ICMP type, TTL) is made up for.
 */
#include <errno.h>
#include <netinet/in.h>
#include <rte_branch_prediction.h>
#include <rte_byteorder.h>
#include <rte_ether.h>
#include <rte_icmp.h>
#include <rte_ip.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_udp.h>
#include <stdbool.h>
#include <stdio.h>

#include "dataplane/checksum.h"
#include "dataplane/nf.h"
#include "dataplane/packet.h"
#include "dataplane/tcp/tcp.h"
#include "nf/echo/stream.h"

#define ICMP6_ECHO_REQUEST 128
#define ICMP6_ECHO_REPLY   129
#define REPLY_TTL          64 /* RFC 1700 */
#define ECHO_PORT          7  /* RFC 862 */

enum echo_drop { ECHO_LOOP = TCP_DROP_OWN };

static const char *const echo_drops[] = { TCP_DROPS, "echo_loop", NULL };

struct echo {
	const struct nf_env *env;
	uint32_t last; /* the service that was found last: likely the next */
	struct streams *streams; /* NULL: no TCP service */
};

/* What one service has answered in a burst. */
struct tally {
	uint32_t service;
	uint64_t packets, bytes;
};

static inline int
service_is(const struct grant_service *s, const struct packet *p, uint8_t proto)
{
	const uint8_t *ip = p->data + PACKET_L3;

	if (s->proto != proto || s->port != p->dport)
		return 0;
	if (p->version == 4)
		return ip_addr_is_v4(&s->addr) &&
		       s->addr.w[3] == packet_get32(ip + 16);
	return memcmp(&s->addr, ip + 24, sizeof(s->addr)) == 0;
}

/* The service a packet is for: its index, or -1. */
static inline int
service_find(struct echo *e, const struct packet *p, uint8_t proto)
{
	const struct grant *g = e->env->grant;

	/* A new grant may have fewer. */
	if (e->last < g->n_services &&
		service_is(&g->services[e->last], p, proto))
		return (int)e->last;
	for (uint32_t i = 0; i < g->n_services; i++)
		if (service_is(&g->services[i], p, proto)) {
			e->last = i;
			return (int)i;
		}
	return -1;
}

static inline void
swap_bytes(uint8_t *a, uint8_t *b, size_t len)
{
	uint8_t t[16];

	memcpy(t, a, len);
	memcpy(a, b, len);
	memcpy(b, t, len);
}

/* Back to the sender: MAC and IP addresses, and a fresh TTL. */
static inline void
reply_address(struct packet *p)
{
	uint8_t *eth = p->data, *ip = p->data + PACKET_L3;

	swap_bytes(eth, eth + RTE_ETHER_ADDR_LEN, RTE_ETHER_ADDR_LEN);
	if (p->version == 4) {
		struct rte_ipv4_hdr *h = (struct rte_ipv4_hdr *)ip;
		/* TTL and protocol as the one word that the checksum has. */
		uint16_t was = packet_get16(ip + 8);
		uint16_t now = rte_cpu_to_be_16(
			(uint16_t)(REPLY_TTL << 8 | h->next_proto_id));

		swap_bytes(ip + 12, ip + 16, 4);
		packet_put16(ip + 8, now);
		h->hdr_checksum = csum_update(h->hdr_checksum,
			csum_fold((uint64_t)now + (uint16_t)~was));
	} else {
		swap_bytes(ip + 8, ip + 24, 16);
		((struct rte_ipv6_hdr *)ip)->hop_limits = REPLY_TTL;
	}
}

/*
 * A datagram that comes from an echo port would be answered by its sender,
 * and so on for ever (CERT CA-1996-01).
 */
static nf_verdict
udp_reply(struct packet *p)
{
	struct rte_udp_hdr *udp = (struct rte_udp_hdr *)(p->data + p->l4);

	if (udp->src_port == udp->dst_port || udp->src_port == htons(ECHO_PORT))
		return NF_DROP(ECHO_LOOP);
	udp->dst_port = udp->src_port;
	udp->src_port = p->dport;
	reply_address(p);
	return NF_TX;
}

static nf_verdict
icmp_reply(struct packet *p)
{
	struct rte_icmp_hdr *icmp = (struct rte_icmp_hdr *)(p->data + p->l4);
	uint8_t request =
		p->version == 4 ? RTE_IP_ICMP_ECHO_REQUEST : ICMP6_ECHO_REQUEST;
	uint16_t was = packet_get16(p->data + p->l4), now;

	if (icmp->icmp_type != request || icmp->icmp_code != 0)
		return NF_DROP(NF_DROP_NOT_OURS);
	icmp->icmp_type =
		p->version == 4 ? RTE_IP_ICMP_ECHO_REPLY : ICMP6_ECHO_REPLY;
	now = packet_get16(p->data + p->l4);
	icmp->icmp_cksum = csum_update(
		icmp->icmp_cksum, csum_fold((uint64_t)now + (uint16_t)~was));
	reply_address(p);
	return NF_TX;
}

static inline void
tally_end(struct echo *e, const struct tally *t)
{
	struct stats_service *s = &e->env->stats->service[t->service];

	s->packets += t->packets;
	s->bytes += t->bytes;
}

static inline void
tally_add(struct echo *e, struct tally *t, uint32_t service, uint32_t bytes)
{
	if (service != t->service) {
		tally_end(e, t);
		*t = (struct tally){ .service = service };
	}
	t->packets++;
	t->bytes += bytes;
}

/* Of echo_one(): it is for the streams to say. */
#define ECHO_STREAM UINT16_MAX

static inline nf_verdict
echo_one(struct echo *e, struct rte_mbuf *m, struct tally *t)
{
	struct packet p;
	nf_verdict v = packet_parse(&p, rte_pktmbuf_mtod(m, uint8_t *),
		rte_pktmbuf_data_len(m), rte_pktmbuf_pkt_len(m));
	uint8_t proto;
	int service;

	if (v != NF_TX)
		return v;
	if (p.frag != PACKET_WHOLE)
		return NF_DROP(NF_DROP_FRAGMENT);
	if (e->streams != NULL &&
		(p.proto == IPPROTO_TCP || packet_is_icmp_error(&p)))
		return ECHO_STREAM;
	proto = p.proto == PACKET_ICMP6 ? IPPROTO_ICMP : p.proto;
	service = service_find(e, &p, proto);
	if (service < 0)
		return NF_DROP(NF_DROP_NOT_OURS);
	v = proto == IPPROTO_UDP ? udp_reply(&p) : icmp_reply(&p);
	if (v == NF_TX)
		tally_add(e, t, (uint32_t)service, m->pkt_len);
	return v;
}

/* --- the short way ------------------------------------------------------- */

/*
 * What nearly all packets are: a whole UDP datagram over IPv4 without options,
 * for the service that was found last. Offsets from the Ethernet header:
 *
 *   12 type  14 version  16 length  20 fragment  22 TTL  23 protocol
 *   24 checksum  26 source  30 destination  34 ports  38 UDP length
 */
#define PLAIN_LEN   42
#define PLAIN_START RTE_BE32(0x08004500) /* of type, version, but not TOS */
#define PLAIN_MASK  RTE_BE32(0xffffff00)
#define PLAIN_FRAG  RTE_BE16(0xbfff) /* all but "don't fragment" is 0 */

struct plain {
	uint32_t addr; /* the service's */
	uint16_t port;
	bool ever; /* it is one of UDP over IPv4 */
};

static inline struct plain
plain_of(const struct echo *e)
{
	const struct grant *g = e->env->grant;
	const struct grant_service *s = &g->services[e->last];

	return (struct plain){ .addr = s->addr.w[3],
		.port = s->port,
		.ever = e->last < g->n_services && s->proto == IPPROTO_UDP &&
			ip_addr_is_v4(&s->addr) };
}

/* Is it one, by all that packet_parse() and udp_reply() look at? */
static inline bool
is_plain(const struct plain *want, const uint8_t *d, uint32_t len)
{
	uint32_t total = rte_be_to_cpu_16(packet_get16(d + 16));
	uint32_t udp_len = rte_be_to_cpu_16(packet_get16(d + 38));
	uint16_t sport = packet_get16(d + 34);

	return (packet_get32(d + 12) & PLAIN_MASK) == PLAIN_START &&
	       !(packet_get16(d + 20) & PLAIN_FRAG) && d[23] == IPPROTO_UDP &&
	       packet_get32(d + 30) == want->addr &&
	       packet_get16(d + 36) == want->port && sport != want->port &&
	       sport != RTE_BE16(ECHO_PORT) && PACKET_L3 + total <= len &&
	       udp_len >= 8 && 20 + udp_len <= total;
}

/* Answered, true; or left as it is for the long way. */
static inline bool
plain_reply(const struct plain *want, struct rte_mbuf *m)
{
	struct packet p = { .data = rte_pktmbuf_mtod(m, uint8_t *),
		.version = 4 };
	uint32_t len = rte_pktmbuf_data_len(m);
	uint32_t ports;

	if (!want->ever || len < PLAIN_LEN || m->nb_segs != 1 ||
		!is_plain(want, p.data, len))
		return false;
	ports = packet_get32(p.data + 34);
	packet_put32(p.data + 34, ports >> 16 | ports << 16);
	reply_address(&p);
	return true;
}

/* What is left to streams.c, as a burst of its own. */
static void
echo_streams(struct echo *e, struct rte_mbuf **pkts, uint16_t n,
	nf_verdict *verdict, uint64_t now_tsc)
{
	struct rte_mbuf *mine[NF_BURST_MAX];
	nf_verdict said[NF_BURST_MAX];
	uint16_t at[NF_BURST_MAX], k = 0;

	for (uint16_t i = 0; i < n; i++)
		if (verdict[i] == ECHO_STREAM) {
			mine[k] = pkts[i];
			at[k++] = i;
		}
	streams_burst(e->streams, mine, k, said, now_tsc);
	for (uint16_t i = 0; i < k; i++)
		verdict[at[i]] = said[i];
}

static void
echo_burst(void *state, struct rte_mbuf **pkts, uint16_t n, nf_verdict *verdict,
	uint64_t now_tsc)
{
	struct echo *e = state;
	struct plain want = plain_of(e);
	struct tally t = { .service = e->last };
	bool streams = false;

	for (uint16_t i = 0; i < n; i++) {
		if (likely(plain_reply(&want, pkts[i]))) {
			verdict[i] = NF_TX;
			tally_add(e, &t, e->last, pkts[i]->pkt_len);
			continue;
		}
		verdict[i] = echo_one(e, pkts[i], &t);
		streams |= verdict[i] == ECHO_STREAM;
		/* Another service may have been found. */
		want = plain_of(e);
	}
	tally_end(e, &t);
	if (streams)
		echo_streams(e, pkts, n, verdict, now_tsc);
}

static uint32_t
echo_tick(void *state, uint64_t now_tsc)
{
	struct echo *e = state;

	return e->streams == NULL ? UINT32_MAX
				  : streams_tick(e->streams, now_tsc);
}

static void *
echo_create(const struct nf_env *env, char *why, size_t len)
{
	struct echo *e = rte_zmalloc("echo", sizeof(*e), 0);

	if (e == NULL) {
		snprintf(why, len, "no memory");
		return NULL;
	}
	e->env = env;
	if (streams_memory(env->grant) == 0)
		return e;
	e->streams = streams_create(env, why, len);
	if (e->streams == NULL) {
		rte_free(e);
		return NULL;
	}
	return e;
}

/*
 * UDP and ICMP read the grant with each packet. A first TCP service needs
 * memory that was not reserved.
 */
static int
echo_update(void *state, char *why, size_t len)
{
	struct echo *e = state;

	if (e->streams != NULL)
		return streams_update(e->streams, why, len);
	if (streams_memory(e->env->grant) == 0)
		return 0;
	snprintf(why, len, "a first TCP service needs a new start");
	return -EINVAL;
}

static void
echo_destroy(void *state)
{
	struct echo *e = state;

	if (e->streams != NULL)
		streams_destroy(e->streams);
	rte_free(e);
}

extern const struct nf nf_echo;
const struct nf nf_echo = {
	.name = "echo",
	.summary = "answers what TCP, UDP and ICMP echo requests bring",
	.flags = NF_PROTO_TCP | NF_PROTO_UDP | NF_PROTO_ICMP,
	.drops = echo_drops,
	.memory = streams_memory,
	.buffers = streams_buffers,
	.create = echo_create,
	.burst = echo_burst,
	.tick = echo_tick,
	.update = echo_update,
	.destroy = echo_destroy,
};
