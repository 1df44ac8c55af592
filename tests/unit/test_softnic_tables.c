/* SPDX-License-Identifier: BSD-3-Clause */
/* What the NIC in software is told: rows entered and found, nonsense refused.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "dataplane/softnic/tables.h"

static struct softnic_tables *t;

static struct ip_addr
addr(uint32_t i)
{
	struct ip_addr a = ip_addr_from_v4(0x0a000000 + i);

	if (i & 1)
		a.w[0] = 0x20010db8;
	return a;
}

static struct steer_key
key(uint32_t i)
{
	struct steer_key k = {
		.addr = addr(i / 4), .port = (__be16)(i % 4), .proto = 6
	};

	return k;
}

static struct steer_target
target(uint32_t first)
{
	struct steer_target s = { .function = 1, .first = first, .mask = 3 };

	return s;
}

/* Two uplinks, two functions, three VNICs, 8 entries, a row of each kind. */
static void
setup(void)
{
	struct steer_key k = key(1);
	struct ip_addr a = addr(9);
	struct steer_target s = target(4);
	struct steer_host h = { .functions = 2, .uplink = 1 };

	t = calloc(1, sizeof(*t));
	t->magic = SOFTNIC_MAGIC;
	t->version = SOFTNIC_VERSION;
	t->size = sizeof(*t);
	strcpy(t->appliance, "edge1");
	t->n_uplinks = t->n_functions = 2;
	t->n_vnics = 3;
	t->n_entries = 8;
	for (uint32_t i = 0; i < 2; i++) {
		snprintf(t->uplink[i].name, GRANT_NAME_MAX, "up%u", i);
		strcpy(t->uplink[i].devargs, "net_null0");
		t->uplink[i].queues = 1;
		t->function[i].weight = 1;
	}
	for (uint32_t i = 0; i < 3; i++) {
		snprintf(t->vnic[i].name, GRANT_NAME_MAX, "web.%u", i);
		snprintf(
			t->vnic[i].path, sizeof(t->vnic[i].path), "/run/%u", i);
		t->vnic[i].function = i / 2;
		t->vnic[i].uplinks = 3;
	}
	t->entry[7] = 2;
	ck_assert_int_eq(softnic_service_put(t, &k, &s), 0);
	ck_assert_int_eq(softnic_snat_put(t, &a, &s), 0);
	ck_assert_int_eq(softnic_host_put(t, &a, &h), 0);
}

static void
teardown(void)
{
	free(t);
}

static struct softnic_service_slot *
the_service(void)
{
	struct softnic_service_slot *s = t->service;

	while (!s->used)
		s++;
	return s;
}

static struct softnic_snat_slot *
the_snat(void)
{
	struct softnic_snat_slot *s = t->snat;

	while (!s->used)
		s++;
	return s;
}

static struct softnic_host_slot *
the_host(void)
{
	struct softnic_host_slot *s = t->host;

	while (!s->used)
		s++;
	return s;
}

/* As the NIC looks it up. */
static const struct steer_target *
find_service(const struct steer_key *k)
{
	uint32_t i = softnic_hash_key(k);

	for (;; i++) {
		struct softnic_service_slot *s =
			&t->service[i & (SOFTNIC_SERVICE_SLOTS - 1)];

		if (!s->used)
			return NULL;
		if (memcmp(&s->key, k, sizeof(*k)) == 0)
			return &s->target;
	}
}

START_TEST(good_tables_pass)
{
	char why[100] = "";

	ck_assert_msg(
		softnic_tables_check(t, why, sizeof(why)) == 0, "%s", why);
}
END_TEST

START_TEST(rows_are_found_up_to_half)
{
	const uint32_t half = SOFTNIC_SERVICE_SLOTS / 2;
	struct steer_target s = target(0);
	struct steer_key k;
	char why[100] = "";

	for (uint32_t i = 0; i < half; i++) {
		k = key(i);
		s.first = i % 5;
		ck_assert_int_eq(softnic_service_put(t, &k, &s), 0);
	}
	ck_assert_uint_eq(t->n_services, half);
	k = key(half);
	ck_assert_int_eq(softnic_service_put(t, &k, &s), -1);
	ck_assert_ptr_null(find_service(&k));
	for (uint32_t i = 0; i < half; i++) {
		k = key(i);
		ck_assert_uint_eq(find_service(&k)->first, i % 5);
	}
	ck_assert_msg(
		softnic_tables_check(t, why, sizeof(why)) == 0, "%s", why);
	/* Full as it is, what is there can change. */
	k = key(7);
	s.first = 4;
	ck_assert_int_eq(softnic_service_put(t, &k, &s), 0);
	ck_assert_uint_eq(find_service(&k)->first, 4);
	ck_assert_uint_eq(t->n_services, half);
}
END_TEST

START_TEST(addresses_up_to_half)
{
	struct steer_target s = target(0);
	struct steer_host h = { .functions = 1 };
	struct ip_addr a;
	char why[100] = "";

	for (uint32_t i = 0; i < SOFTNIC_SNAT_SLOTS / 2; i++) {
		a = addr(i);
		ck_assert_int_eq(softnic_snat_put(t, &a, &s), 0);
	}
	for (uint32_t i = 0; i < SOFTNIC_HOST_SLOTS / 2; i++) {
		a = addr(i);
		ck_assert_int_eq(softnic_host_put(t, &a, &h), 0);
	}
	a = addr(SOFTNIC_HOST_SLOTS);
	ck_assert_int_eq(softnic_snat_put(t, &a, &s), -1);
	ck_assert_int_eq(softnic_host_put(t, &a, &h), -1);
	ck_assert_msg(
		softnic_tables_check(t, why, sizeof(why)) == 0, "%s", why);
}
END_TEST

/* Each line spoils one thing; `word` must be in the reason. */
static void
refused(const char *word)
{
	char why[100] = "";

	ck_assert_int_eq(softnic_tables_check(t, why, sizeof(why)), -EINVAL);
	ck_assert_msg(strstr(why, word) != NULL, "%s, not: %s", word, why);
	teardown();
	setup();
}

#define FILL(field) memset(field, 'x', sizeof(field))

START_TEST(bad_heads)
{
	t->magic++;
	refused("version");
	t->version++;
	refused("version");
	t->size--;
	refused("version");
	FILL(t->appliance);
	refused("name");
	t->share_core = 2;
	refused("share_core");
	t->n_uplinks = 0;
	refused("0 uplinks");
	t->n_uplinks = SOFTNIC_UPLINKS_MAX + 1;
	refused("17 uplinks");
	t->n_functions = SOFTNIC_FUNCTIONS_MAX + 1;
	refused("33 functions");
	t->n_vnics = SOFTNIC_VNICS_MAX + 1;
	refused("32 VNICs");
	t->n_entries = SOFTNIC_ENTRIES_MAX + 1;
	refused("steering entries");
}
END_TEST

START_TEST(bad_parts)
{
	FILL(t->uplink[1].name);
	refused("uplink 1");
	t->uplink[0].devargs[0] = '\0';
	refused("device");
	FILL(t->uplink[0].devargs);
	refused("device");
	FILL(t->uplink[0].tap);
	refused("tap");
	t->uplink[1].queues = 0;
	refused("queue");
	t->function[1].weight = 0;
	refused("weight 0");
	t->function[0].weight = GRANT_WEIGHT_MAX + 1;
	refused("weight 257");
	FILL(t->vnic[2].name);
	refused("VNIC 2");
	t->vnic[2].path[0] = 'x';
	refused("socket");
	FILL(t->vnic[2].path);
	refused("socket");
	t->vnic[0].function = 2;
	refused("function 2");
	t->vnic[1].uplinks = 4;
	refused("uplinks 0x4");
	t->entry[7] = 3;
	refused("entry 7");
}
END_TEST

START_TEST(bad_targets)
{
	the_service()->target.function = 2;
	refused("function 2");
	the_service()->target.mask = 2;
	refused("mask 0x2");
	the_service()->target.mask = 2 * GRANT_BUCKETS_MAX - 1;
	refused("mask 0x7ff");
	the_service()->target.mask = UINT32_MAX;
	refused("mask 0xffffffff");
	the_service()->target.first = 5;
	refused("entries from 5");
	the_snat()->target.first = UINT32_MAX;
	refused("snat row with entries");
	the_snat()->target.uplink = 2;
	refused("uplink 2");
	the_snat()->target.flags = 8;
	refused("flags");
	the_host()->host.functions = 4;
	refused("functions 0x4");
	the_host()->host.fragments_tcp = 8;
	refused("functions");
	the_host()->host.fragments_udp = 1u << 31;
	refused("functions");
	the_host()->host.uplink = 2;
	refused("host row with uplink 2");
}
END_TEST

START_TEST(bad_tables)
{
	the_service()->key.pad = 1;
	refused("padded");
	/* Moved to where no search comes by. */
	t->snat[(softnic_hash_addr(&the_snat()->addr) + 7) &
		(SOFTNIC_SNAT_SLOTS - 1)] = *the_snat();
	the_snat()->used = 0;
	refused("never found");
	t->n_hosts = 2;
	refused("counts 2");
	/* A search for what is not there would never end. */
	for (uint32_t i = 0; i < SOFTNIC_HOST_SLOTS; i++)
		t->host[i] = *the_host();
	refused("host table with");
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("softnic_tables");
	TCase *tc = tcase_create("tables");
	SRunner *sr = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, good_tables_pass);
	tcase_add_test(tc, rows_are_found_up_to_half);
	tcase_add_test(tc, addresses_up_to_half);
	tcase_add_test(tc, bad_heads);
	tcase_add_test(tc, bad_parts);
	tcase_add_test(tc, bad_targets);
	tcase_add_test(tc, bad_tables);
	suite_add_tcase(suite, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
