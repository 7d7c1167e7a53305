// SPDX-License-Identifier: BSD-2-Clause
/* RFC 6298, with our own bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/rtt.h"

static void test_before_any_sample(void **state)
{
	struct rtt r;

	(void)state;
	rtt_init(&r);
	assert_int_equal(rtt_rto_us(&r), RTO_INITIAL_US);
}

/* R' = R, then 7/8, 1/8 and 3/4, 1/4. */
static void test_samples(void **state)
{
	struct rtt r;

	(void)state;
	rtt_init(&r);
	rtt_sample(&r, 400000);
	assert_int_equal(r.srtt_us, 400000);
	assert_int_equal(r.rttvar_us, 200000);
	assert_int_equal(rtt_rto_us(&r), 1200000);
	rtt_sample(&r, 800000);
	assert_int_equal(r.rttvar_us, 250000);
	assert_int_equal(r.srtt_us, 450000);
	assert_int_equal(rtt_rto_us(&r), 1450000);
	rtt_sample(&r, 50000);
	assert_int_equal(r.rttvar_us, 287500);
	assert_int_equal(r.srtt_us, 400000);
}

static void test_bounds(void **state)
{
	struct rtt r;

	(void)state;
	rtt_init(&r);
	for (int i = 0; i < 100; i++)
		rtt_sample(&r, 0);
	assert_in_range(r.srtt_us, 1, 2);
	assert_int_equal(rtt_rto_us(&r), RTO_MIN_US);
	for (int i = 0; i < 100; i++)
		rtt_sample(&r, UINT64_MAX);
	assert_int_equal(rtt_rto_us(&r), RTO_MAX_US);
}

static void test_back_off(void **state)
{
	struct rtt r;

	(void)state;
	rtt_init(&r);
	rtt_sample(&r, 100000);
	assert_int_equal(rtt_rto_us(&r), 300000);
	for (unsigned i = 1; i <= 7; i++) {
		rtt_back_off(&r);
		assert_int_equal(rtt_rto_us(&r), 300000u << i);
	}
	for (int i = 0; i < 300; i++)
		rtt_back_off(&r);
	assert_int_equal(rtt_rto_us(&r), RTO_MAX_US);
	rtt_sample(&r, 100000);
	assert_int_equal(rtt_rto_us(&r), 250000); /* and the deviation less */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_before_any_sample),
		cmocka_unit_test(test_samples),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_back_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
