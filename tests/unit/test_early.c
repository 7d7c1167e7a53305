// SPDX-License-Identifier: BSD-2-Clause
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/early.h"

static struct early early;

static int setup(void **state)
{
	(void)state;
	early = (struct early){.first = 0};
	return 0;
}

static struct four_tuple tuple_to(uint16_t port)
{
	return (struct four_tuple){.src = {.port = 80}, .dst = {.port = port}};
}

static bool keep(uint16_t port, uint32_t ack, uint32_t seq, uint64_t until_us)
{
	struct four_tuple tuple = tuple_to(port);
	struct wire_response resp = {.ack = ack, .seq = seq};

	return early_keep(&early, &tuple, &resp, until_us);
}

/* The seq of what is taken out, or -1. */
static int64_t take(uint16_t port, uint32_t iss)
{
	struct four_tuple tuple = tuple_to(port);
	struct wire_response resp;

	return early_take(&early, &tuple, iss, &resp) ? (int64_t)resp.seq : -1;
}

static void test_once_and_in_order(void **state)
{
	(void)state;
	keep(1, 101, 7, 50);
	keep(1, 101, 8, 51);
	assert_int_equal(take(1, 100), 7);
	assert_int_equal(take(1, 100), 8);
	assert_int_equal(take(1, 100), -1);
}

static void test_only_its_own(void **state)
{
	(void)state;
	keep(1, 101, 7, 50);
	assert_int_equal(take(2, 100), -1);
	assert_int_equal(take(1, 99), -1);
	assert_int_equal(take(1, 101), -1);
	assert_int_equal(take(1, 100), 7);
	keep(1, 0, 9, 50);
	assert_int_equal(take(1, UINT32_MAX), 9);
}

static void test_time(void **state)
{
	(void)state;
	assert_true(early_until_us(&early) == UINT64_MAX);
	keep(1, 101, 7, 50);
	keep(2, 101, 8, 60);
	keep(3, 101, 9, 60);
	assert_true(early_until_us(&early) == 50);
	assert_int_equal(early_expire(&early, 49), 0);
	assert_int_equal(early_expire(&early, 50), 1);
	assert_int_equal(take(1, 100), -1);
	assert_true(early_until_us(&early) == 60);
	/* One that was taken has not expired. */
	assert_int_equal(take(3, 100), 9);
	assert_int_equal(early_expire(&early, 1000), 1);
	assert_true(early_until_us(&early) == UINT64_MAX);
}

static void test_oldest_gives_way(void **state)
{
	(void)state;
	for (uint16_t i = 0; i < EARLY_COUNT; i++)
		assert_false(keep(i, 101, i, i));
	assert_int_equal(take(1, 100), 1);
	assert_true(keep(5000, 101, 5000, 5000));
	assert_int_equal(take(0, 100), -1);
	/* Taken already: nothing is lost. */
	assert_false(keep(5001, 101, 5001, 5001));
	assert_true(keep(5002, 101, 5002, 5002));
	assert_int_equal(take(2, 100), -1);
	for (uint16_t i = 3; i < EARLY_COUNT; i++)
		assert_int_equal(take(i, 100), i);
	for (uint16_t i = 5000; i < 5003; i++)
		assert_int_equal(take(i, 100), i);
	assert_int_equal(early_expire(&early, 5002), 0);
	assert_true(early_until_us(&early) == UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_once_and_in_order, setup),
		cmocka_unit_test_setup(test_only_its_own, setup),
		cmocka_unit_test_setup(test_time, setup),
		cmocka_unit_test_setup(test_oldest_gives_way, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
