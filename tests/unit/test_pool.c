// SPDX-License-Identifier: BSD-2-Clause
/* Equal blocks by index: each has one owner. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "core/pool.h"
#include "../helpers/counted_mem.h"
#include "../helpers/dice.h"

#define BLOCKS 100u

static void test_all_of_them_and_no_more(void **state)
{
	struct counted_mem mem;
	struct pool p;

	(void)state;
	counted_mem_init(&mem, 0);
	assert_true(pool_init(&p, &mem.mem, 12, BLOCKS));
	for (uint32_t i = 0; i < BLOCKS; i++) {
		uint32_t index = pool_take(&p);

		assert_int_equal(p.used, i + 1);
		assert_true(index < BLOCKS);
		assert_int_equal((uintptr_t)pool_at(&p, index) % 8, 0);
		assert_int_equal(pool_index(&p, pool_at(&p, index)), index);
		memset(pool_at(&p, index), 0xff, 12);
	}
	assert_int_equal(pool_take(&p), POOL_NONE);
	pool_give(&p, 42);
	assert_int_equal(pool_take(&p), 42);
	assert_int_equal(pool_take(&p), POOL_NONE);
	pool_fini(&p, &mem.mem);
	assert_int_equal(mem.live_bytes, 0);
}

/* What nobody has asked for has not been touched. */
static void test_costs_what_is_used(void **state)
{
	struct counted_mem mem;
	struct pool p;

	(void)state;
	counted_mem_init(&mem, 0);
	assert_true(pool_init(&p, &mem.mem, 16, BLOCKS));
	for (int i = 0; i < 1000; i++)
		pool_give(&p, pool_take(&p));
	assert_int_equal(p.fresh, 1);
	pool_fini(&p, &mem.mem);
}

/* Takes and gives in any order; what is written in a block stays there. */
static void test_one_owner_each(void **state)
{
	struct counted_mem mem;
	struct dice dice = {3};
	struct pool p;
	bool taken[BLOCKS] = {false};
	uint32_t count = 0;

	(void)state;
	counted_mem_init(&mem, 0);
	assert_true(pool_init(&p, &mem.mem, sizeof(uint64_t), BLOCKS));
	for (int i = 0; i < 20000; i++) {
		uint32_t index = dice_below(&dice, BLOCKS);

		if (taken[index]) {
			assert_true(*(uint64_t *)pool_at(&p, index) ==
				    index * 77u);
			pool_give(&p, index);
			taken[index] = false;
			count--;
			continue;
		}
		index = pool_take(&p);
		assert_int_equal(index == POOL_NONE, count == BLOCKS);
		if (index == POOL_NONE)
			continue;
		assert_false(taken[index]);
		taken[index] = true;
		*(uint64_t *)pool_at(&p, index) = index * 77u;
		count++;
	}
	assert_int_equal(p.used, count);
	pool_fini(&p, &mem.mem);
}

static void test_without_memory(void **state)
{
	struct counted_mem mem;
	struct pool p;

	(void)state;
	counted_mem_init(&mem, 1);
	assert_false(pool_init(&p, &mem.mem, 16, BLOCKS));
	assert_int_equal(mem.live_bytes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_of_them_and_no_more),
		cmocka_unit_test(test_costs_what_is_used),
		cmocka_unit_test(test_one_owner_each),
		cmocka_unit_test(test_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
