/* SPDX-License-Identifier: BSD-3-Clause */
/* The ring of the access log: what goes in comes out, whatever is in it. */
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/access.h"

static struct access_ring *ring;

static void
setup(void)
{
	ring = malloc(sizeof(*ring));
	ck_assert_ptr_nonnull(ring);
	memset(ring, 0xa5, sizeof(*ring));
	access_init(ring);
}

static void
teardown(void)
{
	free(ring);
}

static const char letters[ACCESS_TEXT_MAX + 1] = "GET/index.htmlHTTP/1.1";

static int
put(uint64_t number, const uint16_t len[ACCESS_TEXTS])
{
	struct access_record r = { .at_us = number, .status = 200 };
	const char *text[ACCESS_TEXTS];

	for (int i = 0; i < ACCESS_TEXTS; i++) {
		r.text_len[i] = len[i];
		text[i] = len[i] == 0 ? NULL : letters;
	}
	return access_put(ring, &r, text);
}

START_TEST(one)
{
	static const char *const text[] = { "GET", "/x?y", "HTTP/1.1", "h", "",
		"curl \"8\"" };
	struct access_record r = { .status = 404,
		.service = 3,
		.at_us = 1,
		.client_port = 5,
		.retries = 2,
		.error = 7,
		.reused = 1,
		.bytes_in = 1ull << 40,
		.total_us = 9 },
			     got;
	char out[ACCESS_TEXT_MAX];

	ck_assert(access_valid(ring));
	for (int i = 0; i < ACCESS_TEXTS; i++)
		r.text_len[i] = (uint16_t)strlen(text[i]);
	ck_assert_int_eq(access_get(ring, &got, out), 0);
	ck_assert_int_eq(access_put(ring, &r, text), 0);
	ck_assert_uint_eq(r.size % 8, 0);
	ck_assert_int_eq(access_get(ring, &got, out), 1);
	ck_assert_mem_eq(&r, &got, sizeof(r));
	ck_assert_mem_eq(out, "GET/x?yHTTP/1.1hcurl \"8\"", 24);
	ck_assert_int_eq(access_get(ring, &got, out), 0);
	ring->version++;
	ck_assert(!access_valid(ring));
}
END_TEST

/* Texts together are bounded; those behind are cut first. */
START_TEST(cut)
{
	static const uint16_t len[] = { 3, 4000, 8, 200, 5, 65535 };
	struct access_record r;
	char out[ACCESS_TEXT_MAX];

	ck_assert_int_eq(put(1, len), 0);
	ck_assert_int_eq(access_get(ring, &r, out), 1);
	ck_assert_uint_eq(r.text_len[0], 3);
	ck_assert_uint_eq(r.text_len[1], 4000);
	ck_assert_uint_eq(r.text_len[2], 8);
	ck_assert_uint_eq(r.text_len[3], 85);
	ck_assert_uint_eq(r.text_len[4], 0);
	ck_assert_uint_eq(r.text_len[5], 0);
}
END_TEST

/* Full is full: nothing of what is in it is lost, and it goes on after. */
START_TEST(full)
{
	static const uint16_t len[ACCESS_TEXTS] = { 3, 100 };
	struct access_record r;
	char out[ACCESS_TEXT_MAX];
	uint64_t in = 0, gone = 0;

	while (put(in, len) == 0)
		in++;
	ck_assert_uint_gt(in, ACCESS_BYTES / 300);
	ck_assert_uint_le(ring->head - ring->tail, ACCESS_BYTES);
	ck_assert_int_eq(put(in, len), -ENOSPC);
	for (int lap = 0; lap < 100000; lap++) {
		ck_assert_int_eq(access_get(ring, &r, out), 1);
		ck_assert_uint_eq(r.at_us, gone++);
		ck_assert_int_eq(put(in++, len), 0);
	}
	while (access_get(ring, &r, out) == 1)
		ck_assert_uint_eq(r.at_us, gone++);
	ck_assert_uint_eq(gone, in);
}
END_TEST

/* Counts go on beyond what fits 64 bits. */
START_TEST(wrap)
{
	static const uint16_t len[ACCESS_TEXTS] = { 3, 7 };
	struct access_record r;
	char out[ACCESS_TEXT_MAX];

	ring->head = ring->tail = (uint64_t)-400;
	for (uint64_t i = 0; i < 10; i++) {
		ck_assert_int_eq(put(i, len), 0);
		ck_assert_int_eq(put(i + 100, len), 0);
		ck_assert_int_eq(access_get(ring, &r, out), 1);
		ck_assert_uint_eq(r.at_us, i);
		ck_assert_int_eq(access_get(ring, &r, out), 1);
		ck_assert_uint_eq(r.at_us, i + 100);
		ck_assert_mem_eq(out, "GETGET/ind", 10);
	}
	ck_assert_uint_lt(ring->head, 1u << 20);
}
END_TEST

/* Random sizes against a queue of their numbers. */
START_TEST(model)
{
	struct access_record r;
	char out[ACCESS_TEXT_MAX];
	uint64_t in = 0, gone = 0;
	uint32_t dropped = 0;

	srand((unsigned int)_i);
	for (int i = 0; i < 50000; i++) {
		uint16_t len[ACCESS_TEXTS];

		for (int j = 0; j < ACCESS_TEXTS; j++)
			len[j] = (uint16_t)(rand() % (1 + rand() % 900));
		/* sometimes the reader is away for long */
		if (rand() % 100 < (i / 10000 % 2 == 0 ? 90 : 40)) {
			int rc = put(in, len);

			ck_assert(rc == 0 || rc == -ENOSPC);
			in += rc == 0;
			dropped += rc != 0;
		} else if (in > gone) {
			ck_assert_int_eq(access_get(ring, &r, out), 1);
			ck_assert_uint_eq(r.at_us, gone++);
		} else {
			ck_assert_int_eq(access_get(ring, &r, out), 0);
		}
	}
	while (access_get(ring, &r, out) == 1)
		ck_assert_uint_eq(r.at_us, gone++);
	ck_assert_uint_eq(gone, in);
	ck_assert_uint_gt(dropped, 0);
}
END_TEST

/* --- a writer that keeps no rule --- */

/* What comes out of any bytes is within bounds, and there is an end. */
START_TEST(garbage)
{
	struct access_record r;
	char *out = malloc(ACCESS_TEXT_MAX); /* its end is guarded */
	int bad = 0, good = 0;

	srand((unsigned int)_i);
	for (size_t i = 0; i < ACCESS_BYTES; i += 4)
		*(uint32_t *)(void *)(ring->bytes + i) =
			(uint32_t)rand() & (rand() % 2 ? 0xff : 0xffffffffu);
	for (int i = 0; i < 2000; i++) {
		int rc;

		ring->head = (uint64_t)rand() * (rand() % 2 ? 1 : 1u << 30);
		ring->tail = ring->head -
			     (uint64_t)rand() % (rand() % 2 ? 4096 : 1u << 24);
		rc = access_get(ring, &r, out);
		ck_assert(rc == 0 || rc == 1 || rc == -EINVAL);
		bad += rc == -EINVAL;
		good += rc == 1;
		/* all of it was skipped, and the next is taken again */
		if (rc == -EINVAL) {
			ck_assert_uint_eq(ring->tail, ring->head);
			ck_assert_int_eq(access_get(ring, &r, out), 0);
			ck_assert_int_eq(
				put(7, (uint16_t[ACCESS_TEXTS]){ 3 }), 0);
			ck_assert_int_eq(access_get(ring, &r, out), 1);
			ck_assert_uint_eq(r.at_us, 7);
		}
	}
	ck_assert_int_gt(bad, 0);
	(void)good;
	free(out);
}
END_TEST

static void
f_size_small(struct access_record *r)
{
	r->size -= 8;
}

static void
f_size_large(struct access_record *r)
{
	r->size += 8;
}

static void
f_size_none(struct access_record *r)
{
	r->size = 0;
}

static void
f_size_odd(struct access_record *r)
{
	r->size += 1;
}

static void
f_size_most(struct access_record *r)
{
	r->size = UINT32_MAX - 7;
}

static void
f_text(struct access_record *r)
{
	r->text_len[5] = 65535;
}

static void
f_texts(struct access_record *r)
{
	for (int i = 0; i < ACCESS_TEXTS; i++)
		r->text_len[i] = 65535;
}

/* A size that its texts agree with, but more than is in the ring. */
static void
f_beyond(struct access_record *r)
{
	r->text_len[1] = 4000;
	r->size = (uint32_t)(sizeof(*r) + 4008);
}

static void
f_too_long(struct access_record *r)
{
	r->text_len[0] = ACCESS_TEXT_MAX;
	r->text_len[1] = 0;
	r->text_len[2] = 8;
	r->size = (uint32_t)(sizeof(*r) + ACCESS_TEXT_MAX + 8);
}

static void (*const faults[])(struct access_record *r) = { f_size_small,
	f_size_large, f_size_none, f_size_odd, f_size_most, f_text, f_texts,
	f_beyond, f_too_long };

/* One false number loses what was in the ring, and no more. */
START_TEST(fault_row)
{
	static const uint16_t len[ACCESS_TEXTS] = { 3, 30 };
	struct access_record r, *in = (void *)ring->bytes;
	char out[ACCESS_TEXT_MAX];
	int n = _i == 8 ? 100 : 2;

	for (int i = 0; i < n; i++)
		ck_assert_int_eq(put(1, len), 0);
	if (faults[_i] == f_beyond)
		ck_assert_uint_lt(ring->head, sizeof(r) + 4008);
	faults[_i](in);
	ck_assert_int_eq(access_get(ring, &r, out), -EINVAL);
	ck_assert_int_eq(access_get(ring, &r, out), 0);
	ck_assert_int_eq(put(3, len), 0);
	ck_assert_int_eq(access_get(ring, &r, out), 1);
	ck_assert_uint_eq(r.at_us, 3);
}
END_TEST

/* A writer that finds a tail that can't be writes nothing, and nowhere. */
START_TEST(bad_tail)
{
	static const uint16_t len[ACCESS_TEXTS] = { 3 };

	ring->tail = 8;
	ck_assert_int_eq(put(1, len), -ENOSPC);
	ring->head = ACCESS_BYTES + 16;
	ck_assert_int_eq(put(1, len), -ENOSPC);
	ck_assert_uint_eq(ring->head, ACCESS_BYTES + 16);
}
END_TEST

/* --- two threads --- */

#define THREAD_RECORDS 300000u

static void *
writer(void *arg)
{
	uint64_t n = 0;

	(void)arg;
	while (n < THREAD_RECORDS) {
		uint16_t len[ACCESS_TEXTS] = { 3, (uint16_t)(n % 300) };

		if (put(n, len) == 0)
			n++;
		else
			sched_yield();
	}
	return NULL;
}

START_TEST(threads)
{
	struct access_record r;
	char out[ACCESS_TEXT_MAX];
	pthread_t t;
	uint64_t n = 0;

	ck_assert_int_eq(pthread_create(&t, NULL, writer, NULL), 0);
	while (n < THREAD_RECORDS) {
		int rc = access_get(ring, &r, out);

		ck_assert_int_ge(rc, 0);
		if (rc == 0) {
			sched_yield();
			continue;
		}
		ck_assert_uint_eq(r.at_us, n);
		ck_assert_uint_eq(r.text_len[1], n % 300);
		ck_assert_mem_eq(out + 3, letters, n % 300);
		n++;
	}
	pthread_join(t, NULL);
	ck_assert_int_eq(access_get(ring, &r, out), 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("access");
	TCase *tc = tcase_create("access");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, one);
	tcase_add_test(tc, cut);
	tcase_add_test(tc, full);
	tcase_add_test(tc, wrap);
	tcase_add_loop_test(tc, model, 0, 5);
	tcase_add_loop_test(tc, garbage, 0, 5);
	tcase_add_loop_test(
		tc, fault_row, 0, (int)(sizeof(faults) / sizeof(faults[0])));
	tcase_add_test(tc, bad_tail);
	tcase_add_test(tc, threads);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
