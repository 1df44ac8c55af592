/* SPDX-License-Identifier: BSD-3-Clause */
/* Who gets which core, and what goes with a NIC in software. */
#include "tests/unit/config_lab.h"

#define ROWS(t) ((int)(sizeof(t) / sizeof((t)[0])))

/* Instances are given cores that no one named, the first of them last. */
START_TEST(cores_automatic)
{
	static const char text[] =
		"appliance: { name = \"t\"; };\n"
		"uplinks: ( { name = \"wan\"; device = \"eth0\"; } );\n"
		"functions: (\n"
		"{ name = \"a\"; type = \"echo\"; instances = 3; services: (\n"
		"{ name = \"p\"; address = \"10.0.0.1\"; protocol = \"icmp\"; }"
		"); },\n"
		"{ name = \"b\"; type = \"echo\"; cores = \"2\"; services: (\n"
		"{ name = \"p\"; address = \"10.0.0.2\"; protocol = \"icmp\"; }"
		"); } );\n";
	struct config_faults faults = { 0 };
	struct config *c = config_load_text(
		"x", text, sizeof(text) - 1, types, &machine, &faults);

	ck_assert_ptr_nonnull(c);
	ck_assert_uint_eq(c->functions[0].cores[0], 1);
	ck_assert_uint_eq(c->functions[0].cores[1], 3);
	ck_assert_uint_eq(c->functions[0].cores[2], 0);
	ck_assert_uint_eq(c->functions[1].cores[0], 2);
	config_free(c);
	config_faults_free(&faults);
}
END_TEST

/* Shared, each goes to a core with the fewest. */
START_TEST(cores_shared)
{
	static const unsigned int cores[] = { 1, 0, 1, 0, 1 };
	static const char text[] =
		"appliance: { name = \"t\"; share_cores = true; };\n"
		"uplinks: ( { name = \"wan\"; device = \"eth0\"; } );\n"
		"functions: ("
		"{ name = \"a\"; type = \"echo\"; instances = 5; services: (\n"
		"{ name = \"p\"; address = \"10.0.0.1\"; protocol = \"icmp\"; }"
		"); } );\n";
	struct config_faults faults = { 0 };
	struct config *c;

	n_cores = 2;
	c = config_load_text(
		"x", text, sizeof(text) - 1, types, &machine, &faults);
	ck_assert_ptr_nonnull(c);
	for (int i = 0; i < 5; i++)
		ck_assert_uint_eq(c->functions[0].cores[i], cores[i]);
	config_free(c);
	config_faults_free(&faults);
}
END_TEST

#define SOFT_TEXT(appliance, uplink, functions)                    \
	"appliance: { name = \"t\"; " appliance " };\n"            \
	"uplinks: ( { name = \"wan\"; device = \"eth0\"; "         \
	"provider = \"soft\"; " uplink " } );\n"                   \
	"functions: ( { name = \"a\"; type = \"echo\"; " functions \
	" services: ( { name = \"p\"; address = \"10.0.0.1\"; "    \
	"protocol = \"icmp\"; } ); } );\n"

/* Which core the NIC gets, and which the first instances. */
static const struct {
	unsigned int machine; /* cores */
	const char *text;
	unsigned int nic, core[2];
} nic_rows[] = {
	{ 2, SOFT_TEXT("", "", ""), 0, { 1 } },
	{ 4, SOFT_TEXT("", "", "instances = 2;"), 0, { 1, 2 } },
	{ 4, SOFT_TEXT("", "", "cores = \"0\";"), 1, { 0 } },
	{ 2, SOFT_TEXT("nic_core = 1;", "", ""), 1, { 0 } },
	{ 4, SOFT_TEXT("nic_core = 2;", "", "instances = 2;"), 2, { 1, 3 } },
	{ 1, SOFT_TEXT("share_cores = true;", "", ""), 0, { 0 } },
	{ 2, SOFT_TEXT("share_cores = true;", "", "instances = 2;"), 0,
		{ 1, 1 } },
	{ 2,
		SOFT_TEXT("share_cores = true; nic_core = 1;", "",
			"instances = 2; cores = \"1\";"),
		1, { 1, 1 } },
	{ 2,
		SOFT_TEXT("share_cores = true;", "",
			"instances = 2; cores = \"0-1\";"),
		0, { 0, 1 } },
};

START_TEST(cores_nic)
{
	struct config_faults faults = { 0 };
	const char *text = nic_rows[_i].text;
	struct config *c;

	n_cores = nic_rows[_i].machine;
	c = config_load_text("x", text, strlen(text), types, &machine, &faults);
	config_faults_print(&faults, stderr);
	ck_assert_ptr_nonnull(c);
	ck_assert(config_soft(c));
	ck_assert_uint_eq(c->nic_core, nic_rows[_i].nic);
	for (unsigned int i = 0; i < c->functions[0].instances; i++)
		ck_assert_uint_eq(
			c->functions[0].cores[i], nic_rows[_i].core[i]);
	config_free(c);
	config_faults_free(&faults);
}
END_TEST

/* No NIC in software, no core for it. */
START_TEST(cores_no_nic)
{
	struct config *c = load("tests/config/good/least.cfg");

	ck_assert(!config_soft(c));
	ck_assert_uint_eq(c->nic_core, CONFIG_CORE_ANY);
	config_free(c);
}
END_TEST

/* Ports as they may be written, on a device that is there or was made. */
START_TEST(ports)
{
	static const char *const port[] = { "0000:03:00.0", "0a:1f.7",
		"net_null", "net_vhost3,iface=/run/x,queues=1",
		"net_af_packet,iface=veth0", "net_virtio_user0,path=/run/y" };
	static const char *const device[] = { "eth9", "tap0" };
	char text[600];

	for (size_t i = 0; i < ROWS(port); i++) {
		struct config_faults faults = { 0 };
		struct config *c;

		snprintf(text, sizeof(text),
			"appliance: { name = \"t\"; };\n"
			"uplinks: ( { name = \"wan\"; device = \"%s\"; "
			"provider = \"soft\"; port = \"%s\"; "
			"rate = \"10Gb/s\"; } );\n"
			"functions: ( { name = \"a\"; type = \"echo\"; "
			"services: ( { name = \"p\"; protocol = \"icmp\"; "
			"address = \"10.0.0.1\"; } ); } );\n",
			device[i % 2], port[i]);
		c = config_load_text(
			"x", text, strlen(text), types, &machine, &faults);
		config_faults_print(&faults, stderr);
		ck_assert_ptr_nonnull(c);
		ck_assert_str_eq(c->uplinks[0].port, port[i]);
		ck_assert_uint_eq(c->uplinks[0].rate_bps, 10000000000);
		config_free(c);
		config_faults_free(&faults);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("config_cores");
	TCase *tc = tcase_create("cores");
	SRunner *r;
	int failed;

	tcase_add_test(tc, cores_automatic);
	tcase_add_test(tc, cores_shared);
	tcase_add_loop_test(tc, cores_nic, 0, ROWS(nic_rows));
	tcase_add_test(tc, cores_no_nic);
	tcase_add_test(tc, ports);
	suite_add_tcase(s, tc);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
