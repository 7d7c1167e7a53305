// SPDX-License-Identifier: BSD-2-Clause
/* Sequence numbers on their circle. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/seq.h"
#include "../helpers/dice.h"

static void check_pair(uint32_t a, uint32_t ahead)
{
	uint32_t b = a + ahead;

	assert_int_equal(seq_diff(b, a), (int32_t)ahead);
	assert_int_equal(seq_diff(a, b), -(int32_t)ahead);
	assert_true(seq_gt(b, a) && seq_geq(b, a));
	assert_true(seq_lt(a, b) && seq_leq(a, b));
	assert_false(seq_gt(a, b) || seq_geq(a, b));
	assert_false(seq_lt(b, a) || seq_leq(b, a));
	assert_true(seq_max(a, b) == b && seq_max(b, a) == b);
	assert_true(seq_min(a, b) == a && seq_min(b, a) == a);
}

static void test_across_the_wrap(void **state)
{
	static const uint32_t from[] = {0,	     1,		  0x7fffffffu,
					0x80000000u, 0xfffffff0u, 0xffffffffu};

	(void)state;
	for (size_t i = 0; i < sizeof(from) / sizeof(from[0]); i++) {
		check_pair(from[i], 1);
		check_pair(from[i], 1000);
		check_pair(from[i], 0x7fffffffu);
	}
}

static void test_any(void **state)
{
	struct dice dice = {1};

	(void)state;
	for (int i = 0; i < 10000; i++)
		check_pair((uint32_t)dice_u64(&dice),
			   1 + dice_below(&dice, 0x7fffffffu));
}

static void test_equal(void **state)
{
	(void)state;
	assert_int_equal(seq_diff(7, 7), 0);
	assert_true(seq_leq(7, 7) && seq_geq(7, 7));
	assert_false(seq_lt(7, 7) || seq_gt(7, 7));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_across_the_wrap),
		cmocka_unit_test(test_any),
		cmocka_unit_test(test_equal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
