// SPDX-License-Identifier: BSD-2-Clause
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tcpcopy/cpu_limit.h"

static void test_each_time_by_itself(void **state)
{
	struct cpu_limit c;

	(void)state;
	cpu_limit_init(&c, 30, 1, 5000000, 1000);
	assert_false(cpu_limit_is_over(&c, 5030000, 101000));
	assert_true(cpu_limit_is_over(&c, 5060001, 201000));
	assert_false(cpu_limit_is_over(&c, 5060001, 301000));
	/* late: of the time that has really passed */
	assert_false(cpu_limit_is_over(&c, 5360001, 1301000));
	assert_true(cpu_limit_is_over(&c, 5361000, 1302000));
}

static void test_a_part_each(void **state)
{
	struct cpu_limit c;

	(void)state;
	/* a third of 1 % of 100 ms */
	cpu_limit_init(&c, 1, 3, 0, 0);
	assert_false(cpu_limit_is_over(&c, 333, 100000));
	assert_true(cpu_limit_is_over(&c, 333 + 334, 200000));
}

static void test_nothing_passed(void **state)
{
	struct cpu_limit c;

	(void)state;
	cpu_limit_init(&c, 1, 0, 0, 0);
	assert_false(cpu_limit_is_over(&c, 0, 0));
}

static void test_used_grows(void **state)
{
	uint64_t before = cpu_used_us();
	volatile unsigned n = 0;

	(void)state;
	while (cpu_used_us() == before)
		n++;
	assert_true(cpu_used_us() > before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_time_by_itself),
		cmocka_unit_test(test_a_part_each),
		cmocka_unit_test(test_nothing_passed),
		cmocka_unit_test(test_used_grows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
