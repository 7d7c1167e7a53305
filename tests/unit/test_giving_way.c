// SPDX-License-Identifier: BSD-2-Clause
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tcpcopy/giving_way.h"

#define LOOKS_A_SECOND (1000 / GIVING_WAY_EACH_MS)

static void test_a_step_each_time(void **state)
{
	struct giving_way g;

	(void)state;
	giving_way_init(&g, 3);
	assert_int_equal(g.steps, 0);
	assert_true(giving_way_look(&g));
	assert_int_equal(g.steps, 1);
	assert_true(giving_way_look(&g));
	assert_false(giving_way_look(&g));
	assert_int_equal(g.steps, 3);
	assert_false(giving_way_look(&g));
	assert_int_equal(g.steps, 3);
}

static void test_none_for_a_second(void **state)
{
	struct giving_way g;

	(void)state;
	giving_way_init(&g, 2);
	giving_way_look(&g);
	giving_way_look(&g);
	giving_way_stop(&g);
	assert_int_equal(g.steps, 0);
	for (unsigned i = 0; i < LOOKS_A_SECOND - 1; i++)
		assert_true(giving_way_look(&g));
	giving_way_stop(&g); /* the second begins anew */
	for (unsigned i = 0; i < LOOKS_A_SECOND; i++)
		assert_true(giving_way_look(&g));
	assert_int_equal(g.steps, 0);
	assert_true(giving_way_look(&g));
	assert_int_equal(g.steps, 1);
	assert_false(giving_way_look(&g));
}

static void test_never(void **state)
{
	struct giving_way g;

	(void)state;
	giving_way_init(&g, 0);
	assert_false(giving_way_look(&g));
	assert_int_equal(g.steps, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_step_each_time),
		cmocka_unit_test(test_none_for_a_second),
		cmocka_unit_test(test_never),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
