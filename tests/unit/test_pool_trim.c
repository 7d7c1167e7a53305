// SPDX-License-Identifier: BSD-2-Clause
/* What has not been needed goes, what is in use or was needed lately stays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/pool_trim.h"
#include "../helpers/counted_mem.h"
#include "../helpers/dice.h"

#define BLOCK_BYTES 40u
#define PAGE_BYTES  64u
#define RUN	    16u /* blocks: whole pages, eight at least */
#define BLOCKS	    5000u
#define WAVE	    3000u

struct fixture {
	struct counted_mem counted;
	struct mem mem;
	struct pool pool;
	size_t discarded_bytes;
	unsigned discards;
	uint32_t taken[BLOCKS];
	uint32_t count;
};

/* It goes away in whole pages, and what stood there is gone. */
static void discard(void *ctx, void *at, size_t size_bytes)
{
	struct fixture *f = (struct fixture *)ctx;

	assert_true(size_bytes > 0 && size_bytes % PAGE_BYTES == 0);
	memset(at, 0xd5, size_bytes);
	f->discarded_bytes += size_bytes;
	f->discards++;
}

static void *alloc(void *ctx, size_t size_bytes)
{
	return counted_alloc(&((struct fixture *)ctx)->counted, size_bytes);
}

static void give_back(void *ctx, void *ptr, size_t size_bytes)
{
	counted_free(&((struct fixture *)ctx)->counted, ptr, size_bytes);
}

/* Without a pool. */
static int setup_memory(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	f->mem = (struct mem){.alloc = alloc,
			      .free = give_back,
			      .discard = discard,
			      .page_bytes = PAGE_BYTES,
			      .ctx = f};
	*state = f;
	return 0;
}

static int setup(void **state)
{
	struct fixture *f;

	if (setup_memory(state))
		return -1;
	f = *state;
	return pool_init(&f->pool, &f->mem, BLOCK_BYTES, BLOCKS) &&
			       pool_make_elastic(&f->pool, &f->mem)
		       ? 0
		       : -1;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	size_t live_bytes;

	pool_fini(&f->pool, &f->mem);
	live_bytes = f->counted.live_bytes;
	free(f);
	return live_bytes == 0 ? 0 : -1;
}

static void take(struct fixture *f, uint32_t count)
{
	while (count-- > 0) {
		uint32_t index = pool_take(&f->pool);

		assert_int_not_equal(index, POOL_NONE);
		*(uint64_t *)pool_at(&f->pool, index) = index * 77u;
		f->taken[f->count++] = index;
	}
}

/* The one at this place among the taken ones, whose content must still be its
 * own. */
static void give_one(struct fixture *f, uint32_t place)
{
	uint32_t index = f->taken[place];

	assert_true(*(uint64_t *)pool_at(&f->pool, index) == index * 77u);
	pool_give(&f->pool, index);
	f->taken[place] = f->taken[--f->count];
}

static void give(struct fixture *f, uint32_t count)
{
	while (count-- > 0)
		give_one(f, f->count - 1);
}

static void test_a_wave_goes_after_a_call_without_it(void **state)
{
	struct fixture *f = *state;

	take(f, WAVE);
	pool_trim(&f->pool, &f->mem);
	give(f, WAVE);
	pool_trim(&f->pool, &f->mem); /* it was needed since the last call */
	assert_int_equal(f->discards, 0);
	pool_trim(&f->pool, &f->mem);
	assert_int_equal(f->discards, 1); /* neighbours together */
	assert_true(f->discarded_bytes > (WAVE - RUN - 1) * BLOCK_BYTES);
	pool_trim(&f->pool, &f->mem);
	assert_int_equal(f->discards, 1);
}

/* And what went is taken again, before what was never touched. */
static void test_all_blocks_are_there_again(void **state)
{
	struct fixture *f = *state;
	bool seen[BLOCKS] = {false};

	for (int i = 0; i < 3; i++) {
		take(f, WAVE);
		give(f, WAVE);
		pool_trim(&f->pool, &f->mem);
		pool_trim(&f->pool, &f->mem);
		assert_int_equal(f->discards, i + 1);
	}
	assert_int_equal(f->pool.fresh, WAVE);
	take(f, BLOCKS);
	assert_int_equal(pool_take(&f->pool), POOL_NONE);
	for (uint32_t i = 0; i < BLOCKS; i++) {
		assert_false(seen[f->taken[i]]);
		seen[f->taken[i]] = true;
	}
}

static void test_what_is_needed_again_and_again_stays(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 20; i++) {
		take(f, WAVE);
		give(f, i % 2 ? WAVE : WAVE - 100);
		pool_trim(&f->pool, &f->mem);
		if (i % 2 == 0)
			give(f, 100);
	}
	assert_int_equal(f->discards, 0);
}

static void test_a_light_load_keeps_what_it_needs(void **state)
{
	struct fixture *f = *state;

	take(f, WAVE);
	give(f, WAVE);
	pool_trim(&f->pool, &f->mem);
	for (int i = 0; i < 20; i++) {
		take(f, 300);
		give(f, 300);
		pool_trim(&f->pool, &f->mem);
	}
	assert_int_equal(f->discards, 1);
	assert_true(f->discarded_bytes <= (WAVE - 300) * BLOCK_BYTES);
}

/* Some of the wave stay for long: all runs without one of them go. */
static void test_around_those_that_stay(void **state)
{
	struct fixture *f = *state;

	take(f, WAVE);
	for (uint32_t place = WAVE; place-- > 0;)
		if (f->taken[place] % 500 != 7)
			give_one(f, place);
	pool_trim(&f->pool, &f->mem);
	pool_trim(&f->pool, &f->mem);
	assert_int_equal(f->count, WAVE / 500);
	assert_int_equal(f->discards, WAVE / 500);
	assert_true(f->discarded_bytes >
		    (WAVE - (f->count + 2) * RUN) * BLOCK_BYTES);
	give(f, f->count);
}

/* Nothing lies together: it is not looked for with each call. */
static void test_in_vain_and_not_so_soon_again(void **state)
{
	struct fixture *f = *state;
	unsigned calls = 0;

	take(f, WAVE);
	for (uint32_t place = WAVE; place-- > 0;)
		if (f->taken[place] % RUN != 0)
			give_one(f, place);
	for (int i = 0; i < 10; i++)
		pool_trim(&f->pool, &f->mem);
	assert_int_equal(f->discards, 0);
	give(f, f->count);
	while (f->discards == 0 && calls < 100) {
		pool_trim(&f->pool, &f->mem);
		calls++;
	}
	assert_in_range(calls, 4, 32);
}

static void test_not_for_little(void **state)
{
	struct fixture *f = *state;

	take(f, 100);
	give(f, 100);
	for (int i = 0; i < 5; i++)
		pool_trim(&f->pool, &f->mem);
	assert_int_equal(f->discards, 0);
}

static void test_where_nothing_is_gained(void **state)
{
	struct fixture *f = *state;

	f->mem.discard = NULL;
	assert_true(pool_init(&f->pool, &f->mem, BLOCK_BYTES, BLOCKS));
	assert_true(pool_make_elastic(&f->pool, &f->mem));
	take(f, WAVE);
	give(f, WAVE);
	for (int i = 0; i < 5; i++)
		pool_trim(&f->pool, &f->mem);
	take(f, BLOCKS);
}

/* What lies beside goes, the blocks themselves stay. */
static void test_beside(void **state)
{
	struct fixture *f = *state;
	static uint8_t beside[BLOCKS][PAGE_BYTES];

	assert_true(pool_init(&f->pool, &f->mem, 8, BLOCKS));
	assert_true(pool_make_elastic_beside(&f->pool, &f->mem, beside[0],
					     sizeof(beside[0])));
	memset(beside, 1, sizeof(beside));
	take(f, WAVE);
	give(f, WAVE);
	pool_trim(&f->pool, &f->mem);
	pool_trim(&f->pool, &f->mem);
	assert_int_equal(f->discarded_bytes, WAVE * sizeof(beside[0]));
	assert_int_equal(beside[WAVE - 1][0], 0xd5);
	assert_int_equal(beside[WAVE][0], 1);
}

static void any_step(struct fixture *f, struct dice *dice, uint32_t most)
{
	if (f->count > 0 && dice_below(dice, most) < f->count)
		give_one(f, dice_below(dice, f->count));
	else if (f->count < BLOCKS)
		take(f, 1);
}

/* Waves of any height, calls at any moment: nobody's block changes, and none
 * is lost or given twice. */
static void test_any_order(void **state)
{
	struct fixture *f = *state;
	struct dice dice = {5};

	for (int wave = 0; wave < 60; wave++) {
		uint32_t most = 1 + dice_below(&dice, 2 * BLOCKS);

		for (int i = 0; i < 10000; i++) {
			any_step(f, &dice, wave % 2 ? most : 20);
			if (dice_below(&dice, 1000) == 0)
				pool_trim(&f->pool, &f->mem);
		}
		assert_int_equal(f->pool.used, f->count);
	}
	assert_true(f->discards > 20);
	take(f, BLOCKS - f->count);
	assert_int_equal(pool_take(&f->pool), POOL_NONE);
	give(f, BLOCKS);
}

static void test_without_memory(void **state)
{
	struct fixture *f = *state;

	f->counted.fail_at = 2;
	assert_true(pool_init(&f->pool, &f->mem, BLOCK_BYTES, BLOCKS));
	assert_false(pool_make_elastic(&f->pool, &f->mem));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define M(name) cmocka_unit_test_setup_teardown(name, setup_memory, teardown)
	const struct CMUnitTest tests[] = {
		T(test_a_wave_goes_after_a_call_without_it),
		T(test_all_blocks_are_there_again),
		T(test_what_is_needed_again_and_again_stays),
		T(test_a_light_load_keeps_what_it_needs),
		T(test_around_those_that_stay),
		T(test_in_vain_and_not_so_soon_again),
		T(test_not_for_little),
		M(test_where_nothing_is_gained),
		M(test_beside),
		T(test_any_order),
		M(test_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
