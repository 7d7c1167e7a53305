// SPDX-License-Identifier: BSD-2-Clause
/* Which ports a search comes by, and in which order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/tuple_ports.h"

#define SLICE 3u
#define FIRST (TUPLES_PORT_MIN + SLICE * (TUPLES_PORTS / TUPLES_SLICES))
#define COUNT (TUPLES_PORTS / TUPLES_SLICES)

/* Twice the same; one of the slice; one that no client is given. */
static const uint16_t barred[] = {8080, FIRST + 1, 8080, 80};

static struct tuple_ports make_part(unsigned count, unsigned index)
{
	const struct split split = {.count = count, .index = index};
	struct tuple_ports p;

	tuple_ports_init(&p, SLICE, 0, barred, 4, &split);
	return p;
}

static struct tuple_ports make(void)
{
	return make_part(1, 0);
}

static void test_what_is_barred_is_not_counted(void **state)
{
	struct tuple_ports p = make();

	(void)state;
	assert_false(tuple_ports_usable(&p, 80));
	assert_false(tuple_ports_usable(&p, FIRST + 1));
	assert_true(tuple_ports_usable(&p, FIRST));
	assert_int_equal(p.spans[SPAN_SLICE].usable, COUNT - 1);
	assert_int_equal(p.spans[SPAN_WHOLE].usable, TUPLES_PORTS - 2);
}

/* Each port of all, but for the barred ones, is one worker's; each counts what
 * it may use. */
static void test_workers_share_the_ports_out(void **state)
{
	uint32_t slice = 0, whole = 0;

	(void)state;
	for (unsigned index = 0; index < 3; index++) {
		struct tuple_ports p = make_part(3, index);
		uint32_t mine = 0;

		for (uint32_t port = TUPLES_PORT_MIN; port <= 65535; port++)
			mine += tuple_ports_usable(&p, port);
		assert_int_equal(p.spans[SPAN_WHOLE].usable, mine);
		slice += p.spans[SPAN_SLICE].usable;
		whole += mine;
	}
	assert_int_equal(slice, COUNT - 1);
	assert_int_equal(whole, TUPLES_PORTS - 2);
}

static void test_where_a_search_comes_by(void **state)
{
	struct tuple_ports p = make();

	(void)state;
	assert_true(tuple_ports_has(&p, SPAN_SLICE, FIRST));
	assert_true(tuple_ports_has(&p, SPAN_SLICE, FIRST + COUNT - 1));
	assert_false(tuple_ports_has(&p, SPAN_SLICE, FIRST - 1));
	assert_false(tuple_ports_has(&p, SPAN_SLICE, FIRST + COUNT));
	assert_true(tuple_ports_has(&p, SPAN_WHOLE, 65535));
	assert_true(tuple_ports_has(&p, SPAN_WHOLE, TUPLES_PORT_MIN));
	assert_false(tuple_ports_has(&p, SPAN_WHOLE, TUPLES_PORT_MIN - 1));
}

/* Each once, and then from the beginning. */
static void test_one_after_the_other(void **state)
{
	struct tuple_ports p = make();

	(void)state;
	for (uint32_t i = 0; i < 3 * COUNT; i++)
		assert_int_equal(tuple_ports_next(&p, SPAN_SLICE),
				 FIRST + i % COUNT);
	assert_int_equal(tuple_ports_next(&p, SPAN_WHOLE), FIRST);
	for (uint32_t port = FIRST + 1; port <= 65535; port++)
		assert_int_equal(tuple_ports_next(&p, SPAN_WHOLE), port);
	assert_int_equal(tuple_ports_next(&p, SPAN_WHOLE), TUPLES_PORT_MIN);
}

/* Sixteen of them come to the other end of what there is. */
static void test_a_jump_is_twice_as_far_as_the_last(void **state)
{
	struct tuple_ports p = make();
	uint32_t at = FIRST - TUPLES_PORT_MIN, sum = 0;

	(void)state;
	for (unsigned refusals = 2; refusals <= 17; refusals++) {
		uint32_t step = refusals < 17 ? 1u << (refusals - 1) : 1u << 15;

		tuple_ports_jump(&p, SPAN_WHOLE, refusals);
		at = (at + step) % TUPLES_PORTS;
		assert_int_equal(p.spans[SPAN_WHOLE].cursor, at);
		sum += step;
	}
	assert_true(sum >= TUPLES_PORTS);
}

static void test_fewer_ports(void **state)
{
	const struct split all = {.count = 1};
	struct tuple_ports p;

	(void)state;
	tuple_ports_init(&p, 1023, 16, barred, 4, &all);
	for (enum tuple_span i = 0; i < SPANS; i++) {
		assert_int_equal(p.spans[i].usable, 16);
		for (uint32_t n = 0; n < 32; n++)
			assert_int_equal(tuple_ports_next(&p, i),
					 TUPLES_PORT_MIN + n % 16);
		assert_false(tuple_ports_has(&p, i, TUPLES_PORT_MIN + 16));
	}
	tuple_ports_init(&p, SLICE, 200, barred, 4, &all);
	assert_int_equal(p.spans[SPAN_SLICE].usable, COUNT);
	for (uint32_t n = 0; n < COUNT; n++)
		assert_true(tuple_ports_has(&p, SPAN_WHOLE,
					    tuple_ports_next(&p, SPAN_SLICE)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_barred_is_not_counted),
		cmocka_unit_test(test_workers_share_the_ports_out),
		cmocka_unit_test(test_where_a_search_comes_by),
		cmocka_unit_test(test_one_after_the_other),
		cmocka_unit_test(test_a_jump_is_twice_as_far_as_the_last),
		cmocka_unit_test(test_fewer_ports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
