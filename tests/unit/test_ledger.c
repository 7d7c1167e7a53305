// SPDX-License-Identifier: BSD-2-Clause
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "core/ledger.h"

static void test_every_place_counts(void **state)
{
	struct ledger_unit u = {.expected = 4 + LOSS_COUNT,
				.not_sampled = 1,
				.answered = 1,
				.unanswered = 1,
				.in_flight = 1};
	uint64_t *const places[] = {&u.not_sampled, &u.answered, &u.unanswered,
				    &u.in_flight};

	(void)state;
	for (unsigned i = 0; i < LOSS_COUNT; i++)
		u.lost[i] = 1;
	assert_true(ledger_balanced(&u));
	for (unsigned i = 0; i < 4 + LOSS_COUNT; i++) {
		uint64_t *place = i < 4 ? places[i] : &u.lost[i - 4];

		++*place;
		assert_false(ledger_balanced(&u));
		--*place;
	}
	u.captured = 99; /* copies and targets multiply it */
	assert_true(ledger_balanced(&u));
}

/* A place taken once too often is no balance, whatever the wrap does. */
static void test_below_zero(void **state)
{
	struct ledger_unit u = {.expected = 1, .in_flight = 1};

	(void)state;
	u.in_flight--;
	u.answered++;
	assert_true(ledger_balanced(&u));
	u.in_flight--;
	assert_false(ledger_balanced(&u));
}

static void test_reasons_have_names_of_their_own(void **state)
{
	(void)state;
	for (unsigned i = 0; i < LOSS_COUNT; i++) {
		const char *key = ledger_loss_key((enum loss)i);

		assert_non_null(key);
		assert_true(strlen(ledger_loss_text((enum loss)i)) > 3);
		for (unsigned j = 0; j < i; j++)
			assert_string_not_equal(key,
						ledger_loss_key((enum loss)j));
	}
	assert_string_equal(ledger_loss_key(LOSS_TARGET_CLOSED),
			    "target_closed");
	assert_string_equal(ledger_loss_key(LOSS_NONE), "none");
	assert_string_equal(ledger_loss_text(LOSS_NONE), "not lost");
}

/* All of it is numbers, so that none can be forgotten unseen. */
static void test_every_number_is_added(void **state)
{
	static struct ledger a, sum;
	uint64_t numbers[sizeof(a) / sizeof(uint64_t)];

	(void)state;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		numbers[i] = 1000 + i;
	memcpy(&a, numbers, sizeof(a));
	ledger_add(&sum, &a);
	assert_memory_equal(&sum, &a, sizeof(a));
	ledger_add(&sum, &a);
	memcpy(numbers, &sum, sizeof(sum));
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		assert_int_equal(numbers[i], 2 * (1000 + i));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_place_counts),
		cmocka_unit_test(test_below_zero),
		cmocka_unit_test(test_reasons_have_names_of_their_own),
		cmocka_unit_test(test_every_number_is_added),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
