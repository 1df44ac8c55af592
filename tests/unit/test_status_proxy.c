/* SPDX-License-Identifier: BSD-3-Clause */
/* The status of a proxy: counters by name, rates, mean times. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "ctrl/access_line.h"
#include "ctrl/status.h"

static json_int_t
number(const json_t *o, const char *key)
{
	ck_assert_msg(json_is_integer(json_object_get(o, key)), "%s", key);
	return json_integer_value(json_object_get(o, key));
}

/* Each counter is there, once, under the name that it has in stats.h. */
START_TEST(tcp_by_name)
{
	struct stats_tcp t;
	uint64_t *word = (void *)&t;
	size_t n = sizeof(t) / sizeof(*word);
	json_t *o;
	uint64_t sum = 0;
	const char *key;
	json_t *value;

	for (size_t i = 0; i < n; i++)
		word[i] = 1ull << i;
	o = status_tcp_json(&t);
	ck_assert_uint_eq(json_object_size(o), n);
	json_object_foreach(o, key, value) sum |=
		(uint64_t)json_integer_value(value);
	ck_assert_uint_eq(sum, (1ull << n) - 1);
	ck_assert_int_eq(number(o, "established"), (json_int_t)t.established);
	ck_assert_int_eq(number(o, "retransmits"), (json_int_t)t.retransmits);
	ck_assert_int_eq(number(o, "zero_windows"), (json_int_t)t.zero_windows);
	ck_assert_int_eq(number(o, "cookies_bad"), (json_int_t)t.cookies_bad);
	ck_assert_int_eq(number(o, "dead"), (json_int_t)t.dead);
	json_decref(o);
}
END_TEST

START_TEST(server)
{
	struct stats_server sum = { 0 };
	const struct stats_server a = { 1, 2, 30, 20, 4, 60000 },
				  b = { 10, 20, 70, 5, 1, 190000 };
	json_t *o = json_object();

	status_server_json(o, &sum);
	ck_assert_double_eq(
		json_real_value(json_object_get(o, "response_ms")), 0);
	status_server_add(&sum, &a);
	status_server_add(&sum, &b);
	status_server_json(o, &sum);
	ck_assert_int_eq(number(o, "idle"), 11);
	ck_assert_int_eq(number(o, "active"), 22);
	ck_assert_int_eq(number(o, "requests"), 100);
	ck_assert_int_eq(number(o, "reused"), 25);
	ck_assert_int_eq(number(o, "errors"), 5);
	ck_assert_double_eq(
		json_real_value(json_object_get(o, "response_ms")), 2.5);
	json_decref(o);
}
END_TEST

START_TEST(rates)
{
	struct status_load *l = calloc(1, sizeof(*l));
	struct stats *s = calloc(1, sizeof(*s));

	ck_assert(l != NULL && s != NULL);
	s->http[0].requests = 1000;
	s->http[63].requests = 5;
	/* what has been before the first sample is no rate */
	status_requests_sample(l, s, 7000000);
	ck_assert_double_eq(l->requests_per_s[0], 0);
	s->http[0].requests += 300;
	s->http[63].requests += 1;
	status_requests_sample(l, s, 9000000);
	ck_assert_double_eq(l->requests_per_s[0], 150);
	ck_assert_double_eq(l->requests_per_s[63], 0.5);
	ck_assert_double_eq(l->requests_per_s[1], 0);
	/* counters of another version began anew */
	s->http[0].requests = 3;
	status_requests_sample(l, s, 10000000);
	ck_assert_double_eq(l->requests_per_s[0], 0);
	status_requests_sample(l, s, 10000000);
	ck_assert_double_eq(l->requests_per_s[0], 0);
	free(l);
	free(s);
}
END_TEST

START_TEST(error_words)
{
	ck_assert_str_eq(http_error_name(HTTP_ERR_BAD_REQUEST), "bad_request");
	ck_assert_str_eq(http_error_name(HTTP_ERR_CUT), "cut");
	ck_assert_str_eq(http_error_name(HTTP_ERRORS), "unknown");
	for (uint32_t i = 0; i < HTTP_ERRORS; i++)
		for (uint32_t j = 0; j < i; j++)
			ck_assert_str_ne(
				http_error_name(i), http_error_name(j));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("status_proxy");
	TCase *tc = tcase_create("status_proxy");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_test(tc, tcp_by_name);
	tcase_add_test(tc, server);
	tcase_add_test(tc, rates);
	tcase_add_test(tc, error_words);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
