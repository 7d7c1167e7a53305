// SPDX-License-Identifier: BSD-2-Clause
/* Who may connect and what is here, by the addresses that this host has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ifaddrs.h>
#include <stdlib.h>
#include <string.h>

#include "base/opts.h"
#include "io/link_access.h"
#include "io/sockaddr.h"

#define T0 5000000u

static struct addr_prefix allow[2];
static struct link_access *la;

static struct ip_addr addr(const char *text)
{
	struct ip_addr a;

	assert_true(opts_addr(text, &a));
	return a;
}

static bool may(const char *text)
{
	struct ip_addr a = addr(text);

	return link_access_may_connect(la, &a, T0);
}

static bool own(const char *text)
{
	struct ip_addr a = addr(text);

	return link_access_is_own(la, &a, T0);
}

static void open_with(size_t allow_count)
{
	struct opts_fault fault;

	assert_true(opts_prefix("203.0.113.64/26", &allow[0], &fault));
	assert_true(opts_prefix("2001:db8:7::/48", &allow[1], &fault));
	assert_int_equal(link_access_open(&la, allow, allow_count, T0), 0);
}

static void test_this_host(void **state)
{
	struct ifaddrs *list;
	struct ip_addr a;
	unsigned seen = 0;

	(void)state;
	open_with(0);
	assert_int_equal(getifaddrs(&list), 0);
	for (const struct ifaddrs *at = list; at; at = at->ifa_next) {
		if (!sockaddr_to_addr(at->ifa_addr, &a))
			continue;
		seen++;
		assert_true(link_access_may_connect(la, &a, T0));
		assert_true(link_access_is_own(la, &a, T0));
	}
	freeifaddrs(list);
	assert_true(seen > 0);
	assert_true(may("127.0.0.1") && may("127.9.9.9") && may("::1"));
	assert_true(own("127.0.0.1") && own("::1"));
	link_access_free(la);
}

static void test_nobody_else(void **state)
{
	(void)state;
	open_with(0);
	assert_false(may("203.0.113.77") || may("2001:db8:7::1"));
	assert_false(may("0.0.0.0") || may("::"));
	assert_false(own("203.0.113.77") || own("2001:db8:7::1"));
	assert_false(own("0.0.0.0") || own("::"));
	link_access_free(la);
}

static void test_allow_widens(void **state)
{
	(void)state;
	open_with(2);
	assert_true(may("203.0.113.64") && may("203.0.113.127"));
	assert_false(may("203.0.113.63") || may("203.0.113.128"));
	assert_true(may("2001:db8:7:ffff::1"));
	assert_false(may("2001:db8:8::1"));
	assert_true(may("127.0.0.1"));
	assert_false(own("203.0.113.64"));
	link_access_free(la);
}

/* The answer is the same when the addresses have been read again. */
static void test_read_again(void **state)
{
	struct ip_addr here = addr("127.0.0.1"), far = addr("203.0.113.1");

	(void)state;
	open_with(1);
	for (uint64_t now = T0; now < T0 + 30000000; now += 700000) {
		assert_true(link_access_may_connect(la, &here, now));
		assert_false(link_access_may_connect(la, &far, now));
		assert_false(link_access_is_own(la, &far, now));
	}
	link_access_free(la);
}

static void test_text(void **state)
{
	char text[1024], small[24];

	(void)state;
	open_with(2);
	link_access_text(la, text, sizeof(text));
	assert_non_null(strstr(text, "203.0.113.64/26"));
	assert_non_null(strstr(text, "2001:db8:7::/48"));
	assert_null(strstr(text, "127.0.0."));
	link_access_text(la, small, sizeof(small));
	assert_memory_equal(small, text, sizeof(small) - 1);
	link_access_free(la);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_this_host),
		cmocka_unit_test(test_nobody_else),
		cmocka_unit_test(test_allow_widens),
		cmocka_unit_test(test_read_again),
		cmocka_unit_test(test_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
