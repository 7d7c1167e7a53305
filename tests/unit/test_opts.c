// SPDX-License-Identifier: BSD-2-Clause
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/opts.h"

static struct opts_fault fault;

static void test_number(void **state)
{
	uint64_t v = 99;

	(void)state;
	assert_true(opts_number("1", "copies", 1, 1023, &v, &fault));
	assert_int_equal(v, 1);
	assert_true(opts_number("1023", "copies", 1, 1023, &v, &fault));
	assert_int_equal(v, 1023);
	assert_true(opts_number("007", "copies", 1, 1023, &v, &fault));
	assert_int_equal(v, 7);
	v = 99;
	assert_false(opts_number("2000", "copies", 1, 1023, &v, &fault));
	assert_string_equal(fault.text, "copies must be 1 to 1023");
	assert_int_equal(v, 99);
}

static void test_number_refuses(void **state)
{
	static const char *const bad[] = {"",
					  "0",
					  "1024",
					  "-1",
					  "+1",
					  " 1",
					  "1 ",
					  "0x1",
					  "1e2",
					  "1.0",
					  "one",
					  "1,2",
					  "18446744073709551617",
					  "99999999999999999999999"};
	uint64_t v;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(opts_number(bad[i], "n", 1, 1023, &v, &fault));
	assert_true(opts_number("18446744073709551615", "n", 0, UINT64_MAX, &v,
				&fault));
	assert_int_equal(v, UINT64_MAX);
}

static void test_decimal(void **state)
{
	static const char *const bad[] = {"",	 ".",	"1.2.3",  "-1",	  "1e3",
					  "inf", "nan", "0.0009", "10.1", "1 "};
	double v;

	(void)state;
	assert_true(opts_decimal("0.5", "x", 0.001, 10, &v, &fault));
	assert_true(v > 0.49 && v < 0.51);
	assert_true(opts_decimal(".5", "x", 0.001, 10, &v, &fault));
	assert_true(opts_decimal("10", "x", 0.001, 10, &v, &fault));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(opts_decimal(bad[i], "x", 0.001, 10, &v, &fault));
	assert_string_equal(fault.text, "x must be 0.001 to 10");
}

static void test_seconds(void **state)
{
	uint64_t us;

	(void)state;
	assert_true(opts_seconds("1.5", "s", 0, 100, &us, &fault));
	assert_int_equal(us, 1500000);
	assert_true(opts_seconds("0.001", "s", 0, 100, &us, &fault));
	assert_int_equal(us, 1000);
}

static void test_items(void **state)
{
	const char *list = " a , b\t,c d,e";
	char item[8];

	(void)state;
	assert_int_equal(opts_item(&list, item, sizeof(item)), 1);
	assert_string_equal(item, "a");
	assert_int_equal(opts_item(&list, item, sizeof(item)), 1);
	assert_string_equal(item, "b");
	assert_int_equal(opts_item(&list, item, sizeof(item)), 1);
	assert_string_equal(item, "c d");
	assert_int_equal(opts_item(&list, item, sizeof(item)), 1);
	assert_string_equal(item, "e");
	assert_int_equal(opts_item(&list, item, sizeof(item)), 0);
}

static int first_bad(const char *list, size_t cap)
{
	char item[16];
	int rc;

	do {
		rc = opts_item(&list, item, cap);
	} while (rc > 0);
	return rc;
}

static void test_items_refused(void **state)
{
	(void)state;
	assert_int_equal(first_bad("", 16), -EINVAL);
	assert_int_equal(first_bad("a,", 16), -EINVAL);
	assert_int_equal(first_bad(",a", 16), -EINVAL);
	assert_int_equal(first_bad("a, ,b", 16), -EINVAL);
	assert_int_equal(first_bad("abcd", 5), 0);
	assert_int_equal(first_bad("abcde", 5), -EINVAL);
}

static void assert_addr(const struct ip_addr *a, const char *text)
{
	char buf[ADDR_TEXT_MAX];

	assert_string_equal(addr_text(a, buf), text);
}

static void test_addresses(void **state)
{
	struct ip_addr a;

	(void)state;
	assert_true(opts_addr("192.0.2.1", &a));
	assert_addr(&a, "192.0.2.1");
	assert_true(opts_addr("2001:db8::1", &a));
	assert_addr(&a, "2001:db8::1");
	assert_true(opts_addr("[2001:db8::1]", &a));
	assert_addr(&a, "2001:db8::1");
	assert_false(opts_addr("", &a));
	assert_false(opts_addr("[]", &a));
	assert_false(opts_addr("192.0.2", &a));
	assert_false(opts_addr("192.0.2.256", &a));
	assert_false(opts_addr("[192.0.2.1]", &a));
	assert_false(opts_addr("[::1", &a));
	assert_false(opts_addr("fe80::1%eth0", &a));
	assert_false(opts_addr("localhost", &a));
}

static void test_hosts(void **state)
{
	struct ip_addr a;

	(void)state;
	assert_true(opts_host("localhost", &a, &fault));
	assert_true(addr_is_loopback(&a));
	/* What looks like a wrong address is not looked up. */
	assert_false(opts_host("1.2.3", &a, &fault));
	assert_string_equal(fault.text, "1.2.3 is not an address");
	assert_false(opts_host("1::2::3", &a, &fault));
	assert_false(opts_host("two words", &a, &fault));
}

static void assert_prefix(const char *text, const char *addr, unsigned len)
{
	struct addr_prefix p;

	assert_true(opts_prefix(text, &p, &fault));
	assert_addr(&p.addr, addr);
	assert_int_equal(p.len, len);
}

static void test_prefixes(void **state)
{
	struct addr_prefix p;

	(void)state;
	assert_prefix("10.0.0.0/8", "10.0.0.0", 104);
	assert_prefix("192.0.2.7", "192.0.2.7", 128);
	assert_prefix("0.0.0.0/0", "0.0.0.0", 96);
	assert_prefix("2001:db8::/32", "2001:db8::", 32);
	assert_prefix("::1", "::1", 128);
	assert_false(opts_prefix("10.0.0.0/33", &p, &fault));
	assert_string_equal(fault.text,
			    "the length of a prefix must be 0 to 32");
	assert_false(opts_prefix("2001:db8::/129", &p, &fault));
	assert_false(opts_prefix("10.0.0.0/", &p, &fault));
	assert_false(opts_prefix("/8", &p, &fault));
	assert_false(opts_prefix("ten/8", &p, &fault));
}

static void assert_range(const char *text, const char *first, unsigned count)
{
	struct addr_range r;

	assert_true(opts_range(text, &r, &fault));
	assert_addr(&r.first, first);
	assert_int_equal(r.count, count);
}

static void test_ranges(void **state)
{
	struct addr_range r;

	(void)state;
	assert_range("62.135.200.x", "62.135.200.1", 254);
	assert_range("192.0.2.77/24", "192.0.2.1", 254);
	assert_range("192.0.2.77", "192.0.2.77", 1);
	assert_range("192.0.2.76/31", "192.0.2.76", 2);
	assert_range("10.0.0.0/8", "10.0.0.1", (1u << 24) - 2);
	assert_range("2001:db8::/120", "2001:db8::", 256);
	assert_false(opts_range("10.0.0.0/7", &r, &fault));
	assert_false(opts_range("2001:db8::/64", &r, &fault));
	assert_false(opts_range("62.135.x", &r, &fault));
	assert_false(opts_range("x", &r, &fault));
	assert_false(opts_range(".x", &r, &fault));
}

static void assert_endpoint(const char *text, const char *want)
{
	char buf[ENDPOINT_TEXT_MAX];
	struct endpoint e;

	assert_true(opts_endpoint(text, 36524, &e, &fault));
	assert_string_equal(endpoint_text(&e, buf), want);
}

static void test_endpoints(void **state)
{
	static const char *const bad[] = {
		"",	  ":80",     "1.2.3.4:", "1.2.3.4:0", "1.2.3.4:x",
		"[::1]:", "[::1]80", "[::1:80",	 "::1]:80"};
	struct endpoint e;

	(void)state;
	assert_endpoint("192.0.2.1", "192.0.2.1:36524");
	assert_endpoint("192.0.2.1:80", "192.0.2.1:80");
	assert_endpoint("[2001:db8::1]:80", "[2001:db8::1]:80");
	assert_endpoint("[2001:db8::1]", "[2001:db8::1]:36524");
	assert_endpoint("2001:db8::1", "[2001:db8::1]:36524");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(opts_endpoint(bad[i], 36524, &e, &fault));
}

/* ---- parsing a command line ---- */

static bool take(void *ctx, int id, const char *value, struct opts_fault *f)
{
	char *log = ctx;

	if (id == 'n' && strcmp(value, "1") != 0)
		return opts_fail(f, "copies must be 1");
	sprintf(log + strlen(log), "%d=%s ", id, value ? value : "");
	return true;
}

static const struct opt table[] = {{'n', "copies", "N", "number"},
				   {'d', "daemon", NULL, "background"},
				   {300, "json", "FILE", "reports"},
				   {'l', "log", "FILE", NULL},
				   {301, "level", "LEVEL", NULL},
				   {'h', "help", NULL, "three on one line"},
				   {302, "user", "USER", NULL},
				   {'v', "version", NULL, "two"}};

static const struct opts_program program = {.name = "prog",
					    .usage = "Usage: prog\n",
					    .table = table,
					    .count = 8,
					    .take = take};

/* Words are separated by single spaces. The log of take(), or the fault. */
static const char *parse(const char *line)
{
	static char log[256];
	char copy[256], *argv[16] = {(char *)"prog"};
	int argc = 1;

	log[0] = '\0';
	strcpy(copy, line);
	for (char *w = strtok(copy, " "); w; w = strtok(NULL, " "))
		argv[argc++] = w;
	return opts_parse(&program, argc, argv, log, &fault) ? log : fault.text;
}

static void test_parse(void **state)
{
	(void)state;
	assert_string_equal(parse(""), "");
	assert_string_equal(parse("-n 1 -d"), "110=1 100= ");
	assert_string_equal(parse("-n1 --daemon"), "110=1 100= ");
	assert_string_equal(parse("--copies=1 --json x"), "110=1 300=x ");
	assert_string_equal(parse("-dn 1"), "100= 110=1 ");
}

static void test_parse_refuses(void **state)
{
	(void)state;
	assert_string_equal(parse("-n 2"), "-n 2: copies must be 1");
	assert_string_equal(parse("--copies 2"),
			    "--copies 2: copies must be 1");
	assert_string_equal(parse("-n"), "-n: needs a value, N");
	assert_string_equal(parse("--json"), "--json: needs a value, FILE");
	assert_string_equal(parse("-q"), "-q: no such option, see --help");
	assert_string_equal(parse("--quick"),
			    "--quick: no such option, see --help");
	assert_string_equal(parse("--daemon=3"), "--daemon=3: takes no value");
	assert_string_equal(parse("-d file"),
			    "file: not an option, see --help");
}

static void test_fault_is_one_line(void **state)
{
	(void)state;
	assert_string_equal(parse("-n 2\n\t\x7f\x1b[m"),
			    "-n 2????[m: copies must be 1");
	assert_string_equal(parse("--qu\nick"),
			    "--qu?ick: no such option, see --help");
	assert_string_equal(parse("fi\r\nle"),
			    "fi??le: not an option, see --help");
	assert_string_equal(parse("-n \xc3\xa4"),
			    "-n \xc3\xa4: copies must be 1");
}

static void test_help(void **state)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	(void)state;
	opts_help(&program, out);
	fclose(out);
	assert_string_equal(text,
			    "Usage: prog\n"
			    "  -n, --copies N            number\n"
			    "  -d, --daemon              background\n"
			    "      --json FILE           reports\n"
			    "  -l, --log FILE, --level LEVEL, -h, --help  "
			    "three on one line\n"
			    "      --user USER, -v, --version  two\n");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_number),
		cmocka_unit_test(test_number_refuses),
		cmocka_unit_test(test_decimal),
		cmocka_unit_test(test_seconds),
		cmocka_unit_test(test_items),
		cmocka_unit_test(test_items_refused),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_prefixes),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_endpoints),
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_parse_refuses),
		cmocka_unit_test(test_fault_is_one_line),
		cmocka_unit_test(test_help),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
