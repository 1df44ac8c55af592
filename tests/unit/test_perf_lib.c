/* SPDX-License-Identifier: BSD-3-Clause */
/* What the benchmarks measure with: a core's busy time, flows. */
#include <arpa/inet.h>
#include <check.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/checksum.h"
#include "perf/lib/corebusy.h"
#include "perf/lib/flows.h"
#include "perf/lib/report.h"

/* --- a core's busy time --- */

#define BURN_NS 150000000u

static int watched;

static void
pin(int core)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(core, &set);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(set), &set), 0);
}

static uint64_t
ran_ns(pthread_t thread)
{
	struct timespec ts;
	clockid_t clock;

	ck_assert_int_eq(pthread_getcpuclockid(thread, &clock), 0);
	ck_assert_int_eq(clock_gettime(clock, &ts), 0);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void
stay_away(void)
{
	pin(0);
}

/* So much of the core's time, by the kernel's own books. */
static void *
burn(void *arg)
{
	pin(watched);
	while (cpu_ns() < BURN_NS)
		;
	return arg;
}

/*
 * Whoever else uses the machine, what is idle is what the watching thread got
 * of it, less its interrupts.
 */
static void
check_idle(double idle, double spun)
{
	ck_assert_double_le(idle, spun + 3e6);
	ck_assert_double_ge(idle, 0.8 * spun - 3e6);
}

static double
watch(struct corebusy *b, void *(*work)(void *))
{
	struct corebusy_mark from, to;
	pthread_t thread;
	uint64_t spun = ran_ns(b->thread);
	double busy;

	corebusy_mark(b, &from);
	ck_assert_int_eq(pthread_create(&thread, NULL, work, NULL), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	corebusy_mark(b, &to);
	spun = ran_ns(b->thread) - spun;
	busy = corebusy_ns(&from, &to);
	check_idle((double)(to.ns - from.ns) - busy, (double)spun);
	return busy;
}

/* As long, and on the other core. */
static void *
burn_elsewhere(void *arg)
{
	while (cpu_ns() < BURN_NS)
		;
	return arg;
}

START_TEST(busy_is_what_others_ran)
{
	struct corebusy b;

	ck_assert_int_eq(corebusy_start(&b, watched), 0);
	ck_assert_double_ge(watch(&b, burn), 0.99 * BURN_NS);
	corebusy_stop(&b);
}
END_TEST

START_TEST(busy_is_not_what_ran_elsewhere)
{
	struct corebusy b;

	ck_assert_int_eq(corebusy_start(&b, watched), 0);
	watch(&b, burn_elsewhere);
	corebusy_stop(&b);
}
END_TEST

START_TEST(busy_of_no_core)
{
	struct corebusy b;

	ck_assert_int_lt(corebusy_start(&b, -1), 0);
	ck_assert_int_lt(corebusy_start(&b, CPU_SETSIZE), 0);
	ck_assert_int_lt(corebusy_start(&b, CPU_SETSIZE - 1), 0);
}
END_TEST

/* --- flows --- */

#define N 1000u

static struct flows flows;
static uint8_t frame[FLOWS_LEN_MAX];
static const uint8_t mac[2][6] = { { 2, 0, 0, 0, 0, 1 }, { 2, 0, 0, 0, 0, 2 } };

static void
setup(void)
{
	ck_assert_int_eq(flows_init(&flows, N, 64, inet_addr("10.77.1.80"),
				 htons(9000), mac),
		0);
}

static void
teardown(void)
{
	flows_fini(&flows);
}

static void
swap(uint8_t *a, uint8_t *b, size_t len)
{
	uint8_t was[8];

	memcpy(was, a, len);
	memcpy(a, b, len);
	memcpy(b, was, len);
}

/* As an echo server: nothing of the sum changes. */
static void
echo(uint32_t i, uint64_t now)
{
	memcpy(frame, flows_frame(&flows, FLOWS_CLIENT, i, now), flows.len);
	swap(frame + 26, frame + 30, 4);
	swap(frame + 34, frame + 36, 2);
}

/* One word of addresses or ports becomes another, checksums with it. */
static void
rewrite(size_t at, const void *to, size_t len)
{
	uint64_t sum = csum_sub(0, frame + at, len);
	uint16_t delta, csum;

	memcpy(frame + at, to, len);
	delta = csum_fold(csum_add(sum, frame + at, len));
	for (size_t c = at < 34 ? 24 : 40; c <= 40; c += 16) {
		memcpy(&csum, frame + c, 2);
		csum = csum_update(csum, delta);
		memcpy(frame + c, &csum, 2);
	}
}

static void
balance(uint32_t i, const char *backend, uint16_t port, uint64_t now)
{
	uint32_t snat = inet_addr("10.77.2.9"), to = inet_addr(backend);

	memcpy(frame, flows_frame(&flows, FLOWS_CLIENT, i, now), flows.len);
	port = htons(port);
	rewrite(26, &snat, 4);
	rewrite(30, &to, 4);
	rewrite(34, &port, 2);
}

START_TEST(echoes_come_back)
{
	for (uint32_t i = 0; i < N; i++) {
		echo(i, 1000 + i);
		ck_assert_uint_eq(
			flows_take(&flows, FLOWS_CLIENT, frame, 64, 1, 0),
			1000 + i);
	}
	ck_assert_uint_eq(flows.wrong, 0);
	ck_assert_uint_eq(flows.n_answered, N);
}
END_TEST

START_TEST(what_is_no_echo)
{
	/* Bytes that, changed, make a frame wrong; 24 and 40 are checksums. */
	static const uint8_t at[] = { 14, 23, 24, 26, 30, 34, 36, 40, 42, 44,
		48 };

	for (size_t k = 0; k < sizeof(at); k++) {
		echo(7, 1000);
		frame[at[k]] ^= 1;
		ck_assert_uint_eq(
			flows_take(&flows, FLOWS_CLIENT, frame, 64, 1, 0), 0);
		ck_assert_uint_eq(flows.wrong, k + 1);
	}
	/* One that came back as it was sent, and one cut short. */
	memcpy(frame, flows_frame(&flows, FLOWS_CLIENT, 7, 1), 64);
	ck_assert_uint_eq(flows_take(&flows, FLOWS_CLIENT, frame, 64, 1, 0), 0);
	echo(7, 1000);
	ck_assert_uint_eq(flows_take(&flows, FLOWS_CLIENT, frame, 63, 1, 0), 0);
}
END_TEST

START_TEST(a_balanced_flow_stays)
{
	uint32_t vip = flows.vip, client = inet_addr("198.18.0.4");
	uint16_t port;

	balance(3, "10.77.2.21", 2000, 5);
	ck_assert_uint_eq(
		flows_take(&flows, FLOWS_BACKEND, frame, 64, 0, 0), 5);
	ck_assert_uint_eq(flows.n_known, 1);
	ck_assert_uint_eq(
		flows_take(&flows, FLOWS_BACKEND, frame, 64, 0, 0), 5);
	ck_assert_uint_eq(flows.n_known, 1);
	/* Another port, another backend: no. */
	balance(3, "10.77.2.21", 2001, 5);
	ck_assert_uint_eq(
		flows_take(&flows, FLOWS_BACKEND, frame, 64, 0, 0), 0);
	balance(3, "10.77.2.22", 2000, 5);
	ck_assert_uint_eq(
		flows_take(&flows, FLOWS_BACKEND, frame, 64, 0, 0), 0);
	/* The answer, as it arrives. */
	memcpy(frame, flows_frame(&flows, FLOWS_BACKEND, 3, 9), 64);
	ck_assert_mem_eq(frame, mac[1], 6);
	rewrite(26, &vip, 4);
	rewrite(30, &client, 4);
	port = htons(10243);
	rewrite(36, &port, 2);
	ck_assert_uint_eq(flows_take(&flows, FLOWS_CLIENT, frame, 64, 0, 0), 9);
	ck_assert_uint_eq(flows.n_answered, 1);
	ck_assert_uint_eq(flows.wrong, 2);
}
END_TEST

/* A balancer that does nothing must not pass for one. */
START_TEST(unchanged_is_wrong)
{
	memcpy(frame, flows_frame(&flows, FLOWS_CLIENT, 3, 5), 64);
	ck_assert_uint_eq(
		flows_take(&flows, FLOWS_BACKEND, frame, 64, 0, 0), 0);
	ck_assert_uint_eq(
		flows_take(&flows, FLOWS_BACKEND, frame, 64, 0, 1), 0);
	ck_assert_uint_eq(flows.wrong, 2);
}
END_TEST

START_TEST(sizes)
{
	struct flows f;

	ck_assert_int_lt(flows_init(&f, N, 63, 0, 0, mac), 0);
	ck_assert_int_lt(flows_init(&f, N, 1501, 0, 0, mac), 0);
	ck_assert_int_lt(flows_init(&f, 0, 64, 0, 0, mac), 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("perf_lib");
	TCase *busy = tcase_create("busy"), *flow = tcase_create("flows");
	SRunner *r = srunner_create(s);
	int failed;

	watched = (int)sysconf(_SC_NPROCESSORS_ONLN) - 1;
	if (watched < 1) {
		puts("a core's busy time is watched from another core");
		return 77;
	}
	tcase_add_checked_fixture(busy, stay_away, NULL);
	tcase_set_timeout(busy, 60);
	tcase_add_test(busy, busy_is_what_others_ran);
	tcase_add_test(busy, busy_is_not_what_ran_elsewhere);
	tcase_add_test(busy, busy_of_no_core);
	tcase_add_checked_fixture(flow, setup, teardown);
	tcase_add_test(flow, echoes_come_back);
	tcase_add_test(flow, what_is_no_echo);
	tcase_add_test(flow, a_balanced_flow_stays);
	tcase_add_test(flow, unchanged_is_wrong);
	tcase_add_test(flow, sizes);
	suite_add_tcase(s, busy);
	suite_add_tcase(s, flow);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
