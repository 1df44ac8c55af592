/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/lib/flows.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/checksum.h"

/* Offsets into a frame. */
#define AT_IP    14u
#define AT_SRC   26u
#define AT_DST   30u
#define AT_UDP   34u
#define AT_DPORT 36u
#define AT_CSUM  40u
#define AT_KIND  42u
#define AT_FLOW  44u
#define AT_STAMP 48u
#define AT_REST  64u

/* Of 198.18.0.0/15, which is for benchmarks (RFC 2544). */
#define CLIENTS   0xc6120001u
#define PORTS     50000u
#define PORT_MIN  10240u
#define ADDRESSES 16u

#define KIND(side) (uint16_t)((side) == FLOWS_CLIENT ? 0xc1c1 : 0xb2b2)

static void
put16(uint8_t *p, uint16_t v)
{
	memcpy(p, &v, 2);
}

static uint16_t
get16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, 2);
	return v;
}

static void
put32(uint8_t *p, uint32_t v)
{
	memcpy(p, &v, 4);
}

static uint32_t
get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return v;
}

/* The sum of pseudo header, UDP header and the payload's first 22 bytes. */
static uint16_t
sum_udp(const uint8_t *frame)
{
	uint64_t sum = csum_add(0, frame + AT_SRC, 8);

	sum = csum_add(sum, frame + AT_UDP, AT_REST - AT_UDP);
	return csum_fold(sum + htons(17) + get16(frame + AT_UDP + 4));
}

/* Checksums of a frame whose bytes from AT_REST on are zeros. */
static void
checksums(uint8_t *frame)
{
	uint16_t sum;

	put16(frame + AT_IP + 10, 0);
	sum = csum_fold(csum_add(0, frame + AT_IP, 20));
	put16(frame + AT_IP + 10, (uint16_t)~sum);
	put16(frame + AT_CSUM, 0);
	sum = (uint16_t)~sum_udp(frame);
	put16(frame + AT_CSUM, sum == 0 ? 0xffff : sum);
}

/* Ethernet, IP and UDP lengths, and the payload, all but who it is for. */
static void
fill(const struct flows *f, uint8_t *frame, enum flows_side side, uint32_t i)
{
	memset(frame, 0, f->len);
	memcpy(frame, f->sut_mac[side], 6);
	memcpy(frame + 6, "\x02\xca\x44\x00\x00", 5);
	frame[11] = (uint8_t)side;
	put16(frame + 12, htons(0x0800));
	frame[AT_IP] = 0x45;
	put16(frame + AT_IP + 2, htons((uint16_t)(f->len - AT_IP)));
	put16(frame + AT_IP + 6, htons(0x4000));
	frame[AT_IP + 8] = 64;
	frame[AT_IP + 9] = 17;
	put16(frame + AT_UDP + 4, htons((uint16_t)(f->len - AT_UDP)));
	put16(frame + AT_KIND, KIND(side));
	put32(frame + AT_FLOW, i);
	memset(frame + AT_STAMP + 8, 0xff, 8);
}

static uint32_t
client_addr(uint32_t i)
{
	return htonl(CLIENTS + i % ADDRESSES + i / PORTS * ADDRESSES);
}

static uint16_t
client_port(uint32_t i)
{
	return htons((uint16_t)(PORT_MIN + i % PORTS));
}

void
flows_make(const struct flows *f, uint8_t *frame, uint32_t i)
{
	fill(f, frame, FLOWS_CLIENT, i);
	put32(frame + AT_SRC, client_addr(i));
	put32(frame + AT_DST, f->vip);
	put16(frame + AT_UDP, client_port(i));
	put16(frame + AT_DPORT, f->vport);
	checksums(frame);
}

int
flows_init(struct flows *f, uint32_t n, uint32_t len, uint32_t vip,
	uint16_t vport, const uint8_t mac[2][6])
{
	memset(f, 0, sizeof(*f));
	if (n == 0 || len < FLOWS_LEN_MIN || len > FLOWS_LEN_MAX)
		return -EINVAL;
	f->n = n;
	f->len = len;
	f->vip = vip;
	f->vport = vport;
	memcpy(f->sut_mac, mac, sizeof(f->sut_mac));
	f->frame[0] = calloc(n, len);
	f->frame[1] = calloc(n, len);
	f->known = calloc(n, 1);
	if (f->frame[0] == NULL || f->frame[1] == NULL || f->known == NULL) {
		flows_fini(f);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < n; i++)
		flows_make(f, f->frame[0] + (size_t)i * len, i);
	return 0;
}

void
flows_fini(struct flows *f)
{
	free(f->frame[0]);
	free(f->frame[1]);
	free(f->known);
	memset(f, 0, sizeof(*f));
}

uint8_t *
flows_frame(struct flows *f, enum flows_side side, uint32_t i, uint64_t now_ns)
{
	uint8_t *frame = f->frame[side] + (size_t)i * f->len;
	const uint64_t back = ~now_ns;

	memcpy(frame + AT_STAMP, &now_ns, 8);
	memcpy(frame + AT_STAMP + 8, &back, 8);
	return frame;
}

/* The answer to the first frame of flow `i` that came to the backend. */
static void
learn(struct flows *f, const uint8_t *came, uint32_t i)
{
	uint8_t *frame = f->frame[FLOWS_BACKEND] + (size_t)i * f->len;

	fill(f, frame, FLOWS_BACKEND, i);
	memcpy(frame + AT_SRC, came + AT_DST, 4);
	memcpy(frame + AT_DST, came + AT_SRC, 4);
	memcpy(frame + AT_UDP, came + AT_DPORT, 2);
	memcpy(frame + AT_DPORT, came + AT_UDP, 2);
	checksums(frame);
	f->known[i] |= FLOWS_KNOWN;
	f->n_known++;
}

/* Both checksums hold, and it is UDP of the length that was sent. */
static int
sound(const struct flows *f, const uint8_t *frame, uint32_t len)
{
	return len == f->len && frame[AT_IP] == 0x45 &&
	       frame[AT_IP + 9] == 17 &&
	       csum_fold(csum_add(0, frame + AT_IP, 20)) == 0xffff &&
	       (get16(frame + AT_CSUM) == 0 || sum_udp(frame) == 0xffff);
}

/* Is `frame` what answers `sent`? */
static int
answers(const uint8_t *frame, const uint8_t *sent)
{
	return memcmp(frame + AT_SRC, sent + AT_DST, 4) == 0 &&
	       memcmp(frame + AT_DST, sent + AT_SRC, 4) == 0 &&
	       memcmp(frame + AT_UDP, sent + AT_DPORT, 2) == 0 &&
	       memcmp(frame + AT_DPORT, sent + AT_UDP, 2) == 0;
}

static int
fits(struct flows *f, enum flows_side side, const uint8_t *frame, int fresh)
{
	uint32_t i = get32(frame + AT_FLOW);

	if (fresh)
		return side == FLOWS_BACKEND &&
		       get32(frame + AT_DST) != f->vip &&
		       get32(frame + AT_SRC) != client_addr(i);
	if (i >= f->n)
		return 0;
	if (side == FLOWS_BACKEND && !(f->known[i] & FLOWS_KNOWN)) {
		if (get32(frame + AT_DST) == f->vip)
			return 0;
		learn(f, frame, i);
		return 1;
	}
	if (!answers(frame, f->frame[side] + (size_t)i * f->len))
		return 0;
	if (side == FLOWS_CLIENT && !(f->known[i] & FLOWS_ANSWERED)) {
		f->known[i] |= FLOWS_ANSWERED;
		f->n_answered++;
	}
	return 1;
}

uint64_t
flows_take(struct flows *f, enum flows_side side, const uint8_t *frame,
	uint32_t len, int echo, int fresh)
{
	enum flows_side from = echo ? side : (enum flows_side) !side;
	uint64_t stamp;

	memcpy(&stamp, frame + AT_STAMP, 8);
	if (sound(f, frame, len) && get16(frame + AT_KIND) == KIND(from) &&
		fits(f, side, frame, fresh))
		return stamp;
	f->wrong++;
	return 0;
}
