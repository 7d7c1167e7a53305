// SPDX-License-Identifier: BSD-2-Clause
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "tcpcopy/clients.h"
#include "tcpcopy/transfer.h"

static struct opts_fault fault;

/* "source>target ..." of what was parsed, or the fault. */
static const char *parse(const char *text)
{
	static char out[1024];
	static struct transfer t;
	char e[ENDPOINT_TEXT_MAX];

	memset(&t, 0, sizeof(t));
	if (!transfer_parse(&t, text, &fault))
		return fault.text;
	out[0] = '\0';
	for (size_t i = 0; i < t.mapping_count; i++) {
		const struct replay_mapping *m = &t.mappings[i];

		if (addr_is_none(&m->source.addr))
			sprintf(out + strlen(out), "%u>", m->source.port);
		else
			sprintf(out + strlen(out), "%s>",
				endpoint_text(&m->source, e));
		assert_true(m->target < t.target_count);
		sprintf(out + strlen(out), "%s ",
			endpoint_text(&t.targets[m->target], e));
	}
	return out;
}

static void test_forms(void **state)
{
	(void)state;
	assert_string_equal(parse("80-192.0.2.2:8080"), "80>192.0.2.2:8080 ");
	assert_string_equal(parse("11311-1.2.3.161:11511"),
			    "11311>1.2.3.161:11511 ");
	assert_string_equal(parse("192.0.2.1:80-192.0.2.2:8080"),
			    "192.0.2.1:80>192.0.2.2:8080 ");
	assert_string_equal(parse("[2001:db8::1]:80-[2001:db8::2]:81"),
			    "[2001:db8::1]:80>[2001:db8::2]:81 ");
	assert_string_equal(parse("80-[2001:db8::2]:81"),
			    "80>[2001:db8::2]:81 ");
	assert_string_equal(parse(" 80-192.0.2.2:8080 , 81-192.0.2.2:8081 "),
			    "80>192.0.2.2:8080 81>192.0.2.2:8081 ");
	assert_string_equal(parse("80-192.0.2.2:8080,80-192.0.2.3:8080"),
			    "80>192.0.2.2:8080 80>192.0.2.3:8080 ");
}

static void test_names(void **state)
{
	const char *got = parse("80-localhost:8080");

	(void)state;
	assert_true(!strcmp(got, "80>127.0.0.1:8080 ") ||
		    !strcmp(got, "80>[::1]:8080 "));
	/* Hyphens in names: which one ends the source is seen by the port. */
	parse("no-such-host.invalid:80-192.0.2.2:8080");
	assert_non_null(
		strstr(fault.text, "no-such-host.invalid is not known"));
	parse("80-no-such-host.invalid:8080");
	assert_non_null(
		strstr(fault.text, "no-such-host.invalid is not known"));
}

static void test_refusals(void **state)
{
	static const char *const bad[] = {"",
					  "80",
					  "80-",
					  "-192.0.2.2:80",
					  "80-192.0.2.2",
					  "80-192.0.2.2:",
					  "80-192.0.2.2:0",
					  "0-192.0.2.2:80",
					  "65536-192.0.2.2:80",
					  "80-192.0.2.2:65536",
					  "80-192.0.2.2:80,",
					  "80-192.0.2.2:80,,81-192.0.2.2:80",
					  "80:192.0.2.2:80",
					  "192.0.2.1-192.0.2.2:80",
					  "80-192.0.2.300:80",
					  "80-192.0.2.2:80;81-192.0.2.2:81",
					  "192.0.2.1:80-[::2]:80",
					  "[::1]-[::2]:80",
					  "::0-[::2]:80"};
	struct transfer t = {.mapping_count = 0};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		fault.text[0] = '\0';
		assert_false(transfer_parse(&t, bad[i], &fault));
		assert_true(fault.text[0]);
		memset(&t, 0, sizeof(t));
	}
	assert_string_equal(parse("80-192.0.2.2:80,80-192.0.2.2:80"),
			    "the same transfer twice");
}

static void test_one_target_is_one(void **state)
{
	struct transfer t = {.mapping_count = 0};

	(void)state;
	assert_true(transfer_parse(
		&t, "80-192.0.2.2:80,81-192.0.2.2:80,80-192.0.2.3:80", &fault));
	assert_int_equal(t.mapping_count, 3);
	assert_int_equal(t.target_count, 2);
	assert_int_equal(t.mappings[1].target, 0);
	assert_int_equal(t.mappings[2].target, 1);
	/* Given twice, -x adds. */
	assert_true(transfer_parse(&t, "82-192.0.2.3:80", &fault));
	assert_int_equal(t.mapping_count, 4);
	assert_int_equal(t.target_count, 2);
}

static void test_too_many(void **state)
{
	struct transfer t = {.mapping_count = 0};
	char text[64];

	(void)state;
	for (unsigned i = 0; i < TRANSFERS_MAX; i++) {
		snprintf(text, sizeof(text), "%u-192.0.2.2:%u", i + 1, i + 1);
		assert_true(transfer_parse(&t, text, &fault));
	}
	assert_false(transfer_parse(&t, "9999-192.0.2.2:1", &fault));
	assert_string_equal(fault.text, "at most 128 transfers");
}

static struct ip_addr addr(const char *text)
{
	struct ip_addr a;

	assert_true(opts_addr(text, &a));
	return a;
}

static bool loops(const char *text)
{
	struct transfer t = {.mapping_count = 0};
	const struct ip_addr own[] = {addr("192.0.2.1"), addr("2001:db8::1")};

	assert_true(transfer_parse(&t, text, &fault));
	return transfer_loop(&t, own, 2);
}

static void test_loops(void **state)
{
	(void)state;
	assert_true(loops("80-192.0.2.1:80"));
	assert_true(loops("192.0.2.1:80-192.0.2.1:80"));
	assert_true(loops("80-[2001:db8::1]:80"));
	assert_true(loops("80-127.0.0.1:80"));
	assert_true(loops("80-192.0.2.1:81,81-192.0.2.9:81"));
	assert_true(loops("192.0.2.7:80-192.0.2.7:80"));
	assert_true(loops("192.0.2.7:80-192.0.2.8:81,"
			  "192.0.2.8:81-192.0.2.7:80"));
	assert_false(loops("80-192.0.2.8:81,81-192.0.2.9:80"));
	assert_false(loops("80-192.0.2.1:8080"));
	assert_false(loops("80-192.0.2.2:80"));
	assert_false(loops("192.0.2.7:80-192.0.2.1:80"));
}

static void test_sources(void **state)
{
	struct transfer t = {.mapping_count = 0};

	(void)state;
	assert_true(transfer_parse(&t, "80-192.0.2.2:80", &fault));
	assert_false(transfer_names_source(&t));
	assert_true(transfer_parse(&t, "192.0.2.1:80-192.0.2.2:80", &fault));
	assert_true(transfer_names_source(&t));
}

static void test_clients(void **state)
{
	struct clients c = {.count = 0};
	char text[ADDR_TEXT_MAX];

	(void)state;
	assert_true(clients_parse(&c, "62.135.200.x, 192.0.2.9,2001:db8::/120",
				  &fault));
	assert_int_equal(c.count, 3);
	assert_string_equal(addr_text(&c.ranges[0].first, text),
			    "62.135.200.1");
	assert_int_equal(c.ranges[0].count, 254);
	assert_int_equal(c.ranges[2].count, 256);
	assert_true(clients_have_family(&c, true));
	assert_true(clients_have_family(&c, false));
}

static void test_clients_refused(void **state)
{
	struct clients c = {.count = 0};

	(void)state;
	assert_false(clients_parse(&c, "", &fault));
	assert_false(clients_parse(&c, "192.0.2.1,", &fault));
	assert_false(clients_parse(&c, "192.0.2.1-9", &fault));
	assert_false(clients_parse(&c, "0.0.0.0/0", &fault));
	memset(&c, 0, sizeof(c));
	assert_true(clients_parse(&c, "192.0.2.1", &fault));
	assert_false(clients_have_family(&c, false));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_one_target_is_one),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_loops),
		cmocka_unit_test(test_sources),
		cmocka_unit_test(test_clients),
		cmocka_unit_test(test_clients_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
