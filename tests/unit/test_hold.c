// SPDX-License-Identifier: BSD-2-Clause
/* The hold, case by case, and against an array that does the same slowly. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/hold.h"
#include "../helpers/counted_mem.h"
#include "../helpers/dice.h"

#define BLOCKS 256u
#define MARKS  200u
#define BASE   0xfffff000u /* the sequence wraps 4,096 bytes later */

struct fixture {
	struct counted_mem mem;
	struct hold_store store;
	struct hold hold;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	counted_mem_init(&f->mem, 0);
	hold_store_init(&f->store, &f->mem.mem, BLOCKS, MARKS);
	hold_init(&f->hold, BASE);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	bool fine;

	hold_fini(&f->hold, &f->store);
	fine = f->store.blocks.links.used == 0 && f->store.marks.used == 0;
	hold_store_fini(&f->store, &f->mem.mem);
	fine = fine && f->mem.live_bytes == 0;
	free(f);
	return fine ? 0 : -1;
}

/* The byte at an offset of the stream; no period that a block could hide. */
static uint8_t byte_at(uint32_t off)
{
	return (uint8_t)(off * 7 + off / 251);
}

static struct hold_growth put(struct fixture *f, uint32_t off, uint32_t len,
			      uint32_t ack, uint64_t now_us)
{
	static uint8_t bytes[65536];

	for (uint32_t i = 0; i < len; i++)
		bytes[i] = byte_at(off + i);
	return hold_insert(&f->hold, &f->store, BASE + off, ack, true, bytes,
			   len, now_us);
}

static void check_bytes(struct fixture *f, uint32_t off, uint32_t len)
{
	static uint8_t out[1u << 17];

	hold_read(&f->hold, &f->store, BASE + off, out, len);
	for (uint32_t i = 0; i < len; i++)
		assert_int_equal(out[i], byte_at(off + i));
}

static void check_turn(struct fixture *f, uint32_t after, uint32_t start,
		       uint32_t need, uint32_t gap_us)
{
	const struct hold_turn *turn =
		hold_turn_after(&f->hold, &f->store, BASE + after);

	assert_non_null(turn);
	assert_int_equal(turn->start, BASE + start);
	assert_int_equal(turn->need_bytes, need);
	assert_int_equal(turn->gap_us, gap_us);
}

static void no_turn_after(struct fixture *f, uint32_t after)
{
	assert_null(hold_turn_after(&f->hold, &f->store, BASE + after));
}

static void test_turns_begin_where_the_ack_grows(void **state)
{
	struct fixture *f = *state;
	struct hold_growth g;

	hold_set_ack(&f->hold, 5000);
	g = put(f, 0, 100, 5000, 10);
	assert_int_equal(g.turns, 1);
	assert_int_equal(g.bytes, 100);
	assert_int_equal(put(f, 100, 50, 5000, 30).turns, 0);
	assert_int_equal(put(f, 150, 50, 4999, 40).turns, 0);
	assert_int_equal(put(f, 200, 50, 5300, 90).turns, 1);
	check_turn(f, (uint32_t)-1, 0, 0, 0);
	check_turn(f, 0, 200, 300, 50);
	no_turn_after(f, 200);
}

/* The server has greeted: the first turn needs what the client had seen. */
static void test_first_turn_after_a_greeting(void **state)
{
	struct fixture *f = *state;

	hold_set_ack(&f->hold, 1);
	put(f, 0, 10, 79, 10);
	check_turn(f, (uint32_t)-1, 0, 78, 0);
}

static void test_first_turn_without_a_known_ack(void **state)
{
	struct fixture *f = *state;

	put(f, 0, 10, 79, 10);
	check_turn(f, (uint32_t)-1, 0, 0, 0);
	put(f, 10, 10, 80, 20);
	check_turn(f, 0, 10, 1, 10);
}

static void test_acks_wrap(void **state)
{
	struct fixture *f = *state;

	hold_set_ack(&f->hold, 0xffffff00u);
	put(f, 0, 10, 0xffffff00u, 1);
	put(f, 10, 10, 0x100, 2);
	check_turn(f, 0, 10, 0x200, 1);
}

/* A retransmission carries a newer ack: the first copy's counts. */
static void test_repeats_change_nothing(void **state)
{
	struct fixture *f = *state;
	struct hold_growth g;

	put(f, 0, 100, 1, 1);
	g = put(f, 0, 100, 900, 2);
	assert_true(g.repeated);
	assert_int_equal(g.bytes, 0);
	assert_int_equal(put(f, 100, 10, 1, 3).turns, 0);
	assert_true(put(f, 5, 0, 900, 4).repeated);
}

static void test_turns_cut_while_writing_are_counted(void **state)
{
	struct fixture *f = *state;
	uint8_t byte = 0;

	hold_insert(&f->hold, &f->store, BASE, 1, false, &byte, 1, 1);
	assert_int_equal(put(f, 1, 1, 2, 2).splits, 1);
	assert_int_equal(put(f, 2, 1, 3, 3).splits, 0);
}

static void test_holes_close_in_order(void **state)
{
	struct fixture *f = *state;
	struct hold_growth g;

	put(f, 0, 100, 1, 1);
	g = put(f, 300, 100, 50, 20);
	assert_int_equal(g.bytes, 0);
	assert_true(hold_has_hole(&f->hold));
	assert_int_equal(hold_hole_us(&f->hold, &f->store), 20);
	put(f, 500, 100, 90, 30);
	assert_int_equal(hold_hole_us(&f->hold, &f->store), 20);
	g = put(f, 100, 200, 1, 40);
	assert_int_equal(g.bytes, 300);
	assert_int_equal(g.turns, 1);
	assert_int_equal(hold_hole_us(&f->hold, &f->store),
			 40); /* the next hole's own time */
	g = put(f, 350, 200, 50, 50);
	assert_int_equal(g.bytes, 200);
	assert_int_equal(g.turns, 1);
	assert_false(hold_has_hole(&f->hold));
	check_turn(f, 0, 300, 49, 0);
	check_turn(f, 300, 500, 40, 0);
	check_bytes(f, 0, 600);
}

static void test_close_counts_when_all_bytes_are_there(void **state)
{
	struct fixture *f = *state;

	put(f, 0, 10, 100, 5);
	hold_end_at(&f->hold, HOLD_FIN, BASE + 30, true, 151, 25);
	hold_end_at(&f->hold, HOLD_RST, BASE + 10, false, 0, 26);
	assert_int_equal(hold_closed(&f->hold), HOLD_OPEN);
	put(f, 10, 20, 100, 30);
	assert_int_equal(hold_closed(&f->hold), HOLD_FIN);
	assert_int_equal(hold_close_need(&f->hold), 50);
	assert_int_equal(f->hold.close_gap_us, 20);
}

static void test_reset_without_ack_needs_nothing(void **state)
{
	struct fixture *f = *state;

	put(f, 0, 10, 100, 5);
	hold_end_at(&f->hold, HOLD_RST, BASE + 10, false, 77777, 25);
	assert_int_equal(hold_closed(&f->hold), HOLD_RST);
	assert_int_equal(hold_close_need(&f->hold), 0);
}

/* An ack of the server's FIN alone is no answer seen. */
static void test_the_servers_fin_is_no_byte(void **state)
{
	struct fixture *f = *state;

	put(f, 0, 10, 100, 5);
	hold_end_at(&f->hold, HOLD_FIN, BASE + 10, true, 101, 25);
	assert_int_equal(hold_close_need(&f->hold), 0);
}

static void test_release_frees_blocks_and_turns(void **state)
{
	struct fixture *f = *state;

	put(f, 0, 30000, 1, 1);
	put(f, 30000, 30000, 2, 2);
	hold_release(&f->hold, &f->store, BASE + 20000, BASE);
	assert_int_equal(hold_start(&f->hold, &f->store), BASE + 20000);
	assert_true(f->store.blocks.links.used <=
		    40000 / CHAIN_BLOCK_BYTES + 2);
	assert_int_equal(f->store.marks.used, 1);
	check_bytes(f, 20000, 40000);
	hold_release(&f->hold, &f->store, BASE + 60000, BASE + 30000);
	assert_int_equal(f->store.blocks.links.used, 0);
	assert_int_equal(f->store.marks.used, 0);
	put(f, 60000, 10, 3, 3);
	check_bytes(f, 60000, 10);
}

static void test_jump_counts_what_goes(void **state)
{
	struct fixture *f = *state;
	struct hold_loss loss;

	put(f, 0, 100, 1, 1);
	put(f, 200, 50, 5, 2);
	put(f, 250, 50, 9, 3);
	put(f, 400, 10, 9, 4);
	loss = hold_jump(&f->hold, &f->store);
	assert_int_equal(loss.bytes, 110);
	assert_int_equal(loss.turns, 2);
	assert_int_equal(loss.end, BASE + 410);
	assert_int_equal(f->hold.end, BASE + 410);
	assert_int_equal(f->store.blocks.links.used, 0);
	assert_int_equal(f->store.marks.used, 0);
	assert_int_equal(put(f, 410, 10, 12, 5).turns, 1);
	check_turn(f, 409, 410, 3, 4);
}

/* A client that writes on behind its FIN has ended all the same. */
static void test_jump_over_an_end(void **state)
{
	struct fixture *f = *state;

	put(f, 0, 100, 1, 1);
	hold_end_at(&f->hold, HOLD_FIN, BASE + 100, true, 1, 2);
	put(f, 200, 50, 5, 3);
	assert_int_equal(hold_closed(&f->hold), HOLD_FIN);
	hold_jump(&f->hold, &f->store);
	assert_int_equal(f->hold.end, BASE + 250);
	assert_int_equal(hold_closed(&f->hold), HOLD_FIN);
	/* before one that has not come there is still something to come */
	hold_init(&f->hold, BASE);
	hold_end_at(&f->hold, HOLD_FIN, BASE + 300, true, 1, 2);
	put(f, 200, 50, 5, 3);
	hold_jump(&f->hold, &f->store);
	assert_int_equal(hold_closed(&f->hold), HOLD_OPEN);
}

static void test_skip_follows_without_keeping(void **state)
{
	struct fixture *f = *state;
	struct hold_growth g;

	g = hold_skip(&f->hold, BASE, 1, false, 100, 1);
	assert_int_equal(g.bytes, 100);
	assert_int_equal(g.turns, 1);
	g = hold_skip(&f->hold, BASE + 50, 1, true, 100, 2);
	assert_int_equal(g.bytes, 50);
	assert_int_equal(g.turns, 0);
	assert_true(f->hold.pushed);
	assert_true(hold_skip(&f->hold, BASE, 7, false, 150, 3).repeated);
	g = hold_skip(&f->hold, BASE + 150, 2, false, 1, 4);
	assert_int_equal(g.turns, 1);
	assert_int_equal(f->hold.end, BASE + 151);
	assert_int_equal(f->store.blocks.links.used, 0);
}

static void test_too_far_ahead_is_stray(void **state)
{
	struct fixture *f = *state;

	assert_true(put(f, HOLD_AHEAD_MAX, 1, 1, 1).stray);
	assert_false(put(f, 60000, 1, 1, 1).stray);
}

static void test_full_takes_nothing(void **state)
{
	struct fixture *f = *state;
	uint32_t off = 0;

	for (; !put(f, off, 1000, 1, 1).full; off += 1000) {
		uint32_t kept = off + 1000;

		if (kept <= (BLOCKS / 2 - 1) * CHAIN_BLOCK_BYTES)
			assert_false(hold_store_is_half_full(&f->store));
		if (kept >= BLOCKS / 2 * CHAIN_BLOCK_BYTES)
			assert_true(hold_store_is_half_full(&f->store));
	}
	assert_in_range(off, (BLOCKS - 1) * CHAIN_BLOCK_BYTES - 1000,
			BLOCKS * CHAIN_BLOCK_BYTES);
	assert_int_equal(f->hold.end, BASE + off);
	check_bytes(f, 0, off);
	hold_release(&f->hold, &f->store, BASE + off, BASE);
	assert_false(put(f, off, 1000, 1, 1).full);
}

static void test_out_of_marks_takes_nothing(void **state)
{
	struct fixture *f = *state;
	uint32_t off = 0;

	for (; !put(f, off, 1, off, 1).full; off++)
		assert_int_equal(hold_store_is_half_full(&f->store),
				 f->store.marks.used >= MARKS / 2);
	assert_in_range(off, MARKS - 2, MARKS);
	assert_int_equal(f->hold.end, BASE + off);
	assert_true(put(f, off + 5, 1, off, 1).full);
	assert_false(hold_has_hole(&f->hold));
}

/* What the stream is, for the comparison: each byte once, with its first ack.
 */
struct model {
	bool there[20000];
	uint32_t ack[20000];
	uint32_t end, last_ack, turns;
	uint32_t turn_at[4000], need[4000];
	bool in_turn;
};

static void model_put(struct model *m, uint32_t off, uint32_t len, uint32_t ack)
{
	for (uint32_t i = off; i < off + len; i++) {
		if (m->there[i])
			continue;
		m->there[i] = true;
		m->ack[i] = ack;
	}
	for (; m->there[m->end]; m->end++) {
		uint32_t at = m->ack[m->end];

		if (!m->in_turn || at > m->last_ack) {
			m->turn_at[m->turns] = m->end;
			m->need[m->turns++] =
				at > m->last_ack ? at - m->last_ack : 0;
		}
		m->in_turn = true;
		if (at > m->last_ack)
			m->last_ack = at;
	}
}

static void check_model(struct fixture *f, const struct model *m,
			uint32_t start, uint32_t turns_before)
{
	const struct hold_turn *turn;
	uint32_t n = turns_before;

	assert_int_equal(hold_start(&f->hold, &f->store), BASE + start);
	assert_int_equal(f->hold.end, BASE + m->end);
	check_bytes(f, start, m->end - start);
	for (uint32_t at = turns_before ? m->turn_at[turns_before - 1]
					: (uint32_t)-1;
	     (turn = hold_turn_after(&f->hold, &f->store, BASE + at)); n++) {
		at = turn->start - BASE;
		assert_true(n < m->turns);
		assert_int_equal(at, m->turn_at[n]);
		assert_int_equal(turn->need_bytes, m->need[n]);
	}
	assert_int_equal(n, m->turns);
}

/* Turns whose bytes are all before off. */
static uint32_t turns_over(const struct model *m, uint32_t off)
{
	uint32_t n = 0;

	while (n + 1 < m->turns && m->turn_at[n + 1] <= off)
		n++;
	return n;
}

static void random_stream(uint64_t seed)
{
	static struct model m;
	struct dice d = {.state = seed};
	struct fixture *f;
	void *state;
	uint32_t start = 0, gone = 0, total = 0, turns = 0;

	m = (struct model){.last_ack = 1};
	setup(&state);
	f = state;
	hold_set_ack(&f->hold, 1);
	while (m.end < 17000) {
		uint32_t back = dice_below(&d, 400);
		uint32_t off = m.end + dice_below(&d, 1500);
		uint32_t len = 1 + dice_below(&d, 900);
		uint32_t ack = m.last_ack + dice_below(&d, 2) * 7;
		struct hold_growth g;

		off = off > back ? off - back : 0;
		if (dice_below(&d, 3) == 0)
			off = m.end;
		g = put(f, off, len, ack, 1);
		assert_false(g.full || g.stray);
		model_put(&m, off, len, ack);
		total += g.bytes;
		turns += g.turns;
		if (dice_below(&d, 4) == 0) {
			start += dice_below(&d, m.end - start + 1);
			gone = turns_over(&m, start);
			hold_release(&f->hold, &f->store, BASE + start,
				     gone ? BASE + m.turn_at[gone - 1]
					  : BASE - 1);
		}
		check_model(f, &m, start, gone);
	}
	assert_int_equal(total, m.end);
	assert_int_equal(turns, m.turns);
	assert_int_equal(teardown(&state), 0);
}

static void test_like_the_model(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 60; seed++)
		random_stream(seed);
}

/* Each hold that keeps anything needs a stock of its own. */
static void test_stocks_are_given_back(void **state)
{
	struct fixture *f = *state;
	struct hold other;

	hold_init(&other, BASE);
	assert_int_equal(f->store.stocks.used, 0);
	while (f->store.stocks.used < f->store.stocks.count)
		pool_take(&f->store.stocks);
	assert_true(put(f, 0, 10, 1, 1).full);
	assert_int_equal(hold_start(&f->hold, &f->store), BASE);
	pool_give(&f->store.stocks, 0);
	assert_int_equal(put(f, 0, 10, 1, 1).bytes, 10);
	assert_int_equal(hold_blocks(&f->hold, &f->store), 1);
	assert_true(hold_insert(&other, &f->store, BASE, 1, true,
				(const uint8_t *)"x", 1, 1)
			    .full);
	hold_release(&f->hold, &f->store, BASE + 10, BASE);
	assert_int_equal(hold_blocks(&f->hold, &f->store), 0);
	assert_int_equal(hold_insert(&other, &f->store, BASE, 1, true,
				     (const uint8_t *)"x", 1, 1)
				 .bytes,
			 1);
	hold_fini(&other, &f->store);
}

static void test_store_without_memory(void **state)
{
	(void)state;
	for (unsigned fail_at = 1; fail_at < 5; fail_at++) {
		struct counted_mem m;
		struct hold_store store;
		bool ok;

		counted_mem_init(&m, fail_at);
		ok = hold_store_init(&store, &m.mem, 8, 8);
		assert_int_equal(ok, m.calls < fail_at);
		if (ok)
			hold_store_fini(&store, &m.mem);
		assert_int_equal(m.live_bytes, 0);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_turns_begin_where_the_ack_grows),
		TEST(test_first_turn_after_a_greeting),
		TEST(test_first_turn_without_a_known_ack),
		TEST(test_acks_wrap),
		TEST(test_repeats_change_nothing),
		TEST(test_turns_cut_while_writing_are_counted),
		TEST(test_holes_close_in_order),
		TEST(test_close_counts_when_all_bytes_are_there),
		TEST(test_reset_without_ack_needs_nothing),
		TEST(test_the_servers_fin_is_no_byte),
		TEST(test_release_frees_blocks_and_turns),
		TEST(test_jump_counts_what_goes),
		TEST(test_jump_over_an_end),
		TEST(test_skip_follows_without_keeping),
		TEST(test_too_far_ahead_is_stray),
		TEST(test_full_takes_nothing),
		TEST(test_out_of_marks_takes_nothing),
		cmocka_unit_test(test_like_the_model),
		TEST(test_stocks_are_given_back),
		cmocka_unit_test(test_store_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
