// SPDX-License-Identifier: BSD-2-Clause
/* With a directory of our own in the place of /proc/self/net: no kernel has its
 * files come and go for a test. What a real one has in them, the lab sees. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "io/nat_legacy.h"
#include "../helpers/temp_file.h"

static char dir[TEMP_ROOM];
static const char *const names[] = {"protocols", "ip_tables_names",
				    "ip6_tables_names"};

static const char *path_of(const char *name)
{
	static char path[TEMP_ROOM + 32];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void put(const char *name, const char *text)
{
	FILE *f = fopen(path_of(name), "we");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static int make(void **state)
{
	(void)state;
	return mkdtemp(temp_template(dir, "nat-legacy")) ? 0 : -1;
}

static int remove_all(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		unlink(path_of(names[i]));
	return rmdir(dir);
}

static enum nat_answer ask_once(void)
{
	struct nat_legacy n;
	enum nat_answer answer;

	nat_legacy_open(&n, dir);
	answer = nat_legacy_ask(&n);
	nat_legacy_close(&n);
	return answer;
}

static void names_are_read(void **state)
{
	static const struct {
		const char *v4, *v6;
		enum nat_answer answer;
	} cases[] = {
		{"", "", NAT_NONE},
		{"filter\nmangle\n", "security\n", NAT_NONE},
		{"filter\nraw\n", "", NAT_SOME},
		{"nat\n", "", NAT_SOME},
		{"filter\nnat\nraw\n", "", NAT_SOME},
		{"", "filter\nnat\n", NAT_SOME},
		{"nation\nxnat\n", "binat\nnat64\n", NAT_NONE},
	};

	(void)state;
	put("protocols", "");
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		put("ip_tables_names", cases[i].v4);
		put("ip6_tables_names", cases[i].v6);
		assert_int_equal(ask_once(), cases[i].answer);
	}
}

static void without_iptables_there_is_none(void **state)
{
	(void)state;
	put("protocols", "");
	assert_int_equal(ask_once(), NAT_NONE);
	put("ip6_tables_names", "nat\n");
	assert_int_equal(ask_once(), NAT_SOME);
}

static void without_proc_it_is_not_known(void **state)
{
	(void)state;
	assert_int_equal(ask_once(), NAT_UNTOLD);
}

static void more_than_it_reads_is_not_known(void **state)
{
	char text[400];

	(void)state;
	put("protocols", "");
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	put("ip_tables_names", text);
	assert_int_equal(ask_once(), NAT_UNTOLD);
}

static void who_may_not_read_does_not_know(void **state)
{
	struct nat_legacy n;

	(void)state;
	put("protocols", "");
	nat_legacy_open(&n, dir);
	/* Whom no right stops meets a loop of links. */
	assert_int_equal(symlink("ip_tables_names", path_of("ip_tables_names")),
			 0);
	assert_int_equal(nat_legacy_ask(&n), NAT_UNTOLD);
	nat_legacy_close(&n);
}

static void tables_come_while_it_is_open(void **state)
{
	struct nat_legacy n;

	(void)state;
	put("protocols", "");
	nat_legacy_open(&n, dir);
	assert_int_equal(nat_legacy_ask(&n), NAT_NONE);
	put("ip_tables_names", "filter\n");
	put("ip6_tables_names", "");
	assert_int_equal(nat_legacy_ask(&n), NAT_NONE);
	put("ip_tables_names", "filter\nnat\n");
	assert_int_equal(nat_legacy_ask(&n), NAT_SOME);
	put("ip_tables_names", "filter\n");
	assert_int_equal(nat_legacy_ask(&n), NAT_NONE);
	nat_legacy_close(&n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(names_are_read, make,
						remove_all),
		cmocka_unit_test_setup_teardown(without_iptables_there_is_none,
						make, remove_all),
		cmocka_unit_test_setup_teardown(without_proc_it_is_not_known,
						make, remove_all),
		cmocka_unit_test_setup_teardown(more_than_it_reads_is_not_known,
						make, remove_all),
		cmocka_unit_test_setup_teardown(who_may_not_read_does_not_know,
						make, remove_all),
		cmocka_unit_test_setup_teardown(tables_come_while_it_is_open,
						make, remove_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
