// SPDX-License-Identifier: BSD-2-Clause
/* The wheel against a plain list: never early, two ticks late at most. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "core/timers.h"
#include "../helpers/counted_mem.h"
#include "../helpers/dice.h"

#define TICK_US 1024u
#define COUNT	200u

struct wheel {
	struct counted_mem mem;
	struct timers *timers;
	struct timer all[COUNT];
	uint64_t now_us;
};

static void begin(struct wheel *w)
{
	memset(w, 0, sizeof(*w));
	w->now_us = 123456789;
	counted_mem_init(&w->mem, 0);
	w->timers = timers_new(&w->mem.mem, w->now_us);
	assert_non_null(w->timers);
}

static void end(struct wheel *w)
{
	timers_free(w->timers, &w->mem.mem);
	assert_int_equal(w->mem.live_bytes, 0);
}

/* Takes what is due now; what is left must not be overdue. */
static unsigned take(struct wheel *w)
{
	struct timer *t;
	unsigned n = 0;

	while ((t = timers_expired(w->timers, w->now_us))) {
		assert_true(t->deadline_us <= w->now_us);
		assert_false(timer_armed(t));
		n++;
	}
	for (unsigned i = 0; i < COUNT; i++)
		if (timer_armed(&w->all[i]))
			assert_true(w->all[i].deadline_us + 2 * TICK_US >
				    w->now_us);
	return n;
}

static unsigned armed(const struct wheel *w)
{
	unsigned n = 0;

	for (unsigned i = 0; i < COUNT; i++)
		n += timer_armed(&w->all[i]);
	return n;
}

/* The next call that it asks for is not later than the first deadline. */
static void check_next(const struct wheel *w)
{
	uint64_t first = TIME_NEVER, next = timers_next_us(w->timers);

	for (unsigned i = 0; i < COUNT; i++)
		if (timer_armed(&w->all[i]) && w->all[i].deadline_us < first)
			first = w->all[i].deadline_us;
	if (first == TIME_NEVER)
		assert_true(next == TIME_NEVER);
	else
		assert_true(next <= (first < w->now_us ? w->now_us : first) +
					    2 * TICK_US);
}

static uint64_t some_delay_us(struct dice *d)
{
	return dice_u64(d) >> (16 + dice_below(d, 48));
}

static void test_any_deadlines(void **state)
{
	struct dice dice = {11};
	struct wheel w;

	(void)state;
	begin(&w);
	for (int i = 0; i < 30000; i++) {
		struct timer *t = &w.all[dice_below(&dice, COUNT)];

		switch (dice_below(&dice, 4)) {
		case 0:
			timers_cancel(w.timers, t);
			assert_false(timer_armed(t));
			break;
		case 1:
			w.now_us += some_delay_us(&dice) % 100000000;
			take(&w);
			break;
		default:
			timers_set(w.timers, t,
				   w.now_us + some_delay_us(&dice));
			assert_true(timer_armed(t));
			break;
		}
		check_next(&w);
	}
	end(&w);
}

/* Going from one next to the next gives each out in time, and all of them. */
static void test_led_by_next(void **state)
{
	struct dice dice = {12};
	struct wheel w;
	unsigned given = 0, calls = 0;

	(void)state;
	begin(&w);
	for (unsigned i = 0; i < COUNT; i++)
		timers_set(w.timers, &w.all[i],
			   w.now_us + some_delay_us(&dice) % 1000000000000u);
	while (armed(&w) > 0) {
		uint64_t next = timers_next_us(w.timers);

		assert_true(next != TIME_NEVER);
		if (next > w.now_us)
			w.now_us = next;
		given += take(&w);
		calls++;
	}
	assert_int_equal(given, COUNT);
	assert_true(calls < COUNT * 10);
	assert_true(timers_next_us(w.timers) == TIME_NEVER);
	end(&w);
}

static void test_in_the_past(void **state)
{
	struct wheel w;

	(void)state;
	begin(&w);
	timers_set(w.timers, &w.all[0], 5);
	assert_true(timers_next_us(w.timers) <= w.now_us + 2 * TICK_US);
	assert_int_equal(take(&w), 1);
	end(&w);
}

static void test_set_again(void **state)
{
	struct wheel w;

	(void)state;
	begin(&w);
	timers_set(w.timers, &w.all[0], w.now_us + 10000);
	timers_set(w.timers, &w.all[0], w.now_us + 900000);
	w.now_us += 500000;
	assert_int_equal(take(&w), 0);
	timers_set(w.timers, &w.all[0], w.now_us + 10000);
	w.now_us += 10000 + 2 * TICK_US;
	assert_int_equal(take(&w), 1);
	end(&w);
}

/* Nothing is left of one that was cancelled, wherever it was filed. */
static void test_cancelled(void **state)
{
	struct wheel w;

	(void)state;
	begin(&w);
	for (unsigned shift = 0; shift < 62; shift++) {
		timers_set(w.timers, &w.all[0], w.now_us + (1ull << shift));
		timers_cancel(w.timers, &w.all[0]);
		assert_true(timers_next_us(w.timers) == TIME_NEVER);
		timers_cancel(w.timers, &w.all[0]); /* idle already */
	}
	w.now_us += 1ull << 40;
	assert_int_equal(take(&w), 0);
	end(&w);
}

/* Beyond what the wheels span it is looked at again on the way, seldom. */
static void test_years_ahead(void **state)
{
	struct wheel w;

	(void)state;
	for (unsigned shift = 44; shift < 56; shift++) {
		unsigned calls = 0;
		uint64_t at_us;

		begin(&w);
		at_us = w.now_us + (1ull << shift);
		timers_set(w.timers, &w.all[0], at_us);
		while (timer_armed(&w.all[0])) {
			assert_true(timers_next_us(w.timers) > w.now_us);
			assert_true(++calls < 20000);
			w.now_us = timers_next_us(w.timers);
			take(&w);
		}
		assert_true(w.now_us >= at_us);
		end(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_deadlines),
		cmocka_unit_test(test_led_by_next),
		cmocka_unit_test(test_in_the_past),
		cmocka_unit_test(test_set_again),
		cmocka_unit_test(test_cancelled),
		cmocka_unit_test(test_years_ahead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
