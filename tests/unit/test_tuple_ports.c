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

static struct tuple_ports make(void)
{
	struct tuple_ports p;

	tuple_ports_init(&p, SLICE, 0, barred, 4);
	return p;
}

static void test_what_is_barred_is_not_counted(void **state)
{
	struct tuple_ports p = make();

	(void)state;
	assert_true(tuple_ports_barred(&p, 80));
	assert_true(tuple_ports_barred(&p, FIRST + 1));
	assert_false(tuple_ports_barred(&p, FIRST));
	assert_int_equal(p.spans[SPAN_SLICE].usable, COUNT - 1);
	assert_int_equal(p.spans[SPAN_WHOLE].usable, TUPLES_PORTS - 2);
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
	struct tuple_ports p;

	(void)state;
	tuple_ports_init(&p, 1023, 16, barred, 4);
	for (enum tuple_span i = 0; i < SPANS; i++) {
		assert_int_equal(p.spans[i].usable, 16);
		for (uint32_t n = 0; n < 32; n++)
			assert_int_equal(tuple_ports_next(&p, i),
					 TUPLES_PORT_MIN + n % 16);
		assert_false(tuple_ports_has(&p, i, TUPLES_PORT_MIN + 16));
	}
	tuple_ports_init(&p, SLICE, 200, barred, 4);
	assert_int_equal(p.spans[SPAN_SLICE].usable, COUNT);
	for (uint32_t n = 0; n < COUNT; n++)
		assert_true(tuple_ports_has(&p, SPAN_WHOLE,
					    tuple_ports_next(&p, SPAN_SLICE)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_barred_is_not_counted),
		cmocka_unit_test(test_where_a_search_comes_by),
		cmocka_unit_test(test_one_after_the_other),
		cmocka_unit_test(test_a_jump_is_twice_as_far_as_the_last),
		cmocka_unit_test(test_fewer_ports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
