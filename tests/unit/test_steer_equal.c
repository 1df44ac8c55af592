/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One meaning of the tables, two providers: random frames of every kind go
 * through the xdp provider's programs, run by the kernel, and through the
 * look-ups of the NIC in software, both with tables that were filled from
 * the same plan. Each verdict, VNIC and reason must be the same, in both
 * directions. The seed is printed; with it as an argument the run is the
 * same again. Needs root.
 */
#include <time.h>

#include "ctrl/soft/tables.h"
#include "dataplane/softnic/lookup.h"
#include "tests/unit/xdp_run.h"

#define PACKETS 200000

/*
 * Fragments are remembered by both, but not forgotten at the same moment:
 * the caches start anew before either is full.
 */
#define FORGET_EVERY 5000

static struct softnic_tables *rows;
static struct steer_tables soft;
static unsigned int seed;
static int seen[REFUSED + XDP_VNIC_DROPS];

static void
setup(void)
{
	static const uint64_t secret[2] = { 1, 2 };
	struct softtables_uplink is[2] = { 0 };
	char why[256] = "";

	for (int u = 0; u < 2; u++)
		memcpy(is[u].mac, frame_ours, 6);
	rows = calloc(1, sizeof(*rows));
	ck_assert_msg(softtables_fill(rows, &tp.plan, "/run/unit", is, why,
			      sizeof(why)) == 0,
		"%s", why);
	ck_assert_msg(
		softnic_tables_check(rows, why, sizeof(why)) == 0, "%s", why);
	soft.rows = rows;
	soft.fragments = fragments_create(secret);
}

static void
teardown(void)
{
	free(soft.fragments);
	free(rows);
}

static void
forget(void)
{
	int fd = bpf_map__fd(uplink->maps.fragments);
	struct steer_fragment key;

	while (bpf_map_get_next_key(fd, NULL, &key) == 0)
		ck_assert_int_eq(bpf_map_delete_elem(fd, &key), 0);
	memset(soft.fragments->slot, 0, sizeof(soft.fragments->slot));
}

/* --- the NIC in software ------------------------------------------------- */

/* The frame in a block of just its size: the sanitizer sees a step over. */
static enum steer_kind
parse(const struct frame *f, enum steer_dir dir, struct steer_packet *pkt)
{
	uint8_t *copy = malloc(f->n);

	memset(pkt, 0, sizeof(*pkt));
	memcpy(copy, f->b, f->n);
	steer_parse(copy, copy + f->n, dir, pkt);
	free(copy);
	return pkt->kind;
}

static int
soft_in(const struct frame *f)
{
	struct steer_packet pkt;
	enum steer_kind kind = parse(f, STEER_IN, &pkt);
	int entry;

	if (kind == STEER_K_VLAN)
		return VLAN;
	if (kind < STEER_K_FRAGMENT || memcmp(f->b, rows->uplink[0].mac, 6))
		return KERNEL;
	entry = steer_rx(&soft, &pkt, rows->seed);
	if (entry >= 0)
		return (int)*steer_find_entry(&soft, (uint32_t)entry);
	if (entry == STEER_RX_KERNEL)
		return KERNEL;
	return entry == STEER_RX_FRAGMENT ? FRAGMENT : UNKNOWN;
}

static int
soft_out(uint32_t i, const struct frame *f)
{
	struct steer_packet pkt;
	int u;

	parse(f, STEER_OUT, &pkt);
	u = steer_tx(&soft, &pkt, rows->seed, rows->vnic[i].function, i);
	if (u < 0)
		return REFUSED + XDP_DROP_TX(STEER_REASON(u));
	if (memcmp(f->b + 6, rows->uplink[u].mac, 6))
		return REFUSED + XDP_DROP_TX(STEER_TX_MAC);
	return u;
}

/* --- frames -------------------------------------------------------------- */

struct ends {
	const char *src, *dst;
	uint16_t sport, dport;
	const uint8_t *smac, *dmac;
	int out, v6;
	uint8_t proto;
};

static uint16_t
random_port(void)
{
	static const uint16_t ports[] = { 7, 22, 53, 80, 8080, 7777, 1023, 1024,
		65535 };

	return random() % 3 ? ports[random() % 9] : (uint16_t)random();
}

static struct ends
random_ends(int out)
{
	static const char *const ours4[] = { VIP, SNAT, ONE, PING, "10.0.9.9" };
	static const char *const ours6[] = { VIP6, SNAT6, PING6, "fd00::9" };
	static const char *const them4[] = { CLIENT, SERVER, VIP };
	static const char *const them6[] = { CLIENT6, SERVER6, VIP6 };
	int v6 = random() & 1;
	const char *us = v6 ? pick(ours6, 4) : pick(ours4, 5);
	const char *them = v6 ? pick(them6, 3) : pick(them4, 3);
	uint16_t port = random_port(), peer = random_port();
	struct ends e = { .out = out, .v6 = v6 };

	e.proto = random() & 1 ? TCP : UDP;
	e.src = out ? us : them;
	e.dst = out ? them : us;
	e.sport = out ? port : peer;
	e.dport = out ? peer : port;
	e.smac = out ? frame_ours : frame_theirs;
	e.dmac = out ? frame_theirs : frame_ours;
	return e;
}

static void
random_icmp(struct frame *f, const struct ends *e)
{
	static const uint8_t types4[] = { 0, 8, 5, 13 };
	static const uint8_t types6[] = { 128, 129, 133, 135, 136 };

	frame_icmp(f, e->dmac, e->smac,
		e->v6 ? types6[random() % 5] : types4[random() % 4], e->src,
		e->dst);
}

/* About a packet of the connection, or of some other one. */
static void
random_error(struct frame *f, const struct ends *e)
{
	static const uint8_t types4[] = { 3, 11, 12, 5 };
	static const uint8_t types6[] = { 1, 2, 3, 4, 127 };
	uint8_t type = e->v6 ? types6[random() % 5] : types4[random() % 4];
	const char *from = random() % 4 ? e->src
			   : e->v6      ? "2001:db8::77"
					: "198.51.100.7";

	frame_error(f, e->dmac, e->smac, type, from, e->proto, e->dst, e->dport,
		e->src, e->sport);
}

static void
random_fragment(struct frame *f, const struct ends *e)
{
	struct cut cut = {
		.id = (uint32_t)random() % 4,
		.offset = random() & 1 ? 1480 : 0,
		.more = random() & 1,
	};

	frame_flow(f, e->dmac, e->smac, e->proto, e->src, e->sport, e->dst,
		e->dport, &cut);
}

/* IPv4 options, or an IPv6 extension header, ahead of the ports. */
static void
stretch(struct frame *f, int v6)
{
	size_t at = v6 ? 54 : 34;

	memmove(f->b + at + 8, f->b + at, f->n - at);
	memset(f->b + at, 0, 8);
	f->n += 8;
	if (v6) {
		static const uint8_t next[] = { 0, 43, 60, 44 };

		f->b[at] = f->b[20];
		f->b[20] = next[random() % 4];
		f->b[19] += 8;
	} else {
		f->b[14] = 0x47;
		f->b[17] += 8;
	}
}

static void
tag(struct frame *f)
{
	memmove(f->b + 16, f->b + 12, f->n - 12);
	f->n += 4;
	f->b[12] = random() & 1 ? 0x81 : 0x88;
	f->b[13] = f->b[12] == 0x81 ? 0 : 0xa8;
}

/* Noise, a cut, or another station's address, in one frame of three. */
static void
spoil(struct frame *f)
{
	switch (random() % 12) {
	case 0:
		for (long k = random() % 4; k >= 0; k--)
			f->b[12 + (size_t)random() % (f->n - 12)] =
				(uint8_t)random();
		break;
	case 1:
		f->n = 14 + (size_t)random() % (f->n - 14);
		break;
	case 2:
		f->b[(size_t)random() % 12] ^= (uint8_t)(1 << random() % 8);
		break;
	case 3:
		f->n += (size_t)random() % 32; /* padding */
		break;
	}
}

static void
random_packet(struct frame *f, int out)
{
	struct ends e = random_ends(out);

	memset(f->b, 0, 256);
	switch (random() % 16) {
	case 0:
		put_eth(f, e.dmac, e.smac, 0x0806);
		put32(f, (uint32_t)random());
		break;
	case 1:
	case 2:
		random_icmp(f, &e);
		break;
	case 3:
	case 4:
		random_error(f, &e);
		break;
	case 5:
	case 6:
	case 7:
		random_fragment(f, &e);
		break;
	case 8:
		e.proto = random() & 1 ? 132 : (uint8_t)random();
		/* fall through */
	default:
		frame_flow(f, e.dmac, e.smac, e.proto, e.src, e.sport, e.dst,
			e.dport, NULL);
		if (random() % 8 == 0)
			stretch(f, e.v6);
		if (random() % 16 == 0)
			tag(f);
	}
	spoil(f);
}

static void
show(const struct frame *f)
{
	for (size_t i = 0; i < f->n; i++)
		printf("%02x", f->b[i]);
	printf("\n");
}

static void
both_agree(int k)
{
	uint32_t i = (uint32_t)random() % N_VNICS;
	int out = random() & 1, xdp, nic;
	struct frame f;

	random_packet(&f, out);
	xdp = out ? fate_out((int)i, &f) : fate_in(&f);
	nic = out ? soft_out(i, &f) : soft_in(&f);
	seen[out && xdp < 2 ? REFUSED : xdp]++;
	if (xdp == nic)
		return;
	show(&f);
	ck_abort_msg("seed %u packet %d (%s VNIC %u): xdp %d, soft %d", seed, k,
		out ? "from" : "in, not", i, xdp, nic);
}

START_TEST(all_agree)
{
	srandom(seed);
	for (int k = 0; k < PACKETS; k++) {
		if (k % FORGET_EVERY == 0)
			forget();
		both_agree(k);
	}
	/* Every fate was met, and often, or this says nothing. */
	for (int i = 0; i < N_VNICS; i++)
		ck_assert_int_gt(seen[i], 500);
	ck_assert_int_gt(seen[KERNEL], 1000);
	ck_assert_int_gt(seen[FRAGMENT], 300);
	ck_assert_int_gt(seen[UNKNOWN], 50);
	ck_assert_int_gt(seen[VLAN], 300);
	ck_assert_int_gt(seen[REFUSED], 1000); /* and those that passed */
	for (int r = 0; r < STEER_TX_RATE; r++)
		ck_assert_msg(seen[REFUSED + XDP_DROP_TX(r)] > 50,
			"reason %d: %d", r, seen[REFUSED + XDP_DROP_TX(r)]);
}
END_TEST

int
main(int argc, char **argv)
{
	TCase *t = tcase_create("steer equal");

	seed = argc > 1 ? (unsigned int)strtoul(argv[1], NULL, 0)
			: (unsigned int)time(NULL);
	printf("seed %u\n", seed);
	fflush(stdout);
	tcase_set_timeout(t, 280);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, all_agree);
	return run_cases("steer equal", t);
}
