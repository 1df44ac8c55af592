/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TCP headers: any bytes in memory of just their size. What is accepted is
 * written and read again, and must be the same.
 *
 * Input: two bytes, how much longer than the rest the segment claims to be
 * (or, of an odd number, how much shorter), then the segment.
 */
#include <stdlib.h>
#include <string.h>

#include "dataplane/tcp/segment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool is)
{
	if (!is)
		abort();
}

static void
check(const struct tcp_seg *s, uint32_t have, uint32_t l4_len)
{
	const uint8_t syn_only = TCP_OPT_MSS | TCP_OPT_WSCALE | TCP_OPT_SACKOK;

	must(s->hdr_len >= TCP_HDR_MIN && s->hdr_len <= TCP_HDR_MAX);
	must(s->hdr_len <= have && s->hdr_len + s->len == l4_len);
	must(s->n_sack <= TCP_SACK_MAX && s->wscale <= TCP_WSCALE_MAX);
	must((s->n_sack > 0) == ((s->opts & TCP_OPT_SACK) != 0));
	must((s->mss > 0) == ((s->opts & TCP_OPT_MSS) != 0));
	must(!(s->opts & (s->flags & TCP_SYN ? TCP_OPT_SACK : syn_only)));
}

static void
again(struct tcp_seg *s)
{
	uint8_t *th = malloc(seg_hdr_len(s));
	uint32_t len = seg_write(s, th, 1, 2);
	struct tcp_seg t;

	must(len == seg_hdr_len(s) && len == s->hdr_len);
	must(seg_parse(&t, th, len, len + s->len) == 0);
	must(t.seq == s->seq && t.ack == s->ack && t.len == s->len);
	must(t.wnd == s->wnd && t.flags == s->flags && t.opts == s->opts);
	must(t.mss == s->mss && t.wscale == s->wscale);
	must(t.ts_val == s->ts_val && t.ts_ecr == s->ts_ecr);
	must(t.n_sack == s->n_sack);
	must(memcmp(t.sack, s->sack, s->n_sack * sizeof(t.sack[0])) == 0);
	free(th);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t have, l4_len, by;
	struct tcp_seg s;
	uint8_t *th;

	if (size < 2 || size > 4096)
		return 0;
	by = (uint32_t)(data[0] << 8 | data[1]);
	have = (uint32_t)size - 2;
	l4_len = by & 1 ? have - (by < have ? by : have) : have + by;
	th = malloc(have ? have : 1);
	memcpy(th, data + 2, have);
	if (seg_parse(&s, th, have, l4_len) == 0) {
		check(&s, have, l4_len);
		again(&s);
	}
	free(th);
	return 0;
}
