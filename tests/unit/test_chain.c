// SPDX-License-Identifier: BSD-2-Clause
/* Bytes in a chain of blocks: each has its place, whatever came before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/chain.h"
#include "core/checksum.h"
#include "../helpers/counted_mem.h"
#include "../helpers/dice.h"

#define BLOCKS 20u
#define DATA   CHAIN_BLOCK_BYTES
/* The stream passes the end of the sequence numbers. */
#define FIRST 0xfffffc00u

struct world {
	struct counted_mem mem;
	struct chain_pool blocks;
	struct chain chain;
};

static int setup(void **state)
{
	static struct world w;

	counted_mem_init(&w.mem, 0);
	assert_true(chain_pool_init(&w.blocks, &w.mem.mem, BLOCKS));
	chain_init(&w.chain);
	*state = &w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	chain_drop_all(&w->chain, &w->blocks);
	assert_int_equal(w->blocks.links.used, 0);
	chain_pool_fini(&w->blocks, &w->mem.mem);
	assert_int_equal(w->mem.live_bytes, 0);
	return 0;
}

/* The byte that belongs at seq. */
static uint8_t byte_at(uint32_t seq)
{
	return (uint8_t)(seq * 31 + (seq >> 8));
}

static void put(struct world *w, uint32_t seq, uint32_t len)
{
	uint8_t bytes[4 * DATA];

	for (uint32_t i = 0; i < len; i++)
		bytes[i] = byte_at(seq + i);
	chain_write(&w->chain, &w->blocks, seq, bytes, len);
}

static void assert_there(struct world *w, uint32_t seq, uint32_t len)
{
	uint8_t bytes[4 * DATA];
	uint64_t sum = chain_read(&w->chain, &w->blocks, seq, bytes, len);

	assert_int_equal(checksum_fold(sum),
			 checksum_fold(checksum_add(0, bytes, len)));
	for (uint32_t i = 0; i < len; i++)
		assert_int_equal(bytes[i], byte_at(seq + i));
}

static void test_reaches_as_far_as_it_must(void **state)
{
	struct world *w = *state;

	assert_true(chain_reach(&w->chain, &w->blocks, FIRST, FIRST + 1));
	assert_int_equal(w->chain.count, 1);
	assert_true(chain_reach(&w->chain, &w->blocks, FIRST, FIRST + DATA));
	assert_int_equal(w->chain.count, 1);
	assert_true(
		chain_reach(&w->chain, &w->blocks, FIRST, FIRST + DATA + 1));
	assert_int_equal(w->chain.count, 2);
	assert_true(chain_reach(&w->chain, &w->blocks, FIRST, FIRST + 1));
	assert_int_equal(w->blocks.links.used, 2);
}

static void test_takes_nothing_when_there_is_too_little(void **state)
{
	struct world *w = *state;
	uint32_t end = FIRST + BLOCKS * DATA;

	assert_false(chain_reach(&w->chain, &w->blocks, FIRST, end + 1));
	assert_int_equal(w->blocks.links.used, 0);
	assert_true(chain_reach(&w->chain, &w->blocks, FIRST, end));
	assert_int_equal(w->blocks.links.used, BLOCKS);
}

static void test_the_second_piece_comes_first(void **state)
{
	struct world *w = *state;

	assert_true(
		chain_reach(&w->chain, &w->blocks, FIRST, FIRST + 5 * DATA));
	put(w, FIRST + 2 * DATA - 7, 3 * DATA);
	put(w, FIRST, 2 * DATA - 7);
	assert_there(w, FIRST, 4 * DATA);
	assert_there(w, FIRST + DATA + 1, 4 * DATA - 8);
}

/* Only a block of which no byte is kept any more goes. */
static void test_gives_back_what_lies_before(void **state)
{
	struct world *w = *state;

	assert_true(
		chain_reach(&w->chain, &w->blocks, FIRST, FIRST + 4 * DATA));
	put(w, FIRST, 4 * DATA);
	assert_there(w, FIRST + 3 * DATA, 10);
	chain_drop_before(&w->chain, &w->blocks, FIRST + 2 * DATA - 1);
	assert_int_equal(w->chain.count, 3);
	chain_drop_before(&w->chain, &w->blocks, FIRST + 2 * DATA);
	assert_int_equal(w->chain.count, 2);
	assert_there(w, FIRST + 2 * DATA, 2 * DATA);
}

/* Takes a block, or gives its own back: so those of the other chain lie in
 * pieces. */
static void step_aside(struct chain *aside, struct chain_pool *blocks,
		       uint32_t dice)
{
	if (dice == 0)
		chain_drop_all(aside, blocks);
	else if (aside->count < 4)
		chain_reach(aside, blocks, 0, (aside->count + 1) * DATA);
}

/* A window that slides over the stream, written and read anywhere within. */
static void test_any_order(void **state)
{
	struct world *w = *state;
	struct dice d = {.state = 7};
	uint32_t start = FIRST, end = FIRST;
	struct chain aside;

	chain_init(&aside);

	for (int step = 0; step < 2000; step++) {
		uint32_t len = 1 + dice_below(&d, 3 * DATA);
		uint32_t gone = dice_below(&d, 2 * DATA);

		step_aside(&aside, &w->blocks, dice_below(&d, 5));
		if (chain_reach(&w->chain, &w->blocks, end, end + len)) {
			put(w, end + len / 2, len - len / 2);
			put(w, end, len / 2);
			end += len;
		}
		if (gone > end - start)
			gone = end - start;
		start += gone;
		chain_drop_before(&w->chain, &w->blocks, start);
		len = end - start < 4 * DATA ? end - start : 4 * DATA;
		assert_there(w, start, len);
		assert_there(w, end - len, len);
		assert_true(w->blocks.links.used - aside.count <=
			    (end - start) / DATA + 2);
	}
	chain_drop_all(&aside, &w->blocks);
	assert_true(end - FIRST > 100 * DATA);
}

/* What was given back together is taken again in that order, and after it what
 * had been given back before. */
static void test_blocks_keep_their_order(void **state)
{
	struct world *w = *state;
	struct chain first;

	chain_init(&first);
	assert_true(chain_reach(&first, &w->blocks, FIRST, FIRST + 2 * DATA));
	assert_true(
		chain_reach(&w->chain, &w->blocks, FIRST, FIRST + 5 * DATA));
	chain_drop_all(&first, &w->blocks);
	chain_drop_before(&w->chain, &w->blocks, FIRST + 3 * DATA);
	assert_int_equal(w->blocks.links.used, 2);
	for (uint32_t i = 0; i < 5; i++)
		assert_int_equal(pool_take(&w->blocks.links), (i + 2) % 5);
	for (uint32_t i = 0; i < 5; i++)
		pool_give(&w->blocks.links, i);
	put(w, FIRST + 3 * DATA, 2 * DATA);
	assert_there(w, FIRST + 3 * DATA, 2 * DATA);
}

static void test_without_memory(void **state)
{
	struct counted_mem mem;
	struct chain_pool blocks;

	(void)state;
	for (unsigned fails_at = 1; fails_at <= 2; fails_at++) {
		counted_mem_init(&mem, fails_at);
		assert_false(chain_pool_init(&blocks, &mem.mem, BLOCKS));
		assert_int_equal(mem.live_bytes, 0);
		chain_pool_fini(&blocks, &mem.mem);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_reaches_as_far_as_it_must),
		TEST(test_takes_nothing_when_there_is_too_little),
		TEST(test_the_second_piece_comes_first),
		TEST(test_gives_back_what_lies_before),
		TEST(test_any_order),
		TEST(test_blocks_keep_their_order),
		TEST(test_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
