// SPDX-License-Identifier: BSD-2-Clause
/* The Internet checksum against RFC 1071's example and a slow one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/checksum.h"
#include "../helpers/dice.h"

/* Two bytes at a time, carries at once. */
static uint16_t slow(const uint8_t *bytes, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i++) {
		sum += (uint32_t)bytes[i] << (i % 2 ? 0 : 8);
		if (sum > 0xffff)
			sum = (sum & 0xffff) + 1;
	}
	return (uint16_t)~sum;
}

static void test_example(void **state)
{
	static const uint8_t b[] = {0x00, 0x01, 0xf2, 0x03,
				    0xf4, 0xf5, 0xf6, 0xf7};

	(void)state;
	assert_int_equal(checksum_fold(checksum_add(0, b, sizeof(b))),
			 (uint16_t)~0xddf2);
	assert_int_equal(checksum_fold(0), 0xffff);
}

static void test_any_length_and_alignment(void **state)
{
	struct dice dice = {7};
	uint8_t b[3000];

	(void)state;
	for (int round = 0; round < 2000; round++) {
		size_t at = dice_below(&dice, 9);
		size_t len = dice_below(&dice, sizeof(b) - 9);

		for (size_t i = 0; i < len; i++)
			b[at + i] = round % 7 ? (uint8_t)dice_u64(&dice) : 0xff;
		assert_int_equal(checksum_fold(checksum_add(0, b + at, len)),
				 slow(b + at, len));
	}
}

/* A pseudo header, a header, an odd payload: as one run of bytes. */
static void test_in_parts(void **state)
{
	struct dice dice = {9};
	uint8_t b[501];
	uint64_t sum = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(b); i++)
		b[i] = (uint8_t)dice_u64(&dice);
	for (size_t at = 0; at < 500; at += 20)
		sum = checksum_add(sum, b + at, 20);
	sum = checksum_add(sum, b + 500, 1);
	assert_int_equal(checksum_fold(sum), slow(b, sizeof(b)));
}

/* Parts of any length, copied to and from anywhere. */
static void test_copied_in_parts(void **state)
{
	struct dice dice = {11};
	uint8_t b[3000], copy[3000 + 9];

	(void)state;
	for (int round = 0; round < 2000; round++) {
		size_t len = dice_below(&dice, sizeof(b)), at = 0, n;
		uint8_t *to = copy + dice_below(&dice, 8);
		uint64_t sum = 0;

		for (size_t i = 0; i < len; i++)
			b[i] = round % 7 ? (uint8_t)dice_u64(&dice) : 0xff;
		to[len] = 0xa5;
		for (; at < len; at += n) {
			n = 1 + dice_below(&dice, (uint32_t)(len - at));
			sum = checksum_join(
				sum, checksum_copy(to + at, b + at, n), at);
		}
		assert_memory_equal(to, b, len);
		assert_int_equal(to[len], 0xa5);
		assert_int_equal(checksum_fold(sum), slow(b, len));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_example),
		cmocka_unit_test(test_any_length_and_alignment),
		cmocka_unit_test(test_in_parts),
		cmocka_unit_test(test_copied_in_parts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
