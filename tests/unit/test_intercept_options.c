// SPDX-License-Identifier: BSD-2-Clause
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "intercept/options.h"

#define ARGS_MAX 8

/* Parses a NULL-terminated list of words. */
static bool parse(struct options *o, struct opts_fault *fault,
		  const char *const words[])
{
	char *argv[ARGS_MAX + 2] = {(char *)"intercept"};
	int argc = 1;

	for (; words[argc - 1]; argc++)
		argv[argc] = (char *)words[argc - 1];
	return options_parse(o, argc, argv, fault);
}

static void assert_prefix(const struct addr_prefix *p, const char *addr,
			  unsigned len)
{
	char text[ADDR_TEXT_MAX];

	assert_string_equal(addr_text(&p->addr, text), addr);
	assert_int_equal(p->len, len);
}

static void test_defaults(void **state)
{
	struct options o;
	struct opts_fault fault;

	(void)state;
	assert_true(parse(&o, &fault, (const char *[]){NULL}));
	assert_int_equal(o.port, 36524);
	assert_true(addr_is_none(&o.address));
	assert_int_equal(o.queue_num, 0);
	assert_int_equal(o.queue_length, 65536);
	assert_int_equal(o.passlist.count, 0);
	assert_false(o.service.daemon);
	options_free(&o);
}

static void test_letters(void **state)
{
	struct options o;
	struct opts_fault fault;

	(void)state;
	assert_true(parse(&o, &fault,
			  (const char *[]){"-p", "1", "-b", "::1", "-q", "32",
					   "-n7", "-d", NULL}));
	assert_int_equal(o.port, 1);
	assert_false(addr_is_none(&o.address));
	assert_int_equal(o.queue_length, 32);
	assert_int_equal(o.records, 7);
	assert_true(o.service.daemon);
	options_free(&o);
}

static void test_long_forms(void **state)
{
	struct options o;
	struct opts_fault fault;

	(void)state;
	assert_true(parse(&o, &fault,
			  (const char *[]){"--port=65535", "--bind=192.0.2.1",
					   "--queue-num=65535",
					   "--queue-length=65536",
					   "--records=65535", NULL}));
	assert_int_equal(o.port, 65535);
	assert_true(addr_is_v4(&o.address));
	assert_int_equal(o.queue_num, 65535);
	assert_int_equal(o.queue_length, 65536);
	assert_int_equal(o.records, 65535);
	options_free(&o);
}

static void test_passlist(void **state)
{
	struct options o;
	struct opts_fault fault;

	(void)state;
	assert_true(
		parse(&o, &fault,
		      (const char *[]){"-x", "192.0.2.1, 198.51.100.0/24 ,::1",
				       "--passlist", "2001:db8::/32", NULL}));
	assert_int_equal(o.passlist.count, 4);
	assert_prefix(&o.passlist.items[0], "192.0.2.1", 128);
	assert_prefix(&o.passlist.items[1], "198.51.100.0", 120);
	assert_prefix(&o.passlist.items[2], "::1", 128);
	assert_prefix(&o.passlist.items[3], "2001:db8::", 32);
	options_free(&o);
}

static void test_allow(void **state)
{
	struct options o;
	struct opts_fault fault;

	(void)state;
	assert_true(parse(&o, &fault,
			  (const char *[]){"--allow", "192.0.2.0/24,::/0",
					   "--allow=203.0.113.7", NULL}));
	assert_int_equal(o.allow.count, 3);
	assert_prefix(&o.allow.items[0], "192.0.2.0", 120);
	assert_prefix(&o.allow.items[1], "::", 0);
	assert_prefix(&o.allow.items[2], "203.0.113.7", 128);
	assert_int_equal(o.passlist.count, 0);
	options_free(&o);
}

static void test_relay(void **state)
{
	struct options o;
	struct opts_fault fault;

	(void)state;
	assert_true(parse(&o, &fault, (const char *[]){NULL}));
	assert_int_equal(o.relay_count, 0);
	options_free(&o);
	assert_true(parse(&o, &fault,
			  (const char *[]){"--relay", "80,443", "--relay",
					   "443,8080", "--guard", "81", NULL}));
	assert_int_equal(o.relay_count, 3);
	assert_int_equal(o.relay_ports[2], 8080);
	assert_int_equal(o.guard_count, 1);
	options_free(&o);
}

static void test_guard(void **state)
{
	struct options o;
	struct opts_fault fault;

	(void)state;
	assert_true(parse(&o, &fault,
			  (const char *[]){"--guard", "80, 443,80", "--guard",
					   "8080", NULL}));
	assert_true(o.guard);
	assert_false(o.unguard);
	assert_int_equal(o.guard_count, 3);
	assert_int_equal(o.guard_ports[0], 80);
	assert_int_equal(o.guard_ports[1], 443);
	assert_int_equal(o.guard_ports[2], 8080);
	options_free(&o);
	assert_true(parse(&o, &fault,
			  (const char *[]){"--unguard", "36524", NULL}));
	assert_true(o.unguard);
	assert_int_equal(o.guard_ports[0], 36524);
	options_free(&o);
	assert_true(parse(
		&o, &fault,
		(const char *[]){"--guard", "80", "--print-rules", NULL}));
	assert_true(o.print_rules);
	options_free(&o);
}

static void test_options_that_do_not_go_together(void **state)
{
	struct options o;
	struct opts_fault fault;

	(void)state;
	assert_false(parse(
		&o, &fault,
		(const char *[]){"--unguard", "80", "--guard", "81", NULL}));
	assert_string_equal(fault.text, "--unguard: not together with --guard");
	options_free(&o);
	assert_false(parse(
		&o, &fault,
		(const char *[]){"--unguard", "80", "--print-rules", NULL}));
	assert_string_equal(fault.text,
			    "--print-rules: only together with --guard");
	options_free(&o);
}

static void test_workers(void **state)
{
	struct options o;
	struct opts_fault fault;

	(void)state;
	assert_true(parse(&o, &fault, (const char *[]){NULL}));
	assert_int_equal(o.workers, 1);
	options_free(&o);
	assert_true(parse(&o, &fault,
			  (const char *[]){"--workers", "32", "-p", "65504",
					   "--queue-num", "65504", NULL}));
	assert_int_equal(o.workers, 32);
	options_free(&o);
	assert_false(parse(
		&o, &fault,
		(const char *[]){"--workers", "32", "-p", "65505", NULL}));
	assert_string_equal(fault.text, "--workers 32: -p must be at most "
					"65504 with so many");
	options_free(&o);
	assert_false(parse(&o, &fault,
			   (const char *[]){"--workers", "2", "--queue-num",
					    "65535", NULL}));
	assert_string_equal(fault.text, "--workers 2: --queue-num must be at "
					"most 65534 with so many");
	options_free(&o);
	assert_false(parse(
		&o, &fault,
		(const char *[]){"--workers", "2", "--guard", "36525", NULL}));
	assert_string_equal(fault.text,
			    "--guard 36525: is the port of the links (-p), "
			    "and not the application's");
	options_free(&o);
}

static void test_refusals(void **state)
{
	static const struct {
		const char *words[4];
		const char *says; /* besides option and value */
	} cases[] = {
		{{"-p", "0"}, "1 to 65535"},
		{{"-p", "65536"}, "1 to 65535"},
		{{"-p", "http"}, "1 to 65535"},
		{{"-b", "localhost"}, "IPv4 or IPv6 address"},
		{{"-b", "224.0.0.1"}, "address of this host"},
		{{"-b", "255.255.255.255"}, "address of this host"},
		{{"-b", "ff02::1"}, "address of this host"},
		{{"--guard", "0"}, "1 to 65535"},
		{{"--relay", "0"}, "1 to 65535"},
		{{"--relay", "80,"}, "PORT"},
		{{"--relay", ""}, "PORT"},
		{{"--guard", "80,65536"}, "1 to 65535"},
		{{"--guard", "80,"}, "PORT"},
		{{"--guard", ""}, "PORT"},
		{{"--guard", "36524"}, "port of the links"},
		{{"--relay", "36524"}, "port of the links"},
		{{"--guard", "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17"},
		 "at most 16 ports"},
		{{"--unguard", "http"}, "1 to 65535"},
		{{"--queue-num", "65536"}, "0 to 65535"},
		{{"--queue-num", "-1"}, "0 to 65535"},
		{{"--workers", "0"}, "1 to 32"},
		{{"--workers", "33"}, "1 to 32"},
		{{"--workers", "x"}, "1 to 32"},
		{{"-q", "0"}, "1 to 65536"},
		{{"-q", "65537"}, "1 to 65536"},
		{{"-n", "0"}, "1 to 65535"},
		{{"-n", "65536"}, "1 to 65535"},
		{{"-x", ""}, "ADDRESS/LENGTH"},
		{{"-x", "192.0.2.1,,192.0.2.2"}, "ADDRESS/LENGTH"},
		{{"-x", "192.0.2.1/33"}, "0 to 32"},
		{{"-x", "2001:db8::/129"}, "0 to 128"},
		{{"-x", "example"}, "neither ADDRESS nor"},
		{{"-x", "0.0.0.0/0"}, "every answer"},
		{{"-x", "::/0"}, "every answer"},
		{{"--allow", ""}, "ADDRESS/LENGTH"},
		{{"--allow", "192.0.2.0/33"}, "0 to 32"},
		{{"--log-level", "loud"}, "error, warn, info or debug"},
		{{"--stats", "0"}, "0.1 to 86400"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct options o;
		struct opts_fault fault;

		if (parse(&o, &fault, cases[i].words))
			fail_msg("taken: %s %s", cases[i].words[0],
				 cases[i].words[1]);
		if (!strstr(fault.text, cases[i].words[0]) ||
		    !strstr(fault.text, cases[i].words[1]) ||
		    !strstr(fault.text, cases[i].says))
			fail_msg("\"%s\" lacks \"%s\"", fault.text,
				 cases[i].says);
		assert_null(strchr(fault.text, '\n'));
		options_free(&o);
	}
}

static void test_help_fits_a_screen(void **state)
{
	char *text = NULL;
	size_t len = 0;
	unsigned lines = 0;
	FILE *f = open_memstream(&text, &len);

	(void)state;
	assert_non_null(f);
	options_help(f);
	fclose(f);
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		assert_true(strlen(line) <= 80);
		lines++;
	}
	assert_in_range(lines, 10, 39);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_letters),
		cmocka_unit_test(test_long_forms),
		cmocka_unit_test(test_passlist),
		cmocka_unit_test(test_guard),
		cmocka_unit_test(test_relay),
		cmocka_unit_test(test_options_that_do_not_go_together),
		cmocka_unit_test(test_allow),
		cmocka_unit_test(test_workers),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_help_fits_a_screen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
