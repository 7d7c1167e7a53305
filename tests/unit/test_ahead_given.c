// SPDX-License-Identifier: BSD-2-Clause
/* A packet that was given ahead is not given again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "io/ahead_given.h"

static int setup(void **state)
{
	*state = calloc(1, sizeof(struct ahead_given));
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

static void test_each_once(void **state)
{
	struct ahead_given *g = *state;

	assert_false(ahead_given_take(g, 7));
	assert_true(ahead_given_add(g, 7));
	assert_true(ahead_given_add(g, 8));
	assert_true(ahead_given_take(g, 7));
	assert_false(ahead_given_take(g, 7));
	assert_true(ahead_given_take(g, 8));
	assert_int_equal(g->count, 0);
}

/* Two processors, two orders. */
static void test_out_of_order(void **state)
{
	struct ahead_given *g = *state;

	for (uint64_t sum = 1; sum <= 4; sum++)
		assert_true(ahead_given_add(g, sum));
	assert_true(ahead_given_take(g, 3));
	assert_int_equal(g->count, 4);
	assert_true(ahead_given_take(g, 1));
	assert_true(ahead_given_take(g, 2));
	assert_false(ahead_given_take(g, 3));
	assert_true(ahead_given_take(g, 4));
	assert_int_equal(g->count, 0);
}

/* The ring had no room for some. */
static void test_behind_those_that_never_come(void **state)
{
	struct ahead_given *g = *state;

	for (uint64_t sum = 1; sum <= 1000; sum++)
		assert_true(ahead_given_add(g, sum));
	for (uint64_t sum = 501; sum <= 1000; sum++)
		assert_true(ahead_given_take(g, sum));
	assert_false(ahead_given_take(g, 501));
	assert_true(ahead_given_take(g, 1));
}

static void test_the_same_one_twice(void **state)
{
	struct ahead_given *g = *state;

	ahead_given_add(g, 5);
	ahead_given_add(g, 5);
	assert_true(ahead_given_take(g, 5));
	assert_true(ahead_given_take(g, 5));
	assert_false(ahead_given_take(g, 5));
}

/* Round and round, and never more than there is room for. */
static void test_full(void **state)
{
	struct ahead_given *g = *state;
	uint64_t in = 1, out = 1;

	for (int round = 0; round < 3; round++) {
		while (ahead_given_add(g, in))
			in++;
		assert_int_equal(in - out, AHEAD_GIVEN_MAX);
		while (out < in - 100)
			assert_true(ahead_given_take(g, out++));
	}
	ahead_given_clear(g);
	assert_int_equal(g->count, 0);
	assert_false(ahead_given_take(g, out));
}

static void test_sums(void **state)
{
	uint8_t packet[200] = {0x45};
	uint64_t sum = ahead_given_sum(packet, 200, 200);

	(void)state;
	assert_true(sum == ahead_given_sum(packet, 200, 200));
	assert_true(sum != ahead_given_sum(packet, 200, 201));
	for (size_t i = 0; i < 80; i++) {
		packet[i] ^= 1;
		assert_true(sum != ahead_given_sum(packet, 200, 200));
		packet[i] ^= 1;
	}
	/* not a byte is read that is not there */
	for (size_t len = 0; len <= 80; len++) {
		uint8_t *copy = malloc(len ? len : 1);

		assert_non_null(copy);
		memcpy(copy, packet, len);
		assert_true(ahead_given_sum(copy, len, len) != 0);
		free(copy);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_each_once),
		TEST(test_out_of_order),
		TEST(test_behind_those_that_never_come),
		TEST(test_the_same_one_twice),
		TEST(test_full),
		TEST(test_sums),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
