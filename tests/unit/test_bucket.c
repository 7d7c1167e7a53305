// SPDX-License-Identifier: BSD-2-Clause
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/bucket.h"

static struct bucket b;

static void test_no_limit(void **state)
{
	(void)state;
	bucket_init(&b, 0, 5);
	for (int i = 0; i < 1000; i++)
		bucket_use(&b, 1000000, 5);
	assert_false(bucket_is_empty(&b, 5));
}

/* A tenth of a second's worth may be used at once. */
static void test_depth(void **state)
{
	(void)state;
	bucket_init(&b, 1000, 5);
	assert_false(bucket_is_empty(&b, 5));
	bucket_use(&b, 99, 5);
	assert_false(bucket_is_empty(&b, 5));
	bucket_use(&b, 1, 5);
	assert_true(bucket_is_empty(&b, 5));
	/* and a pause does not give more than that */
	assert_false(bucket_is_empty(&b, 3600000000));
	bucket_use(&b, 99, 3600000000);
	assert_false(bucket_is_empty(&b, 3600000000));
	bucket_use(&b, 1, 3600000000);
	assert_true(bucket_is_empty(&b, 3600000000));
}

static void test_fills(void **state)
{
	(void)state;
	bucket_init(&b, 1000, 0);
	bucket_use(&b, 105, 0);
	assert_true(bucket_is_empty(&b, 5000));
	assert_false(bucket_is_empty(&b, 5001));
	/* a clock that stands, or goes back, changes nothing */
	assert_false(bucket_is_empty(&b, 5001));
	assert_false(bucket_is_empty(&b, 0));
	bucket_use(&b, 1, 0);
	assert_true(bucket_is_empty(&b, 5001));
	assert_false(bucket_is_empty(&b, 6001));
}

static void test_owes_a_second_at_most(void **state)
{
	(void)state;
	bucket_init(&b, 1000, 0);
	bucket_use(&b, 1000000, 0);
	assert_true(bucket_is_empty(&b, 1000000));
	assert_false(bucket_is_empty(&b, 1000001));
}

/* As much as can be asked for. */
static void test_largest(void **state)
{
	(void)state;
	bucket_init(&b, BUCKET_RATE_MAX, 0);
	for (int i = 0; i < 2000000; i++)
		bucket_use(&b, 1000000, 0);
	assert_true(bucket_is_empty(&b, 1000000));
	assert_false(bucket_is_empty(&b, 1000001));
	assert_false(bucket_is_empty(&b, UINT64_MAX));
}

static void test_smallest(void **state)
{
	(void)state;
	bucket_init(&b, 1, 0);
	assert_false(bucket_is_empty(&b, 0));
	bucket_use(&b, 1, 0);
	assert_true(bucket_is_empty(&b, 900000));
	assert_false(bucket_is_empty(&b, 900001));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_limit),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_fills),
		cmocka_unit_test(test_owes_a_second_at_most),
		cmocka_unit_test(test_largest),
		cmocka_unit_test(test_smallest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
