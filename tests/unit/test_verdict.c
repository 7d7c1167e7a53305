// SPDX-License-Identifier: BSD-2-Clause
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/verdict.h"

static struct ip_addr v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
	return addr_from_v4((const uint8_t[4]){a, b, c, d});
}

static struct ip_addr v6(uint8_t first, uint8_t last)
{
	struct ip_addr a = {{0}};

	a.b[0] = first;
	a.b[15] = last;
	return a;
}

static enum verdict with(struct addr_prefix one, struct ip_addr destination)
{
	return verdict_for(&one, 1, &destination);
}

static void test_zero_is_drop(void **state)
{
	(void)state;
	assert_int_equal(VERDICT_DROP, 0);
}

static void test_empty_list(void **state)
{
	struct ip_addr a = v4(127, 0, 0, 1);

	(void)state;
	assert_int_equal(verdict_for(NULL, 0, &a), VERDICT_DROP);
}

static void test_one_address(void **state)
{
	struct addr_prefix four = {v4(192, 0, 2, 7), 128};
	struct addr_prefix six = {v6(0x20, 7), 128};

	(void)state;
	assert_int_equal(with(four, v4(192, 0, 2, 7)), VERDICT_ACCEPT);
	assert_int_equal(with(four, v4(192, 0, 2, 6)), VERDICT_DROP);
	assert_int_equal(with(four, v4(193, 0, 2, 7)), VERDICT_DROP);
	assert_int_equal(with(six, v6(0x20, 7)), VERDICT_ACCEPT);
	assert_int_equal(with(six, v6(0x20, 6)), VERDICT_DROP);
}

static void test_prefixes(void **state)
{
	struct addr_prefix net = {v4(10, 1, 0, 0), 96 + 15};
	struct addr_prefix all_v4 = {v4(0, 0, 0, 0), 96};

	(void)state;
	assert_int_equal(with(net, v4(10, 0, 255, 255)), VERDICT_ACCEPT);
	assert_int_equal(with(net, v4(10, 1, 255, 255)), VERDICT_ACCEPT);
	assert_int_equal(with(net, v4(10, 2, 0, 0)), VERDICT_DROP);
	assert_int_equal(with(all_v4, v4(203, 0, 113, 1)), VERDICT_ACCEPT);
	assert_int_equal(with(all_v4, v6(0x20, 1)), VERDICT_DROP);
}

static void test_any_of_several(void **state)
{
	struct addr_prefix list[] = {{v4(192, 0, 2, 1), 128},
				     {v6(0xfd, 0), 8},
				     {v4(198, 51, 100, 0), 96 + 24}};
	struct ip_addr in = v4(198, 51, 100, 9), out = v4(198, 51, 101, 9);
	struct ip_addr six = v6(0xfd, 3);

	(void)state;
	assert_int_equal(verdict_for(list, 3, &in), VERDICT_ACCEPT);
	assert_int_equal(verdict_for(list, 2, &in), VERDICT_DROP);
	assert_int_equal(verdict_for(list, 3, &six), VERDICT_ACCEPT);
	assert_int_equal(verdict_for(list, 3, &out), VERDICT_DROP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_zero_is_drop),
		cmocka_unit_test(test_empty_list),
		cmocka_unit_test(test_one_address),
		cmocka_unit_test(test_prefixes),
		cmocka_unit_test(test_any_of_several),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
