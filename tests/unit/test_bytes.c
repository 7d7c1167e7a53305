// SPDX-License-Identifier: BSD-2-Clause
/* Loads, stores, and a reader that does not go beyond its end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/bytes.h"

static void test_big_endian_at_any_alignment(void **state)
{
	uint8_t b[16] = {0};

	(void)state;
	for (size_t at = 0; at < 8; at++) {
		store_be64(b + at, 0x0102030405060708u);
		for (uint8_t i = 0; i < 8; i++)
			assert_int_equal(b[at + i], i + 1);
		assert_int_equal(load_be16(b + at), 0x0102);
		assert_int_equal(load_be32(b + at), 0x01020304);
		assert_true(load_be64(b + at) == 0x0102030405060708u);
		store_be16(b + at, 0xfffe);
		store_be32(b + at + 2, 0xfdfcfbfau);
		assert_true(load_be64(b + at) == 0xfffefdfcfbfa0708u);
	}
}

static void test_reader(void **state)
{
	static const uint8_t b[] = {1, 2,  3,  4,  5,  6,  7,  8,
				    9, 10, 11, 12, 13, 14, 15, 16};
	struct reader r = reader_of(b, sizeof(b));

	(void)state;
	assert_int_equal(reader_u8(&r), 1);
	assert_int_equal(reader_u16(&r), 0x0203);
	assert_int_equal(reader_u32(&r), 0x04050607);
	assert_true(reader_u64(&r) == 0x08090a0b0c0d0e0fu);
	assert_ptr_equal(reader_take(&r, 1), b + 15);
	assert_int_equal(r.left_bytes, 0);
	assert_ptr_equal(reader_take(&r, 0), b + 16);
	assert_false(r.failed);
}

/* Once it has failed it yields nothing more, not even what would be there. */
static void test_reader_past_its_end(void **state)
{
	static const uint8_t b[] = {1, 2, 3};
	struct reader r = reader_of(b, sizeof(b));

	(void)state;
	assert_int_equal(reader_u32(&r), 0);
	assert_true(r.failed);
	assert_int_equal(reader_u8(&r), 0);
	assert_int_equal(reader_u16(&r), 0);
	assert_true(reader_u64(&r) == 0);
	assert_null(reader_take(&r, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_big_endian_at_any_alignment),
		cmocka_unit_test(test_reader),
		cmocka_unit_test(test_reader_past_its_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
